//! Runs a comparison: starts the workers of one subject, lets them compute, times them in turns,
//! and puts together what they say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::agree::{Observed, Reference, Spread, judge};
use crate::bounds::{self, Tolerance};
use crate::machine;
use crate::process::{Introduction, Process};
use crate::report::{
    Agreement, Check, Cold, Column, Cost, Failure, FailureKind, LayerSeconds, Outcome, Pace, Speed,
    Subject, Verdict, Work,
};
use crate::spec::{Dtype, Perturb, Reply, Request, Spec};
use crate::stats::{leak, median, quantile, ratio};

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measures {
    /// Hold results against the reference.
    pub agreement: bool,
    /// Hold outputs and losses against the first column's, where they are not held against the reference:
    /// to know that the columns do the same work.
    pub parity: bool,
    /// Run recipes to their end.
    pub convergence: bool,
    /// Time steps, passes and tokens.
    pub speed: bool,
    /// Find the devices' limits.
    pub limit: bool,
}

/// How to run a comparison.
pub struct Plan<'a> {
    /// What to measure.
    pub measures: Measures,
    /// Training steps to compare.
    pub steps: usize,
    /// Batch sizes of inference; `None` is that of training.
    pub batches: Vec<Option<usize>>,
    /// Turns that each column gets for each kind of work.
    pub rounds: usize,
    /// About how long a turn takes.
    pub turn: Duration,
    /// How long a worker may say nothing.
    pub silence: Duration,
    /// Other bounds than the default.
    pub tolerance: Tolerance,
    /// Told what is being done.
    pub progress: &'a dyn Fn(&str),
}

/// One column and how to start its worker.
pub struct Lane<'a> {
    /// Its name, backend, type, threads; the rest is filled in from what the worker says.
    pub column: Column,
    /// The type it computes in.
    pub dtype: Dtype,
    /// The command for a specification's file.
    pub command: Box<dyn Fn(&Path) -> Command + 'a>,
    /// Its name to the worker: a backend, `cpu` or `cuda`.
    pub device: String,
}

/// The reference and the run that checks it.
pub struct References<'a> {
    /// The float64 run.
    pub reference: Lane<'a>,
    /// Another one, elsewhere.
    pub check: Option<Lane<'a>>,
}

/// One subject, prepared: its weights and batches lie in `folder`.
pub struct Prepared {
    /// Name, family, shapes, sizes; results are added.
    pub subject: Subject,
    /// For every worker, but for type, threads and device.
    pub spec: Spec,
    /// Where weights and batches are and observations go.
    pub folder: PathBuf,
}

/// A worker under way, with what it has given so far.
struct Running {
    process: Option<Process>,
    outcome: Outcome,
    introduction: Option<Introduction>,
    /// Resident and device memory after each turn of training, with the steps until then.
    sizes: Vec<(usize, u64)>,
    /// Training steps in turns so far.
    steps: usize,
    joules: Option<f64>,
}

