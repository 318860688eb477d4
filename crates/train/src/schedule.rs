//! Learning rates as closed forms of the step: `base * factor(step)`.
//!
//! Burn's schedulers carry state that a resumed run would have to restore; a function of the step
//! cannot be out of step.

use serde::{Deserialize, Serialize};

/// How the learning rate moves over a run, after `warmup_steps` of linear growth from zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// The shape of the decay.
    pub name: Decay,
    /// Steps over which the rate grows linearly to its full value; step `s` uses `(s + 1) / warmup_steps`.
    pub warmup_steps: usize,
    /// Where linear and cosine decay end, as a share of the full rate, 0..=1.
    pub end_factor: f64,
    /// `step` only: when the rate is multiplied by `gamma`, as shares of the run, each in 0..1.
    pub milestones: Vec<f64>,
    /// `step` only: the multiplier at each milestone, above 0 and at most 1.
    pub gamma: f64,
}

/// The shapes of decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// The full rate throughout.
    #[default]
    Constant,
    /// Multiplied by `gamma` at each milestone (He et al. 2015, section 4.2, divide by 10 twice).
    Step,
    /// A straight line from the full rate to `end_factor` of it.
    Linear,
    /// Half a cosine from the full rate to `end_factor` of it (Loshchilov and Hutter 2016, without restarts).
    Cosine,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            name: Decay::Constant,
            warmup_steps: 0,
            end_factor: 0.0,
            milestones: vec![0.5, 0.75],
            gamma: 0.1,
        }
    }
}

impl Schedule {
    /// The share of the full learning rate that step `step` (from 0) of `total_steps` uses.
    pub fn factor(&self, step: usize, total_steps: usize) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let decay_steps = total_steps.saturating_sub(self.warmup_steps).max(1);
        let progress = (step - self.warmup_steps) as f64 / decay_steps as f64;
        let fall = |share: f64| self.end_factor + (1.0 - self.end_factor) * share;
        match self.name {
            Decay::Constant => 1.0,
            Decay::Step => {
                let run = step as f64 / total_steps.max(1) as f64;
                let passed = self.milestones.iter().filter(|&&at| run >= at).count();
                self.gamma.powi(passed as i32)
            }
            Decay::Linear => fall(1.0 - progress),
            Decay::Cosine => fall(0.5 * (1.0 + (std::f64::consts::PI * progress).cos())),
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.end_factor) {
            return Err(format!(
                "schedule.end_factor = {}: must be in 0..=1",
                self.end_factor
            ));
        }
        if !(self.gamma > 0.0 && self.gamma <= 1.0) {
            return Err(format!(
                "schedule.gamma = {}: must be above 0 and at most 1",
                self.gamma
            ));
        }
        if let Some(at) = self.milestones.iter().find(|at| !(0.0..1.0).contains(*at)) {
            return Err(format!(
                "schedule.milestones holds {at}: each must be a share of the run in 0..1"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(name: Decay) -> Schedule {
        Schedule {
            name,
            ..Schedule::default()
        }
    }

    #[test]
    fn warm_up_grows_to_the_full_rate() {
        let schedule = Schedule {
            warmup_steps: 4,
            ..schedule(Decay::Constant)
        };
        let factors: Vec<f64> = (0..6).map(|step| schedule.factor(step, 10)).collect();
        assert_eq!(factors, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn cosine_and_linear_run_from_one_to_the_end_factor() {
        for name in [Decay::Linear, Decay::Cosine] {
            let schedule = Schedule {
                end_factor: 0.1,
                warmup_steps: 10,
                ..schedule(name)
            };
            assert_eq!(schedule.factor(10, 110), 1.0);
            assert!(
                (schedule.factor(60, 110) - 0.55).abs() < 1e-12,
                "half way is the mean"
            );
            assert!((schedule.factor(109, 110) - 0.1).abs() < 0.01);
            let factors: Vec<f64> = (10..110).map(|step| schedule.factor(step, 110)).collect();
            assert!(factors.windows(2).all(|pair| pair[1] < pair[0]));
        }
    }

    #[test]
    fn step_decay_multiplies_at_its_milestones() {
        let schedule = schedule(Decay::Step);
        let at = |step| (schedule.factor(step, 100) * 1e6).round() / 1e6;
        assert_eq!(
            [at(0), at(49), at(50), at(74), at(75), at(99)],
            [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
        );
    }
}
