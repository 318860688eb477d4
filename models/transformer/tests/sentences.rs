//! BERT as its files say: how positions become one vector, which activation, which dropout.
//!
//! `golden/pooling.json` holds what sentence-transformers' formulas give; the script is beside it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use serde_json::{Value, json};
use zoo_transformer::bert::hugging_face::HfBert;
use zoo_transformer::bert::{Activation, BertConfig, Head};
use zoo_transformer::pooling::Pooling;

const ALL: [Pooling; 5] = [
    Pooling::First,
    Pooling::Mean,
    Pooling::Max,
    Pooling::MeanSqrtLen,
    Pooling::Last,
];

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[test]
fn every_pooling_is_that_of_sentence_transformers() {
    let golden: Value = serde_json::from_str(include_str!("golden/pooling.json")).unwrap();
    let device = Device::flex();
    let states: Vec<Vec<Vec<f32>>> = serde_json::from_value(golden["states"].clone()).unwrap();
    let padding: Vec<Vec<bool>> = serde_json::from_value(golden["padding"].clone()).unwrap();
    let (b, t, c) = (states.len(), states[0].len(), states[0][0].len());
    let states = TensorData::new(states.concat().concat(), [b, t, c]);
    let padding = TensorData::new(padding.concat(), [b, t]);
    for pooling in ALL {
        let name = serde_json::to_value(pooling).unwrap();
        let expected = golden["pooled"][name.as_str().unwrap()].clone();
        let expected: Vec<Vec<f32>> = serde_json::from_value(expected).unwrap();
        let found = pooling.forward(
            Tensor::<3>::from_data(states.clone(), &device),
            Tensor::<2, Bool>::from_data(padding.clone(), &device),
        );
        assert_eq!(found.dims(), [b, c]);
        for (a, b) in numbers(found).iter().zip(expected.concat()) {
            assert!((a - b).abs() <= 1e-6, "{name}: {a}, expected {b}");
        }
    }
}

#[test]
fn what_follows_a_sentence_changes_no_embedding() {
    let device = Device::flex();
    for pooling in ALL {
        let config = BertConfig {
            head: Head::SentenceEmbedding,
            pooling,
            normalize: false,
            ..BertConfig::tiny()
        };
        let model = config.init(&device);
        let embed = |tokens: Tensor<2, Int>| {
            let padding = model.padding_mask(&tokens);
            numbers(model.forward(tokens, padding))
        };
        let alone = embed(Tensor::from_data([[4, 9, 6]], &device));
        let padded = embed(Tensor::from_data([[4, 9, 6, 0, 0]], &device));
        for (a, b) in alone.iter().zip(&padded) {
            assert!((a - b).abs() < 1e-5, "{pooling:?}");
        }
        // Nothing but padding gives no infinity.
        let empty = embed(Tensor::from_data([[0, 0]], &device));
        assert!(empty.iter().all(|x| x.is_finite()), "{pooling:?}");
        let length: f32 = alone.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() > 1e-2, "{pooling:?}");
    }
}

fn read(change: Value) -> Result<BertConfig, String> {
    let mut file = serde_json::to_value(HfBert::from(&BertConfig::bert_tiny())).unwrap();
    file.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    let file: HfBert = serde_json::from_value(file).unwrap();
    BertConfig::try_from(file)
}

#[test]
fn activations_and_the_classifiers_dropout_are_read_and_written() {
    for (name, activation) in [
        ("gelu", Activation::Gelu),
        ("gelu_new", Activation::GeluNew),
        ("gelu_pytorch_tanh", Activation::GeluNew),
        ("relu", Activation::Relu),
        ("silu", Activation::Silu),
    ] {
        let config = read(json!({ "hidden_act": name })).unwrap();
        assert_eq!(config.activation, activation);
        let again: HfBert = serde_json::to_value(HfBert::from(&config))
            .and_then(serde_json::from_value)
            .unwrap();
        assert_eq!(BertConfig::try_from(again), Ok(config));
    }
    assert_eq!(
        read(json!({ "hidden_act": "mish" })).unwrap_err(),
        "hidden_act: expected gelu, gelu_new, gelu_pytorch_tanh, relu or silu, got mish"
    );

    let config = read(json!({ "classifier_dropout": 0.3 })).unwrap();
    assert_eq!(
        (config.dropout, config.classifier_dropout),
        (0.1, Some(0.3))
    );
    assert_eq!(HfBert::from(&config).classifier_dropout, Some(0.3));
    assert_eq!(
        read(json!({ "classifier_dropout": null }))
            .unwrap()
            .classifier_dropout,
        None
    );
    assert_eq!(
        read(json!({ "classifier_dropout": 1.0 })).unwrap_err(),
        "model.classifier_dropout: expected at least 0 and below 1, got 1"
    );
}

#[test]
fn a_configuration_older_than_the_keys_means_what_it_meant() {
    let config = BertConfig {
        head: Head::SentenceEmbedding,
        ..BertConfig::tiny()
    };
    let mut older = serde_json::to_value(&config).unwrap();
    for key in ["activation", "pooling", "normalize"] {
        older.as_object_mut().unwrap().remove(key).unwrap();
    }
    assert_eq!(serde_json::from_value::<BertConfig>(older).unwrap(), config);
}
