//! How far a backend may be from the reference: every tolerance there is, and why.

use crate::report::Verdict;
use crate::spec::Dtype;

/// What a report says about its bounds.
pub const EXPLANATION: &str = "\
Every column starts from the same weights and batches and is held against a float64 run of the same \
model. The error of a tensor is its largest difference from the reference over the reference's \
largest magnitude. (A gradient that vanishes in exact arithmetic, such as that of a bias before a \
batch norm, is measured on a hundredth of the largest gradient instead.) The bound is the larger of \
two figures. The first is a floor from rounding alone: 8 u + 4 a D, where u is the unit roundoff of \
the type (f32 6e-8, f16 5e-4, bf16 4e-3), a that of the accumulator (f32 for the narrow types) and D \
the operation depth, the sum of the square roots of the lengths of all inner products on the way: \
rounding errors of n summands grow like the square root of n (Higham and Mary 2019). The second is \
what the model itself makes of rounding errors: four times the departure, in the same element, of \
float64 runs whose weights and inputs were each moved at random by roundings of the type. There are 24 \
such runs for every comparison, whatever comes out of it: six moved by up to four roundings, and 18 by \
half the square root of the longest inner product, which is what adding it up term by term may lose. \
(In double precision there are just the six.) Every third of them trains. The bound widens where a result is ill-conditioned and nowhere else: where a ReLU's \
input is as good as zero, so that rounding decides whether a gradient passes, or over many steps of a \
fresh network with batch norm, which is chaotic. \
Green is at most half the bound, amber within it, red beyond it.";

/// Roundings of the type itself that any result may carry.
const ROUNDINGS: f64 = 8.0;
/// Allowance on the probabilistic error of an inner product. Its constant is about 1 in theory;
/// 4 leaves room for a maximum over many elements.
const INNER_PRODUCT: f64 = 4.0;
/// Perturbed references of a type. A ReLU whose input is as good as zero, or a maximum of two as good
/// as equal, switches in about every third of them, and a large network has a few such. That none of
/// 24 sees a given one switch happens once in 17,000 times, none of six once in 11.
///
/// The number does not depend on what is found: asking for more runs only where a check is about to
/// fail would widen the bound of just those.
const TWINS: u64 = 24;
/// Those that are moved by [`MOVED`]; the others are moved further. In double precision there are no
/// others: hardly anything is so near to zero.
const MOVED_LEAST: u64 = 6;
/// How far weights and inputs are moved at least, in roundings.
const MOVED: f64 = 4.0;
/// One in so many also trains, which takes as many times longer as there are steps; the others
/// compute a first gradient.
const TRAINS: u64 = 3;

/// A perturbed reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Twin {
    /// Of its random numbers.
    pub(crate) seed: u64,
    /// How far weights and inputs are moved, in roundings of the type.
    pub(crate) roundings: f64,
    /// Whether it goes through all steps of training.
    pub(crate) trains: bool,
}

/// The perturbed references of a type for a longest inner product of `inner` terms. Sums of 1 to `inner` terms,
/// rounded one after the other, are off by as much as the whole is where each term is moved by
/// √inner / 2 roundings: both errors have the deviation inner / √6 of a rounding of a term.
pub(crate) fn twins(dtype: Dtype, inner: u64) -> impl Iterator<Item = Twin> {
    let further = ((inner as f64).sqrt() / 2.0).max(MOVED);
    let count = match dtype {
        Dtype::F64 => MOVED_LEAST,
        _ => TWINS,
    };
    (1..=count).map(move |seed| Twin {
        seed,
        roundings: if seed <= MOVED_LEAST { MOVED } else { further },
        trains: seed % TRAINS == 0,
    })
}

/// How much further than a perturbed reference a backend may be, which rounds every intermediate
/// result too.
const SENSITIVITY: f64 = 4.0;
/// The least scale of a gradient, as a share of the largest gradient of the model.
pub(crate) const GRADIENT_SCALE: f64 = 0.01;
/// Written for an error that is not finite, since JSON has no infinity.
pub const NOT_FINITE: f64 = 1e308;

/// The bound of one quantity. `depth` is the sum of the square roots of the lengths of the inner
/// products on the way to it, `sensitivity` the departure of the perturbed references.
#[must_use]
pub fn bound(dtype: Dtype, depth: f64, sensitivity: f64) -> f64 {
    let accumulator = dtype.unit_roundoff().min(Dtype::F32.unit_roundoff());
    let floor = ROUNDINGS * dtype.unit_roundoff() + INNER_PRODUCT * accumulator * depth;
    floor.max(SENSITIVITY * sensitivity)
}

