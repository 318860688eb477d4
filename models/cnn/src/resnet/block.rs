//! The residual blocks (He et al. 2015, figure 5): a basic one on the left, a bottleneck on the
//! right, in one type, so that tensors have torchvision's names whichever it is.

// b batch, c channels, h height, w width

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::ops::PadMode;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv_norm};

/// How many convolutions a shortcut goes around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// Two 3x3 convolutions.
    Basic,
    /// A 1x1 convolution that narrows, a 3x3, and a 1x1 that widens to four times the channels.
    Bottleneck,
}

impl BlockKind {
    /// The channels that leave a block, in those of its 3x3 convolution.
    pub fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// The shortcut of a block that changes the shape (section 3.3); any other block's is the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortcut {
    /// Option A: every second pixel, with zero channels for those that are missing. No parameters.
    ZeroPad,
    /// Option B: a 1x1 convolution of the block's stride and a batch norm.
    Projection,
}

/// What a [`Block`] is made of.
pub(super) struct BlockConfig {
    pub kind: BlockKind,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels of the 3x3 convolutions.
    pub width: usize,
    /// 2 in a block that halves the image, otherwise 1.
    pub stride: usize,
    pub shortcut: Shortcut,
}

impl BlockConfig {
    pub fn init(&self, device: &Device) -> Block {
        let (inputs, width, stride) = (self.inputs, self.width, self.stride);
        let outputs = width * self.kind.expansion();
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let conv = |channels, kernel, stride| conv(channels, kernel, stride).init(device);

        let (conv1, conv2, third) = match self.kind {
            BlockKind::Basic => (
                conv([inputs, width], 3, stride),
                conv([width, width], 3, 1),
                None,
            ),
            BlockKind::Bottleneck => (
                conv([inputs, width], 1, 1),
                conv([width, width], 3, stride),
                Some((conv([width, outputs], 1, 1), norm(outputs))),
            ),
        };
        let (conv3, bn3) = third.unzip();
        let changes = stride > 1 || inputs != outputs;
        let downsample = (changes && self.shortcut == Shortcut::Projection)
            .then(|| (conv([inputs, outputs], 1, stride), norm(outputs)));
        Block {
            conv1,
            bn1: norm(width),
            conv2,
            bn2: norm(width),
            conv3,
            bn3,
            downsample,
            stride,
        }
    }
}

/// Two or three convolutions and a shortcut around them.
#[derive(Module, Debug)]
pub struct Block {
    /// The first convolution: 3x3, or 1x1 in a bottleneck.
    pub conv1: Conv2d,
    /// Its batch norm.
    pub bn1: BatchNorm,
    /// The second convolution, 3x3.
    pub conv2: Conv2d,
    /// Its batch norm.
    pub bn2: BatchNorm,
    /// The third convolution, 1x1, of a bottleneck.
    pub conv3: Option<Conv2d>,
    /// Its batch norm.
    pub bn3: Option<BatchNorm>,
    /// The projection of option B. A pair, so that its tensors are `downsample.0` and `.1`.
    pub downsample: Option<(Conv2d, BatchNorm)>,
    /// What the block divides height and width by.
    pub stride: usize,
}

impl Block {
    /// `x [b, c, h, w]` -> `[b, c', h, w]`, or `[b, c', (h+1)/2, (w+1)/2]` in a block that halves
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = Some(self.shortcut(x.clone()));
        let x = conv_norm(&self.conv1, &self.bn1, x, None, Activation::Relu);
        match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let x = conv_norm(&self.conv2, &self.bn2, x, None, Activation::Relu);
                conv_norm(conv3, bn3, x, shortcut, Activation::Relu)
            }
            _ => conv_norm(&self.conv2, &self.bn2, x, shortcut, Activation::Relu),
        }
    }

    fn shortcut(&self, x: Tensor<4>) -> Tensor<4> {
        if let Some((conv, norm)) = &self.downsample {
            return conv_norm(conv, norm, x, None, Activation::None);
        }
        let [_, inputs, _, _] = self.conv1.weight.dims();
        let [outputs, _, _, _] = self.conv3.as_ref().unwrap_or(&self.conv2).weight.dims();
        if inputs == outputs {
            return x;
        }
        let step = self.stride as isize;
        let x = x.slice(s![.., .., ..;step, ..;step]); // [b, c, (h+1)/2, (w+1)/2]
        let missing = (0, outputs - inputs);
        x.pad([missing, (0, 0), (0, 0)], PadMode::Constant(0.0))
    }
}

/// A convolution that keeps the image's size, divided by `stride`. Without bias, because the batch
/// norm that follows would cancel it.
pub(super) fn conv(channels: [usize; 2], kernel: usize, stride: usize) -> Conv2dConfig {
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
