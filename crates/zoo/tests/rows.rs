//! What the rows say, held together: every source is of a preset, every name is found, what a row shows
//! fails no run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use zoo::ZOO;
use zoo_fetch::Source as Origin;
use zoo_program::insight::examine;
use zoo_program::pretrained::find_file;
use zoo_tasks::Pictures;
use zoo_tasks::classify::ImageClasses;
use zoo_train::{Batch, Pass, Plan, Source, SourceError};

#[test]
fn every_source_is_of_a_preset_and_states_its_licence() {
    for (name, text) in ZOO.weights() {
        let source = Origin::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(source.name, name);
        let weights = source.weights.unwrap();
        let (entry, preset) = ZOO.model(&weights.preset).unwrap();
        assert_eq!(
            preset,
            weights.preset,
            "{name}: {} has no such preset",
            entry.name()
        );
        assert!(!source.licence.trim().is_empty(), "{name}");
        assert!(
            !source.files.is_empty() && source.archives.is_empty(),
            "{name}"
        );
        for file in &source.files {
            let secure = file.urls.iter().all(|url| url.starts_with("https://"));
            assert!(secure, "{name}: {:?}", file.urls);
        }
    }
}

/// The names of the TOML files in a folder of each crate of a group: `models/*/recipes`.
fn files(group: &str, folder: &str) -> BTreeSet<String> {
    let group = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(group);
    let folders = fs::read_dir(group).unwrap();
    let folders = folders.map(|member| member.unwrap().path().join(folder));
    let files = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names = names.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned));
    names.collect()
}

#[test]
fn every_recipe_and_every_source_that_is_written_is_in_a_row() {
    let named = |rows: &mut dyn Iterator<Item = &'static str>| -> BTreeSet<String> {
        rows.map(str::to_owned).collect()
    };
    let recipes = named(&mut ZOO.recipes().map(|(name, _)| name));
    assert_eq!(recipes, files("models", "recipes"));
    let weights = named(&mut ZOO.weights().map(|(name, _)| name));
    assert_eq!(weights, files("models", "sources"));
    let fetched = ZOO.data.iter().filter(|set| set.source.is_some());
    let fetched = named(&mut fetched.map(|set| set.name));
    assert_eq!(fetched, files("datasets", "sources"));
}

/// A prefix of a sum is no sum: what has no more of it is told, in the list and in its source.
#[test]
fn sources_without_a_whole_sum_say_so() {
    let prefix_only = ZOO.weights().filter(|(_, text)| {
        let source = Origin::parse(text).unwrap();
        source.files.iter().any(|file| file.sha256.is_none())
    });
    for (name, text) in prefix_only.clone() {
        assert!(text.starts_with("# Prefix only:"), "{name}");
    }
    let names: Vec<&str> = prefix_only.map(|(name, _)| name).collect();
    assert_eq!(names, ["mixer_b16_224"]);
}

#[test]
fn weights_are_found_by_name_once_fetched_and_else_by_path() {
    let data_dir = tempfile::tempdir().unwrap();
    let missing = find_file(&ZOO, "bert-tiny", data_dir.path()).unwrap_err();
    assert!(
        missing.to_string().contains("weights fetch bert-tiny"),
        "{missing}"
    );

    let folder = data_dir.path().join("weights/bert-tiny");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("pytorch_model.bin");
    std::fs::write(&file, b"").unwrap();
    assert_eq!(find_file(&ZOO, "bert-tiny", data_dir.path()).unwrap(), file);

    let path = file.to_str().unwrap();
    assert_eq!(find_file(&ZOO, path, Path::new("elsewhere")).unwrap(), file);
    let unknown = find_file(&ZOO, "bert-tony", data_dir.path()).unwrap_err();
    assert!(
        unknown.to_string().contains("did you mean bert-tiny?"),
        "{unknown}"
    );
}

/// Pictures that cannot be read, or end the thread that reads them.
#[test]
fn what_cannot_be_looked_at_is_an_error_and_no_panic() {
    struct Broken(bool);
    impl Source for Broken {
        fn len(&self) -> usize {
            3
        }
        fn batch(&self, _: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
            assert!(self.0, "a decoder's bug");
            Err("planted".into())
        }
    }
    let device = burn::tensor::Device::flex();
    let ready = ZOO.models[0].tiny().fresh(1, &device).unwrap();
    let pictures = Pictures {
        shape: [1, 4, 4],
        mean: vec![0.0],
        std: vec![1.0],
        preprocessing: None,
    };
    let codec = ImageClasses::new(pictures, Vec::new());
    for (reads, message) in [(true, "planted"), (false, "a decoder's bug")] {
        let error = examine(&*ready, &codec, "test", &Broken(reads), &Plan::default()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}
