//! U-Net (Ronneberger, Fischer and Brox 2015, "U-Net: convolutional networks for biomedical image
//! segmentation", figure 1): a class for every pixel, from a path that contracts to see far and one
//! that expands to say where, joined at every resolution.
//!
//! Departures, those of the form in wide use (the repository milesial/Pytorch-UNet, whose tensors
//! these are): convolutions are padded, so that the output has the input's size where the paper's
//! is 184 pixels smaller; a batch norm follows each of them; what an odd size loses in a pooling is
//! padded with zeros before maps are joined; no dropout. That repository's second form upsamples
//! bilinearly; ours repeats pixels there ([`Upsampling::Nearest`]), because on most of Burn's
//! backends only that can be trained. For Burn's running variance see the departures of ResNet, in
//! `resnet.rs`.
//!
//! Weights start as PyTorch's do by default: U(-k, k) with k = 1 / sqrt(fan-in), which is also
//! Burn's default; batch norms as the identity.

// b batch, c channels, h height, w width, d classes

use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, conv_norm, conv2d, join, join_upsampled, max_pool2d};

use crate::range::{CHANNELS, CLASSES, check};

/// The least height and width of an image, in pixels: four poolings leave one.
const LEAST_SIDE: usize = 16;

/// What a [`UNet`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of an image, 1..=1024: 1 for grey, 3 for RGB.
    pub in_channels: usize,
    /// Classes of a pixel, 2..=65536.
    pub num_classes: usize,
    /// Channels at the image's own resolution, 1..=1024; every halving of it doubles them.
    pub width: usize,
    /// How the expanding path doubles the size of a map.
    pub up: Upsampling,
}

/// How the expanding path doubles the size of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Every pixel becomes 2x2 equal ones. This has no weights and cannot halve the channels, so
    /// the convolutions before it do, and the lowest map has half of the other form's.
    Nearest,
    /// A transposed 2x2 convolution of stride 2, which also halves the channels: the paper's.
    TransposedConvolution,
}

impl UNetConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![
            ("unet", Self::unet()),
            ("unet_nearest", Self::unet_nearest()),
            ("unet_narrow", Self::unet_narrow()),
        ]
    }

    /// Figure 1, for RGB images and two classes. 31,037,698 parameters.
    pub fn unet() -> Self {
        Self {
            in_channels: 3,
            num_classes: 2,
            width: 64,
            up: Upsampling::TransposedConvolution,
        }
    }

    /// The same without weights in the upsampling. 17,263,042 parameters.
    pub fn unet_nearest() -> Self {
        Self {
            up: Upsampling::Nearest,
            ..Self::unet()
        }
    }

    /// A quarter as wide as [`unet_nearest`](Self::unet_nearest), for a few processor cores; ours.
    /// 1,080,946 parameters.
    pub fn unet_narrow() -> Self {
        Self {
            width: 16,
            ..Self::unet_nearest()
        }
    }

    /// Small enough for tests: two channels wide, without weights in the upsampling.
    pub fn tiny() -> Self {
        Self {
            width: 2,
            ..Self::unet_nearest()
        }
    }

    /// Small enough for tests: two channels wide, with transposed convolutions.
    pub fn tiny_transposed() -> Self {
        Self {
            width: 2,
            ..Self::unet()
        }
    }

    /// Channels of an image.
    ///
    /// Its size is free from [`least_side`](Self::least_side) on.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// The least height and width of an image, in pixels, of which four poolings leave one.
    pub fn least_side(&self) -> usize {
        LEAST_SIDE
    }

    /// Logits for one pixel.
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
        check("num_classes", self.num_classes, CLASSES)?;
        check("width", self.width, CHANNELS)
    }

    /// Builds the network on `device`, with fresh weights.
    ///
    /// Burn draws a weight when it is first read, so seed the device before that.
    ///
    /// # Panics
    ///
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> UNet {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let width = self.width;
        let lowest = match self.up {
            Upsampling::Nearest => 8 * width,
            Upsampling::TransposedConvolution => 16 * width,
        };
        let down = |inputs, outputs| Down {
            maxpool_conv: (
                MaxPool2dConfig::new([2, 2]).init(),
                DoubleConv::new([inputs, outputs, outputs], device),
            ),
        };
        UNet {
            inc: DoubleConv::new([self.in_channels, width, width], device),
            down1: down(width, 2 * width),
            down2: down(2 * width, 4 * width),
            down3: down(4 * width, 8 * width),
            down4: down(8 * width, lowest),
            up1: self.init_up(3, device),
            up2: self.init_up(2, device),
            up3: self.init_up(1, device),
            up4: self.init_up(0, device),
            outc: Conv2dConfig::new([width, self.num_classes], [1, 1]).init(device),
        }
    }

    /// The step up to a resolution, counted from the image's own, which is 0.
    fn init_up(&self, level: usize, device: &Device) -> Up {
        let skip = self.width << level;
        let (up, outputs) = match self.up {
            // What leaves is as wide as the next skip, or at the end as the image's level.
            Upsampling::Nearest => (None, self.width << level.saturating_sub(1)),
            Upsampling::TransposedConvolution => {
                let up = ConvTranspose2dConfig::new([2 * skip, skip], [2, 2]);
                (Some(up.with_stride([2, 2]).init(device)), skip)
            }
        };
        Up {
            up,
            conv: DoubleConv::new([2 * skip, skip, outputs], device),
        }
    }

    /// The origin's name of a tensor of [`UNet`]: there, the layers of a pair of convolutions are
    /// numbered straight on, and the last convolution is wrapped.
    pub fn origin_name(&self, ours: &str) -> String {
        if let Some(leaf) = ours.strip_prefix("outc.") {
            return format!("outc.conv.{leaf}");
        }
        // Convolution, norm, ReLU, twice.
        for (part, number) in [("0.0", 0), ("0.1", 1), ("1.0", 3), ("1.1", 4)] {
            if let Some((path, leaf)) = ours.split_once(&format!("double_conv.{part}.")) {
                return format!("{path}double_conv.{number}.{leaf}");
            }
        }
        ours.to_string()
    }
}

