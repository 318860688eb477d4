use super::*;

/// A copy of what is read and changed.
fn workspace() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut files = vec!["Cargo.toml".to_owned(), "crates/zoo/Cargo.toml".to_owned()];
    let mut folders: Vec<String> = [TASKS, "crates/zoo/src", "models/mlp/recipes"]
        .map(str::to_owned)
        .into();
    while let Some(folder) = folders.pop() {
        for name in entries(&root().join(&folder)).unwrap() {
            let path = format!("{folder}/{name}");
            match root().join(&path).is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    for file in files {
        let path = copy.path().join(&file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(root().join(&file), path).unwrap();
    }
    copy
}

/// Every file by its path.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            let name = name.replace('\\', "/");
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    found
}

fn kind(name: &str) -> &'static Kind {
    find(name).unwrap()
}

/// Makes one, and gives the files that are new or changed.
fn made(workspace: &Path, of: &str, name: &str) -> BTreeMap<String, String> {
    let before = files(workspace);
    write(workspace, kind(of), name).unwrap();
    let mut after = files(workspace);
    after.retain(|path, text| before.get(path) != Some(text));
    after
}

/// Whether `parts` are in `text`, in this order.
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let (_, after) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{part} in {rest}"));
        rest = after;
    }
}

#[test]
fn a_model_is_a_crate_and_a_row() {
    let copy = workspace();
    let made = made(copy.path(), "model", "tiny_net2");
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        [
            "Cargo.toml",
            "crates/zoo/Cargo.toml",
            "crates/zoo/src/models.rs",
            "models/tiny_net2/Cargo.toml",
            "models/tiny_net2/README.md",
            "models/tiny_net2/recipes/tiny_net2-glyphs.toml",
            "models/tiny_net2/src/lib.rs",
            "models/tiny_net2/src/tiny_net2.rs",
            "models/tiny_net2/tests/golden/tiny_net2.py",
        ]
    );
    let manifest: toml::Table = made["Cargo.toml"].parse().unwrap();
    assert_eq!(
        manifest["workspace"]["dependencies"]["zoo-tiny-net2"]["path"].as_str(),
        Some("models/tiny_net2")
    );
    let zoo: toml::Table = made["crates/zoo/Cargo.toml"].parse().unwrap();
    assert!(zoo["dependencies"].get("zoo-tiny-net2").is_some());
    // The first recipe of the first row is what `train` does unless told.
    in_order(
        &made["crates/zoo/src/models.rs"],
        &[
            "pub static MODELS",
            "name: \"mlp\"",
            "zoo_tiny_net2::TinyNet2Config, zoo_tiny_net2::TinyNet2>",
            "recipe!(\"tiny_net2\", \"tiny_net2-glyphs\")",
            "\n];\n",
        ],
    );
}

#[test]
fn a_data_set_is_a_file_and_a_row() {
    let copy = workspace();
    let made = made(copy.path(), "dataset", "house_prices");
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        [
            "crates/zoo/src/data.rs",
            "crates/zoo/src/data/house_prices.rs"
        ]
    );
    in_order(
        &made["crates/zoo/src/data.rs"],
        &[
            "mod house_prices;",
            "pub static SETS",
            "name: \"friedman1\"",
            "name: \"house_prices\"",
            "open: house_prices::open",
            "\n];\n",
        ],
    );
}

#[test]
fn a_task_is_a_file_and_rows() {
    let copy = workspace();
    let made = made(copy.path(), "task", "forecast");
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        [
            "crates/tasks/src/forecast.rs",
            "crates/tasks/src/lib.rs",
            "crates/zoo/src/data.rs",
            "crates/zoo/src/data/forecast.rs",
            "crates/zoo/src/models.rs",
            "models/mlp/recipes/forecast-mlp.toml",
            "models/mlp/tests/golden/forecast_mlp.py",
        ]
    );
    in_order(
        &made["crates/tasks/src/lib.rs"],
        &["//! | [`forecast`] |", "pub mod forecast;"],
    );
    in_order(
        &made["crates/zoo/src/models.rs"],
        &[
            "name: \"regressor\"",
            "name: \"forecast_mlp\"",
            "zoo_tasks::forecast::Forecast::room",
            "recipe!(\"mlp\", \"forecast-mlp\")",
            "name: \"mixer\"",
        ],
    );
    let recipe: toml::Table = made["models/mlp/recipes/forecast-mlp.toml"]
        .parse()
        .unwrap();
    assert_eq!(recipe["model"]["name"].as_str(), Some("forecast_mlp"));
    assert_eq!(recipe["data"]["name"].as_str(), Some("forecast"));
}

