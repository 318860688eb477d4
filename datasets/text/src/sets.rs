//! The table of what exists.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::TextError;

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What the weights are fitted to.
    Train,
    /// What the best model is chosen by.
    Valid,
    /// What the result is reported on, once.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        })
    }
}

/// What a set's items are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// Windows over one text: [`Corpus`](crate::Corpus).
    Characters,
    /// Addition problems: [`Sums`](crate::Sums).
    Sums,
    /// Sentences with a class: [`LabelledSet`](crate::LabelledSet).
    Labelled,
}

/// Where a set comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// Made on the spot.
    BuiltIn,
    /// Files with these paths below the data directory.
    DataDir(&'static [&'static str]),
    /// A text file that the user names.
    File,
    /// A folder that the user names, with these files.
    Folder(&'static [&'static str]),
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetInfo {
    /// The name used in recipes and on the command line.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// What its items are.
    pub kind: SetKind,
    /// Where it comes from.
    pub location: Location,
    /// The splits it has.
    pub splits: &'static [Split],
}

/// A labelled set's files, in the order train, valid, test.
pub(crate) const TSV_FILES: [&str; 3] = ["train.tsv", "dev.tsv", "test.tsv"];

/// Tiny Shakespeare (Karpathy 2015).
pub(crate) const TINYSHAKESPEARE: SetInfo = SetInfo {
    name: "tinyshakespeare",
    summary: "the 40,000 lines of Shakespeare of char-rnn, as characters",
    kind: SetKind::Characters,
    location: Location::DataDir(&["tinyshakespeare/input.txt"]),
    splits: &[Split::Train, Split::Valid],
};

/// SST-2 (Socher et al. 2013).
pub(crate) const SST2: SetInfo = SetInfo {
    name: "sst2",
    summary: "sentences of film reviews, negative or positive",
    kind: SetKind::Labelled,
    location: Location::DataDir(&["sst2/train.tsv", "sst2/dev.tsv", "sst2/test.tsv"]),
    splits: &[Split::Train, Split::Valid, Split::Test],
};

/// A user's own labelled files.
pub(crate) const TSV: SetInfo = SetInfo {
    name: "tsv",
    summary: "any folder with train.tsv, dev.tsv and test.tsv of sentence<TAB>label",
    kind: SetKind::Labelled,
    location: Location::Folder(&TSV_FILES),
    splits: &[Split::Train, Split::Valid, Split::Test],
};

/// Every text data set there is.
pub const SETS: &[SetInfo] = &[
    TINYSHAKESPEARE,
    SetInfo {
        name: "chars",
        summary: "any UTF-8 text file, as characters",
        kind: SetKind::Characters,
        location: Location::File,
        splits: &[Split::Train, Split::Valid],
    },
    SetInfo {
        name: "sums",
        summary: "additions such as 12+34=640 (answer reversed), built in",
        kind: SetKind::Sums,
        location: Location::BuiltIn,
        splits: &[Split::Train, Split::Test],
    },
    SST2,
    TSV,
];

impl SetInfo {
    /// Paths of the set's files under `folder`: the data directory, or the folder that the user
    /// named. Empty for a set without fixed file names.
    ///
    /// # Errors
    /// [`TextError::Missing`] with every path that is not a file.
    pub fn locate(&self, folder: &Path) -> Result<Vec<PathBuf>, TextError> {
        let (files, next) = match self.location {
            Location::BuiltIn | Location::File => return Ok(Vec::new()),
            Location::DataDir(files) => (
                files,
                format!(
                    "run `cargo xtask data fetch {}`, or name the data directory that has it with \
                     --data-dir or ZOO_DATA_DIR",
                    self.name
                ),
            ),
            Location::Folder(files) => (
                files,
                format!("give a folder that holds {}", files.join(", ")),
            ),
        };
        let paths: Vec<_> = files.iter().map(|file| folder.join(file)).collect();
        let missing: Vec<_> = paths.iter().filter(|p| !p.is_file()).cloned().collect();
        if missing.is_empty() {
            return Ok(paths);
        }
        Err(TextError::Missing {
            set: self.name,
            paths: missing,
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs};

    use super::*;

    #[test]
    fn names_are_unique_and_every_set_can_be_trained_on() {
        let names: HashSet<_> = SETS.iter().map(|set| set.name).collect();
        assert_eq!(names.len(), SETS.len());
        for set in SETS {
            assert!(set.splits.contains(&Split::Train), "{}", set.name);
            assert!(set.splits.len() > 1, "{} has nothing held out", set.name);
            assert!(!set.summary.is_empty());
        }
    }

    #[test]
    fn only_what_is_missing_is_listed_and_what_to_do_follows_from_the_location() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sst2")).unwrap();
        fs::write(dir.path().join("sst2/train.tsv"), "a\t0\n").unwrap();
        let message = SST2.locate(dir.path()).unwrap_err().to_string();
        assert!(!message.contains("train.tsv"), "{message}");
        assert!(message.contains("dev.tsv") && message.contains("test.tsv"));
        assert!(message.contains("cargo xtask data fetch sst2"), "{message}");
        assert!(message.contains("ZOO_DATA_DIR"), "{message}");

        let message = TSV.locate(dir.path()).unwrap_err().to_string();
        assert!(!message.contains("fetch"), "{message}");
        assert!(
            message.contains("train.tsv, dev.tsv, test.tsv"),
            "{message}"
        );
    }
}
