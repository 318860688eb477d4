//! Text data sets: character corpora, built-in sums, and labelled lines.
//!
//! Every set is a [`burn::data::dataset::Dataset`] of plain Rust items (token ids, strings,
//! labels); batching, padding and masks belong to whoever trains on them. [`SETS`] says what
//! exists; nothing here touches a network, a model or a device.
//!
//! | set | opened by | items |
//! |---|---|---|
//! | `tinyshakespeare`, `chars` | [`Corpus::published`], [`Corpus::open`] | [`Window`] |
//! | `sums` | [`Sums::new`] | [`Problem`] |
//! | `sst2`; `tsv`, `csv`, `jsonl` | [`LabelledSet::published`], [`LabelledSet::open`] | [`LabeledText`] |

mod chars;
mod classes;
mod columns;
mod encoding;
mod error;
mod files;
mod json;
mod labelled;
mod sets;
mod sums;
mod table;
mod windows;

pub use chars::Corpus;
pub use columns::Column;
pub use error::{LineFault, TextError};
pub use labelled::{LabeledText, LabelledLines, LabelledSet, RowOptions};
pub use sets::{Format, Location, PublishedFile, SETS, SetInfo, SetKind, Split, find};
pub use sums::{Problem, Sums};
pub use windows::{Tokens, Window, Windows};
