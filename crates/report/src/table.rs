//! `metrics.csv`: a row a value, in the long form that pandas and R group by.
//!
//! What both logs hold of an event is said here once.

use std::fs::File;
use std::io::{self, Write};

use zoo_files::Folder;
use zoo_train::Event;

/// The table's name in a run folder.
pub const TABLE_FILE: &str = "metrics.csv";

const COLUMNS: [&str; 5] = ["step", "epoch", "split", "metric", "value"];

/// `metrics.csv`, open for the events to come.
#[derive(Debug)]
pub struct Table {
    file: File,
    rows: Rows,
}

impl Table {
    /// Writes the table of a run anew from `kept`, the events before the one at hand, in place of what was
    /// there: a resumed run goes on from a checkpoint, and what came after it did not happen.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn start(run: &Folder, kept: &[Event]) -> io::Result<Self> {
        let mut rows = Rows::default();
        let mut bytes = write(|csv| csv.write_record(COLUMNS))?;
        for event in kept {
            bytes.extend(rows.of(event)?);
        }
        let file = write_anew(run, TABLE_FILE, &bytes)?;
        Ok(Self { file, rows })
    }

    /// Appends an event's values, at once: they are few, and whoever reads along waits for them.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        self.file.write_all(&self.rows.of(event)?)
    }
}

/// What it takes to make rows of events.
#[derive(Debug, Default)]
struct Rows {
    /// Known since the run's start; where it is not, most epochs cannot be told.
    steps_per_epoch: Option<usize>,
}

impl Rows {
    fn of(&mut self, event: &Event) -> io::Result<Vec<u8>> {
        if let Event::Start {
            steps_per_epoch, ..
        } = event
        {
            self.steps_per_epoch = Some(*steps_per_epoch);
        }
        let step = event.step();
        let epoch = match event {
            Event::Step { epoch, .. } => Some(*epoch),
            Event::Epoch { epoch, .. } => Some(*epoch as f64),
            _ => {
                let steps_per_epoch = self.steps_per_epoch.filter(|steps| *steps > 0);
                steps_per_epoch.map(|steps| step as f64 / steps as f64)
            }
        };
        let (step, epoch) = (step.to_string(), epoch.map_or(String::new(), number));
        write(|csv| {
            for (split, metric, value) in values(event) {
                csv.write_record([&step, &epoch, split, metric, &number(value)])?;
            }
            Ok(())
        })
    }
}

fn write(
    fill: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> Result<(), csv::Error>,
) -> io::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    fill(&mut csv)?;
    csv.into_inner().map_err(|error| error.into_error())
}

/// The shortest text that reads back as the same number. R knows infinity as `Inf` alone, pandas
/// in any case of the letters.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        _ => format!("{value:?}"),
    }
}

/// The numbers of an event: split, metric, value.
pub(crate) fn values(event: &Event) -> Vec<(&str, &str, f64)> {
    match event {
        Event::Start { .. } | Event::Checkpoint { .. } => Vec::new(),
        Event::Step {
            loss,
            learning_rate,
            gradient_norm,
            samples_per_second,
            ..
        } => vec![
            ("train", "loss", *loss),
            ("train", "learning_rate", *learning_rate),
            ("train", "gradient_norm", *gradient_norm),
            ("train", "samples_per_second", *samples_per_second),
        ],
        Event::Epoch { loss, .. } => vec![("train", "epoch_loss", *loss)],
        Event::Validation { metrics, .. } => {
            let named = metrics.iter();
            named
                .map(|(name, value)| ("valid", name.as_str(), *value))
                .collect()
        }
        Event::Finish { metrics, .. } => {
            let named = metrics.iter().map(|(name, value)| {
                let (split, metric) = name.split_once('.').unwrap_or(("result", name));
                (split, metric, *value)
            });
            // Those of the validation data belong to the best step, where they are already: at the
            // last step they would contradict what was measured there.
            named.filter(|(split, ..)| *split != "valid").collect()
        }
    }
}

/// Puts a whole log in place of what is there; what is returned appends to it.
pub(crate) fn write_anew(folder: &Folder, name: &str, bytes: &[u8]) -> io::Result<File> {
    folder.write(name, bytes)?;
    folder.append(name)
}
