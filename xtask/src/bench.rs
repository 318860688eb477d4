//! `cargo xtask bench peers`: a step of the zoo's models against the same step in PyTorch.
//!
//! The two sides are `crates/zoo/benches/peers.rs` and `peers.py`. Each measurement is a process of
//! its own, and the sides take turns, since a machine's speed drifts: a ratio is taken within a
//! round. Both print the first and the last loss, so that they are known to have done the same.

mod pairs;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use self::pairs::{LIMIT, Measured, Pairs};
use crate::Failure;
use crate::cargo::{cannot_start, cargo, line, output, root};

const MODES: [&str; 3] = ["train", "infer1", "infer64"];

/// What both sides know by a name.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Model {
    name: &'static str,
    /// Steps to time in each mode: about a second's work.
    steps: [usize; 3],
    /// How far apart the losses of the last training step may be; see [`Pairs::last_within`].
    last_within: f64,
}

const MODELS: &[Model] = &[
    Model {
        name: "mlp",
        steps: [1000, 20_000, 5000],
        last_within: LIMIT,
    },
    Model {
        name: "cnn",
        steps: [20, 1000, 30],
        last_within: LIMIT,
    },
    Model {
        name: "resnet",
        steps: [20, 1000, 30],
        // Adam divides a gradient by its own size, so that one within rounding of zero moves its
        // weight by the full rate, either way. Batch norms pass that on to all: after these steps
        // PyTorch in float32 is 3e-4 from PyTorch in float64, and 5e-4 with another memory format.
        last_within: 2e-3,
    },
    Model {
        name: "gpt",
        steps: [15, 400, 15],
        last_within: LIMIT,
    },
];

const HELP: &str = "\
Usage: cargo xtask bench peers --python PYTHON [OPTIONS]

Times a step of the zoo's models on flex and the same step in PyTorch, in turns, each in a process
of its own, and compares times, peak memory and losses. All of it takes about a quarter of an hour,
in which the machine should do nothing else: with a thread for every core, each side waits for the
core that another program uses.

  --python PYTHON    a Python with PyTorch, as in venv/bin/python
  --rounds N         pairs of measurements (default 5)
  --models NAME,…    of mlp, cnn, resnet, gpt (default: all)
  --modes NAME,…     of train, infer1, infer64 (default: all)
  --threads N,…      sizes of the thread pool (default 1,2)
  --json FILE        write every measurement there, after each group of rows
";

/// `cargo xtask bench`
pub(crate) fn command(args: lexopt::Parser) -> Result<(), Failure> {
    let Some(request) = Request::parse(args)? else {
        print!("{HELP}");
        return Ok(());
    };
    let pytorch = pytorch_version(&request.python)?;
    let zoo = build()?;
    let script = root().join("crates/zoo/benches/peers.py");
    eprintln!(
        "zoo on flex against PyTorch {pytorch}, {} rounds; a ratio below 1 is in the zoo's favour",
        request.rounds
    );

    println!("{}", pairs::header());
    let mut all: Vec<Pairs> = Vec::new();
    for model in &request.models {
        for &mode in &request.modes {
            let new = |&threads| Pairs {
                model: model.name,
                mode: MODES[mode],
                steps: model.steps[mode],
                threads,
                // Nothing adds up in inference.
                last_within: if MODES[mode] == "train" {
                    model.last_within
                } else {
                    LIMIT
                },
                rounds: Vec::new(),
            };
            let mut group: Vec<Pairs> = request.threads.iter().map(new).collect();
            for round in 0..request.rounds {
                measure_round(&mut group, round, &request.python, &script, &zoo)?;
            }
            for pairs in &group {
                println!("{}", pairs.row());
            }
            all.append(&mut group);
            if let Some(file) = &request.json {
                write(file, &report(&all, &pytorch, request.rounds))?;
            }
        }
    }
    print!("{}", pairs::gains(&all));
    verdict(&all)
}

/// What the command line asks for.
#[derive(Debug)]
struct Request {
    python: OsString,
    rounds: usize,
    models: Vec<Model>,
    /// Indices into [`MODES`].
    modes: Vec<usize>,
    threads: Vec<usize>,
    json: Option<PathBuf>,
}

