//! Which data sets exist, and how their items become batches: the table that joins `datasets/*` to
//! the loop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_tasks::{AnyCodec, Reading};
use zoo_text::SetKind;
use zoo_train::{DidYouMean, Source, brief, check_keys, fields_of, from_table, nearest};

use crate::error::{Error, chain};
use crate::paths;

mod contents;
mod labelled;
mod numbers;
mod pairs;
mod pictures;
mod running;
mod scenes;
mod sounds;
mod split;
mod sums;

pub use split::SEED as SPLIT_SEED;

// b batch, c channels, h height, w width, t time

/// An opened data set: a task's examples, and how they are read.
pub struct Data {
    /// Its name, for messages.
    pub set: String,
    /// How inputs are read and outputs shown; it says what a model must fit.
    pub codec: Arc<dyn AnyCodec>,
    /// Training examples.
    pub train: Arc<dyn Source>,
    /// Examples that choose the best model.
    pub valid: Option<Arc<dyn Source>>,
    /// Examples that the result is reported on.
    pub test: Option<Arc<dyn Source>>,
    /// What is odd about the files, a sentence each, to be told once.
    pub warnings: Vec<String>,
}

/// What is known before the data is opened.
#[derive(Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The most tokens that the model sees at once, as the recipe says.
    pub longest: Option<usize>,
    /// How a trained model reads: today's data is read so, too.
    pub kept: Option<Kept<'a>>,
}

/// What of a trained model's codec today's data is read by.
#[derive(Clone, Copy)]
pub enum Kept<'a> {
    /// All of it, to measure that model.
    Whole(&'a dyn AnyCodec),
    /// What gives its tokens their meaning, to train it on.
    Language(&'a dyn AnyCodec),
}

impl Asked<'_> {
    /// The codec of a trained model, all of it, if it is of this type.
    fn whole<C: 'static>(&self) -> Option<&C> {
        match self.kept {
            Some(Kept::Whole(codec)) => codec.any().downcast_ref(),
            _ => None,
        }
    }

    /// How the codec of a trained model reads text, if it does.
    fn language(&self) -> Option<Reading<'_>> {
        match self.kept? {
            Kept::Whole(codec) | Kept::Language(codec) => codec.text(),
        }
    }
}

impl Data {
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
            .field("set", &self.set)
            .field("task", &self.codec.task())
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
    let scenes = zoo_images::SCENE_SETS.iter().map(|set| SetRow {
        name: set.name,
        about: set.about,
        built_in: set.built_in,
    });
    let numbers = zoo_tables::SETS.iter().map(|set| SetRow {
        name: set.name,
        about: set.about,
        built_in: true,
    });
    let sounds = zoo_audio::SETS.iter().map(|set| SetRow {
        name: set.name,
        about: set.about,
        built_in: set.built_in,
    });
    let texts = text.chain(sounds).chain(numbers);
    images.chain(scenes).chain(texts).collect()
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

/// Opens the data set of a recipe's `[data]` table.
///
/// # Errors
/// An unknown set or key, or data that cannot be read.
pub fn open(table: &Table, directory: &Path, asked: Asked<'_>) -> Result<Data, Error> {
    let name = table
        .get("name")
        .and_then(toml::Value::as_str)
        .ok_or_else(|| Error::request("data.name is missing: which data set?"))?;
    if let Ok(set) = zoo_images::find(name) {
        return pictures::open(set, table, directory, asked);
    }
    if let Ok(set) = zoo_images::find_scenes(name) {
        return scenes::open(set, table, directory);
    }
    if zoo_tables::SETS.iter().any(|set| set.name == name) {
        return numbers::open(options(table, name)?);
    }
    if let Ok(set) = zoo_audio::find(name) {
        return sounds::open(set, table, directory, asked);
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
        SetKind::Characters => running::open(set, table, directory, asked),
        SetKind::Sums => sums::open(options(table, set.name)?),
        SetKind::Pairs => pairs::open(set, table, directory, asked),
        SetKind::Labelled(format) => labelled::open(set, format, table, directory, asked),
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
