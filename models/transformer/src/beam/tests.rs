use burn::tensor::Device;

use super::*;
use crate::encoder_decoder::EncoderDecoderConfig;
use crate::testing::lively;

const START: u32 = 1;
const STOP: u32 = 2;

/// Few enough tokens that every sequence can be tried.
fn model(device: &Device) -> EncoderDecoder {
    let config = EncoderDecoderConfig {
        vocab_size: 5,
        ..EncoderDecoderConfig::tiny()
    };
    lively(config.init(device))
}

fn source<const B: usize>(rows: [[i32; 4]; B], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(rows, device)
}

const SOURCES: [[i32; 4]; 3] = [[3, 4, 3, 2], [4, 1, 0, 0], [3, 0, 0, 0]];

/// Every sequence of the model's and its score, best first, by full passes without a cache.
fn every_sequence(model: &EncoderDecoder, source: [i32; 4], how: &BeamSearch) -> Vec<Hypothesis> {
    let device = Device::flex();
    let mut found = Vec::new();
    let mut open: Vec<(Vec<u32>, f64)> = vec![(Vec::new(), 0.0)];
    for length in 1..=how.max_length {
        let mut longer = Vec::new();
        for (tokens, log_prob) in open {
            let target: Vec<i32> = [START].iter().chain(&tokens).map(|id| *id as i32).collect();
            let target = Tensor::from_data(TensorData::new(target, [1, length]), &device);
            let logits = model.forward(self::source([source], &device), target);
            let last = log_softmax(logits, 2).narrow(1, length - 1, 1);
            let last: Vec<f32> = last.try_into_vec_as().unwrap();
            for (token, next) in (0..).zip(last) {
                let log_prob = log_prob + f64::from(next);
                let stopped = token == STOP;
                let mut tokens = tokens.clone();
                if !stopped {
                    tokens.push(token);
                }
                if stopped || length == how.max_length {
                    // Wu et al. 2016, equation 14, written out.
                    let penalty = (5.0 + length as f64).powf(how.length_penalty)
                        / (5.0 + 1.0f64).powf(how.length_penalty);
                    found.push(Hypothesis {
                        tokens,
                        score: log_prob / penalty,
                        stopped,
                    });
                } else {
                    longer.push((tokens, log_prob));
                }
            }
        }
        open = longer;
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

fn assert_same(found: &[Hypothesis], expected: &[Hypothesis]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(
            (&found.tokens, found.stopped),
            (&expected.tokens, expected.stopped)
        );
        assert!(
            (found.score - expected.score).abs() < 1e-4,
            "{found:?} {expected:?}"
        );
    }
}

#[test]
fn enough_beams_find_every_sequence_and_the_true_best_first() {
    let device = Device::flex();
    let model = model(&device);
    for length_penalty in [0.0, 0.6, 2.0] {
        let how = BeamSearch {
            beams: 5usize.pow(3),
            length_penalty,
            max_length: 3,
        };
        let found = how.search(&model, source(SOURCES, &device)).unwrap();
        for (found, source) in found.iter().zip(SOURCES) {
            // 1 + 4 stopped, and 4·4·5 of three tokens.
            assert_eq!(found.len(), 85);
            assert_same(found, &every_sequence(&model, source, &how));
        }
    }
}

#[test]
fn one_beam_is_greedy_decoding() {
    let device = Device::flex();
    let model = model(&device);
    let how = BeamSearch::greedy(8);
    for row in SOURCES {
        let found = how.search(&model, source([row], &device)).unwrap();
        let mut tokens = vec![START as i32];
        let mut stopped = false;
        while !stopped && tokens.len() <= 8 {
            let target = TensorData::new(tokens.clone(), [1, tokens.len()]);
            let target = Tensor::from_data(target, &device);
            let logits = model.forward(source([row], &device), target);
            let last = logits.narrow(1, tokens.len() - 1, 1).argmax(2);
            let next: i32 = last.into_scalar();
            stopped = next == STOP as i32;
            tokens.push(next);
        }
        let expected = tokens[1..tokens.len() - usize::from(stopped)].iter();
        let expected: Vec<u32> = expected.map(|id| *id as u32).collect();
        assert_eq!(found[0].len(), 1);
        assert_eq!(
            (&found[0][0].tokens, found[0][0].stopped),
            (&expected, stopped)
        );
    }
}

/// A search that passes every sequence whole, so that nothing is cached or reordered.
fn uncached(
    model: &EncoderDecoder,
    source: &Tensor<2, Int>,
    how: &BeamSearch,
) -> Vec<Vec<Hypothesis>> {
    let device = source.device();
    let [b, _] = source.dims();
    // Of every row the sentence and what it holds.
    let mut held: Vec<(i32, Vec<i32>)> = (0..b as i32).map(|b| (b, Vec::new())).collect();
    how.search_with(b, [START, STOP], |parents, last| {
        let rows = parents.iter().zip(last);
        held = rows
            .map(|(parent, token)| {
                let (sentence, mut tokens) = held[*parent].clone();
                tokens.push(*token as i32);
                (sentence, tokens)
            })
            .collect();
        let sentences: Vec<i32> = held.iter().map(|(sentence, _)| *sentence).collect();
        let sources = Tensor::from_data(sentences.as_slice(), &device);
        let t = held[0].1.len();
        let tokens: Vec<i32> = held.iter().flat_map(|(_, tokens)| tokens.clone()).collect();
        let target = Tensor::from_data(TensorData::new(tokens, [held.len(), t]), &device);
        let logits = model.forward(source.clone().select(0, sources), target);
        Ok(logits.narrow(1, t - 1, 1).flatten(0, 1))
    })
    .unwrap()
}

#[test]
fn the_cache_changes_nothing_nor_do_other_sentences() {
    let device = Device::flex();
    let model = model(&device);
    for beams in [1, 2, 4, 7] {
        let how = BeamSearch {
            beams,
            ..BeamSearch::paper(8)
        };
        let all = source(SOURCES, &device);
        let found = how.search(&model, all.clone()).unwrap();
        let expected = uncached(&model, &all, &how);
        for ((found, expected), row) in found.iter().zip(&expected).zip(SOURCES) {
            assert_eq!(found.len(), beams);
            assert!(found.is_sorted_by(|a, b| a.score >= b.score));
            assert_same(found, expected);
            let alone = how.search(&model, source([row], &device)).unwrap();
            assert_same(&alone[0], found);
        }
    }
}

/// Logits whose softmax these probabilities are.
fn probabilities<const R: usize, const V: usize>(rows: [[f32; V]; R]) -> Tensor<2> {
    Tensor::from_data(rows, &Device::flex()).log()
}

/// Two steps by hand over three tokens, 0, 1 and stop: 0 looks better first, 1 turns out better.
fn by_hand(parents: &[usize], last: &[u32]) -> Result<Tensor<2>, String> {
    Ok(match last {
        [9] => probabilities([[0.5, 0.4, 0.1]]),
        [0] => probabilities([[0.3, 0.3, 0.4]]),
        _ => {
            assert_eq!((parents, last), (&[0, 0][..], &[0, 1][..]));
            probabilities([[0.3, 0.3, 0.4], [0.05, 0.05, 0.9]])
        }
    })
}

#[test]
fn a_second_beam_finds_what_greedy_decoding_misses() {
    let search = |beams, length_penalty| {
        let how = BeamSearch {
            beams,
            length_penalty,
            max_length: 2,
        };
        how.search_with(1, [9, 2], by_hand).unwrap().remove(0)
    };
    let greedy = search(1, 0.0);
    assert_eq!(greedy[0].tokens, [0]);
    assert!(greedy[0].stopped);
    assert!((greedy[0].score - 0.2f64.ln()).abs() < 1e-6);

    let two = search(2, 0.0);
    assert_eq!([&two[0].tokens[..], &two[1].tokens], [[1], [0]]);
    assert!((two[0].score - 0.36f64.ln()).abs() < 1e-6);
    assert!((two[1].score - 0.2f64.ln()).abs() < 1e-6);
    // Two tokens with the stop token: (7/6)^0.6.
    let penalised = search(2, 0.6);
    let expected = 0.36f64.ln() / (7.0f64 / 6.0).powf(0.6);
    assert!((penalised[0].score - expected).abs() < 1e-6);
}

#[test]
fn the_length_penalty_is_that_of_the_paper() {
    let how = BeamSearch::paper(10);
    assert!((how.penalty(1) - 1.0).abs() < 1e-12);
    // 12/6 = 2 and 2^0.6
    assert!((how.penalty(7) - 1.515_716_566_510_398).abs() < 1e-12);
    assert_eq!(BeamSearch::greedy(10).penalty(7), 1.0);
}

/// Stopping at once is likelier, being longer scores better: the penalty turns the order around.
#[test]
fn the_length_penalty_favours_longer_sequences() {
    let search = |length_penalty| {
        let how = BeamSearch {
            beams: 9,
            length_penalty,
            max_length: 2,
        };
        let found = how.search_with(1, [9, 1], |_, last| {
            Ok(match last {
                [9] => probabilities([[0.48, 0.52]]),
                _ => probabilities([[0.02, 0.98]]),
            })
        });
        found.unwrap().remove(0).remove(0).tokens
    };
    assert!(search(0.0).is_empty());
    assert_eq!(search(2.0), [0]);
}

#[test]
fn stop_ends_a_hypothesis_and_the_longest_is_cut() {
    let how = BeamSearch {
        beams: 2,
        length_penalty: 0.0,
        max_length: 4,
    };
    let mut calls = 0;
    let found = how.search_with(1, [9, 1], |parents, _| {
        calls += 1;
        // One beam stops at once and takes its place with it.
        assert_eq!(parents.len(), 1);
        Ok(probabilities([[0.6, 0.4]]))
    });
    let found = found.unwrap().remove(0);
    assert_eq!(calls, 4);
    let cut = Hypothesis {
        tokens: vec![0; 4],
        score: found[1].score,
        stopped: false,
    };
    assert_eq!((&found[0].tokens[..], found[0].stopped), (&[][..], true));
    assert_eq!(found[1], cut);
    assert!((cut.score - 4.0 * 0.6f64.ln()).abs() < 1e-5);
}

#[test]
fn a_fault_of_the_decoder_is_passed_on() {
    let fault = BeamSearch::paper(3).search_with(1, [0, 1], |_, _| Err("no".to_owned()));
    assert_eq!(fault, Err("no".to_owned()));
}

#[test]
fn no_sentences_are_no_hypotheses() {
    let none =
        BeamSearch::paper(3).search_with(0, [0, 1], |_, _| unreachable!("nothing to decode"));
    assert_eq!(none, Ok(Vec::new()));
}

#[test]
fn a_wrong_value_is_named() {
    let fault = |how: BeamSearch| {
        let device = Device::flex();
        how.search(&model(&device), source(SOURCES, &device))
            .unwrap_err()
    };
    let good = BeamSearch::paper(8);
    assert_eq!(
        fault(BeamSearch { beams: 0, ..good }),
        "beam.beams: expected 1 or more, got 0"
    );
    assert_eq!(
        fault(BeamSearch::paper(0)),
        "beam.max_length: expected 1 or more, got 0"
    );
    assert_eq!(
        fault(BeamSearch {
            length_penalty: -0.1,
            ..good
        }),
        "beam.length_penalty: expected 0 or more, got -0.1"
    );
    assert_eq!(
        fault(BeamSearch::paper(9)),
        "beam.max_length: expected at most model.max_length = 8, got 9"
    );
}

#[test]
fn logits_that_are_not_finite_are_an_error() {
    let device = Device::flex();
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for beams in [1, 3] {
            let how = BeamSearch {
                beams,
                ..BeamSearch::greedy(4)
            };
            // One sentence of two, at its second token.
            let found = how.search_with(2, [START, STOP], |rows, last| {
                let row = |token: &u32| match *token {
                    START => [0.0, 0.0, -1.0, 1.0, 0.5],
                    _ => [broken; 5],
                };
                let logits: Vec<f32> = last.iter().flat_map(row).collect();
                Ok(Tensor::from_data(
                    TensorData::new(logits, [rows.len(), 5]),
                    &device,
                ))
            });
            let error = found.unwrap_err();
            assert!(error.contains("not finite"), "{broken}: {error}");
        }
    }
}
