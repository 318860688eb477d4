//! What the perceptron promises, on tiny shapes and random data.

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{Distribution, Tolerance};
use zoo_mlp::{Activation, MlpConfig};

const ACTIVATIONS: [Activation; 4] = [
    Activation::Relu,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Gelu,
];

fn tiny() -> MlpConfig {
    MlpConfig {
        widths: vec![6, 16, 16, 3],
        activation: Activation::Relu,
        dropout: 0.0,
    }
}

fn features(config: &MlpConfig, batch: usize, device: &Device) -> Tensor<2> {
    let distribution = Distribution::Normal(0.0, 1.0);
    Tensor::random([batch, config.input_features()], distribution, device)
}

#[test]
fn intro_is_the_textbook_classifier() {
    let config = MlpConfig::intro();
    assert_eq!(config.input_features(), 784);
    assert_eq!(config.num_classes(), 10);
    let model = config.init(&Device::flex());
    assert_eq!(model.num_params(), 784 * 128 + 128 + 128 * 10 + 10);
}

#[test]
fn presets_are_valid_and_their_names_differ() {
    let presets = MlpConfig::presets();
    for (name, config) in &presets {
        assert_eq!(config.validate(), Ok(()), "{name}");
        assert_eq!(presets.iter().filter(|(other, _)| other == name).count(), 1);
    }
}

#[test]
fn maps_any_batch_to_finite_logits() {
    let device = Device::flex();
    for widths in [vec![6, 3], vec![1, 1], vec![4, 5, 6, 7, 8]] {
        let config = MlpConfig { widths, ..tiny() };
        let model = config.init(&device);
        for batch in [1, 2, 7] {
            let logits = model.forward(features(&config, batch, &device));
            assert_eq!(logits.dims(), [batch, config.num_classes()]);
            assert!(logits.is_finite().all().into_scalar::<bool>());
        }
    }
}

#[test]
#[should_panic(expected = "assert_shape!")]
fn refuses_features_of_another_width() {
    let device = Device::flex();
    tiny().init(&device).forward(Tensor::zeros([2, 5], &device));
}

#[test]
fn computes_what_the_formula_says() {
    let device = Device::flex();
    let model = tiny().init(&device);
    let x = features(&tiny(), 4, &device);
    let affine = |i: usize, x: Tensor<2>| {
        let layer = &model.layers[i];
        x.matmul(layer.weight.val()) + layer.bias.as_ref().unwrap().val().unsqueeze()
    };
    let hidden = affine(0, x.clone()).clamp_min(0.0);
    let hidden = affine(1, hidden).clamp_min(0.0);
    // The last layer has no activation: negative logits survive.
    let expected = affine(2, hidden).into_data();
    // 1e-5: two ways to order sums of 16 products in f32.
    let tolerance = Tolerance::<f32>::absolute(1e-5);
    model
        .forward(x)
        .into_data()
        .assert_approx_eq(&expected, tolerance);
}

#[test]
fn hidden_states_are_what_leaves_the_hidden_layers() {
    let device = Device::flex();
    let model = tiny().init(&device);
    let x = features(&tiny(), 4, &device);
    let states = model.hidden_states(x.clone());
    assert_eq!(states.len(), 2);
    let mut expected = x.clone();
    for (layer, state) in model.layers.iter().zip(&states) {
        expected = layer.forward(expected).clamp_min(0.0);
        // 1e-5: two ways to order sums of 16 products in f32.
        state.clone().into_data().assert_approx_eq(
            &expected.clone().into_data(),
            Tolerance::<f32>::absolute(1e-5),
        );
    }
    let last = &model.layers[2];
    model.forward(x).into_data().assert_approx_eq(
        &last.forward(states[1].clone()).into_data(),
        Tolerance::<f32>::absolute(1e-5),
    );
}

