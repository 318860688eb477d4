//! BERT: an encoder that reads a sentence both ways (Devlin et al. 2019, "BERT: Pre-training of Deep
//! Bidirectional Transformers for Language Understanding"), as a classifier of sentences or as a
//! sentence encoder (Reimers and Gurevych 2019, "Sentence-BERT").
//!
//! Norms come after each sub-layer; positions and segments are learned. Tensors
//! correspond one to one to those of Hugging Face's `BertForSequenceClassification`, and of its
//! `BertModel(add_pooling_layer=False)` for a sentence encoder: [`BertConfig::origin_name`].
//! [`hugging_face`] holds the configuration as its files spell it.
//!
//! Departures:
//! - there are no heads for the tasks of pre-training;
//! - initial weights are plain normal, as in Hugging Face's code, where Google's truncates;
//! - a sentence of padding alone gives finite numbers (a sentence encoder's are zeros).

pub mod hugging_face;

use std::ops::RangeInclusive;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Bool, Device, Int, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

use zoo_kernels::{Attend, MASKED, dropout, layer_norm, linear, self_attention, silu};

use crate::block::{INITIAL_STD, init_embedding, init_linear};
use crate::range::{self, LAYERS, SIZES};

pub use crate::pooling::Pooling;

// b batch, t positions, c width, f hidden width of the feed-forward, n outputs.

/// No non-linearity behind a layer.
const NOTHING: zoo_kernels::Activation = zoo_kernels::Activation::None;

/// The numbers of classes accepted: far above any use, far below an overflow of a tensor's size.
const CLASSES: RangeInclusive<usize> = 1..=65_536;

/// Beginnings and ends of names of tensors that a published file may hold beyond a model's: the
/// heads of pre-training, the buffers of positions and of segments that are used where none are given
/// and, for a sentence encoder, pooler and classifier.
pub const IGNORED: &[&str] = &[
    "cls.",
    "embeddings.position_ids",
    "embeddings.token_type_ids",
    "pooler.",
    "bert.pooler.",
    "classifier.",
];

/// What a [`Bert`] is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BertConfig {
    /// Number of different tokens, padding included, 1..=16777216.
    pub vocab_size: usize,
    /// Most tokens in a sentence, or in a pair of them, 1..=16777216.
    pub max_length: usize,
    /// Segments that a token may belong to, 1..=16777216; two in BERT, for pairs of sentences.
    pub type_vocab_size: usize,
    /// Layers, 1..=1024.
    pub num_layers: usize,
    /// Attention heads a layer; divides `width`.
    pub num_heads: usize,
    /// Width of every position's vector, 1..=16777216.
    pub width: usize,
    /// Width inside the feed-forward, 1..=16777216; four times `width` in BERT.
    pub hidden: usize,
    /// What stands between the two layers of a feed-forward.
    #[serde(default)]
    pub activation: Activation,
    /// Probability of zeroing an embedding, an attention weight, a sub-layer's output or a pooled
    /// value, 0 <= p < 1.
    pub dropout: f64,
    /// That of a pooled value, if another, 0 <= p < 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier_dropout: Option<f64>,
    /// Added to the variance in every norm, above 0 and at most 1.
    pub layer_norm_eps: f64,
    /// The token that fills a batch's shorter sentences; below `vocab_size`.
    pub pad_token: usize,
    /// What is made of the positions' vectors.
    pub head: Head,
    /// How a sentence encoder makes one vector of them; without effect on a classifier.
    #[serde(default = "mean")]
    pub pooling: Pooling,
    /// Whether a sentence encoder scales that vector to length one; without effect on a classifier.
    #[serde(default = "yes")]
    pub normalize: bool,
    /// Number of classes, 1..=65536; without effect on a sentence encoder.
    pub num_classes: usize,
}

/// What is made of the positions' vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Logits of classes, from the first position (BERT, section 4.1), where the tokenizer puts
    /// `[CLS]`. Before the classifier comes the pooler, a layer with tanh that pre-training left.
    Classifier,
    /// One vector, by [`BertConfig::pooling`] and [`BertConfig::normalize`]. The pooler that a file
    /// may hold is not used and not part of the model.
    SentenceEmbedding,
}

