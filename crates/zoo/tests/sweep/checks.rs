//! The checks. Each takes a row of the table and says what is wrong with the model.

use std::sync::Arc;

use burn::tensor::{Device, TensorData};
use toml::Table;
use zoo_program::devices;
use zoo_program::registry::{Entry, Model, Ready, Training};
use zoo_tasks::Size;
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Event, Helpers, OptimizerConfig, OptimizerName, Pass, Plan, Recipe, Source, SourceError,
};

/// What is wrong with a model, if anything.
pub type Check = fn(&dyn Entry) -> Result<(), String>;

fn device() -> Device {
    devices::open("flex").unwrap().device
}

/// Made-up batches of `b` examples: several sizes where the model takes several.
fn batches(model: &dyn Model, b: usize, seed: u64) -> Vec<Batch> {
    let sizes = [(32, 8), (48, 4)];
    let batches = sizes.map(|(side, length)| {
        let size = Size {
            examples: b,
            most_side: Some(side),
            most_length: Some(length),
        };
        model.made_up(size, &mut Stream::new(seed))
    });
    batches.into()
}

/// An example of a batch as a batch of one: of the columns that the model reads.
fn example(model: &dyn Model, batch: &Batch, at: usize) -> Batch {
    model.inputs().iter().fold(Batch::new(1), |one, name| {
        let column = batch.column(name).unwrap();
        let mut shape = column.shape().to_vec();
        let bytes = column.as_bytes();
        let row = bytes.len() / shape[0];
        shape[0] = 1;
        let bytes = bytes[at * row..(at + 1) * row].to_vec();
        one.with(
            *name,
            TensorData::from_bytes_vec(bytes, shape, column.dtype()),
        )
    })
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn floats(data: &TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let pairs = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    pairs.fold(0.0, |most, one| {
        if one.is_nan() {
            f64::INFINITY
        } else {
            f64::max(most, one)
        }
    })
}

fn expect(holds: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem()) }
}

/// Rounding: the same sums in another order.
const ROUNDING: f64 = 2e-5;

/// As many outputs for each example, and the width that the task says.
pub fn shapes(entry: &dyn Entry) -> Result<(), String> {
    let model = entry.tiny();
    let ready = model.fresh(1, &device()).map_err(text)?;
    let outputs = model.outputs();
    for b in [1, 2, 5] {
        for batch in batches(&*model, b, 1) {
            let found = ready.output(batch).shape().to_vec();
            expect(found[0] == b && found[1..].contains(&outputs), || {
                format!("{b} examples gave {found:?}, expected {b} of {outputs} outputs")
            })?;
        }
    }
    Ok(())
}

pub fn finite(entry: &dyn Entry) -> Result<(), String> {
    let model = entry.tiny();
    let ready = model.fresh(1, &device()).map_err(text)?;
    for plain in batches(&*model, 2, 2) {
        // A black image has no deviation to divide by, a bright one large activations.
        for by in [1.0, 0.0, 100.0] {
            let mut batch = plain.clone();
            batch.change(|name, data| {
                if !data.dtype().is_float() || !model.inputs().contains(&name) {
                    return data;
                }
                let shape = data.shape().clone();
                let values: Vec<f32> = data.iter::<f32>().map(|value| value * by).collect();
                TensorData::new(values, shape)
            });
            let output = floats(&ready.output(batch));
            expect(output.iter().all(|value| value.is_finite()), || {
                format!("a batch times {by} gave {output:?}")
            })?;
        }
    }
    Ok(())
}

/// After a few steps, since a layer may start at zero on purpose and hide those before it.
pub fn gradients(entry: &dyn Entry) -> Result<(), String> {
    const EXAMPLES: usize = 6;
    const STEPS: usize = 3;
    let model = entry.tiny();
    let (ready, _) = learn(&*model, EXAMPLES, STEPS)?;
    let gradients = ready.gradients(batches(&*model, EXAMPLES, 3).swap_remove(0));
    expect(!gradients.is_empty(), || "no parameters".into())?;
    for (path, gradient) in gradients {
        let gradient = gradient.ok_or_else(|| format!("{path} has no gradient"))?;
        let values = floats(&gradient);
        expect(values.iter().all(|value| value.is_finite()), || {
            format!("{path}: not finite")
        })?;
        expect(values.iter().any(|value| *value != 0.0), || {
            format!("{path}: all zero")
        })?;
    }
    Ok(())
}

