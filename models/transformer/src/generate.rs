//! Generation: from a decoder's logits to the next token, and so on.
//!
//! Nothing here is random by itself: [`Sampling::choose`] is given a number between 0 and 1.
//!
//! ```
//! use burn::tensor::Device;
//! use zoo_transformer::generate::{Decoder, Sampling, generate};
//! use zoo_transformer::llama::LlamaConfig;
//!
//! let device = Device::flex();
//! let model = LlamaConfig::tiny().init(&device);
//! let mut decoder = Decoder::new(&model, &device);
//! let sampling = Sampling { temperature: 0.8, top_p: Some(0.9), ..Sampling::default() };
//! let mut state = 1_u32;
//! let unit = || {
//!     state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); // your generator here
//!     f64::from(state) / 4_294_967_296.0
//! };
//! let tokens = generate(&mut decoder, &[1, 2, 3], &sampling, &[0], unit).take(20);
//! let text: Vec<u32> = tokens.collect::<Result<_, _>>()?;
//! assert!(text.len() <= 20 && !text.contains(&0));
//! # Ok::<_, zoo_transformer::generate::NotFinite>(())
//! ```

use std::{error, fmt, iter};

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::encoder_decoder::{EncoderDecoder, Memory};

pub use crate::cache::{Cache, ContextFull};

/// How the next token is chosen.
///
/// In this order, as Hugging Face's processors of logits do it: the penalty, the temperature, the
/// `top_k` likeliest, of these the `top_p` nucleus, a draw from the softmax of what is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits, 0 or above; at 0 the likeliest token is taken.
    pub temperature: f64,
    /// Only the tokens as likely as the k-th likeliest or likelier, 1 or more.
    pub top_k: Option<usize>,
    /// Only the least number of likeliest tokens whose probabilities reach p together, 0..=1
    /// (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1).
    pub top_p: Option<f64>,
    /// Divides the logits above 0 of tokens that are in the text, and multiplies those below, above
    /// 0; 1 is no penalty (Keskar et al. 2019, "CTRL", section 4.1; what to do below 0 is Hugging
    /// Face's, where the paper would reward).
    pub repetition_penalty: f64,
}

impl Default for Sampling {
    /// A draw from the softmax of the logits as they are.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: None,
            repetition_penalty: 1.0,
        }
    }
}

