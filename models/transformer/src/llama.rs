//! Llama: a decoder with RMSNorm, rotary positions and SwiGLU (Touvron et al. 2023, "LLaMA: Open and
//! Efficient Foundation Language Models", section 2.2), whose heads may share keys and values (Ainslie
//! et al. 2023, "GQA"; Touvron et al. 2023, "Llama 2", section 2.2).
//!
//! Tensors correspond one to one to those of Hugging Face's `LlamaForCausalLM`, whose `config.json`
//! is [`hugging_face`]'s. As there, and other than in Meta's files, an element of a head turns
//! together with the one half a head further on, not with its neighbour: Meta's weights are the
//! same with rows of the query and key projections in another order.

pub mod hugging_face;
pub mod reference;
mod rope;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, Linear, RmsNorm, RmsNormConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use zoo_kernels::{Activation, Attend, causal_mask, dropout, linear, self_attention, silu};

use self::rope::Angles;
use crate::block::{INITIAL_STD, init_embedding, init_linear};
use crate::cache::{Cache, ContextFull, Seen};
use crate::decoder::decoder;
use crate::range::{self, LAYERS, SIZES};

pub use self::rope::{RopeScaling, frequencies};
pub use crate::decoder::Output;

// b batch, t new positions, s positions attended to (cached and new), h heads of queries, g heads of
// keys and values, d head width, c = h·d width, f hidden width of the feed-forward.

/// What a [`Llama`] is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlamaConfig {
    /// Number of different tokens, 1..=16777216.
    pub vocab_size: usize,
    /// Most positions the model can see at once, 1..=16777216.
    pub context: usize,
    /// Blocks, 1..=1024.
    pub num_layers: usize,
    /// Attention heads a block; divides `width` into even parts.
    pub num_heads: usize,
    /// Heads of keys and values, each shared by `num_heads / num_kv_heads` heads of queries; divides
    /// `num_heads`.
    pub num_kv_heads: usize,
    /// Width of the residual stream, 1..=16777216.
    pub width: usize,
    /// Width inside the feed-forward, 1..=16777216.
    pub hidden: usize,
    /// The slowest pair of a head turns by about one radian in this many positions,
    /// 1..=1e12.
    pub rope_theta: f64,
    /// How the pairs are slowed down for a context longer than that of pre-training.
    #[serde(default)]
    pub rope_scaling: Option<RopeScaling>,
    /// Added to the mean square in every norm, above 0 and at most 1.
    pub norm_epsilon: f64,
    /// Probability of zeroing an attention weight, 0..1.
    pub attention_dropout: f64,
    /// Where the output layer's weights come from; it has no bias either way.
    pub output: Output,
}

/// The origin's copies of other tensors, `(copy, original)`, where the output is
/// [tied](Output::Tied).
pub const TIED: &[(&str, &str)] = &[("lm_head.weight", "model.embed_tokens.weight")];

/// The ends of names in older files of the origin that hold what the configuration says already.
pub const IGNORED: &[&str] = &[".rotary_emb.inv_freq"];

