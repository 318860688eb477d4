//! What the outputs of a classifier are.

use serde::{Deserialize, Serialize};
use zoo_train::Unit;

use crate::codec::check_names;

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

    /// What the logits `[k]` of one example say of each class, and in which unit.
    pub(crate) fn read(self, logits: &[f64]) -> (Vec<f64>, Unit) {
        let sigmoid = |logit: &f64| 1.0 / (1.0 + (-logit).exp());
        match self {
            Self::SingleLabelClassification => {
                let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
                let sum: f64 = powers.iter().sum();
                (
                    powers.iter().map(|power| power / sum).collect(),
                    Unit::Share,
                )
            }
            Self::MultiLabelClassification => (logits.iter().map(sigmoid).collect(), Unit::Share),
            Self::Regression => (logits.to_vec(), Unit::Plain),
        }
    }

    /// Holds a codec's classes against it.
    pub(crate) fn check(self, classes: &[String]) -> Result<(), String> {
        if self.is_single() && classes.len() == 1 {
            return Err(
                "one class (id2label, num_labels, num_classes): a softmax of one is 1 for any input; \
                 problem_type says what the number is"
                    .into(),
            );
        }
        check_names("codec.classes", classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_what_transformers_says() {
        let logits = [2.0, -1.0, 0.5];
        let (shares, unit) = ProblemType::SingleLabelClassification.read(&logits);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12 && unit == Unit::Share);
        let (each, unit) = ProblemType::MultiLabelClassification.read(&logits);
        assert!((each[0] - 0.880_797_077_977_882_3).abs() < 1e-12 && unit == Unit::Share);
        assert!((each[1] - 0.268_941_421_369_995_1).abs() < 1e-12);
        assert_eq!(
            ProblemType::Regression.read(&logits),
            (logits.to_vec(), Unit::Plain)
        );
    }

    #[test]
    fn one_class_is_no_certainty() {
        let one = ["only".to_owned()];
        ProblemType::SingleLabelClassification
            .check(&one)
            .unwrap_err();
        ProblemType::Regression.check(&one).unwrap();
        ProblemType::MultiLabelClassification.check(&one).unwrap();
    }
}
