//! The next token of a text, from all tokens before it: `tokens [b, t]`, `targets [n]`, and the rows of
//! the flattened logits that are `scored [n]`, where those are not all.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use toml::Table;
use zoo_codec::text::{Language, Streaming, Text};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, EvalBatches, Example, Exhibit, Label, Metric, Metrics, Part, Section, Source,
    SourceError, Tally, Task,
};

use crate::codec::{AnyCodec, Codec, Reading, kept_as};
use crate::explain::{Embedded, attributions, with_answer};
use crate::loss::LossOptions;
use crate::means::Means;
use crate::room::{
    AnswerError, Answers, Continues, Promise, Room, Sampling, Size, Upstream, Writing, Written,
    flat,
};
use crate::sentences::{SAME_SUMS, TextInput, furthest, ids, row, shown};

// b batch, t time, k vocabulary, n scored targets

/// Texts that are written for a report.
const SAMPLES: usize = 4;
/// Tokens that a decoder is given and writes, where the data does not say.
const PROMPT_TOKENS: usize = 32;
const WRITTEN_TOKENS: usize = 200;
/// Inputs that are explained, and tokens of each at most.
const EXPLAINED: usize = 4;
const EXPLAINED_TOKENS: usize = 64;

/// How texts to continue are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Continuation {
    /// Characters, or a tokenizer.
    #[serde(flatten)]
    pub text: Text,
    /// Tokens of a sequence that it was trained on, where that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// What ends a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// None: earlier versions wrote down that there are none.
    #[serde(default, skip_serializing)]
    classes: Vec<String>,
}

/// What ends a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stop {
    /// A character.
    Character(char),
    /// Any of these tokens.
    Tokens(Vec<u32>),
}

impl Continuation {
    /// Texts that are read so, of `max_length` tokens in training.
    pub fn new(text: Text, max_length: Option<usize>, stop: Option<Stop>) -> Self {
        Self {
            text,
            max_length,
            stop,
            classes: Vec::new(),
        }
    }

    /// The tokens that end a text.
    pub fn stops(&self, language: &Language) -> Vec<u32> {
        match &self.stop {
            None => Vec::new(),
            Some(Stop::Tokens(tokens)) => tokens.clone(),
            Some(Stop::Character(character)) => {
                language.plain(&character.to_string()).unwrap_or_default()
            }
        }
    }
}

impl Codec for Continuation {
    const TASK: &'static str = "continue text";

    fn check(&self) -> Result<(), String> {
        if self.max_length == Some(0) {
            return Err("codec.max_length = 0: must be 1 or more".into());
        }
        if !self.classes.is_empty() {
            return Err(format!(
                "codec.classes has {} names; texts that are continued have no classes",
                self.classes.len()
            ));
        }
        let chars = match &self.text {
            Text::Chars { chars } => chars,
            // Read with the model, against which its ids are held.
            Text::Tokenizer { .. } => return Ok(()),
            Text::Words { .. } => {
                return Err(
                    "codec.kind = \"words\": texts are continued by characters or a tokenizer"
                        .into(),
                );
            }
        };
        self.text.open()?;
        match &self.stop {
            Some(Stop::Character(stop)) if !chars.contains(*stop) => {
                Err(format!("codec.stop = {stop:?}: not among codec.chars"))
            }
            _ => Ok(()),
        }
    }

    fn decides(&self) -> Table {
        let vocabulary = self.text.open().map_or(0, |text| text.vocabulary());
        Table::from_iter([("vocab_size".to_owned(), (vocabulary as i64).into())])
    }

    fn text(&self) -> Option<Reading<'_>> {
        let language = self.text.open().ok();
        Some(Reading {
            text: &self.text,
            max_length: self.max_length.unwrap_or(usize::MAX),
            stop: language.map_or_else(Vec::new, |language| self.stops(&language)),
            pad: None,
        })
    }
}

/// A batch of token ids `[b, t]` and what comes next at every position.
pub fn batch(input: Vec<i32>, target: Vec<i32>, b: usize) -> Batch {
    let (t, n) = (input.len() / b.max(1), target.len());
    Batch::new(b)
        .with("tokens", TensorData::new(input, [b, t]))
        .with("targets", TensorData::new(target, [n]))
        .weighing(n as f64)
}