/// Compares one subject on all columns, and fills in what the columns' workers say of themselves.
///
/// # Errors
/// A reference that cannot be computed, or files that cannot be written.
pub fn compare(
    plan: &Plan<'_>,
    references: &References<'_>,
    lanes: &mut [Lane<'_>],
    prepared: Prepared,
) -> Result<Subject, String> {
    let mut subject = prepared.subject.clone();
    let mut judged = if plan.measures.agreement {
        Some(Judge::prepare(
            plan,
            references,
            lanes,
            &prepared,
            &mut subject,
        )?)
    } else {
        None
    };
    let mut running: Vec<Running> = Vec::new();
    for (index, lane) in lanes.iter().enumerate() {
        (plan.progress)(&format!("{}: {}", subject.name, lane.column.name));
        let mut one = start(plan, lane, &prepared, index);
        let is_held = judged.is_some() || plan.measures.parity;
        if let Some(observed) = is_held.then(|| one.agree(plan, &prepared, index)).flatten() {
            if judged.is_none() {
                judged = Some(Judge::by(&lane.column.name, &observed)?);
            }
            let agreement = (judged.as_ref())
                .map(|judged| judged.judge(&observed, lane.dtype, &plan.tolerance));
            one.outcome.agreement = agreement;
        }
        running.push(one);
    }
    // The reference is of no more use, and must not take memory from what is timed.
    drop(judged);
    if plan.measures.limit {
        for (index, (one, lane)) in running.iter().zip(lanes.iter_mut()).enumerate() {
            if one.process.is_some() && lane.column.peak_multiply_adds_per_second.is_none() {
                (plan.progress)(&format!("limits of {}", lane.column.name));
                find_limit(plan, lane, &prepared, index);
            }
        }
    }
    if plan.measures.speed {
        let own = subject.input[0];
        let mut works = vec![(Work::Train, own)];
        let batches = plan.batches.iter().map(|batch| batch.unwrap_or(own));
        works.extend(batches.map(|batch| (Work::Infer, batch)));
        if prepared.spec.prompt.is_some() {
            works.push((Work::Decode, 1));
        }
        for (work, batch) in works {
            (plan.progress)(&format!("{}: {}, batch {batch}", subject.name, work.name()));
            time(plan, &mut running, work, batch);
        }
        for one in &mut running {
            one.profile();
        }
        explain(&mut running);
    }
    for one in &mut running {
        one.cost();
    }
    if plan.measures.convergence {
        // A peer knows models, not recipes with their data.
        let backends = running
            .iter_mut()
            .zip(lanes.iter())
            .filter(|(_, lane)| !lane.column.peer);
        for (one, lane) in backends {
            one.converge(plan, &subject.name, &lane.column.name);
        }
    }
    for (one, lane) in running.iter().zip(lanes.iter_mut()) {
        if let Some(introduction) = &one.introduction {
            lane.column.device.clone_from(&introduction.device);
            lane.column.kind.clone_from(&introduction.kind);
            lane.column.driver.clone_from(&introduction.driver);
        }
    }
    subject.results = running.into_iter().map(|one| one.outcome).collect();
    Ok(subject)
}

/// Adds how near each speed is to its device's limits. A limit is the best that any column reached on
/// the same device in the same type, since a slow backend does not make the device slow.
pub fn add_shares_of_limits(columns: &[Column], subjects: &mut [Subject]) {
    let best = |column: &Column, limit: fn(&Column) -> Option<f64>| {
        let same = columns.iter().filter(|other| {
            (&other.device, &other.dtype, other.threads)
                == (&column.device, &column.dtype, column.threads)
        });
        same.filter_map(limit).reduce(f64::max)
    };
    for subject in subjects {
        for (outcome, column) in subject.results.iter_mut().zip(columns) {
            let peak = best(column, |column| column.peak_multiply_adds_per_second);
            let copy = best(column, |column| column.copy_bytes_per_second);
            let width = Dtype::parse(&column.dtype).map_or(4, Dtype::size) as f64;
            for speed in &mut outcome.speed {
                // How often each multiply-add, weight and layer's output is had: a backward pass
                // makes two products for each of the forward pass, reads weights and outputs again
                // and writes their gradients, which the update reads with the weights it writes.
                // A decoder's figures are of a whole context, so of a token nothing exact is known.
                let (products, weights, outputs) = match speed.work {
                    Work::Train => (3.0, 6.0, 5.0),
                    Work::Infer => (1.0, 1.0, 2.0),
                    Work::Decode => continue,
                };
                let batch = speed.batch as f64;
                let multiply_adds = products * subject.multiply_adds as f64 * batch;
                let numbers = weights * subject.parameters as f64
                    + outputs * subject.activations as f64 * batch;
                speed.of_peak = peak.map(|peak| multiply_adds / speed.median / peak);
                speed.of_bandwidth = copy.map(|copy| numbers * width / speed.median / copy);
            }
        }
    }
}

/// The reference's results, and what rounding may do to them in each type.
struct Judge {
    reference: Observed,
    spreads: Vec<(Dtype, Spread)>,
    /// Bounds that hold before those that the user sets.
    fixed: Vec<(String, f64)>,
}

impl Judge {
    /// Takes a column for the reference.
    fn by(name: &str, observed: &Observed) -> Result<Self, String> {
        Ok(Self {
            reference: proving(name, observed.results())?,
            spreads: Vec::new(),
            fixed: bounds::PARITY
                .map(|(name, bound)| (name.to_owned(), bound))
                .into(),
        })
    }

    fn prepare(
        plan: &Plan<'_>,
        references: &References<'_>,
        lanes: &[Lane<'_>],
        prepared: &Prepared,
        subject: &mut Subject,
    ) -> Result<Self, String> {
        let lane = &references.reference;
        (plan.progress)(&format!(
            "{}: reference, {}",
            subject.name, lane.column.name
        ));
        let spec = write_spec(lane, prepared, "reference")?;
        let log = prepared.folder.join("reference.log");
        let started = Process::start((lane.command)(&spec), &log, plan.silence);
        let (mut process, _) = started.map_err(|failure| failed(&lane.column.name, &failure))?;
        let folder = prepared.folder.join("reference");
        let reference = agree(&mut process, &folder, plan.steps, None);
        let (reference, _) = reference.map_err(|failure| failed(&lane.column.name, &failure))?;
        let reference = proving(&lane.column.name, reference?)?;
        let mut judge = Self {
            reference,
            spreads: Vec::new(),
            fixed: Vec::new(),
        };
        let of_lanes = lanes.iter().map(|lane| (lane.dtype, plan.steps));
        // The check is held against the first step only.
        let of_check = references.check.iter().map(|_| (Dtype::F64, 1));
        for (dtype, steps) in of_lanes.chain(of_check) {
            if !judge.spreads.iter().any(|(of, _)| *of == dtype) {
                let folder = prepared.folder.join("twin");
                let spread = judge.spread(&mut process, &folder, dtype, steps)?;
                judge.spreads.push((dtype, spread));
            }
        }
        subject.reference.losses = judge.reference.losses().to_vec();
        subject.reference.backend.clone_from(&lane.column.name);
        if let Some(lane) = &references.check {
            subject.reference.check = Some(judge.check(plan, lane, prepared)?);
        }
        Ok(judge)
    }

    /// What rounding in a type may do to the reference: the same number of perturbed runs whatever
    /// comes out, and before anything is held against them.
    fn spread(
        &self,
        process: &mut Process,
        folder: &Path,
        dtype: Dtype,
        steps: usize,
    ) -> Result<Spread, String> {
        let mut spread = Spread::default();
        for twin in bounds::twins(dtype, self.reference.longest_product()) {
            let perturb = Perturb {
                dtype,
                roundings: twin.roundings,
                seed: twin.seed,
            };
            let steps = if twin.trains { steps } else { 1 };
            let name = format!("moved by roundings of {}", dtype.name());
            let run = agree(process, folder, steps, Some(perturb));
            let (run, _) = run.map_err(|failure| failed(&name, &failure))?;
            spread.add(&self.reference, &proving(&name, run?)?);
        }
        Ok(spread)
    }

    /// Holds a run against the reference.
    fn judge(&self, observed: &Observed, dtype: Dtype, tolerance: &Tolerance) -> Agreement {
        let fixed = self.fixed.iter().chain(&tolerance.fixed);
        let tolerance = Tolerance {
            fixed: fixed.cloned().collect(),
            ..tolerance.clone()
        };
        self.against(&self.reference, observed, dtype, &tolerance)
    }

    fn against(
        &self,
        run: &Observed,
        observed: &Observed,
        dtype: Dtype,
        tolerance: &Tolerance,
    ) -> Agreement {
        let none = Spread::default();
        let found = self.spreads.iter().find(|(of, _)| *of == dtype);
        let spread = found.map_or(&none, |(_, spread)| spread);
        judge(&Reference { run, spread }, observed, dtype, tolerance)
    }

    /// Holds a second float64 run against the first: where they differ, neither can judge others.
    fn check(
        &self,
        plan: &Plan<'_>,
        lane: &Lane<'_>,
        prepared: &Prepared,
    ) -> Result<Check, String> {
        (plan.progress)(&format!(
            "{}: check of the reference",
            prepared.subject.name
        ));
        let spec = write_spec(lane, prepared, "check")?;
        let log = prepared.folder.join("check.log");
        let result = Process::start((lane.command)(&spec), &log, plan.silence).and_then(
            |(mut process, _)| agree(&mut process, &prepared.folder.join("check"), 1, None),
        );
        let mut check = Check {
            backend: lane.column.name.clone(),
            worst: None,
            what: String::new(),
        };
        match result {
            Ok((observed, _)) => {
                let first = self.reference.first_step();
                let agreement = self.against(&first, &observed?, Dtype::F64, &Tolerance::default());
                check.worst = Some(agreement.worst);
                check.what = match agreement.first {
                    Some(first) => {
                        format!("{}: {} of {}", agreement.worst_of, first.of, first.name)
                    }
                    None => agreement.worst_of,
                };
            }
            Err(failure) => {
                check.what = format!("failed during {}: {}", failure.during, failure.message)
            }
        }
        Ok(check)
    }
}

/// The run, if all of it is finite: another can prove nothing, and neither agrees nor departs.
fn proving(name: &str, run: Observed) -> Result<Observed, String> {
    match run.not_finite() {
        None => Ok(run),
        Some(what) => Err(format!(
            "the reference ({name}) proves nothing: {what} is not finite, in float64. Compare fewer \
             --steps, a lower optimizer.learning_rate, or other weights"
        )),
    }
}

fn failed(reference: &str, failure: &Failure) -> String {
    format!(
        "the reference ({reference}) failed during {}: {}",
        failure.during, failure.message
    )
}

fn agree(
    process: &mut Process,
    folder: &Path,
    steps: usize,
    perturb: Option<Perturb>,
) -> Result<(Result<Observed, String>, Cold), Failure> {
    if let Err(error) = zoo_files::Folder::make(folder) {
        return Ok((
            Err(format!("{}: {error}", folder.display())),
            Cold::default(),
        ));
    }
    let request = Request::Agree {
        out: folder.display().to_string(),
        steps,
        perturb,
    };
    match process.ask(&request, &mut |_, _| ())? {
        Reply::Agreed {
            losses,
            first_forward_seconds,
            first_step_seconds,
        } => {
            let cold = Cold {
                first_forward_seconds: Some(first_forward_seconds),
                first_step_seconds: Some(first_step_seconds),
                ..Cold::default()
            };
            let losses = losses.into_iter().map(|loss| loss.unwrap_or(f64::NAN));
            Ok((Observed::read(folder, losses.collect()), cold))
        }
        other => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> Failure {
    Failure {
        kind: FailureKind::Crash,
        during: "an answer".into(),
        layer: None,
        message: format!("it answered something else: {reply:?}"),
    }
}

fn write_spec(lane: &Lane<'_>, prepared: &Prepared, name: &str) -> Result<PathBuf, String> {
    let spec = Spec {
        dtype: lane.dtype,
        threads: lane.column.threads,
        device: lane.device.clone(),
        ..prepared.spec.clone()
    };
    let path = prepared.folder.join(format!("{name}.json"));
    let text = serde_json::to_vec_pretty(&spec).map_err(|error| error.to_string())?;
    zoo_files::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn start(plan: &Plan<'_>, lane: &Lane<'_>, prepared: &Prepared, index: usize) -> Running {
    let mut running = Running {
        process: None,
        outcome: Outcome {
            column: lane.column.name.clone(),
            ..Outcome::default()
        },
        introduction: None,
        sizes: Vec::new(),
        steps: 0,
        joules: None,
    };
    let name = format!("column-{index}");
    let log = prepared.folder.join(format!("{name}.log"));
    let started = write_spec(lane, prepared, &name)
        .map_err(|message| Failure {
            kind: FailureKind::Crash,
            during: "start".into(),
            layer: None,
            message,
        })
        .and_then(|spec| Process::start((lane.command)(&spec), &log, plan.silence));
    match started {
        Ok((process, introduction)) => {
            running.outcome.cold = Some(Cold {
                startup_seconds: introduction.startup_seconds,
                ..Cold::default()
            });
            running.process = Some(process);
            running.introduction = Some(introduction);
        }
        Err(failure) => running.outcome.failure = Some(failure),
    }
    running
}

/// Measures the device in a process of its own: what that takes must not count as the model's
/// memory. A device that fails here has no limits to show, and fails elsewhere too.
fn find_limit(plan: &Plan<'_>, lane: &mut Lane<'_>, prepared: &Prepared, index: usize) {
    let log = prepared.folder.join(format!("limit-{index}.log"));
    let Ok(spec) = write_spec(lane, prepared, &format!("limit-{index}")) else {
        return;
    };
    let asked = Process::start((lane.command)(&spec), &log, plan.silence)
        .and_then(|(mut process, _)| process.ask(&Request::Limit, &mut |_, _| ()));
    if let Ok(Reply::Limit {
        multiply_adds_per_second,
        copy_bytes_per_second,
    }) = asked
    {
        lane.column.peak_multiply_adds_per_second = Some(multiply_adds_per_second);
        lane.column.copy_bytes_per_second = Some(copy_bytes_per_second);
    }
}

impl Running {
    /// Asks the worker, if it is still there; a failure is its last.
    fn ask(&mut self, request: &Request, progress: &mut dyn FnMut(usize, f64)) -> Option<Reply> {
        let process = self.process.as_mut()?;
        match process.ask(request, progress) {
            Ok(reply) => Some(reply),
            Err(failure) => {
                self.fail(failure);
                None
            }
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.outcome.failure = Some(failure);
        self.process = None;
    }

    fn agree(&mut self, plan: &Plan<'_>, prepared: &Prepared, index: usize) -> Option<Observed> {
        let process = self.process.as_mut()?;
        let folder = prepared.folder.join(format!("column-{index}"));
        let failure = match agree(process, &folder, plan.steps, None) {
            Ok((Ok(observed), cold)) => {
                if let Some(total) = &mut self.outcome.cold {
                    total.first_forward_seconds = cold.first_forward_seconds;
                    total.first_step_seconds = cold.first_step_seconds;
                }
                return Some(observed);
            }
            Ok((Err(message), _)) => Failure {
                kind: FailureKind::Crash,
                during: "reading its results".into(),
                layer: None,
                message,
            },
            Err(failure) => failure,
        };
        self.fail(failure);
        None
    }

    /// One turn: seconds an iteration, and how many there were.
    fn turn(
        &mut self,
        work: Work,
        batch: usize,
        length: Duration,
        warm: bool,
    ) -> Option<(f64, usize)> {
        let request = Request::Time {
            work,
            batch,
            seconds: length.as_secs_f64(),
            warm,
        };
        match self.ask(&request, &mut |_, _| ())? {
            Reply::Timed {
                iterations,
                seconds,
            } => Some((seconds / iterations.max(1) as f64, iterations)),
            other => {
                self.fail(unexpected(&other));
                None
            }
        }
    }

    fn memory(&mut self) -> Option<(Option<u64>, Option<u64>, Option<u64>)> {
        match self.ask(&Request::Cost, &mut |_, _| ())? {
            Reply::Cost {
                peak_resident_bytes,
                resident_bytes,
                device_bytes,
            } => Some((peak_resident_bytes, resident_bytes, device_bytes)),
            _ => None,
        }
    }

    fn profile(&mut self) {
        if let Some(Reply::Profiled { layers }) = self.ask(&Request::Profile, &mut |_, _| ()) {
            self.outcome.layer_seconds = layers;
        }
    }

    fn cost(&mut self) {
        let Some((peak_resident_bytes, _, device_bytes)) = self.memory() else {
            return;
        };
        self.outcome.cost = Some(Cost {
            peak_resident_bytes,
            device_bytes,
            leak_bytes_per_step: leak(&self.sizes),
            joules_per_step: self.joules,
        });
    }

    fn converge(&mut self, plan: &Plan<'_>, subject: &str, column: &str) {
        let say = |step: usize, loss: f64| {
            (plan.progress)(&format!(
                "{subject}: {column} to the end, step {step}, loss {loss:.4}"
            ));
        };
        if let Some(Reply::Converged(run)) =
            self.ask(&Request::Converge, &mut |step, loss| say(step, loss))
        {
            self.outcome.convergence = Some(run);
        }
    }
}

/// Times one kind of work in turns, so that what happens to the machine happens to all alike.
fn time(plan: &Plan<'_>, running: &mut [Running], work: Work, batch: usize) {
    /// What a column may take for one kind of work before its turns stop at the least number.
    const PATIENCE: f64 = 60.0;
    const LEAST_ROUNDS: usize = 5;
    /// A processor that has just worked is given back before the next one's turn.
    const PAUSE: Duration = Duration::from_millis(20);

    for one in running.iter_mut() {
        one.turn(work, batch, plan.turn, true);
    }
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); running.len()];
    let mut spent = vec![0.0; running.len()];
    for round in 0..plan.rounds {
        let mut order: Vec<usize> = (0..running.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let one = &mut running[index];
            if spent[index] > PATIENCE && samples[index].len() >= LEAST_ROUNDS {
                continue;
            }
            std::thread::sleep(PAUSE);
            let kind = one
                .introduction
                .as_ref()
                .map(|one| one.kind.clone())
                .unwrap_or_default();
            let energy = machine::joules(&kind);
            let Some((seconds, iterations)) = one.turn(work, batch, plan.turn, false) else {
                continue;
            };
            samples[index].push(seconds);
            spent[index] += seconds * iterations as f64;
            if work == Work::Train {
                let used = machine::joules(&kind)
                    .zip(energy)
                    .map(|(now, then)| now - then);
                // A counter that wrapped around tells nothing.
                if let Some(used) = used.filter(|used| *used > 0.0) {
                    one.joules = Some(used / iterations as f64);
                }
                one.steps += iterations;
                if let Some((_, resident, device)) = one.memory() {
                    let size = resident.unwrap_or(0) + device.unwrap_or(0);
                    one.sizes.push((one.steps, size));
                }
            }
        }
    }
    let base = samples.first().cloned().unwrap_or_default();
    for (index, (one, samples)) in running.iter_mut().zip(samples).enumerate() {
        if samples.is_empty() {
            continue;
        }
        let paired = samples.len().min(base.len());
        let departs = one
            .outcome
            .agreement
            .as_ref()
            .is_some_and(|agreement| agreement.verdict == Verdict::Departs);
        let middle = median(&samples);
        one.outcome.speed.push(Speed {
            work,
            batch,
            median: middle,
            quartiles: [quantile(&samples, 0.25), quantile(&samples, 0.75)],
            rate: batch as f64 / middle,
            ratio: (index > 0 && paired > 0).then(|| ratio(&samples[..paired], &base[..paired])),
            of_peak: None,
            of_bandwidth: None,
            counts: !departs,
            samples,
        });
        if work == Work::Train
            && let Some(cold) = &mut one.outcome.cold
            && let Some(forward) = cold.first_forward_seconds
            && let Some(step) = cold.first_step_seconds
        {
            let first = forward + step;
            cold.preparation_seconds = Some((first - 2.0 * middle).max(0.0));
        }
    }
}

/// Where a column is slower in inference or training, says which layer has most of it.
fn explain(running: &mut [Running]) {
    let Some((base, others)) = running.split_first_mut() else {
        return;
    };
    let base = &base.outcome.layer_seconds;
    for one in others {
        let Some(slow) = slowest(&one.outcome.layer_seconds, base) else {
            continue;
        };
        for speed in &mut one.outcome.speed {
            if let Some(ratio) = &mut speed.ratio
                && ratio.verdict == Pace::Slower
            {
                ratio.slow_layer = Some(slow.clone());
            }
        }
    }
}

/// The layer with the most of the time that one column takes beyond another, and its share of it.
fn slowest(layers: &[LayerSeconds], base: &[LayerSeconds]) -> Option<(String, f64)> {
    let excess = layers.iter().filter_map(|layer| {
        let base = base.iter().find(|other| other.name == layer.name)?;
        Some((layer.name.clone(), (layer.seconds - base.seconds).max(0.0)))
    });
    let excess: Vec<(String, f64)> = excess.collect();
    let total: f64 = excess.iter().map(|(_, seconds)| seconds).sum();
    let (name, most) = excess.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (total > 0.0).then(|| (name, most / total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(seconds: &[(&str, f64)]) -> Vec<LayerSeconds> {
        let layer = |(name, seconds): &(&str, f64)| LayerSeconds {
            name: (*name).into(),
            seconds: *seconds,
        };
        seconds.iter().map(layer).collect()
    }

    #[test]
    fn the_layer_with_most_of_the_difference_is_named() {
        let base = layers(&[("a", 1.0), ("b", 2.0), ("c", 1.0)]);
        let slow = layers(&[("a", 1.2), ("b", 2.0), ("c", 1.8)]);
        let (name, share) = slowest(&slow, &base).unwrap();
        assert_eq!(name, "c");
        assert!((share - 0.8).abs() < 1e-12);
        assert_eq!(slowest(&base, &base), None);
    }
}
