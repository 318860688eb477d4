//! The configuration of a GPT-2 as Hugging Face's `config.json` spells it.

use serde::{Deserialize, Serialize};

use super::{Gelu, GptConfig, Output};

/// What counts in the `config.json` of a GPT-2; a key that a file lacks has transformers' default,
/// other keys are skipped. Some keys have a second name, which transformers takes as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HfGpt2 {
    /// The classes that the weights are for.
    pub architectures: Option<Vec<String>>,
    /// `gpt2`.
    pub model_type: String,
    /// Number of different tokens.
    pub vocab_size: usize,
    /// [`GptConfig::context`].
    #[serde(alias = "max_position_embeddings")]
    pub n_positions: usize,
    /// [`GptConfig::width`].
    #[serde(alias = "hidden_size")]
    pub n_embd: usize,
    /// [`GptConfig::num_layers`].
    #[serde(alias = "num_hidden_layers")]
    pub n_layer: usize,
    /// [`GptConfig::num_heads`].
    #[serde(alias = "num_attention_heads")]
    pub n_head: usize,
    /// Width inside the feed-forward, if not four times `n_embd`.
    pub n_inner: Option<usize>,
    /// The non-linearity of the feed-forward.
    pub activation_function: String,
    /// Dropout of what a block adds.
    pub resid_pdrop: f64,
    /// Dropout of embeddings.
    pub embd_pdrop: f64,
    /// Dropout of attention weights.
    pub attn_pdrop: f64,
    /// Added to the variance in every norm.
    pub layer_norm_epsilon: f64,
    /// Whether scores are divided by the root of a head's width.
    pub scale_attn_weights: bool,
    /// Whether scores are also divided by the number of the layer.
    pub scale_attn_by_inverse_layer_idx: bool,
    /// Whether the output's weights are the token embedding's.
    pub tie_word_embeddings: bool,
    /// The token before a text; the tokenizer's, not the model's.
    pub bos_token_id: Option<u32>,
    /// The tokens after a text; the tokenizer's, not the model's.
    pub eos_token_id: Option<TokenIds>,
}

/// One token or several, as in files of either kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TokenIds {
    /// A plain number.
    One(u32),
    /// A list.
    Several(Vec<u32>),
}

impl TokenIds {
    /// All of them.
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Several(ids) => ids,
        }
    }
}

impl Default for HfGpt2 {
    /// The defaults of transformers' `GPT2Config`.
    fn default() -> Self {
        Self {
            architectures: None,
            model_type: "gpt2".into(),
            vocab_size: 50_257,
            n_positions: 1024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            activation_function: "gelu_new".into(),
            resid_pdrop: 0.1,
            embd_pdrop: 0.1,
            attn_pdrop: 0.1,
            layer_norm_epsilon: 1e-5,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            tie_word_embeddings: true,
            bos_token_id: Some(50_256),
            eos_token_id: Some(TokenIds::One(50_256)),
        }
    }
}

/// `Err` where a key has a value other than the only one that a configuration of ours can mean.
pub(crate) fn only<T: PartialEq + std::fmt::Display>(
    key: &str,
    value: T,
    expected: T,
) -> Result<(), String> {
    if value != expected {
        return Err(format!("{key}: expected {expected}, got {value}"));
    }
    Ok(())
}

impl TryFrom<HfGpt2> for GptConfig {
    /// The key at fault, what it may be and what it is.
    type Error = String;

    fn try_from(file: HfGpt2) -> Result<Self, String> {
        only("model_type", &*file.model_type, "gpt2")?;
        if let Some(n_inner) = file.n_inner {
            only("n_inner", n_inner, file.n_embd.saturating_mul(4))?;
        }
        only("embd_pdrop", file.embd_pdrop, file.resid_pdrop)?;
        only("attn_pdrop", file.attn_pdrop, file.resid_pdrop)?;
        let epsilon = file.layer_norm_epsilon;
        only("layer_norm_epsilon", epsilon, crate::block::EPSILON)?;
        only("scale_attn_weights", file.scale_attn_weights, true)?;
        let by_layer = file.scale_attn_by_inverse_layer_idx;
        only("scale_attn_by_inverse_layer_idx", by_layer, false)?;
        // A free output layer of ours has a bias where the other layers have one; theirs has none.
        only("tie_word_embeddings", file.tie_word_embeddings, true)?;
        let activation = match &*file.activation_function {
            "gelu" => Gelu::Exact,
            "gelu_new" | "gelu_pytorch_tanh" => Gelu::Tanh,
            other => {
                return Err(format!(
                    "activation_function: expected gelu_new or gelu, got {other}"
                ));
            }
        };
        let config = Self {
            vocab_size: file.vocab_size,
            context: file.n_positions,
            num_layers: file.n_layer,
            num_heads: file.n_head,
            width: file.n_embd,
            activation,
            dropout: file.resid_pdrop,
            output: Output::Tied,
            bias: true,
        };
        config.validate()?;
        Ok(config)
    }
}

impl From<&GptConfig> for HfGpt2 {
    /// Exact for a tied output and biases, as GPT-2 has them. Biases that a model lacks are zeros
    /// there; a free output layer's bias has no place there.
    fn from(config: &GptConfig) -> Self {
        Self {
            architectures: Some(vec!["GPT2LMHeadModel".into()]),
            vocab_size: config.vocab_size,
            n_positions: config.context,
            n_embd: config.width,
            n_layer: config.num_layers,
            n_head: config.num_heads,
            activation_function: match config.activation {
                Gelu::Exact => "gelu".into(),
                Gelu::Tanh => "gelu_new".into(),
            },
            resid_pdrop: config.dropout,
            embd_pdrop: config.dropout,
            attn_pdrop: config.dropout,
            tie_word_embeddings: config.output == Output::Tied,
            bos_token_id: None,
            eos_token_id: None,
            ..Self::default()
        }
    }
}
