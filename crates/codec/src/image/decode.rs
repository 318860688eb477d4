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

use png::Transformations;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

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
    guarded(path, || {
        let decoder = Decoder::open(path, &whole, bytes.len())?;
        let picture = decoder.read().map_err(|fault| not_decoded(path, fault))?;
        Ok(picture.convert(color))
    })
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
    let [width, height] = guarded(
        path,
        || Ok(Decoder::open(path, &whole, bytes.len())?.size()),
    )?;
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

/// What may go wrong in either decoder.
type Fault = Box<dyn Error + Send + Sync>;

/// A decoder that has read the header, of a picture that is not too large to decode.
enum Decoder<'a> {
    Png(Box<png::Reader<Cursor<&'a [u8]>>>),
    Jpeg(Box<zune_jpeg::JpegDecoder<ZCursor<&'a [u8]>>>),
}

impl<'a> Decoder<'a> {
    /// Of what is [`whole`] of a file of `size_bytes`.
    fn open(path: &Path, bytes: &'a [u8], size_bytes: usize) -> Result<Self, PictureError> {
        let decoder = match is_jpeg(bytes) {
            true => jpeg(bytes),
            false => png(bytes),
        };
        let decoder = decoder.map_err(|source| not_decoded(path, source))?;
        let [width, height] = decoder.size();
        check_cost([width, height], bytes, size_bytes as u64).map_err(|expected| {
            PictureError::TooLarge {
                path: path.into(),
                expected,
                found: format!("{height}x{width} pixels (height x width)"),
            }
        })?;
        Ok(decoder)
    }

    /// Width and height.
    fn size(&self) -> [u32; 2] {
        match self {
            Self::Png(reader) => reader.info().size().into(),
            Self::Jpeg(decoder) => {
                // The format has 16 bits for each.
                let (width, height) = decoder.dimensions().unwrap_or_default();
                [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX))
            }
        }
    }

    /// Eight bits a sample, in the colours that the file has.
    fn read(self) -> Result<Picture, Fault> {
        let [width, height] = self.size().map(|side| side as usize);
        let (samples, channels) = match self {
            Self::Png(mut reader) => {
                let too_large = || Fault::from("more pixels than memory");
                let mut samples = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
                let frame = reader.next_frame(&mut samples)?;
                if frame.bit_depth == png::BitDepth::Sixteen {
                    // The high bytes come first.
                    samples = samples.into_iter().step_by(2).collect();
                }
                (samples, frame.color_type.samples())
            }
            Self::Jpeg(mut decoder) => {
                let samples = decoder.decode()?;
                let colors = decoder.output_colorspace();
                (samples, colors.map_or(3, |colors| colors.num_components()))
            }
        };
        if samples.len() != height * width * channels {
            return Err(CUT_OFF.into());
        }
        // What is behind the first or the first three is transparency.
        let (color, kept) = match channels {
            1 | 2 => (Color::Grey, 1),
            _ => (Color::Rgb, 3),
        };
        let samples = match kept == channels {
            true => samples,
            false => {
                let pixels = samples.chunks_exact(channels);
                pixels.flat_map(|it| &it[..kept]).copied().collect()
            }
        };
        Ok(Picture::new(height, width, color, samples))
    }
}

/// Palettes are looked up, and fewer bits than eight made eight.
fn png(bytes: &[u8]) -> Result<Decoder<'_>, Fault> {
    let limits = png::Limits {
        bytes: MAX_FILE_BYTES as usize,
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::EXPAND);
    Ok(Decoder::Png(Box::new(decoder.read_info()?)))
}

/// Colours of any kind become red, green and blue; grey stays grey.
fn jpeg(bytes: &[u8]) -> Result<Decoder<'_>, Fault> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers()?;
    let colors = match decoder.input_colorspace() {
        Some(ColorSpace::Luma | ColorSpace::LumaA) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(colors));
    Ok(Decoder::Jpeg(Box::new(decoder)))
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
