//! Pictures in a text, for pages.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

// c channels, h height, w width

/// The PNG file of pixels `[c, h, w]` in bytes, in base64. One channel is grey; of others, the first
/// three are red, green and blue.
#[must_use]
pub fn png([c, h, w]: [usize; 3], pixels: &[u8]) -> String {
    let (width, height) = (w as u32, h as u32);
    let at = |channel: usize, at: usize| pixels.get(channel * h * w + at).copied().unwrap_or(0);
    let image = match c {
        1 => GrayImage::from_raw(width, height, (0..h * w).map(|i| at(0, i)).collect())
            .map(DynamicImage::from),
        _ => {
            let pixels = (0..h * w).flat_map(|i| [0, 1, 2].map(|channel| at(channel, i)));
            RgbImage::from_raw(width, height, pixels.collect()).map(DynamicImage::from)
        }
    };
    let mut png = Cursor::new(Vec::new());
    if let Some(image) = image {
        // Into memory: it does not fail.
        let _ = image.write_to(&mut png, ImageFormat::Png);
    }
    STANDARD.encode(png.into_inner())
}
