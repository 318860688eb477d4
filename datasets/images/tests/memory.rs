//! What a picture may cost: memory in proportion to its pixels and its file, whatever else is in it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};
use peakmem_alloc::{PeakMemAlloc, PeakMemAllocTrait};
use tempfile::TempDir;
use zoo_images::{FolderOptions, read_image};

#[global_allocator]
static ALLOCATOR: PeakMemAlloc<std::alloc::System> = PeakMemAlloc::new(std::alloc::System);

const MIB: usize = 1 << 20;

fn encoded(format: ImageFormat) -> Vec<u8> {
    let image = DynamicImage::from(RgbImage::new(28, 28));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// So many zeros, in few bytes.
fn packed(size_bytes: usize) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&vec![0; size_bytes]).unwrap();
    packed.finish().unwrap()
}

/// A PNG with another chunk before its pixels.
fn with_chunk(png: &[u8], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(data);
    let length = (data.len() as u32).to_be_bytes();
    let chunk = [&length[..], kind, data, &sum.sum().to_be_bytes()].concat();
    let (head, rest) = png.split_at(33);
    [head, &chunk, rest].concat()
}

/// A JPEG with so many segments of a kind before its first.
fn with_segments(jpeg: &[u8], kind: u8, data: &[u8], count: usize) -> Vec<u8> {
    let length = (data.len() as u16 + 2).to_be_bytes();
    let segment = [&[0xff, kind][..], &length, data].concat();
    [&jpeg[..2], &segment.repeat(count), &jpeg[2..]].concat()
}

#[test]
fn what_is_beside_the_pixels_takes_no_memory_and_no_time() {
    let (png, jpeg) = (encoded(ImageFormat::Png), encoded(ImageFormat::Jpeg));
    let bomb = packed(64 * MIB);
    let chunk = |kind: &[u8; 4], before: &[u8]| {
        let data = [before, &bomb].concat();
        (
            String::from_utf8_lossy(kind).into(),
            with_chunk(&png, kind, &data),
        )
    };
    let frames = with_chunk(&png, b"acTL", &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    // Parts of a text that is never whole; each would have the decoder go over all before it.
    let part = [
        &b"http://ns.adobe.com/xmp/extension/\0"[..],
        &[b'a'; 32],
        &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ]
    .concat();
    let profile = [&b"ICC_PROFILE\0\x01\xff"[..], &[0; 60_000]].concat();
    let cases: [(String, Vec<u8>); 8] = [
        chunk(b"iCCP", b"p\0\0"),
        chunk(b"zTXt", b"Raw profile type iptc\0\0"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0"),
        chunk(b"eXIf", b""),
        ("frames".into(), frames),
        ("XMP".into(), with_segments(&jpeg, 0xe1, &part, 30_000)),
        ("ICC".into(), with_segments(&jpeg, 0xe2, &profile, 100)),
        (
            "comments".into(),
            with_segments(&jpeg, 0xfe, &[0; 60_000], 100),
        ),
    ];
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("0");
    for (name, bytes) in cases {
        fs::write(&path, &bytes).unwrap();
        let most = 3 * bytes.len() + MIB;
        ALLOCATOR.reset_peak_memory();
        let began = std::time::Instant::now();
        let (pixels, shape) = read_image(&path, &FolderOptions::default()).unwrap();
        let peak = ALLOCATOR.get_peak_memory();
        assert!(
            peak <= most,
            "{name}: {peak} bytes for a file of {}",
            bytes.len()
        );
        // Ten times what it takes; each of the attacks took several seconds.
        assert!(
            began.elapsed().as_secs() < 2,
            "{name}: {:?}",
            began.elapsed()
        );
        assert_eq!((shape, pixels.len()), ([3, 28, 28], 3 * 28 * 28), "{name}");
    }
    // Rows of pixels that the head does not claim.
    let more = [&png[..33], &with_chunk(&png, b"IDAT", &bomb)[33..]].concat();
    fs::write(&path, &more).unwrap();
    ALLOCATOR.reset_peak_memory();
    let read = read_image(&path, &FolderOptions::default());
    let peak = ALLOCATOR.get_peak_memory();
    assert!(peak <= 3 * more.len() + MIB, "{peak} bytes: {read:?}");
}