#[test]
fn all_kinds_go_together_formatted_and_without_samples() {
    let copy = workspace();
    let mut changed = BTreeMap::new();
    for of in KINDS.iter().map(|kind| kind.name) {
        // Where lines break depends on the length.
        for name in [format!("z{of}"), format!("{of}_of_many_words_and_names")] {
            for (path, text) in made(copy.path(), of, &name) {
                for sample in ["my_", "My", "my-", "my model", "my task", "my data"] {
                    assert!(!text.contains(sample), "{path}: {sample} was left");
                }
                changed.insert(path, text);
            }
        }
    }
    changed.retain(|path, _| path.ends_with(".rs"));
    assert!(changed.len() > 10);
    for (path, text) in changed {
        let again = formatted(copy.path(), &path, text.clone());
        assert!(again == text, "{path}: not as rustfmt has it:\n{again}");
    }
}

#[test]
fn the_texts_are_rust_that_is_formatted() {
    let there = Command::new("rustfmt").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        println!("rustfmt is not there: nothing is checked");
        return;
    }
    for (path, text) in KINDS.iter().flat_map(|kind| kind.files) {
        if path.ends_with(".rs") {
            let own = formatted(&root(), path, format!("  {text}"));
            assert!(own == *text, "{path}: not as rustfmt has it:\n{own}");
        }
    }
}

/// What is said when one is asked for, where nothing may change.
fn refused(workspace: &Path, of: &str, name: &str) -> String {
    let before = files(workspace);
    let Err(Failure::Request(message)) = write(workspace, kind(of), name) else {
        panic!("new {of} {name} is not refused");
    };
    assert!(files(workspace) == before, "new {of} {name} changed files");
    message
}

#[test]
fn a_name_that_cannot_be_changes_nothing() {
    let copy = workspace();
    for of in KINDS.iter().map(|kind| kind.name) {
        for name in [
            "",
            "Big",
            "../up",
            "9lives",
            "a-b",
            "a__b",
            "a_",
            "é",
            &"a".repeat(33),
        ] {
            let message = refused(copy.path(), of, name);
            assert!(message.contains("a name is words of a-z"), "{message}");
        }
        for name in ["match", "self", "std", "core", "test", "gen", "u8"] {
            let message = refused(copy.path(), of, name);
            assert!(message.contains("means something to Rust"), "{message}");
        }
    }
    // A type that is called as one of those that it is made of.
    let message = refused(copy.path(), "model", "linear");
    assert!(
        message.contains("Linear means something else in models/linear/src/linear.rs"),
        "{message}"
    );
    refused(copy.path(), "task", "any");
}

#[test]
fn a_name_that_is_taken_changes_nothing() {
    let copy = workspace();
    fs::create_dir_all(copy.path().join("datasets/films")).unwrap();
    fs::write(copy.path().join("models/mlp/recipes/mine-glyphs.toml"), "").unwrap();
    for (of, name, place) in [
        ("model", "lenet", kinds::MODELS),
        ("model", "bert_tiny", kinds::MODELS),
        ("dataset", "fashion_mnist", kinds::SETS),
        ("model", "films", "datasets/films"),
        ("model", "mine", "models/mlp/recipes/mine-glyphs.toml"),
        ("dataset", "translate", "crates/tasks/src/translate"),
        ("task", "metrics", "crates/tasks/src/metrics"),
        (
            "task",
            "classify_images",
            "crates/tasks/src/classify/images.rs",
        ),
        ("task", "friedman1", kinds::SETS),
        ("model", "weights", "Cargo.toml"),
        ("dataset", "clap", "Cargo.toml"),
    ] {
        let message = refused(copy.path(), of, name);
        let expected = format!("{name} is taken: see {place};");
        assert!(message.contains(&expected), "{of} {name}: {message}");
    }
    for of in KINDS {
        let name = format!("new_{}", of.name);
        write(copy.path(), of, &name).unwrap();
        for again in KINDS {
            refused(copy.path(), again.name, &name);
        }
    }
}

#[test]
fn a_place_that_is_gone_changes_nothing() {
    let copy = workspace();
    let path = copy.path().join(kinds::MODELS);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("pub static MODELS", "pub static ALL")).unwrap();
    let before = files(copy.path());
    let Err(Failure::Work(message)) = write(copy.path(), kind("model"), "tiny_net") else {
        panic!("written without a row");
    };
    assert!(message.contains("\"pub static MODELS\""), "{message}");
    assert!(files(copy.path()) == before);
}

#[test]
fn what_is_asked_for_otherwise_is_told_how() {
    let ask = |words: &[&str]| match command(lexopt::Parser::from_args(words)) {
        Err(Failure::Request(message)) => message,
        other => panic!("{words:?}: {other:?}"),
    };
    let usage = "usage: cargo xtask new model|dataset|task NAME";
    for words in [&[][..], &["model"], &["task", "a", "b"]] {
        assert_eq!(ask(words), usage);
    }
    let slip = ask(&["modle", "tiny_net"]);
    assert!(
        slip.contains("did you mean model?") && slip.contains(usage),
        "{slip}"
    );
    assert!(ask(&["layer"]).contains(usage));
}
