//! TensorBoard's event files.
//!
//! A file is a row of records, `length u64, masked CRC-32C of it, message, masked CRC-32C of it`,
//! little-endian; a message is an `Event` of TensorFlow's `event.proto`, of which the few fields
//! that scalars need are declared below.
//!
//! TensorBoard reads the files of a folder in the order of their names, each from where it last
//! stopped, and never looks back. So a resumed run gets a new file with a later name, which opens
//! with the word that whatever came before did not happen, and the old one is emptied. It stays,
//! because TensorBoard's slower reader (`--load_fast=false`) never gets past a file that goes away.

use std::fs::File;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use zoo_files::Folder;

use crate::table::{values, write_anew};

/// Where event files lie in a run folder.
pub const TENSORBOARD_FOLDER: &str = "tensorboard";
/// What TensorBoard looks for in a name.
const PREFIX: &str = "events.out.tfevents.";
/// Where others put the name of the machine, which is nobody's business.
const SUFFIX: &str = ".zoo";
const FILE_VERSION: &str = "brain.Event:2";
/// `SessionLog.START`.
const SESSION_START: i32 = 1;

/// An event file, open for the events to come.
#[derive(Debug)]
pub struct TensorBoard {
    file: File,
}

impl TensorBoard {
    /// Begins a new event file of a run with `kept`, the events before the one at hand, and
    /// empties those of before: a resumed run goes on from a checkpoint, and what came after it
    /// did not happen. A TensorBoard that is watching forgets it too.
    ///
    /// # Errors
    /// A folder or file that cannot be written.
    pub fn start(run: &Folder, kept: &[zoo_train::Event]) -> io::Result<Self> {
        let folder = run.make_inner(TENSORBOARD_FOLDER)?;
        let old = ours(&folder)?;
        let now = wall_time();
        // A later name than any before, also within one second or after the clock was set back.
        let newest = old.iter().map(|(seconds, _)| seconds.saturating_add(1));
        let seconds = newest.max().unwrap_or(0).max(now as u64);
        let name = format!("{PREFIX}{seconds:010}{SUFFIX}");

        let mut bytes = record(&Event {
            wall_time: now,
            file_version: Some(FILE_VERSION.into()),
            ..Event::default()
        });
        bytes.extend(record(&Event {
            wall_time: now,
            session_log: Some(SessionLog {
                status: SESSION_START,
            }),
            ..Event::default()
        }));
        for event in kept {
            // When they happened was not written down. One moment for all of them is visibly no
            // measurement; an invented pace would look like one.
            bytes.extend(scalars(event, now));
        }
        let file = write_anew(&folder, &name, &bytes)?;
        for (_, old) in old.iter().filter(|(_, old)| *old != name) {
            folder.write(old, b"")?;
        }
        Ok(Self { file })
    }

    /// Appends an event's values, at once: they are few, and a TensorBoard may be watching.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn event(&mut self, event: &zoo_train::Event) -> io::Result<()> {
        self.file.write_all(&scalars(event, wall_time()))
    }
}

/// The event files in a folder that were written here, and the seconds of their names.
fn ours(folder: &Folder) -> io::Result<Vec<(u64, String)>> {
    let names = folder.names()?.into_iter();
    let found = names.filter_map(|name| {
        let name = name.into_string().ok()?;
        let seconds = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        Some((seconds.parse().ok()?, name))
    });
    Ok(found.collect())
}

/// Seconds since 1970.
fn wall_time() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

/// One record with all the values of an event; nothing where it has none.
fn scalars(event: &zoo_train::Event, wall_time: f64) -> Vec<u8> {
    let values = values(event).into_iter();
    let value: Vec<Value> = values
        .map(|(split, metric, value)| Value {
            tag: format!("{split}/{metric}"),
            simple_value: Some(value as f32),
        })
        .collect();
    if value.is_empty() {
        return Vec::new();
    }
    record(&Event {
        wall_time,
        step: i64::try_from(event.step()).unwrap_or(i64::MAX),
        summary: Some(Summary { value }),
        ..Event::default()
    })
}

fn record(event: &Event) -> Vec<u8> {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(&message);
    record.extend(masked_crc(&message).to_le_bytes());
    record
}

/// Masked because a sum over data with sums in it tells less (TensorFlow's `crc32c.h`).
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// `tensorflow.Event`. What is a `oneof` there is `optional` here, which is the same on the wire
/// and, unlike a plain field, also written where it is 0.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    /// That a session starts makes TensorBoard forget everything from `step` on.
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

/// `tensorflow.Summary`
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// `tensorflow.Summary.Value`
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// `tensorflow.SessionLog`
#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Written by the `RecordWriter` and the messages of TensorBoard 2.21.0, in Python.
    #[test]
    fn records_are_tensorboards_own_to_the_byte() {
        let version = Event {
            wall_time: 1.5,
            file_version: Some(FILE_VERSION.into()),
            ..Event::default()
        };
        let start = Event {
            wall_time: 1.5,
            session_log: Some(SessionLog {
                status: SESSION_START,
            }),
            ..Event::default()
        };
        let zero = zoo_train::Event::Epoch {
            epoch: 1,
            step: 300,
            loss: 0.0,
            wall_seconds: 9.0,
        };
        let cases = [
            (
                record(&version),
                "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c",
            ),
            (
                record(&start),
                "0d000000000000003c37b83409000000000000f83f3a020801b718825c",
            ),
            (
                scalars(&zero, 1.5),
                "2700000000000000bbe1b14609000000000000f83f10ac022a190a170a10747261696e2f65706f63\
                 685f6c6f73731500000000c9b80eb2",
            ),
        ];
        for (written, expected) in cases {
            assert_eq!(hex(&written), expected);
        }
    }
}
