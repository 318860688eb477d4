//! `run.json`: what a run is and how it went, for people and for the programs that list, compare
//! and draw runs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::metric::{Metric, Metrics};

/// The name of a run's record.
pub const RECORD_FILE: &str = "run.json";

/// What `run.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// How far it is, as its own process last said; see [`crate::Run::is_locked`] for whether that
    /// process still lives.
    pub state: State,
    /// Why it failed.
    pub problem: Option<String>,
    /// The recipe's name.
    pub recipe: String,
    /// The first device's backend: `flex`.
    pub backend: String,
    /// Every device, the first of which holds the weights, as the command line names it.
    pub devices: Vec<String>,
    /// Everything random derives from it.
    pub seed: u64,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339.
    pub ended: Option<String>,
    /// Version of this project.
    pub zoo: String,
    /// Version of Burn.
    pub burn: String,
    /// Sum of `recipe.toml`.
    pub recipe_sha256: String,
    /// Sums of the data, by split.
    pub data_sha256: BTreeMap<String, String>,
    /// The machine: processor, cores, memory, system, revision.
    pub environment: BTreeMap<String, String>,
    /// Each time that it was resumed.
    pub resumed: Vec<Resumed>,
    /// What the metrics of its result are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// How it ended.
    pub result: Option<Outcome>,
}

impl Record {
    /// Largest record that is read; one that was resumed a thousand times has half a megabyte.
    const MOST_BYTES: u64 = 1 << 22;

    /// Reads the record of a run folder.
    ///
    /// # Errors
    /// A file that is not there, is too large, or is not what this version writes.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let text = zoo_files::read(&folder.join(RECORD_FILE), Self::MOST_BYTES)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its process works on it, or was killed.
    Running,
    /// It has a result.
    Finished,
    /// It was stopped by a signal, or killed.
    Interrupted,
    /// It ended in an error.
    Failed,
}

/// One time that a run was resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// Steps done before.
    pub step: usize,
    /// When, RFC 3339.
    pub at: String,
    /// What differed from before, and was allowed to: keys of the recipe, or `data`.
    pub changed: Vec<String>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Metrics by `split.metric`.
    #[serde(deserialize_with = "crate::event::metrics_or_nan")]
    pub metrics: Metrics,
    /// Optimizer steps done.
    pub steps: usize,
    /// Whether it stopped for want of a better model.
    pub stopped_early: bool,
    /// Time of the last process, in seconds.
    pub wall_seconds: f64,
    /// Training examples a second, validation and checkpoints aside.
    pub samples_per_second: f64,
}
