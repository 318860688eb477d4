//! Residual networks (He, Zhang, Ren and Sun 2015, "Deep residual learning for image
//! recognition"): section 4.2 for CIFAR-10, with basic blocks, and table 1 for ImageNet, with basic
//! blocks up to 34 layers and bottlenecks from 50 on.
//!
//! Departures: the paper leaves open where option A pads; like the authors' Torch release, zero
//! channels go after the existing ones. The ImageNet kind is torchvision's, tensor names included;
//! a bottleneck that halves the image does so in its 3x3 convolution, where the paper's does in the
//! first 1x1 (known as v1.5: no pixel is skipped, at the price of more multiplications). Burn's
//! batch norm has PyTorch's epsilon (1e-5) and momentum (0.1 of the new batch), and, unlike
//! PyTorch, keeps the *biased* batch variance as running variance: smaller by 1 - 1/n, n being the
//! pixels a channel is averaged over.
//!
//! Convolutions start as N(0, 2 / fan-out) (He et al. 2015, "Delving deep into rectifiers"), as in
//! both releases; batch norms as the identity; the classifier as U(-k, k), k = 1 / sqrt(fan-in).

// b batch, c channels, h height, w width

mod block;

use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv_norm, linear, max_pool2d};

use self::block::{BlockConfig, conv};
use crate::range::{CHANNELS, CLASSES, check, check_stages};

pub use self::block::{Block, BlockKind, Shortcut};

/// What a [`ResNet`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// How an image enters.
    pub stem: Stem,
    /// What every residual block is made of.
    pub block: BlockKind,
    /// Residual blocks in each stage: one to four stages of 1..=256 blocks.
    pub blocks: Vec<usize>,
    /// Channels of the stem and of the first stage's 3x3 convolutions, 1..=1024; every later stage
    /// doubles them and halves the image.
    pub width: usize,
    /// What a block that changes the shape adds its result to.
    pub shortcut: Shortcut,
    /// Classes to tell apart, 2..=65536.
    pub num_classes: usize,
}

/// The layers before the first stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// One 3x3 convolution at full resolution, for images of about 32x32 pixels.
    Cifar,
    /// A 7x7 convolution of stride 2 and a 3x3 max pooling of stride 2, for about 224x224.
    Imagenet,
}

impl ResNetConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("resnet20", Self::resnet20()),
            ("resnet32", Self::resnet32()),
            ("resnet56", Self::resnet56()),
            ("resnet18", Self::resnet18()),
            ("resnet34", Self::resnet34()),
            ("resnet50", Self::resnet50()),
            ("resnet101", Self::resnet101()),
            ("resnet152", Self::resnet152()),
        ]
    }

    /// Section 4.2, n = 3: 20 layers for CIFAR-10. 269,722 parameters.
    pub fn resnet20() -> Self {
        Self::cifar(3)
    }

    /// Section 4.2, n = 5: 32 layers for CIFAR-10. 464,154 parameters.
    pub fn resnet32() -> Self {
        Self::cifar(5)
    }

    /// Section 4.2, n = 9: 56 layers for CIFAR-10. 853,018 parameters.
    pub fn resnet56() -> Self {
        Self::cifar(9)
    }

    /// Table 1, "18-layer", for ImageNet. 11,689,512 parameters.
    pub fn resnet18() -> Self {
        Self::imagenet(BlockKind::Basic, [2, 2, 2, 2])
    }

    /// Table 1, "34-layer", for ImageNet. 21,797,672 parameters.
    pub fn resnet34() -> Self {
        Self::imagenet(BlockKind::Basic, [3, 4, 6, 3])
    }

    /// Table 1, "50-layer", for ImageNet. 25,557,032 parameters.
    pub fn resnet50() -> Self {
        Self::imagenet(BlockKind::Bottleneck, [3, 4, 6, 3])
    }

    /// Table 1, "101-layer", for ImageNet. 44,549,160 parameters.
    pub fn resnet101() -> Self {
        Self::imagenet(BlockKind::Bottleneck, [3, 4, 23, 3])
    }

    /// Table 1, "152-layer", for ImageNet. 60,192,808 parameters.
    pub fn resnet152() -> Self {
        Self::imagenet(BlockKind::Bottleneck, [3, 8, 36, 3])
    }

    /// Small enough for tests: the ImageNet kind in two stages, one of them of two basic blocks.
    pub fn tiny() -> Self {
        Self {
            blocks: vec![1, 2],
            width: 8,
            num_classes: 4,
            ..Self::resnet18()
        }
    }

    /// Small enough for tests: [`tiny`](Self::tiny) with bottlenecks, half as wide.
    pub fn tiny_bottleneck() -> Self {
        Self {
            block: BlockKind::Bottleneck,
            width: 4,
            ..Self::tiny()
        }
    }

    /// Small enough for tests: the CIFAR kind, four channels wide.
    pub fn tiny_cifar() -> Self {
        Self {
            blocks: vec![1, 2],
            width: 4,
            num_classes: 4,
            ..Self::resnet20()
        }
    }

    fn cifar(blocks_per_stage: usize) -> Self {
        Self {
            in_channels: 3,
            stem: Stem::Cifar,
            block: BlockKind::Basic,
            blocks: vec![blocks_per_stage; 3],
            width: 16,
            shortcut: Shortcut::ZeroPad,
            num_classes: 10,
        }
    }

    fn imagenet(block: BlockKind, blocks: [usize; 4]) -> Self {
        Self {
            in_channels: 3,
            stem: Stem::Imagenet,
            block,
            blocks: blocks.to_vec(),
            width: 64,
            shortcut: Shortcut::Projection,
            num_classes: 1000,
        }
    }

    /// Channels of an image.
    ///
    /// Its size is free, since the last stage is averaged over all its pixels. One pixel is the
    /// least; below 4x4 with the CIFAR presets, and 32x32 with the ImageNet ones, that last stage
    /// has a single pixel left that sees mostly padding.
    pub fn in_channels(&self) -> usize {
        self.in_channels
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
        check_stages("blocks", self.blocks.len(), 4)?;
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            check(&format!("blocks[{stage}]"), blocks, 1..=256)?;
        }
        check("width", self.width, CHANNELS)?;
        check("num_classes", self.num_classes, CLASSES)
    }

    /// Builds the network on `device`, with fresh weights.
    ///
    /// Burn draws a weight when it is first read, so seed the device before that.
    ///
    /// # Panics
    ///
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> ResNet {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let (kernel, stride, maxpool) = match self.stem {
            Stem::Cifar => (3, 1, None),
            Stem::Imagenet => (7, 2, Some(stem_pool())),
        };
        let outputs = self.stage_channels(self.blocks.len() - 1);
        ResNet {
            conv1: conv([self.in_channels, self.width], kernel, stride).init(device),
            bn1: BatchNormConfig::new(self.width).init(device),
            maxpool,
            layer1: self.init_stage(0, device),
            layer2: self.init_stage(1, device),
            layer3: self.init_stage(2, device),
            layer4: self.init_stage(3, device),
            fc: LinearConfig::new(outputs, self.num_classes).init(device),
        }
    }

    /// The blocks of one stage, counted from 0; none where the configuration has fewer stages.
    fn init_stage(&self, stage: usize, device: &Device) -> Vec<Block> {
        let blocks = self.blocks.get(stage).copied().unwrap_or(0);
        (0..blocks)
            .map(|block| {
                // Only a first block changes the shape. That of the first stage keeps the stem's
                // size; every other halves it.
                let (inputs, stride) = match (stage, block) {
                    (0, 0) => (self.width, 1),
                    (_, 0) => (self.stage_channels(stage - 1), 2),
                    _ => (self.stage_channels(stage), 1),
                };
                let config = BlockConfig {
                    kind: self.block,
                    inputs,
                    width: self.width << stage,
                    stride,
                    shortcut: self.shortcut,
                };
                config.init(device)
            })
            .collect()
    }

    /// Channels that leave a stage, counted from 0.
    fn stage_channels(&self, stage: usize) -> usize {
        (self.width << stage) * self.block.expansion()
    }
}

