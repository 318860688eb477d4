use burn::prelude::*;
use zoo_cnn::ConvNeXtConfig;

use crate::parameters::{assert_gradient_everywhere, count, entries};
use crate::{assert_logits, assert_samples_do_not_mix, images};

#[test]
fn presets_have_torchvisions_sizes() {
    let published = [
        ("convnext_tiny", 28_589_128),
        ("convnext_small", 50_223_688),
    ];
    let found: Vec<_> = ConvNeXtConfig::presets()
        .into_iter()
        .map(|(name, config)| {
            assert_eq!(config.validate(), Ok(()), "{name}");
            assert_eq!((config.in_channels(), config.num_classes()), (3, 1000));
            assert_eq!(config.least_side(), 32);
            (name, count(&config.init(&Device::flex())))
        })
        .collect();
    assert_eq!(found, published);
}

#[test]
fn names_are_torchvisions() {
    let config = ConvNeXtConfig::convnext_tiny();
    let found: Vec<_> = entries(&config.init(&Device::flex()))
        .into_iter()
        .filter(|entry| entry.shape.rank() > 1)
        .map(|entry| (config.origin_name(&entry.path), entry.shape.to_vec()))
        .collect();
    let mut expected = vec![("features.0.0.weight".to_string(), vec![96, 3, 4, 4])];
    let stages = [(96, 3), (192, 3), (384, 9), (768, 3)];
    for (stage, (c, blocks)) in (1..).step_by(2).zip(stages) {
        for block in 0..blocks {
            let path = format!("features.{stage}.{block}");
            // A linear weight is [in, out] here.
            expected.extend([
                (format!("{path}.block.0.weight"), vec![c, 1, 7, 7]),
                (format!("{path}.block.3.weight"), vec![c, 4 * c]),
                (format!("{path}.block.5.weight"), vec![4 * c, c]),
                (format!("{path}.layer_scale"), vec![c, 1, 1]),
            ]);
        }
    }
    for (between, c) in [(2, 96), (4, 192), (6, 384)] {
        expected.push((format!("features.{between}.1.weight"), vec![2 * c, c, 2, 2]));
    }
    expected.push(("classifier.2.weight".to_string(), vec![768, 1000]));
    assert_eq!(found, expected);

    for (ours, theirs) in [
        ("stem.1.weight", "features.0.1.weight"),
        ("blocks.3.2.norm.bias", "features.7.2.block.2.bias"),
        ("downsamples.2.0.weight", "features.6.0.weight"),
        ("norm.weight", "classifier.0.weight"),
    ] {
        assert_eq!(config.origin_name(ours), theirs);
    }
}

#[test]
fn maps_any_batch_and_size_to_finite_logits() {
    let device = Device::flex();
    let model = ConvNeXtConfig::tiny().init(&device);
    for [batch, h, w] in [[1, 8, 8], [3, 32, 32], [2, 9, 18]] {
        let logits = model.forward(images([batch, 3, h, w], &device));
        assert_logits(logits, [batch, 4]);
    }
}

#[test]
fn stages_halve_the_map() {
    let device = Device::flex();
    let shapes = |config: ConvNeXtConfig, h, w| -> Vec<_> {
        let maps = config.init(&device).stages(images([1, 3, h, w], &device));
        maps.iter().map(Tensor::dims).collect()
    };
    assert_eq!(
        shapes(ConvNeXtConfig::tiny(), 32, 23),
        [[1, 8, 8, 5], [1, 16, 4, 2]]
    );
    assert_eq!(
        shapes(ConvNeXtConfig::convnext_tiny(), 32, 64),
        [
            [1, 96, 8, 16],
            [1, 192, 4, 8],
            [1, 384, 2, 4],
            [1, 768, 1, 2]
        ]
    );
}

#[test]
#[should_panic(expected = "images of 8x8 pixels at least, got 32x7")]
fn refuses_images_of_which_nothing_is_left() {
    let device = Device::flex();
    let model = ConvNeXtConfig::tiny().init(&device);
    model.forward(images([1, 3, 32, 7], &device));
}

