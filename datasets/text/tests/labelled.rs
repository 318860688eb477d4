//! The labelled files that people have: formats, headers, labels, quotes, splits, and what is refused.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::fs;

use burn::data::dataset::Dataset;
use tempfile::TempDir;
use zoo_text::{Column, Format, LabelledLines, LabelledSet, RowOptions, TextError, find};

use Format::{Csv, JsonLines, Tsv};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn open_with(format: Format, text: &str, options: &RowOptions) -> Result<LabelledSet, TextError> {
    let dir = folder(&[("lines", text)]);
    LabelledSet::open(format, dir.path().join("lines"), options)
}

#[test]
fn a_row_knows_its_place() {
    let set = open(Format::Csv, "\"two\nlines\",a\nx,b\nmore,a\n").unwrap();
    let place = set.train.place(1);
    assert!(place.ends_with("lines: line 3"), "{place}");
}

fn open(format: Format, text: &str) -> Result<LabelledSet, TextError> {
    open_with(format, text, &RowOptions::default())
}

#[track_caller]
fn refused(format: Format, text: &str, parts: &[&str]) {
    let message = open(format, text).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// Texts, and the names of their classes.
fn items(set: &LabelledSet, lines: &LabelledLines) -> Vec<(String, String)> {
    let items = (0..lines.len()).map(|index| lines.get(index).unwrap());
    items
        .map(|item| (item.text, set.class_names[item.label].clone()))
        .collect()
}

#[track_caller]
fn assert_items(format: Format, text: &str, expected: &[(&str, &str)]) {
    let set = open(format, text).unwrap();
    let expected = expected
        .iter()
        .map(|(text, label)| ((*text).to_owned(), (*label).to_owned()));
    assert_eq!(
        items(&set, &set.train),
        expected.collect::<Vec<_>>(),
        "{text:?}"
    );
}

fn named(text: &str, label: &str) -> RowOptions {
    RowOptions {
        text: Some(Column::Name(text.to_owned())),
        label: Some(Column::Name(label.to_owned())),
        quotes: None,
    }
}

fn numbered(text: usize, label: usize) -> RowOptions {
    RowOptions {
        text: Some(Column::Number(text)),
        label: Some(Column::Number(label)),
        quotes: None,
    }
}

#[test]
fn the_old_form_opens_byte_for_byte() {
    for text in [
        "good film\t1\nböse\t0\n",
        "good film\t1\nböse\t0",
        "good film\t1\r\nböse\t0\r\n",
        "good film\t1\r\nböse\t0",
        "\u{feff}good film\t1\nböse\t0 ",
        "good film\t1\nböse\t0\n\n\r\n  \n",
    ] {
        assert_items(Tsv, text, &[("good film", "1"), ("böse", "0")]);
    }
    // Quotes, spaces, carriage returns and marks within a line belong to the text.
    let raw = "\"wow\"\t1\n\u{feff} `` it 's \" so \"\" \t0\na\rb\t1\n\"x\t0\n";
    let expected = [
        ("\"wow\"", "1"),
        ("\u{feff} `` it 's \" so \"\" ", "0"),
        ("a\rb", "1"),
        ("\"x", "0"),
    ];
    assert_items(Tsv, raw, &expected);
    let dir = folder(&[("train.tsv", raw), ("dev.tsv", "\"wow\"\t1\n\"\"\t0\n")]);
    let set = LabelledSet::open(Tsv, dir.path(), &RowOptions::default()).unwrap();
    assert_eq!(set.valid.unwrap().get(1).unwrap().text, "\"\"");
    let long = "word ".repeat(1 << 18);
    assert_eq!(
        open(Tsv, &format!("{long}\t0\nshort\t1\n"))
            .unwrap()
            .train
            .get(0)
            .unwrap()
            .text,
        long
    );
}

#[test]
fn usual_headers_are_known_in_every_format() {
    let expected = [("good, very", "pos"), ("bad", "neg")];
    assert_items(Csv, "Text,Label\n\"good, very\",pos\nbad,neg\n", &expected);
    assert_items(
        Csv,
        "id,label,sentence\r\n7,pos,\"good, very\"\r\n8,neg,bad\r\n\r\n",
        &expected,
    );
    assert_items(
        Tsv,
        "sentence\tlabel\ngood, very\tpos\nbad\tneg\n",
        &expected,
    );
    let json = "{\"text\": \"good, very\", \"label\": \"pos\"}\r\n{\"label\": \"neg\", \"text\": \"bad\", \"id\": 3}\n\n";
    assert_items(JsonLines, json, &expected);
}

#[test]
fn columns_go_by_name_or_by_number() {
    let csv = "id,phrase,about,label\n1,\"a \"\"b\"\"\nc\",sports,x\n2,d,arts,y\n";
    let set = open_with(Csv, csv, &named("phrase", "about")).unwrap();
    assert_eq!(set.class_names, ["arts", "sports"]);
    assert_eq!(set.train.get(0).unwrap().text, "a \"b\"\nc");
    let csv = "sports,first\narts,second\n";
    let set = open_with(Csv, csv, &numbered(2, 1)).unwrap();
    assert_eq!(
        items(&set, &set.train)[1],
        ("second".to_owned(), "arts".to_owned())
    );
    let json = "{\"body\": \"a\", \"stars\": 1}\n{\"body\": \"b\", \"stars\": 2}";
    let set = open_with(JsonLines, json, &named("body", "stars")).unwrap();
    assert_eq!(set.class_names, ["1", "2"]);
    // One name is enough where there is no doubt about the other.
    let options = RowOptions {
        label: None,
        ..named("body", "")
    };
    assert_eq!(
        open_with(JsonLines, json, &options).unwrap().class_names,
        ["1", "2"]
    );
}

#[test]
fn what_is_in_doubt_is_asked() {
    let asked = ["data.text", "data.label", "--set data.text=1"];
    // A header of other names, or a first row whose label is no other's.
    refused(
        Tsv,
        "phrase\tis_positive\ngood\tyes\nbad\tno\n",
        &[&asked[..], &["`is_positive`"]].concat(),
    );
    refused(Csv, "a,b,c\n1,2,3\n", &asked);
    refused(Csv, "title,text,content,label\na,b,c,d\n", &asked);
    // The label may come first.
    refused(Csv, "1,good\n0,bad\n1,good\n", &asked);
    refused(Tsv, "pos\tgood film\nneg\tbad film\n", &asked);
    refused(
        JsonLines,
        "{\"body\": \"a\", \"stars\": 1}\n",
        &["`body`", "data.text"],
    );
    refused(
        Csv,
        "text;label\na;b\n",
        &["one column", "separated by something else"],
    );
    // No doubt: the label is another row's, and texts are not labels.
    assert_items(
        Csv,
        "good,pos\nbad,neg\nfine,pos\n",
        &[("good", "pos"), ("bad", "neg"), ("fine", "pos")],
    );
    let missing = open_with(Csv, "text,label\na,b\n", &named("text", "topic"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("data.label = \"topic\"") && missing.contains("`label`"),
        "{missing}"
    );
    let twice = open_with(Csv, "text,text\na,b\n", &named("text", "text"))
        .unwrap_err()
        .to_string();
    assert!(twice.contains("one of each"), "{twice}");
    // By number, the first line is a row: where it rather looks like names, that is told.
    let names = open_with(Csv, "text,label\na,b\n", &numbered(1, 2))
        .unwrap_err()
        .to_string();
    assert!(names.contains("`label`"), "{names}");
    let doubt = open_with(Csv, "phrase,mood\na,x\nb,y\nc,x\n", &numbered(1, 2))
        .unwrap()
        .warnings;
    assert!(
        doubt[0].contains("the only row with the label \"mood\""),
        "{doubt:?}"
    );
    let beyond = open_with(Csv, "a,b\nc,d\n", &numbered(1, 3))
        .unwrap_err()
        .to_string();
    assert!(beyond.contains("data.label = 3"), "{beyond}");
}

#[test]
fn labels_of_any_kind_are_classes_in_order() {
    let classes = |labels: &[&str]| {
        let rows = labels.iter().map(|label| format!("x,{label}\n"));
        let text: String = std::iter::once("text,label\n".to_owned())
            .chain(rows)
            .collect();
        open(Csv, &text).unwrap().class_names
    };
    assert_eq!(classes(&["b", "a", " c", "a"]), ["a", "b", "c"]);
    assert_eq!(classes(&["10", "9", "1", "9"]), ["1", "9", "10"]);
    assert_eq!(
        classes(&["1.0", "2.0", "1", "01"]),
        ["01", "1", "1.0", "2.0"]
    );
    assert_eq!(classes(&["-1", "1", "0.5"]), ["-1", "0.5", "1"]);
    assert_eq!(classes(&["True", "False"]), ["False", "True"]);
    assert_eq!(classes(&["3", "3+", "10"]), ["10", "3", "3+"]);
    let json = "{\"text\": \"a\", \"label\": true}\n{\"text\": \"b\", \"label\": false}";
    assert_eq!(
        open(JsonLines, json).unwrap().class_names,
        ["false", "true"]
    );
    // The old form, counted from 1 and with a gap.
    assert_eq!(
        open(Tsv, "a\t1\nb\t4\nc\t1\n").unwrap().class_names,
        ["1", "4"]
    );
    let alike = open(Csv, "text,label\na,Pos\nb,pos\n").unwrap().warnings;
    assert!(
        alike[0].contains("\"Pos\" and \"pos\" are two classes"),
        "{alike:?}"
    );
}

#[test]
fn what_cannot_be_classes_is_refused() {
    refused(Tsv, "a\t0\nb\t0\n", &["every row has the label \"0\""]);
    let ids: String = (0..20).map(|id| format!("text {id},{id}\n")).collect();
    refused(
        Csv,
        &format!("text,label\n{ids}"),
        &["20 different ones in 20 rows", "data.label"],
    );
}

#[test]
fn a_bad_line_is_named_with_its_fault() {
    for (format, text, line, fault) in [
        (Tsv, "a\t0\n\nb\t1\n", 2, "the line is empty"),
        (Tsv, "a\t0\r\n\r\nb\t1\r\n", 2, "the line is empty"),
        (
            Tsv,
            "a\t0\nno label\nb\t1\n",
            2,
            "1 fields, where the first line has 2",
        ),
        (Tsv, "a\t0\nb\t1\t2\n", 2, "3 fields"),
        (Tsv, "a\t0\n  \t1\n", 2, "the text is empty"),
        (Tsv, "a\t0\nb\t\n", 2, "the label is empty"),
        (Tsv, "a\t0\nb\tgood\n", 2, "\"good\" is not a number"),
        (
            Csv,
            "text,label\n\"a\nb\",0\n\nc,1\n",
            4,
            "the line is empty",
        ),
        (Csv, "text,label\n\"a\nb\",0\nc\n", 4, "1 fields"),
        (Csv, "text,label\na,0\n\"b,1\nc,0\n", 3, "never closed"),
        (
            Csv,
            "text,label\na,0\n\"b\" c,1\n",
            3,
            "goes on after its closing quote",
        ),
        (Csv, "text,label\na,0\n,1\n", 3, "the text is empty"),
        (Csv, "text,label\na,0\n\"\",1\n", 3, "the text is empty"),
        (
            JsonLines,
            "{\"text\": \"a\", \"label\": 0}\n\n{\"text\": \"b\", \"label\": 1}\n",
            2,
            "empty",
        ),
        (
            JsonLines,
            "{\"text\": \"a\", \"label\": 0}\n{\"text\": \"b\"}\n",
            2,
            "has no \"label\"",
        ),
        (
            JsonLines,
            "{\"text\": \"a\", \"label\": 0}\n{\"text\": 3, \"label\": 0}\n",
            2,
            "a number",
        ),
        (
            JsonLines,
            "{\"text\": \"a\", \"label\": [0]}\n",
            1,
            "a list, where one label",
        ),
        (JsonLines, "{\"text\": \"a\", \"label\": null}\n", 1, "null"),
        (
            JsonLines,
            "{\"text\": \"a\", \"label\": 0}\n{\"text\": \"b\"\n",
            2,
            "not a JSON object",
        ),
    ] {
        match open(format, text) {
            Err(TextError::Line {
                line: found,
                fault: it,
                path,
            }) => {
                assert_eq!(
                    (found, it.to_string().contains(fault)),
                    (line, true),
                    "{text:?}: {it}"
                );
                assert!(path.ends_with("lines"));
            }
            other => panic!("{text:?} gave {other:?}"),
        }
    }
    refused(
        JsonLines,
        "[\n{\"text\": \"a\"}]",
        &["a JSON array", "jq -c"],
    );
    for (format, text) in [(Tsv, ""), (Tsv, "\u{feff}"), (JsonLines, "\n\n")] {
        assert!(
            matches!(open(format, text), Err(TextError::Empty { .. })),
            "{text:?}"
        );
    }
}

#[test]
fn quotes_of_tsv_are_asked_where_they_may_mean_either() {
    let text = "sentence\tlabel\n\"good, \"\"very\"\"\"\tpos\nbad\tneg\n";
    refused(Tsv, text, &["data.quotes=true", "data.quotes=false"]);
    let with = |quotes| {
        let options = RowOptions {
            quotes: Some(quotes),
            ..RowOptions::default()
        };
        open_with(Tsv, text, &options)
            .unwrap()
            .train
            .get(0)
            .unwrap()
            .text
    };
    assert_eq!(with(true), "good, \"very\"");
    assert_eq!(with(false), "\"good, \"\"very\"\"\"");
    // Everything is quoted, names too.
    refused(
        Tsv,
        "\"text\"\t\"label\"\n\"a\"\t\"b\"\n",
        &["data.quotes=true"],
    );
    // These can only be part of the texts.
    assert_items(
        Tsv,
        "text\tlabel\n\"a\" b\tx\n\"c\"\ty\n",
        &[("\"a\" b", "x"), ("\"c\"", "y")],
    );
}

#[test]
fn usual_names_are_the_splits_that_they_name() {
    let rows = "text,label\na,x\nb,y\n";
    for (names, valid, test) in [
        (&["train.csv", "dev.csv", "test.csv"][..], true, true),
        (&["Train.CSV", "VAL.csv"], true, false),
        (
            &["training.csv", "validation.csv", "testing.csv"],
            true,
            true,
        ),
        (&["train.csv", "notes.txt", ".hidden.csv"], false, false),
    ] {
        let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, rows)).collect();
        let set = LabelledSet::open(Csv, folder(&files).path(), &RowOptions::default()).unwrap();
        assert_eq!(
            (set.valid.is_some(), set.test.is_some()),
            (valid, test),
            "{names:?}"
        );
        assert!(set.warnings.is_empty(), "{:?}", set.warnings);
    }
    let refused = |names: &[&str], parts: &[&str]| {
        let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, rows)).collect();
        let opened = LabelledSet::open(Csv, folder(&files).path(), &RowOptions::default());
        let message = opened.unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    };
    refused(
        &["train.csv", "val.csv", "valid.csv"],
        &["valid split", "val.csv and valid.csv"],
    );
    refused(
        &["dev.csv", "reviews.csv"],
        &["train.csv", "\"reviews.csv\"", "data.path"],
    );
    refused(&["train.tsv"], &["train.csv", "\"train.tsv\""]);
    refused(
        &["train.csv.gz"],
        &["train.csv.gz, compressed", "gunzip -k "],
    );
    refused(&[], &["no files"]);
    let extra = folder(&[("train.csv", rows), ("more.csv", rows)]);
    let set = LabelledSet::open(Csv, extra.path(), &RowOptions::default()).unwrap();
    assert!(set.warnings[0].contains("more.csv"), "{:?}", set.warnings);
}

