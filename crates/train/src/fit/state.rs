//! What a step changes, and how it is kept in a checkpoint and found again.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use zoo_weights::Origin;

use super::{Fit, FitError, NotFinite, Where};
use crate::checkpoint::{BestSoFar, Progress, Spent};
use crate::event::Event;
use crate::finite::not_finite_tensor;
use crate::metric::not_finite;
use crate::params::{Ema, laid_out, number};
use crate::run_file::MODEL_FILE;

const OPTIMIZER_FILE: &str = "optimizer.bpk";
const AVERAGE_FILE: &str = "average.safetensors";
const BEST_FILE: &str = "best.safetensors";

/// What a step changes.
pub(super) struct State<M> {
    pub(super) model: M,
    pub(super) optimizer: ModuleOptimizer,
    pub(super) average: Option<Ema<M>>,
    pub(super) step: usize,
    pub(super) best: Option<Best<M>>,
    pub(super) validations_since_best: usize,
    /// Whether this step's validation broke off: it is made up for when the run goes on.
    pub(super) validation_due: bool,
    pub(super) epoch_losses: Mean,
    pub(super) spent: Spent,
    /// Since when this process trains, and what had been spent on the wall clock before.
    pub(super) clock: (Instant, f64),
}

pub(super) struct Best<M> {
    pub(super) model: M,
    pub(super) found: BestSoFar,
}

impl<M: Module> State<M> {
    /// A copy of the model to judge and to keep: of the average where there is one. It shares
    /// nothing with what is trained on: a clone would share running statistics.
    pub(super) fn result(&self) -> M {
        match &self.average {
            Some(average) => average.model().valid(),
            None => self.model.valid(),
        }
    }

    /// Holds every weight and running statistic, and their average, against NaN and infinity.
    pub(super) fn check_finite(&self) -> Result<(), NotFinite> {
        let average = || self.average.as_ref().map(Ema::model);
        let found = not_finite_tensor(&self.model).or_else(|| not_finite_tensor(average()?));
        found.map_or(Ok(()), |name| Err(NotFinite::Weights(name)))
    }

    fn progress(&self) -> Progress {
        Progress {
            step: self.step,
            epoch_loss_sum: self.epoch_losses.sum,
            epoch_steps: self.epoch_losses.count,
            best: self.best.as_ref().map(|best| best.found.clone()),
            validations_since_best: self.validations_since_best,
            validation_due: self.validation_due,
            spent: Spent {
                wall_seconds: self.wall_seconds(),
                ..self.spent
            },
        }
    }

    /// Time since the run began to train, without the gaps between its processes.
    pub(super) fn wall_seconds(&self) -> f64 {
        let (began, before) = self.clock;
        before + began.elapsed().as_secs_f64()
    }
}

impl<M: Module> Fit<'_, M> {
    /// The state before the first step, from a model on its device: fresh, or as a checkpoint left it.
    pub(super) fn start(&mut self, plain: M, place: &mut Where) -> Result<State<M>, FitError> {
        let plan = &self.recipe.train;
        let Some(checkpoint) = self.resume else {
            let model = plain.train();
            return Ok(State {
                optimizer: self.recipe.optimizer.build(&model),
                average: plan.ema_decay.map(|decay| Ema::new(&model, decay)),
                model,
                step: 0,
                best: None,
                validations_since_best: 0,
                validation_due: false,
                epoch_losses: Mean::default(),
                spent: Spent::default(),
                clock: (Instant::now(), 0.0),
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
        self.feed.load(&checkpoint.folder).map_err(FitError::Data)?;
        let progress = checkpoint.manifest.progress.clone();
        (place.step, place.kept_step) = (progress.step, progress.step);
        place.kept = Some(checkpoint.folder.display().to_string());
        Ok(State {
            optimizer: (self.recipe.optimizer).load(
                &model,
                &file(OPTIMIZER_FILE)?,
                progress.step,
            )?,
            average: match plan.ema_decay {
                Some(decay) => Some(Ema::resume(read(AVERAGE_FILE)?, decay)),
                None => None,
            },
            // Earlier versions took NaN for the best of NaN.
            best: match progress
                .best
                .filter(|best| not_finite(&best.metrics).is_none())
            {
                Some(found) => Some(Best {
                    model: read(BEST_FILE)?,
                    found,
                }),
                None => None,
            },
            model,
            step: progress.step,
            validations_since_best: progress.validations_since_best,
            validation_due: progress.validation_due,
            epoch_losses: Mean {
                sum: progress.epoch_loss_sum,
                count: progress.epoch_steps,
            },
            spent: progress.spent,
            clock: (Instant::now(), progress.spent.wall_seconds),
        })
    }

    /// Writes a checkpoint, where there is a run folder.
    pub(super) fn checkpoint(
        &mut self,
        state: &State<M>,
        place: &mut Where,
    ) -> Result<(), FitError> {
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
            self.feed.save(folder).map_err(FitError::Data)?;
            Ok::<_, FitError>(())
        })?;
        let path = path.display().to_string();
        place.kept = Some(path.clone());
        place.kept_step = state.step;
        self.report(Event::Checkpoint {
            step: state.step,
            path,
        })
    }

    /// Keeps the steps since the last checkpoint before an error ends the run. The error is what is
    /// told, whatever becomes of this.
    pub(super) fn keep(&mut self, state: &State<M>, place: &mut Where) {
        if state.step > place.kept_step && state.check_finite().is_ok() {
            let _ = self.checkpoint(state, place);
        }
    }
}

#[derive(Default)]
pub(super) struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    pub(super) fn take(&mut self) -> f64 {
        let mean = self.sum / self.count.max(1) as f64;
        *self = Self::default();
        mean
    }
}
