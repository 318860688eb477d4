//! What is refused before the first step.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::{Classify, Planted, Points, Training, classify, recipe};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use zoo_train::{Batch, Examples, Fit, FitError, Helpers, Pass, Recipe, Source, SourceError};

#[test]
fn a_metric_that_the_task_does_not_have_is_refused_before_the_first_step() {
    for name in ["acc", "exact_match", "los", ""] {
        let best = format!("train.best={name:?}");
        let recipe = recipe(&[&best]);
        for valid in [None, Some(Points::new(60))] {
            let task = Planted::default();
            let training = Training {
                valid,
                ..Training::new(&recipe, &task)
            };
            let (result, events) = training.go();
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains(&format!("{name:?}")) && error.contains("loss, accuracy"),
                "{error}"
            );
            assert_eq!(task.losses.load(Ordering::SeqCst), 0);
            assert!(events.is_empty());
        }
    }
}

/// Whether batch norm is refused, and with which advice, in words.
fn refusal(changes: &[&str], examples: usize, helpers: usize) -> Option<String> {
    let recipe = recipe(&[&["train.steps=12"], changes].concat());
    let task = Planted::default();
    let training = Training {
        train: Points::new(examples),
        helpers,
        ..Training::new(&recipe, &task)
    };
    let (result, events) = training.go();
    match result {
        Ok(_) => None,
        Err(error @ FitError::SingleValue { .. }) => {
            // One example, and no step.
            assert_eq!(task.losses.load(Ordering::SeqCst), 1);
            assert!(events.is_empty());
            let text = error.to_string();
            assert!(text.starts_with("norm: "), "{text}");
            Some(text)
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn batch_norm_over_one_value_is_refused_with_what_to_change() {
    let refused = |changes: &[&str], examples: usize, helpers: usize, says: &str| {
        let text = refusal(changes, examples, helpers).unwrap_or_else(|| panic!("{changes:?}"));
        assert!(text.contains(says), "{text}");
    };
    // The last batch of an epoch.
    refused(
        &[],
        33,
        0,
        "an epoch of 33 examples ends with a batch of 1;",
    );
    refused(&[], 33, 0, "train.drop_last = true");
    refused(&[], 1, 0, "more examples are needed");
    // Of a whole batch.
    refused(
        &["train.batch_size=1"],
        33,
        0,
        "set a larger train.batch_size",
    );
    refused(
        &["train.micro_batch_size=5"],
        64,
        0,
        "train.micro_batch_size = 5 leaves a part of 1; set another train.micro_batch_size",
    );
    refused(
        &["train.micro_batch_size=1"],
        64,
        0,
        "set another train.micro_batch_size",
    );
    // Of a last batch of five.
    refused(&["train.micro_batch_size=4"], 21, 0, "a batch of 5");
    // The shares of devices.
    refused(&["train.batch_size=3"], 30, 1, "a share of 2 devices is 1");
    refused(&[], 16 + 3, 1, "a batch of 3");
    for (changes, examples, helpers) in [
        (&[][..], 34, 0),
        (&["train.drop_last=true"], 33, 0),
        // It ends before the epoch does.
        (&["train.steps=2"], 33, 0),
        (&["train.micro_batch_size=4"], 64, 0),
        (&["train.micro_batch_size=4", "train.drop_last=true"], 21, 0),
        (&["train.batch_size=4"], 40, 1),
    ] {
        assert_eq!(refusal(changes, examples, helpers), None, "{changes:?}");
    }
}

#[test]
fn dropping_the_last_batch_leaves_whole_ones_and_refuses_to_leave_none() {
    let recipe = recipe(&[
        "train.drop_last=true",
        "train.epochs=3",
        "train.log_every_steps=1",
    ]);
    let task = classify();
    let training = |examples: usize| Training {
        train: Points::new(examples),
        ..Training::new(&recipe, &task)
    };
    let fitted = training(47).go().0.unwrap();
    assert_eq!((fitted.steps, fitted.spent.samples), (6, 96));
    let error = training(15).go().0.unwrap_err();
    assert!(matches!(error, FitError::NoWholeBatch { .. }), "{error}");
    assert!(error.to_string().contains("15 examples"), "{error}");
}

/// Pictures of a size, all of one colour or noise.
struct Pictures {
    side: usize,
    value: f32,
}

impl Source for Pictures {
    fn len(&self) -> usize {
        9
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let (b, side) = (indices.len(), self.side);
        let pixels = TensorData::new(vec![self.value; b * side * side], [b, 1, side, side]);
        let labels = TensorData::new(vec![1_i32; b], [b]);
        Ok(Batch::new(b).with("points", pixels).with("labels", labels))
    }
}

/// A convolution of each size, a norm after it, and a head.
#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
    shrink: Conv2d,
    last: BatchNorm,
    head: Linear,
}

impl Net {
    fn new() -> Self {
        let device = Device::flex();
        let conv = |channels, stride| {
            Conv2dConfig::new(channels, [3, 3])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(&device)
        };
        Self {
            conv: conv([1, 4], 1),
            norm: BatchNormConfig::new(4).init(&device),
            shrink: conv([4, 4], 2),
            last: BatchNormConfig::new(4).init(&device),
            head: LinearConfig::new(4, 2).init(&device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.norm.forward(self.conv.forward(images));
        let x = self.last.forward(self.shrink.forward(x));
        self.head.forward(x.mean_dim(3).mean_dim(2).flatten(1, 3))
    }
}

#[test]
fn what_counts_is_the_size_of_the_map_that_a_norm_sees() {
    let train = |recipe: &Recipe, side: usize, value: f32| {
        let fit = Fit {
            recipe,
            task: &Classify(Net::forward),
            feed: Box::new(Examples::new(Arc::new(Pictures { side, value }))),
            judge: None,
            device: &Device::flex(),
            helpers: Helpers::default(),
            run: None,
            resume: None,
            stop: None,
            watch: &mut |_| {},
        };
        fit.train(Net::new()).map(|_| ())
    };
    // Nine pictures are two batches of four and one of one.
    let plain = recipe(&["train.batch_size=4", "train.steps=6"]);
    // The second norm sees 2x2, or 1x1.
    train(&plain, 4, 0.5).unwrap();
    let error = train(&plain, 2, 0.5).unwrap_err().to_string();
    assert!(error.starts_with("last: batch norm"), "{error}");
    // A black picture has no variance either, and is none of this.
    train(&plain, 4, 0.0).unwrap();
    // A norm that is frozen uses what it knows.
    let frozen = ["finetune.freeze=['last.*']"];
    let frozen = recipe(&[&["train.batch_size=4", "train.steps=6"], &frozen[..]].concat());
    train(&frozen, 2, 0.5).unwrap();
}
