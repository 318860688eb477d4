//! Fixed windows over one long row of tokens, for next-token training.
//!
//! nanoGPT draws the starts of its windows at random, with replacement. Here an epoch lays the
//! windows side by side, so that it uses each token once, and a fresh `offset` for each epoch
//! shifts the grid, so that over epochs a token is seen at every position.

use std::sync::Arc;

use burn::data::dataset::Dataset;
use zoo_codec::text::VocabularyError;

use crate::TextError;

/// A row of token ids that is cheap to share.
///
/// A vocabulary of up to 256 tokens takes a byte a token, which makes an English corpus no larger
/// in memory than on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tokens {
    /// Ids below 256.
    Narrow(Arc<[u8]>),
    /// Any ids.
    Wide(Arc<[u32]>),
}

impl Tokens {
    /// Collects ids, all below `vocabulary_size`.
    ///
    /// # Errors
    /// The first error that `ids` gives.
    pub(crate) fn collect(
        vocabulary_size: usize,
        ids: impl Iterator<Item = Result<u32, VocabularyError>>,
    ) -> Result<Self, VocabularyError> {
        if vocabulary_size <= 256 {
            let ids = ids.map(|id| id.map(|id| id as u8));
            Ok(Tokens::Narrow(ids.collect::<Result<_, _>>()?))
        } else {
            Ok(Tokens::Wide(ids.collect::<Result<_, _>>()?))
        }
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        match self {
            Tokens::Narrow(ids) => ids.len(),
            Tokens::Wide(ids) => ids.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `length` ids from `start` on.
    ///
    /// # Panics
    /// If they are not all there.
    pub fn slice(&self, start: usize, length: usize) -> Vec<u32> {
        let range = start..start + length;
        match self {
            Tokens::Narrow(ids) => ids[range].iter().map(|id| u32::from(*id)).collect(),
            Tokens::Wide(ids) => ids[range].to_vec(),
        }
    }
}

/// One training item: `input [context]`, and `target [context]`, the same shifted by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Token ids.
    pub input: Vec<u32>,
    /// For each position of `input`, the id of the token that follows.
    pub target: Vec<u32>,
}

/// The windows of one epoch: window `i` starts at `offset + i * context`.
///
/// There are `tokens / context - 1` of them, the most that fit at *every* offset, so that an epoch
/// has the same number of steps whatever its offset.
#[derive(Debug, Clone)]
pub struct Windows {
    tokens: Tokens,
    context: usize,
    offset: usize,
}

impl Windows {
    /// Windows of `context` tokens, starting at offset 0.
    ///
    /// Returns `None` if `context` is 0 or not one window fits at every offset, which takes
    /// `2 * context` tokens. [`Corpus::windows`](crate::Corpus::windows) says it with the file.
    pub fn new(tokens: Tokens, context: usize) -> Option<Self> {
        (context > 0 && tokens.len() / 2 >= context).then_some(Self {
            tokens,
            context,
            offset: 0,
        })
    }

    /// The same windows shifted by `offset`, `0..context`; the tokens are shared.
    ///
    /// # Panics
    /// If `offset` is `context` or more.
    #[must_use]
    pub fn with_offset(&self, offset: usize) -> Self {
        let context = self.context;
        assert!(offset < context, "offset {offset} of context {context}");
        Self {
            tokens: self.tokens.clone(),
            context,
            offset,
        }
    }

    /// All tokens, those that no window reaches included.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Tokens in a window.
    pub fn context(&self) -> usize {
        self.context
    }
}

impl Dataset<Window, TextError> for Windows {
    fn get(&self, index: usize) -> Result<Window, TextError> {
        let len = self.len();
        assert!(index < len, "window {index} of {len}");
        let mut input = self
            .tokens
            .slice(self.offset + index * self.context, self.context + 1);
        let target = input[1..].to_vec();
        input.pop();
        Ok(Window { input, target })
    }

    fn len(&self) -> usize {
        self.tokens.len() / self.context - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(length: u32) -> Tokens {
        Tokens::collect(300, (0..length).map(Ok)).unwrap()
    }

    #[test]
    fn windows_cover_the_text_without_gap_or_overlap_at_every_offset() {
        for length in [2, 7, 8, 9, 31, 64, 100] {
            for context in 1..=length / 2 {
                let windows = Windows::new(counting(length), context as usize).unwrap();
                for offset in 0..context {
                    let shifted = windows.with_offset(offset as usize);
                    assert_eq!(shifted.len(), windows.len());
                    assert!(!shifted.is_empty());
                    let items = (0..shifted.len()).map(|i| shifted.get(i).unwrap());
                    let (inputs, targets): (Vec<_>, Vec<_>) =
                        items.map(|w| (w.input, w.target)).unzip();
                    let end = offset + shifted.len() as u32 * context;
                    assert_eq!(inputs.concat(), (offset..end).collect::<Vec<_>>());
                    assert_eq!(targets.concat(), (offset + 1..end + 1).collect::<Vec<_>>());
                    // At most a window and a bit is left over at the end.
                    assert!(length - end <= 2 * context, "{length} {context} {offset}");
                }
            }
        }
    }

    #[test]
    fn too_few_tokens_or_no_context_give_no_windows() {
        assert!(Windows::new(counting(15), 8).is_none());
        assert!(Windows::new(counting(16), 8).is_some());
        assert!(Windows::new(counting(16), 0).is_none());
        assert!(Windows::new(counting(16), usize::MAX).is_none());
    }

    #[test]
    fn narrow_and_wide_tokens_read_the_same() {
        let ids = || (0..256).map(Ok);
        let narrow = Tokens::collect(256, ids()).unwrap();
        let wide = Tokens::collect(257, ids()).unwrap();
        assert!(matches!(narrow, Tokens::Narrow(_)) && matches!(wide, Tokens::Wide(_)));
        assert_eq!(narrow.len(), wide.len());
        assert_eq!(narrow.slice(3, 253), wide.slice(3, 253));
    }

    #[test]
    #[should_panic(expected = "window 1 of 1")]
    fn an_index_past_the_end_panics() {
        let _ = Windows::new(counting(16), 8).unwrap().get(1);
    }

    #[test]
    #[should_panic(expected = "offset 8 of context 8")]
    fn an_offset_of_a_whole_window_panics() {
        let _ = Windows::new(counting(16), 8).unwrap().with_offset(8);
    }
}