/// The same, where only these rows of the flattened logits are asked for.
pub fn scored_batch(input: Vec<i32>, target: Vec<i32>, scored: Vec<i32>, b: usize) -> Batch {
    let n = target.len();
    batch(input, target, b).with("scored", TensorData::new(scored, [n]))
}

/// A model that continues a text token by token, with its cache.
pub trait Decode {
    /// Tokens that it sees at once.
    fn context(&self) -> usize;
    /// The logits after each of these tokens, fed one by one: `[t, k]`.
    fn logits(&mut self, tokens: &[u32]) -> TensorData;
    /// The logits after the last of these tokens.
    fn next(&mut self, tokens: &[u32]) -> Vec<f32>;
    /// Whether a token could be chosen so.
    ///
    /// # Errors
    /// `KEY: …`, of the value that does not fit.
    fn check(&self, sampling: &Sampling) -> Result<(), String>;
    /// Goes on from a prompt until a token stops it, or `take` has enough.
    ///
    /// # Errors
    /// An output that is no number.
    fn generate(
        &mut self,
        prompt: &[u32],
        sampling: &Sampling,
        stop: &[u32],
        random: &mut dyn FnMut() -> f64,
        take: &mut dyn FnMut(u32) -> bool,
    ) -> Result<(), String>;
}

/// How a model is continued from.
pub type Decoder<M> = for<'a> fn(&'a M, &'a Device) -> Box<dyn Decode + 'a>;

/// Next-token prediction by a decoder.
pub struct NextToken<M> {
    forward: fn(&M, Tensor<2, Int>) -> Tensor<3>,
    decoder: Decoder<M>,
    embedded: Option<Embedded<M>>,
    input: TextInput,
    loss: LossOptions,
}

impl<M: Module + 'static> NextToken<M> {
    /// Logits `[b, t, k]` from token ids `[b, t]`, without its type.
    pub fn room(
        forward: fn(&M, Tensor<2, Int>) -> Tensor<3>,
        decoder: Decoder<M>,
        embedded: Option<Embedded<M>>,
        input: TextInput,
    ) -> Box<dyn Room<M>> {
        Box::new(Self {
            forward,
            decoder,
            embedded,
            input,
            loss: LossOptions::default(),
        })
    }

    /// Logits `[n, k]` and targets `[n]` of the scored positions.
    fn scored(&self, model: &M, batch: &mut Batch, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let logits = (self.forward)(model, batch.int("tokens", device));
        let logits: Tensor<2> = logits.flatten(0, 1);
        let logits = match batch.column("scored") {
            Some(_) => logits.select(0, batch.int("scored", device)),
            None => logits,
        };
        (logits, batch.int("targets", device))
    }

    /// What a decoder writes after the beginning of some examples.
    fn samples(
        &self,
        model: &M,
        language: &Language,
        source: &dyn Source,
        device: &Device,
    ) -> Result<Section, SourceError> {
        let count = SAMPLES.min(source.len());
        let mut samples = Section::new("Samples", "");
        for part in 0..count {
            let index = part * source.len() / count;
            let (prompt, answer) = question(source.batch(&[index as u32], None)?);
            // Where one answer is right, the likeliest is asked for.
            let (temperature, length) = match &answer {
                Some(answer) => (0.0, answer.len()),
                None => (0.8, WRITTEN_TOKENS),
            };
            let mut stream = Stream::new(1 + part as u64);
            let sampling = Sampling {
                temperature,
                ..Sampling::default()
            };
            let mut written: Vec<u32> = Vec::new();
            let mut decoder = (self.decoder)(model, device);
            decoder.generate(
                &prompt,
                &sampling,
                &[],
                &mut || unit(&mut stream),
                &mut |token| {
                    written.push(token);
                    written.len() < length
                },
            )?;
            samples.about = match temperature {
                0.0 => {
                    "The likeliest continuation of the grey beginnings, which the model was not \
                        trained on."
                        .into()
                }
                _ => format!(
                    "What the model writes after the grey beginnings, at temperature {temperature}."
                ),
            };
            let mut example = Example::new("")
                .with(Part::PROMPT, Exhibit::text(language.decode(&prompt)))
                .with(Part::ANSWER, Exhibit::text(language.decode(&written)));
            if let Some(answer) = answer {
                example = example.with(Part::TRUTH, Exhibit::text(language.decode(&answer)));
            }
            samples.examples.push(example);
        }
        Ok(samples)
    }
}

