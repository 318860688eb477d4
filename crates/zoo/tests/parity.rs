//! flex and ndarray compute the same: the first steps of every recipe from the same weights and
//! batches.
//!
//! The bound is 1e-3 relative. Both compute in f32 but sum in different orders, and the difference
//! grows with the steps; ResNets with batch norm at a high rate grow it fastest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "flex", feature = "ndarray"))]

mod common;

use std::path::Path;

use common::{largest_difference, losses, real_data, write_cifar10, write_folder};

const BOUND: f64 = 1e-3;
const STEPS: usize = 50;

fn check(recipe: &str, directory: &Path, changes: &[&str]) {
    let flex = losses(recipe, "flex", directory, STEPS, changes);
    let ndarray = losses(recipe, "ndarray", directory, STEPS, changes);
    let (difference, step) = largest_difference(&flex, &ndarray);
    println!("{recipe}: largest relative difference {difference:.1e} at step {step}");
    assert!(
        difference < BOUND,
        "{recipe}: {difference:.2e} at step {step}: flex {flex:?} ndarray {ndarray:?}"
    );
}

#[test]
fn glyphs_and_sums_agree() {
    check("mlp-glyphs", Path::new(""), &[]);
    check("gpt-sums", Path::new(""), &[]);
}

#[test]
fn the_residual_network_agrees() {
    // Smaller batches than the recipes': the arithmetic is the same, and ndarray takes seconds a
    // step at the full size. And a far lower rate: fresh batch-norm networks at the recipes' rates
    // are chaotic. flex against itself, with the input moved by 1e-7, differs by 1e-3 after seven
    // steps and by 1e-2 after ten, as flex and ndarray then do; no two orders of summation agree.
    let small = [
        "train.batch_size=4",
        "optimizer.learning_rate=0.00001",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
    ];
    let folder = tempfile::tempdir().unwrap();
    write_cifar10(folder.path(), 40);
    check(
        "resnet20-cifar10",
        folder.path(),
        &[&small[..3], &["data.validation=0"]].concat(),
    );
    write_folder(folder.path(), 40);
    let path = format!("data.path={}", folder.path().display());
    let own = [&small[..], &["data.name=image-folder", &path]].concat();
    check("resnet20-folder", folder.path(), &own);
}

#[test]
fn recipes_on_real_data_agree() {
    // Dropout draws from each backend's own stream, so it is off here.
    let recipes = [
        ("mlp-mnist", "mnist", &[][..]),
        ("lenet-mnist", "mnist", &[]),
        ("gpt-shakespeare", "tinyshakespeare", &[]),
        ("encoder-sst2", "sst2", &["model.dropout=0"]),
    ];
    for (recipe, set, changes) in recipes {
        if let Some(directory) = real_data(&format!("parity of {recipe}"), set) {
            check(recipe, &directory, changes);
        }
    }
}
