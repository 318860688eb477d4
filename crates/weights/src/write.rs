//! Writing weights as safetensors.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::rc::Rc;

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::tree::{Leaf, Look, show};
use crate::{Origin, WeightsError};

/// Writes all weights and running statistics of a model, by the names of its origin and in the
/// model's own float type.
///
/// # Errors
/// A file that cannot be written.
pub fn save<M: Module>(model: &M, path: &Path, origin: &Origin) -> Result<(), WeightsError> {
    write(model, path, origin, None)
}

/// [`save`] in another float type.
///
/// # Errors
/// A file that cannot be written, or a type that is not f32, f16, bf16 or f64.
pub fn save_as<M: Module>(
    model: &M,
    path: &Path,
    origin: &Origin,
    dtype: DType,
) -> Result<(), WeightsError> {
    write(model, path, origin, Some(dtype))
}

fn write<M: Module>(
    model: &M,
    path: &Path,
    origin: &Origin,
    dtype: Option<DType>,
) -> Result<(), WeightsError> {
    let mut collect = Collect {
        origin,
        dtype,
        found: Vec::new(),
    };
    // `valid` first merges the running statistics that each thread holds.
    show(&model.valid(), &mut collect);
    let found: Result<Vec<_>, String> = collect.found.into_iter().collect();
    let found = found.map_err(|problem| WeightsError::write(path, problem))?;
    let mut names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let problem = format!("two tensors are called {} by the model's origin", pair[0]);
        return Err(WeightsError::write(path, problem));
    }
    stream(path, found).map_err(|error| WeightsError::write(path, error))
}

/// Writes a file whole or not at all, one tensor after the other: no more than the largest is in
/// memory twice. The crate's own writing leaves a file that only its owner may read.
fn stream(path: &Path, mut tensors: Vec<(String, Stored)>) -> io::Result<()> {
    // The largest types first, so that every number is aligned to its size.
    tensors.sort_by(|(name, a), (other, b)| b.dtype.cmp(&a.dtype).then(name.cmp(other)));
    let mut end = 0;
    let table = tensors.iter().map(|(name, stored)| {
        let start = end;
        end += stored.len;
        let info = TensorInfo {
            dtype: stored.dtype,
            shape: stored.shape.clone(),
            data_offsets: (start, end),
        };
        (name.clone(), info)
    });
    // One entry, the one that Python's loaders ask for: equal weights are equal files.
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let table = Metadata::new(Some(about), table.collect()).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&table)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    zoo_files::replace(path, |file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for (name, stored) in &tensors {
            let data = (stored.read)();
            if data.as_bytes().len() != stored.len {
                return Err(io::Error::other(format!(
                    "{name} changed while it was written"
                )));
            }
            file.write_all(data.as_bytes())?;
        }
        file.flush()
    })
}

struct Collect<'a> {
    origin: &'a Origin,
    dtype: Option<DType>,
    found: Vec<Result<(String, Stored), String>>,
}

impl Look for Collect<'_> {
    fn look<const D: usize>(&mut self, leaf: Leaf, param: &Param<Tensor<D>>) {
        let name = self.origin.name(&leaf.path);
        // The base of a weight with an adapter: the adapter's factors are leaves of their own.
        let mut tensor = param.base();
        if leaf.is_linear_weight() && self.origin.is_transposed(&name) {
            tensor = tensor.swap_dims(0, 1);
        }
        let dtype = self.dtype.unwrap_or(tensor.dtype());
        let Some(stored) = stored_type(dtype) else {
            let problem =
                format!("{name}: weights are saved as f32, f16, bf16 or f64, not {dtype:?}");
            self.found.push(Err(problem));
            return;
        };
        let shape = tensor.dims().to_vec();
        let stored = Stored {
            dtype: stored,
            len: shape.iter().product::<usize>() * dtype.size(),
            shape,
            read: Rc::new(move || tensor.to_data().convert_dtype(dtype)),
        };
        for copy in self.origin.copies_of(&name) {
            self.found.push(Ok((copy.to_owned(), stored.clone())));
        }
        if leaf.kind == "BatchNorm" && name.ends_with("running_mean") {
            let count = name.replace("running_mean", "num_batches_tracked");
            self.found.push(Ok((count, Stored::zero())));
        }
        self.found.push(Ok((name, stored)));
    }
}

fn stored_type(dtype: DType) -> Option<Dtype> {
    match dtype {
        DType::F64 => Some(Dtype::F64),
        DType::F32 => Some(Dtype::F32),
        DType::F16 => Some(Dtype::F16),
        DType::BF16 => Some(Dtype::BF16),
        _ => None,
    }
}

/// A tensor on its way into a file: read from its device when its turn comes to be written.
#[derive(Clone)]
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Bytes.
    len: usize,
    read: Rc<dyn Fn() -> TensorData>,
}

impl Stored {
    /// PyTorch's count of the batches that a batch norm has seen, which only matters to it where
    /// the momentum is none.
    fn zero() -> Self {
        Self {
            dtype: Dtype::I64,
            shape: Vec::new(),
            len: 8,
            read: Rc::new(|| TensorData::new(vec![0_i64], [1])),
        }
    }
}
