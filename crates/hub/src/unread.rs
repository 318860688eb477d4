//! Keys of a `config.json` that no model here has, but that change what one computes: they are refused
//! unless they say that nothing is changed.

use serde_json::Value as Json;

use crate::{HubError, Settings};

/// Keys that switch something on.
const SWITCHES: [&str; 9] = [
    "add_cross_attention",
    "attn_logit_softcapping",
    "clip_qkv",
    "final_logit_softcapping",
    "logits_soft_cap",
    "pruned_heads",
    "quantization_config",
    "rope_interleaved",
    "sliding_window",
];

/// Keys that something is multiplied with.
const FACTORS: [&str; 5] = [
    "attention_multiplier",
    "embedding_multiplier",
    "logits_scaling",
    "partial_rotary_factor",
    "residual_multiplier",
];

/// What a cross-encoder does to its output, unless it is this.
const ACTIVATIONS: [&str; 2] = [
    "sbert_ce_default_activation_function",
    "sentence_transformers.activation_fn",
];
const IDENTITY: &str = "torch.nn.modules.linear.Identity";

/// What is read of a description of rotary positions, whatever their kind.
const ROPE: [&str; 4] = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];

/// What Llama 3's kind has beside it. A model that has no such kind refuses it by `rope_type`.
const LLAMA3_ROPE: [&str; 4] = [
    "factor",
    "high_freq_factor",
    "low_freq_factor",
    "original_max_position_embeddings",
];

/// Refuses what no architecture of `transformers` is here with.
///
/// # Errors
/// The first such key.
pub fn check(config: Settings<'_>) -> Result<(), HubError> {
    for key in SWITCHES {
        refuse(config, key, is_off)?;
    }
    for key in FACTORS {
        refuse(config, key, |value| value.as_f64() == Some(1.0))?;
    }
    for key in ACTIVATIONS {
        refuse(config, key, |value| value.as_str() == Some(IDENTITY))?;
    }
    for rope in ["rope_scaling", "rope_parameters"] {
        let kind = ["rope_type", "type"].map(|key| config.get(&format!("{rope}.{key}")));
        let kind = kind.into_iter().flatten().next().and_then(Json::as_str);
        let more: &[&str] = match kind {
            Some("llama3") => &LLAMA3_ROPE,
            _ => &[],
        };
        for (key, _) in config.entries(rope) {
            if !ROPE.contains(&key) && !more.contains(&key) {
                refuse(config, &format!("{rope}.{key}"), is_off)?;
            }
        }
    }
    Ok(())
}

fn is_off(value: &Json) -> bool {
    match value {
        Json::Bool(on) => !on,
        Json::Object(parts) => parts.is_empty(),
        Json::Array(parts) => parts.is_empty(),
        _ => false,
    }
}

/// Refuses a key that is there, unless its value changes nothing.
pub(crate) fn refuse(
    settings: Settings<'_>,
    key: &str,
    is_neutral: impl Fn(&Json) -> bool,
) -> Result<(), HubError> {
    match settings.get(key) {
        Some(value) if !is_neutral(value) => Err(settings.wrong(
            key,
            "nothing: the model here has no such thing, and would compute something else",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_compute_something_else_is_refused_by_its_key() {
        let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
        for (key, neutral, value) in [
            ("sliding_window", json!(null), json!(4096)),
            ("final_logit_softcapping", json!(null), json!(30.0)),
            ("rope_interleaved", json!(false), json!(true)),
            (
                "quantization_config",
                json!(null),
                json!({"quant_method": "fp8"}),
            ),
            ("pruned_heads", json!({}), json!({"0": [1]})),
            ("logits_scaling", json!(1), json!(8)),
            (
                "rope_scaling",
                llama3,
                json!({"type": "linear", "factor": 4.0}),
            ),
            (
                "rope_parameters",
                json!({"rope_type": "default", "rope_theta": 10_000.0}),
                json!({"full_attention": {"rope_theta": 7.0}}),
            ),
        ] {
            let checked = |value: Json| {
                let config = json!({ "model_type": "llama", key: value });
                check(Settings::new("config.json", &config))
            };
            checked(neutral).unwrap();
            let error = checked(value).unwrap_err();
            assert!(error.problem.starts_with(key), "{error}");
        }
    }
}
