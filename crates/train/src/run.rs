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
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zoo_files::Folder;

use crate::checkpoint::{self, Found, Origin, Progress, find_checkpoint, names};
use crate::event::{Event, events_in};
use crate::run_file::{LOCK_FILE, METRICS_FILE, RunError, io_error, write_file};

/// A run's folder, open for writing by this process alone.
#[derive(Debug)]
pub struct Run {
    /// Opened once: what is written goes here, wherever the path leads by then, and through no link.
    folder: Folder,
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
        Self::in_folder(Self::create_folder(root, name)?, origin)
    }

    /// Creates the folder alone, for results that no training made.
    ///
    /// # Errors
    /// A name that would lead out of `root`, or a folder that cannot be created.
    pub fn create_folder(root: &Path, name: &str) -> Result<Folder, RunError> {
        zoo_files::check_name(name).map_err(|problem| RunError::Name {
            name: name.to_owned(),
            problem,
        })?;
        let runs = Folder::make(root).map_err(io_error(root, "creating the output folder"))?;
        let taken = numbered(root, name)?
            .last()
            .map_or(0, |(number, _)| *number);
        for number in taken + 1.. {
            let folder = format!("{name}-{number}");
            match runs.new_inner(&folder) {
                Ok(folder) => return Ok(folder),
                // Another process took the number between the look and the step.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let folder = root.join(folder);
                    return Err(io_error(&folder, "creating the run folder")(error));
                }
            }
        }
        unreachable!("numbers do not run out")
    }

    /// Opens an existing run folder to continue it.
    ///
    /// # Errors
    /// A folder that does not exist, cannot be written, or is in use by another process; a link where
    /// a file of the run should be.
    pub fn open(folder: &Path, origin: Origin) -> Result<Self, RunError> {
        let opened = Folder::open(folder).map_err(io_error(folder, "opening the run folder"))?;
        Self::in_folder(opened, origin)
    }

    fn in_folder(folder: Folder, origin: Origin) -> Result<Self, RunError> {
        Ok(Self {
            lock: lock(&folder)?,
            metrics: open_metrics(&folder)?,
            folder,
            origin,
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
        self.folder.path()
    }

    /// The folder itself, to write into.
    pub fn inside(&self) -> &Folder {
        &self.folder
    }

    /// Appends an event to `metrics.jsonl`. If that was removed or replaced meanwhile, what was
    /// written to it is put there again.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn log(&mut self, event: &Event) -> Result<(), RunError> {
        let mut line = serde_json::to_vec(event).expect("an event is JSON");
        line.push(b'\n');
        let path = self.path(METRICS_FILE);
        if !same_file(&self.metrics, &path) && self.folder.is_there() {
            let log = &mut self.metrics;
            let again = self.folder.replace(METRICS_FILE, |copy| {
                log.rewind()?;
                io::copy(log, copy).map(drop)
            });
            again.map_err(io_error(&path, "writing anew"))?;
            self.metrics = open_metrics(&self.folder)?;
        }
        let written = self.metrics.write_all(&line);
        written.map_err(io_error(&path, "writing"))
    }

    /// Writes a file of the run beside its name and renames it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        self.check_there()?;
        write_file(&self.folder, name, bytes)
    }

    /// Finds the checkpoint to go on from and takes the run back to it: events after it are
    /// forgotten, and so are checkpoints after it, which are all refused ones.
    ///
    /// # Errors
    /// See [`find_checkpoint`]; files that cannot be written.
    pub fn rewind(&mut self, allowed: &[String], total_steps: usize) -> Result<Found, RunError> {
        // What is found is gone on with here, so it is looked for nowhere else.
        checkpoint::in_run(&self.folder)?;
        let found = find_checkpoint(self.folder(), &self.origin, allowed)?;
        let step = match &found.checkpoint {
            Some(checkpoint) => checkpoint.manifest.progress.step,
            None => 0,
        };
        if step > total_steps {
            return Err(RunError::TooShort {
                path: self.folder().to_owned(),
                done: step,
                total: total_steps,
            });
        }
        checkpoint::set_aside(&self.folder, step)?;
        let path = self.path(METRICS_FILE);
        let (events, _) = events_in(self.folder()).map_err(io_error(&path, "reading"))?;
        let mut kept = Vec::new();
        for event in events {
            if event.step() <= step && !matches!(event, Event::Finish { .. }) {
                serde_json::to_writer(&mut kept, &event).expect("an event is JSON");
                kept.push(b'\n');
            }
        }
        write_file(&self.folder, METRICS_FILE, &kept)?;
        self.metrics = open_metrics(&self.folder)?;
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
        synced.map_err(io_error(&self.path(METRICS_FILE), "syncing"))?;
        let path = checkpoint::write(&self.folder, &self.origin, progress, fill)?;
        checkpoint::prune(&self.folder, keep)?;
        Ok(path)
    }

    /// Whether the folder is still the one that was locked, before something is written by its path.
    ///
    /// # Errors
    /// That it is not.
    pub fn check_there(&self) -> Result<(), RunError> {
        let there = self.folder.is_there() && same_file(&self.lock, &self.path(LOCK_FILE));
        if there {
            return Ok(());
        }
        Err(RunError::Removed {
            path: self.folder().to_owned(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

fn open_metrics(folder: &Folder) -> Result<File, RunError> {
    let path = folder.path().join(METRICS_FILE);
    let file = folder.append(METRICS_FILE);
    file.map_err(io_error(&path, "opening for writing"))
}

/// Takes the lock of a run folder and writes into it who has it.
fn lock(folder: &Folder) -> Result<File, RunError> {
    let path = folder.path().join(LOCK_FILE);
    let file = folder.lock(LOCK_FILE);
    let mut file = file.map_err(io_error(&path, "opening for writing"))?;
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
                path: folder.path().to_owned(),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Recipe;
    use crate::event::read_events;
    use crate::run_file::{MODEL_FILE, RECIPE_FILE};

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

    /// Everything in a folder from a stranger may be a link, or have holes.
    #[cfg(unix)]
    #[test]
    fn only_regular_files_of_a_checkpoint_are_read_and_no_larger_ones() {
        use std::os::unix::fs::symlink;
        let files = [
            MODEL_FILE,
            "manifest.json",
            "manifest.json.sha256",
            RECIPE_FILE,
        ];
        for name in files {
            let root = tempfile::tempdir().unwrap();
            let run = create(root.path(), "x");
            let path = save(&run, 10, 2).join(name);
            fs::remove_file(&path).unwrap();
            symlink("/dev/zero", &path).unwrap();
            let error = find_checkpoint(run.folder(), &run.origin, &[]).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(name) && error.contains("not a regular file"),
                "{error}"
            );
            fs::remove_file(&path).unwrap();
            File::create(&path).unwrap().set_len(200 << 30).unwrap();
            let error = find_checkpoint(run.folder(), &run.origin, &[]).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(name) && error.contains("214748364800 bytes"),
                "{error}"
            );
        }
        let root = tempfile::tempdir().unwrap();
        let mut run = create(root.path(), "x");
        save(&run, 10, 2);
        for link in [METRICS_FILE, LOCK_FILE] {
            fs::remove_file(run.folder().join(link)).unwrap();
            symlink("/dev/zero", run.folder().join(link)).unwrap();
        }
        let error = run.rewind(&[], 100).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
        assert!(!Run::is_locked(run.folder()));
    }

    #[test]
    fn a_checkpoint_is_of_the_step_that_its_folder_says() {
        let root = tempfile::tempdir().unwrap();
        let run = create(root.path(), "x");
        let older = save(&run, 10, 2);
        fs::rename(older, run.folder().join("checkpoints/20")).unwrap();
        let error = find_checkpoint(run.folder(), &run.origin, &[]).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("is of step 10, and its folder of step 20"),
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
    fn a_log_that_is_removed_is_written_anew() {
        let root = tempfile::tempdir().unwrap();
        let mut run = create(root.path(), "x");
        let path = run.folder().join(METRICS_FILE);
        let event = |step| Event::Checkpoint {
            step,
            path: String::new(),
        };
        run.log(&event(1)).unwrap();
        fs::remove_file(&path).unwrap();
        run.log(&event(2)).unwrap();
        fs::rename(&path, root.path().join("elsewhere")).unwrap();
        fs::write(&path, "another's").unwrap();
        run.log(&event(3)).unwrap();
        run.log(&event(4)).unwrap();
        let told = read_events(&fs::read(&path).unwrap()).0;
        assert_eq!(told, [1, 2, 3, 4].map(event));
        // Nor is it put where nobody wants it.
        fs::remove_dir_all(run.folder()).unwrap();
        run.log(&event(5)).unwrap();
        assert!(!run.folder().exists());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_links_of_a_run_folder() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::create_dir(outside.join("10")).unwrap();
        fs::write(outside.join("profile"), "mine").unwrap();
        fs::write(outside.join("10/profile"), "mine").unwrap();
        let mut run = create(root.path(), "x");
        let folder = run.folder().to_owned();
        // Where checkpoints go, and what they replace.
        symlink(&outside, folder.join("checkpoints")).unwrap();
        let progress = Progress::default;
        let says = |error: RunError| {
            let error = error.to_string();
            assert!(
                error.contains("checkpoints: ") && error.contains("it is a link"),
                "{error}"
            );
        };
        says(run.checkpoint(progress(), 1, |_| Ok(())).unwrap_err());
        says(run.rewind(&[], 100).unwrap_err());
        says(checkpoint::prune(run.inside(), 0).unwrap_err());
        fs::remove_file(folder.join("checkpoints")).unwrap();
        save(&run, 5, 9);
        for name in ["10", "12", ".part", ".10.part", "12.refused"] {
            symlink(outside.join("10"), folder.join("checkpoints").join(name)).unwrap();
        }
        save(&run, 10, 9);
        assert!(!folder.join("checkpoints/10").is_symlink());
        let rewound = run.rewind(&[], 100).unwrap();
        assert_eq!(rewound.refused.len(), 1);
        save(&run, 20, 1);
        let mut left = names(&folder.join("checkpoints")).unwrap();
        left.sort();
        assert_eq!(left, ["12.refused", "20"]);
        drop(run);
        // A lock and a log.
        let open = || Run::open(&folder, origin("train.steps = 100"));
        for name in [LOCK_FILE, METRICS_FILE] {
            let path = folder.join(name);
            fs::remove_file(&path).unwrap();
            for to in ["profile", "absent"] {
                symlink(outside.join(to), &path).unwrap();
                let error = open().unwrap_err().to_string();
                assert!(
                    error.contains(name) && error.contains("it is a link"),
                    "{error}"
                );
                fs::remove_file(&path).unwrap();
            }
        }
        fs::hard_link(outside.join("profile"), folder.join(METRICS_FILE)).unwrap();
        let mut run = open().unwrap();
        run.log(&Event::Checkpoint {
            step: 1,
            path: String::new(),
        })
        .unwrap();
        drop(run);
        fs::remove_file(folder.join(LOCK_FILE)).unwrap();
        fs::hard_link(outside.join("profile"), folder.join(LOCK_FILE)).unwrap();
        assert!(open().unwrap_err().to_string().contains("hard link"));
        for file in ["profile", "10/profile"] {
            assert_eq!(fs::read(outside.join(file)).unwrap(), b"mine");
        }
        let mut left = names(&outside).unwrap();
        left.sort();
        assert_eq!(left, ["10", "profile"]);
        assert_eq!(names(&outside.join("10")).unwrap(), ["profile"]);
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
        // Nor one that a link leads to, be it the same lock.
        #[cfg(unix)]
        {
            let run = create(root.path(), "y");
            let other = root.path().join("other");
            fs::create_dir(&other).unwrap();
            fs::rename(run.folder().join(LOCK_FILE), other.join(LOCK_FILE)).unwrap();
            fs::remove_dir_all(run.folder()).unwrap();
            std::os::unix::fs::symlink(&other, run.folder()).unwrap();
            assert!(matches!(run.check_there(), Err(RunError::Removed { .. })));
        }
    }
}
