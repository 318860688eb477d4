//! What may be in a file, and what a file cannot do.
//!
//! The pickle files are made here, byte by byte, as `torch.save` and an attacker make them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use zoo_weights::{Origin, Tensors, WeightsError, load, load_except, parameters, save, save_as};

#[derive(Module, Debug)]
struct Net {
    fc: Linear,
    norm: BatchNorm,
}

fn net(outputs: usize, device: &Device) -> Net {
    Net {
        fc: LinearConfig::new(3, outputs).init(device),
        norm: BatchNormConfig::new(outputs).init(device),
    }
}

fn origin() -> Origin {
    Origin::named(|ours| format!("base.{}", ours.replace("fc.", "dense.")))
        .with_prefix("base.")
        .with_tied(&[("head.weight", "base.dense.weight")])
}

fn bits(net: &Net) -> Vec<TensorData> {
    let net = net.valid();
    let bias = net.fc.bias.clone().unwrap();
    vec![
        net.fc.weight.val().into_data(),
        bias.val().into_data(),
        net.norm.gamma.val().into_data(),
        net.norm.running_mean.value().into_data(),
        net.norm.running_var.value().into_data(),
    ]
}

/// A model whose running statistics have moved.
fn moved(device: &Device) -> Net {
    let autodiff = device.clone().autodiff();
    let net = net(2, &autodiff);
    let input = Tensor::<2>::ones([4, 3], &autodiff).mul_scalar(2.0);
    net.norm.forward(net.fc.forward(input));
    net
}

fn names(path: &Path) -> Vec<String> {
    let tensors = Tensors::open(path).unwrap();
    tensors.names().map(str::to_owned).collect()
}

#[test]
fn weights_and_running_statistics_survive_a_round_trip_under_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let device = Device::flex();
    let trained = moved(&device);
    save(&trained, &path, &origin()).unwrap();
    let expected = [
        "base.dense.bias",
        "base.dense.weight",
        "base.norm.bias",
        "base.norm.num_batches_tracked",
        "base.norm.running_mean",
        "base.norm.running_var",
        "base.norm.weight",
        "head.weight",
    ];
    assert_eq!(names(&path), expected);
    let tensors = Tensors::open(&path).unwrap();
    assert_eq!(
        tensors.shape("base.dense.weight").unwrap(),
        [2, 3],
        "[out, in]"
    );

    let mut restored = net(2, &device);
    assert_ne!(bits(&restored), bits(&trained));
    load(&mut restored, &path, &origin()).unwrap();
    assert_eq!(bits(&restored), bits(&trained));
}

#[test]
fn a_file_of_ours_opens_where_an_origins_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let device = Device::flex();
    let trained = moved(&device);
    save(&trained, &path, &Origin::default()).unwrap();
    let mut restored = net(2, &device);
    load(&mut restored, &path, &origin()).unwrap();
    assert_eq!(bits(&restored), bits(&trained));
}

#[test]
fn a_file_without_the_prefix_opens_and_so_does_one_of_a_wrapper() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let trained = moved(&device);
    for prefix in ["", "module.base.", "_orig_mod.base."] {
        let path = folder.path().join("model.safetensors");
        let other = Origin::named(move |ours| format!("{prefix}{}", ours.replace("fc.", "dense.")));
        save(&trained, &path, &other).unwrap();
        let mut restored = net(2, &device);
        load(&mut restored, &path, &origin()).unwrap();
        assert_eq!(bits(&restored), bits(&trained), "{prefix}");
    }
}

/// The names of a file of ours may be an origin's, whose layouts are not ours.
#[test]
fn layouts_tell_whose_a_file_is_where_names_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let device = Device::flex();
    let trained = moved(&device);
    let there = Origin::named(|ours| format!("base.{ours}"))
        .with_prefix("base.")
        .with_conv1d(&["fc.weight"]);
    for origin in [Origin::default(), there.clone()] {
        save(&trained, &path, &origin).unwrap();
        let mut restored = net(2, &device);
        load(&mut restored, &path, &there).unwrap();
        assert_eq!(bits(&restored), bits(&trained));
    }
}

/// Trainers keep weights under `model`, and Llama's names begin so.
#[test]
fn model_is_a_wrapper_or_a_part_of_the_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let device = Device::flex();
    let trained = moved(&device);
    let wrapped = Origin::named(|ours| format!("model.{ours}"));
    save(&trained, &path, &wrapped).unwrap();
    let mut restored = net(2, &device);
    load(&mut restored, &path, &Origin::default()).unwrap();
    assert_eq!(bits(&restored), bits(&trained));

    let part = Origin::named(|ours| match ours.strip_prefix("fc.") {
        Some(rest) => format!("lm_head.{rest}"),
        None => format!("model.{ours}"),
    });
    save(&trained, &path, &part).unwrap();
    let mut restored = net(2, &device);
    load(&mut restored, &path, &part.with_prefix("model.")).unwrap();
    assert_eq!(bits(&restored), bits(&trained));
}

