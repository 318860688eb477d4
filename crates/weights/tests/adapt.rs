//! Weights of another size than the model's: what is kept, what is made to fit, and what is said of it.
//!
//! The numbers of `golden/adapt.json` are timm's; the script beside it made them. The bound is single
//! precision's, in which timm computes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;
use zoo_weights::{Misfit, Origin, adapt, load, load_adapting, save};

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/adapt.json")).unwrap()
}

fn tensor(case: &Value) -> TensorData {
    let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
    let values: Vec<f32> = serde_json::from_value(case["values"].clone()).unwrap();
    TensorData::new(values, shape)
}

fn assert_near(found: &TensorData, expected: &TensorData) {
    assert_eq!(found.shape(), expected.shape());
    for (a, b) in found.iter::<f32>().zip(expected.iter::<f32>()) {
        assert!((a - b).abs() <= 1e-5, "{a}, timm {b}");
    }
}

#[test]
fn positions_at_another_size_are_timms() {
    let golden = golden();
    let cases = golden["positions"].as_array().unwrap();
    assert!(cases.len() > 5);
    for case in cases {
        let tokens = case["tokens"].as_u64().unwrap() as usize;
        let (from, to) = (tensor(&case["from"]), tensor(&case["to"]));
        let side = (to.shape()[1] - tokens).isqrt();
        assert_near(&adapt::positions(&from, tokens, side), &to);
    }
}

#[test]
fn channels_of_a_first_convolution_are_timms() {
    let golden = golden();
    let cases = golden["channels"].as_array().unwrap();
    assert!(cases.len() > 3);
    for case in cases {
        let (from, to) = (tensor(&case["from"]), tensor(&case["to"]));
        assert_near(&adapt::channels(&from, to.shape()[1]), &to);
    }
}

/// timm has no weights of one channel: the rule is that a grey picture gives what it gave.
#[test]
fn one_channel_becomes_three_that_see_a_grey_picture_alike() {
    let grey = TensorData::new(vec![0.5_f32, -1.5, 3.0, 0.25], [1, 1, 2, 2]);
    let colour = adapt::channels(&grey, 3);
    assert_eq!(colour.shape().as_slice(), [1, 3, 2, 2]);
    assert_near(&adapt::channels(&colour, 1), &grey);
    let values: Vec<f32> = colour.iter::<f32>().collect();
    assert_eq!(values[..4], values[4..8]);
}

/// A decoder with an output layer of its own.
#[derive(Module, Debug)]
struct Words {
    wte: Embedding,
    lm_head: Linear,
}

fn words(vocabulary: usize, device: &Device) -> Words {
    Words {
        wte: EmbeddingConfig::new(vocabulary, 4).init(device),
        lm_head: LinearConfig::new(4, vocabulary).init(device),
    }
}

fn rows(words: &Words, rows: usize) -> [TensorData; 3] {
    let embedding = words.wte.weight.val().narrow(0, 0, rows);
    let output = words.lm_head.weight.val().narrow(1, 0, rows);
    let bias = words.lm_head.bias.as_ref().unwrap().val();
    [
        embedding.into_data(),
        output.into_data(),
        bias.narrow(0, 0, rows).into_data(),
    ]
}

fn saved<M: Module>(model: &M, folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("model.safetensors");
    save(model, &path, &Origin::default()).unwrap();
    path
}

fn note<M: Module>(model: &mut M, path: &Path, misfit: Misfit) -> String {
    let loaded = load_adapting(model, path, &Origin::default(), &|_| misfit).unwrap();
    assert!(loaded.kept.is_empty(), "{:?}", loaded.kept);
    loaded.note.unwrap()
}

#[test]
fn rows_that_are_there_are_kept_and_new_ones_are_drawn() {
    let (folder, device) = (tempfile::tempdir().unwrap(), Device::flex());
    let trained = words(5, &device);
    let path = saved(&trained, &folder);
    let mut wider = words(8, &device);
    let drawn = wider.wte.weight.val().narrow(0, 5, 3).into_data();
    let note = note(&mut wider, &path, Misfit::Rows);
    assert_eq!(rows(&wider, 5), rows(&trained, 5));
    assert_eq!(wider.wte.weight.val().narrow(0, 5, 3).into_data(), drawn);
    let new: Vec<f32> = drawn.iter::<f32>().collect();
    assert!(new.iter().all(|x| x.is_finite()) && new.iter().any(|x| *x != 0.0));
    for path in ["wte.weight", "lm_head.weight", "lm_head.bias"] {
        let expected = format!("{path}: 5 of 8 rows are the file's, 3 are new");
        assert!(note.contains(&expected), "{note}");
    }
}

