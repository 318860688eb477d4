//! VGG with batch norm (Simonyan and Zisserman 2014, "Very deep convolutional networks for
//! large-scale image recognition", table 1): nothing but 3x3 convolutions, in stages that end in a
//! pooling, and three linear layers.
//!
//! Departures, all of them torchvision's, whose tensors these are: a batch norm after every
//! convolution, which the paper is older than; the last map is averaged to 7x7 pixels, so that
//! images of any size fit the linear layers, where the paper turns those into convolutions.
//! For Burn's running variance see the departures of ResNet, in `resnet.rs`.
//!
//! Convolutions start as N(0, 2 / fan-out), batch norms as the identity, linear weights as
//! N(0, 0.01²), biases at zero, as in torchvision.

// b batch, c channels, h height, w width

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Initializer, Linear, LinearConfig,
    PaddingConfig2d,
};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv_norm, dropout, linear, max_pool2d};

use crate::range::{CHANNELS, CLASSES, check, check_probability, check_stages};

/// What a [`Vgg`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VggConfig {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// Convolutions in each stage: one to five stages of 1..=16.
    pub convolutions: Vec<usize>,
    /// Channels of the first stage, 1..=1024; every later one doubles them, up to eight times as
    /// many.
    pub width: usize,
    /// Units of the first and of the second linear layer, 1..=65536.
    pub hidden: usize,
    /// Probability of zeroing one of these units in training, 0..1.
    pub dropout: f64,
    /// Classes to tell apart, 2..=65536.
    pub num_classes: usize,
}

impl VggConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("vgg11_bn", Self::vgg11_bn()),
            ("vgg16_bn", Self::vgg16_bn()),
        ]
    }

    /// Table 1, column A: 11 layers for ImageNet. 132,868,840 parameters.
    pub fn vgg11_bn() -> Self {
        Self::imagenet([1, 1, 2, 2, 2])
    }

    /// Table 1, column D: 16 layers for ImageNet. 138,365,992 parameters.
    pub fn vgg16_bn() -> Self {
        Self::imagenet([2, 2, 3, 3, 3])
    }

    /// Small enough for tests: three stages, one of them of two convolutions.
    pub fn tiny() -> Self {
        Self {
            convolutions: vec![1, 2, 1],
            width: 4,
            hidden: 12,
            dropout: 0.0,
            num_classes: 4,
            ..Self::vgg11_bn()
        }
    }

    fn imagenet(convolutions: [usize; 5]) -> Self {
        Self {
            in_channels: 3,
            convolutions: convolutions.to_vec(),
            width: 64,
            hidden: 4096,
            dropout: 0.5,
            num_classes: 1000,
        }
    }

    /// Channels of an image.
    ///
    /// Its size is free from [`least_side`](Self::least_side) on.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// The least height and width of an image, in pixels, of which the poolings leave one.
    pub fn least_side(&self) -> usize {
        1 << self.convolutions.len()
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
        check_stages("convolutions", self.convolutions.len(), 5)?;
        for (stage, &convolutions) in self.convolutions.iter().enumerate() {
            check(&format!("convolutions[{stage}]"), convolutions, 1..=16)?;
        }
        check("width", self.width, CHANNELS)?;
        check("hidden", self.hidden, 1..=65_536)?;
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
    pub fn init(&self, device: &Device) -> Vgg {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let mut channels = self.in_channels;
        let mut features = Vec::new();
        for (stage, &convolutions) in self.convolutions.iter().enumerate() {
            let width = self.width << stage.min(3);
            let mut layer = || {
                let inputs = std::mem::replace(&mut channels, width);
                init_conv([inputs, width], device)
            };
            features.push((0..convolutions).map(|_| layer()).collect());
        }
        Vgg {
            features,
            pool: MaxPool2dConfig::new([2, 2]).init(),
            avgpool: AdaptiveAvgPool2dConfig::new([7, 7]).init(),
            classifier: [
                init_linear([channels * 7 * 7, self.hidden], device),
                init_linear([self.hidden, self.hidden], device),
                init_linear([self.hidden, self.num_classes], device),
            ],
            dropout: DropoutConfig::new(self.dropout).init(),
            least_side: self.least_side(),
        }
    }

    /// torchvision's name of a tensor of [`Vgg`]: there, layers are numbered straight on, those
    /// without parameters too.
    pub fn origin_name(&self, ours: &str) -> String {
        let mut number = 0;
        for (stage, &convolutions) in self.convolutions.iter().enumerate() {
            for layer in 0..convolutions {
                for part in 0..2 {
                    let ours_until_leaf = format!("features.{stage}.{layer}.{part}.");
                    if let Some(leaf) = ours.strip_prefix(&ours_until_leaf) {
                        return format!("features.{}.{leaf}", number + part);
                    }
                }
                number += 3; // convolution, norm, ReLU
            }
            number += 1; // pooling
        }
        for layer in 0..3 {
            if let Some(leaf) = ours.strip_prefix(&format!("classifier.{layer}.")) {
                return format!("classifier.{}.{leaf}", 3 * layer); // linear, ReLU, dropout
            }
        }
        ours.to_string()
    }
}

