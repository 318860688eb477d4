//! Rotary positions that are slowed down, against transformers: `golden/rope.json`, made by the script
//! beside it. The bound is that of single precision, in which transformers computes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use serde_json::{Value, json};
use zoo_transformer::llama::hugging_face::HfLlama;
use zoo_transformer::llama::{LlamaConfig, RopeScaling, frequencies};

fn read(config: Value) -> Result<LlamaConfig, String> {
    let file: HfLlama = serde_json::from_value(config).unwrap();
    LlamaConfig::try_from(file)
}

#[test]
fn frequencies_are_those_of_transformers() {
    let golden: Value = serde_json::from_str(include_str!("golden/rope.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let expected: Vec<f32> = serde_json::from_value(case["frequencies"].clone()).unwrap();
        let rope = &case["rope_parameters"];
        // As transformers 5 writes them, as 4 did, and by the older name of the type.
        let mut older = rope.clone();
        older["type"] = older["rope_type"].take();
        for said in [
            json!({ "rope_parameters": rope }),
            json!({ "rope_scaling": rope, "rope_theta": rope["rope_theta"] }),
            json!({ "rope_scaling": older }),
        ] {
            let mut file = said;
            file["max_position_embeddings"] = json!(131_072);
            let config = read(file).unwrap();
            let head_width = case["head_width"].as_u64().unwrap() as usize;
            let found = frequencies(config.rope_theta, head_width, config.rope_scaling);
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() <= 1e-5 * b, "{rope}: {a}, transformers {b}");
            }
        }
    }
}

#[test]
fn a_scaled_model_differs_from_a_plain_one_and_is_written_as_it_was_read() {
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    assert_ne!(
        frequencies(1e4, 64, Some(scaling)),
        frequencies(1e4, 64, None)
    );
    for scaling in [
        None,
        Some(scaling),
        Some(RopeScaling::Linear { factor: 2.0 }),
    ] {
        let config = LlamaConfig {
            rope_scaling: scaling,
            ..LlamaConfig::tiny()
        };
        let written = serde_json::to_value(HfLlama::from(&config)).unwrap();
        assert_eq!(read(written), Ok(config));
    }
}

#[test]
fn what_is_not_known_is_refused_by_key() {
    let message = |rope: Value| read(json!({ "rope_scaling": rope })).unwrap_err();
    for kind in ["dynamic", "yarn", "longrope"] {
        assert_eq!(
            message(json!({ "rope_type": kind, "factor": 2.0 })),
            format!("rope_scaling.rope_type: expected default, linear or llama3, got {kind}")
        );
    }
    assert_eq!(
        message(json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0 })),
        "rope_scaling.high_freq_factor: expected a number, for rope_type llama3"
    );
    let llama3 = |low: f64, high: f64| {
        json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": low, "high_freq_factor": high
        })
    };
    assert_eq!(
        message(llama3(4.0, 4.0)),
        "model.rope_scaling.high_freq_factor: expected above low_freq_factor = 4 and at most 1e6, \
         got 4"
    );
    assert!(message(llama3(0.0, 4.0)).starts_with("model.rope_scaling.low_freq_factor: "));
    assert_eq!(
        message(json!({ "rope_type": "linear", "type": "llama3", "factor": 2.0 })),
        "rope_scaling.type: expected linear, got llama3"
    );
}
