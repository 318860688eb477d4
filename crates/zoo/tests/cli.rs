//! The program as a user meets it: what it prints, what it writes, and how it refuses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use std::fs;
use std::path::Path;

use common::{fail, succeed, write_cifar10, write_folder, zoo};
use serde_json::Value;

const QUICK: &[&str] = &["--set", "train.epochs=1", "--set", "train.batch_size=256"];

fn with<'a>(start: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [start, more].concat()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).unwrap()
}

#[test]
fn training_writes_a_run_that_eval_and_predict_use() {
    let folder = tempfile::tempdir().unwrap();
    let out = succeed(folder.path(), &with(&["train", "--json"], QUICK));
    let events = json_lines(&out);
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("start", "finish"));
    assert!(kinds.contains(&"step") && kinds.contains(&"epoch") && kinds.contains(&"checkpoint"));
    let finish = events.last().unwrap();
    let accuracy = finish["metrics"]["test.accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.15, "an epoch beats chance: {accuracy}");
    assert_eq!(finish["steps"], 47);
    assert!(
        finish["wall_seconds"].as_f64().unwrap() > 0.0
            && finish["samples_per_second"].as_f64().unwrap() > 0.0
    );

    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    for file in [
        "recipe.toml",
        "run.json",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "checkpoints/47/manifest.json",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    assert_eq!(
        json_lines(&fs::read_to_string(run.join("metrics.jsonl")).unwrap()),
        events
    );
    let recipe = fs::read_to_string(run.join("recipe.toml")).unwrap();
    assert!(
        recipe.contains("batch_size = 256") && recipe.contains("widths = ["),
        "{recipe}"
    );

    let out = succeed(folder.path(), &["eval", "runs/mlp-glyphs-flex-1", "--json"]);
    let eval = &json_lines(&out)[0];
    assert_eq!(
        eval["metrics"]["accuracy"].as_f64().unwrap(),
        accuracy,
        "eval repeats train's own test"
    );

    let rounded = ["eval", "runs/mlp-glyphs-flex-1", "--int8", "--json"];
    let metrics = json_lines(&succeed(folder.path(), &rounded))[0]["metrics"].clone();
    let loss = |metrics: &Value| metrics["loss"].as_f64().unwrap();
    let cost = (loss(&metrics) - loss(&eval["metrics"])).abs();
    assert!(cost > 0.0 && cost < 0.01, "8-bit weights cost {cost} nats");

    write_folder(&folder.path().join("pictures"), 2);
    let out = succeed(
        folder.path(),
        &[
            "predict",
            "runs/mlp-glyphs-flex-1",
            "pictures/test/dark/0.png",
            "--json",
            "--top",
            "10",
        ],
    );
    let classes = json_lines(&out)[0]["classes"].as_array().unwrap().clone();
    let total: f64 = classes
        .iter()
        .map(|class| class["probability"].as_f64().unwrap())
        .sum();
    assert!(
        classes.len() == 10 && (total - 1.0).abs() < 1e-4,
        "{classes:?}"
    );

    // A resolved recipe is a recipe: it trains the same again.
    let again = with(
        &[
            "train",
            "runs/mlp-glyphs-flex-1/recipe.toml",
            "--out",
            "again",
            "--quiet",
        ],
        &[],
    );
    succeed(folder.path(), &again);
    assert_eq!(
        weights(&folder.path().join("again/mlp-glyphs-flex-1")),
        weights(&run)
    );
}

#[test]
fn the_same_command_gives_the_same_weights_whatever_the_number_of_loader_threads() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&folder.path().join("pictures"), 24);
    let resnet = [
        "train",
        "resnet20-folder",
        "--steps",
        "6",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=image-folder",
        "--set",
        "data.path=pictures",
        "--set",
        "data.cutout=3",
        "--set",
        "train.batch_size=8",
        "--set",
        "train.ema_decay=0.9",
        "--quiet",
    ];
    let mlp = with(
        &[
            "train",
            "--quiet",
            "--set",
            "model.dropout=0.2",
            "--steps",
            "60",
        ],
        &[],
    );
    let sums = [
        "train",
        "gpt-sums",
        "--steps",
        "8",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "model.dropout=0.1",
        "--quiet",
    ];
    for (command, name) in [
        (&resnet[..], "resnet20-folder"),
        (&mlp, "mlp-glyphs"),
        (&sums, "gpt-sums"),
    ] {
        let run = |number: usize, threads: &str| {
            let threads = format!("train.loader_threads={threads}");
            succeed(folder.path(), &with(command, &["--set", &threads]));
            weights(&folder.path().join(format!("runs/{name}-flex-{number}")))
        };
        let first = run(1, "1");
        assert!(first == run(2, "1"), "{name}: twice the same command");
        assert!(first == run(3, "3"), "{name}: three loader threads");
        succeed(folder.path(), &with(command, &["--seed", "2"]));
        assert!(
            first != weights(&folder.path().join(format!("runs/{name}-flex-4"))),
            "{name}: another seed"
        );
    }
}

