//! Recordings of one's own. A split is a table (`train.tsv`, `train.csv`) of file and text, or a folder
//! (`train/`) in which `name.txt` stands beside `name.wav`, or which has such a table, `metadata.tsv` or
//! `metadata.csv`; a folder of recordings alone is a training split.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Entry, Files, has_ending, is_other_sound, is_sound, list};
use crate::hold_out::hold_out;
use crate::{AudioError, AudioOptions, Splits};

/// The splits, and the names that they go by.
const SPLITS: [&[&str]; 3] = [
    &["train", "training"],
    &["valid", "val", "validation", "dev"],
    &["test", "testing"],
];
/// What is expected, for every message about something else.
const LAYOUT: &str = "train.tsv (or .csv) of file and text, and valid.tsv and test.tsv where there are \
                      any; or train/, valid/ and test/ with name.txt beside name.wav (or .flac)";
/// Bytes of a table: a million rows of a hundred characters.
const MOST_TABLE_BYTES: u64 = 128 << 20;
/// Bytes of the text of one recording: an hour of speech is about 60,000 characters.
const MOST_TEXT_BYTES: u64 = 1 << 20;
/// What the two columns are called where a table has a header.
const FILE_COLUMNS: [&str; 5] = ["file", "path", "file_name", "filename", "audio"];
const TEXT_COLUMNS: [&str; 5] = ["text", "sentence", "transcription", "transcript", "words"];

pub(crate) fn open(path: &Path, options: &AudioOptions) -> Result<Splits, AudioError> {
    if !path.is_dir() {
        return Err(missing(path));
    }
    let mut warnings = Vec::new();
    let [train, valid, test] = SPLITS.map(|names| find_split(path, names));
    let mut read = |place: Option<PathBuf>| {
        place
            .map(|place| read_split(&place, &mut warnings))
            .transpose()
    };
    let (train, valid, test) = (read(train?)?, read(valid?)?, read(test?)?);
    let train = match train {
        Some(train) => train,
        None if valid.is_some() || test.is_some() => return Err(missing(path)),
        None => read_split(path, &mut warnings)?,
    };
    let (train, valid) = match valid {
        Some(valid) => (train, valid),
        None => hold_out(train, options.valid_fraction, options.split_seed),
    };
    Ok(Splits {
        train: Files::set(train),
        valid: (!valid.is_empty()).then(|| Files::set(valid)),
        test: test.map(Files::set),
        warnings,
    })
}

fn missing(path: &Path) -> AudioError {
    AudioError::Missing {
        what: "training recordings".into(),
        looked_for: vec![path.into()],
        next: format!(
            "lay them out as {LAYOUT}; and name the folder that holds them with data.path, --data-dir \
             or ZOO_DATA_DIR"
        ),
    }
}

/// The table or folder of a split, of which there may be one.
fn find_split(path: &Path, names: &[&str]) -> Result<Option<PathBuf>, AudioError> {
    let mut found: Option<PathBuf> = None;
    for entry in list(path)? {
        let stem = entry.file_stem().unwrap_or_default().to_ascii_lowercase();
        if !names.iter().any(|name| stem == *name) || !(entry.is_dir() || is_table(&entry)) {
            continue;
        }
        if let Some(first) = found.replace(entry.clone()) {
            return Err(AudioError::Unexpected {
                path: path.into(),
                expected: format!("one table or folder of the {} split", names[0]),
                found: format!("{} and {}", first.display(), entry.display()),
                next: "rename or move the one that is not meant".into(),
            });
        }
    }
    Ok(found)
}

fn is_table(path: &Path) -> bool {
    has_ending(path, &["tsv", "csv"])
}

fn read_split(place: &Path, warnings: &mut Vec<String>) -> Result<Vec<Entry>, AudioError> {
    if is_table(place) && !place.is_dir() {
        return read_table(place);
    }
    for name in ["metadata.tsv", "metadata.csv"] {
        let table = place.join(name);
        if table.exists() {
            return read_table(&table);
        }
    }
    read_folder(place, warnings)
}

