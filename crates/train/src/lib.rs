//! How anything is trained: recipes, tasks, the one loop, the run folder.
//!
//! This crate names no model, no data set and no backend. A model is any Burn
//! [`Module`](burn::module::Module) with a forward function, data is anything that implements
//! [`Source`], and the device decides the backend:
//!
//! ```text
//! Recipe ─┐
//! Source ─┼─> Fit::train(model) ─> Event… ─> Fitted { model, … }
//! Task  ──┘        └─> Run: metrics.jsonl, checkpoints
//! ```
//!
//! `examples/own-model` in the repository trains a model of its own with nothing else.

mod batch;
mod breakdown;
mod checkpoint;
mod evaluate;
mod event;
mod exhibit;
mod feed;
mod finetune;
mod finite;
mod fit;
mod fused;
mod keys;
mod layers;
mod loader;
mod metric;
mod optimizer;
mod parallel;
mod params;
mod recipe;
mod record;
pub mod rng;
mod run;
mod run_file;
mod schedule;
mod single_value;
mod source;
mod task;

pub use batch::Batch;
pub use breakdown::{Breakdown, out_of_memory};
pub use checkpoint::{
    BestSoFar, Checkpoint, Found, Manifest, Origin, Progress, Spent, find_checkpoint, hexadecimal,
    sum,
};
pub use evaluate::{EvalBatches, Judge, Split, evaluate};
pub use event::{Event, events_in, read_events};
pub use exhibit::{Example, Exhibit, Frame, Label, Line, Part, Picture, Section, Unit};
pub use feed::{Examples, Feed, Part as BatchPart, Span};
pub use finetune::{Finetune, LoraConfig};
pub use finite::not_finite_tensor;
pub use fit::{Doing, Fit, FitError, Fitted, NotFinite};
pub use keys::{check_keys, fields_of, from_table};
pub use metric::{Better, Metric, Metrics, not_finite};
pub use optimizer::{DecayOn, OptimizerConfig, OptimizerName};
pub use parallel::Helpers;
pub use params::{Ema, clip_by_global_norm, global_norm, number, trainable};
pub use recipe::{
    Bands, Change, Difference, Expect, MOST_RECIPE_BYTES, Plan, Recipe, RecipeError, Short,
    differences, flatten,
};
pub use record::{Outcome, RECORD_FILE, Record, Resumed, State};
pub use run::Run;
pub use run_file::{METRICS_FILE, MODEL_FILE, RECIPE_FILE, RunError};
pub use schedule::{Decay, Schedule};
pub use source::{Pass, Source, SourceError, Stamp};
pub use task::{Tally, Task};
pub use zoo_files::{brief, brief_problem};
pub use zoo_print::{DidYouMean, nearest};

/// The version of Burn that everything here computes with.
pub const BURN_VERSION: &str = "0.22.1";
