//! The only training loop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::store::RecordError;
use burn::tensor::{Device, Tensor};
use zoo_weights::{Origin, WeightsError};

use crate::checkpoint::{BestSoFar, Checkpoint, Progress};
use crate::event::Event;
use crate::finetune::{Rates, finished};
use crate::loader::{Loader, Part, Span};
use crate::metric::{Metrics, Score, smaller_is_better};
use crate::parallel::Helpers;
use crate::params::{Ema, clip_by_global_norm, global_norm, laid_out, number, trainable};
use crate::recipe::Recipe;
use crate::rng::{Purpose, derive};
use crate::run::{MODEL_FILE, Run, RunError, advice_on};
use crate::task::{Source, SourceError, Task};

const OPTIMIZER_FILE: &str = "optimizer.bpk";
const AVERAGE_FILE: &str = "average.safetensors";
const BEST_FILE: &str = "best.safetensors";

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

/// Why a run ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The loss became NaN or infinite. The update was not made.
    #[error(
        "the loss became {loss} at step {step} (learning rate {learning_rate:.3e}, gradient norm {gradient_norm:.3e}); \
         try a lower optimizer.learning_rate, schedule.warmup_steps or train.clip_norm{}",
        kept.as_ref().map_or(String::new(), |path| format!("; the last good checkpoint is {path}"))
    )]
    Diverged {
        /// The step that would have been made, from 1.
        step: usize,
        /// NaN or infinity.
        loss: f64,
        /// Its learning rate.
        learning_rate: f64,
        /// Length of its gradient.
        gradient_norm: f64,
        /// The last checkpoint.
        kept: Option<String>,
    },
    /// It was asked to stop.
    #[error(
        "interrupted after step {step}{}",
        kept.as_ref().map_or(String::new(), |path| format!("; it is kept in {path}"))
    )]
    Interrupted {
        /// Steps done.
        step: usize,
        /// The checkpoint that was written.
        kept: Option<String>,
    },
    /// A checkpoint has the sums of its files, but not the file that the recipe needs.
    #[error("{checkpoint}: has no {file}, which the recipe needs")]
    Incomplete {
        /// The checkpoint.
        checkpoint: String,
        /// What it lacks.
        file: &'static str,
    },
    /// There is nothing to train or validate on.
    #[error("the {0} split is empty")]
    EmptySplit(&'static str),
    /// A batch could not be assembled.
    #[error("reading the data failed: {0}")]
    Data(SourceError),
    /// The recipe's table `finetune` does not go with this model.
    #[error("{0}")]
    Finetune(String),
    /// The recipe names a metric that its task does not have.
    #[error("train.best = {name:?}: this task has: {known}")]
    UnknownMetric {
        /// What the recipe says.
        name: String,
        /// What there is.
        known: String,
    },
    /// The run folder could not be written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Weights could not be written or read.
    #[error("{0}{advice}", advice = advice_on(.0))]
    Weights(#[from] WeightsError),
    /// Optimizer state could not be written or read.
    #[error("optimizer state: {0}{advice}", advice = advice_on(.0))]
    Optimizer(#[from] RecordError),
}

/// What a step changes.
struct State<M> {
    model: M,
    optimizer: ModuleOptimizer,
    average: Option<Ema<M>>,
    step: usize,
    best: Option<Best<M>>,
    validations_since_best: usize,
    epoch_losses: Mean,
    kept: Option<String>,
}

#[derive(Clone)]
struct Best<M> {
    model: M,
    found: BestSoFar,
}

impl<M: Module> State<M> {
    /// The model to judge and to keep: the average where there is one.
    fn result(&self) -> M {
        self.average
            .as_ref()
            .map_or_else(|| self.model.valid(), |average| average.model().clone())
    }
}

impl<M: Module> Fit<'_, M> {
    /// Trains `model` as the recipe says.
    ///
    /// # Errors
    /// See [`FitError`]; checkpoints written before an error stay.
    pub fn train(mut self, model: M) -> Result<Fitted<M>, FitError> {
        let recipe = self.recipe;
        let plan = &recipe.train;
        if self.train.is_empty() {
            return Err(FitError::EmptySplit("training"));
        }
        if self.valid.as_ref().is_some_and(|valid| valid.is_empty()) {
            return Err(FitError::EmptySplit("validation"));
        }
        let devices: Vec<Device> = std::iter::once(self.device)
            .chain(&self.helpers.devices)
            .map(|device| device.clone().autodiff())
            .collect();
        let mut state = self.start(model)?;
        let layer_decay = (recipe.finetune.as_ref()).and_then(|finetune| finetune.layer_decay);
        let rates =
            layer_decay.map_or_else(Rates::default, |decay| Rates::by_layer(&state.model, decay));
        let first_step = state.step;
        let total_steps = plan.total_steps(self.train.len());
        let steps_per_epoch = plan.steps_per_epoch(self.train.len());
        self.report(Event::Start {
            recipe: recipe.name.clone(),
            step: first_step,
            total_steps,
            steps_per_epoch,
            parameters: trainable(&state.model),
        })?;
        let span = Span {
            seed: plan.seed,
            batch_size: plan.batch_size,
            devices: devices.len(),
            micro_batch_size: plan.micro_batch_size.unwrap_or(plan.batch_size),
            first_step,
            total_steps,
        };
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
        // A run that had stopped early is resumed to no further step.
        let mut stopped_early = out_of_patience(&state);
        let planned = if stopped_early {
            first_step
        } else {
            total_steps
        };

        for step in first_step..planned {
            let step_began = Instant::now();
            let rate = recipe.optimizer.learning_rate * recipe.schedule.factor(step, total_steps);
            let parts = loader.next_batch().map_err(FitError::Data)?;
            samples += parts
                .iter()
                .map(|part| part.batch.examples())
                .sum::<usize>();
            let seed = derive(plan.seed, Purpose::Device, &[step as u64]);
            let (loss, gradients) = self.gradients(&state.model, parts, &devices, seed);
            if !loss.is_finite() {
                return Err(FitError::Diverged {
                    step: step + 1,
                    loss,
                    learning_rate: rate,
                    gradient_norm: global_norm(&state.model, &gradients),
                    kept: state.kept,
                });
            }
            state.step = step + 1;
            let last = state.step == total_steps;
            let log = state.step.is_multiple_of(plan.log_every_steps) || last;
            let (gradients, gradient_norm) = match plan.clip_norm {
                Some(max_norm) => {
                    let (clipped, norm) = clip_by_global_norm(&state.model, gradients, max_norm);
                    (clipped, Some(norm))
                }
                // One more pass over all gradients: only for those that are told.
                None => {
                    let norm = log.then(|| global_norm(&state.model, &gradients));
                    (gradients, norm)
                }
            };
            state.model = (state.optimizer).step(rates.at(rate), state.model, gradients);
            if let Some(average) = &mut state.average {
                average.update(&state.model, step);
            }
            state.epoch_losses.add(loss);
            training_time += step_began.elapsed();

            let epoch_ends = state.step.is_multiple_of(steps_per_epoch);
            if log {
                let (time, count) = (training_time - logged.0, samples - logged.1);
                logged = (training_time, samples);
                self.report(Event::Step {
                    step: state.step,
                    epoch: state.step as f64 / steps_per_epoch as f64,
                    loss,
                    learning_rate: rate,
                    gradient_norm: gradient_norm.unwrap_or(f64::NAN),
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
            if due || last {
                self.validate(&mut state)?;
                stopped_early = out_of_patience(&state);
            }
            let keep = plan
                .checkpoint_every_steps
                .map_or(due, |every| state.step.is_multiple_of(every));
            let done = last || stopped_early;
            let stop = self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
            if keep || done || stop || last_checkpoint.elapsed() > often_enough {
                self.checkpoint(&mut state)?;
                last_checkpoint = Instant::now();
            }
            if stop && !done {
                return Err(FitError::Interrupted {
                    step: state.step,
                    kept: state.kept,
                });
            }
            if stopped_early {
                break;
            }
        }
        let (model, validation) = match state.best {
            Some(best) => (best.model, Some(best.found.metrics)),
            None => (state.result(), None),
        };
        let model = if recipe.finetune.is_some() {
            finished(model)
        } else {
            model
        };
        Ok(Fitted {
            model,
            validation,
            steps: state.step,
            stopped_early,
            training_time,
            samples,
        })
    }

    /// The mean loss over a step's batch and its gradient, on the first device. A batch in several
    /// parts, on however many devices, gives what the whole would: each part's mean loss is weighed
    /// by its share of the scored targets.
    fn gradients(
        &self,
        model: &M,
        parts: Vec<Part>,
        devices: &[Device],
        seed: u64,
    ) -> (f64, GradientsParams) {
        let targets: usize = parts.iter().map(|part| part.batch.targets()).sum();
        let copies = self.helpers.copies(model);
        let mut sums: Vec<_> = devices
            .iter()
            .map(|_| GradientsAccumulator::new())
            .collect();
        let mut losses = Vec::new();
        let mut total = 0.0;
        // Reads after the backward passes were queued: GPUs work on while the host waits.
        let read = |losses: &mut Vec<Tensor<1>>| -> f64 {
            let losses = losses.drain(..);
            losses
                .map(|loss| f64::from(loss.into_scalar::<f32>()))
                .sum()
        };
        for (number, Part { device, batch }) in parts.into_iter().enumerate() {
            if device == 0 {
                // Every device has had its turn: the host runs ahead of them by no more.
                total += read(&mut losses);
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
            losses.push(loss);
            sums[device].accumulate(model, gradients);
        }
        // Summed in the order of the devices, whichever is done first: a run repeats to the last bit.
        let mut sum = GradientsAccumulator::new();
        for (device, part) in sums.iter_mut().enumerate() {
            let mut gradients = part.grads();
            if device > 0 {
                gradients = self.helpers.bring(gradients, model, &devices[0]);
            }
            sum.accumulate(model, gradients);
        }
        (total + read(&mut losses), sum.grads())
    }

    /// Judges the model on the validation data and keeps it if it is the best so far.
    fn validate(&mut self, state: &mut State<M>) -> Result<(), FitError> {
        let Some(valid) = self.valid.clone() else {
            return Ok(());
        };
        let plan = &self.recipe.train;
        let model = state.result();
        let metrics = evaluate(
            self.task,
            &model,
            &*valid,
            plan.eval_batch_size,
            self.device,
        )
        .map_err(FitError::Data)?;
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
        // Anything is better than NaN.
        let better = match smaller_is_better(&plan.best) {
            _ if old.is_nan() => true,
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

    fn checkpoint(&mut self, state: &mut State<M>) -> Result<(), FitError> {
        let Some(run) = &self.run else { return Ok(()) };
        let keep = self.recipe.train.keep_checkpoints;
        // A checkpoint is ours alone: by our own names.
        let save = |model: &M, folder: &Path, name| {
            zoo_weights::save(model, &folder.join(name), &Origin::default())
        };
        let path = run.checkpoint(state.progress(), keep, |folder| {
            save(&state.model, folder, MODEL_FILE)?;
            state.optimizer.save(folder.join(OPTIMIZER_FILE))?;
            if let Some(average) = &state.average {
                save(average.model(), folder, AVERAGE_FILE)?;
            }
            if let Some(best) = &state.best {
                save(&best.model, folder, BEST_FILE)?;
            }
            Ok::<_, FitError>(())
        })?;
        let path = path.display().to_string();
        state.kept = Some(path.clone());
        self.report(Event::Checkpoint {
            step: state.step,
            path,
        })
    }

    /// The state before the first step: fresh, or as a checkpoint left it.
    fn start(&self, model: M) -> Result<State<M>, FitError> {
        let plan = &self.recipe.train;
        // Burn draws a weight when it is first read. Numbering reads all of them, so they are drawn
        // on the model's own device, from the stream that its maker seeded, before it moves.
        let plain = laid_out(number(model));
        let plain = match &self.recipe.finetune {
            // Adapters are drawn like weights.
            Some(finetune) => (finetune.apply(plain, plan.seed)).map_err(FitError::Finetune)?,
            None => plain,
        };
        let plain = plain.to_device(self.device);
        let Some(checkpoint) = self.resume else {
            let model = plain.train();
            return Ok(State {
                optimizer: self.recipe.optimizer.build(&model),
                average: plan.ema_decay.map(|decay| Ema::new(&model, decay)),
                model,
                step: 0,
                best: None,
                validations_since_best: 0,
                epoch_losses: Mean::default(),
                kept: None,
            });
        };
        let file = |name| {
            checkpoint.file(name).ok_or_else(|| FitError::Incomplete {
                checkpoint: checkpoint.folder.display().to_string(),
                file: name,
            })
        };
        let read = |name| -> Result<M, FitError> {
            let mut model = plain.valid();
            zoo_weights::load(&mut model, &file(name)?, &Origin::default())?;
            Ok(laid_out(number(model)))
        };
        let model = read(MODEL_FILE)?.train();
        let progress = checkpoint.manifest.progress.clone();
        Ok(State {
            optimizer: (self.recipe.optimizer).load(&model, &file(OPTIMIZER_FILE)?)?,
            average: match plan.ema_decay {
                Some(decay) => Some(Ema::resume(read(AVERAGE_FILE)?, decay)),
                None => None,
            },
            best: match progress.best {
                Some(found) => Some(Best {
                    model: read(BEST_FILE)?,
                    found,
                }),
                None => None,
            },
            model,
            step: progress.step,
            validations_since_best: progress.validations_since_best,
            epoch_losses: Mean {
                sum: progress.epoch_loss_sum,
                count: progress.epoch_steps,
            },
            kept: Some(checkpoint.folder.display().to_string()),
        })
    }

    fn report(&mut self, event: Event) -> Result<(), FitError> {
        if let Some(run) = &mut self.run {
            run.log(&event)?;
        }
        (self.watch)(&event);
        Ok(())
    }
}

impl<M> State<M> {
    fn progress(&self) -> Progress {
        Progress {
            step: self.step,
            epoch_loss_sum: self.epoch_losses.sum,
            epoch_steps: self.epoch_losses.count,
            best: self.best.as_ref().map(|best| best.found.clone()),
            validations_since_best: self.validations_since_best,
        }
    }
}

/// The metrics of a model over all of a source, on a device without autodiff.
///
/// # Errors
/// An example that cannot be read.
pub fn evaluate<M>(
    task: &dyn Task<M>,
    model: &M,
    source: &dyn Source,
    batch_size: usize,
    device: &Device,
) -> Result<Metrics, SourceError> {
    let indices: Vec<u32> = (0..source.len() as u32).collect();
    let mut score = Score::default();
    for part in indices.chunks(batch_size) {
        score.add(task.score(model, source.batch(part, None)?, device));
    }
    Ok(score.metrics())
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn take(&mut self) -> f64 {
        let mean = self.sum / self.count.max(1) as f64;
        *self = Self::default();
        mean
    }
}
