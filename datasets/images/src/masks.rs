//! A mask file: a PNG whose pixels are class indices, grey or by a palette.
//!
//! A palette is there for people's eyes: the index counts, not its colour, as in PASCAL VOC.

use std::io::Cursor;
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Limits, Transformations};

use crate::ImageError;
use crate::error::unreadable;

/// Most pixels of a mask, 8192 x 8192, as of a picture.
const MOST_PIXELS: u64 = 1 << 26;
/// Most pixels that a byte of a PNG can stand for: DEFLATE makes at most 1,032 bytes of one, of 8
/// pixels each. A file that claims more is not whole, and nothing is set aside for it.
const MOST_PIXELS_PER_BYTE: u64 = 8 * 1_032;
/// Largest file that is read: more than [`MOST_PIXELS`] take without any compression.
const MOST_BYTES: u64 = 1 << 27;

/// Class indices in rows, and `[height, width]`.
pub(crate) type Mask = (Vec<u8>, [usize; 2]);

/// Reads a mask file.
pub(crate) fn read_mask(path: &Path) -> Result<Mask, ImageError> {
    let bytes = zoo_files::read(path, MOST_BYTES).map_err(|source| unreadable(path, source))?;
    decode(&bytes).map_err(|fault| match fault {
        Fault::Png(source) => ImageError::DecodeMask {
            path: path.into(),
            source,
        },
        Fault::Kind { expected, found } => ImageError::Unexpected {
            path: path.into(),
            expected,
            found,
            next: "write the class index of each pixel as a grey or palette PNG".into(),
        },
    })
}

enum Fault {
    Png(png::DecodingError),
    Kind { expected: String, found: String },
}

impl From<png::DecodingError> for Fault {
    fn from(source: png::DecodingError) -> Self {
        Self::Png(source)
    }
}

fn decode(bytes: &[u8]) -> Result<Mask, Fault> {
    let limits = Limits {
        bytes: MOST_PIXELS as usize,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::IDENTITY);
    let info = decoder.read_header_info()?;
    let (width, height) = (info.width as usize, info.height as usize);
    let (pixels, most) = (
        u64::from(info.width) * u64::from(info.height),
        MOST_PIXELS.min(bytes.len() as u64 * MOST_PIXELS_PER_BYTE),
    );
    if pixels > most {
        return Err(Fault::Kind {
            expected: format!("at most {most} pixels in a file of {} bytes", bytes.len()),
            found: format!("{height}x{width} pixels (height x width)"),
        });
    }
    let (color, depth) = (info.color_type, info.bit_depth);
    if !matches!(color, ColorType::Grayscale | ColorType::Indexed) || depth == BitDepth::Sixteen {
        return Err(Fault::Kind {
            expected: "a mask, grey or with a palette, of at most 8 bits a pixel".into(),
            found: format!("{color:?} of {} bits", depth as u8),
        });
    }
    let mut reader = decoder.read_info()?;
    let row_bytes = (width * depth as usize).div_ceil(8);
    let mut rows = vec![0; row_bytes * height];
    reader.next_frame(&mut rows)?;
    // Up to its end, so that a file that was cut is noticed.
    reader.finish()?;
    let rows = rows.chunks_exact(row_bytes.max(1));
    let mask = rows.flat_map(|row| unpacked(row, depth as usize).take(width));
    Ok((mask.collect(), [height, width]))
}

/// The samples of a row, the first in the highest bits.
fn unpacked(row: &[u8], bits: usize) -> impl Iterator<Item = u8> + '_ {
    let highest = 8 - bits;
    row.iter()
        .flat_map(move |byte| (0..8 / bits).map(move |sample| (byte << (sample * bits)) >> highest))
}

/// The nearest pixel's class, at the centre of each new pixel (PIL's `NEAREST`): a class between two
/// classes would be a third.
pub(crate) fn resized(
    (mask, [height, width]): Mask,
    [new_height, new_width]: [usize; 2],
) -> Vec<u8> {
    let nearest = |at: usize, old: usize, new: usize| (2 * at + 1) * old / (2 * new);
    let mut resized = Vec::with_capacity(new_height * new_width);
    for y in 0..new_height {
        let row = &mask[nearest(y, height, new_height) * width..][..width];
        resized.extend((0..new_width).map(|x| row[nearest(x, width, new_width)]));
    }
    resized
}
