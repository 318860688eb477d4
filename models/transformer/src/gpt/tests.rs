use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Int, Tensor};

use super::hugging_face::HfGpt2;
use super::*;
use crate::testing::{
    assert_all_learn, cross_entropy, distance, gradients, lively, overfit, values,
};

fn tiny(output: Output) -> GptConfig {
    GptConfig {
        vocab_size: 7,
        context: 6,
        num_layers: 2,
        num_heads: 2,
        width: 8,
        activation: Gelu::Exact,
        dropout: 0.0,
        output,
        bias: true,
    }
}

fn tokens<const B: usize, const T: usize>(rows: [[i32; T]; B], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(rows, device)
}

const BATCH: [[i32; 6]; 2] = [[1, 2, 3, 4, 5, 6], [6, 0, 2, 2, 1, 3]];

#[test]
fn shapes_follow_the_input() {
    let device = Device::flex();
    for output in [Output::Tied, Output::Free] {
        let model = tiny(output).init(&device);
        for (b, t) in [(1, 1), (1, 6), (3, 4), (5, 2)] {
            let logits = model.forward(Tensor::zeros([b, t], &device));
            assert_eq!(logits.dims(), [b, t, 7]);
            assert!(values(logits).iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
#[should_panic(expected = "a context of 6 positions, got 7")]
fn more_than_the_context_is_refused() {
    let device = Device::flex();
    let model = tiny(Output::Tied).init(&device);
    let _ = model.forward(Tensor::zeros([1, 7], &device));
}

/// Counted by hand from the paper's figure: embeddings, per block two norms and four matrices.
fn count(c: &GptConfig) -> usize {
    let (w, bias) = (c.width, usize::from(c.bias));
    let norm = w + bias * w;
    let block = 2 * norm + 12 * w * w + bias * (3 * w + w + 4 * w + w);
    let output = match c.output {
        Output::Tied => 0,
        Output::Free => c.vocab_size * (w + bias),
    };
    (c.vocab_size + c.context) * w + c.num_layers * block + norm + output
}

#[test]
fn parameters_are_counted_once() {
    let device = Device::flex();
    for output in [Output::Tied, Output::Free] {
        for bias in [true, false] {
            let config = GptConfig {
                bias,
                ..tiny(output)
            };
            assert_eq!(config.init(&device).num_params(), count(&config));
        }
    }
    for (config, params) in [
        (GptConfig::nano(), 804_096),
        (GptConfig::sums(), 593_792),
        (GptConfig::gpt2(), 124_439_808),
        (GptConfig::gpt2_medium(), 354_823_168),
        (GptConfig::gpt2_large(), 774_030_080),
        (GptConfig::gpt2_xl(), 1_557_611_200),
        (GptConfig::tiny(), 6_928),
    ] {
        // Nothing is drawn until it is used.
        assert_eq!(config.init(&device).num_params(), params);
        assert_eq!(count(&config), params);
    }
    // nanoGPT prints 0.80M for this model, positions left out.
    let without_positions = count(&GptConfig::nano()) - 64 * 128;
    assert_eq!((without_positions as f64 / 1e4).round(), 80.0);
}

#[test]
fn tensors_bear_the_names_of_gpt2() {
    let device = Device::flex().autodiff();
    let model = tiny(Output::Free).init(&device);
    let loss = model.forward(tokens(BATCH, &device)).sum();
    let found = gradients(&model, &loss.backward());
    for name in [
        "wte.weight",
        "wpe.weight",
        "h.0.ln_1.gamma",
        "h.0.attn.c_attn.weight",
        "h.0.attn.c_proj.bias",
        "h.1.ln_2.beta",
        "h.1.mlp.c_fc.weight",
        "h.1.mlp.c_proj.weight",
        "ln_f.gamma",
        "lm_head.weight",
        "lm_head.bias",
    ] {
        assert!(found.contains_key(name), "{name} not in {:?}", found.keys());
    }
}

#[test]
fn initial_weights_follow_gpt2() {
    let device = Device::flex();
    let model = GptConfig {
        bias: true,
        output: Output::Free,
        ..GptConfig::nano()
    }
    .init(&device);
    let deviation =
        |weight: &Param<Tensor<2>>| weight.val().var(1).mean().into_scalar::<f32>().sqrt();
    let block = &model.h[2];
    assert!((deviation(&model.wte.weight) - 0.02).abs() < 1e-3);
    assert!((deviation(block.up_projection()) - 0.02).abs() < 1e-3);
    // 0.02 / √(2 · 4 layers)
    assert!((deviation(block.residual_projection()) - 0.007_07).abs() < 4e-4);
    assert!(
        block
            .biases()
            .iter()
            .all(|bias| values(bias.clone()).iter().all(|x| *x == 0.0))
    );
    // Before training, every token is about as likely as any other.
    let probabilities =
        burn::tensor::activation::softmax(model.forward(Tensor::zeros([1, 4], &device)), 2);
    assert!(
        values(probabilities)
            .iter()
            .all(|p| (0.005..0.05).contains(p))
    );
}

#[test]
fn a_later_token_changes_no_earlier_logits() {
    let device = Device::flex();
    let model = lively(tiny(Output::Free).init(&device));
    let whole = model.forward(tokens(BATCH, &device));
    let mut changed = BATCH;
    changed[0][3] = 0;
    changed[1][3] = 5;
    let other = model.forward(tokens(changed, &device));
    let early = |x: &Tensor<3>| x.clone().narrow(1, 0, 3);
    let late = |x: &Tensor<3>| x.clone().narrow(1, 3, 3);
    assert_eq!(values(early(&whole)), values(early(&other)));
    // And each later one sees it.
    for t in 3..6 {
        let at = |x: &Tensor<3>| x.clone().narrow(1, t, 1);
        assert!(distance(at(&whole), at(&other)) > 1e-3, "position {t}");
    }
    assert!(distance(late(&whole), late(&other)) > 1e-3);
}

#[test]
fn order_matters() {
    let device = Device::flex();
    let model = lively(tiny(Output::Free).init(&device));
    let last = |rows| model.forward(tokens([rows], &device)).narrow(1, 2, 1);
    assert!(distance(last([1, 2, 3]), last([2, 1, 3])) > 1e-3);
}

#[test]
fn sequences_of_a_batch_do_not_mix() {
    let device = Device::flex();
    let model = lively(tiny(Output::Tied).init(&device));
    let both = model.forward(tokens(BATCH, &device));
    for (b, row) in BATCH.into_iter().enumerate() {
        let alone = model.forward(tokens([row], &device));
        assert!(distance(both.clone().narrow(0, b, 1), alone) < 1e-5);
    }
}

/// Passes the batch through the cache in chunks of these lengths.
fn in_chunks(model: &Gpt, lengths: &[usize], device: &Device) -> Tensor<3> {
    let batch = tokens(BATCH, device);
    let mut cache = model.cache();
    let logits = lengths.iter().map(|&new| {
        let chunk = batch.clone().narrow(1, cache.len(), new);
        model.forward_cached(chunk, &mut cache).unwrap()
    });
    let logits = Tensor::cat(logits.collect(), 1);
    assert_eq!(cache.len(), lengths.iter().sum::<usize>());
    logits
}

#[test]
fn the_cache_gives_the_logits_of_a_full_pass() {
    let device = Device::flex();
    for output in [Output::Tied, Output::Free] {
        let model = lively(tiny(output).init(&device));
        let whole = model.forward(tokens(BATCH, &device));
        for lengths in [&[1; 6][..], &[3, 1, 1, 1], &[2, 3, 1], &[6], &[1, 5]] {
            let cached = in_chunks(&model, lengths, &device);
            assert!(distance(whole.clone(), cached) < 1e-5, "chunks {lengths:?}");
        }
        let mut cache = model.cache();
        let next = model.next_logits(tokens(BATCH, &device), &mut cache);
        let last = whole.narrow(1, 5, 1);
        assert!(distance(last, next.unwrap().unsqueeze_dim(1)) < 1e-5);
    }
}

#[test]
fn a_full_context_is_an_error_and_the_cache_can_be_primed_again() {
    let device = Device::flex();
    let model = lively(tiny(Output::Tied).init(&device));
    let mut cache = model.cache();
    assert!(cache.is_empty());
    let five = Tensor::zeros([1, 5], &device);
    model.forward_cached(five, &mut cache).unwrap();
    let fault = model.forward_cached(tokens([[1, 2]], &device), &mut cache);
    let fault = fault.unwrap_err();
    let expected = ContextFull {
        context: 6,
        cached: 5,
        new: 2,
    };
    assert_eq!(fault, expected);
    assert_eq!(
        fault.to_string(),
        "a context of 6 positions cannot take 2 after 5; \
         clear the cache and pass the last tokens again"
    );
    // The cache is as it was: one more token still fits.
    let one = tokens([[4]], &device);
    let cached = model.forward_cached(one, &mut cache).unwrap();
    let whole = model.forward(tokens([[0, 0, 0, 0, 0, 4]], &device));
    assert!(distance(whole.narrow(1, 5, 1), cached) < 1e-5);
    // Primed again, it knows nothing of before, not even the batch size.
    cache.clear();
    let primed = model
        .forward_cached(tokens(BATCH, &device), &mut cache)
        .unwrap();
    assert!(distance(model.forward(tokens(BATCH, &device)), primed) < 1e-5);
}

#[test]
#[should_panic(expected = "the cache holds 2 sequences, got 1")]
fn the_cache_keeps_its_batch_size() {
    let device = Device::flex();
    let model = tiny(Output::Tied).init(&device);
    let mut cache = model.cache();
    let _ = model.forward_cached(Tensor::zeros([2, 1], &device), &mut cache);
    let _ = model.forward_cached(Tensor::zeros([1, 1], &device), &mut cache);
}

/// Next-token loss on the batch.
fn loss(model: &Gpt, device: &Device) -> Tensor<1> {
    let batch = tokens(BATCH, device);
    let logits = model.forward(batch.clone().narrow(1, 0, 5));
    cross_entropy(logits.flatten(0, 1), batch.narrow(1, 1, 5).flatten(0, 1))
}

#[test]
fn every_parameter_learns() {
    let device = Device::flex().autodiff();
    for output in [Output::Tied, Output::Free] {
        // The last position's embedding only learns from a full context.
        let config = GptConfig {
            context: 5,
            ..tiny(output)
        };
        let model = config.init(&device);
        assert_all_learn(&gradients(&model, &loss(&model, &device).backward()));
    }
}

#[test]
fn a_tied_gradient_is_the_sum_of_both_uses() {
    let device = Device::flex().autodiff();
    let tied = lively(tiny(Output::Tied).init(&device));
    // The same function with the output's weights in a parameter of their own.
    let mut free = tied.clone();
    let transposed = tied.wte.weight.val().transpose().detach();
    let weight = Param::from_tensor(transposed);
    free.lm_head = Some(Linear { weight, bias: None });
    let (a, b) = (loss(&tied, &device), loss(&free, &device));
    assert!(distance(a.clone(), b.clone()) < 1e-6);

    let tied_grads = a.backward();
    let free_grads = b.backward();
    let tied_grad = tied.wte.weight.grad(&tied_grads).unwrap();
    let input_path = free.wte.weight.grad(&free_grads).unwrap();
    let head = free.lm_head.as_ref().unwrap();
    let output_path = head.weight.grad(&free_grads).unwrap().transpose();
    let zero = Tensor::zeros_like(&tied_grad);
    assert!(distance(input_path.clone(), zero.clone()) > 1e-3);
    assert!(distance(output_path.clone(), zero) > 1e-3);
    assert!(distance(tied_grad, input_path + output_path) < 1e-5);
}

#[test]
fn dropout_acts_only_in_training() {
    let config = GptConfig {
        dropout: 0.5,
        ..tiny(Output::Tied)
    };
    let plain = Device::flex();
    let model = lively(config.init(&plain));
    let once = || values(model.forward(tokens(BATCH, &plain)));
    assert_eq!(once(), once());

    let training = plain.clone().autodiff();
    let model = lively(config.init(&training));
    let forward = |model: &Gpt, device| model.forward(tokens(BATCH, device));
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
    for output in [Output::Tied, Output::Free] {
        let model = tiny(output).init(&device);
        let (before, after) = overfit(model, 80, |model| loss(model, &device));
        assert!(
            before > 1.5 && after < 0.1,
            "{output:?}: {before} to {after}"
        );
    }
}

#[test]
fn a_configuration_survives_being_written_and_refuses_unknown_keys() {
    for (name, config) in GptConfig::presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<GptConfig>(&text).unwrap(), config);
        let text = text.replace("\"dropout\"", "\"dropuot\"");
        let fault = serde_json::from_str::<GptConfig>(&text).unwrap_err();
        assert!(fault.to_string().contains("dropuot"), "{fault}");
    }
    assert_eq!(serde_json::to_string(&Output::Tied).unwrap(), "\"tied\"");
}

#[test]
fn a_wrong_value_is_named() {
    type Fault = (fn(&mut GptConfig), &'static str);
    let faults: [Fault; 7] = [
        (
            |c| c.vocab_size = 0,
            "model.vocab_size: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.context = 0,
            "model.context: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.num_layers = 0,
            "model.num_layers: expected 1 to 1024, got 0",
        ),
        (
            |c| c.num_heads = 0,
            "model.num_heads: expected 1 or more, got 0",
        ),
        (
            |c| c.num_heads = 3,
            "model.num_heads: expected a divisor of model.width = 8, got 3",
        ),
        (
            |c| c.dropout = 1.0,
            "model.dropout: expected at least 0 and below 1, got 1",
        ),
        (
            |c| c.dropout = f64::NAN,
            "model.dropout: expected at least 0 and below 1, got NaN",
        ),
    ];
    for (spoil, message) in faults {
        let mut config = tiny(Output::Tied);
        spoil(&mut config);
        assert_eq!(config.validate(), Err(message.to_owned()));
    }
}

#[test]
fn random_tokens_stay_finite_in_every_small_preset() {
    let device = Device::flex();
    for (name, config) in GptConfig::presets() {
        if count(&config) > 1_000_000 {
            continue;
        }
        let model = config.init(&device);
        let last = config.vocab_size as f64;
        let spread = Distribution::Uniform(0.0, last);
        let tokens = Tensor::<2>::random([2, config.context], spread, &device).int();
        let tokens = tokens.clamp_max(last as i64 - 1);
        assert!(
            values(model.forward(tokens)).iter().all(|x| x.is_finite()),
            "{name}"
        );
    }
}

#[test]
fn hidden_states_lead_from_the_embedding_to_the_logits() {
    let device = Device::flex();
    let model = lively(tiny(Output::Free).init(&device));
    let batch = tokens(BATCH, &device);
    let states = model.hidden_states(batch.clone());
    assert_eq!(states.len(), 3);
    let positions = model.wpe.weight.val().unsqueeze();
    let embedded = model.embed(batch.clone()) + positions;
    assert!(distance(states[0].clone(), embedded) < 1e-6);
    let last = states[2].clone().flatten(0, 1);
    assert!(distance(model.logits(last, 2), model.forward(batch)) < 1e-6);
    assert!(distance(states[1].clone(), states[0].clone()) > 1e-2);
}

#[test]
fn the_two_ways_to_gelu_differ_a_little() {
    let device = Device::flex();
    let exact = lively(tiny(Output::Free).init(&device));
    let config = GptConfig {
        activation: Gelu::Tanh,
        ..tiny(Output::Free)
    };
    let tanh = lively(config.init(&device));
    let forward = |model: &Gpt| model.forward(tokens(BATCH, &device));
    let apart = distance(forward(&exact), forward(&tanh));
    assert!((1e-6..1e-2).contains(&apart), "{apart}");
}

#[test]
fn names_are_those_of_hugging_face() {
    let config = GptConfig::tiny();
    for (ours, theirs) in [
        ("wte.weight", "transformer.wte.weight"),
        ("h.1.ln_2.bias", "transformer.h.1.ln_2.bias"),
        ("lm_head.weight", "lm_head.weight"),
    ] {
        assert_eq!(config.origin_name(ours), theirs);
    }
}

#[test]
fn a_configuration_survives_the_way_over_hugging_face() {
    for (name, config) in GptConfig::presets() {
        if !config.bias {
            continue; // Theirs has no word for it.
        }
        let text = serde_json::to_string(&HfGpt2::from(&config)).unwrap();
        let read: HfGpt2 = serde_json::from_str(&text).unwrap();
        assert_eq!(GptConfig::try_from(read).unwrap(), config, "{name}");
    }
    // As published for the smallest, shortened.
    let published = r#"{
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2",
        "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
        "resid_pdrop": 0.1, "vocab_size": 50257
    }"#;
    let file: HfGpt2 = serde_json::from_str(published).unwrap();
    assert_eq!(file.eos_token_id.as_ref().unwrap().as_slice(), [50_256]);
    assert_eq!(GptConfig::try_from(file), Ok(GptConfig::gpt2()));
}

#[test]
fn a_keys_second_name_is_read_too() {
    let text = r#"{"hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2,
        "max_position_embeddings": 16, "vocab_size": 9}"#;
    let file: HfGpt2 = serde_json::from_str(text).unwrap();
    let config = GptConfig::try_from(file).unwrap();
    let found = [
        config.width,
        config.num_heads,
        config.num_layers,
        config.context,
    ];
    assert_eq!(found, [48, 4, 2, 16]);
    let both = r#"{"n_head": 4, "num_attention_heads": 2}"#;
    let error = serde_json::from_str::<HfGpt2>(both).unwrap_err();
    assert!(error.to_string().contains("n_head"), "{error}");
}

#[test]
fn what_cannot_be_represented_is_named() {
    for (key, value, message) in [
        (
            "model_type",
            "\"gptj\"",
            "model_type: expected gpt2, got gptj",
        ),
        ("n_inner", "100", "n_inner: expected 3072, got 100"),
        ("attn_pdrop", "0.2", "attn_pdrop: expected 0.1, got 0.2"),
        (
            "layer_norm_epsilon",
            "1e-6",
            "layer_norm_epsilon: expected 0.00001, got 0.000001",
        ),
        (
            "scale_attn_weights",
            "false",
            "scale_attn_weights: expected true, got false",
        ),
        (
            "tie_word_embeddings",
            "false",
            "tie_word_embeddings: expected true, got false",
        ),
        (
            "activation_function",
            "\"relu\"",
            "activation_function: expected gelu_new or gelu, got relu",
        ),
        (
            "n_head",
            "7",
            "model.num_heads: expected a divisor of model.width = 768, got 7",
        ),
    ] {
        let file: HfGpt2 = serde_json::from_str(&format!("{{\"{key}\": {value}}}")).unwrap();
        assert_eq!(GptConfig::try_from(file), Err(message.to_owned()));
    }
}
