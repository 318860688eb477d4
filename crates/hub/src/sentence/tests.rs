use std::fs;

use super::*;

/// The files of a folder, of an encoder of width 384.
fn facts(files: &[(&str, Json)]) -> Result<Option<SentenceFacts>, HubError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, json) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, json.to_string()).unwrap();
    }
    sentence(folder.path(), 384)
}

fn module(index: usize, kind: &str) -> Json {
    let path = match kind {
        "Transformer" => String::new(),
        kind => format!("{index}_{kind}"),
    };
    json!({"idx": index, "name": index.to_string(), "path": path,
        "type": format!("sentence_transformers.models.{kind}")})
}

fn modules(kinds: &[&str]) -> (&'static str, Json) {
    let modules = kinds.iter().enumerate();
    let modules: Vec<Json> = modules.map(|(index, kind)| module(index, kind)).collect();
    (MODULES_FILE, json!(modules))
}

const POOLING: &str = "1_Pooling/config.json";
const BERT: &str = "sentence_bert_config.json";

fn mean() -> Json {
    json!({"word_embedding_dimension": 384, "pooling_mode_cls_token": false,
        "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false,
        "pooling_mode_mean_sqrt_len_tokens": false})
}

#[test]
fn what_is_written_is_read_as_it_was() {
    for (_, _, pooling) in POOLINGS {
        for normalise in [false, true] {
            let files = write_sentence(384, pooling, normalise, 77);
            assert!(
                files
                    .iter()
                    .all(|(path, _)| { SENTENCE_FILES.contains(&path.split('/').next().unwrap()) })
            );
            let found = facts(&files).unwrap().unwrap();
            assert_eq!((found.pooling, found.normalise), (pooling, normalise));
            assert_eq!((found.max_length, found.lower_case), (Some(77), false));
        }
    }
}

#[test]
fn a_folder_of_minilm_is_mean_normalised_and_cut() {
    let files = [
        modules(&["Transformer", "Pooling", "Normalize"]),
        (POOLING, mean()),
        (BERT, json!({"max_seq_length": 256, "do_lower_case": false})),
        (
            WHOLE_FILE,
            json!({"__version__": {"sentence_transformers": "2.0.0"}}),
        ),
    ];
    let expected = SentenceFacts {
        pooling: Pooling::Mean,
        pooling_key: "1_Pooling/config.json: pooling_mode_mean_tokens".into(),
        normalise: true,
        max_length: Some(256),
        lower_case: false,
    };
    assert_eq!(facts(&files), Ok(Some(expected)));
    assert_eq!(facts(&[]), Ok(None));
}

#[test]
fn every_pooling_is_told_in_both_forms() {
    for (key, name, pooling) in POOLINGS {
        let mut old = mean();
        old["pooling_mode_mean_tokens"] = json!(false);
        old[key] = json!(true);
        // As version 5 writes it.
        let new = json!({"embedding_dimension": 384, "pooling_mode": name, "include_prompt": true});
        let list = json!({"embedding_dimension": 384, "pooling_mode": [name]});
        for config in [old, new, list] {
            let files = [modules(&["Transformer", "Pooling"]), (POOLING, config)];
            let facts = facts(&files).unwrap().unwrap();
            assert_eq!((facts.pooling, facts.normalise), (pooling, false), "{name}");
            assert_eq!(facts.max_length, None);
        }
    }
}

