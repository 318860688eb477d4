use proptest::prelude::*;

use super::*;

/// Bytes as tokens, in the manner of GPT-2's, so that a character may take several.
const BYTES: &str = r#"{"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {"h": 0, "i": 1, "Ġ": 2, "Ã": 3, "¤": 4, "hi": 5}, "merges": [["h", "i"]]}}"#;

fn bytes() -> Language {
    Language::tokenizer(BYTES).unwrap()
}

#[test]
fn a_tokenizer_encodes_and_decodes() {
    let language = bytes();
    assert_eq!(language.plain("hi hä").unwrap(), [5, 2, 0, 3, 4]);
    assert_eq!(language.decode(&[5, 2, 0, 3, 4]), "hi hä");
}

#[test]
fn a_prompt_begins_as_its_tokenizer_begins_a_text() {
    let template = r#"{"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "h", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "i", "type_id": 0}}],
            "pair": [], "special_tokens": {"h": {"id": "h", "ids": [0], "tokens": ["h"]},
                "i": {"id": "i", "ids": [1], "tokens": ["i"]}}}"#;
    let with_template = BYTES.replace(
        r#""post_processor": null"#,
        &format!(r#""post_processor": {template}"#),
    );
    let language = Language::tokenizer(&with_template).unwrap();
    assert_eq!(language.prompt("hi h").unwrap(), [0, 5, 2, 0]);
    assert_eq!(language.prompt("").unwrap(), [0]);
    assert_eq!(bytes().prompt("hi").unwrap(), [5]);
    assert!(bytes().prompt("").unwrap().is_empty());
}

#[test]
fn half_a_character_waits_for_its_other_half() {
    let language = bytes();
    let (mut text, begun) = Streaming::new(&language, "hi", &[5]);
    assert_eq!(begun, "hi");
    let pieces: Vec<String> = [2, 3, 4, 1].map(|token| text.push(token)).to_vec();
    assert_eq!(pieces, [" ", "", "ä", "i"]);
    assert_eq!(text.finish(), "");
    let (mut cut, _) = Streaming::new(&language, "hi", &[5]);
    assert_eq!(cut.push(3), "");
    assert_eq!(cut.finish(), "\u{fffd}");
}

#[test]
fn characters_and_words_have_a_file_that_does_what_they_do() {
    let chars = Text::Chars {
        chars: "\n !abä".into(),
    };
    let written = Tokenizer::parse(&chars.tokenizer_json()).unwrap();
    let ours = chars.open().unwrap();
    let text = "ab  ä!\n";
    let tokens = ours.plain(text).unwrap();
    assert_eq!(written.encode(text, false).unwrap(), tokens);
    assert_eq!(written.decode(&tokens), text);

    let lines = "<pad>\n<unk>\nthe\néclair\n";
    let words = Text::Words {
        words: lines.into(),
    };
    let written = Tokenizer::parse(&words.tokenizer_json()).unwrap();
    let ours = words.open().unwrap();
    let text = "The  ÉCLAIR\tate the,";
    let tokens = ours.encode(text, 8).unwrap();
    assert_eq!(tokens, [2, 3, 1, 1]);
    assert_eq!(written.encode(text, false).unwrap(), tokens);
}

/// The tokenizers of BERT, RoBERTa, T5, Llama and GPT-2 put around a text: tokens on both sides, at
/// the end, at the beginning, none.
fn around() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            r#"{"type": "TemplateProcessing", "pair": [],
                    "single": [{"SpecialToken": {"id": "h", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                        {"SpecialToken": {"id": "i", "type_id": 0}}],
                    "special_tokens": {"h": {"id": "h", "ids": [0], "tokens": ["h"]},
                        "i": {"id": "i", "ids": [1], "tokens": ["i"]}}}"#,
            "bert",
        ),
        (
            r#"{"type": "RobertaProcessing", "sep": ["i", 1], "cls": ["h", 0], "trim_offsets": true,
                    "add_prefix_space": false}"#,
            "roberta",
        ),
        (
            r#"{"type": "TemplateProcessing", "pair": [],
                    "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "i", "type_id": 0}}],
                    "special_tokens": {"i": {"id": "i", "ids": [1], "tokens": ["i"]}}}"#,
            "t5",
        ),
        (
            r#"{"type": "Sequence", "processors": [
                    {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
                    {"type": "TemplateProcessing", "pair": [],
                        "single": [{"SpecialToken": {"id": "h", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                        "special_tokens": {"h": {"id": "h", "ids": [0], "tokens": ["h"]}}}]}"#,
            "llama",
        ),
        (
            r#"{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}"#,
            "gpt2",
        ),
        ("null", "none"),
    ]
}

