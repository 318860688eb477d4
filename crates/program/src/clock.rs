//! What time it is, as records say it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that RFC 3339 has a name for, 9999-12-31T23:59:59Z, since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// Now, RFC 3339 in UTC.
pub(crate) fn now() -> String {
    text(SystemTime::now())
}

/// A machine's clock may be set to anything; what has no name is told as the nearest second that has.
fn text(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND));
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_to_anything_tells_a_time() {
        let second = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let cases = [
            (second(1_767_225_600), "2026-01-01T00:00:00Z"),
            (UNIX_EPOCH - Duration::from_secs(1), "1970-01-01T00:00:00Z"),
            (
                UNIX_EPOCH - Duration::from_secs(1 << 40),
                "1970-01-01T00:00:00Z",
            ),
            (second(LAST_SECOND), "9999-12-31T23:59:59Z"),
            (second(LAST_SECOND + 1), "9999-12-31T23:59:59Z"),
            (second(i64::MAX as u64), "9999-12-31T23:59:59Z"),
        ];
        for (time, expected) in cases {
            assert_eq!(text(time), expected);
        }
    }
}