#[test]
fn the_longest_text_is_the_settings_or_the_tokenizers() {
    let length = |more: &[(&'static str, Json)]| {
        let files = [modules(&["Transformer", "Dropout", "Pooling"])];
        let pooling = ("2_Pooling/config.json", mean());
        let files: Vec<_> = files
            .into_iter()
            .chain([pooling])
            .chain(more.to_vec())
            .collect();
        facts(&files).map(|facts| facts.unwrap().max_length)
    };
    let tokenizer = |length: Json| ("tokenizer_config.json", json!({"model_max_length": length}));
    let none = (
        BERT,
        json!({"max_seq_length": null, "do_lower_case": false}),
    );
    assert_eq!(
        length(&[none.clone(), tokenizer(json!(512))]),
        Ok(Some(512))
    );
    assert_eq!(length(&[none, tokenizer(json!(1e30))]), Ok(None));
    let roberta = (
        "sentence_roberta_config.json",
        json!({"max_seq_length": 128}),
    );
    assert_eq!(length(&[roberta, tokenizer(json!(512))]), Ok(Some(128)));
    let error = length(&[tokenizer(json!("long"))]).unwrap_err();
    assert_eq!(error.file, "tokenizer_config.json");
}

#[test]
fn lower_case_is_told() {
    let files = [
        modules(&["Transformer", "Pooling"]),
        (POOLING, mean()),
        (BERT, json!({"max_seq_length": 75, "do_lower_case": true})),
    ];
    assert!(facts(&files).unwrap().unwrap().lower_case);
}

#[test]
fn what_would_give_other_vectors_is_refused_by_file_and_key() {
    let all = || {
        vec![
            modules(&["Transformer", "Pooling", "Normalize"]),
            (POOLING, mean()),
            (BERT, json!({"max_seq_length": 256, "do_lower_case": false})),
            (WHOLE_FILE, json!({"prompts": {"query": "q: ", "none": ""}})),
        ]
    };
    for (file, key, value) in [
        (POOLING, "pooling_mode_cls_token", json!(true)),
        (POOLING, "pooling_mode_max_tokens", json!("yes")),
        (POOLING, "pooling_mode_median_tokens", json!(true)),
        (POOLING, "pooling_mode_mean_tokens", json!(false)),
        (POOLING, "pooling_mode", json!(["mean", "max"])),
        (POOLING, "pooling_mode", json!("median")),
        (POOLING, "include_prompt", json!(false)),
        (POOLING, "word_embedding_dimension", json!(385)),
        (BERT, "do_lower_case", json!("no")),
        (BERT, "max_seq_length", json!(0)),
        (WHOLE_FILE, "default_prompt_name", json!("query")),
        (WHOLE_FILE, "similarity_fn_name", json!("euclidean")),
        (WHOLE_FILE, "model_type", json!("SparseEncoder")),
    ] {
        let mut files = all();
        let content = files.iter_mut().find(|(name, _)| *name == file);
        content.unwrap().1[key] = value;
        let error = facts(&files).unwrap_err();
        assert!(error.file == file && error.problem.contains(key), "{error}");
    }
    let mut files = all();
    files[3].1["default_prompt_name"] = json!("none");
    facts(&files).unwrap().unwrap();
    // Without Normalize, a product is not an angle.
    let mut files = all();
    files[3].1["similarity_fn_name"] = json!("dot");
    facts(&files).unwrap().unwrap();
    files[0] = modules(&["Transformer", "Pooling"]);
    let error = facts(&files).unwrap_err();
    assert!(error.problem.contains("similarity_fn_name"), "{error}");
}

#[test]
fn a_module_that_is_not_known_is_refused_by_its_name() {
    for (kinds, part) in [
        (
            &["Transformer", "Pooling", "Dense", "Normalize"][..],
            "Dense",
        ),
        (&["CLIPModel", "Pooling"], "CLIPModel"),
        (&["Transformer"], "Pooling"),
    ] {
        let error = facts(&[modules(kinds), (POOLING, mean())]).unwrap_err();
        assert!(
            error.file == MODULES_FILE && error.problem.contains(part),
            "{error}"
        );
    }
    let mut elsewhere = modules(&["Transformer", "Pooling"]);
    elsewhere.1[1]["path"] = json!("../1_Pooling");
    let error = facts(&[elsewhere]).unwrap_err();
    assert!(error.problem.contains("path of Pooling"), "{error}");
    let error = facts(&[modules(&["Transformer", "Pooling"])]).unwrap_err();
    assert_eq!(error.file, POOLING);
    let error = facts(&[(MODULES_FILE, json!({}))]).unwrap_err();
    assert!(error.problem.contains("list"), "{error}");
}
