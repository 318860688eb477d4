//! Convolution of stride 1 without patches: a plane is padded, and lies flat; then each tap is the whole
//! plane, shifted, and the result a sum of shifted planes that stays in registers. (Georganas et al. 2018
//! do the same with channels innermost.) What the sum has at the ends of padded rows is thrown away.
//!
//! The gradient of the image is such a convolution of the result's gradient; that of a weight is the inner
//! product of a plane of the result's gradient and a shifted plane.

#![expect(
    unsafe_code,
    reason = "vectors are read at every offset of a plane, without a check of each"
)]

use pulp::{Arch, Simd, WithSimd};

use super::matrix::MatMut;
use super::memory::Blank;

// i and o channels that go in and out, h height, w width, k taps

/// Results that are summed at once, as weights lie together.
const BLOCK: usize = 8;
/// Vectors of a plane that are summed at once.
const VECTORS: usize = 3;
/// The longest vector.
const LONGEST: usize = 16;
/// Most elements of a strip's padded planes, and of its result: a quarter of a second-level cache of 1 MiB.
const STRIP: usize = 1 << 16;
/// Most weights: with more, a matrix product reads them less often.
const MOST_WEIGHTS: usize = 1 << 18;
/// Positions whose gradients stay in a first-level cache while all weights meet them.
const TILE: usize = 48 * LONGEST;
/// Most elements of the planes that are laid side by side for gradients of weights.
const SIDE_BY_SIDE: usize = 1 << 18;

/// Some rows of a convolution's result: the first and how many.
pub(super) type Rows = (usize, usize);

/// A convolution of stride 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Direct {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) image: [usize; 2],
    pub(super) out: [usize; 2],
    pub(super) kernel: [usize; 2],
    /// Zeros above and to the left.
    pub(super) before: [usize; 2],
}

impl Direct {
    /// Whether planes can be shifted so, and a padded plane of it has a vector's length.
    pub(super) fn can_be(&self) -> bool {
        let [rows, columns] = self.out;
        self.weights() > 0
            && rows * columns >= LONGEST
            && (self.before.iter().zip(self.kernel)).all(|(before, kernel)| *before < kernel)
    }

    /// Whether this is the faster way to the result. Both ways' times are in multiplications' and were
    /// measured: patches are written and packed once for all outputs, sums are copied once for all taps.
    pub(super) fn pays(&self) -> bool {
        let taps = (self.inputs * self.kernel[0] * self.kernel[1]) as f64;
        let outputs = self.outputs as f64;
        let by_patches = 1.0 + 12.0 / outputs + 16.0 / taps;
        let thrown_away = self.wide() as f64 / self.out[1] as f64
            * (self.outputs.next_multiple_of(BLOCK) as f64 / outputs);
        let direct = thrown_away + 36.0 / taps;
        self.weights() <= MOST_WEIGHTS && self.kernel != [1, 1] && direct < by_patches
    }

    /// Whether this is the faster way to the gradient of the weights: a matrix product has no use for few
    /// outputs, and sums of a whole vector are dear where there are many.
    pub(super) fn pays_for_weights(&self) -> bool {
        let few = BLOCK..=4 * BLOCK;
        self.weights() <= MOST_WEIGHTS && self.kernel != [1, 1] && few.contains(&self.outputs)
    }

    fn weights(&self) -> usize {
        self.inputs * self.outputs * self.kernel[0] * self.kernel[1]
    }

    /// Elements of a padded row.
    fn wide(&self) -> usize {
        self.out[1] + self.kernel[1] - 1
    }

    /// Rows of the image that some rows of the result see.
    fn seen(&self, rows: usize) -> usize {
        rows + self.kernel[0] - 1
    }

    /// Rows of a strip, when the result is cut into no fewer than `least` strips.
    pub(super) fn strip_rows(&self, least: usize) -> usize {
        let fitting = (STRIP / (self.inputs.max(self.outputs) * self.wide()))
            .saturating_sub(self.kernel[0] - 1);
        fitting.min(self.out[0].div_ceil(least)).max(1)
    }

