//! Batches assembled ahead on other threads, in an order that does not depend on them.
//!
//! Thread `i` of `n` makes batches `i`, `i + n`, `i + 2n`, … and the reader takes them in turn, so
//! the order is fixed by construction. A panic of a thread is an error of the batch it was making.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::batch::Batch;
use crate::breakdown::Breakdown;
use crate::rng::{Purpose, derive, permutation};
use crate::source::{Pass, Source, SourceError};

/// Batches that each thread may hold ready.
pub(crate) const AHEAD: usize = 2;

/// The batches of steps `first_step..total_steps`.
pub(crate) struct Loader {
    order: Arc<Order>,
    source: Arc<dyn Source>,
    channels: Vec<Receiver<Result<Vec<Part>, SourceError>>>,
    threads: Vec<JoinHandle<()>>,
    step: usize,
}

/// Which steps a loader serves, and how examples fall to them.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The run's seed: it fixes each epoch's order.
    pub seed: u64,
    /// Examples a step.
    pub batch_size: usize,
    /// Steps in a pass over the data; what is left over then is not seen in it.
    pub steps_per_epoch: usize,
    /// Devices among which a step's examples are divided.
    pub devices: usize,
    /// Examples that pass through a device's model at once; its share comes in parts of this size.
    pub micro_batch_size: usize,
    /// The first step that is wanted; a resumed run starts in the middle.
    pub first_step: usize,
    /// One past the last.
    pub total_steps: usize,
}

impl Span {
    /// The number of examples in the batches that its steps have: of the whole ones, and of an
    /// epoch's last one, where they come to those.
    pub(crate) fn batch_sizes(&self, examples: usize) -> Vec<usize> {
        let steps = self.first_step..self.total_steps;
        let is_last = |step: usize| (step + 1).is_multiple_of(self.steps_per_epoch);
        // Two epochs have every kind of step that more would have.
        let two_epochs = 2 * self.steps_per_epoch;
        let mut sizes: Vec<usize> = steps
            .take(two_epochs)
            .map(|step| match is_last(step) {
                true => {
                    (examples - (self.steps_per_epoch - 1) * self.batch_size).min(self.batch_size)
                }
                false => self.batch_size,
            })
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// Each device's share, in micro batches. Devices are served in turn: while one computes, the
    /// next is given work. A batch of fewer examples than devices leaves the last ones without.
    pub fn cut<'a>(&self, indices: &'a [u32]) -> Vec<(usize, &'a [u32])> {
        let devices = self.devices;
        let mut rest = indices;
        let mut parts = Vec::new();
        for device in 0..devices {
            // As even as it goes; the first ones take one more.
            let (share, others) = rest.split_at(rest.len().div_ceil(devices - device));
            rest = others;
            let micro_batches = share.chunks(self.micro_batch_size).enumerate();
            parts.extend(micro_batches.map(|(turn, part)| (turn, device, part)));
        }
        parts.sort_by_key(|(turn, device, _)| (*turn, *device));
        parts
            .into_iter()
            .map(|(_, device, part)| (device, part))
            .collect()
    }
}

/// A part of a step's batch, and the number of the device that computes it.
#[derive(Debug)]
pub struct Part {
    /// The number of the device, from 0.
    pub device: usize,
    /// Its examples.
    pub batch: Batch,
}

impl Loader {
    /// Starts `threads` threads that assemble the batches of `span`; without threads, they are
    /// assembled when asked for.
    pub(crate) fn start(source: Arc<dyn Source>, span: Span, threads: usize) -> Self {
        let order = Arc::new(Order::new(&*source, span));
        let (channels, threads) = (0..threads)
            .map(|offset| {
                let (sender, receiver) = sync_channel(AHEAD);
                let (source, order) = (source.clone(), order.clone());
                let thread = thread::spawn(move || {
                    let steps = (span.first_step + offset..span.total_steps).step_by(threads);
                    produce(steps, |step| order.assemble(&*source, step), &sender);
                });
                (receiver, thread)
            })
            .unzip();
        Self {
            order,
            source,
            channels,
            threads,
            step: span.first_step,
        }
    }

    /// The next step's batch, in parts.
    ///
    /// # Errors
    /// What the source met, or a thread that panicked.
    pub(crate) fn next_batch(&mut self) -> Result<Vec<Part>, SourceError> {
        let step = self.step;
        self.step += 1;
        if self.channels.is_empty() {
            return self.order.assemble(&*self.source, step);
        }
        let taken = step - self.order.span.first_step;
        self.channels[taken % self.channels.len()]
            .recv()
            .unwrap_or_else(|_| Err(panicked("it is gone")))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.channels.clear(); // Their threads stop at the next send.
        for thread in self.threads.drain(..) {
            // A panic was already reported by `next_batch`.
            let _ = thread.join();
        }
    }
}