/// Every recording with the text beside it.
fn read_folder(folder: &Path, warnings: &mut Vec<String>) -> Result<Vec<Entry>, AudioError> {
    let paths = list(folder)?;
    let mut entries = Vec::new();
    let mut without = Vec::new();
    for path in paths.iter().filter(|path| is_sound(path)) {
        let beside = path.with_extension("txt");
        match zoo_files::read_text(&beside, MOST_TEXT_BYTES) {
            Ok(text) => entries.push(entry(path.clone(), &text, &beside)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => without.push(path),
            Err(source) => {
                return Err(AudioError::Read {
                    path: beside,
                    source,
                });
            }
        }
    }
    if let Some(first) = without.first() {
        return Err(AudioError::Missing {
            what: format!(
                "text of {} of {} recordings",
                without.len(),
                without.len() + entries.len()
            ),
            looked_for: vec![first.with_extension("txt")],
            next: format!("write what is said in {} there", first.display()),
        });
    }
    let others = paths.iter().filter(|path| is_other_sound(path)).count();
    if others > 0 {
        warnings.push(format!(
            "{}: passed over {others} recordings that are neither WAV nor FLAC; convert what should count",
            folder.display()
        ));
    }
    some(entries, folder)
}

/// Rows of file and text. Files are named from the table's folder, and must be there.
fn read_table(table: &Path) -> Result<Vec<Entry>, AudioError> {
    let text =
        zoo_files::read_text(table, MOST_TABLE_BYTES).map_err(|source| AudioError::Read {
            path: table.into(),
            source,
        })?;
    let tabs = has_ending(table, &["tsv"]);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(if tabs { b'\t' } else { b',' })
        // In a table with tabs, a quotation mark is a letter like others.
        .quoting(!tabs)
        .has_headers(false)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let mut columns = None;
    let mut entries = Vec::new();
    for (row, record) in reader.records().enumerate() {
        let line = row + 1;
        let record = record.map_err(|error| AudioError::Read {
            path: table.into(),
            source: error.into(),
        })?;
        let [file, text] = match columns {
            Some(columns) => columns,
            None => {
                let header = header(&record);
                let found = *columns.insert(header.unwrap_or([0, 1]));
                if header.is_some() {
                    continue;
                }
                found
            }
        };
        let (Some(file), Some(text)) = (record.get(file), record.get(text)) else {
            return Err(unexpected(
                table,
                format!("a file and a text in row {line}"),
                format!("{} columns", record.len()),
            ));
        };
        let path = table.parent().unwrap_or(Path::new(".")).join(file.trim());
        if file.trim().is_empty() || !path.is_file() {
            return Err(unexpected(
                table,
                format!("the name of a file in row {line}"),
                format!("{file:?}, which is none"),
            ));
        }
        if !is_sound(&path) {
            return Err(unexpected(
                table,
                format!("a WAV or FLAC file in row {line}"),
                format!("{file:?}"),
            ));
        }
        let said = words(text);
        if said.is_empty() {
            return Err(unexpected(
                table,
                format!("what is said in {file:?}, in row {line}"),
                "an empty text".into(),
            ));
        }
        entries.push(Entry { path, text: said });
    }
    some(entries, table)
}

/// The columns of file and text, if this row names them.
fn header(record: &csv::StringRecord) -> Option<[usize; 2]> {
    let place = |names: [&str; 5]| {
        let is = |cell: &str| {
            names
                .iter()
                .any(|name| cell.trim().eq_ignore_ascii_case(name))
        };
        record.iter().position(is)
    };
    Some([place(FILE_COLUMNS)?, place(TEXT_COLUMNS)?])
}

fn entry(path: PathBuf, text: &str, beside: &Path) -> Result<Entry, AudioError> {
    let text = words(text.trim_start_matches('\u{feff}'));
    if text.is_empty() {
        let expected = format!("what is said in {}", path.display());
        return Err(unexpected(beside, expected, "an empty text".into()));
    }
    Ok(Entry { path, text })
}

/// One space between two words, and none around them.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn some(entries: Vec<Entry>, place: &Path) -> Result<Vec<Entry>, AudioError> {
    if entries.is_empty() {
        return Err(missing(place));
    }
    Ok(entries)
}

fn unexpected(path: &Path, expected: String, found: String) -> AudioError {
    AudioError::Unexpected {
        path: path.into(),
        expected,
        found,
        next: "correct it, or remove the row or the file".into(),
    }
}
