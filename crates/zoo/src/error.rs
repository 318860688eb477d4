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
    /// A device or a server broke off in a training: exit status 1.
    #[error("{error}")]
    BrokeOff {
        /// All that is known of it.
        error: Box<FitError>,
        /// What the device said last.
        said: String,
    },
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
            Self::Failed(_) | Self::BrokeOff { .. } => 1,
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
            WeightsError::Write { .. } => Self::failed(error),
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
            | FitError::Data(_)
            | FitError::Finetune(_)
            | FitError::UnknownMetric { .. } => Self::request(error),
            FitError::Weights(error) => error.into(),
            FitError::Broken { ref message, .. } if !message.out_of_memory => Self::BrokeOff {
                said: message.line.clone(),
                error: Box::new(error),
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
