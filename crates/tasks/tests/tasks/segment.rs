//! Segmentation on a network of one convolution: what void does, what a split comes to, what is said.

use std::fs;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor, TensorData};
use toml::Table;
use zoo_tasks::segment::{PixelClasses, Segment};
use zoo_tasks::{AnswerError, Codec, PictureInput, Pictures, Room, Size};
use zoo_train::rng::Stream;
use zoo_train::{Batch, EvalBatches, Exhibit, Metrics, Pass, Source, SourceError};

use crate::common::metrics;

const VOID: u8 = 255;
const SHAPE: [usize; 3] = [3, 4, 5];

/// A 1x1 convolution to two classes.
#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
}

impl Net {
    fn new(device: &Device) -> Self {
        let mut conv = Conv2dConfig::new([3, 2], [1, 1]).init(device);
        let weight = TensorData::new(vec![0.5_f32, -1.0, 0.3, -0.2, 0.7, 0.1], [2, 3, 1, 1]);
        conv.weight = conv
            .weight
            .map(|_| Tensor::from_data(weight.clone(), device));
        conv.bias = conv.bias.map(|bias| bias.map(|bias| bias.zeros_like()));
        Self { conv }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.conv.forward(images)
    }
}

fn room() -> Box<dyn Room<Net>> {
    let input = PictureInput::AnySize {
        channels: 3,
        usual: 4,
        least: 2,
    };
    Segment::room(Net::forward, input, 2)
}

fn codec() -> PixelClasses {
    let pictures = Pictures {
        shape: SHAPE,
        mean: vec![0.5; 3],
        std: vec![0.25; 3],
        preprocessing: None,
    };
    let classes = ["ground", "tree"].map(str::to_owned).into();
    PixelClasses::new(pictures, classes, VOID)
}

fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed);
    let levels = (0..count).map(|_| stream.below(4096) as f32 / 1024.0 - 2.0);
    levels.collect()
}

/// Scenes of noise, in part void; the second one is void all over.
struct Scenes;

impl Source for Scenes {
    fn len(&self) -> usize {
        7
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let [c, h, w] = SHAPE;
        let (mut pixels, mut masks) = (Vec::new(), Vec::new());
        for index in indices {
            pixels.extend(noise(c * h * w, u64::from(*index)));
            let mut stream = Stream::new(100 + u64::from(*index));
            let label = |_| match (index, stream.below(4)) {
                (1, _) | (_, 3) => VOID,
                (_, class) => class as u8 % 2,
            };
            masks.extend((0..h * w).map(label));
        }
        Ok(codec().batch(pixels, &masks))
    }
}

fn batch(masks: &[u8], pixels: Vec<f32>) -> Batch {
    codec().batch(pixels, masks)
}

/// The loss, and the gradient of the weights.
fn learned(batch: Batch) -> (f32, Vec<f32>) {
    let device = Device::flex().autodiff();
    let model = Net::new(&Device::flex()).train();
    let loss = room().loss(&model, batch, &device);
    let gradients = loss.backward();
    let gradient = model.conv.weight.grad(&gradients).unwrap();
    (loss.into_scalar(), gradient.into_data().iter().collect())
}

fn judged(batch_size: usize) -> Metrics {
    let model = Net::new(&Device::flex());
    metrics(&*room(), &model, &Scenes, batch_size)
}

#[test]
fn void_changes_neither_loss_nor_gradient() {
    let pixels = noise(3 * 20, 5);
    let mut masks = [0_u8, 1, 1, 0].repeat(5);
    masks[3] = VOID;
    masks[17] = VOID;
    let void = batch(&masks, pixels.clone());
    assert_eq!(void.weight(), 18.0);
    // Whatever stands at the void pixels.
    let mut other = pixels.clone();
    for channel in 0..3 {
        other[channel * 20 + 3] = 9.0;
        other[channel * 20 + 17] = -9.0;
    }
    let (loss, gradient) = learned(void);
    assert_eq!((loss, gradient.clone()), learned(batch(&masks, other)));

    // By hand: the mean over the pixels that have a class.
    let weight = [[0.5_f32, -1.0, 0.3], [-0.2, 0.7, 0.1]];
    let losses = (0..20).filter(|at| masks[*at] != VOID).map(|at| {
        let logit = |k: usize| {
            (0..3)
                .map(|c| weight[k][c] * pixels[c * 20 + at])
                .sum::<f32>()
        };
        let class = usize::from(masks[at]);
        (logit(0).exp() + logit(1).exp()).ln() - logit(class)
    });
    let expected = losses.sum::<f32>() / 18.0;
    assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    assert!(gradient.iter().any(|value| value.abs() > 1e-3));
}

#[test]
fn a_batch_of_void_alone_teaches_nothing() {
    let (loss, gradient) = learned(batch(&[VOID; 20], noise(60, 1)));
    assert_eq!((loss, gradient), (0.0, vec![0.0; 6]));
}

#[test]
fn metrics_are_of_the_whole_split() {
    let whole = judged(7);
    assert_eq!(whole.len(), 3);
    for batch_size in [1, 2, 3] {
        let other = judged(batch_size);
        for name in ["mean_iou", "pixel_accuracy"] {
            assert_eq!(whole[name], other[name], "{name}, {batch_size} at once");
        }
        assert!((whole["loss"] - other["loss"]).abs() < 1e-6);
    }
    let share = whole["mean_iou"];
    assert!(share > 0.0 && share < 1.0, "{share}");
}

