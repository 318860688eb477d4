//! The only training loop.

mod error;
mod prepare;
mod state;
mod step;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;

use crate::breakdown::Breakdown;
use crate::checkpoint::{BestSoFar, Checkpoint, Spent};
use crate::evaluate::Judge;
use crate::event::Event;
use crate::feed::{Feed, Span};
use crate::finetune::finished;
use crate::finite::not_finite_tensor;
use crate::layers::Rates;
use crate::metric::{Better, Metric, Metrics, not_finite};
use crate::parallel::Helpers;
use crate::params::trainable;
use crate::recipe::Recipe;
use crate::run::Run;
use crate::task::Task;

pub use error::{Doing, FitError, NotFinite};
use state::{Best, State};

/// Everything that a training run needs besides the model.
pub struct Fit<'a, M> {
    /// Length, batches, optimizer, schedule. The tables `model` and `data` are not read.
    pub recipe: &'a Recipe,
    /// What is learned from a batch.
    pub task: &'a dyn Task<M>,
    /// Where its batches come from: [`Examples`](crate::Examples) in passes, or something else.
    pub feed: Box<dyn Feed<M> + 'a>,
    /// Who chooses the best model, as a [`Split`](crate::Split) of examples does; without a judge the
    /// last one is kept.
    pub judge: Option<Box<dyn Judge<M> + 'a>>,
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
    /// What it took, in all the processes that it took.
    pub spent: Spent,
}

/// How far a run is, for what is said when it breaks off.
#[derive(Default)]
struct Where {
    /// Steps done.
    step: usize,
    /// The last checkpoint.
    kept: Option<String>,
    /// Steps done when it was written.
    kept_step: usize,
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
        let (example, metrics) = self.check_data()?;
        let better = Metric::find(&metrics, &plan.best).map_or(Better::Lower, |best| best.better);
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
        let steps_per_epoch = self.feed.steps_per_epoch(plan);
        let total_steps = plan.total_steps(steps_per_epoch);
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
            metrics,
        })?;
        self.feed.start(span, plan.loader_threads);

        let mut logged = state.spent;
        let mut last_checkpoint = Instant::now();
        let often_enough = Duration::from_secs_f64((plan.checkpoint_every_minutes * 60.0).min(1e9));
        let out_of_patience = |state: &State<M>| {
            let patience = plan.patience;
            patience.is_some_and(|patience| state.validations_since_best >= patience)
        };
        if state.validation_due {
            self.judged(&mut state, better, place)?;
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
            let parts = self.feed.next(&state.model).map_err(|error| {
                self.keep(&state, place);
                FitError::Data(error)
            })?;
            state.spent.samples += parts
                .iter()
                .map(|part| part.batch.examples())
                .sum::<usize>();
            let last = step + 1 == total_steps;
            let log = (step + 1).is_multiple_of(plan.log_every_steps) || last;
            let made;
            (state, made) = self.step(state, parts, &devices, &rates, (total_steps, log), place)?;
            state.spent.training_seconds += step_began.elapsed().as_secs_f64();

            let epoch_ends = state.step.is_multiple_of(steps_per_epoch);
            if log {
                let seconds = state.spent.training_seconds - logged.training_seconds;
                let samples = state.spent.samples - logged.samples;
                logged = state.spent;
                self.report(Event::Step {
                    step: state.step,
                    epoch: state.step as f64 / steps_per_epoch as f64,
                    loss: made.loss,
                    learning_rate: made.learning_rate,
                    gradient_norm: made.gradient_norm.unwrap_or(f64::NAN),
                    samples_per_second: samples as f64 / seconds.max(1e-9),
                })?;
            }
            if epoch_ends {
                self.report(Event::Epoch {
                    epoch: state.step / steps_per_epoch,
                    step: state.step,
                    loss: state.epoch_losses.take(),
                    wall_seconds: state.wall_seconds(),
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
                self.judged(&mut state, better, place)?;
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
        let spent = Spent {
            wall_seconds: state.wall_seconds(),
            ..state.spent
        };
        let no_result = |problem: String| FitError::NoResult {
            problem,
            kept: place.kept.clone(),
        };
        let (model, validation) = match state.best {
            Some(best) => (best.model, Some(best.found.metrics)),
            None if self.judge.is_some() => {
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
            spent,
        })
    }

    /// Judges the model. Where that breaks off, the steps before it are kept, and going on from them
    /// begins with it.
    fn judged(
        &mut self,
        state: &mut State<M>,
        better: Better,
        place: &mut Where,
    ) -> Result<(), FitError> {
        let judged = catch_unwind(AssertUnwindSafe(|| self.validate(state, better)));
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

    /// Has the model judged, and keeps it if it is the best so far.
    fn validate(&mut self, state: &mut State<M>, better: Better) -> Result<(), FitError> {
        let Some(judge) = &self.judge else {
            return Ok(());
        };
        let plan = &self.recipe.train;
        let model = state.result();
        let metrics = judge
            .judge(self.task, &model, self.device)
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
        // What is not finite is never the best, and anything else is better than that.
        let is_best = not_finite(&metrics).is_none() && (!old.is_finite() || better.is(new, old));
        self.report(Event::Validation {
            step: state.step,
            metrics: metrics.clone(),
            best: is_best,
        })?;
        if !is_best {
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

    fn report(&mut self, event: Event) -> Result<(), FitError> {
        if let Some(run) = &mut self.run {
            run.log(&event)?;
        }
        (self.watch)(&event);
        Ok(())
    }
}
