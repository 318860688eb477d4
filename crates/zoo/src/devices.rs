//! Backends by name, at run time: `flex`, `wgpu`, `cuda:1`, `remote:ws://gpu:3000`.
//!
//! [`BACKENDS`] says what exists; help, errors, `list backends` and `doctor` derive from it.
//! [`open`] turns a name into a Burn [`Device`] that is known to answer. Burn's own constructors
//! are lazy and panic at the first tensor where no adapter or driver is there, so a device is
//! enumerated first and then opened with panics caught. (`Device::wgpu_options().init()` returns
//! a `Result` too, but only once a process and device; this way opens again and again.)

use std::fmt;

use burn::tensor::Device;
#[cfg(feature = "wgpu")]
use burn::tensor::DeviceKind;
#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
use burn::tensor::{DeviceType, Devices};
use serde::Serialize;
use zoo_train::Breakdown;

use crate::remote;

/// One way to compute, compiled in or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// What `--backend` calls it.
    pub name: &'static str,
    /// What it is, in half a line.
    pub about: &'static str,
    /// The cargo feature of `zoo` that compiles it in; `None` where `zoo` has none for it.
    pub feature: Option<&'static str>,
    /// Whether this program has it.
    pub compiled_in: bool,
    /// What the machine must have for it to work.
    pub needs: &'static str,
}

/// The backend whose devices have an address instead of a number.
pub const REMOTE: &str = "remote";

/// What every GPU backend through wgpu needs on Linux.
const NEEDS_VULKAN: &str = "a Vulkan driver: the one of your GPU's maker or Mesa's \
    (Debian: `apt install libvulkan1 mesa-vulkan-drivers`, which also brings software Vulkan \
    for machines without a GPU)";

/// Every backend Burn Zoo knows by name, the default first.
pub const BACKENDS: &[Backend] = &[
    Backend {
        name: "flex",
        about: "CPU in pure Rust, with SIMD and threads",
        feature: Some("flex"),
        compiled_in: cfg!(feature = "flex"),
        needs: "nothing",
    },
    Backend {
        name: "ndarray",
        about: "CPU on the ndarray crate; deprecated by Burn in favour of flex",
        feature: Some("ndarray"),
        compiled_in: cfg!(feature = "ndarray"),
        needs: "nothing",
    },
    Backend {
        name: "wgpu",
        about: "any GPU, through Vulkan, Metal or Direct3D 12, whichever the system has",
        feature: Some("wgpu"),
        compiled_in: cfg!(feature = "wgpu"),
        needs: if cfg!(target_os = "linux") {
            NEEDS_VULKAN
        } else {
            "a GPU with its driver"
        },
    },
    Backend {
        name: "vulkan",
        about: "GPU through Vulkan, with SPIR-V kernels",
        feature: Some("vulkan"),
        compiled_in: cfg!(feature = "vulkan"),
        needs: NEEDS_VULKAN,
    },
    Backend {
        name: "metal",
        about: "Apple GPU through Metal",
        feature: Some("metal"),
        compiled_in: cfg!(feature = "metal"),
        needs: "a Mac",
    },
    Backend {
        name: "cuda",
        about: "NVIDIA GPU through CUDA",
        feature: Some("cuda"),
        compiled_in: cfg!(feature = "cuda"),
        needs: "NVIDIA's driver and the CUDA toolkit (its NVRTC library compiles the kernels)",
    },
    Backend {
        name: "rocm",
        about: "AMD GPU through ROCm",
        feature: Some("rocm"),
        compiled_in: cfg!(feature = "rocm"),
        needs: "AMD's ROCm with HIP",
    },
    Backend {
        name: "tch",
        about: "LibTorch; deprecated by Burn",
        feature: None,
        compiled_in: false,
        needs: "a program of your own: zoo has no feature for it",
    },
    Backend {
        name: REMOTE,
        about: "a device of another machine, through `serve-device` there",
        feature: Some("remote"),
        compiled_in: cfg!(feature = "remote"),
        needs: "an address, as in `remote:ws://HOST:3000`, where \
            `cargo xtask serve-device --backend NAME --listen 0.0.0.0:3000` runs",
    },
];

