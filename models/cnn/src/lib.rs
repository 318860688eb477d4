//! Convolutional networks for [Burn](burn), importable with little else: LeNet-5, the
//! network of PyTorch's MNIST example, and residual networks of the CIFAR and the ImageNet kind.
//!
//! A configuration ([`LeNetConfig`], [`ConvNetConfig`], [`ResNetConfig`]) says what to build, its
//! `init` builds it on a device, and `forward` turns `images [b, c, h, w]` into
//! `logits [b, classes]`. The crate knows no loss, optimiser, file or backend.

mod convnet;
mod lenet;
mod range;
mod resnet;

pub use convnet::{ConvNet, ConvNetConfig, convnet_presets};
pub use lenet::{LeNet, LeNetConfig, lenet_presets};
pub use resnet::{BasicBlock, ResNet, ResNetConfig, Shortcut, Stem, resnet_presets};

/// Compiles and runs the example of the model card.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ModelCard;
