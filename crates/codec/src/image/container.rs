//! Whether a PNG or JPEG file has an end, and what of it its pixels are made of.
//!
//! A decoder keeps what it meets: the profile of a PNG, whose few kilobytes may unpack to gigabytes,
//! texts, further frames. None of it changes a pixel here, so a decoder is given the rest alone. A file
//! that PIL calls truncated is refused.

use std::borrow::Cow;

/// Of a file whose pixels or end are not there.
pub(crate) const CUT_OFF: &str = "it is cut off before its end";
/// Most scans of a JPEG; encoders write a dozen, and each goes over all of the picture. Its decoder gives
/// up behind 100, after the work.
const MOST_SCANS: u64 = 64;
/// The second byte of the marker that begins a scan.
const START_OF_SCAN: u8 = 0xda;
/// How a PNG begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// How it ends: a chunk without data.
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

/// What a decoder needs of a file, or what is wrong with it.
pub(crate) fn whole(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if bytes.starts_with(PNG) {
        return png(bytes).map(Cow::Owned);
    }
    if is_jpeg(bytes) {
        return jpeg(bytes);
    }
    Ok(Cow::Borrowed(bytes))
}

pub(crate) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xd8\xff")
}

/// How often a decoder goes over the picture, at most: the scans of a JPEG.
pub(crate) fn scans(bytes: &[u8]) -> u64 {
    if !is_jpeg(bytes) {
        return 1;
    }
    let pairs = bytes.windows(2);
    pairs.filter(|pair| **pair == [0xff, START_OF_SCAN]).count() as u64
}

/// A PNG of the chunks that its pixels are made of, or what is wrong with them, as its decoder would
/// find: it needs the palette before the pixels, and some chunk behind them. What the pixels unpack
/// to, only decoding tells.
fn png(bytes: &[u8]) -> Result<Vec<u8>, String> {
    const IN_PALETTE: Option<&u8> = Some(&3);
    let color_type = bytes.get(25);
    let (signature, mut rest) = bytes.split_at(PNG.len());
    let mut kept = Vec::with_capacity(bytes.len() + END.len());
    kept.extend_from_slice(signature);
    let (mut has_palette, mut has_pixels, mut is_whole) = (false, false, false);
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let (length, kind) = head.split_at(4);
        // In any letter case: a damaged name must not pass for a chunk that can be done without.
        let is_pixels = kind.eq_ignore_ascii_case(b"IDAT");
        is_whole |= has_pixels && !is_pixels;
        if is_whole && kind == b"IEND" {
            break;
        }
        let length = length
            .iter()
            .fold(0, |value, byte| value << 8 | usize::from(*byte));
        let Some((data, (sum, after))) = body
            .split_at_checked(length)
            .and_then(|(data, after)| Some((data, after.split_first_chunk::<4>()?)))
        else {
            break;
        };
        // A small first letter: decoders pass over such a chunk if it is damaged.
        let is_critical = is_pixels || kind[0] & 0x20 == 0;
        if is_critical && checksum(kind, data) != u32::from_be_bytes(*sum) {
            let kind = kind.escape_ascii();
            return Err(format!(
                "it is damaged: the checksum of its {kind} chunk is wrong"
            ));
        }
        if is_pixels && color_type == IN_PALETTE && !has_palette {
            return Err("its pixels are places in a palette that it lacks".into());
        }
        has_palette |= kind == b"PLTE";
        has_pixels |= is_pixels;
        if is_critical && !is_whole {
            kept.extend_from_slice(&rest[..rest.len() - after.len()]);
        }
        rest = after;
    }
    if !is_whole {
        return Err(CUT_OFF.into());
    }
    kept.extend_from_slice(END);
    Ok(kept)
}

fn checksum(kind: &[u8], data: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(data);
    sum.sum()
}

/// A JPEG up to its end, without what others put into its head: the decoder puts parts of XMP together
/// anew at every further part.
fn jpeg(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    const END_OF_IMAGE: u8 = 0xd9;
    let (mut at, mut kept, mut from, mut is_head) = (2, Vec::new(), 0, true);
    loop {
        match bytes.get(at..).unwrap_or_default() {
            // In a scan, a byte 0xff is never followed by the second byte of this marker.
            [0xff, END_OF_IMAGE, ..] if !is_head => break,
            // Fill bytes, and whatever decoders skip between segments.
            [0xff, 0xff | 0x00..=0x01 | 0xd0..=0xd8, ..] => at += 1,
            [0xff, kind, high, low, ..] => {
                let next = at + 2 + usize::from(u16::from_be_bytes([*high, *low]));
                // All of APP1 to APP15 but Adobe's, which says what the components are; comments.
                if is_head && matches!(kind, 0xe1..=0xed | 0xef | 0xfe) {
                    kept.extend_from_slice(&bytes[from..at]);
                    from = next;
                }
                // Frames, of every kind.
                if matches!(kind, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) {
                    check_components(bytes.get(at + 9))?;
                }
                is_head &= *kind != START_OF_SCAN;
                at = next;
            }
            [_, _, ..] => at += 1,
            _ => return Err(CUT_OFF.into()),
        }
    }
    let end = at + 2;
    let whole = match from {
        0 => Cow::Borrowed(&bytes[..end]),
        from => {
            kept.extend_from_slice(&bytes[from..end]);
            Cow::Owned(kept)
        }
    };
    match scans(&whole) {
        count if count > MOST_SCANS => Err(format!("it has {count} scans, more than {MOST_SCANS}")),
        _ => Ok(whole),
    }
}

/// Grey, three colours, or those of print: the decoder takes the first of any two for grey.
fn check_components(count: Option<&u8>) -> Result<(), String> {
    match count {
        None | Some(1 | 3 | 4) => Ok(()),
        Some(count) => Err(format!(
            "it has {count} components; those of 1, 3 and 4 are read"
        )),
    }
}
