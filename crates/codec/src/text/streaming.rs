//! Text that is shown while its tokens come.

use super::Language;

/// Text that is decoded as its tokens come. A token may be a part of a character, and a decoder may
/// rewrite what it said: what is given out is what more tokens no longer change.
pub struct Streaming<'a> {
    language: &'a Language,
    tokens: Vec<u32>,
    given: usize,
}

impl<'a> Streaming<'a> {
    /// A text that goes on after a prompt, whose tokens are `tokens`; and as much of the prompt as
    /// more tokens no longer change.
    pub fn new(language: &'a Language, prompt: &str, tokens: &[u32]) -> (Self, String) {
        let whole = language.decode(tokens);
        let settled = language.settled(tokens);
        let held = whole.strip_prefix(&*settled);
        let (given, begun) = match held.and_then(|held| prompt.strip_suffix(held)) {
            Some(begun) => (settled.len(), begun),
            // A tokenizer that changes a text: it is shown as it was given.
            None => (whole.len(), prompt),
        };
        let streaming = Self {
            language,
            tokens: tokens.to_vec(),
            given,
        };
        (streaming, begun.to_owned())
    }

    /// What the text gains by a token.
    pub fn push(&mut self, token: u32) -> String {
        self.tokens.push(token);
        self.gain(&self.language.settled(&self.tokens))
    }

    /// What is left when no more tokens come.
    pub fn finish(mut self) -> String {
        self.gain(&self.language.decode(&self.tokens))
    }

    fn gain(&mut self, text: &str) -> String {
        if text.len() <= self.given {
            return String::new();
        }
        let start = text.floor_char_boundary(self.given);
        self.given = text.len();
        text[start..].to_owned()
    }
}
