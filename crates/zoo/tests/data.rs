//! Data of other people, through the program: what is read, what is refused, what moves nothing.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]
#![cfg(feature = "flex")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use zoo::ZOO;
use zoo_program::data::Data;
use zoo_program::{fitting, recipes};
use zoo_train::Change;

mod common;

use common::{fail, succeed, write_cifar10, write_folder, zoo};

/// Opens what a recipe with these changes reads.
fn open(recipe: &str, directory: &Path, changes: &[&str]) -> Result<Data, String> {
    let changes: Vec<Change> = changes
        .iter()
        .map(|it| Change::parse(it).unwrap())
        .collect();
    let recipe = recipes::read(&ZOO, recipe, &changes).map_err(|error| error.to_string())?;
    let fitted = fitting::fit(&ZOO, &recipe, directory).map_err(|error| error.to_string())?;
    Ok(fitted.0)
}

fn sums(data: &Data) -> BTreeMap<String, String> {
    data.sha256(&mut |_, _| {}).unwrap()
}

#[track_caller]
fn refused(recipe: &str, directory: &Path, changes: &[&str], parts: &[&str]) {
    let message = open(recipe, directory, changes).unwrap_err();
    for part in parts {
        assert!(
            message.contains(part),
            "{changes:?} should say {part:?}: {message}"
        );
    }
}

/// What the picture recipe needs to read `path`.
fn pictures(path: &Path) -> [String; 3] {
    let path = format!("data.path={}", path.display());
    [
        "data.name=image-folder".into(),
        "data.size=[8,8]".into(),
        path,
    ]
}

fn refs(changes: &[String]) -> Vec<&str> {
    changes.iter().map(String::as_str).collect()
}

#[test]
fn keys_that_a_data_set_would_ignore_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_cifar10(folder.path(), 4);
    write_folder(&folder.path().join("pictures"), 3);
    fs::write(
        folder.path().join("book.txt"),
        "To be, or not to be. ".repeat(99),
    )
    .unwrap();
    let dir = folder.path();
    let own = pictures(&dir.join("pictures"));
    for (recipe, changes, key) in [
        (
            "resnet20-cifar10",
            &["data.validation=0", "data.size=[16,16]"][..],
            "data.size",
        ),
        (
            "resnet20-cifar10",
            &["data.validation=0", "data.color=grey"],
            "data.color",
        ),
        (
            "resnet20-cifar10",
            &["data.validation=0", "data.test_fraction=0.1"],
            "data.test_fraction",
        ),
        (
            "resnet20-cifar10",
            &["data.validation=0", "data.path=x"],
            "data.path",
        ),
        ("lenet-glyphs", &["data.size=[28,28]"], "data.size"),
        ("gpt-shakespeare", &["data.path=x"], "data.path"),
        ("encoder-sst2", &["data.path=x"], "data.path"),
        ("encoder-sst2", &["data.validation=5"], "data.validation"),
        ("encoder-sst2", &["data.text=x"], "data.text"),
        (
            "encoder-sst2",
            &["data.name=csv", "data.path=x", "data.quotes=true"],
            "data.quotes",
        ),
        ("gpt-sums", &["data.path=x"], "data.path"),
    ] {
        refused(recipe, dir, changes, &[key]);
    }
    let with = |more: &[&'static str]| [refs(&own), more.to_vec()].concat();
    refused(
        "resnet20-folder",
        dir,
        &with(&["data.test_fraction=0.5"]),
        &["data.test_fraction", "test split"],
    );
    fs::rename(dir.join("pictures/test"), dir.join("pictures/valid")).unwrap();
    refused(
        "resnet20-folder",
        dir,
        &with(&["data.validation=2"]),
        &["data.validation = 2", "validation split"],
    );
}

