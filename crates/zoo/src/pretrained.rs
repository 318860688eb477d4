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
use crate::error::Error;
use crate::progress::print_json;
use crate::saved::Opened;
use crate::sources::{self, Command};
use crate::{data, registry};

macro_rules! source {
    ($family:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../../models/",
                $family,
                "/sources/",
                $name,
                ".toml"
            )),
        )
    };
}

/// Name and text of where each file or folder of weights comes from. They lie beside their models.
pub const SOURCES: &[(&str, &str)] = &[
    source!("mlp", "mixer_b16_224"),
    source!("cnn", "vgg11_bn"),
    source!("cnn", "vgg16_bn"),
    source!("cnn", "resnet18"),
    source!("cnn", "resnet34"),
    source!("cnn", "resnet50"),
    source!("cnn", "resnet50-v2"),
    source!("cnn", "resnet101"),
    source!("cnn", "resnet152"),
    source!("cnn", "mobilenet_v2"),
    source!("cnn", "convnext_tiny"),
    source!("cnn", "convnext_small"),
    source!("cnn", "efficientnet_b0"),
    source!("transformer", "vit_tiny_patch16_224"),
    source!("transformer", "vit_small_patch16_224"),
    source!("transformer", "vit_base_patch16_224"),
    source!("transformer", "gpt2"),
    source!("transformer", "gpt2-medium"),
    source!("transformer", "gpt2-large"),
    source!("transformer", "gpt2-xl"),
    source!("transformer", "SmolLM2-135M"),
    source!("transformer", "TinyLlama-1.1B"),
    source!("transformer", "bert-tiny"),
    source!("transformer", "bert-base-uncased"),
    source!("transformer", "all-MiniLM-L6-v2"),
];

/// Below the data directory, so that weights and data sets of one name do not meet.
const FOLDER: &str = "weights";

/// Whether public weights have this name.
pub(crate) fn is_source(name: &str) -> bool {
    SOURCES.iter().any(|(known, _)| *known == name)
}

/// The file of weights that `given` means: those of that name in [`SOURCES`], if they were fetched,
/// else the file or folder at that path. What belongs to them, such as a tokenizer, lies beside it.
///
/// # Errors
/// Weights that were not fetched, with the command that fetches them; or no such name and no such
/// path.
pub fn find_file(given: &str, data_dir: &Path) -> Result<PathBuf, Error> {
    let Some((_, text)) = SOURCES.iter().find(|(name, _)| *name == given) else {
        let path = PathBuf::from(given);
        if path.exists() {
            return Ok(path);
        }
        let guess = DidYouMean(nearest(given, SOURCES.iter().map(|(name, _)| *name)));
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
    pub fn open(&self) -> Result<Opened, String> {
        let (entry, preset) = registry::find(&self.preset)?;
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
pub(crate) fn fetched(run: &Path) -> Result<Option<Fetched>, Error> {
    let name = run.to_str().unwrap_or_default();
    let known = SOURCES.iter().find(|(known, _)| *known == name);
    let Some((_, text)) = known.filter(|_| !run.is_dir()) else {
        return Ok(None);
    };
    let directory = data::directory(None)?;
    let source = sources::parse(text)?;
    let weights = source.weights.as_ref();
    let preset = weights.map_or(name, |weights| weights.preset.as_str());
    Ok(Some(Fetched {
        file: find_file(name, &directory)?,
        folder: source.folder(&directory.join(FOLDER)),
        preset: preset.to_owned(),
        says: source.weights.clone(),
    }))
}

/// Does what was asked for each of the named weights in turn.
pub(crate) fn run(args: &WeightsArgs) -> Result<(), Error> {
    let directory = data::directory(args.data_dir.as_deref())?.join(FOLDER);
    let command = Command {
        name: "weights",
        what: "weights",
        directory: &directory,
        json: args.json,
        quiet: args.quiet,
    };
    let mut sources = chosen(&command, &args.names)?;
    match args.action {
        SourceAction::List => {
            list(args, &sources, &directory);
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

fn chosen(command: &Command<'_>, names: &[String]) -> Result<Vec<Source>, Error> {
    let known: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(command.unknown(name, &known));
    }
    let asked = |name: &str| names.is_empty() || names.iter().any(|asked| asked == name);
    let sources = SOURCES.iter().filter(|(name, _)| asked(name));
    sources.map(|(_, text)| sources::parse(text)).collect()
}

fn list(args: &WeightsArgs, sources: &[Source], directory: &Path) {
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
            let entry = registry::find(&weights.preset).map(|(entry, _)| entry.name());
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

    use super::*;

    #[test]
    fn every_source_is_of_a_preset_and_states_its_licence() {
        for (name, text) in SOURCES {
            let source = Source::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(source.name, *name);
            let weights = source.weights.unwrap();
            let (entry, preset) = registry::find(&weights.preset).unwrap();
            assert_eq!(
                preset,
                weights.preset,
                "{name}: {} has no such preset",
                entry.name()
            );
            assert!(!source.licence.trim().is_empty(), "{name}");
            assert!(
                !source.files.is_empty() && source.archives.is_empty(),
                "{name}"
            );
            for file in &source.files {
                let secure = file.urls.iter().all(|url| url.starts_with("https://"));
                assert!(secure, "{name}: {:?}", file.urls);
            }
        }
    }

    /// A prefix of a sum is no sum: what has no more of it is told, in the list and in its source.
    #[test]
    fn sources_without_a_whole_sum_say_so() {
        let prefix_only = SOURCES.iter().filter(|(_, text)| {
            let source = Source::parse(text).unwrap();
            source.files.iter().any(|file| file.sha256.is_none())
        });
        for (name, text) in prefix_only.clone() {
            assert!(text.starts_with("# Prefix only:"), "{name}");
        }
        let names: Vec<&str> = prefix_only.map(|(name, _)| *name).collect();
        assert_eq!(names, ["mixer_b16_224"]);
    }

    #[test]
    fn weights_are_found_by_name_once_fetched_and_else_by_path() {
        let data_dir = tempfile::tempdir().unwrap();
        let missing = find_file("bert-tiny", data_dir.path()).unwrap_err();
        assert!(
            missing.to_string().contains("weights fetch bert-tiny"),
            "{missing}"
        );

        let folder = data_dir.path().join("weights/bert-tiny");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pytorch_model.bin");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(find_file("bert-tiny", data_dir.path()).unwrap(), file);

        let path = file.to_str().unwrap();
        assert_eq!(find_file(path, Path::new("elsewhere")).unwrap(), file);
        let unknown = find_file("bert-tony", data_dir.path()).unwrap_err();
        assert!(
            unknown.to_string().contains("did you mean bert-tiny?"),
            "{unknown}"
        );
    }
}
