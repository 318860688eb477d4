//! Run folders from a stranger, full of links: whatever is done with them, nothing outside changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{files, hub_folder};
use crate::common::{fail, succeed, zoo};

/// What programs of before, or of others, wrote beside a file's place under a name that can be known.
const LEFT: [&str; 14] = [
    "recipe.toml.part",
    "metrics.jsonl.part",
    "run.json.part",
    "config.json.part",
    "insight.json.part",
    "model.safetensors.part",
    "export.safetensors.part",
    "report.html.part",
    ".report.html.part",
    ".run.json.part",
    ".log",
    "metrics.csv.part",
    "checkpoints/.3.part",
    "checkpoints/.4.part",
];

/// A folder with a run, and everything that a link in it may lead to.
struct Trap {
    root: tempfile::TempDir,
    outside: BTreeMap<PathBuf, Vec<u8>>,
}

impl Trap {
    /// Every file of the run is a link to a copy outside, and so is all that was ever written beside
    /// one; `spared` are what a run cannot be opened with.
    fn new(root: tempfile::TempDir, run: &str, hard: bool, spared: &[&str]) -> Self {
        let outside = root.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("profile"), "mine").unwrap();
        let link = |to: &Path, at: &Path| match hard {
            true => fs::hard_link(to, at).unwrap(),
            false => symlink(to, at).unwrap(),
        };
        let run = root.path().join(run);
        for (number, path) in files(&run).into_keys().enumerate() {
            if spared.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            let moved = outside.join(number.to_string());
            fs::rename(&path, &moved).unwrap();
            link(&moved, &path);
        }
        for (number, name) in LEFT.iter().enumerate() {
            let at = run.join(name);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            match (hard, number % 2) {
                (false, 0) => symlink(outside.join("absent"), at).unwrap(),
                _ => link(&outside.join("profile"), &at),
            }
        }
        let outside = files(&outside);
        Self { root, outside }
    }

    /// Runs the program, and looks at what lies outside.
    fn run(&self, arguments: &[&str], status: i32) -> String {
        let output = zoo(self.root.path(), arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        let outside = files(&self.root.path().join("outside"));
        assert!(
            outside == self.outside,
            "{arguments:?} changed what is outside"
        );
        said
    }
}

const RUN: &str = "runs/mlp-glyphs-flex-1";

/// A short run with a checkpoint, both logs and a report.
fn trained() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let train =
        "train --steps 3 --set train.checkpoint_every_steps=2 --log csv,tensorboard --quiet";
    succeed(root.path(), &train.split(' ').collect::<Vec<_>>());
    root
}

/// As long as it was, but for two steps.
const LONGER: [&str; 9] = [
    "train",
    "--resume",
    RUN,
    "--steps",
    "5",
    "--allow-changed",
    "train.steps",
    "--log",
    "csv,tensorboard",
];

#[test]
fn nothing_is_written_through_the_links_of_a_run() {
    for hard in [false, true] {
        // A lock with another name is refused, as any link is.
        let spared: &[&str] = if hard {
            &[".lock"]
        } else {
            &[".lock", "metrics.jsonl"]
        };
        let trap = Trap::new(trained(), RUN, hard, spared);
        trap.run(&["report", RUN], 0);
        trap.run(&["export", RUN, "--force"], 0);
        trap.run(&LONGER, 0);
        trap.run(&["eval", RUN], 0);
        let run = trap.root.path().join(RUN);
        for name in [
            "recipe.toml",
            "run.json",
            "config.json",
            "insight.json",
            "report.html",
            "model.safetensors",
            "metrics.jsonl",
            "metrics.csv",
            "export.safetensors",
        ] {
            let file = fs::symlink_metadata(run.join(name)).unwrap();
            assert!(file.is_file(), "{name}");
            assert_eq!(std::os::unix::fs::MetadataExt::nlink(&file), 1, "{name}");
        }
        assert!(run.join("checkpoints/5/manifest.json").is_file());
    }
}

