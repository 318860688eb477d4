//! Texts with a class, from files of rows: a text and a label each, and whatever else.
//!
//! Labels may be anything: the different ones of the training file are the classes.
//!
//! `sst2` is the Stanford Sentiment Treebank's sentences with their binary label (Socher et al.
//! 2013), in the split of 6,920 / 872 / 1,821 that papers report on; the larger set of the same
//! name in GLUE adds phrases, and keeps its test labels back.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::data::dataset::Dataset;

use crate::classes::Classes;
use crate::columns::{self, Column, Columns};
use crate::files::find_splits;
use crate::table::{Table, fault_at};
use crate::{Format, LineFault, SetInfo, TextError};

/// Characters of a bad label, and labels, that an error message shows at most.
pub(crate) const NUM_SHOWN: usize = 30;

/// One text and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabeledText {
    /// The text.
    pub text: String,
    /// Its class, `0..num_classes`.
    pub label: usize,
}

/// How the rows of a file are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowOptions {
    /// The column of the texts.
    pub text: Option<Column>,
    /// The column of the labels.
    pub label: Option<Column>,
    /// Whether quotes around a field of a TSV file are taken off, as in CSV, or stay.
    pub quotes: Option<bool>,
}

/// The rows of a split.
#[derive(Debug, Clone)]
pub struct LabelledLines {
    content: String,
    rows: Vec<(Range<usize>, usize)>,
}

impl LabelledLines {
    pub(crate) fn empty() -> Self {
        Self {
            content: String::new(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, text: &str, label: usize) {
        let start = self.content.len();
        self.content.push_str(text);
        self.rows.push((start..self.content.len(), label));
    }

    /// Every text in the file's order, e.g. for
    /// [`WordVocabulary::build`](zoo_codec::text::WordVocabulary::build).
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        self.rows
            .iter()
            .map(|(range, _)| &self.content[range.clone()])
    }

    /// The class of every text, in the file's order.
    pub fn labels(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().map(|(_, label)| *label)
    }
}

impl Dataset<LabeledText, TextError> for LabelledLines {
    fn get(&self, index: usize) -> Result<LabeledText, TextError> {
        let (range, label) = &self.rows[index];
        Ok(LabeledText {
            text: self.content[range.clone()].to_owned(),
            label: *label,
        })
    }

    fn len(&self) -> usize {
        self.rows.len()
    }
}

/// The splits of a set, which share their classes.
#[derive(Debug, Clone)]
pub struct LabelledSet {
    /// What models learn from: all rows, where nothing is held out.
    pub train: LabelledLines,
    /// What the best model is chosen by, where there is a file of it.
    pub valid: Option<LabelledLines>,
    /// What models are judged by, where there is a file of it.
    pub test: Option<LabelledLines>,
    /// A name for each class, in the order of the labels.
    pub class_names: Vec<String>,
    /// What is odd about the files, a sentence each.
    pub warnings: Vec<String>,
}

impl LabelledSet {
    /// Reads a file, or a folder of `train`, `valid` and `test` with the format's ending.
    ///
    /// # Errors
    /// Files that are missing or mean the same; columns that cannot be told; what [`LineFault`] says;
    /// a single class, or about as many as rows.
    pub fn open(
        format: Format,
        path: impl AsRef<Path>,
        options: &RowOptions,
    ) -> Result<Self, TextError> {
        let path = path.as_ref();
        let mut warnings = Vec::new();
        let files = if path.is_dir() {
            find_splits(format, path, &mut warnings)?
        } else {
            [Some(path.to_owned()), None, None]
        };
        let mut set = Self::read(format, &files, options)?;
        set.warnings.splice(0..0, warnings);
        Ok(set)
    }

