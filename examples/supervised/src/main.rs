//! A model of the zoo, trained by Burn's own [`SupervisedTraining`] instead of the zoo's loop.
//!
//! The models know no loop, so any will do. LeNet-5 learns the built-in `glyphs` digits here, a
//! part of them, for three epochs; metrics are written to a temporary folder. Burn's `tui` feature
//! would show a dashboard in place of the plain lines.
//!
//! ```text
//! cargo run --release -p supervised
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::{Dataset, InMemDataset};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::AdamConfig;
use burn::prelude::*;
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{
    ClassificationOutput, InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep,
};
use zoo_cnn::{LeNet, LeNetConfig};
use zoo_images::{FolderOptions, ImageError, LabeledImage, Split};

const EPOCHS: usize = 3;
const SEED: u64 = 1;

/// LeNet with the two steps that Burn's learner asks for. A type of our own, because neither the
/// model nor the traits are.
#[derive(Module, Debug)]
struct Classifier {
    net: LeNet,
}

/// A batch on its device.
#[derive(Clone, Debug)]
struct Digits {
    /// `[b, 1, 28, 28]`, about -1..1.
    images: Tensor<4>,
    /// `[b]`
    labels: Tensor<1, Int>,
}

impl Classifier {
    fn classify(&self, digits: Digits) -> ClassificationOutput {
        let logits = self.net.forward(digits.images);
        let loss = CrossEntropyLossConfig::new()
            .init(&logits.device())
            .forward(logits.clone(), digits.labels.clone());
        ClassificationOutput::new(loss, logits, digits.labels)
    }
}

impl TrainStep for Classifier {
    type Input = Digits;
    type Output = ClassificationOutput;

    fn step(&self, digits: Digits) -> TrainOutput<ClassificationOutput> {
        let output = self.classify(digits);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Classifier {
    type Input = Digits;
    type Output = ClassificationOutput;

    fn step(&self, digits: Digits) -> ClassificationOutput {
        self.classify(digits)
    }
}

/// Turns images in memory into a batch of tensors.
struct ToTensors;

impl Batcher<LabeledImage, Digits> for ToTensors {
    fn batch(&self, items: Vec<LabeledImage>, device: &Device) -> Digits {
        let count = items.len();
        let labels: Vec<i32> = items.iter().map(|item| item.label as i32).collect();
        let pixels = items.into_iter().flat_map(|item| item.pixels);
        let pixels: Vec<f32> = pixels.map(|byte| f32::from(byte) / 127.5 - 1.0).collect();
        Digits {
            images: Tensor::from_data(TensorData::new(pixels, [count, 1, 28, 28]), device),
            labels: Tensor::from_data(TensorData::new(labels, [count]), device),
        }
    }
}

/// The first `count` images of a split, in shuffled batches.
///
/// No workers: more than one gives the batches in another order every time.
fn loader(split: Split, count: usize) -> Result<Arc<dyn DataLoader<Digits>>, ImageError> {
    // The path is not looked at: `glyphs` is built in.
    let set = zoo_images::open("glyphs", Path::new(""), split, &FolderOptions::default())?;
    // Reading an image may fail with an error of the zoo, Burn's loader knows its own only: what
    // is in memory cannot fail any more.
    let items = (0..count).map(|index| set.get(index));
    let items: Vec<LabeledImage> = items.collect::<Result<_, _>>()?;
    Ok(DataLoaderBuilder::new(ToTensors)
        .batch_size(32)
        .shuffle(SEED)
        .set_device(Device::flex())
        .build(InMemDataset::new(items)))
}

/// Trains, and writes metrics below `folder`.
fn train(folder: &Path) -> Result<Classifier, Box<dyn Error>> {
    let device = Device::flex();
    device.seed(SEED);
    let model = Classifier {
        net: LeNetConfig::lenet5().init(&device),
    };
    let learner = Learner::new(model.train(), AdamConfig::new().init(), 1e-3);
    let result = SupervisedTraining::new(
        folder,
        loader(Split::Train, 3000)?,
        loader(Split::Test, 500)?,
    )
    .metrics((LossMetric::new(), AccuracyMetric::new()))
    .num_epochs(EPOCHS)
    // By default Burn takes over the program's log and its panic hook.
    .with_application_logger(None)
    .summary()
    .launch(learner);
    match result.error {
        // A broken batch or folder ends the training without a panic, and is told here.
        Some(error) => Err(error.into()),
        None => Ok(result.model),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    train(folder.path())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::train::LearnerSummary;

    use super::*;

    #[test]
    fn lenet_learns_under_burns_own_learner() {
        let folder = tempfile::tempdir().unwrap();
        let model = train(folder.path()).unwrap();
        assert_eq!(model.num_params(), 61_706);

        let summary = LearnerSummary::new(folder.path(), &["Loss", "Accuracy"]).unwrap();
        let of_epochs = |name: &str| -> Vec<f64> {
            let mut metrics = summary.metrics.valid.iter();
            let metric = metrics.find(|metric| metric.name == name).unwrap();
            metric.entries.iter().map(|entry| entry.value).collect()
        };
        let (losses, accuracies) = (of_epochs("Loss"), of_epochs("Accuracy"));
        assert_eq!((losses.len(), accuracies.len()), (EPOCHS, EPOCHS));
        assert!(losses[EPOCHS - 1] < losses[0], "{losses:?}");
        // In percent; chance is 10.
        assert!(accuracies[EPOCHS - 1] > 50.0, "{accuracies:?}");
    }
}
