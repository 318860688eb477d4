//! A recipe's data, and the model that fits it: the data is opened first, and the model is configured
//! by what it says.

use std::path::Path;
use std::sync::Arc;

use toml::{Table, Value};
use zoo_tasks::AnyCodec;
use zoo_train::{MODEL_FILE, MOST_RECIPE_BYTES, RECIPE_FILE, Recipe, Run};

use crate::config::CONFIG_FILE;
use crate::data::{Asked, Data, Kept};
use crate::error::Error;
use crate::pretrained;
use crate::registry::Model;
use crate::rows::Zoo;
use crate::run_state::{read_record, state};
use crate::saved;

/// Keys in which a model may differ from the one whose weights it starts from: what is asked for is
/// said, and the weights are made to fit, or drawn.
const FREE: [&str; 14] = [
    "num_classes",
    "vocab_size",
    "pad_token",
    "context",
    "max_length",
    "in_channels",
    "image_size",
    "head",
    "pooling",
    "normalize",
    "dropout",
    "attention_dropout",
    "classifier_dropout",
    "stochastic_depth",
];

/// What is known of the weights that a training starts from.
struct Beside {
    model: Table,
    codec: Arc<dyn AnyCodec>,
    /// Who says so.
    source: String,
}

/// Opens the data of a recipe and configures its model.
///
/// # Errors
/// Data that cannot be read, a table that does not fit, or a model that does not fit the data.
pub fn fit(zoo: &Zoo, recipe: &Recipe, directory: &Path) -> Result<(Data, Box<dyn Model>), Error> {
    fit_run(zoo, recipe, directory, None)
}

/// [`fit`], where a run that is gone on with, in the folder `resumed`, reads its data as it did when it
/// began.
///
/// # Errors
/// Those of [`fit`]; data whose classes are no longer those of the run.
pub(crate) fn fit_run(
    zoo: &Zoo,
    recipe: &Recipe,
    directory: &Path,
    resumed: Option<&Path>,
) -> Result<(Data, Box<dyn Model>), Error> {
    let wrong = |problem: String| Error::Request(format!("{}: {problem}", recipe.name));
    let run = resumed.map(|folder| saved::described(zoo, folder));
    let run = run.transpose()?.flatten().map(|((_, codec), _)| codec);
    // A run's own recipe has been made to fit its weights.
    let beside = match &run {
        None => beside(zoo, recipe, directory)?,
        Some(_) => None,
    };
    let table = match &beside {
        None => recipe.model.clone(),
        Some(beside) => merged(zoo, recipe, beside).map_err(wrong)?,
    };
    // What the model limits is asked of its table, before the data is known.
    let longest = zoo
        .configure(&table, &Table::new())
        .map_err(wrong)?
        .longest();
    let kept = match (&run, resumed) {
        (Some(codec), Some(folder)) if is_data_of(recipe, folder) => Some(Kept::Whole(&**codec)),
        (Some(codec), _) => Some(Kept::Inputs(&**codec)),
        (None, _) => (beside.as_ref()).map(|beside| Kept::Inputs(&*beside.codec)),
    };
    let data = zoo.open(&recipe.data, directory, Asked { longest, kept })?;
    if let (Some(run), Some(folder)) = (&run, resumed) {
        let (now, before) = (data.codec.classes(), run.classes());
        let problem = match kept {
            Some(Kept::Whole(_)) => data.codec.difference(&**run),
            _ => (now != before).then(|| format!("classes were {before:?} and are {now:?}")),
        };
        if let Some(what) = problem {
            return Err(Error::Request(format!(
                "{}: the data is not what this run was trained on: its {what}; bring back the data of then, \
                 or begin a new run",
                folder.display()
            )));
        }
    }
    if let Some(beside) = &beside {
        say_classes(beside, &*data.codec);
        say_unused(zoo, recipe, beside);
    }
    let decided = data.codec.decides();
    let model = zoo.configure(&open_to(table, &recipe.model, &decided), &decided);
    let mut model = model.map_err(wrong)?;
    model.set_task(&recipe.task).map_err(wrong)?;
    model.fit(&data.set, &*data.codec).map_err(wrong)?;
    Ok((data, model))
}

/// A model's table without what the data decides and the recipe does not. A vocabulary only grows:
/// the rows that weights have beyond it are theirs.
fn open_to(mut table: Table, asked: &Table, decided: &Table) -> Table {
    for (key, value) in decided {
        let is_larger = |there: &Value| there.as_integer() >= value.as_integer();
        let stays = key == "vocab_size" && table.get(key).is_some_and(is_larger);
        if !asked.contains_key(key) && !stays {
            table.remove(key);
        }
    }
    table
}

/// Says where as many classes as the weights have bear other names: the head begins as it is.
fn say_classes(beside: &Beside, codec: &dyn AnyCodec) {
    let (now, before) = (codec.classes(), beside.codec.classes());
    if now.len() == before.len() && now != before {
        eprintln!(
            "the classes are {now:?}, where {} {before:?}: the head begins as theirs",
            beside.source
        );
    }
}

