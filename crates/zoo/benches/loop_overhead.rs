//! What the training loop costs beside a bare one: the claim is under 2 % of a step.
//!
//! The bare loop is what a careful user of Burn writes: batch to tensors, forward, loss, backward,
//! read the loss, step. Both loops get the same model, weights and batches from memory, and must
//! end with the same loss bit for bit, so that they are known to do the same work. They take turns
//! in short blocks, since a machine's speed drifts; a ratio is taken within a round.
//!
//! ```text
//! cargo bench -p zoo --bench loop_overhead [-- ROUNDS]
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Int, Tensor};
use zoo_cnn::{LeNet, LeNetConfig};
use zoo_mlp::MlpConfig;
use zoo_tasks::PictureInput;
use zoo_tasks::classify::{Images, image_batch};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Event, Examples, Fit, Helpers, OptimizerConfig, Origin, Pass, Plan, Recipe, Run, Source,
    SourceError,
};

/// As the `zoo` program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_SIZE: usize = 64;
const BATCHES: usize = 50;
const SHAPE: [usize; 3] = [1, 28, 28];
const CLASSES: usize = 10;
const LEARNING_RATE: f64 = 0.01;
const ROUNDS: usize = 30;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let rounds = numbers.next().unwrap_or(ROUNDS).max(1);

    let device = Device::flex();
    device.seed(1);
    println!("batch size {BATCH_SIZE}, flex, {rounds} rounds");
    let mlp = MlpConfig::intro().init(&device);
    Bench {
        name: "MLP 784-128-10",
        model: mlp,
        forward: |model, images| model.forward(images.flatten(1, 3)),
        steps: 200,
    }
    .compare(rounds, &device)?;
    let lenet = LeNetConfig::lenet5().init(&device);
    Bench {
        name: "LeNet-5",
        model: lenet,
        forward: LeNet::forward,
        steps: 20,
    }
    .compare(rounds, &device)
}

/// A model to train for a block of steps, from the same weights in every block.
struct Bench<M> {
    name: &'static str,
    model: M,
    forward: fn(&M, Tensor<4>) -> Tensor<2>,
    steps: usize,
}

/// What a block took in all, and the loss of its last step.
type Block = (Duration, f32);

