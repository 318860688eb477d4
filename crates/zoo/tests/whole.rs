//! The whole way, for every kind of data, with the report: train, look, eval, use, and try to go on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{fail, succeed, write_folder, zoo};
use serde_json::{Value, json};
use zoo::ZOO;
use zoo_program::devices;
use zoo_report::insight::Insight;
use zoo_train::{Example, Exhibit, Part, Record, State};

/// Every file of a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

fn record(run: &Path) -> Record {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

/// Trains with a report, evaluates, and resumes what is finished; gives the run and what was seen, of which
/// something is explained.
fn whole(root: &Path, train: &[&str], name: &str) -> (String, Insight) {
    let (run, insight) = trained(root, train, name);
    let explained = explained(&insight);
    assert!(!explained.is_empty(), "{name} explains nothing");
    for shown in explained {
        let values = match shown {
            Exhibit::Text { pieces, values, .. } => {
                assert_eq!(pieces.len(), values.len(), "{name}");
                values
            }
            Exhibit::Picture { values, .. } => values,
            _ => panic!("neither a text nor a picture: {shown:?}"),
        };
        assert!(values.iter().all(|value| value.is_finite()), "{shown:?}");
        assert!(values.iter().any(|value| *value != 0.0), "{shown:?}");
    }
    (run, insight)
}

/// Trains with a report, evaluates, and resumes what is finished; gives the run and what was seen.
fn trained(root: &Path, train: &[&str], name: &str) -> (String, Insight) {
    let output = zoo(root, train);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{train:?}: {said}");
    assert!(!said.contains("warning"), "{train:?}: {said}");
    let run = format!("runs/{name}-flex-1");
    let folder = root.join(&run);
    let report = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(report.trim_end().ends_with("</html>"), "{name}");
    let insight = fs::read(folder.join("insight.json")).unwrap();
    let insight: Insight = serde_json::from_slice(&insight).unwrap();
    let trained = record(&folder);
    assert_eq!(trained.state, State::Finished);
    let split = if insight.split == "test" {
        "test"
    } else {
        "valid"
    };
    let evaluated = succeed(root, &["eval", &run, "--split", split, "--json"]);
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    let metrics = trained.result.unwrap().metrics;
    for (metric, value) in evaluated["metrics"].as_object().unwrap() {
        let of_training = metrics[&format!("{split}.{metric}")];
        assert_eq!(value.as_f64().unwrap(), of_training, "{name}: {metric}");
    }

    let before = files(&folder);
    let output = zoo(root, &["train", "--resume", &run]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("was finished"), "{said}");
    assert!(files(&folder) == before, "{name}: resuming changed files");
    (run, insight)
}

/// The examples under a heading.
fn under<'a>(insight: &'a Insight, title: &str) -> &'a [Example] {
    let mut sections = insight.sections.iter();
    let section = sections.find(|section| section.title == title);
    section.map_or(&[], |section| &section.examples)
}

/// What was explained.
fn explained(insight: &Insight) -> Vec<&Exhibit> {
    let examples = under(insight, "What an answer depends on").iter();
    examples.map(|example| &example.parts[0].exhibit).collect()
}

fn class_names(insight: &Insight) -> &[String] {
    match &under(insight, "Confusion")[0].parts[0].exhibit {
        Exhibit::Confusion { names, .. } => names,
        other => panic!("no confusion: {other:?}"),
    }
}

fn tokens(shown: &Exhibit) -> Vec<String> {
    match shown {
        Exhibit::Text { pieces, .. } => pieces.clone(),
        _ => panic!("not a text"),
    }
}

fn predict(root: &Path, run: &str, input: &str) -> Value {
    let said = succeed(root, &["predict", run, input, "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(!said["classes"].as_array().unwrap().is_empty(), "{said}");
    said["classes"][0]["class"].clone()
}

fn sample(root: &Path, run: &str, prompt: &str) -> String {
    let arguments = ["sample", run, "--prompt", prompt, "--tokens", "5", "--json"];
    let said: Value = serde_json::from_str(&succeed(root, &arguments)).unwrap();
    said["text"].as_str().unwrap().to_owned()
}

#[test]
fn built_in_pictures() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let train = ["train", "--steps", "40", "--set", "data.validation=100"];
    let (run, insight) = whole(root, &train, "mlp-glyphs");
    assert_eq!(class_names(&insight).len(), 10);
    assert!(!under(&insight, "Worst mistakes").is_empty());
    write_folder(&root.join("pictures"), 1);
    predict(root, &run, "pictures/test/dark/0.png");
}

#[test]
fn a_folder_of_pictures() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_folder(&root.join("pictures"), 8);
    let train = [
        "train",
        "resnet20-folder",
        "--set",
        "schedule.warmup_steps=0",
        "--steps",
        "4",
        "--set",
        "data.path=pictures",
        "--set",
        "data.size=[8,8]",
        "--set",
        "train.batch_size=4",
        "--set",
        "data.validation=4",
    ];
    let (run, insight) = whole(root, &train, "resnet20-folder");
    assert_eq!(class_names(&insight), ["dark", "light"]);
    predict(root, &run, "pictures/test/light/0.png");
}

