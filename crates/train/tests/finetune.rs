//! What each key of `[finetune]` does to a small network: linear layers around a batch norm.
//!
//! A program of its own: adapters are drawn from the process's stream, which no other test may draw from
//! meanwhile.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[allow(dead_code, reason = "this program uses a part of it")]
#[path = "training/common.rs"]
mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::common::Classify;
use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Change, Checkpoint, Event, Examples, Fit, FitError, Fitted, Helpers, Origin, Pass,
    Recipe, Run, Source, SourceError, number, trainable,
};
use zoo_weights::Tensors;

/// Points in the plane, labelled by a curved border.
struct Points(usize);

fn unit(stream: &mut Stream) -> f32 {
    stream.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
}

impl Source for Points {
    fn len(&self) -> usize {
        self.0
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let mut stream = Stream::new(1);
        let all: Vec<[f32; 2]> = (0..self.0)
            .map(|_| [unit(&mut stream), unit(&mut stream)])
            .collect();
        let chosen = indices.iter().map(|index| all[*index as usize]);
        let labels: Vec<i32> = chosen
            .clone()
            .map(|[x, y]| i32::from(y > x * x - 0.3))
            .collect();
        Ok(crate::common::points(chosen.flatten().collect(), labels))
    }
}

#[derive(Module, Debug)]
struct Net {
    stem: Linear,
    norm: BatchNorm,
    blocks: Vec<Linear>,
    head: Linear,
    /// Stands for all matrices that are no linear layer's; a vector is added to every row.
    table: Embedding,
}

impl Net {
    fn forward(&self, points: Tensor<2>) -> Tensor<2> {
        let [rows, _] = points.dims();
        let which = Tensor::<1, Int>::zeros([rows], &points.device()).reshape([1, rows]);
        let x = self.norm.forward(self.stem.forward(points)).tanh();
        let x = x + self.table.forward(which).reshape([rows, 8]);
        let through = |x: Tensor<2>, block: &Linear| x.clone() + block.forward(x).tanh();
        self.head.forward(self.blocks.iter().fold(x, through))
    }
}

/// Numbers in the whole network, and in a block.
const ALL: usize = 16 + 16 + 2 * BLOCK + 18 + 16;
const BLOCK: usize = 72;

/// Held while numbers are drawn: the stream that adapters come from is the process's.
static DRAWS: Mutex<()> = Mutex::new(());

/// The same weights at every call.
fn net() -> Net {
    let _alone = DRAWS.lock().unwrap_or_else(|error| error.into_inner());
    let device = Device::flex();
    let mut stream = Stream::new(2);
    let mut linear = |inputs: usize, outputs: usize, bias: bool| {
        let config = LinearConfig::new(inputs, outputs).with_bias(bias);
        let mut layer = config.init(&device);
        layer.weight = fill(layer.weight, &mut stream);
        layer.bias = layer.bias.map(|bias| fill(bias, &mut stream));
        layer
    };
    let mut net = Net {
        // The norm that follows would cancel a bias.
        stem: linear(2, 8, false),
        blocks: vec![linear(8, 8, true), linear(8, 8, true)],
        head: linear(8, 2, true),
        norm: BatchNormConfig::new(8).init(&device),
        table: EmbeddingConfig::new(2, 8).init(&device),
    };
    net.table.weight = fill(net.table.weight, &mut stream);
    net
}

fn fill<const D: usize>(param: Param<Tensor<D>>, stream: &mut Stream) -> Param<Tensor<D>> {
    param.map(|tensor| {
        let values: Vec<f32> = (0..tensor.shape().num_elements())
            .map(|_| unit(stream))
            .collect();
        Tensor::from_data(TensorData::new(values, tensor.shape()), &tensor.device())
    })
}

fn recipe(changes: &[&str]) -> Recipe {
    let text = "[train]\nsteps = 12\nbatch_size = 16\n[optimizer]\nlearning_rate = 0.1";
    let changes: Vec<Change> = changes
        .iter()
        .map(|text| Change::parse(text).unwrap())
        .collect();
    Recipe::parse("test", text, &changes).unwrap()
}

