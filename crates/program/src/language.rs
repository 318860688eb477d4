//! Tokenizers that a recipe names: a file, a folder that has one, or a run.

use std::path::Path;

use zoo_codec::text::{MOST_TOKENIZER_BYTES, Text};
use zoo_hub::tokenizer_config::TOKENIZER_FILE;

use crate::config::{Config, read_config};

/// The tokenizer of a `tokenizer.json`, of the folder that has one, or of a run.
///
/// # Errors
/// A file that cannot be read, or what is wrong with it.
pub fn open(path: &Path) -> Result<Text, String> {
    let file = match path.is_dir() {
        true => path.join(TOKENIZER_FILE),
        false => path.to_owned(),
    };
    let wrong = |problem: String| format!("data.tokenizer: {}: {problem}", file.display());
    let text = match of_run(path) {
        Some(text) => text,
        None => Text::Tokenizer {
            tokenizer: read(&file).map_err(|error| wrong(error.to_string()))?,
        },
    };
    text.open().map_err(wrong)?;
    Ok(text)
}

/// The text of a `tokenizer.json`.
///
/// # Errors
/// A file that cannot be read, or is larger than any tokenizer.
pub(crate) fn read(file: &Path) -> std::io::Result<String> {
    zoo_files::read_text(file, MOST_TOKENIZER_BYTES)
}

/// The tokenizer in the configuration of a run folder.
fn of_run(folder: &Path) -> Option<Text> {
    let config = read_config(folder).ok()?;
    let config = Config::parse(&config).ok()?;
    let text: Text = serde_json::from_value(config.codec).ok()?;
    matches!(text, Text::Tokenizer { .. }).then_some(text)
}
