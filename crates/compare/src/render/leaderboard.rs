//! Several machines' reports as one static page.

use std::collections::BTreeMap;

use super::facts::{self, State};
use super::format::{self, UNMEASURED, bytes, rate};
use super::parts::{figure, machine, shell};
use crate::report::{Environment, Outcome, Report, Speed, Subject, VERSION, Work};
use zoo_print::html::{esc, scrolling};

const SCRIPT: &str = include_str!("leaderboard.js");

/// The reports of several machines, each with its name, as one HTML page: a row for each machine,
/// subject and column, sortable and to be filtered where there is JavaScript. It says which
/// figures may be compared: those of the same build, subject and batch.
#[must_use]
pub fn leaderboard(reports: &[(String, Report)]) -> String {
    let groups = Builds::of(reports);
    let mut subjects: Vec<&str> = Vec::new();
    for subject in reports.iter().flat_map(|(_, report)| &report.subjects) {
        if !subjects.contains(&subject.name.as_str()) {
            subjects.push(&subject.name);
        }
    }
    let rows = subjects
        .iter()
        .map(|subject| subject_rows(reports, subject, &groups));
    let names = [
        ("Subject", ""),
        ("Machine", ""),
        ("Backend", ""),
        ("Agreement", ""),
        ("Training", "n"),
        ("Inference", "n"),
        ("Decoding", "n"),
        ("Memory", "n"),
        ("Build", ""),
    ];
    let names =
        names.map(|(name, class)| format!("<th scope=\"col\" class=\"{class}\">{name}</th>"));
    let table = format!(
        "<table class=\"board\"><thead><tr>{}</tr></thead>\n<tbody>{}</tbody></table>",
        names.concat(),
        rows.collect::<String>(),
    );
    let body = format!(
        "<header>\n<p class=\"eyebrow\">Burn Zoo · leaderboard</p>\n<h1>Leaderboard</h1>\n\
         <ul class=\"facts\"><li>{}</li></ul>\n</header>\n<main>\n\
         <section aria-label=\"Results\">\n<p class=\"hint\">Rates are examples (decoding: tokens) a \
         second at the median step, with the batch below. A rate counts only where the backend \
         agrees with the reference; otherwise it is struck out and sorted last. {UNMEASURED} was \
         not measured.</p>\n{}</section>\n{}{}</main>\n",
        title(reports.len(), subjects.len()),
        scrolling("Results of all machines", &table),
        comparable(reports, &subjects, &groups),
        environments(reports, &groups),
    );
    shell("Burn Zoo leaderboard", &body, SCRIPT)
}

fn title(machines: usize, subjects: usize) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!(
        "{machines} report{}, {subjects} subject{}",
        plural(machines),
        plural(subjects)
    )
}

/// Reports by what computed them: times of different builds are not comparable.
struct Builds {
    letters: BTreeMap<String, String>,
}

impl Builds {
    fn of(reports: &[(String, Report)]) -> Self {
        let mut letters = BTreeMap::new();
        for (_, report) in reports {
            let next = letters.len();
            letters
                .entry(Self::key(report))
                .or_insert_with(|| letter(next));
        }
        Self { letters }
    }

    fn key(report: &Report) -> String {
        let Environment {
            zoo,
            burn,
            revision,
            ..
        } = &report.environment;
        let revision = revision.as_deref().unwrap_or("revision not told");
        let version = match report.version {
            VERSION => String::new(),
            other => format!(", schema version {other}"),
        };
        format!("Burn Zoo {zoo}, Burn {burn}, {revision}{version}")
    }

    fn letter(&self, report: &Report) -> &str {
        self.letters
            .get(&Self::key(report))
            .map_or("", String::as_str)
    }
}

/// `A` to `Z`, then numbers.
fn letter(at: usize) -> String {
    match u8::try_from(at).ok().filter(|at| *at < 26) {
        Some(at) => char::from(b'A' + at).to_string(),
        None => (at + 1).to_string(),
    }
}

/// The time of the largest batch at one kind of work.
fn best(outcome: &Outcome, work: Work) -> Option<&Speed> {
    let speeds = outcome.speed.iter().filter(|speed| speed.work == work);
    speeds.max_by_key(|speed| speed.batch)
}

