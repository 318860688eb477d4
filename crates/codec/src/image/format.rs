//! What a file is, by its first bytes.

use std::io::{self, Read};
use std::path::Path;

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A format that is read.
    Read,
    /// A picture in a format that is not.
    Other(&'static str),
    /// No picture that is known here.
    Unknown,
}

/// What a file is, of which 16 bytes are read.
///
/// # Errors
///
/// A file that cannot be read, or is no regular file.
pub fn content(path: &Path) -> io::Result<Content> {
    let mut start = Vec::new();
    zoo_files::open(path)?.take(16).read_to_end(&mut start)?;
    let at =
        |offset: usize, magic: &[u8]| start.get(offset..).is_some_and(|s| s.starts_with(magic));
    let formats = [
        ("WebP", at(0, b"RIFF") && at(8, b"WEBP")),
        ("GIF", at(0, b"GIF8")),
        ("BMP", at(0, b"BM")),
        ("TIFF", at(0, b"II*\0") || at(0, b"MM\0*")),
        (
            "PNM (PGM, PPM)",
            start.first() == Some(&b'P')
                && matches!(start.get(1..3), Some([b'1'..=b'7', space]) if space.is_ascii_whitespace()),
        ),
        ("AVIF", at(4, b"ftypavif")),
        ("HEIF", at(4, b"ftyp")),
        ("JPEG XL", at(0, b"\xff\x0a") || at(4, b"JXL ")),
        ("JPEG 2000", at(4, b"jP  ")),
        ("PSD", at(0, b"8BPS")),
    ];
    if at(0, b"\x89PNG\r\n\x1a\n") || at(0, b"\xff\xd8\xff") {
        return Ok(Content::Read);
    }
    let found = formats.into_iter().find(|(_, is)| *is);
    Ok(found.map_or(Content::Unknown, |(format, _)| Content::Other(format)))
}
