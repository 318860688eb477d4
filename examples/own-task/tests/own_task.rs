//! What the zoo's program does with its own models, it does with a stranger's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const RUN: &str = "runs/factors-stars-flex-1";

/// The program, at work in a folder.
fn program(folder: &Path, args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_own-task"));
    program.current_dir(folder).args(args);
    program
}

fn run(folder: &Path, args: &[&str]) -> Output {
    program(folder, args).output().unwrap()
}

/// What it prints, where all goes well.
fn printed(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {notes}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says where a request is wrong.
fn refused(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {notes}");
    notes
}

/// The measured number of a metric in `metrics.jsonl`'s or a command's JSON.
fn number(json: &str, name: &str) -> f64 {
    let (_, rest) = json.rsplit_once(&format!("\"{name}\":")).unwrap();
    let end = rest.find([',', '}']).unwrap();
    rest[..end].trim().parse().unwrap()
}

#[test]
fn it_is_trained_measured_asked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    printed(folder, &["train"]);

    // Chance alone is half a star; who always answers with the mean errs by more than one.
    let rmse = number(&printed(folder, &["eval", RUN, "--json"]), "rmse");
    assert!((0.45..0.6).contains(&rmse), "{rmse}");

    let asked = printed(folder, &["predict", RUN, "user 7, film 12", "--json"]);
    let stars = number(&asked, "stars");
    assert!((0.0..6.0).contains(&stars), "{asked}");
    let other = printed(folder, &["predict", RUN, "user 8, film 12", "--json"]);
    assert_ne!(number(&other, "stars"), stars, "people differ");

    let report = fs::read_to_string(folder.join(RUN).join("report.html")).unwrap();
    assert!(
        report.contains("rmse") && report.contains("film "),
        "its own table is in it"
    );
}

#[test]
fn bad_requests_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    printed(folder, &["train", "--steps", "5", "--quiet"]);
    let nobody = refused(folder, &["predict", RUN, "user 701, film 12"]);
    assert!(nobody.contains("person \"user 701\""), "{nobody}");
    let one = refused(folder, &["predict", RUN, "user 7"]);
    assert!(one.contains("a comma between them"), "{one}");
    let few = refused(folder, &["train", "--set", "model.users=3"]);
    assert!(few.contains("knows 3 people"), "{few}");
    let option = refused(folder, &["train", "--set", "task.label_smoothing=0.1"]);
    assert!(option.contains("task.label_smoothing"), "{option}");
    let none = refused(folder, &["train", "--set", "data.examples=0"]);
    assert!(none.contains("data.examples = 0"), "{none}");
}

#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = ["train", "--quiet", "--no-report", "--steps", "600"];
    let often = ["--set", "train.checkpoint_every_steps=50"];
    let all = [&train[..], &often].concat();
    printed(folder, &[&all[..], &["--out", "whole"]].concat());

    let mut child = program(folder, &all)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let child = child.as_mut().unwrap();
    let checkpoints = folder.join(RUN).join("checkpoints");
    let begun = Instant::now();
    while fs::read_dir(&checkpoints).map_or(0, Iterator::count) == 0 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "it keeps no checkpoint"
        );
        sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    printed(folder, &[&all[..], &["--resume"]].concat());
    let weights = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert_eq!(weights(RUN), weights("whole/factors-stars-flex-1"));
}

#[test]
#[cfg(feature = "ndarray")]
fn backends_are_held_against_each_other() {
    let folder = tempfile::tempdir().unwrap();
    printed(
        folder.path(),
        &[
            "compare",
            "factors-stars",
            "--backends",
            "flex,ndarray",
            "--quiet",
        ],
    );
    let table = fs::read_to_string(folder.path().join("comparison/report.md")).unwrap();
    assert!(table.contains("ndarray"), "{table}");
}
