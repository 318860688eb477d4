//! A class for every pixel: `images [b, c, h, w]`, `targets [n]`, and the pixels of the flattened
//! pictures that are `scored [n]`, where those are not all: pixels of no class count nowhere.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use toml::Table;
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, EvalBatches, Example, Exhibit, Metric, Metrics, Part, Section, SourceError, Tally, Task,
    Unit,
};

use crate::codec::{AnyCodec, Codec, check_names, kept_as};
use crate::loss::LossOptions;
use crate::metrics::iou::Confusion;
use crate::pictures::{PictureInput, Pictures, noise};
use crate::room::{Answer, AnswerError, Answers, Promise, Room, Size, flat};

// b batch, c channels, h height, w width, k classes, n scored pixels

/// Pictures that are shown.
const SHOWN: usize = 8;
/// Most classes: a byte of a mask tells them and void apart.
const MOST_CLASSES: usize = 255;

/// How pictures are read, and what the classes of their pixels are called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixelClasses {
    /// `pixels`.
    kind: Kind,
    /// How they are read.
    #[serde(flatten)]
    pub pictures: Pictures,
    /// Class names by label.
    pub classes: Vec<String>,
    /// What masks call pixels of no class.
    pub void: u8,
}

/// The one value of a codec's `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "pixels")]
    Pixels,
}

impl PixelClasses {
    /// Pictures whose pixels are of these classes, or of none.
    pub fn new(pictures: Pictures, classes: Vec<String>, void: u8) -> Self {
        Self {
            kind: Kind::Pixels,
            pictures,
            classes,
            void,
        }
    }

    /// A batch of pictures with their masks `[b, h, w]`, in which every label is a class or void.
    pub fn batch(&self, pixels: Vec<f32>, masks: &[u8]) -> Batch {
        let [c, h, w] = self.pictures.shape;
        let b = masks.len() / (h * w).max(1);
        let scored: Vec<i32> = (0..masks.len() as i32)
            .filter(|at| masks[*at as usize] != self.void)
            .collect();
        let targets = scored.iter().map(|at| i32::from(masks[*at as usize]));
        let targets: Vec<i32> = targets.collect();
        let n = targets.len();
        let batch = Batch::new(b)
            .with("images", TensorData::new(pixels, [b, c, h, w]))
            .with("targets", TensorData::new(targets, [n]))
            .weighing(n as f64);
        match n == masks.len() {
            true => batch,
            false => batch.with("scored", TensorData::new(scored, [n])),
        }
    }

    /// A mask to be shown, `None` being void.
    fn mask(&self, pixels: impl Iterator<Item = Option<usize>>) -> Exhibit {
        let [_, h, w] = self.pictures.shape;
        let label = |class: Option<usize>| class.map_or(self.void, |class| class as u8);
        Exhibit::Mask {
            size: [h, w],
            classes: pixels.map(label).collect(),
            names: self.classes.clone(),
        }
    }

    /// The intersection over union of each class of a split, and what was taken for what.
    fn by_class(&self, confusion: &Confusion) -> Section {
        let rows = confusion.rows();
        let whole: u64 = rows.iter().flatten().sum();
        let share = |pixels: u64| per_cent(pixels as f64 / whole.max(1) as f64);
        let row = |(class, iou): (usize, Option<f64>)| {
            vec![
                self.classes[class].clone(),
                iou.map_or_else(|| "does not occur".to_owned(), per_cent),
                share(rows[class].iter().sum()),
                share(rows.iter().map(|row| row[class]).sum()),
            ]
        };
        let table = Exhibit::Table {
            columns: ["class", "IoU", "pixels", "answered"]
                .map(str::to_owned)
                .into(),
            rows: confusion.iou().into_iter().enumerate().map(row).collect(),
        };
        let counts = rows
            .iter()
            .map(|row| row.iter().map(|count| *count as usize).collect());
        let matrix = Exhibit::Confusion {
            names: self.classes.clone(),
            counts: counts.collect(),
        };
        Section {
            examples: vec![
                Example::new("").with("", table),
                Example::new("").with("", matrix),
            ],
            ..Section::new(
                "Classes",
                "The intersection over union of each class, and its share of the pixels: in truth, and \
                 as answered.",
            )
        }
    }
}

impl Codec for PixelClasses {
    const TASK: &'static str = "segment pictures";

