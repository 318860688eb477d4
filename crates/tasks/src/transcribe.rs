//! Speech as text, by connectionist temporal classification (Graves et al. 2006): `features [b, m, t]`,
//! `lengths [b]` in frames, `targets [b, u]` and `target_lengths [b]` in characters. What is behind a
//! recording's or a text's end is 0.

mod augment;
mod decoding;
mod recordings;

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use toml::Table;
use zoo_codec::sound::{Features, LogMel, Sound, read_sound};
use zoo_codec::text::Text;
use zoo_kernels::{Transcripts, ctc_loss};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, EvalBatches, Exhibit, Metric, Metrics, Part, Section, SourceError, Tally, Task, Unit,
    check_keys, fields_of, from_table,
};

pub use augment::SpecAugment;
pub use decoding::SPACE;
pub use recordings::{Recordings, Tightest, Utterances};

use crate::codec::{AnyCodec, Codec, kept_as};
use crate::metrics::ctc_decode::{beam_search, greedy};
use crate::metrics::wer::Edits;
use crate::room::{Answer, AnswerError, Answers, Promise, Room, Size, flat};
use crate::sentences::PAD_TO_MULTIPLE;

// b batch, m bands, t frames, s frames that leave the model, k characters and the blank, u characters

/// What stands between two characters; the characters' ids follow it.
const BLANK: usize = 0;
/// Seconds of a recording, where nothing else is said: far longer than a sentence, and little memory.
pub const LONGEST_SECONDS: f64 = 60.0;
/// What a recording may be set to at most: an hour.
const MOST_SECONDS: f64 = 3600.0;
/// Beams: beyond this a search takes minutes, and finds nothing better.
const MOST_BEAMS: usize = 1000;
/// Mistakes that are shown, and other recordings: each is a sound in a report.
const MISTAKES: usize = 6;
const SHOWN: usize = 4;
/// Frames of a made-up recording, and characters of its text.
const MADE_UP_FRAMES: usize = 96;
const MADE_UP_CHARACTERS: usize = 6;

/// How recordings are read, and texts written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcription {
    /// `sound`.
    kind: Kind,
    /// What of a sound the model is given.
    pub features: LogMel,
    /// The characters, the space first; the blank is none of them.
    pub text: Text,
    /// The longest recording that is read.
    pub longest_seconds: f64,
    /// The recording of the data with the fewest frames for its text, which no run keeps.
    #[serde(skip)]
    pub tightest: Option<Tightest>,
}

/// The one value of a codec's `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "sound")]
    Sound,
}

impl Transcription {
    /// Recordings of at most so many seconds, whose texts are of the characters of `texts`.
    pub fn new(
        features: LogMel,
        longest_seconds: f64,
        texts: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            kind: Kind::Sound,
            features,
            text: decoding::characters(texts),
            longest_seconds,
            tightest: None,
        }
    }

    /// The features of a sound.
    ///
    /// # Errors
    /// A sound that is too long.
    fn features_of(
        &self,
        sound: Sound,
        extractor: &zoo_codec::sound::Extractor,
    ) -> Result<Features, String> {
        let (seconds, most) = (sound.seconds(), self.longest_seconds);
        if seconds > most {
            return Err(format!(
                "{seconds:.1} s long, and recordings are read up to {most} s (data.longest_seconds); cut it"
            ));
        }
        extractor.features(sound).map_err(|error| chain(&error))
    }

    /// A file as the model is given it.
    fn read(&self, path: &str) -> Result<(Sound, Features), String> {
        let extractor = self.features.extractor().map_err(|error| chain(&error))?;
        let sound = read_sound(Path::new(path)).map_err(|error| chain(&error))?;
        let features = self
            .features_of(sound.clone(), &extractor)
            .map_err(|problem| format!("{path}: {problem}"))?;
        Ok((sound, features))
    }
}

impl Codec for Transcription {
    const TASK: &'static str = "transcribe speech";

