//! A BERT-style encoder that classifies a sentence (Devlin et al. 2019), trained from scratch.
//! BERT as published is [`bert`](crate::bert).
//!
//! Departures, all for training from scratch on little data:
//! - norms come before each sub-layer and after the last, instead of after each: that trains
//!   without warm-up, where BERT's order needs it (Xiong et al. 2020);
//! - no segment embeddings, for there is one sentence, and no norm after the embeddings, for
//!   the first block begins with one;
//! - the pooled vector goes straight to the classifier, without BERT's tanh layer, which is
//!   there to be pretrained;
//! - initial weights are plain normal with deviation 0.02, where BERT truncates, and those of
//!   residual projections are scaled by 1/√(2·layers) as in GPT-2.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, LayerNorm, Linear};
use burn::tensor::{Bool, Device, Int, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

use zoo_kernels::{Activation, MASKED, dropout, linear};

use crate::block::{BlockConfig, INITIAL_STD, Sees, init_embedding, init_linear, init_norm, norm};
use crate::range::{self, LAYERS, SIZES};

pub use crate::block::{Block, FeedForward, SelfAttention};
pub use crate::pooling::Pooling;

// b batch, t positions, c width, n classes.

/// What an [`Encoder`] is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Number of different tokens, padding included.
    pub vocab_size: usize,
    /// Most tokens in a sentence.
    pub max_length: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Attention heads a block; divides `width`.
    pub num_heads: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Width inside the feed-forward; four times `width` in BERT.
    pub hidden: usize,
    /// Probability of zeroing an embedding, an attention weight, a block's output or a pooled
    /// value, 0..1.
    pub dropout: f64,
    /// How a sentence's positions become one vector.
    pub pooling: Pooling,
    /// Number of classes.
    pub num_classes: usize,
    /// The token that fills a batch's shorter sentences; below `vocab_size`.
    pub pad_token: usize,
}

impl EncoderConfig {
    /// Every named configuration: the table behind lists and sweeps.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![("prenorm_tiny", Self::prenorm_tiny())]
    }

    /// The size of BERT-Tiny (Turc et al. 2019, table 1: 2 layers, width 128, so 2 heads of 64) with
    /// BERT's vocabulary and two classes: 4,369,410 parameters, 3.9M of them the vocabulary's.
    /// BERT-Tiny itself is [`BertConfig::bert_tiny`](crate::bert::BertConfig::bert_tiny).
    pub fn prenorm_tiny() -> Self {
        Self {
            vocab_size: 30_522,
            max_length: 512,
            num_layers: 2,
            num_heads: 2,
            width: 128,
            hidden: 512,
            dropout: 0.1,
            pooling: Pooling::First,
            num_classes: 2,
            pad_token: 0,
        }
    }

    /// Small enough for tests: two layers of width 16, three classes.
    pub fn tiny() -> Self {
        Self {
            vocab_size: 16,
            max_length: 8,
            width: 16,
            hidden: 24,
            dropout: 0.0,
            pooling: Pooling::Mean,
            num_classes: 3,
            ..Self::prenorm_tiny()
        }
    }

    /// Checks every value, so that [`init`](Self::init) cannot fail.
    ///
    /// # Errors
    /// A message that names the key, what is allowed and what was given.
    pub fn validate(&self) -> Result<(), String> {
        range::count("vocab_size", self.vocab_size, SIZES)?;
        range::count("max_length", self.max_length, SIZES)?;
        range::count("num_layers", self.num_layers, LAYERS)?;
        range::count("width", self.width, SIZES)?;
        range::divisor("num_heads", self.num_heads, ("width", self.width))?;
        range::count("hidden", self.hidden, SIZES)?;
        range::probability("dropout", self.dropout)?;
        range::count("num_classes", self.num_classes, SIZES)?;
        range::token("pad_token", self.pad_token, self.vocab_size)
    }

    /// A model with fresh weights: normal with deviation 0.02 (see the [module](self)), biases
    /// zero.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the values.
    pub fn init(&self, device: &Device) -> Encoder {
        if let Err(fault) = self.validate() {
            panic!("{fault}");
        }
        let block = BlockConfig {
            width: self.width,
            num_heads: self.num_heads,
            hidden: self.hidden,
            activation: Activation::Gelu,
            dropout: self.dropout,
            bias: true,
            num_layers: self.num_layers,
        };
        let embedding = |rows| init_embedding(rows, self.width, device);
        Encoder {
            wte: embedding(self.vocab_size),
            wpe: embedding(self.max_length),
            drop: DropoutConfig::new(self.dropout).init(),
            h: (0..self.num_layers).map(|_| block.init(device)).collect(),
            ln_f: init_norm(self.width, true, device),
            classifier: init_linear(self.width, self.num_classes, INITIAL_STD, true, device),
            pooling: self.pooling,
            pad_token: self.pad_token,
        }
    }
}

