//! Fused CPU operations for Burn's flex backend, with gradients of their own.
//!
//! A model calls them where it would call a layer: they take Burn's tensors and modules, and on any
//! other backend, or in any other float type than `f32`, they are Burn's own operations. Without
//! the feature `flex` they are that everywhere.
//!
//! [`range`] is for what comes before: whether the values that a model is made from are allowed.

#[cfg(feature = "flex")]
mod flex;
pub mod range;

use std::f64::consts::FRAC_1_SQRT_2;

use burn::nn::conv::Conv2d;
use burn::nn::loss::{CTCLossConfig, CrossEntropyLossConfig};
use burn::nn::pool::MaxPool2d;
use burn::nn::{BatchNorm, Dropout, LayerNorm, Linear};
use burn::tensor::activation::{self, gelu, gelu_approximate, log_softmax, relu, softmax, tanh};
use burn::tensor::module;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions, PadMode};
use burn::tensor::{DType, Distribution, Int, Tensor, TensorData};

#[cfg(not(feature = "flex"))]
const NOT_SERVED: &str = "zoo-kernels is built without the feature `flex`, so it serves no tensor:";

/// The non-linearity that follows a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The identity.
    None,
    /// max(0, x)
    Relu,
    /// x Φ(x) with the exact normal distribution Φ.
    Gelu,
    /// GELU with Φ approximated by tanh (Hendrycks and Gimpel 2016, section 2), as in GPT-2.
    GeluTanh,
}

impl Activation {
    /// Applies the non-linearity to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None => x,
            Self::Relu => relu(x),
            // Burn 0.22.1 goes back through the exact function by the slope of its approximation,
            // on every backend but flex: up to a thousandth off.
            Self::Gelu if x.device().is_autodiff() => {
                let normal = (x.clone() * FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
                x * normal
            }
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_approximate(x),
        }
    }

    /// Whether a fused convolution applies it: none or ReLU.
    #[cfg(feature = "flex")]
    fn follows_convolutions(self) -> bool {
        matches!(self, Self::None | Self::Relu)
    }
}

/// 1 / (1 + e⁻ˣ) of every element, in the tensor's own precision: Burn 0.22.1 computes it in single
/// precision on every backend but flex.
pub fn sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.dtype() == DType::F64 {
        return tanh(x * 0.5) * 0.5 + 0.5;
    }
    activation::sigmoid(x)
}

/// x · [`sigmoid`]\(x), also called swish (Elfwing et al. 2018; Ramachandran et al. 2017).
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if serves(&x) {
        return flex::silu(x);
    }
    x.clone() * sigmoid(x)
}

/// `x [r, i]` -> `activation(x·weight + bias) [r, o]`
///
/// # Panics
///
/// If `x` is not as wide as the layer's input.
pub fn linear(layer: &Linear, x: Tensor<2>, activation: Activation) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if serves(&x) && serves(&layer.weight.val()) {
        let [inputs, _] = layer.weight.dims();
        burn::tensor::assert_shape!(x, [_, inputs]);
        return flex::linear(layer, x, activation);
    }
    activation.forward(layer.forward(x))
}

/// A table of tokens as an output layer (Press and Wolf 2016): `table [k, c]`, `x [r, c]` -> `[r, k]`
///
/// # Panics
///
/// If `x` is not as wide as the table.
pub fn tied(table: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if serves(&x) && serves(&table) {
        let [_, width] = table.dims();
        burn::tensor::assert_shape!(x, [_, width]);
        return flex::tied(table, x);
    }
    x.matmul(table.transpose())
}

