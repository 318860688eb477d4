//! What is kept of a run is what was measured, and nothing that was computed is lost.

use std::fs;

use crate::common::{
    Normed, Plant, Planted, Points, Training, bytes, checkpoints, classify, recipe,
};
use burn::module::Module;
use burn::tensor::Device;
use zoo_train::{Checkpoint, Ema, Event, FitError, Metrics, Origin, Plan, Run, evaluate, number};

/// A moving average over batch norm, judged often on labels that training unlearns: an early model is
/// the best.
const UNLEARNING: &[&str] = &[
    "train.ema_decay=0.9",
    "train.validate_every_steps=5",
    "train.steps=40",
    "optimizer.name=adamw",
    "optimizer.learning_rate=0.02",
];

fn flipped() -> Points {
    Points {
        flipped: true,
        ..Points::new(96)
    }
}

fn judged(model: &Normed, points: &Points) -> Metrics {
    let batches = Plan::default().eval_batches(points);
    evaluate(&classify(), model, &batches, &Device::flex()).unwrap()
}

#[test]
fn the_best_model_of_a_moving_average_is_the_one_that_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::create(folder.path(), "whole", Origin::default()).unwrap();
    let recipe = recipe(UNLEARNING);
    let valid = Points::new(60);
    let task = classify();
    let training = Training {
        train: flipped(),
        valid: Some(valid.clone()),
        run: Some(&mut run),
        ..Training::new(&recipe, &task)
    };
    let (fitted, events) = training.go();
    let fitted = fitted.unwrap();
    let mut best = events.iter().filter_map(|event| match event {
        Event::Validation { step, best, .. } => best.then_some(*step),
        _ => None,
    });
    let best = best.next_back().unwrap();
    assert!(best < 20, "an early one is best, not that after {best}");
    assert_eq!(judged(&fitted.model, &valid), fitted.validation.unwrap());

    // It does not move after it was found, in no checkpoint.
    let file = |step: usize| {
        let folder = run.folder().join("checkpoints").join(step.to_string());
        fs::read(folder.join("best.safetensors")).unwrap()
    };
    for step in (best..=40).step_by(5) {
        assert!(file(step) == file(best), "after step {step}");
    }

    // Going on from the first validation leads to the same files.
    let first = Checkpoint::read(&run.folder().join("checkpoints/5")).unwrap();
    let mut again = Run::create(folder.path(), "again", Origin::default()).unwrap();
    let training = Training {
        train: flipped(),
        valid: Some(valid),
        run: Some(&mut again),
        resume: Some(&first),
        ..Training::new(&recipe, &task)
    };
    let resumed = training.go().0.unwrap();
    assert!(bytes(&resumed.model) == bytes(&fitted.model));
    for name in ["model", "average", "best"] {
        let file = |run: &Run| {
            let path = format!("checkpoints/40/{name}.safetensors");
            fs::read(run.folder().join(path)).unwrap()
        };
        assert!(file(&again) == file(&run), "{name}");
    }
}

#[test]
fn a_clone_of_an_average_stays_as_it_is() {
    let moved = number(Normed::new()).train();
    let mut average = Ema::new(&moved, 0.5);
    let kept = average.model().clone();
    let before = bytes(&kept);
    let statistic = moved.norm.running_var.value();
    moved.norm.running_var.update(statistic * 7.0);
    average.update(&moved, 0);
    assert!(bytes(average.model()) != before, "the average has moved");
    assert!(bytes(&kept) == before);
}

/// A run that is to be compared with one that broke off and went on.
fn whole(changes: &[&str]) -> (Vec<u8>, Metrics) {
    let recipe = recipe(changes);
    let task = classify();
    let training = Training {
        valid: Some(Points::new(60)),
        ..Training::new(&recipe, &task)
    };
    let fitted = training.go().0.unwrap();
    (bytes(&fitted.model), fitted.validation.unwrap())
}

/// Goes on from the newest checkpoint of a run that broke off with `error`.
fn resumed(changes: &[&str], run: &mut Run) -> (Vec<u8>, Metrics) {
    let newest = *checkpoints(run.folder()).last().unwrap();
    let folder = run.folder().join("checkpoints").join(newest.to_string());
    let checkpoint = Checkpoint::read(&folder).unwrap();
    let recipe = recipe(changes);
    let task = classify();
    let training = Training {
        valid: Some(Points::new(60)),
        resume: Some(&checkpoint),
        run: Some(run),
        ..Training::new(&recipe, &task)
    };
    let fitted = training.go().0.unwrap();
    (bytes(&fitted.model), fitted.validation.unwrap())
}

