//! `cargo xtask COMMAND`: what users and developers of Burn Zoo type.
//!
//! User commands go to the `zoo` binary, built with just the backends that they name; the others
//! test and check this workspace. Links neither Burn nor any crate of ours, so it builds in
//! seconds, and the first CPU training compiles no GPU stack.

/// The standard library's own panics where nothing can be written.
macro_rules! print {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*)) };
}

/// As `print`.
macro_rules! println {
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// As `print`.
macro_rules! eprint {
    ($($text:tt)*) => { $crate::output::say(format_args!($($text)*)) };
}

/// As `print`.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::say(format_args!("{}\n", format_args!($($text)*))) };
}

mod bench;
mod cargo;
mod files;
mod forward;
mod imports;
mod metadata;
mod new;
mod output;
mod recipes;
mod record;
mod results;
mod steps;
mod tables;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::exit;

use zoo_print::DidYouMean;

/// Why a command did not succeed.
#[derive(Debug)]
enum Failure {
    /// The request was wrong (exit status 2).
    Request(String),
    /// The work failed (exit status 1).
    Work(String),
}

/// One row of the table of commands: the parser, the help and the checks of our pages read it.
struct Command {
    name: &'static str,
    /// What may follow the name, as shown in the help.
    arguments: &'static str,
    about: &'static str,
    action: Action,
}

enum Action {
    /// The `zoo` binary does it.
    Forward,
    /// xtask does it, given the arguments after the name.
    Own(fn(lexopt::Parser) -> Result<(), Failure>),
}

const COMMANDS: &[Command] = &[
    Command {
        name: "train",
        arguments: "[RECIPE] [--backend NAME | --devices NAME,NAME]",
        about: "train a model (default: a small classifier on built-in digits)",
        action: Action::Forward,
    },
    Command {
        name: "eval",
        arguments: "RUN",
        about: "measure a trained model",
        action: Action::Forward,
    },
    Command {
        name: "predict",
        arguments: "RUN INPUT…",
        about: "run a trained model on inputs",
        action: Action::Forward,
    },
    Command {
        name: "sample",
        arguments: "RUN [--prompt TEXT]",
        about: "let a trained decoder write",
        action: Action::Forward,
    },
    Command {
        name: "import",
        arguments: "DIR",
        about: "make a run of a folder from the Hugging Face hub",
        action: Action::Forward,
    },
    Command {
        name: "export",
        arguments: "RUN [--format safetensors|hf]",
        about: "write a run's model for PyTorch",
        action: Action::Forward,
    },
    Command {
        name: "parity",
        arguments: "PRESET --python PYTHON",
        about: "hold a model at full size against its origin's own code",
        action: Action::Forward,
    },
    Command {
        name: "compare",
        arguments: "[RECIPE…] --backends NAME,NAME",
        about: "do backends agree, and what does each cost?",
        action: Action::Forward,
    },
    Command {
        name: "runs",
        arguments: "[DIR] | diff A B",
        about: "list runs, or say how two differ",
        action: Action::Forward,
    },
    Command {
        name: "watch",
        arguments: "RUN",
        about: "follow a run in the browser",
        action: Action::Forward,
    },
    Command {
        name: "report",
        arguments: "RUN",
        about: "write a run's report.html anew",
        action: Action::Forward,
    },
    Command {
        name: "list",
        arguments: "[KIND]",
        about: "models, recipes, datasets, backends",
        action: Action::Forward,
    },
    Command {
        name: "show",
        arguments: "MODEL",
        about: "layers, shapes, parameters, multiply-adds",
        action: Action::Forward,
    },
    Command {
        name: "data",
        arguments: "list|fetch|verify [NAME]",
        about: "data sets: what there is, downloads, checks",
        action: Action::Forward,
    },
    Command {
        name: "weights",
        arguments: "list|fetch|verify [NAME]",
        about: "public pretrained weights: what there is, downloads, checks",
        action: Action::Forward,
    },
    Command {
        name: "doctor",
        arguments: "",
        about: "try every backend and say what is missing",
        action: Action::Forward,
    },
    Command {
        name: "serve-device",
        arguments: "--backend NAME",
        about: "lend this machine's device to --backend remote:… of others",
        action: Action::Forward,
    },
    Command {
        name: "new",
        arguments: "model|dataset|task NAME",
        about: "write the start of one, which trains and passes the sweep, and register it",
        action: Action::Own(new::command),
    },
    Command {
        name: "test",
        arguments: "[--wgpu]",
        about: "every test on the CPU backends; with --wgpu on that one too",
        action: Action::Own(steps::test),
    },
    Command {
        name: "tidy",
        arguments: "",
        about: "house rules: who may import whom, clean files, true pages and results",
        action: Action::Own(steps::tidy),
    },
    Command {
        name: "results",
        arguments: "RECIPE… | --all | --render",
        about: "train recipes, record the runs, write the tables of results",
        action: Action::Own(results::command),
    },
    Command {
        name: "bench",
        arguments: "peers --python PYTHON",
        about: "every recipe and architecture against PyTorch: time, memory, losses",
        action: Action::Own(bench::command),
    },
    Command {
        name: "bless",
        arguments: "",
        about: "take the losses of the golden runs as they are now",
        action: Action::Own(steps::bless),
    },
    Command {
        name: "ci",
        arguments: "",
        about: "format, tidy, clippy, rustdoc and tests, as CI runs them",
        action: Action::Own(steps::ci),
    },
];

