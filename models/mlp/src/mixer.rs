//! MLP-Mixer (Tolstikhin et al. 2021, "MLP-Mixer: An all-MLP Architecture for Vision"): an image is
//! cut into patches, and every block has two perceptrons, one that mixes the patches of a channel
//! and one that mixes the channels of a patch.
//!
//! Tensors correspond one to one to those of timm's `MlpMixer`; norms have its epsilon (1e-6), and
//! GELU is exact.
//!
//! Departures: the rate of stochastic depth rises from block to block, as the authors have it, where
//! timm's is the same in all; see [`MixerConfig::init`] for the weights of the stem.

// b batch, h and w patches down and across, t = h·w patches, c channels of a patch

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv2d, dropout, layer_norm, linear, range, stochastic_depth};

/// That of timm and of the authors' Flax; PyTorch's and Burn's default is 1e-5.
const EPSILON: f64 = 1e-6;

/// What a [`Mixer`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixerConfig {
    /// Side of the square image in pixels, 1..=4096. The weights are tied to it.
    pub image_size: usize,
    /// Side of a square patch in pixels, 1..=4096; divides `image_size`.
    pub patch_size: usize,
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// Blocks, 1..=1024.
    pub num_layers: usize,
    /// Channels of a patch, 1..=65536: C in the paper.
    pub width: usize,
    /// Width inside the perceptrons that mix patches, 1..=65536: D_S.
    pub token_hidden: usize,
    /// Width inside the perceptrons that mix channels, 1..=65536: D_C.
    pub channel_hidden: usize,
    /// Probability of zeroing an activation inside a perceptron, or one of its outputs, 0 <= p < 1.
    pub dropout: f64,
    /// Probability of leaving out a perceptron of the last block for a sample (stochastic depth),
    /// 0 <= p < 1. It rises linearly from 0 in the first block.
    pub stochastic_depth: f64,
    /// Classes to tell apart, 2..=65536.
    pub num_classes: usize,
}

impl MixerConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("mixer_s16_224", Self::mixer_s16_224()),
            ("mixer_b16_224", Self::mixer_b16_224()),
        ]
    }

    /// Table 1, "S/16", for ImageNet. 18,528,264 parameters.
    pub fn mixer_s16_224() -> Self {
        Self {
            image_size: 224,
            patch_size: 16,
            in_channels: 3,
            num_layers: 8,
            width: 512,
            token_hidden: 256,
            channel_hidden: 2048,
            dropout: 0.0,
            stochastic_depth: 0.0,
            num_classes: 1000,
        }
    }

    /// Table 1, "B/16", for ImageNet. 59,880,472 parameters.
    pub fn mixer_b16_224() -> Self {
        Self {
            num_layers: 12,
            width: 768,
            token_hidden: 384,
            channel_hidden: 3072,
            ..Self::mixer_s16_224()
        }
    }

    /// Small enough for tests: two blocks on four patches of 8x8 pixels; 5,028 parameters.
    pub fn tiny() -> Self {
        Self {
            image_size: 16,
            patch_size: 8,
            num_layers: 2,
            width: 12,
            token_hidden: 6,
            channel_hidden: 48,
            num_classes: 4,
            ..Self::mixer_s16_224()
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

    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// The first offending key as a recipe spells it, its range, and the value found.
    pub fn validate(&self) -> Result<(), String> {
        range::count("image_size", self.image_size, 1..=4096)?;
        range::count("patch_size", self.patch_size, 1..=4096)?;
        range::divisor(
            "patch_size",
            self.patch_size,
            ("image_size", self.image_size),
        )?;
        range::count("in_channels", self.in_channels, 1..=1024)?;
        range::count("num_layers", self.num_layers, 1..=1024)?;
        range::count("width", self.width, 1..=65_536)?;
        range::count("token_hidden", self.token_hidden, 1..=65_536)?;
        range::count("channel_hidden", self.channel_hidden, 1..=65_536)?;
        range::probability("dropout", self.dropout)?;
        range::probability("stochastic_depth", self.stochastic_depth)?;
        range::count("num_classes", self.num_classes, 2..=65_536)
    }

    /// Builds the network on `device`, with fresh weights, as timm and the authors have them: in the
    /// blocks weights of Glorot and Bengio's uniform distribution and biases of N(0, 1e-6²), in the
    /// stem N(0, 1 / fan-in) (where both cut off what is beyond two deviations) and no bias, norms
    /// as the identity. The head is all zeros, so every class is as likely at first, and nothing
    /// but the head has a gradient in the first step.
    ///
    /// Burn draws a weight when it is first read, so seed the device before that.
    ///
    /// # Panics
    ///
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> Mixer {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let zeros = Initializer::Zeros;
        Mixer {
            stem: self.init_stem(device),
            blocks: (0..self.num_layers)
                .map(|layer| self.init_block(layer, device))
                .collect(),
            norm: init_norm(self.width, device),
            head: Linear {
                weight: zeros.init([self.width, self.num_classes], device),
                bias: Some(zeros.init([self.num_classes], device)),
            },
            input_shape: self.input_shape(),
        }
    }

    fn init_stem(&self, device: &Device) -> PatchEmbed {
        let patch = [self.patch_size; 2];
        let proj = Conv2dConfig::new([self.in_channels, self.width], patch)
            .with_stride(patch)
            .with_initializer(Initializer::KaimingNormal {
                gain: 1.0,
                fan_out_only: false,
            })
            .init(device);
        PatchEmbed {
            proj: Conv2d {
                bias: Some(Initializer::Zeros.init([self.width], device)),
                ..proj
            },
        }
    }

    fn init_block(&self, layer: usize, device: &Device) -> MixerBlock {
        let tokens = (self.image_size / self.patch_size).pow(2);
        let perceptron = |width, hidden| FeedForward {
            fc1: init_linear(width, hidden, device),
            fc2: init_linear(hidden, width, device),
            drop: DropoutConfig::new(self.dropout).init(),
        };
        let depth = layer as f64 / (self.num_layers - 1).max(1) as f64;
        MixerBlock {
            norm1: init_norm(self.width, device),
            mlp_tokens: perceptron(tokens, self.token_hidden),
            norm2: init_norm(self.width, device),
            mlp_channels: perceptron(self.width, self.channel_hidden),
            stochastic_depth: DropoutConfig::new(self.stochastic_depth * depth).init(),
        }
    }
}

/// An MLP-Mixer; made by [`MixerConfig::init`]. The fields are named as in timm.
#[derive(Module, Debug)]
pub struct Mixer {
    /// Makes patches of an image.
    pub stem: PatchEmbed,
    /// The blocks.
    pub blocks: Vec<MixerBlock>,
    /// After the last block.
    pub norm: LayerNorm,
    /// The classifier.
    pub head: Linear,
    /// `[channels, height, width]` of an image.
    pub input_shape: [usize; 3],
}

impl Mixer {
    /// `images [b, channels, height, width]` -> `logits [b, classes]`
    ///
    /// # Panics
    ///
    /// If the images have another shape than the configuration says.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [b, ..] = images.dims();
        let x = layer_norm(&self.norm, EPSILON, self.features(images, |_| {}));
        let [rows, c] = x.dims();
        let x = x.reshape([b, rows / b, c]).mean_dim(1).squeeze_dim(1); // [b, c]
        linear(&self.head, x, Activation::None)
    }

    /// The patches as they leave every block, each a map `[b, c, h, w]`, for
    /// `images [b, channels, height, width]`. The last has not passed the final norm.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let [b, _, height, width] = images.dims();
        let [_, _, down, across] = self.stem.proj.weight.dims();
        let (h, w) = (height / down, width / across);
        let mut maps = Vec::new();
        self.features(images, |x| {
            let [_, c] = x.dims();
            maps.push(x.clone().reshape([b, h, w, c]).permute([0, 3, 1, 2]));
        });
        maps
    }

    /// What leaves the last block, `[b·t, c]`; `after_block` sees it of each.
    fn features(&self, images: Tensor<4>, mut after_block: impl FnMut(&Tensor<2>)) -> Tensor<2> {
        let [channels, height, width] = self.input_shape;
        assert_shape!(images, [_, channels, height, width]);

        let [b, ..] = images.dims();
        let mut x = self.stem.forward(images);
        for block in &self.blocks {
            x = block.forward(x, b);
            after_block(&x);
        }
        x
    }
}

