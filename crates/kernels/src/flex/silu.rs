//! SiLU in one pass, and one back.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use burn::backend::TensorMetadata;
use multiversion::multiversion;

use super::Saved;
use super::linear::elementwise;
use super::memory::{Blank, Values, changed, contiguous, slice, unwritten, written};
use super::vector::exp;

/// What the backward pass needs: what went in.
#[derive(Clone, Debug)]
pub(crate) struct Silu {
    x: Values,
}

/// `x` of any shape -> x / (1 + e⁻ˣ) of every element.
pub(crate) fn forward(x: Values) -> (Values, Silu) {
    let x = contiguous(x);
    let mut out = unwritten(slice(&x).len());
    elementwise(&mut out, slice(&x), silu);
    // SAFETY: `silu` writes each part, which is as long as that of `x`.
    let out = unsafe { written(out, x.shape()) };
    (out, Silu { x })
}

#[multiversion(targets = "simd")]
fn silu(out: &mut [Blank], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        out.write(x / (1.0 + exp(-x)));
    }
}

impl Saved for Silu {
    /// The gradient of `x`.
    fn backward(self, grad: Values, _: &[bool]) -> Vec<Option<Values>> {
        let grad = contiguous(grad);
        let for_x = changed(self.x, |x| elementwise(x, slice(&grad), slope));
        vec![Some(for_x)]
    }
}

#[multiversion(targets = "simd")]
fn slope(x: &mut [f32], grad: &[f32]) {
    for (x, grad) in x.iter_mut().zip(grad) {
        let sigmoid = 1.0 / (1.0 + exp(-*x));
        *x = grad * sigmoid * (1.0 + *x * (1.0 - sigmoid));
    }
}
