//! Vision Transformer (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words: Transformers for
//! Image Recognition at Scale"): an image is cut into patches, which an encoder reads like the words
//! of a sentence, with a class token before them. The smaller sizes are those of DeiT (Touvron et
//! al. 2021, "Training data-efficient image transformers & distillation through attention"), without
//! its distillation token.
//!
//! Tensors correspond one to one to those of timm's `VisionTransformer`; norms come before each
//! sub-layer and have epsilon 1e-6, and GELU is exact.
//!
//! Departure: there is no dropout of attention weights, which neither paper uses.

use std::ops::RangeInclusive;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

use zoo_kernels::{
    Activation, Attend, conv2d, dropout, layer_norm, linear, self_attention, stochastic_depth,
};

use crate::block::{INITIAL_STD, init_linear, normal};
use crate::range::{self, LAYERS, SIZES};

// b batch, h and w patches down and across, t = 1 + h·w positions, c width.

/// That of timm and of the authors' Flax; PyTorch's and Burn's default is 1e-5.
const EPSILON: f64 = 1e-6;

/// The sides of an image, in pixels, and its channels: far above any use, far below an overflow of a
/// tensor's size.
const SIDES: RangeInclusive<usize> = 1..=4096;
const CHANNELS: RangeInclusive<usize> = 1..=1024;

/// Standard deviation of the class token's initial values, in timm.
const TOKEN_STD: f64 = 1e-6;

/// What a [`Vit`] is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// Side of the square image in pixels, 1..=4096. The embedding of positions is tied to it.
    pub image_size: usize,
    /// Side of a square patch in pixels, 1..=4096; divides `image_size`.
    pub patch_size: usize,
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// Blocks, 1..=1024.
    pub num_layers: usize,
    /// Attention heads a block; divides `width`.
    pub num_heads: usize,
    /// Width of the residual stream, 1..=16777216.
    pub width: usize,
    /// Width inside the feed-forward, 1..=16777216; four times `width` in both papers.
    pub hidden: usize,
    /// Probability of zeroing a value of the embedding, or one that leaves a block's linear layers
    /// other than that of query, key and value (appendix B.1), 0 <= p < 1.
    pub dropout: f64,
    /// Probability of leaving out a sub-layer of the last block for a sample (stochastic depth),
    /// 0 <= p < 1. It rises linearly from 0 in the first block; DeiT trains with 0.1.
    pub stochastic_depth: f64,
    /// What the classifier sees of the positions.
    #[serde(default)]
    pub global_pool: GlobalPool,
    /// Number of classes, 1..=16777216.
    pub num_classes: usize,
}

/// What the classifier sees of the positions, by timm's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GlobalPool {
    /// The class token, normed with all positions (both papers). Configurations older than the key
    /// mean this one.
    #[default]
    Token,
    /// The mean of the patches, without the class token, normed after it is taken: timm's `fc_norm`.
    Avg,
}

