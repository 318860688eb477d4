//! Exported tokenizers against transformers' `AutoTokenizer`, whose ids are in
//! `golden/auto_tokenizer.json`; `golden/auto_tokenizer.py` made it of the folders that are written here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use zoo_codec::text::{CharVocabulary, Tokenizer, UNKNOWN, WordVocabulary};
use zoo_hub::tokenizer_config::{Given, TokenizerFiles, as_it_is, characters, word_pieces, words};

const CHARACTERS: &str = "\n !AEabcdeinrstéü";

const WORDS: &str = "<pad>\n<unk>\nthe\nsat\nélan\ncafé\ni̇x\nοδος\nσας\nа\ndon't\n";

/// Of an uncased and of a cased model: every character of the texts but some, and some pieces.
const UNCASED: &str =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncafe\ncat\n##s\n!\n,\n##a\ngro\n##ße\nσας\n";
const CASED: &str = "[PAD]\n[unused1]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nThe\nthe\ncafé\nCafé\ncat\n##s\n!\n,\nGrö\n##ße\nΣας\n";

const CHARACTER_TEXTS: [&str; 12] = [
    "",
    " ",
    "a",
    "A",
    "\n",
    "  a  b  ",
    "read a bean!",
    "rüttelt",
    "été",
    "E\n\nA",
    " be\n",
    "!!",
];

const SENTENCES: [&str; 14] = [
    "",
    "   ",
    "the",
    "The CAFÉ, the cats!",
    "THE  sat\tthe\nsat ",
    "Élan",
    "e\u{301}lan cafe\u{301}",
    "unheard of words",
    "Große GRÖßE Größe",
    "ΟΔΟΣ ΣΑΣ Σας σασ ΣΑΣ.",
    "İX А",
    "don't DON'T",
    "the\u{a0}sat\u{2003}the",
    "[CLS] the [PAD] <unk> sat",
];

/// Each folder's name, files, architecture and texts.
fn folders() -> Vec<(
    &'static str,
    TokenizerFiles,
    &'static str,
    Vec<&'static str>,
)> {
    let uncased = word_pieces(UNCASED, true, 64).unwrap();
    let cased = word_pieces(CASED, false, 64).unwrap();
    let words = words(WORDS, 32, Given::MaskAndSegments);
    let [(_, again), ..] = cased.files();
    let again = as_it_is(again, 64, Given::MaskAndSegments).unwrap();
    let spelled = ["<pad> the x<pad>y", "<PAD> <unk>"];
    let words_texts = [&SENTENCES[..], &spelled].concat();
    let characters = characters(CHARACTERS);
    vec![
        ("characters", characters, "gpt2", CHARACTER_TEXTS.to_vec()),
        ("words", words, "bert", words_texts),
        ("bert-uncased", uncased, "bert", SENTENCES.to_vec()),
        ("bert-cased", cased, "bert", SENTENCES.to_vec()),
        ("bert-cased-again", again, "bert", SENTENCES.to_vec()),
    ]
}

fn golden() -> Json {
    serde_json::from_str(include_str!("golden/auto_tokenizer.json")).unwrap()
}

#[test]
fn folders_are_written_for_the_script() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tokenizers");
    for (name, files, model_type, texts) in folders() {
        let folder = root.join(name);
        fs::create_dir_all(&folder).unwrap();
        let config = json!({ "model_type": model_type }).to_string();
        fs::write(folder.join("config.json"), config).unwrap();
        fs::write(folder.join("texts.json"), json!(texts).to_string()).unwrap();
        for (file, text) in files.files() {
            fs::write(folder.join(file), text).unwrap();
        }
    }
    for (name, _, _, texts) in folders() {
        let golden = golden();
        let there = golden["cases"][name]["texts"]
            .as_array()
            .into_iter()
            .flatten();
        let there: Vec<&str> = there.filter_map(|pair| pair[0].as_str()).collect();
        assert_eq!(there, texts, "{name}: run auto_tokenizer.py again");
    }
}

fn cases(case: &str) -> Vec<(String, Vec<u32>)> {
    serde_json::from_value(golden()["cases"][case]["texts"].clone()).unwrap()
}

#[test]
fn characters_are_the_same() {
    let vocabulary = CharVocabulary::from_chars(CHARACTERS).unwrap();
    for (text, ids) in cases("characters") {
        // One without an id is refused here, and left out there.
        let known: String = text.chars().filter(|c| CHARACTERS.contains(*c)).collect();
        assert_eq!(vocabulary.encode(&text).is_ok(), known == text, "{text:?}");
        assert_eq!(vocabulary.encode(&known).unwrap(), ids, "{text:?}");
    }
    let golden = golden();
    let names = json!(["input_ids", "attention_mask"]);
    assert_eq!(golden["cases"]["characters"]["names"], names);
}

#[test]
fn words_are_the_same_but_where_there_is_none() {
    let vocabulary = WordVocabulary::from_lines(WORDS).unwrap();
    for (text, ids) in cases("words") {
        let here = vocabulary.encode(&text, 32);
        match text.trim().is_empty() {
            // A mean over no token is no number.
            true => assert_eq!((here, ids), (vec![UNKNOWN], vec![])),
            false => assert_eq!(here, ids, "{text:?}"),
        }
    }
    let golden = &golden()["cases"]["words"];
    assert_eq!(
        (&golden["longest"], &golden["pad"]),
        (&json!(32), &json!(0))
    );
}

/// A folder that was exported is opened, within the limits of strangers' tokenizers, and the same.
#[test]
fn every_tokenizer_that_is_written_is_read_again() {
    for (name, files, _, _) in folders() {
        let [(_, tokenizer), ..] = files.files();
        let tokenizer = Tokenizer::parse(tokenizer).unwrap();
        for (text, ids) in cases(name) {
            assert_eq!(
                tokenizer.encode(&text, true).unwrap(),
                ids,
                "{name}: {text:?}"
            );
        }
    }
}

#[test]
fn a_cased_model_stays_cased() {
    let [cased, uncased] = ["bert-cased", "bert-uncased"].map(|case| {
        let cases = cases(case).into_iter();
        cases.collect::<std::collections::BTreeMap<_, _>>()["The CAFÉ, the cats!"].clone()
    });
    // `The` and `the` are two words there, and `CAFÉ` is none.
    assert_eq!(cased[1..3], [6, 2]);
    assert_eq!((uncased[1], uncased[4]), (5, 5));
}

#[test]
fn a_vocabulary_without_its_special_tokens_is_refused() {
    let error = word_pieces("[PAD]\n[UNK]\n[CLS]\nthe\n", true, 8).unwrap_err();
    assert_eq!(error.to_string(), "vocab.txt: has no line [SEP]");
    let error = as_it_is("{", 8, Given::Mask).unwrap_err();
    assert_eq!(error.file, "tokenizer.json");
}