/// A training, and what of it differs from one test to the next.
#[derive(Default)]
struct Training<'a> {
    valid: Option<usize>,
    helpers: usize,
    run: Option<&'a mut Run>,
    resume: Option<&'a Checkpoint>,
}

impl Training<'_> {
    /// The model, and how many numbers were trained.
    fn of(self, model: Net, recipe: &Recipe) -> Result<(Fitted<Net>, usize), FitError> {
        let _alone = DRAWS.lock().unwrap_or_else(|error| error.into_inner());
        let mut trained = 0;
        let fit = Fit {
            recipe,
            task: &Classify(Net::forward),
            feed: Box::new(Examples::new(Arc::new(Points(100)))),
            judge: (self.valid).map(|count| crate::common::judge(Arc::new(Points(count)), recipe)),
            device: &Device::flex(),
            helpers: Helpers {
                devices: vec![Device::flex(); self.helpers],
                relay: None,
            },
            run: self.run,
            resume: self.resume,
            stop: None,
            watch: &mut |event| {
                if let Event::Start { parameters, .. } = event {
                    trained = *parameters;
                }
            },
        };
        let fitted = fit.train(model)?;
        Ok((fitted, trained))
    }
}

fn train(changes: &[&str]) -> (Net, usize) {
    let training = Training::default();
    let (fitted, trained) = training.of(net(), &recipe(changes)).unwrap();
    (fitted.model, trained)
}

type Values = BTreeMap<String, Vec<f32>>;

/// All tensors of a file, by name.
fn read(path: &Path) -> Values {
    let tensors = Tensors::open(path).unwrap();
    let floats = tensors.names().filter(|name| !name.ends_with("tracked"));
    floats
        .map(|name| {
            let values = tensors.get(name).unwrap().iter::<f32>().collect();
            (name.to_owned(), values)
        })
        .collect()
}

/// All tensors of a model, by name and as files have them: linear weights are `[out, in]`.
fn values(model: &Net) -> Values {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    zoo_weights::save(model, &path, &zoo_weights::Origin::default()).unwrap();
    read(&path)
}

/// The names of the tensors that differ.
fn changed(before: &Values, now: &Values) -> Vec<String> {
    assert!(before.keys().eq(now.keys()), "{before:?}\n{now:?}");
    let names = before.keys().filter(|name| before[*name] != now[*name]);
    names.cloned().collect()
}

#[test]
fn what_is_frozen_stays_to_the_last_bit() {
    let before = values(&net());
    let everything = [
        "optimizer.name=adamw",
        "optimizer.weight_decay=0.1",
        "train.ema_decay=0.9",
        "train.clip_norm=1.0",
    ];
    let with = |freeze: &'static str| {
        let (model, trained) = train(&[&everything[..], &[freeze]].concat());
        (changed(&before, &values(&model)), trained)
    };
    let (all, trained) = with("train.seed=1");
    assert_eq!(all, before.keys().cloned().collect::<Vec<_>>());
    assert_eq!(trained, ALL);

    let (some, trained) = with("finetune.freeze=['stem.*', 'norm.*', 'blocks.0.*', 't*e.weight']");
    assert_eq!(
        some,
        [
            "blocks.1.bias",
            "blocks.1.weight",
            "head.bias",
            "head.weight"
        ]
    );
    assert_eq!(trained, BLOCK + 18);

    // A norm's statistics follow its parameters, however these are named.
    let statistics = |changed: &[String]| changed.contains(&"norm.running_mean".to_owned());
    assert!(!statistics(&with("finetune.freeze=['norm.*']").0));
    assert!(!statistics(
        &with("finetune.freeze=['norm.bias', '*m.weight']").0
    ));
    assert!(statistics(&with("finetune.freeze=['norm.bias']").0));
}

#[test]
fn a_model_that_was_partly_frozen_is_wholly_trained_by_the_next_run() {
    for change in [
        "finetune.freeze=['norm.*', 'blocks.*']",
        "finetune.lora.rank=2",
    ] {
        let (first, _) = Training::default().of(net(), &recipe(&[change])).unwrap();
        let before = values(&first.model);
        let (second, trained) = Training::default().of(first.model, &recipe(&[])).unwrap();
        assert_eq!(trained, ALL);
        assert_eq!(changed(&before, &values(&second.model)).len(), before.len());
    }
}

