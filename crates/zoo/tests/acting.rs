//! What strangers' files make the program do: nothing that was not asked for. No connection, no
//! program, no command to the terminal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{fail, succeed};
use serde_json::{Value, json};

/// A short run of the default recipe, with a checkpoint.
fn trained(folder: &Path) -> PathBuf {
    let every = "train.checkpoint_every_steps=1";
    let arguments = [
        "train",
        "--steps",
        "2",
        "--quiet",
        "--no-report",
        "--set",
        every,
    ];
    succeed(folder, &arguments);
    folder.join("runs/mlp-glyphs-flex-1")
}

/// Changes a JSON file.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut json = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

#[test]
fn a_record_names_no_machine_to_connect_to() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("remote:ws://{}", listener.local_addr().unwrap());
    let resume = [
        "train",
        "--resume",
        "runs/mlp-glyphs-flex-1",
        "--steps",
        "4",
    ];
    let resume = [&resume[..], &["--allow-changed", "train.steps"]].concat();
    for (devices, part) in [
        (vec![&*address], "--devices"),
        (vec!["flex", &address], "--devices"),
        (vec!["remote"], "--devices"),
        (vec![&format!(" {address}"), "flex"], "unknown backend"),
        (vec![&address.to_uppercase()], "unknown backend"),
        (vec!["flex"; 17], "17 devices"),
    ] {
        change(&run.join("run.json"), |record| {
            record["devices"] = json!(devices);
            record["state"] = json!("interrupted");
        });
        let error = fail(folder.path(), &resume, 2);
        assert!(error.contains(part), "{devices:?}: {error}");
        let error = fail(folder.path(), &["train", "--resume"], 2);
        assert!(error.contains(part), "{devices:?}: {error}");
        let came = listener.accept().map_err(|error| error.kind());
        assert_eq!(
            came.err(),
            Some(std::io::ErrorKind::WouldBlock),
            "{devices:?}"
        );
    }
    // Nor do the commands that take a run as it is.
    change(&run.join("run.json"), |record| {
        record["devices"] = json!([address])
    });
    succeed(folder.path(), &["eval", "runs/mlp-glyphs-flex-1"]);
    fail(
        folder.path(),
        &["predict", "runs/mlp-glyphs-flex-1", "missing.png"],
        2,
    );
    assert!(listener.accept().is_err());
    // Nor does what a comparison writes down for its workers.
    let spec = folder.path().join("spec.json");
    fs::write(&spec, json!({ "device": address }).to_string()).unwrap();
    fail(folder.path(), &["compare-worker", "spec.json"], 2);
    // Named by the user, they are opened: on this machine without a word.
    let named = [&resume[..], &["--devices", "flex,flex"]].concat();
    succeed(folder.path(), &named);
    change(&run.join("run.json"), |record| {
        record["state"] = json!("interrupted")
    });
    succeed(folder.path(), &resume);
    let record = fs::read_to_string(run.join("run.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["devices"], json!(["flex", "flex"]));
}

#[test]
fn what_a_recipe_reads_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book.txt");
    fs::write(
        &book,
        "to be or not to be, that is the question\n".repeat(40),
    )
    .unwrap();
    let recipe = format!(
        "[model]\nname = \"gpt\"\nnum_layers = 1\nnum_heads = 1\nwidth = 8\ncontext = 8\n\
         [data]\nname = \"chars\"\npath = {book:?}\n[train]\nsteps = 1\n"
    );
    fs::write(folder.path().join("strange.toml"), recipe).unwrap();
    let said = |arguments: &[&str]| {
        let output = common::zoo(folder.path(), arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains(&format!("reading data.path = {}", book.display())),
            "{said}"
        );
    };
    said(&["train", "strange.toml", "--no-report"]);
    said(&["eval", "runs/strange-flex-1", "--split", "valid"]);
}

/// The configuration of a repository names programs, which `git status` runs.
#[test]
#[cfg(unix)]
fn no_program_of_the_current_folder_is_run() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let name = ["-c", "user.name=x", "-c", "user.email=x@x"];
        git.args(name).args(arguments).current_dir(folder.path());
        git.env("GIT_CONFIG_GLOBAL", "/dev/null");
        assert!(git.output().unwrap().status.success(), "git {arguments:?}");
    };
    let (monitor, trace) = (folder.path().join("monitor"), folder.path().join("ran"));
    fs::write(&monitor, format!("#!/bin/sh\ntouch {trace:?}\n")).unwrap();
    fs::set_permissions(&monitor, fs::Permissions::from_mode(0o755)).unwrap();
    git(&["init", "-q"]);
    git(&["add", "monitor"]);
    git(&["commit", "-q", "-m", "x"]);
    git(&["config", "core.fsmonitor", monitor.to_str().unwrap()]);
    git(&["status"]);
    assert!(trace.exists(), "git itself runs it");
    fs::remove_file(&trace).unwrap();
    trained(folder.path());
    assert!(!trace.exists());
}

