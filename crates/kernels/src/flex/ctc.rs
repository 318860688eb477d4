//! Connectionist temporal classification (Graves et al. 2006): the loss and its gradient by one pass
//! forward and one backward over the frames, each a recording by itself.
//!
//! Paths' probabilities are kept in double precision and scaled to a sum of one at every frame (section
//! 4.1, after Rabiner 1989): there is no logarithm in the innermost loop.

use rayon::prelude::*;

use super::Saved;
use super::loss::log_sum_exp;
use super::matrix::{grain, threads_for};
use super::memory::{Values, changed, contiguous, dims, slice, tensor};
use super::vector::exp;
use crate::Transcripts;
use multiversion::multiversion;

// b batch, s frames, k characters and the blank, p places of a text with blanks around its characters

/// The least probability of a character, over that of the frame's likeliest: a path is never lost.
const LEAST: f64 = 1e-280;

/// What the backward pass needs: the gradient itself.
#[derive(Clone, Debug)]
pub(crate) struct Ctc {
    /// `[b, s, k]`
    gradient: Values,
}

/// `logits [b, s, k]` -> the loss of each recording `[b]`, in nats.
pub(crate) fn loss(logits: Values, texts: &Transcripts) -> Values {
    let logits = contiguous(logits);
    let [batch, ..] = dims::<3>(&logits);
    let losses = each(&logits, texts, None);
    tensor(losses, [batch])
}

/// The same, with what its backward pass needs.
pub(crate) fn forward(logits: Values, texts: &Transcripts) -> (Values, Ctc) {
    let logits = contiguous(logits);
    let [batch, frames, characters] = dims(&logits);
    let mut gradient = vec![0.0; batch * frames * characters];
    let losses = each(&logits, texts, Some(&mut gradient));
    let gradient = tensor(gradient, [batch, frames, characters]);
    (tensor(losses, [batch]), Ctc { gradient })
}

impl Saved for Ctc {
    /// The gradient of the logits.
    fn backward(self, grad: Values, _: &[bool]) -> Vec<Option<Values>> {
        let [_, frames, characters] = dims(&self.gradient);
        let of_each = contiguous(grad);
        let scaled = changed(self.gradient, |gradient| {
            let recordings = gradient.chunks_exact_mut((frames * characters).max(1));
            for (recording, scale) in recordings.zip(slice(&of_each)) {
                for value in recording {
                    *value *= scale;
                }
            }
        });
        vec![Some(scaled)]
    }
}

/// The losses, and where there is room the gradients, of all recordings.
fn each(logits: &Values, texts: &Transcripts, gradient: Option<&mut [f32]>) -> Vec<f32> {
    let [batch, frames, characters] = dims(logits);
    assert!(
        texts.frames.len() == batch && texts.texts.len() == batch,
        "{batch} recordings, {} lengths, {} texts",
        texts.frames.len(),
        texts.texts.len()
    );
    let size = (frames * characters).max(1);
    let longest = texts.texts.iter().map(Vec::len).max().unwrap_or(0);
    let threads = threads_for(64 * batch * frames * (2 * longest + 1));
    let mut gradients: Vec<Option<&mut [f32]>> = match gradient {
        Some(gradient) => gradient.chunks_exact_mut(size).map(Some).collect(),
        None => (0..batch).map(|_| None).collect(),
    };
    gradients.resize_with(batch, || None);
    (slice(logits).par_chunks_exact(size))
        .zip(gradients)
        .zip(texts.frames.par_iter().zip(&texts.texts))
        .with_min_len(grain(threads, batch))
        .map(|((logits, gradient), (own, text))| {
            assert!(*own <= frames, "{own} frames of {frames}");
            recording(&logits[..own * characters], characters, text, gradient)
        })
        .collect()
}

/// A text with a blank before, between and after its characters.
struct Places<'a> {
    text: &'a [usize],
}

impl Places<'_> {
    fn len(&self) -> usize {
        2 * self.text.len() + 1
    }

    /// What is heard at a place: the blank is 0.
    fn character(&self, place: usize) -> usize {
        match place % 2 {
            1 => self.text[place / 2],
            _ => 0,
        }
    }

    /// Whether a path may come from two places before, over a blank: between different characters.
    fn skips(&self, place: usize) -> bool {
        place % 2 == 1 && place >= 3 && self.text[place / 2] != self.text[place / 2 - 1]
    }
}

