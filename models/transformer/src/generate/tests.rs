use super::*;
use crate::beam::BeamSearch;
use crate::encoder_decoder::EncoderDecoderConfig;
use crate::gpt::GptConfig;
use crate::llama::LlamaConfig;
use crate::testing::lively;

fn probabilities(sampling: &Sampling, logits: &[f32], seen: &[u32]) -> Vec<(u32, f64)> {
    let candidates = sampling.candidates(logits, seen).unwrap();
    let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
    (candidates.into_iter())
        .map(|(token, weight)| (token, weight / total))
        .collect()
}

fn assert_probabilities(found: &[(u32, f64)], expected: &[(u32, f64)]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.0, expected.0);
        assert!(
            (found.1 - expected.1).abs() < 1e-6,
            "{found:?} {expected:?}"
        );
    }
}

/// Logits whose softmax is 0.1, 0.4, 0.2, 0.3.
fn logits() -> [f32; 4] {
    [0.1_f32, 0.4, 0.2, 0.3].map(f32::ln)
}

#[test]
fn probabilities_are_the_softmax_of_the_scaled_logits() {
    let plain = Sampling::default();
    let found = probabilities(&plain, &logits(), &[]);
    assert_probabilities(&found, &[(1, 0.4), (3, 0.3), (2, 0.2), (0, 0.1)]);
    // Half the temperature squares them: 16, 9, 4, 1 of 30.
    let cold = Sampling {
        temperature: 0.5,
        ..plain
    };
    let found = probabilities(&cold, &logits(), &[]);
    let expected = [(1, 16.0), (3, 9.0), (2, 4.0), (0, 1.0)].map(|(t, n)| (t, n / 30.0));
    assert_probabilities(&found, &expected);
    let greedy = Sampling {
        temperature: 0.0,
        ..plain
    };
    assert_probabilities(&probabilities(&greedy, &logits(), &[]), &[(1, 1.0)]);
}

#[test]
fn the_k_likeliest_are_kept_with_their_equals() {
    let sampling = |top_k| Sampling {
        top_k: Some(top_k),
        ..Sampling::default()
    };
    let found = probabilities(&sampling(2), &logits(), &[]);
    assert_probabilities(&found, &[(1, 4.0 / 7.0), (3, 3.0 / 7.0)]);
    let tied = [0.0, 1.0, 0.0, -1.0];
    let found = probabilities(&sampling(2), &tied, &[]);
    assert_eq!(found.iter().map(|(t, _)| *t).collect::<Vec<_>>(), [1, 0, 2]);
    assert_eq!(sampling(9).candidates(&tied, &[]).unwrap().len(), 4);
}

#[test]
fn the_nucleus_is_the_least_set_that_reaches_p() {
    let kept = |p, top_k| {
        let sampling = Sampling {
            top_p: Some(p),
            top_k,
            ..Sampling::default()
        };
        sampling.candidates(&logits(), &[]).unwrap().len()
    };
    // 0.4, 0.7, 0.9, 1.0
    assert_eq!(kept(0.0, None), 1);
    assert_eq!(kept(0.39, None), 1);
    assert_eq!(kept(0.41, None), 2);
    assert_eq!(kept(0.69, None), 2);
    assert_eq!(kept(0.71, None), 3);
    assert_eq!(kept(0.91, None), 4);
    assert_eq!(kept(1.0, None), 4);
    // Of the three likeliest: 4/9, 7/9, 1.
    assert_eq!(kept(0.75, Some(3)), 2);
    assert_eq!(kept(0.79, Some(3)), 3);
}

#[test]
fn the_penalty_divides_above_zero_multiplies_below_and_counts_once() {
    let sampling = Sampling {
        repetition_penalty: 2.0,
        ..Sampling::default()
    };
    let scores = sampling.penalised(&[3.0, -1.0, 0.5, -4.0], &[0, 3, 3, 0, 0, 99]);
    assert_eq!(scores, [1.5, -1.0, 0.5, -8.0]);
    // It acts on greedy decoding too.
    let greedy = Sampling {
        temperature: 0.0,
        ..sampling
    };
    assert_eq!(greedy.choose(&[3.0, 2.0, 0.0], &[], 0.5), Ok(0));
    assert_eq!(greedy.choose(&[3.0, 2.0, 0.0], &[0], 0.5), Ok(1));
}

