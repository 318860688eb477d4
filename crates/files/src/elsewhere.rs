//! A folder by its path, where the system has no handles to work from: links are looked for before
//! each step, which a process that changes the folder meanwhile can get around.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::kind::Kind;

#[derive(Debug)]
pub(crate) struct Handle(PathBuf);

impl Handle {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Later changes of the working folder change nothing.
        let path = fs::canonicalize(path)?;
        match fs::metadata(&path)?.is_dir() {
            true => Ok(Self(path)),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(crate) fn inner(&self, name: &OsStr) -> io::Result<Self> {
        match self.look(name)? {
            (Kind::Folder, _) => Ok(Self(self.0.join(name))),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(crate) fn make(&self, name: &OsStr) -> io::Result<()> {
        fs::create_dir(self.0.join(name))
    }

    /// Whether `path` leads to this folder.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        fs::canonicalize(path).is_ok_and(|path| path == self.0)
    }

    pub(crate) fn new_file(&self, name: &OsStr) -> io::Result<File> {
        File::create_new(self.0.join(name))
    }

    /// Opens a file for reading and writing, at its end only where it is to be appended to; makes it
    /// where there is none.
    pub(crate) fn old_file(&self, name: &OsStr, append: bool) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).append(append).write(true);
        match self.look(name) {
            Ok((Kind::File, _)) => {}
            Ok(_) => return Err(io::ErrorKind::InvalidInput.into()),
            Err(_) => drop(options.create_new(true)),
        }
        options.open(self.0.join(name))
    }

    pub(crate) fn sync_file(&self, name: &OsStr) -> io::Result<()> {
        // Opened for writing, which some systems ask for here.
        let file = File::options().write(true).open(self.0.join(name));
        file?.sync_all()
    }

    /// What is under a name, and its size.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<(Kind, u64)> {
        let found = fs::symlink_metadata(self.0.join(name))?;
        let kind = if found.is_symlink() {
            Kind::Link
        } else if found.is_dir() {
            Kind::Folder
        } else if found.is_file() {
            Kind::File
        } else {
            Kind::Other
        };
        Ok((kind, found.len()))
    }

    pub(crate) fn rename(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        fs::rename(self.0.join(name), to.0.join(new))
    }

    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    pub(crate) fn remove_empty(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.0.join(name))
    }

    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = fs::read_dir(&self.0)?;
        entries.map(|entry| Ok(entry?.file_name())).collect()
    }

    /// There is no way to.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether what is written to a file is written under another name too. The standard library does not
/// say it here.
pub(crate) fn has_other_names(_: &File) -> io::Result<bool> {
    Ok(false)
}
