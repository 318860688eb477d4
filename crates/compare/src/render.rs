//! Reports for people and programs: a terminal's table, Markdown, CSV, one HTML page, and the
//! leaderboard of several machines. Text in, text out: no file, no clock, no network.
//!
//! Whatever the form, a speed that does not count is struck out, what was not measured is an en
//! dash, and what is not finite says so.

mod chart;
mod csv;
mod facts;
mod format;
mod leaderboard;
mod markdown;
mod page;
mod panel;
mod parts;
mod subject;
mod table;
#[cfg(test)]
mod tests;

pub use self::csv::csv;
pub use self::leaderboard::leaderboard;
pub use self::markdown::markdown;
pub use self::page::html;
pub use self::table::{STYLES, table};
