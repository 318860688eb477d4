//! Recordings and their texts as batches.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zoo_codec::sound::{Extractor, Features, Sound};
use zoo_codec::text::Language;
use zoo_train::rng::{Purpose, Stream, derive};
use zoo_train::{Batch, Exhibit, Part, Pass, Source, SourceError};

use super::{SpecAugment, Transcription, batch, chain, decoding};

/// Bytes of features of a split that are kept: nine hours of 40 bands every 10 ms. What is beyond is
/// computed whenever a batch asks for it.
const MOST_KEPT_BYTES: usize = 512 << 20;
/// Columns of a spectrogram that is shown; more are averaged.
const COLUMNS: usize = 300;

/// Recordings and what is said in them, as a data set has them.
pub trait Utterances: Send + Sync {
    /// Recordings.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads or makes a recording.
    ///
    /// # Errors
    /// Whatever keeps it from being read, by name.
    fn sound(&self, index: usize) -> Result<Sound, SourceError>;

    /// What is said in it, without reading it.
    fn text(&self, index: usize) -> String;

    /// What it is called in messages: its file.
    fn name(&self, index: usize) -> String;
}

/// A recording and the frames that its text needs: one a character, and one between two that are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tightest {
    /// What it is called.
    pub name: String,
    /// Frames of its features.
    pub frames: usize,
    /// Frames that its text needs at least.
    pub needed: usize,
}

impl Tightest {
    /// Whether a smaller stride is asked for than by the other.
    fn is_tighter(&self, other: &Self) -> bool {
        // A text of one character fits whatever the stride.
        let (gaps, others) = (self.needed - 1, other.needed - 1);
        self.frames.saturating_sub(1) * others < other.frames.saturating_sub(1) * gaps
    }

    /// The one of two that asks for the smaller stride.
    #[must_use]
    pub fn of(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) if other.is_tighter(&one) => Some(other),
            (one, other) => one.or(other),
        }
    }
}

impl fmt::Display for Tightest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, needed, .. } = self;
        write!(f, "the text of {name} needs {needed} frames")
    }
}

/// Recordings of a split as a model's examples. Each is decoded once when they are opened, so that what
/// cannot be used is found before anything is computed.
pub struct Recordings {
    utterances: Arc<dyn Utterances>,
    codec: Transcription,
    extractor: Extractor,
    examples: Vec<Recording>,
    tightest: Option<Tightest>,
    augment: SpecAugment,
}

/// What is kept of a recording.
struct Recording {
    text: Vec<u32>,
    frames: usize,
    features: Option<Features>,
}

impl Recordings {
    /// Reads every recording once.
    ///
    /// # Errors
    /// The first recording that cannot be read or is too long, or whose text is empty or has a character
    /// that the codec does not know, by name.
    pub fn open(
        utterances: Arc<dyn Utterances>,
        codec: &Transcription,
    ) -> Result<Self, SourceError> {
        let language = codec.text.open()?;
        let extractor = codec.features.extractor().map_err(|error| chain(&error))?;
        let mut opened = Self {
            codec: codec.clone(),
            extractor,
            examples: Vec::with_capacity(utterances.len()),
            tightest: None,
            augment: SpecAugment::default(),
            utterances,
        };
        opened.examples = opened.read_all(&language)?;
        for (index, example) in opened.examples.iter().enumerate() {
            let tightest = Tightest {
                name: opened.utterances.name(index),
                frames: example.frames,
                needed: decoding::needed(&example.text),
            };
            opened.tightest = Tightest::of(opened.tightest, Some(tightest));
        }
        Ok(opened)
    }

    /// With parts of what is trained on covered.
    #[must_use]
    pub fn augmented(self, augment: SpecAugment) -> Self {
        Self { augment, ..self }
    }

    /// The recording with the fewest frames for its text.
    pub fn tightest(&self) -> Option<&Tightest> {
        self.tightest.as_ref()
    }