/// Sentences and their class, as a folder of `tsv`.
fn write_reviews(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for file in ["train.tsv", "dev.tsv", "test.tsv"] {
        let lines = (0..24).map(|i| match i / 6 % 2 {
            0 => format!("a {} running zoo\t1\n", ["good", "great"][i % 2]),
            _ => format!("the {} walking déjà\t0\n", ["bad", "dull"][i % 2]),
        });
        fs::write(folder.join(file), lines.collect::<String>()).unwrap();
    }
}

const REVIEWS: [&str; 11] = [
    "train",
    "encoder-sst2",
    "--set",
    "data.name=tsv",
    "--set",
    "data.path=reviews",
    "--set",
    "data.min_count=1",
    "--epochs=2",
    "--set",
    "schedule.warmup_steps=0",
];

#[test]
fn words_of_sentences() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_reviews(&root.join("reviews"));
    let (run, insight) = whole(root, &REVIEWS, "encoder-sst2");
    let shown: Vec<_> = (explained(&insight).into_iter())
        .map(|explained| tokens(explained).join(" "))
        .collect();
    assert!(
        shown.iter().any(|text| text == "a good running zoo"),
        "{shown:?}"
    );
    predict(root, &run, "a good zoo");
    // Not the sentence that a file's name makes.
    fs::write(root.join("review.txt"), "a good zoo").unwrap();
    let error = fail(root, &["predict", &run, "review.txt"], 2);
    assert!(error.contains("is a file"), "{error}");
}

#[test]
fn characters_of_a_text() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::write(root.join("book.txt"), "the cat sat. ".repeat(100)).unwrap();
    let train = [
        "train",
        "gpt-shakespeare",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=chars",
        "--set",
        "data.path=book.txt",
        "--set",
        "model.width=16",
        "--set",
        "model.context=16",
        "--set",
        "model.num_layers=1",
        "--steps",
        "8",
        "--set",
        "train.validate_every_steps=4",
    ];
    let (run, insight) = whole(root, &train, "gpt-shakespeare");
    assert_eq!(under(&insight, "Samples").len(), 4);
    assert!(sample(root, &run, "the").starts_with("the"));
}

#[test]
fn sums() {
    let root = tempfile::tempdir().unwrap();
    let no_warmup = "schedule.warmup_steps=0";
    let train = ["train", "gpt-sums", "--steps", "4", "--set", no_warmup];
    let (run, insight) = whole(root.path(), &train, "gpt-sums");
    assert_eq!(under(&insight, "Samples")[0].parts[2].caption, Part::TRUTH);
    assert!(sample(root.path(), &run, "27+85=").starts_with("27+85="));
}

/// What a `tokenizer.json` shares with all others.
fn tokenizer(parts: Value) -> String {
    let mut file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
    });
    let (file, parts) = (file.as_object_mut().unwrap(), parts.as_object().unwrap());
    file.extend(parts.clone());
    json!(file).to_string()
}

