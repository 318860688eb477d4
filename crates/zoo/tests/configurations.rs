//! What `config.json` may say, of a run and of an origin's folder: what could not be used is refused when
//! the folder is opened.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::path::Path;

use serde_json::{Value as Json, json};
use zoo::ZOO;
use zoo_hub::MOST_CONFIG_BYTES;
use zoo_program::{CONFIG_FILE, Config, Saved, of_origin};

/// A codec, read by the task of a model that has such.
fn parse(codec: &str) -> Result<(), String> {
    let name = match codec {
        codec if codec.contains("images") => "mlp",
        codec if codec.contains("words") => "encoder",
        _ => "gpt",
    };
    let config = format!(r#"{{"model": {{"name": "{name}"}}, "codec": {codec}}}"#);
    let config = Config::parse(&config)?;
    let model = ZOO.configure(&config.model, &toml::Table::new())?;
    model.codec(&config.codec)?.check()
}

#[test]
fn a_codec_that_could_not_read_an_input_is_refused() {
    let images = r#"{"kind": "images", "shape": [3, 8, 8], "mean": [0, 0, 0], "std": [1, 1, 1], "classes": []}"#;
    let words =
        r#"{"kind": "words", "words": "<pad>\n<unk>\nthe\n", "max_length": 8, "classes": []}"#;
    let chars = r#"{"kind": "chars", "chars": "ab", "stop": null}"#;
    for (codec, from, to, part) in [
        (images, "[0, 0, 0]", "[]", "0 means"),
        (images, "[1, 1, 1]", "[1]", "1 deviations"),
        (images, "[3, 8, 8]", "[2, 8, 8]", "2 channels"),
        (images, "[3, 8, 8]", "[3, 8, 0]", "8 x 0 pixels"),
        (
            images,
            "[3, 8, 8]",
            "[3, 99999999, 8]",
            "99999999 x 8 pixels",
        ),
        (images, "[0, 0, 0]", "[0, 1e300, 0]", "codec.mean"),
        (words, "8", "0", "codec.max_length = 0"),
        (words, "the", "a b", "vocabulary: line 3"),
        (chars, "ab", "ba", "vocabulary: character 2"),
    ] {
        parse(codec).unwrap();
        assert!(codec.contains(from), "{from}");
        let error = parse(&codec.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_an_origin_claims_is_refused_before_anything_is_set_aside() {
    let open = |key: &str, value: Json| {
        let mut config = json!({ "architecture": "resnet18", "num_classes": 2,
            "input_size": [3, 32, 32], "mean": [0.5, 0.5, 0.5] });
        config[key] = value;
        of_origin(&ZOO, Path::new("."), &config.to_string())
    };
    open("num_classes", json!(3)).unwrap();
    for (key, value) in [
        ("num_classes", json!(1_u64 << 40)),
        ("input_size", json!([1_u64 << 40, 32, 32])),
        ("input_size", json!([3, 1_u64 << 40, 32])),
        ("mean", json!([0.5, 1e300, 0.5])),
    ] {
        let error = open(key, value).map(|_| ()).unwrap_err();
        assert!(!error.is_empty(), "{key}");
    }
}

#[test]
fn a_codec_of_other_inputs_than_the_models_is_refused() {
    let images = |shape: &str, classes: &str| {
        let codec = format!(
            r#"{{"kind": "images", "shape": {shape}, "mean": [0], "std": [1], "classes": {classes}}}"#
        );
        let config = format!(r#"{{"model": {{"name": "mlp"}}, "codec": {codec}}}"#);
        Config::parse(&config).unwrap().open(&ZOO).map(|_| ())
    };
    let digits = r#"["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]"#;
    images("[1, 28, 28]", digits).unwrap();
    let error = images("[1, 28, 27]", digits).unwrap_err();
    assert!(error.contains("takes 784 values"), "{error}");
    let error = images("[1, 28, 28]", r#"["0", "1"]"#).unwrap_err();
    assert!(error.contains("has 10 outputs"), "{error}");

    let words = |max_length: usize, vocabulary: usize| {
        let config = format!(
            r#"{{"model": {{"name": "encoder", "vocab_size": {vocabulary}, "num_classes": 2, "max_length": 8}},
            "codec": {{"kind": "words", "words": "<pad>\n<unk>\nthe\n", "max_length": {max_length}, "classes": ["a", "b"]}}}}"#
        );
        Config::parse(&config).unwrap().open(&ZOO).map(|_| ())
    };
    words(8, 3).unwrap();
    let error = words(9, 3).unwrap_err();
    assert!(error.contains("codec.max_length = 9"), "{error}");
    let error = words(8, 2).unwrap_err();
    assert!(error.contains("more than model.vocab_size"), "{error}");
}

const TOKENIZER: &str = r#"{"version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
    "post_processor": {"type": "BertProcessing", "sep": ["b", 1], "cls": ["c", 2]}, "decoder": null,
    "model": {"type": "WordLevel", "unk_token": "c", "vocab": {"[PAD]": 0, "b": 1, "c": 2}}}"#;

/// A configuration of a model and a codec, opened.
fn open(model: &Json, codec: &Json) -> Result<(), String> {
    let config = json!({ "model": model, "codec": codec }).to_string();
    Config::parse(&config)?.open(&ZOO).map(|_| ())
}

#[test]
fn a_tokenizer_of_other_tokens_than_the_models_is_refused() {
    let gpt = json!({ "name": "gpt", "vocab_size": 3, "context": 8 });
    let bert = json!({ "name": "bert", "vocab_size": 3, "max_length": 8, "num_classes": 2 });
    let tokenizer = json!({ "kind": "tokenizer", "tokenizer": TOKENIZER, "max_length": 8,
        "classes": [], "stop": [2] });
    let mut classifier = tokenizer.clone();
    classifier["classes"] = json!(["no", "yes"]);
    open(&gpt, &tokenizer).unwrap();
    open(&bert, &classifier).unwrap();
    // Unknown words would be padding, which is not looked at.
    let mut other = classifier.clone();
    other["tokenizer"] = json!(TOKENIZER.replace(r#""unk_token": "c""#, r#""unk_token": "[PAD]""#));
    let error = open(&bert, &other).unwrap_err();
    assert!(error.contains("pad_token_id"), "{error}");
    let mut embedding = bert.clone();
    embedding["head"] = json!("sentence_embedding");
    open(&embedding, &tokenizer).unwrap();

    let with = |json: &Json, key: &str, value: Json| {
        let mut json = json.clone();
        json[key] = value;
        json
    };
    let larger = TOKENIZER.replace(r#"["b", 1]"#, r#"["b", 3]"#);
    let added = TOKENIZER.replace(
        r#""added_tokens": []"#,
        r#""added_tokens": [{"id": 3, "content": "<x>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}]"#,
    );
    for (model, codec, part) in [
        (
            with(&gpt, "vocab_size", json!(2)),
            tokenizer.clone(),
            "knows 2 tokens, but data set of the codec has 3",
        ),
        (
            gpt.clone(),
            with(&tokenizer, "tokenizer", json!(larger)),
            "has 4",
        ),
        (
            gpt.clone(),
            with(&tokenizer, "tokenizer", json!(added)),
            "has 4",
        ),
        (
            gpt.clone(),
            with(&tokenizer, "stop", json!([3])),
            "ends with token 3",
        ),
        (
            gpt.clone(),
            with(&tokenizer, "max_length", json!(9)),
            "sequences of 9",
        ),
        (
            gpt.clone(),
            with(&tokenizer, "max_length", json!(0)),
            "codec.max_length = 0",
        ),
        (
            gpt.clone(),
            with(&tokenizer, "classes", json!(["a"])),
            "1 names",
        ),
        (
            gpt.clone(),
            with(&tokenizer, "tokenizer", json!("{}")),
            "tokenizer.json",
        ),
        (
            bert.clone(),
            tokenizer.clone(),
            "has 2 outputs, but data set of the codec has 0 classes",
        ),
        (
            embedding,
            classifier.clone(),
            "2 names; a vector has no classes",
        ),
        (
            with(&bert, "pad_token", json!(1)),
            classifier.clone(),
            "model.pad_token = 1",
        ),
        (
            with(&bert, "pad_token", json!(3)),
            classifier,
            "model.pad_token",
        ),
        (
            json!({ "name": "lenet" }),
            tokenizer,
            "unknown variant `tokenizer`",
        ),
    ] {
        let error = open(&model, &codec).unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_codec_of_another_kind_than_the_models_is_refused() {
    let chars = json!({ "kind": "chars", "chars": "abc", "stop": "c" });
    let words = json!({ "kind": "words", "words": "<pad>\n<unk>\nthe\n", "max_length": 8,
        "classes": ["a", "b", "c"] });
    let images = json!({ "kind": "images", "shape": [1, 28, 28], "mean": [0], "std": [1],
        "classes": ["a", "b", "c"] });
    let gpt = json!({ "name": "gpt", "vocab_size": 3 });
    let encoder = json!({ "name": "encoder", "vocab_size": 3, "num_classes": 3 });
    let lenet = json!({ "name": "lenet", "num_classes": 3 });
    open(&gpt, &chars).unwrap();
    open(&encoder, &words).unwrap();
    open(&lenet, &images).unwrap();
    for (model, codec) in [
        (&gpt, &words),
        (&gpt, &images),
        (&encoder, &chars),
        (&encoder, &images),
        (&lenet, &chars),
        (&lenet, &words),
        (&json!({ "name": "unet", "num_classes": 3 }), &images),
        (
            &json!({ "name": "encoder-decoder", "vocab_size": 3 }),
            &chars,
        ),
    ] {
        open(model, codec).unwrap_err();
    }
    let mut stray = chars.clone();
    stray["stop"] = json!("d");
    let error = open(&gpt, &stray).unwrap_err();
    assert!(error.contains("codec.stop = 'd'"), "{error}");
    let mut padded = encoder;
    padded["pad_token"] = json!(2);
    let error = open(&padded, &words).unwrap_err();
    assert!(error.contains("model.pad_token = 2"), "{error}");
    let mut escapes = images.clone();
    escapes["classes"][1] = json!("\u{1b}[2J");
    let error = open(&lenet, &escapes).unwrap_err();
    assert!(error.contains("control character"), "{error}");
}

#[test]
fn a_configuration_of_millions_is_refused_with_the_number() {
    let digits: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let images = json!({ "kind": "images", "shape": [1, 28, 28], "mean": [0], "std": [1],
        "classes": digits });
    let widths = vec![784; 1_000_000];
    let error = open(&json!({ "name": "mlp", "widths": widths }), &images).unwrap_err();
    assert!(error.contains("got 1000000"), "{error}");
    let words = json!({ "kind": "words", "words": "<pad>\n<unk>\nthe\n", "max_length": 8,
        "classes": ["a", "b"] });
    let mut encoder = json!({ "name": "encoder", "vocab_size": 3, "num_classes": 2 });
    encoder["num_layers"] = json!(1_000_000);
    let error = open(&encoder, &words).unwrap_err();
    assert!(error.contains("got 1000000"), "{error}");

    // All but the tokenizer, which is kept as it is.
    let padding = " ".repeat(MOST_CONFIG_BYTES as usize);
    let config = json!({ "model": { "name": "lenet" }, "codec": images }).to_string();
    let error = Config::parse(&(config + &padding)).unwrap_err();
    assert!(error.contains("its tokenizer aside"), "{error}");
    let tokenizer = TOKENIZER.to_owned() + &padding;
    let large = json!({ "kind": "tokenizer", "tokenizer": tokenizer, "max_length": 8,
        "classes": [], "stop": [] });
    open(
        &json!({ "name": "gpt", "vocab_size": 3, "context": 8 }),
        &large,
    )
    .unwrap();
}

#[test]
fn an_origin_has_names_for_its_classes_or_not_too_many() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), TOKENIZER).unwrap();
    let read = |config: Json| -> Result<usize, String> {
        let (_, codec) = of_origin(&ZOO, folder.path(), &config.to_string())?;
        Ok(codec.classes().len())
    };
    let bert = |key: &str, value: Json| {
        let mut config = json!({ "model_type": "bert", "vocab_size": 3, "hidden_size": 4,
            "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8 });
        config[key] = value;
        config
    };
    assert_eq!(read(bert("num_labels", json!(3))), Ok(3));
    let timm = |classes: usize| json!({ "architecture": "resnet18", "num_classes": classes });
    assert_eq!(read(timm(21_843)), Ok(21_843));
    for (config, part) in [
        (timm(1 << 17), "classes"),
        (bert("num_labels", json!(1_u64 << 40)), "num_classes"),
        (bert("eos_token_id", json!(3)), "no such token"),
        (
            bert("eos_token_id", json!("x".repeat(1000))),
            "eos_token_id",
        ),
        (bert("hidden_act", json!("x".repeat(100_000))), "hidden_act"),
        (bert("eos_token_id", json!(vec![0; 1000])), "64 at most"),
        (bert("eos_token_id", json!(-1)), "eos_token_id"),
        (bert("vocab_size", json!(2)), "ids up to 2"),
        (bert("pad_token_id", json!(3)), "pad_token"),
    ] {
        let error = read(config).unwrap_err();
        assert!(
            error.contains(part) && error.len() < 3000,
            "{part}: {error}"
        );
    }
    let begin = std::time::Instant::now();
    let name = json!({ "architecture": "resnet".repeat(2_000_000) });
    let error = read(name).unwrap_err();
    assert!(
        error.len() < 2000 && begin.elapsed().as_secs() < 5,
        "{}",
        error.len()
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo")
            .arg(folder.path().join(name))
            .status();
        assert!(made.unwrap().success());
    };
    pipe(CONFIG_FILE);
    let error = Saved::open(&ZOO, folder.path(), None)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("not a regular file"), "{error}");
    std::fs::remove_file(folder.path().join(CONFIG_FILE)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join(CONFIG_FILE)).unwrap();
    let error = Saved::open(&ZOO, folder.path(), None)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("not a regular file"), "{error}");
    pipe("tokenizer.json");
    let error = zoo_program::language::open(folder.path()).unwrap_err();
    assert!(error.contains("not a regular file"), "{error}");
    pipe("recipe.toml");
    let recipe = folder.path().join("recipe.toml");
    let error = zoo_program::recipes::read(&ZOO, recipe.to_str().unwrap(), &[]).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}
