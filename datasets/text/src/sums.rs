//! Addition problems for a decoder, as in minGPT's `adder` project, scored by exact match.
//!
//! `12+34=640`: operands are zero-padded, so that every problem has the same length, and the
//! answer starts with its least significant digit. A decoder writes from left to right, and in
//! that order each digit needs only two digits of the operands and the carry of the digit before;
//! most significant first, the first digit written would need the whole sum.
//!
//! Departures: minGPT's text has no `+` and `=`; here they are written, for readable samples.
//! As there, 34+12 may be in training while 12+34 is in the test.

use burn::data::dataset::Dataset;
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

use zoo_codec::text::CharVocabulary;

use crate::{Split, TextError};

/// Every character of a problem, in the order of their ids.
const CHARS: &str = "+0123456789=";

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `12+34=`, what the model is given.
    pub prompt: String,
    /// `640`, what it should write: the sum with its least significant digit first.
    pub answer: String,
}

impl Problem {
    /// `a + b` with operands of `num_digits` digits.
    fn new(a: u32, b: u32, num_digits: usize) -> Self {
        let sum = format!("{:0width$}", a + b, width = num_digits + 1);
        Self {
            prompt: format!("{a:0num_digits$}+{b:0num_digits$}="),
            answer: sum.chars().rev().collect(),
        }
    }

    /// Prompt and answer, the text to train on.
    pub fn sequence(&self) -> String {
        format!("{}{}", self.prompt, self.answer)
    }

    /// How many of the first targets belong to the prompt and are not scored.
    ///
    /// The target of a position is the character after it, so this is one less than the prompt's
    /// length: at the `=`, the first digit of the answer is due.
    pub fn num_unscored(&self) -> usize {
        self.prompt.len() - 1
    }
}

/// All pairs of operands in an order fixed by a seed: the first nine tenths to train on, the last
/// tenth to test.
#[derive(Debug, Clone)]
pub struct Sums {
    num_digits: usize,
    /// `a * 10^num_digits + b` of each problem.
    pairs: Vec<u32>,
}

impl Sums {
    /// Digits of an operand unless a recipe says otherwise: 9,000 problems to train on and 1,000 to
    /// test.
    pub const NUM_DIGITS: usize = 2;

    /// The problems of a split with operands of `num_digits` digits, 1 to 3.
    ///
    /// # Errors
    /// Any other number of digits (four would be a hundred million pairs); [`Split::Valid`], which
    /// this set lacks.
    pub fn new(num_digits: usize, split: Split, seed: u64) -> Result<Self, TextError> {
        if !(1..=3).contains(&num_digits) {
            return Err(TextError::Value {
                name: "data.digits",
                found: num_digits.to_string(),
                expected: "1, 2 or 3".to_owned(),
            });
        }
        let num_pairs = 100_u32.pow(num_digits as u32);
        let mut pairs = permutation(num_pairs, seed);
        let test = pairs.split_off(num_pairs as usize / 10 * 9);
        let pairs = match split {
            Split::Train => pairs,
            Split::Test => test,
            Split::Valid => {
                return Err(TextError::NoSplit {
                    set: "sums".to_owned(),
                    split,
                    available: "train, test",
                });
            }
        };
        Ok(Self { num_digits, pairs })
    }

    /// The 12 characters that problems are written with.
    pub fn vocabulary() -> CharVocabulary {
        CharVocabulary::of_text(CHARS)
    }

    /// Characters in a problem, prompt and answer.
    pub fn sequence_length(&self) -> usize {
        3 * self.num_digits + 3
    }
}

impl Dataset<Problem, TextError> for Sums {
    fn get(&self, index: usize) -> Result<Problem, TextError> {
        let base = 10_u32.pow(self.num_digits as u32);
        let pair = self.pairs[index];
        Ok(Problem::new(pair / base, pair % base, self.num_digits))
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }
}

