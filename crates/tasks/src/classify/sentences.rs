//! Classes of sentences: `tokens [b, t]`, shorter ones padded, and `targets [b]`.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use toml::Table;
use zoo_codec::ProblemType;
use zoo_codec::text::Text;
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, EvalBatches, Example, Label, Metric, Metrics, Section, SourceError, Tally, Task,
};

use super::{answer, answered, check, confusion, mistakes, named, to_explain, worst};
use crate::codec::{AnyCodec, Codec, Reading, kept_as};
use crate::explain::{Embedded, attributions, with_answer};
use crate::loss::LossOptions;
use crate::means::Means;
use crate::room::{Answers, Promise, Room, Size, Upstream, flat};
use crate::sentences::{
    PAD_TO_MULTIPLE, TextInput, check_padding, pad, padding_changes_nothing, read_sentence, row,
    shown, unpadded,
};

// b batch, t time, c channels, k classes

/// How sentences are read, and what their classes are called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentenceClasses {
    /// Words, or a tokenizer.
    #[serde(flatten)]
    pub text: Text,
    /// Most tokens of a sentence that are read.
    pub max_length: usize,
    /// Class names by label.
    pub classes: Vec<String>,
    /// The token that fills shorter sentences.
    #[serde(default)]
    pub pad: u32,
    /// What the outputs are.
    #[serde(default, skip_serializing_if = "ProblemType::is_single")]
    pub problem_type: ProblemType,
}

impl Codec for SentenceClasses {
    const TASK: &'static str = "classify sentences";

    fn check(&self) -> Result<(), String> {
        check(self.problem_type, &self.classes)?;
        if self.max_length == 0 {
            return Err("codec.max_length = 0: must be 1 or more".into());
        }
        // A tokenizer is read with the model, against which its ids are held.
        match &self.text {
            Text::Words { .. } => self.text.open().map(drop),
            Text::Tokenizer { .. } => Ok(()),
            Text::Chars { .. } => Err(
                "codec.kind = \"chars\": sentences are classified by words or a tokenizer".into(),
            ),
        }
    }

    fn decides(&self) -> Table {
        let vocabulary = self.text.open().map_or(0, |text| text.vocabulary());
        // Where no token is for padding, a row more is.
        let rows = vocabulary.max(self.pad as usize + 1);
        Table::from_iter([
            ("vocab_size".to_owned(), (rows as i64).into()),
            ("pad_token".to_owned(), i64::from(self.pad).into()),
            ("num_classes".to_owned(), (self.classes.len() as i64).into()),
        ])
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn problem_type(&self) -> Option<ProblemType> {
        Some(self.problem_type)
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

/// A batch of sentences with their classes, padded with `pad` up to a multiple of
/// [`PAD_TO_MULTIPLE`] that is `longest` at most.
pub fn batch(sentences: &[(&[u32], i32)], longest: usize, pad_token: u32) -> Batch {
    let most = sentences
        .iter()
        .map(|(ids, _)| ids.len())
        .max()
        .unwrap_or(0);
    let t = most.next_multiple_of(PAD_TO_MULTIPLE).min(longest);
    let labels: Vec<i32> = sentences.iter().map(|(_, label)| *label).collect();
    let b = labels.len();
    let tokens = pad(sentences.iter().map(|(ids, _)| *ids), t, pad_token);
    Batch::new(b)
        .with("tokens", tokens)
        .with("targets", TensorData::new(labels, [b]))
}

/// Classification by a model of sentences.
pub struct Sentences<M> {
    forward: fn(&M, Tensor<2, Int>) -> Tensor<2>,
    embedded: Embedded<M>,
    input: TextInput,
    num_classes: usize,
    loss: LossOptions,
}

impl<M: Module + 'static> Sentences<M> {
    /// Logits `[b, k]` from padded token ids `[b, t]`, without its type.
    pub fn room(
        forward: fn(&M, Tensor<2, Int>) -> Tensor<2>,
        embedded: Embedded<M>,
        input: TextInput,
        num_classes: usize,
    ) -> Box<dyn Room<M>> {
        Box::new(Self {
            forward,
            embedded,
            input,
            num_classes,
            loss: LossOptions::default(),
        })
    }

    fn logits(&self, model: &M, batch: &mut Batch, device: &Device) -> Tensor<2> {
        (self.forward)(model, batch.int("tokens", device))
    }
}

impl<M: Module + 'static> Task<M> for Sentences<M> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        Means::metrics_of(false)
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let target: Tensor<1, Int> = batch.int("targets", device);
        self.loss.of(self.logits(model, &mut batch, device), target)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Sums {
            task: self,
            means: Means::default(),
        })
    }
}

struct Sums<'a, M> {
    task: &'a Sentences<M>,
    means: Means,
}

