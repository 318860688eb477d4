//! Which data sets exist, and how their items become batches: the table that joins `datasets/*` to
//! the loop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_codec::text::PAD;
use zoo_text::SetKind;
use zoo_train::{DidYouMean, Source, brief, check_keys, fields_of, from_table, nearest};

use crate::error::{Error, chain};
use crate::paths;
use crate::registry::Input;

mod contents;
mod labelled;
mod pictures;
mod running;
mod split;
mod sums;

pub use split::SEED as SPLIT_SEED;

// b batch, c channels, h height, w width, t time

/// What a model must know of the data it is to fit.
#[derive(Clone, Debug, PartialEq)]
pub enum Facts {
    /// Images of one shape, in classes.
    Images {
        /// The data set's name.
        set: String,
        /// Channels, height, width.
        shape: [usize; 3],
        /// Number of classes.
        classes: usize,
    },
    /// Sentences in classes.
    Sentences {
        /// The data set's name.
        set: String,
        /// Different tokens, padding and unknown included.
        vocabulary: usize,
        /// Number of classes.
        classes: usize,
    },
    /// Token sequences to continue.
    Sequences {
        /// The data set's name.
        set: String,
        /// Different tokens.
        vocabulary: usize,
        /// Tokens in a sequence.
        length: usize,
    },
}

impl Facts {
    /// Number of classes, where there are classes.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Self::Images { classes, .. } | Self::Sentences { classes, .. } => Some(*classes),
            Self::Sequences { .. } => None,
        }
    }

    /// Different tokens, where there are tokens.
    pub fn vocabulary(&self) -> Option<usize> {
        match self {
            Self::Images { .. } => None,
            Self::Sentences { vocabulary, .. } | Self::Sequences { vocabulary, .. } => {
                Some(*vocabulary)
            }
        }
    }

    /// The shape of the smallest input that it gives.
    pub fn least_input(&self) -> Vec<usize> {
        match self {
            Self::Images { shape, .. } => shape.to_vec(),
            Self::Sentences { .. } => vec![1],
            Self::Sequences { length, .. } => vec![*length],
        }
    }

    /// Whether a model with this input and this many outputs can learn from the data.
    ///
    /// # Errors
    /// What the model takes, what the data gives, and which key to change.
    pub fn fit(&self, model: &str, input: Input, outputs: usize) -> Result<(), String> {
        match self {
            Self::Images {
                set,
                shape,
                classes,
            } => {
                let [c, h, w] = shape;
                let gives = format!("data set {set} gives {c}x{h}x{w} images");
                match input {
                    Input::Features(features) if features != c * h * w => Err(format!(
                        "model {model} takes {features} values, but {gives}, {} values; \
                         set the first of model.widths to {}",
                        c * h * w,
                        c * h * w
                    )),
                    Input::Image(expected) if expected != *shape => Err(format!(
                        "model {model} takes {}x{}x{} images, but {gives}; set model.in_channels = {c} and \
                         model.image_size = {h}, or choose a model that takes any size, such as resnet20",
                        expected[0], expected[1], expected[2]
                    )),
                    Input::AnyImage { channels, .. } if channels != *c => Err(format!(
                        "model {model} takes images of {channels} channels, but {gives}; set model.in_channels = {c}"
                    )),
                    Input::AnyImage { least, .. } if least > *h.min(w) => Err(format!(
                        "model {model} takes images of {least}x{least} or more, but {gives}; choose a \
                         model for small images, such as resnet20, or a larger data.size of a folder"
                    )),
                    Input::Tokens { .. } => Err(format!(
                        "model {model} takes text, but {gives}; choose mlp, lenet, convnet or resnet"
                    )),
                    _ if outputs != *classes => Err(format!(
                        "model {model} has {outputs} outputs, but data set {set} has {classes} classes; \
                         set the last of model.widths, or model.num_classes, to {classes}"
                    )),
                    _ => Ok(()),
                }
            }
            Self::Sentences { set, .. } | Self::Sequences { set, .. } => {
                let Input::Tokens { longest } = input else {
                    return Err(format!(
                        "model {model} takes images, but data set {set} gives text; choose gpt or encoder"
                    ));
                };
                if let Some(vocabulary) = self.vocabulary()
                    && let Self::Sequences { length, .. } = self
                {
                    if *length > longest {
                        return Err(format!(
                            "model {model} sees {longest} positions, but data set {set} gives sequences of {length}; \
                             set model.context = {length} or more"
                        ));
                    }
                    if outputs < vocabulary {
                        return Err(format!(
                            "model {model} knows {outputs} tokens, but data set {set} has {vocabulary}; \
                             leave out model.vocab_size to take the data's"
                        ));
                    }
                }
                if let Some(classes) = self.classes().filter(|classes| *classes != outputs) {
                    return Err(format!(
                        "model {model} has {outputs} outputs, but data set {set} has {classes} classes; \
                         set model.num_classes = {classes}, and for a sentence encoder model.head = \
                         \"classifier\""
                    ));
                }
                Ok(())
            }
        }
    }
}

