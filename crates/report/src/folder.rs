//! A run folder, read for showing. A run may still be going on, or have been killed in the middle
//! of a line: what cannot be read is left out, and said.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use zoo_train::{
    Event, METRICS_FILE, MOST_RECIPE_BYTES, Metric, RECIPE_FILE, RECORD_FILE, Record, Run, State,
    Unit, events_in,
};

use crate::insight::{INSIGHT_FILE, Insight};
use zoo_print::columns::sentence;

/// What there is to show of a run.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it lies.
    pub path: PathBuf,
    /// `run.json`.
    pub record: Record,
    /// `recipe.toml`, as it stands there.
    pub recipe: String,
    /// `metrics.jsonl`, line by line.
    pub events: Vec<Event>,
    /// `insight.json`, once the run is finished.
    pub insight: Option<Insight>,
    /// Lines and files that could not be read.
    pub problems: Vec<String>,
}

/// Why a folder cannot be shown.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}; RUN must be a run folder, such as runs/mlp-glyphs-flex-1", path.display())]
pub struct FolderError {
    path: PathBuf,
    problem: String,
}

impl Folder {
    /// Reads a run folder.
    ///
    /// # Errors
    /// A folder without a readable `run.json`; everything else may be absent or damaged.
    pub fn read(path: &Path) -> Result<Self, FolderError> {
        let fail = |file: &str, problem: String| FolderError {
            path: path.join(file),
            problem,
        };
        let record =
            Record::read(path).map_err(|error| fail(RECORD_FILE, sentence(&error.to_string())))?;
        let mut problems = Vec::new();
        let recipe = zoo_files::read_text(&path.join(RECIPE_FILE), MOST_RECIPE_BYTES);
        let recipe = recipe.unwrap_or_else(|error| {
            problems.push(format!("{RECIPE_FILE}: {error}"));
            String::new()
        });
        let (events, unreadable) = events_in(path)
            .unwrap_or_else(|error| (Vec::new(), vec![format!("{METRICS_FILE}: {error}")]));
        problems.extend(unreadable);
        let insight = match Insight::read(path) {
            Ok(insight) => Some(insight),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                problems.push(format!("{INSIGHT_FILE}: {error}"));
                None
            }
        };
        Ok(Self {
            path: path.to_owned(),
            record,
            recipe,
            events,
            insight,
            problems,
        })
    }

    /// What the run is called: the folder's name.
    pub fn name(&self) -> String {
        let path = self.path.canonicalize();
        let path = path.as_ref().unwrap_or(&self.path);
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// How far the run is. One that says it is running, and whose lock nobody holds, was killed.
    pub fn state(&self) -> State {
        match self.record.state {
            State::Running if !Run::is_locked(&self.path) => State::Interrupted,
            state => state,
        }
    }

    /// What a metric counts, by its name or `split.name`, as the run itself says; of one that does not
    /// say, nothing in particular.
    pub(crate) fn unit(&self, name: &str) -> Unit {
        let short = name.rsplit('.').next().unwrap_or(name);
        let begun = self.events.iter().rev().find_map(|event| match event {
            Event::Start { metrics, .. } => Some(metrics),
            _ => None,
        });
        let defined = [Some(&self.record.metrics), begun].into_iter().flatten();
        let mut found = defined.filter_map(|metrics| Metric::find(metrics, short));
        found.next().map_or(Unit::Plain, |metric| metric.unit)
    }

    /// Steps done, as far as they were told, and in all.
    pub fn steps(&self) -> (usize, usize) {
        let total = self.events.iter().rev().find_map(|event| match event {
            Event::Start { total_steps, .. } => Some(*total_steps),
            _ => None,
        });
        let done = self.events.iter().map(Event::step).max().unwrap_or(0);
        (done, total.unwrap_or(done))
    }
}
