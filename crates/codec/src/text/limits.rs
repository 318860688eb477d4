//! What a `tokenizer.json` may ask for. The crate `tokenizers` does what a file says, whatever it takes:
//! the file's shape is held against these bounds before that crate sees it. They leave room above
//! every tokenizer in use, the largest of which are named beside them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use zoo_files::brief_problem;

use super::around::largest_around;
use super::steps::{Cost, DECODERS, NORMALIZERS, POST_PROCESSORS, PRE_TOKENIZERS, steps};

/// The largest id. XLM-V has 900 thousand tokens.
const MOST_ID: u64 = (1 << 22) - 1;

/// Tokens beside those of the model. Speech models have added 65 thousand.
const MOST_ADDED: usize = 1 << 17;

/// Bytes of a token. Claude 2's longest has 2048.
const MOST_TOKEN_BYTES: usize = 8192;

/// Bytes of a token of SentencePiece's unigram model, which looks up every one that a text goes on with
/// at each of its characters. By default a token has 16 characters at most.
const MOST_UNIGRAM_BYTES: usize = 256;

/// Characters of a word for WordPiece, which tries every part of it. BERT's is 100.
const MOST_WORD_CHARS: u64 = 256;

/// Bytes of what is put before or after parts of a word, such as `##` and `</w>`.
const MOST_AFFIX_BYTES: usize = 64;

/// [`Pattern::weight`](super::pattern::Pattern::weight) of all patterns together. GPT-4o's weigh eight thousand.
const MOST_WEIGHT: usize = 1 << 14;

/// How many times as long a text may become before it is cut into tokens, if every step did its worst: 726
/// times by ALBERT's, and 2,916 by one that puts spaces around six marks. What steps make of a given
/// text is measured, in pieces that may grow so.
const MOST_GROWTH: f64 = 4096.0;

/// How many times as long a text may become when tokens are made text.
const MOST_DECODED_GROWTH: f64 = 16.0;

/// Bytes that a text may have once it has grown: each takes some hundred bytes of the crate's memory.
const MOST_GROWN: usize = 1 << 22;

/// Bytes that a text may have where much of it may be looked through for each match in it, which takes
/// seconds at this length. Llama 3's and most other regular expressions may do so.
pub(super) const MOST_SEARCHED: f64 = 65_536.0;

/// How long the parts of a text are that may be tried at each of its places while [`MOST_GROWN`] bytes are
/// cut in seconds; of longer ones, a text may have less, by the square.
const TRIED: f64 = 64.0;

/// What is known of a file that keeps within the bounds.
pub(super) struct Shape {
    /// The largest id that the model or the post-processor gives; added tokens may have larger ones.
    pub(super) largest_id: u32,
    /// How many times as long a text may become before it is cut into tokens.
    pub(super) growth: f64,
    /// How many times as long the pre-tokenizer may make what the normalizer has made.
    pub(super) growth_after: f64,
    /// Whether the normalizer looks at more of a text than what it changes.
    pub(super) looks_far: bool,
    /// The most bytes of a text, as long as it becomes, to be cut into tokens at once.
    pub(super) most_grown: f64,
    /// The token that stands for what the vocabulary has not.
    pub(super) unknown: Unknown,
}

/// A token, as files name it.
#[derive(Default)]
pub(super) struct Unknown {
    pub(super) text: Option<String>,
    pub(super) id: Option<u64>,
}

impl Shape {
    /// Holds a `tokenizer.json` against the bounds.
    ///
    /// # Errors
    /// What is beyond them, by key and with the number.
    pub(super) fn of(json: &str) -> Result<Self, String> {
        let file: File<'_> = serde_json::from_str(json).map_err(brief_problem)?;
        let normalizer = steps("normalizer", NORMALIZERS, &file.normalizer)?;
        let pre_tokenizer = steps("pre_tokenizer", PRE_TOKENIZERS, &file.pre_tokenizer)?;
        let decoder = steps("decoder", DECODERS, &file.decoder)?;
        let normalized = Cost::default().add("normalizer", &normalizer)?;
        let cost = normalized.add("pre_tokenizer", &pre_tokenizer)?;
        let decoded = Cost::default().add("decoder", &decoder)?;
        at_most(
            "normalizer and pre_tokenizer",
            "times as long may be a text by them",
            cost.growth,
            MOST_GROWTH,
        )?;
        at_most(
            "decoder",
            "times as long may be a text by it",
            decoded.growth,
            MOST_DECODED_GROWTH,
        )?;
        at_most(
            "patterns",
            "parts of regular expressions",
            cost.weight + decoded.weight,
            MOST_WEIGHT,
        )?;
        check_added(&file.added_tokens, normalized.growth)?;
        file.model.check()?;
        let processor = steps("post_processor", POST_PROCESSORS, &file.post_processor)?;
        let around = largest_around(&processor)?;
        let largest_id = file.model.vocab.largest.max(around);
        at_most(
            "model.vocab or post_processor",
            "is an id",
            largest_id,
            MOST_ID,
        )?;
        // What is before such a token is looked through for each.
        let looks_back = |token: &&Added<'_>| token.single_word || token.lstrip;
        let mut looked_at = file.added_tokens.iter().filter(looks_back);
        let is_searched = cost.searched.max(decoded.searched) > 0.0 || looked_at.next().is_some();
        let tried = (TRIED / file.model.tried() as f64).powi(2).min(1.0);
        let most = MOST_GROWN as f64 * tried;
        Ok(Self {
            largest_id: largest_id as u32,
            growth: cost.growth,
            growth_after: cost.growth / normalized.growth,
            looks_far: normalized.looks_far,
            most_grown: if is_searched {
                most.min(MOST_SEARCHED)
            } else {
                most
            },
            unknown: match file.model.byte_fallback {
                // Its bytes stand for what the vocabulary has not.
                true => Unknown::default(),
                false => Unknown {
                    text: file.model.unk_token,
                    id: file.model.unk_id,
                },
            },
        })
    }
}

