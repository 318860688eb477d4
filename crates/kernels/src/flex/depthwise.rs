//! Depthwise convolution: each channel with a window of its own (Howard et al. 2017, section 3.1).
//!
//! A plane is laid out so that every tap of the window is the whole plane, shifted: padded, and cut
//! into phases by the remainders of rows and columns modulo the stride. The result of all rows is
//! then one long sum of shifted vectors, which stays in registers, and so are both gradients. Small planes
//! of one channel lie side by side, as one.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use multiversion::multiversion;
use rayon::prelude::*;

use super::linear::relu_slope;
use super::matrix::{MatMut, grain, threads_for};
use super::memory::{
    Blank, Values, contiguous, copy, dims, gather, slice, tensor, unwritten, written,
};
use super::vector::{sum2, total};
use super::window::{Finish, Window, finish_row};

// b batch, c channels, h height, w width

/// Elements of the planes of one phase that lie side by side: with what else a thread works on, they stay
/// in the first-level cache.
const SIDE_BY_SIDE: usize = 2048;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct Depthwise {
    x: Values,
    weight: Values,
    /// The result, where ReLU was applied.
    out: Option<Values>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    batch: usize,
    channels: usize,
    image: [usize; 2],
    out: [usize; 2],
    window: Window,
}

impl Shape {
    fn pixels(&self) -> usize {
        self.image[0] * self.image[1]
    }

    fn out_pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    fn multiplications(&self) -> usize {
        self.batch * self.channels * self.taps() * self.out_pixels()
    }

    /// Rows and elements a row of one phase.
    fn phase(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let Window { before, after, .. } = self.window;
            let padded = before[axis] + self.image[axis] + after[axis];
            padded.div_ceil(self.window.stride[axis])
        })
    }

    fn phase_len(&self) -> usize {
        let [rows, pitch] = self.phase();
        rows * pitch
    }

    fn phases(&self) -> usize {
        self.window.stride[0] * self.window.stride[1]
    }

    /// Examples whose planes lie side by side.
    fn group(&self) -> usize {
        (SIDE_BY_SIDE / self.phase_len().max(1)).clamp(1, self.batch.max(1))
    }

    /// Elements of a phase of all of them.
    fn group_len(&self) -> usize {
        self.group() * self.phase_len()
    }

    /// The examples, group by group: the first one and their number.
    fn groups(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (batch, group) = (self.batch, self.group());
        (0..batch)
            .step_by(group)
            .map(move |first| (first, group.min(batch - first)))
    }

    /// Elements from the first result of so many examples to their last, where its rows lie as far apart
    /// as a phase's.
    fn span(&self, examples: usize) -> usize {
        let [_, pitch] = self.phase();
        (examples - 1) * self.phase_len() + (self.out[0] - 1) * pitch + self.out[1]
    }

    /// Calls `copy` with each row's part in a phase: the start in the phases, where this example is the
    /// `slot`-th of its group, the number of elements, and the start in the image; the elements are a
    /// stride apart in the image.
    #[inline(always)]
    fn for_each_row(&self, slot: usize, mut copy: impl FnMut(usize, usize, usize)) {
        let ([height, width], [_, pitch]) = (self.image, self.phase());
        let (in_group, group_len) = (slot * self.phase_len(), self.group_len());
        let ([down, right], [above, left]) = (self.window.stride, self.window.before);
        let (least, longer) = (width / right, width % right);
        let (mut phase_down, mut row) = (above % down, above / down);
        for y in 0..height {
            let (mut phase_right, mut column) = (left % right, left / right);
            for offset in 0..right.min(width) {
                let phase = phase_down * right + phase_right;
                let start = phase * group_len + in_group + row * pitch + column;
                let len = least + usize::from(offset < longer);
                copy(start, len, y * width + offset);
                (phase_right, column) = next(phase_right, column, right);
            }
            (phase_down, row) = next(phase_down, row, down);
        }
    }
}

/// The phase that follows one, and the place there.
#[inline(always)]
fn next(phase: usize, place: usize, stride: usize) -> (usize, usize) {
    match phase + 1 == stride {
        true => (0, place + 1),
        false => (phase + 1, place),
    }
}

/// Where the taps of a window lie.
struct Taps {
    /// Of each tap the phase that it reads, and its shift there.
    places: Vec<(usize, usize)>,
    /// The largest shift.
    reach: usize,
}

