//! A text in another language: `sources [b, s]`, `prefixes [b, t]`, which begin with the token that
//! begins a text and end before the last one, `targets [n]`, and the rows of the flattened logits that
//! are `scored [n]`: padding is not. Where a split is judged, `references [b, bytes]` are the
//! translations as they were written.

mod codec;
mod options;
mod pairs;
mod promises;

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::{Value as Json, json};
use toml::Table;
use zoo_codec::text::{Language, subwords};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, EvalBatches, Example, Exhibit, Metric, Metrics, Part, Section, SourceError, Tally, Task,
    Unit,
};

pub use codec::Translation;
pub use pairs::{Pairs, batch};

use crate::codec::{AnyCodec, Codec, kept_as};
use crate::means::Means;
use crate::metrics::bleu::Bleu;
use crate::room::{Answer, AnswerError, Answers, Promise, Room, Size, flat};
use crate::sentences::{TextInput, check_padding, ids, row, unpadded};
use codec::read;
use options::Options;

// b batch, s source positions, t target positions, k vocabulary, n scored targets

/// Examples that are translated for a report.
const SAMPLES: usize = 12;

/// The logits `[b, t, k]` after each token of `prefixes [b, t]`, for `sources [b, s]`.
pub type Forward<M> = fn(&M, Tensor<2, Int>, Tensor<2, Int>) -> Tensor<3>;

/// The logits `[n, k]` at some `rows [n]` of the flattened positions of `prefixes [b, t]`: what is behind a
/// sentence's end is as good as half of a batch.
pub type At<M> = fn(&M, Tensor<2, Int>, Tensor<2, Int>, Tensor<1, Int>) -> Tensor<2>;

/// A translation each, in tokens, or why there is none.
pub type Found = Result<Vec<Vec<u32>>, String>;

/// How a model finds the translations of `sources [b, s]`.
pub type Searches<M> = fn(&M, Tensor<2, Int>, &Search) -> Found;

/// What a model of this task does.
pub struct Functions<M> {
    /// All positions at once.
    pub forward: Forward<M>,
    /// The same at some positions alone.
    pub at: At<M>,
    /// The same, token by token through the cache.
    pub cached: Forward<M>,
    /// The translations of `sources [b, s]`, without the tokens around them.
    pub search: Searches<M>,
}

impl<M> Clone for Functions<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Functions<M> {}

/// How a translation is searched for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Beginnings kept a sentence, 1 or more.
    pub beams: usize,
    /// How much longer translations are favoured, 0 or more: α of Wu et al. 2016, equation 14.
    pub length_penalty: f64,
    /// Most tokens of a translation, the one that ends it included.
    pub max_length: usize,
}

/// What a model of this task takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairInput {
    /// Of the source, and of the target.
    pub text: TextInput,
    /// The token that a target begins with.
    pub start: u32,
    /// The token that ends a target.
    pub stop: u32,
}

/// Translation by an encoder and a decoder.
pub struct Translate<M> {
    functions: Functions<M>,
    input: PairInput,
    options: Options,
    /// How translations are written, where that is known.
    writer: Option<Writer>,
}

/// What token ids are as text.
struct Writer {
    language: Language,
    max_length: usize,
}

impl<M: Module + 'static> Translate<M> {
    /// Translation by a model, without its type.
    pub fn room(functions: Functions<M>, input: PairInput) -> Box<dyn Room<M>> {
        Box::new(Self {
            functions,
            input,
            options: Options::default(),
            writer: None,
        })
    }

    fn logits(&self, model: &M, batch: &mut Batch, device: &Device) -> Tensor<3> {
        let [sources, prefixes] = ["sources", "prefixes"].map(|name| batch.int(name, device));
        (self.functions.forward)(model, sources, prefixes)
    }

    /// The scored rows of the logits `[n, k]`, and their targets `[n]`.
    fn scored(&self, model: &M, batch: &mut Batch, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let [sources, prefixes] = ["sources", "prefixes"].map(|name| batch.int(name, device));
        let logits = (self.functions.at)(model, sources, prefixes, batch.int("scored", device));
        (logits, batch.int("targets", device))
    }

    /// The translations of `sources [b, s]`.
    fn search(
        &self,
        model: &M,
        sources: TensorData,
        max_length: usize,
        device: &Device,
    ) -> Result<Vec<Vec<u32>>, String> {
        let search = Search {
            beams: self.options.search.beams,
            length_penalty: self.options.search.length_penalty,
            // The token before the first one is none of them, and has a position.
            max_length: max_length.min(self.input.text.longest) - 1,
        };
        (self.functions.search)(model, Tensor::from_data(sources, device), &search)
    }

    /// Who writes translations, if BLEU is measured.
    fn judge(&self) -> Option<&Writer> {
        self.writer.as_ref().filter(|_| self.options.search.bleu)
    }
}

