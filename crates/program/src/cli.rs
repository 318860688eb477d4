//! The command line: what a user may say. What it does is a module for each command.

use std::ffi::OsStr;
use std::fmt;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::{Arg, Args, Parser, Subcommand, ValueEnum};

/// One name of a list, around which there may be spaces: `flex, wgpu`.
fn name(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("a name is missing: names stand between commas"),
        name => Ok(name.into()),
    }
}

/// As [`name`], a number.
fn count(text: &str) -> Result<usize, ParseIntError> {
    text.trim().parse()
}

/// As [`name`], of what another parser takes.
#[derive(Clone)]
struct Trimmed<P>(P);

impl<P: TypedValueParser> TypedValueParser for Trimmed<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<P::Value, clap::Error> {
        let trimmed = value.to_str().map_or(value, |text| OsStr::new(text.trim()));
        self.0.parse_ref(command, arg, trimmed)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// Train, evaluate and use the models of Burn Zoo on any Burn backend.
#[derive(Debug, Parser)]
#[command(name = "zoo", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model as a recipe says
    Train(TrainArgs),
    /// List runs, or say how two differ
    Runs(RunsArgs),
    /// Follow a run in the browser while it goes on
    Watch(WatchArgs),
    /// Write a run's report.html anew
    Report(ReportArgs),
    /// Measure a trained model on a split
    Eval(EvalArgs),
    /// Ask a trained model: a class, a mask, numbers, a translation, what was said
    Predict(PredictArgs),
    /// Continue a text with a trained decoder
    Sample(SampleArgs),
    /// Make a run of a folder from the Hugging Face hub (config.json, weights, tokenizer.json)
    Import(ImportArgs),
    /// Write a run's model for PyTorch: the weights, or a folder as on the Hugging Face hub
    Export(ExportArgs),
    /// Compare backends: agreement, convergence, speed, cost
    Compare(Box<CompareArgs>),
    /// One worker of a comparison
    #[command(hide = true)]
    CompareWorker(WorkerArgs),
    /// Hold a model at full size against its origin's own code in PyTorch
    Parity(ParityArgs),
    /// List what exists
    List(ListArgs),
    /// Show a model's layers, shapes, parameters and multiply-adds
    Show(ShowArgs),
    /// List, fetch or verify data sets
    Data(DataArgs),
    /// List, fetch or verify public pretrained weights
    Weights(WeightsArgs),
    /// Try every backend and say what works here
    Doctor(DoctorArgs),
    /// Lend this machine's devices to `--backend remote:ws://HOST:PORT` of other machines
    ServeDevice(ServeArgs),
}

/// `train`
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// A recipe's name (see `list recipes`) or a path to a TOML file [default: mlp-glyphs, or that
    /// of the run to resume]
    pub recipe: Option<String>,
    /// Where to compute: flex, ndarray, wgpu, …, with :INDEX for one of several devices, or
    /// remote:ws://HOST:PORT for one of another machine
    #[arg(long, value_name = "NAME[:INDEX]")]
    pub backend: Option<String>,
    /// Compute on several devices at once: each takes a part of every batch, and the first one
    /// holds the weights
    #[arg(
        long,
        value_name = "NAME[:INDEX],…",
        value_delimiter = ',',
        value_parser = name,
        conflicts_with = "backend"
    )]
    pub devices: Vec<String>,
    /// Change a key of the recipe, such as train.batch_size=128; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where data sets lie [default: $ZOO_DATA_DIR, else the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where run folders are made
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Length in passes over the training data
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    pub epochs: Option<usize>,
    /// Length in optimizer steps
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Everything random derives from it
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Go on with the given run folder, or without one with the unfinished run that was last at work:
    /// of RECIPE and of the backend, where they are named
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Keys of the recipe that may differ from those that the run to resume began with, or `data`
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', value_parser = name, requires = "resume")]
    pub allow_changed: Vec<String>,
    /// Fail (exit status 1) where the result is outside of the band that the recipe claims, above
    /// as well as below
    #[arg(long)]
    pub check: bool,
    /// Train the few steps of the recipe's `expect.short`, and hold the result against its band
    #[arg(long, conflicts_with_all = ["epochs", "steps"])]
    pub short: bool,
    /// Also write what metrics.jsonl holds as TensorBoard's event files, or as a table
    #[arg(long, value_parser = Trimmed(EnumValueParser::<LogForm>::new()), value_name = "FORM,…", value_delimiter = ',')]
    pub log: Vec<LogForm>,
    /// Do not look at mistakes and saliency of the result, and write no report.html
    #[arg(long)]
    pub no_report: bool,
    /// Print one JSON object a line to standard output
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
    /// Print the result only
    #[arg(long)]
    pub quiet: bool,
}

