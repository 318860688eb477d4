//! What a folder of sentence-transformers does around its encoder: `modules.json`, the pooling's
//! `config.json`, `sentence_bert_config.json`, `config_sentence_transformers.json`.

use std::path::Path;

use serde_json::{Value as Json, json};
use zoo_files::brief;

use crate::tokenizer_config::TOKENIZER_CONFIG_FILE;
use crate::{HubError, Settings, read};

/// Which modules a text goes through, in order.
pub const MODULES_FILE: &str = "modules.json";

/// What is done with a text, rather than with an encoder.
const WHOLE_FILE: &str = "config_sentence_transformers.json";

/// Settings of the first module, in the order in which they are looked for: by the encoder that the
/// first versions knew.
const TRANSFORMER_FILES: [&str; 8] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
    "sentence_config.json",
];

/// A tokenizer without a limit of its own says 10^30.
const NO_LIMIT: u64 = 1 << 31;

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// That of the first token.
    FirstToken,
    /// That of the last token.
    LastToken,
    /// The mean over all tokens.
    Mean,
    /// The largest of each component.
    Max,
    /// The sum over all tokens, divided by the square root of their number.
    MeanSqrtLength,
    /// The mean, in which a token counts as much as its place, from 1 on.
    WeightedMean,
}

/// The keys of the first form, the names of the second, and what they mean.
const POOLINGS: [(&str, &str, Pooling); 6] = [
    ("pooling_mode_cls_token", "cls", Pooling::FirstToken),
    ("pooling_mode_lasttoken", "lasttoken", Pooling::LastToken),
    ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
    ("pooling_mode_max_tokens", "max", Pooling::Max),
    (
        "pooling_mode_mean_sqrt_len_tokens",
        "mean_sqrt_len_tokens",
        Pooling::MeanSqrtLength,
    ),
    (
        "pooling_mode_weightedmean_tokens",
        "weightedmean",
        Pooling::WeightedMean,
    ),
];

/// Where the pooling's settings are written, and beside it what follows.
const POOLING_FOLDER: &str = "1_Pooling";
const POOLING_FILE: &str = "1_Pooling/config.json";
const NORMALISE_FOLDER: &str = "2_Normalize";

/// The files that [`write_sentence`] writes into a folder.
pub const SENTENCE_FILES: [&str; 3] = [MODULES_FILE, POOLING_FOLDER, TRANSFORMER_FILES[0]];

/// The files, by their paths in a folder, that say of an encoder of `width` what [`sentence`] reads of
/// them: the pooling, whether vectors are of length 1, and the most tokens of a text.
pub fn write_sentence(
    width: usize,
    pooling: Pooling,
    normalise: bool,
    max_length: usize,
) -> [(&'static str, Json); 3] {
    let module = |index: usize, path: &str, kind: &str| {
        json!({ "idx": index, "name": index.to_string(), "path": path,
            "type": format!("sentence_transformers.models.{kind}") })
    };
    let mut modules = vec![
        module(0, "", "Transformer"),
        module(1, POOLING_FOLDER, "Pooling"),
    ];
    if normalise {
        modules.push(module(2, NORMALISE_FOLDER, "Normalize"));
    }
    let mut settings = json!({ "word_embedding_dimension": width });
    for (key, _, known) in POOLINGS {
        settings[key] = json!(known == pooling);
    }
    let of_text = json!({ "max_seq_length": max_length, "do_lower_case": false });
    [
        (MODULES_FILE, json!(modules)),
        (POOLING_FILE, settings),
        (TRANSFORMER_FILES[0], of_text),
    ]
}

/// What is done around an encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentenceFacts {
    /// How the vectors of the tokens become one.
    pub pooling: Pooling,
    /// File and key that say so, for whoever has no such pooling.
    pub pooling_key: String,
    /// Whether that vector is brought to length 1.
    pub normalise: bool,
    /// The most tokens of a text, those that the tokenizer puts around it included, where one of the
    /// files says.
    pub max_length: Option<usize>,
    /// Whether a text is put in lower case before the tokenizer sees it.
    pub lower_case: bool,
}

/// What a folder says that is done around its encoder, whose vectors are of `width`; `None` for a folder
/// of a plain encoder.
///
/// # Errors
/// A module that is not known here (a `Dense` has weights of its own), or a value that contradicts another
/// or changes what a text's vector is, by file and key.
pub fn sentence(folder: &Path, width: usize) -> Result<Option<SentenceFacts>, HubError> {
    let Some(modules) = read(folder, MODULES_FILE)? else {
        return match read(folder, POOLING_FILE)? {
            None => Ok(None),
            Some(_) => Err(HubError::new(
                MODULES_FILE,
                format!("not there, though {POOLING_FILE} is, which only it can name"),
            )),
        };
    };
    let (pooling_file, normalise) = modules_of(&modules)?;
    let missing = || {
        HubError::new(
            &*pooling_file,
            format!("not there, though {MODULES_FILE} names it"),
        )
    };
    let json = read(folder, &pooling_file)?.ok_or_else(missing)?;
    let settings = Settings::new(&pooling_file, &json);
    settings.only("include_prompt", &[json!(true)])?;
    for key in ["word_embedding_dimension", "embedding_dimension"] {
        settings.only(key, &[json!(width)])?;
    }
    let (key, pooling) = pooling(settings)?;
    check_whole(folder, width, normalise)?;
    let (max_length, lower_case) = of_transformer(folder)?;
    Ok(Some(SentenceFacts {
        pooling,
        pooling_key: format!("{pooling_file}: {key}"),
        normalise,
        max_length,
        lower_case,
    }))
}

