//! What a run keeps to read and show text.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use serde_json::json;
use zoo_codec::text::{Language, PAD, Text, subwords};

const LINES: [&str; 6] = [
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz.",
    "Ein Mann in einem blauen Hemd steht auf einer Leiter.",
    "Zwei Männer stehen am Herd und bereiten Essen zu.",
    "a man in a blue shirt, standing on a ladder",
    "two men at the stove; a man (and another man)",
    "Ein Junge in einer Unterführung, ein Mädchen in einem Haus",
];

fn learned(size: usize) -> Language {
    let tokenizer = subwords::train(LINES, size).unwrap();
    Text::Tokenizer { tokenizer }.open().unwrap()
}

#[test]
fn subwords_are_learned_and_read_back() {
    let language = learned(70);
    assert_eq!(language.vocabulary(), 70);
    assert_eq!(language.pad(), Some(subwords::PAD));
    for line in LINES {
        let ids = language.encode(line, 200).unwrap();
        assert_eq!(ids.first(), Some(&subwords::BEGIN));
        assert_eq!(ids.last(), Some(&subwords::END));
        assert!(ids.len() < line.chars().count(), "{ids:?}");
        assert_eq!(language.decode_plain(&ids), line);
    }
    let ids = language.plain("日 man").unwrap();
    assert!(language.is_unknown(ids[1]), "{ids:?}");
    assert_eq!(ids[1], subwords::UNKNOWN);
    // Where nothing is there twice, there is nothing to learn.
    assert!(learned(5000).vocabulary() < 400);
}

#[test]
fn the_same_lines_give_the_same_tokens() {
    let first = subwords::train(LINES, 70).unwrap();
    for _ in 0..5 {
        assert_eq!(subwords::train(LINES, 70).unwrap(), first);
    }
    // The most frequent pair first; among equals, the one of the smaller ids.
    let merges = |lines: &[&str], size| -> Vec<String> {
        let file: serde_json::Value =
            serde_json::from_str(&subwords::train(lines.iter().copied(), size).unwrap()).unwrap();
        let merges = file["model"]["merges"].as_array().unwrap().iter();
        merges
            .map(|pair| format!("{}{}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect()
    };
    assert_eq!(merges(&["abab ab", "cd cd"], 10), ["ab"]);
    assert_eq!(merges(&["aaaa aa"], 100), ["aa", "▁aa"]);
}

#[test]
fn what_cannot_be_learned_is_refused_with_the_number() {
    let error = subwords::train(LINES, 10).unwrap_err();
    assert!(
        error.contains("10 tokens") && error.contains("special tokens"),
        "{error}"
    );
    let error = subwords::train([], 100).unwrap_err();
    assert!(error.contains("no text"), "{error}");
    let error = subwords::train(LINES, usize::MAX).unwrap_err();
    assert!(error.contains("at most 262144"), "{error}");
    // A word without an end takes no time.
    let long = "ab".repeat(100_000);
    let lines = [long.as_str(), "ab ab"];
    subwords::train(lines, 10).unwrap();
}

fn costly() -> Language {
    let grow = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "b".repeat(1000)});
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": grow,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "hi": 1}},
    });
    Language::tokenizer(&file.to_string()).unwrap()
}

/// Each of these texts is within its own bound; all together would take a minute.
#[test]
fn a_set_is_bounded_as_a_whole() {
    let language = costly();
    let text = "a".repeat(1000);
    language.encode(&text, 8).unwrap();
    let texts = vec![text.as_str(); 61];
    let (at, error) = language.encode_all(&texts, 8).unwrap_err();
    assert_eq!(at, 0);
    assert!(
        error.contains("61 texts, of 61000 bytes") && error.contains("506144 bytes"),
        "{error}"
    );
    // What it could do is not what it does.
    let plain = "c".repeat(1000);
    let texts = vec![plain.as_str(); 61];
    assert_eq!(language.encode_all(&texts, 8).unwrap().len(), 61);
    let (at, error) = learned(70).encode_all(&["Ein", ""], 1).unwrap_err();
    assert_eq!(at, 0, "{error}");
}

#[test]
fn each_kind_of_text_knows_its_padding_and_unknown() {
    let words = Text::Words {
        words: "<pad>\n<unk>\nthe\ncat\n".into(),
    };
    let opened = words.open().unwrap();
    assert_eq!((opened.pad(), opened.vocabulary()), (Some(PAD), 4));
    assert!(opened.is_unknown(1) && !opened.is_unknown(0));
    assert_eq!(opened.decode(&[2, 3, 1]), "the cat <unk>");
    assert_eq!(opened.pieces(&[2, 3, 2]), ["the", " cat", " the"]);
    assert!(opened.encode("the", 0).is_err());
    let chars = Text::Chars {
        chars: "abc".into(),
    }
    .open()
    .unwrap();
    assert_eq!(
        (chars.pad(), chars.encode("cab", 2).unwrap()),
        (None, vec![2, 0])
    );
    // Kept as JSON by its kind.
    let kept = serde_json::to_value(&words).unwrap();
    assert_eq!(kept["kind"], "words");
    assert_eq!(serde_json::from_value::<Text>(kept).unwrap(), words);
}

#[test]
fn a_tokenizer_pads_with_its_own_token_or_none() {
    let file = |vocab: serde_json::Value, padding: serde_json::Value| {
        let file = json!({
            "version": "1.0", "truncation": null, "padding": padding, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "unk_token": "a", "vocab": vocab},
        });
        Language::tokenizer(&file.to_string()).unwrap().pad()
    };
    let padding = |id: u32| {
        json!({"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": id, "pad_type_id": 0, "pad_token": "hi"})
    };
    // An ordinary token has the id 0.
    assert_eq!(file(json!({"a": 0, "hi": 1}), json!(null)), None);
    assert_eq!(file(json!({"a": 0, "hi": 1}), padding(1)), Some(1));
    assert_eq!(file(json!({"a": 0, "hi": 1}), padding(9)), None);
    assert_eq!(
        file(json!({"a": 0, "[PAD]": 1, "hi": 2}), json!(null)),
        Some(1)
    );
    assert_eq!(file(json!({"a": 0, "<pad>": 3}), json!(null)), Some(3));
}

/// File, ids and text, by `golden/subwords.py`.
#[test]
fn subwords_are_those_of_hugging_face() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("golden/subwords.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let lines: Vec<String> = golden["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    for learned in golden["learned"].as_array().unwrap() {
        let size = learned["size"].as_u64().unwrap() as usize;
        let tokenizer = subwords::train(lines.iter().map(String::as_str), size).unwrap();
        let file: serde_json::Value = serde_json::from_str(&tokenizer).unwrap();
        assert_eq!(file, learned["tokenizer"]);
        let language = Language::tokenizer(&tokenizer).unwrap();
        for case in learned["texts"].as_array().unwrap() {
            let given = text(&case["text"]);
            let ids = language.encode(&given, 1000).unwrap();
            assert_eq!(json!(ids), case["ids"], "{given:?}");
            assert_eq!(
                language.decode_plain(&ids),
                text(&case["decoded"]),
                "{given:?}"
            );
        }
    }
}
