//! A source: where the files of one data set or of one model's pretrained weights come from and
//! what they must be, as TOML.
//!
//! ```toml
//! name = "digits"                # the folder
//! about = "…"
//! licence = "…"
//! homepage = "https://…"
//! [counts]                       # of a data set: examples a split
//! train = 60000
//! [weights]                      # of weights, instead of counts
//! preset = "resnet50"            # the configuration that they fit
//! paper = "…"
//! recipe = "https://…"           # how they were trained
//! published = "…"                # what their publisher measured
//! classes = "imagenet-1k"        # of a classifier: the names of its outputs
//! [weights.preprocessing]        # of pictures; for whoever reads them
//! resize = 256
//! [[files]]
//! path = "train.gz"              # below the folder; `.gz` is gzip, served and kept as such
//! urls = ["https://…", "https://…"]   # mirrors, tried in order
//! sha256 = "…"                   # of the decompressed bytes
//! sha256_prefix = "0676ba61"     # instead, where no more of it is published
//! size_bytes = 47040016          # of the decompressed bytes; [fewest, most] where it is published rounded
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
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the files of one data set or of one model's weights come from, and what they must be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Source {
    /// Name, also of the folder: letters, digits, `-`, `_` and `.`, the first a letter or a digit.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// What the authors allow, or that they state nothing.
    pub licence: String,
    /// Page of the authors.
    pub homepage: String,
    /// Number of examples by split, of a data set.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// What there is to know of weights.
    pub weights: Option<Weights>,
    /// Files that are served one by one.
    #[serde(default)]
    pub files: Vec<File>,
    /// Files that are served together.
    #[serde(default)]
    pub archives: Vec<Archive>,
}

/// What there is to know of a model's pretrained weights. The first file holds them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Weights {
    /// Name of the configuration that they fit.
    pub preset: String,
    /// Where the model was proposed.
    pub paper: String,
    /// Page that says how these weights were trained.
    pub recipe: String,
    /// What their publisher measured.
    pub published: String,
    /// Of a classifier: which list of names its outputs have.
    pub classes: Option<String>,
    /// Of a model that reads pictures: what is done to them first. Passed on as it is written.
    pub preprocessing: Option<toml::Table>,
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
    pub sha256: Option<String>,
    /// Its first 8 digits or more, where no more of it is published. One of the two is given.
    pub sha256_prefix: Option<String>,
    /// Number of decompressed bytes.
    pub size_bytes: Size,
}

/// Number of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a number of bytes, or [fewest, most]")]
pub enum Size {
    /// Known to the byte.
    Exact(u64),
    /// The fewest and the most that what is published allows, as where it is rounded.
    Between(u64, u64),
}

impl Size {
    /// The fewest bytes.
    pub fn fewest(self) -> u64 {
        match self {
            Self::Exact(bytes) | Self::Between(bytes, _) => bytes,
        }
    }

    /// The most bytes.
    pub fn most(self) -> u64 {
        match self {
            Self::Exact(bytes) | Self::Between(_, bytes) => bytes,
        }
    }

