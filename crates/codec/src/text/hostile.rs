//! What a `tokenizer.json` from a stranger asks for: refused before memory is set aside, and never a panic;
//! and what those in use look like, which are read.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{Tokenizer, charsmap};

/// As much memory as is asked for.
fn any(_: &str, _: u128) -> Result<(), String> {
    Ok(())
}

/// A tokenizer of words, with these parts of its own.
fn file(parts: Json) -> Json {
    let mut file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "hi": 1}},
    });
    for (key, part) in parts.as_object().unwrap() {
        file[key] = part.clone();
    }
    file
}

fn read(parts: Json) -> Result<Tokenizer, String> {
    Tokenizer::parse(&file(parts).to_string())
}

/// Refuses these parts, with these words, in no time.
#[track_caller]
fn refused(parts: Json, words: &str) {
    let text = file(parts).to_string();
    let begin = Instant::now();
    let error = Tokenizer::parse(&text).unwrap_err();
    assert!(error.contains(words), "{error}");
    assert!(error.len() < 4000, "{} bytes: {error:.500}", error.len());
    assert!(begin.elapsed() < Duration::from_secs(2), "{words}");
}

fn many(step: &Json, count: usize) -> Vec<Json> {
    vec![step.clone(); count]
}

fn replace(pattern: &str, content: &str) -> Json {
    json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
}

