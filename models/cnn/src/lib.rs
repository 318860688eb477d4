//! Convolutional networks for [Burn](burn), importable with nothing else: LeNet-5 and residual
//! networks of the CIFAR and the ImageNet kind.
//!
//! A configuration ([`LeNetConfig`], [`ResNetConfig`]) says what to build, its `init` builds it on
//! a device, and `forward` turns `images [b, c, h, w]` into `logits [b, classes]`. The crate knows
//! no loss, optimiser, file or backend.

mod lenet;
mod range;
mod resnet;

pub use lenet::{LeNet, LeNetConfig, lenet_presets};
pub use resnet::{BasicBlock, ResNet, ResNetConfig, Shortcut, Stem, resnet_presets};

/// Compiles and runs the example of the model card.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ModelCard;
