//! EfficientNet-B0 (Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional
//! Neural Networks"), table 1: the inverted residuals of MobileNetV2 with squeeze-and-excitation (Hu
//! et al. 2018) and SiLU. The larger ones are wider and deeper configurations of the same kind.
//!
//! Departures, all of them torchvision's, whose tensors these are: batch norm with PyTorch's epsilon
//! (1e-5) and momentum (0.1 of the new batch), where the authors' release has 1e-3 and 0.01;
//! symmetric padding, where TensorFlow's "same" padding puts more at the end of an even size; for
//! stochastic depth see [`zoo_kernels::stochastic_depth`], and for Burn's running variance the departures of
//! ResNet, in `resnet.rs`.
//!
//! Convolutions start as N(0, 2 / fan-out) with biases at zero, batch norms as the identity, the
//! classifier as U(-k, k), k = 1 / sqrt(classes), with biases at zero, as in torchvision.

// b batch, c channels, h height, w width

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Initializer, Linear};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{
    Activation, conv_norm, conv2d, dropout, linear, sigmoid, silu, stochastic_depth,
};

use crate::conv_bn::{conv_bn, depthwise_bn, kaiming};
use crate::origin::rename;
use crate::range::{CHANNELS, CLASSES, WIDTHS, allowed, check, check_probability, check_stages};

/// What an [`EfficientNet`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfficientNetConfig {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// Channels of the first convolution, 3x3 with stride 2, 1..=8192.
    pub stem_channels: usize,
    /// The rows of table 1 that are MBConv, 1 to 16 of them.
    pub stages: Vec<EfficientNetStage>,
    /// Channels of the last convolution, 1x1, 1..=8192.
    pub last_channels: usize,
    /// Probability of leaving out the last block in training, 0..1; it grows linearly from 0 at the
    /// first block.
    pub stochastic_depth: f64,
    /// Probability of zeroing a feature before the classifier in training, 0..1.
    pub dropout: f64,
    /// Classes to tell apart, 2..=65536.
    pub num_classes: usize,
}

/// A row of table 1: blocks with the same number of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfficientNetStage {
    /// How many times a block widens what comes in, 1..=64; the digit of "MBConv6".
    pub expansion: usize,
    /// Side of the square kernel that filters each channel: odd, 1..=15.
    pub kernel: usize,
    /// What the first block divides height and width by, 1..=2.
    pub stride: usize,
    /// Channels that leave a block, 1..=8192.
    pub channels: usize,
    /// Blocks, 1..=256.
    pub repeats: usize,
}