fn vocabulary(tokens: &[&str]) -> Value {
    let numbered = tokens.iter().enumerate();
    numbered
        .map(|(id, token)| ((*token).to_owned(), json!(id)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn special(id: usize, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": true})
}

/// As BERT's: pieces of words, `[CLS]` and `[SEP]` around a sentence. The file cuts and pads, as those
/// of sentence encoders do.
fn word_pieces() -> String {
    let template = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let token = |id: usize, content: &str| json!({"id": content, "ids": [id], "tokens": [content]});
    tokenizer(json!({
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [special(0, "[PAD]"), special(1, "[UNK]"), special(2, "[CLS]"), special(3, "[SEP]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [template("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, template("[SEP]")],
            "pair": [], "special_tokens": {"[CLS]": token(2, "[CLS]"), "[SEP]": token(3, "[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary(&["[PAD]", "[UNK]", "[CLS]", "[SEP]",
            "a", "the", "good", "great", "bad", "dull", "run", "walk", "##ning", "##ing", "zoo", "dej", "##a"])},
    }))
}

/// As GPT-2's: bytes.
fn bytes(merges: &[&str]) -> String {
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let mut tokens = vec!["<pad>", "Ġ", "Ã", "©", "ł", "."];
    let letters: Vec<String> = ('a'..='z').map(String::from).collect();
    tokens.extend(letters.iter().map(String::as_str));
    let merged: Vec<String> = merges.iter().map(|pair| pair.replace(' ', "")).collect();
    tokens.extend(merged.iter().map(String::as_str));
    tokenizer(json!({
        "pre_tokenizer": level, "decoder": level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary(&tokens), "merges": merges},
    }))
}

/// As Llama's: SentencePiece, with bytes for what the vocabulary lacks.
fn sentence_pieces() -> String {
    let mut tokens = vec![
        "<unk>", "<s>", "</s>", "▁", "<0xC3>", "<0xA9>", "<0xA0>", ".",
    ];
    let letters: Vec<String> = ('a'..='z').map(String::from).collect();
    tokens.extend(letters.iter().map(String::as_str));
    tokens.extend(["▁t", "▁th", "▁the"]);
    tokenizer(json!({
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocabulary(&tokens), "merges": ["▁ t", "▁t h", "▁th e"]},
    }))
}

/// A folder as the hub has it, of a model whose weights are random.
fn hub_folder(root: &Path, name: &str, tokenizer: &str, changes: &[(&str, i64)]) {
    let folder = root.join("hub");
    fs::create_dir_all(&folder).unwrap();
    let entry = ZOO
        .models
        .iter()
        .find(|entry| entry.name() == name)
        .unwrap();
    let mut table = entry.tiny().table();
    let file: Value = serde_json::from_str(tokenizer).unwrap();
    let known = file["model"]["vocab"].as_object().unwrap().len();
    table.insert("vocab_size".into(), (known as i64).into());
    for (key, value) in changes {
        table.insert((*key).to_owned(), (*value).into());
    }
    let model = ZOO.configure(&table, &toml::Table::new()).unwrap();
    let config = model.to_hub().unwrap().unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer).unwrap();
    let ready = model
        .fresh(3, &devices::open("flex").unwrap().device)
        .unwrap();
    ready.save(&folder.join("model.safetensors"), None).unwrap();
    // A recipe of the same model, whose head the data decides.
    table.remove("num_classes");
    let recipe = format!(
        "about = \"a test\"\n[data]\nname = \"glyphs\"\n[train]\nepochs = 2\nbatch_size = 4\n\
         [optimizer]\nname = \"adamw\"\nlearning_rate = 0.01\n[model]\n{}",
        toml::to_string(&table).unwrap()
    );
    fs::write(root.join("tuned.toml"), recipe).unwrap();
}

const FROM_HUB: [&str; 6] = [
    "train",
    "tuned.toml",
    "--set",
    "weights=hub",
    "--set",
    "data.tokenizer=hub",
];

#[test]
fn sentences_in_the_tokens_of_pretrained_weights() {
    // As the tokenizer itself decodes a sentence of theirs.
    for (tokenizer, before, after, deja) in [
        (word_pieces(), "[CLS] ", " [SEP]", "deja"),
        (bytes(&["i n", "in g"]), "", "", "déjà"),
        (sentence_pieces(), "<s> ", "", "déjà"),
    ] {
        let texts = [
            "a good running zoo".to_owned(),
            "a great running zoo".into(),
            format!("the bad walking {deja}"),
            format!("the dull walking {deja}"),
        ];
        let texts = texts.map(|text| format!("{before}{text}{after}"));
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        hub_folder(root, "bert", &tokenizer, &[("max_length", 40)]);
        write_reviews(&root.join("reviews"));
        let data = [
            "--set",
            "data.name=tsv",
            "--set",
            "data.path=reviews",
            "--set",
            "train.log_every_steps=1",
        ];
        let (run, insight) = whole(root, &[&FROM_HUB[..], &data].concat(), "tuned");
        assert!(!class_names(&insight).is_empty());
        let shown: Vec<Vec<String>> = (explained(&insight).into_iter()).map(tokens).collect();
        let joined: Vec<String> = shown.iter().map(|tokens| tokens.concat()).collect();
        for shown in &joined {
            assert!(texts.contains(shown), "{shown:?} is none of {texts:?}");
        }
        assert!(
            joined.iter().any(|shown| shown.contains("running")),
            "{joined:?}"
        );
        assert!(
            joined.iter().any(|shown| shown.contains(deja)),
            "{joined:?}"
        );
        let pieces = shown.concat();
        assert!(pieces.iter().all(|piece| !piece.is_empty()), "{pieces:?}");
        for odd in ["##", "Ġ", "▁", "Ã", "\u{fffd}", "[PAD]", "<0x"] {
            assert!(!pieces.concat().contains(odd), "{odd}: {pieces:?}");
        }
        predict(root, &run, "a good zoo");
    }
}

