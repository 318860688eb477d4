//! An optimizer's state in a file, held against the model before Burn reads it: what does not fit would
//! be passed over in silence, or end the program at the first step.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::store::burn_pack::{HEADER_SIZE, Header, Reader, Scalar};
use burn::tensor::{DType, Tensor, TensorData};

use super::{OptimizerConfig, OptimizerName};

/// The longest table of a state, in bytes: for each tensor of the model, of which an optimizer keeps
/// four more, with some 150 bytes each.
const TABLE_PER_TENSOR: u64 = 2 << 10;
const TABLE_AT_LEAST: u64 = 64 << 10;

/// The entry that Burn adds: the number of a parameter's sides.
const RANK: &str = "__rank";
/// Ends the name of the count of a parameter's steps.
const TIME: &str = "time";

/// A parameter that is trained.
struct Parameter {
    path: String,
    shape: Vec<usize>,
    dtype: DType,
}

/// What a file holds of a parameter, by the optimizer's names.
#[derive(Default)]
struct Held {
    tensors: BTreeMap<String, (DType, Vec<usize>)>,
    scalars: BTreeMap<String, Scalar>,
}

/// Whether a file holds what such an optimizer keeps of each trained parameter of a model after
/// `steps` steps.
///
/// # Errors
/// What does not fit, with the parameter's name.
pub(super) fn check<M: Module>(
    config: &OptimizerConfig,
    model: &M,
    path: &Path,
    steps: usize,
) -> Result<(), String> {
    let parameters = trained(model);
    let mut held = read(path, zoo_weights::leaves(model).len())?;
    for (id, parameter) in &parameters {
        let kept = held.remove(id);
        let kept = match kept {
            None if steps == 0 => continue,
            None => return Err(format!("holds nothing of {}", parameter.path)),
            Some(kept) => kept,
        };
        fits(config, parameter, &kept, steps)
            .map_err(|problem| format!("{}: {problem}", parameter.path))?;
    }
    match held.keys().next() {
        None => Ok(()),
        Some(id) => Err(format!(
            "holds something of parameter {id}, which is none that this model trains"
        )),
    }
}

/// Holds what is kept of one parameter against what such an optimizer keeps of it.
fn fits(
    config: &OptimizerConfig,
    parameter: &Parameter,
    held: &Held,
    steps: usize,
) -> Result<(), String> {
    let rank = parameter.shape.len();
    let expected = kept(config.name, config.momentum > 0.0, rank);
    if !expected.is(held) {
        let names = NAMES.iter().flat_map(|(name, text)| {
            let plain = kept(*name, false, rank)
                .is(held)
                .then(|| (*text).to_owned());
            let momentum = kept(*name, true, rank).is(held) && plain.is_none();
            plain
                .into_iter()
                .chain(momentum.then(|| format!("{text} with momentum")))
        });
        let names: Vec<String> = names.collect();
        let own = NAMES.iter().find(|(name, _)| *name == config.name);
        return Err(format!(
            "is the state of {}, and the optimizer is {}{}",
            match names.len() {
                0 => "no optimizer known here".into(),
                _ => names.join(" or "),
            },
            own.map_or("another", |(_, name)| *name),
            match (config.name, config.momentum) {
                (OptimizerName::Sgd, 0.0) => " without momentum".to_owned(),
                (_, 0.0) => String::new(),
                (_, momentum) => format!(" with a momentum of {momentum}"),
            }
        ));
    }
    for (name, side) in &expected.tensors {
        let (dtype, shape) = &held.tensors[*name];
        let fitting = side.of(&parameter.shape);
        if *shape != fitting {
            return Err(format!("{name} is {shape:?}, expected {fitting:?}"));
        }
        // Adafactor computes in single precision whatever the weights are.
        let dtypes = [parameter.dtype, DType::F32];
        if !dtypes[..if config.name == OptimizerName::Adafactor {
            2
        } else {
            1
        }]
            .contains(dtype)
        {
            return Err(format!(
                "{name} is of {dtype:?}, expected {:?}",
                parameter.dtype
            ));
        }
    }
    if held.scalars.get(RANK) != Some(&Scalar::from(rank)) {
        return Err(format!("is not said to have {rank} sides"));
    }
    let time = held.scalars.iter().find(|(name, _)| name.ends_with(TIME));
    let Some((_, time)) = time else { return Ok(()) };
    match usize::try_from(*time) {
        Ok(time) if (1..=steps).contains(&time) => Ok(()),
        Ok(time) => Err(format!("has made {time} of {steps} steps")),
        Err(_) => Err("its steps are no number".into()),
    }
}