/// A U-Net; made by [`UNetConfig::init`]. The fields are named as in the origin.
#[derive(Module, Debug)]
pub struct UNet {
    /// Two convolutions at the image's resolution.
    pub inc: DoubleConv,
    /// To a half of it.
    pub down1: Down,
    /// To a quarter.
    pub down2: Down,
    /// To an eighth.
    pub down3: Down,
    /// To a sixteenth.
    pub down4: Down,
    /// Back to an eighth.
    pub up1: Up,
    /// To a quarter.
    pub up2: Up,
    /// To a half.
    pub up3: Up,
    /// To the image's resolution.
    pub up4: Up,
    /// The 1x1 convolution to the classes.
    pub outc: Conv2d,
}

impl UNet {
    /// `images [b, c, h, w]` -> `logits [b, d, h, w]`
    ///
    /// Batch norms use the batch's own statistics where `images` is on an autodiff device, and the
    /// running ones elsewhere.
    ///
    /// # Panics
    ///
    /// If the images have another number of channels than the configuration says, or fewer pixels
    /// than [`UNetConfig::least_side`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.map(images, |_| {});
        conv2d(&self.outc, x, Activation::None)
    }

    /// Nine maps for `images [b, c, h, w]`: five of the contracting path, from the image's own
    /// resolution to a sixteenth, and four of the expanding path, from an eighth back to it.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut maps = Vec::new();
        self.map(images, |map| maps.push(map.clone()));
        maps
    }

    /// The last map, at the image's resolution; `after_stage` sees each.
    fn map(&self, images: Tensor<4>, mut after_stage: impl FnMut(&Tensor<4>)) -> Tensor<4> {
        let [_, channels, _, _] = self.inc.double_conv[0].0.weight.dims();
        assert_shape!(images, [_, channels, _, _]);
        let [_, _, h, w] = images.dims();
        assert!(
            h.min(w) >= LEAST_SIDE,
            "images of {LEAST_SIDE}x{LEAST_SIDE} pixels at least, got {h}x{w}"
        );

        let mut stage = |map: Tensor<4>| {
            after_stage(&map);
            map
        };
        let x1 = stage(self.inc.forward(images));
        let x2 = stage(self.down1.forward(x1.clone()));
        let x3 = stage(self.down2.forward(x2.clone()));
        let x4 = stage(self.down3.forward(x3.clone()));
        let x5 = stage(self.down4.forward(x4.clone()));
        let x = stage(self.up1.forward(x5, x4));
        let x = stage(self.up2.forward(x, x3));
        let x = stage(self.up3.forward(x, x2));
        stage(self.up4.forward(x, x1))
    }
}

/// Two 3x3 convolutions, each with its batch norm and ReLU.
#[derive(Module, Debug)]
pub struct DoubleConv {
    /// The convolutions with their norms.
    pub double_conv: [(Conv2d, BatchNorm); 2],
}

impl DoubleConv {
    /// Without biases, because the norms would cancel them.
    fn new([inputs, between, outputs]: [usize; 3], device: &Device) -> Self {
        let layer = |inputs, outputs| {
            let conv = Conv2dConfig::new([inputs, outputs], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(false);
            let norm = BatchNormConfig::new(outputs);
            (conv.init(device), norm.init(device))
        };
        Self {
            double_conv: [layer(inputs, between), layer(between, outputs)],
        }
    }

    /// `x [b, c, h, w]` -> `[b, c', h, w]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.double_conv.iter().fold(x, |x, (conv, norm)| {
            conv_norm(conv, norm, x, None, Activation::Relu)
        })
    }
}

/// A step of the contracting path: half the size, twice the channels.
#[derive(Module, Debug)]
pub struct Down {
    /// The largest of every 2x2 pixels, and two convolutions.
    pub maxpool_conv: (MaxPool2d, DoubleConv),
}

impl Down {
    /// `x [b, c, h, w]` -> `[b, c', h/2, w/2]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (pool, conv) = &self.maxpool_conv;
        conv.forward(max_pool2d(pool, x))
    }
}

/// A step of the expanding path: twice the size, joined with what the contracting path had there.
#[derive(Module, Debug)]
pub struct Up {
    /// The transposed convolution; without it, every pixel becomes 2x2 equal ones.
    pub up: Option<ConvTranspose2d>,
    /// Two convolutions of both maps.
    pub conv: DoubleConv,
}

impl Up {
    /// `x [b, c, h/2, w/2]`, `skip [b, c', h, w]` -> `[b, c'', h, w]`
    pub fn forward(&self, x: Tensor<4>, skip: Tensor<4>) -> Tensor<4> {
        // An odd size has a last row or column that the pooling dropped.
        self.conv.forward(match &self.up {
            Some(up) => join(skip, up.forward(x)),
            None => join_upsampled(skip, x),
        })
    }
}