/// transformers 5.24: RepetitionPenaltyLogitsProcessor(1.3), TemperatureLogitsWarper(0.7),
/// TopKLogitsWarper(6), TopPLogitsWarper(0.8), softmax, in float64, of the logits below after the
/// text 1 4 4 7.
#[test]
fn all_together_agree_with_hugging_face() {
    let logits = [0.3, 2.1, -0.7, 1.4, 1.9, 0.0, 1.1, -1.2, 0.9, 0.2];
    let sampling = Sampling {
        temperature: 0.7,
        top_k: Some(6),
        top_p: Some(0.8),
        repetition_penalty: 1.3,
    };
    let found = probabilities(&sampling, &logits, &[1, 4, 4, 7]);
    let expected = [
        (1, 0.331_484_033_7),
        (4, 0.266_080_641_1),
        (3, 0.243_687_663_3),
        (6, 0.158_747_661_7),
    ];
    assert_probabilities(&found, &expected);
}

#[test]
fn a_draw_falls_where_the_unit_points() {
    let sampling = Sampling::default();
    for (unit, token) in [
        (0.0, 1),
        (0.39, 1),
        (0.41, 3),
        (0.69, 3),
        (0.71, 2),
        (0.91, 0),
        (0.999_999, 0),
    ] {
        assert_eq!(sampling.choose(&logits(), &[], unit), Ok(token), "{unit}");
    }
    // What is impossible is not drawn.
    let masked = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
    for unit in [0.0, 0.5, 0.999_999] {
        assert_eq!(sampling.choose(&masked, &[], unit), Ok(1));
    }
}

/// Every way of choosing, over logits of which no token can be chosen.
#[test]
fn logits_that_are_not_finite_are_an_error_however_a_token_is_chosen() {
    const INF: f32 = f32::INFINITY;
    let plain = Sampling::default();
    let greedy = Sampling {
        temperature: 0.0,
        ..plain
    };
    let all = Sampling {
        temperature: 0.7,
        top_k: Some(2),
        top_p: Some(0.9),
        repetition_penalty: 1.3,
    };
    let strong = Sampling {
        repetition_penalty: f64::MIN_POSITIVE / 1e10,
        ..greedy
    };
    for logits in [
        [f32::NAN; 3],
        [1.0, f32::NAN, 2.0],
        [1.0, -f32::NAN, 2.0],
        [INF, 1.0, 2.0],
        [-INF; 3],
    ] {
        for sampling in [plain, greedy, all, strong] {
            for seen in [&[][..], &[1]] {
                let chosen = sampling.choose(&logits, seen, 0.5);
                assert_eq!(chosen, Err(NotFinite), "{logits:?} {sampling:?}");
            }
        }
    }
    // A penalty that leaves the range of a number.
    assert_eq!(strong.choose(&[1.0, 2.0], &[0], 0.5), Err(NotFinite));
    // What is masked is not an error.
    assert_eq!(greedy.choose(&[-INF, 1.0, -INF], &[1], 0.5), Ok(1));
}

#[test]
fn a_text_ends_with_the_error_where_no_token_can_be_chosen() {
    /// Says 1, then NaN.
    struct Broken(GptConfig);
    impl CachedDecoder for Broken {
        fn context(&self) -> usize {
            8
        }
        fn cache(&self) -> Cache {
            self.0.init(&Device::flex()).cache()
        }
        fn next_logits(
            &self,
            tokens: Tensor<2, Int>,
            _: &mut Cache,
        ) -> Result<Tensor<2>, ContextFull> {
            let last = tokens.into_data().iter::<i64>().last();
            let logits = if last == Some(1) { f32::NAN } else { 0.0 };
            Ok(Tensor::from_data([[logits, 5.0]], &Device::flex()))
        }
    }
    let (model, device) = (Broken(GptConfig::tiny()), Device::flex());
    let (mut decoder, sampling) = (Decoder::new(&model, &device), Sampling::default());
    let text = generate(&mut decoder, &[0], &sampling, &[], || 0.5);
    assert_eq!(text.collect::<Vec<_>>(), [Ok(1), Err(NotFinite)]);
}