/// The optimizers by the names that a recipe has for them.
const NAMES: [(OptimizerName, &str); 9] = [
    (OptimizerName::Sgd, "sgd"),
    (OptimizerName::Adam, "adam"),
    (OptimizerName::AdamW, "adamw"),
    (OptimizerName::Adan, "adan"),
    (OptimizerName::AdaGrad, "adagrad"),
    (OptimizerName::Adafactor, "adafactor"),
    (OptimizerName::RmsProp, "rmsprop"),
    (OptimizerName::Lamb, "lamb"),
    (OptimizerName::Lion, "lion"),
];

/// The shape of a tensor that is kept of a parameter.
#[derive(Clone, Copy)]
enum Side {
    /// The parameter's.
    Same,
    /// The parameter's, averaged over the last side, or the one before it.
    Rows,
    Columns,
}

impl Side {
    fn of(self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        let from_end = match self {
            Self::Same => return shape,
            Self::Rows => 1,
            Self::Columns => 2,
        };
        let at = shape.len() - from_end;
        shape[at] = 1;
        shape
    }
}

/// What an optimizer keeps of a parameter: Burn's names, and whether its steps are counted.
struct Kept {
    tensors: Vec<(&'static str, Side)>,
    time: Option<&'static str>,
}

impl Kept {
    fn is(&self, held: &Held) -> bool {
        let mut tensors: Vec<&str> = self.tensors.iter().map(|(name, _)| *name).collect();
        tensors.sort_unstable();
        let scalars = held.scalars.keys().map(String::as_str);
        let scalars = scalars.filter(|name| *name != RANK);
        held.tensors.keys().eq(tensors) && scalars.eq(self.time)
    }
}

/// What Burn's optimizers, as [`OptimizerConfig::build`] makes them, keep of a parameter.
fn kept(name: OptimizerName, has_momentum: bool, rank: usize) -> Kept {
    let same = |names: &[&'static str]| names.iter().map(|name| (*name, Side::Same)).collect();
    let (tensors, time) = match name {
        OptimizerName::Sgd if has_momentum => (same(&["momentum.velocity"]), None),
        OptimizerName::Sgd => (Vec::new(), None),
        OptimizerName::Adam | OptimizerName::AdamW => (
            same(&["momentum.moment_1", "momentum.moment_2"]),
            Some("momentum.time"),
        ),
        OptimizerName::Adan => (
            same(&[
                "momentum.exp_avg",
                "momentum.exp_avg_sq",
                "momentum.exp_avg_diff",
                "momentum.neg_pre_grad",
            ]),
            Some("momentum.time"),
        ),
        OptimizerName::AdaGrad => (same(&["lr_decay.sum"]), Some("lr_decay.time")),
        OptimizerName::Adafactor if rank >= 2 => (
            vec![
                ("second_moment", Side::Rows),
                ("column_second_moment", Side::Columns),
            ],
            Some(TIME),
        ),
        OptimizerName::Adafactor => (same(&["second_moment"]), Some(TIME)),
        OptimizerName::RmsProp => {
            let mut tensors = same(&["square_avg.square_avg", "centered.avg"]);
            if has_momentum {
                tensors.push(("momentum.buf", Side::Same));
            }
            (tensors, None)
        }
        OptimizerName::Lamb => (same(&["moment_1", "moment_2"]), Some(TIME)),
        OptimizerName::Lion => (same(&["momentum"]), None),
    };
    Kept { tensors, time }
}

/// The parameters of a model that a step changes.
fn trained<M: Module>(model: &M) -> BTreeMap<u64, Parameter> {
    struct Trained(BTreeMap<ParamId, DType>);
    impl ModuleVisitor for Trained {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            if tensor.is_require_grad() {
                self.0.insert(param.id, tensor.dtype());
            }
        }
    }
    let mut trained = Trained(BTreeMap::new());
    model.visit(&mut trained);
    let leaves = zoo_weights::leaves(model).into_iter();
    let parameters = leaves.filter_map(|leaf| {
        let parameter = Parameter {
            dtype: *trained.0.get(&leaf.id)?,
            path: leaf.path,
            shape: leaf.shape,
        };
        Some((leaf.id.val(), parameter))
    });
    parameters.collect()
}

/// What a file holds, by the parameters' numbers. Tensors are read one by one, and kept none.
fn read(path: &Path, tensors: usize) -> Result<BTreeMap<u64, Held>, String> {
    let mut file = zoo_files::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let mut header = [0; HEADER_SIZE];
    file.read_exact(&mut header)
        .map_err(|error| error.to_string())?;
    let header = Header::from_bytes(&header).map_err(|error| error.to_string())?;
    let (length, most) = (
        u64::from(header.metadata_size),
        TABLE_AT_LEAST + TABLE_PER_TENSOR * tensors as u64,
    );
    if length > most.min(size) {
        return Err(format!(
            "its table has {length} bytes, more than the {} that are read of a file of {size} for a \
             model of {tensors} tensors",
            most.min(size)
        ));
    }
    let reader = Reader::from_file_exact(path).map_err(|error| error.to_string())?;
    let mut held: BTreeMap<u64, Held> = BTreeMap::new();
    let whose = |name: &str| {
        let (id, field) = name.split_once('.')?;
        Some((id.parse::<u64>().ok()?, field.to_owned()))
    };
    let unknown = |name: &str| format!("{name:.40?} is of no parameter");
    for (name, value) in reader.scalars() {
        let (id, field) = whose(name).ok_or_else(|| unknown(name))?;
        held.entry(id).or_default().scalars.insert(field, *value);
    }
    for tensor in reader.into_tensors().map_err(|error| error.to_string())? {
        let parts = tensor.into_parts().map_err(|error| error.to_string())?;
        let (name, dtype, shape, param, bytes) = parts;
        let (id, field) = whose(&name).ok_or_else(|| unknown(&name))?;
        if param != Some(id) {
            return Err(unknown(&name));
        }
        let shape = shape.to_vec();
        let data = TensorData::from_bytes(bytes, shape.clone(), dtype);
        if dtype.is_float() && !data.iter::<f64>().all(f64::is_finite) {
            return Err(format!("{name:.40} holds NaN or infinity"));
        }
        (held.entry(id).or_default().tensors).insert(field, (dtype, shape));
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::store::burn_pack::{self, Bytes, Writer};
    use burn::tensor::{Device, Shape, Tensor};

    use super::*;
    use crate::params::number;

    /// Parameters of one, two and three sides, one of which is not trained.
    #[derive(Module, Debug)]
    struct Net {
        fc: Linear,
        norm: LayerNorm,
        token: Param<Tensor<3>>,
        frozen: Param<Tensor<1>>,
    }

    const STEPS: usize = 3;

    fn net() -> Net {
        let device = Device::flex().autodiff();
        let frozen = Param::from_tensor(Tensor::<1>::ones([2], &device));
        number(Net {
            fc: LinearConfig::new(3, 2).init(&device),
            norm: LayerNormConfig::new(2).init(&device),
            token: Param::from_tensor(Tensor::<3>::ones([2, 1, 2], &device)),
            frozen: frozen.set_require_grad(false),
        })
    }

    fn config(name: OptimizerName, momentum: f64) -> OptimizerConfig {
        OptimizerConfig {
            name,
            momentum,
            ..OptimizerConfig::default()
        }
    }

    fn all() -> Vec<OptimizerConfig> {
        let plain = NAMES.iter().map(|(name, _)| config(*name, 0.0));
        let moving = [OptimizerName::Sgd, OptimizerName::RmsProp].map(|name| config(name, 0.9));
        plain.chain(moving).collect()
    }

    /// What Burn saves after some steps.
    fn saved(config: &OptimizerConfig, path: &Path) -> Net {
        let mut net = net();
        let mut optimizer = config.build(&net);
        for _ in 0..STEPS {
            let x = Tensor::<2>::ones([1, 3], &Device::flex().autodiff());
            let loss = net.norm.forward(net.fc.forward(x)).sum()
                + net.token.val().sum()
                + net.frozen.val().sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &net);
            net = optimizer.step(0.1, net, gradients);
        }
        optimizer.save(path).unwrap();
        net
    }

    type Parts = (String, DType, Shape, Option<u64>, Vec<u8>);
    /// What is done to a state's tensors and numbers.
    type Change<'a> = &'a dyn Fn(&mut Vec<Parts>, &mut BTreeMap<String, Scalar>);

    /// The file, changed.
    fn forge(path: &Path, change: impl FnOnce(&mut Vec<Parts>, &mut BTreeMap<String, Scalar>)) {
        let reader = Reader::from_bytes(Bytes::from_bytes_vec(std::fs::read(path).unwrap()));
        let reader = reader.unwrap();
        let mut scalars = reader.scalars().clone();
        let tensors = reader.into_tensors().unwrap().into_iter();
        let parts = tensors.map(|tensor| {
            let (name, dtype, shape, id, bytes) = tensor.into_parts().unwrap();
            (name, dtype, shape, id, bytes.to_vec())
        });
        let mut tensors: Vec<Parts> = parts.collect();
        change(&mut tensors, &mut scalars);
        let tensors = tensors.into_iter().map(|(name, dtype, shape, id, bytes)| {
            burn_pack::Tensor::new(name, dtype, shape, id, Bytes::from_bytes_vec(bytes))
        });
        let mut writer = Writer::new(tensors.collect());
        for (name, value) in scalars {
            writer = writer.with_scalar(&name, value);
        }
        std::fs::write(path, &writer.into_bytes().unwrap()[..]).unwrap();
    }

    #[test]
    fn every_optimizer_opens_its_own_state_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optimizer.bpk");
        for config in all() {
            let net = saved(&config, &path);
            for other in all() {
                let said = check(&other, &net, &path, STEPS);
                let kept = |config: &OptimizerConfig| {
                    let kept = kept(config.name, config.momentum > 0.0, 2);
                    (
                        kept.tensors
                            .iter()
                            .map(|(name, _)| *name)
                            .collect::<Vec<_>>(),
                        kept.time,
                    )
                };
                let Err(said) = said else {
                    assert_eq!(kept(&other), kept(&config), "{config:?} as {other:?}");
                    continue;
                };
                assert_ne!(kept(&other), kept(&config), "{config:?}: {said}");
                let names = [&config, &other].map(|config| {
                    NAMES
                        .iter()
                        .find(|(name, _)| *name == config.name)
                        .unwrap()
                        .1
                });
                assert!(
                    said.starts_with("fc.weight: ") && names.iter().all(|name| said.contains(name)),
                    "{said}"
                );
            }
            // And what was taken makes a step.
            config.load(&net, &path, STEPS).unwrap();
        }
    }

