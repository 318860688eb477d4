//! What a column computed against what the reference did: errors, bounds, and where they begin.

use std::collections::BTreeMap;
use std::path::Path;

use crate::bounds::{GRADIENT_SCALE, NOT_FINITE, Tolerance, bound, verdict};
use crate::report::{Agreement, Departure, First};
use crate::spec::Dtype;
use crate::tensors::{self, Values};

/// Largest list of layers that is read; a layer has a line.
const MOST_BYTES: u64 = 1 << 24;

/// Everything that one run computed.
#[derive(Clone, Debug)]
pub struct Observed {
    /// `outputs`, `decoding`, `layer/…`
    outputs: BTreeMap<String, Values>,
    /// By parameter.
    gradients: BTreeMap<String, Values>,
    /// Path, kind and length of the inner products, in the order of the forward pass.
    layers: Vec<(String, String, u64)>,
    /// Of the training steps.
    losses: Vec<f64>,
}

impl Observed {
    /// Reads what a worker wrote.
    ///
    /// # Errors
    /// Files that are not there or are damaged.
    pub fn read(folder: &Path, losses: Vec<f64>) -> Result<Self, String> {
        let open =
            |name: &str| tensors::read(&folder.join(name)).map_err(|error| error.to_string());
        // PyTorch writes no list: its layers are found by the reference's names.
        let path = folder.join("layers.json");
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let layers = match zoo_files::read(&path, MOST_BYTES) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| wrong(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(wrong(&error)),
        };
        Ok(Self {
            outputs: open("outputs.safetensors")?,
            gradients: open("gradients.safetensors")?,
            layers,
            losses,
        })
    }
}

impl Observed {
    /// The losses of the training steps.
    #[must_use]
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// The terms of the longest inner product.
    #[must_use]
    pub fn longest_product(&self) -> u64 {
        let lengths = self.layers.iter().map(|(_, _, inner)| *inner);
        lengths.max().unwrap_or(0)
    }

    /// The first thing in it that is not finite, if anything is: a reference with such numbers can
    /// prove nothing, and a perturbed one says nothing of rounding.
    #[must_use]
    pub fn not_finite(&self) -> Option<String> {
        let bad = |values: &Values| values.data.iter().any(|value| !value.is_finite());
        let layers = self.layers.iter().map(|(name, ..)| name);
        let layer = layers.into_iter().find(|name| {
            let output = self.outputs.get(&format!("layer/{name}"));
            output.is_some_and(bad)
        });
        let output = self.outputs.iter().find(|(_, values)| bad(values));
        let loss = self.losses.iter().position(|loss| !loss.is_finite());
        let gradient = self.gradients.iter().find(|(_, values)| bad(values));
        layer
            .map(|name| format!("the output of layer {name}"))
            .or_else(|| output.map(|(name, _)| name.clone()))
            .or_else(|| gradient.map(|(name, _)| format!("the gradient of {name}")))
            .or_else(|| loss.map(|step| format!("the loss of training step {}", step + 1)))
    }

    /// What has the same name wherever it is computed: the outputs and the losses.
    #[must_use]
    pub fn results(&self) -> Self {
        let outputs = self.outputs.iter().filter(|(name, _)| *name == "outputs");
        Self {
            outputs: outputs
                .map(|(name, values)| (name.clone(), values.clone()))
                .collect(),
            gradients: BTreeMap::new(),
            layers: Vec::new(),
            losses: self.losses.clone(),
        }
    }

    /// The same with no more than the first step of training.
    #[must_use]
    pub fn first_step(&self) -> Self {
        Self {
            losses: self.losses.iter().take(1).copied().collect(),
            ..self.clone()
        }
    }
}

/// How far runs of the reference with everything moved by roundings of a type, its twins, were from
/// it: the most by element. The twins themselves would take as much memory each as the reference.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    outputs: BTreeMap<String, Values>,
    gradients: BTreeMap<String, Values>,
    losses: Vec<f64>,
}

