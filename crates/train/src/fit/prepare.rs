//! What is looked at before the first step, and the model as it is trained.

use burn::module::Module;
use burn::tensor::Device;

use super::{Fit, FitError};
use crate::layers::order_of_use;
use crate::loader::Span;
use crate::metric::{self, not_finite};
use crate::params::{laid_out, number};
use crate::single_value::{lone_example, norm_over_one_value};
use crate::task::{Batch, Pass};

impl<M: Module> Fit<'_, M> {
    /// Holds the recipe against the data, and gives one example of what the model is judged on.
    pub(super) fn check_data(&self) -> Result<Batch, FitError> {
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

    /// The loss on some training examples, where no validation tells what the last step led to: its
    /// own loss is the one before it.
    pub(super) fn last_loss(&self, model: &M) -> Result<f64, FitError> {
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
}
