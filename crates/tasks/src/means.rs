//! The tally of answers that are right or wrong: means of a loss and of hits.

use burn::tensor::{Int, Tensor};
use zoo_train::{Metric, Metrics, Unit};

use crate::loss::LossOptions;

/// Sums over scored targets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Means {
    targets: usize,
    examples: usize,
    loss_sum: f64,
    target_hits: usize,
    example_hits: usize,
}

impl Means {
    /// What they come to. `exact_match` is of examples that have several targets.
    pub fn metrics_of(several_targets: bool) -> Vec<Metric> {
        let mut metrics = vec![
            Metric::lower("loss", Unit::Nats),
            Metric::higher("accuracy", Unit::Share),
        ];
        if several_targets {
            metrics.push(Metric::higher("exact_match", Unit::Share));
        }
        metrics
    }

    /// Adds the logits `[n, k]` of a batch, on class ids `[n]`, where every `targets_per_example` in a
    /// row belong to one example.
    pub fn add(
        &mut self,
        loss: &LossOptions,
        logits: Tensor<2>,
        target: Tensor<1, Int>,
        targets_per_example: usize,
    ) {
        let mean_loss = loss.plain().of(logits.clone(), target.clone());
        let hits = hits(logits, target);
        let loss = f64::from(mean_loss.into_scalar::<f32>());
        let examples = hits.chunks(targets_per_example.max(1));
        self.targets += hits.len();
        self.examples += examples.len();
        self.loss_sum += loss * hits.len() as f64;
        self.target_hits += hits.iter().filter(|hit| **hit).count();
        self.example_hits += examples.filter(|hits| hits.iter().all(|hit| *hit)).count();
    }

    /// `loss` and `accuracy` over the targets, and `exact_match` over the examples where an example
    /// has several targets. A decoder that is right at every position given the true prefix is
    /// right when it decodes greedily, so exact match needs no generation.
    pub fn metrics(&self) -> Metrics {
        let mean = |sum: f64, count: usize| sum / count.max(1) as f64;
        let values = [
            mean(self.loss_sum, self.targets),
            mean(self.target_hits as f64, self.targets),
            mean(self.example_hits as f64, self.examples),
        ];
        let known = Self::metrics_of(self.targets > self.examples);
        let named = known.into_iter().zip(values);
        named.map(|(metric, value)| (metric.name, value)).collect()
    }
}

/// Whether the largest of each row's logits is the target's.
fn hits(logits: Tensor<2>, target: Tensor<1, Int>) -> Vec<bool> {
    let predicted = logits.argmax(1).flatten::<1>(0, 1);
    predicted.equal(target).into_data().iter::<bool>().collect()
}
