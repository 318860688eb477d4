//! Which models exist: one row each. Help, lists, tests and every command derive from this table.
//!
//! A row joins a configuration, a module and its forward function, all plain items of a model
//! crate; [`Entry`] hides their types, so that commands need not know them.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::module::Module;
use burn::tensor::{
    Device, Int, Tensor, TensorData,
    activation::{log_softmax, softmax},
};
use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};
use zoo_cnn::{ConvNet, ConvNetConfig, LeNet, LeNetConfig, ResNet, ResNetConfig};
use zoo_compare::spec::Spec;
use zoo_compare::worker::{self, Converge};
use zoo_mlp::{Mlp, MlpConfig};
use zoo_train::rng::{Purpose, derive};
use zoo_train::{
    Checkpoint, Classify, DidYouMean, Event, Fit, FitError, Helpers, Metrics, NextToken, Recipe,
    Run, Source, SourceError, Task, TaskConfig, check_keys, evaluate, fields_of, from_table,
    nearest, number, weights,
};
use zoo_transformer::encoder::{Encoder, EncoderConfig};
use zoo_transformer::gpt::{Gpt, GptConfig};

use crate::attribute::{Attribution, integrated_gradients};
use crate::data::Facts;
use crate::devices::{self, Kind, Selected};
use crate::error::Error;
use crate::sample::Decoder;
use crate::summary::{Summary, SummaryError, summarize};
use crate::trace::layer_outputs;

/// Every architecture, by family.
pub static MODELS: &[&dyn Entry] = &[
    &Row::<MlpConfig, Mlp> {
        name: "mlp",
        family: "mlp",
        about: "multilayer perceptron of any widths",
        presets: zoo_mlp::presets,
        validate: MlpConfig::validate,
        init: MlpConfig::init,
        forward: Forward::Images(|model, images| model.forward(images.flatten(1, 3))),
        input: |config| Input::Features(config.input_features()),
        from_data: |_| Table::new(),
        outputs: |config| config.num_classes(),
        embedded: None,
    },
    &Row::<LeNetConfig, LeNet> {
        name: "lenet",
        family: "cnn",
        about: "LeNet-5 (LeCun et al. 1998)",
        presets: zoo_cnn::lenet_presets,
        validate: LeNetConfig::validate,
        init: LeNetConfig::init,
        forward: Forward::Images(LeNet::forward),
        input: |config| Input::Image(config.input_shape()),
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
    },
    &Row::<ConvNetConfig, ConvNet> {
        name: "convnet",
        family: "cnn",
        about: "the network of PyTorch's MNIST example",
        presets: zoo_cnn::convnet_presets,
        validate: ConvNetConfig::validate,
        init: ConvNetConfig::init,
        forward: Forward::Images(ConvNet::forward),
        input: |config| Input::Image(config.input_shape()),
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
    },
    &Row::<ResNetConfig, ResNet> {
        name: "resnet",
        family: "cnn",
        about: "residual networks (He et al. 2015)",
        presets: zoo_cnn::resnet_presets,
        validate: ResNetConfig::validate,
        init: ResNetConfig::init,
        forward: Forward::Images(ResNet::forward),
        input: |config| Input::AnyImage {
            channels: config.in_channels(),
            usual: usual_side(config),
        },
        from_data: classes,
        outputs: |config| config.num_classes(),
        embedded: None,
    },
    &Row::<GptConfig, Gpt> {
        name: "gpt",
        family: "transformer",
        about: "GPT-style decoder (Radford et al. 2019)",
        presets: zoo_transformer::gpt::presets,
        validate: GptConfig::validate,
        init: GptConfig::init,
        forward: Forward::Decoder(Gpt::forward, |model, device| Decoder::new(model, device)),
        input: |config| Input::Tokens {
            longest: config.context,
        },
        from_data: vocabulary,
        outputs: |config| config.vocab_size,
        embedded: Some(Embedded {
            embed: Gpt::embed,
            logits: |model, x, _| {
                let logits = model.forward_embedded(x); // [b, t, k]
                let [b, t, k] = logits.dims();
                logits.narrow(1, t - 1, 1).reshape([b, k])
            },
        }),
    },
    &Row::<EncoderConfig, Encoder> {
        name: "encoder",
        family: "transformer",
        about: "BERT-style encoder classifier (Devlin et al. 2018)",
        presets: zoo_transformer::encoder::presets,
        validate: EncoderConfig::validate,
        init: EncoderConfig::init,
        forward: Forward::Sentences(|model, tokens| {
            let padding = model.padding_mask(&tokens);
            model.forward(tokens, padding)
        }),
        input: |config| Input::Tokens {
            longest: config.max_length,
        },
        from_data: |facts| {
            let mut keys = vocabulary(facts);
            keys.extend(classes(facts));
            keys
        },
        outputs: |config| config.num_classes,
        embedded: Some(Embedded {
            embed: Encoder::embed,
            logits: |model, x, tokens| model.forward_embedded(x, model.padding_mask(&tokens)),
        }),
    },
];

