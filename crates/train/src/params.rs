//! Operations over all parameters of a model at once: stable identities, the gradient's global norm
//! and clipping by it, and the exponential moving average.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::finite::{Sum, exact_norm, read};

/// Numbers the parameters 1, 2, 3, … in the model's own order. Burn draws ids at random, and
/// optimizer state is stored under them: with numbers, a saved state fits a model built later.
pub fn number<M: Module>(model: M) -> M {
    struct Number(u64);
    impl ModuleMapper for Number {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1;
            let (_, tensor, mapper) = param.consume();
            Param::from_mapped_value(ParamId::from(self.0), tensor, mapper)
        }
    }
    model.map(&mut Number(0))
}

/// Puts every tensor in memory as it would be made anew. One that was read from a file may be a
/// transposed view, which layers may sum over in another order: it would train to the same numbers
/// but for their rounding, and a run could not be resumed exactly.
pub(crate) fn laid_out<M: Module>(model: M) -> M {
    struct Lay;
    impl ModuleMapper for Lay {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| {
                let (device, dtype) = (tensor.device(), tensor.dtype());
                Tensor::from_data(tensor.into_data(), (&device, dtype))
            })
        }
    }
    model.map(&mut Lay)
}

/// Trainable numbers of a model on an autodiff device; Burn's own count includes running statistics.
pub fn trainable<M: Module>(model: &M) -> usize {
    struct Count(usize);
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.val().is_require_grad() {
                self.0 += param.lazy_shape().num_elements();
            }
        }
    }
    let mut count = Count(0);
    model.visit(&mut count);
    count.0
}

/// The length of the whole gradient as one vector.
pub fn global_norm<M: Module>(model: &M, gradients: &GradientsParams) -> f64 {
    let squares = Sum::Squares.of(model, gradients);
    let squares = squares.map_or(0.0, |sum| read(&[sum])[0]);
    norm_of(squares, model, gradients)
}

/// The length of a gradient whose squares come to `squares` on its device.
pub(crate) fn norm_of<M: Module>(squares: f64, model: &M, gradients: &GradientsParams) -> f64 {
    if squares.is_finite() {
        return squares.sqrt();
    }
    exact_norm(model, gradients)
}

/// Scales the gradient down to `max_norm` if it is longer (Pascanu et al. 2012, algorithm 1).
/// Returns the gradient and its length before.
pub fn clip_by_global_norm<M: Module>(
    model: &M,
    gradients: GradientsParams,
    max_norm: f64,
) -> (GradientsParams, f64) {
    let norm = global_norm(model, &gradients);
    (clip(model, gradients, norm, max_norm), norm)
}

/// [`clip_by_global_norm`] where the length is known.
pub(crate) fn clip<M: Module>(
    model: &M,
    gradients: GradientsParams,
    norm: f64,
    max_norm: f64,
) -> GradientsParams {
    if norm <= max_norm {
        return gradients;
    }
    scale(model, gradients, max_norm / norm)
}

fn scale<M: Module>(model: &M, gradients: GradientsParams, factor: f64) -> GradientsParams {
    struct Scale(GradientsParams, f64);
    impl ModuleVisitor for Scale {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(param.id) {
                self.0.register(param.id, gradient.mul_scalar(self.1));
            }
        }
    }
    let mut scale = Scale(gradients, factor);
    model.visit(&mut scale);
    scale.0
}

/// An exponential moving average of a model's weights and running statistics (Polyak and Juditsky
/// 1992), on the device without autodiff.
#[derive(Debug)]
pub struct Ema<M> {
    model: M,
    decay: f64,
}

impl<M: Module> Ema<M> {
    /// Starts at the given weights. `decay` is the share of the old average that each step keeps.
    pub fn new(model: &M, decay: f64) -> Self {
        Self {
            model: model.valid(),
            decay,
        }
    }

    /// Continues from a saved average.
    pub fn resume(average: M, decay: f64) -> Self {
        Self {
            model: average,
            decay,
        }
    }

    /// Moves the average towards the weights after step `step` (from 0). Early on it follows
    /// faster, by `(1 + step) / (10 + step)`, so that the initial weights do not linger.
    pub fn update(&mut self, model: &M, step: usize) {
        let keep = self.decay.min((1 + step) as f64 / (10 + step) as f64);
        let mut weights = Collect(GradientsParams::new());
        model.valid().visit(&mut weights);
        // A copy with running statistics of its own: `map` changes them where they are, and whoever
        // was given a clone of this average would see them move.
        self.model = self.model.valid().map(&mut Blend {
            weights: weights.0,
            keep,
        });
    }

    /// The averaged model. What of it is kept must be a copy, `valid()`: clones share running
    /// statistics.
    pub fn model(&self) -> &M {
        &self.model
    }
}

/// Tensors by parameter; Burn's container for gradients is one.
struct Collect(GradientsParams);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val());
    }
}

struct Blend {
    weights: GradientsParams,
    keep: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, average, mapper) = param.consume();
        let average = match self.weights.remove::<D>(id) {
            // By their difference: what does not change, such as a frozen weight, stays as it is.
            Some(weight) => average.clone() + (weight - average).mul_scalar(1.0 - self.keep),
            None => average,
        };
        Param::from_mapped_value(id, average, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tolerance};

    use super::*;

    fn gradients(model: &Linear, scale: f64) -> GradientsParams {
        let device = model.weight.val().device();
        let loss = model
            .forward(Tensor::<2>::ones([1, 2], &device))
            .sum()
            .mul_scalar(scale);
        GradientsParams::from_grads(loss.backward(), model)
    }

    #[test]
    fn the_global_norm_is_one_length_over_all_parameters() {
        let model = number(LinearConfig::new(2, 3).init(&Device::flex().autodiff()));
        // d(sum)/dw is 1 for six weights and d(sum)/db is 1 for three biases.
        assert!((global_norm(&model, &gradients(&model, 2.0)) - 2.0 * 3.0).abs() < 1e-6);
        let (clipped, before) = clip_by_global_norm(&model, gradients(&model, 2.0), 1.5);
        assert!((before - 6.0).abs() < 1e-6);
        assert!((global_norm(&model, &clipped) - 1.5).abs() < 1e-6);
        let (kept, _) = clip_by_global_norm(&model, gradients(&model, 2.0), 7.0);
        assert!((global_norm(&model, &kept) - 6.0).abs() < 1e-6);
    }

    #[test]
    fn numbers_do_not_depend_on_when_a_model_was_built() {
        let device = Device::flex();
        let ids = |model: &Linear| (model.weight.id, model.bias.as_ref().unwrap().id);
        let first: Linear = number(LinearConfig::new(2, 3).init(&device));
        let second: Linear = number(LinearConfig::new(2, 3).init(&device));
        assert_eq!(ids(&first), ids(&second));
    }

    #[test]
    fn the_average_follows_its_closed_form() {
        let device = Device::flex().autodiff();
        let start: Linear = number(LinearConfig::new(1, 1).with_bias(false).init(&device));
        let set = |value: f32| {
            let mut model = start.clone();
            model.weight = model.weight.map(|_| Tensor::from_data([[value]], &device));
            model
        };
        let mut ema = Ema::new(&set(0.0), 0.9);
        let mut expected = 0.0;
        for step in 0..200 {
            ema.update(&set(1.0), step);
            let keep = f64::min(0.9, (1 + step) as f64 / (10 + step) as f64);
            expected = keep * expected + (1.0 - keep);
        }
        let average = ema.model().weight.val().into_data();
        average.assert_approx_eq::<f32>(&[[expected as f32]].into(), Tolerance::absolute(1e-5));
    }
}