/// Each tensor's layer and its place from the last; what is used before the first block is one layer.
const DEPTHS: [(&str, i32); 3] = [("head", 0), ("blocks.1", 1), ("blocks.0", 2)];

fn depth(name: &str) -> i32 {
    let of = |(layer, depth): &(&str, i32)| name.starts_with(layer).then_some(*depth);
    DEPTHS.iter().find_map(of).unwrap_or(3)
}

#[test]
fn each_layer_has_its_own_share_of_the_rate() {
    // One step at a rate of one: what changes is the gradient, or its share.
    let step = ["train.steps=1", "optimizer.learning_rate=1"];
    let decay = "finetune.layer_decay=0.75";
    let before = values(&net());
    let (whole, shares) = (train(&step).0, train(&[step[0], step[1], decay]).0);
    let (whole, shares) = (values(&whole), values(&shares));
    for (name, before) in &before {
        if name.contains("running") {
            assert_eq!(whole[name], shares[name], "{name}");
            continue;
        }
        let change = |now: &Values| -> Vec<f64> {
            let pairs = now[name].iter().zip(before);
            pairs.map(|(now, before)| f64::from(now - before)).collect()
        };
        let (whole, share) = (change(&whole), change(&shares));
        let factor = 0.75_f64.powi(depth(name));
        let largest = whole.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        assert!(largest > 1e-3, "{name}: {largest}");
        for (whole, share) in whole.iter().zip(share) {
            // The rounding of weights around one.
            assert!((whole * factor - share).abs() < 5e-7, "{name}: {share}");
        }
    }
}

#[test]
fn shares_of_the_rate_go_with_a_decay_of_matrices_alone() {
    let (rate, decay) = (0.125, 0.5);
    let (model, _) = train(&[
        "train.steps=1",
        "optimizer.name=adamw",
        "optimizer.learning_rate=0.125",
        "optimizer.weight_decay=0.5",
        "optimizer.decay_on=matrices",
        "finetune.layer_decay=0.5",
    ]);
    let (before, after) = (values(&net()), values(&model));
    for name in before.keys().filter(|name| !name.contains("running")) {
        let rate = rate * 0.5_f64.powi(depth(name));
        let is_matrix = name.ends_with("weight") && !name.starts_with("norm");
        let kept = if is_matrix { 1.0 - rate * decay } else { 1.0 };
        for (before, after) in before[name].iter().zip(&after[name]) {
            // Adam's first step is as long as the rate, whatever the gradient, unless it is none.
            let step = (f64::from(*after) - f64::from(*before) * kept).abs();
            let none = name.starts_with("table") && step < 1e-7;
            assert!(none || (step - rate).abs() < 1e-3 * rate, "{name}: {step}");
        }
    }
}

/// The product of `a [in, rank]` and `b [rank, out]`, times `scale`, as files have a weight.
fn product(a: &[f32], b: &[f32], rank: usize, scale: f32) -> Vec<f32> {
    let (inputs, outputs) = (a.len() / rank, b.len() / rank);
    let cell = |o: usize, i: usize| -> f32 {
        let terms = (0..rank).map(|r| a[i * rank + r] * b[r * outputs + o]);
        scale * terms.sum::<f32>()
    };
    let cells = (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i)));
    cells.map(|(o, i)| cell(o, i)).collect()
}

