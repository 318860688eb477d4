//! What is learned: one file a task.

pub mod buckets;
pub mod metrics;
