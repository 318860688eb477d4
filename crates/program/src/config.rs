//! `config.json`: how a run's weights are used.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use zoo_codec::text::MOST_TOKENIZER_BYTES;
use zoo_hub::MOST_CONFIG_BYTES;
use zoo_tasks::AnyCodec;
use zoo_train::brief_problem;

use crate::registry::Model;

/// The file that says how a run's weights are used.
pub const CONFIG_FILE: &str = "config.json";

/// What `config.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Config {
    /// The complete model configuration, with the architecture as `name`.
    pub model: toml::Table,
    /// How its input and output are read, in the form of its task.
    pub codec: Json,
    /// What runs of earlier versions say that a classifier's outputs are: the codec says it now.
    #[serde(default, skip_serializing)]
    problem_type: Option<Json>,
}

impl Config {
    /// What is kept of a model and a codec.
    pub fn new(model: &dyn Model, codec: &dyn AnyCodec) -> Self {
        Self {
            model: model.table(),
            codec: codec.json(),
            problem_type: None,
        }
    }

    /// Reads a configuration's text.
    ///
    /// # Errors
    /// Text that is no configuration.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_length(text)?;
        let mut config: Self = serde_json::from_str(text).map_err(brief_problem)?;
        if let (Some(kind), Json::Object(codec)) = (config.problem_type.take(), &mut config.codec) {
            codec.entry("problem_type").or_insert(kind);
        }
        Ok(config)
    }
}

/// The text of a folder's `config.json`.
///
/// # Errors
/// A file that cannot be read, or is larger than any configuration.
pub(crate) fn read_config(folder: &Path) -> io::Result<String> {
    let most = MOST_CONFIG_BYTES + 2 * MOST_TOKENIZER_BYTES;
    zoo_files::read_text(&folder.join(CONFIG_FILE), most)
}

/// A configuration becomes a tree of many times its size: the tokenizer's text, which stays text, is
/// the one part of it that may be large. Written down, a text may be twice as long.
fn check_length(config: &str) -> Result<(), String> {
    #[derive(Default, Deserialize)]
    struct Large {
        #[serde(default)]
        codec: Text,
    }
    #[derive(Default, Deserialize)]
    struct Text {
        #[serde(default)]
        tokenizer: String,
    }
    let (length, most) = (config.len(), MOST_CONFIG_BYTES as usize);
    if length <= most {
        return Ok(());
    }
    let large: Large = serde_json::from_str(config).map_err(brief_problem)?;
    match length - most > 2 * large.codec.tokenizer.len() {
        true => Err(format!(
            "{length} bytes: a configuration of more than {most}, its tokenizer aside, is not read"
        )),
        false => Ok(()),
    }
}