    /// The convolution that takes a gradient of the result to that of the image.
    pub(super) fn reverse(&self) -> Self {
        Self {
            inputs: self.outputs,
            outputs: self.inputs,
            image: self.out,
            out: self.image,
            kernel: self.kernel,
            before: [0, 1].map(|axis| self.kernel[axis] - 1 - self.before[axis]),
        }
    }

    /// Writes the rows of a channel that rows of the result see, with zeros around them.
    fn pad(&self, plane: &[f32], (first, count): Rows, padded: &mut [f32]) {
        let ([height, width], [above, left]) = (self.image, self.before);
        let rows = padded.chunks_exact_mut(self.wide()).take(self.seen(count));
        for (row, y) in rows.zip(first..) {
            let Some(y) = y.checked_sub(above).filter(|y| *y < height) else {
                row.fill(0.0);
                continue;
            };
            let (before, rest) = row.split_at_mut(left);
            let (within, after) = rest.split_at_mut(width.min(rest.len()));
            before.fill(0.0);
            within.copy_from_slice(&plane[y * width..][..within.len()]);
            after.fill(0.0);
        }
    }
}

/// A convolution with its weights in the order in which they are used.
pub(super) struct Packed {
    of: Direct,
    /// `[o / block, i, k, block]`
    weights: Vec<f32>,
}

/// What a thread works in.
#[derive(Default)]
pub(super) struct Bench {
    padded: Vec<f32>,
    sums: Vec<f32>,
}

/// At least so many elements, whatever they are.
fn room(of: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if of.len() < len {
        of.resize(len, 0.0);
    }
    &mut of[..len]
}

impl Packed {
    /// `weight [o, i, k]`
    pub(super) fn new(of: Direct, weight: &[f32]) -> Self {
        let taps = of.kernel[0] * of.kernel[1];
        Self::pack(of, |o, i, tap| weight[(o * of.inputs + i) * taps + tap])
    }

    /// Of the [reverse](Direct::reverse), from the `weight [o, i, k]` of the convolution itself.
    pub(super) fn reversed(of: Direct, weight: &[f32]) -> Self {
        let taps = of.kernel[0] * of.kernel[1];
        Self::pack(of.reverse(), |i, o, tap| {
            weight[(o * of.inputs + i) * taps + taps - 1 - tap]
        })
    }

    fn pack(of: Direct, weight: impl Fn(usize, usize, usize) -> f32) -> Self {
        let taps = of.kernel[0] * of.kernel[1];
        let blocks = of.outputs.div_ceil(BLOCK);
        let mut weights = Vec::with_capacity(blocks * of.inputs * taps * BLOCK);
        for block in 0..blocks {
            for i in 0..of.inputs {
                for tap in 0..taps {
                    let outputs = block * BLOCK..(block + 1) * BLOCK;
                    weights.extend(outputs.map(|o| match o < of.outputs {
                        true => weight(o, i, tap),
                        false => 0.0,
                    }));
                }
            }
        }
        Self { of, weights }
    }

    /// Writes the result `[o, h, w]` for an image `[i, h, w]`.
    pub(super) fn write_all(&self, image: &[f32], out: &mut [Blank], bench: &mut Bench) {
        let [height, width] = self.of.out;
        let rows = self.of.strip_rows(1);
        let mut rest = MatMut::new(out, self.of.outputs, height * width);
        for first in (0..height).step_by(rows) {
            let count = rows.min(height - first);
            let (strip, after) = rest.split_cols(count * width);
            self.write(image, (first, count), strip, bench);
            rest = after;
        }
    }

