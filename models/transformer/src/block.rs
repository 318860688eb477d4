//! The pre-norm transformer block of GPT-2 (Radford et al. 2019, section 2.3), for decoder and
//! encoder alike: only the mask tells them apart.

// b batch, t positions, s positions attended to (cached and new), h heads, d head width,
// c = h·d width, f hidden width of the feed-forward.

use burn::module::Module;
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, LayerNorm, LayerNormConfig,
    Linear,
};
use burn::tensor::{Device, Tensor};
use zoo_kernels::{
    Activation, Attend, attention, causal_mask, dropout, layer_norm, linear, self_attention,
};

use crate::cache::Seen;

/// Standard deviation of every initial weight matrix in GPT-2 and BERT.
pub(crate) const INITIAL_STD: f64 = 0.02;

/// Burn's default, and PyTorch's.
pub(crate) const EPSILON: f64 = 1e-5;

/// Which positions a position attends to.
#[derive(Clone, Copy)]
pub(crate) enum Sees<'a> {
    /// Itself and those before it.
    Past,
    /// All, with an additive mask `[b, t]` of the positions attended to.
    All(&'a Tensor<2>),
}

/// What a [`Block`] is made from.
pub(crate) struct BlockConfig {
    pub(crate) width: usize,
    pub(crate) num_heads: usize,
    pub(crate) hidden: usize,
    /// Between the two layers of the feed-forward.
    pub(crate) activation: Activation,
    pub(crate) dropout: f64,
    pub(crate) bias: bool,
    /// Blocks in the whole model, for the scale of the residual projections.
    pub(crate) num_layers: usize,
}

/// `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.
#[derive(Module, Debug)]
pub struct Block {
    /// Before attention.
    pub ln_1: LayerNorm,
    /// Mixes positions.
    pub attn: SelfAttention,
    /// Before the feed-forward.
    pub ln_2: LayerNorm,
    /// At every position alike.
    pub mlp: FeedForward,
}

impl BlockConfig {
    pub(crate) fn init(&self, device: &Device) -> Block {
        let Self {
            width,
            hidden,
            bias,
            ..
        } = *self;
        // "We scale the weights of residual layers at initialization by a factor of 1/√N where N
        // is the number of residual layers" (section 2.3); a block has two.
        let residual_std = INITIAL_STD / (2.0 * self.num_layers as f64).sqrt();
        let dropout = DropoutConfig::new(self.dropout).init();
        Block {
            ln_1: init_norm(width, bias, device),
            attn: SelfAttention {
                c_attn: init_linear(width, 3 * width, INITIAL_STD, bias, device),
                c_proj: init_linear(width, width, residual_std, bias, device),
                attn_dropout: dropout.clone(),
                resid_dropout: dropout.clone(),
                num_heads: self.num_heads,
            },
            ln_2: init_norm(width, bias, device),
            mlp: FeedForward {
                c_fc: init_linear(width, hidden, INITIAL_STD, bias, device),
                c_proj: init_linear(hidden, width, residual_std, bias, device),
                activation: self.activation,
                dropout,
            },
        }
    }
}

impl Block {
    /// `x [b·t, c]` -> `[b·t, c]`.
    ///
    /// With `seen`, the new positions also attend to those seen earlier, and join them.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        batch: usize,
        sees: Sees<'_>,
        seen: Option<&mut Seen>,
    ) -> Tensor<2> {
        let x = x.clone() + self.attn.forward(norm(&self.ln_1, x), batch, sees, seen);
        x.clone() + self.mlp.forward(norm(&self.ln_2, x))
    }
}

/// Multi-head self-attention (Vaswani et al. 2017, section 3.2.2).
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Query, key and value in one product, `[c, 3c]`, in this order.
    pub c_attn: Linear,
    /// Back into the residual stream.
    pub c_proj: Linear,
    /// Of attention weights.
    pub attn_dropout: Dropout,
    /// Of what is added to the residual stream.
    pub resid_dropout: Dropout,
    /// Heads.
    pub num_heads: usize,
}

