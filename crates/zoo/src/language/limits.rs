//! What a `tokenizer.json` may ask for. The crate `tokenizers` does what a file says, whatever it takes:
//! the file's shape is held against these bounds before that crate sees it. They leave room above
//! every tokenizer in use, the largest of which are named beside them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use zoo_train::{brief, brief_problem};

use super::charsmap;
use super::pattern::Pattern;

/// The most bytes of a file. Gemma's has 33 million.
pub(crate) const MOST_BYTES: u64 = 1 << 27;

/// The largest id. XLM-V has 900 thousand tokens.
const MOST_ID: u64 = (1 << 22) - 1;

/// Tokens beside those of the model. Speech models have added 65 thousand.
const MOST_ADDED: usize = 1 << 17;

/// Bytes of a token. Llama 3's longest has 128 spaces, of two bytes each there.
const MOST_TOKEN_BYTES: usize = 1024;

/// Bytes of a token of SentencePiece's unigram model, which looks up every one that a text goes on with
/// at each of its characters. By default a token has 16 characters at most.
const MOST_UNIGRAM_BYTES: usize = 256;

/// Characters of a word for WordPiece, which tries every part of it. BERT's is 100.
const MOST_WORD_CHARS: u64 = 256;

/// Bytes of what is put before or after parts of a word, such as `##` and `</w>`.
const MOST_AFFIX_BYTES: usize = 64;

/// Steps of a normalizer, a pre-tokenizer, a post-processor or a decoder. ALBERT's normalizer has 6.
const MOST_STEPS: usize = 32;

/// Sequences within sequences.
const MOST_DEPTH: usize = 3;

/// Pieces of a template, tokens of one of its names, and its names.
const MOST_PIECES: usize = 64;

/// [`Pattern::weight`] of all patterns together. GPT-4o's weigh two thousand.
const MOST_WEIGHT: usize = 1 << 14;

/// How many times as long a text may become before it is cut into tokens: 726 times by ALBERT's,
/// if every step did its worst.
const MOST_GROWTH: f64 = 1024.0;

/// How many times as long a text may become when tokens are made text.
const MOST_DECODED_GROWTH: f64 = 16.0;

/// Bytes that a text may have once it has grown: each takes some hundred bytes of the crate's memory.
const MOST_GROWN: usize = 1 << 22;

/// What is known of a file that keeps within the bounds.
pub(super) struct Shape {
    /// The largest id that the model or the post-processor gives; added tokens may have larger ones.
    pub(super) largest_id: u32,
    /// How many times as long a text may become before it is cut into tokens.
    pub(super) growth: f64,
}

impl Shape {
    /// Holds a `tokenizer.json` against the bounds.
    ///
    /// # Errors
    /// What is beyond them, by key and with the number.
    pub(super) fn of(json: &str) -> Result<Self, String> {
        let file: File<'_> = serde_json::from_str(json).map_err(|error| brief_problem(error))?;
        let mut weight = 0;
        let normalizer = steps("normalizer", NORMALIZERS, &file.normalizer)?;
        let pre_tokenizer = steps("pre_tokenizer", PRE_TOKENIZERS, &file.pre_tokenizer)?;
        let decoder = steps("decoder", DECODERS, &file.decoder)?;
        let normalized = growth("normalizer", &normalizer, &mut weight)?;
        let whole = normalized * growth("pre_tokenizer", &pre_tokenizer, &mut weight)?;
        let decoded = growth("decoder", &decoder, &mut weight)?;
        at_most(
            "normalizer and pre_tokenizer",
            "times as long may be a text by them",
            whole,
            MOST_GROWTH,
        )?;
        at_most(
            "decoder",
            "times as long may be a text by it",
            decoded,
            MOST_DECODED_GROWTH,
        )?;
        at_most(
            "patterns",
            "parts of regular expressions",
            weight,
            MOST_WEIGHT,
        )?;
        check_added(&file.added_tokens, normalized)?;
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
        Ok(Self {
            largest_id: largest_id as u32,
            growth: whole,
        })
    }

    /// The most bytes of a text to be cut into tokens.
    pub(super) fn most_text_bytes(&self) -> usize {
        (MOST_GROWN as f64 / self.growth) as usize
    }
}

