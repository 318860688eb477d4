//! What every rendering must hold to, on the sample: an invented report, made by hand to have one
//! of everything (`tests/sample.json` beside the sources).

use super::*;
use crate::report::{Report, SCHEMA, Subject, VERSION};

const NOTES: &str = "First <notes>.\n\nSecond & last.";

fn sample() -> Report {
    serde_json::from_str(include_str!("../../tests/sample.json")).unwrap()
}

/// Every rendering by name.
fn all(report: &Report) -> Vec<(&'static str, String)> {
    vec![
        ("table", table(report, false)),
        ("colored", table(report, true)),
        ("markdown", markdown(report, NOTES)),
        ("csv", csv(report)),
        ("html", html(report, NOTES)),
        (
            "leaderboard",
            leaderboard(&[("here".into(), report.clone())]),
        ),
    ]
}

/// The rows of a CSV file, by RFC 4180.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut is_quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, is_quoted) {
            ('"', true) if chars.peek() == Some(&'"') => field.extend(chars.next()),
            ('"', _) => is_quoted = !is_quoted,
            (',', false) => row.push(std::mem::take(&mut field)),
            ('\r', false) => {}
            ('\n', false) => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(c),
        }
    }
    assert!(
        !is_quoted && row.is_empty() && field.is_empty(),
        "an unfinished row"
    );
    rows
}

#[test]
fn many_subjects_stand_below_each_other() {
    let mut report = sample();
    let first = report.subjects[0].clone();
    report.subjects.extend((0..8).map(|number| Subject {
        name: format!("another_{number}"),
        ..first.clone()
    }));
    let table = table(&report, false);
    let overview = &table[table.find("Overview").unwrap()..];
    let lines = overview.lines();
    let is_row = |line: &&str| line.contains('✓') && line.trim_start().starts_with("another_");
    assert_eq!(lines.filter(is_row).count(), 8, "{overview}");
}

