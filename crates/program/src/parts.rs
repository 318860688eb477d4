//! Parts that a build may leave out, and how `cargo xtask` comes to add them.
//!
//! xtask builds the least that a command line seems to need, and says where it is itself. A command that
//! meets something else hands the same words back to it, with the part's name.

use std::ffi::OsString;
use std::process::Command;

use crate::error::Error;

/// The features of this crate that bring a part, and what is said in its place.
const PARTS: [(&str, &str); 3] = [
    ("fetch", zoo_fetch::NO_NETWORK),
    ("tokenizers", zoo_codec::text::NO_TOKENIZERS),
    ("watch", zoo_report::NO_WATCH),
];

/// The path of the xtask that started this program.
const XTASK: &str = "ZOO_XTASK";

/// The parts that it was asked for, beyond what its arguments name.
const ASKED_FOR: &str = "ZOO_PARTS";

/// Goes on as the same command in a program that has what `error` says is missing. Returns where nothing
/// is, or nobody is there to add it.
pub(crate) fn add_what_is_missing(error: &Error) {
    let said = error.to_string();
    let Some((part, _)) = PARTS
        .iter()
        .find(|(_, said_of_it)| said.contains(said_of_it))
    else {
        return;
    };
    let Some(xtask) = std::env::var_os(XTASK) else {
        return;
    };
    let mut parts = std::env::var(ASKED_FOR).unwrap_or_default();
    if parts.split(',').any(|asked_for| asked_for == *part) {
        return;
    }
    if !parts.is_empty() {
        parts.push(',');
    }
    parts += part;
    eprintln!("this needs the part `{part}` of the program, which is built now");
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    become_it(Command::new(xtask).args(arguments).env(ASKED_FOR, parts));
}

/// Replaces this process; returns where that fails.
#[cfg(unix)]
fn become_it(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let _ = command.exec();
}

/// Waits for the program and ends as it does; returns where it does not start.
#[cfg(not(unix))]
fn become_it(command: &mut Command) {
    if let Ok(status) = command.status() {
        std::process::exit(status.code().unwrap_or(1));
    }
}
