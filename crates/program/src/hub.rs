//! Folders as the Hugging Face hub has them: `config.json` in the origin's form, weights,
//! `tokenizer.json`.
//!
//! Architectures of `transformers` have a configuration of their own (`model_type`). Those of timm
//! and torchvision are called by a name (`architecture`), with the number of classes and how images
//! are normalised beside it, as timm's folders have it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use toml::{Table, Value};
use zoo_codec::text::{Language, Text};
use zoo_hub::config::CONFIG_FILE;
use zoo_hub::generation::generation;
use zoo_hub::head::Head;
use zoo_hub::ids::check_ids;
use zoo_hub::preprocessor;
use zoo_hub::sentence::{Pooling, SentenceFacts, sentence, write_sentence};
use zoo_hub::tokenizer_config::{self, TOKENIZER_CONFIG_FILE};
use zoo_hub::{HubError, Settings, timm, unread};
use zoo_tasks::{AnyCodec, Pictures, Size, Upstream};
use zoo_train::rng::Stream;
use zoo_train::{brief, brief_problem};

use crate::language;
use crate::registry::{Model, Opened};
use crate::rows::Zoo;

pub use zoo_hub::tokenizer_config::TOKENIZER_FILE;

/// Whoever opens a folder names its `config.json`; of another file, the error does.
fn said(error: HubError) -> String {
    match error.file == CONFIG_FILE {
        true => error.problem,
        false => error.to_string(),
    }
}

/// Whether the text of a `config.json` is in an origin's form, rather than ours.
///
/// # Errors
/// Text that is no JSON object.
pub fn is_origins(config: &str) -> Result<bool, String> {
    zoo_hub::config::is_origins(config).map_err(said)
}

/// The text of an origin's `config.json`.
///
/// # Errors
/// Text that is no JSON, or more than a configuration needs.
pub fn parse(config: &str) -> Result<Json, String> {
    zoo_hub::parse(CONFIG_FILE, config).map_err(said)
}

/// The model and the codec of a folder from the hub.
///
/// # Errors
/// An architecture that is not here, or a value that cannot be represented.
pub fn read(zoo: &Zoo, folder: &Path, config: &Json) -> Result<Opened, String> {
    let mut model = model(zoo, config)?;
    let facts = match is_sentence_encoder(&*model) {
        true => sentence(folder, model.outputs()).map_err(said)?,
        false => None,
    };
    if let Some(facts) = &facts {
        model = pooled(zoo, &*model, facts)?;
    }
    let codec = codec(&*model, folder, config, facts)?;
    Ok((model, codec))
}

/// Whether a model makes a vector of a sentence, as sentence-transformers' modules around an encoder do.
pub(crate) fn is_sentence_encoder(model: &dyn Model) -> bool {
    let table = model.table();
    table.get("head").and_then(Value::as_str) == Some("sentence_embedding")
}

/// The poolings of our encoders, by their names there.
const POOLINGS: [(&str, Pooling); 5] = [
    ("first", Pooling::FirstToken),
    ("mean", Pooling::Mean),
    ("max", Pooling::Max),
    ("mean_sqrt_len", Pooling::MeanSqrtLength),
    ("last", Pooling::LastToken),
];

/// The sentence encoder whose vectors are what its folder says.
fn pooled(zoo: &Zoo, model: &dyn Model, facts: &SentenceFacts) -> Result<Box<dyn Model>, String> {
    let found = POOLINGS.iter().find(|(_, known)| *known == facts.pooling);
    let (name, _) = found.ok_or_else(|| {
        format!(
            "{}: expected cls, lasttoken, mean, max or mean_sqrt_len_tokens",
            facts.pooling_key
        )
    })?;
    let mut table = model.table();
    table.insert("pooling".into(), Value::String((*name).into()));
    table.insert("normalize".into(), Value::Boolean(facts.normalise));
    zoo.configure(&table, &Table::new())
}

/// The files of sentence-transformers that say how a sentence encoder's vectors are made, beside its
/// `config.json`; none for another model.
pub fn sentence_files(model: &dyn Model, max_length: usize) -> Vec<(&'static str, Json)> {
    if !is_sentence_encoder(model) {
        return Vec::new();
    }
    let table = model.table();
    let name = table.get("pooling").and_then(Value::as_str);
    let found = POOLINGS.iter().find(|(known, _)| Some(*known) == name);
    let normalise = table.get("normalize").and_then(Value::as_bool) == Some(true);
    found.map_or_else(Vec::new, |(_, pooling)| {
        write_sentence(model.outputs(), *pooling, normalise, max_length).into()
    })
}

/// The model of a `config.json` in an origin's form.
///
/// # Errors
/// An architecture that is not here, or a value that cannot be represented.
pub fn model(zoo: &Zoo, config: &Json) -> Result<Box<dyn Model>, String> {
    match config.get("architecture").and_then(Json::as_str) {
        Some(name) => named(zoo, name, config),
        None => configured(zoo, config),
    }
}

