//! Data sets of numbers: what goes in and what is to be answered.
//!
//! [`SETS`] says which sets exist and [`open`] opens one. What comes back is a [`NumberSet`], a Burn
//! [`Dataset`] of [`Numbers`]. Nothing here uses the network, a tensor or a device.
//!
//! ```
//! use burn::data::dataset::Dataset;
//! use zoo_tables::open;
//!
//! let splits = open("friedman1")?;
//! let first = splits.train.get(0)?;
//! assert_eq!((first.inputs.len(), first.targets.len()), (10, 1));
//! # Ok::<(), zoo_tables::TableError>(())
//! ```

mod friedman;

use burn::data::dataset::Dataset;

/// What is known of one example, and what is to be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// What is known, in the order of [`NumberSet::inputs`].
    pub inputs: Vec<f32>,
    /// What is to be answered, in the order of [`NumberSet::targets`].
    pub targets: Vec<f32>,
}

/// Why numbers cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// No row of [`SETS`] has this name.
    #[error("unknown set of numbers `{name}`; there are: {}", set_names())]
    UnknownSet {
        /// The name asked for.
        name: String,
    },
}

/// A row of [`SETS`].
#[derive(Debug)]
pub struct SetInfo {
    /// The name in recipes and on the command line.
    pub name: &'static str,
    /// Number of examples to train, validate and test with.
    pub examples: [usize; 3],
    open: fn() -> Splits,
}

/// Every set that [`open`] knows.
pub const SETS: &[SetInfo] = &[SetInfo {
    name: "friedman1",
    examples: friedman::EXAMPLES,
    open: friedman::open,
}];

/// The splits of a set.
#[derive(Debug, Clone)]
pub struct Splits {
    /// What models learn from.
    pub train: NumberSet,
    /// What the best model is chosen by.
    pub valid: NumberSet,
    /// What models are judged by.
    pub test: NumberSet,
}

/// The examples of one split.
#[derive(Debug, Clone)]
pub struct NumberSet {
    inputs: Vec<String>,
    targets: Vec<String>,
    /// Inputs and targets of each example, in rows.
    values: Vec<f32>,
}

impl NumberSet {
    /// The name of each input.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// The name of each target.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    fn width(&self) -> usize {
        self.inputs.len() + self.targets.len()
    }
}

impl Dataset<Numbers, TableError> for NumberSet {
    fn get(&self, index: usize) -> Result<Numbers, TableError> {
        let row = &self.values[index * self.width()..][..self.width()];
        let (inputs, targets) = row.split_at(self.inputs.len());
        Ok(Numbers {
            inputs: inputs.to_vec(),
            targets: targets.to_vec(),
        })
    }

    fn len(&self) -> usize {
        self.values.len() / self.width()
    }
}

/// Opens the set called `name`.
///
/// # Errors
///
/// A name that is not in [`SETS`].
pub fn open(name: &str) -> Result<Splits, TableError> {
    let unknown = || TableError::UnknownSet { name: name.into() };
    let set = SETS.iter().find(|set| set.name == name);
    Ok((set.ok_or_else(unknown)?.open)())
}

fn set_names() -> String {
    let names: Vec<_> = SETS.iter().map(|set| set.name).collect();
    names.join(", ")
}
