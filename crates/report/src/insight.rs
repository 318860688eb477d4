//! `insight.json`: what a trained model does with single examples. The program that has the model
//! writes it; the report shows it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zoo_train::Section;

/// The name of the file in a run folder.
pub const INSIGHT_FILE: &str = "insight.json";

/// What was looked at, of one split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Insight {
    /// The split: `test` or `valid`.
    pub split: String,
    /// Examples in it.
    pub examples: usize,
    /// What there is to see, in order.
    pub sections: Vec<Section>,
}

/// The file as it may be found.
#[derive(Deserialize)]
struct Found {
    split: String,
    examples: usize,
    /// None of what was written before there were sections.
    sections: Option<Vec<Section>>,
}

impl Insight {
    /// Largest file that is read: dozens of pictures of a megabyte each.
    const MOST_BYTES: u64 = 1 << 26;

    /// Reads the file of a run folder.
    ///
    /// # Errors
    /// A file that is not there, is too large, or is not what this version writes.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let bytes = zoo_files::read(&folder.join(INSIGHT_FILE), Self::MOST_BYTES)?;
        let found: Found = serde_json::from_slice(&bytes)?;
        let sections = found.sections.ok_or_else(|| {
            io::Error::other(
                "its examples are in the form of an older version, which this one does not show; the \
                 run itself is shown in whole",
            )
        })?;
        Ok(Self {
            split: found.split,
            examples: found.examples,
            sections,
        })
    }
}
