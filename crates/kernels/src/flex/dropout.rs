//! Dropout whose choices are a function of a seed and an element's place: drawn in vectors, on any number
//! of threads, and a second time in the backward pass rather than kept.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use burn::backend::TensorMetadata;
use multiversion::multiversion;

use super::Saved;
use super::matrix::{MatMut, over_rows, threads_for};
use super::memory::{Blank, Values, changed, contiguous, slice, unwritten, written};

/// Elements of a part, which has a seed of its own.
const PART: usize = 1 << 14;

/// What the backward pass needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropped {
    seed: u64,
    /// Numbers below this are dropped.
    threshold: u32,
    /// Of what is kept.
    scale: f32,
}

/// `x` of any shape, each element dropped with `probability` in 0..1.
pub(crate) fn forward(x: Values, seed: u64, probability: f64) -> (Values, Dropped) {
    let how = Dropped {
        seed,
        threshold: (probability * 2f64.powi(32)) as u32,
        scale: (1.0 / (1.0 - probability)) as f32,
    };
    let x = contiguous(x);
    let from = slice(&x);
    let mut out = unwritten(from.len());
    let whole = [MatMut::new(&mut out, from.len(), 1)];
    over_rows(
        whole,
        PART,
        threads_for(4 * from.len()),
        &|first, [part]| {
            let part = part.into_slice();
            drop_out(part, &from[first..][..part.len()], how.of_part(first));
        },
    );
    // SAFETY: each part is written.
    let out = unsafe { written(out, x.shape()) };
    (out, how)
}

impl Saved for Dropped {
    /// The gradient of `x`.
    fn backward(self, grad: Values, _: &[bool]) -> Vec<Option<Values>> {
        let grad = changed(grad, |grad| {
            let len = grad.len();
            let whole = [MatMut::new(grad, len, 1)];
            over_rows(whole, PART, threads_for(4 * len), &|first, [part]| {
                drop_again(part.into_slice(), self.of_part(first));
            });
        });
        vec![Some(grad)]
    }
}

/// The choices in a part.
#[derive(Clone, Copy)]
struct Choices {
    seeds: [u32; 2],
    threshold: u32,
    scale: f32,
}

impl Dropped {
    fn of_part(self, first: usize) -> Choices {
        // splitmix64 (Steele, Lea and Flood 2014).
        let part = (first / PART) as u64 + 1;
        let z = (self.seed).wrapping_add(part.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        Choices {
            seeds: [z as u32, (z >> 32) as u32],
            threshold: self.threshold,
            scale: self.scale,
        }
    }
}

impl Choices {
    /// What an element of the part is multiplied by.
    #[inline(always)]
    fn factor(self, place: usize) -> f32 {
        let [first, second] = self.seeds;
        let number = mixed(mixed(place as u32 ^ first).wrapping_add(second));
        if number < self.threshold {
            0.0
        } else {
            self.scale
        }
    }
}

/// The last steps of MurmurHash3 for 32 bits (Appleby 2011).
#[inline(always)]
fn mixed(bits: u32) -> u32 {
    let bits = (bits ^ (bits >> 16)).wrapping_mul(0x85EB_CA6B);
    let bits = (bits ^ (bits >> 13)).wrapping_mul(0xC2B2_AE35);
    bits ^ (bits >> 16)
}

#[multiversion(targets = "simd")]
fn drop_out(out: &mut [Blank], x: &[f32], choices: Choices) {
    for (place, (out, x)) in out.iter_mut().zip(x).enumerate() {
        out.write(x * choices.factor(place));
    }
}

#[multiversion(targets = "simd")]
fn drop_again(grad: &mut [f32], choices: Choices) {
    for (place, grad) in grad.iter_mut().enumerate() {
        *grad *= choices.factor(place);
    }
}
