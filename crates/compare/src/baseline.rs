//! A report against an earlier one: what changed beyond noise.

use crate::report::{Baseline, Delta, Environment, FailureKind, Outcome, Report, Verdict};
use crate::stats::unpaired;

/// Between two runs of the command, the machine itself differs by more than between two turns of
/// one run: smaller changes are not reported.
const NOISE: f64 = 0.10;
/// Changes of memory below this are the allocator's.
const LEAST_BYTES: u64 = 16 << 20;

/// Compares every figure that both reports have.
#[must_use]
pub fn against(now: &Report, before: &Report, file: &str) -> Baseline {
    let other_machine = !same_machine(&now.environment, &before.environment);
    let mut baseline = Baseline {
        file: file.into(),
        created: before.created.clone(),
        other_machine,
        changes: Vec::new(),
        compared: 0,
    };
    for subject in &now.subjects {
        let Some(earlier) = before
            .subjects
            .iter()
            .find(|other| other.name == subject.name)
        else {
            continue;
        };
        for outcome in &subject.results {
            let earlier = earlier
                .results
                .iter()
                .find(|other| other.column == outcome.column);
            if let Some(earlier) = earlier {
                let mut figures = Figures {
                    baseline: &mut baseline,
                    subject: &subject.name,
                    column: &outcome.column,
                };
                figures.compare(outcome, earlier);
            }
        }
    }
    baseline
}

fn same_machine(a: &Environment, b: &Environment) -> bool {
    (&a.processor, a.logical_cores, &a.machine) == (&b.processor, b.logical_cores, &b.machine)
}

/// Whether these are times: a file may hold anything, and a ratio to 0 compares as nothing does.
fn are_times(samples: &[f64]) -> bool {
    !samples.is_empty() && samples.iter().all(|time| time.is_finite() && *time > 0.0)
}

struct Figures<'a> {
    baseline: &'a mut Baseline,
    subject: &'a str,
    column: &'a str,
}

