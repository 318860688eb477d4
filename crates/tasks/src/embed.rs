//! Sentences as vectors of length one, of which near ones mean alike: `tokens [b, t]`.
//!
//! There is no training for it here yet: the weights are an origin's.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use toml::Table;
use zoo_codec::text::Text;
use zoo_train::rng::Stream;
use zoo_train::{Batch, Exhibit, Metric, Metrics, Tally, Task};

use crate::codec::{AnyCodec, Codec, Reading, kept_as};
use crate::loss::LossOptions;
use crate::means::Means;
use crate::room::{Answer, AnswerError, Answers, Promise, Room, Size, Upstream, flat};
use crate::sentences::{TextInput, check_padding, padding_changes_nothing, read_sentence, row};

// b batch, t time, c width

/// How sentences are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentenceVectors {
    /// A tokenizer, or words.
    #[serde(flatten)]
    pub text: Text,
    /// Most tokens of a sentence that are read.
    pub max_length: usize,
    /// The token that fills shorter sentences.
    #[serde(default)]
    pub pad: u32,
    /// None: earlier versions wrote down that there are none.
    #[serde(default, skip_serializing)]
    classes: Vec<String>,
}

impl Codec for SentenceVectors {
    const TASK: &'static str = "embed sentences";

    fn check(&self) -> Result<(), String> {
        match (self.max_length, self.classes.len()) {
            (0, _) => Err("codec.max_length = 0: must be 1 or more".into()),
            (_, 0) => Ok(()),
            (_, count) => Err(format!(
                "codec.classes has {count} names; a vector has no classes"
            )),
        }
    }

    fn decides(&self) -> Table {
        Table::new()
    }

    fn text(&self) -> Option<Reading<'_>> {
        Some(Reading {
            text: &self.text,
            max_length: self.max_length,
            stop: Vec::new(),
            pad: Some(self.pad),
        })
    }
}

/// Embedding by a model of sentences.
pub struct Embed<M> {
    forward: fn(&M, Tensor<2, Int>) -> Tensor<2>,
    input: TextInput,
    width: usize,
    loss: LossOptions,
}

/// The cosine of the angle between two vectors: 1 where they point the same way.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    dot(a, b) / lengths.max(f64::MIN_POSITIVE)
}

impl<M: Module + 'static> Embed<M> {
    /// Vectors `[b, c]` from padded token ids `[b, t]`, without its type.
    pub fn room(
        forward: fn(&M, Tensor<2, Int>) -> Tensor<2>,
        input: TextInput,
        width: usize,
    ) -> Box<dyn Room<M>> {
        Box::new(Self {
            forward,
            input,
            width,
            loss: LossOptions::default(),
        })
    }
}

/// As a classifier of its own outputs: what gradients and speed are measured with.
impl<M: Module + 'static> Task<M> for Embed<M> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        Means::metrics_of(false)
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let target = batch.int("targets", device);
        self.loss
            .of((self.forward)(model, batch.int("tokens", device)), target)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Sums {
            task: self,
            means: Means::default(),
        })
    }
}

struct Sums<'a, M> {
    task: &'a Embed<M>,
    means: Means,
}

impl<M: Module + 'static> Tally<M> for Sums<'_, M> {
    fn add(&mut self, model: &M, mut batch: Batch, device: &Device) {
        let target = batch.int("targets", device);
        let vectors = (self.task.forward)(model, batch.int("tokens", device));
        self.means.add(&self.task.loss, vectors, target, 1);
    }

    fn metrics(&self) -> Metrics {
        self.means.metrics()
    }
}

impl<M: Module + 'static> Room<M> for Embed<M> {
    fn name(&self) -> &'static str {
        SentenceVectors::TASK
    }

    fn configure(&mut self, options: &Table) -> Result<(), String> {
        self.loss = LossOptions::read(options)?;
        Ok(())
    }

    fn options(&self) -> Table {
        self.loss.table()
    }

    fn outputs(&self) -> usize {
        self.width
    }

    fn upstream(&self, says: Upstream) -> Result<Arc<dyn AnyCodec>, String> {
        let codec = SentenceVectors {
            text: says.text.ok_or("text needs the folder's tokenizer")?,
            max_length: says.max_length.unwrap_or(self.input.longest),
            pad: self.input.pad.unwrap_or_default(),
            classes: Vec::new(),
        };
        Ok(Arc::new(codec))
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["tokens"]
    }

    fn output(&self, model: &M, mut batch: Batch, device: &Device) -> (Tensor<1>, Vec<usize>) {
        flat((self.forward)(model, batch.int("tokens", device)))
    }

    fn longest(&self) -> Option<usize> {
        Some(self.input.longest)
    }

    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch {
        let b = size.examples;
        let tokens = self.input.noise(size, stream);
        let targets = (0..b).map(|_| stream.below(self.width) as i64);
        Batch::new(b).with("tokens", tokens).with(
            "targets",
            TensorData::new(targets.collect::<Vec<i64>>(), [b]),
        )
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<SentenceVectors>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let Some(codec) = codec.any().downcast_ref::<SentenceVectors>() else {
            return Err(format!(
                "model {model} is to {}, but data set {set} is to {}; set model.head = \"classifier\" to \
                 learn classes",
                SentenceVectors::TASK,
                codec.task()
            ));
        };
        let language = codec.text.open()?;
        self.input.fit(language.vocabulary(), codec.max_length)?;
        check_padding(&language, self.input.pad, codec.pad)
    }

    /// How near each sentence is to the first one: the vectors have length one, so their product is
    /// the cosine of the angle between them.
    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String> {
        let codec = codec.of::<SentenceVectors>()?;
        let language = codec.text.open()?;
        let mut first: Option<Vec<f64>> = None;
        Ok(Box::new(move |input, _| {
            let tokens = read_sentence(&language, input, codec.max_length, self.input.pad)?;
            let vector = (self.forward)(model, Tensor::from_data(row(&tokens), device));
            let vector: Vec<f64> = vector.into_data().iter::<f64>().collect();
            if !vector.iter().all(|value| value.is_finite()) {
                return Err(AnswerError::not_finite());
            }
            let similarity = cosine(first.as_ref().unwrap_or(&vector), &vector);
            let answer = Answer::new(
                Exhibit::text(format!("{similarity:.4}")),
                json!({ "embedding": vector, "similarity_to_first": similarity }),
            );
            first.get_or_insert(vector);
            Ok(answer)
        }))
    }

    fn promises(&self) -> Vec<Promise<M>> {
        vec![padding_changes_nothing(self.forward, self.input.pad)]
    }
}
