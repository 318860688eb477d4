//! Regression on a linear model: units, metrics, what is asked and answered, and resuming.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use toml::Table;
use zoo_tasks::regress::{Number, Numbers, Regress};
use zoo_tasks::{AnswerError, Codec, Room, Size};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Checkpoint, EvalBatches, Examples, Exhibit, Fit, Helpers, Metrics, Origin, Pass, Recipe,
    Run, Source, SourceError, Split,
};

use crate::common::metrics;

#[derive(Module, Debug)]
struct Net {
    linear: Linear,
}

impl Net {
    /// `y = weight * x`, in standardised numbers.
    fn new(weight: [f32; 2], device: &Device) -> Self {
        let mut linear = LinearConfig::new(2, 1).init(device);
        let data = TensorData::new(weight.to_vec(), [2, 1]);
        linear.weight = linear
            .weight
            .map(|_| Tensor::from_data(data.clone(), device));
        linear.bias = linear.bias.map(|bias| bias.map(|bias| bias.zeros_like()));
        Self { linear }
    }

    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.linear.forward(inputs)
    }

    fn weights(&self) -> Vec<u32> {
        let weights = self.linear.weight.val().into_data();
        weights.iter::<f32>().map(f32::to_bits).collect()
    }
}

fn room() -> Box<dyn Room<Net>> {
    Regress::room(Net::forward, 2, 1)
}

/// Two inputs, and `y = 100 + 3 a - b`.
struct Plane {
    rows: Vec<[f32; 3]>,
    codec: Numbers,
}

impl Plane {
    fn new() -> Self {
        let mut stream = Stream::new(1);
        let mut number = || stream.below(1 << 16) as f32 / 8192.0 - 2.0;
        let row = |_| {
            let (a, b) = (number(), number());
            [a, b, 100.0 + 3.0 * a - b]
        };
        let rows: Vec<[f32; 3]> = (0..30).map(row).collect();
        let fitted = |name: &str, at: usize| Number::fitted(name, rows.iter().map(move |r| r[at]));
        let codec = Numbers::new(vec![fitted("a", 0), fitted("b", 1)], vec![fitted("y", 2)]);
        Self { rows, codec }
    }
}

impl Source for Plane {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let chosen = indices.iter().map(|index| self.rows[*index as usize]);
        let inputs: Vec<f32> = chosen.clone().flat_map(|[a, b, _]| [a, b]).collect();
        let targets: Vec<f32> = chosen.map(|[_, _, y]| y).collect();
        Ok(self.codec.batch(&inputs, &targets))
    }
}

/// The weights with which the plane is met.
fn exact(codec: &Numbers) -> [f32; 2] {
    let std = codec.targets[0].std;
    [3.0 * codec.inputs[0].std / std, -codec.inputs[1].std / std]
}

fn judged(weight: [f32; 2], batch_size: usize) -> Metrics {
    let model = Net::new(weight, &Device::flex());
    metrics(&*room(), &model, &Plane::new(), batch_size)
}

#[test]
fn numbers_are_standardised_by_what_training_had() {
    let number = Number::fitted("a", [1.0, 3.0, 5.0, 7.0].into_iter());
    assert_eq!((number.mean, number.std), (4.0, 5.0_f32.sqrt()));
    assert_eq!(Number::fitted("same", [2.0; 3].into_iter()).std, 1.0);
    let numbers = Numbers::new(vec![number.clone()], vec![number]);
    let batch = numbers.batch(&[4.0, 9.0], &[4.0, -1.0]);
    let column = |name| {
        batch
            .column(name)
            .unwrap()
            .iter::<f32>()
            .collect::<Vec<_>>()
    };
    assert_eq!(column("inputs"), [0.0, 5.0_f32.sqrt()]);
    assert_eq!(column("targets"), [0.0, -(5.0_f32.sqrt())]);
    assert_eq!(
        batch.column("target_mean").unwrap().shape().to_vec(),
        [1, 1]
    );
}

#[test]
fn metrics_are_in_the_targets_own_units() {
    let plane = Plane::new();
    let right = judged(exact(&plane.codec), 30);
    assert!(right["r2"] > 0.999_99 && right["mae"] < 1e-3, "{right:?}");
    // A model that answers the mean: R2 is 0, and the errors are the targets' own deviation.
    let std = f64::from(plane.codec.targets[0].std);
    let mean = judged([0.0, 0.0], 30);
    assert!((mean["rmse"] - std).abs() < 1e-3 * std, "{mean:?}");
    assert!((mean["mse"] - std * std).abs() < 1e-3 * std * std);
    assert!((mean["loss"] - 1.0).abs() < 1e-4 && mean["r2"].abs() < 1e-4);
    for batch_size in [1, 7] {
        for (name, value) in judged([0.0, 0.0], batch_size) {
            assert!((value - mean[&name]).abs() < 1e-6 * std * std, "{name}");
        }
    }
}

