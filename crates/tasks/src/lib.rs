//! What is learned: one file a task.

pub mod metrics;