fn usual_side(config: &ResNetConfig) -> usize {
    if config.stem == zoo_cnn::Stem::Imagenet {
        224
    } else {
        32
    }
}

/// A new head for another number of classes needs no key in the recipe.
fn classes(facts: &Facts) -> Table {
    facts
        .classes()
        .map(|classes| ("num_classes".into(), integer(classes)))
        .into_iter()
        .collect()
}

fn vocabulary(facts: &Facts) -> Table {
    facts
        .vocabulary()
        .map(|size| ("vocab_size".into(), integer(size)))
        .into_iter()
        .collect()
}

fn integer(value: usize) -> Value {
    Value::Integer(value as i64)
}

/// What a model is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Images of any shape with this many values in all.
    Features(usize),
    /// Images of exactly this shape, channels, height, width.
    Image([usize; 3]),
    /// Images of any size.
    AnyImage {
        /// Channels.
        channels: usize,
        /// Height and width in the paper.
        usual: usize,
    },
    /// Token ids.
    Tokens {
        /// Most of them.
        longest: usize,
    },
}

/// A model's forward pass, by what it maps to what.
enum Forward<M> {
    /// Images `[b, c, h, w]` to logits `[b, k]`.
    Images(fn(&M, Tensor<4>) -> Tensor<2>),
    /// Padded token ids `[b, t]` to logits `[b, k]`.
    Sentences(fn(&M, Tensor<2, Int>) -> Tensor<2>),
    /// Token ids `[b, t]` to logits `[b, t, k]`, and how to continue a text token by token.
    Decoder(
        fn(&M, Tensor<2, Int>) -> Tensor<3>,
        for<'a> fn(&'a M, &'a Device) -> Decoder<'a>,
    ),
}

impl<M> Forward<M> {
    /// Logits, flattened, and their shape.
    ///
    /// # Panics
    /// If the model is not fed this kind of input: the batches of a comparison come from its data.
    fn run(self, model: &M, input: worker::Input) -> (Tensor<1>, Vec<usize>) {
        use worker::Input::{Images, Tokens};
        fn flat<const D: usize>(logits: Tensor<D>) -> (Tensor<1>, Vec<usize>) {
            let shape = logits.dims().to_vec();
            (logits.flatten(0, D - 1), shape)
        }
        match (self, input) {
            (Self::Images(forward), Images(images)) => flat(forward(model, images)),
            (Self::Sentences(forward), Tokens(tokens)) => flat(forward(model, tokens)),
            (Self::Decoder(forward, _), Tokens(tokens)) => flat(forward(model, tokens)),
            _ => panic!("images for a model of text, or text for one of images"),
        }
    }
}

impl<M> Clone for Forward<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Forward<M> {}

/// A model of tokens, entered behind its embedding.
struct Embedded<M> {
    /// Token ids `[b, t]` to vectors `[b, t, c]`.
    embed: fn(&M, Tensor<2, Int>) -> Tensor<3>,
    /// These vectors and the token ids to logits `[b, k]`: of the class, or of the next token.
    logits: fn(&M, Tensor<3>, Tensor<2, Int>) -> Tensor<2>,
}

impl<M> Clone for Embedded<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Embedded<M> {}

/// One architecture of the table.
struct Row<C: 'static, M> {
    name: &'static str,
    family: &'static str,
    about: &'static str,
    presets: fn() -> Vec<(&'static str, C)>,
    validate: fn(&C) -> Result<(), String>,
    init: fn(&C, &Device) -> M,
    forward: Forward<M>,
    input: fn(&C) -> Input,
    /// Configuration keys that the data decides where the recipe does not.
    from_data: fn(&Facts) -> Table,
    /// Classes, or size of the vocabulary.
    outputs: fn(&C) -> usize,
    /// For models of tokens.
    embedded: Option<Embedded<M>>,
}

