//! The report on a terminal.

use zoo_print::columns;

use super::facts::{self, State};
use super::format::{self, UNMEASURED, bytes, digits, or_dash, percent, rate, seconds};
use crate::report::{Column, Convergence, Outcome, Pace, Ratio, Report, Speed, Subject, Work};

/// Where long sentences are broken.
const WIDTH: usize = 100;

const BOLD: &str = "1";
const DIM: &str = "2";
const STRUCK: &str = "9";
const RED: &str = "31";
const GREEN: &str = "32";
const AMBER: &str = "33";
const PLAIN: &str = "0";

/// The numbers of all styles that [`table`] draws in, as they stand between `ESC [` and `m`.
pub const STYLES: [&str; 7] = [BOLD, DIM, STRUCK, RED, GREEN, AMBER, PLAIN];

/// The report as tables of at most about 100 characters a line, and one line that sums it up at the
/// end, where a terminal shows it. With `color`, ANSI escapes; without, a speed that does not count
/// stands between tildes instead of being struck out.
#[must_use]
pub fn table(report: &Report, color: bool) -> String {
    let ink = Ink { color };
    let mut out = head(report, ink);
    for subject in &report.subjects {
        out += &format!("\n{}\n", ink.dye(&format::line(&subject.name), BOLD));
        out += &ink.dye(&wrapped(&facts::about(subject), 2), DIM);
        out += &ink.dye(
            &wrapped(&format!("Reference: {}", facts::reference(subject)), 2),
            DIM,
        );
        let sections = [
            agreement(report, subject, ink),
            failures(subject, ink),
            times(report, subject, ink),
            costs(subject, ink),
            convergence(subject, ink),
        ];
        sections
            .iter()
            .filter(|section| !section.is_empty())
            .for_each(|section| {
                out += &format!("\n{section}");
            });
    }
    if report.subjects.len() > 1 {
        out += &format!("\n{}\n{}", ink.dye("Overview", BOLD), overview(report, ink));
    }
    out += &foot(report, ink);
    out
}

/// Whether to use escapes, and how.
#[derive(Clone, Copy)]
struct Ink {
    color: bool,
}

impl Ink {
    fn dye(self, text: &str, codes: &str) -> String {
        match self.color && !codes.is_empty() && !text.is_empty() {
            true => format!("\x1b[{codes}m{text}\x1b[{PLAIN}m"),
            false => text.into(),
        }
    }

    /// A figure that counts only if `counts`.
    fn figure(self, text: String, counts: bool) -> Cell {
        match counts || text.is_empty() || text == UNMEASURED {
            true => Cell::from(text),
            false if self.color => Cell::new(text, STRUCK),
            false => Cell::from(format!("~{text}~")),
        }
    }
}

#[derive(Clone)]
struct Cell {
    text: String,
    codes: &'static str,
}

impl Cell {
    fn new(text: impl Into<String>, codes: &'static str) -> Self {
        Self {
            text: text.into(),
            codes,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, "")
    }
}

/// Rows as columns, set right where `aligned` has an `r`.
fn grid(rows: &[Vec<Cell>], aligned: &str, ink: Ink) -> String {
    let dyed = |cell: &Cell| match ink.color && !cell.codes.is_empty() && !cell.text.is_empty() {
        true => columns::Cell {
            text: cell.text.clone(),
            before: format!("\x1b[{}m", cell.codes),
            after: format!("\x1b[{PLAIN}m"),
        },
        false => cell.text.as_str().into(),
    };
    let row = |row: &Vec<Cell>| row.iter().map(dyed).collect();
    let rows: Vec<Vec<columns::Cell>> = rows.iter().map(row).collect();
    columns::table(&rows, aligned, "  ")
}

