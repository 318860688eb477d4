//! What a fetch does against servers that behave well, badly and worse. All of them run on this
//! machine, inside the tests.
#![expect(
    clippy::unwrap_used,
    reason = "the lint spares tests, but not the functions that they share"
)]

mod archives;
mod by_hand;
#[cfg(unix)]
mod links;
mod server;
mod sources;
mod statuses;
mod transfers;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zoo_fetch::{FetchError, Options, Quiet, Report, Source, fetch_with};

/// A data directory for a source named `digits`.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join("digits").join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Every file in the folder by name, the lock aside.
    fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
        names.sort();
        names
    }

    fn fetch(&self, source: &Source) -> Result<Report, FetchError> {
        fetch_with(source, self.root(), &mut Quiet, &quick())
    }
}

/// No waiting between attempts; three of them again.
fn quick() -> Options {
    Options {
        retries: 3,
        first_wait: Duration::from_millis(1),
        ..Options::default()
    }
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes without a pattern that gzip could use, the same each time.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

const HEAD: &str =
    "name = 'digits'\nabout = 'a'\nlicence = 'b'\nhomepage = 'c'\n[counts]\ntrain = 1\n";

/// A source of one file of which are known eight digits of its sum, and its size but for `slack`.
fn vague_source(path: &str, url: &str, bytes: &[u8], slack: usize) -> Source {
    let text = format!(
        "{HEAD}[[files]]\npath = '{path}'\nurls = ['{url}']\nsha256_prefix = '{}'\n\
         size_bytes = [{}, {}]\n",
        &sum(bytes)[..8],
        bytes.len() - slack,
        bytes.len() + slack
    );
    Source::parse(&text).unwrap()
}

/// A source of files: path, mirrors, decompressed bytes.
fn source(files: &[(&str, &[String], &[u8])]) -> Source {
    let mut text = HEAD.to_owned();
    for (path, urls, bytes) in files {
        text += &format!(
            "[[files]]\npath = '{path}'\nurls = {urls:?}\nsha256 = '{}'\nsize_bytes = {}\n",
            sum(bytes),
            bytes.len()
        );
    }
    Source::parse(&text).unwrap()
}
