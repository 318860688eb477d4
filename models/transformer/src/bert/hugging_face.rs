//! The configuration of a BERT as Hugging Face's `config.json` spells it.
//!
//! A file says which class wrote it, and that decides the head: `BertModel` gives a sentence
//! encoder, anything that ends in a classifier or in the heads of pre-training a classifier. What
//! to make of another checkpoint is a matter of `head` in [`BertConfig`], not of the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Activation, BertConfig, Head, Pooling};

const CLASSIFIER: &str = "BertForSequenceClassification";
const ENCODER: &str = "BertModel";

/// Classes whose encoder and pooler a classifier starts from.
const PRE_TRAINED: [&str; 3] = [
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
];

/// What counts in the `config.json` of a BERT; a key that a file lacks has transformers' default,
/// other keys are skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HfBert {
    /// The classes that the weights are for; the first counts.
    pub architectures: Option<Vec<String>>,
    /// `bert`.
    pub model_type: String,
    /// Number of different tokens.
    pub vocab_size: usize,
    /// [`BertConfig::width`].
    pub hidden_size: usize,
    /// [`BertConfig::num_layers`].
    pub num_hidden_layers: usize,
    /// [`BertConfig::num_heads`].
    pub num_attention_heads: usize,
    /// [`BertConfig::hidden`].
    pub intermediate_size: usize,
    /// The non-linearity of the feed-forward: [`BertConfig::activation`].
    pub hidden_act: String,
    /// Dropout after embeddings and sub-layers.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention weights.
    pub attention_probs_dropout_prob: f64,
    /// [`BertConfig::classifier_dropout`].
    pub classifier_dropout: Option<f64>,
    /// [`BertConfig::max_length`].
    pub max_position_embeddings: usize,
    /// How positions are told: `absolute`.
    pub position_embedding_type: String,
    /// Segments.
    pub type_vocab_size: usize,
    /// Added to the variance in every norm.
    pub layer_norm_eps: f64,
    /// The token that fills shorter sentences.
    pub pad_token_id: Option<usize>,
    /// Whether positions see only those before them.
    pub is_decoder: bool,
    /// Number of classes, where `id2label` does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_labels: Option<usize>,
    /// The classes' names by their numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id2label: Option<BTreeMap<String, String>>,
    /// The classes' numbers by their names; written only, for `id2label` says the same.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub label2id: Option<BTreeMap<String, usize>>,
}

impl Default for HfBert {
    /// The defaults of transformers' `BertConfig`.
    fn default() -> Self {
        Self {
            architectures: None,
            model_type: "bert".into(),
            vocab_size: 30_522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".into(),
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            classifier_dropout: None,
            max_position_embeddings: 512,
            position_embedding_type: "absolute".into(),
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            pad_token_id: Some(0),
            is_decoder: false,
            num_labels: None,
            id2label: None,
            label2id: None,
        }
    }
}

impl HfBert {
    fn head(&self) -> Result<Head, String> {
        match self.architectures.iter().flatten().next() {
            None => Ok(Head::Classifier),
            Some(class) if class == ENCODER => Ok(Head::SentenceEmbedding),
            Some(class) if class == CLASSIFIER || PRE_TRAINED.contains(&&**class) => {
                Ok(Head::Classifier)
            }
            Some(class) => Err(format!(
                "architectures: expected {ENCODER}, {CLASSIFIER} or a class of pre-training, got \
                 {class}"
            )),
        }
    }

    /// The number of classes, which are numbered from 0 on.
    fn num_classes(&self) -> Result<usize, String> {
        let Some(labels) = &self.id2label else {
            // Two is what transformers takes where a file does not tell.
            return Ok(self.num_labels.unwrap_or(2));
        };
        // An encoder gives no class: what its file says of some is a leftover.
        if self.head()? == Head::Classifier {
            let is_numbered = (0..labels.len()).all(|id| labels.contains_key(&id.to_string()));
            if !is_numbered {
                let other = (labels.keys())
                    .find(|key| key.parse().map_or(true, |id: usize| id >= labels.len()));
                return Err(format!(
                    "id2label: expected the keys 0 to {}, got {:.100}",
                    labels.len() - 1,
                    other.map_or("others", String::as_str)
                ));
            }
            if let Some(num_labels) = self.num_labels.filter(|number| *number != labels.len()) {
                return Err(format!(
                    "num_labels: expected that of id2label, {}, got {num_labels}",
                    labels.len()
                ));
            }
        }
        Ok(labels.len())
    }

