//! What the tests of several tasks share.

use burn::tensor::Device;
use zoo_tasks::Room;
use zoo_train::{EvalBatches, Metrics, Source, evaluate};

/// The metrics over all of a source, in batches of this size.
pub fn metrics<M>(
    room: &dyn Room<M>,
    model: &M,
    source: &dyn Source,
    batch_size: usize,
) -> Metrics {
    let split = EvalBatches {
        source,
        batch_size,
        threads: 0,
    };
    evaluate(room, model, &split, &Device::flex()).unwrap()
}
