//! Which data sets exist, and how their items become batches: the table that joins `datasets/*` to
//! the loop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataset::Dataset;
use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_images::{Augment, Color, FolderOptions, ImageSet};
use zoo_text::{
    CharVocabulary, Corpus, LabelledLines, LabelledSet, PAD, Split, Sums, Tokens, Windows,
    WordVocabulary,
};
use zoo_train::rng::{Purpose, derive, permutation};
use zoo_train::{
    Batch, DidYouMean, Pass, Source, SourceError, check_keys, fields_of, from_table, nearest,
};

use crate::error::{Error, chain};
use crate::language;
use crate::registry::Input;

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
}

impl Data {
    /// The sha256 of every split's contents.
    ///
    /// # Errors
    /// An example that cannot be read.
    pub fn sha256(&self) -> Result<BTreeMap<String, String>, Error> {
        let splits = [
            ("train", Some(&self.train)),
            ("valid", self.valid.as_ref()),
            ("test", self.test.as_ref()),
        ];
        splits
            .into_iter()
            .filter_map(|(split, source)| Some((split, source?)))
            .map(|(split, source)| {
                let sum = source.sha256().map_err(|error| {
                    Error::Request(format!("reading the {split} split failed: {error}"))
                })?;
                Ok((split.to_owned(), sum))
            })
            .collect()
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
        built_in: set.source == zoo_images::Source::BuiltIn,
    });
    let text = zoo_text::SETS.iter().map(|set| SetRow {
        name: set.name,
        about: set.summary,
        built_in: set.location == zoo_text::Location::BuiltIn,
    });
    images.chain(text).collect()
}

/// The data directory: the given one, else `ZOO_DATA_DIR`, else the platform's cache folder.
pub fn directory(given: Option<&Path>) -> PathBuf {
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
    given
        .map(Path::to_owned)
        .or_else(variable)
        .unwrap_or_else(cache)
}

/// `[data]` of an image recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ImageOptions {
    name: String,
    /// `image-folder` only: the folder that holds `train` and `test`.
    path: Option<PathBuf>,
    /// `image-folder` only: every image is brought to this height and width.
    size: Option<[usize; 2]>,
    /// `image-folder` only: three channels or one.
    color: Color,
    /// Subtracted from pixels in 0..=1, by channel; one number serves all channels.
    mean: Vec<f32>,
    /// Divides what is left, by channel.
    std: Vec<f32>,
    /// Only the examples of these classes, which are numbered in this order; all if empty.
    classes: Vec<String>,
    /// Training examples set aside to choose the best model.
    validation: usize,
    /// Training: shift by up to this many pixels, into zeros.
    crop_padding: usize,
    /// Training: mirror half of the images.
    horizontal_flip: bool,
    /// Training: blank a square of this side.
    cutout: usize,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            size: None,
            color: Color::Rgb,
            mean: vec![0.0],
            std: vec![1.0],
            classes: Vec::new(),
            validation: 0,
            crop_padding: 0,
            horizontal_flip: false,
            cutout: 0,
        }
    }
}

/// `[data]` of a character recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CharOptions {
    name: String,
    /// `chars` only: the text file.
    path: Option<PathBuf>,
    /// Share of the text, at its end, that validates.
    valid_fraction: f64,
    /// A `tokenizer.json`, or the folder that has one, whose tokens take the place of characters:
    /// that of the weights to go on from.
    tokenizer: Option<PathBuf>,
}

impl Default for CharOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            valid_fraction: Corpus::VALID_FRACTION,
            tokenizer: None,
        }
    }
}

/// `[data]` of a sums recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SumOptions {
    name: String,
    /// Digits of an operand, 1..=3.
    digits: usize,
    /// Training problems set aside to choose the best model.
    validation: usize,
    /// Decides which problems are held out for the test.
    split_seed: u64,
}

impl Default for SumOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            digits: Sums::NUM_DIGITS,
            validation: 0,
            split_seed: 1,
        }
    }
}

/// `[data]` of a labelled-text recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LabelledOptions {
    name: String,
    /// `tsv` only: the folder with train.tsv, dev.tsv and test.tsv.
    path: Option<PathBuf>,
    /// Words known at most, by frequency.
    max_words: usize,
    /// Words seen less often are unknown.
    min_count: usize,
    /// Words, or tokens, of a sentence that are read at most.
    max_length: usize,
    /// A `tokenizer.json`, or the folder that has one, whose tokens take the place of words: that of
    /// the weights to go on from.
    tokenizer: Option<PathBuf>,
}

