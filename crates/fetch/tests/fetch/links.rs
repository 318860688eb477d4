//! Links that somebody left in a data folder, under every name that a fetch writes to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use zoo_fetch::FetchError;

use crate::server::{Answer, Server};
use crate::{Disk, archives, bytes, gzip, source};

/// A file outside, which is as long as half of what is fetched, and a folder.
struct Outside(tempfile::TempDir);

impl Outside {
    fn new() -> Self {
        let outside = Self(tempfile::tempdir().unwrap());
        fs::write(outside.file(), "x".repeat(500)).unwrap();
        outside
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("profile")
    }

    fn assert_untouched(&self, by: &str) {
        let names: Vec<_> = fs::read_dir(self.0.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{by}: {names:?}");
        assert_eq!(
            fs::read_to_string(self.file()).unwrap(),
            "x".repeat(500),
            "{by}"
        );
    }
}

/// Leads a path of the data folder to one outside.
type Plant = fn(&Outside, PathBuf);

const TO_FILE: Plant = |outside, at| symlink(outside.file(), at).unwrap();
const TO_NOTHING: Plant = |outside, at| symlink(outside.0.path().join("absent"), at).unwrap();
const TO_FOLDER: Plant = |outside, at| symlink(outside.0.path(), at).unwrap();
const HARD: Plant = |outside, at| fs::hard_link(outside.file(), at).unwrap();

/// What a planted name comes to: it is refused by its path, or it is replaced and the file arrives.
fn fetch_with(name: &str, plant: Plant) -> Result<(), FetchError> {
    let (disk, outside, data) = (Disk::new(), Outside::new(), bytes(1_000));
    let body = data.clone();
    let server = Server::new(move |request, _| Answer::ranged(request, &body));
    if !name.is_empty() {
        disk.put("sub/other", b"");
    }
    plant(
        &outside,
        match name {
            "" => disk.root().join("digits"),
            name => disk.path(name),
        },
    );
    let urls = [server.url("a")];
    let fetched = disk.fetch(&source(&[("a", &urls, &data), ("sub/b", &urls, &data)]));
    outside.assert_untouched(name);
    let report = fetched?;
    assert_eq!(report.fetched, ["a", "sub/b"], "{name}");
    for file in ["a", "sub/b"] {
        assert!(fs::symlink_metadata(disk.path(file)).unwrap().is_file());
        assert_eq!(disk.read(file), data, "{name}");
    }
    Ok(())
}

#[test]
fn nothing_is_downloaded_through_a_link() {
    for (name, plant) in [
        ("a.part", TO_FILE),
        ("a.part", TO_NOTHING),
        ("a.part", TO_FOLDER),
        ("sub/b.part", TO_FILE),
        (".lock", TO_FILE),
        (".lock", TO_NOTHING),
        (".lock", HARD),
        // The folder of the set itself.
        ("", TO_FOLDER),
    ] {
        let error = fetch_with(name, plant).unwrap_err();
        assert!(matches!(error, FetchError::Disk { .. }), "{name}: {error}");
        let error = error.to_string();
        assert!(
            error.contains("link") && error.contains("remove it"),
            "{name}: {error}"
        );
        assert!(
            error.contains(name.trim_end_matches('/')),
            "{name}: {error}"
        );
    }
    for (name, plant) in [
        ("a", TO_FILE),
        ("a", TO_NOTHING),
        ("a", HARD),
        ("sub/b", TO_FILE),
        // Gone on with in a copy, found to be wrong, and begun anew.
        ("a.part", HARD),
    ] {
        fetch_with(name, plant).unwrap();
    }
}

#[test]
fn a_folder_below_that_is_a_link_is_not_entered() {
    let (disk, outside, data) = (Disk::new(), Outside::new(), bytes(1_000));
    let body = data.clone();
    let server = Server::new(move |request, _| Answer::ranged(request, &body));
    disk.put("a", &data);
    TO_FOLDER(&outside, disk.path("sub"));
    let error = disk
        .fetch(&source(&[("sub/b", &[server.url("b")], &data)]))
        .unwrap_err();
    assert!(
        error.to_string().contains("digits/sub: it is a link"),
        "{error}"
    );
    outside.assert_untouched("sub");
}

#[test]
fn no_member_is_unpacked_through_a_link() {
    for (plant, goes_on) in [(TO_FILE, false), (TO_NOTHING, false), (HARD, true)] {
        let (disk, outside, a, b) = (Disk::new(), Outside::new(), bytes(1_000), bytes(2_000));
        let packed = gzip(&archives::tar(&[("x/a", &a), ("x/b", &b)]), 6);
        let server = archives::serve(&packed);
        disk.put("other", b"");
        for name in ["a", "a.part", "b.part"] {
            plant(&outside, disk.path(name));
        }
        let members: [(&str, &[u8]); 2] = [("a", &a), ("b", &b)];
        let source = archives::source(&[server.url("t")], &packed, &members);
        disk.fetch(&source).unwrap();
        outside.assert_untouched("members");
        assert_eq!((disk.read("a"), disk.read("b")), (a, b));
        // What is downloaded whole goes as well.
        fs::remove_file(disk.path("a")).unwrap();
        plant(&outside, disk.path("all.tar.gz.part"));
        let fetched = disk.fetch(&source);
        outside.assert_untouched("archive");
        // A copy of what has another name is gone on with, the rest is refused.
        assert_eq!(fetched.is_ok(), goes_on);
    }
}
