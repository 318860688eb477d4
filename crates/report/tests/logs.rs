//! Logs beside `metrics.jsonl`: what other programs will read in them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use zoo_files::Folder;
use zoo_report::{Table, TensorBoard};
use zoo_train::{Event, Metrics};

fn start(step: usize) -> Event {
    Event::Start {
        recipe: "test".into(),
        step,
        total_steps: 40,
        steps_per_epoch: 20,
        parameters: 7,
        metrics: Vec::new(),
    }
}

fn step(step: usize, loss: f64) -> Event {
    Event::Step {
        step,
        epoch: step as f64 / 20.0,
        loss,
        learning_rate: 0.125,
        gradient_norm: f64::NAN,
        samples_per_second: 1000.0,
    }
}

fn validation(step: usize, accuracy: f64) -> Event {
    Event::Validation {
        step,
        metrics: Metrics::from([
            ("accuracy".into(), accuracy),
            ("loss".into(), f64::INFINITY),
        ]),
        best: true,
    }
}

fn finish() -> Event {
    Event::Finish {
        run: "runs/test-flex-1".into(),
        metrics: Metrics::from([
            ("test.accuracy".into(), 0.75),
            ("valid.accuracy".into(), 0.5),
        ]),
        steps: 40,
        stopped_early: false,
        wall_seconds: 3.0,
        samples_per_second: 1000.0,
    }
}

/// A run of 40 steps, of which the ones from `after` on were computed anew with other losses.
fn whole_run(loss: f64) -> Vec<Event> {
    vec![
        start(0),
        step(10, loss),
        step(20, 0.0),
        Event::Epoch {
            epoch: 1,
            step: 20,
            loss: 1.5,
            wall_seconds: 1.0,
        },
        validation(20, 0.5),
        Event::Checkpoint {
            step: 20,
            path: "checkpoints/20".into(),
        },
        step(30, loss),
        finish(),
    ]
}

/// What a run that is resumed from step 20 keeps.
fn kept(events: &[Event]) -> Vec<Event> {
    let kept = events.iter().filter(|event| event.step() <= 20);
    kept.cloned().collect()
}

/// A reader of event files that shares no code with the writer.
mod reader {
    /// Bit by bit, over the reversed Castagnoli polynomial.
    pub fn crc32c(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
            }
        }
        !crc
    }

    fn unmask(masked: u32) -> u32 {
        let turned = masked.wrapping_sub(0xa282_ead8);
        turned.rotate_left(15)
    }

    fn number<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.get(..N)?.try_into().ok()
    }

    /// The messages of a file, and the bytes after the last whole one.
    pub fn records(mut bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
        let mut messages = Vec::new();
        let mut one = |bytes: &mut &[u8]| -> Option<()> {
            let length = u64::from_le_bytes(number(bytes)?) as usize;
            let sum = u32::from_le_bytes(number(&bytes[8..])?);
            assert_eq!(unmask(sum), crc32c(&bytes[..8]), "sum of a length");
            let message = bytes.get(12..12 + length)?;
            let sum = u32::from_le_bytes(number(&bytes[12 + length..])?);
            assert_eq!(unmask(sum), crc32c(message), "sum of a message");
            messages.push(message.to_vec());
            *bytes = &bytes[16 + length..];
            Some(())
        };
        while one(&mut bytes).is_some() {}
        (messages, bytes.len())
    }

    /// The fields of a protocol buffer: number, and value as bytes.
    pub fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for place in 0.. {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << (7 * place);
                if byte < 0x80 {
                    break;
                }
            }
            value
        }
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let length = match key & 7 {
                0 => {
                    let value = varint(&mut bytes);
                    fields.push((key >> 3, value.to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => varint(&mut bytes) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, bytes[..length].to_vec()));
            bytes = &bytes[length..];
        }
        fields
    }

    /// What a file says.
    #[derive(Debug, Default)]
    pub struct Read {
        pub version: Option<String>,
        /// Steps from which on everything before is to be forgotten.
        pub restarts: Vec<u64>,
        /// Wall time, step, tag, value.
        pub scalars: Vec<(f64, u64, String, f32)>,
    }

    pub fn read(bytes: &[u8]) -> Read {
        let (messages, rest) = records(bytes);
        assert_eq!(rest, 0, "half a record at the end");
        let mut read = Read::default();
        for (place, message) in messages.iter().enumerate() {
            let (mut wall_time, mut step) = (0.0, 0);
            for (field, value) in fields(message) {
                match field {
                    1 => wall_time = f64::from_le_bytes(value.try_into().unwrap()),
                    2 => step = u64::from_le_bytes(value.try_into().unwrap()),
                    3 => {
                        assert_eq!(place, 0);
                        read.version = Some(String::from_utf8(value).unwrap());
                    }
                    5 => {
                        for (_, value) in fields(&value) {
                            let value = fields(&value);
                            let of = |number| {
                                let found = value.iter().find(|(field, _)| *field == number);
                                found
                                    .unwrap_or_else(|| panic!("no field {number}"))
                                    .1
                                    .clone()
                            };
                            let tag = String::from_utf8(of(1)).unwrap();
                            let number = f32::from_le_bytes(of(2).try_into().unwrap());
                            read.scalars.push((wall_time, step, tag, number));
                        }
                    }
                    7 => {
                        assert_eq!(fields(&value), [(1, 1_u64.to_le_bytes().to_vec())]);
                        read.restarts.push(step);
                    }
                    other => panic!("field {other}"),
                }
            }
        }
        read
    }
}