    /// Writes some rows of the result `[o, rows·w]` for an image `[i, h, w]`.
    pub(super) fn write<'a>(
        &self,
        image: &[f32],
        rows: Rows,
        mut out: MatMut<'a, Blank>,
        bench: &mut Bench,
    ) -> MatMut<'a> {
        let (of, count) = (self.of, rows.1);
        let plane = of.seen(count) * of.wide();
        let padded = room(
            &mut bench.padded,
            of.inputs * plane + of.kernel[1] + LONGEST,
        );
        let planes = image.chunks_exact(of.image[0] * of.image[1]);
        for (plane, padded) in planes.zip(padded.chunks_exact_mut(plane)) {
            of.pad(plane, rows, padded);
        }
        let positions = (count * of.wide()).next_multiple_of(LONGEST);
        let channels = of.outputs.next_multiple_of(BLOCK);
        let sums = room(&mut bench.sums, channels * positions);
        Arch::new().dispatch(Forward {
            packed: self,
            padded,
            plane,
            sums,
            positions,
        });
        for (channel, sums) in sums.chunks_exact(positions).take(of.outputs).enumerate() {
            let to = out.row(channel).chunks_exact_mut(of.out[1]);
            for (to, from) in to.zip(sums.chunks(of.wide())) {
                to.write_copy_of_slice(&from[..of.out[1]]);
            }
        }
        // SAFETY: each row of each channel is written.
        unsafe { out.assume_written() }
    }
}

/// Sums of shifted planes.
struct Forward<'a> {
    packed: &'a Packed,
    /// `[i, plane]`, and room to read on behind the last.
    padded: &'a [f32],
    plane: usize,
    /// `[o, positions]`
    sums: &'a mut [f32],
    positions: usize,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let of = self.packed.of;
        let reach =
            (of.inputs - 1) * self.plane + (of.kernel[0] - 1) * of.wide() + of.kernel[1] - 1;
        assert!(reach + self.positions <= self.padded.len());
        assert!(of.outputs.next_multiple_of(BLOCK) * self.positions <= self.sums.len());
        let mut at = 0;
        while at < self.positions {
            let vectors = ((self.positions - at) / S::F32_LANES).min(VECTORS);
            for block in 0..of.outputs.div_ceil(BLOCK) {
                // SAFETY: the asserts above, and `vectors` more vectors are there.
                unsafe {
                    match vectors {
                        1 => self.block::<S, 1>(simd, block, at),
                        2 => self.block::<S, 2>(simd, block, at),
                        _ => self.block::<S, VECTORS>(simd, block, at),
                    }
                }
            }
            at += vectors * S::F32_LANES;
        }
    }
}