impl LlamaConfig {
    /// Every named configuration: the table behind lists and sweeps.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("stories15M", Self::stories15m()),
            ("stories42M", Self::stories42m()),
            ("stories110M", Self::stories110m()),
            ("SmolLM2-135M", Self::smollm2_135m()),
            ("TinyLlama-1.1B", Self::tinyllama_1_1b()),
        ]
    }

    /// The 15M model of llama2.c (Karpathy 2023, its README's table of models for TinyStories):
    /// 15,191,712 parameters.
    pub fn stories15m() -> Self {
        Self {
            vocab_size: 32_000,
            context: 256,
            num_layers: 6,
            num_heads: 6,
            num_kv_heads: 6,
            width: 288,
            hidden: 768,
            rope_theta: 10_000.0,
            rope_scaling: None,
            norm_epsilon: 1e-5,
            attention_dropout: 0.0,
            output: Output::Tied,
        }
    }

    /// The 42M model of the same table: 41,689,600 parameters.
    pub fn stories42m() -> Self {
        Self {
            context: 1024,
            num_layers: 8,
            num_heads: 8,
            num_kv_heads: 8,
            width: 512,
            hidden: 1376,
            ..Self::stories15m()
        }
    }

    /// The 110M model of the same table: 109,529,856 parameters.
    pub fn stories110m() -> Self {
        Self {
            context: 1024,
            num_layers: 12,
            num_heads: 12,
            num_kv_heads: 12,
            width: 768,
            hidden: 2048,
            ..Self::stories15m()
        }
    }

    /// SmolLM2-135M (Ben Allal et al. 2025, "SmolLM2", and its `config.json`): 134,515,008
    /// parameters, three heads of queries to one of keys and values.
    pub fn smollm2_135m() -> Self {
        Self {
            vocab_size: 49_152,
            context: 8192,
            num_layers: 30,
            num_heads: 9,
            num_kv_heads: 3,
            width: 576,
            hidden: 1536,
            rope_theta: 100_000.0,
            ..Self::stories15m()
        }
    }

    /// TinyLlama-1.1B (Zhang et al. 2024, "TinyLlama", section 2.2): 1,100,048,384 parameters, eight
    /// heads of queries to one of keys and values, a free output.
    pub fn tinyllama_1_1b() -> Self {
        Self {
            context: 2048,
            num_layers: 22,
            num_heads: 32,
            num_kv_heads: 4,
            width: 2048,
            hidden: 5632,
            output: Output::Free,
            ..Self::stories15m()
        }
    }

    /// Small enough for tests: two layers of width 16, four heads of queries to two of keys and
    /// values, a free output: 4,336 parameters.
    pub fn tiny() -> Self {
        Self {
            vocab_size: 13,
            context: 8,
            num_layers: 2,
            num_heads: 4,
            num_kv_heads: 2,
            width: 16,
            hidden: 24,
            output: Output::Free,
            ..Self::stories15m()
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
        range::count("hidden", self.hidden, SIZES)?;
        let (heads, kv_heads) = (self.num_heads, self.num_kv_heads);
        let head_width = self.head_width();
        if !head_width.is_multiple_of(2) {
            return Err(format!(
                "model.num_heads: expected heads of even width, for elements turn in pairs, got \
                 {heads} heads of {head_width}"
            ));
        }
        range::count("num_kv_heads", kv_heads, 1..=heads)?;
        range::divisor("num_kv_heads", kv_heads, ("num_heads", heads))?;
        let is_theta = (1.0..=1e12).contains(&self.rope_theta);
        range::allowed(is_theta, "rope_theta", "1 to 1e12", self.rope_theta)?;
        if let Some(scaling) = &self.rope_scaling {
            scaling.validate()?;
        }
        range::epsilon("norm_epsilon", self.norm_epsilon)?;
        range::probability("attention_dropout", self.attention_dropout)
    }

    /// A model with fresh weights as Hugging Face's code draws them, for the paper does not say:
    /// normal with deviation 0.02, norms the identity.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the values.
    pub fn init(&self, device: &Device) -> Llama {
        if let Err(fault) = self.validate() {
            panic!("{fault}");
        }
        let dense = |inputs, outputs| init_linear(inputs, outputs, INITIAL_STD, false, device);
        let norm = || {
            RmsNormConfig::new(self.width)
                .with_epsilon(self.norm_epsilon)
                .init(device)
        };
        let (width, hidden) = (self.width, self.hidden);
        let kv_width = width / self.num_heads * self.num_kv_heads;
        let block = |_| Block {
            input_layernorm: norm(),
            self_attn: Attention {
                q_proj: dense(width, width),
                k_proj: dense(width, kv_width),
                v_proj: dense(width, kv_width),
                o_proj: dense(width, width),
                dropout: DropoutConfig::new(self.attention_dropout).init(),
                num_heads: self.num_heads,
                num_kv_heads: self.num_kv_heads,
            },
            post_attention_layernorm: norm(),
            mlp: SwiGlu {
                gate_proj: dense(width, hidden),
                up_proj: dense(width, hidden),
                down_proj: dense(hidden, width),
            },
        };
        Llama {
            embed_tokens: init_embedding(self.vocab_size, width, device),
            layers: (0..self.num_layers).map(block).collect(),
            norm: norm(),
            lm_head: (self.output).init([width, self.vocab_size], false, device),
            context: self.context,
            rope_frequencies: frequencies(self.rope_theta, self.head_width(), self.rope_scaling),
        }
    }

    /// Elements of a head.
    pub fn head_width(&self) -> usize {
        self.width / self.num_heads
    }

    /// What Hugging Face's `LlamaForCausalLM` calls a tensor of ours.
    pub fn origin_name(&self, ours: &str) -> String {
        if ours.starts_with("lm_head.") {
            ours.to_owned()
        } else {
            format!("model.{ours}")
        }
    }
}

