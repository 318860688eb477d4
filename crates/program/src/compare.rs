//! `zoo compare`: do the backends agree, and what does each cost?
//!
//! This file turns the command line into columns and subjects; `zoo_compare` does the rest. Every
//! column is a process of this same program (`compare-worker`), or of Python for PyTorch.

mod subjects;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use zoo_compare::bounds::{EXPLANATION, Tolerance};
use zoo_compare::driver::{Lane, Measures, Plan, References, add_shares_of_limits, compare};
use zoo_compare::report::{Column, Report, SCHEMA, VERSION};
use zoo_compare::spec::Dtype;
use zoo_compare::{baseline, machine, render};
use zoo_files::Folder;

use crate::bar::Bar;
use crate::cli::{BatchSize, CompareArgs, CompareCommand, Format, Measure, MergeArgs};
use crate::clock;
use crate::devices::{self, Kind};
use crate::error::Error;
use crate::originals;
use crate::output;
use crate::place;
use crate::rows::Zoo;

/// The PyTorch side of a comparison, and the originals' own code, which it imports.
const PEER: &str = include_str!("peer.py");
const PEER_FILE: &str = "peer.py";
/// The version that Cargo.toml pins.
const BURN: &str = "0.22.1";

/// Compares, prints, writes the report; a breach of a bound is a failure.
pub fn run(zoo: &Zoo, args: &CompareArgs) -> Result<(), Error> {
    if let Some(CompareCommand::Merge(args)) = &args.command {
        return merge(args);
    }
    let tolerance = args.tolerance.as_deref().map(Tolerance::parse);
    let tolerance = tolerance
        .transpose()
        .map_err(Error::Request)?
        .unwrap_or_default();
    let (backends, earlier) = base(args)?;
    place::outside_runs(&args.out, None)?;
    let work = work(&args.out)?;
    let mut lanes = lanes(args, &backends, work.path())?;
    let chosen = subjects::choose(zoo, args)?;

    let bar = (!args.quiet && !args.json).then(|| Bar::new("{spinner} {msg}"));
    let progress = |message: &str| match &bar {
        Some(bar) if bar.is_drawn() => bar.set_message(message),
        Some(bar) => bar.say(message),
        None => {}
    };
    let plan = Plan {
        measures: measures(args),
        steps: args.steps.unwrap_or(20).max(1),
        batches: (args.batch.iter())
            .map(|batch| match batch {
                BatchSize::Own => None,
                BatchSize::Of(count) => Some(*count),
            })
            .collect(),
        rounds: args.rounds.max(1),
        turn: Duration::from_millis(200),
        silence: Duration::from_secs(args.timeout.max(1)),
        tolerance,
        progress: &progress,
    };
    let mut environment =
        machine::environment(devices::cpu_name(), env!("CARGO_PKG_VERSION"), BURN);
    if let Some(machine) = &args.machine {
        environment.machine.clone_from(machine);
    }
    let mut report = Report {
        schema: SCHEMA.into(),
        version: VERSION,
        created: clock::now(),
        command: command_line(),
        environment,
        columns: Vec::new(),
        subjects: Vec::new(),
        baseline: None,
    };
    let references = references(args, work.path())?;
    for choice in &chosen {
        let folder = work.path().join(choice.name().replace(['/', '\\'], "-"));
        Folder::make(&folder).map_err(|error| failed(&folder, error))?;
        let prepared = match choice.prepare(zoo, args, plan.steps, folder.clone())? {
            Ok(prepared) => prepared,
            // What `all` means is what can be had here.
            Err(subjects::LeftOut(reason)) => {
                let name = choice.name();
                eprintln!("note: {name} is left out: {reason}");
                continue;
            }
        };
        let subject = compare(&plan, &references, &mut lanes, prepared).map_err(Error::Failed)?;
        report.columns = lanes.iter().map(|lane| lane.column.clone()).collect();
        report.subjects.push(subject);
        add_shares_of_limits(&report.columns, &mut report.subjects);
        // What was measured is kept, whatever happens to the rest.
        write(args, &report)?;
        // Activations and gradients of every column: too much to keep for all subjects.
        fs::remove_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    }
    if let Some(bar) = &bar {
        bar.clear();
    }
    if let Some((file, earlier)) = &earlier {
        report.baseline = Some(baseline::against(
            &report,
            earlier,
            &file.display().to_string(),
        ));
        write(args, &report)?;
    }
    if args.json {
        println!("{}", to_json(&report)?);
    } else {
        let table = render::table(&report, output::has_color());
        output::print_styled(&format!("{table}\n"));
        if !args.quiet {
            eprintln!("written to {}", args.out.display());
        }
    }
    if report.breached() {
        return Err(Error::failed("a bound is breached; see the report"));
    }
    Ok(())
}

