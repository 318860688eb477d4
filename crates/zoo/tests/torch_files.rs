//! Files of other people's programs: of `torch.save`, for every architecture that public weights
//! are fetched of; of nanoGPT and llama2.c.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;
#[path = "../../weights/tests/torch_save/mod.rs"]
mod torch_save;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use burn::tensor::TensorData;
use common::{golden_files, golden_model};
use serde_json::{Value, json};
use torch_save::{Py, dict, floats, save, save_old};
use zoo::ZOO;
use zoo_fetch::Source;
use zoo_program::devices;
use zoo_program::registry::Model;
use zoo_weights::Tensors;
use zoo_weights::golden::Golden;

/// The architectures that public weights are of.
fn architectures() -> BTreeSet<&'static str> {
    let presets = ZOO
        .weights()
        .map(|(_, text)| Source::parse(text).unwrap().weights.unwrap().preset);
    presets
        .map(|preset| ZOO.model(&preset).unwrap().0.name())
        .collect()
}

/// A state dict whose names begin with `prefix` in a file, without it.
fn state_dict(tensors: &Tensors, prefix: &str) -> Vec<(String, Py)> {
    let named = tensors
        .names()
        .filter_map(|name| Some((name, name.strip_prefix(prefix)?)));
    let entries = named.map(|(name, short)| {
        let data = tensors.get(name).unwrap();
        let value = match short.ends_with("num_batches_tracked") {
            true => torch_save::count(data.iter::<i64>().next().unwrap()),
            false => floats(data.shape(), &data.iter::<f32>().collect::<Vec<_>>()),
        };
        (short.to_owned(), value)
    });
    entries.collect()
}

/// Whether indices of layers are left out, as those of layers without weights are.
fn has_gaps(names: &[&str]) -> bool {
    let mut indices: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for name in names {
        let parts: Vec<&str> = name.split('.').collect();
        for (at, part) in parts.iter().enumerate() {
            if let Ok(index) = part.parse() {
                indices
                    .entry(parts[..at].join("."))
                    .or_default()
                    .insert(index);
            }
        }
    }
    indices
        .values()
        .any(|indices| !indices.iter().copied().eq(0..indices.len()))
}

/// What a model holds after reading a file, by the origin's names.
fn read(model: &dyn Model, path: &Path, folder: &Path) -> BTreeMap<String, TensorData> {
    let device = devices::open("flex").unwrap().device;
    let ready = model.load(path, &device);
    let ready = ready.unwrap_or_else(|error| panic!("{error}"));
    let saved = folder.join("saved.safetensors");
    ready.save(&saved, None).unwrap();
    let saved = Tensors::open(&saved).unwrap();
    let all = saved
        .names()
        .map(|name| (name.to_owned(), saved.get(name).unwrap()));
    all.filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .collect()
}

/// The golden files hold the state dict of the origin's own code: its names, not ours.
#[test]
fn every_architecture_with_public_weights_opens_under_its_origins_names_whole_and_in_shards() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut seen = BTreeSet::new();
    let mut with_gaps = BTreeSet::new();
    for path in golden_files() {
        let golden = golden_model(&Golden::open(&path).unwrap());
        let name = golden.table()["name"].as_str().unwrap().to_owned();
        let Some(name) = architectures().into_iter().find(|known| *known == name) else {
            continue;
        };
        println!("{}", path.display());
        let tensors = Tensors::open(&path).unwrap();
        let entries = state_dict(&tensors, "weight.");
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        seen.insert(name);
        if has_gaps(&names) {
            with_gaps.insert(name);
        }
        let expected: BTreeMap<String, TensorData> = (names.iter())
            .filter(|name| !name.ends_with("num_batches_tracked"))
            .map(|name| {
                (
                    (*name).to_owned(),
                    tensors.get(&format!("weight.{name}")).unwrap(),
                )
            })
            .collect();
        let check = |path: &Path| assert_eq!(read(&*golden, path, folder), expected, "{path:?}");

        let file = folder.join("model.pth");
        save(&file, "archive", &Py::Ordered(entries.clone()));
        check(&file);
        save_old(&file, &Py::Ordered(entries.clone()));
        check(&file);

        // As the hub shards: by size, so that a shard begins and ends within a block.
        let mut map = serde_json::Map::new();
        let shards = folder.join(name);
        fs::create_dir_all(&shards).unwrap();
        for (number, shard) in entries.chunks(entries.len().div_ceil(3)).enumerate() {
            let file = format!("pytorch_model-{:05}-of-00003.bin", number + 1);
            save(
                &shards.join(&file),
                "pytorch_model",
                &Py::Ordered(shard.to_vec()),
            );
            map.extend(shard.iter().map(|(name, _)| (name.clone(), json!(file))));
        }
        let index = json!({ "metadata": {}, "weight_map": map }).to_string();
        fs::write(shards.join("pytorch_model.bin.index.json"), index).unwrap();
        check(&shards);
    }
    assert_eq!(seen, architectures(), "every one has golden numbers");
    for name in ["vgg", "mobilenet", "convnext", "efficientnet"] {
        assert!(
            with_gaps.contains(name),
            "{name} has gaps at torchvision; found: {with_gaps:?}"
        );
    }
}

/// What [`checkpoints.py`](../../../models/transformer/tests/checkpoints) computed.
fn checkpoints() -> Tensors {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let path = models.join("transformer/tests/checkpoints/checkpoints.safetensors");
    Tensors::open(&path).unwrap()
}

