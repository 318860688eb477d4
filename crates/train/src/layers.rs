//! The layers of a model for layer-wise decay of the learning rate, as the papers count them (Clark et
//! al. 2020, "ELECTRA"; Bao et al. 2021, "BEiT"): what comes before the first block is one layer (class
//! token, positions and patch embedding; or all embeddings), every block is one, and what comes after
//! the last block is one (the final norm and the head).

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::tensor::{Device, Tensor};

use crate::batch::Batch;
use crate::task::Task;

/// A parameter's place in a model.
struct Place {
    id: ParamId,
    path: String,
    /// The block that it belongs to: the path up to the first element of a list of modules.
    block: Option<String>,
}

/// Every parameter and running statistic, in the order of the model's fields.
fn places<M: Module>(model: &M) -> Vec<Place> {
    #[derive(Default)]
    struct List {
        /// Names, and whether each is the number of a list's element.
        at: Vec<(String, bool)>,
        places: Vec<Place>,
    }
    impl ModuleVisitor for List {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.at.push((name.to_owned(), container_type == "Vec"));
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.at.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let path = |names: &[(String, bool)]| {
                let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
                names.join(".")
            };
            let element = self.at.iter().position(|(_, is_element)| *is_element);
            self.places.push(Place {
                id: param.id,
                path: path(&self.at),
                block: element.map(|element| path(&self.at[..=element])),
            });
        }
    }
    let mut list = List::default();
    model.visit(&mut list);
    list.places
}

/// Paths of parameters, in the order in which a forward pass first reads them: fields may stand in
/// another one (ConvNeXt's downsampling layers stand after all of its blocks). Burn makes a lazy
/// parameter when it is read, and these are lazy ones whose making is the message.
pub(crate) fn order_of_use<M: Module>(
    model: &M,
    task: &dyn Task<M>,
    example: Batch,
    device: &Device,
) -> Vec<String> {
    struct Watch {
        path: Vec<String>,
        read: Arc<Mutex<Vec<String>>>,
    }
    impl ModuleMapper for Watch {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (path, read) = (self.path.join("."), self.read.clone());
            let (id, tensor, _) = param.consume();
            let (device, shape) = (tensor.device(), tensor.shape());
            let make = move |_: &Device, _: bool| {
                read.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(path);
                tensor
            };
            Param::uninitialized(id, make, device, false, shape)
        }
    }
    let read = Arc::new(Mutex::new(Vec::new()));
    let watched = model.valid().map(&mut Watch {
        path: Vec::new(),
        read: read.clone(),
    });
    task.tally().add(&watched, example, device);
    drop(watched);
    let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *read)
}

