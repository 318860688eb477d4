//! What other people made, read within bounds.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Opens a file for reading, if it is one.
///
/// A link is followed, and what it leads to must be a regular file: a device such as `/dev/zero` has
/// no end, a pipe waits for somebody who writes, and opening either may do something.
///
/// # Errors
/// What is not there, cannot be read, or is something else ([`io::ErrorKind::InvalidInput`]).
pub fn open(path: &Path) -> io::Result<File> {
    check_regular(&fs::metadata(path)?)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // If a pipe has taken its place since, this does not wait.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

pub(crate) fn check_regular(metadata: &fs::Metadata) -> io::Result<()> {
    let what = if metadata.is_file() {
        return Ok(());
    } else if metadata.is_dir() {
        // As the system says it.
        return Err(io::ErrorKind::IsADirectory.into());
    } else {
        "not a regular file but a device, a pipe or a socket"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// Opens a file for reading, if it has `most_bytes` at most. It may grow meanwhile.
///
/// # Errors
/// See [`open`]; a larger file ([`io::ErrorKind::FileTooLarge`]), of which nothing is read.
pub fn open_at_most(path: &Path, most_bytes: u64) -> io::Result<File> {
    let file = open(path)?;
    match file.metadata()?.len() {
        claimed if claimed > most_bytes => Err(too_large(claimed, most_bytes)),
        _ => Ok(file),
    }
}

fn too_large(bytes: u64, most_bytes: u64) -> io::Error {
    let problem = format!("{bytes} bytes are more than the {most_bytes} that it may have");
    io::Error::new(io::ErrorKind::FileTooLarge, problem)
}

/// Reads a whole file, if it has `most_bytes` at most.
///
/// # Errors
/// See [`open_at_most`].
pub fn read(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open_at_most(path, most_bytes)?;
    let claimed = file.metadata()?.len();
    let too_large = |bytes: u64| too_large(bytes, most_bytes);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(claimed).map_err(|_| too_large(claimed))?)?;
    // Files of the kernel's say that they have no bytes.
    file.take(most_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        length if length > most_bytes => Err(too_large(length)),
        _ => Ok(bytes),
    }
}

/// Reads a whole file of UTF-8, if it has `most_bytes` at most.
///
/// # Errors
/// See [`read`]; what is not UTF-8 ([`io::ErrorKind::InvalidData`]), with the place.
pub fn read_text(path: &Path, most_bytes: u64) -> io::Result<String> {
    String::from_utf8(read(path, most_bytes)?).map_err(|error| {
        let problem = format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to());
        io::Error::new(io::ErrorKind::InvalidData, problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write;

    #[test]
    fn a_file_is_read_if_it_is_not_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read_text(&path, u64::MAX).unwrap(), "12345");
        let error = read(&path, 4).unwrap_err();
        assert_eq!(
            error.to_string(),
            "5 bytes are more than the 4 that it may have"
        );
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        write(&path, b"ab\xff").unwrap();
        let error = read_text(&path, 4).unwrap_err();
        assert_eq!(error.to_string(), "not UTF-8 at byte 2");
        assert_eq!(
            read(folder.path(), 4).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let (device, file, link) = (
            folder.path().join("device"),
            folder.path().join("file"),
            folder.path().join("link"),
        );
        std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
        write(&file, b"ours").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        // Each would hang, or read for ever.
        for path in [&pipe, &device] {
            let error = read(path, 10).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        assert_eq!(read(&link, 10).unwrap(), b"ours");
    }
}
