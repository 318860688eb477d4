//! GPT: a decoder that predicts the next token (Radford et al. 2019, "Language Models are
//! Unsupervised Multitask Learners"): pre-norm, causal, learned positions, GELU.
//!
//! Tensors are named and laid out as in the GPT-2 published on Hugging Face (`wte`,
//! `h.0.attn.c_attn`, `ln_f`), whose `config.json` is [`hugging_face`]'s. Departures, on request:
//! exact GELU instead of its approximation by tanh; a free output layer; no biases (nanoGPT's
//! `bias=False`).

pub mod hugging_face;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, LayerNorm, Linear};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use zoo_kernels::Activation;

use crate::block::{BlockConfig, Sees, init_embedding, init_norm, norm};
use crate::decoder::decoder;
use crate::range::{self, LAYERS, SIZES};

pub use crate::block::{Block, FeedForward, SelfAttention};
pub use crate::cache::{Cache, ContextFull};
pub use crate::decoder::Output;

// b batch, t new positions, s positions attended to (cached and new), c width.

/// What a [`Gpt`] is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GptConfig {
    /// Number of different tokens, 1..=16777216.
    pub vocab_size: usize,
    /// Most positions the model can see at once, 1..=16777216.
    pub context: usize,
    /// Blocks, 1..=1024.
    pub num_layers: usize,
    /// Attention heads a block; divides `width`.
    pub num_heads: usize,
    /// Width of the residual stream, 1..=16777216; the feed-forward is four times as wide.
    pub width: usize,
    /// What stands between the two layers of a feed-forward.
    #[serde(default)]
    pub activation: Gelu,
    /// Probability of zeroing an embedding, an attention weight or a block's output, 0..1.
    pub dropout: f64,
    /// Where the output layer's weights come from.
    pub output: Output,
    /// Whether linear layers and norms add a bias. GPT-2 does; nanoGPT's default does not. A free
    /// output layer is one of these linear layers; a tied one has no bias, as in GPT-2.
    pub bias: bool,
}

/// How GELU (Hendrycks and Gimpel 2016) is computed, by Hugging Face's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gelu {
    /// x Φ(x) with the normal distribution Φ. Configurations older than the key mean this one.
    #[default]
    #[serde(rename = "gelu")]
    Exact,
    /// Φ approximated by tanh, as in GPT-2.
    #[serde(rename = "gelu_new")]
    Tanh,
}

/// The ends of names of linear weights that the origin's files hold as `[in, out]`.
pub const CONV1D: &[&str] = &["c_attn.weight", "c_proj.weight", "c_fc.weight"];

/// The origin's copies of other tensors, `(copy, original)`, where the output is
/// [tied](Output::Tied).
pub const TIED: &[(&str, &str)] = &[("lm_head.weight", "transformer.wte.weight")];

/// The ends of names in the origin's files that hold the causal mask, not weights.
pub const IGNORED: &[&str] = &[".attn.bias", ".attn.masked_bias"];

