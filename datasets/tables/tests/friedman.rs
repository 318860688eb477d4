//! Friedman's first set: what its formula says of it.

use burn::data::dataset::Dataset;
use zoo_tables::{NumberSet, Numbers, SETS, open};

fn examples(set: &NumberSet) -> Vec<Numbers> {
    set.iter()
        .map(|example| example.expect("built in"))
        .collect()
}

fn signal(numbers: &Numbers) -> f64 {
    let x: Vec<f64> = numbers.inputs.iter().map(|x| f64::from(*x)).collect();
    10.0 * (std::f64::consts::PI * x[0] * x[1]).sin()
        + 20.0 * (x[2] - 0.5).powi(2)
        + 10.0 * x[3]
        + 5.0 * x[4]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_perfect_model_explains_what_is_said() {
    let splits = open("friedman1").unwrap();
    for set in [&splits.train, &splits.test] {
        let examples = examples(set);
        let truth: Vec<f64> = examples.iter().map(|e| f64::from(e.targets[0])).collect();
        let average = mean(&truth);
        let variance = mean(
            &truth
                .iter()
                .map(|y| (y - average).powi(2))
                .collect::<Vec<_>>(),
        );
        let noise: Vec<f64> = examples
            .iter()
            .zip(&truth)
            .map(|(e, y)| y - signal(e))
            .collect();
        let error = mean(&noise.iter().map(|e| e.powi(2)).collect::<Vec<_>>());
        // Three standard errors of 2,000 examples: 3 / sqrt(2000) of the noise, 3 sqrt(2/2000) of
        // its square.
        assert!(mean(&noise).abs() < 0.067, "{}", mean(&noise));
        assert!((error - 1.0).abs() < 0.095, "{error}");
        let r2 = 1.0 - error / variance;
        assert!((r2 - 0.9597).abs() < 0.006, "{r2}");
    }
}

#[test]
fn inputs_are_uniform_and_unlike() {
    let train = examples(&open("friedman1").unwrap().train);
    for input in 0..10 {
        let values: Vec<f64> = train.iter().map(|e| f64::from(e.inputs[input])).collect();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        // A uniform's mean is 1/2 and its variance 1/12.
        assert!(
            (mean(&values) - 0.5).abs() < 0.015,
            "x{}: {}",
            input + 1,
            mean(&values)
        );
        let spread = mean(&values.iter().map(|v| (v - 0.5).powi(2)).collect::<Vec<_>>());
        assert!(
            (spread - 1.0 / 12.0).abs() < 0.004,
            "x{}: {spread}",
            input + 1
        );
    }
}

#[test]
fn splits_have_the_sizes_of_their_row_and_share_no_example() {
    let splits = open("friedman1").unwrap();
    let sets = [&splits.train, &splits.valid, &splits.test];
    assert_eq!(SETS[0].examples, sets.map(Dataset::len));
    let mut seen = std::collections::HashSet::new();
    for example in sets.into_iter().flat_map(examples) {
        let bits: Vec<u32> = example.inputs.iter().map(|x| x.to_bits()).collect();
        assert!(seen.insert(bits));
    }
    assert_eq!(splits.train.inputs().len(), 10);
    assert_eq!(splits.train.targets(), ["y"]);
}

/// A change here changes the data set, and with it every result measured on it.
#[test]
fn the_set_is_the_one_that_results_were_measured_on() {
    let first = open("friedman1").unwrap().train.get(0).unwrap();
    let found = (first.inputs[0], first.inputs[9], first.targets[0]);
    assert_eq!(found, (0.567_511_3, 0.366_337_72, 16.354_866));
}

#[test]
fn an_unknown_set_is_refused_with_the_names_there_are() {
    let error = open("friedman").unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown set of numbers `friedman`; there are: friedman1"
    );
}
