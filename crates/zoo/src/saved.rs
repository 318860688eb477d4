//! A finished run, opened for use: what eval, predict and sample share.

use std::io::{self, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;
use toml::Value;
use zoo_codec::text::{CharVocabulary, MOST_TOKENIZER_BYTES, PAD, Tokenizer, WordVocabulary};
use zoo_train::{MODEL_FILE, MOST_RECIPE_BYTES, RECIPE_FILE, Recipe, Run, brief, brief_problem};

use crate::data::{Codec, Facts};
use crate::devices;
use crate::error::Error;
use crate::hub;
use crate::pretrained;
use crate::registry::{self, Input, Kind, Model, Ready, size};
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
        check_length(text)?;
        let config: Self = serde_json::from_str(text).map_err(brief_problem)?;
        config.check()?;
        Ok(config)
    }

    /// Reads the text of an origin's `config.json`, with the tokenizer beside it in `folder`.
    ///
    /// # Errors
    /// An architecture that is not here, a value that cannot be represented, or a codec that could
    /// not read an input.
    pub fn of_origin(folder: &Path, config: &str) -> Result<Self, String> {
        let config = hub::parse(config)?;
        let (model, codec) = hub::read(folder, &config)?;
        let config = Self {
            model: model.table(),
            codec,
            problem_type: hub::problem_type(&config),
        };
        config.check()?;
        Ok(config)
    }

    /// Whether the codec could read an input.
    ///
    /// # Errors
    /// What keeps it from that.
    fn check(&self) -> Result<(), String> {
        let is_control = |name: &&String| name.chars().any(char::is_control);
        if let Some(name) = self.codec.classes().iter().find(is_control) {
            return Err(format!(
                "codec.classes: {:?} holds a control character",
                brief(name)
            ));
        }
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
            Codec::Words { max_length: 0, .. } | Codec::Tokenizer { max_length: 0, .. } => {
                return Err("codec.max_length = 0: must be 1 or more".into());
            }
            Codec::Words { words, .. } => {
                WordVocabulary::from_lines(words).map_err(|error| error.to_string())?;
            }
            // Read with the model, against which its ids are held.
            Codec::Tokenizer { .. } => {}
            Codec::Chars { chars, stop } => {
                CharVocabulary::from_chars(chars).map_err(|error| error.to_string())?;
                if let Some(stop) = stop.filter(|stop| !chars.contains(*stop)) {
                    return Err(format!("codec.stop = {stop:?}: not among codec.chars"));
                }
            }
        }
        Ok(())
    }

    /// The model, which must fit what the codec makes of an input.
    ///
    /// # Errors
    /// An unknown key, a value that does not fit, or a codec of other inputs or outputs.
    pub fn configure(&self) -> Result<Box<dyn Model>, String> {
        let model = match self.facts() {
            Some(facts) => registry::configure(&self.model, Some(&facts))?,
            // The tokenizer came with the model, whose vocabulary may be padded to a round number.
            None => registry::configure(&self.model, None)?,
        };
        self.check_kind(&*model)?;
        self.check_text(&*model)?;
        Ok(model)
    }

    /// What the codec says of the model; it says nothing of one with a tokenizer.
    fn facts(&self) -> Option<Facts> {
        let set = "of the codec".to_owned();
        Some(match &self.codec {
            Codec::Tokenizer { .. } => return None,
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
        })
    }

    /// Whether the model is of the kind that the codec is for.
    fn check_kind(&self, model: &dyn Model) -> Result<(), String> {
        let (codec, kinds): (_, &[Kind]) = match &self.codec {
            Codec::Images { .. } => ("images", &[Kind::Images]),
            Codec::Words { .. } => ("words", &[Kind::Sentences]),
            Codec::Chars { .. } => ("characters", &[Kind::Decoder]),
            Codec::Tokenizer { .. } => ("a tokenizer", &[Kind::Sentences, Kind::Decoder]),
        };
        match kinds.contains(&model.kind()) {
            true => Ok(()),
            false => Err(format!(
                "the codec is of {codec}, which model.name = {} does not take",
                brief(self.model.get("name").unwrap_or(&Value::Boolean(false)))
            )),
        }
    }

    /// Whether a model of text takes as many tokens, each of them, and as many classes, as the codec
    /// gives.
    fn check_text(&self, model: &dyn Model) -> Result<(), String> {
        let Input::Tokens { longest } = model.input() else {
            return Ok(());
        };
        let table = model.table();
        let number = |key: &str| Some(table.get(key)?.as_integer()? as usize);
        if let Codec::Words { max_length, .. } | Codec::Tokenizer { max_length, .. } = &self.codec
            && *max_length > longest
        {
            return Err(format!(
                "codec.max_length = {max_length}: the model takes at most {longest}"
            ));
        }
        let known = number("vocab_size").unwrap_or(model.outputs());
        let mut pads_unknown = false;
        let vocabulary = match &self.codec {
            Codec::Words { words, .. } => words.lines().count(),
            Codec::Tokenizer { tokenizer, .. } => {
                let tokenizer = Tokenizer::parse(tokenizer)?;
                pads_unknown = tokenizer.is_unknown(PAD);
                tokenizer.vocabulary()
            }
            Codec::Chars { chars, .. } => chars.chars().count(),
            Codec::Images { .. } => 0,
        };
        if vocabulary > known {
            return Err(format!(
                "the codec has tokens of ids up to {}, more than model.vocab_size = {known} has",
                vocabulary - 1
            ));
        }
        if model.kind() == Kind::Sentences
            && number("pad_token").is_some_and(|pad| pad != PAD as usize)
        {
            return Err(format!(
                "model.pad_token = {}: shorter sentences are filled with token {PAD} here",
                number("pad_token").unwrap_or_default()
            ));
        }
        let Codec::Tokenizer { classes, stop, .. } = &self.codec else {
            return Ok(());
        };
        // Padding is not looked at, and so unknown words would not be.
        if number("pad_token").is_some() && pads_unknown {
            return Err(format!(
                "model.pad_token = {PAD} (pad_token_id): padding is not looked at, and in tokenizer.json this \
                 is the token of unknown words"
            ));
        }
        if let Some(stop) = stop.iter().find(|stop| **stop as usize >= known) {
            return Err(format!(
                "a text ends with token {stop} (codec.stop, eos_token_id): model.vocab_size = {known} has \
                 no such token"
            ));
        }
        let expected = match hub::classifies(model) {
            true => model.outputs(),
            false => 0,
        };
        match classes.len() == expected {
            true => Ok(()),
            false => Err(format!(
                "codec.classes has {} names; the model has {expected} classes",
                classes.len()
            )),
        }
    }
}

