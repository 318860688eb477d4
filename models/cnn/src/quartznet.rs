//! QuartzNet (Kriman, Beliaev, Ginsburg et al. 2019, "QuartzNet: deep automatic speech recognition
//! with 1D time-channel separable convolutions"): table 1, for CTC (Graves et al. 2006). Every
//! convolution over time is of one channel each, and a pointwise one mixes them.
//!
//! Departures: the paper leaves open what the networks of NeMo, its authors' toolkit, say, and those
//! are followed: "same" padding, an epsilon of 1e-3 in batch norms, a dilation of 2 in the last
//! convolution over time, and what lies behind the end of a recording is made zero before every
//! convolution over time. Time is the width of an image of height one, which is what the kernels of
//! this zoo compute with. Weights start as PyTorch's convolutions do, where NeMo draws Xavier's. In
//! training, a batch norm's statistics are of padded frames too, as in NeMo; in evaluation, nothing of
//! a recording depends on the batch that it is in.

// b batch, m bands, c channels, t frames, s frames after the first layer's stride

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::assert_shape;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv_norm, conv2d, dropout};

use crate::range::{CHANNELS, CLASSES, WIDTHS, allowed, check, check_probability, check_stages};

/// What a [`QuartzNet`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuartzNetConfig {
    /// Bands of a log-mel spectrogram, 1..=1024.
    pub in_channels: usize,
    /// The first layer.
    pub stem: QuartzNetStem,
    /// One to sixteen stages of residual blocks.
    pub stages: Vec<QuartzNetStage>,
    /// Separable convolutions in a block, 1..=16: R in the paper.
    pub repeats: usize,
    /// The last convolution over time.
    pub tail: QuartzNetTail,
    /// Channels of the pointwise convolution before the classes, 1..=8192.
    pub head_width: usize,
    /// Probability of zeroing an activation after a layer, 0..1.
    pub dropout: f64,
    /// Letters and the blank, 2..=65536.
    pub num_classes: usize,
}

/// The first layer: C1 in the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuartzNetStem {
    /// Channels, 1..=8192.
    pub width: usize,
    /// Frames that a channel sees at once, odd, 1..=255.
    pub kernel: usize,
    /// Frames from one that leaves to the next, 1..=8.
    pub stride: usize,
}

/// Residual blocks of one shape: B1 to B5 in the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuartzNetStage {
    /// Blocks, 1..=16: S in the paper.
    pub blocks: usize,
    /// Channels, 1..=8192.
    pub width: usize,
    /// Frames that a channel sees at once, odd, 1..=255.
    pub kernel: usize,
}

/// The last convolution over time: C2 in the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuartzNetTail {
    /// Channels, 1..=8192.
    pub width: usize,
    /// Frames that a channel sees at once, odd, 1..=255.
    pub kernel: usize,
    /// Frames from one of these to the next, 1..=8.
    pub dilation: usize,
}

