//! Multilayer perceptron: linear layers with an activation between them (Rumelhart, Hinton and
//! Williams 1986, "Learning representations by back-propagating errors").
//!
//! Departures: the activation may be ReLU, tanh or GELU as well as the paper's sigmoid, dropout
//! (Srivastava et al. 2014) may follow it, and the output is raw logits, because a stable
//! cross-entropy applies its own log-softmax.
//!
//! Weights and biases start as U(-k, k) with k = 1 / sqrt(fan-in), as PyTorch's `nn.Linear` does.

// b batch

use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::{gelu, relu, tanh};
use serde::{Deserialize, Serialize};
use zoo_kernels::{dropout, linear, range, sigmoid};

/// The widest layer accepted: far above any use, far below an overflow of the weight count.
const MAX_WIDTH: usize = 1 << 20;

/// The most widths accepted: each is a layer, which takes memory before it has a weight.
const MOST_WIDTHS: usize = 1024;

/// What an [`Mlp`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Features at every level, from the input to the logits: 2..=1024 of them, each 1..=1048576.
    pub widths: Vec<usize>,
    /// The non-linearity after every layer but the last.
    pub activation: Activation,
    /// Probability of zeroing a hidden activation while training, 0 <= p < 1.
    pub dropout: f64,
}

/// The non-linearity between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x)
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x)), the choice of the 1986 paper.
    Sigmoid,
    /// x Φ(x) with the exact normal distribution Φ (Hendrycks and Gimpel 2016), as PyTorch's
    /// default; not the tanh approximation.
    Gelu,
}

impl MlpConfig {
    /// Every preset by name, in the order to list them.
    pub fn presets() -> Vec<(&'static str, Self)> {
        vec![("intro", Self::intro())]
    }

    /// The classifier that textbooks open with: 28x28 pixels, 128 hidden units with ReLU, ten
    /// digits. 101,770 parameters.
    pub fn intro() -> Self {
        Self {
            widths: vec![28 * 28, 128, 10],
            activation: Activation::Relu,
            dropout: 0.0,
        }
    }

    /// Ten numbers to one, for Friedman's first problem (Friedman 1991): 4,929 parameters.
    pub fn mlp_friedman() -> Self {
        Self {
            widths: vec![10, 64, 64, 1],
            ..Self::intro()
        }
    }

    /// Small enough for tests: 16 features, two hidden layers, four classes; 344 parameters.
    pub fn tiny() -> Self {
        Self {
            widths: vec![16, 12, 8, 4],
            ..Self::intro()
        }
    }

    /// Features of one input sample; 0 where `widths` is empty, which [`validate`](Self::validate)
    /// refuses.
    pub fn input_features(&self) -> usize {
        self.widths.first().copied().unwrap_or(0)
    }

    /// Logits for one sample; 0 where `widths` is empty, which [`validate`](Self::validate)
    /// refuses.
    pub fn num_classes(&self) -> usize {
        self.widths.last().copied().unwrap_or(0)
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// The first offending key as a recipe spells it, its range, and the value found.
    pub fn validate(&self) -> Result<(), String> {
        let of = "widths, the input's first and the output's last";
        range::entries("widths", self.widths.len(), 2..=MOST_WIDTHS, of)?;
        for (i, &width) in self.widths.iter().enumerate() {
            range::count(&format!("widths[{i}]"), width, 1..=MAX_WIDTH)?;
        }
        range::probability("dropout", self.dropout)
    }

    /// Builds the network on `device`, with fresh weights.
    ///
    /// Burn draws a weight when it is first read, so seed the device before that.
    ///
    /// # Panics
    ///
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> Mlp {
        if let Err(message) = self.validate() {
            panic!("{message}");
        }
        let layers = self
            .widths
            .windows(2)
            .map(|pair| LinearConfig::new(pair[0], pair[1]).init(device))
            .collect();
        Mlp {
            layers,
            dropout: DropoutConfig::new(self.dropout).init(),
            activation: self.activation,
        }
    }
}

/// A multilayer perceptron; made by [`MlpConfig::init`].
#[derive(Module, Debug)]
pub struct Mlp {
    /// The linear layers, from the input on; exported as `layers.0.weight`, `layers.0.bias`, …
    pub layers: Vec<Linear>,
    /// Acts on every hidden activation, and only where the input is on an autodiff device.
    pub dropout: Dropout,
    /// Applied after every layer but the last.
    #[module(skip)]
    pub activation: Activation,
}

impl Mlp {
    /// `features [b, in]` -> `logits [b, out]`
    ///
    /// # Panics
    ///
    /// If `features` is not `in` wide.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.logits(features, |_| {})
    }

    /// What every hidden layer hands to the next, `[b, width]` each and after the non-linearity, for
    /// `features [b, in]`: nothing where there is one layer.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn hidden_states(&self, features: Tensor<2>) -> Vec<Tensor<2>> {
        let mut states = Vec::new();
        self.logits(features, |x| states.push(x.clone()));
        states
    }

    /// `after_hidden` sees what leaves every layer but the last.
    fn logits(&self, features: Tensor<2>, mut after_hidden: impl FnMut(&Tensor<2>)) -> Tensor<2> {
        let mut x = features;
        for (i, layer) in self.layers.iter().enumerate() {
            // Either way the layer checks the shape.
            if i + 1 < self.layers.len() {
                x = dropout(&self.dropout, self.activation.after(layer, x));
                after_hidden(&x);
            } else {
                x = linear(layer, x, zoo_kernels::Activation::None);
            }
        }
        x
    }
}

impl Activation {
    /// Applies the non-linearity to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => relu(x),
            Self::Tanh => tanh(x),
            Self::Sigmoid => sigmoid(x),
            Self::Gelu => gelu(x),
        }
    }

    /// A layer and the non-linearity after it, in one go where there is a kernel for it.
    fn after(self, layer: &Linear, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Relu => linear(layer, x, zoo_kernels::Activation::Relu),
            Self::Gelu => linear(layer, x, zoo_kernels::Activation::Gelu),
            _ => self.forward(linear(layer, x, zoo_kernels::Activation::None)),
        }
    }
}
