//! MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov and Chen 2018, "MobileNetV2: Inverted Residuals and
//! Linear Bottlenecks"), table 2: narrow maps are widened, filtered channel by channel, and narrowed
//! again without a non-linearity.
//!
//! Departures, all of them torchvision's, whose tensors these are: dropout before a linear
//! classifier, where the paper has a 1x1 convolution; no widening convolution where the expansion
//! is 1, as in the authors' release. For Burn's running variance see the departures of ResNet, in
//! `resnet.rs`.
//!
//! Convolutions start as N(0, 2 / fan-out), batch norms as the identity, the classifier as
//! N(0, 0.01²) with biases at zero, as in torchvision.

// b batch, c channels, h height, w width

use std::iter::repeat_n;

use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Initializer, Linear};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv_norm, dropout, linear};

use crate::conv_bn::{conv_bn, depthwise_bn};
use crate::origin::rename;
use crate::range::{CHANNELS, CLASSES, WIDTHS, check, check_probability, check_stages};

/// What a [`MobileNetV2`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV2Config {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// Channels of the first convolution, 3x3 with stride 2, 1..=8192.
    pub stem_channels: usize,
    /// The rows of table 2 that are bottlenecks, 1 to 16 of them.
    pub stages: Vec<MobileNetV2Stage>,
    /// Channels of the last convolution, 1x1, 1..=8192.
    pub last_channels: usize,
    /// Probability of zeroing a feature before the classifier in training, 0..1.
    pub dropout: f64,
    /// Classes to tell apart, 2..=65536.
    pub num_classes: usize,
}

/// A row of table 2: blocks with the same number of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV2Stage {
    /// t: how many times a block widens what comes in, 1..=64.
    pub expansion: usize,
    /// c: channels that leave a block, 1..=8192.
    pub channels: usize,
    /// n: blocks, 1..=256.
    pub repeats: usize,
    /// s: what the first block divides height and width by, 1..=2.
    pub stride: usize,
}

impl MobileNetV2Config {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![("mobilenet_v2", Self::mobilenet_v2())]
    }

    /// Table 2, for ImageNet. 3,504,872 parameters.
    pub fn mobilenet_v2() -> Self {
        Self {
            in_channels: 3,
            stem_channels: 32,
            stages: vec![
                // t, c, n, s
                row(1, 16, 1, 1),
                row(6, 24, 2, 2),
                row(6, 32, 3, 2),
                row(6, 64, 4, 2),
                row(6, 96, 3, 1),
                row(6, 160, 3, 2),
                row(6, 320, 1, 1),
            ],
            last_channels: 1280,
            dropout: 0.2,
            num_classes: 1000,
        }
    }

    /// Small enough for tests: a stage of each kind, the second with a block that adds its input.
    pub fn tiny() -> Self {
        Self {
            stem_channels: 8,
            stages: vec![row(1, 8, 1, 1), row(2, 16, 2, 2), row(3, 24, 1, 1)],
            last_channels: 32,
            dropout: 0.0,
            num_classes: 4,
            ..Self::mobilenet_v2()
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
            check(&key("channels"), stage.channels, WIDTHS)?;
            check(&key("repeats"), stage.repeats, 1..=256)?;
            check(&key("stride"), stage.stride, 1..=2)?;
        }
        check("last_channels", self.last_channels, WIDTHS)?;
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
    pub fn init(&self, device: &Device) -> MobileNetV2 {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let mut channels = self.stem_channels;
        let mut blocks = Vec::new();
        for stage in &self.stages {
            for repeat in 0..stage.repeats {
                let stride = if repeat == 0 { stage.stride } else { 1 };
                let ends = [channels, stage.channels];
                let block = InvertedResidual::new(ends, stage.expansion, stride, device);
                blocks.push(block);
                channels = stage.channels;
            }
        }
        let weight = Initializer::Normal {
            mean: 0.0,
            std: 0.01,
        };
        MobileNetV2 {
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

    /// torchvision's name of a tensor of [`MobileNetV2`]: there, stem, blocks and last convolution
    /// are numbered straight on, and so are the layers of a block.
    pub fn origin_name(&self, ours: &str) -> String {
        let pair = |ours: &str, theirs: &str| (format!("{ours}."), format!("{theirs}."));
        let mut names = vec![
            pair("stem", "features.0"),
            pair("classifier", "classifier.1"), // after the dropout
        ];
        let stages = self.stages.iter();
        let blocks = stages.flat_map(|stage| repeat_n(stage, stage.repeats));
        let mut number = 1;
        for (block, stage) in blocks.enumerate() {
            let (ours, theirs) = (format!("blocks.{block}"), format!("features.{number}.conv"));
            let layer =
                |name: &str, at: usize| pair(&format!("{ours}.{name}"), &format!("{theirs}.{at}"));
            // A block that does not widen begins with its second layer.
            let second = usize::from(stage.expansion > 1);
            names.extend([
                layer("expand", 0),
                layer("depthwise", second),
                layer("project.0", second + 1),
                layer("project.1", second + 2), // no pair there
            ]);
            number += 1;
        }
        names.push(pair("last", &format!("features.{number}")));
        rename(ours, &names)
    }
}

/// A MobileNetV2; made by [`MobileNetV2Config::init`].
#[derive(Module, Debug)]
pub struct MobileNetV2 {
    /// The first convolution, which halves the image.
    pub stem: (Conv2d, BatchNorm),
    /// The blocks of all stages.
    pub blocks: Vec<InvertedResidual>,
    /// The last convolution, 1x1.
    pub last: (Conv2d, BatchNorm),
    /// Acts on what the classifier sees.
    pub dropout: Dropout,
    /// The output layer.
    pub classifier: Linear,
}

impl MobileNetV2 {
    /// `images [b, c, h, w]` -> `logits [b, classes]`, for any `h` and `w`
    ///
    /// Batch norms use the batch's own statistics, and dropout zeroes, where `images` is on an
    /// autodiff device.
    ///
    /// # Panics
    ///
    /// If the images have another number of channels than the configuration says.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = conv_relu6(&self.last, self.map(images, |_| {}));
        let x = x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2); // [b, c]
        linear(
            &self.classifier,
            dropout(&self.dropout, x),
            Activation::None,
        )
    }

    /// The last map of every size, the stem not counted, for `images [b, c, h, w]`: each half the
    /// size of the one before. The preset's have 16, 24, 32, 96 and 320 channels.
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

        let mut x = conv_relu6(&self.stem, images);
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            if self.blocks.get(i + 1).is_none_or(InvertedResidual::halves) {
                of_size(&x);
            }
        }
        x
    }
}

