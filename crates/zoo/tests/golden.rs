//! The textbook example equals PyTorch's, step by step.
//!
//! `models/mlp/tests/golden/mlp_mnist.json` was made by the script beside it: plain PyTorch on the
//! CPU, from weights and an order of examples that SplitMix64 gives to both sides. Bounds: 1e-4 on
//! each of the first 200 losses (f32 sums in another order differ by about 1e-6 a step, and the
//! difference grows slowly under plain SGD), 0.3 points of test accuracy after ten epochs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{fail, real_data, succeed};
use serde_json::Value;
use zoo_train::rng::{Purpose, Stream, derive};

const GOLDEN: &str = include_str!("../../../models/mlp/tests/golden/mlp_mnist.json");

/// The initial weights of the script, as a safetensors file in PyTorch's layout.
fn write_weights(path: &Path) {
    let mut stream = Stream::new(derive(1, Purpose::Weights, &[]));
    let tensors: [(&str, &[usize], usize); 4] = [
        ("layers.0.weight", &[128, 784], 784),
        ("layers.0.bias", &[128], 784),
        ("layers.1.weight", &[10, 128], 128),
        ("layers.1.bias", &[10], 128),
    ];
    let (mut header, mut bytes) = (serde_json::Map::new(), Vec::new());
    for (name, shape, fan_in) in tensors {
        let start = bytes.len();
        for _ in 0..shape.iter().product::<usize>() {
            let unit = (stream.next_u64() >> 40) as f64 / f64::from(1 << 24) * 2.0 - 1.0;
            let value = unit as f32 / (fan_in as f32).sqrt();
            bytes.extend(value.to_le_bytes());
        }
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, bytes.len()] });
        header.insert(name.into(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(bytes);
    fs::write(path, file).unwrap();
}

#[test]
fn the_textbook_example_equals_pytorch() {
    let Some(directory) = real_data("mlp-mnist against PyTorch", "mnist") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("initial.safetensors");
    write_weights(&weights);
    let set_weights = format!("model.weights={}", weights.display());
    let out = succeed(
        folder.path(),
        &[
            "train",
            "mlp-mnist",
            "--json",
            "--set",
            &set_weights,
            "--set",
            "train.log_every_steps=1",
            "--data-dir",
            directory.to_str().unwrap(),
        ],
    );
    let events: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| {
        events
            .iter()
            .filter(|event| event["event"] == kind)
            .cloned()
            .collect::<Vec<_>>()
    };
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();

    let expected = golden["losses"].as_array().unwrap();
    assert_eq!(expected.len(), 200);
    let mut largest = 0.0_f64;
    for (step, (event, expected)) in of("step").iter().zip(expected).enumerate() {
        let (loss, expected) = (event["loss"].as_f64().unwrap(), expected.as_f64().unwrap());
        largest = largest.max((loss - expected).abs());
        assert!(
            (loss - expected).abs() < 1e-4,
            "step {}: {loss}, PyTorch {expected}",
            step + 1
        );
    }
    println!("largest difference of 200 losses from PyTorch's: {largest:.1e}");
    for (event, expected) in of("epoch")
        .iter()
        .zip(golden["epoch_losses"].as_array().unwrap())
    {
        let (loss, expected) = (event["loss"].as_f64().unwrap(), expected.as_f64().unwrap());
        assert!(
            (loss - expected).abs() < 1e-3,
            "epoch: {loss}, PyTorch {expected}"
        );
    }
    let accuracy = of("finish")[0]["metrics"]["test.accuracy"]
        .as_f64()
        .unwrap();
    let expected = golden["test_accuracy"].as_f64().unwrap();
    println!("test accuracy {accuracy}, PyTorch {expected}");
    assert!(
        (accuracy - expected).abs() <= 0.003,
        "accuracy {accuracy}, PyTorch {expected}"
    );
}

#[test]
fn weights_of_another_model_are_refused_by_tensor() {
    let folder = tempfile::tempdir().unwrap();
    write_weights(&folder.path().join("initial.safetensors"));
    let set = [
        "--set",
        "model.weights=initial.safetensors",
        "--set",
        "model.widths=[784,64,10]",
    ];
    let error = fail(
        folder.path(),
        &[&["train", "mlp-glyphs"], &set[..]].concat(),
        2,
    );
    assert!(
        error.contains("initial.safetensors") && error.contains("layers.0.weight"),
        "{error}"
    );
    assert!(
        !folder
            .path()
            .join("runs")
            .join("mlp-glyphs-flex-1")
            .exists()
    );
}
