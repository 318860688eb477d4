//! Optimizers by name: the `[optimizer]` table of a recipe, turned into Burn's own optimizers.
//!
//! Defaults are PyTorch's, not Burn's (Burn's Adam has epsilon 1e-5, its momentum damps by 0.1),
//! because the published recipes that ours repeat are written against them.

mod state;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::module::{Module, ParamGroup};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{
    AdaGradConfig, AdafactorConfig, AdamConfig, AdamWConfig, AdanConfig, LambConfig, LionConfig,
    ModuleOptimizer, Optimizer as BurnOptimizer, RmsPropConfig, SgdConfig,
};
use burn::store::RecordError;
use serde::{Deserialize, Serialize};
use zoo_kernels::{AdamStep, MomentumStep};
use zoo_weights::Leaf;

use crate::fused::{FusedAdam, FusedAdamW, FusedMomentum, FusedSgd};

/// The `[optimizer]` table: one optimizer, its rate, and what decays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Which optimizer.
    pub name: OptimizerName,
    /// The full learning rate; the schedule scales it. Above 0.
    pub learning_rate: f64,
    /// Weight decay, 0 or above: added to the gradient by `sgd`, `adam`, `adagrad` and `rmsprop`,
    /// decoupled from it by the others.
    pub weight_decay: f64,
    /// Which parameters decay.
    pub decay_on: DecayOn,
    /// `sgd` and `rmsprop`: momentum, 0..1.
    pub momentum: f64,
    /// `sgd`: look ahead along the momentum (Nesterov).
    pub nesterov: bool,
    /// `adam`, `adamw`, `adan`, `lamb`, `lion`: decay of the first moment, 0..1.
    pub beta_1: f64,
    /// `adam`, `adamw`, `adan`, `lamb`, `lion`: decay of the second moment, 0..1.
    pub beta_2: f64,
    /// Added to the denominator of the adaptive optimizers; above 0.
    pub epsilon: f64,
}

/// Optimizers that Burn has and that fit any parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Stochastic gradient descent, with momentum or Nesterov momentum.
    #[default]
    Sgd,
    /// Kingma and Ba 2014.
    Adam,
    /// Loshchilov and Hutter 2017.
    AdamW,
    /// Xie et al. 2022; `beta_3` stays at the paper's 0.99.
    Adan,
    /// Duchi et al. 2011.
    AdaGrad,
    /// Shazeer and Stern 2018, at the given rate rather than its own relative one.
    Adafactor,
    /// Hinton's lecture 6e; its smoothing constant stays at 0.99.
    RmsProp,
    /// You et al. 2019.
    Lamb,
    /// Chen et al. 2023.
    Lion,
}

/// Which parameters weight decay touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecayOn {
    /// Every parameter, as He et al. 2015.
    #[default]
    All,
    /// The weights of linear layers, convolutions and embeddings, as nanoGPT and Hugging Face do: no
    /// biases, no normalisation gains, and nothing that a model holds outside of a layer (class
    /// tokens, learned positions, layer scales: what timm's `no_weight_decay` names). These weights
    /// are the tensors of rank two and above that are called `weight`.
    Matrices,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            name: OptimizerName::Sgd,
            learning_rate: 0.01,
            weight_decay: 0.0,
            decay_on: DecayOn::All,
            momentum: 0.0,
            nesterov: false,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
        }
    }
}

