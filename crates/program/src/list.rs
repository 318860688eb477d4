//! `zoo list`: what exists, read from the tables that make it exist.

use serde_json::{Value, json};
use zoo_print::columns::columns;
use zoo_train::Recipe;

use crate::cli::{ListArgs, Listing};
use crate::data::DataSet;
use crate::devices::BACKENDS;
use crate::error::Error;
use crate::progress::print_json;
use crate::registry::Entry;
use crate::rows::Zoo;

/// Prints one table, or all of them.
pub fn run(zoo: &Zoo, args: &ListArgs) -> Result<(), Error> {
    let all = [
        Listing::Models,
        Listing::Recipes,
        Listing::Datasets,
        Listing::Backends,
    ];
    let chosen = args.what.map_or(all.to_vec(), |one| vec![one]);
    let mut tables = serde_json::Map::new();
    for listing in chosen {
        let (title, rows) = table(zoo, listing)?;
        if !args.json {
            println!("{title}");
            print_rows(&rows);
            println!();
        }
        tables.insert(
            title.to_owned(),
            rows.into_iter().map(Value::Object).collect(),
        );
    }
    if args.json {
        print_json(&tables);
    }
    Ok(())
}

type Row = serde_json::Map<String, Value>;

fn table(zoo: &Zoo, listing: Listing) -> Result<(&'static str, Vec<Row>), Error> {
    let rows = |values: Vec<Value>| -> Vec<Row> {
        values
            .into_iter()
            .filter_map(|value| value.as_object().cloned())
            .collect()
    };
    Ok(match listing {
        Listing::Models => {
            let models = zoo.models.iter();
            let row = |entry: &&dyn Entry| json!({ "name": entry.name(), "presets": entry.presets(), "about": entry.about() });
            ("models", rows(models.map(row).collect()))
        }
        Listing::Recipes => {
            let mut values = Vec::new();
            for (name, text) in zoo.recipes() {
                let recipe = Recipe::parse(&format!("recipe {name}"), text, &[])?;
                let expect = recipe.expect.map(|expect| {
                    let bands = expect.metrics.iter();
                    let bands: Vec<String> = bands
                        .map(|(metric, [min, max])| format!("{metric} {min} to {max}"))
                        .collect();
                    let (minutes, machine) = (expect.minutes, &expect.machine);
                    format!("{}, {minutes} min on {machine}", bands.join(", "))
                });
                values.push(json!({ "name": name, "about": recipe.about, "expects": expect }));
            }
            ("recipes", rows(values))
        }
        Listing::Datasets => {
            let sets = zoo.data.iter();
            let row = |set: &DataSet| {
                let source = if set.built_in { "built in" } else { "files" };
                json!({ "name": set.name, "source": source, "about": set.about })
            };
            ("datasets", rows(sets.map(row).collect()))
        }
        Listing::Backends => {
            let row = |backend: &crate::devices::Backend| {
                let state = if backend.compiled_in {
                    "compiled in"
                } else {
                    "by feature"
                };
                json!({ "name": backend.name, "state": state, "about": backend.about })
            };
            ("backends", rows(BACKENDS.iter().map(row).collect()))
        }
    })
}

/// A row a line.
fn print_rows(rows: &[Row]) {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        Value::Null => "-".into(),
        other => other.to_string(),
    };
    // JSON maps are sorted by key; a table reads name first, then what it is.
    let order = ["name", "presets", "source", "state", "about", "expects"];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            order
                .iter()
                .filter_map(|key| row.get(*key))
                .map(text)
                .collect()
        })
        .collect();
    print!("{}", columns(&cells, "  "));
}