impl Spread {
    /// Widens it by one more twin of `run`.
    pub fn add(&mut self, run: &Observed, twin: &Observed) {
        widen(&mut self.outputs, &run.outputs, &twin.outputs);
        widen(&mut self.gradients, &run.gradients, &twin.gradients);
        self.losses.resize(run.losses.len(), 0.0);
        let pairs = twin.losses.iter().zip(&run.losses);
        for (widest, (twin, loss)) in self.losses.iter_mut().zip(pairs) {
            *widest = widest.max(difference(*twin, *loss));
        }
    }
}

fn widen(
    widest: &mut BTreeMap<String, Values>,
    run: &BTreeMap<String, Values>,
    twin: &BTreeMap<String, Values>,
) {
    for (name, expected) in run {
        let Some(found) = twin.get(name) else {
            continue;
        };
        if found.data.len() != expected.data.len() {
            continue;
        }
        let widest = widest.entry(name.clone()).or_insert_with(|| Values {
            data: vec![0.0; expected.data.len()],
            ..expected.clone()
        });
        let pairs = found.data.iter().zip(&expected.data);
        for (widest, (found, expected)) in widest.data.iter_mut().zip(pairs) {
            *widest = widest.max(difference(*found, *expected));
        }
    }
}

/// The reference, and what rounding may do to it.
pub struct Reference<'a> {
    /// The float64 run.
    pub run: &'a Observed,
    /// How far its twins were from it.
    pub spread: &'a Spread,
}

/// Holds a run against the reference.
#[must_use]
pub fn judge(
    reference: &Reference<'_>,
    run: &Observed,
    dtype: Dtype,
    tolerance: &Tolerance,
) -> Agreement {
    let spread = reference.spread;
    let whole = &reference.run.outputs;
    let total_depth: f64 = depths(&reference.run.layers).last().copied().unwrap_or(0.0);
    let compare = |name: &str, kind: &str, quantity: &str, depth: f64, tensor: Tensor<'_>| {
        let bound = |sensitivity| tolerance.apply(quantity, bound(dtype, depth, sensitivity));
        Departure {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..tensor.departure(bound)
        }
    };
    let mut quantities = Vec::new();
    if let Some(expected) = whole.get("outputs") {
        let tensor = Tensor {
            expected,
            found: run.outputs.get("outputs"),
            spread: spread.outputs.get("outputs").map(data),
            least_scale: 0.0,
        };
        quantities.push(compare("outputs", "logits", "outputs", total_depth, tensor));
        if let Some(decoded) = whole.get("decoding") {
            // The prompt is the batch's first row: decoding with a cache must give the logits that
            // the full pass over it gives.
            let first_row = |mut logits: Values| {
                logits.data.truncate(decoded.data.len());
                logits.shape.clone_from(&decoded.shape);
                logits
            };
            let spread = spread.outputs.get("outputs").cloned().map(first_row);
            let tensor = Tensor {
                expected: &first_row(expected.clone()),
                found: run.outputs.get("decoding"),
                spread: spread.as_ref().map(data),
                least_scale: 0.0,
            };
            quantities.push(compare(
                "decoding",
                "logits",
                "decoding",
                total_depth,
                tensor,
            ));
        }
    }

    let layers: Vec<Departure> = reference
        .run
        .layers
        .iter()
        .zip(depths(&reference.run.layers))
        .filter_map(|((name, kind, _), depth)| {
            let key = format!("layer/{name}");
            let expected = whole.get(&key)?;
            let found = run.outputs.get(&key);
            // PyTorch has no module for an operation without parameters, and where it has one for
            // a bare parameter (a table of positions), it puts out something else.
            let comparable = found.is_some_and(|found| found.data.len() == expected.data.len());
            if !comparable && run.layers.is_empty() {
                return None;
            }
            let tensor = Tensor {
                expected,
                found,
                spread: spread.outputs.get(&key).map(data),
                least_scale: 0.0,
            };
            Some(compare(name, kind, "layers", depth, tensor))
        })
        .collect();

    let expected = &reference.run.gradients;
    let largest = expected.values().map(magnitude).fold(0.0, f64::max);
    let gradients: Vec<Departure> = backward(expected.keys(), &reference.run.layers)
        .into_iter()
        .filter_map(|name| {
            let found = run.gradients.get(&name);
            // Running statistics have no gradient, and a peer does not list them.
            if found.is_none() && magnitude(&expected[&name]) == 0.0 {
                return None;
            }
            let tensor = Tensor {
                expected: &expected[&name],
                found,
                spread: spread.gradients.get(&name).map(data),
                least_scale: GRADIENT_SCALE * largest,
            };
            // To the loss and back.
            let depth = 2.0 * total_depth + batch_depth(whole.get("outputs"));
            Some(compare(&name, "parameter", "gradients", depth, tensor))
        })
        .collect();

    let depth = total_depth + batch_depth(whole.get("outputs"));
    let training = training(reference, run, dtype, depth, tolerance);
    quantities.extend(training);
    quantities.extend(worst("gradients", &gradients));
    quantities.extend(worst("layers", &layers));

    let worst = quantities.iter().max_by(|a, b| over(a).total_cmp(&over(b)));
    let first = |of: &str, all: &[Departure]| {
        let first = all.iter().find(|departure| over(departure) > 1.0)?;
        Some(First {
            of: of.into(),
            name: first.name.clone(),
            kind: first.kind.clone(),
            shape: first.shape.clone(),
            over: over(first),
        })
    };
    Agreement {
        verdict: verdict(worst.map_or(f64::INFINITY, over)),
        worst: worst.map_or(NOT_FINITE, over),
        worst_of: worst.map(|worst| worst.name.clone()).unwrap_or_default(),
        first: first("output", &layers).or_else(|| first("gradient", &gradients)),
        losses: run.losses.iter().map(|loss| finite(*loss)).collect(),
        quantities,
        layers,
        gradients,
    }
}

