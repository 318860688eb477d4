//! The layer table of `zoo show`: output shapes, parameters and multiply-adds of any module.
//!
//! Nothing here knows a model and no model knows this. The model's parameters are moved to Burn's
//! capture device, its forward pass is run there (recorded, not computed), and the recorded
//! operations are read back: an operation that takes a parameter belongs to the module that owns
//! the parameter. Products without parameters, such as attention scores, get rows of their own.
//!
//! A multiply-add is one product and one addition inside a matrix product, a convolution or an
//! attention: what papers count. Norms, activations, biases and pooling count nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bool, CaptureError, CapturedGraph, Device, DeviceConfig, Int, Tensor};
use burn_ir::{
    FloatOperationIr, IntOperationIr, ModuleOperationIr, OperationIr, TensorId, TensorIr,
};
use serde::Serialize;
use zoo_print::columns::{Cell, table};

use crate::devices::catch_panic;
use crate::error::Error;

/// The layers of a model, in the order in which the forward pass reaches them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// One row a layer.
    pub layers: Vec<Layer>,
    /// All trainable numbers, each counted once however often it is used.
    pub parameters: usize,
    /// Numbers that are stored but not trained, such as a batch norm's running statistics.
    pub buffers: usize,
    /// Of one forward pass over the input given.
    pub multiply_adds: u64,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The path of the module: `layers.0.conv1`. For an operation without parameters, the module
    /// it happens in, as far as its neighbours tell.
    pub name: String,
    /// The module's type, or the operation's name where there is no module.
    pub kind: String,
    /// The shape of what it puts out; empty where the forward pass does not use the module.
    pub output: Vec<usize>,
    /// Its trainable numbers; 0 in the second row of a module that is used in two ways.
    pub parameters: usize,
    /// Over all its calls.
    pub multiply_adds: u64,
    /// How often the forward pass uses it.
    pub calls: usize,
}

/// Why a model could not be summarised.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// The model could not be built.
    #[error("{0}")]
    Model(Error),
    /// The forward pass panicked: usually an input whose shape does not fit.
    #[error("the forward pass does not run on this input: {0}")]
    Forward(String),
    /// Burn refused to record.
    #[error("Burn could not record the forward pass: {0}")]
    Capture(CaptureError),
    /// Burn's way of recording has changed; see `assign_ids`.
    #[error("Burn recorded {path} with another shape than the model has; this is a bug of zoo")]
    Mismatch {
        /// The parameter's path.
        path: String,
    },
}

/// Records `forward` and adds up what it does.
///
/// `forward` gets the model and the device on which it must make its input (zeros will do: shapes
/// are followed, values are not). Dropout is off and batch norm uses its running statistics, as
/// always on a device without autodiff.
///
/// The model is consumed, because clones of a module share their running statistics and these
/// have moved to the capture device.
///
/// # Errors
/// If the forward pass panics, for instance over the input's shape, or cannot be recorded.
pub fn summarize<M: Module, R>(
    model: M,
    forward: impl FnOnce(&M, &Device) -> R,
) -> Result<Summary, SummaryError> {
    Ok(record(model, DeviceConfig::default(), forward)?.1)
}

/// A forward pass as Burn recorded it, its layers, and the tensor that each of them puts out (none
/// for those that the pass does not use).
pub(crate) type Recorded = (CapturedGraph, Summary, Vec<TensorIr>);

/// Records `forward` with tensors of the given types.
pub(crate) fn record<M: Module, R>(
    model: M,
    types: DeviceConfig,
    forward: impl FnOnce(&M, &Device) -> R,
) -> Result<Recorded, SummaryError> {
    let device = Device::capture();
    let mut mover = Mover::new(&device);
    let captured = catch_panic(|| {
        device.capture_scope(|scope| {
            // A capture device answers for its types only while it captures.
            device
                .clone()
                .configure(types)
                .expect("a capture device that is new and has every type");
            let model = model.map(&mut mover);
            forward(&model, &device);
            scope.complete([], [])
        })
    })
    .map_err(SummaryError::Forward)?
    .map_err(SummaryError::Capture)?;
    let ids = assign_ids(&mover.parameters, &captured)?;
    let mut table = Table::new(&mover.parameters);
    let mut known = ids;
    for operation in &captured.graph.operations {
        table.add(operation, &mut known);
    }
    let outputs = table.rows.iter().map(|row| row.output.clone()).collect();
    let summary = table.finish();
    Ok((captured, summary, outputs))
}