/// A rate to sort by; below every rate that counts if it does not.
fn order(speed: Option<&Speed>) -> f64 {
    match speed {
        Some(speed) if speed.counts => speed.rate,
        Some(_) => 0.0,
        None => -1.0,
    }
}

fn subject_rows(reports: &[(String, Report)], name: &str, builds: &Builds) -> String {
    let mut rows: Vec<(f64, String)> = Vec::new();
    let of = |report: &'_ Report| {
        report
            .subjects
            .iter()
            .position(|subject| subject.name == name)
    };
    let found = reports
        .iter()
        .filter_map(|(machine, report)| Some((machine, report, of(report)?)));
    let found: Vec<_> = found.collect();
    let outcomes = found
        .iter()
        .flat_map(|(_, report, at)| &report.subjects[*at].results);
    let rates = outcomes.filter_map(|outcome| best(outcome, Work::Train));
    let full = rates
        .filter(|speed| speed.counts)
        .map(|speed| speed.rate)
        .fold(0.0, f64::max);
    for (machine, report, at) in found {
        let subject = &report.subjects[at];
        for column in &report.columns {
            let outcome = facts::outcome(subject, &column.name);
            let train = outcome.and_then(|outcome| best(outcome, Work::Train));
            let peer = if column.peer {
                " <small>peer</small>"
            } else {
                ""
            };
            rows.push((order(train), format!(
                "<tr data-subject=\"{0}\" data-backend=\"{2}\"><th scope=\"row\">{0}</th><td>{1}</td>\
                 <td>{2}{peer}<br><small>{3}</small></td>{4}<td data-sort=\"{5}\">{5}</td></tr>\n",
                esc(name),
                esc(machine),
                esc(&column.name),
                esc(if column.kind.is_empty() { "no device" } else { &column.kind }),
                cells(outcome, full, column.peer),
                builds.letter(report),
            )));
        }
    }
    rows.sort_by(|one, other| other.0.total_cmp(&one.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn cells(outcome: Option<&Outcome>, full: f64, is_peer: bool) -> String {
    let state = State::of(outcome);
    let agreement = outcome.and_then(|outcome| outcome.agreement.as_ref());
    let detail = match agreement.and_then(|agreement| agreement.first.as_ref()) {
        Some(first) => format!("from {}", first.name),
        None => outcome.and_then(facts::worst).unwrap_or_default(),
    };
    let mut out = format!(
        "<td data-sort=\"{}\"><span class=\"mark {}\">{} {}</span><br><small>{}</small></td>",
        state as u8,
        state.class(),
        state.sign(),
        state.word(),
        esc(&detail),
    );
    let peer = if is_peer { "peer" } else { "" };
    for work in [Work::Train, Work::Infer, Work::Decode] {
        let speed = outcome.and_then(|outcome| best(outcome, work));
        out += &speed_cell(speed, full, work == Work::Train, peer);
    }
    let cost = outcome.and_then(|outcome| outcome.cost.as_ref());
    let memory = cost
        .and_then(|cost| cost.peak_resident_bytes)
        .map(|size| size as f64);
    let device = cost
        .and_then(|cost| cost.device_bytes)
        .map(|size| bytes(size as f64));
    let device = device.map(|size| format!("<br><small>{size} on device</small>"));
    out + &format!(
        "<td class=\"n\" data-sort=\"{}\">{}{}</td>",
        memory.unwrap_or(-1.0),
        format::or_dash(memory, bytes),
        device.unwrap_or_default(),
    )
}

fn speed_cell(speed: Option<&Speed>, full: f64, has_bar: bool, peer: &str) -> String {
    let Some(speed) = speed else {
        return format!("<td class=\"n\" data-sort=\"-1\">{UNMEASURED}</td>");
    };
    let batch = match speed.work {
        Work::Decode => String::new(),
        _ => format!("<br><small>batch {}</small>", speed.batch),
    };
    let share = (speed.rate / full.max(f64::MIN_POSITIVE) * 100.0).clamp(0.0, 100.0);
    let bar = match has_bar && speed.counts {
        true => format!(
            "<span class=\"bar thin {peer}\" aria-hidden=\"true\"><i style=\"width:{share:.1}%\"></i></span>"
        ),
        false => String::new(),
    };
    format!(
        "<td class=\"n\" data-sort=\"{}\">{bar}<span class=\"w\">{}</span>{batch}</td>",
        order(Some(speed)),
        figure(&rate(speed.rate), speed.counts),
    )
}

/// What may be compared with what, and why not the rest.
fn comparable(reports: &[(String, Report)], subjects: &[&str], builds: &Builds) -> String {
    let mut notes = Vec::new();
    match builds.letters.len() {
        0 | 1 => {
            notes.push("All reports are of the same build: their figures may be compared.".into())
        }
        count => notes.push(format!(
            "The reports are of {count} builds (last column of the table). Compare figures of the \
             same build only; between builds the code differs, not just the machine."
        )),
    }
    let mut by_letter: Vec<_> = builds
        .letters
        .iter()
        .map(|(key, letter)| (letter, key))
        .collect();
    by_letter.sort();
    for (letter, key) in by_letter {
        let machines = reports
            .iter()
            .filter(|(_, report)| builds.letter(report) == letter);
        let machines: Vec<_> = machines.map(|(machine, _)| machine.clone()).collect();
        notes.push(format!(
            "Build {letter}: {key}, on {}.",
            format::list(&machines)
        ));
        if key.contains("-dirty") || key.contains("not told") {
            notes.push(format!(
                "Build {letter} cannot be told exactly: its code was changed or is not known."
            ));
        }
    }
    for name in subjects {
        notes.extend(differing(reports, name));
    }
    for (machine, report) in reports {
        if let Some(governor) = report
            .environment
            .governor
            .as_ref()
            .filter(|it| *it != "performance")
        {
            notes.push(format!("{machine} ran with the governor {governor}: its times may be longer than they need be."));
        }
    }
    notes.push("Agreement, unlike speed, may be compared across machines: each is held against a float64 run.".into());
    let notes = notes.iter().map(|note| format!("<li>{}</li>", esc(note)));
    format!(
        "<section>\n<h2>What may be compared</h2>\n<ul>{}</ul>\n</section>\n",
        notes.collect::<String>()
    )
}

/// That machines computed different things under one name.
fn differing(reports: &[(String, Report)], name: &str) -> Option<String> {
    let subjects = reports.iter().flat_map(|(_, report)| &report.subjects);
    let shape = |subject: &Subject| {
        (
            subject.input.clone(),
            subject.parameters,
            subject.multiply_adds,
        )
    };
    let mut shapes: Vec<_> = subjects
        .filter(|subject| subject.name == name)
        .map(shape)
        .collect();
    shapes.sort();
    shapes.dedup();
    (shapes.len() > 1).then(|| {
        let inputs: Vec<_> = shapes
            .iter()
            .map(|(input, ..)| format::shape(input))
            .collect();
        format!(
            "{name} is not the same on every machine (inputs {}; or parameters or work differ): \
             its rates may not be compared between them.",
            format::list(&inputs)
        )
    })
}

fn environments(reports: &[(String, Report)], builds: &Builds) -> String {
    let items = reports.iter().map(|(name, report)| {
        let devices = report.columns.iter().filter(|column| !column.device.is_empty());
        let devices = devices.map(|column| {
            let driver = column.driver.as_ref().map(|driver| format!(", {driver}"));
            let driver = driver.unwrap_or_default();
            let text = format!("{} ({}{driver}), {}", column.device, column.kind, column.dtype);
            format!("<li><b>{}</b>: {}</li>", esc(&column.name), esc(&text))
        });
        format!(
            "<h3>{} <small>build {}</small></h3>\n{}<ul>{}</ul>\n<pre class=\"command\"><code>{}</code></pre>\n",
            esc(name),
            builds.letter(report),
            machine(report),
            devices.collect::<String>(),
            esc(&report.command),
        )
    });
    format!(
        "<section>\n<h2>Environments</h2>\n{}</section>\n",
        items.collect::<String>()
    )
}
