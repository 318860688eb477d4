//! The transformer of Vaswani et al. 2017, "Attention is all you need": an encoder that reads a
//! source, a decoder that writes a target.
//!
//! As in the paper, a norm follows every residual sum and nothing follows the last one (section
//! 3.1), the feed-forward has ReLU (3.3), embeddings are scaled by √c and shared with the output
//! layer (3.4), positions are fixed sinusoids (3.5), and dropout acts on what a sub-layer adds and
//! on the embeddings, not on attention weights (5.4). Tensors bear the names of PyTorch's
//! `TransformerEncoder` and `TransformerDecoder`, built with `norm=None`.
//!
//! Departures:
//! - the projections of attention have biases, as in PyTorch, where the paper's formulas have none;
//! - the paper does not say how weights begin: see [`EncoderDecoderConfig::init`].

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use zoo_kernels::{
    Activation, Attend, MASKED, attention, causal_mask, dropout, layer_norm, linear,
    self_attention, tied,
};

use crate::cache::{Cache, ContextFull, Seen};
use crate::range::{self, LAYERS, SIZES};

// b batch, s source positions, t target positions, h heads, d head width, c = h·d width,
// f hidden width of the feed-forward.

/// PyTorch's and Burn's; the paper gives none.
const EPSILON: f64 = 1e-5;

/// What an [`EncoderDecoder`] is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderDecoderConfig {
    /// Number of different tokens, special ones included, 1 to 16,777,216; source and target
    /// use the same ids.
    pub vocab_size: usize,
    /// Most positions of a source, and of a target, 1 to 16,777,216. No tensor depends on it.
    pub max_length: usize,
    /// Layers of the encoder, and of the decoder, 1 to 1024: N.
    pub num_layers: usize,
    /// Attention heads a layer; divides `width`: h.
    pub num_heads: usize,
    /// Width of the residual stream, 1 to 16,777,216: d_model.
    pub width: usize,
    /// Width inside the feed-forward, 1 to 16,777,216: d_ff.
    pub hidden: usize,
    /// Probability of zeroing an embedding or a sub-layer's output, 0..1: P_drop.
    pub dropout: f64,
    /// Where the weights of the two embeddings and of the output layer come from.
    pub embeddings: Embeddings,
    /// The token that fills a batch's shorter sources; below `vocab_size`.
    pub pad_token: usize,
    /// The token that a target begins with; below `vocab_size`.
    pub start_token: usize,
    /// The token that ends a target; below `vocab_size`.
    pub stop_token: usize,
}

/// Where the weights of the two embeddings and of the output layer come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Embeddings {
    /// From one parameter (section 3.4).
    Shared,
    /// From three: source embedding, target embedding, output layer. None has a bias.
    Separate,
}