/// The `i`-th parameter moved is the `i`-th value recorded: both are numbered as they come, and
/// the parameters come before the forward pass.
fn assign_ids(
    parameters: &[Parameter],
    captured: &CapturedGraph,
) -> Result<BTreeMap<TensorId, BTreeSet<usize>>, SummaryError> {
    let mut values = captured.values.iter();
    let mut ids = BTreeMap::new();
    for (index, parameter) in parameters.iter().enumerate() {
        match values.next() {
            Some((id, value)) if value.shape().to_vec() == parameter.shape => {
                ids.insert(*id, BTreeSet::from([index]));
            }
            _ => {
                return Err(SummaryError::Mismatch {
                    path: parameter.path.join("."),
                });
            }
        }
    }
    Ok(ids)
}

/// A tensor that a module owns.
struct Parameter {
    /// `["layers", "0", "conv1", "weight"]`
    path: Vec<String>,
    /// The type of the struct that holds it: `Conv2d`.
    owner: String,
    shape: Vec<usize>,
    /// `false` for running statistics and integer tables.
    trainable: bool,
}

impl Parameter {
    fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Moves parameters to the capture device and notes what they were.
struct Mover<'a> {
    device: &'a Device,
    path: Vec<String>,
    owners: Vec<String>,
    parameters: Vec<Parameter>,
}

impl<'a> Mover<'a> {
    fn new(device: &'a Device) -> Self {
        Self {
            device,
            path: Vec::new(),
            owners: Vec::new(),
            parameters: Vec::new(),
        }
    }

    fn note(&mut self, shape: Vec<usize>, trainable: bool) {
        self.parameters.push(Parameter {
            path: self.path.clone(),
            owner: self.owners.last().cloned().unwrap_or_default(),
            shape,
            trainable,
        });
    }
}

impl ModuleMapper for Mover<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push(name.to_owned());
        // `Struct:Conv2d`, `Enum:Norm`, `Vec`
        let owner = container_type
            .split_once(':')
            .map_or(container_type, |(_, name)| name);
        self.owners.push(owner.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
        self.owners.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // A plain device forgets which tensors are trained; `train` remembers.
        let trainable = param.clone().train().base().is_require_grad();
        self.note(param.base().dims().to_vec(), trainable);
        param.map(|tensor| Tensor::from_data(tensor.into_data(), self.device))
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.note(param.base().dims().to_vec(), false);
        param.map(|tensor| Tensor::from_data(tensor.into_data(), self.device))
    }

    fn map_bool<const D: usize>(
        &mut self,
        param: Param<Tensor<D, Bool>>,
    ) -> Param<Tensor<D, Bool>> {
        self.note(param.base().dims().to_vec(), false);
        param.map(|tensor| Tensor::from_data(tensor.into_data(), self.device))
    }
}

/// A row in the making.
struct Row {
    /// Which of [`Table::groups`], or `None` for an operation without parameters.
    group: Option<usize>,
    layer: Layer,
    /// What it put out last.
    output: TensorIr,
    /// What the call began with, to know the next call by.
    first: (&'static str, BTreeSet<usize>),
    /// The parameters used by the call under way.
    used: BTreeSet<usize>,
}

impl Row {
    fn puts_out(&mut self, output: &TensorIr) {
        self.layer.output = output.shape.to_vec();
        self.output = output.clone();
    }
}

/// Parameters that make one row: those of one layer.
struct Group {
    path: Vec<String>,
    kind: String,
    parameters: usize,
    shown: bool,
}

struct Table {
    parameters: usize,
    buffers: usize,
    groups: Vec<Group>,
    /// Parameter -> index into `groups`.
    group_of: Vec<usize>,
    rows: Vec<Row>,
    /// The row of the call under way.
    current: Option<usize>,
}

impl Table {
    fn new(parameters: &[Parameter]) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of = Vec::new();
        for parameter in parameters {
            let (path, kind) = layer_of(parameter, parameters);
            let index = groups.iter().position(|group| group.path == path);
            let index = index.unwrap_or_else(|| {
                groups.push(Group {
                    path: path.to_vec(),
                    kind: kind.to_owned(),
                    parameters: 0,
                    shown: false,
                });
                groups.len() - 1
            });
            if parameter.trainable {
                groups[index].parameters += parameter.count();
            }
            group_of.push(index);
        }
        let sum = |trainable| {
            let chosen = parameters.iter().filter(|p| p.trainable == trainable);
            chosen.map(Parameter::count).sum()
        };
        Self {
            parameters: sum(true),
            buffers: sum(false),
            groups,
            group_of,
            rows: Vec::new(),
            current: None,
        }
    }