impl Forward<'_> {
    /// The sums of a block of channels, in as many rows of registers as there are.
    #[inline(always)]
    unsafe fn block<S: Simd, const V: usize>(&mut self, simd: S, block: usize, at: usize) {
        let left = self.packed.of.outputs - block * BLOCK;
        // SAFETY: the caller's.
        unsafe {
            if S::REGISTER_COUNT >= 32 && left > BLOCK / 2 {
                self.tile::<S, BLOCK, V>(simd, block, 0, at);
            } else {
                self.tile::<S, 4, V>(simd, block, 0, at);
                if left > 4 {
                    self.tile::<S, 4, V>(simd, block, 4, at);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const O: usize, const V: usize>(
        &mut self,
        simd: S,
        block: usize,
        within: usize,
        at: usize,
    ) {
        let of = self.packed.of;
        let [kernel_height, kernel_width] = of.kernel;
        let taps = kernel_height * kernel_width;
        let mut sums = [[simd.splat_f32s(0.0); V]; O];
        // SAFETY: the weights of a block are there, and the planes as far as `with_simd` says.
        unsafe {
            let mut weight =
                (self.packed.weights.as_ptr()).add(block * of.inputs * taps * BLOCK + within);
            for channel in 0..of.inputs {
                for dy in 0..kernel_height {
                    let row = self
                        .padded
                        .as_ptr()
                        .add(channel * self.plane + dy * of.wide() + at);
                    for dx in 0..kernel_width {
                        let mut x = [simd.splat_f32s(0.0); V];
                        for (vector, x) in x.iter_mut().enumerate() {
                            *x = load::<S>(row.add(dx + vector * S::F32_LANES));
                        }
                        for (o, sums) in sums.iter_mut().enumerate() {
                            let weight = simd.splat_f32s(*weight.add(o));
                            for (sum, x) in sums.iter_mut().zip(x) {
                                *sum = simd.mul_add_f32s(weight, x, *sum);
                            }
                        }
                        weight = weight.add(BLOCK);
                    }
                }
            }
            let first = block * BLOCK + within;
            for (o, sums) in sums.into_iter().enumerate() {
                let row = self
                    .sums
                    .as_mut_ptr()
                    .add((first + o) * self.positions + at);
                for (vector, sum) in sums.into_iter().enumerate() {
                    row.add(vector * S::F32_LANES)
                        .cast::<S::f32s>()
                        .write_unaligned(sum);
                }
            }
        }
    }
}

/// # Safety
///
/// A vector's elements are there.
#[inline(always)]
unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller's.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// Adds the gradients of the weights `[o, i, k]` from images `[i, h, w]` and gradients of their results
/// `[o, h, w]`.
pub(super) fn add_weight_gradients<'a>(
    of: Direct,
    examples: impl Iterator<Item = [&'a [f32]; 2]>,
    sum: &mut [f32],
    bench: &mut Bench,
) {
    let rows = of.strip_rows(1);
    let strip = of.seen(rows) * of.wide();
    let together = (SIDE_BY_SIDE / ((of.inputs + of.outputs) * strip)).max(1);
    let strips = examples.flat_map(|example| {
        let firsts = (0..of.out[0]).step_by(rows);
        firsts.map(move |first| (example, (first, rows.min(of.out[0] - first))))
    });
    let mut strips = strips.peekable();
    let length = (together * strip).next_multiple_of(LONGEST);
    // A shifted plane reads on into the next one's beginning, where gradients are zero.
    let plane = length + (of.kernel[0] - 1) * of.wide() + of.kernel[1] - 1;
    while strips.peek().is_some() {
        let padded = room(&mut bench.padded, of.inputs * plane);
        let gradients = room(&mut bench.sums, of.outputs * length);
        let mut used = 0;
        for ([image, gradient], rows) in strips.by_ref().take(together) {
            let planes = image.chunks_exact(of.image[0] * of.image[1]);
            for (from, to) in planes.zip(padded.chunks_exact_mut(plane)) {
                let to = &mut to[used..used + strip];
                of.pad(from, rows, to);
                to[of.seen(rows.1) * of.wide()..].fill(0.0);
            }
            let planes = gradient.chunks_exact(of.out[0] * of.out[1]);
            for (from, to) in planes.zip(gradients.chunks_exact_mut(length)) {
                let from = from[rows.0 * of.out[1]..]
                    .chunks_exact(of.out[1])
                    .take(rows.1);
                let mut to = to[used..used + strip].chunks_exact_mut(of.wide());
                for (from, to) in from.zip(to.by_ref()) {
                    let (within, after) = to.split_at_mut(of.out[1]);
                    within.copy_from_slice(from);
                    after.fill(0.0);
                }
                to.for_each(|to| to.fill(0.0));
            }
            used += strip;
        }
        // What an earlier turn left must be neither added nor multiplied: it may be no number.
        for to in padded.chunks_exact_mut(plane) {
            to[used..].fill(0.0);
        }
        for to in gradients.chunks_exact_mut(length) {
            to[used..].fill(0.0);
        }
        Arch::new().dispatch(Gradients {
            of,
            padded,
            plane,
            gradients,
            length,
            used: used.next_multiple_of(LONGEST),
            sum,
        });
    }
}

/// Inner products of planes of gradients and shifted planes.
struct Gradients<'a> {
    of: Direct,
    /// `[i, plane]`
    padded: &'a [f32],
    plane: usize,
    /// `[o, length]`
    gradients: &'a [f32],
    length: usize,
    /// Positions of the length that count.
    used: usize,
    /// `[o, i, k]`
    sum: &'a mut [f32],
}

impl WithSimd for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let of = self.of;
        let shift = (of.kernel[0] - 1) * of.wide() + of.kernel[1] - 1;
        assert!(self.used <= self.length && self.length + shift <= self.plane);
        assert!(of.inputs * self.plane <= self.padded.len());
        assert!(of.outputs * self.length <= self.gradients.len());
        assert!(of.weights() <= self.sum.len());
        for start in (0..self.used).step_by(TILE) {
            let tile = start..(start + TILE).min(self.used);
            let mut o = 0;
            while o < of.outputs {
                let left = of.outputs - o;
                // SAFETY: the asserts above.
                o += unsafe {
                    if left >= BLOCK && S::REGISTER_COUNT >= 32 {
                        self.rows::<S, BLOCK>(simd, o, tile.clone())
                    } else if left >= 4 {
                        self.rows::<S, 4>(simd, o, tile.clone())
                    } else {
                        self.rows::<S, 1>(simd, o, tile.clone())
                    }
                };
            }
        }
    }
}

