//! Layer norm (Ba, Kiros and Hinton 2016) in one pass over memory each way.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use multiversion::multiversion;
use rayon::prelude::*;

use super::Saved;
use super::linear::add_rows;
use super::matrix::{grain, threads_for};
use super::memory::{Blank, Values, contiguous, dims, slice, tensor, unwritten, write, written};
use super::vector::{sum, sum2};

// r rows, c channels

/// Parts that rows are cut into, however many threads there are: a sum over them is then the same
/// on any machine.
const PARTS: usize = 16;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    x: Values,
    gain: Values,
    /// Mean and reciprocal deviation of every row.
    moments: Vec<[f32; 2]>,
}

/// `x [r, c]`, `gain [c]`, `bias [c]` -> `[r, c]`
pub(crate) fn forward(
    x: Values,
    gain: Values,
    bias: Option<Values>,
    epsilon: f32,
) -> (Values, LayerNorm) {
    let (x, gain, bias) = (contiguous(x), contiguous(gain), bias.map(contiguous));
    let [rows, width] = dims(&x);
    let mut out = unwritten(rows * width);
    let mut moments = vec![[0.0; 2]; rows];
    let part = rows.div_ceil(PARTS).max(1);
    let bias_values = bias.as_ref().map(slice);
    if width > 0 {
        (out.par_chunks_mut(part * width))
            .zip(slice(&x).par_chunks(part * width))
            .zip(moments.par_chunks_mut(part))
            .with_min_len(grain(threads_for(8 * rows * width), PARTS))
            .for_each(|((out, x), moments)| {
                let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
                for ((out, x), moments) in rows.zip(moments) {
                    *moments = normalise(out, x, slice(&gain), bias_values, epsilon);
                }
            });
    }
    // SAFETY: `normalise` wrote every row.
    let out = unsafe { written(out, [rows, width]) };
    (out, LayerNorm { x, gain, moments })
}

#[multiversion(targets = "simd")]
fn normalise(
    out: &mut [Blank],
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
) -> [f32; 2] {
    assert!(out.len() == x.len() && gain.len() == x.len());
    assert!(bias.is_none_or(|bias| bias.len() == x.len()));
    let width = x.len() as f32;
    let mean = sum(x, |x| x) / width;
    let variance = sum(x, |x| (x - mean) * (x - mean)) / width;
    let scale = 1.0 / (variance + epsilon).sqrt();
    match bias {
        Some(bias) => {
            for (((out, x), gain), bias) in out.iter_mut().zip(x).zip(gain).zip(bias) {
                out.write((x - mean) * scale * gain + bias);
            }
        }
        None => {
            for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
                out.write((x - mean) * scale * gain);
            }
        }
    }
    [mean, scale]
}

impl Saved for LayerNorm {
    /// Gradients of `x`, `gain` and `bias`.
    fn backward(self, grad: Values, _: &[bool]) -> Vec<Option<Values>> {
        let Self { x, gain, moments } = self;
        let [rows, width] = dims(&x);
        let grad = contiguous(grad);
        let part = rows.div_ceil(PARTS).max(1);
        let mut for_x = unwritten(rows * width);
        // The sums of each part, first those of the gain, then those of the bias.
        let mut sums = vec![0.0; rows.div_ceil(part) * 2 * width];
        if width > 0 {
            (for_x.par_chunks_mut(part * width))
                .zip(slice(&x).par_chunks(part * width))
                .zip(slice(&grad).par_chunks(part * width))
                .zip(moments.par_chunks(part))
                .zip(sums.par_chunks_mut(2 * width))
                .with_min_len(grain(threads_for(16 * rows * width), PARTS))
                .for_each(|((((out, x), grad), moments), sums)| {
                    let (for_gain, for_bias) = sums.split_at_mut(width);
                    add_rows(for_bias, grad);
                    let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
                    let rows = rows.zip(grad.chunks_exact(width)).zip(moments);
                    for (((out, x), grad), moments) in rows {
                        row_backward(out, x, grad, slice(&gain), for_gain, *moments);
                    }
                });
        }
        let mut total = vec![0.0; 2 * width];
        add_rows(&mut total, &sums);
        let for_bias = total.split_off(width);
        vec![
            // SAFETY: `row_backward` wrote every row.
            Some(unsafe { written(for_x, [rows, width]) }),
            Some(tensor(total, [width])),
            Some(tensor(for_bias, [width])),
        ]
    }
}

#[multiversion(targets = "simd")]
fn row_backward(
    out: &mut [Blank],
    x: &[f32],
    grad: &[f32],
    gain: &[f32],
    for_gain: &mut [f32],
    [mean, scale]: [f32; 2],
) {
    // `out` holds the gradient of the normalised values until their means are known.
    assert!(out.len() == grad.len() && gain.len() == grad.len());
    let out = write(out, |at| grad[at] * gain[at]);
    let width = x.len() as f32;
    let along_mean = sum(out, |g| g) / width;
    let along_x = sum2(out, x, |g, x| g * (x - mean)) * scale / width;
    for (((out, x), grad), for_gain) in out.iter_mut().zip(x).zip(grad).zip(for_gain) {
        let normalised = (x - mean) * scale;
        *out = (*out - along_mean - normalised * along_x) * scale;
        *for_gain += grad * normalised;
    }
}
