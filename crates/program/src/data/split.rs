//! Parts of a training split that are held out, chosen by `data.split_seed` alone: a run with
//! another `train.seed`, such as a fine-tuning, validates and tests on the same examples.

use std::collections::BTreeSet;

use zoo_train::rng::{Purpose, derive, permutation};

use crate::error::Error;

/// `data.test_fraction` where nothing is held out by name.
const TEST_FRACTION: f64 = 0.2;
/// Classes that a warning names at most.
const MOST_NAMED: usize = 10;

/// The share of the training examples to test on: none where the data has a test split, a fifth
/// where it has nothing but training examples, and else what is asked for.
pub fn test_fraction(given: Option<f64>, has_valid: bool, has_test: bool) -> Result<f64, Error> {
    match given {
        Some(_) if has_test => Err(Error::request(
            "data.test_fraction has no effect on data that has a test split; leave it out, or give \
             the training part alone as data.path",
        )),
        // Written so that NaN does not pass.
        Some(fraction) if !(0.0..1.0).contains(&fraction) => Err(Error::Request(format!(
            "data.test_fraction = {fraction}: must be 0 or more, below 1"
        ))),
        Some(fraction) => Ok(fraction),
        None if has_valid || has_test => Ok(0.0),
        None => Ok(TEST_FRACTION),
    }
}

/// Refuses a share of which nothing would be left for the test, or for the training.
pub fn check_share(given: Option<f64>, examples: usize) -> Result<(), Error> {
    let Some(fraction) = given.filter(|fraction| *fraction > 0.0) else {
        return Ok(());
    };
    let count = (examples as f64 * fraction).round() as usize;
    let problem = match count {
        0 => "none to test on",
        count if count >= examples => "none to train on",
        _ => return Ok(()),
    };
    Err(Error::Request(format!(
        "data.test_fraction = {fraction:?}: leaves {problem} of {examples} examples; give 0, or a share \
         between {} and {}",
        1.0 / examples as f64,
        1.0 - 1.0 / examples as f64
    )))
}

/// What to tell where examples are held out without a word about it in the recipe.
pub fn held_out_unasked(given: Option<f64>, held_out: usize, all: usize) -> Option<String> {
    (given.is_none() && held_out > 0).then(|| {
        format!(
            "the data has no test split: {held_out} of its {all} examples are held out to test on; \
             data.test_fraction says how many, and 0 trains on all"
        )
    })
}

/// What to tell where a class has no example that could be held out to test on.
pub fn untested<'a>(
    labels: &[usize],
    held_out: &[u32],
    name: impl Fn(usize) -> &'a str,
) -> Option<String> {
    if held_out.is_empty() {
        return Some(
            "the data has no test split, and none could be held out: no class has two examples"
                .to_owned(),
        );
    }
    let tested: BTreeSet<usize> = held_out.iter().map(|at| labels[*at as usize]).collect();
    let all: BTreeSet<usize> = labels.iter().copied().collect();
    let untested: Vec<usize> = all.difference(&tested).copied().collect();
    let shown: Vec<String> = (untested.iter().take(MOST_NAMED))
        .map(|class| format!("{:?}", name(*class)))
        .collect();
    let more = match untested.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!untested.is_empty()).then(|| {
        format!(
            "the test does not have the classes {}{more}: each has one example, which is trained on",
            shown.join(", ")
        )
    })
}

/// Divides the examples at `0..labels.len()` into a part to keep and a part to test on: of every
/// class the same share, one example at least and never all of them. Both are in ascending order.
pub fn hold_out(labels: &[usize], fraction: f64, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let num_classes = labels.iter().max().map_or(0, |highest| highest + 1);
    let mut by_class = vec![Vec::new(); num_classes];
    for (example, label) in (0_u32..).zip(labels) {
        by_class[*label].push(example);
    }
    let mut is_held = vec![false; labels.len()];
    for (class, examples) in by_class.iter().enumerate().filter(|_| fraction > 0.0) {
        let most = examples.len().saturating_sub(1);
        let count = (examples.len() as f64 * fraction).round() as usize;
        let seed = derive(seed, Purpose::Order, &[u64::MAX - 1, class as u64]);
        let order = permutation(examples.len(), seed);
        for at in order.into_iter().take(count.max(1).min(most)) {
            is_held[examples[at as usize] as usize] = true;
        }
    }
    let all = 0..labels.len() as u32;
    all.partition(|example| !is_held[*example as usize])
}

