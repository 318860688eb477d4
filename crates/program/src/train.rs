//! `zoo train`: from a recipe's name to a run folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use zoo_compare::machine;
use zoo_report::insight::INSIGHT_FILE;
use zoo_train::{
    BURN_VERSION, Event, FitError, Found, Helpers, MODEL_FILE, Metric, Metrics, Origin, Outcome,
    RECIPE_FILE, RECORD_FILE, Record, Resumed, Run, RunError, State, events_in, find_checkpoint,
    out_of_memory,
};

use crate::cli::TrainArgs;
use crate::clock;
use crate::config::{CONFIG_FILE, Config};
use crate::data;
use crate::devices::{self, Selected};
use crate::error::Error;
use crate::insight;
use crate::paths;
use crate::progress::Progress;
use crate::registry::{self, Ready, Training};
use crate::resume;
use crate::rows::Zoo;
use crate::run_state::{finish_event, is_finished, read_record};
use crate::sink::Sinks;

mod prepare;
mod signals;
mod verdict;

use prepare::{Prepared, changes, prepare, start_weights};
use signals::stop_on_signals;
use verdict::{check, report};

/// Trains, tests, and writes the run folder.
pub fn run(zoo: &Zoo, args: &TrainArgs) -> Result<(), Error> {
    let folders = match &args.resume {
        None => return train_in(zoo, args, None, true).map(|_| ()),
        Some(Some(folder)) => vec![folder.clone()],
        Some(None) => resume::unfinished(zoo, args)?,
    };
    for (index, folder) in folders.iter().enumerate() {
        if train_in(zoo, args, Some(folder), index + 1 == folders.len())? {
            break;
        }
    }
    Ok(())
}

/// Trains in a new folder, or goes on in the one that is given. `false` where nothing in that is
/// sound, and it is not the last to be tried.
fn train_in(
    zoo: &Zoo,
    args: &TrainArgs,
    folder: Option<&Path>,
    is_last: bool,
) -> Result<bool, Error> {
    let began = Instant::now();
    let finished = folder.and_then(|folder| Some((folder, read_record(folder)?)));
    let finished = finished.filter(|(folder, record)| is_finished(folder, record));
    let is_as_it_was = args.recipe.is_none() && changes(args)?.is_empty();
    if let (Some((folder, record)), true, false) =
        (&finished, is_as_it_was, args.check || args.short)
    {
        resume::say_finished(args, folder, record);
        return Ok(true);
    }
    let mut prepared = prepare(zoo, args, folder)?;
    let mut progress = Progress::new(args.json, args.quiet);
    let mut reading = |done, total| progress.reading(done, total);
    let origin = Origin {
        recipe: prepared.recipe.clone(),
        data_sha256: prepared.data.sha256(&mut reading)?,
    };
    if let Some((folder, record)) = &finished
        && is_unchanged(args, folder, record, &origin)?
    {
        return match resume::say_finished(args, folder, record) {
            Some(finish) => check(args, &prepared, &finish).map(|()| true),
            None => Ok(true),
        };
    }
    if let Progress::Human(_) = progress {
        eprintln!(
            "{}: {} on {}{}",
            prepared.recipe.name,
            prepared.recipe.about,
            names(&prepared).join(" and "),
            folder.map_or(String::new(), |folder| format!(", in {}", folder.display()))
        );
        paths::say(&prepared.recipe.data);
    }
    let (mut run, found) = match folder {
        None => (
            Run::create(&args.out, &prepared.run_name(), origin.clone())?,
            None,
        ),
        Some(folder) => {
            let plan = &prepared.recipe.train;
            let total_steps = plan.total_steps(plan.steps_per_epoch(&*prepared.data.train));
            let Some((run, found)) = reopen(args, folder, is_last, total_steps, &origin)? else {
                return Ok(false);
            };
            // A checkpoint has all weights; without one, the run begins where it began.
            if found.checkpoint.is_none() {
                let directory = data::directory(args.data_dir.as_deref())?;
                prepared.weights =
                    start_weights(zoo, &prepared.recipe, &*prepared.model, &directory)?;
            }
            (run, Some(found))
        }
    };
    if let (Progress::Human(_), Some(weights)) = (&progress, &prepared.weights) {
        eprintln!("reading model.weights = {}", weights.display());
    }
    let mut record = begin(&prepared, &origin, run.folder(), found.as_ref());
    let checkpoint = found.as_ref().and_then(|found| found.checkpoint.as_ref());
    let before = checkpoint.map(|checkpoint| checkpoint.manifest.progress.spent);
    let clock = Clock {
        began,
        before: before.map_or(0.0, |spent| spent.wall_seconds),
    };
    let mut sinks = Sinks::default();
    let work = || {
        write_record(&run, &record)?;
        sinks = open_sinks(args, &run)?;
        let mut watch = |event: &Event| {
            progress.event(event);
            sinks.event(event);
        };
        train(&prepared, &mut run, found.as_ref(), &mut watch)
    };
    let trained = guarded(&prepared, work).and_then(|trained| {
        let look = !args.no_report;
        guarded(&prepared, || {
            conclude(&prepared, &run, &mut record, trained, &clock, look)
        })
    });
    let finish = match trained {
        Ok(metrics) => metrics,
        Err(error) => return Err(give_up(args, run, record, found.is_some(), error)),
    };
    run.log(&finish)?;
    write_report(args, &run);
    sinks.event(&finish);
    sinks.say_lost();
    progress.event(&finish);
    report(args, &prepared, &record.metrics, &finish);
    check(args, &prepared, &finish)?;
    Ok(true)
}

