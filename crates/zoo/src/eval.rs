//! `zoo eval RUN`: the metrics of a trained model on a split.

use crate::cli::{EvalArgs, SplitName};
use crate::data;
use crate::devices;
use crate::error::Error;
use crate::progress::{describe, print_json};
use crate::saved::Saved;

/// Measures and prints.
pub fn run(args: &EvalArgs) -> Result<(), Error> {
    let saved = Saved::open(&args.run, args.backend.as_deref())?;
    let directory = data::directory(args.data_dir.as_deref());
    let recipe = saved.recipe.as_ref().ok_or_else(|| {
        Error::Request(format!(
            "{} has no recipe, which says on what data: it was not trained here",
            args.run.display()
        ))
    })?;
    let data = data::open(&recipe.data, &directory, saved.model.input())?;
    data.warn();
    let split = args.split.unwrap_or(if data.test.is_some() {
        SplitName::Test
    } else {
        SplitName::Valid
    });
    let source = match split {
        SplitName::Train => Some(data.train),
        SplitName::Valid => data.valid,
        SplitName::Test => data.test,
    };
    let source = source.ok_or_else(|| {
        Error::Request(format!(
            "--split {}: this data has no such split",
            split.name()
        ))
    })?;
    let quantized = match args.int8 {
        true => Some(saved.ready.quantized().ok_or_else(|| {
            Error::request("--int8 is of linear layers whose outputs are a multiple of four; this model has none")
        })?),
        false => None,
    };
    let ready = quantized.as_deref().unwrap_or(&*saved.ready);
    let work = || ready.evaluate(&recipe.task, &*source, recipe.train.eval_batch_size);
    let metrics = match args.int8 {
        // Burn panics where a backend has no such operation.
        true => devices::catch_panic(work).map_err(|message| {
            Error::Failed(format!(
                "{} does not compute with 8-bit weights: {message}",
                saved.backend
            ))
        })?,
        false => work(),
    };
    let metrics = metrics.map_err(|error| {
        Error::Request(format!(
            "reading the {} split failed: {error}",
            split.name()
        ))
    })?;
    if args.json {
        print_json(&serde_json::json!({
            "run": args.run,
            "backend": saved.backend,
            "split": split.name(),
            "examples": source.len(),
            "int8": args.int8,
            "metrics": metrics,
        }));
    } else {
        println!(
            "{} of {} examples on {}{}: {}",
            split.name(),
            source.len(),
            saved.backend,
            if args.int8 { ", 8-bit weights" } else { "" },
            describe(&metrics)
        );
    }
    Ok(())
}
