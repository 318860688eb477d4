//! A field of work that the zoo does not know: how many stars somebody would give to a film.
//!
//! Three files say what is particular of it: what is learned ([`rate`]), by which model ([`factors`]),
//! from which data ([`stars`]). A row each, below, and the program does with it all that it does with
//! the zoo's own: train, resume, evaluate, predict, report, compare backends.
//!
//! ```text
//! cargo run --release -p own-task -- train
//! cargo run --release -p own-task -- predict runs/factors-stars-flex-1 "user 7, film 12"
//! ```

mod factors;
mod rate;
mod stars;

use std::process::ExitCode;

use zoo_program::Zoo;
use zoo_program::data::DataSet;
use zoo_program::registry::{Architecture, Size};

use crate::factors::{Factors, FactorsConfig};
use crate::rate::Rate;

static ZOO: Zoo = Zoo {
    models: &[&Architecture::<FactorsConfig, Factors> {
        name: "factors",
        family: "own-task",
        about: "matrix factorisation with biases (Koren, Bell, Volinsky, 2009)",
        presets: || vec![("factors4", FactorsConfig::default())],
        tiny: FactorsConfig::tiny,
        validate: FactorsConfig::validate,
        init: FactorsConfig::init,
        task: |config| Rate::room(Factors::forward, config.users, config.items),
        sizes: &[Size::of("factors4", 10, "5 for a person and 5 for a film")],
        recipes: &[(
            "factors-stars",
            include_str!("../recipes/factors-stars.toml"),
        )],
        ..Architecture::BARE
    }],
    data: &[DataSet {
        name: "stars",
        about: "made-up stars, 1 to 5, that 200 people gave to films",
        built_in: true,
        open: stars::open,
        ..DataSet::BARE
    }],
};

fn main() -> ExitCode {
    ExitCode::from(zoo_program::run(&ZOO, true))
}