/// A BERT-style encoder with a classifier on top. Made by [`EncoderConfig::init`].
#[derive(Module, Debug)]
pub struct Encoder {
    /// Vectors of the tokens.
    pub wte: Embedding,
    /// Vectors of the positions.
    pub wpe: Embedding,
    /// After both, and before the classifier.
    pub drop: Dropout,
    /// The blocks.
    pub h: Vec<Block>,
    /// After the last block.
    pub ln_f: LayerNorm,
    /// The output layer.
    pub classifier: Linear,
    /// How a sentence's positions become one vector.
    #[module(skip)]
    pub pooling: Pooling,
    /// The token that fills a batch's shorter sentences.
    pub pad_token: usize,
}

impl Encoder {
    /// `tokens [b, t]`, each below `vocab_size`, `padding [b, t]` true where padded -> `logits
    /// [b, n]`.
    ///
    /// What stands at a padded position, and how many follow the sentence, changes nothing. A
    /// sentence of padding alone gets finite logits without meaning.
    ///
    /// # Panics
    /// If `t` exceeds `max_length`, or the shapes differ.
    pub fn forward(&self, tokens: Tensor<2, Int>, padding: Tensor<2, Bool>) -> Tensor<2> {
        self.forward_embedded(self.embed(tokens), padding)
    }

    /// The vectors that stand for `tokens [b, t]`, without their positions -> `[b, t, c]`.
    pub fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.wte.forward(tokens)
    }

    /// [`forward`](Self::forward) from the vectors `x [b, t, c]` of [`embed`](Self::embed) on: what
    /// an output depends on can be asked of vectors, not of token ids.
    ///
    /// # Panics
    /// If `t` exceeds `max_length`, or the shapes differ.
    pub fn forward_embedded(&self, x: Tensor<3>, padding: Tensor<2, Bool>) -> Tensor<2> {
        let shape = x.dims();
        let x = self.blocks(x, &padding, |_| ()).reshape(shape);
        let x = self.pooling.forward(x, padding);
        linear(&self.classifier, dropout(&self.drop, x), Activation::None)
    }

    /// What `tokens [b, t]` become on their way, `[b, t, c]` each: the embedding, then the output of
    /// every block, the last one normed.
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
        let mut states = Vec::with_capacity(self.h.len() + 1);
        let last = self.blocks(x, &padding, |x| states.push(x.clone().reshape(shape)));
        states.pop();
        states.push(last.reshape(shape));
        states
    }

    /// `x [b, t, c]` of [`embed`](Self::embed) -> `[b·t, c]`, normed. `see` is shown what enters the
    /// first block and what leaves each.
    fn blocks(
        &self,
        x: Tensor<3>,
        padding: &Tensor<2, Bool>,
        mut see: impl FnMut(&Tensor<2>),
    ) -> Tensor<2> {
        let [b, t, _] = x.dims();
        assert_shape!(padding, [b, t]);
        let [max_length, _] = self.wpe.weight.dims();
        assert!(t <= max_length, "at most {max_length} tokens, got {t}");
        let mask = padding.clone().float().mul_scalar(MASKED); // [b, t]

        let positions = self.wpe.weight.val().narrow(0, 0, t); // [t, c]
        let x = x + positions.unsqueeze(); // [b, t, c]
        let mut x = dropout(&self.drop, x).flatten(0, 1); // [b·t, c]
        see(&x);
        for block in &self.h {
            x = block.forward(x, b, Sees::All(&mask), None);
            see(&x);
        }
        norm(&self.ln_f, x)
    }

    /// Where `tokens [b, t]` are padding: the mask that [`forward`](Self::forward) takes.
    pub fn padding_mask(&self, tokens: &Tensor<2, Int>) -> Tensor<2, Bool> {
        tokens.clone().equal_elem(self.pad_token as i64)
    }
}

#[cfg(test)]
mod tests;
