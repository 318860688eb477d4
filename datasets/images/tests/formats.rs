//! Every format, whole and damaged in each way, on tiny files that the tests write.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use burn::data::dataset::Dataset;
use flate2::{Compression, write::GzEncoder};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zoo_images::{FolderOptions, ImageError, ImageSet, Split, open};

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

fn idx_images(count: u32, height: u32, width: u32) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    for dimension in [count, height, width] {
        bytes.extend(dimension.to_be_bytes());
    }
    bytes.extend((0..count * height * width).map(|i| (i % 251) as u8));
    bytes
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1];
    bytes.extend((labels.len() as u32).to_be_bytes());
    bytes.extend(labels);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A data directory whose set `name` holds these files.
fn data_dir(name: &str, files: &[(&str, Vec<u8>)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (file, bytes) in files {
        let path = dir.path().join(name).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn open_train(name: &str, dir: &TempDir) -> Result<ImageSet, ImageError> {
    open(name, dir.path(), Split::Train, &FolderOptions::default())
}

/// Asserts that the error says all of `parts`, and ends in what to do.
#[track_caller]
fn assert_says(result: Result<ImageSet, ImageError>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn idx_reads_plain_and_gzipped_files_under_both_names() {
    let images = idx_images(3, 28, 28);
    let labels = idx_labels(&[5, 0, 9]);
    let cases = [
        [(IMAGES, images.clone()), (LABELS, labels.clone())],
        [
            ("train-images-idx3-ubyte.gz", gzip(&images)),
            ("train-labels.idx1-ubyte", labels.clone()),
        ],
        // The content decides, not the ending.
        [
            ("train-images.idx3-ubyte.gz", images.clone()),
            ("train-labels-idx1-ubyte", gzip(&labels)),
        ],
    ];
    for files in cases {
        let set = open_train("mnist", &data_dir("mnist", &files)).unwrap();
        assert_eq!((set.len(), set.shape()), (3, [1, 28, 28]));
        assert_eq!(set.classes().len(), 10);
        let item = set.get(1).unwrap();
        assert_eq!(
            (item.label, &item.pixels[..]),
            (0, &images[16 + 784..16 + 1568])
        );
        let labels: Vec<usize> = set.iter().map(|item| item.unwrap().label).collect();
        assert_eq!(labels, [5, 0, 9]);
    }
}

#[test]
fn idx_test_files_are_t10k_and_fashion_mnist_has_its_own_folder() {
    let files = [
        ("t10k-images-idx3-ubyte", idx_images(2, 28, 28)),
        ("t10k-labels-idx1-ubyte", idx_labels(&[1, 2])),
    ];
    let dir = data_dir("fashion-mnist", &files);
    let options = FolderOptions::default();
    let set = open("fashion-mnist", dir.path(), Split::Test, &options).unwrap();
    assert_eq!(set.classes()[set.get(1).unwrap().label], "Pullover");
    assert_says(open_train("fashion-mnist", &dir), &["images", "train"]);
    assert_says(open_train("mnist", &dir), &["data fetch mnist"]);
}

#[test]
fn a_missing_file_lists_what_was_looked_for_and_what_to_do() {
    let dir = data_dir("mnist", &[(IMAGES, idx_images(1, 28, 28))]);
    assert_says(
        open_train("mnist", &dir),
        &[
            "train labels of mnist",
            "train-labels-idx1-ubyte,",
            "train-labels-idx1-ubyte.gz",
            "train-labels.idx1-ubyte",
            "cargo xtask data fetch mnist",
            "--data-dir",
            "ZOO_DATA_DIR",
        ],
    );
}

#[test]
fn idx_damage_is_refused_with_expected_and_found() {
    let images = idx_images(2, 28, 28);
    let labels = idx_labels(&[1, 2]);
    let mut wrong_magic = images.clone();
    wrong_magic[2] = 0x0d;
    let mut huge = images.clone();
    huge[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut claims_more = images.clone();
    claims_more[4..8].copy_from_slice(&60_000u32.to_be_bytes());
    let cases: [(Vec<u8>, Vec<u8>, &[&str]); 13] = [
        (
            images[..1583].to_vec(),
            labels.clone(),
            &[IMAGES, "exactly 1584 bytes", "found 1583 (truncated)"],
        ),
        (
            [&images[..], &[0; 3]].concat(),
            labels.clone(),
            &[IMAGES, "exactly 1584 bytes", "found 1587 (oversized)"],
        ),
        (
            [&images[..], &vec![0; 2 << 20]].concat(),
            labels.clone(),
            &["more than", "(oversized)"],
        ),
        (
            claims_more,
            labels.clone(),
            &["exactly 47040016 bytes", "found 1584 (truncated)"],
        ),
        (
            huge,
            labels.clone(),
            &["at most 60000 images", "4294967295"],
        ),
        (
            wrong_magic,
            labels.clone(),
            &["[00, 00, 08, 03]", "[00, 00, 0d, 03]"],
        ),
        (
            b"<html>".to_vec(),
            labels.clone(),
            &["magic number", "[3c, 68"],
        ),
        (
            images[..9].to_vec(),
            labels.clone(),
            &["header of 16 bytes", "found 9"],
        ),
        (
            Vec::new(),
            labels.clone(),
            &["header of 16 bytes", "found 0"],
        ),
        (
            idx_images(2, 28, 27),
            labels.clone(),
            &["images of [28, 28] pixels", "[28, 27]"],
        ),
        (
            idx_images(0, 28, 28),
            idx_labels(&[]),
            &["at least one", "the split is empty"],
        ),
        (
            images.clone(),
            idx_labels(&[1, 2, 3]),
            &[LABELS, "expected 2 labels", "found 3"],
        ),
        (
            images.clone(),
            idx_labels(&[1, 10]),
            &[LABELS, "labels below 10", "label 10 at index 1"],
        ),
    ];
    for (images, labels, parts) in cases {
        let both = [parts, &["data fetch mnist"]].concat();
        for pack in [|bytes: &[u8]| bytes.to_vec(), gzip] {
            let files = [(IMAGES, pack(&images)), (LABELS, pack(&labels))];
            assert_says(open_train("mnist", &data_dir("mnist", &files)), &both);
        }
    }
}

#[test]
fn a_damaged_gzip_file_is_refused_with_its_cause() {
    let labels = idx_labels(&[1, 2]);
    let packed = gzip(&idx_images(2, 28, 28));
    let mut wrong_sum = packed.clone();
    let sum = packed.len() - 8;
    wrong_sum[sum] ^= 1;
    let mut wrong_stream = packed.clone();
    wrong_stream[10..60].fill(0xff);
    let truncated = packed[..packed.len() / 2].to_vec();
    let followed_by_junk = [&packed[..], b"junk after the end"].concat();
    for images in [wrong_sum, wrong_stream, truncated, followed_by_junk] {
        let name = "train-images-idx3-ubyte.gz";
        let files = [(name, images), (LABELS, labels.clone())];
        let error = open_train("mnist", &data_dir("mnist", &files)).unwrap_err();
        assert!(matches!(error, ImageError::Read { .. }), "{error}");
        assert!(error.source().is_some());
        let message = error.to_string();
        assert!(message.contains(name) && message.contains("data fetch mnist"));
    }
}

fn cifar_batch(labels: &[u8]) -> Vec<u8> {
    let record = |(i, &label): (usize, &u8)| {
        let mut record = vec![label];
        for channel in 0..3 {
            record.extend([(10 * i + channel) as u8; 1024]);
        }
        record
    };
    labels.iter().enumerate().flat_map(record).collect()
}

/// Five training batches and a test batch in `folder`, with one of them replaced.
fn cifar_dir(folder: &str, replaced: Option<(&str, Vec<u8>)>) -> TempDir {
    let names = (1..=5).map(|i| format!("data_batch_{i}.bin"));
    let names = names.chain(["test_batch.bin".into()]);
    let paths: Vec<String> = names.map(|name| format!("{folder}{name}")).collect();
    let files: Vec<(&str, Vec<u8>)> = paths
        .iter()
        .map(|path| match &replaced {
            Some((name, bytes)) if path.ends_with(name) => (path.as_str(), bytes.clone()),
            _ => (path.as_str(), cifar_batch(&[3, 9])),
        })
        .collect();
    data_dir("cifar10", &files)
}

#[test]
fn cifar10_reads_the_binary_batches_in_both_places() {
    for folder in ["", "cifar-10-batches-bin/"] {
        let dir = cifar_dir(folder, Some(("data_batch_2.bin", cifar_batch(&[0, 7]))));
        let set = open_train("cifar10", &dir).unwrap();
        assert_eq!((set.len(), set.shape()), (10, [3, 32, 32]));
        let labels: Vec<usize> = set.iter().map(|item| item.unwrap().label).collect();
        assert_eq!(labels, [3, 9, 0, 7, 3, 9, 3, 9, 3, 9]);
        let pixels = set.get(3).unwrap().pixels;
        assert_eq!([0, 1024, 2048, 3071].map(|i| pixels[i]), [10, 11, 12, 12]);
        let test = open(
            "cifar10",
            dir.path(),
            Split::Test,
            &FolderOptions::default(),
        );
        assert_eq!(test.unwrap().len(), 2);
    }
}

#[test]
fn cifar10_damage_is_refused_with_expected_and_found() {
    let whole = cifar_batch(&[3, 9]);
    let too_many = vec![0; 10_001 * 3073];
    let cases: [(&str, Vec<u8>, &[&str]); 6] = [
        (
            "data_batch_4.bin",
            whole[..6145].to_vec(),
            &["records of 3073 bytes", "6145 bytes"],
        ),
        (
            "data_batch_1.bin",
            [&whole[..], &[1]].concat(),
            &["1 bytes over"],
        ),
        (
            "data_batch_5.bin",
            too_many,
            &["at most 30730000", "30733073 bytes (oversized)"],
        ),
        (
            "data_batch_2.bin",
            cifar_batch(&[3]),
            &["expected 2 images", "found 1"],
        ),
        (
            "data_batch_3.bin",
            cifar_batch(&[3, 10]),
            &["below 10", "label 10 at index 1"],
        ),
        ("data_batch_1.bin", Vec::new(), &["the split is empty"]),
    ];
    for (name, bytes, parts) in cases {
        let result = open_train("cifar10", &cifar_dir("", Some((name, bytes))));
        assert_says(result, &[parts, &[name, "data fetch cifar10"]].concat());
    }
}

#[test]
fn a_missing_cifar10_batch_is_named() {
    let dir = cifar_dir("", None);
    let batch = Path::new("cifar10").join("data_batch_3.bin");
    fs::remove_file(dir.path().join(&batch)).unwrap();
    let inner = PathBuf::from("cifar-10-batches-bin").join("data_batch_3.bin");
    assert_says(
        open_train("cifar10", &dir),
        &[
            batch.to_str().unwrap(),
            inner.to_str().unwrap(),
            "data fetch cifar10",
        ],
    );
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let dir = TempDir::new().unwrap();
    assert_says(
        open_train("mnits", &dir),
        &[
            "`mnits`",
            "glyphs, mnist, fashion-mnist, cifar10, cifar10-folder, image-folder",
        ],
    );
}