/// A folder that goes with the comparison, for what was measured: new, by a name that nobody knows.
/// Nothing in it is of use later, and an error when it goes would hide the one that ended the run.
fn work(out: &Path) -> Result<TempDir, Error> {
    let made = Folder::make(out)
        // A worker runs in the same folder, but a specification names its files by itself.
        .and_then(|out| fs::canonicalize(out.path()));
    let out = made.map_err(|error| Error::Request(format!("--out {}: {error}", out.display())))?;
    let work = tempfile::Builder::new().prefix(".work-").tempdir_in(&out);
    work.map_err(|error| failed(&out, error))
}

fn failed(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Failed(format!("{}: {error}", path.display()))
}

fn measures(args: &CompareArgs) -> Measures {
    let has = |measure: Measure| args.measure.contains(&measure);
    let all = args.measure.is_empty();
    let to_the_end = args.steps.is_none() && args.models.is_empty();
    Measures {
        agreement: all || has(Measure::Agreement),
        parity: has(Measure::Parity),
        convergence: (all && to_the_end) || has(Measure::Convergence),
        speed: all || has(Measure::Speed),
        limit: all || has(Measure::Limit),
    }
}

/// An earlier report and where it came from.
type Earlier = Option<(PathBuf, Report)>;

/// The backends, the base of ratios first, and the earlier report if there is one.
fn base(args: &CompareArgs) -> Result<(Vec<String>, Earlier), Error> {
    let mut backends: Vec<String> = args
        .backends
        .iter()
        .map(|name| name.trim().to_owned())
        .collect();
    if backends.is_empty() {
        return Err(Error::request(
            "which backends? --backends flex,ndarray,wgpu (see `zoo list backends`)",
        ));
    }
    for backend in &backends {
        devices::find(backend.split(':').next().unwrap_or_default()).map_err(Error::request)?;
    }
    let Some(name) = &args.baseline else {
        return Ok((backends, None));
    };
    if let Some(place) = backends.iter().position(|backend| backend == name) {
        let base = backends.remove(place);
        backends.insert(0, base);
        return Ok((backends, None));
    }
    let path = PathBuf::from(name);
    if !path.is_file() {
        return Err(Error::Request(format!(
            "--baseline {name}: neither one of --backends ({}) nor the JSON file of an earlier comparison",
            backends.join(", ")
        )));
    }
    let report = read(&path)?;
    Ok((backends, Some((path, report))))
}

/// Largest report of an earlier comparison that is read; all models on four backends have two
/// megabytes.
const MOST_BYTES: u64 = 1 << 28;

/// Reads a report.
fn read(path: &Path) -> Result<Report, Error> {
    let wrong = |problem: String| Error::Request(format!("{}: {problem}", path.display()));
    let text = zoo_files::read(path, MOST_BYTES).map_err(|error| wrong(error.to_string()))?;
    let report: Report = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("not a comparison's JSON: {error}")))?;
    if report.schema != SCHEMA || report.version != VERSION {
        return Err(wrong(format!(
            "schema {} version {}; this program reads {SCHEMA} version {VERSION}",
            report.schema, report.version
        )));
    }
    Ok(report)
}