/// Panics where a tag is not closed, or closed by another.
fn assert_balanced(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let tag = &rest[..rest.find('>').unwrap()];
        let name = tag
            .trim_start_matches('/')
            .split([' ', '\n', '/'])
            .next()
            .unwrap();
        rest = &rest[tag.len() + 1..];
        match tag {
            _ if ["!doctype", "meta", "br"].contains(&name) || tag.ends_with('/') => {}
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "before {rest:.80}"),
            "script" | "style" => {
                let end = format!("</{name}>");
                rest = &rest[rest.find(&end).unwrap() + end.len()..];
            }
            _ => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn the_sample_is_of_the_schema_as_it_is() {
    let report = sample();
    assert_eq!((report.schema.as_str(), report.version), (SCHEMA, VERSION));
    let text: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/sample.json")).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), text);
}

#[test]
fn every_column_subject_and_failure_is_in_every_rendering() {
    let report = sample();
    for (name, text) in all(&report) {
        for column in &report.columns {
            assert!(text.contains(&column.name), "{name} has no {}", column.name);
        }
        for subject in &report.subjects {
            assert!(
                text.contains(&subject.name),
                "{name} has no {}",
                subject.name
            );
        }
        for word in ["crashed", "timed out", "unsupported"] {
            assert!(text.contains(word), "{name} does not say {word}");
        }
    }
}

#[test]
fn a_failure_says_what_it_was_doing_in_which_layer_and_its_message() {
    let report = sample();
    for (name, text) in all(&report).into_iter().take(5) {
        assert!(
            text.contains("crashed during gradients, in layer conv2"),
            "{name}"
        );
        assert!(text.contains("timed out during training step 3"), "{name}");
        assert!(text.contains("signal 11 (SIGSEGV)"), "{name}");
        assert!(text.contains("libcuda.so was not found"), "{name}");
    }
}

#[test]
fn the_first_departing_layer_is_told_with_its_shape_and_by_how_much() {
    let report = sample();
    let over = report.subjects[0].results[2]
        .agreement
        .as_ref()
        .unwrap()
        .first
        .clone()
        .unwrap()
        .over;
    let told = format!("conv2 (Conv2d 64×16×10×10, output), {over:.1}× its bound");
    for (name, text) in all(&report)
        .into_iter()
        .filter(|(name, _)| !name.starts_with(['c', 'l']))
    {
        assert!(text.contains(&told), "{name} does not say {told}");
    }
    let page = html(&report, NOTES);
    assert_eq!(page.matches("first to depart").count(), 1);
}

#[test]
fn a_speed_that_does_not_count_is_struck_out_and_no_other() {
    let mut report = sample();
    let wgpu = super::format::seconds(report.subjects[0].results[2].speed[0].median);
    let flex = super::format::seconds(report.subjects[0].results[0].speed[0].median);
    let struck = [
        (
            table(&report, false),
            format!("~{wgpu}~"),
            format!("~{flex}~"),
        ),
        (
            table(&report, true),
            format!("\x1b[9m{wgpu}\x1b[0m"),
            format!("\x1b[9m{flex}\x1b[0m"),
        ),
        (
            markdown(&report, NOTES),
            format!("~~{wgpu}~~"),
            format!("~~{flex}~~"),
        ),
        (
            html(&report, NOTES),
            format!("</span>{wgpu}</s>"),
            format!("</span>{flex}</s>"),
        ),
    ];
    for (text, wanted, unwanted) in struck {
        assert!(text.contains(&wanted), "no {wanted} in\n{text:.3000}");
        assert!(!text.contains(&unwanted), "{unwanted}");
    }
    assert!(html(&report, NOTES).contains("bar void"));
    report.subjects[0].results[2]
        .speed
        .iter_mut()
        .for_each(|speed| speed.counts = true);
    assert!(!table(&report, true).contains("\x1b[9m"));
    assert!(!html(&report, NOTES).contains("<s>"));
    assert!(!markdown(&report, NOTES).contains("~~"));
}

#[test]
fn no_ratio_counts_where_its_base_departs() {
    let mut report = sample();
    report.subjects[0].results[0]
        .speed
        .iter_mut()
        .for_each(|speed| speed.counts = false);
    report.subjects[0].results[0]
        .agreement
        .as_mut()
        .unwrap()
        .verdict = crate::report::Verdict::Departs;
    let text = table(&report, false);
    assert!(text.contains("~1.83×~"), "{text}");
    assert!(
        text.contains("no ratio counts, because their base flex departs"),
        "{text}"
    );
}

#[test]
fn names_and_messages_are_escaped() {
    let mut report = sample();
    let evil = "<script>alert('x')</script>\"&";
    report.subjects[0].name = evil.into();
    report.subjects[0].results[4]
        .failure
        .as_mut()
        .unwrap()
        .message = evil.into();
    report.environment.machine = evil.into();
    report.command = evil.into();
    report.columns[1].name = evil.into();
    report
        .subjects
        .iter_mut()
        .for_each(|subject| subject.results[1].column = evil.into());
    for page in [
        html(&report, NOTES),
        leaderboard(&[(evil.into(), report.clone())]),
    ] {
        assert!(!page.contains("<script>alert"));
        assert!(page.contains("&lt;script&gt;alert"));
        assert_eq!(page.matches("<script>").count(), 1);
        assert_balanced(&page);
    }
    // Within a code span it is harmless.
    report.command = "cargo xtask compare".into();
    assert!(!markdown(&report, "").contains("<script>"));
    report.subjects[0].name = "\x1b[2Jgone".into();
    assert!(!table(&report, false).contains('\x1b'));
}

#[test]
fn what_is_not_finite_says_so() {
    let mut report = sample();
    let agreement = report.subjects[0].results[2].agreement.as_mut().unwrap();
    agreement.worst = f64::INFINITY;
    agreement.layers[1].error = 1e308;
    agreement.losses[3] = f64::NAN;
    agreement.first.as_mut().unwrap().over = f64::INFINITY;
    for (name, text) in all(&report) {
        match name {
            "csv" => assert!(text.contains("conv2,inf,")),
            "leaderboard" => {}
            _ => assert!(text.contains("not finite"), "{name}"),
        }
        assert!(
            !text.contains("e308") && !text.contains(">NaN<") && !text.contains(">inf<"),
            "{name}"
        );
    }
}

#[test]
fn csv_parses_back_with_the_same_fields_in_every_row() {
    let mut report = sample();
    report.subjects[0].name = "a \"quoted\", name\nin two lines".into();
    let rows = parse(&csv(&report));
    assert!(rows.len() > 200);
    assert!(rows.iter().all(|row| row.len() == 10));
    assert_eq!(
        rows[0].join(","),
        "subject,column,quantity,detail,value,low,high,unit,bound,verdict"
    );
    assert!(rows.iter().any(|row| row[0] == report.subjects[0].name));
    let median = report.subjects[0].results[2].speed[0].median;
    let time = rows
        .iter()
        .find(|row| row[1] == "wgpu" && row[3] == "time, batch 64")
        .unwrap();
    assert_eq!(time[4].parse::<f64>().unwrap(), median);
    assert_eq!(time[9], "does not count");
}

#[test]
fn what_was_not_measured_is_a_dash_and_never_zero() {
    let mut report = sample();
    report.subjects.truncate(1);
    report.subjects[0].results.truncate(1);
    let outcome = &mut report.subjects[0].results[0];
    outcome.cost = Some(crate::report::Cost::default());
    outcome.cold = None;
    outcome.convergence = None;
    let text = table(&report, false);
    let cost = text
        .lines()
        .skip_while(|line| !line.contains("start-up"))
        .nth(1)
        .unwrap();
    assert_eq!(
        cost.split_whitespace().collect::<Vec<_>>(),
        ["flex", "–", "–", "–", "–", "–", "–", "–", "–"]
    );
    assert!(!csv(&report).contains(",memory,"));
}

#[test]
fn the_table_has_escapes_only_in_color_and_fits() {
    let report = sample();
    let plain = table(&report, false);
    assert!(!plain.contains('\x1b'));
    assert!(table(&report, true).contains("\x1b[31m✗ departs\x1b[0m"));
    let widest = plain
        .lines()
        .map(|line| line.chars().count())
        .max()
        .unwrap();
    assert!(widest <= 115, "{widest}");
}

#[test]
fn the_sum_says_who_agrees_and_what_is_off() {
    let mut report = sample();
    let sum = super::facts::summary(&report);
    assert_eq!(
        sum,
        "3 of 6 backends agree on both subjects; wgpu departs on lenet-mnist from conv2; vulkan \
         crashed on lenet-mnist during gradients, in layer conv2; vulkan timed out on \
         gpt-shakespeare during training step 3; cuda is unsupported here; torch compiled was not \
         measured on gpt-shakespeare; of the peers, torch agrees."
    );
    report.columns.truncate(2);
    report.subjects.truncate(1);
    assert_eq!(
        super::facts::summary(&report),
        "All 2 backends agree on lenet-mnist."
    );
}

#[test]
fn a_doubtful_reference_is_said_first() {
    let mut report = sample();
    report.subjects[0].reference.check.as_mut().unwrap().worst = Some(7.5);
    for (name, text) in [
        ("table", table(&report, false)),
        ("markdown", markdown(&report, "")),
    ] {
        assert!(text.contains("reference itself is in doubt"), "{name}");
    }
    assert!(html(&report, NOTES).contains("class=\"warning\""));
}

#[test]
fn the_page_is_whole_and_calls_nobody() {
    let report = sample();
    for page in [
        html(&report, NOTES),
        leaderboard(&[("here".into(), report.clone())]),
    ] {
        assert_balanced(&page);
        for outside in [
            "<link", "src=", "@import", "url(", "http://", "https://", "fetch(",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
    let page = html(&report, NOTES);
    assert!(
        page.contains("<p>First &lt;notes&gt;.</p>") && page.contains("<p>Second &amp; last.</p>")
    );
    for (subject, column) in [
        ("lenet-mnist", "wgpu"),
        ("gpt-shakespeare", "torch%20compiled"),
    ] {
        assert!(page.contains(&format!("href=\"#{subject}/{column}\"")));
        assert!(page.contains(&format!("id=\"{subject}/{column}\"")));
    }
}

#[test]
fn an_empty_report_renders() {
    let mut report = sample();
    report.subjects.clear();
    report.columns.clear();
    report.baseline = None;
    for (name, text) in all(&report) {
        assert!(!text.is_empty(), "{name}");
    }
    assert!(leaderboard(&[]).contains("0 reports"));
}

#[test]
fn the_leaderboard_says_what_may_be_compared() {
    let mut other = sample();
    other.environment.burn = "0.23.0".into();
    other.environment.governor = Some("powersave".into());
    other.subjects[1].input = vec![8, 64];
    let page = leaderboard(&[("one".into(), sample()), ("two".into(), other)]);
    assert!(page.contains("Compare figures of the same build only"));
    assert!(page.contains("Build B: Burn Zoo 0.1.0, Burn 0.23.0"));
    assert!(page.contains("gpt-shakespeare is not the same on every machine"));
    assert!(page.contains("two ran with the governor powersave"));
    let same = leaderboard(&[("one".into(), sample()), ("two".into(), sample())]);
    assert!(same.contains("of the same build"));
    assert!(!same.contains("is not the same on every machine"));
}
