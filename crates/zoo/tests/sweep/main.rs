//! What every registered model must do, and a broken model for each check, which it must catch.
//!
//! The authors of models write none of this: a row of the table is enough.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod broken;
mod checks;

use checks::Check;
use zoo::ZOO;
use zoo_program::registry::Entry;

/// Runs one check over the whole table, and over the models that fail it on purpose.
fn sweep(check: Check, broken: &[&dyn Entry]) {
    let failed: Vec<String> = ZOO
        .models
        .iter()
        .filter_map(|entry| Some(format!("{}: {}", entry.name(), check(*entry).err()?)))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(
        !broken.is_empty(),
        "a check that nothing fails proves nothing"
    );
    for entry in broken {
        let found = check(*entry);
        let about = entry.about();
        assert!(found.is_err(), "{about}: not caught");
        println!("caught {about}: {}", found.unwrap_err());
    }
}

#[test]
fn outputs_have_the_shapes_that_the_table_says() {
    sweep(checks::shapes, &[&broken::SHAPE]);
}

#[test]
fn outputs_are_finite() {
    sweep(checks::finite, &[&broken::INFINITE]);
}

#[test]
fn every_parameter_has_a_gradient() {
    sweep(checks::gradients, &[&broken::IDLE, &broken::DETACHED]);
}

#[test]
fn examples_of_a_batch_do_not_see_each_other() {
    sweep(checks::batch_independence, &[&broken::BATCH_MEAN]);
}

#[test]
fn what_a_task_asks_of_its_models_holds() {
    sweep(
        checks::promises,
        &[
            &broken::FUTURE,
            &broken::PADDING,
            &broken::CACHE,
            &broken::SOURCE_PADDING,
            &broken::TARGET_FUTURE,
            &broken::TARGET_CACHE,
            &broken::TARGET_ROWS,
            &broken::SOUND_PADDING,
        ],
    );
}

#[test]
fn one_batch_is_learned_by_heart() {
    sweep(checks::overfit, &[&broken::DETACHED]);
}

#[test]
fn saved_and_loaded_weights_give_the_same_output() {
    sweep(checks::save_and_load, &[&broken::UNSAVED]);
}

#[test]
fn sizes_are_the_published_ones() {
    sweep(
        checks::published,
        &[&broken::PARAMETERS, &broken::MULTIPLY_ADDS],
    );
}
