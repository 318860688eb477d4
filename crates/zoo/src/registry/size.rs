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
    static MEMORY: OnceLock<Option<u64>> = OnceLock::new();
    let memory = *MEMORY.get_or_init(machine::memory_bytes);
    check_against(what, numbers, memory)
}

fn check_against(what: &str, numbers: u128, memory: Option<u64>) -> Result<(), String> {
    let bytes = numbers.saturating_mul(NUMBER_BYTES);
    if bytes <= u128::from(memory.unwrap_or(MOST_BYTES)) {
        return Ok(());
    }
    let bytes = match bytes {
        u128::MAX => "more bytes than can be counted".into(),
        bytes => format!("{bytes} bytes ({})", in_words(bytes)),
    };
    let there = match memory {
        Some(memory) => format!("this machine has {}", in_words(memory.into())),
        None => format!("more than the {} allowed", in_words(MOST_BYTES.into())),
    };
    Err(format!("{what} would take {bytes}; {there}"))
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
        check_against("it", 4_000_000_000, memory).unwrap();
        let error = check_against("the weights", 4_000_000_001, memory).unwrap_err();
        let expected =
            "the weights would take 16000000004 bytes (16.0 GB); this machine has 16.0 GB";
        assert_eq!(error, expected);
        let error = check_against("it", 1 << 60, None).unwrap_err();
        assert!(
            error.contains("4.6 EB") && error.contains("1.1 TB allowed"),
            "{error}"
        );
        check_against("it", 1 << 38, None).unwrap();
        let error = check_against("it", numbers(&[usize::MAX; 3]), memory).unwrap_err();
        assert!(error.contains("more bytes than can be counted"), "{error}");
    }
}