impl Taps {
    fn new(shape: Shape) -> Self {
        let [_, pitch] = shape.phase();
        let ([down, right], [_, width]) = (shape.window.stride, shape.window.kernel);
        let place = |tap: usize| {
            let [dy, dx] = [tap / width, tap % width];
            let phase = (dy % down) * right + dx % right;
            (phase, (dy / down) * pitch + dx / right)
        };
        let places: Vec<(usize, usize)> = (0..shape.taps()).map(place).collect();
        let reach = places.iter().map(|(_, shift)| *shift).max().unwrap_or(0);
        Self { places, reach }
    }
}

/// `x [b, c, h, w]`, `weight [c, 1, kernel height, kernel width]` -> `[b, c, rows, columns]`
pub(crate) fn forward(
    x: Values,
    weight: Values,
    finish: Finish,
    window: Window,
) -> (Values, Depthwise) {
    let (x, weight) = (contiguous(x), contiguous(weight));
    let [batch, channels, height, width] = dims(&x);
    let [of_weight, _, _, _] = dims(&weight);
    assert!(
        channels == of_weight,
        "{channels} channels for {of_weight} windows"
    );
    let image = [height, width];
    let shape = Shape {
        batch,
        channels,
        image,
        out: window.positions(image),
        window,
    };
    let scale = finish.scale.map(contiguous);
    let shift = finish.shift.map(contiguous);
    let residual = finish.residual.map(contiguous);
    let (pixels, taps) = (shape.out_pixels(), Taps::new(shape));
    let mut out = unwritten(batch * channels * pixels);
    let threads = threads_for(shape.multiplications());
    let room = || Room::new(shape);
    if !out.is_empty() {
        MatMut::new(&mut out, batch, channels * pixels)
            .into_columns(pixels)
            .into_par_iter()
            .enumerate()
            .with_min_len(grain(threads, channels))
            .for_each_init(room, |room, (channel, mut planes)| {
                room.taps.clear();
                let weight = slice(&weight)[channel * shape.taps()..].iter();
                let placed = taps.places.iter().zip(weight);
                room.taps.extend(
                    placed.map(|((phase, shift), weight)| {
                        (phase * shape.group_len() + shift, *weight)
                    }),
                );
                let of = |values: &Option<Values>| values.as_ref().map(|all| slice(all)[channel]);
                let affine = match (of(&scale), of(&shift)) {
                    (None, None) => None,
                    (scale, shift) => Some((scale.unwrap_or(1.0), shift.unwrap_or(0.0))),
                };
                for (first, examples) in shape.groups() {
                    let at = |slot: usize| (first + slot) * channels + channel;
                    for slot in 0..examples {
                        let plane = &slice(&x)[at(slot) * shape.pixels()..][..shape.pixels()];
                        room.lay_out(shape, slot, plane);
                    }
                    let sums = &mut room.sums[..shape.span(examples)];
                    correlate(sums, &room.phases, &room.taps);
                    for slot in 0..examples {
                        let out = room.take_result(shape, slot, planes.row(first + slot));
                        let residual = residual.as_ref();
                        let residual =
                            residual.map(|all| &slice(all)[at(slot) * pixels..][..pixels]);
                        finish_row(out, affine, residual, finish.relu);
                    }
                }
            });
    }
    // SAFETY: every plane was written.
    let out = unsafe { written(out, [batch, channels, shape.out[0], shape.out[1]]) };
    let saved = Depthwise {
        x,
        weight,
        out: finish.relu.then(|| out.clone()),
        shape,
    };
    (out, saved)
}

/// What a thread works in.
struct Room {
    /// A group's planes, phase by phase; their padding stays zero.
    phases: Vec<f32>,
    /// Where in the phases each tap begins, and its weight.
    taps: Vec<(usize, f32)>,
    /// What comes out, with rows as far apart as a phase's.
    sums: Vec<f32>,
    /// A gradient of what came out, in the same way, after as many zeros as the largest shift.
    grad: Vec<f32>,
    /// A gradient of a group's planes, phase by phase.
    for_x: Vec<f32>,
}

impl Room {
    fn new(shape: Shape) -> Self {
        Self {
            phases: vec![0.0; shape.phases() * shape.group_len()],
            taps: Vec::with_capacity(shape.taps()),
            sums: vec![0.0; shape.span(shape.group())],
            grad: Vec::new(),
            for_x: Vec::new(),
        }
    }

