//! Classes of images: `images [b, c, h, w]`, `targets [b]`.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use toml::Table;
use zoo_codec::ProblemType;
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, EvalBatches, Example, Label, Metric, Metrics, Section, SourceError, Tally, Task,
};

use super::{answer, answered, check, confusion, mistakes, named, to_explain, worst};
use crate::codec::{AnyCodec, Codec, kept_as};
use crate::explain::{attributions, integrated_gradients, with_answer};
use crate::loss::LossOptions;
use crate::means::Means;
use crate::pictures::{PictureInput, Pictures, noise};
use crate::room::{Answers, Room, Size, Upstream, flat};

// b batch, c channels, h height, w width, k classes

/// How images are read, and what their classes are called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageClasses {
    /// `images`.
    kind: Kind,
    /// How they are read.
    #[serde(flatten)]
    pub pictures: Pictures,
    /// Class names by label.
    pub classes: Vec<String>,
    /// What the outputs are.
    #[serde(default, skip_serializing_if = "ProblemType::is_single")]
    pub problem_type: ProblemType,
}

/// The one value of a codec's `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "images")]
    Images,
}

impl ImageClasses {
    /// Images in classes.
    pub fn new(pictures: Pictures, classes: Vec<String>) -> Self {
        Self {
            kind: Kind::Images,
            pictures,
            classes,
            problem_type: ProblemType::default(),
        }
    }
}

impl Codec for ImageClasses {
    const TASK: &'static str = "classify images";

    fn check(&self) -> Result<(), String> {
        check(self.problem_type, &self.classes)?;
        self.pictures.check()
    }

    fn decides(&self) -> Table {
        Table::from_iter([("num_classes".to_owned(), (self.classes.len() as i64).into())])
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn problem_type(&self) -> Option<ProblemType> {
        Some(self.problem_type)
    }

    fn pictures(&self) -> Option<&Pictures> {
        Some(&self.pictures)
    }
}

/// A batch of images with their classes; of a class that there is not, -1.
pub fn batch(pixels: Vec<f32>, [c, h, w]: [usize; 3], labels: Vec<i32>) -> Batch {
    let b = labels.len();
    Batch::new(b)
        .with("images", TensorData::new(pixels, [b, c, h, w]))
        .with("targets", TensorData::new(labels, [b]))
}

/// Classification by a model of images.
pub struct Images<M> {
    forward: fn(&M, Tensor<4>) -> Tensor<2>,
    input: PictureInput,
    num_classes: usize,
    loss: LossOptions,
}

impl<M: Module + 'static> Images<M> {
    /// Logits `[b, k]` from images `[b, c, h, w]`.
    pub fn new(
        forward: fn(&M, Tensor<4>) -> Tensor<2>,
        input: PictureInput,
        num_classes: usize,
    ) -> Self {
        Self {
            forward,
            input,
            num_classes,
            loss: LossOptions::default(),
        }
    }

    /// The same, without its type.
    pub fn room(
        forward: fn(&M, Tensor<4>) -> Tensor<2>,
        input: PictureInput,
        num_classes: usize,
    ) -> Box<dyn Room<M>> {
        Box::new(Self::new(forward, input, num_classes))
    }

    fn logits(&self, model: &M, batch: &mut Batch, device: &Device) -> Tensor<2> {
        (self.forward)(model, batch.float("images", device))
    }

    fn explain(
        &self,
        model: &M,
        codec: &ImageClasses,
        mut batch: Batch,
        device: &Device,
    ) -> Example {
        let expected = batch.take("targets").iter::<i64>().next().unwrap_or(-1);
        let image = batch.take("images");
        // On an autodiff device, but as in evaluation: no dropout, no statistics of the batch.
        let frozen = model.valid().train().freeze();
        let logits = |x| (self.forward)(&frozen, x);
        let dark = codec.pictures.dark();
        let explained = integrated_gradients::<4>(image.clone(), dark, device, logits);
        let [c, h, w] = codec.pictures.shape;
        let at = |pixel: usize| (0..c).map(|c| explained.values[c * h * w + pixel]).sum();
        let values = (0..h * w).map(at).collect();
        let [before, after] = explained.log_probability;
        with_answer(
            format!("log-probability {before:.3} without the input, {after:.3} with it"),
            codec.pictures.shown(&image, values),
            Label::likely(
                named(&codec.classes, explained.output),
                explained.probability,
            ),
            named(&codec.classes, expected as usize),
        )
    }
}

