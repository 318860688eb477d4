//! Public pretrained weights: which there are, where a fetched one lies, and `zoo weights`.

use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use serde_json::json;
use toml::Table;
use zoo_codec::image::Preprocessing;
use zoo_fetch::{Size, Source, Weights};
use zoo_print::columns::{self, Cell};
use zoo_tasks::{Pictures, Upstream};
use zoo_train::{DidYouMean, nearest};

use crate::cli::{SourceAction, WeightsArgs};
use crate::data;
use crate::error::Error;
use crate::progress::print_json;
use crate::registry::Opened;
use crate::rows::Zoo;
use crate::sources::{self, Command};

/// Below the data directory, so that weights and data sets of one name do not meet.
const FOLDER: &str = "weights";

/// The file of weights that `given` means: the public ones of that name, if they were fetched,
/// else the file or folder at that path. What belongs to them, such as a tokenizer, lies beside it.
///
/// # Errors
/// Weights that were not fetched, with the command that fetches them; or no such name and no such
/// path.
pub fn find_file(zoo: &Zoo, given: &str, data_dir: &Path) -> Result<PathBuf, Error> {
    let Some((_, text)) = zoo.weights().find(|(name, _)| *name == given) else {
        let path = PathBuf::from(given);
        if path.exists() {
            return Ok(path);
        }
        let guess = DidYouMean(nearest(given, zoo.weights().map(|(name, _)| name)));
        return Err(Error::Request(format!(
            "{given}: no such file, and no pretrained weights of that name{guess}; \
             `cargo xtask weights list` names those that can be fetched"
        )));
    };
    let source = sources::parse(text)?;
    let folder = source.folder(&data_dir.join(FOLDER));
    let file = source.files.first().map(|file| folder.join(&file.path));
    file.filter(|file| file.is_file()).ok_or_else(|| {
        Error::Request(format!(
            "the weights {given} are not in {}; run `cargo xtask weights fetch {given}`, or name \
             the folder that holds {FOLDER}/{given}/ with --data-dir or ZOO_DATA_DIR",
            folder.display()
        ))
    })
}

/// Fetched weights, opened by their name.
pub struct Fetched {
    /// Where they lie.
    pub folder: PathBuf,
    /// The weights.
    pub file: PathBuf,
    /// What they are of.
    pub preset: String,
    /// What their source says of them.
    pub says: Option<Weights>,
}

impl Fetched {
    /// Their model, and how its inputs are read, where nothing beside the weights says so: as their
    /// source does.
    ///
    /// # Errors
    /// A source that does not say what a model of its kind needs.
    pub fn open(&self, zoo: &Zoo) -> Result<Opened, String> {
        let (entry, preset) = zoo.model(&self.preset)?;
        let mut model = entry.configure(preset, &Table::new(), &Table::new())?;
        let says = self.says.as_ref();
        let preprocessing = says.and_then(|says| says.preprocessing.clone());
        let pictures = preprocessing.map(|table| {
            let preprocessing: Preprocessing = table
                .try_into()
                .map_err(|error| format!("weights.preprocessing: {error}"))?;
            Pictures::new(preprocessing)
        });
        let classes = says.and_then(|says| zoo_hub::classes::names(says.classes.as_deref()?));
        let codec = model.upstream(Upstream {
            pictures: pictures.transpose()?,
            classes: classes
                .unwrap_or_default()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ..Upstream::default()
        })?;
        codec.check()?;
        model.fit("of the weights", &*codec)?;
        Ok((model, codec))
    }
}

/// The weights of that name, where `run` is no folder but the name of a source.
///
/// # Errors
/// Weights that were not fetched, with the command that fetches them.
pub(crate) fn fetched(zoo: &Zoo, run: &Path) -> Result<Option<Fetched>, Error> {
    match run.to_str().filter(|_| !run.is_dir()) {
        Some(name) => fetched_as(zoo, name, None),
        None => Ok(None),
    }
}

