//! One subject's part of the page: its cells, curves, speeds and costs.

use super::chart::{self, Chart, Series};
use super::facts;
use super::format::{self, bytes, digits, or_dash, rate, seconds};
use super::panel::{panel, relative};
use super::parts::{figure, fragment};
use crate::report::{Convergence, Outcome, Report, Speed, Subject, Work};
use zoo_print::html::{esc, heads, number, scrolling};

/// A subject from its name to its costs.
pub fn section(report: &Report, subject: &Subject) -> String {
    format!(
        "<section class=\"subject\" id=\"{0}\" aria-label=\"{1}\">\n<h2>{1}</h2>\n\
         <p class=\"hint\">{2}. Reference: {3}.</p>\n{4}{5}{6}{7}{8}</section>\n",
        fragment(&subject.name),
        esc(&subject.name),
        esc(&facts::about(subject)),
        esc(&facts::reference(subject)),
        panels(report, subject),
        curves(report, subject),
        speeds(report, subject),
        costs(subject),
        convergence(report, subject),
    )
}

/// What the cells of the matrix open, one a column.
fn panels(report: &Report, subject: &Subject) -> String {
    let columns = report.columns.iter();
    columns
        .map(|column| panel(report, subject, column))
        .collect()
}

/// Which style of line a column has, the same everywhere on the page.
fn style(report: &Report, outcome: &Outcome) -> Option<usize> {
    report
        .columns
        .iter()
        .position(|column| column.name == outcome.column)
}

fn curves(report: &Report, subject: &Subject) -> String {
    let step = |(at, value): (usize, f64)| (at as f64 + 1.0, value);
    let reference = &subject.reference.losses;
    let mut losses = vec![Series {
        name: format!("reference, {}", subject.reference.backend),
        style: None,
        points: reference.iter().copied().enumerate().map(step).collect(),
    }];
    let mut differences = Vec::new();
    for outcome in &subject.results {
        let Some(agreement) = outcome
            .agreement
            .as_ref()
            .filter(|one| !one.losses.is_empty())
        else {
            continue;
        };
        let (name, style) = (outcome.column.clone(), style(report, outcome));
        let pairs = agreement.losses.iter().zip(reference);
        let apart = pairs
            .map(|(loss, reference)| relative(*loss, *reference))
            .enumerate();
        differences.push(Series {
            name: name.clone(),
            style,
            points: apart.map(step).collect(),
        });
        let points = agreement
            .losses
            .iter()
            .copied()
            .enumerate()
            .map(step)
            .collect();
        losses.push(Series {
            name,
            style,
            points,
        });
    }
    if differences.is_empty() || reference.len() < 2 {
        return String::new();
    }
    format!(
        "<h3>Training losses</h3>\n<div class=\"charts\">{}{}</div>\n{}\n",
        chart::svg(&Chart {
            title: "Loss",
            logarithmic: false,
            series: &losses,
            limits: vec![]
        }),
        chart::svg(&Chart {
            title: "Difference to the reference, relative",
            logarithmic: true,
            series: &differences,
            limits: limits(report, subject),
        }),
        chart::legend(&losses),
    )
}

/// The bounds of training, one a type: narrow types have wider ones.
fn limits(report: &Report, subject: &Subject) -> Vec<(f64, String)> {
    let mut limits: Vec<(f64, String)> = Vec::new();
    for column in &report.columns {
        let agreement =
            facts::outcome(subject, &column.name).and_then(|one| one.agreement.as_ref());
        let mut quantities = agreement.iter().flat_map(|agreement| &agreement.quantities);
        let label = format!("bound, {}", column.dtype);
        if let Some(training) = quantities.find(|quantity| quantity.name == "training")
            && !limits.iter().any(|(_, known)| *known == label)
        {
            limits.push((training.bound, label));
        }
    }
    limits
}

/// A bar of `value` out of `full`, with a whisker over `range`.
fn bar(value: f64, range: Option<[f64; 2]>, full: f64, class: &str) -> String {
    let place = |value: f64| match format::is_finite(value) {
        true => (value / full * 100.0).clamp(0.0, 100.0),
        false => 100.0,
    };
    let whisker = range.map(|[low, high]| {
        let (from, to) = (place(low), place(high));
        format!("<b style=\"left:{from:.2}%;width:{:.2}%\"></b>", to - from)
    });
    format!(
        "<span class=\"bar {class}\" aria-hidden=\"true\"><i style=\"width:{:.2}%\"></i>{}</span>",
        place(value),
        whisker.unwrap_or_default(),
    )
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values
        .filter(|value| format::is_finite(*value))
        .fold(f64::MIN_POSITIVE, f64::max)
}

