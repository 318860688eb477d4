//! Reading weights: one file, several, or a folder.

mod safe;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{BoolStore, DType, TensorData};
use safe::Table;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Deserialize;

use crate::WeightsError;
use crate::torch::{self, Archive};

/// The files of weights of a folder from the hub, in the order of preference.
pub const IN_FOLDER: [&str; 4] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
];

/// Parts of names that PyTorch puts in where it wraps a module (`torch.compile`, FSDP, activation
/// checkpoints), at any depth. No module of a model is called so.
const WRAPPED: [&str; 3] = [
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
];

/// The longest name of a tensor, in bytes. Those of the deepest models have a hundred.
pub(crate) const LONGEST_NAME: usize = 1024;

/// The longest index of shards, in bytes, and the most shards. The largest models (DeepSeek's) have
/// 9 MB and 163.
const LONGEST_INDEX: u64 = 64 << 20;
const MOST_SHARDS: usize = 4096;

/// The tensors of a file, by name; their bytes are read when they are asked for.
#[derive(Clone)]
pub struct Tensors {
    pub(crate) path: PathBuf,
    pub(crate) entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
    /// What the names of each dictionary of a pickle begin with.
    pub(crate) sections: BTreeSet<String>,
}

/// A tensor of a file.
#[derive(Clone)]
pub(crate) struct Entry {
    pub shape: Vec<usize>,
    /// Where its numbers are; or what they are, if such are not read.
    pub layout: Result<Layout, String>,
}

/// Where a tensor's numbers are.
#[derive(Clone)]
pub(crate) struct Layout {
    pub dtype: DType,
    pub place: Place,
    /// Bytes from the first to behind the last.
    pub length: usize,
    /// Steps between neighbours along each side, in numbers, where they do not lie in order.
    pub strides: Option<Vec<usize>>,
    /// Floating point whose values are those with the other sign.
    pub is_negated: bool,
}

/// Where bytes begin.
#[derive(Clone)]
pub(crate) enum Place {
    /// In a file.
    File(Arc<Path>, u64),
    /// In a member of an archive, of this number.
    Archive(Arc<Archive>, usize, u64),
}

impl Place {
    /// A place this many bytes further.
    pub(crate) fn further(self, bytes: u64) -> Self {
        match self {
            Self::File(path, start) => Self::File(path, start + bytes),
            Self::Archive(archive, member, start) => Self::Archive(archive, member, start + bytes),
        }
    }

    fn read(&self, length: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::File(path, start) => {
                let mut bytes = vec![0; length];
                let mut file = zoo_files::open(path)?;
                file.seek(SeekFrom::Start(*start))?;
                file.read_exact(&mut bytes)?;
                Ok(bytes)
            }
            Self::Archive(archive, member, start) => archive.read(*member, *start, length),
        }
    }

    /// Whether the two are the same bytes of the same file.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a, start), Self::File(b, other)) => a == b && start == other,
            (Self::Archive(a, member, start), Self::Archive(b, of, other)) => {
                Arc::ptr_eq(a, b) && (member, start) == (of, other)
            }
            _ => false,
        }
    }
}

impl Layout {
    fn read(&self, shape: &[usize]) -> io::Result<Vec<u8>> {
        let mut bytes = self.place.read(self.length)?;
        if let Some(strides) = &self.strides {
            bytes = in_order(&bytes, shape, strides, self.dtype.size());
        }
        if self.is_negated {
            // The highest bit of the last byte is the sign, in floating point of any width.
            for number in bytes.chunks_exact_mut(self.dtype.size()) {
                number[self.dtype.size() - 1] ^= 0x80;
            }
        }
        Ok(bytes)
    }

    /// Whether the two are the same view of the same bytes.
    fn is(&self, other: &Self) -> bool {
        let view = |layout: &Self| (layout.dtype, layout.length, layout.is_negated);
        view(self) == view(other) && self.strides == other.strides && self.place.is(&other.place)
    }
}

/// The numbers of a view as they are counted.
fn in_order(bytes: &[u8], shape: &[usize], strides: &[usize], size: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut ordered = Vec::with_capacity(count * size);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at: usize = index
            .iter()
            .zip(strides)
            .map(|(i, stride)| i * stride)
            .sum();
        ordered.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for side in (0..shape.len()).rev() {
            index[side] += 1;
            if index[side] < shape[side] {
                break;
            }
            index[side] = 0;
        }
    }
    ordered
}

