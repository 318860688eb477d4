//! Which run `train --resume` goes on with, where none is named.

use std::fs;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zoo_train::{Event, METRICS_FILE, RECORD_FILE, Record, Run};

use crate::cli::TrainArgs;
use crate::devices;
use crate::error::Error;
use crate::output;
use crate::progress::{describe, print_json};
use crate::recipes;
use crate::rows::Zoo;
use crate::run_state::{finish_event, is_finished, read_record, state};

/// Bytes that are read of an answer of yes or no.
const LONGEST_ANSWER: u64 = 256;

/// Runs that a message lists at most.
const MOST_SHOWN: usize = 10;

/// Devices that are opened because a record names them: each holds a copy of the model, and the
/// largest machines have so many.
const MOST_DEVICES: usize = 16;

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

/// The unfinished runs in the output folder, the one that was last at work first: of the named recipe
/// and backend, where they are named. At least one.
///
/// # Errors
/// That there is none, and what there is.
pub fn unfinished(zoo: &Zoo, args: &TrainArgs) -> Result<Vec<PathBuf>, Error> {
    let recipe = match &args.recipe {
        Some(recipe) => Some(recipes::read(zoo, recipe, &recipes::changes(&args.set)?)?.name),
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
        // Nobody named what a link leads to.
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
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

/// The devices that a run was trained on, where all of them are of this machine. None where nothing is
/// recorded.
///
/// The record may be a stranger's. To compute on this machine is what the user asks for; another
/// machine would be sent the data, the weights and the token, so it is named on the command line or
/// not at all.
///
/// # Errors
/// A device of another machine, or more devices than there can be.
pub fn local_devices(folder: &Path) -> Result<Vec<String>, Error> {
    let recorded = read_record(folder).map_or_else(Vec::new, |record| record.devices);
    let wrong = |problem: String| {
        let path = folder.join(RECORD_FILE);
        Err(Error::Request(format!("{}: {problem}", path.display())))
    };
    if let Some(remote) = recorded.iter().find(|spec| devices::is_remote(spec)) {
        return wrong(format!(
            "the run was trained on {remote:?}; other machines are sent the data, the weights and the \
             token only where you name them: give its devices anew, with --devices or --backend"
        ));
    }
    if recorded.len() > MOST_DEVICES {
        return wrong(format!(
            "names {} devices, more than {MOST_DEVICES}; give those to go on with, as in --devices {}",
            recorded.len(),
            devices::default_name()
        ));
    }
    Ok(recorded)
}

/// Whether to go on with recorded devices that are not the default one: somebody at a terminal is asked,
/// anybody else is told.
///
/// # Errors
/// That they are not wanted.
pub fn ask_about(
    folder: &Path,
    recorded: &[String],
    at_terminal: Option<&mut dyn BufRead>,
) -> Result<(), Error> {
    if recorded.iter().all(|spec| spec == devices::default_name()) {
        return Ok(());
    }
    let (folder, names) = (folder.display(), recorded.join(", "));
    let Some(at_terminal) = at_terminal else {
        eprintln!(
            "{folder} was trained on {names} and goes on there; --devices or --backend names others"
        );
        return Ok(());
    };
    output::note(format_args!(
        "{folder} was trained on {names}: go on there? [Y/n] "
    ));
    let mut answer = String::new();
    at_terminal
        .take(LONGEST_ANSWER)
        .read_line(&mut answer)
        .map_err(Error::failed)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        // Enter, and not the end of what is typed.
        "" if answer.ends_with('\n') => Ok(()),
        _ => Err(Error::Request(
            "name the devices to go on with, with --devices or --backend".into(),
        )),
    }
}

/// Says that a run is finished, and with what, and gives the event that said so when it was new.
pub fn say_finished(args: &TrainArgs, folder: &Path, record: &Record) -> Option<Event> {
    let result = record.result.as_ref()?;
    let finish = finish_event(folder, result);
    if args.json {
        print_json(&finish);
    } else {
        println!("{}", describe(&result.metrics, &record.metrics));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_devices_than_the_default_are_asked_about() {
        let ask = |devices: &[&str], answer: &str| {
            let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
            let mut typed = answer.as_bytes();
            ask_about(Path::new("runs/a-1"), &devices, Some(&mut typed)).is_ok()
        };
        for answer in ["\n", "y\n", "YES\n", " yes \n"] {
            assert!(ask(&["cuda:1"], answer), "{answer:?}");
        }
        for answer in ["n\n", "", "no\n", "what?\n", &"y".repeat(10_000)] {
            assert!(!ask(&["cuda:1"], answer), "{answer:?}");
            assert!(!ask(&[devices::default_name(), "cuda:1"], answer));
            // Nothing to ask.
            assert!(ask(&[devices::default_name()], answer));
            assert!(ask(&[], answer));
        }
        ask_about(Path::new("runs/a-1"), &["cuda:1".into()], None).unwrap();
    }
}