    /// Books one operation. `known` says which parameters a tensor was made of.
    fn add(&mut self, operation: &OperationIr, known: &mut BTreeMap<TensorId, BTreeSet<usize>>) {
        let Some(output) = operation.outputs().next() else {
            return;
        };
        let inputs: Vec<_> = operation.inputs().collect();
        let used: BTreeSet<usize> = inputs
            .iter()
            .filter_map(|tensor| known.get(&tensor.id))
            .flatten()
            .copied()
            .collect();
        let (label, multiply_adds) = work_of(operation, output);
        let label = match label {
            // A view or a function of parameters alone: whoever uses it uses them.
            None if inputs.iter().all(|tensor| known.contains_key(&tensor.id)) => {
                if !used.is_empty() {
                    known.insert(output.id, used);
                }
                return;
            }
            None if used.is_empty() => return,
            label => label.unwrap_or("operation"),
        };
        match used.first() {
            Some(first) => {
                self.add_to_group(self.group_of[*first], label, used, output, multiply_adds)
            }
            None => {
                self.current = None;
                self.push(None, label, used, output, multiply_adds);
            }
        }
    }

    fn add_to_group(
        &mut self,
        group: usize,
        label: &'static str,
        used: BTreeSet<usize>,
        output: &TensorIr,
        multiply_adds: u64,
    ) {
        // The rest of a call that takes several operations, such as a bias added apart.
        let current = self.current.filter(|row| {
            self.rows[*row].group == Some(group) && self.rows[*row].used.is_disjoint(&used)
        });
        if let Some(row) = current {
            let row = &mut self.rows[row];
            row.used.extend(used);
            row.puts_out(output);
            row.layer.multiply_adds += multiply_adds;
            return;
        }
        // One more call of a layer that is used again, such as a recurrent cell.
        let again = self.rows.iter().position(|row| {
            row.group == Some(group) && row.first.0 == label && row.first.1 == used
        });
        if let Some(index) = again {
            let row = &mut self.rows[index];
            row.layer.calls += 1;
            row.puts_out(output);
            row.layer.multiply_adds += multiply_adds;
            row.used = used;
            self.current = Some(index);
            return;
        }
        self.current = Some(self.rows.len());
        self.push(Some(group), label, used, output, multiply_adds);
    }

    fn push(
        &mut self,
        group: Option<usize>,
        label: &'static str,
        used: BTreeSet<usize>,
        output: &TensorIr,
        multiply_adds: u64,
    ) {
        let (name, kind, parameters) = match group.map(|group| &mut self.groups[group]) {
            Some(group) if group.shown => (group.path.join("."), format!("{label}, shared"), 0),
            Some(group) => {
                group.shown = true;
                (group.path.join("."), group.kind.clone(), group.parameters)
            }
            None => (String::new(), label.to_owned(), 0),
        };
        self.rows.push(Row {
            group,
            layer: Layer {
                name,
                kind,
                output: output.shape.to_vec(),
                parameters,
                multiply_adds,
                calls: 1,
            },
            output: output.clone(),
            first: (label, used.clone()),
            used,
        });
    }

