//! From the bytes of a PNG or JPEG file to pixels, as PIL makes them.
//!
//! Which of the two a file is, its content says. Transparency and the EXIF orientation are ignored,
//! as torchvision's loader does. Palettes are looked up; a sample of 16 bits keeps its high byte, as
//! in PIL's colour images (PIL cuts 16-bit *grey* off at 255, which leaves little but white). CMYK
//! becomes RGB in the decoder.

use crate::container::{CUT_OFF, is_jpeg, scans, whole};
use crate::listing::{Content, content};
use crate::scans::is_cut;
use crate::{Color, FolderOptions, ImageError};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, RgbImage, imageops::FilterType};
use std::error::Error;
use std::io::{self, Cursor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Largest height or width that can be asked for, in pixels.
pub(crate) const MAX_SIDE: usize = 4096;
/// Most pixels of a file, 8192 x 8192: bounds what decoding takes.
const MAX_PIXELS: u64 = 1 << 26;
/// Largest height or width of a file, in pixels. Between its two passes, resizing holds a row of the
/// old width for every row of the new image: one line of 67 million pixels would become gigabytes.
const MAX_FILE_SIDE: u32 = 1 << 14;
/// Most pixels that a byte of a PNG can stand for: DEFLATE makes at most 1,032 bytes of one, of 8 pixels
/// each. A file that claims more is not whole, and is refused before memory is set aside for it.
const MAX_PIXELS_PER_BYTE: u64 = 8 * 1_032;
/// The same of a JPEG, which spends a bit or more on 64 pixels; on 128, where two of its components are
/// made smaller in one direction each.
const MAX_JPEG_PIXELS_PER_BYTE: u64 = 8 * 128;
/// Most pixels that its scans go over, all together, which takes a second or two: 20 scans of the largest
/// picture, of which PIL writes 10, and 18 for print. For a byte, as many as of a PNG: pictures of one
/// colour in 10 scans have a fifth of them.
const MAX_SCANNED_PIXELS: u64 = 20 * MAX_PIXELS;
/// What to do about a file that cannot be read.
const CHECK_IT: &str = "check that it exists and may be read";
/// Largest file that is read: more than [`MAX_PIXELS`] take without any compression.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads one image file: `(pixels, [channels, height, width])`, the pixels flattened in that order.
///
/// # Errors
///
/// A file that cannot be read or decoded, or a size out of range.
pub fn read_image(
    path: &Path,
    options: &FolderOptions,
) -> Result<(Vec<u8>, [usize; 3]), ImageError> {
    let size = options.size.map(check_size).transpose()?;
    let bytes = read_file(path)?;
    dimensions(path, &bytes)?;
    decode(path, &bytes, size, options.color)
}

/// Decodes an image file whose [`dimensions`] were had before.
pub(crate) fn decode(
    path: &Path,
    bytes: &[u8],
    size: Option<[usize; 2]>,
    color: Color,
) -> Result<(Vec<u8>, [usize; 3]), ImageError> {
    let whole = whole(bytes).map_err(|fault| not_decoded(path, fault))?;
    let image = guarded(path, || {
        let decoder = decoder(path, &whole, bytes.len())?;
        DynamicImage::from_decoder(decoder).map_err(|source| not_decoded(path, source))
    })?;
    let mut image = in_color(image, color);
    if let Some([height, width]) = size {
        // `resize_exact` leaves an image of that size untouched.
        image = image.resize_exact(width as u32, height as u32, FilterType::Triangle);
    }
    let (channels, height, width) = (color.channels(), image.height(), image.width());
    let pixels = channel_major(image.into_bytes(), channels);
    Ok((pixels, [channels, height as usize, width as usize]))
}

/// The bytes of a file whose first say that it is a picture.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, ImageError> {
    match content(path).map_err(|source| unreadable(path, source))? {
        Content::Read => {}
        Content::Other(format) => {
            return Err(not_decoded(
                path,
                format!("it is {format}, which is not read"),
            ));
        }
        Content::Unknown => return Err(not_decoded(path, "by its first bytes, it is neither")),
    }
    zoo_files::read(path, MAX_FILE_BYTES).map_err(|source| ImageError::Read {
        path: path.into(),
        next: match source.kind() {
            io::ErrorKind::FileTooLarge => "scale the image down, or remove the file".into(),
            _ => CHECK_IT.into(),
        },
        source,
    })
}

/// Height and width from the header of a file that is whole, as far as that can be told without
/// decoding it.
pub(crate) fn dimensions(path: &Path, bytes: &[u8]) -> Result<[usize; 2], ImageError> {
    let whole = whole(bytes).map_err(|fault| not_decoded(path, fault))?;
    let read = || Ok(decoder(path, &whole, bytes.len())?.dimensions());
    let (width, height) = guarded(path, read)?;
    if is_cut(&whole) {
        return Err(not_decoded(path, CUT_OFF));
    }
    Ok([height as usize, width as usize])
}

