//! What MLP-Mixer promises, on tiny shapes and random data.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{Distribution, Tolerance};
use zoo_mlp::{Mixer, MixerConfig};

fn images(batch: usize, device: &Device) -> Tensor<4> {
    let [channels, height, width] = MixerConfig::tiny().input_shape();
    let normal = Distribution::Normal(0.0, 1.0);
    Tensor::random([batch, channels, height, width], normal, device)
}

/// The tiny model with a head that is not zero.
fn lively(config: &MixerConfig, device: &Device) -> Mixer {
    struct Redraw;
    impl ModuleMapper for Redraw {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let redraw = |x: Tensor<D>| x.random_like(Distribution::Normal(0.0, 0.3));
            param.map(redraw).set_require_grad(true)
        }
    }
    let mut model = config.init(device);
    model.head = model.head.map(&mut Redraw);
    model
}

fn assert_close<const D: usize>(found: Tensor<D>, expected: Tensor<D>) {
    // 1e-5: values of order 1, summed in another order.
    let tolerance = Tolerance::<f32>::absolute(1e-5);
    found
        .into_data()
        .assert_approx_eq(&expected.into_data(), tolerance);
}

#[test]
fn parameters_are_as_timm_counts_them() {
    let device = Device::flex();
    let count = |config: MixerConfig| config.init(&device).num_params();
    assert_eq!(count(MixerConfig::tiny()), 5_028);
    let presets = MixerConfig::presets().into_iter();
    let counted: Vec<usize> = presets.map(|(_, config)| count(config)).collect();
    assert_eq!(counted, [18_528_264, 59_880_472]);
}

#[test]
fn every_class_is_as_likely_at_first() {
    let device = Device::flex();
    let logits = MixerConfig::tiny()
        .init(&device)
        .forward(images(2, &device));
    assert_eq!(logits.into_data(), TensorData::zeros::<f32, _>([2, 4]));
}

#[test]
fn the_logits_are_those_of_the_mean_patch() {
    let device = Device::flex();
    let model = lively(&MixerConfig::tiny(), &device);
    let x = images(3, &device);
    let stages = model.stages(x.clone());
    assert_eq!(stages.len(), 2);
    assert!(stages.iter().all(|map| map.dims() == [3, 12, 2, 2]));

    let patches = stages[1].clone().flatten::<3>(2, 3).swap_dims(1, 2); // [b, t, c]
    let mean = model.norm.forward(patches).mean_dim(1).squeeze_dim(1);
    assert_close(model.forward(x), model.head.forward(mean));
}

#[test]
fn a_map_lies_as_the_image_does() {
    let device = Device::flex();
    let mut model = MixerConfig::tiny().init(&device);
    // Without its outputs a perceptron adds nothing, and a block passes the patches on.
    let silence = |layer: &mut burn::nn::Linear| {
        layer.weight = Param::from_tensor(layer.weight.val().zeros_like());
        layer.bias = None;
    };
    for block in &mut model.blocks {
        silence(&mut block.mlp_tokens.fc2);
        silence(&mut block.mlp_channels.fc2);
    }
    let x = images(2, &device);
    let map = model.stages(x.clone()).remove(1);
    assert_close(map, model.stem.proj.forward(x));
}

#[test]
fn images_of_a_batch_do_not_mix() {
    let device = Device::flex();
    let model = lively(&MixerConfig::tiny(), &device);
    let x = images(3, &device);
    let together = model.forward(x.clone());
    for i in 0..3 {
        let alone = model.forward(x.clone().narrow(0, i, 1));
        assert_close(alone, together.clone().narrow(0, i, 1));
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    struct Gradients<'a>(&'a burn::tensor::Gradients, Vec<String>, usize);
    impl ModuleVisitor for Gradients<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.1.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.1.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let path = self.1.join(".");
            let gradient = param.grad(self.0);
            let gradient = gradient.unwrap_or_else(|| panic!("{path}: no gradient"));
            let size = gradient.abs().sum().into_scalar::<f32>();
            // It moves all channels of a patch alike, which every norm undoes: its gradient is zero
            // but for rounding.
            let is_undone = path.ends_with("mlp_tokens.fc2.bias");
            assert!(
                size.is_finite() && (size > 0.0 || is_undone),
                "{path}: sum of |g| {size}"
            );
            self.2 += 1;
        }
    }
    let device = Device::flex().autodiff();
    let model = lively(&MixerConfig::tiny(), &device);
    let logits = model.forward(images(3, &device));
    let gradients = logits.powi_scalar(2).mean().backward();
    let mut visitor = Gradients(&gradients, Vec::new(), 0);
    model.visit(&mut visitor);
    assert_eq!(visitor.2, 2 + 2 * 12 + 2 + 2);
}

#[test]
fn stochastic_depth_rises_and_acts_in_training_only() {
    let config = MixerConfig {
        num_layers: 3,
        stochastic_depth: 0.8,
        ..MixerConfig::tiny()
    };
    let device = Device::flex().autodiff();
    let model = lively(&config, &device);
    let rates = model.blocks.iter().map(|block| block.stochastic_depth.prob);
    assert_eq!(rates.collect::<Vec<_>>(), [0.0, 0.4, 0.8]);

    // 64 equal images: in training they differ by what was left out, one by one.
    let x = images(1, &device).repeat_dim(0, 64);
    let spread = |logits: Tensor<2>| {
        let spread = logits.clone().max_dim(0) - logits.min_dim(0);
        spread.max().into_scalar::<f32>()
    };
    assert!(spread(model.forward(x.clone())) > 0.0);
    let logits = model.valid().forward(x.without_autodiff());
    assert!(spread(logits) < 1e-5);
}

#[test]
#[should_panic(expected = "assert_shape!")]
fn refuses_images_of_another_size() {
    let device = Device::flex();
    let model = MixerConfig::tiny().init(&device);
    let _ = model.forward(Tensor::zeros([1, 3, 32, 8], &device));
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    let config = MixerConfig::tiny();
    let mut json = serde_json::to_value(&config).unwrap();
    let again = serde_json::from_value::<MixerConfig>(json.clone());
    assert_eq!(again.unwrap(), config);
    json["pacth_size"] = 8.into();
    let error = serde_json::from_value::<MixerConfig>(json).unwrap_err();
    assert!(error.to_string().contains("patch_size"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut MixerConfig)| {
        let mut config = MixerConfig::tiny();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.patch_size = 5),
        "model.patch_size: expected a divisor of model.image_size = 16, got 5"
    );
    assert_eq!(
        refusal(|c| c.width = 0),
        "model.width: expected 1 to 65536, got 0"
    );
    assert!(refusal(|c| c.patch_size = 0).starts_with("model.patch_size"));
    assert!(refusal(|c| c.image_size = usize::MAX).starts_with("model.image_size"));
    assert!(refusal(|c| c.stochastic_depth = 1.0).starts_with("model.stochastic_depth"));
    assert!(refusal(|c| c.dropout = -0.1).starts_with("model.dropout"));
    for (name, config) in MixerConfig::presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
    }
}