#[test]
fn equal_weights_are_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let model = net(2, &Device::flex());
    let write = |name: &str| {
        let path = folder.path().join(name);
        save(&model, &path, &Origin::default()).unwrap();
        fs::read(path).unwrap()
    };
    let first = write("0.safetensors");
    assert!((1..20).all(|number| write(&format!("{number}.safetensors")) == first));
}

#[test]
fn every_mismatch_is_named_at_once_and_the_model_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let device = Device::flex();
    save(&net(2, &device), &path, &Origin::default()).unwrap();
    let mut other = net(5, &device);
    let before = bits(&other);
    let error = load(&mut other, &path, &Origin::default()).unwrap_err();
    let WeightsError::Mismatch { problems, .. } = &error else {
        panic!("{error}");
    };
    for name in [
        "fc.weight is [2, 3], expected [5, 3]",
        "fc.bias",
        "norm.weight",
        "norm.running_mean",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(name)),
            "{name}: {problems:?}"
        );
    }
    assert_eq!(bits(&other), before);

    let mut layer = LinearConfig::new(3, 2).init(&device);
    let error = load(&mut layer, &path, &Origin::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("missing weight") && error.contains("unexpected fc.weight"),
        "{error}"
    );
}

#[test]
fn a_new_head_keeps_its_values_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let device = Device::flex();
    let trained = moved(&device);
    save(&trained, &path, &Origin::default()).unwrap();
    #[derive(Module, Debug)]
    struct Other {
        norm: BatchNorm,
        fc: Linear,
    }
    let mut other = Other {
        norm: BatchNormConfig::new(2).init(&device),
        fc: LinearConfig::new(3, 7).init(&device),
    };
    let head = other.fc.weight.val().into_data();
    let may_keep = |path: &str| path.starts_with("fc.");
    let loaded = load_except(&mut other, &path, &Origin::default(), &may_keep).unwrap();
    assert_eq!(loaded.kept, ["fc.weight", "fc.bias"]);
    assert_eq!(other.fc.weight.val().into_data(), head);
    assert_eq!(
        other.norm.running_mean.value().into_data(),
        bits(&trained)[3]
    );
}

#[test]
fn half_precision_is_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let trained = moved(&device);
    for (dtype, error) in [(DType::F16, 1e-3), (DType::BF16, 1e-2)] {
        let path = folder.path().join("half.safetensors");
        save_as(&trained, &path, &Origin::default(), dtype).unwrap();
        assert_eq!(
            Tensors::open(&path)
                .unwrap()
                .get("fc.weight")
                .unwrap()
                .dtype(),
            dtype
        );
        let mut restored = net(2, &device);
        load(&mut restored, &path, &Origin::default()).unwrap();
        assert_eq!(restored.fc.weight.val().dtype(), DType::F32);
        let (before, after) = (bits(&trained)[0].clone(), bits(&restored)[0].clone());
        for (a, b) in before.iter::<f32>().zip(after.iter::<f32>()) {
            assert!((a - b).abs() <= error && a != 0.0, "{a} became {b}");
        }
    }
    let path = folder.path().join("i8.safetensors");
    let error = save_as(&trained, &path, &Origin::default(), DType::I8).unwrap_err();
    assert!(error.to_string().contains("f32, f16, bf16"), "{error}");
}

