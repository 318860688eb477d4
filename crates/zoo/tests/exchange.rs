//! Folders of the Hugging Face hub: opened as they are, imported, exported, and gone on from.
//!
//! The folders are made here, of tiny configurations with random weights.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;
#[cfg(unix)]
#[path = "exchange/links.rs"]
mod links;

use std::fs;
use std::path::{Path, PathBuf};

use common::{fail, succeed, write_folder};
use serde_json::{Value, json};
use zoo::ZOO;
use zoo_program::devices;
use zoo_program::registry::Model;
use zoo_weights::Tensors;

/// Letters and the space as tokens, one a byte, and a stop.
fn tokenizer() -> String {
    let vocabulary: serde_json::Map<_, _> = ["<stop>", "a", "b", "c", "d", "e", "Ġ", "f", "g", "h"]
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), json!(id)))
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": vocabulary, "merges": [],
        },
    })
    .to_string()
}

fn tiny(name: &str) -> Box<dyn Model> {
    let entry = ZOO
        .models
        .iter()
        .find(|entry| entry.name() == name)
        .unwrap();
    entry.tiny()
}

/// A folder as the hub has it.
fn hub_folder(root: &Path, name: &str) -> PathBuf {
    let folder = root.join(format!("{name}-hub"));
    fs::create_dir_all(&folder).unwrap();
    let model = tiny(name);
    let mut config = model.to_hub().unwrap().unwrap();
    config["eos_token_id"] = json!(0);
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer()).unwrap();
    let device = devices::open("flex").unwrap().device;
    let ready = model.fresh(3, &device).unwrap();
    ready.save(&folder.join("model.safetensors"), None).unwrap();
    folder
}

fn tensors(path: &Path) -> Vec<(String, Vec<f32>)> {
    let tensors = Tensors::open(path).unwrap();
    let all = tensors.names().map(|name| {
        let data = tensors.get(name).unwrap();
        (name.to_owned(), data.iter::<f32>().collect())
    });
    all.collect()
}

/// Older releases of transformers save which places and segments are meant where none are given.
#[test]
fn buffers_of_ids_in_a_published_bert_are_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("model.safetensors");
    let device = devices::open("flex").unwrap().device;
    let model = tiny("bert");
    let fresh = model.fresh(3, &device).unwrap();
    fresh.save(&path, None).unwrap();
    let bytes = fs::read(&path).unwrap();
    let whole = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = whole.tensors();
    let ids = [0; 64];
    for name in ["position_ids", "token_type_ids", "other_ids"] {
        let name = format!("bert.embeddings.{name}");
        let ids = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![1, 8], &ids);
        tensors.push((name.clone(), ids.unwrap()));
        let all = tensors.iter().map(|(name, tensor)| (name, tensor));
        fs::write(&path, safetensors::serialize(all, None).unwrap()).unwrap();
        let loaded = model.load(&path, &device);
        assert_eq!(loaded.is_ok(), !name.contains("other"), "{name}");
    }
}

