//! Tasks: what is learned from a batch. A task turns host memory into tensors, calls the model
//! through a plain function, and gives a loss to train on or a score to judge by.
//!
//! The function is the whole contract with a model (`fn(&M, Tensor<4>) -> Tensor<2>`), so a model
//! needs no trait of this crate.

// b batch, t time, k classes or vocabulary, n scored targets

use std::ops::Range;
use std::time::SystemTime;

use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::metric::Score;
use crate::recipe::{LossName, TaskConfig};

/// A batch in host memory, as loader threads assemble it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The model's input: floats `[b, c, h, w]`, or token ids `[b, t]`.
    pub input: TensorData,
    /// The scored targets, class or token ids `[n]`, in the order of the logits' rows.
    pub target: TensorData,
    /// Which rows of the flattened logits `[b * t, k]` are scored; all of them if `None`.
    pub scored: Option<TensorData>,
}

impl Batch {
    /// Examples in the batch.
    pub fn examples(&self) -> usize {
        self.input.shape()[0]
    }

    /// Scored targets in the batch: what its mean loss is a mean over.
    pub fn targets(&self) -> usize {
        self.target.shape()[0]
    }
}

/// What the loop asks of a problem.
pub trait Task<M>: Send + Sync {
    /// The mean loss over the batch's targets, `[1]`, on an autodiff device.
    fn loss(&self, model: &M, batch: Batch, device: &Device) -> Tensor<1>;

    /// Sums over the batch's targets from which metrics are made. The loss in it is plain: what only
    /// helps training, such as label smoothing, is left out.
    fn score(&self, model: &M, batch: Batch, device: &Device) -> Score;

    /// How many of a batch's targets in a row [`score`](Self::score) takes for one example's; where
    /// they are several, there is a metric more.
    fn targets_per_example(&self, _batch: &Batch) -> usize {
        1
    }
}

/// A model's input, made from a batch.
pub trait Input {
    /// Puts host memory onto a device.
    fn from_data(data: TensorData, device: &Device) -> Self;
}

impl<const D: usize> Input for Tensor<D> {
    fn from_data(data: TensorData, device: &Device) -> Self {
        Tensor::from_data(data, device)
    }
}

impl<const D: usize> Input for Tensor<D, Int> {
    fn from_data(data: TensorData, device: &Device) -> Self {
        Tensor::from_data(data, device)
    }
}

/// One of `k` classes for each row of logits `[n, k]`: for each example, or for each of its pixels.
pub struct Classify<M, I> {
    forward: Forward<M, I>,
    config: TaskConfig,
}

type Forward<M, I> = Box<dyn Fn(&M, I) -> Tensor<2> + Send + Sync>;

impl<M, I> Classify<M, I> {
    /// A classification with the given forward pass and loss.
    pub fn new(
        forward: impl Fn(&M, I) -> Tensor<2> + Send + Sync + 'static,
        config: TaskConfig,
    ) -> Self {
        Self {
            forward: Box::new(forward),
            config,
        }
    }
}

impl<M, I: Input> Task<M> for Classify<M, I> {
    fn loss(&self, model: &M, batch: Batch, device: &Device) -> Tensor<1> {
        let target = Tensor::from_data(batch.target, device);
        let logits = (self.forward)(model, I::from_data(batch.input, device));
        loss(&self.config, logits, target)
    }

    fn score(&self, model: &M, batch: Batch, device: &Device) -> Score {
        let target = Tensor::from_data(batch.target, device);
        let logits = (self.forward)(model, I::from_data(batch.input, device));
        let mean_loss = plain_loss(&self.config, logits.clone(), target.clone());
        Score::new(mean_loss, hits(logits, target), 1)
    }
}

/// The next token at every scored position, from logits `[b, t, k]`.
pub struct NextToken<M> {
    forward: fn(&M, Tensor<2, Int>) -> Tensor<3>,
    config: TaskConfig,
}

impl<M> NextToken<M> {
    /// Next-token prediction with the given forward pass and loss.
    pub fn new(forward: fn(&M, Tensor<2, Int>) -> Tensor<3>, config: TaskConfig) -> Self {
        Self { forward, config }
    }

