//! Files that are written whole or not at all: beside their place, synced, and renamed into it.
//!
//! Whoever reads the path meanwhile, or after a crash or a full disk, finds the file that was there
//! before or the new one, never a part of it. [`check_name`] says what may name one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

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