#[test]
fn a_decoders_folder_samples_as_it_is_and_survives_import_and_export() {
    for name in ["gpt", "llama"] {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let hub = hub_folder(root, name);
        let sample = |run: &str| {
            let arguments = [
                "sample", run, "--prompt", "abc", "--tokens", "4", "--top-p", "0.9", "--json",
            ];
            let said: Value = serde_json::from_str(&succeed(root, &arguments)).unwrap();
            said["text"].as_str().unwrap().to_owned()
        };
        let text = sample(hub.to_str().unwrap());
        assert!(text.starts_with("abc"), "{text}");

        let said = succeed(root, &["import", hub.to_str().unwrap(), "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        let run = said["run"].as_str().unwrap();
        assert_eq!(said["parameters"], tiny(name).parameters());
        assert_eq!(sample(run), text, "{name}: imported");

        succeed(root, &["export", run, "--format", "hf", "--out", "again"]);
        assert_eq!(tensors(&root.join("again")), tensors(&hub), "{name}");
        assert_eq!(sample("again"), text, "{name}: exported");
        let read = |folder: &Path| -> Value {
            serde_json::from_str(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap()
        };
        let (before, after) = (read(&hub), read(&root.join("again")));
        for key in ["model_type", "vocab_size", "architectures"] {
            assert_eq!(after[key], before[key], "{name}: {key}");
        }

        // Half precision halves the file and still opens.
        succeed(
            root,
            &[
                "export",
                run,
                "--dtype",
                "bf16",
                "--out",
                "half.safetensors",
            ],
        );
        let size = |path: &Path| path.metadata().unwrap().len();
        assert!(
            size(&root.join("half.safetensors")) < size(&hub.join("model.safetensors")) * 2 / 3
        );
    }
}

#[test]
fn a_gpt_without_biases_is_exported_with_zeros_for_them() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let short = ["train", "gpt-sums", "--short", "--no-report", "--quiet"];
    succeed(root, &short);
    let run = "runs/gpt-sums-flex-1";
    succeed(root, &["export", run, "--format", "hf", "--out", "there"]);
    let there = tensors(&root.join("there"));
    let biases = there.iter().filter(|(name, _)| name.ends_with(".bias"));
    let zeros = biases.map(|(_, bias)| bias.iter().all(|number| *number == 0.0));
    let zeros: Vec<bool> = zeros.collect();
    // Six a layer and the last norm's.
    assert_eq!(zeros, [true; 3 * 6 + 1]);
    let sample = |folder: &str| {
        let arguments = [
            "sample", folder, "--prompt", "12+34=", "--tokens", "5", "--json",
        ];
        let said: Value = serde_json::from_str(&succeed(root, &arguments)).unwrap();
        (
            said["text"].clone(),
            said["tokens"].clone(),
            said["stopped"].clone(),
        )
    };
    assert_eq!(sample("there"), sample(run));
}

#[test]
fn a_stop_token_and_the_penalty_end_and_change_a_text() {
    let root = tempfile::tempdir().unwrap();
    let hub = hub_folder(root.path(), "gpt");
    let hub = hub.to_str().unwrap();
    let sample = |more: &[&str]| {
        let start = [
            "sample",
            hub,
            "--prompt",
            "a",
            "--tokens",
            "40",
            "--temperature",
            "0",
            "--json",
        ];
        let said = succeed(root.path(), &[&start[..], more].concat());
        serde_json::from_str::<Value>(&said).unwrap()
    };
    let plain = sample(&[]);
    // Whatever it writes first, told to stop there it writes nothing.
    let first = plain["text"].as_str().unwrap().chars().nth(1);
    if let Some(first) = first {
        let stopped = sample(&["--stop", &first.to_string()]);
        assert_eq!(
            (stopped["tokens"].as_u64(), stopped["stopped"].as_bool()),
            (Some(0), Some(true))
        );
    }
    assert_ne!(
        sample(&["--repetition-penalty", "5"])["text"],
        plain["text"]
    );
    let error = fail(
        root.path(),
        &["sample", hub, "--prompt", "a", "--top-p", "2"],
        2,
    );
    assert!(error.contains("--top-p"), "{error}");
    let error = fail(
        root.path(),
        &["sample", hub, "--prompt", "a", "--stop", "abc"],
        2,
    );
    assert!(error.contains("3 tokens"), "{error}");
}

#[test]
fn a_sentence_encoders_folder_embeds_and_a_classifiers_classifies() {
    let root = tempfile::tempdir().unwrap();
    let hub = hub_folder(root.path(), "bert");
    let said = succeed(
        root.path(),
        &["predict", hub.to_str().unwrap(), "ab c", "--json"],
    );
    let said: Value = serde_json::from_str(&said).unwrap();
    let classes = said["classes"].as_array().unwrap();
    let total: f64 = classes
        .iter()
        .map(|class| class["probability"].as_f64().unwrap())
        .sum();
    assert!((total - 1.0).abs() < 1e-5, "{said}");

    let mut table = tiny("bert").table();
    table.insert("head".into(), "sentence_embedding".into());
    let model = ZOO.configure(&table, &toml::Table::new()).unwrap();
    let folder = root.path().join("sentences");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("config.json"),
        model.to_hub().unwrap().unwrap().to_string(),
    )
    .unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer()).unwrap();
    let device = devices::open("flex").unwrap().device;
    let ready = model.fresh(3, &device).unwrap();
    ready.save(&folder.join("model.safetensors"), None).unwrap();
    let said = succeed(root.path(), &["predict", "sentences", "ab c", "ab c", "gh"]);
    let similarity: Vec<f64> = said
        .lines()
        .map(|line| line.rsplit_once(": ").unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(similarity[..2], [1.0, 1.0], "{said}");
    assert!(similarity[2] < 0.9999, "{said}");
}

#[test]
fn an_architecture_of_timm_and_torchvision_goes_by_its_name() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_folder(&root.join("images"), 6);
    let train = [
        "train",
        "resnet20-folder",
        "--set",
        "data.path=images",
        "--set",
        "data.size=[8,8]",
        "--set",
        "data.validation=2",
        "--epochs",
        "1",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "train.batch_size=4",
        "--no-report",
        "--quiet",
    ];
    succeed(root, &train);
    let run = "runs/resnet20-folder-flex-1";
    succeed(root, &["export", run, "--format", "hf", "--out", "named"]);
    let config = fs::read_to_string(root.join("named/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["architecture"], "resnet20");
    assert_eq!(config["num_classes"], 2);
    let image = "images/test/dark/0.png";
    let predict = |run: &str| succeed(root, &["predict", run, image, "--json"]);
    let (before, after) = (predict(run), predict("named"));
    let probability = |said: &str| {
        let said: Value = serde_json::from_str(said).unwrap();
        (
            said["classes"][0]["class"].clone(),
            said["classes"][0]["probability"].as_f64().unwrap(),
        )
    };
    // Images of the run's size, not of the architecture's usual one.
    assert_eq!(probability(&before).0, probability(&after).0);
    assert!((probability(&before).1 - probability(&after).1).abs() < 1e-6);

    // What a folder says of images is held to before one is read.
    let text = fs::read_to_string(root.join("named/config.json")).unwrap();
    for (key, value, part) in [
        ("mean", json!([]), "mean"),
        ("std", json!([1, 0, 1]), "std"),
        ("input_size", json!([2, 8, 8]), "1 or 3 channels"),
        ("input_size", json!("8x8"), "input_size"),
    ] {
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["pretrained_cfg"][key] = value;
        fs::write(root.join("named/config.json"), config.to_string()).unwrap();
        for command in ["predict", "import"] {
            let arguments = [command, "named", image];
            let arguments = &arguments[..if command == "predict" { 3 } else { 2 }];
            let error = fail(root, arguments, 2);
            assert!(error.contains(part), "{error}");
        }
    }
    fs::write(root.join("named/config.json"), text).unwrap();

    // Going on from it: the same classes keep the head, others get a new one.
    succeed(root, &[&train[..], &["--set", "weights=named"]].concat());
    let other = [
        &train[..],
        &["--set", "weights=named", "--set", "model.num_classes=3"],
    ]
    .concat();
    let error = fail(root, &other, 2);
    assert!(error.contains("3 outputs"), "{error}");
}

/// Sentences and their class, as a folder of `tsv`.
fn write_reviews(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for file in ["train.tsv", "dev.tsv", "test.tsv"] {
        let lines = (0..24).map(|i| match i % 2 {
            0 => format!("{} ab\t0\n", ["a", "b"][i / 2 % 2]),
            _ => format!("{} gh\t1\n", ["g", "h"][i / 2 % 2]),
        });
        fs::write(folder.join(file), lines.collect::<String>()).unwrap();
    }
}

#[test]
fn a_pretrained_encoder_is_fine_tuned_in_its_own_tokens() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    hub_folder(root, "bert");
    write_reviews(&root.join("reviews"));
    let mut model = tiny("bert").table();
    model.insert("num_classes".into(), 2.into());
    let recipe = format!(
        "about = \"a test\"\n[data]\nname = \"tsv\"\npath = \"reviews\"\n[train]\nepochs = 20\n\
         [optimizer]\nname = \"adamw\"\nlearning_rate = 0.01\n[model]\n{}",
        toml::to_string(&model).unwrap()
    );
    fs::write(root.join("reviews.toml"), recipe).unwrap();
    let train = [
        "train",
        "reviews.toml",
        "--set",
        "weights=bert-hub",
        "--no-report",
        "--quiet",
    ];
    // The tokens are those of the weights.
    succeed(root, &train);
    let said = succeed(root, &["predict", "runs/reviews-flex-1", "a ab", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["classes"][0]["class"], "0", "{said}");
    succeed(
        root,
        &[
            "export",
            "runs/reviews-flex-1",
            "--format",
            "hf",
            "--out",
            "tuned",
        ],
    );
    let again = succeed(root, &["predict", "tuned", "a ab", "--json"]);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["classes"], said["classes"]);
}

#[test]
fn a_decoder_goes_on_in_its_own_tokens() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    hub_folder(root, "gpt");
    fs::write(root.join("text.txt"), "abc de fgh ".repeat(40)).unwrap();
    let model = toml::to_string(&tiny("gpt").table()).unwrap();
    let recipe = format!(
        "about = \"a test\"\n[data]\nname = \"chars\"\npath = \"text.txt\"\n\
         tokenizer = \"gpt-hub/tokenizer.json\"\n[train]\nepochs = 1\n[model]\n\
         weights = \"gpt-hub\"\n{model}"
    );
    fs::write(root.join("text.toml"), recipe).unwrap();
    succeed(root, &["train", "text.toml", "--no-report", "--quiet"]);
    let arguments = ["sample", "runs/text-flex-1", "--prompt", "abc", "--json"];
    let said: Value = serde_json::from_str(&succeed(root, &arguments)).unwrap();
    assert!(said["text"].as_str().unwrap().starts_with("abc"), "{said}");
}