/// What an example gives to a decoder, and what it asks for, where only some tokens are scored.
fn question(mut batch: Batch) -> (Vec<u32>, Option<Vec<u32>>) {
    let first = first_scored(&batch);
    let mut tokens = ids(&batch.take("tokens"));
    match first {
        Some(first) => {
            tokens.truncate(first + 1);
            (tokens, Some(ids(&batch.take("targets"))))
        }
        None => {
            tokens.truncate(PROMPT_TOKENS);
            (tokens, None)
        }
    }
}

fn first_scored(batch: &Batch) -> Option<usize> {
    let scored = batch.column("scored")?;
    scored.iter::<i64>().next().map(|first| first as usize)
}

/// A number drawn evenly from 0..1.
pub(crate) fn unit(stream: &mut Stream) -> f64 {
    (stream.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: None,
            repetition_penalty: 1.0,
        }
    }
}

/// An exact match is of an answer, where a part of the sequence is asked for; a window over running
/// text has none.
fn targets_per_example(batch: &Batch) -> usize {
    match (batch.column("scored"), batch.column("targets")) {
        (Some(_), Some(targets)) => targets.shape()[0] / batch.examples().max(1),
        _ => 1,
    }
}

impl<M: Module + 'static> Task<M> for NextToken<M> {
    fn metrics(&self, example: &Batch) -> Vec<Metric> {
        Means::metrics_of(targets_per_example(example) > 1)
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let (logits, target) = self.scored(model, &mut batch, device);
        self.loss.of(logits, target)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Sums {
            task: self,
            means: Means::default(),
        })
    }
}

struct Sums<'a, M> {
    task: &'a NextToken<M>,
    means: Means,
}

impl<M: Module + 'static> Tally<M> for Sums<'_, M> {
    fn add(&mut self, model: &M, mut batch: Batch, device: &Device) {
        let targets_per_example = targets_per_example(&batch);
        let (logits, target) = self.task.scored(model, &mut batch, device);
        self.means
            .add(&self.task.loss, logits, target, targets_per_example);
    }

    fn metrics(&self) -> Metrics {
        self.means.metrics()
    }
}

