//! A configured model: built, summarised, compared, trained.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use toml::{Table, Value};
use zoo_compare::spec::Spec;
use zoo_compare::worker::{self, Converge};
use zoo_tasks::{AnyCodec, Continues, Room, Size, Upstream};
use zoo_train::rng::{Purpose, Stream, derive};
use zoo_train::{
    Batch, Checkpoint, Event, Examples, Finetune, Fit, FitError, Helpers, Judge, Metric, Metrics,
    Recipe, Run, Source, Split, from_table, number,
};
use zoo_weights::golden::{Distance, Golden};
use zoo_weights::{Loaded, Misfit, Origin, WeightsError};

use super::ready::{Opened, Ready};
use super::row::{Architecture, to_table};
use super::size;
use crate::devices::{self, Selected};
use crate::error::Error;
use crate::summary::{Summary, SummaryError, summarize};
use crate::trace::layer_outputs;

/// A configured model, not yet built.
pub trait Model {
    /// The complete configuration, with the architecture as `name`.
    fn table(&self) -> Table;
    /// The crate it is in: `mlp`, `cnn`, `transformer`.
    fn family(&self) -> &'static str;
    /// The name of its task.
    fn task(&self) -> &'static str;
    /// The same model without dropout and stochastic depth: what is compared must have no chance in it.
    ///
    /// # Errors
    /// None in practice: 0 is a value of both.
    fn without_chance(&self) -> Result<Box<dyn Model>, String>;
    /// The preset whose values it has in all keys but `free`, if there is one.
    fn preset_but(&self, free: &[&str]) -> Option<&'static str>;
    /// Takes the keys of a recipe's `[task]` table.
    ///
    /// # Errors
    /// A key that the task does not have, or a value that does not fit.
    fn set_task(&mut self, options: &Table) -> Result<(), String>;
    /// Those keys, every default written out.
    fn task_options(&self) -> Table;
    /// What it is judged by, on a split like the one of `example`.
    fn metrics(&self, example: &Batch) -> Vec<Metric>;
    /// Reads how a run's inputs are read.
    ///
    /// # Errors
    /// What is wrong with it, by key.
    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String>;
    /// Whether it can learn from a data set that is read so; its metrics are of that from then on.
    ///
    /// # Errors
    /// What the model takes, what the data gives, and which key to change.
    fn fit(&mut self, set: &str, codec: &dyn AnyCodec) -> Result<(), String>;
    /// The most tokens that it sees at once, where it is one of texts.
    fn longest(&self) -> Option<usize>;
    /// Outputs for one answer: classes, the size of the vocabulary, the width of a vector.
    fn outputs(&self) -> usize;
    /// Whether it writes text token by token.
    fn continues(&self) -> bool;
    /// Whether a step on its usual input takes seconds.
    fn is_large(&self) -> bool;
    /// How inputs are read by what an origin says.
    ///
    /// # Errors
    /// What it does not say, or a task that no origin has.
    fn upstream(&self, says: Upstream) -> Result<Arc<dyn AnyCodec>, String>;
    /// One made-up example whose pictures have this side; `None` if their size is not free.
    ///
    /// # Errors
    /// A side that it does not take.
    fn sized(&self, side: usize) -> Result<Option<Batch>, String>;
    /// A batch of noise that it takes.
    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch;
    /// A batch of inputs by name, `input` or `input.NAME`, without anything else.
    fn batch_of(&self, inputs: Vec<(String, TensorData)>) -> Batch;
    /// The columns of a batch that its forward pass reads.
    fn inputs(&self) -> &'static [&'static str];
    /// Layers, shapes, parameters, multiply-adds for one batch.
    ///
    /// # Errors
    /// A model too large for this machine, or a forward pass that could not be recorded.
    fn summary(&self, batch: &Batch) -> Result<Summary, SummaryError>;
    /// Its trained numbers, counted without drawing them.
    fn parameters(&self) -> usize;
    /// Whether the machine could hold the model and `batch` examples of the size of this one.
    ///
    /// # Errors
    /// What does not fit, its size, and what there is.
    fn check_memory(&self, batch: usize, example: &Batch) -> Result<(), Error>;
    /// Writes the weights that a training with `seed` starts from, in our own names or in the origin's.
    ///
    /// # Errors
    /// Weights that cannot be read or written.
    fn save_initial(
        &self,
        seed: u64,
        weights: Option<&Path>,
        names: Names,
        to: &Path,
    ) -> Result<(), Error>;
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
    fn train(&self, training: Training<'_>) -> Result<(Box<dyn Ready>, Outcome), FitError>;
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

/// Whose names tensors bear in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The module's fields.
    Ours,
    /// What they are called where the model comes from.
    Origin,
}

