//! What every rendering says, worded once: a cell's state, where a departure begins, the sum.

use super::format::{self, is_finite, list, percent, ratio};
use crate::report::{
    Baseline, Column, Delta, Departure, Failure, FailureKind, First, Outcome, Pace, Ratio, Report,
    Speed, Subject, Verdict, Work,
};

/// What a cell of the agreement matrix says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    Agrees,
    Close,
    Departs,
    Crash,
    Timeout,
    Unsupported,
    Unmeasured,
}

impl State {
    pub fn of(outcome: Option<&Outcome>) -> Self {
        let failure = outcome.and_then(|outcome| outcome.failure.as_ref());
        let agreement = outcome.and_then(|outcome| outcome.agreement.as_ref());
        match (failure, agreement) {
            (Some(failure), _) => match failure.kind {
                FailureKind::Crash => Self::Crash,
                FailureKind::Timeout => Self::Timeout,
                FailureKind::Unsupported => Self::Unsupported,
            },
            (None, Some(agreement)) => agreement.verdict.into(),
            (None, None) => Self::Unmeasured,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Close => "close",
            Self::Departs => "departs",
            Self::Crash => "crashed",
            Self::Timeout => "timed out",
            Self::Unsupported => "unsupported",
            Self::Unmeasured => "not measured",
        }
    }

    /// A sign that tells the states apart without colour.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Agrees => "✓",
            Self::Close => "≈",
            Self::Departs => "✗",
            Self::Crash => "!",
            Self::Timeout => "!",
            Self::Unsupported => "∅",
            Self::Unmeasured => "–",
        }
    }

    /// The class of a cell in the pages.
    pub fn class(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Close => "close",
            Self::Departs => "departs",
            Self::Crash | Self::Timeout => "failed",
            Self::Unsupported | Self::Unmeasured => "none",
        }
    }

    pub fn is_within_bounds(self) -> bool {
        matches!(self, Self::Agrees | Self::Close)
    }
}

impl From<Verdict> for State {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Agrees => Self::Agrees,
            Verdict::Close => Self::Close,
            Verdict::Departs => Self::Departs,
        }
    }
}

/// What `column` did on `subject`.
pub fn outcome<'a>(subject: &'a Subject, column: &str) -> Option<&'a Outcome> {
    subject
        .results
        .iter()
        .find(|outcome| outcome.column == column)
}

/// Every kind of work that some column was timed at: training first, large batches first.
pub fn works(subject: &Subject) -> Vec<(Work, usize)> {
    let speeds = subject.results.iter().flat_map(|outcome| &outcome.speed);
    let mut works: Vec<_> = speeds.map(|speed| (speed.work, speed.batch)).collect();
    works.sort_by_key(|&(work, batch)| (work, usize::MAX - batch));
    works.dedup();
    works
}

/// The time of one kind of work.
pub fn speed(outcome: Option<&Outcome>, work: Work, batch: usize) -> Option<&Speed> {
    let mut speeds = outcome?.speed.iter();
    speeds.find(|speed| speed.work == work && speed.batch == batch)
}

/// The name of the column that ratios are relative to.
pub fn base(report: &Report) -> &str {
    report.columns.first().map_or("", |column| &column.name)
}

/// Whether the base's own time counts, without which no ratio does.
pub fn base_counts(report: &Report, subject: &Subject, work: Work, batch: usize) -> bool {
    speed(outcome(subject, base(report)), work, batch).is_some_and(|speed| speed.counts)
}

/// How many times its bound a departure is.
pub fn over(departure: &Departure) -> f64 {
    if !is_finite(departure.error) {
        return f64::INFINITY;
    }
    match departure.error == 0.0 {
        true => 0.0,
        false => departure.error / departure.bound,
    }
}

/// The state of one tensor.
pub fn level(departure: &Departure) -> State {
    match over(departure) {
        over if over <= 0.5 => State::Agrees,
        over if over <= 1.0 => State::Close,
        _ => State::Departs,
    }
}

/// `41.0× its bound`, or that it is not finite.
pub fn times_bound(over: f64) -> String {
    match is_finite(over) {
        true => format!("{} its bound", ratio(over)),
        false => "not finite".into(),
    }
}

/// `0.12× its bound in gradients`
pub fn worst(outcome: &Outcome) -> Option<String> {
    let agreement = outcome.agreement.as_ref()?;
    Some(format!(
        "{} in {}",
        times_bound(agreement.worst),
        agreement.worst_of
    ))
}

/// `conv2 (Conv2d 64×16×10×10, output), 12.0× its bound`
pub fn first(first: &First) -> String {
    let shape = format::shape(&first.shape);
    let over = times_bound(first.over);
    format!(
        "{} ({} {shape}, {}), {over}",
        first.name, first.kind, first.of
    )
}

