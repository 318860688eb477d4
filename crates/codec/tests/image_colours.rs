//! Colours as PIL makes them: golden numbers of Pillow 13.0.0.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::fs;

use image::{DynamicImage, ImageBuffer, ImageFormat, LumaA, Rgb, Rgba};
use zoo_codec::image::Color;

/// `numpy.mgrid[0:256, 0:256]`: all reds and greens, and a blue that depends on both.
fn color(x: u32, y: u32) -> [u8; 3] {
    [x as u8, y as u8, ((x * 7 + y * 13) % 256) as u8]
}

/// `zlib.crc32(numpy.array(Image.fromarray(pixels).convert("L")).tobytes())` of these colours.
const GREY_SUM: u32 = 0xfd4e_0685;

fn read(bytes: &[u8], color: Color) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    fs::write(&path, bytes).unwrap();
    zoo_codec::image::read(&path, color)
        .unwrap()
        .into_channel_major()
}

fn png(image: DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn sum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

#[test]
fn grey_is_rounded_as_by_pil() {
    // `Image.new("RGB", (1, 1), color).convert("L").getpixel((0, 0))`
    for (color, expected) in [
        ([0_u8, 0, 0], 0),
        ([255, 255, 255], 255),
        ([255, 0, 0], 76),
        ([0, 255, 0], 150),
        ([0, 0, 255], 29),
        ([1, 0, 0], 0),
        ([2, 0, 0], 1),
        ([0, 1, 0], 1),
        ([0, 0, 4], 0),
        ([0, 0, 5], 1),
        ([250, 0, 0], 75),
        ([0, 100, 200], 82),
        ([17, 34, 51], 31),
        ([200, 100, 50], 124),
        ([12, 200, 99], 132),
    ] {
        let image = ImageBuffer::from_pixel(1, 1, Rgb(color));
        assert_eq!(
            read(&png(image.into()), Color::Grey),
            [expected],
            "{color:?}"
        );
    }
}

#[test]
fn grey_of_colours_with_transparency_and_with_16_bits_is_as_by_pil() {
    let plain = ImageBuffer::from_fn(256, 256, |x, y| Rgb(color(x, y)));
    assert_eq!(sum(&read(&png(plain.into()), Color::Grey)), GREY_SUM);
    let clear = ImageBuffer::from_fn(256, 256, |x, y| {
        let [red, green, blue] = color(x, y);
        Rgba([red, green, blue, (x ^ y) as u8])
    });
    assert_eq!(sum(&read(&png(clear.into()), Color::Grey)), GREY_SUM);
    // The low byte is dropped, not rounded.
    let wide = ImageBuffer::from_fn(256, 256, |x, y| {
        Rgb(color(x, y).map(|value| u16::from(value) << 8 | 0xff))
    });
    assert_eq!(sum(&read(&png(wide.into()), Color::Grey)), GREY_SUM);
}

#[test]
fn grey_files_are_taken_as_they_are_and_repeated_in_colour() {
    let wide: ImageBuffer<LumaA<u16>, _> = ImageBuffer::from_fn(3, 1, |x, _| {
        LumaA([[0x01ff, 0x8000, 0xffff][x as usize], 9])
    });
    let bytes = png(wide.into());
    assert_eq!(read(&bytes, Color::Grey), [1, 128, 255]);
    assert_eq!(
        read(&bytes, Color::Rgb),
        [1, 128, 255, 1, 128, 255, 1, 128, 255]
    );
}

/// Written by Pillow: a palette of four colours, one of them transparent.
const PALETTE_PNG: &str = "89504e470d0a1a0a0000000d494844520000000400000002020300000002c695f00000000c504c5445fa00000064c8112233c86432f7ef8c800000000274524e53ff00e5b7304a0000000c49444154789c639066780200013901004564919b0000000049454e44ae426082";
/// Written by Pillow: 8x8 pixels of cyan 40, magenta 120, yellow 200, black 30.
const CMYK_JPEG: &str = "ffd8ffee000e41646f626500640000000000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffc000140800080008044311004d11005911004b1100ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b5100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffda000e0443004d0059004b00003f00edaa4ae4abbcafffd9";

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let pairs = (0..hexadecimal.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn palettes_are_looked_up_and_cmyk_becomes_rgb() {
    let palette = bytes(PALETTE_PNG);
    assert_eq!(
        read(&palette, Color::Grey),
        [75, 82, 31, 124, 124, 31, 82, 75]
    );
    let red: Vec<u8> = read(&palette, Color::Rgb)[..8].to_vec();
    assert_eq!(red, [250, 0, 17, 200, 200, 17, 0, 250]);
    // (191, 120, 49) and 133 in Pillow; another decoder may round otherwise.
    let cmyk = bytes(CMYK_JPEG);
    let rgb = read(&cmyk, Color::Rgb);
    for (channel, expected) in rgb.chunks(64).zip([191_u8, 120, 49]) {
        assert!(
            channel.iter().all(|p| p.abs_diff(expected) <= 2),
            "{channel:?}"
        );
    }
    assert!(
        read(&cmyk, Color::Grey)
            .iter()
            .all(|p| p.abs_diff(133) <= 2)
    );
}
