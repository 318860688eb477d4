//! The loop on a model of its own: what each knob of a recipe does to the weights.

use std::sync::Arc;

use crate::common::Classify;
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Change, Event, Examples, Fit, FitError, Fitted, Helpers, Origin, Pass, Recipe, Run,
    Source, SourceError,
};

/// Points in the plane, labelled by a curved border.
struct Points(usize);

impl Source for Points {
    fn len(&self) -> usize {
        self.0
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let mut stream = Stream::new(1);
        let unit = |stream: &mut Stream| stream.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
        let all: Vec<[f32; 2]> = (0..self.0)
            .map(|_| [unit(&mut stream), unit(&mut stream)])
            .collect();
        let chosen = indices.iter().map(|index| all[*index as usize]);
        let labels: Vec<i32> = chosen
            .clone()
            .map(|[x, y]| i32::from(y > x * x - 0.3))
            .collect();
        let values: Vec<f32> = chosen.flatten().collect();
        Ok(crate::common::points(values, labels))
    }
}

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    output: Linear,
}

impl Net {
    fn forward(&self, points: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.hidden.forward(points).tanh())
    }
}

/// The same weights at every call, whatever other tests draw meanwhile.
fn net() -> Net {
    let device = Device::flex();
    let mut stream = Stream::new(2);
    let mut values = |count: usize| -> Vec<f32> {
        (0..count)
            .map(|_| stream.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0)
            .collect()
    };
    let mut linear = |inputs: usize, outputs: usize| {
        let mut layer = LinearConfig::new(inputs, outputs).init(&device);
        let (weight, bias) = (values(inputs * outputs), values(outputs));
        layer.weight = layer
            .weight
            .map(|_| Tensor::from_data(TensorData::new(weight, [inputs, outputs]), &device));
        layer.bias = layer.bias.map(|bias_| {
            bias_.map(|_| Tensor::from_data(TensorData::new(bias, [outputs]), &device))
        });
        layer
    };
    Net {
        hidden: linear(2, 8),
        output: linear(8, 2),
    }
}

fn recipe(changes: &[&str]) -> Recipe {
    let text = "[train]\nsteps = 30\nbatch_size = 16\nlog_every_steps = 1\n[optimizer]\nlearning_rate = 0.1";
    let changes: Vec<Change> = changes
        .iter()
        .map(|text| Change::parse(text).unwrap())
        .collect();
    Recipe::parse("test", text, &changes).unwrap()
}

fn train(
    recipe: &Recipe,
    valid: Option<usize>,
    run: Option<&mut Run>,
) -> (Result<Fitted<Net>, FitError>, Vec<Event>) {
    train_on(Helpers::default(), recipe, valid, run)
}

/// As `train`, on more devices than the first.
fn train_on(
    helpers: Helpers,
    recipe: &Recipe,
    valid: Option<usize>,
    run: Option<&mut Run>,
) -> (Result<Fitted<Net>, FitError>, Vec<Event>) {
    let mut events = Vec::new();
    let fit = Fit {
        recipe,
        task: &Classify(Net::forward),
        feed: Box::new(Examples::new(Arc::new(Points(100)))),
        judge: valid.map(|count| crate::common::judge(Arc::new(Points(count)), recipe)),
        device: &Device::flex(),
        helpers,
        run,
        resume: None,
        stop: None,
        watch: &mut |event| events.push(event.clone()),
    };
    (fit.train(net()), events)
}

fn weights(recipe: &Recipe) -> Vec<f32> {
    weights_on(Helpers::default(), recipe)
}

fn weights_on(helpers: Helpers, recipe: &Recipe) -> Vec<f32> {
    let model = train_on(helpers, recipe, None, None).0.unwrap().model;
    let mut all: Vec<f32> = model.hidden.weight.val().into_data().iter().collect();
    all.extend(model.output.weight.val().into_data().iter::<f32>());
    all
}

fn largest_gap(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().chain(b).all(|value| value.is_finite()));
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn accumulated_parts_equal_the_large_batch() {
    let whole = weights(&recipe(&[]));
    // 5 does not divide 16: the last part is smaller, and must weigh less.
    for part in [
        "train.micro_batch_size=8",
        "train.micro_batch_size=5",
        "train.micro_batch_size=1",
    ] {
        let gap = largest_gap(&whole, &weights(&recipe(&[part])));
        assert!(gap < 1e-5, "{part}: {gap}");
    }
    assert!(largest_gap(&whole, &weights(&recipe(&["train.batch_size=8"]))) > 1e-3);
}