/// A resolved recipe is a recipe: it names the weights that the run began with.
#[test]
fn a_run_from_weights_is_repeated_and_resumed_from_them() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let quick = ["--steps", "3", "--no-report", "--quiet"];
    let train = |more: &[&str]| succeed(root, &[&["train"], more, &quick[..]].concat());
    train(&["mlp-glyphs"]);
    let from = ["--set", "weights=runs/mlp-glyphs-flex-1/model.safetensors"];
    train(&["mlp-glyphs", from[0], from[1]]);
    let weights = |run: &str| tensors(&root.join("runs").join(run).join("model.safetensors"));
    let tuned = weights("mlp-glyphs-flex-2");
    assert_ne!(tuned, weights("mlp-glyphs-flex-1"));
    train(&["runs/mlp-glyphs-flex-2/recipe.toml"]);
    assert_eq!(weights("mlp-glyphs-flex-3"), tuned);

    // Killed before its first checkpoint, a run begins anew where it began.
    let run = root.join("runs/mlp-glyphs-flex-2");
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    fs::remove_file(run.join("model.safetensors")).unwrap();
    let resume = ["train", "--resume", "runs/mlp-glyphs-flex-2"];
    succeed(root, &[&resume[..], &quick[2..]].concat());
    assert_eq!(weights("mlp-glyphs-flex-2"), tuned);
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let hub = hub_folder(root.path(), "gpt");
    let config = |change: &dyn Fn(&mut Value)| {
        let path = hub.join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut config);
        fs::write(path, config.to_string()).unwrap();
    };
    let import = || fail(root.path(), &["import", hub.to_str().unwrap()], 2);
    config(&|config| config["n_layer"] = json!(3));
    let error = import();
    assert!(
        error.contains("missing transformer.h.2.attn.c_attn.weight"),
        "{error}"
    );
    config(&|config| config["activation_function"] = json!("swish"));
    assert!(import().contains("activation_function"), "{}", import());
    config(&|config| config["model_type"] = json!("mamba"));
    let error = import();
    assert!(error.contains("mamba") && error.contains("gpt2"), "{error}");
    assert!(
        !root.path().join("runs").exists(),
        "a refused import left a folder"
    );
}

