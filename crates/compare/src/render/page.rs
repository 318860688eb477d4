//! The report as one self-contained page: no script, font or picture comes from elsewhere.

use super::facts::{self, State};
use super::format::{self, UNMEASURED, bytes, or_dash, rate, seconds};
use super::parts::{cell_id, figure, fragment, machine, shell};
use super::subject;
use crate::report::{Outcome, Report, Subject, Work};
use zoo_print::html::{esc, heads, number, scrolling};

const SCRIPT: &str = include_str!("page.js");

/// The report as one HTML file. `notes` says what the bounds are. All of it can be read without
/// JavaScript; the fragment `#SUBJECT/COLUMN`, percent-encoded, opens a cell of the matrix.
#[must_use]
pub fn html(report: &Report, notes: &str) -> String {
    let machine = &report.environment.machine;
    let mut body = head(report);
    body += &matrix(report);
    for subject in &report.subjects {
        body += &subject::section(report, subject);
    }
    body += &baseline(report);
    body += &environment(report);
    body += &reading(report, notes);
    shell(&format!("Backend comparison on {machine}"), &body, SCRIPT)
}

fn head(report: &Report) -> String {
    let environment = &report.environment;
    let facts = [
        Some(environment.processor.clone()).filter(|name| *name != environment.machine),
        Some(environment.system.clone()),
        Some(format!("Burn {}", environment.burn)),
        environment
            .revision
            .as_ref()
            .map(|revision| format!("revision {revision}")),
        Some(format::moment(&report.created)),
    ];
    let facts = facts.into_iter().flatten().filter(|fact| !fact.is_empty());
    let facts = facts
        .map(|fact| format!("<li>{}</li>", esc(&fact)))
        .collect::<String>();
    let clauses = facts::clauses(report);
    let (lead, rest) = clauses
        .split_first()
        .map_or(("", &[][..]), |(lead, rest)| (lead, rest));
    let rest = rest
        .iter()
        .map(|clause| format!("<li>{}</li>", esc(clause)))
        .collect::<String>();
    let rest = if rest.is_empty() {
        rest
    } else {
        format!("<ul class=\"off\">{rest}</ul>")
    };
    let warnings = facts::warnings(report).into_iter();
    let warnings = warnings.map(|warning| {
        format!(
            "<p class=\"warning\" role=\"note\"><b>Warning.</b> {}.</p>\n",
            esc(&warning)
        )
    });
    format!(
        "<header>\n<p class=\"eyebrow\">Burn Zoo · backend comparison</p>\n<h1>{}</h1>\n\
         <ul class=\"facts\">{facts}</ul>\n<p class=\"lead\">{}.</p>\n{rest}\n{}</header>\n<main>\n",
        esc(&environment.machine),
        esc(lead),
        warnings.collect::<String>(),
    )
}

fn matrix(report: &Report) -> String {
    let columns = report.columns.iter().map(|column| {
        let peer = if column.peer { ", peer" } else { "" };
        let kind = if column.kind.is_empty() {
            "no device"
        } else {
            &column.kind
        };
        format!(
            "<th scope=\"col\">{}<small>{}</small><small>{}{peer}</small></th>",
            esc(&column.name),
            esc(kind),
            esc(&column.dtype),
        )
    });
    let rows = report.subjects.iter().map(|subject| {
        let cells = report
            .columns
            .iter()
            .map(|column| cell(subject, &column.name));
        format!(
            "<tr><th scope=\"row\"><a href=\"#{}\">{}</a><small>{}</small></th>{}</tr>\n",
            fragment(&subject.name),
            esc(&subject.name),
            esc(&subject.model),
            cells.collect::<String>(),
        )
    });
    let table = format!(
        "<table class=\"matrix\"><thead><tr><td></td>{}</tr></thead>\n<tbody>{}</tbody></table>",
        columns.collect::<String>(),
        rows.collect::<String>(),
    );
    format!(
        "<section aria-labelledby=\"-agreement\">\n<h2 id=\"-agreement\">Agreement</h2>\n\
         <p class=\"hint\">Each cell opens its layers. Below the verdict: the worst departure over \
         its bound, and the time of a training step.</p>\n{}{}</section>\n",
        scrolling("Agreement of each backend on each subject", &table),
        key(),
    )
}

/// What the signs mean.
fn key() -> String {
    let meanings = [
        (State::Agrees, "at most half its bound"),
        (State::Close, "within its bound"),
        (State::Departs, "beyond its bound"),
        (State::Crash, "or timed out"),
        (State::Unsupported, "by the backend's own word"),
    ];
    let items = meanings.into_iter().map(|(state, meaning)| {
        format!(
            "<li><span class=\"mark {}\">{} {}</span> {meaning}</li>",
            state.class(),
            state.sign(),
            state.word(),
        )
    });
    format!(
        "<ul class=\"key-list\">{}</ul>\n",
        items.collect::<String>()
    )
}

