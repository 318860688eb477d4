//! Numbers as people read them: three significant digits, a unit, and never a zero that was not
//! measured.

use crate::report::Work;

/// What stands where nothing was measured.
pub const UNMEASURED: &str = "–";

/// Whether `value` is a number to print; 1e308 is how the schema writes an infinite one.
pub fn is_finite(value: f64) -> bool {
    value.is_finite() && value.abs() < 1e300
}

/// Three significant digits without an exponent: `0.0123`, `1.83`, `41.0`, `1230`.
pub fn digits(value: f64) -> String {
    if !is_finite(value) {
        return "not finite".into();
    }
    if value == 0.0 {
        return "0".into();
    }
    // Rounded first, so that 9.996 becomes 10.0 and not 10.00.
    let magnitude = value.abs().log10().floor() as i32;
    let unit = 10f64.powi(magnitude - 2);
    let rounded = (value / unit).round() * unit;
    let magnitude = (rounded.abs().log10() + 1e-9).floor() as i32;
    format!("{rounded:.*}", (2 - magnitude).max(0) as usize)
}

/// `value` over the first unit that keeps it below `limit`, the last one for anything larger.
fn scaled(value: f64, units: &[(f64, f64, &str)]) -> String {
    let largest = units.last();
    let unit = units
        .iter()
        .find(|(one, limit, _)| value.abs() / one < *limit);
    match unit.or(largest) {
        Some((one, _, name)) => format!("{} {name}", digits(value / one)),
        None => digits(value),
    }
}

/// `812 ns`, `12.3 µs`, `4.56 ms`, `1.20 s`, `3.50 min`, `2.10 h`.
pub fn seconds(value: f64) -> String {
    if !is_finite(value) {
        return "not finite".into();
    }
    if value == 0.0 {
        return "0 s".into();
    }
    let units = [
        (1e-9, 999.5, "ns"),
        (1e-6, 999.5, "µs"),
        (1e-3, 999.5, "ms"),
        (1.0, 119.5, "s"),
        (60.0, 119.5, "min"),
        (3600.0, f64::INFINITY, "h"),
    ];
    scaled(value, &units)
}

/// Two times in one unit where they have the same: `12.1–12.6 ms`.
pub fn range([low, high]: [f64; 2]) -> String {
    let (low, high) = (seconds(low), seconds(high));
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}–{high}"),
        _ => format!("{low} to {high}"),
    }
}

/// `512 B`, `12.3 KiB`, `182 MiB`, `1.83 GiB`.
pub fn bytes(value: f64) -> String {
    if !is_finite(value) {
        return "not finite".into();
    }
    let units = [
        (1.0, 999.5, "B"),
        (1024.0, 999.5, "KiB"),
        (1048576.0, 1023.5, "MiB"),
        (1073741824.0, f64::INFINITY, "GiB"),
    ];
    if value.abs() < 999.5 {
        return format!("{value:.0} B");
    }
    scaled(value, &units)
}

/// A count: `842`, `61.7 k`, `124 M`, `3.20 T`.
pub fn count(value: f64) -> String {
    if !is_finite(value) {
        return "not finite".into();
    }
    if value.fract() == 0.0 && value.abs() < 1000.0 {
        return format!("{value}");
    }
    let units = [
        (1.0, 999.5, ""),
        (1e3, 999.5, "k"),
        (1e6, 999.5, "M"),
        (1e9, 999.5, "G"),
        (1e12, f64::INFINITY, "T"),
    ];
    scaled(value, &units).trim_end().into()
}

/// Examples or tokens a second: `5.20 k/s`.
pub fn rate(value: f64) -> String {
    format!("{}/s", count(value))
}

/// `1.83×`; beyond a thousand `1.2e5×`.
pub fn ratio(value: f64) -> String {
    match is_finite(value) {
        false => "not finite".into(),
        true if value.abs() >= 999.5 => format!("{value:.1e}×"),
        true if value != 0.0 && value.abs() < 1e-3 => format!("{value:.0e}×"),
        true if value.abs() < 0.0995 => format!("{value:.3}×"),
        true if value.abs() < 0.995 => format!("{value:.2}×"),
        true => format!("{}×", digits(value)),
    }
}

/// A confidence interval of a ratio: `[1.79, 1.88]`.
pub fn interval([low, high]: [f64; 2]) -> String {
    let bare = |value| ratio(value).trim_end_matches('×').to_owned();
    format!("[{}, {}]", bare(low), bare(high))
}

/// A relative error: `3.1e-7`.
pub fn error(value: f64) -> String {
    match is_finite(value) {
        false => "not finite".into(),
        true if value == 0.0 => "0".into(),
        true => format!("{value:.1e}"),
    }
}

/// A loss or a tensor's element: five significant digits.
pub fn value(value: f64) -> String {
    significant(value, 5)
}

/// Two values with as many digits, five to ten, as it takes to tell them apart.
pub fn pair(one: f64, other: f64) -> (String, String) {
    let at = |digits| (significant(one, digits), significant(other, digits));
    (5..=10)
        .map(at)
        .find(|(one, other)| one != other)
        .unwrap_or_else(|| at(5))
}