    fn for_backward(shape: Shape, reach: usize) -> Self {
        Self {
            grad: vec![0.0; reach + shape.group_len()],
            for_x: vec![0.0; shape.phases() * shape.group_len()],
            ..Self::new(shape)
        }
    }

    fn lay_out(&mut self, shape: Shape, slot: usize, plane: &[f32]) {
        let right = shape.window.stride[1];
        shape.for_each_row(slot, |start, len, from| {
            let to = &mut self.phases[start..start + len];
            gather(to, &plane[from..], right, |value| value);
        });
    }

    /// The sums that are results of an example.
    fn take_result<'a>(&self, shape: Shape, slot: usize, out: &'a mut [Blank]) -> &'a mut [f32] {
        let [_, pitch] = shape.phase();
        let rows = out.chunks_exact_mut(shape.out[1]);
        for (row, sums) in rows.zip(self.sums[slot * shape.phase_len()..].chunks(pitch)) {
            copy(row, &sums[..shape.out[1]], Blank::new);
        }
        // SAFETY: there are as many rows of sums as of the result.
        unsafe { out.assume_init_mut() }
    }

    fn lay_out_grad(&mut self, shape: Shape, slot: usize, reach: usize, grad: &[f32]) {
        let [_, pitch] = shape.phase();
        let rows = self.grad[reach + slot * shape.phase_len()..].chunks_mut(pitch);
        for (to, from) in rows.zip(grad.chunks_exact(shape.out[1])) {
            copy(&mut to[..shape.out[1]], from, |value| value);
        }
    }

    /// The gradient of an example's plane.
    fn take_gradient(&self, shape: Shape, slot: usize, plane: &mut [Blank]) {
        let right = shape.window.stride[1];
        shape.for_each_row(slot, |start, len, to| {
            let from = &self.for_x[start..start + len];
            match right {
                1 => copy(&mut plane[to..to + len], from, Blank::new),
                2 => {
                    for (pair, from) in plane[to..].chunks_mut(2).zip(from) {
                        pair[0].write(*from);
                    }
                }
                _ => {
                    for (to, from) in plane[to..].iter_mut().step_by(right).zip(from) {
                        to.write(*from);
                    }
                }
            }
        });
    }
}

/// `sums[i] = Σ weight · from[start + i]` over the taps.
#[multiversion(targets = "simd")]
fn correlate(sums: &mut [f32], from: &[f32], taps: &[(usize, f32)]) {
    // Four vectors of AVX-512: additions do not wait for each other.
    const WIDE: usize = 64;
    const NARROW: usize = 16;
    let len = sums.len();
    let (wide, rest) = sums.as_chunks_mut::<WIDE>();
    let done = len - rest.len();
    for (block, sums) in wide.iter_mut().enumerate() {
        *sums = sum_of_taps(from, taps, block * WIDE);
    }
    let (narrow, rest) = rest.as_chunks_mut::<NARROW>();
    let last = len - rest.len();
    for (block, sums) in narrow.iter_mut().enumerate() {
        *sums = sum_of_taps(from, taps, done + block * NARROW);
    }
    for (i, sum) in rest.iter_mut().enumerate() {
        let [found] = sum_of_taps::<1>(from, taps, last + i);
        *sum = found;
    }
}

#[inline(always)]
fn sum_of_taps<const N: usize>(from: &[f32], taps: &[(usize, f32)], at: usize) -> [f32; N] {
    let mut sums = [0.0; N];
    for (start, weight) in taps {
        let from = &from[start + at..][..N];
        for i in 0..N {
            sums[i] += weight * from[i];
        }
    }
    sums
}

/// `sums[tap] += Σ grad[i] · phases[start + i]`, where `group_len` and the places say the start.
#[multiversion(targets = "simd")]
fn add_products(
    sums: &mut [f32],
    grad: &[f32],
    phases: &[f32],
    group_len: usize,
    places: &[(usize, usize)],
) {
    for (sum, (phase, shift)) in sums.iter_mut().zip(places) {
        let image = &phases[phase * group_len + shift..][..grad.len()];
        *sum += sum2(grad, image, |a, b| a * b);
    }
}

/// What one channel gives; `for_x` has a row for each example, or none.
struct Part<'a> {
    channel: usize,
    for_x: Option<MatMut<'a, Blank>>,
    for_weight: &'a mut [f32],
    for_bias: &'a mut f32,
}