fn lanes<'a>(
    args: &'a CompareArgs,
    backends: &[String],
    work: &Path,
) -> Result<Vec<Lane<'a>>, Error> {
    let dtypes: Vec<Dtype> = (args.dtype.iter())
        .map(|name| Dtype::parse(name.trim()))
        .collect::<Result<_, _>>()
        .map_err(|problem| Error::Request(format!("--dtype: {problem}")))?;
    let threads: Vec<Option<usize>> = match args.threads.as_slice() {
        [] => vec![None],
        counts => counts.iter().copied().map(Some).collect(),
    };
    if threads.contains(&Some(0)) {
        return Err(Error::request("--threads: counts are 1 or more"));
    }
    let mut lanes = Vec::new();
    for backend in backends {
        let name = backend.split(':').next().unwrap_or_default();
        let on_cpu = matches!(name, "flex" | "ndarray");
        // Threads are a matter of CPU backends.
        let threads = if on_cpu { threads.as_slice() } else { &[None] };
        for (dtype, threads) in pairs(&dtypes, threads) {
            lanes.push(backend_lane(backend, dtype, threads)?);
        }
    }
    if let Some(python) = &args.python {
        let script = work.join(PEER_FILE);
        write_file(&script, PEER)?;
        write_file(&work.join(originals::FILE), originals::SCRIPT)?;
        let cuda = backends.iter().any(|backend| backend.starts_with("cuda"));
        for compiled in [false, true] {
            let on_cpu = pairs(&dtypes, &threads).map(|(dtype, threads)| (dtype, threads, false));
            let on_card = dtypes
                .iter()
                .filter(|_| cuda)
                .map(|dtype| (*dtype, None, true));
            for (dtype, threads, cuda) in on_cpu.chain(on_card) {
                lanes.push(peer_lane(python, &script, dtype, threads, compiled, cuda));
            }
        }
    }
    for (index, lane) in lanes.iter().enumerate() {
        let name = &lane.column.name;
        if lanes[..index]
            .iter()
            .any(|other| other.column.name == *name)
        {
            return Err(Error::Request(format!("--backends: {name} is there twice")));
        }
    }
    Ok(lanes)
}

fn pairs<'a>(
    dtypes: &'a [Dtype],
    threads: &'a [Option<usize>],
) -> impl Iterator<Item = (Dtype, Option<usize>)> + 'a {
    dtypes
        .iter()
        .flat_map(move |dtype| threads.iter().map(move |threads| (*dtype, *threads)))
}

fn column(backend: &str, dtype: Dtype, threads: Option<usize>, peer: bool) -> Column {
    let mut name = backend.to_owned();
    if dtype != Dtype::F32 {
        name = format!("{name} {}", dtype.name());
    }
    name = match threads {
        Some(1) => format!("{name} 1 thread"),
        Some(threads) => format!("{name} {threads} threads"),
        None => name,
    };
    Column {
        name,
        backend: backend.into(),
        dtype: dtype.name().into(),
        threads,
        device: String::new(),
        kind: String::new(),
        driver: None,
        peer,
        peak_multiply_adds_per_second: None,
        copy_bytes_per_second: None,
    }
}

/// A column of this program.
fn backend_lane(
    backend: &str,
    dtype: Dtype,
    threads: Option<usize>,
) -> Result<Lane<'static>, Error> {
    let program = std::env::current_exe()
        .map_err(|error| Error::Failed(format!("this program does not find itself: {error}")))?;
    let minimal = is_software(backend);
    let device = backend.to_owned();
    let command = move |spec: &Path| {
        let mut command = Command::new(&program);
        command
            .arg("compare-worker")
            .arg(spec)
            .args(["--device", &device])
            .env("RUST_BACKTRACE", "0");
        if let Some(threads) = threads {
            command.env("RAYON_NUM_THREADS", threads.to_string());
        }
        // Tuning kernels takes a software adapter minutes, for a choice that means nothing on it.
        if minimal && std::env::var_os("CUBECL_AUTOTUNE_LEVEL").is_none() {
            command.env("CUBECL_AUTOTUNE_LEVEL", "minimal");
        }
        command
    };
    Ok(Lane {
        column: column(backend, dtype, threads, false),
        dtype,
        command: Box::new(command),
        device: backend.to_owned(),
    })
}