/// What stands between the two layers of a feed-forward, by Hugging Face's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x Φ(x) with the normal distribution Φ, as in BERT. Configurations older than the key mean
    /// this one.
    #[default]
    Gelu,
    /// Φ approximated by tanh; also called `gelu_pytorch_tanh`.
    GeluNew,
    /// max(0, x)
    Relu,
    /// x / (1 + exp(-x)); also called `swish`.
    Silu,
}

impl Activation {
    /// A layer and what stands behind it: `x [r, i]` -> `[r, o]`
    fn after(self, layer: &Linear, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Gelu => linear(layer, x, zoo_kernels::Activation::Gelu),
            Self::GeluNew => linear(layer, x, zoo_kernels::Activation::GeluTanh),
            Self::Relu => linear(layer, x, zoo_kernels::Activation::Relu),
            Self::Silu => silu(linear(layer, x, NOTHING)),
        }
    }
}

/// The older configurations' way to make a sentence's vector.
fn mean() -> Pooling {
    Pooling::Mean
}

fn yes() -> bool {
    true
}

impl BertConfig {
    /// Every named configuration: the table behind lists and sweeps.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("bert-tiny", Self::bert_tiny()),
            ("bert-mini", Self::bert_mini()),
            ("bert-small", Self::bert_small()),
            ("bert-base-uncased", Self::bert_base_uncased()),
            ("all-MiniLM-L6-v2", Self::all_minilm_l6_v2()),
        ]
    }

    /// Turc et al. 2019, "Well-Read Students Learn Better", table 1, 2 layers of width 128:
    /// 4,386,178 parameters with two classes.
    pub fn bert_tiny() -> Self {
        Self::compact(2, 128)
    }

    /// Turc et al. 2019, table 1, 4 layers of width 256: 11,171,074 parameters with two classes.
    pub fn bert_mini() -> Self {
        Self::compact(4, 256)
    }

    /// Turc et al. 2019, table 1, 4 layers of width 512: 28,764,674 parameters with two classes.
    pub fn bert_small() -> Self {
        Self::compact(4, 512)
    }

    /// Devlin et al. 2019, section 3, BERT-Base (12 layers, width 768, 12 heads), with the
    /// vocabulary of lowercase English: 109,483,778 parameters with two classes.
    pub fn bert_base_uncased() -> Self {
        Self::compact(12, 768)
    }

    /// The sentence encoder of sentence-transformers that was made from a MiniLM of 6 layers and
    /// width 384 (Wang et al. 2020, "MiniLM", section 4.1): 22,565,376 parameters, and 22,713,216
    /// with the pooler of its file, which it does not use.
    pub fn all_minilm_l6_v2() -> Self {
        Self {
            num_heads: 12,
            head: Head::SentenceEmbedding,
            ..Self::compact(6, 384)
        }
    }

    /// A BERT of the paper's proportions: heads are 64 wide, the feed-forward four times the width.
    fn compact(num_layers: usize, width: usize) -> Self {
        Self {
            vocab_size: 30_522,
            max_length: 512,
            type_vocab_size: 2,
            num_layers,
            num_heads: width / 64,
            width,
            hidden: 4 * width,
            activation: Activation::Gelu,
            dropout: 0.1,
            classifier_dropout: None,
            layer_norm_eps: 1e-12,
            pad_token: 0,
            head: Head::Classifier,
            pooling: Pooling::Mean,
            normalize: true,
            num_classes: 2,
        }
    }

    /// Small enough for tests: 5,475 parameters in two layers, three classes, no dropout.
    pub fn tiny() -> Self {
        Self {
            vocab_size: 32,
            max_length: 8,
            num_heads: 2,
            hidden: 32,
            dropout: 0.0,
            num_classes: 3,
            ..Self::compact(2, 16)
        }
    }

    /// Numbers for one sentence: logits, or an embedding's components.
    pub fn num_outputs(&self) -> usize {
        match self.head {
            Head::Classifier => self.num_classes,
            Head::SentenceEmbedding => self.width,
        }
    }

    /// Checks every value, so that [`init`](Self::init) cannot fail.
    ///
    /// # Errors
    /// A message that names the key, what is allowed and what was given.
    pub fn validate(&self) -> Result<(), String> {
        for (key, value, allowed) in [
            ("vocab_size", self.vocab_size, SIZES),
            ("max_length", self.max_length, SIZES),
            ("type_vocab_size", self.type_vocab_size, SIZES),
            ("num_layers", self.num_layers, LAYERS),
            ("width", self.width, SIZES),
            ("hidden", self.hidden, SIZES),
            ("num_classes", self.num_classes, CLASSES),
        ] {
            range::count(key, value, allowed)?;
        }
        range::divisor("num_heads", self.num_heads, ("width", self.width))?;
        range::probability("dropout", self.dropout)?;
        if let Some(dropout) = self.classifier_dropout {
            range::probability("classifier_dropout", dropout)?;
        }
        range::epsilon("layer_norm_eps", self.layer_norm_eps)?;
        range::token("pad_token", self.pad_token, self.vocab_size)
    }

    /// A model with fresh weights: normal with deviation 0.02, biases zero, norms the identity.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the values.
    pub fn init(&self, device: &Device) -> Bert {
        if let Err(fault) = self.validate() {
            panic!("{fault}");
        }
        let width = self.width;
        let dense = |inputs, outputs| init_linear(inputs, outputs, INITIAL_STD, true, device);
        let embedding = |rows| init_embedding(rows, width, device);
        let is_classifier = self.head == Head::Classifier;
        Bert {
            embeddings: Embeddings {
                word_embeddings: embedding(self.vocab_size),
                position_embeddings: embedding(self.max_length),
                token_type_embeddings: embedding(self.type_vocab_size),
                layer_norm: self.init_norm(device),
                dropout: self.init_dropout(),
                epsilon: self.layer_norm_eps,
            },
            layer: (0..self.num_layers)
                .map(|_| Layer {
                    attention: Attention {
                        query: dense(width, width),
                        key: dense(width, width),
                        value: dense(width, width),
                        dropout: self.init_dropout(),
                        num_heads: self.num_heads,
                        output: self.init_output(width, device),
                    },
                    intermediate: dense(width, self.hidden),
                    activation: self.activation,
                    output: self.init_output(self.hidden, device),
                })
                .collect(),
            pooler: is_classifier.then(|| dense(width, width)),
            dropout: DropoutConfig::new(self.classifier_dropout.unwrap_or(self.dropout)).init(),
            classifier: is_classifier.then(|| dense(width, self.num_classes)),
            pooling: self.pooling,
            normalize: self.normalize,
            pad_token: self.pad_token,
        }
    }

    fn init_output(&self, inputs: usize, device: &Device) -> Output {
        Output {
            dense: init_linear(inputs, self.width, INITIAL_STD, true, device),
            layer_norm: self.init_norm(device),
            dropout: self.init_dropout(),
            epsilon: self.layer_norm_eps,
        }
    }

    fn init_norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.width)
            .with_epsilon(self.layer_norm_eps)
            .init(device)
    }

    fn init_dropout(&self) -> Dropout {
        DropoutConfig::new(self.dropout).init()
    }

    /// What Hugging Face calls a tensor of ours: in `BertForSequenceClassification`, where all but
    /// the classifier lies below `bert.`, or in `BertModel` for a sentence encoder.
    pub fn origin_name(&self, ours: &str) -> String {
        const RENAMED: [(&str, &str); 7] = [
            ("layer.", "encoder.layer."),
            ("query.", "self.query."),
            ("key.", "self.key."),
            ("value.", "self.value."),
            ("intermediate.", "intermediate.dense."),
            ("pooler.", "pooler.dense."),
            ("layer_norm.", "LayerNorm."),
        ];
        let name = (RENAMED.iter()).fold(ours.to_owned(), |name, (ours, theirs)| {
            name.replace(ours, theirs)
        });
        if self.head == Head::SentenceEmbedding || name.starts_with("classifier.") {
            return name;
        }
        format!("bert.{name}")
    }
}