/// `x [r, c]` -> `[r, c]`, every row normalised: by the layer's gain and bias and by this `epsilon`,
/// on every backend. The layer has one too, which Burn does not tell and nothing here reads.
///
/// # Panics
///
/// If `x` is not as wide as the layer.
pub fn layer_norm(layer: &LayerNorm, epsilon: f64, x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if serves(&x) && serves(&layer.gamma.val()) {
        let [width] = layer.gamma.dims();
        burn::tensor::assert_shape!(x, [_, width]);
        return flex::layer_norm(layer, epsilon, x);
    }
    let (gain, bias) = (
        layer.gamma.val(),
        layer.beta.as_ref().map(|bias| bias.val()),
    );
    let dtype = x.dtype();
    if dtype != DType::F16 {
        return module::layer_norm(x, gain, bias, epsilon);
    }
    // As Burn's layer does: half precision cannot hold the squares.
    let wide = DType::F32;
    let bias = bias.map(|bias| bias.cast(wide));
    module::layer_norm(x.cast(wide), gain.cast(wide), bias, epsilon).cast(dtype)
}

/// A convolution and its activation: `x [b, i, h, w]` -> `[b, o, h', w']`
///
/// # Panics
///
/// If `x` has another number of channels than the layer.
pub fn conv2d(layer: &Conv2d, x: Tensor<4>, activation: Activation) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if let Some(window) = flex::conv_window(layer)
        && activation.follows_convolutions()
        && serves(&x)
        && serves(&layer.weight.val())
    {
        return flex::conv2d(layer, window, x, activation == Activation::Relu);
    }
    activation.forward(layer.forward(x))
}

/// A convolution, its batch norm, the addition of a `residual` and ReLU or nothing:
/// `x [b, i, h, w]` -> `[b, o, h', w']`
///
/// The norm uses the batch's own statistics where Burn's does (on an autodiff device, unless it is
/// frozen) and moves its running ones. Elsewhere it is folded into the convolution.
///
/// # Panics
///
/// If `x` has another number of channels than the layer.
pub fn conv_norm(
    layer: &Conv2d,
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if let Some(window) = flex::conv_window(layer)
        && activation.follows_convolutions()
        && serves(&x)
        && serves(&layer.weight.val())
        && serves(&norm.gamma.val())
    {
        let relu = activation == Activation::Relu;
        let differentiates = |device: burn::tensor::Device| device.is_autodiff();
        if differentiates(x.device()) && norm.training.is_enabled() {
            let x = flex::conv2d(layer, window, x, false);
            let (out, mean, variance) = flex::batch_norm(norm, x, residual, relu);
            for (running, new) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
                let kept = running.value_sync().mul_scalar(1.0 - norm.momentum);
                let moved = kept.to_device(&new.device()) + new.mul_scalar(norm.momentum);
                running.update(moved.detach());
            }
            return out;
        }
        let of_residual = residual.as_ref().map(Tensor::device);
        let devices = [
            x.device(),
            layer.weight.val().device(),
            norm.gamma.val().device(),
        ];
        if !devices.into_iter().chain(of_residual).any(differentiates) {
            return flex::conv_norm(layer, window, norm, x, residual, relu);
        }
    }
    let x = norm.forward(layer.forward(x));
    activation.forward(match residual {
        Some(residual) => x + residual,
        None => x,
    })
}

/// `x [b, c, h, w]` -> `[b, c, h', w']`, the largest of every window.
pub fn max_pool2d(layer: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if let Some(window) = flex::pool_window(layer)
        && serves(&x)
    {
        return flex::max_pool2d(window, x);
    }
    layer.forward(x)
}

/// `skip [b, c, h, w]`, `x [b, d, h/2, w/2]` -> `[b, c + d, h, w]`: behind the channels of `skip` those of
/// `x`, every pixel as 2x2 equal ones. The last row or column of an odd size, which `x` has no pixel for, is
/// zero.
pub fn join_upsampled(skip: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if serves(&skip) && serves(&x) {
        return flex::join_upsampled(skip, x);
    }
    let nearest = InterpolateOptions::new(InterpolateMode::Nearest);
    join(
        skip,
        module::interpolate(x, nearest.with_scale_factor([2.0, 2.0])),
    )
}

