//! A model held against numbers that its origin computed: output, gradient of every parameter,
//! losses of a few steps of plain SGD.
//!
//! The numbers are in a safetensors file as `golden.py` beside this crate writes it: `weight.*` and
//! `grad.*` by the origin's names, `input` or `input.NAME`, `target`, `output` and `losses`.

use std::path::Path;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, Device, FloatDType, Gradients, Int, Tensor, TensorData};

use crate::{Misfit, Origin, Tensors, WeightsError, cast};

/// Largest difference of an output, absolute and in shares of the largest output above 1.
pub const OUTPUT_BOUND: f64 = 1e-5;
/// Largest difference of a gradient, in shares of its tensor's largest element.
pub const GRADIENT_BOUND: f64 = 1e-4;
/// Largest difference of a loss, in nats.
pub const LOSS_BOUND: f64 = 1e-4;

/// What an origin computed.
pub struct Golden {
    tensors: Tensors,
}

/// A model's inputs by name, `input` or `input.NAME`.
pub type Inputs = Vec<(String, TensorData)>;

/// From inputs to logits as rows `[n, classes]`.
pub type Rows<'a, M> = &'a dyn Fn(&M, Inputs, &Device) -> Tensor<2>;

/// How far a model is from its origin.
#[derive(Clone, Debug, Default)]
pub struct Distance {
    /// See [`OUTPUT_BOUND`].
    pub output: f64,
    /// See [`GRADIENT_BOUND`], with the parameter where it is largest; `None` if not asked for.
    pub gradient: Option<(f64, String)>,
    /// See [`LOSS_BOUND`]; `None` if not asked for.
    pub loss: Option<f64>,
}

impl Distance {
    /// Whether everything that was asked for is within its bound.
    pub fn is_small(&self) -> bool {
        self.output <= OUTPUT_BOUND
            && self
                .gradient
                .as_ref()
                .is_none_or(|(gradient, _)| *gradient <= GRADIENT_BOUND)
            && self.loss.is_none_or(|loss| loss <= LOSS_BOUND)
    }
}

impl Golden {
    /// Opens a file of golden numbers.
    ///
    /// # Errors
    /// A file that cannot be read, or lacks one of the numbers.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let tensors = Tensors::open(path)?;
        let mut there = vec![("input", tensors.names().any(is_input))];
        for name in ["target", "output", "losses"] {
            there.push((name, tensors.shape(name).is_some()));
        }
        for (name, is_there) in there {
            if !is_there {
                return Err(WeightsError::read(
                    path,
                    format!("golden numbers need {name}"),
                ));
            }
        }
        Ok(Self { tensors })
    }

    /// The `[model]` table of a recipe, as JSON.
    pub fn model(&self) -> &str {
        self.tensors.metadata("model").unwrap_or("{}")
    }

    /// The origin, with its version.
    pub fn library(&self) -> &str {
        self.tensors.metadata("library").unwrap_or_default()
    }

    /// Loads the origin's weights into `model`, computes the same on `device` (without autodiff)
    /// and measures how far it is. `forward` gives the logits as rows `[n, classes]`.
    ///
    /// # Errors
    /// Numbers that cannot be read, or weights of another model.
    pub fn compare<M: Module>(
        &self,
        model: M,
        origin: &Origin,
        device: &Device,
        forward: Rows<'_, M>,
        trains: bool,
    ) -> Result<Distance, WeightsError> {
        let mut model = model;
        self.tensors
            .below("weight.")
            .load(&mut model, origin, &|_| Misfit::Refuse)?;
        let mut distance = Distance {
            output: self.output_distance(&model.valid(), device, forward)?,
            ..Distance::default()
        };
        if trains {
            let device = device.clone().autodiff();
            let mut model = model.valid().to_device(&device);
            if self.trains_in_double() {
                model = cast(model, FloatDType::F64);
            }
            let model = model.train();
            self.train(model, origin, &device, forward, &mut distance)?;
        }
        Ok(distance)
    }

    /// Whether gradients and losses were computed in double precision, as they then are here: a network
    /// at full size has a few ReLUs that single precision may switch.
    fn trains_in_double(&self) -> bool {
        self.tensors.metadata("trained_in") == Some("float64")
    }

    fn output_distance<M: Module>(
        &self,
        model: &M,
        device: &Device,
        forward: Rows<'_, M>,
    ) -> Result<f64, WeightsError> {
        let inputs = self.inputs_in(DType::F32)?;
        let output = floats(forward(model, inputs, device).into_data());
        let data = self.tensors.get("output")?;
        // The classes of a map are its second dimension; rows have them last.
        let expected = match *data.shape().as_slice() {
            [_, _, _, _] => floats(
                Tensor::<4>::from_data(data, device)
                    .permute([0, 2, 3, 1])
                    .into_data(),
            ),
            _ => floats(data),
        };
        let scale = expected
            .iter()
            .fold(1.0, |most: f64, value| most.max(value.abs()));
        Ok(difference(&output, &expected, scale))
    }

    fn train<M: Module>(
        &self,
        mut model: M,
        origin: &Origin,
        device: &Device,
        forward: Rows<'_, M>,
        distance: &mut Distance,
    ) -> Result<(), WeightsError> {
        let rate: f64 = self
            .tensors
            .metadata("learning_rate")
            .and_then(|rate| rate.parse().ok())
            .unwrap_or(0.05);
        let expected = floats(self.tensors.get("losses")?);
        let target = Tensor::<1, Int>::from_data(self.tensors.get("target")?, device);
        let cross_entropy = CrossEntropyLossConfig::new().init(device);
        let mut optimizer = SgdConfig::new().init();
        let dtype = match self.trains_in_double() {
            true => DType::F64,
            false => DType::F32,
        };
        let mut losses = Vec::new();
        for step in 0..expected.len() {
            let logits = forward(&model, self.inputs_in(dtype)?, device);
            let loss = cross_entropy.forward(logits, target.clone());
            losses.extend(floats(loss.clone().into_data()));
            let gradients = loss.backward();
            if step == 0 {
                distance.gradient = Some(self.gradient_distance(&model, origin, &gradients)?);
            }
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = optimizer.step(rate, model, gradients);
        }
        distance.loss = Some(difference(&losses, &expected, 1.0));
        Ok(())
    }

    /// The largest relative difference of a gradient, and where it is. A parameter that lacks one
    /// on one side only is infinitely far.
    fn gradient_distance<M: Module>(
        &self,
        model: &M,
        origin: &Origin,
        gradients: &Gradients,
    ) -> Result<(f64, String), WeightsError> {
        let expected = self.tensors.below("grad.");
        let found = crate::gradients(model, origin, gradients);
        let mut worst = (0.0, String::new());
        // A gradient that cancels, such as that of a bias before a batch norm, is nothing but the
        // rounding of larger ones: it is held against a hundredth of the largest.
        let mut largest: f64 = 0.0;
        for name in expected.names() {
            largest = floats(expected.get(name)?)
                .iter()
                .fold(largest, |most, value| most.max(value.abs()));
        }
        for (name, gradient) in found {
            let Some(there) =
                (origin.spellings(&name).into_iter()).find(|name| expected.shape(name).is_some())
            else {
                return Ok((f64::INFINITY, format!("{name} (the origin has none)")));
            };
            let Some(gradient) = gradient else {
                return Ok((f64::INFINITY, format!("{name} (ours has none)")));
            };
            let (gradient, there) = (floats(gradient), floats(expected.get(&there)?));
            let scale = there
                .iter()
                .fold(1e-2 * largest, |most, value| most.max(value.abs()));
            let distance = difference(&gradient, &there, scale);
            if distance > worst.0 {
                worst = (distance, name);
            }
        }
        Ok(worst)
    }

    /// The inputs, in host memory and in the order of their names.
    ///
    /// # Errors
    /// Numbers that cannot be read.
    pub fn inputs(&self) -> Result<Inputs, WeightsError> {
        let names = self.tensors.names().filter(|name| is_input(name));
        let data = |name: &str| Ok((name.to_owned(), self.tensors.get(name)?));
        names.map(data).collect()
    }

    fn inputs_in(&self, dtype: DType) -> Result<Inputs, WeightsError> {
        let mut inputs = self.inputs()?;
        for (_, data) in &mut inputs {
            if data.dtype().is_float() {
                *data = data.clone().convert_dtype(dtype);
            }
        }
        Ok(inputs)
    }
}

