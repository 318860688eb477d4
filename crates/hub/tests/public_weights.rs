//! Every file of `models/*/sources` that is of a classifier of pictures says how its pictures are
//! prepared and what its outputs are called.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use zoo_codec::image::{Preprocessing, Resize};
use zoo_fetch::Source;

fn sources() -> Vec<Source> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let below = |folder: PathBuf| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let files = below(models)
        .into_iter()
        .flat_map(|model| below(model.join("sources")));
    let read = |file: PathBuf| Source::parse(&fs::read_to_string(file).unwrap()).unwrap();
    files.map(read).collect()
}

#[test]
fn public_weights_of_pictures_say_their_preprocessing_and_their_classes() {
    let mut of_pictures = 0;
    for source in sources() {
        let (name, weights) = (&source.name, source.weights.unwrap());
        if !source.about.contains("ImageNet") {
            assert!(weights.preprocessing.is_none(), "{name} reads no pictures");
            continue;
        }
        of_pictures += 1;
        let list = weights
            .classes
            .unwrap_or_else(|| panic!("{name} names no classes"));
        let names =
            zoo_hub::classes::names(&list).unwrap_or_else(|| panic!("{name}: no list {list}"));
        let outputs = format!(" {} classes;", names.len());
        assert!(
            source.about.contains(&outputs),
            "{name}: {} names",
            names.len()
        );

        let table = weights
            .preprocessing
            .unwrap_or_else(|| panic!("{name} says no preprocessing"));
        for key in ["resize", "crop", "interpolation", "mean", "std"] {
            assert!(table.contains_key(key), "{name}: {key}");
        }
        let read: Preprocessing = table.try_into().unwrap();
        read.check().unwrap();
        assert_eq!(read.shape(), Some([3, 224, 224]), "{name}");
        let Some(Resize::ShortestEdge(224..=256)) = read.resize else {
            panic!("{name}: {:?}", read.resize);
        };
        // timm's own networks saw other numbers than torchvision's.
        let is_timm = source.about.contains("timm's");
        assert_eq!(read.mean[0], if is_timm { 0.5 } else { 0.485 }, "{name}");
    }
    assert_eq!(of_pictures, 16);
}

#[test]
fn classes_of_imagenet_are_in_their_order() {
    let names = zoo_hub::classes::names("imagenet-1k").unwrap();
    // As everybody counts them.
    for (output, name) in [
        (0, "tench"),
        (281, "tabby"),
        (282, "tiger cat"),
        (999, "toilet tissue"),
    ] {
        assert_eq!(names[output], name);
    }
    let different: std::collections::HashSet<_> = names.iter().collect();
    assert_eq!((names.len(), different.len()), (1000, 1000));
    assert!(
        names
            .iter()
            .all(|name| !name.is_empty() && name.trim() == *name)
    );
    assert!(zoo_hub::classes::names("imagenet-22k").is_none());
}
