//! Checks of configuration values. A message names the key, what is allowed and what was given.

/// The largest size accepted: far above any use, far below an overflow of a tensor's size.
pub(crate) const LARGEST: usize = 1 << 24;

/// The most layers accepted, for the same reasons.
pub(crate) const DEEPEST: usize = 1024;

/// A count from one to `most`.
pub(crate) fn count(key: &str, value: usize, most: usize) -> Result<(), String> {
    if !(1..=most).contains(&value) {
        return Err(format!("model.{key}: expected 1 to {most}, got {value}"));
    }
    Ok(())
}

/// A count that must be one or more.
pub(crate) fn at_least_one(key: &str, value: usize) -> Result<(), String> {
    if value == 0 {
        return Err(format!("model.{key}: expected 1 or more, got 0"));
    }
    Ok(())
}

/// The width is shared out among the heads without a remainder.
pub(crate) fn heads_divide_width(num_heads: usize, width: usize) -> Result<(), String> {
    at_least_one("num_heads", num_heads)?;
    at_least_one("width", width)?;
    if !width.is_multiple_of(num_heads) {
        return Err(format!(
            "model.num_heads: expected a divisor of model.width = {width}, got {num_heads}"
        ));
    }
    Ok(())
}

/// A probability below one: at one nothing would pass.
pub(crate) fn dropout(value: f64) -> Result<(), String> {
    if !(0.0..1.0).contains(&value) {
        return Err(format!(
            "model.dropout: expected at least 0 and below 1, got {value}"
        ));
    }
    Ok(())
}
