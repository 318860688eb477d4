//! Long form for spreadsheets and data frames: one row a figure.

use super::facts::{self, State};
use super::format::{is_finite, line};
use crate::report::{Departure, Outcome, Report, Speed, Work};

const HEADER: &str = "subject,column,quantity,detail,value,low,high,unit,bound,verdict\r\n";

/// The report as CSV (RFC 4180): `subject,column,quantity,detail,value,low,high,unit,bound,verdict`,
/// one row a figure. What was not measured has no row; what is not finite is `inf`.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut out = HEADER.to_owned();
    for subject in &report.subjects {
        for (step, loss) in subject.reference.losses.iter().enumerate() {
            let row = Row {
                unit: "loss",
                ..Row::new("loss", format!("step {}", step + 1), *loss)
            };
            row.write(&mut out, &subject.name, &subject.reference.backend);
        }
        for outcome in &subject.results {
            for row in rows(outcome) {
                row.write(&mut out, &subject.name, &outcome.column);
            }
        }
    }
    out
}

/// One figure of one column on one subject.
#[derive(Default)]
struct Row {
    quantity: &'static str,
    detail: String,
    value: Option<f64>,
    range: Option<[f64; 2]>,
    unit: &'static str,
    bound: Option<f64>,
    verdict: &'static str,
}

impl Row {
    fn new(quantity: &'static str, detail: impl Into<String>, value: f64) -> Self {
        Self {
            quantity,
            detail: detail.into(),
            value: Some(value),
            ..Self::default()
        }
    }

    fn write(&self, out: &mut String, subject: &str, column: &str) {
        let [low, high] = self
            .range
            .map_or([None, None], |[low, high]| [Some(low), Some(high)]);
        let fields = [
            subject.into(),
            column.into(),
            self.quantity.into(),
            self.detail.clone(),
            number(self.value),
            number(low),
            number(high),
            self.unit.into(),
            number(self.bound),
            self.verdict.into(),
        ];
        *out += &fields.map(|field: String| quoted(&field)).join(",");
        *out += "\r\n";
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value != 0.0 && value.abs() < 1e-3 => format!("{value:e}"),
        Some(value) if is_finite(value) => value.to_string(),
        Some(value) if value < 0.0 => "-inf".into(),
        Some(_) => "inf".into(),
    }
}

fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.into(),
    }
}

fn rows(outcome: &Outcome) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(failure) = &outcome.failure {
        let detail = format!("{}: {}", facts::failure(failure), line(&failure.message));
        let verdict = State::of(Some(outcome)).word();
        rows.push(Row {
            quantity: "failure",
            detail,
            verdict,
            ..Row::default()
        });
    }
    rows.extend(agreement(outcome));
    outcome.speed.iter().for_each(|one| rows.extend(speed(one)));
    rows.extend(costs(outcome));
    rows.extend(outcome.layer_seconds.iter().map(|layer| Row {
        unit: "s",
        ..Row::new("layer time", layer.name.clone(), layer.seconds)
    }));
    rows.extend(convergence(outcome));
    rows
}

fn agreement(outcome: &Outcome) -> Vec<Row> {
    let Some(agreement) = &outcome.agreement else {
        return Vec::new();
    };
    let departure = |quantity: &'static str, departure: &Departure| Row {
        unit: "relative",
        bound: Some(departure.bound),
        verdict: facts::level(departure).word(),
        ..Row::new(quantity, departure.name.clone(), departure.error)
    };
    let mut rows = vec![Row {
        unit: "bounds",
        bound: Some(1.0),
        verdict: State::from(agreement.verdict).word(),
        ..Row::new("agreement", agreement.worst_of.clone(), agreement.worst)
    }];
    rows.extend(
        agreement
            .quantities
            .iter()
            .map(|one| departure("departure", one)),
    );
    rows.extend(
        agreement
            .layers
            .iter()
            .map(|one| departure("layer output", one)),
    );
    rows.extend(
        agreement
            .gradients
            .iter()
            .map(|one| departure("gradient", one)),
    );
    rows.extend(agreement.losses.iter().enumerate().map(|(step, loss)| Row {
        unit: "loss",
        ..Row::new("loss", format!("step {}", step + 1), *loss)
    }));
    rows
}

