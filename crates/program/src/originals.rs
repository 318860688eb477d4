//! The Python that builds a model by its original's own code, which two scripts import.

/// What they import it as.
pub const FILE: &str = "originals.py";

/// The module.
pub const SCRIPT: &str = include_str!("originals.py");