impl<M: Module + 'static> Bench<M> {
    /// Runs every kind of loop in turn, `rounds` times, and prints how they compare.
    fn compare(&self, rounds: usize, device: &Device) -> Result<(), Box<dyn Error>> {
        let batches: Arc<[Batch]> = (0..BATCHES as u64).map(random_batch).collect();
        let folder = tempfile::tempdir()?;
        let create = || Run::create(folder.path(), "bench", Origin::default());

        let kinds = [
            "bare loop",
            "zoo, no run folder",
            "zoo, run folder, a line every 10 steps",
            "zoo, run folder, a line every step",
        ];
        let run_block = |kind: usize| -> Result<Block, Box<dyn Error>> {
            match kind {
                0 => Ok(self.bare(&batches, device)),
                1 => self.zoo(&batches, device, None, 10),
                2 => self.zoo(&batches, device, Some(create()?), 10),
                _ => self.zoo(&batches, device, Some(create()?), 1),
            }
        };

        let (_, expected) = run_block(0)?; // Warms up, too.
        let mut times = vec![[0.0; 4]; rounds];
        for (round, times) in times.iter_mut().enumerate() {
            for turn in 0..kinds.len() {
                // Each kind comes first, second, … equally often.
                let kind = (round + turn) % kinds.len();
                let (time, loss) = run_block(kind)?;
                assert_eq!(
                    loss.to_bits(),
                    expected.to_bits(),
                    "{}: {loss}",
                    kinds[kind]
                );
                times[kind] = time.as_secs_f64() * 1e3 / self.steps as f64;
            }
        }

        println!("\n{}, {} steps a block", self.name, self.steps);
        println!("{:40} {:>9}   ratio: median (min, max)", "", "ms a step");
        for (kind, name) in kinds.iter().enumerate() {
            let [_, time, _] = spread(times.iter().map(|times| times[kind]));
            let [min, median, max] = spread(times.iter().map(|times| times[kind] / times[0]));
            println!("{name:40} {time:9.4}   {median:.4} ({min:.4}, {max:.4})");
        }
        Ok(())
    }

    /// The loop of Burn's book, with nothing in it that a step does not need.
    fn bare(&self, batches: &[Batch], device: &Device) -> Block {
        let began = Instant::now();
        let device = device.clone().autodiff();
        let mut model = self.model.clone().train();
        let mut optimizer = SgdConfig::new().init();
        let cross_entropy = CrossEntropyLossConfig::new().init(&device);
        let mut last = f32::NAN;
        for step in 0..self.steps {
            let mut batch = batches[step % batches.len()].clone();
            let images: Tensor<4> = batch.float("images", &device);
            let classes: Tensor<1, Int> = batch.int("targets", &device);
            let loss = cross_entropy.forward((self.forward)(&model, images), classes);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            last = loss.into_scalar::<f32>();
            model = optimizer.step(LEARNING_RATE, model, gradients);
        }
        (began.elapsed(), last)
    }

    /// The zoo's loop, until the last step is reported: a run folder gets a checkpoint after it,
    /// which costs what the recipe says, and not by the step.
    fn zoo(
        &self,
        batches: &Arc<[Batch]>,
        device: &Device,
        mut run: Option<Run>,
        log_every_steps: usize,
    ) -> Result<Block, Box<dyn Error>> {
        let recipe = Recipe {
            train: Plan {
                steps: Some(self.steps),
                batch_size: BATCH_SIZE,
                log_every_steps,
                checkpoint_every_steps: Some(usize::MAX), // A checkpoint's cost is the recipe's choice.
                loader_threads: 0, // As in the MLP recipes: these batches cost a copy.
                ..Plan::default()
            },
            optimizer: OptimizerConfig {
                learning_rate: LEARNING_RATE,
                ..OptimizerConfig::default()
            },
            ..Recipe::default()
        };
        let mut end = (Duration::ZERO, f32::NAN);
        let began = Instant::now();
        let fit = Fit {
            recipe: &recipe,
            task: &Images::new(self.forward, PictureInput::Exactly(SHAPE), CLASSES),
            feed: Box::new(Examples::new(Arc::new(InTurn::new(batches.clone())))),
            judge: None,
            device,
            helpers: Helpers::default(),
            run: run.as_mut(),
            resume: None,
            stop: None,
            watch: &mut |event| {
                if let Event::Step { loss, .. } = event {
                    end = (began.elapsed(), *loss as f32);
                }
            },
        };
        fit.train(self.model.clone())?;
        Ok(end)
    }
}

/// Hands the batches out in their own order, whatever indices are asked for.
struct InTurn {
    batches: Arc<[Batch]>,
    next: AtomicUsize,
}

impl InTurn {
    fn new(batches: Arc<[Batch]>) -> Self {
        Self {
            batches,
            next: AtomicUsize::new(0),
        }
    }
}

impl Source for InTurn {
    fn len(&self) -> usize {
        self.batches.len() * BATCH_SIZE
    }

    fn batch(&self, _: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(self.batches[next % self.batches.len()].clone())
    }
}

/// Noise for images, 28x28 and one channel, and classes that the noise does not tell.
fn random_batch(seed: u64) -> Batch {
    let mut stream = Stream::new(seed);
    let mut pixel = || stream.below(1000) as f32 / 500.0 - 1.0;
    let pixels: Vec<f32> = (0..BATCH_SIZE * 28 * 28).map(|_| pixel()).collect();
    let classes: Vec<i32> = (0..BATCH_SIZE)
        .map(|_| stream.below(CLASSES) as i32)
        .collect();
    image_batch(pixels, SHAPE, classes)
}

/// Least, median and greatest.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [
        values[0],
        values[values.len() / 2],
        values[values.len() - 1],
    ]
}