/// `0..length` shuffled (Fisher and Yates).
///
/// Written out because a split must stay what it is: with another version's shuffle, a saved model
/// would be tested on what it was trained with.
fn permutation(length: u32, seed: u64) -> Vec<u32> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut items: Vec<u32> = (0..length).collect();
    for last in (1..items.len()).rev() {
        // Scales 64 random bits to 0..=last; the bias is under one in 10^13 for a million items.
        let chosen = (u128::from(rng.next_u64()) * (last as u128 + 1)) >> 64;
        items.swap(last, chosen as usize);
    }
    items
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all(num_digits: usize, split: Split, seed: u64) -> Vec<Problem> {
        let sums = Sums::new(num_digits, split, seed).unwrap();
        (0..sums.len()).map(|i| sums.get(i).unwrap()).collect()
    }

    #[test]
    fn a_problem_reads_as_documented() {
        let problem = Problem::new(12, 34, 2);
        assert_eq!(problem.sequence(), "12+34=640");
        // The first scored target follows the `=`.
        assert_eq!(&problem.sequence()[1..][problem.num_unscored()..], "640");
        assert_eq!(Problem::new(7, 5, 2).sequence(), "07+05=210");
        assert_eq!(Problem::new(999, 999, 3).sequence(), "999+999=8991");
    }

    #[test]
    fn every_answer_is_right_and_every_pair_occurs_once_in_one_split() {
        for num_digits in [1, 2] {
            let train = all(num_digits, Split::Train, 1);
            let test = all(num_digits, Split::Test, 1);
            assert_eq!(train.len(), 9 * test.len());
            let distinct: HashSet<_> = train.iter().chain(&test).map(|p| &p.prompt).collect();
            assert_eq!(distinct.len(), 100_usize.pow(num_digits as u32));
            for problem in train.iter().chain(&test) {
                let (a, b) = problem
                    .prompt
                    .strip_suffix('=')
                    .unwrap()
                    .split_once('+')
                    .unwrap();
                assert_eq!((a.len(), b.len()), (num_digits, num_digits));
                let forward: String = problem.answer.chars().rev().collect();
                let (a, b): (u32, u32) = (a.parse().unwrap(), b.parse().unwrap());
                assert_eq!(forward.parse::<u32>().unwrap(), a + b);
                assert_eq!(problem.answer.len(), num_digits + 1);
            }
        }
    }

    #[test]
    fn the_default_is_nine_thousand_and_one_thousand() {
        let train = Sums::new(Sums::NUM_DIGITS, Split::Train, 0).unwrap();
        let test = Sums::new(Sums::NUM_DIGITS, Split::Test, 0).unwrap();
        assert_eq!((train.len(), test.len()), (9_000, 1_000));
        assert_eq!(Sums::new(3, Split::Test, 0).unwrap().len(), 100_000);
    }

    #[test]
    fn the_seed_alone_decides_the_split() {
        assert_eq!(all(2, Split::Test, 5), all(2, Split::Test, 5));
        assert_ne!(all(2, Split::Test, 5), all(2, Split::Test, 6));
        // Set down when the split was first made: saved models depend on it.
        assert_eq!(permutation(10, 0), GOLDEN);
    }

    /// `permutation(10, 0)`, from an independent SplitMix64 and xoshiro256++ in Python.
    const GOLDEN: [u32; 10] = [1, 4, 5, 8, 6, 7, 0, 2, 9, 3];

    #[test]
    fn the_vocabulary_spells_every_problem() {
        let vocabulary = Sums::vocabulary();
        assert_eq!(vocabulary.len(), 12);
        assert_eq!(vocabulary.chars(), CHARS);
        let sums = Sums::new(2, Split::Test, 0).unwrap();
        for i in 0..sums.len() {
            let ids = vocabulary.encode(&sums.get(i).unwrap().sequence()).unwrap();
            assert_eq!(ids.len(), sums.sequence_length());
        }
    }

    #[test]
    fn bad_settings_are_errors() {
        for num_digits in [0, 4] {
            let result = Sums::new(num_digits, Split::Train, 0);
            assert!(matches!(
                result,
                Err(TextError::Value {
                    name: "data.digits",
                    ..
                })
            ));
        }
        let message = Sums::new(2, Split::Valid, 0).unwrap_err().to_string();
        assert_eq!(
            message,
            "data set `sums` has no valid split; it has: train, test"
        );
    }
}
