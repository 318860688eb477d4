//! A finished run, opened for use: what eval, predict and sample share.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zoo_train::{MODEL_FILE, RECIPE_FILE, Recipe};

use crate::data::Codec;
use crate::devices;
use crate::error::Error;
use crate::registry::{self, Model, Ready};

/// The file that says how a run's weights are used.
pub const CONFIG_FILE: &str = "config.json";

/// What `config.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Config {
    /// The complete model configuration, with the architecture as `name`.
    pub model: toml::Table,
    /// How its input and output are read.
    pub codec: Codec,
}

/// A model from a run folder, ready on a device.
pub struct Saved {
    /// The resolved recipe.
    pub recipe: Recipe,
    /// The model's configuration.
    pub model: Box<dyn Model>,
    /// The model with its weights.
    pub ready: Box<dyn Ready>,
    /// How input and output are read.
    pub codec: Codec,
    /// The backend it runs on.
    pub backend: &'static str,
}

impl Saved {
    /// Opens a run folder on a backend (`NAME[:INDEX]`), by default the default one.
    ///
    /// # Errors
    /// A folder that is not a finished run, or a backend that does not work.
    pub fn open(run: &Path, backend: Option<&str>) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = run.join(name);
            fs::read_to_string(&path).map_err(|error| {
                Error::Request(format!("{}: {error}; RUN must be the folder of a finished run, such as runs/mlp-glyphs-flex-1", path.display()))
            })
        };
        let origin = run.join(RECIPE_FILE).display().to_string();
        let recipe = Recipe::parse(&origin, &read(RECIPE_FILE)?, &[])?;
        let origin = run.join(CONFIG_FILE).display().to_string();
        let config: Config = serde_json::from_str(&read(CONFIG_FILE)?)
            .map_err(|error| Error::Request(format!("{origin}: {error}")))?;
        let model = registry::configure(&config.model, None)
            .map_err(|problem| Error::Request(format!("{origin}: {problem}")))?;
        let selected =
            devices::open(backend.unwrap_or(devices::default_name())).map_err(Error::request)?;
        let ready = model.load(&run.join(MODEL_FILE), &selected.device)?;
        Ok(Self {
            recipe,
            model,
            ready,
            codec: config.codec,
            backend: selected.backend.name,
        })
    }
}
