//! The run folder: what a training run leaves behind, written so that a crash at any moment leaves
//! the last good state readable.
//!
//! ```text
//! runs/<recipe>-<backend>-<number>/
//!   recipe.toml         resolved and complete
//!   run.json            versions, device, seed, result
//!   metrics.jsonl       one event a line
//!   checkpoints/<step>/ model, optimizer, average; manifest.json with the sha256 of each
//!   checkpoints/best/   the best model by the validation metric
//!   model.safetensors   the result
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::Event;
use crate::metric::Metrics;

/// A file of the run folder that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file system refused.
    #[error("{}: {action} failed: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not what this version writes.
    #[error("{}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_owned();
    move |error| RunError::Io {
        path,
        action,
        error,
    }
}

/// A run's folder, open for writing.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    metrics: File,
}

/// What a checkpoint says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this layout.
    pub format: u32,
    /// Optimizer steps done.
    pub step: usize,
    /// The best validation so far: its step and metrics.
    pub best: Option<(usize, Metrics)>,
    /// Validations since the best one.
    pub validations_since_best: usize,
    /// Files and their sha256, in hexadecimal.
    pub files: std::collections::BTreeMap<String, String>,
}

/// Where a checkpoint lies, and what it says about itself.
pub type Checkpoint = (PathBuf, Manifest);

/// The layout that this version writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// The name of a checkpoint's model file, and of the run's result.
pub const MODEL_FILE: &str = "model.safetensors";

impl Run {
    /// Creates `<root>/<name>-<number>/` with the lowest number above those that exist.
    ///
    /// # Errors
    /// A folder that cannot be created.
    pub fn create(root: &Path, name: &str) -> Result<Self, RunError> {
        fs::create_dir_all(root).map_err(io_error(root, "creating the output folder"))?;
        let taken = numbered(root, name)?
            .last()
            .map_or(0, |(number, _)| *number);
        for number in taken + 1.. {
            let folder = root.join(format!("{name}-{number}"));
            match fs::create_dir(&folder) {
                Ok(()) => return Self::open(&folder),
                // Another process took the number between the look and the step.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io_error(&folder, "creating the run folder")(error)),
            }
        }
        unreachable!("numbers do not run out")
    }

    /// Opens an existing run folder to continue it.
    ///
    /// # Errors
    /// A folder that does not exist or cannot be written.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join("metrics.jsonl");
        let metrics = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(io_error(&path, "opening for writing"))?;
        Ok(Self {
            folder: folder.to_owned(),
            metrics,
        })
    }

    /// The newest run of this name, if there is one.
    ///
    /// # Errors
    /// A root that cannot be listed.
    pub fn newest(root: &Path, name: &str) -> Result<Option<PathBuf>, RunError> {
        if !root.is_dir() {
            return Ok(None);
        }
        Ok(numbered(root, name)?.pop().map(|(_, folder)| folder))
    }

    /// Where the run lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends an event to `metrics.jsonl`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn log(&mut self, event: &Event) -> Result<(), RunError> {
        let mut line = serde_json::to_vec(event).expect("an event is JSON");
        line.push(b'\n');
        let path = self.folder.join("metrics.jsonl");
        self.metrics
            .write_all(&line)
            .map_err(io_error(&path, "writing"))
    }

    /// Writes a file of the run beside its name and renames it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        write_and_rename(&self.folder.join(name), bytes)
    }

    /// Writes a checkpoint under `name`: `fill` puts files into an empty folder, which is summed,
    /// synced and renamed into place.
    ///
    /// # Errors
    /// What `fill` says, or a file that cannot be written; the checkpoints before it stay.
    pub fn checkpoint<E: From<RunError>>(
        &self,
        name: &str,
        mut manifest: Manifest,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let checkpoints = self.folder.join("checkpoints");
        let (part, target) = (
            checkpoints.join(format!(".{name}.part")),
            checkpoints.join(name),
        );
        remove(&part)?;
        fs::create_dir_all(&part).map_err(io_error(&part, "creating"))?;
        fill(&part)?;
        manifest.files = sums(&part)?;
        let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON");
        write_and_rename(&part.join("manifest.json"), &text)?;
        remove(&target)?;
        fs::rename(&part, &target).map_err(io_error(&target, "renaming into place"))?;
        Ok(target)
    }

    /// Removes all but the newest `keep` numbered checkpoints; `best` stays.
    ///
    /// # Errors
    /// A folder that cannot be removed.
    pub fn prune(&self, keep: usize) -> Result<(), RunError> {
        let mut steps = checkpoint_steps(&self.folder)?;
        steps.truncate(steps.len().saturating_sub(keep));
        steps
            .iter()
            .try_for_each(|step| remove(&self.folder.join("checkpoints").join(step.to_string())))
    }
}

/// The newest checkpoint of a run whose files still have their sums, and what was wrong with newer ones.
///
/// # Errors
/// A folder that cannot be listed.
pub fn newest_checkpoint(folder: &Path) -> Result<(Option<Checkpoint>, Vec<RunError>), RunError> {
    let mut refused = Vec::new();
    for step in checkpoint_steps(folder)?.into_iter().rev() {
        let path = folder.join("checkpoints").join(step.to_string());
        match read_manifest(&path) {
            Ok(manifest) => return Ok((Some((path, manifest)), refused)),
            Err(error) => refused.push(error),
        }
    }
    Ok((None, refused))
}