/// The parameters of each layer, the first layer first. A model without lists of blocks has a layer
/// for each of its fields.
fn layers(mut places: Vec<Place>, order: &[String]) -> Vec<Vec<ParamId>> {
    // An adapter's factors are below what they adapt. What is not read comes last.
    let first_read = |place: &Place| {
        let is_it = |read: &String| {
            let rest = place.path.strip_prefix(read.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        order.iter().position(is_it).unwrap_or(order.len())
    };
    places.sort_by_cached_key(first_read);
    let has_blocks = places.iter().any(|place| place.block.is_some());
    let mut layers: Vec<(Option<String>, Vec<ParamId>)> = Vec::new();
    // What is read since the last block began and belongs to none.
    let mut loose: Vec<ParamId> = Vec::new();
    for Place { id, path, block } in places {
        let first_name = || path.split('.').next().unwrap_or_default().to_owned();
        let name = if has_blocks {
            block
        } else {
            Some(first_name())
        };
        let Some(name) = name else {
            loose.push(id);
            continue;
        };
        let known = layers
            .iter()
            .position(|(layer, _)| layer.as_ref() == Some(&name));
        let at = known.unwrap_or_else(|| {
            match layers.last_mut() {
                // A norm between two stacks ends the first one.
                Some((_, last)) => last.append(&mut loose),
                None if loose.is_empty() => {}
                None => layers.push((None, std::mem::take(&mut loose))),
            }
            layers.push((Some(name), Vec::new()));
            layers.len() - 1
        });
        layers[at].1.push(id);
    }
    if !loose.is_empty() {
        layers.push((None, loose));
    }
    layers.into_iter().map(|(_, ids)| ids).collect()
}

/// The learning rates of a model's layers.
#[derive(Default)]
pub(crate) struct Rates(Vec<(ParamGroup, f64)>);

impl Rates {
    /// Each layer's share of the full rate, for a `decay` of one or less; `order` is that of
    /// [`order_of_use`].
    pub(crate) fn by_layer<M: Module>(model: &M, decay: f64, order: &[String]) -> Self {
        let from_the_last = layers(places(model), order).into_iter().rev().enumerate();
        let rates =
            from_the_last.map(|(depth, ids)| (ParamGroup::from_ids(ids), decay.powi(depth as i32)));
        Self(rates.collect())
    }

    /// The layers' rates where the last one's is `full`.
    pub(crate) fn at(&self, full: f64) -> ModuleLearningRate {
        let all = ModuleLrScheduler::new(full);
        let mut all = self.0.iter().fold(all, |all, (group, share)| {
            all.with_group(group.clone(), full * share)
        });
        all.step()
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
    use burn::tensor::TensorData;

    use super::*;
    use crate::finetune::{Finetune, LoraConfig};
    use crate::metric::{Metric, Metrics};
    use crate::params::number;
    use crate::task::Tally;

    fn linear(device: &Device) -> Linear {
        LinearConfig::new(2, 2).init(device)
    }

    #[derive(Module, Debug)]
    struct Block {
        first: Linear,
        second: Linear,
    }

    impl Block {
        fn forward(&self, x: Tensor<2>) -> Tensor<2> {
            self.second.forward(self.first.forward(x))
        }
    }

    /// A Vision Transformer's outline, with a downsampling list that stands after the blocks it is
    /// used between, and a stem of two layers in a tuple.
    #[derive(Module, Debug)]
    struct Outline {
        class_token: Param<Tensor<2>>,
        positions: Param<Tensor<2>>,
        stem: (Linear, Linear),
        blocks: Vec<Block>,
        between: Vec<(LayerNorm, Linear)>,
        norm: LayerNorm,
        head: Linear,
    }

    impl Outline {
        fn new(device: &Device) -> Self {
            let block = |_| Block {
                first: linear(device),
                second: linear(device),
            };
            let norm = || LayerNormConfig::new(2).init(device);
            number(Self {
                class_token: Param::from_tensor(Tensor::ones([1, 2], device)),
                positions: Param::from_tensor(Tensor::ones([1, 2], device)),
                stem: (linear(device), linear(device)),
                blocks: (0..3).map(block).collect(),
                between: (0..2).map(|_| (norm(), linear(device))).collect(),
                norm: norm(),
                head: linear(device),
            })
        }

        fn forward(&self, x: Tensor<2>) -> Tensor<2> {
            let x = self.stem.1.forward(self.stem.0.forward(x)) + self.class_token.val();
            let mut x = x + self.positions.val();
            for (number, block) in self.blocks.iter().enumerate() {
                x = block.forward(x);
                if let Some((norm, linear)) = self.between.get(number) {
                    x = linear.forward(norm.forward(x));
                }
            }
            self.head.forward(self.norm.forward(x))
        }
    }

    /// A task that only lets points pass.
    struct Forward<M>(fn(&M, Tensor<2>) -> Tensor<2>);

    impl<M> Task<M> for Forward<M> {
        fn metrics(&self, _: &Batch) -> Vec<Metric> {
            Vec::new()
        }
        fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
            (self.0)(model, batch.float("points", device)).mean()
        }
        fn tally(&self) -> Box<dyn Tally<M> + '_> {
            Box::new(Forward(self.0))
        }
    }

    impl<M> Tally<M> for Forward<M> {
        fn add(&mut self, model: &M, mut batch: Batch, device: &Device) {
            let _ = (self.0)(model, batch.float("points", device));
        }
        fn metrics(&self) -> Metrics {
            Metrics::new()
        }
    }

    /// The first names and numbers of what is in each layer of a model, the first layer first.
    fn named<M: Module + 'static>(
        model: &M,
        forward: fn(&M, Tensor<2>) -> Tensor<2>,
        adapt: impl Fn(M) -> M,
    ) -> Vec<Vec<String>> {
        let example = Batch::new(1).with("points", TensorData::new(vec![0.5_f32, -0.5], [1, 2]));
        let task = Forward(forward);
        let order = order_of_use(model, &task, example, &Device::flex());
        let model = adapt(model.valid());
        let paths = places(&model);
        let name = |id: ParamId| {
            let place = paths.iter().find(|place| place.id == id).unwrap();
            let mut parts = place.path.split('.');
            let first = parts.next().unwrap_or_default();
            match parts.next().filter(|next| next.parse::<usize>().is_ok()) {
                Some(number) => format!("{first}.{number}"),
                None => first.to_owned(),
            }
        };
        let layers = layers(places(&model), &order).into_iter();
        layers
            .map(|ids| {
                let mut names: Vec<String> = ids.into_iter().map(name).collect();
                names.dedup();
                names
            })
            .collect()
    }

    #[test]
    fn layers_are_the_papers() {
        let expected: &[&[&str]] = &[
            &["stem.0", "stem.1", "class_token", "positions"],
            &["blocks.0"],
            &["between.0"],
            &["blocks.1"],
            &["between.1"],
            &["blocks.2"],
            &["norm", "head"],
        ];
        let model = Outline::new(&Device::flex());
        assert_eq!(named(&model, Outline::forward, |model| model), expected);
        // Adapters belong to what they adapt.
        let finetune = Finetune {
            lora: Some(LoraConfig {
                rank: 1,
                ..LoraConfig::default()
            }),
            ..Finetune::default()
        };
        let adapted = named(&model, Outline::forward, |model| {
            finetune.apply(model, 1).unwrap()
        });
        assert_eq!(adapted, expected);
    }

    #[test]
    fn a_model_without_blocks_has_a_layer_a_field() {
        #[derive(Module, Debug)]
        struct LeNet {
            conv1: Conv2d,
            conv2: Conv2d,
            fc: Linear,
        }
        let device = Device::flex();
        let conv = || Conv2dConfig::new([1, 1], [1, 1]).init(&device);
        let model = number(LeNet {
            conv1: conv(),
            conv2: conv(),
            fc: linear(&device),
        });
        let forward = |model: &LeNet, x: Tensor<2>| {
            let x = x.reshape([1, 1, 1, 2]);
            let x = model.conv2.forward(model.conv1.forward(x));
            model.fc.forward(x.reshape([1, 2]))
        };
        let layers = named(&model, forward, |model| model);
        assert_eq!(layers, [["conv1"], ["conv2"], ["fc"]]);
    }

    #[test]
    fn the_first_layer_of_many_decays_most() {
        let model = Outline::new(&Device::flex());
        let rates = Rates::by_layer(&model, 0.5, &[]);
        let shares: Vec<f64> = rates.0.iter().map(|(_, share)| *share).collect();
        assert_eq!(shares, [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]);
    }
}
