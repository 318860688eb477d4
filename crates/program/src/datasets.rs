//! `zoo data`: list, fetch, verify.

use serde_json::json;
use zoo_fetch::Source;

use crate::cli::{DataArgs, SourceAction};
use crate::data;
use crate::error::Error;
use crate::progress::print_json;
use crate::rows::Zoo;
use crate::sources::{self, Command};

/// Does what was asked for each data set in turn.
pub fn run(zoo: &Zoo, args: &DataArgs) -> Result<(), Error> {
    let directory = data::directory(args.data_dir.as_deref())?;
    let command = Command {
        name: "data",
        what: "data set",
        directory: &directory,
        json: args.json,
        quiet: args.quiet,
    };
    let sources = chosen(zoo, &command, &args.names)?;
    match args.action {
        SourceAction::List => {
            list(zoo, args, &sources, &directory);
            Ok(())
        }
        SourceAction::Fetch => command.fetch(&sources),
        SourceAction::Verify => command.verify(&sources, !args.names.is_empty()),
    }
}

fn chosen(zoo: &Zoo, command: &Command<'_>, names: &[String]) -> Result<Vec<Source>, Error> {
    let sources = zoo.data.iter().filter_map(|set| set.source);
    let sources: Vec<Source> = sources.map(sources::parse).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Ok(sources);
    }
    let pick = |name: &String| {
        let found = sources.iter().find(|source| source.name == *name);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            match zoo.data.iter().find(|set| set.name == name) {
                Some(set) if set.built_in => Error::Request(format!(
                    "data set {name} is built in: there is nothing to fetch or verify"
                )),
                Some(_) => Error::Request(format!(
                    "data set {name} is your own files: there is nothing to fetch or verify"
                )),
                None => command.unknown(name, &known),
            }
        })
    };
    names.iter().map(pick).collect()
}

fn list(zoo: &Zoo, args: &DataArgs, sources: &[Source], directory: &std::path::Path) {
    if !args.json {
        println!("data directory: {}", directory.display());
    }
    for set in zoo.data {
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
}
