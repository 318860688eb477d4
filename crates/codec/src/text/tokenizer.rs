//! A tokenizer of the crate `tokenizers`, which does what its file says: files are held against
//! [`limits`](super::limits) before it sees them, and texts before it cuts them.

use std::fmt;

use serde_json::Value as Json;
use tokenizers::{
    Encoding, NormalizedString, Normalizer, NormalizerWrapper, PostProcessor, Tokenizer as Theirs,
};
use zoo_files::{brief, brief_problem};

use super::MOST_TOKENIZER_BYTES;
use super::limits::Shape;
use crate::catch_panic;

/// About the memory that a byte of a text takes, once it is as long as it may become: places, parts and
/// tokens, in numbers of four bytes.
const NUMBERS_A_BYTE: u128 = 16;

/// How many times as long a text to train on may become. Three times, as ideographs and syllables taken apart
/// do, and a little that is added.
const MOST_CORPUS_GROWTH: f64 = 4.0;

/// Bytes that a text may have in any case.
const SMALL_TEXT: f64 = 262_144.0;

/// What is normalized at a time where it is measured, in bytes: so little that it may grow as
/// [`limits`](super::limits) allow.
const PIECE_BYTES: usize = 256;

/// What the token that fills shorter rows is called, where a file does not say that it pads.
const PADS: [&str; 4] = ["[PAD]", "<pad>", "<|pad|>", "<PAD>"];

/// A tokenizer, as its file describes it.
pub struct Tokenizer {
    inner: Theirs,
    shape: Shape,
    pad: Option<u32>,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocabulary", &self.vocabulary())
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// What is wrong with it, or more than a tokenizer may ask for.
    pub fn parse(json: &str) -> Result<Self, String> {
        let wrong = |error: &dyn fmt::Display| format!("tokenizer.json: {}", brief_problem(error));
        if json.len() as u64 > MOST_TOKENIZER_BYTES {
            return Err(wrong(&format!(
                "{} bytes: more than {MOST_TOKENIZER_BYTES} are not read",
                json.len()
            )));
        }
        let mut shape = Shape::of(json).map_err(|error| wrong(&error))?;
        let inner: Result<Theirs, _> = caught(|| json.parse())?;
        let mut inner = inner.map_err(|error| wrong(&error))?;
        let padding = inner.get_padding().map(|padding| padding.pad_id);
        // Files for sentence encoders pad and cut to a fixed length; here the caller does.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| wrong(&error))?;
        let added = inner.get_added_tokens_decoder();
        let largest = added.keys().copied().max().unwrap_or_default();
        shape.largest_id = shape.largest_id.max(largest);
        let normalized = added.values().filter(|token| token.normalized);
        for token in normalized {
            check_normalized(&inner, &token.content).map_err(|error| wrong(&error))?;
        }
        let pad = padding.filter(|pad| *pad <= shape.largest_id);
        let pad = pad.or_else(|| PADS.iter().find_map(|name| inner.token_to_id(name)));
        Ok(Self { inner, shape, pad })
    }

    /// How many ids there are: one more than the largest.
    pub fn vocabulary(&self) -> usize {
        self.shape.largest_id as usize + 1
    }

    /// The token that fills shorter rows: the one that the file pads with, or that is called so.
    pub fn pad(&self) -> Option<u32> {
        self.pad
    }

    /// All tokens of a text; with those that the tokenizer puts around it, if `with_special`.
    ///
    /// # Errors
    /// A text that becomes too long, or cannot be cut into tokens.
    pub fn encode(&self, text: &str, with_special: bool) -> Result<Vec<u32>, String> {
        self.check_text(text)?;
        let encoding = caught(|| self.inner.encode(text, with_special))?;
        Ok(encoding.map_err(told)?.get_ids().to_vec())
    }

    /// The tokens of a text of any length that the machine can hold: `fits` is asked whether there is
    /// memory for that many numbers of four bytes.
    ///
    /// # Errors
    /// A text that becomes far longer, that would take more memory than there is, or that cannot be cut
    /// into tokens.
    pub fn corpus(
        &self,
        text: &str,
        fits: impl Fn(&str, u128) -> Result<(), String>,
    ) -> Result<Vec<u32>, String> {
        let most = MOST_CORPUS_GROWTH * text.len() as f64 + SMALL_TEXT;
        let grown = self.grown(text, most)?;
        let what = format!("cutting {} bytes of text into tokens", text.len());
        fits(&what, (grown as u128).saturating_mul(NUMBERS_A_BYTE))?;
        let encoding = caught(|| self.inner.encode(text, false))?;
        Ok(encoding.map_err(told)?.get_ids().to_vec())
    }

