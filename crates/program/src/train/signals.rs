//! Signals that ask a training to stop.

#[cfg(unix)]
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::Error;

/// What asks a run to stop: Ctrl-C, `kill`, and a terminal that was closed, unless the process was
/// started to outlive that, by `nohup`.
fn stop_signals() -> Vec<i32> {
    #[cfg(unix)]
    if !ignores_hangup() {
        return vec![SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
    }
    vec![SIGINT, SIGTERM]
}

/// Whether the signal is ignored, as Linux tells it: bit 0 of a mask.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// A flag that [`stop_signals`] set; the second of them ends the process at once.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in stop_signals() {
        flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()))
            .map_err(|error| Error::Failed(format!("cannot wait for signals: {error}")))?;
    }
    // A step can take a while: that the signal was heard is said at once.
    let heard = stop.clone();
    std::thread::spawn(move || {
        while !heard.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
        eprintln!("\nfinishing the step and writing a checkpoint; once more ends at once");
    });
    Ok(stop)
}