    fn check(&self) -> Result<(), String> {
        let classes = self.classes.len();
        if !(2..=MOST_CLASSES).contains(&classes) {
            return Err(format!(
                "codec.classes: {classes} names; expected those of 2 to {MOST_CLASSES} classes"
            ));
        }
        if usize::from(self.void) < classes {
            return Err(format!(
                "codec.void = {}: is the label of the class {:?}",
                self.void,
                self.classes[usize::from(self.void)]
            ));
        }
        check_names("codec.classes", &self.classes)?;
        self.pictures.check()
    }

    fn decides(&self) -> Table {
        Table::from_iter([("num_classes".to_owned(), (self.classes.len() as i64).into())])
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn pictures(&self) -> Option<&Pictures> {
        Some(&self.pictures)
    }
}

/// Segmentation by a model of pictures.
pub struct Segment<M> {
    forward: fn(&M, Tensor<4>) -> Tensor<4>,
    input: PictureInput,
    num_classes: usize,
    loss: LossOptions,
}

impl<M: Module + 'static> Segment<M> {
    /// Logits `[b, k, h, w]` from pictures `[b, c, h, w]`, without its type.
    pub fn room(
        forward: fn(&M, Tensor<4>) -> Tensor<4>,
        input: PictureInput,
        num_classes: usize,
    ) -> Box<dyn Room<M>> {
        Box::new(Self {
            forward,
            input,
            num_classes,
            loss: LossOptions::default(),
        })
    }

    fn logits(&self, model: &M, batch: &mut Batch, device: &Device) -> Tensor<4> {
        (self.forward)(model, batch.float("images", device))
    }

    /// Checks that every pixel of a picture is answered.
    fn answers_all(&self, model: &M, images: Tensor<4>) -> Result<(), String> {
        let [b, _, h, w] = images.dims();
        let (found, expected) = (
            (self.forward)(model, images).dims(),
            [b, self.num_classes, h, w],
        );
        match found == expected {
            true => Ok(()),
            false => Err(format!("logits of shape {found:?}; expected {expected:?}")),
        }
    }
}

/// Maps `[b, k, h, w]` to a row for each pixel `[b·h·w, k]`.
fn pixels(maps: Tensor<4>) -> Tensor<2> {
    let [b, k, h, w] = maps.dims();
    maps.permute([0, 2, 3, 1]).reshape([b * h * w, k])
}

/// The likeliest class of each pixel, from rows of logits `[n, k]`.
fn likeliest(rows: Tensor<2>) -> Vec<usize> {
    let classes = rows.argmax(1).into_data();
    classes.iter::<i64>().map(|class| class as usize).collect()
}

/// The true class of every pixel of a batch, none where it is void. The columns are taken out.
fn truth(batch: &mut Batch, pixels: usize) -> Vec<Option<usize>> {
    let targets = batch.take("targets");
    let targets = targets.iter::<i64>().map(|class| class as usize);
    if batch.column("scored").is_none() {
        return targets.map(Some).collect();
    }
    let mut truth = vec![None; pixels];
    for (at, class) in batch.take("scored").iter::<i64>().zip(targets) {
        truth[at as usize] = Some(class);
    }
    truth
}

/// Pixels of a batch, scored or not.
fn pixels_of(batch: &Batch) -> usize {
    let images = batch.column("images").map(|images| images.shape().to_vec());
    images.map_or(0, |shape| shape[0] * shape[2] * shape[3])
}

/// The mean loss `[1]` over scored pixels; 0 where there are none, which a crop can come to.
fn mean_loss(
    loss: &LossOptions,
    logits: Tensor<4>,
    batch: &mut Batch,
    device: &Device,
) -> Tensor<1> {
    if batch.weight() == 0.0 {
        return logits.sum().mul_scalar(0.0);
    }
    let targets: Tensor<1, Int> = batch.int("targets", device);
    let rows = pixels(logits);
    let rows = match batch.column("scored") {
        Some(_) => rows.select(0, batch.int("scored", device)),
        None => rows,
    };
    loss.of(rows, targets)
}

impl<M: Module + 'static> Task<M> for Segment<M> {
    fn metrics(&self, _: &Batch) -> Vec<Metric> {
        vec![
            Metric::lower("loss", Unit::Nats),
            Metric::higher("mean_iou", Unit::Share),
            Metric::higher("pixel_accuracy", Unit::Share),
        ]
    }

    fn loss(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<1> {
        let logits = self.logits(model, &mut batch, device);
        mean_loss(&self.loss, logits, &mut batch, device)
    }

    fn tally(&self) -> Box<dyn Tally<M> + '_> {
        Box::new(Sums {
            task: self,
            loss: 0.0,
            weight: 0.0,
            confusion: Confusion::new(self.num_classes),
        })
    }
}

