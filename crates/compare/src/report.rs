//! The result of a comparison: the JSON schema, version 1. Tables, pages, baselines and merges are
//! all made from it; `schema.md` beside this crate's sources describes it for other programs.
//!
//! Times are in seconds, sizes in bytes, and every `Option` that is `None` was not measured.

use serde::{Deserialize, Serialize};

/// What [`Report::schema`] says.
pub const SCHEMA: &str = "burn-zoo/comparison";
/// What [`Report::version`] says; it grows when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// One comparison run: several subjects on several columns of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// [`VERSION`].
    pub version: u32,
    /// When the run began, in UTC, as `2026-11-24T09:30:00Z`.
    pub created: String,
    /// The command as the user gave it.
    pub command: String,
    /// Where it ran.
    pub environment: Environment,
    /// What was compared: backends by type and threads, and peers. The first is the base of every
    /// ratio.
    pub columns: Vec<Column>,
    /// What was computed, one entry a recipe or model.
    pub subjects: Vec<Subject>,
    /// Against an earlier report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// The machine and the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The processor's name.
    pub processor: String,
    /// Its architecture: `x86_64`.
    pub architecture: String,
    /// Instruction sets that matter here: `avx2`, `fma`, `avx512f`, `neon`.
    pub features: Vec<String>,
    /// Logical cores that the program may use.
    pub logical_cores: usize,
    /// Linux's frequency governor, `performance` or `powersave`; `None` where it is not told.
    pub governor: Option<String>,
    /// Memory of the machine in bytes.
    pub memory_bytes: Option<u64>,
    /// Operating system and its kernel.
    pub system: String,
    /// Version of this program.
    pub zoo: String,
    /// Version of Burn.
    pub burn: String,
    /// Git revision of the sources that the program was built from, with `-dirty` where there were
    /// changes; none where they are gone.
    pub revision: Option<String>,
    /// The name of the machine as the user wants it in a leaderboard; the processor if not given.
    pub machine: String,
}

/// One way to compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Unique: `flex`, `wgpu:1`, `flex f16`, `flex 1 thread`, `torch`, `torch compiled`.
    pub name: String,
    /// The backend as given on the command line, or `torch`.
    pub backend: String,
    /// `f32`, `f16`, `bf16`.
    pub dtype: String,
    /// Threads of a CPU backend, where they were set.
    pub threads: Option<usize>,
    /// What computed, as it calls itself: `AMD EPYC 9R14 Processor`, `llvmpipe (LLVM 19.1.7, 256 bits)`.
    pub device: String,
    /// `CPU`, `software Vulkan`, `discrete GPU`, …
    pub kind: String,
    /// Driver or runtime and their versions, where told.
    pub driver: Option<String>,
    /// Whether this is a peer (PyTorch) rather than a backend of Burn.
    pub peer: bool,
    /// Measured peak rate of a large matrix product, in multiply-adds a second.
    pub peak_multiply_adds_per_second: Option<f64>,
    /// Measured bandwidth of a large copy, bytes read plus bytes written a second.
    pub copy_bytes_per_second: Option<f64>,
}

/// One model with its weights, batches and optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The recipe's or model's name.
    pub name: String,
    /// The architecture: `lenet`.
    pub model: String,
    /// Its family: `mlp`, `cnn`, `transformer`.
    pub family: String,
    /// Whether it is a recipe on its data, rather than a model on made-up inputs.
    #[serde(default)]
    pub recipe: bool,
    /// The library whose code PyTorch runs for it, where not our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// The input of one training step, `[64, 1, 28, 28]`.
    pub input: Vec<usize>,
    /// Trainable numbers.
    pub parameters: usize,
    /// Multiply-adds of one forward pass of one example.
    pub multiply_adds: u64,
    /// Numbers that all its layers put out for one example.
    pub activations: u64,
    /// What the references said about themselves.
    pub reference: Reference,
    /// One entry a column, in the order of [`Report::columns`].
    pub results: Vec<Outcome>,
}

/// The float64 run that columns are measured against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// What computed it: `flex f64`.
    pub backend: String,
    /// The losses of the training steps.
    pub losses: Vec<f64>,
    /// A second float64 run elsewhere, such as on ndarray, and its largest departure relative to
    /// the bound for float64; above 1 the reference itself is in doubt.
    pub check: Option<Check>,
}