/// The text of a folder's `config.json`.
///
/// # Errors
/// A file that cannot be read, or is larger than any configuration.
pub(crate) fn read_config(folder: &Path) -> io::Result<String> {
    let most = hub::MOST_CONFIG_BYTES + 2 * MOST_TOKENIZER_BYTES;
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
    let (length, most) = (config.len(), hub::MOST_CONFIG_BYTES as usize);
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
        let text = match (read_config(folder), &fetched) {
            (Ok(text), _) => text,
            // Weights alone: what they are of is known.
            (Err(error), Some(fetched)) if error.kind() == ErrorKind::NotFound => {
                json!({ "architecture": fetched.preset }).to_string()
            }
            (Err(error), _) => {
                return Err(Error::Request(format!(
                    "{}: {error}; RUN must be the folder of a finished run, such as \
                     runs/mlp-glyphs-flex-1, a folder from the Hugging Face hub, or the name of \
                     fetched weights",
                    path.display()
                )));
            }
        };
        let wrong = |problem: String| Error::Request(format!("{}: {problem}", path.display()));
        let (model, config, weights) = if hub::is_origins(&text).map_err(wrong)? {
            let config = Config::of_origin(folder, &text).map_err(wrong)?;
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
        let recipe = match zoo_files::read_text(&recipe, MOST_RECIPE_BYTES) {
            Ok(text) => Some(Recipe::parse(&recipe.display().to_string(), &text, &[])?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                return Err(Error::Request(format!("{}: {error}", recipe.display())));
            }
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
mod tests;
