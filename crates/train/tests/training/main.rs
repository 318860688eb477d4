//! The loop, held against what is said of it, in one program: each more compiles the loop and the backend
//! once again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;
mod finite;
mod fit;
mod kept;
mod refused;
