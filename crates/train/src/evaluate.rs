//! Judging a model on a split: batches assembled ahead, sums over them, metrics.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use burn::tensor::Device;

use crate::batch::Batch;
use crate::loader::{AHEAD, panicked, produce};
use crate::metric::{Metric, Metrics};
use crate::recipe::Plan;
use crate::source::{Source, SourceError};
use crate::task::Task;

/// The metrics of a model over all of a source, on a device without autodiff. One that is not finite
/// is left for the caller to see: [`not_finite`](crate::not_finite).
///
/// # Errors
/// An example that cannot be read.
pub fn evaluate<M>(
    task: &dyn Task<M>,
    model: &M,
    batches: &EvalBatches<'_>,
    device: &Device,
) -> Result<Metrics, SourceError> {
    let mut tally = task.tally();
    batches.each(|batch| tally.add(model, batch, device))?;
    Ok(tally.metrics())
}

/// Who says how good a model is.
pub trait Judge<M> {
    /// What it measures.
    ///
    /// # Errors
    /// An example that cannot be read.
    fn metrics(&self, task: &dyn Task<M>) -> Result<Vec<Metric>, SourceError>;

    /// Measures, on a device without autodiff.
    ///
    /// # Errors
    /// An example that cannot be read.
    fn judge(&self, task: &dyn Task<M>, model: &M, device: &Device)
    -> Result<Metrics, SourceError>;

    /// Whether there is nothing to judge by.
    fn is_empty(&self) -> bool {
        false
    }
}

/// A split of examples as a judge: a task's tally over all of it.
pub struct Split {
    source: Arc<dyn Source>,
    batch_size: usize,
    threads: usize,
}

impl Split {
    /// A source, in the batches of a plan.
    #[must_use]
    pub fn new(source: Arc<dyn Source>, plan: &Plan) -> Self {
        Self {
            source,
            batch_size: plan.eval_batch_size,
            threads: plan.loader_threads,
        }
    }
}

impl<M> Judge<M> for Split {
    fn metrics(&self, task: &dyn Task<M>) -> Result<Vec<Metric>, SourceError> {
        Ok(task.metrics(&self.source.batch(&[0], None)?))
    }

    fn judge(
        &self,
        task: &dyn Task<M>,
        model: &M,
        device: &Device,
    ) -> Result<Metrics, SourceError> {
        let batches = EvalBatches {
            source: &*self.source,
            batch_size: self.batch_size,
            threads: self.threads,
        };
        evaluate(task, model, &batches, device)
    }

    fn is_empty(&self) -> bool {
        self.source.is_empty()
    }
}

/// A source in batches and in its own order, as models are judged: nothing is drawn, and nothing
/// depends on the threads.
#[derive(Clone, Copy)]
pub struct EvalBatches<'a> {
    /// The examples.
    pub source: &'a dyn Source,
    /// Examples at once.
    pub batch_size: usize,
    /// Threads that assemble batches ahead; at 0, each is assembled when it is due.
    pub threads: usize,
}

impl EvalBatches<'_> {
    /// Gives every batch to `take`.
    ///
    /// # Errors
    /// An example that cannot be read, or a thread that panicked. What came before it was taken.
    pub fn each(&self, mut take: impl FnMut(Batch)) -> Result<(), SourceError> {
        let indices: Vec<u32> = (0..self.source.len() as u32).collect();
        let parts: Vec<&[u32]> = indices.chunks(self.batch_size).collect();
        let make = |number: usize| self.source.batch(parts[number], None);
        let threads = self.threads.min(parts.len());
        if threads == 0 {
            return (0..parts.len()).try_for_each(|number| make(number).map(&mut take));
        }
        thread::scope(|scope| {
            let start = |offset: usize| {
                let (sender, receiver) = sync_channel(AHEAD);
                let numbers = (offset..parts.len()).step_by(threads);
                (
                    receiver,
                    scope.spawn(move || produce(numbers, make, &sender)),
                )
            };
            let (channels, workers): (Vec<Receiver<_>>, Vec<_>) = (0..threads).map(start).unzip();
            let taken = (0..parts.len()).try_for_each(|number| {
                let batch = channels[number % threads].recv();
                batch
                    .unwrap_or_else(|_| Err(panicked("it is gone")))
                    .map(&mut take)
            });
            drop(channels); // Their threads stop at the next send.
            for worker in workers {
                // A panic was already reported; the scope would repeat it.
                let _ = worker.join();
            }
            taken
        })
    }
}

impl Plan {
    /// A source as this plan has it judged.
    pub fn eval_batches<'a>(&self, source: &'a dyn Source) -> EvalBatches<'a> {
        EvalBatches {
            source,
            batch_size: self.eval_batch_size,
            threads: self.loader_threads,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;
    use std::thread::ThreadId;

    use burn::tensor::TensorData;

    use super::*;
    use crate::source::Pass;

    /// Batches that hold their own indices; some indices cannot be read.
    #[derive(Default)]
    struct Echo {
        len: usize,
        damaged: Option<u32>,
        planted_panic: Option<u32>,
        readers: Mutex<HashSet<ThreadId>>,
    }

    impl Source for Echo {
        fn len(&self) -> usize {
            self.len
        }

        fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
            assert!(pass.is_none(), "nothing is drawn in evaluation");
            self.readers.lock().unwrap().insert(thread::current().id());
            let holds = |index: Option<u32>| index.is_some_and(|index| indices.contains(&index));
            assert!(!holds(self.planted_panic), "planted");
            if holds(self.damaged) {
                return Err("an example is damaged".into());
            }
            let rows: Vec<i32> = indices.iter().map(|index| *index as i32).collect();
            let count = rows.len();
            Ok(Batch::new(count).with("rows", TensorData::new(rows, [count])))
        }
    }

    fn read(source: &Echo, threads: usize) -> (Vec<i32>, Result<(), SourceError>) {
        let batches = EvalBatches {
            source,
            batch_size: 4,
            threads,
        };
        let mut rows = Vec::new();
        let result = batches.each(|batch| rows.extend(batch.column("rows").unwrap().iter::<i32>()));
        (rows, result)
    }

    #[test]
    fn several_threads_read_and_the_order_stays() {
        for threads in [0, 1, 3, 50] {
            let source = Echo {
                len: 30,
                ..Echo::default()
            };
            let (rows, result) = read(&source, threads);
            result.unwrap();
            assert_eq!(rows, (0..30).collect::<Vec<i32>>(), "{threads} threads");
            let readers = source.readers.lock().unwrap();
            // 30 examples are eight batches.
            assert_eq!(readers.len(), threads.clamp(1, 8));
            let here = readers.contains(&thread::current().id());
            assert_eq!(here, threads == 0, "{threads} threads");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_it_at_its_place() {
        for threads in [0, 1, 3] {
            let source = Echo {
                len: 30,
                damaged: Some(13),
                ..Echo::default()
            };
            let (rows, result) = read(&source, threads);
            assert_eq!(rows, (0..12).collect::<Vec<i32>>());
            assert_eq!(result.unwrap_err().to_string(), "an example is damaged");
        }
        let source = Echo {
            len: 30,
            planted_panic: Some(21),
            ..Echo::default()
        };
        let (rows, result) = read(&source, 2);
        assert_eq!(rows, (0..20).collect::<Vec<i32>>());
        assert!(result.unwrap_err().to_string().contains("panicked"));
    }
}