impl EncoderDecoderConfig {
    /// Every named configuration: the table behind lists and sweeps.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("transformer_base", Self::transformer_base()),
            ("transformer_big", Self::transformer_big()),
        ]
    }

    /// Table 3, "base", with the 37,000 tokens of English-German (section 5.1): 63,082,496
    /// parameters, which the paper counts as 65M. Special tokens and `max_length` are ours.
    pub fn transformer_base() -> Self {
        Self {
            vocab_size: 37_000,
            max_length: 512,
            num_layers: 6,
            num_heads: 8,
            width: 512,
            hidden: 2048,
            dropout: 0.1,
            embeddings: Embeddings::Shared,
            pad_token: 0,
            start_token: 1,
            stop_token: 2,
        }
    }

    /// Table 3, "big": 214,245,376 parameters, which the paper counts as 213M.
    pub fn transformer_big() -> Self {
        Self {
            num_heads: 16,
            width: 1024,
            hidden: 4096,
            dropout: 0.3,
            ..Self::transformer_base()
        }
    }

    /// Small enough for tests: two layers each, 2,832 parameters.
    pub fn tiny() -> Self {
        Self {
            vocab_size: 12,
            max_length: 8,
            num_layers: 2,
            num_heads: 2,
            width: 8,
            hidden: 12,
            dropout: 0.0,
            ..Self::transformer_base()
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
        for (key, token) in [
            ("pad_token", self.pad_token),
            ("start_token", self.start_token),
            ("stop_token", self.stop_token),
        ] {
            range::token(key, token, self.vocab_size)?;
        }
        Ok(())
    }

    /// A model with fresh weights. Matrices are Glorot-uniform as in `torch.nn.Transformer`, the
    /// fused projection counting as one; embeddings are normal with deviation 1/√c as in
    /// tensor2tensor, the authors' code, so that scaled by √c they are as large as the sinusoids;
    /// biases are zero.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the values.
    pub fn init(&self, device: &Device) -> EncoderDecoder {
        if let Err(fault) = self.validate() {
            panic!("{fault}");
        }
        let (width, hidden) = (self.width, self.hidden);
        let linear = |inputs, outputs| init_linear(inputs, outputs, device);
        let norm = || {
            LayerNormConfig::new(width)
                .with_epsilon(EPSILON)
                .init(device)
        };
        let attention = || Attention {
            in_proj: linear(width, 3 * width),
            out_proj: linear(width, width),
            num_heads: self.num_heads,
        };
        let dropout = DropoutConfig::new(self.dropout).init();
        let encoder_layer = |_| EncoderLayer {
            self_attn: attention(),
            linear1: linear(width, hidden),
            linear2: linear(hidden, width),
            norm1: norm(),
            norm2: norm(),
            dropout: dropout.clone(),
        };
        let decoder_layer = |_| DecoderLayer {
            self_attn: attention(),
            multihead_attn: attention(),
            linear1: linear(width, hidden),
            linear2: linear(hidden, width),
            norm1: norm(),
            norm2: norm(),
            norm3: norm(),
            dropout: dropout.clone(),
        };
        let embedding = || {
            let std = (width as f64).powf(-0.5);
            EmbeddingConfig::new(self.vocab_size, width)
                .with_initializer(Initializer::Normal { mean: 0.0, std })
                .init(device)
        };
        let separate = self.embeddings == Embeddings::Separate;
        EncoderDecoder {
            embedding: embedding(),
            target_embedding: separate.then(embedding),
            encoder: Encoder {
                layers: (0..self.num_layers).map(encoder_layer).collect(),
            },
            decoder: Decoder {
                layers: (0..self.num_layers).map(decoder_layer).collect(),
            },
            output: separate.then(|| Linear {
                bias: None,
                ..linear(width, self.vocab_size)
            }),
            dropout,
            max_length: self.max_length,
            pad_token: self.pad_token,
            start_token: self.start_token,
            stop_token: self.stop_token,
        }
    }

    /// What PyTorch calls a tensor of ours: its fused projection is a bare parameter.
    pub fn origin_name(&self, ours: &str) -> String {
        ours.replace(".in_proj.", ".in_proj_")
    }
}

/// An encoder and a decoder. Made by [`EncoderDecoderConfig::init`].
#[derive(Module, Debug)]
pub struct EncoderDecoder {
    /// Of the source; of the target and the output too, where they have none of their own.
    pub embedding: Embedding,
    /// Of the target, where it has one of its own.
    pub target_embedding: Option<Embedding>,
    /// Reads a source.
    pub encoder: Encoder,
    /// Writes a target.
    pub decoder: Decoder,
    /// The output layer, where the embedding is not used for it.
    pub output: Option<Linear>,
    /// Of embeddings and of what is added to the residual stream.
    pub dropout: Dropout,
    /// Most positions of a source, and of a target.
    pub max_length: usize,
    /// The token that fills a batch's shorter sources.
    pub pad_token: usize,
    /// The token that a target begins with.
    pub start_token: usize,
    /// The token that ends a target.
    pub stop_token: usize,
}

impl EncoderDecoder {
    /// `source [b, s]` and `target [b, t]`, which begins with the start token, each token below
    /// `vocab_size` -> `logits [b, t, vocab]` of each next token of the target.
    ///
    /// Where the source holds `pad_token` it is not seen; how much of it follows a source changes
    /// nothing. What follows a shorter target changes nothing before it.
    ///
    /// # Panics
    /// If `s` or `t` exceeds `max_length`, or the batches differ.
    pub fn forward(&self, source: Tensor<2, Int>, target: Tensor<2, Int>) -> Tensor<3> {
        let [b, _] = target.dims();
        let memory = self.encode(source);
        self.logits(self.decode(target, &memory, None, |_| ()), b)
    }

