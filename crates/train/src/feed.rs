//! Where a step's batches come from.

use std::path::Path;
use std::sync::Arc;

use crate::batch::Batch;
use crate::loader::Loader;
use crate::recipe::Plan;
use crate::single_value::lone_example;
use crate::source::{Pass, Source, SourceError};

pub use crate::loader::{Part, Span};

/// What gives the loop its batches: examples in an order of their own, or a model's own doings, such
/// as games that it plays.
pub trait Feed<M> {
    /// Examples in one pass; `None` where there are no passes.
    fn examples(&self) -> Option<usize>;

    /// Optimizer steps after which an epoch ends.
    fn steps_per_epoch(&self, plan: &Plan) -> usize;

    /// Makes ready for the steps of `span`, with threads that work ahead.
    fn start(&mut self, span: Span, threads: usize);

    /// The next step's batch, in parts. `model` is the one that the step will change.
    ///
    /// # Errors
    /// Whatever keeps an example from being read.
    fn next(&mut self, model: &M) -> Result<Vec<Part>, SourceError>;

    /// Some examples, the first ones; without a pass nothing in them is drawn.
    ///
    /// # Errors
    /// Whatever keeps an example from being read.
    fn sample(&self, count: usize, pass: Option<Pass>) -> Result<Batch, SourceError>;

    /// Why some step passes a single example through a model at once, and what to change; `None` if
    /// no step does.
    fn lone_example(&self, _plan: &Plan, _span: &Span) -> Option<String> {
        None
    }

    /// Keeps in a checkpoint's folder what a function of (seed, step) does not give back.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn save(&self, _folder: &Path) -> Result<(), SourceError> {
        Ok(())
    }

    /// Goes on from what [`save`](Self::save) kept.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn load(&mut self, _folder: &Path) -> Result<(), SourceError> {
        Ok(())
    }
}

/// Examples in passes: every one once, in an order that the seed and the epoch decide.
pub struct Examples {
    source: Arc<dyn Source>,
    loader: Option<Loader>,
}

impl Examples {
    /// All of a source.
    #[must_use]
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            loader: None,
        }
    }
}

impl<M> Feed<M> for Examples {
    fn examples(&self) -> Option<usize> {
        Some(self.source.len())
    }

    fn steps_per_epoch(&self, plan: &Plan) -> usize {
        plan.steps_per_epoch(&*self.source)
    }

    fn start(&mut self, span: Span, threads: usize) {
        self.loader = Some(Loader::start(self.source.clone(), span, threads));
    }

    fn next(&mut self, _: &M) -> Result<Vec<Part>, SourceError> {
        match &mut self.loader {
            Some(loader) => loader.next_batch(),
            None => Err("the examples were asked for before they were started".into()),
        }
    }

    fn sample(&self, count: usize, pass: Option<Pass>) -> Result<Batch, SourceError> {
        let indices: Vec<u32> = (0..count.min(self.source.len()) as u32).collect();
        self.source.batch(&indices, pass)
    }

    fn lone_example(&self, plan: &Plan, span: &Span) -> Option<String> {
        match self.source.groups(plan.batch_size) {
            None => lone_example(plan, span, self.source.len()),
            Some(groups) => {
                let is_lone = |group: &Vec<u32>| span.cut(group).iter().any(|(_, p)| p.len() == 1);
                let lone = groups.iter().any(is_lone);
                lone.then(|| "a batch of the data, or a part of one, is one example".to_owned())
            }
        }
    }
}
