//! LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document
//! recognition", figure 2), in the form taught today.
//!
//! Departures from the paper: ReLU for the scaled tanh; max pooling for subsampling with a trained
//! scale and bias; every map of C3 sees all six maps of S2, where the paper's table I connects
//! some; a linear output for the radial basis functions. The paper pads its 28x28 digits to 32x32;
//! padding 2 on the first convolution does the same.
//!
//! Weights start as PyTorch's do by default: U(-k, k) with k = 1 / sqrt(fan-in), which is also
//! Burn's default.

// b batch, c channels, s side of the image

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv2d, linear, max_pool2d};

use crate::range::{CHANNELS, CLASSES, check};

/// What a [`LeNet`] takes and tells apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeNetConfig {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// Side of the square image in pixels, 12..=1024.
    pub image_size: usize,
    /// Classes to tell apart, 2..=65536.
    pub num_classes: usize,
}

impl LeNetConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![("lenet5", Self::lenet5())]
    }

    /// Figure 2: grey digits of 28x28 pixels, ten classes. 61,706 parameters.
    pub fn lenet5() -> Self {
        Self {
            in_channels: 1,
            image_size: 28,
            num_classes: 10,
        }
    }

    /// Small enough for tests: the least image, of which one pixel is left.
    pub fn tiny() -> Self {
        Self {
            image_size: 12,
            num_classes: 4,
            ..Self::lenet5()
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
        // Below 12 pixels nothing is left for the second pooling.
        check("image_size", self.image_size, 12..=1024)?;
        check("num_classes", self.num_classes, CLASSES)
    }

    /// Builds the network on `device`, with fresh weights.
    ///
    /// Burn draws a weight when it is first read, so seed the device before that.
    ///
    /// # Panics
    ///
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> LeNet {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let side = (self.image_size / 2 - 4) / 2;
        LeNet {
            conv1: Conv2dConfig::new([self.in_channels, 6], [5, 5])
                .with_padding(PaddingConfig2d::Explicit(2, 2, 2, 2))
                .init(device),
            conv2: Conv2dConfig::new([6, 16], [5, 5]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            fc1: LinearConfig::new(16 * side * side, 120).init(device),
            fc2: LinearConfig::new(120, 84).init(device),
            fc3: LinearConfig::new(84, self.num_classes).init(device),
            input_shape: self.input_shape(),
        }
    }
}

/// LeNet-5; made by [`LeNetConfig::init`].
#[derive(Module, Debug)]
pub struct LeNet {
    /// C1 of the paper: six maps, 5x5, padding 2.
    pub conv1: Conv2d,
    /// C3: sixteen maps, 5x5.
    pub conv2: Conv2d,
    /// S2 and S4: 2x2, stride 2.
    pub pool: MaxPool2d,
    /// C5, a convolution over all that is left and so a linear layer: 120 units.
    pub fc1: Linear,
    /// F6: 84 units.
    pub fc2: Linear,
    /// The output layer.
    pub fc3: Linear,
    /// `[channels, height, width]` of an image.
    pub input_shape: [usize; 3],
}

impl LeNet {
    /// `images [b, c, s, s]` -> `logits [b, classes]`
    ///
    /// # Panics
    ///
    /// If an image has another shape than [`LeNetConfig::input_shape`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [_, x] = self.maps(images);
        let x = x.flatten(1, 3);
        let x = linear(&self.fc1, x, Activation::Relu); // [b, 120]
        let x = linear(&self.fc2, x, Activation::Relu); // [b, 84]
        linear(&self.fc3, x, Activation::None)
    }

    /// S2 and S4 of the paper, the maps that leave the poolings, for `images [b, c, s, s]`.
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

        // ReLU and max pooling commute.
        let x = conv2d(&self.conv1, images, Activation::Relu);
        let s2 = max_pool2d(&self.pool, x); // [b, 6, s/2, s/2]
        let x = conv2d(&self.conv2, s2.clone(), Activation::Relu);
        let s4 = max_pool2d(&self.pool, x); // [b, 16, (s/2-4)/2, (s/2-4)/2]
        [s2, s4]
    }
}
