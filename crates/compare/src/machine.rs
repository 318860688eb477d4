//! What the machine tells: memory of a process, energy, bandwidth, and what it is.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::report::Environment;

/// The largest resident size that this process has had.
#[must_use]
pub fn peak_resident_bytes() -> Option<u64> {
    status_field("VmHWM")
}

/// The resident size of this process now.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    status_field("VmRSS")
}

/// The machine's memory, or what of it this process's container may use.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let all = kibibytes(&text, "MemTotal")?;
    let allowed = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    // It says `max` where there is no bound.
    let allowed = allowed.and_then(|text| text.trim().parse().ok());
    Some(allowed.map_or(all, |allowed: u64| all.min(allowed)))
}

/// The memory that this process could still take: what is free of the machine's, of its container's,
/// and of the process's own bound (`ulimit -v`).
#[must_use]
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    let free = kibibytes(&machine, "MemAvailable")? + kibibytes(&machine, "SwapFree").unwrap_or(0);
    let number = |path: &str| -> Option<u64> { fs::read_to_string(path).ok()?.trim().parse().ok() };
    let container = number("/sys/fs/cgroup/memory.max")
        .map(|most| most.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let own = limits.lines().find_map(|line| {
        let most = line
            .strip_prefix("Max address space")?
            .split_whitespace()
            .next()?;
        // It says `unlimited` where there is no bound.
        let most: u64 = most.parse().ok()?;
        Some(most.saturating_sub(status_field("VmSize").unwrap_or(0)))
    });
    [Some(free), container, own].into_iter().flatten().min()
}

/// Linux tells; other systems do not without a dependency, and reports then leave memory out.
fn status_field(field: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    kibibytes(&text, field)
}

fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let number = line.trim().strip_suffix("kB")?.trim();
    number.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// A counter of energy in joules: the processor's packages together, by Linux's powercap, or the
/// first NVIDIA card. `None` where there is none or it may not be read.
#[must_use]
pub fn joules(device_kind: &str) -> Option<f64> {
    if device_kind == "CPU" {
        let packages = fs::read_dir("/sys/class/powercap").ok()?;
        let counters: Vec<f64> = packages
            .filter_map(Result::ok)
            // `intel-rapl:0` is a package, `intel-rapl:0:0` a part of it.
            .filter(|entry| entry.file_name().to_string_lossy().matches(':').count() == 1)
            .filter_map(|entry| fs::read_to_string(entry.path().join("energy_uj")).ok())
            .filter_map(|text| text.trim().parse::<f64>().ok())
            .collect();
        return (!counters.is_empty()).then(|| counters.iter().sum::<f64>() / 1e6);
    }
    if !device_kind.contains("discrete") {
        return None;
    }
    // Recent drivers count millijoules; older ones say `[N/A]`.
    let query = [
        "--query-gpu=total_energy_consumption",
        "--format=csv,noheader,nounits",
    ];
    let answer = Command::new("nvidia-smi").args(query).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    text.lines()
        .next()?
        .trim()
        .parse::<f64>()
        .ok()
        .map(|mj| mj / 1e3)
}

/// The best rate of copying memory with all cores, bytes read plus bytes written a second.
#[must_use]
pub fn copy_bandwidth() -> f64 {
    // Well beyond any cache.
    const BYTES: usize = 256 << 20;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let source = vec![1_u8; BYTES];
    let mut target = vec![0_u8; BYTES];
    let part = BYTES.div_ceil(threads);
    let mut copy = || {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for (from, to) in source.chunks(part).zip(target.chunks_mut(part)) {
                scope.spawn(move || to.copy_from_slice(from));
            }
        });
        std::hint::black_box(&mut target);
        began.elapsed().as_secs_f64()
    };
    let best = (0..6).map(|_| copy()).fold(f64::INFINITY, f64::min);
    2.0 * BYTES as f64 / best
}

/// Describes this machine; versions are the program's.
#[must_use]
pub fn environment(processor: String, zoo: &str, burn: &str) -> Environment {
    let read = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    Environment {
        machine: processor.clone(),
        processor,
        architecture: std::env::consts::ARCH.into(),
        features: features(),
        logical_cores: std::thread::available_parallelism().map_or(1, usize::from),
        governor,
        memory_bytes: memory_bytes(),
        system: read("/proc/sys/kernel/osrelease").map_or_else(
            || std::env::consts::OS.to_owned(),
            |release| format!("{} {release}", std::env::consts::OS),
        ),
        zoo: zoo.into(),
        burn: burn.into(),
        // Where this was compiled, and not the folder that the program runs in: the configuration of
        // a repository names programs that `git status` runs, and that one may be a stranger's.
        revision: revision(Path::new(env!("CARGO_MANIFEST_DIR"))),
    }
}

fn features() -> Vec<String> {
    #[cfg(target_arch = "x86_64")]
    let known = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(target_arch = "aarch64")]
    let known = [("neon", true)];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let known: [(&str, bool); 0] = [];
    let present = known.into_iter().filter(|(_, present)| *present);
    present.map(|(name, _)| name.to_owned()).collect()
}

/// The git revision of a folder, if it is in a repository and git is there.
fn revision(folder: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let answer = Command::new("git")
            .current_dir(folder)
            .args(arguments)
            .output()
            .ok()?;
        let text = String::from_utf8(answer.stdout).ok()?;
        answer.status.success().then(|| text.trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() {
        revision
    } else {
        format!("{revision}-dirty")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "Name:\tzoo\nVmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(kibibytes(text, "VmHWM"), Some(2048 * 1024));
        assert_eq!(kibibytes(text, "Vm"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_resident_size_follows_what_is_allocated() {
        let before = resident_bytes().unwrap();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident_bytes().unwrap();
        assert!(after >= before + (48 << 20), "{before} {after}");
        assert!(peak_resident_bytes().unwrap() >= after);
        drop(block);
    }

    #[test]
    fn copying_takes_time_on_any_machine() {
        let rate = copy_bandwidth();
        assert!((1e8..1e13).contains(&rate), "{rate}");
    }
}
