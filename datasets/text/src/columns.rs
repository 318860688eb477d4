//! Which columns of a table are the text and its label.
//!
//! Without a word from the user they are taken only where there is no doubt: by usual names in the
//! first line, or as `text, label` where there are two columns and the first line's label is a label
//! of others, too. Everything else is asked.

use std::collections::HashSet;
use std::path::Path;

use crate::table::Table;
use crate::{Format, TextError};

/// Names of columns that hold the text, and the label.
const TEXT_NAMES: &[&str] = &[
    "text", "sentence", "review", "content", "comment", "tweet", "message",
];
const LABEL_NAMES: &[&str] = &[
    "label",
    "class",
    "category",
    "sentiment",
    "topic",
    "target",
    "intent",
];
/// Columns, and characters of each, that a message shows at most.
const MOST_SHOWN: (usize, usize) = (12, 30);

/// What separates columns, of files that other programs write.
pub(crate) const SEPARATORS: [char; 4] = [',', '\t', ';', '|'];
/// What to do about one that is not the format's.
pub(crate) const SEPARATED_OTHERWISE: &str = "is it separated by something else? The data set tsv is separated by tabs, csv by commas; write \
     it as one of them";

/// A column as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// By its name in the first line.
    Name(String),
    /// By its number from 1: the first line is a row like the others.
    Number(usize),
}

/// The two columns of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    /// Where the text is, and the label.
    pub(crate) at: [usize; 2],
    /// Their names, where the first line is one of names.
    pub(crate) names: Option<[String; 2]>,
    /// Found without being told, by a label that is a number.
    pub(crate) numbers_only: bool,
}

impl Columns {
    /// Whether a row holds the names of the columns, as where two files with names were joined.
    pub(crate) fn are_named_by(&self, text: &str, label: &str) -> bool {
        // The second file may have had a byte order mark.
        let row = [text, label].map(|field| field.trim_start_matches('\u{feff}').trim());
        match &self.names {
            Some(names) => (names.iter().zip(row)).all(|(name, it)| name.eq_ignore_ascii_case(it)),
            None => usual(row[0], TEXT_NAMES) && usual(row[1], LABEL_NAMES),
        }
    }
}

/// The columns of a training file.
pub(crate) fn find(
    path: &Path,
    table: &Table,
    format: Format,
    given: [Option<&Column>; 2],
) -> Result<Columns, TextError> {
    let first = table.row(0);
    if given
        .iter()
        .flatten()
        .any(|column| matches!(column, Column::Number(_)))
    {
        return numbered(path, &first, given);
    }
    if given == [None, None]
        && let Some(columns) = without_names(table, format)
    {
        return Ok(columns);
    }
    let names = by_name(path, &first, given)?;
    let at = [0, 1].map(|which| first.iter().position(|name| name.trim() == names[which]));
    Ok(Columns {
        at: at.map(|at| at.expect("names are of the first line")),
        names: Some(names),
        numbers_only: false,
    })
}

/// The names among `first` that are given, or else those that are usual.
pub(crate) fn by_name(
    path: &Path,
    first: &[&str],
    given: [Option<&Column>; 2],
) -> Result<[String; 2], TextError> {
    let mut names = [None, None];
    for (which, usual) in [TEXT_NAMES, LABEL_NAMES].into_iter().enumerate() {
        let is_it = |name: &str| match given[which] {
            Some(Column::Name(given)) => name == given,
            Some(Column::Number(_)) => false,
            None => usual.contains(&&*name.to_lowercase()),
        };
        let candidates: Vec<&str> = first
            .iter()
            .map(|name| name.trim())
            .filter(|n| is_it(n))
            .collect();
        match (&candidates[..], given[which]) {
            ([name], _) => names[which] = Some((*name).to_owned()),
            (_, Some(_)) => return Err(ask(path, first, given)),
            _ => {}
        }
    }
    // Of two columns, the other one.
    if let ([a, b], true) = (first, given != [None, None]) {
        for which in [0, 1] {
            if let (None, Some(known)) = (&names[which], &names[1 - which]) {
                let other = if known == a.trim() { b } else { a };
                names[which] = Some(other.trim().to_owned());
            }
        }
    }
    match names {
        [Some(text), Some(label)] if text != label => Ok([text, label]),
        _ => Err(ask(path, first, given)),
    }
}

