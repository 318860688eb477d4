//! Folders as the Hugging Face hub has them: `config.json` in the origin's form, weights,
//! `tokenizer.json`.
//!
//! Architectures of `transformers` have a configuration of their own (`model_type`). Those of timm
//! and torchvision are called by a name (`architecture`), with the number of classes and how images
//! are normalised beside it, as timm's folders have it.

use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};
use toml::{Table, Value};
use zoo_train::{brief, brief_problem};

use crate::data::Codec;
use crate::language;
use crate::registry::{self, Input, Kind, MODELS, Model};

mod sentences;
mod unread;

/// The tokenizer's file in a folder.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// What torchvision and timm normalise images with, by channel, where a folder does not say.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The most bytes of a configuration, the tokenizer in one of ours aside. That of ImageNet-21k's
/// classes has 2 million, one of ours with a million words some 10.
pub(crate) const MOST_CONFIG_BYTES: u64 = 1 << 24;

/// Whether the text of a `config.json` is in an origin's form, rather than ours.
///
/// # Errors
/// Text that is no JSON object.
pub fn is_origins(config: &str) -> Result<bool, String> {
    // Nothing is kept, for either may be large.
    #[derive(serde::Deserialize)]
    struct Names {
        model_type: Option<IgnoredAny>,
        architecture: Option<IgnoredAny>,
    }
    let names: Names = serde_json::from_str(config).map_err(brief_problem)?;
    Ok(names.model_type.is_some() || names.architecture.is_some())
}

/// The text of an origin's `config.json`.
///
/// # Errors
/// Text that is no JSON, or more than a configuration needs.
pub fn parse(config: &str) -> Result<Json, String> {
    if config.len() as u64 > MOST_CONFIG_BYTES {
        return Err(format!(
            "{} bytes: a configuration of more than {MOST_CONFIG_BYTES} is not read",
            config.len()
        ));
    }
    serde_json::from_str(config).map_err(brief_problem)
}

/// The model and the codec of a folder from the hub.
///
/// # Errors
/// An architecture that is not here, or a value that cannot be represented.
pub fn read(folder: &Path, config: &Json) -> Result<(Box<dyn Model>, Codec), String> {
    let model = model(config)?;
    let codec = codec(&*model, folder, config)?;
    Ok((model, codec))
}

/// The model of a `config.json` in an origin's form.
///
/// # Errors
/// An architecture that is not here, or a value that cannot be represented.
pub fn model(config: &Json) -> Result<Box<dyn Model>, String> {
    match config.get("architecture").and_then(Json::as_str) {
        Some(name) => named(name, config),
        None => configured(config),
    }
}

/// An architecture that `transformers` configures.
fn configured(config: &Json) -> Result<Box<dyn Model>, String> {
    let found = MODELS.iter().find_map(|entry| entry.of_hub(config));
    // What is quoted of a file may be long.
    let model = found
        .map(|model| model.map_err(brief_problem))
        .unwrap_or_else(|| {
            let known = MODELS.iter().filter_map(|entry| entry.model_type());
            Err(format!(
                "model_type = {}: not here; there are: {}",
                brief(config.get("model_type").unwrap_or(&Json::Null)),
                known.collect::<Vec<_>>().join(", ")
            ))
        })?;
    unread::check(config)?;
    Ok(model)
}

/// A preset by its name at timm or torchvision.
fn named(name: &str, config: &Json) -> Result<Box<dyn Model>, String> {
    // timm appends how the weights were trained: `resnet50.a1_in1k`.
    let preset = name.split('.').next().unwrap_or(name);
    let (entry, preset) =
        registry::find(preset).map_err(|problem| format!("architecture: {problem}"))?;
    unread::check_timm(entry.name(), config)?;
    let mut overlay = Table::new();
    let known = entry.configure(preset, &Table::new(), None)?.table();
    let pretrained = |key: &str| {
        config
            .get(key)
            .or_else(|| config.get("model_args")?.get(key))
            .or_else(|| config.get("pretrained_cfg")?.get(key))
    };
    let mut take = |key: &str, there: &[&str]| {
        let value = there.iter().find_map(|key| pretrained(key)?.as_i64());
        if let (Some(value), true) = (value, known.contains_key(key)) {
            overlay.insert(key.into(), Value::Integer(value));
        }
    };
    take("num_classes", &["num_classes"]);
    take("in_channels", &["in_chans", "in_channels"]);
    take("image_size", &["img_size", "image_size"]);
    entry.configure(preset, &overlay, None)
}

