//! Text data sets: character corpora, built-in sums, and labelled lines.
//!
//! Every set is a [`burn::data::dataset::Dataset`] of plain Rust items (token ids, strings,
//! labels); batching, padding and masks belong to whoever trains on them. [`SETS`] says what
//! exists; nothing here touches a network, a model or a device.
//!
//! | set | opened by | items |
//! |---|---|---|
//! | `tinyshakespeare`, `chars` | [`Corpus::tinyshakespeare`], [`Corpus::open`] | [`Window`] |
//! | `sums` | [`Sums::new`] | [`Problem`] |
//! | `sst2`, `tsv` | [`LabelledSet::sst2`], [`LabelledSet::open`] | [`LabeledText`] |

mod chars;
mod error;
mod labelled;
mod sets;
mod sums;
mod windows;
mod words;

pub use chars::{CharVocabulary, Corpus};
pub use error::{LineFault, TextError};
pub use labelled::{LabeledText, LabelledLines, LabelledSet};
pub use sets::{Location, SETS, SetInfo, SetKind, Split};
pub use sums::{Problem, Sums};
pub use windows::{Tokens, Window, Windows};
pub use words::{PAD, UNKNOWN, WordVocabulary};