fn speeds(report: &Report, subject: &Subject) -> String {
    let works = facts::works(subject);
    if works.is_empty() {
        return String::new();
    }
    let groups = works
        .iter()
        .map(|&(work, batch)| group(report, subject, work, batch));
    let against = format!("Time over {}", facts::base(report));
    let names = [
        "Backend",
        "Time",
        &against,
        "Verdict",
        ">Rate",
        ">Share of peak",
    ];
    let title = "Speed";
    let table = format!(
        "<table class=\"speed\">{}{}</table>",
        heads(&names),
        groups.collect::<String>()
    );
    format!("<h3>{title}</h3>\n{}", scrolling(title, &table))
}

fn group(report: &Report, subject: &Subject, work: Work, batch: usize) -> String {
    let speeds = subject
        .results
        .iter()
        .filter_map(|outcome| Some((outcome, facts::speed(Some(outcome), work, batch)?)));
    let speeds: Vec<_> = speeds.collect();
    let full = largest(
        speeds
            .iter()
            .flat_map(|(_, speed)| [speed.median, speed.quartiles[1]]),
    );
    let base_counts = facts::base_counts(report, subject, work, batch);
    let rows = speeds
        .iter()
        .map(|(outcome, speed)| row(report, outcome, speed, full, base_counts));
    format!(
        "<tbody><tr class=\"group\"><th colspan=\"6\" scope=\"rowgroup\">{}</th></tr>\n{}</tbody>\n",
        format::work(work, batch),
        rows.collect::<String>(),
    )
}

fn row(report: &Report, outcome: &Outcome, speed: &Speed, full: f64, base_counts: bool) -> String {
    let counts = speed.counts && base_counts;
    let is_peer = report
        .columns
        .iter()
        .any(|one| one.peer && one.name == outcome.column);
    let class = match (speed.counts, is_peer) {
        (false, _) => "void",
        (true, true) => "peer",
        (true, false) => "",
    };
    let ratio = speed.ratio.as_ref();
    let against = ratio.map(|ratio| {
        let value = figure(&format::ratio(ratio.value), counts);
        format!(
            "{value} <small>{}</small>",
            figure(&format::interval(ratio.interval), counts)
        )
    });
    let verdict = match ratio {
        Some(ratio) if counts => {
            let slow =
                facts::slow_layer(ratio).map(|slow| format!("<small>{}</small>", esc(&slow)));
            format!("{}{}", facts::pace(ratio.verdict), slow.unwrap_or_default())
        }
        Some(_) => "<em>does not count</em>".into(),
        None if outcome.column == facts::base(report) => "<em>base</em>".into(),
        None => String::new(),
    };
    let peak = speed
        .of_peak
        .map(|share| bar(share, None, 1.0, &format!("thin {class}")));
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"t\">{} <small>{}</small>{}</td><td>{}</td>\
         <td class=\"v\">{verdict}</td><td class=\"n\">{}</td><td class=\"n\">{}<span class=\"w\">{}</span></td></tr>\n",
        esc(&outcome.column),
        figure(&seconds(speed.median), speed.counts),
        figure(&format::range(speed.quartiles), speed.counts),
        bar(speed.median, Some(speed.quartiles), full, class),
        against.unwrap_or_default(),
        figure(&rate(speed.rate), speed.counts),
        peak.unwrap_or_default(),
        figure(&facts::limits(speed), speed.counts),
    )
}

/// Cold start as a bar of three parts, then memory and energy.
fn costs(subject: &Subject) -> String {
    let shown = subject
        .results
        .iter()
        .filter(|one| one.cold.is_some() || one.cost.is_some());
    let shown: Vec<_> = shown.collect();
    if shown.is_empty() {
        return String::new();
    }
    let colds = shown.iter().filter_map(|outcome| outcome.cold.as_ref());
    let full = largest(colds.map(|cold| {
        let once = [cold.first_forward_seconds, cold.first_step_seconds];
        cold.startup_seconds + once.iter().flatten().sum::<f64>()
    }));
    let resident = |outcome: &Outcome| {
        outcome
            .cost
            .as_ref()
            .and_then(|cost| cost.peak_resident_bytes)
    };
    let most = largest(
        shown
            .iter()
            .filter_map(|outcome| resident(outcome))
            .map(|size| size as f64),
    );
    let rows = shown.iter().map(|outcome| cost(outcome, full, most));
    let names = [
        "Backend",
        "Cold start",
        ">Start-up",
        ">First pass",
        ">First step",
        ">Preparation",
        ">Memory",
        ">On device",
        ">Growth a step",
        ">Energy a step",
    ];
    let table = format!(
        "<table class=\"costs\">{}<tbody>{}</tbody></table>",
        heads(&names),
        rows.collect::<String>(),
    );
    format!(
        "<h3>Cold start, memory, energy</h3>\n{}<p class=\"hint\"><span class=\"swatch a\"></span>\
         start-up <span class=\"swatch b\"></span>first forward pass <span class=\"swatch c\"></span>\
         first training step. Preparation is what the first pass and step took beyond steady ones: \
         kernel compilation and tuning. Memory is the process's peak.</p>\n",
        scrolling("Cold start, memory and energy", &table),
    )
}

