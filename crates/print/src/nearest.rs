//! The name that was meant.

use std::fmt;

/// The longest name, in bytes, that may be a mistyped one: comparing two takes time and memory in
/// proportion to the product of their lengths.
const LONGEST_NAME: usize = 128;

/// The most names that one is compared with.
const MOST_NAMES: usize = 4096;

/// The known name nearest to a mistyped one, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let is_short = |name: &str| name.len() <= LONGEST_NAME;
    known
        .into_iter()
        .take(if is_short(name) { MOST_NAMES } else { 0 })
        .filter(|candidate| is_short(candidate))
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(name.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean NAME?)`, or nothing.
pub struct DidYouMean<'a>(pub Option<&'a str>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, " (did you mean {name}?)"),
            None => Ok(()),
        }
    }
}
