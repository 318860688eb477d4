//! What a cell of the matrix opens: layers, gradients, losses and where the time goes.

use super::facts::{self, State};
use super::format::{self, UNMEASURED, error, is_finite, or_dash, percent, ratio, seconds, value};
use super::parts::cell_id;
use crate::report::{Agreement, Column, Departure, Outcome, Report, Subject};
use zoo_print::html::{esc, heads, number, scrolling};

/// More rows than this are folded.
const SHORT: usize = 12;
/// Decades that a gauge shows below and above the bound.
const DECADES: (f64, f64) = (3.0, 2.0);

/// One column on one subject, folded. The fragment's target lies inside, because browsers unfold
/// what a target lies in.
pub fn panel(report: &Report, subject: &Subject, column: &Column) -> String {
    let outcome = facts::outcome(subject, &column.name);
    let state = State::of(outcome);
    let content = outcome.map(|outcome| content(report, subject, outcome));
    let content = content.filter(|content| !content.is_empty());
    format!(
        "<details class=\"cell\"><summary><span class=\"mark {}\">{} {}</span> <b>{}</b> \
         <span class=\"why\">{}</span></summary>\n<div class=\"panel\" id=\"{}\">{}</div></details>\n",
        state.class(),
        state.sign(),
        state.word(),
        esc(&column.name),
        esc(&outcome.map_or_else(String::new, why)),
        cell_id(&subject.name, &column.name),
        content.unwrap_or_else(|| "<p>Nothing was measured.</p>".into()),
    )
}

