//! The short tier of recipes: a few steps, held against the band that `[expect.short]` claims, above
//! as well as below. Those whose data is built in run anywhere; the others where `ZOO_DATA_DIR` has
//! their data, without which they fail if `ZOO_REQUIRE_DATA=1`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use common::{fail, real_data, succeed};
use zoo::ZOO;
use zoo_program::recipes;

/// The recipes without an `[expect.short]`: they ask for a GPU, or minutes for the first result that
/// is any better than chance.
const LONG: [&str; 3] = [
    "resnet20-cifar10",
    "resnet20-folder",
    "transformer-multi30k",
];

#[test]
fn the_short_tier_of_every_recipe_keeps_its_claim() {
    let folder = tempfile::tempdir().unwrap();
    // The run that the finetune recipes go on from, under the name that they give: the first.
    let base = ["train", "lenet-glyphs", "--check", "--no-report", "--quiet"];
    succeed(folder.path(), &base);
    let mut ran = Vec::new();
    for (name, _) in ZOO.recipes() {
        let recipe = recipes::read(&ZOO, name, &[]).unwrap();
        let set = recipe.data["name"].as_str().unwrap();
        let built_in = ZOO.data.iter().any(|row| row.name == set && row.built_in);
        let claims = !recipe.about.ends_with("no claim yet");
        assert_eq!(
            recipe.expect.is_some(),
            claims,
            "{name}: a claim, or that there is none"
        );
        let Some(expect) = recipe.expect else {
            continue;
        };
        assert_eq!(
            expect.short.is_none(),
            LONG.contains(&name),
            "{name} needs an [expect.short], or a reason above why it has none"
        );
        if expect.short.is_none() {
            continue;
        }
        let mut command = vec!["train", name, "--short", "--check", "--no-report"];
        let directory = match built_in {
            true => None,
            false => match real_data(name, set) {
                Some(directory) => Some(directory.into_os_string().into_string().unwrap()),
                None => continue,
            },
        };
        if let Some(directory) = &directory {
            command.extend(["--data-dir", directory]);
        }
        println!(
            "{name}: {}",
            succeed(folder.path(), &command).replace('\n', "; ")
        );
        ran.push(name);
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
    // Known before the training, and so no failure of it.
    let error = fail(folder.path(), &missing, 2);
    assert!(error.contains("claims \"test.bleu\""), "{error}");
}
