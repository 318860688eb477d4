//! The one way in which this crate reads a file: whole, as UTF-8, or with a hint at what it is instead.

use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::TextError;

/// First bytes of what is no text, what it is, and the command that makes text of it.
const FORMATS: &[(&[u8], &str, &str)] = &[
    (
        b"\x1f\x8b",
        "compressed by gzip",
        "unpack it: gunzip -k FILE",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed by Zstandard",
        "unpack it: zstd -d FILE",
    ),
    (b"\xfd7zXZ\0", "compressed by xz", "unpack it: xz -dk FILE"),
    (
        b"BZh91AY&SY",
        "compressed by bzip2",
        "unpack it: bunzip2 -k FILE",
    ),
    (
        b"\x04\x22\x4d\x18",
        "compressed by LZ4",
        "unpack it: lz4 -d FILE",
    ),
    (
        b"7z\xbc\xaf\x27\x1c",
        "a 7z archive",
        "unpack it: 7z x FILE",
    ),
    (
        b"PK\x03\x04",
        "a zip archive",
        "unpack it: unzip FILE (a workbook of Excel: save it as CSV UTF-8)",
    ),
    (
        b"\xd0\xcf\x11\xe0",
        "a document of old Microsoft Office",
        "save it as CSV UTF-8",
    ),
    (
        b"PAR1",
        "Apache Parquet",
        "write it as CSV, for example with pandas: read_parquet, to_csv(index=False)",
    ),
    (
        b"ARROW1",
        "Apache Arrow",
        "write it as CSV, for example with pandas: read_feather, to_csv(index=False)",
    ),
    (
        b"%PDF-",
        "a PDF document",
        "extract its text: pdftotext FILE",
    ),
];
/// What compressed files are called, and how they are unpacked.
pub(crate) const COMPRESSED: &[(&str, &str)] = &[
    ("gz", "gunzip -k"),
    ("zst", "zstd -d"),
    ("xz", "xz -dk"),
    ("bz2", "bunzip2 -k"),
    ("lz4", "lz4 -d"),
    ("zip", "unzip"),
];
/// Largest file that is read: rows and tokens are numbered in 32 bits.
const MOST_BYTES: u64 = u32::MAX as u64;
/// How many times as long a compressed file may become, beside [`SMALL_TEXT`]. Text becomes three to five
/// times as long; gzip could make it a thousand times.
const MOST_UNPACKED: u64 = 64;
/// Bytes that any compressed file may unpack to.
const SMALL_TEXT: u64 = 1 << 20;
/// Bytes at the start of a file in which zeros tell UTF-16.
const NUM_LOOKED_AT: usize = 4096;

/// Reads a whole file as text.
pub(crate) fn read_utf8(path: &Path) -> Result<String, TextError> {
    decoded(path, read_bytes(path)?)
}

/// Reads a whole file as text, which may be compressed by gzip.
pub(crate) fn read_packed(path: &Path) -> Result<String, TextError> {
    let bytes = read_bytes(path)?;
    if !bytes.starts_with(b"\x1f\x8b") {
        return decoded(path, bytes);
    }
    let unexpected = |found: String, next: &str| TextError::Unexpected {
        path: path.to_owned(),
        expected: "text compressed by gzip".to_owned(),
        found,
        next: next.to_owned(),
    };
    let most = SMALL_TEXT + MOST_UNPACKED * bytes.len() as u64;
    let mut text = Vec::new();
    let mut unpacked = MultiGzDecoder::new(&bytes[..]).take(most + 1);
    unpacked
        .read_to_end(&mut text)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => unexpected(
                "a file that is cut off before its end".to_owned(),
                "get it anew",
            ),
            _ => unexpected(format!("a damaged file: {error}"), "get it anew"),
        })?;
    if text.len() as u64 > most {
        return Err(unexpected(
            format!("{} bytes that become more than {most}", bytes.len()),
            "unpack it yourself, if that is meant: gunzip -k",
        ));
    }
    decoded(path, text)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, TextError> {
    zoo_files::read(path, MOST_BYTES).map_err(|source| TextError::Read {
        path: path.to_owned(),
        source,
    })
}

fn decoded(path: &Path, bytes: Vec<u8>) -> Result<String, TextError> {
    if let Some((found, next)) = other_format(&bytes) {
        return Err(TextError::Unexpected {
            path: path.to_owned(),
            expected: "text in UTF-8".to_owned(),
            found: found.to_owned(),
            next: next.replace("FILE", &path.display().to_string()),
        });
    }
    String::from_utf8(bytes).map_err(|error| {
        let (byte, cut) = (
            error.utf8_error().valid_up_to(),
            error.utf8_error().error_len().is_none(),
        );
        let bytes = error.as_bytes();
        let newlines = bytes[..byte].iter().filter(|b| **b == b'\n');
        TextError::NotUtf8 {
            path: path.to_owned(),
            line: newlines.count() + 1,
            byte,
            next: advice(bytes, byte, cut).replace("FILE", &path.display().to_string()),
        }
    })
}