/// The backend that is used when none is named: `flex`, else the first one compiled in.
#[must_use]
pub fn default_name() -> &'static str {
    BACKENDS
        .iter()
        .find(|backend| backend.compiled_in)
        .map_or("flex", |backend| backend.name)
}

/// Why a backend could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No backend has this name.
    #[error("unknown backend `{name}`{}; known are {known}", did_you_mean(*nearest))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The known name that looks most like it.
        nearest: Option<&'static str>,
        /// All known names.
        known: String,
    },
    /// What follows the colon is not a number.
    #[error("backend `{spec}`: the part after the colon is a device's number, as in `{name}:0`")]
    BadIndex {
        /// What was asked for.
        spec: String,
        /// The backend's name.
        name: &'static str,
    },
    /// The backend exists, but this program was built without it.
    #[error(
        "this program was built without the backend `{name}`: `cargo xtask train --backend {name}` \
         builds it in by itself; for an installed `zoo`, run \
         `cargo install --path crates/zoo --features {feature}` in the repository"
    )]
    NotCompiledIn {
        /// The backend's name.
        name: &'static str,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// The backend is one of Burn's, but `zoo` has no feature for it.
    #[error("backend `{name}`: Burn has it, but zoo is not made for it; use {usable}")]
    Unsupported {
        /// The backend's name.
        name: &'static str,
        /// The names this program can open.
        usable: String,
    },
    /// The backend is compiled in, but the machine has no device for it.
    #[error("backend `{name}`: no device found; it needs {needs}. `zoo doctor` shows what works")]
    NoDevice {
        /// The backend's name.
        name: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// There are fewer devices than that.
    #[error("backend `{name}` has no device {index}; found: {found}")]
    NoSuchIndex {
        /// The backend's name.
        name: &'static str,
        /// The number asked for.
        index: usize,
        /// `0: NAME, KIND; 1: …`.
        found: String,
    },
    /// `remote` alone.
    #[error("backend `remote` needs {needs}")]
    NoAddress {
        /// What to write.
        needs: &'static str,
    },
    /// What follows `remote:` is no address.
    #[error(
        "backend `{spec}`: write `remote:ws://HOST:PORT`, or `remote:ws://HOST:PORT/INDEX` for one of several devices there"
    )]
    BadAddress {
        /// What was asked for.
        spec: String,
    },
    /// There is no device to be had at the address.
    #[error("backend `{spec}`: {message}")]
    Unreachable {
        /// What was asked for.
        spec: String,
        /// What happened, and what to do about it.
        message: String,
    },
    /// The device was found but does not start.
    #[error("backend `{name}`, device {index} does not start: {message}; it needs {needs}")]
    Broken {
        /// The backend's name.
        name: &'static str,
        /// The device's number.
        index: usize,
        /// What the backend said.
        message: String,
        /// What may be missing.
        needs: &'static str,
    },
}

impl DeviceError {
    /// Why a backend that this program lacks cannot be opened.
    pub(crate) fn not_compiled_in(backend: &Backend) -> Self {
        match backend.feature {
            Some(feature) => Self::NotCompiledIn {
                name: backend.name,
                feature,
            },
            None => Self::Unsupported {
                name: backend.name,
                usable: names(|backend| backend.compiled_in),
            },
        }
    }
}

