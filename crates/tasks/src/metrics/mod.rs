//! The metrics of the fields, as plain functions of what was answered and what was true.

pub mod bleu;
pub mod ctc_decode;
pub mod iou;
pub mod regression;
pub mod wer;