#[test]
fn the_training_split_decides_the_classes_of_the_others() {
    let open = |test: &str| {
        let files = [
            ("train.csv", "id,text,label\n1,a,x\n2,b,y\n3,c,x\n"),
            ("test.csv", test),
        ];
        LabelledSet::open(Csv, folder(&files).path(), &RowOptions::default())
    };
    // By name: the order of the columns is the file's own.
    let set = open("label,text\ny,d\nx,e\n").unwrap();
    assert_eq!(
        set.test.as_ref().unwrap().labels().collect::<Vec<_>>(),
        [1, 0]
    );
    assert!(set.warnings.is_empty());
    let warnings = open("text,label\nd,y\n").unwrap().warnings;
    assert!(
        warnings[0].contains("test.csv: no row has the label \"x\""),
        "{warnings:?}"
    );
    let message = open("text,label\nd,y\ne,z\n").unwrap_err().to_string();
    assert!(
        message.contains("test.csv: line 3: no training example has the label \"z\""),
        "{message}"
    );
    assert!(message.contains("\"x\", \"y\""), "{message}");
    let message = open("index,text\n0,d\n").unwrap_err().to_string();
    assert!(
        message.contains("test.csv") && message.contains("`index`"),
        "{message}"
    );
}

#[test]
fn an_sst2_of_another_size_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sst2")).unwrap();
    for name in ["train.tsv", "dev.tsv", "test.tsv"] {
        fs::write(dir.path().join("sst2").join(name), "a\t0\nb\t1\n").unwrap();
    }
    let set = find("sst2").unwrap();
    let message = LabelledSet::published(set, Tsv, dir.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("2 lines where `sst2` has 6920"),
        "{message}"
    );
    assert!(message.contains("the data set `tsv`"), "{message}");
}