fn did_you_mean(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

/// What computes. The order is the one in which devices are numbered: best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A card of its own.
    DiscreteGpu,
    /// A GPU that shares the processor's memory.
    IntegratedGpu,
    /// A GPU lent to a virtual machine.
    VirtualGpu,
    /// What the graphics API does not name further.
    Other,
    /// A graphics API that runs on the processor (llvmpipe): right results, slowly.
    Software,
    /// The processor itself.
    Cpu,
    /// Whatever another machine lends.
    Remote,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiscreteGpu => "discrete GPU",
            Self::IntegratedGpu => "integrated GPU",
            Self::VirtualGpu => "virtual GPU",
            Self::Other => "unnamed kind of GPU",
            // On Windows the software adapter is Direct3D's WARP.
            Self::Software if cfg!(windows) => "software Direct3D",
            Self::Software => "software Vulkan",
            Self::Cpu => "CPU",
            Self::Remote => "remote",
        })
    }
}

/// A device that answered.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Burn's handle, without autodiff; call [`Device::autodiff`] to train on it.
    pub device: Device,
    /// The row of [`BACKENDS`] it belongs to.
    pub backend: &'static Backend,
    /// Its number among the devices of the backend, as in `wgpu:1`.
    pub index: usize,
    /// What it calls itself.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

impl Selected {
    /// What [`open`] opens it by.
    pub fn spec(&self) -> String {
        match (self.kind, self.index) {
            (Kind::Remote, _) => format!("{REMOTE}:{}", self.name),
            (_, 0) => self.backend.name.to_owned(),
            (_, index) => format!("{}:{index}", self.backend.name),
        }
    }
}

impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.kind)
    }
}

/// Opens `NAME`, `NAME:INDEX` or `remote:ADDRESS`; without an index, the first device of [`found`].
///
/// # Errors
/// Every way in which a user's choice can fail: an unknown name, a backend that is not compiled
/// in, no such device, one whose driver does not start, or a server that does not answer.
pub fn open(spec: &str) -> Result<Selected, DeviceError> {
    let (name, index) = match spec.split_once(':') {
        Some((name, index)) => (name, Some(index)),
        None => (spec, None),
    };
    let backend = find(name)?;
    if backend.name == REMOTE {
        return remote::open(backend, index);
    }
    let index = index.map_or(Ok(0), |index| {
        index.parse::<usize>().map_err(|_| DeviceError::BadIndex {
            spec: spec.to_owned(),
            name: backend.name,
        })
    })?;
    let mut devices = found(backend)?;
    if index < devices.len() {
        return devices.swap_remove(index).open();
    }
    let names = devices
        .into_iter()
        .map(|device| match device.open() {
            Ok(device) => format!("{}: {device}", device.index),
            Err(error) => error.to_string(),
        })
        .collect::<Vec<_>>();
    Err(DeviceError::NoSuchIndex {
        name: backend.name,
        index,
        found: names.join("; "),
    })
}

/// Whether [`open`] would connect to another machine for it.
#[must_use]
pub fn is_remote(spec: &str) -> bool {
    spec.split(':').next() == Some(REMOTE)
}

/// The row of [`BACKENDS`] with this name.
///
/// # Errors
/// [`DeviceError::Unknown`], with the nearest known name.
pub fn find(name: &str) -> Result<&'static Backend, DeviceError> {
    BACKENDS
        .iter()
        .find(|backend| backend.name == name)
        .ok_or_else(|| DeviceError::Unknown {
            name: zoo_train::brief(name),
            nearest: nearest(name),
            known: names(|_| true),
        })
}