/// Far more than any set of images has classes, or any tokenizer tokens.
const MOST_OUTPUTS: usize = 1 << 22;

/// Classes that a file need not name: each is given a name. ImageNet-21k has a third of them.
const MOST_UNNAMED: usize = 1 << 16;

fn codec(model: &dyn Model, folder: &Path, config: &Json) -> Result<Codec, String> {
    let outputs = model.outputs();
    if outputs > MOST_OUTPUTS {
        return Err(format!(
            "{outputs} outputs: more than {MOST_OUTPUTS} classes or tokens are not read"
        ));
    }
    if let Input::Tokens { longest } = model.input() {
        let path = folder.join(TOKENIZER_FILE);
        let tokenizer = language::read(&path).map_err(|error| {
            format!(
                "{}: {error}; text needs the folder's tokenizer",
                path.display()
            )
        })?;
        let max_length = match is_embedding(model) {
            true => longest.min(sentences::max_length(folder, outputs)?.unwrap_or(longest)),
            false => longest,
        };
        return Ok(Codec::Tokenizer {
            tokenizer,
            max_length,
            // transformers names classes so where a file does not.
            classes: match classifies(model) {
                true => labels(config, outputs, |class| format!("LABEL_{class}"))?,
                false => Vec::new(),
            },
            stop: stops(config)?,
        });
    }
    let given = config
        .get("pretrained_cfg")
        .and_then(|config| config.get("input_size"));
    let given = given.or_else(|| config.get("input_size"));
    let shape = match given {
        Some(shape) => serde_json::from_value(shape.clone()).map_err(|error| {
            let error = brief_problem(error);
            format!("input_size: {error}; expected channels, height, width")
        })?,
        None => match *model.usual_shape() {
            [_, c, h, w] => [c, h, w],
            _ => return Err("neither text nor images".into()),
        },
    };
    let channels = match shape[0] {
        channels @ (1 | 3) => channels,
        other => return Err(format!("input_size: {other} channels; images have 1 or 3")),
    };
    let by_channel = |key: &str, usual: [f32; 3]| {
        let given = config
            .get(key)
            .or_else(|| config.get("pretrained_cfg")?.get(key));
        let Some(given) = given.filter(|given| !given.is_null()) else {
            return Ok(match channels {
                3 => usual.to_vec(),
                _ => vec![0.5; channels],
            });
        };
        let values = given.as_array();
        let values = values.and_then(|values| values.iter().map(Json::as_f64).collect());
        let values: Option<Vec<f64>> = values;
        let values = values
            .ok_or_else(|| format!("{key} = {}: expected a number a channel", brief(given)))?;
        Ok::<_, String>(values.into_iter().map(|value| value as f32).collect())
    };
    Ok(Codec::Images {
        shape,
        mean: by_channel("mean", IMAGENET_MEAN)?,
        std: by_channel("std", IMAGENET_STD)?,
        classes: labels(config, outputs, |class| class.to_string())?,
    })
}

/// The tokens that end a text: one, some, or none.
fn stops(config: &Json) -> Result<Vec<u32>, String> {
    /// Llama 3's has three.
    const MOST_STOPS: usize = 64;
    let given = match &config["eos_token_id"] {
        Json::Null => return Ok(Vec::new()),
        Json::Array(ids) => ids.as_slice(),
        id => std::slice::from_ref(id),
    };
    let ids = given.iter().map(|id| id.as_u64()?.try_into().ok());
    let ids: Option<Vec<u32>> = ids.take(MOST_STOPS + 1).collect();
    ids.filter(|ids| ids.len() <= MOST_STOPS).ok_or_else(|| {
        format!(
            "eos_token_id = {}: expected an id, or a list of {MOST_STOPS} at most",
            brief(&config["eos_token_id"])
        )
    })
}

/// Whether a model of text has classes: a sentence encoder gives a vector, a decoder tokens.
pub(crate) fn classifies(model: &dyn Model) -> bool {
    model.kind() == Kind::Sentences
        && model.table().contains_key("num_classes")
        && !is_embedding(model)
}

fn is_embedding(model: &dyn Model) -> bool {
    let table = model.table();
    table.get("head").and_then(Value::as_str) == Some("sentence_embedding")
}

