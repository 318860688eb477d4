//! What the program asks of a task for a model of some type.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value as Json;
use toml::Table;
use zoo_codec::ProblemType;
use zoo_codec::text::Text;
use zoo_train::rng::Stream;
use zoo_train::{Batch, EvalBatches, Exhibit, Part, Section, SourceError, Task, brief};

use crate::codec::AnyCodec;
use crate::pictures::Pictures;
pub use crate::size::Size;

// b batch, n rows, k outputs

/// A task for models of type `M`: what the loop asks of it, and what everybody else does.
pub trait Room<M>: Task<M> {
    /// The task's name, as its codec has it.
    fn name(&self) -> &'static str;

    /// Takes the keys of a recipe's `[task]` table. This default has none.
    ///
    /// # Errors
    /// A key that the task does not have, or a value that does not fit.
    fn configure(&mut self, options: &Table) -> Result<(), String> {
        match options.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!(
                "unknown key task.{}; a model to {} has no options of its task",
                brief(key),
                self.name()
            )),
        }
    }

    /// Those keys, every default written out.
    fn options(&self) -> Table {
        Table::new()
    }

    /// Outputs for one answer: classes, the size of the vocabulary, the width of a vector.
    fn outputs(&self) -> usize;

    /// How inputs are read by what an origin says.
    ///
    /// # Errors
    /// What it does not say, or a task that no origin has.
    fn upstream(&self, _says: Upstream) -> Result<Arc<dyn AnyCodec>, String> {
        Err(format!(
            "a model to {} is not read from its origin's folder",
            self.name()
        ))
    }

    /// The columns that the forward pass reads; each has a row for each example.
    fn inputs(&self) -> &'static [&'static str];

    /// The model's output for a batch, flattened, and its shape.
    fn output(&self, model: &M, batch: Batch, device: &Device) -> (Tensor<1>, Vec<usize>);

    /// The output as rows `[n, k]`, of which each is one answer. This default takes those of an output
    /// whose last axis is the answer's.
    fn rows(&self, model: &M, batch: Batch, device: &Device) -> Tensor<2> {
        let (output, _) = self.output(model, batch, device);
        output.reshape([-1, self.outputs() as i32])
    }

    /// The most tokens that the model sees at once, where it is one of texts.
    fn longest(&self) -> Option<usize> {
        None
    }

    /// Whether a step on its usual input takes seconds: of pictures larger than small ones.
    fn is_large(&self) -> bool {
        false
    }

    /// One made-up example whose pictures have this side; `None` if their size is not free.
    ///
    /// # Errors
    /// A side that the model does not take.
    fn sized(&self, _side: usize) -> Result<Option<Batch>, String> {
        Ok(None)
    }

    /// A batch of noise that the model takes: enough to compute on.
    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch;

    /// Reads what a run kept; [`kept_as`](crate::kept_as) does it.
    ///
    /// # Errors
    /// What is wrong with it, by key.
    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String>;

    /// Whether a model with the name `model` fits the data set of this name, read by this codec.
    ///
    /// # Errors
    /// What the model takes, what the data gives, and which key to change.
    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String>;

    /// Keeps how outputs are read, where its metrics are of that, such as words; called with a codec
    /// that [fits](Self::fit).
    fn set_codec(&mut self, _codec: &dyn AnyCodec) {}

    /// What answers a person's inputs, one after the other.
    ///
    /// # Errors
    /// A codec that reads nothing, or a task that has no answers of its own.
    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String>;

    /// What the model does with examples of a split, for a report. This default shows nothing.
    ///
    /// # Errors
    /// An example that cannot be read.
    fn examine(
        &self,
        _model: &M,
        _codec: &dyn AnyCodec,
        _split: &EvalBatches<'_>,
        _device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        Ok(Vec::new())
    }

    /// How it writes text token by token; `None` for a task that does not.
    fn continues(&self) -> Option<&dyn Continues<M>> {
        None
    }

    /// What must hold of every model of this task, beside what must hold of all.
    fn promises(&self) -> Vec<Promise<M>> {
        Vec::new()
    }
}

