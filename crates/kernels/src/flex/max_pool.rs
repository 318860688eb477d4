//! Max pooling that remembers which tap won.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use multiversion::multiversion;
use rayon::prelude::*;

use super::Saved;
use super::matrix::{grain, threads_for};
use super::memory::{Blank, Values, contiguous, dims, filled, slice, unwritten, written};
use super::window::Window;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct MaxPool {
    /// The tap of each result, counted in rows of the window.
    winners: Vec<u8>,
    shape: [usize; 4],
    out: [usize; 2],
    window: Window,
}

/// `x [b, c, h, w]` -> `[b, c, rows, columns]`; a window has at most 256 taps.
pub(crate) fn forward(x: Values, window: Window) -> (Values, MaxPool) {
    let x = contiguous(x);
    let shape: [usize; 4] = dims(&x);
    let [batch, channels, height, width] = shape;
    let out_shape = window.positions([height, width]);
    let pixels = out_shape[0] * out_shape[1];
    let mut out = unwritten(batch * channels * pixels);
    let mut winners = vec![0; out.len()];
    let threads = threads_for(4 * slice(&x).len());
    if pixels > 0 {
        (out.par_chunks_exact_mut(pixels))
            .zip(winners.par_chunks_exact_mut(pixels))
            .zip(slice(&x).par_chunks_exact(height * width))
            .with_min_len(grain(threads, batch * channels))
            .for_each(|((out, winners), plane)| {
                pool(out, winners, plane, [height, width], out_shape, window);
            });
    }
    // SAFETY: `pool` wrote every plane.
    let out = unsafe { written(out, [batch, channels, out_shape[0], out_shape[1]]) };
    let saved = MaxPool {
        winners,
        shape,
        out: out_shape,
        window,
    };
    (out, saved)
}

#[multiversion(targets = "simd")]
fn pool(
    out: &mut [Blank],
    winners: &mut [u8],
    plane: &[f32],
    [height, width]: [usize; 2],
    [_, out_width]: [usize; 2],
    window: Window,
) {
    if window.is_quartering() {
        return quarter(out, winners, plane, width, out_width);
    }
    let out = filled(out, f32::NEG_INFINITY);
    let rows = out
        .chunks_exact_mut(out_width)
        .zip(winners.chunks_exact_mut(out_width));
    for (y, (out, winners)) in rows.enumerate() {
        for dy in 0..window.kernel[0] {
            let y = (y * window.stride[0] + dy).wrapping_sub(window.before[0]);
            if y >= height {
                continue;
            }
            for dx in 0..window.kernel[1] {
                let (start, end, place) = window.reach(1, dx, out_width, width);
                let from = &plane[y * width + place..(y + 1) * width];
                let tap = (dy * window.kernel[1] + dx) as u8;
                let from = from.iter().step_by(window.stride[1]);
                let places = out[start..end].iter_mut().zip(&mut winners[start..end]);
                for ((out, winner), x) in places.zip(from) {
                    // NaN wins, and stays.
                    let wins = *x > *out || x.is_nan();
                    *out = if wins { *x } else { *out };
                    *winner = if wins { tap } else { *winner };
                }
            }
        }
    }
}

/// The most common window, 2x2 side by side, row pair by row pair.
#[inline(always)]
fn quarter(out: &mut [Blank], winners: &mut [u8], plane: &[f32], width: usize, out_width: usize) {
    let rows = out
        .chunks_exact_mut(out_width)
        .zip(winners.chunks_exact_mut(out_width));
    for ((out, winners), pair) in rows.zip(plane.chunks_exact(2 * width)) {
        let (upper, lower) = pair.split_at(width);
        let (upper, lower) = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0);
        let places = out.iter_mut().zip(winners).zip(upper).zip(lower);
        for (((out, winner), [a, b]), [c, d]) in places {
            // As in `pool`: the first of equals wins, and NaN does, the last of them.
            let (mut most, mut tap) = (*a, 0);
            for (x, at) in [(*b, 1), (*c, 2), (*d, 3)] {
                let wins = x > most || x.is_nan();
                most = if wins { x } else { most };
                tap = if wins { at } else { tap };
            }
            out.write(most);
            *winner = tap;
        }
    }
}

#[inline(always)]
fn unquarter(plane: &mut [f32], grad: &[f32], winners: &[u8], width: usize, out_width: usize) {
    let rows = grad
        .chunks_exact(out_width)
        .zip(winners.chunks_exact(out_width));
    for ((grad, winners), pair) in rows.zip(plane.chunks_exact_mut(2 * width)) {
        let (upper, lower) = pair.split_at_mut(width);
        for (row, first) in [(upper, 0), (lower, 2)] {
            let pairs = row.as_chunks_mut::<2>().0;
            for (([a, b], grad), winner) in pairs.iter_mut().zip(grad).zip(winners) {
                *a = if *winner == first { *grad } else { 0.0 };
                *b = if *winner == first + 1 { *grad } else { 0.0 };
            }
        }
    }
}

impl Saved for MaxPool {
    /// The gradient of `x`.
    fn backward(self, grad: Values, _: &[bool]) -> Vec<Option<Values>> {
        let grad = contiguous(grad);
        let [batch, channels, height, width] = self.shape;
        let pixels = self.out[0] * self.out[1];
        let mut for_x = unwritten(batch * channels * height * width);
        let threads = threads_for(4 * for_x.len());
        assert!(pixels > 0, "a plane without a window");
        if !for_x.is_empty() {
            (for_x.par_chunks_exact_mut(height * width))
                .zip(slice(&grad).par_chunks_exact(pixels))
                .zip(self.winners.par_chunks_exact(pixels))
                .with_min_len(grain(threads, batch * channels))
                .for_each(|((plane, grad), winners)| {
                    unpool(plane, grad, winners, [height, width], self.out, self.window);
                });
        }
        // SAFETY: `unpool` wrote every plane; there is no window without a place, so no plane is
        // without a result.
        vec![Some(unsafe { written(for_x, self.shape) })]
    }
}

#[multiversion(targets = "simd")]
fn unpool(
    plane: &mut [Blank],
    grad: &[f32],
    winners: &[u8],
    [height, width]: [usize; 2],
    [_, out_width]: [usize; 2],
    window: Window,
) {
    let plane = filled(plane, 0.0);
    if window.is_quartering() {
        return unquarter(plane, grad, winners, width, out_width);
    }
    let rows = grad
        .chunks_exact(out_width)
        .zip(winners.chunks_exact(out_width));
    for (y, (grad, winners)) in rows.enumerate() {
        for dy in 0..window.kernel[0] {
            let y = (y * window.stride[0] + dy).wrapping_sub(window.before[0]);
            if y >= height {
                continue;
            }
            for dx in 0..window.kernel[1] {
                let (start, end, place) = window.reach(1, dx, out_width, width);
                let to = &mut plane[y * width + place..(y + 1) * width];
                let tap = (dy * window.kernel[1] + dx) as u8;
                let to = to.iter_mut().step_by(window.stride[1]);
                let from = grad[start..end].iter().zip(&winners[start..end]);
                for (to, (grad, winner)) in to.zip(from) {
                    *to += if *winner == tap { *grad } else { 0.0 };
                }
            }
        }
    }
}
