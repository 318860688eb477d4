//! A decoded picture, and its colours as PIL's `convert` makes them.

use serde::{Deserialize, Serialize};

use super::Interpolation;
use super::resample::resize;

/// What a pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// Red, green and blue: three channels.
    #[default]
    Rgb,
    /// Luma (Rec. 601, rounded as PIL does): one channel.
    Grey,
}

impl Color {
    /// Number of channels.
    pub fn channels(self) -> usize {
        match self {
            Color::Rgb => 3,
            Color::Grey => 1,
        }
    }
}

/// A picture in memory, eight bits a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    height: usize,
    width: usize,
    color: Color,
    samples: Vec<u8>,
}

impl Picture {
    /// A picture of `samples`, `[height, width, channels]` flattened.
    ///
    /// # Panics
    ///
    /// Where there are more or fewer samples than that.
    pub fn new(height: usize, width: usize, color: Color, samples: Vec<u8>) -> Self {
        assert_eq!(samples.len(), height * width * color.channels());
        Self {
            height,
            width,
            color,
            samples,
        }
    }

    /// Height and width in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// What its pixels are made of.
    pub fn color(&self) -> Color {
        self.color
    }

    /// `[height, width, channels]` flattened.
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// The samples, `[channels, height, width]` flattened: the order of a tensor.
    pub fn into_channel_major(self) -> Vec<u8> {
        let channels = self.color.channels();
        if channels == 1 {
            return self.samples;
        }
        let mut pixels = Vec::with_capacity(self.samples.len());
        for channel in 0..channels {
            pixels.extend(self.samples.iter().skip(channel).step_by(channels));
        }
        pixels
    }

    /// The picture at `[height, width]`, whatever its proportions. Either is at least 1.
    pub fn resize(self, size: [usize; 2], interpolation: Interpolation) -> Self {
        match self.size() == size {
            true => self,
            false => resize(&self, size, size.map(|side| 0..side), interpolation),
        }
    }

    /// Grey as luma, colours of grey as three equal channels.
    pub fn convert(self, color: Color) -> Self {
        let samples = match (self.color, color) {
            (Color::Rgb, Color::Grey) => self.samples.chunks_exact(3).map(luma).collect(),
            (Color::Grey, Color::Rgb) => self.samples.iter().flat_map(|it| [*it; 3]).collect(),
            _ => return self,
        };
        Self::new(self.height, self.width, color, samples)
    }
}

/// The luma of Rec. 601, rounded as PIL's `convert("L")` does.
fn luma(rgb: &[u8]) -> u8 {
    let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(rgb[channel]));
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}