    /// A published set from the data directory.
    ///
    /// # Errors
    /// As [`open`](Self::open); also a file that has not the rows that were published.
    pub fn published(
        set: &SetInfo,
        format: Format,
        data_dir: impl AsRef<Path>,
    ) -> Result<Self, TextError> {
        let files = set.locate(data_dir.as_ref())?;
        let paths = [0, 1, 2].map(|at| files.get(at).map(|(path, _)| path.clone()));
        let mut opened = Self::read(format, &paths, &RowOptions::default())?;
        let splits = [
            Some(&opened.train),
            opened.valid.as_ref(),
            opened.test.as_ref(),
        ];
        for (split, (path, length)) in splits.into_iter().flatten().zip(files) {
            if split.len() != length {
                return Err(TextError::WrongSize {
                    set: set.name,
                    path,
                    unit: "lines",
                    expected: length,
                    found: split.len(),
                    other: "tsv",
                });
            }
        }
        if set.classes.len() == opened.class_names.len() {
            opened.class_names = set.classes.iter().map(|&name| name.to_owned()).collect();
        }
        Ok(opened)
    }

    fn read(
        format: Format,
        files: &[Option<PathBuf>; 3],
        options: &RowOptions,
    ) -> Result<Self, TextError> {
        let [Some(train), valid, test] = files else {
            unreachable!("there is a training file")
        };
        let given = [options.text.as_ref(), options.label.as_ref()];
        let (rows, columns) = Rows::first(format, train, options.quotes, given)?;
        let classes = Classes::of(train, &rows, columns.numbers_only)?;
        let mut warnings = classes.alike(train);
        if columns.names.is_none() && !columns.numbers_only {
            warnings.extend(rows.doubt_first(train));
        }
        let mut other = |path: &Option<PathBuf>| -> Result<Option<LabelledLines>, TextError> {
            let Some(path) = path else { return Ok(None) };
            let rows = Rows::next(format, path, options.quotes, &columns)?;
            let lines = classes.lines(path, &rows)?;
            warnings.extend(classes.taken_by_number(path, &rows));
            let there: HashSet<usize> = lines.labels().collect();
            let missing = classes
                .names
                .iter()
                .enumerate()
                .filter(|(at, _)| !there.contains(at));
            let missing: Vec<&str> = missing.map(|(_, name)| name.as_str()).collect();
            if !missing.is_empty() {
                let path = path.display();
                warnings.push(format!(
                    "{path}: no row has the label {}",
                    listing(&missing)
                ));
            }
            Ok(Some(lines))
        };
        Ok(Self {
            valid: other(valid)?,
            test: other(test)?,
            train: classes.lines(train, &rows)?,
            class_names: classes.names,
            warnings,
        })
    }
}

/// A file's table, and where in it the texts and labels are.
pub(crate) struct Rows {
    table: Table,
    at: [usize; 2],
    /// The first row that is no line of names.
    start: usize,
}

impl Rows {
    /// A training file, whose columns are to be found.
    fn first(
        format: Format,
        path: &Path,
        quotes: Option<bool>,
        given: [Option<&Column>; 2],
    ) -> Result<(Self, Columns), TextError> {
        if format == Format::JsonLines {
            let mut names = None;
            let table = Table::json_lines(path, |keys| {
                let found = columns::by_name(path, keys, given)?;
                names = Some(found.clone());
                Ok(found)
            })?;
            let columns = Columns {
                at: [0, 1],
                names,
                numbers_only: false,
            };
            let rows = Self {
                table,
                at: columns.at,
                start: 0,
            };
            return Ok((rows.not_empty(path)?, columns));
        }
        let table = delimited(format, path, quotes)?;
        if table.len() == 0 {
            return Err(empty(path));
        }
        let columns = columns::find(path, &table, format, given);
        let is_old_form = columns.as_ref().is_ok_and(|columns| columns.numbers_only);
        if quotes.is_none() && format == Format::Tsv && !is_old_form {
            doubt_quotes(path, &table)?;
        }
        let columns = columns?;
        let start = usize::from(columns.names.is_some());
        let rows = Self {
            table,
            at: columns.at,
            start,
        };
        let rows = rows.not_empty(path)?;
        let again = (rows.iter()).find(|(_, text, label)| columns.are_named_by(text, label));
        if let Some((line, ..)) = again {
            return Err(fault_at(path, line, LineFault::NamesAgain));
        }
        Ok((rows, columns))
    }

