//! The operations as an extension of Burn's backends: what flex computes, and how autodiff records
//! it. One file an operation; `matrix`, `vector` and `memory` are what they are made of.

mod attention;
mod batch_norm;
mod conv;
mod ctc;
mod depthwise;
mod direct;
mod dropout;
mod join;
mod layer_norm;
mod linear;
mod loss;
mod matrix;
mod max_pool;
mod memory;
mod optim;
mod silu;
mod vector;
mod window;

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, Flex, backend_extension};

use burn::backend::DispatchTensorKind as Kind;
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2d;
use burn::nn::{self, BatchNorm, PaddingConfig2d};
use burn::tensor::{DType, Int, Tensor};

use self::linear::How;
use self::memory::Values;
use self::window::{Finish, Window};
use crate::{Activation, AdamStep, Attend, MomentumStep, Transcripts};

/// Whether a tensor is in single precision on flex, with or without autodiff.
pub(crate) fn serves<const D: usize>(x: &Tensor<D>) -> bool {
    if x.dtype() != DType::F32 {
        return false;
    }
    match x.clone().into_dispatch().kind {
        Kind::Flex(_) => true,
        Kind::Autodiff(inner) => matches!(*inner, Kind::Flex(_)),
        #[allow(unreachable_patterns, reason = "other backends may not be compiled in")]
        _ => false,
    }
}

/// The window of a convolution without gaps, of all channels together or of each by itself.
pub(crate) fn conv_window(layer: &Conv2d) -> Option<Window> {
    let [outputs, of_each, _, _] = layer.weight.dims();
    let is_depthwise = of_each == 1 && outputs == layer.groups;
    let served = (layer.groups == 1 || is_depthwise) && layer.dilation == [1, 1];
    window(layer.kernel_size, layer.stride, &layer.padding).filter(|_| served)
}

/// The window of a pooling without gaps, if its taps can be counted in a byte.
pub(crate) fn pool_window(layer: &MaxPool2d) -> Option<Window> {
    let [height, width] = layer.kernel_size;
    let plain = layer.dilation == [1, 1] && !layer.ceil_mode && height * width <= 256;
    window(layer.kernel_size, layer.stride, &layer.padding).filter(|_| plain)
}

fn window(kernel: [usize; 2], stride: [usize; 2], padding: &PaddingConfig2d) -> Option<Window> {
    let (before, after) = match *padding {
        PaddingConfig2d::Valid => ([0, 0], [0, 0]),
        PaddingConfig2d::Explicit(top, left, bottom, right) => ([top, left], [bottom, right]),
        PaddingConfig2d::Same => return None,
    };
    Some(Window {
        kernel,
        stride,
        before,
        after,
    })
}

/// See [`crate::linear`].
pub(crate) fn linear(layer: &nn::Linear, x: Tensor<2>, activation: Activation) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_linear(
        x.into_dispatch(),
        layer.weight.val().into_dispatch(),
        maybe(layer.bias.as_ref().map(|bias| bias.val())),
        How {
            activation,
            transposed: false,
        },
    ))
}

/// See [`crate::tied`].
pub(crate) fn tied(table: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
    let how = How {
        activation: Activation::None,
        transposed: true,
    };
    let (x, table) = (x.into_dispatch(), table.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_linear(x, table, Maybe::Absent, how))
}

/// See [`crate::layer_norm`].
pub(crate) fn layer_norm(layer: &nn::LayerNorm, epsilon: f64, x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_layer_norm(
        x.into_dispatch(),
        layer.gamma.val().into_dispatch(),
        maybe(layer.beta.as_ref().map(|bias| bias.val())),
        epsilon as f32,
    ))
}

/// See [`crate::self_attention`].
pub(crate) fn self_attention(qkv: Tensor<2>, mask: Option<Tensor<2>>, how: Attend) -> Tensor<2> {
    let qkv = qkv.into_dispatch();
    Tensor::from_dispatch(Dispatch::fused_attention(qkv, maybe(mask), how))
}

/// See [`crate::cross_entropy`].
pub(crate) fn cross_entropy(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    smoothing: f32,
) -> Tensor<1> {
    let (logits, targets) = (logits.into_dispatch(), targets.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_cross_entropy(logits, targets, smoothing))
}

/// See [`crate::ctc_loss`].
pub(crate) fn ctc_loss(logits: Tensor<3>, texts: &Transcripts) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::fused_ctc(logits.into_dispatch(), texts.clone()))
}