#[test]
fn a_decoder_samples_and_repeats_itself_by_seed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("book.txt"),
        "the cat sat on the mat. ".repeat(200),
    )
    .unwrap();
    let small = [
        "train",
        "gpt-shakespeare",
        "--set",
        "data.name=chars",
        "--set",
        "data.path=book.txt",
        "--set",
        "model.width=16",
        "--set",
        "model.context=16",
        "--set",
        "model.num_layers=1",
        "--steps",
        "150",
        "--set",
        "train.validate_every_steps=75",
        "--set",
        "optimizer.learning_rate=0.01",
        "--json",
    ];
    let out = succeed(folder.path(), &small);
    let loss = json_lines(&out).last().unwrap()["metrics"]["valid.loss"]
        .as_f64()
        .unwrap();
    assert!(loss < 1.0, "a sentence repeated is learned: {loss}");
    let sample = |more: &[&str]| {
        let start = [
            "sample",
            "runs/gpt-shakespeare-flex-1",
            "--prompt",
            "the ",
            "--tokens",
            "40",
        ];
        succeed(folder.path(), &with(&start, more))
    };
    let text = sample(&["--seed", "3"]);
    assert!(
        text.starts_with("the ") && text.trim_end_matches('\n').chars().count() == 44,
        "{text:?}"
    );
    assert_eq!(text, sample(&["--seed", "3"]));
    assert!(
        sample(&["--temperature", "0"]).contains("the cat"),
        "the likeliest text is the book's"
    );
    // A prompt that fills the context is read whole; of a longer one, it is said what is read.
    let said = |prompt: &str| {
        let line = ["sample", "runs/gpt-shakespeare-flex-1", "--prompt", prompt];
        let output = zoo(folder.path(), &with(&line, &["--tokens", "3"]));
        assert!(output.status.success() && output.stdout.starts_with(prompt.as_bytes()));
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(said("the cat sat on t"), "");
    let warning = "warning: the prompt has 17 tokens, and the model sees 16 at once: it goes on from \
                   the last 16\n";
    assert_eq!(said("the cat sat on th"), warning);
    let error = fail(
        folder.path(),
        &["sample", "runs/gpt-shakespeare-flex-1", "--prompt", "Q"],
        2,
    );
    assert!(error.contains("--prompt") && error.contains('Q'), "{error}");
    let error = fail(
        folder.path(),
        &["predict", "runs/gpt-shakespeare-flex-1", "the"],
        2,
    );
    assert!(error.contains("decoder"), "{error}");
}