/// BERT with a classifier, or as a sentence encoder. Made by [`BertConfig::init`].
#[derive(Module, Debug)]
pub struct Bert {
    /// Words, positions and segments.
    pub embeddings: Embeddings,
    /// The layers.
    pub layer: Vec<Layer>,
    /// Where there is a classifier.
    pub pooler: Option<Linear>,
    /// Before what follows.
    pub dropout: Dropout,
    /// None in a sentence encoder.
    pub classifier: Option<Linear>,
    /// Of a sentence encoder.
    #[module(skip)]
    pub pooling: Pooling,
    /// Of a sentence encoder.
    pub normalize: bool,
    /// The token that fills a batch's shorter sentences.
    pub pad_token: usize,
}

impl Bert {
    /// A sentence each: `tokens [b, t]`, each below `vocab_size`, `padding [b, t]` true where padded
    /// -> `[b, n]`, logits of the classes or embeddings of length one.
    ///
    /// What stands at a padded position, and how many follow the sentence, changes nothing.
    ///
    /// # Panics
    /// If `t` exceeds `max_length`, or the shapes differ.
    pub fn forward(&self, tokens: Tensor<2, Int>, padding: Tensor<2, Bool>) -> Tensor<2> {
        self.forward_embedded(self.embed(tokens), padding)
    }

