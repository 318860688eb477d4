//! A task is a room: outside of it, only the rows that join it to a model and to data know its name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn source_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, found);
        } else if path
            .extension()
            .is_some_and(|end| end == "rs" || end == "py")
        {
            found.push(path);
        }
    }
}

/// The sources of every crate, by their path in the repository, without tests of their own.
fn sources() -> BTreeMap<String, String> {
    let root = root().canonicalize().unwrap();
    let mut found = Vec::new();
    for group in ["crates", "models", "datasets"] {
        for member in fs::read_dir(root.join(group)).unwrap() {
            source_files(&member.unwrap().path().join("src"), &mut found);
        }
    }
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        (name, fs::read_to_string(path).unwrap())
    };
    found.into_iter().map(read).collect()
}

/// The modules of `zoo_tasks` that keep a codec: `classify`, `translate` and their like.
fn rooms(sources: &BTreeMap<String, String>) -> Vec<String> {
    let modules = sources["crates/tasks/src/lib.rs"].lines();
    let modules = modules.filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let keeps = |module: &&str| {
        let own = |path: &str| is_of(path, module);
        sources
            .iter()
            .any(|(path, text)| own(path) && text.contains("impl Codec for"))
    };
    modules.filter(keeps).map(str::to_owned).collect()
}

/// Whether a file is a room's own.
fn is_of(path: &str, room: &str) -> bool {
    let inside = path.strip_prefix("crates/tasks/src/");
    inside.is_some_and(|inside| {
        inside == format!("{room}.rs") || inside.starts_with(&format!("{room}/"))
    })
}

/// Whether code takes something from a room: `zoo_tasks::embed::Embed`, `use crate::{embed, loss}`.
fn takes_from(room: &str, from: &str, code: &str) -> bool {
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let from = format!("{from}::");
    let mut paths = code.match_indices(&from);
    paths.any(|(at, found)| {
        let path = &code[at + found.len()..];
        let end = path.find([';', '(', '<', '=']).unwrap_or(path.len());
        let names = path[..end].split(|c: char| !c.is_alphanumeric() && c != '_');
        names.into_iter().any(|name| name == room)
    })
}

#[test]
fn what_takes_from_a_room_is_seen() {
    let takes = |code| takes_from("embed", "zoo_tasks", code);
    assert!(takes("use zoo_tasks::embed::Embed;"));
    assert!(takes("use zoo_tasks::{Codec, embed};"));
    assert!(takes("let room = zoo_tasks::embed::Embed::room(f);"));
    assert!(!takes("// as zoo_tasks::embed does"));
    assert!(!takes("use zoo_tasks::{Codec, Embedded};\nlet embed = 1;"));
}

#[test]
fn a_task_is_known_by_its_room_and_its_rows() {
    let sources = sources();
    let rooms = rooms(&sources);
    assert!(rooms.len() >= 7, "{rooms:?}");
    for room in &rooms {
        let outside = sources.iter().filter(|(path, _)| !is_of(path, room));
        let knows = outside.filter(|(path, text)| {
            let from = match path.starts_with("crates/tasks/") {
                true => "crate",
                false => "zoo_tasks",
            };
            takes_from(room, from, text)
        });
        let knows: Vec<&str> = knows.map(|(path, _)| &**path).collect();
        let is_row = |path: &&str| {
            ["crates/zoo/src/models", "crates/zoo/src/data"]
                .iter()
                .any(|rows| path.starts_with(rows))
        };
        let others: Vec<_> = knows.iter().filter(|path| !is_row(path)).collect();
        assert!(others.is_empty(), "{room} is known to {others:?}");
        // A row of models, or a file beside it, and one file for each kind of data.
        assert!((1..=4).contains(&knows.len()), "{room}: {knows:?}");
    }
}

#[test]
fn the_program_spells_no_task() {
    let sources = sources();
    let mut names = Vec::new();
    for (path, text) in &sources {
        let constants = text.split("const TASK: &'static str = \"").skip(1);
        let own = constants.filter_map(|rest| rest.split('"').next());
        names.extend(own.map(|name| (path.clone(), name.to_owned())));
    }
    assert!(names.len() >= 8, "{names:?}");
    for (room, name) in names {
        let spelled = format!("\"{name}\"");
        for (path, text) in &sources {
            // A data set in a row may have the name of a task.
            let is_row = path.starts_with("crates/zoo/src/");
            assert!(
                *path == room || is_row || !text.contains(&spelled),
                "{path} spells {spelled}, which is {room}'s"
            );
        }
    }
}