#[test]
fn numbers_that_leave_nothing_of_an_image_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let lenet =
        |changes: &[&str], parts: &[&str]| refused("lenet-glyphs", folder.path(), changes, parts);
    lenet(
        &["data.crop_padding=100000"],
        &["data.crop_padding = 100000", "below 28"],
    );
    lenet(&["data.crop_padding=28"], &["below 28"]);
    lenet(&["data.cutout=29"], &["data.cutout = 29", "at most 28"]);
    for mean in ["[nan]", "[inf]", "[-inf]", "[]", "[0.1, 0.2]", "[1e39]"] {
        lenet(&[&format!("data.mean={mean}")], &["data.mean"]);
    }
    for std in [
        "[0.0]", "[-1.0]", "[nan]", "[inf]", "[1e-44]", "[]", "[1, 2]",
    ] {
        lenet(&[&format!("data.std={std}")], &["data.std"]);
    }
    lenet(
        &["data.mean=[1e38]", "data.std=[1e-3]"],
        &["data.mean", "data.std"],
    );
    lenet(&["data.classes=[\"3\"]"], &["one class"]);
    let largest = ["data.crop_padding=27", "data.cutout=28"];
    assert!(open("lenet-glyphs", folder.path(), &largest).is_ok());
}

#[test]
fn the_seed_of_a_run_moves_no_split() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&folder.path().join("whole"), 20);
    fs::rename(folder.path().join("whole/train"), folder.path().join("one")).unwrap();
    let rows: String = (0..60)
        .map(|at| format!("text {at}\t{}\n", at % 3))
        .collect();
    fs::write(folder.path().join("rows.tsv"), rows).unwrap();
    let rows = format!("data.path={}", folder.path().join("rows.tsv").display());
    let own = pictures(&folder.path().join("one"));
    for (recipe, changes) in [
        ("lenet-glyphs", vec![]),
        ("gpt-sums", vec!["data.validation=100"]),
        (
            "resnet20-folder",
            [refs(&own), vec!["data.validation=4"]].concat(),
        ),
        (
            "encoder-sst2",
            vec!["data.name=tsv", &rows, "data.validation=7"],
        ),
    ] {
        let with = |more: &[&'static str]| {
            let all = [&changes[..], more].concat();
            sums(&open(recipe, folder.path(), &all).unwrap())
        };
        let plain = with(&[]);
        assert_eq!(plain.len(), 3, "{recipe}: {plain:?}");
        assert_eq!(with(&["train.seed=7"]), plain, "{recipe}");
        assert_eq!(with(&["data.split_seed=1"]), plain, "{recipe}");
        assert_ne!(
            with(&["data.split_seed=2"])["valid"],
            plain["valid"],
            "{recipe}"
        );
    }
}

#[test]
fn the_validation_split_is_the_one_it_was() {
    // The sums that runs had before `data.split_seed` was a key of its own.
    let folder = tempfile::tempdir().unwrap();
    let valid = |recipe, changes: &[&str]| {
        let sums = sums(&open(recipe, folder.path(), changes).unwrap());
        sums["valid"][..16].to_owned()
    };
    assert_eq!(valid("lenet-glyphs", &[]), "2c82dca1fedb86c1");
    assert_eq!(
        valid("gpt-sums", &["data.validation=100"]),
        "92506ec9566f06cd"
    );
}

#[test]
fn one_folder_of_classes_and_one_file_of_rows_are_split_by_class() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&folder.path().join("whole"), 10);
    let one = pictures(&folder.path().join("whole/train"));
    let lengths = |data: &Data| {
        let length = |source: &Option<_>| {
            source
                .as_ref()
                .map(|it: &std::sync::Arc<dyn zoo_train::Source>| it.len())
        };
        (data.train.len(), length(&data.valid), length(&data.test))
    };
    let unasked = open("resnet20-folder", folder.path(), &refs(&one)).unwrap();
    assert!(
        unasked.warnings[0].contains("4 of its 20 examples are held out to test on"),
        "{:?}",
        unasked.warnings
    );
    let open = |recipe, changes: &[&str]| lengths(&open(recipe, folder.path(), changes).unwrap());
    assert_eq!(open("resnet20-folder", &refs(&one)), (16, None, Some(4)));
    let half = [
        refs(&one),
        vec!["data.test_fraction=0.5", "data.validation=3"],
    ]
    .concat();
    assert_eq!(open("resnet20-folder", &half), (7, Some(3), Some(10)));
    let none = [refs(&one), vec!["data.test_fraction=0"]].concat();
    assert_eq!(open("resnet20-folder", &none), (20, None, None));
    let whole = pictures(&folder.path().join("whole"));
    fs::rename(
        folder.path().join("whole/test"),
        folder.path().join("whole/VAL"),
    )
    .unwrap();
    assert_eq!(open("resnet20-folder", &refs(&whole)), (20, Some(20), None));
    for fraction in ["1.0", "-0.1", "nan"] {
        let fraction = format!("data.test_fraction={fraction}");
        let changes = [refs(&one), vec![&*fraction]].concat();
        refused(
            "resnet20-folder",
            folder.path(),
            &changes,
            &["data.test_fraction"],
        );
    }

    let rows: String = (0..50)
        .map(|at| format!("\"a, {at}\",{}\n", ["x", "y"][at % 2]))
        .collect();
    fs::write(
        folder.path().join("rows.csv"),
        format!("phrase,topic\n{rows}"),
    )
    .unwrap();
    let path = format!("data.path={}", folder.path().join("rows.csv").display());
    let csv = [
        "data.name=csv",
        &path,
        "data.text=phrase",
        "data.label=topic",
    ];
    assert_eq!(open("encoder-sst2", &csv), (40, None, Some(10)));
}

