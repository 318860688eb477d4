//! What a person sees meanwhile. The caller chooses: nothing, plain lines, or a bar.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

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

/// A [`Bar`] where stderr is a terminal, [`Lines`] elsewhere.
pub fn stderr_progress() -> Box<dyn Progress> {
    if io::stderr().is_terminal() {
        Box::new(Bar::default())
    } else {
        Box::new(Lines::new(io::stderr()))
    }
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

/// A line on stderr, where somebody reads that; a fetch goes on where nobody does.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A bar on stderr, with speed and time left.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Default for Bar {
    fn default() -> Self {
        Self(ProgressBar::hidden())
    }
}

impl Progress for Bar {
    fn start(&mut self, name: &str, total_bytes: Option<u64>) {
        if self.0.is_hidden() || self.0.is_finished() || self.0.message() != name {
            self.0 = ProgressBar::no_length();
        }
        let template = if let Some(total) = total_bytes {
            self.0.set_length(total);
            "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"
        } else {
            "{msg} {spinner} {bytes} {bytes_per_sec}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style.progress_chars("=> "));
        }
        self.0.set_message(name.to_owned());
    }

    fn advance(&mut self, bytes: u64) {
        self.0.set_position(bytes);
    }

    fn finish(&mut self, name: &str) {
        self.0.finish_and_clear();
        say(&format!("{name}: done"));
    }

    fn note(&mut self, text: &str) {
        self.0.suspend(|| say(text));
    }
}
