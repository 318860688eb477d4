//! Small transformers for [Burn](https://burn.dev): tensors in, logits out, on any backend.
//!
//! - [`gpt`]: a GPT-style decoder that predicts the next token, with a cache for sampling.
//! - [`encoder`]: a BERT-style encoder that classifies a sentence.
//!
//! Both stack the same pre-norm block. It is our own rather than `burn::nn`'s
//! `TransformerEncoder` because it projects query, key and value in one product, keeps
//! activations two-dimensional around them (faster on a CPU) and bears GPT-2's tensor names.
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use zoo_transformer::gpt::GptConfig;
//!
//! let device = Device::flex();
//! let model = GptConfig::nano().init(&device);
//! let tokens = Tensor::<2, Int>::zeros([2, 16], &device);
//! assert_eq!(model.forward(tokens).dims(), [2, 16, 65]);
//! ```

mod block;
mod check;
pub mod encoder;
pub mod gpt;
#[cfg(test)]
mod testing;

/// The examples of the README, compiled and run with the other tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
