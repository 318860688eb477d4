//! `glyphs`: digits of 28x28 grey pixels, drawn by this file, so that a model trains on a machine
//! with no data and no network.
//!
//! Item `i` of a split is a function of (seed, split, `i`) and nothing else: a digit's strokes
//! (`strokes.rs`) are shaken point by point, bent by a slow wave, sheared, rotated, scaled and
//! moved, drawn with a pen of random width between distracting scribbles, and covered with noise.
//! Trigonometry is done in `f64` and everything after it in plain `f32` arithmetic, so the pixels
//! do not depend on the platform.
//!
//! The set is no stand-in for MNIST. It is made so that a better model visibly does better; see
//! [`DIFFICULTY`].

use crate::draws::Draws;
use crate::strokes::{Point, Stroke, VARIANTS};
use crate::{Memory, Split};
use std::thread;

/// Height and width of an image, in pixels.
pub(crate) const SIDE: usize = 28;
/// Images in the training split.
pub(crate) const TRAIN_IMAGES: usize = 12_000;
/// Images in the test split.
pub(crate) const TEST_IMAGES: usize = 2_000;
/// The seed of the set that everyone gets; another one would be another data set.
const SEED: u64 = 0x67_6c_79_70_68;
/// Height of an undistorted digit, in pixels.
const DIGIT_HEIGHT: f32 = 18.0;
/// Width of an undistorted digit, in pixels.
const DIGIT_WIDTH: f32 = 13.0;
/// Straight pieces between two points of a curve.
const PIECES_PER_SPAN: usize = 6;

/// How far each image strays from the clean digit. A range is drawn from uniformly, an amplitude
/// `a` stands for -a..a.
struct Difficulty {
    /// Amplitude of the rotation, in degrees.
    rotation_degrees: f32,
    /// Amplitude of the horizontal shear, in widths per height.
    shear: f32,
    /// Size against the undistorted digit, drawn for height and width apart.
    scale: [f32; 2],
    /// Amplitude of the shift, in pixels, each way.
    shift_pixels: f32,
    /// Amplitude by which each point of a stroke moves, in digit sizes.
    jitter: f32,
    /// Amplitude of the wave that bends the whole digit, in pixels.
    wobble_pixels: f32,
    /// Radius of the pen, in pixels.
    pen_radius_pixels: [f32; 2],
    /// Scribbles beside the digit: at most so many.
    distractors: usize,
    /// Length of a scribble, in pixels.
    distractor_pixels: [f32; 2],
    /// Brightness of a scribble, as a part of the digit's.
    distractor_ink: [f32; 2],
    /// Brightness of the digit, 0..1.
    ink: [f32; 2],
    /// Brightness of the paper, 0..1.
    paper: [f32; 2],
    /// Standard deviation of each pixel's noise, in parts of the full range.
    noise: [f32; 2],
}

/// Chosen so that models keep apart while a person still reads every digit. Test accuracy after ten
/// epochs of SGD with batches of 64 (PyTorch, one run each), without and with momentum 0.9:
///
/// | model | rate 0.01 | with momentum |
/// |---|---|---|
/// | linear, 784-10 | 73.5 % | 70.5 % |
/// | perceptron, 784-128-10 | 85.7 % | 95.1 % |
/// | LeNet-5 | 92.9 % | 99.1 % |
const DIFFICULTY: Difficulty = Difficulty {
    rotation_degrees: 14.0,
    shear: 0.25,
    scale: [0.75, 1.15],
    shift_pixels: 2.5,
    jitter: 0.04,
    wobble_pixels: 1.0,
    pen_radius_pixels: [0.7, 1.5],
    distractors: 2,
    distractor_pixels: [3.0, 7.0],
    distractor_ink: [0.4, 0.9],
    ink: [0.55, 1.0],
    paper: [0.0, 0.2],
    noise: [0.02, 0.12],
};

/// Draws a whole split. The labels go round 0, 1, …, 9, so that every stretch of it is balanced.
pub(crate) fn generate(split: Split) -> Memory {
    let images = match split {
        Split::Train => TRAIN_IMAGES,
        Split::Test => TEST_IMAGES,
    };
    let mut pixels = vec![0; images * SIDE * SIDE];
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let images_per_thread = images.div_ceil(threads);
    thread::scope(|scope| {
        for (part, chunk) in pixels
            .chunks_mut(images_per_thread * SIDE * SIDE)
            .enumerate()
        {
            scope.spawn(move || {
                for (offset, image) in chunk.chunks_exact_mut(SIDE * SIDE).enumerate() {
                    draw(split, part * images_per_thread + offset, image);
                }
            });
        }
    });
    Memory {
        pixels,
        labels: (0..images).map(label).collect(),
    }
}

