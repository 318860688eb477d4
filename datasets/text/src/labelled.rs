//! Sentences with a class: files of `sentence<TAB>label` without a header, one file a split.
//!
//! `sst2` is the Stanford Sentiment Treebank's sentences with their binary label (Socher et al.
//! 2013), in the split of 6,920 / 872 / 1,821 that papers report on; the larger set of the same
//! name in GLUE adds phrases, and keeps its test labels back.

use std::{ops::Range, path::Path};

use burn::data::dataset::Dataset;

use crate::{
    LineFault, TextError,
    error::read_utf8,
    sets::{SST2, SetInfo, TSV, TSV_FILES},
};

/// Characters of a bad label that an error message shows at most.
const NUM_SHOWN: usize = 30;

/// One sentence and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabeledText {
    /// The sentence.
    pub text: String,
    /// Its class, `0..num_classes`.
    pub label: usize,
}

/// One file, held as it was read: a sentence costs its bytes and three numbers.
#[derive(Debug, Clone)]
pub struct LabelledLines {
    content: String,
    lines: Vec<(Range<usize>, usize)>,
    num_classes: usize,
}

impl LabelledLines {
    /// Reads a file; `num_classes` of `None` takes the number of classes from its labels.
    ///
    /// Lines end with LF or CRLF, the last one also with the end of the file. A byte order mark is
    /// skipped.
    ///
    /// # Errors
    /// A file that cannot be read, is empty or is not UTF-8; a line without exactly one tab, with
    /// an empty sentence, or with a label that is not a whole number in range; where the classes
    /// are derived, fewer than two of them, or one that no line has.
    pub fn read(path: impl AsRef<Path>, num_classes: Option<usize>) -> Result<Self, TextError> {
        let path = path.as_ref();
        if num_classes == Some(0) {
            return Err(TextError::Value {
                name: "num_classes",
                found: "0".to_owned(),
                expected: "1 or more".to_owned(),
            });
        }
        let content = read_utf8(path)?;
        let start = if content.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        let mut lines = Vec::new();
        let mut line_start = start;
        for (i, raw) in content[start..].split_inclusive('\n').enumerate() {
            let parsed = parse(raw, num_classes).map_err(|fault| TextError::Line {
                path: path.to_owned(),
                line: i + 1,
                fault,
            })?;
            lines.push((line_start..line_start + parsed.0, parsed.1));
            line_start += raw.len();
        }
        if lines.is_empty() {
            return Err(TextError::Empty {
                path: path.to_owned(),
                expected: "lines of sentence<TAB>label",
            });
        }
        let num_classes = match num_classes {
            Some(given) => given,
            None => derive_classes(path, &lines)?,
        };
        Ok(Self {
            content,
            lines,
            num_classes,
        })
    }

    /// The number of classes, given or derived.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Every sentence in the file's order, e.g. for
    /// [`WordVocabulary::build`](crate::WordVocabulary::build).
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .map(|(range, _)| &self.content[range.clone()])
    }
}

impl Dataset<LabeledText, TextError> for LabelledLines {
    fn get(&self, index: usize) -> Result<LabeledText, TextError> {
        let (range, label) = &self.lines[index];
        Ok(LabeledText {
            text: self.content[range.clone()].to_owned(),
            label: *label,
        })
    }

    fn len(&self) -> usize {
        self.lines.len()
    }
}

/// Three files that share their classes.
#[derive(Debug, Clone)]
pub struct LabelledSet {
    /// `train.tsv`
    pub train: LabelledLines,
    /// `dev.tsv`
    pub valid: LabelledLines,
    /// `test.tsv`
    pub test: LabelledLines,
    /// A name for each class, in the order of the labels.
    pub class_names: Vec<String>,
}

