//! The named sets as they are published, where `ZOO_DATA_DIR` says they lie.

use std::time::{Duration, Instant};
use std::{env, path::PathBuf};

use burn::data::dataset::Dataset;
use zoo_codec::text::{Language, WordVocabulary, subwords};
use zoo_text::{Corpus, Format, LabelledSet, PairSet, Split, find};

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

#[test]
fn multi30k_is_as_published_and_its_subwords_are_learned_in_seconds() {
    let Some(dir) = data_dir("multi30k-en-de") else {
        return;
    };
    let set = PairSet::published(find("multi30k-en-de").unwrap(), dir).unwrap();
    let (valid, test) = (set.valid.unwrap(), set.test.unwrap());
    assert_eq!(
        (set.train.len(), valid.len(), test.len()),
        (29_000, 1_014, 1_000)
    );
    let first = test.get(0).unwrap();
    assert_eq!(
        first.source,
        "A man in an orange hat starring at something."
    );
    assert_eq!(
        first.target,
        "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt."
    );

    let lines = || {
        set.train
            .iter()
            .flat_map(|pair| [&*pair.source, &*pair.target])
    };
    let begin = Instant::now();
    let tokenizer = subwords::train(lines(), 8_000).unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(60),
        "{:?}",
        begin.elapsed()
    );
    let language = Language::tokenizer(&tokenizer).unwrap();
    assert_eq!(language.vocabulary(), 8_000);
    let texts: Vec<&str> = lines().collect();
    let ids = language.encode_all(&texts, 512).unwrap();
    let tokens: usize = ids.iter().map(|ids| ids.len() - 2).sum();
    let words: usize = texts.iter().map(|text| text.split(' ').count()).sum();
    assert!((words..words * 3 / 2).contains(&tokens), "{tokens} {words}");
}
