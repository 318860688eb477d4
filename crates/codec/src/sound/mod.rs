//! Sound as numbers: WAV and FLAC files read within a budget, another sampling rate, log-mel features,
//! and a WAV file in memory to be shown.

mod decode;
mod error;
mod flac;
mod mel;
mod resample;
mod wav;

pub use decode::{decode, read_sound};
pub use error::SoundError;
pub use mel::{Extractor, Features, LogMel, MelScale, Normalize, Spectrum};

use std::ops::RangeInclusive;

/// Bytes of a sound file: 23 minutes of 16 bits at 48 kHz in stereo, 2 hours at 16 kHz in mono.
pub const MOST_BYTES: u64 = 256 << 20;

/// Samples of one channel, after decoding and after resampling: 256 MB as numbers, 23 minutes at
/// 48 kHz, over an hour at 16 kHz. A few bytes of FLAC may stand for 65,535 of them, so this is
/// counted while it is decoded.
pub const MOST_SAMPLES: usize = 1 << 26;

/// Channels that are mixed to one: up to 7.1.
pub const CHANNELS: RangeInclusive<u32> = 1..=8;

/// Samples in a second: from below a telephone's to the highest that recorders offer.
pub const RATES: RangeInclusive<u32> = 1_000..=384_000;

/// A sound of one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// Air pressure, full scale being -1..=1; files of floating point may go beyond.
    pub samples: Vec<f32>,
    /// Samples in a second.
    pub rate: u32,
}

impl Sound {
    /// How long it is.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// The same sound with another number of samples in a second, as `torchaudio` resamples.
    ///
    /// # Errors
    /// A rate out of [`RATES`], or more than [`MOST_SAMPLES`].
    pub fn resampled(self, rate: u32) -> Result<Self, SoundError> {
        if rate == self.rate {
            return Ok(self);
        }
        error::check_rate(self.rate)?;
        error::check_rate(rate)?;
        let samples = resample::length(self.samples.len(), self.rate, rate);
        error::check_samples(samples as u64)?;
        Ok(Self {
            samples: resample::resample(&self.samples, self.rate, rate),
            rate,
        })
    }

    /// A WAV file of 16 bits; what lies beyond full scale is clipped.
    pub fn to_wav(&self) -> Vec<u8> {
        wav::write(self)
    }
}
