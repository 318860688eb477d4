//! Numbers from numbers.

use std::path::Path;
use std::sync::Arc;

use burn::data::dataset::Dataset;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_tables::NumberSet;
use zoo_tasks::regress::{Number, Numbers};
use zoo_train::{Batch, Pass, Source, SourceError};

use super::{Asked, Data, options, unreadable};
use zoo_program::Error;

/// `[data]` of a recipe of numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Options {
    name: String,
}

/// Opens a set of numbers.
pub(super) fn open(name: &str, table: &Table, _: &Path, asked: Asked<'_>) -> Result<Data, Error> {
    let options: Options = options(table, name)?;
    let opened = zoo_tables::open(&options.name).map_err(unreadable)?;
    let rows = 0..opened.train.len();
    let rows = rows
        .map(|index| opened.train.get(index))
        .collect::<Result<Vec<_>, _>>();
    let rows = rows.map_err(unreadable)?;
    // What training has; the other splits are brought to the same.
    let inputs = opened.train.inputs().iter().enumerate();
    let targets = opened.train.targets().iter().enumerate();
    let fitted = Numbers::new(
        inputs
            .map(|(at, name)| Number::fitted(name, rows.iter().map(move |row| row.inputs[at])))
            .collect(),
        targets
            .map(|(at, name)| Number::fitted(name, rows.iter().map(move |row| row.targets[at])))
            .collect(),
    );
    // A trained model's numbers stay what they are to it.
    let kept = asked.kept_as().filter(|kept| fitted.has_columns_of(kept));
    let codec = kept.cloned().unwrap_or(fitted);
    let source = |set: NumberSet| -> Arc<dyn Source> {
        Arc::new(Rows {
            set,
            codec: codec.clone(),
        })
    };
    Ok(Data {
        set: options.name,
        train: source(opened.train),
        valid: Some(source(opened.valid)),
        test: Some(source(opened.test)),
        codec: Arc::new(codec.clone()),
        warnings: Vec::new(),
    })
}

struct Rows {
    set: NumberSet,
    codec: Numbers,
}

impl Source for Rows {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for &index in indices {
            let row = self.set.get(index as usize)?;
            inputs.extend(row.inputs);
            targets.extend(row.targets);
        }
        Ok(self.codec.batch(&inputs, &targets))
    }
}
