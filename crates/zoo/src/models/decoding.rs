//! Decoders of the zoo as the task of continuing text takes them.

use burn::tensor::{Device, TensorData};
use zoo_tasks::Sampling;
use zoo_tasks::next_token::Decode;
use zoo_transformer::generate::{self, CachedDecoder, Decoder};

/// How a model is continued from.
pub fn decoder<'a, M: CachedDecoder>(model: &'a M, device: &'a Device) -> Box<dyn Decode + 'a> {
    Box::new(Cached(Decoder::new(model, device)))
}

struct Cached<'a>(Decoder<'a>);

impl Decode for Cached<'_> {
    fn context(&self) -> usize {
        self.0.context()
    }

    fn logits(&mut self, tokens: &[u32]) -> TensorData {
        self.0.logits(tokens)
    }

    fn next(&mut self, tokens: &[u32]) -> Vec<f32> {
        self.0.next(tokens)
    }

    fn check(&self, sampling: &Sampling) -> Result<(), String> {
        of_task(sampling).validate()
    }

    fn generate(
        &mut self,
        prompt: &[u32],
        sampling: &Sampling,
        stop: &[u32],
        random: &mut dyn FnMut() -> f64,
        take: &mut dyn FnMut(u32) -> bool,
    ) -> Result<(), String> {
        let sampling = of_task(sampling);
        for token in generate::generate(&mut self.0, prompt, &sampling, stop, random) {
            if !take(token.map_err(|error| error.to_string())?) {
                break;
            }
        }
        Ok(())
    }
}

/// The same values.
fn of_task(sampling: &Sampling) -> generate::Sampling {
    generate::Sampling {
        temperature: sampling.temperature,
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        repetition_penalty: sampling.repetition_penalty,
    }
}
