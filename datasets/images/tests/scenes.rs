//! Pictures with a class for every pixel: drawn ones, and folders that the tests write.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::collections::HashSet;
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;

use burn::data::dataset::Dataset;
use image::{Rgb, RgbImage};
use png::{BitDepth, ColorType};
use tempfile::TempDir;
use zoo_images::{
    Augment, ImageError, SCENE_SETS, SceneOptions, SceneSplits, VOID, find_scenes,
    open_mask_folder, open_scenes,
};

const HEIGHT: usize = 4;
const WIDTH: usize = 6;

fn write_picture(path: &Path, width: u32, height: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 200]));
    image.save(path).unwrap();
}

/// Writes packed rows as a PNG of one sample a pixel.
fn write_png(path: &Path, size: [usize; 2], color: ColorType, depth: BitDepth, rows: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, size[1] as u32, size[0] as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        // Colours that no label could be mistaken for.
        encoder.set_palette(vec![99; 3 << (depth as usize).min(8)]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(rows).unwrap();
}

fn write_mask(path: &Path, size: [usize; 2], mask: &[u8]) {
    write_png(path, size, ColorType::Grayscale, BitDepth::Eight, mask);
}

/// 0, 1, 2, 0, 1, 2, …
fn counting(pixels: usize) -> Vec<u8> {
    (0..pixels).map(|at| (at % 3) as u8).collect()
}

/// `images/` and `masks/` of two scenes, 4x6 pixels (height x width).
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    for name in ["a", "b"] {
        write_picture(&dir.path().join(format!("images/{name}.png")), 6, 4);
        let mask = dir.path().join(format!("masks/{name}.png"));
        write_mask(&mask, [HEIGHT, WIDTH], &counting(HEIGHT * WIDTH));
    }
    dir
}

fn options() -> SceneOptions {
    SceneOptions {
        classes: ["ground", "tree", "house"].map(String::from).into(),
        ..SceneOptions::default()
    }
}

fn open(dir: &TempDir) -> SceneSplits {
    open_mask_folder(dir.path(), &options()).unwrap()
}

/// What reading the first scene says, which checking it must say as well.
fn refusal(dir: &TempDir) -> ImageError {
    let set = open(dir).train;
    let error = set.get(0).unwrap_err();
    assert_eq!(
        set.checked_bytes(0).unwrap_err().to_string(),
        error.to_string()
    );
    error
}

