//! Lists of runs, and what differs between two.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use humantime::parse_rfc3339;
use serde::Serialize;
use toml::{Table, Value};
use zoo_train::{
    Event, METRICS_FILE, MOST_RECIPE_BYTES, Metrics, Plan, RECIPE_FILE, RECORD_FILE, Record, State,
    Unit, differences, events_in, flatten,
};

use crate::Folder;
use crate::format::{duration, metric, state_text};
use zoo_print::columns::{columns, one_line, padded, sentence, short, width};

/// One run of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// The folder's name.
    pub run: String,
    /// Where it lies.
    pub path: String,
    /// How far it is, where a run that says it is running and was killed is interrupted; none if
    /// `run.json` is damaged.
    pub state: Option<State>,
    /// The recipe's name.
    pub recipe: Option<String>,
    /// The first device's backend: `flex`.
    pub backend: Option<String>,
    /// Every device, as the command line names it.
    pub devices: Vec<String>,
    /// The metric that chose the model, at its best.
    pub best: Option<Best>,
    /// Steps done; of a run without a result, those that it last told of.
    pub steps: usize,
    /// Steps in all, of a run without a result.
    pub total_steps: Option<usize>,
    /// Time of the last process, in seconds, as far as it is known.
    pub wall_seconds: Option<f64>,
    /// When it began, RFC 3339.
    pub started: Option<String>,
    /// Why it failed, or what of it could not be read.
    pub problem: Option<String>,
}

/// A metric and its value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Best {
    /// `split.metric`
    pub metric: String,
    /// The value; null in JSON where it is not finite.
    pub value: f64,
    /// What the value counts.
    pub unit: Unit,
}

/// The runs in a folder, the newest first. A folder that does not exist has none.
///
/// # Errors
/// A folder that cannot be listed.
pub fn list(root: &Path) -> io::Result<Vec<Row>> {
    let failed =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", root.display()));
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut rows = Vec::new();
    for entry in entries {
        rows.extend(row(&entry.map_err(failed)?.path()));
    }
    // RFC 3339 in UTC sorts by time. Within one second the longer name has the larger number.
    let key = |row: &Row| (row.started.clone(), row.run.len(), row.run.clone());
    rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
    Ok(rows)
}

/// What a list says of a folder; nothing if it is no run.
fn row(folder: &Path) -> Option<Row> {
    // Not followed: a link to nothing says that something should be there.
    fs::symlink_metadata(folder.join(RECORD_FILE)).ok()?;
    let named = Row {
        run: folder.file_name()?.to_string_lossy().into_owned(),
        path: folder.display().to_string(),
        ..Row::default()
    };
    let record = match Record::read(folder) {
        Ok(record) => record,
        Err(error) => {
            return Some(Row {
                problem: Some(format!("{RECORD_FILE} is damaged: {error}")),
                ..named
            });
        }
    };
    let mut run = Folder {
        path: folder.to_owned(),
        record,
        recipe: String::new(),
        events: Vec::new(),
        insight: None,
        problems: Vec::new(),
    };
    // Before anything else is read: a run that ends meanwhile must not look killed.
    let state = run.state();
    let recipe = zoo_files::read_text(&folder.join(RECIPE_FILE), MOST_RECIPE_BYTES);
    let recipe = recipe.map_err(|error| error.to_string());
    let recipe = recipe.and_then(|text| parse(&text));
    let chosen_by = chosen_by(recipe.as_ref().ok());
    let unreadable = recipe.err().map(|error| format!("{RECIPE_FILE}: {error}"));
    let mut row = Row {
        state: Some(state),
        recipe: Some(run.record.recipe.clone()),
        backend: Some(run.record.backend.clone()),
        devices: run.record.devices.clone(),
        started: Some(run.record.started.clone()),
        // Of one that was interrupted, the state says it all.
        problem: match state {
            State::Failed => run.record.problem.clone(),
            _ => unreadable,
        },
        ..named
    };
    if let Some(result) = &run.record.result {
        row.best = best_of(&run, &result.metrics, &chosen_by);
        row.steps = result.steps;
        row.wall_seconds = Some(result.wall_seconds);
        return Some(row);
    }
    // Only where there is no result are all events read: there may be many runs.
    match events_in(folder) {
        Ok((events, _)) => run.events = events,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => row.problem = Some(format!("{METRICS_FILE}: {error}")),
    }
    let (steps, total_steps) = run.steps();
    row.best = best_of(&run, &best_validation(&run.events), &chosen_by);
    row.steps = steps;
    row.total_steps = (!run.events.is_empty()).then_some(total_steps);
    row.wall_seconds = wall_seconds(&run, state);
    Some(row)
}

