//! What is learned: from batches to a loss, and to the metrics of a whole split.
//!
//! The loop knows no task. What is special about one (the columns of its batches, its loss, its
//! metrics) is behind this trait; the rooms of the zoo are in the crate `zoo-tasks`.

use burn::tensor::{Device, Tensor};

use crate::batch::Batch;
use crate::metric::{Metric, Metrics};

/// What the loop asks of a problem.
pub trait Task<M>: Send + Sync {
    /// What a split like the one of `example` is judged by.
    fn metrics(&self, example: &Batch) -> Vec<Metric>;

    /// The mean loss over the batch's [weight](Batch::weight), `[1]`, on an autodiff device.
    fn loss(&self, model: &M, batch: Batch, device: &Device) -> Tensor<1>;

    /// Sums over a split, from which its metrics are made.
    fn tally(&self) -> Box<dyn Tally<M> + '_>;
}

/// Sums over a split. Batches of any size must come to the same metrics.
pub trait Tally<M> {
    /// Judges the model on a batch, on a device without autodiff.
    fn add(&mut self, model: &M, batch: Batch, device: &Device);

    /// The metrics of all that was added. What only helps training, such as label smoothing, is in
    /// none of them.
    fn metrics(&self) -> Metrics;
}
