//! What a training needs, put together and checked before there is a run folder.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use zoo_train::{Bands, Change, Metric, RECIPE_FILE, Recipe};

use crate::cli::TrainArgs;
use crate::config::Config;
use crate::data::{self, Data};
use crate::devices::{self, Kind, Selected};
use crate::error::Error;
use crate::fitting;
use crate::output;
use crate::pretrained;
use crate::recipes;
use crate::registry::Model;
use crate::resume;
use crate::rows::Zoo;

/// Everything a run needs, checked before the run folder is made: a wrong request leaves nothing behind.
pub(super) struct Prepared {
    /// Resolved: what was left to defaults, presets and the data is written out.
    pub(super) recipe: Recipe,
    /// Weights to start from, instead of random ones.
    pub(super) weights: Option<PathBuf>,
    pub(super) model: Box<dyn Model>,
    pub(super) data: Data,
    /// What the system says of the data's files before they are read.
    pub(super) stamps: Vec<Option<String>>,
    pub(super) selected: Selected,
    /// More devices, which share every batch with `selected`.
    pub(super) helpers: Vec<Selected>,
    /// What the result must be.
    pub(super) bands: Option<Bands>,
}

impl Prepared {
    pub(super) fn devices(&self) -> impl Iterator<Item = &Selected> {
        std::iter::once(&self.selected).chain(&self.helpers)
    }

    pub(super) fn remote(&self) -> Vec<&Selected> {
        let devices = self.devices();
        devices
            .filter(|device| device.kind == Kind::Remote)
            .collect()
    }

    /// What its runs are called, without their number.
    pub(super) fn run_name(&self) -> String {
        format!("{}-{}", self.recipe.name, self.selected.backend.name)
    }
}

/// `folder` is that of the run to go on with, which says what the request leaves open.
pub(super) fn prepare(
    zoo: &Zoo,
    args: &TrainArgs,
    folder: Option<&Path>,
) -> Result<Prepared, Error> {
    let recipe_name = match (&args.recipe, folder) {
        (Some(recipe), _) => recipe.clone(),
        (None, Some(folder)) => folder.join(RECIPE_FILE).display().to_string(),
        (None, None) => zoo.default_recipe().to_owned(),
    };
    let mut changes = changes(args)?;
    let mut recipe = recipes::read(zoo, &recipe_name, &changes)?;
    let wrong = |problem: String| Error::Request(format!("{recipe_name}: {problem}"));
    let claim = recipe.expect.as_ref();
    let bands = if args.short {
        let short = claim.and_then(|expect| expect.short.clone()).ok_or_else(|| {
            wrong("has no [expect.short], which --short needs: the steps of a short run, and its claim".into())
        })?;
        changes.push(Change::new("train.steps", short.steps as i64));
        Some(short.metrics)
    } else {
        claim.map(|expect| expect.metrics.clone())
    };
    if args.check && bands.as_ref().is_none_or(Bands::is_empty) {
        return Err(wrong(
            "claims nothing; --check needs an [expect] table".into(),
        ));
    }
    if args.short {
        recipe = recipes::read(zoo, &recipe_name, &changes)?;
    }
    let (selected, helpers) = open_devices(args, folder)?;
    let directory = data::directory(args.data_dir.as_deref())?;
    zoo.keep_split(&mut recipe.data, recipe.train.seed, data::SPLIT_SEED);
    let (data, model) = fitting::fit_run(zoo, &recipe, &directory, folder)?;
    data.warn();
    // Lest what was trained could not be opened.
    let config = Config::new(&*model, &*data.codec);
    let written = serde_json::to_string(&config).map_err(Error::failed)?;
    let opened = Config::parse(&written).and_then(|config| config.open(zoo));
    opened.map_err(wrong)?;
    // One that cannot be read is found when all are.
    let example = data.train.batch(&[0], None).ok();
    if let Some(example) = &example {
        let batch = recipe.train.batch_size.max(recipe.train.eval_batch_size);
        let fits = model.check_memory(batch, example);
        fits.map_err(|error| wrong(error.to_string()))?;
    }
    if data.valid.is_none()
        && (recipe.train.patience.is_some() || recipe.train.validate_every_steps.is_some())
    {
        let keys = ["validation", "valid_fraction"];
        let key = keys.iter().find(|key| recipe.data.contains_key(**key));
        return Err(wrong(format!(
            "train.patience and train.validate_every_steps need validation data; set data.{}",
            key.unwrap_or(&"validation")
        )));
    }
    let steps_per_epoch = recipe.train.steps_per_epoch(&*data.train);
    recipe.check_length(steps_per_epoch).map_err(wrong)?;
    if let (true, Some(example)) = (args.check, &example) {
        let metrics = model.metrics(example);
        check_claims(bands.iter().flatten(), &data, &metrics).map_err(wrong)?;
    }
    let weights = match args.resume {
        None => start_weights(zoo, &recipe, &*model, &directory)?,
        Some(_) => None,
    };
    if let Some(finetune) = &recipe.finetune {
        model
            .check_finetune(finetune)
            .map_err(|error| wrong(error.to_string()))?;
    }
    let mut resolved = model.table();
    if let Some(weights) = recipe.model.get("weights") {
        resolved.insert("weights".into(), weights.clone());
    }
    let stamps = data.stamps();
    Ok(Prepared {
        weights,
        stamps,
        recipe: Recipe {
            model: resolved,
            task: model.task_options(),
            ..recipe
        },
        model,
        data,
        selected,
        helpers,
        bands,
    })
}

