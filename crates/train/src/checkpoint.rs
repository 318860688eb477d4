//! Checkpoints: written beside and renamed, summed, and refused by name where they are not what was
//! written or not what the run was made from.
//!
//! ```text
//! checkpoints/<step>/
//!   model.safetensors     the weights as they train
//!   average.safetensors   their moving average, where the recipe keeps one
//!   best.safetensors      the best model so far, where there is validation
//!   optimizer.bpk         the optimizer's state
//!   recipe.toml           what it was trained with
//!   manifest.json         the rest of the state, and the sha256 of every file
//!   manifest.json.sha256  the manifest's own, as `sha256sum -c` reads it
//! ```
//!
//! A checkpoint is whole: nothing outside its folder is needed to go on from it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zoo_files::Folder;

use crate::metric::Metrics;
use crate::recipe::{Difference, Recipe};
use crate::run_file::{RECIPE_FILE, RunError, io_error, write_file};

/// The layout that this version writes and reads.
pub(crate) const FORMAT: u32 = 2;

/// Where checkpoints lie in a run folder.
const FOLDER: &str = "checkpoints";
const MANIFEST_FILE: &str = "manifest.json";
const SUM_FILE: &str = "manifest.json.sha256";

/// The longest manifest, sum and recipe that are read, in bytes: a thousand times what is written.
const LONGEST_MANIFEST: u64 = 1 << 20;
const LONGEST_SUM: u64 = 64 << 10;
const LONGEST_RECIPE: u64 = 1 << 20;

/// The largest file of a checkpoint: what Burn reads of an optimizer's state. A file with holes may
/// have any size and take no place, and its sum would take days.
const LARGEST_FILE: u64 = 100 << 30;

/// The most files of a checkpoint: three times what is written.
const MOST_FILES: usize = 16;

/// What a run is made from: what a checkpoint must have been made from to be gone on with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// The resolved recipe.
    pub recipe: Recipe,
    /// Sums of the data, by split.
    pub data_sha256: BTreeMap<String, String>,
}

impl Origin {
    /// The sum of the recipe as a run folder holds it.
    pub fn recipe_sha256(&self) -> String {
        hexadecimal(Sha256::digest(self.recipe.to_toml()))
    }
}

/// What a checkpoint says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this layout.
    pub format: u32,
    /// Version of this project.
    pub zoo: String,
    /// Version of Burn.
    pub burn: String,
    /// Sum of the recipe.
    pub recipe_sha256: String,
    /// Sums of the data, by split.
    pub data_sha256: BTreeMap<String, String>,
    /// How far the run was.
    pub progress: Progress,
    /// Files and their sha256, in hexadecimal.
    pub files: BTreeMap<String, String>,
}

/// The part of a run's state that is numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps done.
    pub step: usize,
    /// Sum of the losses of the epoch's steps so far.
    pub epoch_loss_sum: f64,
    /// How many they are.
    pub epoch_steps: usize,
    /// The best validation so far.
    pub best: Option<BestSoFar>,
    /// Validations since the best one.
    pub validations_since_best: usize,
    /// Whether the validation at this step broke off and is to be made up for. Absent in checkpoints
    /// of earlier versions.
    #[serde(default)]
    pub validation_due: bool,
    /// What it took so far. Absent in checkpoints of earlier versions.
    #[serde(default)]
    pub spent: Spent,
}

/// What the steps of a run took, in all the processes that made them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Examples trained on, counting repeats.
    pub samples: usize,
    /// Time spent in training steps and on their batches.
    pub training_seconds: f64,
    /// Time from the start of each training to its last checkpoint, validations included.
    pub wall_seconds: f64,
}

/// When the best model was, and how good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestSoFar {
    /// Optimizer steps done.
    pub step: usize,
    /// Its validation metrics.
    #[serde(deserialize_with = "crate::event::metrics_or_nan")]
    pub metrics: Metrics,
}

