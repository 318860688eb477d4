//! Why a run ended without a result.

use std::fmt;

use burn::store::RecordError;
use zoo_weights::WeightsError;

use crate::breakdown::Breakdown;
use crate::run_file::{RunError, advice_on};
use crate::source::SourceError;

/// Why a run ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The loss, the gradient or the weights became NaN or infinite. Of the first two, no update was
    /// made; nothing that is not finite was kept.
    #[error(
        "{what} at step {step} (loss {loss}, learning rate {learning_rate:.3e}{}); \
         try a lower optimizer.learning_rate, schedule.warmup_steps or train.clip_norm{}",
        gradient_norm.map_or(String::new(), |norm| format!(", gradient norm {norm:.3e}")),
        kept.as_ref().map_or(String::new(), |path| format!("; the last good checkpoint is {path}"))
    )]
    Diverged {
        /// What is not finite.
        what: NotFinite,
        /// The step at which it is, from 1.
        step: usize,
        /// Its loss.
        loss: f64,
        /// Its learning rate.
        learning_rate: f64,
        /// Length of its gradient, where it was measured.
        gradient_norm: Option<f64>,
        /// The last checkpoint.
        kept: Option<String>,
    },
    /// What the steps led to is no model that could be kept.
    #[error(
        "{problem}; try a lower optimizer.learning_rate, schedule.warmup_steps or train.clip_norm{}",
        kept.as_ref().map_or(String::new(), |path| format!("; the last checkpoint is {path}"))
    )]
    NoResult {
        /// What is wrong with it.
        problem: String,
        /// The last checkpoint.
        kept: Option<String>,
    },
    /// The device, or code that computes on it, panicked.
    #[error("{}", broken(*doing, *step, message, *batch, kept.as_deref()))]
    Broken {
        /// What was being done.
        doing: Doing,
        /// Steps done before.
        step: usize,
        /// The panic's first line.
        message: Breakdown,
        /// Examples at once.
        batch: usize,
        /// The last checkpoint.
        kept: Option<String>,
    },
    /// It was asked to stop.
    #[error(
        "interrupted after step {step}{}",
        kept.as_ref().map_or(String::new(), |path| format!("; it is kept in {path}"))
    )]
    Interrupted {
        /// Steps done.
        step: usize,
        /// The checkpoint that was written.
        kept: Option<String>,
    },
    /// A checkpoint has the sums of its files, but not the file that the recipe needs.
    #[error("{checkpoint}: has no {file}, which the recipe needs")]
    Incomplete {
        /// The checkpoint.
        checkpoint: String,
        /// What it lacks.
        file: &'static str,
    },
    /// There is nothing to train or validate on.
    #[error("the {0} split is empty")]
    EmptySplit(&'static str),
    /// All examples together are no whole batch.
    #[error(
        "train.drop_last = true leaves nothing of {examples} examples: train.batch_size = {batch_size}; \
         set a smaller one"
    )]
    NoWholeBatch {
        /// Training examples.
        examples: usize,
        /// Examples a step.
        batch_size: usize,
    },
    /// A batch norm would normalise each channel over a single value.
    #[error(
        "{norm}: batch norm cannot train on a single value a channel, which it would make 0 whatever it \
         is; {reason}"
    )]
    SingleValue {
        /// The norm's path in the model.
        norm: String,
        /// Which step has one example, and what to change.
        reason: String,
    },
    /// The model could not be made, or not with the weights to start from.
    #[error("{0}")]
    Model(String),
    /// A batch could not be assembled.
    #[error("reading the data failed: {0}")]
    Data(SourceError),
    /// The recipe's table `finetune` does not go with this model.
    #[error("{0}")]
    Finetune(String),
    /// The recipe names a metric that its task does not have.
    #[error("train.best = {name:?}: this task has: {known}")]
    UnknownMetric {
        /// What the recipe says.
        name: String,
        /// What there is.
        known: String,
    },
    /// The run folder could not be written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Weights could not be written or read.
    #[error("{0}{advice}", advice = advice_on(.0))]
    Weights(#[from] WeightsError),
    /// Optimizer state could not be written or read.
    #[error("optimizer state: {0}{advice}", advice = advice_on(.0))]
    Optimizer(#[from] RecordError),
}

/// What became NaN or infinite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFinite {
    /// The loss of a step.
    Loss,
    /// The gradient of a step whose loss is finite, or its square, which optimizers keep.
    Gradient,
    /// The weights after a step; the first tensor that is not finite.
    Weights(String),
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => write!(f, "the loss became infinite or NaN"),
            Self::Gradient => write!(f, "the gradient, or its square, became infinite or NaN"),
            Self::Weights(name) => write!(f, "the weights became infinite or NaN ({name})"),
        }
    }
}

/// What a run was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A training step.
    Training,
    /// A validation.
    Evaluating,
}

fn broken(
    doing: Doing,
    step: usize,
    message: &Breakdown,
    batch: usize,
    kept: Option<&str>,
) -> String {
    let (when, key, same) = match doing {
        Doing::Training => (
            "in the step after",
            "train.micro_batch_size",
            ", which gives the same gradient (batch norm aside)",
        ),
        Doing::Evaluating => ("in the validation after", "train.eval_batch_size", ""),
    };
    let line = &message.line;
    let mut text = match (message.out_of_memory, batch) {
        (false, _) => format!("computing broke off {when} step {step}: {line}"),
        (true, 1) => format!(
            "the device has too little memory for one example, {when} step {step}: {line}; take a \
             smaller model, or another device"
        ),
        (true, _) => format!(
            "the device has too little memory for {batch} examples at once, {when} step {step}: \
             {line}; set {key} = {}{same}",
            batch / 2
        ),
    };
    if let Some(path) = kept {
        text += &format!("; the last checkpoint is {path}");
    }
    text
}
