//! Word and character error rates, as jiwer computes them: the edits that turn what was said into what
//! was heard, of the whole split, over the words (or characters) that were said.
//!
//! A text is stripped of white space at its ends. Words are what stands between spaces; white space of
//! any kind is a space where several stand together, and a lone tab is a part of its word. Characters
//! are Unicode's code points, each space among them.

use serde::{Deserialize, Serialize};

/// Edits of a split, and what they are counted over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edits {
    /// Words that were heard right.
    pub hits: usize,
    /// Words heard for others.
    pub substitutions: usize,
    /// Words that were not heard.
    pub deletions: usize,
    /// Words that were not said.
    pub insertions: usize,
}

impl Edits {
    /// Words of a sentence and of what was heard of it.
    pub fn of_words(truth: &str, heard: &str) -> Self {
        Self::between(&words(truth.trim()), &words(heard.trim()))
    }

    /// Its characters.
    pub fn of_characters(truth: &str, heard: &str) -> Self {
        Self::between(&characters(truth), &characters(heard))
    }

    /// The fewest edits from `truth` to `heard`.
    pub fn between<T: PartialEq>(truth: &[T], heard: &[T]) -> Self {
        // What ends alike costs nothing, and takes no place in the table.
        let same = |pair: &(&T, &T)| pair.0 == pair.1;
        let before = truth.iter().zip(heard).take_while(same).count();
        let (truth, heard) = (&truth[before..], &heard[before..]);
        let after = (truth.iter().rev().zip(heard.iter().rev()))
            .take_while(same)
            .count();
        let (truth, heard) = (&truth[..truth.len() - after], &heard[..heard.len() - after]);

        // One row of the table at a time: the best way to each prefix of `heard`.
        let insertions = |insertions| Self {
            insertions,
            ..Self::default()
        };
        let mut row: Vec<Self> = (0..=heard.len()).map(insertions).collect();
        for said in truth {
            let mut diagonal = row[0];
            row[0].deletions += 1;
            for (column, word) in heard.iter().enumerate() {
                let above = row[column + 1];
                row[column + 1] = Self::best(diagonal, row[column], above, said == word);
                diagonal = above;
            }
        }
        let mut edits = row[heard.len()];
        edits.hits += before + after;
        edits
    }

    /// The cheapest of three last steps.
    fn best(diagonal: Self, left: Self, above: Self, equal: bool) -> Self {
        let mut kept = diagonal;
        if equal {
            kept.hits += 1;
            return kept;
        }
        kept.substitutions += 1;
        let inserted = Self {
            insertions: left.insertions + 1,
            ..left
        };
        let deleted = Self {
            deletions: above.deletions + 1,
            ..above
        };
        let rest = if deleted.count() < inserted.count() {
            deleted
        } else {
            inserted
        };
        if rest.count() < kept.count() {
            rest
        } else {
            kept
        }
    }

    /// Edits in all.
    pub fn count(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// Words that were said.
    pub fn said(&self) -> usize {
        self.hits + self.substitutions + self.deletions
    }

    /// Edits for a word that was said: 0 at best, and above 1 where more was heard than said. Where
    /// nothing was said at all, there is nothing to divide by, and an insertion counts as one, as in
    /// jiwer.
    pub fn rate(&self) -> f64 {
        match self.said() {
            0 => self.insertions as f64,
            said => self.count() as f64 / said as f64,
        }
    }
}

impl std::ops::AddAssign for Edits {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
    }
}

/// The word error rate of a split: edits of all sentences over words of all sentences.
pub fn word_error_rate<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
    rate(pairs, Edits::of_words)
}

/// The character error rate of a split.
pub fn character_error_rate<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
    rate(pairs, Edits::of_characters)
}

fn rate<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    edits: fn(&str, &str) -> Edits,
) -> f64 {
    let mut sum = Edits::default();
    for (truth, heard) in pairs {
        sum += edits(truth, heard);
    }
    sum.rate()
}

fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut rest) = (0, text.char_indices().peekable());
    while let Some((at, mark)) = rest.next() {
        let mut end = at + mark.len_utf8();
        let mut several = false;
        while mark.is_whitespace() {
            let Some((at, next)) = rest.next_if(|(_, next)| next.is_whitespace()) else {
                break;
            };
            (end, several) = (at + next.len_utf8(), true);
        }
        if mark == ' ' || several {
            words.push(&text[start..at]);
            start = end;
        }
    }
    words.push(&text[start..]);
    words.retain(|word| !word.is_empty());
    words
}

fn characters(text: &str) -> Vec<char> {
    text.trim().chars().collect()
}