/// Every file below a folder with what it holds.
fn files(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn an_export_writes_over_nothing_unless_it_is_told_to() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    hub_folder(root, "gpt");
    succeed(root, &["import", "gpt-hub"]);
    let run = "runs/gpt-hub-import-1";
    fs::write(root.join("mine.safetensors"), "mine").unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    fn export<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["export", "runs/gpt-hub-import-1", "--out", out], more].concat()
    }
    succeed(root, &export("folder", &["--format", "hf"]));
    fs::write(root.join("folder/notes.txt"), "mine").unwrap();
    fs::write(
        root.join("folder/tokenizer_config.json"),
        "of an earlier export",
    )
    .unwrap();
    succeed(root, &["export", run]);
    succeed(root, &["export", run, "--format", "hf"]);

    let before = files(root);
    for arguments in [
        export("mine.safetensors", &[]),
        export("folder", &["--format", "hf"]),
        vec!["export", run],
        vec!["export", run, "--format", "hf"],
    ] {
        let error = fail(root, &arguments, 2);
        assert!(error.contains("--force"), "{arguments:?}: {error}");
    }
    // A run and what is exported are never written over.
    for out in ["runs/gpt-hub-import-1", "gpt-hub"] {
        let weights = format!("{out}/model.safetensors");
        fail(root, &["export", out, "--out", &weights, "--force"], 2);
        fail(
            root,
            &["export", out, "--format", "hf", "--out", out, "--force"],
            2,
        );
        fail(
            root,
            &[
                "export", "gpt-hub", "--format", "hf", "--out", run, "--force",
            ],
            2,
        );
    }
    fail(root, &export("folder/model.bin", &["--force"]), 2);
    fail(root, &export("folder", &["--force"]), 2);
    assert_eq!(files(root), before, "what was there is as it was");

    succeed(root, &export("mine.safetensors", &["--force"]));
    assert_eq!(
        tensors(&root.join("mine.safetensors")),
        tensors(&root.join("gpt-hub"))
    );
    succeed(
        root,
        &export("folder", &["--format", "hf", "--force", "--dtype", "bf16"]),
    );
    let after = files(&root.join("folder"));
    assert_eq!(after[&root.join("folder/notes.txt")], b"mine");
    let tokenizer = &after[&root.join("folder/tokenizer_config.json")];
    assert_ne!(tokenizer, b"of an earlier export", "stale");
    let size = |files: &std::collections::BTreeMap<PathBuf, Vec<u8>>| {
        files[&root.join("folder/model.safetensors")].len()
    };
    assert!(size(&after) < size(&before));
    // Weights that would be read in the place of those that are written.
    fs::write(root.join("folder/model.safetensors.index.json"), "{}").unwrap();
    let error = fail(root, &export("folder", &["--format", "hf", "--force"]), 2);
    assert!(error.contains("model.safetensors.index.json"), "{error}");
}

