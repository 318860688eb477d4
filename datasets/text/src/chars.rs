//! A text file as a row of characters, split and numbered as nanoGPT does
//! (`data/shakespeare_char/prepare.py`): ids follow the sorted distinct characters of the *whole*
//! text, and the last part of it is held out for validation.

use std::path::{Path, PathBuf};

use zoo_codec::text::CharVocabulary;

use crate::{SetInfo, Split, TextError, Tokens, Windows, encoding::read_utf8};

/// A text, numbered and split in two.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// The characters of both splits.
    pub vocabulary: CharVocabulary,
    /// The first part of the text.
    pub train: Tokens,
    /// The rest.
    pub valid: Tokens,
    path: PathBuf,
}

impl Corpus {
    /// Share of the text that nanoGPT holds out.
    pub const VALID_FRACTION: f64 = 0.1;

    /// Reads the UTF-8 file at `path`, every byte of it but a byte order mark as it stands, and holds
    /// out the last `valid_fraction` of its characters (0 or more, below 1).
    ///
    /// # Errors
    /// A folder; a file that cannot be read, is empty or is not UTF-8; a fraction out of range, or of
    /// which nothing is left for one of the splits.
    pub fn open(path: impl AsRef<Path>, valid_fraction: f64) -> Result<Self, TextError> {
        let path = path.as_ref();
        if !(0.0..1.0).contains(&valid_fraction) {
            return Err(TextError::Value {
                name: "data.valid_fraction",
                found: valid_fraction.to_string(),
                expected: "0 or more, below 1".to_owned(),
            });
        }
        if path.is_dir() {
            return Err(TextError::Unexpected {
                path: path.to_owned(),
                expected: "one text file".to_owned(),
                found: "a folder".to_owned(),
                next: "give a file; several become one by: cat FOLDER/*.txt > NEW".to_owned(),
            });
        }
        let text = read_utf8(path)?;
        // A byte order mark says how the file is written; it is none of its letters.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if text.is_empty() {
            return Err(TextError::Empty {
                path: path.to_owned(),
                expected: "text in UTF-8",
            });
        }
        // Rounded down, as nanoGPT's `int(n * 0.9)`.
        let num_chars = text.chars().count();
        let num_train = (num_chars as f64 * (1.0 - valid_fraction)) as usize;
        if valid_fraction > 0.0 && (num_train == 0 || num_train == num_chars) {
            let nothing = if num_train == 0 { "train" } else { "validate" };
            return Err(TextError::Value {
                name: "data.valid_fraction",
                found: format!("{valid_fraction:?}"),
                expected: format!(
                    "0, or a share of the {num_chars} characters of {} that leaves some to train on and \
                     some to validate on; it leaves none to {nothing} on",
                    path.display()
                ),
            });
        }
        let boundary = text.char_indices().nth(num_train).map(|(byte, _)| byte);
        let (train, valid) = text.split_at(boundary.unwrap_or(text.len()));
        let vocabulary = CharVocabulary::of_text(text);
        Ok(Self {
            train: Tokens::collect(vocabulary.len(), vocabulary.ids(train))?,
            valid: Tokens::collect(vocabulary.len(), vocabulary.ids(valid))?,
            vocabulary,
            path: path.to_owned(),
        })
    }

    /// A published set from the data directory. Tiny Shakespeare with a tenth held out is split as
    /// nanoGPT splits it: 1,003,854 and 111,540 characters.
    ///
    /// # Errors
    /// As [`open`](Self::open); also a file that is missing or has another length than was published.
    ///
    /// # Panics
    /// If the row is of no published text.
    pub fn published(
        set: &SetInfo,
        data_dir: impl AsRef<Path>,
        valid_fraction: f64,
    ) -> Result<Self, TextError> {
        let mut files = set.locate(data_dir.as_ref())?;
        let (path, length) = files.pop().expect("a published text has a file");
        let corpus = Self::open(&path, valid_fraction)?;
        let found = corpus.train.len() + corpus.valid.len();
        if found != length {
            return Err(TextError::WrongSize {
                set: set.name,
                path,
                unit: "characters",
                expected: length,
                found,
                other: "chars",
            });
        }
        Ok(corpus)
    }

    /// The windows of a split at offset 0, as validation uses them; training shifts them anew each
    /// epoch by [`Windows::with_offset`].
    ///
    /// # Errors
    /// A context of 0; a split shorter than two windows; [`Split::Test`], which a corpus lacks.
    pub fn windows(&self, split: Split, context: usize) -> Result<Windows, TextError> {
        let tokens = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => {
                return Err(TextError::NoSplit {
                    set: self.path.display().to_string(),
                    split,
                    available: "train, valid",
                });
            }
        };
        if context == 0 {
            return Err(TextError::Value {
                name: "model.context",
                found: "0".to_owned(),
                expected: "1 or more".to_owned(),
            });
        }
        Windows::new(tokens.clone(), context).ok_or_else(|| TextError::TooShort {
            path: self.path.clone(),
            split,
            tokens: tokens.len(),
            context,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use burn::data::dataset::Dataset;
    use tempfile::TempDir;

    use super::*;

    fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corpus.txt");
        fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    #[test]
    fn the_last_part_is_held_out_and_shares_the_vocabulary() {
        let (_dir, path) = file("abcabcabcé".as_bytes());
        let corpus = Corpus::open(&path, 0.1).unwrap();
        assert_eq!((corpus.train.len(), corpus.valid.len()), (9, 1));
        assert_eq!(corpus.vocabulary.decode(&corpus.valid.slice(0, 1)), "é");
        assert_eq!(corpus.train.slice(0, 4), [0, 1, 2, 0]);

        let all = Corpus::open(&path, 0.0).unwrap();
        assert_eq!((all.train.len(), all.valid.len()), (10, 0));
    }

    #[test]
    fn a_large_alphabet_is_read_too() {
        let text: String = ('\u{4e00}'..'\u{5e00}').collect();
        let (_dir, path) = file(text.as_bytes());
        let corpus = Corpus::open(&path, 0.5).unwrap();
        assert_eq!(corpus.vocabulary.len(), 4096);
        let window = corpus.windows(Split::Valid, 8).unwrap().get(0).unwrap();
        assert_eq!(window.input, (2048..2056).collect::<Vec<_>>());
        assert_eq!(window.target, (2049..2057).collect::<Vec<_>>());
    }

    #[test]
    fn bad_files_and_settings_are_errors() {
        let (_dir, empty) = file(b"");
        assert!(matches!(
            Corpus::open(&empty, 0.1),
            Err(TextError::Empty { .. })
        ));
        let (_dir, binary) = file(b"ab\xff");
        assert!(matches!(
            Corpus::open(&binary, 0.1),
            Err(TextError::NotUtf8 { byte: 2, .. })
        ));

        let (_dir, path) = file(&b"0123456789".repeat(10));
        for fraction in [-0.1, 1.0, f64::NAN] {
            assert!(matches!(
                Corpus::open(&path, fraction),
                Err(TextError::Value { .. })
            ));
        }
        for (fraction, nothing) in [
            (1e-300, "none to validate on"),
            (f64::MIN_POSITIVE, "none to validate on"),
            (1.0 - f64::EPSILON, "none to train on"),
            (0.995, "none to train on"),
        ] {
            let message = Corpus::open(&path, fraction).unwrap_err().to_string();
            assert!(
                message.contains(&format!("data.valid_fraction = {fraction:?}"))
                    && message.contains("the 100 characters of")
                    && message.contains(nothing),
                "{message}"
            );
        }
        let corpus = Corpus::open(&path, 0.1).unwrap();
        assert!(corpus.windows(Split::Valid, 5).is_ok());
        let message = corpus.windows(Split::Valid, 6).unwrap_err().to_string();
        assert!(
            message.contains("the valid split has 10 characters"),
            "{message}"
        );
        assert!(
            message.contains("a context of 6 needs at least twice that"),
            "{message}"
        );
        assert!(matches!(
            corpus.windows(Split::Train, 0),
            Err(TextError::Value { .. })
        ));
        assert!(matches!(
            corpus.windows(Split::Test, 4),
            Err(TextError::NoSplit { .. })
        ));
    }

    #[test]
    fn a_mark_at_the_start_is_no_letter_and_a_folder_no_text() {
        let (_dir, plain) = file("abcab\u{feff}".as_bytes());
        let (dir, marked) = file("\u{feff}abcab\u{feff}".as_bytes());
        let [plain, marked] = [plain, marked].map(|path| Corpus::open(path, 0.0).unwrap());
        assert_eq!(marked.vocabulary, plain.vocabulary);
        assert_eq!(marked.train.slice(0, 6), plain.train.slice(0, 6));
        assert_eq!(marked.train.len(), 6);
        let (_dir, only_mark) = file("\u{feff}".as_bytes());
        assert!(matches!(
            Corpus::open(only_mark, 0.0),
            Err(TextError::Empty { .. })
        ));
        let message = Corpus::open(dir.path(), 0.1).unwrap_err().to_string();
        assert!(
            message.contains("one text file, found a folder"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_or_truncated_tinyshakespeare_says_how_to_get_it() {
        let dir = tempfile::tempdir().unwrap();
        let set = crate::find("tinyshakespeare").unwrap();
        let open = || Corpus::published(set, dir.path(), Corpus::VALID_FRACTION);
        let message = open().unwrap_err().to_string();
        assert!(
            message.contains("cargo xtask data fetch tinyshakespeare"),
            "{message}"
        );
        assert!(message.contains("input.txt"), "{message}");

        fs::create_dir(dir.path().join("tinyshakespeare")).unwrap();
        fs::write(
            dir.path().join("tinyshakespeare/input.txt"),
            "First Citizen",
        )
        .unwrap();
        let message = open().unwrap_err().to_string();
        assert!(message.contains("13 characters where"), "{message}");
        assert!(message.contains("fetch it anew"), "{message}");
    }
}
