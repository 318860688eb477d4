//! Runs a user command in the `zoo` binary, built with the backends that its arguments name and the parts
//! that it needs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;

use crate::Failure;
use crate::cargo::{cannot_start, cargo, output, root};
use crate::metadata::Workspace;

/// Builds and runs `zoo NAME ARGS` in the current folder and returns its exit status.
///
/// Cargo keeps the artefacts of every choice of features side by side, so going to and fro
/// between them compiles each once.
pub(crate) fn run(name: &str, args: Vec<OsString>) -> Result<i32, Failure> {
    become_it(&mut zoo(name, args)?)
}

/// `zoo NAME ARGS`, built with the backends that ARGS name and the parts that it needs. One that turns out to
/// need another part comes back here with its name.
pub(crate) fn zoo(name: &str, args: Vec<OsString>) -> Result<Command, Failure> {
    let manifest = root().join("Cargo.toml");
    let mut command = of_zoo("run");
    if let Ok(xtask) = std::env::current_exe() {
        command.env("ZOO_XTASK", xtask);
    }

    let mut features = vec!["flex".to_owned()];
    features.extend(parts(name, &args).into_iter().map(str::to_owned));
    let asked_for = std::env::var(ASKED_FOR).unwrap_or_default();
    let asked_for = PARTS
        .iter()
        .filter(|part| asked_for.split(',').any(|asked_for| asked_for == **part));
    features.extend(asked_for.map(|part| (*part).to_owned()));

    let mut backends = backends(&args);
    match name {
        // The other end of a remote backend.
        "serve-device" => backends.push("remote".to_owned()),
        // Its reference is checked on a second CPU backend.
        "compare" if !backends.is_empty() => backends.push("ndarray".to_owned()),
        _ => {}
    }
    if !backends.is_empty() {
        let mut read = cargo();
        read.args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
        ]);
        let workspace = Workspace::parse(&output(read.arg(&manifest))?)?;
        if let Some(zoo) = workspace
            .packages
            .iter()
            .find(|package| package.name == "zoo")
        {
            features.extend(of_backends(&backends, &zoo.features));
        }
    }
    features.sort();
    features.dedup();
    command.arg("--features").arg(features.join(","));
    command.arg("--").arg(name).args(args);
    Ok(command)
}

/// `cargo VERB` of the program without any feature.
fn of_zoo(verb: &str) -> Command {
    let mut command = cargo();
    command
        .args([verb, "--release", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .args(["--package", "zoo", "--bin", "zoo", "--no-default-features"]);
    command
}

/// `cargo VERB` of the program that trains on built-in data.
pub(crate) fn lean(verb: &str) -> Command {
    with_parts(verb, &[])
}

/// `cargo VERB` of the program on the default backend, with these parts.
pub(crate) fn with_parts(verb: &str, parts: &[&str]) -> Command {
    let mut command = of_zoo(verb);
    let features = [&["flex"], parts].concat();
    command.args(["--features", &features.join(",")]);
    command
}

/// Parts of the program that a training on built-in data does without; features of zoo.
const PARTS: [&str; 3] = ["fetch", "tokenizers", "watch"];

/// The parts that a program of ours came back for; it says so in the environment.
const ASKED_FOR: &str = "ZOO_PARTS";

/// The parts that a command is known to need, so that nothing is built without them first.
fn parts(name: &str, args: &[OsString]) -> Vec<&'static str> {
    match name {
        "watch" => vec!["watch"],
        "data" | "weights" if args.iter().any(|arg| arg == "fetch") => vec!["fetch"],
        "import" => vec!["tokenizers"],
        _ => vec![],
    }
}

/// Options whose values name backends.
const NAMING: [&str; 3] = ["--backend", "--backends", "--devices"];

/// The backends named by `--backend NAME[:INDEX]`, `--backend=NAME`, and `--backends NAME,NAME` or
/// `--devices NAME,NAME`.
fn backends(args: &[OsString]) -> Vec<String> {
    let mut names = Vec::new();
    let mut args = args
        .iter()
        .map(|arg| arg.to_string_lossy())
        .take_while(|arg| arg != "--");
    while let Some(arg) = args.next() {
        let value = match arg.split_once('=') {
            Some((option, value)) if NAMING.contains(&option) => value.to_owned(),
            None if NAMING.contains(&&*arg) => match args.next() {
                Some(value) => value.into_owned(),
                None => break,
            },
            _ => continue,
        };
        for device in value.split(',') {
            let name = device.split(':').next().unwrap_or_default().trim();
            names.push(name.to_owned());
        }
    }
    names
}

/// The features of zoo that bear the name of one of `backends`. A name that is no feature adds nothing:
/// zoo itself reports it, with the nearest name.
fn of_backends<'a>(
    backends: &'a [String],
    known: &'a BTreeMap<String, Vec<String>>,
) -> impl Iterator<Item = String> + 'a {
    let is_known = |name: &&String| *name != "default" && known.contains_key(*name);
    backends.iter().filter(is_known).cloned()
}

