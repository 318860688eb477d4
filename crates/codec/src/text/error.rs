//! What is wrong with a vocabulary, or with a text for it.

use thiserror::Error;

/// Why a vocabulary could not be made or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// A text holds a character that the vocabulary lacks.
    #[error(
        "character {character:?} at byte {byte} is not in the vocabulary; use characters that it has: {known}"
    )]
    UnknownChar {
        /// The character.
        character: char,
        /// Its place in the text given, in bytes from 0.
        byte: usize,
        /// Some of the characters that the vocabulary has.
        known: String,
    },

    /// A saved vocabulary cannot be one of ours.
    #[error("vocabulary: {place}: {problem}; it must be as it was saved with the run")]
    Damaged {
        /// Where in it.
        place: String,
        /// What is wrong.
        problem: String,
    },

    /// A setting is out of its range.
    #[error("{name} = {found}: expected {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What it was.
        found: String,
        /// What it may be.
        expected: String,
    },
}
