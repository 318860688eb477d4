//! What backends computed, held against a float64 reference: agreement, speed, cost.
//!
//! This crate names no model, no data set and no backend. A *subject* is a model with its weights,
//! batches and optimizer; a *column* is a way to compute it. Each column is a process of its own
//! (`worker`), asked and timed in turns by the one that compares (`driver`):
//!
//! ```text
//! Prepared ──> driver ──requests──> worker (one a column, and the reference)
//!                │  <──replies, tensors in files──┘
//!                ├─ agree (bounds): errors, verdicts, the first layer that departs
//!                ├─ stats: medians, intervals, faster or slower
//!                └─> Report ──> render: terminal, Markdown, CSV, HTML, leaderboard
//! ```

mod agree;
pub mod baseline;
pub mod bounds;
pub mod driver;
pub mod machine;
mod process;
pub mod render;
pub mod report;
pub mod spec;
pub mod stats;
pub mod tensors;
pub mod worker;
