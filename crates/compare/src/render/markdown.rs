//! The report as GitHub-flavoured Markdown, to be pasted into an issue or a README.

use super::facts::{self, State};
use super::format::{self, UNMEASURED, bytes, digits, or_dash, rate, seconds};
use crate::report::{Outcome, Report, Speed, Subject};

/// The report in Markdown: the sum first, then the matrix, each subject, and the environment.
/// Speeds that do not count are struck out. `notes` says what the bounds are.
#[must_use]
pub fn markdown(report: &Report, notes: &str) -> String {
    let machine = text(&report.environment.machine);
    let mut out = format!(
        "## Backend comparison on {machine}\n\n{}\n",
        text(&facts::summary(report))
    );
    for warning in facts::warnings(report) {
        out += &format!("\n> **Warning:** {}\n", text(&warning));
    }
    out += &format!("\n{}", matrix(report));
    for subject in &report.subjects {
        out += &format!(
            "\n### {}\n\n{}. ",
            text(&subject.name),
            text(&facts::about(subject))
        );
        out += &format!("Reference: {}.\n", text(&facts::reference(subject)));
        let sections = [
            failures(subject),
            times(report, subject),
            costs(subject),
            convergence(subject),
        ];
        for section in sections.iter().filter(|section| !section.is_empty()) {
            out += &format!("\n{section}");
        }
    }
    out += &baseline(report);
    out + &environment(report, notes)
}

