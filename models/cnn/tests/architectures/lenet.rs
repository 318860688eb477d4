use burn::prelude::*;
use zoo_cnn::LeNetConfig;

use crate::parameters::{assert_gradient_everywhere, count, entries};
use crate::{assert_logits, assert_samples_do_not_mix, images};

fn small_rgb() -> LeNetConfig {
    LeNetConfig {
        in_channels: 3,
        image_size: 12,
        num_classes: 4,
    }
}

#[test]
fn lenet5_has_the_published_size_and_names() {
    let config = LeNetConfig::lenet5();
    assert_eq!(config.input_shape(), [1, 28, 28]);
    assert_eq!(config.num_classes(), 10);
    let model = config.init(&Device::flex());
    // The paper's layers, fully connected: 156 + 2,416 + 48,120 + 10,164 + 850.
    assert_eq!(count(&model), 61_706);
    let names: Vec<_> = entries(&model).into_iter().map(|e| e.path).collect();
    let layers = ["conv1", "conv2", "fc1", "fc2", "fc3"];
    let expected: Vec<_> = layers
        .iter()
        .flat_map(|layer| [format!("{layer}.weight"), format!("{layer}.bias")])
        .collect();
    assert_eq!(names, expected);
}

#[test]
fn presets_are_valid() {
    for (name, config) in LeNetConfig::presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
    }
}

#[test]
fn maps_any_batch_and_size_to_finite_logits() {
    let device = Device::flex();
    // 13 and 15 leave rows that the poolings drop.
    for image_size in [12, 13, 15, 28, 32] {
        let config = LeNetConfig {
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
fn stages_are_the_papers_subsampled_maps() {
    let device = Device::flex();
    let maps = LeNetConfig::lenet5()
        .init(&device)
        .stages(images([2, 1, 28, 28], &device));
    let shapes: Vec<_> = maps.iter().map(Tensor::dims).collect();
    assert_eq!(shapes, [[2, 6, 14, 14], [2, 16, 5, 5]]);
}

#[test]
#[should_panic(expected = "axis 2 expected 28, got 32")]
fn refuses_images_of_another_size() {
    let device = Device::flex();
    let model = LeNetConfig::lenet5().init(&device);
    model.forward(images([2, 1, 32, 32], &device));
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    let model = LeNetConfig::lenet5().init(&device);
    let logits = model.forward(images([4, 1, 28, 28], &device));
    assert_gradient_everywhere(&model, logits);
}

#[test]
fn images_of_a_batch_do_not_mix() {
    let device = Device::flex();
    let model = small_rgb().init(&device);
    assert_samples_do_not_mix(|x| model.forward(x), images([4, 3, 12, 12], &device));
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    let mut json = serde_json::to_value(small_rgb()).unwrap();
    let parsed: LeNetConfig = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(parsed, small_rgb());

    json["image_sise"] = 28.into();
    let error = serde_json::from_value::<LeNetConfig>(json).unwrap_err();
    assert!(error.to_string().contains("image_sise"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut LeNetConfig)| {
        let mut config = LeNetConfig::lenet5();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.image_size = 11),
        "model.image_size: expected 12 to 1024, got 11"
    );
    assert!(refusal(|c| c.image_size = usize::MAX).starts_with("model.image_size"));
    assert!(refusal(|c| c.in_channels = 0).starts_with("model.in_channels"));
    assert!(refusal(|c| c.num_classes = 1).starts_with("model.num_classes"));
}
