//! How far a run has come, by what lies in its folder.

use std::path::Path;

use zoo_train::{Event, MODEL_FILE, Outcome, Record, State};

use crate::config::CONFIG_FILE;

/// How a run ended, in a word or two.
pub fn state(folder: &Path, record: &Record, is_running: bool) -> &'static str {
    match record.state {
        _ if is_running => "at work in another process",
        State::Finished if is_whole(folder) => "finished",
        State::Finished => "without its result",
        State::Running => "killed",
        State::Interrupted => "interrupted",
        State::Failed => "failed",
    }
}

/// Whether a run has all that it will ever have.
pub fn is_finished(folder: &Path, record: &Record) -> bool {
    record.state == State::Finished && is_whole(folder)
}

/// Whether a run's result can be used.
fn is_whole(folder: &Path) -> bool {
    [MODEL_FILE, CONFIG_FILE]
        .iter()
        .all(|name| folder.join(name).exists())
}

/// What a run's record says, if it can be read.
pub fn read_record(folder: &Path) -> Option<Record> {
    Record::read(folder).ok()
}

/// What says that a run has its result.
pub fn finish_event(folder: &Path, result: &Outcome) -> Event {
    Event::Finish {
        run: folder.display().to_string(),
        metrics: result.metrics.clone(),
        steps: result.steps,
        stopped_early: result.stopped_early,
        wall_seconds: result.wall_seconds,
        samples_per_second: result.samples_per_second,
    }
}
