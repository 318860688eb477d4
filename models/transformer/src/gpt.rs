//! GPT: a decoder that predicts the next token (Radford et al. 2019, "Language Models are
//! Unsupervised Multitask Learners"): pre-norm, causal, learned positions, GELU.
//!
//! Tensors are named and laid out as in the published GPT-2 (`wte`, `h.0.attn.c_attn`, `ln_f`).
//! Departures: exact GELU instead of its tanh approximation; a free output layer and a model
//! without biases (nanoGPT's `bias=False`) on request.

use std::{error, fmt};

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, LayerNorm, Linear};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use zoo_kernels::{Activation, linear};

use crate::block::{
    Block, BlockConfig, INITIAL_STD, Seen, Sees, init_linear, init_norm, norm, normal,
};
use crate::check;

// b batch, t new positions, s positions attended to (cached and new), c width.

/// What a [`Gpt`] is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GptConfig {
    /// Number of different tokens.
    pub vocab_size: usize,
    /// Most positions the model can see at once.
    pub context: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Attention heads a block; divides `width`.
    pub num_heads: usize,
    /// Width of the residual stream; the feed-forward is four times as wide.
    pub width: usize,
    /// Probability of zeroing an embedding, an attention weight or a block's output, 0..1.
    pub dropout: f64,
    /// Where the output layer's weights come from.
    pub output: Output,
    /// Whether linear layers and norms add a bias. GPT-2 does; nanoGPT's default does not. A free
    /// output layer is one of these linear layers; a tied one has no bias, as in GPT-2.
    pub bias: bool,
}

/// Where the output layer's weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// From the token embedding: one parameter used twice (Press and Wolf 2017), as in GPT-2.
    Tied,
    /// From a linear layer of its own, with a bias where the others have one.
    Free,
}

/// Every named configuration: the table behind lists and sweeps.
pub fn presets() -> Vec<(&'static str, GptConfig)> {
    vec![("nano", GptConfig::nano()), ("sums", GptConfig::sums())]
}

impl GptConfig {
    /// nanoGPT's recipe for character-level Shakespeare on a CPU (its README, "I only have a
    /// macbook"): 804,096 parameters, which nanoGPT reports as 0.80M, leaving out positions.
    pub fn nano() -> Self {
        Self {
            vocab_size: 65,
            context: 64,
            num_layers: 4,
            num_heads: 4,
            width: 128,
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

    /// Checks every value, so that [`init`](Self::init) cannot fail.
    ///
    /// # Errors
    /// A message that names the key, what is allowed and what was given.
    pub fn validate(&self) -> Result<(), String> {
        check::at_least_one("vocab_size", self.vocab_size)?;
        check::at_least_one("context", self.context)?;
        check::at_least_one("num_layers", self.num_layers)?;
        check::heads_divide_width(self.num_heads, self.width)?;
        check::dropout(self.dropout)
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
            dropout: self.dropout,
            bias: self.bias,
            num_layers: self.num_layers,
        };
        let embedding = |rows| {
            EmbeddingConfig::new(rows, self.width)
                .with_initializer(normal(INITIAL_STD))
                .init(device)
        };
        Gpt {
            wte: embedding(self.vocab_size),
            wpe: embedding(self.context),
            drop: DropoutConfig::new(self.dropout).init(),
            h: (0..self.num_layers).map(|_| block.init(device)).collect(),
            ln_f: init_norm(self.width, self.bias, device),
            lm_head: match self.output {
                Output::Tied => None,
                Output::Free => {
                    let (inputs, outputs) = (self.width, self.vocab_size);
                    Some(init_linear(inputs, outputs, INITIAL_STD, self.bias, device))
                }
            },
        }
    }
}

/// A GPT-style decoder. Made by [`GptConfig::init`].
#[derive(Module, Debug)]
pub struct Gpt {
    wte: Embedding,
    wpe: Embedding,
    drop: Dropout,
    h: Vec<Block>,
    ln_f: LayerNorm,
    /// None where the output is tied: then `wte` is used a second time.
    lm_head: Option<Linear>,
}

impl Gpt {
    /// `tokens [b, t]`, each below `vocab_size` -> `logits [b, t, vocab]` of each next token.
    ///
    /// # Panics
    /// If `t` exceeds the context.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let ([_, t], context) = (tokens.dims(), self.context());
        assert!(t <= context, "a context of {context} positions, got {t}");
        self.forward_embedded(self.embed(tokens))
    }

