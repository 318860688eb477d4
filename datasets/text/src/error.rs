//! What a user can get wrong, said with the place, the expectation and the next step; and the one
//! way in which this crate reads a file, which is where most of it is noticed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::Split;

/// Why a text data set could not be opened or used.
///
/// A message never repeats its [source](std::error::Error::source): print the whole chain.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TextError {
    /// Files of a set are not there.
    #[error("data set `{set}`: no file {}; {next}", list(.paths))]
    Missing {
        /// The set's name.
        set: &'static str,
        /// The paths looked for and not found.
        paths: Vec<PathBuf>,
        /// What to do about it.
        next: String,
    },

    /// A file could not be read.
    #[error("{}: cannot be read; give the path of an existing text file", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A file is not UTF-8.
    #[error(
        "{}: line {line}, byte {byte} (counted from 0): not UTF-8; convert the file first, \
         e.g. with `iconv -f latin1 -t utf-8`",
        .path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The first byte that does not belong to a character, counted from 0 in the file.
        byte: usize,
    },

    /// A file holds nothing.
    #[error("{}: the file is empty; expected {expected}", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },

    /// A file of a named set is not as large as that set: truncated, or something else.
    #[error(
        "{}: {found} {unit} where `{set}` has {expected}; fetch it anew with \
         `cargo xtask data fetch {set}`, or read a file of your own as the data set `{other}`",
        .path.display()
    )]
    WrongSize {
        /// The set's name.
        set: &'static str,
        /// The file.
        path: PathBuf,
        /// What is counted: characters or lines.
        unit: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
        /// The set that takes any file of this kind.
        other: &'static str,
    },

    /// A corpus is too short for the context asked for.
    #[error(
        "{}: the {split} split has {tokens} characters, but a context of {context} needs at least \
         twice that; use a longer text or a shorter context",
        .path.display()
    )]
    TooShort {
        /// The corpus file.
        path: PathBuf,
        /// The split that is too short.
        split: Split,
        /// Its length in tokens.
        tokens: usize,
        /// The length of a window in tokens.
        context: usize,
    },

    /// A line of a labelled file is wrong.
    #[error("{}: line {line}: {fault}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },

    /// The labels of a training file leave out a class.
    #[error(
        "{}: no line has label {missing}, while labels go up to {highest}; number the classes \
         0, 1, 2, … with at least one line each",
        .path.display()
    )]
    ClassGap {
        /// The file.
        path: PathBuf,
        /// The lowest label that no line has.
        missing: usize,
        /// The highest label found.
        highest: usize,
    },

    /// A training file has a single class.
    #[error("{}: every line has label 0; a classifier needs two classes or more", .path.display())]
    OneClass {
        /// The file.
        path: PathBuf,
    },

    /// A text holds a character that the vocabulary lacks.
    #[error(
        "character {character:?} at byte {byte} is not in the vocabulary; use characters from the \
         training text: {known}"
    )]
    UnknownChar {
        /// The character.
        character: char,
        /// Its place in the text given, in bytes from 0.
        byte: usize,
        /// Some of the characters that the vocabulary has.
        known: String,
    },

    /// A saved vocabulary cannot be one of ours.
    #[error("vocabulary: {place}: {problem}; it must be as it was saved with the run")]
    Vocabulary {
        /// Where in it.
        place: String,
        /// What is wrong.
        problem: String,
    },

    /// A setting is out of its range.
    #[error("{name} = {found}: expected {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What it was.
        found: String,
        /// What it may be.
        expected: String,
    },

    /// A set has no such split.
    #[error("data set `{set}` has no {split} split; it has: {available}")]
    NoSplit {
        /// The set's name.
        set: String,
        /// The split asked for.
        split: Split,
        /// The splits there are.
        available: &'static str,
    },
}

/// What is wrong with one line of a labelled file.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineFault {
    /// Not exactly one tab.
    #[error("expected `sentence<TAB>label` with one tab, found {tabs} tabs")]
    Columns {
        /// How many tabs the line has.
        tabs: usize,
    },
    /// Nothing before the tab.
    #[error("the sentence before the tab is empty; delete the line or fill it in")]
    EmptySentence,
    /// The label is not a whole number.
    #[error(
        "the label {found:?} is not a whole number from 0; these files have no header, and name \
         classes by number"
    )]
    NotANumber {
        /// The text found there, shortened.
        found: String,
    },
    /// The label names no class.
    #[error("label {label} is out of range; with {num_classes} classes it is 0 to {}", .num_classes - 1)]
    OutOfRange {
        /// The label.
        label: usize,
        /// The number of classes.
        num_classes: usize,
    },
}

/// Reads a whole file as text.
pub(crate) fn read_utf8(path: &Path) -> Result<String, TextError> {
    let bytes = fs::read(path).map_err(|source| TextError::Read {
        path: path.to_owned(),
        source,
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        let newlines = error.as_bytes()[..byte].iter().filter(|b| **b == b'\n');
        TextError::NotUtf8 {
            path: path.to_owned(),
            line: newlines.count() + 1,
            byte,
        }
    })
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_placed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latin1.txt");
        fs::write(&path, b"one\ntwo\ncaf\xe9 noir").unwrap();
        let message = read_utf8(&path).unwrap_err().to_string();
        assert!(message.contains("latin1.txt: line 3, byte 11"), "{message}");
    }

    #[test]
    fn a_character_cut_at_the_end_of_the_file_is_not_utf8() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.txt");
        fs::write(&path, &"aé".as_bytes()[..2]).unwrap();
        assert!(matches!(
            read_utf8(&path),
            Err(TextError::NotUtf8 {
                line: 1,
                byte: 1,
                ..
            })
        ));
    }

    #[test]
    fn an_unreadable_file_is_named_and_keeps_its_cause() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("absent.txt"), dir.path().to_owned()] {
            let error = read_utf8(&path).unwrap_err();
            assert!(error.to_string().contains(&path.display().to_string()));
            assert!(error.source().is_some());
        }
    }
}
