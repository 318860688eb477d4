//! What an output depends on: integrated gradients (Sundararajan, Taly and Yan 2017, equation 3).

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use zoo_train::{Example, Exhibit, Label, Part, Section};

// k classes

/// How much each value of an input counts for one output.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// The class or token with the largest logit, which is explained.
    pub output: usize,
    /// Its probability, 0..=1.
    pub probability: f64,
    /// One number a value of the input, in nats.
    pub values: Vec<f32>,
    /// The output's log-probability at the baseline and at the input; their difference is the sum
    /// of the values, up to the error of the integration.
    pub log_probability: [f64; 2],
}

/// Points on the way from the baseline to the input.
const POINTS: usize = 128;
/// Points at once.
const AT_ONCE: usize = 16;

/// Explains the likeliest output for `input [1, …]`, where `logits` maps `[b, …]` to `[b, k]` on an
/// autodiff device. The way is straight and its points are midpoints, so that the integral is exact
/// to second order.
pub fn integrated_gradients<const D: usize>(
    input: TensorData,
    baseline: TensorData,
    device: &Device,
    logits: impl Fn(Tensor<D>) -> Tensor<2>,
) -> Attribution {
    let device = device.clone().autodiff();
    let tensor = |data| Tensor::<D>::from_data(data, &device);
    let (input, baseline) = (tensor(input), tensor(baseline));
    let ends = Tensor::cat(vec![baseline.clone(), input.clone()], 0);
    let log_probabilities = log_softmax(logits(ends), 1); // [2, k]
    let k = log_probabilities.dims()[1];
    let ends: Vec<f64> = log_probabilities.into_data().iter::<f64>().collect();
    let (at_baseline, at_input) = ends.split_at(k);
    let likeliest = at_input
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1));
    let output = likeliest.map_or(0, |(index, _)| index);

    let way = input - baseline.clone();
    let mut sum = way.zeros_like().inner();
    for first in (0..POINTS).step_by(AT_ONCE) {
        let points = (first..first + AT_ONCE)
            .map(|point| {
                let share = (point as f64 + 0.5) / POINTS as f64;
                baseline.clone() + way.clone() * share
            })
            .collect();
        let points = Tensor::cat(points, 0).detach().require_grad();
        let log_probabilities = log_softmax(logits(points.clone()), 1);
        let chosen = Tensor::<1, Int>::from_data([output as i32], &device);
        let gradients = log_probabilities.select(1, chosen).sum().backward();
        if let Some(gradient) = points.grad(&gradients) {
            sum = sum + gradient.sum_dim(0);
        }
    }
    let values = way.inner() * sum / POINTS as f64;
    Attribution {
        output,
        probability: at_input[output].exp(),
        values: values.into_data().iter::<f32>().collect(),
        log_probability: [at_baseline[output], at_input[output]],
    }
}

/// A model of tokens, entered behind its embedding.
pub struct Embedded<M> {
    /// Token ids `[b, t]` to vectors `[b, t, c]`.
    pub embed: fn(&M, Tensor<2, Int>) -> Tensor<3>,
    /// These vectors and the token ids to logits `[b, k]`: of the class, or of the next token.
    pub logits: fn(&M, Tensor<3>, Tensor<2, Int>) -> Tensor<2>,
}

impl<M> Clone for Embedded<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Embedded<M> {}

impl<M: Module + 'static> Embedded<M> {
    /// What each token counts for the likeliest output.
    pub(crate) fn explain(&self, model: &M, tokens: &TensorData, device: &Device) -> Attribution {
        // On an autodiff device, but as in evaluation: no dropout, no statistics of the batch.
        let frozen = model.valid().train().freeze();
        let on = |device: &Device| Tensor::<2, Int>::from_data(tokens.clone(), device);
        let x = (self.embed)(model, on(device)); // [1, t, c]
        let [_, t, c] = x.dims();
        let nothing = TensorData::zeros::<f32, _>([1, t, c]);
        let mut explained =
            integrated_gradients::<3>(x.into_data(), nothing, device, |x: Tensor<3>| {
                let tokens = on(&x.device()).repeat_dim(0, x.dims()[0]);
                (self.logits)(&frozen, x, tokens)
            });
        let by_token = explained.values.chunks(c);
        explained.values = by_token.map(|values| values.iter().sum()).collect();
        explained
    }
}

/// An input, what the model took it for, and what it is.
pub(crate) fn with_answer(about: String, input: Exhibit, answer: Label, truth: String) -> Example {
    let labels = vec![answer];
    Example::new(about)
        .with("", input)
        .with(Part::ANSWER, Exhibit::Labels { labels })
        .with(Part::TRUTH, Exhibit::label(truth))
}

/// What a few outputs depend on.
pub(crate) fn attributions(examples: Vec<Example>) -> Section {
    Section {
        examples,
        ..Section::new(
            "What an answer depends on",
            "Integrated gradients (Sundararajan, Taly and Yan 2017) of the answer's log-probability: what \
             is red speaks for the answer, what is blue against it.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_add_up_to_what_the_input_changed() {
        let device = Device::flex();
        let data = |values: [f32; 3]| TensorData::from([values]);
        let weights = TensorData::from([[1.0_f32, -2.0], [0.5, 0.5], [0.0, 3.0]]);
        let explained = integrated_gradients::<2>(
            data([2.0, -1.0, 0.0]),
            data([0.0, 0.0, 0.0]),
            &device,
            |x| {
                let weights = Tensor::<2>::from_data(weights.clone(), &x.device());
                x.matmul(weights).tanh()
            },
        );
        let [before, after] = explained.log_probability;
        let sum: f64 = explained.values.iter().map(|value| f64::from(*value)).sum();
        assert_eq!(explained.output, 0);
        assert!((sum - (after - before)).abs() < 1e-3, "{explained:?}");
        assert_eq!(
            explained.values[2], 0.0,
            "what did not change counts nothing"
        );
        assert!(explained.values[0] > 0.1);
    }
}