/// See [`crate::dropout`].
pub(crate) fn dropout<const D: usize>(x: Tensor<D>, seed: u64, probability: f64) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused_dropout(
        x.into_dispatch(),
        seed,
        probability,
    ))
}

/// See [`crate::conv2d`].
pub(crate) fn conv2d(layer: &Conv2d, window: Window, x: Tensor<4>, relu: bool) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::fused_conv(
        x.into_dispatch(),
        layer.weight.val().into_dispatch(),
        maybe(layer.bias.as_ref().map(|bias| bias.val())),
        window,
        relu,
    ))
}

/// See [`crate::conv_norm`]: without autodiff, where a norm is a scale and a shift.
pub(crate) fn conv_norm(
    layer: &Conv2d,
    window: Window,
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    relu: bool,
) -> Tensor<4> {
    let deviation = (norm.running_var.value() + norm.epsilon).sqrt();
    let scale = norm.gamma.val() / deviation;
    let mean = match &layer.bias {
        Some(bias) => norm.running_mean.value() - bias.val(),
        None => norm.running_mean.value(),
    };
    let shift = norm.beta.val() - mean * scale.clone();
    let finish = Finish {
        scale: Some(values(scale)),
        shift: Some(values(shift)),
        residual: residual.map(values),
        relu,
    };
    let (out, _) = conv::forward(values(x), values(layer.weight.val()), finish, window);
    Tensor::from_primitive::<Flex>(out)
}

/// A batch norm that trains, with what follows it: the result, the mean and the variance.
pub(crate) fn batch_norm(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    relu: bool,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let (out, mean, variance) = Dispatch::fused_batch_norm(
        x.into_dispatch(),
        norm.gamma.val().into_dispatch(),
        norm.beta.val().into_dispatch(),
        maybe(residual),
        norm.epsilon as f32,
        relu,
    );
    (
        Tensor::from_dispatch(out),
        Tensor::from_dispatch(mean),
        Tensor::from_dispatch(variance),
    )
}

/// See [`crate::max_pool2d`].
pub(crate) fn max_pool2d(window: Window, x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::fused_max_pool(x.into_dispatch(), window))
}

/// See [`crate::join_upsampled`].
pub(crate) fn join_upsampled(skip: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::fused_join(
        skip.into_dispatch(),
        x.into_dispatch(),
    ))
}

/// See [`crate::silu`].
pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused_silu(x.into_dispatch()))
}

/// See [`crate::sgd`].
pub(crate) fn sgd<const D: usize>(
    parameter: Tensor<D>,
    grad: Tensor<D>,
    rate: f64,
    decay: f32,
) -> Tensor<D> {
    let parameter = optim::sgd(values(parameter), values(grad), rate as f32, decay);
    Tensor::from_primitive::<Flex>(parameter)
}

/// See [`MomentumStep::apply`].
pub(crate) fn momentum<const D: usize>(
    tensors: [Tensor<D>; 2],
    grad: Tensor<D>,
    step: MomentumStep,
) -> [Tensor<D>; 2] {
    let tensors = optim::momentum(tensors.map(values), values(grad), step);
    tensors.map(Tensor::from_primitive::<Flex>)
}

/// See [`AdamStep::apply`].
pub(crate) fn adam<const D: usize>(
    tensors: [Tensor<D>; 3],
    grad: Tensor<D>,
    step: AdamStep,
) -> [Tensor<D>; 3] {
    let tensors = optim::adam(tensors.map(values), values(grad), step);
    tensors.map(Tensor::from_primitive::<Flex>)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Values {
    match tensor.try_into_primitive::<Flex>() {
        Ok(values) => values,
        Err(error) => panic!("not a tensor that the fused operations serve: {error:?}"),
    }
}

fn maybe<const D: usize>(tensor: Option<Tensor<D>>) -> Maybe<Dispatch> {
    tensor.map_or(Maybe::Absent, |tensor| Maybe::Given(tensor.into_dispatch()))
}

/// A float tensor of flex that autodiff knows.
type Tracked = FloatTensor<Autodiff<Flex>>;

/// An input that an operation may do without.
#[derive(ExtensionType)]
pub(crate) enum Maybe<B: Backend> {
    /// It is there.
    Given(FloatTensor<B>),
    /// It is not.
    Absent,
}

impl<B: Backend> Maybe<B> {
    fn given(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Given(tensor) => Some(tensor),
            Self::Absent => None,
        }
    }
}