fn cost(outcome: &Outcome, full: f64, most: f64) -> String {
    let (cold, cost) = (outcome.cold.as_ref(), outcome.cost.as_ref());
    let parts = cold.map(|cold| {
        let parts = [
            ("a", cold.startup_seconds),
            ("b", cold.first_forward_seconds.unwrap_or(0.0)),
            ("c", cold.first_step_seconds.unwrap_or(0.0)),
        ];
        let parts = parts.map(|(class, time)| {
            let share = (time / full * 100.0).clamp(0.0, 100.0);
            format!("<i class=\"{class}\" style=\"width:{share:.2}%\"></i>")
        });
        format!(
            "<span class=\"bar parts\" aria-hidden=\"true\">{}</span>",
            parts.concat()
        )
    });
    let size = |size: Option<u64>| or_dash(size, |size| bytes(size as f64));
    let resident = cost.and_then(|cost| cost.peak_resident_bytes);
    let memory = resident.map(|size| bar(size as f64, None, most, "thin"));
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"t\">{}</td>{}{}{}{}<td class=\"n\">{}<span class=\"w\">{}</span></td>{}{}{}</tr>\n",
        esc(&outcome.column),
        parts.unwrap_or_default(),
        number(&or_dash(cold, |cold| seconds(cold.startup_seconds))),
        number(&or_dash(
            cold.and_then(|cold| cold.first_forward_seconds),
            seconds
        )),
        number(&or_dash(
            cold.and_then(|cold| cold.first_step_seconds),
            seconds
        )),
        number(&or_dash(
            cold.and_then(|cold| cold.preparation_seconds),
            seconds
        )),
        memory.unwrap_or_default(),
        size(resident),
        number(&size(cost.and_then(|cost| cost.device_bytes))),
        number(&or_dash(
            cost.and_then(|cost| cost.leak_bytes_per_step),
            bytes
        )),
        number(&or_dash(
            cost.and_then(|cost| cost.joules_per_step),
            |j| format!("{} J", digits(j))
        )),
    )
}

fn convergence(report: &Report, subject: &Subject) -> String {
    let runs = subject
        .results
        .iter()
        .filter_map(|one| Some((one, one.convergence.as_ref()?)));
    let runs: Vec<_> = runs.collect();
    if runs.is_empty() {
        return String::new();
    }
    let series = |points: fn(&Convergence) -> &Vec<(usize, f64)>| {
        let series = runs.iter().map(|(outcome, run)| Series {
            name: outcome.column.clone(),
            style: style(report, outcome),
            points: points(run)
                .iter()
                .map(|(step, value)| (*step as f64, *value))
                .collect(),
        });
        series
            .filter(|series| !series.points.is_empty())
            .collect::<Vec<_>>()
    };
    let (losses, scores) = (series(|run| &run.losses), series(|run| &run.validation));
    let legend = chart::legend(if losses.is_empty() { &scores } else { &losses });
    let chart = |title, series: &[Series]| {
        chart::svg(&Chart {
            title,
            logarithmic: false,
            series,
            limits: vec![],
        })
    };
    let names = [
        "Backend",
        "Metric",
        ">Reached",
        "Expected",
        "",
        ">Met after",
        ">Steps",
        ">Time",
    ];
    let rows = runs.iter().map(|(outcome, run)| converged(outcome, run));
    let table = format!(
        "<table>{}<tbody>{}</tbody></table>",
        heads(&names),
        rows.collect::<String>()
    );
    format!(
        "<h3>Convergence</h3>\n<div class=\"charts\">{}{}</div>\n{legend}\n{}",
        chart("Training loss", &losses),
        chart("Validation", &scores),
        scrolling("Convergence", &table),
    )
}

fn converged(outcome: &Outcome, run: &Convergence) -> String {
    let (class, word) = match (&run.failure, run.met) {
        (Some(failure), _) => ("departs", format!("✗ {failure}")),
        (None, Some(true)) => ("agrees", "✓ met".into()),
        (None, Some(false)) => ("departs", "✗ not met".into()),
        (None, None) => ("none", "not measured".into()),
    };
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td>{}<td>{}</td>\
         <td><span class=\"mark {class}\">{}</span></td>{}{}{}</tr>\n",
        esc(&outcome.column),
        esc(&run.metric),
        number(&or_dash(run.value, format::value)),
        or_dash(run.expected, |[low, high]| format!(
            "{} to {}",
            digits(low),
            digits(high)
        )),
        esc(&word),
        number(&or_dash(run.steps_to_expectation, |steps| steps.to_string())),
        number(&run.steps.to_string()),
        number(&seconds(run.wall_seconds)),
    )
}
