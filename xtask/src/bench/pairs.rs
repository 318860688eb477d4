//! What one workload took on either side, round by round, and what that comes to.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// How far apart the numbers of the two sides may be, as [`relative`] says, where rounding has not
/// had many steps to grow.
pub(super) const LIMIT: f64 = 1e-4;

/// A number below this is held to an absolute difference: a logit may be near zero by chance.
const SMALL: f64 = 0.1;

const MEGABYTE: f64 = 1e6;

/// What one process printed.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    median_ms: f64,
    /// The loss of the first step, or its first logit.
    first: f64,
    /// The same of the last step.
    last: f64,
    /// `None` where the system does not tell.
    peak_bytes: Option<f64>,
    parameters: u64,
    /// All of it, as it was printed.
    line: Value,
}

impl Measured {
    /// The last line of `text`, if it is a measurement. A loss that is no number reads as NaN,
    /// which agrees with nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // Python writes NaN as a word that JSON does not know.
        let line = text.trim().lines().last()?.replace("NaN", "null");
        let line: Value = serde_json::from_str(&line).ok()?;
        let loss = |key: &str| line.get(key).map(|loss| loss.as_f64().unwrap_or(f64::NAN));
        Some(Self {
            median_ms: line["median_ms"].as_f64()?,
            first: loss("first")?,
            last: loss("last")?,
            peak_bytes: line["peak_bytes"].as_f64(),
            parameters: line["parameters"].as_u64()?,
            line,
        })
    }
}

/// One workload, and a pair of measurements for each round: the zoo's and PyTorch's.
pub(super) struct Pairs {
    pub(super) model: &'static str,
    pub(super) mode: &'static str,
    pub(super) steps: usize,
    pub(super) threads: usize,
    /// How far apart the last numbers may be, as [`relative`] says.
    pub(super) last_within: f64,
    pub(super) rounds: Vec<[Measured; 2]>,
}

impl Pairs {
    /// What both programs are called with.
    pub(super) fn arguments(&self) -> [String; 4] {
        [
            self.model.to_owned(),
            self.steps.to_string(),
            self.mode.to_owned(),
            self.threads.to_string(),
        ]
    }

    /// Milliseconds a step on either side: the median over the rounds.
    fn ms(&self) -> [f64; 2] {
        [0, 1].map(|side| Spread::of(self.rounds.iter().map(|pair| pair[side].median_ms)).median)
    }

    /// The zoo's time over PyTorch's, within each round.
    fn time_ratio(&self) -> Spread {
        let ratios = self.rounds.iter();
        Spread::of(ratios.map(|[zoo, pytorch]| zoo.median_ms / pytorch.median_ms))
    }

    /// Peak megabytes on either side, where the system tells.
    fn megabytes(&self) -> [Option<f64>; 2] {
        [0, 1].map(|side| {
            let peaks = self.rounds.iter().map(|pair| pair[side].peak_bytes);
            let peaks: Option<Vec<f64>> = peaks.collect();
            peaks.map(|peaks| Spread::of(peaks.into_iter()).median / MEGABYTE)
        })
    }

    fn memory_ratio(&self) -> Option<f64> {
        let [zoo, pytorch] = self.megabytes();
        Some(zoo? / pytorch?)
    }

    /// How far apart the first and the last numbers are in the worst round.
    pub(super) fn apart(&self) -> [f64; 2] {
        let worst = |number: fn(&Measured) -> f64| {
            let rounds = self.rounds.iter();
            rounds
                .map(|[zoo, pytorch]| relative(number(zoo), number(pytorch)))
                .fold(0.0, f64::max)
        };
        [worst(|side| side.first), worst(|side| side.last)]
    }

    /// In a sentence, where the two sides did not do the same.
    pub(super) fn disagreement(&self) -> Option<String> {
        let place = format!("{} {}, {} threads", self.model, self.mode, self.threads);
        let differ = |[zoo, pytorch]: &&[Measured; 2]| zoo.parameters != pytorch.parameters;
        if let Some([zoo, pytorch]) = self.rounds.iter().find(differ) {
            return Some(format!(
                "{place}: the zoo has {} parameters, PyTorch {}",
                zoo.parameters, pytorch.parameters
            ));
        }
        let ([first, last], last_within) = (self.apart(), self.last_within);
        (first > LIMIT || last > last_within).then(|| {
            format!(
                "{place}: first {first:.0e} apart, {LIMIT:.0e} allowed; \
                 last {last:.0e} apart, {last_within:.0e} allowed"
            )
        })
    }

    /// A row under [`header`].
    pub(super) fn row(&self) -> String {
        let [zoo_ms, pytorch_ms] = self.ms();
        let [zoo_mb, pytorch_mb] = self.megabytes();
        let [first, last] = self.apart();
        let whole = |number: Option<f64>| number.map_or("-".into(), |mb| format!("{mb:.0}"));
        let share = self.memory_ratio();
        let share = share.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let agree = match self.disagreement() {
            None => format!("yes ({first:.0e}, {last:.0e})"),
            Some(_) => format!("NO ({first:.0e}, {last:.0e})"),
        };
        columns([
            self.model,
            self.mode,
            &self.threads.to_string(),
            &milliseconds(zoo_ms),
            &milliseconds(pytorch_ms),
            &self.time_ratio().to_string(),
            &whole(zoo_mb),
            &whole(pytorch_mb),
            &share,
            &agree,
        ])
    }

