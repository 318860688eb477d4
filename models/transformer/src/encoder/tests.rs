use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};

use super::*;
use crate::testing::{
    assert_all_learn, cross_entropy, distance, gradients, lively, overfit, values,
};

fn tiny(pooling: Pooling) -> EncoderConfig {
    EncoderConfig {
        vocab_size: 9,
        max_length: 8,
        num_layers: 2,
        num_heads: 2,
        width: 8,
        hidden: 12,
        dropout: 0.0,
        pooling,
        num_classes: 3,
        pad_token: 0,
    }
}

fn tokens<const B: usize, const T: usize>(rows: [[i32; T]; B], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(rows, device)
}

fn classify(model: &Encoder, tokens: Tensor<2, Int>) -> Tensor<2> {
    let padding = model.padding_mask(&tokens);
    model.forward(tokens, padding)
}

const BOTH: [Pooling; 2] = [Pooling::Mean, Pooling::First];
const BATCH: [[i32; 5]; 3] = [[1, 2, 3, 4, 5], [6, 7, 8, 0, 0], [5, 0, 0, 0, 0]];

#[test]
fn shapes_follow_the_input() {
    let device = Device::flex();
    for pooling in BOTH {
        let model = tiny(pooling).init(&device);
        for (b, t) in [(1, 1), (1, 8), (3, 4)] {
            let logits = classify(&model, Tensor::ones([b, t], &device));
            assert_eq!(logits.dims(), [b, 3]);
            assert!(values(logits).iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
#[should_panic(expected = "at most 8 tokens, got 9")]
fn a_longer_sentence_is_refused() {
    let device = Device::flex();
    let model = tiny(Pooling::Mean).init(&device);
    let _ = classify(&model, Tensor::ones([1, 9], &device));
}

#[test]
fn parameters_are_counted() {
    let device = Device::flex();
    let count = |c: &EncoderConfig| {
        let w = c.width;
        let block = 4 * w + 4 * w * w + 4 * w + 2 * w * c.hidden + c.hidden + w;
        (c.vocab_size + c.max_length) * w + c.num_layers * block + 2 * w + (w + 1) * c.num_classes
    };
    let config = tiny(Pooling::Mean);
    assert_eq!(config.init(&device).num_params(), count(&config));
    let config = EncoderConfig::prenorm_tiny();
    assert_eq!(config.init(&device).num_params(), 4_369_410);
    assert_eq!(count(&config), 4_369_410);
}

#[test]
fn the_padding_mask_finds_the_padding_token() {
    let device = Device::flex();
    let config = EncoderConfig {
        pad_token: 7,
        ..tiny(Pooling::Mean)
    };
    let mask = config
        .init(&device)
        .padding_mask(&tokens([[1, 7, 0, 7]], &device));
    let mask: Vec<bool> = mask.into_data().try_to_vec().unwrap();
    assert_eq!(mask, [false, true, false, true]);
}

#[test]
fn more_padding_changes_nothing() {
    let device = Device::flex();
    for pooling in BOTH {
        let model = lively(tiny(pooling).init(&device));
        let short = classify(&model, tokens([[4, 2, 6]], &device));
        let padded = classify(&model, tokens([[4, 2, 6, 0, 0, 0, 0, 0]], &device));
        assert!(distance(short, padded) < 1e-5, "{pooling:?}");
    }
}

#[test]
fn what_stands_under_the_mask_changes_nothing() {
    let device = Device::flex();
    let padding = || Tensor::<2, Bool>::from_data([[false, true, false, true]], &device);
    for pooling in BOTH {
        let model = lively(tiny(pooling).init(&device));
        let a = model.forward(tokens([[4, 2, 6, 1]], &device), padding());
        let b = model.forward(tokens([[4, 8, 6, 5]], &device), padding());
        assert_eq!(values(a.clone()), values(b), "{pooling:?}");
        let seen = model.forward(tokens([[4, 2, 3, 1]], &device), padding());
        assert!(distance(a, seen) > 1e-3, "{pooling:?}");
    }
}

#[test]
fn every_position_sees_both_ways() {
    let device = Device::flex();
    let model = lively(tiny(Pooling::First).init(&device));
    let logits = |row| classify(&model, tokens([row], &device));
    // The first position sees the last, and order matters.
    assert!(distance(logits([1, 2, 3, 4]), logits([1, 2, 3, 5])) > 1e-3);
    assert!(distance(logits([1, 2, 3, 4]), logits([1, 3, 2, 4])) > 1e-3);
}

#[test]
fn poolings_differ() {
    let device = Device::flex();
    let mean = lively(tiny(Pooling::Mean).init(&device));
    let mut first = mean.clone();
    first.pooling = Pooling::First;
    let batch = || tokens(BATCH, &device).narrow(0, 0, 2);
    assert!(distance(classify(&mean, batch()), classify(&first, batch())) > 1e-3);
    // Of a single token they are the same.
    let one = || tokens([[5, 0, 0]], &device);
    assert!(distance(classify(&mean, one()), classify(&first, one())) < 1e-5);
}

#[test]
fn a_sentence_of_padding_gives_finite_numbers_and_gradients() {
    let device = Device::flex().autodiff();
    for pooling in BOTH {
        let model = lively(tiny(pooling).init(&device));
        let logits = classify(&model, tokens([[0, 0, 0], [1, 2, 0]], &device));
        assert!(values(logits.clone()).iter().all(|x| x.is_finite()));
        let targets = Tensor::from_data([1, 2], &device);
        let grads = cross_entropy(logits, targets).backward();
        for (path, grad) in gradients(&model, &grads) {
            assert!(grad.iter().all(|x| x.is_finite()), "{path}");
        }
    }
}

#[test]
fn sentences_of_a_batch_do_not_mix() {
    let device = Device::flex();
    for pooling in BOTH {
        let model = lively(tiny(pooling).init(&device));
        let all = classify(&model, tokens(BATCH, &device));
        for (b, row) in BATCH.into_iter().enumerate() {
            let alone = classify(&model, tokens([row], &device));
            assert!(distance(all.clone().narrow(0, b, 1), alone) < 1e-5);
        }
    }
}

fn loss(model: &Encoder, device: &Device) -> Tensor<1> {
    let logits = classify(model, tokens(BATCH, device));
    cross_entropy(logits, Tensor::from_data([0, 2, 1], device))
}

#[test]
fn every_parameter_learns() {
    let device = Device::flex().autodiff();
    for pooling in BOTH {
        let model = tiny(pooling).init(&device);
        assert_all_learn(&gradients(&model, &loss(&model, &device).backward()));
    }
}

#[test]
fn dropout_acts_only_in_training() {
    let config = EncoderConfig {
        dropout: 0.5,
        ..tiny(Pooling::Mean)
    };
    let plain = Device::flex();
    let training = plain.clone().autodiff();
    let model = lively(config.init(&training));
    let forward = |model: &Encoder, device| classify(model, tokens(BATCH, device));
    let (a, b) = (forward(&model, &training), forward(&model, &training));
    assert!(distance(a, b) > 1e-3);
    let valid = model.valid();
    assert_eq!(
        values(forward(&valid, &plain)),
        values(forward(&valid, &plain))
    );
}

#[test]
fn one_batch_is_learnt_by_heart() {
    let device = Device::flex().autodiff();
    for pooling in BOTH {
        let model = tiny(pooling).init(&device);
        let (before, after) = overfit(model, 80, |model| loss(model, &device));
        assert!(
            before > 0.8 && after < 0.1,
            "{pooling:?}: {before} to {after}"
        );
    }
}

#[test]
fn a_configuration_survives_being_written_and_refuses_unknown_keys() {
    for (name, config) in EncoderConfig::presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(
            serde_json::from_str::<EncoderConfig>(&text).unwrap(),
            config
        );
        let text = text.replace("\"hidden\"", "\"hiden\"");
        let fault = serde_json::from_str::<EncoderConfig>(&text).unwrap_err();
        assert!(fault.to_string().contains("hiden"), "{fault}");
    }
    assert_eq!(serde_json::to_string(&Pooling::First).unwrap(), "\"first\"");
}

#[test]
fn a_wrong_value_is_named() {
    type Fault = (fn(&mut EncoderConfig), &'static str);
    let faults: [Fault; 6] = [
        (
            |c| c.max_length = 0,
            "model.max_length: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.hidden = 0,
            "model.hidden: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.num_classes = 0,
            "model.num_classes: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.num_heads = 5,
            "model.num_heads: expected a divisor of model.width = 8, got 5",
        ),
        (
            |c| c.dropout = -0.1,
            "model.dropout: expected at least 0 and below 1, got -0.1",
        ),
        (
            |c| c.pad_token = 9,
            "model.pad_token: expected a token below model.vocab_size = 9, got 9",
        ),
    ];
    for (spoil, message) in faults {
        let mut config = tiny(Pooling::Mean);
        spoil(&mut config);
        assert_eq!(config.validate(), Err(message.to_owned()));
    }
}

#[test]
fn hidden_states_lead_from_the_embedding_to_the_classifier() {
    let device = Device::flex();
    let model = lively(tiny(Pooling::Mean).init(&device));
    let batch = tokens(BATCH, &device);
    let padding = model.padding_mask(&batch);
    let states = model.hidden_states(batch.clone(), padding.clone());
    assert_eq!(states.len(), 3);
    assert!(states.iter().all(|state| state.dims() == [3, 5, 8]));
    let pooled = model.pooling.forward(states[2].clone(), padding);
    let logits = linear(&model.classifier, pooled, Activation::None);
    assert!(distance(logits, classify(&model, batch)) < 1e-6);
}
