//! Batch norm (Ioffe and Szegedy 2015) while training, with a residual and ReLU after it: each
//! channel is read from memory once, and stays in the second-level cache for its three passes.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use multiversion::multiversion;
use rayon::prelude::*;

use super::Saved;
use super::matrix::{Mat, MatMut, grain, threads_for};
use super::memory::{Blank, Values, contiguous, dims, slice, tensor, unwritten, written};
use super::vector::{sum, sum2, total};

// b batch, c channels, p pixels

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct BatchNorm {
    x: Values,
    gain: Values,
    /// Each channel's mean and reciprocal deviation.
    moments: Vec<[f32; 2]>,
    /// The result, where ReLU was applied.
    out: Option<Values>,
}

/// The result, and each channel's mean and (biased) variance.
pub(crate) struct Normed {
    pub(crate) out: Values,
    pub(crate) mean: Values,
    pub(crate) variance: Values,
}

/// `x [b, c, h, w]`, `gain [c]`, `bias [c]`, `residual` as x -> as x
pub(crate) fn forward(
    x: Values,
    gain: Values,
    bias: Values,
    residual: Option<Values>,
    epsilon: f32,
    relu: bool,
) -> (Normed, BatchNorm) {
    let (x, gain, bias) = (contiguous(x), contiguous(gain), contiguous(bias));
    let residual = residual.map(contiguous);
    let [batch, channels, height, width] = dims(&x);
    let pixels = height * width;
    let mut out = unwritten(batch * channels * pixels);
    let threads = threads_for(8 * out.len());
    let whole = Mat::new(slice(&x), batch, channels * pixels);
    let residual = residual
        .as_ref()
        .map(|all| Mat::new(slice(all), batch, channels * pixels));
    let moments: Vec<[f32; 2]> = MatMut::new(&mut out, batch, channels * pixels)
        .into_columns(pixels)
        .into_par_iter()
        .enumerate()
        .with_min_len(grain(threads, channels))
        .map(|(channel, mut out)| {
            let x = whole.columns(channel * pixels, pixels);
            let residual = residual.map(|all| all.columns(channel * pixels, pixels));
            let count = (batch * pixels) as f32;
            let rows = || (0..batch).map(|row| x.row(row));
            let mean = rows().map(total).sum::<f32>() / count;
            let variance = rows().map(|row| spread(row, mean)).sum::<f32>() / count;
            let scale = slice(&gain)[channel] / (variance + epsilon).sqrt();
            let bias = slice(&bias)[channel];
            for row in 0..batch {
                let residual = residual.map(|residual| residual.row(row));
                normalise(
                    out.row(row),
                    x.row(row),
                    residual,
                    [mean, scale, bias],
                    relu,
                );
            }
            [mean, variance]
        })
        .collect();
    // SAFETY: `normalise` wrote every row of every channel.
    let out = unsafe { written(out, [batch, channels, height, width]) };
    let part = |part: usize| {
        tensor(
            moments.iter().map(|moments| moments[part]).collect(),
            [channels],
        )
    };
    let normed = Normed {
        out: out.clone(),
        mean: part(0),
        variance: part(1),
    };
    let moments = moments
        .into_iter()
        .map(|[mean, variance]| [mean, 1.0 / (variance + epsilon).sqrt()])
        .collect();
    let saved = BatchNorm {
        x,
        gain,
        moments,
        out: relu.then_some(out),
    };
    (normed, saved)
}

#[multiversion(targets = "simd")]
fn spread(row: &[f32], mean: f32) -> f32 {
    sum(row, |x| (x - mean) * (x - mean))
}

#[multiversion(targets = "simd")]
fn normalise(
    out: &mut [Blank],
    x: &[f32],
    residual: Option<&[f32]>,
    [mean, scale, bias]: [f32; 3],
    relu: bool,
) {
    let least = if relu { 0.0 } else { f32::NEG_INFINITY };
    match residual {
        Some(residual) => {
            for ((out, x), residual) in out.iter_mut().zip(x).zip(residual) {
                let value = (x - mean) * scale + bias + residual;
                out.write(if value < least { least } else { value });
            }
        }
        None => {
            for (out, x) in out.iter_mut().zip(x) {
                let value = (x - mean) * scale + bias;
                out.write(if value < least { least } else { value });
            }
        }
    }
}

impl Saved for BatchNorm {
    /// Gradients of `x`, `gain`, `bias` and the residual.
    fn backward(self, grad: Values, wanted: &[bool]) -> Vec<Option<Values>> {
        let Self {
            x,
            gain,
            moments,
            out,
        } = self;
        let [batch, channels, height, width] = dims(&x);
        let shape = [batch, channels, height, width];
        let pixels = height * width;
        let grad = match out {
            Some(out) => super::linear::through_relu(contiguous(grad), &out),
            None => contiguous(grad),
        };
        let mut for_x = unwritten(batch * channels * pixels);
        let whole = Mat::new(slice(&x), batch, channels * pixels);
        let grads = Mat::new(slice(&grad), batch, channels * pixels);
        let threads = threads_for(8 * for_x.len());
        let sums: Vec<[f32; 2]> = MatMut::new(&mut for_x, batch, channels * pixels)
            .into_columns(pixels)
            .into_par_iter()
            .enumerate()
            .with_min_len(grain(threads, channels))
            .map(|(channel, mut out)| {
                let x = whole.columns(channel * pixels, pixels);
                let grad = grads.columns(channel * pixels, pixels);
                let [mean, scale] = moments[channel];
                let rows = || (0..batch).map(|row| (x.row(row), grad.row(row)));
                let for_bias = rows().map(|(_, grad)| total(grad)).sum::<f32>();
                let along = rows().map(|(x, grad)| along(x, grad, mean)).sum::<f32>();
                let for_gain = along * scale;
                let count = (batch * pixels) as f32;
                let factors = [
                    slice(&gain)[channel] * scale,
                    for_bias / count,
                    for_gain * scale / count,
                ];
                for row in 0..batch {
                    slope(out.row(row), x.row(row), grad.row(row), mean, factors);
                }
                [for_gain, for_bias]
            })
            .collect();
        let part = |part: usize| {
            let sums = sums.iter().map(|sums| sums[part]).collect();
            Some(tensor(sums, [channels]))
        };
        // SAFETY: `slope` wrote every row of every channel.
        let for_x = unsafe { written(for_x, shape) };
        let mut found = vec![Some(for_x), part(0), part(1)];
        if wanted.len() > 3 {
            found.push(Some(grad));
        }
        found
    }
}

#[multiversion(targets = "simd")]
fn along(x: &[f32], grad: &[f32], mean: f32) -> f32 {
    sum2(x, grad, |x, grad| (x - mean) * grad)
}

#[multiversion(targets = "simd")]
fn slope(out: &mut [Blank], x: &[f32], grad: &[f32], mean: f32, factors: [f32; 3]) {
    let [scale, common, along] = factors;
    for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
        out.write(scale * (grad - common - (x - mean) * along));
    }
}