    pub(super) fn json(&self) -> Value {
        let ([zoo_ms, pytorch_ms], ratio) = (self.ms(), self.time_ratio());
        let [zoo_mb, pytorch_mb] = self.megabytes();
        let [first, last] = self.apart();
        let lines = |side: usize| -> Vec<&Value> {
            let rounds = self.rounds.iter();
            rounds.map(|pair| &pair[side].line).collect()
        };
        json!({
            "model": self.model,
            "mode": self.mode,
            "threads": self.threads,
            "steps": self.steps,
            "zoo_ms": zoo_ms,
            "pytorch_ms": pytorch_ms,
            "time_ratio": { "median": ratio.median, "min": ratio.min, "max": ratio.max },
            "zoo_peak_mb": zoo_mb,
            "pytorch_peak_mb": pytorch_mb,
            "memory_ratio": self.memory_ratio(),
            // JSON has no infinity: null where a loss was no number.
            "first_apart": first,
            "first_within": LIMIT,
            "last_apart": last,
            "last_within": self.last_within,
            "agree": self.disagreement().is_none(),
            "zoo": lines(0),
            "pytorch": lines(1),
        })
    }
}

/// The titles of the columns of [`Pairs::row`].
pub(super) fn header() -> String {
    columns([
        "model",
        "mode",
        "threads",
        "zoo ms",
        "PyTorch ms",
        "ratio (min-max)",
        "zoo MB",
        "PyTorch MB",
        "ratio",
        "losses agree (first, last apart)",
    ])
}

fn columns(
    [
        model,
        mode,
        threads,
        zoo,
        pytorch,
        time,
        mb,
        pytorch_mb,
        memory,
        agree,
    ]: [&str; 10],
) -> String {
    format!(
        "{model:7} {mode:8} {threads:>7} {zoo:>9} {pytorch:>11}  {time:18} \
         {mb:>6} {pytorch_mb:>11} {memory:>6}  {agree}"
    )
}

/// Three digits or more, whether a step takes microseconds or seconds.
fn milliseconds(ms: f64) -> String {
    match ms {
        ..1.0 => format!("{ms:.4}"),
        ..100.0 => format!("{ms:.2}"),
        _ => format!("{ms:.1}"),
    }
}

/// What more threads gain each side over one, for every model and mode that was run with both.
pub(super) fn gains(all: &[Pairs]) -> String {
    let mut text = String::new();
    for one in all.iter().filter(|pairs| pairs.threads == 1) {
        let same = |pairs: &&Pairs| (pairs.model, pairs.mode) == (one.model, one.mode);
        for more in all.iter().filter(same).filter(|pairs| pairs.threads > 1) {
            if text.is_empty() {
                text += "\nmodel   mode     threads  times as fast as one: zoo   PyTorch\n";
            }
            let [zoo, pytorch] = gain(one, more).map(|gain| format!("{:.2}", gain.median));
            let _ = writeln!(
                text,
                "{:7} {:8} {:>7}  {zoo:>26}  {pytorch:>8}",
                more.model, more.mode, more.threads
            );
        }
    }
    text
}

/// How many times as fast as `one` the other is on either side, within each round.
fn gain(one: &Pairs, more: &Pairs) -> [Spread; 2] {
    [0, 1].map(|side| {
        let rounds = one.rounds.iter().zip(&more.rounds);
        Spread::of(rounds.map(|(one, more)| one[side].median_ms / more[side].median_ms))
    })
}

/// The difference over the larger of the two, or over [`SMALL`]; infinite where one is no number.
fn relative(a: f64, b: f64) -> f64 {
    let difference = (a - b).abs() / a.abs().max(b.abs()).max(SMALL);
    if difference.is_finite() {
        difference
    } else {
        f64::INFINITY
    }
}