/// Neither by another way to it, nor where a run may keep something later, nor another run's.
#[test]
fn what_a_run_is_made_of_is_never_written_over() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    hub_folder(root, "gpt");
    succeed(root, &["import", "gpt-hub"]);
    let run = "runs/gpt-hub-import-1";
    fs::create_dir_all(root.join("runs/other-1/checkpoints/10")).unwrap();
    for name in [
        "recipe.toml",
        "run.json",
        "checkpoints/10/model.safetensors",
    ] {
        fs::write(root.join("runs/other-1").join(name), "").unwrap();
    }
    let before = files(root);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(root.join(run), root.join("linked")).unwrap();
        let weights = root.join(run).join("model.safetensors");
        std::os::unix::fs::symlink(weights, root.join("linked.safetensors")).unwrap();
    }
    let here = root.display();
    for (out, is_folder) in [
        (format!("{run}/./model.safetensors"), false),
        (
            format!("{run}/../gpt-hub-import-1/model.safetensors"),
            false,
        ),
        (format!("absent/../{run}/model.safetensors"), false),
        (format!("{here}/{run}/model.safetensors"), false),
        (format!("{run}/other.safetensors"), false),
        (format!("{run}/export/../model.safetensors"), false),
        ("runs/other-1/model.safetensors".into(), false),
        (
            "runs/other-1/checkpoints/10/model.safetensors".into(),
            false,
        ),
        (
            "runs/other-1/checkpoints/11/model.safetensors".into(),
            false,
        ),
        ("linked/model.safetensors".into(), false),
        ("linked.safetensors".into(), false),
        (format!("{run}/."), true),
        (format!("{run}/../gpt-hub-import-1"), true),
        (format!("{run}/checkpoints"), true),
        ("runs/other-1".into(), true),
        ("runs/other-1/checkpoints/10".into(), true),
        ("linked".into(), true),
        ("linked/checkpoints".into(), true),
    ] {
        if cfg!(not(unix)) && out.starts_with("linked") {
            continue;
        }
        let form = if is_folder { "hf" } else { "safetensors" };
        let error = fail(
            root,
            &["export", run, "--out", &out, "--format", form, "--force"],
            2,
        );
        assert!(
            error.contains("--out names another place"),
            "{out}: {error}"
        );
    }
    // Nor what is exported, of which any file may be a part.
    let part = "gpt-hub/model-00001-of-00002.safetensors";
    fail(root, &["export", "gpt-hub", "--out", part, "--force"], 2);
    // A comparison's report has the name of a run's.
    let report = root.join("comparison.json");
    let compare = ["compare", "--models", "mlp", "--backends", "flex", "--out"];
    fail(root, &[&compare[..], &[run]].concat(), 2);
    fs::write(&report, "{}").unwrap();
    let report = report.to_str().unwrap();
    let merge = ["compare", "merge", report, "--out", "runs/other-1/run.json"];
    let error = fail(root, &merge, 2);
    assert!(error.contains("--out names another place"), "{error}");
    #[cfg(unix)]
    for link in ["linked", "linked.safetensors"] {
        fs::remove_file(root.join(link)).unwrap();
    }
    fs::remove_file(report).unwrap();
    assert_eq!(files(root), before, "what was there is as it was");
}

