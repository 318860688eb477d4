//! Convolution as one matrix product for each image, with what follows it (bias or a folded batch
//! norm, a residual, ReLU) done while the result is in cache.
//!
//! The patches of an image are laid out as columns (Chellapilla et al. 2006) a strip of rows at a
//! time, so that they stay in the second-level cache and never exist for a whole batch.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use std::ops::Range;

use multiversion::multiversion;
use rayon::prelude::*;

use super::Saved;
use super::depthwise::{self, Depthwise};
use super::direct::{Bench, Direct, Packed, Rows, add_weight_gradients};
use super::linear::{add_rows, relu_slope};
use super::matrix::{Mat, MatMut, add_product, grain, product, threads_for};
use super::memory::{
    Blank, Values, contiguous, dims, filled, gather, slice, tensor, unwritten, written,
};
use super::vector::total;
use super::window::{Finish, Window, finish_row};

// b batch, i and o input and output channels, h height, w width, k taps: i·kernel height·width

/// Elements of a strip's patches: half of a second-level cache of 1 MiB.
const STRIP: usize = 1 << 17;
/// Most elements of patches that are laid out for as many columns as there are weights for each.
const MANY_WEIGHTS: usize = 1 << 21;
/// Parts of a batch whose weight gradients are summed apart, however many threads there are: their
/// sum is then the same on any machine.
const PARTS: usize = 8;
/// Most elements of all parts' weight gradients.
const PARTS_TOTAL: usize = 1 << 23;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) enum Conv {
    /// Of channels that all go into each result.
    Dense(Dense),
    /// Of channels by themselves.
    Depthwise(Depthwise),
}

impl Saved for Conv {
    /// Gradients of `x`, `weight` and the bias.
    fn backward(self, grad: Values, wanted: &[bool]) -> Vec<Option<Values>> {
        match self {
            Self::Dense(conv) => conv.backward(grad, wanted),
            Self::Depthwise(conv) => conv.backward(grad, wanted),
        }
    }
}

/// What the backward pass of a dense convolution needs.
#[derive(Clone, Debug)]
pub(crate) struct Dense {
    x: Values,
    weight: Values,
    /// The result, where ReLU was applied.
    out: Option<Values>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    batch: usize,
    inputs: usize,
    outputs: usize,
    image: [usize; 2],
    out: [usize; 2],
    window: Window,
}

impl Shape {
    fn new(x: &Values, weight: &Values, window: Window) -> Self {
        let [batch, inputs, height, width] = dims(x);
        let [outputs, of_each, _, _] = dims(weight);
        assert!(
            of_each == inputs,
            "{inputs} channels for a kernel of {of_each}"
        );
        let image = [height, width];
        let out = window.positions(image);
        Self {
            batch,
            inputs,
            outputs,
            image,
            out,
            window,
        }
    }

    fn taps(&self) -> usize {
        self.inputs * self.window.kernel[0] * self.window.kernel[1]
    }

    fn pixels(&self) -> usize {
        self.image[0] * self.image[1]
    }

    fn out_pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    fn multiplications(&self) -> usize {
        self.batch * self.outputs * self.taps() * self.out_pixels()
    }

    /// Whether the image is its own matrix of patches.
    fn is_pointwise(&self) -> bool {
        let Window {
            kernel,
            stride,
            before,
            after,
        } = self.window;
        (kernel, stride, before, after) == ([1, 1], [1, 1], [0, 0], [0, 0])
    }

    /// The same without patches, where that can be.
    fn without_patches(&self) -> Option<Direct> {
        let direct = Direct {
            inputs: self.inputs,
            outputs: self.outputs,
            image: self.image,
            out: self.out,
            kernel: self.window.kernel,
            before: self.window.before,
        };
        (self.window.stride == [1, 1] && direct.can_be()).then_some(direct)
    }

    /// Columns of patches for one product: as many as stay in the cache, but not so few that its time goes
    /// into reading all weights for them again.
    fn columns(&self) -> usize {
        let taps = self.taps().max(1);
        (STRIP / taps)
            .max(self.outputs.min(MANY_WEIGHTS / taps))
            .max(1)
    }

    /// Images, of no more than so many, whose patches lie side by side.
    fn together(&self, most: usize) -> usize {
        (self.columns() / self.out_pixels().max(1)).clamp(1, most.max(1))
    }

