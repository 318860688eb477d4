//! The real sets, where the environment variable `ZOO_DATA_DIR` names a folder that holds them.

use burn::data::dataset::Dataset;
use std::path::PathBuf;
use zoo_images::{FolderOptions, SceneOptions, Split, VOID, open, open_scenes};

/// The data directory, if it holds the set; otherwise says that the test is skipped. Where
/// `ZOO_REQUIRE_DATA=1`, missing data is a failure.
fn data_dir_with(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ZOO_DATA_DIR").map(PathBuf::from);
    let problem = match &folder {
        Some(folder) if folder.join(name).is_dir() => return Some(folder.clone()),
        Some(folder) => format!("ZOO_DATA_DIR={} holds no folder {name}", folder.display()),
        None => format!("ZOO_DATA_DIR is not set, so there is no {name}"),
    };
    let required = std::env::var("ZOO_REQUIRE_DATA").is_ok_and(|value| value == "1");
    assert!(!required, "ZOO_REQUIRE_DATA=1, but {problem}");
    eprintln!("SKIPPED {name}: {problem}");
    None
}

#[test]
fn mnist() {
    let Some(dir) = data_dir_with("mnist") else {
        return;
    };
    let options = FolderOptions::default();
    let train = open("mnist", &dir, Split::Train, &options).unwrap();
    let test = open("mnist", &dir, Split::Test, &options).unwrap();
    assert_eq!((train.len(), test.len()), (60_000, 10_000));
    assert_eq!(train.get(0).unwrap().label, 5);
    assert_eq!(test.get(0).unwrap().label, 7);
    // The published mean of the training pixels is 0.1307 of the range.
    let sum: u64 = train
        .iter()
        .flat_map(|item| item.unwrap().pixels)
        .map(u64::from)
        .sum();
    let mean = sum as f64 / (60_000.0 * 784.0 * 255.0);
    assert!((mean - 0.1307).abs() < 1e-4, "{mean}");
}

#[test]
fn cifar10_folder() {
    let Some(dir) = data_dir_with("cifar10-folder") else {
        return;
    };
    let options = FolderOptions::default();
    for (split, images_per_class) in [(Split::Train, 200), (Split::Test, 50)] {
        let set = open("cifar10-folder", &dir, split, &options).unwrap();
        assert_eq!(set.shape(), [3, 32, 32]);
        let mut counts = vec![0; set.classes().len()];
        for item in set.iter() {
            counts[item.unwrap().label] += 1;
        }
        assert_eq!(counts, [images_per_class; 10]);
        assert_eq!(set.classes()[0], "airplane");
    }
}

#[test]
fn camvid_small() {
    let Some(dir) = data_dir_with("camvid-small") else {
        return;
    };
    let splits = open_scenes("camvid-small", &dir, &SceneOptions::default()).unwrap();
    assert!(splits.warnings.is_empty(), "{:?}", splits.warnings);
    let [valid, test] = [splits.valid.unwrap(), splits.test.unwrap()];
    assert_eq!(
        [splits.train.len(), valid.len(), test.len()],
        [367, 101, 233]
    );
    assert_eq!(test.shape(), [3, 120, 160]);
    let mut counts = [0_u64; 256];
    for scene in test.iter() {
        for label in scene.unwrap().mask {
            counts[usize::from(label)] += 1;
        }
    }
    // Counted by numpy: sky, road, bicyclist, void.
    let found = [0, 3, 10, usize::from(VOID)].map(|label| counts[label]);
    assert_eq!(found, [763_457, 1_154_267, 8_467, 171_719]);
    assert_eq!(counts.iter().sum::<u64>(), 233 * 120 * 160);
}
