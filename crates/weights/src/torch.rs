//! Files of `torch.save`: an archive with a pickle and raw numbers beside it, or, before PyTorch 1.6,
//! one pickle after the other with the numbers behind them.

mod directory;
mod tensors;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use directory::Directory;
use flate2::CrcReader;
use flate2::read::DeflateDecoder;
use tensors::{collect, storages};

use crate::pickle::{LONGEST_PICKLE, Pickle, Value};
use crate::read::{Entry, Place};

/// The number with which files of PyTorch before 1.6 begin.
const OLD_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The same as the pickle protocols 0 and 1 spell it.
const OLD_MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n";

/// What a file may unpack to for each of its bytes: the pickle of an archive, and all that is read of
/// its numbers. Weights become a tenth smaller at most where someone compresses them, and tensors that
/// share a compressed member are unpacked from its beginning each time.
const PICKLE_PER_BYTE: u64 = 8;
const READ_PER_BYTE: u64 = 64;

/// The same for a file of no size.
const PICKLE_AT_LEAST: u64 = 1 << 10;
const READ_AT_LEAST: u64 = 1 << 20;

/// A tensor may show one of so many numbers of its storage, or of a storage of so many bytes: all are
/// read once, because the sum is of all.
const SHOWN_OF: u64 = 64;
const STORAGE_AT_LEAST: u64 = 4 << 30;

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
    let mut file = zoo_files::open(path).map_err(|error| error.to_string())?;
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

fn archive(mut file: File) -> Result<Saved, String> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let directory = Directory::read(&mut file, size)
        .map_err(|problem| format!("not a whole archive of torch.save: {problem}"))?;
    let folders = (directory.names()).filter_map(|name| name.strip_suffix("data.pkl"));
    let folders = folders.filter(|folder| folder.is_empty() || folder.ends_with('/'));
    let Some(folder) = folders.min_by_key(|folder| (folder.len(), *folder)) else {
        return Err("an archive, but not one of torch.save: it holds no data.pkl".into());
    };
    let folder = folder.to_owned();
    let code = format!("{folder}code/");
    if directory.names().any(|name| name.starts_with(&code)) {
        return Err(
            "a program of TorchScript: save the model's state_dict() with torch.save".into(),
        );
    }
    let archive = Arc::new(Archive {
        directory,
        size,
        open: Mutex::new(Open {
            file,
            checked: HashSet::new(),
            passed: 0,
        }),
    });
    let order = archive.text(&format!("{folder}byteorder"), 16);
    if order
        .transpose()?
        .is_some_and(|order| order.starts_with(b"big"))
    {
        return Err("its numbers are in the order of a big-endian machine".into());
    }
    let name = format!("{folder}data.pkl");
    let most = PICKLE_PER_BYTE * size + PICKLE_AT_LEAST;
    let pickle = archive.text(&name, most).ok_or("it holds no data.pkl")??;
    let pickle = Pickle::read(&mut pickle.as_slice())?;
    collect(&pickle, size, &|storage| {
        let name = format!("{folder}data/{}", storage.key);
        let index = archive.directory.number(&name);
        let index = index.ok_or_else(|| format!("{name} is not in it"))?;
        let size = archive.directory.members[index].size;
        Ok((Place::Archive(archive.clone(), index, 0), size))
    })
}

/// An archive whose members are read when they are asked for.
pub(crate) struct Archive {
    directory: Directory,
    size: u64,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    /// Members whose check sum was right.
    checked: HashSet<usize>,
    /// Bytes that were read of members, unpacked.
    passed: u64,
}

impl Archive {
    /// A whole member, if there is one, and if it is no longer than `most` bytes.
    fn text(&self, name: &str, most: u64) -> Option<Result<Vec<u8>, String>> {
        let index = self.directory.number(name)?;
        let size = self.directory.members[index].size;
        if size > most.min(LONGEST_PICKLE) {
            return Some(Err(format!(
                "{name} has {size} bytes, more than the {} that are read of an archive of {}",
                most.min(LONGEST_PICKLE),
                self.size
            )));
        }
        let bytes = self.read(index, 0, size as usize);
        Some(bytes.map_err(|error| format!("{name}: {error}")))
    }

    /// `length` bytes of a member from `start` on. When a part of a member is read first, all of it is held
    /// against its check sum.
    pub(crate) fn read(&self, index: usize, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let refuse = |problem: String| io::Error::new(io::ErrorKind::FileTooLarge, problem);
        let member = self.directory.members[index];
        let end = start.saturating_add(length as u64);
        if end > member.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_checked = member.sum == 0 || open.checked.contains(&index);
        let passes = match (is_checked, member.is_packed) {
            (false, _) => member.size,
            (true, true) => end,
            (true, false) => length as u64,
        };
        if passes > STORAGE_AT_LEAST.max(SHOWN_OF * length as u64) {
            return Err(refuse(format!(
                "it shows {length} bytes of a storage of {passes}; save a copy of it, made with clone()"
            )));
        }
        let most = READ_PER_BYTE * self.size + READ_AT_LEAST;
        open.passed += passes;
        if open.passed > most {
            return Err(refuse(format!(
                "more than {most} bytes would be unpacked from an archive of {}; save it without \
                 compression, as torch.save does",
                self.size
            )));
        }
        let (at, packed) = member.find(&mut open.file, self.size)?;
        let skipped = if is_checked && !member.is_packed {
            start
        } else {
            0
        };
        open.file.seek(SeekFrom::Start(at + skipped))?;
        let input = BufReader::new((&mut open.file).take(packed - skipped));
        let input: Box<dyn Read + '_> = match member.is_packed {
            true => Box::new(DeflateDecoder::new(input)),
            false => Box::new(input),
        };
        let mut input = CrcReader::new(input.take(member.size - skipped));
        io::copy(&mut (&mut input).take(start - skipped), &mut io::sink())?;
        let mut bytes = vec![0; length];
        input.read_exact(&mut bytes)?;
        if !is_checked {
            io::copy(&mut input, &mut io::sink())?;
            if input.crc().sum() != member.sum {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "wrong checksum"));
            }
            drop(input);
            open.checked.insert(index);
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
    collect(&pickle, size, &|storage| {
        let (start, size) = starts.get(&storage.key).ok_or("its storage is not there")?;
        Ok((Place::File(path.clone(), *start), *size))
    })
}
