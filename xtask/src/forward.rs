//! Runs a user command in the `zoo` binary, built with the backends that its arguments name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;

use crate::Failure;
use crate::cargo::{cannot_start, cargo, output, root};
use crate::metadata::Workspace;

/// Builds and runs `zoo NAME ARGS` in the current folder and returns its exit status.
///
/// Cargo keeps the artefacts of every choice of features side by side, so going to and fro
/// between backends compiles each once.
pub(crate) fn run(name: &str, args: Vec<OsString>) -> Result<i32, Failure> {
    become_it(&mut zoo(name, args)?)
}

/// `zoo NAME ARGS`, built with the backends that ARGS name.
pub(crate) fn zoo(name: &str, args: Vec<OsString>) -> Result<Command, Failure> {
    let manifest = root().join("Cargo.toml");
    let mut command = cargo();
    command
        .args(["run", "--release", "--manifest-path"])
        .arg(&manifest);
    command.args(["--package", "zoo", "--bin", "zoo"]);

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
            let features = features(&backends, &zoo.features);
            if !features.is_empty() {
                command.arg("--features").arg(features.join(","));
            }
        }
    }
    command.arg("--").arg(name).args(args);
    Ok(command)
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

/// The features of zoo to turn on for `backends`: those that bear a backend's name and are off by
/// default. A name that is no feature adds nothing: zoo itself reports it, with the nearest name.
fn features(backends: &[String], known: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let on_by_default = known.get("default").map(Vec::as_slice).unwrap_or_default();
    let mut features: Vec<String> = backends
        .iter()
        .filter(|name| *name != "default" && known.contains_key(*name))
        .filter(|name| !on_by_default.contains(name))
        .cloned()
        .collect();
    features.sort();
    features.dedup();
    features
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
        let known = [
            ("default", vec!["flex", "ndarray"]),
            ("flex", vec!["burn/flex"]),
            ("ndarray", vec!["burn/ndarray"]),
            ("wgpu", vec!["burn/wgpu"]),
            ("cuda", vec!["burn/cuda"]),
        ];
        let known = known
            .into_iter()
            .map(|(name, on)| (name.to_owned(), on.into_iter().map(str::to_owned).collect()))
            .collect();
        features(&named(args), &known)
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
    fn cpu_backends_and_unknown_names_add_no_feature() {
        assert!(chosen(&[]).is_empty());
        assert!(chosen(&["--backends", "flex,ndarray"]).is_empty());
        assert!(chosen(&["--backend", "wpgu"]).is_empty());
        assert!(chosen(&["--backend", "default"]).is_empty());
        assert!(chosen(&["--backend="]).is_empty());
    }

    #[test]
    fn gpu_backends_add_theirs_once() {
        assert_eq!(chosen(&["--backend", "wgpu:0"]), ["wgpu"]);
        assert_eq!(
            chosen(&["--backends", "wgpu,flex,cuda", "--backend", "wgpu"]),
            ["cuda", "wgpu"]
        );
    }
}
