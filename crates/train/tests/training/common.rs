//! What the tests of unhappy paths share: points in the plane, a network with a batch norm, a task
//! that fails where it is told to.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Change, Checkpoint, Event, Examples, Fit, FitError, Fitted, Helpers, Judge, Metric,
    Metrics, Pass, Recipe, Run, Source, SourceError, Split, Tally, Task, Unit,
};

/// Points in the plane, labelled by a curved border.
#[derive(Clone, Default)]
pub struct Points {
    pub len: usize,
    /// Gives every point the other label.
    pub flipped: bool,
    /// All points are the same.
    pub constant: bool,
    /// From this epoch on, nothing can be read.
    pub damaged_from: Option<u64>,
    /// In evaluation, nothing can be read but the first example.
    pub unjudgeable: bool,
}

impl Points {
    pub fn new(len: usize) -> Self {
        Self {
            len,
            ..Self::default()
        }
    }
}

impl Source for Points {
    fn len(&self) -> usize {
        self.len
    }

    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
        let late = |pass: Pass| self.damaged_from.is_some_and(|from| pass.epoch >= from);
        if pass.is_some_and(late) || self.unjudgeable && pass.is_none() && indices != [0] {
            return Err("a picture is damaged".into());
        }
        let mut stream = Stream::new(1);
        let unit = |stream: &mut Stream| stream.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
        let all: Vec<[f32; 2]> = (0..self.len)
            .map(|_| [unit(&mut stream), unit(&mut stream)])
            .collect();
        let chosen = indices.iter().map(|index| match self.constant {
            true => [0.0, 0.0],
            false => all[*index as usize],
        });
        let labels: Vec<i32> = chosen
            .clone()
            .map(|[x, y]| i32::from((y > x * x - 0.3) != self.flipped))
            .collect();
        let values: Vec<f32> = chosen.flatten().collect();
        Ok(points(values, labels))
    }
}

/// A batch of points `[n, 2]` and their labels.
pub fn points(values: Vec<f32>, labels: Vec<i32>) -> Batch {
    let count = labels.len();
    Batch::new(count)
        .with("points", TensorData::new(values, [count, 2]))
        .with("labels", TensorData::new(labels, [count]))
}

/// Points in classes, by cross-entropy: a task as short as tasks get.
pub struct Classify<M, const D: usize = 2>(pub fn(&M, Tensor<D>) -> Tensor<2>);

impl<M, const D: usize> Classify<M, D> {
    fn logits(&self, model: &M, batch: &mut Batch, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let labels = batch.int("labels", device);
        ((self.0)(model, batch.float("points", device)), labels)
    }
}

impl<M, const D: usize> Task<M> for Classify<M, D> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        vec![
            Metric::lower("loss", Unit::Nats),
            Metric::higher("accuracy", Unit::Share),
        ]
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let (logits, labels) = self.logits(model, &mut batch, device);
        CrossEntropyLossConfig::new()
            .init(&logits.device())
            .forward(logits, labels)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Sums {
            task: self,
            sums: [0.0; 3],
        })
    }
}

/// Examples, losses and hits so far.
struct Sums<'a, M, const D: usize = 2> {
    task: &'a Classify<M, D>,
    sums: [f64; 3],
}

impl<M, const D: usize> Tally<M> for Sums<'_, M, D> {
    fn add(&mut self, model: &M, mut batch: Batch, device: &Device) {
        let count = batch.examples() as f64;
        let (logits, labels) = self.task.logits(model, &mut batch, device);
        let predicted = logits.clone().argmax(1).flatten::<1>(0, 1);
        let hits = predicted.equal(labels.clone()).int().sum();
        let loss = CrossEntropyLossConfig::new()
            .init(&logits.device())
            .forward(logits, labels);
        let added = [
            count,
            f64::from(loss.into_scalar::<f32>()) * count,
            f64::from(hits.into_scalar::<i32>()),
        ];
        for (sum, added) in self.sums.iter_mut().zip(added) {
            *sum += added;
        }
    }

    fn metrics(&self) -> Metrics {
        let [count, loss, hits] = self.sums;
        let mean = |sum: f64| sum / count.max(1.0);
        Metrics::from([("loss".into(), mean(loss)), ("accuracy".into(), mean(hits))])
    }
}

