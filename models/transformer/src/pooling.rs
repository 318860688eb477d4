//! How a sentence's positions become one vector.

// b batch, t positions, c width

use burn::tensor::{Bool, Int, Tensor};
use serde::{Deserialize, Serialize};

/// How a sentence's positions become one vector. What is padded never counts.
///
/// Of padding alone come numbers without meaning, but finite ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first position, as in BERT, where a token of its own stands there (`cls`).
    First,
    /// The mean (`mean`).
    Mean,
    /// The largest value of every component (`max`).
    Max,
    /// The sum, divided by the root of the number of positions (`mean_sqrt_len_tokens`).
    MeanSqrtLen,
    /// The last position (`lasttoken`).
    Last,
}

impl Pooling {
    /// `x [b, t, c]`, `padding [b, t]` true where padded -> `[b, c]`
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn forward(self, x: Tensor<3>, padding: Tensor<2, Bool>) -> Tensor<2> {
        let [b, t, c] = x.dims();
        let kept = padding.clone().bool_not().float().cast(x.dtype()); // [b, t]
        // At least one, so that a sentence of padding alone does not divide by zero.
        let count = || kept.clone().sum_dim(1).clamp_min(1.0); // [b, 1]
        let sum = |x: Tensor<3>, weights: Tensor<2>| -> Tensor<2> {
            (x * weights.unsqueeze_dim(2)).sum_dim(1).reshape([b, c])
        };
        match self {
            Self::First => x.narrow(1, 0, 1).reshape([b, c]),
            Self::Mean => sum(x, kept.clone()) / count(),
            Self::MeanSqrtLen => sum(x, kept.clone()) / count().sqrt(),
            Self::Max => {
                let padded = padding.unsqueeze_dim::<3>(2).expand([b, t, c]);
                x.mask_fill(padded, LEAST).max_dim(1).reshape([b, c])
            }
            Self::Last => {
                let numbers = Tensor::<1, Int>::arange(1..t as i64 + 1, &x.device());
                let numbers = numbers.float().cast(x.dtype()).unsqueeze::<2>() * kept.clone();
                let is_last = numbers.clone().equal(numbers.max_dim(1).expand([b, t]));
                let last = is_last.float().cast(x.dtype()) * kept.clone();
                sum(x, last)
            }
        }
    }
}

/// Below any component, as sentence-transformers has it.
const LEAST: f64 = -1e9;
