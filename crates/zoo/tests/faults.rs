//! A comparison finds what is planted, and nothing where nothing is.
//!
//! Each check compares two columns of a small network on flex, the second with a fault. The columns
//! are processes: this same test program, which runs its test `worker` alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use zoo_compare::bounds::Tolerance;
use zoo_compare::driver::{Lane, Measures, Plan, Prepared, References, compare};
use zoo_compare::report::{
    Column, FailureKind, Outcome, Pace, Reference, Subject as Row, Verdict, Work,
};
use zoo_compare::spec::{Dtype, Reply, Spec, SpecTask};
use zoo_compare::worker::{Subject, serve, to_stdout, write_batches};
use zoo_tasks::classify::Images;
use zoo_tasks::{LossOptions, PictureInput};
use zoo_train::rng::Stream;
use zoo_train::{Batch, OptimizerConfig};
use zoo_weights::Origin;

const SIDE: usize = 4;
const WIDTH: usize = SIDE * SIDE;
const CLASSES: usize = 4;
const BATCH: usize = 8;

/// What is wrong with a column.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// One weight of `second` is off by a tenth.
    Weight,
    /// `norm` divides its sum by one number too few.
    Reduction,
    /// The gradient of `second` arrives transposed.
    Gradient,
    /// One weight of `second` is NaN.
    NotANumber,
    /// `second` sleeps.
    Slow,
    /// `second` keeps memory.
    Leak,
    /// `second` ends the process.
    Crash,
    /// `second` never returns.
    Hang,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::None,
        Self::Weight,
        Self::Reduction,
        Self::Gradient,
        Self::NotANumber,
        Self::Slow,
        Self::Leak,
        Self::Crash,
        Self::Hang,
    ];
}

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    norm: LayerNorm,
    second: Linear,
    third: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(WIDTH, WIDTH).init(device),
            norm: LayerNormConfig::new(WIDTH).init(device),
            second: LinearConfig::new(WIDTH, WIDTH)
                .with_bias(false)
                .init(device),
            third: LinearConfig::new(WIDTH, CLASSES).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>, fault: Fault) -> Tensor<2> {
        let x = relu(self.first.forward(images.flatten(1, 3)));
        let x = if fault == Fault::Reduction {
            let mean = x.clone().sum_dim(1).div_scalar(WIDTH as f64 - 1.0);
            let x = x - mean;
            let variance = x.clone().square().mean_dim(1);
            let x = x / variance.add_scalar(1e-5).sqrt();
            x * self.norm.gamma.val().unsqueeze()
        } else {
            self.norm.forward(x)
        };
        let weight = self.second.weight.val();
        let weight = match fault {
            Fault::Weight | Fault::NotANumber => {
                let mut off = vec![1.0_f32; WIDTH * WIDTH];
                off[3 * WIDTH + 5] = if fault == Fault::Weight {
                    1.1
                } else {
                    f32::NAN
                };
                let off = TensorData::new(off, [WIDTH, WIDTH]);
                weight.clone() * Tensor::from_data(off, &weight.device())
            }
            Fault::Gradient => {
                let turned = weight.clone().transpose();
                weight.detach() + turned.clone() - turned.detach()
            }
            _ => weight,
        };
        let x = x.matmul(weight);
        match fault {
            Fault::Slow => std::thread::sleep(Duration::from_millis(2)),
            Fault::Leak => {
                static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
                KEPT.lock().unwrap().push(vec![1; 256 << 10]);
            }
            Fault::Crash => std::process::abort(),
            Fault::Hang => std::thread::sleep(Duration::from_secs(3600)),
            _ => {}
        }
        self.third.forward(relu(x))
    }
}

/// The forward pass of one fault, as the plain function that a task takes.
fn forward_of(fault: Fault) -> fn(&Net, Tensor<4>) -> Tensor<2> {
    macro_rules! table {
        ($($name:ident),*) => {
            match fault { $(Fault::$name => |net, images| net.forward(images, Fault::$name),)* }
        };
    }
    table!(
        None, Weight, Reduction, Gradient, NotANumber, Slow, Leak, Crash, Hang
    )
}

/// Not a check of its own: the process that computes a column for the others.
#[test]
fn worker() {
    let Ok(path) = std::env::var("FAULTS_SPEC") else {
        return;
    };
    let fault = std::env::var("FAULTS_FAULT").unwrap();
    let fault = Fault::ALL
        .into_iter()
        .find(|known| format!("{known:?}") == fault)
        .unwrap();
    let spec: Spec = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let folder = Path::new(&path).parent().unwrap();
    let mut device = Device::flex();
    let integers = device.settings().int_dtype.into();
    device.configure(spec.dtype.of_device(integers)).unwrap();
    to_stdout(&Reply::Ready {
        device: "a processor".into(),
        kind: "CPU".into(),
        driver: None,
    });
    let forward = forward_of(fault);
    let input = PictureInput::Exactly([1, SIDE, SIDE]);
    let room = Images::room(forward, input, CLASSES);
    let run = |net: &Net, batch: Batch, device: &Device| room.output(net, batch, device);
    let open = || {
        let mut model = Net::new(&device);
        zoo_weights::load(&mut model, &folder.join(&spec.weights), &Origin::default()).unwrap();
        model
    };
    let subject = Subject {
        model: open(),
        with_chance: &|| Ok(open()),
        device: device.clone(),
        on_cpu: true,
        task: &*room,
        inputs: room.inputs(),
        forward: &run,
        layers: &|net: &Net, batch, device| {
            zoo_program::layer_outputs(net.valid(), device, |net, device| run(net, batch, device))
        },
        decode: None,
        converge: None,
    };
    serve(&spec, folder, subject, std::io::stdin().lock(), to_stdout).unwrap();
}