#[test]
fn shards_open_by_their_index_and_as_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let trained = moved(&device);
    // The linear layer in one shard, the norm in another.
    let write = |name: &str, tensors: &[&str]| {
        let whole = folder.path().join("whole.safetensors");
        save(&trained, &whole, &Origin::default()).unwrap();
        let whole = Tensors::open(&whole).unwrap();
        let data: Vec<(String, TensorData)> = tensors
            .iter()
            .map(|name| ((*name).to_owned(), whole.get(name).unwrap()))
            .collect();
        let views = data.iter().map(|(name, data)| {
            let shape = data.shape().to_vec();
            let view = safetensors::tensor::TensorView::new(
                safetensors::Dtype::F32,
                shape,
                data.as_bytes(),
            );
            (name.clone(), view.unwrap())
        });
        safetensors::serialize_to_file(views, None, &folder.path().join(name)).unwrap();
    };
    write(
        "model-00001-of-00002.safetensors",
        &["fc.weight", "fc.bias"],
    );
    let norm = [
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
    ];
    write("model-00002-of-00002.safetensors", &norm);
    let map = |second: &str| {
        let mut map = serde_json::Map::new();
        for name in ["fc.weight", "fc.bias"] {
            map.insert(name.into(), "model-00001-of-00002.safetensors".into());
        }
        for name in norm {
            map.insert(name.into(), second.into());
        }
        serde_json::json!({ "metadata": {}, "weight_map": map }).to_string()
    };
    fs::remove_file(folder.path().join("whole.safetensors")).unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, map("model-00002-of-00002.safetensors")).unwrap();
    for path in [index.as_path(), folder.path()] {
        let mut restored = net(2, &device);
        load(&mut restored, path, &Origin::default()).unwrap();
        assert_eq!(bits(&restored), bits(&trained));
    }

    // An index that leads out of its folder, or to a shard that lacks what it should hold.
    fs::write(&index, map("../model-00002-of-00002.safetensors")).unwrap();
    let error = Tensors::open(&index).err().unwrap().to_string();
    assert!(error.contains("not a file beside the index"), "{error}");
    fs::write(&index, map("model-00001-of-00002.safetensors")).unwrap();
    let error = Tensors::open(&index).err().unwrap().to_string();
    assert!(error.contains("is not in its shard"), "{error}");
}

#[test]
fn damaged_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let fail = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Tensors::open(&path).err().unwrap().to_string()
    };
    let missing = Tensors::open(&folder.path().join("none.safetensors"))
        .err()
        .unwrap();
    assert!(missing.to_string().contains("no such file"), "{missing}");
    assert!(fail(b"not").contains("not safetensors"));
    assert!(fail(b"not safetensors").contains("longer than the file"));
    save(&net(2, &Device::flex()), &path, &Origin::default()).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(fail(&whole[..whole.len() - 1]).contains("cut off or added to"));
    assert!(fail(&[&whole[..], b"x"].concat()).contains("cut off or added to"));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let error = Tensors::open(&empty).err().unwrap().to_string();
    assert!(error.contains("model.safetensors"), "{error}");
}

/// Safetensors with a net's linear layer: the weight of a type, its bytes, and a bias of zeros.
fn linear_of(path: &Path, dtype: &str, weight: &[u8]) {
    let end = weight.len();
    let table = format!(
        "{{\"weight\":{{\"dtype\":\"{dtype}\",\"shape\":[2,3],\"data_offsets\":[0,{end}]}},\
         \"bias\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[{end},{}]}}}}",
        end + 8
    );
    let length = (table.len() as u64).to_le_bytes();
    fs::write(
        path,
        [&length[..], table.as_bytes(), weight, &[0; 8]].concat(),
    )
    .unwrap();
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let load_linear = |dtype: &str, number: &[u8]| {
        let mut weight = vec![0; 6 * number.len()];
        weight[number.len()..2 * number.len()].copy_from_slice(number);
        linear_of(&path, dtype, &weight);
        let mut linear = LinearConfig::new(3, 2).init(&Device::flex());
        load(&mut linear, &path, &Origin::default()).map_err(|error| error.to_string())
    };
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let single = wrong as f32;
        let half = single.to_bits() >> 16;
        let half16 = if wrong.is_nan() {
            0x7e00
        } else {
            0x7c00 | (half as u16 & 0x8000)
        };
        for (dtype, number) in [
            ("F64", wrong.to_le_bytes().to_vec()),
            ("F32", single.to_le_bytes().to_vec()),
            ("BF16", (half as u16).to_le_bytes().to_vec()),
            ("F16", half16.to_le_bytes().to_vec()),
        ] {
            let error = load_linear(dtype, &number).unwrap_err();
            assert!(
                error.contains("weight holds NaN or infinity"),
                "{dtype} {wrong}: {error}"
            );
        }
    }
    // It would be infinite in the model.
    let error = load_linear("F64", &1e300_f64.to_le_bytes()).unwrap_err();
    assert!(
        error.contains("above 3.4e38") && !error.contains("NaN"),
        "{error}"
    );
    for (dtype, largest) in [
        ("F64", f64::from(f32::MAX).to_le_bytes().to_vec()),
        ("F32", f32::MAX.to_le_bytes().to_vec()),
        ("BF16", 0x7f7f_u16.to_le_bytes().to_vec()),
        ("F16", 0x7bff_u16.to_le_bytes().to_vec()),
    ] {
        load_linear(dtype, &largest).unwrap();
    }
}

