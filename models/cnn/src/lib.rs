//! Convolutional networks for [Burn](burn), importable with little else: LeNet-5, the
//! network of PyTorch's MNIST example, VGG, residual networks of the CIFAR and the ImageNet kind,
//! MobileNetV2, EfficientNet, ConvNeXt, U-Net, and QuartzNet.
//!
//! A configuration (such as [`ResNetConfig`]) says what to build, its `init` builds it on a device,
//! and `forward` turns `images [b, c, h, w]` into `logits [b, classes]`; a [`UNet`] tells pixels
//! apart, with `logits [b, classes, h, w]`, and a [`QuartzNet`] the frames of recordings. `stages` gives the maps on the way. The crate knows no
//! loss, optimiser, file or backend.

mod conv_bn;
mod convnet;
mod convnext;
mod efficientnet;
mod lenet;
mod mobilenet;
mod origin;
mod quartznet;
mod range;
mod resnet;
mod unet;
mod vgg;

pub use convnet::{ConvNet, ConvNetConfig, convnet_presets};
pub use convnext::{ConvNeXt, ConvNeXtBlock, ConvNeXtConfig, ConvNeXtStage, convnext_presets};
pub use efficientnet::{
    EfficientNet, EfficientNetConfig, EfficientNetStage, MbConv, SqueezeExcitation,
    efficientnet_presets,
};
pub use lenet::{LeNet, LeNetConfig, lenet_presets};
pub use mobilenet::{
    InvertedResidual, MobileNetV2, MobileNetV2Config, MobileNetV2Stage, mobilenet_presets,
};
pub use quartznet::{
    QuartzNet, QuartzNetBlock, QuartzNetConfig, QuartzNetStage, QuartzNetStem, QuartzNetTail,
    Separable, quartznet_presets,
};
pub use resnet::{Block, BlockKind, ResNet, ResNetConfig, Shortcut, Stem, resnet_presets};
pub use unet::{DoubleConv, Down, UNet, UNetConfig, Up, Upsampling, unet_presets};
pub use vgg::{Vgg, VggConfig, vgg_presets};

/// Compiles and runs the example of the model card.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ModelCard;
