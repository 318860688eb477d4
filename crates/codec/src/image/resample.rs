//! Pictures of another size, with PIL's own arithmetic: weights in fixed point, one axis after the
//! other, each rounded to eight bits.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Picture;

/// How the pixels of another size are made. All but `Nearest` average over as much of the picture as a
/// pixel of the new one covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// PIL's `NEAREST`.
    Nearest,
    /// PIL's `BILINEAR`.
    #[default]
    #[serde(alias = "triangle")]
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
        Interpolation::Nearest => None,
        Interpolation::Bilinear => Some((bilinear as fn(f64) -> f64, 1.0)),
        Interpolation::Bicubic => Some((bicubic as fn(f64) -> f64, 2.0)),
    };
    let taps = |side: usize, new_side: usize, window| match filter {
        None => nearest(side, new_side, window),
        Some((filter, support)) => averaged(side, new_side, window, filter, support),
    };
    let [height, width] = picture.size();
    let mut across = taps(width, size[1], columns);
    let mut down = taps(height, size[0], rows);
    let needed = [shift_to_first(&mut down), shift_to_first(&mut across)];
    let part = match needed == [0..height, 0..width] {
        true => Cow::Borrowed(picture),
        false => Cow::Owned(cut(picture, needed)),
    };
    match goes_down_first(picture.size(), size) {
        true => horizontal(&vertical(&part, &down), &across),
        false => vertical(&horizontal(&part, &across), &down),
    }
}

/// Which axis Pillow 13 takes first, found by experiment; earlier versions go across first, and round
/// another way where this says otherwise.
fn goes_down_first([height, width]: [usize; 2], [new_height, new_width]: [usize; 2]) -> bool {
    let less = |side: usize, new_side: usize| side as isize - new_side as isize;
    let fewer_rows = less(height, new_height);
    fewer_rows > 0 && fewer_rows > 2 * less(width, new_width)
}

/// What is needed of the source, which is where taps count from then.
fn shift_to_first(taps: &mut [Tap]) -> Range<usize> {
    let first = taps.iter().map(|tap| tap.from).min().unwrap_or(0);
    let end = taps.iter().map(|tap| tap.from + tap.weights.len()).max();
    taps.iter_mut().for_each(|tap| tap.from -= first);
    first..end.unwrap_or(first)
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

/// The picture as wide as there are taps.
fn horizontal(picture: &Picture, taps: &[Tap]) -> Picture {
    let channels = picture.color().channels();
    let [height, width] = picture.size();
    let mut samples = Vec::with_capacity(height * taps.len() * channels);
    for row in picture.samples().chunks_exact(width * channels) {
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
    Picture::new(height, taps.len(), picture.color(), samples)
}

/// The picture as high as there are taps.
fn vertical(picture: &Picture, taps: &[Tap]) -> Picture {
    let width = picture.size()[1];
    let row_length = width * picture.color().channels();
    let mut samples = Vec::with_capacity(taps.len() * row_length);
    let mut sums = vec![HALF; row_length];
    for tap in taps {
        sums.fill(HALF);
        let rows = picture.samples()[tap.from * row_length..].chunks_exact(row_length);
        for (weight, row) in tap.weights.iter().zip(rows) {
            for (sum, sample) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(*sample);
            }
        }
        samples.extend(sums.iter().map(|sum| rounded(*sum)));
    }
    Picture::new(taps.len(), width, picture.color(), samples)
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
