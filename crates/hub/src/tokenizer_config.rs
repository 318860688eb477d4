//! The files that make `AutoTokenizer` cut a text as it is cut here: `tokenizer.json`,
//! `tokenizer_config.json` and `special_tokens_map.json`.
//!
//! Without the second, the class of the model's architecture is taken, which may have rules of its own:
//! BERT's lowers every letter, whatever `tokenizer.json` says. So a folder names the class that does what
//! `tokenizer.json` says and nothing else.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use zoo_codec::text::{MOST_TOKENIZER_BYTES, Text};
use zoo_files::brief_problem;

use crate::{HubError, Settings, read};

/// Names of the three files.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// How a tokenizer is used.
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
/// The tokens with a meaning of their own, by what they mean.
pub const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";

/// BERT's word pieces, one a line, in folders of before there was a `tokenizer.json`.
const VOCABULARY_FILE: &str = "vocab.txt";
/// Tokens that were added to those.
const ADDED_TOKENS_FILE: &str = "added_tokens.json";

/// All three.
pub const TOKENIZER_FILES: [&str; 3] = [TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE];

/// What a model is given beside the tokens. One that is given segments adds them, GPT-2 too, where they
/// are words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Which tokens are none: decoders and most encoders.
    Mask,
    /// That, and to which of two texts a token belongs: BERT.
    MaskAndSegments,
}

impl Given {
    /// What the models of a `model_type` are given.
    pub fn of(model_type: &str) -> Self {
        match model_type {
            "bert" => Self::MaskAndSegments,
            _ => Self::Mask,
        }
    }
}

/// Whether a folder's `tokenizer_config.json` has capitals taken away, where it says: in `transformers`,
/// a class of BERT's does as this file says, whatever `tokenizer.json` does.
///
/// # Errors
/// A file that is no JSON object, or a value of another kind.
pub fn lower_case(folder: &Path) -> Result<Option<bool>, HubError> {
    let json = read(folder, TOKENIZER_CONFIG_FILE)?.unwrap_or(Json::Null);
    let settings = Settings::new(TOKENIZER_CONFIG_FILE, &json);
    let said = settings.flag("do_lower_case")?;
    match settings.text("tokenizer_class")? {
        Some(class) if class.contains("Bert") => Ok(Some(said.unwrap_or(true))),
        Some(_) => Ok(None),
        None => Ok(said),
    }
}

/// The text of the `tokenizer.json` that a folder of BERT's stands for which has its older file alone,
/// `vocab.txt`; `None` where it has not.
///
/// # Errors
/// A file that cannot be read; a vocabulary without `[UNK]`, `[CLS]` or `[SEP]`; a setting by which text
/// is read in a way of its own.
pub fn of_vocabulary(folder: &Path) -> Result<Option<String>, HubError> {
    let vocabulary = match zoo_files::read_text(&folder.join(VOCABULARY_FILE), MOST_TOKENIZER_BYTES)
    {
        Ok(vocabulary) => vocabulary,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(HubError::new(VOCABULARY_FILE, error.to_string())),
    };
    let json = read(folder, TOKENIZER_CONFIG_FILE)?.unwrap_or(Json::Null);
    for (key, usual) in [
        ("strip_accents", Json::Null),
        ("tokenize_chinese_chars", json!(true)),
        ("do_basic_tokenize", json!(true)),
        ("never_split", Json::Null),
    ] {
        if let Some(said) = json.get(key).filter(|said| **said != usual) {
            return Err(HubError::new(
                TOKENIZER_CONFIG_FILE,
                format!("{key}: expected {usual}, or a tokenizer.json beside it, found {said}"),
            ));
        }
    }
    if folder.join(ADDED_TOKENS_FILE).exists() {
        return Err(HubError::new(
            ADDED_TOKENS_FILE,
            format!(
                "expected none beside {VOCABULARY_FILE}, or a tokenizer.json that has its tokens"
            ),
        ));
    }
    let lower_case = lower_case(folder)?.unwrap_or(true);
    // What is read of a text at most is said elsewhere.
    let files = word_pieces(&vocabulary, lower_case, 0)?;
    Ok(Some(files.tokenizer))
}

/// What `AutoTokenizer` reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFiles {
    tokenizer: String,
    config: String,
    special: String,
}

