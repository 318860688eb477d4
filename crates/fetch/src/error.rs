//! Why a fetch failed, and what a person can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::source::Size;

/// Why [`fetch()`](crate::fetch()) gave up. What was complete stays, and so do the beginnings in
/// `.part` files: fetching again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No mirror gave a file.
    #[error("{}", unavailable(name, folder, wanted, causes))]
    Unavailable {
        /// Name of the source.
        name: String,
        /// Where the files belong.
        folder: PathBuf,
        /// The files that are still missing or wrong.
        wanted: Vec<Wanted>,
        /// What each mirror answered.
        causes: Vec<String>,
    },
    /// The disk refused.
    #[error("cannot {doing} {}: {cause}{}", path.display(), remedy(cause))]
    Disk {
        /// What was tried, as in `write`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        cause: io::Error,
    },
    /// Another process is fetching into the same folder.
    #[error("another fetch is writing to {}; wait until it is done", .0.display())]
    Busy(PathBuf),
}

/// A file that a person can put in its place by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Path below the folder.
    pub path: String,
    /// SHA-256 of the decompressed bytes; `…` stands for the rest of one that is not published.
    pub sha256: String,
    /// Number of decompressed bytes.
    pub size: Size,
    /// Where it is served; for a member of an archive, where the archive is.
    pub urls: Vec<String>,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.path.ends_with(".gz") {
            " decompressed"
        } else {
            ""
        };
        write!(
            f,
            "{} ({}{kind}, sha256 {})",
            self.path, self.size, self.sha256
        )
    }
}

fn unavailable(name: &str, folder: &Path, wanted: &[Wanted], causes: &[String]) -> String {
    let mut text = format!("{name}: no mirror gave what is needed");
    for cause in causes {
        text += &format!("\n  {cause}");
    }
    text += &format!(
        "\nCheck the network and fetch again, or put these files in {}:",
        folder.display()
    );
    for file in wanted {
        text += &format!("\n  {file}");
        for url in &file.urls {
            text += &format!("\n    {url}");
        }
    }
    text
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "; free some space or choose another data folder, then fetch again"
        }
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory => "; choose a data folder that you may write to",
        _ => "",
    }
}

/// Gives an I/O error its file and its verb.
pub(crate) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    move |cause| FetchError::Disk {
        doing,
        path: path.into(),
        cause,
    }
}
