//! `zoo eval RUN`: the metrics of a trained model on a split.

use zoo_train::{RECIPE_FILE, out_of_memory};

use crate::cli::{EvalArgs, SplitName};
use crate::data;
use crate::devices;
use crate::error::Error;
use crate::progress::{describe, print_json};
use crate::saved::Saved;

/// Measures and prints.
pub fn run(args: &EvalArgs) -> Result<(), Error> {
    let saved = Saved::open(&args.run, args.backend.as_deref())?;
    let directory = data::directory(args.data_dir.as_deref())?;
    let recipe = saved.recipe.as_ref().ok_or_else(|| {
        Error::Request(format!(
            "{} has no recipe, which says on what data: it was not trained here",
            args.run.display()
        ))
    })?;
    let mut table = recipe.data.clone();
    data::keep_split(&mut table, recipe.train.seed, recipe.train.seed);
    let data = data::open(&table, &directory, saved.model.input())?;
    data.warn();
    data.check_codec(&saved.codec)?;
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
    let batches = recipe.train.eval_batches(&*source);
    let work = || ready.evaluate(&recipe.task, split.name(), &batches);
    // Burn panics where a device has too little memory, or no such operation.
    let metrics = devices::catch_panic(work).map_err(|message| {
        let backend = saved.backend;
        Error::Failed(match (out_of_memory(&message), args.int8) {
            (true, _) => format!(
                "{backend} has too little memory for {} examples at once: {message}; train.eval_batch_size \
                 in {} says how many",
                batches.batch_size,
                args.run.join(RECIPE_FILE).display()
            ),
            (false, true) => format!("{backend} does not compute with 8-bit weights: {message}"),
            (false, false) => format!("computing with {backend} broke off: {message}"),
        })
    })??;
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