/// Reads a checkpoint's manifest and checks every file against it.
///
/// # Errors
/// A missing or changed file, or a layout of another version.
pub fn read_manifest(checkpoint: &Path) -> Result<Manifest, RunError> {
    let path = checkpoint.join("manifest.json");
    let damaged = |problem: String| RunError::Damaged {
        path: path.clone(),
        problem,
    };
    let text = fs::read(&path).map_err(io_error(&path, "reading"))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(damaged(format!(
            "format {}, this version reads {FORMAT}",
            manifest.format
        )));
    }
    for (name, expected) in &manifest.files {
        let found = sum(&checkpoint.join(name))?;
        if &found != expected {
            return Err(damaged(format!(
                "{name} has sha256 {found}, expected {expected}"
            )));
        }
    }
    Ok(manifest)
}

fn checkpoint_steps(folder: &Path) -> Result<Vec<usize>, RunError> {
    let checkpoints = folder.join("checkpoints");
    if !checkpoints.is_dir() {
        return Ok(Vec::new());
    }
    let mut steps: Vec<usize> = names(&checkpoints)?
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Folders `<name>-<number>` in a root, by number.
fn numbered(root: &Path, name: &str) -> Result<Vec<(u64, PathBuf)>, RunError> {
    let number = |file: &String| file.strip_prefix(name)?.strip_prefix('-')?.parse().ok();
    let mut runs: Vec<(u64, PathBuf)> = names(root)?
        .iter()
        .filter_map(|file| Some((number(file)?, root.join(file))))
        .filter(|(_, folder)| folder.is_dir())
        .collect();
    runs.sort();
    Ok(runs)
}

fn names(folder: &Path) -> Result<Vec<String>, RunError> {
    let entries = fs::read_dir(folder).map_err(io_error(folder, "listing"))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect())
}

fn sums(folder: &Path) -> Result<std::collections::BTreeMap<String, String>, RunError> {
    names(folder)?
        .into_iter()
        .map(|name| Ok((name.clone(), sum(&folder.join(name))?)))
        .collect()
}

/// The sha256 of a file, in hexadecimal.
///
/// # Errors
/// A file that cannot be read.
pub fn sum(path: &Path) -> Result<String, RunError> {
    let mut file = File::open(path).map_err(io_error(path, "reading"))?;
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut Hashing(&mut hasher)).map_err(io_error(path, "reading"))?;
    // What was just written must be on the disk before its folder gets its final name.
    file.sync_all().map_err(io_error(path, "syncing"))?;
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
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

fn write_and_rename(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let part = path.with_extension("part");
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(io_error(path, "writing"))
}

fn remove(folder: &Path) -> Result<(), RunError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(folder, "removing")(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(step: usize) -> Manifest {
        Manifest {
            format: FORMAT,
            step,
            best: None,
            validations_since_best: 0,
            files: Default::default(),
        }
    }

    fn checkpoint(run: &Run, step: usize) -> PathBuf {
        run.checkpoint::<RunError>(&step.to_string(), manifest(step), |folder| {
            fs::write(folder.join(MODEL_FILE), format!("weights {step}"))
                .map_err(io_error(folder, "writing"))
        })
        .unwrap()
    }

    #[test]
    fn runs_are_numbered_upwards_and_the_newest_is_found() {
        let root = tempfile::tempdir().unwrap();
        for number in 1..=11 {
            let run = Run::create(root.path(), "mlp-flex").unwrap();
            assert_eq!(run.folder(), root.path().join(format!("mlp-flex-{number}")));
        }
        Run::create(root.path(), "mlp-flex-2").unwrap(); // a recipe whose name ends in a number
        let newest = Run::newest(root.path(), "mlp-flex").unwrap().unwrap();
        assert_eq!(newest, root.path().join("mlp-flex-11"));
        assert_eq!(Run::newest(root.path(), "gpt").unwrap(), None);
    }

    #[test]
    fn a_damaged_checkpoint_is_refused_and_the_one_before_is_used() {
        let root = tempfile::tempdir().unwrap();
        let run = Run::create(root.path(), "x").unwrap();
        checkpoint(&run, 10);
        let newest = checkpoint(&run, 20);
        assert_eq!(
            newest_checkpoint(run.folder()).unwrap().0.unwrap().1.step,
            20
        );

        fs::write(newest.join(MODEL_FILE), "weights 21").unwrap();
        let (found, refused) = newest_checkpoint(run.folder()).unwrap();
        assert_eq!(found.unwrap().1.step, 10);
        assert!(
            refused[0]
                .to_string()
                .contains("model.safetensors has sha256"),
            "{refused:?}"
        );
    }

    #[test]
    fn old_checkpoints_go_and_the_best_stays() {
        let root = tempfile::tempdir().unwrap();
        let run = Run::create(root.path(), "x").unwrap();
        for step in [9, 10, 100] {
            checkpoint(&run, step);
        }
        run.checkpoint::<RunError>("best", manifest(9), |_| Ok(()))
            .unwrap();
        run.prune(1).unwrap();
        let mut left = names(&run.folder().join("checkpoints")).unwrap();
        left.sort();
        assert_eq!(left, ["100", "best"]);
    }

    #[test]
    fn a_failed_checkpoint_leaves_the_one_before() {
        let root = tempfile::tempdir().unwrap();
        let run = Run::create(root.path(), "x").unwrap();
        checkpoint(&run, 10);
        let failed = run.checkpoint::<RunError>("20", manifest(20), |folder| {
            Err(RunError::Damaged {
                path: folder.to_owned(),
                problem: "planted".into(),
            })
        });
        assert!(failed.is_err());
        assert_eq!(
            newest_checkpoint(run.folder()).unwrap().0.unwrap().1.step,
            10
        );
    }
}
