//! Standard output, which may be full, closed, or read by nobody any more.
//!
//! What cannot be printed is no reason to stop what is being done, so printing never fails; the
//! first failure is remembered and is the command's error in the end. A reader that has seen enough
//! and gone (`zoo list | head -1`) is none: the rest is not printed, quietly, as by other programs.

use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;

enum State {
    Open,
    /// Nobody reads any more.
    Gone,
    Failed(String),
}

static STATE: Mutex<State> = Mutex::new(State::Open);

/// Standard output, of which nothing fails: see [`finish`].
pub struct Out;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        attempt(|| io::stdout().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        attempt(|| io::stdout().flush());
        Ok(())
    }
}

/// Prints by `print`, unless printing has failed before.
pub fn attempt(print: impl FnOnce() -> io::Result<()>) {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if !matches!(*state, State::Open) {
        return;
    }
    match print() {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => *state = State::Gone,
        Err(error) => *state = State::Failed(error.to_string()),
    }
}

/// Notes that there is no standard output. Rust's own would swallow all that is written to it.
pub fn close() {
    *STATE.lock().unwrap_or_else(PoisonError::into_inner) = State::Failed("it is closed".into());
}

/// Whether anything that is printed now would be seen, as far as is known.
pub fn is_open() -> bool {
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    matches!(*state, State::Open)
}

/// Brings to the reader what was printed so far.
///
/// # Errors
/// What kept something from being printed, now or before; a reader that went away is no error.
pub fn finish() -> Result<(), Error> {
    attempt(|| io::stdout().flush());
    match &*STATE.lock().unwrap_or_else(PoisonError::into_inner) {
        State::Failed(why) => Err(Error::Failed(format!(
            "cannot write to standard output: {why}"
        ))),
        State::Open | State::Gone => Ok(()),
    }
}
