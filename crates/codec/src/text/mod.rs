//! Text: characters, words and the tokens of a tokenizer, and back.
//!
//! [`Text`] is what a run keeps, and [`Language`] what it opens to.

mod around;
mod chars;
mod charsmap;
mod error;
mod kept;
mod language;
mod limits;
mod pattern;
mod steps;
mod streaming;
mod tokenizer;
mod words;

pub use chars::CharVocabulary;
pub use error::VocabularyError;
pub use kept::Text;
pub use language::Language;
pub use limits::MOST_BYTES as MOST_TOKENIZER_BYTES;
pub use streaming::Streaming;
pub use tokenizer::Tokenizer;
pub use words::{PAD, UNKNOWN, WordVocabulary};

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