#[test]
fn a_text_in_the_tokens_of_pretrained_weights() {
    for (model, tokenizer) in [
        ("gpt", bytes(&["t h", "th e"])),
        ("llama", sentence_pieces()),
    ] {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        hub_folder(root, model, &tokenizer, &[("context", 24)]);
        fs::write(root.join("book.txt"), "the café là. ".repeat(60)).unwrap();
        let data = ["--set", "data.name=chars", "--set", "data.path=book.txt"];
        let (run, insight) = whole(root, &[&FROM_HUB[..], &data].concat(), "tuned");
        let sample_of_training = &under(&insight, "Samples")[0].parts[0];
        assert!(
            tokens(&sample_of_training.exhibit)[0].contains("the café là."),
            "{sample_of_training:?}"
        );
        for explained in explained(&insight) {
            let pieces = tokens(explained);
            // Only the last may be cut in the midst of a character.
            let (last, before) = pieces.split_last().unwrap();
            assert!(
                before
                    .iter()
                    .all(|piece| !piece.is_empty() && !piece.contains('\u{fffd}')),
                "{pieces:?}"
            );
            assert!(
                !last.is_empty() && !pieces.concat().contains('Ġ'),
                "{pieces:?}"
            );
        }
        assert!(sample(root, &run, "the").starts_with("the"));
    }
}

/// The other rooms, each by its built-in set, and what is compared of it.
#[test]
#[cfg(feature = "ndarray")]
fn tasks_of_other_inputs_and_answers() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let pixel = |x: u32, y: u32| image::Luma([(x * 3 + y) as u8]);
    let picture = image::GrayImage::from_fn(50, 70, pixel);
    picture.save(root.join("picture.png")).unwrap();
    fs::write(root.join("sound.wav"), wav()).unwrap();
    let few = ["--steps", "6", "--set", "schedule.warmup_steps=2"];
    for (name, changes, input, key) in [
        (
            "mlp-friedman",
            &[][..],
            "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1",
            "values",
        ),
        (
            "unet-scenes",
            &["model.width=4", "train.batch_size=2"],
            "picture.png",
            "classes",
        ),
        (
            "translate-numbers",
            &["model.num_layers=1", "train.batch_size=8"],
            "forty two",
            "translation",
        ),
        (
            "quartznet-morse",
            &["train.batch_size=4"],
            "sound.wav",
            "text",
        ),
    ] {
        let sets: Vec<&str> = changes
            .iter()
            .flat_map(|change| ["--set", *change])
            .collect();
        let train = [&["train", name][..], &few, &sets].concat();
        let (run, insight) = trained(root, &train, name);
        assert!(!insight.sections.is_empty(), "{name} shows nothing");
        let said = succeed(root, &["predict", &run, input, "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert!(!said[key].is_null(), "{name}: {said}");
        let recipe = format!("{run}/recipe.toml");
        let compare = [
            "compare",
            &recipe,
            "--backends",
            "flex,ndarray",
            "--steps",
            "2",
        ];
        let compare = [&compare[..], &["--measure", "agreement", "--out", name]].concat();
        let said = succeed(root, &compare);
        assert!(said.contains("agree"), "{name}: {said}");
        let report = fs::read_to_string(root.join(name).join("report.json")).unwrap();
        assert!(!report.contains("\"departs\""), "{name}: {said}");
    }
}

/// A second of a tone, 8,000 samples of 16 bits.
#[cfg(feature = "ndarray")]
fn wav() -> Vec<u8> {
    let samples = (0..8000_i32).map(|at| (8000.0 * (f64::from(at) * 0.47).sin()) as i16);
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let length = data.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1_u16, 1].iter().flat_map(|number| number.to_le_bytes()));
    file.extend(
        [8000_u32, 16000]
            .iter()
            .flat_map(|number| number.to_le_bytes()),
    );
    file.extend([2_u16, 16].iter().flat_map(|number| number.to_le_bytes()));
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(data);
    file
}
