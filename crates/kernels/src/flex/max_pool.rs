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
            .for_each_init(Scratch::default, |scratch, ((out, winners), plane)| {
                pool(
                    out,
                    winners,
                    plane,
                    [height, width],
                    out_shape,
                    window,
                    scratch,
                );
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
    scratch: &mut Scratch,
) {
    if window.is_quartering() {
        return quarter(out, winners, plane, width, out_width);
    }
    let lanes = Lanes::new(window, width, out_width);
    // The margins stay as they are from one plane to the next.
    scratch
        .values
        .resize(height * lanes.row(), f32::NEG_INFINITY);
    for (row, values) in
        (plane.chunks_exact(width)).zip(scratch.values.chunks_exact_mut(lanes.row()))
    {
        lanes.split(row, values);
    }
    scratch.winners.resize(out_width, 0);
    let out = filled(out, f32::NEG_INFINITY);
    let rows = out
        .chunks_exact_mut(out_width)
        .zip(winners.chunks_exact_mut(out_width));
    for (y, (out, winners)) in rows.enumerate() {
        scratch.winners.fill(0);
        for dy in 0..window.kernel[0] {
            let y = (y * window.stride[0] + dy).wrapping_sub(window.before[0]);
            if y >= height {
                continue;
            }
            let row = &scratch.values[y * lanes.row()..][..lanes.row()];
            for dx in 0..window.kernel[1] {
                let tap = (dy * window.kernel[1] + dx) as u32;
                let from = &row[lanes.start(dx)..][..out_width];
                let places = out.iter_mut().zip(&mut scratch.winners).zip(from);
                for ((out, winner), x) in places {
                    // NaN wins, and stays.
                    let wins = *x > *out || x.is_nan();
                    *out = if wins { *x } else { *out };
                    *winner = if wins { tap } else { *winner };
                }
            }
        }
        for (winner, tap) in winners.iter_mut().zip(&scratch.winners) {
            *winner = *tap as u8;
        }
    }
}

/// What a thread keeps from one plane to the next.
#[derive(Default)]
struct Scratch {
    /// Rows as [`Lanes`] lays them out.
    values: Vec<f32>,
    /// The taps of a row of results, as wide as what they are chosen with.
    winners: Vec<u32>,
}

/// A row cut by the stride: every `stride`-th column beside the one before it, so that what a tap sees is
/// one slice. Each lane has a margin for what lies left and right of the row.
#[derive(Clone, Copy)]
struct Lanes {
    stride: usize,
    before: usize,
    margin: usize,
    len: usize,
}

impl Lanes {
    fn new(window: Window, width: usize, out_width: usize) -> Self {
        let (stride, before) = (window.stride[1], window.before[1]);
        let margin = before.div_ceil(stride);
        let beyond = window.kernel[1].saturating_sub(1 + before).div_ceil(stride);
        Self {
            stride,
            before,
            margin,
            len: margin + width.div_ceil(stride).max(out_width + beyond),
        }
    }

    /// Elements of all lanes of a row.
    fn row(&self) -> usize {
        self.stride * self.len
    }

    /// Where the first window has this tap.
    fn start(&self, tap: usize) -> usize {
        let column = tap + self.margin * self.stride - self.before;
        (column % self.stride) * self.len + column / self.stride
    }

    #[inline(always)]
    fn split(&self, row: &[f32], lanes: &mut [f32]) {
        match self.stride {
            1 => lanes[self.margin..][..row.len()].copy_from_slice(row),
            2 => {
                let (pairs, rest) = row.as_chunks::<2>();
                let (even, odd) = lanes.split_at_mut(self.len);
                let (even, odd) = (&mut even[self.margin..], &mut odd[self.margin..]);
                for (([a, b], even), odd) in pairs.iter().zip(even.iter_mut()).zip(odd) {
                    (*even, *odd) = (*a, *b);
                }
                if let ([last], Some(to)) = (rest, even.get_mut(pairs.len())) {
                    *to = *last;
                }
            }
            stride => {
                for (phase, lane) in lanes.chunks_exact_mut(self.len).enumerate() {
                    let columns = row.iter().skip(phase).step_by(stride);
                    for (to, from) in lane[self.margin..].iter_mut().zip(columns) {
                        *to = *from;
                    }
                }
            }
        }
    }

    /// The opposite of [`split`](Self::split).
    #[inline(always)]
    fn join(&self, lanes: &[f32], row: &mut [Blank]) {
        match self.stride {
            2 => {
                let (even, odd) = lanes.split_at(self.len);
                let (even, odd) = (&even[self.margin..], &odd[self.margin..]);
                let (pairs, rest) = row.as_chunks_mut::<2>();
                let at = pairs.len();
                for (([a, b], even), odd) in pairs.iter_mut().zip(even).zip(odd) {
                    a.write(*even);
                    b.write(*odd);
                }
                if let ([last], Some(from)) = (rest, even.get(at)) {
                    last.write(*from);
                }
            }
            stride => {
                for (phase, lane) in lanes.chunks_exact(self.len).enumerate() {
                    let columns = row.iter_mut().skip(phase).step_by(stride);
                    for (to, from) in columns.zip(&lane[self.margin..]) {
                        to.write(*from);
                    }
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
                .for_each_init(Scratch::default, |scratch, ((plane, grad), winners)| {
                    let image = [height, width];
                    unpool(plane, grad, winners, image, self.out, self.window, scratch);
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
    [_, width]: [usize; 2],
    [out_height, out_width]: [usize; 2],
    window: Window,
    scratch: &mut Scratch,
) {
    if window.is_quartering() {
        return unquarter(filled(plane, 0.0), grad, winners, width, out_width);
    }
    let lanes = Lanes::new(window, width, out_width);
    scratch.values.resize(lanes.row(), 0.0);
    for (y, row) in plane.chunks_exact_mut(width).enumerate() {
        scratch.values.fill(0.0);
        // From the first row of windows that sees this one to the last.
        for dy in (0..window.kernel[0]).rev() {
            let Some(from) = (y + window.before[0]).checked_sub(dy) else {
                continue;
            };
            let above = from / window.stride[0];
            if !from.is_multiple_of(window.stride[0]) || above >= out_height {
                continue;
            }
            let grad = &grad[above * out_width..][..out_width];
            scratch.winners.clear();
            let seen = &winners[above * out_width..][..out_width];
            scratch
                .winners
                .extend(seen.iter().map(|tap| u32::from(*tap)));
            for dx in 0..window.kernel[1] {
                let tap = (dy * window.kernel[1] + dx) as u32;
                let to = &mut scratch.values[lanes.start(dx)..][..out_width];
                for (to, (grad, winner)) in to.iter_mut().zip(grad.iter().zip(&scratch.winners)) {
                    *to += if *winner == tap { *grad } else { 0.0 };
                }
            }
        }
        lanes.join(&scratch.values, row);
    }
}
