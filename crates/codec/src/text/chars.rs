//! Characters as tokens: ids follow the sorted distinct characters of a text.

use super::VocabularyError;

/// Characters that an error message lists at most.
const NUM_LISTED: usize = 40;

/// Distinct characters in code point order; a character's id is its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharVocabulary {
    chars: Vec<char>,
}

impl CharVocabulary {
    /// The distinct characters of `text`.
    pub fn of_text(text: &str) -> Self {
        // A flag for every code point up to the last one needs neither hashing nor sorting.
        let last = text.chars().max().map_or(0, u32::from);
        let mut seen = vec![false; last as usize + 1];
        for c in text.chars() {
            seen[c as usize] = true;
        }
        let chars = (0..=last).zip(seen).filter(|(_, seen)| *seen);
        let chars = chars.filter_map(|(code, _)| char::from_u32(code)).collect();
        Self { chars }
    }

    /// The vocabulary that [`chars`](Self::chars) wrote.
    ///
    /// # Errors
    /// [`VocabularyError::Damaged`] if `chars` is empty, or is not sorted and distinct: its ids would
    /// then mean other characters than those a model was trained with.
    pub fn from_chars(chars: &str) -> Result<Self, VocabularyError> {
        let chars: Vec<char> = chars.chars().collect();
        let fault = |place: String, problem: &str| VocabularyError::Damaged {
            place,
            problem: problem.to_owned(),
        };
        if chars.is_empty() {
            return Err(fault("start".to_owned(), "no characters"));
        }
        if let Some(i) = chars.windows(2).position(|pair| pair[0] >= pair[1]) {
            let place = format!("character {}, {:?}", i + 2, chars[i + 1]);
            return Err(fault(place, "not in order, or there twice"));
        }
        Ok(Self { chars })
    }

    /// All characters in the order of their ids, to be saved beside a model.
    pub fn chars(&self) -> String {
        self.chars.iter().collect()
    }

    /// The number of distinct characters.
    pub fn len(&self) -> usize {
        self.chars.len()
    }

    /// Whether there are none, as for an empty text.
    pub fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    /// Ids of the characters of `text`.
    ///
    /// # Errors
    /// [`VocabularyError::UnknownChar`] for the first character that is not in the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, VocabularyError> {
        self.ids(text).collect()
    }

    /// The text of `ids`; an id beyond the vocabulary becomes U+FFFD, the replacement character.
    pub fn decode(&self, ids: &[u32]) -> String {
        let char_of = |id: &u32| self.chars.get(*id as usize).copied();
        ids.iter()
            .map(|id| char_of(id).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    }

    /// Ids of the characters of `text`, one at a time.
    pub fn ids(&self, text: &str) -> impl Iterator<Item = Result<u32, VocabularyError>> {
        text.char_indices().map(
            |(byte, character)| match self.chars.binary_search(&character) {
                Ok(id) => Ok(id as u32),
                Err(_) => Err(VocabularyError::UnknownChar {
                    character,
                    byte,
                    known: self.listing(),
                }),
            },
        )
    }

    /// Some of the characters, readable on one line.
    fn listing(&self) -> String {
        let listed: Vec<_> = self.chars.iter().take(NUM_LISTED).collect();
        let mut text: Vec<_> = listed
            .iter()
            .map(|c| c.escape_debug().to_string())
            .collect();
        if self.chars.len() > NUM_LISTED {
            text.push(format!("… ({} in all)", self.chars.len()));
        }
        text.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_code_points_and_decoding_undoes_encoding() {
        let text = "héllo,\r\n\u{feff}wörld 世界\t🦀\0";
        let vocabulary = CharVocabulary::of_text(text);
        let ids = vocabulary.encode(text).unwrap();
        assert_eq!(vocabulary.decode(&ids), text);
        assert_eq!(ids.last(), Some(&0));
        assert_eq!(
            vocabulary.encode("🦀").unwrap(),
            [vocabulary.len() as u32 - 1]
        );

        let saved = vocabulary.chars();
        assert_eq!(CharVocabulary::from_chars(&saved).unwrap(), vocabulary);
    }

    #[test]
    fn an_unknown_character_is_named_placed_and_answered_with_known_ones() {
        let vocabulary = CharVocabulary::of_text("ab\n");
        let message = vocabulary.encode("aé世").unwrap_err().to_string();
        assert!(message.contains("'é' at byte 1"), "{message}");
        assert!(message.ends_with(r"\n a b"), "{message}");

        let many: String = ('a'..='z').chain('A'..='Z').collect();
        let message = CharVocabulary::of_text(&many)
            .encode("?")
            .unwrap_err()
            .to_string();
        assert!(message.ends_with("… (52 in all)"), "{message}");
    }

    #[test]
    fn an_id_beyond_the_vocabulary_decodes_to_the_replacement_character() {
        assert_eq!(
            CharVocabulary::of_text("ab").decode(&[1, 2, 0]),
            "b\u{fffd}a"
        );
    }

    #[test]
    fn a_damaged_vocabulary_is_refused() {
        for damaged in ["", "ba", "aab"] {
            let result = CharVocabulary::from_chars(damaged);
            assert!(
                matches!(result, Err(VocabularyError::Damaged { .. })),
                "{damaged:?}"
            );
        }
    }
}
