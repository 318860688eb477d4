//! One subject on one column: what a worker process does when it is asked.
//!
//! Nothing is judged here. A worker computes, times, and writes down; the driver compares.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use zoo_train::rng::{Stream, derive};
use zoo_train::{Batch, Task, clip_by_global_norm, number};
use zoo_weights::Origin;

use crate::machine;
use crate::report::{Convergence, FailureKind, LayerSeconds, Work};
use crate::spec::{BatchShape, Perturb, Reply, Request, Spec};
use crate::tensors;

/// What one layer put out.
#[derive(Clone, Debug)]
pub struct LayerOutput {
    /// The layer's path.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Numbers in one inner product of it; 0 if it has none.
    pub inner: u64,
    /// The output.
    pub data: TensorData,
}

/// The output for a batch, flattened, and its shape.
pub type Forward<'a, M> = &'a dyn Fn(&M, Batch, &Device) -> (Tensor<1>, Vec<usize>);
/// The outputs of the layers for a batch on a device.
pub type Layers<'a, M> = &'a dyn Fn(&M, Batch, &Device) -> Result<Vec<LayerOutput>, String>;
/// The output for a batch of one, computed token by token through the cache.
pub type Decode<'a, M> = &'a dyn Fn(&M, Batch, &Device) -> TensorData;
/// A greedy continuation by one token, from a state of its own; called again and again.
pub type NextToken<'a, M> = &'a dyn for<'m> Fn(&'m M, &'m Device) -> Option<Box<dyn FnMut() + 'm>>;
/// The model with its weights and with the dropout that it is trained with.
pub type WithChance<'a, M> = &'a dyn Fn() -> Result<M, String>;
/// Runs the recipe to its end.
pub type Converge<'a> = &'a dyn Fn(&mut dyn FnMut(usize, f64)) -> Result<Convergence, String>;

/// A model with everything that a worker may be asked to do with it.
pub struct Subject<'a, M> {
    /// With its weights, on `device`, and without dropout: what is compared must have no chance in it.
    pub model: M,
    /// What is trained where steps are timed.
    pub with_chance: WithChance<'a, M>,
    /// Without autodiff, configured to the type of the [`Spec`].
    pub device: Device,
    /// Whether `device` is the processor itself.
    pub on_cpu: bool,
    /// What is learned.
    pub task: &'a dyn Task<M>,
    /// The columns of a batch that the forward pass reads.
    pub inputs: &'static [&'static str],
    /// The output, flattened, and its shape.
    pub forward: Forward<'a, M>,
    /// The outputs of the layers.
    pub layers: Layers<'a, M>,
    /// For a decoder.
    pub decode: Option<(Decode<'a, M>, NextToken<'a, M>)>,
    /// For a recipe.
    pub converge: Option<Converge<'a>>,
}

/// Answers requests until the input ends.
///
/// # Errors
/// Files that cannot be read or written, or a driver that is gone. Panics of the backend are left
/// to the caller.
pub fn serve<M: Module>(
    spec: &Spec,
    folder: &Path,
    subject: Subject<'_, M>,
    requests: impl BufRead,
    mut answer: impl FnMut(&Reply),
) -> Result<(), String> {
    let batches = read_batches(&folder.join(&spec.batches), &spec.shapes)?;
    let mut worker = Worker::new(spec, subject, batches);
    for line in requests.lines() {
        let line = line.map_err(|error| format!("reading a request failed: {error}"))?;
        let request: Request = serde_json::from_str(&line)
            .map_err(|error| format!("not a request: {error}: {line}"))?;
        let reply = worker.answer(&request, &mut answer)?;
        answer(&reply);
    }
    Ok(())
}