    /// [`forward`](Self::forward) at some `rows [n]` of the flattened positions of the target alone:
    /// `logits [n, vocab]`. The output layer is spared the others.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn logits_at(
        &self,
        source: Tensor<2, Int>,
        target: Tensor<2, Int>,
        rows: Tensor<1, Int>,
    ) -> Tensor<2> {
        let memory = self.encode(source);
        let x = self.decode(target, &memory, None, |_| ());
        self.output(x.select(0, rows))
    }

    /// Reads `source [b, s]` once, for any number of calls of
    /// [`forward_cached`](Self::forward_cached).
    ///
    /// # Panics
    /// If `s` exceeds `max_length`.
    pub fn encode(&self, source: Tensor<2, Int>) -> Memory {
        let mask = self.padding(&source);
        let x = self.read(source, &mask, |_| ());
        self.remember(x, mask)
    }

    /// An empty cache for [`forward_cached`](Self::forward_cached).
    pub fn cache(&self) -> Cache {
        Cache::new(self.decoder.layers.len())
    }

    /// Continues the targets in `cache` with `target [b, t]` -> `logits [b, t, vocab]`, equal to
    /// the last `t` rows of a full pass over `memory`'s source. The first call begins with the start
    /// token.
    ///
    /// Meant for decoding: on an autodiff device the cache would keep the graph of every step.
    ///
    /// # Errors
    /// [`ContextFull`] if the tokens exceed `max_length`, with the cache as it was.
    ///
    /// # Panics
    /// If `b` differs from that of the memory or of the first call.
    pub fn forward_cached(
        &self,
        target: Tensor<2, Int>,
        memory: &Memory,
        cache: &mut Cache,
    ) -> Result<Tensor<3>, ContextFull> {
        let [b, new] = target.dims();
        let x = cache.continue_with(self.max_length, new, |cache| {
            self.decode(target, memory, Some(cache), |_| ())
        })?;
        Ok(self.logits(x, b))
    }

    /// The residual streams `[b, s, c]` of the encoder and `[b, t, c]` of the decoder: the embedded
    /// tokens first, then what each layer puts out. The decoder attends to the encoder's last, and its
    /// own last gives the logits.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn hidden_states(
        &self,
        source: Tensor<2, Int>,
        target: Tensor<2, Int>,
    ) -> [Vec<Tensor<3>>; 2] {
        let [b, _] = source.dims();
        let [mut encoder, mut decoder] = [Vec::new(), Vec::new()];
        let mask = self.padding(&source);
        let x = self.read(source, &mask, |x| encoder.push(in_sequences(x.clone(), b)));
        let memory = self.remember(x, mask);
        self.decode(target, &memory, None, |x| {
            decoder.push(in_sequences(x.clone(), b));
        });
        [encoder, decoder]
    }

    /// Most positions of a source, and of a target.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The token that fills a batch's shorter sources.
    pub fn pad_token(&self) -> usize {
        self.pad_token
    }

    /// The token that a target begins with.
    pub fn start_token(&self) -> usize {
        self.start_token
    }

    /// The token that ends a target.
    pub fn stop_token(&self) -> usize {
        self.stop_token
    }

    /// Added to the scores of the positions of `source [b, s]`: `[b, s]`.
    fn padding(&self, source: &Tensor<2, Int>) -> Tensor<2> {
        let padded = source.clone().equal_elem(self.pad_token as i64);
        padded.float().mul_scalar(MASKED)
    }

    /// The encoder: `source [b, s]` -> `[b·s, c]`. `see` is shown the stream before and after every
    /// layer.
    fn read(
        &self,
        source: Tensor<2, Int>,
        mask: &Tensor<2>,
        mut see: impl FnMut(&Tensor<2>),
    ) -> Tensor<2> {
        let mut x = self.embed(&self.embedding, source, 0);
        see(&x);
        for layer in &self.encoder.layers {
            x = layer.forward(x, mask);
            see(&x);
        }
        x
    }

    /// What the decoder keeps of the encoder's output `x [b·s, c]`.
    fn remember(&self, x: Tensor<2>, mask: Tensor<2>) -> Memory {
        let [b, s] = mask.dims();
        let layers = self.decoder.layers.iter();
        Memory {
            layers: layers
                .map(|layer| layer.multihead_attn.keys_and_values(x.clone(), b))
                .collect(),
            mask: mask.reshape([b, 1, 1, s]),
        }
    }

    /// The decoder: `target [b, t]` -> `[b·t, c]`. `see` is shown the stream before and after every
    /// layer.
    fn decode(
        &self,
        target: Tensor<2, Int>,
        memory: &Memory,
        mut cache: Option<&mut Cache>,
        mut see: impl FnMut(&Tensor<2>),
    ) -> Tensor<2> {
        let ([b, _], sources) = (target.dims(), memory.batch());
        assert!(b == sources, "{b} targets for {sources} sources");
        let past = cache.as_ref().map_or(0, |cache| cache.len());
        let table = self.target_embedding.as_ref().unwrap_or(&self.embedding);
        let mut x = self.embed(table, target, past);
        see(&x);
        for (index, layer) in self.decoder.layers.iter().enumerate() {
            let seen = cache.as_deref_mut().map(|cache| cache.layer(index));
            x = layer.forward(x, memory, index, seen);
            see(&x);
        }
        x
    }

    /// `tokens [b, t]`, which stand at the positions from `past` on -> `[b·t, c]` (sections 3.4, 3.5).
    fn embed(&self, table: &Embedding, tokens: Tensor<2, Int>, past: usize) -> Tensor<2> {
        let ([_, t], [_, c]) = (tokens.dims(), table.weight.dims());
        let most = self.max_length;
        assert!(
            past + t <= most,
            "at most {most} positions, got {}",
            past + t
        );
        let x = table.forward(tokens) * (c as f64).sqrt(); // [b, t, c]
        let positions = sinusoids([past, t, c], &x.device(), x.dtype());
        let x = x + positions.unsqueeze();
        dropout(&self.dropout, x).flatten(0, 1)
    }

    /// `x [b·t, c]` -> `[b, t, vocab]`
    fn logits(&self, x: Tensor<2>, batch: usize) -> Tensor<3> {
        in_sequences(self.output(x), batch)
    }

    /// `x [r, c]` -> `[r, vocab]`
    fn output(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.output {
            Some(output) => linear(output, x, Activation::None),
            None => tied(self.embedding.weight.val(), x),
        }
    }
}

