//! The ranges of the sizes here.

use std::ops::RangeInclusive;

use zoo_kernels::range::entries;
pub(crate) use zoo_kernels::range::{
    allowed, count as check, number, probability as check_probability,
};

/// The most channels, of an image or of a first stage: far above any use, far below an overflow.
pub(crate) const CHANNELS: RangeInclusive<usize> = 1..=1024;

/// The channels of a single layer: above any use, far below an overflow.
pub(crate) const WIDTHS: RangeInclusive<usize> = 1..=8192;

/// Fewer than two classes leave nothing to tell apart.
pub(crate) const CLASSES: RangeInclusive<usize> = 2..=65_536;

/// `Err` where a list has no stage, or more than `most`.
pub(crate) fn check_stages(key: &str, listed: usize, most: usize) -> Result<(), String> {
    entries(key, listed, 1..=most, "stages")
}