impl LabelledSet {
    /// Reads `train.tsv`, `dev.tsv` and `test.tsv` of any folder. The training labels say what
    /// classes there are; a class is named by its number.
    ///
    /// # Errors
    /// A file that is missing, or that [`LabelledLines::read`] refuses.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, TextError> {
        Self::read(&TSV, folder.as_ref(), None)
    }

    /// SST-2 from `data_dir/sst2/`; the classes are `negative` and `positive`.
    ///
    /// # Errors
    /// As [`open`](Self::open); also a file that has not the lines that SST-2 has.
    pub fn sst2(data_dir: impl AsRef<Path>) -> Result<Self, TextError> {
        let data_dir = data_dir.as_ref();
        let set = Self::read(&SST2, data_dir, Some(&["negative", "positive"]))?;
        let splits = [&set.train, &set.valid, &set.test];
        for (i, expected) in [6_920, 872, 1_821].into_iter().enumerate() {
            if splits[i].len() != expected {
                return Err(TextError::WrongSize {
                    set: SST2.name,
                    path: data_dir.join(SST2.name).join(TSV_FILES[i]),
                    unit: "lines",
                    expected,
                    found: splits[i].len(),
                    other: "tsv",
                });
            }
        }
        Ok(set)
    }

    fn read(set: &SetInfo, folder: &Path, classes: Option<&[&str]>) -> Result<Self, TextError> {
        let paths = set.locate(folder)?;
        let train = LabelledLines::read(&paths[0], classes.map(<[_]>::len))?;
        let num_classes = train.num_classes();
        let class_names = match classes {
            Some(names) => names.iter().map(|name| (*name).to_owned()).collect(),
            None => (0..num_classes).map(|label| label.to_string()).collect(),
        };
        Ok(Self {
            train,
            valid: LabelledLines::read(&paths[1], Some(num_classes))?,
            test: LabelledLines::read(&paths[2], Some(num_classes))?,
            class_names,
        })
    }
}

/// The sentence's length in bytes and the label of a line with its line end.
fn parse(raw: &str, num_classes: Option<usize>) -> Result<(usize, usize), LineFault> {
    let line = raw.strip_suffix('\n').unwrap_or(raw);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let tabs = line.matches('\t').count();
    let (sentence, label) = match line.split_once('\t') {
        Some(columns) if tabs == 1 => columns,
        _ => return Err(LineFault::Columns { tabs }),
    };
    if sentence.trim().is_empty() {
        return Err(LineFault::EmptySentence);
    }
    let label: usize = label.trim().parse().map_err(|_| LineFault::NotANumber {
        found: label.chars().take(NUM_SHOWN).collect(),
    })?;
    match num_classes {
        Some(num_classes) if label >= num_classes => {
            Err(LineFault::OutOfRange { label, num_classes })
        }
        _ => Ok((sentence.len(), label)),
    }
}