impl Default for LabelledOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            max_words: 20_000,
            min_count: 2,
            max_length: 64,
            tokenizer: None,
        }
    }
}

/// Opens the data set of a recipe's `[data]` table. `input` is what the model takes: a decoder's
/// context is the length of the windows.
///
/// # Errors
/// An unknown set or key, or data that cannot be read.
pub fn open(table: &Table, directory: &Path, input: Input, seed: u64) -> Result<Data, Error> {
    let name = table
        .get("name")
        .and_then(toml::Value::as_str)
        .ok_or_else(|| Error::request("data.name is missing: which data set?"))?;
    if zoo_images::SETS.iter().any(|set| set.name == name) {
        return images(options(table, name)?, directory, seed);
    }
    let text = zoo_text::SETS.iter().find(|set| set.name == name);
    match text.map(|set| set.kind) {
        Some(zoo_text::SetKind::Characters) => characters(options(table, name)?, directory, input),
        Some(zoo_text::SetKind::Sums) => sums(options(table, name)?, seed),
        Some(zoo_text::SetKind::Labelled) => labelled(options(table, name)?, directory, input),
        None => {
            let known: Vec<&str> = sets().iter().map(|set| set.name).collect();
            let guess = DidYouMean(nearest(name, known.iter().copied()));
            Err(Error::Request(format!(
                "unknown data set {name:?}{guess}; known: {}",
                known.join(", ")
            )))
        }
    }
}

