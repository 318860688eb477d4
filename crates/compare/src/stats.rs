//! Medians, bootstrap intervals and what they allow to say about speed.

use zoo_train::rng::Stream;

use crate::report::{Pace, Ratio};

/// Differences below this share are not called faster or slower, however sure they are: two
/// processes of one program differ through the placement of their memory alone, steadily, by up to
/// 6 % of a pass of a few microseconds (met in 160 comparisons of equal things).
pub const EQUAL_WITHIN: f64 = 0.10;
/// Of every interval. Higher than the customary 95 %, since a report holds dozens of them.
pub const CONFIDENCE: f64 = 0.99;
const RESAMPLES: usize = 4000;

/// The value below which a share `at` of the samples lies, between samples linearly.
///
/// # Panics
/// If there are no samples.
#[must_use]
pub fn quantile(samples: &[f64], at: f64) -> f64 {
    assert!(!samples.is_empty(), "a quantile of nothing");
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = at * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The middle value.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// Percentile bootstrap interval of a statistic of paired samples (Efron 1979). The same samples
/// always give the same interval.
fn bootstrap(rounds: usize, statistic: impl Fn(&[usize]) -> f64) -> [f64; 2] {
    let mut stream = Stream::new(rounds as u64);
    let mut chosen = vec![0; rounds];
    let values: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            chosen.fill_with(|| stream.below(rounds));
            statistic(&chosen)
        })
        .collect();
    let tail = (1.0 - CONFIDENCE) / 2.0;
    [quantile(&values, tail), quantile(&values, 1.0 - tail)]
}

/// Two series of times from the same rounds, so that the machine's drift cancels.
///
/// # Panics
/// If the series differ in length or are empty.
#[must_use]
pub fn ratio(times: &[f64], base: &[f64]) -> Ratio {
    assert_eq!(times.len(), base.len(), "rounds are paired");
    let ratios: Vec<f64> = times
        .iter()
        .zip(base)
        .map(|(time, base)| time / base)
        .collect();
    let interval = bootstrap(ratios.len(), |chosen| {
        median(&chosen.iter().map(|&i| ratios[i]).collect::<Vec<_>>())
    });
    Ratio {
        value: median(&ratios),
        interval,
        verdict: pace(interval, ratios.len()),
        slow_layer: None,
    }
}

/// The interval of `now`'s median over `before`'s, from series that were not taken together.
#[must_use]
pub fn unpaired(now: &[f64], before: &[f64]) -> [f64; 2] {
    let of = |samples: &[f64], stream: &mut Stream| {
        let chosen: Vec<f64> = samples
            .iter()
            .map(|_| samples[stream.below(samples.len())])
            .collect();
        median(&chosen)
    };
    let mut stream = Stream::new(1);
    let values: Vec<f64> = (0..RESAMPLES)
        .map(|_| of(now, &mut stream) / of(before, &mut stream))
        .collect();
    let tail = (1.0 - CONFIDENCE) / 2.0;
    [quantile(&values, tail), quantile(&values, 1.0 - tail)]
}

/// Rounds below which no verdict is given: an interval from fewer says nothing.
const ENOUGH_ROUNDS: usize = 5;

fn pace([low, high]: [f64; 2], rounds: usize) -> Pace {
    match () {
        () if rounds < ENOUGH_ROUNDS => Pace::Undecided,
        () if high < 1.0 / (1.0 + EQUAL_WITHIN) => Pace::Faster,
        () if low > 1.0 + EQUAL_WITHIN => Pace::Slower,
        () => Pace::Undecided,
    }
}

/// The growth a step of a size that was measured after each of several bursts of work, as (steps so
/// far, bytes); `None` if that is noise.
///
/// A leak grows in every burst. Allocators also grow at first and now and then, so the first burst
/// does not count, growth must not pause, and less than `LEAST_LEAK` in all is not a leak.
#[must_use]
pub fn leak(sizes: &[(usize, u64)]) -> Option<f64> {
    const LEAST_LEAK: u64 = 4 << 20;
    const LEAST_BURSTS: usize = 3;
    let [_, rest @ ..] = sizes else { return None };
    if rest.len() < LEAST_BURSTS || !rest.windows(2).all(|pair| pair[1].1 > pair[0].1) {
        return None;
    }
    let [(first_step, first), .., (last_step, last)] = rest else {
        return None;
    };
    let growth = last - first;
    (growth >= LEAST_LEAK).then(|| growth as f64 / (last_step - first_step).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(stream: &mut Stream, mean: f64, count: usize) -> Vec<f64> {
        let noise = |stream: &mut Stream| stream.below(2001) as f64 / 1000.0 - 1.0;
        (0..count)
            .map(|_| mean * (1.0 + 0.1 * noise(stream)))
            .collect()
    }

    #[test]
    fn quantiles_interpolate() {
        let samples = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(median(&samples), 2.5);
        assert_eq!(quantile(&samples, 0.25), 1.75);
        assert_eq!(
            (quantile(&samples, 0.0), quantile(&samples, 1.0)),
            (1.0, 4.0)
        );
    }

    #[test]
    fn a_clear_difference_is_called_and_drift_cancels() {
        let mut stream = Stream::new(9);
        // The machine slows down threefold during the run, for both alike.
        let drift: Vec<f64> = (0..15).map(|round| 1.0 + round as f64 / 7.0).collect();
        let series = |mean: f64, stream: &mut Stream| -> Vec<f64> {
            let samples = noisy(stream, mean, 15);
            samples
                .iter()
                .zip(&drift)
                .map(|(time, drift)| time * drift)
                .collect()
        };
        let base = series(1.0, &mut stream);
        let slower = ratio(&series(1.3, &mut stream), &base);
        assert_eq!(slower.verdict, Pace::Slower, "{slower:?}");
        assert!((1.15..1.5).contains(&slower.value), "{slower:?}");
        let faster = ratio(&series(0.75, &mut stream), &base);
        assert_eq!(faster.verdict, Pace::Faster, "{faster:?}");
    }

    #[test]
    fn equal_things_are_undecided_in_hundreds_of_runs() {
        let mut stream = Stream::new(10);
        for run in 0..300 {
            let (times, base) = (noisy(&mut stream, 1.0, 11), noisy(&mut stream, 1.0, 11));
            let ratio = ratio(&times, &base);
            assert_eq!(ratio.verdict, Pace::Undecided, "run {run}: {ratio:?}");
        }
    }

    #[test]
    fn too_few_rounds_decide_nothing() {
        assert_eq!(ratio(&[9.0; 4], &[1.0; 4]).verdict, Pace::Undecided);
        assert_eq!(ratio(&[9.0; 5], &[1.0; 5]).verdict, Pace::Slower);
    }

    #[test]
    fn a_leak_grows_in_every_burst() {
        const MIB: u64 = 1 << 20;
        // Bursts of unequal length: three steps, then five, then three, …
        let steps = [3, 8, 11, 16, 19, 24];
        let sizes = |size: &dyn Fn(usize) -> u64| steps.map(|steps| (steps, size(steps)));
        let leaking = sizes(&|steps| (100 + 2 * steps as u64) * MIB);
        assert_eq!(leak(&leaking), Some(2.0 * MIB as f64));
        let settling = sizes(&|steps| (100 + steps.min(12) as u64) * MIB);
        assert_eq!(leak(&settling), None);
        let small = sizes(&|steps| 100 * MIB + 4096 * steps as u64);
        assert_eq!(leak(&small), None);
    }
}
