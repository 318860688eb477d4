//! What happens to a run later: it is measured on data that changed, gone on with for fewer steps, or
//! asked for what it does not have.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]
#![cfg(feature = "flex")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

mod common;

use common::{fail, succeed, write_folder, zoo};

/// Pictures of two classes in one folder, of which the program holds some out, and a small network.
fn recipe(root: &Path) -> &'static str {
    write_folder(&root.join("whole"), 10);
    fs::rename(root.join("whole/train"), root.join("photos")).unwrap();
    let text = "about = 'photos'\nmodel = { name = 'mlp', widths = [192, 8, 2] }\n\
                data = { name = 'image-folder', path = 'photos', size = [8, 8] }\n\
                train = { steps = 20, batch_size = 8 }\n\
                optimizer = { name = 'sgd', learning_rate = 0.1 }\n";
    fs::write(root.join("photos.toml"), text).unwrap();
    "runs/photos-flex-1"
}

const TRAIN: &[&str] = &["train", "photos.toml", "--quiet", "--no-report"];

fn record(root: &Path, run: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(root.join(run).join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_model_is_not_measured_on_changed_data_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let run = recipe(root);
    succeed(root, TRAIN);
    let before = succeed(root, &["eval", run]);
    assert!(before.contains("test of 4 examples"), "{before}");

    // One picture more: what is held out is drawn anew, from what was trained on, too.
    let added = root.join("photos/dark/new.png");
    fs::copy(root.join("photos/dark/0.png"), &added).unwrap();
    for split in ["test", "train"] {
        let error = fail(root, &["eval", run, "--split", split], 2);
        assert!(
            error.contains("is not what the run was trained on"),
            "{error}"
        );
    }
    let told = zoo(root, &["eval", run, "--allow-changed", "--json"]);
    assert!(told.status.success());
    let warning = String::from_utf8(told.stderr).unwrap();
    assert!(warning.contains("is not what the run was trained on"));
    let json: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(json["changed"], serde_json::json!(["train", "test"]));
    fs::remove_file(added).unwrap();

    // The same data elsewhere is the same data.
    fs::rename(root.join("photos"), root.join("moved")).unwrap();
    fail(root, &["eval", run], 2);
    let moved = succeed(root, &["eval", run, "--set", "data.path=moved"]);
    assert_eq!(moved, before);
    let error = fail(root, &["eval", run, "--set", "model.widths=[1]"], 2);
    assert!(error.contains("only keys of data"), "{error}");
}

#[test]
fn a_run_is_not_made_shorter_and_its_time_is_that_of_all_its_processes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let run = recipe(root);
    succeed(root, TRAIN);
    let events = || fs::read(root.join(run).join("metrics.jsonl")).unwrap();
    let (before, first) = (events(), record(root, run));
    let resume = |steps: &str| {
        let allowed = ["--allow-changed", "train.steps", "--quiet", "--no-report"];
        [&["train", "--resume", run, "--steps", steps][..], &allowed]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let run_it = |steps: &str| {
        zoo(
            root,
            &resume(steps).iter().map(|it| &**it).collect::<Vec<_>>(),
        )
    };
    let shorter = run_it("10");
    let error = String::from_utf8(shorter.stderr).unwrap();
    assert_eq!(shorter.status.code(), Some(2), "{error}");
    assert!(
        error.contains("20 steps are done") && error.contains("is not made shorter"),
        "{error}"
    );
    assert_eq!((events(), record(root, run)), (before, first));

    assert!(run_it("40").status.success());
    let result = &record(root, run)["result"];
    assert_eq!(result["steps"], 40);
    let speed = result["samples_per_second"].as_f64().unwrap();
    assert!(speed > 0.0, "{speed}");
    let manifests = fs::read_dir(root.join(run).join("checkpoints")).unwrap();
    let mut spent: Vec<(u64, f64)> = manifests
        .map(|folder| {
            let text = fs::read(folder.unwrap().path().join("manifest.json")).unwrap();
            let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let spent = &manifest["progress"]["spent"];
            (
                spent["samples"].as_u64().unwrap(),
                spent["wall_seconds"].as_f64().unwrap(),
            )
        })
        .collect();
    spent.sort_by_key(|(samples, _)| *samples);
    let (samples, seconds) = spent.last().copied().unwrap();
    assert_eq!(samples, 40 * 8, "of both processes");
    assert!(result["wall_seconds"].as_f64().unwrap() >= seconds);
}

#[test]
fn what_a_run_will_not_have_is_known_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let run = recipe(root);
    for claim in ["valid.loss", "test.acuracy", "accuracy"] {
        let text = fs::read_to_string(root.join("photos.toml")).unwrap();
        let claims = format!(
            "{text}\n[expect]\nmachine = 'any'\nminutes = 1\n\
             metrics = {{ '{claim}' = [0.0, 1.0] }}\n"
        );
        fs::write(root.join("claims.toml"), claims).unwrap();
        let error = fail(root, &["train", "claims.toml", "--check"], 2);
        assert!(error.contains(claim), "{error}");
    }
    assert!(!root.join("runs").exists());

    // A run without its result says so, and what to do.
    succeed(root, TRAIN);
    fs::remove_file(root.join(run).join("model.safetensors")).unwrap();
    for command in ["eval", "predict", "export"] {
        let mut arguments = vec![command, run];
        arguments.extend((command == "predict").then_some("photos/dark/0.png"));
        let error = fail(root, &arguments, 2);
        assert!(error.contains("train --resume runs/"), "{error}");
    }
}

#[test]
fn data_that_changes_while_it_is_learned_from_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let run = recipe(root);
    let training = Command::new(env!("CARGO_BIN_EXE_zoo"))
        .args(TRAIN)
        .args(["--set", "train.steps=4000"])
        .current_dir(root)
        .env("XDG_CACHE_HOME", root.join("cache"))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !root.join(run).join("config.json").exists() {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::copy(
        root.join("whole/test/light/0.png"),
        root.join("photos/dark/3.png"),
    )
    .unwrap();
    let output = training.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("changed while the run went on"), "{told}");
}
