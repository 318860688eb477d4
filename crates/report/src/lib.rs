//! What a training run did, shown: `report.html`, live curves, tables, lists of runs.
//!
//! Everything here reads run folders; nothing computes, and no model, data set or backend is known.

mod folder;
pub mod insight;

pub use folder::{Folder, FolderError};
mod stub;
pub use stub::*;
