//! One optimizer step, made only of numbers that are finite.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};

use super::state::State;
use super::{Fit, FitError, NotFinite, Where};
use crate::finite::{Sum, exact_norm, read};
use crate::layers::Rates;
use crate::loader::Part;
use crate::params::{clip, norm_of};
use crate::rng::{Purpose, derive};

/// A gradient longer than this has squares that single precision does not hold.
const LONGEST: f64 = 1.8e19;
/// The sum of a gradient's numbers from which on its length is looked at.
const LARGE_SUM: f64 = 1e17;

/// A step that was made, for what is told of it.
pub(super) struct Step {
    pub(super) loss: f64,
    pub(super) learning_rate: f64,
    pub(super) gradient_norm: Option<f64>,
}

impl Step {
    pub(super) fn diverged(&self, what: NotFinite, step: usize, place: &Where) -> FitError {
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
    /// One optimizer step on a batch in parts, made only if its loss and its gradient are finite. The
    /// gradient's length is measured to clip it, and where it is told.
    pub(super) fn step(
        &self,
        mut state: State<M>,
        parts: Vec<Part>,
        devices: &[Device],
        rates: &Rates,
        (total_steps, log): (usize, bool),
        place: &mut Where,
    ) -> Result<(State<M>, Step), FitError> {
        let recipe = self.recipe;
        let plan = &recipe.train;
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
        // Finite numbers can have a sum that is not, and squares that are not.
        if !sum.is_finite() || (!measured && sum.abs() > LARGE_SUM) {
            let norm =
                *(made.gradient_norm).get_or_insert_with(|| exact_norm(&state.model, &gradients));
            if !norm.is_finite() {
                return Err(made.diverged(NotFinite::Gradient, state.step + 1, place));
            }
        }
        let gradients = match (plan.clip_norm, made.gradient_norm) {
            // Adam and its like would keep an infinite square, and such a weight would stay put.
            (None, Some(norm)) if norm > LONGEST => {
                return Err(made.diverged(NotFinite::Gradient, state.step + 1, place));
            }
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
    /// by its share of the weight. With them, what the gradient's numbers or their squares
    /// sum to, which is read together with the loss.
    fn gradients(
        &self,
        model: &M,
        parts: Vec<Part>,
        devices: &[Device],
        seed: u64,
        sum: Sum,
    ) -> (f64, GradientsParams, f64) {
        let weight: f64 = parts.iter().map(|part| part.batch.weight()).sum();
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
            let share = batch.weight() / weight;
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
}