#[test]
fn labels_are_kept_apart_as_they_are_written() {
    let open = |labels: &[&str], test: &str| {
        let rows = labels.iter().map(|label| format!("x,{label}\n"));
        let train: String = std::iter::once("text,label\n".to_owned())
            .chain(rows)
            .collect();
        let test = format!("text,label\nd,{test}\n");
        let files = [("train.csv", train.as_str()), ("test.csv", test.as_str())];
        LabelledSet::open(Csv, folder(&files).path(), &RowOptions::default())
    };
    for labels in [
        ["1.1", "1.10", "2.0"],
        ["01", "1", "2"],
        ["1000", "1e3", "2000"],
        ["-0", "0", "1"],
        ["9007199254740992", "9007199254740993", "9007199254740994"],
    ] {
        let set = open(&labels, labels[1]).unwrap();
        assert_eq!(set.class_names, labels);
        assert_eq!(set.test.unwrap().labels().collect::<Vec<_>>(), [1]);
        let is_told = |warning: &String| {
            warning.contains(&format!(
                "{:?} and {:?} are two classes",
                labels[0], labels[1]
            ))
        };
        let is_one_number = labels[0].len() < 10;
        assert_eq!(
            set.warnings.iter().any(is_told),
            is_one_number,
            "{:?}",
            set.warnings
        );
    }
    // As pandas writes a column of which a row was empty.
    let set = open(&["1", "2"], "1.0").unwrap();
    assert_eq!(set.class_names, ["1", "2"]);
    assert_eq!(set.test.unwrap().labels().collect::<Vec<_>>(), [0]);
    assert!(
        set.warnings
            .iter()
            .any(|it| it.contains("test.csv") && it.contains("\"1.0\" for \"1\"")),
        "{:?}",
        set.warnings
    );
    // Which of the two it means, nobody can tell.
    let message = open(&["1", "01", "2"], "1.0").unwrap_err().to_string();
    assert!(message.contains("has the label \"1.0\""), "{message}");
    let message = open(&["9007199254740992", "2"], "9007199254740993")
        .unwrap_err()
        .to_string();
    assert!(message.contains("no training example"), "{message}");
    let json = "{\"text\": \"a\", \"label\": 1.10}\n{\"text\": \"b\", \"label\": 1.1}";
    let set = LabelledSet::open(
        JsonLines,
        folder(&[("a", json)]).path().join("a"),
        &RowOptions::default(),
    );
    assert_eq!(set.unwrap().class_names, ["1.1", "1.10"]);
}