/// Prints replies as JSON lines; what a worker passes to [`serve`].
pub fn to_stdout(reply: &Reply) {
    let mut out = std::io::stdout().lock();
    // A driver that is gone ends the process through its closed input.
    if let Ok(line) = serde_json::to_string(reply) {
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

fn read_batches(path: &Path, shapes: &[BatchShape]) -> Result<Vec<Batch>, String> {
    let mut tensors = tensors::read(path).map_err(|error| error.to_string())?;
    let mut batch = |(i, shape): (usize, &BatchShape)| {
        let whole = Batch::new(shape.examples).weighing(shape.weight);
        shape.columns.iter().try_fold(whole, |batch, name| {
            let data = tensors.remove(&format!("{name}.{i}"));
            let data = data.ok_or_else(|| format!("{}: no {name}.{i}", path.display()))?;
            Ok(batch.with(name.as_str(), data.to_data()))
        })
    };
    shapes.iter().enumerate().map(&mut batch).collect()
}

/// Writes batches where workers find them, and says what they are: of each, the column `NAME` is the
/// tensor `NAME.0`, `NAME.1`, ….
///
/// # Errors
/// A file that cannot be written.
pub fn write_batches(
    path: &Path,
    batches: &[Batch],
) -> Result<Vec<BatchShape>, tensors::TensorsError> {
    let mut all = Vec::new();
    for (i, batch) in batches.iter().enumerate() {
        let columns = batch.columns();
        all.extend(columns.map(|(name, data)| (format!("{name}.{i}"), data.clone())));
    }
    tensors::write(path, &all)?;
    let shapes = batches.iter().map(|batch| BatchShape {
        columns: batch.columns().map(|(name, _)| name.to_owned()).collect(),
        examples: batch.examples(),
        weight: batch.weight(),
    });
    Ok(shapes.collect())
}

/// A model in training.
struct Training<M> {
    model: M,
    optimizer: ModuleOptimizer,
    step: usize,
}

struct Worker<'a, M> {
    spec: &'a Spec,
    subject: Subject<'a, M>,
    batches: Vec<Batch>,
    training: Option<Training<M>>,
}

/// A model whose parameters are numbered, in the type to compute in.
fn in_type<M: Module>(model: M, spec: &Spec) -> M {
    zoo_weights::cast(number(model), spec.dtype.float())
}

type Say<'s> = &'s mut dyn FnMut(&Reply);

fn phase(say: Say<'_>, name: impl Into<String>) {
    say(&Reply::Phase { name: name.into() });
}

impl<'a, M: Module> Worker<'a, M> {
    fn new(spec: &'a Spec, mut subject: Subject<'a, M>, batches: Vec<Batch>) -> Self {
        subject.model = in_type(subject.model, spec);
        Self {
            spec,
            subject,
            batches,
            training: None,
        }
    }

    fn answer(&mut self, request: &Request, say: Say<'_>) -> Result<Reply, String> {
        match request {
            Request::Agree {
                out,
                steps,
                perturb,
            } => self.agree(Path::new(out), *steps, *perturb, say),
            Request::Time {
                work,
                batch,
                seconds,
                warm,
            } => {
                phase(say, format!("timing of {}", work.name()));
                let budget = Duration::from_secs_f64(*seconds);
                let (iterations, elapsed) = match work {
                    Work::Train => self.time_training(budget, *warm)?,
                    Work::Infer => self.time_inference(*batch, budget, *warm),
                    Work::Decode => self.time_decoding(budget, *warm)?,
                };
                Ok(Reply::Timed {
                    iterations,
                    seconds: elapsed.as_secs_f64(),
                })
            }
            Request::Profile => {
                phase(say, "timing of layers");
                let layers = self.profile();
                Ok(Reply::Profiled { layers })
            }
            Request::Limit => {
                phase(say, "the device's limits");
                let copy = if self.subject.on_cpu {
                    machine::copy_bandwidth()
                } else {
                    copy_bandwidth(&self.subject.device)
                };
                Ok(Reply::Limit {
                    multiply_adds_per_second: peak_product(&self.subject.device),
                    copy_bytes_per_second: copy,
                })
            }
            Request::Cost => {
                let reserved = self.subject.device.memory_pool_usage();
                Ok(Reply::Cost {
                    peak_resident_bytes: machine::peak_resident_bytes(),
                    resident_bytes: machine::resident_bytes(),
                    device_bytes: reserved.map(|usage| usage.bytes_reserved),
                })
            }
            Request::Converge => {
                phase(say, "training to the end");
                let Some(converge) = self.subject.converge else {
                    return Err("there is no recipe to run".into());
                };
                converge(&mut |step, loss| say(&Reply::Progress { step, loss }))
                    .map(Reply::Converged)
            }
        }
    }

    fn agree(
        &mut self,
        out: &Path,
        steps: usize,
        perturb: Option<Perturb>,
        say: Say<'_>,
    ) -> Result<Reply, String> {
        let device = self.subject.device.clone();
        let mut batches = self.batches.clone();
        let mut model = self.subject.model.valid();
        if let Some(perturb) = perturb {
            let mut noise = Noise::new(perturb);
            model = model.map(&mut noise);
            for batch in &mut batches {
                batch.change(|name, data| match self.subject.inputs.contains(&name) {
                    true if data.dtype().is_float() => noise.data(data),
                    _ => data,
                });
            }
        }
        let first = &batches[0];

        let watched = watch(
            &model,
            Arc::new(Mutex::new(|name: &str| {
                // Worth its line only where the pass may never come back: the first one.
                to_stdout(&Reply::Layer {
                    name: name.to_owned(),
                });
            })),
        );
        phase(say, "forward");
        let began = Instant::now();
        let (logits, shape) = (self.subject.forward)(&watched, first.clone(), &device);
        let logits = logits.into_data();
        let first_forward_seconds = began.elapsed().as_secs_f64();
        drop(watched);
        let mut outputs = vec![("outputs".to_owned(), reshaped(logits, shape))];

        if let Some((decode, _)) = self.subject.decode {
            phase(say, "decoding");
            outputs.push(("decoding".into(), decode(&model, first.rows(1), &device)));
        }
        phase(say, "layers");
        let layers = (self.subject.layers)(&model, first.rows(2), &device)?;
        let mut names = Vec::new();
        for layer in layers {
            names.push((layer.name.clone(), layer.kind, layer.inner));
            outputs.push((format!("layer/{}", layer.name), layer.data));
        }
        tensors::write(&out.join("outputs.safetensors"), &outputs)
            .map_err(|error| error.to_string())?;
        let names = serde_json::to_vec(&names).map_err(|error| error.to_string())?;
        zoo_files::write(&out.join("layers.json"), &names)
            .map_err(|error| format!("{}: {error}", out.display()))?;

        phase(say, "gradients");
        let began = Instant::now();
        let mut training = self.start(model);
        let (_, gradients) = self.gradients(&training.model, first.clone());
        save_gradients(
            &training.model,
            &gradients,
            &out.join("gradients.safetensors"),
        )?;
        let mut first_step_seconds = began.elapsed().as_secs_f64();
        let mut losses = Vec::new();
        for step in 0..steps {
            phase(say, format!("training step {}", step + 1));
            let began = Instant::now();
            let batch = batches[step % batches.len()].clone();
            let loss;
            (training, loss) = self.step(training, batch);
            losses.push(Some(loss));
            if step == 0 {
                first_step_seconds += began.elapsed().as_secs_f64();
            }
        }
        Ok(Reply::Agreed {
            losses,
            first_forward_seconds,
            first_step_seconds,
        })
    }

    fn start(&self, model: M) -> Training<M> {
        let model = model.train();
        Training {
            optimizer: self.spec.optimizer.build(&model),
            model,
            step: 0,
        }
    }

    fn gradients(&self, model: &M, batch: Batch) -> (f64, GradientsParams) {
        let device = self.subject.device.clone().autodiff();
        let loss = self.subject.task.loss(model, batch, &device);
        let gradients = GradientsParams::from_grads(loss.backward(), model);
        (loss.into_scalar::<f64>(), gradients)
    }

    /// One training step, and the loss before it. The model is given up to the optimizer, as the
    /// training loop does: a copy of it would keep updates from being made in place.
    fn step(&self, mut training: Training<M>, batch: Batch) -> (Training<M>, f64) {
        let (loss, mut gradients) = self.gradients(&training.model, batch);
        if let Some(max_norm) = self.spec.clip_norm {
            gradients = clip_by_global_norm(&training.model, gradients, max_norm).0;
        }
        let rate = self.spec.rates[training.step % self.spec.rates.len()];
        training.model = training.optimizer.step(rate, training.model, gradients);
        training.step += 1;
        (training, loss)
    }

    fn time_training(&mut self, budget: Duration, warm: bool) -> Result<(usize, Duration), String> {
        let mut training = Some(match self.training.take() {
            Some(training) => training,
            None => self.start(in_type((self.subject.with_chance)()?, self.spec)),
        });
        let timed = repeat(budget, warm, |clock| {
            let mut next = training.take().map(|training| {
                let batch = self.batches[training.step % self.batches.len()].clone();
                (training, batch)
            });
            clock(&mut || {
                training = next
                    .take()
                    .map(|(training, batch)| self.step(training, batch).0);
                // The update itself may still be under way.
                let _ = self.subject.device.sync();
            });
        });
        self.training = training;
        Ok(timed)
    }

    fn time_inference(&self, batch: usize, budget: Duration, warm: bool) -> (usize, Duration) {
        let batch = self.batches[0].rows(batch);
        let device = &self.subject.device;
        repeat(budget, warm, |clock| {
            let mut next = Some(batch.clone());
            clock(&mut || {
                let Some(batch) = next.take() else { return };
                let (output, _) = (self.subject.forward)(&self.subject.model, batch, device);
                // One number is read, so that the pass is over and nothing is left out.
                output.narrow(0, 0, 1).into_scalar::<f32>();
            });
        })
    }

    fn time_decoding(&self, budget: Duration, warm: bool) -> Result<(usize, Duration), String> {
        let (_, next) = self.subject.decode.ok_or("this model is no decoder")?;
        let next = next(&self.subject.model, &self.subject.device);
        let mut next = next.ok_or("this model does not continue a text")?;
        Ok(repeat(budget, warm, |clock| clock(&mut next)))
    }

    /// The time from the first reading of a layer's parameters to that of the next layer's.
    fn profile(&self) -> Vec<LayerSeconds> {
        const PASSES: usize = 7;
        const WARM_UPS: usize = 2;
        let device = self.subject.device.clone();
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut order = Vec::new();
        for pass in 0..PASSES {
            let marks: Arc<Mutex<Vec<(String, Instant)>>> = Arc::default();
            let log = marks.clone();
            let synced = device.clone();
            let watched = watch(
                &self.subject.model,
                Arc::new(Mutex::new(move |name: &str| {
                    let _ = synced.sync();
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    log.push((name.to_owned(), Instant::now()));
                })),
            );
            // A batch norm's running statistics are read as soon as the copy is made.
            marks.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let (logits, _) = (self.subject.forward)(&watched, self.batches[0].clone(), &device);
            logits.narrow(0, 0, 1).into_scalar::<f32>();
            let end = Instant::now();
            let marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
            if pass < WARM_UPS {
                continue;
            }
            let ends = marks.iter().skip(1).map(|(_, at)| *at).chain([end]);
            for ((name, start), end) in marks.iter().zip(ends) {
                let seconds = all.entry(name.clone()).or_default();
                if seconds.is_empty() {
                    order.push(name.clone());
                }
                seconds.push(end.duration_since(*start).as_secs_f64());
            }
        }
        let median = |name: &String| crate::stats::median(&all[name]);
        order
            .iter()
            .map(|name| LayerSeconds {
                name: name.clone(),
                seconds: median(name),
            })
            .collect()
    }
}

/// Does work until the time is up, at least once. Only what `work` passes to its clock counts. To
/// warm up is to go on until two runs in a row take about the same.
fn repeat(
    budget: Duration,
    warm: bool,
    mut work: impl FnMut(&mut dyn FnMut(&mut dyn FnMut())),
) -> (usize, Duration) {
    const AT_LEAST_WARM: usize = 3;
    let (mut count, mut total, mut last) = (0, Duration::ZERO, Duration::MAX);
    loop {
        let mut took = Duration::ZERO;
        work(&mut |inner| {
            let began = Instant::now();
            inner();
            took += began.elapsed();
        });
        count += 1;
        total += took;
        let steady = count >= AT_LEAST_WARM && took.as_secs_f64() > 0.8 * last.as_secs_f64();
        last = took;
        if total >= budget || (warm && steady) {
            return (count, total);
        }
    }
}

fn reshaped(data: TensorData, shape: Vec<usize>) -> TensorData {
    let dtype = data.dtype();
    TensorData::from_bytes_vec(data.as_bytes().to_vec(), shape, dtype)
}

/// A few roundings of a type, at random, on everything.
struct Noise {
    /// The largest relative change.
    most: f64,
    stream: Stream,
}

impl Noise {
    fn new(perturb: Perturb) -> Self {
        Self {
            most: perturb.roundings * perturb.dtype.unit_roundoff(),
            stream: Stream::new(derive(perturb.seed, zoo_train::rng::Purpose::Weights, &[])),
        }
    }

    fn data(&mut self, data: TensorData) -> TensorData {
        let shape = data.shape().to_vec();
        let moved: Vec<f64> = data
            .iter::<f64>()
            .map(|value| {
                let unit = (self.stream.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                value * (1.0 + self.most * (2.0 * unit - 1.0))
            })
            .collect();
        TensorData::new(moved, shape)
    }
}

impl ModuleMapper for Noise {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let device = tensor.device();
            Tensor::from_data(self.data(tensor.into_data()), &device)
        })
    }
}

