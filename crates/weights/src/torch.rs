//! Files of `torch.save`: an archive with a pickle and raw numbers beside it, or, before PyTorch 1.6,
//! one pickle after the other with the numbers behind them.

mod tensors;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tensors::{collect, storages};
use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive, ZipReadOptions};

use crate::pickle::{Pickle, Value};
use crate::read::{Entry, Place};

/// The number with which files of PyTorch before 1.6 begin.
const OLD_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The same as the pickle protocols 0 and 1 spell it.
const OLD_MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n";

/// The longest pickle that is read, in bytes. Those of the largest models have some megabytes.
const LONGEST_PICKLE: u64 = 256 << 20;

/// What a file of `torch.save` holds.
pub(crate) struct Saved {
    /// The tensors by name: the keys on the way to them, joined by dots.
    pub entries: BTreeMap<String, Entry>,
    /// Numbers and text that are not deeper than in a dictionary of the outermost, by the same names.
    pub metadata: BTreeMap<String, String>,
    /// What the names in each dictionary begin with.
    pub sections: BTreeSet<String>,
}

/// Whether a file that begins with these bytes may be one of `torch.save`.
pub(crate) fn is_torch(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04")
        || head.starts_with(b"PK\x05\x06")
        || head.first() == Some(&0x80)
        || head.starts_with(OLD_MAGIC_TEXT)
}

/// Opens a file of `torch.save`.
pub(crate) fn open(path: &Path) -> Result<Saved, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    let mut start = (&mut file).take(64);
    start
        .read_to_end(&mut head)
        .map_err(|error| error.to_string())?;
    file.rewind().map_err(|error| error.to_string())?;
    if head.starts_with(b"PK") {
        archive(file)
    } else if head.windows(OLD_MAGIC.len()).any(|part| part == OLD_MAGIC)
        || head.starts_with(OLD_MAGIC_TEXT)
    {
        old(path, file)
    } else if head.first() == Some(&0x80) {
        Err("a pickle without tensors of PyTorch: save the model with torch.save".into())
    } else {
        Err("not a file of torch.save".into())
    }
}

fn archive(file: File) -> Result<Saved, String> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    // The archive begins where the file does. Left to find that out, the crate (9.8.2) guesses wrongly
    // where the folder in it has a name of 21 letters.
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let archive = ZipArchive::with_config(config, BufReader::new(file));
    let archive = archive.map_err(|error| format!("not a whole archive of torch.save: {error}"))?;
    let names = archive.file_names().collect::<Result<Vec<_>, _>>();
    let names = names.map_err(|error| error.to_string())?;
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let folders = names
        .iter()
        .filter_map(|name| name.strip_suffix("data.pkl"));
    let folders = folders.filter(|folder| folder.is_empty() || folder.ends_with('/'));
    let Some(folder) = folders.min_by_key(|folder| folder.len()) else {
        return Err("an archive, but not one of torch.save: it holds no data.pkl".into());
    };
    if names
        .iter()
        .any(|name| name.starts_with(&format!("{folder}code/")))
    {
        return Err(
            "a program of TorchScript: save the model's state_dict() with torch.save".into(),
        );
    }
    let archive = Arc::new(Archive {
        members: Mutex::new(Members {
            archive,
            checked: HashSet::new(),
        }),
        size,
    });
    let order = format!("{folder}byteorder");
    if names.contains(&order) && archive.text(&order, 16)?.starts_with(b"big") {
        return Err("its numbers are in the order of a big-endian machine".into());
    }
    let pickle = archive.text(&format!("{folder}data.pkl"), LONGEST_PICKLE)?;
    let pickle = Pickle::read(&mut Cursor::new(pickle))?;
    collect(&pickle, &|storage| {
        let name = format!("{folder}data/{}", storage.key);
        let (index, size) = archive
            .member(&name)
            .ok_or(format!("{name} is not in it"))?;
        Ok((Place::Archive(archive.clone(), index, 0), size))
    })
}

/// An archive whose members are read when they are asked for.
pub(crate) struct Archive {
    members: Mutex<Members>,
    size: u64,
}

struct Members {
    archive: ZipArchive<BufReader<File>>,
    /// Those whose check sum was right.
    checked: HashSet<usize>,
}

