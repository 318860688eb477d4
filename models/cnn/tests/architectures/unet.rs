use burn::prelude::*;
use zoo_cnn::{UNet, UNetConfig};

use crate::parameters::{assert_gradient_everywhere, count, entries};
use crate::{assert_logits, assert_samples_do_not_mix, images};

fn tiny_kinds() -> [UNetConfig; 2] {
    [UNetConfig::tiny(), UNetConfig::tiny_transposed()]
}

/// `[b, c, h, w]` -> `[b·h·w, classes]`
fn forward_to_rows(model: &UNet, images: Tensor<4>) -> Tensor<2> {
    model.forward(images).permute([0, 2, 3, 1]).flatten(0, 2)
}

#[test]
fn presets_have_the_origins_sizes() {
    // 31,037,698 is what milesial/Pytorch-UNet reports for 3 channels and 2 classes; its bilinear
    // form has the tensors of our nearest one.
    let published = [
        ("unet", 31_037_698),
        ("unet_nearest", 17_263_042),
        // Not the origin's, but counted by its code at a quarter of the width.
        ("unet_narrow", 1_080_946),
    ];
    let found: Vec<_> = UNetConfig::presets()
        .into_iter()
        .map(|(name, config)| {
            assert_eq!(config.validate(), Ok(()), "{name}");
            assert_eq!((config.in_channels(), config.num_classes()), (3, 2));
            (name, count(&config.init(&Device::flex())))
        })
        .collect();
    assert_eq!(found, published);
}

#[test]
fn names_are_the_origins() {
    let config = UNetConfig::tiny_transposed();
    let found: Vec<_> = entries(&config.init(&Device::flex()))
        .into_iter()
        .filter(|entry| entry.shape.rank() == 4)
        .map(|entry| config.origin_name(&entry.path))
        .collect();
    let mut expected = Vec::new();
    let mut pair = |path: String| {
        for number in [0, 3] {
            expected.push(format!("{path}double_conv.{number}.weight"));
        }
    };
    pair("inc.".into());
    (1..=4).for_each(|step| pair(format!("down{step}.maxpool_conv.1.")));
    for step in 1..=4 {
        expected.push(format!("up{step}.up.weight"));
        for number in [0, 3] {
            expected.push(format!("up{step}.conv.double_conv.{number}.weight"));
        }
    }
    expected.push("outc.conv.weight".into());
    assert_eq!(found, expected);

    let norm = config.origin_name("up2.conv.double_conv.1.1.running_mean");
    assert_eq!(norm, "up2.conv.double_conv.4.running_mean");
}

#[test]
fn maps_any_batch_and_size_to_logits_of_every_pixel() {
    let device = Device::flex();
    for config in tiny_kinds() {
        let model = config.init(&device);
        for [batch, h, w] in [[1, 16, 16], [2, 31, 18], [2, 33, 47]] {
            let input = images([batch, 3, h, w], &device);
            assert_eq!(model.forward(input.clone()).dims(), [batch, 2, h, w]);
            assert_logits(forward_to_rows(&model, input), [batch * h * w, 2]);
        }
    }
}

#[test]
fn stages_go_down_and_up_again() {
    let device = Device::flex();
    let widths = |config: UNetConfig| -> Vec<[usize; 4]> {
        let model = config.init(&device);
        let maps = model.stages(images([1, 3, 35, 16], &device));
        maps.iter().map(Tensor::dims).collect()
    };
    let sizes = [
        [35, 16],
        [17, 8],
        [8, 4],
        [4, 2],
        [2, 1],
        [4, 2],
        [8, 4],
        [17, 8],
        [35, 16],
    ];
    for (config, channels) in [
        (UNetConfig::tiny(), [2, 4, 8, 16, 16, 8, 4, 2, 2]),
        (
            UNetConfig::tiny_transposed(),
            [2, 4, 8, 16, 32, 16, 8, 4, 2],
        ),
    ] {
        let expected: Vec<_> = (channels.into_iter().zip(sizes))
            .map(|(c, [h, w])| [1, c, h, w])
            .collect();
        assert_eq!(widths(config), expected);
    }
}

#[test]
#[should_panic(expected = "images of 16x16 pixels at least, got 15x16")]
fn refuses_images_of_which_nothing_is_left() {
    let device = Device::flex();
    let model = UNetConfig::tiny().init(&device);
    model.forward(images([1, 3, 15, 16], &device));
}

#[test]
#[should_panic(expected = "axis 1 expected 3, got 1")]
fn refuses_images_of_other_channels() {
    let device = Device::flex();
    let model = UNetConfig::tiny().init(&device);
    model.forward(images([1, 1, 16, 16], &device));
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    for config in tiny_kinds() {
        let model = config.init(&device);
        let logits = forward_to_rows(&model, images([2, 3, 34, 32], &device));
        assert_gradient_everywhere(&model, logits);
    }
}

#[test]
fn images_of_a_batch_do_not_mix_outside_training() {
    let device = Device::flex();
    for config in tiny_kinds() {
        let model = config.init(&device);
        let forward = |x| model.forward(x).flatten(1, 3);
        assert_samples_do_not_mix(forward, images([3, 3, 20, 16], &device));
    }
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    for config in tiny_kinds() {
        let json = serde_json::to_string(&config).unwrap();
        let parsed: UNetConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed, config);
    }
    let mut json = serde_json::to_value(UNetConfig::unet()).unwrap();
    assert_eq!(json["up"], "transposed_convolution");
    json["bilinear"] = true.into();
    let error = serde_json::from_value::<UNetConfig>(json).unwrap_err();
    assert!(error.to_string().contains("bilinear"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut UNetConfig)| {
        let mut config = UNetConfig::unet();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.width = 0),
        "model.width: expected 1 to 1024, got 0"
    );
    assert!(refusal(|c| c.width = usize::MAX).starts_with("model.width"));
    assert!(refusal(|c| c.in_channels = 0).starts_with("model.in_channels"));
    assert!(refusal(|c| c.num_classes = 1).starts_with("model.num_classes"));
}
