//! Tensors made to fit a model of another size than the file's: positions interpolated, input channels
//! summed or repeated, as timm does.

// t positions, c width, s and n old and new side

use std::ops::Range;

use burn::tensor::TensorData;

use crate::tree::Leaf;

/// What is done with a tensor of ours that a file has in another shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Misfit {
    /// Nothing: the file is of another model.
    #[default]
    Refuse,
    /// It stays as it is, also where the file has none; a head for other classes does.
    Keep,
    /// As many rows as both have are the file's. New ones stay as they are, and what the file has
    /// more is left out; where the file has none, all stay. A row is what belongs to one token of an
    /// embedding, or to one output of a layer.
    Rows,
    /// The positions of a square picture's patches are [interpolated](positions), but for so many
    /// tokens that stand before them.
    Positions(usize),
    /// The [input channels](channels) of a picture's first convolution are summed or repeated.
    Channels,
}

impl Misfit {
    /// Whether a tensor may stay as it is where the file has none.
    pub(super) fn may_be_missing(self) -> bool {
        matches!(self, Self::Keep | Self::Rows)
    }

    /// How values that lie as ours do, of another shape, are made to fit; `None` if they cannot be.
    pub(super) fn adapt(self, leaf: &Leaf, from: &[usize]) -> Option<Adapt> {
        let to = leaf.shape.as_slice();
        let only = |axis: usize| {
            let mut others = (0..to.len()).filter(|other| *other != axis);
            axis < to.len() && from.len() == to.len() && others.all(|axis| from[axis] == to[axis])
        };
        match self {
            Self::Refuse | Self::Keep => None,
            Self::Rows => {
                // A linear layer's outputs are its columns here.
                let axis = usize::from(leaf.is_linear_weight());
                only(axis).then(|| Adapt::Rows {
                    axis,
                    from: from[axis],
                    to: to[axis],
                })
            }
            Self::Positions(tokens) => {
                let is_right = to.len() == 3 && only(1);
                let side = |shape: &[usize]| {
                    let patches = shape[1].checked_sub(tokens)?;
                    let side = patches.isqrt();
                    (side > 0 && side * side == patches).then_some(side)
                };
                is_right.then_some(())?;
                Some(Adapt::Positions {
                    tokens,
                    from: side(from)?,
                    to: side(to)?,
                })
            }
            Self::Channels => {
                let is_right = to.len() == 4 && only(1) && [1, 3].contains(&from[1]);
                is_right.then(|| Adapt::Channels {
                    from: from[1],
                    to: to[1],
                })
            }
        }
    }
}

/// How one tensor is made to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Adapt {
    Rows {
        axis: usize,
        from: usize,
        to: usize,
    },
    Positions {
        tokens: usize,
        from: usize,
        to: usize,
    },
    Channels {
        from: usize,
        to: usize,
    },
}

impl Adapt {
    /// The values of the file, as far as they can be made to fit without the model's own.
    pub(super) fn values(self, data: TensorData) -> TensorData {
        match self {
            Self::Rows { .. } => data,
            Self::Positions { tokens, to, .. } => positions(&data, tokens, to),
            Self::Channels { to, .. } => channels(&data, to),
        }
    }

    /// What was done, for the user.
    pub(super) fn note(self, path: &str) -> String {
        match self {
            Self::Rows { from, to, .. } if from < to => format!(
                "{path}: {from} of {to} rows are the file's, {} are new",
                to - from
            ),
            Self::Rows { from, to, .. } => format!(
                "{path}: {to} of the file's {from} rows are used, {} are left out",
                from - to
            ),
            Self::Positions { from, to, .. } => {
                format!("{path}: {from}x{from} positions interpolated to {to}x{to}")
            }
            Self::Channels { from, to: 1 } => {
                format!("{path}: {from} input channels summed to 1")
            }
            Self::Channels { from, to } => {
                format!("{path}: {from} input channels repeated for {to}")
            }
        }
    }
}