    fn check(&self) -> Result<(), String> {
        let features = self.features.validate();
        features.map_err(|error| format!("codec.features: {}", chain(&error)))?;
        if !(self.longest_seconds > 0.0 && self.longest_seconds <= MOST_SECONDS) {
            return Err(format!(
                "codec.longest_seconds = {}: must be above 0 and at most {MOST_SECONDS}",
                self.longest_seconds
            ));
        }
        match &self.text {
            Text::Chars { chars } if chars.starts_with(' ') => self.text.open().map(drop),
            _ => Err("codec.text: expected characters, the space first".into()),
        }
    }

    fn decides(&self) -> Table {
        let characters = self.text.open().map_or(0, |text| text.vocabulary());
        Table::from_iter([
            ("num_classes".to_owned(), (characters as i64 + 1).into()),
            (
                "in_channels".to_owned(),
                (self.features.n_mels as i64).into(),
            ),
        ])
    }

    fn difference(&self, other: &Self) -> Option<String> {
        if self.features != other.features {
            return Some("the features of sounds (data.features) differ".into());
        }
        if self.text != other.text {
            return Some("the characters of the texts differ".into());
        }
        let (now, before) = (self.longest_seconds, other.longest_seconds);
        (now != before)
            .then(|| format!("recordings were read up to {before} s, and are to {now} s"))
    }
}

/// What a model of speech takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeechInput {
    /// Bands of a spectrogram.
    pub bands: usize,
    /// Frames that enter for one that leaves.
    pub stride: usize,
    /// Characters and the blank.
    pub num_classes: usize,
}

/// The keys of `[task]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// Texts that are followed at once; 1 takes the likeliest character of each frame.
    beams: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { beams: 1 }
    }
}

/// Scores of characters for each frame: logits `[b, s, k]` from features `[b, m, t]` and lengths `[b]`.
pub type Forward<M> = fn(&M, Tensor<3>, Tensor<1, Int>) -> Tensor<3>;

/// Transcription by a model of frames.
pub struct Transcribe<M> {
    forward: Forward<M>,
    input: SpeechInput,
    options: Options,
}

/// What a model says of a batch.
struct Heard {
    /// Of each frame and character `[b, s, k]`.
    logits: Tensor<3>,
    /// Frames `[b]` of them that are not padding.
    frames: Vec<usize>,
}

/// One answer, beside the truth.
struct Transcribed {
    heard: Vec<usize>,
    said: Vec<usize>,
    /// In nats a character.
    loss: f64,
}

impl<M: Module + 'static> Transcribe<M> {
    /// Logits by `forward`, without the room's type.
    pub fn room(forward: Forward<M>, input: SpeechInput) -> Box<dyn Room<M>> {
        Box::new(Self {
            forward,
            input,
            options: Options::default(),
        })
    }

    fn logits(&self, model: &M, batch: &mut Batch, device: &Device) -> Tensor<3> {
        let features = batch.float("features", device);
        (self.forward)(model, features, batch.int("lengths", device))
    }

    fn hear(&self, model: &M, batch: &mut Batch, device: &Device) -> Heard {
        let frames = sizes(batch, "lengths");
        let frames = frames
            .iter()
            .map(|frames| frames.div_ceil(self.input.stride));
        Heard {
            frames: frames.collect(),
            logits: self.logits(model, batch, device),
        }
    }

    /// The loss of each example `[b]`, in nats a character. Texts are of a character at least, and fit
    /// their frames: the data was held against that.
    fn losses(&self, heard: &Heard, batch: &mut Batch, device: &Device) -> Tensor<1> {
        let transcripts = Transcripts {
            frames: heard.frames.clone(),
            texts: texts(batch),
        };
        let losses = ctc_loss(heard.logits.clone(), &transcripts);
        losses / batch.int::<1>("target_lengths", device).float()
    }

    /// The characters that are heard in each recording.
    fn decode(&self, heard: &Heard) -> Vec<Vec<usize>> {
        let [_, s, k] = heard.logits.dims();
        let scores = log_softmax(heard.logits.clone(), 2).into_data();
        let scores: Vec<f32> = scores.iter::<f32>().collect();
        let rows = scores.chunks((s * k).max(1)).zip(&heard.frames);
        rows.map(|(row, frames)| {
            let row = &row[..frames * k];
            match self.options.beams {
                1 => greedy(row, k, BLANK),
                beams => beam_search(row, k, BLANK, beams).0,
            }
        })
        .collect()
    }

    fn transcribed(&self, model: &M, mut batch: Batch, device: &Device) -> Vec<Transcribed> {
        let said = texts(&batch);
        let heard = self.hear(model, &mut batch, device);
        let losses = self.losses(&heard, &mut batch, device).into_data();
        let answers = self.decode(&heard).into_iter().zip(said);
        let answers = answers.zip(losses.iter::<f64>());
        answers
            .map(|((heard, said), loss)| Transcribed { heard, said, loss })
            .collect()
    }
}

