//! `zoo parity PRESET --python PYTHON`: a preset at full size against its origin's own code, with the
//! same random weights: the largest differences, and both speeds.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde_json::{Value as Json, json};
use toml::{Table, Value};
use zoo_tasks::Size;
use zoo_train::rng::Stream;
use zoo_weights::golden::{Distance, Golden};

use crate::cli::ParityArgs;
use crate::devices;
use crate::error::Error;
use crate::hub;
use crate::originals;
use crate::progress::print_json;
use crate::registry::Model;
use crate::rows::Zoo;
use crate::summary::grouped;

/// The script that asks the origin's model.
const SCRIPT: &str = include_str!("parity.py");

/// The largest difference of an output that passes, in shares of the largest output. In single
/// precision, 150 layers are off by half of that; that the functions are the same is told by the
/// gradients, in double.
const BOUND: f64 = 1e-3;

/// The largest difference of a gradient that passes, of its tensor's largest element, in double
/// precision: the origin's are kept in single, and its constants may be.
const GRADIENT_BOUND: f64 = 1e-5;

/// Timed passes of each, in turns.
const ROUNDS: usize = 5;

/// Tokens of a sequence, at most.
const TOKENS: usize = 128;

/// Compares, and prints what it found.
pub fn run(zoo: &Zoo, args: &ParityArgs) -> Result<(), Error> {
    if args.batch == 0 {
        return Err(Error::request("--batch 0: must be 1 or more"));
    }
    let (entry, preset) = zoo.model(&args.model).map_err(Error::Request)?;
    let model = entry
        .configure(preset, &Table::new(), &Table::new())
        .map_err(Error::Request)?;
    let config = config(&*model, preset)?;
    let model = model.without_chance().map_err(Error::Request)?;
    let selected = devices::open(args.backend.as_deref().unwrap_or(devices::default_name()))
        .map_err(Error::request)?;

    // It goes when it is no longer needed.
    let folder = tempfile::tempdir().map_err(Error::failed)?;
    let script = folder.path().join("parity.py");
    zoo_files::write(&script, SCRIPT.as_bytes()).map_err(Error::failed)?;
    let imported = folder.path().join(originals::FILE);
    zoo_files::write(&imported, originals::SCRIPT.as_bytes()).map_err(Error::failed)?;
    let mut origin = Origin::start(Command::new(&args.python).arg(&script))?;
    let shape = shape(&*model, args.batch)?;
    // In single precision, rounding switches a few ReLUs of a network of full size, and gradients
    // jump: they are compared in double, where the backend has it.
    let double = selected.kind == devices::Kind::Cpu;
    let said = origin.ask(&json!({
        "folder": folder.path(), "config": config, "input": shape,
        "vocabulary": vocabulary(&*model), "train": !args.no_gradients, "double": double,
    }))?;
    let library = said["library"].as_str().unwrap_or_default().to_owned();

    let path = folder.path().join("golden.safetensors");
    let golden = Golden::open(&path)?;
    let distance = model.against(&golden, &selected.device, !args.no_gradients)?;
    let ready = model.fresh(1, &selected.device)?;
    let input = model.batch_of(golden.inputs()?);
    let [ours, theirs] = speeds(&mut origin, &|| drop(ready.output(input.clone())))?;

    let parameters = model.parameters();
    if args.json {
        print_json(&json!({
            "preset": preset, "origin": library, "backend": selected.backend.name, "input": shape,
            "parameters": parameters, "origin_parameters": said["parameters"],
            "output": distance.output,
            "gradient": distance.gradient.as_ref().map(|(distance, _)| distance),
            "gradient_in": if double { "float64" } else { "float32" },
            "gradient_of": distance.gradient.as_ref().map(|(_, name)| name),
            "loss": distance.loss, "seconds": ours, "origin_seconds": theirs,
        }));
    } else {
        print(
            preset,
            &library,
            &shape,
            parameters,
            (&distance, double),
            [ours, theirs],
        );
    }
    if said["parameters"].as_u64() != Some(parameters as u64) {
        return Err(Error::Failed(format!(
            "{preset} has {parameters} parameters, {library} {}",
            said["parameters"]
        )));
    }
    let within = |distance: f64, bound: f64| distance <= bound; // what is not a number is not
    if !within(distance.output, BOUND) {
        return Err(Error::Failed(format!(
            "the output is {:.1e} from {library}'s; {BOUND:.0e} is allowed",
            distance.output
        )));
    }
    match &distance.gradient {
        Some((gradient, name)) if double && !within(*gradient, GRADIENT_BOUND) => {
            Err(Error::Failed(format!(
                "the gradient of {name} is {gradient:.1e} from {library}'s; {GRADIENT_BOUND:.0e} is \
                 allowed"
            )))
        }
        _ => Ok(()),
    }
}

