//! The rules of a source, and the sources of this repository.

use std::fs;
use std::path::Path;

use zoo_fetch::{Source, Status, verify};

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
            "name: expected small letters",
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

#[test]
fn plain_http_is_for_this_machine() {
    for host in ["127.0.0.1:80", "localhost", "[::1]:9"] {
        let text = good().replacen("https://example.org/a", &format!("http://{host}/a"), 1);
        Source::parse(&text).unwrap_or_else(|error| panic!("{host}: {error}"));
    }
}

/// Every source file of the repository, by modality and name.
fn repository() -> Vec<(String, Source)> {
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let mut sources = Vec::new();
    for modality in fs::read_dir(datasets).unwrap() {
        let Ok(files) = fs::read_dir(modality.unwrap().path().join("sources")) else {
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
    let sources = repository();
    for (stem, source) in &sources {
        assert_eq!(stem, &source.name, "a source's file has its name");
        assert!(!source.counts.is_empty(), "{stem} counts its examples");
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
        eprintln!(
            "skipped: set ZOO_DATA_DIR to a folder that holds mnist, tinyshakespeare and sst2"
        );
        return;
    };
    for (name, source) in repository() {
        if !["mnist", "tinyshakespeare", "sst2"].contains(&name.as_str()) {
            continue;
        }
        for (path, status) in verify(&source, Path::new(&data_dir)) {
            assert_eq!(status, Status::Ok, "{}", path.display());
        }
    }
}