fn why(outcome: &Outcome) -> String {
    let first = outcome
        .agreement
        .as_ref()
        .and_then(|agreement| agreement.first.as_ref());
    let first = first.map(|first| format!("first {}", facts::first(first)));
    let failure = outcome
        .failure
        .as_ref()
        .map(|failure| match failure.message.is_empty() {
            false => format::shorten(&format::line(&failure.message), 110),
            true => facts::when(failure),
        });
    let worst = facts::worst(outcome).map(|worst| match &outcome.failure {
        Some(_) => format!("before that {worst}"),
        None => worst,
    });
    [failure, worst, first]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

fn content(report: &Report, subject: &Subject, outcome: &Outcome) -> String {
    let mut out = String::new();
    if let Some(failure) = &outcome.failure {
        let what = facts::failure(failure);
        out += &format!(
            "<p>It {} and said:</p>",
            esc(&what.replace("unsupported", "is unsupported"))
        );
        out += &format!("<pre>{}</pre>\n", esc(&failure.message));
    }
    if let Some(agreement) = &outcome.agreement {
        let first = agreement.first.as_ref();
        let first_of = |kind: &str| {
            first
                .filter(|first| first.of == kind)
                .map(|first| &*first.name)
        };
        out += &departures("Quantities", "Quantity", &agreement.quantities, None);
        out += &departures(
            "Layers, in the order of the forward pass",
            "Layer",
            &agreement.layers,
            first_of("output"),
        );
        let gradients = departures(
            "Gradients, in the order of the backward pass",
            "Parameter",
            &agreement.gradients,
            first_of("gradient"),
        );
        let is_long = agreement.gradients.len() > SHORT && first_of("gradient").is_none();
        out += &match is_long {
            true => folded(
                &format!("{} gradients", agreement.gradients.len()),
                &gradients,
            ),
            false => gradients,
        };
        out += &losses(subject, agreement);
    }
    out + &layer_times(report, subject, outcome)
}

fn folded(title: &str, content: &str) -> String {
    format!(
        "<details class=\"more\"><summary>{}</summary>{content}</details>\n",
        esc(title)
    )
}

fn departures(title: &str, what: &str, rows: &[Departure], first: Option<&str>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let names = [
        what,
        ">Error over bound",
        ">Error",
        ">Bound",
        "Kind",
        "Shape",
        "Where it is largest",
    ];
    // The kind of a quantity is its name, and that of a gradient always the same.
    let says_nothing = |row: &Departure| row.kind == row.name || row.kind == "parameter";
    let has_kinds = !rows.iter().all(says_nothing);
    let names = names
        .into_iter()
        .filter(|name| has_kinds || *name != "Kind")
        .collect::<Vec<_>>();
    let is_first = |row: &Departure| first == Some(row.name.as_str());
    let body = rows
        .iter()
        .map(|row| departure(row, is_first(row), has_kinds));
    let table = format!(
        "<table class=\"departures\"><caption>{}</caption>{}<tbody>{}</tbody></table>",
        esc(title),
        heads(&names),
        body.collect::<String>(),
    );
    scrolling(title, &table)
}

fn departure(row: &Departure, is_first: bool, has_kind: bool) -> String {
    let over = facts::over(row);
    let state = facts::level(row);
    let largest = match (row.value, row.reference) {
        (Some(got), Some(reference)) => {
            let (got, reference) = format::pair(got, reference);
            match row.shape.is_empty() {
                true => format!("{got}, not {reference}"),
                false => {
                    let position = format::position(row.index, &row.shape);
                    format!("{position} is {got}, not {reference}")
                }
            }
        }
        _ => String::new(),
    };
    let (class, flag) = match is_first {
        true => (
            " class=\"first\"",
            " <span class=\"flag\">first to depart</span>",
        ),
        false => ("", ""),
    };
    let kind = if has_kind {
        format!("<td>{}</td>", esc(&row.kind))
    } else {
        String::new()
    };
    format!(
        "<tr{class}><th scope=\"row\"><code>{}</code>{flag}</th>\
         <td class=\"n\">{} <span class=\"over\">{} {}</span></td>{}{}{kind}\
         <td class=\"shape\">{}</td><td class=\"at\">{}</td></tr>\n",
        esc(&row.name),
        gauge(over, state),
        esc(&ratio(over)),
        state.sign(),
        number(&error(row.error)),
        number(&error(row.bound)),
        format::shape(&row.shape),
        esc(&largest),
    )
}

/// A small logarithmic bar with a tick at the bound.
fn gauge(over: f64, state: State) -> String {
    let (below, above) = DECADES;
    let share = match over {
        over if !is_finite(over) => 1.0,
        over if over <= 0.0 => 0.0,
        over => ((over.log10() + below) / (below + above)).clamp(0.0, 1.0),
    };
    format!(
        "<span class=\"gauge {}\" aria-hidden=\"true\"><i style=\"width:{:.0}%\"></i></span>",
        state.class(),
        share * 100.0,
    )
}

fn losses(subject: &Subject, agreement: &Agreement) -> String {
    if agreement.losses.is_empty() {
        return String::new();
    }
    let rows = agreement.losses.iter().enumerate().map(|(step, &loss)| {
        let reference = subject.reference.losses.get(step).copied();
        let difference = reference.map(|reference| relative(loss, reference));
        let (loss, reference) = match reference {
            Some(reference) => format::pair(loss, reference),
            None => (value(loss), UNMEASURED.into()),
        };
        format!(
            "<tr><th scope=\"row\">{}</th>{}{}{}</tr>\n",
            step + 1,
            number(&loss),
            number(&reference),
            number(&or_dash(difference, error)),
        )
    });
    let table = format!(
        "<table class=\"narrow\"><caption>Losses of the training steps</caption>{}<tbody>{}</tbody></table>",
        heads(&["Step", ">Loss", ">Reference", ">Relative difference"]),
        rows.collect::<String>(),
    );
    scrolling("Losses of the training steps", &table)
}

/// The difference of two losses over the reference's.
pub fn relative(loss: f64, reference: f64) -> f64 {
    match (is_finite(loss), loss == reference) {
        (true, true) => 0.0,
        (true, false) => (loss - reference).abs() / reference.abs().max(f64::MIN_POSITIVE),
        (false, _) => f64::INFINITY,
    }
}

fn layer_times(report: &Report, subject: &Subject, outcome: &Outcome) -> String {
    if outcome.layer_seconds.is_empty() {
        return String::new();
    }
    let base = facts::base(report);
    let is_base = outcome.column == base;
    let of_base = facts::outcome(subject, base).map_or(&[][..], |base| &base.layer_seconds);
    let total: f64 = outcome
        .layer_seconds
        .iter()
        .map(|layer| layer.seconds)
        .sum();
    let rows = outcome.layer_seconds.iter().map(|layer| {
        let other = of_base.iter().find(|other| other.name == layer.name && !is_base);
        let other = match is_base {
            true => String::new(),
            false => number(&or_dash(other, |other| seconds(other.seconds))),
        };
        let share = layer.seconds / total.max(f64::MIN_POSITIVE);
        format!(
            "<tr><th scope=\"row\"><code>{}</code></th>{}{other}<td class=\"n\">{}</td></tr>\n",
            esc(&layer.name),
            number(&seconds(layer.seconds)),
            format_args!(
                "<span class=\"bar thin\" aria-hidden=\"true\"><i style=\"width:{:.1}%\"></i></span>\
                 <span class=\"w\">{}</span>",
                share * 100.0,
                percent(share),
            ),
        )
    });
    let against = format!(">{base}");
    let all = ["Layer", ">Time", &against, ">Share of the pass"];
    let names: Vec<_> = all
        .into_iter()
        .filter(|name| !is_base || *name != against)
        .collect();
    let title = "Where a forward pass spends its time";
    let table = format!(
        "<table class=\"narrow\"><caption>{title}</caption>{}<tbody>{}</tbody></table>",
        heads(&names),
        rows.collect::<String>(),
    );
    scrolling(title, &table)
}