/// Two layers with a batch norm between them.
#[derive(Module, Debug)]
pub struct Normed {
    pub hidden: Linear,
    pub norm: BatchNorm,
    pub output: Linear,
}

impl Normed {
    /// The same weights at every call, whatever other tests draw meanwhile.
    pub fn new() -> Self {
        let device = Device::flex();
        let mut stream = Stream::new(2);
        let mut linear = |inputs: usize, outputs: usize| {
            let values: Vec<f32> = (0..inputs * outputs)
                .map(|_| stream.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0)
                .collect();
            let data = TensorData::new(values, [inputs, outputs]);
            let mut layer = LinearConfig::new(inputs, outputs).init(&device);
            layer.weight = (layer.weight).map(|_| Tensor::from_data(data.clone(), &device));
            layer.bias = layer.bias.map(|bias| bias.map(|bias| bias.zeros_like()));
            layer
        };
        Self {
            hidden: linear(2, 8),
            norm: BatchNormConfig::new(8).init(&device),
            output: linear(8, 2),
        }
    }

    pub fn forward(&self, points: Tensor<2>) -> Tensor<2> {
        let hidden = self.norm.forward(self.hidden.forward(points));
        self.output.forward(hidden.tanh())
    }
}

pub fn classify() -> Classify<Normed> {
    Classify(Normed::forward)
}

/// A task whose losses and scores are those of [`classify`] until something is planted.
#[derive(Default)]
pub struct Planted {
    pub losses: AtomicUsize,
    pub scores: AtomicUsize,
    /// What becomes of the n-th loss, from 1.
    pub loss: Option<(usize, Plant)>,
    /// What becomes of the scores from the n-th on, from 1.
    pub score: Option<(usize, Plant)>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Plant {
    /// Not a number.
    Nan,
    /// A finite loss with an infinite gradient.
    InfiniteGradient,
    /// A finite loss with a gradient that is no number.
    NanGradient,
    /// A finite gradient whose squares are too large for single precision.
    LongGradient,
    /// What CubeCL says where memory runs out.
    OutOfMemory,
    /// Another failure of a device.
    Lost,
}

impl Plant {
    fn spoil(self, model: &Normed, loss: Tensor<1>) -> Tensor<1> {
        let bias = || model.output.bias.as_ref().map(|bias| bias.val()).unwrap();
        match self {
            Self::Nan => loss.mul_scalar(f32::NAN),
            // The root's slope at 0 is infinite.
            Self::InfiniteGradient => loss + (bias() - bias().detach()).sqrt().sum(),
            Self::NanGradient => loss + bias().mul_scalar(0.0).sqrt().sum(),
            Self::LongGradient => loss + (bias() - bias().detach()).sum().mul_scalar(1e25),
            Self::OutOfMemory => panic!("out of device memory allocating 4294967296 bytes\nstack"),
            Self::Lost => panic!("Parent device is lost\nstack"),
        }
    }
}

impl Task<Normed> for Planted {
    fn loss(&self, model: &Normed, batch: Batch, device: &Device) -> Tensor<1> {
        let count = 1 + self.losses.fetch_add(1, Ordering::SeqCst);
        let loss = classify().loss(model, batch, device);
        match self.loss {
            Some((at, plant)) if at == count => plant.spoil(model, loss),
            _ => loss,
        }
    }

    fn metrics(&self, example: &Batch) -> Vec<Metric> {
        classify().metrics(example)
    }

    fn tally(&self) -> Box<dyn Tally<Normed> + '_> {
        Box::new(Spoilt {
            task: self,
            // It outlives this call.
            sums: Sums {
                task: &Classify(Normed::forward),
                sums: [0.0; 3],
            },
        })
    }
}