fn configured(model: Value) -> Box<dyn Model> {
    ZOO.configure(&toml::Table::try_from(model).unwrap(), &toml::Table::new())
        .unwrap()
}

fn gpt(bias: bool, heads: usize) -> Box<dyn Model> {
    configured(json!({
        "name": "gpt", "vocab_size": 13, "context": 8, "num_layers": 2, "num_heads": heads,
        "width": 8, "activation": "gelu", "dropout": 0.0, "output": "tied", "bias": bias,
    }))
}

fn llama(heads: usize) -> Box<dyn Model> {
    configured(json!({
        "name": "llama", "vocab_size": 13, "context": 16, "num_layers": 2, "num_heads": heads,
        "num_kv_heads": heads / 2, "width": 24, "hidden": 20, "rope_theta": 10000.0,
        "norm_epsilon": 1e-5, "output": "tied",
    }))
}

/// The largest difference from the logits that PyTorch computed from the same weights.
fn distance(model: &dyn Model, path: &Path, there: &Tensors, name: &str) -> f64 {
    let device = devices::open("flex").unwrap().device;
    let ready = model.load(path, &device);
    let ready = ready.unwrap_or_else(|error| panic!("{error}"));
    let logits = ready.output(model.batch_of(vec![("input".into(), there.get("input").unwrap())]));
    let expected = there.get(&format!("{name}.output")).unwrap();
    assert_eq!(logits.shape(), expected.shape());
    let pairs = logits.iter::<f64>().zip(expected.iter::<f64>());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// A checkpoint as the two trainers write it.
fn checkpoint(there: &Tensors, name: &str, arguments: &[(&str, i32)]) -> Py {
    let weights = state_dict(there, &format!("{name}.weight."));
    let moments = weights[..2].iter().enumerate().map(|(number, (_, value))| {
        let state = dict([("step", floats(&[], &[7.0])), ("exp_avg", value.clone())]);
        (Py::Int(number as i32), state)
    });
    let moments = Py::Dict(moments.collect());
    let compiled = weights.into_iter();
    let compiled = compiled.map(|(name, value)| (format!("_orig_mod.{name}"), value));
    let arguments = arguments.iter().map(|(key, value)| (*key, Py::Int(*value)));
    dict([
        ("model", dict(compiled)),
        (
            "optimizer",
            dict([("state", moments), ("param_groups", Py::List(Vec::new()))]),
        ),
        ("model_args", dict(arguments)),
        ("iter_num", Py::Int(2000)),
        ("best_val_loss", Py::Float(1.46)),
        ("config", dict([("out_dir", Py::Text("out".into()))])),
    ])
}

/// The same weights as safetensors, under the names that they have there.
fn safetensors(there: &Tensors, name: &str, path: &Path) {
    let prefix = format!("{name}.weight.");
    let entries = there
        .names()
        .filter_map(|name| Some((name.strip_prefix(&prefix)?, there.get(name).unwrap())));
    let entries: Vec<(&str, TensorData)> = entries.collect();
    let views = entries.iter().map(|(name, data)| {
        let shape = data.shape().to_vec();
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, data.as_bytes());
        (*name, view.unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn checkpoints_of_nanogpt_and_llama2c_give_the_logits_that_pytorch_computes() {
    let folder = tempfile::tempdir().unwrap();
    let there = checkpoints();
    let n_head = [
        ("n_layer", 2),
        ("n_head", 2),
        ("n_embd", 8),
        ("block_size", 8),
        ("vocab_size", 13),
    ];
    let n_heads = [
        ("dim", 24),
        ("n_layers", 2),
        ("n_heads", 4),
        ("n_kv_heads", 2),
        ("vocab_size", 13),
    ];
    for (name, model, arguments) in [
        ("nanogpt", gpt(true, 2), n_head),
        ("nanogpt_plain", gpt(false, 2), n_head),
        ("llama2c", llama(4), n_heads),
    ] {
        let path = folder.path().join("ckpt.pt");
        save(&path, "ckpt", &checkpoint(&there, name, &arguments));
        let from_checkpoint = distance(&*model, &path, &there, name);
        let path = folder.path().join("model.safetensors");
        safetensors(&there, name, &path);
        let from_safetensors = distance(&*model, &path, &there, name);
        println!("{name}: {from_checkpoint:.1e}, {from_safetensors:.1e}");
        // Logits of up to 20 in single precision.
        assert!(from_checkpoint < 2e-5 && from_safetensors < 2e-5, "{name}");
    }
}

/// No shape tells the number of heads; the checkpoint does.
#[test]
fn another_number_of_heads_than_the_checkpoints_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (there, path) = (checkpoints(), folder.path().join("ckpt.pt"));
    let device = devices::open("flex").unwrap().device;
    for (name, model, key, heads) in [
        ("nanogpt", gpt(true, 4), "n_head", 2),
        (
            "llama2c",
            configured(json!({
                "name": "llama", "vocab_size": 13, "context": 16, "num_layers": 2, "num_heads": 2,
                "num_kv_heads": 1, "width": 24, "hidden": 20, "output": "tied",
            })),
            "n_heads",
            4,
        ),
    ] {
        save(&path, "ckpt", &checkpoint(&there, name, &[(key, heads)]));
        let error = model.load(&path, &device).err().unwrap().to_string();
        assert!(
            error.contains(&format!("model_args.{key} is {heads}, expected")),
            "{error}"
        );
    }
}
