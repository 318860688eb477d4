//! From a picture of any size to the numbers that a model reads.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::resample::resize;
use super::{Color, Interpolation, Picture};

// c channels, h height, w width

/// Largest height or width that pictures can be brought to, in pixels.
pub const MAX_SIDE: usize = 4096;

/// What is done to a picture before a model sees it, in this order. A run keeps it, and origins state it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocessing {
    /// What pixels are converted to.
    pub color: Color,
    /// The size that the picture is brought to; `None` leaves it.
    pub resize: Option<Resize>,
    /// How that is done.
    pub interpolation: Interpolation,
    /// `[height, width]` of the part that is cut out of its middle; black is added where it is smaller.
    pub crop: Option<[usize; 2]>,
    /// Where the middle is.
    pub crop_offset: CropOffset,
    /// Divides the samples, 0..=255: by 255, they are in 0..=1.
    pub divisor: f32,
    /// Subtracted then, by channel; one number serves all channels.
    pub mean: Vec<f32>,
    /// Divides what is left, by channel.
    pub std: Vec<f32>,
}

impl Default for Preprocessing {
    /// Pixels in 0..=1, at the size that the picture has.
    fn default() -> Self {
        Self {
            color: Color::Rgb,
            resize: None,
            interpolation: Interpolation::default(),
            crop: None,
            crop_offset: CropOffset::default(),
            divisor: 255.0,
            mean: vec![0.0],
            std: vec![1.0],
        }
    }
}

/// The size that a picture is brought to, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the shortest edge in pixels, or [height, width]"
)]
pub enum Resize {
    /// The shorter side; the other keeps the proportions.
    ShortestEdge(usize),
    /// Height and width, whatever the proportions.
    Exact([usize; 2]),
}

/// Where the middle of a picture is if it can not be cut evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CropOffset {
    /// As torchvision and timm have it: a half is rounded to the even number; of what is added, less
    /// comes first.
    #[default]
    Even,
    /// As transformers has it: a half is rounded down; of what is added, more comes first.
    Floor,
}

impl CropOffset {
    /// Where `crop` pixels begin of `side`: below 0 if they are more.
    fn of(self, side: usize, crop: usize) -> isize {
        let difference = side as isize - crop as isize;
        match self {
            Self::Floor => difference.div_euclid(2),
            Self::Even if difference < 0 => difference / 2,
            Self::Even => difference / 2 + isize::from(difference % 4 == 3),
        }
    }
}

/// A value that no picture can be preprocessed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct PreprocessingError {
    /// The field of [`Preprocessing`].
    pub key: &'static str,
    /// What was expected and found.
    pub problem: String,
}

impl Preprocessing {
    /// `[c, h, w]` of every result; `None` if that depends on the picture.
    pub fn shape(&self) -> Option<[usize; 3]> {
        let size = match (self.crop, self.resize) {
            (Some(size), _) | (None, Some(Resize::Exact(size))) => size,
            _ => return None,
        };
        Some([self.color.channels(), size[0], size[1]])
    }

    /// Refuses what no picture can be preprocessed with.
    ///
    /// # Errors
    ///
    /// Sides of 0 or of more than [`MAX_SIDE`]; a mean and deviation of another number of channels, or
    /// by which nothing finite comes out.
    pub fn check(&self) -> Result<(), PreprocessingError> {
        match self.resize {
            Some(Resize::ShortestEdge(side)) => check_sides("resize", [side; 2])?,
            Some(Resize::Exact(size)) => check_sides("resize", size)?,
            None => {}
        }
        self.crop.map_or(Ok(()), |size| check_sides("crop", size))?;
        let channels = self.color.channels();
        for (key, values) in [("mean", &self.mean), ("std", &self.std)] {
            rule(values.len() == 1 || values.len() == channels, key, || {
                format!("has {} numbers for {channels} channels", values.len())
            })?;
        }
        let refused =
            |found: &dyn std::fmt::Debug, expected: &str| format!("{found:?}: must be {expected}");
        rule(
            self.divisor > 0.0 && self.divisor.is_finite(),
            "divisor",
            || refused(&self.divisor, "a finite number above 0"),
        )?;
        for channel in 0..channels {
            let (scale, shift) = self.scale_and_shift(channel);
            rule(scale > 0.0 && (255.0 * scale).is_finite(), "std", || {
                refused(&self.std, "finite numbers above 0")
            })?;
            rule(shift.is_finite(), "mean", || {
                refused(&self.mean, "finite numbers, divided by std too")
            })?;
        }
        Ok(())
    }