/// A checkpoint whose files are what was written.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its folder.
    pub folder: PathBuf,
    /// What it says about itself.
    pub manifest: Manifest,
    /// What it was trained with.
    recipe: String,
}

/// The checkpoint to go on from.
#[derive(Debug)]
pub struct Found {
    /// The newest one that is sound and belongs to the run; `None` if the run has none at all.
    pub checkpoint: Option<Checkpoint>,
    /// What differs from when it was written, and was allowed to.
    pub changed: Vec<Difference>,
    /// What is wrong with newer ones.
    pub refused: Vec<RunError>,
}

impl Checkpoint {
    /// Reads a checkpoint and holds every file against its sum.
    ///
    /// # Errors
    /// A missing or changed file, or a layout of another version.
    pub fn read(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(MANIFEST_FILE);
        let damaged = |problem: String| RunError::Damaged {
            path: path.clone(),
            problem,
        };
        let text = zoo_files::read(&path, LONGEST_MANIFEST).map_err(io_error(&path, "reading"))?;
        let sum_path = folder.join(SUM_FILE);
        let expected =
            zoo_files::read_text(&sum_path, LONGEST_SUM).map_err(io_error(&sum_path, "reading"))?;
        let found = hexadecimal(Sha256::digest(&text));
        if expected.split_whitespace().next() != Some(found.as_str()) {
            return Err(damaged(format!(
                "has sha256 {found}, not that of {SUM_FILE}"
            )));
        }
        let manifest = Manifest::parse(&text).map_err(damaged)?;
        for (name, expected) in &manifest.files {
            let path = folder.join(name);
            let size = fs::metadata(&path)
                .map_err(io_error(&path, "reading"))?
                .len();
            if size > LARGEST_FILE {
                return Err(damaged(format!(
                    "{name} has {size} bytes, more than {LARGEST_FILE}"
                )));
            }
            let found = sum(&path)?;
            if &found != expected {
                return Err(damaged(format!(
                    "{name} has sha256 {found}, expected {expected}"
                )));
            }
        }
        let path = folder.join(RECIPE_FILE);
        let recipe = zoo_files::read_text(&path, LONGEST_RECIPE);
        let recipe = recipe.map_err(io_error(&path, "reading"))?;
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
            recipe,
        })
    }

    /// The path of one of its files, if it has it.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        let known = self.manifest.files.contains_key(name);
        known.then(|| self.folder.join(name))
    }

    /// What differs between what it was made from and `origin`, as far as it changes the numbers.
    ///
    /// # Errors
    /// A recipe that this version cannot read.
    pub fn differences(&self, origin: &Origin) -> Result<Vec<Difference>, RunError> {
        let path = self.folder.join(RECIPE_FILE);
        let recipe = Recipe::parse(RECIPE_FILE, &self.recipe, &[]).map_err(|error| {
            let problem = error.to_string();
            RunError::Damaged { path, problem }
        })?;
        let mut differences = recipe.differences(&origin.recipe);
        let (old, new) = (&self.manifest.data_sha256, &origin.data_sha256);
        if old != new {
            let describe = |sums: &BTreeMap<String, String>| {
                let short = |(split, sum): (&String, &String)| {
                    format!("{split} {}", sum.get(..8).unwrap_or(sum))
                };
                sums.iter().map(short).collect::<Vec<_>>().join(", ")
            };
            differences.push(Difference {
                key: "data".into(),
                before: describe(old),
                now: describe(new),
            });
        }
        Ok(differences)
    }
}

impl Manifest {
    /// Reads a manifest's text.
    ///
    /// # Errors
    /// Text that is no manifest, one of another version, or one that names files elsewhere.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        // First the version: a layout of another one has other fields.
        let Version { format } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if format != FORMAT {
            return Err(format!("format {format}, this version reads {FORMAT}"));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let elsewhere = |name: &&String| name.contains(['/', '\\', ':']) || name.starts_with('.');
        if let Some(name) = manifest.files.keys().find(elsewhere) {
            return Err(format!("{name:.100?} is not a file of a checkpoint"));
        }
        let count = manifest.files.len();
        if count > MOST_FILES {
            return Err(format!("names {count} files, more than {MOST_FILES}"));
        }
        Ok(manifest)
    }
}

