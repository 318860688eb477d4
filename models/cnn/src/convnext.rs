//! ConvNeXt (Liu, Mao, Wu, Feichtenhofer, Darrell and Xie 2022, "A ConvNet for the 2020s"), sections
//! 2 and 3: a residual network with what a Swin transformer has beside attention. A block is a 7x7
//! convolution of every channel for itself, a layer norm, and two linear layers with GELU between.
//!
//! The tensors are torchvision's, which are the authors' under other names. Departures: none but
//! where stochastic depth is drawn, for which see [`zoo_kernels::stochastic_depth`].
//!
//! Convolutions and linear layers start as N(0, 0.02²) with biases at zero (torchvision cuts the
//! distribution off a hundred deviations away), layer norms as the identity.

// b batch, c channels, h height, w width

use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{
    Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear, PaddingConfig2d,
};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv2d, layer_norm, linear, stochastic_depth};

use crate::origin::rename;
use crate::range::{CHANNELS, CLASSES, WIDTHS, check, check_probability, check_stages, number};

/// Of every layer norm.
const EPSILON: f64 = 1e-6;

/// Of every convolution and linear layer.
const WEIGHT: Initializer = Initializer::Normal {
    mean: 0.0,
    std: 0.02,
};

/// Side of a patch, which the stem turns into one pixel.
const PATCH: usize = 4;

/// What a [`ConvNeXt`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNeXtConfig {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// 1 to 16 stages: the first at a quarter of the image's size, every later one at half the size
    /// of the one before.
    pub stages: Vec<ConvNeXtStage>,
    /// What every channel of a block's result is multiplied by at first, 0..=1; with the paper's
    /// 1e-6 a fresh block is nearly the identity.
    pub layer_scale: f64,
    /// Probability of leaving out the last block in training, 0..1; it grows linearly from 0 at the
    /// first block.
    pub stochastic_depth: f64,
    /// Classes to tell apart, 2..=65536.
    pub num_classes: usize,
}

/// Blocks with the same number of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNeXtStage {
    /// C: channels, 1..=8192.
    pub channels: usize,
    /// B: blocks, 1..=256.
    pub blocks: usize,
}

