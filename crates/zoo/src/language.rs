//! The text of a run: what its codec opens to.

use std::path::Path;

use zoo_codec::text::{Language, MOST_TOKENIZER_BYTES, Text, Tokenizer};

use crate::data::Codec;
use crate::hub::TOKENIZER_FILE;
use crate::saved::{self, Config};

/// The language of a decoder's codec; `None` of another's.
///
/// # Errors
/// A damaged vocabulary or tokenizer.
pub fn of(codec: &Codec) -> Option<Result<Language, String>> {
    match codec {
        Codec::Chars { chars, .. } => Some(Language::chars(chars)),
        Codec::Tokenizer { tokenizer, .. } => Some(Language::tokenizer(tokenizer)),
        Codec::Images { .. } | Codec::Words { .. } => None,
    }
}

/// The tokens that end a text.
pub fn stop(codec: &Codec, language: &Language) -> Vec<u32> {
    match codec {
        Codec::Chars { stop, .. } => stop
            .and_then(|stop| language.plain(&stop.to_string()).ok())
            .unwrap_or_default(),
        Codec::Tokenizer { stop, .. } => stop.clone(),
        Codec::Images { .. } | Codec::Words { .. } => Vec::new(),
    }
}

/// The `tokenizer.json` that does what a codec of texts does; `None` for one of other inputs.
pub fn file(codec: &Codec) -> Option<String> {
    let text = match codec.clone() {
        Codec::Images { .. } => return None,
        Codec::Words { words, .. } => Text::Words { words },
        Codec::Chars { chars, .. } => Text::Chars { chars },
        Codec::Tokenizer { tokenizer, .. } => Text::Tokenizer { tokenizer },
    };
    Some(text.tokenizer_json())
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
        None => read(&file).map_err(|error| wrong(error.to_string()))?,
    };
    let tokenizer = Tokenizer::parse(&text).map_err(wrong)?;
    Ok((text, tokenizer))
}

/// The text of a `tokenizer.json`.
///
/// # Errors
/// A file that cannot be read, or is larger than any tokenizer.
pub(crate) fn read(file: &Path) -> std::io::Result<String> {
    zoo_files::read_text(file, MOST_TOKENIZER_BYTES)
}

/// The tokenizer in the configuration of a run folder.
fn of_run(folder: &Path) -> Option<String> {
    let config = saved::read_config(folder).ok()?;
    match Config::parse(&config).ok()?.codec {
        Codec::Tokenizer { tokenizer, .. } => Some(tokenizer),
        _ => None,
    }
}