#[test]
fn an_example_that_cannot_be_read_loses_no_step() {
    let folder = tempfile::tempdir().unwrap();
    let changes = ["train.steps=15", "train.validate_every_steps=12"];
    let expected = whole(&changes);
    let recipe = recipe(&changes);
    let task = classify();
    // Six steps an epoch: the seventh cannot be made.
    let damaged = Points {
        damaged_from: Some(1),
        ..Points::new(96)
    };
    // The validation after twelve steps cannot be made.
    let unjudgeable = Points {
        unjudgeable: true,
        ..Points::new(60)
    };
    let cases = [
        (damaged, Points::new(60), 6),
        (Points::new(96), unjudgeable, 12),
    ];
    for (train, valid, steps) in cases {
        let mut run = Run::create(folder.path(), "broken", Origin::default()).unwrap();
        let training = Training {
            train,
            valid: Some(valid),
            run: Some(&mut run),
            ..Training::new(&recipe, &task)
        };
        let error = training.go().0.unwrap_err();
        assert!(matches!(error, FitError::Data(_)), "{error}");
        assert_eq!(checkpoints(run.folder()), [steps]);
        assert!(
            resumed(&changes, &mut run) == expected,
            "after {steps} steps"
        );
    }
}

#[test]
fn too_little_memory_is_an_error_that_says_what_to_lower() {
    let folder = tempfile::tempdir().unwrap();
    let changes = [
        "train.steps=15",
        "train.validate_every_steps=12",
        "train.checkpoint_every_steps=4",
        "train.eval_batch_size=30",
    ];
    let expected = whole(&changes);
    let recipe = recipe(&changes);
    let in_training = Planted {
        loss: Some((6, Plant::OutOfMemory)),
        ..Planted::default()
    };
    let in_validation = Planted {
        score: Some((1, Plant::OutOfMemory)),
        ..Planted::default()
    };
    for (task, says, kept) in [
        (in_training, "train.micro_batch_size = 8", 4),
        (in_validation, "train.eval_batch_size = 15", 12),
    ] {
        let mut run = Run::create(folder.path(), "small", Origin::default()).unwrap();
        let training = Training {
            valid: Some(Points::new(60)),
            run: Some(&mut run),
            ..Training::new(&recipe, &task)
        };
        let error = training.go().0.unwrap_err().to_string();
        let path = run.folder().join("checkpoints").join(kept.to_string());
        assert!(
            error.contains(says)
                && error.contains("out of device memory")
                && error.contains(&path.display().to_string())
                && !error.contains("stack"),
            "{error}"
        );
        assert_eq!(checkpoints(run.folder()).last(), Some(&kept));
        assert!(resumed(&changes, &mut run) == expected, "{says}");
    }
}

#[test]
fn any_other_panic_of_a_device_is_an_error_too() {
    let recipe = recipe(&["train.micro_batch_size=4"]);
    let task = Planted {
        loss: Some((3, Plant::Lost)),
        ..Planted::default()
    };
    let error = Training::new(&recipe, &task)
        .go()
        .0
        .unwrap_err()
        .to_string();
    assert!(error.contains("Parent device is lost"), "{error}");
    assert!(!error.contains("micro_batch_size"), "{error}");
}

/// A checkpoint from a stranger has sums that are right and files that are not: no step is made.
#[test]
fn a_forged_checkpoint_is_refused_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let adam = [
        "train.steps=6",
        "optimizer.name=adam",
        "train.ema_decay=0.9",
    ];
    let task = classify();
    let checkpoint = |changes: &[&str], name: &str| {
        let recipe = recipe(changes);
        let mut run = Run::create(folder.path(), name, Origin::default()).unwrap();
        let training = Training {
            valid: Some(Points::new(60)),
            run: Some(&mut run),
            ..Training::new(&recipe, &task)
        };
        training.go().0.unwrap();
        Checkpoint::read(&run.folder().join("checkpoints/6")).unwrap()
    };
    let sgd = checkpoint(&["train.steps=6", "optimizer.momentum=0.9"], "sgd");
    let refused = |file: &str, bytes: &[u8]| {
        let forged = checkpoint(&adam, "adam");
        fs::write(forged.folder.join(file), bytes).unwrap();
        let longer = recipe(&["train.steps=12", adam[1], adam[2]]);
        let training = Training {
            valid: Some(Points::new(60)),
            resume: Some(&forged),
            ..Training::new(&longer, &task)
        };
        let (fitted, events) = training.go();
        assert!(events.is_empty(), "{events:?}");
        fitted.unwrap_err().to_string()
    };
    let other = fs::read(sgd.folder.join("optimizer.bpk")).unwrap();
    let error = refused("optimizer.bpk", &other);
    assert!(
        error.contains(
            "hidden.weight: is the state of sgd with momentum, and the optimizer is adam"
        ),
        "{error}"
    );
    for file in ["model", "average", "best"] {
        let name = format!("{file}.safetensors");
        let mut bytes = fs::read(sgd.folder.join("model.safetensors")).unwrap();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        let error = refused(&name, &bytes);
        assert!(
            error.contains(&name) && error.contains("holds NaN or infinity"),
            "{error}"
        );
    }
}
