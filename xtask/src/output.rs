//! Standard output, which may be full or read by nobody any more, where Rust's own macros panic.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;

/// Prints, or ends the program: quietly and with status 0 where the reader has seen enough and gone
/// (`cargo xtask help | head -1`), else with status 1.
pub(crate) fn print(text: Arguments<'_>) {
    let mut out = stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(error) => {
            say(format_args!(
                "xtask: cannot write to standard output: {error}\n"
            ));
            exit(1);
        }
    }
}

/// Prints to standard error, where somebody reads that.
pub(crate) fn say(text: Arguments<'_>) {
    let _ = stderr().write_fmt(text);
}