/// A row without its types.
pub trait Entry: Sync {
    /// The architecture's name.
    fn name(&self) -> &'static str;
    /// The crate it is in: `mlp`, `cnn`, `transformer`.
    fn family(&self) -> &'static str;
    /// One line about it.
    fn about(&self) -> &'static str;
    /// The names of its presets; the first is the default.
    fn presets(&self) -> Vec<&'static str>;
    /// A model from a preset with `overlay` laid over it, and the data's keys below that.
    ///
    /// # Errors
    /// An unknown key, or a value that does not fit.
    fn configure(
        &self,
        preset: &str,
        overlay: &Table,
        facts: Option<&Facts>,
    ) -> Result<Box<dyn Model>, String>;
}

/// A configured model, not yet built.
pub trait Model {
    /// The complete configuration, with the architecture as `name`.
    fn table(&self) -> Table;
    /// What it is fed.
    fn input(&self) -> Input;
    /// Classes, or size of the vocabulary.
    fn outputs(&self) -> usize;
    /// Layers, shapes, parameters, multiply-adds for one input of a shape.
    ///
    /// # Errors
    /// A forward pass that could not be recorded.
    fn summary(&self, shape: &[usize]) -> Result<Summary, SummaryError>;
    /// Whether it continues texts.
    fn is_decoder(&self) -> bool;
    /// Writes the weights that a training with `seed` starts from.
    ///
    /// # Errors
    /// Weights that cannot be read or written.
    fn save_initial(&self, seed: u64, weights: Option<&Path>, to: &Path) -> Result<(), Error>;
    /// Computes for a comparison what is asked on `requests`; see [`zoo_compare::worker`].
    ///
    /// # Errors
    /// Files that cannot be read or written.
    fn serve(
        &self,
        spec: &Spec,
        folder: &Path,
        selected: &Selected,
        converge: Option<Converge<'_>>,
        requests: Box<dyn BufRead + '_>,
    ) -> Result<(), String>;
    /// Trains it, from `weights` if there are any.
    ///
    /// # Errors
    /// See [`FitError`].
    fn train(&self, job: Job<'_>) -> Result<(Box<dyn Ready>, Outcome), FitError>;
    /// Builds it with weights from a file.
    ///
    /// # Errors
    /// Weights that cannot be read or do not fit.
    fn load(&self, weights: &Path, device: &Device) -> Result<Box<dyn Ready>, Error>;
}

/// A training run, without the model.
pub struct Job<'a> {
    /// How to train.
    pub recipe: &'a Recipe,
    /// Training examples.
    pub train: Arc<dyn Source>,
    /// Validation examples.
    pub valid: Option<Arc<dyn Source>>,
    /// Where to compute.
    pub device: &'a Device,
    /// More devices, which share every batch.
    pub helpers: Helpers,
    /// Weights to start from, instead of random ones.
    pub weights: Option<&'a Path>,
    /// The run folder.
    pub run: Option<&'a mut Run>,
    /// A checkpoint to go on from.
    pub resume: Option<&'a Checkpoint>,
    /// Ends the training early once it is true; see [`Fit::stop`].
    pub stop: Option<&'a AtomicBool>,
    /// Called with every event.
    pub watch: &'a mut dyn FnMut(&Event),
}

/// How a training run went.
#[derive(Debug)]
pub struct Outcome {
    /// Metrics of the result on the validation data.
    pub validation: Option<Metrics>,
    /// Optimizer steps done.
    pub steps: usize,
    /// Whether it stopped for want of a better model.
    pub stopped_early: bool,
    /// Training examples a second.
    pub samples_per_second: f64,
}

/// What a classifier says to an example.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The true class.
    pub label: usize,
    /// The class that it thinks likeliest.
    pub predicted: usize,
    /// The probability that it gives to that, 0..=1.
    pub confidence: f64,
    /// The cross-entropy with the true class, in nats.
    pub loss: f64,
}

/// A model with weights, on a device without autodiff.
pub trait Ready {
    /// Metrics over a source.
    ///
    /// # Errors
    /// An example that cannot be read.
    fn evaluate(
        &self,
        task: &TaskConfig,
        source: &dyn Source,
        batch_size: usize,
    ) -> Result<Metrics, SourceError>;
    /// A classifier's answer to every example; `None` for a decoder.
    ///
    /// # Errors
    /// An example that cannot be read.
    fn answers(
        &self,
        source: &dyn Source,
        batch_size: usize,
    ) -> Result<Option<Vec<Answer>>, SourceError>;
    /// What the likeliest output for a batch of one depends on: a value a pixel and channel, or a
    /// token. Images are held against `baseline`, tokens against no token.
    fn explain(&self, input: TensorData, baseline: TensorData) -> Attribution;
    /// The probability of each class `[k]` for a batch of one; `None` for a decoder.
    fn probabilities(&self, input: TensorData) -> Option<Vec<f32>>;
    /// A text generator; `None` for a classifier.
    fn decoder(&self) -> Option<Decoder<'_>>;
    /// Writes the weights.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn save(&self, path: &Path) -> Result<(), Error>;
}

