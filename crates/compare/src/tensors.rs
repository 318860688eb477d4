//! Tensors in safetensors files, read as float64 whatever their type.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use half::{bf16, f16};
use safetensors::tensor::{Dtype as Stored, TensorView};
use safetensors::{SafeTensors, serialize_to_file};

/// A tensor's shape and numbers, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The shape.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: Vec<f64>,
    /// Whether they were stored as integers.
    pub integers: bool,
}

impl Values {
    /// As input for a tensor, which converts it to its device's type.
    #[must_use]
    pub fn to_data(&self) -> TensorData {
        let shape = self.shape.clone();
        if self.integers {
            let numbers: Vec<i64> = self.data.iter().map(|number| *number as i64).collect();
            TensorData::new(numbers, shape)
        } else {
            TensorData::new(self.data.clone(), shape)
        }
    }
}

/// Why tensors could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct TensorsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

fn error(path: &Path, problem: impl ToString) -> TensorsError {
    TensorsError {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// Writes tensors by name.
///
/// # Errors
/// A file that cannot be written, or a type that safetensors does not have.
pub fn write(path: &Path, tensors: &[(String, TensorData)]) -> Result<(), TensorsError> {
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, data)| {
            let dtype = match data.dtype() {
                DType::F64 => Stored::F64,
                DType::F32 => Stored::F32,
                DType::F16 => Stored::F16,
                DType::BF16 => Stored::BF16,
                DType::I64 => Stored::I64,
                DType::I32 => Stored::I32,
                other => return Err(error(path, format!("{name}: no place for {other:?}"))),
            };
            let view = TensorView::new(dtype, data.shape().to_vec(), data.as_bytes());
            Ok((name.as_str(), view.map_err(|problem| error(path, problem))?))
        })
        .collect::<Result<_, _>>()?;
    serialize_to_file(views, None, path).map_err(|problem| error(path, problem))
}

/// Largest file that is read: float64 of eight billion numbers, far more than a comparison can hold.
const MOST_BYTES: u64 = 1 << 36;

/// Reads all tensors of a file.
///
/// # Errors
/// A file that cannot be read.
pub fn read(path: &Path) -> Result<BTreeMap<String, Values>, TensorsError> {
    let bytes = zoo_files::read(path, MOST_BYTES).map_err(|problem| error(path, problem))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|problem| error(path, problem))?;
    file.iter()
        .map(|(name, view)| {
            let data = floats(view.dtype(), view.data())
                .ok_or_else(|| error(path, format!("{name}: type {:?}", view.dtype())))?;
            let shape = view.shape().to_vec();
            let integers = matches!(view.dtype(), Stored::I64 | Stored::I32);
            let values = Values {
                shape,
                data,
                integers,
            };
            Ok((name.to_owned(), values))
        })
        .collect()
}

fn floats(dtype: Stored, bytes: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let (numbers, _) = bytes.as_chunks::<N>();
        numbers.iter().map(|number| value(*number)).collect()
    }
    Some(match dtype {
        Stored::F64 => each(bytes, f64::from_le_bytes),
        Stored::F32 => each(bytes, |number| f32::from_le_bytes(number).into()),
        Stored::F16 => each(bytes, |number| f16::from_le_bytes(number).into()),
        Stored::BF16 => each(bytes, |number| bf16::from_le_bytes(number).into()),
        Stored::I64 => each(bytes, |number| i64::from_le_bytes(number) as f64),
        Stored::I32 => each(bytes, |number| i32::from_le_bytes(number).into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let numbers = [1.5_f64, -2.0, 0.25];
        let tensors: Vec<(String, TensorData)> = [DType::F64, DType::F32, DType::F16, DType::BF16]
            .into_iter()
            .map(|dtype| {
                let data = TensorData::new(numbers.to_vec(), [3, 1]);
                (format!("{dtype:?}"), data.convert_dtype(dtype))
            })
            .chain([("ids".into(), TensorData::new(vec![7_i64, 8, 9], [3]))])
            .collect();
        write(&path, &tensors).unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back.len(), 5);
        for (name, values) in &back {
            let expected = if name == "ids" {
                vec![7.0, 8.0, 9.0]
            } else {
                numbers.to_vec()
            };
            assert_eq!(values.data, expected, "{name}");
        }
        assert!(read(&folder.path().join("none")).is_err());
    }
}
