//! MyModel: two convolutions, the mean over all pixels, a linear classifier. (Here stand the claim,
//! the source, and every departure from it.)
//!
//! Weights start as U(-k, k) with k = 1 / sqrt(fan-in), Burn's default and PyTorch's.

// b batch, c channels, h height, w width

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv2d, linear, range};

/// What a [`MyModel`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MyModelConfig {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// Channels inside, 1..=1024.
    pub width: usize,
    /// Classes to tell apart, 2..=65536.
    pub num_classes: usize,
}

impl MyModelConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![("my_model_small", Self::small())]
    }

    /// (Here stands the table of the paper.) 2,038 parameters.
    pub fn small() -> Self {
        Self {
            in_channels: 3,
            width: 13,
            num_classes: 10,
        }
    }

    /// Small enough for tests.
    pub fn tiny() -> Self {
        Self {
            width: 8,
            num_classes: 3,
            ..Self::small()
        }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// The first offending key as a recipe spells it, its range, and the value found.
    pub fn validate(&self) -> Result<(), String> {
        range::count("in_channels", self.in_channels, 1..=1024)?;
        range::count("width", self.width, 1..=1024)?;
        range::count("num_classes", self.num_classes, 2..=65_536)
    }

    /// Builds the network on `device`, with fresh weights.
    ///
    /// # Panics
    ///
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> MyModel {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let conv = |inputs| {
            Conv2dConfig::new([inputs, self.width], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        MyModel {
            conv1: conv(self.in_channels),
            conv2: conv(self.width),
            fc: LinearConfig::new(self.width, self.num_classes).init(device),
        }
    }
}

/// Two convolutions and a classifier; made by [`MyModelConfig::init`].
#[derive(Module, Debug)]
pub struct MyModel {
    /// The first convolution, 3x3.
    pub conv1: Conv2d,
    /// The second, 3x3.
    pub conv2: Conv2d,
    /// The output layer.
    pub fc: Linear,
}

impl MyModel {
    /// `images [b, c, h, w]` -> `logits [b, classes]`, for any `h` and `w`
    ///
    /// # Panics
    ///
    /// If the images have another number of channels than the configuration says.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [_, _, x] = self.stages(images);
        let x = x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2); // [b, c]
        linear(&self.fc, x, Activation::None)
    }

    /// The maps on the way, for use as features: the image, and what leaves each convolution.
    pub fn stages(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        let x1 = conv2d(&self.conv1, images.clone(), Activation::Relu);
        let x2 = conv2d(&self.conv2, x1.clone(), Activation::Relu);
        [images, x1, x2]
    }
}
