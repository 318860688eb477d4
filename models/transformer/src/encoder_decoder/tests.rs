use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use super::*;
use crate::testing::{
    assert_all_learn, cross_entropy, distance, gradients, lively, overfit, values,
};

const BOTH: [Embeddings; 2] = [Embeddings::Shared, Embeddings::Separate];

fn tiny(embeddings: Embeddings) -> EncoderDecoderConfig {
    EncoderDecoderConfig {
        embeddings,
        ..EncoderDecoderConfig::tiny()
    }
}

fn tokens<const B: usize, const T: usize>(rows: [[i32; T]; B], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(rows, device)
}

const SOURCES: [[i32; 5]; 3] = [[5, 3, 8, 11, 9], [6, 9, 4, 0, 0], [10, 0, 0, 0, 0]];
const TARGETS: [[i32; 6]; 3] = [[1, 4, 7, 7, 10, 3], [1, 8, 3, 11, 5, 6], [1, 9, 4, 6, 3, 2]];

fn batch(device: &Device) -> [Tensor<2, Int>; 2] {
    [tokens(SOURCES, device), tokens(TARGETS, device)]
}

fn whole(model: &EncoderDecoder, device: &Device) -> Tensor<3> {
    let [source, target] = batch(device);
    model.forward(source, target)
}

