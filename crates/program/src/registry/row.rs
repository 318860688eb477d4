//! A row of the table of models: what joins a configuration, a module and its task, and hides their
//! types.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use toml::Table;
use zoo_tasks::Room;
use zoo_train::{DidYouMean, brief, check_keys, fields_of, from_table, nearest};
use zoo_weights::{Misfit, Origin};

use super::model::{Configured, Model};
use super::published::Size;
use crate::rows::Named;

/// A configuration in the form of its origin, or why it has none there.
pub type ToHub<C> = fn(&C) -> Result<Json, String>;

/// A `config.json` as the origin writes it.
pub struct Hub<C> {
    /// Its `model_type`.
    pub model_type: &'static str,
    /// What our configuration is of it; the error names the key that cannot be represented.
    pub read: fn(&Json) -> Result<C, String>,
    /// What it is of our configuration.
    pub write: ToHub<C>,
}

/// One architecture of the table. A table of one's own may have rows too: every field is plain.
pub struct Architecture<C: 'static, M> {
    /// The architecture's name.
    pub name: &'static str,
    /// The crate it is in.
    pub family: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Named configurations, the default first.
    pub presets: fn() -> Vec<(&'static str, C)>,
    /// A configuration small enough for tests, with every kind of layer in it.
    pub tiny: fn() -> C,
    /// Checks a configuration's values.
    pub validate: fn(&C) -> Result<(), String>,
    /// Builds the model, with fresh weights.
    pub init: fn(&C, &Device) -> M,
    /// What it learns.
    pub task: fn(&C) -> Box<dyn Room<M>>,
    /// What its weights are called where it comes from.
    pub origin: fn(&C) -> Origin,
    /// Paths of the tensors that a new number of outputs makes anew begin with one of these.
    pub head: fn(&C) -> Vec<String>,
    /// What is done with tensors that a file has in another shape, by how their paths begin: rows of
    /// tokens that both have are kept, positions are interpolated.
    pub adapts: &'static [(&'static str, Misfit)],
    /// The PyPI package that has the original, under the preset's name or by the hub's configuration.
    pub library: fn(&C) -> Option<&'static str>,
    /// Its configuration on the Hugging Face hub, where that has one of its own.
    pub hub: Option<Hub<C>>,
    /// What its presets must measure.
    pub sizes: &'static [Size],
    /// Recipes that train it, as TOML.
    pub recipes: &'static [Named],
    /// Where its public weights come from, as TOML.
    pub weights: &'static [Named],
}

impl<C: 'static, M> Architecture<C, M> {
    /// A row that says nothing. The first eight fields are every row's own.
    pub const BARE: Self = Self {
        name: "",
        family: "",
        about: "",
        presets: Vec::new,
        tiny: || unreachable!("a row says what is tiny"),
        validate: |_| Ok(()),
        init: |_, _| unreachable!("a row says how a model is built"),
        task: |_| unreachable!("a row says what is learned"),
        origin: |_| Origin::default(),
        head: |_| Vec::new(),
        adapts: &[],
        library: |_| None,
        hub: None,
        sizes: &[],
        recipes: &[],
        weights: &[],
    };
}

impl<C> Clone for Hub<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Hub<C> {}

impl<C: 'static, M> Clone for Architecture<C, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: 'static, M> Copy for Architecture<C, M> {}

/// A row without its types.
pub trait Entry: Sync {
    /// The architecture's name.
    fn name(&self) -> &'static str;
    /// The crate it is in: `mlp`, `cnn`, `transformer`.
    fn family(&self) -> &'static str;
    /// One line about it.
    fn about(&self) -> &'static str;
    /// The names of its presets; the first is the default.
    fn presets(&self) -> Vec<&'static str>;
    /// A model from a preset with `overlay` laid over it, and below that what the data decides: of
    /// the keys of `decided` those that the model has.
    ///
    /// # Errors
    /// An unknown key, or a value that does not fit.
    fn configure(
        &self,
        preset: &str,
        overlay: &Table,
        decided: &Table,
    ) -> Result<Box<dyn Model>, String>;
    /// The configuration for tests.
    fn tiny(&self) -> Box<dyn Model>;
    /// What its presets must measure.
    fn sizes(&self) -> &'static [Size];
    /// Name and text of the recipes that train it.
    fn recipes(&self) -> &'static [Named];
    /// Name and text of where its public weights come from.
    fn weights(&self) -> &'static [Named];
    /// Its `model_type` on the hub, where that configures it.
    fn model_type(&self) -> Option<&'static str>;
    /// The model of a `config.json` of the hub, if it is one of this architecture.
    ///
    /// # Errors
    /// A configuration that cannot be represented, by key.
    fn of_hub(&self, config: &Json) -> Option<Result<Box<dyn Model>, String>>;
}

impl<C, M> Entry for Architecture<C, M>
where
    C: Clone + Serialize + DeserializeOwned + 'static,
    M: Module + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn family(&self) -> &'static str {
        self.family
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn presets(&self) -> Vec<&'static str> {
        (self.presets)().into_iter().map(|(name, _)| name).collect()
    }

    fn configure(
        &self,
        preset: &str,
        overlay: &Table,
        decided: &Table,
    ) -> Result<Box<dyn Model>, String> {
        let presets = (self.presets)();
        let Some((_, config)) = presets.iter().find(|(name, _)| *name == preset) else {
            let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
            let guess = DidYouMean(nearest(preset, names.iter().copied()));
            return Err(format!(
                "model.preset = {:?}{guess}: {} has: {}",
                brief(preset),
                self.name,
                names.join(", ")
            ));
        };
        let known = fields_of::<C>();
        check_keys(overlay, "model", self.name, known)?;
        let mut table = to_table(config);
        let decided = decided
            .iter()
            .filter(|(key, _)| known.contains(&key.as_str()));
        table.extend(decided.map(|(key, value)| (key.clone(), value.clone())));
        table.extend(overlay.clone());
        let config: C = from_table(table, "model")?;
        (self.validate)(&config)?;
        Ok(Box::new(self.configured(config)))
    }

    fn tiny(&self) -> Box<dyn Model> {
        Box::new(self.configured((self.tiny)()))
    }

    fn sizes(&self) -> &'static [Size] {
        self.sizes
    }

    fn recipes(&self) -> &'static [Named] {
        self.recipes
    }

    fn weights(&self) -> &'static [Named] {
        self.weights
    }

    fn model_type(&self) -> Option<&'static str> {
        self.hub.as_ref().map(|hub| hub.model_type)
    }

    fn of_hub(&self, config: &Json) -> Option<Result<Box<dyn Model>, String>> {
        let hub = self.hub.as_ref()?;
        if config.get("model_type")?.as_str()? != hub.model_type {
            return None;
        }
        Some((hub.read)(config).and_then(|config| {
            (self.validate)(&config)?;
            Ok(Box::new(self.configured(config)) as Box<dyn Model>)
        }))
    }
}

impl<C, M> Architecture<C, M> {
    pub(super) fn configured(&self, config: C) -> Configured<C, M> {
        Configured {
            row: *self,
            room: Arc::from((self.task)(&config)),
            config,
        }
    }
}

pub(super) fn to_table(config: &impl Serialize) -> Table {
    Table::try_from(config).expect("a model's configuration is a TOML table")
}
