//! Exhibits as HTML: whatever there is to see of an example, each kind in one place.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zoo_train::{Exhibit, Frame, Label, Line, Unit};

use crate::format::{digits, in_unit, short_name};
use crate::plot::{Chart, Kind, Series, range};
use crate::raster;
use zoo_print::html::esc;

/// Exhibits of a page: a file of a few megabytes can name a million curves.
const MOST: usize = 500;
/// With more classes than this, a matrix is too large to read, and pairs are listed.
const READABLE: usize = 26;
/// Pairs that are listed.
const PAIRS: usize = 20;
/// Curves of a figure: more cannot be told apart.
const LINES: usize = Kind::LINES;
/// Pixels from which a picture is shown in its own size, not enlarged.
const LARGE: usize = 64;

/// Where exhibits are shown, as long as there is room.
#[derive(Default)]
pub(crate) struct Hall {
    shown: usize,
}

impl Hall {
    /// An exhibit under its caption; nothing where there is no more room.
    pub(crate) fn figure(&mut self, caption: &str, exhibit: &Exhibit) -> String {
        self.shown += 1;
        if self.shown > MOST {
            return String::new();
        }
        let content = self.content(caption, exhibit);
        match caption {
            "" => content,
            caption => format!(
                "<figure class=\"part\"><figcaption>{}</figcaption>{content}</figure>\n",
                short_name(caption)
            ),
        }
    }

    /// What is said at the end of the page where not all was shown.
    pub(crate) fn closed(&self) -> String {
        match self.shown.saturating_sub(MOST) {
            0 => String::new(),
            more => format!("<p class=\"soft\">{more} more exhibits are not shown.</p>\n"),
        }
    }

    fn content(&mut self, caption: &str, exhibit: &Exhibit) -> String {
        match exhibit {
            Exhibit::Text {
                pieces,
                separator,
                values,
            } => text(pieces, separator, values),
            Exhibit::Labels { labels } => ranked(labels),
            Exhibit::Picture {
                picture,
                values,
                boxes,
            } => {
                let alt = match caption {
                    "" => "the input",
                    caption => caption,
                };
                self::picture(&picture.png, picture.size, alt, values, boxes)
            }
            Exhibit::Mask {
                size,
                classes,
                names,
            } => mask(*size, classes, names),
            Exhibit::Sound { wav, seconds } => format!(
                "<p class=\"sound\"><audio controls preload=\"metadata\" \
                 src=\"data:audio/wav;base64,{}\"></audio> <small>{} s</small></p>\n",
                esc(wav),
                digits(*seconds)
            ),
            Exhibit::Heat { size, values, axes } => heat(*size, values, axes),
            Exhibit::Curve { axes, lines } => curve(axes, lines),
            Exhibit::Table { columns, rows } => table(columns, rows),
            Exhibit::Confusion { names, counts } => confusion(names, counts),
            Exhibit::Frames { frames } => {
                let frames = frames.iter().map(|frame| self.figure("", frame));
                let items = frames.filter(|frame| !frame.is_empty());
                let items: String = items.map(|frame| format!("<li>{frame}</li>\n")).collect();
                format!("<ol class=\"frames\">\n{items}</ol>\n")
            }
        }
    }
}

/// What cannot be drawn is said in its place.
fn unfit(what: &str, [h, w]: [usize; 2], values: usize) -> String {
    format!("<p class=\"soft\">A {what} of {h} by {w} with {values} values cannot be shown.</p>\n")
}

/// The words of a text without what they count for.
pub(crate) fn joined(exhibit: &Exhibit) -> String {
    match exhibit {
        Exhibit::Text {
            pieces, separator, ..
        } => pieces.join(separator),
        _ => String::new(),
    }
}

/// Values as shares of the largest, -1..=1.
fn shares(values: &[f32]) -> impl Fn(f32) -> f32 + use<> {
    let largest = values
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    move |value| match largest > 0.0 {
        true => value / largest,
        false => 0.0,
    }
}

