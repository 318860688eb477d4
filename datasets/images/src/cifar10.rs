//! CIFAR-10, "binary version" (Krizhevsky 2009): records of a label byte and 3,072 pixel bytes,
//! already channel by channel.
//!
//! The format has no header. What can be checked is checked: whole records, no more of them than
//! are published, training batches of one length, labels in range.

use crate::{ImageError, Memory, SetInfo, Split};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A label and 3 channels of 32x32 pixels.
const RECORD_BYTES: usize = 1 + 3 * 32 * 32;
/// Records of each published batch.
const MAX_RECORDS: usize = 10_000;
/// The folder inside the published archive.
const ARCHIVE_FOLDER: &str = "cifar-10-batches-bin";

/// Reads a split from `folder`, or from the archive's folder inside it.
pub(crate) fn read(set: &SetInfo, folder: &Path, split: Split) -> Result<Memory, ImageError> {
    let names: Vec<String> = match split {
        Split::Train => (1..=5).map(|i| format!("data_batch_{i}.bin")).collect(),
        Split::Test => vec!["test_batch.bin".into()],
    };
    let mut memory = Memory {
        pixels: Vec::new(),
        labels: Vec::new(),
    };
    let mut first_records = None;
    for name in names {
        let batch = Batch::find(set, folder, &name)?;
        let records = batch.append_to(&mut memory)?;
        let first = *first_records.get_or_insert(records);
        if records != first {
            return Err(batch.unexpected(
                format!("{first} images, as in data_batch_1.bin"),
                format!("{records}"),
            ));
        }
    }
    Ok(memory)
}

struct Batch<'a> {
    set: &'a SetInfo,
    path: PathBuf,
}

impl<'a> Batch<'a> {
    fn find(set: &'a SetInfo, folder: &Path, name: &str) -> Result<Self, ImageError> {
        let looked_for = vec![folder.join(name), folder.join(ARCHIVE_FOLDER).join(name)];
        match looked_for.iter().find(|path| path.is_file()).cloned() {
            Some(path) => Ok(Self { set, path }),
            None => Err(ImageError::Missing {
                what: format!("batch {name} of {}", set.name),
                looked_for,
                next: set.when_missing(),
            }),
        }
    }

    /// Appends the batch's images and labels, and returns how many.
    fn append_to(&self, memory: &mut Memory) -> Result<usize, ImageError> {
        let max_bytes = MAX_RECORDS * RECORD_BYTES;
        let mut file = File::open(&self.path).map_err(|e| self.unreadable(e))?;
        let size_bytes = file.metadata().map_err(|e| self.unreadable(e))?.len();
        if size_bytes > max_bytes as u64 {
            return Err(self.unexpected(
                format!("at most {max_bytes} bytes ({MAX_RECORDS} images)"),
                format!("{size_bytes} bytes (oversized)"),
            ));
        }
        let mut bytes = Vec::new();
        let read = file.by_ref().take(max_bytes as u64).read_to_end(&mut bytes);
        read.map_err(|e| self.unreadable(e))?;

        let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
        if !rest.is_empty() {
            return Err(self.unexpected(
                format!("whole records of {RECORD_BYTES} bytes"),
                format!(
                    "{} bytes: {} records and {} bytes over (truncated or oversized)",
                    bytes.len(),
                    records.len(),
                    rest.len()
                ),
            ));
        }
        if records.is_empty() {
            return Err(self.unexpected(
                "at least one image".into(),
                "an empty file: the split is empty".into(),
            ));
        }
        for (index, [label, pixels @ ..]) in records.iter().enumerate() {
            if usize::from(*label) >= self.set.classes.len() {
                return Err(self.unexpected(
                    format!("labels below {}", self.set.classes.len()),
                    format!("label {label} at index {index}"),
                ));
            }
            memory.labels.push(*label);
            memory.pixels.extend_from_slice(pixels);
        }
        Ok(records.len())
    }

    fn unreadable(&self, source: io::Error) -> ImageError {
        ImageError::Read {
            path: self.path.clone(),
            next: self.set.when_damaged(),
            source,
        }
    }

    fn unexpected(&self, expected: String, found: String) -> ImageError {
        ImageError::Unexpected {
            path: self.path.clone(),
            expected,
            found,
            next: self.set.when_damaged(),
        }
    }
}
