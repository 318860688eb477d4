//! Weights from and for PyTorch.
//!
//! A model's tensors are called and laid out here as Burn has them; [`Origin`] says what they are
//! called where the architecture comes from. With it, [`load`] opens the published files
//! (`.safetensors`, sharded checkpoints, `.pt` and `.pth`, a whole folder from the Hugging Face hub)
//! and [`save`] writes safetensors that the origin's library opens with `strict=True`.
//!
//! Nothing in a file is executed: safetensors are a table and bytes, and the reader of pickles knows
//! tensors and plain containers, and calls nothing that a file names.

pub mod golden;
mod gradients;
mod load;
mod origin;
mod pickle;
mod read;
mod torch;
mod tree;
mod write;

pub use gradients::gradients;
pub use load::adapt::{self, Misfit};
pub use load::{Loaded, load, load_adapting, load_except};
pub use origin::Origin;
pub use read::{IN_FOLDER, Tensors};
pub use tree::{Leaf, Switch, cast, leaves, parameters, switches};
pub use write::{save, save_as};

use std::path::{Path, PathBuf};

/// Why weights could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be written.
    #[error("{}: writing failed: {problem}", path.display())]
    Write {
        /// The weights file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The file could not be read, or is not what its name says.
    #[error("{}: {problem}", path.display())]
    Read {
        /// The weights file.
        path: PathBuf,
        /// What was wrong.
        problem: String,
    },
    /// Weights that are no numbers: whatever a model with them were asked, it would answer something.
    #[error(
        "{}: {name} holds {problem}; take another file, or train again",
        path.display()
    )]
    NotFinite {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What it holds.
        problem: &'static str,
    },
    /// The file is sound but belongs to another model.
    #[error("{} does not fit this model; {}", path.display(), problems.join("; "))]
    Mismatch {
        /// The weights file.
        path: PathBuf,
        /// The first missing, misshapen and unexpected tensors, and how many more there are.
        problems: Vec<String>,
    },
}

impl WeightsError {
    fn read(path: &Path, problem: impl ToString) -> Self {
        Self::Read {
            path: path.to_owned(),
            problem: shown(&problem.to_string()),
        }
    }

    fn write(path: &Path, problem: impl ToString) -> Self {
        Self::Write {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// What a file says, as a terminal and a reader can bear it: cut, and its control characters escaped.
fn shown(text: &str) -> String {
    const LONGEST: usize = 1000;
    let escaped = text.chars().take(LONGEST).flat_map(|letter| {
        let plain = (!letter.is_control()).then_some(letter);
        let escaped = plain.is_none().then(|| letter.escape_debug());
        plain.into_iter().chain(escaped.into_iter().flatten())
    });
    let mut shown: String = escaped.collect();
    if text.chars().nth(LONGEST).is_some() {
        shown += "…";
    }
    shown
}
