use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{Distribution, Tolerance};
use zoo_cnn::{QuartzNet, QuartzNetConfig};

use crate::parameters::{assert_gradient_everywhere, count};
use crate::{assert_logits, images};

fn lengths<const B: usize>(lengths: [i64; B], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(lengths, device)
}

/// `[b, m, t]` -> `[b·s, classes]`
fn forward_to_rows(model: &QuartzNet, features: Tensor<3>, frames: Tensor<1, Int>) -> Tensor<2> {
    model.forward(features, frames).flatten(0, 1)
}

#[test]
fn presets_have_the_papers_sizes() {
    // Table 1, in millions.
    let published = [
        ("quartznet5x5", 6.7),
        ("quartznet10x5", 12.8),
        ("quartznet15x5", 18.9),
    ];
    let device = Device::flex();
    for (name, config) in QuartzNetConfig::presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
        if let Some((_, millions)) = published.iter().find(|(known, _)| *known == name) {
            let found = count(&config.init(&device)) as f64 / 1e6;
            assert!((found - millions).abs() < 0.06, "{name}: {found} million");
        }
    }
}

#[test]
fn maps_any_batch_and_length_to_logits_of_every_second_frame() {
    let device = Device::flex();
    let config = QuartzNetConfig::tiny();
    let model = config.init(&device);
    for (batch, frames) in [(1, 1), (2, 30), (3, 31)] {
        let full = Tensor::full([batch], frames as i64, &device);
        let left = config.output_length(frames);
        let logits = model.forward(images([batch, 6, frames], &device), full.clone());
        assert_eq!(logits.dims(), [batch, left, 5]);
        assert_logits(logits.flatten(0, 1), [batch * left, 5]);
        let found: Vec<i64> = model
            .output_lengths(full)
            .into_data()
            .convert::<i64>()
            .try_to_vec()
            .unwrap();
        assert_eq!(found, vec![left as i64; batch]);
    }
}

#[test]
fn padding_and_neighbours_change_nothing() {
    let device = Device::flex();
    let model = QuartzNetConfig::tiny().init(&device);
    // What lies behind the end is not silence.
    let batch = images([3, 6, 40], &device);
    let frames = [17, 40, 2];
    let together = model.forward(batch.clone(), lengths(frames, &device));
    for (i, frames) in frames.into_iter().enumerate() {
        let end = frames as usize;
        let alone = batch.clone().slice([i..i + 1, 0..6, 0..end]);
        let alone = model.forward(alone, lengths([frames], &device));
        let padded = together.clone().slice([i..i + 1, 0..end.div_ceil(2), 0..5]);
        // 1e-4: logits of order 1, summed in another order at another size.
        let tolerance = Tolerance::<f32>::absolute(1e-4);
        alone
            .into_data()
            .assert_approx_eq(&padded.into_data(), tolerance);
    }
}

#[test]
#[should_panic(expected = "axis 1 expected 6, got 5")]
fn refuses_features_of_other_bands() {
    let device = Device::flex();
    let model = QuartzNetConfig::tiny().init(&device);
    model.forward(images([1, 5, 16], &device), lengths([16], &device));
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    let model = QuartzNetConfig::tiny().init(&device);
    let features = Tensor::random([2, 6, 24], Distribution::Normal(0.0, 1.0), &device);
    let logits = forward_to_rows(&model, features, lengths([24, 15], &device));
    assert_gradient_everywhere(&model, logits);
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    for config in [QuartzNetConfig::tiny(), QuartzNetConfig::small()] {
        let json = serde_json::to_string(&config).unwrap();
        let parsed: QuartzNetConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed, config);
    }
    let mut json = serde_json::to_value(QuartzNetConfig::small()).unwrap();
    json["stem"]["width_"] = 3.into();
    let error = serde_json::from_value::<QuartzNetConfig>(json).unwrap_err();
    assert!(error.to_string().contains("width_"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut QuartzNetConfig)| {
        let mut config = QuartzNetConfig::small();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.stem.stride = 9),
        "model.stem.stride: expected 1 to 8, got 9"
    );
    assert_eq!(
        refusal(|c| c.stages[0].kernel = 4),
        "model.stages[0].kernel: expected an odd number, got 4"
    );
    assert!(refusal(|c| c.stages.clear()).starts_with("model.stages: expected 1 to 16 stages"));
    assert!(refusal(|c| c.dropout = 1.0).starts_with("model.dropout"));
    assert!(refusal(|c| c.num_classes = 1).starts_with("model.num_classes"));
    assert!(refusal(|c| c.tail.width = 0).starts_with("model.tail.width"));
}

