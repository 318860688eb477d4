//! Whether numbers are finite: found by their sums, which no NaN and no infinity can leave, so that a
//! device is asked for one number. Only what looks wrong is looked at one by one.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Numbers of tensors `[1]`, in their order: one read for those in a row on the same device, as each
/// read of a GPU waits for its queue.
pub(crate) fn read(tensors: &[Tensor<1>]) -> Vec<f64> {
    let alike = |a: &Tensor<1>, b: &Tensor<1>| a.device() == b.device() && a.dtype() == b.dtype();
    let groups = tensors.chunk_by(alike).map(|group| match group {
        [one] => one.clone(),
        _ => Tensor::cat(group.to_vec(), 0),
    });
    let values = groups.flat_map(|group| group.into_data().iter::<f32>().collect::<Vec<f32>>());
    values.map(f64::from).collect()
}

/// What all of a gradient comes to, on its device.
pub(crate) enum Sum {
    /// The sum of its numbers: finite only if they all are.
    Plain,
    /// The sum of their squares.
    Squares,
}

impl Sum {
    /// `[1]`, or nothing where there is no gradient.
    pub(crate) fn of<M: Module>(self, model: &M, gradients: &GradientsParams) -> Option<Tensor<1>> {
        struct Sums<'a>(Sum, &'a GradientsParams, Vec<Tensor<1>>);
        impl ModuleVisitor for Sums<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let Some(gradient) = self.1.get::<D>(param.id) else {
                    return;
                };
                self.2.push(match self.0 {
                    Sum::Plain => gradient.sum(),
                    Sum::Squares => gradient.square().sum(),
                });
            }
        }
        let mut sums = Sums(self, gradients, Vec::new());
        model.visit(&mut sums);
        (!sums.2.is_empty()).then(|| Tensor::cat(sums.2, 0).sum())
    }
}

/// The length of a gradient as one vector, in double precision on the host: for one whose squares are
/// too large for the device's, and NaN or infinite only if the gradient is.
pub(crate) fn exact_norm<M: Module>(model: &M, gradients: &GradientsParams) -> f64 {
    struct Squares<'a>(&'a GradientsParams, f64);
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                let values = gradient.into_data();
                self.1 += values.iter::<f64>().map(|value| value * value).sum::<f64>();
            }
        }
    }
    let mut squares = Squares(gradients, 0.0);
    model.visit(&mut squares);
    squares.1.sqrt()
}

/// The path of the first tensor of a model, running statistics included, that holds a NaN or an
/// infinity.
pub fn not_finite_tensor<M: Module>(model: &M) -> Option<String> {
    #[derive(Default)]
    struct Tensors {
        path: Vec<String>,
        sums: Vec<Tensor<1>>,
        names: Vec<String>,
    }
    impl ModuleVisitor for Tensors {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.sums.push(param.base().sum());
            self.names.push(self.path.join("."));
        }
    }
    /// Reads a tensor, the one of this number, whole.
    struct Nth(usize, bool);
    impl ModuleVisitor for Nth {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.0 == 0 {
                let values = param.base().into_data();
                self.1 = values.iter::<f64>().all(f64::is_finite);
            }
            self.0 = self.0.wrapping_sub(1);
        }
    }
    // A plain copy first merges the running statistics that each thread holds.
    let model = model.valid();
    let mut tensors = Tensors::default();
    model.visit(&mut tensors);
    let sums = read(&tensors.sums);
    let suspects = (0..sums.len()).filter(|number| !sums[*number].is_finite());
    let mut wrong = suspects.filter(|number| {
        // Finite numbers can have a sum that is not.
        let mut nth = Nth(*number, true);
        model.visit(&mut nth);
        !nth.1
    });
    wrong.next().map(|number| tensors.names[number].clone())
}

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;
    use crate::params::{global_norm, number};

    #[derive(Module, Debug)]
    struct Net {
        linear: Linear,
        norm: BatchNorm,
    }

    fn net(device: &Device) -> Net {
        number(Net {
            linear: LinearConfig::new(2, 2).init(device),
            norm: BatchNormConfig::new(2).init(device),
        })
    }

    fn set(mut model: Net, value: f32) -> Net {
        model.linear.weight = model
            .linear
            .weight
            .map(|weight| weight.ones_like().mul_scalar(value));
        model
    }

    #[test]
    fn a_tensor_that_is_not_finite_is_named() {
        let device = Device::flex();
        assert_eq!(not_finite_tensor(&net(&device)), None);
        // Finite numbers whose sum is not.
        assert_eq!(not_finite_tensor(&set(net(&device), 3e38)), None);
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let found = not_finite_tensor(&set(net(&device), wrong));
            assert_eq!(found.as_deref(), Some("linear.weight"));
            // Beside one that only looks like it.
            let model = set(net(&device), 3e38);
            let wrong = Tensor::<1>::full([2], wrong, &device);
            model.norm.running_var.update(wrong);
            let found = not_finite_tensor(&model);
            assert_eq!(found.as_deref(), Some("norm.running_var"));
        }
    }

    #[test]
    fn a_gradient_too_long_for_single_precision_has_its_length() {
        let device = Device::flex().autodiff();
        let model = net(&device);
        let gradients = |scale: f32| {
            let x = Tensor::<2>::full([1, 2], scale, &device);
            let loss = model.linear.forward(x).sum();
            GradientsParams::from_grads(loss.backward(), &model)
        };
        // Four weights have the gradient `scale`, and two biases 1.
        let long = global_norm(&model, &gradients(1e25));
        assert!((long / 2e25 - 1.0).abs() < 1e-6, "{long}");
        assert_eq!(
            global_norm(&model, &gradients(f32::INFINITY)),
            f64::INFINITY
        );
        assert!(global_norm(&model, &gradients(f32::NAN)).is_nan());
    }
}