fn lane(name: &str, dtype: Dtype, fault: Fault) -> Lane<'static> {
    Lane {
        column: Column {
            name: name.into(),
            backend: name.into(),
            dtype: dtype.name().into(),
            threads: None,
            device: String::new(),
            kind: String::new(),
            driver: None,
            peer: false,
            peak_multiply_adds_per_second: None,
            copy_bytes_per_second: None,
        },
        dtype,
        command: Box::new(move |spec| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args(["--exact", "worker", "--nocapture", "--test-threads=2"])
                .env("FAULTS_SPEC", spec)
                .env("FAULTS_FAULT", format!("{fault:?}"))
                .env("RUST_BACKTRACE", "0");
            command
        }),
        device: "flex".into(),
    }
}

fn prepared(folder: &Path) -> Prepared {
    const BATCHES: usize = 3;
    const STEPS: usize = 6;
    let device = Device::flex();
    zoo_weights::save(
        &Net::new(&device),
        &folder.join("weights.safetensors"),
        &Origin::default(),
    )
    .unwrap();
    let mut stream = Stream::new(5);
    let batches: Vec<Batch> = (0..BATCHES)
        .map(|_| {
            let pixels: Vec<f32> = (0..BATCH * WIDTH)
                .map(|_| stream.below(2000) as f32 / 1000.0 - 1.0)
                .collect();
            let labels: Vec<i64> = (0..BATCH).map(|_| stream.below(CLASSES) as i64).collect();
            Batch::new(BATCH)
                .with("images", TensorData::new(pixels, [BATCH, 1, SIDE, SIDE]))
                .with("targets", TensorData::new(labels, [BATCH]))
        })
        .collect();
    let shapes = write_batches(&folder.join("batches.safetensors"), &batches).unwrap();
    Prepared {
        subject: Row {
            name: "net".into(),
            model: "net".into(),
            family: "test".into(),
            recipe: false,
            library: None,
            input: vec![BATCH, 1, SIDE, SIDE],
            parameters: 0,
            multiply_adds: 0,
            activations: 0,
            reference: Reference {
                backend: String::new(),
                losses: Vec::new(),
                check: None,
            },
            results: Vec::new(),
        },
        spec: Spec {
            subject: "net".into(),
            model: serde_json::Value::Null,
            original: None,
            task: SpecTask {
                name: "classify images".into(),
                inputs: vec!["images".into()],
                options: LossOptions::default().table(),
            },
            optimizer: OptimizerConfig::default(),
            clip_norm: None,
            rates: vec![0.05; STEPS],
            weights: "weights.safetensors".into(),
            batches: "batches.safetensors".into(),
            shapes,
            dtype: Dtype::F32,
            threads: None,
            device: String::new(),
            prompt: None,
            recipe: None,
            data_dir: None,
        },
        folder: folder.to_owned(),
    }
}

fn plan(fault: Fault, speed: bool) -> Plan<'static> {
    Plan {
        measures: Measures {
            agreement: true,
            parity: false,
            convergence: false,
            speed,
            limit: false,
        },
        steps: 6,
        batches: vec![Some(BATCH)],
        rounds: 9,
        turn: Duration::from_millis(15),
        silence: Duration::from_secs(if fault == Fault::Hang { 2 } else { 60 }),
        tolerance: Tolerance::default(),
        progress: &|_| (),
    }
}

/// The reference, with a fault or sound.
fn reference(fault: Fault) -> References<'static> {
    References {
        reference: lane("f64", Dtype::F64, fault),
        check: None,
    }
}

/// Compares the sound network with one that has a fault; the reference is sound.
fn run(fault: Fault, speed: bool) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(fault, speed);
    let references = reference(Fault::None);
    let mut lanes = [
        lane("sound", Dtype::F32, Fault::None),
        lane("suspect", Dtype::F32, fault),
    ];
    let mut subject = compare(&plan, &references, &mut lanes, prepared(folder.path())).unwrap();
    let suspect = subject.results.pop().unwrap();
    let sound = subject.results.pop().unwrap();
    assert_eq!(sound.failure, None);
    let agreement = sound.agreement.unwrap();
    assert_eq!(
        agreement.verdict,
        Verdict::Agrees,
        "the sound one: {agreement:?}"
    );
    suspect
}

