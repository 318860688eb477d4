//! What a folder of the Hugging Face hub says of its model is done, or refused by the key's name: never
//! read over where something else would be computed.
//!
//! The folders are made here, of tiny configurations with random weights, or were written by the libraries
//! of the hub themselves (`fixtures/hub`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use std::fs;
use std::path::Path;

use common::{fail, succeed, word_level};
use serde_json::{Value, json};
use zoo::ZOO;
use zoo_program::devices;

/// Letters as tokens, with spaces between them.
fn tokenizer() -> String {
    word_level(&["[PAD]", "a", "b", "c", "d", "e", "f", "g", "h", "i"], "i")
}

/// The folder `hub` of a tiny model with these keys of ours.
fn write_hub(root: &Path, name: &str, keys: &[(&str, toml::Value)]) {
    let folder = root.join("hub");
    fs::create_dir_all(&folder).unwrap();
    let entry = ZOO
        .models
        .iter()
        .find(|entry| entry.name() == name)
        .unwrap();
    let mut table = entry.tiny().table();
    for (key, value) in keys {
        table.insert((*key).to_owned(), value.clone());
    }
    let model = ZOO.configure(&table, &toml::Table::new()).unwrap();
    let config = model.to_hub().unwrap().unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer()).unwrap();
    let device = devices::open("flex").unwrap().device;
    let ready = model.fresh(3, &device).unwrap();
    ready.save(&folder.join("model.safetensors"), None).unwrap();
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Says something else in the folder's `config.json`; `null` takes a key away.
fn say(root: &Path, folder: &str, key: &str, value: &Value) {
    let path = root.join(folder).join("config.json");
    let mut config = read(&path);
    let keys = config.as_object_mut().unwrap();
    match value {
        Value::Null => keys.remove(key),
        value => keys.insert(key.to_owned(), value.clone()),
    };
    fs::write(path, config.to_string()).unwrap();
}