fn text(pieces: &[String], separator: &str, values: &[f32]) -> String {
    // Of a file that was made by hand.
    if values.len() != pieces.len() || values.is_empty() {
        return format!("<p class=\"text\">{}</p>\n", esc(&pieces.join(separator)));
    }
    let share = shares(values);
    let piece = |(piece, value): (&String, &f32)| {
        let share = share(*value);
        let class = if share < 0.0 {
            "token against"
        } else {
            "token"
        };
        format!(
            "<span class=\"{class}\" style=\"--share:{:.3}\" title=\"{} nats\">{}</span>",
            share.abs(),
            digits(f64::from(*value)),
            esc(piece),
        )
    };
    let pieces: Vec<String> = pieces.iter().zip(values).map(piece).collect();
    format!("<p class=\"text\">{}</p>\n", pieces.join(&esc(separator)))
}

/// A label and how likely it is: `<b>cat</b> <small>at 97.3 %</small>`.
pub(crate) fn label(label: &Label) -> String {
    let name = short_name(&label.name);
    match label.value {
        None => format!("<b>{name}</b>"),
        Some(value) => format!(
            "<b>{name}</b> <small>at {}</small>",
            in_unit(value, label.unit, 1).replace(' ', "&nbsp;")
        ),
    }
}

fn ranked(labels: &[Label]) -> String {
    let items = labels.iter().map(|one| format!("<li>{}</li>", label(one)));
    format!("<ol class=\"labels\">{}</ol>\n", items.collect::<String>())
}

fn picture(png: &str, [h, w]: [usize; 2], alt: &str, values: &[f32], boxes: &[Frame]) -> String {
    let alt = esc(alt);
    let size = if h.max(w) > LARGE { " large" } else { "" };
    let image = format!(
        "<img src=\"data:image/png;base64,{}\" width=\"{w}\" height=\"{h}\" alt=\"{alt}\">",
        esc(png)
    );
    let plain = format!(
        "<div class=\"picture{size}\">{image}{}</div>\n",
        outlines(boxes, [h, w])
    );
    let plain = plain + &legend(&boxes_told(boxes));
    let share = shares(values);
    let Some(heat) = raster::overlay(values, [h, w], share) else {
        return plain;
    };
    format!(
        "<div class=\"pair\">{plain}<div class=\"picture{size} faded\">{image}\
         <img src=\"data:image/png;base64,{}\" alt=\"{alt}: what speaks for the answer, and against \
         it\"></div></div>\n",
        STANDARD.encode(heat)
    )
}

/// Colours and words.
type Key = ([u8; 3], String);

/// What colours mean, as a list.
fn legend(keys: &[Key]) -> String {
    let key = |([r, g, b], text): &Key| {
        format!("<li><i style=\"background:#{r:02x}{g:02x}{b:02x}\"></i>{text}</li>")
    };
    match keys {
        [] => String::new(),
        keys => format!(
            "<ul class=\"legend\">{}</ul>\n",
            keys.iter().map(key).collect::<String>()
        ),
    }
}

/// The colour of what is in a box: boxes of one name have one.
fn box_colour(boxes: &[Frame], name: &str) -> [u8; 3] {
    let first = boxes.iter().position(|one| one.label.name == name);
    raster::colour(first.unwrap_or(0))
}

fn boxes_told(boxes: &[Frame]) -> Vec<Key> {
    let told = boxes.iter().take(MOST);
    told.map(|one| (box_colour(boxes, &one.label.name), label(&one.label)))
        .collect()
}

/// The boxes of a picture as a drawing over it.
fn outlines(boxes: &[Frame], [h, w]: [usize; 2]) -> String {
    if boxes.is_empty() {
        return String::new();
    }
    let one = |one: &Frame| {
        let [left, top, right, bottom] = one.corners;
        let [r, g, b] = box_colour(boxes, &one.label.name);
        format!(
            "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" \
             style=\"stroke:#{r:02x}{g:02x}{b:02x}\"><title>{}</title></rect>",
            (right - left).max(0.0),
            (bottom - top).max(0.0),
            short_name(&one.label.name),
        )
    };
    let boxes_of = |count| if count == 1 { "box" } else { "boxes" };
    format!(
        "<svg class=\"outlines\" viewBox=\"0 0 {w} {h}\" role=\"img\"><title>{} {}</title>\
         <desc>{}</desc>{}</svg>",
        boxes.len(),
        boxes_of(boxes.len()),
        "Where each of the things below the picture is.",
        boxes.iter().take(MOST).map(one).collect::<String>()
    )
}

