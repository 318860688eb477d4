//! Networks of multilayer perceptrons for [Burn](burn), importable with little else: the perceptron
//! itself, and MLP-Mixer for images.
//!
//! A configuration ([`MlpConfig`], [`MixerConfig`]) says what to build and its `init` builds it on a
//! device. [`Mlp::forward`] turns `features [b, in]` into `logits [b, out]`, [`Mixer::forward`]
//! turns `images [b, c, h, w]` into `logits [b, classes]`; [`Mlp::hidden_states`] and
//! [`Mixer::stages`] give what lies between. The crate knows no loss, optimiser, file or backend.

mod mixer;
mod mlp;

pub use mixer::{FeedForward, Mixer, MixerBlock, MixerConfig, PatchEmbed};
pub use mlp::{Activation, Mlp, MlpConfig};

/// Compiles and runs the example of the model card.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ModelCard;
