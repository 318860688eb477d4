//! Models as rows: [`Architecture`] joins a configuration, a module and its task, all plain items of a
//! model crate; [`Entry`] hides their types, so that commands need not know them.

use std::sync::Arc;

use zoo_tasks::AnyCodec;

mod model;
mod published;
mod ready;
mod row;
pub mod size;

pub use model::{Model, Names, Outcome, Training};
pub use published::Size;
pub use ready::Ready;
pub use row::{Architecture, Entry, Hub, ToHub};

/// A model, and how its inputs are read.
pub type Opened = (Box<dyn Model>, Arc<dyn AnyCodec>);
