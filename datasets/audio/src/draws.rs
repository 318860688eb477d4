//! The random draws of one item, taken straight from the generator's published stream, so that they do
//! not change with the version of a library.

use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

/// A part of a set that is made up or put together, each with draws of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Train,
    Valid,
    Test,
}

pub(crate) struct Draws(Xoshiro256PlusPlus);

impl Draws {
    /// Of an item, which depend on nothing else.
    pub(crate) fn new(seed: u64, part: Part, index: usize) -> Self {
        let stream = 4 * index as u64 + part as u64;
        Self(Xoshiro256PlusPlus::seed_from_u64(
            seed.rotate_left(32) ^ stream,
        ))
    }

    /// 0..1, in steps of 2^-24.
    fn unit(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    pub(crate) fn between(&mut self, [low, high]: [f32; 2]) -> f32 {
        low + (high - low) * self.unit()
    }

    /// 0, 1, …, `count - 1`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f32) as usize
    }

    /// One of a few.
    pub(crate) fn choose<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Nearly normal, mean 0 and variance 1: four 16-bit uniforms of one word, summed.
    pub(crate) fn bell(&mut self) -> f32 {
        let word = self.0.next_u64();
        let sum: u64 = (0..4).map(|part| (word >> (16 * part)) & 0xffff).sum();
        // Each uniform has mean 1/2 and variance 1/12, so four have 2 and 1/3.
        (sum as f32 / 65535.0 - 2.0) * 3f32.sqrt()
    }
}