impl Sampling {
    /// Checks every value.
    ///
    /// # Errors
    /// A message that names the value, what is allowed and what was given.
    pub fn validate(&self) -> Result<(), String> {
        let Self {
            temperature,
            top_k,
            top_p,
            repetition_penalty: penalty,
        } = *self;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return Err(format!(
                "temperature: expected 0 or above, got {temperature}"
            ));
        }
        if top_k == Some(0) {
            return Err("top_k: expected 1 or more, got 0".into());
        }
        if let Some(top_p) = top_p.filter(|top_p| !(0.0..=1.0).contains(top_p)) {
            return Err(format!("top_p: expected 0 to 1, got {top_p}"));
        }
        if !(penalty > 0.0 && penalty.is_finite()) {
            return Err(format!(
                "repetition_penalty: expected above 0, got {penalty}"
            ));
        }
        Ok(())
    }

    /// The next token, from the `logits [vocab]` of what follows the text `seen`; `unit` is drawn
    /// evenly from 0..1.
    ///
    /// # Errors
    /// [`NotFinite`], however the token would be chosen: no order and no probability is right then.
    ///
    /// # Panics
    /// If there are no logits.
    pub fn choose(&self, logits: &[f32], seen: &[u32], unit: f64) -> Result<u32, NotFinite> {
        let candidates = self.candidates(logits, seen)?;
        let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = unit * total;
        for (token, weight) in &candidates {
            left -= weight;
            if left <= 0.0 {
                return Ok(*token);
            }
        }
        Ok(candidates[candidates.len() - 1].0)
    }

    /// The tokens that may be next, likeliest first, with weights in proportion to their
    /// probabilities.
    fn candidates(&self, logits: &[f32], seen: &[u32]) -> Result<Vec<(u32, f64)>, NotFinite> {
        let scores = self.penalised(logits, seen);
        if !can_be_chosen_from(&scores) {
            return Err(NotFinite);
        }
        let score = |token: u32| scores[token as usize];
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        order.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        let top = score(order[0]);
        if self.temperature == 0.0 {
            return Ok(vec![(order[0], 1.0)]);
        }
        if let Some(k) = self.top_k.filter(|k| *k < order.len()) {
            let least = score(order[k.max(1) - 1]);
            order.truncate(order.partition_point(|token| score(*token) >= least));
        }
        let weight = |token| ((score(token) - top) / self.temperature).exp();
        let mut kept: Vec<_> = order
            .into_iter()
            .map(|token| (token, weight(token)))
            .collect();
        if let Some(p) = self.top_p {
            // From the least likely on, those go that are worth no more than 1 - p together.
            let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
            let mut tail = 0.0;
            while let [_, .., (_, weight)] = kept[..] {
                tail += weight / total;
                if tail > 1.0 - p {
                    break;
                }
                kept.pop();
            }
        }
        Ok(kept)
    }

    /// The logits, with those of the tokens in `seen` made less likely.
    fn penalised(&self, logits: &[f32], seen: &[u32]) -> Vec<f64> {
        let mut scores: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        if self.repetition_penalty == 1.0 {
            return scores;
        }
        for &token in seen {
            // From the logit, not the score: a token is penalised once, however often it was seen.
            if let (Some(logit), Some(score)) =
                (logits.get(token as usize), scores.get_mut(token as usize))
            {
                let logit = f64::from(*logit);
                *score = if logit < 0.0 {
                    logit * self.repetition_penalty
                } else {
                    logit / self.repetition_penalty
                };
            }
        }
        scores
    }
}

/// Scores that no token can be chosen from: NaN among them, infinity, or nothing above its negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFinite;

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the logits of the next token are not finite, so no token can be chosen: weights that are \
             damaged, or of a training that diverged",
        )
    }
}

impl error::Error for NotFinite {}

/// Whether some token is likelier than impossible, and none beyond comparison. Negative infinity
/// masks a token.
fn can_be_chosen_from(scores: &[f64]) -> bool {
    let comparable = |score: &f64| *score < f64::INFINITY; // NaN is not.
    scores.iter().all(comparable) && scores.iter().any(|score| score.is_finite())
}

/// A decoder that can continue sequences from a cache.
pub trait CachedDecoder {
    /// Most positions the model can see at once.
    fn context(&self) -> usize;

    /// An empty cache.
    fn cache(&self) -> Cache;

    /// Continues the sequences in `cache` with `tokens [b, t]` -> `logits [b, vocab]` of what follows
    /// the last.
    ///
    /// # Errors
    /// [`ContextFull`] if the tokens do not fit, with the cache as it was.
    fn next_logits(
        &self,
        tokens: Tensor<2, Int>,
        cache: &mut Cache,
    ) -> Result<Tensor<2>, ContextFull>;
}

/// An encoder-decoder that has read its source, so that what it writes can be sampled as any text: from
/// the start token on, until the stop token. [`BeamSearch`](crate::beam::BeamSearch) finds the likeliest
/// instead.
pub struct Translator<'a> {
    model: &'a EncoderDecoder,
    memory: Memory,
}

impl<'a> Translator<'a> {
    /// Reads `source [1, s]`.
    ///
    /// # Panics
    /// If `s` exceeds the model's `max_length`.
    pub fn new(model: &'a EncoderDecoder, source: Tensor<2, Int>) -> Self {
        let memory = model.encode(source);
        Self { model, memory }
    }
}

impl CachedDecoder for Translator<'_> {
    fn context(&self) -> usize {
        self.model.max_length()
    }

    fn cache(&self) -> Cache {
        self.model.cache()
    }

    fn next_logits(
        &self,
        tokens: Tensor<2, Int>,
        cache: &mut Cache,
    ) -> Result<Tensor<2>, ContextFull> {
        let logits = self.model.forward_cached(tokens, &self.memory, cache)?;
        let [_, t, _] = logits.dims();
        Ok(logits.narrow(1, t - 1, 1).squeeze_dim(1))
    }
}

