//! Files of `torch.save` as people have them: archives of any inner name, containers beside the
//! weights, wrappers around them, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod torch_save;

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, TensorData};
use torch_save::{Py, count, dict, floats, save, save_old};
use zoo_weights::{Origin, Tensors, WeightsError, load, load_except};

/// `features.0`, `features.3`: what lies between has no weights.
#[derive(Module, Debug)]
struct Net {
    first: Linear,
    norm: BatchNorm,
    second: Linear,
}

fn net() -> Net {
    let device = Device::flex();
    Net {
        first: LinearConfig::new(3, 2).init(&device),
        norm: BatchNormConfig::new(2).init(&device),
        second: LinearConfig::new(2, 2).init(&device),
    }
}

fn origin() -> Origin {
    Origin::named(|ours| {
        let ours = ours
            .replace("first.", "features.0.")
            .replace("norm.", "features.1.");
        ours.replace("second.", "features.4.")
    })
}

fn values(net: &Net) -> Vec<TensorData> {
    let linear = |layer: &Linear| {
        let bias = layer.bias.as_ref().unwrap().val();
        [layer.weight.val().into_data(), bias.into_data()]
    };
    let norm = [
        net.norm.gamma.val().into_data(),
        net.norm.beta.val().into_data(),
        net.norm.running_mean.value().into_data(),
        net.norm.running_var.value().into_data(),
    ];
    [&linear(&net.first)[..], &linear(&net.second), &norm].concat()
}

/// The state dict of a net whose numbers begin at `from`.
fn weights(from: u8) -> Vec<(String, Py)> {
    let from = f32::from(from);
    let numbers = |shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        floats(
            shape,
            &(0..count)
                .map(|number| from + number as f32)
                .collect::<Vec<_>>(),
        )
    };
    let entries = [
        ("features.0.weight", numbers(&[2, 3])),
        ("features.0.bias", numbers(&[2])),
        ("features.1.weight", numbers(&[2])),
        ("features.1.bias", numbers(&[2])),
        ("features.1.running_mean", numbers(&[2])),
        ("features.1.running_var", numbers(&[2])),
        ("features.1.num_batches_tracked", count(3)),
        ("features.4.weight", numbers(&[2, 2])),
        ("features.4.bias", numbers(&[2])),
    ];
    entries.map(|(name, value)| (name.to_owned(), value)).into()
}

fn prefixed(prefix: &str, from: u8) -> Vec<(String, Py)> {
    let renamed = weights(from).into_iter();
    renamed
        .map(|(name, value)| (format!("{prefix}{name}"), value))
        .collect()
}

/// What a net of [`weights`] holds.
fn expected(from: u8) -> Vec<TensorData> {
    let f = f32::from(from);
    let row =
        |values: &[f32]| TensorData::new(values.iter().map(|v| v + f).collect(), [values.len()]);
    let square = |values: &[f32], shape| {
        TensorData::new(values.iter().map(|v| v + f).collect::<Vec<_>>(), shape)
    };
    let pair = row(&[0.0, 1.0]);
    vec![
        square(&[0.0, 3.0, 1.0, 4.0, 2.0, 5.0], [3, 2]),
        pair.clone(),
        square(&[0.0, 2.0, 1.0, 3.0], [2, 2]),
        pair.clone(),
        pair.clone(),
        pair.clone(),
        pair.clone(),
        pair,
    ]
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("model.pt")
    }

    fn save(&self, object: &Py) -> PathBuf {
        save(&self.path(), "archive", object);
        self.path()
    }
}

/// What loading says; the net has the weights that begin at `from`.
fn opens(path: &Path, from: u8) -> Option<String> {
    let mut net = net();
    let loaded = load_except(&mut net, path, &origin(), &|_| false);
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(values(&net), expected(from));
    loaded.note
}

fn refused(path: &Path) -> String {
    let mut net = net();
    let before = values(&net);
    let error = load(&mut net, path, &origin()).unwrap_err();
    assert_eq!(values(&net), before, "the model is as it was");
    error.to_string()
}

#[test]
fn indices_with_gaps_are_names_as_they_are() {
    let folder = Folder::new();
    let path = folder.save(&Py::Ordered(weights(0)));
    let tensors = Tensors::open(&path).unwrap();
    assert!(tensors.names().any(|name| name == "features.4.weight"));
    assert_eq!(opens(&path, 0), None);
    save_old(&path, &Py::Ordered(weights(0)));
    assert_eq!(opens(&path, 0), None);

    // In shards, each with a gap of its own.
    let (first, second) = (weights(0)[..3].to_vec(), weights(0)[3..].to_vec());
    let mut map = serde_json::Map::new();
    for (number, shard) in [first, second].into_iter().enumerate() {
        let name = format!("pytorch_model-{number}.bin");
        map.extend(
            shard
                .iter()
                .map(|(key, _)| (key.clone(), name.clone().into())),
        );
        save(&folder.0.path().join(name), "archive", &Py::Ordered(shard));
    }
    let index = folder.0.path().join("pytorch_model.bin.index.json");
    std::fs::write(&index, serde_json::json!({ "weight_map": map }).to_string()).unwrap();
    assert_eq!(opens(&index, 0), None);
}

#[test]
fn an_archive_opens_whatever_the_folder_in_it_is_called() {
    let folder = Folder::new();
    for length in 1..=70 {
        save(
            &folder.path(),
            &"x".repeat(length),
            &Py::Ordered(weights(1)),
        );
        let opened = Tensors::open(&folder.path());
        assert!(
            opened.is_ok(),
            "{length} letters: {}",
            opened.err().unwrap()
        );
        assert_eq!(opens(&folder.path(), 1), None, "{length} letters");
    }
}

