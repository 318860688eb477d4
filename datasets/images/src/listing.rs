//! Which files of a class folder are its pictures.
//!
//! All of them that are PNG or JPEG, however deep they lie and whatever they are called, in the order
//! of torchvision's `ImageFolder`: folder by folder as their paths sort, in each the files by name. A
//! file with a usual ending is one without being looked at, since looking costs a system call or
//! three for every image; if it is something else, it is refused when it is checked. What is passed
//! over is counted by kind, to be told.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;
use zoo_codec::image::{Content, content};

use crate::ImageError;
use crate::error::unreadable;

/// Endings that say PNG or JPEG; others of theirs (`.jfif`, `.jpe`, none) are told by content.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];
/// What operating systems leave in folders; hidden files aside.
const LITTER: [&str; 3] = ["Thumbs.db", "desktop.ini", "__MACOSX"];

/// Files that were passed over, by what they are: how many, and one of them.
#[derive(Debug, Default)]
pub(crate) struct PassedOver(BTreeMap<String, (usize, PathBuf)>);

impl PassedOver {
    fn add(&mut self, kind: String, path: &Path) {
        self.0.entry(kind).or_insert((0, path.into())).0 += 1;
    }

    /// Adds what another class has.
    pub(crate) fn extend(&mut self, other: Self) {
        for (kind, (count, path)) in other.0 {
            self.0.entry(kind).or_insert((0, path)).0 += count;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `12 WebP (such as a/b.webp), 1 .txt (such as a/c.txt)`
    pub(crate) fn describe(&self) -> String {
        let kinds = self
            .0
            .iter()
            .map(|(kind, (count, path))| format!("{count} {kind} (such as {})", path.display()));
        kinds.collect::<Vec<_>>().join(", ")
    }
}

/// The pictures of a class folder by their paths below it, and what else lies there.
///
/// # Errors
///
/// A folder or link that cannot be followed, or that leads to a folder which is listed already: links
/// among a few folders would be ways without end.
pub(crate) fn pictures(class_folder: &Path) -> Result<(Vec<PathBuf>, PassedOver), ImageError> {
    let mut pictures = Vec::new();
    let mut passed_over = PassedOver::default();
    let mut listed = HashSet::new();
    let walk = WalkDir::new(class_folder).follow_links(true).into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !is_ignored(entry.file_name())) {
        let entry = entry.map_err(|error| not_followed(class_folder, error))?;
        let path = entry.path();
        if entry.file_type().is_dir() {
            let real = fs::canonicalize(path).map_err(|source| unreadable(path, source))?;
            if let Some(real) = listed.replace(real) {
                return Err(ImageError::Unexpected {
                    path: path.into(),
                    expected: "pictures and folders of them".into(),
                    found: format!("a second way to {}", real.display()),
                    next: "remove the link".into(),
                });
            }
            continue;
        }
        if !entry.file_type().is_file() {
            passed_over.add("devices, pipes or sockets".into(), path);
            continue;
        }
        match kind(path)? {
            Content::Read => {
                let below = path.strip_prefix(class_folder).unwrap_or(path);
                pictures.push(below.to_owned());
            }
            Content::Other(format) => passed_over.add(format.into(), path),
            Content::Unknown => passed_over.add(ending(path), path),
        }
    }
    pictures.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok((pictures, passed_over))
}

/// How many pictures lie in a folder itself, where only folders of them are looked for.
pub(crate) fn count_loose(folder: &Path) -> Result<usize, ImageError> {
    let mut count = 0;
    for entry in WalkDir::new(folder)
        .min_depth(1)
        .max_depth(1)
        .follow_links(true)
    {
        // What cannot be followed here is no picture of a class.
        let Ok(entry) = entry else { continue };
        if entry.file_type().is_file()
            && !is_ignored(entry.file_name())
            && !matches!(kind(entry.path())?, Content::Unknown)
        {
            count += 1;
        }
    }
    Ok(count)
}

/// Hidden, or litter.
pub(crate) fn is_ignored(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
        || LITTER
            .iter()
            .any(|litter| name.eq_ignore_ascii_case(litter))
}

fn order(path: &Path) -> (&[u8], &[u8]) {
    let folder = path
        .parent()
        .map_or(&[][..], |parent| parent.as_os_str().as_encoded_bytes());
    (
        folder,
        path.file_name().unwrap_or_default().as_encoded_bytes(),
    )
}

fn not_followed(class_folder: &Path, error: walkdir::Error) -> ImageError {
    let path = error.path().unwrap_or(class_folder).to_owned();
    match error.loop_ancestor() {
        Some(ancestor) => ImageError::Unexpected {
            expected: "pictures and folders of them".into(),
            found: format!("a link back to {}, which holds it", ancestor.display()),
            next: "remove the link".into(),
            path,
        },
        None => unreadable(&path, error.into()),
    }
}

fn has_usual_ending(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.is_some_and(|ending| {
        ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// `.txt`, or that there is none.
fn ending(path: &Path) -> String {
    match path.extension() {
        Some(ending) => format!(".{}", ending.to_string_lossy().to_lowercase()),
        None => "without an ending".into(),
    }
}

fn kind(path: &Path) -> Result<Content, ImageError> {
    match has_usual_ending(path) {
        true => Ok(Content::Read),
        false => content(path).map_err(|source| unreadable(path, source)),
    }
}