/// What an error means under its bound.
#[must_use]
pub fn verdict(over: f64) -> Verdict {
    match over {
        over if over <= 0.5 => Verdict::Agrees,
        over if over <= 1.0 => Verdict::Close,
        _ => Verdict::Departs,
    }
}

/// Bounds of runs in single precision against each other, where there is no reference: 150 layers are off by
/// half of the first. A step of Adam divides a gradient by its own size, so that one within rounding of zero
/// moves its weight by the full rate, either way.
pub(crate) const PARITY: [(&str, f64); 3] = [("outputs", 1e-3), ("loss", 1e-4), ("training", 2e-3)];

/// What the user wants other than the default bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// Multiplies every bound.
    pub factor: Option<f64>,
    /// Replaces the bound of a quantity: `training`, `gradients`, …
    pub fixed: Vec<(String, f64)>,
}

/// The quantities that have a bound.
pub const QUANTITIES: [&str; 6] = [
    "outputs",
    "loss",
    "gradients",
    "training",
    "decoding",
    "layers",
];

impl Tolerance {
    /// Parses `4` (all bounds four times as wide) and `training=1e-3` (a bound of its own), and
    /// any number of them with commas between.
    ///
    /// # Errors
    /// What is wrong with it and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tolerance = Self::default();
        for part in text.split(',').map(str::trim) {
            let number = |text: &str| {
                let value = text.parse::<f64>().ok();
                value
                    .filter(|value| *value > 0.0 && value.is_finite())
                    .ok_or_else(|| format!("--tolerance {part}: {text:?} is not a number above 0"))
            };
            match part.split_once('=') {
                None => tolerance.factor = Some(number(part)?),
                Some((name, value)) if QUANTITIES.contains(&name) => {
                    tolerance.fixed.push((name.to_owned(), number(value)?));
                }
                Some((name, _)) => {
                    return Err(format!(
                        "--tolerance {part}: no quantity {name:?}; there are: {}",
                        QUANTITIES.join(", ")
                    ));
                }
            }
        }
        Ok(tolerance)
    }

    /// The bound to apply to `quantity` where the default is `bound`.
    #[must_use]
    pub fn apply(&self, quantity: &str, bound: f64) -> f64 {
        let fixed = self.fixed.iter().rev().find(|(name, _)| name == quantity);
        match fixed {
            Some((_, bound)) => *bound,
            None => bound * self.factor.unwrap_or(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_with_the_type_the_depth_and_the_sensitivity() {
        let shallow = bound(Dtype::F32, 28.0, 0.0);
        assert!((5e-6..2e-5).contains(&shallow), "{shallow}");
        assert!(bound(Dtype::F32, 280.0, 0.0) > 5.0 * shallow);
        assert!(bound(Dtype::F64, 28.0, 0.0) < 1e-7 * shallow);
        // Narrow types accumulate in f32: a deep network does not make their bound useless.
        assert!(bound(Dtype::F16, 28.0, 0.0) < 0.01);
        assert!(bound(Dtype::BF16, 800.0, 0.0) < 0.04);
        assert_eq!(bound(Dtype::F32, 28.0, 1e-3), 4e-3);
    }

    #[test]
    fn perturbed_references_are_as_the_explanation_says() {
        let all: Vec<Twin> = twins(Dtype::F32, 784).collect();
        let moved = |roundings: f64| {
            all.iter()
                .filter(|twin| twin.roundings == roundings)
                .count()
        };
        assert_eq!((all.len(), moved(4.0), moved(14.0)), (24, 6, 18));
        let trained: Vec<&Twin> = all.iter().filter(|twin| twin.trains).collect();
        assert_eq!(trained.len(), 8);
        // Some of either sort train.
        assert!(trained[0].roundings < trained[7].roundings);
        assert!(EXPLANATION.contains("24 such runs") && EXPLANATION.contains("Every third"));
        assert!(twins(Dtype::F16, 1).all(|twin| twin.roundings == 4.0));
        let double: Vec<Twin> = twins(Dtype::F64, 784).collect();
        assert_eq!(double, all[..6]);
    }

    #[test]
    fn tolerances_are_a_factor_or_a_bound_by_quantity() {
        let tolerance = Tolerance::parse("4, training=1e-3").unwrap();
        assert!((tolerance.apply("outputs", 1e-5) - 4e-5).abs() < 1e-18);
        assert_eq!(tolerance.apply("training", 1e-5), 1e-3);
        for (text, part) in [
            ("0", "above 0"),
            ("trainin=1", "there are: outputs"),
            ("x", "not a number"),
        ] {
            let error = Tolerance::parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
