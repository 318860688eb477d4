//! The recipes beside the models, as far as a table of results speaks of them. What they mean to a
//! training is zoo's affair, which refuses wrong ones; here a recipe is its claim and its keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use toml::Table;

use crate::Failure;

/// A recipe file.
pub(crate) struct Recipe {
    pub(crate) name: String,
    /// Folder of its model family, from the workspace root: `models/mlp`.
    pub(crate) family: String,
    /// One line on what it trains.
    pub(crate) about: String,
    /// How long it claims to take, in minutes.
    pub(crate) minutes: f64,
    /// Least and greatest value that it claims, by `split.metric`.
    pub(crate) bands: BTreeMap<String, [f64; 2]>,
    /// What makes the run what it is: every value by its dotted key, sentence and claim aside.
    pub(crate) keys: Map<String, Value>,
}

/// Every recipe of every family that claims a result, the quickest first.
pub(crate) fn read_all(root: &Path) -> Result<Vec<Recipe>, Failure> {
    let mut recipes = Vec::new();
    for family in families(root)? {
        for name in stems(&root.join(&family).join("recipes"), "toml")? {
            let path = Recipe::path_of(&family, &name);
            let text = fs::read_to_string(root.join(&path));
            let text = text.map_err(|error| Failure::Work(format!("{path}: {error}")))?;
            if !claims(&text) {
                continue;
            }
            let recipe = Recipe::parse(&family, &name, &text);
            recipes.push(recipe.map_err(|what| Failure::Work(format!("{path}: {what}")))?);
        }
    }
    recipes.sort_by(|a, b| {
        let by_name = || a.name.cmp(&b.name);
        a.minutes.total_cmp(&b.minutes).then_with(by_name)
    });
    Ok(recipes)
}

/// Whether a recipe claims a result. One that does not has not been run to its end yet, such as one for
/// a machine that is not here: no table speaks of it.
fn claims(text: &str) -> bool {
    text.lines()
        .any(|line| line.trim_start().starts_with("[expect"))
}

/// The folders of the model families: `models/mlp`.
pub(crate) fn families(root: &Path) -> Result<Vec<String>, Failure> {
    let names = entries(&root.join("models"))?;
    Ok(names.iter().map(|name| format!("models/{name}")).collect())
}

/// The names of the files in `folder` that end in `.extension`, without it, in order; none where
/// there is no such folder.
pub(crate) fn stems(folder: &Path, extension: &str) -> Result<Vec<String>, Failure> {
    let ending = format!(".{extension}");
    let names = entries(folder)?;
    let stems = names.iter().filter_map(|name| name.strip_suffix(&ending));
    Ok(stems.map(str::to_owned).collect())
}

/// What lies in a folder; nothing where there is none.
pub(crate) fn entries(folder: &Path) -> Result<BTreeSet<String>, Failure> {
    if !folder.is_dir() {
        return Ok(BTreeSet::new());
    }
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().into_string());
    let names: Result<Vec<_>, _> =
        fs::read_dir(folder).and_then(|entries| entries.map(name).collect());
    let names = names.map_err(|error| Failure::Work(format!("{}: {error}", folder.display())))?;
    // A name that is not UTF-8 is none of ours.
    Ok(names.into_iter().flatten().collect())
}

