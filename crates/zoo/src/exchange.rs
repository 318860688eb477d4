//! `zoo import DIR` and `zoo export RUN`: from and to the folders of the Hugging Face hub.

use std::fs;
use std::io;
use std::path::Path;

use burn::tensor::DType;
use serde_json::{Value as Json, json};
use zoo_train::{MODEL_FILE, RECIPE_FILE, Run};

use crate::cli::{ExportArgs, ExportFormat, FloatName, ImportArgs};
use crate::data::Codec;
use crate::devices;
use crate::error::Error;
use crate::hub;
use crate::language;
use crate::progress::print_json;
use crate::saved::{self, CONFIG_FILE, Config, Saved};
use crate::summary::grouped;

/// Makes a run folder of a folder from the hub, which predict, sample and train understand.
/// Not eval: an import has no recipe, which would say on what data.
pub fn import(args: &ImportArgs) -> Result<(), Error> {
    let saved = Saved::open(&args.folder, None)?;
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
    let config = Config {
        model: table.clone(),
        codec: saved.codec,
        problem_type: saved.problem_type,
    };
    let json = serde_json::to_vec_pretty(&config).map_err(Error::failed)?;
    let written = (saved.ready.save(&folder.join(MODEL_FILE), None))
        .and_then(|()| write(&folder.join(CONFIG_FILE), &json));
    if let Err(error) = written {
        // A folder without one of its files is no run.
        let _ = fs::remove_dir_all(&folder);
        return Err(error);
    }
    let parameters = saved.model.parameters();
    if args.json {
        print_json(&serde_json::json!({
            "run": folder, "model": architecture, "parameters": parameters,
        }));
    } else {
        println!(
            "{}: {architecture}, {} parameters",
            folder.display(),
            grouped(parameters as u64)
        );
    }
    Ok(())
}

/// Writes a run's model for its origin's library.
pub fn export(args: &ExportArgs) -> Result<(), Error> {
    let out = match (&args.out, args.format) {
        (Some(out), _) => out.clone(),
        (None, ExportFormat::Safetensors) => args.run.join("export.safetensors"),
        (None, ExportFormat::Hf) => args.run.join("export"),
    };
    may_write(args, &out)?;
    let saved = Saved::open(&args.run, None)?;
    let dtype = match args.dtype {
        FloatName::F32 => DType::F32,
        FloatName::F16 => DType::F16,
        FloatName::Bf16 => DType::BF16,
    };
    if args.format == ExportFormat::Safetensors {
        saved.ready.save(&out, Some(dtype))?;
    } else {
        // What has no form at its origin is found out before anything is written.
        let mut config = hub::write(&*saved.model, &saved.codec).map_err(Error::Request)?;
        if let Some(kind) = &saved.problem_type {
            config["problem_type"] = json!(kind);
        }
        zoo_files::replace_folder(&out, |part| {
            write_folder(&saved, &config, dtype, part).map_err(Stopped::Failed)
        })
        .map_err(|stopped| match stopped {
            Stopped::Failed(error) => error,
            Stopped::Io(error) => Error::Request(format!("{}: {error}", out.display())),
        })?;
        // What an earlier export had and this one has not would be read with it.
        for name in [hub::TOKENIZER_FILE, TOKENIZER_CONFIG] {
            let stale = out.join(name);
            if !is_written(&saved.codec, name) && stale.is_file() {
                fs::remove_file(stale).map_err(Error::failed)?;
            }
        }
    }
    println!("{}", out.display());
    Ok(())
}

/// Says how a tokenizer is used, where its architecture does not.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

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
fn may_write(args: &ExportArgs, out: &Path) -> Result<(), Error> {
    let refuse = |problem: &str| Err(Error::Request(format!("{}: {problem}", out.display())));
    let is_folder = args.format == ExportFormat::Hf;
    if !is_folder && (out.is_dir() || out.extension().is_none_or(|end| end != "safetensors")) {
        return refuse("--out names a file that ends in .safetensors");
    }
    let is_empty = fs::read_dir(out).is_ok_and(|mut files| files.next().is_none());
    if fs::symlink_metadata(out).is_err() || is_empty {
        return Ok(());
    }
    let parent = out.parent().unwrap_or(out);
    let holder = match is_folder {
        true => Some(out),
        false => (out.file_name() == Some(MODEL_FILE.as_ref())).then_some(parent),
    };
    if holder.is_some_and(|folder| is_run(folder) || is_same(folder, &args.run)) {
        return refuse("a run, or the weights to export; --out names another place");
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

/// Whether a folder is one of ours: of a training, or of an import.
fn is_run(folder: &Path) -> bool {
    let config = saved::read_config(folder).unwrap_or_default();
    folder.join(RECIPE_FILE).is_file() || hub::is_origins(&config) == Ok(false)
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// The files of a folder for the origin's library.
fn write_folder(saved: &Saved, config: &Json, dtype: DType, folder: &Path) -> Result<(), Error> {
    let weights = folder.join(MODEL_FILE);
    let there = hub::model(config).map_err(Error::failed)?;
    if there.parameters() == saved.model.parameters() {
        saved.ready.save(&weights, Some(dtype))?;
    } else {
        saved.ready.save(&weights, None)?;
        let host = devices::open(devices::default_name()).map_err(Error::request)?;
        let grown = there.load_without_biases(&weights, &host.device)?;
        grown.save(&weights, Some(dtype))?;
    }
    let json = serde_json::to_vec_pretty(config).map_err(Error::failed)?;
    write(&folder.join(CONFIG_FILE), &json)?;
    if let Some(tokenizer) = language::file(&saved.codec) {
        write(&folder.join(hub::TOKENIZER_FILE), tokenizer.as_bytes())?;
    }
    if is_written(&saved.codec, TOKENIZER_CONFIG) {
        // Without it, a tokenizer of the architecture's usual kind is looked for.
        let kind = br#"{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "unk_token": "<unk>"}"#;
        write(&folder.join(TOKENIZER_CONFIG), kind)?;
    }
    Ok(())
}

/// Whether an export with this codec has a file of that name.
fn is_written(codec: &Codec, name: &str) -> bool {
    match name {
        TOKENIZER_CONFIG => matches!(codec, Codec::Words { .. }),
        _ => language::file(codec).is_some(),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    zoo_files::write(path, bytes)
        .map_err(|error| Error::Failed(format!("{}: {error}", path.display())))
}
