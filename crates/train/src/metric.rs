//! Metrics: numbers about a whole split that know which way is better, and what they count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::exhibit::Unit;

/// The values of metrics by name, each of a whole split.
pub type Metrics = BTreeMap<String, f64>;

/// What a metric is, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name in recipes and results: `accuracy`.
    pub name: String,
    /// Which way is better.
    pub better: Better,
    /// What it counts.
    pub unit: Unit,
}

/// Which of two values is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// The larger one.
    Higher,
    /// The smaller one.
    Lower,
}

impl Better {
    /// Whether the first value is better than the second.
    pub fn is(self, new: f64, old: f64) -> bool {
        match self {
            Self::Higher => new > old,
            Self::Lower => new < old,
        }
    }
}

impl Metric {
    /// A metric of which less is better.
    pub fn lower(name: &str, unit: Unit) -> Self {
        Self {
            name: name.into(),
            better: Better::Lower,
            unit,
        }
    }

    /// A metric of which more is better.
    pub fn higher(name: &str, unit: Unit) -> Self {
        Self {
            name: name.into(),
            better: Better::Higher,
            unit,
        }
    }

    /// The metric of a name.
    pub fn find<'a>(metrics: &'a [Self], name: &str) -> Option<&'a Self> {
        metrics.iter().find(|metric| metric.name == name)
    }

    /// Their names, for a message.
    pub fn names(metrics: &[Self]) -> String {
        let names: Vec<&str> = metrics.iter().map(|metric| &*metric.name).collect();
        names.join(", ")
    }
}

/// The first metric that is no number.
pub fn not_finite(metrics: &Metrics) -> Option<(&str, f64)> {
    let found = metrics.iter().find(|(_, value)| !value.is_finite());
    found.map(|(name, value)| (name.as_str(), *value))
}
