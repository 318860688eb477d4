//! Pictures in a text, for pages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

// c channels, h height, w width

/// The PNG file of pixels `[c, h, w]` in bytes, in base64. One channel is grey; of others, the first
/// three are red, green and blue.
#[must_use]
pub fn png([c, h, w]: [usize; 3], pixels: &[u8]) -> String {
    let (width, height) = (w as u32, h as u32);
    let at = |channel: usize, at: usize| pixels.get(channel * h * w + at).copied().unwrap_or(0);
    let (color, pixels): (_, Vec<u8>) = match c {
        1 => (
            png::ColorType::Grayscale,
            (0..h * w).map(|i| at(0, i)).collect(),
        ),
        _ => {
            let pixels = (0..h * w).flat_map(|i| [0, 1, 2].map(|channel| at(channel, i)));
            (png::ColorType::Rgb, pixels.collect())
        }
    };
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    // Into memory: it does not fail, but of a picture without pixels there is no file.
    let written = encoder.write_header();
    let _ = written.and_then(|mut writer| writer.write_image_data(&pixels));
    STANDARD.encode(file)
}
