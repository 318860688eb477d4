//! BLEU of a whole corpus (Papineni et al. 2002), as sacrebleu computes it.
//!
//! Signature: `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`. Texts are split as
//! `mteval-v13a` does; an order of n-grams without a match counts as half, a quarter … of one (Chen and
//! Cherry 2014, method 3). Golden numbers: `tests/golden/bleu.json`.

use std::collections::HashMap;

/// The longest n-grams that are counted.
const ORDERS: usize = 4;

/// What BLEU is computed from: sums over the sentences of a corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bleu {
    /// N-grams of the answers that are in their references, by n from 1.
    pub matches: [u64; ORDERS],
    /// N-grams of the answers.
    pub totals: [u64; ORDERS],
    /// Tokens of the answers.
    pub answer_tokens: u64,
    /// Tokens of the references.
    pub reference_tokens: u64,
}

impl Bleu {
    /// The sums over pairs of an answer and its reference.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut bleu = Self::default();
        for (answer, reference) in pairs {
            bleu.add(answer, reference);
        }
        bleu
    }

    /// Adds a sentence.
    pub fn add(&mut self, answer: &str, reference: &str) {
        let [answer, reference] = [answer, reference].map(tokenize);
        self.answer_tokens += answer.len() as u64;
        self.reference_tokens += reference.len() as u64;
        for n in 1..=ORDERS {
            let there = ngrams(&reference, n);
            for (ngram, count) in ngrams(&answer, n) {
                self.totals[n - 1] += count;
                self.matches[n - 1] += count.min(there.get(ngram).copied().unwrap_or_default());
            }
        }
    }

    /// Adds the sums over other sentences.
    pub fn merge(&mut self, other: &Self) {
        for n in 0..ORDERS {
            self.matches[n] += other.matches[n];
            self.totals[n] += other.totals[n];
        }
        self.answer_tokens += other.answer_tokens;
        self.reference_tokens += other.reference_tokens;
    }

    /// By how much answers that are shorter than their references count less, 0..1.
    pub fn brevity_penalty(&self) -> f64 {
        let (answer, reference) = (self.answer_tokens as f64, self.reference_tokens as f64);
        match self.answer_tokens {
            tokens if tokens >= self.reference_tokens => 1.0,
            0 => 0.0,
            _ => (1.0 - reference / answer).exp(),
        }
    }

    /// BLEU, 0..100.
    pub fn score(&self) -> f64 {
        if self.matches == [0; ORDERS] || self.totals.contains(&0) {
            return 0.0;
        }
        let mut smoothing = 1.0;
        let mut logarithms = 0.0;
        for (matches, total) in self.matches.iter().zip(self.totals) {
            let precision = match matches {
                0 => {
                    smoothing *= 2.0;
                    100.0 / (smoothing * total as f64)
                }
                _ => 100.0 * *matches as f64 / total as f64,
            };
            logarithms += precision.ln();
        }
        self.brevity_penalty() * (logarithms / ORDERS as f64).exp()
    }
}

fn ngrams(tokens: &[String], n: usize) -> HashMap<&[String], u64> {
    let mut counts = HashMap::new();
    for ngram in tokens.windows(n) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}

/// The tokens of a text: at spaces, with most punctuation by itself; a point or a comma stays between
/// digits.
fn tokenize(text: &str) -> Vec<String> {
    let text = text.trim_end_matches(is_space);
    let text = text
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ");
    let text = text
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    let mut split = String::with_capacity(2 * text.len());
    for c in text.chars() {
        match c {
            '!'..='&' | '('..='+' | '/' | ':'..='@' | '['..='`' | '{'..='~' => {
                split.extend([' ', c, ' ']);
            }
            _ => split.push(c),
        }
    }
    let split = format!(" {split} ");
    let is_digit = |c: char| c.is_ascii_digit();
    let is_mark = |c: char| matches!(c, '.' | ',');
    let split = spaced(&split, |a, b| !is_digit(a) && is_mark(b), [false, true]);
    let split = spaced(&split, |a, b| is_mark(a) && !is_digit(b), [true, false]);
    let split = spaced(&split, |a, b| is_digit(a) && b == '-', [false, true]);
    let tokens = split.split(is_space).filter(|token| !token.is_empty());
    tokens.map(str::to_owned).collect()
}

/// Puts a space between two characters that match, and before the first or behind the second, from the left
/// and without overlaps, as a substitution by a regular expression of two groups does.
fn spaced(text: &str, matches: impl Fn(char, char) -> bool, [before, behind]: [bool; 2]) -> String {
    let mut made = String::with_capacity(2 * text.len());
    let mut rest = text.chars().peekable();
    while let Some(a) = rest.next() {
        match rest.peek() {
            Some(&b) if matches(a, b) => {
                rest.next();
                made.extend(before.then_some(' '));
                made.extend([a, ' ', b]);
                made.extend(behind.then_some(' '));
            }
            _ => made.push(a),
        }
    }
    made
}

/// What Python takes for a space.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}
