//! A source: where the files of one data set come from and what they must be, as TOML.
//!
//! ```toml
//! name = "digits"                # the folder below the data directory
//! about = "…"
//! licence = "…"
//! homepage = "https://…"
//! [counts]                       # examples a split
//! train = 60000
//! [[files]]
//! path = "train.gz"              # below the folder; `.gz` is gzip, served and kept as such
//! urls = ["https://…", "https://…"]   # mirrors, tried in order
//! sha256 = "…"                   # of the decompressed bytes
//! size_bytes = 47040016          # of the decompressed bytes
//! [[archives]]
//! path = "all.tar.gz"            # a copy put here by hand is used instead of the network
//! urls = ["https://…"]
//! size_bytes = 170052171         # as served
//! [[archives.members]]
//! member = "folder/train.bin"    # its name in the archive
//! path = "train.bin"             # its name below the folder
//! sha256 = "…"
//! size_bytes = 30730000
//! ```

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the files of one data set come from, and what they must be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Source {
    /// Name of the data set and of its folder: small letters, digits and `-`.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// What the authors allow, or that they state nothing.
    pub licence: String,
    /// Page of the authors.
    pub homepage: String,
    /// Number of examples by split.
    pub counts: BTreeMap<String, u64>,
    /// Files that are served one by one.
    #[serde(default)]
    pub files: Vec<File>,
    /// Files that are served together.
    #[serde(default)]
    pub archives: Vec<Archive>,
}

/// One file, served as it is kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct File {
    /// Path below the source's folder, with `/`. One that ends in `.gz` is gzip.
    pub path: String,
    /// Mirrors, tried in this order.
    pub urls: Vec<String>,
    /// SHA-256 of the decompressed bytes, 64 small hexadecimal digits.
    pub sha256: String,
    /// Number of decompressed bytes.
    pub size_bytes: u64,
}

/// A `.tar.gz` of which some members become files.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Archive {
    /// Path below the source's folder while it is downloaded, or where a person may put it.
    pub path: String,
    /// Mirrors, tried in this order.
    pub urls: Vec<String>,
    /// Number of bytes as served. Its members carry the sums.
    pub size_bytes: u64,
    /// The members to keep.
    pub members: Vec<Member>,
}

/// A member of an [`Archive`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Member {
    /// Name in the archive.
    pub member: String,
    /// Path below the source's folder, with `/`.
    pub path: String,
    /// SHA-256 of the member, 64 small hexadecimal digits.
    pub sha256: String,
    /// Size of the member.
    pub size_bytes: u64,
}

/// Why a text is no source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is no TOML, or a key is missing, unknown or of another type.
    #[error("not a source: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value breaks a rule.
    #[error("{key}: {problem}")]
    Value {
        /// Where, as in `files[2].sha256`.
        key: String,
        /// What was expected and found.
        problem: String,
    },
}

impl Source {
    /// Reads a source and checks all its rules.
    ///
    /// # Errors
    /// Where the text is no TOML, has an unknown or missing key, or a value that breaks a rule: a
    /// path that leaves the folder, a sum without 64 hexadecimal digits, an address that is not
    /// https (http is accepted for this machine only).
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let mut source: Self = toml::from_str(text)?;
        source.check()?;
        Ok(source)
    }

    /// The folder of this source's files.
    pub fn folder(&self, data_dir: &Path) -> PathBuf {
        data_dir.join(&self.name)
    }

    /// Path, sum and size of every file that the source ends in, in its order.
    pub(crate) fn pieces(&self) -> Vec<Piece<'_>> {
        let files = self.files.iter().map(File::piece);
        let members = self.archives.iter().flat_map(|archive| &archive.members);
        files.chain(members.map(Member::piece)).collect()
    }

    fn check(&mut self) -> Result<(), SourceError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        rule(
            !self.name.is_empty() && self.name.chars().all(plain),
            "name",
            || {
                format!(
                    "expected small letters, digits and `-`, found `{}`",
                    self.name
                )
            },
        )?;
        for (key, text) in [
            ("about", &self.about),
            ("licence", &self.licence),
            ("homepage", &self.homepage),
        ] {
            rule(!text.trim().is_empty(), key, || {
                "expected a text, found none".into()
            })?;
        }
        rule(
            !self.files.is_empty() || !self.archives.is_empty(),
            "files",
            || "expected at least one file or archive".into(),
        )?;

        let mut paths = Paths::default();
        for (index, file) in self.files.iter_mut().enumerate() {
            let key = format!("files[{index}]");
            paths.add(&key, &file.path)?;
            check_urls(&key, &file.urls)?;
            check_content(&key, &mut file.sha256, file.size_bytes)?;
        }
        for (index, archive) in self.archives.iter_mut().enumerate() {
            let key = format!("archives[{index}]");
            paths.add(&key, &archive.path)?;
            rule(
                archive.path.ends_with(".tar.gz"),
                &format!("{key}.path"),
                || {
                    format!(
                        "expected a name that ends in .tar.gz, found `{}`",
                        archive.path
                    )
                },
            )?;
            check_urls(&key, &archive.urls)?;
            check_size(&key, archive.size_bytes)?;
            rule(
                !archive.members.is_empty(),
                &format!("{key}.members"),
                || "expected at least one member".into(),
            )?;
            let mut names = HashSet::new();
            for (index, member) in archive.members.iter_mut().enumerate() {
                let key = format!("{key}.members[{index}]");
                check_path(&format!("{key}.member"), &member.member)?;
                rule(
                    names.insert(member.member.clone()),
                    &format!("{key}.member"),
                    || format!("`{}` is named twice", member.member),
                )?;
                // A member is kept as it is packed, and its sum is of those very bytes.
                rule(
                    !member.path.ends_with(".gz"),
                    &format!("{key}.path"),
                    || "a member that is gzip itself is not supported".into(),
                )?;
                paths.add(&key, &member.path)?;
                check_content(&key, &mut member.sha256, member.size_bytes)?;
            }
        }
        Ok(())
    }
}

