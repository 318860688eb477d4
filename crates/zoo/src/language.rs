//! Text as a model's tokens, and back: characters of a corpus, or a `tokenizer.json`.

use std::path::Path;

use serde_json::{Value as Json, json};
use zoo_text::{CharVocabulary, UNKNOWN};

use crate::data::Codec;
use crate::error::chain;
use crate::hub::TOKENIZER_FILE;
use crate::saved::{self, Config};

mod around;
mod charsmap;
mod limits;
mod pattern;
mod steps;
mod tokenizer;

pub(crate) use limits::MOST_BYTES;
pub use tokenizer::Tokenizer;

/// What turns text into tokens.
pub enum Language {
    /// One token a character.
    Chars {
        /// The characters.
        vocabulary: CharVocabulary,
        /// The character that ends a text.
        stop: Option<char>,
    },
    /// A `tokenizer.json`.
    Tokens {
        /// As the file describes it.
        tokenizer: Box<Tokenizer>,
        /// The tokens that end a text.
        stop: Vec<u32>,
    },
}

impl Language {
    /// The language of a codec of texts; `None` for one of other inputs.
    ///
    /// # Errors
    /// A damaged vocabulary or tokenizer.
    pub fn of(codec: &Codec) -> Option<Result<Self, String>> {
        match codec {
            Codec::Chars { chars, stop } => {
                let vocabulary = CharVocabulary::from_chars(chars);
                Some(match vocabulary {
                    Ok(vocabulary) => Ok(Self::Chars {
                        vocabulary,
                        stop: *stop,
                    }),
                    Err(error) => Err(chain(&error)),
                })
            }
            Codec::Tokenizer {
                tokenizer, stop, ..
            } => Some(self::tokenizer(tokenizer).map(|tokenizer| Self::Tokens {
                tokenizer: Box::new(tokenizer),
                stop: stop.clone(),
            })),
            Codec::Images { .. } | Codec::Words { .. } => None,
        }
    }

    /// The tokens of a text, without any that a tokenizer would put around it.
    ///
    /// # Errors
    /// A character that is not in the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        match self {
            Self::Chars { vocabulary, .. } => {
                vocabulary.encode(text).map_err(|error| chain(&error))
            }
            Self::Tokens { tokenizer, .. } => tokenizer.encode(text, false),
        }
    }

    /// The tokens of a text to continue: with those that the tokenizer begins a text with, without
    /// those that it ends one with.
    ///
    /// # Errors
    /// A character that is not in the vocabulary.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>, String> {
        let plain = self.encode(text)?;
        let Self::Tokens { tokenizer, .. } = self else {
            return Ok(plain);
        };
        let whole = tokenizer.encode(text, true)?;
        if plain.is_empty() {
            return Ok(whole.iter().take(1).copied().collect());
        }
        let before = (0..whole.len()).find(|start| whole[*start..].starts_with(&plain));
        Ok(match before {
            Some(start) => whole[..start + plain.len()].to_vec(),
            None => plain,
        })
    }

    /// The text of tokens; tokens that are none of the vocabulary's are left out.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Self::Chars { vocabulary, .. } => vocabulary.decode(tokens),
            Self::Tokens { tokenizer, .. } => tokenizer.decode(tokens),
        }
    }

    /// The text of tokens, by what each of them adds to it, spaces included: as far as the text up to
    /// it agrees with the whole. Of a character that takes several tokens, the last one has all.
    pub fn pieces(&self, tokens: &[u32]) -> Vec<String> {
        let whole = self.decode(tokens);
        let mut given = 0;
        let until = (1..=tokens.len()).map(|count| match count < tokens.len() {
            true => agreement(&whole, &self.decode(&tokens[..count])),
            false => whole.len(),
        });
        let pieces = until.map(|end| {
            let piece = whole.get(given..end).unwrap_or_default().to_owned();
            given = given.max(end);
            piece
        });
        pieces.collect()
    }

    /// Of a text that goes on after these tokens, what no further token changes.
    fn settled(&self, tokens: &[u32]) -> String {
        let Self::Tokens { tokenizer, .. } = self else {
            return self.decode(tokens);
        };
        if !is_prefix_stable(tokenizer) {
            return String::new();
        }
        // Bytes are made characters all together, up to a token that is none: one that does not fit
        // spoils them all.
        let is_byte = |token: &&u32| {
            let token = tokenizer.id_to_token(**token).unwrap_or_default();
            token.len() == 6 && token.starts_with("<0x") && token.ends_with('>')
        };
        let bytes = tokens.iter().rev().take_while(is_byte).count();
        let mut text = self.decode(&tokens[..tokens.len() - bytes]);
        // Half a character, the rest of which may come.
        text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
        text
    }

    /// The tokens that end a text.
    pub fn stop(&self) -> Vec<u32> {
        match self {
            Self::Chars { vocabulary, stop } => stop
                .and_then(|stop| vocabulary.encode(&stop.to_string()).ok())
                .unwrap_or_default(),
            Self::Tokens { stop, .. } => stop.clone(),
        }
    }
}