/// A decoder in the middle of a text: tokens in, logits of the next token out.
pub struct Decoder<'a> {
    model: &'a dyn CachedDecoder,
    device: &'a Device,
    cache: Cache,
    /// What the model has seen, to start anew when the context is full.
    seen: Vec<u32>,
}

impl<'a> Decoder<'a> {
    /// A decoder that has seen nothing. The device is the model's, without autodiff.
    pub fn new(model: &'a dyn CachedDecoder, device: &'a Device) -> Self {
        Self {
            model,
            device,
            cache: model.cache(),
            seen: Vec::new(),
        }
    }

    /// Most tokens that the model sees at once.
    pub fn context(&self) -> usize {
        self.model.context()
    }

    /// Appends tokens and gives the logits `[vocab]` of what follows the last one.
    ///
    /// Of more tokens than the [`context`](Self::context), the last ones that fit are read. When a
    /// token comes that the context has no room for, the newer half of the text is read again, so
    /// that a text of any length can be continued at a bounded cost a token.
    ///
    /// # Panics
    /// If there are no tokens.
    pub fn next(&mut self, tokens: &[u32]) -> Vec<f32> {
        self.append(tokens).iter::<f32>().collect()
    }

    /// The logits `[t, vocab]` after each of the tokens, fed one at a time.
    pub fn logits(&mut self, tokens: &[u32]) -> TensorData {
        let rows = tokens.iter().map(|token| self.append(&[*token]));
        let rows: Vec<Vec<f64>> = rows.map(|row| row.iter::<f64>().collect()).collect();
        let vocab = rows.first().map_or(0, Vec::len);
        TensorData::new(rows.concat(), [rows.len(), vocab])
    }

    fn append(&mut self, tokens: &[u32]) -> TensorData {
        assert!(
            !tokens.is_empty(),
            "a decoder needs a token to continue from"
        );
        self.seen.extend(tokens);
        let context = self.model.context();
        let mut fresh = tokens.to_vec();
        if self.cache.len() + fresh.len() > context {
            // All of the new tokens, if they fit, and half of a context at least.
            let keep = fresh.len().max(context / 2).min(context).max(1);
            let forgotten = self.seen.len().saturating_sub(keep);
            self.seen.drain(..forgotten);
            fresh.clone_from(&self.seen);
            self.cache.clear();
        }
        let t = fresh.len();
        let ids: Vec<i32> = fresh.into_iter().map(|id| id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, t]), self.device);
        let logits = self
            .model
            .next_logits(ids, &mut self.cache)
            .expect("the cache was cleared where the tokens did not fit");
        logits.into_data()
    }
}

/// Continues a text with one token after the other, without end or until a token of `stop`, which is
/// not given out. `unit` draws evenly from 0..1, once a token.
///
/// The `prompt` is read when the first token is asked for. The decoder may have read a text before
/// it, and has then read all but the last token of what was given out. Repetition is judged by the
/// prompt and what follows it. The last item is an error where no token can be chosen.
///
/// # Panics
/// If the prompt is empty.
pub fn generate(
    decoder: &mut Decoder<'_>,
    prompt: &[u32],
    sampling: &Sampling,
    stop: &[u32],
    mut unit: impl FnMut() -> f64,
) -> impl Iterator<Item = Result<u32, NotFinite>> {
    let mut text = prompt.to_vec();
    let mut read = 0; // Tokens of the text that the decoder knows.
    let mut failed = false;
    let next = move || {
        if failed {
            return None;
        }
        let logits = decoder.next(&text[read..]);
        read = text.len();
        match sampling.choose(&logits, &text, unit()) {
            Ok(token) if stop.contains(&token) => None,
            Ok(token) => {
                text.push(token);
                Some(Ok(token))
            }
            Err(error) => {
                failed = true;
                Some(Err(error))
            }
        }
    };
    iter::from_fn(next).fuse()
}

#[cfg(test)]
mod tests;