#[track_caller]
fn assert_says(error: &ImageError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn pictures_and_masks_go_together_by_name() {
    let dir = folder();
    write_picture(&dir.path().join("images/c.jpg"), 6, 4);
    write_mask(
        &dir.path().join("masks/c.png"),
        [HEIGHT, WIDTH],
        &[2; HEIGHT * WIDTH],
    );
    write_mask(
        &dir.path().join("masks/stray.png"),
        [HEIGHT, WIDTH],
        &[2; HEIGHT * WIDTH],
    );
    let splits = open(&dir);
    let set = &splits.train;
    assert_eq!((set.len(), set.shape()), (3, [3, HEIGHT, WIDTH]));
    assert_eq!(set.classes(), ["ground", "tree", "house"]);
    assert!(splits.valid.is_none() && splits.test.is_none());
    let scene = set.get(0).unwrap();
    assert_eq!(scene.mask, counting(24));
    assert_eq!(scene.pixels[..8], [0, 1, 2, 3, 4, 5, 0, 1]);
    assert_eq!(scene.pixels[48..], [200; 24]);
    assert_eq!(set.get(2).unwrap().mask, [2; 24]);
    assert!(set.path(2).unwrap().ends_with("images/c.jpg"));
    assert_eq!(splits.warnings.len(), 1, "{:?}", splits.warnings);
    assert!(splits.warnings[0].contains("1 masks have no picture"));
}

#[test]
fn masks_hold_indices_whatever_their_depth_and_palette() {
    let dir = folder();
    let mask = dir.path().join("masks/a.png");
    let read = || open(&dir).train.get(0).unwrap().mask;
    write_png(
        &mask,
        [4, 6],
        ColorType::Indexed,
        BitDepth::Eight,
        &counting(24),
    );
    assert_eq!(read(), counting(24));
    // 0, 1, 2, 0 | 1, 2 and four bits over
    let packed = [0b00_01_10_00, 0b01_10_00_00].repeat(4);
    for color in [ColorType::Indexed, ColorType::Grayscale] {
        write_png(&mask, [4, 6], color, BitDepth::Two, &packed);
        assert_eq!(read(), counting(24));
    }
    write_png(
        &mask,
        [4, 6],
        ColorType::Grayscale,
        BitDepth::One,
        &[0b1010_0100; 4],
    );
    assert_eq!(read(), [1, 0, 1, 0, 0, 1].repeat(4));
    write_png(
        &mask,
        [4, 6],
        ColorType::Indexed,
        BitDepth::Four,
        &[0x01, 0x20, 0x12].repeat(4),
    );
    assert_eq!(read(), counting(24));
}

#[test]
fn void_is_one_label_whatever_the_files_call_it() {
    let dir = folder();
    let mut mask = counting(24);
    mask[5] = 7;
    write_mask(&dir.path().join("masks/a.png"), [4, 6], &mask);
    let options = SceneOptions {
        void: 7,
        ..options()
    };
    let read = open_mask_folder(dir.path(), &options).unwrap().train.get(0);
    mask[5] = VOID;
    assert_eq!(read.unwrap().mask, mask);
    // Also where a class's own label is said to be void.
    let options = SceneOptions { void: 1, ..options };
    write_mask(&dir.path().join("masks/a.png"), [4, 6], &[1; 24]);
    let read = open_mask_folder(dir.path(), &options).unwrap().train.get(0);
    assert_eq!(read.unwrap().mask, [VOID; 24]);
}

#[test]
fn splits_lie_as_camvids_do_and_void_is_eleven() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("camvid-small");
    for split in ["train", "val", "test"] {
        write_picture(&root.join(split).join("x.png"), 6, 4);
        let mask = root.join(format!("{split}annot/x.png"));
        write_mask(&mask, [4, 6], &[[11, 0, 10].repeat(8)].concat());
    }
    let splits = open_scenes("camvid-small", dir.path(), &SceneOptions::default()).unwrap();
    assert_eq!(
        (
            splits.train.classes().len(),
            splits.train.classes()[3].as_str()
        ),
        (11, "road")
    );
    for set in [Some(splits.train), splits.valid, splits.test] {
        let scene = set.unwrap().get(0).unwrap();
        assert_eq!(scene.mask, [VOID, 0, 10].repeat(8));
    }
}

#[test]
fn sizes_are_brought_to_the_one_asked_for() {
    let dir = folder();
    write_picture(&dir.path().join("images/c.png"), 12, 8);
    // Each label twice in a row, and each row twice.
    let mask: Vec<u8> = (0..96)
        .map(|at| ((at / 24 * 6 + at % 12 / 2) % 3) as u8)
        .collect();
    write_mask(&dir.path().join("masks/c.png"), [8, 12], &mask);
    let options = SceneOptions {
        size: Some([4, 6]),
        ..options()
    };
    let set = open_mask_folder(dir.path(), &options).unwrap().train;
    assert_eq!(set.shape(), [3, 4, 6]);
    for index in 0..3 {
        let scene = set.get(index).unwrap();
        assert_eq!(scene.pixels.len(), 72);
        assert_eq!(scene.mask, counting(24), "{index}");
    }
    let options = SceneOptions {
        size: Some([8, 12]),
        ..options
    };
    let set = open_mask_folder(dir.path(), &options).unwrap().train;
    assert_eq!(set.get(0).unwrap().mask, mask);
}

#[test]
fn another_size_is_refused_by_name() {
    let dir = folder();
    write_mask(&dir.path().join("masks/a.png"), [6, 4], &[0; 24]);
    assert_says(
        &refusal(&dir),
        &[
            "masks/a.png: expected 4x6 pixels",
            "the size of",
            "images/a.png, found 6x4",
        ],
    );

    write_picture(&dir.path().join("images/b.png"), 5, 4);
    let error = open(&dir).train.get(1).unwrap_err();
    assert_says(
        &error,
        &[
            "images/b.png: expected 4x6 pixels",
            "found 4x5",
            "data.size",
        ],
    );
}