/// Refuses a number beyond its bound.
pub(super) fn at_most<N: PartialOrd + fmt::Display>(
    key: &str,
    what: &str,
    number: N,
    most: N,
) -> Result<(), String> {
    // Written so that NaN does not pass.
    if number <= most {
        return Ok(());
    }
    Err(format!(
        "{key}: {number} {what}; at most {most} is read, more than any tokenizer in use has"
    ))
}

/// Added tokens are sought as the normalizer makes them.
fn check_added(tokens: &[Added<'_>], growth: f64) -> Result<(), String> {
    at_most("added_tokens", "tokens", tokens.len(), MOST_ADDED)?;
    let mut bytes = 0;
    for token in tokens {
        at_most(
            "added_tokens",
            "bytes of a token",
            token.content.len(),
            MOST_TOKEN_BYTES,
        )?;
        if token.normalized {
            bytes += token.content.len();
        }
    }
    let grown = bytes as f64 * growth;
    at_most(
        "added_tokens",
        "bytes, as they may be normalized",
        grown,
        MOST_GROWN as f64,
    )
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    added_tokens: Vec<Added<'a>>,
    #[serde(default)]
    normalizer: Json,
    #[serde(default)]
    pre_tokenizer: Json,
    #[serde(default)]
    post_processor: Json,
    #[serde(default)]
    decoder: Json,
    model: Model,
}

#[derive(Deserialize)]
struct Added<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
}

#[derive(Deserialize)]
struct Model {
    vocab: Vocab,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    unk_id: Option<u64>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    max_input_chars_per_word: u64,
}

impl Model {
    /// How long the parts are that it tries at each place of a text.
    fn tried(&self) -> u64 {
        let of_unigram = if self.vocab.is_list {
            self.vocab.longest
        } else {
            0
        };
        self.max_input_chars_per_word.max(of_unigram as u64)
    }

    fn check(&self) -> Result<(), String> {
        let most = match self.vocab.is_list {
            true => MOST_UNIGRAM_BYTES,
            false => MOST_TOKEN_BYTES,
        };
        at_most("model.vocab", "bytes of a token", self.vocab.longest, most)?;
        let unknown = self.unk_token.as_ref().map_or(0, String::len);
        at_most("model.unk_token", "bytes", unknown, MOST_TOKEN_BYTES)?;
        for (key, affix) in [
            (
                "model.continuing_subword_prefix",
                &self.continuing_subword_prefix,
            ),
            ("model.end_of_word_suffix", &self.end_of_word_suffix),
        ] {
            let bytes = affix.as_ref().map_or(0, String::len);
            at_most(key, "bytes", bytes, MOST_AFFIX_BYTES)?;
        }
        let chars = self.max_input_chars_per_word;
        at_most(
            "model.max_input_chars_per_word",
            "characters",
            chars,
            MOST_WORD_CHARS,
        )?;
        match self.dropout {
            None | Some(0.0) => Ok(()),
            Some(dropout) => Err(format!(
                "model.dropout = {dropout}: a text would have other tokens every time"
            )),
        }
    }
}

/// What is to be known of a vocabulary, of which nothing is kept: tokens by their ids, or in their order
/// with scores.
#[derive(Default)]
struct Vocab {
    is_list: bool,
    largest: u64,
    longest: usize,
}

/// The length of a text, which is not kept.
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl Visitor<'_> for Counting {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token")
            }

            fn visit_str<E>(self, token: &str) -> Result<Length, E> {
                Ok(Length(token.len()))
            }
        }
        deserializer.deserialize_str(Counting)
    }
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl<'de> Visitor<'de> for Counting {
            type Value = Vocab;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tokens by their ids, or a list of tokens with scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut vocab = Vocab::default();
                while let Some((Length(length), id)) = map.next_entry::<Length, u64>()? {
                    vocab.longest = vocab.longest.max(length);
                    vocab.largest = vocab.largest.max(id);
                }
                Ok(vocab)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocab, A::Error> {
                let mut vocab = Vocab {
                    is_list: true,
                    ..Vocab::default()
                };
                let mut count = 0_u64;
                while let Some((Length(length), _)) = list.next_element::<(Length, IgnoredAny)>()? {
                    vocab.longest = vocab.longest.max(length);
                    vocab.largest = count;
                    count += 1;
                }
                Ok(vocab)
            }
        }
        deserializer.deserialize_any(Counting)
    }
}
