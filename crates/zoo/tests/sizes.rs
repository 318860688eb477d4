//! What no machine could hold is refused with its size, by whatever command asks for it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use std::fs;
#[cfg(target_os = "linux")]
use std::process::Command;

use common::{fail, succeed, write_folder};

const WIDE: &str = "model.widths=[784,1048576,1048576,10]";
const BATCH: &str = "train.batch_size=1000000000000";

#[test]
fn models_and_batches_that_no_memory_holds_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_folder(&root.join("pictures"), 4);
    let gpt = "model={name=\"gpt\",preset=\"sums\",width=4194304,num_heads=4,num_layers=1024}";
    // What to say, and in which unit.
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["train", "--set", WIDE],
            &["weights of this mlp", "bytes (4.4 TB)", "are free here"],
        ),
        (&["show", "mlp", "--set", WIDE], &["bytes (4.4 TB)"]),
        (
            &["compare", "mlp-glyphs", "--backends", "flex", "--set", WIDE],
            &["bytes (4.4 TB)"],
        ),
        (
            &["train", "--set", BATCH],
            &["a batch of 1000000000000", "bytes (3.1 PB)"],
        ),
        (
            &["train", "--set", "train.eval_batch_size=1000000000000"],
            &["bytes (3.1 PB)"],
        ),
        (
            &[
                "compare",
                "mlp-glyphs",
                "--backends",
                "flex",
                "--set",
                BATCH,
            ],
            &["bytes (3.1 PB)"],
        ),
        (
            &[
                "compare",
                "--models",
                "intro",
                "--backends",
                "flex",
                "--batch",
                "1000000000000",
            ],
            &["bytes"],
        ),
        (&["train", "gpt-sums", "--set", gpt], &["bytes (864.7 PB)"]),
        (
            &["show", "resnet18", "--size", "1000000"],
            &["images of 16384 or fewer"],
        ),
        (
            &["show", "resnet18", "--size", "10000000000"],
            &["images of 16384 or fewer"],
        ),
        (
            &["show", "resnet18", "--size", "18446744073709551615"],
            &["images of 16384 or fewer"],
        ),
        // Single values beyond any use are named with their range.
        (
            &["train", "--set", "model.widths=[784,100000000000,10]"],
            &["model.widths[1]", "100000000000"],
        ),
        (
            &["train", "gpt-sums", "--set", "model.num_layers=1000000000"],
            &["model.num_layers", "1024"],
        ),
        (
            &[
                "train",
                "gpt-sums",
                "--set",
                "model.vocab_size=1000000000000",
            ],
            &["model.vocab_size"],
        ),
        (
            &["train", "gpt-sums", "--set", "model.context=1000000000000"],
            &["model.context"],
        ),
        (
            &[
                "train",
                "gpt-sums",
                "--set",
                "model.num_heads=1000000000000",
            ],
            &["model.num_heads"],
        ),
        (
            &["train", "gpt-sums", "--set", "data.digits=1000000000"],
            &["digits"],
        ),
        (
            &["train", "lenet-glyphs", "--set", "model.image_size=1000000"],
            &["image_size"],
        ),
        (
            &[
                "show",
                "vit_tiny_patch16_224",
                "--set",
                "image_size=1000000",
            ],
            &["image_size"],
        ),
        (
            &["show", "resnet18", "--set", "blocks=[1000000000,2,2,2]"],
            &["blocks"],
        ),
        (
            &[
                "train",
                "resnet20-folder",
                "--set",
                "data.path=pictures",
                "--set",
                "data.size=[1000000,1000000]",
            ],
            &["data.size = [1000000, 1000000]", "1 to 4096"],
        ),
    ];
    for (arguments, parts) in cases {
        let error = fail(root, arguments, 2);
        for part in *parts {
            assert!(
                error.contains(part),
                "zoo {arguments:?} should say {part:?}: {error}"
            );
        }
    }
    assert!(!root.join("runs").exists());
}

/// What a run's own files claim.
#[test]
fn a_run_that_claims_absurd_sizes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    succeed(root, &["train", "--steps", "1", "--no-report", "--quiet"]);
    write_folder(&root.join("pictures"), 1);
    let picture = "pictures/test/dark/0.png";
    let run = root.join("runs/mlp-glyphs-flex-1");
    let config = fs::read_to_string(run.join("config.json")).unwrap();
    let hostile = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
        change(&mut config);
        fs::write(run.join("config.json"), config.to_string()).unwrap();
        let mut said = Vec::new();
        for arguments in [
            &["predict", "runs/mlp-glyphs-flex-1", picture][..],
            &["eval", "runs/mlp-glyphs-flex-1"],
            &["export", "runs/mlp-glyphs-flex-1"],
            &["import", "runs/mlp-glyphs-flex-1"],
        ] {
            said.push(fail(root, arguments, 2));
        }
        said
    };
    for error in hostile(&|config| {
        config["model"]["widths"] = serde_json::json!([784, 1_048_576, 1_048_576, 10]);
    }) {
        assert!(error.contains("bytes (4.4 TB)"), "{error}");
    }
    for error in hostile(&|config| {
        config["codec"]["shape"] = serde_json::json!([1, 1_000_000_000, 1_000_000_000]);
    }) {
        assert!(error.contains("sides are from 1 to 16384"), "{error}");
    }
    for error in hostile(&|config| {
        config["codec"]["shape"] = serde_json::json!([1, u64::MAX, u64::MAX]);
    }) {
        assert!(error.contains("sides are from 1 to 16384"), "{error}");
    }
}

/// Where a process may take less than the machine has, that is what counts.
#[cfg(target_os = "linux")]
#[test]
fn a_bound_on_the_process_is_a_bound_on_the_model() {
    let zoo = env!("CARGO_BIN_EXE_zoo");
    for model in [
        "mlp --set widths=[784,1000000,1000]",
        "encoder --set hidden=4000000",
        "vit --set hidden=1000000",
        "llama --set hidden=1000000",
        "gpt --set vocab_size=16777216",
    ] {
        let script = format!("ulimit -v 8000000; exec {zoo} show {model}");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{model}: {error}");
        assert!(error.contains("are free here"), "{model}: {error}");
    }
}
