//! Image folders that the tests write: layout, decoding, resizing, and what is refused.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use burn::data::dataset::Dataset;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread;
use tempfile::TempDir;
use zoo_codec::image::{Color, Interpolation, PictureError, read};
use zoo_images::{FolderOptions, ImageError, ImageSet, Split, open, open_folder};

const RED: [u8; 3] = [250, 0, 0];
const TEAL: [u8; 3] = [0, 100, 200];

fn write(path: &Path, width: u32, height: u32, color: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let format = match path.extension().unwrap().to_ascii_lowercase().to_str() {
        Some("png") => ImageFormat::Png,
        _ => ImageFormat::Jpeg,
    };
    let image = DynamicImage::from(RgbImage::from_pixel(width, height, Rgb(color)));
    image.save_with_format(path, format).unwrap();
}

/// Two classes, `cat` and `dog`, with two images of 6x4 (width x height) each in both splits.
fn pets(test: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    for split in ["train", test] {
        write(&dir.path().join(split).join("dog/a.png"), 6, 4, TEAL);
        write(&dir.path().join(split).join("dog/b.JPG"), 6, 4, TEAL);
        write(&dir.path().join(split).join("cat/2.png"), 6, 4, RED);
        write(&dir.path().join(split).join("cat/10.jpeg"), 6, 4, RED);
    }
    dir
}

fn options(size: Option<[usize; 2]>, color: Color) -> FolderOptions {
    FolderOptions {
        size,
        color,
        ..FolderOptions::default()
    }
}

fn default() -> FolderOptions {
    FolderOptions::default()
}

fn open_train(path: &Path, options: &FolderOptions) -> Result<ImageSet, ImageError> {
    open_folder(path, options).map(|folder| folder.train)
}

#[track_caller]
fn assert_says(error: &dyn Error, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn classes_and_files_are_sorted_and_pixels_are_channel_major() {
    let dir = pets("test");
    // None of these is an image of the set.
    fs::write(dir.path().join("train/cat/notes.txt"), "a cat").unwrap();
    fs::write(dir.path().join("train/cat/._2.png"), "resource fork").unwrap();
    fs::write(dir.path().join("train/README.md"), "pets").unwrap();
    fs::create_dir(dir.path().join("train/.cache")).unwrap();
    let set = open_train(dir.path(), &default()).unwrap();
    assert_eq!(set.classes(), ["cat", "dog"]);
    assert_eq!((set.len(), set.shape()), (4, [3, 4, 6]));
    let labels: Vec<usize> = set.iter().map(|item| item.unwrap().label).collect();
    assert_eq!(labels, [0, 0, 1, 1]);
    // dog/a.png is lossless.
    let pixels = set.get(2).unwrap().pixels;
    assert_eq!(pixels, [[0; 24], [100; 24], [200; 24]].concat());
    // dog/b.JPG is near it.
    for (pixel, expected) in set.get(3).unwrap().pixels.chunks(24).zip([0u8, 100, 200]) {
        assert!(pixel.iter().all(|p| p.abs_diff(expected) < 6), "{pixel:?}");
    }
}

#[test]
fn channel_major_keeps_rows_and_columns() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.png");
    let image = RgbImage::from_fn(3, 2, |x, y| Rgb([10 * y as u8 + x as u8, 100, 200]));
    image.save(&path).unwrap();
    let picture = read(&path, Color::Rgb).unwrap();
    assert_eq!((picture.size(), picture.color()), ([2, 3], Color::Rgb));
    assert_eq!(
        picture.into_channel_major()[..7],
        [0, 1, 2, 10, 11, 12, 100]
    );
}