/// An architecture that `transformers` configures.
fn configured(zoo: &Zoo, config: &Json) -> Result<Box<dyn Model>, String> {
    let found = zoo.models.iter().find_map(|entry| entry.of_hub(config));
    // What is quoted of a file may be long.
    let model = found
        .map(|model| model.map_err(brief_problem))
        .unwrap_or_else(|| {
            let known = zoo.models.iter().filter_map(|entry| entry.model_type());
            Err(format!(
                "model_type = {}: not here; there are: {}",
                brief(config.get("model_type").unwrap_or(&Json::Null)),
                known.collect::<Vec<_>>().join(", ")
            ))
        })?;
    unread::check(Settings::new(CONFIG_FILE, config)).map_err(said)?;
    Ok(model)
}

/// A preset by its name at timm or torchvision.
fn named(zoo: &Zoo, name: &str, config: &Json) -> Result<Box<dyn Model>, String> {
    // timm appends how the weights were trained: `resnet50.a1_in1k`.
    let preset = name.split('.').next().unwrap_or(name);
    let (entry, preset) = zoo
        .model(preset)
        .map_err(|problem| format!("architecture: {problem}"))?;
    let settings = Settings::new(CONFIG_FILE, config);
    let facts = timm::timm(settings).map_err(said)?;
    let known = entry
        .configure(preset, &Table::new(), &Table::new())?
        .table();
    if !known.contains_key("global_pool") {
        facts.check_pooling(settings, "avg").map_err(said)?;
    }
    let image_size = match facts.image_size {
        Some([height, width]) if height != width && known.contains_key("image_size") => {
            return Err(format!(
                "img_size: expected a square, got {height} x {width}"
            ));
        }
        size => size.map(|[side, _]| side),
    };
    let given = [
        ("num_classes", facts.num_classes),
        ("in_channels", facts.in_channels),
        ("image_size", image_size),
    ];
    let given = given
        .into_iter()
        .filter(|(key, _)| known.contains_key(*key));
    let overlay = given.filter_map(|(key, value)| {
        let value = value?.try_into().unwrap_or(i64::MAX);
        Some((key.to_owned(), Value::Integer(value)))
    });
    let mut overlay: Table = overlay.collect();
    if let (Some(pool), true) = (&facts.global_pool, known.contains_key("global_pool")) {
        overlay.insert("global_pool".into(), Value::String(pool.clone()));
    }
    entry.configure(preset, &overlay, &Table::new())
}

/// What transformers does to pictures.
const PREPROCESSOR_FILE: &str = "preprocessor_config.json";

/// Far more than any set of images has classes, or any tokenizer tokens.
const MOST_OUTPUTS: usize = 1 << 22;

fn codec(
    model: &dyn Model,
    folder: &Path,
    config: &Json,
    facts: Option<SentenceFacts>,
) -> Result<Arc<dyn AnyCodec>, String> {
    let outputs = model.outputs();
    if outputs > MOST_OUTPUTS {
        return Err(format!(
            "{outputs} outputs: more than {MOST_OUTPUTS} classes or tokens are not read"
        ));
    }
    let settings = Settings::new(CONFIG_FILE, config);
    let Some(longest) = model.longest() else {
        return model.upstream(Upstream {
            pictures: Some(pictures(model, folder, config)?),
            classes: timm::labels(settings, outputs).map_err(said)?,
            ..Upstream::default()
        });
    };
    let tokenizer = tokenizer(folder, config)?;
    let text = Text::Tokenizer { tokenizer };
    let language = (text.open()).map_err(|problem| format!("{TOKENIZER_FILE}: {problem}"))?;
    let lowers = ignores_case(&language);
    if facts.as_ref().is_some_and(|facts| facts.lower_case) && !lowers {
        return Err(
            "sentence_bert_config.json: do_lower_case: expected false, for the tokenizer keeps capitals"
                .into(),
        );
    }
    if (tokenizer_config::lower_case(folder).map_err(said)?).is_some_and(|said| said != lowers) {
        return Err(format!(
            "{TOKENIZER_CONFIG_FILE}: do_lower_case: expected {lowers}, as {TOKENIZER_FILE} does"
        ));
    }
    let most = match facts.and_then(|facts| facts.max_length) {
        Some(most) => Some(most),
        None => tokenizer_config::max_length(folder).map_err(said)?,
    };
    let longest = most.map_or(longest, |most| longest.min(most));
    let facts = generation(folder, settings).map_err(said)?;
    let rows = model.table().get("vocab_size").and_then(Value::as_integer);
    if let Some(rows) = rows {
        check_ids(language.vocabulary(), &facts.all(), rows as usize).map_err(said)?;
    }
    let has_classes = model.table().contains_key("num_classes") && !is_sentence_encoder(model);
    let head = has_classes.then(|| Head::read(settings, outputs).map_err(said));
    let head = head.transpose()?;
    model.upstream(Upstream {
        text: Some(text),
        max_length: Some(longest),
        stop: facts.stop_ids(),
        problem_type: head
            .as_ref()
            .map_or_else(Default::default, |head| head.problem_type),
        classes: head.map_or_else(Vec::new, |head| head.labels),
        ..Upstream::default()
    })
}

