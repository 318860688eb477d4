//! A linear layer with its bias and activation: one product, and one pass over its result while it
//! is in cache.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use super::Saved;
use super::matrix::{
    Mat, MatMut, grain, over_rows, product, product_threaded, threads_for_product,
};
use super::memory::{Blank, Values, changed, contiguous, dims, slice, tensor, unwritten, written};
use super::vector::{normal, normal_by_tanh};
use multiversion::multiversion;
use rayon::prelude::*;

use crate::Activation;

// r rows, i inputs, o outputs

/// Rows of a part: a part's result stays in the second-level cache until its activation is done.
const ROWS: usize = 64;

/// Elements of a weight that fits the second-level cache beside a part's rows.
const SMALL_WEIGHT: usize = 1 << 17;

/// Rows of a part that meets a larger weight: a product packs all of that anew, which takes as long as the
/// product of 64 rows.
const MANY_ROWS: usize = 512;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    x: Values,
    weight: Values,
    /// Either GELU: what went into it. ReLU: what came out. Else nothing.
    activated: Option<Values>,
    how: How,
}

/// What kind of layer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) activation: Activation,
    /// Whether the weight is `[o, i]`, as an embedding is that serves as an output layer.
    pub(crate) transposed: bool,
}

impl How {
    /// The weight as `[i, o]`.
    fn weight(self, weight: &Values) -> Mat<'_> {
        let [first, second] = dims(weight);
        let weight = Mat::new(slice(weight), first, second);
        if self.transposed { weight.t() } else { weight }
    }

    fn outputs(self, weight: &Values) -> usize {
        let [first, second] = dims(weight);
        if self.transposed { first } else { second }
    }
}

/// `x [r, i]`, `weight [i, o]` or `[o, i]`, `bias [o]` -> `[r, o]`
pub(crate) fn forward(
    x: Values,
    weight: Values,
    bias: Option<Values>,
    how: How,
) -> (Values, Linear) {
    let activation = how.activation;
    let (x, weight, bias) = (contiguous(x), contiguous(weight), bias.map(contiguous));
    let ([rows, inputs], outputs) = (dims(&x), how.outputs(&weight));
    let mut out = unwritten(rows * outputs);
    let is_gelu = matches!(activation, Activation::Gelu | Activation::GeluTanh);
    let mut before = unwritten(if is_gelu { rows * outputs } else { 0 });
    {
        let a = Mat::new(slice(&x), rows, inputs);
        let b = how.weight(&weight);
        let bias = bias.as_ref().map(slice);
        let threads = threads_for_product(rows * inputs * outputs);
        // Few rows that meet a large weight are better shared out by its columns, before the pass:
        // each thread then reads its own part of the weight.
        let is_small = inputs * outputs <= SMALL_WEIGHT;
        let by_rows = rows >= ROWS * threads || (is_small && rows >= 16 * threads);
        let part = if is_small { ROWS } else { MANY_ROWS }.min(rows.div_ceil(threads));
        let out = MatMut::new(&mut out, rows, outputs);
        if is_gelu {
            let mut before = MatMut::new(&mut before, rows, outputs);
            if !by_rows {
                product_threaded(before.reborrow(), a, b);
            }
            over_rows([before, out], part, threads, &|first, [before, mut out]| {
                let mut before = match by_rows {
                    true => product(before, 1.0, a.rows(first, out.num_rows()), b),
                    // SAFETY: the product of the whole was written above.
                    false => unsafe { before.assume_written() },
                };
                for row in 0..out.num_rows() {
                    gelu_row(before.row(row), out.row(row), bias, activation);
                }
            });
        } else {
            let mut out = out;
            if !by_rows {
                product_threaded(out.reborrow(), a, b);
            }
            over_rows([out], part, threads, &|first, [out]| {
                let rows = out.num_rows();
                let mut out = match by_rows {
                    true => product(out, 1.0, a.rows(first, rows), b),
                    // SAFETY: the product of the whole was written above.
                    false => unsafe { out.assume_written() },
                };
                for row in 0..out.num_rows() {
                    finish_row(out.row(row), bias, activation);
                }
            });
        }
    }
    // SAFETY: every row was written, by the product or, behind GELU, by `gelu_row`.
    let out = unsafe { written(out, [rows, outputs]) };
    let activated = match activation {
        Activation::Gelu | Activation::GeluTanh => {
            // SAFETY: every row is the product's.
            Some(unsafe { written(before, [rows, outputs]) })
        }
        Activation::Relu => Some(out.clone()),
        Activation::None => None,
    };
    let saved = Linear {
        x,
        weight,
        activated,
        how,
    };
    (out, saved)
}

