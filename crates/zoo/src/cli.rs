//! The command line: what a user may say. What it does is a module for each command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Measure a trained model on a split
    Eval(EvalArgs),
    /// Classify images or sentences with a trained model
    Predict(PredictArgs),
    /// Continue a text with a trained decoder
    Sample(SampleArgs),
    /// List what exists
    List(ListArgs),
    /// Show a model's layers, shapes, parameters and multiply-adds
    Show(ShowArgs),
    /// List, fetch or verify data sets
    Data(DataArgs),
    /// Try every backend and say what works here
    Doctor(DoctorArgs),
}

/// `train`
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// A recipe's name (see `list recipes`) or a path to a TOML file
    #[arg(default_value = crate::recipes::RECIPES[0].0)]
    pub recipe: String,
    /// Where to compute: flex, ndarray, wgpu, …, with :INDEX for one of several devices
    #[arg(long, value_name = "NAME[:INDEX]")]
    pub backend: Option<String>,
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
    /// Go on with the newest run of this recipe and backend, or with the given run folder
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Print one JSON object a line to standard output
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
    /// Print the result only
    #[arg(long)]
    pub quiet: bool,
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
    /// The folder of a finished run
    pub run: PathBuf,
    /// Image files, or sentences
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
    /// How many tokens to add
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub tokens: usize,
    /// Below 1 is more careful, above 1 is wilder, 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    pub temperature: f64,
    /// Choose among the K likeliest tokens
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
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
    pub action: DataAction,
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

/// What can be done with data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DataAction {
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