#[test]
fn every_token_counts_in_the_sum_of_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.txt");
    let changes = [
        "data.name=chars".into(),
        format!("data.path={}", path.display()),
    ];
    let sums = |text: &str| {
        fs::write(&path, text).unwrap();
        sums(&open("gpt-shakespeare", folder.path(), &refs(&changes)).unwrap())
    };
    // Windows of 64: 10,010 characters leave some over in either split.
    let text = "abcdefghij".repeat(1001);
    let before = sums(&text);
    let last = sums(&format!("{}a", &text[..text.len() - 1]));
    assert_eq!(last["train"], before["train"]);
    assert_ne!(last["valid"], before["valid"], "the last character");
    let mut end = text.clone().into_bytes();
    end[9007] = b'a';
    let end = sums(&String::from_utf8(end).unwrap());
    assert_ne!(end["train"], before["train"], "the training part's end");
    assert_eq!(end["valid"], before["valid"]);
    // The same ids, of other characters.
    let other = sums(&text.replace('j', "k"));
    assert!(other["train"] != before["train"] && other["valid"] != before["valid"]);
}

#[test]
fn other_words_with_the_same_ids_are_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.tsv");
    let changes = [
        "data.name=tsv".into(),
        format!("data.path={}", path.display()),
    ];
    let sums = |word: &str| {
        let rows: String = (0..20)
            .map(|at| format!("{word} film\t{}\n", at % 2))
            .collect();
        fs::write(&path, rows).unwrap();
        sums(&open("encoder-sst2", folder.path(), &refs(&changes)).unwrap())
    };
    let (good, great) = (sums("good"), sums("great"));
    assert!(good["train"] != great["train"] && good["test"] != great["test"]);
}

#[test]
fn an_unreadable_picture_of_any_split_is_refused_before_there_is_a_run() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&folder.path().join("pictures"), 6);
    let train = [
        "train",
        "resnet20-folder",
        "--set",
        "schedule.warmup_steps=0",
        "--steps",
        "1",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=image-folder",
        "--set",
        "data.path=pictures",
        "--set",
        "train.batch_size=4",
    ];
    let path = folder.path().join("pictures/test/light/3.png");
    let whole = fs::read(&path).unwrap();
    for bytes in [&whole[..whole.len() - 30], b"RIFF\0\0\0\0WEBPVP8 ", b""] {
        fs::write(&path, bytes).unwrap();
        let error = fail(folder.path(), &train, 2);
        assert!(error.contains("pictures/test/light/3.png"), "{error}");
        assert!(
            !folder.path().join("runs").exists(),
            "nothing is left behind"
        );
    }
}

#[test]
fn what_is_passed_over_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&folder.path().join("pictures"), 6);
    fs::write(
        folder.path().join("pictures/train/dark/7.webp"),
        b"RIFF\0\0\0\0WEBPVP8 ",
    )
    .unwrap();
    let train = [
        "train",
        "resnet20-folder",
        "--set",
        "schedule.warmup_steps=0",
        "--steps",
        "1",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=image-folder",
        "--set",
        "data.path=pictures",
        "--set",
        "train.batch_size=4",
        "--no-report",
    ];
    let output = zoo(folder.path(), &train);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("passed over 1 WebP").count(), 1, "{said}");
}