/// Wide between narrow ends (section 3.3, figure 3 (b)): a 1x1 convolution widens, a 3x3 filters
/// every channel for itself, and a 1x1 narrows. The narrow ends are linear (section 3.2).
#[derive(Module, Debug)]
pub struct InvertedResidual {
    /// The convolution that widens; none where the expansion is 1.
    pub expand: Option<(Conv2d, BatchNorm)>,
    /// The convolution that filters; it halves the image where the block does.
    pub depthwise: (Conv2d, BatchNorm),
    /// The convolution that narrows.
    pub project: (Conv2d, BatchNorm),
    /// Whether what comes in is added to what leaves: where they have the same shape.
    pub residual: bool,
}

impl InvertedResidual {
    /// A block from `in` to `out` channels.
    fn new(
        [inputs, outputs]: [usize; 2],
        expansion: usize,
        stride: usize,
        device: &Device,
    ) -> Self {
        let hidden = inputs * expansion;
        Self {
            expand: (expansion > 1).then(|| conv_bn([inputs, hidden], 1, 1, device)),
            depthwise: depthwise_bn(hidden, 3, stride, device),
            project: conv_bn([hidden, outputs], 1, 1, device),
            residual: stride == 1 && inputs == outputs,
        }
    }

    /// `x [b, c, h, w]` -> `[b, c', h, w]`, or `[b, c', (h+1)/2, (w+1)/2]` in a block that halves
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let residual = self.residual.then(|| x.clone());
        let x = match &self.expand {
            Some(expand) => conv_relu6(expand, x), // [b, t·c, h, w]
            None => x,
        };
        let x = conv_relu6(&self.depthwise, x);
        let (conv, norm) = &self.project;
        conv_norm(conv, norm, x, residual, Activation::None)
    }

    fn halves(&self) -> bool {
        self.depthwise.0.stride != [1, 1]
    }
}

/// A convolution, its norm, and min(max(x, 0), 6): ReLU6, which the paper takes for its robustness
/// in low precision.
fn conv_relu6((conv, norm): &(Conv2d, BatchNorm), x: Tensor<4>) -> Tensor<4> {
    conv_norm(conv, norm, x, None, Activation::Relu).clamp_max(6.0)
}

/// A row of table 2, in its order: t, c, n, s.
fn row(expansion: usize, channels: usize, repeats: usize, stride: usize) -> MobileNetV2Stage {
    MobileNetV2Stage {
        expansion,
        channels,
        repeats,
        stride,
    }
}