/// A training run, without the model.
pub struct Training<'a> {
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

pub(super) struct Configured<C: 'static, M> {
    pub(super) row: Architecture<C, M>,
    pub(super) room: Arc<dyn Room<M>>,
    pub(super) config: C,
}

/// Keys of what is drawn anew at every step.
const CHANCE: [&str; 4] = [
    "dropout",
    "attention_dropout",
    "classifier_dropout",
    "stochastic_depth",
];

impl<C, M> Model for Configured<C, M>
where
    C: Clone + Serialize + DeserializeOwned + 'static,
    M: Module + 'static,
{
    fn table(&self) -> Table {
        let mut table = to_table(&self.config);
        table.insert("name".into(), self.row.name.into());
        table
    }

    fn family(&self) -> &'static str {
        self.row.family
    }

    fn task(&self) -> &'static str {
        self.room.name()
    }

    fn without_chance(&self) -> Result<Box<dyn Model>, String> {
        Ok(Box::new(self.row.configured(self.still()?)))
    }

    fn preset_but(&self, free: &[&str]) -> Option<&'static str> {
        let fixed = |config: &C| {
            let mut table = to_table(config);
            table.retain(|key, _| !free.contains(&key));
            table
        };
        let ours = fixed(&self.config);
        let mut presets = (self.row.presets)().into_iter();
        let same = presets.find(|(_, config)| fixed(config) == ours);
        same.map(|(name, _)| name)
    }

    fn set_task(&mut self, options: &Table) -> Result<(), String> {
        // Nobody else has it before the model is built.
        let room = Arc::get_mut(&mut self.room).ok_or("the task is in use")?;
        room.configure(options)
    }

    fn task_options(&self) -> Table {
        self.room.options()
    }

    fn metrics(&self, example: &Batch) -> Vec<Metric> {
        self.room.metrics(example)
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        self.room.codec(kept)
    }

    fn fit(&mut self, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        self.room.fit(self.row.name, set, codec)?;
        let room = Arc::get_mut(&mut self.room).ok_or("the task is in use")?;
        room.set_codec(codec);
        Ok(())
    }

    fn longest(&self) -> Option<usize> {
        self.room.longest()
    }

    fn outputs(&self) -> usize {
        self.room.outputs()
    }

    fn continues(&self) -> bool {
        self.room.continues().is_some()
    }

    fn is_large(&self) -> bool {
        self.room.is_large()
    }

    fn upstream(&self, says: Upstream) -> Result<Arc<dyn AnyCodec>, String> {
        self.room.upstream(says)
    }

    fn sized(&self, side: usize) -> Result<Option<Batch>, String> {
        self.room.sized(side)
    }

    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch {
        self.room.made_up(size, stream)
    }

    fn batch_of(&self, inputs: Vec<(String, TensorData)>) -> Batch {
        let examples = inputs.first().map_or(0, |(_, data)| data.shape()[0]);
        let names = self.room.inputs();
        let inputs = inputs.into_iter();
        inputs.fold(Batch::new(examples), |batch, (name, data)| {
            let name = name.strip_prefix("input.").unwrap_or(names[0]).to_owned();
            batch.with(name, data)
        })
    }

    fn inputs(&self) -> &'static [&'static str] {
        self.room.inputs()
    }

    fn summary(&self, batch: &Batch) -> Result<Summary, SummaryError> {
        let host = host().map_err(SummaryError::Model)?;
        let model = self.build(&host).map_err(SummaryError::Model)?;
        summarize(model, |model, device| {
            self.room.output(model, batch.clone(), device)
        })
    }

    fn parameters(&self) -> usize {
        // Any device will do: nothing is drawn.
        host().map_or(0, |host| {
            zoo_weights::parameters(&(self.row.init)(&self.config, &host))
        })
    }

    fn check_memory(&self, batch: usize, example: &Batch) -> Result<(), Error> {
        self.build(&host()?)?;
        let columns = self.inputs().iter().filter_map(|name| example.column(name));
        let shapes: Vec<&[usize]> = columns.map(|data| &data.shape()[1..]).collect();
        let what = format!("a batch of {batch} inputs of {shapes:?}");
        let numbers = shapes
            .iter()
            .map(|shape| size::numbers(shape))
            .sum::<u128>();
        size::check(&what, numbers.saturating_mul(batch as u128)).map_err(Error::Request)
    }

    fn save_initial(
        &self,
        seed: u64,
        weights: Option<&Path>,
        names: Names,
        to: &Path,
    ) -> Result<(), Error> {
        let model = self.initial(seed, weights)?;
        let origin = match names {
            Names::Ours => Origin::default(),
            Names::Origin => self.origin(),
        };
        Ok(zoo_weights::save(&number(model), to, &origin)?)
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
        let weights = folder.join(&spec.weights);
        let open = |config: &C| {
            let mut model = self.build_as(config, &device)?;
            zoo_weights::load(&mut model, &weights, &Origin::default())?;
            Ok::<M, Error>(model)
        };
        let open = |config: &C| open(config).map_err(|error| error.to_string());
        let model = open(&self.still()?)?;
        let room = &*self.room;
        let output = |model: &M, batch: Batch, device: &Device| room.output(model, batch, device);
        let continues = room.continues();
        let cached = |model: &M, batch: Batch, device: &Device| {
            let continues = continues.expect("asked of a decoder only");
            continues.cached(model, batch, device)
        };
        let steps = continues.map(stepping);
        let subject = worker::Subject {
            model,
            with_chance: &|| open(&self.config),
            device: device.clone(),
            on_cpu: selected.kind == devices::Kind::Cpu,
            task: room,
            inputs: room.inputs(),
            forward: &output,
            layers: &|model: &M, batch: Batch, device: &Device| {
                // A clone would share running statistics with the copy that moves away.
                layer_outputs(model.valid(), device, |model, device| {
                    room.output(model, batch, device)
                })
            },
            decode: (steps.as_ref()).map(|steps| {
                (
                    &cached as worker::Decode<'_, M>,
                    steps as worker::NextToken<'_, M>,
                )
            }),
            converge,
        };
        worker::serve(spec, folder, subject, requests, worker::to_stdout)
    }

    fn train(&self, training: Training<'_>) -> Result<(Box<dyn Ready>, Outcome), FitError> {
        let plan = &training.recipe.train;
        let model = self.initial(plan.seed, training.weights);
        let model = model.map_err(|error| FitError::Model(error.to_string()))?;
        let judge = |valid| Box::new(Split::new(valid, plan)) as Box<dyn Judge<M>>;
        let fit = Fit {
            recipe: training.recipe,
            task: &*self.room,
            feed: Box::new(Examples::new(training.train)),
            judge: training.valid.map(judge),
            device: training.device,
            helpers: training.helpers,
            run: training.run,
            resume: training.resume,
            stop: training.stop,
            watch: training.watch,
        };
        let fitted = fit.train(model)?;
        let outcome = Outcome {
            validation: fitted.validation,
            steps: fitted.steps,
            stopped_early: fitted.stopped_early,
            samples_per_second: fitted.spent.samples as f64
                / fitted.spent.training_seconds.max(1e-9),
        };
        Ok((self.ready(fitted.model, training.device), outcome))
    }

    fn load(&self, path: &Path, device: &Device) -> Result<Box<dyn Ready>, Error> {
        let mut model = self.build(device)?;
        let loaded = zoo_weights::load_except(&mut model, path, &self.origin(), &|_| false)?;
        tell(&loaded);
        Ok(self.ready(model.valid(), device))
    }

    fn load_without_biases(&self, path: &Path, device: &Device) -> Result<Box<dyn Ready>, Error> {
        let mut model = self.build(device)?;
        let is_bias = |name: &str| name.ends_with(".bias");
        zoo_weights::load_except(&mut model, path, &self.origin(), &is_bias)?;
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
        let rows = |model: &M, columns: Vec<(String, TensorData)>, device: &Device| {
            self.room.rows(model, self.batch_of(columns), device)
        };
        Ok(golden.compare(model, &self.origin(), device, &rows, trains)?)
    }

    fn library(&self) -> Option<&'static str> {
        (self.row.library)(&self.config)
    }

    fn to_hub(&self) -> Option<Result<Json, String>> {
        self.row.hub.map(|hub| (hub.write)(&self.config))
    }
}

