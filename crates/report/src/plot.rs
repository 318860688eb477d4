//! Curves over steps, or over anything else, as inline SVG, drawn by plotters.
//!
//! Plotters writes colours into the drawing; those here only name a part, and the style sheet gives
//! each part its colour, so that one drawing looks right in light, in dark and in print.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::format::{digits, short_name, tick};

/// The drawing's size in its own units, twice as fine as it is shown: plotters has whole units.
const SIZE: (u32, u32) = (1040, 500);
const TEXT: u32 = 29;
/// The widest label of a tick, in units.
const LABEL_WIDTH: u32 = 96;
/// At most two points, and a gap, for each of these columns: more cannot be told apart.
const COLUMNS: usize = 400;
/// The largest size of a value that has a place; plotters counts its ticks up to infinity where the
/// next one overflows.
const LARGEST: f64 = 1e100;
/// The smallest one; plotters never gets past the ticks of a power of ten that is 0.
const SMALLEST: f64 = 1e-100;
/// From this ratio of the largest to the smallest value on, an axis is logarithmic.
const WIDE: f64 = 100.0;

const GRID: RGBColor = RGBColor(10, 10, 1);
const AXIS: RGBColor = RGBColor(10, 10, 2);
const LABEL: RGBColor = RGBColor(10, 10, 3);
const MARK: RGBColor = RGBColor(10, 10, 4);

/// What a curve shows: the style sheet's colour and weight go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Single training steps.
    Steps,
    /// Training, averaged.
    Training,
    /// Validation.
    Validation,
    /// One of several curves, by its place.
    Line(usize),
}

impl Kind {
    /// Curves of one drawing that have a colour of their own.
    pub(crate) const LINES: usize = 6;

    fn color(self) -> RGBColor {
        match self {
            Self::Steps => RGBColor(10, 11, 0),
            Self::Training => RGBColor(10, 11, 1),
            Self::Validation => RGBColor(10, 11, 2),
            Self::Line(at) => RGBColor(10, 12, (at % Self::LINES) as u8),
        }
    }

    /// The class of its key in the legend.
    fn class(self) -> String {
        match self {
            Self::Steps => "steps".into(),
            Self::Training => "training".into(),
            Self::Validation => "validation".into(),
            Self::Line(at) => format!("line{}", at % Self::LINES),
        }
    }

    fn width(self) -> u32 {
        match self {
            Self::Steps => 2,
            _ => 4,
        }
    }
}

/// One curve.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Steps done, or another place, and a value; what is not finite leaves a gap.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A value where it can be drawn: what is larger or smaller than any axis lies at its end.
pub(crate) fn drawable(value: f64) -> f64 {
    if value.abs() < SMALLEST {
        return 0.0;
    }
    // NaN stays, and so does infinity, which has no place.
    match value.is_finite() {
        true => value.clamp(-LARGEST, LARGEST),
        false => value,
    }
}

/// Some curves over the same places.
#[derive(Default)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// What the places are: `steps`.
    pub(crate) over: String,
    pub(crate) series: Vec<Series>,
    /// The first and the last place; where it is not told, as far as the curves go. All charts of a
    /// run have the same width, from 0 to its last step.
    pub(crate) places: Option<(f64, f64)>,
    /// Steps after which the run was resumed.
    pub(crate) resumed: Vec<f64>,
    /// The model that was kept.
    pub(crate) best: Option<(f64, f64)>,
}