impl<M: Module + 'static> Task<M> for Images<M> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        Means::metrics_of(false)
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let target: Tensor<1, Int> = batch.int("targets", device);
        self.loss.of(self.logits(model, &mut batch, device), target)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Sums {
            task: self,
            means: Means::default(),
        })
    }
}

struct Sums<'a, M> {
    task: &'a Images<M>,
    means: Means,
}

impl<M: Module + 'static> Tally<M> for Sums<'_, M> {
    fn add(&mut self, model: &M, mut batch: Batch, device: &Device) {
        let target = batch.int("targets", device);
        let logits = self.task.logits(model, &mut batch, device);
        self.means.add(&self.task.loss, logits, target, 1);
    }

    fn metrics(&self) -> Metrics {
        self.means.metrics()
    }
}

impl<M: Module + 'static> Room<M> for Images<M> {
    fn name(&self) -> &'static str {
        ImageClasses::TASK
    }

    fn configure(&mut self, options: &Table) -> Result<(), String> {
        self.loss = LossOptions::read(options)?;
        Ok(())
    }

    fn options(&self) -> Table {
        self.loss.table()
    }

    fn outputs(&self) -> usize {
        self.num_classes
    }

    fn upstream(&self, says: Upstream) -> Result<Arc<dyn AnyCodec>, String> {
        let pictures = says.pictures.ok_or("nothing says how pictures are read")?;
        let codec = ImageClasses {
            problem_type: says.problem_type,
            ..ImageClasses::new(pictures, says.classes)
        };
        Ok(Arc::new(codec))
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["images"]
    }

    fn output(&self, model: &M, mut batch: Batch, device: &Device) -> (Tensor<1>, Vec<usize>) {
        flat(self.logits(model, &mut batch, device))
    }

    fn is_large(&self) -> bool {
        self.input.is_large()
    }

    fn sized(&self, side: usize) -> Result<Option<Batch>, String> {
        let Some(images) = self.input.sized(side)? else {
            return Ok(None);
        };
        let labels = TensorData::new(vec![0_i64], [1]);
        Ok(Some(
            Batch::new(1).with("images", images).with("targets", labels),
        ))
    }

    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch {
        let b = size.examples;
        let images = noise(self.input.shape(size), b, stream);
        let labels = (0..b).map(|_| stream.below(self.num_classes) as i64);
        Batch::new(b).with("images", images).with(
            "targets",
            TensorData::new(labels.collect::<Vec<i64>>(), [b]),
        )
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<ImageClasses>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let codec = codec.fitting::<ImageClasses>(model, set)?;
        self.input.fit(model, set, codec.pictures.shape)?;
        match codec.classes.len() == self.num_classes {
            true => Ok(()),
            false => Err(format!(
                "model {model} has {} outputs, but data set {set} has {} classes; \
                 set the last of model.widths, or model.num_classes, to {}",
                self.num_classes,
                codec.classes.len(),
                codec.classes.len()
            )),
        }
    }

    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String> {
        let codec = codec.of::<ImageClasses>()?;
        Ok(Box::new(move |input, top| {
            let image = codec.pictures.read(input)?;
            let logits = (self.forward)(model, Tensor::from_data(image, device));
            answer(logits, codec.problem_type, &codec.classes, top)
        }))
    }

    fn examine(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
        device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        let codec = codec.of::<ImageClasses>()?;
        let mut answers = Vec::with_capacity(split.source.len());
        split.each(|mut batch| {
            let labels: Vec<i64> = batch.take("targets").iter::<i64>().collect();
            answers.extend(answered(self.logits(model, &mut batch, device), &labels));
        })?;
        let worst = worst(&answers);
        let one = |index: usize| split.source.batch(&[index as u32], None);
        let show = |index| {
            let image = one(index)?.take("images");
            Ok::<_, SourceError>(codec.pictures.shown(&image, Vec::new()))
        };
        let mut sections: Vec<Section> = confusion(&codec.classes, &answers).into_iter().collect();
        sections.push(mistakes(&codec.classes, &answers, &worst, show)?);
        let mut explained = Vec::new();
        for index in to_explain(answers.len(), worst.first().copied()) {
            explained.push(self.explain(model, codec, one(index)?, device));
        }
        sections.push(attributions(explained));
        Ok(sections)
    }
}
