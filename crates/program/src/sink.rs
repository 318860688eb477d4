//! Logs beside `metrics.jsonl`: `--log tensorboard,csv`.

use std::io;

use zoo_files::Folder;
use zoo_report::{TABLE_FILE, TENSORBOARD_FOLDER, Table, TensorBoard};
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
    pub fn open(forms: &[LogForm], run: &Folder, kept: &[Event]) -> Result<Self, Error> {
        let open = |form: &LogForm| -> Result<Box<dyn Sink>, Error> {
            let (name, opened): (_, io::Result<Box<dyn Sink>>) = match form {
                LogForm::Tensorboard => (
                    TENSORBOARD_FOLDER,
                    TensorBoard::start(run, kept).map(|log| Box::new(log) as _),
                ),
                LogForm::Csv => (
                    TABLE_FILE,
                    Table::start(run, kept).map(|log| Box::new(log) as _),
                ),
            };
            let path = run.path().join(name);
            opened.map_err(|error| Error::Failed(format!("{}: {error}", path.display())))
        };
        Ok(Self {
            open: forms.iter().map(open).collect::<Result<_, _>>()?,
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