/// Refuses a number beyond its bound.
fn at_most<N: PartialOrd + fmt::Display>(
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

/// A step by its `type`, with the keys that it may have. The crate goes by the keys where a type is not
/// one of its own: with other keys, a step could be another than it says.
type Kind = (&'static str, &'static [&'static str]);

const NORMALIZERS: &[Kind] = &[
    (
        "BertNormalizer",
        &[
            "clean_text",
            "handle_chinese_chars",
            "strip_accents",
            "lowercase",
        ],
    ),
    ("Strip", &["strip_left", "strip_right"]),
    ("StripAccents", &[]),
    ("NFC", &[]),
    ("NFD", &[]),
    ("NFKC", &[]),
    ("NFKD", &[]),
    ("Sequence", &["normalizers"]),
    ("Lowercase", &[]),
    ("Nmt", &[]),
    ("Precompiled", &["precompiled_charsmap"]),
    ("Replace", &["pattern", "content"]),
    ("Prepend", &["prepend"]),
    ("ByteLevel", &[]),
];

const BYTE_LEVEL: Kind = (
    "ByteLevel",
    &["add_prefix_space", "trim_offsets", "use_regex"],
);

const METASPACE: Kind = (
    "Metaspace",
    &[
        "replacement",
        "add_prefix_space",
        "prepend_scheme",
        "split",
        "str_rep",
    ],
);

const PRE_TOKENIZERS: &[Kind] = &[
    ("BertPreTokenizer", &[]),
    BYTE_LEVEL,
    ("CharDelimiterSplit", &["delimiter"]),
    METASPACE,
    ("Whitespace", &[]),
    ("Sequence", &["pretokenizers"]),
    ("Split", &["pattern", "behavior", "invert"]),
    ("Punctuation", &["behavior"]),
    ("WhitespaceSplit", &[]),
    ("Digits", &["individual_digits"]),
    ("UnicodeScripts", &[]),
    ("FixedLength", &["length"]),
];

const POST_PROCESSORS: &[Kind] = &[
    (
        "RobertaProcessing",
        &["sep", "cls", "trim_offsets", "add_prefix_space"],
    ),
    ("BertProcessing", &["sep", "cls"]),
    BYTE_LEVEL,
    ("TemplateProcessing", &["single", "pair", "special_tokens"]),
    ("Sequence", &["processors"]),
];

const DECODERS: &[Kind] = &[
    ("BPEDecoder", &["suffix"]),
    BYTE_LEVEL,
    ("WordPiece", &["prefix", "cleanup"]),
    METASPACE,
    ("CTC", &["pad_token", "word_delimiter_token", "cleanup"]),
    ("Sequence", &["decoders"]),
    ("Replace", &["pattern", "content"]),
    ("Fuse", &[]),
    ("Strip", &["content", "start", "stop"]),
    ("ByteFallback", &[]),
];

/// The steps of a part, those of sequences one after the other.
fn steps<'a>(
    part: &str,
    kinds: &[Kind],
    json: &'a Json,
) -> Result<Vec<(&'static str, &'a Json)>, String> {
    fn add<'a>(
        part: &str,
        kinds: &[Kind],
        json: &'a Json,
        depth: usize,
        found: &mut Vec<(&'static str, &'a Json)>,
    ) -> Result<(), String> {
        let given = json.get("type").and_then(Json::as_str).unwrap_or_default();
        let known = kinds.iter().find(|(name, _)| *name == given);
        let Some((name, keys)) = known else {
            let known: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{part}.type = {:?}; known: {}",
                brief(given),
                known.join(", ")
            ));
        };
        let given = json.as_object().into_iter().flat_map(|keys| keys.keys());
        let mut given = given.filter(|key| *key != "type");
        if let Some(key) = given.find(|key| !keys.contains(&key.as_str())) {
            return Err(format!("{part}: {name} has no {:?}", brief(key)));
        }
        if *name != "Sequence" {
            found.push((name, json));
            return at_most(part, "steps", found.len(), MOST_STEPS);
        }
        at_most(part, "sequences within each other", depth, MOST_DEPTH)?;
        let inner = json[keys[0]].as_array();
        let inner = inner.ok_or_else(|| format!("{part}.{}: expected a list", keys[0]))?;
        at_most(part, "steps", inner.len(), MOST_STEPS)?;
        let mut inner = inner.iter();
        inner.try_for_each(|step| add(part, kinds, step, depth + 1, found))
    }
    let mut found = Vec::new();
    if !json.is_null() {
        add(part, kinds, json, 1, &mut found)?;
    }
    Ok(found)
}

/// How many times as long a text may become by steps.
fn growth(part: &str, steps: &[(&str, &Json)], weight: &mut usize) -> Result<f64, String> {
    let mut all = 1.0;
    for (name, step) in steps {
        let wrong = |problem: String| format!("{part}: {name}: {problem}");
        all *= step_growth(part, name, step, weight).map_err(wrong)?;
    }
    Ok(all)
}

