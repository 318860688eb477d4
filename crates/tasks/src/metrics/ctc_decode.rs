//! What a network trained by CTC (Graves, Fernández, Gomez and Schmidhuber 2006) has heard: of each
//! frame it gives scores of letters and of a blank, and letters that repeat without a blank between
//! them are one.

use std::collections::HashMap;

/// The likeliest letter of each frame, repeats collapsed and blanks dropped.
///
/// `scores [frames, classes]` are flattened; logits and log-probabilities do alike.
///
/// # Panics
/// If `scores` are no whole number of frames.
pub fn greedy(scores: &[f32], classes: usize, blank: usize) -> Vec<usize> {
    assert_eq!(scores.len() % classes, 0, "scores of whole frames");
    collapse(scores.chunks_exact(classes).map(likeliest), blank)
}

/// Repeats collapsed and blanks dropped, of a class a frame.
pub fn collapse(path: impl IntoIterator<Item = usize>, blank: usize) -> Vec<usize> {
    let mut last = blank;
    let mut letters = Vec::new();
    for class in path {
        if class != last && class != blank {
            letters.push(class);
        }
        last = class;
    }
    letters
}

/// The first of the greatest.
fn likeliest(frame: &[f32]) -> usize {
    let mut best = 0;
    for (class, score) in frame.iter().enumerate() {
        if *score > frame[best] {
            best = class;
        }
    }
    best
}

/// How likely a prefix is, in nats, by what its last frame is.
#[derive(Clone, Copy)]
struct Ending {
    blank: f64,
    letter: f64,
}

impl Ending {
    const IMPOSSIBLE: Self = Self {
        blank: f64::NEG_INFINITY,
        letter: f64::NEG_INFINITY,
    };

    fn sum(self) -> f64 {
        add(self.blank, self.letter)
    }
}

/// ln(e^a + e^b)
fn add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    high + (low - high).exp().ln_1p()
}

/// The likeliest text, summed over all its alignments (prefix beam search: Hannun, Maas, Jurafsky and Ng
/// 2014, without a language model), and its log-probability. `width` prefixes are kept after each
/// frame; among equals, the one that comes first by its letters.
///
/// `log_probabilities [frames, classes]` are flattened.
///
/// # Panics
/// If these are no whole number of frames, or `width` is 0.
pub fn beam_search(
    log_probabilities: &[f32],
    classes: usize,
    blank: usize,
    width: usize,
) -> (Vec<usize>, f64) {
    assert_eq!(
        log_probabilities.len() % classes,
        0,
        "scores of whole frames"
    );
    assert!(width > 0, "a beam of one prefix at least");
    let start = Ending {
        blank: 0.0,
        ..Ending::IMPOSSIBLE
    };
    let mut beam = vec![(Vec::new(), start)];
    for frame in log_probabilities.chunks_exact(classes) {
        let mut next = HashMap::new();
        for (prefix, ending) in &beam {
            extend(&mut next, prefix, *ending, frame, blank);
        }
        beam = next.into_iter().collect();
        beam.sort_by(|(a, p), (b, q)| q.sum().total_cmp(&p.sum()).then_with(|| a.cmp(b)));
        beam.truncate(width);
    }
    let (letters, ending) = beam.swap_remove(0);
    (letters, ending.sum())
}

/// Adds every way in which a prefix goes on in a frame.
fn extend(
    next: &mut HashMap<Vec<usize>, Ending>,
    prefix: &[usize],
    ending: Ending,
    frame: &[f32],
    blank: usize,
) {
    let mut entry = |prefix: Vec<usize>, of_blank: f64, of_letter: f64| {
        let sum = next.entry(prefix).or_insert(Ending::IMPOSSIBLE);
        sum.blank = add(sum.blank, of_blank);
        sum.letter = add(sum.letter, of_letter);
    };
    let impossible = f64::NEG_INFINITY;
    for (class, score) in frame.iter().enumerate() {
        let score = f64::from(*score);
        if class == blank {
            entry(prefix.to_vec(), ending.sum() + score, impossible);
            continue;
        }
        let repeats = prefix.last() == Some(&class);
        if repeats {
            entry(prefix.to_vec(), impossible, ending.letter + score);
        }
        // A letter follows itself only after a blank.
        let before = if repeats { ending.blank } else { ending.sum() };
        entry([prefix, &[class]].concat(), impossible, before + score);
    }
}
