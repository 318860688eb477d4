//! Log-mel features: how strong a sound is in bands that are as wide as an ear hears them, frame by
//! frame. The powers are those of `torchaudio.transforms.MelSpectrogram` with its other defaults:
//! frames are centred, with the sound mirrored at its ends, under a periodic Hann window.

use std::f64::consts::PI;
use std::ops::RangeInclusive;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use super::error::check_rate;
use super::{MOST_SAMPLES, Sound, SoundError};

const TRANSFORMS: RangeInclusive<usize> = 16..=16_384;
const BANDS: RangeInclusive<usize> = 1..=512;

/// What is computed of a sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogMel {
    /// Samples in a second; a sound of another rate is resampled first.
    pub sample_rate: u32,
    /// Samples of a Fourier transform, 16..=16384.
    pub n_fft: usize,
    /// Samples under the window, in the middle of the transform's, 1..=n_fft.
    pub win_length: usize,
    /// Samples from one frame to the next, 1..=n_fft.
    pub hop_length: usize,
    /// Bands, 1..=512.
    pub n_mels: usize,
    /// Where the lowest band begins, in Hz.
    pub f_min: f64,
    /// Where the highest band ends, in Hz, at most half the sampling rate, which is also meant where
    /// nothing is said.
    pub f_max: Option<f64>,
    /// Where the bands lie.
    pub mel_scale: MelScale,
    /// What is summed over a band.
    pub spectrum: Spectrum,
    /// The least value of a band, above 0, of which the logarithm (base e) is taken.
    pub floor: f32,
    /// What is done with the logarithms of a sound.
    pub normalize: Normalize,
}

/// Where bands lie, and how high their triangles are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelScale {
    /// 2595 log10(1 + f / 700), triangles of height one: torchaudio's default.
    #[default]
    Htk,
    /// Slaney's scale, linear below 1 kHz, triangles of area one: librosa's default.
    Slaney,
}

/// What is summed over a band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spectrum {
    /// The transform's absolute value.
    Magnitude,
    /// Its square.
    #[default]
    Power,
}

/// What is done with the logarithms of a sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Nothing.
    None,
    /// Each band has mean 0 and variance 1 over the sound (with n - 1, and 1e-5 added to the
    /// deviation), so that loudness and microphone do not count.
    #[default]
    PerBand,
}

impl Default for LogMel {
    /// 40 bands of 25 ms every 10 ms, at 16 kHz.
    fn default() -> Self {
        Self::speech(16_000)
    }
}