impl Request {
    /// `None` where help is asked for.
    fn parse(mut args: lexopt::Parser) -> Result<Option<Self>, Failure> {
        let mut what = None;
        let mut python = None;
        let mut request = Self {
            python: OsString::new(),
            rounds: 5,
            models: MODELS.to_vec(),
            modes: (0..MODES.len()).collect(),
            threads: vec![1, 2],
            json: None,
        };
        while let Some(arg) = args.next().map_err(refused)? {
            match arg {
                lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(None),
                lexopt::Arg::Long("python") => python = Some(args.value().map_err(refused)?),
                lexopt::Arg::Long("rounds") => {
                    request.rounds = positive("--rounds", &text(&mut args)?)?;
                }
                lexopt::Arg::Long("models") => {
                    let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
                    let chosen = choose("--models", &text(&mut args)?, &names)?;
                    request.models = chosen.into_iter().map(|index| MODELS[index]).collect();
                }
                lexopt::Arg::Long("modes") => {
                    request.modes = choose("--modes", &text(&mut args)?, &MODES)?;
                }
                lexopt::Arg::Long("threads") => {
                    let numbers = text(&mut args)?;
                    let numbers = numbers.split(',').map(|word| positive("--threads", word));
                    request.threads = numbers.collect::<Result<_, _>>()?;
                    request.threads.sort_unstable();
                    request.threads.dedup();
                }
                lexopt::Arg::Long("json") => {
                    request.json = Some(args.value().map_err(refused)?.into());
                }
                lexopt::Arg::Value(word) if what.is_none() => what = Some(word),
                other => return Err(refused(other.unexpected())),
            }
        }
        match what {
            Some(what) if what == "peers" => {}
            Some(what) => {
                let what = what.to_string_lossy();
                return Err(refused(format!("no benchmark `{what}`; there is: peers")));
            }
            None => return Err(refused("name a benchmark: peers")),
        }
        request.python =
            python.ok_or_else(|| refused("--python is missing: which Python has PyTorch?"))?;
        if let Some(file) = &request.json {
            check_place(file)?;
        }
        Ok(Some(request))
    }
}

fn refused(problem: impl ToString) -> Failure {
    Failure::Request(format!("{}\n\n{HELP}", problem.to_string()))
}

fn text(args: &mut lexopt::Parser) -> Result<String, Failure> {
    let value = args.value().map_err(refused)?;
    Ok(value.to_string_lossy().into_owned())
}

fn positive(option: &str, word: &str) -> Result<usize, Failure> {
    let number = word.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| refused(format!("{option} {word}: must be a whole number above 0")))
}

/// The indices of `words`, which commas separate, among the `known` names; each once.
fn choose(option: &str, words: &str, known: &[&str]) -> Result<Vec<usize>, Failure> {
    let mut chosen = Vec::new();
    for word in words.split(',').map(str::trim) {
        let index = known.iter().position(|name| *name == word);
        let index = index.ok_or_else(|| {
            let known = known.join(", ");
            refused(format!("{option} {word}: there are {known}"))
        })?;
        if !chosen.contains(&index) {
            chosen.push(index);
        }
    }
    Ok(chosen)
}

/// A quarter of an hour later would be too late to learn that there is no such folder.
fn check_place(file: &Path) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let problem = match folder {
        Some(folder) if !folder.is_dir() => "its folder does not exist",
        _ if file.is_dir() => "is a folder; name a file",
        _ => return Ok(()),
    };
    let file = file.display();
    Err(Failure::Request(format!("--json {file}: {problem}")))
}