#[test]
fn a_label_beyond_the_classes_is_refused_with_its_place() {
    let dir = folder();
    let mut mask = counting(24);
    mask[8] = 3;
    write_mask(&dir.path().join("masks/a.png"), [4, 6], &mask);
    let error = refusal(&dir);
    assert_says(
        &error,
        &[
            "masks/a.png: expected labels below 3, or 255 for void",
            "label 3 at row 1, column 2",
        ],
    );
}

#[test]
fn a_missing_mask_is_refused_when_the_folder_opens() {
    let dir = folder();
    fs::remove_file(dir.path().join("masks/b.png")).unwrap();
    let error = open_mask_folder(dir.path(), &options()).unwrap_err();
    assert_says(
        &error,
        &[
            "found no mask of",
            "images/b.png; looked for",
            "masks/b.png",
        ],
    );
    fs::remove_dir_all(dir.path().join("masks")).unwrap();
    let error = open_mask_folder(dir.path(), &options()).unwrap_err();
    assert_says(&error, &["found no folder of masks", "trainannot/"]);
}

#[test]
fn truncated_files_are_refused_by_name() {
    let dir = folder();
    let mask = dir.path().join("masks/a.png");
    let whole = fs::read(&mask).unwrap();
    // In the header, in the data, and before the end.
    for length in [0, 20, whole.len() - 20, whole.len() - 4] {
        fs::write(&mask, &whole[..length]).unwrap();
        let error = refusal(&dir);
        assert_says(&error, &["masks/a.png: expected a PNG mask"]);
        assert!(error.source().is_some());
    }
    fs::write(&mask, whole).unwrap();
    let picture = dir.path().join("images/a.png");
    let whole = fs::read(&picture).unwrap();
    let set = open(&dir).train;
    fs::write(&picture, &whole[..whole.len() - 20]).unwrap();
    assert_says(
        &set.get(0).unwrap_err(),
        &["images/a.png: expected a PNG or JPEG image"],
    );
}

#[test]
fn what_holds_no_indices_is_refused() {
    let dir = folder();
    let mask = dir.path().join("masks/a.png");
    write_png(&mask, [4, 6], ColorType::Rgb, BitDepth::Eight, &[0; 72]);
    assert_says(
        &refusal(&dir),
        &["masks/a.png: expected a mask", "found Rgb of 8 bits"],
    );
    write_png(
        &mask,
        [4, 6],
        ColorType::Grayscale,
        BitDepth::Sixteen,
        &[0; 48],
    );
    assert_says(&refusal(&dir), &["found Grayscale of 16 bits"]);
}

#[test]
fn a_mask_that_claims_more_than_its_bytes_can_hold_is_refused() {
    let dir = folder();
    let mask = dir.path().join("masks/a.png");
    write_mask(&mask, [1, 1], &[0]);
    let mut bytes = fs::read(&mask).unwrap();
    // The header's width and height, and its checksum after.
    bytes[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    let checksum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    fs::write(&mask, bytes).unwrap();
    assert_says(
        &refusal(&dir),
        &["expected at most", "found 16384x16384 pixels"],
    );
}

/// CRC-32 as PNG has it.
fn crc(bytes: &[u8]) -> u32 {
    let update = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    };
    !bytes.iter().fold(!0, update)
}