/// `raw` so that Markdown and HTML leave it as it is, also in a table.
fn text(raw: &str) -> String {
    let mut out = String::new();
    for c in format::line(raw).chars() {
        match c {
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '~' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

fn rows(heads: &[&str], aligned: &str, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    if rows.is_empty() {
        return String::new();
    }
    let rules = aligned
        .chars()
        .map(|c| if c == 'r' { "---:" } else { "---" });
    let mut out = format!("| {} |\n", heads.join(" | "));
    out += &format!("| {} |\n", rules.collect::<Vec<_>>().join(" | "));
    rows.iter()
        .for_each(|row| out += &format!("| {} |\n", row.join(" | ")));
    out
}

fn struck(figure: String, counts: bool) -> String {
    match counts || figure == UNMEASURED || figure.is_empty() {
        true => figure,
        false => format!("~~{figure}~~"),
    }
}

/// Columns down and subjects across: comparisons have few subjects and reports are read narrow.
fn matrix(report: &Report) -> String {
    let names: Vec<_> = report
        .subjects
        .iter()
        .map(|subject| text(&subject.name))
        .collect();
    let mut heads = vec!["Agreement"];
    heads.extend(names.iter().map(String::as_str));
    let cells = |column: &str| {
        let cells = report
            .subjects
            .iter()
            .map(|subject| cell(facts::outcome(subject, column)));
        cells.collect::<Vec<_>>()
    };
    let body = report.columns.iter().map(|column| {
        let peer = if column.peer { " (peer)" } else { "" };
        let mut row = vec![format!("**{}**{peer}", text(&column.name))];
        row.extend(cells(&column.name));
        row
    });
    rows(&heads, "", body).replacen("|  |\n", &format!("|{}\n", " --- |".repeat(heads.len())), 1)
}

fn cell(outcome: Option<&Outcome>) -> String {
    let state = State::of(outcome);
    let mut out = format!("{} {}", state.sign(), state.word());
    if let Some(worst) = outcome.and_then(facts::worst) {
        out += &format!(", {}", text(&worst));
    }
    let agreement = outcome.and_then(|outcome| outcome.agreement.as_ref());
    if let Some(first) = agreement.and_then(|agreement| agreement.first.as_ref()) {
        out += &format!("; first {}", text(&facts::first(first)));
    }
    out
}

fn failures(subject: &Subject) -> String {
    let failed = subject.results.iter().filter_map(|outcome| {
        let failure = outcome.failure.as_ref()?;
        let message = format::shorten(&failure.message, 400);
        let what = text(&facts::failure(failure));
        Some(format!(
            "- **{}**: {what}. {}\n",
            text(&outcome.column),
            text(&message)
        ))
    });
    failed.collect()
}

fn times(report: &Report, subject: &Subject) -> String {
    let base = facts::base(report);
    let against = format!("time over {}", text(base));
    let heads = [
        "Work",
        "Backend",
        "Median",
        "Quartiles",
        "Rate",
        "Of peak",
        &against,
        "Verdict",
    ];
    let mut body = Vec::new();
    for (work, batch) in facts::works(subject) {
        let base_counts = facts::base_counts(report, subject, work, batch);
        for outcome in &subject.results {
            if let Some(speed) = facts::speed(Some(outcome), work, batch) {
                let is_base = outcome.column == base;
                body.push(time(outcome, speed, is_base, base_counts));
            }
        }
    }
    rows(&heads, "llrlrrrl", body)
}

fn time(outcome: &Outcome, speed: &Speed, is_base: bool, base_counts: bool) -> Vec<String> {
    let counts = speed.counts && base_counts;
    let ratio = speed.ratio.as_ref().map(|ratio| {
        format!(
            "{} {}",
            format::ratio(ratio.value),
            text(&format::interval(ratio.interval))
        )
    });
    let verdict = match &speed.ratio {
        Some(ratio) if counts => match facts::slow_layer(ratio) {
            Some(slow) => format!("{}; {}", facts::pace(ratio.verdict), text(&slow)),
            None => facts::pace(ratio.verdict).into(),
        },
        Some(_) => "does not count".into(),
        None if is_base => "base".into(),
        None => String::new(),
    };
    vec![
        format::work(speed.work, speed.batch),
        text(&outcome.column),
        struck(seconds(speed.median), speed.counts),
        struck(format::range(speed.quartiles), speed.counts),
        struck(rate(speed.rate), speed.counts),
        struck(facts::limits(speed), speed.counts),
        struck(ratio.unwrap_or_default(), counts),
        verdict,
    ]
}

fn costs(subject: &Subject) -> String {
    let heads = [
        "Cost",
        "Start-up",
        "First pass",
        "First step",
        "Preparation",
        "Memory",
        "Device memory",
        "Growth a step",
        "Energy a step",
    ];
    let body = subject
        .results
        .iter()
        .filter(|one| one.cold.is_some() || one.cost.is_some());
    let body = body.map(|outcome| {
        let (cold, cost) = (outcome.cold.as_ref(), outcome.cost.as_ref());
        let size = |size: Option<u64>| or_dash(size, |size| bytes(size as f64));
        vec![
            text(&outcome.column),
            or_dash(cold, |cold| seconds(cold.startup_seconds)),
            or_dash(cold.and_then(|cold| cold.first_forward_seconds), seconds),
            or_dash(cold.and_then(|cold| cold.first_step_seconds), seconds),
            or_dash(cold.and_then(|cold| cold.preparation_seconds), seconds),
            size(cost.and_then(|cost| cost.peak_resident_bytes)),
            size(cost.and_then(|cost| cost.device_bytes)),
            or_dash(cost.and_then(|cost| cost.leak_bytes_per_step), bytes),
            or_dash(cost.and_then(|cost| cost.joules_per_step), |j| {
                format!("{} J", digits(j))
            }),
        ]
    });
    rows(&heads, "lrrrrrrrr", body)
}

fn convergence(subject: &Subject) -> String {
    let heads = [
        "Convergence",
        "Metric",
        "Reached",
        "Expected",
        "Met",
        "After",
        "Of",
        "In",
    ];
    let body = subject.results.iter().filter_map(|outcome| {
        let convergence = outcome.convergence.as_ref()?;
        let expected = |[low, high]: [f64; 2]| format!("{} to {}", digits(low), digits(high));
        let met = match (convergence.met, &convergence.failure) {
            (_, Some(failure)) => format!("✗ {}", text(failure)),
            (Some(true), None) => "✓ met".into(),
            (Some(false), None) => "✗ not met".into(),
            (None, None) => UNMEASURED.into(),
        };
        Some(vec![
            text(&outcome.column),
            text(&convergence.metric),
            or_dash(convergence.value, format::value),
            or_dash(convergence.expected, expected),
            met,
            or_dash(convergence.steps_to_expectation, |steps| {
                format!("{steps} steps")
            }),
            format!("{} steps", convergence.steps),
            seconds(convergence.wall_seconds),
        ])
    });
    rows(&heads, "llrllrrr", body)
}

fn baseline(report: &Report) -> String {
    let Some(baseline) = &report.baseline else {
        return String::new();
    };
    let mut out = format!(
        "\n### Against the baseline\n\n{}\n\n",
        text(&facts::baseline(baseline))
    );
    for change in &baseline.changes {
        let word = if change.regression {
            "**Worse**"
        } else {
            "Better"
        };
        let on = format!(
            "{} on {}, {}",
            change.column,
            change.subject,
            facts::delta(change)
        );
        out += &format!("- {word}: {}\n", text(&on));
    }
    out
}

fn environment(report: &Report, notes: &str) -> String {
    let machine = facts::environment(report);
    let machine = machine
        .into_iter()
        .map(|(what, which)| vec![what.into(), text(&which)]);
    let columns = report.columns.iter().map(|column| {
        vec![
            text(&column.name),
            text(&column.device),
            text(&column.kind),
            or_dash(column.driver.as_ref(), |driver| text(driver)),
            text(&column.dtype),
            or_dash(column.threads, |threads| threads.to_string()),
            or_dash(column.peak_multiply_adds_per_second, rate),
            or_dash(column.copy_bytes_per_second, |rate| {
                format!("{}/s", bytes(rate))
            }),
        ]
    });
    let heads = [
        "Backend",
        "Device",
        "Kind",
        "Driver",
        "Type",
        "Threads",
        "Peak multiply-adds",
        "Copy",
    ];
    format!(
        "\n<details><summary>Environment</summary>\n\n{}\n{}\n</details>\n\n\
         <details><summary>How to read this</summary>\n\n{notes}\n\nTimes are medians with their \
         quartiles; a ratio is time over the base's, with its bootstrap interval, so above 1 is \
         slower. Struck-out speeds do not count: the backend departs from the reference. \
         {UNMEASURED} was not measured.\n\n</details>\n\nMade by `{}`\n",
        rows(&["Environment", ""], "ll", machine),
        rows(&heads, "llllllrr", columns),
        format::line(&report.command).replace('`', "'"),
    )
}