/// Sets `count` of the examples aside to validate on, chosen by the seed.
pub fn cut(
    examples: Vec<u32>,
    count: usize,
    seed: u64,
) -> Result<(Vec<u32>, Option<Vec<u32>>), Error> {
    if count == 0 {
        return Ok((examples, None));
    }
    let len = examples.len();
    if count >= len {
        return Err(Error::Request(format!(
            "data.validation = {count}: must be below the {len} training examples"
        )));
    }
    let order = permutation(len, derive(seed, Purpose::Order, &[u64::MAX]));
    let mut chosen = order.into_iter().map(|at| examples[at as usize]);
    let kept = chosen.by_ref().take(len - count).collect();
    Ok((kept, Some(chosen.collect())))
}

/// Refuses `data.validation` where the data has a validation split.
pub fn check_validation(validation: usize, has_valid: bool) -> Result<(), Error> {
    match has_valid && validation > 0 {
        true => Err(Error::Request(format!(
            "data.validation = {validation} has no effect on data that has a validation split; \
             leave it out"
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_held_out_class_by_class_and_depends_on_nothing_but_the_seed() {
        let labels: Vec<usize> = (0..105)
            .map(|at| if at < 100 { at % 2 } else { 2 })
            .collect();
        let (kept, held) = hold_out(&labels, 0.2, 1);
        let count = |part: &[u32], class| {
            part.iter()
                .filter(|at| labels[**at as usize] == class)
                .count()
        };
        assert_eq!([0, 1, 2].map(|class| count(&held, class)), [10, 10, 1]);
        assert_eq!(kept.len() + held.len(), 105);
        assert!(kept.iter().all(|example| !held.contains(example)));
        assert_eq!(hold_out(&labels, 0.2, 1).1, held);
        assert_ne!(hold_out(&labels, 0.2, 2).1, held);
        // One example of a class stays in training, and two are shared.
        assert_eq!(hold_out(&[0, 1, 1], 0.9, 1).0.len(), 2);
        assert_eq!(hold_out(&[0, 1, 1], 0.01, 1).1.len(), 1);
        assert!(hold_out(&labels, 0.0, 1).1.is_empty());
    }

    #[test]
    fn a_share_leaves_some_to_train_and_some_to_test_on() {
        for (fraction, problem) in [
            (1e-300, "none to test on of 100 examples"),
            (0.004, "none to test on of 100 examples"),
            (0.996, "none to train on of 100 examples"),
            (1.0 - f64::EPSILON, "none to train on"),
        ] {
            let message = check_share(Some(fraction), 100).unwrap_err().to_string();
            assert!(
                message.contains(&format!(
                    "data.test_fraction = {fraction:?}: leaves {problem}"
                )),
                "{message}"
            );
        }
        for fraction in [None, Some(0.0), Some(0.01), Some(0.99)] {
            check_share(fraction, 100).unwrap();
        }
    }

    #[test]
    fn classes_that_are_never_tested_are_named() {
        let names: Vec<String> = (0..13).map(|class| format!("c{class}")).collect();
        let told = |labels: &[usize]| {
            let (_, held) = hold_out(labels, 0.2, 1);
            untested(labels, &held, |class| &names[class])
        };
        assert_eq!(told(&[0, 0, 1, 1]), None);
        let one = told(&[0, 0, 1, 2, 2]).unwrap();
        assert!(one.contains("the classes \"c1\":"), "{one}");
        let many: Vec<usize> = (0..13).chain([12]).collect();
        let many = told(&many).unwrap();
        assert!(
            many.contains("\"c0\", ") && many.contains("\"c9\" and 2 more"),
            "{many}"
        );
        assert!(!many.contains("c12"), "{many}");
        let none = told(&[0, 1, 2]).unwrap();
        assert!(none.contains("no test split"), "{none}");
    }
}