#[test]
fn show_and_list_tell_what_exists() {
    let folder = tempfile::tempdir().unwrap();
    let show = |model: &str, more: &[&str]| {
        let out = succeed(folder.path(), &with(&["show", model, "--json"], more));
        let value = json_lines(&out).remove(0);
        (
            value["summary"]["parameters"].as_u64().unwrap(),
            value["summary"]["multiply_adds"].as_u64().unwrap(),
        )
    };
    assert_eq!(show("mlp", &[]), (101_770, 101_632));
    assert_eq!(show("lenet5", &[]), (61_706, 416_520));
    assert_eq!(show("convnet", &[]), (1_199_882, 11_992_448));
    assert_eq!(show("resnet18", &[]), (11_689_512, 1_814_073_344));
    assert_eq!(
        show("resnet18", &["--set", "num_classes=10"]).0,
        11_689_512 - 990 * 513
    );
    let text = succeed(folder.path(), &["show", "resnet20"]);
    assert!(
        text.contains("layer1.0.conv1") && text.contains("[1, 16, 32, 32]"),
        "{text}"
    );

    let lists: Value = json_lines(&succeed(folder.path(), &["list", "--json"])).remove(0);
    for (list, name) in [
        ("models", "resnet"),
        ("recipes", "encoder-sst2"),
        ("datasets", "cifar10"),
        ("backends", "wgpu"),
    ] {
        let rows = lists[list].as_array().unwrap();
        assert!(
            rows.iter().any(|row| row["name"] == name),
            "{list} has {name}"
        );
    }
    for recipe in lists["recipes"].as_array().unwrap() {
        let about = recipe["about"].as_str().unwrap();
        assert!(
            recipe["expects"].is_string() != about.ends_with("no claim yet"),
            "every recipe states what it expects, or that it claims nothing: {recipe}"
        );
    }
}

#[test]
fn doctor_finds_the_default_backend_working() {
    let folder = tempfile::tempdir().unwrap();
    let report = json_lines(&succeed(folder.path(), &["doctor", "--json"])).remove(0);
    assert_eq!(report["default_backend"], "flex");
}