    /// Rows of a strip, when each image is cut into no fewer than `least` strips.
    fn strip_rows(&self, least: usize) -> usize {
        let fitting = self.columns() / self.out[1].max(1);
        fitting.min(self.out[0].div_ceil(least)).max(1)
    }
}

/// `x [b, i, h, w]`, `weight [o, i, kernel height, kernel width]` -> `[b, o, rows, columns]`; or, with
/// as many results as channels and a `weight [i, 1, …]`, each channel by itself.
pub(crate) fn forward(x: Values, weight: Values, finish: Finish, window: Window) -> (Values, Conv) {
    let ([_, inputs, _, _], [_, of_each, _, _]) = (dims(&x), dims(&weight));
    if of_each == 1 && inputs > 1 {
        let (out, saved) = depthwise::forward(x, weight, finish, window);
        return (out, Conv::Depthwise(saved));
    }
    let (out, saved) = dense(x, weight, finish, window);
    (out, Conv::Dense(saved))
}

fn dense(x: Values, weight: Values, finish: Finish, window: Window) -> (Values, Dense) {
    let (x, weight) = (contiguous(x), contiguous(weight));
    let finish = Finish {
        scale: finish.scale.map(contiguous),
        shift: finish.shift.map(contiguous),
        residual: finish.residual.map(contiguous),
        relu: finish.relu,
    };
    let shape = Shape::new(&x, &weight, window);
    let (pixels, out_width) = (shape.out_pixels(), shape.out[1]);
    let size = shape.outputs * pixels;
    let mut out = unwritten(shape.batch * size);
    let threads = threads_for(shape.multiplications());
    let packed = (shape.without_patches().filter(Direct::pays))
        .map(|direct| (direct, Packed::new(direct, slice(&weight))));
    // A batch of one is shared out by strips.
    let least = threads.div_ceil(shape.batch.max(1));
    let rows = match &packed {
        Some((direct, _)) => direct.strip_rows(least),
        None => shape.strip_rows(least),
    };
    let together = match packed {
        Some(_) => 1,
        None => shape.together(shape.batch.div_ceil(threads)),
    };
    let mut tasks = Vec::new();
    if size > 0 {
        for (group, images) in out.chunks_mut(together * size).enumerate() {
            let images = images.chunks_exact_mut(size);
            let mut rest: Vec<MatMut<'_, Blank>> = images
                .map(|image| MatMut::new(image, shape.outputs, pixels))
                .collect();
            for first in (0..shape.out[0]).step_by(rows) {
                let count = rows.min(shape.out[0] - first);
                let cut = rest
                    .into_iter()
                    .map(|rest| rest.split_cols(count * out_width));
                let (strips, after): (Vec<_>, Vec<_>) = cut.unzip();
                tasks.push((group * together, (first, count), strips));
                rest = after;
            }
        }
    }
    let is_pointwise = shape.is_pointwise() && together == 1;
    let room = || {
        let columns = together * rows * out_width;
        let patches = match is_pointwise || packed.is_some() {
            true => 0,
            false => shape.taps() * columns,
        };
        let sums = if together > 1 {
            shape.outputs * columns
        } else {
            0
        };
        (unwritten(patches), unwritten(sums), Bench::default())
    };
    let least = grain(threads, tasks.len());
    tasks.into_par_iter().with_min_len(least).for_each_init(
        room,
        |(patches, sums, bench), (example, rows, strips)| {
            let (start, pixels) = (rows.0 * out_width, rows.1 * out_width);
            let images = slice(&x)[example * shape.inputs * shape.pixels()..]
                .chunks_exact((shape.inputs * shape.pixels()).max(1))
                .take(strips.len());
            let weight = Mat::new(slice(&weight), shape.outputs, shape.taps());
            let all = strips.len() * pixels;
            let strips = strips.into_iter();
            let strips: Vec<MatMut<'_>> = match &packed {
                Some((_, packed)) => strips
                    .zip(images)
                    .map(|(strip, image)| packed.write(image, rows, strip, bench))
                    .collect(),
                None if is_pointwise => strips
                    .zip(images)
                    .map(|(strip, image)| {
                        let columns = Mat::new(image, shape.inputs, shape.pixels());
                        product(strip, 1.0, weight, columns.columns(start, pixels))
                    })
                    .collect(),
                None => {
                    let patches = lay_out(patches, images, shape, rows);
                    let columns = Mat::new(patches, shape.taps(), all);
                    if all == pixels {
                        strips
                            .map(|strip| product(strip, 1.0, weight, columns))
                            .collect()
                    } else {
                        let sums = &mut sums[..shape.outputs * all];
                        let sums = MatMut::new(sums, shape.outputs, all);
                        let sums = product(sums, 1.0, weight, columns).into_slice();
                        let sums = Mat::new(sums, shape.outputs, all);
                        strips
                            .enumerate()
                            .map(|(number, strip)| {
                                copied(sums.columns(number * pixels, pixels), strip)
                            })
                            .collect()
                    }
                }
            };
            for (number, mut strip) in strips.into_iter().enumerate() {
                for channel in 0..shape.outputs {
                    let of = |values: &Option<Values>| {
                        values.as_ref().map(|values| slice(values)[channel])
                    };
                    let channels = (example + number) * shape.outputs + channel;
                    let at = channels * shape.out_pixels() + start;
                    let residual = finish
                        .residual
                        .as_ref()
                        .map(|all| &slice(all)[at..][..pixels]);
                    let affine = match (of(&finish.scale), of(&finish.shift)) {
                        (None, None) => None,
                        (scale, shift) => Some((scale.unwrap_or(1.0), shift.unwrap_or(0.0))),
                    };
                    finish_row(strip.row(channel), affine, residual, finish.relu);
                }
            }
        },
    );
    let of_out = [shape.batch, shape.outputs, shape.out[0], shape.out[1]];
    // SAFETY: the product wrote every strip of every image.
    let out = unsafe { written(out, of_out) };
    let saved = Dense {
        x,
        weight,
        out: finish.relu.then(|| out.clone()),
        shape,
    };
    (out, saved)
}

