//! Cross-entropy of a softmax, which is never stored.

use burn::backend::Flex;
use burn::backend::tensor::IntTensor;
use multiversion::multiversion;
use rayon::prelude::*;

use super::Saved;
use super::matrix::{grain, threads_for};
use super::memory::{Values, changed, contiguous, dims, slice, tensor};
use super::vector::{exp, max, sum, total};

// n rows, k classes

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct CrossEntropy {
    logits: Values,
    targets: Vec<usize>,
    /// The logarithm of every row's sum of exponentials.
    log_sums: Vec<f32>,
    smoothing: f32,
}

/// `logits [n, k]`, `targets [n]`, each below k -> their mean loss `[1]`; `smoothing` of a target's
/// weight is spread over all classes
///
/// # Panics
///
/// If a target is no class.
pub(crate) fn forward(
    logits: Values,
    targets: IntTensor<Flex>,
    smoothing: f32,
) -> (Values, CrossEntropy) {
    let logits = contiguous(logits);
    let [rows, classes] = dims(&logits);
    let targets: Vec<usize> = indices(targets);
    assert!(
        targets.len() == rows,
        "{rows} rows, {} targets",
        targets.len()
    );
    if let Some(target) = targets.iter().find(|target| **target >= classes) {
        panic!("target {target} is not below the {classes} classes");
    }
    let mut log_sums = vec![0.0; rows];
    let mut losses = vec![0.0; rows];
    if rows > 0 {
        (log_sums.par_iter_mut().zip(&mut losses))
            .zip(slice(&logits).par_chunks_exact(classes).zip(&targets))
            .with_min_len(grain(threads_for(16 * rows * classes), rows))
            .for_each(|((log_sum, loss), (logits, target))| {
                *log_sum = log_sum_exp(logits);
                *loss = *log_sum - logits[*target];
                if smoothing > 0.0 {
                    let mean = total(logits) / classes as f32;
                    *loss += smoothing * (logits[*target] - mean);
                }
            });
    }
    let loss: f64 = losses.iter().copied().map(f64::from).sum();
    let saved = CrossEntropy {
        logits,
        targets,
        log_sums,
        smoothing,
    };
    (tensor(vec![(loss / rows as f64) as f32], [1]), saved)
}

/// The logarithm of a row's sum of exponentials.
#[multiversion(targets = "simd")]
pub(super) fn log_sum_exp(logits: &[f32]) -> f32 {
    let top = max(logits);
    top + sum(logits, |logit| exp(logit - top)).ln()
}

/// Each class's probability times `scale`, less `share`.
#[multiversion(targets = "simd")]
fn to_gradient(logits: &mut [f32], log_sum: f32, scale: f32, share: f32) {
    for logit in logits {
        *logit = exp(*logit - log_sum) * scale - share;
    }
}

/// Indices of whatever width; a negative one becomes one that is too large.
fn indices(targets: IntTensor<Flex>) -> Vec<usize> {
    let data = targets.into_data();
    data.iter::<i64>()
        .map(|target| usize::try_from(target).unwrap_or(usize::MAX))
        .collect()
}

impl Saved for CrossEntropy {
    /// The gradient of `logits`.
    fn backward(self, grad: Values, _: &[bool]) -> Vec<Option<Values>> {
        let Self {
            logits,
            targets,
            log_sums,
            smoothing,
        } = self;
        let [rows, classes] = dims(&logits);
        let scale = slice(&contiguous(grad))[0] / rows as f32;
        let share = scale * smoothing / classes as f32;
        let for_logits = changed(logits, |logits| {
            (logits.par_chunks_exact_mut(classes))
                .zip(&log_sums)
                .zip(&targets)
                .with_min_len(grain(threads_for(16 * rows * classes), rows))
                .for_each(|((logits, log_sum), target)| {
                    to_gradient(logits, *log_sum, scale, share);
                    logits[*target] -= scale * (1.0 - smoothing);
                });
        });
        vec![Some(for_logits)]
    }
}
