//! Training at its edges, through the program: what is refused, what fails, and what is left then.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use std::fs;
use std::path::Path;

use common::{fail, succeed};
use zoo_train::{Record, State};

const QUIET: &[&str] = &["--quiet", "--no-report"];

fn with<'a>(start: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [start, more].concat()
}

fn record(run: &Path) -> Record {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

/// Puts `value` in place of the first `count` numbers of a tensor in a file of weights.
fn spoil(path: &Path, tensor: &str, value: f32, count: usize) {
    let mut bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let start = json[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
    for number in bytes[8 + header + start..][..4 * count].chunks_mut(4) {
        number.copy_from_slice(&value.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_result_that_is_not_finite_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let steep = [
        "train",
        "--steps",
        "1",
        "--set",
        "optimizer.learning_rate=1e30",
    ];
    let variants: &[&[&str]] = &[
        &[],
        &["--set", "data.validation=500"],
        &["--set", "data.validation=0"],
        &["--set", "train.ema_decay=0.5"],
        &[
            "--set",
            "train.best=accuracy",
            "--set",
            "data.validation=500",
        ],
        &["--set", "train.clip_norm=1.0"],
    ];
    for (number, variant) in (1..).zip(variants) {
        let command = with(&with(&steep, QUIET), variant);
        let error = fail(folder.path(), &command, 1);
        assert!(
            error.contains("optimizer.learning_rate"),
            "{variant:?}: {error}"
        );
        let run = folder.path().join(format!("runs/mlp-glyphs-flex-{number}"));
        let record = record(&run);
        assert_eq!(record.state, State::Failed, "{variant:?}");
        assert!(record.result.is_none() && record.problem.is_some());
    }
}

#[test]
fn weights_that_are_no_numbers_answer_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let quick = ["train", "--steps", "4", "--quiet", "--no-report"];
    succeed(root, &quick);
    let warm = ["--set", "schedule.warmup_steps=0"];
    succeed(
        root,
        &with(&with(&["train", "gpt-sums"], &quick[1..]), &warm),
    );
    let (mlp, gpt) = ("runs/mlp-glyphs-flex-1", "runs/gpt-sums-flex-1");
    image::GrayImage::new(28, 28)
        .save(root.join("a.png"))
        .unwrap();
    let predict = ["predict", mlp, "a.png"];
    let sample = ["sample", gpt, "--prompt", "12+34="];
    let others: &[&[&str]] = &[&["eval", mlp], &["eval", gpt]];
    for command in others.iter().chain([&&predict[..], &&sample[..]]) {
        succeed(root, command);
    }
    for value in [f32::NAN, f32::INFINITY] {
        for (run, tensor) in [(mlp, "layers.1.weight"), (gpt, "transformer.ln_f.weight")] {
            spoil(&root.join(run).join("model.safetensors"), tensor, value, 1);
        }
        for command in others.iter().chain([&&predict[..], &&sample[..]]) {
            let error = fail(root, command, 1);
            assert!(
                error.contains("model.safetensors") && error.contains("NaN"),
                "{command:?}: {error}"
            );
        }
        let weights = format!("weights={mlp}");
        let error = fail(root, &with(&quick, &["--set", &weights]), 1);
        assert!(error.contains("holds NaN"), "{error}");
        let left = fs::read_dir(root.join("runs")).unwrap().count();
        assert_eq!(left, 2, "no run was begun");
    }
    // Finite weights, whose products are not.
    let path = root.join(mlp).join("model.safetensors");
    spoil(&path, "layers.1.weight", 3e38, 1280);
    let error = fail(root, &predict, 1);
    assert!(error.contains(mlp) && error.contains("a.png"), "{error}");
    let error = fail(root, &["eval", mlp], 1);
    assert!(error.contains("not finite"), "{error}");
}

#[test]
fn a_warm_up_longer_than_the_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let train = with(&["train", "--steps", "30"], QUIET);
    let warm = |steps: &str| format!("schedule.warmup_steps={steps}");
    let error = fail(folder.path(), &with(&train, &["--set", &warm("31")]), 2);
    assert!(
        error.contains("schedule.warmup_steps = 31") && error.contains("30 steps"),
        "{error}"
    );
    assert!(!folder.path().join("runs").exists());
    succeed(folder.path(), &with(&train, &["--set", &warm("30")]));
}

#[test]
fn a_metric_that_there_is_not_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for validation in ["data.validation=0", "data.validation=500"] {
        let command = [
            "train",
            "--set",
            "train.best=acc",
            "--set",
            validation,
            "--epochs",
            "1",
        ];
        let error = fail(folder.path(), &with(&command, QUIET), 2);
        assert!(
            error.contains("train.best = \"acc\"") && error.contains("loss, accuracy"),
            "{error}"
        );
        let runs = fs::read_dir(folder.path().join("runs")).unwrap();
        assert_eq!(runs.count(), 0, "nothing was computed, and nothing is left");
    }
}

#[test]
fn batch_norm_over_one_value_is_refused_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    common::write_folder(&folder.path().join("pictures"), 8);
    // Sixteen pictures of 8x8, which a stem of stride 2 and three halvings bring to 1x1 early on.
    let train = [
        "train",
        "resnet20-folder",
        "--set",
        "model.preset=resnet18",
        "--set",
        "data.path=pictures",
        "--set",
        "data.validation=0",
        "--set",
        "train.batch_size=5",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "train.epochs=1",
    ];
    let train = with(&train, QUIET);
    let error = fail(folder.path(), &train, 2);
    assert!(
        error.contains("16 examples ends with a batch of 1") && error.contains("train.drop_last"),
        "{error}"
    );
    let dropping = ["--set", "train.drop_last=true"];
    succeed(folder.path(), &with(&train, &dropping));
    let record = record(&folder.path().join("runs/resnet20-folder-flex-1"));
    assert_eq!(record.result.unwrap().steps, 3);
}

#[test]
fn evaluation_does_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    common::write_folder(&folder.path().join("pictures"), 20);
    let train = [
        "train",
        "resnet20-folder",
        "--set",
        "data.path=pictures",
        "--set",
        "train.batch_size=8",
        "--set",
        "train.eval_batch_size=3",
        "--set",
        "schedule.warmup_steps=0",
        "--steps",
        "3",
        "--no-report",
    ];
    let metrics = |number: usize, threads: &str| {
        let threads = format!("train.loader_threads={threads}");
        succeed(
            folder.path(),
            &with(&train, &["--set", &threads, "--quiet"]),
        );
        let run = folder
            .path()
            .join(format!("runs/resnet20-folder-flex-{number}"));
        record(&run).result.unwrap().metrics
    };
    let one = metrics(1, "0");
    assert!(one["test.loss"].is_finite());
    assert_eq!(metrics(2, "1"), one);
    assert_eq!(metrics(3, "4"), one);
}
