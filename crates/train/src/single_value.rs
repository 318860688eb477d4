//! Batch norm over a single value a channel: the value minus itself, so that a layer says the same to
//! every input and learns nothing. PyTorch refuses it ("Expected more than 1 value per channel when
//! training"); Burn computes it.
//!
//! It takes a part of one example, and a norm where an image is one pixel. Whether a model has such a
//! norm is found by letting one example through a copy of it, and only where there will be a part of
//! one example.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use zoo_weights::Leaf;

use crate::batch::Batch;
use crate::loader::Span;
use crate::recipe::Plan;
use crate::rng::Stream;
use crate::task::Task;

/// Why some step passes a single example through a model at once, and what to change; `None` if no
/// step does.
pub(crate) fn lone_example(plan: &Plan, span: &Span, examples: usize) -> Option<String> {
    let leaves_one = |size: &usize| {
        let indices: Vec<u32> = (0..*size as u32).collect();
        let parts = span.cut(&indices);
        parts.iter().any(|(_, part)| part.len() == 1)
    };
    let size = span.batch_sizes(examples).into_iter().find(leaves_one)?;
    let is_rest = size < plan.batch_size;
    let batch = match is_rest {
        true => format!("an epoch of {examples} examples ends with a batch of {size}"),
        false => format!("train.batch_size = {size}"),
    };
    let part = match (size, plan.micro_batch_size) {
        (1, _) => String::new(),
        (_, Some(micro)) => {
            format!(", of which train.micro_batch_size = {micro} leaves a part of 1")
        }
        (_, None) => format!(", of which a share of {} devices is 1", span.devices),
    };
    let change = match (is_rest, plan.micro_batch_size) {
        (true, _) if examples < plan.batch_size => "more examples are needed",
        (true, _) => "set train.drop_last = true, or another train.batch_size",
        (false, Some(_)) if size > 1 => "set another train.micro_batch_size",
        (false, _) => "set a larger train.batch_size",
    };
    Some(format!("{batch}{part}; {change}"))
}

/// The first batch norm of a model that would normalise over a single value a channel if it was
/// trained on `example`, a batch of one.
pub(crate) fn norm_over_one_value<M: Module>(
    model: &M,
    task: &dyn Task<M>,
    example: Batch,
    device: &Device,
) -> Option<String> {
    let norms: Vec<Leaf> = zoo_weights::leaves(model)
        .into_iter()
        .filter(Leaf::is_statistic)
        .collect();
    if norms.is_empty() {
        return None;
    }
    let ids = norms.iter().map(|leaf| leaf.id).collect();
    // A copy, with all statistics at 0: the model's own stay as they are.
    let probe = model.valid().map(&mut Zero(ids)).train();
    let _ = task.loss(&probe, noisy(example), device);
    let mut moved = Read(Vec::new());
    probe.valid().visit(&mut moved);
    let values = |leaf: &Leaf| {
        let found = moved.0.iter().find(|(id, _)| *id == leaf.id);
        found.map_or(&[][..], |(_, values)| values)
    };
    let is_mean = |leaf: &&Leaf| leaf.path.ends_with("running_mean");
    let (means, variances): (Vec<&Leaf>, Vec<&Leaf>) = norms.iter().partition(is_mean);
    let mut pairs = means.into_iter().zip(variances);
    let (mean, _) = pairs.find(|(mean, variance)| is_single(values(mean), values(variance)))?;
    let owner = mean.path.rsplit_once('.').map_or("", |(owner, _)| owner);
    Some(owner.to_owned())
}

/// Whether what a norm saw had no variance in any channel, up to the rounding of backends that take
/// the difference of two squares. One that is frozen, or saw nothing but zeros, tells nothing.
fn is_single(means: &[f32], variances: &[f32]) -> bool {
    const ROUNDING: f32 = 1e-4;
    let mut channels = means.iter().zip(variances);
    means.iter().any(|mean| *mean != 0.0)
        && channels.all(|(mean, variance)| *variance <= ROUNDING * mean * mean)
}

/// Noise in place of an image: of one that is all of one colour, every channel has the variance 0.
fn noisy(mut example: Batch) -> Batch {
    example.change(|_, data| {
        if !data.dtype().is_float() {
            return data;
        }
        let mut stream = Stream::new(1);
        let shape = data.shape().clone();
        let values: Vec<f32> = (0..shape.num_elements())
            .map(|_| stream.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0)
            .collect();
        TensorData::new(values, shape)
    });
    example
}

struct Zero(Vec<ParamId>);

impl ModuleMapper for Zero {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.0.contains(&param.id) {
            return param.map(|tensor| tensor.zeros_like());
        }
        param
    }
}

struct Read(Vec<(ParamId, Vec<f32>)>);

impl ModuleVisitor for Read {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D == 1 {
            let values = param.base().into_data();
            self.0.push((param.id, values.iter::<f32>().collect()));
        }
    }
}
