//! Files of other people's, read within bounds, and files that are written whole or not at all,
//! through no link.
//!
//! What is written stands beside its place, synced, and is renamed into it: whoever reads the path
//! meanwhile, or after a crash or a full disk, finds the file that was there before or the new one,
//! never a part of it. All of it goes through a [`Folder`], which says what is promised where somebody
//! else made what lies there. [`check_name`] says what may name a file.
//!
//! What is read is a regular file ([`open`]) that is no larger than its reader can use ([`read`]).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(not(unix))]
mod elsewhere;
mod folder;
mod kind;
mod quote;
mod read;
#[cfg(unix)]
mod unix;

pub use folder::Folder;
pub use quote::{brief, brief_problem};
use read::check_regular;
pub use read::{open, open_at_most, read, read_text};

/// [`Folder::write`] in the folder of `path`.
///
/// # Errors
/// A folder that is not there or cannot be written; a full disk. What was at `path` stays.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (folder, name) = parts(path)?;
    Folder::open(folder)?.write(name, bytes)
}

/// [`Folder::replace`] in the folder of `path`.
///
/// # Errors
/// What `fill` says; a folder that is not there or cannot be written. What was at `path` stays.
pub fn replace<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let (folder, name) = parts(path)?;
    Folder::open(folder)?.replace(name, fill)
}

/// [`Folder::create`] in the folder of `path`.
///
/// # Errors
/// A folder that is not there or cannot be written.
pub fn create(path: &Path) -> io::Result<File> {
    let (folder, name) = parts(path)?;
    Folder::open(folder)?.create(name)
}

/// [`Folder::merge_folder`] in the folder of `path`, which is made where it is not there.
///
/// # Errors
/// What `fill` says, and then nothing has changed; a place that cannot be written; a link at `path`.
pub fn merge_folder<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Folder) -> Result<(), E>,
) -> Result<Folder, E> {
    let Ok((folder, name)) = parts(path) else {
        // `.` and `..` are folders that are there.
        let folder = Folder::open(path)?;
        folder.fill(fill)?;
        return Ok(folder);
    };
    Folder::make(folder)?.merge_folder(name, fill)
}

/// The folder of a path, and what names it there.
fn parts(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "a path that names no file");
    let name = path.file_name().ok_or_else(no_name)?;
    match path.parent() {
        Some(folder) if folder != Path::new("") => Ok((folder, name)),
        _ => Ok((Path::new("."), name)),
    }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

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
            move |part: &Folder| {
                part.write("a", text.as_bytes())?;
                part.make_inner("inner")?.write("c", text.as_bytes())?;
                part.write("b", b"")
            }
        };
        let failed = merge_folder(&path, |part| {
            part.write("a", b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
        assert!(names(folder.path()).is_empty());

        merge_folder(&path, fill("first")).unwrap();
        for mine in ["mine", "inner/mine"] {
            write(&path.join(mine), b"kept").unwrap();
        }
        merge_folder(&path, fill("second")).unwrap();
        for own in ["a", "inner/c"] {
            assert_eq!(fs::read(path.join(own)).unwrap(), b"second");
        }
        assert_eq!(names(&path), ["a", "b", "inner", "mine"]);
        assert_eq!(names(&path.join("inner")), ["c", "mine"]);
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