#[test]
fn a_run_is_evaluated_from_another_folder() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&folder.path().join("pictures"), 6);
    let train = [
        "train",
        "resnet20-folder",
        "--set",
        "schedule.warmup_steps=0",
        "--steps",
        "1",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=image-folder",
        "--set",
        "data.path=pictures",
        "--set",
        "train.batch_size=4",
        "--no-report",
        "--quiet",
    ];
    succeed(folder.path(), &train);
    let run = folder.path().join("runs/resnet20-folder-flex-1");
    let recipe = fs::read_to_string(run.join("recipe.toml")).unwrap();
    let stored = folder.path().join("pictures");
    let found = recipe.contains(&format!("path = \"{}\"", stored.display()));
    assert!(found, "{recipe}");
    let elsewhere = tempfile::tempdir().unwrap();
    succeed(elsewhere.path(), &["eval", run.to_str().unwrap()]);
    // It names what it looked for in full.
    let missing = [
        "train",
        "resnet20-folder",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=image-folder",
        "--set",
        "data.path=nowhere",
    ];
    let error = fail(folder.path(), &missing, 2);
    assert!(
        error.contains(&*folder.path().join("nowhere").display().to_string()),
        "{error}"
    );
}

#[test]
fn a_run_whose_data_moved_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&folder.path().join("pictures"), 6);
    let train = |path: &'static str, more: &[&'static str]| {
        let all = [
            "train",
            "resnet20-folder",
            "--set",
            "schedule.warmup_steps=0",
            "--set",
            "data.name=image-folder",
            "--set",
            path,
            "--set",
            "train.batch_size=4",
            "--set",
            "schedule.warmup_steps=0",
            "--no-report",
            "--quiet",
        ];
        [&all[..], more].concat()
    };
    succeed(
        folder.path(),
        &train("data.path=pictures", &["--epochs", "1"]),
    );
    fs::rename(folder.path().join("pictures"), folder.path().join("moved")).unwrap();
    let more = [
        "--epochs",
        "2",
        "--resume",
        "runs/resnet20-folder-flex-1",
        "--allow-changed",
        "train.epochs",
    ];
    succeed(folder.path(), &train("data.path=moved", &more));
}

#[test]
fn a_run_is_not_evaluated_on_data_of_other_classes_or_words() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&folder.path().join("pictures"), 6);
    let train = [
        "train",
        "resnet20-folder",
        "--steps",
        "1",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=image-folder",
        "--set",
        "data.path=pictures",
        "--set",
        "train.batch_size=4",
        "--no-report",
        "--quiet",
    ];
    succeed(folder.path(), &train);
    let run = "runs/resnet20-folder-flex-1";
    succeed(folder.path(), &["eval", run]);
    for split in ["train", "test"] {
        let split = folder.path().join("pictures").join(split);
        fs::rename(split.join("light"), split.join("bright")).unwrap();
    }
    // Now the first class is what was the second.
    let error = fail(folder.path(), &["eval", run], 2);
    assert!(
        error.contains("\"light\"") && error.contains("\"bright\""),
        "{error}"
    );

    let rows = |word: &str| -> String {
        (0..20)
            .map(|at| format!("{word} film\t{}\n", at % 2))
            .collect()
    };
    fs::write(folder.path().join("rows.tsv"), rows("good")).unwrap();
    let train = [
        "train",
        "encoder-sst2",
        "--steps",
        "1",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=tsv",
        "--set",
        "data.path=rows.tsv",
        "--set",
        "data.validation=4",
        "--no-report",
        "--quiet",
    ];
    succeed(folder.path(), &train);
    succeed(folder.path(), &["eval", "runs/encoder-sst2-flex-1"]);
    fs::write(folder.path().join("rows.tsv"), rows("zany")).unwrap();
    let run = "runs/encoder-sst2-flex-1";
    let error = fail(folder.path(), &["eval", run], 2);
    assert!(error.contains("not what the run was trained on"), "{error}");
    // Where it is measured all the same, words have the ids of the run.
    let zany = succeed(folder.path(), &["eval", run, "--allow-changed", "--json"]);
    fs::write(folder.path().join("rows.tsv"), rows("weird")).unwrap();
    let weird = succeed(folder.path(), &["eval", run, "--allow-changed", "--json"]);
    let metrics = |said: &str| -> serde_json::Value {
        let said: serde_json::Value = serde_json::from_str(said).unwrap();
        said["metrics"].clone()
    };
    assert_eq!(metrics(&zany), metrics(&weird), "both words are unknown");
}

