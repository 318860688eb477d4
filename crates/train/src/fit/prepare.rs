//! What is looked at before the first step, and the model as it is trained.

use burn::module::Module;
use burn::tensor::Device;

use super::{Fit, FitError};
use crate::batch::Batch;
use crate::layers::order_of_use;
use crate::loader::Span;
use crate::metric::{Metric, not_finite};
use crate::params::{laid_out, number};
use crate::single_value::norm_over_one_value;
use crate::source::Pass;

impl<M: Module> Fit<'_, M> {
    /// Holds the recipe against the data; gives an example, and what the model is judged by.
    pub(super) fn check_data(&self) -> Result<(Batch, Vec<Metric>), FitError> {
        let plan = &self.recipe.train;
        if self.feed.examples() == Some(0) {
            return Err(FitError::EmptySplit("training"));
        }
        if self.judge.as_ref().is_some_and(|judge| judge.is_empty()) {
            return Err(FitError::EmptySplit("validation"));
        }
        if self.feed.steps_per_epoch(plan) == 0 {
            return Err(FitError::NoWholeBatch {
                examples: self.feed.examples().unwrap_or_default(),
                batch_size: plan.batch_size,
            });
        }
        let example = self.feed.sample(1, None).map_err(FitError::Data)?;
        let metrics = match &self.judge {
            Some(judge) => judge.metrics(self.task).map_err(FitError::Data)?,
            None => self.task.metrics(&example),
        };
        if Metric::find(&metrics, &plan.best).is_some() {
            return Ok((example, metrics));
        }
        Err(FitError::UnknownMetric {
            name: plan.best.clone(),
            known: Metric::names(&metrics),
        })
    }

    /// The model as it is trained, on the device, and the order in which its parameters are used,
    /// where that decides their rates.
    pub(super) fn prepare(&self, model: M, example: &Batch) -> Result<(M, Vec<String>), FitError> {
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
    pub(super) fn check_norms(
        &self,
        model: &M,
        span: &Span,
        device: &Device,
    ) -> Result<(), FitError> {
        let plan = &self.recipe.train;
        let Some(reason) = self.feed.lone_example(plan, span) else {
            return Ok(());
        };
        let pass = Pass {
            seed: plan.seed,
            epoch: 0,
        };
        let example = self.feed.sample(1, Some(pass)).map_err(FitError::Data)?;
        match norm_over_one_value(model, self.task, example, device) {
            None => Ok(()),
            Some(norm) => Err(FitError::SingleValue { norm, reason }),
        }
    }

    /// The loss on some training examples, where no validation tells what the last step led to: its
    /// own loss is the one before it.
    pub(super) fn last_loss(&self, model: &M) -> Result<f64, FitError> {
        let plan = &self.recipe.train;
        let count = plan.batch_size.min(plan.eval_batch_size);
        let batch = self.feed.sample(count, None).map_err(FitError::Data)?;
        let mut tally = self.task.tally();
        tally.add(model, batch, self.device);
        let metrics = tally.metrics();
        Ok(not_finite(&metrics).map_or(0.0, |(_, value)| value))
    }
}
