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
        })
    }

    /// Hands an event on. A log that cannot be written is given up with a warning:
    /// `metrics.jsonl` has everything.
    pub fn event(&mut self, event: &Event) {
        self.open.retain_mut(|sink| match sink.event(event) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("warning: a log beside metrics.jsonl is given up: {error}");
                false
            }
        });
    }
}
