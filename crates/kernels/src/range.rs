//! What the values of a model's configuration may be, in one wording for every model: the key, what is
//! allowed, what was given.
//!
//! A model checks before a layer is made, so that nothing here sees a size that overflows.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// `Err` where a count lies outside `range`.
pub fn count(key: &str, value: usize, range: RangeInclusive<usize>) -> Result<(), String> {
    number(key, value, range)
}

/// `Err` where a number lies outside `range`, or is none.
pub fn number<T: PartialOrd + Display>(
    key: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), String> {
    let (least, most) = (range.start(), range.end());
    allowed(
        range.contains(&value),
        key,
        format_args!("{least} to {most}"),
        value,
    )
}

/// `Err` where a list has fewer or more entries than `range` allows; `of` says what they are.
pub fn entries(
    key: &str,
    listed: usize,
    range: RangeInclusive<usize>,
    of: &str,
) -> Result<(), String> {
    let (least, most) = (range.start(), range.end());
    allowed(
        range.contains(&listed),
        key,
        format_args!("{least} to {most} {of}"),
        listed,
    )
}

/// `Err` where a value is no probability of dropping something: at one nothing would pass.
pub fn probability(key: &str, value: f64) -> Result<(), String> {
    let is_probability = (0.0..1.0).contains(&value);
    allowed(is_probability, key, "at least 0 and below 1", value)
}

/// `Err` where a value is not above 0 and at most 1, as what keeps a norm from dividing by zero.
pub fn epsilon(key: &str, value: f64) -> Result<(), String> {
    let is_small = value > 0.0 && value <= 1.0;
    allowed(is_small, key, "above 0 and at most 1", value)
}

/// `Err` where `value` does not divide the value of another key without a remainder.
pub fn divisor(key: &str, value: usize, (other, of): (&str, usize)) -> Result<(), String> {
    allowed(value > 0, key, "1 or more", value)?;
    let divides = of.is_multiple_of(value);
    let expected = format_args!("a divisor of model.{other} = {of}");
    allowed(divides, key, expected, value)
}

/// `Err` where a token is not one of the vocabulary.
pub fn token(key: &str, token: usize, vocab_size: usize) -> Result<(), String> {
    let expected = format_args!("a token below model.vocab_size = {vocab_size}");
    allowed(token < vocab_size, key, expected, token)
}

/// `Err` in the one wording, unless a value is allowed.
pub fn allowed(
    is_allowed: bool,
    key: &str,
    expected: impl Display,
    value: impl Display,
) -> Result<(), String> {
    if is_allowed {
        return Ok(());
    }
    Err(format!("model.{key}: expected {expected}, got {value}"))
}
