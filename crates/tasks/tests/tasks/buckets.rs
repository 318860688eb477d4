//! Batches by token count.

use zoo_tasks::buckets::batches;

/// Lengths from 1 to 40, uneven.
fn lengths(count: usize) -> Vec<usize> {
    (0..count).map(|at| 1 + (at * at + at / 3) % 40).collect()
}

#[test]
fn every_example_is_in_one_batch_and_no_batch_is_too_large() {
    for count in [0, 1, 2, 5000, 9001] {
        let lengths = lengths(count);
        let cut = batches(&lengths, 512, 1, 0);
        let mut seen: Vec<u32> = cut.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..count as u32).collect::<Vec<_>>());
        for batch in &cut {
            let longest = batch.iter().map(|at| lengths[*at as usize]).max().unwrap();
            assert!(longest * batch.len() <= 512, "{longest} {}", batch.len());
        }
    }
}

#[test]
fn an_example_above_the_budget_is_alone() {
    let cut = batches(&[3, 100, 4, 200, 5], 15, 7, 2);
    let alone: Vec<&Vec<u32>> = cut
        .iter()
        .filter(|batch| batch.contains(&1) || batch.contains(&3))
        .collect();
    assert_eq!(alone.len(), 2);
    assert!(alone.iter().all(|batch| batch.len() == 1));
    assert_eq!(cut.len(), 3);
    assert_eq!(batches(&[1, 2], 0, 0, 0).len(), 2);
    assert_eq!(batches(&[usize::MAX, 1], usize::MAX, 0, 0).len(), 2);
}

#[test]
fn batches_follow_from_seed_and_epoch() {
    let lengths = lengths(3000);
    let first = batches(&lengths, 512, 1, 0);
    assert_eq!(batches(&lengths, 512, 1, 0), first);
    assert_ne!(batches(&lengths, 512, 1, 1), first);
    assert_ne!(batches(&lengths, 512, 2, 0), first);
    // Batches are not sorted by length, and little of them is padding.
    let longest = |batch: &Vec<u32>| batch.iter().map(|at| lengths[*at as usize]).max().unwrap();
    assert!(!first.is_sorted_by_key(longest));
    let padded: usize = first.iter().map(|batch| longest(batch) * batch.len()).sum();
    let tokens: usize = lengths.iter().sum();
    assert!(padded * 100 < tokens * 105, "{padded} {tokens}");
}