/// Forms of a log beside `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// Event files in the run folder, which `tensorboard --logdir` opens.
    Tensorboard,
    /// `metrics.csv`, a row a value.
    Csv,
}

/// `runs`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsArgs {
    /// Work on two runs
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
    /// Where the run folders are
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What can be done with two runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Say what differs in recipe, environment and result
    Diff(DiffArgs),
}

/// `runs diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A run folder
    pub a: PathBuf,
    /// Another
    pub b: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `watch`
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// A run folder
    pub run: PathBuf,
    /// Port of 127.0.0.1 to serve at; 0 is any free one. Other machines are never served
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub port: u16,
}

/// `report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A run folder
    pub run: PathBuf,
}

/// `eval`
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The folder of a finished run
    pub run: PathBuf,
    /// Where to compute
    #[arg(long, value_name = "NAME[:INDEX]")]
    pub backend: Option<String>,
    /// Which examples [default: test, or valid where the data has no test split]
    #[arg(long, value_enum)]
    pub split: Option<SplitName>,
    /// Where data sets lie
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Change a key of the run's [data], such as data.path where the files moved
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Measure on data that is not what the run was trained on, and say so
    #[arg(long)]
    pub allow_changed: bool,
    /// With the weights of linear layers rounded to 8-bit integers
    #[arg(long)]
    pub int8: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// What the weights were fitted to.
    Train,
    /// What chose the best model.
    Valid,
    /// What the result is reported on.
    Test,
}

impl SplitName {
    /// As in metrics: `test.accuracy`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// `predict`
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The folder of a finished run, or of the Hugging Face hub, or the name of fetched weights
    pub run: PathBuf,
    /// Files of pictures or sounds, sentences, or numbers with commas, as the model reads them
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Where to compute
    #[arg(long, value_name = "NAME[:INDEX]")]
    pub backend: Option<String>,
    /// How many classes to print, the likeliest first
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub top: usize,
    /// Print one JSON object an input
    #[arg(long)]
    pub json: bool,
}

/// `sample`
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// The folder of a finished run
    pub run: PathBuf,
    /// What to continue
    #[arg(long, value_name = "TEXT", default_value = "\n")]
    pub prompt: String,
    /// How many tokens to add. Where the text is longer than the model's context, the model sees the
    /// newer part of it, from a half to all of the context
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub tokens: usize,
    /// Below 1 is more careful, above 1 is wilder, 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    pub temperature: f64,
    /// Choose among the K likeliest tokens
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Choose among the least number of likeliest tokens that have probability P together
    #[arg(long, value_name = "P")]
    pub top_p: Option<f64>,
    /// Above 1 makes tokens of the text so far less likely
    #[arg(long, value_name = "R", default_value_t = 1.0)]
    pub repetition_penalty: f64,
    /// End before this token, besides those that end the model's texts; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Another seed, another text
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Where to compute
    #[arg(long, value_name = "NAME[:INDEX]")]
    pub backend: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// What to call the run [default: the folder's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where run folders are made
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The folder of a finished run
    pub run: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = ExportFormat::Safetensors)]
    pub format: ExportFormat,
    /// The type of the numbers
    #[arg(long, value_enum, default_value_t = FloatName::F32)]
    pub dtype: FloatName,
    /// The file or folder to write [default: export.safetensors or export/ in the run]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Write over what is there: an earlier export, or another model's folder
    #[arg(long)]
    pub force: bool,
}