#[test]
fn a_wrong_request_is_refused_with_what_to_do_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["train", "mlp-glyfs"],
            &["unknown recipe", "did you mean mlp-glyphs?"],
        ),
        (&["train", "nosuch.toml"], &["nosuch.toml"]),
        (&["train", "--backend", "flux"], &["flux", "flex"]),
        (&["train", "--backend", "flex:7"], &["flex", "7"]),
        (
            &["train", "--set", "model.name=lennet"],
            &["unknown model", "did you mean lenet?"],
        ),
        (
            &["train", "--set", "model={name=\"vgg\",in_channels=1}"],
            &["takes images of 32x32 or more", "resnet20"],
        ),
        (
            &["show", "vgg11_bn", "--size", "8"],
            &["--size 8", "32 or more"],
        ),
        (&["parity", "nano", "--python", "python3"], &["no original"]),
        (
            &["train", "--set", "model.preset=intros"],
            &["did you mean intro?"],
        ),
        (
            &["train", "--set", "model.dropuot=0.1"],
            &["model.dropuot", "did you mean dropout?"],
        ),
        (
            &["train", "--set", "model.dropout=2"],
            &["model.dropout", "2"],
        ),
        (
            &["train", "--set", "train.bach_size=3"],
            &["train.bach_size", "did you mean batch_size?"],
        ),
        (
            &["train", "--set", "train.batch_size=0"],
            &["train.batch_size = 0", "1 or more"],
        ),
        (
            &["train", "--set", "optimizer.learning_rate=-1"],
            &["optimizer.learning_rate = -1"],
        ),
        (
            &["train", "--set", "data.name=glyph"],
            &["unknown data set", "did you mean glyphs?"],
        ),
        (&["train", "--set", "data.std=0"], &["data.std"]),
        (
            &["train", "--set", "data.std=[0]"],
            &["data.std", "above 0"],
        ),
        (
            &["train", "--set", "data.validation=12000"],
            &["data.validation = 12000", "12000"],
        ),
        (
            &["train", "--set", "train.patience=3"],
            &["train.patience", "data.validation"],
        ),
        (&["train", "--set", "batch"], &["--set batch", "KEY=VALUE"]),
        (
            &["train", "--set", "model.widths=[100,10]"],
            &["takes 100 values", "1x28x28", "784"],
        ),
        (
            &["train", "--set", "model.widths=[784,9]"],
            &["9 outputs", "10 classes"],
        ),
        (
            &["train", "gpt-sums", "--set", "data={name=\"glyphs\"}"],
            &["learns to continue text", "to classify images"],
        ),
        (
            &["train", "mlp-glyphs", "--set", "data={name=\"sums\"}"],
            &["learns to classify images", "text"],
        ),
        (
            &["train", "gpt-sums", "--set", "model.context=4"],
            &["4 positions", "model.context"],
        ),
        (
            &["train", "gpt-sums", "--set", "model.num_heads=5"],
            &["model.num_heads"],
        ),
        (
            &["train", "gpt-sums", "--set", "data.digits=9"],
            &["digits", "9"],
        ),
        (
            &["train", "mlp-mnist"],
            &["train-images", "data fetch mnist"],
        ),
        (
            &["train", "resnet20-cifar10"],
            &["cifar10", "data fetch cifar10"],
        ),
        (
            &["train", "gpt-shakespeare"],
            &["input.txt", "data fetch tinyshakespeare"],
        ),
        (
            &["train", "encoder-sst2"],
            &["train.tsv", "data fetch sst2"],
        ),
        (&["train", "--resume"], &["no unfinished run", "resume"]),
        (
            &["show", "resnet19"],
            &["unknown model", "did you mean resnet18?"],
        ),
        (&["eval", "runs/none"], &["runs/none", "finished run"]),
        (
            &["data", "fetch", "mnits"],
            &["unknown data set", "did you mean mnist?"],
        ),
        (&["data", "fetch", "glyphs"], &["built in"]),
        (
            &["weights", "fetch", "resnet51"],
            &["unknown weights", "did you mean resnet50?"],
        ),
        (&["weights", "fetch"], &["name the weights", "weights list"]),
    ];
    for (arguments, expected) in cases {
        let error = fail(folder.path(), arguments, 2);
        for part in *expected {
            assert!(
                error.contains(part),
                "zoo {arguments:?} should say {part:?}: {error}"
            );
        }
    }
    assert!(!folder.path().join("runs").exists(), "nothing was made");
    assert_eq!(zoo(folder.path(), &["nosuch"]).status.code(), Some(2));
}

#[test]
fn weights_are_listed_with_what_is_there_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let own = data.join("weights/bert-tiny");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("tokenizer.json"), b"{}").unwrap();
    let data = data.to_str().unwrap();
    let list = ["weights", "list", "--json", "--data-dir", data];
    let rows = json_lines(&succeed(folder.path(), &list));
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("bert-tiny")["state"], "there in part");
    let resnet = row("resnet50-v2");
    assert_eq!(
        (&resnet["preset"], &resnet["model"]),
        (&"resnet50".into(), &"resnet".into())
    );
    assert_eq!(resnet["state"], "can be fetched");
    assert_eq!(resnet["size_bytes"][1], 102_540_417);
    let table = succeed(folder.path(), &["weights", "list", "--data-dir", data]);
    assert!(
        table.contains("resnet50-v2") && table.contains("BSD-3-Clause"),
        "{table}"
    );

    // What was never fetched is a fault only if it is named.
    let verify = ["weights", "verify", "--data-dir", data];
    let error = fail(folder.path(), &verify, 1);
    assert!(
        error.contains("weights fetch bert-tiny") && !error.contains("resnet"),
        "{error}"
    );
    let error = fail(folder.path(), &with(&verify, &["resnet18"]), 1);
    assert!(error.contains("weights fetch resnet18"), "{error}");
}