/// Writes the gradients under the names and in the layout of the weights.
fn save_gradients<M: Module>(
    model: &M,
    gradients: &GradientsParams,
    path: &Path,
) -> Result<(), String> {
    struct Swap<'a>(&'a GradientsParams);
    impl ModuleMapper for Swap<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let gradient = self.0.get::<D>(param.id);
            // What is not trained, a running statistic, has none.
            param.map(|tensor| gradient.unwrap_or_else(|| tensor.zeros_like()))
        }
    }
    let gradients = model.valid().map(&mut Swap(gradients));
    zoo_weights::save(&gradients, path, &Origin::default()).map_err(|error| error.to_string())
}

type Mark = Arc<Mutex<dyn FnMut(&str) + Send>>;

/// A model whose layers say when a forward pass first reads their parameters. Burn makes a lazy
/// parameter when it is read, and these are lazy ones whose making is the message.
fn watch<M: Module>(model: &M, mark: Mark) -> M {
    struct Watch {
        path: Vec<String>,
        mark: Mark,
        /// The layer of the last mark: a weight and the bias after it are one.
        last: Arc<Mutex<String>>,
    }
    impl ModuleMapper for Watch {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let [layer @ .., _] = self.path.as_slice() else {
                return param;
            };
            let layer = layer.join(".");
            let (id, tensor, _) = param.consume();
            let (device, shape) = (tensor.device(), tensor.shape());
            let (mark, last) = (self.mark.clone(), self.last.clone());
            let make = move |_: &Device, _: bool| {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if *last != layer {
                    last.clone_from(&layer);
                    (mark.lock().unwrap_or_else(PoisonError::into_inner))(&layer);
                }
                tensor
            };
            Param::uninitialized(id, make, device, false, shape)
        }
    }
    model.valid().map(&mut Watch {
        path: Vec::new(),
        mark,
        last: Arc::default(),
    })
}

