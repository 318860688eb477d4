//! The one wording for a value out of range.

use std::ops::RangeInclusive;

/// The most channels, of an image or of a first stage: far above any use, far below an overflow.
pub(crate) const CHANNELS: RangeInclusive<usize> = 1..=1024;

/// Fewer than two classes leave nothing to tell apart.
pub(crate) const CLASSES: RangeInclusive<usize> = 2..=65_536;

/// `Err` with key, range and value where `value` lies outside `range`.
pub(crate) fn check(key: &str, value: usize, range: RangeInclusive<usize>) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    let (start, end) = range.into_inner();
    Err(format!(
        "model.{key} must lie in {start}..={end}; found {value}"
    ))
}
