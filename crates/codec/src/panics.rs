//! Readers of others that panic on some files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many [`catch_panic`]s are under way.
static QUIET: AtomicUsize = AtomicUsize::new(0);

/// Runs `work`; a panic becomes an error instead of a backtrace on stderr.
///
/// Some libraries panic where they should return an error, partly on threads of their own, so while
/// `work` runs no thread of the process prints a panic.
///
/// # Errors
/// What `work` panicked with.
pub fn catch_panic<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.load(Ordering::SeqCst) == 0 {
                loud(info);
            }
        }));
    });
    QUIET.fetch_add(1, Ordering::SeqCst);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.fetch_sub(1, Ordering::SeqCst);
    result
}