/// What departs first: output or gradient, and of which layer.
fn first(fault: Fault) -> (String, String) {
    let agreement = run(fault, false).agreement.unwrap();
    assert_eq!(agreement.verdict, Verdict::Departs, "{fault:?}");
    let first = agreement.first.unwrap();
    (first.of, first.name)
}

#[test]
fn a_perturbed_weight_is_found_in_its_layer() {
    assert_eq!(first(Fault::Weight), ("output".into(), "second".into()));
}

#[test]
fn a_wrong_reduction_is_found_in_its_layer() {
    assert_eq!(first(Fault::Reduction), ("output".into(), "norm".into()));
}

#[test]
fn a_transposed_gradient_is_found_though_every_output_agrees() {
    assert_eq!(
        first(Fault::Gradient),
        ("gradient".into(), "second.weight".into())
    );
}

#[test]
fn a_nan_is_found_in_its_layer() {
    assert_eq!(first(Fault::NotANumber), ("output".into(), "second".into()));
}

/// Where the reference has a NaN, a column that has the same NaN does not agree: nothing is proved.
#[test]
fn a_reference_that_is_not_finite_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(Fault::NotANumber, false);
    let references = reference(Fault::NotANumber);
    let mut lanes = [lane("same", Dtype::F32, Fault::NotANumber)];
    let error = compare(&plan, &references, &mut lanes, prepared(folder.path())).unwrap_err();
    for part in ["proves nothing", "layer second", "f64"] {
        assert!(error.contains(part), "{error}");
    }
}

/// A column that departs changes nothing for those beside it: the perturbed references are as many.
#[test]
fn what_departs_widens_no_bound() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(Fault::Gradient, false);
    let references = reference(Fault::None);
    let mut lanes = [
        lane("before", Dtype::F32, Fault::None),
        lane("suspect", Dtype::F32, Fault::Gradient),
        lane("after", Dtype::F32, Fault::None),
    ];
    let subject = compare(&plan, &references, &mut lanes, prepared(folder.path())).unwrap();
    let [before, suspect, after] = &subject.results[..] else {
        panic!("three columns")
    };
    let verdict = suspect.agreement.as_ref().unwrap().verdict;
    assert_eq!(verdict, Verdict::Departs);
    assert_eq!(before.agreement, after.agreement);
}

#[test]
fn a_slow_layer_is_found_and_named() {
    let suspect = run(Fault::Slow, true);
    assert_eq!(suspect.agreement.unwrap().verdict, Verdict::Agrees);
    for speed in &suspect.speed {
        let ratio = speed.ratio.as_ref().unwrap();
        assert_eq!(ratio.verdict, Pace::Slower, "{ratio:?}");
        let (layer, share) = ratio.slow_layer.as_ref().unwrap();
        assert_eq!(layer, "second");
        assert!(*share > 0.8, "{share}");
    }
    assert_eq!(suspect.speed.len(), 2);
}

#[test]
fn a_leak_is_found_and_measured() {
    let suspect = run(Fault::Leak, true);
    let growth = suspect.cost.unwrap().leak_bytes_per_step.unwrap();
    // A quarter of a mebibyte a forward pass.
    assert!(
        (0.8..1.3).contains(&(growth / f64::from(256 << 10))),
        "{growth}"
    );
}

#[test]
fn a_crash_is_a_row_with_the_layer() {
    let suspect = run(Fault::Crash, true);
    let failure = suspect.failure.unwrap();
    assert_eq!(
        (failure.kind, failure.during.as_str()),
        (FailureKind::Crash, "forward")
    );
    assert_eq!(failure.layer.as_deref(), Some("second"));
    assert!(failure.message.contains("signal"), "{}", failure.message);
    assert!(suspect.speed.is_empty());
}

#[test]
fn a_hang_is_ended_and_located() {
    let failure = run(Fault::Hang, false).failure.unwrap();
    assert_eq!(
        (failure.kind, failure.during.as_str()),
        (FailureKind::Timeout, "forward")
    );
    assert_eq!(failure.layer.as_deref(), Some("second"));
}

#[test]
fn twenty_runs_of_equal_things_raise_no_alarm() {
    for round in 0..20 {
        let suspect = run(Fault::None, true);
        assert_eq!(suspect.failure, None, "run {round}");
        let agreement = suspect.agreement.unwrap();
        assert_eq!(
            agreement.verdict,
            Verdict::Agrees,
            "run {round}: {agreement:?}"
        );
        assert_eq!(
            suspect.cost.unwrap().leak_bytes_per_step,
            None,
            "run {round}"
        );
        // Not the verdicts on speed: two processes of one program do differ on a machine that is
        // busy with others. What may be called faster or slower is tested in zoo-compare's stats, on
        // times that are made up.
        assert!(suspect.speed.iter().any(|speed| speed.work == Work::Train));
    }
}