impl SelfAttention {
    fn forward(
        &self,
        x: Tensor<2>,
        batch: usize,
        sees: Sees<'_>,
        seen: Option<&mut Seen>,
    ) -> Tensor<2> {
        let qkv = linear(&self.c_attn, x, Activation::None); // [b·t, 3c]
        let mixed = match seen {
            None => {
                let (causal, mask) = match sees {
                    Sees::Past => (true, None),
                    Sees::All(mask) => (false, Some(mask.clone())),
                };
                let how = Attend {
                    batch,
                    heads: self.num_heads,
                    causal,
                };
                self_attention(qkv, mask, &self.attn_dropout, how)
            }
            Some(seen) => self.attend_to_seen(qkv, batch, seen),
        };
        let x = linear(&self.c_proj, mixed, Activation::None);
        dropout(&self.resid_dropout, x)
    }

    /// New positions also attend to those seen earlier, and join them.
    fn attend_to_seen(&self, qkv: Tensor<2>, b: usize, seen: &mut Seen) -> Tensor<2> {
        let [rows, width] = qkv.dims();
        let (t, h) = (rows / b, self.num_heads);
        let qkv = qkv.reshape([b, t, 3 * h, width / (3 * h)]).swap_dims(1, 2); // [b, 3h, t, d]
        let [q, k, v] = [0, 1, 2].map(|part| qkv.clone().narrow(1, part * h, h));
        let (k, v) = seen.extend(k, v); // [b, h, s, d]
        let mask = causal_mask(&q, k.dims()[2] - t);
        attention([q, k, v], mask, &self.attn_dropout)
    }
}

/// Two layers with an activation between, at every position alike.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// Into the hidden layer.
    pub c_fc: Linear,
    /// Back into the residual stream.
    pub c_proj: Linear,
    /// Between the two layers.
    #[module(skip)]
    pub activation: Activation,
    /// Of what is added to the residual stream.
    pub dropout: Dropout,
}

impl FeedForward {
    /// `[b·t, c]` -> `[b·t, f]` -> `[b·t, c]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = linear(&self.c_fc, x, self.activation);
        dropout(&self.dropout, linear(&self.c_proj, x, Activation::None))
    }
}

pub(crate) fn init_norm(width: usize, bias: bool, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width)
        .with_bias(bias)
        .with_epsilon(EPSILON)
        .init(device)
}

/// `x [b·t, c]` -> `[b·t, c]`
pub(crate) fn norm(layer: &LayerNorm, x: Tensor<2>) -> Tensor<2> {
    layer_norm(layer, EPSILON, x)
}

/// A linear layer with normal weights and zero biases. (`LinearConfig` would draw the biases from
/// the distribution of the weights.)
pub(crate) fn init_linear(
    inputs: usize,
    outputs: usize,
    std: f64,
    bias: bool,
    device: &Device,
) -> Linear {
    Linear {
        weight: normal(std).init([inputs, outputs], device),
        bias: bias.then(|| Initializer::Zeros.init([outputs], device)),
    }
}

/// The vectors of so many tokens, positions or segments.
pub(crate) fn init_embedding(rows: usize, width: usize, device: &Device) -> Embedding {
    EmbeddingConfig::new(rows, width)
        .with_initializer(normal(INITIAL_STD))
        .init(device)
}

/// The normal distribution around zero.
pub(crate) fn normal(std: f64) -> Initializer {
    Initializer::Normal { mean: 0.0, std }
}

/// What tests look at inside a block.
#[cfg(test)]
impl Block {
    pub(crate) fn up_projection(&self) -> &burn::module::Param<Tensor<2>> {
        &self.mlp.c_fc.weight
    }

    pub(crate) fn residual_projection(&self) -> &burn::module::Param<Tensor<2>> {
        &self.mlp.c_proj.weight
    }

    pub(crate) fn biases(&self) -> Vec<Tensor<1>> {
        let Self { attn, mlp, .. } = self;
        [&attn.c_attn, &attn.c_proj, &mlp.c_fc, &mlp.c_proj]
            .into_iter()
            .filter_map(|linear| linear.bias.as_ref().map(|bias| bias.val()))
            .collect()
    }
}
