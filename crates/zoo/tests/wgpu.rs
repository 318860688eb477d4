//! wgpu computes what flex computes: 20 steps of every family, at a size that software Vulkan bears.
//!
//! One process and tiny shapes, because every kernel is compiled and tuned when it is first used.
//! Without an adapter the test says so and passes; where `ZOO_REQUIRE_WGPU=1` it fails.
//!
//! The bound is 1e-3 relative, as between the CPU backends: f32 sums in another order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "flex", feature = "wgpu"))]

mod common;

use std::path::Path;

use burn::tensor::TensorData;
use common::{golden_files, golden_model, largest_difference, losses};
use zoo::ZOO;
use zoo_program::devices;
use zoo_weights::golden::Golden;

const BOUND: f64 = 1e-3;
const STEPS: usize = 20;

/// Family, recipe, and what makes it small.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "mlp",
        "mlp-glyphs",
        &["train.batch_size=4", "model.widths=[784,16,10]"],
    ),
    (
        "lenet",
        "mlp-glyphs",
        &["model={name=\"lenet\"}", "train.batch_size=2"],
    ),
    (
        "resnet",
        "mlp-glyphs",
        &[
            "model={name=\"resnet20\",in_channels=1,blocks=[1,1],width=4}",
            "train.batch_size=2",
        ],
    ),
    (
        "gpt",
        "gpt-sums",
        &[
            "model.num_layers=1",
            "model.width=16",
            "model.num_heads=2",
            "train.batch_size=4",
        ],
    ),
    (
        "encoder",
        "encoder-sst2",
        &[
            "model.width=16",
            "model.hidden=32",
            "model.num_layers=1",
            "model.dropout=0",
            "train.batch_size=2",
        ],
    ),
];

fn adapter() -> bool {
    match devices::open("wgpu") {
        Ok(device) => {
            println!("wgpu runs on {device}");
            true
        }
        Err(error) => {
            let required = std::env::var("ZOO_REQUIRE_WGPU").is_ok_and(|value| value == "1");
            assert!(!required, "ZOO_REQUIRE_WGPU=1, but {error}");
            println!("SKIPPED wgpu against flex: {error}");
            false
        }
    }
}

#[test]
fn every_family_trains_as_on_flex() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_reviews(folder.path());
    let path = format!("data.path={}", folder.path().display());
    for (family, recipe, small) in CASES {
        let mut changes = small.to_vec();
        if *recipe == "encoder-sst2" {
            changes.extend(["data.name=tsv", &path]);
        }
        let flex = losses(recipe, "flex", folder.path(), STEPS, &changes);
        let wgpu = losses(recipe, "wgpu", folder.path(), STEPS, &changes);
        let (difference, step) = largest_difference(&flex, &wgpu);
        println!("{family}: largest relative difference {difference:.1e} at step {step}");
        assert!(
            difference < BOUND,
            "{family}: {difference:.2e} at step {step}: flex {flex:?} wgpu {wgpu:?}"
        );
    }
}

/// Sentences of one length, so that every batch has the same shape.
fn write_reviews(folder: &Path) {
    let mut stream = zoo_train::rng::Stream::new(9);
    let words = ["good", "bad", "dull", "bright", "film", "play", "the", "a"];
    for file in ["train.tsv", "dev.tsv", "test.tsv"] {
        let lines = (0..40).map(|index| {
            let sentence: Vec<&str> = (0..8).map(|_| words[stream.below(words.len())]).collect();
            format!("{}\t{}\n", sentence.join(" "), index % 2)
        });
        std::fs::write(folder.join(file), lines.collect::<String>()).unwrap();
    }
}

#[test]
fn a_comparison_replays_the_layers_on_wgpu() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "compare",
        "mlp-glyphs",
        "--backends",
        "flex,wgpu",
        "--steps",
        "2",
        "--set",
        "train.batch_size=4",
        "--set",
        "model.widths=[784,16,10]",
        "--measure",
        "agreement",
        "--json",
    ];
    let report = common::succeed(folder.path(), &arguments);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let wgpu = &report["subjects"][0]["results"][1]["agreement"];
    assert_ne!(wgpu["verdict"], "departs", "{wgpu}");
    let layers = wgpu["layers"].as_array().unwrap();
    let names: Vec<&str> = layers
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["layers.0", "layers.1"]);
}