/// Whether what is claimed will be there to be held against it.
fn check_claims<'a>(
    claims: impl Iterator<Item = (&'a String, &'a [f64; 2])>,
    data: &Data,
    metrics: &[Metric],
) -> Result<(), String> {
    let is_known = |name| Metric::find(metrics, name).is_some();
    for (claim, _) in claims {
        let is_there = match claim.split_once('.') {
            Some(("test", name)) => data.test.is_some() && is_known(name),
            Some(("valid", name)) => data.valid.is_some() && is_known(name),
            _ => false,
        };
        if !is_there {
            return Err(format!(
                "[expect] claims {claim:?}, which this run will not have; there are {} of the splits that \
                 the data has, such as test.accuracy",
                Metric::names(metrics)
            ));
        }
    }
    Ok(())
}

/// The weights to go on from: a file or folder, or the name of a source that was fetched. They must
/// fit, up to the head.
pub(super) fn start_weights(
    zoo: &Zoo,
    recipe: &Recipe,
    model: &dyn Model,
    directory: &Path,
) -> Result<Option<PathBuf>, Error> {
    let Some(given) = recipe.model.get("weights") else {
        return Ok(None);
    };
    let given = given
        .as_str()
        .ok_or_else(|| Error::request("model.weights must be text"))?;
    let path = pretrained::find_file(zoo, given, directory)?;
    let anew = model.new_head(&path)?;
    if !anew.is_empty() {
        eprintln!("{given}: a new head of another size: {}", anew.join(", "));
    }
    Ok(Some(path))
}

/// The devices that are asked for, or else those of this machine that the run to resume had.
fn open_devices(
    args: &TrainArgs,
    resumed: Option<&Path>,
) -> Result<(Selected, Vec<Selected>), Error> {
    let mut specs = args.devices.clone();
    if let (true, Some(backend)) = (specs.is_empty(), &args.backend) {
        specs.push(backend.trim().to_owned());
    }
    if let (true, Some(folder)) = (specs.is_empty(), resumed) {
        specs = resume::local_devices(folder)?;
        let mut typed = io::stdin().lock();
        let asked = io::stdin().is_terminal() && output::is_read_at_a_terminal();
        if asked || !args.quiet {
            resume::ask_about(folder, &specs, asked.then_some(&mut typed))?;
        }
    }
    if specs.is_empty() {
        specs.push(devices::default_name().into());
    }
    let opened = specs.iter().map(|spec| devices::open(spec));
    let mut opened: Vec<Selected> = opened.collect::<Result<_, _>>().map_err(Error::request)?;
    let first = opened.remove(0);
    Ok((first, opened))
}

pub(super) fn changes(args: &TrainArgs) -> Result<Vec<Change>, Error> {
    let mut changes = recipes::changes(&args.set)?;
    let mut count = |key: &str, value: Option<u64>| -> Result<(), Error> {
        let Some(value) = value else { return Ok(()) };
        let value = i64::try_from(value)
            .map_err(|_| Error::Request(format!("{key} = {value}: must be below 2^63")))?;
        changes.push(Change::new(key, value));
        Ok(())
    };
    count("train.epochs", args.epochs.map(|epochs| epochs as u64))?;
    count("train.steps", args.steps.map(|steps| steps as u64))?;
    count("train.seed", args.seed)?;
    Ok(changes)
}
