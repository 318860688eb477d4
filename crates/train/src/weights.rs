//! Weights as safetensors in PyTorch's layout and names, so that a file from either side opens on
//! the other.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{
    ApplyResult, BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore,
};

use crate::run::advice_on;

/// Why weights could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be written.
    #[error("{}: writing failed: {problem}{}", path.display(), advice_on(problem))]
    Write {
        /// The weights file.
        path: PathBuf,
        /// What the store said.
        problem: String,
    },
    /// The file could not be read, or is not safetensors.
    #[error("{}: {problem}", path.display())]
    Read {
        /// The weights file.
        path: PathBuf,
        /// What the store said.
        problem: String,
    },
    /// The file is sound but belongs to another model.
    #[error("{} does not fit this model; {problems}", path.display())]
    Mismatch {
        /// The weights file.
        path: PathBuf,
        /// Every missing, unexpected and misshapen tensor.
        problems: String,
    },
}

/// Writes all weights and running statistics of a model.
///
/// # Errors
/// A file that cannot be written.
pub fn save<M: Module>(model: &M, path: &Path) -> Result<(), WeightsError> {
    let mut store = SafetensorsStore::from_file(path)
        .overwrite(true)
        // One entry, the one that Python's loaders ask for: the store would write several in an
        // order that changes from run to run, and equal weights must be equal files.
        .clear_metadata()
        .metadata("format", "pt")
        .with_to_adapter(BurnToPyTorchAdapter);
    // `valid` first merges the running statistics that each thread holds.
    model
        .valid()
        .save_into(&mut store)
        .map_err(|error| WeightsError::Write {
            path: path.to_owned(),
            problem: error.to_string(),
        })
}

/// Reads weights into a model of the same architecture. On an error the model is dropped, not
/// half-loaded.
///
/// # Errors
/// A file that cannot be read, or any tensor that is missing, unexpected or of another shape; all
/// of them are named at once.
pub fn load<M: Module>(mut model: M, path: &Path) -> Result<M, WeightsError> {
    if !path.is_file() {
        return Err(file(path, "no such file"));
    }
    let mut store = SafetensorsStore::from_file(path)
        .with_from_adapter(PyTorchToBurnAdapter)
        .validate(false)
        .allow_partial(true);
    let result = model
        .load_from(&mut store)
        .map_err(|error| file(path, error))?;
    let problems = problems(&result);
    if problems.is_empty() {
        return Ok(model);
    }
    Err(WeightsError::Mismatch {
        path: path.to_owned(),
        problems: problems.join("; "),
    })
}

fn problems(result: &ApplyResult) -> Vec<String> {
    // PyTorch counts the batches that batch norm has seen; Burn does not.
    let unexpected = result
        .unused
        .iter()
        .filter(|name| !name.ends_with("num_batches_tracked"));
    let missing = result
        .missing
        .iter()
        .map(|(name, _)| format!("missing {name}"));
    let unexpected = unexpected.map(|name| format!("unexpected {name}"));
    let errors = result.errors.iter().map(ToString::to_string);
    missing.chain(unexpected).chain(errors).collect()
}

fn file(path: &Path, problem: impl std::fmt::Display) -> WeightsError {
    WeightsError::Read {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[derive(Module, Debug)]
    struct Net {
        fc: Linear,
        norm: BatchNorm,
    }

    fn net(outputs: usize, device: &Device) -> Net {
        Net {
            fc: LinearConfig::new(3, outputs).init(device),
            norm: BatchNormConfig::new(outputs).init(device),
        }
    }

    #[test]
    fn weights_and_running_statistics_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let device = Device::flex();
        let trained = net(2, &device.clone().autodiff());
        let input = Tensor::<2>::ones([4, 3], &device.clone().autodiff()).mul_scalar(2.0);
        trained.norm.forward(trained.fc.forward(input)); // moves the running statistics
        save(&trained, &path).unwrap();

        let restored = load(net(2, &device), &path).unwrap();
        let bits = |net: &Net| {
            let net = net.valid();
            (
                net.fc.weight.val().into_data(),
                net.norm.running_mean.value().into_data(),
            )
        };
        assert_eq!(bits(&restored), bits(&trained));
        assert_ne!(
            bits(&restored).1,
            bits(&net(2, &device)).1,
            "the statistics had moved"
        );
    }

    #[test]
    fn equal_weights_are_equal_files_in_pytorchs_names() {
        let folder = tempfile::tempdir().unwrap();
        let model = net(2, &Device::flex());
        let write = |name: &str| {
            let path = folder.path().join(name);
            save(&model, &path).unwrap();
            std::fs::read(path).unwrap()
        };
        let first = write("0");
        assert!((1..20).all(|number| write(&number.to_string()) == first));
        let header = String::from_utf8_lossy(&first);
        for name in ["fc.weight", "norm.weight", "norm.bias", "norm.running_var"] {
            assert!(header.contains(&format!("\"{name}\"")), "{name}");
        }
        assert!(
            header.contains("[2,3]"),
            "a linear layer is stored as [outputs, inputs]"
        );
    }

    #[test]
    fn every_mismatch_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let device = Device::flex();
        save(&net(2, &device), &path).unwrap();
        let error = load(net(5, &device), &path).unwrap_err().to_string();
        for name in ["fc.weight", "fc.bias", "norm.gamma", "norm.running_mean"] {
            assert!(error.contains(name), "{name} is missing in: {error}");
        }
        let error = load(LinearConfig::new(3, 2).init(&device), &path)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("missing weight") && error.contains("unexpected fc.weight"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_or_absent_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        assert!(
            load(net(2, &Device::flex()), &path)
                .unwrap_err()
                .to_string()
                .contains("no such file")
        );
        std::fs::write(&path, b"not safetensors").unwrap();
        assert!(matches!(
            load(net(2, &Device::flex()), &path),
            Err(WeightsError::Read { .. })
        ));
    }
}
