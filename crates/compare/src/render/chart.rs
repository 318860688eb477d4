//! Curves as inline SVG. Colours, dashes and text sizes are the style sheet's.

use super::format::{self, is_finite};
use zoo_print::html::esc;

/// The drawing's size in its own units; the style sheet scales it to the width there is.
const SIZE: (f64, f64) = (460.0, 250.0);
/// Room for labels: left, right, top, bottom.
const MARGIN: [f64; 4] = [54.0, 12.0, 34.0, 36.0];
/// With more points than this, a marker a point would hide the curve.
const MARKED: usize = 40;
/// How many styles of lines the style sheet has; further series repeat them.
const STYLES: usize = 8;

/// One curve.
pub struct Series {
    pub name: String,
    /// Which of the styles; `None` is the reference's.
    pub style: Option<usize>,
    pub points: Vec<(f64, f64)>,
}

/// Several curves over steps.
pub struct Chart<'a> {
    pub title: &'a str,
    pub logarithmic: bool,
    pub series: &'a [Series],
    /// Dashed lines across, with their labels.
    pub limits: Vec<(f64, String)>,
}

/// How values become heights.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Where the axis ends in a zero that a logarithm cannot show.
    has_zero: bool,
}

impl Axis {
    fn of(chart: &Chart) -> Option<Self> {
        let values = chart
            .series
            .iter()
            .flat_map(|series| &series.points)
            .map(|(_, value)| *value);
        let values: Vec<f64> = values
            .chain(chart.limits.iter().map(|(value, _)| *value))
            .filter(|value| is_finite(*value))
            .collect();
        if values.is_empty() {
            return None;
        }
        let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if chart.logarithmic {
            let low = least(&mut values.iter().copied().filter(|value| *value > 0.0));
            let low = if low.is_finite() { low } else { 1.0 };
            let has_zero = values.iter().any(|value| *value <= 0.0);
            let low = low.log10().floor() - if has_zero { 1.0 } else { 0.0 };
            let high = high.max(f64::MIN_POSITIVE).log10().ceil().max(low + 1.0);
            return Some(Self {
                low,
                high,
                logarithmic: true,
                has_zero,
            });
        }
        let low = least(&mut values.iter().copied());
        let room = ((high - low) * 0.06).max(high.abs() * 1e-3).max(1e-9);
        Some(Self {
            low: low - room,
            high: high + room,
            logarithmic: false,
            has_zero: false,
        })
    }

    fn place(&self, value: f64) -> f64 {
        let value = match self.logarithmic {
            true if value <= 0.0 => self.low,
            true => value.log10().max(self.low),
            false => value,
        };
        let share = (value - self.low) / (self.high - self.low);
        let [_, _, top, bottom] = MARGIN;
        SIZE.1 - bottom - share * (SIZE.1 - top - bottom)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        if !self.logarithmic {
            let ticks = round_ticks(self.low, self.high, 5.0);
            let apart = ticks.get(1).map_or(1.0, |second| second - ticks[0]);
            let decimals = (-(apart.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize;
            return ticks
                .into_iter()
                .map(|value| (value, format!("{value:.decimals$}")))
                .collect();
        }
        let every = ((self.high - self.low) / 6.0).ceil().max(1.0) as usize;
        let decades = (self.low as i32..=self.high as i32).step_by(every);
        let label = |decade: i32| match self.has_zero && f64::from(decade) == self.low {
            true => "0".into(),
            false => format!("1e{decade}"),
        };
        decades
            .map(|decade| (10f64.powi(decade), label(decade)))
            .collect()
    }
}

/// About `wanted` multiples of 1, 2 or 5 times a power of ten between `low` and `high`.
fn round_ticks(low: f64, high: f64, wanted: f64) -> Vec<f64> {
    let rough = (high - low) / wanted;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let step = steps
        .into_iter()
        .find(|step| *step >= rough * 0.7)
        .unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|tick| tick as f64 * step).collect()
}

/// The drawing; empty where no point is finite.
pub fn svg(chart: &Chart) -> String {
    let Some(axis) = Axis::of(chart) else {
        return String::new();
    };
    let [left, right, _, bottom] = MARGIN;
    let steps = chart
        .series
        .iter()
        .flat_map(|series| &series.points)
        .map(|(step, _)| *step);
    let (first, last) = steps.fold((f64::INFINITY, f64::NEG_INFINITY), |(first, last), step| {
        (first.min(step), last.max(step))
    });
    let span = (last - first).max(1e-9);
    let across = |step: f64| left + (step - first) / span * (SIZE.0 - left - right);

    let names: Vec<_> = chart
        .series
        .iter()
        .map(|series| series.name.as_str())
        .collect();
    let label = format!("{}: {}", chart.title, names.join(", "));
    let mut out = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\
         <text class=\"title\" x=\"0\" y=\"13\">{}</text>",
        SIZE.0,
        SIZE.1,
        esc(&label),
        esc(chart.title),
    );
    for (value, label) in axis.ticks() {
        let y = axis.place(value);
        out += &format!(
            "<line class=\"rule\" x1=\"{left}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"y\" x=\"{}\" y=\"{:.1}\">{label}</text>",
            SIZE.0 - right,
            left - 7.0,
            y + 4.0,
        );
    }
    let base = SIZE.1 - bottom;
    for step in round_ticks(first, last, 6.0)
        .into_iter()
        .filter(|step| step.fract() == 0.0)
    {
        out += &format!(
            "<text class=\"x\" x=\"{:.1}\" y=\"{}\">{step}</text>",
            across(step),
            base + 17.0,
        );
    }
    out += &format!(
        "<line class=\"axis\" x1=\"{left}\" x2=\"{}\" y1=\"{base}\" y2=\"{base}\"/>\
         <text class=\"x\" x=\"{:.1}\" y=\"{}\">step</text>",
        SIZE.0 - right,
        left + (SIZE.0 - left - right) / 2.0,
        base + 33.0,
    );
    for (value, label) in chart.limits.iter().filter(|(value, _)| is_finite(*value)) {
        let y = axis.place(*value);
        out += &format!(
            "<line class=\"limit\" x1=\"{left}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"limit\" x=\"{}\" y=\"{:.1}\">{}</text>",
            SIZE.0 - right,
            left + 4.0,
            y - 4.0,
            esc(label),
        );
    }
    for series in chart.series {
        out += &curve(series, &across, &axis);
    }
    out + "</svg>"
}

