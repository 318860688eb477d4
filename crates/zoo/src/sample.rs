//! Continuing a text: `zoo sample RUN`.

use std::io::Write;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use zoo_text::CharVocabulary;
use zoo_train::rng::Stream;
use zoo_transformer::gpt::{Cache, Gpt};

use crate::cli::SampleArgs;
use crate::data::Codec;
use crate::error::{Error, chain};
use crate::saved::Saved;

/// A decoder in the middle of a text: tokens in, logits of the next token out.
pub struct Decoder<'a> {
    model: &'a Gpt,
    device: &'a Device,
    cache: Cache,
    /// What the model has seen, to start anew when the context is full.
    seen: Vec<u32>,
}

impl<'a> Decoder<'a> {
    /// A decoder that has seen nothing.
    pub fn new(model: &'a Gpt, device: &'a Device) -> Self {
        Self {
            model,
            device,
            cache: model.cache(),
            seen: Vec::new(),
        }
    }

    /// Appends tokens and gives the logits `[vocab]` of what follows the last one.
    ///
    /// When the context is full, the newer half of it is read again, so that a text of any length
    /// can be continued at a bounded cost a token.
    pub fn next(&mut self, tokens: &[u32]) -> Vec<f32> {
        self.append(tokens).iter::<f32>().collect()
    }

    /// The logits `[t, vocab]` after each of the tokens, fed one at a time.
    pub(crate) fn logits(&mut self, tokens: &[u32]) -> TensorData {
        let rows = tokens.iter().map(|token| self.append(&[*token]));
        let rows: Vec<Vec<f64>> = rows.map(|row| row.iter::<f64>().collect()).collect();
        let vocab = rows.first().map_or(0, Vec::len);
        TensorData::new(rows.concat(), [rows.len(), vocab])
    }

    fn append(&mut self, tokens: &[u32]) -> TensorData {
        assert!(
            !tokens.is_empty(),
            "a decoder needs a token to continue from"
        );
        self.seen.extend(tokens);
        let context = self.model.context();
        let mut fresh = tokens.to_vec();
        if self.cache.len() + fresh.len() > context {
            let keep = (context / 2).max(1).min(self.seen.len());
            self.seen.drain(..self.seen.len() - keep);
            fresh.clone_from(&self.seen);
            self.cache.clear();
        }
        let t = fresh.len();
        let ids: Vec<i32> = fresh.into_iter().map(|id| id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, t]), self.device);
        let logits = self
            .model
            .forward_cached(ids, &mut self.cache)
            .expect("the cache was cleared where the tokens did not fit");
        let [_, _, vocab] = logits.dims();
        logits.slice([0..1, t - 1..t, 0..vocab]).into_data()
    }
}

/// Prints the prompt and its continuation as it is made.
pub fn run(args: &SampleArgs) -> Result<(), Error> {
    let saved = Saved::open(&args.run, args.backend.as_deref())?;
    let (Some(mut decoder), Codec::Chars { chars, .. }) = (saved.ready.decoder(), &saved.codec)
    else {
        return Err(Error::Request(format!(
            "{} holds a classifier; sample needs a decoder, predict is for classifiers",
            args.run.display()
        )));
    };
    if !(args.temperature >= 0.0 && args.temperature.is_finite()) {
        return Err(Error::Request(format!(
            "--temperature {}: must be 0 or above",
            args.temperature
        )));
    }
    let vocabulary =
        CharVocabulary::from_chars(chars).map_err(|error| damaged(&args.run, &chain(&error)))?;
    let prompt = vocabulary
        .encode(&args.prompt)
        .map_err(|error| Error::Request(format!("--prompt: {}", chain(&error))))?;
    if prompt.is_empty() {
        return Err(Error::request(
            "--prompt is empty: a decoder needs a character to continue from",
        ));
    }
    let mut stream = Stream::new(args.seed);
    let mut out = std::io::stdout().lock();
    let mut text = args.prompt.clone();
    let mut print = |piece: &str| -> Result<(), Error> {
        if args.json {
            return Ok(());
        }
        write!(out, "{piece}")
            .and_then(|()| out.flush())
            .map_err(Error::failed)
    };
    print(&text)?;
    let mut logits = decoder.next(&prompt);
    for position in 0..args.tokens {
        let token = choose(&logits, args.temperature, args.top_k, &mut stream);
        let piece = vocabulary.decode(&[token]);
        print(&piece)?;
        text.push_str(&piece);
        if position + 1 < args.tokens {
            logits = decoder.next(&[token]);
        }
    }
    if args.json {
        println!(
            "{}",
            serde_json::json!({ "prompt": args.prompt, "text": text })
        );
    } else {
        print("\n")?;
    }
    Ok(())
}