impl LogMel {
    /// 40 bands of 25 ms every 10 ms, for speech at a sampling rate.
    pub fn speech(sample_rate: u32) -> Self {
        let win_length = sample_rate as usize / 40;
        Self {
            sample_rate,
            n_fft: win_length.next_power_of_two(),
            win_length,
            hop_length: sample_rate as usize / 100,
            n_mels: 40,
            f_min: 0.0,
            f_max: None,
            mel_scale: MelScale::Htk,
            spectrum: Spectrum::Power,
            // Of the samples of a 16-bit recording, far below its noise.
            floor: 1e-6,
            normalize: Normalize::PerBand,
        }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// The first offending key, its range, and the value found.
    pub fn validate(&self) -> Result<(), SoundError> {
        check_rate(self.sample_rate)?;
        let limit = f64::from(self.sample_rate) / 2.0;
        let (f_min, f_max) = (self.f_min, self.f_max());
        check("n_fft", self.n_fft, TRANSFORMS)?;
        check("win_length", self.win_length, 1..=self.n_fft)?;
        check("hop_length", self.hop_length, 1..=self.n_fft)?;
        check("n_mels", self.n_mels, BANDS)?;
        if !(0.0 <= f_min && f_min < f_max && f_max <= limit) {
            return Err(SoundError::Features(format!(
                "f_min and f_max must lie in order in 0..={limit} Hz; found {f_min} and {f_max}"
            )));
        }
        if !(self.floor > 0.0 && self.floor.is_finite()) {
            let floor = self.floor;
            return Err(SoundError::Features(format!(
                "floor must be above 0; found {floor}"
            )));
        }
        Ok(())
    }

    fn f_max(&self) -> f64 {
        self.f_max.unwrap_or(f64::from(self.sample_rate) / 2.0)
    }

    /// Frames that a sound of so many samples has.
    pub fn frames(&self, samples: usize) -> usize {
        if samples == 0 {
            0
        } else {
            1 + samples / self.hop_length
        }
    }

    /// Plans the transform, and the bands.
    ///
    /// # Errors
    /// See [`validate`](Self::validate).
    pub fn extractor(&self) -> Result<Extractor, SoundError> {
        self.validate()?;
        Ok(Extractor {
            transform: RealFftPlanner::new().plan_fft_forward(self.n_fft),
            window: window(self.win_length, self.n_fft),
            bands: self.bands(),
            config: self.clone(),
        })
    }

    fn bands(&self) -> Vec<Band> {
        let scale = self.mel_scale;
        let (low, high) = (scale.mel(self.f_min), scale.mel(self.f_max()));
        let step = (high - low) / (self.n_mels + 1) as f64;
        let edges: Vec<f64> = (0..self.n_mels + 2)
            .map(|edge| scale.hertz(low + step * edge as f64))
            .collect();
        let width = f64::from(self.sample_rate) / self.n_fft as f64;
        let band = |edges: &[f64]| Band::new([edges[0], edges[1], edges[2]], width, self);
        edges.windows(3).map(band).collect()
    }
}

fn check(key: &str, value: usize, range: RangeInclusive<usize>) -> Result<(), SoundError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(SoundError::Features(format!(
        "{key} must lie in {least}..={most}; found {value}"
    )))
}

impl MelScale {
    /// Above this, Slaney's scale is logarithmic.
    const BREAK: f64 = 1000.0;
    /// Hz a mel below.
    const STEP: f64 = 200.0 / 3.0;

    /// In a mel above it, by which frequencies grow.
    fn growth() -> f64 {
        6.4f64.ln() / 27.0
    }

    fn mel(self, hertz: f64) -> f64 {
        match self {
            Self::Htk => 2595.0 * (1.0 + hertz / 700.0).log10(),
            Self::Slaney if hertz < Self::BREAK => hertz / Self::STEP,
            Self::Slaney => Self::BREAK / Self::STEP + (hertz / Self::BREAK).ln() / Self::growth(),
        }
    }

    fn hertz(self, mel: f64) -> f64 {
        let at_break = Self::BREAK / Self::STEP;
        match self {
            Self::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
            Self::Slaney if mel < at_break => mel * Self::STEP,
            Self::Slaney => Self::BREAK * (Self::growth() * (mel - at_break)).exp(),
        }
    }
}

/// A triangle over the transform's frequencies.
struct Band {
    /// The first frequency of a weight.
    start: usize,
    weights: Vec<f32>,
}

impl Band {
    fn new([low, middle, high]: [f64; 3], width: f64, config: &LogMel) -> Self {
        let height = match config.mel_scale {
            MelScale::Htk => 1.0,
            MelScale::Slaney => 2.0 / (high - low),
        };
        let weight = |bin: usize| {
            let hertz = bin as f64 * width;
            let [up, down] = [
                (hertz - low) / (middle - low),
                (high - hertz) / (high - middle),
            ];
            (up.min(down).max(0.0) * height) as f32
        };
        let start = (low / width).floor() as usize;
        let end = ((high / width).ceil() as usize).min(config.n_fft / 2);
        Self {
            start,
            weights: (start..=end).map(weight).collect(),
        }
    }

    fn sum(&self, spectrum: &[f32]) -> f32 {
        let weighted = self.weights.iter().zip(&spectrum[self.start..]);
        weighted.map(|(weight, value)| weight * value).sum()
    }
}