#[test]
fn a_split_in_another_format_is_refused_by_its_file() {
    let rows = "text,label\na,x\nb,y\n";
    let open = |names: &[&str]| {
        let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, rows)).collect();
        LabelledSet::open(Csv, folder(&files).path(), &RowOptions::default())
    };
    for stray in [
        "test.jsonl",
        "test.txt",
        "validation.xlsx",
        "test.tsv",
        "Testing.JSON",
        "dev",
        "test.jsonl.gz",
        "test.csv.bak",
    ] {
        let message = open(&["train.csv", stray]).unwrap_err().to_string();
        assert!(
            message.contains(&format!("found {stray};")),
            "{stray}: {message}"
        );
    }
    // Another form of a split that is read is told.
    let set = open(&["train.csv", "test.csv", "test.tsv", "train.jsonl"]).unwrap();
    assert!(
        set.warnings[0].contains("test.tsv, train.jsonl"),
        "{:?}",
        set.warnings
    );
    let dir = folder(&[("train.csv", rows)]);
    fs::create_dir(dir.path().join("test")).unwrap();
    let refused = LabelledSet::open(Csv, dir.path(), &RowOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("found test;"), "{refused}");
    #[cfg(unix)]
    {
        let dir = folder(&[("train.csv", rows)]);
        let link = dir.path().join("test.csv");
        std::os::unix::fs::symlink("nowhere", link).unwrap();
        let refused = LabelledSet::open(Csv, dir.path(), &RowOptions::default()).unwrap_err();
        assert!(refused.to_string().contains("test.csv"), "{refused}");
    }
}