#[test]
fn what_is_no_floating_point_is_no_weight() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for (dtype, width) in [
        ("I64", 8),
        ("I32", 4),
        ("I8", 1),
        ("U8", 1),
        ("BOOL", 1),
        ("F8_E4M3", 1),
        ("F8_E5M2", 1),
        ("C64", 8),
    ] {
        linear_of(&path, dtype, &vec![1; 6 * width]);
        let mut linear = LinearConfig::new(3, 2).init(&Device::flex());
        let before = linear.weight.val().into_data();
        let error = load(&mut linear, &path, &Origin::default()).unwrap_err();
        let error = error.to_string();
        let kind = dtype.replace("BOOL", "bool");
        assert!(
            error.contains("weight is stored as") && error.contains(&kind),
            "{dtype}: {error}"
        );
        assert_eq!(linear.weight.val().into_data(), before);
    }
}

/// What a file calls its tensors reaches a terminal.
#[test]
fn names_in_messages_are_cut_and_hold_no_escapes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let table = |name: &str| {
        let table = serde_json::json!({
            name: { "dtype": "F32", "shape": [1], "data_offsets": [0, 4] }
        });
        let table = table.to_string();
        let length = (table.len() as u64).to_le_bytes();
        fs::write(&path, [&length[..], table.as_bytes(), &[0; 4]].concat()).unwrap();
        let mut linear = LinearConfig::new(3, 2).init(&Device::flex());
        let error = load(&mut linear, &path, &Origin::default()).unwrap_err();
        error.to_string()
    };
    let error = table("a\u{1b}[2J\u{9b}31m\n");
    assert!(!error.chars().any(char::is_control), "{error}");
    assert!(error.contains("unexpected a\\u{1b}[2J"), "{error}");
    let error = table(&"n".repeat(10 << 20));
    assert!(
        error.contains("a name of 10485760 bytes, more than 1024"),
        "{error:.300}"
    );
    assert!(error.len() < 1_000);

    let twice = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\
                 \"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}";
    let length = (twice.len() as u64).to_le_bytes();
    fs::write(&path, [&length[..], twice.as_bytes(), &[0; 8]].concat()).unwrap();
    let error = Tensors::open(&path).err().unwrap().to_string();
    assert!(error.contains("two tensors are called a"), "{error}");
}

/// A link leads to what has no end, a pipe waits for ever: opening either is an error at once.
#[cfg(unix)]
#[test]
fn only_regular_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    for name in [
        "model.safetensors",
        "shard.safetensors",
        "pytorch_model.bin",
    ] {
        std::os::unix::fs::symlink("/dev/zero", inside(name)).unwrap();
        let error = Tensors::open(&inside(name)).err().unwrap().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
    let index = inside("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"a": "shard.safetensors"}}"#).unwrap();
    let error = Tensors::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("not a regular file"), "{error}");
    // Nor is one file two shards.
    fs::remove_file(inside("shard.safetensors")).unwrap();
    save(
        &net(2, &Device::flex()),
        &inside("shard.safetensors"),
        &Origin::default(),
    )
    .unwrap();
    fs::hard_link(inside("shard.safetensors"), inside("shard-2.safetensors")).unwrap();
    let both = r#"{"weight_map": {"a": "shard.safetensors", "b": "shard-2.safetensors"}}"#;
    fs::write(&index, both).unwrap();
    let error = Tensors::open(folder.path()).err().unwrap().to_string();
    assert!(
        error.contains("shard-2.safetensors and shard.safetensors are one file"),
        "{error}"
    );
    fs::remove_file(&index).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &index).unwrap();
    let error = Tensors::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn counting_draws_no_weight() {
    let device = Device::flex();
    // 4 GiB of them: drawing would take seconds and the memory.
    let large: Embedding = EmbeddingConfig::new(1 << 20, 1 << 10).init(&device);
    assert_eq!(parameters(&large), 1 << 30);
    assert_eq!(parameters(&net(2, &device)), 3 * 2 + 2 + 2 + 2);
}

/// The archive that `torch.save` writes: a pickle and the raw numbers beside it.
fn torch_file(path: &Path, pickle: &[u8], storages: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("data.pkl", pickle);
    add("byteorder", b"little");
    for (key, bytes) in storages {
        add(&format!("data/{key}"), bytes);
    }
    add("version", b"3\n");
    zip.finish().unwrap();
}

/// Short binary text.
fn text(value: &str) -> Vec<u8> {
    [
        b"X",
        &(value.len() as u32).to_le_bytes()[..],
        value.as_bytes(),
    ]
    .concat()
}