/// A Llama-style decoder. Made by [`LlamaConfig::init`].
#[derive(Module, Debug)]
pub struct Llama {
    /// Vectors of the tokens.
    pub embed_tokens: Embedding,
    /// The blocks.
    pub layers: Vec<Block>,
    /// After the last block.
    pub norm: RmsNorm,
    /// None where the output is tied: then `embed_tokens` is used a second time.
    pub lm_head: Option<Linear>,
    /// Most positions the model can see at once.
    pub context: usize,
    /// See [`frequencies`].
    #[module(skip)]
    pub rope_frequencies: Vec<f32>,
}

impl Llama {
    /// Most positions the model can see at once.
    pub fn context(&self) -> usize {
        self.context
    }

    fn tokens(&self) -> &Embedding {
        &self.embed_tokens
    }

    fn layers(&self) -> usize {
        self.layers.len()
    }

    /// See [`decoder`].
    fn blocks(
        &self,
        x: Tensor<3>,
        past: usize,
        mut cache: Option<&mut Cache>,
        mut see: impl FnMut(&Tensor<2>),
    ) -> Tensor<2> {
        let [b, ..] = x.dims();
        let angles = Angles::new(&self.rope_frequencies, past, &x);
        let mut x = x.flatten(0, 1); // [b·t, c]
        see(&x);
        for (layer, block) in self.layers.iter().enumerate() {
            let seen = (cache.as_deref_mut()).map(|cache| cache.layer(layer));
            x = block.forward(x, b, &angles, seen);
            see(&x);
        }
        rms_norm(&self.norm, x)
    }
}

decoder!(Llama);

/// `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.
#[derive(Module, Debug)]
pub struct Block {
    /// Before attention.
    pub input_layernorm: RmsNorm,
    /// Mixes positions.
    pub self_attn: Attention,
    /// Before the feed-forward.
    pub post_attention_layernorm: RmsNorm,
    /// At every position alike.
    pub mlp: SwiGlu,
}

impl Block {
    /// `x [b·t, c]` -> `[b·t, c]`.
    ///
    /// With `seen`, the new positions also attend to those seen earlier, and join them.
    fn forward(
        &self,
        x: Tensor<2>,
        batch: usize,
        angles: &Angles,
        seen: Option<&mut Seen>,
    ) -> Tensor<2> {
        let normed = rms_norm(&self.input_layernorm, x.clone());
        let x = x + self.self_attn.forward(normed, batch, angles, seen);
        let normed = rms_norm(&self.post_attention_layernorm, x.clone());
        x + self.mlp.forward(normed)
    }
}

/// Causal self-attention whose heads share keys and values in groups (Ainslie et al. 2023, section
/// 2.2).
#[derive(Module, Debug)]
pub struct Attention {
    /// Makes queries.
    pub q_proj: Linear,
    /// Makes keys.
    pub k_proj: Linear,
    /// Makes values.
    pub v_proj: Linear,
    /// Back into the residual stream.
    pub o_proj: Linear,
    /// Of attention weights.
    pub dropout: Dropout,
    /// Heads of queries.
    pub num_heads: usize,
    /// Heads of keys and values.
    pub num_kv_heads: usize,
}