/// Refuses a size that no image can have.
pub(crate) fn check_size(size: [usize; 2]) -> Result<[usize; 2], ImageError> {
    let [height, width] = size;
    if size.iter().all(|side| (1..=MAX_SIDE).contains(side)) {
        Ok(size)
    } else {
        Err(ImageError::Size { height, width })
    }
}

/// What `read` makes of a file. The decoder of JPEG panics on some that are broken (zune-image #361);
/// a file must not be able to end a training.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(not_decoded(path, "its decoder gave up")))
}

/// A decoder that has read the header, of an image that is not too large to decode: what is [`whole`] of
/// a file of `size_bytes`.
fn decoder<'a>(
    path: &Path,
    bytes: &'a [u8],
    size_bytes: usize,
) -> Result<impl ImageDecoder + 'a, ImageError> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|source| unreadable(path, source))?;
    let decoder = reader.into_decoder();
    let decoder = decoder.map_err(|source| not_decoded(path, source))?;
    let (width, height) = decoder.dimensions();
    check_cost([width, height], bytes, size_bytes as u64).map_err(|expected| {
        ImageError::Unexpected {
            path: path.into(),
            expected,
            found: format!("{height}x{width} pixels (height x width)"),
            next: "scale the image down, or remove the file".into(),
        }
    })?;
    Ok(decoder)
}

/// Holds what decoding takes against the bytes of a file; or what it may take.
fn check_cost([width, height]: [u32; 2], bytes: &[u8], size_bytes: u64) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    let a_byte = match is_jpeg(bytes) {
        true => MAX_JPEG_PIXELS_PER_BYTE,
        false => MAX_PIXELS_PER_BYTE,
    };
    let most = MAX_PIXELS.min(size_bytes.saturating_mul(a_byte));
    if width.max(height) > MAX_FILE_SIDE || pixels > most {
        return Err(format!(
            "at most {most} pixels in a file of {size_bytes} bytes, and sides of at most \
             {MAX_FILE_SIDE}"
        ));
    }
    let most = MAX_SCANNED_PIXELS.min(size_bytes.saturating_mul(MAX_PIXELS_PER_BYTE));
    let scans = scans(bytes).max(1);
    if scans * pixels > most {
        let most = most / scans;
        return Err(format!(
            "at most {most} pixels in {scans} scans of {size_bytes} bytes"
        ));
    }
    Ok(())
}

/// Eight bits a sample, in the channels that are asked for.
fn in_color(image: DynamicImage, color: Color) -> DynamicImage {
    let (width, height, format) = (image.width(), image.height(), image.color());
    let channels = usize::from(format.channel_count());
    let has_16_bits = usize::from(format.bytes_per_pixel()) == 2 * channels;
    let mut samples = image.into_bytes();
    if has_16_bits {
        let pairs = samples.chunks_exact(2);
        let high = pairs.map(|pair| (u16::from_ne_bytes([pair[0], pair[1]]) >> 8) as u8);
        samples = high.collect();
    }
    let pixels = samples.chunks_exact(channels);
    let has_color = channels >= 3;
    let converted = match color {
        Color::Grey if channels == 1 => GrayImage::from_raw(width, height, samples).map(Into::into),
        Color::Grey => {
            let grey = pixels.map(|pixel| if has_color { grey(pixel) } else { pixel[0] });
            GrayImage::from_raw(width, height, grey.collect()).map(Into::into)
        }
        Color::Rgb if channels == 3 => RgbImage::from_raw(width, height, samples).map(Into::into),
        Color::Rgb => {
            let rgb = pixels.flat_map(|pixel| match has_color {
                true => [pixel[0], pixel[1], pixel[2]],
                false => [pixel[0]; 3],
            });
            RgbImage::from_raw(width, height, rgb.collect()).map(Into::into)
        }
    };
    converted.expect("as many samples as pixels and channels")
}

/// The luma of Rec. 601, rounded as PIL's `convert("L")` does.
fn grey(rgb: &[u8]) -> u8 {
    let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(rgb[channel]));
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

/// `[height, width, channel]` as decoded -> `[channel, height, width]`.
fn channel_major(samples: Vec<u8>, channels: usize) -> Vec<u8> {
    if channels == 1 {
        return samples;
    }
    let mut pixels = Vec::with_capacity(samples.len());
    for channel in 0..channels {
        pixels.extend(samples.iter().skip(channel).step_by(channels));
    }
    pixels
}

pub(crate) fn unreadable(path: &Path, source: io::Error) -> ImageError {
    ImageError::Read {
        path: path.into(),
        next: CHECK_IT.into(),
        source,
    }
}

fn not_decoded(path: &Path, source: impl Into<Box<dyn Error + Send + Sync>>) -> ImageError {
    ImageError::Decode {
        path: path.into(),
        source: source.into(),
    }
}