/// How a trained model's input and output are read: kept in the run folder, so that a prediction
/// needs no data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Codec {
    /// Images of one shape, normalised by channel.
    Images {
        /// Channels, height, width.
        shape: [usize; 3],
        /// Subtracted from pixels in 0..=1.
        mean: Vec<f32>,
        /// Divides what is left.
        std: Vec<f32>,
        /// Class names by label.
        classes: Vec<String>,
    },
    /// Words, one a line in the order of their ids.
    Words {
        /// The vocabulary.
        words: String,
        /// Most words of a sentence that are read.
        max_length: usize,
        /// Class names by label.
        classes: Vec<String>,
    },
    /// What a `tokenizer.json` makes of a text.
    Tokenizer {
        /// The file's text.
        tokenizer: String,
        /// Most tokens that are read.
        max_length: usize,
        /// Class names by label, of a classifier.
        classes: Vec<String>,
        /// Tokens that end a text.
        stop: Vec<u32>,
    },
    /// Characters in the order of their ids.
    Chars {
        /// The vocabulary.
        chars: String,
        /// The character that ends a text, if one does.
        stop: Option<char>,
    },
}

impl Codec {
    /// Class names by label; none where there are no classes.
    pub(crate) fn classes(&self) -> &[String] {
        match self {
            Self::Images { classes, .. }
            | Self::Words { classes, .. }
            | Self::Tokenizer { classes, .. } => classes,
            Self::Chars { .. } => &[],
        }
    }
}

/// An opened data set.
pub struct Data {
    /// What a model must fit.
    pub facts: Facts,
    /// How input and output are read.
    pub codec: Codec,
    /// Training examples.
    pub train: Arc<dyn Source>,
    /// Examples that choose the best model.
    pub valid: Option<Arc<dyn Source>>,
    /// Examples that the result is reported on.
    pub test: Option<Arc<dyn Source>>,
    /// What is odd about the files, a sentence each, to be told once.
    pub warnings: Vec<String>,
}

impl Data {
    /// Refuses data that is read otherwise than what a model was trained on: its labels or ids would
    /// mean something else.
    ///
    /// # Errors
    /// What differs.
    pub(crate) fn check_codec(&self, trained: &Codec) -> Result<(), Error> {
        if self.codec == *trained {
            return Ok(());
        }
        let (now, before) = (self.codec.classes(), trained.classes());
        let what = match now == before {
            true => "vocabulary, size or normalisation differs".to_owned(),
            false => format!("classes were {before:?} and are {now:?}"),
        };
        Err(Error::Request(format!(
            "the data is not what the model was trained on: its {what}; bring back the data of then"
        )))
    }

