//! Chance as a function of (seed, what for, when): SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
//!
//! Nothing here keeps state between steps, so nothing about chance needs saving, any number of
//! loader threads draws the same numbers, and a few lines in another language repeat them: the
//! PyTorch side of the golden tests does.

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// What a number is drawn for; streams of different purposes never meet.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Purpose {
    /// The order of the examples in an epoch; keyed by the epoch.
    Order = 1,
    /// Random operations on the device (dropout); keyed by the step.
    Device = 2,
    /// Augmentation of one example; keyed by the epoch and the example's index.
    Example = 3,
    /// What a whole epoch shares, such as the offset of text windows; keyed by the epoch.
    Epoch = 4,
    /// The initial weights.
    Weights = 5,
    /// The initial values of low-rank adapters.
    Adapters = 6,
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The seed of one stream: `derive(seed, Purpose::Order, &[epoch])`.
pub fn derive(seed: u64, purpose: Purpose, keys: &[u64]) -> u64 {
    let start = mix(seed.wrapping_add(GOLDEN_GAMMA)) ^ purpose as u64;
    keys.iter().fold(mix(start), |state, &key| {
        mix(state ^ mix(key.wrapping_add(GOLDEN_GAMMA)))
    })
}

/// A stream of numbers from one derived seed.
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// Starts the stream that belongs to a derived seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        mix(self.0)
    }

    /// A number in `0..bound`, by a multiply and a shift (Lemire 2019, without the rejection: its
    /// bias is under `bound / 2^64`).
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }
}

/// The order of `len` examples in one epoch: a Fisher-Yates shuffle of `0..len`.
pub fn permutation(len: usize, seed: u64) -> Vec<u32> {
    assert!(u32::try_from(len).is_ok(), "at most 2^32 examples an epoch");
    let mut order: Vec<u32> = (0..len as u32).collect();
    let mut stream = Stream::new(seed);
    for i in (1..len).rev() {
        order.swap(i, stream.below(i + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_splitmix64() {
        // The first outputs for seed 1234567, from the reference implementation by Vigna.
        let mut stream = Stream::new(1_234_567);
        let first = [stream.next_u64(), stream.next_u64(), stream.next_u64()];
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_permutation_holds_every_index_once_and_depends_on_its_epoch() {
        let order = |epoch| permutation(1000, derive(7, Purpose::Order, &[epoch]));
        let mut sorted = order(0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<u32>>());
        assert_eq!(order(3), order(3));
        assert_ne!(order(0), order(1));
    }

    #[test]
    fn purposes_and_keys_do_not_collide() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..20 {
            for key in 0..100 {
                assert!(seen.insert(derive(seed, Purpose::Order, &[key])));
                assert!(seen.insert(derive(seed, Purpose::Device, &[key])));
                assert!(seen.insert(derive(seed, Purpose::Example, &[key, 0])));
            }
        }
    }
}
