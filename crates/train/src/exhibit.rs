//! What is shown to a person: plain data, the same in a terminal, a report and a page.
//!
//! A task makes exhibits, whoever shows things renders them; neither knows the other.

use serde::{Deserialize, Deserializer, Serialize};

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
        #[serde(
            default,
            skip_serializing_if = "Vec::is_empty",
            deserialize_with = "or_nan"
        )]
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
        #[serde(
            default,
            skip_serializing_if = "Vec::is_empty",
            deserialize_with = "or_nan"
        )]
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
        #[serde(deserialize_with = "or_nan")]
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
    /// How likely it is, in `unit`; none of what is simply so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What the value is: a share in 0..=1 unless told.
    #[serde(default)]
    pub unit: Unit,
}

impl Label {
    /// What is simply so, such as the true class.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: None,
            unit: Unit::Share,
        }
    }

    /// What is so with this probability, 0..=1.
    #[must_use]
    pub fn likely(name: impl Into<String>, share: f64) -> Self {
        Self {
            value: Some(share),
            ..Self::new(name)
        }
    }
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
    #[serde(deserialize_with = "points_or_nan")]
    pub points: Vec<[f64; 2]>,
}

/// JSON has no NaN and no infinity; they are written as null.
fn or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
    let values = Vec::<Option<f32>>::deserialize(from)?.into_iter();
    Ok(values.map(|value| value.unwrap_or(f32::NAN)).collect())
}

fn points_or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<[f64; 2]>, D::Error> {
    let points = Vec::<[Option<f64>; 2]>::deserialize(from)?.into_iter();
    let point = |point: [Option<f64>; 2]| point.map(|value| value.unwrap_or(f64::NAN));
    Ok(points.map(point).collect())
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
    /// What it is of, in a word or two; may be empty. [`Part::PROMPT`], [`Part::ANSWER`] and
    /// [`Part::TRUTH`] are shown in one line where they are texts, or labels.
    pub caption: String,
    /// What is shown.
    pub exhibit: Exhibit,
}

impl Part {
    /// The beginning that the model goes on from.
    pub const PROMPT: &str = "prompt";
    /// What the model made of it.
    pub const ANSWER: &str = "answer";
    /// What would have been right.
    pub const TRUTH: &str = "truth";
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

impl Section {
    /// A section without examples yet.
    #[must_use]
    pub fn new(title: impl Into<String>, about: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            about: about.into(),
            examples: Vec::new(),
        }
    }
}

impl Exhibit {
    /// A label without a value, such as the true class.
    #[must_use]
    pub fn label(name: impl Into<String>) -> Self {
        Self::Labels {
            labels: vec![Label::new(name)],
        }
    }

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