    /// The vectors that stand for `tokens [b, t]`, without their positions -> `[b, t, c]`.
    pub fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.wte.forward(tokens)
    }

    /// [`forward`](Self::forward) from the vectors `x [b, t, c]` of [`embed`](Self::embed) on: what
    /// an output depends on can be asked of vectors, not of token ids.
    ///
    /// # Panics
    /// If `t` exceeds the context.
    pub fn forward_embedded(&self, x: Tensor<3>) -> Tensor<3> {
        self.logits(x, None)
    }

    /// An empty cache for [`forward_cached`](Self::forward_cached).
    pub fn cache(&self) -> Cache {
        Cache {
            layers: vec![Seen::default(); self.h.len()],
            len: 0,
        }
    }

    /// Continues the sequences in `cache` with `tokens [b, t]` -> `logits [b, t, vocab]`, equal to
    /// the last `t` rows of a full pass. The first call sets `b` (a prompt may be one chunk).
    ///
    /// Meant for sampling: on an autodiff device the cache would keep the graph of every step.
    ///
    /// # Errors
    /// [`ContextFull`] if the tokens do not fit, with the cache as it was. Positions are learned
    /// and absolute, so old ones cannot just be dropped: [clear](Cache::clear) the cache and pass
    /// the last tokens again, as many as shall be remembered.
    ///
    /// # Panics
    /// If `b` differs from that of the first call.
    pub fn forward_cached(
        &self,
        tokens: Tensor<2, Int>,
        cache: &mut Cache,
    ) -> Result<Tensor<3>, ContextFull> {
        let ([_, new], context) = (tokens.dims(), self.context());
        if cache.len + new > context {
            let cached = cache.len;
            return Err(ContextFull {
                context,
                cached,
                new,
            });
        }
        let logits = self.logits(self.embed(tokens), Some(cache));
        cache.len += new;
        Ok(logits)
    }

    /// Most positions the model can see at once.
    pub fn context(&self) -> usize {
        self.wpe.weight.dims()[0]
    }

    fn logits(&self, x: Tensor<3>, mut cache: Option<&mut Cache>) -> Tensor<3> {
        let [b, t, _] = x.dims();
        let past = cache.as_ref().map_or(0, |cache| cache.len);

        let positions = self.wpe.weight.val().narrow(0, past, t); // [t, c]
        let x = x + positions.unsqueeze(); // [b, t, c]
        let mut x = self.drop.forward(x).flatten(0, 1); // [b·t, c]
        for (layer, block) in self.h.iter().enumerate() {
            let seen = (cache.as_deref_mut()).map(|cache| &mut cache.layers[layer]);
            x = block.forward(x, b, Sees::Past, seen);
        }
        let x = norm(&self.ln_f, x);
        let logits = match &self.lm_head {
            Some(head) => linear(head, x, Activation::None),
            None => x.matmul(self.wte.weight.val().transpose()),
        };
        let [_, vocab] = logits.dims();
        logits.reshape([b, t, vocab])
    }
}

/// The keys and values of the positions seen so far. Made by [`Gpt::cache`].
#[derive(Clone, Debug)]
pub struct Cache {
    layers: Vec<Seen>,
    len: usize,
}

impl Cache {
    /// Positions held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no position is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets every position, so that the next call starts new sequences.
    pub fn clear(&mut self) {
        self.layers.fill(Seen::default());
        self.len = 0;
    }
}

/// The cache has no room for the new tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextFull {
    /// Most positions the model can see at once.
    pub context: usize,
    /// Positions in the cache.
    pub cached: usize,
    /// Positions that were to follow.
    pub new: usize,
}

impl fmt::Display for ContextFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            context,
            cached,
            new,
        } = self;
        write!(
            f,
            "a context of {context} positions cannot take {new} after {cached}; \
             clear the cache and pass the last tokens again"
        )
    }
}

impl error::Error for ContextFull {}

#[cfg(test)]
mod tests;
