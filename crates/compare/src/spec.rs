//! What the driver and its workers say to each other: a specification in a file, then one JSON
//! object a line, requests on the worker's standard input and answers on its standard output.
//!
//! A worker is a process for one subject on one column: `zoo` itself, or PyTorch.

use burn::tensor::{DType, FloatDType, IntDType};
use serde::{Deserialize, Serialize};
use zoo_train::OptimizerConfig;

use crate::report::Work;

/// A floating-point type to compute in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE double precision: the reference's.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Half the bits of `F32`, with all of its exponent.
    BF16,
}

impl Dtype {
    /// `f32`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        }
    }

    /// Reads `f32`.
    ///
    /// # Errors
    /// Anything else, with what there is.
    pub fn parse(name: &str) -> Result<Self, String> {
        let all = [Self::F32, Self::F16, Self::BF16, Self::F64];
        all.into_iter()
            .find(|dtype| dtype.name() == name)
            .ok_or_else(|| format!("no type {name:?}; there are: f32, f16, bf16, f64"))
    }

    /// Half the distance from 1 to the next number.
    #[must_use]
    pub fn unit_roundoff(self) -> f64 {
        let bits = match self {
            Self::F64 => 53,
            Self::F32 => 24,
            Self::F16 => 11,
            Self::BF16 => 8,
        };
        f64::powi(2.0, -bits)
    }

    /// Bytes of a number.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// Burn's name.
    #[must_use]
    pub fn float(self) -> FloatDType {
        match self {
            Self::F64 => FloatDType::F64,
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::BF16 => FloatDType::BF16,
        }
    }

    /// The types of a device that computes in this one, keeping its own integers.
    #[must_use]
    pub fn of_device(self, integers: DType) -> (FloatDType, IntDType) {
        let integers = match integers {
            DType::I64 => IntDType::I64,
            _ => IntDType::I32,
        };
        (self.float(), integers)
    }
}

/// What a worker computes; a JSON file beside the weights and batches that it names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The recipe's or model's name.
    pub subject: String,
    /// The complete configuration of the model, `name` included. Its dropout is for training steps that
    /// are timed; what is compared has none.
    pub model: serde_json::Value,
    /// The same model in the library that it comes from, for PyTorch to compute with that one's code.
    pub original: Option<Original>,
    /// The loss.
    pub task: SpecTask,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The longest gradient allowed.
    pub clip_norm: Option<f64>,
    /// The learning rate of each training step.
    pub rates: Vec<f64>,
    /// Initial weights, a file in the same folder.
    pub weights: String,
    /// Batches, a file in the same folder: the columns of the first, `images.0`, `targets.0`, then
    /// `images.1`, …
    pub batches: String,
    /// What these batches are; step `s` uses batch `s` modulo their number.
    pub shapes: Vec<BatchShape>,
    /// The type to compute in.
    pub dtype: Dtype,
    /// Threads of a CPU backend; all cores if `None`.
    pub threads: Option<usize>,
    /// Where: `cpu` or `cuda` for PyTorch. A worker of `zoo` is told on its command line, since no
    /// file names a machine to connect to; here it is for the record.
    pub device: String,
    /// Token ids to feed one by one, for a decoder.
    pub prompt: Option<Vec<u32>>,
    /// The recipe, for running it to its end.
    pub recipe: Option<String>,
    /// Where its data lies.
    pub data_dir: Option<String>,
}

/// A model as the library that it comes from has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Original {
    /// Its `config.json` there, and the `library`: `torchvision`, `timm` or `transformers`.
    pub config: serde_json::Value,
    /// Initial weights by the names that they have there, a file in the same folder.
    pub weights: String,
}

/// What a batch in a file is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchShape {
    /// Its columns.
    pub columns: Vec<String>,
    /// Examples.
    pub examples: usize,
    /// What its mean loss is a mean over.
    pub weight: f64,
}

/// The task of a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpecTask {
    /// Its name, as in `classify images`.
    pub name: String,
    /// The columns of a batch that the forward pass reads.
    pub inputs: Vec<String>,
    /// The keys of a recipe's `[task]` table.
    pub options: toml::Table,
}

/// How weights and inputs are moved at random.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Perturb {
    /// The type whose roundings count.
    pub dtype: Dtype,
    /// By how many of them at most.
    pub roundings: f64,
    /// Where the numbers come from.
    pub seed: u64,
}

/// What the driver asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Compute everything that is compared, and write it to `out`.
    Agree {
        /// A folder.
        out: String,
        /// Training steps.
        steps: usize,
        /// Move every weight and input at random.
        perturb: Option<Perturb>,
    },
    /// Work for about so many seconds.
    Time {
        /// What to do.
        work: Work,
        /// Examples at once, for inference.
        batch: usize,
        /// About how long.
        seconds: f64,
        /// Go on until the pace is steady.
        warm: bool,
    },
    /// Time the layers of the forward pass.
    Profile,
    /// Find the device's limits.
    Limit,
    /// Tell memory.
    Cost,
    /// Run the recipe to its end.
    Converge,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Reply {
    /// The device answers.
    Ready {
        /// What computes.
        device: String,
        /// `CPU`, `software Vulkan`, …
        kind: String,
        /// Driver or runtime.
        driver: Option<String>,
    },
    /// What it is about to do, so that a crash or a time-out can be located.
    Phase {
        /// `forward`, `training step 3`.
        name: String,
    },
    /// The forward pass has reached a layer.
    Layer {
        /// Its path.
        name: String,
    },
    /// [`Request::Agree`] is done.
    Agreed {
        /// Of each training step; `None` where it is not finite, which JSON cannot say.
        losses: Vec<Option<f64>>,
        /// The very first forward pass.
        first_forward_seconds: f64,
        /// The very first training step, after it.
        first_step_seconds: f64,
    },
    /// [`Request::Time`] is done.
    Timed {
        /// Steps, passes or tokens.
        iterations: usize,
        /// For all of them.
        seconds: f64,
    },
    /// [`Request::Profile`] is done.
    Profiled {
        /// In the order of the forward pass.
        layers: Vec<crate::report::LayerSeconds>,
    },
    /// [`Request::Limit`] is done.
    Limit {
        /// Of a large matrix product.
        multiply_adds_per_second: f64,
        /// Of a large copy, read plus written.
        copy_bytes_per_second: f64,
    },
    /// [`Request::Cost`] is done.
    Cost {
        /// The process's peak.
        peak_resident_bytes: Option<u64>,
        /// The process now.
        resident_bytes: Option<u64>,
        /// Reserved on the device.
        device_bytes: Option<u64>,
    },
    /// A step of [`Request::Converge`].
    Progress {
        /// Steps done.
        step: usize,
        /// The loss of the last one.
        loss: f64,
    },
    /// [`Request::Converge`] is done.
    Converged(crate::report::Convergence),
    /// It cannot go on.
    Failed {
        /// `unsupported` or `crash`.
        kind: crate::report::FailureKind,
        /// Why.
        message: String,
    },
}
