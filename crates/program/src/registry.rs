//! Models as rows: [`Architecture`] joins a configuration, a module and its task, all plain items of a
//! model crate; [`Entry`] hides their types, so that commands need not know them.

mod model;
mod published;
mod ready;
mod row;
pub mod size;

pub use model::{Model, Outcome, Training};
pub use published::Size;
pub use ready::Ready;
pub use row::{Architecture, Entry, Hub, ToHub};