/// The best rate of a square matrix product, multiply-adds a second.
fn peak_product(device: &Device) -> f64 {
    const LONG_ENOUGH: f64 = 0.03;
    const LARGEST: usize = 8192;
    let time = |n: usize| {
        let (a, b) = (
            Tensor::<2>::ones([n, n], device),
            Tensor::<2>::ones([n, n], device),
        );
        move || {
            let began = Instant::now();
            let product = a.clone().matmul(b.clone());
            product.narrow(0, 0, 1).narrow(1, 0, 1).into_scalar::<f32>();
            began.elapsed().as_secs_f64()
        }
    };
    let mut n = 512;
    loop {
        let product = time(n);
        product();
        if product() > LONG_ENOUGH || n >= LARGEST {
            let best = (0..8).map(|_| product()).fold(f64::INFINITY, f64::min);
            return (n as f64).powi(3) / best;
        }
        n *= 2;
    }
}

/// The best rate of reading and writing a large tensor, bytes a second.
fn copy_bandwidth(device: &Device) -> f64 {
    const NUMBERS: usize = 32 << 20;
    let source = Tensor::<1>::ones([NUMBERS], device);
    let bytes = 2 * NUMBERS * source.dtype().size();
    let copy = || {
        let began = Instant::now();
        source.clone().neg().narrow(0, 0, 1).into_scalar::<f32>();
        began.elapsed().as_secs_f64()
    };
    copy();
    let best = (0..8).map(|_| copy()).fold(f64::INFINITY, f64::min);
    bytes as f64 / best
}

/// What a worker says when it cannot start.
#[must_use]
pub fn unsupported(message: impl ToString) -> Reply {
    Reply::Failed {
        kind: FailureKind::Unsupported,
        message: message.to_string(),
    }
}
