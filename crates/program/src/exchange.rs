//! `zoo import DIR` and `zoo export RUN`: from and to the folders of the Hugging Face hub.

use std::fs;
use std::io;
use std::path::Path;

use burn::tensor::DType;
use serde_json::Value as Json;
use zoo_files::Folder;
use zoo_hub::sentence::SENTENCE_FILES;
use zoo_hub::tokenizer_config::{self, Given, TOKENIZER_FILES};
use zoo_train::{MODEL_FILE, Run};

use crate::cli::{ExportArgs, ExportFormat, FloatName, ImportArgs};
use crate::config::{CONFIG_FILE, Config};
use crate::devices;
use crate::error::Error;
use crate::hub;
use crate::place::{self, EXPORT_FILE, EXPORT_FOLDER};
use crate::pretrained;
use crate::progress::print_json;
use crate::rows::Zoo;
use crate::saved::Saved;
use crate::summary::grouped;

/// Makes a run folder of a folder from the hub, which predict, sample and train understand.
/// Not eval: an import has no recipe, which would say on what data.
pub fn import(zoo: &Zoo, args: &ImportArgs) -> Result<(), Error> {
    let saved = Saved::open(zoo, &args.folder, None)?;
    let table = saved.model.table();
    let architecture = table
        .get("name")
        .and_then(toml::Value::as_str)
        .unwrap_or_default();
    let name = args.name.clone().unwrap_or_else(|| {
        let folder = args
            .folder
            .canonicalize()
            .unwrap_or_else(|_| args.folder.clone());
        let folder = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        folder.unwrap_or_else(|| architecture.to_owned())
    });
    zoo_files::check_name(&name).map_err(|problem| {
        Error::Request(format!(
            "the run cannot be called {name:?}: {problem}; see --name"
        ))
    })?;
    let folder = Run::create_folder(&args.out, &format!("{name}-import"))?;
    let config = Config::new(&*saved.model, &*saved.codec);
    let json = serde_json::to_vec_pretty(&config).map_err(Error::failed)?;
    let written = (saved.ready.save(&folder.path().join(MODEL_FILE), None))
        .and_then(|()| write(&folder, CONFIG_FILE, &json));
    if let Err(error) = written {
        // A folder without one of its files is no run.
        let _ = fs::remove_dir_all(folder.path());
        return Err(error);
    }
    let parameters = saved.model.parameters();
    if args.json {
        print_json(&serde_json::json!({
            "run": folder.path(), "model": architecture, "parameters": parameters,
        }));
    } else {
        println!(
            "{}: {architecture}, {} parameters",
            folder.path().display(),
            grouped(parameters as u64)
        );
    }
    Ok(())
}

/// Writes a run's model for its origin's library.
pub fn export(zoo: &Zoo, args: &ExportArgs) -> Result<(), Error> {
    let out = match (&args.out, args.format) {
        (Some(out), _) => out.clone(),
        (None, ExportFormat::Safetensors) => args.run.join(EXPORT_FILE),
        (None, ExportFormat::Hf) => args.run.join(EXPORT_FOLDER),
    };
    may_write(zoo, args, &out)?;
    let saved = Saved::open(zoo, &args.run, None)?;
    let dtype = match args.dtype {
        FloatName::F32 => DType::F32,
        FloatName::F16 => DType::F16,
        FloatName::Bf16 => DType::BF16,
    };
    if args.format == ExportFormat::Safetensors {
        saved.ready.save(&out, Some(dtype))?;
    } else {
        // What has no form at its origin is found out before anything is written.
        let config = hub::write(&*saved.model, Some(&*saved.codec)).map_err(Error::Request)?;
        let placed = zoo_files::merge_folder(&out, |part| {
            write_folder(zoo, &saved, &config, dtype, part).map_err(Stopped::Failed)
        })
        .map_err(|stopped| match stopped {
            Stopped::Failed(error) => error,
            Stopped::Io(error) => Error::Request(format!("{}: {error}", out.display())),
        })?;
        // What an earlier export had and this one has not would be read with it.
        let text = saved.codec.text();
        let stale = [
            (&TOKENIZER_FILES[..], text.is_none()),
            (&SENTENCE_FILES, !hub::is_sentence_encoder(&*saved.model)),
        ];
        for (names, is_stale) in stale {
            for name in names.iter().filter(|_| is_stale) {
                placed.remove(name).map_err(Error::failed)?;
            }
        }
    }
    println!("{}", out.display());
    Ok(())
}

/// Why a folder was not written.
enum Stopped {
    Failed(Error),
    Io(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether an export may be at `out`: nothing is there; or an earlier one is, and the user says so.
/// A run, or what is exported, is never written over.
fn may_write(zoo: &Zoo, args: &ExportArgs, out: &Path) -> Result<(), Error> {
    let refuse = |problem: &str| Err(Error::Request(format!("{}: {problem}", out.display())));
    let is_folder = args.format == ExportFormat::Hf;
    if !is_folder && (out.is_dir() || out.extension().is_none_or(|end| end != "safetensors")) {
        return refuse("--out names a file that ends in .safetensors");
    }
    let fetched = pretrained::fetched(zoo, &args.run)?;
    let source = fetched
        .as_ref()
        .map_or(&args.run, |fetched| &fetched.folder);
    place::outside_runs(out, Some(source))?;
    let is_empty = fs::read_dir(out).is_ok_and(|mut files| files.next().is_none());
    if fs::symlink_metadata(out).is_err() || is_empty {
        return Ok(());
    }
    let other = |name: &&str| is_folder && *name != MODEL_FILE && out.join(name).exists();
    if let Some(name) = zoo_weights::IN_FOLDER.into_iter().find(other) {
        return refuse(&format!(
            "holds other weights, {name}; --out names another place"
        ));
    }
    match args.force {
        true => Ok(()),
        false => refuse("is there already; --force writes over it, or --out names another place"),
    }
}

/// The files of a folder for the origin's library.
fn write_folder(
    zoo: &Zoo,
    saved: &Saved,
    config: &Json,
    dtype: DType,
    folder: &Folder,
) -> Result<(), Error> {
    let weights = folder.path().join(MODEL_FILE);
    let there = hub::model(zoo, config).map_err(Error::failed)?;
    if there.parameters() == saved.model.parameters() {
        saved.ready.save(&weights, Some(dtype))?;
    } else {
        saved.ready.save(&weights, None)?;
        let host = devices::open(devices::default_name()).map_err(Error::request)?;
        let grown = there.load_without_biases(&weights, &host.device)?;
        grown.save(&weights, Some(dtype))?;
    }
    let json = serde_json::to_vec_pretty(config).map_err(Error::failed)?;
    write(folder, CONFIG_FILE, &json)?;
    if let Some(reading) = saved.codec.text() {
        let given = Given::of(config["model_type"].as_str().unwrap_or_default());
        let files = tokenizer_config::of_text(reading.text, reading.max_length, given)
            .map_err(Error::failed)?;
        for (name, text) in files.files() {
            write(folder, name, text.as_bytes())?;
        }
        for (path, json) in hub::sentence_files(&*saved.model, reading.max_length) {
            let json = serde_json::to_vec_pretty(&json).map_err(Error::failed)?;
            let (inner, name) = path.rsplit_once('/').unwrap_or(("", path));
            let inner = folder.make_inner(inner).map_err(Error::failed)?;
            write(&inner, name, &json)?;
        }
    }
    Ok(())
}

fn write(folder: &Folder, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = folder.path().join(name);
    let written = folder.write(name, bytes);
    written.map_err(|error| Error::Failed(format!("{}: {error}", path.display())))
}
