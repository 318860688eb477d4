//! The steps of a `tokenizer.json`: what its normalizer, its pre-tokenizer, its post-processor and its
//! decoder do, one after the other, and how much longer each may make a text.

use serde_json::Value as Json;
use zoo_files::brief;

use super::charsmap;
use super::limits::at_most;
use super::pattern::Pattern;

/// Steps of a normalizer, a pre-tokenizer, a post-processor or a decoder. ALBERT's normalizer has 6.
const MOST_STEPS: usize = 32;

/// Bytes of what is put in the place of something.
const MOST_CONTENT_BYTES: usize = 1024;

/// Sequences within sequences.
const MOST_DEPTH: usize = 3;

/// A step by its `type`, with the keys that it may have. The crate goes by the keys where a type is not
/// one of its own: with other keys, a step could be another than it says.
pub(super) type Kind = (&'static str, &'static [&'static str]);

pub(super) const NORMALIZERS: &[Kind] = &[
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

pub(super) const PRE_TOKENIZERS: &[Kind] = &[
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

pub(super) const POST_PROCESSORS: &[Kind] = &[
    (
        "RobertaProcessing",
        &["sep", "cls", "trim_offsets", "add_prefix_space"],
    ),
    ("BertProcessing", &["sep", "cls"]),
    BYTE_LEVEL,
    ("TemplateProcessing", &["single", "pair", "special_tokens"]),
    ("Sequence", &["processors"]),
];

pub(super) const DECODERS: &[Kind] = &[
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
pub(super) fn steps<'a>(
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

/// What steps may cost.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    /// How many times as long a text may become by them.
    pub(super) growth: f64,
    /// How many times as long it may be where a pattern looks through it for each match; 0 if none does.
    pub(super) searched: f64,
    /// [`Pattern::weight`] of all patterns.
    pub(super) weight: usize,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            growth: 1.0,
            searched: 0.0,
            weight: 0,
        }
    }
}

impl Cost {
    /// With further steps.
    ///
    /// # Errors
    /// A step that cannot be taken.
    pub(super) fn add(mut self, part: &str, steps: &[(&str, &Json)]) -> Result<Self, String> {
        for (name, step) in steps {
            let wrong = |problem: String| format!("{part}: {name}: {problem}");
            self.growth *= self.step(part, name, step).map_err(wrong)?;
        }
        Ok(self)
    }

    fn pattern(&mut self, step: &Json) -> Result<Pattern, String> {
        let pattern = pattern(&step["pattern"])?;
        self.weight = self.weight.saturating_add(pattern.weight);
        if pattern.searches {
            self.searched = self.searched.max(self.growth);
        }
        Ok(pattern)
    }

    /// How many times as long a text may become by a step.
    fn step(&mut self, part: &str, name: &str, step: &Json) -> Result<f64, String> {
        let text = |key: &str| {
            let text = step[key]
                .as_str()
                .ok_or_else(|| format!("{key}: expected text"))?;
            at_most(key, "bytes", text.len(), MOST_CONTENT_BYTES)?;
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
            "Replace" => self.pattern(step)?.growth(text("content")?),
            "Split" => {
                self.pattern(step)?;
                1.0
            }
            "FixedLength" if step["length"] == 0 => {
                return Err("length = 0: must be 1 or more".into());
            }
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