fn numbered(
    path: &Path,
    first: &[&str],
    given: [Option<&Column>; 2],
) -> Result<Columns, TextError> {
    let at = given.map(|column| match column {
        Some(Column::Number(number)) if (1..=first.len()).contains(number) => Some(number - 1),
        _ => None,
    });
    match (at, given) {
        // The first line would be an example, and its name of the labels a class.
        ([Some(text), Some(label)], _)
            if usual(first[text], TEXT_NAMES) && usual(first[label], LABEL_NAMES) =>
        {
            Err(ask(path, first, given))
        }
        ([Some(text), Some(label)], _) if text != label => Ok([text, label]),
        ([Some(text), None], [_, None]) if first.len() == 2 => Ok([text, 1 - text]),
        ([None, Some(label)], [None, _]) if first.len() == 2 => Ok([1 - label, label]),
        _ => Err(ask(path, first, given)),
    }
    .map(|at| Columns {
        at,
        names: None,
        numbers_only: false,
    })
}

/// Text and label in two columns without a line of names, where there is no doubt about it.
fn without_names(table: &Table, format: Format) -> Option<Columns> {
    if table.width != 2 {
        return None;
    }
    let is_number = |field: &str| number(field).is_some();
    let columns = |numbers_only| Columns {
        at: [0, 1],
        names: None,
        numbers_only,
    };
    let (text, label) = (table.field(0, 0), table.field(0, 1).trim());
    // `sentence<TAB>0`: a column is not called by a number.
    if is_number(label) && (format == Format::Tsv || !is_number(text)) {
        return Some(columns(true));
    }
    if usual(text, TEXT_NAMES) && usual(label, LABEL_NAMES) {
        return None;
    }
    let again = (1..table.len()).any(|row| table.field(row, 1).trim() == label);
    let different = |column| {
        let fields = (0..table.len()).map(|row| table.field(row, column).trim());
        fields.collect::<HashSet<_>>().len()
    };
    (again && !is_number(text) && different(0) > different(1)).then(|| columns(false))
}

fn usual(name: &str, names: &[&str]) -> bool {
    names.contains(&&*name.trim().to_lowercase())
}

/// A label that is a number.
pub(crate) fn number(field: &str) -> Option<f64> {
    let number: f64 = field.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

fn ask(path: &Path, first: &[&str], given: [Option<&Column>; 2]) -> TextError {
    let asked = ["text", "label"]
        .into_iter()
        .zip(given)
        .filter_map(|(key, column)| {
            Some(match column? {
                Column::Name(name) => format!("data.{key} = {name:?}"),
                Column::Number(number) => format!("data.{key} = {number}"),
            })
        });
    let asked: Vec<String> = asked.collect();
    let shown = first.iter().take(MOST_SHOWN.0);
    let shown: Vec<String> = shown
        .map(|name| format!("`{}`", name.chars().take(MOST_SHOWN.1).collect::<String>()))
        .collect();
    let which = "say which columns are the text and its label, by name where the first line names them \
                 (--set data.text=NAME --set data.label=NAME), by number from 1 where it is a row \
                 like the others (--set data.text=1 --set data.label=2)";
    let next = match first {
        [only] if only.contains(SEPARATORS) => SEPARATED_OTHERWISE.to_owned(),
        // Commas of the texts made columns of them.
        _ if first.iter().any(|field| field.contains([';', '\t', '|'])) => {
            format!("{which}; or {SEPARATED_OTHERWISE}")
        }
        _ => which.to_owned(),
    };
    TextError::Unexpected {
        path: path.to_owned(),
        expected: match asked.is_empty() {
            true => "a column of text and one of labels that are told without doubt".to_owned(),
            false => format!("the columns {}, one of each", asked.join(" and ")),
        },
        found: format!("{} in line 1: {}", count(first.len()), shown.join(", ")),
        next,
    }
}

fn count(columns: usize) -> String {
    match columns {
        1 => "one column".to_owned(),
        _ => format!("{columns} columns"),
    }
}