impl Tensors {
    /// Opens safetensors, a file of `torch.save` (`.pt`, `.pth`, `.bin`, `.ckpt`), an index of shards
    /// (`.index.json`), or a folder that holds one of them under the hub's name. What a file is, its
    /// beginning tells.
    ///
    /// # Errors
    /// A file that is not there, cannot be read, or is none of these.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let mut file = path.to_owned();
        if path.is_dir() {
            let files = IN_FOLDER.iter().map(|name| path.join(name));
            file = files
                .into_iter()
                .find(|file| file.exists())
                .ok_or_else(|| {
                    let problem = format!("the folder holds none of {}", IN_FOLDER.join(", "));
                    WeightsError::read(path, problem)
                })?;
        }
        let path = file.as_path();
        if !path.exists() {
            return Err(WeightsError::read(path, "no such file"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let tensors = match name.ends_with(".index.json") {
            true => Self::sharded(path),
            false => Self::single(path),
        };
        tensors?.unwrapped()
    }

    fn single(path: &Path) -> Result<Self, WeightsError> {
        let fail = |problem: &dyn ToString| WeightsError::read(path, problem.to_string());
        let mut head = Vec::new();
        let file = zoo_files::open(path).map_err(|error| fail(&error))?;
        let read = file.take(64).read_to_end(&mut head);
        read.map_err(|error| fail(&error))?;
        if head.starts_with(b"version https://git-lfs") {
            return Err(fail(
                &"a pointer of Git LFS in the place of the weights; `git lfs pull` fetches them",
            ));
        }
        let is_safe = path.extension().is_some_and(|end| end == "safetensors");
        if is_safe || head.get(8) == Some(&b'{') {
            return Self::safe(path);
        }
        if !torch::is_torch(&head) {
            return Err(fail(
                &"neither safetensors nor a file of torch.save, by its first bytes",
            ));
        }
        let saved = torch::open(path).map_err(|problem| fail(&problem))?;
        if saved.entries.is_empty() {
            return Err(fail(&"holds no tensors"));
        }
        Ok(Self {
            path: path.to_owned(),
            entries: saved.entries,
            metadata: saved.metadata,
            sections: saved.sections,
        })
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// A tensor's shape, as it is stored.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// What a safetensors file says about itself.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Reads a tensor, in the type in which it is stored.
    ///
    /// # Errors
    /// A name that is not there, bytes that cannot be read, or numbers of a type that is not.
    pub fn get(&self, name: &str) -> Result<TensorData, WeightsError> {
        let fail = |problem: &dyn ToString| WeightsError::read(&self.path, problem.to_string());
        let entry = (self.entries.get(name)).ok_or_else(|| fail(&format!("no tensor {name}")))?;
        let layout = (entry.layout.as_ref())
            .map_err(|what| fail(&format!("{name} is stored as {what}, which cannot be read")))?;
        let bytes = layout.read(&entry.shape);
        let bytes = bytes.map_err(|error| fail(&format!("{name}: {error}")))?;
        let dtype = layout.dtype;
        let expected =
            (entry.shape.iter()).try_fold(dtype.size(), |size, side| size.checked_mul(*side));
        if expected != Some(bytes.len()) {
            let problem = format!(
                "{name}: {} bytes for {:?} of {dtype:?}",
                bytes.len(),
                entry.shape
            );
            return Err(fail(&problem));
        }
        Ok(TensorData::from_bytes_vec(
            bytes,
            entry.shape.clone(),
            dtype,
        ))
    }

    /// Whether two tensors hold the same numbers.
    pub(crate) fn are_equal(&self, one: &str, other: &str) -> Result<bool, WeightsError> {
        if let (Some(a), Some(b)) = (self.entries.get(one), self.entries.get(other)) {
            if a.shape != b.shape {
                return Ok(false);
            }
            if let (Ok(a), Ok(b)) = (&a.layout, &b.layout)
                && a.is(b)
            {
                return Ok(true);
            }
        }
        let (one, other) = (self.get(one)?, self.get(other)?);
        // Bit by bit: what is no number equals itself.
        Ok(one.dtype() == other.dtype() && one.as_bytes() == other.as_bytes())
    }

    fn safe(path: &Path) -> Result<Self, WeightsError> {
        let file = zoo_files::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) = file.map_err(|error| WeightsError::read(path, error))?;
        let table = Table::read(file, size);
        let table = table.map_err(|problem| WeightsError::read(path, problem))?;
        let whole: Arc<Path> = path.into();
        let entry = |info: TensorInfo| {
            let (start, end) = info.data_offsets;
            let layout = dtype(info.dtype).map(|dtype| Layout {
                dtype,
                place: Place::File(whole.clone(), table.data + start as u64),
                length: end - start,
                strides: None,
                is_negated: false,
            });
            Entry {
                shape: info.shape,
                layout: layout.ok_or_else(|| format!("numbers of type {:?}", info.dtype)),
            }
        };
        let entries = table.tensors.into_iter();
        Ok(Self {
            path: path.to_owned(),
            entries: entries.map(|(name, info)| (name, entry(info))).collect(),
            metadata: table.metadata,
            sections: BTreeSet::new(),
        })
    }

    /// Shards, by the index that says which tensor is in which of them.
    fn sharded(path: &Path) -> Result<Self, WeightsError> {
        let fail = |problem: &dyn ToString| WeightsError::read(path, problem.to_string());
        let text = zoo_files::read_text(path, LONGEST_INDEX).map_err(|error| fail(&error))?;
        #[derive(Deserialize)]
        struct Index {
            #[serde(default)]
            weight_map: Option<BTreeMap<String, String>>,
        }
        let index: Index = serde_json::from_str(&text).map_err(|error| fail(&error))?;
        let map = (index.weight_map)
            .ok_or_else(|| fail(&"has no weight_map, the table of an index of shards"))?;
        let files: BTreeSet<&str> = map.values().map(String::as_str).collect();
        if files.len() > MOST_SHARDS {
            let problem = format!("names {} shards, more than {MOST_SHARDS}", files.len());
            return Err(fail(&problem));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let (mut entries, mut unlisted) = (BTreeMap::new(), BTreeMap::new());
        let mut seen = BTreeMap::new();
        for file in files {
            // A shard lies beside its index; a path would lead elsewhere.
            zoo_files::check_name(file).map_err(|problem| {
                fail(&format!(
                    "the shard {file:.200?} is not a file beside the index: {problem}"
                ))
            })?;
            let place = folder.join(file);
            // Links, of which a folder may hold thousands, would have one file read as often.
            if let Some(other) = identity(&place).and_then(|place| seen.insert(place, file)) {
                return Err(fail(&format!("the shards {other} and {file} are one file")));
            }
            let shard = Self::single(&place)?;
            for (name, entry) in shard.entries {
                match map.get(&name) {
                    Some(listed) if listed != file => continue,
                    Some(_) => {}
                    // What an index does not list is kept, to be refused with all that does not fit.
                    None => {
                        if let Some(other) = unlisted.insert(name.clone(), file) {
                            return Err(fail(&format!(
                                "{name} is in two shards, {other} and {file}, and the index lists \
                                 it in neither"
                            )));
                        }
                    }
                }
                entries.insert(name, entry);
            }
        }
        if let Some((name, file)) = map.iter().find(|(name, _)| !entries.contains_key(*name)) {
            return Err(fail(&format!("{name} is not in its shard {file}")));
        }
        Ok(Self {
            path: path.to_owned(),
            entries,
            metadata: BTreeMap::new(),
            sections: BTreeSet::new(),
        })
    }

    /// Without what wraps a module, wherever it stands.
    fn unwrapped(self) -> Result<Self, WeightsError> {
        let path = self.path.clone();
        self.without(&WRAPPED).map_err(|name| {
            let problem = format!("two tensors are called {name}, apart from wrappers");
            WeightsError::read(&path, problem)
        })
    }

    /// The same tensors, these parts left out of their names; or the name that two would have.
    pub(crate) fn without(self, parts: &[&str]) -> Result<Self, String> {
        let shorten = |name: &str| {
            let kept: Vec<&str> = name
                .split('.')
                .filter(|part| !parts.contains(part))
                .collect();
            kept.join(".")
        };
        let mut entries = BTreeMap::new();
        for (name, entry) in self.entries {
            let name = shorten(&name);
            if entries.insert(name.clone(), entry).is_some() {
                return Err(name);
            }
        }
        Ok(Self {
            entries,
            sections: self.sections.iter().map(|name| shorten(name)).collect(),
            ..self
        })
    }

    /// The tensors whose names begin with `prefix`, without it.
    pub(crate) fn below(&self, prefix: &str) -> Self {
        let entries = self.entries.iter().filter_map(|(name, entry)| {
            let name = name.strip_prefix(prefix)?;
            Some((name.to_owned(), entry.clone()))
        });
        Self {
            path: self.path.clone(),
            entries: entries.collect(),
            metadata: self.metadata.clone(),
            sections: BTreeSet::new(),
        }
    }
}

/// What a file is known by, whatever it is called; none where it is not there, or the system has no
/// such thing.
fn identity(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata = path.metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}