/// The text of a folder's `tokenizer.json`, or of the one that the older file of BERT's stands for.
fn tokenizer(folder: &Path, config: &Json) -> Result<String, String> {
    let path = folder.join(TOKENIZER_FILE);
    let missing = match language::read(&path) {
        Ok(tokenizer) => return Ok(tokenizer),
        Err(error) => error,
    };
    let is_bert = config.get("model_type").and_then(Json::as_str) == Some("bert");
    let older = match missing.kind() {
        ErrorKind::NotFound if is_bert => tokenizer_config::of_vocabulary(folder).map_err(said)?,
        _ => None,
    };
    older.ok_or_else(|| {
        format!(
            "{}: {missing}; text needs the folder's tokenizer",
            path.display()
        )
    })
}

/// Whether a tokenizer puts text in lower case by itself.
fn ignores_case(language: &Language) -> bool {
    let capitals = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z The ABC";
    let of = |text: &str| language.encode(text, 1000).ok();
    of(capitals).is_some_and(|tokens| of(&capitals.to_lowercase()) == Some(tokens))
}

/// What is done to pictures, as the folder says: `preprocessor_config.json` of transformers, or timm's
/// `pretrained_cfg`; where it says nothing, as the origin's library does by itself.
fn pictures(model: &dyn Model, folder: &Path, config: &Json) -> Result<Pictures, String> {
    let path = folder.join(PREPROCESSOR_FILE);
    let preprocessing = match zoo_files::read_text(&path, preprocessor::MAX_BYTES) {
        Ok(text) => preprocessor::transformers(&text)
            .map_err(|error| format!("{PREPROCESSOR_FILE}: {error}"))?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            preprocessor::timm(&timm_config(model, config)?.to_string())
                .map_err(|error| error.to_string())?
        }
        Err(error) => return Err(format!("{PREPROCESSOR_FILE}: {error}")),
    };
    Pictures::new(preprocessing)
}

/// A configuration of timm's with the size of the pictures, which its presets know where it does not
/// say.
fn timm_config(model: &dyn Model, config: &Json) -> Result<Json, String> {
    /// What else stands beside it, which is read elsewhere.
    const OTHERS: [&str; 12] = [
        "architecture",
        "num_classes",
        "num_labels",
        "label_names",
        "label_descriptions",
        "id2label",
        "label2id",
        "problem_type",
        "in_chans",
        "in_channels",
        "img_size",
        "image_size",
    ];
    let mut config = config.clone();
    if let Some(keys) = config.as_object_mut() {
        keys.retain(|key, _| !OTHERS.contains(&key.as_str()));
    }
    let says = |config: &Json| {
        config.get("input_size").is_some()
            || config
                .get("pretrained_cfg")
                .is_some_and(|pretrained| pretrained.get("input_size").is_some())
    };
    if !says(&config) {
        let usual = Size {
            examples: 1,
            most_side: None,
            most_length: None,
        };
        let batch = model.made_up(usual, &mut Stream::new(0));
        let shape = batch
            .column(model.inputs()[0])
            .map(|data| data.shape().to_vec());
        let Some([_, c, h, w]) = shape.as_deref() else {
            return Err("neither text nor images".into());
        };
        config["input_size"] = json!([c, h, w]);
    }
    Ok(config)
}

/// A model's `config.json` in the form of its origin.
///
/// # Errors
/// A configuration that has no name there.
pub fn write(model: &dyn Model, codec: Option<&dyn AnyCodec>) -> Result<Json, String> {
    if let Some(config) = model.to_hub() {
        let mut config = config?;
        if let (Some(codec), Json::Object(config)) = (codec, &mut config)
            && let Some(problem_type) = codec.problem_type()
        {
            let head = Head {
                problem_type,
                labels: codec.classes().to_vec(),
            };
            config.extend(head.write());
        }
        if let Some(reading) = codec.and_then(AnyCodec::text) {
            if let [token] = *reading.stop {
                config["eos_token_id"] = json!(token);
            } else if !reading.stop.is_empty() {
                config["eos_token_id"] = json!(reading.stop);
            }
        }
        return Ok(config);
    }
    let table = model.table();
    let preset = model.preset_but(&FREE).ok_or_else(|| {
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
    if let Some(codec) = codec {
        // What could not be read again is not written.
        let says = Upstream {
            pictures: codec.pictures().cloned(),
            classes: codec.classes().to_vec(),
            ..Upstream::default()
        };
        model.upstream(says).map_err(|_| {
            format!(
                "a model to {} has no form at an origin; --format safetensors writes the weights alone",
                model.task()
            )
        })?;
        let Some(pictures) = codec.pictures() else {
            return Ok(config);
        };
        let [channels, height, _] = pictures.shape;
        let prepared = preprocessor::to_timm(&pictures.preprocessing());
        config["pretrained_cfg"] = prepared.map_err(|problem| {
            format!("{problem}; --format safetensors writes the weights alone")
        })?;
        config["in_chans"] = json!(channels);
        if table.contains_key("image_size") {
            config["img_size"] = json!(height);
            // Without it, timm builds the network for its usual size.
            config["pretrained_cfg"]["fixed_input_size"] = json!(true);
        }
        config["label_names"] = json!(codec.classes());
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
