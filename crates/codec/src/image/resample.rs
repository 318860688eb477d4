//! Pictures of another size, with PIL's own arithmetic: weights in fixed point, one axis after the
//! other, each rounded to eight bits.

use std::ops::Range;

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma, Pixel, Rgb};
use serde::{Deserialize, Serialize};

use super::{Color, Picture};

/// How the pixels of another size are made. All but `Nearest` average over as much of the picture as a
/// pixel of the new one covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// A triangle filter in floats, as folders of images are resized since the first recipes: PIL's
    /// bilinear up to rounding.
    #[default]
    Triangle,
    /// PIL's `NEAREST`.
    Nearest,
    /// PIL's `BILINEAR`.
    Bilinear,
    /// PIL's `BICUBIC`.
    Bicubic,
}

/// Bits behind the point of a weight: a sum of 255 times weights that may overshoot fits 32 bits.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The rows and columns `window` of what `picture` is at `size`, height first. Nothing else of it is
/// computed.
pub(super) fn resize(
    picture: &Picture,
    size: [usize; 2],
    window: [Range<usize>; 2],
    interpolation: Interpolation,
) -> Picture {
    if picture.size() == size {
        return cut(picture, window);
    }
    let [rows, columns] = window;
    let filter = match interpolation {
        Interpolation::Triangle => return cut(&triangle(picture, size), [rows, columns]),
        Interpolation::Nearest => None,
        Interpolation::Bilinear => Some((bilinear as fn(f64) -> f64, 1.0)),
        Interpolation::Bicubic => Some((bicubic as fn(f64) -> f64, 2.0)),
    };
    let taps = |side: usize, new_side: usize, window| match filter {
        None => nearest(side, new_side, window),
        Some((filter, support)) => averaged(side, new_side, window, filter, support),
    };
    let [height, width] = picture.size();
    let across = taps(width, size[1], columns);
    let down = taps(height, size[0], rows);
    let first = down.iter().map(|tap| tap.from).min().unwrap_or(0);
    let last = down.iter().map(|tap| tap.from + tap.weights.len()).max();
    let needed = first..last.unwrap_or(first);
    let squeezed = horizontal(picture, needed, &across);
    let channels = picture.color().channels();
    let samples = vertical(&squeezed, across.len() * channels, first, &down);
    Picture::new(down.len(), across.len(), picture.color(), samples)
}

/// Where the source of a new pixel begins, and the weights of what is there.
struct Tap {
    from: usize,
    weights: Vec<i32>,
}

fn nearest(side: usize, new_side: usize, window: Range<usize>) -> Vec<Tap> {
    let scale = side as f64 / new_side as f64;
    // Added up and not multiplied, as PIL does: far from 0 the two differ.
    let mut at = scale * 0.5;
    let mut taps = Vec::with_capacity(window.len());
    for place in 0..window.end {
        if place >= window.start {
            taps.push(Tap {
                from: (at as usize).min(side - 1),
                weights: vec![1 << PRECISION_BITS],
            });
        }
        at += scale;
    }
    taps
}

fn averaged(
    side: usize,
    new_side: usize,
    window: Range<usize>,
    filter: fn(f64) -> f64,
    support: f64,
) -> Vec<Tap> {
    let scale = side as f64 / new_side as f64;
    let stretch = scale.max(1.0);
    let support = support * stretch;
    let tap = |place: usize| {
        let center = (place as f64 + 0.5) * scale;
        // Casts cut off towards 0, and what is below 0 is 0.
        let from = (center - support + 0.5) as usize;
        let until = ((center + support + 0.5) as usize).min(side);
        let weight = |at: usize| filter((at as f64 - center + 0.5) * (1.0 / stretch));
        let weights: Vec<f64> = (from..until).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let weight = if sum == 0.0 { *weight } else { weight / sum };
            let scaled = weight * f64::from(1_u32 << PRECISION_BITS);
            (scaled + 0.5_f64.copysign(scaled)) as i32
        };
        Tap {
            from,
            weights: weights.iter().map(fixed).collect(),
        }
    };
    window.map(tap).collect()
}

fn bilinear(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Keys' cubic with a = -1/2.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// From fixed point to eight bits.
fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// The rows `needed`, each as wide as there are taps.
fn horizontal(picture: &Picture, needed: Range<usize>, taps: &[Tap]) -> Vec<u8> {
    let channels = picture.color().channels();
    let row_length = picture.size()[1] * channels;
    let mut samples = Vec::with_capacity(needed.len() * taps.len() * channels);
    for row in picture
        .samples()
        .chunks_exact(row_length)
        .take(needed.end)
        .skip(needed.start)
    {
        for tap in taps {
            let mut sums = [HALF; 3];
            let pixels = row[tap.from * channels..].chunks_exact(channels);
            for (weight, pixel) in tap.weights.iter().zip(pixels) {
                for (sum, sample) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(*sample);
                }
            }
            samples.extend(sums[..channels].iter().map(|sum| rounded(*sum)));
        }
    }
    samples
}

/// As many rows as there are taps, of rows that begin with the one numbered `first`.
fn vertical(samples: &[u8], row_length: usize, first: usize, taps: &[Tap]) -> Vec<u8> {
    let mut new = Vec::with_capacity(taps.len() * row_length);
    let mut sums = vec![HALF; row_length];
    for tap in taps {
        sums.fill(HALF);
        let rows = samples[(tap.from - first) * row_length..].chunks_exact(row_length);
        for (weight, row) in tap.weights.iter().zip(rows) {
            for (sum, sample) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(*sample);
            }
        }
        new.extend(sums.iter().map(|sum| rounded(*sum)));
    }
    new
}

fn cut(picture: &Picture, [rows, columns]: [Range<usize>; 2]) -> Picture {
    let channels = picture.color().channels();
    let row_length = picture.size()[1] * channels;
    let (height, width) = (rows.len(), columns.len());
    let columns = columns.start * channels..columns.end * channels;
    let mut samples = Vec::with_capacity(height * columns.len());
    for row in picture
        .samples()
        .chunks_exact(row_length)
        .take(rows.end)
        .skip(rows.start)
    {
        samples.extend_from_slice(&row[columns.clone()]);
    }
    Picture::new(height, width, picture.color(), samples)
}

fn triangle(picture: &Picture, [new_height, new_width]: [usize; 2]) -> Picture {
    let [height, width] = picture.size().map(|side| side as u32);
    let samples = picture.samples();
    let resized = match picture.color() {
        Color::Grey => ImageBuffer::<Luma<u8>, _>::from_raw(width, height, samples)
            .map(|image| scaled(&image, new_height, new_width)),
        Color::Rgb => ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, samples)
            .map(|image| scaled(&image, new_height, new_width)),
    };
    let resized = resized.expect("a picture has as many samples as pixels and channels");
    Picture::new(new_height, new_width, picture.color(), resized)
}

fn scaled<P: Pixel<Subpixel = u8> + 'static>(
    image: &ImageBuffer<P, &[u8]>,
    height: usize,
    width: usize,
) -> Vec<u8> {
    imageops::resize(image, width as u32, height as u32, FilterType::Triangle).into_raw()
}
