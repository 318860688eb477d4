//! Addition problems, which the program makes itself.

use std::path::Path;
use std::sync::Arc;

use burn::data::dataset::Dataset;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_codec::text::CharVocabulary;
use zoo_codec::text::Text;
use zoo_tasks::next_token::{Continuation, scored_batch};
use zoo_text::{Split, Sums};
use zoo_train::{Batch, Pass, Source, SourceError};

use super::{Asked, Data, options, unreadable};
use zoo_program::Error;
use zoo_program::data::{SPLIT_SEED, split};

// b batch, t time, n scored targets

/// `[data]` of a sums recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SumOptions {
    name: String,
    /// Digits of an operand, 1..=3.
    digits: usize,
    /// Training problems set aside to choose the best model.
    validation: usize,
    /// Decides which problems are held out, for the test and to choose the best model.
    split_seed: u64,
}

impl Default for SumOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            digits: Sums::NUM_DIGITS,
            validation: 0,
            split_seed: SPLIT_SEED,
        }
    }
}

/// Makes the problems.
pub(super) fn open(name: &str, table: &Table, _: &Path, _: Asked<'_>) -> Result<Data, Error> {
    let options: SumOptions = options(table, name)?;
    let seed = options.split_seed;
    let open = |split| Sums::new(options.digits, split, seed).map_err(unreadable);
    let (train, test) = (open(Split::Train)?, open(Split::Test)?);
    let vocabulary = Sums::vocabulary();
    let all = |problems: &Sums| (0..problems.len() as u32).collect();
    let (kept, held) = split::cut(all(&train), options.validation, seed)?;
    let source = |problems: &Sums, chosen: Vec<u32>| -> Arc<dyn Source> {
        Arc::new(Problems {
            problems: problems.clone(),
            vocabulary: vocabulary.clone(),
            chosen,
        })
    };
    Ok(Data {
        set: options.name.clone(),
        codec: Arc::new(Continuation::new(
            Text::Chars {
                chars: vocabulary.chars(),
            },
            Some(train.sequence_length() - 1),
            None,
        )),
        valid: held.map(|held| source(&train, held)),
        train: source(&train, kept),
        test: Some(source(&test, all(&test))),
        warnings: Vec::new(),
    })
}

struct Problems {
    problems: Sums,
    vocabulary: CharVocabulary,
    /// The problems that belong to this split.
    chosen: Vec<u32>,
}

impl Source for Problems {
    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let t = self.problems.sequence_length() - 1;
        let (mut input, mut target, mut scored) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &index) in indices.iter().enumerate() {
            let example = self.chosen[index as usize];
            let problem = self.problems.get(example as usize)?;
            let ids = self.vocabulary.encode(&problem.sequence())?;
            input.extend(ids[..t].iter().map(|id| *id as i32));
            for position in problem.num_unscored()..t {
                target.push(ids[position + 1] as i32);
                scored.push((row * t + position) as i32);
            }
        }
        Ok(scored_batch(input, target, scored, indices.len()))
    }
}
