//! What the tests of both architectures need.
//!
//! A device's generator belongs to the whole process, and tests run side by side: they seed nothing
//! and hold for any draw.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Gradients, Int, Tensor, TensorData};

/// The same model with every matrix drawn anew between -0.5 and 0.5 by a formula: weights as
/// initialised are so small that a mistake in masking or caching would hide below a tolerance.
pub(crate) fn lively<M: Module>(model: M) -> M {
    struct Redraw {
        params: usize,
    }
    impl ModuleMapper for Redraw {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if D != 2 {
                return param;
            }
            self.params += 1;
            let draw = |i: usize| ((i + 37 * self.params) as f32 * 12.9898).sin() * 43_758.547;
            let redraw = |weight: Tensor<D>| {
                let count = weight.shape().num_elements();
                let values: Vec<f32> = (0..count).map(|i| draw(i).rem_euclid(1.0) - 0.5).collect();
                Tensor::from_data(TensorData::new(values, weight.shape()), &weight.device())
            };
            param.map(redraw).set_require_grad(true)
        }
    }
    model.map(&mut Redraw { params: 0 })
}

/// All values of a float tensor.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Largest difference of two tensors' values.
pub(crate) fn distance<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (values(a), values(b));
    assert!(a.iter().chain(&b).all(|x| x.is_finite()));
    (a.iter().zip(&b)).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

/// Mean cross-entropy of `logits [b, n]`.
pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let device = logits.device();
    CrossEntropyLossConfig::new()
        .init(&device)
        .forward(logits, targets)
}

/// The gradient of every parameter by its path; a parameter without one maps to nothing.
pub(crate) fn gradients<M: Module>(model: &M, grads: &Gradients) -> BTreeMap<String, Vec<f32>> {
    struct Collect<'a> {
        grads: &'a Gradients,
        path: Vec<String>,
        found: BTreeMap<String, Vec<f32>>,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let grad = param.val().grad(self.grads).map(values).unwrap_or_default();
            self.found.insert(self.path.join("."), grad);
        }
    }
    let (path, found) = Default::default();
    let mut collect = Collect { grads, path, found };
    model.visit(&mut collect);
    collect.found
}

/// Every parameter learns: its gradient is finite and not all zero.
pub(crate) fn assert_all_learn(gradients: &BTreeMap<String, Vec<f32>>) {
    assert!(!gradients.is_empty());
    for (path, grad) in gradients {
        assert!(!grad.is_empty(), "{path} has no gradient");
        assert!(grad.iter().all(|x| x.is_finite()), "{path} is not finite");
        assert!(grad.iter().any(|x| *x != 0.0), "{path} has a zero gradient");
    }
}

/// The loss before and after some steps of Adam on one batch.
pub(crate) fn overfit<M: Module>(
    mut model: M,
    steps: usize,
    loss: impl Fn(&M) -> Tensor<1>,
) -> (f32, f32) {
    let mut optimizer = AdamConfig::new().init();
    let before = loss(&model).into_scalar();
    for _ in 0..steps {
        let grads = GradientsParams::from_grads(loss(&model).backward(), &model);
        model = optimizer.step(0.01, model, grads);
    }
    (before, loss(&model).into_scalar())
}