struct Sums<'a, M> {
    task: &'a Segment<M>,
    /// Summed over scored pixels.
    loss: f64,
    weight: f64,
    confusion: Confusion,
}

impl<M: Module + 'static> Tally<M> for Sums<'_, M> {
    fn add(&mut self, model: &M, mut batch: Batch, device: &Device) {
        let logits = self.task.logits(model, &mut batch.clone(), device);
        let answered = likeliest(pixels(logits.clone()));
        let loss = self.task.loss.plain();
        let loss = mean_loss(&loss, logits, &mut batch.clone(), device);
        self.loss += f64::from(loss.into_scalar::<f32>()) * batch.weight();
        self.weight += batch.weight();
        let truth = truth(&mut batch, answered.len());
        self.confusion.add(truth.into_iter().zip(answered));
    }

    fn metrics(&self) -> Metrics {
        // Of a split that is void all over, nothing can be said.
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        Metrics::from([
            ("loss".to_owned(), self.loss / self.weight),
            ("mean_iou".to_owned(), or_nan(self.confusion.mean_iou())),
            (
                "pixel_accuracy".to_owned(),
                or_nan(self.confusion.pixel_accuracy()),
            ),
        ])
    }
}

impl<M: Module + 'static> Room<M> for Segment<M> {
    fn name(&self) -> &'static str {
        PixelClasses::TASK
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

    fn inputs(&self) -> &'static [&'static str] {
        &["images"]
    }

    fn output(&self, model: &M, mut batch: Batch, device: &Device) -> (Tensor<1>, Vec<usize>) {
        flat(self.logits(model, &mut batch, device))
    }

    fn rows(&self, model: &M, mut batch: Batch, device: &Device) -> Tensor<2> {
        pixels(self.logits(model, &mut batch, device))
    }

    fn is_large(&self) -> bool {
        self.input.is_large()
    }

    fn sized(&self, side: usize) -> Result<Option<Batch>, String> {
        let Some(images) = self.input.sized(side)? else {
            return Ok(None);
        };
        let batch = Batch::new(1).with("images", images);
        let n = pixels_of(&batch);
        let targets = TensorData::new(vec![0_i64; n], [n]);
        Ok(Some(batch.with("targets", targets).weighing(n as f64)))
    }

    fn made_up(&self, size: Size, stream: &mut Stream) -> Batch {
        let b = size.examples;
        let [c, h, w] = self.input.shape(size);
        let images = noise([c, h, w], b, stream);
        // There are too many pixels to learn classes at random by heart: they go by brightness.
        let values: Vec<f32> = images.iter::<f32>().collect();
        let first = (0..b).flat_map(|image| &values[image * c * h * w..][..h * w]);
        let most = self.num_classes as i64 - 1;
        let targets: Vec<i64> = first
            .map(|value| i64::from(*value > 0.0).min(most))
            .collect();
        let n = targets.len();
        let batch = Batch::new(b).with("images", images);
        let targets = TensorData::new(targets, [n]);
        batch.with("targets", targets).weighing(n as f64)
    }

    fn codec(&self, kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
        kept_as::<PixelClasses>(kept)
    }

    fn fit(&self, model: &str, set: &str, codec: &dyn AnyCodec) -> Result<(), String> {
        let codec = codec.fitting::<PixelClasses>(model, set)?;
        let [c, h, w] = codec.pictures.shape;
        match self.input {
            PictureInput::AnySize {
                channels, least, ..
            } if channels == c && least > h.min(w) => {
                return Err(format!(
                    "model {model} takes pictures of {least}x{least} or more, but data set {set} gives \
                     {h}x{w}; set data.size to a larger [height, width]"
                ));
            }
            input => input.fit(model, set, codec.pictures.shape)?,
        }
        let classes = codec.classes.len();
        match classes == self.num_classes {
            true => Ok(()),
            false => Err(format!(
                "model {model} tells {} classes apart, but data set {set} has {classes}; \
                 set model.num_classes to {classes}",
                self.num_classes
            )),
        }
    }

    fn answers<'a>(
        &'a self,
        model: &'a M,
        codec: &'a dyn AnyCodec,
        device: &'a Device,
    ) -> Result<Answers<'a>, String> {
        let codec = codec.of::<PixelClasses>()?;
        Ok(Box::new(move |input, _| {
            let image = codec.pictures.read(input)?;
            let rows = pixels((self.forward)(model, Tensor::from_data(image, device)));
            match rows.to_data().iter::<f32>().all(f32::is_finite) {
                true => Ok(answer(codec, &likeliest(rows))),
                false => Err(AnswerError::not_finite()),
            }
        }))
    }

    fn examine(
        &self,
        model: &M,
        codec: &dyn AnyCodec,
        split: &EvalBatches<'_>,
        device: &Device,
    ) -> Result<Vec<Section>, SourceError> {
        let codec = codec.of::<PixelClasses>()?;
        let mut whole = Confusion::new(self.num_classes);
        let mut ious = Vec::with_capacity(split.source.len());
        split.each(|mut batch| {
            let pixels_each = pixels_of(&batch) / batch.examples().max(1);
            let answered = likeliest(pixels(self.logits(model, &mut batch, device)));
            let truth = truth(&mut batch, answered.len());
            let pairs: Vec<_> = truth.into_iter().zip(answered).collect();
            whole.add(pairs.iter().copied());
            for picture in pairs.chunks(pixels_each.max(1)) {
                let mut own = Confusion::new(self.num_classes);
                own.add(picture.iter().copied());
                ious.push(own.mean_iou());
            }
        })?;
        let mut worst: Vec<(usize, f64)> = (ious.into_iter().enumerate())
            .filter_map(|(index, iou)| Some((index, iou?)))
            .collect();
        worst.sort_by(|a, b| a.1.total_cmp(&b.1));
        worst.truncate(SHOWN);
        let mut shown = Section::new(
            "Worst pictures",
            "The pictures with the least mean intersection over union of their own classes.",
        );
        for (index, iou) in worst {
            let mut batch = split.source.batch(&[index as u32], None)?;
            let picture = batch.column("images").map(|image| {
                let image = image.clone();
                codec.pictures.shown(&image, Vec::new())
            });
            let answered = likeliest(pixels(self.logits(model, &mut batch, device)));
            let truth = truth(&mut batch, answered.len());
            let mut example = Example::new(format!("no. {index}: mean IoU {}", per_cent(iou)));
            if let Some(picture) = picture {
                example = example.with("", picture);
            }
            shown.examples.push(
                example
                    .with(Part::ANSWER, codec.mask(answered.into_iter().map(Some)))
                    .with(Part::TRUTH, codec.mask(truth.into_iter())),
            );
        }
        Ok(vec![codec.by_class(&whole), shown])
    }

    fn promises(&self) -> Vec<Promise<M>> {
        let (forward, input, num_classes) = (self.forward, self.input, self.num_classes);
        let holds = move |model: &M, batch: &Batch, device: &Device| {
            let task = Self {
                forward,
                input,
                num_classes,
                loss: LossOptions::default(),
            };
            let images: Tensor<4> = batch.clone().float("images", device);
            task.answers_all(model, images.clone())?;
            let [_, _, h, w] = images.dims();
            match input {
                PictureInput::AnySize { least, .. } if least < h.min(w) => {
                    // Odd sides, where these are even.
                    task.answers_all(model, images.narrow(2, 0, h - 1).narrow(3, 0, w - 1))
                }
                _ => Ok(()),
            }
        };
        vec![Promise {
            about: "an answer for every pixel",
            holds: Box::new(holds),
        }]
    }
}

/// The mask of one picture, and the classes in it, the largest first.
fn answer(codec: &PixelClasses, answered: &[usize]) -> Answer {
    let mut pixels = vec![0_usize; codec.classes.len()];
    for class in answered {
        pixels[*class] += 1;
    }
    let mut shares: Vec<(usize, f64)> = (pixels.iter().enumerate())
        .filter(|(_, pixels)| **pixels > 0)
        .map(|(class, pixels)| (class, *pixels as f64 / answered.len().max(1) as f64))
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all = shares.iter().map(|(class, share)| {
        json!({ "label": class, "class": codec.classes[*class], "share": *share as f32 })
    });
    let [_, height, width] = codec.pictures.shape;
    let json = json!({ "height": height, "width": width, "classes": all.collect::<Vec<_>>() });
    Answer::new(codec.mask(answered.iter().copied().map(Some)), json)
}

fn per_cent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