impl TokenizerFiles {
    /// Name and text of each file.
    pub fn files(&self) -> [(&'static str, &str); 3] {
        [
            (TOKENIZER_FILE, &self.tokenizer),
            (TOKENIZER_CONFIG_FILE, &self.config),
            (SPECIAL_TOKENS_FILE, &self.special),
        ]
    }

    fn new(tokenizer: String, special: Map<String, Json>, given: Given, more: Json) -> Self {
        let mut inputs = vec!["input_ids", "attention_mask"];
        if given == Given::MaskAndSegments {
            inputs.insert(1, "token_type_ids");
        }
        let mut config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": inputs,
            // Text is put together as the tokens say, without English spacing.
            "clean_up_tokenization_spaces": false,
        });
        if let Some(config) = config.as_object_mut() {
            config.extend(special.clone());
            let more = more.as_object().cloned().unwrap_or_default();
            config.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
        Self {
            tokenizer,
            config: config.to_string(),
            special: Json::Object(special).to_string(),
        }
    }
}

/// What a run keeps to read text, of which `max_length` tokens are read at most.
///
/// # Errors
/// A tokenizer that is none.
pub fn of_text(text: &Text, max_length: usize, given: Given) -> Result<TokenizerFiles, HubError> {
    match text {
        Text::Chars { chars } => Ok(characters(chars)),
        Text::Words { words } => Ok(self::words(words, max_length, given)),
        Text::Tokenizer { tokenizer } => as_it_is(tokenizer, max_length, given),
    }
}

/// Characters in the order of their ids. There, one that has none is left out of a text; here, it is
/// refused. No character is named as an end (`eos_token`): it would vanish from a decoded text.
pub fn characters(chars: &str) -> TokenizerFiles {
    // Pairs of which none is ever merged.
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        "merges": [], "vocab": numbered(chars.chars()),
    });
    let tokenizer = tokenizer(Json::Null, Json::Null, model, json!({ "type": "Fuse" }));
    TokenizerFiles::new(tokenizer, Map::new(), Given::Mask, Json::Null)
}

/// Words, one a line in the order of their ids, of which the first two fill and are unknown; in lower
/// case, between white space, `max_length` at most. There, a text without a word has no token; here, it
/// has the unknown one.
pub fn words(lines: &str, max_length: usize, given: Given) -> TokenizerFiles {
    let mut tokens = lines.lines();
    let (pad, unknown) = (tokens.next(), tokens.next());
    let mut steps = vec![json!({ "type": "Lowercase" })];
    if lines.contains(['σ', 'ς']) {
        steps.insert(0, final_sigma());
    }
    if let (Some(pad), Some(unknown)) = (pad, unknown) {
        // A text cannot spell what fills.
        steps.push(json!({
            "type": "Replace", "pattern": { "String": pad }, "content": unknown,
        }));
    }
    let normalizer = json!({ "type": "Sequence", "normalizers": steps });
    let model =
        json!({ "type": "WordLevel", "unk_token": unknown, "vocab": numbered(lines.lines()) });
    let splits = json!({ "type": "WhitespaceSplit" });
    let special = [("pad_token", pad), ("unk_token", unknown)];
    let special = special
        .into_iter()
        .filter_map(|(key, token)| Some((key.to_owned(), json!(token?))));
    // What fills and what is unknown is not sought in a text.
    let more = json!({ "model_max_length": max_length, "split_special_tokens": true });
    let tokenizer = tokenizer(normalizer, splits, model, Json::Null);
    TokenizerFiles::new(tokenizer, special.collect(), given, more)
}

/// A Greek word ends in another small sigma than it holds. `Lowercase` there looks at one letter at a
/// time; `str::to_lowercase` does as Unicode says: of a capital that a letter comes before and none after,
/// marks aside.
fn final_sigma() -> Json {
    let pattern = r"\p{Cased}\p{Case_Ignorable}{0,4}\KΣ(?!\p{Case_Ignorable}{0,4}\p{Cased})";
    json!({ "type": "Replace", "pattern": { "Regex": pattern }, "content": "ς" })
}

