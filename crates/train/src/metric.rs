//! Scores are sums, so that batches of any size add up to the same metrics; metrics are their means.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

/// Metrics by name, each a mean over a whole split.
pub type Metrics = BTreeMap<String, f64>;

/// Sums over scored targets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    targets: usize,
    examples: usize,
    loss_sum: f64,
    target_hits: usize,
    example_hits: usize,
}

impl Score {
    /// The score of one batch: its mean loss `[1]`, and whether each target was hit, where every
    /// `targets_per_example` in a row belong to one example.
    pub fn new(mean_loss: Tensor<1>, hits: Vec<bool>, targets_per_example: usize) -> Self {
        let loss = f64::from(mean_loss.into_scalar::<f32>());
        let examples = hits.chunks(targets_per_example.max(1));
        Self {
            targets: hits.len(),
            examples: examples.len(),
            loss_sum: loss * hits.len() as f64,
            target_hits: hits.iter().filter(|hit| **hit).count(),
            example_hits: examples.filter(|hits| hits.iter().all(|hit| *hit)).count(),
        }
    }

    /// Adds another batch.
    pub fn add(&mut self, other: Self) {
        self.targets += other.targets;
        self.examples += other.examples;
        self.loss_sum += other.loss_sum;
        self.target_hits += other.target_hits;
        self.example_hits += other.example_hits;
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
        let named = names(self.targets > self.examples).iter().zip(values);
        named
            .map(|(name, value)| ((*name).to_owned(), value))
            .collect()
    }
}

/// Every metric; the last one is of examples that have several targets.
pub const METRIC_NAMES: &[&str] = &["loss", "accuracy", "exact_match"];

/// What a score's metrics are called, where an example has several targets or one.
pub(crate) fn names(several_targets: bool) -> &'static [&'static str] {
    let count = METRIC_NAMES.len() - usize::from(!several_targets);
    &METRIC_NAMES[..count]
}

/// The first metric that is no number.
pub fn not_finite(metrics: &Metrics) -> Option<(&str, f64)> {
    let found = metrics.iter().find(|(_, value)| !value.is_finite());
    found.map(|(name, value)| (name.as_str(), *value))
}

/// Whether a metric of this name is better when it is smaller.
pub fn smaller_is_better(name: &str) -> bool {
    name == "loss"
}