/// A residual network; made by [`ResNetConfig::init`]. The fields are named as in torchvision.
#[derive(Module, Debug)]
pub struct ResNet {
    /// The convolution of the stem.
    pub conv1: Conv2d,
    /// Its batch norm.
    pub bn1: BatchNorm,
    /// The pooling of the ImageNet stem.
    pub maxpool: Option<MaxPool2d>,
    /// The first stage, at the stem's resolution.
    pub layer1: Vec<Block>,
    /// The second stage; empty in a network of fewer.
    pub layer2: Vec<Block>,
    /// The third stage; empty in a network of fewer.
    pub layer3: Vec<Block>,
    /// The fourth stage; empty in a network of fewer, as the CIFAR presets are.
    pub layer4: Vec<Block>,
    /// The classifier.
    pub fc: Linear,
}

impl ResNet {
    /// `images [b, c, h, w]` -> `logits [b, classes]`, for any `h` and `w`
    ///
    /// Batch norms use the batch's own statistics where `images` is on an autodiff device, and the
    /// running ones elsewhere.
    ///
    /// # Panics
    ///
    /// If the images have another number of channels than the configuration says.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.features(images, |_| {});
        let x = x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2); // [b, c]
        linear(&self.fc, x, Activation::None)
    }

    /// The map that leaves every stage, the stem not counted, for `images [b, c, h, w]`: each of
    /// twice the channels and half the size of the one before.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut maps = Vec::new();
        self.features(images, |map| maps.push(map.clone()));
        maps
    }

    /// The last stage's map; `after_stage` sees each.
    fn features(&self, images: Tensor<4>, mut after_stage: impl FnMut(&Tensor<4>)) -> Tensor<4> {
        let [_, channels, _, _] = self.conv1.weight.dims();
        assert_shape!(images, [_, channels, _, _]);

        let mut x = conv_norm(&self.conv1, &self.bn1, images, None, Activation::Relu);
        if let Some(pool) = &self.maxpool {
            x = max_pool2d(pool, x);
        }
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        for stage in stages.into_iter().filter(|stage| !stage.is_empty()) {
            for block in stage {
                x = block.forward(x);
            }
            after_stage(&x);
        }
        x
    }
}

fn stem_pool() -> MaxPool2d {
    MaxPool2dConfig::new([3, 3])
        .with_strides([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init()
}
