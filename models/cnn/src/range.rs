//! The one wording for a value out of range.

use std::ops::RangeInclusive;

/// The most channels, of an image or of a first stage: far above any use, far below an overflow.
pub(crate) const CHANNELS: RangeInclusive<usize> = 1..=1024;

/// The channels of a single layer: above any use, far below an overflow.
pub(crate) const WIDTHS: RangeInclusive<usize> = 1..=8192;

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

/// `Err` where a list of so many stages is empty, or so long that halving in each leaves nothing.
pub(crate) fn check_stages(listed: usize) -> Result<(), String> {
    if (1..=16).contains(&listed) {
        return Ok(());
    }
    Err(format!(
        "model.stages must list 1 to 16 stages; found {listed}"
    ))
}

/// `Err` with range and value where `value` is no probability of dropout: at one nothing would pass.
pub(crate) fn check_dropout(value: f64) -> Result<(), String> {
    check_probability("dropout", value)
}

/// `Err` with key, range and value where `value` is no probability below one.
pub(crate) fn check_probability(key: &str, value: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(format!(
        "model.{key} must be at least 0 and below 1; found {value}"
    ))
}