#[test]
fn activations_are_the_functions_they_are_named_after() {
    let device = Device::flex();
    // Values at -1, 0 and 2, to seven digits, from the functions' definitions.
    let table = [
        (Activation::Relu, [0.0, 0.0, 2.0]),
        (Activation::Tanh, [-0.761_594_2, 0.0, 0.964_027_6]),
        (Activation::Sigmoid, [0.268_941_4, 0.5, 0.880_797_1]),
        (Activation::Gelu, [-0.158_655_3, 0.0, 1.954_499_7]),
    ];
    for (activation, expected) in table {
        let found = activation.forward(Tensor::<1>::from_floats([-1.0, 0.0, 2.0], &device));
        found.into_data().assert_approx_eq(
            &TensorData::from(expected),
            Tolerance::<f32>::absolute(2e-6),
        );
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    struct Gradients<'a>(&'a burn::tensor::Gradients, usize);
    impl ModuleVisitor for Gradients<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.grad(self.0).expect("no gradient");
            let size = gradient.abs().sum().into_scalar::<f32>();
            assert!(size.is_finite() && size > 0.0, "sum of |gradient|: {size}");
            self.1 += 1;
        }
    }
    let device = Device::flex().autodiff();
    for activation in ACTIVATIONS {
        let config = MlpConfig {
            activation,
            ..tiny()
        };
        let model = config.init(&device);
        let logits = model.forward(features(&config, 16, &device));
        let gradients = logits.powi_scalar(2).mean().backward();
        let mut visitor = Gradients(&gradients, 0);
        model.visit(&mut visitor);
        assert_eq!(visitor.1, 6, "three layers of weight and bias");
    }
}

#[test]
fn samples_of_a_batch_do_not_mix() {
    let device = Device::flex();
    let model = tiny().init(&device);
    let batch = features(&tiny(), 4, &device);
    let together = model.forward(batch.clone());
    for i in 0..4 {
        let alone = model.forward(batch.clone().slice(i..i + 1));
        // 1e-5: another batch size may sum in another order.
        alone.into_data().assert_approx_eq(
            &together.clone().slice(i..i + 1).into_data(),
            Tolerance::<f32>::absolute(1e-5),
        );
    }
}

#[test]
fn dropout_acts_on_an_autodiff_device_only() {
    let config = MlpConfig {
        widths: vec![6, 256, 3],
        dropout: 0.5,
        ..tiny()
    };
    let device = Device::flex().autodiff();
    let model = config.init(&device);
    let x = features(&config, 4, &device);
    let train = || model.forward(x.clone()).into_data();
    assert_ne!(
        train(),
        train(),
        "256 hidden units, yet the same mask twice"
    );

    let valid = model.valid();
    let x = x.clone().without_autodiff();
    let eval = || valid.forward(x.clone()).into_data();
    assert_eq!(eval(), eval());
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    for activation in ACTIVATIONS {
        let config = MlpConfig {
            activation,
            ..tiny()
        };
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<MlpConfig>(&json).unwrap(), config);
    }
    let intro = serde_json::to_value(MlpConfig::intro()).unwrap();
    assert_eq!(intro["activation"], "relu");

    let mut typo = intro.clone();
    typo["dropuot"] = 0.1.into();
    let error = serde_json::from_value::<MlpConfig>(typo)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("dropuot") && error.contains("dropout"),
        "{error}"
    );

    let mut unknown = intro;
    unknown["activation"] = "relo".into();
    let error = serde_json::from_value::<MlpConfig>(unknown)
        .unwrap_err()
        .to_string();
    assert!(error.contains("relo") && error.contains("relu"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut MlpConfig)| {
        let mut config = MlpConfig::intro();
        change(&mut config);
        config.validate().unwrap_err()
    };
    let too_few = refusal(|c| c.widths = vec![784]);
    let expected =
        "model.widths: expected 2 to 1024 widths, the input's first and the output's last, got ";
    assert_eq!(too_few, format!("{expected}1"));
    assert_eq!(refusal(|c| c.widths.clear()), format!("{expected}0"));
    let empty = refusal(|c| c.widths[1] = 0);
    assert_eq!(empty, "model.widths[1]: expected 1 to 1048576, got 0");
    assert!(refusal(|c| c.widths[2] = usize::MAX).starts_with("model.widths[2]"));
    for bad in [1.0, -0.1, f64::NAN, f64::INFINITY] {
        let mut config = MlpConfig::intro();
        config.dropout = bad;
        let message = config.validate().unwrap_err();
        assert!(message.starts_with("model.dropout"), "{message}");
        assert!(message.ends_with(&bad.to_string()), "{message}");
    }
}

#[test]
#[should_panic(expected = "model.dropout")]
fn init_panics_on_a_config_that_validate_refuses() {
    let mut config = tiny();
    config.dropout = 1.0;
    config.init(&Device::flex());
}
