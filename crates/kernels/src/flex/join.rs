//! A map brought to twice its size and joined with another: what a U-Net does at every resolution.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use multiversion::multiversion;
use rayon::prelude::*;

use super::Saved;
use super::matrix::{grain, threads_for};
use super::memory::{Blank, Values, contiguous, dims, slice, unwritten, written};

// b batch, c and d channels, h height, w width

/// What the backward pass needs: the sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Join {
    batch: usize,
    /// Of the map that is as large already, and of the other.
    channels: [usize; 2],
    large: [usize; 2],
    small: [usize; 2],
}

impl Join {
    /// Elements of a plane of the large map, and of the small one.
    fn pixels(&self) -> [usize; 2] {
        [self.large, self.small].map(|[height, width]| height * width)
    }

    /// The place of a plane of the result: of which map it is, and which plane there.
    fn origin(&self, at: usize) -> (usize, usize) {
        let [first, second] = self.channels;
        let (example, channel) = (at / (first + second), at % (first + second));
        match channel < first {
            true => (0, example * first + channel),
            false => (1, example * second + channel - first),
        }
    }

    fn threads(&self) -> usize {
        threads_for(2 * self.batch * self.channels.iter().sum::<usize>() * self.pixels()[0])
    }
}

/// `skip [b, c, h, w]`, `x [b, d, h/2, w/2]` -> `[b, c + d, h, w]`
pub(crate) fn forward(skip: Values, x: Values) -> (Values, Join) {
    let (skip, x) = (contiguous(skip), contiguous(x));
    let [batch, of_skip, height, width] = dims(&skip);
    let [of_batch, of_x, small_height, small_width] = dims(&x);
    let join = Join {
        batch,
        channels: [of_skip, of_x],
        large: [height, width],
        small: [small_height, small_width],
    };
    assert!(
        batch == of_batch && join.small == join.large.map(|side| side / 2),
        "{of_batch} maps of {:?} beside {batch} of {:?}",
        join.small,
        join.large
    );
    let [pixels, small_pixels] = join.pixels();
    let planes = batch * (of_skip + of_x);
    let mut out = unwritten(planes * pixels);
    if !out.is_empty() {
        (out.par_chunks_exact_mut(pixels))
            .enumerate()
            .with_min_len(grain(join.threads(), planes))
            .for_each(|(at, out)| match join.origin(at) {
                (0, plane) => {
                    out.write_copy_of_slice(&slice(&skip)[plane * pixels..][..pixels]);
                }
                (_, plane) => {
                    let plane = &slice(&x)[plane * small_pixels..][..small_pixels];
                    double(out, plane, width);
                }
            });
    }
    // SAFETY: every plane was written.
    let out = unsafe { written(out, [batch, of_skip + of_x, height, width]) };
    (out, join)
}

/// Every pixel as 2x2 equal ones; the last row or column of an odd size is zero.
#[multiversion(targets = "simd")]
fn double(out: &mut [Blank], plane: &[f32], width: usize) {
    if plane.is_empty() {
        out.fill(Blank::new(0.0));
        return;
    }
    let (whole, last_row) = out.split_at_mut(out.len() / (2 * width) * (2 * width));
    let rows = plane.chunks_exact(width / 2);
    for (pair, row) in whole.chunks_exact_mut(2 * width).zip(rows) {
        let (upper, lower) = pair.split_at_mut(width);
        let (doubled, last) = upper.as_chunks_mut::<2>();
        for ([a, b], value) in doubled.iter_mut().zip(row) {
            a.write(*value);
            b.write(*value);
        }
        last.fill(Blank::new(0.0));
        lower.copy_from_slice(upper);
    }
    last_row.fill(Blank::new(0.0));
}

/// The gradient of what was doubled: of each pixel, the sum of its four.
#[multiversion(targets = "simd")]
fn halve(plane: &mut [Blank], grad: &[f32], width: usize) {
    let rows = plane.chunks_exact_mut((width / 2).max(1));
    for (row, pair) in rows.zip(grad.chunks_exact(2 * width)) {
        let (upper, lower) = pair.split_at(width);
        let (upper, lower) = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0);
        for (sum, ([a, b], [c, d])) in row.iter_mut().zip(upper.iter().zip(lower)) {
            sum.write(a + b + c + d);
        }
    }
}

impl Saved for Join {
    /// Gradients of `skip` and `x`.
    fn backward(self, grad: Values, wanted: &[bool]) -> Vec<Option<Values>> {
        let grad = contiguous(grad);
        let [pixels, small_pixels] = self.pixels();
        let [of_skip, of_x] = self.channels;
        let of = |channels: usize, plane: usize, first: usize| {
            let at = plane / channels * (of_skip + of_x) + first + plane % channels;
            &slice(&grad)[at * pixels..][..pixels]
        };
        let shape = |channels, [height, width]: [usize; 2]| [self.batch, channels, height, width];
        let for_skip = wanted[0].then(|| {
            let mut out = unwritten(self.batch * of_skip * pixels);
            (out.par_chunks_exact_mut(pixels.max(1)))
                .enumerate()
                .with_min_len(grain(self.threads(), self.batch * of_skip))
                .for_each(|(plane, out)| {
                    out.write_copy_of_slice(of(of_skip, plane, 0));
                });
            // SAFETY: every plane was written.
            unsafe { written(out, shape(of_skip, self.large)) }
        });
        let for_x = wanted[1].then(|| {
            let mut out = unwritten(self.batch * of_x * small_pixels);
            (out.par_chunks_exact_mut(small_pixels.max(1)))
                .enumerate()
                .with_min_len(grain(self.threads(), self.batch * of_x))
                .for_each(|(plane, out)| halve(out, of(of_x, plane, of_skip), self.large[1]));
            // SAFETY: every plane was written: it has a row for each pair of the large one's.
            unsafe { written(out, shape(of_x, self.small)) }
        });
        vec![for_skip, for_x]
    }
}
