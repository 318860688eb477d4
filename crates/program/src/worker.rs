//! `zoo compare-worker`: one process for one subject on one column of a comparison. Not for people.

use std::path::Path;
use std::time::Instant;

use toml::{Table, Value};
use zoo_compare::report::Convergence;
use zoo_compare::spec::{Reply, Spec};
use zoo_compare::worker::{to_stdout, unsupported};
use zoo_train::{Better, Event, Expect, Helpers, Metric, Recipe};

use crate::cli::WorkerArgs;
use crate::error::Error;
use crate::registry::Training;
use crate::rows::Zoo;
use crate::{data, devices, fitting, pretrained};

/// Answers the driver's requests until it closes the pipe.
pub fn run(zoo: &Zoo, args: &WorkerArgs) -> Result<(), Error> {
    let spec = read(&args.spec)?;
    let folder = args.spec.parent().unwrap_or(Path::new("."));
    let mut selected = match devices::open(&args.device) {
        Ok(selected) => selected,
        Err(error) => return refuse(error),
    };
    let device = &mut selected.device;
    if !device.supports_dtype(spec.dtype.float()) {
        return refuse(format!("it does not compute in {}", spec.dtype.name()));
    }
    let integers = device.settings().int_dtype.into();
    if let Err(error) = device.configure(spec.dtype.of_device(integers)) {
        return refuse(error);
    }
    to_stdout(&Reply::Ready {
        device: selected.name.clone(),
        kind: selected.kind.to_string(),
        driver: driver(),
    });
    let table: Table = serde_json::from_value(spec.model.clone())
        .map_err(|error| Error::request(format!("{}: {error}", args.spec.display())))?;
    let mut model = zoo
        .configure(&table, &Table::new())
        .map_err(Error::Request)?;
    model.set_task(&spec.task.options).map_err(Error::Request)?;
    let converge =
        |progress: &mut dyn FnMut(usize, f64)| converge(zoo, &spec, &args.device, progress);
    let requests = std::io::stdin().lock();
    let served = model.serve(
        &spec,
        folder,
        &selected,
        spec.recipe.is_some().then_some(&converge),
        Box::new(requests),
    );
    served.map_err(Error::Failed)
}

fn refuse(reason: impl ToString) -> Result<(), Error> {
    to_stdout(&unsupported(reason));
    Ok(())
}

/// Largest request that is read; it names files, and holds one recipe.
const MOST_BYTES: u64 = 1 << 26;

fn read(path: &Path) -> Result<Spec, Error> {
    let wrong = |problem: String| Error::Request(format!("{}: {problem}", path.display()));
    let text = zoo_files::read(path, MOST_BYTES).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

/// What decides how kernels are chosen, where it was set.
fn driver() -> Option<String> {
    let level = std::env::var("CUBECL_AUTOTUNE_LEVEL").ok()?;
    Some(format!("autotuning {level}"))
}

/// Runs the recipe to its end on this worker's device.
fn converge(
    zoo: &Zoo,
    spec: &Spec,
    device: &str,
    progress: &mut dyn FnMut(usize, f64),
) -> Result<Convergence, String> {
    let began = Instant::now();
    let text = spec.recipe.as_deref().ok_or("there is no recipe")?;
    let recipe = Recipe::parse(&spec.subject, text, &[]).map_err(|error| error.to_string())?;
    let expect = recipe.expect.clone();
    let selected = devices::open(device).map_err(|error| error.to_string())?;
    let directory = data::directory(spec.data_dir.as_deref().map(Path::new));
    let directory = directory.map_err(|error| error.to_string())?;
    let (data, model) =
        fitting::fit(zoo, &recipe, &directory).map_err(|error| error.to_string())?;
    let expected = expect.as_ref().and_then(Expect::main);
    let metric = expected.map_or_else(
        || format!("valid.{}", recipe.train.best),
        |(metric, _)| metric.to_owned(),
    );
    let (split, name) = metric.split_once('.').unwrap_or(("test", &metric));
    let example = data
        .train
        .batch(&[0], None)
        .map_err(|error| error.to_string())?;
    let metrics = model.metrics(&example);
    let better = Metric::find(&metrics, name).map_or(Better::Lower, |metric| metric.better);
    let meets = |value: f64| {
        expected.is_some_and(|(_, [min, max])| match better {
            Better::Lower => value <= max,
            Better::Higher => value >= min,
        })
    };
    let mut run = Convergence {
        metric: metric.clone(),
        expected: expected.map(|(_, band)| band),
        ..Convergence::default()
    };
    let mut losses = Vec::new();
    let weights = recipe.model.get("weights").and_then(Value::as_str);
    let weights = weights.map(|given| pretrained::find_file(zoo, given, &directory));
    let weights = weights.transpose().map_err(|error| error.to_string())?;
    let training = Training {
        recipe: &recipe,
        train: data.train.clone(),
        valid: data.valid.clone(),
        device: &selected.device,
        helpers: Helpers::default(),
        weights: weights.as_deref(),
        run: None,
        resume: None,
        stop: None,
        watch: &mut |event| match event {
            Event::Step { step, loss, .. } => {
                losses.push((*step, *loss));
                progress(*step, *loss);
            }
            Event::Validation { step, metrics, .. } => {
                if let Some(value) = metrics.get(name) {
                    run.validation.push((*step, *value));
                    if run.steps_to_expectation.is_none() && meets(*value) {
                        run.steps_to_expectation = Some(*step);
                    }
                }
            }
            _ => {}
        },
    };
    match model.train(training) {
        Ok((ready, outcome)) => {
            let metrics = match (split, &data.test) {
                ("test", Some(test)) => {
                    let batches = recipe.train.eval_batches(&**test);
                    let metrics = ready.evaluate("test", &batches);
                    Some(metrics.map_err(|error| error.to_string())?)
                }
                _ => outcome.validation,
            };
            run.steps = outcome.steps;
            run.value = metrics.and_then(|metrics| metrics.get(name).copied());
            run.met = run
                .value
                .zip(run.expected)
                .map(|(value, [min, max])| (min..=max).contains(&value));
        }
        Err(error) => run.failure = Some(error.to_string()),
    }
    run.losses = thinned(losses);
    run.wall_seconds = began.elapsed().as_secs_f64();
    Ok(run)
}

/// Few enough points for a curve in a report, each the mean of those it stands for.
fn thinned(points: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    const POINTS: usize = 300;
    let chunk = points.len().div_ceil(POINTS).max(1);
    points
        .chunks(chunk)
        .map(|chunk| {
            let mean = chunk.iter().map(|(_, loss)| loss).sum::<f64>() / chunk.len() as f64;
            (chunk[chunk.len() - 1].0, mean)
        })
        .collect()
}