/// `torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`
fn tensor(key: &str, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let tuple = |values: &[u8]| {
        let values: Vec<u8> = values.iter().flat_map(|value| [b'K', *value]).collect();
        [b"(", &values[..], b"t"].concat()
    };
    let count = shape.iter().product::<u8>();
    let storage = [
        b"(".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        vec![b'K', count],
        b"tQ".to_vec(),
    ]
    .concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
        storage,
        vec![b'K', 0],
        tuple(shape),
        tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A dictionary of a linear layer's two tensors, with `more` before its end.
fn linear_pickle(more: &[u8]) -> Vec<u8> {
    [
        b"\x80\x02}(".to_vec(),
        text("weight"),
        tensor("0", &[2, 3], &[3, 1]),
        text("bias"),
        tensor("1", &[2], &[1]),
        more.to_vec(),
        b"u.".to_vec(),
    ]
    .concat()
}

fn torch_path(folder: &tempfile::TempDir, pickle: &[u8]) -> PathBuf {
    let path = folder.path().join("model.pt");
    let weight = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    torch_file(
        &path,
        pickle,
        &[("0", &weight), ("1", &floats(&[7.0, 8.0]))],
    );
    path
}

#[test]
fn a_file_of_torch_save_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = torch_path(&folder, &linear_pickle(b""));
    let mut layer = LinearConfig::new(3, 2).init(&Device::flex());
    load(&mut layer, &path, &Origin::default()).unwrap();
    let weight: Vec<f32> = layer.weight.val().into_data().iter::<f32>().collect();
    assert_eq!(weight, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0], "[in, out]");
}

#[test]
fn a_pickle_that_tries_to_run_a_command_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("was-here");
    let command = format!("touch {}", proof.display());
    // What Python's pickle would run on loading: os.system(command).
    let attack = [
        text("extra"),
        b"cposix\nsystem\n(".to_vec(),
        text(&command),
        b"tR".to_vec(),
    ]
    .concat();
    let path = torch_path(&folder, &linear_pickle(&attack));
    let mut layer = LinearConfig::new(3, 2).init(&Device::flex());
    let before = layer.weight.val().into_data();
    let result = load(&mut layer, &path, &Origin::default());
    println!("{result:?}");
    assert!(!proof.exists(), "the file's command was run");
    // Whether the reader refuses such a file or leaves the object out, it is never half read.
    if result.is_err() {
        assert_eq!(layer.weight.val().into_data(), before);
    }
    // The attack is one: Python's own pickle runs it.
    if let Ok(python) = std::process::Command::new("python3")
        .arg("-c")
        .arg("import pickle, sys; pickle.loads(sys.stdin.buffer.read())")
        .stdin(std::process::Stdio::piped())
        .spawn()
    {
        let mut python = python;
        let alone = [
            b"\x80\x02cposix\nsystem\n(".to_vec(),
            text(&command),
            b"tR.".to_vec(),
        ]
        .concat();
        python.stdin.take().unwrap().write_all(&alone).unwrap();
        python.wait().unwrap();
        assert!(
            proof.exists(),
            "the command would not have been run anywhere"
        );
    }
}

#[test]
fn a_damaged_pickle_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let whole = linear_pickle(b"");
    for cut in [3, whole.len() / 2, whole.len() - 1] {
        let path = torch_path(&folder, &whole[..cut]);
        assert!(
            matches!(Tensors::open(&path), Err(WeightsError::Read { .. })),
            "cut at {cut}"
        );
    }
    let path = folder.path().join("text.pt");
    fs::write(&path, "not a pickle").unwrap();
    assert!(matches!(
        Tensors::open(&path),
        Err(WeightsError::Read { .. })
    ));
}

/// Every byte of a small file, changed in three ways: what comes of it is tensors or an error.
#[test]
fn no_changed_byte_of_a_pickle_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(torch_path(&folder, &linear_pickle(b""))).unwrap();
    let path = folder.path().join("changed.pt");
    let mut refused = 0;
    for at in 0..whole.len() {
        for change in [0x00, 0xff, whole[at] ^ 1] {
            let mut bytes = whole.clone();
            bytes[at] = change;
            fs::write(&path, bytes).unwrap();
            let mut layer = LinearConfig::new(3, 2).init(&Device::flex());
            refused += usize::from(load(&mut layer, &path, &Origin::default()).is_err());
        }
    }
    println!("{refused} of {} files were refused", 3 * whole.len());
    assert!(
        refused > whole.len() / 4,
        "a check of sums or structure is missing"
    );
}
