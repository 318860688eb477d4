//! The sets by name.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{AudioError, Splits, digits, folder, morse, yesno};

/// A set by its name.
pub struct SetInfo {
    /// What a recipe calls it.
    pub name: &'static str,
    /// Samples in a second, where all of its recordings have the same.
    pub rate: Option<u32>,
    /// Whether it needs no file.
    pub built_in: bool,
    open: fn(&Path, &AudioOptions) -> Result<Splits, AudioError>,
}

/// Every set, in the order to list them.
pub const SETS: &[SetInfo] = &[
    SetInfo {
        name: "morse",
        rate: Some(8000),
        built_in: true,
        open: |_, options| Ok(morse::open(options)),
    },
    SetInfo {
        name: "yesno",
        rate: Some(8000),
        built_in: false,
        open: yesno::open,
    },
    SetInfo {
        name: "spoken-digits",
        rate: Some(8000),
        built_in: false,
        open: digits::open,
    },
    SetInfo {
        name: "audio-folder",
        rate: None,
        built_in: false,
        open: |data_dir, options| {
            folder::open(options.path.as_deref().unwrap_or(data_dir), options)
        },
    },
];

/// How a set is split and made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioOptions {
    /// The folder of `audio-folder`; the data directory where none is said.
    pub path: Option<PathBuf>,
    /// Share of the training recordings that is held out to choose the best model by, where a set has
    /// no split for it; 0 holds out none, and below 1.
    pub valid_fraction: f64,
    /// Decides which these are.
    pub split_seed: u64,
    /// Decides what is made up or put together.
    pub seed: u64,
}

impl Default for AudioOptions {
    fn default() -> Self {
        Self {
            path: None,
            valid_fraction: 0.1,
            split_seed: 1,
            seed: 0,
        }
    }
}

/// The row of a set.
///
/// # Errors
/// A name that no row has.
pub fn find(name: &str) -> Result<&'static SetInfo, AudioError> {
    let row = SETS.iter().find(|set| set.name == name);
    row.ok_or_else(|| AudioError::UnknownSet { name: name.into() })
}

/// Opens a set: its files are found and their texts read, and nothing is decoded yet.
///
/// # Errors
/// An unknown name; files that are not there, or whose names or texts are not as they should be, by
/// name; an option out of its range.
pub fn open(name: &str, data_dir: &Path, options: &AudioOptions) -> Result<Splits, AudioError> {
    let set = find(name)?;
    if !(0.0..1.0).contains(&options.valid_fraction) {
        return Err(AudioError::Range {
            key: "valid_fraction",
            range: "0..1",
            found: options.valid_fraction,
        });
    }
    (set.open)(data_dir, options)
}
