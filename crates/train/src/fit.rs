//! The only training loop.

mod error;
mod state;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};

use crate::checkpoint::{BestSoFar, Checkpoint};
use crate::evaluate::evaluate;
use crate::event::Event;
use crate::finetune::finished;
use crate::finite::{Sum, exact_norm, not_finite_tensor, read};
use crate::layers::{Rates, order_of_use};
use crate::loader::{Loader, Part, Span};
use crate::metric::{self, Metrics, not_finite, smaller_is_better};
use crate::parallel::Helpers;
use crate::params::{clip, laid_out, norm_of, number, trainable};
use crate::recipe::Recipe;
use crate::rng::{Purpose, derive};
use crate::run::Run;
use crate::single_value::{lone_example, norm_over_one_value};
use crate::task::{Batch, Pass, Source, Task};

pub use error::{Breakdown, Doing, FitError, NotFinite, out_of_memory};
use state::{Best, State};

/// Everything that a training run needs besides the model.
pub struct Fit<'a, M> {
    /// Length, batches, optimizer, schedule. The tables `model` and `data` are not read.
    pub recipe: &'a Recipe,
    /// What is learned from a batch.
    pub task: &'a dyn Task<M>,
    /// The training examples.
    pub train: Arc<dyn Source>,
    /// The examples that choose the best model; without them the last one is kept.
    pub valid: Option<Arc<dyn Source>>,
    /// Where to compute, without autodiff: the loop adds that.
    pub device: &'a Device,
    /// More devices, which take a part of every batch; none by default.
    pub helpers: Helpers,
    /// Where events and checkpoints go; nowhere if `None`.
    pub run: Option<&'a mut Run>,
    /// A checkpoint to go on from.
    pub resume: Option<&'a Checkpoint>,
    /// Once it is true, the step at hand is finished, a checkpoint is written, and training ends
    /// with [`FitError::Interrupted`].
    pub stop: Option<&'a AtomicBool>,
    /// Called with every event.
    pub watch: &'a mut dyn FnMut(&Event),
}

/// A trained model, on the device without autodiff, and how it went.
#[derive(Debug)]
pub struct Fitted<M> {
    /// The best model by the validation metric, or the last one where nothing was validated. After
    /// fine-tuning it is plain all the same: adapters are added to their matrices, and nothing in it
    /// is frozen.
    pub model: M,
    /// Its validation metrics.
    pub validation: Option<Metrics>,
    /// Optimizer steps done.
    pub steps: usize,
    /// Whether it stopped for want of a better model.
    pub stopped_early: bool,
    /// Time spent in training steps and on their batches.
    pub training_time: Duration,
    /// Examples trained on, counting repeats.
    pub samples: usize,
}

/// How far a run is, for what is said when it breaks off.
#[derive(Default)]
struct Where {
    /// Steps done.
    step: usize,
    /// The last checkpoint.
    kept: Option<String>,
    /// Steps done when it was written by this process.
    kept_step: usize,
}

/// A step that was made, for what is told of it.
struct Step {
    loss: f64,
    learning_rate: f64,
    gradient_norm: Option<f64>,
}

impl Step {
    fn diverged(&self, what: NotFinite, step: usize, place: &Where) -> FitError {
        FitError::Diverged {
            what,
            step,
            loss: self.loss,
            learning_rate: self.learning_rate,
            gradient_norm: self.gradient_norm,
            kept: place.kept.clone(),
        }
    }
}

