//! What programs print: the frame and the tables of an HTML page, tables of a terminal, and the name
//! that was meant by a mistyped one. Text in, text out; nothing is known of what it is about.

pub mod columns;
pub mod html;
mod nearest;

pub use nearest::{DidYouMean, nearest};
