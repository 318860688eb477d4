//! From the bytes of a PNG or JPEG file to pixels, as PIL makes them.
//!
//! Which of the two a file is, its content says. Transparency and the EXIF orientation are ignored,
//! as torchvision's loader does. Palettes are looked up; a sample of 16 bits keeps its high byte, as
//! in PIL's colour images (PIL cuts 16-bit *grey* off at 255, which leaves little but white). CMYK
//! becomes RGB in the decoder.

use std::error::Error;
use std::io::{self, Cursor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader};

use super::container::{CUT_OFF, is_jpeg, scans, whole};
use super::format::{Content, content};
use super::scans::is_cut;
use super::{Color, Picture, PictureError};

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

/// Reads one file of PNG or JPEG.
///
/// # Errors
///
/// A file that cannot be read or decoded.
pub fn read(path: &Path, color: Color) -> Result<Picture, PictureError> {
    let bytes = read_bytes(path)?;
    dimensions(path, &bytes)?;
    decode(path, &bytes, color)
}

/// Decodes the bytes of the file at `path`, whose [`dimensions`] were had before.
///
/// # Errors
///
/// Bytes that cannot be decoded, or of too many pixels.
pub fn decode(path: &Path, bytes: &[u8], color: Color) -> Result<Picture, PictureError> {
    let whole = whole(bytes).map_err(|fault| not_decoded(path, fault))?;
    let image = guarded(path, || {
        let decoder = decoder(path, &whole, bytes.len())?;
        DynamicImage::from_decoder(decoder).map_err(|source| not_decoded(path, source))
    })?;
    Ok(in_color(image, color))
}

/// The bytes of a file whose first say that it is a picture.
///
/// # Errors
///
/// A file that cannot be read, is too large, or begins as no PNG or JPEG.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, PictureError> {
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
    zoo_files::read(path, MAX_FILE_BYTES).map_err(|source| PictureError::Read {
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
///
/// # Errors
///
/// Bytes that are cut off or damaged, or of more pixels than are decoded.
pub fn dimensions(path: &Path, bytes: &[u8]) -> Result<[usize; 2], PictureError> {
    let whole = whole(bytes).map_err(|fault| not_decoded(path, fault))?;
    let read = || Ok(decoder(path, &whole, bytes.len())?.dimensions());
    let (width, height) = guarded(path, read)?;
    if is_cut(&whole) {
        return Err(not_decoded(path, CUT_OFF));
    }
    Ok([height as usize, width as usize])
}

/// What `read` makes of a file. The decoder of JPEG panics on some that are broken (zune-image #361);
/// a file must not be able to end a training.
fn guarded<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, PictureError>,
) -> Result<T, PictureError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(not_decoded(path, "its decoder gave up")))
}

/// A decoder that has read the header, of an image that is not too large to decode: what is [`whole`] of
/// a file of `size_bytes`.
fn decoder<'a>(
    path: &Path,
    bytes: &'a [u8],
    size_bytes: usize,
) -> Result<impl ImageDecoder + 'a, PictureError> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|source| unreadable(path, source))?;
    let decoder = reader.into_decoder();
    let decoder = decoder.map_err(|source| not_decoded(path, source))?;
    let (width, height) = decoder.dimensions();
    check_cost([width, height], bytes, size_bytes as u64).map_err(|expected| {
        PictureError::TooLarge {
            path: path.into(),
            expected,
            found: format!("{height}x{width} pixels (height x width)"),
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
fn in_color(image: DynamicImage, color: Color) -> Picture {
    let [width, height] = [image.width(), image.height()].map(|side| side as usize);
    let format = image.color();
    let channels = usize::from(format.channel_count());
    let has_16_bits = usize::from(format.bytes_per_pixel()) == 2 * channels;
    let mut samples = image.into_bytes();
    if has_16_bits {
        let pairs = samples.chunks_exact(2);
        let high = pairs.map(|pair| (u16::from_ne_bytes([pair[0], pair[1]]) >> 8) as u8);
        samples = high.collect();
    }
    let pixels = samples.chunks_exact(channels);
    // What is behind the first or the first three is transparency.
    let picture = match channels {
        1 => Picture::new(height, width, Color::Grey, samples),
        2 => Picture::new(height, width, Color::Grey, pixels.map(|it| it[0]).collect()),
        3 => Picture::new(height, width, Color::Rgb, samples),
        _ => {
            let opaque = pixels.flat_map(|it| [it[0], it[1], it[2]]).collect();
            Picture::new(height, width, Color::Rgb, opaque)
        }
    };
    picture.convert(color)
}

fn unreadable(path: &Path, source: io::Error) -> PictureError {
    PictureError::Read {
        path: path.into(),
        next: CHECK_IT.into(),
        source,
    }
}

fn not_decoded(path: &Path, source: impl Into<Box<dyn Error + Send + Sync>>) -> PictureError {
    PictureError::Decode {
        path: path.into(),
        source: source.into(),
    }
}
