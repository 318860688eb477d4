//! Why a picture cannot be had, said as: where, expected, found, what to do.

use std::io;
use std::path::PathBuf;

/// Why a file gives no picture. Causes from below are in `source()` and not repeated in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// Reading the file fails.
    #[error("{}: cannot be read through to its end; {next}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What to do.
        next: String,
        /// The cause.
        source: io::Error,
    },
    /// Decoding would take too much.
    #[error("{}: expected {expected}, found {found}; scale the image down, or remove the file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What may be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file is no image that can be decoded.
    #[error("{}: expected a PNG or JPEG image, found one that does not decode; \
             replace or remove the file", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