    /// Tells the warnings.
    pub(crate) fn warn(&self) {
        for warning in &self.warnings {
            eprintln!("warning: {warning}");
        }
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// A line of `list datasets`.
#[derive(Clone, Debug, Serialize)]
pub struct SetRow {
    /// The name in `data.name`.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Whether it needs no files.
    pub built_in: bool,
}

/// Every data set.
pub fn sets() -> Vec<SetRow> {
    let images = zoo_images::SETS.iter().map(|set| SetRow {
        name: set.name,
        about: set.about,
        built_in: set.source == zoo_images::Source::Glyphs,
    });
    let text = zoo_text::SETS.iter().map(|set| SetRow {
        name: set.name,
        about: set.summary,
        built_in: set.location == zoo_text::Location::BuiltIn,
    });
    images.chain(text).collect()
}

/// The data directory: the given one, else `ZOO_DATA_DIR`, else the platform's cache folder.
///
/// # Errors
/// A path that is empty, or in another user's home folder.
pub fn directory(given: Option<&Path>) -> Result<PathBuf, Error> {
    let cache = || {
        dirs::cache_dir()
            .unwrap_or_else(std::env::temp_dir)
            .join("burn-zoo")
    };
    let variable = || {
        std::env::var_os("ZOO_DATA_DIR")
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    match (given, variable()) {
        (Some(folder), _) => paths::absolute("--data-dir", folder),
        (None, Some(folder)) => paths::absolute("ZOO_DATA_DIR", &folder),
        (None, None) => Ok(cache()),
    }
}

/// Opens the data set of a recipe's `[data]` table. `input` is what the model takes: a decoder's
/// context is the length of the windows.
///
/// # Errors
/// An unknown set or key, or data that cannot be read.
pub fn open(table: &Table, directory: &Path, input: Input) -> Result<Data, Error> {
    let name = table
        .get("name")
        .and_then(toml::Value::as_str)
        .ok_or_else(|| Error::request("data.name is missing: which data set?"))?;
    if let Ok(set) = zoo_images::find(name) {
        return pictures::open(set, table, directory);
    }
    let Some(set) = zoo_text::find(name) else {
        let known: Vec<&str> = sets().iter().map(|set| set.name).collect();
        let guess = DidYouMean(nearest(name, known.iter().copied()));
        return Err(Error::Request(format!(
            "unknown data set {:?}{guess}; known: {}",
            brief(name),
            known.join(", ")
        )));
    };
    match set.kind {
        SetKind::Characters => running::open(set, table, directory, input),
        SetKind::Sums => sums::open(options(table, set.name)?),
        SetKind::Labelled(format) => labelled::open(set, format, table, directory, input),
    }
}

/// Writes down what draws the validation images of a run whose `train.seed` is not the usual one,
/// where its recipe does not say: `split_seed`. Runs of before that key drew them by `train.seed`,
/// and are known by not having it.
pub fn keep_split(table: &mut Table, train_seed: u64, split_seed: u64) {
    let name = table.get("name").and_then(toml::Value::as_str);
    if train_seed != SPLIT_SEED && name.is_some_and(|name| zoo_images::find(name).is_ok()) {
        let seed = toml::Value::Integer(split_seed as i64);
        table.entry("split_seed").or_insert(seed);
    }
}

fn options<T: for<'de> Deserialize<'de>>(table: &Table, name: &str) -> Result<T, Error> {
    check_keys(table, "data", &format!("data set {name}"), fields_of::<T>())
        .map_err(Error::Request)?;
    from_table(table.clone(), "data").map_err(Error::Request)
}

/// Refuses keys that a set would ignore.
fn refuse(table: &Table, set: &str, keys: &[&str], why: &str) -> Result<(), Error> {
    match keys.iter().find(|key| table.contains_key(**key)) {
        None => Ok(()),
        Some(key) => Err(Error::Request(format!(
            "data.{key} has no effect on data set {set}: {why}; leave it out"
        ))),
    }
}

fn unreadable(error: impl std::error::Error) -> Error {
    Error::Request(chain(&error))
}

fn needs_path(path: Option<PathBuf>, name: &str, example: &str) -> Result<PathBuf, Error> {
    path.ok_or_else(|| {
        Error::Request(format!(
            "data set {name} needs data.path, such as --set data.path={example}"
        ))
    })
}

/// Appends pixels `[c * h * w]` as `(value / 255 - mean) / std` by channel.
pub fn normalise(pixels: &[u8], mean: &[f32], std: &[f32], out: &mut Vec<f32>) {
    for (channel, values) in pixels.chunks(pixels.len() / mean.len()).enumerate() {
        let (scale, shift) = (1.0 / (255.0 * std[channel]), mean[channel] / std[channel]);
        out.extend(values.iter().map(|value| f32::from(*value) * scale - shift));
    }
}

/// Token ids `[b, t]`, shorter rows filled with padding.
pub fn pad<'a>(rows: impl Iterator<Item = &'a [u32]>, t: usize) -> TensorData {
    let mut ids = Vec::new();
    let mut b = 0;
    for row in rows {
        ids.extend(row.iter().map(|id| *id as i32));
        b += 1;
        ids.resize(b * t, PAD as i32);
    }
    TensorData::new(ids, [b, t])
}
