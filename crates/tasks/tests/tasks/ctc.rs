//! Burn's CTC loss against PyTorch's, and decoding against all paths (`golden/ctc.py`).

use burn::nn::loss::CTCLossConfig;
use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use serde::Deserialize;
use zoo_tasks::metrics::ctc_decode::{beam_search, collapse, greedy};

#[derive(Deserialize)]
struct Golden {
    classes: usize,
    losses: Vec<Losses>,
    likeliest: Vec<Likeliest>,
}

#[derive(Deserialize)]
struct Losses {
    frames: Vec<i64>,
    letters: Vec<Vec<i64>>,
    /// `[b, t, classes]`
    logits: Vec<f32>,
    losses: Vec<f32>,
    gradients: Vec<f32>,
}

#[derive(Deserialize)]
struct Likeliest {
    scores: Vec<f32>,
    letters: Vec<usize>,
    log_probability: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/ctc.json")).unwrap()
}

fn assert_close(found: Tensor<1>, expected: &[f32], what: &str) {
    let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
    assert_eq!(found.len(), expected.len());
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        // Of losses of order 10.
        assert!(
            (a - b).abs() <= 1e-5 * b.abs().max(1.0),
            "{what} {place}: {a}, not {b}"
        );
    }
}

fn agrees(index: usize) {
    let device = Device::flex().autodiff();
    let Golden {
        classes, losses, ..
    } = golden();
    let case = &losses[index];
    let batch = case.frames.len();
    let frames = case.logits.len() / batch / classes;
    let longest = case.letters.iter().map(Vec::len).max().unwrap();
    let padded: Vec<i64> = (case.letters.iter())
        .flat_map(|letters| letters.iter().copied().chain([0; 8]).take(longest))
        .collect();
    let lengths: Vec<i64> = case
        .letters
        .iter()
        .map(|letters| letters.len() as i64)
        .collect();
    let int = |values: &[i64]| Tensor::<1, Int>::from_data(values, &device);

    let logits = TensorData::new(case.logits.clone(), [batch, frames, classes]);
    let logits = Tensor::<3>::from_data(logits, &device).require_grad();
    let loss = CTCLossConfig::new()
        .with_zero_infinity(true)
        .init()
        .forward(
            log_softmax(logits.clone(), 2).swap_dims(0, 1),
            int(&padded).reshape([batch, longest]),
            int(&case.frames),
            int(&lengths),
        );
    assert_close(loss.clone().inner(), &case.losses, "loss");
    let gradients = logits.grad(&loss.sum().backward()).unwrap();
    assert_close(gradients.flatten(0, 2), &case.gradients, "gradient");
}

#[test]
fn the_loss_and_its_gradients_are_pytorchs() {
    agrees(0);
}

#[test]
fn what_has_no_alignment_counts_nothing() {
    let impossible = golden().losses.remove(1);
    assert_eq!([impossible.losses[0], impossible.losses[2]], [0.0; 2]);
    agrees(1);
}

#[test]
fn repeats_collapse_unless_a_blank_stands_between() {
    assert_eq!(collapse([1, 1, 0, 1, 2, 2, 0, 0, 3], 0), [1, 1, 2, 3]);
    assert_eq!(collapse([2, 0, 0, 2, 1], 2), [0, 1]);
    assert_eq!(collapse([], 0), [0; 0]);
    let scores = [
        0.0, 2.0, 1.0, /* */ 0.0, 3.0, 3.0, /* */ 5.0, 0.0, 0.0, /* */ 0.0, 1.0, 0.0,
    ];
    assert_eq!(greedy(&scores, 3, 0), [1, 1]);
}

#[test]
fn a_wide_beam_finds_the_likeliest_of_all_texts() {
    let mut other_than_greedy = 0;
    for case in golden().likeliest {
        let (letters, log_probability) = beam_search(&case.scores, 3, 0, 100);
        assert_eq!(letters, case.letters);
        assert!((log_probability - case.log_probability).abs() < 1e-5);
        other_than_greedy += usize::from(letters != greedy(&case.scores, 3, 0));
    }
    assert!(
        other_than_greedy > 0,
        "the search is of no use in any of these"
    );
}
