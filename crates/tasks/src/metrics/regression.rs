//! Metrics of numbers: mean squared and absolute error, R2.
