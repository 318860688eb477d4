//! Exhibits, and tables, as text for a terminal.

use zoo_train::{Example, Exhibit, Frame, Label, Line, Unit};

use crate::exhibit::{covered, most_confused};
use crate::format::{digits, in_unit, percent};
use crate::plot::range;
use zoo_print::columns::{columns, one_line, short};

/// Classes of which every pair is shown.
const READABLE: usize = 12;
/// Pairs of confused classes, classes of a mask, and boxes, that are told.
const TOLD: usize = 10;

/// What an exhibit shows, without a line break at its end. What came from files cannot steer the
/// terminal.
pub fn text(exhibit: &Exhibit) -> String {
    match exhibit {
        Exhibit::Text {
            pieces, separator, ..
        } => harmless(&pieces.join(separator)),
        Exhibit::Labels { labels } => listed(labels.iter().map(label)),
        Exhibit::Picture { picture, boxes, .. } => {
            let [h, w] = picture.size;
            match boxes.as_slice() {
                [] => format!("a picture of {w} by {h} pixels"),
                boxes => format!(
                    "a picture of {w} by {h} pixels: {}",
                    most_told(boxes.iter().map(boxed))
                ),
            }
        }
        Exhibit::Mask {
            size,
            classes,
            names,
        } => mask(*size, classes, names),
        Exhibit::Sound { seconds, .. } => format!("a sound of {} s", digits(*seconds)),
        Exhibit::Heat { size, values, axes } => {
            let [across, up] = axes.each_ref().map(|axis| short(axis));
            let [rows, columns] = size;
            let from = match range(values.iter().map(|value| f64::from(*value))) {
                Some((least, most)) => format!(", {} to {}", digits(least), digits(most)),
                None => String::new(),
            };
            format!("{up} over {across}: {rows} by {columns} values{from}")
        }
        Exhibit::Curve { axes, lines } => {
            let [across, up] = axes.each_ref().map(|axis| short(axis));
            format!("{up} over {across}: {}", most_told(lines.iter().map(curve)))
        }
        Exhibit::Table { columns, rows } => table(columns, rows),
        Exhibit::Confusion { names, counts } => confusion(names, counts),
        Exhibit::Frames { frames } => {
            let numbered = (1..).zip(frames);
            let lines = numbered.map(|(number, frame)| captioned(&number.to_string(), frame));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

/// An example, a line or more for each of its parts; one without a caption is told by itself.
pub fn example(example: &Example) -> String {
    let about = (!example.about.is_empty()).then(|| harmless(&example.about));
    let parts = example.parts.iter();
    let parts = parts.map(|part| match part.caption.as_str() {
        "" => text(&part.exhibit),
        caption => captioned(&short(caption), &part.exhibit),
    });
    about
        .into_iter()
        .chain(parts)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A caption and what it is of, which has lines of its own where it is a table.
fn captioned(caption: &str, exhibit: &Exhibit) -> String {
    let shown = text(exhibit);
    match exhibit {
        Exhibit::Table { .. } | Exhibit::Confusion { .. } | Exhibit::Frames { .. } => {
            let lines = shown.lines().map(|line| format!("\n  {line}"));
            format!("{caption}:{}", lines.collect::<String>())
        }
        _ => format!("{caption}: {shown}"),
    }
}

/// A text that keeps its lines, and can neither move the cursor nor colour what follows.
fn harmless(text: &str) -> String {
    let steers = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    text.replace(steers, " ")
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// The first of some items, and how many more there are.
fn most_told(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(TOLD);
    let more = (more > 0).then(|| format!("{more} more"));
    listed(items.take(TOLD).chain(more))
}

fn label(label: &Label) -> String {
    let name = one_line(&label.name);
    match label.value {
        None => name,
        Some(value) => format!("{name} {}", in_unit(value, label.unit, 1)),
    }
}

fn boxed(frame: &Frame) -> String {
    let [left, top, right, bottom] = frame.corners;
    format!(
        "{} at {left:.0},{top:.0} to {right:.0},{bottom:.0}",
        label(&frame.label)
    )
}

fn mask(size: [usize; 2], classes: &[u8], names: &[String]) -> String {
    let [h, w] = size;
    let Some(shares) = covered(size, classes, names) else {
        return format!("a mask of {w} by {h} pixels");
    };
    let one = |(class, share): (Option<usize>, f64)| {
        let name = class.map_or_else(|| "no class".into(), |class| one_line(&names[class]));
        format!("{name} {}", percent(share, 1))
    };
    format!(
        "a mask of {w} by {h} pixels: {}",
        most_told(shares.into_iter().map(one))
    )
}

fn curve(line: &Line) -> String {
    let name = short(&line.name);
    let values = line.points.iter().map(|[_, value]| *value);
    let last = values.clone().rfind(|value| value.is_finite());
    match (range(values), last) {
        (Some((least, most)), Some(last)) => format!(
            "{name} from {} to {}, at last {}",
            digits(least),
            digits(most),
            digits(last)
        ),
        _ => format!("{name} without a number"),
    }
}

fn table(heads: &[String], rows: &[Vec<String>]) -> String {
    let cells = |row: &Vec<String>| row.iter().map(|cell| short(cell)).collect();
    let heads = heads.to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(&heads).chain(rows).map(cells).collect();
    columns(&rows, "").trim_end().into()
}

fn confusion(names: &[String], counts: &[Vec<usize>]) -> String {
    let name = |label: usize| {
        names
            .get(label)
            .cloned()
            .unwrap_or_else(|| label.to_string())
    };
    if names.len() > READABLE || counts.len() != names.len() {
        let pairs = most_confused(counts).into_iter();
        let pairs = pairs.map(|(count, label, answer)| {
            format!(
                "{} taken for {} {count} times",
                short(&name(label)),
                short(&name(answer))
            )
        });
        return match most_told(pairs) {
            none if none.is_empty() => format!("{} classes, none confused", names.len()),
            pairs => format!("{} classes: {pairs}", names.len()),
        };
    }
    let heads = std::iter::once("true \\ taken for".to_owned()).chain(names.iter().cloned());
    let heads: Vec<String> = heads.chain(["recall".to_owned()]).collect();
    let rows = counts.iter().enumerate().map(|(label, counts)| {
        let all = counts
            .iter()
            .fold(0, |all: usize, one| all.saturating_add(*one));
        let right = counts.get(label).copied().unwrap_or(0);
        let recall = in_unit(right as f64 / all.max(1) as f64, Unit::Share, 1);
        let counts = counts.iter().map(usize::to_string);
        std::iter::once(name(label))
            .chain(counts)
            .chain([recall])
            .collect()
    });
    table(&heads, &rows.collect::<Vec<_>>())
}
