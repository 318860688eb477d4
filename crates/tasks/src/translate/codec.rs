//! How texts are read, and translations written.

use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_codec::text::{Language, Text, subwords};

use crate::codec::{Codec, Reading};
use crate::sentences::check_no_file;

/// The least that a text has: the tokens around it, and one between.
const LEAST_LENGTH: usize = 3;

/// How texts are read, and translations written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Translation {
    /// The tokenizer of both languages, as [`subwords`] makes them.
    #[serde(flatten)]
    pub text: Text,
    /// The languages: of the source, of the translation.
    pub languages: [String; 2],
    /// Most tokens of a text, with those around it.
    pub max_length: usize,
}

impl Translation {
    /// Its tokenizer, opened.
    ///
    /// # Errors
    /// A damaged tokenizer, or one that does not put the tokens around a text that a decoder begins
    /// and ends with.
    pub fn open(&self) -> Result<Language, String> {
        let Text::Tokenizer { tokenizer } = &self.text else {
            return Err("codec.kind: a translation is read and written by a tokenizer".into());
        };
        let language = Language::tokenizer(tokenizer)?;
        let around = language.encode("a", LEAST_LENGTH)?;
        match (around.first(), around.last()) {
            (Some(&subwords::BEGIN), Some(&subwords::END)) => Ok(language),
            _ => Err(format!(
                "codec.tokenizer: a text to translate begins with token {} and ends with token {}, and \
                 this tokenizer puts others around it",
                subwords::BEGIN,
                subwords::END
            )),
        }
    }
}

impl Codec for Translation {
    const TASK: &'static str = "translate";

    fn check(&self) -> Result<(), String> {
        if self.max_length < LEAST_LENGTH {
            return Err(format!(
                "codec.max_length = {}: must be {LEAST_LENGTH} or more, with the tokens around a text",
                self.max_length
            ));
        }
        self.open().map(drop)
    }

    fn decides(&self) -> Table {
        let vocabulary = self.text.open().map_or(0, |text| text.vocabulary());
        let ids = [
            ("vocab_size", vocabulary as i64),
            ("pad_token", subwords::PAD.into()),
            ("start_token", subwords::BEGIN.into()),
            ("stop_token", subwords::END.into()),
        ];
        ids.map(|(key, id)| (key.to_owned(), id.into()))
            .into_iter()
            .collect()
    }

    fn text(&self) -> Option<Reading<'_>> {
        Some(Reading {
            text: &self.text,
            max_length: self.max_length,
            stop: vec![subwords::END],
            pad: Some(subwords::PAD),
        })
    }
}

/// The tokens of a text to translate: all of it, since half a translation would look like a whole one.
pub(super) fn read(
    codec: &Translation,
    language: &Language,
    input: &str,
) -> Result<Vec<u32>, String> {
    check_no_file(input)?;
    if input.trim().is_empty() {
        return Err(format!("{input:?} has no words"));
    }
    let room = codec.max_length.saturating_sub(2);
    let tokens = language.plain(input)?.len();
    if tokens > room {
        return Err(format!(
            "a text of {tokens} tokens: the model translates {room} at once; give it sentence by sentence"
        ));
    }
    language.encode(input, codec.max_length)
}