fn nearest(name: &str) -> Option<&'static str> {
    /// Longer than any name that could be mistyped, in bytes.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    BACKENDS
        .iter()
        .map(|backend| (strsim::jaro_winkler(&name, backend.name), backend.name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn names(keep: impl Fn(&Backend) -> bool) -> String {
    let names = BACKENDS.iter().filter(|backend| keep(backend));
    names.map(|row| row.name).collect::<Vec<_>>().join(", ")
}

/// A device that the system lists and that has not been opened yet.
#[derive(Clone, Debug)]
pub struct Found {
    device: Device,
    backend: &'static Backend,
    index: usize,
    /// What it is.
    pub kind: Kind,
}

impl Found {
    /// What `--backend` calls it: `wgpu:0`.
    #[must_use]
    pub fn spec(&self) -> String {
        format!("{}:{}", self.backend.name, self.index)
    }

    /// Starts the device and asks for its name.
    ///
    /// # Errors
    /// [`DeviceError::Broken`] if the driver refuses or panics.
    pub fn open(self) -> Result<Selected, DeviceError> {
        let answer = catch_panic(|| {
            let name = adapter_name(&self.device);
            self.device.sync().map_err(|error| error.to_string())?;
            Ok(name)
        });
        match answer.and_then(|answer| answer) {
            Ok(name) => Ok(Selected {
                name: name.unwrap_or_else(cpu_name),
                device: self.device,
                backend: self.backend,
                index: self.index,
                kind: self.kind,
            }),
            Err(message) => Err(DeviceError::Broken {
                name: self.backend.name,
                index: self.index,
                message,
                needs: self.backend.needs,
            }),
        }
    }
}

/// The devices that the system lists for `backend`, best first: discrete before integrated
/// before virtual GPUs, software Vulkan last.
///
/// # Errors
/// If the backend is not compiled in, or there is no device for it.
pub fn found(backend: &'static Backend) -> Result<Vec<Found>, DeviceError> {
    if !backend.compiled_in {
        return Err(DeviceError::not_compiled_in(backend));
    }
    if backend.name == REMOTE {
        return Err(DeviceError::NoAddress {
            needs: backend.needs,
        });
    }
    // A loader that panics rather than answering has no device either.
    let mut devices = catch_panic(|| enumerate(backend.name)).unwrap_or_default();
    devices.sort_by_key(|(_, kind)| *kind);
    if devices.is_empty() {
        return Err(DeviceError::NoDevice {
            name: backend.name,
            needs: backend.needs,
        });
    }
    let devices = devices.into_iter().enumerate();
    Ok(devices
        .map(|(index, (device, kind))| Found {
            device,
            backend,
            index,
            kind,
        })
        .collect())
}

/// The one place where a name becomes a device.
fn enumerate(name: &str) -> Vec<(Device, Kind)> {
    match name {
        #[cfg(feature = "flex")]
        "flex" => vec![(Device::flex(), Kind::Cpu)],
        #[cfg(feature = "ndarray")]
        #[allow(
            deprecated,
            reason = "kept to compare with flex until Burn 0.23 removes it"
        )]
        "ndarray" => vec![(Device::ndarray(), Kind::Cpu)],
        #[cfg(feature = "wgpu")]
        "wgpu" => adapters(&Device::enumerate(DeviceType::Wgpu), Device::wgpu),
        #[cfg(feature = "vulkan")]
        "vulkan" => adapters(&Device::enumerate(DeviceType::Vulkan), Device::vulkan),
        #[cfg(feature = "metal")]
        "metal" => adapters(&Device::enumerate(DeviceType::Metal), Device::metal),
        #[cfg(feature = "cuda")]
        "cuda" => cards(&Device::enumerate(DeviceType::Cuda)),
        #[cfg(feature = "rocm")]
        "rocm" => cards(&Device::enumerate(DeviceType::Rocm)),
        _ => Vec::new(),
    }
}

#[cfg(any(feature = "cuda", feature = "rocm"))]
fn cards(devices: &Devices) -> Vec<(Device, Kind)> {
    let devices = devices.iter().cloned();
    devices.map(|device| (device, Kind::DiscreteGpu)).collect()
}

/// Burn's handle does not tell an adapter's kind, but compares equal to the one that asks for it.
#[cfg(feature = "wgpu")]
fn adapters(devices: &Devices, ask: fn(DeviceKind) -> Device) -> Vec<(Device, Kind)> {
    let kind_of = |device: &Device| {
        let is =
            |kind: fn(usize) -> DeviceKind| (0..devices.len()).any(|i| ask(kind(i)) == *device);
        match () {
            () if is(DeviceKind::DiscreteGpu) => Kind::DiscreteGpu,
            () if is(DeviceKind::IntegratedGpu) => Kind::IntegratedGpu,
            () if is(DeviceKind::VirtualGpu) => Kind::VirtualGpu,
            () if ask(DeviceKind::Cpu) == *device => Kind::Software,
            () => Kind::Other,
        }
    };
    let devices = devices.iter().cloned();
    devices
        .map(|device| (device.clone(), kind_of(&device)))
        .collect()
}

