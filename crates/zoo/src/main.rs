//! The `zoo` program.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Burn allocates every intermediate tensor anew; the system's allocator gives their pages back to
/// the kernel and faults them in again, which takes 15-25 % of a CPU training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whether standard output was closed (`zoo list >&-`) or cannot be written (`zoo list 1<file`). Before
/// `main`, Rust opens `/dev/null` in place of one that is closed, and nothing tells the two apart any
/// more; of one that cannot be written it hides the error.
static NO_STDOUT: AtomicBool = AtomicBool::new(false);

#[cfg(unix)]
#[ctor::ctor(unsafe)]
fn look_at_stdout() {
    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::Errno;
    let unwritable = match fcntl_getfl(std::io::stdout()) {
        Ok(flags) => flags.intersection(OFlags::ACCMODE) == OFlags::RDONLY,
        Err(error) => error == Errno::BADF,
    };
    NO_STDOUT.store(unwritable, Ordering::Relaxed);
}

fn main() -> ExitCode {
    keep_pages();
    compute_on_this_thread();
    ExitCode::from(zoo_program::run(
        &zoo::ZOO,
        !NO_STDOUT.load(Ordering::Relaxed),
    ))
}

/// Lets the allocator keep free pages for half a minute instead of a second: of a step that takes a good part
/// of a second, up to a fifth is spent on having pages back that the step before has given away.
/// `MIMALLOC_PURGE_DELAY` in the environment says otherwise.
#[expect(unsafe_code, reason = "the allocator's options are functions in C")]
fn keep_pages() {
    use std::ffi::{c_int, c_long};
    unsafe extern "C" {
        fn mi_option_set_default(option: c_int, value: c_long);
    }
    /// `mi_option_purge_delay` of mimalloc.h, in milliseconds.
    const PURGE_DELAY: c_int = 15;
    // SAFETY: mimalloc is linked in, it is what allocates; any integer is a value of this option.
    unsafe { mi_option_set_default(PURGE_DELAY, 30_000) }
}

/// More threads than any machine has cores for; each takes memory.
const MOST_THREADS: usize = 4096;

/// Makes this thread one of the pool's, where there are others: handing work to a pool that one is
/// not part of means waiting for two threads to wake, at every operation.
fn compute_on_this_thread() {
    let asked = std::env::var("RAYON_NUM_THREADS").ok();
    let threads = match asked.and_then(|threads| threads.parse::<usize>().ok()) {
        Some(threads) if threads > 0 => threads.min(MOST_THREADS),
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    };
    // A pool of this thread alone would keep other threads waiting for it.
    if threads > 1 {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        // It fails only where there is a pool already, and that one does as well.
        let _ = pool.use_current_thread().build_global();
    }
}
