//! `my_data`: y = x1 x2 + x3, of ten inputs. (Here stands what the numbers are, and where from.)

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::Table;
use zoo_tasks::regress::{Number, Numbers};
use zoo_train::rng::Stream;
use zoo_train::{Batch, Pass, Source, SourceError};

use super::{Asked, Data, options};
use zoo_program::Error;

/// Numbers that are known of an example.
const INPUTS: usize = 10;

/// `[data]` of a recipe.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    name: String,
    /// Examples to train on, 1..=1000000.
    examples: usize,
    /// Decides what is made up.
    seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: String::new(),
            examples: 2000,
            seed: 1,
        }
    }
}

/// Makes the examples.
pub(super) fn open(name: &str, table: &Table, _: &Path, asked: Asked<'_>) -> Result<Data, Error> {
    let options: Options = options(table, name)?;
    let examples = options.examples;
    if !(1..=1_000_000).contains(&examples) {
        return Err(Error::Request(format!(
            "data.examples = {examples}: must be from 1 to 1000000"
        )));
    }
    let mut stream = Stream::new(options.seed);
    let mut split =
        |examples: usize| -> Vec<Row> { (0..examples).map(|_| made_up(&mut stream)).collect() };
    let [train, valid, test] = [examples, 500, 500].map(&mut split);
    // By what training has; the other splits are brought to the same.
    let input = |at: usize| {
        Number::fitted(
            format!("x{}", at + 1),
            train.iter().map(move |row| row.inputs[at]),
        )
    };
    let target = Number::fitted("y", train.iter().map(|row| row.target));
    let fitted = Numbers::new((0..INPUTS).map(input).collect(), vec![target]);
    // A trained model's numbers stay what they are to it.
    let kept = asked.kept_as().filter(|kept| fitted.has_columns_of(kept));
    let codec = kept.cloned().unwrap_or(fitted);
    let source = |rows: Vec<Row>| -> Arc<dyn Source> {
        Arc::new(Rows {
            rows,
            codec: codec.clone(),
        })
    };
    Ok(Data {
        set: options.name,
        codec: Arc::new(codec.clone()),
        train: source(train),
        valid: Some(source(valid)),
        test: Some(source(test)),
        warnings: Vec::new(),
    })
}

/// One example.
struct Row {
    inputs: [f32; INPUTS],
    target: f32,
}

fn made_up(stream: &mut Stream) -> Row {
    let inputs = [(); INPUTS].map(|()| stream.below(2001) as f32 / 1000.0 - 1.0);
    Row {
        inputs,
        target: inputs[0] * inputs[1] + inputs[2],
    }
}

/// The examples of a split, and how they become a batch.
struct Rows {
    rows: Vec<Row>,
    codec: Numbers,
}

impl Source for Rows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let rows = indices.iter().map(|index| &self.rows[*index as usize]);
        let inputs: Vec<f32> = rows.clone().flat_map(|row| row.inputs).collect();
        let targets: Vec<f32> = rows.map(|row| row.target).collect();
        Ok(self.codec.batch(&inputs, &targets))
    }
}
