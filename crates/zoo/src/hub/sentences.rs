//! What a folder of sentence-transformers says that is done around its model.
//!
//! Here a sentence's vector is the mean over its tokens, brought to length 1. A folder that says
//! something else is refused, for its vectors would be others.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Value as Json, json};
use zoo_train::{brief, brief_problem};

use super::MOST_CONFIG_BYTES;

const MODULES: &str = "modules.json";

/// Settings of the first module, whatever it is called.
const TRANSFORMER: [&str; 2] = ["sentence_bert_config.json", "sentence_config.json"];

/// What is done with a text, rather than with a model.
const WHOLE: &str = "config_sentence_transformers.json";

/// The most tokens that the folder lets a sentence have, where it says; all that it says is held
/// against what is computed here. `width` is that of a vector.
///
/// # Errors
/// What contradicts it, by file and key.
pub(super) fn max_length(folder: &Path, width: usize) -> Result<Option<usize>, String> {
    // Without it, as a folder of a plain encoder.
    let Some(modules) = read(folder, MODULES)? else {
        return Ok(None);
    };
    let wrong = |problem: String| format!("{MODULES}: {problem}");
    let modules = modules
        .as_array()
        .ok_or_else(|| wrong("expected a list of modules".into()))?;
    let kinds: Vec<&str> = modules.iter().map(kind).collect();
    if kinds != ["Transformer", "Pooling", "Normalize"] {
        return Err(wrong(format!(
            "type: expected Transformer, Pooling and Normalize, which are what is computed here (the mean, \
             brought to length 1), got {}",
            brief(kinds.join(", "))
        )));
    }
    let path = |module: usize| modules[module]["path"].as_str().unwrap_or_default();
    if !path(0).is_empty() {
        return Err(wrong(format!(
            "path of Transformer: expected the folder itself, got {:?}",
            brief(path(0))
        )));
    }
    zoo_files::check_name(path(1))
        .map_err(|problem| wrong(format!("path of Pooling: {:?}: {problem}", brief(path(1)))))?;
    check_pooling(folder, &format!("{}/config.json", path(1)), width)?;
    check_text(folder)?;
    let mut max_length = None;
    for file in TRANSFORMER {
        let Some(settings) = read(folder, file)? else {
            continue;
        };
        only(file, &settings, "do_lower_case", &[json!(false)])?;
        max_length = match &settings["max_seq_length"] {
            Json::Null => max_length,
            given => Some(number(given).ok_or_else(|| {
                format!(
                    "{file}: max_seq_length: expected 1 or more, got {}",
                    brief(given)
                )
            })?),
        };
    }
    Ok(max_length)
}

fn number(value: &Json) -> Option<usize> {
    let number = value.as_u64()?.try_into().ok()?;
    (number > 0).then_some(number)
}

/// The last part of a Python class's path, which moved with the versions.
fn kind(module: &Json) -> &str {
    let kind = module["type"].as_str().unwrap_or("no type");
    kind.rsplit('.').next().unwrap_or(kind)
}

/// The mean over the tokens, and nothing else.
fn check_pooling(folder: &Path, file: &str, width: usize) -> Result<(), String> {
    let pooling = read(folder, file)?
        .ok_or_else(|| format!("{file}: not there, though {MODULES} names it"))?;
    only(
        file,
        &pooling,
        "pooling_mode",
        &[json!("mean"), json!(["mean"])],
    )?;
    only(file, &pooling, "include_prompt", &[json!(true)])?;
    for key in ["word_embedding_dimension", "embedding_dimension"] {
        only(file, &pooling, key, &[json!(width)])?;
    }
    let modes = pooling.as_object().into_iter().flat_map(|keys| keys.keys());
    for mode in modes.filter(|key| key.starts_with("pooling_mode_")) {
        let is_mean = mode == "pooling_mode_mean_tokens";
        only(file, &pooling, mode, &[json!(is_mean)])?;
    }
    Ok(())
}

/// No prompt before a text, and vectors that are compared by their angle.
fn check_text(folder: &Path) -> Result<(), String> {
    let Some(whole) = read(folder, WHOLE)? else {
        return Ok(());
    };
    only(WHOLE, &whole, "default_prompt_name", &[])?;
    // The same for vectors of length 1.
    let angles = [json!("cosine"), json!("dot")];
    only(WHOLE, &whole, "similarity_fn_name", &angles)
}

/// `Err` where a key is there and has none of these values.
fn only(file: &str, settings: &Json, key: &str, allowed: &[Json]) -> Result<(), String> {
    let value = &settings[key];
    if value.is_null() || allowed.contains(value) {
        return Ok(());
    }
    let expected = allowed.first().unwrap_or(&Json::Null);
    Err(format!(
        "{file}: {}: expected {expected}, got {}",
        brief(key),
        brief(value)
    ))
}

/// A file's JSON, if it is there.
fn read(folder: &Path, file: &str) -> Result<Option<Json>, String> {
    let wrong = |problem: String| format!("{file}: {problem}");
    match zoo_files::read_text(&folder.join(file), MOST_CONFIG_BYTES) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| wrong(brief_problem(error))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
    }
}