/// The digit that item `index` shows.
fn label(index: usize) -> u8 {
    (index % VARIANTS.len()) as u8
}

/// Draws item `index` of `split` into `image`, row by row.
fn draw(split: Split, index: usize, image: &mut [u8]) {
    let d = &DIFFICULTY;
    let mut rng = Draws::new(SEED, 2 * index as u64 + u64::from(split == Split::Test));
    let variants = VARIANTS[usize::from(label(index))];
    let strokes = variants[rng.below(variants.len())];
    let distortion = Distortion::random(&mut rng);
    let radius = rng.between(d.pen_radius_pixels);

    let mut ink = [0.0; SIDE * SIDE];
    for stroke in strokes {
        let path: Vec<Point> = shaken(stroke, &mut rng)
            .into_iter()
            .map(|point| distortion.apply(point))
            .collect();
        draw_path(&mut ink, &path, radius, 1.0);
    }
    for _ in 0..rng.below(d.distractors + 1) {
        let path = scribble(&mut rng);
        let brightness = rng.between(d.distractor_ink);
        draw_path(&mut ink, &path, radius, brightness);
    }

    let paper = rng.between(d.paper);
    let brightness = rng.between(d.ink);
    let noise = rng.between(d.noise);
    for (pixel, ink) in image.iter_mut().zip(ink) {
        let value = paper + (brightness - paper) * ink + noise * rng.bell();
        *pixel = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    }
}

/// The corner points of a stroke after each of its points has moved a little.
fn shaken(stroke: &Stroke, rng: &mut Draws) -> Vec<Point> {
    let mut shake = |points: &[Point]| -> Vec<Point> {
        let jitter = DIFFICULTY.jitter;
        let moved = points
            .iter()
            .map(|p| [p[0] + rng.around(jitter), p[1] + rng.around(jitter)]);
        moved.collect()
    };
    match stroke {
        // Cut into pieces as well, so that the wave bends straight strokes too.
        Stroke::Line(points) => through(&shake(points), |_, a, b, _, t| a + (b - a) * t),
        Stroke::Curve(points) => through(&shake(points), catmull_rom),
    }
}

/// Cuts each span between neighbouring points into pieces; `blend(before, a, b, after, t)` gives
/// one coordinate at `t` of the way from `a` to `b`.
fn through(points: &[Point], blend: impl Fn(f32, f32, f32, f32, f32) -> f32) -> Vec<Point> {
    let last = points.len() - 1;
    let mut path = vec![points[0]];
    for span in 0..last {
        let [before, a, b, after] = [span.saturating_sub(1), span, span + 1, (span + 2).min(last)]
            .map(|index| points[index]);
        for piece in 1..=PIECES_PER_SPAN {
            let t = piece as f32 / PIECES_PER_SPAN as f32;
            path.push([0, 1].map(|axis| blend(before[axis], a[axis], b[axis], after[axis], t)));
        }
    }
    path
}

/// The uniform Catmull-Rom spline from `a` to `b`.
fn catmull_rom(before: f32, a: f32, b: f32, after: f32, t: f32) -> f32 {
    let [t2, t3] = [t * t, t * t * t];
    0.5 * (2.0 * a
        + (b - before) * t
        + (2.0 * before - 5.0 * a + 4.0 * b - after) * t2
        + (3.0 * a - before - 3.0 * b + after) * t3)
}

/// A short straight stroke somewhere in the image, in pixels.
fn scribble(rng: &mut Draws) -> Vec<Point> {
    let start = [0, 1].map(|_| rng.between([0.0, SIDE as f32]));
    let length = rng.between(DIFFICULTY.distractor_pixels);
    let (sin, cos) = rng.angle(180.0);
    vec![start, [start[0] + length * cos, start[1] + length * sin]]
}

/// Where a digit's points come to lie, in pixels: an affine map, then a wave across each axis.
struct Distortion {
    matrix: [[f32; 2]; 2],
    centre: Point,
    /// For the shift along each axis: cycles per pixel of the other axis, and phase in radians.
    waves: [[f32; 2]; 2],
}

impl Distortion {
    fn random(rng: &mut Draws) -> Self {
        let d = &DIFFICULTY;
        let (sin, cos) = rng.angle(d.rotation_degrees);
        let shear = rng.around(d.shear);
        let width = DIGIT_WIDTH * rng.between(d.scale);
        let height = DIGIT_HEIGHT * rng.between(d.scale);
        // rotation * shear * scale
        let matrix = [
            [cos * width, (cos * shear - sin) * height],
            [sin * width, (sin * shear + cos) * height],
        ];
        let middle = SIDE as f32 / 2.0;
        let centre = [0, 1].map(|_| middle + rng.around(d.shift_pixels));
        let waves = [0, 1].map(|_| [rng.between([0.02, 0.06]), rng.around(std::f32::consts::PI)]);
        Self {
            matrix,
            centre,
            waves,
        }
    }