fn step_growth(part: &str, name: &str, step: &Json, weight: &mut usize) -> Result<f64, String> {
    let text = |key: &str| {
        let text = step[key]
            .as_str()
            .ok_or_else(|| format!("{key}: expected text"))?;
        at_most(key, "bytes", text.len(), MOST_TOKEN_BYTES)?;
        Ok::<_, String>(text)
    };
    Ok(match name {
        // A space on either side of an ideograph, then as NFD and Lowercase.
        "BertNormalizer" => 8.0,
        "NFC" | "NFD" => 3.0,
        "NFKC" | "NFKD" => 11.0,
        "Lowercase" => 1.5,
        "ByteLevel" if part == "decoder" => 1.0,
        // Half of all bytes become characters of two; a space before each piece may be a step of its own.
        "ByteLevel" if step["add_prefix_space"] == Json::Bool(true) => 4.0,
        "ByteLevel" => 2.0,
        "Metaspace" if part == "decoder" => 1.0,
        "Metaspace" => 1.0 + text("replacement")?.len() as f64,
        // Before every piece, which may be one character.
        "Prepend" => 1.0 + text("prepend")?.len() as f64,
        "Precompiled" => {
            let map = step["precompiled_charsmap"].as_str();
            charsmap::growth(map.ok_or("precompiled_charsmap: expected text")?)?
        }
        "Replace" => {
            let pattern = pattern(&step["pattern"])?;
            *weight = weight.saturating_add(pattern.weight);
            pattern.growth(text("content")?)
        }
        "Split" => {
            *weight = weight.saturating_add(pattern(&step["pattern"])?.weight);
            1.0
        }
        "FixedLength" if step["length"] == 0 => return Err("length = 0: must be 1 or more".into()),
        "BPEDecoder" if text("suffix")?.is_empty() => return Err("suffix: is empty".into()),
        "CTC" if text("pad_token")?.is_empty() || text("word_delimiter_token")?.is_empty() => {
            return Err("pad_token or word_delimiter_token: is empty".into());
        }
        // A space beside each token.
        "BPEDecoder" | "WordPiece" => 2.0,
        // The crate looks for what it cuts off behind the beginning of a token that is shorter.
        "Strip" if part == "decoder" && step["stop"] != 0 => {
            return Err(format!("stop = {}: only 0 is read", step["stop"]));
        }
        _ => 1.0,
    })
}

fn pattern(json: &Json) -> Result<Pattern, String> {
    let given = json.as_object().filter(|kinds| kinds.len() == 1);
    let kind = given.and_then(|kinds| kinds.iter().next());
    match kind.map(|(kind, text)| (kind.as_str(), text.as_str())) {
        Some(("Regex", Some(regex))) => Pattern::of_regex(regex),
        Some(("String", Some(text))) => Pattern::of_text(text),
        _ => Err("pattern: expected a String or a Regex".into()),
    }
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

/// The largest id of the tokens that are put around a text.
fn largest_around(steps: &[(&str, &Json)]) -> Result<u64, String> {
    let wrong =
        |name: &str, problem: &dyn fmt::Display| format!("post_processor: {name}: {problem}");
    let mut largest = 0;
    for (name, step) in steps {
        let of_step = match *name {
            "ByteLevel" => continue,
            "TemplateProcessing" => Template::deserialize(*step)
                .map_err(brief_problem)
                .and_then(|template| template.check()),
            _ => Around::deserialize(*step)
                .map(|around| around.sep.1.max(around.cls.1))
                .map_err(brief_problem),
        };
        largest = largest.max(of_step.map_err(|problem| wrong(name, &problem))?);
    }
    Ok(largest)
}

#[derive(Deserialize)]
struct Around {
    sep: (String, u64),
    cls: (String, u64),
}

#[derive(Deserialize)]
struct Template {
    single: Vec<Piece>,
    pair: Vec<Piece>,
    special_tokens: BTreeMap<String, Special>,
}

#[derive(Deserialize)]
enum Piece {
    Sequence { id: String },
    SpecialToken { id: String },
}

#[derive(Deserialize)]
struct Special {
    ids: Vec<u64>,
    tokens: Vec<String>,
}

impl Template {
    /// One text goes in, once, among tokens that are there.
    fn check(&self) -> Result<u64, String> {
        at_most(
            "special_tokens",
            "names",
            self.special_tokens.len(),
            MOST_PIECES,
        )?;
        for (name, token) in &self.special_tokens {
            let (ids, tokens) = (token.ids.len(), token.tokens.len());
            at_most("special_tokens", "tokens of a name", ids, MOST_PIECES)?;
            if ids != tokens {
                return Err(format!(
                    "special_tokens.{}: {ids} ids of {tokens} tokens",
                    brief(name)
                ));
            }
        }
        let mut largest = 0;
        for piece in self.single.iter().chain(&self.pair) {
            if let Piece::SpecialToken { id } = piece {
                let token = self.special_tokens.get(id);
                let token = token
                    .ok_or_else(|| format!("{:?} is not among its special_tokens", brief(id)))?;
                largest = token.ids.iter().copied().fold(largest, u64::max);
            }
        }
        for (key, pieces) in [("single", &self.single), ("pair", &self.pair)] {
            at_most(key, "pieces", pieces.len(), MOST_PIECES)?;
        }
        let texts = self.single.iter().filter_map(|piece| match piece {
            Piece::Sequence { id } => Some(id.as_str()),
            Piece::SpecialToken { .. } => None,
        });
        let texts: Vec<_> = texts.collect();
        if texts != ["A"] {
            return Err(format!("single: expected the text A once, got {texts:?}"));
        }
        Ok(largest)
    }
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
}

#[derive(Deserialize)]
struct Model {
    vocab: Vocab,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    max_input_chars_per_word: u64,
}

impl Model {
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
