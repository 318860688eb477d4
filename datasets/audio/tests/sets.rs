//! What the sets promise, on recordings that the tests write.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::path::Path;

use burn::data::dataset::Dataset;
use tempfile::TempDir;
use zoo_audio::{AudioOptions, AudioSet, SETS, Splits, open};
use zoo_codec::sound::Sound;

/// A file of a few samples of one value.
fn record(folder: &Path, name: &str, value: f32) {
    let sound = Sound {
        samples: vec![value; 80],
        rate: 8000,
    };
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(name), sound.to_wav()).unwrap();
}

fn texts(set: &AudioSet) -> Vec<String> {
    (0..set.len()).map(|index| set.text(index)).collect()
}

fn opened(name: &str, folder: &TempDir) -> Splits {
    open(name, folder.path(), &AudioOptions::default()).unwrap()
}

/// The whole chain of what is said.
fn refusal(name: &str, folder: &TempDir) -> String {
    let error = open(name, folder.path(), &AudioOptions::default()).unwrap_err();
    let cause = error.source().map(|source| format!(": {source}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[test]
fn a_name_that_is_none_is_refused_with_those_that_are() {
    let error = open("yesnt", Path::new("."), &AudioOptions::default()).unwrap_err();
    let message = error.to_string();
    SETS.iter()
        .for_each(|set| assert!(message.contains(set.name), "{message}"));
    let options = AudioOptions {
        valid_fraction: 1.0,
        ..AudioOptions::default()
    };
    let error = open("morse", Path::new("."), &options)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "data.valid_fraction must lie in 0..1; found 1");
}

/// Sixty recordings, named 0_0_0_0_0_0_0_0 to 0_0_1_1_1_0_1_1 in eight digits.
fn yesno(inside: &Path) -> Vec<String> {
    let name = |number: u32| {
        let digits: Vec<_> = (0..8)
            .map(|bit| (number >> (7 - bit) & 1).to_string())
            .collect();
        digits.join("_")
    };
    let names: Vec<_> = (0..60).map(name).collect();
    for (number, name) in names.iter().enumerate() {
        record(inside, &format!("{name}.wav"), number as f32 / 64.0);
    }
    names
}

#[test]
fn every_second_recording_of_yesno_tests() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("yesno/waves_yesno");
    yesno(&inside);
    let splits = opened("yesno", &folder);
    let (valid, test) = (splits.valid.unwrap(), splits.test.unwrap());
    assert_eq!([splits.train.len(), valid.len(), test.len()], [27, 3, 30]);
    // 1, 3, 5: the last word is always yes.
    assert!(texts(&test).iter().all(|text| text.ends_with("yes")));
    let utterance = test.get(2).unwrap();
    assert_eq!(utterance.text, "no no no no no yes no yes");
    assert_eq!(
        (utterance.rate, utterance.samples),
        (8000, vec![5.0 / 64.0; 80])
    );
    let rest: HashSet<_> = texts(&splits.train)
        .into_iter()
        .chain(texts(&valid))
        .collect();
    assert_eq!(rest.len(), 30, "none twice");
    assert_eq!(
        texts(&valid),
        texts(&opened("yesno", &folder).valid.unwrap())
    );
}

#[test]
fn yesno_is_refused_where_it_is_not_whole_or_named_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("yesno");
    let names = yesno(&inside);
    fs::remove_file(inside.join(format!("{}.wav", names[7]))).unwrap();
    assert!(refusal("yesno", &folder).contains("yesno: expected 60 recordings, found 59"));
    record(&inside, "0_1_2_0_1_0_1_0.wav", 0.25);
    assert!(
        refusal("yesno", &folder).contains("0_1_2_0_1_0_1_0.wav: expected a name of eight words")
    );
}

#[test]
fn a_set_that_is_not_there_says_how_to_fetch_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["yesno", "spoken-digits"] {
        let message = refusal(name, &folder);
        assert!(
            message.contains(&format!("cargo xtask data fetch {name}")),
            "{message}"
        );
    }
}

/// Two speakers, whose clips have a value by digit and index.
fn digits(folder: &TempDir) {
    for (speaker, sign) in [("a_b", 1.0), ("c", -1.0)] {
        for digit in 0..10 {
            for index in 0..8 {
                let value = sign * (0.05 + digit as f32 * 0.05 + index as f32 * 0.005);
                let name = format!("{digit}_{speaker}_{index}.wav");
                record(&folder.path().join("spoken-digits"), &name, value);
            }
        }
    }
}

