//! A folder by its handle: what is done to a name in it is done in the folder that was opened,
//! wherever its path leads by then.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode};

use crate::kind::Kind;

#[derive(Debug)]
pub(crate) struct Handle(OwnedFd);

/// An open folder, nothing else.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// A file by its own name. What waits for somebody (a pipe) is opened at once, and then refused.
const FILE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Less what the umask takes away.
const ANYBODY: RawMode = 0o666;
const ANYBODY_ENTERS: RawMode = 0o777;

impl Handle {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let folder = rustix::fs::openat(CWD, path, FOLDER, Mode::empty())?;
        Ok(Self(folder))
    }

    pub(crate) fn inner(&self, name: &OsStr) -> io::Result<Self> {
        let flags = FOLDER.union(OFlags::NOFOLLOW);
        let folder = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        Ok(Self(folder))
    }

    pub(crate) fn make(&self, name: &OsStr) -> io::Result<()> {
        let mode = Mode::from_raw_mode(ANYBODY_ENTERS);
        Ok(rustix::fs::mkdirat(&self.0, name, mode)?)
    }

    /// Whether `path` leads to this folder.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        match (rustix::fs::fstat(&self.0), rustix::fs::stat(path)) {
            (Ok(ours), Ok(there)) => (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino),
            _ => false,
        }
    }

    pub(crate) fn new_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = FILE | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.file(name, flags)
    }

    /// Opens a file for reading and writing, at its end only where it is to be appended to; makes it
    /// where there is none.
    pub(crate) fn old_file(&self, name: &OsStr, append: bool) -> io::Result<File> {
        let mut flags = FILE | OFlags::RDWR | OFlags::CREATE;
        flags.set(OFlags::APPEND, append);
        self.file(name, flags)
    }

    pub(crate) fn sync_file(&self, name: &OsStr) -> io::Result<()> {
        self.file(name, FILE | OFlags::RDONLY)?.sync_all()
    }

    fn file(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        let mode = Mode::from_raw_mode(ANYBODY);
        Ok(rustix::fs::openat(&self.0, name, flags, mode)?.into())
    }

    /// What is under a name, and its size.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<(Kind, u64)> {
        let found = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => Kind::Folder,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        Ok((kind, u64::try_from(found.st_size).unwrap_or(0)))
    }

    pub(crate) fn rename(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, new)?)
    }

    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(crate) fn remove_empty(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

/// Whether what is written to a file is written under another name too.
pub(crate) fn has_other_names(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_created_and_never_opened() {
        let root = tempfile::tempdir().unwrap();
        let folder = Handle::open(root.path()).unwrap();
        folder.new_file("file".as_ref()).unwrap();
        for (name, to) in [("link", "file"), ("to nothing", "absent")] {
            std::os::unix::fs::symlink(root.path().join(to), root.path().join(name)).unwrap();
        }
        for name in ["file", "link", "to nothing"] {
            let error = folder.new_file(name.as_ref()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
    }
}
