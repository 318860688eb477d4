//! Recordings that each are a file, with their texts; and the listing of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use zoo_codec::sound::read_sound;

use crate::{AudioError, AudioSet, Items, Utterance};

/// Names of files, with what is said in them.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Files {
    pub(crate) fn set(entries: Vec<Entry>) -> AudioSet {
        AudioSet {
            items: Items::Files(Self { entries }),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn text(&self, index: usize) -> &str {
        &self.entries[index].text
    }

    pub(crate) fn path(&self, index: usize) -> &Path {
        &self.entries[index].path
    }

    pub(crate) fn read(&self, index: usize) -> Result<Utterance, AudioError> {
        let Entry { path, text } = &self.entries[index];
        let sound = read_sound(path)?;
        Ok(Utterance {
            samples: sound.samples,
            rate: sound.rate,
            text: text.clone(),
        })
    }
}

/// Whether a name ends as recordings that are read do.
pub(crate) fn is_sound(path: &Path) -> bool {
    has_ending(path, &["wav", "wave", "flac"])
}

/// Whether a name ends as other recordings do.
pub(crate) fn is_other_sound(path: &Path) -> bool {
    has_ending(
        path,
        &["mp3", "ogg", "opus", "m4a", "aac", "aif", "aiff", "wma"],
    )
}

pub(crate) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| endings.iter().any(|known| ending == *known))
}

/// What lies in a folder, by name; hidden files are left out.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, AudioError> {
    let failed = |source| AudioError::Read {
        path: folder.into(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The first folder that holds recordings, of those in which a set's archive may have been unpacked.
pub(crate) fn find_recordings(
    set: &str,
    data_dir: &Path,
    places: &[&str],
) -> Result<Vec<PathBuf>, AudioError> {
    let looked_for: Vec<_> = places.iter().map(|place| data_dir.join(place)).collect();
    for folder in looked_for.iter().filter(|folder| folder.is_dir()) {
        let mut paths = list(folder)?;
        paths.retain(|path| is_sound(path));
        if !paths.is_empty() {
            return Ok(paths);
        }
    }
    Err(AudioError::Missing {
        what: format!("recordings of `{set}` (WAV files)"),
        looked_for,
        next: format!(
            "fetch them with `cargo xtask data fetch {set}`, or name the folder above with --data-dir \
             or ZOO_DATA_DIR"
        ),
    })
}
