//! Another number of samples in a second, by a windowed sinc: what `torchaudio.functional.resample`
//! computes by default (a Hann window over six zero crossings, cut off at 0.99 of what the lower rate
//! can hold).

use std::f64::consts::PI;

/// Zero crossings of the sinc on either side: more are sharper, and slower.
const ZERO_CROSSINGS: f64 = 6.0;
/// Where the filter cuts off, as a share of half the lower rate.
const ROLLOFF: f64 = 0.99;

/// How many samples there will be.
pub(super) fn length(samples: usize, from: u32, to: u32) -> usize {
    let length = (samples as u128 * u128::from(to)).div_ceil(u128::from(from));
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// `samples` of `from` a second as they would be of `to` a second; neither is 0.
pub(super) fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    let common = greatest_common_divisor(from, to);
    let (old, new) = (u64::from(from / common), u64::from(to / common));
    let filters: Vec<Filter> = (0..new).map(|phase| Filter::new(phase, old, new)).collect();
    let at = |index: u64| {
        let (block, phase) = (index / new, index % new);
        filters[phase as usize].apply(samples, (block * old) as i64)
    };
    (0..length(samples.len(), from, to) as u64)
        .map(at)
        .collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// The weights of the samples around one of the places that a new sample can have between old ones.
struct Filter {
    /// Where the first weight stands, counted from the block's first sample.
    start: i64,
    weights: Vec<f32>,
}

impl Filter {
    fn new(phase: u64, old: u64, new: u64) -> Self {
        let cutoff = old.min(new) as f64 * ROLLOFF;
        let scale = cutoff / old as f64;
        let centre = phase as f64 * old as f64 / new as f64;
        let reach = ZERO_CROSSINGS / scale;
        let (start, end) = (
            (centre - reach).ceil() as i64,
            (centre + reach).floor() as i64,
        );
        let weight = |sample: i64| {
            let t = (sample as f64 - centre) * scale;
            let window = (t * PI / ZERO_CROSSINGS / 2.0).cos().powi(2);
            let sinc = if t == 0.0 {
                1.0
            } else {
                (t * PI).sin() / (t * PI)
            };
            (window * sinc * scale) as f32
        };
        Self {
            start,
            weights: (start..=end).map(weight).collect(),
        }
    }

    /// What lies outside the sound is silence.
    fn apply(&self, samples: &[f32], block: i64) -> f32 {
        let start = block + self.start;
        let before = (-start).max(0) as usize;
        let from = start.max(0) as usize;
        let weights = self.weights.get(before..).unwrap_or_default();
        let heard = samples.get(from..).unwrap_or_default();
        weights
            .iter()
            .zip(heard)
            .map(|(weight, sample)| weight * sample)
            .sum()
    }
}