#[test]
fn a_backend_that_is_not_built_in_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = fail(folder.path(), &["train", "--backend", "rocm"], 2);
    assert!(
        error.contains("rocm") && error.contains("--backend rocm"),
        "{error}"
    );
}

#[test]
fn damaged_data_is_named_and_no_run_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], expected: &[&str]| {
        let error = fail(folder.path(), arguments, 2);
        for part in expected {
            assert!(
                error.contains(part),
                "zoo {arguments:?} should say {part:?}: {error}"
            );
        }
        let runs: Vec<_> = fs::read_dir(folder.path().join("runs"))
            .into_iter()
            .flatten()
            .collect();
        assert!(runs.is_empty(), "zoo {arguments:?} left {runs:?}");
    };
    let cifar = [
        "train",
        "resnet20-cifar10",
        "--steps",
        "1",
        "--set",
        "data.validation=0",
    ];
    write_cifar10(&folder.path().join("data"), 4);
    let batch = folder.path().join("data/cifar10/data_batch_3.bin");
    let whole = fs::read(&batch).unwrap();
    fs::write(&batch, &whole[..whole.len() - 5]).unwrap();
    check(&cifar, &["data_batch_3.bin"]);
    fs::write(&batch, [&[11], &whole[1..]].concat()).unwrap();
    check(&cifar, &["data_batch_3.bin", "11"]);

    write_folder(&folder.path().join("pictures"), 3);
    let own = [
        "train",
        "resnet20-folder",
        "--steps",
        "3",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=image-folder",
        "--set",
        "data.path=pictures",
        "--set",
        "train.batch_size=6",
    ];
    fs::write(
        folder.path().join("pictures/train/light/2.png"),
        "no picture",
    )
    .unwrap();
    check(&own, &["light", "2.png"]);
    fs::remove_dir_all(folder.path().join("pictures/test/dark")).unwrap();
    check(&own, &["dark"]);

    let tsv = [
        "train",
        "encoder-sst2",
        "--steps",
        "1",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "data.name=tsv",
        "--set",
        "data.path=reviews",
    ];
    let reviews = folder.path().join("reviews");
    fs::create_dir(&reviews).unwrap();
    let write = |train: &[u8]| {
        fs::write(reviews.join("train.tsv"), train).unwrap();
        fs::write(reviews.join("dev.tsv"), "good\t1\n").unwrap();
        fs::write(reviews.join("test.tsv"), "bad\t0\n").unwrap();
    };
    write(b"good film\t1\nbad film 0\n");
    check(&tsv, &["train.tsv", "2"]);
    write(b"good film\t1\nbad film\tx\n");
    check(&tsv, &["train.tsv", "2"]);
    write(b"");
    check(&tsv, &["train.tsv"]);
    write(b"good \xff film\t1\n");
    check(&tsv, &["train.tsv", "UTF-8"]);

    fs::write(folder.path().join("book.txt"), b"abc\xffdef").unwrap();
    let book = [
        "train",
        "gpt-shakespeare",
        "--set",
        "data.name=chars",
        "--set",
        "data.path=book.txt",
    ];
    check(&book, &["book.txt", "UTF-8"]);
}

#[test]
fn an_unwritable_output_folder_is_a_wrong_request() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = fail(folder.path(), &["train", "--out", "file/runs"], 2);
    assert!(error.contains("file/runs"), "{error}");
}

#[test]
fn divergence_stops_the_run_and_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let command = [
        "train",
        "--quiet",
        "--set",
        "task.loss=mean-squared-error",
        "--set",
        "optimizer.learning_rate=0.2",
        "--set",
        "optimizer.momentum=0.99",
        "--set",
        "train.checkpoint_every_steps=1",
        "--set",
        "data.std=[0.001]",
    ];
    let error = fail(folder.path(), &command, 1);
    for part in [
        "the loss became",
        "at step",
        "learning rate 2.000e-1",
        "gradient norm",
        "last good checkpoint",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(
        report.contains("warning failure\">the loss became"),
        "{report}"
    );
    let checkpoints = run.join("checkpoints");
    let kept: Vec<_> = fs::read_dir(checkpoints).unwrap().collect();
    assert!(!kept.is_empty(), "the last good checkpoint is there");
    assert!(!run.join("model.safetensors").exists());
}

