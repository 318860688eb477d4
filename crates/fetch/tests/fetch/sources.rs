//! The rules of a source, and the sources of this repository.

use std::fs;
use std::path::Path;

use zoo_fetch::{Size, Source, Status, verify};

use crate::HEAD;

/// A source that keeps the rules, for tests that break one.
fn good() -> String {
    let sum = "ab".repeat(32);
    let content = format!("sha256 = '{sum}'\nsize_bytes = 5\n");
    format!(
        "{HEAD}[[files]]\npath = 'sub/a.gz'\nurls = ['https://example.org/a']\n{content}\
         [[archives]]\npath = 't.tar.gz'\nurls = ['https://example.org/t']\nsize_bytes = 9\n\
         [[archives.members]]\nmember = 'x/b'\npath = 'b'\n{content}"
    )
}

#[test]
fn a_good_source_is_read() {
    let source = Source::parse(&good()).unwrap();
    assert_eq!(
        (source.name.as_str(), source.counts["train"]),
        ("digits", 1)
    );
    assert_eq!(source.files[0].urls, ["https://example.org/a"]);
    assert_eq!(source.archives[0].members[0].member, "x/b");
    let upper = good().replace(&"ab".repeat(32), &"AB".repeat(32));
    assert_eq!(
        Source::parse(&upper).unwrap(),
        source,
        "sums are compared in small letters"
    );
}

#[test]
fn every_broken_rule_is_named_with_its_place() {
    let sum = "ab".repeat(32);
    let cases: &[(&str, &str, &str)] = &[
        ("about = 'a'", "abuot = 'a'", "unknown field `abuot`"),
        ("about = 'a'", "", "missing field `about`"),
        ("about = 'a'", "about = ' '", "about: "),
        (
            "name = 'digits'",
            "name = '../digits'",
            "name: expected letters",
        ),
        (
            "path = 'sub/a.gz'",
            "path = '../a.gz'",
            "files[0].path: expected a relative path",
        ),
        ("path = 'sub/a.gz'", "path = '/a.gz'", "files[0].path"),
        ("path = 'sub/a.gz'", "path = 'x//a.gz'", "files[0].path"),
        ("path = 'sub/a.gz'", "path = 'C:\\a.gz'", "files[0].path"),
        ("path = 'sub/a.gz'", "path = 'a.part'", "files[0].path"),
        (
            "path = 'sub/a.gz'",
            "path = 'B.gz'",
            "already the path of another file",
        ),
        ("['https://example.org/a']", "[]", "files[0].urls: "),
        (
            "https://example.org/a",
            "http://example.org/a",
            "files[0].urls[0]: expected an https",
        ),
        (
            "https://example.org/a",
            "http://localhost.example.org/a",
            "files[0].urls[0]",
        ),
        // What comes before an `@` is a user of the host behind it.
        (
            "https://example.org/a",
            "http://127.0.0.1:80@example.org/a",
            "files[0].urls[0]",
        ),
        (
            "https://example.org/a",
            "http://[::1]@example.org/a",
            "files[0].urls[0]",
        ),
        (
            "https://example.org/a",
            "file:///etc/passwd",
            "files[0].urls[0]",
        ),
        ("https://example.org/a", "https:///a", "files[0].urls[0]"),
        (
            &sum,
            "abc",
            "files[0].sha256: expected 64 hexadecimal digits, found `abc` (3 characters)",
        ),
        ("size_bytes = 5", "size_bytes = 0", "files[0].size_bytes"),
        ("size_bytes = 5", "size_bytes = -1", "size_bytes"),
        ("size_bytes = 9", "size_bytes = 0", "archives[0].size_bytes"),
        ("path = 't.tar.gz'", "path = 't.zip'", "archives[0].path"),
        ("path = 'b'", "path = '../b'", "archives[0].members[0].path"),
        (
            "member = 'x/b'",
            "member = '../b'",
            "archives[0].members[0].member",
        ),
    ];
    for (from, to, expected) in cases {
        let text = good();
        assert!(text.contains(from), "{from}");
        let error = Source::parse(&text.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(expected),
            "{to}: expected `{expected}` in `{error}`"
        );
    }
    assert!(
        Source::parse(HEAD)
            .unwrap_err()
            .to_string()
            .starts_with("files: ")
    );
}

/// A source of weights of which the publisher says neither the whole sum nor the very size.
fn weights() -> String {
    "name = 'Tiny_1.1B-v2'\nabout = 'a'\nlicence = 'l'\nhomepage = 'h'\n\
     [weights]\npreset = 'tiny'\npaper = 'p'\nrecipe = 'https://example.org/r'\npublished = 'q'\n\
     [[files]]\npath = 'tiny-0676BA61.pth'\nurls = ['https://example.org/a']\n\
     sha256_prefix = '0676BA61'\nsize_bytes = [5, 7]\n"
        .into()
}