fn parse(recipe: &str) -> Result<Table, String> {
    recipe
        .parse()
        .map_err(|error: toml::de::Error| format!("not TOML: {}", error.message()))
}

/// The metric that chooses the best model. Read as plain TOML: a recipe of another version may
/// have keys that this one refuses.
fn chosen_by(recipe: Option<&Table>) -> String {
    let named = recipe.and_then(|recipe| recipe.get("train")?.get("best")?.as_str());
    named.map_or_else(|| Plan::default().best, str::to_owned)
}

/// The metric that chose the model, on the validation data, or else on the test data.
fn best_of(run: &Folder, metrics: &Metrics, best: &str) -> Option<Best> {
    let find = |split: &str| {
        let metric = format!("{split}.{best}");
        let value = *metrics.get(&metric)?;
        Some(Best {
            unit: run.unit(&metric),
            metric,
            value,
        })
    };
    find("valid").or_else(|| find("test"))
}

/// The metrics of the best validation so far, as training itself told, by `split.metric`.
fn best_validation(events: &[Event]) -> Metrics {
    let best = events.iter().rev().find_map(|event| match event {
        Event::Validation {
            metrics,
            best: true,
            ..
        } => Some(metrics),
        _ => None,
    });
    let named = best.into_iter().flatten();
    named
        .map(|(name, value)| (format!("valid.{name}"), *value))
        .collect()
}

/// How long the last process of a run without a result has been at work, in seconds.
fn wall_seconds(run: &Folder, state: State) -> Option<f64> {
    let record = &run.record;
    let resumed = record.resumed.last().map(|resumed| &resumed.at);
    let ended = match (&record.ended, state) {
        (Some(ended), _) => parse_rfc3339(ended).ok()?,
        (None, State::Running) => SystemTime::now(),
        // A killed one could not say when; the end of its last epoch is known.
        (None, _) => {
            let process = run.events.iter().rev();
            let mut process = process.take_while(|event| !matches!(event, Event::Start { .. }));
            return process.find_map(|event| match event {
                Event::Epoch { wall_seconds, .. } => Some(*wall_seconds),
                _ => None,
            });
        }
    };
    let began = parse_rfc3339(resumed.unwrap_or(&record.started)).ok()?;
    Some(
        ended
            .duration_since(began)
            .unwrap_or_default()
            .as_secs_f64(),
    )
}

/// A list for people.
pub fn list_text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "there are no runs here; make one with: train RECIPE (see list recipes), or name \
                the folder that has some with --out DIR\n"
            .into();
    }
    let dash = || "-".to_owned();
    let mut cells = vec![
        [
            "run",
            "state",
            "recipe",
            "backend",
            "best",
            "steps",
            "time",
            "started (UTC)",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for row in rows {
        let backend = row.backend.as_ref().map(|name| match row.devices.len() {
            0 | 1 => name.clone(),
            devices => format!("{name} x{devices}"),
        });
        let steps = match row.total_steps {
            Some(total) => format!("{} of {total}", row.steps),
            None if row.state.is_none() => dash(),
            None => row.steps.to_string(),
        };
        let best = row.best.as_ref();
        let best = best.map(|best| format!("{} {}", best.metric, metric(best.value, best.unit)));
        let started = row.started.as_ref().map(|started| {
            let minutes = started.get(..16).unwrap_or(started);
            minutes.replace('T', " ")
        });
        cells.push(vec![
            one_line(&row.run),
            row.state.map_or("damaged", state_text).into(),
            row.recipe.as_deref().map_or_else(dash, short),
            backend.as_deref().map_or_else(dash, short),
            best.as_deref().map_or_else(dash, short),
            steps,
            row.wall_seconds.map_or_else(dash, duration),
            started.as_deref().map_or_else(dash, short),
        ]);
    }
    let mut text = columns(&cells, "");
    for row in rows {
        if let Some(problem) = &row.problem {
            text += &format!("{}: {}\n", one_line(&row.run), sentence(problem));
        }
    }
    text
}

/// What differs in one respect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// The respect: `recipe`, `environment`, `data` or `result`.
    pub title: String,
    /// What differs; in `result`, everything that there is.
    pub rows: Vec<Difference>,
    /// Why it could not be told.
    pub problem: Option<String>,
}

