//! Why a sound cannot be had.

use std::io;
use std::path::PathBuf;

use super::{CHANNELS, MOST_SAMPLES, RATES};

/// Why a sound cannot be had. A message never repeats its `source`: print the whole chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SoundError {
    /// A file that is not there, cannot be read, or is larger than [`MOST_BYTES`](super::MOST_BYTES).
    #[error("{}: cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that was read and is not what it should be.
    #[error("{}: not a sound that can be used", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<SoundError>,
    },
    /// Bytes that begin like neither of the two formats.
    #[error("expected a WAV or FLAC file, found {found}; convert it to one of these first")]
    Unknown {
        /// What it seems to be.
        found: String,
    },
    /// A header, or what follows it, that contradicts itself.
    #[error("{format}: expected {expected}, found {found}; replace the file")]
    Damaged {
        /// `WAV` or `FLAC`.
        format: &'static str,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A number out of its range.
    #[error("{what} must lie in {least}..={most}; found {found}")]
    Range {
        /// Of what.
        what: &'static str,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
        /// What is there.
        found: u64,
    },
    /// A sample that is no number.
    #[error("sample {sample} is {value}; write the file anew with numbers alone")]
    NotFinite {
        /// Which, counted from 0.
        sample: usize,
        /// Infinite, or not a number.
        value: f32,
    },
    /// A key of the features out of its range.
    #[error("{0}")]
    Features(String),
}

pub(super) fn check_rate(rate: u32) -> Result<(), SoundError> {
    check("the sampling rate", RATES.into_inner(), rate)
}

pub(super) fn check_channels(channels: u32) -> Result<(), SoundError> {
    check("the number of channels", CHANNELS.into_inner(), channels)
}

fn check(what: &'static str, (least, most): (u32, u32), found: u32) -> Result<(), SoundError> {
    in_range(what, (least.into(), most.into()), found.into())
}

/// Of one channel, told before memory is set aside.
pub(super) fn check_samples(samples: u64) -> Result<(), SoundError> {
    in_range("the number of samples", (1, MOST_SAMPLES as u64), samples)
}

fn in_range(what: &'static str, (least, most): (u64, u64), found: u64) -> Result<(), SoundError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(SoundError::Range {
        what,
        least,
        most,
        found,
    })
}