/// A linear layer that every patch of an image passes alone, as a convolution that moves by its
/// own size.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The convolution.
    pub proj: Conv2d,
}

impl PatchEmbed {
    /// `images [b, channels, height, width]` -> `patches [b·t, c]`, row after row of an image
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = conv2d(&self.proj, images, Activation::None); // [b, c, h, w]
        let [b, c, h, w] = x.dims();
        let x = x.reshape([b, c, h * w]).swap_dims(1, 2); // [b, t, c]
        x.reshape([b * h * w, c])
    }
}

/// Two perceptrons, each around a shortcut (the paper's figure 1 and equation 1).
#[derive(Module, Debug)]
pub struct MixerBlock {
    /// Before the patches are mixed.
    pub norm1: LayerNorm,
    /// Mixes the patches of every channel.
    pub mlp_tokens: FeedForward,
    /// Before the channels are mixed.
    pub norm2: LayerNorm,
    /// Mixes the channels of every patch.
    pub mlp_channels: FeedForward,
    /// Leaves out a perceptron for a whole sample in training.
    pub stochastic_depth: Dropout,
}

impl MixerBlock {
    /// `x [b·t, c]` -> `[b·t, c]`, for a batch of `b`
    pub fn forward(&self, x: Tensor<2>, batch: usize) -> Tensor<2> {
        let [rows, c] = x.dims();
        let (b, t) = (batch, rows / batch);

        let y = layer_norm(&self.norm1, EPSILON, x.clone());
        let y = y.reshape([b, t, c]).swap_dims(1, 2).reshape([b * c, t]); // [b·c, t]
        let y = self.mlp_tokens.forward(y);
        let y = y.reshape([b, c, t]).swap_dims(1, 2).reshape([rows, c]); // [b·t, c]
        let x = x + stochastic_depth(&self.stochastic_depth, y, b);

        let y = layer_norm(&self.norm2, EPSILON, x.clone());
        x + stochastic_depth(&self.stochastic_depth, self.mlp_channels.forward(y), b)
    }
}

/// A perceptron of two layers with GELU between.
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
    /// `x [rows, width]` -> `[rows, width]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = dropout(&self.drop, linear(&self.fc1, x, Activation::Gelu));
        dropout(&self.drop, linear(&self.fc2, x, Activation::None))
    }
}

fn init_norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width)
        .with_epsilon(EPSILON)
        .init(device)
}

fn init_linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    let weight = Initializer::XavierUniform { gain: 1.0 };
    let bias = Initializer::Normal {
        mean: 0.0,
        std: 1e-6,
    };
    Linear {
        weight: weight.init_with([inputs, outputs], Some(inputs), Some(outputs), device),
        bias: Some(bias.init([outputs], device)),
    }
}