impl<M: Module + 'static> Room<M> for NextToken<M> {
    fn name(&self) -> &'static str {
        Continuation::TASK
    }

    fn configure(&mut self, options: &Table) -> Result<(), String> {
        self.loss = LossOptions::read(options)?;
        Ok(())
    }

    fn options(&self) -> Table {
        self.loss.table()
    }

    fn outputs(&self) -> usize {
        self.input.vocab_size
    }

    fn upstream(&self, says: Upstream) -> Result<Arc<dyn AnyCodec>, String> {
        let text = says.text.ok_or("text needs the folder's tokenizer")?;
        let stop = Some(Stop::Tokens(says.stop));
        Ok(Arc::new(Continuation::new(text, says.max_length, stop)))
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
        let tokens = self.input.noise(size, stream);
        let n = tokens.shape().num_elements();
        let targets = (0..n).map(|_| stream.below(self.input.vocab_size) as i64);
        Batch::new(size.examples)
            .with("tokens", tokens)
            .with(
                "targets",
                TensorData::new(targets.collect::<Vec<i64>>(), [n]),
            )
            .weighing(n as f64)
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<Continuation>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let codec = codec.fitting::<Continuation>(model, set)?;
        if let Some(length) = codec
            .max_length
            .filter(|length| *length > self.input.longest)
        {
            return Err(format!(
                "model {model} sees {} positions, but data set {set} gives sequences of {length}; \
                 set model.context = {length} or more",
                self.input.longest
            ));
        }
        let language = codec.text.open()?;
        if language.vocabulary() > self.input.vocab_size {
            return Err(format!(
                "model {model} knows {} tokens, but data set {set} has {}; \
                 leave out model.vocab_size to take the data's",
                self.input.vocab_size,
                language.vocabulary()
            ));
        }
        let known = self.input.vocab_size;
        let stops = codec.stops(&language);
        match stops.iter().find(|stop| **stop as usize >= known) {
            None => Ok(()),
            Some(stop) => Err(format!(
                "a text ends with token {stop} (codec.stop, eos_token_id): model.vocab_size = {known} has \
                 no such token"
            )),
        }
    }

    fn answers<'a>(
        &'a self,
        _: &'a M,
        _: &'a dyn AnyCodec,
        _: &'a Device,
    ) -> Result<Answers<'a>, String> {
        Err("holds a decoder, which continues texts: use sample".into())
    }

    fn examine(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
        device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        let codec = codec.of::<Continuation>()?;
        let language = codec.text.open()?;
        let source = split.source;
        let mut sections = vec![self.samples(model, &language, source, device)?];
        let Some(embedded) = &self.embedded else {
            return Ok(sections);
        };
        let mut explained = Vec::new();
        let mut places: Vec<usize> = (0..EXPLAINED)
            .map(|part| part * source.len() / EXPLAINED)
            .collect();
        places.dedup();
        for index in places {
            let mut batch = source.batch(&[index as u32], None)?;
            let first = first_scored(&batch);
            let mut tokens = ids(&batch.take("tokens"));
            let last = first.unwrap_or(tokens.len().min(EXPLAINED_TOKENS) - 1);
            tokens.truncate(last + 1);
            let place = if first.is_some() { 0 } else { last };
            let Some(expected) = batch.take("targets").iter::<i64>().nth(place) else {
                continue;
            };
            let found = embedded.explain(model, &row(&tokens), device);
            let [before, after] = found.log_probability;
            let output = language.decode(&[found.output as u32]);
            explained.push(with_answer(
                format!("log-probability {before:.3} without the input, {after:.3} with it"),
                shown(&language, &tokens, Some(found.values)),
                Label::likely(output, found.probability),
                language.decode(&[expected as u32]),
            ));
        }
        sections.push(attributions(explained));
        Ok(sections)
    }

    fn continues(&self) -> Option<&dyn Continues<M>> {
        Some(self)
    }

    fn promises(&self) -> Vec<Promise<M>> {
        let (forward, decoder) = (self.forward, self.decoder);
        vec![
            no_look_into_the_future(forward, self.input.vocab_size),
            Promise {
                about: "token by token through the cache is the full pass",
                holds: Box::new(move |model, batch, device| {
                    let tokens = batch.rows(1).take("tokens");
                    let whole = forward(model, Tensor::from_data(tokens.clone(), device));
                    let whole: Vec<f64> = whole.into_data().iter::<f64>().collect();
                    let cached = decoder(model, device).logits(&ids(&tokens));
                    let cached: Vec<f64> = cached.iter::<f64>().collect();
                    match furthest(&cached, &whole) {
                        most if most <= SAME_SUMS => Ok(()),
                        most => Err(format!("the cache is {most:e} from the full pass")),
                    }
                }),
            },
        ]
    }
}

/// A token changes the outputs from its position on, and none before it.
fn no_look_into_the_future<M: 'static>(
    forward: fn(&M, Tensor<2, Int>) -> Tensor<3>,
    vocab_size: usize,
) -> Promise<M> {
    /// Of what must not move at all; rounding may differ where products are cut otherwise.
    const BOUND: f64 = 1e-6;
    let holds = move |model: &M, batch: &Batch, device: &Device| {
        let tokens = ids(&batch.rows(1).take("tokens"));
        let output = |tokens: &[u32]| -> Vec<f64> {
            let logits = forward(model, Tensor::from_data(row(tokens), device));
            logits.into_data().iter::<f64>().collect()
        };
        let before = output(&tokens);
        let each = before.len() / tokens.len();
        for changed in 0..tokens.len() {
            let mut other = tokens.clone();
            other[changed] = (other[changed] + 1) % vocab_size as u32;
            let after = output(&other);
            let seen = changed * each;
            let past = furthest(&before[..seen], &after[..seen]);
            if past > BOUND {
                return Err(format!("token {changed} moved earlier logits by {past:e}"));
            }
            if furthest(&before[seen..], &after[seen..]) <= BOUND {
                return Err(format!("token {changed} moved nothing"));
            }
        }
        Ok(())
    };
    Promise {
        about: "no look into the future",
        holds: Box::new(holds),
    }
}

