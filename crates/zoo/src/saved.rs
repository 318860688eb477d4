//! A finished run, opened for use: what eval, predict and sample share.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use toml::Value;
use zoo_text::{CharVocabulary, WordVocabulary};
use zoo_train::{MODEL_FILE, RECIPE_FILE, Recipe, Run};

use crate::data::{Codec, Facts};
use crate::devices;
use crate::error::Error;
use crate::hub;
use crate::pretrained;
use crate::registry::{self, Input, Model, Ready, size};
use crate::resume;

/// The file that says how a run's weights are used.
pub const CONFIG_FILE: &str = "config.json";

/// The longest side of an image that a model is given, as of one that is read.
const MOST_PIXELS_A_SIDE: usize = 16_384;

/// What `config.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Config {
    /// The complete model configuration, with the architecture as `name`.
    pub model: toml::Table,
    /// How its input and output are read.
    pub codec: Codec,
    /// What an origin says that a classifier's outputs are, where that is not one class of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<String>,
}

impl Config {
    /// Reads a configuration's text.
    ///
    /// # Errors
    /// Text that is no configuration, or a codec that could not read an input.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// Reads the `config.json` of an origin, with the tokenizer beside it in `folder`.
    ///
    /// # Errors
    /// An architecture that is not here, a value that cannot be represented, or a codec that could
    /// not read an input.
    pub fn of_origin(folder: &Path, config: &Json) -> Result<Self, String> {
        let (model, codec) = hub::read(folder, config)?;
        let config = Self {
            model: model.table(),
            codec,
            problem_type: hub::problem_type(config),
        };
        config.check()?;
        Ok(config)
    }