impl Archive {
    /// Where a member stands in the archive's list, and its size in bytes.
    fn member(&self, name: &str) -> Option<(usize, u64)> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let archive = &mut members.archive;
        let index = archive.index_for_name(name)?;
        let size = archive.by_index_raw(index).ok()?.size();
        Some((index, size))
    }

    /// A whole member, if it is no longer than `most` bytes.
    fn text(&self, name: &str, most: u64) -> Result<Vec<u8>, String> {
        let (index, size) = self.member(name).ok_or(format!("{name} is not in it"))?;
        // What is compressed could be of any length.
        let most = most.min(64 * self.size + 1024);
        if size > most {
            return Err(format!(
                "{name} has {size} bytes, more than the {most} that are read"
            ));
        }
        let bytes = self.read(index, 0, size as usize);
        bytes.map_err(|error| format!("{name}: {error}"))
    }

    /// `length` bytes of a member from `start` on. When a part of a member is read first, all of it is held
    /// against its check sum.
    pub(crate) fn read(&self, index: usize, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let Members { archive, checked } = &mut *members;
        let raw = archive.by_index_raw(index)?;
        let is_stored = raw.compression() == CompressionMethod::Stored;
        // PyTorch can be told to compute no sums; then they are 0.
        let has_sum = raw.crc32() != 0;
        drop(raw);
        let mut bytes = Vec::with_capacity(length.min(self.size as usize));
        let is_checked = checked.contains(&index);
        if is_stored && is_checked {
            let mut member = archive.by_index_seek(index)?;
            member.seek(SeekFrom::Start(start))?;
            member.take(length as u64).read_to_end(&mut bytes)?;
        } else {
            let options = ZipReadOptions::new().ignore_crc32(!has_sum || is_checked);
            let mut member = archive.by_index_with_options(index, options)?;
            io::copy(&mut (&mut member).take(start), &mut io::sink())?;
            (&mut member).take(length as u64).read_to_end(&mut bytes)?;
            if !is_checked {
                // The sum is checked where a member ends.
                io::copy(&mut member, &mut io::sink())?;
                checked.insert(index);
            }
        }
        if bytes.len() != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

/// PyTorch before 1.6: a magic number, a version, facts about the machine, the object, the keys of
/// the storages, and then the storages, each after its length.
fn old(path: &Path, file: File) -> Result<Saved, String> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let mut input = BufReader::new(file);
    for what in ["magic number", "version", "machine"] {
        let pickle = Pickle::read(&mut input).map_err(|error| format!("its {what}: {error}"))?;
        let Value::Dict(facts) = pickle.get(pickle.root()) else {
            continue;
        };
        let little = facts
            .iter()
            .find(|(key, _)| pickle.text(*key) == Some("little_endian"));
        if little.is_some_and(|(_, value)| matches!(pickle.get(*value), Value::Bool(false))) {
            return Err("its numbers are in the order of a big-endian machine".into());
        }
    }
    let pickle = Pickle::read(&mut input)?;
    let keys = Pickle::read(&mut input)?;
    let storages = storages(&pickle)?;
    let mut starts = HashMap::new();
    let mut at = input.stream_position().map_err(|error| error.to_string())?;
    for key in keys.members(keys.root()).unwrap_or_default() {
        let key = keys.key(*key).unwrap_or_default();
        let storage = storages
            .get(&key)
            .ok_or(format!("its storage {key} belongs to nothing"))?;
        let length = (storage.count)
            .checked_mul(storage.width())
            .map(|length| length as u64);
        let end = length.and_then(|length| at.checked_add(8)?.checked_add(length));
        let Some(end) = end.filter(|end| *end <= size) else {
            return Err("it was cut off: its numbers are not all there".into());
        };
        input
            .seek(SeekFrom::Start(at))
            .map_err(|error| error.to_string())?;
        let mut count = [0; 8];
        input
            .read_exact(&mut count)
            .map_err(|error| error.to_string())?;
        if u64::from_le_bytes(count) != storage.count as u64 {
            return Err(format!(
                "its storage {key} is not as long as its tensors say"
            ));
        }
        starts.insert(key, (at + 8, end - at - 8));
        at = end;
    }
    let path: Arc<Path> = path.into();
    collect(&pickle, &|storage| {
        let (start, size) = starts.get(&storage.key).ok_or("its storage is not there")?;
        Ok((Place::File(path.clone(), *start), *size))
    })
}
