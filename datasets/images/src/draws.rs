//! What sets that this crate draws itself are drawn from.
//!
//! Taken straight from the generator's published stream, so that a set does not change with the
//! version of a library.

use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

/// The random draws of one item.
pub(crate) struct Draws(Xoshiro256PlusPlus);

impl Draws {
    /// The draws of one of the streams of a seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(
            seed.rotate_left(32) ^ stream,
        ))
    }

    /// 0..1, in steps of 2^-24.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in a range.
    pub(crate) fn between(&mut self, [low, high]: [f32; 2]) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in -amplitude..amplitude.
    pub(crate) fn around(&mut self, amplitude: f32) -> f32 {
        self.between([-amplitude, amplitude])
    }

    /// 0, 1, …, `count - 1`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f32) as usize
    }

    /// Sine and cosine of an angle of at most `degrees` either way.
    pub(crate) fn angle(&mut self, degrees: f32) -> (f32, f32) {
        let (sin, cos) = f64::from(self.around(degrees)).to_radians().sin_cos();
        (sin as f32, cos as f32)
    }

    /// Nearly normal, mean 0 and variance 1: four 16-bit uniforms of one word, summed.
    pub(crate) fn bell(&mut self) -> f32 {
        let word = self.0.next_u64();
        let sum: u64 = (0..4).map(|part| (word >> (16 * part)) & 0xffff).sum();
        // Each uniform has mean 1/2 and variance 1/12, so four have 2 and 1/3.
        (sum as f32 / 65535.0 - 2.0) * 3f32.sqrt()
    }
}