/// What PyTorch computed (`golden/quartznet.py`).
fn golden() -> serde_json::Value {
    serde_json::from_str(include_str!("../golden/quartznet.json")).unwrap()
}

fn floats(numbers: &serde_json::Value) -> Vec<f32> {
    let numbers = numbers.as_array().unwrap().iter();
    numbers
        .map(|number| number.as_f64().unwrap() as f32)
        .collect()
}

/// Walks the tensors by the names that they have in PyTorch.
#[derive(Default)]
struct Named {
    path: Vec<String>,
    numbers: serde_json::Value,
    seen: usize,
}

impl Named {
    fn next(&mut self) -> Option<Vec<f32>> {
        let leaf = self
            .path
            .join(".")
            .replace(".gamma", ".weight")
            .replace(".beta", ".bias");
        let numbers = self.numbers.get(&leaf)?;
        self.seen += 1;
        Some(floats(numbers))
    }
}

impl ModuleMapper for Named {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let values = self.next().unwrap();
        param.map(|tensor| {
            let data = TensorData::new(values, tensor.dims());
            let loaded = Tensor::from_data(data, &tensor.device());
            if tensor.is_require_grad() {
                loaded.require_grad()
            } else {
                loaded
            }
        })
    }
}

/// Compares the gradients.
struct Gradients<'a>(Named, &'a burn::tensor::Gradients);

impl ModuleVisitor for Gradients<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.0.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.0.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // Running statistics have none.
        let Some(expected) = self.0.next() else {
            return;
        };
        let found: Vec<f32> = param
            .grad(self.1)
            .unwrap()
            .into_data()
            .try_to_vec()
            .unwrap();
        for (a, b) in found.iter().zip(&expected) {
            let path = &self.0.path;
            assert!(
                (a - b).abs() <= 1e-4 * b.abs().max(1.0),
                "{path:?}: {a}, not {b}"
            );
        }
    }
}

#[test]
fn outputs_and_gradients_are_pytorchs() {
    let golden = golden();
    let config: QuartzNetConfig = serde_json::from_value(golden["config"].clone()).unwrap();
    assert_eq!(config, QuartzNetConfig::tiny());
    let run = |device: &Device| {
        let mut named = Named {
            numbers: golden["weights"].clone(),
            ..Named::default()
        };
        let model = config.init(device).map(&mut named);
        assert_eq!(named.seen, golden["weights"].as_object().unwrap().len());
        let data = TensorData::new(floats(&golden["features"]), [3, 6, 21]);
        let logits = model.forward(
            Tensor::from_data(data, device),
            lengths([21, 12, 5], device),
        );
        (model, logits)
    };
    let (_, logits) = run(&Device::flex());
    let expected = TensorData::new(floats(&golden["output"]), [3, 11, 5]);
    let bound = Tolerance::<f32>::absolute(1e-5);
    logits.into_data().assert_approx_eq(&expected, bound);

    let (model, logits) = run(&Device::flex().autodiff());
    let gradients = logits.powi_scalar(2).mean().backward();
    let named = Named {
        numbers: golden["gradients"].clone(),
        ..Named::default()
    };
    let mut visit = Gradients(named, &gradients);
    model.visit(&mut visit);
    assert_eq!(visit.0.seen, golden["gradients"].as_object().unwrap().len());
}
