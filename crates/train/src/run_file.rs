//! The files of a run folder: what they are called, how they are written, and what can go wrong.

use std::io;
use std::path::{Path, PathBuf};

use zoo_files::Folder;

use crate::recipe::Difference;

/// The name of a checkpoint's model file, and of the run's result.
pub const MODEL_FILE: &str = "model.safetensors";
/// The events of a run, one a line.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// The resolved recipe.
pub const RECIPE_FILE: &str = "recipe.toml";
/// Held by the process that writes to the run.
pub(crate) const LOCK_FILE: &str = ".lock";

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
        "{}: the run folder, or the {LOCK_FILE} in it, was removed or replaced while the run went on; \
         nothing was written to what is there now",
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

pub(crate) fn write_file(folder: &Folder, name: &str, bytes: &[u8]) -> Result<(), RunError> {
    let written = folder.write(name, bytes);
    written.map_err(io_error(&folder.path().join(name), "writing"))
}
