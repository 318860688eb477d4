//! Numbers and states as people read them.

use zoo_print::html::esc;
use zoo_train::{State, Unit};

/// How far a run is, in a word.
pub(crate) fn state_text(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Finished => "finished",
        State::Interrupted => "interrupted",
        State::Failed => "failed",
    }
}

/// Three significant digits: `0.0123`, `1.83`, `1.2e-7`.
pub(crate) fn digits(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e7).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    // Rounded first, so that 9.996 becomes 10.0 and not 10.00.
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    let power = match rounded {
        0.0 => return "0".into(),
        _ => rounded.abs().log10().floor() as i32,
    };
    format!("{rounded:.*}", usize::try_from(2 - power).unwrap_or(0))
}

/// A tick of an axis, without the zeros that do not tell it from its neighbours: `0.5`, `2k`.
pub(crate) fn tick(value: f64) -> String {
    let magnitude = value.abs();
    if (1e4..1e10).contains(&magnitude) {
        let (unit, name) = match magnitude {
            1e9.. => (1e9, "G"),
            1e6.. => (1e6, "M"),
            _ => (1e3, "k"),
        };
        return format!("{}{name}", tick(value / unit));
    }
    if magnitude != 0.0 && !(1e-3..1e10).contains(&magnitude) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// A length of time: `0.84 s`, `12 min 5 s`, `3 h 20 min`. What no clock can have told stays a number.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        60.0..3600.0 => format!(
            "{:.0} min {:.0} s",
            (seconds / 60.0).floor(),
            seconds % 60.0
        ),
        3600.0..1e9 => format!(
            "{:.0} h {:.0} min",
            (seconds / 3600.0).floor(),
            (seconds % 3600.0 / 60.0).floor()
        ),
        _ => format!("{} s", digits(seconds)),
    }
}

/// A share of a whole, 0..=1, with this many decimals: `86.1 %`; what is none stays a number.
pub(crate) fn percent(share: f64, decimals: usize) -> String {
    /// A sum of probabilities in single precision.
    const MOST: f64 = 1.001;
    match (0.0..=MOST).contains(&share) {
        true => format!("{:.decimals$} %", share * 100.0),
        false => digits(share),
    }
}

/// A value in its unit: a share as a percentage with this many decimals, the rest as a number.
pub(crate) fn in_unit(value: f64, unit: Unit, decimals: usize) -> String {
    match unit {
        Unit::Share => percent(value, decimals),
        Unit::Nats | Unit::Plain => digits(value),
    }
}

/// A metric in its unit.
pub(crate) fn metric(value: f64, unit: Unit) -> String {
    in_unit(value, unit, 2)
}

/// `test.exact_match` as a heading: `Test exact match`.
pub(crate) fn title(name: &str) -> String {
    let words = name.replace(['.', '_'], " ");
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase());
    first.into_iter().flatten().chain(letters).collect()
}

/// Characters of a name that are shown: a matrix says every name many times.
const NAME: usize = 80;

/// A name as the content of an element or of a quoted attribute, cut where it is long; what cannot be
/// seen is called by its name.
pub(crate) fn short_name(name: &str) -> String {
    match name {
        "\n" => return "line break".into(),
        " " => return "blank".into(),
        _ => {}
    }
    match name.char_indices().nth(NAME) {
        Some((end, _)) => esc(&name[..end]) + "…",
        None => esc(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let cases = [
            (9.996, "10.0"),
            (0.01234, "0.0123"),
            (123.4, "123"),
            (-1.234, "-1.23"),
            (54_321.0, "54300"),
            (1.2e-7, "1.20e-7"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in cases {
            assert_eq!(digits(value), text);
        }
        let ticks = [0.5, 2.0, 20_000.0, 1.5e6, 0.001, 2e-4, 2.5e-4, 1.5e19].map(tick);
        let texts = [
            "0.5", "2", "20k", "1.5M", "0.001", "2e-4", "2.5e-4", "1.5e19",
        ];
        assert_eq!(ticks, texts);
        let times = [0.8412, 59.4, 725.0, 12_000.0].map(duration);
        assert_eq!(times, ["0.841 s", "59.4 s", "12 min 5 s", "3 h 20 min"]);
        let times = [-1.0, f64::MAX, f64::NAN].map(duration);
        assert_eq!(times, ["-1.00 s", "1.80e308 s", "NaN s"]);
        assert_eq!(metric(0.86051, Unit::Share), "86.05 %");
        assert_eq!(metric(f64::MAX, Unit::Share), "1.80e308");
        assert_eq!(title("test.exact_match"), "Test exact match");
    }
}
