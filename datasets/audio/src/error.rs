//! What can be wrong with recordings, said as: where, expected, found, what to do.

use std::io;
use std::path::PathBuf;

use zoo_codec::sound::SoundError;

use crate::SETS;

/// Why recordings cannot be had. A message never repeats its `source`: print the whole chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// No row of [`SETS`] has this name.
    #[error("unknown sound set `{name}`; there are: {}", set_names())]
    UnknownSet {
        /// The name asked for.
        name: String,
    },
    /// A file or folder is not there.
    #[error("found no {what}; looked for {}; {next}", join(looked_for))]
    Missing {
        /// What it would hold.
        what: String,
        /// Every path that would have done.
        looked_for: Vec<PathBuf>,
        /// What to do.
        next: String,
    },
    /// A file or folder that is there cannot be read.
    #[error("{}: cannot be read; make it a readable file, or take it out of the set", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file or folder does not hold what its name or the rest of the set promises.
    #[error("{}: expected {expected}, found {found}; {next}", path.display())]
    Unexpected {
        /// The file or folder.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do.
        next: String,
    },
    /// A recording that does not decode; the source names it.
    #[error("a recording of the set cannot be used")]
    Sound(#[from] SoundError),
    /// An option out of its range.
    #[error("data.{key} must lie in {range}; found {found}")]
    Range {
        /// As a recipe spells it.
        key: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        found: f64,
    },
}

fn set_names() -> String {
    let names: Vec<_> = SETS.iter().map(|set| set.name).collect();
    names.join(", ")
}

fn join(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}