/// A periodic Hann window in the middle of a transform.
fn window(length: usize, n_fft: usize) -> Vec<f32> {
    let before = (n_fft - length) / 2;
    let mut window = vec![0.0; n_fft];
    for (place, value) in window[before..before + length].iter_mut().enumerate() {
        *value = (0.5 - 0.5 * (2.0 * PI * place as f64 / length as f64).cos()) as f32;
    }
    window
}

/// Computes the features of sounds.
pub struct Extractor {
    config: LogMel,
    transform: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    bands: Vec<Band>,
}

/// The features of a sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// `[bands, frames]`, flattened; the first band is the lowest.
    pub values: Vec<f32>,
    /// Bands.
    pub n_mels: usize,
    /// Frames.
    pub frames: usize,
}

impl Extractor {
    /// What is computed.
    pub fn config(&self) -> &LogMel {
        &self.config
    }

    /// Resamples a sound where need be, and computes its features.
    ///
    /// # Errors
    /// A rate out of range, or a sound too long for its features.
    pub fn features(&self, sound: Sound) -> Result<Features, SoundError> {
        let sound = sound.resampled(self.config.sample_rate)?;
        let (n_mels, frames) = (self.config.n_mels, self.config.frames(sound.samples.len()));
        if n_mels * frames > MOST_SAMPLES {
            return Err(SoundError::Features(format!(
                "{frames} frames of {n_mels} bands are more than {MOST_SAMPLES} values; cut the sound, \
                 or take a larger hop_length"
            )));
        }
        let mut values = vec![0.0; n_mels * frames];
        self.fill(&sound.samples, frames, &mut values);
        if self.config.normalize == Normalize::PerBand {
            values.chunks_exact_mut(frames.max(1)).for_each(normalize);
        }
        Ok(Features {
            values,
            n_mels,
            frames,
        })
    }

    fn fill(&self, samples: &[f32], frames: usize, values: &mut [f32]) {
        let LogMel {
            n_fft, hop_length, ..
        } = self.config;
        let mut frame = vec![0.0; n_fft];
        let mut complex = vec![Complex32::default(); n_fft / 2 + 1];
        let mut spectrum = vec![0.0; n_fft / 2 + 1];
        let mut scratch = self.transform.make_scratch_vec();
        for column in 0..frames {
            let start = (column * hop_length) as i64 - (n_fft / 2) as i64;
            for (place, value) in frame.iter_mut().enumerate() {
                let sample = samples[mirrored(start + place as i64, samples.len())];
                *value = sample * self.window[place];
            }
            let transform = &self.transform;
            let done = transform.process_with_scratch(&mut frame, &mut complex, &mut scratch);
            debug_assert!(done.is_ok(), "lengths are the plan's");
            for (value, bin) in spectrum.iter_mut().zip(&complex) {
                *value = match self.config.spectrum {
                    Spectrum::Magnitude => bin.norm(),
                    Spectrum::Power => bin.norm_sqr(),
                };
            }
            for (row, band) in self.bands.iter().enumerate() {
                let value = band.sum(&spectrum).max(self.config.floor);
                values[row * frames + column] = value.ln();
            }
        }
    }
}

/// A place in a sound that is mirrored at its first and its last sample, over and over.
fn mirrored(place: i64, length: usize) -> usize {
    let last = length as i64 - 1;
    if last == 0 {
        return 0;
    }
    let folded = place.rem_euclid(2 * last);
    folded.min(2 * last - folded) as usize
}

fn normalize(band: &mut [f32]) {
    let count = band.len() as f64;
    let mean = band.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let squares = band
        .iter()
        .map(|value| (f64::from(*value) - mean).powi(2))
        .sum::<f64>();
    let deviation = (squares / (count - 1.0).max(1.0)).sqrt() + 1e-5;
    for value in band {
        *value = ((f64::from(*value) - mean) / deviation) as f32;
    }
}
