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