#[test]
#[should_panic(expected = "axis 1 expected 3, got 1")]
fn refuses_images_of_other_channels() {
    let device = Device::flex();
    let model = ConvNeXtConfig::tiny().init(&device);
    model.forward(images([1, 1, 32, 32], &device));
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    let model = ConvNeXtConfig::tiny().init(&device);
    let logits = model.forward(images([4, 3, 32, 32], &device));
    assert_gradient_everywhere(&model, logits);
}

#[test]
fn images_of_a_batch_do_not_mix() {
    // In training neither: there is no batch norm.
    for device in [Device::flex(), Device::flex().autodiff()] {
        let model = ConvNeXtConfig::tiny().init(&device);
        assert_samples_do_not_mix(|x| model.forward(x), images([4, 3, 16, 16], &device));
    }
}

#[test]
fn the_last_block_is_left_out_most_and_the_first_never() {
    let config = ConvNeXtConfig {
        stochastic_depth: 0.9,
        ..ConvNeXtConfig::tiny()
    };
    let device = Device::flex().autodiff();
    let model = config.init(&device);
    let x = images([64, 8, 2, 2], &device);
    let first = &model.blocks[0][0];
    assert_eq!(
        first.forward(x.clone()).into_data(),
        first.forward(x).into_data()
    );

    let x = images([1000, 16, 2, 2], &device);
    let added = model.blocks[1][1].forward(x.clone()) - x;
    let sizes = added.abs().flatten::<2>(1, 3).sum_dim(1).into_data();
    let sizes = sizes.try_to_vec::<f32>().unwrap();
    // 900 are expected, with a deviation of 9.5.
    let left_out = sizes.iter().filter(|size| **size == 0.0).count();
    assert!((830..970).contains(&left_out), "{left_out}");
}

#[test]
fn a_single_block_is_never_left_out() {
    let mut config = ConvNeXtConfig::tiny();
    config.stages.truncate(1);
    config.stochastic_depth = 0.9;
    let device = Device::flex().autodiff();
    let model = config.init(&device);
    let x = images([8, 3, 16, 16], &device);
    let logits = model.forward(x.clone());
    assert_eq!(logits.into_data(), model.forward(x).into_data());
}

#[test]
fn weights_start_as_the_paper_says() {
    let model = ConvNeXtConfig::convnext_tiny().init(&Device::flex());
    let block = &model.blocks[3][2];
    let deviation = |weights: Tensor<1>| weights.var(0).sqrt().into_scalar::<f32>();
    // 2 %: the error of a deviation from 37,632 draws is 0.4 %.
    for found in [
        deviation(block.depthwise.weight.val().flatten(0, 3)),
        deviation(block.expand.weight.val().flatten(0, 1)),
    ] {
        assert!((found / 0.02 - 1.0).abs() < 0.02, "{found}");
    }
    let bias = block.depthwise.bias.as_ref().unwrap().val();
    assert_eq!(bias.abs().sum().into_scalar::<f32>(), 0.0);
    let scale = block.layer_scale.val().flatten::<1>(0, 2).into_data();
    assert_eq!(scale, TensorData::from([1e-6_f32; 768]));
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    let mut json = serde_json::to_value(ConvNeXtConfig::tiny()).unwrap();
    let parsed: ConvNeXtConfig = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(parsed, ConvNeXtConfig::tiny());

    json["stages"][1]["block"] = 2.into();
    let error = serde_json::from_value::<ConvNeXtConfig>(json).unwrap_err();
    assert!(error.to_string().contains("block"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut ConvNeXtConfig)| {
        let mut config = ConvNeXtConfig::convnext_tiny();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.layer_scale = 2.0),
        "model.layer_scale: expected 0 to 1, got 2"
    );
    assert_eq!(
        refusal(|c| c.stages.clear()),
        "model.stages: expected 1 to 16 stages, got 0"
    );
    assert!(refusal(|c| c.stages[3].blocks = 0).starts_with("model.stages[3].blocks"));
    assert!(refusal(|c| c.stages[0].channels = usize::MAX).starts_with("model.stages[0].channels"));
    assert!(refusal(|c| c.stochastic_depth = 1.0).starts_with("model.stochastic_depth"));
    assert!(refusal(|c| c.layer_scale = f64::NAN).starts_with("model.layer_scale"));
    assert!(refusal(|c| c.in_channels = 0).starts_with("model.in_channels"));
    assert!(refusal(|c| c.num_classes = 1).starts_with("model.num_classes"));
}
