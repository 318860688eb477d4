//! Reading weights into a model.

pub mod adapt;
mod search;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};

use self::adapt::{Adapt, Misfit};
use self::search::Search;

use crate::tree::{Leaf, Replace, leaves, replace};
use crate::{Origin, Tensors, WeightsError, shown};

/// What loading did beyond replacing every tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Tensors of ours that kept their values, since they were allowed to.
    pub kept: Vec<String>,
    /// What was read where a file holds more, or the names begin otherwise, and what was made to fit: a
    /// sentence for the user.
    pub note: Option<String>,
}

/// Reads weights into a model: every tensor, or none. [`load_except`] also says where they were found.
///
/// # Errors
/// A file that cannot be read, a tensor that holds NaN or infinity, or any that is missing,
/// unexpected, of another shape or no floating point: all of them are counted and the first of each
/// sort named, and the model is as it was.
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
    load_adapting(model, path, origin, &|path| match may_keep(path) {
        true => Misfit::Keep,
        false => Misfit::Refuse,
    })
}

/// [`load`] into a model of another size: `misfit` says of every tensor of ours, by its path, what is
/// done where the file has none of its shape.
///
/// # Errors
/// As [`load`].
pub fn load_adapting<M: Module>(
    model: &mut M,
    path: &Path,
    origin: &Origin,
    misfit: &dyn Fn(&str) -> Misfit,
) -> Result<Loaded, WeightsError> {
    Tensors::open(path)?.load(model, origin, misfit)
}

impl Tensors {
    /// [`load_adapting`] from a file that is open.
    pub(crate) fn load<M: Module>(
        &self,
        model: &mut M,
        origin: &Origin,
        misfit: &dyn Fn(&str) -> Misfit,
    ) -> Result<Loaded, WeightsError> {
        let leaves = leaves(model);
        // A checkpoint of ours has our own names, and layouts.
        let ours = Origin::default();
        // Data parallelism may have wrapped a part of a network.
        let is_wrapped = |name: &String| name.split('.').any(|part| part == "module");
        let plain = match self.entries.keys().any(is_wrapped) {
            true => self.clone().without(&["module"]).ok(),
            false => None,
        };
        let mut search = Search {
            tensors: self,
            leaves: &leaves,
            origins: origin.all().chain([&ours]).collect(),
            misfit,
        };
        let mut reading = search.reading();
        if let (true, Some(plain)) = (reading.is_err(), &plain) {
            search.tensors = plain;
            reading = search.reading().or(reading);
        }
        let reading = reading?;
        let tensors = search.tensors;

        // Read all before the first is replaced: a disk may fail halfway.
        let mut values = BTreeMap::new();
        for (path, source) in &reading.chosen {
            values.insert(path.clone(), source.read(tensors)?);
        }
        *model = replace(model.clone(), &mut Fill(values));
        let adapted = reading.chosen.iter();
        let adapted = adapted.filter_map(|(path, source)| Some(source.adapt?.note(path)));
        let notes: Vec<String> = reading.note().into_iter().chain(adapted).collect();
        Ok(Loaded {
            note: (!notes.is_empty())
                .then(|| format!("{}: {}", tensors.path.display(), notes.join("; "))),
            kept: reading.kept,
        })
    }
}

/// What is said of numbers that are not finite, in the file or in a model.
const NO_NUMBERS: &str = "NaN or infinity, as a training that diverged leaves it";
const TOO_LARGE: &str =
    "numbers above 3.4e38, the largest of single precision, in which models compute";

/// Where a file holds a tensor of ours, and how it lies there.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    name: String,
    transposed: bool,
    interleaved: Option<usize>,
    /// Where its shape is not ours.
    adapt: Option<Adapt>,
}

impl Source {
    fn stored_shape(&self, leaf: &Leaf) -> Vec<usize> {
        let mut shape = leaf.shape.clone();
        if self.transposed {
            shape.reverse();
        }
        shape
    }