pub fn batch_independence(entry: &dyn Entry) -> Result<(), String> {
    const EXAMPLES: usize = 3;
    let model = entry.tiny();
    let ready = model.fresh(1, &device()).map_err(text)?;
    let batch = batches(&*model, EXAMPLES, 5).swap_remove(0);
    let together = floats(&ready.output(batch.clone()));
    let each = together.len() / EXAMPLES;
    for at in 0..EXAMPLES {
        let alone = ready.output(example(&*model, &batch, at));
        let distance = distance(&floats(&alone), &together[at * each..(at + 1) * each]);
        expect(distance < ROUNDING, || {
            format!("example {at} differs by {distance:e} alone")
        })?;
    }
    Ok(())
}

/// What the task itself asks of its models.
pub fn promises(entry: &dyn Entry) -> Result<(), String> {
    let model = entry.tiny();
    let ready = model.fresh(1, &device()).map_err(text)?;
    let batch = batches(&*model, 2, 6).swap_remove(0);
    for (about, holds) in ready.promises(&batch) {
        holds.map_err(|problem| format!("{about}: {problem}"))?;
    }
    Ok(())
}

/// One batch, for ever.
struct Same(Batch);

impl Source for Same {
    fn len(&self) -> usize {
        self.0.examples()
    }

    fn batch(&self, _: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        Ok(self.0.clone())
    }
}

/// Trains on one batch of noise, and gives the losses.
fn learn(
    model: &dyn Model,
    examples: usize,
    steps: usize,
) -> Result<(Box<dyn Ready>, Vec<f64>), String> {
    let batch = batches(model, examples, 9).swap_remove(0);
    let recipe = Recipe {
        train: Plan {
            steps: Some(steps),
            batch_size: examples,
            loader_threads: 0,
            log_every_steps: 1,
            ..Plan::default()
        },
        optimizer: OptimizerConfig {
            name: OptimizerName::Adam,
            learning_rate: 0.01,
            ..OptimizerConfig::default()
        },
        ..Recipe::default()
    };
    let mut losses = Vec::new();
    let training = Training {
        recipe: &recipe,
        train: Arc::new(Same(batch)),
        valid: None,
        device: &device(),
        helpers: Helpers::default(),
        weights: None,
        run: None,
        resume: None,
        stop: None,
        watch: &mut |event| {
            if let Event::Step { loss, .. } = event {
                losses.push(*loss);
            }
        },
    };
    let (ready, _) = model.train(training).map_err(text)?;
    Ok((ready, losses))
}

pub fn overfit(entry: &dyn Entry) -> Result<(), String> {
    const EXAMPLES: usize = 6;
    const STEPS: usize = 300;
    let model = entry.tiny();
    let (_, losses) = learn(&*model, EXAMPLES, STEPS)?;
    // A step's dropout is drawn from the process's stream, which other tests draw from: one step may have
    // bad luck.
    let last = &losses[losses.len() - 30..];
    let (first, last) = (
        losses[0],
        last.iter().copied().fold(f64::INFINITY, f64::min),
    );
    expect(last < 0.1 * first, || {
        format!("the loss went from {first:.3} to {last:.3} in {STEPS} steps")
    })
}

pub fn save_and_load(entry: &dyn Entry) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = entry.tiny();
    let ready = model.fresh(1, &device()).map_err(text)?;
    ready.save(&path, None).map_err(text)?;
    // Another seed: whatever was not in the file stays different.
    device().seed(99);
    let loaded = model.load(&path, &device()).map_err(text)?;
    for batch in batches(&*model, 2, 11) {
        let (before, after) = (ready.output(batch.clone()), loaded.output(batch));
        expect(before == after, || {
            "the output of what was loaded differs".into()
        })?;
    }
    Ok(())
}

/// Parameters exactly, multiply-adds to the last digit that is published, of every preset.
pub fn published(entry: &dyn Entry) -> Result<(), String> {
    for preset in entry.presets() {
        let model = entry.configure(preset, &Table::new(), &Table::new())?;
        let Some(size) = entry.sizes().iter().find(|size| size.preset == preset) else {
            return Err(format!("{preset} has no published size in its row"));
        };
        let parameters = model.parameters();
        expect(parameters == size.parameters, || {
            format!(
                "{preset} has {parameters} parameters, published are {} ({})",
                size.parameters, size.source
            )
        })?;
        let Some(expected) = size.multiply_adds else {
            continue;
        };
        let usual = Size {
            examples: 1,
            most_side: None,
            most_length: None,
        };
        let batch = model.made_up(usual, &mut Stream::new(1));
        let found = model.summary(&batch).map_err(text)?.multiply_adds;
        expect(size.fits(found), || {
            format!(
                "{preset} has {found} multiply-adds, published are {expected:e} ({})",
                size.source
            )
        })?;
    }
    Ok(())
}
