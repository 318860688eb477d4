//! Files that are not what they should be: no parser may panic, hang or swell. The targets are those
//! of the fuzzer (docs/security.md), run here on stable; `ZOO_FUZZ_CASES` says how often.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

use std::any::Any;
use std::cell::Cell;
use std::env;
use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};

#[path = "../fuzz/targets.rs"]
mod targets;

use targets::{Target, selected};

/// Far more than any case takes, so that a busy machine is no failure.
const MOST_TIME: Duration = Duration::from_secs(20);

/// Parts of formats, and numbers that parsers have failed on.
const TOKENS: &[&str] = &[
    "\n",
    "\r",
    "\t",
    "\0",
    "\u{feff}",
    "\u{2028}",
    "İ",
    "\"",
    "'",
    "\"\"\"",
    "\\u0000",
    "\\",
    "/",
    "..",
    "../x",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    ",",
    ":",
    ".",
    "#",
    "a.a",
    "null",
    "true",
    "nan",
    "inf",
    "-inf",
    "-0.0",
    "1e999",
    "1e-999",
    "1e308",
    "1.7976931348623157e308",
    "-1.7976931348623157e308",
    "5e-324",
    "1e-320",
    "253402300800",
    "0",
    "-1",
    "256",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1979-05-27",
    "0x7f",
    "\"$__toml_private_datetime\":",
    "http://",
    "https://",
    "@",
    "[::1]",
    "%2e%2e",
    ".gz",
    "ustar",
    "IHDR",
    "IDAT",
    "PLTE",
    "iCCP",
    "zTXt",
    "acTL",
    "ctorch\n",
    "cos\nsystem\n",
    "R",
    "tQ",
    "PK\u{1}\u{2}",
    "PK\u{6}\u{6}",
    "]q\0(",
    "0(h\0h\0lq\0",
    "(t0",
    "}NNs",
    "(?:a+)+$",
    "{99999}",
    "\\p{L}",
    "type",
    "num_classes",
    "65536",
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"},",
    "{\"type\":\"ByteLevel\"},",
    "{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}},",
    "\"content\":\"\"",
    "\"length\":0",
    "\"String\":\"\"",
    "\"widths\":[1,1,1],",
    "\"num_layers\":65536,",
    "\"id2label\":null,",
];

/// The contents of a file, shown as a byte string.
struct File(Vec<u8>);

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// What happens to a file on its way.
#[derive(Clone, Debug)]
enum Damage {
    Flip(u8),
    Insert(Vec<u8>),
    Token(&'static str),
    /// A number of so many bytes, as a format would store a length, in either order of bytes.
    Number(u64, usize, bool),
    Truncate,
    Remove(usize),
    Repeat(usize, usize),
    /// All from here on is that of another file, from the same place on.
    Splice(Index),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>, at: usize, seeds: &[Vec<u8>]) {
        let until = |length: usize| (at + length).min(bytes.len());
        match self {
            Self::Flip(bits) => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Self::Insert(new) => drop(bytes.splice(at..at, new.iter().copied())),
            Self::Token(token) => drop(bytes.splice(at..at, token.bytes())),
            Self::Number(number, width, big) => {
                let end = until(*width);
                let number = number.to_le_bytes().into_iter().take(end - at);
                let mut number: Vec<u8> = number.collect();
                if *big {
                    number.reverse();
                }
                bytes[at..end].copy_from_slice(&number);
            }
            Self::Truncate => bytes.truncate(at),
            Self::Remove(length) => drop(bytes.drain(at..until(*length))),
            Self::Repeat(length, times) => {
                let part = bytes[at..until(*length)].repeat(*times);
                bytes.splice(at..at, part);
            }
            Self::Splice(other) => {
                let other = other.get(seeds);
                bytes.truncate(at);
                bytes.extend(other.iter().skip(at));
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let extreme = select(vec![
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        i64::MAX as u64,
        1 << 63,
        u64::MAX,
        u64::MAX - 7,
    ]);
    prop_oneof![
        4 => any::<u8>().prop_map(Damage::Flip),
        1 => vec(any::<u8>(), 1..16).prop_map(Damage::Insert),
        3 => select(TOKENS).prop_map(Damage::Token),
        3 => (extreme, select(vec![1, 2, 4, 8]), any::<bool>())
            .prop_map(|(number, width, big)| Damage::Number(number, width, big)),
        1 => Just(Damage::Truncate),
        1 => (1..64_usize).prop_map(Damage::Remove),
        1 => (1..64_usize, 1..200_usize).prop_map(|(length, times)| Damage::Repeat(length, times)),
        1 => any::<Index>().prop_map(Damage::Splice),
    ]
}

/// A damaged seed, or now and then bytes that never were a file.
fn file(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = File> {
    let damaged =
        (any::<Index>(), vec((any::<Index>(), damage()), 0..8)).prop_map(move |(seed, damages)| {
            let mut bytes = seed.get(&seeds).clone();
            for (at, damage) in damages {
                let at = at.index(bytes.len() + 1);
                damage.apply(&mut bytes, at, &seeds);
            }
            bytes
        });
    prop_oneof![9 => damaged, 1 => vec(any::<u8>(), 0..600)].prop_map(File)
}

/// Runs a case on a thread of its own, which a hang leaves behind.
fn run(target: &'static Target, bytes: Vec<u8>) -> Result<bool, String> {
    let (done, wait) = channel();
    let thread = thread::spawn(move || {
        let taken = target.run(&bytes);
        let _ = done.send(());
        taken
    });
    if wait.recv_timeout(MOST_TIME) == Err(RecvTimeoutError::Timeout) {
        return Err(format!("not done after {MOST_TIME:?}"));
    }
    thread.join().map_err(|panic| message(&*panic).to_owned())
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message")
}

/// One test for all, since memory is counted for the whole program.
#[test]
fn hostile_files_are_read_or_refused() {
    let cases = env::var("ZOO_FUZZ_CASES").map_or(2_000, |cases| cases.parse().unwrap());
    for target in selected() {
        let begin = Instant::now();
        let seeds = (target.seeds)();
        for seed in &seeds {
            // Each whole file is taken, or what is made of it tests little.
            assert_eq!(
                run(target, seed.clone()),
                Ok(true),
                "{}: {seed:?}",
                target.name
            );
        }
        for trap in target.traps() {
            let taken = run(target, trap);
            assert!(taken.is_ok(), "{}: a trap: {taken:?}", target.name);
        }
        let mut runner = TestRunner::new(ProptestConfig {
            cases,
            // The same cases every time; what they find becomes a test beside the parser.
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let taken = Cell::new(0);
        let result = runner.run(&file(seeds), |File(bytes)| {
            taken.set(taken.get() + u32::from(run(target, bytes).map_err(TestCaseError::fail)?));
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{}: {error}", target.name));
        println!(
            "{}: {cases} files, of which {} were taken, in {:.1?}",
            target.name,
            taken.get(),
            begin.elapsed()
        );
    }
}