/// `skip [b, c, h, w]`, `x [b, d, h, w]` -> `[b, c + d, h, w]`: the channels of `x` behind those of `skip`. Rows
/// and columns that `x` lacks are zero.
pub fn join(skip: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
    let ([_, _, h, w], [_, _, height, width]) = (x.dims(), skip.dims());
    let x = match [h, w] == [height, width] {
        true => x,
        false => x.pad([(0, height - h), (0, width - w)], PadMode::Constant(0.0)),
    };
    Tensor::cat(vec![skip, x], 1)
}

/// Dropout (Srivastava et al. 2014): in training, each element is zero with the probability of `layer`,
/// and scaled up where it is kept.
///
/// What is dropped follows from what was last drawn from the device's random numbers, one draw a call.
pub fn dropout<const D: usize>(layer: &Dropout, x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if layer.training.is_enabled()
        && x.device().is_autodiff()
        && layer.prob > 0.0
        && layer.prob < 1.0
        && serves(&x)
    {
        let drawn = Tensor::<1>::random([2], Distribution::Default, &x.device().inner());
        let drawn = drawn.into_data();
        // Each has 24 bits.
        let seed = (drawn.iter::<f64>()).fold(0, |seed, number| {
            seed << 24 | (number * 2f64.powi(24)) as u64
        });
        return flex::dropout(x, seed, layer.prob);
    }
    layer.forward(x)
}

/// Stochastic depth (Huang, Sun, Liu, Sedra and Weinberger 2016, "Deep Networks with Stochastic
/// Depth"): what a residual branch adds, `x [b, …]` or `[b·t, c]`, is left out in training for a
/// whole sample with the probability of `layer`.
///
/// Departure, as torchvision and timm have it: each of the `batch` samples draws for itself, where
/// the paper draws once for all; and what is kept is scaled up in training, where the paper scales
/// down in evaluation.
///
/// # Panics
///
/// If the values are no multiple of the batch.
pub fn stochastic_depth<const D: usize>(layer: &Dropout, x: Tensor<D>, batch: usize) -> Tensor<D> {
    if layer.prob == 0.0 || !x.device().is_autodiff() {
        return x;
    }
    let shape = x.dims();
    let values: usize = shape.iter().product();
    let kept = layer.forward(Tensor::<2>::ones([batch, 1], (&x.device(), x.dtype())));
    (x.reshape([batch, values / batch]) * kept).reshape(shape)
}

/// Who attends to whom, and in how many heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attend {
    /// Sequences in the batch.
    pub batch: usize,
    /// Heads; they divide the width.
    pub heads: usize,
    /// Whether a position sees only itself and those before it.
    pub causal: bool,
}

/// Added to the score of a position that must not be seen: its weight becomes exactly 0 in every
/// float type and on every backend, as long as scores are in the hundreds. The number itself fits in
/// half precision, and a row with every position masked gives even weights where minus infinity
/// would give NaN.
pub const MASKED: f64 = -1e4;

/// Self-attention: `qkv [b·t, 3c]` (queries, keys, values side by side), `mask [b, t]` added to the
/// scores of each key -> `[b·t, c]`.
///
/// # Panics
///
/// If the rows are no multiple of the batch, or the width no multiple of three times the heads.
pub fn self_attention(
    qkv: Tensor<2>,
    mask: Option<Tensor<2>>,
    dropout: &Dropout,
    how: Attend,
) -> Tensor<2> {
    let Attend {
        batch: b,
        heads: h,
        causal,
    } = how;
    let [rows, width] = qkv.dims();
    assert!(b > 0 && rows % b == 0, "{rows} rows of {b} sequences");
    assert!(
        h > 0 && width % (3 * h) == 0,
        "{width} columns for {h} heads"
    );
    let (t, d) = (rows / b, width / (3 * h));
    // A mask is made in the device's own type, which the model need not have.
    let mask = mask.map(|mask| mask.cast(qkv.dtype()));
    // What dropout zeroes has a weight, so the weights must be there.
    #[cfg(feature = "flex")]
    if serves(&qkv) && !(qkv.device().is_autodiff() && dropout.prob > 0.0) {
        return flex::self_attention(qkv, mask, how);
    }
    let qkv = qkv.reshape([b, t, 3 * h, d]).swap_dims(1, 2); // [b, 3h, t, d]
    let [q, k, v] = [0, 1, 2].map(|part| qkv.clone().narrow(1, part * h, h));
    let mask = mask.map(|mask| mask.reshape([b, 1, 1, t]));
    let ahead = if causal { causal_mask(&q, 0) } else { None };
    let mask = match (mask, ahead) {
        (Some(mask), Some(ahead)) => Some(mask + ahead), // [b, 1, t, t]
        (mask, ahead) => mask.or(ahead),
    };
    attention([q, k, v], mask, dropout)
}

