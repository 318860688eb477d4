//! What every layer of a model puts out, on the backend that is being compared.
//!
//! The forward pass is recorded by Burn's graph capture, as for `zoo show`, and replayed operation
//! by operation by the interpreter that Burn's remote server uses, on the device itself. So a model
//! need not be written for it, and a departure is found in the layer where it begins.
//!
//! The numbers are read after the last operation. A backend that fuses operations therefore fuses
//! nearly what it fuses in the model's own pass; where only the pass itself departs, and no layer
//! does, fusion is what to look at.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::tensor::{Device, DeviceConfig, TensorData, read_sync};
use burn_dispatch::{DispatchDevice, backends};
use burn_ir::{BackendIr, TensorId, TensorIr, TensorStatus};
use burn_router::TensorInterpreter;
use zoo_compare::worker::LayerOutput;

use crate::summary::{Layer, record};

/// The outputs of all layers in the order of the forward pass. `forward` gets the model and the
/// device on which it must make its input. Empty on a remote device, whose server replays nothing
/// for others.
///
/// # Errors
/// A forward pass that cannot be recorded.
pub fn layer_outputs<M: Module, R>(
    model: M,
    device: &Device,
    forward: impl FnOnce(&M, &Device) -> R,
) -> Result<Vec<LayerOutput>, String> {
    let device = device.clone().inner();
    let settings = device.settings();
    let types = DeviceConfig::default()
        .float_dtype(settings.float_dtype)
        .int_dtype(settings.int_dtype)
        .bool_dtype(settings.bool_dtype);
    let (captured, summary, outputs) =
        record(model, types, forward).map_err(|error| error.to_string())?;
    let data = match device.as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(device) => replay::<backends::Flex>(*device, captured, &outputs),
        #[cfg(feature = "ndarray")]
        #[allow(
            deprecated,
            reason = "kept to compare with flex until Burn 0.23 removes it"
        )]
        DispatchDevice::NdArray(device) => replay::<backends::NdArray>(*device, captured, &outputs),
        #[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
        DispatchDevice::Cube(device) => {
            replay::<backends::Cube>(device.clone(), captured, &outputs)
        }
        _ => return Ok(Vec::new()),
    };
    let names = names(&summary.layers);
    Ok(names
        .into_iter()
        .zip(summary.layers)
        .zip(data)
        .map(|((name, layer), data)| {
            let numbers: usize = layer.output.iter().product();
            LayerOutput {
                name,
                inner: layer.multiply_adds / (layer.calls * numbers).max(1) as u64,
                kind: layer.kind,
                data,
            }
        })
        .collect())
}

/// A name for each layer that no other has: the path, or the path with the operation where there
/// is no module of its own, with a number where that is not enough.
fn names(layers: &[Layer]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut unique = |layer: &Layer| {
        let operation = layer.kind.trim_end_matches(", shared");
        let plain = match layer.parameters {
            0 => format!("{} {operation}", layer.name)
                .trim_start()
                .to_owned(),
            _ => layer.name.clone(),
        };
        let numbered = (2..).map(|number| format!("{plain} {number}"));
        let mut candidates = std::iter::once(plain.clone()).chain(numbered);
        let name = candidates.find(|name| taken.insert(name.clone()));
        name.unwrap_or(plain)
    };
    layers.iter().map(&mut unique).collect()
}

/// Runs the recorded operations on a backend and reads the wanted tensors.
fn replay<B: BackendIr>(
    device: B::Device,
    captured: burn::tensor::CapturedGraph,
    wanted: &[TensorIr],
) -> Vec<TensorData> {
    /// Out of reach of the ids that a capture gives.
    const KEPT: u64 = 1 << 62;
    let mut interpreter = TensorInterpreter::<B>::new(device);
    for (id, data) in captured.values {
        interpreter.register_tensor_data_id(id, data);
    }
    // A second handle on the same memory, since the recorded operations end with dropping theirs.
    let kept: BTreeMap<TensorId, TensorId> = (wanted.iter())
        .enumerate()
        .map(|(index, tensor)| (tensor.id, TensorId::new(KEPT + index as u64)))
        .collect();
    for operation in captured.graph.operations {
        let made: Vec<TensorId> = operation.outputs().map(|output| output.id).collect();
        interpreter.register_op(operation);
        for id in made {
            if let Some(keep) = kept.get(&id) {
                interpreter.register_alias(*keep, id);
            }
        }
    }
    wanted
        .iter()
        .map(|tensor| {
            let tensor = TensorIr {
                id: kept[&tensor.id],
                status: TensorStatus::ReadOnly,
                ..tensor.clone()
            };
            read_sync(interpreter.read_tensor_async(tensor))
                .unwrap_or_else(|error| panic!("a layer's output could not be read: {error}"))
        })
        .collect()
}