    /// Logits `[n, k]` and targets `[n]` of the scored positions.
    fn scored(&self, model: &M, batch: Batch, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let logits = (self.forward)(model, Tensor::from_data(batch.input, device));
        let logits: Tensor<2> = logits.flatten(0, 1);
        let logits = match batch.scored {
            Some(rows) => logits.select(0, Tensor::from_data(rows, device)),
            None => logits,
        };
        (logits, Tensor::from_data(batch.target, device))
    }
}

impl<M> Task<M> for NextToken<M> {
    fn loss(&self, model: &M, batch: Batch, device: &Device) -> Tensor<1> {
        let (logits, target) = self.scored(model, batch, device);
        loss(&self.config, logits, target)
    }

    fn score(&self, model: &M, batch: Batch, device: &Device) -> Score {
        let targets_per_example = self.targets_per_example(&batch);
        let (logits, target) = self.scored(model, batch, device);
        let mean_loss = plain_loss(&self.config, logits.clone(), target.clone());
        Score::new(mean_loss, hits(logits, target), targets_per_example)
    }

    /// An exact match is of an answer, where a part of the sequence is asked for; a window over
    /// running text has none.
    fn targets_per_example(&self, batch: &Batch) -> usize {
        match batch.scored {
            Some(_) => batch.targets() / batch.examples().max(1),
            None => 1,
        }
    }
}

/// The mean loss of logits `[n, k]` on class ids `[n]`.
fn loss(config: &TaskConfig, logits: Tensor<2>, target: Tensor<1, Int>) -> Tensor<1> {
    match config.loss {
        LossName::CrossEntropy => {
            if config.label_smoothing == 0.0 {
                return zoo_kernels::cross_entropy(logits, target);
            }
            CrossEntropyLossConfig::new()
                .with_smoothing(Some(config.label_smoothing as f32))
                .init(&logits.device())
                .forward(logits, target)
        }
        LossName::MeanSquaredError => {
            let [_, classes] = logits.dims();
            let one_hot = target.one_hot::<2>(classes).float();
            MseLoss::new().forward(logits, one_hot, Reduction::Mean)
        }
    }
}

/// The loss that is reported: without label smoothing, as everybody else's.
fn plain_loss(config: &TaskConfig, logits: Tensor<2>, target: Tensor<1, Int>) -> Tensor<1> {
    let plain = TaskConfig {
        label_smoothing: 0.0,
        ..config.clone()
    };
    loss(&plain, logits, target)
}

/// Whether the largest of each row's logits is the target's.
fn hits(logits: Tensor<2>, target: Tensor<1, Int>) -> Vec<bool> {
    let predicted = logits.argmax(1).flatten::<1>(0, 1);
    predicted.equal(target).into_data().iter::<bool>().collect()
}

/// Why a batch could not be assembled.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Which pass over the data a batch belongs to, for what is drawn anew each time.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// The run's seed.
    pub seed: u64,
    /// Passes completed before this one.
    pub epoch: u64,
}

/// What a system says of files: equal keys, unchanged files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// A sum of places, sizes and times.
    pub key: String,
    /// When one of them changed last.
    pub newest: SystemTime,
}

/// Examples that are assembled into batches by index, from several threads at once.
pub trait Source: Send + Sync {
    /// Examples in one pass.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Assembles the examples at `indices`, in that order. In training, `pass` seeds what is drawn
    /// anew each epoch; in evaluation it is `None` and nothing is drawn.
    ///
    /// # Errors
    /// Whatever keeps an example from being read.
    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError>;

    /// Gives `add` the bytes that these examples are made of, in order: equal bytes, equal data. What
    /// is in no example (a vocabulary, the end of a text) belongs to the first or last one. This
    /// default takes the batches of evaluation; a source whose examples are costly to make should
    /// give what it makes them of.
    ///
    /// # Errors
    /// Whatever keeps an example from being read.
    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        let indices: Vec<u32> = (examples.start as u32..examples.end as u32).collect();
        for part in indices.chunks(1024) {
            let batch = self.batch(part, None)?;
            add(batch.input.as_bytes());
            add(batch.target.as_bytes());
            if let Some(scored) = &batch.scored {
                add(scored.as_bytes());
            }
        }
        Ok(())
    }

    /// What tells that the examples are those of an earlier time, without reading them; `None` where
    /// that cannot be told for sure, or where reading is as cheap.
    fn stamp(&self) -> Option<Stamp> {
        None
    }
}
