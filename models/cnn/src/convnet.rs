//! The convolutional network of PyTorch's MNIST example (`mnist/main.py` in pytorch/examples): the
//! one that a newcomer to PyTorch trains first.
//!
//! Departures: the output is raw logits, where the example ends in a log-softmax, because a stable
//! cross-entropy applies its own; and the example's two dropouts (a quarter after the pooling, half
//! after the first linear layer) are left out, so that a step has no chance in it.
//!
//! Weights start as PyTorch's do by default: U(-k, k) with k = 1 / sqrt(fan-in), which is also
//! Burn's default.

// b batch, c channels, s side of the image

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv2d, linear, max_pool2d};

use crate::range::{CHANNELS, CLASSES, check};

/// What a [`ConvNet`] takes and tells apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNetConfig {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// Side of the square image in pixels, 6..=256.
    pub image_size: usize,
    /// Classes to tell apart, 2..=65536.
    pub num_classes: usize,
}

impl ConvNetConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![("pytorch_mnist", Self::pytorch_mnist())]
    }

    /// The example's own sizes: grey digits of 28x28 pixels, ten classes. 1,199,882 parameters.
    pub fn pytorch_mnist() -> Self {
        Self {
            in_channels: 1,
            image_size: 28,
            num_classes: 10,
        }
    }

    /// Small enough for tests: the least image, of which one pixel is left.
    pub fn tiny() -> Self {
        Self {
            image_size: 6,
            num_classes: 4,
            ..Self::pytorch_mnist()
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
        check("in_channels", self.in_channels, CHANNELS)?;
        // Below 6 pixels nothing is left for the pooling; the first linear layer grows with the
        // square of the side, to 130 million weights at 256.
        check("image_size", self.image_size, 6..=256)?;
        check("num_classes", self.num_classes, CLASSES)
    }

    /// Builds the network on `device`, with fresh weights.
    ///
    /// Burn draws a weight when it is first read, so seed the device before that.
    ///
    /// # Panics
    ///
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> ConvNet {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let side = (self.image_size - 4) / 2;
        ConvNet {
            conv1: Conv2dConfig::new([self.in_channels, 32], [3, 3]).init(device),
            conv2: Conv2dConfig::new([32, 64], [3, 3]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            fc1: LinearConfig::new(64 * side * side, 128).init(device),
            fc2: LinearConfig::new(128, self.num_classes).init(device),
            input_shape: self.input_shape(),
        }
    }
}

/// The network of PyTorch's MNIST example; made by [`ConvNetConfig::init`]. The fields are named
/// as there.
#[derive(Module, Debug)]
pub struct ConvNet {
    /// 32 maps, 3x3, no padding.
    pub conv1: Conv2d,
    /// 64 maps, 3x3, no padding.
    pub conv2: Conv2d,
    /// 2x2, stride 2.
    pub pool: MaxPool2d,
    /// 128 units.
    pub fc1: Linear,
    /// The output layer.
    pub fc2: Linear,
    /// `[channels, height, width]` of an image.
    pub input_shape: [usize; 3],
}

impl ConvNet {
    /// `images [b, c, s, s]` -> `logits [b, classes]`
    ///
    /// # Panics
    ///
    /// If an image has another shape than [`ConvNetConfig::input_shape`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [_, x] = self.maps(images);
        let x = linear(&self.fc1, x.flatten(1, 3), Activation::Relu); // [b, 128]
        linear(&self.fc2, x, Activation::None)
    }

    /// The map of the first convolution and that of the second, pooled, for `images [b, c, s, s]`.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        self.maps(images).into()
    }

    fn maps(&self, images: Tensor<4>) -> [Tensor<4>; 2] {
        let [channels, height, width] = self.input_shape;
        assert_shape!(images, [_, channels, height, width]);

        let first = conv2d(&self.conv1, images, Activation::Relu); // [b, 32, s-2, s-2]
        let x = conv2d(&self.conv2, first.clone(), Activation::Relu); // [b, 64, s-4, s-4]
        let second = max_pool2d(&self.pool, x); // [b, 64, (s-4)/2, (s-4)/2]
        [first, second]
    }
}
