//! Eight words of one speaker a recording, each "yes" or "no", as its name says: OpenSLR's first set,
//! made for Kaldi. As in Kaldi's and icefall's recipes, names that begin with 0 train and those that
//! begin with 1 test.

use std::path::Path;

use crate::files::{Entry, Files, find_recordings};
use crate::hold_out::hold_out;
use crate::{AudioError, AudioOptions, Splits};

const PLACES: [&str; 3] = ["yesno", "yesno/waves_yesno", "waves_yesno"];

pub(crate) fn open(data_dir: &Path, options: &AudioOptions) -> Result<Splits, AudioError> {
    let mut train = Vec::new();
    let mut test = Vec::new();
    for path in find_recordings("yesno", data_dir, &PLACES)? {
        let text = words(&path)?;
        let split = if text.starts_with("no") {
            &mut train
        } else {
            &mut test
        };
        split.push(Entry { path, text });
    }
    if train.is_empty() || test.is_empty() {
        return Err(AudioError::Unexpected {
            path: data_dir.join("yesno"),
            expected: "names that begin with 0, to train on, and with 1, to test on".into(),
            found: format!("{} and {}", train.len(), test.len()),
            next: "fetch the set anew with `cargo xtask data fetch yesno`".into(),
        });
    }
    let (train, valid) = hold_out(train, options.valid_fraction, options.split_seed);
    Ok(Splits {
        train: Files::set(train),
        valid: (!valid.is_empty()).then(|| Files::set(valid)),
        test: Some(Files::set(test)),
        warnings: Vec::new(),
    })
}

/// `0_1_1_0_0_1_1_0.wav`
fn words(path: &Path) -> Result<String, AudioError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let word = |digit| match digit {
        "0" => Some("no"),
        "1" => Some("yes"),
        _ => None,
    };
    let words: Option<Vec<_>> = name.split('_').map(word).collect();
    let words = words.filter(|words| words.len() == 8);
    Ok(words
        .ok_or_else(|| AudioError::Unexpected {
            path: path.into(),
            expected: "a name of eight words, each 0 (no) or 1 (yes), as 0_1_1_0_0_1_1_0.wav"
                .into(),
            found: format!("{name:?}"),
            next: "rename or remove the file".into(),
        })?
        .join(" "))
}
