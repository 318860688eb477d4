//! Fine-tuning: which parameters of a model are trained, in what form, and how fast.
//!
//! Parameters are called as in a run's `model.safetensors`: their path in the model, joined by dots,
//! where norms have `weight` and `bias` as PyTorch's do. In a pattern, `*` stands for any text, dots
//! included: `layer1.*` is all of `layer1`, and `*.bias` are all biases.

use burn::module::{Lora, Module, ParamGroup, ParamId};
use serde::{Deserialize, Serialize};
use zoo_files::brief;
use zoo_print::{DidYouMean, nearest};
use zoo_weights::{Leaf, Switch};

use crate::params::number;
use crate::rng::{Purpose, derive};

/// The `[finetune]` table: how a trained model is trained on. Without it, all of the model is
/// trained at one rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Finetune {
    /// Patterns of the parameters that stay as they are: `["conv1.*", "layer1.*"]`. A norm whose
    /// parameters are all frozen keeps its running statistics, too, and uses them; dropout inside of
    /// what a pattern names is off. `["*"]` would leave nothing to train, which is refused.
    pub freeze: Vec<String>,
    /// Layer-wise decay of the learning rate (Clark et al. 2020, "ELECTRA", appendix B; Bao et al.
    /// 2021, "BEiT"), above 0 and at most 1. All that is used before the first block is one layer
    /// (class token, positions, patch or token embeddings, a stem), each block is one (`h.0`,
    /// `layer1.0`), and all after the last block is one (the final norm and the head). Where there
    /// are no lists of blocks, each field is a layer (`conv1`, `fc1`). The last layer has the full
    /// rate, and each before it this share of the next one's.
    pub layer_decay: Option<f64>,
    /// Trains low-rank adapters in place of the parameters; not together with `freeze`.
    pub lora: Option<LoraConfig>,
}

/// The `[finetune.lora]` table: low-rank adaptation (Hu et al. 2021, section 4.1). A matrix `W` is
/// used as `W + alpha / rank * A B`, of which only `A [in, rank]` and `B [rank, out]` are trained;
/// `B` starts at zero, and `A` with the deviation `1 / rank`. Everything else is frozen, with the
/// running statistics of norms; dropout stays on. The finished model is a plain one: the products
/// are added to its matrices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Width of the adapters: 1 or more, and at most the smaller side of every matrix that gets one.
    pub rank: usize,
    /// The adapters' scale, times `rank`; above 0.
    pub alpha: f64,
    /// Patterns of the matrices that get an adapter: `["*.c_attn.weight"]`. Without any, the weights
    /// of all linear layers (Dettmers et al. 2023, "QLoRA", section 4: only all of them reach what
    /// full fine-tuning does). Embeddings must be named.
    pub on: Vec<String>,
    /// Patterns of the parameters that are trained whole, such as a new head: `["fc.*"]`. They get
    /// no adapter, whatever `on` says.
    pub train: Vec<String>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: 8.0,
            on: Vec::new(),
            train: Vec::new(),
        }
    }
}

impl Finetune {
    /// Holds every name and the rank of adapters against a model; [`Fit`](crate::Fit) does it, too,
    /// but only when a run has begun. Draws no weights.
    ///
    /// # Errors
    /// A pattern that names nothing, with what it may have meant; nothing left to train; a rank
    /// above a matrix's.
    pub fn check_model<M: Module>(&self, model: &M) -> Result<(), String> {
        self.choose(&Names::of(model)).map(|_| ())
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        // Written so that NaN does not pass.
        if let Some(decay) = self
            .layer_decay
            .filter(|decay| !(*decay > 0.0 && *decay <= 1.0))
        {
            return Err(format!(
                "finetune.layer_decay = {decay}: must be above 0 and at most 1"
            ));
        }
        let Some(lora) = &self.lora else {
            return Ok(());
        };
        if !self.freeze.is_empty() {
            return Err(
                "finetune.freeze has no use beside finetune.lora, which freezes all but its \
                 adapters and finetune.lora.train"
                    .into(),
            );
        }
        if lora.rank == 0 {
            return Err("finetune.lora.rank = 0: must be 1 or more".into());
        }
        if !(lora.alpha > 0.0 && lora.alpha.is_finite()) {
            return Err(format!(
                "finetune.lora.alpha = {}: must be above 0 and finite",
                lora.alpha
            ));
        }
        Ok(())
    }

