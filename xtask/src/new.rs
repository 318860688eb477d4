//! `cargo xtask new model|dataset|task NAME`: a start that builds, trains and passes the sweep as it is
//! written, and the rows that name it. `docs/adding-a-*.md` say what to change.

mod kinds;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use zoo_print::DidYouMean;

use crate::Failure;
use crate::cargo::root;
use crate::recipes::{entries, families};
use kinds::{KINDS, Kind, Place};

/// The longest name: longer ones make lines that nobody wants to read.
const LONGEST: usize = 32;

/// Names that Rust, cargo or every file has a meaning for.
const RESERVED: &str = "
    abstract alloc as async await become bool box break char const continue core crate do dyn
    else enum extern f32 f64 false final fn for gen i128 i16 i32 i64 i8 if impl in isize let
    lib loop macro main match mod move mut option override priv proc_macro pub ref result
    return self static std str string struct super test trait true try type typeof u128 u16
    u32 u64 u8 unsafe unsized use usize vec virtual where while yield
";

pub(crate) fn command(mut args: lexopt::Parser) -> Result<(), Failure> {
    let words: Vec<OsString> = args
        .raw_args()
        .map_err(|error| Failure::Request(error.to_string()))?
        .collect();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    if words
        .iter()
        .any(|word| ["--help", "-h"].contains(&word.as_ref()))
    {
        println!("{}", usage());
        return Ok(());
    }
    let kind = words.first().map(|word| find(word)).transpose()?;
    let (Some(kind), [_, name]) = (kind, words.as_slice()) else {
        return Err(Failure::Request(usage()));
    };
    write(&root(), kind, name)?;
    let next = fill(kind, name, kind.next);
    print!(
        "{} {name} is written and registered. Next:\n{next}",
        kind.name
    );
    Ok(())
}

fn usage() -> String {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    format!("usage: cargo xtask new {} NAME", names.join("|"))
}

fn find(name: &str) -> Result<&'static Kind, Failure> {
    let found = KINDS.iter().find(|kind| kind.name == name);
    found.ok_or_else(|| {
        let known = KINDS.iter().map(|kind| kind.name);
        let nearest = DidYouMean(zoo_print::nearest(name, known));
        let name = zoo_files::brief(name);
        Failure::Request(format!("cannot make a {name:?}{nearest}\n{}", usage()))
    })
}

/// Writes the files and rows below `root`, or nothing.
fn write(root: &Path, kind: &Kind, name: &str) -> Result<(), Failure> {
    check_name(name)?;
    check_free(root, kind, name)?;
    check_words(kind, name)?;
    // Everything is looked up before the first file is written.
    let new = kind.files.iter().map(|(path, text)| {
        let path = fill(kind, name, path);
        let text = formatted(root, &path, fill(kind, name, text));
        (path, text)
    });
    let mut written: Vec<(String, String)> = new.collect();
    // Rows come last: they name what is there by then.
    written.extend(named(root, kind, name)?);
    for (path, text) in written {
        let path = root.join(path);
        let failed = |error| Failure::Work(format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            zoo_files::Folder::make(folder).map_err(failed)?;
        }
        zoo_files::write(&path, text.as_bytes()).map_err(failed)?;
    }
    Ok(())
}

/// The files that name it, with the name in them.
fn named(root: &Path, kind: &Kind, name: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for place in kind.places {
        let text = match files.remove(place.file) {
            Some(text) => text,
            None => read(root, place.file)?,
        };
        let text = inserted(place, &text, &fill(kind, name, place.text))?;
        files.insert(place.file, text);
    }
    let files = files.into_iter();
    Ok(files
        .map(|(path, text)| (path.to_owned(), formatted(root, path, text)))
        .collect())
}

fn inserted(place: &Place, text: &str, new: &str) -> Result<String, Failure> {
    let missing = |start: &str| {
        Failure::Work(format!(
            "{}: has no line that begins with {start:?}, by which the place for the new one is found",
            place.file
        ))
    };
    let mut lines = text.split_inclusive('\n').scan(0, |at, line| {
        *at += line.len();
        Some((*at - line.len(), line))
    });
    let mut find = |start: &str| {
        let found = lines.find(|(_, line)| line.starts_with(start));
        found.ok_or_else(|| missing(start))
    };
    find(place.opens)?;
    let (at, _) = find(place.closes)?;
    let (before, after) = text.split_at(at);
    Ok(format!("{before}{new}{after}"))
}

/// A text of a kind, with the name in place of the sample.
fn fill(kind: &Kind, name: &str, text: &str) -> String {
    let forms = |name: &str| {
        [
            name.to_owned(),
            pascal(name),
            name.replace('_', "-"),
            name.replace('_', " "),
        ]
    };
    let (ours, theirs) = (forms(kind.sample), forms(name));
    let pairs = ours.iter().zip(&theirs);
    pairs.fold(text.to_owned(), |text, (ours, theirs)| {
        text.replace(ours, theirs)
    })
}