#[test]
fn a_link_where_a_run_keeps_something_is_refused_and_named() {
    let trap = Trap::new(trained(), RUN, false, &[""]);
    let run = trap.root.path().join(RUN);
    let outside = trap.root.path().join("outside");
    for (name, to, status) in [
        (".lock", "profile", 2),
        (".lock", "absent", 2),
        ("metrics.jsonl", "absent", 2),
        ("checkpoints", "", 2),
        ("checkpoints", "absent", 2),
        ("tensorboard", "", 1),
    ] {
        let (at, kept) = (run.join(name), run.join("kept"));
        fs::rename(&at, &kept).unwrap();
        symlink(outside.join(to), &at).unwrap();
        let said = trap.run(&LONGER, status);
        assert!(
            said.contains(&format!("{name}: ")) && said.contains("it is a link"),
            "{said}"
        );
        fs::remove_file(&at).unwrap();
        fs::rename(&kept, &at).unwrap();
    }
    // With a second name, a lock may be another program's.
    fs::remove_file(run.join(".lock")).unwrap();
    fs::hard_link(outside.join("profile"), run.join(".lock")).unwrap();
    let said = trap.run(&LONGER, 2);
    assert!(
        said.contains(".lock: ") && said.contains("hard link"),
        "{said}"
    );
    fs::remove_file(run.join(".lock")).unwrap();
    // What was refused changed nothing: it goes on.
    trap.run(&LONGER, 0);
}

#[test]
fn nothing_is_exported_or_imported_through_a_link() {
    let root = tempfile::tempdir().unwrap();
    hub_folder(root.path(), "gpt");
    let run = "runs/gpt-hub-import-1";
    succeed(root.path(), &["import", "gpt-hub"]);
    let export = ["export", run, "--format", "hf", "--force"];
    succeed(root.path(), &export);
    fs::write(
        root.path().join(run).join("export/tokenizer_config.json"),
        "stale",
    )
    .unwrap();
    let trap = Trap::new(root, run, false, &[]);
    trap.run(&export, 0);
    trap.run(&["export", run, "--force"], 0);
    trap.run(&["sample", run, "--prompt", "abc", "--tokens", "2"], 0);
    trap.run(
        &[
            "sample",
            &format!("{run}/export"),
            "--prompt",
            "abc",
            "--tokens",
            "2",
        ],
        0,
    );
    let folder = trap.root.path().join(run);
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        let file = fs::symlink_metadata(folder.join("export").join(name)).unwrap();
        assert!(file.is_file(), "{name}");
    }
    // The folder itself.
    let outside = trap.root.path().join("outside");
    for to in ["", "absent"] {
        let _ = fs::remove_dir_all(folder.join("export"));
        let _ = fs::remove_file(folder.join("export"));
        symlink(outside.join(to), folder.join("export")).unwrap();
        let said = trap.run(&export, 2);
        assert!(said.contains("it is a link"), "{said}");
    }
    // The next run's folder.
    symlink(&outside, trap.root.path().join("runs/gpt-hub-import-2")).unwrap();
    trap.run(&["import", "gpt-hub"], 0);
    assert!(
        trap.root
            .path()
            .join("runs/gpt-hub-import-3/config.json")
            .is_file()
    );
}

/// Nobody named the run that a link in the output folder leads to.
#[test]
fn a_run_that_is_a_link_is_gone_on_with_by_its_name_alone() {
    let root = trained();
    let root = root.path();
    let run = root.join("elsewhere");
    fs::rename(root.join(RUN), &run).unwrap();
    symlink(&run, root.join(RUN)).unwrap();
    let text = fs::read_to_string(run.join("run.json")).unwrap();
    fs::write(
        run.join("run.json"),
        text.replace("\"finished\"", "\"interrupted\""),
    )
    .unwrap();
    let before = files(&run);
    let error = fail(root, &["train", "--resume"], 2);
    assert!(error.contains("no unfinished run"), "{error}");
    assert!(files(&run) == before);
    succeed(root, &["train", "--resume", RUN, "--quiet"]);
    assert!(files(&run) != before);
}