/// The `tokenizer.json` that does what a codec of texts does; `None` for one of other inputs.
pub fn file(codec: &Codec) -> Option<String> {
    let numbered = |tokens: &mut dyn Iterator<Item = String>| -> Json {
        let numbered = tokens.enumerate();
        Json::Object(numbered.map(|(id, token)| (token, json!(id))).collect())
    };
    let (normalizer, splits, model, decoder) = match codec {
        Codec::Tokenizer { tokenizer, .. } => return Some(tokenizer.clone()),
        Codec::Images { .. } => return None,
        // Pairs of which none is ever merged.
        Codec::Chars { chars, .. } => (
            Json::Null,
            Json::Null,
            json!({
                "type": "BPE", "dropout": null, "unk_token": null,
                "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
                "byte_fallback": false, "ignore_merges": false, "merges": [],
                "vocab": numbered(&mut chars.chars().map(String::from)),
            }),
            json!({ "type": "Fuse" }),
        ),
        Codec::Words { words, .. } => (
            json!({ "type": "Lowercase" }),
            json!({ "type": "WhitespaceSplit" }),
            json!({
                "type": "WordLevel", "unk_token": words.lines().nth(UNKNOWN as usize),
                "vocab": numbered(&mut words.lines().map(str::to_owned)),
            }),
            Json::Null,
        ),
    };
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": normalizer, "pre_tokenizer": splits, "post_processor": null,
        "decoder": decoder, "model": model,
    });
    Some(file.to_string())
}

/// The tokenizer of a `tokenizer.json`, or of the folder that has one, and the file's text.
///
/// # Errors
/// A file that cannot be read, or what is wrong with it.
pub fn open(path: &Path) -> Result<(String, Tokenizer), String> {
    let file = match path.is_dir() {
        true => path.join(TOKENIZER_FILE),
        false => path.to_owned(),
    };
    let wrong = |problem: String| format!("data.tokenizer: {}: {problem}", file.display());
    let text = match of_run(path) {
        Some(text) => text,
        None => read(&file).map_err(|error| wrong(error.to_string()))?,
    };
    let tokenizer = tokenizer(&text).map_err(wrong)?;
    Ok((text, tokenizer))
}

/// The text of a `tokenizer.json`.
///
/// # Errors
/// A file that cannot be read, or is larger than any tokenizer.
pub(crate) fn read(file: &Path) -> std::io::Result<String> {
    zoo_files::read_text(file, MOST_BYTES)
}

/// The tokenizer in the configuration of a run folder.
fn of_run(folder: &Path) -> Option<String> {
    let config = saved::read_config(folder).ok()?;
    match Config::parse(&config).ok()?.codec {
        Codec::Tokenizer { tokenizer, .. } => Some(tokenizer),
        _ => None,
    }
}