#[cfg(unix)]
#[test]
fn what_is_written_may_be_read_by_whom_the_umask_says() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    hub_folder(root, "gpt");
    succeed(root, &["import", "gpt-hub"]);
    let run = "runs/gpt-hub-import-1";
    succeed(root, &["export", run]);
    succeed(root, &["export", run, "--format", "hf", "--out", "there"]);
    fs::write(root.join("plain"), "").unwrap();
    fs::create_dir(root.join("plain-folder")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    let written = [&root.join(run), &root.join("there")].map(|folder| files(folder));
    assert!(written.iter().flatten().count() >= 6);
    for (path, _) in written.iter().flatten() {
        assert_eq!(mode(path), mode(&root.join("plain")), "{}", path.display());
    }
    assert_eq!(mode(&root.join("there")), mode(&root.join("plain-folder")));
}

#[test]
fn names_are_names_and_lead_nowhere() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    hub_folder(root, "gpt");
    let inner = root.join("inner");
    fs::create_dir(&inner).unwrap();
    let absolute = root.join("outside").to_str().unwrap().to_owned();
    let names = [
        "../../evil",
        "a/b",
        "a\\b",
        "",
        ".",
        "..",
        "a\nb",
        "C:evil",
        &absolute,
    ];
    let recipe = |name: &str| {
        let head = format!("name = {}\nabout = \"a test\"\n", toml::Value::from(name));
        format!("{head}[model]\nname = \"mlp\"\n[data]\nname = \"glyphs\"\n[train]\nsteps = 1\n")
    };
    let before = files(root);
    for name in names {
        let error = fail(&inner, &["import", "../gpt-hub", "--name", name], 2);
        assert!(error.contains("--name"), "{name:?}: {error}");
        fs::write(root.join("evil.toml"), recipe(name)).unwrap();
        let train = ["train", "../evil.toml", "--quiet", "--no-report"];
        for arguments in [
            &train[..],
            &["compare", "../evil.toml", "--backends", "flex"],
        ] {
            let error = fail(&inner, arguments, 2);
            assert!(error.contains("name = "), "{name:?}: {error}");
        }
        fs::remove_file(root.join("evil.toml")).unwrap();
    }
    let set = [
        "train",
        "mlp-glyphs",
        "--steps",
        "1",
        "--set",
        "name=../evil",
    ];
    assert!(fail(&inner, &set, 2).contains("name = "));
    // The name of a file is one, too.
    fs::write(
        root.join("...toml"),
        recipe("x").replacen("name = \"x\"\n", "", 1),
    )
    .unwrap();
    fail(&inner, &["train", "../...toml", "--quiet"], 2);
    fs::remove_file(root.join("...toml")).unwrap();
    assert_eq!(files(root), before, "nothing was written anywhere");
}
