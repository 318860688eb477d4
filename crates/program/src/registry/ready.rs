//! A model with weights, ready to be used.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::module::{Module, ParamGroup, Quantizer};
use burn::tensor::quantization::{Calibration, QuantValue};
use burn::tensor::{DType, Device, TensorData};
use zoo_tasks::{AnswerError, Answers, AnyCodec, Room, Writing, Written};
use zoo_train::{Batch, EvalBatches, Metric, Metrics, Section, SourceError, evaluate, not_finite};
use zoo_weights::Origin;

use crate::error::Error;

/// A model with weights, on a device without autodiff.
pub trait Ready {
    /// Metrics over the split of this name.
    ///
    /// # Errors
    /// An example that cannot be read, or a metric that is not finite.
    fn evaluate(&self, split: &str, batches: &EvalBatches<'_>) -> Result<Metrics, Error>;
    /// What these metrics are, of a split like the one of `example`.
    fn metrics(&self, example: &Batch) -> Vec<Metric>;
    /// What answers a person's inputs, one after the other.
    ///
    /// # Errors
    /// A codec that reads nothing, or a task that has no answers of its own.
    fn answers<'a>(&'a self, codec: &'a dyn AnyCodec) -> Result<Answers<'a>, String>;
    /// Continues a text; `None` for a task that writes none.
    ///
    /// # Errors
    /// A prompt that cannot be read, or an output that is of no use.
    fn write(
        &self,
        codec: &dyn AnyCodec,
        writing: &Writing<'_>,
        say: &mut dyn FnMut(&str) -> bool,
    ) -> Option<Result<Written, AnswerError>>;
    /// What it does with examples of a split.
    ///
    /// # Errors
    /// An example that cannot be read.
    fn examine(
        &self,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
    ) -> Result<Vec<Section>, SourceError>;
    /// The output for a batch, in the model's own shape.
    fn output(&self, batch: Batch) -> TensorData;
    /// What [`output`](Self::output) gives for a batch of one, computed token by token through the
    /// cache; `None` for a model that has none.
    fn cached(&self, batch: Batch) -> Option<TensorData>;
    /// The gradient of every parameter, by its path, of the loss on a batch, computed as in training;
    /// `None` for one that the loss does not depend on.
    fn gradients(&self, batch: Batch) -> BTreeMap<String, Option<TensorData>>;
    /// Whether what must hold of every model of its task holds of this one, for a batch.
    fn promises(&self, batch: &Batch) -> Vec<(&'static str, Result<(), String>)>;
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
    pub(super) room: Arc<dyn Room<M>>,
    pub(super) origin: Origin,
    pub(super) device: Device,
}

impl<M: Module + 'static> Ready for Opened<M> {
    fn evaluate(&self, split: &str, batches: &EvalBatches<'_>) -> Result<Metrics, Error> {
        let metrics = evaluate(&*self.room, &self.model, batches, &self.device);
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

    fn metrics(&self, example: &Batch) -> Vec<Metric> {
        self.room.metrics(example)
    }

    fn answers<'a>(&'a self, codec: &'a dyn AnyCodec) -> Result<Answers<'a>, String> {
        self.room.answers(&self.model, codec, &self.device)
    }

    fn write(
        &self,
        codec: &dyn AnyCodec,
        writing: &Writing<'_>,
        say: &mut dyn FnMut(&str) -> bool,
    ) -> Option<Result<Written, AnswerError>> {
        let continues = self.room.continues()?;
        Some(continues.write(&self.model, codec, writing, &self.device, say))
    }

    fn examine(
        &self,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
    ) -> Result<Vec<Section>, SourceError> {
        self.room.examine(&self.model, codec, split, &self.device)
    }

    fn output(&self, batch: Batch) -> TensorData {
        let (output, shape) = self.room.output(&self.model, batch, &self.device);
        let output = output.into_data();
        TensorData::from_bytes_vec(output.as_bytes().to_vec(), shape, output.dtype())
    }

    fn cached(&self, batch: Batch) -> Option<TensorData> {
        let continues = self.room.continues()?;
        Some(continues.cached(&self.model, batch, &self.device))
    }

    fn gradients(&self, batch: Batch) -> BTreeMap<String, Option<TensorData>> {
        let device = self.device.clone().autodiff();
        // A copy: a clone would share running statistics.
        let model = self.model.valid().train();
        let gradients = self.room.loss(&model, batch, &device).backward();
        zoo_weights::gradients(&model, &self.origin, &gradients)
    }

    fn promises(&self, batch: &Batch) -> Vec<(&'static str, Result<(), String>)> {
        let promises = self.room.promises().into_iter();
        promises
            .map(|promise| {
                let holds = (promise.holds)(&self.model, batch, &self.device);
                (promise.about, holds)
            })
            .collect()
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
            room: self.room.clone(),
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
