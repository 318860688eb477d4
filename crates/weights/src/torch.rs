//! Files of `torch.save`: an archive with a pickle and raw numbers beside it, or, before PyTorch 1.6,
//! one pickle after the other with the numbers behind them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::DType;
use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive, ZipReadOptions};

use crate::pickle::{Pickle, Ref, Value};
use crate::read::{Entry, Layout, Place};

/// The number with which files of PyTorch before 1.6 begin.
const OLD_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The longest pickle that is read, in bytes. Those of the largest models have some megabytes.
const LONGEST_PICKLE: u64 = 256 << 20;

/// Levels of dictionaries, lists and modules in which tensors are looked for.
const DEEPEST: usize = 64;

/// The longest name of a tensor, in bytes.
const LONGEST_NAME: usize = 1024;

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
    } else if head.windows(OLD_MAGIC.len()).any(|part| part == OLD_MAGIC) {
        old(path, file)
    } else if head.first() == Some(&0x80) {
        Err("a pickle without tensors of PyTorch: save the model with torch.save".into())
    } else {
        Err("not a file of torch.save".into())
    }
}

fn archive(file: File) -> Result<Saved, String> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    // The archive begins where the file does: left to find that out, the crate takes the last bytes
    // of a directory that happen to end as one does for its end.
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
        archive: Mutex::new(archive),
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
    archive: Mutex<ZipArchive<BufReader<File>>>,
    size: u64,
}

