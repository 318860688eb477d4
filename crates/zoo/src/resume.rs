//! Which run `train --resume` goes on with, where none is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zoo_train::{Event, METRICS_FILE, MODEL_FILE, RECORD_FILE, Record, Run, State};

use crate::cli::TrainArgs;
use crate::error::Error;
use crate::progress::{describe, print_json};
use crate::recipes;
use crate::train::finish_event;

/// Runs that a message lists at most.
const MOST_SHOWN: usize = 10;

/// A run that is there.
struct Candidate {
    folder: PathBuf,
    record: Record,
    /// When it last said something.
    last: SystemTime,
    is_running: bool,
}

impl Candidate {
    fn read(folder: PathBuf) -> Option<Self> {
        let record = read_record(&folder)?;
        let modified = |name: &str| fs::metadata(folder.join(name)).ok()?.modified().ok();
        let last = modified(METRICS_FILE).max(modified(RECORD_FILE))?;
        let is_running = Run::is_locked(&folder);
        Some(Self {
            folder,
            record,
            last,
            is_running,
        })
    }

    /// `runs/mlp-glyphs-flex-1 (finished)`
    fn describe(&self) -> String {
        let state = state(&self.folder, &self.record, self.is_running);
        format!("{} ({state})", self.folder.display())
    }
}

/// How a run ended, in a word or two.
pub fn state(folder: &Path, record: &Record, is_running: bool) -> &'static str {
    match record.state {
        _ if is_running => "at work in another process",
        State::Finished if folder.join(MODEL_FILE).exists() => "finished",
        State::Finished => "without its result",
        State::Running => "killed",
        State::Interrupted => "interrupted",
        State::Failed => "failed",
    }
}

/// The unfinished runs in the output folder, the one that was last at work first: of the named recipe
/// and backend, where they are named. At least one.
///
/// # Errors
/// That there is none, and what there is.
pub fn unfinished(args: &TrainArgs) -> Result<Vec<PathBuf>, Error> {
    let recipe = match &args.recipe {
        Some(recipe) => Some(recipes::read(recipe, &recipes::changes(&args.set)?)?.name),
        None => None,
    };
    let device = args.devices.first().or(args.backend.as_ref());
    let backend = device.map(|device| device.split(':').next().unwrap_or_default().trim());
    let is_asked_for = |run: &Candidate| {
        let is_one_of = |name: Option<&str>, of: &str| name.is_none_or(|name| name == of);
        is_one_of(recipe.as_deref(), &run.record.recipe) && is_one_of(backend, &run.record.backend)
    };
    let entries = fs::read_dir(&args.out).into_iter().flatten().flatten();
    let mut runs: Vec<Candidate> = entries
        .filter_map(|entry| Candidate::read(entry.path()))
        .collect();
    runs.sort_by(|a, b| b.last.cmp(&a.last).then(b.folder.cmp(&a.folder)));

    let (asked_for, others): (Vec<_>, Vec<_>) = runs.into_iter().partition(is_asked_for);
    let is_free = |run: &&Candidate| !run.is_running && !is_finished(&run.folder, &run.record);
    let free: Vec<PathBuf> = (asked_for.iter().filter(is_free))
        .map(|run| run.folder.clone())
        .collect();
    if free.is_empty() {
        let of = match (recipe, backend) {
            (Some(recipe), Some(backend)) => format!(" of {recipe} on {backend}"),
            (Some(recipe), None) => format!(" of {recipe}"),
            (None, Some(backend)) => format!(" on {backend}"),
            (None, None) => String::new(),
        };
        let mut there: Vec<String> = (asked_for.iter().chain(&others))
            .take(MOST_SHOWN)
            .map(Candidate::describe)
            .collect();
        let more = (asked_for.len() + others.len()).saturating_sub(MOST_SHOWN);
        there.extend((more > 0).then(|| format!("and {more} others")));
        let there = match there.as_slice() {
            [] => "there is no run at all; name the folder of runs with --out".into(),
            there => format!(
                "there are: {}; a finished one goes on by its name, with a new length, as in --resume RUN \
                 --epochs N",
                there.join(", ")
            ),
        };
        return Err(Error::Request(format!(
            "no unfinished run{of} in {} to resume; {there}",
            args.out.display()
        )));
    }
    for run in asked_for.iter().filter(|run| run.is_running) {
        eprintln!("{} is left alone", run.describe());
    }
    Ok(free)
}

/// Whether a run has all that it will ever have.
pub fn is_finished(folder: &Path, record: &Record) -> bool {
    record.state == State::Finished && folder.join(MODEL_FILE).exists()
}

/// What a run's record says, if it can be read.
pub fn read_record(folder: &Path) -> Option<Record> {
    Record::read(folder).ok()
}

/// Says that a run is finished, and with what, and gives the event that said so when it was new.
pub fn say_finished(args: &TrainArgs, folder: &Path, record: &Record) -> Option<Event> {
    let result = record.result.as_ref()?;
    let finish = finish_event(folder, result);
    if args.json {
        print_json(&finish);
    } else {
        println!("{}", describe(&result.metrics));
        println!("run folder: {}", folder.display());
    }
    if !args.quiet {
        let ended = record.ended.as_deref().unwrap_or("an unknown day");
        eprintln!(
            "{} was finished on {ended}: nothing is left to do, and nothing was changed; for more steps, \
             change its length, as in --epochs N --allow-changed train.epochs",
            folder.display()
        );
    }
    Some(finish)
}
