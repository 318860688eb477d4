//! Optimizer steps in one pass over memory.

use multiversion::multiversion;

use super::matrix::{MatMut, over_rows, threads_for};
use super::memory::{Values, changed, contiguous, slice};
use crate::{AdamStep, MomentumStep};

/// Changes equally long tensors in parts, along with those of `grad`.
fn step<const N: usize>(
    tensors: [Values; N],
    grad: Values,
    change: &(impl Fn([&mut [f32]; N], &[f32]) + Sync),
) -> [Values; N] {
    /// Elements of a part.
    const PART: usize = 1 << 14;
    let grad = contiguous(grad);
    let grad = slice(&grad);
    let mut tensors = tensors.map(|tensor| changed(tensor, |_| {}));
    let whole = tensors.each_mut().map(|tensor| {
        let elements: &mut [f32] = tensor.storage_mut();
        assert!(elements.len() == grad.len());
        MatMut::new(elements, grad.len(), 1)
    });
    over_rows(whole, PART, threads_for(4 * grad.len()), &|first, parts| {
        let parts = parts.map(MatMut::into_slice);
        let grad = &grad[first..][..parts[0].len()];
        change(parts, grad);
    });
    tensors
}

/// `parameter -= rate·(grad + decay·parameter)`
pub(crate) fn sgd(parameter: Values, grad: Values, rate: f32, decay: f32) -> Values {
    let [parameter] = step([parameter], grad, &|[parameter], grad| {
        sgd_part(parameter, grad, rate, decay);
    });
    parameter
}

#[multiversion(targets = "simd")]
fn sgd_part(parameter: &mut [f32], grad: &[f32], rate: f32, decay: f32) {
    for (p, g) in parameter.iter_mut().zip(grad) {
        *p -= rate * (g + decay * *p);
    }
}

/// One step with momentum on a parameter and its velocity; see [`MomentumStep`].
pub(crate) fn momentum(tensors: [Values; 2], grad: Values, how: MomentumStep) -> [Values; 2] {
    step(tensors, grad, &|tensors, grad| {
        momentum_part(tensors, grad, how)
    })
}

#[multiversion(targets = "simd")]
fn momentum_part([parameter, velocity]: [&mut [f32]; 2], grad: &[f32], how: MomentumStep) {
    let rate = how.rate as f32;
    // What is added of the gradient to get ahead of the velocity.
    let (ahead, along) = if how.nesterov {
        (1.0, how.momentum)
    } else {
        (0.0, 1.0)
    };
    for ((p, v), g) in parameter.iter_mut().zip(velocity).zip(grad) {
        let g = g + how.decay * *p;
        *v = g + how.momentum * *v;
        *p -= rate * (along * *v + ahead * g);
    }
}

/// One step of Adam or AdamW on a parameter and its moments; see [`AdamStep`].
pub(crate) fn adam(tensors: [Values; 3], grad: Values, how: AdamStep) -> [Values; 3] {
    let time = how.time as i32;
    // In single precision, as Burn has them: early on they are off by 1e-5, and a backend that had
    // them right would leave the others' path.
    let correction_1 = f64::from(1.0 - how.beta_1.powi(time));
    let correction_2 = f64::from(1.0 - how.beta_2.powi(time));
    let factors = AdamFactors {
        keep: (1.0 - how.rate * f64::from(how.decoupled_decay)) as f32,
        rate: (how.rate / correction_1) as f32,
        root: (1.0 / correction_2.sqrt()) as f32,
    };
    step(tensors, grad, &|tensors, grad| {
        adam_part(tensors, grad, how, factors)
    })
}

/// What is the same for all elements in a step.
#[derive(Clone, Copy)]
struct AdamFactors {
    /// Of the parameter, after decoupled decay.
    keep: f32,
    /// The rate, with the first moment's correction.
    rate: f32,
    /// The second moment's correction, of its root.
    root: f32,
}

#[multiversion(targets = "simd")]
fn adam_part(
    [parameter, first, second]: [&mut [f32]; 3],
    grad: &[f32],
    how: AdamStep,
    factors: AdamFactors,
) {
    let (rest_1, rest_2) = (1.0 - how.beta_1, 1.0 - how.beta_2);
    for (((p, m), v), g) in parameter.iter_mut().zip(first).zip(second).zip(grad) {
        let g = g + how.coupled_decay * *p;
        *m = how.beta_1 * *m + rest_1 * g;
        *v = how.beta_2 * *v + rest_2 * g * g;
        *p = factors.keep * *p - factors.rate * *m / (v.sqrt() * factors.root + how.epsilon);
    }
}