/// How much of a mask each class covers, the largest first; pixels of no class last. None where
/// there is not a class a pixel.
pub(crate) fn covered(
    [h, w]: [usize; 2],
    classes: &[u8],
    names: &[String],
) -> Option<Vec<(Option<usize>, f64)>> {
    if classes.is_empty() || h.checked_mul(w)? != classes.len() {
        return None;
    }
    let mut counts = [0_usize; 256];
    for class in classes {
        counts[usize::from(*class)] += 1;
    }
    let named = names.len().min(counts.len());
    let mut found: Vec<(usize, usize)> = counts[..named].iter().copied().enumerate().collect();
    found.retain(|(_, count)| *count > 0);
    found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let share = |count: usize| count as f64 / classes.len() as f64;
    let none: usize = counts[named..].iter().sum();
    let mut shares: Vec<_> = found
        .into_iter()
        .map(|(class, count)| (Some(class), share(count)))
        .collect();
    shares.extend((none > 0).then(|| (None, share(none))));
    Some(shares)
}

fn mask(size: [usize; 2], classes: &[u8], names: &[String]) -> String {
    let shown = covered(size, classes, names);
    let png = raster::mask(classes, size, names.len());
    let (Some(shares), Some(png)) = (shown, png) else {
        return unfit("mask", size, classes.len());
    };
    let keys = shares.iter().map(|(class, share)| {
        let colour = class.map_or(raster::NO_CLASS, raster::colour);
        let name = match class {
            Some(class) => short_name(&names[*class]),
            None => "no class".into(),
        };
        (
            colour,
            format!("{name} <small>{}</small>", in_unit(*share, Unit::Share, 1)),
        )
    });
    let keys: Vec<Key> = keys.collect();
    let [h, w] = size;
    let large = if h.max(w) > LARGE { " large" } else { "" };
    format!(
        "<div class=\"picture{large}\"><img src=\"data:image/png;base64,{}\" width=\"{w}\" \
         height=\"{h}\" alt=\"the class of each pixel, as the list below says\"></div>\n{}",
        STANDARD.encode(png),
        legend(&keys)
    )
}

fn heat(size: [usize; 2], values: &[f32], axes: &[String; 2]) -> String {
    let found = range(values.iter().map(|value| f64::from(*value)));
    let (Some((least, most)), Some(png)) = (found, raster::heat(values, size)) else {
        return unfit("map", size, values.len());
    };
    let [across, up] = axes.each_ref().map(|axis| short_name(axis));
    let [h, w] = size;
    format!(
        "<div class=\"heat\"><img src=\"data:image/png;base64,{}\" width=\"{w}\" height=\"{h}\" \
         alt=\"{up} over {across}\"></div>\n<p class=\"says\"><small>{up} over {across}, dark {} to \
         light {}</small></p>\n",
        STANDARD.encode(png),
        digits(least),
        digits(most)
    )
}

fn curve(axes: &[String; 2], lines: &[Line]) -> String {
    let series = lines.iter().take(LINES).enumerate();
    let series = series.map(|(at, line)| Series {
        name: line.name.clone(),
        kind: Kind::Line(at),
        points: line.points.iter().map(|[x, y]| (*x, *y)).collect(),
    });
    let chart = Chart {
        title: axes[1].clone(),
        over: axes[0].clone(),
        series: series.collect(),
        ..Chart::default()
    };
    let mut out = chart.figure();
    if out.is_empty() {
        out = "<p class=\"soft\">A curve without a number cannot be shown.</p>\n".into();
    }
    match lines.len().saturating_sub(LINES) {
        0 => out,
        more => out + &format!("<p class=\"soft\">{more} more curves are not drawn.</p>\n"),
    }
}

/// Whether every cell of a column is a number, and stands at the right.
fn numeric(rows: &[Vec<String>], column: usize) -> bool {
    let number = |row: &Vec<String>| {
        let cell = row.get(column)?;
        cell.trim_end_matches('%').trim().parse::<f64>().ok()
    };
    !rows.is_empty() && rows.iter().all(|row| number(row).is_some())
}