    /// Refuses a set of texts that become, all together, far longer than they are: one after the
    /// other, each might be within its own bound and all of them take hours.
    ///
    /// # Errors
    /// The text at which there are too many bytes, and how many there may be.
    pub(super) fn check_set(&self, texts: &[&str]) -> Result<(), (usize, String)> {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let most = MOST_CORPUS_GROWTH * bytes as f64 + SMALL_TEXT;
        let mut left = most;
        if bytes as f64 * self.shape.growth <= most {
            return Ok(());
        }
        for (at, text) in texts.iter().enumerate() {
            let grown = self.measured(text, left).map_err(|problem| (at, problem))?;
            left -= grown;
            if left < 0.0 {
                return Err((
                    at,
                    format!(
                        "tokenizer.json makes the {} texts, of {bytes} bytes, longer than the {most:.0} bytes that \
                     may be cut into tokens; all of them could take hours",
                        texts.len()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// How long a text becomes before it is cut into tokens.
    ///
    /// # Errors
    /// More than `most`.
    fn grown(&self, text: &str, most: f64) -> Result<f64, String> {
        let at_worst = text.len() as f64 * self.shape.growth;
        if at_worst <= most {
            return Ok(at_worst);
        }
        let grown = self.measured(text, most)?;
        if grown > most {
            return Err(format!(
                "a text of {} bytes, which tokenizer.json makes longer than the {most:.0} bytes that may be \
                 cut into tokens at once: more could take minutes, or all memory",
                text.len()
            ));
        }
        Ok(grown)
    }

    /// How long a text becomes, piece by piece, up to where it is more than `most`.
    fn measured(&self, text: &str, most: f64) -> Result<f64, String> {
        // What it makes of a piece tells nothing of the whole then.
        let at_worst = text.len() as f64 * self.shape.growth;
        let mut grown = if self.shape.looks_far { at_worst } else { 0.0 };
        let mut rest = text;
        while !rest.is_empty() && grown <= most {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            let peak = match self.inner.get_normalizer() {
                Some(normalizer) => {
                    caught(|| peak(normalizer, &mut piece.into()))?.map_err(told)?
                }
                None => piece.len(),
            };
            grown += peak as f64 * self.shape.growth_after;
            rest = after;
        }
        Ok(grown)
    }

    /// A sentence's tokens, with those that its model expects around it, `max_length` at most: of a
    /// longer one the end is cut off before the tokens around it are added, as Hugging Face's
    /// libraries do.
    ///
    /// # Errors
    /// A text without a token, or a `max_length` that has no room for the tokens around it.
    pub fn sentence(&self, text: &str, max_length: usize) -> Result<Vec<u32>, String> {
        let around = self.inner.get_post_processor();
        let around = around.map_or(0, |processor| processor.added_tokens(false));
        let room = max_length.checked_sub(around).ok_or_else(|| {
            format!("max_length = {max_length}: the tokenizer puts {around} tokens around a text")
        })?;
        self.check_text(text)?;
        let encoding = caught(|| {
            let encoding = first(&self.inner.encode(text, false)?, room);
            self.inner.post_process(encoding, None, true)
        })?;
        let ids = encoding.map_err(told)?.get_ids().to_vec();
        if ids.is_empty() {
            return Err(format!("{:?} has no tokens", brief(text)));
        }
        Ok(ids)
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        self.grown(text, self.shape.most_grown).map(drop)
    }

    /// Whether this token stands for whatever the vocabulary has not.
    pub fn is_unknown(&self, id: u32) -> bool {
        let unknown = &self.shape.unknown;
        let named = unknown.text.is_some() && unknown.text == self.id_to_token(id);
        named || unknown.id == Some(id.into())
    }

    /// The text of tokens; tokens that are none of the vocabulary's are left out.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let text = caught(|| self.inner.decode(tokens, false).ok());
        text.ok().flatten().unwrap_or_default()
    }

    /// The text of tokens without special ones.
    pub(super) fn decode_plain(&self, tokens: &[u32]) -> String {
        let text = caught(|| self.inner.decode(tokens, true).ok());
        text.ok().flatten().unwrap_or_default()
    }

    pub(super) fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The decoder, as its file describes it.
    pub(super) fn decoder(&self) -> Option<Json> {
        let decoder = self.inner.get_decoder()?;
        Some(serde_json::to_value(decoder).unwrap_or_default())
    }
}

/// The longest that a piece of a text is between the steps of a normalizer.
fn peak(normalizer: &NormalizerWrapper, text: &mut NormalizedString) -> tokenizers::Result<usize> {
    let mut longest = text.get().len();
    if let NormalizerWrapper::Sequence(steps) = normalizer {
        for step in steps.as_ref() {
            longest = longest.max(peak(step, text)?);
        }
    } else {
        normalizer.normalize(text)?;
        longest = longest.max(text.get().len());
    }
    Ok(longest)
}

/// The first tokens of a text, `count` at most. The crate's own way keeps the others too, in as many
/// parts.
fn first(encoding: &Encoding, count: usize) -> Encoding {
    fn cut<T: Clone>(of_each: &[T], count: usize) -> Vec<T> {
        of_each[..count.min(of_each.len())].to_vec()
    }
    Encoding::new(
        cut(encoding.get_ids(), count),
        cut(encoding.get_type_ids(), count),
        cut(encoding.get_tokens(), count),
        cut(encoding.get_word_ids(), count),
        cut(encoding.get_offsets(), count),
        cut(encoding.get_special_tokens_mask(), count),
        cut(encoding.get_attention_mask(), count),
        Vec::new(),
        Default::default(),
    )
}

/// An added token is sought as the normalizer makes it: of nothing, it would be found everywhere.
fn check_normalized(tokenizer: &Theirs, token: &str) -> Result<(), String> {
    let Some(normalizer) = tokenizer.get_normalizer() else {
        return Ok(());
    };
    let mut text = NormalizedString::from(token);
    caught(|| normalizer.normalize(&mut text))?.map_err(told)?;
    match text.is_empty() {
        true => Err(format!(
            "added_tokens: {:?}: nothing is left of it once normalized",
            brief(token)
        )),
        false => Ok(()),
    }
}

fn told(error: tokenizers::Error) -> String {
    brief_problem(error)
}

/// What a tokenizer does, which is not ours: on some files that are none of its own it panics.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_panic(work).map_err(|_| "tokenizer.json: damaged, or made for another reader".into())
}