    /// Another file of the same set.
    fn next(
        format: Format,
        path: &Path,
        quotes: Option<bool>,
        columns: &Columns,
    ) -> Result<Self, TextError> {
        let names = columns.names.as_ref();
        let named = names.map(|names| names.clone().map(Column::Name));
        let (text, label) = (1 + columns.at[0], 1 + columns.at[1]);
        let given = named.unwrap_or([text, label].map(Column::Number));
        // The old form was never quoted.
        let quotes = if columns.numbers_only {
            Some(false)
        } else {
            quotes
        };
        Ok(Self::first(format, path, quotes, [Some(&given[0]), Some(&given[1])])?.0)
    }

    fn not_empty(self, path: &Path) -> Result<Self, TextError> {
        if self.table.len() > self.start {
            return Ok(self);
        }
        if self.start == 0 {
            return Err(empty(path));
        }
        Err(TextError::Unexpected {
            path: path.to_owned(),
            expected: "rows of a text and its label".to_owned(),
            found: "a line of names and no rows".to_owned(),
            next: "add the rows, or give the file that has them".to_owned(),
        })
    }

    /// A sentence for a first line that may rather name the columns.
    fn doubt_first(&self, path: &Path) -> Option<String> {
        let mut labels = self.iter().map(|(.., label)| label);
        let first = labels.next()?;
        let is_alone = labels.all(|label| label != first);
        is_alone.then(|| {
            format!(
                "{}: line 1 is the only row with the label {first:?}; if it names the columns, give \
                 data.text and data.label by name",
                path.display()
            )
        })
    }

    /// Line, text and label of every row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let [text, label] = self.at;
        let rows = self.start..self.table.len();
        rows.map(move |row| {
            let table = &self.table;
            (
                table.line(row),
                table.field(row, text),
                table.field(row, label).trim(),
            )
        })
    }
}

fn delimited(format: Format, path: &Path, quotes: Option<bool>) -> Result<Table, TextError> {
    match format {
        Format::Csv => Table::delimited(path, b',', true),
        _ => Table::delimited(path, b'\t', quotes.unwrap_or(false)),
    }
}

fn empty(path: &Path) -> TextError {
    TextError::Empty {
        path: path.to_owned(),
        expected: "rows of a text and its label",
    }
}

/// Refuses a TSV file in which all that has quotes is quoted as in CSV: whether they belong to the
/// texts, only who wrote it knows. (The old form, `sentence<TAB>number`, was never quoted.)
fn doubt_quotes(path: &Path, table: &Table) -> Result<(), TextError> {
    let fields = (0..table.len()).flat_map(|row| table.row(row));
    let mut with_quotes = fields.filter(|field| field.contains('"')).peekable();
    let is_quoted = |field: &str| {
        let inner = field
            .strip_prefix('"')
            .and_then(|field| field.strip_suffix('"'));
        inner.is_some_and(|inner| !inner.replace("\"\"", "").contains('"'))
    };
    let Some(one) = with_quotes.peek() else {
        return Ok(());
    };
    let one: String = one.chars().take(NUM_SHOWN).collect();
    if !with_quotes.all(is_quoted) {
        return Ok(());
    }
    Err(TextError::Unexpected {
        path: path.to_owned(),
        expected: "quotes whose meaning is told".to_owned(),
        found: format!("fields that begin and end with one, such as {one}"),
        next:
            "say whether they quote a field, as in CSV (--set data.quotes=true), or belong to the \
               text (--set data.quotes=false)"
                .to_owned(),
    })
}

/// Some of the labels, in quotes.
pub(crate) fn listing(labels: &[&str]) -> String {
    let shown = labels
        .iter()
        .take(NUM_SHOWN)
        .map(|label| format!("{label:?}"));
    let mut shown: Vec<String> = shown.collect();
    if labels.len() > NUM_SHOWN {
        shown.push(format!("… ({} in all)", labels.len()));
    }
    shown.join(", ")
}
