//! What a training run did, shown: `report.html`, live curves, tables, lists of runs.
//!
//! Everything here reads run folders; nothing computes, and no model, data set or backend is known.

mod examples;
mod exhibit;
mod folder;
mod format;
pub mod insight;
mod page;
mod plot;
mod raster;
mod runs;
mod table;
mod tensorboard;
pub mod terminal;
#[cfg_attr(not(feature = "watch"), path = "no_watch.rs")]
mod watch;

/// What `watch` says in a build without the feature of that name.
pub const NO_WATCH: &str = "this program was built without its server of live pages (the cargo \
                            feature `watch`)";

pub use folder::{Folder, FolderError};
pub use page::page;
pub use runs::{Best, Difference, Row, Section, difference, difference_text, list, list_text};
pub use table::{TABLE_FILE, Table};
pub use tensorboard::{TENSORBOARD_FOLDER, TensorBoard};
pub use watch::watch;
