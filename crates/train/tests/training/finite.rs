//! Nothing is made of numbers that are none: no step, no checkpoint, no best model, no result.

use std::sync::atomic::Ordering;

use crate::common::{Plant, Planted, Points, Training, bytes, checkpoints, classify, recipe};
use zoo_train::{Event, FitError, NotFinite, Origin, Run};

/// A loss that is spoilt in the sixth step.
fn diverges(plant: Plant, expected: &NotFinite, changes: &[&str], helpers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::create(folder.path(), "diverging", Origin::default()).unwrap();
    let recipe = recipe(&[changes, &["train.checkpoint_every_steps=2"]].concat());
    let parts = recipe.train.micro_batch_size.map_or(1, |micro| 16 / micro);
    let parts = parts.max(1 + helpers);
    let task = Planted {
        // In the last part, so that the others are finite.
        loss: Some((6 * parts, plant)),
        ..Planted::default()
    };
    let training = Training {
        valid: Some(Points::new(60)),
        helpers,
        run: Some(&mut run),
        ..Training::new(&recipe, &task)
    };
    let error = training.go().0.unwrap_err();
    let text = error.to_string();
    let FitError::Diverged { what, step, .. } = error else {
        panic!("{text}");
    };
    assert_eq!((&what, step), (expected, 6), "{changes:?}");
    assert_eq!(task.losses.load(Ordering::SeqCst), 6 * parts);
    assert!(
        text.contains("at step 6") && text.contains("optimizer.learning_rate"),
        "{text}"
    );
    // What was kept is finite, and the text says where.
    assert_eq!(checkpoints(run.folder()), [2, 4]);
    assert!(text.contains("checkpoints"), "{text}");
}

#[test]
fn no_step_is_made_from_a_loss_or_a_gradient_that_is_not_finite() {
    for (plant, expected) in [
        (Plant::Nan, NotFinite::Loss),
        (Plant::InfiniteGradient, NotFinite::Gradient),
        (Plant::NanGradient, NotFinite::Gradient),
    ] {
        for (changes, helpers) in [
            (&[][..], 0),
            (&["train.clip_norm=1.0"], 0),
            (&["train.log_every_steps=1"], 0),
            (&["train.ema_decay=0.9"], 0),
            (&["train.micro_batch_size=4"], 0),
            (&["train.micro_batch_size=4", "train.clip_norm=1.0"], 0),
            (&[], 1),
            (&["train.micro_batch_size=4"], 1),
        ] {
            diverges(plant, &expected, changes, helpers);
        }
    }
}

#[test]
fn a_gradient_whose_squares_are_infinite_is_no_step() {
    for changes in [
        &[][..],
        &["train.log_every_steps=1"],
        &["optimizer.name=adam"],
        &["train.micro_batch_size=4"],
    ] {
        diverges(Plant::LongGradient, &NotFinite::Gradient, changes, 0);
    }
}

#[test]
fn a_gradient_too_long_for_single_precision_is_clipped_and_not_zeroed() {
    let weights = |plant: Option<(usize, Plant)>| {
        let recipe = recipe(&["train.steps=1", "train.clip_norm=1.0"]);
        let task = Planted {
            loss: plant,
            ..Planted::default()
        };
        let (fitted, events) = Training::new(&recipe, &task).go();
        let norm = events.iter().find_map(|event| match event {
            Event::Step { gradient_norm, .. } => Some(*gradient_norm),
            _ => None,
        });
        let bias = fitted.unwrap().model.output.bias.unwrap().val();
        (
            norm.unwrap(),
            bias.into_data().iter::<f32>().collect::<Vec<_>>(),
        )
    };
    let (norm, bias) = weights(Some((1, Plant::LongGradient)));
    // Both biases have the gradient 1e25: of the clipped one, each has 1/√2.
    assert!(
        (norm / (2.0_f64.sqrt() * 1e25) - 1.0).abs() < 1e-5,
        "{norm}"
    );
    for value in bias {
        assert!(
            (f64::from(value) + 0.1 / 2.0_f64.sqrt()).abs() < 1e-6,
            "{value}"
        );
    }
}

#[test]
fn weights_that_the_last_step_made_infinite_are_no_result() {
    for changes in [
        &["train.steps=1"][..],
        &["train.steps=3"],
        &["train.steps=1", "train.ema_decay=0.9"],
        &["train.steps=1", "optimizer.name=adamw"],
        &["train.steps=3", "train.checkpoint_every_steps=1"],
    ] {
        for valid in [None, Some(Points::new(60))] {
            let folder = tempfile::tempdir().unwrap();
            let mut run = Run::create(folder.path(), "steep", Origin::default()).unwrap();
            let mut recipe = recipe(changes);
            // No recipe's file can say so: it is infinite in single precision.
            recipe.optimizer.learning_rate = 1e39;
            for run in [None, Some(&mut run)] {
                let task = classify();
                let training = Training {
                    valid: valid.clone(),
                    run,
                    ..Training::new(&recipe, &task)
                };
                let error = training.go().0.unwrap_err();
                assert!(matches!(error, FitError::Diverged { .. }), "{error}");
            }
            assert_eq!(checkpoints(run.folder()), [0; 0], "{changes:?}");
        }
    }
}

#[test]
fn a_validation_that_is_not_finite_is_never_the_best() {
    let changes = [
        "train.steps=40",
        "train.validate_every_steps=5",
        "train.patience=3",
    ];
    for best in ["train.best=loss", "train.best=accuracy"] {
        let recipe = recipe(&[&changes[..], &[best]].concat());
        // The first validation is a number, and all others are not: patience runs out.
        let task = Planted {
            score: Some((2, Plant::Nan)),
            ..Planted::default()
        };
        let training = Training {
            valid: Some(Points::new(60)),
            ..Training::new(&recipe, &task)
        };
        let (fitted, events) = training.go();
        let fitted = fitted.unwrap();
        assert!(fitted.stopped_early);
        assert_eq!(fitted.steps, 5 * (1 + 3), "{best}");
        assert!(fitted.validation.unwrap()["loss"].is_finite());
        let bests: Vec<bool> = events
            .iter()
            .filter_map(|event| match event {
                Event::Validation { best, .. } => Some(*best),
                _ => None,
            })
            .collect();
        assert_eq!(bests, [true, false, false, false]);
        // It is the model of the first validation that is kept.
        let first = crate::common::recipe(&["train.steps=5", best]);
        let task = classify();
        let training = Training {
            valid: Some(Points::new(60)),
            ..Training::new(&first, &task)
        };
        let expected = training.go().0.unwrap().model;
        assert!(bytes(&fitted.model) == bytes(&expected));

        // None is a number: there is no best model.
        let task = Planted {
            score: Some((1, Plant::Nan)),
            ..Planted::default()
        };
        let training = Training {
            valid: Some(Points::new(60)),
            ..Training::new(&recipe, &task)
        };
        let error = training.go().0.unwrap_err();
        assert!(matches!(error, FitError::NoResult { .. }), "{error}");
    }
}