fn significant(value: f64, digits: usize) -> String {
    if !is_finite(value) {
        return "not finite".into();
    }
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.*e}", digits - 2),
        size => {
            let after = digits as i32 - 1 - size.log10().floor() as i32;
            format!("{value:.*}", after.max(0) as usize)
        }
    }
}

/// A share, 0..1, as `61 %`; below ten per cent `6.1 %`.
pub fn percent(share: f64) -> String {
    let hundredths = share * 100.0;
    match hundredths.abs() {
        size if !is_finite(size) => "not finite".into(),
        size if size < 0.05 => "< 0.1 %".into(),
        size if size < 9.95 => format!("{hundredths:.1} %"),
        _ => format!("{hundredths:.0} %"),
    }
}

/// A shape: `64×1×28×28`; of a single number, `scalar`.
pub fn shape(shape: &[usize]) -> String {
    match shape {
        [] => "scalar".into(),
        _ => shape
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join("×"),
    }
}

/// Where the `index`th element of a tensor is: `[3, 0, 12, 7]`.
pub fn position(mut index: usize, shape: &[usize]) -> String {
    let mut place = vec![0; shape.len()];
    for (at, &size) in place.iter_mut().zip(shape).rev() {
        *at = index % size.max(1);
        index /= size.max(1);
    }
    format!("{place:?}")
}

/// `2026-11-24T09:30:00Z` as `2026-11-24 09:30 UTC`; anything else as it is.
pub fn moment(created: &str) -> String {
    match (created.get(..10), created.get(10..11), created.get(11..16)) {
        (Some(day), Some("T"), Some(time)) if created.ends_with('Z') => format!("{day} {time} UTC"),
        _ => created.into(),
    }
}

/// `train, batch 64`, `decode`.
pub fn work(work: Work, batch: usize) -> String {
    match work {
        Work::Train => format!("train, batch {batch}"),
        Work::Infer => format!("infer, batch {batch}"),
        Work::Decode => "decode".into(),
    }
}

/// `f` of what was measured, an en dash otherwise.
pub fn or_dash<T>(value: Option<T>, f: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNMEASURED.into(), f)
}

/// One line without control characters: messages of crashed programs hold escapes and line ends.
pub fn line(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `length` characters of `text`, the last an ellipsis where some are missing.
pub fn shorten(text: &str, length: usize) -> String {
    match text.chars().count() > length {
        true => text
            .chars()
            .take(length.saturating_sub(1))
            .chain(['…'])
            .collect(),
        false => text.into(),
    }
}

/// `one`, `one and two`, `one, two and three`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_carry_into_the_next() {
        assert_eq!(digits(9.996), "10.0");
        assert_eq!(digits(0.01234), "0.0123");
        assert_eq!(digits(1234.4), "1230");
        assert_eq!(seconds(0.9999), "1.00 s");
        assert_eq!(seconds(0.01234), "12.3 ms");
        assert_eq!(seconds(4.56e-5), "45.6 µs");
        assert_eq!(seconds(210.0), "3.50 min");
        assert_eq!(range([0.0121, 0.0126]), "12.1–12.6 ms");
        assert_eq!(range([0.9e-3, 1.1e-3]), "900 µs to 1.10 ms");
    }

    #[test]
    fn sizes_counts_and_ratios() {
        assert_eq!(bytes(190_840_832.0), "182 MiB");
        assert_eq!(bytes(1.83 * 1073741824.0), "1.83 GiB");
        assert_eq!(count(61_706.0), "61.7 k");
        assert_eq!(count(64.0), "64");
        assert_eq!(ratio(1.834), "1.83×");
        assert_eq!(ratio(123_456.0), "1.2e5×");
        assert_eq!(error(3.14e-7), "3.1e-7");
        assert_eq!(percent(0.614), "61 %");
    }

    #[test]
    fn what_is_not_finite_says_so() {
        for bad in [f64::NAN, f64::INFINITY, 1e308, -1e308] {
            for text in [
                digits(bad),
                seconds(bad),
                bytes(bad),
                ratio(bad),
                error(bad),
                value(bad),
            ] {
                assert_eq!(text, "not finite");
            }
        }
    }

    #[test]
    fn two_values_show_where_they_differ() {
        assert_eq!(pair(1.5, 1.25), ("1.5000".into(), "1.2500".into()));
        assert_eq!(
            pair(1.234567, 1.234564),
            ("1.23457".into(), "1.23456".into())
        );
        assert_eq!(pair(2.0, 2.0), ("2.0000".into(), "2.0000".into()));
    }

    #[test]
    fn an_index_is_unravelled_row_by_row() {
        assert_eq!(position(7, &[2, 3, 2]), "[1, 0, 1]");
        assert_eq!(position(0, &[]), "[]");
    }

    #[test]
    fn messages_become_one_harmless_line() {
        assert_eq!(line("\u{1b}[31mboom\n  at x"), "[31mboom at x");
        assert_eq!(shorten("abcdef", 4), "abc…");
    }
}