/// The rows of a matrix in another one.
fn copied<'a>(from: Mat<'_>, mut to: MatMut<'a, Blank>) -> MatMut<'a> {
    for row in 0..to.num_rows() {
        to.row(row).write_copy_of_slice(from.row(row));
    }
    // SAFETY: each row is written.
    unsafe { to.assume_written() }
}

/// Lays out the patches of some rows of the results: a row for each tap, a column for each pixel of each
/// image.
fn lay_out<'a, 'x>(
    patches: &'a mut [Blank],
    images: impl Iterator<Item = &'x [f32]> + Clone,
    shape: Shape,
    rows: Rows,
) -> &'a mut [f32] {
    let pixels = rows.1 * shape.out[1];
    let all = images.clone().count() * pixels;
    let patches = &mut patches[..shape.taps() * all];
    for (number, image) in images.enumerate() {
        let columns = Columns {
            all,
            first: number * pixels,
        };
        write_patches(patches, image, shape, rows, columns);
    }
    // SAFETY: each tap's row was written: what lies beyond the image with zeros, the rest from it.
    unsafe { patches.assume_init_mut() }
}

/// Where an image's patches lie in a row of them.
#[derive(Clone, Copy)]
struct Columns {
    all: usize,
    first: usize,
}

#[multiversion(targets = "simd")]
fn write_patches(
    patches: &mut [Blank],
    image: &[f32],
    shape: Shape,
    (first, count): Rows,
    columns: Columns,
) {
    let zero = Blank::new(0.0);
    let [height, width] = shape.image;
    let ([down, right], out_width) = (shape.window.stride, shape.out[1]);
    let [above, _] = shape.window.before;
    let size = (count * out_width, patches.len());
    for_each_tap(shape, size, columns, |channel, [dy, dx], range| {
        let plane = &image[channel * height * width..][..height * width];
        let row = &mut patches[range];
        let (start, end, place) = shape.window.reach(1, dx, out_width, width);
        if shape.keeps_rows() {
            let Block { rows, at, from } = shape.block([dy, dx], (first, count));
            row[..rows.start].fill(zero);
            row[rows.end..].fill(zero);
            let block = &mut row[rows];
            // Those before and after lie in columns that are cleared.
            let len = (block.len() - at).min(plane.len() - from);
            block[at..at + len].write_copy_of_slice(&plane[from..from + len]);
            clear_columns(block, width, start..end, zero);
            return;
        }
        for (y, row) in row.chunks_exact_mut(out_width).enumerate() {
            let y = ((first + y) * down + dy).wrapping_sub(above);
            if y >= height || start == end {
                row.fill(zero);
                continue;
            }
            let from = &plane[y * width + place..(y + 1) * width];
            row[..start].fill(zero);
            row[end..].fill(zero);
            gather(&mut row[start..end], from, right, Blank::new);
        }
    });
}

