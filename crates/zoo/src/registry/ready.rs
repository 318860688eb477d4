//! A model with weights, ready to be used.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ParamGroup, Quantizer};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::quantization::{Calibration, QuantValue};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use zoo_compare::worker;
use zoo_train::{Batch, EvalBatches, Metrics, SourceError, TaskConfig, evaluate, not_finite};
use zoo_transformer::generate::Decoder;
use zoo_weights::Origin;

use super::row::{Embedded, Forward};
use crate::attribute::{Attribution, integrated_gradients};
use crate::error::Error;

/// What a classifier says to an example.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The true class.
    pub label: usize,
    /// The class that it thinks likeliest.
    pub predicted: usize,
    /// The probability that it gives to that, 0..=1.
    pub confidence: f64,
    /// The cross-entropy with the true class, in nats.
    pub loss: f64,
}

/// A model with weights, on a device without autodiff.
pub trait Ready {
    /// Metrics over the split of this name.
    ///
    /// # Errors
    /// An example that cannot be read, or a metric that is not finite.
    fn evaluate(
        &self,
        task: &TaskConfig,
        split: &str,
        batches: &EvalBatches<'_>,
    ) -> Result<Metrics, Error>;
    /// A classifier's answer to every example; `None` for a decoder.
    ///
    /// # Errors
    /// An example that cannot be read.
    fn answers(&self, batches: &EvalBatches<'_>) -> Result<Option<Vec<Answer>>, SourceError>;
    /// What the likeliest output for a batch of one depends on: a value a pixel and channel, or a
    /// token. Images are held against `baseline`, tokens against no token. `None` for a model whose
    /// outputs are not one.
    fn explain(&self, input: TensorData, baseline: TensorData) -> Option<Attribution>;
    /// The output for a batch, in the model's own shape.
    fn output(&self, input: TensorData) -> TensorData;
    /// What [`output`](Self::output) gives for one sequence `[1, t]`, computed token by token through
    /// the cache; `None` for a model that has none.
    fn cached(&self, input: TensorData) -> Option<TensorData>;
    /// The gradient of every parameter, by its path, of the mean cross-entropy of the output's rows
    /// with `target [n]`, computed as in training; `None` for one that the output does not depend on.
    fn gradients(
        &self,
        input: TensorData,
        target: TensorData,
    ) -> BTreeMap<String, Option<TensorData>>;
    /// The probability of each class `[k]` for a batch of one; `None` for a decoder.
    fn probabilities(&self, input: TensorData) -> Option<Vec<f32>>;
    /// A text generator; `None` for a classifier.
    fn decoder(&self) -> Option<Decoder<'_>>;
    /// The same model with the weights of its linear layers in 8-bit integers, symmetric, by Burn's
    /// quantizer, where their outputs are a multiple of four; `None` for a model without such
    /// layers. Whether a backend computes with them is seen when it does.
    fn quantized(&self) -> Option<Box<dyn Ready>>;
    /// Writes the weights, by the names of their origin; in a float type, if one is given.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn save(&self, path: &Path, dtype: Option<DType>) -> Result<(), Error>;
}

pub(super) struct Opened<M> {
    pub(super) model: M,
    pub(super) forward: Forward<M>,
    pub(super) embedded: Option<Embedded<M>>,
    pub(super) origin: Origin,
    pub(super) device: Device,
}

/// What a classifier's logits `[b, k]` say, beside the true classes.
fn read_answers(logits: Tensor<2>, target: &TensorData) -> Vec<Answer> {
    let classes = logits.dims()[1];
    let scores = log_softmax(logits, 1).into_data();
    let scores: Vec<f64> = scores.iter::<f64>().collect();
    let rows = scores.chunks(classes.max(1)).zip(target.iter::<i64>());
    rows.map(|(row, label)| {
        let likeliest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let (predicted, score) = likeliest.map_or((0, f64::NAN), |(i, score)| (i, *score));
        let label = label as usize;
        Answer {
            label,
            predicted,
            confidence: score.exp(),
            loss: -row.get(label).copied().unwrap_or(f64::NAN),
        }
    })
    .collect()
}

impl<M: Module + 'static> Opened<M> {
    fn classifies(&self) -> bool {
        matches!(self.forward, Forward::Images(_) | Forward::Sentences(_))
    }

    /// The logits `[b, k]` of a classifier.
    fn logits(&self, input: TensorData) -> Option<Tensor<2>> {
        match self.forward {
            Forward::Images(forward) => {
                Some(forward(&self.model, Tensor::from_data(input, &self.device)))
            }
            Forward::Sentences(forward) => {
                Some(forward(&self.model, Tensor::from_data(input, &self.device)))
            }
            Forward::Maps(_) | Forward::Decoder(..) | Forward::Pairs(..) => None,
        }
    }
}