fn main() {
    exit(match run(std::env::args_os().skip(1)) {
        Ok(status) => status,
        Err(Failure::Work(message)) => {
            eprintln!("xtask: {message}");
            1
        }
        Err(Failure::Request(message)) => {
            eprintln!("xtask: {message}");
            2
        }
    });
}

/// Runs the command that `args` names and returns the exit status.
fn run(mut args: impl Iterator<Item = OsString>) -> Result<i32, Failure> {
    let Some(name) = args.next() else {
        return Err(Failure::Request(format!("name a command\n\n{}", help())));
    };
    let name = name.to_string_lossy();
    if matches!(name.as_ref(), "help" | "--help" | "-h") {
        print!("{}", help());
        return Ok(0);
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(Failure::Request(unknown(&name)));
    };
    match command.action {
        Action::Forward => forward::run(command.name, args.collect()),
        Action::Own(work) => work(lexopt::Parser::from_args(args)).map(|()| 0),
    }
}

fn unknown(name: &str) -> String {
    let known = COMMANDS.iter().map(|command| command.name);
    let nearest = DidYouMean(zoo_print::nearest(name, known));
    format!("unknown command `{name}`{nearest}\n`cargo xtask help` lists the commands")
}

fn help() -> String {
    let left = |command: &Command| format!("{} {}", command.name, command.arguments);
    let width = COMMANDS
        .iter()
        .map(|command| left(command).chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::from("Usage: cargo xtask COMMAND [ARGUMENTS]\n");
    let mut section = |title: &str, forwarded: bool| {
        let _ = writeln!(text, "\n{title}");
        for command in COMMANDS {
            if matches!(command.action, Action::Forward) == forwarded {
                let _ = writeln!(text, "  {:width$}  {}", left(command), command.about);
            }
        }
    };
    section(
        "Models and data (`cargo xtask COMMAND --help` says more; the first build takes minutes):",
        true,
    );
    section("This workspace:", false);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_nonsense_is_not() {
        assert!(unknown("trian").contains("did you mean train?"));
        assert!(unknown("dcotor").contains("did you mean doctor?"));
        assert!(!unknown("photosynthesis").contains("did you mean"));
    }

    #[test]
    fn help_shows_every_command_once() {
        let help = help();
        for command in COMMANDS {
            let start = format!("  {} ", command.name);
            let rows = help.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(rows, 1, "{}", command.name);
        }
    }

    #[test]
    fn wrong_requests_are_told_apart_from_failed_work() {
        for request in [
            vec!["nosuch"],
            vec![],
            vec!["tidy", "--fast"],
            vec!["ci", "now"],
            vec!["bench"],
        ] {
            let outcome = run(request.iter().map(OsString::from));
            assert!(matches!(outcome, Err(Failure::Request(_))), "{request:?}");
        }
        assert!(matches!(run([OsString::from("--help")].into_iter()), Ok(0)));
    }
}