#[test]
fn superfluous_rows_are_cut() {
    let (folder, device) = (tempfile::tempdir().unwrap(), Device::flex());
    let trained = words(5, &device);
    let path = saved(&trained, &folder);
    let mut narrower = words(3, &device);
    let note = note(&mut narrower, &path, Misfit::Rows);
    assert_eq!(rows(&narrower, 3), rows(&trained, 3));
    let expected = "wte.weight: 3 of the file's 5 rows are used, 2 are left out";
    assert!(note.contains(expected), "{note}");
}

#[test]
fn rows_of_another_width_are_drawn_anew_and_without_leave_refused() {
    let (folder, device) = (tempfile::tempdir().unwrap(), Device::flex());
    let path = saved(&words(5, &device), &folder);
    let mut other = Words {
        wte: EmbeddingConfig::new(5, 6).init(&device),
        lm_head: LinearConfig::new(4, 5).init(&device),
    };
    let misfit = |_: &str| Misfit::Rows;
    let loaded = load_adapting(&mut other, &path, &Origin::default(), &misfit).unwrap();
    assert_eq!(loaded.kept, ["wte.weight"]);
    let error = load(&mut words(8, &device), &path, &Origin::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("wte.weight is [5, 4], expected [8, 4]"),
        "{error}"
    );
}

#[test]
fn new_rows_of_a_model_that_trains_are_trained() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(&words(5, &Device::flex()), &folder);
    let device = Device::flex().autodiff();
    let mut wider = words(8, &device);
    note(&mut wider, &path, Misfit::Rows);
    let gradients = wider.wte.weight.val().powi_scalar(2).sum().backward();
    let gradient = wider.wte.weight.val().grad(&gradients).unwrap();
    assert_eq!(gradient.dims(), [8, 4]);
}

/// A picture model with positions.
#[derive(Module, Debug)]
struct Patches {
    pos_embed: Param<Tensor<3>>,
    proj: Conv2d,
}

fn patches(side: usize, channels: usize, device: &Device) -> Patches {
    let shape = [1, 1 + side * side, 2];
    let values = (0..shape.iter().product::<usize>()).map(|i| (i as f32).sin());
    let data = TensorData::new(values.collect::<Vec<_>>(), shape);
    Patches {
        pos_embed: Param::from_data(data, device),
        proj: Conv2dConfig::new([channels, 2], [2, 2]).init(device),
    }
}

#[test]
fn a_picture_model_takes_weights_of_another_picture() {
    let (folder, device) = (tempfile::tempdir().unwrap(), Device::flex());
    let trained = patches(2, 3, &device);
    let path = saved(&trained, &folder);
    let mut other = patches(4, 1, &device);
    let misfit = |path: &str| match path {
        "pos_embed" => Misfit::Positions(1),
        "proj.weight" => Misfit::Channels,
        _ => Misfit::Refuse,
    };
    let loaded = load_adapting(&mut other, &path, &Origin::default(), &misfit).unwrap();
    let expected = adapt::positions(&trained.pos_embed.val().into_data(), 1, 4);
    assert_near(&other.pos_embed.val().into_data(), &expected);
    let expected = trained.proj.weight.val().sum_dim(1).into_data();
    assert_near(&other.proj.weight.val().into_data(), &expected);
    let note = loaded.note.unwrap();
    for said in [
        "2x2 positions interpolated to 4x4",
        "3 input channels summed to 1",
    ] {
        assert!(note.contains(said), "{note}");
    }
    // No square: five patches.
    let mut odd = patches(4, 1, &device);
    odd.pos_embed = Param::from_data(TensorData::zeros::<f32, _>([1, 6, 2]), &device);
    let error = load_adapting(&mut odd, &path, &Origin::default(), &misfit).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("pos_embed is [1, 5, 2], expected [1, 6, 2]"),
        "{error}"
    );
}