/// The whole numbers of a column.
fn sizes(batch: &Batch, name: &str) -> Vec<usize> {
    let column = batch.column(name).into_iter();
    let values = column.flat_map(|data| data.iter::<i64>());
    values.map(|value| value as usize).collect()
}

/// The texts of a batch, without what they are padded with.
fn texts(batch: &Batch) -> Vec<Vec<usize>> {
    let (ids, lengths) = (sizes(batch, "targets"), sizes(batch, "target_lengths"));
    let u = ids.len() / lengths.len().max(1);
    let rows = ids.chunks(u.max(1)).zip(lengths);
    rows.map(|(row, length)| row[..length].to_vec()).collect()
}

/// A batch of features, and the texts' characters where they are known.
fn batch(recordings: &[&Features], texts: &[&[u32]]) -> Batch {
    let b = recordings.len();
    let longest = recordings.iter().map(|features| features.frames).max();
    let t = longest.unwrap_or(0).next_multiple_of(PAD_TO_MULTIPLE);
    let m = recordings.first().map_or(0, |features| features.n_mels);
    let mut values = vec![0.0; b * m * t];
    let rows = recordings
        .iter()
        .flat_map(|features| features.values.chunks(features.frames.max(1)));
    for (padded, row) in values.chunks_mut(t.max(1)).zip(rows) {
        padded[..row.len()].copy_from_slice(row);
    }
    let lengths = recordings.iter().map(|features| features.frames as i32);
    let batch = Batch::new(b)
        .with("features", TensorData::new(values, [b, m, t]))
        .with(
            "lengths",
            TensorData::new(lengths.collect::<Vec<i32>>(), [b]),
        );
    if texts.is_empty() {
        return batch;
    }
    let u = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let lengths: Vec<i32> = texts.iter().map(|text| text.len() as i32).collect();
    let targets = crate::sentences::pad(texts.iter().copied(), u, BLANK as u32);
    batch
        .with("targets", targets)
        .with("target_lengths", TensorData::new(lengths, [b]))
}

impl<M: Module + 'static> Task<M> for Transcribe<M> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        vec![
            Metric::lower("loss", Unit::Nats),
            Metric::lower("wer", Unit::Share),
            Metric::lower("cer", Unit::Share),
        ]
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let heard = self.hear(model, &mut batch, device);
        self.losses(&heard, &mut batch, device).mean()
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Sums {
            task: self,
            recordings: 0,
            loss: 0.0,
            words: Edits::default(),
            characters: Edits::default(),
        })
    }
}

/// Edits of a split, and the sum of its losses.
struct Sums<'a, M> {
    task: &'a Transcribe<M>,
    recordings: usize,
    loss: f64,
    words: Edits,
    characters: Edits,
}

impl<M: Module + 'static> Tally<M> for Sums<'_, M> {
    fn add(&mut self, model: &M, batch: Batch, device: &Device) {
        for answer in self.task.transcribed(model, batch, device) {
            self.recordings += 1;
            self.loss += answer.loss;
            self.words += decoding::word_edits(&answer.said, &answer.heard);
            self.characters += decoding::character_edits(&answer.said, &answer.heard);
        }
    }

