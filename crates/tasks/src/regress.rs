//! Numbers from numbers: `inputs [b, f]`, `targets [b, k]`, both brought to mean 0 and deviation 1,
//! and the targets' own `target_mean [1, k]` and `target_std [1, k]`, by which metrics are told in
//! their units.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::loss::{MseLoss, Reduction};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, EvalBatches, Example, Exhibit, Label, Line, Metric, Metrics, Section, SourceError,
    Tally, Task, Unit, brief,
};

use crate::codec::{AnyCodec, Codec, check_names, kept_as};
use crate::metrics::regression::Regression;
use crate::room::{Answer, AnswerError, Answers, Room, Size, flat};

// b batch, f inputs, k targets

/// Examples whose answers are listed.
const LISTED: usize = 24;
/// Points of a curve.
const POINTS: usize = 200;

/// What numbers go in and come out, and what they were like in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// `numbers`.
    kind: Kind,
    /// What is known, in order.
    pub inputs: Vec<Number>,
    /// What is answered, in order.
    pub targets: Vec<Number>,
}

/// The one value of a codec's `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "numbers")]
    Numbers,
}

/// One number of every example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// Its name.
    pub name: String,
    /// Its mean over the training examples.
    pub mean: f32,
    /// Its standard deviation over them; 1 where it is always the same.
    pub std: f32,
}

impl Number {
    /// A number that has these values in training.
    pub fn fitted(name: impl Into<String>, values: impl Iterator<Item = f32> + Clone) -> Self {
        let count = values.clone().count().max(1) as f64;
        let mean = values.clone().map(f64::from).sum::<f64>() / count;
        let squares = values.map(|value| (f64::from(value) - mean).powi(2));
        let std = (squares.sum::<f64>() / count).sqrt() as f32;
        Self {
            name: name.into(),
            mean: mean as f32,
            std: if std > 0.0 { std } else { 1.0 },
        }
    }

    fn standardized(&self, value: f32) -> f32 {
        ((f64::from(value) - f64::from(self.mean)) / f64::from(self.std)) as f32
    }

    fn check(&self, key: &str) -> Result<(), String> {
        let is_sound = self.mean.is_finite() && self.std > 0.0 && self.std.is_finite();
        match is_sound {
            true => Ok(()),
            false => Err(format!(
                "codec.{key}: {:?} has mean {} and std {}; must be numbers, std above 0",
                brief(&self.name),
                self.mean,
                self.std
            )),
        }
    }
}

impl Numbers {
    /// These numbers, as training has them.
    pub fn new(inputs: Vec<Number>, targets: Vec<Number>) -> Self {
        Self {
            kind: Kind::Numbers,
            inputs,
            targets,
        }
    }

    /// Whether these are numbers of the same names, whatever their means.
    pub fn has_columns_of(&self, other: &Self) -> bool {
        let names = |numbers: &[Number]| -> Vec<String> {
            numbers.iter().map(|number| number.name.clone()).collect()
        };
        names(&self.inputs) == names(&other.inputs) && names(&self.targets) == names(&other.targets)
    }

    /// A batch of examples, inputs `[b, f]` and targets `[b, k]` in their own units.
    pub fn batch(&self, inputs: &[f32], targets: &[f32]) -> Batch {
        let k = self.targets.len();
        let b = targets.len() / k.max(1);
        let of = |value: fn(&Number) -> f32| {
            let values: Vec<f32> = self.targets.iter().map(value).collect();
            TensorData::new(values, [1, k])
        };
        Batch::new(b)
            .with("inputs", standardized(&self.inputs, inputs))
            .with("targets", standardized(&self.targets, targets))
            .with("target_mean", of(|target| target.mean))
            .with("target_std", of(|target| target.std))
    }

    /// The inputs `[1, f]` that a person gives, as in `1.5, -2, 3e4`.
    fn read(&self, input: &str) -> Result<TensorData, String> {
        let parts: Vec<&str> = input.split(',').map(str::trim).collect();
        let names = self.inputs.iter().map(|input| &*input.name);
        let names: Vec<&str> = names.collect();
        if parts.len() != names.len() {
            return Err(format!(
                "{:?}: expected {} numbers with commas between them ({}), found {}",
                brief(input),
                names.len(),
                names.join(", "),
                parts.len()
            ));
        }
        let number = |(part, name): (&&str, &&str)| {
            let value = part.parse::<f32>().ok().filter(|value| value.is_finite());
            value.ok_or_else(|| format!("{:?} for {name}: expected a number", brief(part)))
        };
        let values: Vec<f32> = parts
            .iter()
            .zip(&names)
            .map(number)
            .collect::<Result<_, _>>()?;
        Ok(standardized(&self.inputs, &values))
    }
}