#[test]
fn numbers_are_of_one_speaker_and_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    digits(&folder);
    let splits = opened("spoken-digits", &folder);
    let (valid, test) = (splits.valid.unwrap(), splits.test.unwrap());
    assert_eq!(
        [splits.train.len(), valid.len(), test.len()],
        [600, 60, 200]
    );
    for set in [&splits.train, &valid, &test] {
        let lengths: HashSet<_> = texts(set)
            .iter()
            .map(|text| text.split(' ').count())
            .collect();
        assert_eq!(lengths, HashSet::from([2, 3, 4, 5]));
        for index in 0..20 {
            let one = set.get(index).unwrap();
            assert_eq!(one, set.get(index).unwrap());
            assert_eq!(one.text, set.text(index));
            // One speaker's clips are above zero, the other's below; noise is far smaller.
            let loud: Vec<_> = one
                .samples
                .iter()
                .filter(|sample| sample.abs() > 0.3)
                .collect();
            assert_eq!(loud.len(), 80 * one.text.split(' ').count());
            assert_eq!(
                loud.iter().filter(|sample| ***sample > 0.0).count() % loud.len(),
                0
            );
        }
    }
    assert_ne!(texts(&splits.train)[..60], texts(&valid)[..]);
    let other = AudioOptions {
        seed: 1,
        ..AudioOptions::default()
    };
    let other = open("spoken-digits", folder.path(), &other).unwrap();
    assert_ne!(texts(&other.train), texts(&splits.train));
}

#[test]
fn no_clip_is_in_two_splits() {
    let folder = tempfile::tempdir().unwrap();
    digits(&folder);
    // Without the clips from 5 on, nothing is left to train on; without those before, to test on.
    for (gone, split) in [(5..8, "train"), (0..5, "test")] {
        let folder = tempfile::tempdir().unwrap();
        digits(&folder);
        for digit in 0..10 {
            for index in gone.clone() {
                for speaker in ["a_b", "c"] {
                    let name = format!("spoken-digits/{digit}_{speaker}_{index}.wav");
                    fs::remove_file(folder.path().join(name)).unwrap();
                }
            }
        }
        let message = refusal("spoken-digits", &folder);
        assert!(message.contains(&format!("to {split} on")), "{message}");
    }
    record(&folder.path().join("spoken-digits"), "eleven_a_3.wav", 0.1);
    let message = refusal("spoken-digits", &folder);
    assert!(
        message.contains("eleven_a_3.wav: expected a name of digit, speaker"),
        "{message}"
    );
}

#[test]
fn morse_is_the_set_that_results_were_measured_on() {
    let splits = open("morse", Path::new("none"), &AudioOptions::default()).unwrap();
    let (valid, test) = (splits.valid.unwrap(), splits.test.unwrap());
    assert_eq!(
        [splits.train.len(), valid.len(), test.len()],
        [1000, 50, 200]
    );
    let mut sums = Vec::new();
    for set in [&splits.train, &valid, &test] {
        let utterance = set.get(7).unwrap();
        assert_eq!(utterance.text, set.text(7));
        // FNV-1a of the samples as 16 bits.
        let words = utterance
            .samples
            .iter()
            .flat_map(|s| ((s * 8192.0).round() as i16).to_le_bytes());
        sums.push(words.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }));
        assert!(utterance.samples.iter().all(|sample| sample.abs() < 4.0));
    }
    let known = [
        0xd744_9457_a6d4_d584,
        0xf3ba_0401_8a1c_a421,
        0x6f0a_e5af_af74_9a69,
    ];
    assert_eq!(sums, known, "found {sums:#x?}");
}

#[test]
fn words_in_morse_are_spread_over_splits() {
    let splits = open("morse", Path::new("none"), &AudioOptions::default()).unwrap();
    let train: HashSet<_> = texts(&splits.train).into_iter().collect();
    let test = texts(&splits.test.unwrap());
    let seen = test.iter().filter(|text| train.contains(*text)).count();
    assert!(seen < 20, "{seen} of 200 sentences were seen in training");
    assert!(
        test.iter().all(|text| text.len() <= 14),
        "three words of four letters at most"
    );
}

