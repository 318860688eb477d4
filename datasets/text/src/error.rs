//! What a user can get wrong, said with the place, the expectation and the next step.

use std::{io, path::PathBuf};

use thiserror::Error;
use zoo_codec::text::VocabularyError;

use crate::Split;
use crate::columns::SEPARATED_OTHERWISE;

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
    #[error("{}: line {line}, byte {byte} (counted from 0): not UTF-8; {next}", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The first byte that does not belong to a character, counted from 0 in the file.
        byte: usize,
        /// What it seems to be, and how to convert it.
        next: String,
    },

    /// A file or folder is something else than what is read.
    #[error("{}: expected {expected}, found {found}; {next}", .path.display())]
    Unexpected {
        /// The file or folder.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do.
        next: String,
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
         twice that; use a longer text or a smaller model.context",
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

    /// A training file has a single class.
    #[error("{}: every row has the label {label:?}; a classifier needs two classes or more", .path.display())]
    OneClass {
        /// The file.
        path: PathBuf,
        /// The label.
        label: String,
    },

    /// A vocabulary cannot be made, is damaged, or lacks a character.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),

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
    /// Another number of fields than the first line.
    #[error(
        "{found} fields, where the first line has {expected}{}{}",
        if *is_doubted { "; " } else { "" },
        if *is_doubted { SEPARATED_OTHERWISE } else { "" }
    )]
    Fields {
        /// Fields of the first line.
        expected: usize,
        /// Fields of this one.
        found: usize,
        /// Both lines rather look separated by something else.
        is_doubted: bool,
    },
    /// The names of the columns, below the first line.
    #[error(
        "the row names the columns, as a first line does; if two files were joined, delete the line"
    )]
    NamesAgain,
    /// Nothing in it, and more after it.
    #[error("the line is empty; delete it")]
    Blank,
    /// No text.
    #[error("the text is empty; delete the row or fill it in")]
    EmptyText,
    /// No label.
    #[error("the label is empty; delete the row or fill it in")]
    EmptyLabel,
    /// The labels before are numbers, and nobody said which column they are in.
    #[error(
        "the label {found:?} is not a number, as those before are; where labels may be anything, say \
         which columns are meant: data.text = 1, data.label = 2"
    )]
    NotANumber {
        /// The text found there, shortened.
        found: String,
    },
    /// A label that no training example has.
    #[error("no training example has the label {label:?}; there are: {known}")]
    UnknownLabel {
        /// The label.
        label: String,
        /// Some of those that training examples have.
        known: String,
    },
    /// A quote that is never closed.
    #[error(
        "a quote is opened and never closed; double a quote that belongs to the text, or close it"
    )]
    Unclosed,
    /// A closing quote that does not end its field.
    #[error(
        "a quoted field goes on after its closing quote; double a quote that belongs to the text"
    )]
    AfterQuote,
    /// Not a JSON object.
    #[error("not a JSON object: {problem}")]
    Json {
        /// What the parser says.
        problem: String,
    },
    /// An object with a key twice.
    #[error("the object has {key:?} twice; delete the one that is not meant")]
    KeyTwice {
        /// The key.
        key: String,
    },
    /// An object without the key.
    #[error("the object has no {key:?}")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A value that is no text, or no label.
    #[error("{key:?} is {found}, where {expected} is expected")]
    Value {
        /// The key.
        key: String,
        /// What kind of value it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}