/// What the encoder made of a batch of sources: for every layer of the decoder the keys and values
/// of its cross-attention, computed once. Made by [`EncoderDecoder::encode`].
#[derive(Clone, Debug)]
pub struct Memory {
    /// Keys and values, `[b, h, s, d]` each.
    layers: Vec<[Tensor<4>; 2]>,
    /// Added to the scores of the source's positions, `[b, 1, 1, s]`.
    mask: Tensor<4>,
}

impl Memory {
    /// Sources held.
    pub fn batch(&self) -> usize {
        let [b, ..] = self.mask.dims();
        b
    }

    /// The sources of these `rows [r]`, in this order and as often as each is named.
    pub fn select(&self, rows: &Tensor<1, Int>) -> Self {
        let pick = |x: &Tensor<4>| x.clone().select(0, rows.clone());
        Self {
            layers: self
                .layers
                .iter()
                .map(|kv| kv.each_ref().map(pick))
                .collect(),
            mask: pick(&self.mask),
        }
    }
}

/// The left half of the paper's figure 1.
#[derive(Module, Debug)]
pub struct Encoder {
    /// The layers.
    pub layers: Vec<EncoderLayer>,
}

/// The right half of the paper's figure 1.
#[derive(Module, Debug)]
pub struct Decoder {
    /// The layers.
    pub layers: Vec<DecoderLayer>,
}