impl Archive {
    /// Where a member stands in the archive's list, and its size in bytes.
    fn member(&self, name: &str) -> Option<(usize, u64)> {
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// `length` bytes of a member from `start` on. A whole member is held against its check sum.
    pub(crate) fn read(&self, index: usize, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = archive.by_index_raw(index)?;
        let (size, sum) = (raw.size(), raw.crc32());
        let is_stored = raw.compression() == CompressionMethod::Stored;
        drop(raw);
        let mut bytes = Vec::with_capacity(length.min(self.size as usize));
        if is_stored && (start, length as u64) != (0, size) {
            // A part: the tensor is a view, and others may lie in the same member.
            let mut member = archive.by_index_seek(index)?;
            member.seek(SeekFrom::Start(start))?;
            member.take(length as u64).read_to_end(&mut bytes)?;
        } else {
            // PyTorch can be told to compute no sums; then they are 0.
            let options = ZipReadOptions::new().ignore_crc32(sum == 0);
            let mut member = archive.by_index_with_options(index, options)?;
            io::copy(&mut (&mut member).take(start), &mut io::sink())?;
            (&mut member).take(length as u64).read_to_end(&mut bytes)?;
            // The sum is checked where a member ends.
            let more = member.read(&mut [0])?;
            if more != 0 && start + length as u64 == size {
                return Err(io::Error::other("longer than the archive says"));
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

/// What a tensor's numbers lie in.
struct Storage {
    key: String,
    /// Of the numbers; none where the storage is of bytes, or of numbers that are not read.
    dtype: Result<DType, String>,
    /// Numbers.
    count: usize,
    /// Where the numbers of a view of another storage begin, in numbers.
    start: usize,
}

impl Storage {
    /// `('storage', class, key, device, count)`, in old files with a view behind it.
    fn read(pickle: &Pickle, id: Ref) -> Option<Self> {
        let [tag, class, key, _, count, more @ ..] = pickle.members(id)? else {
            return None;
        };
        let Value::Global(_, class) = pickle.get(*class) else {
            return None;
        };
        let view = more.first().and_then(|view| pickle.members(*view));
        let start = view.map_or(Some(0), |view| pickle.count(*view.get(1)?));
        (pickle.text(*tag) == Some("storage")).then_some(())?;
        Some(Self {
            key: pickle.key(*key)?,
            dtype: storage_type(class),
            count: pickle.count(*count)?,
            start: start?,
        })
    }

    fn width(&self) -> usize {
        self.dtype.as_ref().map_or(1, |dtype| dtype.size())
    }
}

/// Every storage that a pickle names, by its key.
fn storages(pickle: &Pickle) -> Result<HashMap<String, Storage>, String> {
    let mut storages = HashMap::new();
    for at in 0..pickle.len() {
        if let Value::Persistent(id) = pickle.get(at) {
            let storage =
                Storage::read(pickle, *id).ok_or("it names a storage in an unknown way")?;
            if let Err(class) = &storage.dtype {
                return Err(format!("it holds numbers of {class}, which are not read"));
            }
            storages.insert(storage.key.clone(), storage);
        }
    }
    Ok(storages)
}

fn storage_type(class: &str) -> Result<DType, String> {
    Ok(match class {
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "CharStorage" => DType::I8,
        // As bytes: a mask that is never read as weights.
        "ByteStorage" | "BoolStorage" => DType::U8,
        other => return Err(other.to_owned()),
    })
}

fn torch_dtype(name: &str) -> Result<DType, String> {
    Ok(match name {
        "float32" => DType::F32,
        "float64" => DType::F64,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "int64" => DType::I64,
        "int32" => DType::I32,
        "int16" => DType::I16,
        "int8" => DType::I8,
        "uint64" => DType::U64,
        "uint32" => DType::U32,
        "uint16" => DType::U16,
        "uint8" | "bool" => DType::U8,
        other => return Err(format!("torch.{other}")),
    })
}

/// Finds a storage: where its bytes begin, and how many there are.
type Find<'a> = &'a dyn Fn(&Storage) -> Result<(Place, u64), String>;

/// The tensors of a pickle.
fn collect(pickle: &Pickle, find: Find<'_>) -> Result<Saved, String> {
    let mut walk = Walk {
        pickle,
        find,
        visits: 0,
        named: 0,
        saved: Saved {
            entries: BTreeMap::new(),
            metadata: BTreeMap::new(),
            sections: BTreeSet::new(),
        },
    };
    walk.visit(pickle.root(), "", 0)?;
    Ok(walk.saved)
}

struct Walk<'a> {
    pickle: &'a Pickle,
    find: Find<'a>,
    /// Values that were looked at, and bytes of names that were given.
    visits: usize,
    named: usize,
    saved: Saved,
}

impl Walk<'_> {
    fn visit(&mut self, at: Ref, name: &str, depth: usize) -> Result<(), String> {
        // A few values that hold each other make endlessly many paths.
        self.visits += 1;
        self.named += name.len();
        let most = 10_000 + 8 * self.pickle.len();
        if depth > DEEPEST || self.visits > most || self.named > 100 * most {
            return Err("its values hold each other over and over; no file of weights does".into());
        }
        let pickle = self.pickle;
        match pickle.get(at) {
            Value::Dict(pairs) | Value::Object { pairs, .. } if !pairs.is_empty() => {
                for (key, value) in pairs {
                    // A module within a module is a part of the same names.
                    if let (Some(key), Value::Module(_) | Value::Dict(_)) =
                        (pickle.key(*key), pickle.get(*value))
                    {
                        let section = joined(name, &key)? + ".";
                        self.saved.sections.insert(section);
                    }
                }
                self.visit_pairs(pairs, name, depth)
            }
            Value::Module(pairs) => self.visit_pairs(pairs, name, depth),
            Value::List(members) | Value::Tuple(members) | Value::Object { items: members, .. } => {
                for (number, member) in members.iter().enumerate() {
                    self.visit(*member, &joined(name, &number.to_string())?, depth + 1)?;
                }
                Ok(())
            }
            Value::Tensor { how, arguments } => {
                let entry = self
                    .tensor(how, *arguments)
                    .map_err(|error| format!("{name}: {error}"))?;
                self.saved.entries.insert(name.to_owned(), entry);
                Ok(())
            }
            value => {
                let said = match value {
                    Value::Bool(value) => value.to_string(),
                    Value::Int(value) => value.to_string(),
                    Value::Float(value) => value.to_string(),
                    Value::Text(value) if value.len() <= LONGEST_NAME => value.to_string(),
                    _ => return Ok(()),
                };
                if depth <= 2 {
                    self.saved.metadata.insert(name.to_owned(), said);
                }
                Ok(())
            }
        }
    }

    fn visit_pairs(
        &mut self,
        pairs: &[(Ref, Ref)],
        name: &str,
        depth: usize,
    ) -> Result<(), String> {
        for (key, value) in pairs {
            // A key that is neither text nor a number names no tensor of a model.
            if let Some(key) = self.pickle.key(*key) {
                self.visit(*value, &joined(name, &key)?, depth + 1)?;
            }
        }
        Ok(())
    }

    /// `_rebuild_tensor_v2(storage, start, shape, strides, …)`
    fn tensor(&self, how: &str, arguments: Ref) -> Result<Entry, String> {
        let pickle = self.pickle;
        let unread = |what: String| {
            Ok(Entry {
                shape: Vec::new(),
                layout: Err(what),
            })
        };
        if ![
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_tensor_v3",
        ]
        .contains(&how)
        {
            return unread(format!("torch._utils.{how}"));
        }
        let damaged = "a tensor is described in an unknown way";
        let arguments = pickle.members(arguments).ok_or(damaged)?;
        let [storage, start, shape, strides, more @ ..] = arguments else {
            return Err(damaged.into());
        };
        let Value::Persistent(id) = pickle.get(*storage) else {
            return Err(damaged.into());
        };
        let storage = Storage::read(pickle, *id).ok_or(damaged)?;
        let sides = |at: &Ref| -> Option<Vec<usize>> {
            let sides = pickle.members(*at)?.iter();
            sides.map(|side| pickle.count(*side)).collect()
        };
        let (shape, strides) = (sides(shape).ok_or(damaged)?, sides(strides).ok_or(damaged)?);
        let start = pickle.count(*start).ok_or(damaged)?;
        let dtype = match more.get(2).map(|dtype| pickle.get(*dtype)) {
            Some(Value::Global(_, name)) if how == "_rebuild_tensor_v3" => torch_dtype(name),
            _ => storage.dtype.clone(),
        };
        let dtype = match dtype {
            Ok(dtype) => dtype,
            Err(class) => {
                return Ok(Entry {
                    shape,
                    layout: Err(format!("numbers of {class}")),
                });
            }
        };
        let (place, size) = (self.find)(&storage)?;
        let outside = "a tensor reaches beyond its numbers";
        let numbers = extent(&shape, &strides).ok_or(outside)?;
        let first = storage.start.checked_add(start).ok_or(outside)?;
        let bytes = |count: usize| count.checked_mul(dtype.size());
        let (first, length) = (bytes(first).ok_or(outside)?, bytes(numbers).ok_or(outside)?);
        if first
            .checked_add(length)
            .is_none_or(|end| end as u64 > size)
        {
            return Err(outside.into());
        }
        if shape.iter().product::<usize>() > numbers {
            return Ok(Entry {
                shape,
                layout: Err("a view that shows a number more than once".into()),
            });
        }
        let is_plain = is_contiguous(&shape, &strides);
        Ok(Entry {
            shape,
            layout: Ok(Layout {
                dtype,
                place: place.further(first as u64),
                length,
                strides: (!is_plain).then_some(strides),
            }),
        })
    }
}

fn joined(name: &str, key: &str) -> Result<String, String> {
    if name.len() + key.len() >= LONGEST_NAME {
        return Err(format!("a name of more than {LONGEST_NAME} bytes"));
    }
    Ok(match name {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    })
}

/// From the first number of a view to behind its last; none where it is no number of this machine.
fn extent(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.len() != strides.len() {
        return None;
    }
    shape
        .iter()
        .try_fold(1_usize, |count, side| count.checked_mul(*side))?;
    if shape.contains(&0) {
        return Some(0);
    }
    let mut steps = shape.iter().zip(strides);
    let last = steps.try_fold(0_usize, |last, (side, stride)| {
        last.checked_add((side - 1).checked_mul(*stride)?)
    });
    last?.checked_add(1)
}

/// Whether numbers lie as they are counted. A side of one has a stride that means nothing.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(side, stride)| {
        let fits = *side == 1 || *stride == expected;
        expected *= side;
        fits
    })
}
