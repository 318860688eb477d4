//! Stochastic depth (Huang, Sun, Liu, Sedra and Weinberger 2016, "Deep Networks with Stochastic
//! Depth"): in training, a residual block is left out now and then.
//!
//! Departure, as in torchvision's "row" mode: each image of a batch draws for itself, where the
//! paper draws once for all; what is kept is divided by its probability in training, where the
//! paper multiplies by it in evaluation.

// b batch, c channels, h height, w width

use burn::module::{Flag, Param};
use burn::prelude::*;
use burn::tensor::Distribution;

/// Leaves out what a block would add.
#[derive(Module, Debug)]
pub(crate) struct StochasticDepth {
    /// Probability of leaving it out, 0 <= p < 1.
    prob: f64,
    /// Off in a frozen block, as with Burn's dropout.
    training: Param<Flag>,
}

impl StochasticDepth {
    /// For a block that is left out with probability `prob`, 0 <= p < 1.
    pub(crate) fn new(prob: f64) -> Self {
        Self {
            prob,
            training: Param::from_bool(true),
        }
    }

    /// `x [b, c, h, w]` -> the same, with some of the `b` images zero, and the others scaled so
    /// that the expectation stays. Only where `x` is on an autodiff device.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if self.prob == 0.0 || !self.training.is_enabled() || !x.device().is_autodiff() {
            return x;
        }
        let keep = 1.0 - self.prob;
        let [b, _, _, _] = x.dims();
        let kept = Tensor::<4>::random(
            [b, 1, 1, 1],
            Distribution::Bernoulli(keep),
            (&x.device(), x.dtype()),
        );
        x * (kept / keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_left_out_whole_or_kept_and_scaled() {
        let device = Device::flex().autodiff();
        let x = Tensor::<4>::ones([1000, 2, 3, 3], &device);
        let y = StochasticDepth::new(0.75).forward(x).into_data();
        let values = y.try_to_vec::<f32>().unwrap();
        let images: Vec<f32> = values
            .chunks(2 * 3 * 3)
            .map(|image| {
                assert!(image.iter().all(|value| *value == image[0]));
                image[0]
            })
            .collect();
        assert!(images.iter().all(|value| [0.0, 4.0].contains(value)));
        // 250 are expected, with a deviation of 14.
        let kept = images.iter().filter(|value| **value > 0.0).count();
        assert!((150..=350).contains(&kept), "{kept}");
    }

    #[test]
    fn nothing_is_left_out_outside_training_in_a_frozen_block_or_with_probability_zero() {
        let autodiff = Device::flex().autodiff();
        for (layer, device) in [
            (StochasticDepth::new(0.75), Device::flex()),
            (StochasticDepth::new(0.75).freeze(), autodiff.clone()),
            (StochasticDepth::new(0.0), autodiff),
        ] {
            let x = Tensor::<4>::ones([16, 1, 1, 1], &device);
            assert_eq!(layer.forward(x.clone()).into_data(), x.into_data());
        }
    }
}