fn speed(speed: &Speed) -> Vec<Row> {
    let (quantity, unit) = match speed.work {
        Work::Train => ("train", "examples/s"),
        Work::Infer => ("infer", "examples/s"),
        Work::Decode => ("decode", "tokens/s"),
    };
    let detail = |what: &str| format!("{what}, batch {}", speed.batch);
    let counts = if speed.counts {
        "counts"
    } else {
        "does not count"
    };
    let time = Row::new(quantity, detail("time"), speed.median);
    let rate = Row::new(quantity, detail("rate"), speed.rate);
    let mut rows = vec![
        Row {
            range: Some(speed.quartiles),
            unit: "s",
            verdict: counts,
            ..time
        },
        Row {
            unit,
            verdict: counts,
            ..rate
        },
    ];
    rows.extend(speed.ratio.as_ref().map(|ratio| Row {
        range: Some(ratio.interval),
        unit: "of base's time",
        verdict: if speed.counts {
            facts::pace(ratio.verdict)
        } else {
            "does not count"
        },
        ..Row::new(quantity, detail("ratio"), ratio.value)
    }));
    rows.extend(speed.of_peak.map(|share| Row {
        unit: "of peak",
        verdict: counts,
        ..Row::new(quantity, detail("share"), share)
    }));
    rows.extend(speed.of_bandwidth.map(|share| Row {
        unit: "of copy bandwidth",
        verdict: counts,
        ..Row::new(quantity, detail("share of bandwidth"), share)
    }));
    rows
}

fn costs(outcome: &Outcome) -> Vec<Row> {
    let cold = outcome.cold.as_ref();
    let cost = outcome.cost.as_ref();
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    let figures = [
        (
            "cold start",
            "startup",
            cold.map(|cold| cold.startup_seconds),
            "s",
        ),
        (
            "cold start",
            "first forward",
            cold.and_then(|cold| cold.first_forward_seconds),
            "s",
        ),
        (
            "cold start",
            "first step",
            cold.and_then(|cold| cold.first_step_seconds),
            "s",
        ),
        (
            "cold start",
            "preparation",
            cold.and_then(|cold| cold.preparation_seconds),
            "s",
        ),
        (
            "memory",
            "peak resident",
            cost.and_then(|cost| bytes(cost.peak_resident_bytes)),
            "B",
        ),
        (
            "memory",
            "device",
            cost.and_then(|cost| bytes(cost.device_bytes)),
            "B",
        ),
        (
            "memory",
            "growth",
            cost.and_then(|cost| cost.leak_bytes_per_step),
            "B/step",
        ),
        (
            "energy",
            "training step",
            cost.and_then(|cost| cost.joules_per_step),
            "J",
        ),
    ];
    let rows = figures
        .into_iter()
        .filter_map(|(quantity, detail, value, unit)| {
            Some(Row {
                unit,
                ..Row::new(quantity, detail, value?)
            })
        });
    rows.collect()
}

fn convergence(outcome: &Outcome) -> Vec<Row> {
    let Some(convergence) = &outcome.convergence else {
        return Vec::new();
    };
    let verdict = match convergence.met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "",
    };
    let value = Row {
        quantity: "convergence",
        detail: convergence.metric.clone(),
        value: convergence.value,
        range: convergence.expected,
        unit: "metric",
        verdict,
        ..Row::default()
    };
    let steps = convergence.steps_to_expectation.map(|steps| Row {
        unit: "steps",
        ..Row::new("convergence", "steps to expectation", steps as f64)
    });
    let wall = Row::new("convergence", "wall time", convergence.wall_seconds);
    let mut rows = vec![value, Row { unit: "s", ..wall }];
    rows.extend(steps);
    rows
}