/// Refuses gaps, so that labels counted from 1 do not become a class that never occurs, and a
/// stray large label not a huge output layer.
fn derive_classes(path: &Path, lines: &[(Range<usize>, usize)]) -> Result<usize, TextError> {
    let mut labels: Vec<usize> = lines.iter().map(|(_, label)| *label).collect();
    labels.sort_unstable();
    labels.dedup();
    let gap = labels.iter().enumerate().find(|(i, label)| i != *label);
    match (gap, labels.last()) {
        (Some((missing, _)), Some(&highest)) => Err(TextError::ClassGap {
            path: path.to_owned(),
            missing,
            highest,
        }),
        _ if labels.len() < 2 => Err(TextError::OneClass {
            path: path.to_owned(),
        }),
        _ => Ok(labels.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(
        bytes: impl AsRef<[u8]>,
        num_classes: Option<usize>,
    ) -> Result<LabelledLines, TextError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines.tsv");
        fs::write(&path, bytes).unwrap();
        LabelledLines::read(path, num_classes)
    }

    fn items(lines: &LabelledLines) -> Vec<(String, usize)> {
        let items = (0..lines.len()).map(|i| lines.get(i).unwrap());
        items.map(|item| (item.text, item.label)).collect()
    }

    #[test]
    fn line_ends_of_every_kind_give_the_same_items() {
        let expected = [("good film".to_owned(), 1), ("böse".to_owned(), 0)];
        for text in [
            "good film\t1\nböse\t0\n",
            "good film\t1\nböse\t0",
            "good film\t1\r\nböse\t0\r\n",
            "good film\t1\r\nböse\t0",
            "\u{feff}good film\t1\nböse\t0 ",
        ] {
            let lines = read(text, Some(2)).unwrap();
            assert_eq!(items(&lines), expected, "{text:?}");
            assert_eq!(lines.sentences().collect::<Vec<_>>(), ["good film", "böse"]);
        }
    }

    #[test]
    fn a_line_of_absurd_length_is_read() {
        let long = "word ".repeat(1 << 18);
        let lines = read(format!("{long}\t0\nshort\t1\n"), None).unwrap();
        assert_eq!(lines.get(0).unwrap().text.len(), long.len());
        assert_eq!(items(&lines)[1], ("short".to_owned(), 1));
    }

    #[test]
    fn a_bad_line_is_named_with_its_fault() {
        let number = |found: &str| LineFault::NotANumber {
            found: found.to_owned(),
        };
        for (line, expected) in [
            ("no label", LineFault::Columns { tabs: 0 }),
            ("", LineFault::Columns { tabs: 0 }),
            ("7\tsentence\t1", LineFault::Columns { tabs: 2 }),
            ("\t1", LineFault::EmptySentence),
            ("  \t1", LineFault::EmptySentence),
            ("sentence\tlabel", number("label")),
            ("sentence\t", number("")),
            ("sentence\t1.0", number("1.0")),
            ("sentence\t-1", number("-1")),
            (
                "sentence\t99999999999999999999",
                number("99999999999999999999"),
            ),
            (
                "sentence\t2",
                LineFault::OutOfRange {
                    label: 2,
                    num_classes: 2,
                },
            ),
        ] {
            match read(format!("fine\t0\n{line}\nfine\t1\n"), Some(2)) {
                Err(TextError::Line {
                    line: 2,
                    fault,
                    path,
                }) => {
                    assert_eq!(fault, expected);
                    assert!(path.ends_with("lines.tsv"));
                }
                other => panic!("{line:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn a_file_that_is_empty_or_not_utf8_is_refused() {
        assert!(matches!(read("", Some(2)), Err(TextError::Empty { .. })));
        assert!(matches!(
            read("\u{feff}", Some(2)),
            Err(TextError::Empty { .. })
        ));
        let result = read(b"a\t0\nb\xff\t1\n", Some(2));
        assert!(matches!(
            result,
            Err(TextError::NotUtf8 {
                line: 2,
                byte: 5,
                ..
            })
        ));
        assert!(matches!(
            read("a\t0\n", Some(0)),
            Err(TextError::Value { .. })
        ));
    }

    #[test]
    fn derived_classes_have_no_gap() {
        assert_eq!(
            read("a\t2\nb\t0\nc\t1\nd\t2", None).unwrap().num_classes(),
            3
        );
        let message = read("a\t1\nb\t2\n", None).unwrap_err().to_string();
        assert!(message.contains("no line has label 0"), "{message}");
        let result = read("a\t0\nb\t4000000000\n", None);
        assert!(matches!(
            result,
            Err(TextError::ClassGap { missing: 1, .. })
        ));
        assert!(matches!(
            read("a\t0\nb\t0\n", None),
            Err(TextError::OneClass { .. })
        ));
    }

    #[test]
    fn the_training_split_decides_the_classes_of_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let message = LabelledSet::open(dir.path()).unwrap_err().to_string();
        assert!(message.contains("dev.tsv"), "{message}");

        write("train.tsv", "a\t0\nb\t1\nc\t2\n");
        write("dev.tsv", "d\t1\n");
        write("test.tsv", "e\t0\nf\t2\n");
        let set = LabelledSet::open(dir.path()).unwrap();
        assert_eq!(
            (set.train.len(), set.valid.len(), set.test.len()),
            (3, 1, 2)
        );
        assert_eq!(set.class_names, ["0", "1", "2"]);
        assert_eq!(set.valid.num_classes(), 3);

        write("test.tsv", "e\t3\n");
        let message = LabelledSet::open(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains("test.tsv: line 1: label 3 is out of range"),
            "{message}"
        );
    }

    #[test]
    fn an_sst2_of_another_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sst2")).unwrap();
        for name in TSV_FILES {
            fs::write(dir.path().join("sst2").join(name), "a\t0\nb\t1\n").unwrap();
        }
        let message = LabelledSet::sst2(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains("2 lines where `sst2` has 6920"),
            "{message}"
        );
        assert!(message.contains("the data set `tsv`"), "{message}");
    }
}