    fn activation(&self) -> Result<Activation, String> {
        match &*self.hidden_act {
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluNew),
            "relu" => Ok(Activation::Relu),
            "silu" | "swish" => Ok(Activation::Silu),
            other => Err(format!(
                "hidden_act: expected gelu, gelu_new, gelu_pytorch_tanh, relu or silu, got \
                 {other:.100}"
            )),
        }
    }

    /// The one probability of dropout in the encoder.
    fn dropout(&self) -> Result<f64, String> {
        let (hidden, attention) = (self.hidden_dropout_prob, self.attention_probs_dropout_prob);
        if attention != hidden {
            return Err(format!(
                "attention_probs_dropout_prob: expected that of hidden_dropout_prob, {hidden}, got \
                 {attention}"
            ));
        }
        Ok(hidden)
    }
}

/// `Err` where a key has a value other than the only one that a [`BertConfig`] can mean.
fn only(key: &str, value: &str, expected: &str) -> Result<(), String> {
    if value != expected {
        return Err(format!("{key}: expected {expected}, got {value}"));
    }
    Ok(())
}

impl TryFrom<HfBert> for BertConfig {
    /// The key at fault, what it may be and what it is.
    type Error = String;

    fn try_from(file: HfBert) -> Result<Self, String> {
        only("model_type", &file.model_type, "bert")?;
        let positions = &file.position_embedding_type;
        only("position_embedding_type", positions, "absolute")?;
        only("is_decoder", &file.is_decoder.to_string(), "false")?;
        let config = Self {
            vocab_size: file.vocab_size,
            max_length: file.max_position_embeddings,
            type_vocab_size: file.type_vocab_size,
            num_layers: file.num_hidden_layers,
            num_heads: file.num_attention_heads,
            width: file.hidden_size,
            hidden: file.intermediate_size,
            activation: file.activation()?,
            dropout: file.dropout()?,
            classifier_dropout: file.classifier_dropout,
            layer_norm_eps: file.layer_norm_eps,
            pad_token: (file.pad_token_id).ok_or("pad_token_id: expected a token, got null")?,
            head: file.head()?,
            // Said beside the file, if at all: by sentence-transformers' modules.
            pooling: Pooling::Mean,
            normalize: true,
            num_classes: file.num_classes()?,
        };
        config.validate()?;
        Ok(config)
    }
}

impl From<&BertConfig> for HfBert {
    fn from(config: &BertConfig) -> Self {
        let class = match config.head {
            Head::Classifier => CLASSIFIER,
            Head::SentenceEmbedding => ENCODER,
        };
        let label = |class: usize| format!("LABEL_{class}");
        let classes = 0..config.num_classes;
        Self {
            architectures: Some(vec![class.into()]),
            vocab_size: config.vocab_size,
            hidden_size: config.width,
            num_hidden_layers: config.num_layers,
            num_attention_heads: config.num_heads,
            intermediate_size: config.hidden,
            hidden_act: match config.activation {
                Activation::Gelu => "gelu",
                Activation::GeluNew => "gelu_new",
                Activation::Relu => "relu",
                Activation::Silu => "silu",
            }
            .into(),
            hidden_dropout_prob: config.dropout,
            classifier_dropout: config.classifier_dropout,
            attention_probs_dropout_prob: config.dropout,
            max_position_embeddings: config.max_length,
            type_vocab_size: config.type_vocab_size,
            layer_norm_eps: config.layer_norm_eps,
            pad_token_id: Some(config.pad_token),
            // Names, not a number: transformers reads the number of classes from them.
            id2label: Some(classes.clone().map(|i| (i.to_string(), label(i))).collect()),
            label2id: Some(classes.map(|i| (label(i), i)).collect()),
            ..Self::default()
        }
    }
}