#[test]
fn steps_that_make_a_text_grow_without_end_are_refused() {
    let level = json!({"type": "ByteLevel"});
    let prepend = json!({"type": "Prepend", "prepend": "aaaaaaaaaaaaaaaa"});
    let spread = json!({"type": "Replace", "pattern": {"Regex": "(?=.)"}, "content": "ab"});
    let meta =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let grown = "times as long";
    for step in [
        replace("a", "aa"),
        level,
        prepend,
        spread,
        json!({"type": "NFKD"}),
    ] {
        let steps = many(&step, 24);
        refused(
            json!({"normalizer": {"type": "Sequence", "normalizers": steps}}),
            grown,
        );
    }
    for step in [meta, bytes] {
        let steps = many(&step, 24);
        refused(
            json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}),
            grown,
        );
    }
    let decoders = many(&replace("a", "aa"), 24);
    refused(
        json!({"decoder": {"type": "Sequence", "decoders": decoders}}),
        grown,
    );
    let once = replace("a", &"a".repeat(1025));
    refused(json!({"normalizer": once}), "1025 bytes");
    // All together: half of it in the normalizer, half in the pre-tokenizer.
    let level = many(&json!({"type": "ByteLevel"}), 7);
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    refused(
        json!({"normalizer": {"type": "Sequence", "normalizers": level},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": many(&bytes, 6)}}),
        grown,
    );
}

#[test]
fn a_text_is_as_long_as_the_steps_leave_room_for() {
    let eight = many(&replace("a", "aa"), 8);
    let tokenizer =
        read(json!({"normalizer": {"type": "Sequence", "normalizers": eight}})).unwrap();
    assert_eq!(tokenizer.sentence("aaaa", 8).unwrap(), [0]);
    let error = tokenizer.sentence(&"a".repeat(20_000), 8).unwrap_err();
    assert!(
        error.contains("a text of 20000 bytes") && error.contains("4194304 bytes"),
        "{error}"
    );
    let error = tokenizer.encode(&"a".repeat(20_000), false).unwrap_err();
    assert!(error.contains("4194304 bytes"), "{error}");
    // What the steps could do is not what they do.
    tokenizer.encode(&"b".repeat(200_000), false).unwrap();
    tokenizer.corpus(&"b".repeat(200_000), any).unwrap();
    let error = tokenizer.corpus(&"a".repeat(20_000), any).unwrap_err();
    assert!(error.contains("a text of 20000 bytes"), "{error}");
    // It would be found in no piece of the text.
    let far = json!({"type": "Replace", "pattern": {"Regex": "(?s).(?=.{300})"}, "content": "a".repeat(500)});
    let error = read(json!({ "normalizer": far }))
        .unwrap()
        .corpus(&"b".repeat(12_000), any);
    assert!(error.unwrap_err().contains("a text of 12000 bytes"));
    // Twice: for the matches of an expression in what is twice as long.
    let searching = json!({"type": "Split", "pattern": {"Regex": "(?=a*b)a"}, "behavior": "Isolated",
        "invert": false});
    let tokenizer =
        read(json!({"normalizer": replace("a", "aa"), "pre_tokenizer": searching})).unwrap();
    tokenizer.sentence(&"a".repeat(500), 8).unwrap();
    let error = tokenizer.sentence(&"a".repeat(32_769), 8).unwrap_err();
    assert!(error.contains("65536 bytes"), "{error}");
    // A sixteenth: of tokens four times as long as are tried at each place in time.
    let chain: Vec<Json> = (1..=256)
        .map(|length| json!(["a".repeat(length), -1.0]))
        .collect();
    let chain = json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": chain}});
    let error = read(chain)
        .unwrap()
        .sentence(&"a".repeat(262_145), 8)
        .unwrap_err();
    assert!(error.contains("262144 bytes"), "{error}");
    let mut word = added("a", false);
    word["single_word"] = json!(true);
    let tokenizer = read(json!({"added_tokens": [word]})).unwrap();
    let error = tokenizer.sentence(&"a".repeat(65_537), 8).unwrap_err();
    assert!(error.contains("65536 bytes"), "{error}");
    // Whatever it may be cut into, a sentence costs no more than its first tokens.
    let spaces = read(json!({"pre_tokenizer": {"type": "WhitespaceSplit"}})).unwrap();
    let long = "a ".repeat(200_000);
    let begin = Instant::now();
    assert_eq!(spaces.sentence(&long, 1).unwrap(), [0]);
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_step_is_what_it_says() {
    // The crate goes by the keys where a type is none of its own.
    for hidden in [
        json!({"type": "BertNormalizer", "prepend": "aaaa"}),
        json!({"type": "BertNormalizer", "pattern": {"String": "a"}, "content": "aaaa"}),
        json!({"prepend": "aaaa"}),
        json!({"type": ["Prepend"], "prepend": "aaaa"}),
    ] {
        refused(json!({"normalizer": hidden}), "normalizer");
    }
    refused(
        json!({"post_processor": {"type": "ByteLevel", "sep": ["a", 7], "cls": ["a", 7]}}),
        "ByteLevel has no",
    );
    refused(
        json!({"normalizer": {"type": "x".repeat(1 << 20)}}),
        "known: BertNormalizer",
    );
}

#[test]
fn steps_are_counted_and_not_nested_without_end() {
    let lower = json!({"type": "Lowercase"});
    let mut nested = lower.clone();
    for _ in 0..50 {
        nested = json!({"type": "Sequence", "normalizers": [nested]});
    }
    refused(
        json!({"normalizer": nested}),
        "4 sequences within each other",
    );
    let strip = json!({"type": "Strip", "strip_left": true, "strip_right": true});
    refused(
        json!({"normalizer": {"type": "Sequence", "normalizers": many(&strip, 10_000)}}),
        "10000 steps",
    );
    let mut processors = json!({"type": "Sequence", "processors": []});
    for _ in 0..50 {
        processors = json!({"type": "Sequence", "processors": [processors]});
    }
    refused(
        json!({"post_processor": processors}),
        "sequences within each other",
    );
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep = file(json!({}))
        .to_string()
        .replace(r#""decoder":null"#, &format!(r#""decoder":{deep}"#));
    assert!(
        Tokenizer::parse(&deep)
            .unwrap_err()
            .contains("recursion limit")
    );
}

fn added(content: &str, normalized: bool) -> Json {
    json!({"id": 2, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": normalized, "special": !normalized})
}

#[test]
fn added_tokens_are_counted_and_not_empty() {
    let token = added("<x>", false).to_string();
    let list = format!("[{token}{}]", format!(",{token}").repeat(149_999));
    let list = file(json!({}))
        .to_string()
        .replace(r#""added_tokens":[]"#, &format!(r#""added_tokens":{list}"#));
    assert!(
        Tokenizer::parse(&list)
            .unwrap_err()
            .contains("150000 tokens")
    );
    refused(
        json!({"added_tokens": [added(&"x".repeat(9000), false)]}),
        "9000 bytes of a token",
    );
    // Sought as they are normalized.
    let tokens: Vec<Json> = (0..100)
        .map(|at| added(&format!("{}{at}", "a".repeat(999)), true))
        .collect();
    let twice = many(&replace("a", "aa"), 9);
    refused(
        json!({"added_tokens": tokens, "normalizer": {"type": "Sequence", "normalizers": twice}}),
        "as they may be normalized",
    );
    refused(
        json!({"added_tokens": [added("\u{301}", true)], "normalizer": {"type": "StripAccents"}}),
        "nothing is left of it",
    );
}

#[test]
fn what_the_crate_panics_on_is_refused() {
    // The file is damaged within a map of characters.
    let map =
        |map: &str| json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": map}});
    refused(map("AAAA"), "precompiled_charsmap");
    refused(map("////f////w=="), "shorter than it says");
    let template = |single: Json| {
        json!({"post_processor": {"type": "TemplateProcessing", "single": single, "pair": [],
            "special_tokens": {"a": {"id": "a", "ids": [0], "tokens": ["a"]}}}})
    };
    let a = json!({"Sequence": {"id": "A", "type_id": 0}});
    let b = json!({"Sequence": {"id": "B", "type_id": 0}});
    refused(template(json!([a, b])), "expected the text A once");
    refused(template(json!([a, a])), "expected the text A once");
    refused(template(json!([])), "expected the text A once");
    refused(
        json!({"post_processor": {"type": "TemplateProcessing", "pair": [], "single": [a],
            "special_tokens": {"two": {"id": "two", "ids": [0, 1], "tokens": ["a"]}}}}),
        "2 ids of 1 tokens",
    );
    refused(
        json!({"post_processor": {"type": "TemplateProcessing", "pair": [], "special_tokens": {},
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, a]}}),
        "not among its special_tokens",
    );
    refused(
        json!({"pre_tokenizer": {"type": "FixedLength", "length": 0}}),
        "length = 0",
    );
    refused(json!({"normalizer": replace("", "x")}), "empty pattern");
    refused(
        json!({"pre_tokenizer": {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated",
            "invert": false}}),
        "empty pattern",
    );
    refused(
        json!({"decoder": {"type": "Strip", "content": " ", "start": 0, "stop": 3}}),
        "stop = 3",
    );
    refused(
        json!({"decoder": {"type": "BPEDecoder", "suffix": ""}}),
        "suffix",
    );
}

#[test]
fn models_are_held_to_what_is_in_use() {
    let words = |key: &str, value: Json| {
        let mut model = json!({"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {"a": 0}});
        model[key] = value;
        json!({"model": model})
    };
    read(words("max_input_chars_per_word", json!(100))).unwrap();
    refused(
        words("max_input_chars_per_word", json!(1_000_000)),
        "1000000 characters",
    );
    refused(
        words("continuing_subword_prefix", json!("x".repeat(1000))),
        "1000 bytes",
    );
    refused(words("unk_token", json!("x".repeat(9000))), "9000 bytes");
    refused(
        words("vocab", json!({"a": 0, "b": 4_000_000_000_u64})),
        "4000000000 is an id",
    );
    let long: String = "x".repeat(9000);
    refused(words("vocab", json!({long: 0})), "9000 bytes of a token");
    let unigram = |vocab: Json| json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": vocab}});
    let chain: Vec<Json> = (1..400)
        .map(|length| json!(["a".repeat(length), -1.0]))
        .collect();
    refused(unigram(json!(chain)), "399 bytes of a token");
    refused(unigram(json!([])), "EmptyVocabulary");
    let dropout = json!({"type": "BPE", "dropout": 0.5, "vocab": {"a": 0}, "merges": []});
    refused(json!({"model": dropout}), "model.dropout = 0.5");
    // A text that needs an unknown token, where there is none, is an error.
    let bare = read(json!({"model": {"type": "Unigram", "unk_id": null, "vocab": [["a", -1.0]]}}));
    assert!(bare.unwrap().sentence("xyz", 4).is_err());
    let extreme = read(unigram(json!([["b", 1e308], ["a", -1e308]]))).unwrap();
    assert_eq!(extreme.sentence("aaa", 4).unwrap(), [1, 1, 1]);
    assert!(
        read(json!({"model": {"type": "Unigram", "unk_id": 3, "vocab": [["a", -1.0]]}})).is_err()
    );
}

#[test]
fn regular_expressions_are_weighed() {
    let split = |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
    refused(
        json!({"pre_tokenizer": split(r"((\w{99}){99}){99}")}),
        "parts of regular expressions",
    );
    refused(
        json!({"pre_tokenizer": split(r"(?=(a+)+$)b")}),
        "repeats what is repeated",
    );
    let many: Vec<Json> = (0..30).map(|_| split(&r"(?!\w{9})".repeat(10))).collect();
    refused(
        json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": many}}),
        "parts of regular expressions",
    );
    // What matches nothing is no harm.
    for regex in ["", "x*", "(?=a)", "(?<=é)"] {
        let tokenizer = read(json!({"pre_tokenizer": split(regex)})).unwrap();
        tokenizer.sentence("abé xxa 🦀", 64).unwrap();
    }
}

/// What the files of well-known models hold, by their parts.
#[test]
fn what_is_in_use_is_read() {
    let level = |prefix: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true});
    let meta =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    let old_meta = json!({"type": "Metaspace", "replacement": "▁", "add_prefix_space": true});
    let map = {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        BASE64_STANDARD.encode(charsmap::tests::map("xyz"))
    };
    let precompiled = json!({"type": "Precompiled", "precompiled_charsmap": map});
    let llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let template = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "a", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"a": {"id": "a", "ids": [0], "tokens": ["a"]}}});
    let many: Vec<Json> = (0..1000)
        .map(|at| added(&format!("<unused{at}>"), true))
        .collect();
    let large: serde_json::Map<_, _> = (0..60_000)
        .map(|id| (format!("t{id}"), json!(id)))
        .collect();
    for (name, parts) in [
        (
            "gpt2",
            json!({"pre_tokenizer": level(false), "post_processor": level(true), "decoder": level(true)}),
        ),
        (
            "roberta",
            json!({"pre_tokenizer": level(true), "post_processor": {"type": "RobertaProcessing",
            "sep": ["a", 0], "cls": ["hi", 1], "trim_offsets": true, "add_prefix_space": true}}),
        ),
        (
            "bert",
            json!({"normalizer": {"type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": template,
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true}}),
        ),
        (
            "llama 2",
            json!({"normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")]}, "post_processor": template,
            "decoder": {"type": "Sequence", "decoders": [replace("▁", " "), {"type": "ByteFallback"},
                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}}),
        ),
        (
            "llama 3",
            json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": llama3}, "behavior": "Isolated", "invert": false},
            level(false)]}, "post_processor": {"type": "Sequence", "processors": [level(true), template]},
            "decoder": level(true)}),
        ),
        (
            "t5",
            json!({"normalizer": precompiled, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"}, old_meta]}, "decoder": meta}),
        ),
        (
            "albert",
            json!({"normalizer": {"type": "Sequence", "normalizers": [replace("``", "\""),
            replace("''", "\""), {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
            precompiled, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
            "pre_tokenizer": meta, "decoder": meta}),
        ),
        (
            "clip",
            json!({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]}}),
        ),
        (
            "gemma",
            json!({"normalizer": replace(" ", "▁"), "added_tokens": many,
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "},
                "behavior": "MergedWithPrevious", "invert": false},
            "model": {"type": "WordLevel", "unk_token": "t0", "vocab": large}}),
        ),
    ] {
        let tokenizer = read(parts).unwrap_or_else(|error| panic!("{name}: {error}"));
        tokenizer.sentence("hi there", 64).unwrap();
        // A long review.
        tokenizer.sentence(&"hi ".repeat(1900), 64).unwrap();
        tokenizer.decode(&[0, 1]);
    }
}

#[test]
fn a_vocabulary_is_as_large_as_its_largest_id() {
    let holes =
        read(json!({"model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "b": 9}}}));
    assert_eq!(holes.unwrap().vocabulary(), 10);
    let around =
        json!({"post_processor": {"type": "BertProcessing", "sep": ["a", 20], "cls": ["a", 0]}});
    assert_eq!(read(around).unwrap().vocabulary(), 21);
    let more = read(json!({"added_tokens": [added("<x>", false), added("<y>", true)]})).unwrap();
    assert_eq!(more.vocabulary(), 4);
    assert_eq!(more.sentence("<x><y>", 4).unwrap(), [2, 3]);
}