/// Forms of a model for other libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One file of weights, by the names of their origin.
    Safetensors,
    /// A folder: config.json, model.safetensors, and tokenizer.json where there is one.
    Hf,
}

/// Float types of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FloatName {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Brain floating point.
    Bf16,
}

/// `parity`
#[derive(Debug, Args)]
pub struct ParityArgs {
    /// A preset, such as resnet50 (see `list models`)
    pub model: String,
    /// A Python that has PyTorch and the model's library: torchvision, timm or transformers
    #[arg(long, value_name = "PYTHON")]
    pub python: PathBuf,
    /// Examples at once
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub batch: usize,
    /// Compare outputs only, in half the memory
    #[arg(long)]
    pub no_gradients: bool,
    /// Where to compute
    #[arg(long, value_name = "NAME[:INDEX]")]
    pub backend: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `compare`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CompareArgs {
    /// Work on earlier comparisons
    #[command(subcommand)]
    pub command: Option<CompareCommand>,
    /// Recipes by name or path; `all` are those whose data is here
    #[arg(value_name = "RECIPE")]
    pub recipes: Vec<String>,
    /// Models on made-up inputs: the smallest of every architecture (all), the smallest of each that a library
    /// of PyTorch has (each), or names, which may have * in them, such as resnet*. Inputs are small where
    /// results are held against the reference, which is run many times
    #[arg(long, value_name = "all|each|GLOB,…", value_delimiter = ',', value_parser = name)]
    pub models: Vec<String>,
    /// What to compare, the first being the base of all ratios: flex,ndarray,wgpu,remote:ws://HOST:PORT
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = name)]
    pub backends: Vec<String>,
    /// Training steps to hold against the reference one by one [default: 20]; with it, recipes are
    /// not run to their end
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Batch sizes of inference; `own` is that of training, which takes the recipe's
    #[arg(long, value_name = "N|own,…", value_delimiter = ',', default_values_t = [BatchSize::Of(1), BatchSize::Of(32)])]
    pub batch: Vec<BatchSize>,
    /// Types to compute in: f32, f16, bf16
    #[arg(
        long,
        value_name = "TYPE,…",
        value_delimiter = ',',
        value_parser = name,
        default_value = "f32"
    )]
    pub dtype: Vec<String>,
    /// Threads of CPU backends and of PyTorch [default: all cores]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = count)]
    pub threads: Vec<usize>,
    /// An earlier comparison (.json) to tell regressions from noise, or the backend that ratios are of
    #[arg(long, value_name = "NAME|FILE")]
    pub baseline: Option<String>,
    /// Widen all bounds by a factor, or set one: 4, or training=1e-3,gradients=1e-4
    #[arg(long, value_name = "FACTOR|QUANTITY=BOUND")]
    pub tolerance: Option<String>,
    /// What to measure [default: all, and convergence where --steps is not given]
    #[arg(long, value_parser = Trimmed(EnumValueParser::<Measure>::new()), value_name = "WHAT,…", value_delimiter = ',')]
    pub measure: Vec<Measure>,
    /// A Python that has PyTorch, to compare with it too, eager and compiled
    #[arg(long, value_name = "PYTHON")]
    pub python: Option<PathBuf>,
    /// Change a key of every recipe; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where data sets lie [default: $ZOO_DATA_DIR, else the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the report goes
    #[arg(long, value_name = "DIR", default_value = "comparison")]
    pub out: PathBuf,
    /// Files to write there; the table always goes to standard output
    #[arg(long, value_parser = Trimmed(EnumValueParser::<Format>::new()), value_name = "FORMAT,…", value_delimiter = ',', default_values = ["md", "json", "csv", "html"])]
    pub format: Vec<Format>,
    /// Turns of each backend for each kind of work
    #[arg(long, value_name = "N", default_value_t = 11)]
    pub rounds: usize,
    /// Seconds of silence after which a backend counts as hung
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
    /// What to call this machine in a leaderboard [default: its processor]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Print the JSON report instead of the table
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
    /// Print the table only
    #[arg(long)]
    pub quiet: bool,
}

