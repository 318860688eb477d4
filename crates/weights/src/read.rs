//! Reading weights: one file, several, or a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::store::burn_pack::Tensor as Pickled;
use burn::store::{ModuleStore, PytorchStore};
use burn::tensor::{DType, Tensor, TensorData};
use safetensors::{Dtype, tensor::Metadata};

use crate::tree::{Leaf, Replace, leaves, replace};
use crate::{Origin, WeightsError};

/// The files of a folder from the hub, in the order of preference.
const IN_FOLDER: [&str; 4] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
];

/// Wrappers that some trainers save their weights in: `torch.nn.DataParallel`, `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The tensors of a file, by name; their bytes are read when they are asked for.
pub struct Tensors {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Entry {
    shape: Vec<usize>,
    bytes: Bytes,
}

#[derive(Clone)]
enum Bytes {
    /// In a safetensors file, from an offset on.
    Safe {
        file: PathBuf,
        dtype: DType,
        start: u64,
        len: usize,
    },
    /// In a pickle file.
    Pickled(Pickled),
}

impl Tensors {
    /// Opens `.safetensors`, `.pt`, `.pth`, `.bin`, an index of shards (`.index.json`), or a folder
    /// that holds one of them under the hub's name.
    ///
    /// # Errors
    /// A file that is not there, cannot be read, or is not what its name says.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        if path.is_dir() {
            let files = IN_FOLDER.iter().map(|name| path.join(name));
            let Some(file) = files.into_iter().find(|file| file.is_file()) else {
                let problem = format!("the folder holds none of {}", IN_FOLDER.join(", "));
                return Err(WeightsError::read(path, problem));
            };
            return Self::open(&file);
        }
        if !path.is_file() {
            return Err(WeightsError::read(path, "no such file"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let tensors = if name.ends_with(".index.json") {
            Self::sharded(path)
        } else if name.ends_with(".safetensors") {
            Self::safe(path)
        } else if [".pt", ".pth", ".bin", ".ckpt"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            Self::pickled(path)
        } else {
            let problem = "weights end in .safetensors, .pt, .pth, .bin or .index.json";
            Err(WeightsError::read(path, problem))
        };
        tensors.map(Self::unwrapped)
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
    /// A name that is not there, or bytes that cannot be read.
    pub fn get(&self, name: &str) -> Result<TensorData, WeightsError> {
        let fail = |problem: &dyn ToString| WeightsError::read(&self.path, problem.to_string());
        let entry = (self.entries.get(name)).ok_or_else(|| fail(&format!("no tensor {name}")))?;
        let (bytes, dtype) = match &entry.bytes {
            Bytes::Safe {
                file,
                dtype,
                start,
                len,
            } => {
                let mut bytes = vec![0; *len];
                let mut opened = File::open(file).map_err(|error| fail(&error))?;
                opened
                    .seek(SeekFrom::Start(*start))
                    .map_err(|error| fail(&error))?;
                opened
                    .read_exact(&mut bytes)
                    .map_err(|error| fail(&error))?;
                (bytes, *dtype)
            }
            Bytes::Pickled(tensor) => {
                let bytes = catch_unwind(AssertUnwindSafe(|| tensor.to_bytes()))
                    .map_err(|_| fail(&format!("{name}: not a tensor of torch.save")))?
                    .map_err(|error| fail(&format!("{name}: {error}")))?;
                (bytes.to_vec(), tensor.dtype)
            }
        };
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

    fn safe(path: &Path) -> Result<Self, WeightsError> {
        let fail = |problem: &dyn ToString| WeightsError::read(path, problem.to_string());
        let mut file = File::open(path).map_err(|error| fail(&error))?;
        let size = file.metadata().map_err(|error| fail(&error))?.len();
        // Eight bytes say how long the table is; what they say must fit into the file.
        let mut head = [0; 8];
        file.read_exact(&mut head)
            .map_err(|_| fail(&"not safetensors: shorter than its header"))?;
        let table = u64::from_le_bytes(head);
        if table > size.saturating_sub(8) {
            return Err(fail(
                &"not safetensors, or cut off: its header is longer than the file",
            ));
        }
        let mut buffer = Vec::new();
        file.take(table)
            .read_to_end(&mut buffer)
            .map_err(|error| fail(&error))?;
        let metadata: Metadata = serde_json::from_slice(&buffer)
            .map_err(|error| fail(&format!("not safetensors: {error}")))?;
        let data = 8 + table;
        if data + metadata.data_len() as u64 != size {
            let expected = data + metadata.data_len() as u64;
            return Err(fail(&format!(
                "{size} bytes, its header describes {expected}; it was cut off or added to"
            )));
        }
        let mut entries = BTreeMap::new();
        for (name, info) in metadata.tensors() {
            let Some(dtype) = dtype(info.dtype) else {
                return Err(fail(&format!(
                    "{name}: numbers of type {:?} are not read",
                    info.dtype
                )));
            };
            let (start, end) = info.data_offsets;
            let bytes = Bytes::Safe {
                file: path.to_owned(),
                dtype,
                start: data + start as u64,
                len: end - start,
            };
            entries.insert(
                name,
                Entry {
                    shape: info.shape.clone(),
                    bytes,
                },
            );
        }
        Ok(Self {
            path: path.to_owned(),
            entries,
            metadata: metadata
                .metadata()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        })
    }

    fn pickled(path: &Path) -> Result<Self, WeightsError> {
        let fail = |problem: &dyn ToString| WeightsError::read(path, problem.to_string());
        let read = |store: PytorchStore| {
            let mut store = store;
            // The reader is not ours, and a file may be anything.
            let all = AssertUnwindSafe(|| store.get_all_tensors().cloned());
            let tensors = catch_unwind(all)
                .map_err(|_| fail(&"not a file of torch.save"))?
                .map_err(|error| fail(&error))?;
            let entries = tensors.iter().map(|(name, tensor)| {
                let entry = Entry {
                    shape: tensor.shape.to_vec(),
                    bytes: Bytes::Pickled(tensor.clone()),
                };
                (name.clone(), entry)
            });
            Ok::<_, WeightsError>(entries.collect::<BTreeMap<_, _>>())
        };
        // Trainers put the weights under a key of their own, beside the optimizer's state; `model` is
        // one, too, but may be a part of the model's own names: see `load`.
        let mut entries = read(PytorchStore::from_file(path))?;
        for key in ["state_dict", "model_state_dict"] {
            let prefix = format!("{key}.");
            if entries.keys().any(|name| name.starts_with(&prefix)) {
                entries.retain(|name, _| name.starts_with(&prefix));
                entries = strip(entries, &prefix);
                break;
            }
        }
        if entries.is_empty() {
            return Err(fail(&"holds no tensors"));
        }
        Ok(Self {
            path: path.to_owned(),
            entries,
            metadata: BTreeMap::new(),
        })
    }

    /// Shards, by the index that says which tensor is in which of them.
    fn sharded(path: &Path) -> Result<Self, WeightsError> {
        let fail = |problem: &dyn ToString| WeightsError::read(path, problem.to_string());
        let text = std::fs::read_to_string(path).map_err(|error| fail(&error))?;
        let index: serde_json::Value = serde_json::from_str(&text).map_err(|error| fail(&error))?;
        let map = index
            .get("weight_map")
            .and_then(|map| map.as_object())
            .ok_or_else(|| fail(&"has no weight_map, the table of an index of shards"))?;
        let files: BTreeSet<&str> = map.values().filter_map(|file| file.as_str()).collect();
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut entries = BTreeMap::new();
        for file in files {
            // A shard lies beside its index; a path would lead elsewhere.
            if Path::new(file).components().count() != 1 {
                return Err(fail(&format!(
                    "the shard {file:?} is not a file beside the index"
                )));
            }
            let shard = folder.join(file);
            let opened = if file.ends_with(".safetensors") {
                Self::safe(&shard)
            } else {
                Self::pickled(&shard)
            };
            entries.extend(opened?.entries);
        }
        if let Some((name, file)) = map.iter().find(|(name, _)| !entries.contains_key(*name)) {
            return Err(fail(&format!("{name} is not in its shard {file}")));
        }
        Ok(Self {
            path: path.to_owned(),
            entries,
            metadata: BTreeMap::new(),
        })
    }

    fn unwrapped(mut self) -> Self {
        for wrapper in WRAPPERS {
            if !self.entries.is_empty() && self.entries.keys().all(|name| name.starts_with(wrapper))
            {
                self.entries = strip(self.entries, wrapper);
            }
        }
        self
    }
}

fn strip<T>(entries: BTreeMap<String, T>, prefix: &str) -> BTreeMap<String, T> {
    let entries = entries.into_iter();
    entries
        .map(|(name, entry)| (name.strip_prefix(prefix).unwrap_or(&name).to_owned(), entry))
        .collect()
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
        // As bytes: a mask that is never read as weights.
        Dtype::BOOL => DType::U8,
        _ => return None,
    })
}

/// What loading did beyond replacing every tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Tensors of ours that kept their values, since they were allowed to.
    pub kept: Vec<String>,
}

/// Reads weights into a model: every tensor, or none.
///
/// # Errors
/// A file that cannot be read, or any tensor that is missing, unexpected or of another shape: all of
/// them are named at once, and the model is as it was.
pub fn load<M: Module>(model: &mut M, path: &Path, origin: &Origin) -> Result<(), WeightsError> {
    load_except(model, path, origin, &|_| false).map(|_| ())
}

/// [`load`] for fine-tuning: tensors of ours for which `may_keep` says yes, such as those of a new
/// head, keep their values where the file has none of their shape.
///
/// # Errors
/// As [`load`].
pub fn load_except<M: Module>(
    model: &mut M,
    path: &Path,
    origin: &Origin,
    may_keep: &dyn Fn(&str) -> bool,
) -> Result<Loaded, WeightsError> {
    Tensors::open(path)?.load(model, origin, may_keep)
}

impl Tensors {
    /// [`load_except`] from a file that is open.
    pub(crate) fn load<M: Module>(
        &self,
        model: &mut M,
        origin: &Origin,
        may_keep: &dyn Fn(&str) -> bool,
    ) -> Result<Loaded, WeightsError> {
        let leaves = leaves(model);
        let within = self.below("model.").unwrapped();
        if within.fitting(&leaves, origin) > self.fitting(&leaves, origin) {
            return within.load(model, origin, may_keep);
        }
        // A checkpoint of ours has our own names, and layouts.
        let ours = Origin::default();
        let origin = if self.fitting(&leaves, &ours) > self.fitting(&leaves, origin) {
            &ours
        } else {
            origin
        };

        let mut problems = Vec::new();
        let mut loaded = Loaded::default();
        let mut chosen = Vec::new();
        let mut used = BTreeSet::new();
        for leaf in &leaves {
            let may_keep = may_keep(&leaf.path);
            let Some(place) = self.place(leaf, origin) else {
                if may_keep {
                    loaded.kept.push(leaf.path.clone());
                } else {
                    problems.push(format!("missing {}", origin.name(&leaf.path)));
                }
                continue;
            };
            used.insert(place.name.clone());
            let stored = self.shape(&place.name).unwrap_or_default();
            let expected = place.stored_shape(leaf);
            if stored == expected {
                chosen.push((leaf.path.clone(), place));
            } else if may_keep {
                loaded.kept.push(leaf.path.clone());
            } else {
                problems.push(format!(
                    "{} is {stored:?}, expected {expected:?}",
                    place.name
                ));
            }
        }
        let unexpected = self
            .names()
            .filter(|name| !used.contains(*name) && !origin.ignores(name));
        problems.extend(unexpected.map(|name| format!("unexpected {name}")));
        if !problems.is_empty() {
            return Err(WeightsError::Mismatch {
                path: self.path.clone(),
                problems,
            });
        }
        // Read all before the first is replaced: a disk may fail halfway.
        let mut values = BTreeMap::new();
        for (path, place) in chosen {
            values.insert(path, (self.get(&place.name)?, place.transposed));
        }
        *model = replace(model.clone(), &mut Fill(values));
        Ok(loaded)
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
            metadata: BTreeMap::new(),
        }
    }