impl ConvNeXtConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("convnext_tiny", Self::convnext_tiny()),
            ("convnext_small", Self::convnext_small()),
        ]
    }

    /// Section 3, ConvNeXt-T, for ImageNet. 28,589,128 parameters.
    pub fn convnext_tiny() -> Self {
        Self::imagenet([3, 3, 9, 3], 0.1)
    }

    /// Section 3, ConvNeXt-S, for ImageNet. 50,223,688 parameters.
    pub fn convnext_small() -> Self {
        Self::imagenet([3, 3, 27, 3], 0.4)
    }

    /// Small enough for tests: two stages, one of them of two blocks that show in the result.
    pub fn tiny() -> Self {
        let stage = |channels, blocks| ConvNeXtStage { channels, blocks };
        Self {
            stages: vec![stage(8, 1), stage(16, 2)],
            layer_scale: 1.0,
            stochastic_depth: 0.0,
            num_classes: 4,
            ..Self::convnext_tiny()
        }
    }

    /// Channels and blocks are section 3's, the probability of leaving out a block appendix A.1's.
    fn imagenet(blocks: [usize; 4], stochastic_depth: f64) -> Self {
        let stages = [96, 192, 384, 768].into_iter().zip(blocks);
        Self {
            in_channels: 3,
            stages: stages
                .map(|(channels, blocks)| ConvNeXtStage { channels, blocks })
                .collect(),
            layer_scale: 1e-6,
            stochastic_depth,
            num_classes: 1000,
        }
    }

    /// Channels of an image.
    ///
    /// Its size is free from [`least_side`](Self::least_side) on.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// The least height and width of an image, in pixels, of which the last stage has one left.
    pub fn least_side(&self) -> usize {
        PATCH << (self.stages.len() - 1)
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
        check("in_channels", self.in_channels, CHANNELS)?;
        check_stages("stages", self.stages.len(), 16)?;
        for (i, stage) in self.stages.iter().enumerate() {
            check(&format!("stages[{i}].channels"), stage.channels, WIDTHS)?;
            check(&format!("stages[{i}].blocks"), stage.blocks, 1..=256)?;
        }
        number("layer_scale", self.layer_scale, 0.0..=1.0)?;
        check_probability("stochastic_depth", self.stochastic_depth)?;
        check("num_classes", self.num_classes, CLASSES)
    }

    /// Builds the network on `device`, with fresh weights.
    ///
    /// Burn draws a weight when it is first read, so seed the device before that.
    ///
    /// # Panics
    ///
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> ConvNeXt {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let num_blocks: usize = self.stages.iter().map(|stage| stage.blocks).sum();
        let last_block = (num_blocks - 1).max(1) as f64;
        let mut number = 0;
        let mut block = |channels| {
            let left_out = self.stochastic_depth * f64::from(number) / last_block;
            number += 1;
            ConvNeXtBlock::new(channels, self.layer_scale, left_out, device)
        };
        let blocks = self.stages.iter().map(|stage| {
            let blocks = 0..stage.blocks;
            blocks.map(|_| block(stage.channels)).collect()
        });
        let blocks = blocks.collect();

        let channels: Vec<usize> = self.stages.iter().map(|stage| stage.channels).collect();
        let downsamples = channels.windows(2).map(|pair| {
            let norm = init_norm(pair[0], device);
            (norm, patches([pair[0], pair[1]], 2, device))
        });
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let stem = patches([self.in_channels, first], PATCH, device);
        ConvNeXt {
            stem: (stem, init_norm(first, device)),
            blocks,
            downsamples: downsamples.collect(),
            norm: init_norm(last, device),
            classifier: init_linear([last, self.num_classes], device),
            least_side: self.least_side(),
        }
    }

    /// torchvision's name of a tensor of [`ConvNeXt`]: there, stem, stages and what lies between
    /// them are numbered straight on, and so are the layers of a block and of the head.
    pub fn origin_name(&self, ours: &str) -> String {
        let pair = |ours: &str, theirs: &str| (format!("{ours}."), format!("{theirs}."));
        let mut names = vec![
            pair("stem", "features.0"),
            pair("norm", "classifier.0"),
            pair("classifier", "classifier.2"), // after the norm and a flattening
        ];
        for (i, stage) in self.stages.iter().enumerate() {
            for block in 0..stage.blocks {
                let ours = format!("blocks.{i}.{block}");
                let theirs = format!("features.{}.{block}", 2 * i + 1);
                let layer = |name: &str, at: usize| {
                    pair(&format!("{ours}.{name}"), &format!("{theirs}.block.{at}"))
                };
                names.extend([
                    layer("depthwise", 0),
                    layer("norm", 2),
                    layer("expand", 3),
                    layer("project", 5),
                    pair(&ours, &theirs), // layer_scale
                ]);
            }
            let between = format!("features.{}", 2 * i + 2);
            names.push(pair(&format!("downsamples.{i}"), &between));
        }
        rename(ours, &names)
    }
}

/// A ConvNeXt; made by [`ConvNeXtConfig::init`].
#[derive(Module, Debug)]
pub struct ConvNeXt {
    /// Turns every patch of 4x4 pixels into one, and normalises it.
    pub stem: (Conv2d, LayerNorm),
    /// The blocks, by stage.
    pub blocks: Vec<Vec<ConvNeXtBlock>>,
    /// Between two stages: every pixel normalised, then 2x2 turned into one.
    pub downsamples: Vec<(LayerNorm, Conv2d)>,
    /// Normalises what the classifier sees.
    pub norm: LayerNorm,
    /// The output layer.
    pub classifier: Linear,
    /// The least height and width of an image, in pixels.
    pub least_side: usize,
}

impl ConvNeXt {
    /// `images [b, c, h, w]` -> `logits [b, classes]`
    ///
    /// Blocks are left out where `images` is on an autodiff device.
    ///
    /// # Panics
    ///
    /// If the images have another number of channels than the configuration says, or fewer pixels
    /// than [`ConvNeXtConfig::least_side`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.map(images, |_| {});
        let x = x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2); // [b, c]
        let x = layer_norm(&self.norm, EPSILON, x);
        linear(&self.classifier, x, Activation::None)
    }

    /// The map that leaves every stage, for `images [b, c, h, w]`: the first at a quarter of the
    /// image's size, every later one at half the size of the one before.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut maps = Vec::new();
        self.map(images, |map| maps.push(map.clone()));
        maps
    }

    /// The last stage's map; `after_stage` sees each.
    fn map(&self, images: Tensor<4>, mut after_stage: impl FnMut(&Tensor<4>)) -> Tensor<4> {
        let (conv, norm) = &self.stem;
        let [_, channels, _, _] = conv.weight.dims();
        assert_shape!(images, [_, channels, _, _]);
        let ([_, _, h, w], least) = (images.dims(), self.least_side);
        assert!(
            h.min(w) >= least,
            "images of {least}x{least} pixels at least, got {h}x{w}"
        );

        let mut x = norm_pixels(norm, conv2d(conv, images, Activation::None)); // [b, c, h/4, w/4]
        let mut downsamples = self.downsamples.iter();
        for stage in &self.blocks {
            for block in stage {
                x = block.forward(x);
            }
            after_stage(&x);
            // None after the last stage.
            if let Some((norm, conv)) = downsamples.next() {
                x = conv2d(conv, norm_pixels(norm, x), Activation::None);
            }
        }
        x
    }
}

