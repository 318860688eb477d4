//! `zoo doctor`: what works on this machine, and what to install where something does not.
//!
//! Every backend is listed, every device found is opened, and each computes a small forward and
//! backward pass whose result is compared with plain Rust: a driver that answers wrongly is worse
//! than one that does not start.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use crate::devices::{self, BACKENDS, Backend, Found, catch_panic};

/// The version of Burn that the workspace pins; a test holds it to `Cargo.lock`.
pub const BURN_VERSION: &str = zoo_train::BURN_VERSION;

/// What to do about a backend that is not built in; once, not once a backend.
const BUILD_IN: &str = "
`cargo xtask train --backend NAME` builds in what NAME takes. For an installed zoo, run
`cargo install --path crates/zoo --features NAME` in the repository.";

/// What [`examine`] found out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The machine and the program.
    pub environment: Environment,
    /// The backend that is used when none is named.
    pub default_backend: &'static str,
    /// One entry a row of [`BACKENDS`], in its order.
    pub backends: Vec<BackendReport>,
}

/// The machine and the program.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// This program's version.
    pub zoo_version: &'static str,
    /// Burn's version.
    pub burn_version: &'static str,
    /// `linux`, `macos`, `windows`, …
    pub os: &'static str,
    /// `x86_64`, `aarch64`, …
    pub arch: &'static str,
    /// The processor's name.
    pub cpu: String,
    /// How many threads this process may run at once.
    pub cpu_threads: usize,
    /// The vector instructions the processor has, of those that matter here.
    pub cpu_features: Vec<&'static str>,
    /// The machine's memory, where the system tells it.
    pub memory_bytes: Option<u64>,
    /// Lines of the caller, such as the data directory in use: label -> value.
    pub more: BTreeMap<String, String>,
}

/// What became of one backend.
#[derive(Clone, Debug, Serialize)]
pub struct BackendReport {
    /// Its row in [`BACKENDS`].
    #[serde(flatten)]
    pub backend: &'static Backend,
    /// The devices found, best first.
    pub devices: Vec<DeviceReport>,
    /// Why there is no device, and what to do about it.
    pub advice: Option<String>,
}

/// What became of one device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// What `--backend` calls it: `wgpu:0`.
    pub spec: String,
    /// Its name and kind: `llvmpipe (LLVM 15.0.6, 256 bits) (software Vulkan)`.
    pub description: String,
    /// Its kind alone.
    pub kind: devices::Kind,
    /// Whether forward and backward gave the right numbers.
    pub works: bool,
    /// If not, what happened.
    pub problem: Option<String>,
    /// What opening it and the two passes took, kernel compilation included.
    pub wall_seconds: f64,
}

/// Prints the report to `out`, as text or as one line of JSON, and returns whether the default
/// backend works.
///
/// `more` are lines to add to the environment, such as the data directory.
///
/// # Errors
/// If `out` cannot be written.
pub fn doctor(
    json: bool,
    more: BTreeMap<String, String>,
    out: &mut impl Write,
) -> io::Result<bool> {
    let mut report = examine();
    report.environment.more = more;
    if json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(report.default_works())
}

/// Looks at the machine and tries every device of every backend compiled in.
#[must_use]
pub fn examine() -> Report {
    Report {
        environment: Environment::read(),
        default_backend: devices::default_name(),
        backends: BACKENDS.iter().map(BackendReport::new).collect(),
    }
}

impl Report {
    /// Whether a device of the default backend computes correctly.
    #[must_use]
    pub fn default_works(&self) -> bool {
        self.backends
            .iter()
            .filter(|report| report.backend.name == self.default_backend)
            .any(|report| report.devices.iter().any(|device| device.works))
    }
}