    /// [`forward`](Self::forward) for pairs of sentences: `segments [b, t]`, each below
    /// `type_vocab_size`, says which of the two a token belongs to (`token_type_ids`). Without them
    /// every token belongs to the first.
    ///
    /// # Panics
    /// If `t` exceeds `max_length`, or the shapes differ.
    pub fn forward_segments(
        &self,
        tokens: Tensor<2, Int>,
        segments: Tensor<2, Int>,
        padding: Tensor<2, Bool>,
    ) -> Tensor<2> {
        let x = self.embed(tokens);
        self.head(self.encode(x, Some(segments), &padding, |_| ()), padding)
    }

    /// The vectors that stand for `tokens [b, t]`, without positions and segments -> `[b, t, c]`.
    pub fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.embeddings.word_embeddings.forward(tokens)
    }

    /// [`forward`](Self::forward) from the vectors `x [b, t, c]` of [`embed`](Self::embed) on: what
    /// an output depends on can be asked of vectors, not of token ids.
    ///
    /// # Panics
    /// If `t` exceeds `max_length`, or the shapes differ.
    pub fn forward_embedded(&self, x: Tensor<3>, padding: Tensor<2, Bool>) -> Tensor<2> {
        self.head(self.encode(x, None, &padding, |_| ()), padding)
    }

    /// The positions' vectors `[b, t, c]` as the first layer gets them and after every layer: what
    /// Hugging Face's `output_hidden_states` gives.
    ///
    /// # Panics
    /// If `t` exceeds `max_length`, or the shapes differ.
    pub fn hidden_states(
        &self,
        tokens: Tensor<2, Int>,
        padding: Tensor<2, Bool>,
    ) -> Vec<Tensor<3>> {
        let x = self.embed(tokens);
        let shape = x.dims();
        let mut states = Vec::with_capacity(self.layer.len() + 1);
        self.encode(x, None, &padding, |x| states.push(x.clone().reshape(shape)));
        states
    }

    /// Where `tokens [b, t]` are padding: the mask that [`forward`](Self::forward) takes.
    pub fn padding_mask(&self, tokens: &Tensor<2, Int>) -> Tensor<2, Bool> {
        tokens.clone().equal_elem(self.pad_token as i64)
    }

    /// `x [b, t, c]` -> `[b·t, c]`; `see` is shown what goes into the first layer and what comes out
    /// of each.
    fn encode(
        &self,
        x: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        padding: &Tensor<2, Bool>,
        mut see: impl FnMut(&Tensor<2>),
    ) -> Tensor<2> {
        let [b, t, _] = x.dims();
        assert_shape!(padding, [b, t]);
        let mask = padding.clone().float().mul_scalar(MASKED); // [b, t]
        let mut x = self.embeddings.forward(x, segments);
        see(&x);
        for layer in &self.layer {
            x = layer.forward(x, b, &mask);
            see(&x);
        }
        x
    }

    /// `x [b·t, c]`, `padding [b, t]` -> `[b, n]`
    fn head(&self, x: Tensor<2>, padding: Tensor<2, Bool>) -> Tensor<2> {
        let ([b, t], [_, c]) = (padding.dims(), x.dims());
        let x = x.reshape([b, t, c]);
        let (Some(pooler), Some(classifier)) = (&self.pooler, &self.classifier) else {
            let pooled = self.pooling.forward(x, padding);
            return match self.normalize {
                true => unit(pooled),
                false => pooled,
            };
        };
        let first = x.narrow(1, 0, 1).reshape([b, c]);
        let pooled = linear(pooler, first, NOTHING).tanh();
        linear(classifier, dropout(&self.dropout, pooled), NOTHING)
    }
}