/// Pieces of words as BERT's `vocab.txt` has them, one a line in the order of their ids; `lower_case` of
/// an uncased model, which leaves out accents, too.
///
/// # Errors
/// A vocabulary without `[UNK]`, `[CLS]` or `[SEP]`.
pub fn word_pieces(
    vocabulary: &str,
    lower_case: bool,
    max_length: usize,
) -> Result<TokenizerFiles, HubError> {
    let id = |token: &str| vocabulary.lines().position(|line| line == token);
    let needed = |token: &str| {
        id(token).ok_or_else(|| HubError::new("vocab.txt", format!("has no line {token}")))
    };
    let (cls, sep) = (needed("[CLS]")?, needed("[SEP]")?);
    needed("[UNK]")?;
    let special = USUAL.iter().filter(|(token, _)| token.starts_with('['));
    let special = special.filter_map(|(token, key)| Some((*token, *key, id(token)?)));
    let mut special: Vec<_> = special.collect();
    special.sort_by_key(|(_, _, id)| *id);
    let added = special.iter().map(|(token, _, id)| {
        json!({ "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    });
    let added: Vec<Json> = added.collect();
    let piece =
        |token: &str, segment: u8| json!({ "SpecialToken": { "id": token, "type_id": segment } });
    let text = |name: &str, segment: u8| json!({ "Sequence": { "id": name, "type_id": segment } });
    let around = |token: &str, id: usize| json!({ "id": token, "ids": [id], "tokens": [token] });
    let single = [piece("[CLS]", 0), text("A", 0), piece("[SEP]", 0)];
    let pair = [&single[..], &[text("B", 1), piece("[SEP]", 1)]].concat();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": lower_case },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "TemplateProcessing", "single": single, "pair": pair,
            "special_tokens": { "[CLS]": around("[CLS]", cls), "[SEP]": around("[SEP]", sep) } },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": numbered(vocabulary.lines()) },
    });
    let special = special
        .iter()
        .map(|(token, key, _)| ((*key).to_owned(), json!(token)));
    let more = json!({ "model_max_length": max_length });
    let given = Given::MaskAndSegments;
    Ok(TokenizerFiles::new(
        file.to_string(),
        special.collect(),
        given,
        more,
    ))
}

/// What special tokens are called, and what they mean: BERT's, RoBERTa's and Llama's, GPT-2's, Llama 3's.
const USUAL: [(&str, &str); 13] = [
    ("[PAD]", "pad_token"),
    ("[UNK]", "unk_token"),
    ("[CLS]", "cls_token"),
    ("[SEP]", "sep_token"),
    ("[MASK]", "mask_token"),
    ("<pad>", "pad_token"),
    ("<unk>", "unk_token"),
    ("<s>", "bos_token"),
    ("</s>", "eos_token"),
    ("<mask>", "mask_token"),
    ("<|endoftext|>", "eos_token"),
    ("<|begin_of_text|>", "bos_token"),
    ("<|end_of_text|>", "eos_token"),
];

/// A `tokenizer.json` as it is, with what it needs beside it. Of its special tokens, those with a usual
/// name are told by what they mean.
///
/// # Errors
/// Text that is no tokenizer.
pub fn as_it_is(
    tokenizer: &str,
    max_length: usize,
    given: Given,
) -> Result<TokenizerFiles, HubError> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        added_tokens: Vec<Added>,
    }
    #[derive(Deserialize)]
    struct Added {
        content: String,
        #[serde(default)]
        special: bool,
    }
    let file: File = serde_json::from_str(tokenizer)
        .map_err(|error| HubError::new(TOKENIZER_FILE, brief_problem(error)))?;
    // Declared, a token that the file does not seek in a text would be sought.
    let is_there = |token: &str| {
        let mut added = file.added_tokens.iter();
        added.any(|added| added.special && added.content == token)
    };
    let found = USUAL.iter().filter(|(token, _)| is_there(token));
    let special = found.map(|(token, key)| ((*key).to_owned(), json!(token)));
    let more = json!({ "model_max_length": max_length });
    Ok(TokenizerFiles::new(
        tokenizer.to_owned(),
        special.collect(),
        given,
        more,
    ))
}

fn tokenizer(normalizer: Json, splits: Json, model: Json, decoder: Json) -> String {
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": normalizer, "pre_tokenizer": splits, "post_processor": null,
        "decoder": decoder, "model": model,
    });
    file.to_string()
}

/// Tokens by their places.
fn numbered(tokens: impl Iterator<Item = impl ToString>) -> Json {
    let numbered = tokens.enumerate();
    let numbered = numbered.map(|(id, token)| (token.to_string(), json!(id)));
    Json::Object(numbered.collect())
}
