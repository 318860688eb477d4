//! Speech and its words: named sets, made-up words in Morse code, and your own recordings.
//!
//! [`SETS`] says which sets exist and [`open`] opens one, as [`Splits`] of a Burn [`Dataset`] of
//! [`Utterance`]. What is kept are the names of files and their texts; a recording is read, decoded or
//! made when it is asked for. Nothing here uses the network, a tensor or a device.
//!
//! ```
//! use burn::data::dataset::Dataset;
//! use zoo_audio::{AudioOptions, open};
//!
//! let data_dir = std::path::Path::new("data"); // not looked at: `morse` is built in
//! let splits = open("morse", data_dir, &AudioOptions::default())?;
//! let utterance = splits.train.get(3)?;
//! assert_eq!(utterance.rate, 8000);
//! assert!(utterance.text.split(' ').count() <= 3);
//! # Ok::<(), zoo_audio::AudioError>(())
//! ```

mod digits;
mod draws;
mod error;
mod files;
mod folder;
mod hold_out;
mod morse;
mod sets;
mod yesno;

pub use error::AudioError;
pub use sets::{AudioOptions, SETS, SetInfo, find, open};

use std::path::PathBuf;

use burn::data::dataset::Dataset;

/// A recording and what is said in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// Of one channel, full scale being -1..=1.
    pub samples: Vec<f32>,
    /// Samples in a second.
    pub rate: u32,
    /// Words, with a space between two.
    pub text: String,
}

/// A set, opened.
#[derive(Debug)]
pub struct Splits {
    /// What models learn from.
    pub train: AudioSet,
    /// What the best model is chosen by: a part of `train` that was held out, where the set has no
    /// split for it. None where `valid_fraction` is 0, or too little is there.
    pub valid: Option<AudioSet>,
    /// What models are judged by, where the set has such a split.
    pub test: Option<AudioSet>,
    /// What was passed over, in sentences.
    pub warnings: Vec<String>,
}

/// The recordings of one split.
#[derive(Debug)]
pub struct AudioSet {
    items: Items,
}

#[derive(Debug)]
enum Items {
    Files(files::Files),
    Numbers(digits::Numbers),
    Morse(morse::Morse),
}

impl AudioSet {
    /// What is said in a recording, without reading it.
    pub fn text(&self, index: usize) -> String {
        match &self.items {
            Items::Files(files) => files.text(index).into(),
            Items::Numbers(numbers) => numbers.text(index),
            Items::Morse(morse) => morse.text(index),
        }
    }

    /// The file of a recording, where it has one of its own.
    pub fn path(&self, index: usize) -> Option<PathBuf> {
        match &self.items {
            Items::Files(files) => Some(files.path(index).into()),
            _ => None,
        }
    }
}

impl Dataset<Utterance, AudioError> for AudioSet {
    /// # Errors
    ///
    /// A file that cannot be read or decoded, by its name.
    fn get(&self, index: usize) -> Result<Utterance, AudioError> {
        match &self.items {
            Items::Files(files) => files.read(index),
            Items::Numbers(numbers) => numbers.read(index),
            Items::Morse(morse) => Ok(morse.make(index)),
        }
    }

    fn len(&self) -> usize {
        match &self.items {
            Items::Files(files) => files.len(),
            Items::Numbers(numbers) => numbers.len(),
            Items::Morse(morse) => morse.len(),
        }
    }
}
