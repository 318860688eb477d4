//! What turns text into a model's tokens, and back.

use serde_json::Value as Json;

use super::{CharVocabulary, PAD, Tokenizer, UNKNOWN, VocabularyError, WordVocabulary};

/// What turns text into tokens, and back.
#[derive(Debug)]
pub enum Language {
    /// One token a word.
    Words(WordVocabulary),
    /// One token a character.
    Chars(CharVocabulary),
    /// The tokens of a `tokenizer.json`.
    Tokenizer(Box<Tokenizer>),
}

impl Language {
    /// Words, as [`WordVocabulary::to_lines`] wrote them.
    ///
    /// # Errors
    /// A damaged vocabulary.
    pub fn words(lines: &str) -> Result<Self, String> {
        WordVocabulary::from_lines(lines)
            .map(Self::Words)
            .map_err(told)
    }

    /// Characters, as [`CharVocabulary::chars`] wrote them.
    ///
    /// # Errors
    /// A damaged vocabulary.
    pub fn chars(chars: &str) -> Result<Self, String> {
        CharVocabulary::from_chars(chars)
            .map(Self::Chars)
            .map_err(told)
    }

    /// The text of a `tokenizer.json`.
    ///
    /// # Errors
    /// What is wrong with it, or more than a tokenizer may ask for.
    pub fn tokenizer(json: &str) -> Result<Self, String> {
        Tokenizer::parse(json).map(|tokenizer| Self::Tokenizer(Box::new(tokenizer)))
    }

    /// How many ids there are: one more than the largest.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Words(vocabulary) => vocabulary.len(),
            Self::Chars(vocabulary) => vocabulary.len(),
            Self::Tokenizer(tokenizer) => tokenizer.vocabulary(),
        }
    }

    /// What an id stands for, as the vocabulary has it.
    pub fn token(&self, id: u32) -> Option<String> {
        match self {
            _ if id as usize >= self.vocabulary() => None,
            Self::Words(vocabulary) => Some(vocabulary.word(id).to_owned()),
            Self::Chars(vocabulary) => Some(vocabulary.decode(&[id])),
            Self::Tokenizer(tokenizer) => tokenizer.id_to_token(id),
        }
    }

    /// The first id that stands for something in `other`, and for something else here.
    pub fn first_other(&self, other: &Self) -> Option<u32> {
        let mut ids = 0..other.vocabulary() as u32;
        ids.find(|id| {
            other
                .token(*id)
                .is_some_and(|token| self.token(*id) != Some(token))
        })
    }

    /// The id that fills the shorter rows of a batch; `None` where text has none of its own, and a
    /// model's decides.
    pub fn pad(&self) -> Option<u32> {
        match self {
            Self::Words(_) => Some(PAD),
            Self::Chars(_) => None,
            Self::Tokenizer(tokenizer) => tokenizer.pad(),
        }
    }

    /// Whether this token stands for whatever the vocabulary has not.
    pub fn is_unknown(&self, id: u32) -> bool {
        match self {
            Self::Words(_) => id == UNKNOWN,
            Self::Chars(_) => false,
            Self::Tokenizer(tokenizer) => tokenizer.is_unknown(id),
        }
    }

    /// The tokens of a text, with those that a tokenizer puts around it, `max_length` at most: of a
    /// longer one the end is cut off before the tokens around it are added, as Hugging Face's
    /// libraries do.
    ///
    /// # Errors
    /// A text without a token; a `max_length` that has no room for the tokens around it; a character
    /// that is not in the vocabulary.
    pub fn encode(&self, text: &str, max_length: usize) -> Result<Vec<u32>, String> {
        match self {
            Self::Words(vocabulary) if max_length > 0 => Ok(vocabulary.encode(text, max_length)),
            Self::Words(_) => Err("max_length = 0: must be 1 or more".into()),
            Self::Chars(vocabulary) => {
                let ids = vocabulary.ids(text).take(max_length);
                ids.collect::<Result<_, _>>().map_err(told)
            }
            Self::Tokenizer(tokenizer) => tokenizer.sentence(text, max_length),
        }
    }

    /// [`encode`](Self::encode) of every text of a set, which may not take longer than its size lets one
    /// expect.
    ///
    /// # Errors
    /// The place of a text that cannot be encoded, from 0, and what is wrong; of the first one, where
    /// all of them together are.
    pub fn encode_all(
        &self,
        texts: &[&str],
        max_length: usize,
    ) -> Result<Vec<Vec<u32>>, (usize, String)> {
        if let Self::Tokenizer(tokenizer) = self {
            tokenizer.check_set(texts)?;
        }
        let each = texts.iter().enumerate();
        each.map(|(at, text)| {
            self.encode(text, max_length)
                .map_err(|problem| (at, problem))
        })
        .collect()
    }

    /// The text of tokens without special ones, such as those around a text.
    pub fn decode_plain(&self, tokens: &[u32]) -> String {
        match self {
            Self::Tokenizer(tokenizer) => tokenizer.decode_plain(tokens),
            _ => self.decode(tokens),
        }
    }

    /// All tokens of a text, without any that a tokenizer would put around it.
    ///
    /// # Errors
    /// A character that is not in the vocabulary.
    pub fn plain(&self, text: &str) -> Result<Vec<u32>, String> {
        match self {
            Self::Words(vocabulary) => Ok(vocabulary.encode(text, usize::MAX)),
            Self::Chars(vocabulary) => vocabulary.encode(text).map_err(told),
            Self::Tokenizer(tokenizer) => tokenizer.encode(text, false),
        }
    }

    /// The tokens of a text to continue: with those that the tokenizer begins a text with, without
    /// those that it ends one with.
    ///
    /// # Errors
    /// A character that is not in the vocabulary.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>, String> {
        let plain = self.plain(text)?;
        let Self::Tokenizer(tokenizer) = self else {
            return Ok(plain);
        };
        let whole = tokenizer.encode(text, true)?;
        if plain.is_empty() {
            return Ok(whole.iter().take(1).copied().collect());
        }
        let before = (0..whole.len()).find(|start| whole[*start..].starts_with(&plain));
        Ok(match before {
            Some(start) => whole[..start + plain.len()].to_vec(),
            None => plain,
        })
    }

    /// The text of tokens; tokens that are none of the vocabulary's are left out, or marked.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Self::Words(vocabulary) => vocabulary.decode(tokens),
            Self::Chars(vocabulary) => vocabulary.decode(tokens),
            Self::Tokenizer(tokenizer) => tokenizer.decode(tokens),
        }
    }

    /// The text of tokens, by what each of them adds to it, spaces included: as far as the text up to
    /// it agrees with the whole. Of a character that takes several tokens, the last one has all.
    pub fn pieces(&self, tokens: &[u32]) -> Vec<String> {
        let whole = self.decode(tokens);
        let mut given = 0;
        let until = (1..=tokens.len()).map(|count| match count < tokens.len() {
            true => agreement(&whole, &self.decode(&tokens[..count])),
            false => whole.len(),
        });
        let pieces = until.map(|end| {
            let piece = whole.get(given..end).unwrap_or_default().to_owned();
            given = given.max(end);
            piece
        });
        pieces.collect()
    }

    /// Of a text that goes on after these tokens, what no further token changes.
    pub(super) fn settled(&self, tokens: &[u32]) -> String {
        let Self::Tokenizer(tokenizer) = self else {
            return self.decode(tokens);
        };
        if !is_prefix_stable(tokenizer) {
            return String::new();
        }
        // Bytes are made characters all together, up to a token that is none: one that does not fit
        // spoils them all.
        let is_byte = |token: &&u32| {
            let token = tokenizer.id_to_token(**token).unwrap_or_default();
            token.len() == 6 && token.starts_with("<0x") && token.ends_with('>')
        };
        let bytes = tokens.iter().rev().take_while(is_byte).count();
        let mut text = self.decode(&tokens[..tokens.len() - bytes]);
        // Half a character, the rest of which may come.
        text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
        text
    }
}