/// So many helpers beside the first device; weights and gradients go straight, or over a relay.
fn helpers(count: usize, relay: bool) -> Helpers {
    Helpers {
        devices: vec![Device::flex(); count],
        relay: relay.then(Device::flex),
    }
}

#[test]
fn devices_that_share_a_batch_equal_one_with_the_whole() {
    for changes in [
        &["train.steps=1"][..],
        &["train.steps=5", "optimizer.momentum=0.9"],
        // The last of seven steps has 100 - 6 * 16 = 4 examples.
        &["train.steps=7", "train.clip_norm=0.1"],
    ] {
        let recipe = recipe(changes);
        let whole = weights(&recipe);
        // 3 and 5 devices do not divide 16, and 5 leave one without any of the last four examples.
        for others in [1, 2, 4] {
            for relay in [false, true] {
                let shared = weights_on(helpers(others, relay), &recipe);
                let gap = largest_gap(&whole, &shared);
                assert!(gap < 1e-6, "{changes:?}, {others} helpers: {gap}");
            }
        }
    }
}

#[test]
fn sharing_repeats_to_the_last_bit_and_goes_with_micro_batches() {
    let whole = recipe(&["train.steps=5"]);
    let shared = weights_on(helpers(1, false), &whole);
    assert_eq!(shared, weights_on(helpers(1, false), &whole));
    let small = recipe(&["train.steps=5", "train.micro_batch_size=3"]);
    let gap = largest_gap(&shared, &weights_on(helpers(1, false), &small));
    assert!(gap < 1e-6, "{gap}");
}

#[test]
fn running_statistics_are_those_of_the_first_part() {
    #[derive(Module, Debug)]
    struct Normed {
        norm: BatchNorm,
        output: Linear,
    }
    let forward =
        |model: &Normed, points: Tensor<2>| model.output.forward(model.norm.forward(points));
    let device = Device::flex();
    let mean = |helpers: Helpers, batch_size: &str| -> Vec<f32> {
        let recipe = recipe(&["train.steps=1", batch_size]);
        let fit = Fit {
            recipe: &recipe,
            task: &Classify(forward),
            feed: Box::new(Examples::new(Arc::new(Points(100)))),
            judge: None,
            device: &device,
            helpers,
            run: None,
            resume: None,
            stop: None,
            watch: &mut |_| {},
        };
        let model = Normed {
            norm: BatchNormConfig::new(2).init(&device),
            output: LinearConfig::new(2, 2).init(&device),
        };
        let norm = fit.train(model).unwrap().model.norm;
        norm.running_mean.value().into_data().iter().collect()
    };
    // One device that sees the first half, and two that see both: the second one leaves no trace.
    let half = mean(Helpers::default(), "train.batch_size=8");
    assert_eq!(half, mean(helpers(1, false), "train.batch_size=16"));
    assert_ne!(half, mean(Helpers::default(), "train.batch_size=16"));
}

#[test]
fn sharing_reports_the_loss_of_the_whole_batch() {
    let recipe = recipe(&["train.steps=7"]);
    let losses = |helpers: Helpers| -> Vec<f64> {
        let events = train_on(helpers, &recipe, None, None).1;
        let losses = events.iter().filter_map(|event| match event {
            Event::Step { loss, .. } => Some(*loss),
            _ => None,
        });
        losses.collect()
    };
    let (whole, shared) = (losses(Helpers::default()), losses(helpers(2, false)));
    assert_eq!((whole.len(), shared.len()), (7, 7));
    for (whole, shared) in whole.iter().zip(&shared) {
        assert!((whole - shared).abs() < 1e-6, "{whole} {shared}");
    }
}

#[test]
fn every_optimizer_lowers_the_loss() {
    for name in [
        "sgd",
        "adam",
        "adamw",
        "adan",
        "adagrad",
        "adafactor",
        "rmsprop",
        "lamb",
        "lion",
    ] {
        let set = format!("optimizer.name={name}");
        let recipe = recipe(&[
            &set,
            "optimizer.learning_rate=0.02",
            "optimizer.weight_decay=0.001",
            "train.steps=120",
        ]);
        let (fitted, events) = train(&recipe, None, None);
        fitted.unwrap();
        let losses: Vec<f64> = events
            .iter()
            .filter_map(|event| {
                if let Event::Step { loss, .. } = event {
                    Some(*loss)
                } else {
                    None
                }
            })
            .collect();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..10]), mean(&losses[110..]));
        assert!(last < first, "{name}: {first} to {last}");
    }
}

