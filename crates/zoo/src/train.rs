//! `zoo train`: from a recipe's name to a run folder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use zoo_train::{Change, Event, Helpers, MODEL_FILE, Metrics, Recipe, Run, newest_checkpoint};

use crate::cli::TrainArgs;
use crate::data::{self, Data};
use crate::devices::{self, Kind, Selected};
use crate::error::Error;
use crate::progress::{Progress, describe};
use crate::registry::{self, Job, Model};
use crate::saved::{CONFIG_FILE, Config, RECIPE_FILE};
use crate::{doctor, recipes};

/// Everything a run needs, checked before the run folder is made: a wrong request leaves nothing behind.
struct Prepared {
    recipe: Recipe,
    model: Box<dyn Model>,
    data: Data,
    selected: Selected,
    /// More devices, which share every batch with `selected`.
    helpers: Vec<Selected>,
}

impl Prepared {
    fn devices(&self) -> impl Iterator<Item = &Selected> {
        std::iter::once(&self.selected).chain(&self.helpers)
    }

    fn remote(&self) -> Vec<&Selected> {
        let devices = self.devices();
        devices
            .filter(|device| device.kind == Kind::Remote)
            .collect()
    }
}

/// Trains, tests, and writes the run folder.
pub fn run(args: &TrainArgs) -> Result<(), Error> {
    let began = Instant::now();
    let prepared = prepare(args)?;
    let name = format!(
        "{}-{}",
        prepared.recipe.name, prepared.selected.backend.name
    );
    let resumed = match &args.resume {
        Some(run) => Some(find_run(
            run.as_deref(),
            &args.out,
            &name,
            &prepared.recipe,
        )?),
        None => None,
    };
    let mut progress = Progress::new(args.json, args.quiet);
    if let Progress::Human(_) = progress {
        eprintln!(
            "{}: {} on {}",
            prepared.recipe.name,
            prepared.recipe.about,
            names(&prepared).join(" and ")
        );
    }
    let mut run = match &resumed {
        Some(folder) => Run::open(folder)?,
        None => Run::create(&args.out, &name)?,
    };
    let work = || fit(&prepared, &mut run, resumed.is_some(), &mut progress, began);
    let result = watch_servers(&prepared, work);
    let has_checkpoint = || matches!(newest_checkpoint(run.folder()), Ok((Some(_), _)));
    if matches!(result, Err(Error::Request(_))) && resumed.is_none() && !has_checkpoint() {
        // Nothing of value was made; what keeps the folder from going is not the error to report.
        let _ = std::fs::remove_dir_all(run.folder());
    }
    let finish = result?;
    progress.event(&finish);
    report(args, &prepared, &finish);
    Ok(())
}

fn prepare(args: &TrainArgs) -> Result<Prepared, Error> {
    let recipe = recipes::read(&args.recipe, &changes(args)?)?;
    let wrong = |problem: String| Error::Request(format!("{}: {problem}", args.recipe));
    let open = |spec: &str| devices::open(spec.trim()).map_err(Error::request);
    let (selected, helpers) = match args.devices.as_slice() {
        [] => (
            open(args.backend.as_deref().unwrap_or(devices::default_name()))?,
            Vec::new(),
        ),
        [first, others @ ..] => (
            open(first)?,
            others
                .iter()
                .map(|spec| open(spec))
                .collect::<Result<_, _>>()?,
        ),
    };
    // Model and data need each other: the data its window length, the model its vocabulary.
    let input = registry::configure(&recipe.model, None)
        .map_err(wrong)?
        .input();
    let directory = data::directory(args.data_dir.as_deref());
    let data = data::open(&recipe.data, &directory, input, recipe.train.seed)?;
    let model = registry::configure(&recipe.model, Some(&data.facts)).map_err(wrong)?;
    if data.valid.is_none()
        && (recipe.train.patience.is_some() || recipe.train.validate_every_steps.is_some())
    {
        let problem = "train.patience and train.validate_every_steps need validation data; set data.validation";
        return Err(wrong(problem.into()));
    }
    Ok(Prepared {
        recipe,
        model,
        data,
        selected,
        helpers,
    })
}

/// The helpers of a run. Between two servers, weights and gradients pass over this machine. Burn
/// would let one server fetch them from the other, but by an address that only this machine may
/// know, past the token, and over a connection that outlives the run: once the other server has
/// been started anew, every later run with the two fails. On loopback it is no faster either.
fn helpers(prepared: &Prepared) -> Helpers {
    let relay = (prepared.remote().len() > 1)
        .then(|| devices::open(devices::default_name()).ok())
        .flatten();
    Helpers {
        devices: prepared
            .helpers
            .iter()
            .map(|helper| helper.device.clone())
            .collect(),
        relay: relay.map(|relay| relay.device),
    }
}

/// Does the work, and says so where a server went away: Burn panics at the next value it reads.
fn watch_servers<T>(
    prepared: &Prepared,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let remote = prepared.remote();
    if remote.is_empty() {
        return work();
    }
    devices::catch_panic(work).unwrap_or_else(|message| {
        let servers: Vec<&str> = remote.iter().map(|device| device.name.as_str()).collect();
        Err(Error::Failed(format!(
            "computing with {} broke off: {message}; look there whether the server still runs, \
             and go on from the last checkpoint with --resume",
            servers.join(", ")
        )))
    })
}

fn names(prepared: &Prepared) -> Vec<String> {
    prepared.devices().map(ToString::to_string).collect()
}