/// Finds the checkpoint to go on from, newest first. One that is damaged, or that was made from
/// something else than `origin`, is passed over; `allowed` names keys that may differ.
///
/// # Errors
/// A folder that cannot be listed, or checkpoints of which none can be gone on with: of the newest
/// sound one, every key that differs, and how to allow it.
pub fn find_checkpoint(run: &Path, origin: &Origin, allowed: &[String]) -> Result<Found, RunError> {
    let (mut refused, mut differing) = (Vec::new(), None);
    for step in steps(run)?.into_iter().rev() {
        let folder = run.join(FOLDER).join(step.to_string());
        let judged = Checkpoint::read(&folder).and_then(|checkpoint| {
            let said = checkpoint.manifest.progress.step;
            if said != step {
                let path = folder.join(MANIFEST_FILE);
                let problem = format!("is of step {said}, and its folder of step {step}");
                return Err(RunError::Damaged { path, problem });
            }
            let differences = checkpoint.differences(origin)?;
            Ok((checkpoint, differences))
        });
        let (checkpoint, changed) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                refused.push(error);
                continue;
            }
        };
        let (allowed, unallowed): (Vec<_>, Vec<_>) = changed
            .into_iter()
            .partition(|difference| allowed.contains(&difference.key));
        if unallowed.is_empty() {
            return Ok(Found {
                checkpoint: Some(checkpoint),
                changed: allowed,
                refused,
            });
        }
        let error = || RunError::Changed {
            path: folder.clone(),
            differences: unallowed.clone(),
        };
        differing.get_or_insert_with(error);
        refused.push(error());
    }
    if let Some(error) = differing {
        return Err(error);
    }
    match refused.into_iter().next() {
        Some(newest) => Err(RunError::NoneSound {
            path: run.to_owned(),
            newest: Box::new(newest),
        }),
        None => Ok(Found {
            checkpoint: None,
            changed: Vec::new(),
            refused: Vec::new(),
        }),
    }
}

