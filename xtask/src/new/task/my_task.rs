//! A number from numbers, by squared error. (Here stands what is learned, and from what.)
//!
//! A batch has `inputs [b, f]` and `targets [b, 1]`.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::loss::{MseLoss, Reduction};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, EvalBatches, Example, Exhibit, Label, Metric, Metrics, Part, Section, SourceError,
    Tally, Task, Unit, brief, brief_problem,
};

use crate::{AnyCodec, Answer, AnswerError, Codec, Question, Room, Size, flat};

// b batch, f inputs

/// Examples that a report lists.
const LISTED: usize = 24;

/// How inputs are read and answers shown: all that takes, since a run keeps this and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MyTaskCodec {
    /// What the inputs are called, in order.
    pub inputs: Vec<String>,
}

impl Codec for MyTaskCodec {
    const TASK: &'static str = "my task";

    fn check(&self) -> Result<(), String> {
        match self.inputs.is_empty() {
            true => Err("codec.inputs: is empty".to_owned()),
            false => Ok(()),
        }
    }
}

impl MyTaskCodec {
    /// A batch of examples: `inputs [b, f]` row by row, `targets [b]`.
    pub fn batch(&self, inputs: Vec<f32>, targets: Vec<f32>) -> Batch {
        let b = targets.len();
        Batch::new(b)
            .with("inputs", TensorData::new(inputs, [b, self.inputs.len()]))
            .with("targets", TensorData::new(targets, [b, 1]))
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

    fn of(codec: &dyn AnyCodec) -> Result<&Self, String> {
        let codec = codec.any().downcast_ref();
        codec.ok_or_else(|| "the codec is of another task".to_owned())
    }
}

/// The task for a model of numbers.
pub struct MyTask<M> {
    forward: fn(&M, Tensor<2>) -> Tensor<2>,
    in_features: usize,
    outputs: usize,
}

impl<M: Module + 'static> MyTask<M> {
    /// Answers `[b, 1]` from `inputs [b, f]`, for a model of so many inputs and outputs.
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

    /// Answer and truth of each example.
    fn judged(&self, model: &M, mut batch: Batch, device: &Device) -> Vec<[f64; 2]> {
        let answers = self.answers(model, &mut batch, device).into_data();
        let truth = batch.take("targets");
        let pairs = answers.iter::<f64>().zip(truth.iter::<f64>());
        pairs.map(|(answer, truth)| [answer, truth]).collect()
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
            examples: 0,
        })
    }
}

/// Squared errors of a split, summed.
struct Squares<'a, M> {
    task: &'a MyTask<M>,
    sum: f64,
    examples: usize,
}

impl<M: Module + 'static> Tally<M> for Squares<'_, M> {
    fn add(&mut self, model: &M, batch: Batch, device: &Device) {
        for [answer, truth] in self.task.judged(model, batch, device) {
            self.sum += (answer - truth).powi(2);
            self.examples += 1;
        }
    }

    fn metrics(&self) -> Metrics {
        let mean = self.sum / self.examples.max(1) as f64;
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
            (0..count).map(number).collect()
        };
        let inputs = noise(size.examples * self.in_features);
        let names = (0..self.in_features).map(|at| at.to_string()).collect();
        MyTaskCodec { inputs: names }.batch(inputs, noise(size.examples))
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        let codec: MyTaskCodec = serde_json::from_value(kept.clone()).map_err(brief_problem)?;
        Ok(Arc::new(codec))
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let Ok(data) = MyTaskCodec::of(codec) else {
            return Err(format!(
                "model {model} learns to {}, but data set {set} is to {}; choose another model or data",
                self.name(),
                codec.task()
            ));
        };
        let (inputs, outputs, f) = (self.in_features, self.outputs, data.inputs.len());
        match (inputs, outputs) == (f, 1) {
            true => Ok(()),
            false => Err(format!(
                "model {model} makes {outputs} of {inputs} numbers, but data set {set} asks for 1 of {f}; \
                 set the first of model.widths to {f} and the last to 1"
            )),
        }
    }

    fn answer(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        question: &Question<'_>,
        device: &Device,
        say: &mut dyn FnMut(Answer) -> bool,
    ) -> Result<(), AnswerError> {
        let codec = MyTaskCodec::of(codec).map_err(AnswerError::Input)?;
        for input in question.inputs {
            let numbers = codec.read(input).map_err(AnswerError::Input)?;
            let answer = (self.forward)(model, Tensor::from_data(numbers, device));
            let value = f64::from(answer.into_scalar::<f32>());
            if !value.is_finite() {
                return Err(AnswerError::not_finite(input));
            }
            let label = Label {
                value: Some(value),
                unit: Unit::Plain,
                ..Label::new("answer")
            };
            let more = say(Answer {
                input: input.clone(),
                parts: vec![Part {
                    caption: Part::ANSWER.to_owned(),
                    exhibit: Exhibit::Labels {
                        labels: vec![label],
                    },
                }],
                json: json!({ "value": value }),
            });
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn examine(
        &self,
        model: &M,
        _: &dyn AnyCodec,
        split: &EvalBatches<'_>,
        device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        let mut pairs = Vec::new();
        split.each(|batch| pairs.extend(self.judged(model, batch, device)))?;
        let row = |[answer, truth]: &[f64; 2]| vec![truth.to_string(), answer.to_string()];
        let table = Exhibit::Table {
            columns: vec!["truth".to_owned(), "answer".to_owned()],
            rows: pairs.iter().take(LISTED).map(row).collect(),
        };
        let mut section = Section::new("Answers", "The first examples of the split.");
        section.examples.push(Example::new("").with("", table));
        Ok(vec![section])
    }
}
