//! The folders of images that people have: how they are laid out, what else lies in them.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::fs;
use std::path::Path;

use burn::data::dataset::Dataset;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use tempfile::TempDir;
use zoo_images::{FolderOptions, ImageFolder, ImageSet, open_folder};

fn encoded(format: ImageFormat, value: u8) -> Vec<u8> {
    let image = DynamicImage::from(RgbImage::from_pixel(4, 3, Rgb([value; 3])));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Two classes of an image each below every one of these folders.
fn folder(splits: &[&str]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for split in splits {
        for class in ["cat", "dog"] {
            let path = dir.path().join(split).join(class).join("0.png");
            write(&path, &encoded(ImageFormat::Png, 9));
        }
    }
    dir
}

fn open(dir: &TempDir) -> ImageFolder {
    open_folder(dir.path(), &FolderOptions::default()).unwrap()
}

#[track_caller]
fn assert_refused(dir: &TempDir, parts: &[&str]) {
    let refused = open_folder(dir.path(), &FolderOptions::default());
    let message = refused.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// The paths of a set's images, below `root`.
fn paths(set: &ImageSet, root: &Path) -> Vec<String> {
    let path = |index| set.path(index).unwrap();
    let below = |index| {
        path(index)
            .strip_prefix(root)
            .unwrap()
            .display()
            .to_string()
    };
    (0..set.len()).map(below).collect()
}

#[test]
fn png_and_jpeg_are_told_by_content_whatever_they_are_called() {
    let dir = folder(&["train", "test"]);
    let cat = dir.path().join("train/cat");
    let jpeg = encoded(ImageFormat::Jpeg, 100);
    for name in ["1.jfif", "2.jpe", "3.JFIF", "4", "5.webp", "6.jpg_original"] {
        write(&cat.join(name), &jpeg);
    }
    write(&cat.join("7.bmp"), &encoded(ImageFormat::Png, 100));
    let opened = open(&dir);
    assert_eq!(
        opened.train.len(),
        9,
        "{:?}",
        paths(&opened.train, dir.path())
    );
    assert!(opened.warnings.is_empty(), "{:?}", opened.warnings);
    for index in 1..8 {
        let pixels = opened.train.get(index).unwrap().pixels;
        assert!(pixels.iter().all(|p| p.abs_diff(100) < 3), "{pixels:?}");
    }
}

#[test]
fn what_lies_deeper_is_read_in_the_order_of_torchvision() {
    let dir = folder(&["train"]);
    let cat = dir.path().join("train/cat");
    for name in [
        "z.png",
        "a/1.png",
        "a-b/2.png",
        "a/b/3.png",
        "10.png",
        "B.png",
        "a.png",
    ] {
        write(&cat.join(name), &encoded(ImageFormat::Png, 1));
    }
    // torchvision 0.29.2: `[path for path, _ in ImageFolder("train").samples]`.
    let expected = [
        "0.png",
        "10.png",
        "B.png",
        "a.png",
        "z.png",
        "a/1.png",
        "a-b/2.png",
        "a/b/3.png",
    ];
    let expected: Vec<String> = expected.iter().map(|name| format!("cat/{name}")).collect();
    let found = paths(&open(&dir).train, &dir.path().join("train"));
    assert_eq!(found[..8], expected);
    assert_eq!(found[8], "dog/0.png");
}

#[test]
fn what_is_not_read_is_counted_and_named_once() {
    let dir = folder(&["train", "test"]);
    for (at, class) in ["cat", "dog"].into_iter().enumerate() {
        let class = dir.path().join("train").join(class);
        for index in 0..=at {
            write(
                &class.join(format!("{index}.webp")),
                b"RIFF\0\0\0\0WEBPVP8 ",
            );
        }
        write(&class.join("scan.tif"), b"II*\0\x08\0\0\0");
        write(&class.join("old.bmp"), b"BM______________");
        write(&class.join("move.gif"), b"GIF89a__");
        write(&class.join("face.pgm"), b"P5\n92 112\n255\n");
        write(&class.join("deep/notes.txt"), b"a note");
        // None of these is anybody's picture.
        write(&class.join(".DS_Store"), b"\0\0\0\x01Bud1");
        write(&class.join("Thumbs.db"), b"\xd0\xcf\x11\xe0");
        write(&class.join("__MACOSX/._0.png"), b"\0\x05\x16\x07");
        write(&class.join("._0.png"), b"\0\x05\x16\x07");
    }
    write(
        &dir.path().join("__MACOSX/train/cat/._0.png"),
        b"\0\x05\x16\x07",
    );
    let opened = open(&dir);
    assert_eq!((opened.train.len(), opened.test.unwrap().len()), (2, 2));
    let [warning] = &opened.warnings[..] else {
        panic!("{:?}", opened.warnings);
    };
    for part in [
        "3 WebP",
        "2 TIFF",
        "2 BMP",
        "2 GIF",
        "2 PNM",
        "2 .txt",
        "train/cat/old.bmp",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    assert!(
        !warning.contains("DS_Store") && !warning.contains(".db"),
        "{warning}"
    );
}

#[test]
fn images_in_no_class_are_told() {
    let dir = folder(&["train", "test"]);
    write(
        &dir.path().join("train/1.png"),
        &encoded(ImageFormat::Png, 1),
    );
    write(&dir.path().join("train/2.webp"), b"RIFF\0\0\0\0WEBPVP8 ");
    write(&dir.path().join("train/labels.csv"), b"1,cat");
    let warnings = open(&dir).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("2 images that lie in no class folder"),
        "{warnings:?}"
    );
}

#[test]
fn a_class_without_readable_images_is_refused_by_name() {
    let dir = folder(&["train", "test"]);
    fs::remove_file(dir.path().join("test/dog/0.png")).unwrap();
    assert_refused(&dir, &["test/dog", "found none"]);
    write(&dir.path().join("test/dog/0.webp"), b"RIFF\0\0\0\0WEBPVP8 ");
    assert_refused(&dir, &["test/dog", "found none, but 1 WebP", "0.webp"]);
}

#[test]
fn usual_names_are_the_splits_that_they_name() {
    for (names, valid, test) in [
        (&["train", "val"][..], true, false),
        (&["Train", "VALID", "Test"], true, true),
        (&["training", "validation", "testing"], true, true),
        (&["train", "dev", "test"], true, true),
        (&["TRAIN", "TEST"], false, true),
        (&["train"], false, false),
        (&[""], false, false),
    ] {
        let opened = open(&folder(names));
        assert_eq!(opened.train.classes(), ["cat", "dog"]);
        assert_eq!(opened.train.len(), 2, "{names:?}");
        assert_eq!(
            (opened.valid.is_some(), opened.test.is_some()),
            (valid, test),
            "{names:?}"
        );
    }
}

#[test]
fn two_folders_for_one_split_are_refused_and_others_are_told() {
    assert_refused(
        &folder(&["train", "val", "valid"]),
        &["valid split", "/val and ", "/valid"],
    );
    assert_refused(
        &folder(&["train", "test", "Testing"]),
        &["test split", "Testing"],
    );
    assert_refused(
        &folder(&["valid", "test"]),
        &["folder `train` beside", "valid and", "found none"],
    );
    let opened = open(&folder(&["train", "test", "unlabelled"]));
    assert!(
        opened.warnings[0].contains("[\"unlabelled\"]"),
        "{:?}",
        opened.warnings
    );
}

#[test]
fn a_folder_too_high_is_told_from_one_of_classes() {
    let above = folder(&["pets/train", "pets/test"]);
    assert_refused(
        &above,
        &["pets, which has splits of its own", "data.path = "],
    );
    assert_refused(
        &folder(&["pets"]),
        &["one folder, ", "/pets", "its folders are the classes"],
    );
    let files = TempDir::new().unwrap();
    write(&files.path().join("0.png"), &encoded(ImageFormat::Png, 1));
    assert_refused(
        &files,
        &[
            "a folder for each class",
            "only files",
            "<class>/*.png alone",
        ],
    );
}

#[test]
fn classes_of_other_splits_are_held_to_the_training_classes_by_name() {
    let dir = folder(&["train", "valid", "test"]);
    fs::remove_dir_all(dir.path().join("valid/cat")).unwrap();
    assert_refused(&dir, &["/valid", "lacking [\"cat\"]"]);
    let dir = folder(&["train", "test"]);
    write(
        &dir.path().join("test/eel/0.png"),
        &encoded(ImageFormat::Png, 1),
    );
    assert_refused(&dir, &["/test", "unknown [\"eel\"]"]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_are_refused() {
    use std::os::unix::fs::symlink;
    let dir = folder(&["train", "test"]);
    let elsewhere = TempDir::new().unwrap();
    write(
        &elsewhere.path().join("1.png"),
        &encoded(ImageFormat::Png, 1),
    );
    let cat = dir.path().join("train/cat");
    symlink(elsewhere.path(), cat.join("more")).unwrap();
    symlink(elsewhere.path().join("1.png"), cat.join("one.png")).unwrap();
    assert_eq!(open(&dir).train.len(), 4);
    symlink(&cat, cat.join("more").join("again")).unwrap();
    assert_refused(&dir, &["again", "a link back to", "remove the link"]);
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_passed_over_and_links_have_an_end() {
    use std::os::unix::fs::symlink;
    let dir = folder(&["train", "test"]);
    let cat = dir.path().join("train/cat");
    symlink("/dev/zero", cat.join("1.png")).unwrap();
    symlink("/dev/zero", cat.join("2")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(cat.join("3.jpg"))
        .status();
    assert!(made.unwrap().success());
    let opened = open(&dir);
    assert_eq!(opened.train.len(), 2);
    let warnings = opened.warnings.join("\n");
    assert!(
        warnings.contains("3 devices, pipes or sockets"),
        "{warnings}"
    );
    // One that takes a picture's place later.
    fs::remove_file(cat.join("0.png")).unwrap();
    fs::rename(cat.join("3.jpg"), cat.join("0.png")).unwrap();
    let error = opened.train.get(0).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        error.to_string().contains("cat/0.png") && cause.contains("pipe"),
        "{cause}"
    );
    assert!(opened.train.checked_bytes(0).is_err());

    // Two ways from each folder to the next: a thousand million in all, and none leads back.
    let dog = dir.path().join("train/dog");
    for depth in 0..30 {
        let (here, next) = (format!("../{depth}"), format!("../{}", depth + 1));
        fs::create_dir(dir.path().join(&here[3..])).unwrap();
        for way in ["a", "b"] {
            symlink(&next, dir.path().join(&here[3..]).join(way)).unwrap();
        }
    }
    write(&dir.path().join("30/0.png"), &encoded(ImageFormat::Png, 1));
    symlink("../../0", dog.join("ways")).unwrap();
    fs::remove_file(cat.join("0.png")).unwrap();
    write(&cat.join("0.png"), &encoded(ImageFormat::Png, 1));
    assert_refused(&dir, &["a second way to", "/30", "remove the link"]);
}

#[test]
fn a_header_is_checked_without_decoding() {
    let dir = folder(&["train", "test"]);
    let path = dir.path().join("train/dog/1.jpg");
    let jpeg = encoded(ImageFormat::Jpeg, 7);
    write(&path, &jpeg);
    let set = open(&dir).train;
    assert_eq!(&*set.checked_bytes(2).unwrap(), &jpeg[..]);
    let png = encoded(ImageFormat::Png, 7);
    let cases = [
        (&jpeg[..jpeg.len() - 1], "cut off"),
        (&jpeg[..jpeg.len() - 20], "cut off"),
        (&png[..png.len() - 20], "cut off"),
        (&png[..20], ""),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"", ""),
    ];
    for (bytes, cause) in cases {
        fs::write(&path, bytes).unwrap();
        let error = set.checked_bytes(2).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let message = format!("{error}: {}", source.unwrap_or_default());
        assert!(
            message.contains("dog/1.jpg") && message.contains(cause),
            "{message}"
        );
    }
    let wide = DynamicImage::from(RgbImage::new(5, 3));
    wide.save_with_format(&path, ImageFormat::Png).unwrap();
    let message = set.checked_bytes(2).unwrap_err().to_string();
    assert!(
        message.contains("expected 3x4 pixels") && message.contains("3x5"),
        "{message}"
    );
}

#[test]
fn a_split_that_is_no_folder_is_told() {
    let dir = folder(&["train"]);
    for name in ["test.zip", "Validation.csv", "train.csv", "notes.zip"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let warnings = open(&dir).warnings.join("\n");
    for (name, is_told) in [
        ("test.zip", true),
        ("Validation.csv", true),
        ("train.csv", false),
        ("notes.zip", false),
    ] {
        assert_eq!(warnings.contains(name), is_told, "{warnings}");
    }
}

/// A chunk of a PNG, its checksum spoilt if `is_damaged`.
fn chunk(kind: &[u8; 4], data: &[u8], is_damaged: bool) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(data);
    let sum = sum.sum() ^ u32::from(is_damaged);
    let length = (data.len() as u32).to_be_bytes();
    [&length[..], kind, data, &sum.to_be_bytes()].concat()
}

/// A PNG of 2x2 places in a palette, from its chunks behind the header.
fn palette_png(chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = [0, 0, 0, 2, 0, 0, 0, 2, 8, 3, 0, 0, 0];
    let start = [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header, false)[..]].concat();
    [start, chunks.concat()].concat()
}

fn packed_rows() -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&[0, 0, 1, 0, 1, 0]).unwrap();
    packed.finish().unwrap()
}

#[test]
fn chunks_of_a_png_are_checked_as_its_decoder_checks_them() {
    let rows = packed_rows();
    let (first, second) = rows.split_at(5);
    let palette = || chunk(b"PLTE", &[1, 2, 3, 4, 5, 6], false);
    let pixels = || [chunk(b"IDAT", first, false), chunk(b"IDAT", second, false)].concat();
    let end = || chunk(b"IEND", b"", false);
    let text = |is_damaged| chunk(b"tEXt", b"k\0v", is_damaged);
    let dir = folder(&["train", "test"]);
    let path = dir.path().join("train/dog/1.png");
    write(&path, &encoded(ImageFormat::Png, 7));
    let options = FolderOptions {
        size: Some([2, 2]),
        ..FolderOptions::default()
    };
    let set = open_folder(dir.path(), &options).unwrap().train;
    for (chunks, fault) in [
        (vec![palette(), pixels(), end()], None),
        (vec![palette(), pixels(), end(), b"more".to_vec()], None),
        (vec![text(true), palette(), pixels(), end()], None),
        (vec![palette(), pixels(), text(true), end()], None),
        (vec![palette(), pixels(), text(false)], None),
        (vec![pixels(), end()], Some("palette that it lacks")),
        (vec![palette(), pixels()], Some("cut off")),
        (
            vec![
                palette(),
                chunk(b"IDAT", first, false),
                chunk(b"IDAT", second, true),
                end(),
            ],
            Some("checksum of its IDAT"),
        ),
        (
            vec![chunk(b"PLTE", &[1, 2, 3, 4, 5, 6], true), pixels(), end()],
            Some("checksum of its PLTE"),
        ),
    ] {
        fs::write(&path, palette_png(&chunks)).unwrap();
        let checked = set.checked_bytes(2).map(|_| ());
        let decoded = image::load_from_memory(&fs::read(&path).unwrap());
        assert_eq!(checked.is_ok(), decoded.is_ok(), "{fault:?}: {checked:?}");
        let cause = checked.err().map(|error| {
            let source = std::error::Error::source(&error).unwrap();
            format!("{error}: {source}")
        });
        match (fault, cause) {
            (None, None) => {}
            (Some(fault), Some(cause)) => {
                assert!(
                    cause.contains(fault) && cause.contains("dog/1.png"),
                    "{cause}"
                );
            }
            (fault, cause) => panic!("{fault:?} {cause:?}"),
        }
    }
    // Wherever a bit is flipped or the file ends, what is passed is decoded; and what is refused is not,
    // but for heads of chunks that the decoder does not come to.
    let whole = palette_png(&[text(false), palette(), pixels(), text(false), end()]);
    let kinds = [&b"tEXt"[..], b"IEND"];
    let heads: Vec<usize> = (0..whole.len() - 4)
        .filter(|at| kinds.contains(&&whole[*at..at + 4]))
        .flat_map(|at| at - 4..at + 4)
        .collect();
    for at in 0..whole.len() {
        for bit in [0, 0x01, 0x10, 0x20, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= bit;
            if bit == 0 {
                bytes.truncate(at);
            }
            fs::write(&path, &bytes).unwrap();
            let checked = set.checked_bytes(2);
            let decoded = image::load_from_memory(&bytes);
            if bit > 0 && heads.contains(&at) {
                assert!(checked.is_err() || decoded.is_ok(), "{at}: {checked:?}");
            } else {
                assert_eq!(checked.is_ok(), decoded.is_ok(), "{at}: {checked:?}");
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn class_folders_that_cannot_be_told_or_followed_are_refused_by_path() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    for split in ["train", "test"] {
        let dir = folder(&["train", "test"]);
        symlink("nowhere", dir.path().join(split).join("eel")).unwrap();
        assert_refused(&dir, &[&format!("{split}/eel")]);
    }
    let dir = folder(&["train", "test"]);
    symlink("nowhere", dir.path().join("valid")).unwrap();
    assert_refused(&dir, &["/valid"]);
    let dir = folder(&["train"]);
    let picture = encoded(ImageFormat::Png, 1);
    // A file may be called anything.
    let name = OsStr::from_bytes(b"\xff.png");
    write(&dir.path().join("train/cat").join(name), &picture);
    assert_eq!(open(&dir).train.len(), 3);
    for name in [b"\xff", b"\xfe"] {
        let class = dir.path().join("train").join(OsStr::from_bytes(name));
        write(&class.join("0.png"), &picture);
    }
    assert_refused(&dir, &["/train", "\\xFE", "rename"]);
}
