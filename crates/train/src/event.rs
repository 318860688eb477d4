//! What happens in a run, one event at a time: the lines of `metrics.jsonl` and of `--json`.

use serde::{Deserialize, Serialize};

use crate::metric::Metrics;

/// One event. Steps count from 1 here: step 1 is the first update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The run begins, or goes on after `step`.
    Start {
        /// Recipe, in full length.
        recipe: String,
        /// Steps done before.
        step: usize,
        /// Steps in all.
        total_steps: usize,
        /// Steps in one pass over the training data.
        steps_per_epoch: usize,
        /// Trainable numbers in the model.
        parameters: usize,
    },
    /// A step whose loss is reported.
    Step {
        /// Steps done.
        step: usize,
        /// Passes over the data done, with a fraction.
        epoch: f64,
        /// The step's mean loss.
        loss: f64,
        /// The learning rate that the step used.
        learning_rate: f64,
        /// Length of the gradient before clipping, where the recipe clips.
        gradient_norm: Option<f64>,
    },
    /// A pass over the data is complete.
    Epoch {
        /// Passes done.
        epoch: usize,
        /// Steps done.
        step: usize,
        /// Mean of the epoch's step losses.
        loss: f64,
        /// Time since the run began (or was resumed), in seconds.
        wall_seconds: f64,
    },
    /// The model was judged on the validation data.
    Validation {
        /// Steps done.
        step: usize,
        /// The validation metrics.
        metrics: Metrics,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: usize,
        /// Where it lies.
        path: String,
    },
    /// The run is over.
    Finish {
        /// The run folder.
        run: String,
        /// Metrics of the result, by `split.metric`.
        metrics: Metrics,
        /// Steps done.
        steps: usize,
        /// Whether it stopped for want of a better model.
        stopped_early: bool,
        /// Time in all, in seconds.
        wall_seconds: f64,
        /// Training examples a second, validation and checkpoints aside.
        samples_per_second: f64,
    },
}