/// The sum of the square roots of the lengths of all inner products up to each layer.
fn depths(layers: &[(String, String, u64)]) -> Vec<f64> {
    let mut depth = 0.0;
    let step = |(_, _, inner): &(String, String, u64)| {
        depth += (*inner as f64).sqrt();
        depth
    };
    layers.iter().map(step).collect()
}

/// A loss, and any gradient, sums over the rows of the logits.
fn batch_depth(logits: Option<&Values>) -> f64 {
    let rows = |values: &Values| match values.shape.split_last() {
        Some((_, rows)) => rows.iter().product::<usize>() as f64,
        None => 1.0,
    };
    logits.map_or(0.0, |values| rows(values).sqrt())
}

/// Parameters in the order in which a backward pass reaches them: the layers from the last to the
/// first.
fn backward<'a>(
    names: impl Iterator<Item = &'a String>,
    layers: &[(String, String, u64)],
) -> Vec<String> {
    let place = |name: &str| {
        layers.iter().rposition(|(layer, _, _)| {
            name == layer
                || name
                    .strip_prefix(layer.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let mut names: Vec<String> = names.cloned().collect();
    names.sort_by_key(|name| std::cmp::Reverse(place(name)));
    names
}

/// How many times its bound a departure is; what is not a number is beyond any.
fn over(departure: &Departure) -> f64 {
    match departure.error < NOT_FINITE {
        true => finite(departure.error / departure.bound),
        false => NOT_FINITE,
    }
}

fn worst(quantity: &str, all: &[Departure]) -> Option<Departure> {
    let worst = all.iter().max_by(|a, b| over(a).total_cmp(&over(b)))?;
    Some(Departure {
        name: quantity.into(),
        kind: worst.name.clone(),
        ..worst.clone()
    })
}

/// The first loss, and the worst of all steps.
fn training(
    reference: &Reference<'_>,
    run: &Observed,
    dtype: Dtype,
    depth: f64,
    tolerance: &Tolerance,
) -> Vec<Departure> {
    let expected = &reference.run.losses;
    let largest = expected
        .iter()
        .fold(0.0, |largest: f64, loss| largest.max(loss.abs()));
    let mut sensitivity: f64 = 0.0;
    let mut all = Vec::new();
    for (step, loss) in expected.iter().enumerate() {
        let scale = loss.abs().max(0.01 * largest).max(f64::MIN_POSITIVE);
        let apart = reference.spread.losses.get(step).copied().unwrap_or(0.0);
        let proves = loss.is_finite() && apart.is_finite();
        if proves {
            sensitivity = sensitivity.max(apart / scale);
        }
        let quantity = if step == 0 { "loss" } else { "training" };
        let found = run.losses.get(step).copied();
        all.push(Departure {
            name: quantity.into(),
            kind: format!("loss of step {}", step + 1),
            shape: Vec::new(),
            error: match found.filter(|_| proves) {
                Some(found) => finite(difference(found, *loss) / scale),
                None => NOT_FINITE,
            },
            bound: tolerance.apply(quantity, bound(dtype, depth, sensitivity)),
            index: step,
            value: found.filter(|found| found.is_finite()),
            reference: Some(*loss).filter(|loss| loss.is_finite()),
        });
    }
    let rest = all.split_off(all.len().min(1));
    all.extend(rest.into_iter().max_by(|a, b| over(a).total_cmp(&over(b))));
    all
}

fn data(values: &Values) -> &[f64] {
    &values.data
}

/// One tensor of the reference, what was found in its place, and how far the twins were from it.
struct Tensor<'a> {
    expected: &'a Values,
    found: Option<&'a Values>,
    spread: Option<&'a [f64]>,
    least_scale: f64,
}

impl Tensor<'_> {
    /// Its worst element, without a name: the one that is furthest beyond its own bound. `bound`
    /// gives a bound for how far the twins are from the reference in an element.
    fn departure(&self, bound: impl Fn(f64) -> f64) -> Departure {
        let expected = &self.expected.data;
        let scale = magnitude(self.expected)
            .max(self.least_scale)
            .max(f64::MIN_POSITIVE);
        let mut worst = Departure {
            name: String::new(),
            kind: String::new(),
            shape: self.expected.shape.clone(),
            error: NOT_FINITE,
            bound: bound(0.0),
            index: 0,
            value: None,
            reference: None,
        };
        let Some(found) = self
            .found
            .filter(|found| found.data.len() == expected.len())
        else {
            return worst;
        };
        worst.error = 0.0;
        for (index, (value, reference)) in found.data.iter().zip(expected).enumerate() {
            let apart = self.spread.map_or(0.0, |spread| spread[index]);
            if ![*value, *reference, apart].into_iter().all(f64::is_finite) {
                return Departure {
                    error: NOT_FINITE,
                    bound: bound(0.0),
                    index,
                    value: Some(*value).filter(|value| value.is_finite()),
                    reference: Some(*reference).filter(|reference| reference.is_finite()),
                    ..worst
                };
            }
            let error = (value - reference).abs() / scale;
            // Most elements are within the floor by far: the twins need not be asked.
            if error / bound(0.0) <= worst.error / worst.bound {
                continue;
            }
            let bound = bound(apart / scale);
            if error / bound > worst.error / worst.bound {
                worst.error = finite(error);
                worst.bound = bound;
                worst.index = index;
                worst.value = Some(*value);
                worst.reference = Some(*reference);
            }
        }
        worst
    }
}

fn magnitude(values: &Values) -> f64 {
    values
        .data
        .iter()
        .fold(0.0, |largest: f64, value| largest.max(value.abs()))
}

/// Infinite where either is not finite: two that are not, NaN and NaN or two infinities, agree on
/// nothing.
fn difference(a: f64, b: f64) -> f64 {
    match a.is_finite() && b.is_finite() {
        true => (a - b).abs(),
        false => f64::INFINITY,
    }
}

fn finite(error: f64) -> f64 {
    if error.is_finite() {
        error.min(NOT_FINITE)
    } else {
        NOT_FINITE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Verdict;

    fn values(data: &[f64]) -> Values {
        Values {
            shape: vec![data.len()],
            data: data.to_vec(),
            integers: false,
        }
    }

    /// Two layers of inner products of 100, with some gradients and three losses.
    fn observed() -> Observed {
        let tensors = |pairs: &[(&str, &[f64])]| {
            pairs
                .iter()
                .map(|(name, data)| ((*name).into(), values(data)))
                .collect()
        };
        Observed {
            outputs: tensors(&[
                ("outputs", &[1.0, -2.0]),
                ("layer/a", &[0.5, 0.25]),
                ("layer/b", &[1.0, -2.0]),
            ]),
            gradients: tensors(&[
                ("a.weight", &[0.1, 0.2]),
                ("a.bias", &[1e-20, -1e-20]),
                ("b.weight", &[0.3, -0.1]),
                ("b.running_mean", &[0.0, 0.0]),
            ]),
            layers: ["a", "b"]
                .map(|name| (name.into(), "Linear".into(), 100))
                .to_vec(),
            losses: vec![2.0, 1.5, 1.2],
        }
    }

    fn against(run: &Observed, twins: &[Observed]) -> Agreement {
        let reference = observed();
        let mut spread = Spread::default();
        for twin in twins {
            spread.add(&reference, twin);
        }
        let reference = Reference {
            run: &reference,
            spread: &spread,
        };
        judge(&reference, run, Dtype::F32, &Tolerance::default())
    }

    #[test]
    fn equal_runs_agree() {
        let agreement = against(&observed(), &[]);
        assert_eq!((agreement.verdict, agreement.worst), (Verdict::Agrees, 0.0));
        assert_eq!(agreement.first, None);
        let names: Vec<_> = agreement
            .quantities
            .iter()
            .map(|q| q.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["outputs", "loss", "training", "gradients", "layers"]
        );
        // From the last layer to the first, as the backward pass goes.
        assert!(agreement.gradients[0].name.starts_with("b."));
    }

    #[test]
    fn the_first_layer_that_departs_is_named() {
        let mut run = observed();
        for (name, index) in [("layer/a", 1), ("layer/b", 0), ("outputs", 0)] {
            run.outputs.get_mut(name).unwrap().data[index] += 0.01;
        }
        let agreement = against(&run, &[]);
        assert_eq!(agreement.verdict, Verdict::Departs);
        let first = agreement.first.unwrap();
        assert_eq!((first.of.as_str(), first.name.as_str()), ("output", "a"));
        let a = &agreement.layers[0];
        assert_eq!((a.index, a.value, a.reference), (1, Some(0.26), Some(0.25)));
        assert!((a.error - 0.02).abs() < 1e-12, "{a:?}");
    }

    #[test]
    fn a_gradient_is_named_where_every_output_agrees() {
        let mut run = observed();
        run.gradients.get_mut("a.weight").unwrap().data.reverse();
        let first = against(&run, &[]).first.unwrap();
        assert_eq!(
            (first.of.as_str(), first.name.as_str()),
            ("gradient", "a.weight")
        );
    }

    #[test]
    fn a_gradient_that_vanishes_in_exact_arithmetic_may_be_noise() {
        let mut run = observed();
        run.gradients
            .insert("a.bias".into(), values(&[3e-9, -2e-9]));
        assert_eq!(against(&run, &[]).verdict, Verdict::Agrees);
        run.gradients
            .insert("a.bias".into(), values(&[3e-3, -2e-9]));
        assert_eq!(against(&run, &[]).verdict, Verdict::Departs);
    }

    #[test]
    fn a_switched_relu_widens_the_bound_of_what_it_switches_alone() {
        let mut twin = observed();
        twin.gradients.get_mut("b.weight").unwrap().data[1] += 0.05;
        let mut run = observed();
        run.gradients.get_mut("b.weight").unwrap().data[1] += 0.06;
        assert_eq!(
            against(&run, std::slice::from_ref(&twin)).verdict,
            Verdict::Agrees
        );
        run.gradients.get_mut("b.weight").unwrap().data[0] += 0.06;
        let agreement = against(&run, &[twin]);
        assert_eq!(agreement.verdict, Verdict::Departs);
        assert_eq!(agreement.gradients[0].index, 0);
    }

    #[test]
    fn what_is_not_finite_departs() {
        let mut run = observed();
        run.losses[2] = f64::NAN;
        run.outputs.get_mut("layer/b").unwrap().data[0] = f64::NAN;
        let agreement = against(&run, &[]);
        assert_eq!(agreement.worst, NOT_FINITE);
        assert_eq!(agreement.layers[1].value, None);
        assert_eq!(agreement.first.unwrap().name, "b");
        // JSON has no NaN: what is written can be read.
        let json = serde_json::to_string(&agreement.losses).unwrap();
        let losses: Vec<f64> = serde_json::from_str(&json).unwrap();
        assert_eq!(losses[2], NOT_FINITE);
    }

    #[test]
    fn two_that_are_not_finite_do_not_agree() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut reference = observed();
            reference.outputs.get_mut("layer/b").unwrap().data[1] = bad;
            let same = reference.clone();
            let none = Spread::default();
            let held = |reference: &Observed, run: &Observed| {
                let of = Reference {
                    run: reference,
                    spread: &none,
                };
                judge(&of, run, Dtype::F32, &Tolerance::default())
            };
            let agreement = held(&reference, &same);
            assert_eq!(agreement.verdict, Verdict::Departs, "{bad} and {bad}");
            let b = &agreement.layers[1];
            assert_eq!((b.index, b.value, b.reference), (1, None, None));
            assert_eq!(agreement.first.unwrap().name, "b");
            // Nor does a reference that is not finite make room for anything else.
            assert_eq!(held(&reference, &observed()).verdict, Verdict::Departs);
            let said = reference.not_finite().unwrap();
            assert!(said.contains("layer b"), "{said}");

            let mut reference = observed();
            reference.losses[2] = bad;
            let agreement = held(&reference, &reference.clone());
            assert_eq!(agreement.verdict, Verdict::Departs, "losses {bad}");
            let said = reference.not_finite().unwrap();
            assert!(said.contains("step 3"), "{said}");

            let mut reference = observed();
            reference.gradients.get_mut("b.weight").unwrap().data[0] = bad;
            let agreement = held(&reference, &reference.clone());
            assert_eq!(agreement.verdict, Verdict::Departs, "gradients {bad}");
            assert!(reference.not_finite().unwrap().contains("b.weight"));
        }
        assert_eq!(observed().not_finite(), None);
    }

    #[test]
    fn a_perturbed_reference_that_is_not_finite_widens_nothing() {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut twin = observed();
            twin.losses[2] = bad;
            twin.outputs.get_mut("outputs").unwrap().data[0] = bad;
            twin.gradients.get_mut("b.weight").unwrap().data[1] = bad;
            let mut run = observed();
            run.losses[2] += 0.5;
            run.outputs.get_mut("outputs").unwrap().data[0] += 0.5;
            run.gradients.get_mut("b.weight").unwrap().data[1] += 0.5;
            let agreement = against(&run, &[twin]);
            assert_eq!(agreement.verdict, Verdict::Departs);
            for name in ["outputs", "gradients", "training"] {
                let of = |one: &&Departure| one.name == name;
                let found = agreement.quantities.iter().find(of).unwrap();
                assert!(over(found) > 1.0, "{name}: {found:?}");
            }
            // What is written can be read: JSON has no infinity.
            let json = serde_json::to_string(&agreement).unwrap();
            let back: Agreement = serde_json::from_str(&json).unwrap();
            assert_eq!(back.verdict, Verdict::Departs);
        }
    }

    #[test]
    fn what_is_missing_departs() {
        let mut run = observed();
        run.gradients.remove("a.weight");
        run.losses.pop();
        let agreement = against(&run, &[]);
        assert_eq!(agreement.verdict, Verdict::Departs);
        // A peer that does not list running statistics misses nothing.
        let mut run = observed();
        run.gradients.remove("b.running_mean");
        assert_eq!(against(&run, &[]).verdict, Verdict::Agrees);
    }

    #[test]
    fn a_sensitive_model_gets_a_wider_bound_and_only_from_there_on() {
        let mut run = observed();
        run.losses[2] *= 1.0 + 1e-3;
        assert_eq!(against(&run, &[]).verdict, Verdict::Departs);
        let mut twin = observed();
        twin.losses[2] *= 1.0 + 8e-4;
        assert_eq!(
            against(&run, std::slice::from_ref(&twin)).verdict,
            Verdict::Agrees
        );
        run.losses[1] *= 1.0 + 1e-3;
        assert_eq!(against(&run, &[twin]).verdict, Verdict::Departs);
    }
}