impl Chart {
    /// The chart as a `figure`; nothing where it has no finite value.
    pub(crate) fn figure(mut self) -> String {
        let places = self.width();
        for series in &mut self.series {
            series.points.retain(|(place, _)| place.is_finite());
            for (place, _) in &mut series.points {
                *place = drawable(*place);
            }
            series.points = thinned(&series.points, places);
            for (_, value) in &mut series.points {
                *value = drawable(*value);
            }
        }
        if let Some((_, value)) = &mut self.best {
            *value = drawable(*value);
        }
        let column = |step: &mut f64| column(*step, places);
        self.resumed.dedup_by_key(column);
        // A step that comes again after a later one is drawn once more, but not without end.
        self.resumed.truncate(COLUMNS);
        let values = self.series.iter().flat_map(|series| &series.points);
        let Some((least, most)) = range(values.map(|(_, value)| *value)) else {
            return String::new();
        };
        let range = least..most;
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let drawn = if range.start > 0.0 && range.end / range.start > WIDE {
            let room = (range.end / range.start).powf(0.05);
            let axis = (range.start / room..range.end * room).log_scale();
            self.draw(&root, axis, &|value| format!("{value:.0e}"))
        } else {
            let height = range.end - range.start;
            let room = match height > range.end.abs() * 1e-6 {
                true => height * 0.06,
                // What stays as it is lies in the middle, between ticks that can be told apart.
                false => (range.end.abs() * 0.5).max(1e-12),
            };
            self.draw(&root, range.start - room..range.end + room, &|value| {
                tick(*value)
            })
        };
        drop(root);
        // Into memory, and of finite numbers: it does not fail.
        if drawn.is_err() {
            return String::new();
        }
        let (title, legend) = (short_name(&self.title), self.legend());
        let svg = svg.replacen("<svg ", "<svg class=\"chart\" role=\"img\" ", 1);
        let told = format!(
            "><title>{title} over {}</title><desc>{}</desc>",
            short_name(&self.over),
            self.told()
        );
        let svg = svg.replacen('>', &told, 1);
        format!("<figure><figcaption><b>{title}</b>{legend}</figcaption>\n{svg}</figure>\n")
    }

    /// The first and the last place, with some width.
    fn width(&self) -> (f64, f64) {
        let places = self.places.or_else(|| {
            let points = self.series.iter().flat_map(|series| &series.points);
            range(points.map(|(place, _)| drawable(*place)))
        });
        let (first, last) = places.unwrap_or_default();
        match last - first > first.abs().max(last.abs()) * 1e-6 {
            true => (first, last),
            false => (first, first + first.abs().max(1.0)),
        }
    }

    /// What the curves show, in words.
    fn told(&self) -> String {
        let one = |series: &Series| {
            let values = series.points.iter().map(|(_, value)| *value);
            let last = values.clone().rfind(|value| value.is_finite())?;
            let (least, most) = range(values)?;
            Some(format!(
                "{}: from {} to {}, at last {}.",
                short_name(&series.name),
                digits(least),
                digits(most),
                digits(last)
            ))
        };
        let told: Vec<String> = self.series.iter().filter_map(one).collect();
        told.join(" ")
    }

    fn legend(&self) -> String {
        let keys = self.series.iter().map(|series| {
            let (class, name) = (series.kind.class(), short_name(&series.name));
            format!("<span class=\"key {class}\">{name}</span>")
        });
        let best = self
            .best
            .map(|_| "<span class=\"key best\">kept</span>".to_owned());
        let resumed = (!self.resumed.is_empty())
            .then(|| "<span class=\"key resumed\">resumed</span>".to_owned());
        // A single curve is named by the title.
        let one = self.series.len() == 1;
        let keys = keys.skip(usize::from(one)).chain(best).chain(resumed);
        keys.collect()
    }