impl BackendReport {
    fn new(backend: &'static Backend) -> Self {
        let (devices, advice) = match devices::found(backend) {
            Ok(found) => (found.into_iter().map(DeviceReport::new).collect(), None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        Self {
            backend,
            devices,
            advice,
        }
    }
}

impl DeviceReport {
    fn new(found: Found) -> Self {
        let (spec, kind) = (found.spec(), found.kind);
        let start = Instant::now();
        let (description, problem) = match found.open() {
            Ok(selected) => (selected.to_string(), check(&selected.device).err()),
            Err(error) => (kind.to_string(), Some(error.to_string())),
        };
        Self {
            spec,
            description,
            kind,
            works: problem.is_none(),
            problem,
            wall_seconds: start.elapsed().as_secs_f64(),
        }
    }
}

// x [ROWS, INNER] times w [INNER, COLS], ReLU, mean. All powers of two, and all values small
// multiples of 1/4, so that even a backend that multiplies in reduced precision is exact.
const ROWS: usize = 4;
const INNER: usize = 8;
const COLS: usize = 4;
/// Sums are reordered between backends; nothing else may differ.
const TOLERANCE: f32 = 1e-5;

/// Runs the passes on `device` and compares them with [`expected`].
fn check(device: &Device) -> Result<(), String> {
    let (x, w) = (values(ROWS * INNER, 5), values(INNER * COLS, 3));
    let computed = catch_panic(|| compute(device, &x, &w))
        .map_err(|message| format!("panicked: {message}"))??;
    let expected = expected(&x, &w);
    for (what, got, want) in [
        ("the loss", &computed.loss, &expected.loss),
        ("the gradient of x", &computed.x_grad, &expected.x_grad),
        ("the gradient of w", &computed.w_grad, &expected.w_grad),
    ] {
        compare(what, got, want)?;
    }
    Ok(())
}

fn compare(what: &str, got: &[f32], want: &[f32]) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!(
            "{what} has {} values, not {}",
            got.len(),
            want.len()
        ));
    }
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        // NaN is not close to anything.
        let close = (got - want).abs() <= TOLERANCE;
        if !close {
            return Err(format!(
                "computes wrongly: {what} is {got} at {i}, and plain Rust says {want}; \
                 update the driver, and do not train on this device"
            ));
        }
    }
    Ok(())
}

struct Passes {
    loss: Vec<f32>,
    x_grad: Vec<f32>,
    w_grad: Vec<f32>,
}

/// Multiples of 1/4 between -1 and 1, without a pattern that a transposed result would share.
fn values(count: usize, step: usize) -> Vec<f32> {
    let quarters = (0..count).map(|i| (i * step + i / 3) % 9);
    quarters.map(|q| (q as f32 - 4.0) / 4.0).collect()
}

fn compute(device: &Device, x: &[f32], w: &[f32]) -> Result<Passes, String> {
    let device = device.clone().autodiff();
    let tensor = |values: &[f32], shape: [usize; 2]| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device).require_grad()
    };
    let (x, w) = (tensor(x, [ROWS, INNER]), tensor(w, [INNER, COLS]));
    let loss = burn::tensor::activation::relu(x.clone().matmul(w.clone())).mean();
    let gradients = loss.clone().backward();
    let read = |tensor: Option<Tensor<2>>, name| {
        tensor
            .ok_or_else(|| format!("no gradient for {name}"))?
            .try_into_vec_as::<f32>()
            .map_err(|error| error.to_string())
    };
    Ok(Passes {
        x_grad: read(x.grad(&gradients), "x")?,
        w_grad: read(w.grad(&gradients), "w")?,
        loss: loss
            .try_into_vec_as::<f32>()
            .map_err(|error| error.to_string())?,
    })
}

/// The same by hand: `loss = mean(relu(x w))`.
fn expected(x: &[f32], w: &[f32]) -> Passes {
    let count = (ROWS * COLS) as f32;
    let mut passes = Passes {
        loss: vec![0.0],
        x_grad: vec![0.0; x.len()],
        w_grad: vec![0.0; w.len()],
    };
    for row in 0..ROWS {
        for col in 0..COLS {
            let product: f32 = (0..INNER)
                .map(|i| x[row * INNER + i] * w[i * COLS + col])
                .sum();
            if product <= 0.0 {
                continue;
            }
            passes.loss[0] += product / count;
            for i in 0..INNER {
                passes.x_grad[row * INNER + i] += w[i * COLS + col] / count;
                passes.w_grad[i * COLS + col] += x[row * INNER + i] / count;
            }
        }
    }
    passes
}