#[test]
#[cfg(unix)]
fn a_reader_who_goes_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = format!(
        "{} train --steps 20 --json 2>said | true; {} list --json 2>>said | true",
        env!("CARGO_BIN_EXE_zoo"),
        env!("CARGO_BIN_EXE_zoo")
    );
    let mut shell = std::process::Command::new("sh");
    let status = shell
        .args(["-c", &pipe])
        .current_dir(folder.path())
        .status();
    assert!(status.unwrap().success());
    let said = fs::read_to_string(folder.path().join("said")).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    assert!(run.join("model.safetensors").is_file(), "the work is done");
}

#[test]
fn logs_hold_the_run_from_its_first_step_to_its_result() {
    let folder = tempfile::tempdir().unwrap();
    succeed(
        folder.path(),
        &[
            "train",
            "--steps",
            "20",
            "--log",
            "tensorboard,csv",
            "--quiet",
        ],
    );
    let run = folder.path().join("runs/mlp-glyphs-flex-1");
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let has = |start: &str| table.lines().any(|line| line.starts_with(start));
    assert!(has("step,epoch,split,metric,value"), "{table}");
    assert!(
        has("10,") && has("20,") && table.contains(",train,loss,"),
        "{table}"
    );
    assert!(table.contains(",test,accuracy,"), "{table}");
    let files: Vec<_> = fs::read_dir(run.join("tensorboard")).unwrap().collect();
    let [Ok(file)] = &files[..] else {
        panic!("one event file: {files:?}")
    };
    let bytes = fs::read(file.path()).unwrap();
    let holds = |tag: &str| bytes.windows(tag.len()).any(|part| part == tag.as_bytes());
    assert!(holds("train/loss") && holds("test/accuracy"));
}

#[test]
fn runs_are_listed_compared_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", "--steps", "10", "--quiet"];
    succeed(folder.path(), &train);
    succeed(folder.path(), &[&train[..], &["--seed", "2"]].concat());
    let list = succeed(folder.path(), &["runs"]);
    let rows: Vec<&str> = list.lines().collect();
    assert_eq!(rows.len(), 3, "{list}");
    assert!(
        rows[1].starts_with("mlp-glyphs-flex-2") && rows[1].contains("finished"),
        "{list}"
    );
    let json: Value = serde_json::from_str(&succeed(folder.path(), &["runs", "--json"])).unwrap();
    assert_eq!(json[1]["recipe"], "mlp-glyphs");
    let (a, b) = ("runs/mlp-glyphs-flex-1", "runs/mlp-glyphs-flex-2");
    let differs = succeed(folder.path(), &["runs", "diff", a, b]);
    assert!(
        differs.contains("train.seed") && differs.contains("1 -> 2"),
        "{differs}"
    );

    let page = folder.path().join(a).join("report.html");
    let first = fs::read_to_string(&page).unwrap();
    fs::remove_file(&page).unwrap();
    let said = succeed(folder.path(), &["report", a]);
    assert!(said.contains("report.html"), "{said}");
    assert_eq!(fs::read_to_string(&page).unwrap(), first);
    for part in [
        "Worst mistakes",
        "What an answer depends on",
        "data:image/png",
    ] {
        assert!(first.contains(part), "{part}");
    }
    let error = fail(folder.path(), &["report", "runs/nosuch"], 2);
    assert!(
        error.contains("runs/nosuch") && error.contains("must be a run folder"),
        "{error}"
    );
}
