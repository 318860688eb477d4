use burn::prelude::*;
use zoo_cnn::ConvNetConfig;

use crate::parameters::{assert_gradient_everywhere, count, entries};
use crate::{assert_logits, assert_samples_do_not_mix, images};

fn small_rgb() -> ConvNetConfig {
    ConvNetConfig {
        in_channels: 3,
        image_size: 6,
        num_classes: 4,
    }
}

#[test]
fn it_has_the_size_and_names_of_pytorchs_example() {
    let config = ConvNetConfig::pytorch_mnist();
    assert_eq!(config.input_shape(), [1, 28, 28]);
    assert_eq!(config.num_classes(), 10);
    let model = config.init(&Device::flex());
    // Its layers, each with biases: 320 + 18,496 + 1,179,776 + 1,290.
    assert_eq!(count(&model), 1_199_882);
    let names: Vec<_> = entries(&model).into_iter().map(|e| e.path).collect();
    let layers = ["conv1", "conv2", "fc1", "fc2"];
    let expected: Vec<_> = layers
        .iter()
        .flat_map(|layer| [format!("{layer}.weight"), format!("{layer}.bias")])
        .collect();
    assert_eq!(names, expected);
}

#[test]
fn presets_are_valid() {
    for (name, config) in ConvNetConfig::presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
    }
}

#[test]
fn maps_any_batch_and_size_to_finite_logits() {
    let device = Device::flex();
    // 7 leaves a row that the pooling drops.
    for image_size in [6, 7, 8, 28] {
        let config = ConvNetConfig {
            image_size,
            ..small_rgb()
        };
        let [c, h, w] = config.input_shape();
        let model = config.init(&device);
        for batch in [1, 3] {
            let logits = model.forward(images([batch, c, h, w], &device));
            assert_logits(logits, [batch, 4]);
        }
    }
}

#[test]
fn stages_are_a_convolution_and_a_pooled_one() {
    let device = Device::flex();
    let maps = ConvNetConfig::pytorch_mnist()
        .init(&device)
        .stages(images([2, 1, 28, 28], &device));
    let shapes: Vec<_> = maps.iter().map(Tensor::dims).collect();
    assert_eq!(shapes, [[2, 32, 26, 26], [2, 64, 12, 12]]);
}

#[test]
#[should_panic(expected = "axis 2 expected 28, got 32")]
fn refuses_images_of_another_size() {
    let device = Device::flex();
    let model = ConvNetConfig::pytorch_mnist().init(&device);
    model.forward(images([2, 1, 32, 32], &device));
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    let model = small_rgb().init(&device);
    let logits = model.forward(images([4, 3, 6, 6], &device));
    assert_gradient_everywhere(&model, logits);
}

#[test]
fn images_of_a_batch_do_not_mix() {
    let device = Device::flex();
    let model = small_rgb().init(&device);
    assert_samples_do_not_mix(|x| model.forward(x), images([4, 3, 6, 6], &device));
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    let mut json = serde_json::to_value(small_rgb()).unwrap();
    let parsed: ConvNetConfig = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(parsed, small_rgb());

    json["dropout"] = 0.25.into();
    let error = serde_json::from_value::<ConvNetConfig>(json).unwrap_err();
    assert!(error.to_string().contains("dropout"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut ConvNetConfig)| {
        let mut config = ConvNetConfig::pytorch_mnist();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.image_size = 5),
        "model.image_size: expected 6 to 256, got 5"
    );
    assert!(refusal(|c| c.image_size = usize::MAX).starts_with("model.image_size"));
    assert!(refusal(|c| c.in_channels = 0).starts_with("model.in_channels"));
    assert!(refusal(|c| c.num_classes = 1).starts_with("model.num_classes"));
}
