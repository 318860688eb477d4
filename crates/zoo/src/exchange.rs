//! `zoo import DIR` and `zoo export RUN`: from and to the folders of the Hugging Face hub.

use std::fs;
use std::path::Path;

use burn::tensor::DType;
use zoo_train::{MODEL_FILE, Run};

use crate::cli::{ExportArgs, ExportFormat, FloatName, ImportArgs};
use crate::data::Codec;
use crate::devices;
use crate::error::Error;
use crate::hub;
use crate::language;
use crate::progress::print_json;
use crate::saved::{CONFIG_FILE, Config, Saved};
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
    let folder = Run::create_folder(&args.out, &format!("{name}-import"))?;
    let config = Config {
        model: table.clone(),
        codec: saved.codec,
    };
    saved.ready.save(&folder.join(MODEL_FILE), None)?;
    let json = serde_json::to_vec_pretty(&config).map_err(Error::failed)?;
    write(&folder.join(CONFIG_FILE), &json)?;
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
    let saved = Saved::open(&args.run, None)?;
    let dtype = match args.dtype {
        FloatName::F32 => DType::F32,
        FloatName::F16 => DType::F16,
        FloatName::Bf16 => DType::BF16,
    };
    let out = match (&args.out, args.format) {
        (Some(out), _) => out.clone(),
        (None, ExportFormat::Safetensors) => args.run.join("export.safetensors"),
        (None, ExportFormat::Hf) => args.run.join("export"),
    };
    if args.format == ExportFormat::Safetensors {
        if out.extension().is_none_or(|end| end != "safetensors") {
            let problem = "--out names a file that ends in .safetensors";
            return Err(Error::Request(format!("{}: {problem}", out.display())));
        }
        saved.ready.save(&out, Some(dtype))?;
        println!("{}", out.display());
        return Ok(());
    }
    // What has no form at its origin is found out before anything is written.
    let config = hub::write(&*saved.model, &saved.codec).map_err(Error::Request)?;
    fs::create_dir_all(&out)
        .map_err(|error| Error::Request(format!("{}: {error}", out.display())))?;
    let weights = out.join(MODEL_FILE);
    let there = hub::model(&config).map_err(Error::failed)?;
    if there.parameters() == saved.model.parameters() {
        saved.ready.save(&weights, Some(dtype))?;
    } else {
        saved.ready.save(&weights, None)?;
        let host = devices::open(devices::default_name()).map_err(Error::request)?;
        let grown = there.load_without_biases(&weights, &host.device)?;
        grown.save(&weights, Some(dtype))?;
    }
    let json = serde_json::to_vec_pretty(&config).map_err(Error::failed)?;
    write(&out.join(CONFIG_FILE), &json)?;
    if let Some(tokenizer) = language::file(&saved.codec) {
        write(&out.join(hub::TOKENIZER_FILE), tokenizer.as_bytes())?;
    }
    if let Codec::Words { .. } = &saved.codec {
        // Without it, a tokenizer of the architecture's usual kind is looked for.
        let kind = br#"{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "unk_token": "<unk>"}"#;
        write(&out.join("tokenizer_config.json"), kind)?;
    }
    println!("{}", out.display());
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|error| Error::Failed(format!("{}: {error}", path.display())))
}