/// `text` in lines of at most [`WIDTH`], all of them indented.
fn wrapped(text: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut out = String::new();
    let mut line = String::new();
    for word in format::line(text).split(' ') {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
            out += &format!("{pad}{line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    out + &format!("{pad}{line}\n")
}

fn codes(state: State) -> &'static str {
    match state {
        State::Agrees => GREEN,
        State::Close => AMBER,
        State::Departs | State::Crash | State::Timeout => RED,
        State::Unsupported | State::Unmeasured => DIM,
    }
}

fn name(column: &str) -> Cell {
    format::line(column).into()
}

fn head(report: &Report, ink: Ink) -> String {
    let environment = &report.environment;
    let told = [
        Some(environment.system.clone()),
        Some(format!("{} logical cores", environment.logical_cores)),
        environment
            .governor
            .as_ref()
            .map(|governor| format!("governor {governor}")),
        Some(format!("zoo {}", environment.zoo)),
        Some(format!("Burn {}", environment.burn)),
        environment.revision.clone(),
        Some(format::moment(&report.created)),
    ];
    let told: Vec<_> = told
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    let title = format!("Comparison on {}", format::line(&environment.processor));
    format!(
        "{}\n{}",
        ink.dye(&title, BOLD),
        ink.dye(&wrapped(&told.join(", "), 0), DIM)
    )
}

fn agreement(report: &Report, subject: &Subject, ink: Ink) -> String {
    let mut rows = vec![titles(&[
        "agreement",
        "",
        "of bound",
        "most in",
        "first departing",
    ])];
    for column in &report.columns {
        let outcome = facts::outcome(subject, &column.name);
        let state = State::of(outcome);
        let mark = Cell::new(format!("{} {}", state.sign(), state.word()), codes(state));
        let agreement = outcome.and_then(|outcome| outcome.agreement.as_ref());
        let first = agreement.and_then(|agreement| agreement.first.as_ref());
        rows.push(vec![
            name(&titled(column)),
            mark,
            or_dash(agreement, |agreement| format::ratio(agreement.worst)).into(),
            or_dash(agreement, |agreement| agreement.worst_of.clone()).into(),
            Cell::new(first.map_or_else(String::new, facts::first), RED),
        ]);
    }
    grid(&rows, "llrll", ink)
}

/// The column's name, and that it is a peer.
fn titled(column: &Column) -> String {
    match column.peer {
        true => format!("{} (peer)", column.name),
        false => column.name.clone(),
    }
}

fn titles(names: &[&str]) -> Vec<Cell> {
    names.iter().map(|name| Cell::new(*name, DIM)).collect()
}

fn failures(subject: &Subject, ink: Ink) -> String {
    let failed = subject.results.iter().filter_map(|outcome| {
        let failure = outcome.failure.as_ref()?;
        let what = format!(
            "{}: {}",
            format::line(&outcome.column),
            facts::failure(failure)
        );
        let message = format::shorten(&format::line(&failure.message), 400);
        let codes = codes(State::of(Some(outcome)));
        Some(format!(
            "  {}\n{}",
            ink.dye(&what, codes),
            wrapped(&message, 4)
        ))
    });
    failed.collect()
}

fn times(report: &Report, subject: &Subject, ink: Ink) -> String {
    let against = format!("× {}", facts::base(report));
    let mut rows = Vec::new();
    let mut details = Vec::new();
    for (work, batch) in facts::works(subject) {
        let what = format::work(work, batch);
        rows.push(match rows.is_empty() {
            true => titles(&[&what, "median", "quartiles", "rate", "of peak", &against]),
            false => titles(&[&what]),
        });
        let base_counts = facts::base_counts(report, subject, work, batch);
        for outcome in &subject.results {
            let Some(speed) = facts::speed(Some(outcome), work, batch) else {
                continue;
            };
            let is_base = outcome.column == facts::base(report);
            rows.push(time(outcome, speed, is_base, base_counts, ink));
            let slow = speed.ratio.as_ref().filter(|_| speed.counts && base_counts);
            if let Some(slow) = slow.and_then(facts::slow_layer) {
                let detail = format!("{} is slower; {slow}", outcome.column);
                // The layers were timed once, for all kinds of work.
                if !details.contains(&detail) {
                    details.push(detail);
                }
            }
        }
    }
    let mut out = grid(&rows, "lrlrrrll", ink);
    for detail in details {
        out += &ink.dye(&wrapped(&detail, 2), DIM);
    }
    out
}

fn time(outcome: &Outcome, speed: &Speed, is_base: bool, base_counts: bool, ink: Ink) -> Vec<Cell> {
    let counts = speed.counts && base_counts;
    let ratio = speed.ratio.as_ref();
    let verdict = match ratio {
        Some(ratio) if counts => pace(ratio),
        Some(_) => Cell::new("does not count", DIM),
        None => Cell::new(if is_base { "base" } else { "" }, DIM),
    };
    vec![
        name(&outcome.column),
        ink.figure(seconds(speed.median), speed.counts),
        ink.figure(format::range(speed.quartiles), speed.counts),
        ink.figure(rate(speed.rate), speed.counts),
        ink.figure(or_dash(speed.of_peak, percent), speed.counts),
        ink.figure(
            ratio.map_or_else(String::new, |ratio| format::ratio(ratio.value)),
            counts,
        ),
        ink.figure(
            ratio.map_or_else(String::new, |ratio| format::interval(ratio.interval)),
            counts,
        ),
        verdict,
    ]
}

fn pace(ratio: &Ratio) -> Cell {
    let codes = match ratio.verdict {
        Pace::Faster => GREEN,
        Pace::Slower => AMBER,
        Pace::Undecided => DIM,
    };
    Cell::new(facts::pace(ratio.verdict), codes)
}

fn costs(subject: &Subject, ink: Ink) -> String {
    let heads = [
        "cost",
        "start-up",
        "1st pass",
        "1st step",
        "preparing",
        "memory",
        "device",
        "grows/step",
        "J/step",
    ];
    let mut rows = vec![titles(&heads)];
    for outcome in &subject.results {
        let (cold, cost) = (outcome.cold.as_ref(), outcome.cost.as_ref());
        if cold.is_none() && cost.is_none() {
            continue;
        }
        let size = |size: Option<u64>| or_dash(size, |size| bytes(size as f64)).into();
        rows.push(vec![
            name(&outcome.column),
            or_dash(cold, |cold| seconds(cold.startup_seconds)).into(),
            or_dash(cold.and_then(|cold| cold.first_forward_seconds), seconds).into(),
            or_dash(cold.and_then(|cold| cold.first_step_seconds), seconds).into(),
            or_dash(cold.and_then(|cold| cold.preparation_seconds), seconds).into(),
            size(cost.and_then(|cost| cost.peak_resident_bytes)),
            size(cost.and_then(|cost| cost.device_bytes)),
            Cell::new(
                or_dash(cost.and_then(|cost| cost.leak_bytes_per_step), bytes),
                AMBER,
            ),
            or_dash(cost.and_then(|cost| cost.joules_per_step), digits).into(),
        ]);
    }
    match rows.len() {
        1 => String::new(),
        _ => grid(&rows, "lrrrrrrrr", ink),
    }
}

fn convergence(subject: &Subject, ink: Ink) -> String {
    let mut rows = vec![titles(&[
        "convergence",
        "reached",
        "expected",
        "",
        "after",
        "of",
        "in",
        "",
    ])];
    for outcome in &subject.results {
        if let Some(convergence) = &outcome.convergence {
            rows.push(converged(outcome, convergence));
        }
    }
    match rows.len() {
        1 => String::new(),
        _ => grid(&rows, "lrllrrrl", ink),
    }
}

fn converged(outcome: &Outcome, convergence: &Convergence) -> Vec<Cell> {
    let expected = |[low, high]: [f64; 2]| format!("{} to {}", digits(low), digits(high));
    let met = match convergence.met {
        Some(true) => Cell::new("✓ met", GREEN),
        Some(false) => Cell::new("✗ not met", RED),
        None => UNMEASURED.into(),
    };
    let failure = convergence
        .failure
        .as_ref()
        .map(|failure| format::line(failure));
    vec![
        name(&outcome.column),
        or_dash(convergence.value, format::value).into(),
        or_dash(convergence.expected, expected).into(),
        met,
        or_dash(convergence.steps_to_expectation, |steps| steps.to_string()).into(),
        format!("{} steps", convergence.steps).into(),
        seconds(convergence.wall_seconds).into(),
        Cell::new(failure.unwrap_or_default(), RED),
    ]
}

/// Columns down, subjects across: the sign, and the time of a training step over the base's.
fn overview(report: &Report, ink: Ink) -> String {
    /// More subjects than this stand below each other.
    const SIDE_BY_SIDE: usize = 4;
    let cells = |subject: &Subject, column: &Column| {
        let outcome = facts::outcome(subject, &column.name);
        let state = State::of(outcome);
        let works = facts::works(subject);
        let train = works.iter().find(|(work, _)| *work == Work::Train);
        let speed = train.and_then(|&(work, batch)| facts::speed(outcome, work, batch));
        let figure = match speed {
            Some(speed) => ink.figure(brief(speed), speed.counts),
            None => Cell::new(state.word(), DIM),
        };
        [Cell::new(state.sign(), codes(state)), figure]
    };
    let head = |title: String| [Cell::from(""), Cell::new(title, DIM)];
    let mut heads = vec![Cell::new("training step", DIM)];
    let mut rows = Vec::new();
    if report.subjects.len() > SIDE_BY_SIDE {
        heads.extend(
            report
                .columns
                .iter()
                .flat_map(|column| head(titled(column))),
        );
        for subject in &report.subjects {
            let of_columns = report
                .columns
                .iter()
                .flat_map(|column| cells(subject, column));
            let first = name(&format::line(&subject.name));
            rows.push([first].into_iter().chain(of_columns).collect());
        }
    } else {
        let names = report
            .subjects
            .iter()
            .map(|subject| format::line(&subject.name));
        heads.extend(names.flat_map(head));
        for column in &report.columns {
            let of_subjects = report
                .subjects
                .iter()
                .flat_map(|subject| cells(subject, column));
            let first = name(&titled(column));
            rows.push([first].into_iter().chain(of_subjects).collect());
        }
    }
    rows.insert(0, heads);
    grid(&rows, "l", ink)
}

fn brief(speed: &Speed) -> String {
    let time = seconds(speed.median);
    match &speed.ratio {
        Some(ratio) => format!("{time}, {}", format::ratio(ratio.value)),
        None => time,
    }
}

fn foot(report: &Report, ink: Ink) -> String {
    let mut out = String::from("\n");
    for warning in facts::warnings(report) {
        out += &ink.dye(&wrapped(&format!("Warning: {warning}"), 0), AMBER);
    }
    if let Some(baseline) = &report.baseline {
        out += &wrapped(&facts::baseline(baseline), 0);
        for change in &baseline.changes {
            let (word, codes) = match change.regression {
                true => ("worse", RED),
                false => ("better", GREEN),
            };
            let on = format!("{} on {}", change.column, change.subject);
            let line = format!("{word:6}  {on}, {}", facts::delta(change));
            out += &format!("  {}\n", ink.dye(&line, codes));
        }
        out.push('\n');
    }
    out + &ink.dye(&wrapped(&facts::summary(report), 0), BOLD)
}
