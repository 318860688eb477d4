//! Which tensor of a file is which of ours: whose names a file has, what they begin with there, and
//! what does not fit.

use std::collections::{BTreeSet, HashMap, HashSet};

use burn::tensor::DType;

use super::Source;
use super::adapt::Misfit;
use crate::tree::Leaf;
use crate::{Origin, Tensors, WeightsError, shown};

/// What training code keeps the weights under, the first the likeliest: beside an optimizer's state,
/// or around the network. Of several networks in a file, the one under these alone is the trained one.
const TRAINERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];

/// What else a network is kept under.
const WRAPPERS: [&str; 11] = [
    "ema",
    "ema_model",
    "model_ema",
    "state_dict_ema",
    "params",
    "params_ema",
    "weights",
    "net",
    "network",
    "backbone",
    "shadow",
];

/// Names of one sort of problem that are listed; the rest is counted.
const LISTED: usize = 10;

/// What is wrong with tensors, of one sort.
#[derive(Clone, Default)]
struct Wrong {
    first: Vec<String>,
    count: usize,
}

impl Wrong {
    fn push(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.count <= LISTED {
            self.first.push(shown(&name()));
        }
    }
}

/// A way to read a file: whose names it has, and what they begin with.
#[derive(Clone)]
pub(super) struct Reading<'a> {
    prefix: String,
    origin: &'a Origin,
    /// Of the tensors of ours.
    pub chosen: Vec<(String, Source)>,
    pub kept: Vec<String>,
    missing: Wrong,
    misshapen: Wrong,
    unexpected: Wrong,
    /// Tensors of the file whose names do not begin so.
    outside: usize,
}

impl Reading<'_> {
    fn fits(&self) -> bool {
        let problems = [&self.missing, &self.misshapen, &self.unexpected];
        !self.chosen.is_empty() && problems.iter().all(|wrong| wrong.count == 0)
    }

    /// How likely this is what was meant, the lowest first.
    fn rank(&self) -> (usize, usize) {
        let mut parts = self.prefix.split_terminator('.');
        let first = parts.clone().next();
        match first.and_then(|first| TRAINERS.iter().position(|part| *part == first)) {
            None if first.is_none() => (0, 0),
            Some(place) if parts.all(|part| TRAINERS.contains(&part)) => (1, place),
            _ => (2, 0),
        }
    }

    /// Whether what lies outside may be left out: the network was taken from among other things.
    fn may_leave(&self, tensors: &Tensors) -> bool {
        let is_known = |part: &str| TRAINERS.contains(&part) || WRAPPERS.contains(&part);
        self.outside == 0
            || tensors.sections.contains(&self.prefix)
            || self.prefix.split_terminator('.').all(is_known)
    }

    /// Where the tensors were found, if not by their names alone.
    pub fn note(&self) -> Option<String> {
        if self.prefix.is_empty() {
            return None;
        }
        let rest = match self.outside {
            0 => String::new(),
            count => format!("; left out: {count} other tensors"),
        };
        Some(format!("read below `{}`{rest}", shown(&self.prefix)))
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (sort, wrong) in [
            ("missing", &self.missing),
            ("of another shape or type", &self.misshapen),
            ("unexpected", &self.unexpected),
        ] {
            problems.extend(wrong.first.iter().map(|name| match sort {
                "of another shape or type" => name.clone(),
                sort => format!("{sort} {name}"),
            }));
            if wrong.count > LISTED {
                problems.push(format!("and {} more {sort}", wrong.count - LISTED));
            }
        }
        problems
    }
}

/// The search for the way to read a file.
pub(super) struct Search<'a> {
    pub tensors: &'a Tensors,
    pub leaves: &'a [Leaf],
    pub origins: Vec<&'a Origin>,
    pub misfit: &'a dyn Fn(&str) -> Misfit,
}

