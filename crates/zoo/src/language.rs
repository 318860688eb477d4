//! Text as a model's tokens, and back: characters of a corpus, or a `tokenizer.json`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::{Value as Json, json};
use tokenizers::{PostProcessor, Tokenizer, TruncationDirection};
use zoo_text::{CharVocabulary, UNKNOWN};

use crate::data::Codec;
use crate::error::chain;
use crate::hub::TOKENIZER_FILE;
use crate::saved::{CONFIG_FILE, Config};

/// What turns text into tokens.
pub enum Language {
    /// One token a character.
    Chars {
        /// The characters.
        vocabulary: CharVocabulary,
        /// The character that ends a text.
        stop: Option<char>,
    },
    /// A tokenizer of the crate `tokenizers`.
    Tokens {
        /// As its file describes it.
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
            Self::Tokens { tokenizer, .. } => encode(tokenizer, text, false),
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
        let whole = encode(tokenizer, text, true)?;
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
            Self::Tokens { tokenizer, .. } => caught(|| tokenizer.decode(tokens, false).ok())
                .ok()
                .flatten()
                .unwrap_or_default(),
        }
    }

    /// The text of tokens, by what each of them adds to it, spaces included. Of a character that
    /// takes several tokens, the last one has all.
    pub fn pieces(&self, tokens: &[u32]) -> Vec<String> {
        let tokenizer = match self {
            Self::Chars { vocabulary, .. } => {
                return tokens
                    .iter()
                    .map(|token| vocabulary.decode(&[*token]))
                    .collect();
            }
            Self::Tokens { tokenizer, .. } => tokenizer,
        };
        let mut stream = tokenizer.decode_stream(false);
        let mut pieces = Vec::with_capacity(tokens.len());
        for token in tokens {
            pieces.push(match stream.step(*token) {
                Ok(piece) => piece.unwrap_or_default(),
                // A decoder that rewrites what it said before: the token as the vocabulary has it.
                Err(_) => {
                    stream = tokenizer.decode_stream(false);
                    tokenizer.id_to_token(*token).unwrap_or_default()
                }
            });
        }
        // Half a character, whose other half does not come.
        if let (Some(last), true) = (pieces.last_mut(), self.decode(tokens).ends_with('\u{fffd}'))
            && last.is_empty()
        {
            last.push('\u{fffd}');
        }
        pieces
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
        None => fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?,
    };
    let tokenizer = tokenizer(&text).map_err(wrong)?;
    Ok((text, tokenizer))
}

/// The tokenizer in the configuration of a run folder.
fn of_run(folder: &Path) -> Option<String> {
    let config = fs::read_to_string(folder.join(CONFIG_FILE)).ok()?;
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
    let around = tokenizer.get_post_processor();
    let around = around.map_or(0, |processor| processor.added_tokens(false));
    let room = max_length.checked_sub(around).ok_or_else(|| {
        format!("max_length = {max_length}: the tokenizer puts {around} tokens around a text")
    })?;
    let wrong = |error: tokenizers::Error| error.to_string();
    let encoding = caught(|| {
        let mut encoding = tokenizer.encode(text, false)?;
        encoding.truncate(room, 0, TruncationDirection::Right);
        tokenizer.post_process(encoding, None, true)
    })?;
    let encoding = encoding.map_err(wrong)?;
    let ids = encoding.get_ids().to_vec();
    if ids.is_empty() {
        return Err(format!("{text:?} has no tokens"));
    }
    Ok(ids)
}

/// A tokenizer from the text of its `tokenizer.json`.
///
/// # Errors
/// What is wrong with it.
pub fn tokenizer(json: &str) -> Result<Tokenizer, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("tokenizer.json: {error}");
    let parsed: Result<Tokenizer, _> = caught(|| json.parse())?;
    let mut tokenizer = parsed.map_err(|error| wrong(&error))?;
    // Files for sentence encoders pad and cut to a fixed length; here the caller does.
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| wrong(&error))?;
    Ok(tokenizer)
}

fn encode(tokenizer: &Tokenizer, text: &str, with_special: bool) -> Result<Vec<u32>, String> {
    let encoding = caught(|| tokenizer.encode(text, with_special))?;
    let encoding = encoding.map_err(|error| error.to_string())?;
    Ok(encoding.get_ids().to_vec())
}

/// What a tokenizer does, which is not ours: on some files that are none of its own it panics.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| "tokenizer.json: damaged, or made for another reader".into())
}

