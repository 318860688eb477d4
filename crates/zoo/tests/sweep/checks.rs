//! The checks. Each takes a row of the table and says what is wrong with the model.

// b batch, t time

use std::sync::Arc;

use burn::tensor::{Device, TensorData};
use toml::Table;
use zoo::devices;
use zoo::registry::{Entry, Input, Job, Kind, Model, Ready, published};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Event, Helpers, OptimizerConfig, OptimizerName, Pass, Plan, Recipe, Source, SourceError,
};

/// What is wrong with a model, if anything.
pub type Check = fn(&dyn Entry) -> Result<(), String>;

fn device() -> Device {
    devices::open("flex").unwrap().device
}

/// Shapes of inputs `[b, …]`: several where the model takes several.
fn shapes_of(model: &dyn Model, b: usize) -> Vec<Vec<usize>> {
    match model.input() {
        Input::Features(features) => vec![vec![b, 1, 1, features]],
        Input::Image([c, h, w]) => vec![vec![b, c, h, w]],
        Input::AnyImage { channels, .. } => {
            vec![vec![b, channels, 32, 32], vec![b, channels, 48, 32]]
        }
        // Even, for models that are given a source and a target side by side.
        Input::Tokens { longest } => {
            let longest = longest.min(8) / 2 * 2;
            vec![vec![b, longest], vec![b, longest / 4 * 2]]
        }
    }
}

fn vocabulary(model: &dyn Model) -> usize {
    let size = model
        .table()
        .get("vocab_size")
        .and_then(toml::Value::as_integer);
    size.map_or(model.outputs(), |size| size as usize)
}

/// Noise of a shape: pixels around 0, or tokens of which none pads, starts or stops.
fn noise(model: &dyn Model, shape: &[usize], seed: u64) -> TensorData {
    const SPECIAL: usize = 3;
    let mut stream = Stream::new(seed);
    let count: usize = shape.iter().product();
    if let Input::Tokens { .. } = model.input() {
        let vocabulary = vocabulary(model);
        let ids = (0..count).map(|_| (SPECIAL + stream.below(vocabulary - SPECIAL)) as i64);
        return TensorData::new(ids.collect::<Vec<_>>(), shape.to_vec());
    }
    let pixels = (0..count).map(|_| stream.below(4096) as f32 / 1024.0 - 2.0);
    TensorData::new(pixels.collect::<Vec<_>>(), shape.to_vec())
}