fn damaged(run: &Path, problem: &str) -> Error {
    Error::Request(format!("{}: {problem}", run.display()))
}

/// Draws a token from the softmax of `logits / temperature`, among the `top_k` likeliest if given;
/// temperature 0 takes the likeliest.
pub(crate) fn choose(
    logits: &[f32],
    temperature: f64,
    top_k: Option<usize>,
    stream: &mut Stream,
) -> u32 {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    if temperature == 0.0 {
        return order[0];
    }
    order.truncate(top_k.unwrap_or(usize::MAX).max(1));
    let top = f64::from(logits[order[0] as usize]);
    let weight = |token: u32| ((f64::from(logits[token as usize]) - top) / temperature).exp();
    let total: f64 = order.iter().map(|token| weight(*token)).sum();
    let unit = (stream.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut left = unit * total;
    for &token in &order {
        left -= weight(token);
        if left <= 0.0 {
            return token;
        }
    }
    order[order.len() - 1]
}

#[cfg(test)]
mod tests {
    use zoo_transformer::gpt::GptConfig;

    use super::*;

    #[test]
    fn the_frequency_of_a_token_is_its_probability() {
        let logits = [0.0, 3.0_f32.ln(), -1e9];
        let mut stream = Stream::new(3);
        let hits = (0..4000)
            .filter(|_| choose(&logits, 1.0, None, &mut stream) == 1)
            .count();
        assert!((hits as f64 / 4000.0 - 0.75).abs() < 0.03, "{hits}");
        assert_eq!(choose(&logits, 0.0, None, &mut stream), 1);
        assert!((0..100).all(|_| choose(&logits, 1.0, Some(1), &mut stream) == 1));
    }

    #[test]
    fn decoding_equals_the_full_pass_and_goes_on_past_the_context() {
        let device = Device::flex();
        let model = GptConfig {
            vocab_size: 7,
            context: 6,
            num_layers: 2,
            num_heads: 2,
            width: 8,
            ..GptConfig::nano()
        }
        .init(&device);
        let full = |tokens: &[i32]| -> Vec<f32> {
            let t = tokens.len();
            let ids =
                Tensor::<2, Int>::from_data(TensorData::new(tokens.to_vec(), [1, t]), &device);
            model
                .forward(ids)
                .slice([0..1, t - 1..t, 0..7])
                .into_data()
                .iter::<f32>()
                .collect()
        };
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        let mut decoder = Decoder::new(&model, &device);
        assert!(close(&decoder.next(&[1, 2, 3]), &full(&[1, 2, 3])));
        assert!(close(&decoder.next(&[4]), &full(&[1, 2, 3, 4])));
        decoder.next(&[5]);
        assert!(close(&decoder.next(&[6]), &full(&[1, 2, 3, 4, 5, 6])));
        // Full: the newer half of the context, 5 6 0, is read again.
        assert!(close(&decoder.next(&[0]), &full(&[5, 6, 0])));
        assert!(close(&decoder.next(&[1]), &full(&[5, 6, 0, 1])));
    }
}
