//! Examples that are asked for by index, and become batches.

use std::ops::Range;
use std::time::SystemTime;

use crate::batch::Batch;
use crate::exhibit::Part;

/// Why a batch could not be assembled.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Which pass over the data a batch belongs to, for what is drawn anew each time.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// The run's seed.
    pub seed: u64,
    /// Passes completed before this one.
    pub epoch: u64,
}

/// What a system says of files: equal keys, unchanged files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// A sum of places, sizes and times.
    pub key: String,
    /// When one of them changed last.
    pub newest: SystemTime,
}

/// Examples that are assembled into batches by index, from several threads at once.
pub trait Source: Send + Sync {
    /// Examples in one pass.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Assembles the examples at `indices`, in that order. In training, `pass` seeds what is drawn
    /// anew each epoch; in evaluation it is `None` and nothing is drawn.
    ///
    /// # Errors
    /// Whatever keeps an example from being read.
    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError>;

    /// Which examples go together, where batches are not of equally many: sentences by their tokens,
    /// and `most` examples at most. An epoch then takes these batches, whole, in an order of its own.
    /// Every example is in one, and the answer is always the same.
    fn groups(&self, _most: usize) -> Option<Vec<Vec<u32>>> {
        None
    }

    /// Gives `add` the bytes that these examples are made of, in order: equal bytes, equal data. What
    /// is in no example (a vocabulary, the end of a text) belongs to the first or last one. This
    /// default takes the batches of evaluation; a source whose examples are costly to make should
    /// give what it makes them of.
    ///
    /// # Errors
    /// Whatever keeps an example from being read.
    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        let indices: Vec<u32> = (examples.start as u32..examples.end as u32).collect();
        for part in indices.chunks(1024) {
            let batch = self.batch(part, None)?;
            for (_, column) in batch.columns() {
                add(column.as_bytes());
            }
        }
        Ok(())
    }

    /// An example as a person hears or sees it, where its columns do not tell: a sound.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn shown(&self, _example: usize) -> Result<Vec<Part>, SourceError> {
        Ok(Vec::new())
    }

    /// What tells that the examples are those of an earlier time, without reading them; `None` where
    /// that cannot be told for sure, or where reading is as cheap.
    fn stamp(&self) -> Option<Stamp> {
        None
    }
}
