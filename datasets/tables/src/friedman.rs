//! `friedman1`: y = 10 sin(π x1 x2) + 20 (x3 - 1/2)² + 10 x4 + 5 x5 + e (Friedman 1991,
//! "Multivariate adaptive regression splines", section 4.3), x1 to x10 uniform in 0..1, e normal with
//! variance 1. Five inputs say nothing.
//!
//! No model can foresee e, so the least mean squared error is 1. The variance of the rest is 23.83,
//! of which R2 can be at most 23.83 / 24.83 = 0.9597; that of the best linear model is 0.72.

use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};
use std::f64::consts::{PI, TAU};

use crate::{NumberSet, Splits};

/// Examples to train, validate and test with.
pub(crate) const EXAMPLES: [usize; 3] = [4_000, 500, 2_000];
/// Inputs, of which the first five matter.
const INPUTS: usize = 10;
/// The seed of the set that everyone gets; another one would be another data set.
const SEED: u64 = 0x66_72_69_65_64_6d_61_6e;

pub(crate) fn open() -> Splits {
    let [train, valid, test] = [0, 1, 2].map(|split| NumberSet {
        inputs: (1..=INPUTS).map(|number| format!("x{number}")).collect(),
        targets: vec!["y".into()],
        values: (0..EXAMPLES[split] as u64)
            .flat_map(|index| example(3 * index + split as u64))
            .collect(),
    });
    Splits { train, valid, test }
}

/// Inputs and target of one example, a function of the seed and its number alone.
fn example(number: u64) -> [f32; INPUTS + 1] {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED.rotate_left(32) ^ number);
    // In steps of 2^-24, which single precision holds exactly.
    let mut unit = || (rng.next_u64() >> 40) as f64 / f64::from(1 << 24);
    let x = [0; INPUTS].map(|_| unit());
    // Box and Muller 1958; one less a unit is never 0.
    let noise = (-2.0 * (1.0 - unit()).ln()).sqrt() * (TAU * unit()).cos();
    let mut row = [0.0; INPUTS + 1];
    row[..INPUTS].copy_from_slice(&x.map(|value| value as f32));
    row[INPUTS] = (signal(&x) + noise) as f32;
    row
}

/// The part of the target that the inputs tell.
fn signal(x: &[f64; INPUTS]) -> f64 {
    10.0 * (PI * x[0] * x[1]).sin() + 20.0 * (x[2] - 0.5).powi(2) + 10.0 * x[3] + 5.0 * x[4]
}
