//! What the outputs of a classifier are.

use serde::{Deserialize, Serialize};

/// What the outputs of a classifier are, as `problem_type` of transformers has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// One class of several: a softmax.
    #[default]
    SingleLabelClassification,
    /// Each class by itself, any number of them at once: a sigmoid of each.
    MultiLabelClassification,
    /// Numbers, such as a score.
    Regression,
}

impl ProblemType {
    /// Whether it is the usual one.
    pub fn is_single(&self) -> bool {
        *self == Self::SingleLabelClassification
    }
}