/// Attention step by step: `q [b, h, t, d]`, `k` and `v` `[b, h, s, d]`, `mask` that broadcasts to
/// `[b, h, t, s]` -> `[b·t, c]` (Vaswani et al. 2017, section 3.2.1).
pub fn attention(
    [q, k, v]: [Tensor<4>; 3],
    mask: Option<Tensor<4>>,
    dropout: &Dropout,
) -> Tensor<2> {
    let [b, h, t, d] = q.dims();
    let scores = q.matmul(k.swap_dims(2, 3)) * (d as f64).powf(-0.5); // [b, h, t, s]
    // Adding to a score is cheaper to train through than filling by a boolean mask, whose gradient
    // is one more pass over the scores.
    let scores = match mask {
        Some(mask) => {
            let dtype = scores.dtype();
            scores + mask.cast(dtype)
        }
        None => scores,
    };
    let weights = self::dropout(dropout, softmax(scores, 3));
    let mixed = weights.matmul(v).swap_dims(1, 2); // [b, t, h, d]
    mixed.reshape([b * t, h * d])
}

/// What the positions of `q [b, h, t, d]` may not see, `[1, 1, t, s]` with `s = past + t`; a single
/// one sees all.
pub fn causal_mask(q: &Tensor<4>, past: usize) -> Option<Tensor<4>> {
    let [_, _, t, _] = q.dims();
    (t > 1).then(|| {
        Tensor::<2>::full([t, past + t], MASKED, (&q.device(), q.dtype()))
            .triu(past as i64 + 1)
            .unsqueeze()
    })
}

/// Cross-entropy of the softmax of `logits [n, k]` with class ids `targets [n]` -> their mean `[1]`
///
/// `smoothing`, 0..1, is the share of a target's weight that is spread over all classes (Szegedy et al.
/// 2015, section 7).
///
/// # Panics
///
/// If a target is no class, where the backend looks.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>, smoothing: f32) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if serves(&logits) {
        return flex::cross_entropy(logits, targets, smoothing);
    }
    if smoothing == 0.0 {
        let loss = CrossEntropyLossConfig::new().init(&logits.device());
        return loss.forward(logits, targets);
    }
    // Burn's own smoothing computes in single precision, whatever the logits are in.
    let logs = log_softmax(logits, 1);
    let of_targets = logs.clone().gather(1, targets.unsqueeze_dim(1)).mean();
    -(of_targets.mul_scalar(1.0 - smoothing) + logs.mean().mul_scalar(smoothing))
}

/// What recordings of a batch say.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcripts {
    /// Frames of each recording that are not padding.
    pub frames: Vec<usize>,
    /// Their characters, each above 0 and below k: 0 is the blank.
    pub texts: Vec<Vec<usize>>,
}

