//! Starting cargo from a program that cargo started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Failure;

/// The workspace root.
pub(crate) fn root() -> PathBuf {
    // `cargo run` says where the package lies now; without it, where it lay when it was built.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    Path::new(&package)
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

/// The cargo that started this program, or the one on the path.
///
/// What cargo told this program about its own package is taken out of the environment: build
/// scripts that watch it (ring's does) would otherwise run anew after every call without xtask.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name.starts_with("CARGO_BIN_")
        });
        if told {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `command` with our own stdin, stdout and stderr; anything but success is a failure.
pub(crate) fn succeed(command: &mut Command) -> Result<(), Failure> {
    let status = command
        .status()
        .map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Work(format!(
        "`{}` failed: {status}",
        line(command)
    )))
}

/// Runs `command` and returns what it printed on stdout; stderr is ours.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Failure> {
    command.stderr(std::process::Stdio::inherit());
    let output = command
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Failure::Work(format!(
        "`{}` failed: {}",
        line(command),
        output.status
    )))
}

/// The program of a target, as cargo's messages name it.
pub(crate) fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|message| serde_json::from_str::<Value>(message).ok())
        .filter(|message| message["target"]["name"] == target)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// The error for a program that did not start at all.
pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    Failure::Work(format!(
        "cannot start {program}: {error}; is it installed and on the PATH?"
    ))
}

/// The command line of `command`, for people: the program without its folder.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_stem()
        .unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
