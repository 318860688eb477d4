//! Eight words of one speaker a recording, each "yes" or "no", as its name says: OpenSLR's first set,
//! made for Kaldi. Split as lhotse does, and icefall's recipe with it, whose word error rate is the
//! published one: by name, every first recording trains and every second one tests, 30 and 30.

use std::path::Path;

use crate::files::{Entry, Files, find_recordings};
use crate::hold_out::hold_out;
use crate::{AudioError, AudioOptions, Splits};

const PLACES: [&str; 3] = ["yesno", "yesno/waves_yesno", "waves_yesno"];
const RECORDINGS: usize = 60;

pub(crate) fn open(data_dir: &Path, options: &AudioOptions) -> Result<Splits, AudioError> {
    let paths = find_recordings("yesno", data_dir, &PLACES)?;
    let (mut train, mut test) = (Vec::new(), Vec::new());
    let found = paths.len();
    for (place, path) in paths.into_iter().enumerate() {
        let text = words(&path)?;
        let split = if place % 2 == 0 {
            &mut train
        } else {
            &mut test
        };
        split.push(Entry { path, text });
    }
    if found != RECORDINGS {
        // Another number would move recordings from one split to the other.
        return Err(AudioError::Unexpected {
            path: data_dir.join("yesno"),
            expected: format!("{RECORDINGS} recordings"),
            found: format!("{found}"),
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
