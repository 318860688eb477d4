//! The ranges of the sizes here.

use std::ops::RangeInclusive;

pub(crate) use zoo_kernels::range::{allowed, count, divisor, epsilon, probability, token};

/// The sizes accepted: far above any use, far below an overflow of a tensor's size.
pub(crate) const SIZES: RangeInclusive<usize> = 1..=1 << 24;

/// The numbers of layers accepted, for the same reasons.
pub(crate) const LAYERS: RangeInclusive<usize> = 1..=1024;
