//! What the integration tests share: running a recipe in this process, and the program in another.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use toml::Table;
use zoo::ZOO;
use zoo_program::registry::{Model, Training};
use zoo_program::{devices, fitting, recipes};
use zoo_train::{Change, Event, Helpers};
use zoo_weights::golden::Golden;

/// The folder of real data that holds the set, or `None` with a line that says what is skipped.
/// Where `ZOO_REQUIRE_DATA=1`, missing data is a failure.
pub fn real_data(test: &str, set: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ZOO_DATA_DIR").map(PathBuf::from);
    let problem = match &folder {
        Some(folder) if folder.join(set).is_dir() => return Some(folder.clone()),
        Some(folder) => format!("ZOO_DATA_DIR={} holds no folder {set}", folder.display()),
        None => format!("ZOO_DATA_DIR is not set, so there is no {set}"),
    };
    let required = std::env::var("ZOO_REQUIRE_DATA").is_ok_and(|value| value == "1");
    assert!(!required, "{test}: ZOO_REQUIRE_DATA=1, but {problem}");
    println!("SKIPPED {test}: {problem}");
    None
}

/// The numbers that origins computed for tiny models: `models/*/tests/golden/*.safetensors`.
pub fn golden_files() -> Vec<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let folders = fs::read_dir(models).unwrap();
    let folders = folders.map(|family| family.unwrap().path().join("tests/golden"));
    let files = folders
        .filter(|folder| folder.is_dir())
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .collect();
    files.sort();
    files
}

/// The model that golden numbers are of.
pub fn golden_model(golden: &Golden) -> Box<dyn Model> {
    let json: serde_json::Value = serde_json::from_str(golden.model()).unwrap();
    ZOO.configure(&Table::try_from(json).unwrap(), &Table::new())
        .unwrap()
}

/// The loss of every step of a recipe on a backend. Initial weights and batches depend on the seed
/// alone, so that two backends start from the same.
///
/// One run at a time: a backend has one random stream a process, and another test's draws between
/// this one's seed and its weights would change them.
pub fn losses(
    recipe: &str,
    backend: &str,
    directory: &Path,
    steps: usize,
    changes: &[&str],
) -> Vec<f64> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all: Vec<Change> = changes
        .iter()
        .map(|text| Change::parse(text).unwrap())
        .collect();
    all.push(Change::new("train.steps", steps as i64));
    all.push(Change::new("train.log_every_steps", 1));
    let recipe = recipes::read(&ZOO, recipe, &all).unwrap();
    let device = devices::open(backend).unwrap().device;
    let (data, model) = fitting::fit(&ZOO, &recipe, directory).unwrap();
    let mut losses = Vec::new();
    let training = Training {
        recipe: &recipe,
        train: data.train,
        valid: None,
        device: &device,
        helpers: Helpers::default(),
        weights: None,
        run: None,
        resume: None,
        stop: None,
        watch: &mut |event| {
            if let Event::Step { loss, .. } = event {
                losses.push(*loss);
            }
        },
    };
    let trained = model.train(training);
    trained.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(losses.len(), steps);
    losses
}

/// The largest relative difference of two loss sequences, and the step where it is.
pub fn largest_difference(a: &[f64], b: &[f64]) -> (f64, usize) {
    assert_eq!(a.len(), b.len(), "{a:?} {b:?}");
    // Of what is not a number, the largest is none.
    assert!(
        a.iter().chain(b).all(|loss| loss.is_finite()),
        "{a:?} {b:?}"
    );
    let differences = a
        .iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs() / a.abs().max(b.abs()).max(1e-12));
    let (step, largest) = differences
        .enumerate()
        .max_by(|x, y| x.1.total_cmp(&y.1))
        .expect("there are losses to compare");
    (largest, step + 1)
}

/// CIFAR-10's binary batches with `count` images a batch, under `directory/cifar10`: noise over a
/// brightness that tells the class.
pub fn write_cifar10(directory: &Path, count: usize) {
    let folder = directory.join("cifar10");
    fs::create_dir_all(&folder).unwrap();
    let mut stream = zoo_train::rng::Stream::new(3);
    let names = (1..=5)
        .map(|number| format!("data_batch_{number}.bin"))
        .chain(["test_batch.bin".into()]);
    for name in names {
        let mut bytes = Vec::new();
        for index in 0..count {
            bytes.push((index % 10) as u8);
            bytes.extend((0..3072).map(|_| (index % 10 * 20 + stream.below(56)) as u8));
        }
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// `train/` and `test/` with two classes of small PNG images under `root`.
pub fn write_folder(root: &Path, count: usize) {
    let mut stream = zoo_train::rng::Stream::new(4);
    for split in ["train", "test"] {
        for (class, level) in [("dark", 40), ("light", 200)] {
            let folder = root.join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for index in 0..count {
                let pixel = |_, _| image::Rgb([(); 3].map(|()| level + stream.below(40) as u8));
                image::RgbImage::from_fn(8, 8, pixel)
                    .save(folder.join(format!("{index}.png")))
                    .unwrap();
            }
        }
    }
}

/// Runs the program in a folder, without a data directory of the environment.
pub fn zoo(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zoo"))
        .args(arguments)
        .current_dir(folder)
        .env("ZOO_DATA_DIR", folder.join("data"))
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

/// Standard output of a run that must succeed.
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = zoo(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "zoo {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The error line of a run that must end with this status.
pub fn fail(folder: &Path, arguments: &[&str], status: i32) -> String {
    let output = zoo(folder, arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        output.status.code(),
        Some(status),
        "zoo {arguments:?}: {errors}"
    );
    let lines: Vec<&str> = errors
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(lines.len(), 1, "one error, said once: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    lines[0].to_owned()
}

/// A `tokenizer.json` of words between spaces, numbered in their order.
pub fn word_level(words: &[&str], unknown: &str) -> String {
    let numbered = words.iter().enumerate();
    let ids: serde_json::Map<_, _> = numbered
        .map(|(id, word)| ((*word).to_owned(), serde_json::json!(id)))
        .collect();
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": unknown, "vocab": ids},
    })
    .to_string()
}