#[test]
fn without_names_of_classes_or_folders_nothing_opens() {
    let dir = folder();
    let error = open_mask_folder(dir.path(), &SceneOptions::default()).unwrap_err();
    assert_says(
        &error,
        &["the names of 2 to 255 classes by label", "data.classes"],
    );
    let nowhere = dir.path().join("nowhere");
    let error = open_mask_folder(&nowhere, &options()).unwrap_err();
    assert_says(
        &error,
        &[
            "found no folder of pictures",
            "nowhere/images",
            "nowhere/train",
        ],
    );
    let size = SceneOptions {
        size: Some([0, 4]),
        ..options()
    };
    let error = open_mask_folder(dir.path(), &size).unwrap_err();
    assert_says(&error, &["data.size = [0, 4] is out of range"]);
    let published = open_scenes("camvid-small", dir.path(), &SceneOptions::default());
    assert_says(
        &published.unwrap_err(),
        &[
            "found no folder of camvid-small",
            "made/camvid-small.toml",
            "ZOO_DATA_DIR",
        ],
    );
    let error = find_scenes("shape").unwrap_err();
    assert_says(
        &error,
        &["unknown set of scenes `shape`; there are: shapes, camvid-small"],
    );
}

fn drawn() -> SceneSplits {
    open_scenes("shapes", Path::new("unused"), &SceneOptions::default()).unwrap()
}

/// A change here changes the data set, and with it every result measured on it.
#[test]
fn the_drawn_set_is_the_one_that_results_were_measured_on() {
    // FNV-1a, 64 bits.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let splits = drawn();
    for set in [splits.train, splits.valid.unwrap(), splits.test.unwrap()] {
        for index in [0, 1, set.len() - 1] {
            let scene = set.get(index).unwrap();
            for byte in scene.pixels.iter().chain(&scene.mask) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    assert_eq!(hash, 0x6df6_0ae6_37cf_0c52, "found {hash:#x}");
}

#[test]
fn drawn_scenes_show_every_class_and_no_scene_twice() {
    let splits = drawn();
    let row = SCENE_SETS.iter().find(|row| row.name == "shapes").unwrap();
    let sets = [splits.train, splits.valid.unwrap(), splits.test.unwrap()];
    assert_eq!(
        row.scenes,
        Some([sets[0].len(), sets[1].len(), sets[2].len()])
    );
    let mut seen = HashSet::new();
    let mut counts = [0_u32; 256];
    for set in &sets {
        for index in 0..100 {
            let scene = set.get(index).unwrap();
            assert_eq!(
                (scene.pixels.len(), scene.mask.len()),
                (3 * 48 * 48, 48 * 48)
            );
            for label in &scene.mask {
                counts[usize::from(*label)] += 1;
            }
            assert_eq!(scene, set.get(index).unwrap());
            assert!(seen.insert(scene.pixels));
        }
    }
    let share = |label: usize| f64::from(counts[label]) / (300.0 * 48.0 * 48.0);
    let shares: Vec<f64> = (0..5).map(share).collect();
    assert!((0.3..0.6).contains(&shares[0]), "{shares:?}");
    assert!(
        shares[1..].iter().all(|share| (0.05..0.2).contains(share)),
        "{shares:?}"
    );
    assert!(
        (0.02..0.15).contains(&share(usize::from(VOID))),
        "{}",
        share(255)
    );
    let rest: u32 = counts[5..255].iter().sum();
    assert_eq!(rest, 0);
}

#[test]
fn picture_and_mask_move_together() {
    let augment = Augment {
        crop_padding: 2,
        horizontal_flip: true,
        cutout: 2,
    };
    let shape = [2, 5, 7];
    let mut moved = HashSet::new();
    for seed in 0..100 {
        // A pixel is its place counted from 1, and so is its label.
        let mut pixels: Vec<f32> = (0..70).map(|at| (at % 35 + 1) as f32).collect();
        let mut mask: Vec<u8> = (1..=35).collect();
        let mut alone = pixels.clone();
        augment.apply_with_mask(&mut pixels, &mut mask, shape, seed);
        for (at, label) in mask.iter().enumerate() {
            let expected = if *label == VOID {
                0.0
            } else {
                f32::from(*label)
            };
            assert_eq!(
                [pixels[at], pixels[35 + at]],
                [expected; 2],
                "seed {seed}, pixel {at}"
            );
        }
        augment.apply(&mut alone, shape, seed);
        assert_eq!(pixels, alone, "the picture moves as it does without a mask");
        moved.insert(mask);
    }
    assert!(moved.len() > 50, "{} of 100", moved.len());
}
