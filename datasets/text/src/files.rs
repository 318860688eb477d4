//! Which files of a folder are its splits.

use std::fs;
use std::path::{Path, PathBuf};

use crate::encoding::COMPRESSED;
use crate::labelled::listing;
use crate::{Format, TextError};

/// The splits, and the names that their files go by, in any letter case.
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("valid", &["valid", "val", "validation", "dev"]),
    ("test", &["test", "testing"]),
];

/// Two files whose lines belong together.
pub(crate) type Aligned = [PathBuf; 2];

/// The files of the splits in a folder, of which each has two: `train.en` and `train.de`, which may be
/// compressed: `train.en.gz`.
pub(crate) fn find_aligned(
    folder: &Path,
    languages: [&str; 2],
) -> Result<[Option<Aligned>; 3], TextError> {
    let unexpected = |expected: String, found: String, next: String| TextError::Unexpected {
        path: folder.to_owned(),
        expected,
        found,
        next,
    };
    if !folder.is_dir() {
        return Err(unexpected(
            format!(
                "a folder of train.{} and train.{}",
                languages[0], languages[1]
            ),
            match folder.exists() {
                true => "a file".to_owned(),
                false => "nothing".to_owned(),
            },
            "name the folder that has them".to_owned(),
        ));
    }
    let one = |name: String| -> Result<Option<PathBuf>, TextError> {
        let plain = folder.join(&name);
        let packed = folder.join(format!("{name}.gz"));
        match (plain.is_file(), packed.is_file()) {
            (true, true) => Err(unexpected(
                format!("one file of {name}"),
                format!("{name} and {name}.gz"),
                "move the one away that is not meant".to_owned(),
            )),
            (true, false) => Ok(Some(plain)),
            (false, true) => Ok(Some(packed)),
            (false, false) => Ok(None),
        }
    };
    let split = |names: &[&str]| -> Result<Option<Aligned>, TextError> {
        for name in names {
            let [source, target] = languages.map(|language| format!("{name}.{language}"));
            match (one(source.clone())?, one(target.clone())?) {
                (Some(source), Some(target)) => return Ok(Some([source, target])),
                (None, None) => {}
                (found, _) => {
                    let (there, missing) = match found {
                        Some(_) => (source, target),
                        None => (target, source),
                    };
                    return Err(unexpected(
                        format!("{missing} beside {there}"),
                        "none".to_owned(),
                        "put it there, or name other languages".to_owned(),
                    ));
                }
            }
        }
        Ok(None)
    };
    let [train, valid, test] = SPLITS.map(|(_, names)| split(names));
    let Some(train) = train? else {
        return Err(unexpected(
            format!(
                "train.{} and train.{}, and beside them valid and test where they exist",
                languages[0], languages[1]
            ),
            "none".to_owned(),
            "rename the files to train on, or name other languages".to_owned(),
        ));
    };
    Ok([Some(train), valid?, test?])
}

/// The files of the splits in a folder.
pub(crate) fn find_splits(
    format: Format,
    folder: &Path,
    warnings: &mut Vec<String>,
) -> Result<[Option<PathBuf>; 3], TextError> {
    let unreadable = |source| TextError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    let ending = format.endings()[0];
    let unexpected = |expected: String, found: String, next: String| TextError::Unexpected {
        path: folder.to_owned(),
        expected,
        found,
        next,
    };
    let mut found: [Option<PathBuf>; 3] = [None, None, None];
    // What is called as a split and is not read, with that split; and what else is in the format.
    let (mut strays, mut others) = (Vec::new(), Vec::new());
    for name in &names {
        let lower = name.to_lowercase();
        let (stem, end) = lower.rsplit_once('.').unwrap_or((&lower, ""));
        let split = |stem: &str| SPLITS.iter().position(|(_, names)| names.contains(&stem));
        let packed = COMPRESSED.iter().find(|(packed, _)| *packed == end);
        if let (Some((_, command)), Some((stem, end))) = (packed, stem.rsplit_once('.'))
            && split(stem).is_some()
            && format.endings().contains(&end)
        {
            let next = format!("unpack it: {command} {}", folder.join(name).display());
            return Err(unexpected(
                format!("files in {ending}"),
                format!("{name}, compressed"),
                next,
            ));
        }
        let (Some(split), true) = (split(stem), format.endings().contains(&end)) else {
            let first = lower.split('.').next().unwrap_or_default();
            if let Some(split) = split(first) {
                strays.push((split, name.as_str()));
            } else if format.endings().contains(&end) {
                others.push(name.as_str());
            }
            continue;
        };
        if let Some(first) = found[split].replace(folder.join(name)) {
            let first = first.file_name().unwrap_or_default().display();
            return Err(unexpected(
                format!("one file of the {} split", SPLITS[split].0),
                format!("{first} and {name}"),
                "rename or move the one that is not meant".to_owned(),
            ));
        }
    }
    if found[0].is_none() {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        return Err(unexpected(
            format!(
                "train.{ending}, and beside it valid.{ending} and test.{ending} where they exist"
            ),
            match names.is_empty() {
                true => "no files".to_owned(),
                false => listing(&names),
            },
            format!("rename the file to train on, or give one file: data.path = \"….{ending}\""),
        ));
    }
    if let Some((split, name)) = strays.iter().find(|(split, _)| found[*split].is_none()) {
        let split = SPLITS[*split].0;
        return Err(unexpected(
            format!("the {split} split in a file {split}.{ending}"),
            name.to_string(),
            format!("write it as {ending}, or move it away if it is not meant"),
        ));
    }
    others.extend(strays.into_iter().map(|(_, name)| name));
    if !others.is_empty() {
        let folder = folder.display();
        warnings.push(format!(
            "{folder}: not read beside the splits: {}",
            others.join(", ")
        ));
    }
    Ok(found)
}