#[test]
fn images_become_the_size_and_colour_asked_for() {
    let dir = pets("val");
    write(&dir.path().join("train/dog/large.png"), 300, 200, TEAL);
    let options = options(Some([5, 8]), Color::Grey);
    let set = open_train(dir.path(), &options).unwrap();
    assert_eq!(set.shape(), [1, 5, 8]);
    for item in set.iter() {
        let item = item.unwrap();
        // 0.299 R + 0.587 G + 0.114 B
        let expected: u8 = [75, 82][item.label];
        assert_eq!(item.pixels.len(), 40);
        assert!(item.pixels.iter().all(|p| p.abs_diff(expected) < 6));
    }
    let folder = open_folder(dir.path(), &options).unwrap();
    assert_eq!(folder.valid.unwrap().len(), 4, "`val` validates");
    assert!(folder.test.is_none(), "and does not test");
}

#[test]
fn shrinking_averages_and_does_not_skip_pixels() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("checks.png");
    let checks = RgbImage::from_fn(64, 64, |x, y| Rgb([255 * ((x + y) % 2) as u8; 3]));
    checks.save(&path).unwrap();
    let picture = read(&path, Color::Grey).unwrap();
    let picture = picture.resize([8, 8], Interpolation::Bilinear);
    let pixels = picture.samples();
    assert!(pixels.iter().all(|p| p.abs_diff(127) < 4), "{pixels:?}");
}

#[test]
fn a_named_folder_lies_in_the_data_directory() {
    let dir = TempDir::new().unwrap();
    let named = dir.path().join("cifar10-folder/train/frog/0.png");
    write(&named, 32, 32, TEAL);
    let set = open("cifar10-folder", dir.path(), Split::Train, &default()).unwrap();
    assert_eq!((set.len(), set.shape()), (1, [3, 32, 32]));
}

#[test]
fn several_threads_read_the_same_set() {
    let dir = pets("test");
    let set = open_train(dir.path(), &default()).unwrap();
    let read = || -> Vec<_> { set.iter().map(Result::unwrap).collect() };
    let here = read();
    thread::scope(|scope| {
        let threads = [(); 3].map(|_| scope.spawn(read));
        for thread in threads {
            assert_eq!(thread.join().unwrap(), here);
        }
    });
}

#[test]
fn an_ending_does_not_decide_the_format() {
    let dir = pets("test");
    fs::rename(
        dir.path().join("train/dog/b.JPG"),
        dir.path().join("train/dog/b.png"),
    )
    .unwrap();
    let set = open_train(dir.path(), &default()).unwrap();
    assert!(set.get(3).is_ok());
}

#[test]
fn a_file_that_does_not_decode_is_named() {
    let dir = pets("test");
    let path = dir.path().join("train/dog/a.png");
    let whole = fs::read(&path).unwrap();
    let truncated = whole[..whole.len() / 2].to_vec();
    for bytes in [truncated, b"not an image".to_vec(), Vec::new()] {
        fs::write(&path, bytes).unwrap();
        let set = open_train(dir.path(), &default()).unwrap();
        assert!(set.get(0).is_ok(), "the other files are still read");
        let error = set.get(2).unwrap_err();
        assert_says(
            &error,
            &["train/dog/a.png", "PNG or JPEG", "replace or remove"],
        );
        assert!(error.source().is_some());
    }
    // Without a size the first image is looked at when the set is opened.
    fs::write(dir.path().join("train/cat/10.jpeg"), "not an image").unwrap();
    let error = open_folder(dir.path(), &default()).unwrap_err();
    assert_says(&error, &["train/cat/10.jpeg"]);
}

#[test]
fn a_file_that_vanished_is_named() {
    let dir = pets("test");
    let set = open_train(dir.path(), &default()).unwrap();
    fs::remove_file(dir.path().join("train/dog/a.png")).unwrap();
    let error = set.get(2).unwrap_err();
    assert!(matches!(
        error,
        ImageError::Picture(PictureError::Read { .. })
    ));
    assert_says(&error, &["train/dog/a.png", "check that it exists"]);
}

#[test]
fn another_size_is_refused_unless_a_size_is_set() {
    let dir = pets("test");
    write(&dir.path().join("train/dog/a.png"), 5, 4, TEAL);
    let set = open_train(dir.path(), &default()).unwrap();
    assert_says(
        &set.get(2).unwrap_err(),
        &[
            "dog/a.png",
            "expected 4x6 pixels",
            "10.jpeg",
            "found 4x5",
            "`size`",
        ],
    );
}

