//! `report.html`: one file that opens offline, in light, dark and print, with no script.

use std::collections::BTreeMap;

use toml::Table;
use zoo_train::{Event, Record, State, Unit};

use crate::Folder;
use crate::examples;
use crate::format::{digits, duration, metric, state_text, title};
use crate::plot::{Chart, Kind, Series, drawable};
use zoo_print::html::{Page, esc};

pub(crate) const STYLE: &str = include_str!("style.css");

/// Metrics that are drawn at most: a file of a few megabytes can name a million.
const MOST_DRAWN: usize = 32;

/// The report of a run: one HTML file without scripts, fonts or pictures from elsewhere. What is in
/// the folder is shown as text and never taken for markup.
pub fn page(run: &Folder) -> String {
    let frame = Page {
        title: &run.name(),
        style: STYLE,
        body: &body(run),
        ..Page::default()
    };
    frame.html()
}

/// What the report says.
pub(crate) fn body(run: &Folder) -> String {
    let mut body = format!(
        "<p class=\"eyebrow\">Burn Zoo, training run</p>\n<h1>{}</h1>\n<p class=\"about\">{}</p>\n",
        esc(&run.name()),
        esc(&about(run))
    );
    body += &live(run);
    if let Some(insight) = &run.insight {
        body += &examples::sections(insight);
    }
    body += &recipe(run);
    body += &environment(run);
    body + &format!(
        "<footer>Written by Burn Zoo {} with Burn {}. The numbers lie beside this file: \
         <code>metrics.jsonl</code>, <code>run.json</code>.</footer>\n",
        esc(&run.record.zoo),
        esc(&run.record.burn),
    )
}

/// What changes while a run goes on: its state, its result, its curves, as the element `#live`.
pub(crate) fn live(run: &Folder) -> String {
    let mut out = String::from("<div id=\"live\">\n");
    out += &state(run);
    out += &tiles(run);
    out += &charts(run);
    out + "</div>\n"
}

fn about(run: &Folder) -> String {
    let table: Table = run.recipe.parse().unwrap_or_default();
    let about = table.get("about").and_then(toml::Value::as_str);
    about.unwrap_or_default().to_owned()
}

fn state(run: &Folder) -> String {
    let state = run.state();
    let word = state_text(state);
    let (done, total) = run.steps();
    let share = (100.0 * done as f64 / total.max(1) as f64).min(100.0);
    let record = &run.record;
    let mut out = format!(
        "<div class=\"state\"><span class=\"mark {word}\">{word}</span>\
         <span>step {done} of {total}</span>\
         <span class=\"progress\"><i style=\"width:{share:.1}%\"></i></span>\
         <span class=\"soft\">on {}, seed {}, begun {}</span></div>\n",
        esc(&record.devices.join(" and ")),
        record.seed,
        esc(&record.started),
    );
    if let Some(problem) = &record.problem {
        let failed = if state == State::Failed {
            " failure"
        } else {
            ""
        };
        out += &format!("<p class=\"warning{failed}\">{}</p>\n", esc(problem));
    }
    for problem in &run.problems {
        out += &format!("<p class=\"warning\">Left out: {}</p>\n", esc(problem));
    }
    out
}

/// The result, or how it stands.
fn tiles(run: &Folder) -> String {
    let mut tiles = String::new();
    let mut tile = |name: &str, value: &str, note: &str, class: &str| {
        tiles += &format!(
            "<div><dt>{}</dt><dd{class}>{}{note}</dd></div>\n",
            esc(name),
            esc(value)
        );
    };
    let bands = bands(&run.recipe);
    if let Some(result) = &run.record.result {
        for (name, value) in &result.metrics {
            tile(
                &title(name),
                &metric(*value, run.unit(name)),
                &claim(&bands, name, *value, run.unit(name)),
                "",
            );
        }
        let small = " class=\"small\"";
        tile("Time", &duration(result.wall_seconds), "", small);
        let speed = format!("{} examples/s", digits(result.samples_per_second));
        tile("Training speed", &speed, "", small);
        if result.stopped_early {
            tile("Ended", "early, for want of a better model", "", small);
        }
    } else {
        for (name, value) in latest(&run.events) {
            tile(&title(&name), &metric(value, run.unit(&name)), "", "");
        }
    }
    if tiles.is_empty() {
        return String::new();
    }
    format!("<dl class=\"tiles\">\n{tiles}</dl>\n")
}

