//! Each task on a small model of its own, and the metrics against their fields' libraries.
//! One program: each more compiles the loop and the backend once again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod bleu;
mod buckets;
mod common;
mod ctc;
mod metrics;
mod regress;
mod segment;
mod transcribe;
mod translate;
mod wer;