    /// Whether the codec could read an input.
    ///
    /// # Errors
    /// What keeps it from that.
    fn check(&self) -> Result<(), String> {
        match &self.codec {
            Codec::Images {
                shape, mean, std, ..
            } => {
                size::check("an image of codec.shape", size::numbers(shape))?;
                let [channels, sides @ ..] = shape;
                // An image that is read is made this large, whatever it was.
                if sides
                    .iter()
                    .any(|side| !(1..=MOST_PIXELS_A_SIDE).contains(side))
                {
                    return Err(format!(
                        "codec: images of {} x {} pixels; sides are from 1 to {MOST_PIXELS_A_SIDE}",
                        sides[0], sides[1]
                    ));
                }
                let each = [*channels, mean.len(), std.len()];
                if !matches!(each, [1, 1, 1] | [3, 3, 3]) {
                    return Err(format!(
                        "codec: {} channels, {} means and {} deviations; expected 1 of each, or 3",
                        each[0], each[1], each[2]
                    ));
                }
                if !mean.iter().all(|value| value.is_finite()) {
                    return Err(format!("codec.mean = {mean:?}: must be numbers"));
                }
                if !std.iter().all(|value| *value > 0.0 && value.is_finite()) {
                    return Err(format!("codec.std = {std:?}: must be above 0"));
                }
            }
            Codec::Words { max_length: 0, .. } => {
                return Err("codec.max_length = 0: must be 1 or more".into());
            }
            Codec::Words { words, .. } => {
                WordVocabulary::from_lines(words).map_err(|error| error.to_string())?;
            }
            Codec::Tokenizer {
                tokenizer,
                max_length,
                ..
            } => {
                crate::language::tokenizer(tokenizer)?;
                if *max_length == 0 {
                    return Err("codec.max_length = 0: must be 1 or more".into());
                }
            }
            Codec::Chars { chars, .. } => {
                CharVocabulary::from_chars(chars).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// The model, which must fit what the codec makes of an input.
    ///
    /// # Errors
    /// An unknown key, a value that does not fit, or a codec of other inputs or outputs.
    pub fn configure(&self) -> Result<Box<dyn Model>, String> {
        let set = "of the codec".to_owned();
        let facts = match &self.codec {
            // The tokenizer came with the model, whose vocabulary may be padded to a round number.
            Codec::Tokenizer { .. } => return registry::configure(&self.model, None),
            Codec::Images { shape, classes, .. } => Facts::Images {
                set,
                shape: *shape,
                classes: classes.len(),
            },
            Codec::Words { words, classes, .. } => Facts::Sentences {
                set,
                vocabulary: words.lines().count(),
                classes: classes.len(),
            },
            Codec::Chars { chars, .. } => Facts::Sequences {
                set,
                vocabulary: chars.chars().count(),
                length: 0, // A text to continue may have any length.
            },
        };
        let model = registry::configure(&self.model, Some(&facts))?;
        if let Codec::Words { max_length, .. } = &self.codec {
            // An encoder's outputs are classes: `fit` does not see how many words it knows.
            let known = model.table().get("vocab_size").and_then(Value::as_integer);
            let words = facts.vocabulary().unwrap_or_default();
            if known.is_some_and(|known| (known as usize) < words) {
                return Err(format!(
                    "codec.words holds {words} words, more than model.vocab_size"
                ));
            }
            if let Input::Tokens { longest } = model.input()
                && *max_length > longest
            {
                return Err(format!(
                    "codec.max_length = {max_length}: the model takes at most {longest}"
                ));
            }
        }
        Ok(model)
    }
}

/// A model from a run folder, or from a folder of the Hugging Face hub, ready on a device.
pub struct Saved {
    /// The resolved recipe, where a training made the model.
    pub recipe: Option<Recipe>,
    /// The model's configuration.
    pub model: Box<dyn Model>,
    /// The model with its weights.
    pub ready: Box<dyn Ready>,
    /// How input and output are read.
    pub codec: Codec,
    /// [`Config::problem_type`].
    pub problem_type: Option<String>,
    /// The backend it runs on.
    pub backend: &'static str,
}

impl Saved {
    /// Opens a folder on a backend (`NAME[:INDEX]`), by default the default one.
    ///
    /// # Errors
    /// A folder that is neither a finished run nor one from the hub, or a backend that does not
    /// work.
    pub fn open(run: &Path, backend: Option<&str>) -> Result<Self, Error> {
        let fetched = pretrained::fetched(run)?;
        let folder = fetched.as_ref().map_or(run, |fetched| &fetched.folder);
        let path = folder.join(CONFIG_FILE);
        let text = match (fs::read_to_string(&path), &fetched) {
            (Ok(text), _) => text,
            // Weights alone: what they are of is known.
            (Err(_), Some(fetched)) => json!({ "architecture": fetched.preset }).to_string(),
            (Err(error), None) => {
                return Err(Error::Request(format!(
                    "{}: {error}; RUN must be the folder of a finished run, such as \
                     runs/mlp-glyphs-flex-1, a folder from the Hugging Face hub, or the name of \
                     fetched weights",
                    path.display()
                )));
            }
        };
        let wrong = |problem: String| Error::Request(format!("{}: {problem}", path.display()));
        let json = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let (model, config, weights) = if hub::is_origins(&json) {
            let config = Config::of_origin(folder, &json).map_err(wrong)?;
            // Held against what the codec makes of an input.
            let model = config.configure().map_err(wrong)?;
            let weights = fetched.map_or_else(|| run.to_owned(), |fetched| fetched.file);
            (model, config, weights)
        } else {
            let config = Config::parse(&text).map_err(wrong)?;
            let model = config.configure().map_err(wrong)?;
            (model, config, run.join(MODEL_FILE))
        };
        if let (Some(record), false) = (resume::read_record(run), weights.exists()) {
            return Err(Error::Request(format!(
                "{}: this run has no {MODEL_FILE}: it is {}; train --resume {} brings it to its end",
                run.display(),
                resume::state(run, &record, Run::is_locked(run)),
                run.display()
            )));
        }
        let recipe = run.join(RECIPE_FILE);
        let recipe = match fs::read_to_string(&recipe) {
            Ok(text) => Some(Recipe::parse(&recipe.display().to_string(), &text, &[])?),
            Err(_) => None,
        };
        let selected =
            devices::open(backend.unwrap_or(devices::default_name())).map_err(Error::request)?;
        let ready = model.load(&weights, &selected.device)?;
        Ok(Self {
            recipe,
            model,
            ready,
            codec: config.codec,
            problem_type: config.problem_type,
            backend: selected.backend.name,
        })
    }

    /// Whether a softmax over the outputs is the probability of each class, as it is where there is one
    /// class of several.
    ///
    /// # Errors
    /// What the outputs are instead, by key.
    pub fn check_probabilities(&self) -> Result<(), String> {
        let meaning = "probabilities here are a softmax, for one class of several";
        if let Some(kind) = &self.problem_type {
            return Err(format!(
                "problem_type = {kind}: {meaning}; the weights can be trained from and exported"
            ));
        }
        if self.model.outputs() == 1 {
            return Err(format!(
                "one label (id2label, num_labels, num_classes): {meaning}, and of one it is 1 for any input"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(codec: &str) -> Result<Config, String> {
        Config::parse(&format!(
            r#"{{"model": {{"name": "mlp"}}, "codec": {codec}}}"#
        ))
    }

    #[test]
    fn a_codec_that_could_not_read_an_input_is_refused() {
        let images = r#"{"kind": "images", "shape": [3, 8, 8], "mean": [0, 0, 0], "std": [1, 1, 1], "classes": []}"#;
        let words =
            r#"{"kind": "words", "words": "<pad>\n<unk>\nthe\n", "max_length": 8, "classes": []}"#;
        let chars = r#"{"kind": "chars", "chars": "ab", "stop": null}"#;
        for (codec, from, to, part) in [
            (images, "[0, 0, 0]", "[]", "0 means"),
            (images, "[1, 1, 1]", "[1]", "1 deviations"),
            (images, "[3, 8, 8]", "[2, 8, 8]", "2 channels"),
            (images, "[3, 8, 8]", "[3, 8, 0]", "8 x 0 pixels"),
            (
                images,
                "[3, 8, 8]",
                "[3, 99999999, 8]",
                "99999999 x 8 pixels",
            ),
            (images, "[0, 0, 0]", "[0, 1e300, 0]", "codec.mean"),
            (words, "8", "0", "codec.max_length = 0"),
            (words, "the", "a b", "vocabulary: line 3"),
            (chars, "ab", "ba", "vocabulary: character 2"),
        ] {
            parse(codec).unwrap();
            assert!(codec.contains(from), "{from}");
            let error = parse(&codec.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_an_origin_claims_is_refused_before_anything_is_set_aside() {
        let open = |key: &str, value: Json| {
            let mut config = json!({ "architecture": "resnet18", "num_classes": 2,
                "input_size": [3, 32, 32], "mean": [0.5, 0.5, 0.5] });
            config[key] = value;
            Config::of_origin(Path::new("."), &config)
        };
        open("num_classes", json!(3)).unwrap();
        for (key, value) in [
            ("num_classes", json!(1_u64 << 40)),
            ("input_size", json!([1_u64 << 40, 32, 32])),
            ("input_size", json!([3, 1_u64 << 40, 32])),
            ("mean", json!([0.5, 1e300, 0.5])),
        ] {
            let error = open(key, value).map(|_| ()).unwrap_err();
            assert!(!error.is_empty(), "{key}");
        }
    }

    #[test]
    fn a_codec_of_other_inputs_than_the_models_is_refused() {
        let images = |shape: &str, classes: &str| {
            let codec = format!(
                r#"{{"kind": "images", "shape": {shape}, "mean": [0], "std": [1], "classes": {classes}}}"#
            );
            parse(&codec).unwrap().configure().map(|_| ())
        };
        let digits = r#"["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]"#;
        images("[1, 28, 28]", digits).unwrap();
        let error = images("[1, 28, 27]", digits).unwrap_err();
        assert!(error.contains("takes 784 values"), "{error}");
        let error = images("[1, 28, 28]", r#"["0"]"#).unwrap_err();
        assert!(error.contains("has 10 outputs"), "{error}");

        let words = |max_length: usize, vocabulary: usize| {
            let config = format!(
                r#"{{"model": {{"name": "encoder", "vocab_size": {vocabulary}, "num_classes": 1, "max_length": 8}},
                "codec": {{"kind": "words", "words": "<pad>\n<unk>\nthe\n", "max_length": {max_length}, "classes": ["a"]}}}}"#
            );
            Config::parse(&config).unwrap().configure().map(|_| ())
        };
        words(8, 3).unwrap();
        let error = words(9, 3).unwrap_err();
        assert!(error.contains("codec.max_length = 9"), "{error}");
        let error = words(8, 2).unwrap_err();
        assert!(error.contains("more than model.vocab_size"), "{error}");
    }
}
