//! Word and character error rates against jiwer's (`golden/wer.py`).

use serde::Deserialize;
use zoo_tasks::metrics::wer::{Edits, character_error_rate, word_error_rate};

#[derive(Deserialize)]
struct Golden {
    splits: Vec<Split>,
}

#[derive(Deserialize)]
struct Split {
    name: String,
    pairs: Vec<(String, String)>,
    wer: f64,
    cer: f64,
    said: usize,
    edits: usize,
}

#[test]
fn rates_of_a_split_are_jiwers() {
    let golden: Golden = serde_json::from_str(include_str!("golden/wer.json")).unwrap();
    assert!(golden.splits.len() > 10);
    for split in golden.splits {
        let pairs = || split.pairs.iter().map(|(said, heard)| (&**said, &**heard));
        let (wer, cer) = (word_error_rate(pairs()), character_error_rate(pairs()));
        assert!((wer - split.wer).abs() < 1e-12, "{}: WER {wer}", split.name);
        assert!((cer - split.cer).abs() < 1e-12, "{}: CER {cer}", split.name);
        let mut edits = Edits::default();
        pairs().for_each(|(said, heard)| edits += Edits::of_words(said, heard));
        assert_eq!(
            [edits.said(), edits.count()],
            [split.said, split.edits],
            "{}",
            split.name
        );
    }
}

#[test]
fn edits_are_told_apart() {
    let edits = Edits::of_words("a b c d e f", "x b c e f g");
    let expected = Edits {
        hits: 4,
        substitutions: 1,
        deletions: 1,
        insertions: 1,
    };
    assert_eq!(edits, expected);
    assert_eq!(edits.rate(), 0.5);
}
