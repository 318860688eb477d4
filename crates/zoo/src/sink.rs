//! Logs beside `metrics.jsonl`: `--log tensorboard,csv`.

use std::io;
use std::path::Path;

use zoo_report::{Table, TensorBoard};
use zoo_train::Event;

use crate::cli::LogForm;
use crate::error::Error;

/// Where events also go; nowhere by default.
#[derive(Default)]
pub struct Sinks {
    open: Vec<Box<dyn Sink>>,
    /// What kept a log from being written.
    lost: Vec<io::Error>,
}

trait Sink {
    fn event(&mut self, event: &Event) -> io::Result<()>;
}

impl Sink for TensorBoard {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.event(event)
    }
}

impl Sink for Table {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.event(event)
    }
}

impl Sinks {
    /// Opens the files in a run folder; `kept` are the events from before it was resumed.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn open(forms: &[LogForm], run: &Path, kept: &[Event]) -> Result<Self, Error> {
        let open = |form: &LogForm| -> io::Result<Box<dyn Sink>> {
            Ok(match form {
                LogForm::Tensorboard => {
                    Box::new(TensorBoard::start(&run.join("tensorboard"), kept)?)
                }
                LogForm::Csv => Box::new(Table::start(&run.join("metrics.csv"), kept)?),
            })
        };
        let open = forms.iter().map(open).collect::<io::Result<_>>();
        Ok(Self {
            open: open.map_err(|error| Error::Failed(format!("{}: {error}", run.display())))?,
            lost: Vec::new(),
        })
    }

    /// Says once more, at the end of a run, which logs were given up: they were asked for.
    pub fn say_lost(&self) {
        for error in &self.lost {
            eprintln!("warning: a log of --log is not whole: {error}; metrics.jsonl is");
        }
    }

    /// Hands an event on. A log that cannot be written is given up with a warning:
    /// `metrics.jsonl` has everything.
    pub fn event(&mut self, event: &Event) {
        self.open.retain_mut(|sink| match sink.event(event) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("warning: a log beside metrics.jsonl is given up: {error}");
                self.lost.push(error);
                false
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_cannot_be_written_is_given_up_and_the_others_go_on() {
        struct Counted(usize, usize);
        impl Sink for Counted {
            fn event(&mut self, _: &Event) -> io::Result<()> {
                self.0 += 1;
                match self.0 > self.1 {
                    true => Err(io::Error::other("the disk is full")),
                    false => Ok(()),
                }
            }
        }
        let mut sinks = Sinks {
            open: vec![Box::new(Counted(0, 1)), Box::new(Counted(0, 9))],
            lost: Vec::new(),
        };
        let event = Event::Checkpoint {
            step: 1,
            path: String::new(),
        };
        for _ in 0..4 {
            sinks.event(&event);
        }
        assert_eq!((sinks.open.len(), sinks.lost.len()), (1, 1));
    }
}