fn changes(args: &TrainArgs) -> Result<Vec<Change>, Error> {
    let mut changes: Vec<Change> = args
        .set
        .iter()
        .map(|text| Change::parse(text))
        .collect::<Result<_, _>>()
        .map_err(Error::Request)?;
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

/// The run to go on with; its recipe must be the one that is asked for.
fn find_run(
    given: Option<&Path>,
    root: &Path,
    name: &str,
    recipe: &Recipe,
) -> Result<PathBuf, Error> {
    let folder = match given {
        Some(folder) => folder.to_owned(),
        None => Run::newest(root, name)?.ok_or_else(|| {
            Error::Request(format!("no run {name}-… in {} to resume", root.display()))
        })?,
    };
    let path = folder.join(RECIPE_FILE);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::Request(format!("{}: {error}", path.display())))?;
    let origin = path.display().to_string();
    let old = Recipe::parse(&origin, &text, &[])?;
    let same = (
        &old.data,
        &old.task,
        &old.train,
        &old.optimizer,
        &old.schedule,
    ) == (
        &recipe.data,
        &recipe.task,
        &recipe.train,
        &recipe.optimizer,
        &recipe.schedule,
    );
    if !same {
        return Err(Error::Request(format!(
            "{origin} differs from the recipe that is asked for; resume with the same recipe and --set changes, or start a new run"
        )));
    }
    Ok(folder)
}

fn fit(
    prepared: &Prepared,
    run: &mut Run,
    resume: bool,
    progress: &mut Progress,
    began: Instant,
) -> Result<Event, Error> {
    let Prepared {
        recipe,
        model,
        data,
        selected,
        ..
    } = prepared;
    let folder = run.folder().to_owned();
    let checkpoint = if resume {
        let (found, refused) = newest_checkpoint(&folder)?;
        for problem in refused {
            eprintln!("warning: {problem}; trying the checkpoint before it");
        }
        Some(found.ok_or_else(|| {
            Error::Request(format!(
                "{} has no checkpoint to resume from",
                folder.display()
            ))
        })?)
    } else {
        None
    };
    // The resolved recipe: what was left to defaults, presets and the data is written out.
    let resolved = Recipe {
        model: model.table(),
        ..recipe.clone()
    };
    let config = Config {
        model: model.table(),
        codec: data.codec.clone(),
    };
    if !resume {
        run.write(RECIPE_FILE, resolved.to_toml().as_bytes())?;
        run.write(CONFIG_FILE, &to_json(&config))?;
    }
    run.write("run.json", &to_json(&describe_run(prepared, "running")))?;
    let initial = recipe
        .model
        .get("weights")
        .and_then(toml::Value::as_str)
        .map(PathBuf::from);
    let job = Job {
        recipe,
        train: data.train.clone(),
        valid: data.valid.clone(),
        device: &selected.device,
        helpers: helpers(prepared),
        weights: initial.as_deref(),
        run: Some(run),
        resume: checkpoint
            .as_ref()
            .map(|(path, manifest)| (path.as_path(), manifest.clone())),
        watch: &mut |event| progress.event(event),
    };
    let (ready, outcome) = model.train(job)?;

    let mut metrics: Metrics = Metrics::new();
    let mut add = |split: &str, values: Metrics| {
        metrics.extend(
            values
                .into_iter()
                .map(|(name, value)| (format!("{split}.{name}"), value)),
        );
    };
    if let Some(test) = &data.test {
        let values = ready.evaluate(&recipe.task, &**test, recipe.train.eval_batch_size);
        add(
            "test",
            values.map_err(|error| {
                Error::Request(format!("reading the test split failed: {error}"))
            })?,
        );
    }
    if let Some(values) = outcome.validation {
        add("valid", values);
    }
    let part = folder.join(format!(".{MODEL_FILE}.part"));
    ready.save(&part)?;
    std::fs::rename(&part, folder.join(MODEL_FILE)).map_err(Error::failed)?;
    let finish = Event::Finish {
        run: folder.display().to_string(),
        metrics,
        steps: outcome.steps,
        stopped_early: outcome.stopped_early,
        wall_seconds: began.elapsed().as_secs_f64(),
        samples_per_second: outcome.samples_per_second,
    };
    run.log(&finish)?;
    run.write("run.json", &to_json(&describe_run(prepared, "finished")))?;
    Ok(finish)
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("what a run writes is JSON")
}

fn describe_run(prepared: &Prepared, state: &str) -> serde_json::Value {
    serde_json::json!({
        "state": state,
        "zoo": env!("CARGO_PKG_VERSION"),
        "burn": doctor::BURN_VERSION,
        "recipe": prepared.recipe.name,
        "seed": prepared.recipe.train.seed,
        "backend": prepared.selected.backend.name,
        "device": prepared.selected.to_string(),
        "devices": names(prepared),
    })
}

/// The result, for people; the run's own claim beside it.
fn report(args: &TrainArgs, prepared: &Prepared, finish: &Event) {
    let Event::Finish {
        run,
        metrics,
        steps,
        stopped_early,
        wall_seconds,
        samples_per_second,
    } = finish
    else {
        return;
    };
    if args.json {
        return;
    }
    let early = if *stopped_early {
        ", stopped early"
    } else {
        ""
    };
    println!("{}", describe(metrics));
    println!("{steps} steps{early} in {wall_seconds:.1} s, {samples_per_second:.0} samples/s");
    if let Some(expect) = &prepared.recipe.expect
        && let Some(value) = metrics.get(&expect.metric)
        && changes(args).is_ok_and(|changes| changes.is_empty())
    {
        let within = (expect.min..=expect.max).contains(value);
        let verdict = if within {
            "as expected"
        } else {
            "NOT as expected"
        };
        println!(
            "{verdict}: {} {value:.4}, the recipe claims {} to {}",
            expect.metric, expect.min, expect.max
        );
    }
    println!("run folder: {run}");
}