#[test]
fn adapters_are_trained_beside_the_base_and_added_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::create(folder.path(), "lora", Origin::default()).unwrap();
    let recipe = recipe(&[
        "optimizer.name=adam",
        "optimizer.weight_decay=0.1",
        "train.checkpoint_every_steps=1",
        "train.keep_checkpoints=20",
        "finetune.lora={ rank = 2, alpha = 3.0, train = ['head.*'] }",
    ]);
    let training = Training {
        run: Some(&mut run),
        ..Training::default()
    };
    let (fitted, trained) = training.of(net(), &recipe).unwrap();
    assert_eq!(trained, 2 * (2 + 8) + 2 * 2 * (8 + 8) + 18);

    let checkpoints = run.folder().join("checkpoints");
    let [first, last] =
        ["1", "12"].map(|step| read(&checkpoints.join(step).join("model.safetensors")));
    let (before, merged) = (values(&net()), values(&fitted.model));
    assert!(before.keys().eq(merged.keys()), "{merged:?}");
    let mut adapted = 0;
    for (name, before) in &before {
        let factor =
            |values: &Values, which: &str| values.get(&format!("{name}.lora.{which}")).cloned();
        if name.starts_with("head") {
            assert_ne!(before, &last[name], "{name} is trained whole");
            assert_eq!(merged[name], last[name]);
            continue;
        }
        assert_eq!(before, &last[name], "{name} is frozen");
        let (Some(a), Some(b)) = (factor(&last, "a"), factor(&last, "b")) else {
            assert_eq!(before, &merged[name], "{name} has no adapter");
            continue;
        };
        adapted += 1;
        assert_ne!(Some(&a), factor(&first, "a").as_ref(), "{name}");
        assert_ne!(Some(&b), factor(&first, "b").as_ref(), "{name}");
        for ((before, delta), merged) in before
            .iter()
            .zip(product(&a, &b, 2, 1.5))
            .zip(&merged[name])
        {
            assert!(
                (before + delta - merged).abs() < 1e-6,
                "{name}: {before} {delta} {merged}"
            );
        }
        assert_ne!(before, &merged[name], "{name}");
    }
    assert_eq!(adapted, 3);
}

