//! Every architecture against the code that it comes from: torchvision, timm, Hugging Face, PyTorch.
//!
//! The numbers lie beside the models (`models/*/tests/golden/*.safetensors`), with the scripts that
//! made them. A file is found by being there: a new architecture needs no line here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{golden_files, golden_model};
use toml::Table;
use zoo::ZOO;
use zoo_program::devices;
use zoo_program::registry::Entry;
use zoo_weights::Tensors;
use zoo_weights::golden::Golden;

/// Enough for the tiniest instance of a deep network, and a reason to think where it is not.
const MOST_BYTES: u64 = 300_000;

fn agree(backend: &str, trains: bool) {
    let device = devices::open(backend).unwrap().device;
    let mut failed = Vec::new();
    for path in golden_files() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let golden = Golden::open(&path).unwrap();
        let distance = golden_model(&golden)
            .against(&golden, &device, trains)
            .unwrap();
        println!("{backend} {name} ({}): {distance:?}", golden.library());
        if !distance.is_small() {
            failed.push(format!("{name}: {distance:?}"));
        }
    }
    assert!(failed.is_empty(), "{backend}:\n{}", failed.join("\n"));
}

#[cfg(feature = "flex")]
#[test]
fn flex_computes_what_the_origins_do() {
    agree("flex", true);
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_computes_what_the_origins_do() {
    agree("ndarray", true);
}

#[test]
fn every_architecture_has_small_golden_numbers_and_the_script_that_made_them() {
    let mut seen = BTreeSet::new();
    for path in golden_files() {
        let size = path.metadata().unwrap().len();
        assert!(size < MOST_BYTES, "{}: {size} bytes", path.display());
        let golden = Golden::open(&path).unwrap();
        assert!(
            !golden.library().is_empty(),
            "{}: of which library?",
            path.display()
        );
        let table = golden_model(&golden).table();
        seen.insert(table["name"].as_str().unwrap().to_owned());
        let folder = path.parent().unwrap();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        // `resnet_bottleneck.safetensors` may be of `resnet.py`.
        let starts = (0..=stem.len()).filter(|end| stem.is_char_boundary(*end));
        let written = starts.map(|end| folder.join(format!("{}.py", &stem[..end])));
        assert!(
            written.into_iter().any(|script| script.is_file()),
            "{stem}: no script"
        );
    }
    // What the family's own tests hold against numbers in another form, with the script beside them.
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let in_text = |entry: &dyn Entry| {
        let folder = models.join(entry.family()).join("tests/golden");
        let file = |end: &str| folder.join(format!("{}.{end}", entry.name())).is_file();
        file("json") && file("py")
    };
    for entry in ZOO.models {
        assert!(
            seen.contains(entry.name()) || in_text(*entry),
            "{} has no golden numbers",
            entry.name()
        );
    }
}

/// What `load_state_dict(strict=True)` asks of a file: every tensor of the origin's state dict in its
/// shape, and no other.
#[test]
fn saved_weights_are_the_origins_state_dict() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("model.safetensors");
    let device = devices::open(devices::default_name()).unwrap().device;
    let list = |tensors: &Tensors, prefix: &str| -> Vec<(String, Vec<usize>)> {
        let names = tensors.names().filter_map(|name| {
            let shape = tensors.shape(name).unwrap().to_vec();
            Some((name.strip_prefix(prefix)?.to_owned(), shape))
        });
        names.collect()
    };
    for path in golden_files() {
        let golden = Golden::open(&path).unwrap();
        let model = golden_model(&golden);
        model.fresh(1, &device).unwrap().save(&saved, None).unwrap();
        let ours = list(&Tensors::open(&saved).unwrap(), "");
        let theirs = list(&Tensors::open(&path).unwrap(), "weight.");
        assert_eq!(ours, theirs, "{}", path.display());
    }
}

/// Another activation, another number of heads: the weights fit, and the comparison sees it.
#[cfg(feature = "flex")]
#[test]
fn a_model_that_computes_something_else_is_found_out() {
    let device = devices::open("flex").unwrap().device;
    let golden = |stem: &str| {
        let path = golden_files()
            .into_iter()
            .find(|path| path.file_stem().unwrap() == stem);
        Golden::open(&path.unwrap()).unwrap()
    };
    let changed = |stem: &str, key: &str, value: toml::Value| {
        let golden = golden(stem);
        let json: serde_json::Value = serde_json::from_str(golden.model()).unwrap();
        let mut table = Table::try_from(json).unwrap();
        assert!(
            table.insert(key.into(), value).is_some(),
            "{stem} has {key}"
        );
        let model = ZOO.configure(&table, &toml::Table::new()).unwrap();
        model.against(&golden, &device, true).unwrap()
    };
    // Tanh for ReLU, the exact GELU for its approximation, one head for two.
    let tanh = changed("mlp", "activation", "tanh".into());
    assert!(tanh.output > 1e-3 && !tanh.is_small(), "{tanh:?}");
    let exact = changed("gpt", "activation", "gelu".into());
    assert!(!exact.is_small(), "{exact:?}");
    let one_head = changed("vit", "num_heads", 1.into());
    assert!(!one_head.is_small(), "{one_head:?}");
}