fn table(columns: &[String], rows: &[Vec<String>]) -> String {
    let at_right: Vec<&str> = (0..columns.len())
        .map(|column| match numeric(rows, column) {
            true => " class=\"n\"",
            false => "",
        })
        .collect();
    let heads = columns.iter().zip(&at_right);
    let heads: String = heads
        .map(|(name, class)| format!("<th scope=\"col\"{class}>{}</th>", esc(name)))
        .collect();
    let row = |row: &Vec<String>| {
        let cells = row.iter().zip(&at_right);
        let cells: String = cells
            .map(|(cell, class)| format!("<td{class}>{}</td>", esc(cell)))
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{}</tbody>\n\
         </table></div>\n",
        rows.iter().map(row).collect::<String>()
    )
}

/// A class by its label.
fn class(names: &[String], label: usize) -> String {
    match names.get(label) {
        Some(name) => short_name(name),
        None => label.to_string(),
    }
}

fn confusion(names: &[String], counts: &[Vec<usize>]) -> String {
    let count = names.len();
    let is_square = counts.len() == count && counts.iter().all(|row| row.len() == count);
    // Of a file that was made by hand.
    if !is_square || counts.is_empty() {
        return unfit("matrix of classes", [counts.len(), count], counts.len());
    }
    if count > READABLE {
        return pairs(names, counts);
    }
    let heads = (0..count).map(|label| format!("<th scope=\"col\">{}</th>", class(names, label)));
    let mut rows = String::new();
    for (label, counts) in counts.iter().enumerate() {
        let all = counts
            .iter()
            .fold(0, |all: usize, one| all.saturating_add(*one));
        let all = all.max(1);
        let name = class(names, label);
        rows += &format!("<tr><th scope=\"row\">{name}</th>");
        for (predicted, count) in counts.iter().enumerate() {
            let share = *count as f64 / all as f64;
            let right = predicted == label;
            let mut kinds = vec![];
            kinds.extend(right.then_some("right"));
            kinds.extend((*count == 0).then_some("none"));
            rows += &format!(
                "<td class=\"{}\" style=\"--share:{share:.3}\" \
                 title=\"{count} of {all}: {name} taken for {}\">{count}</td>",
                kinds.join(" "),
                class(names, predicted),
            );
        }
        let recall = counts.get(label).copied().unwrap_or(0) as f64 / all as f64;
        let recall = in_unit(recall, Unit::Share, 1);
        rows += &format!("<td class=\"recall\">{recall}</td></tr>\n");
    }
    format!(
        "<div class=\"scroll\"><table class=\"confusion\">\n<caption>A row is a true class, a column \
         what the model took it for.</caption>\n<thead><tr><td></td>{}<th scope=\"col\" \
         class=\"recall\">recall</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
        heads.collect::<String>()
    )
}

/// The wrong answers that were given most often: how often, the true class, the answered one.
pub(crate) fn most_confused(counts: &[Vec<usize>]) -> Vec<(usize, usize, usize)> {
    let mut pairs = Vec::new();
    for (label, counts) in counts.iter().enumerate() {
        let wrong = counts.iter().enumerate();
        let wrong = wrong.filter(|(predicted, count)| *predicted != label && **count > 0);
        pairs.extend(wrong.map(|(predicted, count)| (*count, label, predicted)));
    }
    pairs.sort_unstable_by(|a, b| b.cmp(a));
    pairs
}

fn pairs(names: &[String], counts: &[Vec<usize>]) -> String {
    let pairs = most_confused(counts).into_iter().take(PAIRS);
    let rows = pairs.map(|(count, label, predicted)| {
        let (label, predicted) = (class(names, label), class(names, predicted));
        format!("<tr><td>{label}</td><td>{predicted}</td><td class=\"n\">{count}</td></tr>\n")
    });
    format!(
        "<table>\n<caption>Most confused classes.</caption>\n<thead><tr>\
         <th scope=\"col\">True class</th><th scope=\"col\">Taken for</th>\
         <th scope=\"col\" class=\"n\">Times</th></tr></thead>\n<tbody>\n{}</tbody>\n</table>\n",
        rows.collect::<String>()
    )
}
