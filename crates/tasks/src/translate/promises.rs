//! What must hold of every model that translates.

use burn::tensor::{Device, Int, Tensor, TensorData};
use zoo_train::Batch;

use super::Functions;
use crate::room::{Holds, Promise};
use crate::sentences::{TextInput, ids, pad, row};

/// As PyTorch's masks: the sums are of the same terms, in another order.
const BOUND: f64 = 1e-4;

pub(super) fn promises<M: 'static>(functions: Functions<M>, input: TextInput) -> Vec<Promise<M>> {
    let promise = |about, holds: Box<Holds<M>>| Promise { about, holds };
    vec![
        promise(
            "padding changes nothing",
            Box::new(move |model, batch, device| {
                let (source, prefix) = example(batch);
                let short = &source[..source.len().div_ceil(2)];
                let long = pad(
                    std::iter::once(short),
                    source.len(),
                    input.pad.unwrap_or_default(),
                );
                let alone = logits(functions.forward, model, row(short), &prefix, device);
                let padded = logits(functions.forward, model, long, &prefix, device);
                near(&alone, &padded, BOUND)
                    .map_err(|most| format!("padding of the source moves an output by {most}"))
            }),
        ),
        promise(
            "no look into the future",
            Box::new(move |model, batch, device| {
                let (source, mut prefix) = example(batch);
                let last = prefix.len() - 1;
                let seen = |logits: Vec<f64>| logits[..logits.len() / (last + 1) * last].to_vec();
                let of = |prefix: &[u32]| {
                    seen(logits(
                        functions.forward,
                        model,
                        row(&source),
                        prefix,
                        device,
                    ))
                };
                let before = of(&prefix);
                prefix[last] = (prefix[last] + 1) % input.vocab_size as u32;
                near(&before, &of(&prefix), 0.0)
                    .map_err(|most| format!("the last token moves an output before it by {most}"))
            }),
        ),
        promise(
            "token by token through the cache is the full pass",
            Box::new(move |model, batch, device| {
                let (source, prefix) = example(batch);
                let of = |forward| logits(forward, model, row(&source), &prefix, device);
                near(&of(functions.forward), &of(functions.cached), BOUND)
                    .map_err(|most| format!("the cache is {most} from the full pass"))
            }),
        ),
        promise(
            "some positions are those of the full pass",
            Box::new(move |model, batch, device| {
                let (source, prefix) = example(batch);
                let whole = logits(functions.forward, model, row(&source), &prefix, device);
                // The last one, and the first.
                let width = whole.len() / prefix.len();
                let last = whole.len() - width;
                let expected = [&whole[last..], &whole[..width]].concat();
                let rows = Tensor::from_data([prefix.len() as i32 - 1, 0], device);
                let [source, prefix] =
                    [&source, &prefix].map(|ids| Tensor::from_data(row(ids), device));
                let found = (functions.at)(model, source, prefix, rows).into_data();
                near(&expected, &found.iter::<f64>().collect::<Vec<_>>(), BOUND)
                    .map_err(|most| format!("some positions are {most} from the full pass"))
            }),
        ),
    ]
}

/// The first source of a batch, and its prefix.
fn example(batch: &Batch) -> (Vec<u32>, Vec<u32>) {
    let mut first = batch.rows(1);
    (ids(&first.take("sources")), ids(&first.take("prefixes")))
}

fn logits<M>(
    forward: fn(&M, Tensor<2, Int>, Tensor<2, Int>) -> Tensor<3>,
    model: &M,
    source: TensorData,
    prefix: &[u32],
    device: &Device,
) -> Vec<f64> {
    let [source, prefix] = [source, row(prefix)].map(|data| Tensor::from_data(data, device));
    let logits = forward(model, source, prefix).into_data();
    logits.iter::<f64>().collect()
}

/// How far two outputs are from each other, where that is further than `bound`.
fn near(a: &[f64], b: &[f64], bound: f64) -> Result<(), f64> {
    let most = (a.iter().zip(b))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    match most <= bound && a.len() == b.len() {
        true => Ok(()),
        false => Err(most),
    }
}