    /// Freezes a model or gives it adapters, drawn on its own device as a function of `seed`. The
    /// parameters are numbered, and are so again.
    pub(crate) fn apply<M: Module>(&self, model: M, seed: u64) -> Result<M, String> {
        let Chosen {
            frozen,
            whole,
            adapted,
        } = self.choose(&Names::of(&model))?;
        let Some(lora) = &self.lora else {
            return Ok(model.freeze_group(ParamGroup::from_ids(frozen)));
        };
        for device in model.devices() {
            device.seed(derive(seed, Purpose::Adapters, &[]));
        }
        let adapters = Lora::new(lora.rank, lora.alpha);
        let model = model
            .apply_lora(adapters.set_param_group(ParamGroup::from_ids(adapted)))
            .set_require_grad_group(ParamGroup::from_ids(whole), true)
            // What is left for it to do: the flags of norms, which `apply_lora` leaves alone.
            .freeze_group(ParamGroup::from_ids(frozen));
        Ok(number(model))
    }

    fn choose(&self, names: &Names) -> Result<Chosen, String> {
        let all: Vec<&Leaf> = names.parameters.iter().collect();
        let mut chosen = Chosen::default();
        let stays: Vec<&Leaf> = match &self.lora {
            None => named("finetune.freeze", &self.freeze, &all)?,
            Some(lora) => {
                let whole = named("finetune.lora.train", &lora.train, &all)?;
                let adapted = lora.adapted(&all, &whole)?;
                chosen.whole = ids(&whole);
                chosen.adapted = ids(&adapted);
                let trained = |leaf: &&Leaf| whole.contains(leaf) || adapted.contains(leaf);
                all.iter().copied().filter(|leaf| !trained(leaf)).collect()
            }
        };
        if self.lora.is_none() && stays.len() == all.len() {
            return Err(format!(
                "finetune.freeze leaves nothing to train; leave out the last layer, {}",
                all.last().map_or("", |leaf| owner(&leaf.path))
            ));
        }
        chosen.frozen = ids(&stays);
        for switch in &names.switches {
            let mut below = all
                .iter()
                .filter(|leaf| is_below(leaf, &switch.owner))
                .peekable();
            let is_frozen = match below.peek() {
                // Dropout and its like.
                None => self
                    .freeze
                    .iter()
                    .any(|pattern| fits(pattern, &switch.path)),
                Some(_) => below.all(|leaf| stays.contains(leaf)),
            };
            if is_frozen {
                chosen.frozen.push(switch.id);
            }
        }
        Ok(chosen)
    }
}

impl LoraConfig {
    /// The matrices that get an adapter.
    fn adapted<'a>(&self, all: &[&'a Leaf], whole: &[&Leaf]) -> Result<Vec<&'a Leaf>, String> {
        let matrices = all.iter().copied().filter(|leaf| leaf.shape.len() == 2);
        let mut adapted: Vec<&Leaf> = if self.on.is_empty() {
            matrices.filter(|leaf| leaf.is_linear_weight()).collect()
        } else {
            named("finetune.lora.on", &self.on, &matrices.collect::<Vec<_>>())?
        };
        adapted.retain(|leaf| !whole.contains(leaf));
        if adapted.is_empty() {
            return Err(
                "finetune.lora.on: no matrix is left to adapt; name some that finetune.lora.train \
                 does not"
                    .into(),
            );
        }
        let rank = self.rank;
        match adapted
            .iter()
            .find(|leaf| leaf.shape.iter().any(|side| *side < rank))
        {
            None => Ok(adapted),
            Some(leaf) => Err(format!(
                "finetune.lora.rank = {rank}: {} is {:?}, which has no higher rank than its smaller \
                 side; lower the rank, or name the matrix in finetune.lora.train",
                leaf.path, leaf.shape
            )),
        }
    }
}

/// A model that is trained, as a plain one: without adapters, and with nothing frozen for whoever
/// trains it next.
pub(crate) fn finished<M: Module>(model: M) -> M {
    model.materialize().unfreeze().valid()
}

/// What a recipe does with the parameters of one model.
#[derive(Default)]
struct Chosen {
    /// Parameters and flags that are frozen.
    frozen: Vec<ParamId>,
    /// Beside adapters: parameters that are trained as they are.
    whole: Vec<ParamId>,
    /// Matrices that get an adapter.
    adapted: Vec<ParamId>,
}

fn ids(leaves: &[&Leaf]) -> Vec<ParamId> {
    leaves.iter().map(|leaf| leaf.id).collect()
}

