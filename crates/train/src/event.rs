//! What happens in a run, one event at a time: the lines of `metrics.jsonl` and of `--json`.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::metric::{Metric, Metrics};
use crate::run_file::METRICS_FILE;

/// One event. Steps count from 1 here: step 1 is the first update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The run begins, or goes on after `step`.
    Start {
        /// Recipe, in full length.
        recipe: String,
        /// Steps done before.
        step: usize,
        /// Steps in all.
        total_steps: usize,
        /// Steps in one pass over the training data.
        steps_per_epoch: usize,
        /// Numbers that are trained: what is frozen does not count, and adapters do.
        parameters: usize,
        /// What the model is judged by.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        metrics: Vec<Metric>,
    },
    /// A step whose loss is reported.
    Step {
        /// Steps done.
        step: usize,
        /// Passes over the data done, with a fraction.
        epoch: f64,
        /// The step's mean loss.
        loss: f64,
        /// The learning rate that the step used; with layer-wise decay, the last layer's.
        learning_rate: f64,
        /// Length of the gradient, before clipping where the recipe clips.
        #[serde(deserialize_with = "or_nan")]
        gradient_norm: f64,
        /// Training examples a second since the last such event.
        samples_per_second: f64,
    },
    /// A pass over the data is complete.
    Epoch {
        /// Passes done.
        epoch: usize,
        /// Steps done.
        step: usize,
        /// Mean of the epoch's step losses.
        loss: f64,
        /// Time since the run began (or was resumed), in seconds.
        wall_seconds: f64,
    },
    /// The model was judged on the validation data.
    Validation {
        /// Steps done.
        step: usize,
        /// The validation metrics.
        #[serde(deserialize_with = "metrics_or_nan")]
        metrics: Metrics,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: usize,
        /// Where it lies.
        path: String,
    },
    /// The run is over.
    Finish {
        /// The run folder.
        run: String,
        /// Metrics of the result, by `split.metric`.
        #[serde(deserialize_with = "metrics_or_nan")]
        metrics: Metrics,
        /// Steps done.
        steps: usize,
        /// Whether it stopped for want of a better model.
        stopped_early: bool,
        /// Time in all, in seconds.
        wall_seconds: f64,
        /// Training examples a second, validation and checkpoints aside.
        samples_per_second: f64,
    },
}

impl Event {
    /// Steps done when it happened.
    pub fn step(&self) -> usize {
        match self {
            Self::Start { step, .. }
            | Self::Step { step, .. }
            | Self::Epoch { step, .. }
            | Self::Validation { step, .. }
            | Self::Checkpoint { step, .. } => *step,
            Self::Finish { steps, .. } => *steps,
        }
    }
}

/// JSON has no NaN and no infinity; they are written as null.
fn or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

pub(crate) fn metrics_or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Metrics, D::Error> {
    let metrics = std::collections::BTreeMap::<String, Option<f64>>::deserialize(from)?;
    let or_nan = |(name, value): (String, Option<f64>)| (name, value.unwrap_or(f64::NAN));
    Ok(metrics.into_iter().map(or_nan).collect())
}

/// Largest file of events that is read: seven million steps.
const MOST_BYTES: u64 = 1 << 30;

/// Reads the events of a run folder; see [`read_events`].
///
/// # Errors
/// A file that is not there, cannot be read, or is too large.
pub fn events_in(folder: &Path) -> io::Result<(Vec<Event>, Vec<String>)> {
    let file = zoo_files::open_at_most(&folder.join(METRICS_FILE), MOST_BYTES)?;
    read_lines(BufReader::new(file.take(MOST_BYTES)))
}

/// At most this many unreadable lines are named one by one.
const NAMED_PROBLEMS: usize = 5;

/// Longest line that is read; the longest that is written holds a recipe. A line is a tree before it
/// is an event, which takes many times its length.
const MOST_LINE_BYTES: usize = 1 << 22;

/// Characters of what is wrong with a line that are told.
const MOST_QUOTED: usize = 300;

/// Reads a `metrics.jsonl`: its events, and what was wrong with the lines that are none. A last
/// line without its end is none of these: the run is writing it, or was killed while it did.
pub fn read_events(bytes: &[u8]) -> (Vec<Event>, Vec<String>) {
    // Bytes that are there can be read.
    read_lines(bytes).unwrap_or_default()
}