impl Environment {
    fn read() -> Self {
        Self {
            zoo_version: env!("CARGO_PKG_VERSION"),
            burn_version: BURN_VERSION,
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            cpu: devices::cpu_name(),
            cpu_threads: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_features: cpu_features(),
            memory_bytes: std::fs::read_to_string("/proc/meminfo")
                .ok()
                .and_then(|text| memory_bytes(&text)),
            more: BTreeMap::new(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let features = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
    ];
    let present = features.into_iter().filter(|(_, present)| *present);
    present.map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    let neon = std::arch::is_aarch64_feature_detected!("neon");
    neon.then_some("neon").into_iter().collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}

/// `MemTotal:  8048580 kB`, as bytes.
fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.environment)?;
        writeln!(f, "Backends")?;
        for report in &self.backends {
            let default = report.backend.name == self.default_backend;
            let note = if default { " (default)" } else { "" };
            let Backend { name, about, .. } = report.backend;
            writeln!(f, "  {name:<8} {about}{note}")?;
            for device in &report.devices {
                writeln!(f, "    {device}")?;
            }
            match (&report.advice, report.backend.feature) {
                (None, _) => {}
                (Some(_), Some(feature)) if !report.backend.compiled_in => writeln!(
                    f,
                    "    not built in (cargo feature `{feature}`); needs {}",
                    report.backend.needs
                )?,
                (Some(advice), _) => writeln!(f, "    {advice}")?,
            }
        }
        if self
            .backends
            .iter()
            .any(|report| !report.backend.compiled_in)
        {
            writeln!(f, "{BUILD_IN}")?;
        }
        if !self.default_works() {
            let name = self.default_backend;
            writeln!(
                f,
                "\nThe default backend `{name}` does not work here; see above."
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.wall_seconds * 1e3;
        write!(f, "{:<10} {}", self.spec, self.description)?;
        match &self.problem {
            None => write!(f, ": works, forward and backward in {milliseconds:.1} ms"),
            Some(problem) => write!(f, ": DOES NOT WORK: {problem}"),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            zoo_version,
            burn_version,
            os,
            arch,
            cpu,
            ..
        } = self;
        let threads = self.cpu_threads;
        writeln!(f, "Burn Zoo {zoo_version}, Burn {burn_version}")?;
        writeln!(f, "  system      {os}, {arch}")?;
        write!(f, "  processor   {cpu}, {threads} threads")?;
        if !self.cpu_features.is_empty() {
            write!(f, ", {}", self.cpu_features.join(" "))?;
        }
        writeln!(f)?;
        if let Some(bytes) = self.memory_bytes {
            writeln!(
                f,
                "  memory      {:.1} GiB",
                bytes as f64 / f64::from(1 << 30)
            )?;
        }
        for (label, value) in &self.more {
            writeln!(f, "  {label:<11} {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cpu_backend_compiled_in_computes_correctly() {
        let report = examine();
        assert!(report.default_works());
        assert_eq!(report.backends.len(), BACKENDS.len());
        for report in &report.backends {
            for device in report
                .devices
                .iter()
                .filter(|d| d.kind == devices::Kind::Cpu)
            {
                assert_eq!(device.problem, None, "{}", device.spec);
            }
            // A backend has devices or says why it has none.
            assert_eq!(report.devices.is_empty(), report.advice.is_some());
        }
    }

    #[test]
    fn a_wrong_number_and_nan_are_reported() {
        assert_eq!(compare("the loss", &[0.5], &[0.5]), Ok(()));
        let error = compare("the loss", &[0.5, 0.1], &[0.5, 0.2]).unwrap_err();
        assert!(
            error.contains("the loss is 0.1 at 1, and plain Rust says 0.2"),
            "{error}"
        );
        assert!(compare("the loss", &[f32::NAN], &[0.5]).is_err());
        assert!(compare("the loss", &[], &[0.5]).is_err());
    }

    #[test]
    fn the_reference_is_the_derivative_of_its_own_loss() {
        let (mut x, w) = (values(ROWS * INNER, 5), values(INNER * COLS, 3));
        let before = expected(&x, &w);
        assert!(before.loss[0] > 0.0 && before.x_grad.iter().any(|g| *g != 0.0));
        // No product of these values is within 1/1000 of ReLU's corner unless it is at it.
        let step = 1.0 / 1024.0;
        for i in 0..x.len() {
            x[i] -= step;
            let low = expected(&x, &w).loss[0];
            x[i] += 2.0 * step;
            let high = expected(&x, &w).loss[0];
            x[i] -= step;
            let (low, high) = (
                (before.loss[0] - low) / step,
                (high - before.loss[0]) / step,
            );
            let gradient = before.x_grad[i];
            assert!(
                (low.min(high) - 1e-3..=low.max(high) + 1e-3).contains(&gradient),
                "{i}: {gradient} is not between {low} and {high}"
            );
        }
    }

    #[test]
    fn text_and_json_say_the_same() {
        let more = BTreeMap::from([("data".to_owned(), "somewhere".to_owned())]);
        let mut text = Vec::new();
        assert!(doctor(false, more.clone(), &mut text).unwrap());
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("works, forward and backward in"), "{text}");
        assert!(text.contains("data        somewhere"), "{text}");

        let mut json = Vec::new();
        assert!(doctor(true, more, &mut json).unwrap());
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["environment"]["more"]["data"], "somewhere");
        assert_eq!(json["backends"][0]["name"], BACKENDS[0].name);
        assert_eq!(json["backends"][0]["devices"][0]["works"], true);
    }

    #[test]
    fn the_version_of_burn_is_the_locked_one() {
        let lock = include_str!("../../../Cargo.lock").replace("\r\n", "\n");
        let entry = format!("name = \"burn\"\nversion = \"{BURN_VERSION}\"\n");
        assert!(
            lock.contains(&entry),
            "BURN_VERSION is not what Cargo.lock has"
        );
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory_bytes("MemTotal:  2 kB\nMemFree: 1 kB"), Some(2048));
        assert_eq!(memory_bytes("nothing"), None);
    }
}
