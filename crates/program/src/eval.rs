//! `zoo eval RUN`: the metrics of a trained model on a split.

use std::collections::BTreeMap;

use toml::Table;
use zoo_train::{Change, RECIPE_FILE, out_of_memory};

use crate::cli::{EvalArgs, SplitName};
use crate::data::{self, Asked, Kept};
use crate::devices;
use crate::error::Error;
use crate::paths;
use crate::progress::{Progress, describe, print_json};
use crate::rows::Zoo;
use crate::run_state::read_record;
use crate::saved::Saved;

/// Measures and prints.
pub fn run(zoo: &Zoo, args: &EvalArgs) -> Result<(), Error> {
    let saved = Saved::open(zoo, &args.run, args.backend.as_deref())?;
    let directory = data::directory(args.data_dir.as_deref())?;
    let recipe = saved.recipe.as_ref().ok_or_else(|| {
        Error::Request(format!(
            "{} has no recipe, which says on what data: it was not trained here",
            args.run.display()
        ))
    })?;
    if !args.json {
        paths::say(&recipe.data);
    }
    let mut table = changed_table(zoo, &recipe.data, &args.set)?;
    zoo.keep_split(&mut table, recipe.train.seed, recipe.train.seed);
    let asked = Asked {
        longest: saved.model.longest(),
        kept: Some(Kept::Whole(&*saved.codec)),
    };
    let data = zoo.open(&table, &directory, asked)?;
    data.warn();
    if let Some(what) = data.codec.difference(&*saved.codec) {
        return Err(Error::Request(format!(
            "the data is not what the model was trained on: its {what}; bring back the data of then"
        )));
    }
    let mut progress = Progress::new(args.json, false);
    let sums = data.sha256(&mut |done, total| progress.reading(done, total))?;
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
    let changed = changed_splits(args, &sums, split)?;
    let quantized = match args.int8 {
        true => Some(saved.ready.quantized().ok_or_else(|| {
            Error::request("--int8 is of linear layers whose outputs are a multiple of four; this model has none")
        })?),
        false => None,
    };
    let ready = quantized.as_deref().unwrap_or(&*saved.ready);
    let batches = recipe.train.eval_batches(&*source);
    let work = || ready.evaluate(split.name(), &batches);
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
            "changed": changed,
            "metrics": metrics,
        }));
    } else {
        println!(
            "{} of {} examples on {}{}: {}",
            split.name(),
            source.len(),
            saved.backend,
            if args.int8 { ", 8-bit weights" } else { "" },
            describe(
                &metrics,
                &saved
                    .ready
                    .metrics(&source.batch(&[0], None).map_err(Error::failed)?)
            )
        );
    }
    Ok(())
}

/// The data's table with what is set otherwise.
fn changed_table(zoo: &Zoo, data: &Table, set: &[String]) -> Result<Table, Error> {
    let reading = zoo.set_of(data).map_or(&[][..], |set| set.reading);
    let mut whole = Table::from_iter([("data".to_owned(), data.clone().into())]);
    for text in set {
        if !text.starts_with("data.") {
            return Err(Error::Request(format!(
                "--set {text}: eval measures a model as it is; only keys of data can be set, such as data.path"
            )));
        }
        let key = text["data.".len()..]
            .split(['.', '='])
            .next()
            .unwrap_or_default();
        if reading.contains(&key.trim()) {
            return Err(Error::Request(format!(
                "--set {text}: the run says how its inputs are read; eval can change which they are, as by \
                 data.path"
            )));
        }
        let change = Change::parse(text).map_err(Error::Request)?;
        change.apply(&mut whole).map_err(Error::Request)?;
    }
    match whole.remove("data") {
        Some(toml::Value::Table(data)) => Ok(data),
        _ => Err(Error::request("--set data: must be a table")),
    }
}

/// Which of the splits that matter are not what they were when the run was trained: the one that is
/// measured on, and the training examples, some of which may be in it now, where splits are drawn.
fn changed_splits(
    args: &EvalArgs,
    sums: &BTreeMap<String, String>,
    split: SplitName,
) -> Result<Vec<&'static str>, Error> {
    // What was not trained here has no record.
    let Some(record) = read_record(&args.run) else {
        return Ok(Vec::new());
    };
    let mut splits = vec![SplitName::Train.name(), split.name()];
    splits.dedup();
    splits.retain(|split| record.data_sha256.get(*split) != sums.get(*split));
    if splits.is_empty() {
        return Ok(splits);
    }
    let told = format!(
        "the data is not what the run was trained on, its split {}: examples that it learned from may be \
         among those that it is measured on",
        splits.join(" and its split ")
    );
    if !args.allow_changed {
        return Err(Error::Request(format!(
            "{}: {told}; bring back the data of then, or measure all the same with --allow-changed",
            args.run.display()
        )));
    }
    eprintln!("warning: {told}");
    Ok(splits)
}
