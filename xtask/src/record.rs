//! `models/FAMILY/results/RECIPE.json`: one run of a recipe, as it is committed. Made from the
//! run's own `run.json`, never by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Failure;
use crate::recipes::{Recipe, families, stems};

/// What the tables and checks ask of a record; the file holds more.
pub(crate) struct Record {
    /// The recipe's.
    pub(crate) name: String,
    /// Folder of the model family: `models/mlp`.
    pub(crate) family: String,
    /// By `split.metric`: the mean, where there were several runs.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// The metrics of every run, where there were several, by seed.
    pub(crate) seeds: BTreeMap<String, BTreeMap<String, f64>>,
    /// What each metric counts, by its name without the split: `share`, `nats`, `plain`.
    pub(crate) units: BTreeMap<String, String>,
    /// Optimizer steps done.
    pub(crate) steps: u64,
    /// Time in all, in seconds.
    pub(crate) wall_seconds: f64,
    /// Training examples a second.
    pub(crate) samples_per_second: f64,
    /// As the command line names them, the one with the weights first.
    pub(crate) devices: Vec<String>,
    /// The machine; which keys there are is the run's affair.
    pub(crate) environment: BTreeMap<String, String>,
    /// Version of this project.
    pub(crate) zoo: String,
    /// Version of Burn.
    pub(crate) burn: String,
    /// The day on which the run ended, `2026-11-24`.
    pub(crate) date: String,
    /// What was run: the keys of the recipe's file as they were.
    pub(crate) recipe: Map<String, Value>,
}

/// Every record of every family, and what is wrong with those that cannot be read.
pub(crate) fn read_all(root: &Path) -> Result<(Vec<Record>, Vec<String>), Failure> {
    let (mut records, mut problems) = (Vec::new(), Vec::new());
    for family in families(root)? {
        for name in stems(&root.join(&family).join("results"), "json")? {
            let path = Record::path_of(&family, &name);
            let record = fs::read_to_string(root.join(&path))
                .map_err(|error| error.to_string())
                .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
                .and_then(|json| Record::parse(&family, &name, &json));
            match record {
                Ok(record) => records.push(record),
                Err(what) => problems.push(format!("{path}: {what}; cargo xtask results {name}")),
            }
        }
    }
    Ok((records, problems))
}

impl Record {
    fn parse(family: &str, name: &str, json: &Value) -> Result<Self, String> {
        let lacks = |key: &str| format!("lacks {key}, or it is not what it should be");
        let text = |key: &str| json[key].as_str().map(str::to_owned).ok_or(lacks(key));
        let number = |key: &str| json[key].as_f64().ok_or(lacks(key));
        Ok(Self {
            name: name.to_owned(),
            family: family.to_owned(),
            metrics: values(&json["metrics"], Value::as_f64).ok_or(lacks("metrics"))?,
            seeds: match &json["seeds"] {
                Value::Null => BTreeMap::new(),
                seeds => values(seeds, |one| values(one, Value::as_f64)).ok_or(lacks("seeds"))?,
            },
            units: values(&json["units"], |value| value.as_str().map(str::to_owned))
                .ok_or(lacks("units"))?,
            steps: json["steps"].as_u64().ok_or(lacks("steps"))?,
            wall_seconds: number("wall_seconds")?,
            samples_per_second: number("samples_per_second")?,
            devices: values_of_list(&json["devices"]).ok_or(lacks("devices"))?,
            environment: values(&json["environment"], |value| {
                value.as_str().map(str::to_owned)
            })
            .ok_or(lacks("environment"))?,
            zoo: text("zoo")?,
            burn: text("burn")?,
            date: text("date")?,
            recipe: json["recipe"].as_object().cloned().ok_or(lacks("recipe"))?,
        })
    }