/// Connectionist temporal classification (Graves et al. 2006): the loss `[b]` of each recording, in nats,
/// of logits `[b, s, k]`; infinite where a text does not fit its frames.
///
/// # Panics
///
/// If there are not as many frames and texts as recordings, or a character is no class.
pub fn ctc_loss(logits: Tensor<3>, texts: &Transcripts) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if serves(&logits) {
        return flex::ctc_loss(logits, texts);
    }
    let (device, batch) = (logits.device(), texts.texts.len());
    let longest = texts.texts.iter().map(Vec::len).max().unwrap_or(0);
    let padded = texts.texts.iter().flat_map(|text| {
        let ids = text.iter().map(|character| *character as i32);
        ids.chain(std::iter::repeat_n(0, longest - text.len()))
    });
    let padded = TensorData::new(padded.collect::<Vec<i32>>(), [batch, longest]);
    let counts = |counts: Vec<usize>| {
        let counts: Vec<i32> = counts.into_iter().map(|count| count as i32).collect();
        Tensor::<1, Int>::from_data(TensorData::new(counts, [batch]), &device)
    };
    CTCLossConfig::new().with_blank(0).init().forward(
        log_softmax(logits, 2).swap_dims(0, 1),
        Tensor::from_data(padded, &device),
        counts(texts.frames.clone()),
        counts(texts.texts.iter().map(Vec::len).collect()),
    )
}

/// One step of Adam (Kingma and Ba 2014, algorithm 1) or AdamW (Loshchilov and Hutter 2017,
/// algorithm 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub rate: f64,
    /// Decay of the first moment, 0..1.
    pub beta_1: f32,
    /// Decay of the second moment, 0..1.
    pub beta_2: f32,
    /// Added to the denominator.
    pub epsilon: f32,
    /// Added to the gradient, times the parameter.
    pub coupled_decay: f32,
    /// Taken off the parameter, times the rate: AdamW's.
    pub decoupled_decay: f32,
    /// The number of this step, from 1.
    pub time: usize,
}

impl AdamStep {
    /// A parameter and its two moments, changed along `grad` in one pass over memory.
    ///
    /// # Panics
    ///
    /// If the parameter is not one that the fused operations [serve](serves).
    pub fn apply<const D: usize>(self, tensors: [Tensor<D>; 3], grad: Tensor<D>) -> [Tensor<D>; 3] {
        #[cfg(feature = "flex")]
        return flex::adam(tensors, grad, self);
        #[cfg(not(feature = "flex"))]
        panic!("{NOT_SERVED} {:?} {grad:?}", tensors)
    }
}

/// One step of stochastic gradient descent with momentum (Sutskever et al. 2013, as PyTorch has it:
/// the rate is outside the velocity, and nothing damps a gradient).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumStep {
    /// Learning rate.
    pub rate: f64,
    /// What a velocity keeps of itself, 0..1.
    pub momentum: f32,
    /// Whether to look ahead along the velocity.
    pub nesterov: bool,
    /// Added to the gradient, times the parameter.
    pub decay: f32,
}

impl MomentumStep {
    /// A parameter and its velocity, changed along `grad` in one pass over memory.
    ///
    /// # Panics
    ///
    /// If the parameter is not one that the fused operations [serve](serves).
    pub fn apply<const D: usize>(self, tensors: [Tensor<D>; 2], grad: Tensor<D>) -> [Tensor<D>; 2] {
        #[cfg(feature = "flex")]
        return flex::momentum(tensors, grad, self);
        #[cfg(not(feature = "flex"))]
        panic!("{NOT_SERVED} {:?} {grad:?}", tensors)
    }
}

/// A parameter changed by `-rate·(grad + decay·parameter)` in one pass over memory.
///
/// # Panics
///
/// If the parameter is not one that the fused operations [serve](serves).
pub fn sgd<const D: usize>(
    parameter: Tensor<D>,
    grad: Tensor<D>,
    rate: f64,
    decay: f32,
) -> Tensor<D> {
    #[cfg(feature = "flex")]
    return flex::sgd(parameter, grad, rate, decay);
    #[cfg(not(feature = "flex"))]
    panic!("{NOT_SERVED} {parameter:?} {grad:?} {rate} {decay}")
}
/// Whether the fused operations serve this tensor: single precision on flex, with or without
/// autodiff.
pub fn serves<const D: usize>(x: &Tensor<D>) -> bool {
    #[cfg(feature = "flex")]
    return flex::serves(x);
    #[cfg(not(feature = "flex"))]
    {
        let _ = x;
        false
    }
}
