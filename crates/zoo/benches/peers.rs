//! One side of `cargo xtask bench peers`: the time of a step of one of the zoo's models on flex.
//! `peers.py` beside it is the other side, PyTorch.
//!
//! ```text
//! cargo bench -p zoo --bench peers -- MODEL STEPS MODE THREADS
//! ```
//!
//! MODEL is `mlp`, `cnn`, `resnet` or `gpt`; MODE is `train`, `infer1` or `infer64` (a forward pass
//! of as many examples); THREADS is the size of the thread pool. One JSON object is printed.
//!
//! The two programs share no file. Weights and batches come from one generator, written twice, and
//! both print the first and the last loss (in inference: the first logit), so that they are known
//! to have done the same work. The first three steps are not timed.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::time::Instant;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use serde_json::json;
use zoo_cnn::{ConvNet, ConvNetConfig, ResNet, ResNetConfig, Shortcut, Stem};
use zoo_compare::machine::peak_resident_bytes;
use zoo_mlp::MlpConfig;
use zoo_tasks::classify::{Images, image_batch};
use zoo_tasks::next_token::{self, NextToken};
use zoo_tasks::{PictureInput, Room, TextInput};
use zoo_train::{Batch, OptimizerConfig, OptimizerName, number, trainable};
use zoo_transformer::gpt::{Gpt, GptConfig, Output};

/// As the `zoo` program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WARM_UP_STEPS: usize = 3;
/// Different batches, handed out in turn.
const BATCHES: usize = 8;
const WEIGHTS_SEED: u64 = 7;
const BATCHES_SEED: u64 = 42;
const CLASSES: usize = 10;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    match run(&arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [model, steps, mode, threads] = arguments else {
        return Err("usage: peers MODEL STEPS MODE THREADS".into());
    };
    let steps: usize = steps
        .parse()
        .map_err(|error| format!("STEPS {steps}: {error}"))?;
    let threads: usize = threads
        .parse()
        .map_err(|error| format!("THREADS {threads}: {error}"))?;
    if steps == 0 || threads == 0 {
        return Err("STEPS and THREADS must be above 0".into());
    }
    let mode = Mode::parse(mode)?;
    // Before any tensor: a pool that works already cannot be replaced.
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .build_global()?;

    let device = Device::flex();
    let bench = Bench {
        name: model,
        mode,
        threads,
        steps,
        batch_size: mode.batch_size(64),
        device: &device,
    };
    match model.as_str() {
        "mlp" => bench.images(
            MlpConfig::intro().init(&device),
            |model, images| model.forward(images.flatten(1, 3)),
            [1, 28, 28],
            &optimizer(OptimizerName::Sgd, 0.01),
        ),
        "cnn" => bench.images(
            ConvNetConfig::pytorch_mnist().init(&device),
            ConvNet::forward,
            [1, 28, 28],
            &optimizer(OptimizerName::Adam, 1e-3),
        ),
        "resnet" => {
            let config = ResNetConfig {
                block: zoo_cnn::BlockKind::Basic,
                in_channels: 3,
                stem: Stem::Cifar,
                blocks: vec![1, 1, 1],
                width: 16,
                shortcut: Shortcut::Projection,
                num_classes: CLASSES,
            };
            bench.images(
                config.init(&device),
                ResNet::forward,
                [3, 32, 32],
                &optimizer(OptimizerName::Adam, 1e-3),
            )
        }
        "gpt" => {
            let config = GptConfig {
                output: Output::Free,
                bias: true,
                ..GptConfig::nano()
            };
            let bench = Bench {
                batch_size: mode.batch_size(32),
                ..bench
            };
            bench.tokens(
                &config,
                &OptimizerConfig {
                    weight_decay: 0.01,
                    ..optimizer(OptimizerName::AdamW, 1e-3)
                },
            )
        }
        _ => return Err(format!("MODEL {model}: there are mlp, cnn, resnet and gpt").into()),
    }
    Ok(())
}