/// A second reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// `ndarray f64`
    pub backend: String,
    /// The largest departure over its bound; `None` if it did not run.
    pub worst: Option<f64>,
    /// What it was, or why it did not run.
    pub what: String,
}

/// One column on one subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// The column's name.
    pub column: String,
    /// Why the column has nothing, or no more, to show; what was measured before is kept.
    pub failure: Option<Failure>,
    /// Against the reference.
    pub agreement: Option<Agreement>,
    /// The recipe to its end.
    pub convergence: Option<Convergence>,
    /// Times.
    pub speed: Vec<Speed>,
    /// Before the steady state.
    pub cold: Option<Cold>,
    /// Where the time of a forward pass goes, by layer; only layers with parameters can be told
    /// apart, others count with the one before them.
    pub layer_seconds: Vec<LayerSeconds>,
    /// Memory and energy.
    pub cost: Option<Cost>,
}

/// Why a column stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What it was doing: `forward`, `gradients`, `training step 3`, `timing`.
    pub during: String,
    /// The last layer whose parameters it had read, where the failure was in a forward pass.
    pub layer: Option<String>,
    /// What it said last, or its exit status.
    pub message: String,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The backend says that it cannot: no device, no such type. Not a breach.
    Unsupported,
    /// The process ended, by a panic, a signal or otherwise.
    Crash,
    /// It did not answer in time and was ended.
    Timeout,
}

/// How far a column is from the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Whether every quantity is within its bound.
    pub verdict: Verdict,
    /// The largest departure over its bound.
    pub worst: f64,
    /// Which quantity that was.
    pub worst_of: String,
    /// `outputs`, `loss`, `gradients`, `training`, `decoding`, `layers`: each with its worst.
    pub quantities: Vec<Departure>,
    /// Outputs of the layers in the order of the forward pass.
    pub layers: Vec<Departure>,
    /// Gradients of the parameters in the order of the backward pass.
    pub gradients: Vec<Departure>,
    /// The first layer whose output breaches its bound, or else whose gradient does.
    pub first: Option<First>,
    /// The loss of each training step, from 1.
    pub losses: Vec<f64>,
}

/// Whether a bound holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every departure is at most half its bound.
    Agrees,
    /// Within the bound, by less than a factor of two.
    Close,
    /// A bound is breached.
    Departs,
}

/// How far one tensor is from the reference's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Departure {
    /// `conv1`, `h.0.attn.c_attn.weight`, `loss`.
    pub name: String,
    /// What it is: a layer's type, `parameter`, or the quantity.
    pub kind: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The largest difference over the largest magnitude of the reference; infinite (written as
    /// 1e308) where either is not finite.
    pub error: f64,
    /// The largest error allowed.
    pub bound: f64,
    /// Where the largest difference is, counted through the tensor in row-major order.
    pub index: usize,
    /// The column's value there.
    pub value: Option<f64>,
    /// The reference's value there.
    pub reference: Option<f64>,
}

/// Where a departure begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct First {
    /// `output` or `gradient`.
    pub of: String,
    /// The layer, or parameter.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The departure over its bound.
    pub over: f64,
}

/// A recipe run to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Convergence {
    /// The metric of the recipe's expectation: `test.accuracy`.
    pub metric: String,
    /// What was reached.
    pub value: Option<f64>,
    /// The recipe's range, lowest and highest.
    pub expected: Option<[f64; 2]>,
    /// Whether the value is in it.
    pub met: Option<bool>,
    /// Steps until a validation first met the expectation.
    pub steps_to_expectation: Option<usize>,
    /// Steps done.
    pub steps: usize,
    /// Seconds for all of it.
    pub wall_seconds: f64,
    /// Points of (step, training loss), thinned to a few hundred.
    pub losses: Vec<(usize, f64)>,
    /// Points of (step, the validation metric that chooses the best model).
    pub validation: Vec<(usize, f64)>,
    /// Why it ended early, such as a loss that became NaN.
    pub failure: Option<String>,
}

/// One kind of work, timed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// What was done.
    pub work: Work,
    /// Examples at once.
    pub batch: usize,
    /// Seconds for one step, pass or token batch, one sample a round.
    pub samples: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// Their quartiles.
    pub quartiles: [f64; 2],
    /// Examples (tokens for decoding) a second at the median.
    pub rate: f64,
    /// This column's time over the base column's, in the same rounds; `None` for the base itself.
    pub ratio: Option<Ratio>,
    /// Share of the device's measured peak, 0..1: multiply-adds a second over that peak.
    pub of_peak: Option<f64>,
    /// Share of the device's measured copy bandwidth that the least traffic takes: weights and
    /// layers' outputs, each moved as often as the pass needs them. Above 1 where caches serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_bandwidth: Option<f64>,
    /// Whether the column agrees with the reference: a speed counts only if so.
    pub counts: bool,
}

/// Kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Forward, backward and the optimizer's update.
    Train,
    /// A forward pass.
    Infer,
    /// One token after another with a cache; `batch` is 1.
    Decode,
}

impl Work {
    /// `training step`, `inference`, `decoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "training step",
            Self::Infer => "inference",
            Self::Decode => "decoding",
        }
    }
}

impl Report {
    /// Whether anything is there that must not be: a bound breached, a crash, a time-out, a missed
    /// expectation, a regression, or a reference that does not agree with itself.
    #[must_use]
    pub fn breached(&self) -> bool {
        let outcome = |outcome: &Outcome| {
            let failed = outcome
                .failure
                .as_ref()
                .is_some_and(|failure| failure.kind != FailureKind::Unsupported);
            let departs = outcome
                .agreement
                .as_ref()
                .is_some_and(|agreement| agreement.verdict == Verdict::Departs);
            let missed = outcome
                .convergence
                .as_ref()
                .is_some_and(|run| run.met == Some(false) || run.failure.is_some());
            failed || departs || missed
        };
        let subject = |subject: &Subject| {
            let doubtful = |check: &Check| {
                check
                    .worst
                    .is_some_and(|worst| worst > 1.0 || worst.is_nan())
            };
            subject.results.iter().any(outcome)
                || subject.reference.check.as_ref().is_some_and(doubtful)
        };
        let regressed =
            |baseline: &Baseline| baseline.changes.iter().any(|change| change.regression);
        self.subjects.iter().any(subject) || self.baseline.as_ref().is_some_and(regressed)
    }
}

/// Two times compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Median of the rounds' ratios: 2 is twice as long as the base.
    pub value: f64,
    /// Bootstrap confidence interval of it.
    pub interval: [f64; 2],
    /// What that allows to say.
    pub verdict: Pace,
    /// Where the column is slower: the layer that has the most of the difference, and its share of it.
    pub slow_layer: Option<(String, f64)>,
}

/// A verdict on speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// The whole interval is below what counts as equal.
    Faster,
    /// The whole interval is above.
    Slower,
    /// Neither.
    Undecided,
}

/// What happens once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cold {
    /// From starting the process to a device that answers.
    pub startup_seconds: f64,
    /// The first forward pass.
    pub first_forward_seconds: Option<f64>,
    /// The first training step after it, its gradient computed twice: once to be compared.
    pub first_step_seconds: Option<f64>,
    /// What the first pass and step took beyond steady ones: kernel compilation and autotuning.
    pub preparation_seconds: Option<f64>,
}

/// One layer's share of a forward pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerSeconds {
    /// The layer's path.
    pub name: String,
    /// Median over several passes.
    pub seconds: f64,
}

/// What a column takes of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The process's peak of resident memory.
    pub peak_resident_bytes: Option<u64>,
    /// Peak of memory reserved on the device.
    pub device_bytes: Option<u64>,
    /// Growth of resident or device memory a step in the steady state; `None` if it does not grow.
    pub leak_bytes_per_step: Option<f64>,
    /// Energy of the processor or card for a training step, in joules.
    pub joules_per_step: Option<f64>,
}

/// This report against an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The earlier file.
    pub file: String,
    /// When it was made.
    pub created: String,
    /// Whether it was another machine or another build: then times are not comparable.
    pub other_machine: bool,
    /// What changed beyond noise, and what no longer works.
    pub changes: Vec<Delta>,
    /// How many figures were compared.
    pub compared: usize,
}

/// One figure then and now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// Subject.
    pub subject: String,
    /// Column.
    pub column: String,
    /// `training step, batch 64`; `departure`; `peak memory`.
    pub what: String,
    /// Of both values: `s`, `B`, or nothing for what is there (1) or not (0).
    pub unit: String,
    /// Then.
    pub before: f64,
    /// Now.
    pub now: f64,
    /// Of now over then.
    pub interval: Option<[f64; 2]>,
    /// Whether it is for the worse: this ends the command with status 1.
    pub regression: bool,
}