    fn apply(&self, [x, y]: Point) -> Point {
        let [x, y] = [x - 0.5, y - 0.5];
        let [x, y] =
            [0, 1].map(|row| self.matrix[row][0] * x + self.matrix[row][1] * y + self.centre[row]);
        let wave = |[frequency, phase]: [f32; 2], along: f32| {
            let angle = std::f64::consts::TAU * f64::from(frequency * along) + f64::from(phase);
            DIFFICULTY.wobble_pixels * angle.sin() as f32
        };
        [x + wave(self.waves[0], y), y + wave(self.waves[1], x)]
    }
}

/// Draws a path with a round pen. A pixel's ink is how far it lies inside the pen's edge, which
/// smooths the edge over one pixel; strokes that cross do not add up.
fn draw_path(ink: &mut [f32; SIDE * SIDE], path: &[Point], radius: f32, brightness: f32) {
    let reach = radius + 0.5;
    for ends in path.windows(2) {
        let [from, to] = [ends[0], ends[1]];
        // Pixels whose centre may lie within reach; a cast of a float to usize saturates at 0.
        let [columns, rows] = [0, 1].map(|axis| {
            let low = (from[axis].min(to[axis]) - reach) as usize;
            let high = (from[axis].max(to[axis]) + reach) as usize;
            low..(high + 1).min(SIDE)
        });
        for row in rows {
            for column in columns.clone() {
                let centre = [column as f32 + 0.5, row as f32 + 0.5];
                let covered = (reach - distance(centre, from, to)).clamp(0.0, 1.0);
                let pixel = &mut ink[row * SIDE + column];
                *pixel = pixel.max(covered * brightness);
            }
        }
    }
}

/// Distance of a point from the straight piece between `from` and `to`.
fn distance(point: Point, from: Point, to: Point) -> f32 {
    let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    let [px, py] = [point[0] - from[0], point[1] - from[1]];
    let length_squared = dx * dx + dy * dy;
    let t = if length_squared > 0.0 {
        ((px * dx + py * dy) / length_squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let [ex, ey] = [px - t * dx, py - t * dy];
    (ex * ex + ey * ey).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// FNV-1a, 64 bits.
    fn fnv(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// A change here changes the data set, and with it every result measured on it.
    #[test]
    fn the_set_is_the_one_that_results_were_measured_on() {
        let checksums = [Split::Train, Split::Test].map(|split| fnv(&generate(split).pixels));
        let known = [0xa03f_b2e7_ce77_0d3e, 0x33a4_5423_ada8_af80];
        assert_eq!(checksums, known, "found {checksums:#x?}");
    }

    #[test]
    fn every_class_is_equally_frequent() {
        for (split, images) in [(Split::Train, 12_000), (Split::Test, 2_000)] {
            let Memory { pixels, labels } = generate(split);
            assert_eq!(labels.len(), images);
            assert_eq!(pixels.len(), images * 28 * 28);
            for digit in 0..10 {
                let count = labels.iter().filter(|&&label| label == digit).count();
                assert_eq!(count, images / 10);
            }
        }
    }

    #[test]
    fn no_image_occurs_twice_in_or_across_the_splits() {
        let [train, test] = [Split::Train, Split::Test].map(|split| generate(split).pixels);
        let images: HashSet<&[u8]> = [&train, &test]
            .into_iter()
            .flat_map(|pixels| pixels.chunks_exact(SIDE * SIDE))
            .collect();
        assert_eq!(images.len(), TRAIN_IMAGES + TEST_IMAGES);
    }

    #[test]
    fn an_item_does_not_depend_on_its_neighbours() {
        let all = generate(Split::Test).pixels;
        let mut alone = [0; SIDE * SIDE];
        for index in [0, 1, 999, 1_999] {
            draw(Split::Test, index, &mut alone);
            assert_eq!(all[index * SIDE * SIDE..][..SIDE * SIDE], alone);
        }
    }

    #[test]
    fn the_digit_stands_out_from_the_paper() {
        let Memory { pixels, .. } = generate(Split::Test);
        for image in pixels.chunks_exact(SIDE * SIDE) {
            let mut sorted = image.to_vec();
            sorted.sort_unstable();
            // Ink covers 4 to 35 % of an image, so the median is paper.
            let [paper, ink] = [sorted[SIDE * SIDE / 2], sorted[SIDE * SIDE - 25]];
            assert!(ink > paper.saturating_add(40), "ink {ink} on paper {paper}");
        }
    }
}