    /// The numbers of a picture, and their shape `[c, h, w]`.
    ///
    /// # Errors
    ///
    /// What [`check`](Self::check) refuses; a picture that would be resized to more than [`MAX_SIDE`].
    pub fn apply(&self, picture: &Picture) -> Result<(Vec<f32>, [usize; 3]), PreprocessingError> {
        self.check()?;
        let part = self.sized(picture)?;
        let [h, w] = part.size();
        let c = part.color().channels();
        let mut values = Vec::with_capacity(c * h * w);
        self.normalize(&part.into_channel_major(), &mut values);
        Ok((values, [c, h, w]))
    }

    /// Scales and normalises samples that are `[c, h, w]` already, at the end of `values`.
    pub fn normalize(&self, samples: &[u8], values: &mut Vec<f32>) {
        let channels = self.color.channels();
        for (channel, samples) in samples
            .chunks(samples.len().div_ceil(channels).max(1))
            .enumerate()
        {
            let (scale, shift) = self.scale_and_shift(channel);
            values.extend(
                samples
                    .iter()
                    .map(|sample| f32::from(*sample) * scale - shift),
            );
        }
    }

    /// What a sample is multiplied by, and what is subtracted then.
    fn scale_and_shift(&self, channel: usize) -> (f32, f32) {
        let of_channel = |values: &[f32]| values[if values.len() == 1 { 0 } else { channel }];
        let (mean, std) = (of_channel(&self.mean), of_channel(&self.std));
        (1.0 / (self.divisor * std), mean / std)
    }

    /// The picture in its colours, resized and cropped: what of it a model sees, for people.
    ///
    /// # Errors
    ///
    /// See [`apply`](Self::apply).
    pub fn sized(&self, picture: &Picture) -> Result<Picture, PreprocessingError> {
        let picture = match picture.color() == self.color {
            true => Cow::Borrowed(picture),
            false => Cow::Owned(picture.clone().convert(self.color)),
        };
        let resized = self.resized(picture.size());
        let size = self.crop.unwrap_or(resized);
        if self.resize.is_some() {
            check_sides("resize", size)?;
        }
        let starts = [0, 1].map(|axis| self.crop_offset.of(resized[axis], size[axis]));
        let window = [0, 1].map(|axis| {
            let start = starts[axis].max(0) as usize;
            let end = starts[axis] + size[axis] as isize;
            start..(end as usize).min(resized[axis])
        });
        let part = resize(&picture, resized, window, self.interpolation);
        Ok(padded(
            part,
            size,
            starts.map(|start| start.min(0).unsigned_abs()),
        ))
    }

    /// The size that a picture is brought to, which is not yet cropped.
    fn resized(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        match self.resize {
            None => [height, width],
            Some(Resize::Exact(size)) => size,
            Some(Resize::ShortestEdge(edge)) => {
                let (short, long) = (height.min(width), height.max(width));
                // Cut off, and not rounded, in all of the three.
                let long = ((edge * long) as f64 / short as f64) as usize;
                if height <= width {
                    [edge, long]
                } else {
                    [long, edge]
                }
            }
        }
    }
}

/// The picture in a black one of that size, so far from its upper left corner.
fn padded(picture: Picture, [height, width]: [usize; 2], [top, left]: [usize; 2]) -> Picture {
    if picture.size() == [height, width] {
        return picture;
    }
    let channels = picture.color().channels();
    let row_length = picture.size()[1] * channels;
    let mut samples = vec![0; height * width * channels];
    let rows = samples.chunks_exact_mut(width * channels).skip(top);
    for (row, part) in rows.zip(picture.samples().chunks_exact(row_length)) {
        row[left * channels..][..row_length].copy_from_slice(part);
    }
    Picture::new(height, width, picture.color(), samples)
}

fn check_sides(key: &'static str, [height, width]: [usize; 2]) -> Result<(), PreprocessingError> {
    let fits = [height, width]
        .iter()
        .all(|side| (1..=MAX_SIDE).contains(side));
    rule(fits, key, || {
        format!("{height}x{width} pixels (height x width): sides must be 1 to {MAX_SIDE}")
    })
}

fn rule(
    holds: bool,
    key: &'static str,
    problem: impl FnOnce() -> String,
) -> Result<(), PreprocessingError> {
    match holds {
        true => Ok(()),
        false => Err(PreprocessingError {
            key,
            problem: problem(),
        }),
    }
}