/// Line by line: a file may be long because of holes in it, which are passed over.
fn read_lines(mut from: impl BufRead) -> io::Result<(Vec<Event>, Vec<String>)> {
    let (mut events, mut problems, mut unnamed) = (Vec::new(), Vec::new(), 0);
    let (mut line, mut number) = (Vec::new(), 0);
    while let Some(length) = next_line(&mut from, &mut line)? {
        number += 1;
        if line.trim_ascii().is_empty() && length <= MOST_LINE_BYTES {
            continue;
        }
        let read = if length > MOST_LINE_BYTES {
            Err(format!("{length} bytes are more than {MOST_LINE_BYTES}"))
        } else {
            // It may quote what stands there.
            serde_json::from_slice(&line)
                .map_err(|error| error.to_string().chars().take(MOST_QUOTED).collect())
        };
        match read {
            Ok(event) => events.push(event),
            Err(problem) if problems.len() < NAMED_PROBLEMS => {
                problems.push(format!("metrics.jsonl, line {number}: {problem}"));
            }
            Err(_) => unnamed += 1,
        }
    }
    if unnamed > 0 {
        problems.push(format!("metrics.jsonl: {unnamed} more unreadable lines"));
    }
    Ok((events, problems))
}

/// The length of the next line, and as much of it as may be read. None where there is no other, or
/// only the beginning of one, unless that is longer than a line can be.
fn next_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<usize>> {
    line.clear();
    let most = MOST_LINE_BYTES as u64 + 1;
    from.by_ref().take(most).read_until(b'\n', line)?;
    if line.ends_with(b"\n") {
        line.pop();
        Ok(Some(line.len()))
    } else if line.len() <= MOST_LINE_BYTES {
        Ok(None)
    } else {
        Ok(Some(line.len() + from.skip_until(b'\n')?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_at_the_end_is_passed_over_and_damage_elsewhere_is_named() {
        let line = |step| {
            let event = Event::Checkpoint {
                step,
                path: "c".into(),
            };
            serde_json::to_string(&event).unwrap()
        };
        let text = format!("{}\n{}\n{}", line(1), line(2), &line(3)[..20]);
        let (events, problems) = read_events(text.as_bytes());
        assert_eq!((events.len(), problems.len()), (2, 0));
        let text = format!(
            "{}\n{}\n{}\n",
            line(1),
            "{\"event\":1}\n".repeat(8),
            line(2)
        );
        let (events, problems) = read_events(text.as_bytes());
        assert_eq!((events.len(), problems.len()), (2, NAMED_PROBLEMS + 1));
        assert!(
            problems[0].starts_with("metrics.jsonl, line 2: "),
            "{problems:?}"
        );
        assert_eq!(read_events(b"").0, []);
        let long = format!("{}{}\n{}\n", line(1), " ".repeat(MOST_LINE_BYTES), line(2));
        let (events, problems) = read_events(long.as_bytes());
        assert_eq!((events.len(), problems.len()), (1, 1));
        assert!(problems[0].contains("more than 4194304"), "{problems:?}");
        let cut = long.trim_end().to_owned() + &" ".repeat(MOST_LINE_BYTES);
        let (events, problems) = read_events(cut.as_bytes());
        assert_eq!((events.len(), problems.len()), (0, 2));
    }

    /// Thirty gigabytes of nothing would be a minute's work, and too much to hold.
    #[test]
    fn a_log_with_holes_is_read_past_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS_FILE);
        let line = serde_json::to_string(&Event::Checkpoint {
            step: 1,
            path: "c".into(),
        });
        std::fs::write(&path, line.unwrap() + "\n").unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_len(200 << 20).unwrap();
        let (events, problems) = events_in(folder.path()).unwrap();
        assert_eq!((events.len(), problems.len()), (1, 1));
        file.set_len(30 << 30).unwrap();
        let error = events_in(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_json_cannot_say_comes_back_as_nan() {
        let event = Event::Validation {
            step: 1,
            metrics: Metrics::from([("loss".into(), f64::NAN)]),
            best: false,
        };
        let line = serde_json::to_string(&event).unwrap() + "\n";
        let (events, problems) = read_events(line.as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        assert!(
            matches!(&events[0], Event::Validation { metrics, .. } if metrics["loss"].is_nan())
        );
    }
}
