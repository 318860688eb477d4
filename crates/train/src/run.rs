//! The run folder: what a training run leaves behind, written so that a crash at any moment leaves
//! the last good state readable.
//!
//! ```text
//! runs/<recipe>-<backend>-<number>/
//!   recipe.toml         resolved and complete
//!   run.json            what it is and how it went: state, versions, device, seed, sums, result
//!   metrics.jsonl       one event a line
//!   checkpoints/<step>/ see `checkpoint`
//!   model.safetensors   the result
//!   .lock               held by the process that writes here
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checkpoint::{self, Found, Origin, Progress, find_checkpoint, names};
use crate::event::{Event, read_events};
use crate::recipe::Difference;

/// A run folder that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A name that no folder of a run can have.
    #[error("{name:?} cannot name a run: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file system refused.
    #[error("{}: {action} failed: {error}{}", path.display(), advice(error))]
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
    /// A checkpoint was made from another recipe or other data.
    #[error(
        "{}: was made with something else: {}; go on all the same with --allow-changed {}, or start a new run",
        path.display(),
        list(differences, ToString::to_string, "; "),
        list(differences, |difference| difference.key.clone(), ","),
    )]
    Changed {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// Every checkpoint is damaged.
    #[error("{}: no checkpoint is sound; the newest one: {newest}", path.display())]
    NoneSound {
        /// The run folder.
        path: PathBuf,
        /// What is wrong with the newest one.
        newest: Box<RunError>,
    },
    /// The run is longer than what is asked for.
    #[error(
        "{}: {done} steps are done, more than the {total} that train.epochs or train.steps ask for; a run \
         is not made shorter: ask for {done} or more, or start another run",
        path.display()
    )]
    TooShort {
        /// The run folder.
        path: PathBuf,
        /// Steps done.
        done: usize,
        /// Steps asked for.
        total: usize,
    },
    /// Another process writes here.
    #[error(
        "{}: {holder} is at work in this run folder; wait until it ends, or start another run",
        path.display()
    )]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// Which process.
        holder: String,
    },
    /// The folder went away.
    #[error(
        "{}: the run folder was removed or replaced while the run went on; nothing was written to \
         what is there now",
        path.display()
    )]
    Removed {
        /// The run folder.
        path: PathBuf,
    },
}

fn list(
    differences: &[Difference],
    show: impl Fn(&Difference) -> String,
    separator: &str,
) -> String {
    let shown: Vec<String> = differences.iter().map(show).collect();
    shown.join(separator)
}

/// What to do next, where the system's own words leave it open.
fn advice(error: &io::Error) -> &'static str {
    use io::ErrorKind::{
        FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => {
            "; make room, or lower train.keep_checkpoints, and go on with --resume"
        }
        PermissionDenied | ReadOnlyFilesystem => {
            "; make it writable, or name another folder with --out"
        }
        _ => "",
    }
}

/// The same for an error of which Burn hands on no more than the text, with the system's number.
pub(crate) fn advice_on(text: impl ToString) -> &'static str {
    let text = text.to_string();
    let number = text
        .rsplit_once("(os error ")
        .and_then(|(_, rest)| rest.split(')').next()?.parse().ok());
    number.map_or("", |number| advice(&io::Error::from_raw_os_error(number)))
}

pub(crate) fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_owned();
    move |error| RunError::Io {
        path,
        action,
        error,
    }
}

/// The name of a checkpoint's model file, and of the run's result.
pub const MODEL_FILE: &str = "model.safetensors";
/// The events of a run, one a line.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// The resolved recipe.
pub const RECIPE_FILE: &str = "recipe.toml";
const LOCK_FILE: &str = ".lock";

/// A run's folder, open for writing by this process alone.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    origin: Origin,
    metrics: File,
    /// Locked as long as it is open; the system lets go of it when the process ends, however.
    lock: File,
}

impl Run {
    /// Creates `<root>/<name>-<number>/` with the lowest number above those that exist.
    ///
    /// # Errors
    /// A folder that cannot be created.
    pub fn create(root: &Path, name: &str, origin: Origin) -> Result<Self, RunError> {
        Self::open(&Self::create_folder(root, name)?, origin)
    }

