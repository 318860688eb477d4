//! The short tier of recipes: a few steps, held against the band that `[expect.short]` claims, above
//! as well as below. Every recipe whose data is built in has one and runs here; the others run where
//! `ZOO_DATA_DIR` has their data.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use common::{fail, succeed};
use zoo::{data, recipes};

#[test]
fn the_short_tier_of_every_recipe_keeps_its_claim() {
    let folder = tempfile::tempdir().unwrap();
    let real_data = std::env::var("ZOO_DATA_DIR").ok();
    let mut ran = Vec::new();
    for (name, _) in recipes::RECIPES {
        let recipe = recipes::read(name, &[]).unwrap();
        let set = recipe.data["name"].as_str().unwrap();
        let built_in = data::sets()
            .iter()
            .any(|row| row.name == set && row.built_in);
        let expect = recipe
            .expect
            .unwrap_or_else(|| panic!("{name} claims nothing"));
        if expect.short.is_none() {
            assert!(
                !built_in,
                "{name} needs no download: it needs an [expect.short]"
            );
            println!("SKIPPED {name}: it has no [expect.short]");
            continue;
        }
        let mut command = vec!["train", name, "--short", "--check", "--no-report"];
        match &real_data {
            Some(directory) => command.extend(["--data-dir", directory]),
            None if built_in => {}
            None => {
                println!("SKIPPED {name}: ZOO_DATA_DIR is not set, and its data is real");
                continue;
            }
        }
        println!(
            "{name}: {}",
            succeed(folder.path(), &command).replace('\n', "; ")
        );
        ran.push(*name);
    }
    assert!(
        ran.contains(&"mlp-glyphs") && ran.contains(&"gpt-sums"),
        "{ran:?}"
    );
}

#[test]
fn a_result_outside_of_its_band_fails_above_and_below() {
    let folder = tempfile::tempdir().unwrap();
    for (band, holds) in [
        ("[0.0, 1.0]", true),
        ("[0.9, 1.0]", false),
        ("[0.0, 0.01]", false),
    ] {
        let claim = format!("expect.metrics={{\"test.accuracy\" = {band}}}");
        let check = [
            "train",
            "--check",
            "--steps",
            "20",
            "--quiet",
            "--no-report",
            "--set",
            &claim,
        ];
        if holds {
            succeed(folder.path(), &check);
        } else {
            let error = fail(folder.path(), &check, 1);
            assert!(error.contains("NOT as expected: test.accuracy"), "{error}");
        }
    }
    let missing = [
        "train",
        "--check",
        "--steps",
        "5",
        "--quiet",
        "--set",
        "expect.metrics={\"test.bleu\" = [0, 1]}",
    ];
    let error = fail(folder.path(), &missing, 1);
    assert!(error.contains("test.bleu is not there"), "{error}");
}
