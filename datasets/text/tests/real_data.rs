//! The named sets as they are published, where `ZOO_DATA_DIR` says they lie.

use std::{env, path::PathBuf};

use burn::data::dataset::Dataset;
use zoo_codec::text::WordVocabulary;
use zoo_text::{Corpus, Format, LabelledSet, Split, find};

/// The data directory, if it holds the set; otherwise says that the test is skipped. Where
/// `ZOO_REQUIRE_DATA=1`, missing data is a failure.
fn data_dir(set: &str) -> Option<PathBuf> {
    let folder = env::var_os("ZOO_DATA_DIR").map(PathBuf::from);
    let problem = match &folder {
        Some(folder) if folder.join(set).is_dir() => return Some(folder.clone()),
        Some(folder) => format!("ZOO_DATA_DIR={} holds no folder {set}", folder.display()),
        None => format!("ZOO_DATA_DIR is not set, so there is no {set}"),
    };
    let required = env::var("ZOO_REQUIRE_DATA").is_ok_and(|value| value == "1");
    assert!(!required, "ZOO_REQUIRE_DATA=1, but {problem}");
    eprintln!("SKIPPED {set}: {problem}");
    None
}

#[test]
fn tinyshakespeare_is_split_as_nanogpt_splits_it() {
    let Some(dir) = data_dir("tinyshakespeare") else {
        return;
    };
    let corpus = Corpus::published(
        find("tinyshakespeare").unwrap(),
        dir,
        Corpus::VALID_FRACTION,
    )
    .unwrap();
    assert_eq!(corpus.vocabulary.len(), 65);
    assert_eq!(
        (corpus.train.len(), corpus.valid.len()),
        (1_003_854, 111_540)
    );

    // The ids that nanoGPT's prepare.py gives "First".
    assert_eq!(corpus.train.slice(0, 5), [18, 47, 56, 57, 58]);
    let start = corpus.vocabulary.decode(&corpus.train.slice(0, 14));
    assert_eq!(start, "First Citizen:");

    let windows = corpus.windows(Split::Valid, 64).unwrap();
    assert_eq!(windows.len(), 1_741);
    let last = windows.with_offset(63).get(1_740).unwrap();
    assert_eq!(last.input[1..], last.target[..63]);
}

#[test]
fn sst2_has_its_published_counts() {
    let Some(dir) = data_dir("sst2") else { return };
    let set = LabelledSet::published(find("sst2").unwrap(), Format::Tsv, &dir).unwrap();
    let (valid, test) = (set.valid.unwrap(), set.test.unwrap());
    // Quotes and all, as the lines have it.
    let text = std::fs::read_to_string(dir.join("sst2/train.tsv")).unwrap();
    let lines = text.lines().map(|line| line.split_once('\t').unwrap());
    assert!(
        set.train
            .sentences()
            .eq(lines.clone().map(|(text, _)| text))
    );
    let labels = lines.map(|(_, label)| label.parse::<usize>().unwrap());
    assert!(set.train.labels().eq(labels));
    assert_eq!(
        (set.train.len(), valid.len(), test.len()),
        (6_920, 872, 1_821)
    );
    assert_eq!(set.class_names, ["negative", "positive"]);
    let num_positive = (0..test.len())
        .filter(|i| test.get(*i).unwrap().label == 1)
        .count();
    assert_eq!(num_positive, 909);

    let vocabulary = WordVocabulary::build(set.train.sentences(), usize::MAX, 1).unwrap();
    let first: String = vocabulary
        .to_lines()
        .lines()
        .take(5)
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(first, "<pad> <unk> the , a");
}
