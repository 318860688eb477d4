//! The encoder-decoder of the zoo as the task of translating takes it.

use burn::tensor::{Int, Tensor};
use zoo_tasks::TextInput;
use zoo_tasks::translate::{Functions, PairInput, Search};
use zoo_transformer::beam::BeamSearch;
use zoo_transformer::encoder_decoder::{EncoderDecoder, EncoderDecoderConfig};

// b batch, s source positions, t target positions, k vocabulary

pub(super) const FUNCTIONS: Functions<EncoderDecoder> = Functions {
    forward: EncoderDecoder::forward,
    at: EncoderDecoder::logits_at,
    cached,
    search,
};

pub(super) fn input(config: &EncoderDecoderConfig) -> PairInput {
    PairInput {
        text: TextInput {
            longest: config.max_length,
            vocab_size: config.vocab_size,
            pad: Some(config.pad_token as u32),
        },
        start: config.start_token as u32,
        stop: config.stop_token as u32,
    }
}

/// `sources [b, s]`, and `prefixes [b, t]` token by token -> `[b, t, k]`
fn cached(model: &EncoderDecoder, sources: Tensor<2, Int>, prefixes: Tensor<2, Int>) -> Tensor<3> {
    let [_, t] = prefixes.dims();
    let memory = model.encode(sources);
    let mut cache = model.cache();
    let logits = (0..t).map(|position| {
        let token = prefixes.clone().narrow(1, position, 1);
        let logits = model.forward_cached(token, &memory, &mut cache);
        logits.expect("a target as long as a full pass takes fits the cache")
    });
    Tensor::cat(logits.collect(), 1)
}

/// The best translations of `sources [b, s]`.
fn search(
    model: &EncoderDecoder,
    sources: Tensor<2, Int>,
    search: &Search,
) -> Result<Vec<Vec<u32>>, String> {
    let beam = BeamSearch {
        beams: search.beams,
        length_penalty: search.length_penalty,
        max_length: search.max_length,
    };
    let found = beam.search(model, sources)?.into_iter();
    let best = found.map(|hypotheses| hypotheses.into_iter().next());
    Ok(best
        .map(|best| best.map_or_else(Vec::new, |best| best.tokens))
        .collect())
}
