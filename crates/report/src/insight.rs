//! `insight.json`: what a trained model does with single examples. The program that has the model
//! writes it; the report shows it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The name of the file in a run folder.
pub const INSIGHT_FILE: &str = "insight.json";

/// What was looked at, of one split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Insight {
    /// The split: `test` or `valid`.
    pub split: String,
    /// Examples in it.
    pub examples: usize,
    /// How a classifier confuses its classes.
    pub classes: Option<Classes>,
    /// What a decoder writes.
    pub samples: Vec<Sample>,
    /// What a few outputs depend on.
    pub saliency: Vec<Saliency>,
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
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// A classifier's answers to a whole split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classes {
    /// Class names by label.
    pub names: Vec<String>,
    /// `confusion[true label][predicted label]` examples; empty where there are too many classes.
    pub confusion: Vec<Vec<usize>>,
    /// The wrong answers with the largest loss, the worst first.
    pub mistakes: Vec<Mistake>,
}

/// One wrong answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The example's place in the split, from 0.
    pub index: usize,
    /// What the model was shown.
    pub input: Shown,
    /// The true class.
    pub label: usize,
    /// The model's.
    pub predicted: usize,
    /// The probability that it gave to its own answer, 0..=1.
    pub confidence: f64,
    /// The cross-entropy, in nats.
    pub loss: f64,
}

/// An input that a person can look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Shown {
    /// A picture.
    Image {
        /// Its PNG file, in base64.
        png: String,
        /// Height and width in pixels.
        size: [usize; 2],
    },
    /// A text, cut into the model's tokens.
    Text {
        /// The tokens: words, or single characters.
        tokens: Vec<String>,
        /// What stands between two tokens: a space between words, nothing between characters.
        separator: String,
    },
}

/// A text that a decoder continued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What it was given.
    pub prompt: String,
    /// What it added.
    pub continuation: String,
    /// Below 1 is more careful; 0 takes the likeliest token each time.
    pub temperature: f64,
    /// What would have been right, where there is one right answer.
    pub expected: Option<String>,
}

/// How much each part of an input counts for one output: integrated gradients (Sundararajan, Taly
/// and Yan 2017, equation 3) of the output's log-probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saliency {
    /// What the model was shown.
    pub input: Shown,
    /// The output that is explained: a class's name, or the next token.
    pub output: String,
    /// What would have been right.
    pub expected: String,
    /// The probability of the output, 0..=1.
    pub probability: f64,
    /// One value a token, or a pixel `[height, width]` summed over the channels, in nats: above 0
    /// speaks for the output, below 0 against it.
    pub values: Vec<f32>,
    /// The output's log-probability at the baseline and at the input. Their difference is the sum
    /// of the values, up to the error of the integration.
    pub log_probability: [f64; 2],
}
