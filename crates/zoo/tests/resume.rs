//! Runs that are stopped in every way there is, and go on as if nothing had happened.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{fail, succeed, zoo};
use zoo_train::rng::Stream;
use zoo_train::{Event, Record, State, read_events, sum};

/// Everything that chance, state and schedule have a part in: dropout, augmentation, a moving
/// average, accumulation, a schedule, clipping, an optimizer with moments, validation.
const EVERYTHING: &[&str] = &[
    "train",
    "--set",
    "model.dropout=0.2",
    "--set",
    "data.crop_padding=2",
    "--set",
    "data.cutout=6",
    "--set",
    "data.validation=500",
    "--set",
    "train.ema_decay=0.99",
    "--set",
    "train.micro_batch_size=32",
    "--set",
    "train.clip_norm=1.0",
    "--set",
    "train.log_every_steps=1",
    "--set",
    "train.validate_every_steps=45",
    "--set",
    "train.checkpoint_every_steps=7",
    "--set",
    "optimizer.name=adamw",
    "--set",
    "optimizer.learning_rate=0.001",
    "--set",
    "schedule.name=cosine",
    "--set",
    "schedule.warmup_steps=20",
    "--quiet",
    "--no-report",
];

fn with<'a>(start: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [start, more].concat()
}

/// The program in a folder, not waited for.
fn start(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_zoo"))
        .args(arguments)
        .current_dir(folder)
        .env("ZOO_DATA_DIR", folder.join("data"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// As `start`, but where a closed terminal is what it is by default: a machine that tests for hours
/// may have been told to ignore it.
#[cfg(unix)]
fn start_without_nohup(folder: &Path, arguments: &[&str]) -> Child {
    Command::new("env")
        .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_zoo")])
        .args(arguments)
        .current_dir(folder)
        .env("ZOO_DATA_DIR", folder.join("data"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn result(run: &Path) -> String {
    sum(&run.join("model.safetensors")).unwrap()
}

fn record(run: &Path) -> Record {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

fn events(run: &Path) -> Vec<Event> {
    let (events, problems) = read_events(&fs::read(run.join("metrics.jsonl")).unwrap());
    assert_eq!(problems, Vec::<String>::new());
    events
}

/// Losses of steps and epochs, and validation metrics: what must not depend on interruptions.
fn numbers(run: &Path) -> Vec<String> {
    let told = events(run).into_iter().filter_map(|event| match event {
        Event::Step {
            step,
            loss,
            learning_rate,
            gradient_norm,
            ..
        } => Some(format!(
            "{step} {loss:e} {learning_rate:e} {gradient_norm:e}"
        )),
        Event::Epoch { step, loss, .. } => Some(format!("epoch {step} {loss:e}")),
        Event::Validation {
            step,
            metrics,
            best,
        } => Some(format!("valid {step} {metrics:?} {best}")),
        _ => None,
    });
    told.collect()
}

fn steps_done(run: &Path) -> usize {
    let Ok(bytes) = fs::read(run.join("metrics.jsonl")) else {
        return 0;
    };
    let steps = read_events(&bytes).0.iter().map(Event::step).max();
    steps.unwrap_or(0)
}

/// Waits until `ready`, or until the process has ended, and says which.
fn wait_until(child: &mut Child, ready: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if ready() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it hangs");
        sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_run_killed_at_twenty_random_moments_ends_with_the_weights_of_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let all = with(EVERYTHING, &["--steps", "420"]);
    succeed(folder.path(), &with(&all, &["--out", "whole"]));
    let whole = folder.path().join("whole/mlp-glyphs-flex-1");

    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    let checkpoints = run.join("checkpoints");
    // Moments: after how many further steps, and every third one while a checkpoint is written.
    let mut stream = Stream::new(4);
    let (mut kills, mut while_writing) = (0, 0);
    while kills < 20 {
        let resume: &[&str] = if kills == 0 { &[] } else { &["--resume"] };
        let mut child = start(folder.path(), &with(&all, resume));
        let from = steps_done(&run);
        let target = from + 1 + stream.below(20);
        let mut reached = wait_until(&mut child, || steps_done(&run) >= target);
        if reached && kills % 3 == 0 {
            reached = wait_until(&mut child, || being_written(&checkpoints));
        }
        assert!(
            reached,
            "it ended before it could be killed: {:?}",
            record(&run).state
        );
        child.kill().unwrap();
        child.wait().unwrap();
        while_writing += usize::from(being_written(&checkpoints));
        kills += 1;
    }
    assert!(
        while_writing > 0,
        "no kill hit a checkpoint that was being written"
    );
    assert_eq!(
        record(&run).state,
        State::Running,
        "a killed process says nothing"
    );

    succeed(folder.path(), &with(&all, &["--resume"]));
    assert_eq!(result(&run), result(&whole));
    assert_eq!(numbers(&run), numbers(&whole));
    let record = record(&run);
    assert_eq!((record.state, record.resumed.len()), (State::Finished, 20));
    assert!(!folder.path().join("runs/mlp-glyphs-flex-2").exists());
    println!("20 kills, {while_writing} of them while a checkpoint was being written");
}

fn being_written(checkpoints: &Path) -> bool {
    let Ok(entries) = fs::read_dir(checkpoints) else {
        return false;
    };
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.any(|name| name.ends_with(".part"))
}

#[test]
#[cfg(feature = "ndarray")]
fn a_resumed_run_is_exact_on_ndarray_too() {
    let folder = tempfile::tempdir().unwrap();
    let all = with(EVERYTHING, &["--steps", "60", "--backend", "ndarray"]);
    succeed(folder.path(), &with(&all, &["--out", "whole"]));
    let run = folder.path().join("runs/mlp-glyphs-ndarray-1");
    let mut child = start(folder.path(), &all);
    assert!(wait_until(&mut child, || steps_done(&run) >= 31));
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(folder.path(), &with(&all, &["--resume"]));
    let whole = folder.path().join("whole/mlp-glyphs-ndarray-1");
    assert_eq!(result(&run), result(&whole));
    assert_eq!(numbers(&run), numbers(&whole));
}

#[test]
fn every_task_resumes_exactly_too() {
    let folder = tempfile::tempdir().unwrap();
    common::write_folder(&folder.path().join("pictures"), 24);
    let resnet = [
        "train",
        "resnet20-folder",
        "--set",
        "data.name=image-folder",
        "--set",
        "data.path=pictures",
        "--set",
        "train.batch_size=8",
        "--set",
        "train.ema_decay=0.9",
    ];
    let sums = ["train", "gpt-sums", "--set", "model.dropout=0.1"];
    let scenes = [
        "train",
        "unet-scenes",
        "--set",
        "model.width=4",
        "--set",
        "train.batch_size=2",
    ];
    for (command, name) in [
        (&resnet[..], "resnet20-folder"),
        (&sums, "gpt-sums"),
        (&scenes, "unet-scenes"),
        (&["train", "translate-numbers"], "translate-numbers"),
        (&["train", "quartznet-morse"], "quartznet-morse"),
        (&["train", "mlp-friedman"], "mlp-friedman"),
    ] {
        let rest = [
            "--steps",
            "12",
            "--set",
            "train.log_every_steps=1",
            "--set",
            "train.checkpoint_every_steps=5",
            "--set",
            "schedule.warmup_steps=5",
            "--quiet",
            "--no-report",
        ];
        let all = with(command, &rest);
        succeed(folder.path(), &with(&all, &["--out", "whole"]));
        let run = folder.path().join(format!("runs/{name}-flex-1"));
        let mut child = start(folder.path(), &all);
        assert!(wait_until(&mut child, || steps_done(&run) >= 7), "{name}");
        child.kill().unwrap();
        child.wait().unwrap();
        succeed(folder.path(), &with(&all, &["--resume"]));
        let whole = folder.path().join(format!("whole/{name}-flex-1"));
        assert_eq!(result(&run), result(&whole), "{name}");
        assert_eq!(numbers(&run), numbers(&whole), "{name}");
    }
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status();
    assert!(sent.unwrap().success());
}

#[test]
#[cfg(unix)]
fn ctrl_c_finishes_the_step_keeps_it_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    // No checkpoint would be due before the end.
    let all = with(
        EVERYTHING,
        &[
            "--steps",
            "200",
            "--set",
            "train.checkpoint_every_steps=1000",
        ],
    );
    succeed(folder.path(), &with(&all, &["--out", "whole"]));
    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    for (name, resume) in [
        ("INT", &[][..]),
        ("TERM", &["--resume"]),
        ("HUP", &["--resume"]),
    ] {
        let mut child = start_without_nohup(folder.path(), &with(&all, resume));
        let from = steps_done(&run);
        assert!(wait_until(&mut child, || steps_done(&run) > from + 10));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(
            said.contains("interrupted after step") && said.contains("--resume"),
            "{said}"
        );
        assert!(!said.contains("panicked"), "{said}");
        let (record, step) = (record(&run), steps_done(&run));
        assert_eq!(record.state, State::Interrupted);
        let checkpoint = run.join(format!("checkpoints/{step}/manifest.json"));
        assert!(checkpoint.is_file(), "the last step is kept: {step}");
    }
    // What it said is enough: neither recipe nor changes need to be given again.
    succeed(
        folder.path(),
        &[
            "train",
            "--resume",
            "runs/mlp-glyphs-flex-1",
            "--quiet",
            "--no-report",
        ],
    );
    let whole = folder.path().join("whole/mlp-glyphs-flex-1");
    assert_eq!(result(&run), result(&whole));
    assert_eq!(numbers(&run), numbers(&whole));
}

#[test]
#[cfg(target_os = "linux")]
fn a_closed_terminal_is_heard_and_nohup_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let rest = ["--steps", "400", "--set", "train.log_every_steps=1"];
    // It talks, and nobody listens any more.
    let all = with(&["train", "--no-report"], &rest);
    let mut child = start_without_nohup(folder.path(), &all);
    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    assert!(wait_until(&mut child, || steps_done(&run) > 10));
    drop(child.stderr.take());
    signal(&child, "HUP");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let step = steps_done(&run);
    assert_eq!(record(&run).state, State::Interrupted);
    assert!(
        run.join(format!("checkpoints/{step}/manifest.json"))
            .is_file()
    );

    let mut command = Command::new("nohup");
    let command = command.arg(env!("CARGO_BIN_EXE_zoo")).args(&all);
    let command = command.current_dir(folder.path()).stdin(Stdio::null());
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let run = folder.path().join("runs/mlp-glyphs-flex-2");
    assert!(wait_until(&mut child, || steps_done(&run) > 10));
    signal(&child, "HUP");
    assert!(child.wait().unwrap().success());
    assert_eq!(record(&run).state, State::Finished);
}

#[test]
#[cfg(unix)]
fn a_second_ctrl_c_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // One step takes far longer than the test.
    let slow = [
        "train",
        "--set",
        "train.batch_size=12000",
        "--set",
        "model.widths=[784,4096,4096,10]",
        "--steps",
        "50",
        "--quiet",
        "--no-report",
    ];
    let mut child = start(folder.path(), &slow);
    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    assert!(wait_until(&mut child, || run
        .join("metrics.jsonl")
        .is_file()
        && fs::metadata(run.join("metrics.jsonl")).unwrap().len() > 0));
    signal(&child, "INT");
    sleep(Duration::from_millis(300));
    let begun = Instant::now();
    signal(&child, "INT");
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_changed_recipe_or_changed_data_is_refused_by_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    common::write_folder(&pictures, 8);
    let base = [
        "train",
        "mlp-glyphs",
        "--set",
        "data.name=image-folder",
        "--set",
        "data.path=pictures",
        "--set",
        "data.color=grey",
        "--set",
        "model.widths=[64,8,2]",
        "--set",
        "train.batch_size=4",
        "--quiet",
    ];
    let short = with(&base, &["--epochs", "2"]);
    succeed(folder.path(), &short);
    let run = folder.path().join("runs/mlp-glyphs-flex-1");

    let long = with(
        &base,
        &["--epochs", "3", "--resume", "runs/mlp-glyphs-flex-1"],
    );
    let before = result(&run);
    let error = fail(folder.path(), &long, 2);
    assert!(
        error.contains("train.epochs was 2, is 3")
            && error.contains("--allow-changed train.epochs"),
        "{error}"
    );
    assert_eq!(result(&run), before, "nothing was touched");

    let file = pictures.join("train/dark/0.png");
    fs::copy(pictures.join("train/light/0.png"), &file).unwrap();
    let error = fail(
        folder.path(),
        &with(&long, &["--allow-changed", "train.epochs"]),
        2,
    );
    assert!(
        error.contains("data was test") && error.contains("--allow-changed data"),
        "{error}"
    );
    assert!(!error.contains("train.epochs was"), "{error}");

    succeed(
        folder.path(),
        &with(&long, &["--allow-changed", "train.epochs,data"]),
    );
    let record = record(&run);
    assert_eq!(record.state, State::Finished);
    let changed = &record.resumed.last().unwrap().changed;
    assert_eq!(changed[0], "train.epochs was 2, is 3");
    assert!(changed[1].starts_with("data was"), "{changed:?}");
    assert_eq!(steps_done(&run), 12);
}

#[test]
fn resume_takes_the_newest_run_that_is_sound_and_the_newest_checkpoint_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let all = [
        "train",
        "--steps",
        "40",
        "--set",
        "train.checkpoint_every_steps=10",
        "--set",
        "train.keep_checkpoints=4",
        "--no-report",
    ];
    succeed(folder.path(), &all);
    succeed(folder.path(), &all);
    let first = folder.path().join("runs/mlp-glyphs-flex-1");
    let second = folder.path().join("runs/mlp-glyphs-flex-2");
    let whole = result(&second);
    let truncate = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    };

    // A damaged checkpoint: the one before it, with a warning that names it.
    truncate(second.join("checkpoints/40/optimizer.bpk"));
    fs::remove_file(second.join("model.safetensors")).unwrap();
    let output = zoo(folder.path(), &with(&all, &["--resume"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("warning: ")
            && said.contains("40")
            && said.contains("optimizer.bpk has sha256"),
        "{said}"
    );
    assert!(said.contains("going on after step 30"), "{said}");
    assert_eq!(result(&second), whole);

    // Nothing sound: the run before it. Neither has its result, so that neither is finished.
    for step in [10, 20, 30, 40] {
        truncate(second.join(format!("checkpoints/{step}/model.safetensors")));
    }
    fs::remove_file(first.join("model.safetensors")).unwrap();
    fs::remove_file(second.join("model.safetensors")).unwrap();
    let output = zoo(folder.path(), &with(&all, &["--resume"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("trying the run before it"), "{said}");
    assert_eq!(result(&first), whole);

    // The named one: refused by name.
    let error = fail(
        folder.path(),
        &with(&all, &["--resume", "runs/mlp-glyphs-flex-2"]),
        2,
    );
    assert!(error.contains("no checkpoint is sound"), "{error}");
}

/// Makes a finished run one that was interrupted after its last step.
fn interrupted(run: &Path) {
    let mut record = record(run);
    record.state = State::Interrupted;
    record.result = None;
    fs::write(run.join("run.json"), serde_json::to_vec(&record).unwrap()).unwrap();
}

#[test]
fn resume_alone_goes_on_where_the_newest_unfinished_run_stopped_whatever_its_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let quick = [
        "--steps",
        "12",
        "--no-report",
        "--set",
        "train.checkpoint_every_steps=6",
    ];
    let mlp = with(&["train"], &quick);
    let sums = ["train", "gpt-sums", "--set", "schedule.warmup_steps=0"];
    let sums = with(&sums, &quick);
    let resume = ["train", "--resume", "--no-report"];

    // Nothing at all, and nothing that is unfinished.
    let error = fail(root, &resume, 2);
    assert!(error.contains("no unfinished run in runs"), "{error}");
    succeed(root, &sums);
    succeed(root, &mlp);
    succeed(root, &mlp);
    let run = |name: &str| root.join("runs").join(name);
    let all = ["gpt-sums-flex-1", "mlp-glyphs-flex-1", "mlp-glyphs-flex-2"];
    let before: Vec<String> = all.iter().map(|name| result(&run(name))).collect();
    let error = fail(root, &resume, 2);
    for name in all {
        assert!(
            error.contains(&format!("runs/{name} (finished)")),
            "{error}"
        );
    }

    // The one that was last at work, by its files and not by its name or number.
    interrupted(&run("mlp-glyphs-flex-2"));
    sleep(Duration::from_millis(20));
    interrupted(&run("mlp-glyphs-flex-1"));
    sleep(Duration::from_millis(20));
    interrupted(&run("gpt-sums-flex-1"));
    let goes_on_with = |arguments: &[&str]| -> String {
        let output = zoo(root, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let name = all
            .iter()
            .find(|name| said.contains(&format!("in runs/{name}")));
        (*name.unwrap_or_else(|| panic!("{said}"))).to_owned()
    };
    let by_recipe = [
        "train",
        "mlp-glyphs",
        "--steps",
        "12",
        "--resume",
        "--no-report",
        "--set",
        "train.checkpoint_every_steps=6",
    ];
    assert_eq!(goes_on_with(&by_recipe), "mlp-glyphs-flex-1");
    assert_eq!(goes_on_with(&resume), "gpt-sums-flex-1");
    assert_eq!(goes_on_with(&resume), "mlp-glyphs-flex-2");
    let error = fail(root, &by_recipe, 2);
    assert!(error.contains("no unfinished run of mlp-glyphs"), "{error}");
    let after: Vec<String> = all.iter().map(|name| result(&run(name))).collect();
    assert_eq!(after, before);
    assert!(!run("mlp-glyphs-flex-3").exists());

    // One that is at work is none to go on with; neither is one of another backend.
    let error = fail(
        root,
        &with(&resume, &["--backend", "flex:0", "--out", "none"]),
        2,
    );
    assert!(error.contains("on flex in none"), "{error}");
    let long = ["train", "--steps", "100000", "--quiet", "--no-report"];
    let mut child = start(root, &long);
    let third = run("mlp-glyphs-flex-3");
    assert!(wait_until(&mut child, || steps_done(&third) > 0));
    let error = fail(root, &resume, 2);
    assert!(
        error.contains("mlp-glyphs-flex-3 (at work in another process)"),
        "{error}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // And what was killed is.
    let output = zoo(
        root,
        &with(&resume, &["--steps", "1", "--allow-changed", "train.steps"]),
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("in runs/mlp-glyphs-flex-3"), "{said}");
}

/// Every file of a run, with what is in it.
fn contents(run: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![run.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push((path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_finished_run_is_said_to_be_finished_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let train = [
        "train",
        "--epochs",
        "1",
        "--set",
        "data.validation=100",
        "--log",
        "csv",
    ];
    succeed(root, &train);
    let name = "runs/mlp-glyphs-flex-1";
    let run = root.join(name);
    let before = contents(&run);
    for more in [
        &["--resume", name][..],
        &["--resume", name, "--json"],
        &["--resume", name, "--check"],
        &[
            "mlp-glyphs",
            "--resume",
            name,
            "--epochs",
            "1",
            "--set",
            "data.validation=100",
        ],
        // What is only kept and logged is no reason to begin again.
        &["--resume", name, "--set", "train.keep_checkpoints=7"],
    ] {
        let output = zoo(root, &with(&["train"], more));
        let said = String::from_utf8(output.stderr).unwrap();
        let checked = more.contains(&"--check");
        assert_eq!(
            output.status.code(),
            Some(i32::from(checked)),
            "{more:?}: {said}"
        );
        assert!(
            said.contains("was finished on") && said.contains("nothing was changed"),
            "{said}"
        );
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains("accuracy"), "{printed}");
        assert!(contents(&run) == before, "{more:?} changed files");
    }
    // One epoch is not what the recipe claims, and --check still says so.
    let longer = ["train", "--resume", name, "--epochs", "2"];
    let error = fail(root, &longer, 2);
    assert!(error.contains("--allow-changed train.epochs"), "{error}");
    assert!(contents(&run) == before);
    succeed(root, &with(&longer, &["--allow-changed", "train.epochs"]));
    let all = record(&run).result.unwrap().steps;
    let whole = [
        "train",
        "--epochs",
        "2",
        "--set",
        "data.validation=100",
        "--out",
        "whole",
    ];
    succeed(root, &whole);
    assert_eq!(
        all,
        record(&root.join("whole/mlp-glyphs-flex-1"))
            .result
            .unwrap()
            .steps
    );
}

/// A picture of the test split that goes bad while the training goes on.
#[test]
fn a_test_split_that_cannot_be_read_costs_nothing_that_was_computed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    common::write_folder(&root.join("pictures"), 8);
    let train = [
        "train",
        "resnet20-folder",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.path=pictures",
        "--set",
        "data.size=[8,8]",
        "--set",
        "train.batch_size=4",
        "--set",
        "data.validation=0",
        "--set",
        "train.log_every_steps=1",
        "--steps",
        "40",
        "--quiet",
    ];
    succeed(root, &with(&train, &["--out", "whole"]));
    let whole = root.join("whole/resnet20-folder-flex-1");
    for no_report in [&[][..], &["--no-report"]] {
        let run = root.join("runs/resnet20-folder-flex-1");
        let picture = root.join("pictures/test/light/3.png");
        let good = fs::read(&picture).unwrap();
        let mut child = start(root, &with(&train, no_report));
        assert!(wait_until(&mut child, || steps_done(&run) > 0));
        fs::write(&picture, &good[..good.len() / 2]).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("3.png") && said.contains("the model is trained and saved"),
            "{said}"
        );
        assert_eq!(result(&run), result(&whole));
        let record = record(&run);
        assert_eq!(record.state, State::Failed);
        assert!(record.problem.unwrap().contains("3.png"));
        let kept = fs::read_dir(run.join("checkpoints")).unwrap().count();
        assert!(kept > 0);

        fs::write(&picture, &good).unwrap();
        let evaluated = succeed(root, &["eval", "runs/resnet20-folder-flex-1"]);
        assert!(evaluated.contains("accuracy"), "{evaluated}");
        // It can be brought to its end, too.
        succeed(root, &["train", "--resume"]);
        assert_eq!(self::record(&run).state, State::Finished);
        assert_eq!(result(&run), result(&whole));
        fs::remove_dir_all(run).unwrap();
    }
}

/// What is only to look at cannot be written: the folder has folders in its place.
#[test]
fn nothing_to_look_at_can_fail_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let train = [
        "train",
        "--steps",
        "20",
        "--set",
        "train.checkpoint_every_steps=10",
    ];
    succeed(root, &train);
    let run = root.join("runs/mlp-glyphs-flex-1");
    interrupted(&run);
    for file in ["report.html", "insight.json"] {
        fs::remove_file(run.join(file)).unwrap();
        fs::create_dir(run.join(file)).unwrap();
    }
    let output = zoo(root, &["train", "--resume"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("warning: the report shows no examples"),
        "{said}"
    );
    assert!(said.contains("warning: no report"), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(!printed.contains("report.html"), "{printed}");
    assert_eq!(record(&run).state, State::Finished);
}

#[test]
fn two_processes_do_not_share_a_run_folder() {
    let folder = tempfile::tempdir().unwrap();
    let all = with(EVERYTHING, &["--steps", "100000"]);
    let mut child = start(folder.path(), &all);
    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    assert!(wait_until(&mut child, || steps_done(&run) > 20));
    let resume = with(&all, &["--resume", "runs/mlp-glyphs-flex-1"]);
    let error = fail(folder.path(), &resume, 2);
    let holder = format!("process {} is at work", child.id());
    assert!(error.contains(&holder), "{error}");
    // A new run is nobody's business.
    succeed(
        folder.path(),
        &["train", "--steps", "5", "--quiet", "--no-report"],
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // The lock ends with its process, however that ended.
    let again = start(
        folder.path(),
        &with(&all, &["--resume", "runs/mlp-glyphs-flex-1"]),
    );
    let mut again = again;
    let before = steps_done(&run);
    assert!(wait_until(&mut again, || steps_done(&run) > before + 5));
    again.kill().unwrap();
    again.wait().unwrap();
}

#[test]
fn a_removed_run_folder_ends_the_run_with_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(folder.path(), &with(EVERYTHING, &["--steps", "100000"]));
    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    assert!(wait_until(&mut child, || steps_done(&run) > 10));
    // Not while a checkpoint is written: then the error is another one, about that file.
    while being_written(&run.join("checkpoints")) {
        sleep(Duration::from_micros(100));
    }
    fs::rename(&run, folder.path().join("moved")).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("mlp-glyphs-flex-1") && !said.contains("panicked"),
        "{said}"
    );
    assert!(!run.exists(), "it is not made anew: {said}");
}

#[test]
fn files_that_are_removed_while_a_run_goes_on_are_there_when_it_ends() {
    const STEPS: usize = 150;
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(
        folder.path(),
        &with(EVERYTHING, &["--steps", &STEPS.to_string()]),
    );
    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    assert!(wait_until(&mut child, || steps_done(&run) > 5));
    let recipe = fs::read(run.join("recipe.toml")).unwrap();
    let config = fs::read(run.join("config.json")).unwrap();
    for name in ["recipe.toml", "metrics.jsonl", "run.json"] {
        fs::remove_file(run.join(name)).unwrap();
    }
    fs::write(run.join("config.json"), "{}").unwrap();
    assert!(
        !run.join("model.safetensors").exists(),
        "it has ended already"
    );
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    for name in ["recipe.toml", "config.json"] {
        assert!(
            said.contains(&format!("{name} was removed or changed")),
            "{said}"
        );
    }
    let whole = |run: &Path| {
        assert_eq!(fs::read(run.join("recipe.toml")).unwrap(), recipe);
        assert_eq!(fs::read(run.join("config.json")).unwrap(), config);
        assert_eq!(record(run).state, State::Finished);
        let events = events(run);
        let steps = events
            .iter()
            .filter(|event| matches!(event, Event::Step { .. }));
        assert_eq!(steps.count(), STEPS);
        assert!(matches!(events.last(), Some(Event::Finish { .. })));
    };
    whole(&run);
    let result = result(&run);
    // What is removed from a finished run is written by going on with it.
    fs::remove_file(run.join("config.json")).unwrap();
    let name = run.to_str().unwrap();
    fail(folder.path(), &["eval", name], 2);
    let output = zoo(folder.path(), &["train", "--resume", name, "--quiet"]);
    assert!(output.status.success(), "{output:?}");
    whole(&run);
    assert_eq!(self::result(&run), result);
    succeed(folder.path(), &["eval", name]);
}

/// Runs the program as somebody to whom permissions apply: root may write anywhere.
#[cfg(unix)]
fn as_nobody(folder: &Path, arguments: &[&str]) -> Output {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let program = folder.join("zoo");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_zoo"), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(&program);
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if is_root {
        command.uid(65534).gid(65534);
    }
    command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_read_only_folder_is_said_and_nothing_is_lost() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(folder.path(), 0o755);
    let out = folder.path().join("runs");
    fs::create_dir(&out).unwrap();
    mode(&out, 0o555);
    let train = ["train", "--steps", "20", "--quiet", "--no-report"];
    let output = as_nobody(folder.path(), &train);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("runs") && said.contains("--out"), "{said}");

    // A run that was good, in a folder that no longer takes anything.
    succeed(folder.path(), &with(&train, &["--out", "good"]));
    let run = folder.path().join("good/mlp-glyphs-flex-1");
    interrupted(&run);
    let before = result(&run);
    for path in ["", ".lock", "metrics.jsonl", "run.json", "checkpoints"] {
        mode(&run.join(path), 0o555);
    }
    let output = as_nobody(folder.path(), &with(&train, &["--out", "good", "--resume"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("make it writable"), "{said}");
    assert_eq!(result(&run), before);
    assert!(zoo_train::Checkpoint::read(&run.join("checkpoints/20")).is_ok());
    mode(&run, 0o755);
    mode(&run.join("checkpoints"), 0o755);
}

/// A disk of a few mebibytes, where the system lets one be made; else a limit on the size of files,
/// which hits at the same places with another error.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_run_and_the_last_checkpoint_stays() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_zoo");
    let all = "train --steps 400 --set train.checkpoint_every_steps=20 --set train.keep_checkpoints=3 \
               --set optimizer.name=adam --set optimizer.learning_rate=0.001 --quiet --no-report";
    let enough = format!("{program} {all} --out whole");
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder.path());
        command.output().unwrap()
    };
    assert!(shell(&enough).status.success());
    let whole = result(&folder.path().join("whole/mlp-glyphs-flex-1"));

    // 400 kB of weights, 800 kB of moments: the third checkpoint does not fit, as the fourth part
    // of the old ones is still there while it is written.
    let script = format!(
        "mkdir small && mount -t tmpfs -o size=3m none small && {program} {all} --out small; \
         code=$?; cp -r small/. copy; exit $code"
    );
    let mut unshare = Command::new("unshare");
    let unshare = unshare.args(["-rm", "sh", "-c", &script]);
    let mounted = unshare.current_dir(folder.path()).output();
    let run = folder.path().join("copy/mlp-glyphs-flex-1");
    let (output, words) = match mounted {
        Ok(output) if run.exists() => (output, "No space left on device"),
        _ => {
            println!("no disk can be mounted here: a limit on the size of files stands for it");
            let script = format!("trap '' XFSZ; ulimit -f 1500; {program} {all} --out copy");
            (shell(&script), "File too large")
        }
    };
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words) && said.contains("make room"), "{said}");
    assert!(!said.contains("panicked"), "{said}");

    let steps: Vec<PathBuf> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!steps.is_empty(), "{said}");
    for checkpoint in &steps {
        zoo_train::Checkpoint::read(checkpoint).unwrap();
    }
    // With room again, it goes on and ends as it should.
    let resumed = format!("{program} train --resume copy/mlp-glyphs-flex-1 --quiet --no-report");
    let output = shell(&resumed);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(result(&run), whole);
}

/// Runs as earlier versions left them, with the losses of all their steps and a checkpoint half way:
/// `fixtures/README.md`. Bound: that of the golden losses, since machines differ in the last bits.
#[test]
fn checkpoints_of_earlier_versions_are_gone_on_with() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folders = fs::read_dir(fixtures).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path());
    let mut tried = 0;
    let is_run = |path: &PathBuf| path.join("run.json").is_file();
    for fixture in folders.filter(is_run) {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        copy(&fixture, &run);
        let losses = |run: &Path| -> Vec<f64> {
            let told = events(run).into_iter().filter_map(|event| match event {
                Event::Step { loss, .. } => Some(loss),
                _ => None,
            });
            told.collect()
        };
        let whole = losses(&run);
        let resume = ["train", "--resume", "run", "--no-report"];
        let output = zoo(folder.path(), &resume);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{}: {said}", fixture.display());
        assert!(said.contains("going on after step 20"), "{said}");
        let resumed = losses(&run);
        assert_eq!((resumed.len(), whole.len()), (40, 40));
        let (difference, step) = common::largest_difference(&whole, &resumed);
        assert!(difference < 2e-6, "step {step}: {difference:e}");
        tried += 1;
    }
    assert!(tried > 0, "there is no fixture");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if path.is_dir() {
            copy(&path, &to.join(target));
        } else {
            fs::copy(&path, to.join(target)).unwrap();
        }
    }
}