    fn draw<Y>(
        &self,
        root: &DrawingArea<SVGBackend<'_>, Shift>,
        y: Y,
        label: &dyn Fn(&f64) -> String,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        Y: AsRangedCoord<Value = f64, CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>>,
    {
        let (first, last) = self.width();
        let mut chart = ChartBuilder::on(root)
            .margin(8)
            .margin_right(26)
            .x_label_area_size(TEXT + 20)
            .y_label_area_size(LABEL_WIDTH)
            .build_cartesian_2d(first..last, y)?;
        let text = ("sans-serif", TEXT).into_font().color(&LABEL);
        chart
            .configure_mesh()
            .x_labels(6)
            .y_labels(5)
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(ShapeStyle::from(GRID).stroke_width(2))
            .axis_style(ShapeStyle::from(AXIS).stroke_width(2))
            .x_label_style(text.clone())
            .y_label_style(text)
            .x_label_formatter(&|step| tick(*step))
            .y_label_formatter(label)
            .draw()?;
        let (low, high) = {
            let range = chart.as_coord_spec().get_y_range();
            (range.start, range.end)
        };
        for step in &self.resumed {
            let style = ShapeStyle::from(MARK).stroke_width(2);
            chart.draw_series(LineSeries::new([(*step, low), (*step, high)], style))?;
        }
        for series in &self.series {
            let style = ShapeStyle::from(series.kind.color()).stroke_width(series.kind.width());
            for stretch in stretches(&series.points) {
                if let [point] = stretch[..] {
                    chart.draw_series([Circle::new(point, 5, series.kind.color().filled())])?;
                } else {
                    chart.draw_series(LineSeries::new(stretch, style))?;
                }
            }
        }
        if let Some(best) = self.best {
            let style = ShapeStyle::from(Kind::Validation.color()).stroke_width(4);
            chart.draw_series([Circle::new(best, 11, style)])?;
        }
        root.present()?;
        Ok(())
    }
}

/// The parts of a curve between values that are not finite.
fn stretches(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let parts = points.split(|(_, value)| !value.is_finite());
    let parts = parts.filter(|part| !part.is_empty());
    parts.map(<[_]>::to_vec).collect()
}

/// The smallest and the largest finite value.
pub(crate) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    finite.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((least, most)) => Some((value.min(least), value.max(most))),
    })
}

/// Which of the [`COLUMNS`] a place lies in.
fn column(place: f64, (first, last): (f64, f64)) -> usize {
    ((place - first) / (last - first) * COLUMNS as f64) as usize
}