/// A curve with its markers, broken where it is not finite.
fn curve(series: &Series, across: &dyn Fn(f64) -> f64, axis: &Axis) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for &(step, value) in &series.points {
        if is_finite(value) {
            let command = if is_drawing { 'L' } else { 'M' };
            path += &format!("{command}{:.1} {:.1}", across(step), axis.place(value));
        }
        is_drawing = is_finite(value);
    }
    let mut out = format!(
        "<g class=\"{}\"><path class=\"line\" d=\"{path}\"/>",
        class(series.style)
    );
    if let Some(style) = series.style.filter(|_| series.points.len() <= MARKED) {
        for &(step, value) in series.points.iter().filter(|(_, value)| is_finite(*value)) {
            out += &format!(
                "<path class=\"dot\" d=\"{}\"><title>{}, step {step}: {}</title></path>",
                marker(style, across(step), axis.place(value)),
                esc(&series.name),
                match axis.logarithmic {
                    true => format::error(value),
                    false => format::value(value),
                },
            );
        }
    }
    out + "</g>"
}

fn class(style: Option<usize>) -> String {
    style.map_or_else(|| "ref".into(), |style| format!("s{}", style % STYLES))
}

/// A disc, a square, a triangle or a diamond: styles differ without colour too.
fn marker(style: usize, x: f64, y: f64) -> String {
    match style % 4 {
        0 => format!(
            "M{:.1} {y:.1}a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0 -5.6 0z",
            x - 2.8
        ),
        1 => format!("M{:.1} {:.1}h5v5h-5z", x - 2.5, y - 2.5),
        2 => format!("M{x:.1} {:.1}l3.2 5.6h-6.4z", y - 3.6),
        _ => format!("M{x:.1} {:.1}l3.4 3.4l-3.4 3.4l-3.4 -3.4z", y - 3.4),
    }
}

/// What each line is.
pub fn legend(series: &[Series]) -> String {
    let mut out = String::from("<ul class=\"legend\">");
    for series in series {
        let dot = series
            .style
            .map(|style| marker(style, 13.0, 6.0))
            .unwrap_or_default();
        out += &format!(
            "<li><svg class=\"key\" viewBox=\"0 0 26 12\" aria-hidden=\"true\"><g class=\"{}\">\
             <path class=\"line\" d=\"M0 6H26\"/><path class=\"dot\" d=\"{dot}\"/></g></svg>{}</li>",
            class(series.style),
            esc(&series.name),
        );
    }
    out + "</ul>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, logarithmic: bool) -> String {
        let series = [Series {
            name: "a<b".into(),
            style: Some(0),
            points,
        }];
        svg(&Chart {
            title: "Loss",
            logarithmic,
            series: &series,
            limits: vec![],
        })
    }

    #[test]
    fn ticks_are_round_numbers_inside() {
        assert_eq!(round_ticks(0.0, 10.0, 5.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(round_ticks(1.3, 2.4, 5.0).len(), 5);
    }

    #[test]
    fn a_curve_breaks_where_it_is_not_finite() {
        let drawn = chart(
            vec![(1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 1e308)],
            false,
        );
        assert_eq!(drawn.matches("<title>").count(), 2);
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        assert!(drawn.contains("a&lt;b") && !drawn.contains("a<b"));
    }

    #[test]
    fn an_exact_zero_has_a_place_on_a_logarithmic_axis() {
        let drawn = chart(vec![(1.0, 0.0), (2.0, 1e-6)], true);
        assert!(
            drawn.contains(">0</text>") && !drawn.contains("inf"),
            "{drawn}"
        );
        assert!(chart(vec![(1.0, 0.0)], true).contains(">0</text>"));
    }

    #[test]
    fn nothing_finite_draws_nothing() {
        assert_eq!(chart(vec![(1.0, f64::NAN)], false), "");
        assert_eq!(chart(vec![], false), "");
    }
}
