//! Whether the bytes on the disk are the ones that the source names.

use std::fmt;
use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::source::{Piece, Size, Source};

/// What was found where a file of a source should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The very bytes that the source names.
    Ok,
    /// As many bytes as the source names, and a sum that begins as it says; it knows no more.
    OkSoFar {
        /// The beginning that the source names.
        prefix: String,
        /// SHA-256 found.
        sha256: String,
    },
    /// No such file.
    Missing,
    /// Another number of decompressed bytes.
    WrongSize {
        /// Bytes that the source names.
        expected: Size,
        /// Bytes found. For gzip that holds too many, decompression stopped here.
        found: u64,
    },
    /// The right number of bytes, but others.
    WrongSum {
        /// SHA-256 that the source names, or how it begins.
        expected: String,
        /// SHA-256 found.
        found: String,
    },
    /// It cannot be read to its end: broken gzip, no permission, a folder in its place.
    Damaged(String),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => write!(f, "ok"),
            Self::OkSoFar { prefix, sha256 } => write!(
                f,
                "ok: matches the published prefix {prefix} (sha256 {sha256})"
            ),
            Self::Missing => write!(f, "missing"),
            Self::WrongSize { expected, found } if *found > expected.most() => {
                write!(
                    f,
                    "wrong size: expected {expected}, found more ({found} or above)"
                )
            }
            Self::WrongSize { expected, found } => {
                write!(f, "wrong size: expected {expected}, found {found}")
            }
            Self::WrongSum { expected, found } => {
                write!(f, "wrong sum: expected sha256 {expected}, found {found}")
            }
            Self::Damaged(reason) => write!(f, "damaged: {reason}"),
        }
    }
}

impl Status {
    /// Whether the file is as far as anyone can tell the one that the source names.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok | Self::OkSoFar { .. })
    }
}

/// Checks every file of `source` below `data_dir`, reading each to its end. A file that the source
/// names as `x.gz` may also stand there plain, as `x`.
///
/// The paths include `data_dir`; a file that is missing is named as the source names it.
pub fn verify(source: &Source, data_dir: &Path) -> Vec<(PathBuf, Status)> {
    let folder = source.folder(data_dir);
    source
        .pieces()
        .iter()
        .map(|piece| verify_piece(piece, &folder))
        .collect()
}

pub(crate) fn verify_piece(piece: &Piece<'_>, folder: &Path) -> (PathBuf, Status) {
    let path = folder.join(piece.path);
    let status = examine(&path, piece.plain_path().is_some(), piece).status();
    if status == Status::Missing
        && let Some(plain) = piece.plain_path()
    {
        let plain = folder.join(plain);
        let status = examine(&plain, false, piece).status();
        if status != Status::Missing {
            return (plain, status);
        }
    }
    (path, status)
}

/// A [`Status`] that tells a beginning of the right file, perhaps, from a wrong one.
#[derive(Debug)]
pub(crate) enum Finding {
    Good(Status),
    /// It ends early. What is there may be right.
    Short(Status),
    Bad(Status),
}

impl Finding {
    pub(crate) fn status(self) -> Status {
        match self {
            Self::Good(status) | Self::Short(status) | Self::Bad(status) => status,
        }
    }
}

/// Compares the file at `path` with `piece`, decompressing it where `gzip`.
pub(crate) fn examine(path: &Path, gzip: bool, piece: &Piece<'_>) -> Finding {
    let file = match fs::metadata(path).and_then(|meta| Ok((meta, fs::File::open(path)?))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::Bad(Status::Missing);
        }
        Err(error) => return Finding::Bad(Status::Damaged(error.to_string())),
        Ok((meta, _)) if !meta.is_file() => {
            return Finding::Bad(Status::Damaged(
                "expected a file, found something else".into(),
            ));
        }
        // A plain file of another size need not be read.
        Ok((meta, _)) if !gzip && !piece.size.holds(meta.len()) => {
            return size_finding(piece.size, meta.len());
        }
        Ok((_, file)) => BufReader::with_capacity(1 << 16, file),
    };
    let result = if gzip {
        copy_checked(&mut MultiGzDecoder::new(file), &mut io::sink(), piece)
    } else {
        copy_checked(&mut { file }, &mut io::sink(), piece)
    };
    match result {
        Ok(finding) => finding,
        Err(error) if gzip && error.kind() == io::ErrorKind::UnexpectedEof => {
            Finding::Short(Status::Damaged("the gzip stream ends early".into()))
        }
        Err(error) => Finding::Bad(Status::Damaged(error.to_string())),
    }
}

/// Copies `from` to `to` and compares the bytes with `piece` as they pass. Stops as soon as there
/// are more than it names, so a bomb costs nothing.
///
/// # Errors
/// Those of reading and writing.
pub(crate) fn copy_checked(
    from: &mut impl Read,
    to: &mut impl io::Write,
    piece: &Piece<'_>,
) -> io::Result<Finding> {
    let mut sum = Sha256::new();
    let mut found = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        found += count as u64;
        if found > piece.size.most() {
            break;
        }
        sum.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
    if !piece.size.holds(found) {
        return Ok(size_finding(piece.size, found));
    }
    let found = hex(&sum.finalize());
    if found == piece.sha256 {
        return Ok(Finding::Good(Status::Ok));
    }
    if piece.is_prefix() && found.starts_with(piece.sha256) {
        return Ok(Finding::Good(Status::OkSoFar {
            prefix: piece.sha256.into(),
            sha256: found,
        }));
    }
    Ok(Finding::Bad(Status::WrongSum {
        expected: piece.sha256.into(),
        found,
    }))
}

pub(crate) fn size_finding(expected: Size, found: u64) -> Finding {
    let status = Status::WrongSize { expected, found };
    if found < expected.fewest() {
        Finding::Short(status)
    } else {
        Finding::Bad(status)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