/// One thing in which two runs differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The dotted key of the recipe, the fact, the split, or `split.metric`.
    pub key: String,
    /// The first run's value, if it has one.
    pub a: Option<Value>,
    /// The second one's.
    pub b: Option<Value>,
    /// `b - a`, in a result.
    pub change: Option<f64>,
}

/// What differs between two runs in recipe, environment, data and result.
pub fn difference(a: &Folder, b: &Folder) -> Vec<Section> {
    let section = |title: &str, facts: [BTreeMap<String, Value>; 2]| Section {
        title: title.into(),
        rows: differing(facts),
        problem: None,
    };
    let recipes = [a, b].map(|run| parse(&run.recipe));
    let unread = recipes.iter().zip(["a", "b"]).find_map(|(recipe, run)| {
        let problem = match recipe {
            Ok(recipe) if recipe.is_empty() => "is empty or cannot be read",
            Ok(_) => return None,
            Err(problem) => problem,
        };
        Some(format!("{run}: {RECIPE_FILE}: {problem}"))
    });
    let mut recipe = section(
        "recipe",
        recipes.map(|recipe| flatten(&recipe.unwrap_or_default())),
    );
    if unread.is_some() {
        // Every key of the other one would seem to differ.
        recipe.rows.clear();
        recipe.problem = unread;
    }
    let data = [a, b].map(|run| texts(&run.record.data_sha256));
    vec![
        recipe,
        section("environment", [a, b].map(|run| environment(&run.record))),
        section("data", data),
        Section {
            title: "result".into(),
            rows: results([result(a), result(b)]),
            problem: None,
        },
    ]
}

fn differing([a, b]: [BTreeMap<String, Value>; 2]) -> Vec<Difference> {
    let keys = differences(&a, &b).into_iter();
    keys.map(|difference| Difference {
        a: a.get(&difference.key).cloned(),
        b: b.get(&difference.key).cloned(),
        key: difference.key,
        change: None,
    })
    .collect()
}

fn texts(facts: &BTreeMap<String, String>) -> BTreeMap<String, Value> {
    let facts = facts.iter();
    facts
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
        .collect()
}

/// Machine and versions. The seed is the recipe's.
fn environment(record: &Record) -> BTreeMap<String, Value> {
    let mut facts = texts(&record.environment);
    facts.extend([
        ("backend".into(), Value::from(record.backend.as_str())),
        ("devices".into(), Value::from(record.devices.clone())),
        ("zoo".into(), Value::from(record.zoo.as_str())),
        ("burn".into(), Value::from(record.burn.as_str())),
    ]);
    facts
}