/// The positions `[1, tokens + s·s, c]` of a square picture's patches for one of `side` x `side`
/// patches: `[1, tokens + side·side, c]`. Bicubic, and where the picture shrinks, each new position is
/// a mean of all old ones that it covers; the tokens before them stay (timm's
/// `resample_abs_pos_embed`).
///
/// # Panics
/// If the patches are no square, or the values no floating point.
pub fn positions(data: &TensorData, tokens: usize, side: usize) -> TensorData {
    let [_, t, c] = *data.shape().as_slice() else {
        panic!("positions are [1, t, c], got {:?}", data.shape());
    };
    let old = (t - tokens).isqrt();
    assert!(old * old == t - tokens, "{t} positions are no square");
    let values: Vec<f64> = data.iter::<f64>().collect();
    let (before, patches) = values.split_at(tokens * c);
    let taps: Vec<Taps> = (0..side).map(|at| Taps::new(at, old, side)).collect();
    // Across, then down; a line is all that lies behind one index of the axis.
    let across: Vec<f64> = (patches.chunks_exact((old * c).max(1)))
        .flat_map(|row| resample(row, c, &taps))
        .collect(); // [s, n, c]
    let down = resample(&across, side * c, &taps); // [n, n, c]
    let made: Vec<f32> = (before.iter().chain(&down)).map(|x| *x as f32).collect();
    TensorData::new(made, [1, tokens + side * side, c])
}

/// Sums of an axis's lines, each as long as `line`.
fn resample(values: &[f64], line: usize, taps: &[Taps]) -> Vec<f64> {
    let mut made = vec![0.0; taps.len() * line];
    for (made, taps) in made.chunks_exact_mut(line).zip(taps) {
        for (from, weight) in taps.from.clone().zip(&taps.weights) {
            let line = &values[from * line..][..made.len()];
            for (made, value) in made.iter_mut().zip(line) {
                *made += weight * value;
            }
        }
    }
    made
}

/// The old places that a new one is made from, and their weights.
struct Taps {
    from: Range<usize>,
    weights: Vec<f64>,
}

impl Taps {
    /// Of the new place `at`, of `to` places where there were `from`.
    fn new(at: usize, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        // Where the picture grows, the kernel keeps its width.
        let width = scale.max(1.0);
        let center = scale * (at as f64 + 0.5);
        let start = (center - 2.0 * width + 0.5).max(0.0) as usize;
        let end = ((center + 2.0 * width + 0.5) as usize).min(from);
        let weight = |place: usize| cubic((place as f64 - center + 0.5) / width);
        let weights: Vec<f64> = (start..end).map(weight).collect();
        let total: f64 = weights.iter().sum();
        Self {
            from: start..end,
            weights: weights.into_iter().map(|weight| weight / total).collect(),
        }
    }
}

/// The cubic kernel with a = -1/2 (Keys 1981, "Cubic convolution interpolation for digital image
/// processing").
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

/// The weights `[o, i, h, w]` of a picture's first convolution for `count` channels: summed for one,
/// else repeated in order, and scaled so that a grey picture, the same in all channels, gives what it
/// gave (timm's `adapt_input_conv`, which knows three channels only).
///
/// # Panics
/// If the weights are not of a convolution of pictures, or no floating point.
pub fn channels(data: &TensorData, count: usize) -> TensorData {
    let [o, i, h, w] = *data.shape().as_slice() else {
        panic!("weights are [o, i, h, w], got {:?}", data.shape());
    };
    let (values, pixels): (Vec<f32>, usize) = (data.iter::<f32>().collect(), h * w);
    let mut made = vec![0.0; o * count * pixels];
    for output in 0..o {
        for channel in 0..i.max(count) {
            let from = &values[(output * i + channel % i) * pixels..][..pixels];
            let made = &mut made[(output * count + channel % count) * pixels..][..pixels];
            for (made, value) in made.iter_mut().zip(from) {
                match count {
                    1 => *made += value,
                    _ if channel < count => *made = value * (i as f32 / count as f32),
                    _ => {}
                }
            }
        }
    }
    TensorData::new(made, [o, count, h, w])
}