impl<M: Module> Fit<'_, M> {
    /// Trains `model` as the recipe says.
    ///
    /// # Errors
    /// See [`FitError`]; checkpoints written before an error stay. A panic of the device, such as for
    /// want of memory, is an error too.
    pub fn train(self, model: M) -> Result<Fitted<M>, FitError> {
        let plan = &self.recipe.train;
        let batch = plan.micro_batch_size.unwrap_or(plan.batch_size);
        let mut place = Where::default();
        let trained = catch_unwind(AssertUnwindSafe(|| self.run(model, &mut place)));
        trained.unwrap_or_else(|panic| {
            Err(FitError::Broken {
                doing: Doing::Training,
                step: place.step,
                message: Breakdown::new(&*panic),
                batch,
                kept: place.kept,
            })
        })
    }

    fn run(mut self, model: M, place: &mut Where) -> Result<Fitted<M>, FitError> {
        let recipe = self.recipe;
        let plan = &recipe.train;
        let example = self.check_data()?;
        let devices: Vec<Device> = std::iter::once(self.device)
            .chain(&self.helpers.devices)
            .map(|device| device.clone().autodiff())
            .collect();
        let (model, order) = self.prepare(model, &example)?;
        let mut state = self.start(model, place)?;
        let layer_decay = (recipe.finetune.as_ref()).and_then(|finetune| finetune.layer_decay);
        let rates = layer_decay.map_or_else(Rates::default, |decay| {
            Rates::by_layer(&state.model, decay, &order)
        });
        let first_step = state.step;
        let total_steps = plan.total_steps(self.train.len());
        let steps_per_epoch = plan.steps_per_epoch(self.train.len());
        let span = Span {
            seed: plan.seed,
            batch_size: plan.batch_size,
            steps_per_epoch,
            devices: devices.len(),
            micro_batch_size: plan.micro_batch_size.unwrap_or(plan.batch_size),
            first_step,
            total_steps,
        };
        self.check_norms(&state.model, &span, &devices[0])?;
        self.report(Event::Start {
            recipe: recipe.name.clone(),
            step: first_step,
            total_steps,
            steps_per_epoch,
            parameters: trainable(&state.model),
        })?;
        let mut loader = Loader::start(self.train.clone(), span, plan.loader_threads);

        let began = Instant::now();
        let mut training_time = Duration::ZERO;
        let mut samples = 0;
        let mut logged = (Duration::ZERO, 0);
        let mut last_checkpoint = Instant::now();
        let often_enough = Duration::from_secs_f64((plan.checkpoint_every_minutes * 60.0).min(1e9));
        let out_of_patience = |state: &State<M>| {
            let patience = plan.patience;
            patience.is_some_and(|patience| state.validations_since_best >= patience)
        };
        if state.validation_due {
            self.judge(&mut state, place)?;
        }
        // A run that had stopped early is resumed to no further step.
        let mut stopped_early = out_of_patience(&state);
        let planned = if stopped_early {
            first_step
        } else {
            total_steps
        };

        for step in first_step..planned {
            let step_began = Instant::now();
            let parts = loader.next_batch().map_err(|error| {
                self.keep(&state, place);
                FitError::Data(error)
            })?;
            samples += parts
                .iter()
                .map(|part| part.batch.examples())
                .sum::<usize>();
            let last = step + 1 == total_steps;
            let log = (step + 1).is_multiple_of(plan.log_every_steps) || last;
            let made;
            (state, made) = self.step(state, parts, &devices, &rates, log, place)?;
            training_time += step_began.elapsed();

            let epoch_ends = state.step.is_multiple_of(steps_per_epoch);
            if log {
                let (time, count) = (training_time - logged.0, samples - logged.1);
                logged = (training_time, samples);
                self.report(Event::Step {
                    step: state.step,
                    epoch: state.step as f64 / steps_per_epoch as f64,
                    loss: made.loss,
                    learning_rate: made.learning_rate,
                    gradient_norm: made.gradient_norm.unwrap_or(f64::NAN),
                    samples_per_second: count as f64 / time.as_secs_f64().max(1e-9),
                })?;
            }
            if epoch_ends {
                self.report(Event::Epoch {
                    epoch: state.step / steps_per_epoch,
                    step: state.step,
                    loss: state.epoch_losses.take(),
                    wall_seconds: began.elapsed().as_secs_f64(),
                })?;
            }
            let due = plan
                .validate_every_steps
                .map_or(epoch_ends, |every| state.step.is_multiple_of(every));
            let keep = plan
                .checkpoint_every_steps
                .map_or(due, |every| state.step.is_multiple_of(every));
            // The loss told how the weights were before this step's update.
            let check = |state: &State<M>, place: &Where| {
                let finite = state.check_finite();
                finite.map_err(|what| made.diverged(what, state.step, place))
            };
            if due || last {
                check(&state, place)?;
                self.judge(&mut state, place)?;
                stopped_early = out_of_patience(&state);
            }
            let done = last || stopped_early;
            let stop = self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
            if keep || done || stop || last_checkpoint.elapsed() > often_enough {
                if !(due || last) {
                    check(&state, place)?;
                }
                self.checkpoint(&state, place)?;
                last_checkpoint = Instant::now();
            }
            if stop && !done {
                return Err(FitError::Interrupted {
                    step: state.step,
                    kept: place.kept.clone(),
                });
            }
            if stopped_early {
                break;
            }
        }
        let no_result = |problem: String| FitError::NoResult {
            problem,
            kept: place.kept.clone(),
        };
        let (model, validation) = match state.best {
            Some(best) => (best.model, Some(best.found.metrics)),
            None if self.valid.is_some() => {
                let problem = "no validation gave finite metrics, so there is no best model";
                return Err(no_result(problem.into()));
            }
            None => {
                let model = state.result();
                let loss = self.last_loss(&model)?;
                if !loss.is_finite() {
                    return Err(no_result(format!("the loss after the last step is {loss}")));
                }
                (model, None)
            }
        };
        let model = if recipe.finetune.is_some() {
            finished(model)
        } else {
            model
        };
        if let Some(name) = not_finite_tensor(&model) {
            return Err(no_result(format!("{name} of the result is not finite")));
        }
        Ok(Fitted {
            model,
            validation,
            steps: state.step,
            stopped_early,
            training_time,
            samples,
        })
    }

    /// Holds the recipe against the data, and gives one example of what the model is judged on.
    fn check_data(&self) -> Result<Batch, FitError> {
        let plan = &self.recipe.train;
        if self.train.is_empty() {
            return Err(FitError::EmptySplit("training"));
        }
        if self.valid.as_ref().is_some_and(|valid| valid.is_empty()) {
            return Err(FitError::EmptySplit("validation"));
        }
        if plan.steps_per_epoch(self.train.len()) == 0 {
            return Err(FitError::NoWholeBatch {
                examples: self.train.len(),
                batch_size: plan.batch_size,
            });
        }
        let judged = self.valid.as_ref().unwrap_or(&self.train);
        let example = judged.batch(&[0], None).map_err(FitError::Data)?;
        let known = metric::names(self.task.targets_per_example(&example) > 1);
        if known.contains(&plan.best.as_str()) {
            return Ok(example);
        }
        Err(FitError::UnknownMetric {
            name: plan.best.clone(),
            known: known.join(", "),
        })
    }

    /// The model as it is trained, on the device, and the order in which its parameters are used,
    /// where that decides their rates.
    fn prepare(&self, model: M, example: &Batch) -> Result<(M, Vec<String>), FitError> {
        let plan = &self.recipe.train;
        // Burn draws a weight when it is first read. Numbering reads all of them, so they are drawn
        // on the model's own device, from the stream that its maker seeded, before it moves.
        // Then it is a copy that is worked on: whoever has a clone of the model shares its running
        // statistics.
        let mut plain = laid_out(number(model).valid());
        let mut order = Vec::new();
        if let Some(finetune) = &self.recipe.finetune {
            if let (Some(_), Some(device)) = (finetune.layer_decay, plain.devices().first()) {
                order = order_of_use(&plain, self.task, example.clone(), device);
            }
            // Adapters are drawn like weights.
            plain = finetune
                .apply(plain, plan.seed)
                .map_err(FitError::Finetune)?;
        }
        Ok((plain.to_device(self.device), order))
    }

    /// Refuses a step in which a batch norm would see one value a channel.
    fn check_norms(&self, model: &M, span: &Span, device: &Device) -> Result<(), FitError> {
        let plan = &self.recipe.train;
        let Some(reason) = lone_example(plan, span, self.train.len()) else {
            return Ok(());
        };
        let pass = Pass {
            seed: plan.seed,
            epoch: 0,
        };
        let example = self.train.batch(&[0], Some(pass)).map_err(FitError::Data)?;
        match norm_over_one_value(model, self.task, example, device) {
            None => Ok(()),
            Some(norm) => Err(FitError::SingleValue { norm, reason }),
        }
    }

    /// One optimizer step on a batch in parts, made only if its loss and its gradient are finite. The
    /// gradient's length is measured to clip it, and where it is told.
    fn step(
        &self,
        mut state: State<M>,
        parts: Vec<Part>,
        devices: &[Device],
        rates: &Rates,
        log: bool,
        place: &mut Where,
    ) -> Result<(State<M>, Step), FitError> {
        let recipe = self.recipe;
        let plan = &recipe.train;
        let total_steps = plan.total_steps(self.train.len());
        let learning_rate =
            recipe.optimizer.learning_rate * recipe.schedule.factor(state.step, total_steps);
        let seed = derive(plan.seed, Purpose::Device, &[state.step as u64]);
        let measured = log || plan.clip_norm.is_some();
        let sum = if measured { Sum::Squares } else { Sum::Plain };
        let (loss, gradients, sum) = self.gradients(&state.model, parts, devices, seed, sum);
        let mut made = Step {
            loss,
            learning_rate,
            gradient_norm: None,
        };
        if measured || !loss.is_finite() {
            made.gradient_norm = Some(norm_of(sum, &state.model, &gradients));
        }
        if !loss.is_finite() {
            return Err(made.diverged(NotFinite::Loss, state.step + 1, place));
        }
        // Finite numbers can have a sum that is not.
        if !sum.is_finite() {
            let norm =
                *(made.gradient_norm).get_or_insert_with(|| exact_norm(&state.model, &gradients));
            if !norm.is_finite() {
                return Err(made.diverged(NotFinite::Gradient, state.step + 1, place));
            }
        }
        let gradients = match (plan.clip_norm, made.gradient_norm) {
            (Some(max_norm), Some(norm)) => clip(&state.model, gradients, norm, max_norm),
            _ => gradients,
        };
        let step = state.step;
        state.model = (state.optimizer).step(rates.at(learning_rate), state.model, gradients);
        if let Some(average) = &mut state.average {
            average.update(&state.model, step);
        }
        state.epoch_losses.add(loss);
        state.step += 1;
        place.step = state.step;
        Ok((state, made))
    }

    /// The mean loss over a step's batch and its gradient, on the first device. A batch in several
    /// parts, on however many devices, gives what the whole would: each part's mean loss is weighed
    /// by its share of the scored targets. With them, what the gradient's numbers or their squares
    /// sum to, which is read together with the loss.
    fn gradients(
        &self,
        model: &M,
        parts: Vec<Part>,
        devices: &[Device],
        seed: u64,
        sum: Sum,
    ) -> (f64, GradientsParams, f64) {
        let targets: usize = parts.iter().map(|part| part.batch.targets()).sum();
        let copies = self.helpers.copies(model);
        let mut sums: Vec<_> = devices
            .iter()
            .map(|_| GradientsAccumulator::new())
            .collect();
        let mut losses = Vec::new();
        let mut total = 0.0;
        // Reads after the backward passes were queued: GPUs work on while the host waits.
        for (number, Part { device, batch }) in parts.into_iter().enumerate() {
            if device == 0 {
                // Every device has had its turn: the host runs ahead of them by no more.
                total += read(&losses).iter().sum::<f64>();
                losses.clear();
            }
            let model = device.checked_sub(1).map_or(model, |copy| &copies[copy]);
            // Dropout draws from the device: seeding it anew makes what it drops a function of
            // (seed, step, part).
            devices[device].seed(seed.wrapping_add(number as u64));
            let share = batch.targets() as f64 / targets as f64;
            let mut loss = self.task.loss(model, batch, &devices[device]);
            if share < 1.0 {
                loss = loss.mul_scalar(share);
            }
            let gradients = GradientsParams::from_grads(loss.backward(), model);
            losses.push(loss.inner());
            sums[device].accumulate(model, gradients);
        }
        // Summed in the order of the devices, whichever is done first: a run repeats to the last bit.
        let mut all = GradientsAccumulator::new();
        for (device, part) in sums.iter_mut().enumerate() {
            let mut gradients = part.grads();
            if device > 0 {
                gradients = self.helpers.bring(gradients, model, &devices[0]);
            }
            all.accumulate(model, gradients);
        }
        let gradients = all.grads();
        let of_gradient = sum.of(model, &gradients);
        let measured = of_gradient.iter().len();
        let together: Vec<Tensor<1>> = of_gradient.into_iter().chain(losses).collect();
        let values = read(&together);
        let (sum, losses) = values.split_at(measured);
        (
            total + losses.iter().sum::<f64>(),
            gradients,
            sum.first().copied().unwrap_or(0.0),
        )
    }

    /// Judges the model. Where that breaks off, the steps before it are kept, and going on from them
    /// begins with it.
    fn judge(&mut self, state: &mut State<M>, place: &mut Where) -> Result<(), FitError> {
        let judged = catch_unwind(AssertUnwindSafe(|| self.validate(state)));
        state.validation_due = !matches!(judged, Ok(Ok(())));
        if state.validation_due {
            self.keep(state, place);
        }
        judged.unwrap_or_else(|panic| {
            Err(FitError::Broken {
                doing: Doing::Evaluating,
                step: state.step,
                message: Breakdown::new(&*panic),
                batch: self.recipe.train.eval_batch_size,
                kept: place.kept.clone(),
            })
        })
    }

    /// Judges the model on the validation data and keeps it if it is the best so far.
    fn validate(&mut self, state: &mut State<M>) -> Result<(), FitError> {
        let Some(valid) = self.valid.clone() else {
            return Ok(());
        };
        let plan = &self.recipe.train;
        let model = state.result();
        let batches = plan.eval_batches(&*valid);
        let metrics = evaluate(self.task, &model, &batches, self.device).map_err(FitError::Data)?;
        let value = |metrics: &Metrics| {
            metrics
                .get(&plan.best)
                .copied()
                .ok_or_else(|| FitError::UnknownMetric {
                    name: plan.best.clone(),
                    known: metrics.keys().cloned().collect::<Vec<_>>().join(", "),
                })
        };
        let new = value(&metrics)?;
        let old = match &state.best {
            None => f64::NAN,
            Some(best) => value(&best.found.metrics)?,
        };
        // What is not finite is never the best, and anything else is better than that.
        let better = not_finite(&metrics).is_none()
            && match smaller_is_better(&plan.best) {
                _ if !old.is_finite() => true,
                true => new < old,
                false => new > old,
            };
        self.report(Event::Validation {
            step: state.step,
            metrics: metrics.clone(),
            best: better,
        })?;
        if !better {
            state.validations_since_best += 1;
            return Ok(());
        }
        state.validations_since_best = 0;
        state.best = Some(Best {
            model,
            found: BestSoFar {
                step: state.step,
                metrics,
            },
        });
        Ok(())
    }

    /// The loss on some training examples, where no validation tells what the last step led to: its
    /// own loss is the one before it.
    fn last_loss(&self, model: &M) -> Result<f64, FitError> {
        let plan = &self.recipe.train;
        let count = plan
            .batch_size
            .min(plan.eval_batch_size)
            .min(self.train.len());
        let indices: Vec<u32> = (0..count as u32).collect();
        let batch = self.train.batch(&indices, None).map_err(FitError::Data)?;
        let metrics = self.task.score(model, batch, self.device).metrics();
        Ok(not_finite(&metrics).map_or(0.0, |(_, value)| value))
    }

    fn report(&mut self, event: Event) -> Result<(), FitError> {
        if let Some(run) = &mut self.run {
            run.log(&event)?;
        }
        (self.watch)(&event);
        Ok(())
    }
}