    /// The record of runs that have ended, which differ by their seed alone, and the text of its file: of
    /// what differs, the mean.
    ///
    /// `revision` is that of the working tree from which the runs were built.
    pub(crate) fn of_runs(
        recipe: &Recipe,
        runs: &[Value],
        revision: Option<&str>,
    ) -> Result<(Self, String), String> {
        if let Some(run) = runs.iter().find(|run| run["state"] != "finished") {
            return Err(format!("the run's state is {}", run["state"]));
        }
        let run = runs.first().ok_or("there is none")?;
        let mean = |of: &dyn Fn(&Value) -> Option<f64>| {
            let all: Option<Vec<f64>> = runs.iter().map(of).collect();
            all.map(|all| all.iter().sum::<f64>() / all.len() as f64)
        };
        let metrics = run["result"]["metrics"].as_object().into_iter().flatten();
        let metrics: Map<String, Value> = metrics
            .map(|(name, _)| {
                let of = |run: &Value| run["result"]["metrics"][name].as_f64();
                (name.clone(), json!(mean(&of)))
            })
            .collect();
        let result = |key: &'static str| json!(mean(&|run| run["result"][key].as_f64()));
        let seed = |run: &Value| (run["seed"].to_string(), run["result"]["metrics"].clone());
        let seeds: Map<String, Value> = runs.iter().map(seed).collect();
        let day = run["ended"].as_str().and_then(|date| date.get(..10));
        let environment = run["environment"].as_object().cloned().unwrap_or_default();
        let environment: Map<String, Value> = environment
            .into_iter()
            .filter(|(key, value)| is_public(key, value))
            .collect();
        let mut json = json!({
            "name": recipe.name,
            "metrics": metrics,
            "units": units(&run["metrics"]),
            "steps": run["result"]["steps"],
            "stopped_early": run["result"]["stopped_early"],
            "wall_seconds": result("wall_seconds"),
            "samples_per_second": result("samples_per_second"),
            "backend": run["backend"],
            "devices": run["devices"],
            "seed": run["seed"],
            "environment": environment,
            "zoo": run["zoo"],
            "burn": run["burn"],
            "date": day,
            "revision": revision,
            "data_sha256": run["data_sha256"],
            "recipe": recipe.keys,
        });
        if runs.len() > 1 {
            json["seeds"] = seeds.into();
        }
        let record = Self::parse(&recipe.family, &recipe.name, &json)?;
        Ok((record, format!("{json:#}\n")))
    }

    /// Its file, from the workspace root.
    pub(crate) fn path(&self) -> String {
        Self::path_of(&self.family, &self.name)
    }

    fn path_of(family: &str, name: &str) -> String {
        format!("{family}/results/{name}.json")
    }

    /// The keys in which the recipe is no longer what was run: `train.epochs: 10, now 20`.
    pub(crate) fn changes(&self, recipe: &Recipe) -> Vec<String> {
        let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        let keys = self.recipe.iter().chain(&recipe.keys);
        let keys: std::collections::BTreeSet<&String> = keys.map(|(key, _)| key).collect();
        let before_and_now = keys
            .into_iter()
            .map(|key| (key, self.recipe.get(key), recipe.keys.get(key)));
        before_and_now
            .filter(|(_, before, now)| before != now)
            .map(|(key, before, now)| format!("{key}: {}, now {}", show(before), show(now)))
            .collect()
    }
}

/// Whether an entry of a run's environment tells a kind of machine, not which machine it is or
/// where things lie on it. The revision is not of the machine: it is taken before anything changes.
fn is_public(key: &str, value: &Value) -> bool {
    let Some(value) = value.as_str() else {
        return false;
    };
    let telling = ["host", "user", "folder", "path", "dir", "revision"];
    let is_path = |word: &str| word.starts_with(['/', '~']) || word.contains('\\');
    !telling.iter().any(|word| key.contains(word)) && !value.split_whitespace().any(is_path)
}

/// The units of a run's definitions of metrics, by name.
fn units(definitions: &Value) -> Map<String, Value> {
    let definitions = definitions.as_array().into_iter().flatten();
    let unit = |one: &Value| Some((one["name"].as_str()?.to_owned(), one["unit"].clone()));
    definitions.filter_map(unit).collect()
}

/// An object whose values are all of one kind.
fn values<T>(json: &Value, of: impl Fn(&Value) -> Option<T>) -> Option<BTreeMap<String, T>> {
    let entries = json.as_object()?.iter();
    entries
        .map(|(key, value)| Some((key.clone(), of(value)?)))
        .collect()
}

fn values_of_list(json: &Value) -> Option<Vec<String>> {
    let items = json.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_names_a_machine_is_committed() {
        let folder = ["", "home", "me"].join("/");
        for (key, value, public) in [
            ("processor", "AMD EPYC 7B13 64-Core Processor", true),
            ("system", "linux 6.1.0", true),
            ("hostname", "box", false),
            ("data", folder.as_str(), false),
            ("system", "C:\\Users\\me", false),
            ("revision", "0123456789ab-dirty", false),
        ] {
            assert_eq!(is_public(key, &json!(value)), public, "{key} = {value}");
        }
    }
}