impl Depthwise {
    /// Gradients of `x`, `weight` and the bias.
    pub(crate) fn backward(self, grad: Values, wanted: &[bool]) -> Vec<Option<Values>> {
        let grad = contiguous(grad);
        let shape = self.shape;
        let Shape {
            batch, channels, ..
        } = shape;
        let [wants_x, wants_weight] = [wanted[0], wanted[1]];
        let wants_bias = wanted.get(2).is_some_and(|wanted| *wanted);
        let mut for_x = unwritten(if wants_x {
            batch * channels * shape.pixels()
        } else {
            0
        });
        let mut for_weight = vec![0.0; channels * shape.taps()];
        let mut for_bias = vec![0.0; channels];
        let for_x_parts = match wants_x {
            true => MatMut::new(&mut for_x, batch, channels * shape.pixels())
                .into_columns(shape.pixels()),
            false => vec![],
        };
        let mut for_x_parts = for_x_parts.into_iter();
        let parts: Vec<Part<'_>> = for_weight
            .chunks_exact_mut(shape.taps())
            .zip(&mut for_bias)
            .enumerate()
            .map(|(channel, (for_weight, for_bias))| Part {
                channel,
                for_x: for_x_parts.next(),
                for_weight,
                for_bias,
            })
            .collect();
        let threads = threads_for(2 * shape.multiplications());
        let taps = Taps::new(shape);
        if shape.out_pixels() > 0 {
            parts
                .into_par_iter()
                .with_min_len(grain(threads, channels))
                .for_each_init(
                    || {
                        let room = Room::for_backward(shape, taps.reach);
                        (room, unwritten(shape.out_pixels()))
                    },
                    |(room, masked), part| {
                        let grad = slice(&grad);
                        self.channel_backward(grad, part, &taps, (room, masked), wants_weight);
                    },
                );
        }
        let [height, width] = shape.image;
        let [kernel_height, kernel_width] = shape.window.kernel;
        vec![
            // SAFETY: every channel wrote its plane of every example.
            wants_x.then(|| unsafe { written(for_x, [batch, channels, height, width]) }),
            wants_weight.then(|| tensor(for_weight, [channels, 1, kernel_height, kernel_width])),
            wants_bias.then(|| tensor(for_bias, [channels])),
        ]
    }

    fn channel_backward(
        &self,
        grad: &[f32],
        part: Part<'_>,
        taps: &Taps,
        (room, masked): (&mut Room, &mut [Blank]),
        wants_weight: bool,
    ) {
        let shape = self.shape;
        let (pixels, out_pixels, reach) = (shape.pixels(), shape.out_pixels(), taps.reach);
        let weight = &slice(&self.weight)[part.channel * shape.taps()..];
        // Every phase is a sum of the gradient, shifted the other way.
        let places = || taps.places.iter().zip(weight);
        let of_phase = |phase| {
            let found = places().filter(move |((of, _), _)| *of == phase);
            found
                .map(|((_, shift), weight)| (reach - shift, *weight))
                .collect()
        };
        let back: Vec<Vec<(usize, f32)>> = (0..shape.phases()).map(of_phase).collect();
        let mut for_x = part.for_x;
        for (first, examples) in shape.groups() {
            for slot in 0..examples {
                let at = (first + slot) * shape.channels + part.channel;
                let mut grad = &grad[at * out_pixels..][..out_pixels];
                if let Some(out) = &self.out {
                    let masked = masked.write_copy_of_slice(grad);
                    relu_slope(masked, &slice(out)[at * out_pixels..][..out_pixels]);
                    grad = masked;
                }
                *part.for_bias += total(grad);
                room.lay_out_grad(shape, slot, reach, grad);
                if wants_weight {
                    room.lay_out(shape, slot, &slice(&self.x)[at * pixels..][..pixels]);
                }
            }
            if wants_weight {
                let grad = &room.grad[reach..][..shape.span(examples)];
                let (phases, len) = (&room.phases, shape.group_len());
                add_products(part.for_weight, grad, phases, len, &taps.places);
            }
            if let Some(planes) = &mut for_x {
                let phases = room.for_x.chunks_exact_mut(shape.group_len());
                for (phase, taps) in phases.zip(&back) {
                    correlate(&mut phase[..examples * shape.phase_len()], &room.grad, taps);
                }
                for slot in 0..examples {
                    room.take_gradient(shape, slot, planes.row(first + slot));
                }
            }
        }
    }
}
