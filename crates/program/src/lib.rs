//! The program: every command, for the models and data sets whose rows it is given.
//!
//! A program of one's own is a table of rows and a `main`: [`Zoo`] holds the rows, and [`run`] does what
//! the command line asks for. `examples/own-task` is one.

/// The standard library's own panics where nothing can be written; [`output`] remembers it, and
/// what is being done is done.
macro_rules! print {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*)) };
}

/// As `print`.
macro_rules! println {
    () => { $crate::output::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// The standard library's own panics where a terminal was closed, and so would end a training because
/// its messages have no reader.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::note(format_args!("{}\n", format_args!($($text)*))) };
}

mod backends;
mod bar;
mod cli;
mod clock;
mod compare;
mod config;
pub mod data;
mod datasets;
pub mod devices;
mod doctor;
pub mod error;
mod eval;
mod exchange;
pub mod fitting;
mod hub;
pub mod insight;
pub mod language;
mod list;
mod originals;
mod output;
mod parity;
mod parts;
mod paths;
mod place;
mod predict;
pub mod pretrained;
mod progress;
pub mod recipes;
pub mod registry;
mod remote;
mod resume;
mod rows;
mod run_state;
mod runs;
mod sample;
mod saved;
mod serve;
mod show;
mod sink;
mod sources;
mod summary;
mod trace;
mod train;
mod worker;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::ffi::OsString;
use std::panic::PanicHookInfo;

use clap::Parser;
use cli::{Cli, Command};
pub use config::{CONFIG_FILE, Config};
pub use error::Error;
pub use rows::{Named, Zoo};
pub use saved::{Saved, of_origin};
pub use summary::{Summary, SummaryError};
pub use trace::layer_outputs;

/// Runs the program on the process's own arguments, says what the user or the work did wrong, or that
/// the answer could not be printed, and returns the exit status. `has_stdout` is false where standard
/// output was closed, or could not be written, when the process began.
pub fn run(zoo: &Zoo, has_stdout: bool) -> u8 {
    std::panic::set_hook(Box::new(say_panic));
    if !has_stdout {
        output::close();
    }
    let done = match Cli::try_parse() {
        Ok(cli) => command(zoo, cli.command),
        Err(wrong) if wrong.use_stderr() => return refuse(&wrong),
        Err(help) => {
            output::attempt(|| help.print());
            Ok(())
        }
    };
    match done.and_then(|()| output::finish()) {
        Ok(()) => 0,
        Err(error) => {
            parts::add_what_is_missing(&error);
            eprintln!("error: {error}");
            error.status()
        }
    }
}

/// Says what is wrong with a command line, in clap's colours, unless it quotes what would act on the
/// terminal, such as the name of a file.
fn refuse(wrong: &clap::Error) -> u8 {
    let acts = |argument: OsString| argument.to_string_lossy().contains(output::acts);
    if std::env::args_os().any(acts) {
        eprintln!("{}", wrong.render().to_string().trim_end());
    } else {
        // Where nobody reads it, the status says it.
        let _ = wrong.print();
    }
    2
}

/// As the standard library's own hook does, whose words would leave by another door.
fn say_panic(panic: &PanicHookInfo<'_>) {
    eprintln!("{panic}");
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        eprintln!("{trace}");
    }
}

/// Does what computes with a trained model. A panic is how Burn says that a device failed.
fn computing(work: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    devices::catch_panic(work).unwrap_or_else(|message| {
        Err(Error::Failed(match zoo_train::out_of_memory(&message) {
            true => format!(
                "the device has too little memory: {message}; take another --backend, or a smaller model"
            ),
            false => format!("computing broke off: {message}"),
        }))
    })
}

fn command(zoo: &Zoo, command: Command) -> Result<(), Error> {
    match command {
        Command::Train(args) => train::run(zoo, &args),
        Command::Runs(args) => runs::list(&args),
        Command::Report(args) => runs::report(&args),
        Command::Watch(args) => runs::watch(&args),
        Command::Eval(args) => eval::run(zoo, &args),
        Command::Predict(args) => computing(|| predict::run(zoo, &args)),
        Command::Sample(args) => computing(|| sample::run(zoo, &args)),
        Command::Import(args) => exchange::import(zoo, &args),
        Command::Export(args) => exchange::export(zoo, &args),
        Command::Parity(args) => parity::run(zoo, &args),
        Command::List(args) => list::run(zoo, &args),
        Command::Show(args) => show::run(zoo, &args),
        Command::Data(args) => datasets::run(zoo, &args),
        Command::Weights(args) => pretrained::run(zoo, &args),
        Command::Doctor(args) => examine(args.json),
        Command::Compare(args) => compare::run(zoo, &args),
        Command::CompareWorker(args) => worker::run(zoo, &args),
        Command::ServeDevice(args) => serve::run(&args),
    }
}

/// `zoo doctor`, with the data directory added to what the machine tells.
fn examine(json: bool) -> Result<(), Error> {
    let directory = data::directory(None)?;
    let there = if directory.is_dir() {
        ""
    } else {
        " (not there yet)"
    };
    let more = [(
        "data directory".to_owned(),
        format!("{}{there}", directory.display()),
    )];
    let mut answer = Vec::new();
    let works = doctor::doctor(json, more.into(), &mut answer).map_err(Error::failed)?;
    print!("{}", String::from_utf8_lossy(&answer));
    if works {
        Ok(())
    } else {
        Err(Error::failed(
            "the default backend does not work; see above",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_fails_in_an_answer_is_work_that_failed() {
        for (panic, told) in [
            ("out of memory allocating 9 bytes", "too little memory"),
            ("the driver is lost", "broke off"),
        ] {
            let error = computing(|| panic!("{panic}")).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.status(), 1);
            assert!(text.contains(told) && text.contains(panic), "{text}");
        }
    }
}