/// Says which keys of `[data]` have no effect, since the weights have a vocabulary.
fn say_unused(zoo: &Zoo, recipe: &Recipe, beside: &Beside) {
    let keys = zoo.set_of(&recipe.data).map_or(&[][..], |set| set.learning);
    let given = keys.iter().filter(|key| recipe.data.contains_key(**key));
    for key in given.filter(|_| beside.codec.text().is_some()) {
        eprintln!("data.{key} has no effect: text is read in the tokens of the weights");
    }
}

/// Whether a recipe's data is that which the run in `folder` began with.
fn is_data_of(recipe: &Recipe, folder: &Path) -> bool {
    let path = folder.join(RECIPE_FILE);
    let text = zoo_files::read_text(&path, MOST_RECIPE_BYTES);
    let before = text.map(|text| Recipe::parse(&path.display().to_string(), &text, &[]));
    matches!(before, Ok(Ok(before)) if before.data == recipe.data)
}

/// What is known of a recipe's weights: by their source, or by a configuration beside them. `None` where
/// there are none, or weights alone: then the recipe says what they are of.
fn beside(zoo: &Zoo, recipe: &Recipe, directory: &Path) -> Result<Option<Beside>, Error> {
    let Some(given) = recipe.model.get("weights").and_then(Value::as_str) else {
        return Ok(None);
    };
    let wrong = |problem: String| Error::Request(format!("model.weights = {given:?}: {problem}"));
    let fetched = pretrained::fetched_as(zoo, given, Some(directory))?;
    let path = match &fetched {
        Some(fetched) => fetched.file.clone(),
        None => pretrained::find_file(zoo, given, directory)?,
    };
    if let (Some(record), false) = (read_record(&path), path.join(MODEL_FILE).exists()) {
        let state = state(&path, &record, Run::is_locked(&path));
        return Err(wrong(format!(
            "this run has no {MODEL_FILE}: it is {state}; train --resume {given} brings it to its end, or name \
             the weights of a checkpoint, as in {given}/checkpoints/STEP"
        )));
    }
    let described =
        |folder| saved::described(zoo, folder).map_err(|error| wrong(error.to_string()));
    // Either may be a link: a checkpoint by another name, or a file of which the hub's cache has the
    // content elsewhere.
    let described = match (described(home_of(&path))?, path.canonicalize()) {
        (None, Ok(path)) => described(home_of(&path))?,
        (found, _) => found,
    };
    let (opened, source) = match (described, &fetched) {
        (Some((opened, _)), _) => (opened, format!("the weights' {CONFIG_FILE} says")),
        (None, Some(fetched)) => {
            let opened = fetched.open(zoo).map_err(wrong)?;
            (opened, format!("the source of {given} says"))
        }
        (None, None) => return Ok(None),
    };
    let (model, codec) = opened;
    Ok(Some(Beside {
        model: model.table(),
        codec,
        source,
    }))
}

/// The folder in which weights are described: their own, or the run of which they are a checkpoint.
fn home_of(weights: &Path) -> &Path {
    let folder = match weights.is_dir() {
        true => weights,
        false => weights.parent().unwrap_or(Path::new("")),
    };
    let run = folder
        .parent()
        .filter(|above| above.ends_with("checkpoints"));
    run.and_then(Path::parent).unwrap_or(folder)
}

/// The configuration of the weights, with what the recipe says otherwise.
fn merged(zoo: &Zoo, recipe: &Recipe, beside: &Beside) -> Result<Table, String> {
    let name = recipe
        .model
        .get("name")
        .and_then(Value::as_str)
        .ok_or("model.name is missing: which model?")?;
    let (entry, _) = zoo.model(name)?;
    let there = beside.model.get("name").and_then(Value::as_str);
    if there != Some(entry.name()) {
        return Err(format!(
            "model.name = {name:?}: {} {:?}",
            beside.source,
            there.unwrap_or_default()
        ));
    }
    let mut asked = recipe.model.clone();
    // A preset stands for its values, of which the recipe's own keys are more.
    if recipe.model.contains_key("preset") || zoo.model(name).is_ok_and(|(e, _)| e.name() != name) {
        let mut only = recipe.model.clone();
        only.retain(|key, _| ["name", "preset"].contains(&key));
        for (key, value) in zoo.configure(&only, &Table::new())?.table() {
            let is_free = FREE.contains(&key.as_str());
            if !is_free && !asked.contains_key(&key) {
                asked.insert(key, value);
            }
        }
    }
    let mut table = beside.model.clone();
    for (key, value) in asked {
        if ["name", "preset", "weights"].contains(&key.as_str()) {
            continue;
        }
        let before = table.insert(key.clone(), value.clone());
        let Some(before) = before.filter(|before| !is_equal(before, &value)) else {
            continue;
        };
        if !FREE.contains(&key.as_str()) {
            return Err(format!(
                "model.{key} = {value}: {} {before}; leave it out, or take other weights",
                beside.source
            ));
        }
        eprintln!("model.{key} = {value}, where {} {before}", beside.source);
    }
    Ok(table)
}

/// Whether two values are the same number, whichever way it is written.
fn is_equal(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| {
        let whole = value.as_integer().map(|value| value as f64);
        whole.or_else(|| value.as_float())
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