impl Recipe {
    /// Reads the text of a recipe.
    pub(crate) fn parse(family: &str, name: &str, text: &str) -> Result<Self, String> {
        let mut table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| format!("not TOML: {error}"))?;
        let about = table.remove("about");
        let expect = table.remove("expect").unwrap_or(Table::new().into());
        let bands = expect.get("metrics").and_then(toml::Value::as_table);
        let bands = bands.ok_or("claims nothing; give it expect.metrics")?;
        let bands = bands.iter().map(|(metric, band)| {
            let fault = || format!("expect.metrics: {metric} must be [least, greatest]");
            Ok::<_, String>((metric.clone(), pair(band).ok_or_else(fault)?))
        });
        let mut keys = Map::new();
        flatten("", table, &mut keys);
        Ok(Self {
            name: name.to_owned(),
            family: family.to_owned(),
            about: about
                .as_ref()
                .and_then(toml::Value::as_str)
                .ok_or("lacks `about`, one line on what it trains")?
                .to_owned(),
            minutes: expect
                .get("minutes")
                .and_then(number)
                .ok_or("lacks expect.minutes, about how long it takes")?,
            bands: bands.collect::<Result<_, _>>()?,
            keys,
        })
    }

    /// Its file, from the workspace root.
    pub(crate) fn path(&self) -> String {
        Self::path_of(&self.family, &self.name)
    }

    /// The file of the recipe `name`, from the workspace root.
    pub(crate) fn path_of(family: &str, name: &str) -> String {
        format!("{family}/recipes/{name}.toml")
    }

    /// The claims that `metrics` do not keep, a sentence each.
    pub(crate) fn breaches(&self, metrics: &BTreeMap<String, f64>) -> Vec<String> {
        let breach = |(metric, [least, greatest]): (&String, &[f64; 2])| match metrics.get(metric) {
            None => Some(format!("no {metric}, of which the recipe claims a value")),
            // Written so that NaN does not pass.
            Some(value) if !(least <= value && value <= greatest) => Some(format!(
                "{metric} = {value} is outside of the recipe's band, {least} to {greatest}"
            )),
            Some(_) => None,
        };
        self.bands.iter().filter_map(breach).collect()
    }
}

/// Adds the values of `table` to `keys` by dotted key, as JSON.
fn flatten(prefix: &str, table: Table, keys: &mut Map<String, Value>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => flatten(&format!("{prefix}{key}."), inner, keys),
            value => {
                keys.insert(format!("{prefix}{key}"), json(value));
            }
        }
    }
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        // JSON has neither NaN nor infinity.
        toml::Value::Float(number) if !number.is_finite() => number.to_string().into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            let values = table.into_iter().map(|(key, value)| (key, json(value)));
            Value::Object(values.collect())
        }
    }
}

fn pair(band: &toml::Value) -> Option<[f64; 2]> {
    match band.as_array()?.as_slice() {
        [least, greatest] => Some([number(least)?, number(greatest)?]),
        _ => None,
    }
}

/// A number, written with a point or without.
fn number(value: &toml::Value) -> Option<f64> {
    let integer = || value.as_integer().map(|number| number as f64);
    value.as_float().or_else(integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        about = "a test"
        model = { name = "mlp", widths = [4, 2] }
        [optimizer]
        learning_rate = 1e-2
        [expect]
        machine = "any"
        minutes = 2
        metrics = { "test.accuracy" = [0.5, 1] }
    "#;

    fn parse(text: &str) -> Result<Recipe, String> {
        Recipe::parse("models/mlp", "x", text)
    }

    #[test]
    fn keys_are_what_makes_the_run() {
        let recipe = parse(TEXT).unwrap();
        let keys = serde_json::json!({
            "model.name": "mlp",
            "model.widths": [4, 2],
            "optimizer.learning_rate": 0.01,
        });
        assert_eq!(Value::Object(recipe.keys), keys);
        assert_eq!((recipe.about.as_str(), recipe.minutes), ("a test", 2.0));
        assert_eq!(recipe.bands["test.accuracy"], [0.5, 1.0]);
    }

    #[test]
    fn a_recipe_without_a_sentence_or_a_claim_is_refused() {
        for (of, says) in [
            ("about", "about"),
            ("minutes", "expect.minutes"),
            ("metrics", "expect.metrics"),
        ] {
            let text: Vec<&str> = TEXT
                .lines()
                .filter(|line| !line.trim().starts_with(of))
                .collect();
            let Err(problem) = parse(&text.join("\n")) else {
                panic!("{of} is not missed")
            };
            assert!(problem.contains(says), "{problem}");
        }
    }

    #[test]
    fn a_claim_is_kept_within_the_band_its_ends_included() {
        let recipe = parse(TEXT).unwrap();
        let breaches = |value: f64| recipe.breaches(&[("test.accuracy".into(), value)].into());
        assert!(breaches(0.5).is_empty() && breaches(1.0).is_empty());
        assert_eq!(
            breaches(0.4),
            ["test.accuracy = 0.4 is outside of the recipe's band, 0.5 to 1"]
        );
        assert_eq!(breaches(f64::NAN).len(), 1);
        assert_eq!(recipe.breaches(&BTreeMap::new()).len(), 1);
    }
}
