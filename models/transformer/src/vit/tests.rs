use burn::module::Module;
use burn::tensor::{Device, Distribution, Int, Tensor};

use super::*;
use crate::testing::{
    assert_all_learn, cross_entropy, distance, gradients, lively, overfit, values,
};

fn images(batch: usize, device: &Device) -> Tensor<4> {
    let [channels, height, width] = VitConfig::tiny().input_shape();
    let normal = Distribution::Normal(0.0, 1.0);
    Tensor::random([batch, channels, height, width], normal, device)
}

#[test]
fn parameters_are_counted() {
    let device = Device::flex();
    let count = |config: VitConfig| config.init(&device).num_params();
    assert_eq!(count(VitConfig::tiny()), 5_032);
    let counted: Vec<usize> = presets().into_iter().map(|(_, c)| count(c)).collect();
    // As timm counts them.
    assert_eq!(counted, [5_717_416, 22_050_664, 86_567_656]);
}

#[test]
fn the_logits_are_those_of_the_last_class_token() {
    let device = Device::flex();
    let model = lively(VitConfig::tiny().init(&device));
    let x = images(3, &device);
    let logits = model.forward(x.clone());
    assert_eq!(logits.dims(), [3, 4]);

    let states = model.hidden_states(x);
    // The embedding and two blocks; a class token and four patches.
    assert_eq!(states.len(), 3);
    assert!(states.iter().all(|state| state.dims() == [3, 5, 12]));
    let class = states[2].clone().narrow(1, 0, 1).squeeze_dim(1);
    let expected = model
        .head
        .forward(model.norm.as_ref().unwrap().forward(class));
    assert!(distance(logits, expected) < 1e-5);
}

#[test]
fn a_stage_is_a_map_of_the_image() {
    let device = Device::flex();
    let model = lively(VitConfig::tiny().init(&device));
    let x = images(2, &device);
    let (states, stages) = (model.hidden_states(x.clone()), model.stages(x.clone()));
    assert_eq!(stages.len(), 2);
    for (state, map) in states[1..].iter().zip(stages) {
        assert_eq!(map.dims(), [2, 12, 2, 2]);
        // The second patch of the first row: position 2, after the class token and the first.
        let there = map.slice([0..2, 0..12, 0..1, 1..2]).reshape([2, 12]);
        let here = state.clone().narrow(1, 2, 1).reshape([2, 12]);
        assert_eq!(values(there), values(here));
    }

    // Only the embedding of that patch depends on the upper right pixels.
    let corner = Tensor::ones([2, 3, 8, 8], &device);
    let changed = x.slice_assign([0..2, 0..3, 0..8, 8..16], corner);
    let moved = model.hidden_states(changed)[0].clone() - states[0].clone();
    let moved = values(moved.abs().sum_dim(2)); // [2, 5, 1]
    let expected = [false, false, true, false, false].repeat(2);
    assert_eq!(moved.iter().map(|x| *x > 0.0).collect::<Vec<_>>(), expected);
}

#[test]
fn images_of_a_batch_do_not_mix() {
    let device = Device::flex();
    let model = lively(VitConfig::tiny().init(&device));
    let x = images(3, &device);
    let together = model.forward(x.clone());
    for i in 0..3 {
        let alone = model.forward(x.clone().narrow(0, i, 1));
        assert!(distance(alone, together.clone().narrow(0, i, 1)) < 1e-5);
    }
}

#[test]
fn every_parameter_learns() {
    let device = Device::flex().autodiff();
    let model = lively(VitConfig::tiny().init(&device));
    let (x, targets) = (
        images(3, &device),
        Tensor::<1, Int>::from_data([0, 3, 1], &device),
    );
    let loss = |model: &Vit| cross_entropy(model.forward(x.clone()), targets.clone());
    assert_all_learn(&gradients(&model, &loss(&model).backward()));
    let (before, after) = overfit(model, 30, loss);
    assert!(after < 0.2 * before, "{before} -> {after}");
}

#[test]
#[should_panic(expected = "assert_shape!")]
fn images_of_another_size_are_refused() {
    let device = Device::flex();
    let model = VitConfig::tiny().init(&device);
    let _ = model.forward(Tensor::zeros([1, 3, 32, 8], &device));
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut VitConfig)| {
        let mut config = VitConfig::tiny();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.width = 0),
        "model.width: expected 1 to 16777216, got 0"
    );
    assert_eq!(
        refusal(|c| c.patch_size = 5),
        "model.patch_size: expected a divisor of model.image_size = 16, got 5"
    );
    assert!(refusal(|c| c.num_heads = 5).starts_with("model.num_heads"));
    assert!(refusal(|c| c.num_heads = 0).starts_with("model.num_heads"));
    assert!(refusal(|c| c.image_size = usize::MAX).starts_with("model.image_size"));
    assert!(refusal(|c| c.dropout = 1.0).starts_with("model.dropout"));
    assert!(refusal(|c| c.stochastic_depth = f64::NAN).starts_with("model.stochastic_depth"));
    for (name, config) in presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
    }
}