#[test]
fn the_codec_keeps_everything() {
    let kept = serde_json::to_value(codec()).unwrap();
    assert_eq!(kept["kind"], "pixels");
    let read = room().codec(&kept).unwrap();
    assert_eq!(read.json(), kept);
    read.check().unwrap();
    let refused = |change: fn(&mut PixelClasses)| {
        let mut codec = codec();
        change(&mut codec);
        Codec::check(&codec).unwrap_err()
    };
    assert!(refused(|codec| codec.void = 1).contains("label of the class \"tree\""));
    assert!(refused(|codec| codec.classes.truncate(1)).contains("1 names"));
    assert!(refused(|codec| codec.classes[0] = "a\u{1b}".into()).contains("control character"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |change: fn(&mut PixelClasses)| {
        let mut codec = codec();
        change(&mut codec);
        room().fit("net", "scenes", &codec).unwrap_err()
    };
    room().fit("net", "scenes", &codec()).unwrap();
    let error = refused(|codec| codec.classes.push("sky".into()));
    assert!(error.contains("set model.num_classes to 3"), "{error}");
    let error = refused(|codec| codec.pictures.shape = [3, 1, 5]);
    assert!(
        error.contains("2x2 or more") && error.contains("data.size"),
        "{error}"
    );
    let error = refused(|codec| codec.pictures.shape = [1, 4, 5]);
    assert!(error.contains("model.in_channels = 1"), "{error}");
    let error = room()
        .configure(&toml::from_str::<Table>("los = 1").unwrap())
        .unwrap_err();
    assert!(error.contains("task.los (did you mean loss?)"), "{error}");
}

#[test]
fn a_picture_is_answered_by_a_mask_and_its_shares() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("red.png");
    fs::write(&file, red_png()).unwrap();
    let (room, codec, device) = (room(), codec(), Device::flex());
    let model = Net::new(&device);
    let mut ask = room.answers(&model, &codec, &device).unwrap();
    let answer = ask(&file.display().to_string(), 1).unwrap();
    // Red: channels 2, -2, -2 after normalisation, logits 2.4 and -2.
    let Exhibit::Mask { size, classes, .. } = &answer.parts[0].exhibit else {
        panic!("{:?}", answer.parts);
    };
    assert_eq!((*size, classes), ([4, 5], &vec![0; 20]));
    let expected = serde_json::json!([{ "label": 0, "class": "ground", "share": 1.0 }]);
    assert_eq!(answer.json["classes"], expected);

    let error = ask("nothing.png", 1);
    assert!(matches!(error, Err(AnswerError::Input(text)) if text.contains("nothing.png")));
}

/// A PNG of two by two red pixels.
fn red_png() -> Vec<u8> {
    let pixels: Vec<u8> = [[255; 4], [0; 4], [0; 4]].concat();
    let text = zoo_codec::image::png([3, 2, 2], &pixels);
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut buffer, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().take_while(|letter| *letter != b'=') {
        let digit = digits.iter().position(|digit| *digit == letter).unwrap();
        buffer = buffer << 6 | digit as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
        }
    }
    bytes
}

#[test]
fn the_report_shows_the_worst_pictures_and_every_class() {
    let device = Device::flex();
    let split = EvalBatches {
        source: &Scenes,
        batch_size: 3,
        threads: 0,
    };
    let sections = room()
        .examine(&Net::new(&device), &codec(), &split, &device)
        .unwrap();
    let Exhibit::Table { rows, .. } = &sections[0].examples[0].parts[0].exhibit else {
        panic!("{:?}", sections[0]);
    };
    assert_eq!(rows.len(), 2);
    // Six: of the scene that is void all over, nothing is said.
    assert_eq!(sections[1].examples.len(), 6);
    let kinds = sections[1].examples[0]
        .parts
        .iter()
        .map(|part| match &part.exhibit {
            Exhibit::Picture { .. } => "picture",
            Exhibit::Mask { .. } => "mask",
            _ => "other",
        });
    assert_eq!(kinds.collect::<Vec<_>>(), ["picture", "mask", "mask"]);
}

#[test]
fn every_pixel_of_a_made_up_picture_is_answered() {
    let (room, device) = (room(), Device::flex());
    let size = Size {
        examples: 2,
        most_side: None,
        most_length: None,
    };
    let batch = room.made_up(size, &mut Stream::new(1));
    assert_eq!(batch.weight(), 32.0);
    let model = Net::new(&device);
    assert_eq!(room.output(&model, batch.clone(), &device).1, [2, 2, 4, 4]);
    assert_eq!(room.rows(&model, batch.clone(), &device).dims(), [32, 2]);
    for promise in room.promises() {
        (promise.holds)(&model, &batch, &device).unwrap();
    }
    // One that answers a part of the picture breaks it.
    let half = Segment::room(
        |net: &Net, images| net.forward(images).narrow(2, 0, 2),
        PictureInput::Exactly([3, 4, 4]),
        2,
    );
    let promise = half.promises().remove(0);
    let error = (promise.holds)(&model, &batch, &device).unwrap_err();
    assert!(error.contains("[2, 2, 2, 4]"), "{error}");
}