/// What one file on the disk must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) path: &'a str,
    pub(crate) sha256: &'a str,
    pub(crate) size_bytes: u64,
}

impl File {
    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece {
            path: &self.path,
            sha256: &self.sha256,
            size_bytes: self.size_bytes,
        }
    }
}

impl Member {
    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece {
            path: &self.path,
            sha256: &self.sha256,
            size_bytes: self.size_bytes,
        }
    }
}

impl Piece<'_> {
    /// The path that a plain copy of a gzip file may stand under.
    pub(crate) fn plain_path(&self) -> Option<&str> {
        self.path.strip_suffix(".gz")
    }
}

/// The paths that are taken, so that no two files share one.
#[derive(Default)]
struct Paths(HashSet<String>);

impl Paths {
    fn add(&mut self, key: &str, path: &str) -> Result<(), SourceError> {
        let key = format!("{key}.path");
        check_path(&key, path)?;
        // A plain copy of `x.gz` is `x`, and some file systems take `X` for `x`.
        let taken = path.strip_suffix(".gz").unwrap_or(path).to_lowercase();
        rule(self.0.insert(taken), &key, || {
            format!("`{path}` is already the path of another file")
        })
    }
}

fn check_path(key: &str, path: &str) -> Result<(), SourceError> {
    // A leading dot would hide the file, and covers `.` and `..`; `:` and `\` mean something on Windows.
    let inside = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0'])
    };
    rule(
        path.split('/').all(inside) && !path.ends_with(".part"),
        key,
        || format!("expected a relative path without `..` such as `train.gz`, found `{path}`"),
    )
}

fn check_urls(key: &str, urls: &[String]) -> Result<(), SourceError> {
    rule(!urls.is_empty(), &format!("{key}.urls"), || {
        "expected at least one address".into()
    })?;
    for (index, url) in urls.iter().enumerate() {
        let secure = url
            .strip_prefix("https://")
            .is_some_and(|rest| !host(rest).is_empty());
        rule(
            secure || is_loopback(url),
            &format!("{key}.urls[{index}]"),
            || format!("expected an https address, found `{url}`"),
        )?;
    }
    Ok(())
}

/// Whether `url` is plain http to this very machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let host = host(rest);
    // What comes before an `@` is a user, so that `127.0.0.1:80@example.org` is another machine.
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

fn host(after_scheme: &str) -> &str {
    after_scheme
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default()
}

fn check_content(key: &str, sha256: &mut String, size_bytes: u64) -> Result<(), SourceError> {
    sha256.make_ascii_lowercase();
    let digits = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    rule(digits, &format!("{key}.sha256"), || {
        format!(
            "expected 64 hexadecimal digits, found `{sha256}` ({} characters)",
            sha256.chars().count()
        )
    })?;
    check_size(key, size_bytes)
}

fn check_size(key: &str, size_bytes: u64) -> Result<(), SourceError> {
    rule(size_bytes > 0, &format!("{key}.size_bytes"), || {
        "expected more than 0".into()
    })
}

fn rule(holds: bool, key: &str, problem: impl FnOnce() -> String) -> Result<(), SourceError> {
    if holds {
        Ok(())
    } else {
        Err(SourceError::Value {
            key: key.into(),
            problem: problem(),
        })
    }
}