/// The smallest and the largest value of each column, and a gap if it has one, in the order of their
/// steps: the curve looks as it would with all of its points, single spikes included.
fn thinned(points: &[(f64, f64)], places: (f64, f64)) -> Vec<(f64, f64)> {
    if points.len() <= 2 * COLUMNS {
        return points.to_vec();
    }
    // They are in order, unless the file was written by hand.
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let column = |(step, _): &(f64, f64)| column(*step, places);
    let mut kept = Vec::new();
    for part in points.chunk_by(|a, b| column(a) == column(b)) {
        let finite = || part.iter().filter(|(_, value)| value.is_finite());
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let gap = part.iter().find(|(_, value)| !value.is_finite());
        let ends = [finite().min_by(by_value), finite().max_by(by_value), gap];
        let mut ends: Vec<(f64, f64)> = ends.into_iter().flatten().copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        kept.extend(ends);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> Chart {
        let points = (1..)
            .zip(values)
            .map(|(step, value)| (f64::from(step), *value));
        Chart {
            title: "Loss & more".into(),
            over: "steps".into(),
            series: vec![Series {
                name: "step".into(),
                kind: Kind::Steps,
                points: points.collect(),
            }],
            places: Some((0.0, values.len() as f64)),
            resumed: vec![2.0],
            best: None,
        }
    }

    #[test]
    fn a_gap_parts_the_curve_and_nothing_draws_nothing() {
        let with_gap = chart(&[1.0, 2.0, f64::NAN, 3.0, 4.0, f64::INFINITY, 5.0]).figure();
        let curve = "stroke=\"#0A0B00\"";
        assert_eq!(with_gap.matches(curve).count(), 2, "{with_gap}");
        assert_eq!(with_gap.matches("<circle").count(), 1, "a single point");
        assert!(with_gap.contains("Loss &amp; more") && with_gap.contains("resumed"));
        assert_eq!(chart(&[f64::NAN]).figure(), "");
        assert_eq!(chart(&[]).figure(), "");
    }

    #[test]
    fn wide_ranges_are_logarithmic_and_constant_values_have_room() {
        let wide = chart(&[1e-3, 1.0, 100.0]).figure();
        assert!(wide.contains("1e0") && wide.contains("1e-2"), "{wide}");
        let narrow = chart(&[0.5, 0.5, 0.5]).figure();
        assert!(
            narrow.contains("0.5") && !narrow.contains("NaN"),
            "{narrow}"
        );
        assert!(chart(&[0.0, 0.0]).figure().contains("<polyline"));
    }

    #[test]
    fn numbers_at_the_ends_of_their_range_are_drawn() {
        let (most, least) = (f64::MAX, f64::MIN_POSITIVE);
        let cases: &[&[f64]] = &[
            &[most, most],
            &[most, 1.0],
            &[1.0, most, -most],
            &[-most, -1.0],
            &[-most, -most],
            &[1e-320, 1.0],
            &[5e-324, 5e-324],
            &[least, 2.0 * least],
            &[1e-99, 2e-99],
            &[5e-324, most],
            &[0.0, -0.0, most, f64::INFINITY, f64::NAN],
            &[-1e20, 1e-3],
            &[1e308, 1e308 * (1.0 + f64::EPSILON)],
        ];
        for values in cases {
            let figure = chart(values).figure();
            assert!(figure.contains("<svg"), "{values:?}");
            assert!(figure.len() < 20_000, "{values:?}: {}", figure.len());
            assert!(
                !figure.contains("NaN") && !figure.contains("inf"),
                "{figure}"
            );
        }
        for last_step in [0.0, 1.0, u64::MAX as f64] {
            let mut ends = chart(&[1.0, 2.0]);
            (ends.places, ends.series[0].points[1].0) = (Some((0.0, last_step)), last_step);
            ends.resumed = vec![last_step];
            assert!(ends.figure().contains("<svg"));
        }
    }

    #[test]
    fn a_drawing_has_one_size_whatever_it_is_drawn_of() {
        // Back and forth, and a gap after every value.
        let values: Vec<f64> = (0..100_000)
            .map(|at| [f64::from(at % 1_000), f64::NAN][at as usize % 2])
            .collect();
        let mut wild = chart(&values);
        for (at, point) in wild.series[0].points.iter_mut().enumerate() {
            point.0 = [1.0, 100_000.0][at / 2 % 2] - at as f64 * 1e-3;
        }
        wild.resumed = wild.series[0].points.iter().map(|point| point.0).collect();
        let drawn = wild.figure();
        assert!(drawn.len() < 200_000, "{}", drawn.len());
    }

    #[test]
    fn thinning_keeps_spikes_and_ends() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|step| (f64::from(step), 1.0)).collect();
        points[4321].1 = 9.0;
        points[4323].1 = -9.0;
        let kept = thinned(&points, (0.0, 10_000.0));
        assert!(kept.len() <= 2 * COLUMNS + 2, "{}", kept.len());
        assert!(kept.contains(&(4321.0, 9.0)) && kept.contains(&(4323.0, -9.0)));
        assert!(kept.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn every_colour_of_a_drawing_has_a_rule_in_the_style_sheet() {
        let mut all = chart(&[1.0, f64::NAN, 2.0, 3.0]);
        let lines = (0..Kind::LINES).map(Kind::Line);
        for kind in [Kind::Training, Kind::Validation].into_iter().chain(lines) {
            let points = vec![(1.0, 2.0), (2.0, 3.0)];
            all.series.push(Series {
                name: "x".into(),
                kind,
                points,
            });
        }
        all.best = Some((2.0, 3.0));
        let (figure, style) = (all.figure(), include_str!("style.css"));
        for attribute in ["stroke", "fill"] {
            let start = format!(" {attribute}=\"#");
            for part in figure.split(&start).skip(1) {
                let color = &part[..6];
                let rule = format!("[{attribute}=\"#{color}\"]");
                assert!(style.contains(&rule), "{rule}");
            }
        }
    }
}
