//! What the model did with single examples: confusion, the worst mistakes, samples, saliency.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::format::{digits, esc, percent};
use crate::insight::{Classes, Insight, Mistake, Saliency, Sample, Shown};

/// With more classes than this, a matrix is too large to read, and pairs are listed.
const READABLE: usize = 26;
/// Pairs that are listed.
const PAIRS: usize = 20;
/// Characters of a class's name that are shown: a matrix says every name many times.
const NAME: usize = 80;
/// The colour of what speaks for an output, and of what speaks against it. They lie over a grey
/// picture, so they are the same in light and dark.
const FOR: [u8; 3] = [214, 48, 39];
const AGAINST: [u8; 3] = [49, 104, 214];

/// Everything that `insight.json` has, as sections.
pub(crate) fn sections(insight: &Insight) -> String {
    let mut out = String::new();
    if let Some(classes) = &insight.classes {
        out += &confusion(classes, insight);
        out += &mistakes(classes);
    }
    out += &samples(&insight.samples);
    out + &saliency(&insight.saliency)
}

fn section(title: &str, about: &str, content: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n<p class=\"soft\">{about}</p>\n{content}</section>\n")
}

fn class(classes: &Classes, label: usize) -> String {
    let Some(name) = classes.names.get(label) else {
        return label.to_string();
    };
    match name.char_indices().nth(NAME) {
        Some((end, _)) => esc(&name[..end]) + "…",
        None => esc(name),
    }
}

fn confusion(classes: &Classes, insight: &Insight) -> String {
    let count = classes.names.len();
    let is_square = classes.confusion.len() == count
        && classes.confusion.iter().all(|counts| counts.len() == count);
    // Of a file that was made by hand, or of too many classes.
    if classes.confusion.is_empty() || !is_square {
        return String::new();
    }
    let about = format!(
        "{} examples of the {} split.",
        insight.examples,
        esc(&insight.split)
    );
    if count > READABLE {
        return section("Most confused", &about, &pairs(classes));
    }
    let heads = (0..count).map(|label| format!("<th>{}</th>", class(classes, label)));
    let mut rows = String::new();
    for (label, counts) in classes.confusion.iter().enumerate() {
        let all = counts
            .iter()
            .fold(0, |all: usize, one| all.saturating_add(*one));
        let all = all.max(1);
        let name = class(classes, label);
        rows += &format!("<tr><th>{name}</th>");
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
                class(classes, predicted),
            );
        }
        let recall = counts.get(label).copied().unwrap_or(0) as f64 / all as f64;
        rows += &format!("<td class=\"recall\">{}</td></tr>\n", percent(recall, 1));
    }
    let table = format!(
        "<div class=\"scroll\"><table class=\"confusion\">\n<thead><tr><th></th>{}\
         <th class=\"recall\">recall</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
        heads.collect::<String>()
    );
    let about = format!("{about} A row is a true class, a column what the model took it for.");
    section("Confusion", &about, &table)
}

/// The wrong answers that were given most often.
fn pairs(classes: &Classes) -> String {
    let mut pairs = Vec::new();
    for (label, counts) in classes.confusion.iter().enumerate() {
        let wrong = counts.iter().enumerate();
        let wrong = wrong.filter(|(predicted, count)| *predicted != label && **count > 0);
        pairs.extend(wrong.map(|(predicted, count)| (*count, label, predicted)));
    }
    pairs.sort_unstable_by(|a, b| b.cmp(a));
    let rows = pairs.iter().take(PAIRS).map(|(count, label, predicted)| {
        let (label, predicted) = (class(classes, *label), class(classes, *predicted));
        format!("<tr><td>{label}</td><td>{predicted}</td><td class=\"n\">{count}</td></tr>\n")
    });
    format!(
        "<table>\n<thead><tr><th>True class</th><th>Taken for</th><th class=\"n\">Times</th></tr>\
         </thead>\n<tbody>\n{}</tbody>\n</table>\n",
        rows.collect::<String>()
    )
}

fn mistakes(classes: &Classes) -> String {
    if classes.mistakes.is_empty() {
        return String::new();
    }
    let one = |mistake: &Mistake| {
        let caption = format!(
            "<p class=\"says\"><b>{}</b>, taken for <b>{}</b> <small>at {}, no.&nbsp;{}</small></p>",
            class(classes, mistake.label),
            class(classes, mistake.predicted),
            unbroken(mistake.confidence),
            mistake.index,
        );
        format!("<li>{}{caption}</li>\n", shown(&mistake.input))
    };
    let kind = texts(classes.mistakes.iter().map(|mistake| &mistake.input));
    let list = format!(
        "<ul class=\"gallery{kind}\">\n{}</ul>\n",
        classes.mistakes.iter().map(one).collect::<String>()
    );
    let about = "The wrong answers with the largest loss: of which the model was surest.";
    section("Worst mistakes", about, &list)
}

/// A share that stays in one line.
fn unbroken(share: f64) -> String {
    percent(share, 1).replace(' ', "&nbsp;")
}

