//! Multilayer perceptrons for [Burn](burn), importable with little else.
//!
//! [`MlpConfig`] says what to build, [`MlpConfig::init`] builds it on a device, and
//! [`Mlp::forward`] turns `features [b, in]` into `logits [b, out]`. The crate knows no loss,
//! optimiser, file or backend.

mod mlp;

pub use mlp::{Activation, Mlp, MlpConfig, presets};

/// Compiles and runs the example of the model card.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ModelCard;