#[test]
fn shapes_follow_the_input() {
    let device = Device::flex();
    for embeddings in BOTH {
        let model = tiny(embeddings).init(&device);
        for (b, s, t) in [(1, 1, 1), (3, 8, 2), (2, 1, 8)] {
            let (source, target) = (Tensor::ones([b, s], &device), Tensor::ones([b, t], &device));
            let logits = model.forward(source, target);
            assert_eq!(logits.dims(), [b, t, 12]);
            assert!(values(logits).iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
#[should_panic(expected = "at most 8 positions, got 9")]
fn a_longer_source_is_refused() {
    let device = Device::flex();
    let _ = (tiny(Embeddings::Shared).init(&device)).encode(Tensor::ones([1, 9], &device));
}

#[test]
#[should_panic(expected = "1 targets for 2 sources")]
fn source_and_target_are_one_batch() {
    let device = Device::flex();
    let model = tiny(Embeddings::Shared).init(&device);
    let _ = model.forward(Tensor::ones([2, 3], &device), Tensor::ones([1, 3], &device));
}

/// Counted by hand from the paper's figure 1.
fn count(c: &EncoderDecoderConfig) -> usize {
    let w = c.width;
    let attention = 4 * (w * w + w);
    let feed_forward = 2 * w * c.hidden + c.hidden + w;
    let encoder = attention + feed_forward + 2 * 2 * w;
    let decoder = 2 * attention + feed_forward + 3 * 2 * w;
    let tables = match c.embeddings {
        Embeddings::Shared => 1,
        Embeddings::Separate => 3,
    };
    tables * c.vocab_size * w + c.num_layers * (encoder + decoder)
}

#[test]
fn parameters_are_counted_once() {
    let device = Device::flex();
    for (config, expected) in [
        (tiny(Embeddings::Shared), 2_832),
        (tiny(Embeddings::Separate), 2_832 + 2 * 96),
        (EncoderDecoderConfig::transformer_base(), 63_082_496),
        (EncoderDecoderConfig::transformer_big(), 214_245_376),
    ] {
        assert_eq!(count(&config), expected);
        assert_eq!(config.init(&device).num_params(), expected);
    }
}

#[test]
fn initial_weights_have_the_deviations_that_are_claimed() {
    let device = Device::flex();
    let config = EncoderDecoderConfig {
        vocab_size: 100,
        width: 64,
        hidden: 128,
        ..tiny(Embeddings::Shared)
    };
    let model = config.init(&device);
    let deviation = |weight: &Param<Tensor<2>>| {
        let mean_square = weight.val().powi_scalar(2).mean().into_scalar::<f32>();
        mean_square.sqrt()
    };
    let layer = &model.decoder.layers[1];
    // 1/√64; Glorot: √(2 / (inputs + outputs)).
    assert!((deviation(&model.embedding.weight) - 0.125).abs() < 0.01);
    let glorot = deviation(&layer.multihead_attn.in_proj.weight);
    assert!((glorot - (2.0f32 / 256.0).sqrt()).abs() < 0.005, "{glorot}");
    let glorot = deviation(&layer.linear2.weight);
    assert!((glorot - (2.0f32 / 192.0).sqrt()).abs() < 0.005, "{glorot}");
    let bias = layer.self_attn.in_proj.bias.as_ref().unwrap().val();
    assert!(values(bias).iter().all(|x| *x == 0.0));
}

#[test]
fn tensors_bear_the_names_of_pytorch() {
    let device = Device::flex().autodiff();
    let config = tiny(Embeddings::Separate);
    let model = config.init(&device);
    let found = gradients(&model, &whole(&model, &device).sum().backward());
    for (ours, origin) in [
        ("embedding.weight", "embedding.weight"),
        ("target_embedding.weight", "target_embedding.weight"),
        ("output.weight", "output.weight"),
        (
            "encoder.layers.0.self_attn.in_proj.weight",
            "encoder.layers.0.self_attn.in_proj_weight",
        ),
        (
            "decoder.layers.1.multihead_attn.in_proj.bias",
            "decoder.layers.1.multihead_attn.in_proj_bias",
        ),
        (
            "decoder.layers.0.self_attn.out_proj.weight",
            "decoder.layers.0.self_attn.out_proj.weight",
        ),
        (
            "encoder.layers.1.linear1.bias",
            "encoder.layers.1.linear1.bias",
        ),
    ] {
        assert!(found.contains_key(ours), "{ours} not in {:?}", found.keys());
        assert_eq!(config.origin_name(ours), origin);
    }
}

#[test]
fn sinusoids_are_those_of_the_paper() {
    let device = Device::flex();
    let table = sinusoids([2, 2, 4], &device, DType::F32);
    // Positions 2 and 3; angles p and p / 10000^(2/4) = p / 100.
    let expected = [2.0f32, 3.0].map(|p| [p.sin(), p.cos(), (p / 100.0).sin(), (p / 100.0).cos()]);
    assert!(distance(table, Tensor::from_data(expected, &device)) < 1e-6);
    // An odd width ends with a sine.
    let [.., last] = values(sinusoids([1, 1, 3], &device, DType::F32))[..] else {
        panic!("no values");
    };
    assert!((last - 10_000f32.powf(-2.0 / 3.0).sin()).abs() < 1e-6);
}

#[test]
fn every_layer_ends_with_a_norm() {
    let device = Device::flex();
    let model = lively(tiny(Embeddings::Shared).init(&device));
    let [source, target] = batch(&device);
    let [encoder, decoder] = model.hidden_states(source, target);
    for (states, t) in [(encoder, 5), (decoder, 6)] {
        assert_eq!(states.len(), 3);
        for (index, state) in states.into_iter().enumerate() {
            assert_eq!(state.dims(), [3, t, 8]);
            let (variance, mean) = state.var_mean_bias(2);
            // Gains begin as ones and offsets as zeros; the embedding is not normalised.
            let normal = values(mean).iter().all(|x| x.abs() < 1e-5)
                && values(variance).iter().all(|x| (x - 1.0).abs() < 1e-2);
            assert_eq!(normal, index > 0, "state {index}");
        }
    }
}

#[test]
fn hidden_states_are_those_of_the_forward_pass() {
    let device = Device::flex();
    let model = lively(tiny(Embeddings::Separate).init(&device));
    let [source, target] = batch(&device);
    let [_, decoder] = model.hidden_states(source, target);
    let last = decoder[2].clone().flatten(0, 1);
    assert!(distance(model.logits(last, 3), whole(&model, &device)) < 1e-6);
    // The embedding by the formula: token 8 stands second in the second target.
    let embedded = decoder[0].clone().narrow(0, 1, 1).narrow(1, 1, 1);
    let table = &model.target_embedding.as_ref().unwrap().weight;
    let row = table.val().narrow(0, 8, 1) * 8f64.sqrt();
    let expected = row + sinusoids([1, 1, 8], &device, DType::F32);
    assert!(distance(embedded, expected.unsqueeze()) < 1e-6);
}

#[test]
fn more_padding_changes_nothing() {
    let device = Device::flex();
    let model = lively(tiny(Embeddings::Shared).init(&device));
    let logits = |source| model.forward(source, tokens([[1, 4, 6]], &device));
    let short = logits(tokens([[4, 2, 6]], &device));
    let padded = logits(tokens([[4, 2, 6, 0, 0, 0, 0, 0]], &device));
    assert!(distance(short.clone(), padded) < 1e-5);
    // Every real one is seen, and order matters.
    for other in [[3, 2, 6], [4, 3, 6], [4, 2, 3], [2, 4, 6]] {
        assert!(distance(short.clone(), logits(tokens([other], &device))) > 1e-3);
    }
}

#[test]
fn a_source_of_padding_gives_finite_numbers() {
    let device = Device::flex();
    let model = lively(tiny(Embeddings::Shared).init(&device));
    let logits = model.forward(tokens([[0, 0]], &device), tokens([[1, 4]], &device));
    assert!(values(logits).iter().all(|x| x.is_finite()));
}

#[test]
fn a_later_target_token_changes_no_earlier_logits() {
    let device = Device::flex();
    let model = lively(tiny(Embeddings::Shared).init(&device));
    let logits = |target| model.forward(tokens([SOURCES[0]], &device), tokens([target], &device));
    let (a, b) = (logits([1, 4, 7, 7, 10]), logits([1, 4, 7, 5, 10]));
    let at = |x: &Tensor<3>, t, count| x.clone().narrow(1, t, count);
    assert_eq!(values(at(&a, 0, 3)), values(at(&b, 0, 3)));
    for t in 3..5 {
        assert!(distance(at(&a, t, 1), at(&b, t, 1)) > 1e-3, "position {t}");
    }
}

#[test]
fn sentences_of_a_batch_do_not_mix() {
    let device = Device::flex();
    let model = lively(tiny(Embeddings::Shared).init(&device));
    let all = whole(&model, &device);
    for (b, (source, target)) in SOURCES.into_iter().zip(TARGETS).enumerate() {
        let alone = model.forward(tokens([source], &device), tokens([target], &device));
        assert!(distance(all.clone().narrow(0, b, 1), alone) < 1e-5);
    }
}

#[test]
fn shared_is_separate_with_equal_weights() {
    let device = Device::flex();
    let shared = lively(tiny(Embeddings::Shared).init(&device));
    let mut separate = shared.clone();
    separate.target_embedding = Some(shared.embedding.clone());
    let weight = Param::from_tensor(shared.embedding.weight.val().transpose());
    separate.output = Some(Linear { weight, bias: None });
    assert!(distance(whole(&shared, &device), whole(&separate, &device)) < 1e-5);
}

#[test]
fn the_cache_gives_the_logits_of_a_full_pass() {
    let device = Device::flex();
    for embeddings in BOTH {
        let model = lively(tiny(embeddings).init(&device));
        let [source, target] = batch(&device);
        let memory = model.encode(source);
        assert_eq!(memory.batch(), 3);
        for lengths in [&[1; 6][..], &[3, 1, 2], &[6], &[1, 5]] {
            let mut cache = model.cache();
            let logits = lengths.iter().map(|&new| {
                let chunk = target.clone().narrow(1, cache.len(), new);
                model.forward_cached(chunk, &memory, &mut cache).unwrap()
            });
            let logits = Tensor::cat(logits.collect(), 1);
            assert_eq!(cache.len(), 6);
            let difference = distance(whole(&model, &device), logits);
            assert!(difference < 1e-5, "chunks {lengths:?}: {difference}");
        }
    }
}

#[test]
fn a_full_cache_is_an_error_and_stays_as_it_was() {
    let device = Device::flex();
    let model = lively(tiny(Embeddings::Shared).init(&device));
    let memory = model.encode(tokens([SOURCES[0]], &device));
    let mut cache = model.cache();
    let target = [1, 3, 4, 5, 6, 7, 8, 9];
    let mut next = |chunk| model.forward_cached(chunk, &memory, &mut cache);
    let part = |from, new| tokens([target], &device).narrow(1, from, new);
    next(part(0, 7)).unwrap();
    let expected = ContextFull {
        context: 8,
        cached: 7,
        new: 2,
    };
    assert_eq!(next(part(2, 2)).unwrap_err(), expected);
    let last = next(part(7, 1)).unwrap();
    let whole = model.forward(tokens([SOURCES[0]], &device), tokens([target], &device));
    assert!(distance(whole.narrow(1, 7, 1), last) < 1e-5);
}

#[test]
fn rows_of_a_memory_can_be_picked() {
    let device = Device::flex();
    let model = lively(tiny(Embeddings::Shared).init(&device));
    let rows = Tensor::from_data([2, 0, 2], &device);
    let picked = model.encode(tokens(SOURCES, &device)).select(&rows);
    let sources = tokens([SOURCES[2], SOURCES[0], SOURCES[2]], &device);
    let target = tokens(TARGETS, &device);
    let mut cache = model.cache();
    let logits = model.forward_cached(target.clone(), &picked, &mut cache);
    assert!(distance(model.forward(sources, target), logits.unwrap()) < 1e-5);
}

/// Next-token loss on the batch.
fn loss(model: &EncoderDecoder, device: &Device) -> Tensor<1> {
    let [source, target] = batch(device);
    let logits = model.forward(source, target.clone().narrow(1, 0, 5));
    cross_entropy(logits.flatten(0, 1), target.narrow(1, 1, 5).flatten(0, 1))
}

#[test]
fn every_parameter_learns() {
    let device = Device::flex().autodiff();
    for embeddings in BOTH {
        let model = lively(tiny(embeddings).init(&device));
        assert_all_learn(&gradients(&model, &loss(&model, &device).backward()));
    }
}

#[test]
fn one_batch_is_learnt_by_heart() {
    let device = Device::flex().autodiff();
    for embeddings in BOTH {
        let model = tiny(embeddings).init(&device);
        let (before, after) = overfit(model, 120, |model| loss(model, &device));
        assert!(
            before > 1.5 && after < 0.1,
            "{embeddings:?}: {before} to {after}"
        );
    }
}

#[test]
fn dropout_acts_only_in_training() {
    let config = EncoderDecoderConfig {
        dropout: 0.5,
        ..tiny(Embeddings::Shared)
    };
    let plain = Device::flex();
    let training = plain.clone().autodiff();
    let model = lively(config.init(&training));
    assert!(distance(whole(&model, &training), whole(&model, &training)) > 1e-3);
    let valid = model.valid();
    assert_eq!(values(whole(&valid, &plain)), values(whole(&valid, &plain)));
}

#[test]
fn a_configuration_survives_being_written_and_refuses_unknown_keys() {
    for (name, config) in EncoderDecoderConfig::presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
        let text = serde_json::to_string(&config).unwrap();
        let read: EncoderDecoderConfig = serde_json::from_str(&text).unwrap();
        assert_eq!(read, config);
        let text = text.replace("\"hidden\"", "\"hiden\"");
        let fault = serde_json::from_str::<EncoderDecoderConfig>(&text).unwrap_err();
        assert!(fault.to_string().contains("hiden"), "{fault}");
    }
    assert_eq!(
        serde_json::to_string(&Embeddings::Shared).unwrap(),
        "\"shared\""
    );
}

#[test]
fn a_wrong_value_is_named() {
    type Fault = (fn(&mut EncoderDecoderConfig), &'static str);
    let faults: [Fault; 9] = [
        (
            |c| c.vocab_size = 0,
            "model.vocab_size: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.max_length = 0,
            "model.max_length: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.num_layers = 2000,
            "model.num_layers: expected 1 to 1024, got 2000",
        ),
        (
            |c| c.width = usize::MAX,
            "model.width: expected 1 to 16777216, got 18446744073709551615",
        ),
        (
            |c| c.num_heads = 3,
            "model.num_heads: expected a divisor of model.width = 8, got 3",
        ),
        (
            |c| c.hidden = 0,
            "model.hidden: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.dropout = 1.0,
            "model.dropout: expected at least 0 and below 1, got 1",
        ),
        (
            |c| c.pad_token = 12,
            "model.pad_token: expected a token below model.vocab_size = 12, got 12",
        ),
        (
            |c| c.stop_token = 99,
            "model.stop_token: expected a token below model.vocab_size = 12, got 99",
        ),
    ];
    for (spoil, message) in faults {
        let mut config = EncoderDecoderConfig::tiny();
        spoil(&mut config);
        assert_eq!(config.validate(), Err(message.to_owned()));
    }
}