#[test]
fn the_readers_sums_are_those_of_rfc_3720() {
    let ascending: Vec<u8> = (0..32).collect();
    let cases: [(&[u8], u32); 5] = [
        (b"123456789", 0xe306_9283),
        (&[0; 32], 0x8a91_36aa),
        (&[0xff; 32], 0x62a8_ab43),
        (&ascending, 0x46dd_794e),
        (b"", 0),
    ];
    for (bytes, sum) in cases {
        assert_eq!(reader::crc32c(bytes), sum, "{bytes:?}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

fn written(folder: &Path) -> (PathBuf, Vec<u8>) {
    let files = files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    (files[0].clone(), fs::read(&files[0]).unwrap())
}

/// Steps and values of a tag.
fn curve(read: &reader::Read, tag: &str) -> Vec<(u64, f32)> {
    let scalars = read.scalars.iter().filter(|scalar| scalar.2 == tag);
    scalars.map(|scalar| (scalar.1, scalar.3)).collect()
}

#[test]
fn tensorboard_is_told_every_value_at_once() {
    let root = tempfile::tempdir().unwrap();
    let run = Folder::open(root.path()).unwrap();
    let folder = root.path().join("tensorboard");
    let mut log = TensorBoard::start(&run, &[]).unwrap();
    let mut told = 0;
    for event in whole_run(2.5) {
        log.event(&event).unwrap();
        // Not when the log is dropped: whoever watches sees it now, and a kill loses nothing.
        let read = reader::read(&written(&folder).1);
        let new = read.scalars.len() - told;
        told = read.scalars.len();
        match event {
            Event::Step { .. } => assert_eq!(new, 4),
            Event::Validation { .. } => assert_eq!(new, 2),
            Event::Epoch { .. } | Event::Finish { .. } => assert_eq!(new, 1),
            Event::Start { .. } | Event::Checkpoint { .. } => assert_eq!(new, 0),
        }
    }
    let (file, bytes) = written(&folder);
    let seconds = name(&file).strip_prefix("events.out.tfevents.").unwrap();
    let seconds = seconds.strip_suffix(".zoo").unwrap();
    assert!(seconds.len() == 10 && seconds.parse::<u64>().unwrap() > 1_700_000_000);

    let read = reader::read(&bytes);
    assert_eq!(read.version.as_deref(), Some("brain.Event:2"));
    assert_eq!(read.restarts, [0]);
    // A loss of exactly 0 is a value like any other, which protocol buffers like to leave out.
    assert_eq!(
        curve(&read, "train/loss"),
        [(10, 2.5), (20, 0.0), (30, 2.5)]
    );
    assert_eq!(curve(&read, "train/learning_rate")[1], (20, 0.125));
    assert!(curve(&read, "train/gradient_norm")[0].1.is_nan());
    assert_eq!(curve(&read, "train/samples_per_second").len(), 3);
    assert_eq!(curve(&read, "train/epoch_loss"), [(20, 1.5)]);
    // Not once more at step 40, where that was not measured.
    assert_eq!(curve(&read, "valid/accuracy"), [(20, 0.5)]);
    assert_eq!(curve(&read, "valid/loss"), [(20, f32::INFINITY)]);
    assert_eq!(curve(&read, "test/accuracy"), [(40, 0.75)]);
    let times: Vec<f64> = read.scalars.iter().map(|scalar| scalar.0).collect();
    assert!(times.is_sorted() && times[0] >= 1.7e9, "{times:?}");
}

#[test]
fn tensorboard_forgets_what_a_resumed_run_takes_back() {
    let root = tempfile::tempdir().unwrap();
    let run = Folder::open(root.path()).unwrap();
    let folder = root.path().join("tensorboard");
    let first = whole_run(2.5);
    let mut log = TensorBoard::start(&run, &[]).unwrap();
    for event in &first {
        log.event(event).unwrap();
    }
    drop(log);
    // As a machine that went down in the middle of a record leaves it.
    let (old, bytes) = written(&folder);
    fs::write(&old, &bytes[..bytes.len() - 7]).unwrap();
    assert_ne!(reader::records(&bytes[..bytes.len() - 7]).1, 0);
    // Somebody else's file is left alone.
    let foreign = folder.join("events.out.tfevents.1700000000.elsewhere");
    fs::write(&foreign, "theirs").unwrap();

    let mut log = TensorBoard::start(&run, &kept(&first)).unwrap();
    log.event(&start(20)).unwrap();
    log.event(&step(30, 1.25)).unwrap();
    assert_eq!(fs::read(&foreign).unwrap(), b"theirs");
    fs::remove_file(&foreign).unwrap();
    // Readers go through a folder by name and never back: a file of the same name would be read on
    // from the middle, one with a smaller name never, and some wait for ever for one that is gone.
    assert_eq!(fs::read(&old).unwrap(), b"");
    assert_eq!(files(&folder)[0], old, "the new one has a later name");
    fs::remove_file(&old).unwrap();
    let bytes = written(&folder).1;
    let read = reader::read(&bytes);
    assert_eq!(read.restarts, [0]);
    assert_eq!(
        curve(&read, "train/loss"),
        [(10, 2.5), (20, 0.0), (30, 1.25)]
    );
    assert_eq!(curve(&read, "valid/accuracy"), [(20, 0.5)]);
    assert_eq!(curve(&read, "test/accuracy"), []);
    let times: Vec<f64> = read.scalars.iter().map(|scalar| scalar.0).collect();
    assert!(times.is_sorted(), "{times:?}");
}

/// The rows of a file, by header.
fn rows(file: &Path) -> Vec<[String; 5]> {
    let mut csv = csv::Reader::from_path(file).unwrap();
    let header = csv.headers().unwrap();
    assert_eq!(header, vec!["step", "epoch", "split", "metric", "value"]);
    let row = |record: csv::StringRecord| {
        let cells: Vec<String> = record.iter().map(str::to_owned).collect();
        cells.try_into().unwrap()
    };
    csv.records().map(|record| row(record.unwrap())).collect()
}

#[test]
fn a_row_of_the_table_is_a_value_and_is_there_at_once() {
    let root = tempfile::tempdir().unwrap();
    let run = Folder::open(root.path()).unwrap();
    let file = root.path().join("metrics.csv");
    let mut table = Table::start(&run, &[]).unwrap();
    let mut told = 0;
    for event in whole_run(0.1 + 0.2) {
        table.event(&event).unwrap();
        let now = rows(&file).len();
        assert_eq!(
            now > told,
            !matches!(event, Event::Start { .. } | Event::Checkpoint { .. })
        );
        told = now;
    }
    let rows = rows(&file);
    assert_eq!(rows.len(), 4 + 4 + 1 + 2 + 4 + 1);
    // To the last bit, and what is not finite as both pandas and R read it.
    assert_eq!(
        rows[0],
        ["10", "0.5", "train", "loss", "0.30000000000000004"]
    );
    assert_eq!(rows[2], ["10", "0.5", "train", "gradient_norm", "NaN"]);
    assert_eq!(rows[8], ["20", "1.0", "train", "epoch_loss", "1.5"]);
    assert_eq!(rows[9], ["20", "1.0", "valid", "accuracy", "0.5"]);
    assert_eq!(rows[10], ["20", "1.0", "valid", "loss", "Inf"]);
    assert_eq!(rows[15], ["40", "2.0", "test", "accuracy", "0.75"]);
    assert_eq!(files(root.path()), [file], "something was left beside it");
}

#[test]
fn the_table_forgets_what_a_resumed_run_takes_back() {
    let root = tempfile::tempdir().unwrap();
    let run = Folder::open(root.path()).unwrap();
    let file = root.path().join("metrics.csv");
    let first = whole_run(2.5);
    let mut table = Table::start(&run, &[]).unwrap();
    for event in &first {
        table.event(event).unwrap();
    }
    let mut table = Table::start(&run, &kept(&first)).unwrap();
    table.event(&step(30, 1.25)).unwrap();
    // Its epoch follows from the start that was kept.
    table.event(&validation(40, 0.75)).unwrap();
    let rows = rows(&file);
    let losses = rows.iter().filter(|row| row[2..4] == ["train", "loss"]);
    let losses: Vec<[&str; 2]> = losses.map(|row| [&*row[0], &*row[4]]).collect();
    assert_eq!(losses, [["10", "2.5"], ["20", "0.0"], ["30", "1.25"]]);
    assert_eq!(rows.last().unwrap()[..2], ["40", "2.0"]);
    assert!(rows.iter().all(|row| row[2] != "test"));
}

#[test]
fn a_log_that_cannot_be_written_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let run = Folder::open(root.path()).unwrap();
    let file = root.path().join("tensorboard");
    fs::write(&file, "").unwrap();
    assert!(TensorBoard::start(&run, &[]).is_err());
    // A folder of that name: the rename is refused, and nothing is left beside it.
    let folder = root.path().join("metrics.csv");
    fs::create_dir(&folder).unwrap();
    assert!(Table::start(&run, &[]).is_err());
    assert_eq!(files(root.path()), [folder, file]);
}

/// In a run folder from a stranger: under the logs' names, and those of event files of before.
#[cfg(unix)]
#[test]
fn logs_are_written_through_no_link() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let outside = root.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("profile"), "mine").unwrap();
    let run = Folder::make(&root.path().join("run")).unwrap();
    let inside = |name: &str| run.path().join(name);
    symlink(&outside, inside("tensorboard")).unwrap();
    let error = TensorBoard::start(&run, &[]).unwrap_err().to_string();
    assert!(error.contains("it is a link"), "{error}");
    fs::remove_file(inside("tensorboard")).unwrap();

    fs::create_dir(inside("tensorboard")).unwrap();
    let old = |seconds: u64| inside(&format!("tensorboard/events.out.tfevents.{seconds}.zoo"));
    symlink(outside.join("profile"), old(1_700_000_000)).unwrap();
    symlink(outside.join("absent"), old(1_700_000_001)).unwrap();
    fs::hard_link(outside.join("profile"), old(1_700_000_002)).unwrap();
    for name in ["metrics.csv", ".log", "metrics.csv.part"] {
        symlink(outside.join("profile"), inside(name)).unwrap();
    }
    let mut board = TensorBoard::start(&run, &[]).unwrap();
    let mut table = Table::start(&run, &[]).unwrap();
    for event in whole_run(2.5) {
        board.event(&event).unwrap();
        table.event(&event).unwrap();
    }
    assert_eq!(files(&outside), [outside.join("profile")]);
    assert_eq!(fs::read(outside.join("profile")).unwrap(), b"mine");
    assert_eq!(fs::read(old(1_700_000_002)).unwrap(), b"");
    assert_eq!(rows(&inside("metrics.csv")).len(), 16);
}
