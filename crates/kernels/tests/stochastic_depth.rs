//! Stochastic depth: a sample is left out whole or kept and scaled, in training alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

use burn::module::Module;
use burn::nn::DropoutConfig;
use burn::tensor::{Device, Tensor};
use zoo_kernels::stochastic_depth;

#[test]
fn a_sample_is_left_out_whole_or_kept_and_scaled() {
    let x = Tensor::<4>::ones([1000, 2, 3, 3], &Device::flex().autodiff());
    let layer = DropoutConfig::new(0.75).init();
    let y = stochastic_depth(&layer, x, 1000).into_data();
    let values = y.try_to_vec::<f32>().unwrap();
    let samples = values.chunks(2 * 3 * 3).map(|sample| {
        assert!(sample.iter().all(|value| *value == sample[0]));
        sample[0]
    });
    let samples: Vec<f32> = samples.collect();
    assert!(samples.iter().all(|value| [0.0, 4.0].contains(value)));
    // 250 are expected, with a deviation of 14.
    let kept = samples.iter().filter(|value| **value > 0.0).count();
    assert!((150..=350).contains(&kept), "{kept}");
}

#[test]
fn rows_of_one_sample_share_its_fate() {
    let x = Tensor::<2>::ones([64 * 5, 3], &Device::flex().autodiff());
    let layer = DropoutConfig::new(0.5).init();
    let y = stochastic_depth(&layer, x, 64).into_data();
    let values = y.try_to_vec::<f32>().unwrap();
    let whole = |sample: &[f32]| sample.iter().all(|value| *value == sample[0]);
    assert!(values.chunks(5 * 3).all(whole));
    assert!(values.contains(&0.0) && values.contains(&2.0));
}

#[test]
fn nothing_is_left_out_outside_training_in_a_frozen_layer_or_with_probability_zero() {
    let autodiff = Device::flex().autodiff();
    let layer = |probability| DropoutConfig::new(probability).init();
    for (layer, device) in [
        (layer(0.75), Device::flex()),
        (layer(0.75).freeze(), autodiff.clone()),
        (layer(0.0), autodiff),
    ] {
        let x = Tensor::<4>::ones([16, 1, 1, 1], &device);
        let y = stochastic_depth(&layer, x.clone(), 16);
        assert_eq!(y.into_data(), x.into_data());
    }
}
