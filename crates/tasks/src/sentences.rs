//! What tasks of texts share: what a model takes, and rows of tokens filled up to one length.

use burn::tensor::{Device, Int, Tensor, TensorData};
use zoo_codec::text::Language;
use zoo_train::rng::Stream;
use zoo_train::{Batch, Exhibit, brief};

use crate::room::{Promise, Size};

// b batch, t time

/// Batches are padded to a multiple of this, so that a GPU compiles few shapes.
pub const PAD_TO_MULTIPLE: usize = 8;

/// What a model of texts takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextInput {
    /// Most tokens of a text.
    pub longest: usize,
    /// Different tokens.
    pub vocab_size: usize,
    /// The token that fills shorter rows and is not looked at, if the model has one.
    pub pad: Option<u32>,
}

impl TextInput {
    /// Whether a vocabulary of so many tokens, and texts of so many, are taken.
    ///
    /// # Errors
    /// Which of them is not.
    pub fn fit(&self, vocabulary: usize, max_length: usize) -> Result<(), String> {
        if max_length > self.longest {
            return Err(format!(
                "codec.max_length = {max_length}: the model takes at most {}",
                self.longest
            ));
        }
        if vocabulary > self.vocab_size {
            return Err(format!(
                "the codec has tokens of ids up to {}, more than model.vocab_size = {} has",
                vocabulary - 1,
                self.vocab_size
            ));
        }
        Ok(())
    }

    /// Token ids of noise `[b, t]`, none of which is padding.
    pub(crate) fn noise(&self, size: Size, stream: &mut Stream) -> TensorData {
        let t = size
            .most_length
            .map_or(self.longest, |most| most.min(self.longest));
        let pad = i64::from(self.pad.unwrap_or(0));
        let id = |_| {
            let id = stream.below(self.vocab_size - 1) as i64;
            id + i64::from(id >= pad)
        };
        let ids: Vec<i64> = (0..size.examples * t).map(id).collect();
        TensorData::new(ids, [size.examples, t])
    }
}

/// Token ids `[b, t]`, shorter rows filled with `pad`.
pub fn pad<'a>(rows: impl Iterator<Item = &'a [u32]>, t: usize, pad: u32) -> TensorData {
    let mut ids = Vec::new();
    let mut b = 0;
    for row in rows {
        ids.extend(row.iter().map(|id| *id as i32));
        b += 1;
        ids.resize(b * t, pad as i32);
    }
    TensorData::new(ids, [b, t])
}

/// The tokens of a row, without the padding behind them.
pub(crate) fn unpadded(row: &TensorData, pad: u32) -> Vec<u32> {
    let mut tokens = ids(row);
    while tokens.len() > 1 && tokens.last() == Some(&pad) {
        tokens.pop();
    }
    tokens
}

pub(crate) fn ids(data: &TensorData) -> Vec<u32> {
    data.iter::<i64>().map(|id| id as u32).collect()
}

pub(crate) fn row(tokens: &[u32]) -> TensorData {
    let ids: Vec<i32> = tokens.iter().map(|id| *id as i32).collect();
    let t = ids.len();
    TensorData::new(ids, [1, t])
}

/// Refuses the name of a file where a sentence is asked for: it would be taken for the sentence.
pub(crate) fn check_no_file(input: &str) -> Result<(), String> {
    if !std::path::Path::new(input).is_file() {
        return Ok(());
    }
    Err(format!(
        "{input:?} is a file, and the model reads sentences: give the text itself, as in \"$(cat FILE)\""
    ))
}

/// Pieces of text, and a value for each. A token that is only a part of a character, or nothing that
/// can be seen, goes to the next piece, or the last one, and so does its value: values are shares of
/// a sum.
pub(crate) fn joined(pieces: Vec<String>, values: Vec<f32>) -> (Vec<String>, Vec<f32>) {
    let mut together: (Vec<String>, Vec<f32>) = (Vec::new(), Vec::new());
    let mut held = 0.0;
    for (piece, value) in pieces.into_iter().zip(values) {
        held += value;
        if !piece.is_empty() {
            together.0.push(piece);
            together.1.push(std::mem::take(&mut held));
        }
    }
    if let Some(last) = together.1.last_mut() {
        *last += held;
    }
    together
}

/// Rounding: the same sums in another order.
pub(crate) const SAME_SUMS: f64 = 2e-5;

/// The largest difference of two outputs; infinite where it cannot be told.
pub(crate) fn furthest(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let pairs = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    pairs.fold(0.0, |most: f64, one| match one.is_nan() {
        true => f64::INFINITY,
        false => most.max(one),
    })
}