/// The leaves among `all` that some pattern fits, if every pattern fits some.
fn named<'a>(key: &str, patterns: &[String], all: &[&'a Leaf]) -> Result<Vec<&'a Leaf>, String> {
    let is_named = |pattern: &String| all.iter().any(|leaf| fits(pattern, &leaf.path));
    let Some(stray) = patterns.iter().find(|pattern| !is_named(pattern)) else {
        let some = |leaf: &&&Leaf| patterns.iter().any(|pattern| fits(pattern, &leaf.path));
        return Ok(all.iter().filter(some).copied().collect());
    };
    let mut likely: Vec<String> = Vec::new();
    let mut first_names: Vec<&str> = Vec::new();
    for leaf in all {
        let modules = leaf.path.match_indices('.');
        likely.extend(modules.map(|(end, _)| format!("{}.*", &leaf.path[..end])));
        likely.push(leaf.path.clone());
        let first = leaf.path.split('.').next().unwrap_or_default();
        if !first_names.contains(&first) {
            first_names.push(first);
        }
    }
    let guess = DidYouMean(nearest(stray, likely.iter().map(String::as_str)));
    Err(format!(
        "{key}: {:?} names nothing{guess}; to name there is what begins with: {}",
        brief(stray),
        first_names.join(", ")
    ))
}

/// Whether a pattern fits a whole name; `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        // The first place it is found at leaves most to what follows.
        match name.split_once(part) {
            Some((_, rest)) => name = rest,
            None => return false,
        }
    }
    name.ends_with(end)
}

/// The path of the module that holds a parameter.
fn owner(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(owner, _)| owner)
}

/// What a model's parameters and switches are called, in its own order.
struct Names {
    parameters: Vec<Leaf>,
    switches: Vec<Switch>,
}

impl Names {
    fn of<M: Module>(model: &M) -> Self {
        let mut parameters = zoo_weights::leaves(model);
        parameters.retain(|leaf| !leaf.is_statistic());
        Self {
            parameters,
            switches: zoo_weights::switches(model),
        }
    }
}

fn is_below(leaf: &Leaf, module: &str) -> bool {
    let rest = leaf.path.strip_prefix(module);
    module.is_empty() || rest.is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let name = "layer1.0.conv1.weight";
        for pattern in ["*", name, "layer1.*", "*.weight", "*.0.*", "l*1*1*t", "**"] {
            assert!(fits(pattern, name), "{pattern}");
        }
        for pattern in [
            "",
            "layer1",
            "layer1.",
            "weight",
            "*.bias",
            "*.1.*",
            "layer1.*x*",
        ] {
            assert!(!fits(pattern, name), "{pattern}");
        }
        assert!(
            !fits("a*a", "a") && fits("a*a", "aa"),
            "no letter counts twice"
        );
    }

    #[derive(Module, Debug)]
    struct Part {
        linear: Linear,
        norm: BatchNorm,
        dropout: Dropout,
    }

    #[derive(Module, Debug)]
    struct Whole {
        parts: Vec<Part>,
        head: Linear,
    }

    #[test]
    fn norms_and_dropout_stop_training_with_what_is_frozen() {
        let device = Device::flex();
        let part = || Part {
            linear: LinearConfig::new(4, 4).init(&device),
            norm: BatchNormConfig::new(4).init(&device),
            dropout: DropoutConfig::new(0.5).init(),
        };
        // Whether the norm and the dropout of either part train.
        let trains = |finetune: Finetune| -> [bool; 4] {
            let model = Whole {
                parts: vec![part(), part()],
                head: LinearConfig::new(4, 2).init(&device),
            };
            let model = finetune.apply(number(model), 1).unwrap().train();
            let flags = |part: &Part| {
                [&part.norm.training, &part.dropout.training].map(|flag| flag.is_enabled())
            };
            let [first, second] = [flags(&model.parts[0]), flags(&model.parts[1])];
            [first[0], first[1], second[0], second[1]]
        };
        let freeze = |patterns: &[&str]| Finetune {
            freeze: patterns
                .iter()
                .map(|pattern| (*pattern).to_owned())
                .collect(),
            ..Finetune::default()
        };
        assert_eq!(trains(freeze(&[])), [true; 4]);
        assert_eq!(trains(freeze(&["parts.0.*"])), [false, false, true, true]);
        assert_eq!(trains(freeze(&["*.norm.*"])), [false, true, false, true]);
        assert_eq!(trains(freeze(&["*.weight"])), [true; 4]);
        let lora = |train: &[&str]| Finetune {
            lora: Some(LoraConfig {
                rank: 2,
                train: train.iter().map(|pattern| (*pattern).to_owned()).collect(),
                ..LoraConfig::default()
            }),
            ..Finetune::default()
        };
        assert_eq!(trains(lora(&[])), [false, true, false, true]);
        assert_eq!(
            trains(lora(&["parts.1.norm.bias"])),
            [false, true, true, true]
        );
    }
}