#[test]
fn test_classes_must_be_the_training_classes() {
    let dir = pets("test");
    let test = dir.path().join("test");
    fs::rename(test.join("dog"), test.join("wolf")).unwrap();
    let error = open_folder(dir.path(), &default()).unwrap_err();
    assert_says(
        &error,
        &[
            "test",
            "the 2 classes of",
            "lacking [\"dog\"]",
            "unknown [\"wolf\"]",
        ],
    );
}

#[test]
fn what_is_missing_or_empty_is_named() {
    let dir = pets("test");
    fs::create_dir(dir.path().join("train/bird")).unwrap();
    fs::write(dir.path().join("train/bird/song.mp3"), "tweet").unwrap();
    let error = open_folder(dir.path(), &default()).unwrap_err();
    assert_says(
        &error,
        &[
            "train/bird",
            "expected PNG or JPEG images, found none, but 1 .mp3",
        ],
    );

    let empty = TempDir::new().unwrap();
    fs::create_dir(empty.path().join("train")).unwrap();
    let error = open_folder(empty.path(), &default()).unwrap_err();
    assert_says(
        &error,
        &["train", "a folder for each class", "the split is empty"],
    );

    let error = open("image-folder", empty.path(), Split::Train, &default()).unwrap_err();
    assert_says(
        &error,
        &["image-folder;", "train/<class>/*.png", "--data-dir"],
    );
}

#[test]
fn a_size_out_of_range_is_refused() {
    let dir = pets("test");
    for size in [[0, 8], [8, 0], [8, 4097]] {
        let options = options(Some(size), Color::Rgb);
        let error = open_folder(dir.path(), &options).unwrap_err();
        assert_says(&error, &[&format!("data.size = {size:?}"), "1 to 4096"]);
    }
}

/// A small PNG whose header says another width and height than its data has.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = DynamicImage::from(RgbImage::new(8, 8));
    image
        .write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Png)
        .unwrap();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    bytes
}

#[test]
fn an_image_that_claims_too_many_pixels_is_refused_unread() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("train/cat/0.png");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let most = |bytes: &[u8]| format!("at most {} pixels", bytes.len() * 8_256);
    let small = claims(2_000, 2_000);
    let large = [claims(8_192, 8_193), vec![0; 1 << 20]].concat();
    let long = [claims(16_385, 1), vec![0; 1 << 20]].concat();
    for (bytes, parts) in [
        (small.clone(), [&*most(&small), "2000x2000 pixels"]),
        (large, ["at most 67108864 pixels", "8193x8192 pixels"]),
        (long, ["sides of at most 16384", "1x16385 pixels"]),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_says(&read(&path, Color::Rgb).unwrap_err(), &parts);
        let error = open_folder(dir.path(), &default()).unwrap_err();
        assert_says(&error, &parts);
    }
}

#[test]
fn a_file_on_which_its_decoder_panics_is_named() {
    // A JPEG whose second component has more samples than its first, and whose scan is empty.
    let table = |class: u8| [&[0xff, 0xc4, 0, 20, class, 1][..], &[0; 16]].concat();
    let jpeg = [
        vec![0xff, 0xd8],
        vec![0xff, 0xc0, 0, 17, 8, 0, 1, 0, 9, 3],
        vec![1, 0x11, 0, 0, 0x23, 0, 0, 0x11, 0],
        [&[0xff, 0xdb, 0, 67, 0][..], &[0; 64]].concat(),
        table(0),
        table(0x10),
        vec![0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0],
        vec![0xff, 0xd9],
    ]
    .concat();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("0.jpg");
    fs::write(&path, jpeg).unwrap();
    let error = read(&path, Color::Rgb).unwrap_err();
    assert_says(&error, &["0.jpg", "does not decode"]);
    assert!(error.source().is_some());
}
