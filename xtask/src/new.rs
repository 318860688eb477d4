//! `cargo xtask new model NAME`: a crate with a small convolutional classifier, registered, which
//! passes the sweep as it is written. `docs/adding-a-model.md` says what to change.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::Failure;
use crate::cargo::root;

/// Files of the new crate, with the names to fill in.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("new/Cargo.toml.in")),
    ("README.md", include_str!("new/README.md.in")),
    ("src/lib.rs", include_str!("new/lib.rs.in")),
    ("src/NAME.rs", include_str!("new/model.rs.in")),
    ("tests/golden/NAME.py", include_str!("new/golden.py.in")),
];

/// Where the workspace names its models: after which line of which file a line goes.
const PLACES: [(&str, &str, &str); 4] = [
    (
        "Cargo.toml",
        "zoo-transformer = { path = \"models/transformer\" }\n",
        "zoo-KEBAB = { path = \"models/NAME\" }\n",
    ),
    (
        "crates/zoo/Cargo.toml",
        "zoo-transformer.workspace = true\n",
        "zoo-KEBAB.workspace = true\n",
    ),
    (
        "crates/zoo/src/registry.rs",
        "pub static MODELS: &[&dyn Entry] = &[\n",
        include_str!("new/row.rs.in"),
    ),
    (
        "crates/zoo/src/registry/published.rs",
        "pub static SIZES: &[Size] = &[\n",
        "    count(\"NAME_small\", 2_038, \"the layers of the template\"),\n",
    ),
];

pub(crate) fn command(mut args: lexopt::Parser) -> Result<(), Failure> {
    let words: Vec<OsString> = args
        .raw_args()
        .map_err(|error| Failure::Request(error.to_string()))?
        .collect();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let [kind, name] = words.as_slice() else {
        return Err(Failure::Request("usage: cargo xtask new model NAME".into()));
    };
    if kind != "model" {
        return Err(Failure::Request(format!(
            "new {kind}: only `model` can be made"
        )));
    }
    write(&root(), name)?;
    println!(
        "models/{name} is written and registered. Next:\n\
         - `cargo xtask test` builds it and runs the sweep over it;\n\
         - write the model into models/{name}/src/{name}.rs and its card into models/{name}/README.md;\n\
         - make its golden numbers: PYTHON models/{name}/tests/golden/{name}.py (needs torch).\n\
         docs/adding-a-model.md walks through one."
    );
    Ok(())
}

/// Writes the crate and its rows below `root`, or nothing.
fn write(root: &Path, name: &str) -> Result<(), Failure> {
    if !is_name(name) {
        return Err(Failure::Request(format!(
            "{name:?}: a model's name is made of a-z, 0-9 and _, and begins with a letter"
        )));
    }
    let folder = root.join("models").join(name);
    if folder.exists() {
        return Err(Failure::Request(format!(
            "{}: exists already",
            folder.display()
        )));
    }
    let fill = |text: &str| {
        text.replace("PASCAL", &pascal(name))
            .replace("KEBAB", &name.replace('_', "-"))
            .replace("NAME", name)
    };
    // Everything is looked up before the first file is written.
    let mut changed = Vec::new();
    for (file, after, line) in PLACES {
        let path = root.join(file);
        let text = read(&path)?;
        let Some(at) = text.find(after) else {
            return Err(Failure::Work(format!(
                "{file}: has no line {:?}, after which the new model goes",
                after.trim_end()
            )));
        };
        let (before, rest) = text.split_at(at + after.len());
        let line = fill(line);
        if text.contains(line.trim()) {
            return Err(Failure::Request(format!("{file}: knows {name} already")));
        }
        changed.push((path, format!("{before}{line}{rest}")));
    }
    for (file, text) in FILES {
        let path = folder.join(fill(file));
        if let Some(parent) = path.parent() {
            zoo_files::Folder::make(parent).map_err(|error| failed(parent, &error))?;
        }
        changed.push((path, fill(text)));
    }
    for (path, text) in changed {
        zoo_files::write(&path, text.as_bytes()).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && (name.chars()).all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn pascal(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Work(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of this workspace that a new model changes.
    fn workspace() -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for (file, _, _) in PLACES {
            let path = copy.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(root().join(file), path).unwrap();
        }
        copy
    }

    #[test]
    fn a_new_model_is_written_and_named_everywhere() {
        let copy = workspace();
        write(copy.path(), "tiny_net2").unwrap();
        let text = |file: &str| fs::read_to_string(copy.path().join(file)).unwrap();
        assert!(text("Cargo.toml").contains("zoo-tiny-net2 = { path = \"models/tiny_net2\" }"));
        assert!(text("crates/zoo/Cargo.toml").contains("zoo-tiny-net2.workspace = true"));
        let registry = text("crates/zoo/src/registry.rs");
        assert!(
            registry.contains("zoo_tiny_net2::TinyNet2Config"),
            "{registry}"
        );
        assert!(text("models/tiny_net2/src/tiny_net2.rs").contains("pub struct TinyNet2"));
        for (file, _) in FILES {
            let text = text(&format!(
                "models/tiny_net2/{}",
                file.replace("NAME", "tiny_net2")
            ));
            for left in ["NAME", "PASCAL", "KEBAB"] {
                assert!(!text.contains(left), "{file}: {left} was left");
            }
        }
    }

    #[test]
    fn a_bad_name_and_one_that_is_taken_change_nothing() {
        let copy = workspace();
        let before = read(&copy.path().join("Cargo.toml")).unwrap();
        for name in ["", "Big", "../up", "9lives", "a-b"] {
            assert!(
                matches!(write(copy.path(), name), Err(Failure::Request(_))),
                "{name}"
            );
        }
        fs::create_dir_all(copy.path().join("models/mine")).unwrap();
        assert!(matches!(
            write(copy.path(), "mine"),
            Err(Failure::Request(_))
        ));
        assert_eq!(read(&copy.path().join("Cargo.toml")).unwrap(), before);
    }
}
