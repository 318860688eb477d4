//! What folders and files of origins say, as plain facts.

pub mod classes;
pub mod preprocessor;
