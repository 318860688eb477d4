//! The report as one self-contained page: no script, font or picture comes from elsewhere.

use super::facts::{self, State};
use super::format::{self, UNMEASURED, bytes, or_dash, rate, seconds};
use super::{panel, subject};
use crate::report::{Outcome, Report, Subject, Work};

const STYLE: &str = include_str!("style.css");
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

/// A whole page. The policy forbids every request, so that a report never calls home.
pub fn shell(title: &str, body: &str, script: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}\
         <script>\n{script}</script>\n</body>\n</html>\n",
        esc(title),
    )
}

/// `text` as the content of an element or of a quoted attribute.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            _ => out.push(c),
        }
    }
    out
}

/// A name as part of a fragment: percent-encoded but for what a fragment may hold as it is.
pub fn fragment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' | b',' => {
                out.push(char::from(byte));
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// The fragment of a cell.
pub fn cell_id(subject: &str, column: &str) -> String {
    format!("{}/{}", fragment(subject), fragment(column))
}

/// A figure (text, not yet escaped), struck out unless it counts.
pub fn figure(text: &str, counts: bool) -> String {
    match counts || text.is_empty() || text == UNMEASURED {
        true => esc(text),
        false => format!(
            "<s><span class=\"sr\">does not count: </span>{}</s>",
            esc(text)
        ),
    }
}

/// A table that scrolls by itself where it is wider than the page, and can be reached by keyboard.
pub fn scrolling(label: &str, table: &str) -> String {
    format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">{table}</div>\n",
        esc(label)
    )
}

/// The head row of a table; a name that begins with `>` is set right.
pub fn heads(names: &[&str]) -> String {
    let cells = names.iter().map(|name| match name.strip_prefix('>') {
        Some(name) => format!("<th scope=\"col\" class=\"n\">{}</th>", esc(name)),
        None => format!("<th scope=\"col\">{}</th>", esc(name)),
    });
    format!("<thead><tr>{}</tr></thead>", cells.collect::<String>())
}

/// A cell of numbers.
pub fn number(text: &str) -> String {
    format!("<td class=\"n\">{}</td>", esc(text))
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

/// The machine as a list of terms.
pub fn machine(report: &Report) -> String {
    let items = facts::environment(report).into_iter();
    let items =
        items.map(|(what, which)| format!("<div><dt>{what}</dt><dd>{}</dd></div>", esc(&which)));
    format!("<dl class=\"machine\">{}</dl>\n", items.collect::<String>())
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

/// The panels of a subject, one a column.
pub fn panels(report: &Report, subject: &Subject) -> String {
    report
        .columns
        .iter()
        .map(|column| panel::panel(report, subject, column))
        .collect()
}