impl<M: Module + 'static> Tally<M> for Sums<'_, M> {
    fn add(&mut self, model: &M, mut batch: Batch, device: &Device) {
        let target = batch.int("targets", device);
        let logits = self.task.logits(model, &mut batch, device);
        self.means.add(&self.task.loss, logits, target, 1);
    }

    fn metrics(&self) -> Metrics {
        self.means.metrics()
    }
}

impl<M: Module + 'static> Room<M> for Sentences<M> {
    fn name(&self) -> &'static str {
        SentenceClasses::TASK
    }

    fn configure(&mut self, options: &Table) -> Result<(), String> {
        self.loss = LossOptions::read(options)?;
        Ok(())
    }

    fn options(&self) -> Table {
        self.loss.table()
    }

    fn outputs(&self) -> usize {
        self.num_classes
    }

    fn upstream(&self, says: Upstream) -> Result<Arc<dyn AnyCodec>, String> {
        let codec = SentenceClasses {
            text: says.text.ok_or("text needs the folder's tokenizer")?,
            max_length: says.max_length.unwrap_or(self.input.longest),
            classes: says.classes,
            pad: self.input.pad.unwrap_or_default(),
            problem_type: says.problem_type,
        };
        Ok(Arc::new(codec))
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["tokens"]
    }

    fn output(&self, model: &M, mut batch: Batch, device: &Device) -> (Tensor<1>, Vec<usize>) {
        flat(self.logits(model, &mut batch, device))
    }

    fn longest(&self) -> Option<usize> {
        Some(self.input.longest)
    }

    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch {
        let b = size.examples;
        let tokens = self.input.noise(size, stream);
        let labels = (0..b).map(|_| stream.below(self.num_classes) as i64);
        Batch::new(b).with("tokens", tokens).with(
            "targets",
            TensorData::new(labels.collect::<Vec<i64>>(), [b]),
        )
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<SentenceClasses>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let codec = codec.fitting::<SentenceClasses>(model, set)?;
        let language = codec.text.open()?;
        self.input.fit(language.vocabulary(), codec.max_length)?;
        check_padding(&language, self.input.pad, codec.pad)?;
        match codec.classes.len() == self.num_classes {
            true => Ok(()),
            false => Err(format!(
                "model {model} has {} outputs, but data set {set} has {} classes; \
                 set model.num_classes = {}, and for a sentence encoder model.head = \"classifier\"",
                self.num_classes,
                codec.classes.len(),
                codec.classes.len()
            )),
        }
    }

    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String> {
        let codec = codec.of::<SentenceClasses>()?;
        let language = codec.text.open()?;
        Ok(Box::new(move |input, top| {
            let tokens = read_sentence(&language, input, codec.max_length, self.input.pad)?;
            let logits = (self.forward)(model, Tensor::from_data(row(&tokens), device));
            answer(logits, codec.problem_type, &codec.classes, top)
        }))
    }

    fn examine(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
        device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        let codec = codec.of::<SentenceClasses>()?;
        let language = codec.text.open()?;
        let mut answers = Vec::with_capacity(split.source.len());
        split.each(|mut batch| {
            let labels: Vec<i64> = batch.take("targets").iter::<i64>().collect();
            answers.extend(answered(self.logits(model, &mut batch, device), &labels));
        })?;
        let worst = worst(&answers);
        let one = |index: usize| split.source.batch(&[index as u32], None);
        let show = |index| {
            let tokens = unpadded(&one(index)?.take("tokens"), codec.pad);
            Ok::<_, SourceError>(shown(&language, &tokens, None))
        };
        let mut sections: Vec<Section> = confusion(&codec.classes, &answers).into_iter().collect();
        sections.push(mistakes(&codec.classes, &answers, &worst, show)?);
        let mut explained: Vec<Example> = Vec::new();
        for index in to_explain(answers.len(), worst.first().copied()) {
            let mut batch = one(index)?;
            // Padding says nothing, and is not shown.
            let tokens = unpadded(&batch.take("tokens"), codec.pad);
            let expected = batch.take("targets").iter::<i64>().next().unwrap_or(-1);
            let found = self.embedded.explain(model, &row(&tokens), device);
            let [before, after] = found.log_probability;
            explained.push(with_answer(
                format!("log-probability {before:.3} without the input, {after:.3} with it"),
                shown(&language, &tokens, Some(found.values)),
                Label::likely(named(&codec.classes, found.output), found.probability),
                named(&codec.classes, expected as usize),
            ));
        }
        sections.push(attributions(explained));
        Ok(sections)
    }

    fn promises(&self) -> Vec<Promise<M>> {
        let (forward, pad_token) = (self.forward, self.input.pad);
        vec![padding_changes_nothing(forward, pad_token)]
    }
}