struct Spoilt<'a> {
    task: &'a Planted,
    sums: Sums<'a, Normed>,
}

impl Tally<Normed> for Spoilt<'_> {
    fn add(&mut self, model: &Normed, batch: Batch, device: &Device) {
        let count = 1 + self.task.scores.fetch_add(1, Ordering::SeqCst);
        match self.task.score {
            Some((from, plant)) if count >= from => {
                let spoilt = plant.spoil(model, Tensor::zeros([1], device));
                let examples = batch.examples() as f64;
                let loss = f64::from(spoilt.into_scalar::<f32>()) * examples;
                let added = [examples, loss, examples];
                for (sum, added) in self.sums.sums.iter_mut().zip(added) {
                    *sum += added;
                }
            }
            _ => self.sums.add(model, batch, device),
        }
    }

    fn metrics(&self) -> Metrics {
        self.sums.metrics()
    }
}

pub fn recipe(changes: &[&str]) -> Recipe {
    let text = "[train]\nsteps = 30\nbatch_size = 16\nlog_every_steps = 1000\nkeep_checkpoints = 99\n\
                [optimizer]\nlearning_rate = 0.1";
    let changes: Vec<Change> = changes
        .iter()
        .map(|text| Change::parse(text).unwrap())
        .collect();
    Recipe::parse("test", text, &changes).unwrap()
}

/// Everything of a training that tests vary.
pub struct Training<'a> {
    pub recipe: &'a Recipe,
    pub task: &'a dyn Task<Normed>,
    pub train: Points,
    pub valid: Option<Points>,
    pub helpers: usize,
    pub run: Option<&'a mut Run>,
    pub resume: Option<&'a Checkpoint>,
}

impl<'a> Training<'a> {
    pub fn new(recipe: &'a Recipe, task: &'a dyn Task<Normed>) -> Self {
        Self {
            recipe,
            task,
            train: Points::new(96),
            valid: None,
            helpers: 0,
            run: None,
            resume: None,
        }
    }

    pub fn go(self) -> (Result<Fitted<Normed>, FitError>, Vec<Event>) {
        self.on(Normed::new())
    }

    pub fn on(self, model: Normed) -> (Result<Fitted<Normed>, FitError>, Vec<Event>) {
        let mut events = Vec::new();
        let fit = Fit {
            recipe: self.recipe,
            task: self.task,
            feed: Box::new(Examples::new(Arc::new(self.train))),
            judge: self.valid.map(|valid| judge(Arc::new(valid), self.recipe)),
            device: &Device::flex(),
            helpers: Helpers {
                devices: vec![Device::flex(); self.helpers],
                relay: None,
            },
            run: self.run,
            resume: self.resume,
            stop: None,
            watch: &mut |event| events.push(event.clone()),
        };
        (fit.train(model), events)
    }
}

/// A split that chooses the best model.
pub fn judge<M>(valid: Arc<dyn Source>, recipe: &Recipe) -> Box<dyn Judge<M>> {
    Box::new(Split::new(valid, &recipe.train))
}

/// The bytes of a model as a file.
pub fn bytes(model: &Normed) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    zoo_weights::save(model, &path, &zoo_weights::Origin::default()).unwrap();
    std::fs::read(path).unwrap()
}

/// Steps of the checkpoints in a run folder, each of which must be sound and finite.
pub fn checkpoints(run: &Path) -> Vec<usize> {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut steps: Vec<usize> = names.map(|name| name.parse().unwrap()).collect();
    steps.sort_unstable();
    for step in &steps {
        let folder = run.join("checkpoints").join(step.to_string());
        let checkpoint = Checkpoint::read(&folder).unwrap();
        for file in checkpoint.manifest.files.keys() {
            if file.ends_with(".safetensors") {
                let mut model = Normed::new();
                let path = folder.join(file);
                zoo_weights::load(&mut model, &path, &zoo_weights::Origin::default()).unwrap();
                assert_eq!(zoo_train::not_finite_tensor(&model), None, "{step}/{file}");
            }
        }
    }
    steps
}
