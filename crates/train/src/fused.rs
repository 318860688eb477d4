//! Burn's most used optimizers with the step in one pass over memory where the kernels serve the
//! parameter. State and its names are Burn's, so checkpoints do not tell which of the two wrote
//! them.

use burn::optim::{
    Adam, AdamState, AdamW, AdamWState, AdaptiveMomentumState, LearningRate, Optimizer,
    RecordState, Sgd, SgdState, StateSink, StateSource,
};
use burn::tensor::{Device, Tensor};
use zoo_kernels::{AdamStep, MomentumStep, serves, sgd};

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

/// SGD with momentum. Burn keeps its own velocities to itself, so the state is ours, by Burn's names.
#[derive(Clone)]
pub(crate) struct FusedMomentum {
    /// But for the rate.
    pub(crate) step: MomentumStep,
}

/// What [`FusedMomentum`] keeps of a parameter.
#[derive(Clone)]
pub(crate) struct Velocity<const D: usize>(Tensor<D>);

impl<const D: usize> Velocity<D> {
    const NAME: &'static str = "velocity";

    /// Where Burn's [`SgdState`] has it.
    fn place(prefix: &str) -> String {
        match prefix {
            "" => "momentum".into(),
            prefix => format!("{prefix}.momentum"),
        }
    }
}

impl<const D: usize> RecordState for Velocity<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(&Self::place(prefix), Self::NAME, self.0.to_data());
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let data = src.take_tensor(&Self::place(prefix), Self::NAME)?;
        Some(Self(Tensor::from_data(data, device)))
    }
}

impl Optimizer for FusedMomentum {
    type State<const D: usize> = Velocity<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Velocity<D>>,
    ) -> (Tensor<D>, Option<Velocity<D>>) {
        let step = MomentumStep { rate, ..self.step };
        if serves(&parameter) {
            let velocity = state.map_or_else(|| parameter.zeros_like(), |state| state.0);
            let [parameter, velocity] = step.apply([parameter, velocity], grad);
            return (parameter, Some(Velocity(velocity)));
        }
        let grad = match step.decay {
            0.0 => grad,
            decay => grad.add(parameter.clone().mul_scalar(decay)),
        };
        let velocity = match state {
            Some(state) => grad.clone().add(state.0.mul_scalar(step.momentum)),
            None => grad.clone(),
        };
        let along = match step.nesterov {
            true => velocity.clone().mul_scalar(step.momentum).add(grad),
            false => velocity.clone(),
        };
        (parameter - along.mul_scalar(rate), Some(Velocity(velocity)))
    }

    fn to_device<const D: usize>(state: Velocity<D>, device: &Device) -> Velocity<D> {
        Velocity(state.0.to_device(device))
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
    use burn::optim::momentum::MomentumConfig;
    use burn::optim::{AdamConfig, AdamWConfig, SgdConfig};

    use super::*;

    /// A state of Burn's, read as ours, goes on as Burn's does; and ours read as Burn's.
    #[test]
    fn velocities_are_kept_as_burn_keeps_them() {
        let device = Device::flex();
        let burns = SgdConfig::new()
            .with_momentum(Some(MomentumConfig::new().with_dampening(0.0)))
            .build();
        let step = MomentumStep {
            rate: 0.1,
            momentum: 0.9,
            nesterov: false,
            decay: 0.0,
        };
        let ours = FusedMomentum { step };
        let [start, grad] =
            [[1.0, -2.0], [0.5, 3.0]].map(|values| Tensor::<1>::from_floats(values, &device));

        let (p, state) = burns.step(0.1, start.clone(), grad.clone(), None);
        let read = read_as::<_, Velocity<1>>(&state.clone().unwrap(), &device);
        let (by_burn, state) = burns.step(0.1, p.clone(), grad.clone(), state);
        let (by_us, ours_state) = ours.step(0.1, p, grad.clone(), Some(read));
        by_us.to_data().assert_eq(&by_burn.to_data(), true);

        let read = read_as::<_, SgdState<1>>(&ours_state.unwrap(), &device);
        let (again, _) = burns.step(0.1, by_us, grad.clone(), Some(read));
        let (plain, _) = burns.step(0.1, by_burn, grad, state);
        again.to_data().assert_eq(&plain.to_data(), true);
    }

    fn read_as<A: RecordState, B: RecordState>(state: &A, device: &Device) -> B {
        let mut kept = StateSink::default();
        state.state_flatten("7", &mut kept);
        let mut source = StateSource::new(kept.scalars.into_iter().collect());
        for (name, data) in kept.tensors {
            source.insert_tensor(name, data);
        }
        B::state_unflatten("7", &mut source, device).unwrap()
    }

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
        for nesterov in [false, true] {
            let momentum = MomentumConfig::new()
                .with_momentum(0.9)
                .with_dampening(0.0)
                .with_nesterov(nesterov);
            let burns = SgdConfig::new()
                .with_momentum(Some(momentum))
                .with_weight_decay(decay.clone())
                .build();
            let step = MomentumStep {
                rate: RATE,
                momentum: 0.9,
                nesterov,
                decay: DECAY,
            };
            assert!(departs(&FusedMomentum { step }, &burns) < bound);
        }
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
