//! Sound data sets.