impl QuartzNetConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("quartznet-small", Self::small()),
            ("quartznet5x5", Self::quartznet5x5()),
            ("quartznet10x5", Self::quartznet10x5()),
            ("quartznet15x5", Self::quartznet15x5()),
        ]
    }

    /// Table 1, "5x5": English in 28 letters and the blank. 6.7 million parameters.
    pub fn quartznet5x5() -> Self {
        Self::table_1(1)
    }

    /// Table 1, "10x5". 12.8 million parameters.
    pub fn quartznet10x5() -> Self {
        Self::table_1(2)
    }

    /// Table 1, "15x5". 18.9 million parameters.
    pub fn quartznet15x5() -> Self {
        Self::table_1(3)
    }

    /// For a few words, on a processor: one block, and a frame for every eighth of a spectrogram's, so
    /// that one that leaves is about as long as a sound of speech. Not of the paper.
    pub fn small() -> Self {
        Self {
            in_channels: 40,
            stem: QuartzNetStem {
                width: 64,
                kernel: 21,
                stride: 8,
            },
            stages: vec![QuartzNetStage {
                blocks: 1,
                width: 64,
                kernel: 5,
            }],
            repeats: 1,
            tail: QuartzNetTail {
                width: 64,
                kernel: 3,
                dilation: 1,
            },
            head_width: 128,
            dropout: 0.2,
            num_classes: 29,
        }
    }

    /// Small enough for tests.
    pub fn tiny() -> Self {
        let stage = |width, kernel| QuartzNetStage {
            blocks: 1,
            width,
            kernel,
        };
        Self {
            in_channels: 6,
            stem: QuartzNetStem {
                width: 4,
                kernel: 5,
                stride: 2,
            },
            stages: vec![stage(4, 3), stage(6, 5)],
            repeats: 2,
            tail: QuartzNetTail {
                width: 6,
                kernel: 3,
                dilation: 2,
            },
            head_width: 8,
            dropout: 0.0,
            num_classes: 5,
        }
    }

    fn table_1(blocks: usize) -> Self {
        let stage = |width, kernel| QuartzNetStage {
            blocks,
            width,
            kernel,
        };
        Self {
            in_channels: 64,
            stem: QuartzNetStem {
                width: 256,
                kernel: 33,
                stride: 2,
            },
            stages: vec![
                stage(256, 33),
                stage(256, 39),
                stage(512, 51),
                stage(512, 63),
                stage(512, 75),
            ],
            repeats: 5,
            tail: QuartzNetTail {
                width: 512,
                kernel: 87,
                dilation: 2,
            },
            head_width: 1024,
            dropout: 0.0,
            num_classes: 29,
        }
    }

    /// Bands of a log-mel spectrogram. Its length is free.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Logits for one frame.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Frames that leave for so many that enter.
    pub fn output_length(&self, frames: usize) -> usize {
        frames.div_ceil(self.stem.stride)
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// The first offending key as a recipe spells it, its range, and the value found.
    pub fn validate(&self) -> Result<(), String> {
        check("in_channels", self.in_channels, CHANNELS)?;
        check("stem.width", self.stem.width, WIDTHS)?;
        check_kernel("stem.kernel", self.stem.kernel)?;
        check("stem.stride", self.stem.stride, 1..=8)?;
        check_stages("stages", self.stages.len(), 16)?;
        for (number, stage) in self.stages.iter().enumerate() {
            check(&format!("stages[{number}].blocks"), stage.blocks, 1..=16)?;
            check(&format!("stages[{number}].width"), stage.width, WIDTHS)?;
            check_kernel(&format!("stages[{number}].kernel"), stage.kernel)?;
        }
        check("repeats", self.repeats, 1..=16)?;
        check("tail.width", self.tail.width, WIDTHS)?;
        check_kernel("tail.kernel", self.tail.kernel)?;
        check("tail.dilation", self.tail.dilation, 1..=8)?;
        check("head_width", self.head_width, WIDTHS)?;
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
    pub fn init(&self, device: &Device) -> QuartzNet {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let (stem, tail) = (self.stem, self.tail);
        let mut width = stem.width;
        let mut blocks = Vec::new();
        for stage in &self.stages {
            for _ in 0..stage.blocks {
                blocks.push(QuartzNetBlock::new(width, *stage, self.repeats, device));
                width = stage.width;
            }
        }
        let over_time = Window {
            kernel: tail.kernel,
            dilation: tail.dilation,
            stride: 1,
        };
        QuartzNet {
            stem: Separable::new(
                [self.in_channels, stem.width],
                Window {
                    kernel: stem.kernel,
                    dilation: 1,
                    stride: stem.stride,
                },
                device,
            ),
            blocks,
            tail: Separable::new([width, tail.width], over_time, device),
            head: pointwise_norm([tail.width, self.head_width], device),
            classes: Conv2dConfig::new([self.head_width, self.num_classes], [1, 1]).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }
}

/// Odd, so that a frame sees as many before as after it.
fn check_kernel(key: &str, kernel: usize) -> Result<(), String> {
    check(key, kernel, 1..=255)?;
    allowed(kernel % 2 == 1, key, "an odd number", kernel)
}

/// A network for CTC; made by [`QuartzNetConfig::init`].
#[derive(Module, Debug)]
pub struct QuartzNet {
    /// C1: fewer frames.
    pub stem: Separable,
    /// The residual blocks of all stages.
    pub blocks: Vec<QuartzNetBlock>,
    /// C2: the last convolution over time.
    pub tail: Separable,
    /// C3: a pointwise convolution and its norm.
    pub head: (Conv2d, BatchNorm),
    /// C4: the pointwise convolution to the classes.
    pub classes: Conv2d,
    /// After every layer.
    pub dropout: Dropout,
}

impl QuartzNet {
    /// `features [b, m, t]`, `lengths [b]` -> `logits [b, s, classes]`
    ///
    /// Of recording `i`, the first [`output_lengths`](Self::output_lengths)`[i]` frames count. They do
    /// not depend on what `features` holds behind `lengths[i]`, nor on how far they are padded.
    /// Batch norms use the batch's own statistics where `features` is on an autodiff device, and the
    /// running ones elsewhere.
    ///
    /// # Panics
    ///
    /// If the features have another number of bands than the configuration says.
    pub fn forward(&self, features: Tensor<3>, lengths: Tensor<1, Int>) -> Tensor<3> {
        let [bands, _, _, _] = self.stem.depthwise.weight.dims();
        assert_shape!(features, [_, bands, _]);
        let [batch, _, frames] = features.dims();
        assert_shape!(lengths, [batch]);

        let x = features.unsqueeze_dim(2); // [b, m, 1, t]
        let mask = mask(lengths.clone(), frames);
        let x = dropout(&self.dropout, self.stem.forward(x, &mask)); // [b, c, 1, s]
        let [_, _, _, frames] = x.dims();
        let mask = self::mask(self.output_lengths(lengths), frames);
        let x = (self.blocks.iter()).fold(x, |x, block| block.forward(x, &mask, &self.dropout));
        let x = dropout(&self.dropout, self.tail.forward(x, &mask));
        let (conv, norm) = &self.head;
        let x = dropout(
            &self.dropout,
            conv_norm(conv, norm, x, None, Activation::Relu),
        );
        let logits: Tensor<3> = conv2d(&self.classes, x, Activation::None).squeeze_dim(2);
        logits.swap_dims(1, 2)
    }

    /// Frames that leave for `lengths [b]` that enter.
    pub fn output_lengths(&self, lengths: Tensor<1, Int>) -> Tensor<1, Int> {
        let [_, stride] = self.stem.depthwise.stride;
        lengths
            .add_scalar(stride as i64 - 1)
            .div_scalar(stride as i64)
    }
}

/// `lengths [b]` -> `[b, 1, 1, t]`: one where a recording is, zero behind its end.
fn mask(lengths: Tensor<1, Int>, frames: usize) -> Tensor<4> {
    let [batch] = lengths.dims();
    let places = Tensor::<1, Int>::arange(0..frames as i64, &lengths.device());
    let places = places.reshape([1, frames]).expand([batch, frames]);
    let within = places.lower(lengths.reshape([batch, 1]).expand([batch, frames]));
    within.float().reshape([batch, 1, 1, frames])
}

/// Separable convolutions, and what entered added before the last activation.
#[derive(Module, Debug)]
pub struct QuartzNetBlock {
    /// The convolutions, R of them.
    pub layers: Vec<Separable>,
    /// A pointwise convolution of what entered, and its norm.
    pub shortcut: (Conv2d, BatchNorm),
}

impl QuartzNetBlock {
    fn new(inputs: usize, stage: QuartzNetStage, repeats: usize, device: &Device) -> Self {
        let QuartzNetStage { width, kernel, .. } = stage;
        let window = Window {
            kernel,
            dilation: 1,
            stride: 1,
        };
        let layer = |number| {
            let from = if number == 0 { inputs } else { width };
            Separable::new([from, width], window, device)
        };
        Self {
            layers: (0..repeats).map(layer).collect(),
            shortcut: pointwise_norm([inputs, width], device),
        }
    }

    /// `x [b, c, 1, s]`, `mask [b, 1, 1, s]` -> `[b, c', 1, s]`
    fn forward(&self, x: Tensor<4>, mask: &Tensor<4>, dropout: &Dropout) -> Tensor<4> {
        let (conv, norm) = &self.shortcut;
        let mut residual = Some(conv_norm(conv, norm, x.clone(), None, Activation::None));
        let last = self.layers.len() - 1;
        self.layers
            .iter()
            .enumerate()
            .fold(x, |x, (number, layer)| {
                let residual = if number == last {
                    residual.take()
                } else {
                    None
                };
                zoo_kernels::dropout(dropout, layer.add(x, mask, residual))
            })
    }
}

/// A convolution over time of every channel for itself, a pointwise one, and its norm.
#[derive(Module, Debug)]
pub struct Separable {
    /// Over time.
    pub depthwise: Conv2d,
    /// Over channels.
    pub pointwise: Conv2d,
    /// Of what leaves.
    pub norm: BatchNorm,
}

/// What a convolution over time sees.
#[derive(Clone, Copy)]
struct Window {
    kernel: usize,
    dilation: usize,
    stride: usize,
}

impl Separable {
    fn new([inputs, outputs]: [usize; 2], window: Window, device: &Device) -> Self {
        let margin = window.dilation * (window.kernel / 2);
        let depthwise = Conv2dConfig::new([inputs, inputs], [1, window.kernel])
            .with_groups(inputs)
            .with_stride([1, window.stride])
            .with_dilation([1, window.dilation])
            .with_padding(PaddingConfig2d::Explicit(0, margin, 0, margin))
            .with_bias(false);
        let (pointwise, norm) = pointwise_norm([inputs, outputs], device);
        Self {
            depthwise: depthwise.init(device),
            pointwise,
            norm,
        }
    }

    /// `x [b, c, 1, t]`, `mask [b, 1, 1, t]` -> `[b, c', 1, t']`
    fn forward(&self, x: Tensor<4>, mask: &Tensor<4>) -> Tensor<4> {
        self.add(x, mask, None)
    }

    /// The same, with `residual` added before ReLU.
    fn add(&self, x: Tensor<4>, mask: &Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let x = conv2d(&self.depthwise, x * mask.clone(), Activation::None);
        conv_norm(&self.pointwise, &self.norm, x, residual, Activation::Relu)
    }
}

/// Without a bias, because the norm would cancel it.
fn pointwise_norm(channels: [usize; 2], device: &Device) -> (Conv2d, BatchNorm) {
    let conv = Conv2dConfig::new(channels, [1, 1]).with_bias(false);
    let norm = BatchNormConfig::new(channels[1]).with_epsilon(1e-3);
    (conv.init(device), norm.init(device))
}