fn optimizer(name: OptimizerName, learning_rate: f64) -> OptimizerConfig {
    OptimizerConfig {
        name,
        learning_rate,
        ..OptimizerConfig::default()
    }
}

/// What is timed.
#[derive(Clone, Copy)]
enum Mode {
    Train,
    /// A forward pass over this many examples.
    Infer(usize),
}

impl Mode {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "train" => Ok(Self::Train),
            "infer1" => Ok(Self::Infer(1)),
            "infer64" => Ok(Self::Infer(64)),
            _ => Err(format!("MODE {text}: there are train, infer1 and infer64")),
        }
    }

    /// Examples a step.
    fn batch_size(self, in_training: usize) -> usize {
        match self {
            Self::Train => in_training,
            Self::Infer(examples) => examples,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Train => f.write_str("train"),
            Self::Infer(examples) => write!(f, "infer{examples}"),
        }
    }
}

/// What to measure, apart from the model.
struct Bench<'a> {
    name: &'a str,
    mode: Mode,
    threads: usize,
    steps: usize,
    batch_size: usize,
    device: &'a Device,
}

impl Bench<'_> {
    /// A classifier of images `[c, h, w]`.
    fn images<M: Module + 'static>(
        &self,
        model: M,
        forward: fn(&M, Tensor<4>) -> Tensor<2>,
        [c, h, w]: [usize; 3],
        optimizer: &OptimizerConfig,
    ) {
        let mut draw = Generator(BATCHES_SEED);
        let b = self.batch_size;
        let batches = (0..BATCHES).map(|_| {
            let pixels = draw.floats(b * c * h * w);
            image_batch(pixels, [c, h, w], draw.integers(b, CLASSES))
        });
        let batches: Vec<Batch> = batches.collect();
        let room = Images::room(forward, PictureInput::Exactly([c, h, w]), CLASSES);
        self.measure(model, &*room, &batches, optimizer);
    }

    /// A decoder, on sequences as long as its context.
    fn tokens(&self, config: &GptConfig, optimizer: &OptimizerConfig) {
        let mut draw = Generator(BATCHES_SEED);
        let (b, t) = (self.batch_size, config.context);
        let batches = (0..BATCHES).map(|_| {
            let tokens = draw.integers(b * t, config.vocab_size);
            next_token::batch(tokens, draw.integers(b * t, config.vocab_size), b)
        });
        let batches: Vec<Batch> = batches.collect();
        let input = TextInput {
            longest: t,
            vocab_size: config.vocab_size,
            pad: None,
        };
        let no_cache = |_: &Gpt, _: &Device| unreachable!("nothing is decoded here");
        let room = NextToken::room(Gpt::forward, no_cache, None, input);
        self.measure(config.init(self.device), &*room, &batches, optimizer);
    }

    fn measure<M: Module>(
        &self,
        model: M,
        room: &dyn Room<M>,
        batches: &[Batch],
        optimizer: &OptimizerConfig,
    ) {
        let model = number(model.map(&mut Fill::new()));
        let (parameters, mut seen) = match self.mode {
            Mode::Train => {
                let model = model.train();
                (
                    trainable(&model),
                    self.train(model, room, batches, optimizer),
                )
            }
            Mode::Infer(_) => {
                let seen = self.infer(&model, room, batches);
                (trainable(&model.train()), seen)
            }
        };
        seen.times_ms.sort_by(f64::total_cmp);
        println!(
            "{}",
            json!({
                "model": self.name,
                "mode": self.mode.to_string(),
                "threads": self.threads,
                "batch": self.batch_size,
                "steps": self.steps,
                "median_ms": seen.times_ms[seen.times_ms.len() / 2],
                "min_ms": seen.times_ms[0],
                "first": seen.first,
                "last": seen.last,
                "peak_bytes": peak_resident_bytes(),
                "parameters": parameters,
            })
        );
    }

    /// The step of `zoo_train`'s loop, with its own task and optimizer. (What the loop adds is
    /// measured by `loop_overhead`.)
    fn train<M: Module>(
        &self,
        model: M,
        room: &dyn Room<M>,
        batches: &[Batch],
        config: &OptimizerConfig,
    ) -> Seen {
        let device = self.device.clone().autodiff();
        let optimizer = config.build(&model);
        self.time(
            batches,
            (model, optimizer),
            |(model, mut optimizer), batch| {
                let loss = room.loss(&model, batch, &device);
                let gradients = GradientsParams::from_grads(loss.backward(), &model);
                let loss = loss.into_scalar::<f32>();
                let model = optimizer.step(config.learning_rate, model, gradients);
                ((model, optimizer), loss)
            },
        )
    }

    /// A forward pass on the plain device, until its first logit is read.
    fn infer<M>(&self, model: &M, room: &dyn Room<M>, batches: &[Batch]) -> Seen {
        self.time(batches, (), |(), batch| {
            let (logits, _) = room.output(model, batch, self.device);
            ((), logits.narrow(0, 0, 1).into_scalar::<f32>())
        })
    }

    /// Takes the steps, each from the state that the one before left. The loader's part is done
    /// when the clock starts: a batch in host memory.
    fn time<S>(
        &self,
        batches: &[Batch],
        mut state: S,
        step: impl Fn(S, Batch) -> (S, f32),
    ) -> Seen {
        let (mut times_ms, mut first, mut last) = (Vec::new(), f32::NAN, f32::NAN);
        for number in 0..WARM_UP_STEPS + self.steps {
            let batch = batches[number % batches.len()].clone();
            let began = Instant::now();
            (state, last) = step(state, batch);
            let elapsed = began.elapsed();
            if number == 0 {
                first = last;
            }
            if number >= WARM_UP_STEPS {
                times_ms.push(elapsed.as_secs_f64() * 1e3);
            }
        }
        Seen {
            times_ms,
            first,
            last,
        }
    }
}

