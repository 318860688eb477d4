//! A file until it is complete: beside its place, under a name that later fetches know.

use std::fs::File;
use std::path::{Path, PathBuf};

use zoo_files::Folder;

use crate::error::{FetchError, disk};

/// `train.bin.part`, which becomes `train.bin`. It is a file of its folder: nothing is added to what a
/// link leads to, nor to a file that has a name elsewhere too.
pub(crate) struct Part {
    folder: Folder,
    name: String,
    path: PathBuf,
}

impl Part {
    /// The part of a file at a path of the source, below its folder. Folders on the way are made.
    pub(crate) fn new(folder: &Folder, path: &str) -> Result<Self, FetchError> {
        let (inner, name) = path.rsplit_once('/').unwrap_or(("", path));
        let place = folder.path().join(inner);
        let folder = folder.make_inner(inner);
        let folder = folder.map_err(disk("create", &place))?;
        let path = folder.path().join(format!("{name}.part"));
        let name = name.to_owned();
        Ok(Self { folder, name, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn part(&self) -> String {
        format!("{}.part", self.name)
    }

    /// Size of the part, 0 where there is none.
    pub(crate) fn bytes(&self) -> Result<u64, FetchError> {
        let size_bytes = self.folder.size(self.part());
        Ok(size_bytes
            .map_err(disk("go on with", &self.path))?
            .unwrap_or(0))
    }

    /// Begins it anew.
    pub(crate) fn create(&self) -> Result<File, FetchError> {
        let file = self.folder.create(self.part());
        file.map_err(disk("write", &self.path))
    }

    /// Goes on with it.
    pub(crate) fn append(&self) -> Result<File, FetchError> {
        let file = self.folder.append(self.part());
        file.map_err(disk("write", &self.path))
    }

    /// Has the system write what it holds of it.
    pub(crate) fn sync(&self) -> Result<(), FetchError> {
        let synced = self.append()?.sync_all();
        synced.map_err(disk("write", &self.path))
    }

    pub(crate) fn remove(&self) -> Result<(), FetchError> {
        let removed = self.folder.remove(self.part());
        removed.map_err(disk("remove", &self.path))
    }

    /// Gives a complete part its name, such that a power cut leaves either all of it or none.
    pub(crate) fn put_in_place(&self) -> Result<(), FetchError> {
        let put = self.folder.rename(self.part(), &self.name);
        put.map_err(disk("write", &self.folder.path().join(&self.name)))
    }
}
