//! House rules about the text of our files, each violation as `path:line: what is wrong`.
//!
//! What clippy denies already (`todo!`, `unwrap`, an exception without a reason) is left to it;
//! here it is only made sure that every crate takes part.

use std::fs;
use std::path::Path;

use crate::cargo::output;
use crate::metadata::Workspace;
use crate::{COMMANDS, Failure};

/// Checks every file under `root` that git tracks, or would if it were added.
pub(crate) fn violations(root: &Path) -> Result<Vec<String>, Failure> {
    let mut list = std::process::Command::new("git");
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ])
    .current_dir(root);
    let list = output(&mut list)?;
    let mut found = Vec::new();
    for path in String::from_utf8_lossy(&list).split_terminator('\0') {
        // A file that is not text has no lines; one that is deleted but still tracked, neither.
        let Ok(text) = fs::read_to_string(root.join(path)) else {
            continue;
        };
        found.extend(check(path, &text));
    }
    Ok(found)
}

/// Crates that do not take the workspace's lints, so that clippy holds them to nothing.
pub(crate) fn lint_dodgers(root: &Path, workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        let path = format!("{}/Cargo.toml", package.folder);
        let text = fs::read_to_string(root.join(&path)).unwrap_or_default();
        if !takes_workspace_lints(&text) {
            found.push(format!("{path}: lacks `[lints] workspace = true`"));
        }
    }
    found
}

fn takes_workspace_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(|line| line.replace(' ', ""));
    lines.any(|line| line == "lints.workspace=true") || {
        let mut lines = manifest.lines().map(|line| line.replace(' ', ""));
        lines.any(|line| line == "[lints]")
            && lines
                .take_while(|line| !line.starts_with('['))
                .any(|line| line == "workspace=true")
    }
}

/// How a file is written past `crates/files`.
const WRITES: [&str; 9] = [
    "File::create",
    "File::options",
    "OpenOptions",
    "fs::write",
    "fs::rename",
    "fs::copy",
    "fs::create_dir",
    "fs::hard_link",
    "fs::symlink(",
];

/// The first of [`WRITES`] in a line of a program: not of `crates/files`, which is there for it, and
/// not of a test.
fn write_of_its_own(path: &str, line: &str) -> Option<&'static str> {
    let mut folders = path.split('/');
    let is_ours = match folders.next() {
        Some("crates" | "datasets" | "models") => folders.next() != Some("files"),
        first => first == Some("xtask"),
    };
    let is_program = is_ours && folders.next() == Some("src") && !path.ends_with("/tests.rs");
    // A comment, or a text such as those above.
    if !is_program || line.trim_start().starts_with(['/', '"']) {
        return None;
    }
    WRITES.into_iter().find(|write| line.contains(write))
}

/// How a test says that it is skipped.
const SKIPPED: &str = "(\"skipped";

/// What prints: our own macros in the programs, Rust's elsewhere.
const PRINTING: [&str; 4] = ["println!", "print!", "eprintln!", "eprint!"];

/// Files that may name the streams themselves: the doors of the programs, what looks whether there is
/// a stream at all, and a worker's line to the driver that started it.
const DOORS: [&str; 4] = [
    "crates/program/src/output.rs",
    "crates/zoo/src/main.rs",
    "crates/compare/src/worker.rs",
    "xtask/src/output.rs",
];

/// Whether a line of a source prints past the doors: there, nothing that is printed fails, and what
/// strangers wrote is cleaned before it reaches a terminal.
fn prints_past_the_doors(path: &str, line: &str) -> bool {
    let of_ours = ["crates/", "models/", "datasets/", "xtask/"];
    let is_source = of_ours.iter().any(|folder| path.starts_with(folder)) && path.contains("/src/");
    let code = line.trim_start();
    if !is_source || code.starts_with("//") {
        return false;
    }
    // Both have macros of their own by these names.
    let is_program = path.starts_with("crates/zoo/src/")
        || path.starts_with("crates/program/src/")
        || path.starts_with("xtask/src/");
    let word = |name: &str| {
        let is_name = |c: char| c.is_alphanumeric() || "_\"".contains(c);
        let mut places = code.match_indices(name).map(|(at, _)| &code[..at]);
        places.any(|before| !before.ends_with(is_name))
    };
    let names_a_stream = ["stdout()", "stderr()"].iter().any(|name| word(name));
    let by_rusts_macro = !is_program && PRINTING.iter().any(|name| word(name));
    let by_full_name = PRINTING
        .iter()
        .any(|name| code.contains(&format!("std::{name}")));
    (names_a_stream && !DOORS.contains(&path)) || by_rusts_macro || by_full_name
}