fn is_input(name: &str) -> bool {
    name == "input" || name.starts_with("input.")
}

fn floats(data: TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

/// The largest difference in shares of `scale`; infinite where the lengths differ, where there is
/// nothing to compare, or a value is not finite. It is never NaN, which is neither small nor large.
fn difference(a: &[f64], b: &[f64], scale: f64) -> f64 {
    if a.len() != b.len() || a.is_empty() || !scale.is_finite() {
        return f64::INFINITY;
    }
    let pairs = a.iter().zip(b);
    pairs.fold(0.0, |most, (a, b)| match (a - b).abs() {
        0.0 => most,
        distance if (distance / scale).is_finite() => most.max(distance / scale),
        _ => f64::INFINITY,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_inputs_go_by_their_names_and_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golden.safetensors");
        let write = |names: &[&str]| {
            let shape = vec![1];
            let view = || {
                safetensors::tensor::TensorView::new(
                    safetensors::Dtype::F64,
                    shape.clone(),
                    &[0; 8],
                )
            };
            let tensors = names.iter().map(|name| (*name, view().unwrap()));
            safetensors::serialize_to_file(tensors, None, &path).unwrap();
            Golden::open(&path)
        };
        let golden = write(&["input.b", "input.a", "inputs", "target", "output", "losses"]);
        let inputs = golden.unwrap().inputs_in(DType::F32).unwrap();
        let names: Vec<&str> = inputs.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["input.a", "input.b"]);
        assert!(inputs.iter().all(|(_, data)| data.dtype() == DType::F32));
        let error = write(&["inputs", "target", "output", "losses"])
            .err()
            .unwrap();
        assert!(error.to_string().contains("need input"), "{error}");
    }

    #[test]
    fn what_is_not_finite_or_not_there_is_infinitely_far() {
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        for (a, b, scale) in [
            (&[1.0, nan][..], &[1.0, nan][..], 1.0),
            (&[nan, 1.0], &[1.0, 1.0], 1.0),
            (&[infinity], &[infinity], infinity),
            (&[1.0, 2.0], &[1.0, infinity], infinity),
            (&[1.0], &[1.0, 1.0], 1.0),
            (&[1.0], &[2.0], 0.0),
            (&[], &[], 1.0),
        ] {
            assert_eq!(difference(a, b, scale), infinity, "{a:?} {b:?} {scale}");
            let distance = Distance {
                output: difference(a, b, scale),
                ..Distance::default()
            };
            assert!(!distance.is_small());
        }
        assert_eq!(difference(&[1.0, 2.0], &[1.0, 3.0], 4.0), 0.25);
        assert_eq!(difference(&[0.0], &[0.0], 0.0), 0.0);
    }
}