fn told(error: VocabularyError) -> String {
    error.to_string()
}

/// How many bytes two texts have in common at their beginnings, in whole characters.
fn agreement(one: &str, other: &str) -> usize {
    let pairs = one.chars().zip(other.chars());
    let same = pairs.take_while(|(one, other)| one == other);
    same.map(|(character, _)| character.len_utf8()).sum()
}

/// Whether the text of more tokens begins with that of fewer, halves of characters aside: of decoders
/// that look at one token at a time until they join all. Any other may rewrite what it said.
fn is_prefix_stable(tokenizer: &Tokenizer) -> bool {
    fn kinds(decoder: &Json, found: &mut Vec<String>) {
        match decoder.get("decoders").and_then(Json::as_array) {
            Some(parts) => parts.iter().for_each(|part| kinds(part, found)),
            None => found.push(decoder["type"].as_str().unwrap_or_default().to_owned()),
        }
    }
    let Some(decoder) = tokenizer.decoder() else {
        return true;
    };
    let mut found = Vec::new();
    kinds(&decoder, &mut found);
    let is_joined = |kind: &String| ["Fuse", "ByteLevel"].contains(&kind.as_str());
    let joined_at = found.iter().position(is_joined).unwrap_or(found.len());
    found.iter().enumerate().all(|(at, kind)| match &**kind {
        "Fuse" | "Strip" => true,
        "ByteLevel" => at == joined_at,
        "ByteFallback" | "Metaspace" | "Replace" | "WordPiece" => at < joined_at,
        _ => false,
    })
}
