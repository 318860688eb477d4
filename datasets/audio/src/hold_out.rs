//! What is held out of training to choose the best model by.

use crate::draws::{Draws, Part};

/// Splits `items` by `seed` alone: most of them, and a share of at least one that was held out, both in
/// their order. Nothing is held out of a single item, or where the share is 0.
pub(crate) fn hold_out<T>(items: Vec<T>, fraction: f64, seed: u64) -> (Vec<T>, Vec<T>) {
    let all = items.len();
    if fraction <= 0.0 || all < 2 {
        return (items, Vec::new());
    }
    let count = ((all as f64 * fraction).round() as usize).clamp(1, all - 1);
    let mut order: Vec<usize> = (0..all).collect();
    let mut draws = Draws::new(seed, Part::Valid, 0);
    for last in (1..all).rev() {
        order.swap(last, draws.below(last + 1));
    }
    let mut held = vec![false; all];
    order[..count].iter().for_each(|place| held[*place] = true);
    let marked: Vec<(T, bool)> = items.into_iter().zip(held).collect();
    let (held, kept): (Vec<_>, Vec<_>) = marked.into_iter().partition(|(_, held)| *held);
    let bare = |pairs: Vec<(T, bool)>| pairs.into_iter().map(|(item, _)| item).collect();
    (bare(kept), bare(held))
}
