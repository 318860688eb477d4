//! What tasks of pictures share: what a model takes, how a file becomes its input, how an input is shown.

use std::path::Path;

use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use zoo_codec::image::{Color, Preprocessing, Resize, read};
use zoo_train::rng::Stream;
use zoo_train::{Exhibit, Picture};

use crate::size::Size;

// b batch, c channels, h height, w width

/// The longest side of an image that a model is given, as of one that is read.
const MOST_PIXELS_A_SIDE: usize = 16_384;

/// What a model of pictures takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureInput {
    /// Images of any shape with this many values in all.
    Features(usize),
    /// Images of exactly this shape, channels, height, width.
    Exactly([usize; 3]),
    /// Images of any size.
    AnySize {
        /// Channels.
        channels: usize,
        /// Height and width in the paper.
        usual: usize,
        /// The least height and width that a map is left of.
        least: usize,
    },
}

impl PictureInput {
    /// The shape of a made-up picture `[c, h, w]`.
    pub fn shape(self, size: Size) -> [usize; 3] {
        match self {
            Self::Features(features) => [1, 1, features],
            Self::Exactly(shape) => shape,
            Self::AnySize {
                channels, usual, ..
            } => {
                let side = size.most_side.map_or(usual, |most| usual.min(most));
                [channels, side, side]
            }
        }
    }

    /// One image of noise with this side; `None` if the size is not free.
    ///
    /// # Errors
    /// Sides that leave nothing of a map, or more numbers than memory has.
    pub fn sized(self, side: usize) -> Result<Option<TensorData>, String> {
        /// As a picture that is read.
        const MOST: usize = MOST_PIXELS_A_SIDE;
        let Self::AnySize {
            channels, least, ..
        } = self
        else {
            return Ok(None);
        };
        if side < least {
            return Err(format!("takes images of {least} or more"));
        }
        if side > MOST {
            return Err(format!("is shown on images of {MOST} or fewer"));
        }
        Ok(Some(noise([channels, side, side], 1, &mut Stream::new(0))))
    }

    /// Whether its usual images are larger than small ones: a step on them takes seconds.
    pub fn is_large(self) -> bool {
        const LARGE_SIDE: usize = 64;
        match self {
            Self::Features(_) => false,
            Self::Exactly([_, h, _]) => h > LARGE_SIDE,
            Self::AnySize { usual, .. } => usual > LARGE_SIDE,
        }
    }

    /// Whether images of a shape are taken.
    ///
    /// # Errors
    /// What the model takes, what the data gives, and which key to change.
    pub fn fit(self, model: &str, set: &str, shape: [usize; 3]) -> Result<(), String> {
        let [c, h, w] = shape;
        let gives = format!("data set {set} gives {c}x{h}x{w} images");
        match self {
            Self::Features(features) if features != c * h * w => Err(format!(
                "model {model} takes {features} values, but {gives}, {} values; \
                 set the first of model.widths to {}",
                c * h * w,
                c * h * w
            )),
            Self::Exactly(expected) if expected != shape => Err(format!(
                "model {model} takes {}x{}x{} images, but {gives}; set model.in_channels = {c} and \
                 model.image_size = {h}, or data.color and data.size of a folder, or choose a model that \
                 takes any size, such as resnet20",
                expected[0], expected[1], expected[2]
            )),
            Self::AnySize { channels, .. } if channels != c => Err(format!(
                "model {model} takes images of {channels} channels, but {gives}; set model.in_channels = \
                 {c}, or data.color of a folder"
            )),
            Self::AnySize { least, .. } if least > h.min(w) => Err(format!(
                "model {model} takes images of {least}x{least} or more, but {gives}; choose a \
                 model for small images, such as resnet20, or a larger data.size of a folder"
            )),
            _ => Ok(()),
        }
    }
}

/// Noise `[b, c, h, w]` of the range that normalised pixels have.
pub(crate) fn noise([c, h, w]: [usize; 3], b: usize, stream: &mut Stream) -> TensorData {
    let levels = (0..b * c * h * w).map(|_| stream.below(4096) as i64);
    let pixels: Vec<f32> = levels.map(|level| level as f32 / 1024.0 - 2.0).collect();
    TensorData::new(pixels, [b, c, h, w])
}

/// How pictures are read: part of what a run keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pictures {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Subtracted from pixels in 0..=1.
    pub mean: Vec<f32>,
    /// Divides what is left.
    pub std: Vec<f32>,
    /// What is done to a picture of a person, where that is more than to bring it to `shape`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
}