/// What a loader thread does: items of its own numbers, in order.
pub(crate) fn produce<T>(
    numbers: impl Iterator<Item = usize>,
    make: impl Fn(usize) -> Result<T, SourceError>,
    sender: &SyncSender<Result<T, SourceError>>,
) {
    for number in numbers {
        let item = catch_unwind(AssertUnwindSafe(|| make(number)));
        let item = item.unwrap_or_else(|panic| Err(panicked(&Breakdown::new(&*panic).line)));
        let failed = item.is_err();
        // The reader went away, or there is nothing sensible after an error.
        if sender.send(item).is_err() || failed {
            return;
        }
    }
}

pub(crate) fn panicked(why: &str) -> SourceError {
    format!("a loader thread panicked while it assembled a batch: {why}").into()
}

/// The order of the examples: an epoch's permutation is made once and shared by all threads.
struct Order {
    /// What a pass takes each of once: examples, or groups of them.
    count: usize,
    groups: Option<Vec<Vec<u32>>>,
    span: Span,
    epoch: Mutex<Option<(u64, Arc<Vec<u32>>)>>,
}

impl Order {
    fn new(source: &dyn Source, span: Span) -> Self {
        let groups = source.groups(span.batch_size);
        Self {
            count: groups.as_ref().map_or(source.len(), Vec::len),
            groups,
            span,
            epoch: Mutex::new(None),
        }
    }

    /// The batch of a step, in parts.
    fn assemble(&self, source: &dyn Source, step: usize) -> Result<Vec<Part>, SourceError> {
        let (indices, pass) = self.at(step);
        let parts = self.span.cut(&indices).into_iter();
        parts
            .map(|(device, part)| {
                let batch = source.batch(part, Some(pass))?;
                Ok(Part { device, batch })
            })
            .collect()
    }

    /// The examples of a step, and the pass that it belongs to.
    fn at(&self, step: usize) -> (Vec<u32>, Pass) {
        let steps_per_epoch = self.span.steps_per_epoch;
        let pass = Pass {
            seed: self.span.seed,
            epoch: (step / steps_per_epoch) as u64,
        };
        let order = self.permutation(pass);
        if let Some(groups) = &self.groups {
            let group = order[step % steps_per_epoch] as usize;
            return (groups[group].clone(), pass);
        }
        let start = step % steps_per_epoch * self.span.batch_size;
        let end = (start + self.span.batch_size).min(order.len());
        (order[start..end].to_vec(), pass)
    }