/// Against the library's own truncation, which is what transformers uses.
#[test]
fn a_sentence_is_cut_as_hugging_face_cuts_it() {
    for (processor, name) in around() {
        let json = BYTES.replace(
            r#""post_processor": null"#,
            &format!(r#""post_processor": {processor}"#),
        );
        let ours = Tokenizer::parse(&json).unwrap();
        let mut theirs: tokenizers::Tokenizer = json.parse().unwrap();
        for max_length in 3..12 {
            let cut = tokenizers::TruncationParams {
                max_length,
                ..tokenizers::TruncationParams::default()
            };
            theirs.with_truncation(Some(cut)).unwrap();
            for text in ["h", "hi", "hi hi hi", "hi ä hi i h hi hi hi", "ää ä"] {
                let expected = theirs.encode(text, true).unwrap();
                let found = ours.sentence(text, max_length).unwrap();
                assert_eq!(found, expected.get_ids(), "{name} {max_length} {text}");
            }
        }
    }
    let cut = |processor: usize, max_length| {
        let json = BYTES.replace(
            r#""post_processor": null"#,
            &format!(r#""post_processor": {}"#, around()[processor].0),
        );
        Tokenizer::parse(&json)
            .unwrap()
            .sentence("hi ä hi", max_length)
    };
    assert_eq!(cut(0, 4).unwrap(), [0, 5, 2, 1]);
    assert_eq!(cut(0, 2).unwrap(), [0, 1]);
    // The last token of a text is no special one, and does not take the place of another.
    assert_eq!(cut(4, 4).unwrap(), [5, 2, 3, 4]);
    assert_eq!(cut(3, 4).unwrap(), [0, 5, 2, 3]);
    let error = cut(0, 1).unwrap_err();
    assert!(
        error.contains("max_length = 1") && error.contains("2 tokens around"),
        "{error}"
    );
}

#[test]
fn pieces_are_what_each_token_adds() {
    let language = bytes();
    let tokens = [5, 2, 3, 4, 1, 3];
    assert_eq!(
        language.pieces(&tokens),
        ["hi", " ", "", "ä", "i", "\u{fffd}"]
    );
    assert!(language.pieces(&[]).is_empty());
    // Half a character in the midst goes with what follows it.
    assert_eq!(language.pieces(&[3, 5]).concat(), language.decode(&[3, 5]));
}

#[test]
fn a_damaged_tokenizer_is_an_error() {
    assert!(
        Tokenizer::parse("{}")
            .unwrap_err()
            .contains("tokenizer.json")
    );
    let cut = BYTES.replace(
        r#""use_regex": true},
        "model""#,
        r#""use_regex": true "model""#,
    );
    assert_ne!(cut, BYTES);
    assert!(Tokenizer::parse(&cut).unwrap_err().contains("expected `,`"));
    // The crate `tokenizers` panics where the second part of a merge is shorter than the prefix.
    let prefix = BYTES.replace(
        r#""continuing_subword_prefix": null"#,
        r###""continuing_subword_prefix": "##""###,
    );
    assert_ne!(prefix, BYTES);
    assert!(Tokenizer::parse(&prefix).unwrap_err().contains("damaged"));
}

/// A tokenizer of these tokens and this decoder.
fn decoding(tokens: &[String], decoder: Json) -> Language {
    let numbered = tokens.iter().enumerate();
    let vocabulary: serde_json::Map<_, _> = numbered
        .map(|(id, token)| (token.clone(), json!(id)))
        .collect();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": decoder,
        "model": {"type": "WordLevel", "unk_token": tokens[0], "vocab": vocabulary},
    });
    Language::tokenizer(&file.to_string()).unwrap()
}