/// Operations that flex computes in one go.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait Fused: Backend {
    /// See [`linear::forward`].
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        how: How,
    ) -> FloatTensor<Self>;

    /// See [`layer_norm::forward`].
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// See [`attention::forward`].
    fn fused_attention(
        qkv: FloatTensor<Self>,
        #[extension_type] mask: Maybe<Self>,
        how: Attend,
    ) -> FloatTensor<Self>;

    /// See [`conv::forward`].
    fn fused_conv(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        window: Window,
        relu: bool,
    ) -> FloatTensor<Self>;

    /// See [`batch_norm::forward`]: the result, the mean and the variance.
    fn fused_batch_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        #[extension_type] residual: Maybe<Self>,
        epsilon: f32,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// See [`max_pool::forward`].
    fn fused_max_pool(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;

    /// See [`join::forward`].
    fn fused_join(skip: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`silu::forward`].
    fn fused_silu(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`loss::forward`].
    fn fused_cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        smoothing: f32,
    ) -> FloatTensor<Self>;

    /// See [`dropout::forward`].
    fn fused_dropout(x: FloatTensor<Self>, seed: u64, probability: f64) -> FloatTensor<Self>;

    /// See [`ctc::forward`].
    fn fused_ctc(logits: FloatTensor<Self>, texts: Transcripts) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn fused_linear(x: Values, weight: Values, bias: Maybe<Self>, how: How) -> Values {
        linear::forward(x, weight, bias.given(), how).0
    }

    fn fused_layer_norm(x: Values, gain: Values, bias: Maybe<Self>, epsilon: f32) -> Values {
        layer_norm::forward(x, gain, bias.given(), epsilon).0
    }

    fn fused_attention(qkv: Values, mask: Maybe<Self>, how: Attend) -> Values {
        attention::forward(qkv, mask.given(), how).0
    }

    fn fused_conv(
        x: Values,
        weight: Values,
        bias: Maybe<Self>,
        window: Window,
        relu: bool,
    ) -> Values {
        conv::forward(x, weight, finish(bias.given(), relu), window).0
    }

    fn fused_batch_norm(
        x: Values,
        gain: Values,
        bias: Values,
        residual: Maybe<Self>,
        epsilon: f32,
        relu: bool,
    ) -> (Values, Values, Values) {
        let (normed, _) = batch_norm::forward(x, gain, bias, residual.given(), epsilon, relu);
        (normed.out, normed.mean, normed.variance)
    }

    fn fused_max_pool(x: Values, window: Window) -> Values {
        max_pool::forward(x, window).0
    }

    fn fused_join(skip: Values, x: Values) -> Values {
        join::forward(skip, x).0
    }

    fn fused_silu(x: Values) -> Values {
        silu::forward(x).0
    }

    fn fused_cross_entropy(logits: Values, targets: IntTensor<Self>, smoothing: f32) -> Values {
        loss::forward(logits, targets, smoothing).0
    }

    fn fused_dropout(x: Values, seed: u64, probability: f64) -> Values {
        dropout::forward(x, seed, probability).0
    }

    fn fused_ctc(logits: Values, texts: Transcripts) -> Values {
        ctc::loss(logits, &texts)
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn fused_linear(x: Tracked, weight: Tracked, bias: Maybe<Self>, how: How) -> Tracked {
        record_layer::<C, _>([x, weight], bias.given(), |[x, weight], bias| {
            linear::forward(x, weight, bias, how)
        })
    }

    fn fused_layer_norm(x: Tracked, gain: Tracked, bias: Maybe<Self>, epsilon: f32) -> Tracked {
        record_layer::<C, _>([x, gain], bias.given(), |[x, gain], bias| {
            layer_norm::forward(x, gain, bias, epsilon)
        })
    }

    fn fused_attention(qkv: Tracked, mask: Maybe<Self>, how: Attend) -> Tracked {
        let (qkv, node) = qkv.into_parts();
        let mask = mask.given().map(Tracked::into_primitive);
        record::<C, _, 1>([node], || attention::forward(qkv, mask, how))
    }

    fn fused_conv(
        x: Tracked,
        weight: Tracked,
        bias: Maybe<Self>,
        window: Window,
        relu: bool,
    ) -> Tracked {
        record_layer::<C, _>([x, weight], bias.given(), |[x, weight], bias| {
            conv::forward(x, weight, finish(bias, relu), window)
        })
    }

    fn fused_batch_norm(
        x: Tracked,
        gain: Tracked,
        bias: Tracked,
        residual: Maybe<Self>,
        epsilon: f32,
        relu: bool,
    ) -> (Tracked, Tracked, Tracked) {
        let ((x, x_node), (gain, gain_node)) = (x.into_parts(), gain.into_parts());
        let (bias, bias_node) = bias.into_parts();
        let mut moments = None;
        let forward = |residual| {
            let (normed, saved) = batch_norm::forward(x, gain, bias, residual, epsilon, relu);
            moments = Some((normed.mean, normed.variance));
            (normed.out, saved)
        };
        let out = match residual.given().map(Tracked::into_parts) {
            Some((residual, residual_node)) => {
                record::<C, _, 4>([x_node, gain_node, bias_node, residual_node], || {
                    forward(Some(residual))
                })
            }
            None => record::<C, _, 3>([x_node, gain_node, bias_node], || forward(None)),
        };
        let Some((mean, variance)) = moments else {
            unreachable!("recording an operation computes it");
        };
        (out, Tracked::new(mean), Tracked::new(variance))
    }

    fn fused_max_pool(x: Tracked, window: Window) -> Tracked {
        let (x, node) = x.into_parts();
        record::<C, _, 1>([node], || max_pool::forward(x, window))
    }

    fn fused_join(skip: Tracked, x: Tracked) -> Tracked {
        let ((skip, skip_node), (x, x_node)) = (skip.into_parts(), x.into_parts());
        record::<C, _, 2>([skip_node, x_node], || join::forward(skip, x))
    }

    fn fused_silu(x: Tracked) -> Tracked {
        let (x, node) = x.into_parts();
        record::<C, _, 1>([node], || silu::forward(x))
    }

    fn fused_cross_entropy(logits: Tracked, targets: IntTensor<Self>, smoothing: f32) -> Tracked {
        let (logits, node) = logits.into_parts();
        record::<C, _, 1>([node], || loss::forward(logits, targets, smoothing))
    }

    fn fused_dropout(x: Tracked, seed: u64, probability: f64) -> Tracked {
        let (x, node) = x.into_parts();
        record::<C, _, 1>([node], || dropout::forward(x, seed, probability))
    }

    fn fused_ctc(logits: Tracked, texts: Transcripts) -> Tracked {
        let (logits, node) = logits.into_parts();
        record::<C, _, 1>([node], || ctc::forward(logits, &texts))
    }
}

