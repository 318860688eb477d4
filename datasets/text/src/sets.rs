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

/// What a set's items are, and who opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// Windows over one text: [`Corpus`](crate::Corpus).
    Characters,
    /// Addition problems: [`Sums`](crate::Sums).
    Sums,
    /// Texts with a class, in files of this format: [`LabelledSet`](crate::LabelledSet).
    Labelled(Format),
    /// Texts and their translations: [`PairSet`](crate::PairSet).
    Pairs,
}

/// How a file holds rows of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Columns between tabs.
    Tsv,
    /// Columns between commas, quoted where they hold one (RFC 4180).
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl Format {
    /// The endings of such files, the usual one first.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Format::Tsv => &["tsv", "tab"],
            Format::Csv => &["csv"],
            Format::JsonLines => &["jsonl", "ndjson", "json"],
        }
    }
}

/// Where a set comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// Made on the spot.
    BuiltIn,
    /// As it was published, in the data directory.
    Published(&'static [PublishedFile]),
    /// A file or folder that the user names.
    Own,
}

/// A file of a published set. Text has no header that would tell a truncated file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedFile {
    /// Its path below the data directory.
    pub path: &'static str,
    /// How many characters it has, or rows of a labelled set.
    pub length: usize,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetInfo {
    /// The name used in recipes and on the command line.
    pub name: &'static str,
    /// What its items are.
    pub kind: SetKind,
    /// Where it comes from.
    pub location: Location,
    /// The names of the classes, where the files only number them.
    pub classes: &'static [&'static str],
}

/// Every text data set there is.
pub const SETS: &[SetInfo] = &[
    // Karpathy 2015.
    SetInfo {
        name: "tinyshakespeare",
        kind: SetKind::Characters,
        location: Location::Published(&[PublishedFile {
            path: "tinyshakespeare/input.txt",
            length: 1_115_394,
        }]),
        classes: &[],
    },
    SetInfo {
        name: "chars",
        kind: SetKind::Characters,
        location: Location::Own,
        classes: &[],
    },
    SetInfo {
        name: "sums",
        kind: SetKind::Sums,
        location: Location::BuiltIn,
        classes: &[],
    },
    // Socher et al. 2013.
    SetInfo {
        name: "sst2",
        kind: SetKind::Labelled(Format::Tsv),
        location: Location::Published(&[
            PublishedFile {
                path: "sst2/train.tsv",
                length: 6_920,
            },
            PublishedFile {
                path: "sst2/dev.tsv",
                length: 872,
            },
            PublishedFile {
                path: "sst2/test.tsv",
                length: 1_821,
            },
        ]),
        classes: &["negative", "positive"],
    },
    SetInfo {
        name: "tsv",
        kind: SetKind::Labelled(Format::Tsv),
        location: Location::Own,
        classes: &[],
    },
    SetInfo {
        name: "csv",
        kind: SetKind::Labelled(Format::Csv),
        location: Location::Own,
        classes: &[],
    },
    SetInfo {
        name: "jsonl",
        kind: SetKind::Labelled(Format::JsonLines),
        location: Location::Own,
        classes: &[],
    },
    // Elliott et al. 2016; the test of 2016.
    SetInfo {
        name: "multi30k-en-de",
        kind: SetKind::Pairs,
        location: Location::Published(&[
            PublishedFile {
                path: "multi30k-en-de/train.en.gz",
                length: 29_000,
            },
            PublishedFile {
                path: "multi30k-en-de/train.de.gz",
                length: 29_000,
            },
            PublishedFile {
                path: "multi30k-en-de/val.en.gz",
                length: 1_014,
            },
            PublishedFile {
                path: "multi30k-en-de/val.de.gz",
                length: 1_014,
            },
            PublishedFile {
                path: "multi30k-en-de/test_2016_flickr.en.gz",
                length: 1_000,
            },
            PublishedFile {
                path: "multi30k-en-de/test_2016_flickr.de.gz",
                length: 1_000,
            },
        ]),
        classes: &[],
    },
    SetInfo {
        name: "numbers",
        kind: SetKind::Pairs,
        location: Location::BuiltIn,
        classes: &[],
    },
    SetInfo {
        name: "pairs",
        kind: SetKind::Pairs,
        location: Location::Own,
        classes: &[],
    },
];

/// The row of the set called `name`.
pub fn find(name: &str) -> Option<&'static SetInfo> {
    SETS.iter().find(|set| set.name == name)
}

impl SetInfo {
    /// The files of a published set and how long each is; none of another.
    ///
    /// # Errors
    /// [`TextError::Missing`] with every path that is not a file.
    pub fn locate(&self, data_dir: &Path) -> Result<Vec<(PathBuf, usize)>, TextError> {
        let Location::Published(files) = self.location else {
            return Ok(Vec::new());
        };
        let files = files
            .iter()
            .map(|file| (data_dir.join(file.path), file.length));
        let files: Vec<_> = files.collect();
        let paths = files.iter().map(|(path, _)| path);
        let missing: Vec<_> = paths.filter(|path| !path.is_file()).cloned().collect();
        if missing.is_empty() {
            return Ok(files);
        }
        Err(TextError::Missing {
            set: self.name,
            paths: missing,
            next: format!(
                "run `cargo xtask data fetch {}`, or name the data directory that has it with \
                 --data-dir or ZOO_DATA_DIR",
                self.name
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs};

    use super::*;

    #[test]
    fn names_are_unique_and_said_in_a_line() {
        let names: HashSet<_> = SETS.iter().map(|set| set.name).collect();
        assert_eq!(names.len(), SETS.len());
        for set in SETS {
            assert_eq!(find(set.name), Some(set));
        }
    }

    #[test]
    fn only_what_is_missing_is_listed_and_what_to_do_is_said() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sst2")).unwrap();
        fs::write(dir.path().join("sst2/train.tsv"), "a\t0\n").unwrap();
        let sst2 = find("sst2").unwrap();
        let message = sst2.locate(dir.path()).unwrap_err().to_string();
        assert!(!message.contains("train.tsv"), "{message}");
        assert!(message.contains("dev.tsv") && message.contains("test.tsv"));
        assert!(message.contains("cargo xtask data fetch sst2"), "{message}");
        assert!(message.contains("ZOO_DATA_DIR"), "{message}");
    }
}