    fn permutation(&self, pass: Pass) -> Arc<Vec<u32>> {
        let mut held = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some((epoch, order)) if *epoch == pass.epoch => order.clone(),
            _ => {
                let seed = derive(pass.seed, Purpose::Order, &[pass.epoch]);
                let order = Arc::new(permutation(self.count, seed));
                *held = Some((pass.epoch, order.clone()));
                order
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    /// Batches that hold their own indices and epoch.
    struct Echo(usize);

    impl Source for Echo {
        fn len(&self) -> usize {
            self.0
        }

        fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
            let epoch = pass.map_or(-1, |pass| pass.epoch as i32);
            if indices.contains(&666) {
                return Err("example 666 is damaged".into());
            }
            assert!(!indices.contains(&777), "planted panic");
            let rows: Vec<i32> = indices.iter().map(|index| *index as i32).collect();
            let count = rows.len();
            Ok(Batch::new(count)
                .with("epoch", TensorData::new(vec![epoch; count], [count]))
                .with("rows", TensorData::new(rows, [count])))
        }
    }

    fn read(examples: usize, first_step: usize, threads: usize) -> Vec<(i32, Vec<i32>)> {
        let span = Span {
            seed: 5,
            batch_size: 4,
            steps_per_epoch: examples.div_ceil(4),
            devices: 1,
            micro_batch_size: 3,
            first_step,
            total_steps: 17,
        };
        let mut loader = Loader::start(Arc::new(Echo(examples)), span, threads);
        (first_step..17)
            .map(|_| {
                let parts = loader.next_batch().unwrap();
                assert!(parts.iter().all(|part| part.batch.examples() <= 3));
                let rows = parts.iter().flat_map(|part| {
                    part.batch
                        .column("rows")
                        .unwrap()
                        .try_to_vec::<i32>()
                        .unwrap()
                });
                (
                    parts[0]
                        .batch
                        .column("epoch")
                        .unwrap()
                        .try_to_vec::<i32>()
                        .unwrap()[0],
                    rows.collect(),
                )
            })
            .collect()
    }

    #[test]
    fn threads_do_not_change_the_batches() {
        let one = read(30, 0, 1);
        for threads in [0, 2, 3, 4, 5] {
            assert_eq!(read(30, 0, threads), one);
        }
    }

    #[test]
    fn an_epoch_holds_each_example_once_and_epochs_differ() {
        let batches = read(30, 0, 2);
        let epoch = |number: i32| -> Vec<i32> {
            batches
                .iter()
                .filter(|(epoch, _)| *epoch == number)
                .flat_map(|(_, rows)| rows.clone())
                .collect()
        };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        for mut rows in [first, second] {
            rows.sort_unstable();
            assert_eq!(rows, (0..30).collect::<Vec<i32>>());
        }
    }

    #[test]
    fn a_later_start_continues_the_same_sequence() {
        assert_eq!(read(30, 11, 3), read(30, 0, 1)[11..]);
    }

    #[test]
    fn devices_share_a_batch_evenly_and_in_turn() {
        let cut = |examples: u32, devices: usize, micro_batch_size: usize| {
            let span = Span {
                seed: 5,
                batch_size: 100,
                steps_per_epoch: 1,
                devices,
                micro_batch_size,
                first_step: 0,
                total_steps: 1,
            };
            let indices: Vec<u32> = (0..examples).collect();
            let parts = span.cut(&indices).into_iter();
            parts
                .map(|(device, part)| (device, part.to_vec()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            cut(5, 2, 2),
            [
                (0, vec![0, 1]),
                (1, vec![3, 4]),
                (0, vec![2]), // Device 1 has done its share.
            ]
        );
        assert_eq!(cut(2, 3, 9), [(0, vec![0]), (1, vec![1])]);
        assert_eq!(cut(5, 1, 9), [(0, vec![0, 1, 2, 3, 4])]);
    }

    #[test]
    fn an_error_arrives_at_its_step() {
        let span = Span {
            seed: 5,
            batch_size: 1000,
            steps_per_epoch: 1,
            devices: 1,
            micro_batch_size: 1000,
            first_step: 0,
            total_steps: 4,
        };
        let mut loader = Loader::start(Arc::new(Echo(700)), span, 2);
        assert_eq!(
            loader.next_batch().unwrap_err().to_string(),
            "example 666 is damaged"
        );
    }

    #[test]
    fn a_panicking_thread_is_reported_and_does_not_end_the_epoch_silently() {
        let source: Arc<dyn Source> = Arc::new(Shifted);
        let span = Span {
            seed: 5,
            batch_size: 1,
            steps_per_epoch: 3,
            devices: 1,
            micro_batch_size: 1,
            first_step: 0,
            total_steps: 4,
        };
        let mut loader = Loader::start(source, span, 1);
        assert!(
            loader
                .next_batch()
                .unwrap_err()
                .to_string()
                .contains("panicked")
        );
    }

    #[test]
    fn groups_go_together_and_their_order_is_drawn_each_epoch() {
        /// Groups of one, two and three examples.
        struct Grouped;
        impl Source for Grouped {
            fn len(&self) -> usize {
                6
            }
            fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
                Echo(6).batch(indices, pass)
            }
            fn groups(&self, _: usize) -> Option<Vec<Vec<u32>>> {
                Some(vec![vec![0], vec![1, 2], vec![3, 4, 5]])
            }
        }
        let span = Span {
            seed: 5,
            batch_size: 4,
            steps_per_epoch: 3,
            devices: 1,
            micro_batch_size: 4,
            first_step: 0,
            total_steps: 12,
        };
        let mut loader = Loader::start(Arc::new(Grouped), span, 2);
        let mut orders = Vec::new();
        for _ in 0..4 {
            let mut epoch: Vec<Vec<i32>> = (0..3)
                .map(|_| {
                    let parts = loader.next_batch().unwrap();
                    let rows = parts[0].batch.column("rows").unwrap();
                    rows.iter::<i32>().collect()
                })
                .collect();
            orders.push(epoch.clone());
            epoch.sort();
            assert_eq!(epoch, [vec![0], vec![1, 2], vec![3, 4, 5]]);
        }
        orders.dedup();
        assert!(orders.len() > 1, "{orders:?}");
    }

    struct Shifted;

    impl Source for Shifted {
        fn len(&self) -> usize {
            3
        }

        fn batch(&self, _: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
            Echo(1000).batch(&[777], pass)
        }
    }
}