    fn metrics(&self) -> Metrics {
        let loss = self.loss / self.recordings.max(1) as f64;
        let values = [
            ("loss", loss),
            ("wer", self.words.rate()),
            ("cer", self.characters.rate()),
        ];
        let named = values.into_iter();
        named
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

impl<M: Module + 'static> Room<M> for Transcribe<M> {
    fn name(&self) -> &'static str {
        Transcription::TASK
    }

    fn configure(&mut self, options: &Table) -> Result<(), String> {
        check_keys(options, "task", "task", fields_of::<Options>())?;
        let options: Options = from_table(options.clone(), "task")?;
        if !(1..=MOST_BEAMS).contains(&options.beams) {
            return Err(format!(
                "task.beams = {}: must be from 1 to {MOST_BEAMS}",
                options.beams
            ));
        }
        self.options = options;
        Ok(())
    }

    fn options(&self) -> Table {
        Table::try_from(self.options).expect("plain values")
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["features", "lengths"]
    }

    fn output(&self, model: &M, mut batch: Batch, device: &Device) -> (Tensor<1>, Vec<usize>) {
        flat(self.logits(model, &mut batch, device))
    }

    fn outputs(&self) -> usize {
        self.input.num_classes
    }

    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch {
        let SpeechInput {
            bands,
            stride,
            num_classes,
        } = self.input;
        let (b, t) = (size.examples, MADE_UP_FRAMES);
        let level = |_| stream.below(4096) as f32 / 1024.0 - 2.0;
        let values: Vec<f32> = (0..b * bands * t).map(level).collect();
        // Every second one is shorter than the batch.
        let lengths: Vec<i32> = (0..b).map(|row| (t - row % 2 * t / 4) as i32).collect();
        // Between two equal characters is a blank.
        let fit = (t - t / 4).div_ceil(stride).div_ceil(2);
        let u = MADE_UP_CHARACTERS.min(fit).max(1);
        let character = |_| 1 + stream.below(num_classes - 1) as i32;
        let targets: Vec<i32> = (0..b * u).map(character).collect();
        Batch::new(b)
            .with("features", TensorData::new(values, [b, bands, t]))
            .with("lengths", TensorData::new(lengths, [b]))
            .with("targets", TensorData::new(targets, [b, u]))
            .with("target_lengths", TensorData::new(vec![u as i32; b], [b]))
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<Transcription>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let codec = codec.fitting::<Transcription>(model, set)?;
        let SpeechInput {
            bands,
            stride,
            num_classes,
        } = self.input;
        let n_mels = codec.features.n_mels;
        if n_mels != bands {
            return Err(format!(
                "model {model} takes {bands} bands, but data set {set} gives {n_mels}; set \
                 model.in_channels = {n_mels}, or data.features.n_mels = {bands}"
            ));
        }
        let needed = codec.text.open()?.vocabulary() + 1;
        if needed != num_classes {
            return Err(format!(
                "model {model} has {num_classes} outputs, but the texts of data set {set} have {} \
                 characters, and a blank stands between them; set model.num_classes = {needed}",
                needed - 1
            ));
        }
        match &codec.tightest {
            Some(tightest) if tightest.frames.div_ceil(stride) < tightest.needed => Err(format!(
                "data set {set}: {tightest}, and of {} frames one in {stride} leaves model {model}; take \
                 the recording out, or set a smaller model.stem.stride or data.features.hop_length",
                tightest.frames
            )),
            _ => Ok(()),
        }
    }

    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String> {
        let codec = codec.of::<Transcription>()?;
        let language = codec.text.open()?;
        Ok(Box::new(move |input, _| {
            let (_, features) = codec.read(input)?;
            let heard = self.hear(model, &mut batch(&[&features], &[]), device);
            let sum: f32 = heard.logits.clone().sum().into_scalar();
            if !sum.is_finite() {
                return Err(AnswerError::not_finite());
            }
            let text = self.decode(&heard).pop().unwrap_or_default();
            let text = decoding::written(&language, &text);
            let json = serde_json::json!({ "text": text });
            Ok(Answer::new(Exhibit::text(text), json))
        }))
    }

