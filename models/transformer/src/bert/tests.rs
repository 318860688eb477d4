use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};

use super::hugging_face::HfBert;
use super::*;
use crate::testing::{
    assert_all_learn, cross_entropy, distance, gradients, lively, overfit, values,
};

fn tiny(head: Head) -> BertConfig {
    BertConfig {
        head,
        ..BertConfig::tiny()
    }
}

fn tokens<const B: usize, const T: usize>(rows: [[i32; T]; B], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(rows, device)
}

fn outputs(model: &Bert, tokens: Tensor<2, Int>) -> Tensor<2> {
    let padding = model.padding_mask(&tokens);
    model.forward(tokens, padding)
}

const BOTH: [Head; 2] = [Head::Classifier, Head::SentenceEmbedding];
const BATCH: [[i32; 5]; 3] = [[1, 2, 3, 4, 5], [6, 7, 8, 0, 0], [5, 0, 0, 0, 0]];

#[test]
fn shapes_follow_the_input() {
    let device = Device::flex();
    for head in BOTH {
        let config = tiny(head);
        let model = config.init(&device);
        for (b, t) in [(1, 1), (1, 8), (3, 4)] {
            let output = outputs(&model, Tensor::ones([b, t], &device));
            assert_eq!(output.dims(), [b, config.num_outputs()]);
            assert!(values(output).iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
#[should_panic(expected = "at most 8 tokens, got 9")]
fn a_longer_sentence_is_refused() {
    let device = Device::flex();
    let model = BertConfig::tiny().init(&device);
    let _ = outputs(&model, Tensor::ones([1, 9], &device));
}

#[test]
fn parameters_are_counted() {
    let device = Device::flex();
    let count = |config: BertConfig| config.init(&device).num_params();
    assert_eq!(count(BertConfig::tiny()), 5_475);
    let expected = [4_386_178, 11_171_074, 28_764_674, 109_483_778, 22_565_376];
    let counted: Vec<usize> = (presets().into_iter())
        .map(|(_, config)| count(config))
        .collect();
    assert_eq!(counted, expected);
    // The files' encoders have a pooler and no classifier.
    let classifier = |width: usize| 2 * width + 2;
    assert_eq!(counted[3] - classifier(768), 109_482_240);
    assert_eq!(counted[4] + 384 * 384 + 384, 22_713_216);
}

#[test]
fn tensors_are_called_as_in_hugging_face() {
    let names = [
        (
            "embeddings.word_embeddings.weight",
            "embeddings.word_embeddings.weight",
        ),
        ("embeddings.layer_norm.bias", "embeddings.LayerNorm.bias"),
        (
            "layer.10.attention.query.weight",
            "encoder.layer.10.attention.self.query.weight",
        ),
        (
            "layer.0.attention.output.layer_norm.weight",
            "encoder.layer.0.attention.output.LayerNorm.weight",
        ),
        (
            "layer.0.intermediate.bias",
            "encoder.layer.0.intermediate.dense.bias",
        ),
        (
            "layer.0.output.dense.weight",
            "encoder.layer.0.output.dense.weight",
        ),
    ];
    let (classifier, encoder) = (tiny(Head::Classifier), tiny(Head::SentenceEmbedding));
    for (ours, theirs) in names {
        assert_eq!(encoder.origin_name(ours), theirs);
        assert_eq!(classifier.origin_name(ours), format!("bert.{theirs}"));
    }
    assert_eq!(
        classifier.origin_name("pooler.weight"),
        "bert.pooler.dense.weight"
    );
    assert_eq!(classifier.origin_name("classifier.bias"), "classifier.bias");
}

#[test]
fn more_padding_changes_nothing() {
    let device = Device::flex();
    for head in BOTH {
        let model = lively(tiny(head).init(&device));
        let short = outputs(&model, tokens([[4, 2, 6]], &device));
        let padded = outputs(&model, tokens([[4, 2, 6, 0, 0, 0, 0, 0]], &device));
        assert!(distance(short, padded) < 1e-5, "{head:?}");
    }
}

#[test]
fn what_stands_under_the_mask_changes_nothing() {
    let device = Device::flex();
    let padding = || Tensor::<2, Bool>::from_data([[false, true, false, true]], &device);
    for head in BOTH {
        let model = lively(tiny(head).init(&device));
        let a = model.forward(tokens([[4, 2, 6, 1]], &device), padding());
        let b = model.forward(tokens([[4, 8, 6, 5]], &device), padding());
        assert_eq!(values(a.clone()), values(b), "{head:?}");
        let seen = model.forward(tokens([[4, 2, 3, 1]], &device), padding());
        assert!(distance(a, seen) > 1e-3, "{head:?}");
    }
}

#[test]
fn segments_tell_a_pair_from_one_sentence() {
    let device = Device::flex();
    let batch = || tokens([[4, 2, 6, 1]], &device);
    for head in BOTH {
        let model = lively(tiny(head).init(&device));
        let padding = model.padding_mask(&batch());
        let pair = |segments| {
            let segments = tokens([segments], &device);
            model.forward_segments(batch(), segments, padding.clone())
        };
        let one = outputs(&model, batch());
        assert!(distance(one.clone(), pair([0, 0, 0, 0])) < 1e-5);
        assert!(distance(one, pair([0, 0, 1, 1])) > 1e-3);
    }
}

#[test]
fn every_position_sees_both_ways() {
    let device = Device::flex();
    let model = lively(BertConfig::tiny().init(&device));
    let logits = |row| outputs(&model, tokens([row], &device));
    // The first position sees the last, and order matters.
    assert!(distance(logits([1, 2, 3, 4]), logits([1, 2, 3, 5])) > 1e-3);
    assert!(distance(logits([1, 2, 3, 4]), logits([1, 3, 2, 4])) > 1e-3);
}

#[test]
fn hidden_states_are_normalised_and_end_where_the_head_begins() {
    let device = Device::flex();
    let model = lively(tiny(Head::SentenceEmbedding).init(&device));
    let batch = tokens(BATCH, &device);
    let padding = model.padding_mask(&batch);
    let states = model.hidden_states(batch.clone(), padding.clone());
    assert_eq!(states.len(), 3);
    for state in &states {
        assert_eq!(state.dims(), [3, 5, 16]);
        // Fresh norms are the identity, so every vector has mean zero.
        let mean = state.clone().mean_dim(2);
        assert!(values(mean).iter().all(|x| x.abs() < 1e-5));
    }
    let embedded = unit_mean(states[2].clone(), padding);
    assert!(distance(embedded, outputs(&model, batch)) < 1e-6);
}

#[test]
fn embeddings_have_length_one_and_those_of_nothing_are_zero() {
    let device = Device::flex();
    let model = lively(tiny(Head::SentenceEmbedding).init(&device));
    let embedded = outputs(&model, tokens([[1, 2, 0], [3, 4, 5], [0, 0, 0]], &device));
    let lengths = values(embedded.square().sum_dim(1).sqrt());
    assert!((lengths[0] - 1.0).abs() < 1e-6 && (lengths[1] - 1.0).abs() < 1e-6);
    assert_eq!(lengths[2], 0.0);
}

#[test]
fn a_sentence_of_padding_gives_finite_numbers_and_gradients() {
    let device = Device::flex().autodiff();
    for head in BOTH {
        let model = lively(tiny(head).init(&device));
        let output = outputs(&model, tokens([[0, 0, 0], [1, 2, 0]], &device));
        assert!(values(output.clone()).iter().all(|x| x.is_finite()));
        let targets = Tensor::from_data([1, 2], &device);
        let grads = cross_entropy(output, targets).backward();
        for (path, grad) in gradients(&model, &grads) {
            assert!(grad.iter().all(|x| x.is_finite()), "{path}");
        }
    }
}

#[test]
fn sentences_of_a_batch_do_not_mix() {
    let device = Device::flex();
    for head in BOTH {
        let model = lively(tiny(head).init(&device));
        let all = outputs(&model, tokens(BATCH, &device));
        for (b, row) in BATCH.into_iter().enumerate() {
            let alone = outputs(&model, tokens([row], &device));
            assert!(distance(all.clone().narrow(0, b, 1), alone) < 1e-5);
        }
    }
}

fn loss(model: &Bert, device: &Device) -> Tensor<1> {
    let output = outputs(model, tokens(BATCH, device));
    cross_entropy(output, Tensor::from_data([0, 2, 1], device))
}

#[test]
fn every_parameter_learns() {
    let device = Device::flex().autodiff();
    for head in BOTH {
        let model = tiny(head).init(&device);
        assert_all_learn(&gradients(&model, &loss(&model, &device).backward()));
    }
}

#[test]
fn dropout_acts_only_in_training() {
    let config = BertConfig {
        dropout: 0.5,
        ..BertConfig::tiny()
    };
    let plain = Device::flex();
    let training = plain.clone().autodiff();
    let model = lively(config.init(&training));
    let forward = |model: &Bert, device| outputs(model, tokens(BATCH, device));
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
    let model = BertConfig::tiny().init(&device);
    let (before, after) = overfit(model, 80, |model| loss(model, &device));
    assert!(before > 0.8 && after < 0.1, "{before} to {after}");
}

#[test]
fn a_configuration_survives_being_written_and_refuses_unknown_keys() {
    for (name, config) in presets() {
        assert_eq!(config.validate(), Ok(()), "{name}");
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<BertConfig>(&text).unwrap(), config);
        let text = text.replace("\"hidden\"", "\"hiden\"");
        let fault = serde_json::from_str::<BertConfig>(&text).unwrap_err();
        assert!(fault.to_string().contains("hiden"), "{fault}");
    }
    let head = serde_json::to_string(&Head::SentenceEmbedding).unwrap();
    assert_eq!(head, "\"sentence_embedding\"");
}

#[test]
fn a_wrong_value_is_named() {
    type Fault = (fn(&mut BertConfig), &'static str);
    let faults: [Fault; 7] = [
        (
            |c| c.max_length = 0,
            "model.max_length: expected 1 to 16777216, got 0",
        ),
        (
            |c| c.hidden = 1 << 25,
            "model.hidden: expected 1 to 16777216, got 33554432",
        ),
        (
            |c| c.num_classes = 0,
            "model.num_classes: expected 1 to 65536, got 0",
        ),
        (
            |c| c.num_heads = 5,
            "model.num_heads: expected a divisor of model.width = 16, got 5",
        ),
        (
            |c| c.dropout = 1.0,
            "model.dropout: expected at least 0 and below 1, got 1",
        ),
        (
            |c| c.layer_norm_eps = f64::NAN,
            "model.layer_norm_eps: expected above 0 and at most 1, got NaN",
        ),
        (
            |c| c.pad_token = 32,
            "model.pad_token: expected a token below model.vocab_size = 32, got 32",
        ),
    ];
    for (spoil, message) in faults {
        let mut config = BertConfig::tiny();
        spoil(&mut config);
        assert_eq!(config.validate(), Err(message.to_owned()));
    }
}

/// In the manner of the file of a small classifier on the hub.
const FILE: &str = r#"{
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert", "transformers_version": "4.6.1", "gradient_checkpointing": false,
    "vocab_size": 30522, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 512, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 512, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "pad_token_id": 0, "initializer_range": 0.02,
    "id2label": {"0": "negative", "1": "neutral", "2": "positive"}
}"#;

fn read(file: &str) -> Result<BertConfig, String> {
    serde_json::from_str::<HfBert>(file).unwrap().try_into()
}

#[test]
fn a_file_of_hugging_face_is_read() {
    let expected = BertConfig {
        num_classes: 3,
        ..BertConfig::bert_tiny()
    };
    assert_eq!(read(FILE), Ok(expected.clone()));
    let encoder = FILE.replace("BertForSequenceClassification", "BertModel");
    let head = Head::SentenceEmbedding;
    assert_eq!(read(&encoder), Ok(BertConfig { head, ..expected }));
    // What a file does not say is as in BERT-Base.
    assert_eq!(read("{}"), Ok(BertConfig::bert_base_uncased()));
}

#[test]
fn a_configuration_survives_hugging_faces_form() {
    let tiny = [("tiny", BertConfig::tiny())];
    for (name, config) in presets().into_iter().chain(tiny) {
        let text = serde_json::to_string(&HfBert::from(&config)).unwrap();
        assert_eq!(read(&text), Ok(config), "{name}");
    }
}

#[test]
fn what_a_configuration_cannot_say_is_named() {
    for (from, to, message) in [
        (
            r#""gelu""#,
            r#""tanh""#,
            "hidden_act: expected gelu, gelu_new, gelu_pytorch_tanh, relu or silu, got tanh",
        ),
        (
            r#""initializer_range": 0.02"#,
            r#""position_embedding_type": "relative_key""#,
            "position_embedding_type: expected absolute, got relative_key",
        ),
        (
            r#""model_type": "bert""#,
            r#""model_type": "roberta""#,
            "model_type: expected bert, got roberta",
        ),
        (
            r#""attention_probs_dropout_prob": 0.1"#,
            r#""attention_probs_dropout_prob": 0.0"#,
            "attention_probs_dropout_prob: expected that of hidden_dropout_prob, 0.1, got 0",
        ),
        (
            r#""pad_token_id": 0"#,
            r#""pad_token_id": null"#,
            "pad_token_id: expected a token, got null",
        ),
        (
            "BertForSequenceClassification",
            "BertForTokenClassification",
            "architectures: expected BertModel, BertForSequenceClassification or a class of \
             pre-training, got BertForTokenClassification",
        ),
        (
            r#""0": "negative", "1": "neutral", "2": "positive""#,
            r#""1": "negative", "2": "neutral", "3": "positive""#,
            "id2label: expected the keys 0 to 2, got 3",
        ),
        (
            r#""0": "negative", "1": "neutral""#,
            r#""0": "negative", "5": "neutral""#,
            "id2label: expected the keys 0 to 2, got 5",
        ),
        (
            r#""initializer_range": 0.02"#,
            r#""num_labels": 2"#,
            "num_labels: expected that of id2label, 3, got 2",
        ),
        (
            r#""num_attention_heads": 2"#,
            r#""num_attention_heads": 3"#,
            "model.num_heads: expected a divisor of model.width = 128, got 3",
        ),
    ] {
        assert!(FILE.contains(from), "{from}");
        assert_eq!(read(&FILE.replace(from, to)), Err(message.to_owned()));
    }
}