impl Figures<'_> {
    fn compare(&mut self, now: &Outcome, before: &Outcome) {
        let broken = |outcome: &Outcome| {
            let failure = outcome.failure.as_ref();
            failure.is_some_and(|failure| failure.kind != FailureKind::Unsupported)
        };
        self.flag("failure", broken(before), broken(now));
        if let (Some(now), Some(before)) = (&now.agreement, &before.agreement) {
            let departs = |verdict: Verdict| verdict == Verdict::Departs;
            self.flag("departure", departs(before.verdict), departs(now.verdict));
        }
        if let (Some(now), Some(before)) = (&now.convergence, &before.convergence) {
            let missed = |met: Option<bool>| met == Some(false);
            self.flag("missed expectation", missed(before.met), missed(now.met));
        }
        for speed in &now.speed {
            let earlier = before
                .speed
                .iter()
                .find(|other| (other.work, other.batch) == (speed.work, speed.batch));
            let usable = earlier.filter(|other| are_times(&other.samples));
            let Some(earlier) = usable.filter(|_| are_times(&speed.samples)) else {
                continue;
            };
            self.baseline.compared += 1;
            let interval = unpaired(&speed.samples, &earlier.samples);
            let what = format!("{}, batch {}", speed.work.name(), speed.batch);
            if interval[0] > 1.0 + NOISE || interval[1] < 1.0 / (1.0 + NOISE) {
                // A slower machine is no slower program.
                let regression = interval[0] > 1.0 && !self.baseline.other_machine;
                self.add(
                    (&what, "s"),
                    [earlier.median, speed.median],
                    Some(interval),
                    regression,
                );
            }
        }
        let memory = |outcome: &Outcome| outcome.cost.as_ref()?.peak_resident_bytes;
        if let (Some(now), Some(before)) = (memory(now), memory(before)) {
            self.baseline.compared += 1;
            let grown = now.abs_diff(before) > LEAST_BYTES;
            let share = now as f64 / before as f64;
            if grown && !(1.0 / (1.0 + NOISE)..1.0 + NOISE).contains(&share) {
                let regression = now > before && !self.baseline.other_machine;
                self.add(
                    ("peak memory", "B"),
                    [before as f64, now as f64],
                    None,
                    regression,
                );
            }
        }
    }

    /// Something that is either there or not: 0 or 1.
    fn flag(&mut self, what: &str, before: bool, now: bool) {
        self.baseline.compared += 1;
        if before != now {
            let number = |flag: bool| f64::from(u8::from(flag));
            self.add((what, ""), [number(before), number(now)], None, now);
        }
    }

    fn add(
        &mut self,
        (what, unit): (&str, &str),
        [before, now]: [f64; 2],
        interval: Option<[f64; 2]>,
        regression: bool,
    ) {
        self.baseline.changes.push(Delta {
            subject: self.subject.into(),
            column: self.column.into(),
            what: what.into(),
            unit: unit.into(),
            before,
            now,
            interval,
            regression,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Cost, Failure, Reference, Speed, Subject, Work};

    fn report(seconds: f64, mebibytes: u64) -> Report {
        // A spread of 3 % around the mean.
        let samples: Vec<f64> = (0..11)
            .map(|i| seconds * (0.97 + 0.006 * f64::from(i)))
            .collect();
        let speed = Speed {
            work: Work::Train,
            batch: 64,
            median: seconds,
            quartiles: [seconds, seconds],
            rate: 64.0 / seconds,
            ratio: None,
            of_peak: None,
            of_bandwidth: None,
            counts: true,
            samples,
        };
        Report {
            schema: crate::report::SCHEMA.into(),
            version: crate::report::VERSION,
            created: "2026-01-01T00:00:00Z".into(),
            command: String::new(),
            environment: Environment::default(),
            columns: Vec::new(),
            subjects: vec![Subject {
                name: "s".into(),
                model: String::new(),
                family: String::new(),
                recipe: false,
                library: None,
                input: vec![64],
                parameters: 0,
                multiply_adds: 0,
                activations: 0,
                reference: Reference {
                    backend: String::new(),
                    losses: Vec::new(),
                    check: None,
                },
                results: vec![Outcome {
                    column: "flex".into(),
                    speed: vec![speed],
                    cost: Some(Cost {
                        peak_resident_bytes: Some(mebibytes << 20),
                        ..Cost::default()
                    }),
                    ..Outcome::default()
                }],
            }],
            baseline: None,
        }
    }

    #[test]
    fn noise_is_no_change() {
        let baseline = against(&report(1.04, 110), &report(1.0, 100), "old.json");
        assert_eq!(baseline.changes, []);
        assert!(baseline.compared >= 3);
    }

    #[test]
    fn a_slower_step_and_a_larger_process_are_regressions() {
        let baseline = against(&report(1.4, 200), &report(1.0, 100), "old.json");
        let found: Vec<_> = baseline
            .changes
            .iter()
            .map(|c| (c.what.as_str(), c.regression))
            .collect();
        let expected = [("training step, batch 64", true), ("peak memory", true)];
        assert_eq!(found, expected);
        let [low, high] = baseline.changes[0].interval.unwrap();
        assert!(low < 1.4 && 1.4 < high && low > 1.3, "{low} {high}");
    }

    #[test]
    fn faster_is_a_change_but_no_regression_and_another_machine_proves_nothing() {
        let baseline = against(&report(0.6, 100), &report(1.0, 100), "old.json");
        assert_eq!(baseline.changes.len(), 1);
        assert!(!baseline.changes[0].regression);
        let mut elsewhere = report(1.0, 100);
        elsewhere.environment.processor = "another".into();
        let baseline = against(&report(2.0, 100), &elsewhere, "old.json");
        assert!(baseline.other_machine && !baseline.changes[0].regression);
    }

    #[test]
    fn times_that_are_none_are_not_compared() {
        for samples in [vec![], vec![0.0; 5], vec![f64::INFINITY; 5], vec![-1.0; 5]] {
            let mut before = report(1.0, 100);
            before.subjects[0].results[0].speed[0].samples = samples;
            let (now, whole) = (report(1.0, 100), report(1.0, 100));
            let of = |before| against(&now, before, "old.json");
            assert_eq!(of(&before).compared + 1, of(&whole).compared);
            assert_eq!(of(&before).changes, []);
        }
    }

    #[test]
    fn a_new_crash_is_a_regression_anywhere() {
        let mut now = report(1.0, 100);
        now.subjects[0].results[0].failure = Some(Failure {
            kind: FailureKind::Crash,
            during: "forward".into(),
            layer: None,
            message: String::new(),
        });
        let baseline = against(&now, &report(1.0, 100), "old.json");
        assert_eq!(baseline.changes.len(), 1);
        assert!(baseline.changes[0].regression);
        // And its end is a change for the better.
        let baseline = against(&report(1.0, 100), &now, "old.json");
        assert!(!baseline.changes[0].regression);
    }
}
