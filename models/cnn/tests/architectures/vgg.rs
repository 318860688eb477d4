use burn::prelude::*;
use burn::tensor::Tolerance;
use burn::tensor::module::adaptive_avg_pool2d;
use zoo_cnn::VggConfig;

use crate::parameters::{assert_gradient_everywhere, count, entries};
use crate::{assert_logits, assert_samples_do_not_mix, images};

#[test]
fn presets_have_torchvisions_sizes() {
    let published = [("vgg11_bn", 132_868_840), ("vgg16_bn", 138_365_992)];
    let found: Vec<_> = VggConfig::presets()
        .into_iter()
        .map(|(name, config)| {
            assert_eq!(config.validate(), Ok(()), "{name}");
            assert_eq!((config.in_channels(), config.least_side()), (3, 32));
            (name, count(&config.init(&Device::flex())))
        })
        .collect();
    assert_eq!(found, published);
}

#[test]
fn names_are_torchvisions() {
    // Where torchvision's `vgg16_bn().state_dict()` has convolutions and linear layers.
    let convolutions = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40];
    let config = VggConfig::vgg16_bn();
    let found: Vec<_> = entries(&config.init(&Device::flex()))
        .into_iter()
        .filter(|entry| entry.shape.rank() > 1)
        .map(|entry| config.origin_name(&entry.path))
        .collect();
    let features = convolutions.map(|number| format!("features.{number}.weight"));
    let classifier = [0, 3, 6].map(|number| format!("classifier.{number}.weight"));
    assert_eq!(found, [&features[..], &classifier[..]].concat());

    let norm = config.origin_name("features.2.1.1.running_var");
    assert_eq!(norm, "features.18.running_var");
}

#[test]
fn maps_any_batch_and_size_to_finite_logits() {
    let device = Device::flex();
    let config = VggConfig::tiny();
    let model = config.init(&device);
    for [batch, h, w] in [[1, 8, 8], [3, 32, 32], [2, 9, 70]] {
        let logits = model.forward(images([batch, 3, h, w], &device));
        assert_logits(logits, [batch, 4]);
    }
    let maps = model.stages(images([2, 3, 32, 25], &device));
    let shapes: Vec<_> = maps.iter().map(Tensor::dims).collect();
    assert_eq!(shapes, [[2, 4, 16, 12], [2, 8, 8, 6], [2, 16, 4, 3]]);
}

#[test]
#[should_panic(expected = "images of 8x8 pixels at least, got 32x7")]
fn refuses_images_of_which_nothing_is_left() {
    let device = Device::flex();
    let model = VggConfig::tiny().init(&device);
    model.forward(images([1, 3, 32, 7], &device));
}

#[test]
#[should_panic(expected = "axis 1 expected 3, got 1")]
fn refuses_images_of_other_channels() {
    let device = Device::flex();
    let model = VggConfig::tiny().init(&device);
    model.forward(images([1, 1, 32, 32], &device));
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    let model = VggConfig::tiny().init(&device);
    let logits = model.forward(images([4, 3, 32, 24], &device));
    assert_gradient_everywhere(&model, logits);
}

#[test]
fn images_of_a_batch_do_not_mix_outside_training() {
    let device = Device::flex();
    let model = VggConfig::tiny().init(&device);
    assert_samples_do_not_mix(|x| model.forward(x), images([4, 3, 16, 16], &device));
}

#[test]
fn weights_start_as_torchvisions_do() {
    let config = VggConfig::vgg11_bn();
    let model = config.init(&Device::flex());
    let (conv, _) = &model.features[2][0];
    let deviation = |weights: Tensor<1>| weights.var(0).sqrt().into_scalar::<f32>();
    let expected = f32::sqrt(2.0 / (256.0 * 9.0));
    // 1 %: the error of a deviation from 294,912 draws is 0.13 %.
    let found = deviation(conv.weight.val().flatten(0, 3));
    assert!((found / expected - 1.0).abs() < 0.01, "{found}");
    let found = deviation(model.classifier[2].weight.val().flatten(0, 1));
    assert!((found / 0.01 - 1.0).abs() < 0.01, "{found}");
    for bias in [&conv.bias, &model.classifier[2].bias] {
        let bias = bias.as_ref().unwrap().val();
        assert_eq!(bias.abs().sum().into_scalar::<f32>(), 0.0);
    }
}

#[test]
fn averaging_to_more_pixels_than_there_are_is_pytorchs() {
    // torch.nn.functional.adaptive_avg_pool2d(torch.tensor([[[[1., 2.], [3., 5.]]]]), (3, 3))
    let expected = [[1.0, 1.5, 2.0], [2.0, 2.75, 3.5], [3.0, 4.0, 5.0]];
    let device = Device::flex();
    let x = Tensor::<4>::from_data([[[[1.0, 2.0], [3.0, 5.0]]]], &device);
    let found: Tensor<2> = adaptive_avg_pool2d(x, [3, 3]).reshape([3, 3]);
    let expected = Tensor::<2>::from_data(expected, &device).into_data();
    found
        .into_data()
        .assert_approx_eq(&expected, Tolerance::<f32>::absolute(1e-6));
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    let mut json = serde_json::to_value(VggConfig::tiny()).unwrap();
    let parsed: VggConfig = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(parsed, VggConfig::tiny());

    json["droput"] = 0.25.into();
    let error = serde_json::from_value::<VggConfig>(json).unwrap_err();
    assert!(error.to_string().contains("droput"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut VggConfig)| {
        let mut config = VggConfig::vgg11_bn();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.convolutions[4] = 17),
        "model.convolutions[4]: expected 1 to 16, got 17"
    );
    assert_eq!(
        refusal(|c| c.dropout = 1.0),
        "model.dropout: expected at least 0 and below 1, got 1"
    );
    assert!(refusal(|c| c.dropout = f64::NAN).starts_with("model.dropout"));
    assert!(refusal(|c| c.convolutions = vec![1; 6]).starts_with("model.convolutions: expected"));
    assert!(refusal(|c| c.convolutions.clear()).starts_with("model.convolutions: expected"));
    assert!(refusal(|c| c.width = usize::MAX).starts_with("model.width"));
    assert!(refusal(|c| c.hidden = 0).starts_with("model.hidden"));
    assert!(refusal(|c| c.in_channels = 0).starts_with("model.in_channels"));
    assert!(refusal(|c| c.num_classes = 1).starts_with("model.num_classes"));
}
