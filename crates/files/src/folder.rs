//! A folder that was opened once, and all that is written into it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

#[cfg(not(unix))]
use crate::elsewhere::{Handle, has_other_names};
use crate::kind::Kind;
#[cfg(unix)]
use crate::unix::{Handle, has_other_names};

/// A folder that is written to, by its handle: opened once, wherever its path leads later.
///
/// **What is promised.** Whatever lies in the folder when it is opened, nothing outside of it is
/// written, made or removed. Names are single names, and no link under one is followed: a link where a
/// file is to be put is replaced, and one where a folder or a log of ours should be is refused. New
/// files have names that nobody can know before, and are created, never opened. A file that also has a
/// name elsewhere (a hard link) is never written to: it is replaced, or copied first.
///
/// A process that changes the folder while we write changes nothing of that, with one exception: what
/// writes by path ([`Folder::path`]) is led astray where somebody puts a link in the place of a folder
/// on that path, such as the private one that [`Folder::put_folder`] hands out. Who may do that
/// may write to the folder already. Elsewhere than on Unix there are no handles to work from: links are
/// looked for before each step, and hard links are not seen.
#[derive(Debug)]
pub struct Folder {
    handle: Handle,
    path: PathBuf,
}

/// Folders in one another that are removed. Nothing of ours is as deep, and each takes a handle.
const DEEPEST: usize = 64;