/// Padding behind a sentence changes no output of it.
pub(crate) fn padding_changes_nothing<M: 'static>(
    forward: fn(&M, Tensor<2, Int>) -> Tensor<2>,
    pad_token: Option<u32>,
) -> Promise<M> {
    let holds = move |model: &M, batch: &Batch, device: &Device| {
        let Some(pad_token) = pad_token else {
            return Ok(());
        };
        let tokens = ids(&batch.rows(1).take("tokens"));
        let sentence = &tokens[..tokens.len().saturating_sub(2).max(1)];
        let output = |row: TensorData| -> Vec<f64> {
            let logits = forward(model, Tensor::from_data(row, device));
            logits.into_data().iter::<f64>().collect()
        };
        let alone = output(row(sentence));
        for t in sentence.len() + 1..=tokens.len() {
            let padded = output(pad(std::iter::once(sentence), t, pad_token));
            let most = furthest(&alone, &padded);
            if most > SAME_SUMS {
                let pads = t - sentence.len();
                return Err(format!(
                    "{pads} padded positions moved the output by {most:e}"
                ));
            }
        }
        Ok(())
    };
    Promise {
        about: "padding changes nothing",
        holds: Box::new(holds),
    }
}

/// Padding is not looked at, so no token that a text may have can be it.
pub(crate) fn check_padding(
    language: &Language,
    model: Option<u32>,
    codec: u32,
) -> Result<(), String> {
    let Some(model) = model else { return Ok(()) };
    if model != codec {
        return Err(format!(
            "model.pad_token = {model}: shorter sentences are filled with token {codec} here"
        ));
    }
    if language.is_unknown(model) {
        return Err(format!(
            "model.pad_token = {model} (pad_token_id): padding is not looked at, and in tokenizer.json \
             this is the token of unknown words"
        ));
    }
    Ok(())
}

/// A sentence's tokens. One that the model takes for padding (`pad`) would not be looked at.
pub(crate) fn read_sentence(
    language: &Language,
    input: &str,
    max_length: usize,
    pad: Option<u32>,
) -> Result<Vec<u32>, String> {
    check_no_file(input)?;
    // What a tokenizer puts around a text is no word of it.
    let no_words = || format!("{input:?} has no words");
    if input.trim().is_empty() {
        return Err(no_words());
    }
    let ids = language.encode(input, max_length)?;
    if ids.is_empty() {
        return Err(no_words());
    }
    match pad.filter(|pad| ids.contains(pad)) {
        None => Ok(ids),
        Some(pad) => Err(format!(
            "{:?} holds token {pad} ({:?}), which the model takes for padding and does not look at",
            brief(input),
            language.decode(&[pad])
        )),
    }
}

/// Tokens as a person reads them, with what each counts for.
pub(crate) fn shown(language: &Language, tokens: &[u32], values: Option<Vec<f32>>) -> Exhibit {
    let (pieces, separator, values) = match language {
        Language::Tokenizer(_) => {
            let counted = values.is_some();
            let values = values.unwrap_or_else(|| vec![0.0; tokens.len()]);
            let (pieces, values) = joined(language.pieces(tokens), values);
            (pieces, "", if counted { values } else { Vec::new() })
        }
        Language::Words(_) | Language::Chars(_) => {
            let one = |token: &u32| language.decode(&[*token]);
            let separator = match language {
                Language::Words(_) => " ",
                _ => "",
            };
            let pieces = tokens.iter().map(one).collect();
            (pieces, separator, values.unwrap_or_default())
        }
    };
    Exhibit::Text {
        pieces,
        separator: separator.into(),
        values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_parts_of_characters_go_to_the_whole() {
        let pieces = ["a", "", "", "b", ""].map(String::from).to_vec();
        let (pieces, values) = joined(pieces, vec![1.0, 2.0, 4.0, 8.0, 16.0]);
        assert_eq!(pieces, ["a", "b"]);
        assert_eq!(values, [1.0, 30.0]);
    }

    #[test]
    fn rows_are_filled_with_the_padding_that_is_asked_for() {
        let rows: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        let data = pad(rows.into_iter(), 4, 9);
        assert_eq!(data, TensorData::from([[5_i32, 6, 7, 9], [8, 9, 9, 9]]));
        assert_eq!(unpadded(&TensorData::from([[8_i32, 9, 9, 9]]), 9), [8]);
    }
}