#[test]
fn weight_decay_on_matrices_leaves_biases_alone() {
    let norms = |decay: &str| {
        let recipe = recipe(&[
            "optimizer.name=adamw",
            "optimizer.learning_rate=1e-9",
            "optimizer.weight_decay=1e8",
            decay,
        ]);
        let model = train(&recipe, None, None).0.unwrap().model;
        let norm = |data: TensorData| data.iter::<f32>().map(|x| x * x).sum::<f32>();
        let bias = model.hidden.bias.as_ref().unwrap().val().into_data();
        (norm(model.hidden.weight.val().into_data()), norm(bias))
    };
    let (weight_all, bias_all) = norms("optimizer.decay_on=all");
    let (weight_matrices, bias_matrices) = norms("optimizer.decay_on=matrices");
    let before = net()
        .hidden
        .bias
        .unwrap()
        .val()
        .into_data()
        .iter::<f32>()
        .map(|x| x * x)
        .sum::<f32>();
    assert!(
        (weight_all - weight_matrices).abs() < 1e-6,
        "matrices decay in both"
    );
    assert!(bias_all < 0.1 * before, "{bias_all} of {before}");
    assert!(
        (bias_matrices - before).abs() < 1e-3 * before,
        "{bias_matrices} of {before}"
    );
}

#[test]
fn clipping_reports_the_norm_and_bounds_the_step() {
    let recipe = recipe(&["train.clip_norm=0.001", "train.steps=1"]);
    let (fitted, events) = train(&recipe, None, None);
    let norm = events.iter().find_map(|event| match event {
        Event::Step { gradient_norm, .. } => Some(*gradient_norm),
        _ => None,
    });
    assert!(norm.unwrap() > 0.001, "{norm:?}");
    let moved = fitted.unwrap().model.hidden.weight.val().into_data();
    let start = net().hidden.weight.val().into_data();
    let gap = largest_gap(
        &moved.iter().collect::<Vec<f32>>(),
        &start.iter().collect::<Vec<f32>>(),
    );
    assert!(gap > 0.0 && gap <= 0.1 * 0.001 + 1e-7, "{gap}");
}

#[test]
fn the_average_is_what_is_validated_and_kept() {
    let plain = weights(&recipe(&[]));
    let averaged = weights(&recipe(&["train.ema_decay=0.9"]));
    assert!(
        largest_gap(&plain, &averaged) > 1e-4,
        "the average lags behind"
    );
    let none = weights(&recipe(&["train.ema_decay=0.0"]));
    assert!(
        largest_gap(&plain, &none) < 1e-6,
        "a decay of zero keeps nothing old"
    );
}

#[test]
fn the_best_model_is_kept_and_patience_ends_the_run() {
    // A rate that jumps about: some validation is worse than the one before.
    let recipe = recipe(&[
        "optimizer.learning_rate=8",
        "train.steps=400",
        "train.validate_every_steps=5",
        "train.patience=4",
        "train.seed=3",
    ]);
    let (fitted, events) = train(&recipe, Some(60), None);
    let fitted = fitted.unwrap();
    assert!(
        fitted.stopped_early && fitted.steps < 400,
        "{} steps",
        fitted.steps
    );
    let losses: Vec<f64> = events
        .iter()
        .filter_map(|event| {
            if let Event::Validation { metrics, .. } = event {
                Some(metrics["loss"])
            } else {
                None
            }
        })
        .collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(fitted.validation.unwrap()["loss"], best);
    let since_best = losses.iter().rev().position(|loss| *loss == best).unwrap();
    assert_eq!(
        since_best, 4,
        "it stopped after as many worse ones as patience allows: {losses:?}"
    );
}

#[test]
fn an_infinite_loss_stops_before_its_update() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::create(folder.path(), "diverging", Origin::default()).unwrap();
    let recipe = recipe(&[
        "optimizer.learning_rate=1e38",
        "train.checkpoint_every_steps=1",
        "train.steps=100",
    ]);
    let (result, _) = train(&recipe, None, Some(&mut run));
    let error = result.unwrap_err();
    let FitError::Diverged {
        step,
        loss,
        learning_rate,
        ref kept,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert!(!loss.is_finite() && learning_rate == 1e38);
    assert_eq!(
        kept.as_ref().unwrap(),
        &run.folder()
            .join("checkpoints")
            .join((step - 1).to_string())
            .display()
            .to_string()
    );
}

#[test]
fn an_empty_split_is_refused() {
    let error = train(&recipe(&[]), Some(0), None).0.unwrap_err();
    assert_eq!(error.to_string(), "the validation split is empty");
}