    /// Creates the folder alone, for results that no training made.
    ///
    /// # Errors
    /// A name that would lead out of `root`, or a folder that cannot be created.
    pub fn create_folder(root: &Path, name: &str) -> Result<PathBuf, RunError> {
        zoo_files::check_name(name).map_err(|problem| RunError::Name {
            name: name.to_owned(),
            problem,
        })?;
        fs::create_dir_all(root).map_err(io_error(root, "creating the output folder"))?;
        let taken = numbered(root, name)?
            .last()
            .map_or(0, |(number, _)| *number);
        for number in taken + 1.. {
            let folder = root.join(format!("{name}-{number}"));
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(folder),
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
    /// A folder that does not exist, cannot be written, or is in use by another process.
    pub fn open(folder: &Path, origin: Origin) -> Result<Self, RunError> {
        let lock = lock(folder)?;
        let path = folder.join(METRICS_FILE);
        Ok(Self {
            folder: folder.to_owned(),
            origin,
            metrics: append_to(&path)?,
            lock,
        })
    }

    /// Folders of runs of this name, the newest first.
    ///
    /// # Errors
    /// A root that cannot be listed.
    pub fn all(root: &Path, name: &str) -> Result<Vec<PathBuf>, RunError> {
        if !root.is_dir() {
            return Ok(Vec::new());
        }
        let runs = numbered(root, name)?.into_iter().rev();
        Ok(runs.map(|(_, folder)| folder).collect())
    }

    /// Whether a process is at work in a run folder.
    pub fn is_locked(folder: &Path) -> bool {
        let Ok(file) = zoo_files::open(&folder.join(LOCK_FILE)) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
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
        self.metrics
            .write_all(&line)
            .map_err(io_error(&self.folder.join(METRICS_FILE), "writing"))
    }

    /// Writes a file of the run beside its name and renames it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        self.check_there()?;
        write_file(&self.folder.join(name), bytes)
    }

    /// Finds the checkpoint to go on from and takes the run back to it: events after it are
    /// forgotten, and so are checkpoints after it, which are all refused ones.
    ///
    /// # Errors
    /// See [`find_checkpoint`]; files that cannot be written.
    pub fn rewind(&mut self, allowed: &[String], total_steps: usize) -> Result<Found, RunError> {
        let found = find_checkpoint(&self.folder, &self.origin, allowed)?;
        let step = match &found.checkpoint {
            Some(checkpoint) => checkpoint.manifest.progress.step,
            None => 0,
        };
        if step > total_steps {
            return Err(RunError::TooShort {
                path: self.folder.clone(),
                done: step,
                total: total_steps,
            });
        }
        checkpoint::set_aside(&self.folder, step)?;
        let path = self.folder.join(METRICS_FILE);
        let bytes = fs::read(&path).map_err(io_error(&path, "reading"))?;
        let (events, _) = read_events(&bytes);
        let mut kept = Vec::new();
        for event in events {
            if event.step() <= step && !matches!(event, Event::Finish { .. }) {
                serde_json::to_writer(&mut kept, &event).expect("an event is JSON");
                kept.push(b'\n');
            }
        }
        write_file(&path, &kept)?;
        self.metrics = append_to(&path)?;
        Ok(found)
    }

    /// Writes a checkpoint: `fill` puts files into an empty folder, which is summed, synced and
    /// renamed into place; then all but the newest `keep` go.
    ///
    /// # Errors
    /// What `fill` says, or a file that cannot be written; the checkpoints before it stay.
    pub fn checkpoint<E: From<RunError>>(
        &self,
        progress: Progress,
        keep: usize,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        self.check_there()?;
        // What the checkpoint follows from must be on the disk before it.
        let synced = self.metrics.sync_data();
        synced.map_err(io_error(&self.folder.join(METRICS_FILE), "syncing"))?;
        let path = checkpoint::write(&self.folder, &self.origin, progress, fill)?;
        checkpoint::prune(&self.folder, keep)?;
        Ok(path)
    }

    /// Whether the folder is still the one that was locked.
    fn check_there(&self) -> Result<(), RunError> {
        let there = same_file(&self.lock, &self.folder.join(LOCK_FILE));
        if there {
            return Ok(());
        }
        Err(RunError::Removed {
            path: self.folder.clone(),
        })
    }
}

fn append_to(path: &Path) -> Result<File, RunError> {
    let file = File::options().create(true).append(true).open(path);
    file.map_err(io_error(path, "opening for writing"))
}

/// Takes the lock of a run folder and writes into it who has it.
fn lock(folder: &Path) -> Result<File, RunError> {
    let path = folder.join(LOCK_FILE);
    if !folder.is_dir() {
        let error = io::Error::new(io::ErrorKind::NotFound, "no such folder");
        return Err(io_error(folder, "opening the run folder")(error));
    }
    let mut options = File::options();
    let options = options.create(true).truncate(false).read(true).write(true);
    let mut file = options
        .open(&path)
        .map_err(io_error(&path, "opening for writing"))?;
    match try_lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "another process".into(),
                id => format!("process {id}"),
            };
            return Err(RunError::Locked {
                path: folder.to_owned(),
                holder,
            });
        }
        // A file system without locks (some network ones) cannot tell; that is no reason to refuse.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(io_error(&path, "locking")(error)),
    }
    let id = std::process::id().to_string();
    let written = file.set_len(0).and_then(|()| file.write_all(id.as_bytes()));
    written.map_err(io_error(&path, "writing"))?;
    Ok(file)
}

