//! The configuration of a Llama as Hugging Face's `config.json` spells it.

use serde::{Deserialize, Serialize};

use super::{LlamaConfig, Output, RopeScaling};
use crate::gpt::hugging_face::{TokenIds, only};

/// What counts in the `config.json` of a Llama; a key that a file lacks has transformers' default,
/// other keys are skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HfLlama {
    /// The classes that the weights are for.
    pub architectures: Option<Vec<String>>,
    /// `llama`.
    pub model_type: String,
    /// Number of different tokens.
    pub vocab_size: usize,
    /// [`LlamaConfig::context`].
    pub max_position_embeddings: usize,
    /// [`LlamaConfig::num_layers`].
    pub num_hidden_layers: usize,
    /// [`LlamaConfig::num_heads`].
    pub num_attention_heads: usize,
    /// [`LlamaConfig::num_kv_heads`], if not `num_attention_heads`.
    pub num_key_value_heads: Option<usize>,
    /// Width of a head, if not `hidden_size / num_attention_heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// [`LlamaConfig::width`].
    pub hidden_size: usize,
    /// [`LlamaConfig::hidden`].
    pub intermediate_size: usize,
    /// The non-linearity of the feed-forward: `silu`.
    pub hidden_act: String,
    /// [`LlamaConfig::norm_epsilon`].
    pub rms_norm_eps: f64,
    /// [`LlamaConfig::rope_theta`]; it may also be in `rope_parameters` or `rope_scaling`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// The rotary positions, as transformers 5 writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<HfRope>,
    /// The rotary positions' departures, as transformers 4 writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<HfRope>,
    /// Whether the projections of attention have biases.
    pub attention_bias: bool,
    /// Whether the layers of the feed-forward have biases.
    pub mlp_bias: bool,
    /// Dropout of attention weights.
    pub attention_dropout: Option<f64>,
    /// Whether the output's weights are the token embedding's.
    pub tie_word_embeddings: bool,
    /// The token before a text; the tokenizer's, not the model's.
    pub bos_token_id: Option<u32>,
    /// The tokens after a text; the tokenizer's, not the model's.
    pub eos_token_id: Option<TokenIds>,
}

/// How rotary positions are computed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HfRope {
    /// `default`, or the name of a way to stretch a context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_type: Option<String>,
    /// `rope_type` in older files.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub old_type: Option<String>,
    /// [`LlamaConfig::rope_theta`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// The share of a head that turns, if not all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_rotary_factor: Option<f64>,
    /// See [`RopeScaling`], as the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Of `llama3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_freq_factor: Option<f64>,
    /// Of `llama3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_freq_factor: Option<f64>,
    /// Of `llama3`; `max_position_embeddings` where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_max_position_embeddings: Option<usize>,
}

impl HfRope {
    /// What is asked for, where it is not plain rotary positions. `key` is where this stands.
    fn scaling(&self, key: &str, context: usize) -> Result<Option<RopeScaling>, String> {
        let share = self.partial_rotary_factor.unwrap_or(1.0);
        only(&format!("{key}.partial_rotary_factor"), share, 1.0)?;
        let kind = match (&self.rope_type, &self.old_type) {
            (Some(kind), Some(old)) => {
                only(&format!("{key}.type"), old, kind)?;
                kind
            }
            (Some(kind), None) | (None, Some(kind)) => kind,
            (None, None) => "default",
        };
        let needed = |name: &str, value: Option<f64>| {
            value.ok_or_else(|| format!("{key}.{name}: expected a number, for rope_type {kind}"))
        };
        let scaling = match kind {
            "default" => None,
            "linear" => Some(RopeScaling::Linear {
                factor: needed("factor", self.factor)?,
            }),
            "llama3" => Some(RopeScaling::Llama3 {
                factor: needed("factor", self.factor)?,
                low_freq_factor: needed("low_freq_factor", self.low_freq_factor)?,
                high_freq_factor: needed("high_freq_factor", self.high_freq_factor)?,
                original_max_position_embeddings: self
                    .original_max_position_embeddings
                    .unwrap_or(context),
            }),
            other => {
                return Err(format!(
                    "{key}.rope_type: expected default, linear or llama3, got {other:.100}"
                ));
            }
        };
        if scaling.is_none()
            && let Some(factor) = self.factor
        {
            return Err(format!(
                "{key}.factor: expected none, for rope_type default, got {factor}"
            ));
        }
        Ok(scaling)
    }
}

impl From<RopeScaling> for HfRope {
    fn from(scaling: RopeScaling) -> Self {
        match scaling {
            RopeScaling::Linear { factor } => Self {
                rope_type: Some("linear".into()),
                factor: Some(factor),
                ..Self::default()
            },
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => Self {
                rope_type: Some("llama3".into()),
                factor: Some(factor),
                low_freq_factor: Some(low_freq_factor),
                high_freq_factor: Some(high_freq_factor),
                original_max_position_embeddings: Some(original_max_position_embeddings),
                ..Self::default()
            },
        }
    }
}