impl<C, M> Entry for Row<C, M>
where
    C: Clone + Serialize + DeserializeOwned + 'static,
    M: Module + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn family(&self) -> &'static str {
        self.family
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn presets(&self) -> Vec<&'static str> {
        (self.presets)().into_iter().map(|(name, _)| name).collect()
    }

    fn configure(
        &self,
        preset: &str,
        overlay: &Table,
        facts: Option<&Facts>,
    ) -> Result<Box<dyn Model>, String> {
        let presets = (self.presets)();
        let Some((_, config)) = presets.iter().find(|(name, _)| *name == preset) else {
            let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
            let guess = DidYouMean(nearest(preset, names.iter().copied()));
            return Err(format!(
                "model.preset = {preset:?}{guess}: {} has: {}",
                self.name,
                names.join(", ")
            ));
        };
        check_keys(overlay, "model", self.name, fields_of::<C>())?;
        let mut table = to_table(config);
        table.extend(facts.map(self.from_data).unwrap_or_default());
        table.extend(overlay.clone());
        let config: C = from_table(table, "model")?;
        (self.validate)(&config)?;
        let configured = Configured {
            name: self.name,
            init: self.init,
            forward: self.forward,
            input: (self.input)(&config),
            outputs: (self.outputs)(&config),
            embedded: self.embedded,
            config,
        };
        if let Some(facts) = facts {
            facts.fit(self.name, configured.input, configured.outputs)?;
        }
        Ok(Box::new(configured))
    }
}

fn to_table(config: &impl Serialize) -> Table {
    Table::try_from(config).expect("a model's configuration is a TOML table")
}

struct Configured<C, M> {
    name: &'static str,
    init: fn(&C, &Device) -> M,
    forward: Forward<M>,
    input: Input,
    outputs: usize,
    embedded: Option<Embedded<M>>,
    config: C,
}

impl<C: Serialize, M: Module + 'static> Model for Configured<C, M> {
    fn table(&self) -> Table {
        let mut table = to_table(&self.config);
        table.insert("name".into(), self.name.into());
        table
    }

    fn input(&self) -> Input {
        self.input
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn summary(&self, shape: &[usize]) -> Result<Summary, SummaryError> {
        let model = (self.init)(&self.config, &host(None));
        match self.forward {
            Forward::Images(forward) => {
                let shape = [shape[0], shape[1], shape[2], shape[3]];
                summarize(model, |model, device| {
                    forward(model, Tensor::zeros(shape, device))
                })
            }
            Forward::Sentences(forward) => {
                let shape = [shape[0], shape[1]];
                summarize(model, |model, device| {
                    forward(model, Tensor::ones(shape, device))
                })
            }
            Forward::Decoder(forward, _) => {
                let shape = [shape[0], shape[1]];
                summarize(model, |model, device| {
                    forward(model, Tensor::zeros(shape, device))
                })
            }
        }
    }

    fn is_decoder(&self) -> bool {
        matches!(self.forward, Forward::Decoder(..))
    }

    fn save_initial(&self, seed: u64, weights: Option<&Path>, to: &Path) -> Result<(), Error> {
        let model = self.initial(seed, weights, &host(None))?;
        Ok(weights::save(&number(model), to)?)
    }

    fn serve(
        &self,
        spec: &Spec,
        folder: &Path,
        selected: &Selected,
        converge: Option<Converge<'_>>,
        requests: Box<dyn BufRead + '_>,
    ) -> Result<(), String> {
        let device = selected.device.clone();
        let model = weights::load(
            (self.init)(&self.config, &device),
            &folder.join(&spec.weights),
        )
        .map_err(|error| error.to_string())?;
        let forward = self.forward;
        let subject = worker::Subject {
            model,
            device,
            on_cpu: selected.kind == Kind::Cpu,
            task: &*task(forward, &spec.task.config),
            forward: &|model: &M, input| forward.run(model, input),
            layers: &|model: &M, input, device| {
                // A clone would share running statistics with the copy that moves away.
                layer_outputs(model.valid(), device, |model, device| {
                    forward.run(model, worker::Input::new(input, device))
                })
            },
            decode: match forward {
                Forward::Decoder(_, decoder) => Some((
                    &move |model: &M, device: &Device, prompt: &[u32]| {
                        decoder(model, device).logits(prompt)
                    },
                    &move |model, device| greedy(decoder(model, device)),
                )),
                _ => None,
            },
            converge,
        };
        worker::serve(spec, folder, subject, requests, worker::to_stdout)
    }

    fn train(&self, job: Job<'_>) -> Result<(Box<dyn Ready>, Outcome), FitError> {
        let model = self.initial(job.recipe.train.seed, job.weights, job.device)?;
        let task = task(self.forward, &job.recipe.task);
        let fit = Fit {
            recipe: job.recipe,
            task: &*task,
            train: job.train,
            valid: job.valid,
            device: job.device,
            helpers: job.helpers,
            run: job.run,
            resume: job.resume,
            stop: job.stop,
            watch: job.watch,
        };
        let fitted = fit.train(model)?;
        let outcome = Outcome {
            validation: fitted.validation,
            steps: fitted.steps,
            stopped_early: fitted.stopped_early,
            samples_per_second: fitted.samples as f64
                / fitted.training_time.as_secs_f64().max(1e-9),
        };
        Ok((self.ready(fitted.model, job.device), outcome))
    }

    fn load(&self, path: &Path, device: &Device) -> Result<Box<dyn Ready>, Error> {
        let model = weights::load((self.init)(&self.config, device), path)?;
        Ok(self.ready(model.valid(), device))
    }
}