/// The newest loss of a step and the newest validation.
fn latest(events: &[Event]) -> Vec<(String, f64)> {
    let newest = events.iter().rev();
    let step = newest.clone().find_map(|event| match event {
        Event::Step { loss, .. } => Some(("training loss".to_owned(), *loss)),
        _ => None,
    });
    let valid = newest.clone().find_map(|event| match event {
        Event::Validation { metrics, .. } => Some(metrics),
        _ => None,
    });
    let valid = valid.into_iter().flatten();
    let valid = valid.map(|(name, value)| (format!("valid.{name}"), *value));
    step.into_iter().chain(valid).collect()
}

/// What the recipe says that each metric will be.
fn bands(recipe: &str) -> BTreeMap<String, [f64; 2]> {
    let table: Table = recipe.parse().unwrap_or_default();
    let claimed = table
        .get("expect")
        .and_then(|expect| expect.get("metrics"))
        .and_then(toml::Value::as_table);
    let number = |value: &toml::Value| {
        let integer = || value.as_integer().map(|number| number as f64);
        value.as_float().or_else(integer)
    };
    let band = |(name, band): (&String, &toml::Value)| match band.as_array()?.as_slice() {
        [least, greatest] => Some((name.clone(), [number(least)?, number(greatest)?])),
        _ => None,
    };
    claimed.into_iter().flatten().filter_map(band).collect()
}

fn claim(bands: &BTreeMap<String, [f64; 2]>, name: &str, value: f64, unit: Unit) -> String {
    let Some([least, greatest]) = bands.get(name) else {
        return String::new();
    };
    let band = format!("{} to {}", metric(*least, unit), metric(*greatest, unit));
    match (*least..=*greatest).contains(&value) {
        true => format!("<small class=\"kept\">as the recipe claims: {band}</small>"),
        false => format!("<small class=\"missed\">the recipe claims {band}</small>"),
    }
}

fn charts(run: &Folder) -> String {
    let events = &run.events;
    let (done, total) = run.steps();
    // Of a run that stopped early, what there is; of one that goes on, the way that is left too.
    let last_step = match run.record.result {
        Some(_) => done,
        None => total.max(done),
    } as f64;
    let resumed: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Start { step, .. } if *step > 0 => Some(*step as f64),
            _ => None,
        })
        .collect();
    let chart = |title: &str, series: Vec<Series>, best| {
        let chart = Chart {
            title: title.into(),
            series: series
                .into_iter()
                .filter(|one| !one.points.is_empty())
                .collect(),
            over: "steps".into(),
            places: Some((0.0, last_step.max(1.0))),
            resumed: resumed.clone(),
            best,
        };
        chart.figure()
    };
    let of_steps = |value: fn(&Event) -> Option<f64>| -> Vec<(f64, f64)> {
        let point = |event: &Event| Some((event.step() as f64, value(event)?));
        events.iter().filter_map(point).collect()
    };
    let steps = |name, points| Series {
        name: String::from(name),
        kind: Kind::Steps,
        points,
    };
    let losses = of_steps(|event| match event {
        Event::Step { loss, .. } => Some(*loss),
        _ => None,
    });
    let epochs = of_steps(|event| match event {
        Event::Epoch { loss, .. } => Some(*loss),
        _ => None,
    });
    let mean = if epochs.len() > 1 {
        ("training, mean of an epoch", epochs)
    } else {
        ("training, running mean", running_mean(&losses))
    };
    let validation = validation(events);
    let valid = |metric: &str| Series {
        name: "validation".into(),
        kind: Kind::Validation,
        points: validation.points.get(metric).cloned().unwrap_or_default(),
    };
    let best = |metric: &str| validation.best.get(metric).copied();

    let mut out = chart(
        "Loss",
        vec![
            steps("step", losses),
            Series {
                name: mean.0.into(),
                kind: Kind::Training,
                points: mean.1,
            },
            valid("loss"),
        ],
        best("loss"),
    );
    let others = || validation.points.keys().filter(|name| *name != "loss");
    for name in others().take(MOST_DRAWN) {
        let heading = format!("Validation {}", title(name).to_lowercase());
        out += &chart(&heading, vec![valid(name)], best(name));
    }
    let rates = of_steps(|event| match event {
        Event::Step { learning_rate, .. } => Some(*learning_rate),
        _ => None,
    });
    let norms = of_steps(|event| match event {
        Event::Step { gradient_norm, .. } => Some(*gradient_norm),
        _ => None,
    });
    let speeds = of_steps(|event| match event {
        Event::Step {
            samples_per_second, ..
        } => Some(*samples_per_second),
        _ => None,
    });
    let training = |points| Series {
        name: "training".into(),
        kind: Kind::Training,
        points,
    };
    out += &chart("Learning rate", vec![training(rates)], None);
    out += &chart("Gradient norm", vec![training(norms)], None);
    out += &chart(
        "Throughput, examples a second",
        vec![training(speeds)],
        None,
    );
    if out.is_empty() {
        return "<p class=\"soft\">No step has been logged yet.</p>\n".into();
    }
    let more = match others().count().saturating_sub(MOST_DRAWN) {
        0 => String::new(),
        more => format!("<p class=\"soft\">{more} more metrics are not drawn.</p>\n"),
    };
    format!("<div class=\"charts\">\n{out}</div>\n{more}")
}