/// Adds patches to the pixels they came from; those from beyond the image are lost.
#[multiversion(targets = "simd")]
fn put_back(
    patches: &mut [f32],
    image: &mut [f32],
    shape: Shape,
    (first, count): Rows,
    columns: Columns,
) {
    let [height, width] = shape.image;
    let ([down, right], out_width) = (shape.window.stride, shape.out[1]);
    let [above, _] = shape.window.before;
    let size = (count * out_width, patches.len());
    for_each_tap(shape, size, columns, |channel, [dy, dx], range| {
        let plane = &mut image[channel * height * width..][..height * width];
        let row = &mut patches[range];
        let (start, end, place) = shape.window.reach(1, dx, out_width, width);
        if shape.keeps_rows() {
            let Block { rows, at, from } = shape.block([dy, dx], (first, count));
            let block = &mut row[rows];
            clear_columns(block, width, start..end, 0.0);
            for (to, from) in plane[from..].iter_mut().zip(&block[at..]) {
                *to += from;
            }
            return;
        }
        for (y, row) in row.chunks_exact(out_width).enumerate() {
            let y = ((first + y) * down + dy).wrapping_sub(above);
            if y >= height || start == end {
                continue;
            }
            let to = &mut plane[y * width + place..(y + 1) * width];
            if right == 1 {
                for (to, from) in to.iter_mut().zip(&row[start..end]) {
                    *to += from;
                }
            } else {
                for (to, from) in to.iter_mut().step_by(right).zip(&row[start..end]) {
                    *to += from;
                }
            }
        }
    });
}

/// Calls `work` with the channel, the place in the window and the range in the patches of every
/// tap: so many pixels, in so many elements.
#[inline(always)]
fn for_each_tap(
    shape: Shape,
    (pixels, len): (usize, usize),
    columns: Columns,
    mut work: impl FnMut(usize, [usize; 2], Range<usize>),
) {
    let [kernel_height, kernel_width] = shape.window.kernel;
    assert!(columns.first + pixels <= columns.all && shape.taps() * columns.all <= len);
    let mut start = columns.first;
    for channel in 0..shape.inputs {
        for dy in 0..kernel_height {
            for dx in 0..kernel_width {
                work(channel, [dy, dx], start..start + pixels);
                start += columns.all;
            }
        }
    }
}

/// Where a tap's pixels lie when result and image are equally wide: but for the first and last
/// columns, both are one block.
struct Block {
    /// The elements, among those of all rows asked for, whose rows lie in the image.
    rows: Range<usize>,
    /// The first of these that lies in the image.
    at: usize,
    /// Where it lies.
    from: usize,
}

impl Shape {
    /// Whether the result is as wide as the image, pixel for pixel.
    fn keeps_rows(&self) -> bool {
        self.window.stride == [1, 1] && self.out[1] == self.image[1]
    }

    fn block(&self, [dy, dx]: [usize; 2], (first, count): Rows) -> Block {
        let ([height, width], [above, left]) = (self.image, self.window.before);
        let start = above.saturating_sub(first + dy).min(count);
        let end = (height + above)
            .saturating_sub(first + dy)
            .clamp(start, count);
        let row = if start < end {
            first + start + dy - above
        } else {
            0
        };
        let at = left.saturating_sub(dx).min((end - start) * width);
        let from = (row * width + dx.saturating_sub(left)).min(height * width);
        Block {
            rows: start * width..end * width,
            at,
            from,
        }
    }
}

