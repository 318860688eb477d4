//! What a run keeps to read and show text.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Language, UNKNOWN};

/// What a run keeps to read and show text: with it, nothing of the data is needed any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Text {
    /// Words by their ids.
    Words {
        /// [`WordVocabulary::to_lines`](super::WordVocabulary::to_lines).
        words: String,
    },
    /// A tokenizer.
    Tokenizer {
        /// The text of its `tokenizer.json`.
        tokenizer: String,
    },
    /// Characters by their ids.
    Chars {
        /// [`CharVocabulary::chars`](super::CharVocabulary::chars).
        chars: String,
    },
}

impl Text {
    /// What reads and shows text so.
    ///
    /// # Errors
    /// A damaged vocabulary or tokenizer.
    pub fn open(&self) -> Result<Language, String> {
        match self {
            Self::Words { words } => Language::words(words),
            Self::Tokenizer { tokenizer } => Language::tokenizer(tokenizer),
            Self::Chars { chars } => Language::chars(chars),
        }
    }

    /// The `tokenizer.json` that does the same.
    pub fn tokenizer_json(&self) -> String {
        let numbered = |tokens: &mut dyn Iterator<Item = String>| -> Json {
            let numbered = tokens.enumerate();
            Json::Object(numbered.map(|(id, token)| (token, json!(id))).collect())
        };
        let (normalizer, splits, model, decoder) = match self {
            Self::Tokenizer { tokenizer } => return tokenizer.clone(),
            // Pairs of which none is ever merged.
            Self::Chars { chars } => (
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
            Self::Words { words } => (
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
        file.to_string()
    }
}