impl GptConfig {
    /// Every named configuration: the table behind lists and sweeps.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("nano", Self::nano()),
            ("sums", Self::sums()),
            ("gpt2", Self::gpt2()),
            ("gpt2-medium", Self::gpt2_medium()),
            ("gpt2-large", Self::gpt2_large()),
            ("gpt2-xl", Self::gpt2_xl()),
        ]
    }

    /// nanoGPT's recipe for character-level Shakespeare on a CPU (its README, "I only have a
    /// macbook"): 804,096 parameters, which nanoGPT reports as 0.80M, leaving out positions.
    pub fn nano() -> Self {
        Self {
            vocab_size: 65,
            context: 64,
            num_layers: 4,
            num_heads: 4,
            width: 128,
            activation: Gelu::Exact,
            dropout: 0.0,
            output: Output::Tied,
            bias: false,
        }
    }

    /// For addition problems of up to three digits (`123+456=9750`, twelve different characters),
    /// in the spirit of minGPT's adder but wider and quicker to learn: 593,792 parameters.
    pub fn sums() -> Self {
        Self {
            vocab_size: 12,
            context: 12,
            num_layers: 3,
            ..Self::nano()
        }
    }

    /// GPT-2, the smallest of table 2: 12 layers, width 768, 124,439,808 parameters (the table's
    /// "117M" is a miscount, as the authors' repository says). Heads are 64 wide in every size.
    pub fn gpt2() -> Self {
        Self::of_table_2(12, 768)
    }

    /// Table 2, second row: 24 layers, width 1024, 354,823,168 parameters.
    pub fn gpt2_medium() -> Self {
        Self::of_table_2(24, 1024)
    }

    /// Table 2, third row: 36 layers, width 1280, 774,030,080 parameters.
    pub fn gpt2_large() -> Self {
        Self::of_table_2(36, 1280)
    }

    /// Table 2, last row: 48 layers, width 1600, 1,557,611,200 parameters.
    pub fn gpt2_xl() -> Self {
        Self::of_table_2(48, 1600)
    }

    fn of_table_2(num_layers: usize, width: usize) -> Self {
        Self {
            vocab_size: 50_257,
            context: 1024,
            num_layers,
            num_heads: width / 64,
            width,
            activation: Gelu::Tanh,
            dropout: 0.1,
            output: Output::Tied,
            bias: true,
        }
    }

    /// Small enough for tests: GPT-2 with two layers of width 16, 6,928 parameters.
    pub fn tiny() -> Self {
        Self {
            vocab_size: 13,
            context: 8,
            num_heads: 2,
            dropout: 0.0,
            ..Self::of_table_2(2, 16)
        }
    }

    /// What Hugging Face's `GPT2LMHeadModel` calls a tensor of ours.
    pub fn origin_name(&self, ours: &str) -> String {
        if ours.starts_with("lm_head.") {
            ours.to_owned()
        } else {
            format!("transformer.{ours}")
        }
    }

    /// Checks every value, so that [`init`](Self::init) cannot fail.
    ///
    /// # Errors
    /// A message that names the key, what is allowed and what was given.
    pub fn validate(&self) -> Result<(), String> {
        range::count("vocab_size", self.vocab_size, SIZES)?;
        range::count("context", self.context, SIZES)?;
        range::count("num_layers", self.num_layers, LAYERS)?;
        range::count("width", self.width, SIZES)?;
        range::divisor("num_heads", self.num_heads, ("width", self.width))?;
        range::probability("dropout", self.dropout)
    }

    /// A model with GPT-2's initial weights: normal with deviation 0.02, the projections back into
    /// the residual stream scaled by 1/√(2·layers) (section 2.3), biases zero.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the values.
    pub fn init(&self, device: &Device) -> Gpt {
        if let Err(fault) = self.validate() {
            panic!("{fault}");
        }
        let block = BlockConfig {
            width: self.width,
            num_heads: self.num_heads,
            hidden: 4 * self.width,
            activation: match self.activation {
                Gelu::Exact => Activation::Gelu,
                Gelu::Tanh => Activation::GeluTanh,
            },
            dropout: self.dropout,
            bias: self.bias,
            num_layers: self.num_layers,
        };
        let embedding = |rows| init_embedding(rows, self.width, device);
        Gpt {
            wte: embedding(self.vocab_size),
            wpe: embedding(self.context),
            drop: DropoutConfig::new(self.dropout).init(),
            h: (0..self.num_layers).map(|_| block.init(device)).collect(),
            ln_f: init_norm(self.width, self.bias, device),
            lm_head: (self.output).init([self.width, self.vocab_size], self.bias, device),
        }
    }
}

/// A GPT-style decoder. Made by [`GptConfig::init`].
#[derive(Module, Debug)]
pub struct Gpt {
    /// Vectors of the tokens.
    pub wte: Embedding,
    /// Vectors of the positions.
    pub wpe: Embedding,
    /// After both.
    pub drop: Dropout,
    /// The blocks.
    pub h: Vec<Block>,
    /// After the last block.
    pub ln_f: LayerNorm,
    /// None where the output is tied: then `wte` is used a second time.
    pub lm_head: Option<Linear>,
}

impl Gpt {
    /// Most positions the model can see at once.
    pub fn context(&self) -> usize {
        self.wpe.weight.dims()[0]
    }

    fn tokens(&self) -> &Embedding {
        &self.wte
    }

    fn layers(&self) -> usize {
        self.h.len()
    }

    /// See [`decoder`].
    fn blocks(
        &self,
        x: Tensor<3>,
        past: usize,
        mut cache: Option<&mut Cache>,
        mut see: impl FnMut(&Tensor<2>),
    ) -> Tensor<2> {
        let [b, t, _] = x.dims();
        let positions = self.wpe.weight.val().narrow(0, past, t); // [t, c]
        let x = x + positions.unsqueeze(); // [b, t, c]
        let mut x = zoo_kernels::dropout(&self.drop, x).flatten(0, 1); // [b·t, c]
        see(&x);
        for (layer, block) in self.h.iter().enumerate() {
            let seen = (cache.as_deref_mut()).map(|cache| cache.layer(layer));
            x = block.forward(x, b, Sees::Past, seen);
            see(&x);
        }
        norm(&self.ln_f, x)
    }
}

decoder!(Gpt);

#[cfg(test)]
mod tests;
