//! `zoo data`: list, fetch, verify.

use serde_json::json;
use zoo_fetch::{Quiet, Source, Status, fetch, stderr_progress, verify};
use zoo_train::{DidYouMean, nearest};

use crate::cli::{DataAction, DataArgs};
use crate::data;
use crate::error::{Error, chain};
use crate::progress::print_json;

macro_rules! source {
    ($modality:literal, $name:literal) => {
        include_str!(concat!(
            "../../../datasets/",
            $modality,
            "/sources/",
            $name,
            ".toml"
        ))
    };
}

/// Where each data set that can be fetched comes from.
const SOURCES: &[&str] = &[
    source!("images", "mnist"),
    source!("images", "fashion-mnist"),
    source!("images", "cifar10"),
    source!("text", "tinyshakespeare"),
    source!("text", "sst2"),
];

/// Does what was asked for each data set in turn.
pub fn run(args: &DataArgs) -> Result<(), Error> {
    let directory = data::directory(args.data_dir.as_deref());
    let sources = chosen(&args.names)?;
    if args.action == DataAction::List {
        return list(args, &sources, &directory);
    }
    let mut wrong = Vec::new();
    for source in &sources {
        if args.action == DataAction::Fetch {
            let mut quiet = Quiet;
            let mut shown = stderr_progress();
            let progress: &mut dyn zoo_fetch::Progress =
                if args.quiet { &mut quiet } else { &mut *shown };
            let report = fetch(source, &directory, progress)
                .map_err(|error| Error::Failed(chain(&error)))?;
            let place = source.folder(&directory);
            if args.json {
                print_json(&json!({
                    "name": source.name, "folder": place, "fetched": report.fetched,
                    "present": report.present, "received_bytes": report.received_bytes,
                }));
            } else {
                println!(
                    "{}: {} fetched, {} already there, in {}",
                    source.name,
                    report.fetched.len(),
                    report.present.len(),
                    place.display()
                );
            }
            continue;
        }
        for (path, status) in verify(source, &directory) {
            if args.json {
                print_json(
                    &json!({ "name": source.name, "path": path, "ok": status == Status::Ok, "status": status.to_string() }),
                );
            } else {
                println!("{}: {status}", path.display());
            }
            // Without names, a set that was never fetched is not a fault.
            if status != Status::Ok && !(args.names.is_empty() && status == Status::Missing) {
                wrong.push(source.name.clone());
            }
        }
    }
    wrong.dedup();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{} not as it should be; run `cargo xtask data fetch {}`",
        wrong.join(", "),
        wrong.join(" ")
    )))
}

fn chosen(names: &[String]) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::new();
    for text in SOURCES {
        sources.push(Source::parse(text).map_err(|error| Error::Failed(chain(&error)))?);
    }
    if names.is_empty() {
        return Ok(sources);
    }
    let pick = |name: &String| {
        let found = sources.iter().find(|source| source.name == *name);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            match data::sets().iter().find(|set| set.name == name) {
                Some(set) if set.built_in => Error::Request(format!(
                    "data set {name} is built in: there is nothing to fetch or verify"
                )),
                Some(_) => Error::Request(format!(
                    "data set {name} is your own files: there is nothing to fetch or verify"
                )),
                None => Error::Request(format!(
                    "unknown data set {name:?}{}; known: {}",
                    DidYouMean(nearest(name, known.iter().copied())),
                    known.join(", ")
                )),
            }
        })
    };
    names.iter().map(pick).collect()
}

fn list(args: &DataArgs, sources: &[Source], directory: &std::path::Path) -> Result<(), Error> {
    if !args.json {
        println!("data directory: {}", directory.display());
    }
    for set in data::sets() {
        if !args.names.is_empty() && !args.names.iter().any(|name| name == set.name) {
            continue;
        }
        let source = sources.iter().find(|source| source.name == set.name);
        let state = match source {
            None if set.built_in => "built in",
            None => "your own files",
            Some(source) if source.folder(directory).is_dir() => "there",
            Some(_) => "can be fetched",
        };
        if args.json {
            let licence = source.map(|source| source.licence.clone());
            print_json(
                &json!({ "name": set.name, "about": set.about, "state": state, "licence": licence }),
            );
        } else {
            println!("  {:16} {state:15} {}", set.name, set.about);
        }
    }
    Ok(())
}
