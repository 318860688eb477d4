//! Keys of a `config.json` that no model here has, but that change what one computes: they are refused
//! unless they say that nothing is changed.

use serde_json::Value as Json;
use zoo_train::brief;

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

/// What is read of a description of rotary positions.
const ROPE: [&str; 8] = [
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
];

/// What may stand in timm's `model_args`: what is read, and the pooling, which is checked.
const ARGUMENTS: [&str; 7] = [
    "num_classes",
    "in_chans",
    "in_channels",
    "img_size",
    "image_size",
    "global_pool",
    "pretrained",
];

/// Of a configuration of transformers.
pub(super) fn check(config: &Json) -> Result<(), String> {
    for key in SWITCHES {
        refuse(key, &config[key], is_off)?;
    }
    for key in FACTORS {
        refuse(key, &config[key], |value| value.as_f64() == Some(1.0))?;
    }
    for key in ["rope_scaling", "rope_parameters"] {
        let rope = config[key].as_object().into_iter().flatten();
        for (inner, value) in rope.filter(|(inner, _)| !ROPE.contains(&inner.as_str())) {
            refuse(&format!("{key}.{inner}"), value, is_off)?;
        }
    }
    Ok(())
}

/// Of a configuration of timm, for an architecture of ours.
pub(super) fn check_timm(architecture: &str, config: &Json) -> Result<(), String> {
    let arguments = config["model_args"].as_object().into_iter().flatten();
    for (key, value) in arguments.filter(|(key, _)| !ARGUMENTS.contains(&key.as_str())) {
        refuse(&format!("model_args.{key}"), value, |_| false)?;
    }
    // A Vision Transformer has a key for it.
    let poolings: &[&str] = match architecture {
        "vit" => &["token", "avg"],
        _ => &["avg"],
    };
    for holder in [config, &config["model_args"]] {
        let given = &holder["global_pool"];
        let is_known = given
            .as_str()
            .is_some_and(|given| poolings.contains(&given));
        if !given.is_null() && !is_known {
            return Err(format!(
                "global_pool: expected {}, got {}",
                poolings.join(" or "),
                brief(given)
            ));
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

fn refuse(key: &str, value: &Json, is_neutral: impl Fn(&Json) -> bool) -> Result<(), String> {
    if value.is_null() || is_neutral(value) {
        return Ok(());
    }
    Err(format!(
        "{} = {}: the model here has no such thing, and would compute something else",
        brief(key),
        brief(value)
    ))
}
