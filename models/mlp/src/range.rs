//! The one wording for a value out of range.

use std::ops::RangeInclusive;

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

/// `Err` with key, range and value where `value` is no probability of dropping something: at one
/// nothing would pass.
pub(crate) fn check_probability(key: &str, value: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(format!(
        "model.{key} must be at least 0 and below 1; found {value}"
    ))
}