impl<'a> Search<'a> {
    /// The way in which everything fits. Where there are several, names as they are come before names
    /// without their beginning, and what a trainer calls its model before the rest.
    pub fn reading(&self) -> Result<Reading<'a>, WeightsError> {
        let readings = self.readings();
        let mut fitting: Vec<&Reading<'_>> = Vec::new();
        for reading in readings.iter().filter(|reading| reading.fits()) {
            // An optional beginning of the origin's names is not another network.
            if !fitting.iter().any(|other| other.chosen == reading.chosen) {
                fitting.push(reading);
            }
        }
        fitting.sort_by_key(|reading| reading.rank());
        let Some(best) = fitting.first().copied() else {
            return Err(self.refused(&readings));
        };
        // Any that fits is a rival of a name that is nothing to go by.
        let is_rival = |other: &&&Reading<'_>| other.rank() == best.rank();
        let rivals = fitting.iter().filter(is_rival).count();
        if rivals > 1 {
            return Err(self.ambiguous(&fitting[..rivals]));
        }
        if !best.may_leave(self.tensors) {
            return Err(self.among_others(&readings[0], best));
        }
        self.check(best)?;
        Ok(best.clone())
    }

    /// Every way in which most tensors of ours are found; at least the plainest.
    fn readings(&self) -> Vec<Reading<'a>> {
        let mut readings = Vec::new();
        for &origin in &self.origins {
            let found = self.prefixes(origin);
            let most = found.values().copied().max().unwrap_or(0);
            // In order, so that the same file is always refused in the same words.
            let mut prefixes: BTreeSet<&str> = BTreeSet::from([""]);
            prefixes.extend(
                found
                    .iter()
                    .filter(|(_, count)| **count == most)
                    .map(|(p, _)| *p),
            );
            let tried = prefixes.into_iter().take(64);
            readings.extend(tried.map(|prefix| self.held_against(origin, prefix)));
        }
        readings
    }

    /// What stands before names of ours in the file, and before how many of them, in their shapes.
    fn prefixes(&self, origin: &Origin) -> HashMap<&'a str, usize> {
        let mut expected = HashMap::new();
        for (number, leaf) in self.leaves.iter().enumerate() {
            if !(self.misfit)(&leaf.path).may_be_missing() {
                for name in spellings(origin, &origin.name(&leaf.path)) {
                    expected.insert(name, number);
                }
            }
        }
        let longest = expected.keys().map(String::len).max().unwrap_or(0);
        let mut found: HashMap<&str, HashSet<usize>> = HashMap::new();
        for (name, entry) in &self.tensors.entries {
            let starts = name.match_indices('.').map(|(dot, _)| dot + 1);
            let starts = starts.filter(|start| name.len() - start <= longest);
            for start in [0].into_iter().chain(starts) {
                let Some(number) = expected.get(&name[start..]) else {
                    continue;
                };
                let leaf = &self.leaves[*number];
                if source(origin, leaf, &name[start..]).stored_shape(leaf) == entry.shape {
                    found.entry(&name[..start]).or_default().insert(*number);
                }
            }
        }
        let counted = found.into_iter();
        counted
            .map(|(prefix, found)| (prefix, found.len()))
            .collect()
    }

    /// The file as far as its names begin with `prefix`, held against the model.
    fn held_against(&self, origin: &'a Origin, prefix: &str) -> Reading<'a> {
        let mut reading = Reading {
            prefix: prefix.to_owned(),
            origin,
            chosen: Vec::new(),
            kept: Vec::new(),
            missing: Wrong::default(),
            misshapen: Wrong::default(),
            unexpected: Wrong::default(),
            outside: 0,
        };
        let mut used = HashSet::new();
        for leaf in self.leaves {
            let name = origin.name(&leaf.path);
            let names = spellings(origin, &name).map(|name| format!("{prefix}{name}"));
            let mut there = names.filter_map(|name| self.tensors.entries.get_key_value(&name));
            let Some((stored, entry)) = there.next() else {
                match (self.misfit)(&leaf.path).may_be_missing() {
                    true => reading.kept.push(leaf.path.clone()),
                    false => reading.missing.push(|| name.clone()),
                }
                continue;
            };
            used.insert(stored.as_str());
            let mut source = source(origin, leaf, stored);
            let expected = source.stored_shape(leaf);
            let kind = entry.layout.as_ref().map(|layout| layout.dtype);
            let misfit = (self.misfit)(&leaf.path);
            if entry.shape != expected {
                source.adapt = misfit.adapt(leaf, &source.own_shape(&entry.shape));
            }
            let fits = entry.shape == expected || source.adapt.is_some();
            if fits && kind.is_ok_and(|kind| kind.is_float()) {
                reading.chosen.push((leaf.path.clone(), source));
            } else if misfit.may_be_missing() {
                reading.kept.push(leaf.path.clone());
            } else {
                reading.misshapen.push(|| match kind {
                    Ok(_) if entry.shape != expected => {
                        format!("{stored} is {:?}, expected {expected:?}", entry.shape)
                    }
                    Ok(DType::Bool(_)) => {
                        format!("{stored} is stored as bool, not as floating point")
                    }
                    Ok(kind) => format!("{stored} is stored as {kind:?}, not as floating point"),
                    Err(what) => format!("{stored} is stored as {what}, which cannot be read"),
                });
            }
        }
        for name in self.tensors.entries.keys() {
            match name.strip_prefix(prefix) {
                None => reading.outside += 1,
                Some(rest) if used.contains(name.as_str()) || origin.ignores(rest) => {}
                Some(_) => reading.unexpected.push(|| name.clone()),
            }
        }
        reading
    }

    /// What shapes do not tell: whether copies are copies, and whether the file says it is of another
    /// model.
    fn check(&self, reading: &Reading<'_>) -> Result<(), WeightsError> {
        let (prefix, origin) = (&reading.prefix, reading.origin);
        let mut problems = Vec::new();
        for (path, source) in &reading.chosen {
            let name = origin.name(path);
            for copy in origin.copies_of(&name) {
                for spelled in origin.spellings(copy) {
                    let copy = format!("{prefix}{spelled}");
                    if copy != source.name
                        && self.tensors.entries.contains_key(&copy)
                        && !self.tensors.are_equal(&copy, &source.name)?
                    {
                        problems.push(format!(
                            "{copy} differs from {}, and this model has one tensor for both",
                            source.name
                        ));
                    }
                }
            }
        }
        for (key, expected) in origin.facts() {
            // nanoGPT's `config` is what was asked for, `model_args` what was trained.
            let tables = ["model_args", "config"].map(|table| format!("{table}.{key}"));
            let mut said = tables
                .iter()
                .filter_map(|key| Some((key, self.tensors.metadata(key)?)));
            if let Some((key, said)) = said.next().filter(|(_, said)| *said != expected.as_str()) {
                problems.push(format!("{key} is {said}, expected {expected}"));
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(self.mismatch(problems)),
        }
    }

    fn mismatch(&self, problems: Vec<String>) -> WeightsError {
        WeightsError::Mismatch {
            path: self.tensors.path.clone(),
            problems: problems.iter().map(|problem| shown(problem)).collect(),
        }
    }

    fn ambiguous(&self, rivals: &[&Reading<'_>]) -> WeightsError {
        let below = rivals.iter().map(|reading| format!("`{}`", reading.prefix));
        let below: BTreeSet<String> = below.collect();
        let problem = match below.len() {
            1 => "its names and shapes fit two layouts; save it under the names of one".to_owned(),
            count => {
                let shown: Vec<String> = below.into_iter().take(LISTED).collect();
                format!(
                    "it holds {count} networks of these names, below {}; save the one that is meant \
                     to a file of its own",
                    shown.join(", ")
                )
            }
        };
        self.mismatch(vec![problem])
    }

    /// A network among tensors that are none of a trainer's state may be a part of another one.
    fn among_others(&self, plain: &Reading<'_>, within: &Reading<'_>) -> WeightsError {
        let mut problems = plain.problems();
        problems.push(format!(
            "the tensors below `{}` would fit, but {} others are beside them; save that part to a \
             file of its own if it is meant",
            within.prefix, within.outside
        ));
        self.mismatch(problems)
    }

    /// Why nothing fits: by the reading that comes nearest.
    fn refused(&self, readings: &[Reading<'_>]) -> WeightsError {
        // The first of the best: names as they are, at the origin.
        let nearest = readings
            .iter()
            .rev()
            .max_by_key(|reading| reading.chosen.len());
        let mut problems = nearest.map(Reading::problems).unwrap_or_default();
        if let Some(nearest) = nearest.filter(|nearest| !nearest.prefix.is_empty()) {
            problems.insert(0, format!("read below `{}`", nearest.prefix));
        }
        self.mismatch(problems)
    }
}

/// Every name under which a file may hold what the origin calls `name`.
fn spellings<'a>(origin: &'a Origin, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let copies = origin.copies_of(name).map(|copy| -> &'a str { copy });
    let names = [name].into_iter().chain(copies);
    names.flat_map(|name| origin.spellings(name))
}

fn source(origin: &Origin, leaf: &Leaf, stored: &str) -> Source {
    let name = origin.name(&leaf.path);
    Source {
        name: stored.to_owned(),
        transposed: leaf.is_linear_weight() && origin.is_transposed(&name),
        interleaved: origin.interleaved(&name),
        adapt: None,
    }
}