#[test]
fn runs_of_before_the_key_validate_on_what_their_seed_drew() {
    let folder = tempfile::tempdir().unwrap();
    let train = [
        "train",
        "lenet-glyphs",
        "--steps",
        "1",
        "--set",
        "schedule.warmup_steps=0",
        "--seed",
        "7",
        "--no-report",
        "--quiet",
    ];
    succeed(folder.path(), &train);
    let path = folder.path().join("runs/lenet-glyphs-flex-1/recipe.toml");
    let recipe = fs::read_to_string(&path).unwrap();
    assert!(recipe.contains("split_seed = 1"), "{recipe}");
    let valid = |seed: u64, split_seed: u64| {
        let mut recipe = recipes::read(&ZOO, "lenet-glyphs", &[]).unwrap();
        ZOO.keep_split(&mut recipe.data, seed, split_seed);
        sums(&fitting::fit(&ZOO, &recipe, folder.path()).unwrap().0)["valid"].clone()
    };
    assert_ne!(valid(7, 7), valid(7, 1));
    assert_eq!(valid(7, 1), valid(1, 9), "the usual seed needs no key");
}

#[test]
fn classes_that_cannot_be_held_out_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let csv = |rows: &str, more: &[&str]| {
        let path = folder.path().join("rows.csv");
        fs::write(&path, format!("text,label\n{rows}")).unwrap();
        let path = format!("data.path={}", path.display());
        let changes = [&["data.name=csv", &path, "data.min_count=1"], more].concat();
        open("encoder-sst2", folder.path(), &changes).unwrap()
    };
    let few = "a,x\nb,x\nc,y\nd,z\ne,z\n";
    for more in [&[][..], &["data.test_fraction=0.3"]] {
        let warnings = csv(few, more).warnings;
        assert!(
            warnings.iter().any(|it| it.contains("the classes \"y\"")),
            "{warnings:?}"
        );
    }
    let asked = csv(few, &["data.test_fraction=0"]).warnings;
    assert!(asked.is_empty(), "{asked:?}");
    let alone = csv("a,x\nb,y\n", &[]);
    assert!(alone.test.is_none());
    assert!(
        alone.warnings[0].contains("no test split"),
        "{:?}",
        alone.warnings
    );

    let pets = folder.path().join("pets");
    write_folder(&pets, 4);
    let train = pets.join("train");
    fs::create_dir(train.join("rare")).unwrap();
    fs::copy(train.join("dark/0.png"), train.join("rare/0.png")).unwrap();
    let data = open("resnet20-folder", folder.path(), &refs(&pictures(&train))).unwrap();
    assert!(
        data.warnings.iter().any(|it| it.contains("\"rare\"")),
        "{:?}",
        data.warnings
    );
}

#[test]
fn what_is_wrong_is_named_as_the_user_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, "text,label\na,x\nb,y\na,x\nb,y\n").unwrap();
    let path = format!("data.path={}", path.display());
    for (key, value) in [("max_words", 1), ("min_count", 9)] {
        let change = format!("data.{key}={value}");
        let says = format!("data.{key} = {value}: expected");
        refused(
            "encoder-sst2",
            folder.path(),
            &["data.name=csv", &path, &change],
            &[&says],
        );
    }
    let book = folder.path().join("book.txt");
    fs::write(&book, "letters ".repeat(2000)).unwrap();
    let book = format!("data.path={}", book.display());
    refused(
        "gpt-shakespeare",
        folder.path(),
        &["data.name=chars", &book, "data.valid_fraction=2.0"],
        &["data.valid_fraction = 2"],
    );
    refused(
        "gpt-sums",
        folder.path(),
        &["data.digits=9"],
        &["data.digits = 9"],
    );
    for (recipe, name, key) in [
        ("encoder-sst2", "csv", "path"),
        ("encoder-sst2", "csv", "tokenizer"),
        ("gpt-shakespeare", "chars", "path"),
        ("resnet20-folder", "image-folder", "path"),
    ] {
        for given in ["", "~root/x"] {
            let name = format!("data.name={name}");
            let change = format!("data.{key}={given:?}");
            refused(
                recipe,
                folder.path(),
                &[&name, &change],
                &[&format!("data.{key}"), given],
            );
        }
    }
}
