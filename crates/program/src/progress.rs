//! How a run is watched: a bar on a terminal, plain lines elsewhere, JSON lines, or nothing.

use std::time::{Duration, Instant};

use zoo_train::{Event, Metric, Metrics, Unit};

use crate::bar::Bar;
use crate::output;

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
    bar: Bar,
    total_steps: usize,
    /// What the model is judged by.
    metrics: Vec<Metric>,
    /// The step of the last line that was printed for want of a bar.
    printed: usize,
    /// When the data is mentioned next, while it is being read.
    due: Option<Instant>,
}

/// Until the reading of the data is mentioned, and between two lines about it.
const READING: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

impl Progress {
    /// Chooses by flags and by where standard error goes.
    pub fn new(json: bool, quiet: bool) -> Self {
        if json {
            return Self::Json;
        }
        if quiet {
            return Self::Quiet;
        }
        Self::Human(Human {
            bar: Bar::new("{wide_bar:.cyan} {pos}/{len} {msg} eta {eta}"),
            total_steps: 0,
            metrics: Vec::new(),
            printed: 0,
            due: None,
        })
    }

    /// Shows how much of the data was read before the training, where that takes a while.
    pub fn reading(&mut self, done: usize, total: usize) {
        if let Self::Human(human) = self {
            human.reading(done, total);
        }
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
        output::flush();
    }
}

impl Human {
    fn reading(&mut self, done: usize, total: usize) {
        let now = Instant::now();
        let due = *self.due.get_or_insert(now + READING[0]);
        if now < due {
            return;
        }
        if self.bar.is_drawn() {
            self.bar.set_length(total as u64);
            self.bar.set_position(done as u64);
            self.bar.set_message("examples read");
        } else {
            eprintln!("reading the data: {done} of {total} examples");
            self.due = Some(now + READING[1]);
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Start {
                step,
                total_steps,
                parameters,
                metrics,
                ..
            } => {
                self.metrics.clone_from(metrics);
                self.total_steps = *total_steps;
                self.printed = *step;
                self.bar.set_length(*total_steps as u64);
                self.bar.set_position(*step as u64);
                self.bar.reset_eta();
                let from = if *step > 0 {
                    format!(", going on after step {step}")
                } else {
                    String::new()
                };
                self.bar.say(&format!(
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
                self.bar.set_message(&format!(
                    "epoch {epoch:.1} loss {loss:.4} rate {learning_rate:.1e}"
                ));
                if !self.bar.is_drawn() && self.is_due(*step) {
                    self.printed = *step;
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
                self.bar.say(&format!(
                    "epoch {epoch}: training loss {loss:.4} ({wall_seconds:.1} s)"
                ));
            }
            Event::Validation {
                step,
                metrics,
                best,
            } => {
                let mark = if *best { ", best so far" } else { "" };
                self.bar.say(&format!(
                    "step {step}: validation {}{mark}",
                    describe(metrics, &self.metrics)
                ));
            }
            Event::Checkpoint { .. } => {}
            Event::Finish { .. } => self.bar.clear(),
        }
    }

    /// Whether a step has a line of its own without a bar: about twenty in a run have.
    fn is_due(&self, step: usize) -> bool {
        const LINES: usize = 20;
        let every = (self.total_steps / LINES).max(1);
        step / every > self.printed / every || step == self.total_steps
    }
}

/// Metrics in a line, each in the unit that its definition states: shares as percentages. A name is
/// that of a definition, with or without its split.
pub fn describe(metrics: &Metrics, definitions: &[Metric]) -> String {
    let one = |(name, value): (&String, &f64)| {
        let short = name.rsplit('.').next().unwrap_or(name);
        let unit = Metric::find(definitions, short).map(|metric| metric.unit);
        let name = name.replace(['.', '_'], " ");
        match unit {
            Some(Unit::Share) => format!("{name} {:.2} %", value * 100.0),
            _ => format!("{name} {value:.4}"),
        }
    };
    metrics.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_shown_in_the_unit_of_its_definition() {
        let metrics = [("test.words", 0.5), ("test.hits", 0.5)];
        let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).into();
        let hits = [Metric::higher("hits", Unit::Share)];
        let line = describe(&metrics, &hits);
        assert_eq!(line, "test hits 50.00 %, test words 0.5000");
    }

    #[test]
    fn a_run_has_about_twenty_lines_however_often_its_steps_are_logged() {
        let lines = |total_steps: usize, log_every: usize, from: usize| {
            let mut human = Human {
                bar: Bar::hidden(),
                total_steps,
                metrics: Vec::new(),
                printed: from,
                due: None,
            };
            let logged = (from + 1..=total_steps)
                .filter(|step| step.is_multiple_of(log_every) || *step == total_steps);
            let mut count = 0;
            for step in logged {
                if human.is_due(step) {
                    human.printed = step;
                    count += 1;
                }
            }
            count
        };
        for log_every in [1, 7, 10, 25, 50] {
            assert_eq!(lines(1000, log_every, 0), 20, "every {log_every} steps");
        }
        assert_eq!(lines(1000, 100, 0), 10);
        assert_eq!(lines(1000, 3000, 0), 1);
        assert_eq!(lines(1000, 10, 900), 2);
        assert_eq!(lines(5, 1, 0), 5);
    }
}
