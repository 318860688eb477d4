//! What [`Gpt`](crate::gpt::Gpt) and [`Llama`](crate::llama::Llama) have in common: from tokens to
//! logits of the next one, in one pass or continued from a cache.

use burn::nn::{Embedding, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use zoo_kernels::{Activation, linear, tied};

use crate::block::{INITIAL_STD, init_linear};

// b batch, t positions, c width.

/// Where the output layer's weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// From the token embedding: one parameter used twice (Press and Wolf 2017), as in GPT-2.
    Tied,
    /// From a linear layer of its own, with a bias where the others have one.
    Free,
}

impl Output {
    /// The layer, where there is one.
    pub(crate) fn init(
        self,
        [width, vocab_size]: [usize; 2],
        bias: bool,
        device: &Device,
    ) -> Option<Linear> {
        match self {
            Self::Tied => None,
            Self::Free => Some(init_linear(width, vocab_size, INITIAL_STD, bias, device)),
        }
    }
}

/// `x [b·t, c]` -> `[b, t, vocab]`, by the output layer or, where there is none, the embedding.
pub(crate) fn logits(
    output: Option<&Linear>,
    embedding: &Embedding,
    x: Tensor<2>,
    b: usize,
) -> Tensor<3> {
    let logits = match output {
        Some(output) => linear(output, x, Activation::None),
        None => tied(embedding.weight.val(), x),
    };
    let [rows, vocab] = logits.dims();
    logits.reshape([b, rows / b, vocab])
}

/// Gives a model the methods of a decoder. It needs a field `lm_head: Option<Linear>` and
/// - `tokens(&self) -> &Embedding`, the vectors of the vocabulary,
/// - `layers(&self) -> usize`,
/// - `context(&self) -> usize`,
/// - `blocks(&self, x [b, t, c], past, cache, see) -> [b·t, c]`, normed, where `past` positions came
///   before and `see` is shown what enters the first block and what leaves each.
///
/// A macro, for these are methods of a model, which is no generic type, and need no trait in scope.
macro_rules! decoder {
    ($model:ty) => {
        impl $model {
            /// `tokens [b, t]`, each below `vocab_size` -> `logits [b, t, vocab]` of each next token.
            ///
            /// # Panics
            /// If `t` exceeds the context.
            pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
                self.forward_embedded(self.embed(tokens))
            }

            /// The vectors that stand for `tokens [b, t]`, without their positions -> `[b, t, c]`.
            pub fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
                self.tokens().forward(tokens)
            }

            /// [`forward`](Self::forward) from the vectors `x [b, t, c]` of [`embed`](Self::embed)
            /// on: what an output depends on can be asked of vectors, not of token ids.
            ///
            /// # Panics
            /// If `t` exceeds the context.
            pub fn forward_embedded(&self, x: Tensor<3>) -> Tensor<3> {
                let [b, ..] = x.dims();
                self.logits(self.read(x, None, |_| ()), b)
            }

            /// What `tokens [b, t]` become on their way, `[b, t, c]` each: the embedding, then the
            /// output of every block, the last one normed, as Hugging Face's `output_hidden_states`.
            ///
            /// # Panics
            /// If `t` exceeds the context.
            pub fn hidden_states(&self, tokens: Tensor<2, Int>) -> Vec<Tensor<3>> {
                let [b, t] = tokens.dims();
                let mut states = Vec::new();
                let last = self.read(self.embed(tokens), None, |x| states.push(x.clone()));
                states.pop();
                states.push(last);
                let shaped = |x: Tensor<2>| {
                    let [_, c] = x.dims();
                    x.reshape([b, t, c])
                };
                states.into_iter().map(shaped).collect()
            }

            /// An empty cache for [`forward_cached`](Self::forward_cached).
            pub fn cache(&self) -> Cache {
                Cache::new(self.layers())
            }

            /// Continues the sequences in `cache` with `tokens [b, t]` -> `logits [b, t, vocab]`,
            /// equal to the last `t` rows of a full pass. The first call sets `b` (a prompt may be one
            /// chunk).
            ///
            /// Meant for sampling: on an autodiff device the cache would keep the graph of every step.
            ///
            /// # Errors
            /// [`ContextFull`] if the tokens do not fit, with the cache as it was. Earlier positions
            /// are part of what is cached, so old ones cannot just be dropped: [clear](Cache::clear)
            /// it and pass the last tokens again, as many as shall be remembered.
            ///
            /// # Panics
            /// If `b` differs from that of the first call.
            pub fn forward_cached(
                &self,
                tokens: Tensor<2, Int>,
                cache: &mut Cache,
            ) -> Result<Tensor<3>, ContextFull> {
                let [b, _] = tokens.dims();
                Ok(self.logits(self.continued(tokens, cache)?, b))
            }

            /// [`forward_cached`](Self::forward_cached), of which only the last position is asked
            /// for: `tokens [b, t]` -> `logits [b, vocab]`. A long prompt is spared the output layer.
            ///
            /// # Errors
            /// As [`forward_cached`](Self::forward_cached).
            ///
            /// # Panics
            /// If `b` differs from that of the first call, or there is no token.
            pub fn next_logits(
                &self,
                tokens: Tensor<2, Int>,
                cache: &mut Cache,
            ) -> Result<Tensor<2>, ContextFull> {
                let [b, _] = tokens.dims();
                let last = $crate::cache::last_positions(self.continued(tokens, cache)?, b);
                Ok(self.logits(last, b).squeeze_dim(1))
            }

            /// Continues the sequences in `cache` with `tokens [b, t]` -> `[b·t, c]`, normed.
            fn continued(
                &self,
                tokens: Tensor<2, Int>,
                cache: &mut Cache,
            ) -> Result<Tensor<2>, ContextFull> {
                let [_, new] = tokens.dims();
                cache.continue_with(self.context(), new, |cache| {
                    self.read(self.embed(tokens), Some(cache), |_| ())
                })
            }

            /// `x [b, t, c]` of [`embed`](Self::embed), which follows what is cached -> `[b·t, c]`,
            /// normed.
            fn read(
                &self,
                x: Tensor<3>,
                cache: Option<&mut Cache>,
                see: impl FnMut(&Tensor<2>),
            ) -> Tensor<2> {
                let ([_, t, _], context) = (x.dims(), self.context());
                let past = cache.as_ref().map_or(0, |cache| cache.len());
                assert!(
                    past + t <= context,
                    "a context of {context} positions, got {}",
                    past + t
                );
                self.blocks(x, past, cache, see)
            }

            /// `x [b·t, c]` -> `[b, t, vocab]`
            fn logits(&self, x: Tensor<2>, b: usize) -> Tensor<3> {
                $crate::decoder::logits(self.lm_head.as_ref(), self.tokens(), x, b)
            }
        }

        impl $crate::generate::CachedDecoder for $model {
            fn context(&self) -> usize {
                self.context()
            }

            fn cache(&self) -> Cache {
                self.cache()
            }

            fn next_logits(
                &self,
                tokens: Tensor<2, Int>,
                cache: &mut Cache,
            ) -> Result<Tensor<2>, ContextFull> {
                self.next_logits(tokens, cache)
            }
        }
    };
}

pub(crate) use decoder;