/// Values in rows, each brought to mean 0 and deviation 1.
fn standardized(numbers: &[Number], values: &[f32]) -> TensorData {
    let width = numbers.len();
    let each = numbers.iter().cycle().zip(values);
    let values: Vec<f32> = each
        .map(|(number, value)| number.standardized(*value))
        .collect();
    let rows = values.len() / width.max(1);
    TensorData::new(values, [rows, width])
}

impl Codec for Numbers {
    const TASK: &'static str = "answer with numbers";

    fn check(&self) -> Result<(), String> {
        for (key, numbers) in [("inputs", &self.inputs), ("targets", &self.targets)] {
            if numbers.is_empty() {
                return Err(format!("codec.{key}: is empty"));
            }
            let names: Vec<String> = numbers.iter().map(|it| it.name.clone()).collect();
            check_names(&format!("codec.{key}"), &names)?;
            numbers.iter().try_for_each(|number| number.check(key))?;
        }
        Ok(())
    }

    fn difference(&self, other: &Self) -> Option<String> {
        let names = |numbers: &[Number]| -> Vec<String> {
            numbers.iter().map(|number| number.name.clone()).collect()
        };
        let both = |numbers: &Self| [names(&numbers.inputs), names(&numbers.targets)];
        let (now, before) = (both(self), both(other));
        if self == other {
            None
        } else if now == before {
            Some("means or deviations differ".to_owned())
        } else {
            Some(format!(
                "inputs and targets were {before:?} and are {now:?}"
            ))
        }
    }
}

/// Regression by a model of numbers.
pub struct Regress<M> {
    forward: fn(&M, Tensor<2>) -> Tensor<2>,
    in_features: usize,
    outputs: usize,
}

impl<M: Module + 'static> Regress<M> {
    /// Answers `[b, k]` from `inputs [b, f]`, without its type.
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

    /// Answers and truth of a batch in their own units, in rows of `outputs`, and the mean loss.
    fn judged(&self, model: &M, mut batch: Batch, device: &Device) -> (Vec<[f32; 2]>, f64) {
        let answers = self.answers(model, &mut batch, device).into_data();
        let truth = batch.take("targets");
        let column = |data: TensorData| -> Vec<f64> { data.iter::<f64>().collect() };
        let mean = column(batch.take("target_mean"));
        let std = column(batch.take("target_std"));
        let mut squares = 0.0;
        let pairs = answers.iter::<f64>().zip(truth.iter::<f64>());
        let pairs: Vec<[f32; 2]> = (pairs.enumerate())
            .map(|(at, (answer, truth))| {
                squares += (answer - truth).powi(2);
                let target = at % self.outputs;
                [answer, truth].map(|value| (value * std[target] + mean[target]) as f32)
            })
            .collect();
        let loss = squares / pairs.len().max(1) as f64;
        (pairs, loss)
    }
}

impl<M: Module + 'static> Task<M> for Regress<M> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        let lower = |name| Metric::lower(name, Unit::Plain);
        vec![
            lower("loss"),
            lower("mse"),
            lower("rmse"),
            lower("mae"),
            Metric::higher("r2", Unit::Plain),
        ]
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let answers = self.answers(model, &mut batch, device);
        let targets = batch.float("targets", device);
        MseLoss::new().forward(answers, targets, Reduction::Mean)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Sums {
            task: self,
            loss: 0.0,
            examples: 0,
            errors: Regression::new(self.outputs),
        })
    }
}

struct Sums<'a, M> {
    task: &'a Regress<M>,
    /// Summed over examples.
    loss: f64,
    examples: usize,
    errors: Regression,
}

impl<M: Module + 'static> Tally<M> for Sums<'_, M> {
    fn add(&mut self, model: &M, batch: Batch, device: &Device) {
        let examples = batch.examples();
        let (pairs, loss) = self.task.judged(model, batch, device);
        self.loss += loss * examples as f64;
        self.examples += examples;
        for pairs in pairs.chunks(self.task.outputs) {
            let (answer, truth): (Vec<f32>, Vec<f32>) = pairs
                .iter()
                .map(|[answer, truth]| (*answer, *truth))
                .unzip();
            self.errors.add(&answer, &truth);
        }
    }

    fn metrics(&self) -> Metrics {
        let errors = &self.errors;
        let named = [
            ("loss", Some(self.loss / self.examples.max(1) as f64)),
            ("mse", errors.mse()),
            ("rmse", errors.rmse()),
            ("mae", errors.mae()),
            // Of one example, nothing can be explained.
            ("r2", errors.r2()),
        ];
        let named = named.into_iter();
        named
            .map(|(name, value)| (name.to_owned(), value.unwrap_or(f64::NAN)))
            .collect()
    }
}