/// Replaces this process, so that signals, terminal and exit status are the program's own.
#[cfg(unix)]
fn become_it(command: &mut Command) -> Result<i32, Failure> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(cannot_start(command, &error))
}

/// Waits for the program and returns its exit status.
#[cfg(not(unix))]
fn become_it(command: &mut Command) -> Result<i32, Failure> {
    let status = command
        .status()
        .map_err(|error| cannot_start(command, &error))?;
    Ok(status.code().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(args: &[&str]) -> Vec<String> {
        backends(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn chosen(args: &[&str]) -> Vec<String> {
        let known = ["default", "flex", "ndarray", "wgpu", "cuda"];
        let known = known.map(|name| (name.to_owned(), Vec::new()));
        of_backends(&named(args), &BTreeMap::from(known)).collect()
    }

    #[test]
    fn backends_are_found_in_every_spelling() {
        assert_eq!(named(&["lenet-mnist", "--backend", "wgpu"]), ["wgpu"]);
        assert_eq!(named(&["--backend=cuda:1", "--steps", "3"]), ["cuda"]);
        assert_eq!(named(&["--backends", "flex, wgpu:0"]), ["flex", "wgpu"]);
        assert_eq!(
            named(&["--backends=a,b", "--backend", "c"]),
            ["a", "b", "c"]
        );
        assert_eq!(named(&["--backend", "remote:ws://host:3000"]), ["remote"]);
        assert_eq!(
            named(&["--devices", "cuda:0,remote:ws://host:3000/1"]),
            ["cuda", "remote"]
        );
        assert_eq!(named(&["--devices=flex,flex"]), ["flex", "flex"]);
    }

    #[test]
    fn other_words_name_no_backend() {
        assert!(named(&["--set", "backend=wgpu", "--out", "wgpu"]).is_empty());
        assert!(named(&["run", "--", "--backend", "wgpu"]).is_empty());
        assert!(named(&["--backend"]).is_empty());
    }

    #[test]
    fn backends_that_are_features_are_turned_on_and_unknown_names_are_not() {
        assert!(chosen(&[]).is_empty());
        assert!(chosen(&["--backend", "wpgu"]).is_empty());
        assert!(chosen(&["--backend", "default"]).is_empty());
        assert!(chosen(&["--backend="]).is_empty());
        assert_eq!(chosen(&["--backend", "wgpu:0"]), ["wgpu"]);
        assert_eq!(
            chosen(&["--backends", "wgpu,flex,cuda"]),
            ["wgpu", "flex", "cuda"]
        );
    }

    /// What follows `--features` for a command line.
    fn features(name: &str, args: &[&str]) -> String {
        let command = zoo(name, args.iter().map(OsString::from).collect()).unwrap();
        let mut words = command.get_args().skip_while(|word| *word != "--features");
        words.nth(1).unwrap().to_string_lossy().into_owned()
    }

    #[test]
    fn a_program_has_the_parts_that_its_command_needs() {
        assert_eq!(features("train", &["mlp-glyphs"]), "flex");
        assert_eq!(features("train", &["--backend", "ndarray"]), "flex,ndarray");
        assert_eq!(features("watch", &["runs/a"]), "flex,watch");
        assert_eq!(features("data", &["fetch", "mnist"]), "fetch,flex");
        assert_eq!(features("data", &["list"]), "flex");
        assert_eq!(features("import", &["folder"]), "flex,tokenizers");
    }

    #[test]
    fn parts_are_features_of_the_program_and_of_its_default() {
        let manifest = std::fs::read_to_string(root().join("crates/zoo/Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let default = manifest["features"]["default"].as_array().unwrap();
        let default: Vec<&str> = default.iter().filter_map(toml::Value::as_str).collect();
        let mut ours = vec!["flex"];
        ours.extend(PARTS);
        assert_eq!(default, ours);
    }
}
