//! Residual networks with basic blocks (He, Zhang, Ren and Sun 2015, "Deep residual learning for
//! image recognition"): section 4.2 for CIFAR-10 and table 1 for ImageNet.
//!
//! Departures: the paper leaves open where option A pads; like the authors' Torch release, zero
//! channels go after the existing ones. The ImageNet kind is torchvision's, tensor names included.
//! Burn's batch norm has PyTorch's epsilon (1e-5) and momentum (0.1 of the new batch), and, unlike
//! PyTorch, keeps the *biased* batch variance as running variance: smaller by 1 - 1/n, n being
//! the pixels a channel is averaged over.
//!
//! Convolutions start as N(0, 2 / fan-out) (He et al. 2015, "Delving deep into rectifiers"), as in
//! both releases; batch norms as the identity; the classifier as U(-k, k), k = 1 / sqrt(fan-in).

// b batch, c channels, h height, w width

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::ops::PadMode;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv_norm, linear, max_pool2d};

use crate::range::{CHANNELS, CLASSES, check};

/// What a [`ResNet`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// How an image enters.
    pub stem: Stem,
    /// Residual blocks in each stage: one to four stages of 1..=256 blocks.
    pub blocks: Vec<usize>,
    /// Channels of the first stage, 1..=1024; every later stage doubles them and halves the image.
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

/// The shortcut of a block that changes the shape (section 3.3); any other block's is the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortcut {
    /// Option A: every second pixel, with zero channels for those that are missing. No parameters.
    ZeroPad,
    /// Option B: a 1x1 convolution of stride 2 and a batch norm.
    Projection,
}

/// Every preset by name, in the order to list them.
pub fn resnet_presets() -> Vec<(&'static str, ResNetConfig)> {
    vec![
        ("resnet20", ResNetConfig::resnet20()),
        ("resnet32", ResNetConfig::resnet32()),
        ("resnet56", ResNetConfig::resnet56()),
        ("resnet18", ResNetConfig::resnet18()),
        ("resnet34", ResNetConfig::resnet34()),
    ]
}

impl ResNetConfig {
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
        Self::imagenet([2, 2, 2, 2])
    }

    /// Table 1, "34-layer", for ImageNet. 21,797,672 parameters.
    pub fn resnet34() -> Self {
        Self::imagenet([3, 4, 6, 3])
    }

    fn cifar(blocks_per_stage: usize) -> Self {
        Self {
            in_channels: 3,
            stem: Stem::Cifar,
            blocks: vec![blocks_per_stage; 3],
            width: 16,
            shortcut: Shortcut::ZeroPad,
            num_classes: 10,
        }
    }

    fn imagenet(blocks: [usize; 4]) -> Self {
        Self {
            in_channels: 3,
            stem: Stem::Imagenet,
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
        if !(1..=4).contains(&self.blocks.len()) {
            return Err(format!(
                "model.blocks must list 1 to 4 stages; found {:?}",
                self.blocks
            ));
        }
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
        let last_width = self.width << (self.blocks.len() - 1);
        ResNet {
            conv1: conv([self.in_channels, self.width], kernel, stride).init(device),
            bn1: BatchNormConfig::new(self.width).init(device),
            maxpool,
            layer1: self.init_stage(0, device),
            layer2: self.init_stage(1, device),
            layer3: self.init_stage(2, device),
            layer4: self.init_stage(3, device),
            fc: LinearConfig::new(last_width, self.num_classes).init(device),
        }
    }

    /// The blocks of one stage, counted from 0; none where the configuration has fewer stages.
    fn init_stage(&self, stage: usize, device: &Device) -> Vec<BasicBlock> {
        let blocks = self.blocks.get(stage).copied().unwrap_or(0);
        let width = self.width << stage;
        (0..blocks)
            .map(|block| match (stage, block) {
                // The first stage keeps the stem's shape, every other halves and widens it.
                (1.., 0) => BasicBlock::halving(width, self.shortcut, device),
                _ => BasicBlock::new([width, width], 1, device),
            })
            .collect()
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
    pub layer1: Vec<BasicBlock>,
    /// The second stage; empty in a network of fewer.
    pub layer2: Vec<BasicBlock>,
    /// The third stage; empty in a network of fewer.
    pub layer3: Vec<BasicBlock>,
    /// The fourth stage; empty in a network of fewer, as the CIFAR presets are.
    pub layer4: Vec<BasicBlock>,
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
        let [_, channels, _, _] = self.conv1.weight.dims();
        assert_shape!(images, [_, channels, _, _]);

        let mut x = conv_norm(&self.conv1, &self.bn1, images, None, Activation::Relu);
        if let Some(pool) = &self.maxpool {
            x = max_pool2d(pool, x);
        }
        for stage in [&self.layer1, &self.layer2, &self.layer3, &self.layer4] {
            for block in stage {
                x = block.forward(x);
            }
        }
        let x = x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2); // [b, c]
        linear(&self.fc, x, Activation::None)
    }
}

