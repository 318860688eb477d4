//! `zoo eval RUN`: the metrics of a trained model on a split.

use crate::cli::{EvalArgs, SplitName};
use crate::data;
use crate::error::Error;
use crate::progress::{describe, print_json};
use crate::saved::Saved;

/// Measures and prints.
pub fn run(args: &EvalArgs) -> Result<(), Error> {
    let saved = Saved::open(&args.run, args.backend.as_deref())?;
    let directory = data::directory(args.data_dir.as_deref());
    let recipe = &saved.recipe;
    let data = data::open(
        &recipe.data,
        &directory,
        saved.model.input(),
        recipe.train.seed,
    )?;
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
    let metrics = saved
        .ready
        .evaluate(&recipe.task, &*source, recipe.train.eval_batch_size)
        .map_err(|error| {
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
            "metrics": metrics,
        }));
    } else {
        println!(
            "{} of {} examples on {}: {}",
            split.name(),
            source.len(),
            saved.backend,
            describe(&metrics)
        );
    }
    Ok(())
}
