//! Pictures of which a part is missing, held against what PIL 13.0 says of the same bytes.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::fs;
use std::path::Path;

use image::{DynamicImage, ImageFormat, RgbImage};
use tempfile::TempDir;
use zoo_codec::image::{Color, read};

/// A progressive JPEG of 16x16 pixels, as PIL writes it:
/// `image.save(file, "JPEG", progressive=True, quality=50, optimize=True)`.
const PROGRESSIVE: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123\
    251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763ffdb0043011112\
    121815182f1a1a2f63423842636363636363636363636363636363636363636363636363636363636363636363636363\
    6363636363636363636363636363ffc20011080010001003012200021101031101ffc400150001010000000000000000\
    0000000000000405ffc4001501010100000000000000000000000000000104ffda000c0301000210031000000198a4b2\
    77ffc400161001010100000000000000000000000000020003ffda00080101000105022239c4473bffc4001511010100\
    000000000000000000000000000300ffda0008010301013f0107bfffc400161101010100000000000000000000000000\
    010012ffda0008010201013f011d5fffc40014100100000000000000000000000000000020ffda0008010100063f021f\
    ffc40014100100000000000000000000000000000020ffda0008010100013f2109dfffda000c03010002000300000010\
    3bffc400161101010100000000000000000000000000110021ffda0008010301013f10336fffc4001411010000000000\
    0000000000000000000000ffda0008010201013f102fffc400161000030000000000000000000000000000002131ffda\
    0008010100013f109a2488a208ffd9";

fn progressive() -> Vec<u8> {
    let digits = PROGRESSIVE.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let image = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, 9]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::from(image)
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

/// Whether a file is taken; one that is not is named.
fn is_taken(path: &Path, bytes: &[u8]) -> bool {
    fs::write(path, bytes).unwrap();
    let read = read(path, Color::Rgb);
    read.map_err(|error| assert!(error.to_string().contains("a.jpg"), "{error}"))
        .is_ok()
}

/// PIL refuses each of these cuts and takes what follows the end.
#[test]
fn a_picture_that_is_cut_anywhere_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.jpg");
    let (png, jpeg) = (encoded(ImageFormat::Png), encoded(ImageFormat::Jpeg));
    for whole in [progressive(), jpeg, png] {
        assert!(is_taken(&path, &whole));
        assert!(is_taken(&path, &[&whole[..], b"behind the end"].concat()));
        // The last chunk of a PNG has nothing in it, and PIL does without.
        let least = if whole[0] == 0x89 { 13 } else { 1 };
        let last = whole.len() - least;
        for end in (0..=last).filter(|end| end % 11 == 0 || end + 20 > last) {
            assert!(!is_taken(&path, &whole[..end]), "{end} of {}", whole.len());
        }
    }
}

/// PIL takes most of these, and makes up the rest in grey.
#[test]
fn a_picture_of_which_the_middle_is_missing_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.jpg");
    for whole in [progressive(), encoded(ImageFormat::Jpeg)] {
        let marker = |from: usize, kind: u8| {
            let at = whole[from..]
                .windows(2)
                .position(|pair| pair == [0xff, kind]);
            at.map_or(whole.len() - 2, |at| from + at)
        };
        let first = marker(0, 0xda);
        // Of the progressive one, all that its first scan says. A cut between two of its further scans
        // leaves details out that a picture need not have.
        let last = marker(first, 0xc4);
        for end in first + 14..last - 2 {
            let cut = &whole[..end];
            let filled = [cut, &vec![0xff; whole.len() - end - 2], b"\xff\xd9"].concat();
            for bytes in [[cut, b"\xff\xd9"].concat(), filled] {
                let taken = is_taken(&path, &bytes);
                assert!(!taken, "{end} of {} to {last}", whole.len());
            }
        }
        // Within the last scan.
        let end = whole.len() - 5;
        assert!(!is_taken(&path, &[&whole[..end], b"\xff\xd9"].concat()));
    }
}

/// PIL refuses two components, and five; the decoder takes the first of two for grey.
#[test]
fn a_picture_of_components_of_no_known_colours_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.jpg");
    let mut jpeg = progressive();
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc2]);
    for count in [0, 2, 5] {
        jpeg[frame.unwrap() + 9] = count;
        fs::write(&path, &jpeg).unwrap();
        let error = read(&path, Color::Rgb).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(&format!("{count} components")), "{source}");
    }
}

#[test]
fn an_error_says_what_is_wrong_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.jpg");
    let jpeg = progressive();
    for (bytes, said) in [
        (&jpeg[..jpeg.len() - 9], "it is cut off before its end"),
        (b"GIF89a", "it is GIF, which is not read"),
        (b"hello", "by its first bytes, it is neither"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = read(&path, Color::Rgb).unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), said);
    }
}