#[test]
fn a_table_names_files_and_texts() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.wav", "b.wav", "c.wav"] {
        record(&folder.path().join("clips"), name, 0.5);
    }
    let train = "id\tpath\tsentence\n1\tclips/a.wav\t a  \"quoted\" word\n2\tclips/b.wav\tGrüße\n";
    fs::write(folder.path().join("train.tsv"), train).unwrap();
    fs::write(
        folder.path().join("Test.csv"),
        "clips/c.wav,\"no, yes\"\r\n",
    )
    .unwrap();
    let splits = opened("audio-folder", &folder);
    let (valid, test) = (splits.valid.unwrap(), splits.test.unwrap());
    assert_eq!(texts(&test), ["no, yes"]);
    let mut both = [texts(&splits.train), texts(&valid)].concat();
    both.sort();
    assert_eq!(both, ["Grüße", "a \"quoted\" word"]);
    assert_eq!(test.get(0).unwrap().samples.len(), 80);
    assert!(test.path(0).unwrap().ends_with("clips/c.wav"));

    for (table, says) in [
        (
            "clips/a.wav\n",
            "a file and a text in row 1, found 1 columns",
        ),
        (
            "clips/a.wav\tyes\nclips/d.wav\tno\n",
            "name of a file in row 2, found \"clips/d.wav\"",
        ),
        (
            "clips/a.wav\t \n",
            "what is said in \"clips/a.wav\", in row 1, found an empty text",
        ),
        ("train.tsv\tyes\n", "a WAV or FLAC file in row 1"),
        ("file\ttext\n", "found no training recordings"),
        ("", "found no training recordings"),
    ] {
        fs::write(folder.path().join("train.tsv"), table).unwrap();
        let message = refusal("audio-folder", &folder);
        assert!(message.contains(says), "{message}");
    }
    fs::write(folder.path().join("train.tsv"), b"a\xff\tb").unwrap();
    assert!(refusal("audio-folder", &folder).contains("not UTF-8 at byte 1"));
}

#[test]
fn a_text_beside_each_recording_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a", "one"), ("b", "two\n"), ("c", "three")] {
        record(folder.path(), &format!("{name}.wav"), 0.5);
        fs::write(folder.path().join(format!("{name}.txt")), text).unwrap();
    }
    fs::write(folder.path().join("d.mp3"), "ID3").unwrap();
    let splits = opened("audio-folder", &folder);
    assert!(splits.test.is_none());
    assert_eq!([splits.train.len(), splits.valid.unwrap().len()], [2, 1]);
    assert!(
        splits.warnings[0].contains("passed over 1 recordings"),
        "{:?}",
        splits.warnings
    );
    let none = AudioOptions {
        valid_fraction: 0.0,
        ..AudioOptions::default()
    };
    let whole = open("audio-folder", folder.path(), &none).unwrap();
    assert_eq!(texts(&whole.train), ["one", "two", "three"]);
    assert!(whole.valid.is_none());

    fs::write(folder.path().join("b.txt"), " \n").unwrap();
    assert!(refusal("audio-folder", &folder).contains("b.txt: expected what is said in"));
    fs::remove_file(folder.path().join("b.txt")).unwrap();
    let message = refusal("audio-folder", &folder);
    assert!(
        message.contains("found no text of 1 of 3 recordings; looked for"),
        "{message}"
    );
    fs::create_dir(folder.path().join("test")).unwrap();
    assert!(refusal("audio-folder", &folder).contains("found no training recordings"));
}

#[test]
fn a_recording_that_does_not_decode_is_named() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "a.wav", 0.5);
    fs::write(folder.path().join("a.txt"), "one").unwrap();
    let whole = fs::read(folder.path().join("a.wav")).unwrap();
    for (bytes, says) in [(&whole[..100], "is cut off"), (&[][..], "an empty file")] {
        fs::write(folder.path().join("a.wav"), bytes).unwrap();
        let error = opened("audio-folder", &folder).train.get(0).unwrap_err();
        let file = error.source().unwrap();
        assert!(file.to_string().contains("a.wav: not a sound"), "{file}");
        let cause = file.source().unwrap().to_string();
        assert!(cause.contains(says), "{cause}");
    }
}

#[test]
fn two_places_for_a_split_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("train")).unwrap();
    fs::write(folder.path().join("train.csv"), "").unwrap();
    assert!(refusal("audio-folder", &folder).contains("one table or folder of the train split"));
}
