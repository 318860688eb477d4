//! What exists, as rows: the models and data sets that a program is made of, and how one of them is found
//! by its name.

use std::path::Path;

use toml::{Table, Value};
use zoo_train::{DidYouMean, brief, nearest};

use crate::data::{Asked, Data, DataSet};
use crate::error::Error;
use crate::registry::{Entry, Model};

/// A name, and the TOML text that belongs to it.
pub type Named = (&'static str, &'static str);

/// Everything that a program knows: its commands, help and lists derive from these rows.
#[derive(Clone, Copy)]
pub struct Zoo {
    /// Models, by family, with their recipes and public weights. The first recipe is the default.
    pub models: &'static [&'static dyn Entry],
    /// Data sets, in the order to list them.
    pub data: &'static [DataSet],
}

impl Zoo {
    /// Finds a model by its architecture's name (its first preset) or by a preset's name.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn model(&self, name: &str) -> Result<(&'static dyn Entry, &'static str), String> {
        for entry in self.models {
            let presets = entry.presets();
            if entry.name() == name {
                return Ok((*entry, presets[0]));
            }
            if let Some(preset) = presets.into_iter().find(|preset| *preset == name) {
                return Ok((*entry, preset));
            }
        }
        let known = self.models.iter();
        let known = known.flat_map(|entry| [vec![entry.name()], entry.presets()].concat());
        Err(unknown("model", name, &known.collect::<Vec<_>>()))
    }

    /// Configures the model of a recipe's `[model]` table, where the data decides some keys.
    ///
    /// # Errors
    /// What is wrong with the table, by key.
    pub fn configure(&self, model: &Table, decided: &Table) -> Result<Box<dyn Model>, String> {
        let name = model
            .get("name")
            .ok_or("model.name is missing: which model?")?
            .as_str()
            .ok_or("model.name must be text")?;
        let (entry, default_preset) = self.model(name)?;
        let preset = match model.get("preset") {
            None => default_preset,
            Some(preset) => preset.as_str().ok_or("model.preset must be text")?,
        };
        let mut overlay = model.clone();
        overlay.retain(|key, _| !["name", "preset", "weights"].contains(&key));
        entry.configure(preset, &overlay, decided)
    }

    /// Finds a data set.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn data_set(&self, name: &str) -> Result<&'static DataSet, String> {
        let found = self.data.iter().find(|set| set.name == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = self.data.iter().map(|set| set.name).collect();
            unknown("data set", name, &known)
        })
    }

    /// The data set of a recipe's `[data]` table, if it is here.
    pub(crate) fn set_of(&self, table: &Table) -> Option<&'static DataSet> {
        let name = table.get("name").and_then(Value::as_str);
        name.and_then(|name| self.data_set(name).ok())
    }

    /// Opens the data set of a recipe's `[data]` table.
    ///
    /// # Errors
    /// An unknown set or key, or data that cannot be read.
    pub fn open(&self, table: &Table, directory: &Path, asked: Asked<'_>) -> Result<Data, Error> {
        let name = table
            .get("name")
            .and_then(Value::as_str)
            .ok_or_else(|| Error::request("data.name is missing: which data set?"))?;
        let set = self.data_set(name).map_err(Error::Request)?;
        (set.open)(name, table, directory, asked)
    }

    /// Writes down what draws the validation examples of a run whose `train.seed` is not the usual one,
    /// where its recipe does not say: `split_seed`. Runs of before that key drew them by `train.seed`,
    /// and are known by not having it.
    pub fn keep_split(&self, table: &mut Table, train_seed: u64, split_seed: u64) {
        let set = self.set_of(table);
        if train_seed != crate::data::SPLIT_SEED && set.is_some_and(|set| set.had_no_split_seed) {
            let seed = Value::Integer(split_seed as i64);
            table.entry("split_seed").or_insert(seed);
        }
    }

    /// Name and text of every recipe.
    pub fn recipes(&self) -> impl Iterator<Item = Named> + Clone {
        self.models
            .iter()
            .flat_map(|entry| entry.recipes())
            .copied()
    }

    /// The recipe of a program that is given none.
    pub fn default_recipe(&self) -> &'static str {
        self.recipes().next().map_or("", |(name, _)| name)
    }

    /// Name and text of where each file or folder of public weights comes from.
    pub fn weights(&self) -> impl Iterator<Item = Named> + Clone {
        self.models
            .iter()
            .flat_map(|entry| entry.weights())
            .copied()
    }

    /// Whether public weights have this name.
    pub fn has_weights(&self, name: &str) -> bool {
        self.weights().any(|(known, _)| known == name)
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    format!(
        "unknown {what} {:?}{}; known: {}",
        brief(name),
        DidYouMean(nearest(name, known.iter().copied())),
        known.join(", ")
    )
}
