//! `stars`: what 200 made-up people give to 100 made-up films. A taste of two numbers and a mood decide
//! it, and chance, of deviation 0.5: no model can know better than that.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use zoo_program::Error;
use zoo_program::data::{Asked, Data, options};
use zoo_tasks::Table;
use zoo_train::rng::Stream;
use zoo_train::{Batch, Pass, Source, SourceError};

use crate::rate::Stars;

const USERS: usize = 200;
const ITEMS: usize = 100;
/// How far chance moves the stars: their standard deviation for one person and film.
const CHANCE: f32 = 0.5;

/// `[data]` of a recipe.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// The data set's name.
    #[serde(rename = "name")]
    set: String,
    /// Stars to learn from, 1..=100000.
    examples: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            set: String::new(),
            examples: 6000,
        }
    }
}

/// Makes the stars.
pub fn open(name: &str, table: &Table, _: &Path, asked: Asked<'_>) -> Result<Data, Error> {
    let options: Options = options(table, name)?;
    let examples = options.examples;
    if !(1..=100_000).contains(&examples) {
        return Err(Error::Request(format!(
            "data.examples = {examples}: must be from 1 to 100000"
        )));
    }
    let mut world = World::new();
    let [train, valid, test] = [examples, 1000, 1000].map(|count| world.stars(count));
    let sum: f64 = train.iter().map(|(_, _, stars)| f64::from(*stars)).sum();
    let names = |what: &str, count| (1..=count).map(|at| format!("{what} {at}")).collect();
    // A trained model is measured by what it keeps, whatever is trained on today.
    let codec = asked.whole::<Stars>().cloned().unwrap_or_else(|| Stars {
        users: names("user", USERS),
        items: names("film", ITEMS),
        mean: (sum / train.len() as f64) as f32,
    });
    let source = |stars| -> Arc<dyn Source> {
        Arc::new(Split {
            stars,
            codec: codec.clone(),
        })
    };
    Ok(Data {
        set: options.set,
        train: source(train),
        valid: Some(source(valid)),
        test: Some(source(test)),
        codec: Arc::new(codec.clone()),
        warnings: Vec::new(),
    })
}

/// What people are like, and films.
struct World {
    users: Vec<[f32; 3]>,
    items: Vec<[f32; 3]>,
    stream: Stream,
}

impl World {
    fn new() -> Self {
        let mut stream = Stream::new(1);
        let mut like = |count| {
            (0..count)
                .map(|_| [(); 3].map(|()| drawn(&mut stream)))
                .collect()
        };
        let (users, items) = (like(USERS), like(ITEMS));
        Self {
            users,
            items,
            stream,
        }
    }

    /// Stars of people and films drawn by chance.
    fn stars(&mut self, count: usize) -> Vec<(usize, usize, f32)> {
        (0..count).map(|_| self.one()).collect()
    }

    fn one(&mut self) -> (usize, usize, f32) {
        let (user, item) = (self.stream.below(USERS), self.stream.below(ITEMS));
        let (person, film) = (self.users[user], self.items[item]);
        let taste = person[0] * film[0] + person[1] * film[1];
        let mood = 0.4 * (person[2] + film[2]);
        let stars = 3.0 + taste + mood + CHANCE * drawn(&mut self.stream);
        (user, item, stars.clamp(1.0, 5.0))
    }
}

/// Twelve even draws, near enough to a normal one of deviation 1.
fn drawn(stream: &mut Stream) -> f32 {
    let sum: usize = (0..12).map(|_| stream.below(1000)).sum();
    sum as f32 / 1000.0 - 6.0
}

/// Some of the stars.
struct Split {
    stars: Vec<(usize, usize, f32)>,
    codec: Stars,
}

impl Source for Split {
    fn len(&self) -> usize {
        self.stars.len()
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let examples = indices.iter().map(|index| self.stars[*index as usize]);
        Ok(self.codec.batch(&examples.collect::<Vec<_>>()))
    }
}