/// What an origin says of how inputs are read and outputs meant.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    /// Its tokenizer.
    pub text: Option<Text>,
    /// Most tokens of a text.
    pub max_length: Option<usize>,
    /// Tokens that end a text.
    pub stop: Vec<u32>,
    /// The token that fills shorter texts.
    pub pad: Option<u32>,
    /// What is done to pictures.
    pub pictures: Option<Pictures>,
    /// What the outputs are.
    pub problem_type: ProblemType,
    /// Class names by label.
    pub classes: Vec<String>,
}

/// Answers an input, a text or a file; where there are several answers, it lists so many at most.
pub type Answers<'a> = Box<dyn FnMut(&str, usize) -> Result<Answer, AnswerError> + 'a>;

/// What the model says to one input.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What is shown.
    pub parts: Vec<Part>,
    /// The same for programs: an object.
    pub json: Json,
}

impl Answer {
    /// What is shown in one piece.
    pub fn new(exhibit: Exhibit, json: Json) -> Self {
        let part = Part {
            caption: Part::ANSWER.to_owned(),
            exhibit,
        };
        Self {
            parts: vec![part],
            json,
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The input cannot be read, or the model does not take such.
    Input(String),
    /// The model's output is of no use.
    Output(String),
}

impl From<String> for AnswerError {
    fn from(problem: String) -> Self {
        Self::Input(problem)
    }
}

impl AnswerError {
    /// What is said of an output that is no number, which sound weights can give too: to an input far
    /// outside of what they were trained on.
    pub fn not_finite() -> Self {
        Self::Output(
            "the model's output is not finite; its weights do not serve, or the input is far from what \
             they were trained on"
                .to_owned(),
        )
    }
}

/// A task that writes text token by token.
pub trait Continues<M> {
    /// Continues a text; `say` gets it in pieces, the prompt first, and says whether to go on.
    ///
    /// # Errors
    /// A prompt that cannot be read, sampling that cannot be, or an output that is no number.
    fn write(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        writing: &Writing<'_>,
        device: &Device,
        say: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Written, AnswerError>;

    /// What [`Room::output`] gives for one example, computed token by token through the cache.
    fn cached(&self, model: &M, batch: Batch, device: &Device) -> TensorData;

    /// A greedy continuation by one token, from a state of its own; called again and again.
    fn steps<'m>(&self, model: &'m M, device: &'m Device) -> Option<Box<dyn FnMut() + 'm>>;
}

/// A text to continue, and how.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    /// Its beginning.
    pub prompt: &'a str,
    /// Tokens at most.
    pub tokens: usize,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Texts of one token that end it.
    pub stop: &'a [String],
    /// Where chance comes from.
    pub seed: u64,
    /// Called with what the user should know.
    pub warn: fn(&str),
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// All of the text.
    pub text: String,
    /// Tokens that were added.
    pub tokens: usize,
}

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Below 1 is more careful; 0 takes the likeliest.
    pub temperature: f64,
    /// Only the likeliest so many.
    pub top_k: Option<usize>,
    /// Only the likeliest that have so much of the probability together.
    pub top_p: Option<f64>,
    /// Above 1, tokens that are there already are less likely.
    pub repetition_penalty: f64,
}

/// What must hold of every model of a task.
pub struct Promise<M> {
    /// What it is, as in `no look into the future`.
    pub about: &'static str,
    /// Whether it holds of a model, for this batch.
    ///
    /// # Errors
    /// How it does not.
    pub holds: Box<Holds<M>>,
}

/// Whether something holds of a model: what is wrong otherwise.
pub type Holds<M> = dyn Fn(&M, &Batch, &Device) -> Result<(), String>;

/// A tensor, flattened, and its shape.
pub fn flat<const D: usize>(output: Tensor<D>) -> (Tensor<1>, Vec<usize>) {
    let shape = output.dims().to_vec();
    (output.flatten(0, D - 1), shape)
}
