//! What is shown to a person: plain data, the same in a terminal, a report and a page.
//!
//! A task makes exhibits, whoever shows things renders them; neither knows the other.

use serde::{Deserialize, Serialize};

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Exhibit {
    /// A text in pieces: words, tokens, characters, or all of it in one.
    Text {
        /// The pieces, in order.
        pieces: Vec<String>,
        /// What stands between two pieces.
        #[serde(default)]
        separator: String,
        /// What each piece counts for, in nats, where that was computed; none otherwise.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        values: Vec<f32>,
    },
    /// Labels, the likeliest first.
    Labels {
        /// The labels.
        labels: Vec<Label>,
    },
    /// A picture.
    Picture {
        /// The picture.
        picture: Picture,
        /// What each pixel `[height, width]` counts for, in nats, where that was computed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        values: Vec<f32>,
        /// Boxes on it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        boxes: Vec<Frame>,
    },
    /// A class for each pixel.
    Mask {
        /// Height and width in pixels.
        size: [usize; 2],
        /// The class of each pixel, in rows.
        classes: Vec<u8>,
        /// Class names by label; a pixel of another label is of no class.
        names: Vec<String>,
    },
    /// A sound.
    Sound {
        /// A WAV file, in base64.
        wav: String,
        /// Its length.
        seconds: f64,
    },
    /// Values in rows and columns, such as a spectrogram.
    Heat {
        /// Rows and columns.
        size: [usize; 2],
        /// The values, in rows; the first row is at the bottom.
        values: Vec<f32>,
        /// What the columns and the rows are.
        axes: [String; 2],
    },
    /// Curves over one axis.
    Curve {
        /// What the horizontal and the vertical axis are.
        axes: [String; 2],
        /// The curves.
        lines: Vec<Line>,
    },
    /// A table of words and numbers.
    Table {
        /// What the columns are.
        columns: Vec<String>,
        /// The rows, a cell a column.
        rows: Vec<Vec<String>>,
    },
    /// How often each class was taken for each: `counts[true][answered]`.
    Confusion {
        /// Class names by label.
        names: Vec<String>,
        /// Examples, by true and answered class.
        counts: Vec<Vec<usize>>,
    },
    /// One after the other, such as the moves of a game.
    Frames {
        /// The frames, in order.
        frames: Vec<Exhibit>,
    },
}

/// A label, and how likely it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The class's name.
    pub name: String,
    /// Its value in `unit`.
    pub value: f64,
    /// What the value is: a share in 0..=1 unless told.
    #[serde(default)]
    pub unit: Unit,
}

/// A PNG file in a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The file, in base64.
    pub png: String,
    /// Height and width in pixels.
    pub size: [usize; 2],
}

/// A box on a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Left, top, right, bottom, in pixels.
    pub corners: [f32; 4],
    /// What is in it.
    pub label: Label,
}

/// A curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What it is of.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<[f64; 2]>,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A part of a whole in 0..=1, shown in per cent.
    #[default]
    Share,
    /// A loss or a gain in nats.
    Nats,
    /// Of no unit.
    Plain,
}

/// An exhibit, and what it is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// `truth`, `answer`, `prompt`; may be empty.
    pub caption: String,
    /// What is shown.
    pub exhibit: Exhibit,
}

/// What belongs together: an input, its answer, the truth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// A line about it; may be empty.
    pub about: String,
    /// Its exhibits.
    pub parts: Vec<Part>,
}

impl Example {
    /// An example of which a line is said.
    #[must_use]
    pub fn new(about: impl Into<String>) -> Self {
        Self {
            about: about.into(),
            parts: Vec::new(),
        }
    }

    /// The same with another exhibit.
    #[must_use]
    pub fn with(mut self, caption: impl Into<String>, exhibit: Exhibit) -> Self {
        self.parts.push(Part {
            caption: caption.into(),
            exhibit,
        });
        self
    }
}

/// Examples under a heading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// The heading: `Confusion`, `Mistakes`, `Samples`.
    pub title: String,
    /// A sentence that says how to read it; may be empty.
    pub about: String,
    /// The examples.
    pub examples: Vec<Example>,
}

impl Exhibit {
    /// A text in one piece.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text {
            pieces: vec![text.into()],
            separator: String::new(),
            values: Vec::new(),
        }
    }
}