impl<M: Module + 'static> Ready for Opened<M> {
    fn evaluate(
        &self,
        config: &TaskConfig,
        split: &str,
        batches: &EvalBatches<'_>,
    ) -> Result<Metrics, Error> {
        let task = self.forward.task(config);
        let metrics = evaluate(&*task, &self.model, batches, &self.device);
        let metrics = metrics.map_err(|error| {
            Error::Request(format!("reading the {split} split failed: {error}"))
        })?;
        match not_finite(&metrics) {
            None => Ok(metrics),
            Some((name, value)) => Err(Error::Failed(format!(
                "the {split} {name} is {value}: the model's outputs are not finite; train again with a \
                 lower optimizer.learning_rate, schedule.warmup_steps or train.clip_norm"
            ))),
        }
    }

    fn answers(&self, batches: &EvalBatches<'_>) -> Result<Option<Vec<Answer>>, SourceError> {
        if !self.classifies() {
            return Ok(None);
        }
        let mut answers = Vec::with_capacity(batches.source.len());
        batches.each(|batch| {
            if let Some(logits) = self.logits(batch.input) {
                answers.extend(read_answers(logits, &batch.target));
            }
        })?;
        Ok(Some(answers))
    }

    fn explain(&self, input: TensorData, baseline: TensorData) -> Option<Attribution> {
        // On an autodiff device, but as in evaluation: no dropout, no statistics of the batch.
        let model = self.model.valid().train().freeze();
        if let Forward::Images(forward) = self.forward {
            let logits = |x| forward(&model, x);
            let explained = integrated_gradients::<4>(input, baseline, &self.device, logits);
            return Some(explained);
        }
        let embedded = self.embedded?;
        let tokens = |device: &Device| Tensor::<2, Int>::from_data(input.clone(), device);
        let x = (embedded.embed)(&self.model, tokens(&self.device)); // [1, t, c]
        let [_, t, c] = x.dims();
        let nothing = TensorData::zeros::<f32, _>([1, t, c]);
        let mut explained =
            integrated_gradients::<3>(x.into_data(), nothing, &self.device, |x: Tensor<3>| {
                let tokens = tokens(&x.device()).repeat_dim(0, x.dims()[0]);
                (embedded.logits)(&model, x, tokens)
            });
        let by_token = explained.values.chunks(c);
        explained.values = by_token.map(|values| values.iter().sum()).collect();
        Some(explained)
    }

    fn output(&self, input: TensorData) -> TensorData {
        let input = worker::Input::new(input, &self.device);
        let (logits, shape) = self.forward.run(&self.model, input);
        shaped(&logits.into_data(), shape)
    }

    fn cached(&self, input: TensorData) -> Option<TensorData> {
        match self.forward {
            Forward::Decoder(_, decoder) => {
                let tokens: Vec<u32> = input.iter::<i64>().map(|id| id as u32).collect();
                let logits = decoder(&self.model, &self.device).logits(&tokens);
                let [t, k] = [logits.shape()[0], logits.shape()[1]];
                Some(shaped(&logits, vec![1, t, k]))
            }
            Forward::Pairs(_, cached) => {
                let tokens = Tensor::from_data(input, &self.device);
                Some(cached(&self.model, tokens).into_data())
            }
            _ => None,
        }
    }

    fn gradients(
        &self,
        input: TensorData,
        target: TensorData,
    ) -> BTreeMap<String, Option<TensorData>> {
        let device = self.device.clone().autodiff();
        // A copy: a clone would share running statistics.
        let model = self.model.valid().train();
        let batch = Batch {
            input,
            target,
            scored: None,
        };
        let task = self.forward.task(&TaskConfig::default());
        let gradients = task.loss(&model, batch, &device).backward();
        zoo_weights::gradients(&model, &self.origin, &gradients)
    }

    fn probabilities(&self, input: TensorData) -> Option<Vec<f32>> {
        let logits = self.logits(input)?;
        Some(softmax(logits, 1).into_data().iter::<f32>().collect())
    }

    fn decoder(&self) -> Option<Decoder<'_>> {
        match self.forward {
            Forward::Decoder(_, decoder) => Some(decoder(&self.model, &self.device)),
            _ => None,
        }
    }

    fn quantized(&self) -> Option<Box<dyn Ready>> {
        /// Burn's GPU backends pack so many along the outputs, and have no part of a word. A layer
        /// of another width keeps its floats, on every backend: all shall compute the same.
        const IN_A_WORD: usize = 4;
        let weights = zoo_weights::leaves(&self.model).into_iter();
        let weights = weights
            .filter(|leaf| leaf.is_linear_weight() && leaf.shape[1].is_multiple_of(IN_A_WORD));
        let weights: Vec<_> = weights.map(|leaf| leaf.id).collect();
        if weights.is_empty() {
            return None;
        }
        let scheme = self.device.settings().quantization.scheme;
        let scheme = scheme.with_value(QuantValue::Q8S);
        let mut quantizer = Quantizer::new(Calibration::MinMax, scheme);
        let group = ParamGroup::from_ids(weights);
        let model = self.model.valid();
        Some(Box::new(Self {
            model: model.quantize_weights_group(&mut quantizer, group),
            forward: self.forward,
            embedded: self.embedded,
            origin: self.origin.clone(),
            device: self.device.clone(),
        }))
    }

    fn save(&self, path: &Path, dtype: Option<DType>) -> Result<(), Error> {
        match dtype {
            Some(dtype) => zoo_weights::save_as(&self.model, path, &self.origin, dtype)?,
            None => zoo_weights::save(&self.model, path, &self.origin)?,
        }
        Ok(())
    }
}

/// The same numbers in another shape.
fn shaped(data: &TensorData, shape: Vec<usize>) -> TensorData {
    TensorData::from_bytes_vec(data.as_bytes().to_vec(), shape, data.dtype())
}