/// A VGG network; made by [`VggConfig::init`].
#[derive(Module, Debug)]
pub struct Vgg {
    /// The convolutions of every stage, 3x3, each with its batch norm.
    pub features: Vec<Vec<(Conv2d, BatchNorm)>>,
    /// 2x2, stride 2, at the end of every stage.
    pub pool: MaxPool2d,
    /// To 7x7 pixels, whatever the image's size.
    pub avgpool: AdaptiveAvgPool2d,
    /// Two hidden layers and the output layer.
    pub classifier: [Linear; 3],
    /// After each of the two hidden layers.
    pub dropout: Dropout,
    /// The least height and width of an image, in pixels.
    pub least_side: usize,
}

impl Vgg {
    /// `images [b, c, h, w]` -> `logits [b, classes]`
    ///
    /// Batch norms use the batch's own statistics, and dropout zeroes, where `images` is on an
    /// autodiff device.
    ///
    /// # Panics
    ///
    /// If the images have another number of channels than the configuration says, or fewer pixels
    /// than [`VggConfig::least_side`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.map(images, |_| {});
        let x = self.avgpool.forward(x).flatten(1, 3); // [b, c·7·7]
        let [fc1, fc2, fc3] = &self.classifier;
        let x = dropout(&self.dropout, linear(fc1, x, Activation::Relu));
        let x = dropout(&self.dropout, linear(fc2, x, Activation::Relu));
        linear(fc3, x, Activation::None)
    }

    /// The map that leaves every stage's pooling, for `images [b, c, h, w]`.
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
        let [_, channels, _, _] = self.features[0][0].0.weight.dims();
        assert_shape!(images, [_, channels, _, _]);
        let ([_, _, h, w], least) = (images.dims(), self.least_side);
        assert!(
            h.min(w) >= least,
            "images of {least}x{least} pixels at least, got {h}x{w}"
        );

        let mut x = images;
        for stage in &self.features {
            for (conv, norm) in stage {
                x = conv_norm(conv, norm, x, None, Activation::Relu);
            }
            x = max_pool2d(&self.pool, x);
            after_stage(&x);
        }
        x
    }
}

/// A convolution and its norm. The convolution has a bias, though the norm cancels it, because
/// torchvision's has.
fn init_conv([inputs, outputs]: [usize; 2], device: &Device) -> (Conv2d, BatchNorm) {
    let conv = Conv2dConfig::new([inputs, outputs], [3, 3])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal {
            gain: f64::sqrt(2.0),
            fan_out_only: true,
        });
    let conv = Conv2d {
        bias: Some(Initializer::Zeros.init([outputs], device)),
        ..conv.init(device)
    };
    (conv, BatchNormConfig::new(outputs).init(device))
}

fn init_linear([inputs, outputs]: [usize; 2], device: &Device) -> Linear {
    let weight = Initializer::Normal {
        mean: 0.0,
        std: 0.01,
    };
    Linear {
        bias: Some(Initializer::Zeros.init([outputs], device)),
        ..LinearConfig::new(inputs, outputs)
            .with_bias(false)
            .with_initializer(weight)
            .init(device)
    }
}