/// Bound: 1e-5 of each loss, for kernels may be chosen by timing, anew in each process.
#[test]
fn a_resumed_run_goes_on_as_the_whole_one_on_wgpu() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let train = |out: &str, more: &[&str]| {
        let arguments = [
            "train",
            "--backend",
            "wgpu",
            "--set",
            "train.batch_size=4",
            "--set",
            "model.widths=[784,16,10]",
            "--set",
            "model.dropout=0.2",
            "--set",
            "train.ema_decay=0.9",
            "--set",
            "train.micro_batch_size=2",
            "--set",
            "train.log_every_steps=1",
            "--set",
            "schedule.name=cosine",
            "--set",
            "train.eval_batch_size=500",
            "--set",
            "train.checkpoint_every_steps=5",
            "--set",
            "train.keep_checkpoints=4",
            "--steps",
            "20",
            "--quiet",
            "--no-report",
            "--out",
            out,
        ];
        common::succeed(folder.path(), &[&arguments[..], more].concat());
        let metrics = folder
            .path()
            .join(out)
            .join("mlp-glyphs-wgpu-1/metrics.jsonl");
        let (events, _) = zoo_train::read_events(&std::fs::read(metrics).unwrap());
        let losses = events.iter().filter_map(|event| match event {
            zoo_train::Event::Step { loss, .. } => Some(*loss),
            _ => None,
        });
        losses.collect::<Vec<f64>>()
    };
    let whole = train("whole", &[]);
    train("cut", &[]);
    // As if it had been killed between steps 10 and 15.
    for step in [15, 20] {
        let checkpoint = format!("cut/mlp-glyphs-wgpu-1/checkpoints/{step}");
        let _ = std::fs::remove_dir_all(folder.path().join(checkpoint));
    }
    let run = folder.path().join("cut/mlp-glyphs-wgpu-1");
    std::fs::remove_file(run.join("model.safetensors")).unwrap();
    let resumed = train("cut", &["--resume"]);
    let (difference, step) = largest_difference(&whole, &resumed);
    println!("resumed on wgpu: largest relative difference {difference:.1e} at step {step}");
    assert!(whole.len() == 20 && resumed.len() == 20 && difference < 1e-5);
}

/// Every architecture's outputs against its origin's, as `origins` holds them on the CPU.
#[test]
fn outputs_are_those_of_the_origins() {
    if !adapter() {
        return;
    }
    let device = devices::open("wgpu").unwrap().device;
    let mut failed = Vec::new();
    for path in golden_files() {
        let golden = Golden::open(&path).unwrap();
        let distance = golden_model(&golden).against(&golden, &device, false);
        let distance = distance.unwrap();
        println!("{}: {:.1e}", path.display(), distance.output);
        // Not the other way round: what is not a number is not within a bound.
        let within = distance.output <= BOUND;
        if !within {
            failed.push(format!("{}: {distance:?}", path.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn eight_bit_weights_compute_as_on_flex() {
    if !adapter() {
        return;
    }
    for (name, input) in [
        ("mlp", TensorData::new(vec![2.0_f32; 16], [1, 1, 1, 16])),
        ("gpt", TensorData::new(vec![1_i64, 5, 9, 2], [1, 4])),
    ] {
        let entry = ZOO
            .models
            .iter()
            .find(|entry| entry.name() == name)
            .unwrap();
        // `fresh` draws on the host: the same weights on both.
        let output = |backend: &str, quantized: bool| -> Vec<f64> {
            let device = devices::open(backend).unwrap().device;
            let model = entry.tiny();
            let mut ready = model.fresh(1, &device).unwrap();
            if quantized {
                ready = ready.quantized().unwrap();
            }
            let batch = model.batch_of(vec![("input".into(), input.clone())]);
            ready.output(batch).iter::<f64>().collect()
        };
        let [here, there] = ["flex", "wgpu"].map(|backend| output(backend, true));
        let distance = |a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len());
            assert!(
                a.iter().chain(b).all(|value| value.is_finite()),
                "{a:?} {b:?}"
            );
            let pairs = a.iter().zip(b).map(|(a, b)| (a - b).abs());
            pairs.fold(0.0, f64::max)
        };
        let rounded = distance(&output("flex", false), &here);
        let apart = distance(&here, &there);
        assert!(rounded > 1e-5, "{name}: nothing was rounded: {rounded}");
        assert!(apart < rounded / 10.0, "{name}: {apart} of {rounded}");
    }
}
