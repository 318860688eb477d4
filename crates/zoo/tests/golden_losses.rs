//! The losses of a short fixed run of every architecture on flex, held against those of an earlier
//! version: a change of numbers, wanted or not, is seen here before it is seen in results.
//!
//! `models/*/tests/golden/losses.json` is written by `cargo xtask bless`. Bound: 2e-6 of the loss.
//! Matrix products are blocked by the size of the caches and the width of the vectors, so machines
//! differ in the last bits of a float32 (6e-8), and twelve steps spread that a little; any change
//! of a formula, a rate, an order or an initial weight is larger by orders of magnitude.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{largest_difference, losses, write_cifar10};

const BOUND: f64 = 2e-6;
const STEPS: usize = 12;

/// Losses by a name for the run.
type Golden = BTreeMap<String, Vec<f64>>;

fn golden_file(family: &str) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    models.join(family).join("tests/golden/losses.json")
}

/// Holds the losses against the file, or writes the file where that is asked for.
fn hold(family: &str, found: Golden) {
    let path = golden_file(family);
    let not_finite = found
        .iter()
        .find(|(_, losses)| !losses.iter().all(|loss| loss.is_finite()));
    assert_eq!(not_finite, None, "no losses to bless, nor to compare");
    if std::env::var("ZOO_BLESS").is_ok_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
        fs::write(&path, text).unwrap();
        println!("wrote {}", path.display());
        return;
    }
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; cargo xtask bless", path.display()));
    let golden: Golden = serde_json::from_str(&text).unwrap();
    assert_eq!(
        golden.keys().collect::<Vec<_>>(),
        found.keys().collect::<Vec<_>>()
    );
    for (name, found) in &found {
        assert_eq!(golden[name].len(), found.len(), "{name}");
        let (difference, step) = largest_difference(&golden[name], found);
        println!("{name}: largest difference {difference:.1e}, at step {step}");
        assert!(
            difference <= BOUND,
            "{name}: the loss of step {step} is {}, was {} ({difference:.1e} apart); if that is \
             wanted, `cargo xtask bless`",
            found[step - 1],
            golden[name][step - 1],
        );
    }
}

/// A run of a recipe with some keys changed.
fn run(recipe: &str, directory: &Path, changes: &[&str]) -> Vec<f64> {
    let mut all = vec!["train.batch_size=8"];
    all.extend(changes);
    losses(recipe, "flex", directory, STEPS, &all)
}

#[test]
fn the_mlp_computes_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let run = |changes: &[&str]| run("mlp-glyphs", folder.path(), changes);
    let adam = ["optimizer.name=adamw", "optimizer.learning_rate=0.001"];
    let knobs = [
        "model.dropout=0.1",
        "train.clip_norm=0.5",
        "schedule.name=cosine",
        "schedule.warmup_steps=4",
        "train.micro_batch_size=3",
        "task.label_smoothing=0.1",
    ];
    hold(
        "mlp",
        Golden::from([
            ("mlp-glyphs".into(), run(&[])),
            ("mlp-glyphs, adamw".into(), run(&adam)),
            ("mlp-glyphs, every knob".into(), run(&knobs)),
        ]),
    );
}

#[test]
fn the_convolutional_networks_compute_what_they_did() {
    let folder = tempfile::tempdir().unwrap();
    write_cifar10(folder.path(), 16);
    let glyphs = ["data.name=glyphs", "data.validation=0"];
    // At the recipe's rate a fresh network with batch norm is chaotic: rounding would be all there
    // is to see after a few steps.
    let slow = ["data.validation=0", "optimizer.learning_rate=1e-5"];
    hold(
        "cnn",
        Golden::from([
            (
                "lenet-mnist, on glyphs".into(),
                run("lenet-mnist", folder.path(), &glyphs),
            ),
            (
                "resnet20-cifar10, slow".into(),
                run("resnet20-cifar10", folder.path(), &slow),
            ),
        ]),
    );
}

#[test]
fn the_transformers_compute_what_they_did() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["a", "film", "of", "great", "and", "dull", "charm", "noise"];
    let mut stream = zoo_train::rng::Stream::new(5);
    let mut lines = String::new();
    for index in 0..64 {
        let length = 3 + stream.below(9);
        let sentence = (0..length).map(|_| words[stream.below(words.len())]);
        let sentence: Vec<&str> = sentence.collect();
        lines += &format!("{}\t{}\n", sentence.join(" "), index % 2);
    }
    for name in ["train.tsv", "dev.tsv", "test.tsv"] {
        fs::write(folder.path().join(name), &lines).unwrap();
    }
    let path = format!("data.path={}", folder.path().display());
    let tsv = ["data.name=tsv", &path];
    hold(
        "transformer",
        Golden::from([
            ("gpt-sums".into(), run("gpt-sums", folder.path(), &[])),
            (
                "encoder-sst2, on made-up text".into(),
                run("encoder-sst2", folder.path(), &tsv),
            ),
        ]),
    );
}
