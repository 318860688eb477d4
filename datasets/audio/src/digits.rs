//! Spoken numbers: clips of single digits (the Free Spoken Digit Dataset, Jackson et al. 2016), several
//! of one speaker in a row with short pauses, drawn for each item. As the set's authors have it, clips
//! of index 0 to 4 are for the test; no clip is in two splits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zoo_codec::sound::{Sound, read_sound};

use crate::draws::{Draws, Part};
use crate::files::find_recordings;
use crate::hold_out::hold_out;
use crate::{AudioError, AudioOptions, AudioSet, Items, Splits, Utterance};

const PLACES: [&str; 3] = [
    "spoken-digits",
    "spoken-digits/recordings",
    "free-spoken-digit-dataset/recordings",
];
const WORDS: [&str; 10] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];
/// The clips' own rate.
const RATE: u32 = 8000;
/// Of a number, in digits.
const DIGITS: [usize; 4] = [2, 3, 4, 5];
/// Before, between and after the digits.
const PAUSE_SECONDS: [f32; 2] = [0.03, 0.15];
/// Digits are about as loud as each other: a clip's peak is brought to one of these.
const PEAK: [f32; 2] = [0.4, 0.9];
/// Recorded noise under the pauses, of full scale.
const NOISE: f32 = 0.002;
/// Numbers that are put together of the clips: about as many words as there are clips, twice.
const TRAIN_ITEMS: usize = 600;
const VALID_ITEMS: usize = 60;
const TEST_ITEMS: usize = 200;

/// Clips by speaker and digit.
type Clips = BTreeMap<String, [Vec<PathBuf>; 10]>;

/// Numbers of one split.
#[derive(Debug)]
pub(crate) struct Numbers {
    speakers: Vec<[Vec<PathBuf>; 10]>,
    part: Part,
    seed: u64,
    length: usize,
}

/// A number, before its clips are read.
struct Number<'a> {
    clips: Vec<(usize, &'a Path)>,
    draws: Draws,
}

pub(crate) fn open(data_dir: &Path, options: &AudioOptions) -> Result<Splits, AudioError> {
    let (mut train, mut valid, mut test) = (Clips::new(), Clips::new(), Clips::new());
    for path in find_recordings("spoken-digits", data_dir, &PLACES)? {
        let (digit, speaker, index) = clip(&path)?;
        let clips = if index < 5 { &mut test } else { &mut train };
        clips.entry(speaker).or_default()[digit].push(path);
    }
    for (speaker, digits) in &mut train {
        for (digit, clips) in digits.iter_mut().enumerate() {
            let seed = options
                .split_seed
                .wrapping_mul(10)
                .wrapping_add(digit as u64);
            let (kept, held) = hold_out(std::mem::take(clips), options.valid_fraction, seed);
            *clips = kept;
            valid.entry(speaker.clone()).or_default()[digit] = held;
        }
    }
    let set = |clips: Clips, part, length| {
        let speakers = complete(clips);
        let numbers = Numbers {
            speakers,
            part,
            seed: options.seed,
            length,
        };
        (!numbers.speakers.is_empty()).then_some(AudioSet {
            items: Items::Numbers(numbers),
        })
    };
    let missing = |split: &str| AudioError::Unexpected {
        path: data_dir.join("spoken-digits"),
        expected: format!("a speaker with clips of all ten digits to {split} on"),
        found: "none".into(),
        next: "fetch the set anew with `cargo xtask data fetch spoken-digits`".into(),
    };
    Ok(Splits {
        train: set(train, Part::Train, TRAIN_ITEMS).ok_or_else(|| missing("train"))?,
        valid: set(valid, Part::Valid, VALID_ITEMS),
        test: Some(set(test, Part::Test, TEST_ITEMS).ok_or_else(|| missing("test"))?),
        warnings: Vec::new(),
    })
}

/// The speakers who say every digit.
fn complete(clips: Clips) -> Vec<[Vec<PathBuf>; 10]> {
    let all = |digits: &[Vec<PathBuf>; 10]| digits.iter().all(|clips| !clips.is_empty());
    clips.into_values().filter(all).collect()
}

/// `7_jackson_32.wav`: digit, speaker, index.
fn clip(path: &Path) -> Result<(usize, String, usize), AudioError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let parts = || {
        let (digit, rest) = name.split_once('_')?;
        let (speaker, index) = rest.rsplit_once('_')?;
        let digit = digit.parse().ok().filter(|digit| *digit < 10)?;
        Some((digit, speaker.to_string(), index.parse().ok()?))
    };
    parts().ok_or_else(|| AudioError::Unexpected {
        path: path.into(),
        expected: "a name of digit, speaker and index, as 7_jackson_32.wav".into(),
        found: format!("{name:?}"),
        next: "rename or remove the file".into(),
    })
}

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn text(&self, index: usize) -> String {
        let number = self.number(index);
        let words: Vec<_> = number
            .clips
            .iter()
            .map(|(digit, _)| WORDS[*digit])
            .collect();
        words.join(" ")
    }

    /// Drawn from (seed, split, index).
    fn number(&self, index: usize) -> Number<'_> {
        let mut draws = Draws::new(self.seed, self.part, index);
        let speaker = draws.choose(&self.speakers);
        let count = *draws.choose(&DIGITS);
        let draw = |_| {
            let digit = draws.below(10);
            (digit, draws.choose(&speaker[digit]).as_path())
        };
        Number {
            clips: (0..count).map(draw).collect(),
            draws,
        }
    }

    pub(crate) fn read(&self, index: usize) -> Result<Utterance, AudioError> {
        let Number { clips, mut draws } = self.number(index);
        let mut samples = Vec::new();
        let pause = |samples: &mut Vec<f32>, draws: &mut Draws| {
            let length = draws.between(PAUSE_SECONDS) * RATE as f32;
            samples.resize(samples.len() + length as usize, 0.0);
        };
        pause(&mut samples, &mut draws);
        for (_, path) in clips {
            let clip = read_sound(path)?.resampled(RATE)?;
            append(&mut samples, &clip, draws.between(PEAK));
            pause(&mut samples, &mut draws);
        }
        samples
            .iter_mut()
            .for_each(|sample| *sample += NOISE * draws.bell());
        Ok(Utterance {
            samples,
            rate: RATE,
            text: self.text(index),
        })
    }
}

/// A clip, brought to a peak.
fn append(samples: &mut Vec<f32>, clip: &Sound, peak: f32) {
    let loudest = clip
        .samples
        .iter()
        .fold(0f32, |most, sample| most.max(sample.abs()));
    let gain = if loudest > 0.0 { peak / loudest } else { 0.0 };
    samples.extend(clip.samples.iter().map(|sample| sample * gain));
}