fn print(
    preset: &str,
    library: &str,
    shape: &[usize],
    parameters: usize,
    (distance, double): (&Distance, bool),
    [ours, theirs]: [f64; 2],
) {
    println!(
        "{preset} against {library}, input {shape:?}, {} parameters",
        grouped(parameters as u64)
    );
    println!("output    {:.1e} of its largest value", distance.output);
    if let Some((gradient, name)) = &distance.gradient {
        let precision = if double { "double" } else { "single" };
        println!(
            "gradients {gradient:.1e} of the tensor's largest, in {name}, in {precision} precision"
        );
    }
    if let Some(loss) = distance.loss {
        println!("loss      {loss:.1e} nats");
    }
    println!(
        "a pass    {:.1} ms here, {:.1} ms there: ratio {:.2}",
        ours * 1e3,
        theirs * 1e3,
        ours / theirs
    );
}

/// The configuration that the script understands.
fn config(model: &dyn Model, preset: &str) -> Result<Json, Error> {
    let Some(library) = model.library() else {
        return Err(Error::Request(format!(
            "{preset} has no original in a library of PyTorch: there is nothing to run it against"
        )));
    };
    let mut config = hub::write(model, None).map_err(Error::Request)?;
    config["library"] = json!(library);
    Ok(config)
}

fn shape(model: &dyn Model, batch: usize) -> Result<Vec<usize>, Error> {
    let size = Size {
        examples: batch,
        most_side: None,
        most_length: Some(TOKENS),
    };
    let made_up = model.made_up(size, &mut Stream::new(0));
    let input = made_up.column(model.inputs()[0]);
    let shape = input.map(|data| data.shape().to_vec());
    shape.ok_or_else(|| Error::failed("a batch without the model's input"))
}

fn vocabulary(model: &dyn Model) -> Option<i64> {
    model.table().get("vocab_size").and_then(Value::as_integer)
}

/// The median seconds of a pass, ours and the origin's, timed in turns.
fn speeds(origin: &mut Origin, pass: &dyn Fn()) -> Result<[f64; 2], Error> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round of each warms up.
    for round in 0..=ROUNDS {
        let there = origin.ask(&json!({}))?["seconds"]
            .as_f64()
            .unwrap_or(f64::NAN);
        let began = Instant::now();
        pass();
        let here = began.elapsed().as_secs_f64();
        if round > 0 {
            ours.push(here);
            theirs.push(there);
        }
    }
    Ok([ours, theirs].map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    }))
}

/// The script at work.
struct Origin {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Origin {
    fn start(command: &mut Command) -> Result<Self, Error> {
        let name = command.get_program().to_string_lossy().into_owned();
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command
            .spawn()
            .map_err(|error| Error::Request(format!("--python {name}: {error}")))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Error::failed("the script has no pipes"));
        };
        Ok(Self {
            process,
            input,
            output: BufReader::new(output),
        })
    }

    /// Says one line and reads the answer.
    fn ask(&mut self, request: &Json) -> Result<Json, Error> {
        let failed = || {
            Error::failed(
                "the script ended early; its own words are above. It needs torch, safetensors, and \
                 torchvision, timm or transformers",
            )
        };
        writeln!(self.input, "{request}")
            .and_then(|()| self.input.flush())
            .map_err(|_| failed())?;
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(Error::failed)?;
        serde_json::from_str(&line).map_err(|_| failed())
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