impl OptimizerConfig {
    /// Builds the optimizer for a model; its parameters decide the decay groups.
    pub fn build<M: Module>(&self, model: &M) -> ModuleOptimizer {
        let (beta_1, beta_2) = (self.beta_1 as f32, self.beta_2 as f32);
        let (epsilon, decay) = (self.epsilon as f32, self.weight_decay as f32);
        let coupled = |decay: f32| (decay > 0.0).then(|| WeightDecayConfig::new(decay));
        // Rate and time are filled in at every step.
        let step = AdamStep {
            rate: self.learning_rate,
            beta_1,
            beta_2,
            epsilon,
            coupled_decay: 0.0,
            decoupled_decay: 0.0,
            time: 0,
        };
        match self.name {
            OptimizerName::Sgd => {
                if self.momentum > 0.0 {
                    return self.grouped(model, |on| FusedMomentum {
                        step: MomentumStep {
                            rate: self.learning_rate,
                            momentum: self.momentum as f32,
                            nesterov: self.nesterov,
                            decay: decay * on,
                        },
                    });
                }
                let config = SgdConfig::new();
                self.grouped(model, |on| FusedSgd {
                    plain: config
                        .clone()
                        .with_weight_decay(coupled(decay * on))
                        .build(),
                    decay: decay * on,
                })
            }
            OptimizerName::Adam => {
                let config = AdamConfig::new()
                    .with_beta_1(beta_1)
                    .with_beta_2(beta_2)
                    .with_epsilon(epsilon);
                self.grouped(model, |on| FusedAdam {
                    plain: config
                        .clone()
                        .with_weight_decay(coupled(decay * on))
                        .build(),
                    step: AdamStep {
                        coupled_decay: decay * on,
                        ..step
                    },
                })
            }
            OptimizerName::AdamW => {
                let config = AdamWConfig::new()
                    .with_beta_1(beta_1)
                    .with_beta_2(beta_2)
                    .with_epsilon(epsilon);
                self.grouped(model, |on| FusedAdamW {
                    plain: config.clone().with_weight_decay(decay * on).build(),
                    step: AdamStep {
                        decoupled_decay: decay * on,
                        ..step
                    },
                })
            }
            OptimizerName::Adan => {
                let config = AdanConfig::new()
                    .with_beta_1(beta_1)
                    .with_beta_2(beta_2)
                    .with_epsilon(epsilon);
                self.grouped(model, |on| {
                    config.clone().with_weight_decay(decay * on).build()
                })
            }
            OptimizerName::AdaGrad => {
                let config = AdaGradConfig::new().with_epsilon(epsilon);
                self.grouped(model, |on| {
                    config
                        .clone()
                        .with_weight_decay(coupled(decay * on))
                        .build()
                })
            }
            OptimizerName::Adafactor => {
                let config = AdafactorConfig::new().with_relative_step(false);
                self.grouped(model, |on| {
                    config.clone().with_weight_decay(decay * on).build()
                })
            }
            OptimizerName::RmsProp => {
                let config = RmsPropConfig::new()
                    .with_momentum(self.momentum as f32)
                    .with_epsilon(epsilon);
                self.grouped(model, |on| {
                    config
                        .clone()
                        .with_weight_decay(coupled(decay * on))
                        .build()
                })
            }
            OptimizerName::Lamb => {
                let config = LambConfig::new()
                    .with_beta_1(beta_1)
                    .with_beta_2(beta_2)
                    .with_epsilon(epsilon);
                self.grouped(model, |on| {
                    config.clone().with_weight_decay(decay * on).build()
                })
            }
            OptimizerName::Lion => {
                let config = LionConfig::new().with_beta_1(beta_1).with_beta_2(beta_2);
                self.grouped(model, |on| {
                    config.clone().with_weight_decay(decay * on).build()
                })
            }
        }
    }

    /// Builds the optimizer for a model and gives it the state that one like it saved after `steps`
    /// steps.
    ///
    /// # Errors
    /// A file that is not such a state: of another optimizer, of parameters of other names, shapes or
    /// types, or with numbers that are not finite. Burn would pass over some of it, panic at the rest,
    /// or at the first step.
    pub fn load<M: Module>(
        &self,
        model: &M,
        path: &Path,
        steps: usize,
    ) -> Result<ModuleOptimizer, RecordError> {
        let refuse = |problem: String| {
            RecordError::Validation(format!(
                "{}: not the state of this optimizer: {problem}",
                path.display()
            ))
        };
        let loaded = catch_unwind(AssertUnwindSafe(|| {
            state::check(self, model, path, steps).map_err(refuse)?;
            self.build(model).load(path)
        }));
        loaded.unwrap_or_else(|_| Err(refuse("it cannot be read".into())))
    }