/// Whether a finished run would be gone on with as it is, so that nothing is left to do.
fn is_unchanged(
    args: &TrainArgs,
    folder: &Path,
    record: &Record,
    origin: &Origin,
) -> Result<bool, Error> {
    let found = find_checkpoint(folder, origin, &args.allow_changed)?;
    let has_checkpoint = found.checkpoint.is_some();
    Ok(found.changed.is_empty()
        && (has_checkpoint || record.recipe_sha256 == origin.recipe_sha256()))
}

/// A run to go on with, at its newest sound checkpoint. `None` where none is sound, and other runs
/// are left to try.
fn reopen(
    args: &TrainArgs,
    folder: &Path,
    is_last: bool,
    total_steps: usize,
    origin: &Origin,
) -> Result<Option<(Run, Found)>, Error> {
    let mut run = Run::open(folder, origin.clone())?;
    let found = match run.rewind(&args.allow_changed, total_steps) {
        Ok(found) => found,
        Err(error @ RunError::NoneSound { .. }) if !is_last => {
            eprintln!("warning: {error}; trying the run before it");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    for problem in &found.refused {
        eprintln!("warning: {problem}; going on from the checkpoint before it");
    }
    if found.checkpoint.is_none() {
        eprintln!(
            "warning: {} has no checkpoint yet; it starts from its beginning",
            folder.display()
        );
    }
    Ok(Some((run, found)))
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

/// Does the work. A panic, which is how Burn says that a device failed, is a failure of it.
fn guarded<T>(prepared: &Prepared, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let done = devices::catch_panic(work);
    done.unwrap_or_else(|message| Err(broke_off(prepared, &message)))
}

/// Why computing broke off outside of training steps and validations, of which [`FitError`] tells more.
fn broke_off(prepared: &Prepared, message: &str) -> Error {
    let servers: Vec<String> = (prepared.remote().iter())
        .map(|device| device.name.clone())
        .collect();
    Error::Failed(if out_of_memory(message) {
        format!(
            "the device has too little memory for {} examples at once: {message}; lower \
             train.eval_batch_size, and go on from the last checkpoint with --resume",
            prepared.recipe.train.eval_batch_size
        )
    } else if servers.is_empty() {
        format!("computing broke off: {message}; go on from the last checkpoint with --resume")
    } else {
        // Burn panics at the next value it reads where a server went away.
        format!(
            "computing with {} broke off: {message}; look there whether the server still runs, \
             and go on from the last checkpoint with --resume",
            servers.join(", ")
        )
    })
}

fn names(prepared: &Prepared) -> Vec<String> {
    prepared.devices().map(ToString::to_string).collect()
}

/// What a run takes, without the gaps between its processes.
struct Clock {
    began: Instant,
    /// Of the processes before this one, up to the checkpoint that is gone on from.
    before: f64,
}

impl Clock {
    fn seconds(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }
}

/// What is trained to its end, and where.
struct Trained {
    ready: Box<dyn Ready>,
    outcome: registry::Outcome,
}

/// The logs that are asked for, with what a resumed run had told before.
fn open_sinks(args: &TrainArgs, run: &Run) -> Result<Sinks, Error> {
    let (kept, _) = events_in(run.folder()).map_err(Error::failed)?;
    Sinks::open(&args.log, run.inside(), &kept)
}

fn train(
    prepared: &Prepared,
    run: &mut Run,
    found: Option<&Found>,
    watch: &mut dyn FnMut(&Event),
) -> Result<Trained, Error> {
    let Prepared {
        recipe,
        model,
        data,
        selected,
        ..
    } = prepared;
    for (name, text) in about_result(prepared) {
        run.write(name, &text)?;
    }
    let stop = stop_on_signals()?;
    let training = Training {
        recipe,
        train: data.train.clone(),
        valid: data.valid.clone(),
        device: &selected.device,
        helpers: helpers(prepared),
        weights: prepared.weights.as_deref(),
        run: Some(run),
        resume: found.and_then(|found| found.checkpoint.as_ref()),
        stop: Some(&stop),
        watch,
    };
    let (ready, outcome) = model.train(training).map_err(|error| match &error {
        FitError::Broken { message, .. }
            if !message.out_of_memory && !prepared.remote().is_empty() =>
        {
            broke_off(prepared, &message.line)
        }
        _ => error.into(),
    })?;
    Ok(Trained { ready, outcome })
}

/// The files that say how the result was made and how it is used.
fn about_result(prepared: &Prepared) -> [(&'static str, Vec<u8>); 2] {
    let config = Config::new(&*prepared.model, &*prepared.data.codec);
    let recipe = prepared.recipe.to_toml();
    [
        (RECIPE_FILE, recipe.into_bytes()),
        (CONFIG_FILE, to_json(&config)),
    ]
}

/// Writes anew what was removed from a run, or changed, while it went on: a finished run is whole.
fn keep_whole(prepared: &Prepared, run: &Run, ready: &dyn Ready) -> Result<(), Error> {
    let warn = |name: &str| {
        eprintln!(
            "warning: {} was removed or changed while the run went on; it is written anew",
            run.folder().join(name).display()
        );
    };
    for (name, text) in about_result(prepared) {
        let there = zoo_files::read(&run.folder().join(name), text.len() as u64);
        if there.ok().as_ref() != Some(&text) {
            warn(name);
            run.write(name, &text)?;
        }
    }
    let model = run.folder().join(MODEL_FILE);
    if !model.is_file() {
        run.check_there()?;
        warn(MODEL_FILE);
        ready.save(&model, None)?;
    }
    Ok(())
}

/// Saves the result, then tests it and completes the record: what was computed is safe before any
/// other example is read. Last comes what is only to look at, of which nothing can fail the run.
fn conclude(
    prepared: &Prepared,
    run: &Run,
    record: &mut Record,
    trained: Trained,
    clock: &Clock,
    look: bool,
) -> Result<Event, Error> {
    let Trained { ready, outcome } = trained;
    let (recipe, data) = (&prepared.recipe, &prepared.data);
    run.check_there()?;
    ready.save(&run.folder().join(MODEL_FILE), None)?;
    let mut result = Outcome {
        metrics: named("valid", outcome.validation.unwrap_or_default()).collect(),
        steps: outcome.steps,
        stopped_early: outcome.stopped_early,
        wall_seconds: clock.seconds(),
        samples_per_second: outcome.samples_per_second,
    };
    record.result = Some(result.clone());
    write_record(run, record)?;
    if let Some(test) = &data.test {
        let batches = recipe.train.eval_batches(&**test);
        let values = ready.evaluate("test", &batches);
        let values = values.map_err(|error| match error {
            Error::Request(problem) => Error::Failed(format!(
                "{problem}; the model is trained and saved: once that can be read, eval {} measures it",
                run.folder().display()
            )),
            other => other,
        })?;
        result.metrics.extend(named("test", values));
    }
    if data.stamps() != prepared.stamps {
        eprintln!(
            "warning: files of the data were changed while the run went on: it learned from some of either, \
             and the sums in {RECORD_FILE} are of those that it began with"
        );
    }
    result.wall_seconds = clock.seconds();
    keep_whole(prepared, run, &*ready)?;
    let finish = finish_event(run.folder(), &result);
    record.state = State::Finished;
    record.ended = Some(clock::now());
    record.result = Some(result);
    write_record(run, record)?;
    let looked_at = match (&data.test, &data.valid) {
        (Some(test), _) => Some(("test", test)),
        (None, Some(valid)) => Some(("valid", valid)),
        (None, None) => None,
    };
    if let (Some((split, source)), true) = (looked_at, look) {
        let examined = insight::examine(&*ready, &*data.codec, split, &**source, &recipe.train)
            .and_then(|insight| Ok(run.write(INSIGHT_FILE, &to_json(&insight))?));
        if let Err(error) = examined {
            eprintln!("warning: the report shows no examples: {error}");
        }
        // Looking takes time as well.
        keep_whole(prepared, run, &*ready)?;
    }
    Ok(finish)
}

/// Metrics under their split's name: `test.accuracy`.
fn named(split: &str, values: Metrics) -> impl Iterator<Item = (String, f64)> {
    let split = split.to_owned();
    let values = values.into_iter();
    values.map(move |(name, value)| (format!("{split}.{name}"), value))
}

/// Leaves a run that ended without a result as it should be found.
fn give_up(args: &TrainArgs, run: Run, mut record: Record, resumed: bool, error: Error) -> Error {
    if matches!(error, Error::Request(_)) && !resumed && !has_steps(run.folder()) {
        // Nothing was computed; what keeps the folder from going is not the error to report.
        let _ = fs::remove_dir_all(run.folder());
        return error;
    }
    record.state = match error {
        Error::Interrupted(_) => State::Interrupted,
        _ => State::Failed,
    };
    record.problem = Some(error.to_string());
    record.ended = Some(clock::now());
    // The same reason may keep these from being written; the first error is the one to report.
    if write_record(&run, &record).is_ok() {
        write_report(args, &run);
    }
    let folder = run.folder().display();
    match error {
        Error::Interrupted(message) => {
            Error::Interrupted(format!("{message}; go on with: train --resume {folder}"))
        }
        // Such as an example that cannot be read, long after the first step.
        Error::Request(message) if has_steps(run.folder()) && !message.contains("--resume") => {
            Error::Request(format!(
                "{message}; what was computed is kept: once that is mended, go on with: train --resume \
                 {folder} (--allow-changed data, if the data is another then)"
            ))
        }
        other => other,
    }
}

/// Whether a run has computed anything.
fn has_steps(folder: &Path) -> bool {
    let (events, _) = events_in(folder).unwrap_or_default();
    let mut events = events.into_iter();
    let written = ["checkpoints", MODEL_FILE].map(|name| folder.join(name).exists());
    written != [false, false] || events.any(|event| event.step() > 0)
}

fn begin(prepared: &Prepared, origin: &Origin, folder: &Path, found: Option<&Found>) -> Record {
    let recipe = &prepared.recipe;
    let mut record = Record {
        state: State::Running,
        problem: None,
        recipe: recipe.name.clone(),
        backend: prepared.selected.backend.name.into(),
        devices: prepared.devices().map(Selected::spec).collect(),
        seed: recipe.train.seed,
        started: clock::now(),
        ended: None,
        zoo: env!("CARGO_PKG_VERSION").into(),
        burn: BURN_VERSION.into(),
        recipe_sha256: origin.recipe_sha256(),
        data_sha256: origin.data_sha256.clone(),
        environment: environment(prepared),
        resumed: Vec::new(),
        metrics: metrics_of(prepared),
        result: None,
    };
    let Some(found) = found else { return record };
    if let Some(before) = read_record(folder) {
        record.started = before.started;
        record.resumed = before.resumed;
    }
    let manifest = found
        .checkpoint
        .as_ref()
        .map(|checkpoint| &checkpoint.manifest);
    if let Some(manifest) = manifest.filter(|manifest| manifest.burn != BURN_VERSION) {
        eprintln!(
            "warning: the checkpoint was written with Burn {}, this is {BURN_VERSION}: the run will \
             not go on to the last bit",
            manifest.burn
        );
    }
    record.resumed.push(Resumed {
        step: manifest.map_or(0, |manifest| manifest.progress.step),
        at: clock::now(),
        changed: found.changed.iter().map(ToString::to_string).collect(),
    });
    record
}

/// What the result's metrics are.
fn metrics_of(prepared: &Prepared) -> Vec<Metric> {
    let data = &prepared.data;
    let judged = data.test.as_ref().or(data.valid.as_ref());
    let example = judged.unwrap_or(&data.train).batch(&[0], None);
    example.map_or_else(|_| Vec::new(), |example| prepared.model.metrics(&example))
}

/// The machine, in words.
fn environment(prepared: &Prepared) -> BTreeMap<String, String> {
    let machine =
        machine::environment(devices::cpu_name(), env!("CARGO_PKG_VERSION"), BURN_VERSION);
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64);
    let facts = [
        ("device", Some(names(prepared).join(" and "))),
        ("processor", Some(machine.processor)),
        ("architecture", Some(machine.architecture)),
        ("instruction sets", Some(machine.features.join(" "))),
        ("cores", Some(machine.logical_cores.to_string())),
        ("memory", machine.memory_bytes.map(gib)),
        ("system", Some(machine.system)),
        ("revision", machine.revision),
    ];
    let known = facts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known.collect()
}

fn write_record(run: &Run, record: &Record) -> Result<(), Error> {
    Ok(run.write(RECORD_FILE, &to_json(record))?)
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("what a run writes is JSON")
}

/// Writes `report.html`. A report that cannot be drawn is no reason to lose a run.
fn write_report(args: &TrainArgs, run: &Run) {
    if args.no_report {
        return;
    }
    let written = devices::catch_panic(|| crate::runs::write_report(run.folder()));
    match written {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => eprintln!("warning: no report: {error}"),
        Err(panic) => eprintln!("warning: no report: {panic}"),
    }
}