    fn examine(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
        device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        let language = codec.of::<Transcription>()?.text.open()?;
        let mut answers = Vec::with_capacity(split.source.len());
        split.each(|batch| answers.extend(self.transcribed(model, batch, device)))?;
        let edits: Vec<usize> = answers
            .iter()
            .map(|answer| decoding::word_edits(&answer.said, &answer.heard).count())
            .collect();
        let mut worst: Vec<usize> = (0..answers.len()).filter(|at| edits[*at] > 0).collect();
        let order = |at: &usize| (std::cmp::Reverse(edits[*at]), *at);
        worst.sort_by_key(order);
        worst.truncate(MISTAKES);
        let mut some: Vec<usize> = (0..SHOWN)
            .map(|part| part * answers.len() / SHOWN)
            .collect();
        some.dedup();
        some.retain(|at| *at < answers.len() && !worst.contains(at));
        let show = |at: &usize| -> Result<zoo_train::Example, SourceError> {
            let (answer, edits) = (&answers[*at], edits[*at]);
            let words = if edits == 1 { "word" } else { "words" };
            let mut example = zoo_train::Example::new(format!("no. {at}, {edits} {words} wrong"));
            example.parts = split.source.shown(*at)?;
            let written = |text: &[usize]| Exhibit::text(decoding::written(&language, text));
            Ok(example
                .with(Part::ANSWER, written(&answer.heard))
                .with(Part::TRUTH, written(&answer.said)))
        };
        let section = |title: &str, about: &str, chosen: &[usize]| {
            let examples: Result<Vec<_>, SourceError> = chosen.iter().map(show).collect();
            Ok::<_, SourceError>(Section {
                examples: examples?,
                ..Section::new(title, about)
            })
        };
        Ok(vec![
            section(
                "Worst mistakes",
                "The recordings with the most wrong words.",
                &worst,
            )?,
            section("Recordings", "Spread over the split.", &some)?,
        ])
    }

    fn promises(&self) -> Vec<Promise<M>> {
        vec![padding_changes_nothing(self.forward, self.input)]
    }
}

/// What is behind a recording's end, and how much of it, changes no frame of it; and as many frames
/// leave as the row of the model says.
fn padding_changes_nothing<M: 'static>(forward: Forward<M>, input: SpeechInput) -> Promise<M> {
    /// The sums are of the same terms, in another order.
    const BOUND: f64 = 1e-4;
    /// Frames of padding, and their values, which are unlike any feature.
    const FRAMES: usize = 24;
    const VALUE: f32 = 7.0;
    let holds = move |model: &M, batch: &Batch, device: &Device| {
        let features = batch.rows(1).take("features");
        let t = features.shape()[2];
        let features = Tensor::<3>::from_data(features, device);
        let padding = Tensor::<3>::full([1, features.dims()[1], FRAMES], VALUE, device);
        let padded = Tensor::cat(vec![features.clone(), padding], 2);
        let output = |features| {
            let lengths = Tensor::from_data(TensorData::new(vec![t as i32], [1]), device);
            forward(model, features, lengths)
        };
        let (alone, padded) = (output(features), output(padded));
        let s = t.div_ceil(input.stride);
        if alone.dims()[1] != s {
            return Err(format!("{} frames leave for {t}, not {s}", alone.dims()[1]));
        }
        let most = (alone - padded.narrow(1, 0, s)).abs().max();
        let most = f64::from(most.into_scalar::<f32>());
        match most <= BOUND {
            true => Ok(()),
            false => Err(format!("padding moves an output by {most}")),
        }
    };
    Promise {
        about: "padding changes nothing",
        holds: Box::new(holds),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
