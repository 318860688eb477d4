//! Panics, which is how a device says that it broke off.

/// What a device said when it broke off.
#[derive(Clone, Debug)]
pub struct Breakdown {
    /// Its first line.
    pub line: String,
    /// Whether it says that there is too little memory.
    pub out_of_memory: bool,
}

impl Breakdown {
    /// Reads a panic.
    pub fn new(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("it panicked without a message");
        // One line: some backends append a whole list of adapters or a backtrace.
        let mut line = text.lines().next().unwrap_or_default().trim().to_owned();
        let out_of_memory = out_of_memory(text);
        if out_of_memory && !self::out_of_memory(&line) {
            line += ": out of memory";
        }
        Self {
            line,
            out_of_memory,
        }
    }
}

/// Whether a backend's message is about too little memory: CubeCL's ("out of device memory allocating
/// … bytes", "can't allocate buffer of size …", and the names of these errors), CUDA's
/// (`CUDA_ERROR_OUT_OF_MEMORY`), wgpu's ("Out of Memory", "Not enough memory left") and the operating
/// system's ("Cannot allocate memory").
pub fn out_of_memory(message: &str) -> bool {
    let message = message.to_lowercase().replace('_', " ");
    [
        "out of memory",
        "out of device memory",
        "outofmemory",
        "not enough memory",
        "buffertoobig",
        "can't allocate",
        "cannot allocate",
    ]
    .iter()
    .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_told_from_other_failures() {
        for message in [
            "out of device memory allocating 4294967296 bytes\nBacktrace:",
            "can't allocate buffer of size: 1099511627776",
            "Unable to read: OutOfMemory { size: 12 }",
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "wgpu error: Out of Memory",
            "Not enough memory left.",
        ] {
            assert!(out_of_memory(message), "{message}");
        }
        for message in [
            "Parent device is lost",
            "index out of bounds",
            "no memory of it",
        ] {
            assert!(!out_of_memory(message), "{message}");
        }
    }
}