/// The names of the classes: Hugging Face's `id2label`, timm's `label_names`, or what they are called
/// where a file names none.
fn labels(
    config: &Json,
    classes: usize,
    unnamed: fn(usize) -> String,
) -> Result<Vec<String>, String> {
    let given = |key: &'static str| Some((key, config.get(key).filter(|names| !names.is_null())?));
    let Some((key, names)) = given("id2label").or_else(|| given("label_names")) else {
        if classes > MOST_UNNAMED {
            return Err(format!(
                "{classes} classes without a name (id2label, label_names); at most {MOST_UNNAMED} are \
                 given one"
            ));
        }
        return Ok((0..classes).map(unnamed).collect());
    };
    let count = names.as_object().map(serde_json::Map::len);
    let count = count.or_else(|| names.as_array().map(Vec::len));
    let name = |class: usize| match names {
        Json::Array(names) => names.get(class)?.as_str(),
        names => names.get(class.to_string())?.as_str(),
    };
    // As many as the file has, or none is kept.
    let named = (count == Some(classes)).then(|| {
        let names = (0..classes).map(|class| Some(name(class)?.into()));
        names.collect::<Option<Vec<String>>>()
    });
    named.flatten().ok_or_else(|| {
        format!(
            "{key}: expected a name for each of the classes 0 to {}, and no others; there are {}",
            classes.saturating_sub(1),
            count.unwrap_or_default()
        )
    })
}

/// What a file says that a classifier's outputs are, where that is not one class of several: each a
/// class of its own, or measures.
pub fn problem_type(config: &Json) -> Option<String> {
    match config.get("problem_type")? {
        Json::Null => None,
        Json::String(kind) if kind == "single_label_classification" => None,
        Json::String(kind) => Some(brief(kind)),
        other => Some(brief(other)),
    }
}

/// A model's `config.json` in the form of its origin.
///
/// # Errors
/// A configuration that has no name there.
pub fn write(model: &dyn Model, codec: &Codec) -> Result<Json, String> {
    if let Some(config) = model.to_hub() {
        let mut config = config?;
        if let (
            Codec::Tokenizer { classes, .. } | Codec::Words { classes, .. },
            Json::Object(config),
        ) = (codec, &mut config)
            && model.kind() == Kind::Sentences
            && !classes.is_empty()
        {
            let by_id = classes.iter().enumerate();
            let labels: serde_json::Map<_, _> = by_id
                .map(|(id, name)| (id.to_string(), json!(name)))
                .collect();
            config.insert("id2label".into(), Json::Object(labels));
            let by_name = classes.iter().enumerate();
            let ids = by_name.map(|(id, name)| (name.clone(), json!(id)));
            config.insert("label2id".into(), Json::Object(ids.collect()));
        }
        if let Some(language) = language::of(codec).transpose()? {
            let stop = language::stop(codec, &language);
            if let [token] = *stop {
                config["eos_token_id"] = json!(token);
            } else if !stop.is_empty() {
                config["eos_token_id"] = json!(stop);
            }
        }
        return Ok(config);
    }
    let table = model.table();
    let preset = preset_of(&table).ok_or_else(|| {
        let name = table
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        format!(
            "no preset of {name} has this configuration, so it has no name at its origin; \
             --format safetensors writes the weights alone"
        )
    })?;
    let mut config = json!({ "architecture": preset, "num_classes": model.outputs() });
    if let Codec::Images {
        shape,
        mean,
        std,
        classes,
    } = codec
    {
        config["pretrained_cfg"] = json!({ "input_size": shape, "mean": mean, "std": std });
        config["in_chans"] = json!(shape[0]);
        if table.contains_key("image_size") {
            config["img_size"] = json!(shape[1]);
        }
        config["label_names"] = json!(classes);
    }
    Ok(config)
}

/// Keys in which a model may differ from the preset whose name it bears.
const FREE: [&str; 5] = [
    "num_classes",
    "in_channels",
    "image_size",
    "dropout",
    "stochastic_depth",
];

fn preset_of(table: &Table) -> Option<&'static str> {
    let name = table.get("name")?.as_str()?;
    let entry = MODELS.iter().find(|entry| entry.name() == name)?;
    let fixed = |table: &Table| {
        let mut table = table.clone();
        table.retain(|key, _| !FREE.contains(&key));
        table
    };
    entry.presets().into_iter().find(|preset| {
        let there = entry.configure(preset, &Table::new(), None);
        there.is_ok_and(|there| fixed(&there.table()) == fixed(table))
    })
}