/// The class of a list of texts, which need more room than pictures.
fn texts<'a>(mut inputs: impl Iterator<Item = &'a Shown>) -> &'static str {
    match inputs.any(|input| matches!(input, Shown::Text { .. })) {
        true => " texts",
        false => "",
    }
}

fn shown(input: &Shown) -> String {
    match input {
        Shown::Image { png, size: [h, w] } => format!(
            "<div class=\"picture\"><img src=\"data:image/png;base64,{}\" width=\"{w}\" \
             height=\"{h}\" alt=\"the input\"></div>",
            esc(png)
        ),
        Shown::Text { tokens, separator } => {
            format!("<p class=\"text\">{}</p>", esc(&tokens.join(separator)))
        }
    }
}

fn samples(samples: &[Sample]) -> String {
    if samples.is_empty() {
        return String::new();
    }
    let one = |sample: &Sample| {
        let (class, verdict) = match &sample.expected {
            None => ("", String::new()),
            Some(expected) if *expected == sample.continuation => {
                (" class=\"right\"", String::new())
            }
            Some(expected) => (
                " class=\"wrong\"",
                format!(" <small>should be {}</small>", esc(expected)),
            ),
        };
        format!(
            "<p class=\"text mono\"><span class=\"given\">{}</span><b{class}>{}</b>{verdict}</p>\n",
            esc(&sample.prompt),
            esc(&sample.continuation),
        )
    };
    let texts: String = samples.iter().map(one).collect();
    let about = match samples[0].temperature {
        0.0 => {
            "The likeliest continuation of the grey beginnings, which the model was not trained on."
                .into()
        }
        temperature => format!(
            "What the model writes after the grey beginnings, at temperature {}.",
            digits(temperature)
        ),
    };
    let texts = format!("<div class=\"samples\">\n{texts}</div>\n");
    section("Samples", &about, &texts)
}

fn saliency(explained: &[Saliency]) -> String {
    if explained.is_empty() {
        return String::new();
    }
    let one = |saliency: &Saliency| {
        let right = saliency.output == saliency.expected;
        let expected = match right {
            true => String::new(),
            false => format!(", should be <b>{}</b>", visible(&saliency.expected)),
        };
        let [before, after] = saliency.log_probability;
        format!(
            "<div>{}<p class=\"says\"><b>{}</b> <small>at {}</small>{expected}<br>\
             <small>log-probability {} without the input, {} with it</small></p></div>\n",
            picture(saliency),
            visible(&saliency.output),
            unbroken(saliency.probability),
            digits(before),
            digits(after),
        )
    };
    let kind = texts(explained.iter().map(|saliency| &saliency.input));
    let content = format!(
        "<div class=\"explained{kind}\">\n{}</div>\n",
        explained.iter().map(one).collect::<String>()
    );
    let about = "Integrated gradients (Sundararajan, Taly and Yan 2017) of the answer's \
                 log-probability: what is red speaks for the answer, what is blue against it.";
    section("What an answer depends on", about, &content)
}

/// A name that may be a blank or a line break.
fn visible(name: &str) -> String {
    match name {
        "\n" => "line break".into(),
        " " => "blank".into(),
        name => esc(name),
    }
}

fn picture(saliency: &Saliency) -> String {
    let values = &saliency.values;
    let largest = values
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let share = |value: f32| match largest > 0.0 {
        true => value / largest,
        false => 0.0,
    };
    match &saliency.input {
        Shown::Image { size: [h, w], .. } => {
            let input = shown(&saliency.input);
            let Some(heat) = heat(values, [*h, *w], share) else {
                return input;
            };
            let over = input.replacen("picture", "picture faded", 1).replacen(
                "</div>",
                &format!(
                    "<img src=\"data:image/png;base64,{heat}\" alt=\"what it depends on\"></div>"
                ),
                1,
            );
            format!("<div class=\"pair\">{input}{over}</div>")
        }
        Shown::Text { tokens, separator } => {
            let token = |(token, value): (&String, &f32)| {
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
                    esc(token),
                )
            };
            let tokens: Vec<String> = tokens.iter().zip(values).map(token).collect();
            format!("<p class=\"text\">{}</p>", tokens.join(&esc(separator)))
        }
    }
}

/// A picture of the values to lie over the input, in base64: the larger, the less transparent.
/// Nothing where there is not a value a pixel.
fn heat(values: &[f32], [h, w]: [usize; 2], share: impl Fn(f32) -> f32) -> Option<String> {
    if values.is_empty() || h.checked_mul(w)? != values.len() {
        return None;
    }
    let pixel = |value: &f32| {
        let share = share(*value);
        let [r, g, b] = if share < 0.0 { AGAINST } else { FOR };
        [r, g, b, (share.abs().sqrt() * 255.0) as u8]
    };
    let pixels: Vec<u8> = values.iter().flat_map(pixel).collect();
    let mut file = Vec::new();
    let (width, height) = (u32::try_from(w).ok()?, u32::try_from(h).ok()?);
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder
        .write_header()
        .ok()?
        .write_image_data(&pixels)
        .ok()?;
    Some(STANDARD.encode(file))
}