/// The default CPU device, where weights are made.
fn host(otherwise: Option<&Device>) -> Device {
    match (devices::open(devices::default_name()), otherwise) {
        (Ok(host), _) => host.device,
        (Err(_), Some(device)) => device.clone(),
        (Err(_), None) => Device::default(),
    }
}

/// Continues a text by the likeliest token, one each call.
fn greedy<'a>(mut decoder: Decoder<'a>) -> Box<dyn FnMut() + 'a> {
    let mut token = 0;
    Box::new(move || {
        let logits = decoder.next(&[token]);
        let likeliest = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        token = likeliest.map_or(0, |(token, _)| token as u32);
    })
}

impl<C, M: Module + 'static> Configured<C, M> {
    /// Random streams differ between backends: initial weights are drawn on the default CPU one, so
    /// that a seed means the same weights everywhere.
    fn initial(
        &self,
        seed: u64,
        path: Option<&Path>,
        otherwise: &Device,
    ) -> Result<M, weights::WeightsError> {
        let host = host(Some(otherwise));
        host.seed(derive(seed, Purpose::Weights, &[]));
        let model = (self.init)(&self.config, &host);
        match path {
            Some(path) => weights::load(model, path),
            None => Ok(model),
        }
    }

    fn ready(&self, model: M, device: &Device) -> Box<dyn Ready> {
        Box::new(Loaded {
            model,
            forward: self.forward,
            embedded: self.embedded,
            device: device.clone(),
        })
    }
}

fn task<M: Module + 'static>(forward: Forward<M>, config: &TaskConfig) -> Box<dyn Task<M>> {
    let config = config.clone();
    match forward {
        Forward::Images(forward) => Box::new(Classify::new(forward, config)),
        Forward::Sentences(forward) => Box::new(Classify::new(forward, config)),
        Forward::Decoder(forward, _) => Box::new(NextToken::new(forward, config)),
    }
}

struct Loaded<M> {
    model: M,
    forward: Forward<M>,
    embedded: Option<Embedded<M>>,
    device: Device,
}

impl<M: Module + 'static> Loaded<M> {
    /// The logits `[b, k]` of a classifier.
    fn logits(&self, input: TensorData) -> Option<Tensor<2>> {
        match self.forward {
            Forward::Images(forward) => {
                Some(forward(&self.model, Tensor::from_data(input, &self.device)))
            }
            Forward::Sentences(forward) => {
                Some(forward(&self.model, Tensor::from_data(input, &self.device)))
            }
            Forward::Decoder(..) => None,
        }
    }
}