/// Two 3x3 convolutions and a shortcut around them (figure 2 of the paper, and figure 5 left).
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// The first convolution; it halves the image where the block does.
    pub conv1: Conv2d,
    /// Its batch norm.
    pub bn1: BatchNorm,
    /// The second convolution.
    pub conv2: Conv2d,
    /// Its batch norm.
    pub bn2: BatchNorm,
    /// The projection of option B. A pair, so that its tensors are `downsample.0` and `.1`.
    pub downsample: Option<(Conv2d, BatchNorm)>,
}

impl BasicBlock {
    /// A block from `in` to `out` channels, without a projection.
    fn new([c_in, c_out]: [usize; 2], stride: usize, device: &Device) -> Self {
        Self {
            conv1: conv([c_in, c_out], 3, stride).init(device),
            bn1: BatchNormConfig::new(c_out).init(device),
            conv2: conv([c_out, c_out], 3, 1).init(device),
            bn2: BatchNormConfig::new(c_out).init(device),
            downsample: None,
        }
    }

    /// The first block of a later stage: half the image, twice the channels.
    fn halving(c_out: usize, shortcut: Shortcut, device: &Device) -> Self {
        let c_in = c_out / 2;
        let downsample = match shortcut {
            Shortcut::ZeroPad => None,
            Shortcut::Projection => Some((
                conv([c_in, c_out], 1, 2).init(device),
                BatchNormConfig::new(c_out).init(device),
            )),
        };
        Self {
            downsample,
            ..Self::new([c_in, c_out], 2, device)
        }
    }

    /// `x [b, c, h, w]` -> `[b, c, h, w]`, or `[b, 2c, (h+1)/2, (w+1)/2]` in a block that halves
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = Some(self.shortcut(x.clone()));
        let x = conv_norm(&self.conv1, &self.bn1, x, None, Activation::Relu);
        conv_norm(&self.conv2, &self.bn2, x, shortcut, Activation::Relu)
    }

    fn shortcut(&self, x: Tensor<4>) -> Tensor<4> {
        if let Some((conv, norm)) = &self.downsample {
            return conv_norm(conv, norm, x, None, Activation::None);
        }
        let [c_out, c_in, _, _] = self.conv1.weight.dims();
        if c_in == c_out {
            return x;
        }
        let x = x.slice(s![.., .., ..;2, ..;2]); // [b, c, (h+1)/2, (w+1)/2]
        x.pad([(0, c_out - c_in), (0, 0), (0, 0)], PadMode::Constant(0.0))
    }
}

/// A convolution that keeps the image's size, divided by `stride`. Without bias, because the batch
/// norm that follows would cancel it.
fn conv(channels: [usize; 2], kernel: usize, stride: usize) -> Conv2dConfig {
    let margin = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(margin, margin, margin, margin))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal {
            gain: f64::sqrt(2.0),
            fan_out_only: true,
        })
}

fn stem_pool() -> MaxPool2d {
    MaxPool2dConfig::new([3, 3])
        .with_strides([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init()
}
