//! Losses of logits on class ids.

use burn::nn::loss::{MseLoss, Reduction};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_train::{check_keys, fields_of, from_table};

// n rows, k classes or vocabulary

/// The keys of a `[task]` table whose loss is of logits on class ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossOptions {
    /// The loss.
    pub loss: Loss,
    /// Label smoothing of the cross-entropy, 0..1 (Szegedy et al. 2015, section 7): in training only.
    /// Validation and test report the plain loss.
    pub label_smoothing: f64,
}

/// Losses by name. Both take logits: a softmax before the cross-entropy would be applied twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Log-softmax and negative log-likelihood in one.
    #[default]
    CrossEntropy,
    /// Mean squared error between the logits and one-hot targets.
    MeanSquaredError,
}

impl LossOptions {
    /// Reads a `[task]` table.
    ///
    /// # Errors
    /// An unknown key, or a value that does not fit.
    pub fn read(table: &Table) -> Result<Self, String> {
        check_keys(table, "task", "task", fields_of::<Self>())?;
        let options: Self = from_table(table.clone(), "task")?;
        if !(0.0..1.0).contains(&options.label_smoothing) {
            return Err(format!(
                "task.label_smoothing = {}: must be in 0..1",
                options.label_smoothing
            ));
        }
        if options.label_smoothing > 0.0 && options.loss != Loss::CrossEntropy {
            return Err("task.label_smoothing needs task.loss = \"cross-entropy\"".into());
        }
        Ok(options)
    }

    /// The table, every default written out.
    #[must_use]
    pub fn table(&self) -> Table {
        Table::try_from(self).expect("plain values")
    }

    /// The mean loss of logits `[n, k]` on class ids `[n]`, as it is trained on: `[1]`.
    #[must_use]
    pub fn of(&self, logits: Tensor<2>, target: Tensor<1, Int>) -> Tensor<1> {
        match self.loss {
            Loss::CrossEntropy => {
                zoo_kernels::cross_entropy(logits, target, self.label_smoothing as f32)
            }
            Loss::MeanSquaredError => {
                let [_, classes] = logits.dims();
                let one_hot = target.one_hot::<2>(classes).float();
                MseLoss::new().forward(logits, one_hot, Reduction::Mean)
            }
        }
    }

    /// The loss that is reported: without label smoothing, as everybody else's.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self {
            label_smoothing: 0.0,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_table_may_hold_is_told() {
        let read = |text: &str| LossOptions::read(&text.parse().unwrap());
        for (text, part) in [
            (
                "label_smoothing = 1",
                "task.label_smoothing = 1: must be in 0..1",
            ),
            ("label_smoothing = -0.1", "must be in 0..1"),
            (
                "label_smoothing = 0.1\nloss = 'mean-squared-error'",
                "needs task.loss = \"cross-entropy\"",
            ),
            ("loss = 'hinge'", "task.loss"),
            ("lable_smoothing = 0", "did you mean label_smoothing"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let options = read("label_smoothing = 0.1").unwrap();
        assert_eq!(options.plain().label_smoothing, 0.0);
        assert_eq!(LossOptions::read(&options.table()).unwrap(), options);
    }
}
