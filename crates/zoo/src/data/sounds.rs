//! Recordings and what is said in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataset::Dataset;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_audio::{AudioOptions, AudioSet, SetInfo};
use zoo_codec::sound::{LogMel, Sound};
use zoo_tasks::transcribe::{
    LONGEST_SECONDS, Recordings, SpecAugment, Tightest, Transcription, Utterances,
};
use zoo_train::{Source, SourceError, check_keys, fields_of, from_table};

use super::{Asked, Data, needs_path, options, refuse, unreadable};
use zoo_program::Error;
use zoo_program::data::SPLIT_SEED;
use zoo_program::error::chain;

/// Samples in a second, of a set whose recordings may differ and where nothing else is said.
const USUAL_RATE: u32 = 16_000;

/// `[data]` of a recipe of recordings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SoundOptions {
    name: String,
    /// Your own recordings only: the folder that holds them.
    path: Option<PathBuf>,
    /// Keys of the log-mel features that differ from the usual ones: 40 bands of 25 ms every 10 ms, at
    /// the set's sampling rate.
    features: Table,
    /// The longest recording that is read.
    longest_seconds: f64,
    /// Masks over frames while training, and the most frames of one: SpecAugment.
    time_masks: usize,
    time_mask: usize,
    /// Masks over bands while training, and the most bands of one.
    band_masks: usize,
    band_mask: usize,
    /// Share of the training recordings that choose the best model, where the set has none for it.
    valid_fraction: f64,
    /// Decides which these are.
    split_seed: u64,
}

impl Default for SoundOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            features: Table::new(),
            longest_seconds: LONGEST_SECONDS,
            time_masks: 0,
            time_mask: 0,
            band_masks: 0,
            band_mask: 0,
            valid_fraction: AudioOptions::default().valid_fraction,
            split_seed: SPLIT_SEED,
        }
    }
}

impl SoundOptions {
    /// What is covered of the training recordings.
    fn augment(&self, features: &LogMel) -> Result<SpecAugment, Error> {
        let augment = SpecAugment {
            time_masks: self.time_masks,
            time_mask: self.time_mask,
            band_masks: self.band_masks,
            band_mask: self.band_mask,
        };
        let checked = augment.check(features.n_mels);
        checked.map_err(|problem| Error::Request(format!("data.{problem}")))?;
        Ok(augment)
    }

    /// The features, at the rate that they or the set say.
    fn features(&self, set: &SetInfo, kept: Option<&LogMel>) -> Result<LogMel, Error> {
        let place = "data.features";
        let known = fields_of::<LogMel>();
        check_keys(&self.features, place, "log-mel features", known).map_err(Error::Request)?;
        let said = self.features.get("sample_rate");
        let said = said.and_then(toml::Value::as_integer);
        let said = said.and_then(|rate| u32::try_from(rate).ok());
        let usual = LogMel::speech(said.or(set.rate).unwrap_or(USUAL_RATE));
        let usual = kept.cloned().unwrap_or(usual);
        let mut table = Table::try_from(&usual).map_err(unreadable)?;
        table.extend(self.features.clone());
        let features: LogMel = from_table(table, place).map_err(Error::Request)?;
        let valid = features.validate();
        valid.map_err(|error| Error::Request(format!("{place}: {}", chain(&error))))?;
        Ok(features)
    }
}

/// Opens a set of recordings.
pub(super) fn open(
    name: &str,
    table: &Table,
    directory: &Path,
    asked: Asked<'_>,
) -> Result<Data, Error> {
    let set = zoo_audio::find(name).map_err(unreadable)?;
    let options: SoundOptions = options(table, set.name)?;
    let is_folder = !set.built_in && set.rate.is_none();
    let path = match is_folder {
        true => Some(needs_path(options.path.clone(), set.name, "recordings")?),
        false => {
            let why = "it lies in the data directory, or is built in";
            refuse(table, set.name, &["path"], why)?;
            None
        }
    };
    let how = AudioOptions {
        path,
        valid_fraction: options.valid_fraction,
        split_seed: options.split_seed,
        ..AudioOptions::default()
    };
    let opened = zoo_audio::open(set.name, directory, &how).map_err(unreadable)?;
    let split = |set: AudioSet| -> Arc<dyn Utterances> { Arc::new(Split(set)) };
    let (train, valid, test) = (
        split(opened.train),
        opened.valid.map(split),
        opened.test.map(split),
    );
    let kept: Option<&Transcription> = asked.kept_as();
    let mut codec = match kept {
        Some(kept) => kept.clone(),
        None => {
            let texts = (0..train.len()).map(|index| train.text(index));
            Transcription::new(options.features(set, None)?, options.longest_seconds, texts)
        }
    };
    if kept.is_some() && asked.whole::<Transcription>().is_none() {
        // What weights hear is said by them, unless the recipe says otherwise.
        codec.features = options.features(set, Some(&codec.features))?;
        codec.longest_seconds = options.longest_seconds;
    }
    zoo_tasks::Codec::check(&codec).map_err(Error::Request)?;
    let mut tightest = None;
    let augment = options.augment(&codec.features)?;
    let mut source = |split: Arc<dyn Utterances>, augment| -> Result<Arc<dyn Source>, Error> {
        let read = Recordings::open(split, &codec).map(|read| read.augmented(augment));
        let read = read.map_err(|error| Error::Request(chain(&*error)))?;
        tightest = Tightest::of(tightest.take(), read.tightest().cloned());
        Ok(Arc::new(read))
    };
    let train = source(train, augment)?;
    let mut whole = |split| source(split, SpecAugment::default());
    let valid = valid.map(&mut whole).transpose()?;
    let test = test.map(&mut whole).transpose()?;
    codec.tightest = tightest;
    Ok(Data {
        set: set.name.to_owned(),
        codec: Arc::new(codec),
        train,
        valid,
        test,
        warnings: opened.warnings,
    })
}

/// Recordings of one split.
struct Split(AudioSet);

impl Utterances for Split {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn sound(&self, index: usize) -> Result<Sound, SourceError> {
        let utterance = self.0.get(index).map_err(|error| chain(&error))?;
        Ok(Sound {
            samples: utterance.samples,
            rate: utterance.rate,
        })
    }

    fn text(&self, index: usize) -> String {
        self.0.text(index)
    }

    fn name(&self, index: usize) -> String {
        match self.0.path(index) {
            Some(path) => path.display().to_string(),
            None => format!("recording {index}"),
        }
    }
}