/// The weights of that name, if it is one of a source, in this data directory or the usual one.
///
/// # Errors
/// Weights that were not fetched, with the command that fetches them.
pub(crate) fn fetched_as(
    zoo: &Zoo,
    name: &str,
    directory: Option<&Path>,
) -> Result<Option<Fetched>, Error> {
    let Some((_, text)) = zoo.weights().find(|(known, _)| *known == name) else {
        return Ok(None);
    };
    let directory = data::directory(directory)?;
    let source = sources::parse(text)?;
    let weights = source.weights.as_ref();
    let preset = weights.map_or(name, |weights| weights.preset.as_str());
    Ok(Some(Fetched {
        file: find_file(zoo, name, &directory)?,
        folder: source.folder(&directory.join(FOLDER)),
        preset: preset.to_owned(),
        says: source.weights.clone(),
    }))
}

/// Does what was asked for each of the named weights in turn.
pub(crate) fn run(zoo: &Zoo, args: &WeightsArgs) -> Result<(), Error> {
    let directory = data::directory(args.data_dir.as_deref())?.join(FOLDER);
    let command = Command {
        name: "weights",
        what: "weights",
        directory: &directory,
        json: args.json,
        quiet: args.quiet,
    };
    let mut sources = chosen(zoo, &command, &args.names)?;
    match args.action {
        SourceAction::List => {
            list(zoo, args, &sources, &directory);
            Ok(())
        }
        // All of them are some 15 GB, which nobody means by leaving the name out.
        SourceAction::Fetch if args.names.is_empty() => Err(Error::Request(
            "name the weights to fetch; `cargo xtask weights list` shows them with their sizes"
                .into(),
        )),
        SourceAction::Fetch => command.fetch(&sources),
        SourceAction::Verify => {
            if args.names.is_empty() {
                sources.retain(|source| source.folder(&directory).is_dir());
            }
            command.verify(&sources, !args.names.is_empty())
        }
    }
}

fn chosen(zoo: &Zoo, command: &Command<'_>, names: &[String]) -> Result<Vec<Source>, Error> {
    let known: Vec<&str> = zoo.weights().map(|(name, _)| name).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(command.unknown(name, &known));
    }
    let asked = |name: &str| names.is_empty() || names.iter().any(|asked| asked == name);
    let sources = zoo.weights().filter(|(name, _)| asked(name));
    sources.map(|(_, text)| sources::parse(text)).collect()
}

fn list(zoo: &Zoo, args: &WeightsArgs, sources: &[Source], directory: &Path) {
    if !args.json {
        println!("directory: {}", directory.display());
    }
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for source in sources {
        let Some(weights) = &source.weights else {
            continue;
        };
        let folder = source.folder(directory);
        let files = source.files.iter();
        let there = files.filter(|file| folder.join(&file.path).is_file());
        let state = match there.count() {
            0 => "can be fetched",
            count if count < source.files.len() => "there in part",
            _ => "there",
        };
        // The publisher's file names have 32 bits of it, which a forger can match.
        let sum = match source.files.iter().all(|file| file.sha256.is_some()) {
            true => "whole",
            false => "prefix only",
        };
        let sizes = || source.files.iter().map(|file| file.size_bytes);
        let most: u64 = sizes().map(Size::most).sum();
        if args.json {
            let fewest: u64 = sizes().map(Size::fewest).sum();
            let entry = zoo.model(&weights.preset).map(|(entry, _)| entry.name());
            print_json(&json!({
                "name": source.name, "preset": weights.preset, "model": entry.ok(),
                "about": source.about, "published": weights.published, "paper": weights.paper,
                "recipe": weights.recipe, "homepage": source.homepage, "licence": source.licence,
                // Equal but where the publisher rounds.
                "size_bytes": [fewest, most], "sha256": sum, "state": state, "folder": folder,
            }));
        } else {
            let licence = source.licence.split(',').next().unwrap_or_default();
            rows.push(vec![
                source.name.as_str().into(),
                weights.preset.as_str().into(),
                HumanBytes(most).to_string().into(),
                format!("sha256: {sum}").into(),
                state.into(),
                licence.into(),
            ]);
        }
    }
    print!("{}", columns::table(&rows, "llr", "  "));
}