#[test]
fn the_codec_keeps_everything() {
    let codec = Plane::new().codec;
    let kept = serde_json::to_value(&codec).unwrap();
    let text = serde_json::to_string(&kept).unwrap();
    let read = room().codec(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(read.difference(&codec), None);
    read.check().unwrap();
    let mut other = codec.clone();
    other.inputs[0].mean += 1.0;
    assert!(Codec::difference(&codec, &other).unwrap().contains("means"));
    other.inputs[0].name = "c".into();
    assert!(Codec::difference(&codec, &other).unwrap().contains("\"c\""));
    other.inputs[0].std = 0.0;
    assert!(Codec::check(&other).unwrap_err().contains("std above 0"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let codec = Plane::new().codec;
    room().fit("net", "plane", &codec).unwrap();
    let [input, target] = [codec.inputs[0].clone(), codec.targets[0].clone()];
    let wide = Numbers::new(vec![input; 5], vec![target.clone()]);
    let error = room().fit("net", "plane", &wide).unwrap_err();
    assert!(error.contains("the first of model.widths to 5"), "{error}");
    let deep = Numbers::new(codec.inputs.clone(), vec![target; 3]);
    let error = room().fit("net", "plane", &deep).unwrap_err();
    assert!(error.contains("the last of model.widths to 3"), "{error}");
    let error = room().configure(&toml::from_str::<Table>("loss = 1").unwrap());
    assert!(error.unwrap_err().contains("task.loss"));
}

#[test]
fn numbers_are_asked_with_commas() {
    let (room, device, plane) = (room(), Device::flex(), Plane::new());
    let model = Net::new(exact(&plane.codec), &device);
    let mut ask = room.answers(&model, &plane.codec, &device).unwrap();
    let answer = ask("2, -1e0", 5).unwrap();
    let value = answer.json["values"][0]["value"].as_f64().unwrap();
    assert!((value - 107.0).abs() < 1e-2, "{value}");
    let Exhibit::Labels { labels } = &answer.parts[0].exhibit else {
        panic!("{:?}", answer.parts);
    };
    assert_eq!(labels[0].name, "y");
    for (input, part) in [
        (
            "1",
            "expected 2 numbers with commas between them (a, b), found 1",
        ),
        ("1,2,3", "found 3"),
        ("1,two", "\"two\" for b: expected a number"),
        ("1,nan", "\"nan\" for b"),
        ("", "expected 2 numbers"),
    ] {
        match ask(input, 5) {
            Err(AnswerError::Input(error)) => assert!(error.contains(part), "{error}"),
            other => panic!("{input:?}: {other:?}"),
        }
    }
}

#[test]
fn the_report_shows_curves_and_the_largest_errors() {
    let (plane, device) = (Plane::new(), Device::flex());
    let split = EvalBatches {
        source: &plane,
        batch_size: 7,
        threads: 0,
    };
    let model = Net::new([0.0, 0.0], &device);
    let sections = room()
        .examine(&model, &plane.codec, &split, &device)
        .unwrap();
    let Exhibit::Curve { lines, .. } = &sections[0].examples[0].parts[0].exhibit else {
        panic!("{:?}", sections[0]);
    };
    let truth: Vec<f64> = lines[1].points.iter().map(|[_, value]| *value).collect();
    assert!(truth.len() == 30 && truth.is_sorted());
    let Exhibit::Table { rows, .. } = &sections[1].examples[0].parts[0].exhibit else {
        panic!("{:?}", sections[1]);
    };
    let errors: Vec<f64> = rows
        .iter()
        .map(|row| row[4].parse::<f64>().unwrap().abs())
        .collect();
    assert!(errors.len() == 24 && errors.is_sorted_by(|a, b| a >= b));
}

#[test]
fn what_is_made_up_can_be_learned_and_judged() {
    let (room, device) = (room(), Device::flex());
    let size = Size {
        examples: 3,
        most_side: None,
        most_length: None,
    };
    let batch = room.made_up(size, &mut Stream::new(1));
    let model = Net::new([0.5, 0.5], &device);
    assert_eq!(room.output(&model, batch.clone(), &device).1, [3, 1]);
    let mut tally = room.tally();
    tally.add(&model, batch, &device);
    assert!(tally.metrics().values().all(|value| value.is_finite()));
}

#[test]
fn training_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[train]\nsteps = 8\nbatch_size = 10\nbest = \"mse\"\ncheckpoint_every_steps = 3\nkeep_checkpoints = 9\n\
                [optimizer]\nname = \"adam\"\nlearning_rate = 0.05";
    let recipe = Recipe::parse("test", text, &[]).unwrap();
    let (room, plane, device) = (room(), Arc::new(Plane::new()), Device::flex());
    let train = |name: &str, resume: Option<&Checkpoint>| {
        let mut run = Run::create(folder.path(), name, Origin::default()).unwrap();
        let fit = Fit {
            recipe: &recipe,
            task: &*room,
            feed: Box::new(Examples::new(plane.clone())),
            judge: Some(Box::new(Split::new(plane.clone(), &recipe.train))),
            device: &device,
            helpers: Helpers::default(),
            run: Some(&mut run),
            resume,
            stop: None,
            watch: &mut |_| {},
        };
        let fitted = fit.train(Net::new([0.0, 0.0], &device)).unwrap();
        (fitted, run.folder().to_owned())
    };
    let (whole, run) = train("whole", None);
    let start = judged([0.0, 0.0], 30)["mse"];
    assert!(whole.validation.as_ref().unwrap()["mse"] < 0.9 * start);
    let checkpoint = Checkpoint::read(&run.join("checkpoints/3")).unwrap();
    let (resumed, _) = train("resumed", Some(&checkpoint));
    assert_eq!(resumed.model.weights(), whole.model.weights());
    assert_eq!(resumed.validation, whole.validation);
}
