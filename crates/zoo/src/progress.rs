//! How a run is watched: a bar on a terminal, plain lines elsewhere, JSON lines, or nothing.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use zoo_train::{Event, Metrics};

use crate::output::Out;

/// What the user wants to see while a run goes on. Results are printed by the command itself.
pub enum Progress {
    /// One JSON object a line, on standard output.
    Json,
    /// Nothing.
    Quiet,
    /// For people, on standard error.
    Human(Human),
}

/// A bar where there is a terminal, and lines for epochs and validations.
pub struct Human {
    bar: ProgressBar,
    total_steps: usize,
    interactive: bool,
}

impl Progress {
    /// Chooses by flags and by where standard error goes.
    pub fn new(json: bool, quiet: bool) -> Self {
        if json {
            return Self::Json;
        }
        if quiet {
            return Self::Quiet;
        }
        let interactive = std::io::stderr().is_terminal();
        let bar = if interactive {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        // indicatif leaves out the colours where NO_COLOR is set.
        let style = ProgressStyle::with_template("{wide_bar:.cyan} {pos}/{len} {msg} eta {eta}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self::Human(Human {
            bar,
            total_steps: 0,
            interactive,
        })
    }

    /// Shows an event.
    pub fn event(&mut self, event: &Event) {
        match self {
            Self::Quiet => {}
            Self::Json => print_json(event),
            Self::Human(human) => human.event(event),
        }
    }
}

/// One line of JSON on standard output, at once: another program may be waiting for it.
pub fn print_json(value: &impl serde::Serialize) {
    if let Ok(line) = serde_json::to_string(value) {
        println!("{line}");
        let _ = Out.flush();
    }
}

impl Human {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Start {
                step,
                total_steps,
                parameters,
                ..
            } => {
                self.total_steps = *total_steps;
                self.bar.set_length(*total_steps as u64);
                self.bar.set_position(*step as u64);
                self.bar.reset_eta();
                let from = if *step > 0 {
                    format!(", going on after step {step}")
                } else {
                    String::new()
                };
                self.line(&format!(
                    "{parameters} parameters, {total_steps} steps{from}"
                ));
            }
            Event::Step {
                step,
                epoch,
                loss,
                learning_rate,
                ..
            } => {
                self.bar.set_position(*step as u64);
                self.bar.set_message(format!(
                    "epoch {epoch:.1} loss {loss:.4} rate {learning_rate:.1e}"
                ));
                // Without a bar, a line now and then: about twenty in a run.
                let every = (self.total_steps / 20).max(1);
                if !self.interactive
                    && (step / every > (step.saturating_sub(10)) / every
                        || *step == self.total_steps)
                {
                    eprintln!(
                        "step {step}/{} epoch {epoch:.2} loss {loss:.4} rate {learning_rate:.2e}",
                        self.total_steps
                    );
                }
            }
            Event::Epoch {
                epoch,
                loss,
                wall_seconds,
                ..
            } => {
                self.line(&format!(
                    "epoch {epoch}: training loss {loss:.4} ({wall_seconds:.1} s)"
                ));
            }
            Event::Validation {
                step,
                metrics,
                best,
            } => {
                let mark = if *best { ", best so far" } else { "" };
                self.line(&format!(
                    "step {step}: validation {}{mark}",
                    describe(metrics)
                ));
            }
            Event::Checkpoint { .. } => {}
            Event::Finish { .. } => self.bar.finish_and_clear(),
        }
    }

    fn line(&self, text: &str) {
        if self.interactive {
            self.bar.println(text);
        } else {
            eprintln!("{text}");
        }
    }
}

/// Metrics in a line: shares as percentages, the rest as numbers.
pub fn describe(metrics: &Metrics) -> String {
    let one = |(name, value): (&String, &f64)| {
        let short = name.rsplit('.').next().unwrap_or(name);
        let name = name.replace(['.', '_'], " ");
        match short {
            "accuracy" | "exact_match" => format!("{name} {:.2} %", value * 100.0),
            _ => format!("{name} {value:.4}"),
        }
    };
    metrics.iter().map(one).collect::<Vec<_>>().join(", ")
}
