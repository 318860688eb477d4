//! What folders and files of origins say, as plain facts: `transformers`, sentence-transformers and
//! timm.
//!
//! This crate knows no model, and computes nothing. Each reader takes what the origin's library would
//! act on, and refuses what it cannot tell by file and key, so that nothing is passed over in silence.
//! What of it a model can do is the business of whoever asked.

pub mod config;
pub mod generation;
pub mod head;
pub mod ids;
pub mod sentence;
mod settings;
pub mod timm;
pub mod tokenizer_config;
pub mod unread;

pub use settings::{HubError, MOST_CONFIG_BYTES, Settings, parse, read};
