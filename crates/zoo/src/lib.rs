//! What exists: the models, data sets, recipes and public weights of Burn Zoo, as rows of one table.
//!
//! A row joins what a model crate or a data set crate has to a task, and says what is particular of it.
//! The program that works on the rows is [`zoo_program`]; ARCHITECTURE.md has the map.

pub mod data;
pub mod models;

use zoo_program::Zoo;

/// All of it.
pub static ZOO: Zoo = Zoo {
    models: models::MODELS,
    data: data::SETS,
};