    fn finish(mut self) -> Summary {
        for index in 0..self.rows.len() {
            if self.rows[index].group.is_none() {
                self.rows[index].layer.name = self.place_of(index);
            }
        }
        let unused = self
            .groups
            .iter()
            .filter(|group| !group.shown)
            .map(|group| Layer {
                name: group.path.join("."),
                kind: group.kind.clone(),
                output: Vec::new(),
                parameters: group.parameters,
                multiply_adds: 0,
                calls: 0,
            });
        let layers: Vec<_> = self
            .rows
            .iter()
            .map(|row| row.layer.clone())
            .chain(unused)
            .collect();
        Summary {
            parameters: self.parameters,
            buffers: self.buffers,
            multiply_adds: layers.iter().map(|layer| layer.multiply_adds).sum(),
            layers,
        }
    }

    /// The module in which an operation without parameters happens: what the paths of the layers
    /// before and after it have in common.
    fn place_of(&self, index: usize) -> String {
        let path = |row: &Row| row.group.map(|group| self.groups[group].path.as_slice());
        let before = self.rows[..index].iter().rev().find_map(path);
        let after = self.rows[index..].iter().find_map(path);
        let (Some(before), Some(after)) = (before, after) else {
            return String::new();
        };
        let common = before.iter().zip(after).take_while(|(a, b)| a == b);
        common
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(".")
    }
}

/// The layer a parameter belongs to, as path and type: the module that holds it, or the parameter
/// itself where that module has modules of its own (a learned position table, a class token).
fn layer_of<'a>(parameter: &'a Parameter, all: &[Parameter]) -> (&'a [String], &'a str) {
    let [owner @ .., _] = parameter.path.as_slice() else {
        return (&[], &parameter.owner);
    };
    let depth = parameter.path.len();
    let composite = all
        .iter()
        .any(|other| other.path.len() > depth && other.path.starts_with(owner));
    if composite {
        (&parameter.path, "Parameter")
    } else {
        (owner, &parameter.owner)
    }
}

/// What the table calls an operation, `None` if only its parameters make it worth a row, and its
/// multiply-adds.
fn work_of(operation: &OperationIr, output: &TensorIr) -> (Option<&'static str>, u64) {
    use ModuleOperationIr as Layers;
    let count = |tensor: &TensorIr| tensor.shape.iter().map(|n| *n as u64).product::<u64>();
    let last = |tensor: &TensorIr| tensor.shape.iter().last().map_or(1, |n| *n as u64);
    // What one number of the output (of the input, if transposed) takes: `weight [_, in, k…]`.
    let taps = |weight: &TensorIr| {
        weight
            .shape
            .iter()
            .skip(1)
            .map(|n| *n as u64)
            .product::<u64>()
    };
    let (label, multiply_adds) = match operation {
        OperationIr::Float(_, FloatOperationIr::Matmul(op))
        | OperationIr::Int(IntOperationIr::Matmul(op)) => ("matmul", count(output) * last(&op.lhs)),
        OperationIr::Module(layer) => match layer {
            Layers::Linear(op) => ("linear", count(output) * last(&op.x)),
            Layers::Conv1d(op) => ("conv1d", count(output) * taps(&op.weight)),
            Layers::Conv2d(op) => ("conv2d", count(output) * taps(&op.weight)),
            Layers::Conv3d(op) => ("conv3d", count(output) * taps(&op.weight)),
            Layers::DeformableConv2d(op) => ("deform conv2d", count(output) * taps(&op.weight)),
            Layers::ConvTranspose1d(op) => ("conv transpose1d", count(&op.x) * taps(&op.weight)),
            Layers::ConvTranspose2d(op) => ("conv transpose2d", count(&op.x) * taps(&op.weight)),
            Layers::ConvTranspose3d(op) => ("conv transpose3d", count(&op.x) * taps(&op.weight)),
            Layers::Attention(op) => {
                // Scores: every query with every key; then the values weighted by them. With
                // query [.., t, d] and value [.., s, e] that is t s (d + e) a head.
                let keys = count(&op.key) / last(&op.key).max(1);
                let queries = count(&op.query) / last(&op.query).max(1);
                let heads: u64 = op
                    .query
                    .shape
                    .iter()
                    .rev()
                    .skip(2)
                    .map(|n| *n as u64)
                    .product();
                let scores = queries * keys / heads.max(1);
                ("attention", scores * (last(&op.query) + last(&op.value)))
            }
            Layers::AvgPool1d(_) | Layers::AvgPool2d(_) => ("average pool", 0),
            Layers::AdaptiveAvgPool1d(_)
            | Layers::AdaptiveAvgPool2d(_)
            | Layers::AdaptiveAvgPool3d(_) => ("adaptive average pool", 0),
            Layers::MaxPool1d(_)
            | Layers::MaxPool1dWithIndices(_)
            | Layers::MaxPool2d(_)
            | Layers::MaxPool2dWithIndices(_) => ("max pool", 0),
            Layers::Interpolate(_) => ("interpolate", 0),
            Layers::Embedding(_) => ("embedding", 0),
            _ => return (None, 0),
        },
        _ => return (None, 0),
    };
    (Some(label), multiply_adds)
}