fn options<T: for<'de> Deserialize<'de>>(table: &Table, name: &str) -> Result<T, Error> {
    check_keys(table, "data", &format!("data set {name}"), fields_of::<T>())
        .map_err(Error::Request)?;
    from_table(table.clone(), "data").map_err(Error::Request)
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

/// The examples that belong to a split; all of them if `None`.
type Chosen = Option<Vec<u32>>;

/// Cuts `count` examples, chosen by the seed, from the end of a shuffled training split.
fn cut(len: usize, count: usize, seed: u64) -> Result<(Chosen, Chosen), Error> {
    if count == 0 {
        return Ok((None, None));
    }
    if count >= len {
        return Err(Error::Request(format!(
            "data.validation = {count}: must be below the {len} training examples"
        )));
    }
    let mut order = permutation(len, derive(seed, Purpose::Order, &[u64::MAX]));
    let held = order.split_off(len - count);
    Ok((Some(order), Some(held)))
}

fn images(options: ImageOptions, directory: &Path, seed: u64) -> Result<Data, Error> {
    let folder = FolderOptions {
        size: options.size,
        color: options.color,
    };
    let open = |split| {
        let set = match &options.path {
            Some(path) => zoo_images::open_folder(path, split, &folder),
            None => zoo_images::open(&options.name, directory, split, &folder),
        };
        set.map_err(unreadable)
    };
    let is_folder =
        zoo_images::find(&options.name).is_ok_and(|set| set.source == zoo_images::Source::Folder);
    if options.path.is_some() && !is_folder {
        return Err(Error::Request(format!(
            "data.path is for image-folder; data set {} lies in the data directory",
            options.name
        )));
    }
    let (train, test) = (
        Arc::new(open(zoo_images::Split::Train)?),
        Arc::new(open(zoo_images::Split::Test)?),
    );
    let shape = train.shape();
    let by_channel = |key: &str, values: &[f32]| match values.len() {
        1 => Ok(vec![values[0]; shape[0]]),
        count if count == shape[0] => Ok(values.to_vec()),
        count => Err(Error::Request(format!(
            "data.{key} has {count} numbers, images of {} have {} channels",
            options.name, shape[0]
        ))),
    };
    let (mean, std) = (
        by_channel("mean", &options.mean)?,
        by_channel("std", &options.std)?,
    );
    if let Some(value) = std
        .iter()
        .find(|value| !(**value > 0.0 && value.is_finite()))
    {
        return Err(Error::Request(format!(
            "data.std holds {value}: must be above 0"
        )));
    }
    let chosen = choose_classes(&options, train.classes())?;
    let of_classes = |set: &ImageSet| -> Vec<u32> {
        let all = 0..set.len() as u32;
        all.filter(|index| chosen.contains(&set.label(*index as usize)))
            .collect()
    };
    let train_examples = of_classes(&train);
    let (kept, held) = cut(train_examples.len(), options.validation, seed)?;
    let of_train = |part: Chosen| match part {
        None => train_examples.clone(),
        Some(part) => part
            .into_iter()
            .map(|at| train_examples[at as usize])
            .collect(),
    };
    let classes: Vec<String> = (chosen.iter())
        .map(|label| train.classes()[*label].clone())
        .collect();
    let augment = Augment {
        crop_padding: options.crop_padding,
        horizontal_flip: options.horizontal_flip,
        cutout: options.cutout,
    };
    let source = |set: &Arc<ImageSet>, examples: Vec<u32>| -> Arc<dyn Source> {
        Arc::new(Images {
            set: set.clone(),
            examples,
            classes: chosen.clone(),
            mean: mean.clone(),
            std: std.clone(),
            augment: augment.clone(),
        })
    };
    Ok(Data {
        facts: Facts::Images {
            set: options.name.clone(),
            shape,
            classes: classes.len(),
        },
        codec: Codec::Images {
            shape,
            mean: mean.clone(),
            std: std.clone(),
            classes,
        },
        valid: held.map(|held| source(&train, of_train(Some(held)))),
        train: source(&train, of_train(kept)),
        test: Some(source(&test, of_classes(&test))),
    })
}

/// The labels of the classes that are asked for, in their new order.
fn choose_classes(options: &ImageOptions, known: &[String]) -> Result<Vec<usize>, Error> {
    if options.classes.is_empty() {
        return Ok((0..known.len()).collect());
    }
    let label = |name: &String| {
        let found = known.iter().position(|class| class == name);
        found.ok_or_else(|| {
            let guess = DidYouMean(nearest(name, known.iter().map(String::as_str)));
            Error::Request(format!(
                "data.classes: {} has no class {name:?}{guess}; it has: {}",
                options.name,
                known.join(", ")
            ))
        })
    };
    let chosen: Vec<usize> = options
        .classes
        .iter()
        .map(label)
        .collect::<Result<_, _>>()?;
    let twice = (1..chosen.len()).find(|at| chosen[..*at].contains(&chosen[*at]));
    if let Some(at) = twice {
        let name = &options.classes[at];
        return Err(Error::Request(format!("data.classes names {name:?} twice")));
    }
    Ok(chosen)
}

struct Images {
    set: Arc<ImageSet>,
    /// The examples that belong to this split.
    examples: Vec<u32>,
    /// The set's labels of our classes.
    classes: Vec<usize>,
    mean: Vec<f32>,
    std: Vec<f32>,
    augment: Augment,
}

impl Source for Images {
    fn len(&self) -> usize {
        self.examples.len()
    }

    fn digest(&self, add: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        for example in &self.examples {
            let example = *example as usize;
            add(&self.set.bytes(example)?);
            add(&(self.set.label(example) as u64).to_le_bytes());
        }
        Ok(())
    }

    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
        let [c, h, w] = self.set.shape();
        let mut pixels = Vec::with_capacity(indices.len() * c * h * w);
        let mut labels = Vec::with_capacity(indices.len());
        for &index in indices {
            let example = self.examples[index as usize];
            let image = self.set.get(example as usize)?;
            let start = pixels.len();
            normalise(&image.pixels, &self.mean, &self.std, &mut pixels);
            if let Some(pass) = pass {
                let seed = derive(
                    pass.seed,
                    Purpose::Example,
                    &[pass.epoch, u64::from(example)],
                );
                // After normalisation, so that the zeros of crop and cutout are the mean.
                self.augment.apply(&mut pixels[start..], [c, h, w], seed);
            }
            let class = self.classes.iter().position(|label| *label == image.label);
            labels.push(class.map_or(-1, |class| class as i32));
        }
        let b = indices.len();
        Ok(Batch {
            input: TensorData::new(pixels, [b, c, h, w]),
            target: TensorData::new(labels, [b]),
            scored: None,
        })
    }
}

/// Appends pixels `[c * h * w]` as `(value / 255 - mean) / std` by channel.
pub fn normalise(pixels: &[u8], mean: &[f32], std: &[f32], out: &mut Vec<f32>) {
    for (channel, values) in pixels.chunks(pixels.len() / mean.len()).enumerate() {
        let (scale, shift) = (1.0 / (255.0 * std[channel]), mean[channel] / std[channel]);
        out.extend(values.iter().map(|value| f32::from(*value) * scale - shift));
    }
}

