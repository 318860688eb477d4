use burn::prelude::*;
use zoo_cnn::EfficientNetConfig;

use crate::parameters::{assert_gradient_everywhere, count, entries};
use crate::{assert_logits, assert_samples_do_not_mix, images};

#[test]
fn presets_have_torchvisions_sizes() {
    let published = [("efficientnet_b0", 5_288_548)];
    let found: Vec<_> = EfficientNetConfig::presets()
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
    let config = EfficientNetConfig::efficientnet_b0();
    let found: Vec<_> = entries(&config.init(&Device::flex()))
        .into_iter()
        .filter(|entry| entry.shape.rank() > 1)
        .map(|entry| config.origin_name(&entry.path))
        .collect();
    let mut expected = vec!["features.0.0.weight".to_string()];
    for (stage, blocks) in (1..).zip([1, 2, 2, 3, 3, 4, 1]) {
        for block in 0..blocks {
            // The first stage does not widen.
            let layers: &[_] = if stage == 1 {
                &["0.0", "1.fc1", "1.fc2", "2.0"]
            } else {
                &["0.0", "1.0", "2.fc1", "2.fc2", "3.0"]
            };
            let path = format!("features.{stage}.{block}.block");
            expected.extend(layers.iter().map(|layer| format!("{path}.{layer}.weight")));
        }
    }
    expected.extend(["features.8.0.weight", "classifier.1.weight"].map(String::from));
    assert_eq!(found, expected);

    let norm = config.origin_name("blocks.5.3.project.1.running_var");
    assert_eq!(norm, "features.6.3.block.3.1.running_var");
}

#[test]
fn maps_any_batch_and_size_to_finite_logits() {
    let device = Device::flex();
    let model = EfficientNetConfig::tiny().init(&device);
    for [batch, h, w] in [[1, 1, 1], [3, 32, 32], [2, 7, 18]] {
        let logits = model.forward(images([batch, 3, h, w], &device));
        assert_logits(logits, [batch, 4]);
    }
}

#[test]
fn stages_are_the_last_maps_of_every_size() {
    let device = Device::flex();
    let shapes = |config: EfficientNetConfig, side| -> Vec<_> {
        let maps = config
            .init(&device)
            .stages(images([1, 3, side, side], &device));
        maps.iter().map(Tensor::dims).collect()
    };
    assert_eq!(
        shapes(EfficientNetConfig::tiny(), 15),
        [[1, 8, 8, 8], [1, 24, 4, 4]]
    );
    assert_eq!(
        shapes(EfficientNetConfig::efficientnet_b0(), 32),
        [
            [1, 16, 16, 16],
            [1, 24, 8, 8],
            [1, 40, 4, 4],
            [1, 112, 2, 2],
            [1, 320, 1, 1]
        ]
    );
}

#[test]
#[should_panic(expected = "axis 1 expected 3, got 1")]
fn refuses_images_of_other_channels() {
    let device = Device::flex();
    let model = EfficientNetConfig::tiny().init(&device);
    model.forward(images([1, 1, 32, 32], &device));
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    let model = EfficientNetConfig::tiny().init(&device);
    let logits = model.forward(images([4, 3, 32, 32], &device));
    assert_gradient_everywhere(&model, logits);
}

#[test]
fn images_of_a_batch_do_not_mix_outside_training() {
    let device = Device::flex();
    let model = EfficientNetConfig::tiny().init(&device);
    assert_samples_do_not_mix(|x| model.forward(x), images([4, 3, 16, 16], &device));
}

#[test]
fn blocks_are_left_out_in_training_only() {
    let config = EfficientNetConfig {
        stochastic_depth: 0.9,
        ..EfficientNetConfig::tiny()
    };
    for (device, draws) in [(Device::flex(), false), (Device::flex().autodiff(), true)] {
        let model = config.init(&device);
        let batch = images([64, 3, 16, 16], &device);
        let [first, second] = [(), ()].map(|()| model.forward(batch.clone()).into_data());
        assert_eq!(first != second, draws);
    }
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    let mut json = serde_json::to_value(EfficientNetConfig::tiny()).unwrap();
    let parsed: EfficientNetConfig = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(parsed, EfficientNetConfig::tiny());

    json["stages"][1]["strid"] = 2.into();
    let error = serde_json::from_value::<EfficientNetConfig>(json).unwrap_err();
    assert!(error.to_string().contains("strid"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut EfficientNetConfig)| {
        let mut config = EfficientNetConfig::efficientnet_b0();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.stages[3].kernel = 4),
        "model.stages[3].kernel: expected an odd number, got 4"
    );
    assert_eq!(
        refusal(|c| c.stochastic_depth = 1.0),
        "model.stochastic_depth: expected at least 0 and below 1, got 1"
    );
    assert!(refusal(|c| c.stages.clear()).starts_with("model.stages: expected"));
    assert!(refusal(|c| c.stages[2].kernel = 17).starts_with("model.stages[2].kernel"));
    assert!(refusal(|c| c.stages[2].stride = 0).starts_with("model.stages[2].stride"));
    assert!(refusal(|c| c.stages[0].expansion = 0).starts_with("model.stages[0].expansion"));
    assert!(refusal(|c| c.stages[0].channels = usize::MAX).starts_with("model.stages[0].channels"));
    assert!(refusal(|c| c.stages[6].repeats = 0).starts_with("model.stages[6].repeats"));
    assert!(refusal(|c| c.stem_channels = 0).starts_with("model.stem_channels"));
    assert!(refusal(|c| c.last_channels = 0).starts_with("model.last_channels"));
    assert!(refusal(|c| c.dropout = f64::NAN).starts_with("model.dropout"));
    assert!(refusal(|c| c.in_channels = 0).starts_with("model.in_channels"));
    assert!(refusal(|c| c.num_classes = 1).starts_with("model.num_classes"));
}