fn targets(model: &dyn Model, shape: &[usize], seed: u64) -> TensorData {
    let mut stream = Stream::new(seed);
    let count = model.kind().targets(shape);
    let targets = (0..count).map(|_| stream.below(model.outputs()) as i64);
    TensorData::new(targets.collect::<Vec<_>>(), [count])
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

pub fn shapes(entry: &dyn Entry) -> Result<(), String> {
    let model = entry.tiny();
    let ready = model.fresh(1, &device()).map_err(text)?;
    for b in [1, 2, 5] {
        for shape in shapes_of(&*model, b) {
            let output = ready.output(noise(&*model, &shape, 1));
            let expected = model.kind().output(&shape, model.outputs());
            let found = output.shape().to_vec();
            expect(found == expected, || {
                format!("{shape:?} gave {found:?}, expected {expected:?}")
            })?;
        }
    }
    Ok(())
}

pub fn finite(entry: &dyn Entry) -> Result<(), String> {
    let model = entry.tiny();
    let ready = model.fresh(1, &device()).map_err(text)?;
    for shape in shapes_of(&*model, 2) {
        let plain = noise(&*model, &shape, 2);
        let mut inputs = vec![plain.clone()];
        if !matches!(model.input(), Input::Tokens { .. }) {
            // A black image has no deviation to divide by, a bright one large activations.
            let scaled = |by: f32| {
                let values: Vec<f32> = plain.iter::<f32>().map(|value| value * by).collect();
                TensorData::new(values, shape.clone())
            };
            inputs.extend([scaled(0.0), scaled(100.0)]);
        }
        for input in inputs {
            let output = floats(&ready.output(input));
            expect(output.iter().all(|value| value.is_finite()), || {
                format!("{shape:?} gave {output:?}")
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
    let shape = &shapes_of(&*model, EXAMPLES)[0];
    let (ready, _) = learn(&*model, shape, STEPS)?;
    let gradients = ready.gradients(noise(&*model, shape, 3), targets(&*model, shape, 4));
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
    let model = entry.tiny();
    let ready = model.fresh(1, &device()).map_err(text)?;
    let shape = shapes_of(&*model, 3)[0].clone();
    let batch = noise(&*model, &shape, 5);
    let together = floats(&ready.output(batch.clone()));
    let one = [&[1], &shape[1..]].concat();
    let size: usize = one.iter().product();
    let each = together.len() / shape[0];
    for example in 0..shape[0] {
        let range = example * size..(example + 1) * size;
        let alone = ready.output(part(&batch, range, &one));
        let distance = distance(
            &floats(&alone),
            &together[example * each..(example + 1) * each],
        );
        expect(distance < ROUNDING, || {
            format!("example {example} differs by {distance:e} alone")
        })?;
    }
    Ok(())
}

/// Some values of a batch, as another one.
fn part(data: &TensorData, range: std::ops::Range<usize>, shape: &[usize]) -> TensorData {
    let shape = shape.to_vec();
    if data.dtype().is_float() {
        let values: Vec<f32> = data.iter::<f32>().collect();
        return TensorData::new(values[range].to_vec(), shape);
    }
    let values: Vec<i64> = data.iter::<i64>().collect();
    TensorData::new(values[range].to_vec(), shape)
}

/// A sequence as a batch of one.
fn sequence(ids: &[i64]) -> TensorData {
    TensorData::new(ids.to_vec(), [1, ids.len()])
}

pub fn causal(entry: &dyn Entry) -> Result<(), String> {
    let model = entry.tiny();
    if !matches!(model.kind(), Kind::Decoder | Kind::Pairs) {
        return Ok(());
    }
    let ready = model.fresh(1, &device()).map_err(text)?;
    let shape = &shapes_of(&*model, 1)[0];
    let ids: Vec<i64> = noise(&*model, shape, 6).iter::<i64>().collect();
    let before = floats(&ready.output(sequence(&ids)));
    let outputs = model.outputs();
    let first = ids.len() - before.len() / outputs; // of the target, behind a source
    for changed in first..ids.len() {
        let mut other = ids.clone();
        other[changed] = if other[changed] == 3 { 4 } else { 3 };
        let after = floats(&ready.output(sequence(&other)));
        let seen = (changed - first) * outputs;
        let past = distance(&before[..seen], &after[..seen]);
        expect(past < 1e-6, || {
            format!("token {changed} moved earlier logits by {past:e}")
        })?;
        let present = distance(&before[seen..], &after[seen..]);
        expect(present > 1e-6, || format!("token {changed} moved nothing"))?;
    }
    Ok(())
}

pub fn padding(entry: &dyn Entry) -> Result<(), String> {
    const PAD: i64 = 0;
    let model = entry.tiny();
    let ready = model.fresh(1, &device()).map_err(text)?;
    let shape = shapes_of(&*model, 1)[0].clone();
    let ids = || -> Vec<i64> { noise(&*model, &shape, 7).iter::<i64>().collect() };
    match model.kind() {
        Kind::Sentences => {
            let ids = ids();
            let sentence = &ids[..ids.len() - 2];
            let short = floats(&ready.output(sequence(sentence)));
            for pads in [1, 2] {
                let padded = [sentence, &vec![PAD; pads]].concat();
                let long = floats(&ready.output(sequence(&padded)));
                let distance = distance(&short, &long);
                expect(distance < ROUNDING, || {
                    format!("{pads} padded positions moved the output by {distance:e}")
                })?;
            }
            Ok(())
        }
        Kind::Pairs => {
            // The same source and target, once with a padded position behind each.
            let ids = ids();
            let n = ids.len() / 2 - 1;
            let (source, target) = (&ids[..n], &ids[n..2 * n]);
            let short = floats(&ready.output(sequence(&[source, target].concat())));
            let joined = [source, &[PAD], target, &[PAD]].concat();
            let long = floats(&ready.output(sequence(&joined)));
            let distance = distance(&short, &long[..short.len()]);
            expect(distance < ROUNDING, || {
                format!("a padded position moved the logits by {distance:e}")
            })
        }
        Kind::Images | Kind::Maps | Kind::Decoder => Ok(()),
    }
}

pub fn cached(entry: &dyn Entry) -> Result<(), String> {
    let model = entry.tiny();
    if !matches!(model.kind(), Kind::Decoder | Kind::Pairs) {
        return Ok(());
    }
    let ready = model.fresh(1, &device()).map_err(text)?;
    let input = noise(&*model, &shapes_of(&*model, 1)[0], 8);
    let full = floats(&ready.output(input.clone()));
    let cached = ready.cached(input).ok_or("decodes without a cache")?;
    let distance = distance(&full, &floats(&cached));
    expect(distance < ROUNDING, || format!("differs by {distance:e}"))
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

/// Targets that a model can learn in a few steps: at random, but for pixels, of which there are too
/// many to remember, by their brightness.
fn learnable(model: &dyn Model, shape: &[usize], input: &TensorData) -> TensorData {
    if model.kind() != Kind::Maps {
        return targets(model, shape, 10);
    }
    let [b, c, h, w] = [shape[0], shape[1], shape[2], shape[3]];
    let pixels: Vec<f32> = input.iter::<f32>().collect();
    let first = (0..b).flat_map(|image| &pixels[image * c * h * w..][..h * w]);
    let bright: Vec<i64> = first.map(|value| i64::from(*value > 0.0)).collect();
    TensorData::new(bright, [b * h * w])
}

/// Trains on one batch of noise, and gives the losses.
fn learn(
    model: &dyn Model,
    shape: &[usize],
    steps: usize,
) -> Result<(Box<dyn Ready>, Vec<f64>), String> {
    let input = noise(model, shape, 9);
    let batch = Batch {
        target: learnable(model, shape, &input),
        input,
        scored: None,
    };
    let recipe = Recipe {
        train: Plan {
            steps: Some(steps),
            batch_size: shape[0],
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
    let job = Job {
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
    let (ready, _) = model.train(job).map_err(text)?;
    Ok((ready, losses))
}

pub fn overfit(entry: &dyn Entry) -> Result<(), String> {
    const EXAMPLES: usize = 6;
    const STEPS: usize = 300;
    let model = entry.tiny();
    let (_, losses) = learn(&*model, &shapes_of(&*model, EXAMPLES)[0], STEPS)?;
    let (first, last) = (losses[0], losses[losses.len() - 1]);
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
    for shape in shapes_of(&*model, 2) {
        let input = noise(&*model, &shape, 11);
        let (before, after) = (ready.output(input.clone()), loaded.output(input));
        expect(before == after, || {
            "the output of what was loaded differs".into()
        })?;
    }
    Ok(())
}

/// Parameters exactly, multiply-adds to the last digit that is published, of every preset.
pub fn published(entry: &dyn Entry) -> Result<(), String> {
    for preset in entry.presets() {
        let model = entry.configure(preset, &Table::new(), None)?;
        let Some(size) = published::find(preset) else {
            return Err(format!("{preset} is not in the table of published sizes"));
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
        let shape = model.usual_shape();
        let found = model.summary(&shape).map_err(text)?.multiply_adds;
        expect(size.fits(found), || {
            format!(
                "{preset} has {found} multiply-adds, published are {expected:e} ({})",
                size.source
            )
        })?;
    }
    Ok(())
}
