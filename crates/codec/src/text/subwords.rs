//! Parts of words learned from text: byte pair encoding (Sennrich et al. 2016) over characters, with
//! SentencePiece's `▁` in the place of spaces.
//!
//! The result is a `tokenizer.json`, which the crate `tokenizers` reads and splits texts with. Merges are
//! learned here, by the order of counts and ids alone: that crate's trainer learns the same
//! (`tests/golden/subwords.json`), but goes through hash maps of random order, and does not promise it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use serde_json::{Value as Json, json};
#[cfg(feature = "tokenizers")]
use tokenizers::{
    NormalizedString, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
};

/// The special tokens, in the order of their ids from 0.
pub const SPECIAL: [&str; 4] = ["<pad>", "<s>", "</s>", "<unk>"];
/// Id of the token that fills shorter rows.
pub const PAD: u32 = 0;
/// Id of the token that begins a text.
pub const BEGIN: u32 = 1;
/// Id of the token that ends a text.
pub const END: u32 = 2;
/// Id of what stands for characters that no line had.
pub const UNKNOWN: u32 = 3;

/// Tokens at most. NLLB has 256 thousand for two hundred languages; its embedding alone is a gigabyte.
pub const MOST_TOKENS: usize = 1 << 18;

/// Words of more characters are not learned from: each merge goes over all of a word.
#[cfg(feature = "tokenizers")]
const MOST_WORD_CHARS: usize = 128;

/// How often two parts must stand side by side to become one.
const LEAST_COUNT: u64 = 2;

type Pair = (u32, u32);

/// Learns `size` tokens from lines and writes them as a `tokenizer.json`; fewer, where no two parts are
/// side by side twice. The same lines give the same bytes, on any number of threads.
///
/// # Errors
/// A `size` that has no room for the characters of the lines; lines without a character.
pub fn train<'a>(lines: impl IntoIterator<Item = &'a str>, size: usize) -> Result<String, String> {
    if size > MOST_TOKENS {
        return Err(format!("{size} tokens: at most {MOST_TOKENS} are learned"));
    }
    let words = count_words(lines)?;
    let alphabet: BTreeSet<char> = words.keys().flat_map(|word| word.chars()).collect();
    let least = SPECIAL.len() + alphabet.len();
    if alphabet.is_empty() {
        return Err("no text to learn tokens from".into());
    }
    if size < least {
        return Err(format!(
            "{size} tokens: the lines have {} characters, which with the {} special tokens takes \
             {least} or more",
            alphabet.len(),
            SPECIAL.len()
        ));
    }
    let mut learner = Learner::new(&alphabet, &words);
    while learner.tokens.len() < size && learner.merge() {}
    Ok(file(&learner.tokens, &learner.merges).to_string())
}

/// What is done to a text before it is cut, as the file says it.
fn normalizer() -> Json {
    json!({ "type": "NFC" })
}

/// Words with `▁` in front, punctuation marks by themselves.
fn pre_tokenizer() -> Json {
    json!({ "type": "Sequence", "pretokenizers": [
        metaspace(),
        { "type": "Punctuation", "behavior": "Isolated" },
    ] })
}

fn metaspace() -> Json {
    json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true })
}