#[test]
fn containers_and_objects_beside_the_weights_are_no_hindrance() {
    let folder = Folder::new();
    let list = || Py::List(vec![Py::Float(0.5), Py::None]);
    let named = |name: &str| vec![(name.to_owned(), list())];
    let deque = b"ccollections\ndeque\n](K\x01K\x02e\x85R".to_vec();
    let raw_deque = b"ccollections\ndeque\n)R(K\x01K\x02e".to_vec();
    let counter = b"ccollections\nCounter\n}X\x01\0\0\0aK\x02s\x85R".to_vec();
    let set = b"c__builtin__\nset\n](K\x01e\x85R".to_vec();
    let scalar = b"cnumpy.core.multiarray\nscalar\n(N)tR".to_vec();
    let own_dict = b"cmyproject.config\nConfig\n)\x81(X\x01\0\0\0aK\x02u".to_vec();
    let wide = b"\x8a\x09\0\0\0\0\0\0\0\0\x01".to_vec();
    let object = dict([
        ("state_dict", Py::Ordered(weights(2))),
        ("history", Py::Default(named("loss"))),
        ("nested", dict([("deeper", Py::Default(named("accuracy")))])),
        ("ordered", Py::Ordered(named("a"))),
        ("deque", Py::Raw(deque)),
        ("raw deque", Py::Raw(raw_deque)),
        ("counter", Py::Raw(counter)),
        ("set", Py::Raw(set)),
        ("scalar", Py::Raw(scalar)),
        ("config", Py::Raw(own_dict)),
        (
            "arguments",
            Py::Object("argparse", "Namespace", named("lr")),
        ),
        ("seed", Py::Raw(wide)),
        (
            "tuple keys",
            Py::Dict(vec![(Py::List(Vec::new()), list()), (Py::Int(3), list())]),
        ),
    ]);
    let note = opens(&folder.save(&object), 2).unwrap();
    assert!(note.contains("`state_dict.`"), "{note}");
    save_old(&folder.path(), &object);
    opens(&folder.path(), 2);
}