/// Zeros the elements of rows before and after those columns: few, so column by column.
#[inline(always)]
fn clear_columns<T: Copy>(rows: &mut [T], width: usize, except: Range<usize>, zero: T) {
    for column in (0..except.start).chain(except.end..width) {
        for element in rows.iter_mut().skip(column).step_by(width) {
            *element = zero;
        }
    }
}

/// Which gradients go without patches.
struct Ways {
    weight: Option<Direct>,
    image: Option<Packed>,
}

/// What one part of a batch gives.
struct Part<'a> {
    first: usize,
    for_x: Option<&'a mut [Blank]>,
    for_weight: &'a mut [f32],
    for_bias: &'a mut [f32],
}

impl Dense {
    fn backward(self, grad: Values, wanted: &[bool]) -> Vec<Option<Values>> {
        let grad = contiguous(grad);
        let shape = self.shape;
        let [wants_x, wants_weight] = [wanted[0], wanted[1]];
        let wants_bias = wanted.get(2).is_some_and(|wanted| *wanted);
        let (weights, image) = (shape.outputs * shape.taps(), shape.inputs * shape.pixels());
        let parts = PARTS.min(PARTS_TOTAL / weights.max(1)).clamp(2, PARTS);
        let per_part = shape.batch.div_ceil(parts).max(1);
        let parts = shape.batch.div_ceil(per_part);
        let mut for_x = unwritten(if wants_x { shape.batch * image } else { 0 });
        if weights == 0 {
            // No part has anything to give back.
            filled(&mut for_x, 0.0);
        }
        let mut for_weight = vec![0.0; parts * weights];
        let mut for_bias = vec![0.0; parts * shape.outputs];
        let mut of_x = for_x.chunks_mut((per_part * image).max(1));
        let tasks: Vec<Part<'_>> = (for_weight.chunks_exact_mut(weights.max(1)))
            .zip(for_bias.chunks_exact_mut(shape.outputs.max(1)))
            .enumerate()
            .map(|(part, (for_weight, for_bias))| Part {
                first: part * per_part,
                for_x: of_x.next(),
                for_weight,
                for_bias,
            })
            .collect();
        let threads = threads_for(2 * shape.multiplications());
        let direct = shape.without_patches();
        let ways = Ways {
            weight: direct.filter(Direct::pays_for_weights),
            image: (direct.filter(|direct| direct.reverse().pays()))
                .map(|direct| Packed::reversed(direct, slice(&self.weight))),
        };
        (tasks.into_par_iter())
            .with_min_len(grain(threads, parts))
            .for_each(|part| {
                let last = (part.first + per_part).min(shape.batch);
                let wants = [wants_weight, wants_bias];
                self.part_backward(slice(&grad), last, part, wants, &ways);
            });
        let sum_of_parts = |parts: &[f32], len: usize| {
            let mut sum = vec![0.0; len];
            add_rows(&mut sum, parts);
            sum
        };
        let [height, width] = shape.image;
        let [kernel_height, kernel_width] = shape.window.kernel;
        vec![
            // SAFETY: each part wrote the gradients of its images.
            wants_x.then(|| unsafe { written(for_x, [shape.batch, shape.inputs, height, width]) }),
            wants_weight.then(|| {
                let sum = sum_of_parts(&for_weight, weights);
                tensor(
                    sum,
                    [shape.outputs, shape.inputs, kernel_height, kernel_width],
                )
            }),
            wants_bias.then(|| tensor(sum_of_parts(&for_bias, shape.outputs), [shape.outputs])),
        ]
    }
}