#[test]
fn a_wrong_value_is_named() {
    let good = Sampling {
        temperature: 0.0,
        top_k: Some(1),
        top_p: Some(1.0),
        repetition_penalty: 0.5,
    };
    assert_eq!(good.validate(), Ok(()));
    type Fault = (fn(&mut Sampling), &'static str);
    let faults: [Fault; 6] = [
        (
            |s| s.temperature = -0.1,
            "temperature: expected 0 or above, got -0.1",
        ),
        (
            |s| s.temperature = f64::NAN,
            "temperature: expected 0 or above, got NaN",
        ),
        (|s| s.top_k = Some(0), "top_k: expected 1 or more, got 0"),
        (|s| s.top_p = Some(1.1), "top_p: expected 0 to 1, got 1.1"),
        (
            |s| s.top_p = Some(f64::NAN),
            "top_p: expected 0 to 1, got NaN",
        ),
        (
            |s| s.repetition_penalty = 0.0,
            "repetition_penalty: expected above 0, got 0",
        ),
    ];
    for (spoil, message) in faults {
        let mut sampling = good;
        spoil(&mut sampling);
        assert_eq!(sampling.validate(), Err(message.to_owned()));
    }
}

/// Logits of what follows these tokens, by a full pass.
type Full<'a> = &'a dyn Fn(Tensor<2, Int>) -> Tensor<3>;

fn with_models(check: impl Fn(&dyn CachedDecoder, Full<'_>, &Device)) {
    let device = Device::flex();
    let gpt = lively(GptConfig::tiny().init(&device));
    check(&gpt, &|tokens| gpt.forward(tokens), &device);
    let llama = lively(LlamaConfig::tiny().init(&device));
    check(&llama, &|tokens| llama.forward(tokens), &device);
}

#[test]
fn decoding_equals_the_full_pass_and_goes_on_past_the_context() {
    with_models(|model, forward, device| {
        assert_eq!(model.context(), 8);
        let full = |tokens: &[i32]| -> Vec<f32> {
            let t = tokens.len();
            let ids = TensorData::new(tokens.to_vec(), [1, t]);
            let logits = forward(Tensor::from_data(ids, device));
            let last = logits.slice([0..1, t - 1..t, 0..13]);
            last.into_data().iter::<f32>().collect()
        };
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        let mut decoder = Decoder::new(model, device);
        assert!(close(&decoder.next(&[1, 2, 3]), &full(&[1, 2, 3])));
        assert!(close(&decoder.next(&[4, 5]), &full(&[1, 2, 3, 4, 5])));
        decoder.next(&[6]);
        decoder.next(&[7]);
        assert!(close(&decoder.next(&[8]), &full(&[1, 2, 3, 4, 5, 6, 7, 8])));
        // Full: the newer half of the context, 6 7 8 9, is read again.
        assert!(close(&decoder.next(&[9]), &full(&[6, 7, 8, 9])));
        assert!(close(&decoder.next(&[1]), &full(&[6, 7, 8, 9, 1])));
        // More than the context at once: all that fits of it, the newest; likewise of a prompt.
        let long: Vec<u32> = (0..12).collect();
        let last = full(&[4, 5, 6, 7, 8, 9, 10, 11]);
        assert!(close(&decoder.next(&long), &last));
        assert!(close(&Decoder::new(model, device).next(&long), &last));
        let by_one = &long[..9];
        let all_but_one = full(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(close(
            &Decoder::new(model, device).next(by_one),
            &all_but_one
        ));
        // More than is left, but less than a context: what is new is read, and half of a context.
        let mut decoder = Decoder::new(model, device);
        decoder.next(&[1, 2, 3, 4, 5, 6]);
        assert!(close(&decoder.next(&[7, 8, 9]), &full(&[6, 7, 8, 9])));
        decoder.next(&[10, 11]);
        assert!(close(
            &decoder.next(&[1, 2, 3, 4, 5]),
            &full(&[1, 2, 3, 4, 5])
        ));

        let rows = Decoder::new(model, device).logits(&[3, 1, 2]);
        assert_eq!(rows.shape().as_slice(), [3, 13]);
        let rows: Vec<f32> = rows.iter::<f32>().collect();
        assert!(close(&rows[26..], &full(&[3, 1, 2])));
    });
}

#[test]
fn generation_follows_the_likeliest_and_ends_before_a_stop_token() {
    with_models(|model, forward, device| {
        let greedy = Sampling {
            temperature: 0.0,
            ..Sampling::default()
        };
        let mut decoder = Decoder::new(model, device);
        let text = generate(&mut decoder, &[1, 2], &greedy, &[], || 0.5).take(30);
        let text: Vec<u32> = text.map(Result::unwrap).collect();
        assert_eq!(text.len(), 30);
        // As by full passes, as long as the context lasts.
        let mut expected = vec![1, 2];
        while expected.len() < 8 {
            let ids = TensorData::new(expected.clone(), [1, expected.len()]);
            let logits = forward(Tensor::from_data(ids, device));
            let last: Tensor<1> = logits
                .slice([0..1, expected.len() - 1..expected.len()])
                .flatten(0, 2);
            expected.push(last.argmax(0).into_scalar::<i32>());
        }
        let expected: Vec<u32> = expected[2..].iter().map(|token| *token as u32).collect();
        assert_eq!(text[..6], expected);

        let stop = [99, text[4]];
        let first = text.iter().position(|token| stop.contains(token)).unwrap();
        let mut decoder = Decoder::new(model, device);
        let mut ended = generate(&mut decoder, &[1, 2], &greedy, &stop, || 0.5);
        let until: Vec<u32> = ended.by_ref().map(Result::unwrap).collect();
        assert_eq!(until, text[..first]);
        assert_eq!(ended.next(), None);
    });
}

#[test]
fn the_same_draws_give_the_same_text() {
    with_models(|model, _, device| {
        let run = |seed: f64| -> Vec<u32> {
            let mut unit = seed;
            let mut decoder = Decoder::new(model, device);
            let sampling = Sampling {
                top_k: Some(5),
                repetition_penalty: 1.2,
                ..Sampling::default()
            };
            let draw = move || {
                unit = (unit * 997.0 + 0.123).fract();
                unit
            };
            generate(&mut decoder, &[0], &sampling, &[], draw)
                .take(20)
                .map(Result::unwrap)
                .collect()
        };
        assert_eq!(run(0.1), run(0.1));
        assert_ne!(run(0.1), run(0.7));
    });
}

#[test]
fn a_translator_samples_what_greedy_search_finds_and_keeps_its_source() {
    let device = Device::flex();
    let model = lively(EncoderDecoderConfig::tiny().init(&device));
    let source = |row: [i32; 4]| Tensor::<2, Int>::from_data([row], &device);
    let write = |row| {
        let translator = Translator::new(&model, source(row));
        let mut decoder = Decoder::new(&translator, &device);
        let greedy = Sampling {
            temperature: 0.0,
            ..Sampling::default()
        };
        let [start, stop] = [model.start_token(), model.stop_token()].map(|token| token as u32);
        let (start, stop) = ([start], [stop]);
        let text = generate(&mut decoder, &start, &greedy, &stop, || 0.5);
        text.take(7).map(Result::unwrap).collect::<Vec<u32>>()
    };
    let rows = [[3, 4, 5, 6], [7, 8, 9, 10], [11, 3, 11, 3]];
    for row in rows {
        let found = BeamSearch::greedy(7).search(&model, source(row)).unwrap();
        assert_eq!(write(row), found[0][0].tokens, "{row:?}");
    }
    assert!(rows.iter().any(|row| write(*row) != write(rows[0])));
}