/// The paper's block (figure 4, right): pixels are mixed first, then channels.
#[derive(Module, Debug)]
pub struct ConvNeXtBlock {
    /// 7x7, every channel for itself.
    pub depthwise: Conv2d,
    /// Normalises every pixel.
    pub norm: LayerNorm,
    /// To four times the channels.
    pub expand: Linear,
    /// Back again.
    pub project: Linear,
    /// What every channel of the result is multiplied by, `[c, 1, 1]` (Touvron et al. 2021, "Going
    /// deeper with Image Transformers").
    pub layer_scale: Param<Tensor<3>>,
    /// Leaves out the block for a whole sample in training.
    pub stochastic_depth: Dropout,
}

impl ConvNeXtBlock {
    fn new(channels: usize, layer_scale: f64, left_out: f64, device: &Device) -> Self {
        let depthwise = Conv2dConfig::new([channels, channels], [7, 7])
            .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
            .with_groups(channels);
        let layer_scale = Initializer::Constant { value: layer_scale };
        Self {
            depthwise: init_conv(depthwise, device),
            norm: init_norm(channels, device),
            expand: init_linear([channels, 4 * channels], device),
            project: init_linear([4 * channels, channels], device),
            layer_scale: layer_scale.init([channels, 1, 1], device),
            stochastic_depth: DropoutConfig::new(left_out).init(),
        }
    }

    /// `x [b, c, h, w]` -> `[b, c, h, w]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, c, h, w] = x.dims();
        let y = pixels(conv2d(&self.depthwise, x.clone(), Activation::None)); // [b·h·w, c]
        let y = layer_norm(&self.norm, EPSILON, y);
        let y = linear(&self.expand, y, Activation::Gelu); // [b·h·w, 4c]
        let y = linear(&self.project, y, Activation::None);
        let y = y * self.layer_scale.val().reshape([1, c]);
        x + stochastic_depth(&self.stochastic_depth, image(y, [b, c, h, w]), b)
    }
}

/// Every pixel's channels normalised: `x [b, c, h, w]` -> `[b, c, h, w]`
fn norm_pixels(norm: &LayerNorm, x: Tensor<4>) -> Tensor<4> {
    let shape = x.dims();
    image(layer_norm(norm, EPSILON, pixels(x)), shape)
}

/// `x [b, c, h, w]` -> `[b·h·w, c]`, one pixel a row
fn pixels(x: Tensor<4>) -> Tensor<2> {
    x.permute([0, 2, 3, 1]).flatten(0, 2)
}

/// The pixels `x [b·h·w, c]` in their places, `[b, c, h, w]`.
fn image(x: Tensor<2>, [b, c, h, w]: [usize; 4]) -> Tensor<4> {
    x.reshape([b, h, w, c]).permute([0, 3, 1, 2])
}

/// A convolution that turns every square of `side` pixels into one.
fn patches(channels: [usize; 2], side: usize, device: &Device) -> Conv2d {
    let config = Conv2dConfig::new(channels, [side, side]).with_stride([side, side]);
    init_conv(config, device)
}

fn init_conv(config: Conv2dConfig, device: &Device) -> Conv2d {
    let [_, outputs] = config.channels;
    Conv2d {
        bias: Some(Initializer::Zeros.init([outputs], device)),
        ..config
            .with_bias(false)
            .with_initializer(WEIGHT)
            .init(device)
    }
}

fn init_linear([inputs, outputs]: [usize; 2], device: &Device) -> Linear {
    Linear {
        weight: WEIGHT.init([inputs, outputs], device),
        bias: Some(Initializer::Zeros.init([outputs], device)),
    }
}

fn init_norm(channels: usize, device: &Device) -> LayerNorm {
    let config = LayerNormConfig::new(channels).with_epsilon(EPSILON);
    config.init(device)
}