/// A sentence's tokens, with those that its model expects around it, `max_length` at most: of a
/// longer one the end is cut off before the tokens around it are added, as Hugging Face's libraries do.
///
/// # Errors
/// A text without a token, or a `max_length` that has no room for the tokens around it.
pub fn sentence(tokenizer: &Tokenizer, text: &str, max_length: usize) -> Result<Vec<u32>, String> {
    tokenizer.sentence(text, max_length)
}

/// A tokenizer from the text of its `tokenizer.json`.
///
/// # Errors
/// What is wrong with it, or more than a tokenizer may ask for.
pub fn tokenizer(json: &str) -> Result<Tokenizer, String> {
    Tokenizer::parse(json)
}

/// How many bytes two texts have in common at their beginnings, in whole characters.
fn agreement(one: &str, other: &str) -> usize {
    let pairs = one.chars().zip(other.chars());
    let same = pairs.take_while(|(one, other)| one == other);
    same.map(|(character, _)| character.len_utf8()).sum()
}

/// Whether the text of more tokens begins with that of fewer, halves of characters aside: of decoders
/// that look at one token at a time until they join all. Any other may rewrite what it said.
fn is_prefix_stable(tokenizer: &Tokenizer) -> bool {
    fn kinds(decoder: &Json, found: &mut Vec<String>) {
        match decoder.get("decoders").and_then(Json::as_array) {
            Some(parts) => parts.iter().for_each(|part| kinds(part, found)),
            None => found.push(decoder["type"].as_str().unwrap_or_default().to_owned()),
        }
    }
    let Some(decoder) = tokenizer.decoder() else {
        return true;
    };
    let mut found = Vec::new();
    kinds(&decoder, &mut found);
    let is_joined = |kind: &String| ["Fuse", "ByteLevel"].contains(&kind.as_str());
    let joined_at = found.iter().position(is_joined).unwrap_or(found.len());
    found.iter().enumerate().all(|(at, kind)| match &**kind {
        "Fuse" | "Strip" => true,
        "ByteLevel" => at == joined_at,
        "ByteFallback" | "Metaspace" | "Replace" | "WordPiece" => at < joined_at,
        _ => false,
    })
}

/// Text that is decoded as its tokens come. A token may be a part of a character, and a decoder may
/// rewrite what it said: what is given out is what more tokens no longer change.
pub struct Streaming<'a> {
    language: &'a Language,
    tokens: Vec<u32>,
    given: usize,
}

impl<'a> Streaming<'a> {
    /// A text that goes on after a prompt, whose tokens are `tokens`; and as much of the prompt as
    /// more tokens no longer change.
    pub fn new(language: &'a Language, prompt: &str, tokens: &[u32]) -> (Self, String) {
        let whole = language.decode(tokens);
        let settled = language.settled(tokens);
        let held = whole.strip_prefix(&*settled);
        let (given, begun) = match held.and_then(|held| prompt.strip_suffix(held)) {
            Some(begun) => (settled.len(), begun),
            // A tokenizer that changes a text: it is shown as it was given.
            None => (whole.len(), prompt),
        };
        let streaming = Self {
            language,
            tokens: tokens.to_vec(),
            given,
        };
        (streaming, begun.to_owned())
    }

    /// What the text gains by a token.
    pub fn push(&mut self, token: u32) -> String {
        self.tokens.push(token);
        self.gain(&self.language.settled(&self.tokens))
    }

    /// What is left when no more tokens come.
    pub fn finish(mut self) -> String {
        self.gain(&self.language.decode(&self.tokens))
    }

    fn gain(&mut self, text: &str) -> String {
        if text.len() <= self.given {
            return String::new();
        }
        let start = text.floor_char_boundary(self.given);
        self.given = text.len();
        text[start..].to_owned()
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
