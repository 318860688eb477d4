//! Data sets as rows, and what one is when it is opened: a task's examples, and how they are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Table;
use zoo_codec::text::Text;
use zoo_tasks::{AnyCodec, Pictures, Reading};
use zoo_train::{Source, check_keys, fields_of, from_table};

use crate::error::Error;
use crate::language;
use crate::paths;

mod contents;
pub mod split;

pub use contents::stamp;

/// `data.split_seed` unless a recipe says otherwise.
pub const SPLIT_SEED: u64 = 1;

/// One data set.
#[derive(Clone, Copy)]
pub struct DataSet {
    /// The name in `data.name`.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Whether it needs no files.
    pub built_in: bool,
    /// Where it is fetched from, as TOML.
    pub source: Option<&'static str>,
    /// Keys of `[data]` that say how its inputs are read, as far as a trained model's codec knows it.
    pub reading: &'static [&'static str],
    /// Keys of `[data]` that say what a vocabulary is learned from, which weights with one of their own
    /// need not.
    pub learning: &'static [&'static str],
    /// Whether runs of it may be of before there was a `split_seed`, and drew by `train.seed`.
    pub had_no_split_seed: bool,
    /// Opens what a recipe's `[data]` table asks for, which lies in this data directory.
    pub open: fn(&str, &Table, &Path, Asked<'_>) -> Result<Data, Error>,
}

impl DataSet {
    /// A row that says nothing. Name, `about` and `open` are every row's own.
    pub const BARE: Self = Self {
        name: "",
        about: "",
        built_in: false,
        source: None,
        reading: &[],
        learning: &[],
        had_no_split_seed: false,
        open: |_, _, _, _| unreachable!("a row says how its data is opened"),
    };
}

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
    /// What its inputs mean to it, to train it on: its tokens, and how its pictures, sounds and numbers are
    /// prepared, where `[data]` does not say otherwise.
    Inputs(&'a dyn AnyCodec),
}

impl Asked<'_> {
    /// Whether a trained model is measured, rather than trained on.
    pub fn is_whole(&self) -> bool {
        matches!(self.kept, Some(Kept::Whole(_)))
    }

    /// The codec of a trained model, all of it, if it is of this type.
    pub fn whole<C: 'static>(&self) -> Option<&C> {
        self.kept_as().filter(|_| self.is_whole())
    }

    fn codec(&self) -> Option<&dyn AnyCodec> {
        match self.kept? {
            Kept::Whole(codec) | Kept::Inputs(codec) => Some(codec),
        }
    }

    /// The codec of a trained model, if it is of this type, whatever is done with the model.
    pub fn kept_as<C: 'static>(&self) -> Option<&C> {
        self.codec()?.any().downcast_ref()
    }

    /// How the codec of a trained model reads text, if it does.
    pub fn language(&self) -> Option<Reading<'_>> {
        self.codec()?.text()
    }

    /// The classes of a trained model, if it has such.
    pub fn classes(&self) -> Option<&[String]> {
        Some(self.codec()?.classes()).filter(|classes| !classes.is_empty())
    }

    /// How the codec of a trained model reads pictures, if it does.
    pub fn pictures(&self) -> Option<&Pictures> {
        self.codec()?.pictures()
    }

    /// How text is read, where the data does not decide: as the trained model does, or by the tokenizer
    /// that the recipe names, which may only add tokens to those of the model. A model that is measured
    /// needs no file.
    ///
    /// # Errors
    /// A tokenizer that cannot be read, or whose tokens are others.
    pub fn text(&self, tokenizer: Option<&Path>) -> Result<Option<Text>, Error> {
        let kept = self.language().map(|reading| reading.text);
        let (path, kept) = match (tokenizer, kept, self.kept) {
            (None, kept, _) | (_, kept, Some(Kept::Whole(_))) => return Ok(kept.cloned()),
            (Some(path), kept, _) => (path, kept),
        };
        let text = language::open(path).map_err(Error::Request)?;
        if let Some(kept) = kept.filter(|kept| **kept != text) {
            let wrong = |problem: String| {
                Error::Request(format!(
                    "data.tokenizer = {path:?}: {problem}; leave it out, and text is read as by the weights"
                ))
            };
            let (now, before) = (text.open(), kept.open());
            let (now, before) = (now.map_err(wrong)?, before.map_err(wrong)?);
            if let Some(id) = now.first_other(&before) {
                return Err(wrong(format!(
                    "token {id} is {:?}, and {:?} to the weights that the training starts from",
                    now.token(id).unwrap_or_default(),
                    before.token(id).unwrap_or_default()
                )));
            }
        }
        Ok(Some(text))
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

/// The `[data]` table of a recipe as a data set's options, where every key is one of theirs.
///
/// # Errors
/// An unknown key, or a value of another kind.
pub fn options<T: for<'de> Deserialize<'de>>(table: &Table, set: &str) -> Result<T, Error> {
    check_keys(table, "data", &format!("data set {set}"), fields_of::<T>())
        .map_err(Error::Request)?;
    from_table(table.clone(), "data").map_err(Error::Request)
}