impl VitConfig {
    /// Every named configuration: the table behind lists and sweeps.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("vit_tiny_patch16_224", Self::vit_tiny_patch16_224()),
            ("vit_small_patch16_224", Self::vit_small_patch16_224()),
            ("vit_base_patch16_224", Self::vit_base_patch16_224()),
        ]
    }

    /// Touvron et al. 2021, table 1, "DeiT-Ti", for ImageNet: 5,717,416 parameters.
    pub fn vit_tiny_patch16_224() -> Self {
        Self::imagenet(3)
    }

    /// Touvron et al. 2021, table 1, "DeiT-S", for ImageNet: 22,050,664 parameters.
    pub fn vit_small_patch16_224() -> Self {
        Self::imagenet(6)
    }

    /// Dosovitskiy et al. 2021, table 1, "ViT-Base", with patches of 16x16 pixels, for ImageNet:
    /// 86,567,656 parameters.
    pub fn vit_base_patch16_224() -> Self {
        Self::imagenet(12)
    }

    /// In both tables there are 12 layers, heads are 64 wide, and the feed-forward is four times as
    /// wide as the rest.
    fn imagenet(num_heads: usize) -> Self {
        let width = 64 * num_heads;
        Self {
            image_size: 224,
            patch_size: 16,
            in_channels: 3,
            num_layers: 12,
            num_heads,
            width,
            hidden: 4 * width,
            dropout: 0.0,
            stochastic_depth: 0.0,
            global_pool: GlobalPool::Token,
            num_classes: 1000,
        }
    }

    /// Small enough for tests: two layers on four patches of 8x8 pixels, 5,032 parameters.
    pub fn tiny() -> Self {
        Self {
            image_size: 16,
            patch_size: 8,
            num_layers: 2,
            num_heads: 2,
            width: 12,
            hidden: 24,
            num_classes: 4,
            ..Self::imagenet(3)
        }
    }

    /// The shape of one image: `[channels, height, width]`.
    pub fn input_shape(&self) -> [usize; 3] {
        [self.in_channels, self.image_size, self.image_size]
    }

    /// Logits for one image.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Checks every value, so that [`init`](Self::init) cannot fail.
    ///
    /// # Errors
    /// A message that names the key, what is allowed and what was given.
    pub fn validate(&self) -> Result<(), String> {
        range::count("image_size", self.image_size, SIDES)?;
        range::count("patch_size", self.patch_size, SIDES)?;
        range::count("in_channels", self.in_channels, CHANNELS)?;
        range::count("num_layers", self.num_layers, LAYERS)?;
        range::count("width", self.width, SIZES)?;
        range::count("hidden", self.hidden, SIZES)?;
        range::count("num_classes", self.num_classes, SIZES)?;
        range::divisor(
            "patch_size",
            self.patch_size,
            ("image_size", self.image_size),
        )?;
        range::divisor("num_heads", self.num_heads, ("width", self.width))?;
        range::probability("dropout", self.dropout)?;
        range::probability("stochastic_depth", self.stochastic_depth)
    }

    /// A model with timm's initial weights: linear layers and positions normal with deviation 0.02,
    /// the class token with 1e-6, biases zero; the convolution that makes patches U(-k, k) with
    /// k = 1/√(fan-in), weights and biases, as PyTorch's default is.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the values.
    pub fn init(&self, device: &Device) -> Vit {
        if let Err(fault) = self.validate() {
            panic!("{fault}");
        }
        let (c, patch) = (self.width, [self.patch_size; 2]);
        let patches = (self.image_size / self.patch_size).pow(2);
        Vit {
            cls_token: normal(TOKEN_STD).init([1, 1, c], device),
            pos_embed: normal(INITIAL_STD).init([1, 1 + patches, c], device),
            patch_embed: PatchEmbed {
                proj: Conv2dConfig::new([self.in_channels, c], patch)
                    .with_stride(patch)
                    .init(device),
            },
            pos_drop: DropoutConfig::new(self.dropout).init(),
            blocks: (0..self.num_layers)
                .map(|layer| self.init_block(layer, device))
                .collect(),
            norm: (self.global_pool == GlobalPool::Token).then(|| init_norm(c, device)),
            fc_norm: (self.global_pool == GlobalPool::Avg).then(|| init_norm(c, device)),
            head: init_linear(c, self.num_classes, INITIAL_STD, true, device),
            input_shape: self.input_shape(),
        }
    }

    fn init_block(&self, layer: usize, device: &Device) -> Block {
        let linear = |inputs, outputs| init_linear(inputs, outputs, INITIAL_STD, true, device);
        let (c, dropout) = (self.width, DropoutConfig::new(self.dropout).init());
        let depth = layer as f64 / (self.num_layers - 1).max(1) as f64;
        Block {
            norm1: init_norm(c, device),
            attn: SelfAttention {
                qkv: linear(c, 3 * c),
                proj: linear(c, c),
                attn_drop: DropoutConfig::new(0.0).init(),
                proj_drop: dropout.clone(),
                num_heads: self.num_heads,
            },
            norm2: init_norm(c, device),
            mlp: FeedForward {
                fc1: linear(c, self.hidden),
                fc2: linear(self.hidden, c),
                drop: dropout,
            },
            stochastic_depth: DropoutConfig::new(self.stochastic_depth * depth).init(),
        }
    }
}

/// A Vision Transformer. Made by [`VitConfig::init`].
#[derive(Module, Debug)]
pub struct Vit {
    /// Stands before the patches, `[1, 1, c]`.
    pub cls_token: Param<Tensor<3>>,
    /// Vectors of the positions, `[1, 1 + h·w, c]`.
    pub pos_embed: Param<Tensor<3>>,
    /// Makes patches of an image.
    pub patch_embed: PatchEmbed,
    /// After both.
    pub pos_drop: Dropout,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// After the last block, where the class token is what counts.
    pub norm: Option<LayerNorm>,
    /// After the mean of the patches, where that is what counts.
    pub fc_norm: Option<LayerNorm>,
    /// The classifier.
    pub head: Linear,
    /// `[channels, height, width]` of an image.
    pub input_shape: [usize; 3],
}