/// Writes a checkpoint into `<run>/checkpoints/<step>`: `fill` puts files into an empty folder,
/// which is summed, synced and renamed into place.
///
/// # Errors
/// What `fill` says, or a file that cannot be written; the checkpoints before it stay.
pub(crate) fn write<E: From<RunError>>(
    run: &Folder,
    origin: &Origin,
    progress: Progress,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, E> {
    let path = run.path().join(FOLDER);
    // Not the run folder: who removed it does not want it back.
    let checkpoints = run
        .make_inner(FOLDER)
        .map_err(io_error(&path, "creating"))?;
    let name = progress.step.to_string();
    let target = path.join(&name);
    let written = checkpoints.put_folder(&name, |part| {
        fill(part.path()).map_err(Unwritten::Filling)?;
        seal(part, origin, progress).map_err(|error| Unwritten::Filling(error.into()))
    });
    match written {
        Ok(()) => Ok(target),
        Err(Unwritten::Filling(error)) => Err(error),
        Err(Unwritten::Io(error)) => Err(io_error(&target, "writing")(error).into()),
    }
}

/// Why there is no checkpoint.
enum Unwritten<E> {
    Filling(E),
    Io(io::Error),
}

impl<E> From<io::Error> for Unwritten<E> {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Adds recipe, manifest and sums to the files of a checkpoint.
fn seal(part: &Folder, origin: &Origin, progress: Progress) -> Result<(), RunError> {
    let recipe = origin.recipe.to_toml();
    write_file(part, RECIPE_FILE, recipe.as_bytes())?;
    let mut files = BTreeMap::new();
    for name in names(part.path())? {
        let sum = sum(&part.path().join(&name))?;
        files.insert(name, sum);
    }
    let manifest = Manifest {
        format: FORMAT,
        zoo: env!("CARGO_PKG_VERSION").into(),
        burn: crate::BURN_VERSION.into(),
        recipe_sha256: files.get(RECIPE_FILE).cloned().unwrap_or_default(),
        data_sha256: origin.data_sha256.clone(),
        progress,
        files,
    };
    let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON");
    write_file(part, MANIFEST_FILE, &text)?;
    let line = format!("{}  {MANIFEST_FILE}\n", hexadecimal(Sha256::digest(&text)));
    write_file(part, SUM_FILE, line.as_bytes())
}

/// Removes all but the newest `keep` checkpoints.
pub(crate) fn prune(run: &Folder, keep: usize) -> Result<(), RunError> {
    let Some(checkpoints) = in_run(run)? else {
        return Ok(());
    };
    let mut steps = steps(run.path())?;
    steps.truncate(steps.len().saturating_sub(keep));
    let mut names = steps.iter().map(usize::to_string);
    names.try_for_each(|name| remove(&checkpoints, &name))
}

/// Moves checkpoints that were refused out of the way, so that they neither count among those that
/// are kept nor are taken for newer ones. Also removes what a killed process was writing.
pub(crate) fn set_aside(run: &Folder, after: usize) -> Result<(), RunError> {
    let Some(checkpoints) = in_run(run)? else {
        return Ok(());
    };
    for step in steps(run.path())?.into_iter().filter(|step| *step > after) {
        let (name, aside) = (step.to_string(), format!("{step}.refused"));
        remove(&checkpoints, &aside)?;
        let moved = checkpoints.rename(&name, &aside);
        moved.map_err(io_error(
            &checkpoints.path().join(name),
            "moving out of the way",
        ))?;
    }
    names(checkpoints.path())?
        .iter()
        .filter(|name| name.starts_with('.') && name.ends_with(".part"))
        .try_for_each(|name| remove(&checkpoints, name))
}

/// Where a run's checkpoints lie, to be written to; `None` where it has none.
pub(crate) fn in_run(run: &Folder) -> Result<Option<Folder>, RunError> {
    match run.inner(FOLDER) {
        Ok(checkpoints) => Ok(Some(checkpoints)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(&run.path().join(FOLDER), "opening for writing")(
            error,
        )),
    }
}

fn remove(folder: &Folder, name: &str) -> Result<(), RunError> {
    let removed = folder.remove(name);
    removed.map_err(io_error(&folder.path().join(name), "removing"))
}

/// The steps of a run's checkpoints, the oldest first.
fn steps(run: &Path) -> Result<Vec<usize>, RunError> {
    let checkpoints = run.join(FOLDER);
    if !checkpoints.is_dir() {
        return Ok(Vec::new());
    }
    let mut steps: Vec<usize> = names(&checkpoints)?
        .iter()
        // `007` and `+7` are not names that `write` gives.
        .filter_map(|name| {
            name.parse()
                .ok()
                .filter(|step: &usize| step.to_string() == *name)
        })
        .collect();
    steps.sort_unstable();
    Ok(steps)
}

pub(crate) fn names(folder: &Path) -> Result<Vec<String>, RunError> {
    let entries = fs::read_dir(folder).map_err(io_error(folder, "listing"))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect())
}

/// The sha256 of a file, in hexadecimal.
///
/// # Errors
/// A file that cannot be read.
pub fn sum(path: &Path) -> Result<String, RunError> {
    let mut file = zoo_files::open(path).map_err(io_error(path, "reading"))?;
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut Hashing(&mut hasher)).map_err(io_error(path, "reading"))?;
    Ok(hexadecimal(hasher.finalize()))
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    let digits = bytes.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