    /// All recordings, by a few threads.
    fn read_all(&self, language: &Language) -> Result<Vec<Recording>, SourceError> {
        let count = self.utterances.len();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let part = count.div_ceil(threads).max(1);
        let kept = AtomicUsize::new(0);
        thread::scope(|scope| {
            let read = |start: usize| {
                let end = (start + part).min(count);
                let read = (start..end).map(|index| self.read(index, language, &kept));
                read.collect::<Result<Vec<_>, SourceError>>()
            };
            let spawn = |start| scope.spawn(move || read(start));
            let workers: Vec<_> = (0..count).step_by(part).map(spawn).collect();
            let mut all = Vec::with_capacity(count);
            for worker in workers {
                let read = worker.join();
                all.extend(read.map_err(|_| "a thread that read recordings panicked")??);
            }
            Ok(all)
        })
    }

    fn read(
        &self,
        index: usize,
        language: &Language,
        kept: &AtomicUsize,
    ) -> Result<Recording, SourceError> {
        let name = || self.utterances.name(index);
        let text = decoding::ids(language, &self.utterances.text(index));
        let text = text.map_err(|problem| format!("{}: {problem}", name()))?;
        let features = self.compute(index)?;
        let bytes = size_of_val(&*features.values);
        let fits = kept.fetch_add(bytes, Ordering::Relaxed) + bytes <= MOST_KEPT_BYTES;
        Ok(Recording {
            text,
            frames: features.frames,
            features: fits.then_some(features),
        })
    }

    fn compute(&self, index: usize) -> Result<Features, SourceError> {
        let sound = self.utterances.sound(index)?;
        let features = self.codec.features_of(sound, &self.extractor);
        Ok(features.map_err(|problem| format!("{}: {problem}", self.utterances.name(index)))?)
    }

    fn features(&self, index: usize) -> Result<Cow<'_, [f32]>, SourceError> {
        match &self.examples[index].features {
            Some(features) => Ok(Cow::Borrowed(&features.values)),
            None => Ok(Cow::Owned(self.compute(index)?.values)),
        }
    }
}

impl Source for Recordings {
    fn len(&self) -> usize {
        self.examples.len()
    }

    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
        let mut computed = Vec::with_capacity(indices.len());
        for index in indices {
            let kept = &self.examples[*index as usize].features;
            let mut features = match kept {
                Some(features) => Cow::Borrowed(features),
                None => Cow::Owned(self.compute(*index as usize)?),
            };
            if let Some(Pass { seed, epoch }) = pass.filter(|_| self.augment.is_on()) {
                let seed = derive(seed, Purpose::Example, &[epoch, u64::from(*index)]);
                (self.augment).apply(features.to_mut(), &mut Stream::new(seed));
            }
            computed.push(features);
        }
        let features: Vec<&Features> = computed.iter().map(AsRef::as_ref).collect();
        let text = |index: &u32| &*self.examples[*index as usize].text;
        let texts: Vec<&[u32]> = indices.iter().map(text).collect();
        Ok(batch(&features, &texts))
    }

    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        for index in examples {
            for value in self.features(index)?.iter() {
                add(&value.to_le_bytes());
            }
            for id in &self.examples[index].text {
                add(&id.to_le_bytes());
            }
        }
        Ok(())
    }

    fn shown(&self, example: usize) -> Result<Vec<Part>, SourceError> {
        let sound = self.utterances.sound(example)?;
        let features = self.codec.features_of(sound.clone(), &self.extractor)?;
        let part = |caption: &str, exhibit| Part {
            caption: caption.to_owned(),
            exhibit,
        };
        let heard = Exhibit::Sound {
            wav: BASE64_STANDARD.encode(sound.to_wav()),
            seconds: sound.seconds(),
        };
        Ok(vec![part("", heard), part("spectrogram", heat(&features))])
    }
}

/// A spectrogram, the lowest band at the bottom.
fn heat(features: &Features) -> Exhibit {
    let Features { n_mels, frames, .. } = *features;
    let width = frames.div_ceil(COLUMNS).max(1);
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let bands = features.values.chunks(frames.max(1));
    let values: Vec<f32> = bands
        .flat_map(|band| band.chunks(width).map(mean))
        .collect();
    Exhibit::Heat {
        size: [n_mels, frames.div_ceil(width)],
        values,
        axes: ["time".into(), "band".into()],
    }
}