impl<M: Module + 'static> Ready for Loaded<M> {
    fn evaluate(
        &self,
        config: &TaskConfig,
        source: &dyn Source,
        batch_size: usize,
    ) -> Result<Metrics, SourceError> {
        evaluate(
            &*task(self.forward, config),
            &self.model,
            source,
            batch_size,
            &self.device,
        )
    }

    fn answers(
        &self,
        source: &dyn Source,
        batch_size: usize,
    ) -> Result<Option<Vec<Answer>>, SourceError> {
        let indices: Vec<u32> = (0..source.len() as u32).collect();
        let mut answers = Vec::with_capacity(indices.len());
        for part in indices.chunks(batch_size) {
            let batch = source.batch(part, None)?;
            let Some(logits) = self.logits(batch.input) else {
                return Ok(None);
            };
            let classes = logits.dims()[1];
            let scores = log_softmax(logits, 1).into_data();
            let scores: Vec<f64> = scores.iter::<f64>().collect();
            let labels = batch.target.iter::<i64>();
            for (row, label) in scores.chunks(classes.max(1)).zip(labels) {
                let likeliest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                let (predicted, score) = likeliest.map_or((0, f64::NAN), |(i, score)| (i, *score));
                let label = label as usize;
                answers.push(Answer {
                    label,
                    predicted,
                    confidence: score.exp(),
                    loss: -row.get(label).copied().unwrap_or(f64::NAN),
                });
            }
        }
        Ok(Some(answers))
    }

    fn explain(&self, input: TensorData, baseline: TensorData) -> Attribution {
        // On an autodiff device, but as in evaluation: no dropout, no statistics of the batch.
        let model = self.model.valid().train().freeze();
        if let Forward::Images(forward) = self.forward {
            let logits = |x| forward(&model, x);
            return integrated_gradients::<4>(input, baseline, &self.device, logits);
        }
        let embedded = self.embedded.expect("a model of tokens has an embedding");
        let tokens = |device: &Device| Tensor::<2, Int>::from_data(input.clone(), device);
        let x = (embedded.embed)(&self.model, tokens(&self.device)); // [1, t, c]
        let [_, t, c] = x.dims();
        let nothing = TensorData::zeros::<f32, _>([1, t, c]);
        let mut explained =
            integrated_gradients::<3>(x.into_data(), nothing, &self.device, |x: Tensor<3>| {
                let tokens = tokens(&x.device()).repeat_dim(0, x.dims()[0]);
                (embedded.logits)(&model, x, tokens)
            });
        let by_token = explained.values.chunks(c);
        explained.values = by_token.map(|values| values.iter().sum()).collect();
        explained
    }

    fn probabilities(&self, input: TensorData) -> Option<Vec<f32>> {
        let logits = self.logits(input)?;
        Some(softmax(logits, 1).into_data().iter::<f32>().collect())
    }

    fn decoder(&self) -> Option<Decoder<'_>> {
        match self.forward {
            Forward::Decoder(_, decoder) => Some(decoder(&self.model, &self.device)),
            _ => None,
        }
    }

    fn save(&self, path: &Path) -> Result<(), Error> {
        Ok(weights::save(&self.model, path)?)
    }
}

/// Finds a model by its architecture's name (its first preset) or by a preset's name.
///
/// # Errors
/// An unknown name, with the nearest known one.
pub fn find(name: &str) -> Result<(&'static dyn Entry, &'static str), String> {
    for entry in MODELS {
        let presets = entry.presets();
        if entry.name() == name {
            return Ok((*entry, presets[0]));
        }
        if let Some(preset) = presets.into_iter().find(|preset| *preset == name) {
            return Ok((*entry, preset));
        }
    }
    let known: Vec<&str> = MODELS
        .iter()
        .flat_map(|entry| [vec![entry.name()], entry.presets()].concat())
        .collect();
    let guess = DidYouMean(nearest(name, known.iter().copied()));
    Err(format!(
        "unknown model {name:?}{guess}; known: {}",
        known.join(", ")
    ))
}

/// Configures the model of a recipe's `[model]` table.
///
/// # Errors
/// What is wrong with the table, by key.
pub fn configure(model: &Table, facts: Option<&Facts>) -> Result<Box<dyn Model>, String> {
    let name = model
        .get("name")
        .ok_or("model.name is missing: which model?")?
        .as_str()
        .ok_or("model.name must be text")?;
    let (entry, default_preset) = find(name)?;
    let preset = match model.get("preset") {
        None => default_preset,
        Some(preset) => preset.as_str().ok_or("model.preset must be text")?,
    };
    let overlay = model
        .iter()
        .filter(|(key, _)| !["name", "preset", "weights"].contains(&key.as_str()));
    let overlay: Table = overlay
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    entry.configure(preset, &overlay, facts)
}