/// `crashed during training step 3, in layer h.0.attn`
pub fn failure(failure: &Failure) -> String {
    match failure.kind {
        FailureKind::Unsupported => "unsupported".into(),
        FailureKind::Crash => format!("crashed {}", when(failure)),
        FailureKind::Timeout => format!("timed out {}", when(failure)),
    }
}

/// `during training step 3, in layer h.0.attn`
pub fn when(failure: &Failure) -> String {
    let layer = failure
        .layer
        .as_ref()
        .map(|layer| format!(", in layer {layer}"));
    format!("during {}{}", failure.during, layer.unwrap_or_default())
}

pub fn pace(pace: Pace) -> &'static str {
    match pace {
        Pace::Faster => "faster",
        Pace::Slower => "slower",
        Pace::Undecided => "undecided",
    }
}

/// `most of it in conv2 (61 %)`, where a slower column's difference was located.
pub fn slow_layer(ratio: &Ratio) -> Option<String> {
    let (layer, share) = ratio.slow_layer.as_ref()?;
    Some(format!("{} of the difference in {layer}", percent(*share)))
}

/// Parameters, input and work of a subject: `lenet (cnn), input 64×1×28×28, 61.7 k parameters`.
pub fn about(subject: &Subject) -> String {
    format!(
        "{} ({}), input {}, {} parameters, {} multiply-adds an example",
        subject.model,
        subject.family,
        format::shape(&subject.input),
        format::count(subject.parameters as f64),
        format::count(subject.multiply_adds as f64),
    )
}

/// What the reference is and how far it is to be trusted.
pub fn reference(subject: &Subject) -> String {
    let reference = &subject.reference;
    let check = reference.check.as_ref().map(|check| match check.worst {
        Some(worst) => format!(
            ", checked against {}: {}",
            check.backend,
            times_bound(worst)
        ),
        None => format!(", not checked: {}", check.what),
    });
    format!(
        "{}{}",
        reference.backend,
        check.unwrap_or_else(|| ", not checked".into())
    )
}

/// What would make a reader's conclusions wrong.
pub fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    for subject in &report.subjects {
        let name = &subject.name;
        if let Some(check) = &subject.reference.check
            && let Some(worst) = check.worst
            && (worst > 1.0 || !is_finite(worst))
        {
            let (backend, what) = (&check.backend, &check.what);
            let over = times_bound(worst);
            warnings.push(format!(
                "{name}: the reference itself is in doubt: {backend} departs from it in {what}, {over}"
            ));
        }
        let base = base(report);
        let state = State::of(outcome(subject, base));
        if !state.is_within_bounds() && !works(subject).is_empty() {
            let word = state.word();
            warnings.push(format!(
                "{name}: no ratio counts, because their base {base} {word}"
            ));
        }
    }
    warnings
}

/// Several columns that have the same to be said of them.
struct Said {
    what: String,
    columns: Vec<String>,
}

fn say(said: &mut Vec<Said>, what: String, column: &str) {
    match said.iter_mut().find(|one| one.what == what) {
        Some(one) => one.columns.push(column.into()),
        None => said.push(Said {
            what,
            columns: vec![column.into()],
        }),
    }
}

/// What is off with `column`, subject by subject; `unsupported` at most once.
fn off(report: &Report, column: &Column, said: &mut Vec<Said>) {
    for subject in &report.subjects {
        let found = outcome(subject, &column.name);
        let state = State::of(found);
        let agreement = found.and_then(|outcome| outcome.agreement.as_ref());
        let name = &subject.name;
        let what = match (state, found.and_then(|outcome| outcome.failure.as_ref())) {
            (State::Agrees | State::Close, _) => continue,
            (State::Unsupported, _) => "unsupported here".into(),
            (State::Unmeasured, _) => format!("not measured on {name}"),
            (_, Some(failed)) => format!("{} on {name} {}", state.word(), when(failed)),
            (_, None) => match agreement.and_then(|agreement| agreement.first.as_ref()) {
                Some(first) => format!("departs on {name} from {}", first.name),
                None => format!("departs on {name}"),
            },
        };
        if !said
            .iter()
            .any(|one| one.what == what && one.columns.contains(&column.name))
        {
            say(said, what, &column.name);
        }
    }
}

/// The whole report in one line: `2 of 3 backends agree on all 5 subjects; wgpu departs on gpt from
/// h.0.attn.`
pub fn summary(report: &Report) -> String {
    clauses(report).join("; ") + "."
}

