//! `zoo compare` as a user runs it, on the CPU backends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "flex", feature = "ndarray"))]

mod common;

use std::fs;
use std::path::Path;

use common::{fail, succeed, zoo};
use serde_json::Value;

fn report(folder: &Path, arguments: &[&str]) -> Value {
    let out = succeed(folder, &[&["compare", "--json"], arguments].concat());
    serde_json::from_str(&out).unwrap()
}

fn agreement(report: &Value, subject: usize, column: usize) -> &Value {
    &report["subjects"][subject]["results"][column]["agreement"]
}

#[test]
fn all_families_agree_down_to_the_layers() {
    let folder = tempfile::tempdir().unwrap();
    for (preset, layer) in [
        ("intr*", "layers.0"),
        ("lenet5", "conv1"),
        ("pytorch_mnist", "conv2"),
        ("resnet20", "layer2.0.conv1"),
    ] {
        let small = ["--steps", "2", "--measure", "agreement"];
        let which = ["--models", preset, "--backends", "flex,ndarray"];
        let report = report(folder.path(), &[&which[..], &small].concat());
        assert_eq!(report["subjects"].as_array().unwrap().len(), 1);
        for column in 0..2 {
            let agreement = agreement(&report, 0, column);
            assert_ne!(agreement["verdict"], "departs", "{preset}: {agreement}");
            let layers = agreement["layers"].as_array().unwrap();
            assert!(
                layers.iter().any(|row| row["name"] == layer),
                "{preset}: {layers:?}"
            );
            assert!(agreement["gradients"].as_array().unwrap().len() >= 4);
        }
        let check = &report["subjects"][0]["reference"]["check"];
        assert!(check["worst"].as_f64().unwrap() < 1.0, "{preset}: {check}");
    }
}

/// Burn 0.22.1's gradient of GELU is that of the tanh approximation on ndarray, which a comparison
/// found in this very model; ours is taken apart, and the two agree.
#[test]
fn a_decoder_agrees_gelu_and_cache_included() {
    let folder = tempfile::tempdir().unwrap();
    let which = ["--models", "sums", "--backends", "flex,ndarray"];
    let small = ["--steps", "2", "--measure", "agreement"];
    let report = report(folder.path(), &[&which[..], &small].concat());
    for column in [0, 1] {
        let one = agreement(&report, 0, column);
        assert_eq!(one["verdict"], "agrees", "{one}");
        let layers = one["layers"].as_array().unwrap();
        assert!(layers.iter().any(|row| row["name"] == "h.0.attn.c_attn"));
        // A decoder with its cache gives what the full pass gives.
        let quantities = one["quantities"].as_array().unwrap();
        assert!(quantities.iter().any(|one| one["name"] == "decoding"));
    }
    let check = &report["subjects"][0]["reference"]["check"];
    assert!(check["worst"].as_f64().unwrap() < 1.0, "{check}");
}

#[test]
fn types_and_threads_are_columns_and_what_cannot_be_is_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let report = report(
        folder.path(),
        &[
            "mlp-glyphs",
            "--backends",
            "flex,ndarray",
            "--dtype",
            "f32,bf16",
            "--threads",
            "1",
            "--steps",
            "2",
            "--measure",
            "agreement",
        ],
    );
    let results = report["subjects"][0]["results"].as_array().unwrap();
    let names: Vec<&str> = results
        .iter()
        .map(|one| one["column"].as_str().unwrap())
        .collect();
    let expected = [
        "flex 1 thread",
        "flex bf16 1 thread",
        "ndarray 1 thread",
        "ndarray bf16 1 thread",
    ];
    assert_eq!(names, expected);
    assert_ne!(results[1]["agreement"]["verdict"], "departs");
    // ndarray has no bf16: said, not failed.
    assert_eq!(results[3]["failure"]["kind"], "unsupported");
}

#[test]
fn a_run_leaves_its_report_and_later_runs_are_held_against_it() {
    let folder = tempfile::tempdir().unwrap();
    let quick = [
        "compare",
        "mlp-glyphs",
        "--backends",
        "ndarray,flex",
        "--steps",
        "2",
        "--rounds",
        "5",
        "--batch",
        "4",
        "--measure",
        "agreement,speed",
    ];
    let table = succeed(
        folder.path(),
        &[&quick[..], &["--baseline", "flex"]].concat(),
    );
    assert!(table.contains("flex") && table.contains("agree"), "{table}");
    let out = folder.path().join("comparison");
    let first: Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    // The base that was asked for is first, and has no ratio.
    let results = &first["subjects"][0]["results"];
    assert_eq!(results[0]["column"], "flex");
    assert!(results[0]["speed"][0]["ratio"].is_null());
    assert!(results[1]["speed"][0]["ratio"]["value"].is_number());
    let mut files: Vec<String> = (fs::read_dir(&out).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        ["report.csv", "report.html", "report.json", "report.md"]
    );

    let before = folder.path().join("before.json");
    fs::rename(out.join("report.json"), &before).unwrap();
    let before = before.to_str().unwrap();
    // Another load on the machine may be a regression: what is checked is that all is compared.
    let again = zoo(
        folder.path(),
        &[&quick[..], &["--json", "--baseline", before]].concat(),
    );
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["baseline"]["file"], before);
    assert!(again["baseline"]["compared"].as_u64().unwrap() >= 8);

    let page = folder.path().join("board.html");
    let merged = [
        "compare",
        "merge",
        before,
        before,
        "--out",
        page.to_str().unwrap(),
    ];
    succeed(folder.path(), &merged);
    assert!(fs::read_to_string(page).unwrap().contains("mlp-glyphs"));
}