/// What can be done with comparisons that are there.
#[derive(Debug, Subcommand)]
pub enum CompareCommand {
    /// Make one page of the reports of several machines
    Merge(MergeArgs),
}

/// `compare merge`
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// JSON reports
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The page
    #[arg(long, value_name = "FILE", default_value = "leaderboard.html")]
    pub out: PathBuf,
}

/// A batch size of inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// That of training.
    Own,
    /// So many examples.
    Of(usize),
}

impl FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "own" => Ok(Self::Own),
            number => match number.parse() {
                Ok(0) | Err(_) => Err("expected a number from 1, or own".into()),
                Ok(count) => Ok(Self::Of(count)),
            },
        }
    }
}

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own"),
            Self::Of(count) => count.fmt(f),
        }
    }
}

/// Parts of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Results against a float64 reference.
    Agreement,
    /// Outputs and losses of the first steps against the first backend's alone, and PyTorch by the original's
    /// own code where a library has it; not measured unless it is named.
    Parity,
    /// The recipe to its end.
    Convergence,
    /// Times of steps, passes and tokens.
    Speed,
    /// The devices' peak rates, to set speeds against.
    Limit,
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `report.md`
    Md,
    /// `report.json`
    Json,
    /// `report.csv`
    Csv,
    /// `report.html`
    Html,
}

/// `compare-worker`
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// What to compute
    pub spec: PathBuf,
    /// Where: no file says what machine is sent the token
    #[arg(long, value_name = "NAME[:INDEX]")]
    pub device: String,
}

/// `list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list; everything if left out
    #[arg(value_enum)]
    pub what: Option<Listing>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Architectures and their presets.
    Models,
    /// Recipes and what they expect.
    Recipes,
    /// Data sets.
    Datasets,
    /// Backends.
    Backends,
}

/// `show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A model or preset (see `list models`)
    pub model: String,
    /// Change a key of its configuration, such as num_classes=10; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Height and width of the image, for models that take any
    #[arg(long, value_name = "PIXELS")]
    pub size: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `data`
#[derive(Debug, Args)]
pub struct DataArgs {
    /// What to do
    #[arg(value_enum)]
    pub action: SourceAction,
    /// Data sets; all that can be fetched if left out
    pub names: Vec<String>,
    /// Where data sets lie [default: $ZOO_DATA_DIR, else the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

/// `weights`
#[derive(Debug, Args)]
pub struct WeightsArgs {
    /// What to do
    #[arg(value_enum)]
    pub action: SourceAction,
    /// Weights by name (see `weights list`); `list` and `verify` take all if left out
    pub names: Vec<String>,
    /// Where data sets lie, and the weights in weights/ [default: $ZOO_DATA_DIR, else the user's
    /// cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

/// What can be done with data sets and with weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceAction {
    /// What exists, and what is there already.
    List,
    /// Download, check, and put into place.
    Fetch,
    /// Check what is there.
    Verify,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `serve-device`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// What to lend: flex, wgpu, cuda:1, …; several devices of one backend are told apart at the other
    /// end as remote:ws://HOST:PORT/0, /1, …
    #[arg(long, value_name = "NAME[:INDEX],…", value_delimiter = ',', value_parser = name)]
    pub backend: Vec<String>,
    /// Where to listen; 0.0.0.0:PORT is every network of this machine, and port 0 any free one.
    /// Nothing is encrypted: use a network that you trust, or a tunnel. If $ZOO_REMOTE_TOKEN is
    /// set, only clients with the same token in theirs are let in; otherwise everybody is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000")]
    pub listen: String,
}