/// The violations in one file.
fn check(path: &str, text: &str) -> Vec<String> {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    let mut found = Vec::new();
    // Tests stand at the end of a file.
    let mut in_tests = false;
    for (number, line) in (1..).zip(text.lines()) {
        in_tests |= line == "mod tests {";
        let mut report = |what: String| found.push(format!("{path}:{number}: {what}"));
        if let Some(folder) = machine_path(line) {
            report(format!(
                "a path of somebody's machine ({folder}…); write it relative"
            ));
        }
        match extension {
            Some("rs")
                if ["#[ignore", "#![ignore"]
                    .iter()
                    .any(|ignore| line.trim_start().starts_with(ignore)) =>
            {
                report("an ignored test; make it quick, skip it visibly, or delete it".into());
            }
            Some("rs") if prints_past_the_doors(path, line) => {
                report("prints by itself; only the program does, by its output.rs".into());
            }
            Some("rs") if !in_tests && write_of_its_own(path, line).is_some() => {
                let write = write_of_its_own(path, line).unwrap_or_default();
                report(format!(
                    "{write}; what the program writes goes through a zoo_files::Folder, and so through no link"
                ));
            }
            // What is missing must be a failure where somebody says so.
            Some("rs")
                if path.contains("tests/")
                    && line.to_lowercase().contains(SKIPPED)
                    && !text.contains("ZOO_REQUIRE_") =>
            {
                report("a test that is skipped passes; let a ZOO_REQUIRE_… make it fail".into());
            }
            Some("md" | "toml") => {
                for name in commands(line) {
                    if !COMMANDS.iter().any(|command| command.name == name) {
                        report(format!(
                            "`cargo xtask {name}` is no command; `cargo xtask help` lists them"
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The first absolute path in `line` that leads into a person's or a machine's own folders.
fn machine_path(line: &str) -> Option<String> {
    ["home", "Users", "root", "work"]
        .iter()
        .map(|folder| format!("/{folder}/"))
        .find(|folder| {
            line.match_indices(folder.as_str()).any(|(at, _)| {
                // Part of a longer path or of an address: not absolute.
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "._-~*/\\}>)".contains(c))
            })
        })
}

/// The command names after `cargo xtask` in code: at the start of a line (behind a prompt or a
/// comment's sign) or of an inline code span.
fn commands(line: &str) -> Vec<&str> {
    const CALL: &str = "cargo xtask ";
    let names = line.match_indices(CALL).filter_map(|(at, _)| {
        let before = line[..at].trim_start_matches(['#', '$', '>', ' ', '\t']);
        let code = before.is_empty() || before.ends_with('`');
        let rest = &line[at + CALL.len()..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        // A capital or a sign is a placeholder: `cargo xtask COMMAND`; so is an option.
        (code && name.starts_with(|c: char| c.is_ascii_lowercase()) && name != "help")
            .then_some(name)
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_test_is_found_where_it_stands() {
        let ignored = ["    #[", "ignore = \"slow\"]"].concat();
        let found = check("a/b.rs", &format!("#[test]\n{ignored}\nfn f() {{}}\n"));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("a/b.rs:2: an ignored test"),
            "{found:?}"
        );
        assert!(check("a/b.md", &ignored).is_empty());
    }

    #[test]
    fn what_prints_past_the_doors_is_found() {
        let stream = ["std::io::std", "err()"].concat();
        for (path, line, wrong) in [
            (
                "crates/fetch/src/a.rs",
                "    println!(\"x\");".to_owned(),
                true,
            ),
            ("models/mlp/src/a.rs", "eprint!(\"x\");".into(), true),
            ("crates/zoo/src/a.rs", "println!(\"x\");".into(), false),
            (
                "xtask/src/a.rs",
                ["std", "::println!(\"x\");"].concat(),
                true,
            ),
            ("crates/zoo/src/a.rs", format!("writeln!({stream})"), true),
            (
                "crates/program/src/output.rs",
                format!("writeln!({stream})"),
                false,
            ),
            ("crates/zoo/src/a.rs", format!("// {stream}"), false),
            (
                "crates/zoo/tests/a.rs",
                format!("writeln!({stream})"),
                false,
            ),
            (
                "crates/compare/src/a.rs",
                "let (_, child_stdout) = child_stdout();".into(),
                false,
            ),
        ] {
            assert_eq!(
                check(path, &line).len(),
                usize::from(wrong),
                "{path}: {line}"
            );
        }
    }

    #[test]
    fn a_file_that_is_written_past_the_folder_is_found() {
        for write in WRITES {
            let line = format!("    let done = {write}(&path);\n");
            for path in [
                "crates/zoo/src/a.rs",
                "crates/train/src/fit/a.rs",
                "datasets/text/src/a.rs",
                "models/mlp/src/a.rs",
                "xtask/src/a.rs",
            ] {
                let found = check(path, &format!("fn f() {{\n{line}}}\n"));
                assert_eq!(found.len(), 1, "{path}: {write}: {found:?}");
                assert!(
                    found[0].starts_with(&format!("{path}:2: {write}")),
                    "{found:?}"
                );
            }
            let tests = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{line}}}\n");
            assert!(check("crates/zoo/src/a.rs", &tests).is_empty(), "{write}");
            for path in [
                "crates/files/src/a.rs",
                "crates/zoo/tests/a.rs",
                "crates/zoo/benches/a.rs",
                "xtask/src/results/tests.rs",
                "examples/own/src/a.rs",
            ] {
                assert!(check(path, &line).is_empty(), "{path}: {write}");
            }
        }
        assert!(check("crates/zoo/src/a.rs", "// As fs::write does.\n").is_empty());
    }

    #[test]
    fn a_test_that_passes_for_want_of_something_is_found() {
        let line = format!("eprintln!{} {{name}}\");", SKIPPED.to_uppercase());
        let found = check("a/tests/b.rs", &line);
        assert!(found[0].contains("ZOO_REQUIRE_"), "{found:?}");
        let asks = format!("std::env::var(\"ZOO_REQUIRE_DATA\");\n{line}");
        assert!(check("a/tests/b.rs", &asks).is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_found_and_other_paths_are_not() {
        for folder in ["home", "Users", "root", "work"] {
            for line in [
                format!("/{folder}/me/x"),
                format!("let x = \"/{folder}/me\";"),
                format!("C:/{folder}/me"),
            ] {
                assert_eq!(check("x.rs", &line).len(), 1, "{line}");
            }
            for line in [
                format!("https://example.org/{folder}/x"),
                format!("a/{folder}/b"),
                format!("../{folder}/b"),
            ] {
                assert!(check("x.rs", &line).is_empty(), "{line}");
            }
        }
    }

    #[test]
    fn pages_name_only_commands_that_exist() {
        let page = "$ cargo xtask train mlp-mnist\nthen `cargo xtask tset` or `cargo xtask test`\n";
        let found = check("README.md", page);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("README.md:2: `cargo xtask tset` is no command"));
        assert_eq!(check("recipes/x.toml", "# cargo xtask trian x").len(), 1);
    }

    #[test]
    fn prose_and_placeholders_are_no_commands() {
        for line in [
            "`cargo xtask COMMAND`",
            "`cargo xtask …`",
            "`cargo xtask --help`",
            "With cargo xtask builds are quick.",
        ] {
            assert!(check("README.md", line).is_empty(), "{line}");
        }
    }

    #[test]
    fn a_crate_without_the_lints_is_seen() {
        assert!(takes_workspace_lints(
            "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n"
        ));
        assert!(takes_workspace_lints("lints.workspace = true\n"));
        assert!(!takes_workspace_lints("[package]\nworkspace = true\n"));
        assert!(!takes_workspace_lints("[lints]\n\n[x]\nworkspace = true\n"));
    }
}