/// Least, median and greatest; the median of an even number is the mean of the middle two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of at least one value; of none, three times NaN.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let count = values.len();
        Self {
            min: at(0),
            median: (at(count.saturating_sub(1) / 2) + at(count / 2)) / 2.0,
            max: at(count.saturating_sub(1)),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2}-{:.2})", self.median, self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(median_ms: f64, first: f64, last: f64) -> Measured {
        let line = json!({
            "median_ms": median_ms, "first": first, "last": last,
            "peak_bytes": 50e6, "parameters": 9,
        });
        Measured::parse(&line.to_string()).unwrap()
    }

    /// Rounds of the milliseconds of the zoo and of PyTorch.
    fn pairs(threads: usize, rounds: &[[f64; 2]]) -> Pairs {
        let rounds = rounds.iter();
        Pairs {
            model: "cnn",
            mode: "train",
            steps: 20,
            threads,
            last_within: LIMIT,
            rounds: rounds
                .map(|ms| ms.map(|ms| measured(ms, 2.3, 1.5)))
                .collect(),
        }
    }

    #[test]
    fn a_median_is_in_the_middle_of_any_number_of_values() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        let of = |min, median, max| Spread { min, median, max };
        assert_eq!(spread(&[3.0]), of(3.0, 3.0, 3.0));
        assert_eq!(spread(&[3.0, 1.0]), of(1.0, 2.0, 3.0));
        assert_eq!(spread(&[9.0, 1.0, 2.0]), of(1.0, 2.0, 9.0));
        assert!(spread(&[]).median.is_nan());
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        // The machine was half as fast in the second round; the zoo took half of PyTorch's time.
        let pairs = pairs(1, &[[10.0, 20.0], [20.0, 40.0], [11.0, 20.0]]);
        assert_eq!(pairs.time_ratio().to_string(), "0.50 (0.50-0.55)");
        assert_eq!(pairs.ms(), [11.0, 20.0]);
        let row = pairs.row();
        assert!(row.starts_with("cnn     train          1     11.00       20.00  0.50"));
        assert!(
            row.ends_with("50          50   1.00  yes (0e0, 0e0)"),
            "{row}"
        );
        let title = header();
        let at = |text: &str, word: &str| text.find(word).unwrap();
        assert_eq!(at(&title, "ratio (min"), at(&row, "0.50 (0"));
        assert_eq!(at(&title, "losses agree"), at(&row, "yes ("));
    }

    #[test]
    fn threads_gain_on_each_side_for_itself() {
        let one = pairs(1, &[[10.0, 30.0], [20.0, 60.0]]);
        let two = pairs(2, &[[5.0, 20.0], [10.0, 40.0]]);
        let [zoo, pytorch] = gain(&one, &two).map(|gain| gain.median);
        assert_eq!((zoo, pytorch), (2.0, 1.5));
        let text = gains(&[one, two]);
        assert!(text.contains("2.00") && text.contains("1.50"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert_eq!(gains(&[pairs(2, &[[1.0, 1.0]])]), "");
    }

    #[test]
    fn losses_agree_to_one_in_ten_thousand_or_not_at_all() {
        assert_eq!(relative(0.0, 0.0), 0.0);
        assert!(relative(2.0, 2.0001) < LIMIT && relative(2.0, 2.001) > LIMIT);
        assert!(relative(-1e-6, 1e-6) < LIMIT && relative(-1e-3, 1e-3) > LIMIT);
        assert_eq!(relative(f64::NAN, 1.0), f64::INFINITY);
        assert_eq!(relative(f64::NAN, f64::NAN), f64::INFINITY);
        assert_eq!(relative(f64::INFINITY, f64::INFINITY), f64::INFINITY);

        let mut drifted = pairs(2, &[[1.0, 1.0], [1.0, 1.0]]);
        assert_eq!(drifted.disagreement(), None);
        drifted.rounds[1][0] = measured(1.0, 2.3, 1.51);
        let fault = drifted.disagreement().unwrap();
        assert!(
            fault.starts_with("cnn train, 2 threads: first 0e0 apart, 1e-4 allowed; last 7e-3")
        );
        assert!(drifted.row().contains("NO (0e0, 7e-3)"));
        assert_eq!(drifted.json()["agree"], false);
        drifted.last_within = 1e-2;
        assert_eq!(drifted.disagreement(), None);
    }

    #[test]
    fn another_number_of_parameters_is_another_model() {
        let mut pairs = pairs(1, &[[1.0, 1.0]]);
        pairs.rounds[0][1].parameters = 8;
        let fault = pairs.disagreement().unwrap();
        assert!(
            fault.ends_with("the zoo has 9 parameters, PyTorch 8"),
            "{fault}"
        );
    }

    #[test]
    fn what_a_process_prints_is_read_whatever_stands_before() {
        let line =
            r#"{"median_ms": 1.5, "first": 2.0, "last": NaN, "peak_bytes": null, "parameters": 3}"#;
        let measured = Measured::parse(&format!("a warning\n{line}\n")).unwrap();
        assert!(measured.last.is_nan() && measured.first == 2.0);
        assert_eq!(measured.peak_bytes, None);
        for nothing in ["", "Traceback", "{}", r#"{"median_ms": 1.0}"#] {
            assert!(Measured::parse(nothing).is_none(), "{nothing}");
        }
    }

    #[test]
    fn memory_that_the_system_does_not_tell_is_left_out() {
        let mut pairs = pairs(1, &[[1.0, 1.0]]);
        pairs.rounds[0][0].peak_bytes = None;
        assert_eq!(pairs.memory_ratio(), None);
        assert!(pairs.row().contains("     -          50      -  yes"));
        assert!(pairs.json()["zoo_peak_mb"].is_null());
    }
}
