//! Batches of about as many tokens each, of examples that are about as long.

use zoo_train::rng::{Purpose, derive, permutation};

/// Examples that are sorted together. The more, the less padding; the fewer, the more an example's company
/// differs from epoch to epoch.
const BUCKET: usize = 4096;

/// Batches of the indices of examples of these lengths, for one epoch: every example once, and in each batch
/// `longest * count <= most_tokens`, padding included. An example that is longer than that is alone.
///
/// Examples are shuffled, sorted by length within buckets, and cut into batches, which are shuffled. All of
/// it follows from the seed and the epoch.
pub fn batches(lengths: &[usize], most_tokens: usize, seed: u64, epoch: u64) -> Vec<Vec<u32>> {
    let mut order = permutation(lengths.len(), derive(seed, Purpose::Order, &[epoch, 0]));
    let length = |index: &u32| lengths[*index as usize];
    let mut cut = Vec::new();
    for bucket in order.chunks_mut(BUCKET) {
        // Stable: equal lengths stay shuffled.
        bucket.sort_by_key(length);
        let mut batch: Vec<u32> = Vec::new();
        for index in bucket {
            // The longest so far is the last.
            let tokens = (batch.len() + 1).checked_mul(length(index).max(1));
            if !batch.is_empty() && tokens.is_none_or(|tokens| tokens > most_tokens) {
                cut.push(std::mem::take(&mut batch));
            }
            batch.push(*index);
        }
        cut.push(batch);
    }
    let order = permutation(cut.len(), derive(seed, Purpose::Order, &[epoch, 1]));
    let take = |at: u32| std::mem::take(&mut cut[at as usize]);
    order.into_iter().map(take).collect()
}
