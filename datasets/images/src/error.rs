//! What can be wrong with image data, said as: where, expected, found, what to do.

use crate::{SCENE_SETS, SETS};
use std::io;
use std::path::{Path, PathBuf};
use zoo_codec::image::{MAX_SIDE, PictureError, PreprocessingError};

/// Why images cannot be had. Causes from below are in `source()` and not repeated in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No row of [`SETS`] has this name.
    #[error("unknown image set `{name}`; there are: {}", set_names())]
    UnknownSet {
        /// The name asked for.
        name: String,
    },
    /// No row of [`SCENE_SETS`] has this name.
    #[error("unknown set of scenes `{name}`; there are: {}", scene_names())]
    UnknownScenes {
        /// The name asked for.
        name: String,
    },
    /// A file or folder is not there.
    #[error("found no {what}; looked for {}; {next}", join(looked_for))]
    Missing {
        /// What the file would hold.
        what: String,
        /// Every path that would have done.
        looked_for: Vec<PathBuf>,
        /// What to do.
        next: String,
    },
    /// A file or folder is there but reading it fails, at the disk or in decompression.
    #[error("{}: cannot be read through to its end; {next}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What to do.
        next: String,
        /// The cause.
        source: io::Error,
    },
    /// A file or folder does not hold what its format or the rest of the set promises.
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
    /// A file of an image folder gives no picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A picture that cannot be brought to the size that is asked for.
    #[error("{}: {source}", path.display())]
    Preprocessing {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: PreprocessingError,
    },
    /// A mask is no PNG that can be decoded.
    #[error("{}: expected a PNG mask, found one that does not decode; replace or remove the file",
            path.display())]
    DecodeMask {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: png::DecodingError,
    },
    /// An image size was asked for that no image can have.
    #[error(
        "data.size = [{height}, {width}] is out of range: \
             height and width must each be 1 to {}",
        MAX_SIDE
    )]
    Size {
        /// Height asked for, in pixels.
        height: usize,
        /// Width asked for, in pixels.
        width: usize,
    },
}

/// A file or folder beside the pictures that cannot be read.
pub(crate) fn unreadable(path: &Path, source: io::Error) -> ImageError {
    ImageError::Read {
        path: path.into(),
        next: "check that it exists and may be read".into(),
        source,
    }
}

fn set_names() -> String {
    let names: Vec<_> = SETS.iter().map(|set| set.name).collect();
    names.join(", ")
}

fn scene_names() -> String {
    let names: Vec<_> = SCENE_SETS.iter().map(|set| set.name).collect();
    names.join(", ")
}

fn join(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}