/// The pooling's file, and whether vectors are brought to length 1.
fn modules_of(modules: &Json) -> Result<(String, bool), HubError> {
    let wrong = |problem: String| HubError::new(MODULES_FILE, problem);
    let list = modules.as_array();
    let list = list.ok_or_else(|| wrong("expected a list of modules".into()))?;
    // Nothing is dropped out once a model is trained.
    let modules: Vec<&Json> = list
        .iter()
        .filter(|module| kind(module) != "Dropout")
        .collect();
    let kinds: Vec<&str> = modules.iter().map(|module| kind(module)).collect();
    let normalise = match *kinds {
        ["Transformer", "Pooling"] => false,
        ["Transformer", "Pooling", "Normalize"] => true,
        _ => {
            return Err(wrong(format!(
                "type: expected sentence_transformers' Transformer, Pooling and perhaps Normalize, got {}; \
                 others are not computed here",
                brief(kinds.join(", "))
            )));
        }
    };
    let path = |module: usize| modules[module]["path"].as_str().unwrap_or_default();
    if !path(0).is_empty() {
        return Err(wrong(format!(
            "path of Transformer: expected the folder itself, got {:?}",
            brief(path(0))
        )));
    }
    zoo_files::check_name(path(1))
        .map_err(|problem| wrong(format!("path of Pooling: {:?}: {problem}", brief(path(1)))))?;
    Ok((format!("{}/config.json", path(1)), normalise))
}

/// The last part of a Python class's path, which moved with the versions; all of one that is somebody's
/// own.
fn kind(module: &Json) -> &str {
    let kind = module["type"].as_str().unwrap_or("no type");
    match kind.strip_prefix("sentence_transformers.") {
        Some(path) => path.rsplit('.').next().unwrap_or(path),
        None => kind,
    }
}

/// The one pooling of the file, in either of its forms.
fn pooling(settings: Settings<'_>) -> Result<(&'static str, Pooling), HubError> {
    if settings.get("pooling_mode").is_some() {
        let name = settings.typed(
            "pooling_mode",
            "the name of one pooling",
            |mode| match mode {
                Json::Array(modes) => match &**modes {
                    [mode] => mode.as_str(),
                    _ => None,
                },
                mode => mode.as_str(),
            },
        )?;
        let found = POOLINGS.iter().find(|(_, known, _)| Some(*known) == name);
        let names = || POOLINGS.map(|(_, name, _)| name).join(", ");
        return match found {
            Some((_, _, pooling)) => Ok(("pooling_mode", *pooling)),
            None => Err(settings.wrong("pooling_mode", format!("one of {}", names()))),
        };
    }
    let known = |key: &str| POOLINGS.iter().any(|(known, _, _)| *known == key);
    let mut others = settings.entries("").filter(|(key, value)| {
        key.starts_with("pooling_mode_") && !known(key) && **value != json!(false)
    });
    if let Some((key, _)) = others.next() {
        return Err(settings.wrong(key, "false, for there is no such pooling here"));
    }
    let mut on = Vec::new();
    for (key, _, pooling) in POOLINGS {
        if settings.flag(key)?.unwrap_or(false) {
            on.push((key, pooling));
        }
    }
    let keys = |keys: &mut dyn Iterator<Item = &str>| keys.collect::<Vec<_>>().join(", ");
    match *on {
        [one] => Ok(one),
        [] => Err(settings.error(format!(
            "expected one of these to be true: {}",
            keys(&mut POOLINGS.iter().map(|(key, _, _)| *key))
        ))),
        _ => Err(settings.error(format!(
            "{}: expected one of them to be true, for vectors that stand side by side are not read",
            keys(&mut on.iter().map(|(key, _)| *key))
        ))),
    }
}

/// No prompt before a text, vectors of full length, and compared by their angle.
fn check_whole(folder: &Path, width: usize, normalise: bool) -> Result<(), HubError> {
    let json = read(folder, WHOLE_FILE)?.unwrap_or(Json::Null);
    let whole = Settings::new(WHOLE_FILE, &json);
    whole.only("model_type", &[json!("SentenceTransformer")])?;
    whole.only("truncate_dim", &[json!(width)])?;
    if let Some(name) = whole.text("default_prompt_name")?
        && whole.get("prompts").and_then(|prompts| prompts.get(name)) != Some(&json!(""))
    {
        return Err(whole.wrong(
            "default_prompt_name",
            "null: no prompt is put before a text",
        ));
    }
    // The same for vectors of length 1.
    let angles = [json!("cosine"), json!("dot")];
    whole.only(
        "similarity_fn_name",
        &angles[..if normalise { 2 } else { 1 }],
    )
}

/// The longest text, and whether it is put in lower case. What the settings do not limit, the tokenizer
/// does.
fn of_transformer(folder: &Path) -> Result<(Option<usize>, bool), HubError> {
    for file in TRANSFORMER_FILES {
        let Some(json) = read(folder, file)? else {
            continue;
        };
        let settings = Settings::new(file, &json);
        let lower_case = settings.flag("do_lower_case")?.unwrap_or(false);
        return match settings.count("max_seq_length")? {
            Some(length) => Ok((Some(length), lower_case)),
            None => Ok((of_tokenizer(folder)?, lower_case)),
        };
    }
    Ok((of_tokenizer(folder)?, false))
}

fn of_tokenizer(folder: &Path) -> Result<Option<usize>, HubError> {
    let json = read(folder, TOKENIZER_CONFIG_FILE)?.unwrap_or(Json::Null);
    let settings = Settings::new(TOKENIZER_CONFIG_FILE, &json);
    let is_limit = |value: &&Json| value.as_f64().is_none_or(|length| length < NO_LIMIT as f64);
    match settings.get("model_max_length").filter(is_limit) {
        Some(_) => settings.count("model_max_length"),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
