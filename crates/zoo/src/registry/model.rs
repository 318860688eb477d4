//! A configured model: built, summarised, compared, trained.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use serde::Serialize;
use serde_json::Value as Json;
use toml::Table;
use zoo_compare::spec::Spec;
use zoo_compare::worker::{self, Converge};
use zoo_train::rng::{Purpose, derive};
use zoo_train::{
    Checkpoint, Event, Finetune, Fit, FitError, Helpers, Metrics, Recipe, Run, Source, number,
};
use zoo_weights::golden::{Distance, Golden};
use zoo_weights::{Loaded, Origin, WeightsError};

use super::ready::{Opened, Ready};
use super::row::{Embedded, Forward, Input, Kind, ToHub, to_table};
use super::size;
use crate::devices::{self, Selected};
use crate::error::Error;
use crate::summary::{Summary, SummaryError, summarize};
use crate::trace::layer_outputs;
use zoo_transformer::generate::Decoder;

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
    /// A model too large for this machine, or a forward pass that could not be recorded.
    fn summary(&self, shape: &[usize]) -> Result<Summary, SummaryError>;
    /// What it maps to what.
    fn kind(&self) -> Kind;
    /// The shape of one input of the usual size, as a batch of one.
    fn usual_shape(&self) -> Vec<usize>;
    /// Its trained numbers, counted without drawing them.
    fn parameters(&self) -> usize;
    /// Whether the machine could hold the model and `batch` inputs of a shape.
    ///
    /// # Errors
    /// What does not fit, its size, and what there is.
    fn check_memory(&self, batch: usize, input: &[usize]) -> Result<(), Error>;
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
    /// Builds it with weights from a file, by its origin's names or ours.
    ///
    /// # Errors
    /// Weights that cannot be read or do not fit.
    fn load(&self, weights: &Path, device: &Device) -> Result<Box<dyn Ready>, Error>;
    /// [`load`](Self::load) from a file of a model that has no biases, where this one has: they are
    /// what they are in a fresh model, zeros.
    ///
    /// # Errors
    /// Weights that cannot be read or do not fit.
    fn load_without_biases(&self, weights: &Path, device: &Device)
    -> Result<Box<dyn Ready>, Error>;
    /// Builds it with the weights that a training with `seed` starts from.
    ///
    /// # Errors
    /// A model too large for this machine.
    fn fresh(&self, seed: u64, device: &Device) -> Result<Box<dyn Ready>, Error>;
    /// Which tensors would start anew, as a head for another number of outputs, if a training went
    /// on from `weights`.
    ///
    /// # Errors
    /// Weights that cannot be read or do not fit.
    fn new_head(&self, weights: &Path) -> Result<Vec<String>, Error>;
    /// Holds the names of a `[finetune]` table against it.
    ///
    /// # Errors
    /// A pattern that names nothing, or a table that leaves nothing to train.
    fn check_finetune(&self, finetune: &Finetune) -> Result<(), Error>;
    /// How far it is from what its origin computed; gradients and losses only if it `trains`.
    ///
    /// # Errors
    /// Numbers that cannot be read, or weights of another model.
    fn against(&self, golden: &Golden, device: &Device, trains: bool) -> Result<Distance, Error>;
    /// The PyPI package that has the original; none for what only a paper has.
    fn library(&self) -> Option<&'static str>;
    /// Its `config.json` in the hub's form, where the hub has one of its own for it.
    fn to_hub(&self) -> Option<Result<Json, String>>;
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