impl EfficientNetConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![("efficientnet_b0", Self::efficientnet_b0())]
    }

    /// Table 1, for ImageNet. 5,288,548 parameters.
    pub fn efficientnet_b0() -> Self {
        Self {
            in_channels: 3,
            stem_channels: 32,
            stages: vec![
                // expansion, kernel, stride, channels, repeats
                row(1, 3, 1, 16, 1),
                row(6, 3, 2, 24, 2),
                row(6, 5, 2, 40, 2),
                row(6, 3, 2, 80, 3),
                row(6, 5, 1, 112, 3),
                row(6, 5, 2, 192, 4),
                row(6, 3, 1, 320, 1),
            ],
            last_channels: 1280,
            stochastic_depth: 0.2,
            dropout: 0.2,
            num_classes: 1000,
        }
    }

    /// Small enough for tests: a stage of each kind, the second with a block that adds its input.
    pub fn tiny() -> Self {
        Self {
            stem_channels: 8,
            stages: vec![row(1, 3, 1, 8, 1), row(2, 5, 2, 16, 2), row(3, 3, 1, 24, 1)],
            last_channels: 32,
            stochastic_depth: 0.0,
            dropout: 0.0,
            num_classes: 4,
            ..Self::efficientnet_b0()
        }
    }

    /// Channels of an image.
    ///
    /// Its size is free, since the last map is averaged over all its pixels. One pixel is the
    /// least; below 32x32 the last map of the preset has a single pixel that sees mostly padding.
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
        check("stem_channels", self.stem_channels, WIDTHS)?;
        check_stages("stages", self.stages.len(), 16)?;
        for (i, stage) in self.stages.iter().enumerate() {
            let key = |name| format!("stages[{i}].{name}");
            check(&key("expansion"), stage.expansion, 1..=64)?;
            check(&key("kernel"), stage.kernel, 1..=15)?;
            let is_odd = !stage.kernel.is_multiple_of(2);
            allowed(is_odd, &key("kernel"), "an odd number", stage.kernel)?;
            check(&key("stride"), stage.stride, 1..=2)?;
            check(&key("channels"), stage.channels, WIDTHS)?;
            check(&key("repeats"), stage.repeats, 1..=256)?;
        }
        check("last_channels", self.last_channels, WIDTHS)?;
        check_probability("stochastic_depth", self.stochastic_depth)?;
        check_probability("dropout", self.dropout)?;
        check("num_classes", self.num_classes, CLASSES)
    }

    /// Builds the network on `device`, with fresh weights.
    ///
    /// Burn draws a weight when it is first read, so seed the device before that.
    ///
    /// # Panics
    ///
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> EfficientNet {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let num_blocks: usize = self.stages.iter().map(|stage| stage.repeats).sum();
        let (mut channels, mut number) = (self.stem_channels, 0);
        let mut block = |stage: &EfficientNetStage, repeat: usize| {
            let stage = EfficientNetStage {
                stride: if repeat == 0 { stage.stride } else { 1 },
                ..*stage
            };
            let left_out = self.stochastic_depth * number as f64 / num_blocks as f64;
            let block = MbConv::new(channels, &stage, left_out, device);
            (channels, number) = (stage.channels, number + 1);
            block
        };
        let blocks = self.stages.iter().map(|stage| {
            let repeats = 0..stage.repeats;
            repeats.map(|repeat| block(stage, repeat)).collect()
        });
        let blocks = blocks.collect();

        let bound = 1.0 / (self.num_classes as f64).sqrt();
        let weight = Initializer::Uniform {
            min: -bound,
            max: bound,
        };
        EfficientNet {
            stem: conv_bn([self.in_channels, self.stem_channels], 3, 2, device),
            blocks,
            last: conv_bn([channels, self.last_channels], 1, 1, device),
            dropout: DropoutConfig::new(self.dropout).init(),
            classifier: Linear {
                weight: weight.init([self.last_channels, self.num_classes], device),
                bias: Some(Initializer::Zeros.init([self.num_classes], device)),
            },
        }
    }

    /// torchvision's name of a tensor of [`EfficientNet`]: there, stem, stages and last convolution
    /// are numbered straight on, and so are the layers of a block.
    pub fn origin_name(&self, ours: &str) -> String {
        let pair = |ours: &str, theirs: &str| (format!("{ours}."), format!("{theirs}."));
        let mut names = vec![
            pair("stem", "features.0"),
            pair("last", &format!("features.{}", self.stages.len() + 1)),
            pair("classifier", "classifier.1"), // after the dropout
        ];
        for (i, stage) in self.stages.iter().enumerate() {
            for block in 0..stage.repeats {
                let ours = format!("blocks.{i}.{block}");
                let theirs = format!("features.{}.{block}.block", i + 1);
                let layer = |name: &str, at: usize| {
                    pair(&format!("{ours}.{name}"), &format!("{theirs}.{at}"))
                };
                // A block that does not widen begins with its second layer.
                let second = usize::from(stage.expansion > 1);
                names.extend([
                    layer("expand", 0),
                    layer("depthwise", second),
                    layer("excitation", second + 1),
                    layer("project", second + 2),
                ]);
            }
        }
        rename(ours, &names)
    }
}

/// An EfficientNet; made by [`EfficientNetConfig::init`].
#[derive(Module, Debug)]
pub struct EfficientNet {
    /// The first convolution, which halves the image.
    pub stem: (Conv2d, BatchNorm),
    /// The blocks, by stage.
    pub blocks: Vec<Vec<MbConv>>,
    /// The last convolution, 1x1.
    pub last: (Conv2d, BatchNorm),
    /// Acts on what the classifier sees.
    pub dropout: Dropout,
    /// The output layer.
    pub classifier: Linear,
}

impl EfficientNet {
    /// `images [b, c, h, w]` -> `logits [b, classes]`, for any `h` and `w`
    ///
    /// Batch norms use the batch's own statistics, dropout zeroes, and blocks are left out, where
    /// `images` is on an autodiff device.
    ///
    /// # Panics
    ///
    /// If the images have another number of channels than the configuration says.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = conv_silu(&self.last, self.map(images, |_| {}));
        let x = x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2); // [b, c]
        linear(
            &self.classifier,
            dropout(&self.dropout, x),
            Activation::None,
        )
    }

    /// The last map of every size, the stem not counted, for `images [b, c, h, w]`: each half the
    /// size of the one before. The preset's have 16, 24, 40, 112 and 320 channels.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut maps = Vec::new();
        self.map(images, |map| maps.push(map.clone()));
        maps
    }

    /// The last block's map; `of_size` sees the last of every size.
    fn map(&self, images: Tensor<4>, mut of_size: impl FnMut(&Tensor<4>)) -> Tensor<4> {
        let [_, channels, _, _] = self.stem.0.weight.dims();
        assert_shape!(images, [_, channels, _, _]);

        let mut x = conv_silu(&self.stem, images);
        let mut blocks = self.blocks.iter().flatten().peekable();
        while let Some(block) = blocks.next() {
            x = block.forward(x);
            if blocks.peek().is_none_or(|next| next.halves()) {
                of_size(&x);
            }
        }
        x
    }
}

