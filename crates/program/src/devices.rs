//! Backends by name, at run time: `flex`, `wgpu`, `cuda:1`, `remote:ws://gpu:3000`.
//!
//! [`BACKENDS`] says what exists; help, errors, `list backends` and `doctor` derive from it.
//! [`open`] turns a name into a Burn [`Device`] that is known to answer. Burn's own constructors
//! are lazy and panic at the first tensor where no adapter or driver is there, so a device is
//! enumerated first and then opened with panics caught. (`Device::wgpu_options().init()` returns
//! a `Result` too, but only once a process and device; this way opens again and again.)

use burn::tensor::Device;
#[cfg(feature = "wgpu")]
use burn::tensor::DeviceKind;
#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
use burn::tensor::{DeviceType, Devices};
use zoo_train::Breakdown;

pub use crate::backends::{
    BACKENDS, Backend, DeviceError, Kind, REMOTE, Selected, default_name, find,
};
use crate::remote;

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
        assert!(error.contains("did you mean wgpu?"), "{error}");
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
