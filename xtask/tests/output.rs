//! Standard output and standard error that are full, closed, or read by nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(target_os = "linux")]

use std::process::{Command, Output};

fn shell(line: &str) -> Output {
    let line = line.replace("xtask", env!("CARGO_BIN_EXE_xtask"));
    Command::new("bash")
        .args(["-o", "pipefail", "-c", &line])
        .output()
        .unwrap()
}

#[test]
fn what_cannot_be_printed_is_an_error_and_a_reader_who_goes_is_none() {
    for command in ["help", "--help", "bench --help"] {
        let output = shell(&format!("xtask {command} > /dev/full"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(
            said.contains("cannot write to standard output: No space"),
            "{command}: {said}"
        );
        assert!(!said.contains("panicked"), "{command}: {said}");
        let output = shell(&format!("(sleep 0.1; xtask {command}) | true"));
        assert!(output.status.success(), "{command}: {output:?}");
        assert!(output.stderr.is_empty(), "{command}: {output:?}");
    }
    for how in ["2> /dev/full", "2>&-", "2> >(true)"] {
        let output = shell(&format!("xtask nosuch {how}"));
        assert_eq!(output.status.code(), Some(2), "{how}: {output:?}");
    }
}
