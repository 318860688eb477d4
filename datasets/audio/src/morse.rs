//! Made-up words in Morse code: tones of a pitch, tempo and unsteady hand that are drawn for each
//! recording, under noise and beside another sender's faint tone. The built-in set.
//!
//! Eight letters of three marks at most are used, so that a small network learns them in a minute; some
//! begin like others, so that one that hears marks but not letters gets words wrong.

use crate::draws::{Draws, Part};
use crate::{AudioOptions, AudioSet, Items, Splits, Utterance};

/// Letters and their marks.
const CODE: [(char, &str); 8] = [
    ('e', "."),
    ('t', "-"),
    ('i', ".."),
    ('a', ".-"),
    ('n', "-."),
    ('m', "--"),
    ('s', "..."),
    ('o', "---"),
];
const RATE: u32 = 8000;
const SEED: u64 = 0x6d6f_7273_6521;
const TRAIN_ITEMS: usize = 1000;
const VALID_ITEMS: usize = 50;
const TEST_ITEMS: usize = 200;

/// What makes it hard.
struct Difficulty {
    words: [usize; 3],
    letters: [usize; 3],
    /// Of a dot; a dash is three.
    dot_seconds: [f32; 2],
    /// By how much a mark or a gap is longer or shorter.
    unsteady: f32,
    pitch_hertz: [f32; 2],
    loudness: [f32; 2],
    /// Root mean square, of the loudness.
    noise: [f32; 2],
    /// Loudness of the other sender, of the loudness.
    other: [f32; 2],
}

const DIFFICULTY: Difficulty = Difficulty {
    words: [1, 2, 3],
    letters: [2, 3, 4],
    dot_seconds: [0.05, 0.06],
    unsteady: 0.1,
    pitch_hertz: [500.0, 800.0],
    loudness: [0.1, 0.5],
    noise: [0.05, 0.3],
    other: [0.0, 0.1],
};

/// Recordings of one split.
#[derive(Debug)]
pub(crate) struct Morse {
    part: Part,
    seed: u64,
    length: usize,
}

pub(crate) fn open(options: &AudioOptions) -> Splits {
    let set = |part, length| AudioSet {
        items: Items::Morse(Morse {
            part,
            seed: SEED ^ options.seed,
            length,
        }),
    };
    Splits {
        train: set(Part::Train, TRAIN_ITEMS),
        valid: (options.valid_fraction > 0.0).then(|| set(Part::Valid, VALID_ITEMS)),
        test: Some(set(Part::Test, TEST_ITEMS)),
        warnings: Vec::new(),
    }
}

impl Morse {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn text(&self, index: usize) -> String {
        text(&mut Draws::new(self.seed, self.part, index))
    }

    /// Drawn from (seed, split, index).
    pub(crate) fn make(&self, index: usize) -> Utterance {
        let mut draws = Draws::new(self.seed, self.part, index);
        let text = text(&mut draws);
        let keyed = key(&text, &mut draws);
        Utterance {
            samples: tones(&keyed, &mut draws),
            rate: RATE,
            text,
        }
    }
}

fn text(draws: &mut Draws) -> String {
    let count = *draws.choose(&DIFFICULTY.words);
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let letters = *draws.choose(&DIFFICULTY.letters);
        words.push(
            (0..letters)
                .map(|_| draws.choose(&CODE).0)
                .collect::<String>(),
        );
    }
    words.join(" ")
}

/// Whether the key is down, in samples: a dot is one unit, a dash three; between marks of a letter it
/// is up for one, between letters for three, between words for seven.
fn key(text: &str, draws: &mut Draws) -> Vec<bool> {
    let d = &DIFFICULTY;
    let dot = draws.between(d.dot_seconds) * RATE as f32;
    let mut keyed = Vec::new();
    let mut hold = |down, units: f32, draws: &mut Draws| {
        let length = dot * units * (1.0 + draws.between([-d.unsteady, d.unsteady]));
        keyed.resize(keyed.len() + length as usize, down);
    };
    hold(false, 4.0, draws);
    for letter in text.chars() {
        let Some((_, marks)) = CODE.iter().find(|(known, _)| *known == letter) else {
            hold(false, 4.0, draws);
            continue;
        };
        for mark in marks.chars() {
            hold(true, if mark == '.' { 1.0 } else { 3.0 }, draws);
            hold(false, 1.0, draws);
        }
        hold(false, 2.0, draws);
    }
    hold(false, 2.0, draws);
    keyed
}

fn tones(keyed: &[bool], draws: &mut Draws) -> Vec<f32> {
    let d = &DIFFICULTY;
    let loudness = draws.between(d.loudness);
    let noise = loudness * draws.between(d.noise);
    let pitch = f64::from(draws.between(d.pitch_hertz));
    let (other, its_pitch) = (
        loudness * draws.between(d.other),
        f64::from(draws.between(d.pitch_hertz)),
    );
    let tone = |hertz: f64, sample: usize| {
        let phase = std::f64::consts::TAU * hertz * sample as f64 / f64::from(RATE);
        phase.sin() as f32
    };
    // The key's edges take five milliseconds, so that they do not click.
    let step = 1.0 / (0.005 * RATE as f32);
    let mut level = 0f32;
    let sample = |(sample, down): (usize, &bool)| {
        level = (level + if *down { step } else { -step }).clamp(0.0, 1.0);
        loudness * level * tone(pitch, sample)
            + other * tone(its_pitch, sample)
            + noise * draws.bell()
    };
    keyed.iter().enumerate().map(sample).collect()
}