impl<M: Module + 'static> Room<M> for Regress<M> {
    fn name(&self) -> &'static str {
        Numbers::TASK
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
        let named = |count: usize| -> Vec<Number> {
            let number = |at: usize| Number {
                name: at.to_string(),
                mean: 0.0,
                std: 1.0,
            };
            (0..count).map(number).collect()
        };
        let numbers = Numbers::new(named(self.in_features), named(self.outputs));
        let mut noise = |count: usize| -> Vec<f32> {
            let level = |_| stream.below(4096) as f32 / 1024.0 - 2.0;
            (0..count * size.examples).map(level).collect()
        };
        let (inputs, targets) = (noise(self.in_features), noise(self.outputs));
        numbers.batch(&inputs, &targets)
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<Numbers>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let codec = codec.fitting::<Numbers>(model, set)?;
        let (inputs, targets) = (codec.inputs.len(), codec.targets.len());
        if inputs != self.in_features {
            return Err(format!(
                "model {model} takes {} numbers, but data set {set} gives {inputs}; \
                 set the first of model.widths to {inputs}",
                self.in_features
            ));
        }
        match targets == self.outputs {
            true => Ok(()),
            false => Err(format!(
                "model {model} has {} outputs, but data set {set} asks for {targets} numbers; \
                 set the last of model.widths to {targets}",
                self.outputs
            )),
        }
    }

    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String> {
        let codec = codec.of::<Numbers>()?;
        Ok(Box::new(move |input, _| {
            let numbers = codec.read(input)?;
            let answer = (self.forward)(model, Tensor::from_data(numbers, device)).into_data();
            let values = codec.targets.iter().zip(answer.iter::<f64>());
            let values: Vec<(&str, f64)> = values
                .map(|(target, value)| {
                    let value = value * f64::from(target.std) + f64::from(target.mean);
                    (&*target.name, value)
                })
                .collect();
            match values.iter().all(|(_, value)| value.is_finite()) {
                true => Ok(shown(&values)),
                false => Err(AnswerError::not_finite()),
            }
        }))
    }

    fn examine(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
        device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        let codec = codec.of::<Numbers>()?;
        let mut pairs: Vec<[f32; 2]> = Vec::new();
        split.each(|batch| pairs.extend(self.judged(model, batch, device).0))?;
        let mut curves = Section::new(
            "Answers",
            "The examples by their truth, from the least to the most, and what was answered.",
        );
        for (at, target) in codec.targets.iter().enumerate() {
            let own = pairs.iter().skip(at).step_by(self.outputs).copied();
            curves
                .examples
                .push(Example::new("").with("", curve(&target.name, own.collect())));
        }
        Ok(vec![curves, worst(codec, &pairs)])
    }
}

/// The answer to one input.
fn shown(values: &[(&str, f64)]) -> Answer {
    let label = |(name, value): &(&str, f64)| Label {
        value: Some(*value),
        unit: Unit::Plain,
        ..Label::new(*name)
    };
    let listed = values
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": *value as f32 }));
    let json = json!({ "values": listed.collect::<Vec<_>>() });
    let labels = values.iter().map(label).collect();
    Answer::new(Exhibit::Labels { labels }, json)
}

/// Truth and answers of one target, in the order of the truth.
fn curve(name: &str, mut pairs: Vec<[f32; 2]>) -> Exhibit {
    pairs.sort_by(|a, b| a[1].total_cmp(&b[1]));
    let points = pairs.len().min(POINTS);
    let line = |called: &str, which: usize| Line {
        name: called.to_owned(),
        points: (0..points)
            .map(|point| {
                let at = point * pairs.len() / points;
                [at as f64, f64::from(pairs[at][which])]
            })
            .collect(),
    };
    Exhibit::Curve {
        axes: ["examples by their truth".to_owned(), name.to_owned()],
        lines: vec![line("answer", 0), line("truth", 1)],
    }
}

/// The answers that are furthest from the truth, measured in the targets' deviations.
fn worst(codec: &Numbers, pairs: &[[f32; 2]]) -> Section {
    let k = codec.targets.len();
    let off = |at: &usize| (pairs[*at][0] - pairs[*at][1]).abs() / codec.targets[at % k].std;
    let mut furthest: Vec<usize> = (0..pairs.len()).collect();
    furthest.sort_by(|a, b| off(b).total_cmp(&off(a)));
    let row = |at: &usize| {
        let [answer, truth] = pairs[*at];
        vec![
            format!("no. {}", at / k),
            codec.targets[at % k].name.clone(),
            truth.to_string(),
            answer.to_string(),
            (answer - truth).to_string(),
        ]
    };
    let table = Exhibit::Table {
        columns: ["example", "target", "truth", "answer", "error"]
            .map(str::to_owned)
            .into(),
        rows: furthest.iter().take(LISTED).map(row).collect(),
    };
    Section {
        examples: vec![Example::new("").with("", table)],
        ..Section::new("Largest errors", "The answers furthest from the truth.")
    }
}