/// Decoders of each kind: Llama's bytes beside pieces, GPT-2's bytes, BERT's pieces, T5's spaces, none;
/// and two that rewrite what they said. The tokens have halves of characters, and bytes of none.
fn decoders() -> Vec<(Language, usize)> {
    let own = |tokens: &[&str]| -> Vec<String> {
        tokens.iter().map(|token| (*token).to_owned()).collect()
    };
    let replace = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
    let fuse = json!({"type": "Fuse"});
    let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
    let fallback = json!({"type": "ByteFallback"});
    let pieces = own(&[
        "<unk>", "<s>", "▁", "▁the", "a", "é", "▁é", "\u{fffd}", "<0x41>", "<0x0A>", "<0xC3>",
        "<0xA9>", "<0xE2>", "<0x82>", "<0xAC>", "<0xF0>", "<0x9F>", "<0xFF>",
    ]);
    // é, €, a and the space in GPT-2's alphabet, and a byte that begins nothing.
    let bytes = own(&[
        "a", "Ġ", "Ã", "©", "â", "Ĥ", "¬", "ÿ", "ð", "Ł", "Ã©", "<0xC3>",
    ]);
    let words = own(&[
        "[UNK]", "[CLS]", "do", "not", "##n't", "n't", "##s", ".", ",", "'", "é",
    ]);
    let sequence = |decoders: &[&Json]| json!({"type": "Sequence", "decoders": decoders});
    let level = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let piece = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    let rewriting = json!({"type": "Replace", "pattern": {"String": "aa"}, "content": "b"});
    let kinds = [
        (&pieces, sequence(&[&replace, &fallback, &fuse, &strip])),
        (&pieces, sequence(&[&replace, &fallback, &fuse])),
        (&pieces, sequence(&[&fallback])),
        (
            &pieces,
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}),
        ),
        (&bytes, level),
        (&words, piece.clone()),
        (&words, Json::Null),
        (&words, json!({"type": "BPEDecoder", "suffix": "s"})),
        (
            &words,
            json!({"type": "CTC", "pad_token": "[CLS]", "word_delimiter_token": ".", "cleanup": true}),
        ),
        (&pieces, sequence(&[&fuse, &rewriting])),
        (&words, sequence(&[&fuse, &piece])),
    ];
    kinds
        .into_iter()
        .map(|(tokens, decoder)| (decoding(tokens, decoder), tokens.len()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 600, ..ProptestConfig::default() })]

    /// The prompt is what its tokens are decoded to, so that all that is shown is the text of all tokens.
    #[test]
    fn what_is_streamed_is_the_text_of_all_tokens(drawn in prop::collection::vec(0_u32..1000, 0..14), cut in 0_usize..14) {
        for (language, size) in decoders() {
            let tokens: Vec<u32> = drawn.iter().map(|token| token % size as u32).collect();
            let (prompt, rest) = tokens.split_at(cut.min(tokens.len()));
            let (mut streaming, mut shown) = Streaming::new(&language, &language.decode(prompt), prompt);
            for token in rest {
                shown.push_str(&streaming.push(*token));
            }
            shown.push_str(&streaming.finish());
            let whole = language.decode(&tokens);
            prop_assert_eq!(&shown, &whole);
            prop_assert_eq!(language.pieces(&tokens).concat(), whole);
        }
    }
}

#[test]
fn text_is_shown_as_soon_as_it_is_settled() {
    let all = decoders();
    let (llama, _) = &all[0];
    let shown = |tokens: &[u32]| -> Vec<String> {
        let (mut streaming, _) = Streaming::new(llama, "", &[]);
        let mut pieces: Vec<String> = tokens.iter().map(|token| streaming.push(*token)).collect();
        pieces.push(streaming.finish());
        pieces
    };
    assert_eq!(shown(&[3, 4, 3]), ["the", "a", " the", ""]);
    // A whole character waits for a token that is no byte; a byte that fits none spoils the run.
    assert_eq!(shown(&[3, 10, 11, 4, 4]), ["the", "", "", "éa", "a", ""]);
    assert_eq!(
        shown(&[3, 10, 11, 17, 4]),
        ["the", "", "", "", "\u{fffd}\u{fffd}\u{fffd}a", ""]
    );
    assert_eq!(shown(&[3, 10, 11]), ["the", "", "", "é"]);
}

#[test]
fn a_prompt_whose_end_may_change_is_held_back() {
    let all = decoders();
    let (llama, _) = &all[0];
    let prompt = [1, 3, 10, 11];
    let (mut streaming, begun) = Streaming::new(llama, "the\u{e9}", &prompt);
    assert_eq!(begun, "the");
    assert_eq!(streaming.push(17), "");
    assert_eq!(streaming.push(4), "\u{fffd}\u{fffd}\u{fffd}a");
}
