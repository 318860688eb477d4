//! Text: characters, words and the tokens of a tokenizer, and back.
//!
//! [`Text`] is what a run keeps, and [`Language`] what it opens to.

#[cfg(feature = "tokenizers")]
mod around;
mod chars;
#[cfg(feature = "tokenizers")]
mod charsmap;
mod error;
mod kept;
mod language;
#[cfg(feature = "tokenizers")]
mod limits;
#[cfg(feature = "tokenizers")]
mod pattern;
#[cfg(feature = "tokenizers")]
mod steps;
mod streaming;
pub mod subwords;
#[cfg_attr(not(feature = "tokenizers"), path = "no_tokenizer.rs")]
mod tokenizer;
mod words;

pub use chars::CharVocabulary;
pub use error::VocabularyError;
pub use kept::Text;
pub use language::Language;
pub use streaming::Streaming;
pub use tokenizer::Tokenizer;
pub use words::{PAD, UNKNOWN, WordVocabulary};

/// The most bytes of a `tokenizer.json`. Gemma's has 33 million.
pub const MOST_TOKENIZER_BYTES: u64 = 1 << 27;

/// What is said of a `tokenizer.json` by a build that reads none.
pub const NO_TOKENIZERS: &str =
    "this program was built without tokenizers (the cargo feature `tokenizers`)";

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
