//! Whether this machine could hold what is asked for, known before any of it is set aside: a failed
//! allocation ends the process.

use std::sync::OnceLock;

use zoo_compare::machine;

/// What is allowed where the system does not tell its memory: 1 TiB.
const MOST_BYTES: u64 = 1 << 40;
/// Weights, pixels and token ids are numbers of four bytes at least.
const NUMBER_BYTES: u128 = 4;

/// How many numbers a shape holds, without an overflow.
pub fn numbers(shape: &[usize]) -> u128 {
    let dims = shape.iter().map(|dim| *dim as u128);
    dims.fold(1, u128::saturating_mul)
}

/// Refuses `what`, which is so many numbers, if it could not even be stored here.
///
/// # Errors
/// What it would take, and what there is.
pub fn check(what: &str, numbers: u128) -> Result<(), String> {
    check_against(what, numbers, 1, available())
}

/// Refuses weights that could not be computed with: there must be room for them twice, as they are
/// drawn or read and as they are used.
///
/// # Errors
/// What they would take, and what there is.
pub fn check_weights(what: &str, numbers: u128) -> Result<(), String> {
    check_against(what, numbers, 2, available())
}

/// What was free when it was first asked for.
fn available() -> Option<u64> {
    static MEMORY: OnceLock<Option<u64>> = OnceLock::new();
    *MEMORY.get_or_init(machine::available_bytes)
}

fn check_against(
    what: &str,
    numbers: u128,
    times: u128,
    memory: Option<u64>,
) -> Result<(), String> {
    let bytes = numbers.saturating_mul(NUMBER_BYTES);
    if bytes.saturating_mul(times) <= u128::from(memory.unwrap_or(MOST_BYTES)) {
        return Ok(());
    }
    let again = if times > 1 {
        ", and as much again to compute with them"
    } else {
        ""
    };
    let bytes = match bytes {
        u128::MAX => "more bytes than can be counted".into(),
        bytes => format!("{bytes} bytes ({})", in_words(bytes)),
    };
    let there = match memory {
        Some(memory) => format!("{} are free here", in_words(memory.into())),
        None => format!("more than the {} allowed", in_words(MOST_BYTES.into())),
    };
    Err(format!("{what} would take {bytes}{again}; {there}"))
}

/// `3.1 TB`
fn in_words(bytes: u128) -> String {
    const UNITS: [&str; 8] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_its_size() {
        let memory = Some(16_000_000_000);
        check_against("it", 4_000_000_000, 1, memory).unwrap();
        let error = check_against("the batch", 4_000_000_001, 1, memory).unwrap_err();
        let expected = "the batch would take 16000000004 bytes (16.0 GB); 16.0 GB are free here";
        assert_eq!(error, expected);
        check_against("weights", 2_000_000_000, 2, memory).unwrap();
        let error = check_against("weights", 2_000_000_001, 2, memory).unwrap_err();
        assert!(
            error.contains("8.0 GB") && error.contains("as much again"),
            "{error}"
        );
        let error = check_against("it", 1 << 60, 1, None).unwrap_err();
        assert!(
            error.contains("4.6 EB") && error.contains("1.1 TB allowed"),
            "{error}"
        );
        check_against("it", 1 << 38, 1, None).unwrap();
        let error = check_against("it", numbers(&[usize::MAX; 3]), 1, memory).unwrap_err();
        assert!(error.contains("more bytes than can be counted"), "{error}");
    }
}