pub(super) struct Configured<C, M> {
    pub(super) name: &'static str,
    pub(super) init: fn(&C, &Device) -> M,
    pub(super) forward: Forward<M>,
    pub(super) input: Input,
    pub(super) outputs: usize,
    pub(super) embedded: Option<Embedded<M>>,
    pub(super) origin: Origin,
    pub(super) head: Vec<String>,
    pub(super) library: Option<&'static str>,
    pub(super) to_hub: Option<ToHub<C>>,
    pub(super) config: C,
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
        let host = host().map_err(SummaryError::Model)?;
        let model = self.build(&host).map_err(SummaryError::Model)?;
        let images = |shape: &[usize], device: &Device| {
            Tensor::<4>::zeros([shape[0], shape[1], shape[2], shape[3]], device)
        };
        // No token is padding.
        let tokens =
            |shape: &[usize], device: &Device| Tensor::<2, Int>::ones([shape[0], shape[1]], device);
        match self.forward {
            Forward::Images(forward) => {
                summarize(model, |model, device| forward(model, images(shape, device)))
            }
            Forward::Maps(forward) => {
                summarize(model, |model, device| forward(model, images(shape, device)))
            }
            Forward::Sentences(forward) => {
                summarize(model, |model, device| forward(model, tokens(shape, device)))
            }
            Forward::Decoder(forward, _) | Forward::Pairs(forward, _) => {
                summarize(model, |model, device| forward(model, tokens(shape, device)))
            }
        }
    }

    fn kind(&self) -> Kind {
        self.forward.kind()
    }

    fn usual_shape(&self) -> Vec<usize> {
        match self.input {
            // An image whose values are all features; a row of them has the same count.
            Input::Features(features) => vec![1, 1, 1, features],
            Input::Image([c, h, w]) => vec![1, c, h, w],
            Input::AnyImage {
                channels, usual, ..
            } => vec![1, channels, usual, usual],
            Input::Tokens { longest } => vec![1, longest],
        }
    }

    fn parameters(&self) -> usize {
        // Any device will do: nothing is drawn.
        host().map_or(0, |host| {
            zoo_weights::parameters(&(self.init)(&self.config, &host))
        })
    }

    fn check_memory(&self, batch: usize, input: &[usize]) -> Result<(), Error> {
        self.build(&host()?)?;
        let what = format!("a batch of {batch} inputs of {input:?}");
        let numbers = size::numbers(input).saturating_mul(batch as u128);
        size::check(&what, numbers).map_err(Error::Request)
    }

    fn save_initial(&self, seed: u64, weights: Option<&Path>, to: &Path) -> Result<(), Error> {
        let model = self.initial(seed, weights)?;
        // For workers, which have our own names.
        Ok(zoo_weights::save(&number(model), to, &Origin::default())?)
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
        let mut model = self.build(&device).map_err(|error| error.to_string())?;
        zoo_weights::load(&mut model, &folder.join(&spec.weights), &Origin::default())
            .map_err(|error| error.to_string())?;
        let forward = self.forward;
        let subject = worker::Subject {
            model,
            device,
            on_cpu: selected.kind == devices::Kind::Cpu,
            task: &*forward.task(&spec.task.config),
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
        let model = self.initial(job.recipe.train.seed, job.weights);
        let model = model.map_err(|error| FitError::Model(error.to_string()))?;
        let task = self.forward.task(&job.recipe.task);
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
            samples_per_second: fitted.spent.samples as f64
                / fitted.spent.training_seconds.max(1e-9),
        };
        Ok((self.ready(fitted.model, job.device), outcome))
    }

    fn load(&self, path: &Path, device: &Device) -> Result<Box<dyn Ready>, Error> {
        let mut model = self.build(device)?;
        let loaded = zoo_weights::load_except(&mut model, path, &self.origin, &|_| false)?;
        tell(&loaded);
        Ok(self.ready(model.valid(), device))
    }

    fn load_without_biases(&self, path: &Path, device: &Device) -> Result<Box<dyn Ready>, Error> {
        let mut model = self.build(device)?;
        let is_bias = |name: &str| name.ends_with(".bias");
        zoo_weights::load_except(&mut model, path, &self.origin, &is_bias)?;
        Ok(self.ready(model.valid(), device))
    }

    fn fresh(&self, seed: u64, device: &Device) -> Result<Box<dyn Ready>, Error> {
        // Numbering reads every parameter: what is not drawn yet would be drawn on the other device.
        let model = number(self.initial(seed, None)?);
        Ok(self.ready(model.to_device(device).valid(), device))
    }

    fn new_head(&self, weights: &Path) -> Result<Vec<String>, Error> {
        let mut model = self.build(&host()?)?;
        let loaded = self.start_from(&mut model, weights)?;
        tell(&loaded);
        Ok(loaded.kept)
    }

    fn check_finetune(&self, finetune: &Finetune) -> Result<(), Error> {
        let model = self.build(&host()?)?;
        finetune.check_model(&model).map_err(Error::Request)
    }

    fn against(&self, golden: &Golden, device: &Device, trains: bool) -> Result<Distance, Error> {
        let model = self.build(device)?;
        let forward = self.forward;
        let rows = move |model: &M, input| forward.rows(model, input);
        Ok(golden.compare(model, &self.origin, device, &rows, trains)?)
    }

    fn library(&self) -> Option<&'static str> {
        self.library
    }

    fn to_hub(&self) -> Option<Result<Json, String>> {
        self.to_hub.map(|write| write(&self.config))
    }
}

/// Says what was read where a file holds more than the weights, or calls them otherwise.
fn tell(loaded: &Loaded) {
    if let Some(note) = &loaded.note {
        eprintln!("{note}");
    }
}

/// The default CPU device, where weights are made.
fn host() -> Result<Device, Error> {
    let host = devices::open(devices::default_name()).map_err(Error::request)?;
    Ok(host.device)
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
    /// The model, of which Burn has drawn nothing yet, unless it is too large to be drawn here.
    fn build(&self, device: &Device) -> Result<M, Error> {
        let model = (self.init)(&self.config, device);
        let leaves = zoo_weights::leaves(&model).into_iter();
        let each = leaves.map(|leaf| size::numbers(&leaf.shape));
        let numbers = each.fold(0, u128::saturating_add);
        let what = format!("the weights of this {}, {numbers} numbers,", self.name);
        size::check_weights(&what, numbers).map_err(Error::Request)?;
        Ok(model)
    }

    /// Random streams differ between backends: initial weights are drawn on the default CPU one, so
    /// that a seed means the same weights everywhere.
    fn initial(&self, seed: u64, path: Option<&Path>) -> Result<M, Error> {
        let host = host()?;
        host.seed(derive(seed, Purpose::Weights, &[]));
        let mut model = self.build(&host)?;
        if let Some(path) = path {
            self.start_from(&mut model, path)?;
        }
        Ok(model)
    }

    /// Loads weights to go on from: a head of another size stays as it was drawn.
    fn start_from(&self, model: &mut M, path: &Path) -> Result<Loaded, WeightsError> {
        zoo_weights::load_except(model, path, &self.origin, &|path| {
            self.head.iter().any(|start| path.starts_with(start))
        })
    }

    fn ready(&self, model: M, device: &Device) -> Box<dyn Ready> {
        Box::new(Opened {
            model,
            forward: self.forward,
            embedded: self.embedded,
            origin: self.origin.clone(),
            device: device.clone(),
        })
    }
}