/// Text that is decoded as its tokens come. A token may be a part of a character, and a decoder may
/// set spaces by what follows: what is given out is what more tokens no longer change.
pub struct Streaming<'a> {
    language: &'a Language,
    tokens: Vec<u32>,
    given: usize,
}

impl<'a> Streaming<'a> {
    /// A text that begins with these tokens, which are known already.
    pub fn new(language: &'a Language, prompt: &[u32]) -> Self {
        Self {
            language,
            tokens: prompt.to_vec(),
            given: language.decode(prompt).len(),
        }
    }

    /// What the text gains by a token.
    pub fn push(&mut self, token: u32) -> String {
        self.tokens.push(token);
        let text = self.language.decode(&self.tokens);
        // The rest of the character is to come.
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return String::new();
        }
        let piece = text.get(self.given..).unwrap_or_default().to_owned();
        self.given = self.given.max(text.len());
        piece
    }

    /// What is left when no more tokens come: half a character, if anything.
    pub fn finish(self) -> String {
        let text = self.language.decode(&self.tokens);
        text.get(self.given..).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes as tokens, in the manner of GPT-2's, so that a character may take several.
    const BYTES: &str = r#"{"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {"h": 0, "i": 1, "Ġ": 2, "Ã": 3, "¤": 4, "hi": 5}, "merges": [["h", "i"]]}}"#;

    fn bytes() -> Language {
        let codec = Codec::Tokenizer {
            tokenizer: BYTES.into(),
            max_length: 8,
            classes: Vec::new(),
            stop: vec![2],
        };
        Language::of(&codec).unwrap().unwrap()
    }

    #[test]
    fn a_tokenizer_encodes_and_decodes() {
        let language = bytes();
        assert_eq!(language.encode("hi hä").unwrap(), [5, 2, 0, 3, 4]);
        assert_eq!(language.decode(&[5, 2, 0, 3, 4]), "hi hä");
        assert_eq!(language.stop(), [2]);
    }

    #[test]
    fn a_prompt_begins_as_its_tokenizer_begins_a_text() {
        let template = r#"{"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "h", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "i", "type_id": 0}}],
            "pair": [], "special_tokens": {"h": {"id": "h", "ids": [0], "tokens": ["h"]},
                "i": {"id": "i", "ids": [1], "tokens": ["i"]}}}"#;
        let with_template = BYTES.replace(
            r#""post_processor": null"#,
            &format!(r#""post_processor": {template}"#),
        );
        let language = Language::Tokens {
            tokenizer: Box::new(tokenizer(&with_template).unwrap()),
            stop: Vec::new(),
        };
        assert_eq!(language.prompt("hi h").unwrap(), [0, 5, 2, 0]);
        assert_eq!(language.prompt("").unwrap(), [0]);
        assert_eq!(bytes().prompt("hi").unwrap(), [5]);
        assert!(bytes().prompt("").unwrap().is_empty());
    }

    #[test]
    fn half_a_character_waits_for_its_other_half() {
        let language = bytes();
        let mut text = Streaming::new(&language, &[5]);
        let pieces: Vec<String> = [2, 3, 4, 1].map(|token| text.push(token)).to_vec();
        assert_eq!(pieces, [" ", "", "ä", "i"]);
        assert_eq!(text.finish(), "");
        let mut cut = Streaming::new(&language, &[5]);
        assert_eq!(cut.push(3), "");
        assert_eq!(cut.finish(), "\u{fffd}");
    }

    #[test]
    fn characters_and_words_have_a_file_that_does_what_they_do() {
        let chars = Codec::Chars {
            chars: "\n !abä".into(),
            stop: Some('\n'),
        };
        let written = tokenizer(&file(&chars).unwrap()).unwrap();
        let ours = Language::of(&chars).unwrap().unwrap();
        let text = "ab  ä!\n";
        let tokens = ours.encode(text).unwrap();
        assert_eq!(written.encode(text, false).unwrap().get_ids(), tokens);
        assert_eq!(written.decode(&tokens, false).unwrap(), text);

        let lines = "<pad>\n<unk>\nthe\néclair\n";
        let words = Codec::Words {
            words: lines.into(),
            max_length: 8,
            classes: Vec::new(),
        };
        let written = tokenizer(&file(&words).unwrap()).unwrap();
        let ours = zoo_text::WordVocabulary::from_lines(lines).unwrap();
        let text = "The  ÉCLAIR\tate the,";
        let tokens = ours.encode(text, 8);
        assert_eq!(tokens, [2, 3, 1, 1]);
        assert_eq!(written.encode(text, false).unwrap().get_ids(), tokens);
    }

    /// The tokenizers of BERT, RoBERTa, T5, Llama and GPT-2 put around a text: tokens on both sides, at
    /// the end, at the beginning, none.
    fn around() -> Vec<(&'static str, &'static str)> {
        vec![
            (
                r#"{"type": "TemplateProcessing", "pair": [],
                    "single": [{"SpecialToken": {"id": "h", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                        {"SpecialToken": {"id": "i", "type_id": 0}}],
                    "special_tokens": {"h": {"id": "h", "ids": [0], "tokens": ["h"]},
                        "i": {"id": "i", "ids": [1], "tokens": ["i"]}}}"#,
                "bert",
            ),
            (
                r#"{"type": "RobertaProcessing", "sep": ["i", 1], "cls": ["h", 0], "trim_offsets": true,
                    "add_prefix_space": false}"#,
                "roberta",
            ),
            (
                r#"{"type": "TemplateProcessing", "pair": [],
                    "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "i", "type_id": 0}}],
                    "special_tokens": {"i": {"id": "i", "ids": [1], "tokens": ["i"]}}}"#,
                "t5",
            ),
            (
                r#"{"type": "Sequence", "processors": [
                    {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
                    {"type": "TemplateProcessing", "pair": [],
                        "single": [{"SpecialToken": {"id": "h", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                        "special_tokens": {"h": {"id": "h", "ids": [0], "tokens": ["h"]}}}]}"#,
                "llama",
            ),
            (
                r#"{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}"#,
                "gpt2",
            ),
            ("null", "none"),
        ]
    }

    /// Against the library's own truncation, which is what transformers uses.
    #[test]
    fn a_sentence_is_cut_as_hugging_face_cuts_it() {
        for (processor, name) in around() {
            let json = BYTES.replace(
                r#""post_processor": null"#,
                &format!(r#""post_processor": {processor}"#),
            );
            let ours = tokenizer(&json).unwrap();
            let mut theirs: Tokenizer = json.parse().unwrap();
            for max_length in 3..12 {
                let cut = tokenizers::TruncationParams {
                    max_length,
                    ..tokenizers::TruncationParams::default()
                };
                theirs.with_truncation(Some(cut)).unwrap();
                for text in ["h", "hi", "hi hi hi", "hi ä hi i h hi hi hi", "ää ä"] {
                    let expected = theirs.encode(text, true).unwrap();
                    let found = sentence(&ours, text, max_length).unwrap();
                    assert_eq!(found, expected.get_ids(), "{name} {max_length} {text}");
                }
            }
        }
        let cut = |processor: usize, max_length| {
            let json = BYTES.replace(
                r#""post_processor": null"#,
                &format!(r#""post_processor": {}"#, around()[processor].0),
            );
            sentence(&tokenizer(&json).unwrap(), "hi ä hi", max_length)
        };
        assert_eq!(cut(0, 4).unwrap(), [0, 5, 2, 1]);
        assert_eq!(cut(0, 2).unwrap(), [0, 1]);
        // The last token of a text is no special one, and does not take the place of another.
        assert_eq!(cut(4, 4).unwrap(), [5, 2, 3, 4]);
        assert_eq!(cut(3, 4).unwrap(), [0, 5, 2, 3]);
        let error = cut(0, 1).unwrap_err();
        assert!(
            error.contains("max_length = 1") && error.contains("2 tokens around"),
            "{error}"
        );
    }

    #[test]
    fn pieces_are_what_each_token_adds() {
        let language = bytes();
        let tokens = [5, 2, 3, 4, 1, 3];
        assert_eq!(
            language.pieces(&tokens),
            ["hi", " ", "", "ä", "i", "\u{fffd}"]
        );
        assert!(language.pieces(&[]).is_empty());
        // Half a character in the midst goes with what follows it.
        assert_eq!(language.pieces(&[3, 5]).concat(), language.decode(&[3, 5]));
    }

    #[test]
    fn a_damaged_tokenizer_is_an_error() {
        assert!(tokenizer("{}").unwrap_err().contains("tokenizer.json"));
        // The crate `tokenizers` panics where the text ends within a decoder.
        let cut = BYTES.replace(
            r#""use_regex": true},
        "model""#,
            r#""use_regex": true "model""#,
        );
        assert_ne!(cut, BYTES);
        assert!(tokenizer(&cut).unwrap_err().contains("damaged"));
    }
}
