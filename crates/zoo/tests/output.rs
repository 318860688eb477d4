//! Standard output that is full, closed, or read by nobody: said, or borne quietly, by every command;
//! standard error in these states: borne by all of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "flex", target_os = "linux"))]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{succeed, write_folder};

/// Runs a line of shell, in which `zoo` is the program.
fn shell(folder: &Path, line: &str) -> Output {
    let line = format!("zoo() {{ {} \"$@\"; }}; {line}", env!("CARGO_BIN_EXE_zoo"));
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &line]);
    shell
        .current_dir(folder)
        .env("ZOO_DATA_DIR", folder.join("data"));
    shell.output().unwrap()
}

/// A picture classifier, a decoder and pictures.
fn prepare(folder: &Path) {
    succeed(folder, &["train", "--steps", "2", "--no-report", "--quiet"]);
    succeed(
        folder,
        &[
            "train",
            "gpt-sums",
            "--set",
            "schedule.warmup_steps=0",
            "--steps",
            "2",
            "--no-report",
            "--quiet",
        ],
    );
    write_folder(&folder.join("pictures"), 2);
}

const COMMANDS: [&str; 26] = [
    "--help",
    "--version",
    "train --help",
    "help compare",
    "list",
    "list models --json",
    "show mlp",
    "show mlp --json",
    "predict runs/mlp-glyphs-flex-1 pictures/test/dark/0.png",
    "predict runs/mlp-glyphs-flex-1 pictures/test/dark/0.png --json",
    "eval runs/mlp-glyphs-flex-1",
    "eval runs/mlp-glyphs-flex-1 --json",
    "sample runs/gpt-sums-flex-1 --prompt 27+85= --tokens 3",
    "sample runs/gpt-sums-flex-1 --prompt 27+85= --tokens 3 --json",
    "runs",
    "runs --json",
    "runs diff runs/mlp-glyphs-flex-1 runs/gpt-sums-flex-1",
    "report runs/mlp-glyphs-flex-1",
    "export runs/mlp-glyphs-flex-1 --out model.safetensors",
    "data list",
    "weights list --json",
    "doctor",
    "doctor --json",
    "train --steps 2 --no-report --quiet",
    "train --steps 2 --no-report --json",
    "train --resume runs/mlp-glyphs-flex-1",
];

#[test]
fn what_cannot_be_printed_is_an_error_of_every_command() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    for command in COMMANDS {
        for (to, why) in [
            ("> /dev/full", "No space left on device"),
            (">&-", "closed"),
            ("1< /dev/null", "not open for writing"),
        ] {
            let _ = fs::remove_file(folder.path().join("model.safetensors"));
            let output = shell(folder.path(), &format!("zoo {command} {to}"));
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "zoo {command} {to}: {said}");
            let expected = "error: cannot write to standard output: ";
            assert!(
                said.contains(expected) && said.contains(why),
                "zoo {command} {to}: {said}"
            );
            assert_eq!(said.matches("error: ").count(), 1, "{said}");
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}

#[test]
fn a_training_whose_result_cannot_be_printed_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    for (number, how) in ["--json > /dev/full", "> /dev/full", ">&-"]
        .iter()
        .enumerate()
    {
        let output = shell(folder.path(), &format!("zoo train --steps 30 {how}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{how}: {said}");
        let run = folder
            .path()
            .join(format!("runs/mlp-glyphs-flex-{}", number + 1));
        let record = fs::read_to_string(run.join("run.json")).unwrap();
        assert!(record.contains("\"finished\""), "{how}: {record}");
        assert!(run.join("model.safetensors").is_file() && run.join("report.html").is_file());
    }
}

/// As of other programs: a reader who has seen enough is no error.
#[test]
fn a_reader_who_goes_is_borne_quietly() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    for command in COMMANDS {
        let _ = fs::remove_file(folder.path().join("model.safetensors"));
        // The reader is gone before anything is written.
        let line = format!("(sleep 0.2; zoo {command}) 2> said | true");
        let output = shell(folder.path(), &line);
        let said = fs::read_to_string(folder.path().join("said")).unwrap();
        assert!(output.status.success(), "zoo {command}: {said}");
        assert!(
            !said.contains("error") && !said.contains("panicked"),
            "zoo {command}: {said}"
        );
    }
}

/// Where messages cannot go: a reader that leaves after a line, with the answer or alone; a full disk;
/// nowhere.
const NO_MESSAGES: [&str; 4] = [
    "2>&1 | head -1",
    "2>&1 > /dev/null | head -1",
    "2> /dev/full",
    "2>&-",
];

#[test]
fn messages_that_nobody_reads_end_no_training() {
    let folder = tempfile::tempdir().unwrap();
    let often = "--set train.validate_every_steps=2 --set data.validation=10";
    for (number, how) in (1..).zip(NO_MESSAGES) {
        // Lines go on to come, long after the reader has left.
        let output = shell(
            folder.path(),
            &format!("zoo train --steps 40 {often} {how}"),
        );
        assert_eq!(output.status.code(), Some(0), "{how}: {output:?}");
        let run = folder.path().join(format!("runs/mlp-glyphs-flex-{number}"));
        let record = fs::read_to_string(run.join("run.json")).unwrap();
        assert!(record.contains("\"finished\""), "{how}: {record}");
        assert!(run.join("model.safetensors").is_file() && run.join("report.html").is_file());
    }
}

#[test]
fn messages_that_nobody_reads_change_no_answer_and_no_status() {
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", "--steps", "2", "--no-report", "--quiet"];
    succeed(folder.path(), &train);
    let run = "runs/mlp-glyphs-flex-1";
    for (command, status) in [
        // A finished run is said to be; a changed split is warned of; a comparison tells its steps.
        (format!("train --resume {run}"), 0),
        (
            format!("eval {run} --set data.validation=9 --allow-changed"),
            0,
        ),
        (
            "compare mlp-glyphs --backends flex --steps 1 --measure agreement".into(),
            0,
        ),
        ("train nosuch".into(), 2),
        ("train --no-such-flag".into(), 2),
        ("weights verify bert-tiny".into(), 1),
    ] {
        let shown = shell(folder.path(), &format!("zoo {command}"));
        assert_eq!(shown.status.code(), Some(status), "{command}: {shown:?}");
        assert!(!shown.stderr.is_empty(), "{command} has no message");
        for how in ["2> /dev/full", "2>&-", "2> >(true)"] {
            let line = format!("zoo {command} {how}");
            let output = shell(folder.path(), &line);
            assert_eq!(output.status.code(), Some(status), "{line}: {output:?}");
            if !command.starts_with("compare") {
                assert_eq!(output.stdout, shown.stdout, "{line}");
            }
        }
    }
}

#[test]
fn nothing_to_print_needs_no_place_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = shell(folder.path(), "zoo train --no-such-flag > /dev/full");
    assert_eq!(output.status.code(), Some(2));
    // The command's own failure is the one to report.
    let output = shell(folder.path(), "zoo train nosuch > /dev/full");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_server_whose_address_cannot_be_printed_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let program = env!("CARGO_BIN_EXE_zoo");
    for to in ["> /dev/full", ">&-"] {
        let line = format!("timeout 20 {program} watch runs/mlp-glyphs-flex-1 --port 0 {to}");
        let output = shell(folder.path(), &line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{to}: {said}");
        assert!(said.contains("standard output"), "{said}");
    }
}