/// A greedy continuation, from a state of its own each time.
fn stepping<'c, M>(
    continues: &'c dyn Continues<M>,
) -> impl for<'m> Fn(&'m M, &'m Device) -> Option<Box<dyn FnMut() + 'm>> + 'c {
    move |model, device| continues.steps(model, device)
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

impl<C: Serialize + DeserializeOwned, M> Configured<C, M> {
    /// The configuration with nothing in it that is drawn anew at every step.
    fn still(&self) -> Result<C, String> {
        let mut table = to_table(&self.config);
        for key in CHANCE {
            if let Some(value) = table.get_mut(key) {
                *value = Value::Float(0.0);
            }
        }
        from_table(table, "model")
    }
}

impl<C, M: Module + 'static> Configured<C, M> {
    fn origin(&self) -> Origin {
        (self.row.origin)(&self.config)
    }

    /// The model, of which Burn has drawn nothing yet, unless it is too large to be drawn here.
    fn build(&self, device: &Device) -> Result<M, Error> {
        self.build_as(&self.config, device)
    }

    fn build_as(&self, config: &C, device: &Device) -> Result<M, Error> {
        let model = (self.row.init)(config, device);
        let leaves = zoo_weights::leaves(&model).into_iter();
        let each = leaves.map(|leaf| size::numbers(&leaf.shape));
        let numbers = each.fold(0, u128::saturating_add);
        let what = format!("the weights of this {}, {numbers} numbers,", self.row.name);
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

    /// Loads weights to go on from: a head of another size stays as it was drawn, and a table of
    /// tokens keeps the rows that both have.
    fn start_from(&self, model: &mut M, path: &Path) -> Result<Loaded, WeightsError> {
        let head = (self.row.head)(&self.config);
        zoo_weights::load_adapting(model, path, &self.origin(), &|path| {
            let mut adapted = self.row.adapts.iter();
            let adapted = adapted.find(|(start, _)| path.starts_with(start));
            match adapted {
                Some((_, misfit)) => *misfit,
                None if head.iter().any(|start| path.starts_with(start)) => Misfit::Keep,
                None => Misfit::Refuse,
            }
        })
    }

    fn ready(&self, model: M, device: &Device) -> Box<dyn Ready> {
        Box::new(Opened {
            model,
            room: self.room.clone(),
            origin: self.origin(),
            device: device.clone(),
        })
    }
}