fn finish(bias: Option<Values>, relu: bool) -> Finish {
    Finish {
        shift: bias,
        relu,
        ..Finish::default()
    }
}

/// What an operation keeps for its backward pass.
pub(crate) trait Saved: Clone + Debug + Send + Sync + 'static {
    /// The gradients of the operation's inputs, in their order, from that of its output. Only
    /// those that are wanted need be there; a missing input has no entry in `wanted`.
    fn backward(self, grad: Values, wanted: &[bool]) -> Vec<Option<Values>>;
}

/// Computes an operation and records it for the backward pass.
fn record<C: CheckpointStrategy, S: Saved, const N: usize>(
    parents: [NodeGuard; N],
    forward: impl FnOnce() -> (Values, S),
) -> Tracked {
    let step = Recorded(PhantomData::<S>);
    // A fused operation is worth its memory: it is not computed a second time to save some.
    match step.prepare::<C>(parents).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let (out, saved) = forward();
            prep.finish(saved, out)
        }
        OpsKind::UnTracked(prep) => prep.finish(forward().0),
    }
}

/// As [`record`], for a layer with a weight and perhaps a bias, which is then a parent too.
fn record_layer<C: CheckpointStrategy, S: Saved>(
    [x, weight]: [Tracked; 2],
    bias: Option<Tracked>,
    forward: impl FnOnce([Values; 2], Option<Values>) -> (Values, S),
) -> Tracked {
    let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
    match bias.map(Tracked::into_parts) {
        Some((bias, bias_node)) => record::<C, _, 3>([x_node, weight_node, bias_node], || {
            forward([x, weight], Some(bias))
        }),
        None => record::<C, _, 2>([x_node, weight_node], || forward([x, weight], None)),
    }
}

/// A step of the backward pass, named by what it needs.
#[derive(Debug)]
struct Recorded<S>(PhantomData<S>);

impl<S: Saved, const N: usize> Backward<Flex, N> for Recorded<S> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let grad = grads.consume::<Flex>(&ops.node);
        let found = ops.state.backward(grad, &wanted);
        for (parent, grad) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, grad);
            }
        }
    }
}