/// What the adapter calls itself; `None` for the CPU backends. Opens the device.
#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
fn adapter_name(device: &Device) -> Option<String> {
    device.identity().map(|identity| identity.name)
}

#[cfg(not(any(feature = "wgpu", feature = "cuda", feature = "rocm")))]
fn adapter_name(_device: &Device) -> Option<String> {
    None
}

/// The processor's name where the system tells it, else its architecture.
#[must_use]
pub fn cpu_name() -> String {
    // Linux on x86 has `model name`; on Arm there is often nothing better than the architecture.
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| cpuinfo_field(&text, "model name"))
        .unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
}

fn cpuinfo_field(text: &str, field: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == field)
        .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|value| !value.is_empty())
}

/// Runs `work`; a panic becomes its message instead of a backtrace on stderr: backends panic where
/// they should return an error.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    zoo_codec::catch_panic(work).map_err(|panic| Breakdown::new(&*panic).line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_backend_opens_and_is_a_cpu() {
        let selected = open(default_name()).unwrap();
        assert_eq!(selected.backend.name, BACKENDS[0].name);
        assert_eq!((selected.index, selected.kind), (0, Kind::Cpu));
        assert!(selected.to_string().ends_with("(CPU)"), "{selected}");
        assert!(!selected.device.is_autodiff());
    }

    #[test]
    fn an_index_picks_a_device_or_lists_those_found() {
        let name = default_name();
        assert_eq!(open(&format!("{name}:0")).unwrap().index, 0);
        let error = open(&format!("{name}:7")).unwrap_err().to_string();
        assert!(error.contains("no device 7; found: 0: "), "{error}");
        let error = open(&format!("{name}:first")).unwrap_err().to_string();
        assert!(error.contains(&format!("as in `{name}:0`")), "{error}");
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one_and_all_of_them() {
        let error = open("wpgu").unwrap_err().to_string();
        assert!(error.contains("did you mean `wgpu`?"), "{error}");
        for backend in BACKENDS {
            assert!(error.contains(backend.name), "{error}");
        }
        let error = open("xyzzy").unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }

    #[test]
    fn every_known_name_opens_or_says_what_to_do() {
        for backend in BACKENDS {
            let answer = open(backend.name);
            match (backend.compiled_in, backend.feature) {
                (false, Some(feature)) => {
                    let error = answer.unwrap_err().to_string();
                    assert!(error.contains(&format!("--features {feature}")), "{error}");
                }
                (false, None) => {
                    let error = answer.unwrap_err().to_string();
                    assert!(error.contains("zoo is not made for it"), "{error}");
                }
                // Whether there is an adapter is the machine's business; that it answers is ours.
                (true, _) => match answer {
                    Ok(selected) => assert_eq!(selected.backend, backend),
                    Err(error) => assert!(error.to_string().contains(backend.needs), "{error}"),
                },
            }
        }
    }

    #[test]
    fn a_panic_becomes_its_first_line() {
        assert_eq!(catch_panic(|| 3), Ok(3));
        let message = catch_panic(|| panic!("no {}\nadapters: []", "driver"));
        assert_eq!(message, Err::<(), _>("no driver".to_owned()));
    }

    #[test]
    fn the_processor_is_read_from_cpuinfo() {
        let text = "processor\t: 0\nmodel name\t: Some  CPU @ 2 GHz\n";
        assert_eq!(
            cpuinfo_field(text, "model name").as_deref(),
            Some("Some CPU @ 2 GHz")
        );
        assert_eq!(cpuinfo_field("processor: 0\n", "model name"), None);
        assert!(!cpu_name().is_empty());
    }
}