#[test]
fn weights_say_what_they_fit_and_as_much_of_sum_and_size_as_is_published() {
    let source = Source::parse(&weights()).unwrap();
    assert_eq!(source.weights.as_ref().unwrap().preset, "tiny");
    assert!(source.counts.is_empty());
    assert!(
        source
            .weights
            .is_some_and(|weights| weights.preprocessing.is_none())
    );
    // What is done to pictures is passed on; the rest of the table is still checked.
    let more = "published = 'q'\nclasses = 'c'\n[weights.preprocessing]\nresize = 256\n";
    let source = Source::parse(&weights().replace("published = 'q'\n", more)).unwrap();
    let told = source.weights.unwrap();
    assert_eq!(told.classes.as_deref(), Some("c"));
    assert_eq!(
        told.preprocessing.unwrap()["resize"].as_integer(),
        Some(256)
    );
    let file = &source.files[0];
    assert_eq!(file.sha256_prefix.as_deref(), Some("0676ba61"));
    assert_eq!(
        (&file.sha256, file.size_bytes),
        (&None, Size::Between(5, 7))
    );

    let whole = format!("sha256 = '{}'\nsha256_prefix", "ab".repeat(32));
    let cases: &[(&str, &str, &str)] = &[
        (
            "name = 'Tiny_1.1B-v2'",
            "name = '.tiny'",
            "name: expected letters",
        ),
        (
            "preset = 'tiny'",
            "preset = ''",
            "weights.preset: expected a text",
        ),
        (
            "https://example.org/r",
            "ftp://example.org/r",
            "weights.recipe: expected an https",
        ),
        (
            "[weights]",
            "[counts]\ntrain = 1\n[weights]",
            "counts: expected this table",
        ),
        (
            "0676BA61'\nsize",
            "0676BA6'\nsize",
            "files[0].sha256_prefix: expected 8 to 63 hex",
        ),
        (
            "sha256_prefix = '0676BA61'\n",
            "",
            "files[0].sha256: expected either",
        ),
        ("sha256_prefix", &whole, "files[0].sha256: expected either"),
        (
            "[5, 7]",
            "[7, 5]",
            "files[0].size_bytes: expected [fewest, most], found 7 to 5",
        ),
        (
            "[5, 7]",
            "[0, 5]",
            "files[0].size_bytes: expected more than 0",
        ),
        (
            "[5, 7]",
            "[5]",
            "expected a number of bytes, or [fewest, most]",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(weights().contains(from), "{from}");
        let error = Source::parse(&weights().replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(expected),
            "{to}: expected `{expected}` in `{error}`"
        );
    }
}

#[test]
fn plain_http_is_for_this_machine() {
    for host in ["127.0.0.1:80", "localhost", "[::1]:9"] {
        let text = good().replacen("https://example.org/a", &format!("http://{host}/a"), 1);
        Source::parse(&text).unwrap_or_else(|error| panic!("{host}: {error}"));
    }
}

/// Every source file below a folder of the repository, such as `datasets`, by name.
fn repository(folder: &str) -> Vec<(String, Source)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = Vec::new();
    for part in fs::read_dir(root.join(folder)).unwrap() {
        let Ok(files) = fs::read_dir(part.unwrap().path().join("sources")) else {
            continue;
        };
        for file in files {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let source =
                Source::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            sources.push((
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                source,
            ));
        }
    }
    sources
}

#[test]
fn the_sources_of_this_repository_keep_the_rules() {
    let sources = repository("datasets");
    for (stem, source) in &sources {
        assert_eq!(stem, &source.name, "a source's file has its name");
        assert!(!source.counts.is_empty(), "{stem} counts its examples");
    }
    let weights = repository("models");
    assert!(weights.len() > 10, "{}", weights.len());
    for (stem, source) in &weights {
        assert_eq!(stem, &source.name, "a source's file has its name");
        assert!(source.weights.is_some(), "{stem} says what it fits");
        assert!(source.archives.is_empty(), "{stem} is read as it is served");
    }
    for name in [
        "mnist",
        "fashion-mnist",
        "cifar10",
        "tinyshakespeare",
        "sst2",
    ] {
        assert!(sources.iter().any(|(stem, _)| stem == name), "{name}");
    }
}

#[test]
fn the_sources_fit_the_real_files() {
    let Some(data_dir) = std::env::var_os("ZOO_DATA_DIR") else {
        let problem = "set ZOO_DATA_DIR to a folder that holds mnist, tinyshakespeare and sst2";
        let required = std::env::var("ZOO_REQUIRE_DATA").is_ok_and(|value| value == "1");
        assert!(!required, "ZOO_REQUIRE_DATA=1: {problem}");
        eprintln!("SKIPPED the real files: {problem}");
        return;
    };
    for (name, source) in repository("datasets") {
        if !["mnist", "tinyshakespeare", "sst2"].contains(&name.as_str()) {
            continue;
        }
        for (path, status) in verify(&source, Path::new(&data_dir)) {
            assert_eq!(status, Status::Ok, "{}", path.display());
        }
    }
}