#[test]
fn names_of_columns_below_the_first_line_are_refused() {
    for (format, text, line) in [
        (
            Csv,
            "text,label\na,x\n\"b\nc\",y\ntext,label\nd,x\n",
            "line 5",
        ),
        (
            Csv,
            "id,text,label\n1,a,x\n2,b,y\n\u{feff}id,Text, label\n1,c,x\n",
            "line 4",
        ),
        (Tsv, "text\tlabel\na\tx\ntext\tlabel\nb\ty\n", "line 3"),
        (Csv, "a,x\nb,x\nc,y\ntext,label\nd,y\n", "line 4"),
    ] {
        refused(format, text, &[line, "names the columns"]);
    }
    let joined = "phrase,mood\na,x\nb,y\nphrase,mood\nc,x\n";
    let message = open_with(Csv, joined, &named("phrase", "mood"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("line 4"), "{message}");
    // A text of one word is none.
    open(Csv, "text,label\ntext,x\nb,y\n").unwrap();
}

#[test]
fn what_is_no_table_says_what_it_is() {
    for format in [Csv, Tsv] {
        let names = ["text,label\n", "text\tlabel\n"][usize::from(format == Tsv)];
        refused(format, names, &["a line of names and no rows"]);
    }
    let separated = "is it separated by something else?";
    refused(
        Csv,
        "text;label\ngood, very;pos\nbad;neg\n",
        &["line 2", "2 fields", separated],
    );
    refused(
        Csv,
        "text|label\ngood, very|pos\nbad|neg\n",
        &["line 2", separated],
    );
    refused(
        Csv,
        "good, very;pos\nbad, really;neg\n",
        &["2 columns", separated],
    );
    refused(Tsv, "text,label\ngood\tvery,pos\n", &["line 2", separated]);
    // A semicolon of a text is no separator.
    let message = open(Csv, "text,label\na; b,x\nc\n")
        .unwrap_err()
        .to_string();
    assert!(!message.contains(separated), "{message}");
}

#[test]
fn a_line_of_json_is_wrong_in_one_place() {
    let good = "{\"text\": \"a\", \"label\": 0}\n";
    let broken = format!("{good}{good}{{\"text\": \"b\" \"label\": 1}}\n");
    let message = open(JsonLines, &broken).unwrap_err().to_string();
    assert!(
        message.contains("line 3: not a JSON object") && message.ends_with("at column 14"),
        "{message}"
    );
    assert_eq!(message.matches("line ").count(), 1, "{message}");
    for twice in [
        "{\"text\": \"b\", \"label\": 1, \"label\": 0}",
        "{\"text\": \"b\", \"l\\u0061bel\": 1, \"label\": 1}",
    ] {
        refused(
            JsonLines,
            &format!("{good}{twice}\n"),
            &["line 2", "\"label\" twice"],
        );
    }
    refused(
        JsonLines,
        "{\"text\": \"b\", \"id\": 1, \"id\": 2, \"label\": 0}\n",
        &["line 1", "\"id\" twice"],
    );
}