/// What came of a run, or has come of it so far.
fn result(run: &Folder) -> BTreeMap<String, Value> {
    let state = run.state();
    let numbers = |metrics: &Metrics| -> BTreeMap<String, Value> {
        let metrics = metrics.iter();
        metrics
            .map(|(name, value)| (name.clone(), Value::from(*value)))
            .collect()
    };
    let count = |steps: usize| Value::from(i64::try_from(steps).unwrap_or(i64::MAX));
    let mut facts = match &run.record.result {
        Some(result) => {
            let mut facts = numbers(&result.metrics);
            facts.extend([
                ("steps".into(), count(result.steps)),
                ("wall_seconds".into(), Value::from(result.wall_seconds)),
                (
                    "samples_per_second".into(),
                    Value::from(result.samples_per_second),
                ),
            ]);
            facts
        }
        None => {
            let mut facts = numbers(&best_validation(&run.events));
            let (steps, total_steps) = run.steps();
            facts.insert("steps".into(), count(steps));
            facts.insert("total_steps".into(), count(total_steps));
            let seconds = wall_seconds(run, state);
            facts.extend(seconds.map(|seconds| ("wall_seconds".into(), Value::from(seconds))));
            facts
        }
    };
    facts.insert("state".into(), Value::from(state_text(state)));
    facts
}

/// All results, the metrics first.
fn results([a, b]: [BTreeMap<String, Value>; 2]) -> Vec<Difference> {
    let number = |value: &Value| {
        let whole = value.as_integer().map(|whole| whole as f64);
        value.as_float().or(whole)
    };
    let mut keys: Vec<&String> = a
        .keys()
        .chain(b.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    keys.sort_by_key(|key| !key.contains('.'));
    keys.into_iter()
        .map(|key| {
            let (a, b) = (a.get(key), b.get(key));
            let numbers = a.and_then(number).zip(b.and_then(number));
            Difference {
                key: key.clone(),
                a: a.cloned(),
                b: b.cloned(),
                change: numbers.map(|(a, b)| b - a),
            }
        })
        .collect()
}

/// The most characters that two values may have to stand in one line.
const ONE_LINE: usize = 72;

/// The differences for people.
pub fn difference_text(sections: &[Section], a: &Folder, b: &Folder) -> String {
    let mut text = format!("a: {}\nb: {}\n", a.path.display(), b.path.display());
    for section in sections {
        let title = &section.title;
        if let Some(problem) = &section.problem {
            text += &format!("\n{title}: not compared: {}\n", sentence(problem));
            continue;
        }
        if section.rows.is_empty() {
            text += &format!("\n{title}: the same\n");
            continue;
        }
        text += &format!("\n{title}\n");
        if title == "result" {
            text += &result_text(&section.rows);
            continue;
        }
        let keys = section.rows.iter().map(|row| width(&short(&row.key)));
        let keys = keys.max().unwrap_or(0);
        for row in &section.rows {
            let (a, b) = (value_text(row.a.as_ref()), value_text(row.b.as_ref()));
            let key = padded(&short(&row.key), keys);
            let turn = if width(&a) + width(&b) <= ONE_LINE {
                " -> ".into()
            } else {
                format!("\n{}-> ", " ".repeat(keys + 4))
            };
            text += &format!("  {key}  {a}{turn}{b}\n");
        }
    }
    text
}

fn result_text(rows: &[Difference]) -> String {
    let mut cells = vec![["", "a", "b", "b - a"].map(str::to_owned).to_vec()];
    for row in rows {
        let change = row.change.map_or(String::new(), |change| {
            let sign = if change > 0.0 { "+" } else { "" };
            format!("{sign}{}", number(change))
        });
        let value = |value: &Option<Value>| match value {
            Some(Value::Float(value)) => number(*value),
            other => value_text(other.as_ref()),
        };
        cells.push(vec![
            short(&row.key),
            short(&value(&row.a)),
            short(&value(&row.b)),
            change,
        ]);
    }
    columns(&cells, "  ")
}

fn value_text(value: Option<&Value>) -> String {
    match value {
        None => "nothing".into(),
        Some(Value::String(text)) if text.len() == 64 && is_hex(text) => {
            // Enough of a sum to tell it from another by eye.
            format!("{}…", &text[..12])
        }
        Some(Value::String(text)) if !text.is_empty() => one_line(text),
        Some(other) => one_line(&other.to_string()),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A measured number: four decimals, which tell metrics apart, or more where they would show
/// nothing.
fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".into(),
        0.001..100.0 => format!("{value:.4}"),
        100.0..1e7 => format!("{value:.1}"),
        _ if size.is_finite() => format!("{value:.3e}"),
        _ => value.to_string(),
    }
}