fn characters(options: CharOptions, directory: &Path, input: Input) -> Result<Data, Error> {
    let corpus = match options.name.as_str() {
        "chars" => Corpus::open(
            needs_path(options.path.clone(), "chars", "book.txt")?,
            options.valid_fraction,
        ),
        _ => Corpus::tinyshakespeare(directory),
    }
    .map_err(unreadable)?;
    let Input::Tokens { longest: context } = input else {
        return Err(Error::Request(format!(
            "data set {} gives text, but the model takes images; choose gpt",
            options.name
        )));
    };
    let validates = options.valid_fraction > 0.0;
    let (vocabulary, codec, train, valid) = match &options.tokenizer {
        None => {
            let windows = |split| corpus.windows(split, context).map_err(unreadable);
            let codec = Codec::Chars {
                chars: corpus.vocabulary.chars(),
                stop: None,
            };
            let train = windows(Split::Train)?;
            let valid = validates.then(|| windows(Split::Valid));
            (corpus.vocabulary.len(), codec, train, valid.transpose()?)
        }
        Some(path) => {
            let (text, tokenizer) = language::open(path).map_err(Error::Request)?;
            let windows = |split: &str, part: &Tokens| {
                let part = corpus.vocabulary.decode(&part.slice(0, part.len()));
                let encoding = tokenizer.encode(part, false).map_err(Error::request)?;
                let ids = encoding.get_ids();
                Windows::new(Tokens::Wide(ids.into()), context).ok_or_else(|| {
                    Error::Request(format!(
                        "the {split} split of data set {} has {} tokens; model.context = {context} \
                         takes twice as many",
                        options.name,
                        ids.len()
                    ))
                })
            };
            let codec = Codec::Tokenizer {
                tokenizer: text,
                max_length: context,
                classes: Vec::new(),
                stop: Vec::new(),
            };
            let train = windows("train", &corpus.train)?;
            let valid = validates.then(|| windows("valid", &corpus.valid));
            let vocabulary = tokenizer.get_vocab_size(true);
            (vocabulary, codec, train, valid.transpose()?)
        }
    };
    Ok(Data {
        facts: Facts::Sequences {
            set: options.name,
            vocabulary,
            length: context,
        },
        codec,
        train: Arc::new(Text(train)),
        valid: valid.map(|valid| -> Arc<dyn Source> { Arc::new(Text(valid)) }),
        test: None,
    })
}

struct Text(Windows);

impl Source for Text {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
        let context = self.0.context();
        // A fresh offset each epoch: over epochs every alignment is seen.
        let offset = pass.map_or(0, |pass| {
            derive(pass.seed, Purpose::Epoch, &[pass.epoch]) as usize % context
        });
        let windows = self.0.with_offset(offset);
        let (mut input, mut target) = (Vec::new(), Vec::new());
        for &index in indices {
            let window = windows.get(index as usize)?;
            input.extend(window.input.iter().map(|id| *id as i32));
            target.extend(window.target.iter().map(|id| *id as i32));
        }
        let (b, n) = (indices.len(), target.len());
        Ok(Batch {
            input: TensorData::new(input, [b, context]),
            target: TensorData::new(target, [n]),
            scored: None,
        })
    }
}

fn sums(options: SumOptions, seed: u64) -> Result<Data, Error> {
    let open = |split| Sums::new(options.digits, split, options.split_seed).map_err(unreadable);
    let (train, test) = (open(Split::Train)?, open(Split::Test)?);
    let vocabulary = Sums::vocabulary();
    let (kept, held) = cut(train.len(), options.validation, seed)?;
    let source = |problems: &Sums, only: Option<Vec<u32>>| -> Arc<dyn Source> {
        Arc::new(Problems {
            problems: problems.clone(),
            vocabulary: vocabulary.clone(),
            only,
        })
    };
    Ok(Data {
        facts: Facts::Sequences {
            set: options.name.clone(),
            vocabulary: vocabulary.len(),
            length: train.sequence_length() - 1,
        },
        codec: Codec::Chars {
            chars: vocabulary.chars(),
            stop: None,
        },
        valid: held.map(|held| source(&train, Some(held))),
        train: source(&train, kept),
        test: Some(source(&test, None)),
    })
}

struct Problems {
    problems: Sums,
    vocabulary: CharVocabulary,
    only: Option<Vec<u32>>,
}