fn classes(root: &Path, folder: &str) -> Vec<String> {
    let said = succeed(root, &["predict", folder, "a b", "--json", "--top", "9"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let classes = said["classes"].as_array().unwrap();
    let mut named: Vec<(u64, String)> = classes
        .iter()
        .map(|class| {
            let name = class["class"].as_str().unwrap();
            (class["label"].as_u64().unwrap(), name.to_owned())
        })
        .collect();
    named.sort();
    named.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn a_classifier_that_is_no_softmax_is_not_answered_by_one() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_hub(root, "bert", &[("num_classes", 3.into())]);
    let answer = |folder: &str| -> Vec<Value> {
        let said = succeed(root, &["predict", folder, "a b", "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        said["classes"].as_array().unwrap().clone()
    };
    let sum = |classes: &[Value], key: &str| -> f64 {
        let values = classes.iter().map(|class| class[key].as_f64().unwrap());
        values.sum()
    };
    let kind = "single_label_classification";
    say(root, "hub", "problem_type", &json!(kind));
    assert!((sum(&answer("hub"), "probability") - 1.0).abs() < 1e-6);
    for (kind, key) in [
        ("multi_label_classification", "probability"),
        ("regression", "value"),
    ] {
        say(root, "hub", "problem_type", &json!(kind));
        // What becomes of the weights does not forget what they are for.
        succeed(root, &["import", "hub", "--name", kind]);
        let out = format!("out-{kind}");
        succeed(root, &["export", "hub", "--format", "hf", "--out", &out]);
        let run = format!("runs/{kind}-import-1");
        let again = format!("again-{kind}");
        succeed(root, &["export", &run, "--format", "hf", "--out", &again]);
        for folder in ["hub", &run, &out, &again] {
            let sum = sum(&answer(folder), key);
            assert!((sum - 1.0).abs() > 1e-3, "{kind} {folder}: {sum}");
        }
    }
    // Numbers have no likeliest: all of them are said, in their order.
    let said = succeed(root, &["predict", "hub", "a b", "--json", "--top", "1"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let labels: Vec<u64> = (said["classes"].as_array().unwrap().iter())
        .map(|class| class["label"].as_u64().unwrap())
        .collect();
    assert_eq!(labels, [0, 1, 2]);
}

#[test]
fn one_label_is_a_number_and_no_certainty() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_hub(root, "bert", &[("num_classes", 1.into())]);
    succeed(root, &["import", "hub", "--name", "one"]);
    for folder in ["hub", "runs/one-import-1"] {
        let said = succeed(root, &["predict", folder, "a b", "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        let class = &said["classes"][0];
        assert!(
            class["value"].is_f64() && class["probability"].is_null(),
            "{said}"
        );
    }
    say(
        root,
        "hub",
        "problem_type",
        &json!("single_label_classification"),
    );
    let error = fail(root, &["predict", "hub", "a b"], 2);
    assert!(error.contains("problem_type"), "{error}");
}

#[test]
fn classes_bear_the_names_that_their_numbers_have() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_hub(root, "bert", &[("num_classes", 3.into())]);
    say(
        root,
        "hub",
        "id2label",
        &json!({"2": "c", "0": "a", "1": "b"}),
    );
    assert_eq!(classes(root, "hub"), ["a", "b", "c"]);
    for ids in [
        json!({"1": "a", "2": "b", "3": "c"}),
        json!({"0": "a", "5": "b", "2": "c"}),
        json!({"00": "a", "1": "b", "2": "c"}),
    ] {
        say(root, "hub", "id2label", &ids);
        let error = fail(root, &["predict", "hub", "a b"], 2);
        assert!(
            error.contains("id2label: expected the keys 0 to 2"),
            "{error}"
        );
    }
    say(
        root,
        "hub",
        "id2label",
        &json!({"0": "a", "1": "b", "2": "c"}),
    );
    say(root, "hub", "num_labels", &json!(2));
    let error = fail(root, &["predict", "hub", "a b"], 2);
    assert!(error.contains("num_labels"), "{error}");
    say(root, "hub", "id2label", &Value::Null);
    say(root, "hub", "num_labels", &json!(3));
    assert_eq!(classes(root, "hub"), ["LABEL_0", "LABEL_1", "LABEL_2"]);
}

/// The files of a sentence encoder, as those of all-MiniLM-L6-v2 are.
fn sentence_encoder(width: usize) -> Vec<(&'static str, Value)> {
    let module = |idx: usize, path: &str, kind: &str| {
        json!({"idx": idx, "name": idx.to_string(), "path": path,
            "type": format!("sentence_transformers.models.{kind}")})
    };
    let modules = [
        module(0, "", "Transformer"),
        module(1, "1_Pooling", "Pooling"),
        module(2, "2_Normalize", "Normalize"),
    ];
    vec![
        ("modules.json", json!(modules)),
        (
            "1_Pooling/config.json",
            json!({"word_embedding_dimension": width, "pooling_mode_cls_token": false,
                "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false,
                "pooling_mode_mean_sqrt_len_tokens": false}),
        ),
        (
            "sentence_bert_config.json",
            json!({"max_seq_length": 256, "do_lower_case": false}),
        ),
        (
            "config_sentence_transformers.json",
            json!({"__version__": {"sentence_transformers": "2.0.0"}}),
        ),
    ]
}

/// The folder `hub` of a tiny sentence encoder with these files; the width of its vectors.
fn write_sentence_encoder(root: &Path) -> usize {
    write_hub(root, "bert", &[("head", "sentence_embedding".into())]);
    let hub = root.join("hub");
    let width = read(&hub.join("config.json"))["hidden_size"]
        .as_u64()
        .unwrap() as usize;
    fs::create_dir_all(hub.join("1_Pooling")).unwrap();
    for (file, content) in sentence_encoder(width) {
        fs::write(hub.join(file), content.to_string()).unwrap();
    }
    width
}

#[test]
fn a_sentence_is_embedded_as_its_folder_says() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_hub(root, "bert", &[("head", "sentence_embedding".into())]);
    let width = read(&root.join("hub/config.json"))["hidden_size"]
        .as_u64()
        .unwrap() as usize;
    let predict = ["predict", "hub", "a b c d", "a b h h", "--json"];
    let plain = succeed(root, &predict);
    let hub = root.join("hub");
    fs::create_dir_all(hub.join("1_Pooling")).unwrap();
    let restore = || {
        for (file, content) in sentence_encoder(width) {
            fs::write(hub.join(file), content.to_string()).unwrap();
        }
    };
    restore();
    assert_eq!(succeed(root, &predict), plain);
    // As later versions of the library write them.
    let pooling =
        json!({"embedding_dimension": width, "pooling_mode": "mean", "include_prompt": true});
    fs::write(hub.join("1_Pooling/config.json"), pooling.to_string()).unwrap();
    let text = fs::read_to_string(hub.join("modules.json")).unwrap();
    let text = text.replace(
        "sentence_transformers.models.Pooling",
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    );
    fs::write(hub.join("modules.json"), text).unwrap();
    assert_eq!(succeed(root, &predict), plain);

    let pooling = "1_Pooling/config.json";
    let text = "config_sentence_transformers.json";
    for (file, key, value) in [
        (pooling, "pooling_mode_cls_token", json!(true)),
        (pooling, "pooling_mode_max_tokens", json!(true)),
        (pooling, "pooling_mode_lasttoken", json!(true)),
        (pooling, "pooling_mode_mean_tokens", json!(false)),
        (pooling, "pooling_mode_weightedmean_tokens", json!(true)),
        (pooling, "pooling_mode", json!("weightedmean")),
        (pooling, "pooling_mode", json!(["mean", "max"])),
        (pooling, "include_prompt", json!(false)),
        (pooling, "word_embedding_dimension", json!(width + 1)),
        ("sentence_bert_config.json", "do_lower_case", json!(true)),
        ("sentence_bert_config.json", "max_seq_length", json!(0)),
        (text, "default_prompt_name", json!("query")),
        (text, "truncate_dim", json!(width / 2)),
        (text, "similarity_fn_name", json!("euclidean")),
    ] {
        restore();
        let mut content = read(&hub.join(file));
        content[key] = value;
        fs::write(hub.join(file), content.to_string()).unwrap();
        let error = fail(root, &predict, 2);
        assert!(error.contains(file) && error.contains(key), "{error}");
    }
    let module = |kind: &str, path: &str| json!({"path": path, "type": format!("sentence_transformers.{kind}")});
    let (transformer, mean, normalize) = (
        module("Transformer", ""),
        module("Pooling", "1_Pooling"),
        module("Normalize", "2_Normalize"),
    );
    let dense = module("Dense", "2_Dense");
    for (modules, part) in [
        (json!([transformer, mean, dense, normalize]), "Dense"),
        (json!([transformer]), "Pooling"),
        (
            json!([{"path": "", "type": "custom_st.Transformer"}, mean, normalize]),
            "custom_st.Transformer",
        ),
        (
            json!([module("CLIPModel", ""), mean, normalize]),
            "CLIPModel",
        ),
        (
            json!([module("Transformer", "0_Transformer"), mean, normalize]),
            "0_Transformer",
        ),
        (
            json!([transformer, module("Pooling", "elsewhere"), normalize]),
            "elsewhere/config.json",
        ),
        (
            json!([
                transformer,
                module("Pooling", "../hub/1_Pooling"),
                normalize
            ]),
            "path of Pooling",
        ),
        (json!({}), "list"),
    ] {
        restore();
        fs::write(hub.join("modules.json"), modules.to_string()).unwrap();
        let error = fail(root, &predict, 2);
        assert!(
            error.contains("modules.json") && error.contains(part),
            "{error}"
        );
    }
    fs::remove_file(hub.join("modules.json")).unwrap();
    let error = fail(root, &predict, 2);
    assert!(
        error.contains("modules.json") && error.contains("1_Pooling"),
        "{error}"
    );
}

/// What the model takes for padding is not looked at: a text that holds it, or nothing, has no answer.
#[test]
fn a_text_that_the_model_would_not_look_at_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for keys in [
        &[("head", "sentence_embedding".into())][..],
        &[("num_classes", 3.into())],
    ] {
        write_hub(root, "bert", keys);
        let error = fail(root, &["predict", "hub", "a [PAD] b"], 2);
        assert!(
            error.contains("padding") && error.contains("[PAD]"),
            "{error}"
        );
        for empty in ["", "  "] {
            let error = fail(root, &["predict", "hub", empty], 2);
            assert!(error.contains("no words"), "{error}");
        }
    }
}

/// What transformers and sentence-transformers wrote is answered as they answer it themselves.
#[test]
fn folders_of_the_libraries_are_answered_as_by_them() {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hub");
    let answers = read(&folders.join("answers.json"));
    let root = tempfile::tempdir().unwrap();
    let ask = |command: &str, folder: &str, rest: &[&str]| -> Vec<Value> {
        let folder = folders.join(folder);
        let start = [command, folder.to_str().unwrap(), "--json"];
        let said = succeed(root.path(), &[&start, rest].concat());
        said.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let numbers = |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
    let near = |about: &str, found: &[f64], expected: &[f64]| {
        let pairs = found.iter().zip(expected);
        let equal =
            found.len() == expected.len() && pairs.clone().all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(equal, "{about}: {found:?}, not {expected:?}");
    };
    let texts = |folder: &str| -> Vec<String> {
        serde_json::from_value(answers[folder]["texts"].clone()).unwrap()
    };
    for folder in ["sentence-mean", "sentence-cls", "sentence-max"] {
        let texts = texts(folder);
        let said = ask("predict", folder, &[&texts[0], &texts[1], &texts[2]]);
        for (said, vector) in said
            .iter()
            .zip(answers[folder]["vectors"].as_array().unwrap())
        {
            near(folder, &numbers(&said["embedding"]), &numbers(vector));
        }
    }
    for (folder, key) in [
        ("classes", "probability"),
        ("labels", "probability"),
        ("number", "value"),
    ] {
        let texts = texts(folder);
        let said = ask("predict", folder, &[&texts[0], &texts[1], &texts[2]]);
        for (said, expected) in said
            .iter()
            .zip(answers[folder]["answers"].as_array().unwrap())
        {
            let mut classes = said["classes"].as_array().unwrap().clone();
            classes.sort_by_key(|class| class["label"].as_u64());
            let found: Vec<f64> = classes
                .iter()
                .map(|class| class[key].as_f64().unwrap())
                .collect();
            near(folder, &found, &numbers(expected));
            let names: Vec<&Value> = classes.iter().map(|class| &class["class"]).collect();
            let expected: Vec<&Value> = answers[folder]["labels"]
                .as_array()
                .unwrap()
                .iter()
                .collect();
            assert_eq!(names, expected, "{folder}");
        }
    }
    for folder in ["gpt2", "llama"] {
        let expected = &answers[folder];
        let prompt = expected["prompt"].as_str().unwrap();
        let count = expected["new"].as_array().unwrap().len().to_string();
        let rest = ["--prompt", prompt, "--tokens", &count, "--temperature", "0"];
        assert_eq!(
            ask("sample", folder, &rest)[0]["text"],
            expected["text"],
            "{folder}"
        );
    }
}

/// Folders of before there was a `tokenizer.json` have word pieces, one a line.
#[test]
fn the_older_file_of_berts_tokens_is_read() {
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hub/classes");
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let folder = root.join("old");
    fs::create_dir(&folder).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer_config.json"] {
        fs::copy(there.join(file), folder.join(file)).unwrap();
    }
    let tokenizer = read(&there.join("tokenizer.json"));
    let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
    let mut pieces: Vec<(&String, u64)> = vocabulary
        .iter()
        .map(|(piece, id)| (piece, id.as_u64().unwrap()))
        .collect();
    pieces.sort_by_key(|(_, id)| *id);
    let lines: String = pieces
        .iter()
        .map(|(piece, _)| format!("{piece}\n"))
        .collect();
    fs::write(folder.join("vocab.txt"), lines).unwrap();
    let text = "The CAT sat, happily!";
    let ask = |folder: &str| {
        let said = succeed(root, &["predict", folder, text, "--json"]);
        serde_json::from_str::<Value>(&said).unwrap()["classes"].take()
    };
    let before = ask(there.to_str().unwrap());
    assert_eq!(ask("old"), before);
    let mut settings = read(&folder.join("tokenizer_config.json"));
    let mut with = |key: &str, value: Value| {
        settings[key] = value;
        fs::write(folder.join("tokenizer_config.json"), settings.to_string()).unwrap();
    };
    with("do_lower_case", json!(false));
    assert_ne!(ask("old"), before);
    with("do_lower_case", json!(true));
    with("strip_accents", json!(false));
    let error = fail(root, &["predict", "old", text], 2);
    assert!(error.contains("strip_accents"), "{error}");
    with("strip_accents", Value::Null);
    fs::write(folder.join("added_tokens.json"), "{}").unwrap();
    let error = fail(root, &["predict", "old", text], 2);
    assert!(error.contains("added_tokens.json"), "{error}");
}

/// The same weights under each pooling: vectors that differ, and that an export keeps.
#[test]
fn a_sentences_vector_is_made_as_its_folder_says_and_exported_so() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let width = write_sentence_encoder(root);
    let hub = root.join("hub");
    let vectors = |folder: &str| -> Vec<Vec<f64>> {
        let said = succeed(root, &["predict", folder, "a b c", "d h", "--json"]);
        let vector = |line: &str| -> Vec<f64> {
            let line: Value = serde_json::from_str(line).unwrap();
            serde_json::from_value(line["embedding"].clone()).unwrap()
        };
        said.lines().map(vector).collect()
    };
    let length = |vector: &[f64]| vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut seen: Vec<Vec<Vec<f64>>> = Vec::new();
    for mode in ["cls", "mean", "max", "mean_sqrt_len_tokens", "lasttoken"] {
        for normalise in [true, false] {
            let pooling = json!({"embedding_dimension": width, "pooling_mode": mode});
            fs::write(hub.join("1_Pooling/config.json"), pooling.to_string()).unwrap();
            let mut modules = read(&hub.join("modules.json"));
            let list = modules.as_array_mut().unwrap();
            list.truncate(2);
            if normalise {
                list.push(json!({"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}));
            }
            fs::write(hub.join("modules.json"), modules.to_string()).unwrap();
            let found = vectors("hub");
            let is_unit = found
                .iter()
                .all(|vector| (length(vector) - 1.0).abs() < 1e-5);
            assert_eq!(is_unit, normalise, "{mode}: {found:?}");
            // All differ, but for the length that the mean and its sum over a root share.
            let is_new = seen.iter().all(|other| *other != found);
            assert!(is_new || mode == "mean_sqrt_len_tokens", "{mode}");
            seen.push(found.clone());
            // The second export goes over the first.
            succeed(
                root,
                &["export", "hub", "--format", "hf", "--out", "out", "--force"],
            );
            assert_eq!(vectors("out"), found, "{mode}, {normalise}");
        }
    }
    // What another model would be read with goes.
    write_hub(root, "bert", &[]);
    for file in ["modules.json", "sentence_bert_config.json"] {
        fs::remove_file(hub.join(file)).unwrap();
    }
    succeed(
        root,
        &["export", "hub", "--format", "hf", "--out", "out", "--force"],
    );
    assert!(!root.join("out/modules.json").exists() && !root.join("out/1_Pooling").exists());
}

/// A tokenizer that keeps capitals does not serve where the folder has them taken away first; one that
/// takes them away itself does.
#[test]
fn capitals_are_taken_away_where_the_folder_says() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_sentence_encoder(root);
    let settings = json!({"max_seq_length": 8, "do_lower_case": true});
    fs::write(
        root.join("hub/sentence_bert_config.json"),
        settings.to_string(),
    )
    .unwrap();
    let error = fail(root, &["predict", "hub", "a b"], 2);
    assert!(error.contains("do_lower_case"), "{error}");
    fs::remove_file(root.join("hub/sentence_bert_config.json")).unwrap();
    // A class of BERT's does as its own file says, and takes capitals away where it says nothing.
    let says = |config: Value| {
        let path = root.join("hub/tokenizer_config.json");
        fs::write(path, config.to_string()).unwrap();
    };
    for config in [
        json!({"tokenizer_class": "BertTokenizer"}),
        json!({"tokenizer_class": "BertTokenizerFast", "do_lower_case": true}),
        json!({"do_lower_case": true}),
    ] {
        says(config);
        let error = fail(root, &["predict", "hub", "a b"], 2);
        assert!(
            error.contains("tokenizer_config.json: do_lower_case"),
            "{error}"
        );
    }
    for config in [
        json!({"tokenizer_class": "BertTokenizer", "do_lower_case": false}),
        json!({"tokenizer_class": "PreTrainedTokenizerFast"}),
    ] {
        says(config);
        succeed(root, &["predict", "hub", "a b"]);
    }
    fs::remove_file(root.join("hub/tokenizer_config.json")).unwrap();
    fs::write(
        root.join("hub/sentence_bert_config.json"),
        settings.to_string(),
    )
    .unwrap();
    let mut lower: Value = serde_json::from_str(&tokenizer()).unwrap();
    lower["normalizer"] = json!({"type": "Lowercase"});
    fs::write(root.join("hub/tokenizer.json"), lower.to_string()).unwrap();
    let said = succeed(root, &["predict", "hub", "a b", "A B", "--json"]);
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(last["similarity_to_first"].as_f64().unwrap() > 0.999_999);
}

#[test]
fn a_sentence_is_cut_where_its_folder_says() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_sentence_encoder(root);
    let similar = || -> Value {
        let said = succeed(root, &["predict", "hub", "a b", "a b h h", "--json"]);
        let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        last["similarity_to_first"].clone()
    };
    assert!(similar().as_f64().unwrap() < 0.9999);
    let settings = json!({"max_seq_length": 2, "do_lower_case": false});
    fs::write(
        root.join("hub/sentence_bert_config.json"),
        settings.to_string(),
    )
    .unwrap();
    assert!(similar().as_f64().unwrap() > 0.999_999);
}

#[test]
fn what_would_compute_something_else_is_refused_by_its_key() {
    for (name, key, neutral, value) in [
        ("llama", "sliding_window", json!(null), json!(2)),
        ("llama", "partial_rotary_factor", json!(1.0), json!(0.5)),
        ("llama", "final_logit_softcapping", json!(null), json!(30.0)),
        ("llama", "rope_interleaved", json!(false), json!(true)),
        ("llama", "mlp_bias", json!(false), json!(true)),
        ("llama", "logits_scaling", json!(1), json!(8)),
        ("llama", "rope_scaling", json!({}), json!({"factor": 4.0})),
        (
            "llama",
            "rope_parameters",
            json!({"rope_type": "default"}),
            json!({"full_attention": {"rope_theta": 7.0}}),
        ),
        ("gpt", "add_cross_attention", json!(false), json!(true)),
        (
            "gpt",
            "scale_attn_by_inverse_layer_idx",
            json!(false),
            json!(true),
        ),
        (
            "gpt",
            "quantization_config",
            json!(null),
            json!({"quant_method": "fp8"}),
        ),
        ("bert", "pruned_heads", json!({}), json!({"0": [1]})),
        (
            "bert",
            "sbert_ce_default_activation_function",
            json!("torch.nn.modules.linear.Identity"),
            json!("torch.nn.modules.activation.Sigmoid"),
        ),
        (
            "bert",
            "sentence_transformers",
            json!({"activation_fn": "torch.nn.modules.linear.Identity"}),
            json!({"activation_fn": "torch.nn.modules.activation.Sigmoid"}),
        ),
        (
            "bert",
            "position_embedding_type",
            json!("absolute"),
            json!("relative_key"),
        ),
    ] {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write_hub(root, name, &[]);
        let command: &[&str] = match name {
            "bert" => &["predict", "hub", "a b"],
            _ => &["sample", "hub", "--prompt", "a b", "--tokens", "1"],
        };
        say(root, "hub", key, &neutral);
        succeed(root, command);
        say(root, "hub", key, &value);
        let error = fail(root, command, 2);
        assert!(error.contains(key), "{key}: {error}");
    }
}

/// The base of rotary positions is used wherever it stands: transformers 5 reads all three.
#[test]
fn the_base_of_rotary_positions_is_used_wherever_it_stands() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_hub(root, "llama", &[]);
    let parsed = || -> f64 {
        succeed(root, &["import", "hub", "--name", "theta"]);
        let mut runs: Vec<_> = fs::read_dir(root.join("runs"))
            .unwrap()
            .map(|run| run.unwrap().path())
            .collect();
        let run = runs.pop().unwrap();
        let theta = read(&run.join("config.json"))["model"]["rope_theta"].as_f64();
        fs::remove_dir_all(run).unwrap();
        theta.unwrap()
    };
    say(root, "hub", "rope_theta", &json!(7.0));
    assert_eq!(parsed(), 7.0);
    say(root, "hub", "rope_theta", &Value::Null);
    for key in ["rope_scaling", "rope_parameters"] {
        say(
            root,
            "hub",
            key,
            &json!({"rope_type": "default", "rope_theta": 7.0}),
        );
        assert_eq!(parsed(), 7.0, "{key}");
        say(root, "hub", key, &Value::Null);
    }
    assert_eq!(parsed(), 10_000.0);
}

/// timm's Vision Transformers take the class token or the mean of the patches; nothing else has a choice.
#[test]
fn the_pooling_of_a_vision_transformer_is_read() {
    let read = |architecture: &str, pooling: &str| {
        let config = json!({"architecture": architecture, "model_args": {"global_pool": pooling}});
        zoo_program::of_origin(&ZOO, Path::new("."), &config.to_string())
            .map(|_| ())
            .map_err(|problem| problem.to_string())
    };
    for pooling in ["token", "avg"] {
        read("vit_tiny_patch16_224", pooling).unwrap();
    }
    let error = read("vit_tiny_patch16_224", "max").unwrap_err();
    assert!(
        error.contains("model.global_pool") && error.contains("expected `token` or `avg`"),
        "{error}"
    );
    let error = read("mixer_s16_224", "token").unwrap_err();
    assert!(error.contains("global_pool: expected avg, got"), "{error}");
}

#[test]
fn what_timm_would_build_otherwise_is_refused_by_its_key() {
    let config = |key: &str, value: &Value| {
        let mut config = json!({"architecture": "resnet18", "num_classes": 2});
        config[key] = value.clone();
        zoo_program::of_origin(&ZOO, Path::new("."), &config.to_string())
            .map(|_| ())
            .map_err(|problem| problem.to_string())
    };
    for (key, neutral, value, part) in [
        ("global_pool", json!("avg"), json!("max"), "global_pool"),
        (
            "model_args",
            json!({"in_chans": 3}),
            json!({"output_stride": 8}),
            "model_args.output_stride",
        ),
        (
            "label_names",
            json!(["a", "b"]),
            json!(["a", "b", "c"]),
            "label_names",
        ),
        (
            "id2label",
            json!({"0": "a", "1": "b"}),
            json!({"1": "a", "2": "b"}),
            "id2label",
        ),
    ] {
        config(key, &neutral).unwrap();
        let error = config(key, &value).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

/// A file of a preset's tensors, filled by their origin's names as `fixtures/pictures/make.py` does.
fn fill(preset: &str, file: &Path) {
    let table = format!("name = '{preset}'").parse().unwrap();
    let model = ZOO.configure(&table, &toml::Table::new()).unwrap();
    let device = devices::open("flex").unwrap().device;
    model.fresh(1, &device).unwrap().save(file, None).unwrap();
    let mut bytes = fs::read(file).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..start]).unwrap();
    for (name, entry) in header.as_object().unwrap() {
        if name == "__metadata__" {
            continue;
        }
        let of = |key: &str| -> Vec<usize> { serde_json::from_value(entry[key].clone()).unwrap() };
        let (shape, place) = (of("shape"), of("data_offsets"));
        let numbers = shape.iter().product::<usize>();
        let values: Vec<f32> = match shape.len() {
            0 => vec![0.0],
            1 => {
                let is_one = name.ends_with("running_var") || name.ends_with("weight");
                vec![f32::from(u8::from(is_one)); numbers]
            }
            _ => {
                let scale = (6.0 / (numbers / shape[0]) as f64).sqrt();
                uniform(name, numbers)
                    .map(|value| (value * scale) as f32)
                    .collect()
            }
        };
        let to = &mut bytes[start + place[0]..start + place[1]];
        for (to, value) in to.chunks_exact_mut(4).zip(&values) {
            to.copy_from_slice(&value.to_le_bytes());
        }
    }
    fs::write(file, bytes).unwrap();
}

/// SplitMix64 of place and name, from -1 to 1.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> + use<> {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    (1..=count as u64).map(move |at| {
        let z = at.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// Light that falls off, discs with edges, and grain, as `fixtures/pictures/make.py` draws them.
fn photograph(name: &str, [height, width]: [i64; 2]) -> image::RgbImage {
    let discs: Vec<i64> = uniform(name, 14 * 6)
        .map(|part| (part * 1000.0).floor() as i64)
        .collect();
    let mut grain = uniform(&format!("{name} grain"), (3 * height * width) as usize)
        .map(|part| (part * 8.0).floor() as i64);
    let mut picture = image::RgbImage::new(width as u32, height as u32);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (x, y) = (i64::from(x), i64::from(y));
        let mut light = [
            60 + 120 * x / width,
            60 + 120 * y / height,
            180 - 120 * x / width,
        ];
        for disc in discs.chunks_exact(6) {
            let radius = 10 + (disc[2] + 1000) * height.min(width) / 8000;
            let down = y - (disc[0] + 1000) * height / 2000;
            let across = x - (disc[1] + 1000) * width / 2000;
            if down * down + across * across < radius * radius {
                for (light, color) in light.iter_mut().zip(&disc[3..]) {
                    *light += (color * 110).div_euclid(1000);
                }
            }
        }
        pixel.0 = light.map(|light| (light + grain.next().unwrap()).clamp(0, 255) as u8);
    }
    picture
}

/// Pictures of odd sizes lead to the probabilities that the origins' own preparation of them leads to.
#[test]
fn photographs_are_answered_as_by_torchvision_timm_and_transformers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    let answers = read(&folder.join("answers.json"));
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    // As they are fetched, and as a folder of transformers.
    let vit = root.join("data/weights/vit_tiny_patch16_224/model.safetensors");
    let mobilenet = root.join("data/weights/mobilenet_v2/mobilenet_v2-7ebf99e0.pth");
    let hub = root.join("transformers");
    for file in [&vit, &mobilenet] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
    }
    fill("vit_tiny_patch16_224", &vit);
    fill("mobilenet_v2", &mobilenet);
    fs::create_dir(&hub).unwrap();
    fs::copy(&vit, hub.join("model.safetensors")).unwrap();
    let config = json!({"architecture": "vit_tiny_patch16_224", "num_classes": 1000});
    fs::write(hub.join("config.json"), config.to_string()).unwrap();
    let file = "preprocessor_config.json";
    fs::copy(folder.join("transformers").join(file), hub.join(file)).unwrap();
    for origin in ["mobilenet_v2", "vit_tiny_patch16_224", "transformers"] {
        for (picture, expected) in answers[origin].as_object().unwrap() {
            let size: [i64; 2] = serde_json::from_value(expected["size"].clone()).unwrap();
            let file = root.join(picture).with_extension("png");
            photograph(picture, size).save(&file).unwrap();
            let arguments = ["predict", origin, file.to_str().unwrap(), "--json"];
            let said: Value = serde_json::from_str(&succeed(root, &arguments)).unwrap();
            let classes = said["classes"].as_array().unwrap();
            for (at, class) in classes.iter().enumerate() {
                let close = |key: &str, expected: &Value| {
                    let (found, expected) = (class[key].as_f64(), expected.as_f64());
                    (found.unwrap() - expected.unwrap()).abs() < 1e-3
                };
                assert!(
                    close("label", &expected["labels"][at])
                        && close("probability", &expected["probabilities"][at]),
                    "{origin} {picture}: {said}, expected {expected}"
                );
            }
            assert!(!classes.is_empty());
        }
    }
}