    #[test]
    fn a_state_that_does_not_fit_is_refused_by_the_parameters_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optimizer.bpk");
        let config = config(OptimizerName::Adam, 0.0);
        let refused = |change: Change<'_>| {
            let net = saved(&config, &path);
            forge(&path, |tensors, scalars| change(tensors, scalars));
            let error = config.load(&net, &path, STEPS).err();
            error.expect("it was taken").to_string()
        };
        fn of<'a>(tensors: &'a mut [Parts], name: &str) -> &'a mut Parts {
            tensors.iter_mut().find(|parts| parts.0 == name).unwrap()
        }
        // Of the linear layer's weight, `[3, 2]`, and its bias, `[2]`.
        let said = refused(&|tensors, _| of(tensors, "1.momentum.moment_2").2 = [2, 3].into());
        assert!(
            said.contains("fc.weight: momentum.moment_2 is [2, 3], expected [3, 2]"),
            "{said}"
        );
        let said = refused(&|tensors, _| of(tensors, "1.momentum.moment_1").2 = [6].into());
        assert!(
            said.contains("fc.weight: momentum.moment_1 is [6], expected [3, 2]"),
            "{said}"
        );
        let said = refused(&|tensors, _| {
            let parts = of(tensors, "2.momentum.moment_1");
            (parts.1, parts.4) = (DType::F64, vec![0; 16]);
        });
        assert!(
            said.contains("fc.bias: momentum.moment_1 is of F64, expected F32"),
            "{said}"
        );
        let said = refused(&|tensors, _| of(tensors, "2.momentum.moment_1").1 = DType::I32);
        assert!(
            said.contains("fc.bias: momentum.moment_1 is of I32"),
            "{said}"
        );
        for wrong in [f32::NAN, f32::INFINITY] {
            let said = refused(&|tensors, _| {
                of(tensors, "2.momentum.moment_2").4[4..].copy_from_slice(&wrong.to_le_bytes());
            });
            assert!(
                said.contains("2.momentum.moment_2 holds NaN or infinity"),
                "{said}"
            );
        }
        let said = refused(&|tensors, _| tensors.retain(|parts| parts.0 != "1.momentum.moment_2"));
        assert!(
            said.contains("fc.weight: is the state of no optimizer"),
            "{said}"
        );
        let without = |id: &'static str| {
            move |tensors: &mut Vec<Parts>, scalars: &mut BTreeMap<String, Scalar>| {
                tensors.retain(|parts| !parts.0.starts_with(id));
                scalars.retain(|name, _| !name.starts_with(id));
            }
        };
        let said = refused(&without("2."));
        assert!(said.contains("holds nothing of fc.bias"), "{said}");
        // The frozen parameter, and one that is not there.
        for id in [6, 99] {
            let said = refused(&|tensors, scalars| {
                let (_, dtype, shape, _, bytes) = of(tensors, "2.momentum.moment_1").clone();
                tensors.push((
                    format!("{id}.momentum.moment_1"),
                    dtype,
                    shape,
                    Some(id),
                    bytes,
                ));
                scalars.insert(format!("{id}.{RANK}"), Scalar::from(1_usize));
            });
            assert!(
                said.contains(&format!("holds something of parameter {id}")),
                "{said}"
            );
        }
        let said = refused(&|tensors, _| of(tensors, "2.momentum.moment_1").3 = Some(1));
        assert!(said.contains("is of no parameter"), "{said}");
        for time in [
            Scalar::UInt(0),
            Scalar::UInt(4),
            Scalar::UInt(u64::MAX),
            Scalar::Int(-1),
        ] {
            let said = refused(&|_, scalars| {
                scalars.insert("1.momentum.time".into(), time);
            });
            assert!(
                said.contains("fc.weight: ") && said.contains("steps"),
                "{said}"
            );
        }
        for rank in [Scalar::UInt(3), Scalar::UInt(99), Scalar::Bool(true)] {
            let said = refused(&|_, scalars| {
                scalars.insert(format!("1.{RANK}"), rank);
            });
            assert!(
                said.contains("fc.weight: is not said to have 2 sides"),
                "{said}"
            );
        }
        let said = refused(&|tensors, scalars| {
            tensors.clear();
            scalars.clear();
        });
        assert!(said.contains("holds nothing of"), "{said}");
    }

    #[test]
    fn a_table_that_is_longer_than_its_file_is_not_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optimizer.bpk");
        let config = config(OptimizerName::Adam, 0.0);
        let net = saved(&config, &path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[6..10].copy_from_slice(&(100_u32 << 20).to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let said = config.load(&net, &path, STEPS).err().unwrap().to_string();
        assert!(
            said.contains("its table has 104857600 bytes, more than"),
            "{said}"
        );
        // With holes, it is as long as it says.
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(200 << 20).unwrap();
        let said = config.load(&net, &path, STEPS).err().unwrap().to_string();
        assert!(
            said.contains("its table has 104857600 bytes, more than"),
            "{said}"
        );
    }
}