impl Source for Problems {
    fn len(&self) -> usize {
        self.only.as_ref().map_or(self.problems.len(), Vec::len)
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let t = self.problems.sequence_length() - 1;
        let (mut input, mut target, mut scored) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &index) in indices.iter().enumerate() {
            let example = self
                .only
                .as_ref()
                .map_or(index, |only| only[index as usize]);
            let problem = self.problems.get(example as usize)?;
            let ids = self.vocabulary.encode(&problem.sequence())?;
            input.extend(ids[..t].iter().map(|id| *id as i32));
            for position in problem.num_unscored()..t {
                target.push(ids[position + 1] as i32);
                scored.push((row * t + position) as i32);
            }
        }
        let (b, n) = (indices.len(), target.len());
        Ok(Batch {
            input: TensorData::new(input, [b, t]),
            target: TensorData::new(target, [n]),
            scored: Some(TensorData::new(scored, [n])),
        })
    }
}

fn labelled(options: LabelledOptions, directory: &Path, input: Input) -> Result<Data, Error> {
    let set = match options.name.as_str() {
        "tsv" => LabelledSet::open(needs_path(options.path, "tsv", "reviews/")?),
        _ => LabelledSet::sst2(directory),
    }
    .map_err(unreadable)?;
    let Input::Tokens { longest } = input else {
        return Err(Error::Request(format!(
            "data set {} gives text, but the model takes images; choose encoder",
            options.name
        )));
    };
    let max_length = options.max_length.min(longest);
    if max_length == 0 {
        return Err(Error::request("data.max_length = 0: must be 1 or more"));
    }
    let classes = set.class_names.clone();
    let (vocabulary, codec, encode): (usize, Codec, Encode) = match &options.tokenizer {
        Some(path) => {
            let (text, tokenizer) = language::open(path).map_err(Error::Request)?;
            let codec = Codec::Tokenizer {
                tokenizer: text,
                max_length,
                classes,
                stop: Vec::new(),
            };
            let size = tokenizer.get_vocab_size(true);
            let encode = move |text: &str| language::sentence(&tokenizer, text, max_length);
            (size, codec, Box::new(encode))
        }
        None => {
            let (most, least) = (options.max_words, options.min_count);
            let words = WordVocabulary::build(set.train.sentences(), most, least);
            let words = words.map_err(unreadable)?;
            let codec = Codec::Words {
                words: words.to_lines(),
                max_length,
                classes,
            };
            let size = words.len();
            let encode = move |text: &str| Ok(words.encode(text, max_length));
            (size, codec, Box::new(encode))
        }
    };
    let source = |lines: &LabelledLines| -> Result<Arc<dyn Source>, Error> {
        let mut sentences = Vec::with_capacity(lines.len());
        for index in 0..lines.len() {
            let line = lines.get(index).map_err(unreadable)?;
            let ids = encode(&line.text).map_err(Error::Request)?;
            sentences.push((ids, line.label as i32));
        }
        Ok(Arc::new(Sentences {
            sentences,
            longest: max_length,
        }))
    };
    Ok(Data {
        facts: Facts::Sentences {
            set: options.name.clone(),
            vocabulary,
            classes: set.class_names.len(),
        },
        codec,
        train: source(&set.train)?,
        valid: Some(source(&set.valid)?),
        test: Some(source(&set.test)?),
    })
}

/// What makes token ids of a sentence.
type Encode = Box<dyn Fn(&str) -> Result<Vec<u32>, String>>;

struct Sentences {
    sentences: Vec<(Vec<u32>, i32)>,
    /// Tokens that the model takes at most.
    longest: usize,
}

/// Batches are padded to a multiple of this, so that a GPU compiles few shapes.
const PAD_TO_MULTIPLE: usize = 8;

impl Source for Sentences {
    fn len(&self) -> usize {
        self.sentences.len()
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let chosen: Vec<&(Vec<u32>, i32)> = indices
            .iter()
            .map(|index| &self.sentences[*index as usize])
            .collect();
        let longest = chosen.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let t = longest.next_multiple_of(PAD_TO_MULTIPLE).min(self.longest);
        let input = pad(chosen.iter().map(|(ids, _)| ids.as_slice()), t);
        let labels: Vec<i32> = chosen.iter().map(|(_, label)| *label).collect();
        let b = labels.len();
        Ok(Batch {
            input,
            target: TensorData::new(labels, [b]),
            scored: None,
        })
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
