//! What is learned: one file a task.
//!
//! A task is a room of its own. All that is special about a kind of problem is in it: how examples
//! become a batch of named columns, the loss, the tally over a split, what a model must fit, how a
//! person's input is read and an answer is shown, and made-up batches for whoever only wants to
//! compute. This crate knows no architecture, no data set and no backend: a row of the program joins
//! them.
//!
//! | | |
//! |---|---|
//! | [`Room`] | a task for a model of type `M`, without the task's own types |
//! | [`Codec`] | how inputs and outputs are read; kept in a run's folder |
//! | [`classify`] | one class of several, of pictures or of sentences |
//! | [`next_token`] | the next token of a text |
//! | [`translate`] | a text in another language |
//! | [`segment`] | a class for every pixel of a picture |
//! | [`regress`] | numbers from numbers |
//! | [`embed`] | sentences as vectors |
//! | [`transcribe`] | speech as text |

pub mod buckets;
pub mod classify;
mod codec;
pub mod embed;
mod explain;
mod loss;
mod means;
pub mod metrics;
pub mod next_token;
mod pictures;
pub mod regress;
mod room;
pub mod segment;
mod sentences;
mod size;
pub mod transcribe;
pub mod translate;

pub use codec::{AnyCodec, Codec, Reading, kept_as};
pub use explain::{Attribution, Embedded, integrated_gradients};
pub use loss::{Loss, LossOptions};
pub use means::Means;
pub use pictures::{PictureInput, Pictures};
pub use room::{
    Answer, AnswerError, Answers, Continues, Promise, Room, Sampling, Size, Upstream, Writing,
    Written, flat,
};
pub use sentences::{PAD_TO_MULTIPLE, TextInput, pad};
/// What a room speaks of with others: options and configurations, and what is kept or answered.
pub use {
    serde_json::{Value as Json, json},
    toml::Table,
    zoo_codec::ProblemType,
};