/// The loss of one recording `[s, k]`, and its gradient.
fn recording(
    logits: &[f32],
    characters: usize,
    text: &[usize],
    gradient: Option<&mut [f32]>,
) -> f32 {
    if let Some(character) = text.iter().find(|character| **character >= characters) {
        panic!("target {character} is not below the {characters} classes");
    }
    let places = Places { text };
    let (count, frames) = (places.len(), logits.len() / characters);
    let log_sums: Vec<f32> = logits.chunks_exact(characters).map(log_sum_exp).collect();
    // Of each frame and place: how likely its character is, over the likeliest of them.
    let mut emitted = vec![0.0; frames * count];
    let mut loss = 0.0;
    for ((frame, log_sum), emitted) in (logits.chunks_exact(characters))
        .zip(&log_sums)
        .zip(emitted.chunks_exact_mut(count))
    {
        let of = |place| f64::from(frame[places.character(place)]);
        let top = (0..count.min(2))
            .chain((3..count).step_by(2))
            .map(of)
            .fold(f64::NEG_INFINITY, f64::max);
        // Every even place is the blank's.
        let blank = (of(0) - top).exp().max(LEAST);
        for (place, emitted) in emitted.iter_mut().enumerate() {
            *emitted = match place % 2 {
                1 => (of(place) - top).exp().max(LEAST),
                _ => blank,
            };
        }
        loss -= top - f64::from(*log_sum);
    }
    let mut before = vec![0.0; frames * count];
    for t in 0..frames {
        let (past, now) = before.split_at_mut(t * count);
        let now = &mut now[..count];
        let emitted = &emitted[t * count..][..count];
        if t == 0 {
            let begins = count.min(2);
            now[..begins].copy_from_slice(&emitted[..begins]);
        } else {
            let past = &past[(t - 1) * count..];
            for place in 0..count {
                let mut paths = past[place];
                if place >= 1 {
                    paths += past[place - 1];
                }
                if places.skips(place) {
                    paths += past[place - 2];
                }
                now[place] = paths * emitted[place];
            }
        }
        loss -= scale_to_one(now).ln();
    }
    // A text ends at its last character or the blank behind it.
    let ends = match before.len().checked_sub(count) {
        Some(last) => before[last..][count.saturating_sub(2)..].iter().sum(),
        None => f64::from(u8::from(text.is_empty())),
    };
    loss -= f64::ln(ends);
    if let Some(gradient) = gradient {
        let gradient = &mut gradient[..logits.len()];
        write_gradient(gradient, logits, &log_sums, &places, &emitted, before);
    }
    loss as f32
}

/// Probabilities less the shares of the paths that go through each character; `before` are those of the
/// paths that lead to a place.
fn write_gradient(
    gradient: &mut [f32],
    logits: &[f32],
    log_sums: &[f32],
    places: &Places<'_>,
    emitted: &[f64],
    mut before: Vec<f64>,
) {
    let (count, frames) = (places.len(), log_sums.len());
    let Some(characters) = logits.len().checked_div(frames) else {
        return;
    };
    // How likely the rest of the text is from each place on, without what the place itself emits.
    let mut after = vec![0.0; count];
    after[count.saturating_sub(2)..].fill(1.0);
    let mut onward = vec![0.0; count];
    for t in (0..frames).rev() {
        let through = &mut before[t * count..][..count];
        for (through, after) in through.iter_mut().zip(&after) {
            *through *= after;
        }
        scale_to_one(through);
        let frame = t * characters..(t + 1) * characters;
        let gradient = &mut gradient[frame.clone()];
        probabilities(gradient, &logits[frame], log_sums[t]);
        for (place, share) in through.iter().enumerate() {
            gradient[places.character(place)] -= *share as f32;
        }
        let emitted = &emitted[t * count..][..count];
        for ((onward, after), emitted) in onward.iter_mut().zip(&after).zip(emitted) {
            *onward = after * emitted;
        }
        for place in 0..count {
            let mut rest = onward[place];
            if place + 1 < count {
                rest += onward[place + 1];
            }
            if place + 2 < count && places.skips(place + 2) {
                rest += onward[place + 2];
            }
            after[place] = rest;
        }
        scale_to_one(&mut after);
    }
}

/// Divides numbers by their sum, which is given back, unless that is zero.
fn scale_to_one(values: &mut [f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    if sum > 0.0 {
        for value in values {
            *value /= sum;
        }
    }
    sum
}

#[multiversion(targets = "simd")]
fn probabilities(out: &mut [f32], logits: &[f32], log_sum: f32) {
    for (out, logit) in out.iter_mut().zip(logits) {
        *out = exp(logit - log_sum);
    }
}