#[test]
fn adapters_start_as_the_seed_says_and_change_nothing_at_first() {
    let start = |seed: &str| {
        let small = [
            "finetune.lora.rank=2",
            "train.steps=1",
            "optimizer.learning_rate=1e-30",
        ];
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::create(folder.path(), "lora", Origin::default()).unwrap();
        let training = Training {
            run: Some(&mut run),
            ..Training::default()
        };
        let recipe = recipe(&[&small[..], &[seed]].concat());
        let (fitted, _) = training.of(net(), &recipe).unwrap();
        let difference = changed(&values(&net()), &values(&fitted.model));
        assert!(difference.is_empty(), "{difference:?}");
        read(&run.folder().join("checkpoints/1/model.safetensors"))
    };
    let (first, again, other) = (
        start("train.seed=1"),
        start("train.seed=1"),
        start("train.seed=2"),
    );
    assert_eq!(first, again);
    let factors = [
        "blocks.0.weight.lora.a",
        "blocks.1.weight.lora.a",
        "head.weight.lora.a",
    ];
    let differ = changed(&first, &other);
    assert!(
        factors
            .iter()
            .all(|name| differ.contains(&(*name).to_owned())),
        "{differ:?}"
    );
    assert_ne!(first[factors[0]], first[factors[1]]);
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bytes() {
    for (number, changes) in [
        "finetune.lora={ rank = 2, train = ['head.*'] }",
        "finetune={ freeze = ['stem.*', 'norm.*'], layer_decay = 0.5 }",
    ]
    .into_iter()
    .enumerate()
    {
        let recipe = recipe(&[
            changes,
            "optimizer.name=adamw",
            "optimizer.decay_on=matrices",
            "optimizer.weight_decay=0.1",
            "train.ema_decay=0.9",
            "train.validate_every_steps=3",
            "train.keep_checkpoints=9",
        ]);
        let folder = tempfile::tempdir().unwrap();
        let go_on = |name: &str, resume: Option<&Checkpoint>| {
            let mut run = Run::create(folder.path(), name, Origin::default()).unwrap();
            let training = Training {
                valid: Some(40),
                run: Some(&mut run),
                resume,
                ..Training::default()
            };
            let (fitted, trained) = training.of(net(), &recipe).unwrap();
            (
                values(&fitted.model),
                trained,
                run.folder().join("checkpoints"),
            )
        };
        let (whole, trained, checkpoints) = go_on("whole", None);
        let checkpoint = Checkpoint::read(&checkpoints.join("6")).unwrap();
        let (resumed, still_trained, again) = go_on("resumed", Some(&checkpoint));
        assert_eq!(whole, resumed, "{number}");
        assert_eq!(trained, still_trained, "{number}");
        for file in ["model", "average", "best"] {
            let bytes = |folder: &Path| {
                let file = folder.join("12").join(format!("{file}.safetensors"));
                std::fs::read(file).unwrap()
            };
            assert!(bytes(&checkpoints) == bytes(&again), "{number}: {file}");
        }
    }
}

#[test]
fn devices_that_share_a_batch_train_the_same_adapters() {
    let recipe = recipe(&["finetune.lora={ rank = 2, on = ['blocks.*.weight'] }"]);
    let on = |helpers: usize| {
        let training = Training {
            helpers,
            ..Training::default()
        };
        let (fitted, trained) = training.of(net(), &recipe).unwrap();
        assert_eq!(trained, 2 * 2 * (8 + 8));
        values(&fitted.model)
    };
    let (one, two) = (on(0), on(1));
    assert!(!changed(&values(&net()), &one).is_empty());
    for (name, one) in &one {
        for (one, two) in one.iter().zip(&two[name]) {
            assert!((one - two).abs() < 1e-6, "{name}");
        }
    }
}

#[test]
fn names_and_ranks_that_do_not_go_with_the_model_are_refused() {
    let all = "to name there is what begins with: stem, norm, blocks, head, table";
    let cases = [
        (
            "finetune.freeze=['steam.*']",
            format!("finetune.freeze: \"steam.*\" names nothing (did you mean stem.*?); {all}"),
        ),
        (
            "finetune.freeze=['stem.*', 'head']",
            format!("finetune.freeze: \"head\" names nothing (did you mean head.*?); {all}"),
        ),
        (
            "finetune.freeze=['norm.running_mean']",
            format!("finetune.freeze: \"norm.running_mean\" names nothing; {all}"),
        ),
        (
            "finetune.freeze=['stem.*', '*s*', '*.weight', 'head.bias']",
            "finetune.freeze leaves nothing to train; leave out the last layer, table".into(),
        ),
        (
            "finetune.lora.train=['blocks.2.*']",
            format!("finetune.lora.train: \"blocks.2.*\" names nothing (did you mean blocks.0.*?); {all}"),
        ),
        (
            "finetune.lora.on=['*.bias']",
            "finetune.lora.on: \"*.bias\" names nothing; to name there is what begins with: stem, blocks, \
             head, table"
                .into(),
        ),
        (
            "finetune.lora={ on = ['head.*'], train = ['head.*'] }",
            "finetune.lora.on: no matrix is left to adapt; name some that finetune.lora.train does not".into(),
        ),
        (
            "finetune.lora={ rank = 3, train = ['stem.*'] }",
            "finetune.lora.rank = 3: head.weight is [8, 2], which has no higher rank than its smaller side; \
             lower the rank, or name the matrix in finetune.lora.train"
                .into(),
        ),
    ];
    for (change, expected) in cases {
        let recipe = recipe(&[change]);
        let error = Training::default().of(net(), &recipe).unwrap_err();
        assert_eq!(error.to_string(), expected);
        let finetune = recipe.finetune.unwrap();
        assert_eq!(finetune.check_model(&net()), Err(expected));
    }
    let finetune = recipe(&["finetune.lora.rank=2"]).finetune.unwrap();
    let lazy = LinearConfig::new(3, 3).init(&Device::flex());
    finetune.check_model(&lazy).unwrap();
    assert!(!lazy.weight.is_initialized(), "looking draws no weights");
}

#[test]
fn a_matrix_of_another_kind_gets_an_adapter_where_it_is_named() {
    let before = values(&net());
    let (model, trained) = train(&["finetune.lora={ rank = 1, on = ['table.weight'] }"]);
    assert_eq!(trained, 2 + 8);
    assert_eq!(changed(&before, &values(&model)), ["table.weight"]);
    assert_eq!(trainable(&number(model).train()), ALL);
}