impl<M: Module + 'static> Continues<M> for NextToken<M> {
    fn write(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        writing: &Writing<'_>,
        device: &Device,
        say: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Written, AnswerError> {
        let asked = |problem: String| AnswerError::Input(problem);
        let codec = codec.of::<Continuation>().map_err(asked)?;
        let language = codec.text.open().map_err(asked)?;
        let prompt = (language.prompt(writing.prompt))
            .map_err(|problem| AnswerError::Input(format!("--prompt: {problem}")))?;
        if prompt.is_empty() {
            return Err(AnswerError::Input(
                "--prompt is empty: a decoder needs a token to continue from".into(),
            ));
        }
        let mut stop = codec.stops(&language);
        stop.extend(stops(writing.stop, &language).map_err(asked)?);
        let mut decoder = (self.decoder)(model, device);
        // `top_k: …` is `--top-k: …` here.
        (decoder.check(&writing.sampling)).map_err(|problem| match problem.split_once(':') {
            Some((key, rest)) => asked(format!("--{}:{rest}", key.replace('_', "-"))),
            None => asked(problem),
        })?;
        let context = decoder.context();
        if prompt.len() > context {
            (writing.warn)(&format!(
                "the prompt has {} tokens, and the model sees {context} at once: it goes on from the last \
                 {context}",
                prompt.len()
            ));
        }
        let (mut streaming, text) = Streaming::new(&language, writing.prompt, &prompt);
        let mut written = Written { text, tokens: 0 };
        let mut wants_more = say(&written.text) && writing.tokens > 0;
        let mut stream = Stream::new(writing.seed);
        let generated = if wants_more {
            decoder.generate(
                &prompt,
                &writing.sampling,
                &stop,
                &mut || unit(&mut stream),
                &mut |token| {
                    let piece = streaming.push(token);
                    wants_more = say(&piece);
                    written.text.push_str(&piece);
                    written.tokens += 1;
                    wants_more && written.tokens < writing.tokens
                },
            )
        } else {
            Ok(())
        };
        generated.map_err(AnswerError::Output)?;
        let rest = streaming.finish();
        say(&rest);
        written.text.push_str(&rest);
        Ok(written)
    }

    fn cached(&self, model: &M, mut batch: Batch, device: &Device) -> TensorData {
        let tokens = batch.take("tokens");
        let t = tokens.shape()[1];
        let first: Vec<u32> = ids(&tokens).into_iter().take(t).collect();
        let logits = (self.decoder)(model, device).logits(&first);
        let k = logits.shape()[1];
        TensorData::from_bytes_vec(logits.as_bytes().to_vec(), [1, t, k], logits.dtype())
    }

    fn steps<'m>(&self, model: &'m M, device: &'m Device) -> Option<Box<dyn FnMut() + 'm>> {
        let mut decoder = (self.decoder)(model, device);
        let mut token = 0;
        Some(Box::new(move || {
            let logits = decoder.next(&[token]);
            let likeliest = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            token = likeliest.map_or(0, |(token, _)| token as u32);
        }))
    }
}

/// The tokens of texts that end another.
fn stops(texts: &[String], language: &Language) -> Result<Vec<u32>, String> {
    let stop = |text: &String| {
        let tokens = language.plain(text);
        match tokens.map_err(|problem| format!("--stop: {problem}"))?[..] {
            [token] => Ok(token),
            ref tokens => Err(format!(
                "--stop {text:?}: {} tokens; a stop is one",
                tokens.len()
            )),
        }
    };
    texts.iter().map(stop).collect()
}
