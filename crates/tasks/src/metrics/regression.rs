//! Metrics of numbers: mean squared and absolute error, R2.
//!
//! As scikit-learn has them: each is computed for every output over the whole split, and the outputs
//! are averaged uniformly. So the root mean squared error is the mean of the outputs' roots, and R2
//! of outputs in unlike units is the mean of their shares of variance explained.

/// What was answered against what was true, over a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    examples: usize,
    outputs: Vec<Output>,
}

/// Sums over the examples of one output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Output {
    squared_errors: f64,
    absolute_errors: f64,
    /// The mean of the truth, and the sum of its squared distances from it, kept up as examples come
    /// (Welford 1962): a sum of squares would lose them where the truth lies far from zero.
    mean: f64,
    deviations: f64,
}

impl Regression {
    /// No example yet, of so many outputs.
    pub fn new(outputs: usize) -> Self {
        Self {
            examples: 0,
            outputs: vec![Output::default(); outputs],
        }
    }

    /// Adds one example.
    ///
    /// # Panics
    ///
    /// If either has another number of outputs.
    pub fn add(&mut self, answered: &[f32], truth: &[f32]) {
        let outputs = self.outputs.len();
        assert_eq!([answered.len(), truth.len()], [outputs; 2], "outputs");
        self.examples += 1;
        for ((output, answered), truth) in self.outputs.iter_mut().zip(answered).zip(truth) {
            output.add(
                f64::from(*answered),
                f64::from(*truth),
                self.examples as f64,
            );
        }
    }

    /// Mean squared error.
    pub fn mse(&self) -> Option<f64> {
        self.mean(1, |output, examples| output.squared_errors / examples)
    }

    /// Root mean squared error.
    pub fn rmse(&self) -> Option<f64> {
        self.mean(1, |output, examples| {
            (output.squared_errors / examples).sqrt()
        })
    }

    /// Mean absolute error.
    pub fn mae(&self) -> Option<f64> {
        self.mean(1, |output, examples| output.absolute_errors / examples)
    }

    /// The coefficient of determination, the share of the truth's variance that is explained; below 0
    /// where the truth's mean would be the better answer. Of a truth that never varies, 1 where it is
    /// met exactly and 0 otherwise. None of fewer than two examples.
    pub fn r2(&self) -> Option<f64> {
        self.mean(2, |output, _| output.r2())
    }

    /// The mean over the outputs, where there are enough examples.
    fn mean(&self, least_examples: usize, of: impl Fn(&Output, f64) -> f64) -> Option<f64> {
        if self.examples < least_examples || self.outputs.is_empty() {
            return None;
        }
        let values = self
            .outputs
            .iter()
            .map(|output| of(output, self.examples as f64));
        Some(values.sum::<f64>() / self.outputs.len() as f64)
    }
}

impl Output {
    fn add(&mut self, answered: f64, truth: f64, examples: f64) {
        self.squared_errors += (answered - truth).powi(2);
        self.absolute_errors += (answered - truth).abs();
        let from_mean = truth - self.mean;
        self.mean += from_mean / examples;
        self.deviations += from_mean * (truth - self.mean);
    }

    fn r2(&self) -> f64 {
        match (self.squared_errors > 0.0, self.deviations > 0.0) {
            (false, _) => 1.0,
            (true, false) => 0.0,
            (true, true) => 1.0 - self.squared_errors / self.deviations,
        }
    }
}
