//! Burn's most used optimizers with the step in one pass over memory where the kernels serve the
//! parameter. State and its names are Burn's, so checkpoints do not tell which of the two wrote
//! them.

use burn::optim::{
    Adam, AdamState, AdamW, AdamWState, AdaptiveMomentumState, LearningRate, Optimizer, Sgd,
    SgdState,
};
use burn::tensor::{Device, Tensor};
use zoo_kernels::{AdamStep, serves, sgd};

/// SGD without momentum.
#[derive(Clone)]
pub(crate) struct FusedSgd {
    pub(crate) plain: Sgd,
    pub(crate) decay: f32,
}

impl Optimizer for FusedSgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        grad: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        if !serves(&parameter) {
            return self.plain.step(rate, parameter, grad, state);
        }
        let parameter = sgd(parameter, grad, rate, self.decay);
        (parameter, Some(SgdState::new(None)))
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        Sgd::to_device(state, device)
    }
}

/// Adam with its decay added to the gradient.
#[derive(Clone)]
pub(crate) struct FusedAdam {
    pub(crate) plain: Adam,
    pub(crate) step: AdamStep,
}

impl Optimizer for FusedAdam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        grad: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        if !serves(&parameter) {
            return self.plain.step(rate, parameter, grad, state);
        }
        let moments = state.map(|state| state.momentum);
        let (parameter, moments) = adam(self.step, rate, parameter, grad, moments);
        (parameter, Some(AdamState::new(moments)))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        Adam::to_device(state, device)
    }
}

/// AdamW.
#[derive(Clone)]
pub(crate) struct FusedAdamW {
    pub(crate) plain: AdamW,
    pub(crate) step: AdamStep,
}

impl Optimizer for FusedAdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        grad: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        if !serves(&parameter) {
            return self.plain.step(rate, parameter, grad, state);
        }
        let moments = state.map(|state| state.momentum);
        let (parameter, moments) = adam(self.step, rate, parameter, grad, moments);
        (parameter, Some(AdamWState::new(moments)))
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        AdamW::to_device(state, device)
    }
}

fn adam<const D: usize>(
    step: AdamStep,
    rate: LearningRate,
    parameter: Tensor<D>,
    grad: Tensor<D>,
    moments: Option<AdaptiveMomentumState<D>>,
) -> (Tensor<D>, AdaptiveMomentumState<D>) {
    let (time, first, second) = match moments {
        Some(moments) => (moments.time + 1, moments.moment_1, moments.moment_2),
        None => (1, parameter.zeros_like(), parameter.zeros_like()),
    };
    let step = AdamStep { rate, time, ..step };
    let [parameter, first, second] = step.apply([parameter, first, second], grad);
    (parameter, AdaptiveMomentumState::new(time, first, second))
}

#[cfg(test)]
mod tests {
    use burn::optim::decay::WeightDecayConfig;
    use burn::optim::{AdamConfig, AdamWConfig, SgdConfig};

    use super::*;

    /// As large as the parameters, so that a step's own rounding shows.
    const RATE: f64 = 1.0;
    const DECAY: f32 = 0.1;

    /// Five steps of each from the same place, along the same gradients, largest difference.
    fn departs<A: Optimizer, B: Optimizer>(fused: &A, plain: &B) -> f32 {
        let device = Device::flex();
        let start = Tensor::<1>::from_floats([1.0, -0.5, 0.0, 3e-3, -0.02], &device);
        assert!(serves(&start));
        let (mut a, mut b) = (start.clone(), start);
        let (mut state_a, mut state_b) = (None, None);
        for step in 0..5 {
            let grad = [0.3, -1e-4, 2.0 - step as f32, 1e-9, 5.0];
            let grad = Tensor::<1>::from_floats(grad, &device);
            (a, state_a) = fused.step(RATE, a, grad.clone(), state_a);
            (b, state_b) = plain.step(RATE, b, grad, state_b);
        }
        (a - b).abs().max().into_scalar()
    }

    #[test]
    fn fused_steps_are_those_of_burn() {
        // A few units in the last place of parameters that move by up to 5. Correcting the moments in
        // another precision departs by more: 1e-5 of every step.
        let bound = 3e-6;
        let decay = Some(WeightDecayConfig::new(DECAY));
        let step = AdamStep {
            rate: RATE,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            coupled_decay: 0.0,
            decoupled_decay: 0.0,
            time: 0,
        };
        let sgd = SgdConfig::new().with_weight_decay(decay.clone()).build();
        let fused = FusedSgd {
            plain: sgd.clone(),
            decay: DECAY,
        };
        assert!(departs(&fused, &sgd) < bound);
        let adam = AdamConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(decay)
            .build();
        let fused = FusedAdam {
            plain: adam.clone(),
            step: AdamStep {
                coupled_decay: DECAY,
                ..step
            },
        };
        assert!(departs(&fused, &adam) < bound);
        let adamw = AdamWConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(DECAY)
            .build();
        let fused = FusedAdamW {
            plain: adamw.clone(),
            step: AdamStep {
                decoupled_decay: DECAY,
                ..step
            },
        };
        assert!(departs(&fused, &adamw) < bound);
    }
}
