use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use super::hugging_face::HfLlama;
use super::*;
use crate::testing::{
    assert_all_learn, cross_entropy, distance, gradients, lively, overfit, values,
};

const BATCH: [[i32; 8]; 2] = [[1, 2, 3, 4, 5, 6, 7, 12], [6, 0, 2, 2, 1, 3, 9, 10]];

/// Every way to share heads, with either output.
fn variants() -> Vec<LlamaConfig> {
    let mut variants = Vec::new();
    for output in [Output::Tied, Output::Free] {
        for num_kv_heads in [1, 2, 4] {
            variants.push(LlamaConfig {
                num_kv_heads,
                output,
                ..LlamaConfig::tiny()
            });
        }
    }
    variants
}

fn tokens(device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(BATCH, device)
}

#[test]
fn shapes_follow_the_input() {
    let device = Device::flex();
    for config in variants() {
        let model = config.init(&device);
        for (b, t) in [(1, 1), (1, 8), (3, 4)] {
            let logits = model.forward(Tensor::zeros([b, t], &device));
            assert_eq!(logits.dims(), [b, t, 13]);
            assert!(values(logits).iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
#[should_panic(expected = "a context of 8 positions, got 9")]
fn more_than_the_context_is_refused() {
    let device = Device::flex();
    let model = LlamaConfig::tiny().init(&device);
    let _ = model.forward(Tensor::zeros([1, 9], &device));
}

/// Counted by hand: embeddings, per block two norms, four projections and three layers.
fn count(c: &LlamaConfig) -> usize {
    let kv_width = c.width / c.num_heads * c.num_kv_heads;
    let attention = 2 * c.width * (c.width + kv_width);
    let block = 2 * c.width + attention + 3 * c.width * c.hidden;
    let outputs = if c.output == Output::Free { 2 } else { 1 };
    outputs * c.vocab_size * c.width + c.num_layers * block + c.width
}

#[test]
fn parameters_are_counted_once() {
    let device = Device::flex();
    for (config, params) in [
        (LlamaConfig::stories15m(), 15_191_712),
        (LlamaConfig::stories42m(), 41_689_600),
        (LlamaConfig::stories110m(), 109_529_856),
        (LlamaConfig::smollm2_135m(), 134_515_008),
        (LlamaConfig::tinyllama_1_1b(), 1_100_048_384),
        (LlamaConfig::tiny(), 4_336),
    ] {
        // Nothing is drawn until it is used.
        assert_eq!(config.init(&device).num_params(), params);
        assert_eq!(count(&config), params);
    }
}

#[test]
fn tensors_bear_the_names_of_hugging_face() {
    let device = Device::flex().autodiff();
    let config = LlamaConfig::tiny();
    let model = config.init(&device);
    let loss = model.forward(tokens(&device)).sum();
    let found: Vec<String> = gradients(&model, &loss.backward())
        .into_keys()
        .map(|path| config.origin_name(&path))
        .collect();
    for name in [
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.1.self_attn.o_proj.weight",
        "model.layers.1.mlp.gate_proj.weight",
        "model.layers.0.input_layernorm.gamma",
        "model.norm.gamma",
        "lm_head.weight",
    ] {
        assert!(
            found.iter().any(|found| found == name),
            "{name} not in {found:?}"
        );
    }
}

#[test]
fn a_later_token_changes_no_earlier_logits() {
    let device = Device::flex();
    let model = lively(LlamaConfig::tiny().init(&device));
    let whole = model.forward(tokens(&device));
    let mut changed = BATCH;
    changed[0][5] = 11;
    let changed = model.forward(Tensor::from_data(changed, &device));
    let before = |logits: &Tensor<3>| logits.clone().narrow(1, 0, 5);
    assert!(distance(before(&whole), before(&changed)) < 1e-6);
    assert!(distance(whole, changed) > 1e-2);
}

#[test]
fn attention_knows_distances_not_places() {
    let device = Device::flex();
    let theta = 10_000.0;
    let x = Tensor::<3>::zeros([1, 1, 8], &device);
    let at = |past: usize, head: [f32; 8]| {
        let head = Tensor::<1>::from_floats(head, &device).reshape([1, 1, 1, 8]);
        Angles::new(&frequencies(theta, 8, None), past, &x).turn(head)
    };
    let (q, k) = (
        [0.3, -1.0, 0.7, 0.2, 1.1, 0.4, -0.6, 0.9],
        [1.0, 0.2, -0.4, 0.8, -0.3, 0.5, 0.6, -0.7],
    );
    let score = |i, j| (at(i, q) * at(j, k)).sum().into_scalar::<f32>();
    assert!((score(7, 3) - score(104, 100)).abs() < 1e-4);
    assert!((score(7, 3) - score(7, 4)).abs() > 1e-2);
    // By hand: at position 1 the first pair turns by a radian, the second by a tenth.
    let found = values(at(1, q));
    let (sin, cos) = 1.0_f32.sin_cos();
    assert!((found[0] - (0.3 * cos - 1.1 * sin)).abs() < 1e-6);
    assert!((found[4] - (1.1 * cos + 0.3 * sin)).abs() < 1e-6);
    let (sin, cos) = 0.1_f32.sin_cos();
    assert!((found[1] - (-cos - 0.4 * sin)).abs() < 1e-6);
}

#[test]
fn shared_heads_are_copies_of_what_they_share() {
    let device = Device::flex();
    let shared = lively(LlamaConfig::tiny().init(&device));
    // The same function with the rows of keys and values copied into heads of their own.
    let config = LlamaConfig {
        num_kv_heads: 4,
        ..LlamaConfig::tiny()
    };
    let mut own = config.init(&device);
    let copied = |layer: &Linear| {
        let weight = layer.weight.val().reshape([16, 2, 1, 4]).repeat_dim(2, 2);
        Linear {
            weight: Param::from_tensor(weight.reshape([16, 16])),
            bias: None,
        }
    };
    own.embed_tokens = shared.embed_tokens.clone();
    own.lm_head = shared.lm_head.clone();
    for (own, shared) in own.layers.iter_mut().zip(&shared.layers) {
        let Attention { k_proj, v_proj, .. } = &shared.self_attn;
        own.mlp = shared.mlp.clone();
        own.self_attn.q_proj = shared.self_attn.q_proj.clone();
        own.self_attn.o_proj = shared.self_attn.o_proj.clone();
        own.self_attn.k_proj = copied(k_proj);
        own.self_attn.v_proj = copied(v_proj);
    }
    let forward = |model: &Llama| model.forward(tokens(&device));
    assert!(distance(forward(&shared), forward(&own)) < 1e-5);
}

#[test]
fn the_cache_gives_the_logits_of_a_full_pass() {
    let device = Device::flex();
    for config in variants() {
        let model = lively(config.init(&device));
        let whole = model.forward(tokens(&device));
        for lengths in [&[1; 8][..], &[3, 1, 1, 1, 2], &[5, 3], &[8], &[1, 7]] {
            let mut cache = model.cache();
            let logits = lengths.iter().map(|&new| {
                let chunk = tokens(&device).narrow(1, cache.len(), new);
                model.forward_cached(chunk, &mut cache).unwrap()
            });
            let cached = Tensor::cat(logits.collect(), 1);
            assert!(distance(whole.clone(), cached) < 1e-5, "chunks {lengths:?}");
            let fault = model.forward_cached(Tensor::zeros([2, 1], &device), &mut cache);
            assert_eq!(
                fault.unwrap_err(),
                ContextFull {
                    context: 8,
                    cached: 8,
                    new: 1
                }
            );
            cache.clear();
            let primed = model.forward_cached(tokens(&device), &mut cache).unwrap();
            assert!(distance(whole.clone(), primed) < 1e-5);
            cache.clear();
            let next = model.next_logits(tokens(&device), &mut cache).unwrap();
            let last = whole.clone().narrow(1, 7, 1);
            assert!(distance(last, next.unsqueeze_dim(1)) < 1e-5);
        }
    }
}

#[test]
fn the_cache_outgrows_its_first_room() {
    let device = Device::flex();
    let config = LlamaConfig {
        context: 100,
        ..LlamaConfig::tiny()
    };
    let model = lively(config.init(&device));
    let text: Vec<i32> = (0..100).map(|i| (i * i + 3 * i) % 13).collect();
    let text = Tensor::<1, Int>::from_data(&text[..], &device).reshape([1, 100]);
    let whole = model.forward(text.clone());
    let mut cache = model.cache();
    for i in 0..100 {
        let logits = model.forward_cached(text.clone().narrow(1, i, 1), &mut cache);
        let expected = whole.clone().narrow(1, i, 1);
        assert!(distance(expected, logits.unwrap()) < 1e-4, "position {i}");
    }
}

#[test]
fn double_precision_is_not_lost_on_the_way() {
    let device = Device::flex();
    let mut norm: RmsNorm = RmsNormConfig::new(3).init(&device);
    let x = Tensor::<2>::from_data([[1.0, 2.0, 4.0]], &device);
    let single = rms_norm(&norm, x.clone());
    norm.gamma = norm.gamma.map(|gamma| gamma.cast(DType::F64));
    let double = rms_norm(&norm, x.cast(DType::F64));
    assert_eq!(double.dtype(), DType::F64);
    let exact = (7.0_f64 + 1e-5).sqrt();
    let found: Vec<f64> = double.into_data().iter::<f64>().collect();
    for ((found, single), x) in found.iter().zip(values(single)).zip([1.0, 2.0, 4.0]) {
        assert!((found - x / exact).abs() < 1e-12);
        assert!((f64::from(single) - x / exact).abs() < 1e-6);
    }
}

#[test]
fn hidden_states_lead_from_the_embedding_to_the_logits() {
    let device = Device::flex();
    let model = lively(LlamaConfig::tiny().init(&device));
    let states = model.hidden_states(tokens(&device));
    assert_eq!(states.len(), 3);
    assert!(distance(states[0].clone(), model.embed(tokens(&device))) < 1e-6);
    let last = states[2].clone().flatten(0, 1);
    assert!(distance(model.logits(last, 2), model.forward(tokens(&device))) < 1e-6);
    assert!(distance(states[1].clone(), states[0].clone()) > 1e-2);
}

/// Next-token loss on the batch.
fn loss(model: &Llama, device: &Device) -> Tensor<1> {
    let batch = tokens(device);
    let logits = model.forward(batch.clone().narrow(1, 0, 7));
    cross_entropy(logits.flatten(0, 1), batch.narrow(1, 1, 7).flatten(0, 1))
}

#[test]
fn every_parameter_learns() {
    let device = Device::flex().autodiff();
    for config in variants() {
        let model = config.init(&device);
        assert_all_learn(&gradients(&model, &loss(&model, &device).backward()));
    }
}

#[test]
fn dropout_acts_only_in_training() {
    let plain = Device::flex();
    let config = LlamaConfig {
        attention_dropout: 0.5,
        ..LlamaConfig::tiny()
    };
    let training = plain.clone().autodiff();
    let model = lively(config.init(&training));
    let forward = |model: &Llama, device| values(model.forward(tokens(device)));
    assert_ne!(forward(&model, &training), forward(&model, &training));
    let valid = model.valid();
    assert_eq!(forward(&valid, &plain), forward(&valid, &plain));
}

#[test]
fn one_batch_is_learnt_by_heart() {
    let device = Device::flex().autodiff();
    let model = LlamaConfig::tiny().init(&device);
    let (before, after) = overfit(model, 100, |model| loss(model, &device));
    assert!(before > 2.0 && after < 0.2, "{before} to {after}");
}

#[test]
fn a_configuration_survives_being_written_and_the_way_over_hugging_face() {
    for (name, config) in presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<LlamaConfig>(&text).unwrap(), config);
        let text = serde_json::to_string(&HfLlama::from(&config)).unwrap();
        let read: HfLlama = serde_json::from_str(&text).unwrap();
        assert_eq!(LlamaConfig::try_from(read).unwrap(), config, "{name}");
    }
    // As transformers 4 writes it, shortened, and as transformers 5 does.
    let old = r#"{
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 0, "eos_token_id": [0, 2], "hidden_act": "silu", "hidden_size": 576,
        "initializer_range": 0.041666666666666664, "intermediate_size": 1536, "is_llama_config": true,
        "max_position_embeddings": 8192, "mlp_bias": false, "model_type": "llama",
        "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3,
        "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_interleaved": false,
        "rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": true, "vocab_size": 49152
    }"#;
    let new = old.replace(
        r#""rope_scaling": null, "rope_theta": 100000"#,
        r#""rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"}, "head_dim": 64"#,
    );
    for text in [old, &new] {
        let file: HfLlama = serde_json::from_str(text).unwrap();
        assert_eq!(file.eos_token_id.as_ref().unwrap().as_slice(), [0, 2]);
        assert_eq!(LlamaConfig::try_from(file), Ok(LlamaConfig::smollm2_135m()));
    }
}

/// transformers 5.24 gives 7 for each, and 10,000 for none.
#[test]
fn the_base_of_rotary_positions_is_found_wherever_it_stands() {
    let read = |text: &str| {
        let file: HfLlama = serde_json::from_str(text).unwrap();
        LlamaConfig::try_from(file).unwrap().rope_theta
    };
    for text in [
        r#"{"rope_parameters": null, "rope_scaling": {"rope_type": "default", "rope_theta": 7.0}}"#,
        r#"{"rope_theta": 7, "rope_scaling": {"type": "default", "rope_theta": 7.0}}"#,
        r#"{"rope_theta": 7.0, "rope_scaling": {"rope_type": "default"}}"#,
        r#"{"rope_scaling": null, "rope_parameters": {"rope_theta": 7.0}}"#,
        r#"{"rope_theta": 7.0, "rope_parameters": {"rope_type": "default", "rope_theta": null}}"#,
    ] {
        assert_eq!(read(text), 7.0, "{text}");
    }
    assert_eq!(read("{}"), 10_000.0);
}

#[test]
fn what_cannot_be_represented_is_named() {
    for (text, message) in [
        (
            r#"{"model_type": "mistral"}"#,
            "model_type: expected llama, got mistral",
        ),
        (
            r#"{"hidden_act": "gelu"}"#,
            "hidden_act: expected silu, got gelu",
        ),
        (
            r#"{"attention_bias": true}"#,
            "attention_bias: expected false, got true",
        ),
        (
            r#"{"rope_scaling": {"type": "dynamic", "factor": 2.0}}"#,
            "rope_scaling.rope_type: expected default, linear or llama3, got dynamic",
        ),
        (
            r#"{"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0}}"#,
            "rope_parameters.factor: expected a number, for rope_type llama3",
        ),
        (
            r#"{"rope_scaling": {"rope_type": "linear", "factor": 0.5}}"#,
            "model.rope_scaling.factor: expected 1 to 1000000, got 0.5",
        ),
        (
            r#"{"rope_scaling": {"rope_type": "default", "factor": 2.0}}"#,
            "rope_scaling.factor: expected none, for rope_type default, got 2",
        ),
        (
            r#"{"rope_theta": 5.0, "rope_scaling": {"rope_type": "default", "rope_theta": 7.0}}"#,
            "rope_theta: expected 7, got 5; see rope_scaling.rope_theta",
        ),
        (
            r#"{"rope_theta": 5.0, "rope_parameters": {"rope_theta": 7.0}}"#,
            "rope_theta: expected 7, got 5; see rope_parameters.rope_theta",
        ),
        (
            r#"{"rope_parameters": {"rope_theta": 5.0}, "rope_scaling": {"rope_theta": 7.0}}"#,
            "rope_parameters.rope_theta: expected 7, got 5; see rope_scaling.rope_theta",
        ),
        (
            r#"{"rope_parameters": {"rope_theta": 5.0}, "rope_scaling": {"rope_type": "default"}}"#,
            "rope_scaling: expected null, or what rope_parameters says",
        ),
        (r#"{"head_dim": 64}"#, "head_dim: expected 128, got 64"),
        (
            r#"{"num_key_value_heads": 5}"#,
            "model.num_kv_heads: expected a divisor of model.num_heads = 32, got 5",
        ),
    ] {
        let file: HfLlama = serde_json::from_str(text).unwrap();
        assert_eq!(LlamaConfig::try_from(file), Err(message.to_owned()));
    }
}

#[test]
fn a_wrong_value_is_named() {
    type Fault = (fn(&mut LlamaConfig), &'static str);
    let faults: [Fault; 9] = [
        (
            |c| c.vocab_size = 0,
            "model.vocab_size: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.num_layers = usize::MAX,
            "model.num_layers: expected 1 to 1024, got 18446744073709551615",
        ),
        (
            |c| c.num_heads = 3,
            "model.num_heads: expected a divisor of model.width = 16, got 3",
        ),
        (
            |c| c.num_heads = 16,
            "model.num_heads: expected heads of even width, for elements turn in pairs, got 16 \
             heads of 1",
        ),
        (
            |c| c.num_kv_heads = 0,
            "model.num_kv_heads: expected 1 to 4, got 0",
        ),
        (
            |c| c.num_kv_heads = 3,
            "model.num_kv_heads: expected a divisor of model.num_heads = 4, got 3",
        ),
        (
            |c| c.rope_theta = 0.0,
            "model.rope_theta: expected 1 to 1e12, got 0",
        ),
        (
            |c| c.norm_epsilon = f64::NAN,
            "model.norm_epsilon: expected above 0 and at most 1, got NaN",
        ),
        (
            |c| c.attention_dropout = 1.0,
            "model.attention_dropout: expected at least 0 and below 1, got 1",
        ),
    ];
    for (spoil, message) in faults {
        let mut config = LlamaConfig::tiny();
        spoil(&mut config);
        assert_eq!(config.validate(), Err(message.to_owned()));
    }
}
