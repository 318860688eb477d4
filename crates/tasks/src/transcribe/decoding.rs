//! Characters as ids, of which the blank takes the first, and edits between them.

use zoo_codec::text::{CharVocabulary, Language, Text};

use crate::metrics::wer::Edits;

/// The id of the space, which is the first of the characters in every vocabulary here: words are what
/// stands between spaces.
pub const SPACE: usize = 1;

/// A text as it is learned: single spaces between its words, and none around them.
pub(super) fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The characters of texts, and the space.
pub(super) fn characters(texts: impl IntoIterator<Item = String>) -> Text {
    let mut all = String::from(" ");
    for text in texts {
        all.push_str(&plain(&text));
        // What is there is kept once, so that long texts take no memory.
        all = CharVocabulary::of_text(&all).chars();
    }
    Text::Chars { chars: all }
}

/// The ids of a text.
///
/// # Errors
/// A text without a word, or a character that is not known.
pub(super) fn ids(language: &Language, text: &str) -> Result<Vec<u32>, String> {
    let ids = language.plain(&plain(text))?;
    match ids.is_empty() {
        true => Err("its text is empty; write what is said, or take it out of the set".into()),
        false => Ok(ids.into_iter().map(|id| id + 1).collect()),
    }
}

/// The text of ids.
pub(super) fn written(language: &Language, ids: &[usize]) -> String {
    let ids: Vec<u32> = ids
        .iter()
        .map(|id| (*id as u32).saturating_sub(1))
        .collect();
    plain(&language.decode(&ids))
}

/// Frames that a text needs: one a character, and one between two that are equal.
pub(super) fn needed(ids: &[u32]) -> usize {
    let repeats = ids.windows(2).filter(|pair| pair[0] == pair[1]).count();
    ids.len() + repeats
}

/// As [`Edits::of_words`] of the texts.
pub(super) fn word_edits(said: &[usize], heard: &[usize]) -> Edits {
    let words = |ids: &'_ [usize]| -> Vec<Vec<usize>> {
        let words = ids.split(|id| *id == SPACE);
        words
            .filter(|word| !word.is_empty())
            .map(<[usize]>::to_vec)
            .collect()
    };
    Edits::between(&words(said), &words(heard))
}

/// As [`Edits::of_characters`] of the texts.
pub(super) fn character_edits(said: &[usize], heard: &[usize]) -> Edits {
    Edits::between(trimmed(said), trimmed(heard))
}

fn trimmed(ids: &[usize]) -> &[usize] {
    let is_space = |id: &usize| *id == SPACE;
    let start = ids.iter().take_while(|id| is_space(id)).count();
    let end = ids[start..]
        .iter()
        .rev()
        .take_while(|id| is_space(id))
        .count();
    &ids[start..ids.len() - end]
}