impl Dense {
    fn part_backward(
        &self,
        grad: &[f32],
        last: usize,
        part: Part<'_>,
        [wants_weight, wants_bias]: [bool; 2],
        ways: &Ways,
    ) {
        let Self { shape, .. } = *self;
        let out_pixels = shape.out_pixels();
        let (size, image_size) = (shape.outputs * out_pixels, shape.inputs * shape.pixels());
        let examples = part.first..last;
        let mut masked = unwritten(match self.out {
            Some(_) => examples.len() * size,
            None => 0,
        });
        let mut grad = &grad[examples.start * size..examples.end * size];
        if let Some(out) = &self.out {
            let masked = masked.write_copy_of_slice(grad);
            relu_slope(masked, &slice(out)[examples.start * size..][..grad.len()]);
            grad = masked;
        }
        if wants_bias {
            for grad in grad.chunks_exact(size) {
                for (sum, row) in part.for_bias.iter_mut().zip(grad.chunks_exact(out_pixels)) {
                    *sum += total(row);
                }
            }
        }
        let images = slice(&self.x)[examples.start * image_size..].chunks_exact(image_size);
        let examples = images.zip(grad.chunks_exact(size));
        let mut bench = Bench::default();
        let mut for_weight = wants_weight.then_some(part.for_weight);
        if let Some(direct) = ways.weight
            && let Some(sum) = for_weight.take()
        {
            let examples = examples.clone().map(|(image, grad)| [image, grad]);
            add_weight_gradients(direct, examples, sum, &mut bench);
        }
        let mut for_x = part.for_x;
        if let Some(reversed) = &ways.image
            && let Some(for_x) = for_x.take()
        {
            let pairs = for_x
                .chunks_exact_mut(image_size)
                .zip(grad.chunks_exact(size));
            for (for_image, grad) in pairs {
                reversed.write_all(grad, for_image, &mut bench);
            }
        }
        if for_weight.is_some() || for_x.is_some() {
            self.by_patches(examples, for_weight, for_x);
        }
    }

    /// Gradients through patches, of what is asked for.
    fn by_patches<'a>(
        &self,
        examples: impl ExactSizeIterator<Item = (&'a [f32], &'a [f32])> + Clone,
        mut for_weight: Option<&mut [f32]>,
        for_x: Option<&mut [Blank]>,
    ) {
        let Self { shape, .. } = *self;
        let (out_pixels, out_width) = (shape.out_pixels(), shape.out[1]);
        let (rows, together) = (shape.strip_rows(1), shape.together(examples.len()));
        let columns = together * rows * out_width;
        let mut patches = unwritten(shape.taps() * columns);
        let mut grads = unwritten(if together > 1 {
            shape.outputs * columns
        } else {
            0
        });
        let weight = Mat::new(slice(&self.weight), shape.outputs, shape.taps());
        let image_size = (shape.inputs * shape.pixels()).max(1);
        let mut for_images = for_x.map(|for_x| for_x.chunks_exact_mut(image_size));
        for start in (0..examples.len()).step_by(together) {
            let group = examples.clone().skip(start).take(together);
            let mut for_group: Vec<&mut [f32]> = match &mut for_images {
                Some(images) => images
                    .by_ref()
                    .take(together)
                    .map(|image| filled(image, 0.0))
                    .collect(),
                None => Vec::new(),
            };
            for first in (0..shape.out[0]).step_by(rows) {
                let count = rows.min(shape.out[0] - first);
                let (start, pixels) = (first * out_width, count * out_width);
                let all = group.len() * pixels;
                let of_image =
                    |grad| Mat::new(grad, shape.outputs, out_pixels).columns(start, pixels);
                let grad = match group.clone().next() {
                    Some((_, grad)) if group.len() == 1 => of_image(grad),
                    _ => {
                        let room = &mut grads[..shape.outputs * all];
                        let parts = MatMut::new(room, shape.outputs, all).into_columns(pixels);
                        for ((_, grad), part) in group.clone().zip(parts) {
                            copied(of_image(grad), part);
                        }
                        // SAFETY: the columns of each image are written.
                        let grads = unsafe { grads[..shape.outputs * all].assume_init_ref() };
                        Mat::new(grads, shape.outputs, all)
                    }
                };
                if let Some(sum) = &mut for_weight {
                    let images = group.clone().map(|(image, _)| image);
                    let columns = lay_out(&mut patches, images, shape, (first, count));
                    let columns = Mat::new(columns, shape.taps(), all);
                    let sum = MatMut::new(sum, shape.outputs, shape.taps());
                    add_product(sum, 1.0, grad, columns.t());
                }
                if !for_group.is_empty() {
                    let columns = &mut patches[..shape.taps() * all];
                    let columns = MatMut::new(columns, shape.taps(), all);
                    let columns = product(columns, 1.0, weight.t(), grad).into_slice();
                    for (number, image) in for_group.iter_mut().enumerate() {
                        let places = Columns {
                            all,
                            first: number * pixels,
                        };
                        put_back(columns, image, shape, (first, count), places);
                    }
                }
            }
        }
    }
}
