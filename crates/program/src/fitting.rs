//! A recipe's data, and the model that fits it: the data is opened first, and the model is configured
//! by what it says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::{Table, Value};
use zoo_tasks::AnyCodec;
use zoo_train::Recipe;

use crate::data::{Asked, Data, Kept};
use crate::error::Error;
use crate::hub;
use crate::pretrained;
use crate::registry::Model;
use crate::rows::Zoo;
use crate::saved::{self, CONFIG_FILE, Config};

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

/// What lies beside the weights that a training starts from.
struct Beside {
    model: Table,
    codec: Arc<dyn AnyCodec>,
}

/// Opens the data of a recipe and configures its model.
///
/// # Errors
/// Data that cannot be read, a table that does not fit, or a model that does not fit the data.
pub fn fit(zoo: &Zoo, recipe: &Recipe, directory: &Path) -> Result<(Data, Box<dyn Model>), Error> {
    let wrong = |problem: String| Error::Request(format!("{}: {problem}", recipe.name));
    let beside = beside(zoo, recipe, directory)?;
    let table = match &beside {
        None => recipe.model.clone(),
        Some(beside) => merged(zoo, recipe, beside).map_err(wrong)?,
    };
    // What the model limits is asked of its table, before the data is known.
    let longest = zoo
        .configure(&table, &Table::new())
        .map_err(wrong)?
        .longest();
    let asked = Asked {
        longest,
        kept: beside.as_ref().map(|beside| Kept::Language(&*beside.codec)),
    };
    let data = zoo.open(&recipe.data, directory, asked)?;
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

/// The configuration beside the weights of a recipe, if there is one.
fn beside(zoo: &Zoo, recipe: &Recipe, directory: &Path) -> Result<Option<Beside>, Error> {
    let Some(given) = recipe.model.get("weights").and_then(Value::as_str) else {
        return Ok(None);
    };
    let path = pretrained::find_file(zoo, given, directory)?;
    let folder = match path.is_dir() {
        true => path,
        false => path.parent().map(PathBuf::from).unwrap_or_default(),
    };
    let Ok(text) = saved::read_config(&folder) else {
        return Ok(None); // Weights alone: the recipe says what they are of.
    };
    let wrong = |problem: String| {
        let file = folder.join(CONFIG_FILE);
        Error::Request(format!(
            "model.weights = {given:?}: {}: {problem}",
            file.display()
        ))
    };
    let (model, codec) = match hub::is_origins(&text).map_err(wrong)? {
        true => saved::of_origin(zoo, &folder, &text).map_err(wrong)?,
        false => Config::parse(&text)
            .and_then(|config| config.open(zoo))
            .map_err(wrong)?,
    };
    Ok(Some(Beside {
        model: model.table(),
        codec,
    }))
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
            "model.name = {name:?}: the weights' {CONFIG_FILE} is of {:?}",
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
                "model.{key} = {value}: the weights' {CONFIG_FILE} says {before}; leave it out, or take \
                 other weights"
            ));
        }
        eprintln!("model.{key} = {value}, where the weights' {CONFIG_FILE} says {before}");
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