impl<M: Module + 'static> Task<M> for Translate<M> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        let bleu = self.judge().map(|_| Metric::higher("bleu", Unit::Plain));
        Means::metrics_of(false).into_iter().chain(bleu).collect()
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let (logits, targets) = self.scored(model, &mut batch, device);
        self.options.loss.of(logits, targets)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Sums {
            task: self,
            means: Means::default(),
            bleu: Ok(Bleu::default()),
        })
    }
}

struct Sums<'a, M> {
    task: &'a Translate<M>,
    means: Means,
    bleu: Result<Bleu, String>,
}

impl<M: Module + 'static> Tally<M> for Sums<'_, M> {
    fn add(&mut self, model: &M, mut batch: Batch, device: &Device) {
        if let (Some(writer), Ok(bleu)) = (self.task.judge(), &mut self.bleu) {
            let sources = batch.column("sources").cloned().expect("its own column");
            match self.task.search(model, sources, writer.max_length, device) {
                Ok(found) => {
                    for (answer, reference) in
                        found.iter().zip(references(&batch, &writer.language))
                    {
                        bleu.add(&writer.language.decode_plain(answer), &reference);
                    }
                }
                Err(problem) => self.bleu = Err(problem),
            }
        }
        let (logits, targets) = self.task.scored(model, &mut batch, device);
        self.means.add(&self.task.options.loss, logits, targets, 1);
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.means.metrics();
        if self.task.judge().is_some() {
            // What cannot be searched through is no number, and is told as such.
            let bleu = self.bleu.as_ref().map_or(f64::NAN, Bleu::score);
            metrics.insert("bleu".into(), bleu);
        }
        metrics
    }
}

/// The translations of a batch's sources as they were written, or else as their tokens have them.
fn references(batch: &Batch, language: &Language) -> Vec<String> {
    if let Some(written) = batch.column("references") {
        return pairs::read_written(written);
    }
    let all = ["targets", "scored"].map(|name| batch.column(name).map(ids).unwrap_or_default());
    let t = batch
        .column("prefixes")
        .map_or(1, |prefixes| prefixes.shape()[1]);
    let mut rows = vec![Vec::new(); batch.examples()];
    for (token, place) in all[0].iter().zip(&all[1]) {
        rows[*place as usize / t].push(*token);
    }
    rows.iter().map(|row| language.decode_plain(row)).collect()
}

