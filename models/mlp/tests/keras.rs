//! The textbook's second example, the same classifier in Keras: `mlp-mnist`'s model gives Keras's
//! losses step by step, with the recipe's optimizer and with Adam.
//!
//! `golden/mlp_keras.json` was made by the script beside it. Bound: 1e-4 on each loss, since f32 sums
//! in another order differ by about 1e-6 a step and Adam divides small numbers by small ones. The
//! script says why Adam's epsilon is smaller than Keras's own.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use burn::module::{Param, ParamId};
use burn::optim::GradientsParams;
use burn::prelude::*;
use serde_json::Value;
use zoo_kernels::cross_entropy;
use zoo_mlp::{Mlp, MlpConfig};
use zoo_train::OptimizerConfig;
use zoo_train::rng::{Purpose, Stream, derive};

const GOLDEN: &str = include_str!("golden/mlp_keras.json");
const RECIPE: &str = include_str!("../recipes/mlp-mnist.toml");
const SEED: u64 = 1;
const BATCH: usize = 64;
const PIXELS: usize = 784;

/// Numbers 0..1 in steps of 2^-24.
fn units(stream: &mut Stream, count: usize) -> Vec<f32> {
    let mut unit = || (stream.next_u64() >> 40) as f32 / (1 << 24) as f32;
    (0..count).map(|_| unit()).collect()
}

/// Made-up digits: ink in a block of rows that tells the class, on noise.
fn batch(step: usize, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
    let mut stream = Stream::new(derive(SEED, Purpose::Example, &[step as u64]));
    let numbers = units(&mut stream, BATCH * (1 + PIXELS));
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for row in numbers.chunks_exact(1 + PIXELS) {
        let label = (row[0] * 10.0) as usize;
        let ink = label * 78..label * 78 + 78;
        let inked = row[1..].iter().enumerate();
        pixels
            .extend(inked.map(|(i, unit)| unit * 0.5 + if ink.contains(&i) { 0.25 } else { 0.0 }));
        labels.push(label as i32);
    }
    let pixels = TensorData::new(pixels, [BATCH, PIXELS]);
    let labels = TensorData::new(labels, [BATCH]);
    (
        Tensor::from_data(pixels, device),
        Tensor::from_data(labels, device),
    )
}

/// U(-k, k) with k = 1 / sqrt(fan-in), in the order of the script.
fn weighted(mut model: Mlp, device: &Device) -> Mlp {
    let mut stream = Stream::new(derive(SEED, Purpose::Weights, &[]));
    let mut draw = |count: usize, fan_in: usize| -> Vec<f32> {
        let scale = (fan_in as f32).sqrt();
        let units = units(&mut stream, count).into_iter();
        units.map(|unit| (unit * 2.0 - 1.0) / scale).collect()
    };
    for layer in &mut model.layers {
        let [inputs, outputs] = layer.weight.dims();
        let weight = TensorData::new(draw(inputs * outputs, inputs), [outputs, inputs]);
        let weight = Tensor::<2>::from_data(weight, device).transpose();
        layer.weight = Param::initialized(ParamId::new(), weight.require_grad());
        let bias = Tensor::<1>::from_data(TensorData::from(&*draw(outputs, inputs)), device);
        layer.bias = Some(Param::initialized(ParamId::new(), bias.require_grad()));
    }
    model
}

fn losses(optimizer: &OptimizerConfig, steps: usize) -> Vec<f64> {
    let device = Device::flex().autodiff();
    let mut model = weighted(MlpConfig::intro().init(&device), &device);
    let mut updates = optimizer.build(&model);
    let mut losses = Vec::new();
    for step in 0..steps {
        let (pixels, labels) = batch(step, &device);
        let loss = cross_entropy(model.forward(pixels), labels, 0.0);
        losses.push(f64::from(loss.clone().into_scalar::<f32>()));
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = updates.step(optimizer.learning_rate, model, gradients);
    }
    losses
}

#[test]
fn the_classifier_equals_keras_step_by_step() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let runs = golden["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        let mut optimizer = run["config"].clone();
        optimizer["name"] = run["optimizer"].clone();
        let name = run["optimizer"].as_str().unwrap();
        let optimizer: OptimizerConfig = serde_json::from_value(optimizer).unwrap();
        let expected: Vec<f64> = serde_json::from_value(run["losses"].clone()).unwrap();
        assert_eq!(expected.len(), 20);
        let found = losses(&optimizer, expected.len());
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                (found - expected).abs() < 1e-4,
                "{name}, step {step}: loss {found}, Keras has {expected}"
            );
        }
    }
}

#[test]
fn keras_default_sgd_is_the_recipes_optimizer() {
    let recipe: toml::Table = RECIPE.parse().unwrap();
    assert_eq!(recipe["model"]["preset"].as_str(), Some("intro"));
    let recipes: OptimizerConfig = recipe["optimizer"].clone().try_into().unwrap();
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let mut kerass = golden["runs"][0]["config"].clone();
    kerass["name"] = golden["runs"][0]["optimizer"].clone();
    let kerass: OptimizerConfig = serde_json::from_value(kerass).unwrap();
    assert_eq!(kerass, recipes);
}
