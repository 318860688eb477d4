//! Rotary positions (Su et al. 2021, "RoFormer", section 3.2.2), and how they are slowed down for a
//! context longer than that of pre-training.

// b batch, t positions, h heads, d head width

use std::f32::consts::PI;

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use zoo_kernels::range;

/// How rotary positions are slowed down, by Hugging Face's names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase", deny_unknown_fields)]
pub enum RopeScaling {
    /// Every pair of elements turns slower (Chen et al. 2023, "Extending Context Window of Large
    /// Language Models via Positional Interpolation").
    Linear {
        /// How many times slower, 1 or above.
        factor: f64,
    },
    /// Slow pairs turn slower, quick ones as before, and between them the change is gradual (Llama
    /// 3.1's reference code).
    Llama3 {
        /// How many times slower a slow pair turns, 1 or above.
        factor: f64,
        /// A pair is slow that turns less than this often in the original context, above 0.
        low_freq_factor: f64,
        /// A pair is quick that turns more often than this in the original context, above
        /// `low_freq_factor`.
        high_freq_factor: f64,
        /// Positions of the original context, 1..=16777216.
        original_max_position_embeddings: usize,
    },
}

impl RopeScaling {
    /// Checks every value.
    ///
    /// # Errors
    /// A message that names the key, what is allowed and what was given.
    pub fn validate(&self) -> Result<(), String> {
        let (Self::Linear { factor } | Self::Llama3 { factor, .. }) = *self;
        range::number("rope_scaling.factor", factor, 1.0..=1e6)?;
        let Self::Llama3 {
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_position_embeddings: original,
            ..
        } = *self
        else {
            return Ok(());
        };
        let key = "rope_scaling.original_max_position_embeddings";
        range::count(key, original, crate::range::SIZES)?;
        let key = "rope_scaling.low_freq_factor";
        range::number(key, low, f64::MIN_POSITIVE..=1e6)?;
        let is_above = high > low && high <= 1e6;
        let expected = format!("above low_freq_factor = {low} and at most 1e6");
        range::allowed(is_above, "rope_scaling.high_freq_factor", expected, high)
    }

    /// What a pair turns by a position, from what it would turn by.
    fn slow_down(&self, frequency: f32) -> f32 {
        match *self {
            Self::Linear { factor } => frequency / factor as f32,
            Self::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_max_position_embeddings: original,
            } => {
                let slow = frequency / factor as f32;
                let (low, high, original) = (low as f32, high as f32, original as f32);
                let wavelength = 2.0 * PI / frequency;
                if wavelength > original / low {
                    return slow;
                }
                if wavelength < original / high {
                    return frequency;
                }
                let share = (original / wavelength - low) / (high - low);
                (1.0 - share) * slow + share * frequency
            }
        }
    }
}

/// What each pair of a head's elements turns by a position, in radians, rounded as Hugging Face
/// rounds it.
pub fn frequencies(theta: f64, head_width: usize, scaling: Option<RopeScaling>) -> Vec<f32> {
    let frequency = |pair: usize| {
        let exponent = (2 * pair) as f32 / head_width as f32;
        let frequency = 1.0 / (theta as f32).powf(exponent);
        scaling.map_or(frequency, |scaling| scaling.slow_down(frequency))
    };
    (0..head_width / 2).map(frequency).collect()
}

/// Cosines and sines of what each pair of a head's elements turns by, `[1, t, 1, d/2]`.
pub(super) struct Angles {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Angles {
    /// For the positions of `x [b, t, c]`, of which `past` came before.
    ///
    /// Angles are rounded to single precision as Hugging Face's are: at late positions that is
    /// more than the rounding of a cosine.
    pub(super) fn new(frequencies: &[f32], past: usize, x: &Tensor<3>) -> Self {
        let ([_, t, _], pairs) = (x.dims(), frequencies.len());
        let angles: Vec<f64> = (past..past + t)
            .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f))
            .map(f64::from)
            .collect();
        let table = |of: fn(f64) -> f64| {
            let values: Vec<f64> = angles.iter().copied().map(of).collect();
            let data = TensorData::new(values, [1, t, 1, pairs]).convert_dtype(x.dtype());
            Tensor::from_data(data, (&x.device(), x.dtype()))
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
        }
    }

    /// Turns every head of `x [b, t, h, d]`: element `i` with element `i + d/2`.
    pub(super) fn turn(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, _, d] = x.dims();
        let (first, second) = (x.clone().narrow(3, 0, d / 2), x.narrow(3, d / 2, d / 2));
        let (cos, sin) = (&self.cos, &self.sin);
        let turned = [
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos.clone() + first * sin.clone(),
        ];
        Tensor::cat(turned.into(), 3)
    }
}