/// Adds the bias and applies the activation, none or ReLU.
#[multiversion(targets = "simd")]
fn finish_row(out: &mut [f32], bias: Option<&[f32]>, activation: Activation) {
    let relu = activation == Activation::Relu;
    match bias {
        Some(bias) => {
            for (out, bias) in out.iter_mut().zip(bias) {
                let value = *out + bias;
                *out = if relu { rectified(value) } else { value };
            }
        }
        None if relu => {
            for out in out {
                *out = rectified(*out);
            }
        }
        None => {}
    }
}

/// Adds the bias to what goes into GELU, and puts what comes out beside it.
#[multiversion(targets = "simd")]
fn gelu_row(before: &mut [f32], out: &mut [Blank], bias: Option<&[f32]>, activation: Activation) {
    if let Some(bias) = bias {
        for (before, bias) in before.iter_mut().zip(bias) {
            *before += bias;
        }
    }
    if activation == Activation::GeluTanh {
        for (before, out) in before.iter().zip(out) {
            out.write(before * normal_by_tanh(*before).0);
        }
    } else {
        for (before, out) in before.iter().zip(out) {
            out.write(before * normal(*before).0);
        }
    }
}

/// max(0, x), and NaN stays NaN.
#[inline(always)]
pub(crate) fn rectified(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

impl Saved for Linear {
    /// Gradients of `x`, `weight` and `bias`.
    fn backward(self, grad: Values, wanted: &[bool]) -> Vec<Option<Values>> {
        let Self {
            x,
            weight,
            activated,
            how,
        } = self;
        let ([rows, inputs], outputs) = (dims(&x), how.outputs(&weight));
        let grad = contiguous(grad);
        let grad = match (how.activation, activated) {
            (Activation::Gelu, Some(before)) => through_gelu(grad, before, gelu_slope),
            (Activation::GeluTanh, Some(before)) => through_gelu(grad, before, gelu_tanh_slope),
            (Activation::Relu, Some(out)) => through_relu(grad, &out),
            _ => grad,
        };
        let g = Mat::new(slice(&grad), rows, outputs);
        let for_x = wanted[0].then(|| {
            let mut out = unwritten(rows * inputs);
            product_threaded(
                MatMut::new(&mut out, rows, inputs),
                g,
                how.weight(&weight).t(),
            );
            // SAFETY: the product wrote the whole.
            unsafe { written(out, [rows, inputs]) }
        });
        let for_weight = wanted[1].then(|| {
            let mut out = unwritten(inputs * outputs);
            let x = Mat::new(slice(&x), rows, inputs);
            let (shape, a, b) = match how.transposed {
                true => ([outputs, inputs], g.t(), x),
                false => ([inputs, outputs], x.t(), g),
            };
            product_threaded(MatMut::new(&mut out, shape[0], shape[1]), a, b);
            // SAFETY: the product wrote the whole.
            unsafe { written(out, shape) }
        });
        let for_bias = wanted.get(2).is_some_and(|wanted| *wanted).then(|| {
            let mut out = vec![0.0; outputs];
            add_rows(&mut out, slice(&grad));
            tensor(out, [outputs])
        });
        vec![for_x, for_weight, for_bias]
    }
}

/// Adds every row of `matrix` to `sum`, on several threads where that is worth it: each has columns of its
/// own, so that a sum does not depend on how many there are.
pub(crate) fn add_rows(sum: &mut [f32], matrix: &[f32]) {
    /// Elements whose reading outlasts the waking of a thread.
    const WORTH_A_THREAD: usize = 1 << 18;
    let width = sum.len();
    let threads = rayon::current_num_threads().min(1 + matrix.len() / WORTH_A_THREAD);
    let part = width.div_ceil(threads).next_multiple_of(16);
    sum.par_chunks_mut(part.max(1))
        .with_min_len(if threads > 1 { 1 } else { usize::MAX })
        .enumerate()
        .for_each(|(number, sum)| add_columns(sum, matrix, width, number * part));
}

/// Adds columns of every row, from the first one on.
#[multiversion(targets = "simd")]
fn add_columns(sum: &mut [f32], matrix: &[f32], width: usize, first: usize) {
    if width == 0 {
        return;
    }
    // Eight rows at a time: the sum is read and written an eighth as often.
    let mut blocks = matrix.chunks_exact(8 * width);
    for block in blocks.by_ref() {
        let rows: [&[f32]; 8] =
            std::array::from_fn(|row| &block[row * width + first..][..sum.len()]);
        for (i, sum) in sum.iter_mut().enumerate() {
            let row = |row: usize| rows[row][i];
            *sum +=
                ((row(0) + row(1)) + (row(2) + row(3))) + ((row(4) + row(5)) + (row(6) + row(7)));
        }
    }
    for row in blocks.remainder().chunks_exact(width) {
        for (sum, value) in sum.iter_mut().zip(&row[first..]) {
            *sum += value;
        }
    }
}

/// The gradient of what went into GELU, in the place of what went in.
fn through_gelu(grad: Values, before: Values, slope: fn(&mut [f32], &[f32])) -> Values {
    changed(before, |before| elementwise(before, slice(&grad), slope))
}

#[multiversion(targets = "simd")]
fn gelu_slope(before: &mut [f32], grad: &[f32]) {
    for (x, grad) in before.iter_mut().zip(grad) {
        let (cdf, density) = normal(*x);
        *x = grad * (cdf + *x * density);
    }
}

#[multiversion(targets = "simd")]
fn gelu_tanh_slope(before: &mut [f32], grad: &[f32]) {
    for (x, grad) in before.iter_mut().zip(grad) {
        let (cdf, density) = normal_by_tanh(*x);
        *x = grad * (cdf + *x * density);
    }
}

/// The gradient of what went into ReLU, given what came out.
pub(crate) fn through_relu(grad: Values, out: &Values) -> Values {
    changed(grad, |grad| elementwise(grad, slice(out), relu_slope))
}

/// Keeps a gradient where something came out of ReLU.
#[multiversion(targets = "simd")]
pub(crate) fn relu_slope(grad: &mut [f32], out: &[f32]) {
    for (grad, out) in grad.iter_mut().zip(out) {
        *grad = if *out > 0.0 { *grad } else { 0.0 };
    }
}

/// Changes or writes `a` along with `b`, which is as long, in parts on all threads.
pub(crate) fn elementwise<T: Send>(a: &mut [T], b: &[f32], change: fn(&mut [T], &[f32])) {
    assert!(a.len() == b.len());
    /// Enough elements for a part to outlast the waking of a thread.
    const PART: usize = 1 << 15;
    let parts = a.len().div_ceil(PART);
    let threads = if parts > 1 {
        rayon::current_num_threads()
    } else {
        1
    };
    (a.par_chunks_mut(PART))
        .zip(b.par_chunks(PART))
        .with_min_len(grain(threads, parts))
        .for_each(|(a, b)| change(a, b));
}
