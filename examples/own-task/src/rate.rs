//! How many stars somebody gives to something, learned from the stars that others gave.
//!
//! A batch has `users [b]`, `items [b]` and `stars [b, 1]`, the mean of training taken off.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::loss::{MseLoss, Reduction};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_tasks::{
    Answer, AnswerError, Answers, AnyCodec, Codec, Json, Room, Size, Table, flat, json, kept_as,
};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, DidYouMean, EvalBatches, Example, Exhibit, Label, Metric, Metrics, Section, SourceError,
    Tally, Task, Unit, brief, nearest,
};

// b batch

/// Examples that a report lists.
const LISTED: usize = 24;

/// Who gives stars, to what: a run keeps this, and it is all that its model needs to be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stars {
    /// Names of the people; a person's place in the list is its number in the model.
    pub users: Vec<String>,
    /// Names of what they rate.
    pub items: Vec<String>,
    /// Mean of the stars in training.
    pub mean: f32,
}

impl Stars {
    /// A batch of examples, each a person, an item and the stars.
    pub fn batch(&self, examples: &[(usize, usize, f32)]) -> Batch {
        let b = examples.len();
        let column = |of: fn(&(usize, usize, f32)) -> usize| -> TensorData {
            let numbers: Vec<i32> = examples.iter().map(|row| of(row) as i32).collect();
            TensorData::new(numbers, [b])
        };
        let stars: Vec<f32> = examples.iter().map(|row| row.2 - self.mean).collect();
        Batch::new(b)
            .with("users", column(|row| row.0))
            .with("items", column(|row| row.1))
            .with("stars", TensorData::new(stars, [b, 1]))
    }

    /// What a person asks, as in `user 7, film 12`.
    fn read(&self, input: &str) -> Result<(usize, usize, f32), String> {
        let (user, item) = input.split_once(',').ok_or_else(|| {
            let input = brief(input);
            format!("{input:?}: expected a person and a film with a comma between them")
        })?;
        let user = number("person", user.trim(), &self.users)?;
        Ok((user, number("film", item.trim(), &self.items)?, self.mean))
    }
}

fn number(what: &str, name: &str, known: &[String]) -> Result<usize, String> {
    let found = known.iter().position(|known| known == name);
    found.ok_or_else(|| {
        let close = nearest(name, known.iter().map(String::as_str));
        let (name, close) = (brief(name), DidYouMean(close));
        format!("the model has seen no stars of the {what} {name:?}{close}")
    })
}

impl Codec for Stars {
    const TASK: &'static str = "rate";

    fn check(&self) -> Result<(), String> {
        for (key, names) in [("users", &self.users), ("items", &self.items)] {
            if names.is_empty() {
                return Err(format!("codec.{key}: is empty"));
            }
        }
        match self.mean.is_finite() {
            true => Ok(()),
            false => Err("codec.mean: must be a number".to_owned()),
        }
    }

    fn decides(&self) -> Table {
        let count = |names: &[String]| names.len() as i64;
        let keys = [("users", count(&self.users)), ("items", count(&self.items))];
        keys.into_iter()
            .map(|(key, count)| (key.to_owned(), count.into()))
            .collect()
    }
}

/// How a model tells the stars `[b, 1]` of `users [b]` and `items [b]`.
type Forward<M> = fn(&M, Tensor<1, Int>, Tensor<1, Int>) -> Tensor<2>;

/// The task for models that know so many people and items.
pub struct Rate<M> {
    forward: Forward<M>,
    users: usize,
    items: usize,
}

impl<M: Module + 'static> Rate<M> {
    /// Without its type.
    pub fn room(forward: Forward<M>, users: usize, items: usize) -> Box<dyn Room<M>> {
        Box::new(Self {
            forward,
            users,
            items,
        })
    }

    fn answers(&self, model: &M, batch: &mut Batch, device: &Device) -> Tensor<2> {
        let users = batch.int("users", device);
        (self.forward)(model, users, batch.int("items", device))
    }

    /// Answer and truth of each example, above the mean.
    fn judged(&self, model: &M, mut batch: Batch, device: &Device) -> Vec<[f64; 2]> {
        let answers = self.answers(model, &mut batch, device).into_data();
        let truth = batch.take("stars");
        let pairs = answers.iter::<f64>().zip(truth.iter::<f64>());
        pairs.map(|(answer, truth)| [answer, truth]).collect()
    }
}

