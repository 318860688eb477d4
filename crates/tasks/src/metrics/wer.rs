//! Word and character error rates, as jiwer computes them.