/// What a terminal acts on: a title, a clear screen, its eight-bit form, a carriage return, and text
/// that runs backwards.
const HOSTILE: &str = "owned\x1b]0;title\x07\x1b[2J\u{9b}31m\r\u{202e}";

/// The part of it that a name may hold.
const TURNED: &str = "owned\u{202e}\u{2066}";

/// Whether everything that was printed only shows, and the hostile text was among it.
fn check(what: &str, output: &Output) {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let acts = |letter: char| {
        let turns = "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        (letter.is_control() && letter != '\n') || turns.contains(letter)
    };
    assert!(!said.contains(acts), "{what}: {said:?}");
    assert!(said.contains("owned"), "{what} does not say it: {said}");
    assert!(!said.contains("panicked"), "{what}: {said}");
}

#[test]
fn what_strangers_wrote_is_shown_and_does_not_act() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let at = |name: &str| run.join(name);
    let keep = |name: &str| fs::read(at(name)).unwrap();
    let (config, record, recipe) = (keep("config.json"), keep("run.json"), keep("recipe.toml"));
    let recipe = String::from_utf8(recipe).unwrap();
    common::write_folder(&folder.path().join("pictures"), 1);
    let picture = "pictures/test/dark/0.png";
    let name = "runs/mlp-glyphs-flex-1";
    let toml = |text: &str| toml::Value::from(text).to_string();
    let said = |what: &str, arguments: &[&str]| {
        check(what, &common::zoo(folder.path(), arguments));
    };

    // Classes, and what an origin says of them.
    change(&at("config.json"), |config| {
        config["codec"]["classes"] = json!(vec![HOSTILE; 10])
    });
    said("a class with controls", &["predict", name, picture]);
    let refused = common::zoo(folder.path(), &["predict", name, picture]);
    assert!(!refused.status.success());
    change(&at("config.json"), |config| {
        config["codec"]["classes"] = json!(vec![TURNED; 10])
    });
    said("a class", &["predict", name, picture]);
    let json = succeed(folder.path(), &["predict", name, picture, "--json"]);
    assert!(!json.contains(['\u{9b}', '\u{202e}']), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["classes"][0]["class"], TURNED);
    said("classes that changed", &["eval", name]);
    for (key, value) in [
        ("/problem_type", json!(HOSTILE)),
        ("/model/name", json!(HOSTILE)),
        ("/model/activation", json!(HOSTILE)),
        ("/codec/kind", json!(HOSTILE)),
        ("/model", json!({ "name": "mlp", HOSTILE: 1 })),
    ] {
        fs::write(at("config.json"), &config).unwrap();
        change(&at("config.json"), |config| {
            config["problem_type"] = Value::Null;
            *config.pointer_mut(key).unwrap() = value;
        });
        said(key, &["predict", name, picture]);
    }
    fs::write(at("config.json"), &config).unwrap();

    // A tensor's name.
    let weights = keep("model.safetensors");
    let header = json!({ HOSTILE: { "dtype": "F32", "shape": [1], "data_offsets": [0, 4] } });
    let header = header.to_string();
    let length = (header.len() as u64).to_le_bytes();
    let tensors = [&length[..], header.as_bytes(), &[0; 4]].concat();
    fs::write(at("model.safetensors"), tensors).unwrap();
    said("a tensor", &["predict", name, picture]);
    fs::write(at("model.safetensors"), weights).unwrap();

    // A record: the list, the difference, the run that is finished.
    change(&at("run.json"), |record| {
        for key in ["recipe", "backend", "started", "ended", "zoo"] {
            record[key] = json!(HOSTILE);
        }
        record["environment"][HOSTILE] = json!(HOSTILE);
        record["result"]["metrics"][HOSTILE] = json!(1.0);
    });
    said("a record in the list", &["runs"]);
    said("a record in the list as JSON", &["runs", "--json"]);
    said("a record and itself", &["train", "--resume", name]);
    fs::write(at("run.json"), &record).unwrap();
    change(&at("run.json"), |record| {
        record["state"] = json!("interrupted");
        record["devices"] = json!([HOSTILE]);
    });
    said("a device", &["train", "--resume", name, "--steps", "3"]);
    fs::write(at("run.json"), &record).unwrap();

    // A recipe, of which the name, the set, keys and claims are quoted.
    for (what, from, to) in [
        (
            "a recipe",
            "about = ",
            format!("about = {} #", toml(HOSTILE)),
        ),
        (
            "a set",
            "name = \"glyphs\"",
            format!("name = {}", toml(HOSTILE)),
        ),
        ("a key", "[data]", format!("[data]\n{} = 1", toml(HOSTILE))),
        ("a table", "[data]", format!("[{}]\n[data]", toml(HOSTILE))),
        ("a claim", "\"test.accuracy\"", toml(HOSTILE)),
        (
            "a metric",
            "best = \"loss\"",
            format!("best = {}", toml(HOSTILE)),
        ),
        (
            "a path",
            "name = \"glyphs\"",
            format!("name = \"image-folder\"\npath = {}", toml(HOSTILE)),
        ),
        (
            "weights",
            "[model]",
            format!("[model]\nweights = {}", toml(HOSTILE)),
        ),
    ] {
        let changed = recipe.replacen(from, &to, 1);
        assert_ne!(changed, recipe, "{what}");
        fs::write(folder.path().join("strange.toml"), changed).unwrap();
        let more = ["--steps", "1", "--no-report", "--check"];
        said(what, &[&["train", "strange.toml"][..], &more].concat());
    }

    // Names of files, on the command line too, and of a run.
    let strange = format!("{HOSTILE}.png");
    fs::copy(folder.path().join(picture), folder.path().join(&strange)).unwrap();
    said("a picture", &["predict", name, &strange]);
    said(
        "a missing picture",
        &["predict", name, &format!("x{strange}")],
    );
    said("a run", &["eval", HOSTILE]);
    said("an argument", &["runs", HOSTILE]);
    said("a flag", &["train", &format!("--{HOSTILE}")]);
    said("a value", &["train", "--log", HOSTILE]);
    fs::rename(&run, folder.path().join("runs").join(HOSTILE)).unwrap();
    said("a run in the list", &["runs"]);
    said("a run's report", &["report", &format!("runs/{HOSTILE}")]);

    // A folder of the hub, labels, an earlier comparison.
    let hub = folder.path().join("hub");
    fs::create_dir(&hub).unwrap();
    for config in [
        json!({ "model_type": HOSTILE, "architectures": [HOSTILE] }),
        json!({ "architecture": HOSTILE, "num_classes": 2 }),
        json!({ "model_type": "gpt2", "activation_function": HOSTILE }),
    ] {
        fs::write(hub.join("config.json"), config.to_string()).unwrap();
        said("a folder of the hub", &["import", "hub"]);
    }
    let labels = format!("sentence\tlabel\na\t{}\n", HOSTILE.replace('\r', ""));
    fs::write(folder.path().join("labels.tsv"), labels).unwrap();
    let set = ["--set", "data.name=tsv", "--set", "data.path=labels.tsv"];
    let train = ["train", "encoder-sst2", "--no-report"];
    said(
        "labels",
        &[
            &train[..],
            &set,
            &["--set", &format!("data.label={HOSTILE}")],
        ]
        .concat(),
    );
    let report = json!({ "schema": "x", "version": HOSTILE });
    fs::write(folder.path().join("earlier.json"), report.to_string()).unwrap();
    said("a report that is not there", &["compare", "merge", HOSTILE]);
    said("a comparison", &["compare", "merge", "earlier.json"]);
}

#[test]
fn what_a_model_writes_is_shown_and_does_not_act() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--set", "schedule.warmup_steps=0", "--steps", "1"];
    let train = ["train", "gpt-sums", "--no-report", "--quiet"];
    succeed(folder.path(), &[&train[..], &more].concat());
    let config = folder.path().join("runs/gpt-sums-flex-1/config.json");
    change(&config, |config| {
        let chars = config["codec"]["chars"].as_str().unwrap();
        let rest: String = chars.chars().filter(|letter| *letter > '+').collect();
        let acting = ["\x07", "\n", "\x1b", "+"].concat();
        let count = chars.chars().count();
        let both: String = acting.chars().chain(rest.chars()).take(count).collect();
        assert_eq!(both.chars().count(), count);
        config["codec"]["chars"] = json!(both);
        config["codec"]["stop"] = Value::Null;
    });
    let sample = [
        "sample",
        "runs/gpt-sums-flex-1",
        "--prompt",
        "1+",
        "--tokens",
        "60",
    ];
    let text = succeed(folder.path(), &sample);
    assert!(
        text.contains("\\u001b") && text.contains("\\u0007"),
        "{text:?}"
    );
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
}
