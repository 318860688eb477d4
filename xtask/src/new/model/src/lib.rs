//! MyModel for [Burn](burn), importable with little else.

mod my_model;

pub use my_model::{MyModel, MyModelConfig};
