//! Sentences and their translations as tokens, in batches of about as many tokens each.

use std::ops::Range;

use burn::tensor::TensorData;
use zoo_codec::text::{Language, subwords};
use zoo_train::{Batch, Pass, Source, SourceError};

use super::Translation;
use crate::buckets;
use crate::sentences::{PAD_TO_MULTIPLE, pad};

// b batch, s source positions, t target positions, n scored targets

/// A text and its translation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    /// With the tokens around it.
    source: Vec<u32>,
    /// With the tokens around it.
    target: Vec<u32>,
    /// The translation as it was written, which may have what no token stands for.
    reference: Option<String>,
}

impl Pair {
    /// Positions of the longer side.
    fn longer(&self) -> usize {
        self.source.len().max(split(&self.target).0.len())
    }
}

/// The pairs of a split, cut into tokens once.
#[derive(Clone, Debug)]
pub struct Pairs {
    pairs: Vec<Pair>,
    batch_tokens: Option<usize>,
    /// Tokens of the longest side.
    longest: usize,
}

impl Pairs {
    /// Pairs of rows of tokens, each with the tokens that begin and end a text. With `batch_tokens`,
    /// the batches of training are of examples that are about as long, and of so many tokens on the
    /// longer side at most, padding included.
    pub fn new(pairs: Vec<(Vec<u32>, Vec<u32>)>, batch_tokens: Option<usize>) -> Self {
        let pair = |(source, target)| Pair {
            source,
            target,
            reference: None,
        };
        Self::of(pairs.into_iter().map(pair).collect(), batch_tokens)
    }

    fn of(pairs: Vec<Pair>, batch_tokens: Option<usize>) -> Self {
        Self {
            longest: pairs.iter().map(Pair::longer).max().unwrap_or(0),
            pairs,
            batch_tokens,
        }
    }

    /// Texts and their translations, read as `codec` has it. Of longer ones the end is cut off, but
    /// not off the reference that a translation is held against.
    ///
    /// # Errors
    /// The place of a pair that cannot be read, from 0, and what is wrong.
    pub fn read(
        codec: &Translation,
        language: &Language,
        texts: &[(&str, &str)],
        batch_tokens: Option<usize>,
    ) -> Result<Self, (usize, String)> {
        let (sources, targets): (Vec<&str>, Vec<&str>) = texts.iter().copied().unzip();
        let sources = language.encode_all(&sources, codec.max_length)?;
        let targets = language.encode_all(&targets, codec.max_length)?;
        let pairs = sources.into_iter().zip(targets).zip(texts);
        let pairs = pairs.map(|((source, target), texts)| Pair {
            source,
            target,
            reference: Some(texts.1.to_owned()),
        });
        Ok(Self::of(pairs.collect(), batch_tokens))
    }
}

impl Source for Pairs {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
        let pairs: Vec<&Pair> = indices.iter().map(|at| &self.pairs[*at as usize]).collect();
        let rows: Vec<(&[u32], &[u32])> = pairs
            .iter()
            .map(|pair| (&*pair.source, &*pair.target))
            .collect();
        let batch = batch(&rows, self.longest);
        let references = pairs.iter().map(|pair| pair.reference.as_deref()).collect();
        // Training has no use for them.
        let references: Option<Vec<&str>> = match pass {
            Some(_) => None,
            None => references,
        };
        Ok(match references {
            Some(references) => batch.with("references", written(&references)),
            None => batch,
        })
    }

    fn groups(&self, most: usize) -> Option<Vec<Vec<u32>>> {
        let filled = |pair: &Pair| pair.longer().next_multiple_of(PAD_TO_MULTIPLE);
        let lengths: Vec<usize> = self.pairs.iter().map(filled).collect();
        // The same ones in every epoch: which go together is no part of the draw.
        let groups = buckets::batches(&lengths, self.batch_tokens?, 0, 0);
        let cut = groups
            .iter()
            .flat_map(|group| group.chunks(most.max(1)).map(<[u32]>::to_vec));
        Some(cut.collect())
    }

    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        for pair in &self.pairs[examples] {
            for side in [&pair.source, &pair.target] {
                add(&(side.len() as u64).to_le_bytes());
                side.iter().for_each(|token| add(&token.to_le_bytes()));
            }
            add(pair.reference.as_deref().unwrap_or_default().as_bytes());
        }
        Ok(())
    }
}

/// A batch of rows of tokens, each with the tokens that begin and end a text: what the decoder is
/// given is all of a target but its last token, what it shall say all but the first. Rows are filled up
/// to a multiple of [`PAD_TO_MULTIPLE`] that is `most` at most.
pub fn batch(pairs: &[(&[u32], &[u32])], most: usize) -> Batch {
    let b = pairs.len();
    let sources = pairs.iter().map(|(source, _)| *source);
    let prefixes = pairs.iter().map(|(_, target)| split(target).0);
    let (s, t) = (
        filled(sources.clone(), most),
        filled(prefixes.clone(), most),
    );
    let (mut targets, mut scored) = (Vec::new(), Vec::new());
    for (row, (_, target)) in pairs.iter().enumerate() {
        for (position, token) in split(target).1.iter().enumerate() {
            targets.push(*token as i32);
            scored.push((row * t + position) as i32);
        }
    }
    let n = targets.len();
    Batch::new(b)
        .with("sources", pad(sources, s, subwords::PAD))
        .with("prefixes", pad(prefixes, t, subwords::PAD))
        .with("targets", TensorData::new(targets, [n]))
        .with("scored", TensorData::new(scored, [n]))
        .weighing(n as f64)
}

/// What a decoder is given of a target, and what it shall say.
fn split(target: &[u32]) -> (&[u32], &[u32]) {
    let last = target.len().saturating_sub(1);
    (&target[..last], &target[target.len() - last..])
}

/// The length that rows are filled up to.
fn filled<'a>(rows: impl Iterator<Item = &'a [u32]>, most: usize) -> usize {
    let longest = rows.map(<[u32]>::len).max().unwrap_or(0);
    longest.next_multiple_of(PAD_TO_MULTIPLE).min(most)
}

/// Texts as bytes `[b, most]`, shorter ones filled with zeros.
fn written(texts: &[&str]) -> TensorData {
    let most = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut bytes = Vec::with_capacity(texts.len() * most);
    for (row, text) in texts.iter().enumerate() {
        bytes.extend(text.bytes());
        bytes.resize((row + 1) * most, 0);
    }
    TensorData::new(bytes, [texts.len(), most])
}

/// The texts that [`written`] wrote.
pub(super) fn read_written(texts: &TensorData) -> Vec<String> {
    let most = texts.shape()[1].max(1);
    let rows = texts.as_bytes().chunks(most);
    rows.map(|row| {
        let text = String::from_utf8_lossy(row);
        text.trim_end_matches('\0').to_owned()
    })
    .collect()
}