impl<M: Module + 'static> Room<M> for Translate<M> {
    fn name(&self) -> &'static str {
        Translation::TASK
    }

    fn configure(&mut self, options: &Table) -> Result<(), String> {
        self.options = Options::read(options)?;
        Ok(())
    }

    fn options(&self) -> Table {
        self.options.table()
    }

    fn outputs(&self) -> usize {
        self.input.text.vocab_size
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["sources", "prefixes"]
    }

    fn output(&self, model: &M, mut batch: Batch, device: &Device) -> (Tensor<1>, Vec<usize>) {
        flat(self.logits(model, &mut batch, device))
    }

    fn longest(&self) -> Option<usize> {
        Some(self.input.text.longest)
    }

    /// Sources and targets are of two lengths, as real ones are.
    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch {
        let input = self.input.text;
        let most = size.most_length.unwrap_or(input.longest).min(input.longest);
        let sources = input.noise(size, stream);
        let t = (most - most / 4).clamp(1, most);
        let shorter = Size {
            most_length: Some(t),
            ..size
        };
        let mut prefixes = ids(&input.noise(shorter, stream));
        prefixes
            .iter_mut()
            .step_by(t)
            .for_each(|first| *first = self.input.start);
        let prefixes: Vec<i64> = prefixes.into_iter().map(i64::from).collect();
        let n = prefixes.len();
        let targets = (0..n).map(|_| stream.below(input.vocab_size) as i64);
        let targets = TensorData::new(targets.collect::<Vec<i64>>(), [n]);
        let scored = TensorData::new((0..n as i64).collect::<Vec<i64>>(), [n]);
        Batch::new(size.examples)
            .with("sources", sources)
            .with("prefixes", TensorData::new(prefixes, [size.examples, t]))
            .with("targets", targets)
            .with("scored", scored)
            .weighing(n as f64)
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<Translation>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let codec = codec.fitting::<Translation>(model, set)?;
        let (language, input) = (codec.open()?, self.input.text);
        if codec.max_length > input.longest {
            return Err(format!(
                "model {model} takes texts of {} tokens, but data set {set} gives some of {}; \
                 set model.max_length = {} or more",
                input.longest, codec.max_length, codec.max_length
            ));
        }
        if language.vocabulary() > input.vocab_size {
            return Err(format!(
                "model {model} knows {} tokens, but data set {set} has {}; \
                 leave out model.vocab_size to take the data's",
                input.vocab_size,
                language.vocabulary()
            ));
        }
        check_padding(&language, input.pad, subwords::PAD)?;
        for (key, token, expected) in [
            ("start_token", self.input.start, subwords::BEGIN),
            ("stop_token", self.input.stop, subwords::END),
        ] {
            if token != expected {
                return Err(format!(
                    "model.{key} = {token}: in data set {set} it is token {expected}; leave it out"
                ));
            }
        }
        Ok(())
    }

    fn set_codec(&mut self, codec: &dyn AnyCodec) {
        let codec = codec.of::<Translation>().ok();
        self.writer = codec.and_then(|codec| {
            Some(Writer {
                language: codec.open().ok()?,
                max_length: codec.max_length,
            })
        });
    }

    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String> {
        let codec = codec.of::<Translation>()?;
        let language = codec.open()?;
        Ok(Box::new(move |input, _| {
            let source = read(codec, &language, input)?;
            let found = self.search(model, row(&source), codec.max_length, device);
            let tokens = found.map_err(AnswerError::Output)?.remove(0);
            let translation = language.decode_plain(&tokens);
            Ok(Answer::new(
                Exhibit::text(&translation),
                json!({ "translation": translation, "tokens": tokens }),
            ))
        }))
    }

    fn examine(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
        device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        let codec = codec.of::<Translation>()?;
        let language = codec.open()?;
        let mut shown = Section::new(
            "Translations",
            format!("From {} to {}.", codec.languages[0], codec.languages[1]),
        );
        let count = SAMPLES.min(split.source.len());
        for part in 0..count {
            let index = part * split.source.len() / count;
            let mut batch = split.source.batch(&[index as u32], None)?;
            let truth = references(&batch, &language).remove(0);
            let sources = batch.take("sources");
            let source = language.decode_plain(&unpadded(&sources, subwords::PAD));
            let found = self
                .search(model, sources, codec.max_length, device)?
                .remove(0);
            let answer = language.decode_plain(&found);
            let bleu = Bleu::of([(&*answer, &*truth)]).score();
            let example = Example::new(format!("no. {index}, BLEU {bleu:.1}"))
                .with("", Exhibit::text(source))
                .with(Part::ANSWER, Exhibit::text(answer))
                .with(Part::TRUTH, Exhibit::text(truth));
            shown.examples.push(example);
        }
        Ok(vec![shown])
    }

    fn promises(&self) -> Vec<Promise<M>> {
        promises::promises(self.functions, self.input.text)
    }
}