type Tile = std::ops::Range<usize>;

impl Gradients<'_> {
    /// The weights of so many outputs; says how many.
    #[inline(always)]
    unsafe fn rows<S: Simd, const O: usize>(&mut self, simd: S, first: usize, tile: Tile) -> usize {
        let [kernel_height, kernel_width] = self.of.kernel;
        for channel in 0..self.of.inputs {
            for dy in 0..kernel_height {
                let mut dx = 0;
                while dx < kernel_width {
                    let place = [channel, dy, dx];
                    // SAFETY: the caller's.
                    dx += unsafe {
                        match kernel_width - dx {
                            1 => self.taps::<S, O, 1>(simd, first, place, tile.clone()),
                            2 => self.taps::<S, O, 2>(simd, first, place, tile.clone()),
                            _ => self.taps::<S, O, 3>(simd, first, place, tile.clone()),
                        }
                    };
                }
            }
        }
        O
    }

    /// So many taps that lie side by side; says how many.
    #[inline(always)]
    unsafe fn taps<S: Simd, const O: usize, const T: usize>(
        &mut self,
        simd: S,
        first: usize,
        [channel, dy, dx]: [usize; 3],
        tile: Tile,
    ) -> usize {
        let of = self.of;
        let [kernel_height, kernel_width] = of.kernel;
        let mut sums = [[simd.splat_f32s(0.0); T]; O];
        // SAFETY: `with_simd` made sure that both matrices reach so far.
        unsafe {
            let x = (self.padded.as_ptr()).add(channel * self.plane + dy * of.wide() + dx);
            let gradients = self.gradients.as_ptr().add(first * self.length);
            for at in tile.step_by(S::F32_LANES) {
                let mut shifted = [simd.splat_f32s(0.0); T];
                for (tap, shifted) in shifted.iter_mut().enumerate() {
                    *shifted = load::<S>(x.add(at + tap));
                }
                for (o, sums) in sums.iter_mut().enumerate() {
                    let gradient = load::<S>(gradients.add(o * self.length + at));
                    for (sum, x) in sums.iter_mut().zip(shifted) {
                        *sum = simd.mul_add_f32s(gradient, x, *sum);
                    }
                }
            }
        }
        for (o, sums) in sums.into_iter().enumerate() {
            let row = ((first + o) * of.inputs + channel) * kernel_height + dy;
            let to = &mut self.sum[row * kernel_width + dx..][..T];
            for (to, sum) in to.iter_mut().zip(sums) {
                *to += simd.reduce_sum_f32s(sum);
            }
        }
        T
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::unwritten;
    use super::*;

    /// Channels in and out, image, kernel, zeros above and left, below and right.
    type Case = ([usize; 2], [usize; 2], [usize; 2], [usize; 2], [usize; 2]);

    const CASES: &[Case] = &[
        ([1, 1], [4, 4], [3, 3], [1, 1], [1, 1]),
        ([3, 5], [9, 7], [3, 3], [0, 0], [0, 0]),
        ([2, 8], [6, 33], [1, 5], [0, 2], [0, 2]),
        ([4, 9], [12, 5], [5, 1], [3, 0], [1, 0]),
        ([3, 21], [8, 8], [5, 5], [2, 2], [2, 2]),
        ([7, 12], [17, 16], [2, 4], [1, 0], [0, 3]),
        // Cut into strips: rows of 300 pixels of 40 channels.
        ([40, 6], [23, 300], [3, 3], [1, 1], [1, 1]),
    ];

    fn direct(([inputs, outputs], image, kernel, before, after): Case) -> Direct {
        let out = [0, 1].map(|axis| image[axis] + before[axis] + after[axis] + 1 - kernel[axis]);
        Direct {
            inputs,
            outputs,
            image,
            out,
            kernel,
            before,
        }
    }

    /// Numbers in -1..1 that look random.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        let number = |at: usize| (((at + 7 * seed) * 7919 + 104_729) % 2003) as f32 / 1001.5 - 1.0;
        (0..count).map(number).collect()
    }

    /// Calls `work` with the places of every product of a convolution: in the result, the weight, the image.
    fn products(of: Direct, mut work: impl FnMut([usize; 3])) {
        let ([height, width], [rows, columns]) = (of.image, of.out);
        let [kernel_height, kernel_width] = of.kernel;
        for o in 0..of.outputs {
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                for i in 0..of.inputs {
                    for dy in 0..kernel_height {
                        for dx in 0..kernel_width {
                            let row = (y + dy).wrapping_sub(of.before[0]);
                            let column = (x + dx).wrapping_sub(of.before[1]);
                            if row < height && column < width {
                                work([
                                    (o * rows + y) * columns + x,
                                    ((o * of.inputs + i) * kernel_height + dy) * kernel_width + dx,
                                    (i * height + row) * width + column,
                                ]);
                            }
                        }
                    }
                }
            }
        }
    }

    fn assert_near(found: &[f32], exact: &[f64], case: Case) {
        let largest = exact
            .iter()
            .fold(1.0, |largest: f64, value| largest.max(value.abs()));
        for (place, (found, exact)) in found.iter().zip(exact).enumerate() {
            let apart = (f64::from(*found) - exact).abs();
            assert!(
                apart < 1e-5 * largest,
                "{case:?} at {place}: {found}, not {exact}"
            );
        }
    }

    /// A bench that an earlier convolution has left full of what is no number.
    fn used() -> Bench {
        Bench {
            padded: vec![f32::NAN; 1 << 20],
            sums: vec![f32::NAN; 1 << 20],
        }
    }

    fn written(packed: &Packed, image: &[f32], len: usize) -> Vec<f32> {
        let mut out = unwritten(len);
        packed.write_all(image, &mut out, &mut used());
        // SAFETY: all of it is written.
        unsafe { out.assume_init() }.into_vec()
    }

    #[test]
    fn results_and_image_gradients_are_the_sums_of_their_products() {
        for case in CASES {
            let of = direct(*case);
            let weight = numbers(of.weights(), 1);
            let image = numbers(of.inputs * of.image[0] * of.image[1], 2);
            let gradient = numbers(of.outputs * of.out[0] * of.out[1], 3);
            let mut out = vec![0.0; gradient.len()];
            let mut for_image = vec![0.0; image.len()];
            products(of, |[o, w, i]| {
                out[o] += f64::from(weight[w]) * f64::from(image[i]);
                for_image[i] += f64::from(weight[w]) * f64::from(gradient[o]);
            });
            let found = written(&Packed::new(of, &weight), &image, out.len());
            assert_near(&found, &out, *case);
            let reversed = Packed::reversed(of, &weight);
            let found = written(&reversed, &gradient, for_image.len());
            assert_near(&found, &for_image, *case);
        }
    }

    #[test]
    fn weight_gradients_are_sums_over_all_images() {
        for case in CASES {
            let of = direct(*case);
            let (image, out) = (of.image[0] * of.image[1], of.out[0] * of.out[1]);
            let images = numbers(5 * of.inputs * image, 4);
            let gradients = numbers(5 * of.outputs * out, 5);
            let examples = images.chunks_exact(of.inputs * image);
            let examples = examples.zip(gradients.chunks_exact(of.outputs * out));
            let mut exact = vec![1.0; of.weights()];
            for (image, gradient) in examples.clone() {
                products(of, |[o, w, i]| {
                    exact[w] += f64::from(gradient[o]) * f64::from(image[i]);
                });
            }
            let mut sum = vec![1.0; of.weights()];
            let examples = examples.map(|(image, gradient)| [image, gradient]);
            add_weight_gradients(of, examples, &mut sum, &mut used());
            assert_near(&sum, &exact, *case);
        }
    }
}
