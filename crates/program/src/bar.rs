//! A line on a terminal that is drawn anew. Where messages go elsewhere, nothing is drawn, and what
//! is to be read is printed in lines.

use indicatif::{ProgressBar, ProgressStyle};
use zoo_fetch::{Lines, Progress};

use crate::output::{Notes, clean};

/// A progress bar on standard error, which shows what it is told as all that is printed is shown.
pub struct Bar(ProgressBar);

impl Bar {
    /// Drawn where messages go to a terminal, by a template of indicatif's.
    pub fn new(template: &str) -> Self {
        let bar = Self(ProgressBar::no_length());
        bar.draw_by(template);
        bar
    }

    /// Drawn nowhere.
    #[cfg(test)]
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// indicatif leaves out the colours where `NO_COLOR` is set.
    fn draw_by(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
    }

    /// Whether there is a terminal to draw on.
    pub fn is_drawn(&self) -> bool {
        !self.0.is_hidden()
    }

    /// What the bar is full at.
    pub fn set_length(&self, length: u64) {
        self.0.set_length(length);
    }

    /// How full it is.
    pub fn set_position(&self, position: u64) {
        self.0.set_position(position);
    }

    /// What stands beside it.
    pub fn set_message(&self, message: &str) {
        self.0.set_message(clean(message).into_owned());
        self.0.tick();
    }

    /// Forgets how fast it went so far.
    pub fn reset_eta(&self) {
        self.0.reset_eta();
    }

    /// A line of its own, above the bar where there is one.
    pub fn say(&self, text: &str) {
        self.0.suspend(|| eprintln!("{text}"));
    }

    /// Takes it away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// How a fetch goes on: a bar with speed and time left, or a line every tenth of a file.
pub fn fetching() -> Box<dyn Progress> {
    let bar = Bar::new(OF_UNKNOWN_SIZE);
    if bar.is_drawn() {
        Box::new(Fetching { bar, file: None })
    } else {
        Box::new(Lines::new(Notes))
    }
}

const OF_KNOWN_SIZE: &str = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
const OF_UNKNOWN_SIZE: &str = "{msg} {spinner} {bytes} {bytes_per_sec}";

struct Fetching {
    bar: Bar,
    /// What is being fetched.
    file: Option<String>,
}

impl Progress for Fetching {
    fn start(&mut self, name: &str, total_bytes: Option<u64>) {
        // A transfer that goes on after a break keeps its bar.
        if self.file.as_deref() != Some(name) {
            self.bar = Bar::new(OF_UNKNOWN_SIZE);
            self.file = Some(name.to_owned());
        }
        match total_bytes {
            Some(total) => {
                self.bar.set_length(total);
                self.bar.draw_by(OF_KNOWN_SIZE);
            }
            None => self.bar.draw_by(OF_UNKNOWN_SIZE),
        }
        self.bar.set_message(name);
    }

    fn advance(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    fn finish(&mut self, name: &str) {
        self.bar.clear();
        self.file = None;
        self.bar.say(&format!("{name}: done"));
    }

    fn note(&mut self, text: &str) {
        self.bar.say(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_a_bar_does_not_act() {
        let bar = Bar::hidden();
        bar.set_message("a\x1b[2J\u{202e}b");
        assert_eq!(bar.0.message(), "a\\u001b[2J\\u202eb");
    }
}
