//! Beam search: sequences that a decoder finds probable, without looking at all of them.
//!
//! A sentence keeps its most probable beginnings, `beams` at first. One that ends takes its place
//! with it, so the search of a sentence is over when `beams` have ended; a single beam is greedy
//! decoding, and as many beams as there are sequences try every one.
//!
//! Departure: the search of Vaswani et al. goes on until no unfinished beginning can win any more.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::encoder_decoder::EncoderDecoder;
use crate::generate::NotFinite;

// b sentences, s source positions, r beginnings of all sentences.

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeamSearch {
    /// Beginnings kept a sentence, 1 or more.
    pub beams: usize,
    /// How much longer sequences are favoured, 0 or more: α of Wu et al. 2016, equation 14. At 0
    /// the score is the logarithm of the probability.
    pub length_penalty: f64,
    /// Most tokens of a hypothesis, the stop token included, 1 or more.
    pub max_length: usize,
}

/// A sequence that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, without start and stop.
    pub tokens: Vec<u32>,
    /// The logarithm of its probability over its length penalty; the higher, the better.
    pub score: f64,
    /// Whether it came to the stop token; if not, it was cut at `max_length`.
    pub stopped: bool,
}

impl BeamSearch {
    /// Vaswani et al. 2017, section 6.1: "beam size of 4 and length penalty α = 0.6".
    pub fn paper(max_length: usize) -> Self {
        Self {
            beams: 4,
            length_penalty: 0.6,
            max_length,
        }
    }