    /// The shape of what a file holds as `stored`, laid out as ours.
    fn own_shape(&self, stored: &[usize]) -> Vec<usize> {
        let mut shape = stored.to_vec();
        if self.transposed {
            shape.reverse();
        }
        shape
    }

    /// The values, laid out as ours.
    fn read(&self, tensors: &Tensors) -> Result<TensorData, WeightsError> {
        let mut data = tensors.get(&self.name)?;
        if !is_finite(&data) {
            let is_large = data.dtype() == DType::F64 && data.iter::<f64>().all(f64::is_finite);
            return Err(WeightsError::NotFinite {
                path: tensors.path.clone(),
                name: shown(&self.name),
                problem: match is_large {
                    true => TOO_LARGE,
                    false => NO_NUMBERS,
                },
            });
        }
        if let Some(width) = self.interleaved {
            data = halves(&data, width);
        }
        let data = match self.transposed {
            true => transpose(&data),
            false => data,
        };
        Ok(match self.adapt {
            Some(adapt) => adapt.values(data),
            None => data,
        })
    }
}

/// Whether numbers are finite in single precision, in which models compute.
fn is_finite(data: &TensorData) -> bool {
    let bytes = data.as_bytes();
    // Of half a number's width, only the exponent tells.
    let has_exponent = |mask: u16| {
        let (halves, _) = bytes.as_chunks::<2>();
        halves
            .iter()
            .all(|half| u16::from_le_bytes(*half) & mask != mask)
    };
    match data.dtype() {
        DType::F64 => {
            let (numbers, _) = bytes.as_chunks::<8>();
            (numbers.iter()).all(|number| (f64::from_le_bytes(*number) as f32).is_finite())
        }
        DType::F32 => {
            let (numbers, _) = bytes.as_chunks::<4>();
            (numbers.iter()).all(|number| f32::from_le_bytes(*number).is_finite())
        }
        DType::F16 => has_exponent(0x7c00),
        DType::BF16 => has_exponent(0x7f80),
        _ => true,
    }
}

/// Puts values in the place of a model's, by path.
struct Fill(BTreeMap<String, TensorData>);

impl Replace for Fill {
    fn replace<const D: usize>(&mut self, leaf: Leaf, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(data) = self.0.remove(&leaf.path) else {
            return param;
        };
        // In the device's own type, whatever the file's is.
        let mut tensor = Tensor::<D>::from_data(data, &param.lazy_device());
        if tensor.dims().as_slice() != leaf.shape {
            tensor = over(param.val().detach(), tensor);
        }
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

/// `theirs` as far as it reaches along the one axis in which the shapes differ, cut or continued as
/// `ours` is.
fn over<const D: usize>(ours: Tensor<D>, theirs: Tensor<D>) -> Tensor<D> {
    let (wanted, given) = (ours.dims(), theirs.dims());
    let differing = (0..D).filter(|axis| wanted[*axis] != given[*axis]);
    differing.fold(theirs, |theirs, axis| {
        let (wanted, given) = (wanted[axis], given[axis]);
        match wanted.checked_sub(given) {
            None => theirs.narrow(axis, 0, wanted),
            Some(new) => Tensor::cat(vec![theirs, ours.clone().narrow(axis, given, new)], axis),
        }
    })
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

/// The rows `[out, in]` of heads of `width`, those with even numbers before those with odd ones.
fn halves(data: &TensorData, width: usize) -> TensorData {
    let (bytes, rows) = (data.as_bytes(), data.shape()[0]);
    let row = bytes.len() / rows.max(1);
    let mut ordered = Vec::with_capacity(bytes.len());
    for head in (0..rows).step_by(width) {
        for number in (0..width).step_by(2).chain((1..width).step_by(2)) {
            let at = (head + number) * row;
            ordered.extend_from_slice(&bytes[at..at + row]);
        }
    }
    TensorData::from_bytes_vec(ordered, data.shape().clone(), data.dtype())
}