/// Self-attention and a feed-forward, each followed by a norm of the residual sum.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// Of its own positions.
    pub self_attn: Attention,
    /// Into the hidden layer of the feed-forward.
    pub linear1: Linear,
    /// Out of it.
    pub linear2: Linear,
    /// After the first sub-layer.
    pub norm1: LayerNorm,
    /// After the second.
    pub norm2: LayerNorm,
    /// Of what is added to the residual stream.
    pub dropout: Dropout,
}

impl EncoderLayer {
    /// `x [b·s, c]`, additive `mask [b, s]` -> `[b·s, c]`
    fn forward(&self, x: Tensor<2>, mask: &Tensor<2>) -> Tensor<2> {
        let drop = |x| dropout(&self.dropout, x);
        let x = norm(
            &self.norm1,
            x.clone() + drop(self.self_attn.to_all(x, mask)),
        );
        let fed = feed_forward([&self.linear1, &self.linear2], x.clone());
        norm(&self.norm2, x + drop(fed))
    }
}

/// Attention to itself, attention to the encoder's output and a feed-forward, each followed by a norm of
/// the residual sum.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Of its own positions.
    pub self_attn: Attention,
    /// Of the encoder's output.
    pub multihead_attn: Attention,
    /// Into the hidden layer of the feed-forward.
    pub linear1: Linear,
    /// Out of it.
    pub linear2: Linear,
    /// After the first sub-layer.
    pub norm1: LayerNorm,
    /// After the second.
    pub norm2: LayerNorm,
    /// After the third.
    pub norm3: LayerNorm,
    /// Of what is added to the residual stream.
    pub dropout: Dropout,
}

impl DecoderLayer {
    /// `x [b·t, c]` -> `[b·t, c]`; `index` is this layer's in the memory.
    fn forward(
        &self,
        x: Tensor<2>,
        memory: &Memory,
        index: usize,
        seen: Option<&mut Seen>,
    ) -> Tensor<2> {
        let drop = |x| dropout(&self.dropout, x);
        let b = memory.batch();
        let x = norm(
            &self.norm1,
            x.clone() + drop(self.self_attn.to_past(x, b, seen)),
        );
        let looked_up = self.multihead_attn.to_memory(x.clone(), memory, index);
        let x = norm(&self.norm2, x + drop(looked_up));
        let fed = feed_forward([&self.linear1, &self.linear2], x.clone());
        norm(&self.norm3, x + drop(fed))
    }
}

/// Multi-head attention (section 3.2.2).
#[derive(Module, Debug)]
pub struct Attention {
    /// Query, key and value in one product, `[c, 3c]`, in this order.
    pub in_proj: Linear,
    /// Back into the residual stream.
    pub out_proj: Linear,
    /// Heads.
    pub num_heads: usize,
}

impl Attention {
    /// Every position attends to all of its sequence: `x [b·s, c]`, additive `mask [b, s]` ->
    /// `[b·s, c]`.
    fn to_all(&self, x: Tensor<2>, mask: &Tensor<2>) -> Tensor<2> {
        let [b, _] = mask.dims();
        let qkv = linear(&self.in_proj, x, Activation::None); // [b·s, 3c]
        let how = self.attend(b, false);
        self.project(self_attention(qkv, Some(mask.clone()), &no_dropout(), how))
    }

    /// Every position attends to itself and those before it, with `seen` also to those seen
    /// earlier, which the new ones join: `x [b·t, c]` -> `[b·t, c]`.
    fn to_past(&self, x: Tensor<2>, b: usize, seen: Option<&mut Seen>) -> Tensor<2> {
        let qkv = linear(&self.in_proj, x, Activation::None); // [b·t, 3c]
        self.project(match seen {
            None => self_attention(qkv, None, &no_dropout(), self.attend(b, true)),
            Some(seen) => {
                let [q, k, v] = self.in_heads(qkv, b);
                let (k, v) = seen.extend(k, v); // [b, h, past + t, d]
                let [past_and_new, new] = [&k, &q].map(|x| x.dims()[2]);
                let mask = causal_mask(&q, past_and_new - new);
                attention([q, k, v], mask, &no_dropout())
            }
        })
    }