    /// The most probable token every time.
    pub fn greedy(max_length: usize) -> Self {
        Self {
            beams: 1,
            length_penalty: 0.0,
            max_length,
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A message that names the key, what is allowed and what was given.
    pub fn validate(&self) -> Result<(), String> {
        for (key, value) in [("beams", self.beams), ("max_length", self.max_length)] {
            if value == 0 {
                return Err(format!("beam.{key}: expected 1 or more, got 0"));
            }
        }
        if !(self.length_penalty >= 0.0 && self.length_penalty.is_finite()) {
            return Err(format!(
                "beam.length_penalty: expected 0 or more, got {}",
                self.length_penalty
            ));
        }
        Ok(())
    }

    /// The targets of `source [b, s]`: for each of the `b` its hypotheses, best first.
    ///
    /// # Errors
    /// Values that [`validate`](Self::validate) refuses, a `max_length` above the model's, and
    /// logits that cannot be read.
    ///
    /// # Panics
    /// If `s` exceeds the model's `max_length`.
    pub fn search(
        &self,
        model: &EncoderDecoder,
        source: Tensor<2, Int>,
    ) -> Result<Vec<Vec<Hypothesis>>, String> {
        if self.max_length > model.max_length() {
            return Err(format!(
                "beam.max_length: expected at most model.max_length = {}, got {}",
                model.max_length(),
                self.max_length
            ));
        }
        let ([b, _], device) = (source.dims(), source.device());
        let [start, stop] = [model.start_token(), model.stop_token()].map(|token| token as u32);
        let (mut memory, mut cache) = (model.encode(source), model.cache());
        self.search_with(b, [start, stop], |parents, last| {
            if !parents.iter().copied().eq(0..memory.batch()) {
                let rows: Vec<i32> = parents.iter().map(|row| *row as i32).collect();
                let rows = Tensor::from_data(rows.as_slice(), &device);
                memory = memory.select(&rows);
                cache.select(&rows);
            }
            let last: Vec<i32> = last.iter().map(|token| *token as i32).collect();
            let last = TensorData::new(last, [parents.len(), 1]);
            let logits = model
                .forward_cached(Tensor::from_data(last, &device), &memory, &mut cache)
                .map_err(|fault| fault.to_string())?;
            Ok(logits.flatten(0, 1))
        })
    }

    /// [`search`](Self::search) with any decoder of `sentences` sentences.
    ///
    /// `logits` gets, for each of `r` rows, the row of the call before that it continues and the
    /// token to append, and gives the logits `[r, vocab]` of what follows. The first call has one
    /// row a sentence, which continues the sentence's own and appends `start`.
    ///
    /// # Errors
    /// Values that [`validate`](Self::validate) refuses, those of `logits`, and logits that cannot
    /// be read, or that leave no token to choose ([`NotFinite`]).
    pub fn search_with(
        &self,
        sentences: usize,
        [start, stop]: [u32; 2],
        mut logits: impl FnMut(&[usize], &[u32]) -> Result<Tensor<2>, String>,
    ) -> Result<Vec<Vec<Hypothesis>>, String> {
        self.validate()?;
        let mut ended: Vec<Vec<Hypothesis>> = vec![Vec::new(); sentences];
        // In the order of the sentences, and of probability within one.
        let mut live: Vec<Beginning> = (0..sentences).map(Beginning::empty).collect();
        let mut parents: Vec<usize> = (0..sentences).collect();
        for length in 1..=self.max_length {
            if live.is_empty() {
                break;
            }
            let last: Vec<u32> = (live.iter())
                .map(|beginning| *beginning.tokens.last().unwrap_or(&start))
                .collect();
            let log_probs = log_softmax(logits(&parents, &last)?, 1); // [r, vocab]
            let [_, vocab] = log_probs.dims();
            let log_probs: Vec<f32> = log_probs
                .try_into_vec_as()
                .map_err(|error| format!("the logits could not be read: {error}"))?;
            // What is impossible has negative infinity. The softmax of NaN, of infinity, and of
            // nothing but impossible tokens is NaN, which would count as the most probable.
            if log_probs.iter().any(|log_prob| log_prob.is_nan()) {
                return Err(NotFinite.to_string());
            }

            parents.clear();
            let mut next = Vec::new();
            let mut first_row = 0;
            for group in live.chunk_by(|a, b| a.sentence == b.sentence) {
                let ended = &mut ended[group[0].sentence];
                let log_probs = &log_probs[first_row * vocab..][..group.len() * vocab];
                for candidate in best(group, log_probs, self.beams - ended.len()) {
                    let Candidate {
                        row,
                        token,
                        log_prob,
                    } = candidate;
                    let mut beginning = group[row].clone();
                    beginning.log_prob = log_prob;
                    let stopped = token == stop;
                    if !stopped {
                        beginning.tokens.push(token);
                    }
                    if stopped || length == self.max_length {
                        ended.push(Hypothesis {
                            tokens: beginning.tokens,
                            score: log_prob / self.penalty(length),
                            stopped,
                        });
                    } else {
                        parents.push(first_row + row);
                        next.push(beginning);
                    }
                }
                first_row += group.len();
            }
            live = next;
        }
        for hypotheses in &mut ended {
            hypotheses.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        Ok(ended)
    }

    /// What the logarithm of a probability is divided by for a hypothesis of so many tokens, the
    /// stop token included (Wu et al. 2016, equation 14).
    pub fn penalty(&self, length: usize) -> f64 {
        ((5.0 + length as f64) / 6.0).powf(self.length_penalty)
    }
}

/// A sequence that has not ended.
#[derive(Clone)]
struct Beginning {
    sentence: usize,
    tokens: Vec<u32>,
    log_prob: f64,
}

impl Beginning {
    fn empty(sentence: usize) -> Self {
        Self {
            sentence,
            tokens: Vec::new(),
            log_prob: 0.0,
        }
    }
}

/// A beginning's row and a token to append.
struct Candidate {
    row: usize,
    token: u32,
    log_prob: f64,
}

/// The most probable continuations, best first; `log_probs [r, vocab]` of the next token after each
/// of the beginnings. Of equals the earlier one wins, so that a search is reproducible.
fn best(group: &[Beginning], log_probs: &[f32], count: usize) -> Vec<Candidate> {
    let vocab = log_probs.len() / group.len();
    let rows = group.iter().zip(log_probs.chunks_exact(vocab)).enumerate();
    let mut candidates: Vec<Candidate> = rows
        .flat_map(|(row, (beginning, log_probs))| {
            (0..)
                .zip(log_probs)
                .map(move |(token, log_prob)| Candidate {
                    row,
                    token,
                    log_prob: beginning.log_prob + f64::from(*log_prob),
                })
        })
        .collect();
    let order = |a: &Candidate, b: &Candidate| {
        let by_probability = b.log_prob.total_cmp(&a.log_prob);
        by_probability.then((a.row, a.token).cmp(&(b.row, b.token)))
    };
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, order);
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(order);
    candidates
}

#[cfg(test)]
mod tests;
