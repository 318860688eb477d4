//! Files of rows and columns, read by the crates `csv` and `serde_json`.
//!
//! What those pass over in silence is refused first: an empty line in the middle, a quote that is
//! never closed (it would swallow the rest of the file), text after a closing quote, another number
//! of fields. Empty lines at the end, CRLF and a byte order mark are fine.

use std::ops::Range;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Terminator};

use crate::columns::SEPARATORS;
use crate::encoding::read_utf8;
use crate::json;
use crate::{LineFault, TextError};

/// The fields of a file, one after the other.
#[derive(Debug)]
pub(crate) struct Table {
    content: String,
    fields: Vec<Range<usize>>,
    /// The line in the file on which each row begins, counted from 1.
    lines: Vec<usize>,
    /// Fields of a row.
    pub(crate) width: usize,
}

impl Table {
    /// Reads a file of delimited columns. A `quote` that opens a field closes it, too; `None` leaves
    /// all of them as they stand.
    pub(crate) fn delimited(path: &Path, delimiter: u8, quotes: bool) -> Result<Self, TextError> {
        let fault = |line, fault| fault_at(path, line, fault);
        let content = read_utf8(path)?;
        let content = without_ends(&content);
        let lines = row_lines(content, delimiter, quotes).map_err(|(line, it)| fault(line, it))?;
        let mut builder = ReaderBuilder::new();
        builder
            .delimiter(delimiter)
            .quoting(quotes)
            .has_headers(false)
            .flexible(true);
        if !quotes {
            // A lone carriage return belongs to the text.
            builder.terminator(Terminator::Any(b'\n'));
        }
        // The reader takes one mark off, and a text may begin with one of its own.
        let marked = content
            .starts_with('\u{feff}')
            .then(|| format!("\u{feff}{content}"));
        let mut reader = builder.from_reader(marked.as_deref().unwrap_or(content).as_bytes());
        let mut table = Self::empty();
        let mut record = StringRecord::new();
        let fields = |expected, found, line: usize| LineFault::Fields {
            expected,
            found,
            is_doubted: share_separator(content, line, delimiter),
        };
        for line in lines {
            let read = reader.read_record(&mut record);
            // It is UTF-8, and rows may have any number of fields.
            if !read.is_ok_and(|read| read) {
                return Err(fault(line, fields(table.width, 0, line)));
            }
            if table.lines.is_empty() {
                table.width = record.len();
            } else if record.len() != table.width {
                return Err(fault(line, fields(table.width, record.len(), line)));
            }
            let last = record.len() - 1;
            for (at, field) in record.iter().enumerate() {
                let end = (at == last && !quotes)
                    .then(|| field.strip_suffix('\r'))
                    .flatten();
                table.push(end.unwrap_or(field));
            }
            table.lines.push(line);
        }
        Ok(table)
    }

    /// Reads two keys of the objects of a file; `keys` chooses them from those of the first object.
    pub(crate) fn json_lines(
        path: &Path,
        keys: impl FnOnce(&[&str]) -> Result<[String; 2], TextError>,
    ) -> Result<Self, TextError> {
        let content = read_utf8(path)?;
        let content = without_ends(&content);
        if content.starts_with('[') {
            return Err(TextError::Unexpected {
                path: path.to_owned(),
                expected: "a JSON object a line".to_owned(),
                found: "a JSON array".to_owned(),
                next: format!("convert it: jq -c '.[]' {} > NEW", path.display()),
            });
        }
        let mut table = Self::empty();
        table.width = 2;
        let mut choose = Some(keys);
        let mut chosen = [String::new(), String::new()];
        for (index, line) in content.split('\n').enumerate() {
            if content.is_empty() {
                break;
            }
            let fault = |fault| fault_at(path, index + 1, fault);
            if line.trim().is_empty() {
                return Err(fault(LineFault::Blank));
            }
            let object = json::object(line).map_err(fault)?;
            if let Some(choose) = choose.take() {
                let names: Vec<&str> = object.iter().map(|(key, _)| key.as_str()).collect();
                chosen = choose(&names)?;
            }
            table.push(&json::text(&object, &chosen[0]).map_err(fault)?);
            table.push(&json::label(&object, &chosen[1]).map_err(fault)?);
            table.lines.push(index + 1);
        }
        Ok(table)
    }