/// Each value averaged with those before it, the nearest most: half the weight lies on the last
/// twentieth of the run.
fn running_mean(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 0.5_f64.powf(1.0 / (points.len() as f64 / 20.0).max(1.0));
    let (mut sum, mut weight) = (0.0, 0.0);
    let finite = points.iter().filter(|(_, value)| value.is_finite());
    finite
        .map(|(step, value)| {
            // Two of the largest numbers would make infinity.
            sum = keep * sum + drawable(*value);
            weight = keep * weight + 1.0;
            (*step, sum / weight)
        })
        .collect()
}

#[derive(Default)]
struct Validation {
    points: BTreeMap<String, Vec<(f64, f64)>>,
    /// Of the model that was kept.
    best: BTreeMap<String, (f64, f64)>,
}

fn validation(events: &[Event]) -> Validation {
    let mut found = Validation::default();
    for event in events {
        if let Event::Validation {
            step,
            metrics,
            best,
        } = event
        {
            for (name, value) in metrics {
                let point = (*step as f64, *value);
                found.points.entry(name.clone()).or_default().push(point);
                if *best {
                    found.best.insert(name.clone(), point);
                }
            }
        }
    }
    found
}

fn recipe(run: &Folder) -> String {
    if run.recipe.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>Recipe</h2>\n<p class=\"soft\">As it was trained, every default written out; \
         itself a recipe: <code>cargo xtask train {}/recipe.toml</code></p>\n\
         <pre>{}</pre>\n</section>\n",
        esc(&run.path.display().to_string()),
        esc(run.recipe.trim_end()),
    )
}

fn environment(run: &Folder) -> String {
    let Record {
        zoo,
        burn,
        started,
        ended,
        recipe_sha256,
        data_sha256,
        environment,
        resumed,
        ..
    } = &run.record;
    let mut rows: Vec<(String, String)> = vec![
        ("Burn Zoo".into(), zoo.clone()),
        ("Burn".into(), burn.clone()),
    ];
    rows.extend(
        environment
            .iter()
            .map(|(name, value)| (title(name), value.clone())),
    );
    rows.push(("Begun".into(), started.clone()));
    for resumed in resumed {
        let changed = match resumed.changed.as_slice() {
            [] => String::new(),
            changed => format!("; {}", changed.join("; ")),
        };
        let text = format!("{}, after step {}{changed}", resumed.at, resumed.step);
        rows.push(("Resumed".into(), text));
    }
    rows.extend(ended.iter().map(|ended| ("Ended".into(), ended.clone())));
    rows.push(("sha256 of the recipe".into(), recipe_sha256.clone()));
    let sums = data_sha256.iter();
    rows.extend(sums.map(|(split, sum)| (format!("sha256 of the {split} data"), sum.clone())));
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><th>{}</th><td>{}</td></tr>\n", esc(name), esc(value)))
        .collect();
    format!(
        "<section>\n<h2>Environment</h2>\n<div class=\"scroll\"><table>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n</section>\n"
    )
}
