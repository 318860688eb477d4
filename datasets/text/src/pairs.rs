//! Sentences and their translations: two files whose lines belong together, or two columns.

use std::path::Path;
use std::sync::Arc;

use burn::data::dataset::Dataset;

use crate::encoding::read_packed;
use crate::files::{find_aligned, find_splits};
use crate::table::{Table, fault_at};
use crate::{Format, LineFault, SetInfo, TextError};

/// A text and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The text to translate.
    pub source: String,
    /// Its translation.
    pub target: String,
}

/// The pairs of a split, cheap to share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs(Arc<[Pair]>);

impl Pairs {
    /// Reads two files of UTF-8 text, plain or compressed by gzip, whose lines belong together.
    ///
    /// # Errors
    /// A file that cannot be read, is cut off or is not UTF-8; an empty line; another number of lines in
    /// the one than in the other.
    pub fn aligned(source: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<Self, TextError> {
        let paths = [source.as_ref(), target.as_ref()];
        let texts = [read_packed(paths[0])?, read_packed(paths[1])?];
        let lines = [lines(&texts[0]), lines(&texts[1])];
        if lines[0].len() != lines[1].len() {
            return Err(TextError::Unaligned {
                paths: paths.map(Path::to_owned).into(),
                lines: [lines[0].len(), lines[1].len()],
            });
        }
        for side in [0, 1] {
            if lines[side].is_empty() {
                return Err(TextError::Empty {
                    path: paths[side].to_owned(),
                    expected: "a sentence a line",
                });
            }
            let blank = lines[side].iter().position(|line| line.trim().is_empty());
            if let Some(at) = blank {
                let other = paths[1 - side].display().to_string();
                return Err(fault_at(
                    paths[side],
                    at + 1,
                    LineFault::BlankOfTwo { other },
                ));
            }
        }
        let pairs = lines[0].iter().zip(&lines[1]).map(|(source, target)| Pair {
            source: (*source).to_owned(),
            target: (*target).to_owned(),
        });
        Ok(Self(pairs.collect()))
    }

    /// Reads a file of two columns between tabs: a text and its translation. A first line that names them
    /// `source` and `target` is none of them.
    ///
    /// # Errors
    /// A file that cannot be read or is not UTF-8; an empty line or column; another number of columns.
    pub fn columns(path: impl AsRef<Path>) -> Result<Self, TextError> {
        let path = path.as_ref();
        let table = Table::delimited(path, b'\t', false)?;
        if table.len() > 0 && table.width != 2 {
            return Err(TextError::Unexpected {
                path: path.to_owned(),
                expected: "two columns, a text and its translation, with a tab between".to_owned(),
                found: format!("{} in line 1", table.width),
                next: "keep the two that belong together: cut -f 1,2 FILE > NEW".to_owned(),
            });
        }
        let is_named = table.len() > 0
            && ["source", "target"] == [0, 1].map(|column| table.field(0, column).trim());
        let rows = usize::from(is_named)..table.len();
        if rows.is_empty() {
            return Err(TextError::Empty {
                path: path.to_owned(),
                expected: "a text and its translation a line",
            });
        }
        let pairs = rows.map(|row| {
            let [source, target] = [0, 1].map(|column| table.field(row, column));
            match source.trim().is_empty() || target.trim().is_empty() {
                true => Err(fault_at(path, table.line(row), LineFault::EmptyText)),
                false => Ok(Pair {
                    source: source.to_owned(),
                    target: target.to_owned(),
                }),
            }
        });
        Ok(Self(pairs.collect::<Result<_, _>>()?))
    }

    /// Every pair, in the files' order.
    pub fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.0.iter()
    }
}

impl FromIterator<Pair> for Pairs {
    fn from_iter<I: IntoIterator<Item = Pair>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Dataset<Pair, TextError> for Pairs {
    fn get(&self, index: usize) -> Result<Pair, TextError> {
        Ok(self.0[index].clone())
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// The splits of a set of pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSet {
    /// What models learn from.
    pub train: Pairs,
    /// What the best model is chosen by, where there is a file of it.
    pub valid: Option<Pairs>,
    /// What models are judged by, where there is a file of it.
    pub test: Option<Pairs>,
    /// What is odd about the files, a sentence each.
    pub warnings: Vec<String>,
}

impl PairSet {
    /// Reads your own pairs: with `languages`, such as `["en", "de"]`, a folder of `train.en` and `train.de`,
    /// and of `valid` and `test` where they exist, plain or as `.gz`; without, a file of two columns
    /// between tabs, or a folder of `train.tsv`, `valid.tsv`, `test.tsv`.
    ///
    /// # Errors
    /// Files that are missing; as [`Pairs::aligned`] and [`Pairs::columns`].
    pub fn open(path: impl AsRef<Path>, languages: Option<[&str; 2]>) -> Result<Self, TextError> {
        let path = path.as_ref();
        if let Some(languages) = languages {
            return Self::read(
                find_aligned(path, languages)?,
                Vec::new(),
                |[source, target]| Pairs::aligned(source, target),
            );
        }
        let mut warnings = Vec::new();
        let files = match path.is_dir() {
            true => find_splits(Format::Tsv, path, &mut warnings)?,
            false => [Some(path.to_owned()), None, None],
        };
        Self::read(files, warnings, Pairs::columns)
    }

    /// A published set from the data directory: the files of its row are a source and its target, for each
    /// split.
    ///
    /// # Errors
    /// As [`Pairs::aligned`]; also a file that is missing or has not the lines that were published.
    pub fn published(set: &SetInfo, data_dir: impl AsRef<Path>) -> Result<Self, TextError> {
        let files = set.locate(data_dir.as_ref())?;
        let mut splits = files.chunks_exact(2).map(|files| {
            let pairs = Pairs::aligned(&files[0].0, &files[1].0)?;
            let (path, expected) = &files[0];
            match pairs.len() == *expected {
                true => Ok(pairs),
                false => Err(TextError::WrongSize {
                    set: set.name,
                    path: path.clone(),
                    unit: "lines",
                    expected: *expected,
                    found: pairs.len(),
                    other: "pairs",
                }),
            }
        });
        let train = splits
            .next()
            .expect("a published set has a training file")?;
        Ok(Self {
            train,
            valid: splits.next().transpose()?,
            test: splits.next().transpose()?,
            warnings: Vec::new(),
        })
    }

    fn read<F>(
        [train, valid, test]: [Option<F>; 3],
        warnings: Vec<String>,
        read: impl Fn(F) -> Result<Pairs, TextError>,
    ) -> Result<Self, TextError> {
        let train = train.expect("a split to train on is looked for");
        Ok(Self {
            train: read(train)?,
            valid: valid.map(&read).transpose()?,
            test: test.map(&read).transpose()?,
            warnings,
        })
    }
}

/// The lines of a text, without a byte order mark, and without an end of the last one.
fn lines(text: &str) -> Vec<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.split_terminator('\n');
    lines
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .collect()
}