/// The sum clause by clause: first how many agree, then what is off.
pub fn clauses(report: &Report) -> Vec<String> {
    let all_within = |column: &&Column| {
        let mut states = report
            .subjects
            .iter()
            .map(|s| State::of(outcome(s, &column.name)));
        states.all(State::is_within_bounds)
    };
    let (peers, backends): (Vec<_>, Vec<_>) = report.columns.iter().partition(|c| c.peer);
    let agreeing = backends.iter().copied().filter(|c| all_within(c)).count();
    let on = match report.subjects.as_slice() {
        [one] => one.name.clone(),
        [_, _] => "both subjects".into(),
        all => format!("all {} subjects", all.len()),
    };
    let noun = if backends.len() == 1 {
        "backend"
    } else {
        "backends"
    };
    let agree = if agreeing == 1 { "agrees" } else { "agree" };
    let mut parts = vec![match agreeing == backends.len() && agreeing > 1 {
        true => format!("All {agreeing} {noun} agree on {on}"),
        false => format!("{agreeing} of {} {noun} {agree} on {on}", backends.len()),
    }];
    let mut said = Vec::new();
    backends
        .iter()
        .for_each(|column| off(report, column, &mut said));
    let (fine, off_peers): (Vec<_>, Vec<_>) = peers.into_iter().partition(all_within);
    off_peers
        .iter()
        .for_each(|column| off(report, column, &mut said));
    for said in said {
        let what = match said.what.split_once(' ') {
            Some(("unsupported", _)) if said.columns.len() > 1 => format!("are {}", said.what),
            Some(("unsupported", _)) => format!("is {}", said.what),
            Some(("not", _)) if said.columns.len() > 1 => format!("were {}", said.what),
            Some(("not", _)) => format!("was {}", said.what),
            Some(("departs", rest)) if said.columns.len() > 1 => format!("depart {rest}"),
            _ => said.what,
        };
        parts.push(format!("{} {what}", list(&said.columns)));
    }
    if !fine.is_empty() {
        let agree = if fine.len() == 1 { "agrees" } else { "agree" };
        let names: Vec<_> = fine.iter().map(|column| column.name.clone()).collect();
        parts.push(format!("of the peers, {} {agree}", list(&names)));
    }
    parts
}

/// The machine in pairs of what and which; what was not told is left out.
pub fn environment(report: &Report) -> Vec<(&'static str, String)> {
    let environment = &report.environment;
    let told = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let rows = [
        ("Machine", told(&environment.machine)),
        ("Processor", told(&environment.processor)),
        ("Architecture", told(&environment.architecture)),
        ("Features", told(&environment.features.join(", "))),
        ("Logical cores", Some(environment.logical_cores.to_string())),
        (
            "Governor",
            Some(
                environment
                    .governor
                    .clone()
                    .unwrap_or_else(|| "not told".into()),
            ),
        ),
        (
            "Memory",
            environment
                .memory_bytes
                .map(|bytes| format::bytes(bytes as f64)),
        ),
        ("System", told(&environment.system)),
        ("Burn Zoo", told(&environment.zoo)),
        ("Burn", told(&environment.burn)),
        (
            "Revision",
            Some(
                environment
                    .revision
                    .clone()
                    .unwrap_or_else(|| "not told".into()),
            ),
        ),
        ("Made", told(&format::moment(&report.created))),
    ];
    rows.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// `training step, batch 64: 12.3 → 15.1, 1.23× [1.20, 1.26]`
pub fn delta(delta: &Delta) -> String {
    let ratio = match delta.before > 0.0 && is_finite(delta.now) {
        true => format!(", {}", ratio(delta.now / delta.before)),
        false => String::new(),
    };
    let interval = delta
        .interval
        .map(|interval| format!(" {}", format::interval(interval)));
    let (before, now) = (
        figure(delta.before, &delta.unit),
        figure(delta.now, &delta.unit),
    );
    format!(
        "{}: {before} → {now}{ratio}{}",
        delta.what,
        interval.unwrap_or_default()
    )
}

fn figure(value: f64, unit: &str) -> String {
    match unit {
        "s" => format::seconds(value),
        "B" => format::bytes(value),
        _ => format::digits(value),
    }
}

/// `32 % of peak, 4.1 % of copy`: how near a speed is to the device's limits.
pub fn limits(speed: &Speed) -> String {
    let peak = format::or_dash(speed.of_peak, format::percent);
    match speed.of_bandwidth {
        Some(share) => format!("{peak}, {} of copy", format::percent(share)),
        None => peak,
    }
}

/// How the run stands against an earlier one.
pub fn baseline(baseline: &Baseline) -> String {
    let worse = baseline
        .changes
        .iter()
        .filter(|change| change.regression)
        .count();
    let other = match baseline.other_machine {
        true => "; another machine or build, so times are not comparable",
        false => "",
    };
    format!(
        "Against {} of {}: {} of {} figures changed beyond noise, {worse} for the worse{other}.",
        baseline.file,
        format::moment(&baseline.created),
        baseline.changes.len(),
        baseline.compared,
    )
}