/// What the steps took, warm-up left out, and what the first and the last one gave.
struct Seen {
    times_ms: Vec<f64>,
    first: f32,
    last: f32,
}

/// The numbers that both programs start from: splitmix64 (Steele, Lea and Flood 2014).
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In -1..1, each exact in `f32`.
    fn floats(&mut self, count: usize) -> Vec<f32> {
        let unit = |bits: u64| (bits >> 40) as f32 / (1 << 24) as f32;
        (0..count).map(|_| unit(self.next()) * 2.0 - 1.0).collect()
    }

    /// In 0..below.
    fn integers(&mut self, count: usize, below: usize) -> Vec<i32> {
        let below = below as u64;
        (0..count).map(|_| (self.next() % below) as i32).collect()
    }
}

/// Sets a model's parameters in its own order: weights to U(-k, k) with k = 1 / sqrt(fan-in),
/// biases to zero. Gains and running statistics stay as they are made, ones and zeros.
struct Fill {
    draw: Generator,
    /// The field that is visited.
    field: String,
}

impl Fill {
    fn new() -> Self {
        Self {
            draw: Generator(WEIGHTS_SEED),
            field: String::new(),
        }
    }
}

impl ModuleMapper for Fill {
    fn enter_module(&mut self, name: &str, _: &str) {
        name.clone_into(&mut self.field);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        if D == 1 {
            let zero = self.field == "bias";
            return param.map(|old| if zero { old.zeros_like() } else { old });
        }
        // A linear layer's weights are `[in, out]`, a convolution's `[out, in, kernel, kernel]`.
        let fan = match D {
            2 => shape[0],
            _ => shape.num_elements() / shape[0],
        };
        let k = (1.0 / fan as f32).sqrt();
        let values = self.draw.floats(shape.num_elements());
        let values: Vec<f32> = values.into_iter().map(|value| value * k).collect();
        param.map(|old| Tensor::from_data(TensorData::new(values, shape), &old.device()))
    }
}