/// How often each word is there, split as the tokenizer will split texts.
#[cfg(feature = "tokenizers")]
fn count_words<'a>(
    lines: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, u64>, String> {
    let told = |error: &dyn std::fmt::Display| format!("splitting lines into words: {error}");
    let normalizer: NormalizerWrapper =
        serde_json::from_value(normalizer()).map_err(|error| told(&error))?;
    let splitter: PreTokenizerWrapper =
        serde_json::from_value(pre_tokenizer()).map_err(|error| told(&error))?;
    let mut words = BTreeMap::new();
    for line in lines {
        let mut text = NormalizedString::from(line);
        normalizer
            .normalize(&mut text)
            .map_err(|error| told(&error))?;
        let mut split = PreTokenizedString::from(text);
        splitter
            .pre_tokenize(&mut split)
            .map_err(|error| told(&error))?;
        for (word, ..) in split.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            if word.chars().nth(MOST_WORD_CHARS).is_none() {
                *words.entry(word.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(words)
}

#[cfg(not(feature = "tokenizers"))]
fn count_words<'a>(_: impl IntoIterator<Item = &'a str>) -> Result<BTreeMap<String, u64>, String> {
    Err(super::NO_TOKENIZERS.into())
}

/// Words in parts, of which the most frequent two become one.
struct Learner {
    /// By id.
    tokens: Vec<String>,
    ids: HashMap<String, u32>,
    merges: Vec<Pair>,
    /// The parts of each word, and how often it is there.
    words: Vec<(Vec<u32>, u64)>,
    counts: HashMap<Pair, u64>,
    /// The words that have a pair, or had it.
    places: HashMap<Pair, BTreeSet<usize>>,
    /// The most frequent first, among equals the one of the smaller ids. What is no longer so is
    /// passed over.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Learner {
    fn new(alphabet: &BTreeSet<char>, words: &BTreeMap<String, u64>) -> Self {
        let special = SPECIAL.iter().map(|token| (*token).to_owned());
        let tokens: Vec<String> = special
            .chain(alphabet.iter().map(char::to_string))
            .collect();
        let ids: HashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
        let parts = |word: &str| word.chars().map(|it| ids[&it.to_string()]).collect();
        let mut learner = Self {
            words: words
                .iter()
                .map(|(word, count)| (parts(word), *count))
                .collect(),
            tokens,
            ids,
            merges: Vec::new(),
            counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        for at in 0..learner.words.len() {
            learner.enter(at);
        }
        learner.queue = learner
            .counts
            .iter()
            .map(|(pair, count)| (*count, Reverse(*pair)))
            .collect();
        learner
    }

    /// Counts the pairs of a word.
    fn enter(&mut self, at: usize) {
        let (parts, count) = &self.words[at];
        for pair in parts.windows(2).map(|pair| (pair[0], pair[1])) {
            *self.counts.entry(pair).or_default() += count;
            self.places.entry(pair).or_default().insert(at);
        }
    }

    /// Makes one of the most frequent two parts; `false` where no two are side by side often enough.
    fn merge(&mut self) -> bool {
        let best = loop {
            let Some((count, Reverse(pair))) = self.queue.pop() else {
                return false;
            };
            if self.counts.get(&pair) == Some(&count) {
                break (pair, count);
            }
        };
        let (pair, count) = best;
        if count < LEAST_COUNT {
            return false;
        }
        let token = [pair.0, pair.1]
            .map(|id| self.tokens[id as usize].as_str())
            .concat();
        let next = self.tokens.len() as u32;
        let id = *self.ids.entry(token.clone()).or_insert(next);
        if id == next {
            self.tokens.push(token);
        }
        self.merges.push(pair);
        let mut changed = BTreeSet::new();
        for at in self.places.remove(&pair).unwrap_or_default() {
            let (parts, count) = &mut self.words[at];
            for pair in parts.windows(2).map(|pair| (pair[0], pair[1])) {
                self.counts.entry(pair).and_modify(|all| *all -= *count);
                changed.insert(pair);
            }
            *parts = merged(parts, pair, id);
            changed.extend(parts.windows(2).map(|pair| (pair[0], pair[1])));
            self.enter(at);
        }
        for pair in changed {
            let count = self.counts.get(&pair).copied().unwrap_or_default();
            match count {
                0 => drop(self.counts.remove(&pair)),
                count => self.queue.push((count, Reverse(pair))),
            }
        }
        true
    }
}

/// The parts of a word with one in the place of each pair, from the left.
fn merged(parts: &[u32], pair: Pair, id: u32) -> Vec<u32> {
    let mut made = Vec::with_capacity(parts.len());
    let mut rest = parts;
    while let [first, after @ ..] = rest {
        match after {
            [second, after @ ..] if (*first, *second) == pair => {
                made.push(id);
                rest = after;
            }
            _ => {
                made.push(*first);
                rest = after;
            }
        }
    }
    made
}

fn file(tokens: &[String], merges: &[Pair]) -> Json {
    let vocabulary: serde_json::Map<_, _> = tokens
        .iter()
        .cloned()
        .zip((0..).map(|id: u32| json!(id)))
        .collect();
    let part = |id: u32| tokens[id as usize].as_str();
    let merges: Vec<[&str; 2]> = merges
        .iter()
        .map(|pair| [part(pair.0), part(pair.1)])
        .collect();
    let added: Vec<Json> = (0..)
        .zip(SPECIAL)
        .map(|(id, token): (u32, _)| {
            json!({ "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
        })
        .collect();
    let around = |id: u32| {
        let token = SPECIAL[id as usize];
        json!({ "id": token, "ids": [id], "tokens": [token] })
    };
    let special = |id: u32| json!({ "SpecialToken": { "id": SPECIAL[id as usize], "type_id": 0 } });
    let text = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": normalizer(), "pre_tokenizer": pre_tokenizer(),
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special(BEGIN), text("A"), special(END)],
            "pair": [special(BEGIN), text("A"), special(END), text("B"), special(END)],
            "special_tokens": { SPECIAL[BEGIN as usize]: around(BEGIN), SPECIAL[END as usize]: around(END) },
        },
        "decoder": metaspace(),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": SPECIAL[UNKNOWN as usize],
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": false, "ignore_merges": false, "vocab": vocabulary, "merges": merges,
        },
    })
}