/// The version of PyTorch that `python` has.
fn pytorch_version(python: &OsString) -> Result<String, Failure> {
    let shown = python.to_string_lossy();
    let answer = Command::new(python)
        .args(["-c", "import torch; print(torch.__version__)"])
        // Not a torch.py of the folder that this runs in.
        .env("PYTHONSAFEPATH", "1")
        .output();
    let answer = answer.map_err(|error| {
        Failure::Request(format!(
            "--python {shown}: cannot start it: {error}; name a Python 3 that has PyTorch. \
             `python3 -m venv venv && venv/bin/pip install torch` makes one: venv/bin/python"
        ))
    })?;
    if answer.status.success() {
        return Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned());
    }
    let complaint = String::from_utf8_lossy(&answer.stderr);
    let complaint = complaint.trim().lines().last().unwrap_or("it says nothing");
    Err(Failure::Request(format!(
        "--python {shown}: no PyTorch there: {complaint}; `{shown} -m pip install torch` \
         installs it"
    )))
}

/// Builds the zoo's side, with the backend that `cargo xtask train` has by default, and returns the
/// program.
fn build() -> Result<PathBuf, Failure> {
    let mut command = cargo();
    command
        .args(["build", "--release", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .args(["--package", "zoo", "--bench", "peers"])
        .arg("--message-format=json-render-diagnostics");
    let messages = output(&mut command)?;
    executable(&String::from_utf8_lossy(&messages), "peers").ok_or_else(|| {
        Failure::Work(format!(
            "`{}` names no executable among its artifacts",
            line(&command)
        ))
    })
}

/// The program of a target, as cargo's messages name it.
pub(crate) fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|message| serde_json::from_str::<Value>(message).ok())
        .filter(|message| message["target"]["name"] == target)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// One more pair for each number of threads. Who comes first changes from round to round.
fn measure_round(
    group: &mut [Pairs],
    round: usize,
    python: &OsString,
    script: &Path,
    zoo: &Path,
) -> Result<(), Failure> {
    let swapped = round % 2 == 1;
    for turn in 0..group.len() {
        let turn = if swapped {
            group.len() - 1 - turn
        } else {
            turn
        };
        let pairs = &mut group[turn];
        let zoo = |pairs: &Pairs| measure(Command::new(zoo).args(pairs.arguments()));
        let pytorch =
            |pairs: &Pairs| measure(Command::new(python).arg(script).args(pairs.arguments()));
        let pair = if swapped {
            let second = pytorch(pairs)?;
            [zoo(pairs)?, second]
        } else {
            [zoo(pairs)?, pytorch(pairs)?]
        };
        pairs.rounds.push(pair);
    }
    Ok(())
}

/// Runs one side and reads the line that it prints.
fn measure(command: &mut Command) -> Result<Measured, Failure> {
    let answer = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    if !answer.status.success() {
        return Err(Failure::Work(format!(
            "`{}` failed: {}",
            line(command),
            answer.status
        )));
    }
    let text = String::from_utf8_lossy(&answer.stdout);
    Measured::parse(&text).ok_or_else(|| {
        Failure::Work(format!(
            "`{}` printed no measurement, but: {}",
            line(command),
            text.trim()
        ))
    })
}

fn report(all: &[Pairs], pytorch: &str, rounds: usize) -> Value {
    json!({
        "schema": "zoo-bench-peers",
        "version": 1,
        "pytorch": pytorch,
        "rounds": rounds,
        "rows": all.iter().map(Pairs::json).collect::<Vec<_>>(),
    })
}

/// Who interrupts has the file as it was after some group.
fn write(file: &Path, report: &Value) -> Result<(), Failure> {
    zoo_files::write(file, format!("{report:#}\n").as_bytes())
        .map_err(|error| Failure::Work(format!("{}: {error}", file.display())))
}

/// Times of different work are not compared.
fn verdict(all: &[Pairs]) -> Result<(), Failure> {
    let faults: Vec<String> = all.iter().filter_map(Pairs::disagreement).collect();
    if faults.is_empty() {
        let worst = all.iter().flat_map(Pairs::apart).fold(0.0, f64::max);
        println!(
            "\nBoth sides computed the same: losses and logits are at most {worst:.0e} apart."
        );
        return Ok(());
    }
    Err(Failure::Work(format!(
        "the two sides did not compute the same, so their times mean nothing:\n  {}",
        faults.join("\n  ")
    )))
}

#[cfg(test)]
mod tests;