impl Pictures {
    /// Those that a preprocessing makes, which must say their size.
    ///
    /// # Errors
    /// A preprocessing that cannot be, or results of any size.
    pub fn new(preprocessing: Preprocessing) -> Result<Self, String> {
        preprocessing.check().map_err(|error| error.to_string())?;
        let shape = preprocessing
            .shape()
            .ok_or("the size that pictures are brought to is not said")?;
        let by_channel = |values: &[f32]| match values {
            [one] => vec![*one; shape[0]],
            values => values.to_vec(),
        };
        Ok(Self {
            shape,
            mean: by_channel(&preprocessing.mean),
            std: by_channel(&preprocessing.std),
            preprocessing: Some(preprocessing),
        })
    }

    /// What is done to a picture.
    #[must_use]
    pub fn preprocessing(&self) -> Preprocessing {
        let [c, h, w] = self.shape;
        self.preprocessing.clone().unwrap_or_else(|| Preprocessing {
            color: if c == 1 { Color::Grey } else { Color::Rgb },
            resize: Some(Resize::Exact([h, w])),
            mean: self.mean.clone(),
            std: self.std.clone(),
            ..Preprocessing::default()
        })
    }

    /// Whether a picture could be read.
    ///
    /// # Errors
    /// What keeps it from that, by key.
    pub fn check(&self) -> Result<(), String> {
        let [channels, sides @ ..] = &self.shape;
        // An image that is read is made this large, whatever it was.
        let fits = |side: &usize| (1..=MOST_PIXELS_A_SIDE).contains(side);
        if !sides.iter().all(fits) {
            return Err(format!(
                "codec: images of {} x {} pixels; sides are from 1 to {MOST_PIXELS_A_SIDE}",
                sides[0], sides[1]
            ));
        }
        let each = [*channels, self.mean.len(), self.std.len()];
        if !matches!(each, [1, 1, 1] | [3, 3, 3]) {
            return Err(format!(
                "codec: {} channels, {} means and {} deviations; expected 1 of each, or 3",
                each[0], each[1], each[2]
            ));
        }
        if !self.mean.iter().all(|value| value.is_finite()) {
            return Err(format!("codec.mean = {:?}: must be numbers", self.mean));
        }
        if !self
            .std
            .iter()
            .all(|value| *value > 0.0 && value.is_finite())
        {
            return Err(format!("codec.std = {:?}: must be above 0", self.std));
        }
        let Some(preprocessing) = &self.preprocessing else {
            return Ok(());
        };
        (preprocessing.check()).map_err(|error| format!("codec.preprocessing.{error}"))?;
        match preprocessing.shape() == Some(self.shape) {
            true => Ok(()),
            false => Err(format!(
                "codec.preprocessing makes pictures of another size than codec.shape = {:?}",
                self.shape
            )),
        }
    }

    /// The model's input `[1, c, h, w]` of a picture's file.
    ///
    /// # Errors
    /// A file that is no picture.
    pub fn read(&self, file: &str) -> Result<TensorData, String> {
        let preprocessing = self.preprocessing();
        let picture = read(Path::new(file), preprocessing.color);
        let picture = picture.map_err(|error| chain(&error))?;
        let (values, [c, h, w]) =
            (preprocessing.apply(&picture)).map_err(|error| error.to_string())?;
        Ok(TensorData::new(values, [1, c, h, w]))
    }

    /// Pixels `[c, h, w]` in bytes of an input.
    fn pixels(&self, input: &TensorData) -> Vec<u8> {
        let [c, h, w] = self.shape;
        let values: Vec<f32> = input.iter::<f32>().collect();
        let pixel = |at: usize| {
            let channel = at / (h * w);
            let value = values[at] * self.std[channel] + self.mean[channel];
            (value * 255.0).round().clamp(0.0, 255.0) as u8
        };
        (0..c * h * w).map(pixel).collect()
    }

    /// An input `[c, h, w]` as a picture, with what its pixels count for, if that is known.
    #[must_use]
    pub fn shown(&self, input: &TensorData, values: Vec<f32>) -> Exhibit {
        let [c, h, w] = self.shape;
        let png = zoo_codec::image::png([c, h, w], &self.pixels(input));
        Exhibit::Picture {
            picture: Picture { png, size: [h, w] },
            values,
            boxes: Vec::new(),
        }
    }

    /// An image with no light `[1, c, h, w]`, normalised as the input is.
    #[must_use]
    pub fn dark(&self) -> TensorData {
        let [c, h, w] = self.shape;
        let mut values = Vec::new();
        self.preprocessing()
            .normalize(&vec![0; c * h * w], &mut values);
        TensorData::new(values, [1, c, h, w])
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
