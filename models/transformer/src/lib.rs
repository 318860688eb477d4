//! Small transformers for [Burn](https://burn.dev): tensors in, logits out, on any backend.
//!
//! - [`gpt`]: a GPT-style decoder that predicts the next token, GPT-2's sizes included.
//! - [`llama`]: a Llama-style decoder, with rotary positions and shared keys and values.
//! - [`generate`]: texts from either, token by token with a cache.
//! - [`encoder`]: a BERT-style encoder that classifies a sentence.
//! - [`encoder_decoder`]: the transformer of 2017, for translation, with [`beam`] search.
//! - [`bert`]: BERT as published, to classify sentences or to embed them.
//! - [`vit`]: the Vision Transformer, which reads patches of an image as if they were words.
//!
//! [`gpt`] and [`encoder`] stack the same pre-norm block. It is our own rather than `burn::nn`'s
//! `TransformerEncoder` because it projects query, key and value in one product, keeps
//! activations two-dimensional around them (faster on a CPU) and bears GPT-2's tensor names.
//! The others have a block each, since their papers' differ: [`bert`] and [`encoder_decoder`] norm
//! after each sub-layer, [`llama`] has RMSNorm, rotary positions and SwiGLU, and [`vit`], pre-norm
//! too, leaves out whole sub-layers in training and bears timm's names.
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

pub mod beam;
pub mod bert;
mod block;
mod cache;
mod decoder;
pub mod encoder;
pub mod encoder_decoder;
pub mod generate;
pub mod gpt;
pub mod llama;
pub mod pooling;
mod range;
#[cfg(test)]
mod testing;
pub mod vit;

/// The examples of the README, compiled and run with the other tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