/// Locks a file, with some patience: whoever asks whether it is locked holds it for an instant.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    const TRIES: usize = 10;
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            done => return done,
        }
    }
    file.try_lock()
}

#[cfg(unix)]
fn same_file(open: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (open.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => id(open) == id(there),
        _ => false,
    }
}

/// A folder with a locked file in it cannot be removed here.
#[cfg(not(unix))]
fn same_file(_: &File, path: &Path) -> bool {
    path.exists()
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

pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    zoo_files::write(path, bytes).map_err(io_error(path, "writing"))
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), RunError> {
    zoo_files::sync_folder(folder).map_err(io_error(folder, "syncing"))
}

pub(crate) fn remove(folder: &Path) -> Result<(), RunError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(folder, "removing")(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Recipe;

    fn origin(text: &str) -> Origin {
        Origin {
            recipe: Recipe::parse("test", text, &[]).unwrap(),
            data_sha256: BTreeMap::from([("train".into(), "00".repeat(32))]),
        }
    }

    fn create(root: &Path, name: &str) -> Run {
        Run::create(root, name, origin("train.steps = 100")).unwrap()
    }

    fn save(run: &Run, step: usize, keep: usize) -> PathBuf {
        let progress = Progress {
            step,
            ..Progress::default()
        };
        run.checkpoint::<RunError>(progress, keep, |folder| {
            fs::write(folder.join(MODEL_FILE), format!("weights {step}"))
                .map_err(io_error(folder, "writing"))
        })
        .unwrap()
    }

    #[test]
    fn a_look_at_the_lock_does_not_keep_a_run_from_being_opened() {
        let root = tempfile::tempdir().unwrap();
        let run = create(root.path(), "demo");
        let folder = run.folder().to_owned();
        drop(run);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    Run::is_locked(&folder);
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
            for _ in 0..500 {
                Run::open(&folder, origin("train.steps = 100")).unwrap();
            }
        });
    }

    /// The step that would be gone on from, and how many were refused.
    fn found(run: &Run) -> (Option<usize>, usize) {
        let found = find_checkpoint(run.folder(), &run.origin, &[]).unwrap();
        let step = found.checkpoint.map(|found| found.manifest.progress.step);
        (step, found.refused.len())
    }

    #[test]
    fn runs_are_numbered_upwards_and_the_newest_is_found_first() {
        let root = tempfile::tempdir().unwrap();
        for number in 1..=11 {
            let run = create(root.path(), "mlp-flex");
            assert_eq!(run.folder(), root.path().join(format!("mlp-flex-{number}")));
        }
        create(root.path(), "mlp-flex-2"); // a recipe whose name ends in a number
        let all = Run::all(root.path(), "mlp-flex").unwrap();
        assert_eq!((all.len(), &all[0]), (11, &root.path().join("mlp-flex-11")));
        assert!(Run::all(root.path(), "gpt").unwrap().is_empty());
    }

    #[test]
    fn a_damaged_checkpoint_is_refused_by_name_and_the_one_before_is_used() {
        type Damage = fn(&Path);
        let damages: [(Damage, &str); 6] = [
            (
                |c| fs::write(c.join(MODEL_FILE), "weights 21").unwrap(),
                "model.safetensors has sha256",
            ),
            (
                |c| fs::write(c.join(MODEL_FILE), "weig").unwrap(),
                "model.safetensors has sha256",
            ),
            (
                |c| fs::remove_file(c.join(MODEL_FILE)).unwrap(),
                "model.safetensors: reading failed",
            ),
            (
                |c| fs::remove_file(c.join("manifest.json")).unwrap(),
                "manifest.json: reading failed",
            ),
            (
                |c| fs::write(c.join("manifest.json"), "{}").unwrap(),
                "manifest.json: has sha256",
            ),
            (
                // Sound, but of a later version.
                |c| {
                    let path = c.join("manifest.json");
                    let text = fs::read_to_string(&path).unwrap();
                    let text = text.replace("\"format\": 2", "\"format\": 3");
                    let sum =
                        checkpoint::hexadecimal(<sha2::Sha256 as sha2::Digest>::digest(&text));
                    fs::write(&path, text).unwrap();
                    fs::write(c.join("manifest.json.sha256"), sum).unwrap();
                },
                "manifest.json: format 3, this version reads 2",
            ),
        ];
        for (damage, says) in damages {
            let root = tempfile::tempdir().unwrap();
            let run = create(root.path(), "x");
            save(&run, 10, 2);
            let newest = save(&run, 20, 2);
            assert_eq!(found(&run), (Some(20), 0));
            damage(&newest);
            assert_eq!(found(&run), (Some(10), 1));
            let refused = find_checkpoint(run.folder(), &run.origin, &[])
                .unwrap()
                .refused;
            let message = refused[0].to_string();
            assert!(
                message.contains("20") && message.contains(says),
                "{message}"
            );
        }
    }

    #[test]
    fn a_checkpoint_of_another_recipe_is_refused_by_the_keys_that_differ() {
        let root = tempfile::tempdir().unwrap();
        let run = create(root.path(), "x");
        save(&run, 10, 2);
        let mut other = origin("train.steps = 200\noptimizer.learning_rate = 0.5");
        let refuse = |other: &Origin, allowed: &[&str]| {
            let allowed: Vec<String> = allowed.iter().map(|key| (*key).to_owned()).collect();
            find_checkpoint(run.folder(), other, &allowed)
        };
        let error = refuse(&other, &[]).unwrap_err().to_string();
        assert!(error.contains("train.steps was 100, is 200"), "{error}");
        assert!(
            error.contains("--allow-changed optimizer.learning_rate,train.steps"),
            "{error}"
        );
        let error = refuse(&other, &["train.steps"]).unwrap_err().to_string();
        assert!(
            error.contains("learning_rate") && !error.contains("train.steps"),
            "{error}"
        );
        let found = refuse(&other, &["train.steps", "optimizer.learning_rate"]).unwrap();
        assert_eq!((found.checkpoint.is_some(), found.changed.len()), (true, 2));

        // What is only logged and kept may change; data may not.
        other = origin("train.steps = 100\ntrain.keep_checkpoints = 9\nabout = 'x'");
        assert!(refuse(&other, &[]).is_ok());
        other.data_sha256.insert("train".into(), "11".repeat(32));
        let error = refuse(&other, &[]).unwrap_err().to_string();
        assert!(
            error.contains("data was train 00000000, is train 11111111"),
            "{error}"
        );
        assert!(refuse(&other, &["data"]).is_ok());
    }

    #[test]
    fn a_foreign_checkpoint_among_ones_own_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let run = create(root.path(), "x");
        save(&run, 10, 2);
        let other = Run::create(root.path(), "y", origin("train.steps = 7")).unwrap();
        let foreign = save(&other, 20, 2);
        fs::rename(foreign, run.folder().join("checkpoints/20")).unwrap();
        assert_eq!(found(&run), (Some(10), 1));
    }

    #[test]
    fn where_nothing_is_sound_the_newest_is_named() {
        let root = tempfile::tempdir().unwrap();
        let run = create(root.path(), "x");
        assert_eq!(found(&run), (None, 0));
        fs::remove_file(save(&run, 10, 2).join(MODEL_FILE)).unwrap();
        let error = find_checkpoint(run.folder(), &run.origin, &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no checkpoint is sound") && error.contains("10"),
            "{error}"
        );
    }

    #[test]
    fn rewinding_forgets_what_came_after_the_checkpoint() {
        let root = tempfile::tempdir().unwrap();
        let mut run = create(root.path(), "x");
        let event = |step| Event::Checkpoint {
            step,
            path: String::new(),
        };
        run.log(&event(10)).unwrap();
        save(&run, 10, 3);
        run.log(&event(20)).unwrap();
        fs::remove_file(save(&run, 20, 3).join(MODEL_FILE)).unwrap();
        fs::create_dir(run.folder().join("checkpoints/.30.part")).unwrap();
        // Not shorter than it is: then nothing is forgotten.
        let before = fs::read(run.folder().join(METRICS_FILE)).unwrap();
        let newest = match find_checkpoint(run.folder(), &run.origin, &[]) {
            Ok(Found {
                checkpoint: Some(checkpoint),
                ..
            }) => checkpoint.manifest.progress.step,
            other => panic!("{other:?}"),
        };
        let error = run.rewind(&[], newest - 1).unwrap_err().to_string();
        assert!(error.contains("is not made shorter"), "{error}");
        assert_eq!(fs::read(run.folder().join(METRICS_FILE)).unwrap(), before);
        run.rewind(&[], 100).unwrap();
        run.log(&event(15)).unwrap();
        let text = fs::read(run.folder().join(METRICS_FILE)).unwrap();
        assert_eq!(read_events(&text).0, [event(10), event(15)]);
        let mut left = names(&run.folder().join("checkpoints")).unwrap();
        left.sort();
        assert_eq!(left, ["10", "20.refused"]);
    }

    #[test]
    fn old_checkpoints_go() {
        let root = tempfile::tempdir().unwrap();
        let run = create(root.path(), "x");
        for step in [9, 10, 100] {
            save(&run, step, 2);
        }
        let mut left = names(&run.folder().join("checkpoints")).unwrap();
        left.sort();
        assert_eq!(left, ["10", "100"]);
    }

    #[test]
    fn a_failed_checkpoint_leaves_the_one_before_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let run = create(root.path(), "x");
        save(&run, 10, 1);
        let progress = Progress {
            step: 20,
            ..Progress::default()
        };
        let failed = run.checkpoint(progress, 1, |folder| {
            fs::write(folder.join(MODEL_FILE), "half").unwrap();
            Err(RunError::Damaged {
                path: folder.to_owned(),
                problem: "planted".into(),
            })
        });
        assert!(failed.is_err());
        assert_eq!(found(&run), (Some(10), 0));
        assert_eq!(names(&run.folder().join("checkpoints")).unwrap(), ["10"]);
    }

    #[test]
    fn one_process_at_a_time_writes_to_a_run_folder() {
        let root = tempfile::tempdir().unwrap();
        let run = create(root.path(), "x");
        let (folder, origin) = (run.folder().to_owned(), run.origin.clone());
        assert!(Run::is_locked(&folder));
        let error = Run::open(&folder, origin.clone()).unwrap_err().to_string();
        let holder = format!("process {}", std::process::id());
        assert!(error.contains(&holder), "{error}");
        drop(run);
        assert!(!Run::is_locked(&folder));
        Run::open(&folder, origin).unwrap();
    }

    #[test]
    fn a_removed_run_folder_is_not_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let run = create(root.path(), "x");
        fs::remove_dir_all(run.folder()).unwrap();
        let saved = run.checkpoint::<RunError>(Progress::default(), 1, |_| Ok(()));
        assert!(matches!(saved, Err(RunError::Removed { .. })));
        assert!(!run.folder().exists());
        // Nor is a folder of the same name that somebody else made since.
        fs::create_dir(run.folder()).unwrap();
        fs::write(run.folder().join(".lock"), "").unwrap();
        assert!(matches!(run.write("a", b""), Err(RunError::Removed { .. })));
    }
}
