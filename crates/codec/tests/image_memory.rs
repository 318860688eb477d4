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
use zoo_codec::image::{Color, read};

#[global_allocator]
static ALLOCATOR: PeakMemAlloc<std::alloc::System> = PeakMemAlloc::new(std::alloc::System);

const MIB: usize = 1 << 20;

/// The peak is that of the whole program: one test at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(|other| other.into_inner())
}

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
    let _alone = alone();
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
        let picture = read(&path, Color::Rgb).unwrap();
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
        assert_eq!(picture.size(), [28, 28], "{name}");
    }
    // Rows of pixels that the head does not claim.
    let more = [&png[..33], &with_chunk(&png, b"IDAT", &bomb)[33..]].concat();
    fs::write(&path, &more).unwrap();
    ALLOCATOR.reset_peak_memory();
    let read = read(&path, Color::Rgb);
    let peak = ALLOCATOR.get_peak_memory();
    assert!(peak <= 3 * more.len() + MIB, "{peak} bytes: {read:?}");
}

/// A progressive JPEG of one colour: a bit a block in its first scan, and in each further one of them a
/// code for runs of blocks without details.
fn of_scans(side: u16, components: u8, further: usize) -> Vec<u8> {
    let segment = |kind: u8, data: &[u8]| {
        let length = (data.len() as u16 + 2).to_be_bytes();
        [&[0xff, kind][..], &length, data].concat()
    };
    let every = |rest: &[u8]| -> Vec<u8> {
        let one = |component: u8| [&[component + 1][..], rest].concat();
        (0..components).flat_map(one).collect()
    };
    let sides = [side.to_be_bytes(), side.to_be_bytes()].concat();
    let table = |class: u8, symbol: u8| [&[class, 1][..], &[0; 15], &[symbol]].concat();
    let blocks = usize::from(side).div_ceil(8).pow(2);
    // "0" begins a run of 2^14 blocks, and 14 bits say how many more.
    let runs = vec![0; (15 * blocks.div_ceil(1 << 14)).div_ceil(8)];
    let scan = |number: usize| {
        let component = (number % usize::from(components)) as u8 + 1;
        let band = (1 + number / usize::from(components) % 63) as u8;
        [
            segment(0xda, &[1, component, 0, band, band, 0]),
            runs.clone(),
        ]
        .concat()
    };
    [
        b"\xff\xd8".to_vec(),
        segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        segment(
            0xc2,
            &[&[8][..], &sides, &[components], &every(&[0x11, 0])].concat(),
        ),
        segment(0xc4, &table(0, 0)),
        segment(0xc4, &table(0x10, 0xe0)),
        segment(
            0xda,
            &[&[components][..], &every(&[0]), &[0, 0, 0]].concat(),
        ),
        vec![0; (blocks * usize::from(components)).div_ceil(8)],
        (0..further).flat_map(scan).collect(),
        b"\xff\xd9".to_vec(),
    ]
    .concat()
}

#[test]
fn many_scans_of_many_pixels_cost_nothing() {
    let _alone = alone();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("0.jpg");
    let cut = |mut jpeg: Vec<u8>| {
        // The first scan, 122 KB, left out.
        let at = jpeg
            .windows(2)
            .position(|pair| pair == [0xff, 0xda])
            .unwrap();
        jpeg.drain(at + 10..at + 10 + 120_000);
        jpeg
    };
    let hidden = |jpeg: Vec<u8>| {
        // Behind what looks like the end, in a segment between two scans.
        let at = jpeg
            .windows(2)
            .rposition(|pair| pair == [0xff, 0xda])
            .unwrap();
        [&jpeg[..at], b"\xff\xfe\0\x04\xff\xd9", &jpeg[at..]].concat()
    };
    for (jpeg, said) in [
        (of_scans(16, 1, 64), "65 scans, more than 64"),
        (of_scans(16, 3, 1_000), "1001 scans"),
        (of_scans(8_000, 3, 189), "190 scans, more than"),
        (hidden(of_scans(8_000, 3, 189)), "190 scans, more than"),
        (of_scans(8_000, 1, 63), "pixels in 64 scans"),
        (of_scans(8_000, 4, 60), "pixels in 61 scans"),
        (cut(of_scans(8_000, 1, 20)), "at most"),
    ] {
        fs::write(&path, &jpeg).unwrap();
        ALLOCATOR.reset_peak_memory();
        let before = ALLOCATOR.get_peak_memory();
        let began = std::time::Instant::now();
        let read = read(&path, Color::Rgb);
        let taken = ALLOCATOR.get_peak_memory() - before;
        assert!(
            began.elapsed().as_secs() < 1,
            "{said}: {:?}",
            began.elapsed()
        );
        assert!(taken <= 4 * jpeg.len() + MIB, "{said}: {taken} bytes");
        let error = read.unwrap_err();
        let error = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(error.contains(said), "{error}");
    }
    // As encoders write them: ten scans, of one colour; and what looks like scans behind the end.
    let film = [&of_scans(640, 3, 9)[..], &b"\xff\xda".repeat(1_000)].concat();
    for jpeg in [of_scans(640, 1, 5), of_scans(640, 4, 9), film] {
        fs::write(&path, &jpeg).unwrap();
        let read = read(&path, Color::Rgb);
        assert_eq!(read.unwrap().size(), [640, 640]);
    }
}

#[test]
fn a_file_that_is_no_picture_is_not_read() {
    let _alone = alone();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("0.png");
    fs::File::create(&path).unwrap().set_len(900 << 20).unwrap();
    ALLOCATOR.reset_peak_memory();
    let read = read(&path, Color::Rgb);
    let peak = ALLOCATOR.get_peak_memory();
    assert!(read.is_err() && peak < MIB, "{peak} bytes: {read:?}");
}