/// An inverted residual with squeeze-and-excitation, the paper's MBConv.
#[derive(Module, Debug)]
pub struct MbConv {
    /// The convolution that widens, 1x1; none where the expansion is 1.
    pub expand: Option<(Conv2d, BatchNorm)>,
    /// The convolution that filters every channel for itself; it halves the image where the block
    /// does.
    pub depthwise: (Conv2d, BatchNorm),
    /// Weighs the channels of the wide map.
    pub excitation: SqueezeExcitation,
    /// The convolution that narrows, 1x1, without a non-linearity.
    pub project: (Conv2d, BatchNorm),
    /// Whether what comes in is added to what leaves: where they have the same shape.
    pub residual: bool,
    /// Leaves out the block for a whole sample in training.
    pub stochastic_depth: Dropout,
}

impl MbConv {
    /// A block of the stage for `inputs` channels, left out with a probability.
    fn new(inputs: usize, stage: &EfficientNetStage, left_out: f64, device: &Device) -> Self {
        let EfficientNetStage {
            expansion,
            kernel,
            stride,
            channels,
            ..
        } = *stage;
        let hidden = inputs * expansion;
        // A quarter of what comes into the block, not of the wide map.
        let squeezed = (inputs / 4).max(1);
        Self {
            expand: (expansion > 1).then(|| conv_bn([inputs, hidden], 1, 1, device)),
            depthwise: depthwise_bn(hidden, kernel, stride, device),
            excitation: SqueezeExcitation::new(hidden, squeezed, device),
            project: conv_bn([hidden, channels], 1, 1, device),
            residual: stride == 1 && inputs == channels,
            stochastic_depth: DropoutConfig::new(left_out).init(),
        }
    }

    /// `x [b, c, h, w]` -> `[b, c', h, w]`, or `[b, c', (h+1)/2, (w+1)/2]` in a block that halves
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let residual = self.residual.then(|| x.clone());
        let x = match &self.expand {
            Some(expand) => conv_silu(expand, x),
            None => x,
        };
        let x = self.excitation.forward(conv_silu(&self.depthwise, x));
        let (conv, norm) = &self.project;
        let x = conv_norm(conv, norm, x, None, Activation::None);
        match residual {
            Some(residual) => {
                let [b, _, _, _] = x.dims();
                residual + stochastic_depth(&self.stochastic_depth, x, b)
            }
            None => x,
        }
    }

    fn halves(&self) -> bool {
        self.depthwise.0.stride != [1, 1]
    }
}

/// Weighs every channel by what all channels hold on average (Hu, Shen and Sun 2018,
/// "Squeeze-and-Excitation Networks", figure 1), with SiLU inside.
#[derive(Module, Debug)]
pub struct SqueezeExcitation {
    /// From the averages to few channels, 1x1.
    pub fc1: Conv2d,
    /// From these to a weight for every channel, 1x1.
    pub fc2: Conv2d,
}

impl SqueezeExcitation {
    fn new(channels: usize, squeezed: usize, device: &Device) -> Self {
        let conv = |[inputs, outputs]: [usize; 2]| Conv2d {
            bias: Some(Initializer::Zeros.init([outputs], device)),
            ..Conv2dConfig::new([inputs, outputs], [1, 1])
                .with_bias(false)
                .with_initializer(kaiming(outputs, 1))
                .init(device)
        };
        Self {
            fc1: conv([channels, squeezed]),
            fc2: conv([squeezed, channels]),
        }
    }

    /// `x [b, c, h, w]` -> the same, every channel of every image scaled by 0..1
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mean = x.clone().flatten::<3>(2, 3).mean_dim(2).unsqueeze_dim(3); // [b, c, 1, 1]
        let weight = silu(conv2d(&self.fc1, mean, Activation::None));
        let weight = sigmoid(conv2d(&self.fc2, weight, Activation::None));
        x * weight
    }
}

/// A convolution, its norm, and x·sigmoid(x).
fn conv_silu((conv, norm): &(Conv2d, BatchNorm), x: Tensor<4>) -> Tensor<4> {
    silu(conv_norm(conv, norm, x, None, Activation::None))
}

/// A row of table 1: the digit of MBConv, the kernel's side, stride, channels, layers.
fn row(
    expansion: usize,
    kernel: usize,
    stride: usize,
    channels: usize,
    repeats: usize,
) -> EfficientNetStage {
    EfficientNetStage {
        expansion,
        kernel,
        stride,
        channels,
        repeats,
    }
}