    pub(crate) fn holds(self, bytes: u64) -> bool {
        (self.fewest()..=self.most()).contains(&bytes)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(bytes) => write!(f, "{bytes} bytes"),
            Self::Between(fewest, most) => write!(f, "{fewest} to {most} bytes"),
        }
    }
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
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        rule(
            self.name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && self.name.chars().all(plain),
            "name",
            || {
                format!(
                    "expected letters, digits, `-`, `_` and `.`, found `{}`",
                    self.name
                )
            },
        )?;
        rule(
            self.weights.is_none() || self.counts.is_empty(),
            "counts",
            || "expected this table, of a data set, or [weights], not both".into(),
        )?;
        let mut texts = vec![
            ("about", &self.about),
            ("licence", &self.licence),
            ("homepage", &self.homepage),
        ];
        if let Some(weights) = &self.weights {
            texts.extend([
                ("weights.preset", &weights.preset),
                ("weights.paper", &weights.paper),
                ("weights.published", &weights.published),
            ]);
            check_url("weights.recipe", &weights.recipe)?;
        }
        for (key, text) in texts {
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
            rule(
                file.sha256.is_some() != file.sha256_prefix.is_some(),
                &format!("{key}.sha256"),
                || "expected either this or sha256_prefix".into(),
            )?;
            if let Some(sum) = &mut file.sha256 {
                check_sum(&format!("{key}.sha256"), sum, WHOLE_SUM..=WHOLE_SUM)?;
            }
            if let Some(prefix) = &mut file.sha256_prefix {
                check_sum(
                    &format!("{key}.sha256_prefix"),
                    prefix,
                    PREFIX..=WHOLE_SUM - 1,
                )?;
            }
            check_size(&key, file.size_bytes)?;
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
            check_size(&key, Size::Exact(archive.size_bytes))?;
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
                check_sum(
                    &format!("{key}.sha256"),
                    &mut member.sha256,
                    WHOLE_SUM..=WHOLE_SUM,
                )?;
                check_size(&key, Size::Exact(member.size_bytes))?;
            }
        }
        Ok(())
    }
}

/// Hexadecimal digits of a SHA-256.
const WHOLE_SUM: usize = 64;

/// The fewest that are worth comparing: torchvision's file names bear as many, and `torch.hub`
/// checks them.
const PREFIX: usize = 8;

/// What one file on the disk must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) path: &'a str,
    /// The whole sum in small hexadecimal digits, or its beginning.
    pub(crate) sha256: &'a str,
    pub(crate) size: Size,
}

impl File {
    pub(crate) fn piece(&self) -> Piece<'_> {
        // `check` has seen that one of them is there; no sum begins with what is none.
        let sum = self.sha256.as_deref().or(self.sha256_prefix.as_deref());
        Piece {
            path: &self.path,
            sha256: sum.unwrap_or("none"),
            size: self.size_bytes,
        }
    }
}

impl Member {
    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece {
            path: &self.path,
            sha256: &self.sha256,
            size: Size::Exact(self.size_bytes),
        }
    }
}

impl Piece<'_> {
    /// Whether the source knows no more than how the sum begins.
    pub(crate) fn is_prefix(&self) -> bool {
        self.sha256.len() < WHOLE_SUM
    }

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
        check_url(&format!("{key}.urls[{index}]"), url)?;
    }
    Ok(())
}

fn check_url(key: &str, url: &str) -> Result<(), SourceError> {
    rule(is_allowed(url), key, || {
        format!("expected an https address, found `{url}`")
    })
}

/// Whether a file may come from `url`: over https, or from this very machine.
pub(crate) fn is_allowed(url: &str) -> bool {
    let secure = url
        .strip_prefix("https://")
        .is_some_and(|rest| !host(rest).is_empty());
    secure || is_loopback(url)
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

fn check_sum(
    key: &str,
    sum: &mut String,
    digits: RangeInclusive<usize>,
) -> Result<(), SourceError> {
    sum.make_ascii_lowercase();
    let fits = digits.contains(&sum.len()) && sum.bytes().all(|b| b.is_ascii_hexdigit());
    rule(fits, key, || {
        let (fewest, most) = (digits.start(), digits.end());
        let range = if fewest == most {
            most.to_string()
        } else {
            format!("{fewest} to {most}")
        };
        format!(
            "expected {range} hexadecimal digits, found `{sum}` ({} characters)",
            sum.chars().count()
        )
    })
}

fn check_size(key: &str, size: Size) -> Result<(), SourceError> {
    let key = format!("{key}.size_bytes");
    rule(size.fewest() > 0, &key, || "expected more than 0".into())?;
    rule(size.fewest() <= size.most(), &key, || {
        format!("expected [fewest, most], found {size}")
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