impl<M: Module + 'static> Task<M> for Rate<M> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        ["loss", "rmse", "mae"]
            .map(|name| Metric::lower(name, Unit::Plain))
            .into()
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let answers = self.answers(model, &mut batch, device);
        MseLoss::new().forward(answers, batch.float("stars", device), Reduction::Mean)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Errors {
            task: self,
            squares: 0.0,
            distances: 0.0,
            examples: 0,
        })
    }
}

/// Errors of a split, summed.
struct Errors<'a, M> {
    task: &'a Rate<M>,
    squares: f64,
    distances: f64,
    examples: usize,
}

impl<M: Module + 'static> Tally<M> for Errors<'_, M> {
    fn add(&mut self, model: &M, batch: Batch, device: &Device) {
        for [answer, truth] in self.task.judged(model, batch, device) {
            self.squares += (answer - truth).powi(2);
            self.distances += (answer - truth).abs();
            self.examples += 1;
        }
    }

    fn metrics(&self) -> Metrics {
        let examples = self.examples.max(1) as f64;
        let mse = self.squares / examples;
        let named = [
            ("loss", mse),
            ("rmse", mse.sqrt()),
            ("mae", self.distances / examples),
        ];
        named.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

impl<M: Module + 'static> Room<M> for Rate<M> {
    fn name(&self) -> &'static str {
        Stars::TASK
    }

    fn outputs(&self) -> usize {
        1
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["users", "items"]
    }

    fn output(&self, model: &M, mut batch: Batch, device: &Device) -> (Tensor<1>, Vec<usize>) {
        flat(self.answers(model, &mut batch, device))
    }

    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch {
        let codec = Stars {
            users: Vec::new(),
            items: Vec::new(),
            mean: 0.0,
        };
        let mut example = |_| {
            let stars = stream.below(5) as f32 - 2.0;
            let user = stream.below(self.users);
            (user, stream.below(self.items), stars)
        };
        let examples: Vec<_> = (0..size.examples).map(&mut example).collect();
        codec.batch(&examples)
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<Stars>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let codec = codec.fitting::<Stars>(model, set)?;
        let (users, items) = (codec.users.len(), codec.items.len());
        match (users, items) == (self.users, self.items) {
            true => Ok(()),
            false => Err(format!(
                "model {model} knows {} people and {} films, but data set {set} has {users} and \
                 {items}; leave out model.users and model.items",
                self.users, self.items
            )),
        }
    }

    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String> {
        let codec = codec.of::<Stars>()?;
        Ok(Box::new(move |input, _| {
            let example = codec.read(input)?;
            let [above, _] = self.judged(model, codec.batch(&[example]), device)[0];
            if !above.is_finite() {
                return Err(AnswerError::not_finite());
            }
            let stars = f64::from(codec.mean) + above;
            let label = Label {
                value: Some(stars),
                unit: Unit::Plain,
                ..Label::new("stars")
            };
            let labels = vec![label];
            let json = json!({ "stars": stars });
            Ok(Answer::new(Exhibit::Labels { labels }, json))
        }))
    }

    fn examine(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
        device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        let codec = codec.of::<Stars>()?;
        let mut rows = Vec::new();
        split.each(|batch| {
            let names = |column: &str, names: &[String]| -> Vec<String> {
                let numbers = batch.column(column).into_iter();
                let numbers = numbers.flat_map(|column| column.iter::<i64>());
                numbers.map(|at| names[at as usize].clone()).collect()
            };
            let (users, items) = (names("users", &codec.users), names("items", &codec.items));
            let judged = self.judged(model, batch, device);
            let stars = |above: f64| format!("{:.2}", f64::from(codec.mean) + above);
            for ((user, item), [answer, truth]) in users.into_iter().zip(items).zip(judged) {
                rows.push(vec![user, item, stars(truth), stars(answer)]);
            }
        })?;
        rows.truncate(LISTED);
        let columns = ["person", "film", "stars", "answer"].map(str::to_owned);
        let table = Exhibit::Table {
            columns: columns.into(),
            rows,
        };
        let mut section = Section::new("Answers", "The first examples of the split.");
        section.examples.push(Example::new("").with("", table));
        Ok(vec![section])
    }
}
