//! A finished run, opened for use: what eval, predict and sample share.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use zoo_tasks::AnyCodec;
use zoo_train::{MODEL_FILE, MOST_RECIPE_BYTES, RECIPE_FILE, Recipe, Run};

use crate::config::{CONFIG_FILE, Config, read_config};
use crate::devices;
use crate::error::Error;
use crate::hub;
use crate::pretrained;
use crate::registry::{Model, Opened, Ready};
use crate::rows::Zoo;
use crate::run_state::{read_record, state};

/// The model and the codec that a folder's `config.json` describes, and whether that is an origin's;
/// `None` where there is none.
///
/// # Errors
/// A file that cannot be read, or describes nothing that is here.
pub(crate) fn described(zoo: &Zoo, folder: &Path) -> Result<Option<(Opened, bool)>, Error> {
    let path = folder.join(CONFIG_FILE);
    let wrong = |problem: String| Error::Request(format!("{}: {problem}", path.display()));
    let text = match read_config(folder) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let is_origins = hub::is_origins(&text).map_err(wrong)?;
    let opened = match is_origins {
        true => of_origin(zoo, folder, &text),
        false => Config::parse(&text).and_then(|config| config.open(zoo)),
    };
    Ok(Some((opened.map_err(wrong)?, is_origins)))
}

impl Config {
    /// The model and its codec, which must fit each other.
    ///
    /// # Errors
    /// An unknown key, a value that does not fit, or a codec that could not read an input.
    pub fn open(&self, zoo: &Zoo) -> Result<Opened, String> {
        let mut model = zoo.configure(&self.model, &toml::Table::new())?;
        let codec = model
            .codec(&self.codec)
            .map_err(|problem| format!("codec: {problem}"))?;
        codec.check()?;
        model.fit("of the codec", &*codec)?;
        Ok((model, codec))
    }
}

/// The text of an origin's `config.json`, with what lies beside it in `folder`, opened.
///
/// # Errors
/// An architecture that is not here, a value that cannot be represented, or a codec that could
/// not read an input.
pub fn of_origin(zoo: &Zoo, folder: &Path, config: &str) -> Result<Opened, String> {
    let config = hub::parse(config)?;
    let (mut model, codec) = hub::read(zoo, folder, &config)?;
    codec.check()?;
    model.fit("of the folder", &*codec)?;
    Ok((model, codec))
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
    pub codec: Arc<dyn AnyCodec>,
    /// The backend it runs on.
    pub backend: &'static str,
}

impl Saved {
    /// Opens a folder on a backend (`NAME[:INDEX]`), by default the default one.
    ///
    /// # Errors
    /// A folder that is neither a finished run nor one from the hub, or a backend that does not
    /// work.
    pub fn open(zoo: &Zoo, run: &Path, backend: Option<&str>) -> Result<Self, Error> {
        let fetched = pretrained::fetched(zoo, run)?;
        let folder = fetched.as_ref().map_or(run, |fetched| &fetched.folder);
        let path = folder.join(CONFIG_FILE);
        let wrong = |problem: String| Error::Request(format!("{}: {problem}", path.display()));
        let found = match (described(zoo, folder)?, &fetched) {
            (None, Some(fetched)) => {
                let wrong = |problem| Error::Request(format!("{}: {problem}", run.display()));
                Some((fetched.open(zoo).map_err(wrong)?, true))
            }
            (found, _) => found,
        };
        let ((mut model, codec), is_origins) = found.ok_or_else(|| {
            wrong(
                "no such file; RUN must be the folder of a finished run, such as \
                 runs/mlp-glyphs-flex-1, a folder from the Hugging Face hub, or the name of \
                 fetched weights"
                    .into(),
            )
        })?;
        let weights = match (&fetched, is_origins) {
            (Some(fetched), _) => fetched.file.clone(),
            (None, true) => run.to_owned(),
            (None, false) => run.join(MODEL_FILE),
        };
        if let (Some(record), false) = (read_record(run), weights.exists()) {
            return Err(Error::Request(format!(
                "{}: this run has no {MODEL_FILE}: it is {}; train --resume {} brings it to its end",
                run.display(),
                state(run, &record, Run::is_locked(run)),
                run.display()
            )));
        }
        let recipe = run.join(RECIPE_FILE);
        let recipe: Option<Recipe> = match zoo_files::read_text(&recipe, MOST_RECIPE_BYTES) {
            Ok(text) => Some(Recipe::parse(&recipe.display().to_string(), &text, &[])?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                return Err(Error::Request(format!("{}: {error}", recipe.display())));
            }
        };
        let selected =
            devices::open(backend.unwrap_or(devices::default_name())).map_err(Error::request)?;
        if let Some(recipe) = &recipe {
            model.set_task(&recipe.task).map_err(wrong)?;
        }
        let ready = model.load(&weights, &selected.device)?;
        Ok(Self {
            recipe,
            model,
            ready,
            codec,
            backend: selected.backend.name,
        })
    }
}