    /// Every position attends to the source: `x [b·t, c]` -> `[b·t, c]`.
    fn to_memory(&self, x: Tensor<2>, memory: &Memory, index: usize) -> Tensor<2> {
        let [k, v] = memory.layers[index].clone();
        let [q] = self.in_heads(self.part(x, 0), memory.batch());
        let mask = Some(memory.mask.clone());
        self.project(attention([q, k, v], mask, &no_dropout()))
    }

    /// The encoder's `x [b·s, c]` -> keys and values `[b, h, s, d]`
    fn keys_and_values(&self, x: Tensor<2>, b: usize) -> [Tensor<4>; 2] {
        [1, 2].map(|part| {
            let [heads] = self.in_heads(self.part(x.clone(), part), b);
            heads
        })
    }

    /// The query (0), key (1) or value (2) of `x [r, c]` alone: `[r, c]`.
    fn part(&self, x: Tensor<2>, part: usize) -> Tensor<2> {
        let [c, _] = self.in_proj.weight.dims();
        let x = x.matmul(self.in_proj.weight.val().narrow(1, part * c, c));
        match &self.in_proj.bias {
            Some(bias) => x + bias.val().narrow(0, part * c, c).unsqueeze(),
            None => x,
        }
    }

    /// `x [b·t, n·c]` -> `n` times `[b, h, t, d]`
    fn in_heads<const N: usize>(&self, x: Tensor<2>, b: usize) -> [Tensor<4>; N] {
        let ([rows, width], h) = (x.dims(), self.num_heads);
        let x = x
            .reshape([b, rows / b, N * h, width / (N * h)])
            .swap_dims(1, 2); // [b, n·h, t, d]
        std::array::from_fn(|part| x.clone().narrow(1, part * h, h))
    }

    fn attend(&self, batch: usize, causal: bool) -> Attend {
        Attend {
            batch,
            heads: self.num_heads,
            causal,
        }
    }

    fn project(&self, mixed: Tensor<2>) -> Tensor<2> {
        linear(&self.out_proj, mixed, Activation::None)
    }
}

/// Two layers with ReLU between (section 3.3): `x [r, c]` -> `[r, f]` -> `[r, c]`.
fn feed_forward([first, second]: [&Linear; 2], x: Tensor<2>) -> Tensor<2> {
    linear(second, linear(first, x, Activation::Relu), Activation::None)
}

/// The paper drops no attention weights.
fn no_dropout() -> Dropout {
    DropoutConfig::new(0.0).init()
}

/// `x [r, c]` -> `[r, c]`
fn norm(layer: &LayerNorm, x: Tensor<2>) -> Tensor<2> {
    layer_norm(layer, EPSILON, x)
}

/// `x [b·t, n]` -> `[b, t, n]`
fn in_sequences(x: Tensor<2>, b: usize) -> Tensor<3> {
    let [rows, n] = x.dims();
    x.reshape([b, rows / b, n])
}

/// `sin(p / 10000^(2i/c))` in column 2i, the cosine in column 2i + 1, for the `t` positions p from
/// `past` on: `[t, c]` (section 3.5).
///
/// In double precision on the host, because far positions turn their low bits into the angle.
fn sinusoids([past, t, c]: [usize; 3], device: &Device, dtype: DType) -> Tensor<2> {
    let frequencies: Vec<f64> = (0..c)
        .map(|column| 10_000f64.powf(-((column / 2 * 2) as f64) / c as f64))
        .collect();
    let row = |position: usize| {
        (frequencies.iter().enumerate()).map(move |(column, frequency)| {
            let angle = position as f64 * frequency;
            if column % 2 == 0 {
                angle.sin()
            } else {
                angle.cos()
            }
        })
    };
    let values: Vec<f64> = (past..past + t).flat_map(row).collect();
    Tensor::from_data(TensorData::new(values, [t, c]), (device, dtype))
}

/// Glorot-uniform weights and zero biases. (`LinearConfig` would draw the biases from the
/// distribution of the weights.)
fn init_linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    let glorot = Initializer::XavierUniform { gain: 1.0 };
    Linear {
        weight: glorot.init_with([inputs, outputs], Some(inputs), Some(outputs), device),
        bias: Some(Initializer::Zeros.init([outputs], device)),
    }
}

#[cfg(test)]
mod tests;