impl Attention {
    fn forward(
        &self,
        x: Tensor<2>,
        b: usize,
        angles: &Angles,
        seen: Option<&mut Seen>,
    ) -> Tensor<2> {
        let heads = |layer: &Linear, count: usize| {
            let x = linear(layer, x.clone(), Activation::None);
            let [rows, width] = x.dims();
            x.reshape([b, rows / b, count, width / count])
        };
        let q = angles.turn(heads(&self.q_proj, self.num_heads)); // [b, t, h, d]
        let k = angles.turn(heads(&self.k_proj, self.num_kv_heads)); // [b, t, g, d]
        let v = heads(&self.v_proj, self.num_kv_heads);
        let mixed = match seen {
            None => self.attend(q, k, v),
            Some(seen) => self.attend_to_seen(q, k, v, seen),
        };
        linear(&self.o_proj, mixed, Activation::None)
    }

    /// Every head of queries gets a copy of its keys and values: then the fused operation serves.
    fn attend(&self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<2> {
        let ([b, t, h, d], g) = (q.dims(), self.num_kv_heads);
        let copied = |x: Tensor<4>| {
            let x = x.reshape([b, t, g, 1, d]).expand([b, t, g, h / g, d]);
            x.reshape([b * t, h * d])
        };
        let qkv = Tensor::cat(vec![q.reshape([b * t, h * d]), copied(k), copied(v)], 1);
        let how = Attend {
            batch: b,
            heads: h,
            causal: true,
        };
        self_attention(qkv, None, &self.dropout, how)
    }

    /// New positions also attend to those seen earlier, and join them. Nothing is copied here: the
    /// queries that share a key are the rows of one product.
    fn attend_to_seen(
        &self,
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        seen: &mut Seen,
    ) -> Tensor<2> {
        let ([b, t, h, d], g) = (q.dims(), self.num_kv_heads);
        let q = q.swap_dims(1, 2); // [b, h, t, d]
        let (k, v) = seen.extend(k.swap_dims(1, 2), v.swap_dims(1, 2)); // [b, g, s, d]
        let [_, _, s, _] = k.dims();
        let mask = causal_mask(&q, s - t);

        let rows = h / g * t;
        let scores = q.reshape([b, g, rows, d]).matmul(k.swap_dims(2, 3)) * (d as f64).powf(-0.5);
        let scores = scores.reshape([b, h, t, s]);
        let scores = match mask {
            Some(mask) => scores + mask,
            None => scores,
        };
        let weights = dropout(&self.dropout, softmax(scores, 3));
        let mixed = weights.reshape([b, g, rows, s]).matmul(v); // [b, g, rows, d]
        let mixed = mixed.reshape([b, h, t, d]).swap_dims(1, 2); // [b, t, h, d]
        mixed.reshape([b * t, h * d])
    }
}

/// A linear layer whose output is scaled by the SiLU of another's (Shazeer 2020, "GLU Variants
/// Improve Transformer", equation 6).
#[derive(Module, Debug)]
pub struct SwiGlu {
    /// Its SiLU is the scale.
    pub gate_proj: Linear,
    /// What is scaled.
    pub up_proj: Linear,
    /// Back into the residual stream.
    pub down_proj: Linear,
}

impl SwiGlu {
    /// `[b·t, c]` -> `[b·t, f]` -> `[b·t, c]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = silu(linear(&self.gate_proj, x.clone(), Activation::None));
        let up = linear(&self.up_proj, x, Activation::None);
        linear(&self.down_proj, gate * up, Activation::None)
    }
}

/// `x [b·t, c]` -> `[b·t, c]` (Zhang and Sennrich 2019, "Root Mean Square Layer Normalization").
fn rms_norm(layer: &RmsNorm, x: Tensor<2>) -> Tensor<2> {
    // Burn's own computes in single precision whatever it is given, and what is compared against
    // double precision needs all of it.
    if x.dtype() != DType::F64 {
        return layer.forward(x);
    }
    let mean_square = x.clone().square().mean_dim(1);
    x / (mean_square + layer.epsilon).sqrt() * layer.gamma.val().unsqueeze()
}

#[cfg(test)]
mod tests;
