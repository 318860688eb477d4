//! What a person sees meanwhile. The caller chooses: nothing, plain lines, or what it draws itself.

use std::io::Write;

/// Hears how a fetch goes on.
pub trait Progress {
    /// A transfer begins or goes on; `total_bytes` as served, where known.
    fn start(&mut self, name: &str, total_bytes: Option<u64>);
    /// This many bytes of the file are there now.
    fn advance(&mut self, bytes: u64);
    /// The file is in its place.
    fn finish(&mut self, name: &str);
    /// Something went wrong that may yet be mended.
    fn note(&mut self, text: &str);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn start(&mut self, _: &str, _: Option<u64>) {}
    fn advance(&mut self, _: u64) {}
    fn finish(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
}

/// Plain lines, for logs: one every tenth of a file. A log that cannot be written is let be.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    name: String,
    total_bytes: Option<u64>,
    tenths: u64,
}

impl<W: Write> Lines<W> {
    /// Writes the lines to `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            name: String::new(),
            total_bytes: None,
            tenths: 0,
        }
    }
}

impl<W: Write> Progress for Lines<W> {
    fn start(&mut self, name: &str, total_bytes: Option<u64>) {
        if self.name != name {
            let size = total_bytes.map_or(String::new(), |bytes| format!(" ({bytes} bytes)"));
            writeln!(self.out, "fetching {name}{size}").ok();
            self.tenths = 0;
        }
        self.name = name.into();
        self.total_bytes = total_bytes;
    }

    fn advance(&mut self, bytes: u64) {
        let Some(total) = self.total_bytes.filter(|total| *total > 0) else {
            return;
        };
        let tenths = (bytes.saturating_mul(10) / total).min(10);
        if tenths > self.tenths {
            self.tenths = tenths;
            writeln!(self.out, "{}: {} %", self.name, tenths * 10).ok();
        }
    }

    fn finish(&mut self, name: &str) {
        writeln!(self.out, "{name}: done").ok();
    }

    fn note(&mut self, text: &str) {
        writeln!(self.out, "{text}").ok();
    }
}