    /// One optimizer for all, or a second one, without decay, for biases and gains.
    fn grouped<M: Module, O: BurnOptimizer>(
        &self,
        model: &M,
        build: impl Fn(f32) -> O,
    ) -> ModuleOptimizer {
        let optimizer = ModuleOptimizer::from(build(1.0));
        if self.weight_decay == 0.0 || self.decay_on == DecayOn::All {
            return optimizer;
        }
        let all = zoo_weights::leaves(model).into_iter();
        let spared = all.filter(|leaf| !is_matrix(leaf)).map(|leaf| leaf.id);
        optimizer.with_group(
            ParamGroup::from_ids(spared.collect::<Vec<_>>()),
            build(0.0),
            None,
        )
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let share = |key: &str, value: f64| {
            if (0.0..1.0).contains(&value) {
                Ok(())
            } else {
                Err(format!("optimizer.{key} = {value}: must be in 0..1"))
            }
        };
        let above_zero = |key: &str, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(format!(
                    "optimizer.{key} = {value}: must be above 0 and finite"
                ))
            }
        };
        // Steps compute in single precision, in which these must still be what they are here.
        let single = |key: &str, value: f64, is_kept: bool| {
            if is_kept {
                Ok(())
            } else {
                Err(format!(
                    "optimizer.{key} = {value:e}: is {} in single precision",
                    value as f32
                ))
            }
        };
        above_zero("learning_rate", self.learning_rate)?;
        above_zero("epsilon", self.epsilon)?;
        share("momentum", self.momentum)?;
        share("beta_1", self.beta_1)?;
        share("beta_2", self.beta_2)?;
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(format!(
                "optimizer.weight_decay = {}: must be 0 or above and finite",
                self.weight_decay
            ));
        }
        for (key, value) in [
            ("learning_rate", self.learning_rate),
            ("epsilon", self.epsilon),
        ] {
            single(key, value, (value as f32).is_normal())?;
        }
        for (key, value) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            single(key, value, (value as f32) < 1.0)?;
        }
        let decay = self.weight_decay as f32;
        single("weight_decay", self.weight_decay, decay.is_finite())?;
        if self.nesterov && self.momentum == 0.0 {
            return Err("optimizer.nesterov = true needs optimizer.momentum above 0".into());
        }
        Ok(())
    }
}

/// Whether a tensor is a layer's weight; an adapter's factors are below the weight that they adapt.
fn is_matrix(leaf: &Leaf) -> bool {
    leaf.shape.len() >= 2 && leaf.path.split('.').any(|name| name == "weight")
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor, TensorData};

    use super::*;
    use crate::params::number;

    #[test]
    fn a_state_on_which_burn_panics_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optimizer.bpk");
        let device = Device::flex().autodiff();
        let model = number(LinearConfig::new(3, 2).init(&device));
        let config = OptimizerConfig {
            name: OptimizerName::Adam,
            ..OptimizerConfig::default()
        };
        let mut optimizer = config.build(&model);
        let loss = model.forward(Tensor::<2>::ones([1, 3], &device)).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let model = optimizer.step(0.1, model, gradients);
        optimizer.save(&path).unwrap();
        config.load(&model, &path, 1).unwrap();

        // The key under which a tensor names its parameter, misspelt.
        let mut bytes = std::fs::read(&path).unwrap();
        let keys = bytes.windows(8).enumerate();
        let keys = keys.filter(|(_, window)| *window == b"param_id");
        let keys: Vec<usize> = keys.map(|(at, _)| at).collect();
        assert!(!keys.is_empty(), "the format has changed");
        for at in keys {
            bytes[at] = b'q';
        }
        std::fs::write(&path, bytes).unwrap();
        let error = config.load(&model, &path, 1).err().unwrap().to_string();
        assert!(error.contains("is of no parameter"), "{error}");
    }

    #[derive(Module, Debug)]
    struct Net {
        linear: Linear,
        norm: LayerNorm,
        class_token: Param<Tensor<3>>,
    }

    #[test]
    fn only_weights_of_layers_decay_where_matrices_do() {
        let device = Device::flex().autodiff();
        let net = number(Net {
            linear: LinearConfig::new(3, 3).init(&device),
            norm: LayerNormConfig::new(3).init(&device),
            class_token: Initializer::Ones.init([1, 2, 3], &device),
        });
        let tensors = |net: &Net| -> [TensorData; 4] {
            [
                net.linear.weight.val().into_data(),
                net.linear.bias.as_ref().unwrap().val().into_data(),
                net.norm.gamma.val().into_data(),
                net.class_token.val().into_data(),
            ]
        };
        let changed = |decay_on| {
            let config = OptimizerConfig {
                name: OptimizerName::AdamW,
                weight_decay: 0.5,
                decay_on,
                ..OptimizerConfig::default()
            };
            // Gradients of zero: what changes has decayed.
            let sum = net.linear.weight.val().sum()
                + net.linear.bias.as_ref().unwrap().val().sum()
                + net.norm.gamma.val().sum()
                + net.class_token.val().sum();
            let gradients = sum.mul_scalar(0.0).backward();
            let gradients = GradientsParams::from_grads(gradients, &net);
            let after = config.build(&net).step(0.1, net.clone(), gradients);
            let (before, after) = (tensors(&net), tensors(&after));
            [0, 1, 2, 3].map(|at| before[at] != after[at])
        };
        assert_eq!(changed(DecayOn::Matrices), [true, false, false, false]);
        assert_eq!(changed(DecayOn::All), [true; 4]);
    }
}