/// What the bytes are, where they are not text with a byte for each ASCII character.
fn other_format(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let utf = |found, encoding| Some((found, encoding));
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            return utf("UTF-32", "convert it: iconv -f UTF-32 -t UTF-8 FILE > NEW");
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            return utf("UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW");
        }
        _ => {}
    }
    if let Some((_, found, next)) = FORMATS.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Some((found, next));
    }
    // Latin text in UTF-16 without a mark: every other byte is zero, and it would be valid UTF-8.
    let start = &bytes[..bytes.len().min(NUM_LOOKED_AT)];
    let zeros = |first: usize| {
        start
            .iter()
            .skip(first)
            .step_by(2)
            .filter(|b| **b == 0)
            .count()
    };
    let most = start.len() * 2 / 5;
    if start.len() < 4 {
        None
    } else if zeros(1) > most && zeros(0) == 0 {
        utf(
            "UTF-16",
            "convert it: iconv -f UTF-16LE -t UTF-8 FILE > NEW",
        )
    } else if zeros(0) > most && zeros(1) == 0 {
        utf(
            "UTF-16",
            "convert it: iconv -f UTF-16BE -t UTF-8 FILE > NEW",
        )
    } else {
        None
    }
}

/// What to do with text that is not UTF-8 from `byte` on.
fn advice(bytes: &[u8], byte: usize, cut: bool) -> &'static str {
    if cut {
        return "the file ends within a character: it is not whole, so get it anew";
    }
    if !bytes[..byte].is_ascii() {
        return "what comes before is UTF-8, so the file is damaged or has two encodings: mend that \
                byte, or drop all like it: iconv -c -f UTF-8 -t UTF-8 FILE > NEW";
    }
    let high = bytes.iter().filter(|b| **b >= 0x80).count();
    // Letters with accents are few and stand among plain ones.
    let pairs = bytes
        .windows(2)
        .filter(|pair| pair.iter().all(|b| *b >= 0x80));
    if high * 4 > bytes.len() || pairs.count() * 3 > high {
        return "it is in another encoding than Western European ones: find out which (file -i FILE), \
                and convert it: iconv -f ENCODING -t UTF-8 FILE > NEW";
    }
    if bytes.iter().any(|b| (0x80..0xa0).contains(b)) {
        return "it looks like Windows-1252: convert it: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW";
    }
    "it looks like Latin-1: convert it: iconv -f ISO-8859-1 -t UTF-8 FILE > NEW"
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;

    use super::*;

    fn refused(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book.txt");
        fs::write(&path, bytes).unwrap();
        read_utf8(&path).unwrap_err().to_string()
    }

    #[test]
    fn another_encoding_is_told_with_the_command_that_converts_it() {
        let text = "\u{2018}Caf\u{e9} noir\u{2019}, said she.\nAnd more of it.\n";
        let utf16 =
            |to: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(to).collect() };
        let (little, big) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
        let plain: Vec<u8> = "plain words, no mark"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let cyrillic = b"\xef\xf0\xe8\xe2\xe5\xf2 \xec\xe8\xf0\n";
        for (bytes, parts) in [
            (
                [b"\xff\xfe", &little[..]].concat(),
                ["UTF-16", "iconv -f UTF-16 -t UTF-8"],
            ),
            (
                [b"\xfe\xff", &big[..]].concat(),
                ["UTF-16", "iconv -f UTF-16 -t UTF-8"],
            ),
            (plain, ["UTF-16", "iconv -f UTF-16LE -t"]),
            (
                b"\x91Caf\xe9 noir\x92, said she.".to_vec(),
                ["line 1, byte 0", "-f WINDOWS-1252"],
            ),
            (
                b"a\nCaf\xe9 noir, she said".to_vec(),
                ["line 2, byte 5", "-f ISO-8859-1"],
            ),
            (cyrillic.to_vec(), ["line 1", "file -i"]),
            (
                "caf\u{e9} ".bytes().chain(*b"\xe9 noir").collect(),
                ["byte 6", "damaged"],
            ),
        ] {
            let message = refused(&bytes);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
            assert!(message.contains("book.txt"), "{message}");
        }
    }

    #[test]
    fn compressed_files_are_told_with_the_command_that_unpacks_them() {
        for (bytes, parts) in [
            (&b"\x1f\x8b\x08\0"[..], ["gzip", "gunzip -k "]),
            (b"\x28\xb5\x2f\xfd\x04", ["Zstandard", "zstd -d "]),
            (b"\xfd7zXZ\0\0", ["xz", "xz -dk "]),
            (b"PK\x03\x04\x14\0", ["zip", "unzip "]),
            (b"PAR1\x15\0", ["Parquet", "pandas"]),
        ] {
            let message = refused(bytes);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_placed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latin1.txt");
        fs::write(&path, b"one\ntwo\ncaf\xe9 noir").unwrap();
        let message = read_utf8(&path).unwrap_err().to_string();
        assert!(message.contains("latin1.txt: line 3, byte 11"), "{message}");
    }

    #[test]
    fn a_character_cut_at_the_end_of_the_file_is_not_utf8() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.txt");
        fs::write(&path, &"aé".as_bytes()[..2]).unwrap();
        assert!(matches!(
            read_utf8(&path),
            Err(TextError::NotUtf8 {
                line: 1,
                byte: 1,
                next,
                ..
            }) if next.contains("not whole")
        ));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (device, pipe) = (dir.path().join("device.txt"), dir.path().join("pipe.txt"));
        std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        // Each would be read for ever.
        for path in [device, pipe] {
            let error = read_utf8(&path).unwrap_err();
            let cause = error.source().unwrap().to_string();
            assert!(cause.contains("not a regular file"), "{cause}");
            assert!(error.to_string().contains(&path.display().to_string()));
        }
    }

    #[test]
    fn an_unreadable_file_is_named_and_keeps_its_cause() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("absent.txt"), dir.path().to_owned()] {
            let error = read_utf8(&path).unwrap_err();
            assert!(error.to_string().contains(&path.display().to_string()));
            assert!(error.source().is_some());
        }
    }
}
