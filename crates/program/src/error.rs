//! Errors of the program: who must act decides the exit status.

use zoo_train::{FitError, RecipeError, RunError};
use zoo_weights::WeightsError;

/// Why a command ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request was wrong, and the user can mend it: exit status 2.
    #[error("{0}")]
    Request(String),
    /// The work failed: exit status 1.
    #[error("{0}")]
    Failed(String),
    /// A signal stopped it: exit status 130, as a shell gives to what Ctrl-C ended.
    #[error("{0}")]
    Interrupted(String),
}

impl Error {
    /// A wrong request.
    pub fn request(problem: impl ToString) -> Self {
        Self::Request(problem.to_string())
    }

    /// Work that failed.
    pub fn failed(problem: impl ToString) -> Self {
        Self::Failed(problem.to_string())
    }

    /// The program's exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Request(_) => 2,
            Self::Failed(_) => 1,
            Self::Interrupted(_) => 130,
        }
    }
}

impl From<RecipeError> for Error {
    fn from(error: RecipeError) -> Self {
        Self::request(error)
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        match error {
            // A folder that was there and writable when the run began.
            RunError::Removed { .. } => Self::failed(error),
            _ => Self::request(error),
        }
    }
}

impl From<WeightsError> for Error {
    fn from(error: WeightsError) -> Self {
        match error {
            WeightsError::Write { .. } | WeightsError::NotFinite { .. } => Self::failed(error),
            WeightsError::Read { .. } | WeightsError::Mismatch { .. } => Self::request(error),
        }
    }
}

impl From<FitError> for Error {
    fn from(error: FitError) -> Self {
        match error {
            FitError::EmptySplit(_)
            | FitError::NoWholeBatch { .. }
            | FitError::SingleValue { .. }
            | FitError::Model(_)
            | FitError::Data(_)
            | FitError::Finetune(_)
            | FitError::UnknownMetric { .. } => Self::request(error),
            // With its own advice, where a disk is full.
            FitError::Weights(ref of) => match of {
                WeightsError::Write { .. } | WeightsError::NotFinite { .. } => Self::failed(error),
                _ => Self::request(error),
            },
            FitError::Interrupted { .. } => Self::Interrupted(error.to_string()),
            // A folder that stops being writable in the middle of a run is not a wrong request.
            _ => Self::failed(error),
        }
    }
}

/// The chain of causes in one line: `outer: inner`, without repeating what the outer one quotes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use zoo_train::{Breakdown, Doing};

    use super::*;

    #[test]
    fn a_device_that_breaks_off_is_work_that_failed() {
        let error = Error::from(FitError::Broken {
            doing: Doing::Training,
            step: 7,
            message: Breakdown {
                line: "out of device memory allocating 9 bytes".into(),
                out_of_memory: true,
            },
            batch: 64,
            kept: Some("runs/x-1/checkpoints/5".into()),
        });
        assert_eq!(error.status(), 1);
        let text = error.to_string();
        for part in [
            "train.micro_batch_size = 32",
            "after step 7",
            "the last checkpoint is runs/x-1/checkpoints/5",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
