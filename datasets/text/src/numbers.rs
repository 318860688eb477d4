//! Numbers in words, from English to German: `forty two thousand` becomes `zwei und vierzig tausend`.
//!
//! German says the ones before the tens, so that what is said first depends on what is read later, at
//! several places of a long number; and one is `eins` at the end, `ein` before anything else. The parts of a
//! German number are written apart here, so that each language has few words and BLEU has n-grams
//! to count.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{Pair, PairSet, Pairs};

/// How many numbers there are to train on, to validate and to test.
const SIZES: [usize; 3] = [10_000, 500, 1_000];

/// Digits of the numbers that are drawn. All below a hundred are there to train on, so that every word is.
const DIGITS: std::ops::Range<u32> = 3..7;

const ENGLISH: [&str; 20] = [
    "",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const ENGLISH_TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const GERMAN: [&str; 20] = [
    "",
    "ein",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const GERMAN_TENS: [&str; 10] = [
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
];

impl PairSet {
    /// Numbers below a million, each in one split: 10,000 to train on, 500 to validate, 1,000 to test.
    pub fn numbers(seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut seen: BTreeSet<u32> = (1..100).collect();
        let mut order: Vec<u32> = seen.iter().copied().collect();
        while order.len() < SIZES.iter().sum() {
            let digits = DIGITS.start + below(&mut random, DIGITS.end - DIGITS.start);
            let least = 10_u32.pow(digits - 1);
            let number = least + below(&mut random, 9 * least);
            if seen.insert(number) {
                order.push(number);
            }
        }
        let mut numbers = order.into_iter();
        let mut split = |count| -> Pairs { numbers.by_ref().take(count).map(pair).collect() };
        Self {
            train: split(SIZES[0]),
            valid: Some(split(SIZES[1])),
            test: Some(split(SIZES[2])),
            warnings: Vec::new(),
        }
    }
}

/// A number in `0..bound`; the bias is under one in 10^13.
fn below(random: &mut Xoshiro256PlusPlus, bound: u32) -> u32 {
    ((u128::from(random.next_u64()) * u128::from(bound)) >> 64) as u32
}

fn pair(number: u32) -> Pair {
    Pair {
        source: english(number).join(" "),
        target: german(number).join(" "),
    }
}

fn english(number: u32) -> Vec<&'static str> {
    let below_thousand = |number: u32| {
        let (hundreds, rest) = (number as usize / 100, number as usize % 100);
        let mut words = Vec::new();
        if hundreds > 0 {
            words.extend([ENGLISH[hundreds], "hundred"]);
        }
        if hundreds > 0 && rest > 0 {
            words.push("and");
        }
        match rest {
            0..20 => words.push(ENGLISH[rest]),
            _ => words.extend([ENGLISH_TENS[rest / 10], ENGLISH[rest % 10]]),
        }
        words
    };
    let mut words = Vec::new();
    if number >= 1000 {
        words.extend(below_thousand(number / 1000));
        words.push("thousand");
        if (1..100).contains(&(number % 1000)) {
            words.push("and");
        }
    }
    words.extend(below_thousand(number % 1000));
    words.retain(|word| !word.is_empty());
    words
}

fn german(number: u32) -> Vec<&'static str> {
    let below_thousand = |number: u32, one: &'static str| {
        let (hundreds, rest) = (number as usize / 100, number as usize % 100);
        let mut words = Vec::new();
        if hundreds > 0 {
            words.extend([GERMAN[hundreds], "hundert"]);
        }
        match rest {
            1 => words.push(one),
            0..20 => words.push(GERMAN[rest]),
            _ if rest % 10 == 0 => words.push(GERMAN_TENS[rest / 10]),
            _ => words.extend([GERMAN[rest % 10], "und", GERMAN_TENS[rest / 10]]),
        }
        words
    };
    let mut words = Vec::new();
    if number >= 1000 {
        words.extend(below_thousand(number / 1000, "ein"));
        words.push("tausend");
    }
    words.extend(below_thousand(number % 1000, "eins"));
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_they_are_said() {
        for (number, source, target) in [
            (1, "one", "eins"),
            (21, "twenty one", "ein und zwanzig"),
            (30, "thirty", "dreißig"),
            (101, "one hundred and one", "ein hundert eins"),
            (716, "seven hundred and sixteen", "sieben hundert sechzehn"),
            (1_000, "one thousand", "ein tausend"),
            (1_005, "one thousand and five", "ein tausend fünf"),
            (
                101_042,
                "one hundred and one thousand and forty two",
                "ein hundert ein tausend zwei und vierzig",
            ),
            (
                921_300,
                "nine hundred and twenty one thousand three hundred",
                "neun hundert ein und zwanzig tausend drei hundert",
            ),
        ] {
            let said = pair(number);
            assert_eq!((&*said.source, &*said.target), (source, target));
        }
    }
}
