//! What exists to compute with: the table of backends, a device that answered, and why one did not.

use std::fmt;

use burn::tensor::Device;
use serde::Serialize;
use zoo_train::{DidYouMean, nearest};

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
    #[error("unknown backend `{name}`{}; known are {known}", DidYouMean(*nearest))]
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
    /// What [`open`](crate::devices::open) opens it by.
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
            nearest: nearest(
                &name.to_lowercase(),
                BACKENDS.iter().map(|backend| backend.name),
            ),
            known: names(|_| true),
        })
}

fn names(keep: impl Fn(&Backend) -> bool) -> String {
    let names = BACKENDS.iter().filter(|backend| keep(backend));
    names.map(|row| row.name).collect::<Vec<_>>().join(", ")
}