impl Default for HfLlama {
    /// The defaults of transformers' `LlamaConfig`.
    fn default() -> Self {
        Self {
            architectures: None,
            model_type: "llama".into(),
            vocab_size: 32_000,
            max_position_embeddings: 2048,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            head_dim: None,
            hidden_size: 4096,
            intermediate_size: 11_008,
            hidden_act: "silu".into(),
            rms_norm_eps: 1e-6,
            rope_theta: None,
            rope_parameters: None,
            rope_scaling: None,
            attention_bias: false,
            mlp_bias: false,
            attention_dropout: Some(0.0),
            tie_word_embeddings: false,
            bos_token_id: Some(1),
            eos_token_id: Some(TokenIds::One(2)),
        }
    }
}

impl HfLlama {
    /// The one base of the rotary positions, wherever it stands, and what slows them down. Where
    /// several places say something else, transformers 4 and 5 do not take the same one.
    fn rope(&self) -> Result<(f64, Option<RopeScaling>), String> {
        let (scaling, parameters) = (&self.rope_scaling, &self.rope_parameters);
        let mut asked = None;
        for (key, rope) in [("rope_scaling", scaling), ("rope_parameters", parameters)] {
            if let Some(rope) = rope {
                asked = asked.or(rope.scaling(key, self.max_position_embeddings)?);
            }
        }
        Ok((self.rope_theta()?, asked))
    }

    fn rope_theta(&self) -> Result<f64, String> {
        let (scaling, parameters) = (&self.rope_scaling, &self.rope_parameters);
        let within = |rope: &Option<HfRope>| rope.as_ref().and_then(|rope| rope.rope_theta);
        let places = [
            ("rope_scaling.rope_theta", within(scaling)),
            ("rope_parameters.rope_theta", within(parameters)),
            ("rope_theta", self.rope_theta),
        ];
        let mut given = (places.into_iter()).filter_map(|(key, theta)| Some((key, theta?)));
        let Some((first, theta)) = given.next() else {
            return Ok(10_000.0);
        };
        for (key, other) in given {
            only(key, other, theta).map_err(|problem| format!("{problem}; see {first}"))?;
        }
        if let (Some(scaling), Some(parameters)) = (scaling, parameters)
            && *scaling != HfRope::default()
            && scaling != parameters
        {
            return Err("rope_scaling: expected null, or what rope_parameters says".into());
        }
        Ok(theta)
    }
}

impl TryFrom<HfLlama> for LlamaConfig {
    /// The key at fault, what it may be and what it is.
    type Error = String;

    fn try_from(file: HfLlama) -> Result<Self, String> {
        only("model_type", &*file.model_type, "llama")?;
        only("hidden_act", &*file.hidden_act, "silu")?;
        only("attention_bias", file.attention_bias, false)?;
        only("mlp_bias", file.mlp_bias, false)?;
        let (rope_theta, rope_scaling) = file.rope()?;
        let config = Self {
            vocab_size: file.vocab_size,
            context: file.max_position_embeddings,
            num_layers: file.num_hidden_layers,
            num_heads: file.num_attention_heads,
            num_kv_heads: file.num_key_value_heads.unwrap_or(file.num_attention_heads),
            width: file.hidden_size,
            hidden: file.intermediate_size,
            rope_theta,
            rope_scaling,
            norm_epsilon: file.rms_norm_eps,
            attention_dropout: file.attention_dropout.unwrap_or(0.0),
            output: if file.tie_word_embeddings {
                Output::Tied
            } else {
                Output::Free
            },
        };
        config.validate()?;
        if let Some(head_dim) = file.head_dim {
            only("head_dim", head_dim, config.width / config.num_heads)?;
        }
        Ok(config)
    }
}

impl From<&LlamaConfig> for HfLlama {
    fn from(config: &LlamaConfig) -> Self {
        Self {
            architectures: Some(vec!["LlamaForCausalLM".into()]),
            vocab_size: config.vocab_size,
            max_position_embeddings: config.context,
            num_hidden_layers: config.num_layers,
            num_attention_heads: config.num_heads,
            num_key_value_heads: Some(config.num_kv_heads),
            hidden_size: config.width,
            intermediate_size: config.hidden,
            rms_norm_eps: config.norm_epsilon,
            rope_theta: Some(config.rope_theta),
            rope_scaling: config.rope_scaling.map(HfRope::from),
            attention_dropout: Some(config.attention_dropout),
            tie_word_embeddings: config.output == Output::Tied,
            bos_token_id: None,
            eos_token_id: None,
            ..Self::default()
        }
    }
}
