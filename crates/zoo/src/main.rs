//! The `zoo` program.

use std::process::ExitCode;

/// Burn allocates every intermediate tensor anew; the system's allocator gives their pages back to
/// the kernel and faults them in again, which takes 15-25 % of a CPU training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match zoo::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.status())
        }
    }
}