fn pascal(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

fn check_name(name: &str) -> Result<(), Failure> {
    let shown = zoo_files::brief(name);
    let is_word = |word: &str| {
        !word.is_empty() && (word.chars()).all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !starts || !name.split('_').all(is_word) || name.len() > LONGEST {
        return Err(Failure::Request(format!(
            "{shown:?}: a name is words of a-z and 0-9 with _ between them, begins with a letter, and \
             has at most {LONGEST} characters, as in tiny_net2"
        )));
    }
    if RESERVED.split_whitespace().any(|word| word == name) {
        return Err(Failure::Request(format!(
            "{name}: means something to Rust; choose another name"
        )));
    }
    Ok(())
}

/// Refuses a name that would mean two things in the new files, such as a model `linear`, whose type is
/// called as the layer that it is made of.
fn check_words(kind: &Kind, name: &str) -> Result<(), Failure> {
    for (path, text) in kind.files.iter().filter(|(path, _)| path.ends_with(".rs")) {
        let code = text.lines().filter_map(|line| line.split("//").next());
        let words: BTreeSet<&str> = code
            .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'))
            .collect();
        let filled = words.iter().map(|word| (word, fill(kind, name, word)));
        for (word, new) in filled {
            if new != **word && words.contains(&*new) {
                let path = fill(kind, name, path);
                return Err(Failure::Request(format!(
                    "{name}: {new} means something else in {path}, which would be written; choose another name"
                )));
            }
        }
    }
    Ok(())
}

/// Refuses a name that something in the workspace has: a file, a crate, a row, a task.
fn check_free(root: &Path, kind: &Kind, name: &str) -> Result<(), Failure> {
    let new = kind.names.iter().map(|of| same(&fill(kind, name, of)));
    let new: Vec<String> = new.collect();
    let taken = |path: &str| {
        Err(Failure::Request(format!(
            "{name} is taken: see {path}; choose another name"
        )))
    };
    for path in named_files(root)? {
        let stem = Path::new(&path).file_stem().unwrap_or_default();
        if new.contains(&same(&stem.to_string_lossy())) {
            return taken(&path);
        }
        let text = match path.starts_with(TASKS) && path.ends_with(".rs") {
            true => read(root, &path)?,
            false => continue,
        };
        let mut tasks = text.lines().filter(|line| line.contains("const TASK: "));
        if tasks.any(|line| same(line).contains(&format!("\"{}\"", new[0]))) {
            return taken(&path);
        }
    }
    for path in [kinds::MODELS, kinds::SETS] {
        let text = same(&read(root, path)?);
        if new.iter().any(|new| text.contains(&format!("\"{new}\""))) {
            return taken(path);
        }
    }
    // Ours, and others that a module of the name would stand before.
    let manifest = read(root, "Cargo.toml")?;
    let mut crates = manifest.lines().filter_map(|line| line.split(" = ").next());
    let own = format!("zoo_{name}");
    if crates.any(|one| [name, &*own].contains(&&*same(one))) {
        return taken("Cargo.toml");
    }
    let mut files = kind.files.iter().map(|(path, _)| fill(kind, name, path));
    match files.find(|path| root.join(path).symlink_metadata().is_ok()) {
        Some(path) => taken(&path),
        None => Ok(()),
    }
}

/// Names as they are compared: `Tiny-Net`, `tiny net` and `tiny_net` are one.
fn same(name: &str) -> String {
    name.to_lowercase().replace(['-', ' '], "_")
}

/// Where the tasks are.
const TASKS: &str = "crates/tasks/src";

/// Files and folders that are named as what they hold, from the root on.
fn named_files(root: &Path) -> Result<Vec<String>, Failure> {
    let mut folders: Vec<String> = ["crates", "models", "datasets", TASKS, "crates/zoo/src/data"]
        .map(str::to_owned)
        .into();
    for family in families(root)? {
        folders.push(format!("{family}/recipes"));
    }
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for name in entries(&root.join(&folder))? {
            let path = format!("{folder}/{name}");
            if folder.starts_with(TASKS) && root.join(&path).is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    Ok(found)
}

/// The text of a file as rustfmt has it: where lines break, and in which order modules stand, depends
/// on the name. As it is where there is no rustfmt, and of what is not Rust.
fn formatted(root: &Path, path: &str, text: String) -> String {
    if !path.ends_with(".rs") {
        return text;
    }
    let done = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .and_then(|mut rustfmt| {
            if let Some(mut stdin) = rustfmt.stdin.take() {
                stdin.write_all(text.as_bytes())?;
            }
            rustfmt.wait_with_output()
        });
    let done = done.ok().filter(|output| output.status.success());
    let done = done.and_then(|output| String::from_utf8(output.stdout).ok());
    done.unwrap_or(text)
}

fn read(root: &Path, path: &str) -> Result<String, Failure> {
    fs::read_to_string(root.join(path)).map_err(|error| Failure::Work(format!("{path}: {error}")))
}

#[cfg(test)]
mod tests;
