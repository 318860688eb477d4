//! CIFAR-10, "binary version" (Krizhevsky 2009): records of a label byte and 3,072 pixel bytes,
//! already channel by channel.
//!
//! The format has no header. What can be checked is checked: whole records, no more of them than
//! are published, training batches of one length, labels in range.

use crate::{ImageError, Memory, SetInfo, Split};
use std::io::{self, Read};
use std::path::Path;

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
        let looked_for = vec![folder.join(&name), folder.join(ARCHIVE_FOLDER).join(&name)];
        let path = set.find_file(&format!("batch {name}"), looked_for)?;
        let records = append_batch(set, &path, &mut memory)?;
        let first = *first_records.get_or_insert(records);
        if records != first {
            let expected = format!("{first} images, as in data_batch_1.bin");
            return Err(set.unexpected(&path, expected, format!("{records}")));
        }
    }
    Ok(memory)
}

/// Appends the images and labels of a batch to `memory`, and returns how many.
fn append_batch(set: &SetInfo, path: &Path, memory: &mut Memory) -> Result<usize, ImageError> {
    let max_bytes = MAX_RECORDS * RECORD_BYTES;
    let read = read_at_most(path, max_bytes);
    let (bytes, size_bytes) = read.map_err(|source| set.unreadable(path, source))?;
    if size_bytes > max_bytes as u64 {
        let expected = format!("at most {max_bytes} bytes ({MAX_RECORDS} images)");
        let found = format!("{size_bytes} bytes (oversized)");
        return Err(set.unexpected(path, expected, found));
    }
    let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
    if bytes.is_empty() {
        let found = "an empty file: the split is empty";
        return Err(set.unexpected(path, "at least one image".into(), found.into()));
    }
    if !rest.is_empty() {
        let expected = format!("whole records of {RECORD_BYTES} bytes");
        let found = format!(
            "{} bytes: {} records and {} bytes over (truncated or oversized)",
            bytes.len(),
            records.len(),
            rest.len()
        );
        return Err(set.unexpected(path, expected, found));
    }
    let classes = set.classes.len();
    for (index, [label, pixels @ ..]) in records.iter().enumerate() {
        if usize::from(*label) >= classes {
            let found = format!("label {label} at index {index}");
            return Err(set.unexpected(path, format!("labels below {classes}"), found));
        }
        memory.labels.push(*label);
        memory.pixels.extend_from_slice(pixels);
    }
    Ok(records.len())
}

/// At most `max_bytes` of a file, and the size of the whole file in bytes.
fn read_at_most(path: &Path, max_bytes: usize) -> io::Result<(Vec<u8>, u64)> {
    let file = zoo_files::open(path)?;
    let size_bytes = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(max_bytes as u64).read_to_end(&mut bytes)?;
    Ok((bytes, size_bytes))
}