impl Folder {
    /// Opens a folder that a person named: the way to it may lead over links.
    ///
    /// # Errors
    /// What is not there, is no folder, or cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            handle: Handle::open(path)?,
            path: path.to_owned(),
        })
    }

    /// [`open`](Self::open) after making the folder, and those above it, where they are not there.
    ///
    /// # Errors
    /// See [`open`](Self::open); a place where no folder can be made.
    pub fn make(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Self::open(path)
    }

    /// The path by which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether that path still leads here.
    pub fn is_there(&self) -> bool {
        self.handle.is_at(&self.path)
    }

    /// A folder in this one.
    ///
    /// # Errors
    /// What is not there, or is something else: a link too.
    pub fn inner(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = one_name(name.as_ref())?;
        let handle = self.handle.inner(name);
        Ok(Self {
            handle: handle.map_err(|error| self.explain(name, error))?,
            path: self.path.join(name),
        })
    }

    /// The folder at a path below this one, which is made where it is not there.
    ///
    /// # Errors
    /// See [`inner`](Self::inner); a path that leads elsewhere; a folder that cannot be made.
    pub fn make_inner(&self, path: impl AsRef<Path>) -> io::Result<Self> {
        let mut folder = self.inner_of_itself()?;
        for name in path.as_ref().components() {
            let Component::Normal(name) = name else {
                return Err(not_a_name());
            };
            folder = match folder.new_inner(name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => folder.inner(name)?,
                made => made?,
            };
        }
        Ok(folder)
    }

    fn inner_of_itself(&self) -> io::Result<Self> {
        Ok(Self {
            handle: self.handle.inner(".".as_ref())?,
            path: self.path.clone(),
        })
    }

    /// A folder in this one that was not there.
    ///
    /// # Errors
    /// A name that is taken ([`io::ErrorKind::AlreadyExists`]); a folder that cannot be written.
    pub fn new_inner(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = one_name(name.as_ref())?;
        self.handle.make(name)?;
        self.inner(name)
    }

    /// What lies here.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        self.handle.names()
    }

    /// The size of a file of this folder; `None` where there is none.
    ///
    /// # Errors
    /// What is no regular file: a link too.
    pub fn size(&self, name: impl AsRef<OsStr>) -> io::Result<Option<u64>> {
        match self.handle.look(one_name(name.as_ref())?) {
            Ok((Kind::File, size_bytes)) => Ok(Some(size_bytes)),
            Ok((kind, _)) => Err(wrong_kind(kind)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a file of these bytes here, in place of what is under its name.
    ///
    /// # Errors
    /// A folder that cannot be written; a full disk. What was under the name stays.
    pub fn write(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> io::Result<()> {
        self.replace(name, |file| file.write_all(bytes))
    }

    /// Puts a file here that `fill` has written, whole, synced and then renamed into its place.
    /// Readable by whom the umask says. A link under its name is replaced, not followed.
    ///
    /// # Errors
    /// What `fill` says; a folder that cannot be written. What was under the name stays.
    pub fn replace<E: From<io::Error>>(
        &self,
        name: impl AsRef<OsStr>,
        fill: impl FnOnce(&mut File) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = one_name(name.as_ref())?;
        let (part, mut file) = self.part(|part| self.handle.new_file(part))?;
        fill(&mut file)?;
        file.sync_all()?;
        // Some systems do not rename what is open.
        drop(file);
        part.put(name)?;
        Ok(self.handle.sync()?)
    }

    /// Puts a folder here whose files `fill` has written into the one that it is given, which is new
    /// and has a name that nobody knows. All of it is synced; then it takes the place of what is under
    /// its name.
    ///
    /// # Errors
    /// What `fill` says, and then nothing has changed; a place that cannot be written.
    pub fn put_folder<E: From<io::Error>>(
        &self,
        name: impl AsRef<OsStr>,
        fill: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = one_name(name.as_ref())?;
        let (part, _) = self.filled(fill)?;
        self.remove(name)?;
        part.put(name)?;
        Ok(self.handle.sync()?)
    }

    /// [`put_folder`](Self::put_folder), but where there is a folder of that name already, it stays, and
    /// so do its files of other names.
    ///
    /// # Errors
    /// What `fill` says, and then nothing has changed; a place that cannot be written; a link under
    /// the name, before anything is written.
    pub fn merge_folder<E: From<io::Error>>(
        &self,
        name: impl AsRef<OsStr>,
        fill: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Self, E> {
        let name = one_name(name.as_ref())?;
        match self.inner(name) {
            Ok(there) => {
                let (_part, folder) = self.filled(fill)?;
                folder.empty_into(&there)?;
                Ok(there)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (part, _) = self.filled(fill)?;
                part.put(name)?;
                self.handle.sync()?;
                Ok(self.inner(name)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// [`merge_folder`](Self::merge_folder) where this folder is the one that is there.
    pub(crate) fn fill<E: From<io::Error>>(
        &self,
        fill: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let (_part, folder) = self.filled(fill)?;
        Ok(folder.empty_into(self)?)
    }

    /// A new folder that is filled and synced.
    fn filled<E: From<io::Error>>(
        &self,
        fill: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<(Part<'_>, Self), E> {
        let (part, folder) = self.part(|part| self.new_inner(part))?;
        fill(&folder)?;
        folder.sync()?;
        Ok((part, folder))
    }

    fn empty_into(&self, other: &Self) -> io::Result<()> {
        for name in self.names()? {
            match (self.inner(&name), other.inner(&name)) {
                // A folder takes no other's place: its files do.
                (Ok(own), Ok(there)) => own.empty_into(&there)?,
                _ => self.handle.rename(&name, &other.handle, &name)?,
            }
        }
        other.handle.sync()
    }

    /// A new, empty file in place of what is under its name, for what is scratch, or gets its name by
    /// [`rename`](Self::rename) once it is whole.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn create(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let name = one_name(name.as_ref())?;
        self.remove(name)?;
        self.handle.new_file(name)
    }

    /// Opens a file to add to its end; makes it where there is none. It may be read as well.
    ///
    /// One that has a name elsewhere too is copied, so that the other stays as it is.
    ///
    /// # Errors
    /// What is no regular file of this folder: a link too; a file that cannot be written.
    pub fn append(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let name = one_name(name.as_ref())?;
        let mut file = self.own_file(name, true)?;
        if has_other_names(&file)? {
            self.replace(name, |copy| io::copy(&mut file, copy).map(drop))?;
            return self.own_file(name, true);
        }
        Ok(file)
    }

    /// Opens the file that a process locks while it is at work here, and may write its number into;
    /// makes it where there is none.
    ///
    /// # Errors
    /// What is no regular file of this folder: a link, or a file that has a name elsewhere too; a file
    /// that cannot be written.
    pub fn lock(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let file = self.own_file(one_name(name.as_ref())?, false)?;
        if has_other_names(&file)? {
            return Err(invalid(
                "it has a name elsewhere too (a hard link), where what is written here would show; \
                 remove it",
            ));
        }
        Ok(file)
    }

    fn own_file(&self, name: &OsStr, append: bool) -> io::Result<File> {
        let file = self.handle.old_file(name, append);
        let file = file.map_err(|error| self.explain(name, error))?;
        crate::check_regular(&file.metadata()?)?;
        Ok(file)
    }

    /// Gives a file or folder of this folder another name, in place of what is under that. A file is
    /// synced first, and the names after.
    ///
    /// # Errors
    /// What is not there, or cannot be written; a folder that is there already and not empty.
    pub fn rename(&self, name: impl AsRef<OsStr>, new: impl AsRef<OsStr>) -> io::Result<()> {
        let (name, new) = (one_name(name.as_ref())?, one_name(new.as_ref())?);
        if self.handle.look(name)?.0 == Kind::File {
            self.handle.sync_file(name)?;
        }
        self.handle.rename(name, &self.handle, new)?;
        self.handle.sync()
    }

    /// Removes what is under a name, if anything is: a file, a link and not what it leads to, or a
    /// folder with all that lies in it.
    ///
    /// # Errors
    /// What cannot be removed.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        self.remove_to(one_name(name.as_ref())?, DEEPEST)
    }

    fn remove_to(&self, name: &OsStr, deepest: usize) -> io::Result<()> {
        match self.handle.look(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok((Kind::Folder, _)) if deepest == 0 => Err(invalid(&format!(
                "more than {DEEPEST} folders in one another; remove them by hand"
            ))),
            Ok((Kind::Folder, _)) => {
                let inner = self.inner(name)?;
                for name in inner.names()? {
                    inner.remove_to(&name, deepest - 1)?;
                }
                self.handle.remove_empty(name)
            }
            Ok(_) => self.handle.remove_file(name),
        }
    }

    /// Brings the files of this folder, and their names, to the disk.
    ///
    /// # Errors
    /// What cannot be synced.
    pub fn sync(&self) -> io::Result<()> {
        for name in self.names()? {
            if self.handle.look(&name)?.0 == Kind::File {
                self.handle.sync_file(&name)?;
            }
        }
        self.handle.sync()
    }

    /// Makes something under a name that nothing has and nobody knows; it goes again unless it is put
    /// in its place.
    fn part<T>(&self, make: impl Fn(&OsStr) -> io::Result<T>) -> io::Result<(Part<'_>, T)> {
        /// By chance, two are one in 2^64.
        const TRIES: usize = 16;
        let mut taken = io::ErrorKind::AlreadyExists.into();
        for _ in 0..TRIES {
            // Keyed by the system's chance. Nothing of the name to come is in it: TensorBoard, for
            // one, opens whatever has it anywhere.
            let number = RandomState::new().hash_one(std::process::id());
            let name = OsString::from(format!(".{number:016x}.part"));
            match make(&name) {
                Ok(made) => {
                    let folder = Some(self);
                    return Ok((Part { folder, name }, made));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
                Err(error) => return Err(error),
            }
        }
        Err(taken)
    }

    /// The system's words for a link differ, and say little.
    fn explain(&self, name: &OsStr, error: io::Error) -> io::Error {
        match self.handle.look(name) {
            Ok((Kind::Link, _)) => wrong_kind(Kind::Link),
            _ => error,
        }
    }
}

/// What is not in its place yet.
struct Part<'a> {
    folder: Option<&'a Folder>,
    name: OsString,
}

impl Part<'_> {
    fn put(mut self, name: &OsStr) -> io::Result<()> {
        let Some(folder) = self.folder else {
            return Ok(());
        };
        folder.handle.rename(&self.name, &folder.handle, name)?;
        self.folder = None;
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Some(folder) = self.folder {
            // What failed before is the error to report.
            let _ = folder.remove(&self.name);
        }
    }
}

/// A name that is one part of a path, and not the way out of it.
fn one_name(name: &OsStr) -> io::Result<&OsStr> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        // Not `a/`, which would follow a link, nor `a/.`.
        (Some(Component::Normal(part)), None) if part == name => Ok(name),
        _ => Err(not_a_name()),
    }
}

fn not_a_name() -> io::Error {
    invalid("a name is one part of a path")
}

fn wrong_kind(kind: Kind) -> io::Error {
    match kind {
        Kind::Link => invalid(
            "it is a link, and nothing is written through one here; remove it, or put what it leads to \
             in its place",
        ),
        Kind::Folder => io::ErrorKind::IsADirectory.into(),
        Kind::File => io::ErrorKind::NotADirectory.into(),
        Kind::Other => invalid("not a regular file but a device, a pipe or a socket"),
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}