#[test]
fn a_recipe_is_run_to_its_end_on_each_backend() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "mlp-glyphs",
        "--backends",
        "flex,ndarray",
        "--measure",
        "convergence",
    ];
    let report = report(folder.path(), &arguments);
    for column in 0..2 {
        let run = &report["subjects"][0]["results"][column]["convergence"];
        assert_eq!(run["metric"], "test.accuracy");
        assert_eq!(run["met"], true, "{run}");
        assert!(run["losses"].as_array().unwrap().len() > 10);
    }
}

#[test]
fn a_breach_ends_with_status_1_and_a_wrong_request_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let quick = [
        "compare",
        "mlp-glyphs",
        "--steps",
        "1",
        "--measure",
        "agreement",
    ];
    let with = |more: &[&'static str]| [&quick[..], more].concat();
    let breach = with(&["--backends", "flex", "--tolerance", "outputs=1e-12"]);
    let error = fail(folder.path(), &breach, 1);
    assert!(error.contains("bound"), "{error}");
    for (more, part) in [
        (vec![], "--backends flex"),
        (vec!["--backends", "flexx"], "did you mean flex?"),
        (vec!["--backends", "flex,flex"], "twice"),
        (
            vec!["--backends", "flex", "--tolerance", "grads=1"],
            "gradients",
        ),
        (vec!["--backends", "flex", "--dtype", "f8"], "bf16"),
        (
            vec!["--backends", "flex", "--baseline", "none.json"],
            "none.json",
        ),
    ] {
        let error = fail(folder.path(), &with(&more), 2);
        assert!(error.contains(part), "{error}");
    }
    let error = fail(
        folder.path(),
        &["compare", "--models", "nosuch*", "--backends", "flex"],
        2,
    );
    assert!(error.contains("resnet18"), "{error}");
}

/// Reports are written whole, beside their place under a name that nothing else has: a link that
/// somebody left where an older program wrote first is not followed.
#[cfg(unix)]
#[test]
fn reports_are_written_whole_and_through_no_link() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("profile");
    fs::write(&victim, "mine").unwrap();
    let link = |path: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&victim, path).unwrap();
    };
    let train = ["train", "--steps", "1", "--no-report", "--quiet"];
    succeed(folder.path(), &train);
    link("runs/mlp-glyphs-flex-1/.report.html.part");
    link("runs/mlp-glyphs-flex-1/report.html");
    succeed(folder.path(), &["report", "runs/mlp-glyphs-flex-1"]);
    link("comparison/report.part");
    link("comparison/report.json");
    let quick = ["--steps", "1", "--measure", "agreement", "--quiet"];
    let which = ["compare", "mlp-glyphs", "--backends", "flex"];
    succeed(folder.path(), &[&which[..], &quick].concat());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    for path in [
        "runs/mlp-glyphs-flex-1/report.html",
        "comparison/report.json",
    ] {
        let path = folder.path().join(path);
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
        assert!(fs::metadata(&path).unwrap().len() > 1000, "{path:?}");
    }
}

/// Columns that only have to do the same work are held against the first; PyTorch is handed what it takes to
/// compute with the original's own code.
#[cfg(unix)]
#[test]
fn parity_holds_columns_against_the_first_and_hands_out_originals() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    // Keeps what it is given, and says that it cannot.
    let python = folder.path().join("python");
    let script = "#!/bin/sh\ncp -r \"$(dirname \"$2\")\" seen-by-python\n\
                  echo '{\"event\":\"failed\",\"kind\":\"unsupported\",\"message\":\"no PyTorch\"}'\n";
    fs::write(&python, script).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let python = python.to_str().unwrap();
    let which = [
        "--models",
        "vit_tiny_patch16_224",
        "--backends",
        "flex,ndarray",
    ];
    let small = ["--steps", "1", "--measure", "parity", "--batch", "own"];
    let report = report(
        folder.path(),
        &[&which[..], &small, &["--python", python]].concat(),
    );
    for column in 0..2 {
        let agreement = agreement(&report, 0, column);
        assert_eq!(agreement["verdict"], "agrees", "{agreement}");
        let quantities = agreement["quantities"].as_array().unwrap().iter();
        let names: Vec<&Value> = quantities.map(|quantity| &quantity["name"]).collect();
        assert_eq!(names, ["outputs", "loss"]);
    }
    let subject = &report["subjects"][0];
    assert_eq!(
        (&subject["library"], &subject["recipe"]),
        (&"timm".into(), &false.into())
    );
    assert_eq!(subject["results"][2]["failure"]["kind"], "unsupported");

    let seen = folder.path().join("seen-by-python");
    let spec = fs::read_to_string(seen.join("column-2.json")).unwrap();
    let spec: Value = serde_json::from_str(&spec).unwrap();
    let original = &spec["original"];
    assert_eq!(original["config"]["architecture"], "vit_tiny_patch16_224");
    assert_eq!(original["config"]["library"], "timm");
    let weights = fs::read(seen.join(original["weights"].as_str().unwrap())).unwrap();
    let weights = safetensors::SafeTensors::deserialize(&weights).unwrap();
    assert!(weights.tensor("blocks.0.attn.qkv.weight").is_ok());
}

/// Of all recipes, those are compared that can run: here, on built-in data.
#[test]
fn all_recipes_are_those_whose_data_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["--steps", "1", "--measure", "parity", "--data-dir", "."];
    let report = report(
        folder.path(),
        &[&["all", "--backends", "flex"][..], &small].concat(),
    );
    let subjects = report["subjects"].as_array().unwrap().iter();
    let names: Vec<&str> = subjects
        .map(|subject| subject["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"mlp-glyphs") && names.contains(&"gpt-sums"),
        "{names:?}"
    );
    assert!(
        !names.contains(&"mlp-mnist") && !names.contains(&"finetune-head"),
        "{names:?}"
    );
}
