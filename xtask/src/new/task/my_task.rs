//! Numbers from numbers, by squared error. (Here stands what is learned, and from what.)
//!
//! A batch has `inputs [b, f]` and `targets [b, k]`.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::loss::{MseLoss, Reduction};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use zoo_train::rng::Stream;
use zoo_train::{Batch, Exhibit, Label, Metric, Metrics, Tally, Task, Unit, brief};

use crate::{Answer, AnswerError, Answers, AnyCodec, Codec, Json, Room, Size, flat, json, kept_as};

// b batch, f inputs, k targets

/// How inputs are read and answers shown: all that takes, since a run keeps this and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MyTaskCodec {
    /// What the inputs are called, in order.
    pub inputs: Vec<String>,
    /// What the targets are called, in order.
    pub targets: Vec<String>,
}

impl Codec for MyTaskCodec {
    const TASK: &'static str = "my task";

    fn check(&self) -> Result<(), String> {
        for (key, names) in [("inputs", &self.inputs), ("targets", &self.targets)] {
            if names.is_empty() {
                return Err(format!("codec.{key}: is empty"));
            }
        }
        Ok(())
    }
}

impl MyTaskCodec {
    /// A batch of examples: inputs and targets row by row.
    pub fn batch(&self, inputs: Vec<f32>, targets: Vec<f32>) -> Batch {
        let (f, k) = (self.inputs.len(), self.targets.len());
        let b = inputs.len() / f.max(1);
        Batch::new(b)
            .with("inputs", TensorData::new(inputs, [b, f]))
            .with("targets", TensorData::new(targets, [b, k]))
    }

    /// What a person asks, as in `1.5, -2`: `[1, f]`
    fn read(&self, input: &str) -> Result<TensorData, String> {
        let f = self.inputs.len();
        let numbers = input.split(',').map(|part| part.trim().parse::<f32>().ok());
        let numbers = numbers.map(|number| number.filter(|number| number.is_finite()));
        let numbers: Option<Vec<f32>> = numbers.collect();
        match numbers.filter(|numbers| numbers.len() == f) {
            Some(numbers) => Ok(TensorData::new(numbers, [1, f])),
            None => Err(format!(
                "{:?}: expected {f} numbers with commas between them ({})",
                brief(input),
                self.inputs.join(", ")
            )),
        }
    }
}

/// The task for a model of numbers.
pub struct MyTask<M> {
    forward: fn(&M, Tensor<2>) -> Tensor<2>,
    in_features: usize,
    outputs: usize,
}

impl<M: Module + 'static> MyTask<M> {
    /// Answers `[b, k]` from `inputs [b, f]`, for a model of so many inputs and outputs.
    pub fn room(
        forward: fn(&M, Tensor<2>) -> Tensor<2>,
        in_features: usize,
        outputs: usize,
    ) -> Box<dyn Room<M>> {
        Box::new(Self {
            forward,
            in_features,
            outputs,
        })
    }

    fn answers(&self, model: &M, batch: &mut Batch, device: &Device) -> Tensor<2> {
        (self.forward)(model, batch.float("inputs", device))
    }
}

impl<M: Module + 'static> Task<M> for MyTask<M> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        vec![Metric::lower("loss", Unit::Plain)]
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let answers = self.answers(model, &mut batch, device);
        MseLoss::new().forward(answers, batch.float("targets", device), Reduction::Mean)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Squares {
            task: self,
            sum: 0.0,
            numbers: 0,
        })
    }
}

/// Squared errors of a split, summed.
struct Squares<'a, M> {
    task: &'a MyTask<M>,
    sum: f64,
    numbers: usize,
}

impl<M: Module + 'static> Tally<M> for Squares<'_, M> {
    fn add(&mut self, model: &M, mut batch: Batch, device: &Device) {
        let answers = self.task.answers(model, &mut batch, device).into_data();
        let truth = batch.take("targets");
        for (answer, truth) in answers.iter::<f64>().zip(truth.iter::<f64>()) {
            self.sum += (answer - truth).powi(2);
            self.numbers += 1;
        }
    }

    fn metrics(&self) -> Metrics {
        let mean = self.sum / self.numbers.max(1) as f64;
        Metrics::from([("loss".to_owned(), mean)])
    }
}

impl<M: Module + 'static> Room<M> for MyTask<M> {
    fn name(&self) -> &'static str {
        MyTaskCodec::TASK
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["inputs"]
    }

    fn output(&self, model: &M, mut batch: Batch, device: &Device) -> (Tensor<1>, Vec<usize>) {
        flat(self.answers(model, &mut batch, device))
    }

    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch {
        let mut noise = |count: usize| -> Vec<f32> {
            let number = |_| stream.below(4096) as f32 / 1024.0 - 2.0;
            (0..size.examples * count).map(number).collect()
        };
        let names = |count: usize| (0..count).map(|at| at.to_string()).collect();
        let codec = MyTaskCodec {
            inputs: names(self.in_features),
            targets: names(self.outputs),
        };
        codec.batch(noise(self.in_features), noise(self.outputs))
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<MyTaskCodec>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let codec = codec.fitting::<MyTaskCodec>(model, set)?;
        let (f, k) = (codec.inputs.len(), codec.targets.len());
        match (self.in_features, self.outputs) == (f, k) {
            true => Ok(()),
            false => Err(format!(
                "model {model} makes {} of {} numbers, but data set {set} asks for {k} of {f}; \
                 set the first of model.widths to {f} and the last to {k}",
                self.outputs, self.in_features
            )),
        }
    }

    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String> {
        let codec = codec.of::<MyTaskCodec>()?;
        Ok(Box::new(move |input, _| {
            let numbers = codec.read(input)?;
            let answer = (self.forward)(model, Tensor::from_data(numbers, device)).into_data();
            let values: Vec<f64> = answer.iter().collect();
            match values.iter().all(|value| value.is_finite()) {
                true => Ok(shown(&codec.targets, &values)),
                false => Err(AnswerError::not_finite()),
            }
        }))
    }
}

/// The answer to one input.
fn shown(names: &[String], values: &[f64]) -> Answer {
    let label = |(name, value): (&String, &f64)| Label {
        value: Some(*value),
        unit: Unit::Plain,
        ..Label::new(name)
    };
    let labels = names.iter().zip(values).map(label).collect();
    Answer::new(Exhibit::Labels { labels }, json!({ "values": values }))
}
