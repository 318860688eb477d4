//! Sentences and their translations.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::data::dataset::Dataset;
use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;
use zoo_text::{Pair, PairSet, Pairs, find};

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn pair(source: &str, target: &str) -> Pair {
    Pair {
        source: source.into(),
        target: target.into(),
    }
}

/// What is said of two files.
fn refused(source: &[u8], target: &[u8]) -> String {
    let folder = folder(&[("a.en", source), ("a.de", target)]);
    let error = Pairs::aligned(folder.path().join("a.en"), folder.path().join("a.de")).unwrap_err();
    error.to_string()
}

#[test]
fn lines_of_two_files_belong_together() {
    let files = folder(&[
        ("train.en", "\u{feff}one\r\ntwo three\r\n".as_bytes()),
        ("train.de.gz", &packed("eins\nzwei drei".as_bytes())),
        ("val.en", b"four\n"),
        ("val.de", "vier\u{85}\u{2028}\n".as_bytes()),
    ]);
    let set = PairSet::open(files.path(), Some(["en", "de"])).unwrap();
    let expected = [pair("one", "eins"), pair("two three", "zwei drei")];
    assert!(set.train.iter().eq(&expected));
    assert_eq!(set.train.get(1).unwrap(), expected[1]);
    // Only a line feed ends a line, as everywhere else that these files are read.
    let valid = set.valid.unwrap();
    assert_eq!(valid.get(0).unwrap(), pair("four", "vier\u{85}\u{2028}"));
    assert_eq!((valid.len(), set.test), (1, None));
}

#[test]
fn files_that_do_not_belong_together_are_refused_by_name() {
    for (source, target, parts) in [
        (
            &b"one\ntwo\n"[..],
            &b"eins\n"[..],
            ["a.en has 2 lines", "a.de has 1"],
        ),
        (
            b"one\n\nthree\n",
            b"eins\nzwei\ndrei\n",
            ["a.en: line 2", "the same line of"],
        ),
        (b"one\ntwo\n", b"eins\n \t\n", ["a.de: line 2", "a.en"]),
        (b"", b"", ["a.en", "the file is empty"]),
        (
            b"one\n",
            b"gr\xfcn\n",
            ["a.de: line 1, byte 2", "-f ISO-8859-1"],
        ),
        (b"\xff\xfeo\0n\0", b"eins\n", ["a.en", "UTF-16"]),
        (b"PAR1\x15\0", b"eins\n", ["a.en", "Parquet"]),
    ] {
        let message = refused(source, target);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let whole = packed(&b"one\n".repeat(1000));
    let message = refused(&whole[..whole.len() - 6], b"eins\n");
    assert!(
        message.contains("a.en") && message.contains("cut off before its end"),
        "{message}"
    );
    let mut damaged = whole.clone();
    damaged[15] ^= 0xff;
    let message = refused(&damaged, b"eins\n");
    assert!(
        message.contains("a.en") && message.contains("damaged"),
        "{message}"
    );
    let bomb = packed(&vec![b'a'; 8 << 20]);
    let message = refused(&bomb, b"eins\n");
    assert!(
        message.contains(&format!("{} bytes that become more", bomb.len())),
        "{message}"
    );
    let bomb = packed(&packed(b"one\n"));
    assert!(refused(&bomb, b"eins\n").contains("gzip"));
}

#[test]
fn the_folder_of_two_languages_is_complete() {
    let message = |files: &[(&str, &[u8])]| {
        let folder = folder(files);
        PairSet::open(folder.path(), Some(["en", "de"]))
            .unwrap_err()
            .to_string()
    };
    let said = message(&[("train.en", b"a\n")]);
    assert!(said.contains("train.de beside train.en"), "{said}");
    let said = message(&[("train.fr", b"a\n")]);
    assert!(said.contains("train.en and train.de"), "{said}");
    let both: &[(&str, &[u8])] = &[
        ("train.en", b"a\n"),
        ("train.de", b"b\n"),
        ("test.de", b"c\n"),
    ];
    let said = message(both);
    assert!(said.contains("test.en beside test.de"), "{said}");
    let twice: &[(&str, &[u8])] = &[
        ("train.en", b"a\n"),
        ("train.en.gz", b"a\n"),
        ("train.de", b"b\n"),
    ];
    let said = message(twice);
    assert!(said.contains("train.en and train.en.gz"), "{said}");
    let said = PairSet::open("/nowhere/at/all", Some(["en", "de"]))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("/nowhere/at/all") && said.contains("found nothing"),
        "{said}"
    );
}

#[test]
fn two_columns_are_pairs_too() {
    let read = |text: &str| {
        let folder = folder(&[("my.tsv", text.as_bytes())]);
        PairSet::open(folder.path().join("my.tsv"), None)
            .map(|set| set.train.iter().cloned().collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    };
    let expected = vec![pair("one \"two\"", "eins"), pair("three", "drei")];
    assert_eq!(
        read("one \"two\"\teins\nthree\tdrei\n"),
        Ok(expected.clone())
    );
    assert_eq!(
        read("source\ttarget\r\none \"two\"\teins\r\nthree\tdrei"),
        Ok(expected)
    );
    for (text, parts) in [
        ("one\teins\tx\n", ["my.tsv", "3 in line 1"]),
        ("one\teins\ntwo\n", ["my.tsv: line 2", "1 fields"]),
        ("one\teins\ntwo\t \n", ["my.tsv: line 2", "empty"]),
        ("source\ttarget\n", ["my.tsv", "the file is empty"]),
        ("", ["my.tsv", "the file is empty"]),
    ] {
        let message = read(text).unwrap_err();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn numbers_are_the_same_for_a_seed_and_no_word_is_new() {
    let set = PairSet::numbers(1);
    assert_eq!(set, PairSet::numbers(1));
    assert_ne!(set.train, PairSet::numbers(2).train);
    let (valid, test) = (set.valid.unwrap(), set.test.unwrap());
    assert_eq!(
        (set.train.len(), valid.len(), test.len()),
        (10_000, 500, 1_000)
    );
    let known: BTreeSet<&str> = set.train.iter().map(|pair| &*pair.source).collect();
    assert_eq!(known.len(), 10_000);
    assert!(
        valid
            .iter()
            .chain(test.iter())
            .all(|pair| !known.contains(&*pair.source))
    );
    let words = |pairs: &Pairs| -> BTreeSet<String> {
        let words = pairs
            .iter()
            .flat_map(|pair| pair.source.split(' ').chain(pair.target.split(' ')));
        words.map(str::to_owned).collect()
    };
    let known = words(&set.train);
    assert!(words(&test).is_subset(&known) && words(&valid).is_subset(&known));
    assert!(known.len() < 70, "{}", known.len());
}

#[test]
fn a_published_set_is_whole() {
    let data = tempfile::tempdir().unwrap();
    let set = find("multi30k-en-de").unwrap();
    let message = PairSet::published(set, data.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("cargo xtask data fetch multi30k-en-de"),
        "{message}"
    );
    for (path, _) in paths(data.path()) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, packed(b"a\nb\n")).unwrap();
    }
    let message = PairSet::published(set, data.path())
        .unwrap_err()
        .to_string();
    assert!(message.contains("train.en.gz: 2 lines where"), "{message}");
}

fn paths(data: &Path) -> Vec<(PathBuf, usize)> {
    let names = ["train", "val", "test_2016_flickr"];
    let names = names
        .iter()
        .flat_map(|name| ["en", "de"].map(|it| format!("{name}.{it}.gz")));
    names
        .map(|name| (data.join("multi30k-en-de").join(name), 0))
        .collect()
}