#[test]
fn a_whole_module_is_its_state_dict() {
    let table = |pairs: Vec<(&str, Py)>| dict(pairs);
    let layer = |pairs: &[(String, Py)], buffers: Vec<(String, Py)>| {
        let attributes = [
            ("training", Py::Raw(vec![0x88])),
            ("_parameters", dict(pairs.to_vec())),
            ("_buffers", dict(buffers)),
            ("_modules", table(Vec::new())),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
        Py::Object("torch.nn.modules.linear", "Linear", attributes.into())
    };
    let of = |start: &str, names: &[&str]| -> Vec<(String, Py)> {
        let all = weights(3).into_iter().filter_map(|(name, value)| {
            let rest = name.strip_prefix(start)?.to_owned();
            names.contains(&rest.as_str()).then_some((rest, value))
        });
        all.collect()
    };
    let both = ["weight", "bias"];
    let statistics = ["running_mean", "running_var", "num_batches_tracked"];
    let modules = vec![
        ("0", layer(&of("features.0.", &both), Vec::new())),
        (
            "1",
            layer(&of("features.1.", &both), of("features.1.", &statistics)),
        ),
        ("4", layer(&of("features.4.", &both), Vec::new())),
    ];
    let container = |modules: Py| {
        let attributes = [
            ("_parameters", table(Vec::new())),
            ("_buffers", table(Vec::new())),
            ("_modules", modules),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
        Py::Object("__main__", "Net", attributes.into())
    };
    let features = container(table(modules));
    let whole = container(dict([("features", features)]));
    let folder = Folder::new();
    assert_eq!(opens(&folder.save(&whole), 3), None);
    opens(
        &folder.save(&dict([("network", whole), ("epoch", Py::Int(3))])),
        3,
    );
}

#[test]
fn views_and_orders_of_numbers_are_read_as_torch_shows_them() {
    let folder = Folder::new();
    let mut entries = weights(0);
    let values: Vec<u8> = [9.0, 0.0, 2.0, 1.0, 3.0_f32]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    // `[[0, 1], [2, 3]]` as the transposed view of what comes second in a storage.
    entries[7].1 = Py::Tensor(torch_save::Tensor {
        storage: "FloatStorage",
        bytes: values,
        width: 4,
        start: 1,
        shape: vec![2, 2],
        strides: vec![1, 2],
        metadata: Vec::new(),
    });
    assert_eq!(opens(&folder.save(&Py::Ordered(entries.clone())), 0), None);
    save_old(&folder.path(), &Py::Ordered(entries));
    assert_eq!(opens(&folder.path(), 0), None);
}

#[test]
fn wrappers_are_taken_off_in_any_order_and_depth() {
    let folder = Folder::new();
    for prefix in [
        "module.",
        "_orig_mod.",
        "_orig_mod.module.",
        "module._orig_mod.",
        "module.module.",
        "model.",
        "net.",
        "backbone.",
        "model._orig_mod.module.",
        "_fsdp_wrapped_module.",
        "ema_model.module.",
        "whatever.it.is.called.",
    ] {
        let path = folder.save(&Py::Ordered(prefixed(prefix, 4)));
        let note = opens(&path, 4);
        let wraps = prefix
            .replace("_orig_mod.", "")
            .replace("_fsdp_wrapped_module.", "");
        match wraps.as_str() {
            "" => assert_eq!(note, None, "{prefix}"),
            wraps => assert!(note.unwrap().contains(&format!("`{wraps}`")), "{prefix}"),
        }
        // And so in safetensors, and in a folder of the hub.
        let mut net = net();
        load(&mut net, &path, &origin()).unwrap();
        let there = origin();
        let there = Origin::named(move |ours| format!("{prefix}{}", there.name(ours)));
        let hub = folder.0.path().join("hub");
        std::fs::create_dir_all(&hub).unwrap();
        zoo_weights::save(&net, &hub.join("model.safetensors"), &there).unwrap();
        assert_eq!(opens(&hub, 4).is_some(), !wraps.is_empty(), "{prefix}");
    }
    // Around a part of the network.
    for wrapper in ["_orig_mod", "_checkpoint_wrapped_module", "module"] {
        let entries = weights(4).into_iter().map(|(name, value)| {
            let name = name.replace("features.4", &format!("features.4.{wrapper}"));
            (name, value)
        });
        opens(&folder.save(&Py::Ordered(entries.collect())), 4);
    }
}

#[test]
fn checkpoints_of_trainers_open_and_what_is_left_out_is_said() {
    let folder = Folder::new();
    let optimizer = || {
        dict([(
            "state",
            Py::Dict(vec![(
                Py::Int(0),
                dict([("exp_avg", floats(&[2, 3], &[0.5; 6]))]),
            )]),
        )])
    };
    let average = |from| Py::Ordered(weights(from));
    let lightning = [
        prefixed("model.", 5),
        vec![("criterion.weight".to_owned(), floats(&[2], &[1.0; 2]))],
    ]
    .concat();
    let cases = [
        dict([("model", average(5)), ("optimizer", optimizer())]),
        dict([
            ("model_state_dict", average(5)),
            ("optimizer_state_dict", optimizer()),
        ]),
        dict([
            ("my_network", average(5)),
            ("optimizer", optimizer()),
            ("step", Py::Int(7)),
        ]),
        dict([
            ("state_dict", Py::Ordered(prefixed("module.", 5))),
            ("optimizer", optimizer()),
        ]),
        dict([
            ("state_dict", Py::Ordered(lightning)),
            ("optimizer_states", Py::List(vec![optimizer()])),
        ]),
        // Of several networks, the one that its trainer calls the model.
        dict([
            ("model", average(5)),
            ("model_ema", average(6)),
            ("optimizer", optimizer()),
        ]),
        dict([("state_dict", average(5)), ("state_dict_ema", average(6))]),
        // `torch.optim.swa_utils.AveragedModel`
        Py::Ordered(
            [
                prefixed("module.", 5),
                vec![("n_averaged".to_owned(), count(9))],
            ]
            .concat(),
        ),
    ];
    for (number, case) in cases.iter().enumerate() {
        let note = opens(&folder.save(case), 5).unwrap();
        let more = note.contains("left out: ");
        assert!(
            note.contains("read below `") && (more || number == 3),
            "{number}: {note}"
        );
    }
}

#[test]
fn several_networks_of_the_same_names_are_refused_with_what_they_are_called() {
    let folder = Folder::new();
    let network = |from| Py::Ordered(weights(from));
    for (case, names) in [
        (
            dict([("teacher", network(1)), ("student", network(2))]),
            ["teacher.", "student."],
        ),
        (
            dict([("net", network(1)), ("ema", network(2))]),
            ["net.", "ema."],
        ),
        (
            Py::Ordered([prefixed("online_model.", 1), prefixed("ema_model.", 2)].concat()),
            ["online_model.", "ema_model."],
        ),
    ] {
        let error = refused(&folder.save(&case));
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
        assert!(error.contains("2 networks"), "{error}");
    }
}

#[test]
fn a_part_of_another_network_is_not_taken_for_the_whole() {
    let folder = Folder::new();
    let other = (0..12).map(|number| (format!("decoder.{number}.weight"), floats(&[2], &[1.0; 2])));
    let path = folder.save(&Py::Ordered(
        [prefixed("encoder.", 1), other.collect()].concat(),
    ));
    let error = refused(&path);
    assert!(
        error.contains("below `encoder.` would fit, but 12 others"),
        "{error}"
    );
    assert!(error.contains("missing features.0.weight"), "{error}");
}

#[test]
fn ten_of_each_sort_are_listed_and_the_rest_is_counted() {
    let folder = Folder::new();
    let other =
        (0..37).map(|number| (format!("other.{number:02}.weight"), floats(&[2], &[1.0; 2])));
    let error = refused(&folder.save(&Py::Ordered(other.collect())));
    assert_eq!(error.matches("unexpected other.").count(), 10, "{error}");
    assert!(error.contains("and 27 more unexpected"), "{error}");
    assert_eq!(
        error.matches("missing features").count(),
        8,
        "all of them: {error}"
    );
    assert!(
        !error.contains("more missing") && error.len() < 1500,
        "{error}"
    );

    #[derive(Module, Debug)]
    struct Deep {
        layers: Vec<Linear>,
    }
    let device = Device::flex();
    let mut deep = Deep {
        layers: (0..15)
            .map(|_| LinearConfig::new(2, 2).init(&device))
            .collect(),
    };
    let shapes = (0..15).flat_map(|number| {
        let name = |what: &str| format!("layers.{number}.{what}");
        [
            (name("weight"), floats(&[3, 3], &[1.0; 9])),
            (name("bias"), floats(&[3], &[1.0; 3])),
        ]
    });
    let path = folder.save(&Py::Ordered(shapes.collect()));
    let error = load(&mut deep, &path, &Origin::default())
        .unwrap_err()
        .to_string();
    assert_eq!(error.matches("expected [").count(), 10, "{error}");
    assert!(error.contains("and 20 more of another shape"), "{error}");
}

#[test]
fn tensors_that_are_not_read_are_named_where_they_are_needed() {
    let folder = Folder::new();
    let complex = || {
        Py::Tensor(torch_save::Tensor {
            storage: "ComplexFloatStorage",
            bytes: vec![0; 16],
            width: 8,
            start: 0,
            shape: vec![2],
            strides: vec![1],
            metadata: Vec::new(),
        })
    };
    let mut entries = weights(7);
    entries.push(("freqs_cis".to_owned(), complex()));
    let path = folder.save(&Py::Ordered(entries.clone()));
    let ignoring = origin().with_ignored(&["freqs_cis"]);
    load(&mut net(), &path, &ignoring).unwrap();
    assert!(refused(&path).contains("unexpected freqs_cis"));

    entries.pop();
    entries[1].1 = complex();
    let error = refused(&folder.save(&Py::Ordered(entries)));
    assert!(
        error.contains("features.0.bias") && error.contains("ComplexFloatStorage"),
        "{error}"
    );

    let mut expanded = weights(7);
    expanded[1].1 = Py::Tensor(torch_save::Tensor {
        storage: "FloatStorage",
        bytes: vec![0; 4],
        width: 4,
        start: 0,
        shape: vec![2],
        strides: vec![0],
        metadata: Vec::new(),
    });
    let error = refused(&folder.save(&Py::Ordered(expanded)));
    assert!(error.contains("more than once"), "{error}");
}

/// A view of the first and the last number of a storage of `count`.
fn spread(count: usize) -> Py {
    let mut bytes = vec![0; 4 * count];
    bytes[4 * count - 4..].copy_from_slice(&1.0_f32.to_le_bytes());
    Py::Tensor(torch_save::Tensor {
        storage: "FloatStorage",
        bytes,
        width: 4,
        start: 0,
        shape: vec![2],
        strides: vec![count - 1],
        metadata: Vec::new(),
    })
}

/// A column of a matrix, as `m[:, 0]` leaves it, costs no more than the file.
#[test]
fn a_view_that_is_spread_over_its_file_is_read() {
    let folder = Folder::new();
    let mut entries = weights(0);
    entries[1].1 = spread(300_000);
    assert_eq!(opens(&folder.save(&Py::Ordered(entries.clone())), 0), None);
    save_old(&folder.path(), &Py::Ordered(entries));
    assert_eq!(opens(&folder.path(), 0), None);
}

#[test]
fn a_mask_is_said_to_be_of_bool() {
    let folder = Folder::new();
    let mut entries = weights(0);
    entries[1].1 = Py::Tensor(torch_save::Tensor {
        storage: "BoolStorage",
        bytes: vec![1, 0],
        width: 1,
        start: 0,
        shape: vec![2],
        strides: vec![1],
        metadata: Vec::new(),
    });
    let error = refused(&folder.save(&Py::Ordered(entries)));
    assert!(
        error.contains("features.0.bias is stored as bool, not"),
        "{error}"
    );
}

/// What has no tensor in it is passed over, whatever it is; and of circles, every tensor is met once.
#[test]
fn values_of_any_depth_beside_the_weights_are_no_hindrance() {
    let folder = Folder::new();
    let deep = |inner: Py| (0..80).fold(inner, |inner, _| dict([("x", inner)]));
    let keyed = |key: &str| [&b"X"[..], &(key.len() as u32).to_le_bytes(), key.as_bytes()].concat();
    let circle = [b"}q\x63".to_vec(), keyed("self"), b"h\x63s".to_vec()].concat();
    // A tree whose nodes know what holds them, as OmegaConf's do.
    let node = |key: u8| {
        [
            keyed(&key.to_string()),
            b"}".to_vec(),
            keyed("parent"),
            b"h\x63s".to_vec(),
        ]
        .concat()
    };
    let nodes: Vec<u8> = (0..50).flat_map(node).collect();
    let tree = [&b"}q\x63("[..], &keyed("root"), b"h\x63", &nodes, b"u"].concat();
    let own = floats(&[2], &[1.0, 2.0]);
    let around = dict([("circle", Py::Raw(circle.clone())), ("own", own.clone())]);
    // A list that holds itself twice.
    let held = Py::Raw(b"]q\x63(h\x63h\x63e".to_vec());
    for (name, beside) in [
        ("deep", deep(Py::Int(1))),
        ("a deep tensor", deep(own.clone())),
        ("a circle", Py::Raw(circle)),
        ("a tree", Py::Raw(tree)),
        ("a circle beside a tensor", around),
        ("a list in itself", held),
        ("a long key", dict([("k".repeat(2_000), Py::Int(1))])),
        ("a long key of a tensor", dict([("k".repeat(2_000), own)])),
    ] {
        let object = dict([("state_dict", Py::Ordered(weights(2))), ("cfg", beside)]);
        save_old(&folder.path(), &object);
        println!("{name}");
        opens(&folder.path(), 2);
        opens(&folder.save(&object), 2);
    }
    // Among the weights, nothing is passed over in silence.
    for extra in [
        ("k".repeat(2_000), floats(&[1], &[0.0])),
        ("deep".into(), deep(count(1))),
    ] {
        let mut entries = weights(2);
        entries.push(extra);
        let error = refused(&folder.save(&Py::Ordered(entries)));
        assert!(error.contains("unexpected"), "{error}");
    }
}

#[test]
fn a_copy_that_differs_from_its_original_is_refused() {
    let folder = Folder::new();
    let tied = || origin().with_tied(&[("head.weight", "features.4.weight")]);
    let with_head = |values: &[f32]| {
        let head = ("head.weight".to_owned(), floats(&[2, 2], values));
        Py::Ordered([weights(0), vec![head]].concat())
    };
    load(
        &mut net(),
        &folder.save(&with_head(&[0.0, 1.0, 2.0, 3.0])),
        &tied(),
    )
    .unwrap();
    let path = folder.save(&with_head(&[0.0, 1.0, 2.0, 4.0]));
    let error = load(&mut net(), &path, &tied()).unwrap_err().to_string();
    assert!(
        error.contains("head.weight differs from features.4.weight"),
        "{error}"
    );
}

#[test]
fn layouts_that_cannot_be_told_apart_are_not_guessed() {
    let folder = Folder::new();
    #[derive(Module, Debug)]
    struct Square {
        first: Linear,
    }
    let mut square = Square {
        first: LinearConfig::new(2, 2).init(&Device::flex()),
    };
    let either = || {
        Origin::default()
            .with_conv1d(&["first.weight"])
            .or(Origin::default())
    };
    let entries = [
        ("first.weight", floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0])),
        ("first.bias", floats(&[2], &[0.0; 2])),
    ];
    let path = folder.save(&dict(entries));
    let error = load(&mut square, &path, &either()).unwrap_err().to_string();
    assert!(error.contains("two layouts"), "{error}");
}