fn cell(subject: &Subject, column: &str) -> String {
    let outcome = facts::outcome(subject, column);
    let state = State::of(outcome);
    let detail = detail(outcome, state);
    let detail = detail.map(|detail| format!("<span>{}</span>", esc(&detail)));
    let works = facts::works(subject);
    let train = works.iter().find(|(work, _)| *work == Work::Train);
    let speed = train.and_then(|&(work, batch)| facts::speed(outcome, work, batch));
    let time = speed.map(|speed| {
        format!(
            "<span class=\"time\">{}</span>",
            figure(&seconds(speed.median), speed.counts)
        )
    });
    format!(
        "<td class=\"{}\"><a href=\"#{}\"><b>{} {}</b>{}{}</a></td>",
        state.class(),
        cell_id(&subject.name, column),
        state.sign(),
        state.word(),
        detail.unwrap_or_default(),
        time.unwrap_or_default(),
    )
}

/// The few words that a cell has room for.
fn detail(outcome: Option<&Outcome>, state: State) -> Option<String> {
    let outcome = outcome?;
    match (&outcome.failure, &outcome.agreement) {
        (Some(_), _) if state == State::Unsupported => None,
        (Some(failure), _) => Some(match &failure.layer {
            Some(layer) => format!("in {layer}"),
            None => format!("in {}", failure.during),
        }),
        (None, Some(agreement)) => Some(match &agreement.first {
            Some(first) => format!("from {}, {}", first.name, format::ratio(agreement.worst)),
            None => format::ratio(agreement.worst),
        }),
        (None, None) => None,
    }
}

fn baseline(report: &Report) -> String {
    let Some(baseline) = &report.baseline else {
        return String::new();
    };
    let changes = baseline.changes.iter().map(|change| {
        let (class, word) = match change.regression {
            true => ("departs", "✗ worse"),
            false => ("agrees", "✓ better"),
        };
        format!(
            "<li><span class=\"mark {class}\">{word}</span> <b>{}</b> on {}, {}</li>",
            esc(&change.column),
            esc(&change.subject),
            esc(&facts::delta(change)),
        )
    });
    format!(
        "<section>\n<h2>Against the baseline</h2>\n<p>{}</p>\n<ul class=\"changes\">{}</ul>\n</section>\n",
        esc(&facts::baseline(baseline)),
        changes.collect::<String>(),
    )
}

fn environment(report: &Report) -> String {
    let rows = columns(report);
    let names = [
        "Backend", "Device", "Kind", "Driver", "Type", ">Threads", ">Peak", ">Copy",
    ];
    let table = format!("<table>{}<tbody>{rows}</tbody></table>", heads(&names));
    format!(
        "<section>\n<h2>Environment</h2>\n{}\n{}<p class=\"hint\">Peak: multiply-adds of a large \
         matrix product. Copy: bytes read and written by a large copy. Both were measured here.\
         </p>\n<pre class=\"command\"><code>{}</code></pre>\n</section>\n",
        machine(report),
        scrolling("Backends and their devices", &table),
        esc(&report.command),
    )
}

fn columns(report: &Report) -> String {
    let rows = report.columns.iter().map(|column| {
        let text = |text: &str| match text.is_empty() {
            true => UNMEASURED.into(),
            false => esc(text),
        };
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{}{}{}</tr>\n",
            esc(&column.name),
            text(&column.device),
            text(&column.kind),
            text(column.driver.as_deref().unwrap_or_default()),
            esc(&column.dtype),
            number(&or_dash(column.threads, |threads| threads.to_string())),
            number(&or_dash(column.peak_multiply_adds_per_second, rate)),
            number(&or_dash(column.copy_bytes_per_second, |rate| format!("{}/s", bytes(rate)))),
        )
    });
    rows.collect()
}

fn reading(report: &Report, notes: &str) -> String {
    let base = esc(facts::base(report));
    let paragraphs = notes
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty());
    let paragraphs = paragraphs.map(|paragraph| format!("<p>{}</p>\n", esc(paragraph.trim())));
    format!(
        "<section class=\"prose\">\n<h2>How to read this</h2>\n{}\
         <p>Times are medians; the whisker and the small figures are their quartiles. A ratio is \
         the time over that of {base} in the same rounds, so above 1 is slower; the brackets hold \
         its bootstrap confidence interval, and a verdict is given only where the whole interval \
         allows one. A speed counts only where agreement held; otherwise it is struck out and its \
         bar hatched. {UNMEASURED} means not measured.</p>\n</section>\n</main>\n\
         <footer>Schema {} version {}, made by Burn Zoo {}.</footer>\n",
        paragraphs.collect::<String>(),
        esc(&report.schema),
        report.version,
        esc(&report.environment.zoo),
    )
}