    /// How many tensors of ours the file holds in their shapes.
    fn fitting(&self, leaves: &[Leaf], origin: &Origin) -> usize {
        let fits = |leaf: &&Leaf| {
            let place = self.place(leaf, origin);
            place.is_some_and(|place| {
                let stored = self.shape(&place.name).unwrap_or_default();
                stored == place.stored_shape(leaf)
            })
        };
        leaves.iter().filter(fits).count()
    }

    /// Where the file holds a tensor of ours, if it does.
    fn place(&self, leaf: &Leaf, origin: &Origin) -> Option<Place> {
        let name = origin.name(&leaf.path);
        let transposed = leaf.is_linear_weight() && origin.is_transposed(&name);
        let mut names = vec![name.clone()];
        names.extend(origin.copies_of(&name).map(str::to_owned));
        let mut spellings = names.iter().flat_map(|name| origin.spellings(name));
        let name = spellings.find(|name| self.shape(name).is_some())?;
        Some(Place { name, transposed })
    }
}

/// Where a file holds a tensor of ours.
struct Place {
    name: String,
    transposed: bool,
}

impl Place {
    fn stored_shape(&self, leaf: &Leaf) -> Vec<usize> {
        let mut shape = leaf.shape.clone();
        if self.transposed {
            shape.reverse();
        }
        shape
    }
}

/// Puts values in the place of a model's, by path.
struct Fill(BTreeMap<String, (TensorData, bool)>);

impl Replace for Fill {
    fn replace<const D: usize>(&mut self, leaf: Leaf, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((data, transposed)) = self.0.remove(&leaf.path) else {
            return param;
        };
        let data = if transposed { transpose(&data) } else { data };
        // In the device's own type, whatever the file's is.
        let tensor = Tensor::<D>::from_data(data, &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

/// A matrix with its axes swapped, in memory too: a device's products round differently over a view.
fn transpose(data: &TensorData) -> TensorData {
    let [rows, columns] = [data.shape()[0], data.shape()[1]];
    let (bytes, size) = (data.as_bytes(), data.dtype().size());
    let mut swapped = Vec::with_capacity(bytes.len());
    for column in 0..columns {
        for row in 0..rows {
            let at = (row * columns + column) * size;
            swapped.extend_from_slice(&bytes[at..at + size]);
        }
    }
    TensorData::from_bytes_vec(swapped, [columns, rows], data.dtype())
}