impl Vit {
    /// `images [b, channels, height, width]` -> `logits [b, n]`.
    ///
    /// # Panics
    /// If the images have another shape than the configuration says.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.features(images, |_| {});
        let [b, t, c] = x.dims();
        let x = match (&self.norm, &self.fc_norm) {
            // A norm sees positions by themselves: only that of the class token is needed.
            (Some(layer), _) => norm(layer, x.narrow(1, 0, 1).reshape([b, c])),
            (None, Some(layer)) => norm(layer, x.narrow(1, 1, t - 1).mean_dim(1).reshape([b, c])),
            (None, None) => x.narrow(1, 0, 1).reshape([b, c]),
        };
        linear(&self.head, x, Activation::None)
    }

    /// The embedding of `images [b, channels, height, width]` and what leaves every block, each
    /// `[b, 1 + h·w, c]` with the class token first. The last has not passed the final norm.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn hidden_states(&self, images: Tensor<4>) -> Vec<Tensor<3>> {
        let mut states = Vec::new();
        self.features(images, |x| states.push(x.clone()));
        states
    }

    /// The patches as they leave every block, each a map `[b, c, h, w]` without the class token, for
    /// `images [b, channels, height, width]`. The last has not passed the final norm.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let [_, height, width] = self.input_shape;
        let [_, _, down, across] = self.patch_embed.proj.weight.dims();
        let (h, w) = (height / down, width / across);
        let blocks = self.hidden_states(images).into_iter().skip(1);
        blocks
            .map(|x| {
                let [b, _, c] = x.dims();
                let x = x.narrow(1, 1, h * w).reshape([b, h, w, c]);
                x.permute([0, 3, 1, 2])
            })
            .collect()
    }

    /// What leaves the last block, `[b, t, c]`; `see` is shown the embedding, and what leaves every
    /// block.
    fn features(&self, images: Tensor<4>, mut see: impl FnMut(&Tensor<3>)) -> Tensor<3> {
        let [channels, height, width] = self.input_shape;
        assert_shape!(images, [_, channels, height, width]);

        let mut x = self.embed(images);
        see(&x);
        for block in &self.blocks {
            x = block.forward(x);
            see(&x);
        }
        x
    }

    /// `images [b, channels, height, width]` -> `[b, t, c]` (equation 1).
    fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let patches = self.patch_embed.forward(images);
        let [b, _, c] = patches.dims();
        let class = self.cls_token.val().expand([b, 1, c]);
        let x = Tensor::cat(vec![class, patches], 1) + self.pos_embed.val();
        dropout(&self.pos_drop, x)
    }
}

/// A linear layer that every patch passes alone, as a convolution that moves by its own size.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The convolution.
    pub proj: Conv2d,
}

impl PatchEmbed {
    /// `images [b, channels, height, width]` -> `patches [b, h·w, c]`, row after row of an image.
    fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let x = conv2d(&self.proj, images, Activation::None); // [b, c, h, w]
        x.flatten::<3>(2, 3).swap_dims(1, 2) // [b, h·w, c]
    }
}

/// `x + attention(norm(x))`, then `x + feed_forward(norm(x))` (equations 2 and 3).
#[derive(Module, Debug)]
pub struct Block {
    /// Before attention.
    pub norm1: LayerNorm,
    /// Mixes positions.
    pub attn: SelfAttention,
    /// Before the feed-forward.
    pub norm2: LayerNorm,
    /// At every position alike.
    pub mlp: FeedForward,
    /// Leaves out a sub-layer for a whole sample in training.
    pub stochastic_depth: Dropout,
}

impl Block {
    /// `x [b, t, c]` -> `[b, t, c]`.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, t, c] = x.dims();
        let x = x.reshape([b * t, c]); // [b·t, c]
        let y = self.attn.forward(norm(&self.norm1, x.clone()), b);
        let x = x + stochastic_depth(&self.stochastic_depth, y, b);
        let y = self.mlp.forward(norm(&self.norm2, x.clone()));
        let x = x + stochastic_depth(&self.stochastic_depth, y, b);
        x.reshape([b, t, c])
    }
}

/// Multi-head self-attention (appendix A).
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Query, key and value in one product, `[c, 3c]`, in this order.
    pub qkv: Linear,
    /// Back into the residual stream.
    pub proj: Linear,
    /// Drops nothing: attention weights are kept.
    pub attn_drop: Dropout,
    /// Of what leaves attention.
    pub proj_drop: Dropout,
    /// Heads.
    pub num_heads: usize,
}

impl SelfAttention {
    /// `x [b·t, c]` -> `[b·t, c]`.
    fn forward(&self, x: Tensor<2>, batch: usize) -> Tensor<2> {
        let how = Attend {
            batch,
            heads: self.num_heads,
            causal: false,
        };
        let qkv = linear(&self.qkv, x, Activation::None); // [b·t, 3c]
        let mixed = self_attention(qkv, None, &self.attn_drop, how);
        let x = linear(&self.proj, mixed, Activation::None);
        dropout(&self.proj_drop, x)
    }
}

/// Two layers with GELU between, at every position alike.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// Into the hidden layer.
    pub fc1: Linear,
    /// Out of it.
    pub fc2: Linear,
    /// Acts after either.
    pub drop: Dropout,
}

impl FeedForward {
    /// `x [b·t, c]` -> `[b·t, c]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = dropout(&self.drop, linear(&self.fc1, x, Activation::Gelu));
        dropout(&self.drop, linear(&self.fc2, x, Activation::None))
    }
}

fn init_norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width)
        .with_epsilon(EPSILON)
        .init(device)
}

/// `x [b·t, c]` -> `[b·t, c]`
fn norm(layer: &LayerNorm, x: Tensor<2>) -> Tensor<2> {
    layer_norm(layer, EPSILON, x)
}

#[cfg(test)]
mod tests;
