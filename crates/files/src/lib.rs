//! Files of other people's, read within bounds, and files that are written whole or not at all.
//!
//! What is written stands beside its place, synced, and is renamed into it: whoever reads the path
//! meanwhile, or after a crash or a full disk, finds the file that was there before or the new one,
//! never a part of it. [`check_name`] says what may name one.
//!
//! What is read is a regular file ([`open`]) that is no larger than its reader can use ([`read`]).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
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

fn check_regular(metadata: &fs::Metadata) -> io::Result<()> {
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

/// Reads a whole file, if it has `most_bytes` at most.
///
/// # Errors
/// See [`open`]; a larger file ([`io::ErrorKind::FileTooLarge`]), of which nothing is read.
pub fn read(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let too_large = |bytes: u64| {
        let problem = format!("{bytes} bytes are more than the {most_bytes} that it may have");
        io::Error::new(io::ErrorKind::FileTooLarge, problem)
    };
    let claimed = file.metadata()?.len();
    if claimed > most_bytes {
        return Err(too_large(claimed));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(claimed).map_err(|_| too_large(claimed))?)?;
    // It may grow meanwhile, and files of the kernel's say that they have no bytes.
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

/// Puts a file of these bytes at `path`, in place of what is there.
///
/// # Errors
/// A folder that is not there or cannot be written; a full disk. What was at `path` stays.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, |file| file.write_all(bytes))
}

/// Puts a file at `path` that `fill` has written. Readable by whom the umask says.
///
/// The new file has a name that nothing else has (it is created, never opened), and a link at
/// `path` is replaced, not followed.
///
/// # Errors
/// What `fill` says; a folder that is not there or cannot be written. What was at `path` stays.
pub fn replace<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let folder = folder_of(path);
    let mut part = part(path, 0o666, &mut |part| part.tempfile_in(folder))?;
    fill(part.as_file_mut())?;
    part.as_file().sync_all()?;
    part.persist(path).map_err(|error| error.error)?;
    Ok(sync_folder(folder)?)
}

/// Puts a folder at `path` whose files `fill` has written into the folder that it is given; its files
/// take the place of those of the same names, if there is one already.
///
/// # Errors
/// What `fill` says, and then nothing has changed; a place that cannot be written.
pub fn replace_folder<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = folder_of(path);
    fs::create_dir_all(parent)?;
    let part = part(path, 0o777, &mut |part| part.tempdir_in(parent))?;
    fill(part.path())?;
    sync_folder(part.path())?;
    if path.is_dir() {
        for file in fs::read_dir(part.path())? {
            let file = file?;
            fs::rename(file.path(), path.join(file.file_name()))?;
        }
        sync_folder(path)?;
    } else {
        fs::rename(part.path(), path)?;
        // Moved: there is nothing left to remove.
        let _ = part.keep();
    }
    Ok(sync_folder(parent)?)
}

/// Makes what will be at `path`, under a name beside it that nothing else has. Readable by whom the
/// umask says, as any new file or folder.
fn part<T>(
    path: &Path,
    mode: u32,
    make: &mut dyn FnMut(&tempfile::Builder<'_, '_>) -> io::Result<T>,
) -> io::Result<T> {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less what the umask takes away.
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    make(&builder)
}

/// Brings the names in a folder to the disk, where the system has a way to.
///
/// # Errors
/// A folder that cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    File::open(folder)?.sync_all()
}

/// Whether `name` can name a file or folder inside the folder that it is meant for, on every system:
/// one part of a path, and not the way out of it. What becomes a path is held to this first.
///
/// # Errors
/// What is wrong with it, to stand after the name.
pub fn check_name(name: &str) -> Result<(), String> {
    /// Names of files have 255 bytes at most, and numbers and endings are added to this one.
    const LONGEST: usize = 200;
    let problem = if name.is_empty() {
        "it is empty".into()
    } else if name.chars().any(char::is_control) {
        "it holds a control character".into()
    } else if let Some(mark) = name.chars().find(|mark| "/\\:".contains(*mark)) {
        format!("it holds {mark}, which separates the parts of a path")
    } else if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        // `.` and `..` are among these; some systems drop such an end.
        "it ends in a dot or a space, or begins with one".into()
    } else if name.len() > LONGEST {
        format!("it has {} bytes, more than {LONGEST}", name.len())
    } else {
        return Ok(());
    };
    Err(format!("{problem}; a name is one part of a path"))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

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

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"first").unwrap();
        let failed = replace(&path, |file| {
            file.write_all(b"half of the sec")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn a_folder_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let fill = |text: &'static str| {
            move |part: &Path| {
                write(&part.join("a"), text.as_bytes())?;
                write(&part.join("b"), b"")
            }
        };
        let failed = replace_folder(&path, |part| {
            write(&part.join("a"), b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
        assert!(names(folder.path()).is_empty());

        replace_folder(&path, fill("first")).unwrap();
        write(&path.join("mine"), b"kept").unwrap();
        replace_folder(&path, fill("second")).unwrap();
        assert_eq!(fs::read(path.join("a")).unwrap(), b"second");
        assert_eq!(names(&path), ["a", "b", "mine"]);
        assert_eq!(names(folder.path()), ["out"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let plain = folder.path().join("plain");
            fs::create_dir(&plain).unwrap();
            let mode = |path| fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode(path), mode(plain));
        }
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for name in ["mlp", "mlp-glyphs.2", ".hidden", "a b", "Größe", "x..y"] {
            check_name(name).unwrap();
        }
        let long = "x".repeat(201);
        for name in [
            "", ".", "..", "...", "a/b", "/a", "../a", "a/", "a\\b", "..\\a", "C:a", "C:\\a",
            "a\nb", "a\0", "\u{7f}", "\u{85}", "a.", "a ", " a", &long,
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("profile");
        fs::write(&outside, "mine").unwrap();
        let path = folder.path().join("a.json");
        std::os::unix::fs::symlink(&outside, &path).unwrap();
        // Names that an older way of writing would have opened.
        let part = folder.path().join("a.json.part");
        std::os::unix::fs::symlink(&outside, &part).unwrap();
        write(&path, b"ours").unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"mine");
        assert_eq!(fs::read(&path).unwrap(), b"ours");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_may_be_read_by_whom_the_umask_says() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write(&ours, b"").unwrap();
        fs::write(&plain, b"").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(ours), mode(plain));
    }
}