fn is_software(spec: &str) -> bool {
    let (name, index) = spec.split_once(':').unwrap_or((spec, "0"));
    if !matches!(name, "wgpu" | "vulkan") {
        return false;
    }
    let found = devices::find(name).and_then(devices::found);
    let index = index.parse::<usize>().unwrap_or(0);
    found.is_ok_and(|found| {
        found
            .get(index)
            .is_some_and(|one| one.kind == Kind::Software)
    })
}

/// A column of PyTorch.
fn peer_lane<'a>(
    python: &'a Path,
    script: &Path,
    dtype: Dtype,
    threads: Option<usize>,
    compiled: bool,
    cuda: bool,
) -> Lane<'a> {
    let device = if cuda { "cuda" } else { "cpu" };
    let name = match (cuda, compiled) {
        (false, false) => "torch",
        (false, true) => "torch compiled",
        (true, false) => "torch cuda",
        (true, true) => "torch cuda compiled",
    };
    let script = script.to_owned();
    Lane {
        column: column(name, dtype, threads, true),
        dtype,
        command: Box::new(move |spec| {
            let mut command = Command::new(python);
            command.arg(&script).arg(spec);
            if compiled {
                command.arg("--compile");
            }
            command
        }),
        device: device.into(),
    }
}

/// The float64 runs: flex's, checked by PyTorch's where there is one, which shares no code with it,
/// or by ndarray's where this program has both.
fn references<'a>(args: &'a CompareArgs, work: &Path) -> Result<References<'a>, Error> {
    let has = |name: &str| devices::find(name).is_ok_and(|backend| backend.compiled_in);
    let lane = |name: &str| backend_lane(name, Dtype::F64, None);
    let peer = args.python.as_ref().map(|python| {
        let script = work.join(PEER_FILE);
        peer_lane(python, &script, Dtype::F64, None, false, false)
    });
    match (has("flex"), has("ndarray")) {
        (true, check) => Ok(References {
            reference: lane("flex")?,
            check: match peer {
                None if check => Some(lane("ndarray")?),
                peer => peer,
            },
        }),
        (false, true) => Ok(References {
            reference: lane("ndarray")?,
            check: peer,
        }),
        (false, false) => Err(Error::request(
            "comparing needs a CPU backend for the reference: build with --features flex",
        )),
    }
}

/// The command as it was typed, for the report: without the path of this program.
fn command_line() -> String {
    let arguments = std::env::args().skip(1).map(|argument| {
        if argument.contains(char::is_whitespace) {
            format!("'{argument}'")
        } else {
            argument
        }
    });
    format!("zoo {}", arguments.collect::<Vec<_>>().join(" "))
}

fn to_json(report: &Report) -> Result<String, Error> {
    serde_json::to_string_pretty(report).map_err(Error::failed)
}

fn write(args: &CompareArgs, report: &Report) -> Result<(), Error> {
    for format in &args.format {
        let (name, text) = match format {
            Format::Md => ("report.md", render::markdown(report, EXPLANATION)),
            Format::Json => ("report.json", to_json(report)?),
            Format::Csv => ("report.csv", render::csv(report)),
            Format::Html => ("report.html", render::html(report, EXPLANATION)),
        };
        write_file(&args.out.join(name), &text)?;
    }
    Ok(())
}

/// An interrupted run leaves the last whole report.
fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    zoo_files::write(path, text.as_bytes()).map_err(|error| failed(path, error))
}

/// `zoo compare merge`
fn merge(args: &MergeArgs) -> Result<(), Error> {
    place::outside_runs(&args.out, None)?;
    let mut reports: Vec<(String, Report)> = Vec::new();
    for path in &args.files {
        let report = read(path)?;
        let mut name = report.environment.machine.clone();
        if reports.iter().any(|(other, _)| *other == name) {
            name = format!("{name} ({})", path.display());
        }
        reports.push((name, report));
    }
    write_file(&args.out, &render::leaderboard(&reports))?;
    println!("{}", args.out.display());
    Ok(())
}
