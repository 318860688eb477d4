//! BLEU against sacrebleu: `golden/bleu.json`, made by the script beside it.

use serde::Deserialize;
use zoo_tasks::metrics::bleu::Bleu;

#[derive(Deserialize)]
struct Golden {
    signature: String,
    corpora: Vec<Corpus>,
}

#[derive(Deserialize)]
struct Corpus {
    name: String,
    pairs: Vec<(String, String)>,
    score: f64,
    brevity_penalty: f64,
    matches: [u64; 4],
    totals: [u64; 4],
    answer_tokens: u64,
    reference_tokens: u64,
}

#[test]
fn bleu_is_sacrebleus() {
    let golden: Golden = serde_json::from_str(include_str!("golden/bleu.json")).unwrap();
    assert_eq!(
        golden.signature,
        "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
    );
    for corpus in &golden.corpora {
        let pairs = || {
            corpus
                .pairs
                .iter()
                .map(|(answer, reference)| (&**answer, &**reference))
        };
        let bleu = Bleu::of(pairs());
        let expected = Bleu {
            matches: corpus.matches,
            totals: corpus.totals,
            answer_tokens: corpus.answer_tokens,
            reference_tokens: corpus.reference_tokens,
        };
        assert_eq!(bleu, expected, "{}", corpus.name);
        // Both are the same few operations on the same integers.
        assert!(
            (bleu.score() - corpus.score).abs() < 1e-9,
            "{}: {}",
            corpus.name,
            bleu.score()
        );
        assert!(
            (bleu.brevity_penalty() - corpus.brevity_penalty).abs() < 1e-12,
            "{}",
            corpus.name
        );
        // Sentence by sentence, or batch by batch.
        let mut sums = Bleu::default();
        for pair in pairs() {
            sums.merge(&Bleu::of([pair]));
        }
        assert_eq!(sums, bleu, "{}", corpus.name);
    }
    assert_eq!(Bleu::default().score(), 0.0);
}
