//! Which data sets exist: one row each, and a file for each kind of data, which makes a task's examples
//! of what a crate of `datasets/` opens.

use std::path::PathBuf;

use toml::Table;
use zoo_program::data::{Asked, Data, DataSet, options};
use zoo_program::error::{Error, chain};

mod labelled;
mod numbers;
mod pairs;
mod pictures;
mod running;
mod scenes;
mod sounds;
mod sums;

macro_rules! source {
    ($modality:literal, $name:literal) => {
        Some(include_str!(concat!(
            "../../../datasets/",
            $modality,
            "/sources/",
            $name,
            ".toml"
        )))
    };
}

const PICTURES: DataSet = DataSet {
    had_no_split_seed: true,
    reading: &["size", "color", "mean", "std", "classes"],
    open: pictures::open,
    ..DataSet::BARE
};

const SCENES: DataSet = DataSet {
    reading: &["size", "mean", "std"],
    open: scenes::open,
    ..DataSet::BARE
};

const RUNNING: DataSet = DataSet {
    reading: &["tokenizer"],
    open: running::open,
    ..DataSet::BARE
};

const LABELLED: DataSet = DataSet {
    reading: &["tokenizer", "max_length", "max_words", "min_count"],
    learning: &["max_words", "min_count"],
    open: labelled::open,
    ..DataSet::BARE
};

const PAIRS: DataSet = DataSet {
    reading: &["tokenizer", "vocabulary", "max_length"],
    learning: &["vocabulary"],
    open: pairs::open,
    ..DataSet::BARE
};

const SOUNDS: DataSet = DataSet {
    reading: &["features", "longest_seconds"],
    open: sounds::open,
    ..DataSet::BARE
};

/// Every data set, in the order to list them.
pub static SETS: &[DataSet] = &[
    DataSet {
        name: "glyphs",
        about: "digits drawn by a seeded generator, distorted and noisy",
        built_in: true,
        ..PICTURES
    },
    DataSet {
        name: "mnist",
        about: "handwritten digits (LeCun, Cortes & Burges)",
        source: source!("images", "mnist"),
        ..PICTURES
    },
    DataSet {
        name: "fashion-mnist",
        about: "clothes in MNIST's format (Xiao, Rasul & Vollgraf 2017)",
        source: source!("images", "fashion-mnist"),
        ..PICTURES
    },
    DataSet {
        name: "cifar10",
        about: "small colour photographs (Krizhevsky 2009), binary version",
        source: source!("images", "cifar10"),
        ..PICTURES
    },
    DataSet {
        name: "cifar10-folder",
        about: "CIFAR-10 or a part of it as an image folder",
        ..PICTURES
    },
    DataSet {
        name: "image-folder",
        about: "any PNG and JPEG files laid out as <class>/*, or as ImageNet is: {train,valid,test}/<class>/*",
        ..PICTURES
    },
    DataSet {
        name: "shapes",
        about: "overlapping shapes drawn by a seeded generator, shaded and noisy",
        built_in: true,
        ..SCENES
    },
    DataSet {
        name: "camvid-small",
        about: "street scenes (Brostow et al. 2009) as in SegNet's tutorial, brought to 160x120",
        ..SCENES
    },
    DataSet {
        name: "mask-folder",
        about: "your own pictures in images/ and PNG masks in masks/, or train/ and trainannot/, val/ …",
        ..SCENES
    },
    DataSet {
        name: "tinyshakespeare",
        about: "the 40,000 lines of Shakespeare of char-rnn, as characters",
        source: source!("text", "tinyshakespeare"),
        ..RUNNING
    },
    DataSet {
        name: "chars",
        about: "any UTF-8 text file, as characters",
        ..RUNNING
    },
    DataSet {
        name: "sums",
        about: "additions such as 12+34=640 (answer reversed), built in",
        built_in: true,
        open: sums::open,
        ..DataSet::BARE
    },
    DataSet {
        name: "sst2",
        about: "sentences of film reviews, negative or positive",
        source: source!("text", "sst2"),
        ..LABELLED
    },
    DataSet {
        name: "tsv",
        about: "texts with a class between tabs: a file, or a folder of train.tsv, valid.tsv, test.tsv",
        ..LABELLED
    },
    DataSet {
        name: "csv",
        about: "texts with a class between commas: a file, or a folder of train.csv, valid.csv, test.csv",
        ..LABELLED
    },
    DataSet {
        name: "jsonl",
        about: "texts with a class as JSON lines: a file, or a folder of train.jsonl, valid.jsonl, test.jsonl",
        ..LABELLED
    },
    DataSet {
        name: "multi30k-en-de",
        about: "descriptions of photographs in English and German",
        source: source!("text", "multi30k-en-de"),
        ..PAIRS
    },
    DataSet {
        name: "numbers",
        about: "numbers in words, from English to German, built in",
        built_in: true,
        ..PAIRS
    },
    DataSet {
        name: "pairs",
        about: "texts and their translations: two files whose lines belong together, or a TSV of two columns",
        ..PAIRS
    },
    DataSet {
        name: "morse",
        about: "made-up words in Morse code under noise, 1,000 to train and 200 to test",
        built_in: true,
        ..SOUNDS
    },
    DataSet {
        name: "yesno",
        about: "eight words a recording, each yes or no, of one speaker; 30 to train and 30 to test",
        source: source!("audio", "yesno"),
        ..SOUNDS
    },
    DataSet {
        name: "spoken-digits",
        about: "numbers of 2 to 5 digits, joined from clips of one speaker",
        source: source!("audio", "spoken-digits"),
        ..SOUNDS
    },
    DataSet {
        name: "audio-folder",
        about: "your own recordings: train, valid and test as tables or folders",
        ..SOUNDS
    },
    DataSet {
        name: "friedman1",
        about: "made-up regression with noise (Friedman 1991): 10 inputs, of which 5 matter",
        built_in: true,
        open: numbers::open,
        ..DataSet::BARE
    },
];

/// Refuses keys that a set would ignore.
/// The classes of a set, in the order that a trained model has them in, if they are the same: its head
/// knows them by number.
fn in_order(classes: &[String], asked: Asked<'_>) -> Vec<String> {
    let sorted = |classes: &[String]| {
        let mut sorted = classes.to_vec();
        sorted.sort_unstable();
        sorted
    };
    match asked.classes() {
        Some(trained) if sorted(trained) == sorted(classes) => trained.to_vec(),
        _ => classes.to_vec(),
    }
}

fn refuse(table: &Table, set: &str, keys: &[&str], why: &str) -> Result<(), Error> {
    match keys.iter().find(|key| table.contains_key(**key)) {
        None => Ok(()),
        Some(key) => Err(Error::Request(format!(
            "data.{key} has no effect on data set {set}: {why}; leave it out"
        ))),
    }
}

fn unreadable(error: impl std::error::Error) -> Error {
    Error::Request(chain(&error))
}

fn needs_path(path: Option<PathBuf>, name: &str, example: &str) -> Result<PathBuf, Error> {
    path.ok_or_else(|| {
        Error::Request(format!(
            "data set {name} needs data.path, such as --set data.path={example}"
        ))
    })
}