#[test]
fn what_a_file_says_of_its_model_is_held_against_ours() {
    let folder = Folder::new();
    let checkpoint = |heads| {
        let arguments = dict([("n_head", Py::Int(heads)), ("n_layer", Py::Int(4))]);
        dict([
            ("model", Py::Ordered(weights(0))),
            ("model_args", arguments),
        ])
    };
    let heads = || origin().with_facts(vec![("n_head", "2".to_owned())]);
    load(&mut net(), &folder.save(&checkpoint(2)), &heads()).unwrap();
    let error = load(&mut net(), &folder.save(&checkpoint(4)), &heads())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("model_args.n_head is 4, expected 2"),
        "{error}"
    );
}

#[test]
fn a_new_head_keeps_its_values_below_a_prefix_too() {
    let folder = Folder::new();
    let mut entries = prefixed("module.", 8);
    entries[7].1 = floats(&[5, 2], &[1.0; 10]);
    entries[8].1 = floats(&[5], &[1.0; 5]);
    let mut net = net();
    let head = net.second.weight.val().into_data();
    let path = folder.save(&Py::Ordered(entries));
    let loaded = load_except(&mut net, &path, &origin(), &|name| {
        name.starts_with("second.")
    })
    .unwrap();
    assert_eq!(loaded.kept, ["second.weight", "second.bias"]);
    assert_eq!(net.second.weight.val().into_data(), head);
    assert_eq!(values(&net)[0], expected(8)[0]);
}

