//! Words as tokens: split at white space, in lower case, the most frequent of the training text.

use std::collections::{HashMap, HashSet};

use super::VocabularyError;

/// Id of the token that fills a batch's shorter rows.
pub const PAD: u32 = 0;
/// Id of every word that the vocabulary lacks.
pub const UNKNOWN: u32 = 1;

/// Names of the two ids above, in saved vocabularies only: a text that spells `<pad>` does not get
/// the padding id.
const SPECIAL: [&str; 2] = ["<pad>", "<unk>"];

/// Words by id, from 2 on; the ids below are [`PAD`] and [`UNKNOWN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordVocabulary {
    words: Vec<String>,
    ids: HashMap<String, u32>,
}

impl WordVocabulary {
    /// The words that occur at least `min_count` times in `texts` (the training split only, or
    /// results on the others mean nothing), most frequent first and alphabetically among equals,
    /// until there are `max_size` tokens, padding and unknown included.
    ///
    /// # Errors
    /// [`VocabularyError::Value`] if that leaves no word.
    pub fn build<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        max_size: usize,
        min_count: usize,
    ) -> Result<Self, VocabularyError> {
        let max_words = max_size.saturating_sub(SPECIAL.len());
        if max_words == 0 {
            return Err(VocabularyError::Value {
                name: "data.max_words",
                found: max_size.to_string(),
                expected: "3 or more: <pad>, <unk> and a word".to_owned(),
            });
        }
        let mut counts: HashMap<String, usize> = HashMap::new();
        for word in texts.into_iter().flat_map(words) {
            *counts.entry(word).or_default() += 1;
        }
        let highest = counts.values().copied().max().unwrap_or(0);
        let mut counted: Vec<_> = counts
            .into_iter()
            .filter(|(word, count)| *count >= min_count && !SPECIAL.contains(&word.as_str()))
            .collect();
        if counted.is_empty() {
            return Err(VocabularyError::Value {
                name: "data.min_count",
                found: min_count.to_string(),
                expected: format!("at most {highest}, the count of the most frequent word"),
            });
        }
        counted.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
        counted.truncate(max_words);
        Ok(Self::from_words(
            counted.into_iter().map(|(word, _)| word).collect(),
        ))
    }

    /// The vocabulary that [`to_lines`](Self::to_lines) wrote.
    ///
    /// # Errors
    /// [`VocabularyError::Damaged`] with the line that is not as it was written.
    pub fn from_lines(lines: &str) -> Result<Self, VocabularyError> {
        let fault = |line: usize, problem: String| VocabularyError::Damaged {
            place: format!("line {line}"),
            problem,
        };
        let mut lines = lines.lines();
        for (i, special) in SPECIAL.iter().enumerate() {
            let found = lines.next().unwrap_or_default();
            if found != *special {
                return Err(fault(i + 1, format!("expected {special}, found {found:?}")));
            }
        }
        let mut words = Vec::new();
        let mut seen = HashSet::new();
        for (i, word) in lines.enumerate() {
            let line = i + 1 + SPECIAL.len();
            if word.is_empty() || word.contains(char::is_whitespace) {
                return Err(fault(line, format!("expected one word, found {word:?}")));
            }
            if !seen.insert(word) {
                return Err(fault(line, format!("the word {word:?} is there twice")));
            }
            words.push(word.to_owned());
        }
        if words.is_empty() {
            return Err(fault(SPECIAL.len() + 1, "no words".to_owned()));
        }
        Ok(Self::from_words(words))
    }

    /// One token a line in the order of their ids, to be saved beside a model.
    pub fn to_lines(&self) -> String {
        let special = SPECIAL.iter().copied();
        special
            .chain(self.words.iter().map(String::as_str))
            .flat_map(|token| [token, "\n"])
            .collect()
    }

    /// The number of tokens, padding and unknown included.
    #[expect(
        clippy::len_without_is_empty,
        reason = "padding and unknown are always there"
    )]
    pub fn len(&self) -> usize {
        SPECIAL.len() + self.words.len()
    }

    /// Ids of the first `max_length` words of `text`, one to `max_length` of them.
    ///
    /// Text without a word gives a single [`UNKNOWN`], so that no row of a batch is all padding: a
    /// mean over such a row is not a number.
    ///
    /// # Panics
    /// If `max_length` is 0.
    pub fn encode(&self, text: &str, max_length: usize) -> Vec<u32> {
        assert!(max_length > 0, "max_length is 0");
        let id_of = |word: String| self.ids.get(&word).copied().unwrap_or(UNKNOWN);
        let mut ids: Vec<u32> = words(text).take(max_length).map(id_of).collect();
        if ids.is_empty() {
            ids.push(UNKNOWN);
        }
        ids
    }

    /// The words of `ids` with a space between; `<unk>` for what is none of them.
    pub fn decode(&self, ids: &[u32]) -> String {
        let words: Vec<&str> = ids.iter().map(|id| self.word(*id)).collect();
        words.join(" ")
    }

    pub(super) fn word(&self, id: u32) -> &str {
        let (id, unknown) = (id as usize, SPECIAL[UNKNOWN as usize]);
        match id.checked_sub(SPECIAL.len()) {
            Some(at) => self.words.get(at).map_or(unknown, String::as_str),
            None => SPECIAL[id],
        }
    }

    fn from_words(words: Vec<String>) -> Self {
        let first = SPECIAL.len() as u32;
        let ids = words.iter().cloned().zip(first..).collect();
        Self { words, ids }
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = ["The cat sat", "the  dog\tsat", "THE Éclair"];

    #[test]
    fn words_are_ordered_by_count_and_then_by_alphabet() {
        let vocabulary = WordVocabulary::build(TEXTS, 100, 1).unwrap();
        let lines = "<pad>\n<unk>\nthe\nsat\ncat\ndog\néclair\n";
        assert_eq!(vocabulary.to_lines(), lines);
        assert_eq!(vocabulary.len(), 7);
        assert_eq!(WordVocabulary::from_lines(lines).unwrap(), vocabulary);
        // Files written or edited on Windows.
        let crlf = lines.replace('\n', "\r\n");
        assert_eq!(WordVocabulary::from_lines(&crlf).unwrap(), vocabulary);
    }

    #[test]
    fn size_and_count_limit_the_vocabulary() {
        let of = |size, count| WordVocabulary::build(TEXTS, size, count).map(|v| v.to_lines());
        assert_eq!(of(5, 1).unwrap(), "<pad>\n<unk>\nthe\nsat\ncat\n");
        assert_eq!(of(100, 2).unwrap(), "<pad>\n<unk>\nthe\nsat\n");
        assert!(matches!(
            of(2, 1),
            Err(VocabularyError::Value {
                name: "data.max_words",
                ..
            })
        ));
        let message = of(100, 4).unwrap_err().to_string();
        assert_eq!(
            message,
            "data.min_count = 4: expected at most 3, the count of the most frequent word"
        );
    }

    #[test]
    fn encoding_lowers_truncates_and_marks_unknown_words() {
        let vocabulary = WordVocabulary::build(TEXTS, 100, 1).unwrap();
        assert_eq!(
            vocabulary.encode("Sat the ÉCLAIR bird", 10),
            [3, 2, 6, UNKNOWN]
        );
        assert_eq!(vocabulary.encode("Sat the ÉCLAIR bird", 2), [3, 2]);
        assert_eq!(vocabulary.encode(" \t", 10), [UNKNOWN]);
    }

    #[test]
    fn text_cannot_spell_the_padding_token() {
        let vocabulary = WordVocabulary::build(["<pad> <pad> <unk> a"], 100, 1).unwrap();
        assert_eq!(vocabulary.to_lines(), "<pad>\n<unk>\na\n");
        assert_eq!(vocabulary.encode("<pad> a", 10), [UNKNOWN, 2]);
    }

    #[test]
    fn a_damaged_vocabulary_is_refused_with_its_line() {
        for (damaged, line) in [
            ("", "line 1"),
            ("<pad>\nthe\n", "line 2"),
            ("<pad>\n<unk>\n", "line 3"),
            ("<pad>\n<unk>\nthe\n\nsat\n", "line 4"),
            ("<pad>\n<unk>\nthe cat\n", "line 3"),
            ("<pad>\n<unk>\nthe\nsat\nthe\n", "line 5"),
        ] {
            let message = WordVocabulary::from_lines(damaged).unwrap_err().to_string();
            assert!(message.contains(line), "{damaged:?}: {message}");
        }
    }
}
