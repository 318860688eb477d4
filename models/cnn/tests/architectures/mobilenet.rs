use burn::prelude::*;
use zoo_cnn::MobileNetV2Config;

use crate::parameters::{assert_gradient_everywhere, count, entries};
use crate::{assert_logits, assert_samples_do_not_mix, images};

#[test]
fn presets_have_torchvisions_sizes() {
    let published = [("mobilenet_v2", 3_504_872)];
    let found: Vec<_> = MobileNetV2Config::presets()
        .into_iter()
        .map(|(name, config)| {
            assert_eq!(config.validate(), Ok(()), "{name}");
            assert_eq!((config.in_channels(), config.num_classes()), (3, 1000));
            (name, count(&config.init(&Device::flex())))
        })
        .collect();
    assert_eq!(found, published);
}

#[test]
fn names_are_torchvisions() {
    let config = MobileNetV2Config::mobilenet_v2();
    let found: Vec<_> = entries(&config.init(&Device::flex()))
        .into_iter()
        .filter(|entry| entry.shape.rank() > 1)
        .map(|entry| config.origin_name(&entry.path))
        .collect();
    let mut expected = vec!["features.0.0.weight".to_string()];
    for block in 1..=17 {
        // The first block does not widen.
        let layers: &[_] = if block == 1 {
            &["0.0", "1"]
        } else {
            &["0.0", "1.0", "2"]
        };
        let names = layers.iter();
        expected.extend(names.map(|layer| format!("features.{block}.conv.{layer}.weight")));
    }
    expected.extend(["features.18.0.weight", "classifier.1.weight"].map(String::from));
    assert_eq!(found, expected);

    let norm = config.origin_name("blocks.16.project.1.running_var");
    assert_eq!(norm, "features.17.conv.3.running_var");
}

#[test]
fn maps_any_batch_and_size_to_finite_logits() {
    let device = Device::flex();
    let model = MobileNetV2Config::tiny().init(&device);
    for [batch, h, w] in [[1, 1, 1], [3, 32, 32], [2, 7, 18]] {
        let logits = model.forward(images([batch, 3, h, w], &device));
        assert_logits(logits, [batch, 4]);
    }
}

#[test]
fn stages_are_the_last_maps_of_every_size() {
    let device = Device::flex();
    let shapes = |config: MobileNetV2Config, side| -> Vec<_> {
        let maps = config
            .init(&device)
            .stages(images([1, 3, side, side], &device));
        maps.iter().map(Tensor::dims).collect()
    };
    assert_eq!(
        shapes(MobileNetV2Config::tiny(), 15),
        [[1, 8, 8, 8], [1, 24, 4, 4]]
    );
    assert_eq!(
        shapes(MobileNetV2Config::mobilenet_v2(), 32),
        [
            [1, 16, 16, 16],
            [1, 24, 8, 8],
            [1, 32, 4, 4],
            [1, 96, 2, 2],
            [1, 320, 1, 1]
        ]
    );
}

#[test]
#[should_panic(expected = "axis 1 expected 3, got 1")]
fn refuses_images_of_other_channels() {
    let device = Device::flex();
    let model = MobileNetV2Config::tiny().init(&device);
    model.forward(images([1, 1, 32, 32], &device));
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    let model = MobileNetV2Config::tiny().init(&device);
    let logits = model.forward(images([4, 3, 32, 32], &device));
    assert_gradient_everywhere(&model, logits);
}

#[test]
fn images_of_a_batch_do_not_mix_outside_training() {
    let device = Device::flex();
    let model = MobileNetV2Config::tiny().init(&device);
    assert_samples_do_not_mix(|x| model.forward(x), images([4, 3, 16, 16], &device));
}

#[test]
fn weights_start_as_torchvisions_do() {
    let model = MobileNetV2Config::mobilenet_v2().init(&Device::flex());
    let deviation = |weights: Tensor<1>| weights.var(0).sqrt().into_scalar::<f32>();
    // 5 %: the error of a deviation from 8,640 draws is 0.8 %. PyTorch's fan-out of a depthwise
    // convolution counts all its 960 channels.
    let found = deviation(model.blocks[16].depthwise.0.weight.val().flatten(0, 3));
    let expected = f32::sqrt(2.0 / (960.0 * 9.0));
    assert!((found / expected - 1.0).abs() < 0.05, "{found}");
    // 1 %: 102,400 draws and more.
    let found = deviation(model.last.0.weight.val().flatten(0, 3));
    let expected = f32::sqrt(2.0 / 1280.0);
    assert!((found / expected - 1.0).abs() < 0.01, "{found}");
    let found = deviation(model.classifier.weight.val().flatten(0, 1));
    assert!((found / 0.01 - 1.0).abs() < 0.01, "{found}");
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    let mut json = serde_json::to_value(MobileNetV2Config::tiny()).unwrap();
    let parsed: MobileNetV2Config = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(parsed, MobileNetV2Config::tiny());

    json["stages"][1]["strid"] = 2.into();
    let error = serde_json::from_value::<MobileNetV2Config>(json).unwrap_err();
    assert!(error.to_string().contains("strid"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut MobileNetV2Config)| {
        let mut config = MobileNetV2Config::mobilenet_v2();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.stages[3].stride = 3),
        "model.stages[3].stride: expected 1 to 2, got 3"
    );
    assert_eq!(
        refusal(|c| c.stages.clear()),
        "model.stages: expected 1 to 16 stages, got 0"
    );
    assert!(refusal(|c| c.stages[0].expansion = 0).starts_with("model.stages[0].expansion"));
    assert!(refusal(|c| c.stages[0].channels = usize::MAX).starts_with("model.stages[0].channels"));
    assert!(refusal(|c| c.stages[6].repeats = 0).starts_with("model.stages[6].repeats"));
    assert!(refusal(|c| c.stem_channels = 0).starts_with("model.stem_channels"));
    assert!(refusal(|c| c.last_channels = 0).starts_with("model.last_channels"));
    assert!(refusal(|c| c.dropout = 1.0).starts_with("model.dropout"));
    assert!(refusal(|c| c.in_channels = 0).starts_with("model.in_channels"));
    assert!(refusal(|c| c.num_classes = 1).starts_with("model.num_classes"));
}