#[test]
fn other_files_are_told_by_how_they_begin() {
    let folder = Folder::new();
    for (bytes, said) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid"[..],
            "Git LFS",
        ),
        (b"<html><body>not found", "neither safetensors nor"),
        (b"GGUF\x03\0\0\0", "neither safetensors nor"),
        (b"\x80\x04N.", "without tensors"),
        (b"PK\x03\x04 and nothing more", "not a whole archive"),
        (b"", "neither safetensors nor"),
    ] {
        std::fs::write(folder.path(), bytes).unwrap();
        let error = Tensors::open(&folder.path()).err().unwrap();
        assert!(matches!(error, WeightsError::Read { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    // Safetensors by another name, and a file of torch.save by an unusual one.
    let safe = folder.0.path().join("model.bin");
    zoo_weights::save(&net(), &safe, &origin()).unwrap();
    load(&mut net(), &safe, &origin()).unwrap();
    let best = folder.0.path().join("model_best.pth.tar");
    save(&best, "archive", &Py::Ordered(weights(9)));
    opens(&best, 9);
}

/// A few hundred bytes that would fill the memory, the stack or a day.
#[test]
fn values_that_hold_each_other_end_the_reading() {
    let folder = Folder::new();
    let doubled = [&b"]q\0"[..], &b"0(h\0h\0lq\0".repeat(60)].concat();
    let deep = [&b"]"[..], &b"\x85".repeat(100_000)].concat();
    let itself = b"}q\0X\x01\0\0\0ah\0s".to_vec();
    let copied = [
        &b"]q\0("[..],
        &b"N".repeat(5000),
        b"ec__builtin__\nlist\nq\x01",
        &b"0h\x01h\0\x85R".repeat(5000),
    ]
    .concat();
    for bomb in [doubled, deep, itself, copied] {
        let object = dict([
            ("state_dict", Py::Ordered(weights(1))),
            ("bomb", Py::Raw(bomb)),
        ]);
        let began = std::time::Instant::now();
        let opened = Tensors::open(&folder.save(&object));
        println!("{:?}", opened.err().map(|error| error.to_string()));
        assert!(began.elapsed().as_secs() < 5);
    }
}

/// Histories, vocabularies and indices can be most of a file, and are within its budget.
#[test]
fn what_people_keep_beside_weights_is_no_bomb() {
    let folder = Folder::new();
    let words = (0..20_000).map(|number| (format!("w{number}"), Py::Int(number)));
    let short = (0..20_000_u32).flat_map(|number| [&[0x8c, 4][..], &number.to_le_bytes()].concat());
    let list = |items: Vec<u8>| Py::Raw([&b"]("[..], &items, b"e"].concat());
    let object = dict([
        ("state_dict", Py::Ordered(weights(1))),
        ("vocabulary", dict(words)),
        (
            "losses",
            Py::List((0..50_000).map(|n| Py::Float(n.into())).collect()),
        ),
        ("indices", list(b"M\x01\x02".repeat(50_000))),
        ("bytes", list(b"K\x07".repeat(50_000))),
        ("words", list(short.collect())),
    ]);
    opens(&folder.save(&object), 1).unwrap();
}

/// Every member of an archive, written again.
fn rewritten(path: &Path, how: zip::CompressionMethod) {
    use std::io::{Cursor, Read, Write};
    let bytes = std::fs::read(path).unwrap();
    let mut old = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut new = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(how);
    for number in 0..old.len() {
        let mut member = old.by_index(number).unwrap();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        let name = member.name().unwrap().to_string();
        new.start_file(name, options).unwrap();
        new.write_all(&bytes).unwrap();
    }
    new.finish().unwrap();
}

#[test]
fn an_archive_that_someone_compressed_opens() {
    let folder = Folder::new();
    let path = folder.save(&Py::Ordered(weights(2)));
    for how in [
        zip::CompressionMethod::Deflated,
        zip::CompressionMethod::Stored,
    ] {
        rewritten(&path, how);
        assert_eq!(opens(&path, 2), None, "{how:?}");
    }
}

#[test]
fn a_damaged_number_is_found_by_its_sum() {
    let folder = Folder::new();
    let path = folder.save(&Py::Ordered(weights(2)));
    let whole = std::fs::read(&path).unwrap();
    let second: Vec<u8> = [2.0_f32, 3.0, 4.0, 5.0, 6.0, 7.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let at = whole
        .windows(second.len())
        .position(|part| part == second)
        .unwrap();
    let mut damaged = whole.clone();
    damaged[at + 3] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let error = refused(&path);
    assert!(
        error.contains("features.0.weight") && error.contains("checksum"),
        "{error}"
    );

    // `torch.serialization.set_crc32_options(False)` writes 0 for every sum.
    let mut without = whole;
    let entries: Vec<usize> = (without.windows(4).enumerate())
        .filter(|(_, part)| part == b"PK\x01\x02")
        .map(|(at, _)| at)
        .collect();
    for at in entries {
        without[at + 16..at + 20].fill(0);
    }
    std::fs::write(&path, &without).unwrap();
    assert_eq!(opens(&path, 2), None);
}

#[test]
fn sides_of_nothing_and_sides_beyond_all_numbers_are_no_panic() {
    let folder = Folder::new();
    let huge = i32::MAX as usize;
    for shape in [
        vec![0, huge, huge, huge],
        vec![huge, huge, huge, 0],
        vec![huge; 4],
    ] {
        let tensor = Py::Tensor(torch_save::Tensor {
            storage: "FloatStorage",
            bytes: Vec::new(),
            width: 4,
            start: 0,
            strides: vec![huge; shape.len()],
            shape,
            metadata: Vec::new(),
        });
        let entries = [weights(2), vec![("more".to_owned(), tensor)]].concat();
        refused(&folder.save(&Py::Ordered(entries)));
    }
}

#[test]
fn numbers_of_safetensors_that_are_not_read_matter_only_where_they_are_needed() {
    use safetensors::tensor::{Dtype, TensorView};
    let folder = Folder::new();
    let path = folder.0.path().join("model.safetensors");
    let bytes = [0; 8];
    let weight = |dtype: Dtype| {
        let view = TensorView::new(dtype, vec![2, 1], &bytes[..2 * dtype.bitsize() / 8]);
        ("weight", view.unwrap())
    };
    let scale = ("scale", weight(Dtype::F8_E4M3).1);
    let mut layer = LinearConfig::new(1, 2)
        .with_bias(false)
        .init(&Device::flex());
    let write = |all: Vec<(&str, TensorView<'_>)>| {
        std::fs::write(&path, safetensors::serialize(all, None).unwrap()).unwrap();
    };
    let ignoring = Origin::default().with_ignored(&["scale"]);
    write(vec![weight(Dtype::F32), scale]);
    load(&mut layer, &path, &ignoring).unwrap();
    write(vec![weight(Dtype::F8_E4M3)]);
    let error = load(&mut layer, &path, &ignoring).unwrap_err().to_string();
    assert!(error.contains("weight is stored as"), "{error}");
    assert!(error.contains("F8_E4M3"), "{error}");
}

/// `torch._neg_view(v.neg())`, and the imaginary part of a conjugate.
#[test]
fn the_neg_bit_turns_the_sign_and_other_marks_are_refused_by_name() {
    let folder = Folder::new();
    let with_bias = |bias: Py| {
        let mut entries = weights(2);
        entries[1].1 = bias;
        Py::Ordered(entries)
    };
    let negated = || torch_save::marked(&[-2.0, -3.0], &[("neg", true)]);
    assert_eq!(opens(&folder.save(&with_bias(negated())), 2), None);
    save_old(&folder.path(), &with_bias(negated()));
    assert_eq!(opens(&folder.path(), 2), None);

    // A parameter that was made of such a view, in a dictionary of parameters.
    let parameter = |tensor| {
        let arguments = vec![tensor, Py::Raw(vec![0x88]), Py::Ordered(Vec::new())];
        Py::Call("torch._utils", "_rebuild_parameter", arguments)
    };
    assert_eq!(
        opens(&folder.save(&with_bias(parameter(negated()))), 2),
        None
    );

    // PyTorch takes a bit that is named as set.
    let named = torch_save::marked(&[-2.0, -3.0], &[("neg", false)]);
    assert_eq!(opens(&folder.save(&with_bias(named)), 2), None);
    let unset = torch_save::marked(&[2.0, 3.0], &[("mirrored", false)]);
    assert_eq!(opens(&folder.save(&with_bias(unset)), 2), None);
    for mark in ["conj", "mirrored"] {
        let bias = torch_save::marked(&[2.0, 3.0], &[("neg", true), (mark, true)]);
        let error = refused(&folder.save(&with_bias(bias)));
        let said = format!("features.0.bias is stored as numbers that are marked {mark}");
        assert!(error.contains(&said), "{error}");
    }
    let mut integers = negated();
    let Py::Tensor(tensor) = &mut integers else {
        unreachable!()
    };
    tensor.storage = "IntStorage";
    let error = refused(&folder.save(&with_bias(integers)));
    assert!(
        error.contains("features.0.bias is stored as integers"),
        "{error}"
    );
}

/// The arguments of `_rebuild_tensor_v2`: the two numbers of a storage, and what is behind the hooks.
fn arguments(key: u8, metadata: &[u8]) -> Vec<u8> {
    let storage = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0";
    let shape = b"X\x03\0\0\0cpuK\x02tQK\0K\x02\x85K\x01\x85\x89N";
    [&storage[..], &[key], shape, metadata, b"t"].concat()
}

/// A tensor of an older storage, as Python has it where tensors are views of one storage.
fn view(key: u8, metadata: &[u8]) -> Py {
    let call = b"ctorch._utils\n_rebuild_tensor_v2\n";
    Py::Raw([&call[..], &arguments(key, metadata), b"R"].concat())
}

#[test]
fn a_negated_copy_is_no_copy() {
    let folder = Folder::new();
    let tied = origin().with_tied(&[("head.bias", "features.4.bias")]);
    // `features.4.bias` is the last of nine storages.
    let with_head = |metadata: &[u8]| {
        let head = ("head.bias".to_owned(), view(b'8', metadata));
        Py::Ordered([weights(0), vec![head]].concat())
    };
    load(&mut net(), &folder.save(&with_head(b"N")), &tied).unwrap();
    let negated = folder.save(&with_head(b"}X\x03\0\0\0neg\x88s"));
    let error = load(&mut net(), &negated, &tied).unwrap_err().to_string();
    assert!(error.contains("head.bias differs"), "{error}");
}

/// `torch._utils._rebuild_…` whose arguments change what the storage holds.
#[test]
fn what_else_makes_the_values_of_a_tensor_is_refused_by_name() {
    let folder = Folder::new();
    let values = || floats(&[2], &[2.0, 3.0]);
    let with_state = |state| {
        let arguments = vec![values(), Py::Raw(vec![0x88]), Py::None, state];
        Py::Call("torch._utils", "_rebuild_parameter_with_state", arguments)
    };
    let of_class = |module, function, metadata: &[u8], state| {
        let class = Py::Global("my.tensors", "Scaled");
        // The storage is that of `features.1.weight`, which holds the same.
        let inner = Py::Raw(arguments(b'1', metadata));
        let arguments = vec![Py::Global(module, function), class, inner, state];
        Py::Call("torch._tensor", "_rebuild_from_type_v2", arguments)
    };
    let with_bias = |bias: Py| {
        let mut entries = weights(2);
        entries[1].1 = bias;
        Py::Ordered(entries)
    };
    let plain = || dict([("tag", Py::Text("a".into())), ("rank", Py::Int(3))]);
    let slots = |state| Py::Call("builtins", "tuple", vec![Py::List(vec![Py::None, state])]);
    let (utils, v2) = ("torch._utils", "_rebuild_tensor_v2");
    let neg = b"}X\x03\0\0\0neg\x88s";

    // Attributes that change nothing.
    for bias in [
        with_state(plain()),
        with_state(dict([("main_grad", values())])),
        of_class(utils, v2, b"N", plain()),
        of_class(utils, v2, b"N", Py::None),
    ] {
        assert_eq!(opens(&folder.save(&with_bias(bias)), 2), None);
    }
    // The bit counts within a tensor of a class, too.
    let mut entries = weights(2);
    entries[1].1 = of_class(utils, v2, neg, Py::None);
    entries[2].1 = floats(&[2], &[-2.0, -3.0]);
    let tensors = Tensors::open(&folder.save(&Py::Ordered(entries))).unwrap();
    let bias = tensors.get("features.0.bias").unwrap();
    assert_eq!(bias.as_slice::<f32>().unwrap(), [2.0, 3.0]);

    let scaled = |key: &str, value| dict([(key, value)]);
    for (bias, said) in [
        (
            with_state(scaled("data", values())),
            "a parameter whose state has data",
        ),
        (
            of_class(utils, v2, b"N", scaled("scale", Py::Float(0.5))),
            "a tensor of a class with numbers of its own",
        ),
        (
            of_class(utils, v2, b"N", scaled("scale", values())),
            "a tensor of a class with numbers of its own",
        ),
        (
            of_class(utils, v2, b"N", slots(scaled("scale", values()))),
            "a tensor of a class with numbers of its own",
        ),
        (
            of_class(utils, v2, b"N", Py::Text("of its own".into())),
            "a tensor of a class with numbers of its own",
        ),
        (
            of_class("mine", v2, b"N", Py::None),
            "a tensor that is not PyTorch's own",
        ),
        (
            of_class(utils, "_rebuild_wrapper_subclass", b"N", Py::None),
            "_rebuild_wrapper_subclass",
        ),
        (
            Py::Call(
                utils,
                "_rebuild_device_tensor_from_cpu_tensor",
                vec![values(), Py::Global("torch", "int8")],
            ),
            "_rebuild_device_tensor_from_cpu_tensor",
        ),
        (
            Py::Built(Box::new(values()), vec![("scale".into(), Py::Float(0.5))]),
            "a tensor with a state of its own",
        ),
        (
            view(b'1', b"NN"),
            "numbers with arguments that are not known",
        ),
        (
            view(b'1', b"K\x01"),
            "numbers with metadata of an unknown kind",
        ),
    ] {
        let error = refused(&folder.save(&with_bias(bias)));
        let said = format!("features.0.bias is stored as {said}");
        assert!(
            error.replace("torch._utils.", "").contains(&said),
            "{said}: {error}"
        );
    }
}

/// `{"a.b": …, "a": {"b": …}}`, and numbers beside text.
#[test]
fn two_tensors_of_one_name_are_refused() {
    let folder = Folder::new();
    let mut entries = weights(2);
    let more = dict([("bias", floats(&[2], &[7.0, 7.0]))]);
    entries.push(("features.0".into(), more));
    let error = refused(&folder.save(&Py::Ordered(entries)));
    assert!(
        error.contains("features.0.bias is stored as two tensors of one name"),
        "{error}"
    );
}

/// Tensors that are views of one storage are parts of one member.
#[test]
fn a_damaged_number_is_found_where_parts_of_a_member_are_read() {
    let folder = Folder::new();
    let part = |start: usize| {
        let values = [9.0, 2.0, 3.0, 8.0_f32];
        Py::Tensor(torch_save::Tensor {
            storage: "FloatStorage",
            bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            width: 4,
            start,
            shape: vec![2],
            strides: vec![1],
            metadata: Vec::new(),
        })
    };
    let mut entries = weights(2);
    entries[1].1 = part(1);
    let path = folder.save(&Py::Ordered(entries));
    let whole = std::fs::read(&path).unwrap();
    // In the part that is read, and beside it: the sum is of all.
    let marker: Vec<u8> = [9.0, 2.0, 3.0, 8.0_f32]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let mut at = whole.windows(16).enumerate();
    let at = at.find(|(_, part)| *part == marker).unwrap().0;
    for number in 0..4 {
        for how in [None, Some(zip::CompressionMethod::Stored)] {
            std::fs::write(&path, &whole).unwrap();
            let mut bytes = whole.clone();
            let mut at = at;
            if let Some(how) = how {
                rewritten(&path, how);
                assert_eq!(opens(&path, 2), None);
                bytes = std::fs::read(&path).unwrap();
                let mut found = bytes.windows(16).enumerate();
                at = found.find(|(_, part)| *part == marker).unwrap().0;
            }
            bytes[at + 4 * number + 2] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let error = refused(&path);
            assert!(
                error.contains("features.0.bias") && error.contains("checksum"),
                "{number}: {error}"
            );
            // Asked again, it is no better.
            let tensors = Tensors::open(&path).unwrap();
            assert!((0..2).all(|_| tensors.get("features.0.bias").is_err()));
        }
    }
    // All parts of a sound member, in whatever order.
    for how in [
        zip::CompressionMethod::Deflated,
        zip::CompressionMethod::Stored,
    ] {
        std::fs::write(&path, &whole).unwrap();
        rewritten(&path, how);
        let tensors = Tensors::open(&path).unwrap();
        for _ in 0..3 {
            let bias = tensors.get("features.0.bias").unwrap();
            assert_eq!(bias.as_slice::<f32>().unwrap(), [2.0, 3.0]);
        }
    }
}

/// Before PyTorch 1.6 the class of a module lay outside of the pickle, with its source.
#[test]
fn a_whole_module_of_an_old_file_opens() {
    let folder = Folder::new();
    let class = |module, name: &'static str| {
        Py::Persistent(vec![
            Py::Text("module".into()),
            Py::Global(module, name),
            Py::Text("net.py".into()),
            Py::Text("class Net(nn.Module):\n    pass\n".into()),
        ])
    };
    let module = |class, parameters, buffers, modules| {
        let attributes = [
            ("_parameters".to_owned(), dict::<String>(parameters)),
            ("_buffers".to_owned(), dict::<String>(buffers)),
            ("_modules".to_owned(), dict::<String>(modules)),
        ];
        Py::Built(Box::new(Py::Made(Box::new(class))), attributes.into())
    };
    let below = |start: &str, is_buffer: bool| -> Vec<(String, Py)> {
        let all = weights(3).into_iter();
        let named = all.filter_map(|(name, value)| {
            let rest = name.strip_prefix(start)?.to_owned();
            let buffer = rest.starts_with("running") || rest.starts_with("num");
            (buffer == is_buffer).then_some((rest, value))
        });
        named.collect()
    };
    let layers = ["0", "1", "4"].map(|number| {
        let start = format!("features.{number}.");
        // A class that was written before is named as any other.
        let class = match number {
            "4" => Py::Global("torch.nn.modules.linear", "Linear"),
            _ => class("torch.nn.modules", "Layer"),
        };
        let layer = module(class, below(&start, false), below(&start, true), Vec::new());
        (number.to_owned(), layer)
    });
    let features = module(
        class("torch.nn", "Sequential"),
        vec![],
        vec![],
        layers.into(),
    );
    let whole = || {
        let modules = vec![("features".to_owned(), features.clone())];
        module(class("__main__", "Net"), vec![], vec![], modules)
    };
    save_old(&folder.path(), &whole());
    assert_eq!(opens(&folder.path(), 3), None);
    save_old(&folder.path(), &dict([("model", whole())]));
    opens(&folder.path(), 3);
}

/// `torch.save(…, pickle_protocol=0)`, which PyTorch itself does not read back, and 1, which it does.
#[test]
fn the_first_protocols_of_pickles_are_read_or_named() {
    let folder = Folder::new();
    let magic = b"L119547037146038801333356L\n.I1001\n.}.";
    let names = b"X\x06\0\0\0weight";
    let tensor = [
        &b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"[..],
        b"X\x01\0\0\0\x30X\x03\0\0\0cpuK\x02tQK\0(K\x02t(K\x01tI00\nccollections\nOrderedDict\n)RtR",
    ]
    .concat();
    let numbers: Vec<u8> = [2.0, 3.0_f32]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let file = [
        &magic[..],
        b"}(",
        names,
        &tensor,
        b"u.](X\x01\0\0\0\x30e.",
        &2_u64.to_le_bytes(),
        &numbers,
    ]
    .concat();
    std::fs::write(folder.path(), file).unwrap();
    let tensors = Tensors::open(&folder.path()).unwrap();
    let weight = tensors.get("weight").unwrap();
    assert_eq!(weight.as_slice::<f32>().unwrap(), [2.0, 3.0]);

    let text = b"(dp0\nVweight\nctorch._utils\n_rebuild_tensor_v2\n(P('storage', \
                 <class 'torch.FloatStorage'>, '0', 'cpu', 2)\nI0\n(I2\nt(I1\ntI00\nNtRs.";
    std::fs::write(folder.path(), [&magic[..], text].concat()).unwrap();
    let old = Tensors::open(&folder.path()).err().unwrap().to_string();
    let archive = folder.save(&Py::Raw(text[..text.len() - 1].to_vec()));
    let new = Tensors::open(&archive).err().unwrap().to_string();
    for error in [old, new] {
        assert!(error.contains("pickle_protocol=0"), "{error}");
        assert!(error.contains("1 to 5"), "{error}");
    }
}

fn shards(
    folder: &Folder,
    extension: &str,
    shards: &[&[(&str, f32)]],
    listed: &[(&str, usize)],
) -> PathBuf {
    let name = |number: usize| format!("model-{number}.{extension}");
    for (number, shard) in shards.iter().enumerate() {
        let path = folder.0.path().join(name(number));
        if extension == "bin" {
            let entries = shard
                .iter()
                .map(|(name, value)| (*name, floats(&[1], &[*value])));
            save(&path, "archive", &dict(entries));
            continue;
        }
        let bytes: Vec<_> = shard.iter().map(|(_, value)| value.to_le_bytes()).collect();
        let views = shard.iter().zip(&bytes).map(|((name, _), bytes)| {
            let dtype = safetensors::Dtype::F32;
            let view = safetensors::tensor::TensorView::new(dtype, vec![1], bytes);
            (*name, view.unwrap())
        });
        safetensors::serialize_to_file(views, None, &path).unwrap();
    }
    let map = listed
        .iter()
        .map(|(key, number)| ((*key).to_owned(), name(*number).into()));
    let map: serde_json::Map<_, _> = map.collect();
    let index = folder
        .0
        .path()
        .join(format!("model.{extension}.index.json"));
    std::fs::write(&index, serde_json::json!({ "weight_map": map }).to_string()).unwrap();
    index
}

#[test]
fn a_tensor_in_two_shards_is_the_one_that_the_index_lists() {
    for extension in ["safetensors", "bin"] {
        let folder = Folder::new();
        let both: [&[(&str, f32)]; 2] = [
            &[("a", 1.0), ("c", 3.0), ("d", 4.0)],
            &[("b", 2.0), ("c", 5.0)],
        ];
        let value = |index: &Path, name: &str| {
            let tensors = Tensors::open(index).unwrap();
            tensors.get(name).unwrap().as_slice::<f32>().unwrap()[0]
        };
        for (listed, expected) in [(0, 3.0), (1, 5.0)] {
            let listed = [("a", 0), ("b", 1), ("c", listed)];
            let index = shards(&folder, extension, &both, &listed);
            assert_eq!(value(&index, "c"), expected);
            assert_eq!(value(&index, "d"), 4.0, "unlisted, in one shard");
        }
        let index = shards(&folder, extension, &both, &[("a", 0), ("b", 1)]);
        let error = Tensors::open(&index).err().unwrap().to_string();
        let (one, other) = (
            format!("model-0.{extension}"),
            format!("model-1.{extension}"),
        );
        assert!(
            [" c ", &one, &other]
                .iter()
                .all(|part| error.contains(part)),
            "{error}"
        );
    }
}
