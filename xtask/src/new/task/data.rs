//! `my_task`: y = x1 x2 + x3 - x4. (Here stands what the examples are, and where from.)

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::Table;
use zoo_tasks::my_task::MyTaskCodec;
use zoo_train::rng::Stream;
use zoo_train::{Batch, Pass, Source, SourceError};

use super::{Asked, Data, options};
use zoo_program::Error;

/// `[data]` of a recipe.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    name: String,
}

/// Makes the examples.
pub(super) fn open(name: &str, table: &Table, _: &Path, _: Asked<'_>) -> Result<Data, Error> {
    let options: Options = options(table, name)?;
    let codec = MyTaskCodec {
        inputs: ["x1", "x2", "x3", "x4"].map(str::to_owned).into(),
        targets: vec!["y".to_owned()],
    };
    let mut stream = Stream::new(1);
    let mut split = |examples: usize| -> Arc<dyn Source> {
        Arc::new(Rows {
            rows: (0..examples).map(|_| made_up(&mut stream)).collect(),
            codec: codec.clone(),
        })
    };
    Ok(Data {
        set: options.name,
        train: split(2000),
        valid: Some(split(500)),
        test: Some(split(500)),
        codec: Arc::new(codec.clone()),
        warnings: Vec::new(),
    })
}

/// The inputs of an example, and its target.
type Row = ([f32; 4], f32);

fn made_up(stream: &mut Stream) -> Row {
    let x = [(); 4].map(|()| stream.below(2001) as f32 / 1000.0 - 1.0);
    (x, x[0] * x[1] + x[2] - x[3])
}

/// The examples of a split, and how they become a batch.
struct Rows {
    rows: Vec<Row>,
    codec: MyTaskCodec,
}

impl Source for Rows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let rows = indices.iter().map(|index| self.rows[*index as usize]);
        let inputs = rows.clone().flat_map(|(inputs, _)| inputs).collect();
        let targets = rows.map(|(_, target)| target).collect();
        Ok(self.codec.batch(inputs, targets))
    }
}
