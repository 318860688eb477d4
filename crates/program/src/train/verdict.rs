//! A result, for people, and held against what the recipe claims.

use std::path::Path;

use zoo_train::{Event, Metric, Metrics};

use super::prepare::{Prepared, changes};
use crate::cli::TrainArgs;
use crate::error::Error;
use crate::progress::describe;
use crate::runs::REPORT_FILE;

/// The result, for people, of the metrics that are `defined` so.
pub(super) fn report(args: &TrainArgs, prepared: &Prepared, defined: &[Metric], finish: &Event) {
    let Event::Finish {
        run,
        metrics,
        steps,
        stopped_early,
        wall_seconds,
        samples_per_second,
    } = finish
    else {
        return;
    };
    if args.json {
        return;
    }
    let early = if *stopped_early {
        ", stopped early"
    } else {
        ""
    };
    println!("{}", describe(metrics, defined));
    println!("{steps} steps{early} in {wall_seconds:.1} s, {samples_per_second:.0} samples/s");
    // The claim is about the recipe as it is.
    if args.check || changes(args).is_ok_and(|changes| changes.is_empty()) {
        for line in judge(prepared, metrics).0 {
            println!("{line}");
        }
    }
    let report = Path::new(run).join(REPORT_FILE);
    if !args.no_report && report.is_file() {
        println!("report: {}", report.display());
    }
    println!("run folder: {run}");
}

/// A line for each claim, and whether all of them hold.
fn judge(prepared: &Prepared, metrics: &Metrics) -> (Vec<String>, bool) {
    let mut all_hold = true;
    let mut judge = |metric: &String, [min, max]: [f64; 2]| {
        let value = metrics.get(metric).copied();
        let holds = value.is_some_and(|value| (min..=max).contains(&value));
        all_hold &= holds;
        let value = value.map_or("is not there".into(), |value| format!("{value:.4}"));
        let verdict = if holds {
            "as expected"
        } else {
            "NOT as expected"
        };
        format!("{verdict}: {metric} {value}, the recipe claims {min} to {max}")
    };
    let bands = prepared.bands.iter().flatten();
    let lines = bands.map(|(metric, band)| judge(metric, *band)).collect();
    (lines, all_hold)
}

pub(super) fn check(args: &TrainArgs, prepared: &Prepared, finish: &Event) -> Result<(), Error> {
    let Event::Finish { metrics, .. } = finish else {
        return Ok(());
    };
    let (lines, all_hold) = judge(prepared, metrics);
    if all_hold || !args.check {
        return Ok(());
    }
    let missed = lines.into_iter().filter(|line| line.starts_with("NOT"));
    Err(Error::Failed(missed.collect::<Vec<_>>().join("; ")))
}