/// `11689512` as `11,689,512`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines =
            vec![["layer", "kind", "output", "parameters", "multiply-adds"].map(str::to_owned)];
        lines.extend(self.layers.iter().map(|layer| {
            let kind = match layer.calls {
                0 => format!("{} (not used)", layer.kind),
                1 => layer.kind.clone(),
                calls => format!("{} x {calls}", layer.kind),
            };
            [
                layer.name.clone(),
                kind,
                if layer.calls == 0 {
                    String::new()
                } else {
                    format!("{:?}", layer.output)
                },
                grouped(layer.parameters as u64),
                grouped(layer.multiply_adds),
            ]
        }));
        lines.push([
            "total".to_owned(),
            String::new(),
            String::new(),
            grouped(self.parameters as u64),
            grouped(self.multiply_adds),
        ]);
        let cells = |line: &[String; 5]| line.iter().map(|cell| cell.as_str().into()).collect();
        let rows: Vec<Vec<Cell>> = lines.iter().map(cells).collect();
        f.write_str(&table(&rows, "lllrr", ""))?;
        if self.buffers > 0 {
            let buffers = grouped(self.buffers as u64);
            writeln!(
                f,
                "and {buffers} numbers that are not trained, such as running statistics"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
    use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
    use burn::nn::{
        BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear,
        LinearConfig, PaddingConfig2d,
    };
    use burn::tensor::activation::{relu, softmax};
    use burn::tensor::module::attention;
    use burn::tensor::ops::AttentionModuleOptions;

    fn cpu() -> Device {
        crate::devices::open(crate::devices::default_name())
            .unwrap()
            .device
    }

    fn row<'a>(summary: &'a Summary, name: &str, kind: &str) -> &'a Layer {
        let mut rows = summary
            .layers
            .iter()
            .filter(|l| l.name == name && l.kind == kind);
        rows.next()
            .unwrap_or_else(|| panic!("no {name} of kind {kind} in\n{summary}"))
    }

    #[derive(Module, Debug)]
    struct Perceptron {
        hidden: Linear,
        output: Linear,
    }

    fn perceptron(device: &Device) -> Perceptron {
        Perceptron {
            hidden: LinearConfig::new(784, 128).init(device),
            output: LinearConfig::new(128, 10).init(device),
        }
    }

    #[test]
    fn the_textbook_perceptron_has_its_textbook_numbers() {
        for device in [cpu(), cpu().autodiff()] {
            let summary = summarize(perceptron(&device), |model, device| {
                let x = Tensor::<2>::zeros([1, 784], device);
                model.output.forward(relu(model.hidden.forward(x)))
            })
            .unwrap();
            assert_eq!((summary.parameters, summary.buffers), (101_770, 0));
            assert_eq!(summary.multiply_adds, 101_632);
            let layer = |name: &str, output: usize, parameters, multiply_adds| Layer {
                name: name.to_owned(),
                kind: "Linear".to_owned(),
                output: vec![1, output],
                parameters,
                multiply_adds,
                calls: 1,
            };
            assert_eq!(
                summary.layers,
                [
                    layer("hidden", 128, 100_480, 100_352),
                    layer("output", 10, 1_290, 1_280)
                ]
            );
            let text = summary.to_string();
            let total: Vec<_> = text
                .lines()
                .last()
                .unwrap_or("")
                .split_whitespace()
                .collect();
            assert_eq!(total, ["total", "101,770", "101,632"], "{text}");
        }
    }

    #[derive(Module, Debug)]
    struct LeNet {
        convs: Vec<Conv2d>,
        pool: MaxPool2d,
        norm: BatchNorm,
        full: Vec<Linear>,
    }

    #[test]
    fn lenet_counts_convolutions_pools_and_running_statistics() {
        let device = cpu();
        let model = LeNet {
            convs: vec![
                Conv2dConfig::new([1, 6], [5, 5])
                    .with_padding(PaddingConfig2d::Explicit(2, 2, 2, 2))
                    .init(&device),
                Conv2dConfig::new([6, 16], [5, 5]).init(&device),
            ],
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            norm: BatchNormConfig::new(6).init(&device),
            full: [(400, 120), (120, 84), (84, 10)]
                .map(|(inputs, outputs)| LinearConfig::new(inputs, outputs).init(&device))
                .to_vec(),
        };
        let summary = summarize(model, |model, device| {
            let x = model.convs[0].forward(Tensor::<4>::zeros([1, 1, 28, 28], device));
            let x = model.pool.forward(relu(model.norm.forward(x)));
            let x = model.pool.forward(relu(model.convs[1].forward(x)));
            model
                .full
                .iter()
                .fold(x.flatten(1, 3), |x: Tensor<2>, layer| layer.forward(x))
        })
        .unwrap();
        // LeNet-5 has 61,706; the norm adds a scale and a shift for each of 6 channels.
        assert_eq!((summary.parameters, summary.buffers), (61_706 + 12, 12));
        assert_eq!(summary.multiply_adds, 416_520);
        assert_eq!(row(&summary, "convs.0", "Conv2d").multiply_adds, 117_600);
        assert_eq!(row(&summary, "norm", "BatchNorm").output, [1, 6, 28, 28]);
        assert_eq!(row(&summary, "norm", "BatchNorm").parameters, 12);
        assert_eq!(row(&summary, "convs.1", "Conv2d").multiply_adds, 240_000);
        assert_eq!(row(&summary, "", "max pool").output, [1, 6, 14, 14]);
        assert_eq!(row(&summary, "full.1", "Linear").multiply_adds, 10_080);
        let names: Vec<_> = summary
            .layers
            .iter()
            .map(|layer| layer.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "convs.0", "norm", "", "convs.1", "", "full.0", "full.1", "full.2"
            ]
        );
    }

    #[derive(Module, Debug)]
    struct Attention {
        norm: LayerNorm,
        query: Linear,
        key: Linear,
        value: Linear,
        output: Linear,
    }

    #[derive(Module, Debug)]
    struct Decoder {
        tokens: Embedding,
        position: Param<Tensor<2>>,
        blocks: Vec<Attention>,
    }

    const HEADS: usize = 2;
    const WIDTH: usize = 8;
    const TIME: usize = 5;
    const VOCAB: usize = 11;

    fn decoder(device: &Device) -> Decoder {
        let linear = || {
            LinearConfig::new(WIDTH, WIDTH)
                .with_bias(false)
                .init(device)
        };
        let block = || Attention {
            norm: LayerNormConfig::new(WIDTH).init(device),
            query: linear(),
            key: linear(),
            value: linear(),
            output: linear(),
        };
        Decoder {
            tokens: EmbeddingConfig::new(VOCAB, WIDTH).init(device),
            position: Param::from_tensor(Tensor::zeros([2 * TIME, WIDTH], device)),
            blocks: vec![block(), block()],
        }
    }

    impl Decoder {
        fn forward(&self, device: &Device, fused: bool) -> Tensor<3> {
            let x = self
                .tokens
                .forward(Tensor::<2, Int>::zeros([1, TIME], device));
            let mut x = x + self.position.val().slice([0..TIME, 0..WIDTH]).unsqueeze();
            for block in &self.blocks {
                let normed = block.norm.forward(x.clone());
                let heads = |layer: &Linear| {
                    let split = [1, TIME, HEADS, WIDTH / HEADS];
                    layer.forward(normed.clone()).reshape(split).swap_dims(1, 2)
                };
                let (q, k, v) = (heads(&block.query), heads(&block.key), heads(&block.value));
                let mixed = if fused {
                    attention(q, k, v, None, None, AttentionModuleOptions::default())
                } else {
                    softmax(q.matmul(k.swap_dims(2, 3)), 3).matmul(v)
                };
                let joined = mixed.swap_dims(1, 2).reshape([1, TIME, WIDTH]);
                x = x + block.output.forward(joined);
            }
            x.matmul(self.tokens.weight.val().transpose().unsqueeze())
        }
    }

    #[test]
    fn attention_without_parameters_and_a_tied_output_are_counted() {
        let products = (TIME * TIME * WIDTH) as u64;
        let [fused, plain] = [true, false].map(|fused| {
            summarize(decoder(&cpu()), |model, device| {
                model.forward(device, fused)
            })
            .unwrap()
        });
        assert_eq!(fused.multiply_adds, plain.multiply_adds);
        let linear = (TIME * WIDTH * WIDTH) as u64;
        let head = (TIME * WIDTH * VOCAB) as u64;
        assert_eq!(plain.multiply_adds, 2 * (4 * linear + 2 * products) + head);
        let (tokens, position) = (VOCAB * WIDTH, 2 * TIME * WIDTH);
        let blocks = 2 * (2 * WIDTH + 4 * WIDTH * WIDTH);
        assert_eq!(plain.parameters, tokens + position + blocks);

        let scores = row(&plain, "blocks.1", "matmul");
        assert_eq!((scores.multiply_adds, scores.parameters), (products, 0));
        assert_eq!(scores.output, [1, HEADS, TIME, TIME]);
        assert_eq!(
            row(&fused, "blocks.0", "attention").multiply_adds,
            2 * products
        );
        assert_eq!(
            row(&plain, "position", "Parameter").output,
            [1, TIME, WIDTH]
        );
        assert_eq!(row(&plain, "tokens", "Embedding").parameters, tokens);
        let tied = row(&plain, "tokens", "matmul, shared");
        assert_eq!((tied.parameters, tied.multiply_adds), (0, head));
        assert_eq!(tied.output, [1, TIME, VOCAB]);
    }

    #[test]
    fn a_layer_called_twice_is_one_row_and_one_never_called_says_so() {
        let device = cpu();
        let model = Perceptron {
            hidden: LinearConfig::new(4, 4).init(&device),
            output: LinearConfig::new(4, 2).init(&device),
        };
        let summary = summarize(model, |model, device| {
            let x = Tensor::<2>::zeros([3, 4], device);
            model.hidden.forward(model.hidden.forward(x))
        })
        .unwrap();
        let hidden = row(&summary, "hidden", "Linear");
        assert_eq!(
            (hidden.calls, hidden.parameters, hidden.multiply_adds),
            (2, 20, 2 * 48)
        );
        let output = row(&summary, "output", "Linear");
        assert_eq!((output.calls, output.parameters), (0, 10));
        assert_eq!(summary.parameters, 30);
        let text = summary.to_string();
        assert!(
            text.contains("Linear x 2") && text.contains("Linear (not used)"),
            "{text}"
        );
    }

    #[test]
    fn a_transposed_convolution_and_a_bare_layer_count() {
        let layer: ConvTranspose2d = ConvTranspose2dConfig::new([3, 4], [2, 2])
            .with_stride([2, 2])
            .init(&cpu());
        let summary = summarize(layer, |layer, device| {
            layer.forward(Tensor::zeros([1, 3, 5, 5], device))
        })
        .unwrap();
        // Every number of the input is multiplied into 4 channels of a 2 by 2 patch.
        assert_eq!(summary.multiply_adds, (3 * 5 * 5) * (4 * 2 * 2));
        assert_eq!(row(&summary, "", "ConvTranspose2d").output, [1, 4, 10, 10]);
    }

    #[test]
    fn an_input_that_does_not_fit_is_an_error() {
        let error = summarize(perceptron(&cpu()), |model, device| {
            model.hidden.forward(Tensor::<2>::zeros([1, 783], device))
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains("does not run on this input"), "{error}");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1_000, 11_689_512].map(grouped),
            ["0", "999", "1,000", "11,689,512"]
        );
    }
}
