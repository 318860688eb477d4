//! Exported tokenizers against transformers' `AutoTokenizer`, whose ids are in
//! `golden/auto_tokenizer.json`; `golden/auto_tokenizer.py` made it of the folders that are written here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use zoo_hub::tokenizer_config::{self as tokenizers, Given, TokenizerFiles};

const CHARACTERS: &str = "\n !AEabcdeinrstüé";

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

/// What must be the same here; and a text that spells the padding, which transformers fills with.
fn folders() -> Vec<(
    &'static str,
    TokenizerFiles,
    &'static str,
    Vec<&'static str>,
)> {
    let uncased = tokenizers::word_pieces(UNCASED, true, 64).unwrap();
    let cased = tokenizers::word_pieces(CASED, false, 64).unwrap();
    let words = tokenizers::words(WORDS, 32, Given::MaskAndSegments);
    let [(_, again), ..] = cased.files();
    let again = tokenizers::as_it_is(again, 64, Given::MaskAndSegments).unwrap();
    let spelled = ["<pad> the x<pad>y", "<PAD> <unk>"];
    let words_texts = [&SENTENCES[..], &spelled].concat();
    let characters = tokenizers::characters(CHARACTERS);
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

fn ids(case: &str, text: &str) -> Vec<u32> {
    let golden = golden();
    let texts = golden["cases"][case]["texts"].as_array().unwrap();
    let found = texts.iter().find(|pair| pair[0] == text).unwrap();
    serde_json::from_value(found[1].clone()).unwrap()
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

#[test]
fn characters_are_the_same() {
    for text in CHARACTER_TEXTS {
        let here = text.chars();
        let here = here.map(|c| CHARACTERS.chars().position(|known| known == c).unwrap() as u32);
        assert_eq!(
            ids("characters", text),
            here.collect::<Vec<_>>(),
            "{text:?}"
        );
    }
    assert_eq!(
        golden()["cases"]["characters"]["names"],
        json!(["input_ids", "attention_mask"])
    );
}