/// Every row of `x [b, c]` scaled to length one.
fn unit(x: Tensor<2>) -> Tensor<2> {
    // The bound is PyTorch's for a length (1e-12), squared, so that zeros stay zeros: a root has no
    // gradient at zero.
    let length = x.clone().square().sum_dim(1).clamp_min(1e-24).sqrt(); // [b, 1]
    x / length
}

/// Words, positions and segments (figure 2 of the paper), and a norm.
#[derive(Module, Debug)]
pub struct Embeddings {
    /// Vectors of the tokens.
    pub word_embeddings: Embedding,
    /// Vectors of the positions.
    pub position_embeddings: Embedding,
    /// Vectors of the segments.
    pub token_type_embeddings: Embedding,
    /// Normalises the sum.
    pub layer_norm: LayerNorm,
    /// Before what follows.
    pub dropout: Dropout,
    /// The norm's.
    pub epsilon: f64,
}

impl Embeddings {
    /// The words `x [b, t, c]` and their `segments [b, t]` -> `[b·t, c]`
    fn forward(&self, x: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        let [b, t, _] = x.dims();
        let [max_length, _] = self.position_embeddings.weight.dims();
        assert!(t <= max_length, "at most {max_length} tokens, got {t}");
        let segments = match segments {
            Some(segments) => {
                assert_shape!(segments, [b, t]);
                self.token_type_embeddings.forward(segments) // [b, t, c]
            }
            None => {
                let first = self.token_type_embeddings.weight.val().narrow(0, 0, 1);
                first.unsqueeze() // [1, 1, c]
            }
        };
        let positions = self.position_embeddings.weight.val().narrow(0, 0, t); // [t, c]
        let x = x + (segments + positions.unsqueeze());
        let x = layer_norm(&self.layer_norm, self.epsilon, x.flatten(0, 1)); // [b·t, c]
        dropout(&self.dropout, x)
    }
}

/// Self-attention and a feed-forward, each followed by [`Output`].
#[derive(Module, Debug)]
pub struct Layer {
    /// Mixes positions.
    pub attention: Attention,
    /// Into the hidden layer of the feed-forward.
    pub intermediate: Linear,
    /// Behind it.
    #[module(skip)]
    pub activation: Activation,
    /// Out of the sub-layer.
    pub output: Output,
}

impl Layer {
    /// `x [b·t, c]`, additive `mask [b, t]` of the positions attended to -> `[b·t, c]`
    fn forward(&self, x: Tensor<2>, batch: usize, mask: &Tensor<2>) -> Tensor<2> {
        let x = self.attention.forward(x, batch, mask);
        let hidden = self.activation.after(&self.intermediate, x.clone()); // [b·t, f]
        self.output.forward(hidden, x)
    }
}

/// Multi-head self-attention (Vaswani et al. 2017, section 3.2.2).
#[derive(Module, Debug)]
pub struct Attention {
    /// Makes queries.
    pub query: Linear,
    /// Makes keys.
    pub key: Linear,
    /// Makes values.
    pub value: Linear,
    /// Before what follows.
    pub dropout: Dropout,
    /// Heads.
    pub num_heads: usize,
    /// Out of the sub-layer.
    pub output: Output,
}

impl Attention {
    fn forward(&self, x: Tensor<2>, batch: usize, mask: &Tensor<2>) -> Tensor<2> {
        let qkv =
            [&self.query, &self.key, &self.value].map(|layer| linear(layer, x.clone(), NOTHING));
        let how = Attend {
            batch,
            heads: self.num_heads,
            causal: false,
        };
        // Side by side they go through attention in one pass, which saves more than this costs.
        let qkv = Tensor::cat(qkv.into(), 1); // [b·t, 3c]
        let mixed = self_attention(qkv, Some(mask.clone()), &self.dropout, how);
        self.output.forward(mixed, x)
    }
}

/// The end of a sub-layer: a projection, the residual and the norm of both.
#[derive(Module, Debug)]
pub struct Output {
    /// The projection.
    pub dense: Linear,
    /// Normalises the sum.
    pub layer_norm: LayerNorm,
    /// Before what follows.
    pub dropout: Dropout,
    /// The norm's.
    pub epsilon: f64,
}

impl Output {
    /// `x [b·t, i]`, `residual [b·t, c]` -> `[b·t, c]`
    fn forward(&self, x: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        let x = dropout(&self.dropout, linear(&self.dense, x, NOTHING));
        layer_norm(&self.layer_norm, self.epsilon, x + residual)
    }
}

#[cfg(test)]
mod tests;