    fn empty() -> Self {
        Self {
            content: String::new(),
            fields: Vec::new(),
            lines: Vec::new(),
            width: 0,
        }
    }

    fn push(&mut self, field: &str) {
        let start = self.content.len();
        self.content.push_str(field);
        self.fields.push(start..self.content.len());
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The line on which a row begins.
    pub(crate) fn line(&self, row: usize) -> usize {
        self.lines[row]
    }

    /// One field.
    pub(crate) fn field(&self, row: usize, column: usize) -> &str {
        &self.content[self.fields[row * self.width + column].clone()]
    }

    /// The fields of a row.
    pub(crate) fn row(&self, row: usize) -> Vec<&str> {
        (0..self.width)
            .map(|column| self.field(row, column))
            .collect()
    }
}

pub(crate) fn fault_at(path: &Path, line: usize, fault: LineFault) -> TextError {
    TextError::Line {
        path: path.to_owned(),
        line,
        fault,
    }
}

/// Without a byte order mark, and without empty lines at the end.
fn without_ends(content: &str) -> &str {
    let mut content = content.strip_prefix('\u{feff}').unwrap_or(content);
    loop {
        let stripped = content.trim_end_matches([' ', '\r']);
        if stripped.is_empty() {
            return "";
        }
        match stripped.strip_suffix('\n') {
            Some(before) => content = before,
            // What is no empty line keeps its spaces; the carriage return ended it.
            None => return content.strip_suffix('\r').unwrap_or(content),
        }
    }
}

/// The line on which each row begins, or the first line that is wrong, and how.
fn row_lines(content: &str, delimiter: u8, quotes: bool) -> Result<Vec<usize>, (usize, LineFault)> {
    let bytes = content.as_bytes();
    // Where quotes mean nothing, a lone carriage return means nothing either.
    let ends = |at: usize| match bytes.get(at) {
        None | Some(b'\n') => true,
        Some(b'\r') => quotes || matches!(bytes.get(at + 1), None | Some(b'\n')),
        Some(_) => false,
    };
    let (mut at, mut line, mut lines) = (0, 1, Vec::new());
    while at < bytes.len() {
        if ends(at) {
            return Err((line, LineFault::Blank));
        }
        lines.push(line);
        loop {
            if quotes && bytes[at..].first() == Some(&b'"') {
                let opened = line;
                at = closing_quote(bytes, at, &mut line).ok_or((opened, LineFault::Unclosed))? + 1;
                if !ends(at) && bytes[at] != delimiter {
                    return Err((line, LineFault::AfterQuote));
                }
            }
            while !ends(at) && bytes[at] != delimiter {
                at += 1;
            }
            if ends(at) {
                break;
            }
            at += 1;
        }
        at += if bytes[at..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        line += 1;
    }
    Ok(lines)
}

/// Where the quote that is opened at `at` is closed, and how many lines end before that.
fn closing_quote(bytes: &[u8], mut at: usize, line: &mut usize) -> Option<usize> {
    loop {
        at += 1;
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 1,
            (b'"', _) => return Some(at),
            (b'\n', _) => *line += 1,
            (b'\r', next) if next != Some(&b'\n') => *line += 1,
            _ => {}
        }
    }
}

/// Whether another separator than the file's is in a line as often as in the first one, or more.
fn share_separator(content: &str, line: usize, delimiter: u8) -> bool {
    let line_at = |line: usize| content.lines().nth(line - 1).unwrap_or_default();
    let (first, line) = (line_at(1), line_at(line));
    let others = SEPARATORS.iter().filter(|it| **it != char::from(delimiter));
    let count = |line: &str, separator: char| line.matches(separator).count();
    others
        .into_iter()
        .any(|it| (1..=count(line, *it)).contains(&count(first, *it)))
}
