//! What the model did with single examples, as sections of a page: whatever a task shows, and no case
//! by what kind of task that is.

use zoo_train::{Example, Exhibit, Part, Section};

use crate::exhibit::{Hall, joined, label};
use crate::format::short_name;
use crate::insight::Insight;
use zoo_print::html::esc;

/// Everything that `insight.json` has, as sections.
pub(crate) fn sections(insight: &Insight) -> String {
    let mut hall = Hall::default();
    let mut out = String::new();
    for (at, shown) in insight.sections.iter().enumerate() {
        let content = content(&mut hall, shown);
        if content.is_empty() {
            continue;
        }
        let of = match at {
            0 => format!(
                "{} examples of the {} split. ",
                insight.examples, insight.split
            ),
            _ => String::new(),
        };
        let (title, about) = (esc(&shown.title), esc(&format!("{of}{}", shown.about)));
        let about = about.trim_end();
        out += &format!(
            "<section>\n<h2>{title}</h2>\n<p class=\"soft\">{about}</p>\n{content}</section>\n"
        );
    }
    out + &hall.closed()
}

fn content(hall: &mut Hall, section: &Section) -> String {
    let layout = Layout::of(section);
    let mut items = String::new();
    for one in &section.examples {
        let item = example(hall, one);
        if !item.is_empty() {
            items += &match layout {
                Layout::Lines | Layout::Whole => item,
                Layout::Gallery(_) => format!("<li>{item}</li>\n"),
            };
        }
    }
    match layout {
        _ if items.is_empty() => items,
        Layout::Whole => items,
        Layout::Lines => format!("<div class=\"samples\">\n{items}</div>\n"),
        Layout::Gallery(kind) => format!("<ul class=\"gallery{kind}\">\n{items}</ul>\n"),
    }
}

/// How the examples of a section lie on the page.
#[derive(Clone, Copy)]
enum Layout {
    /// One below the other, over the whole width.
    Whole,
    /// Lines of text.
    Lines,
    /// In columns; the class says how wide.
    Gallery(&'static str),
}

impl Layout {
    fn of(section: &Section) -> Self {
        let examples = &section.examples;
        let parts = || examples.iter().flat_map(|example| &example.parts);
        let any = |is: fn(&Exhibit) -> bool| parts().any(|part| is(&part.exhibit));
        if any(|one| {
            matches!(
                one,
                Exhibit::Table { .. } | Exhibit::Confusion { .. } | Exhibit::Frames { .. }
            )
        }) {
            Self::Whole
        } else if examples.iter().all(is_line) {
            Self::Lines
        } else if any(|one| !matches!(one, Exhibit::Picture { .. } | Exhibit::Labels { .. })) {
            Self::Gallery(" texts")
        } else if any(|one| matches!(one, Exhibit::Picture { values, .. } if !values.is_empty())) {
            Self::Gallery(" pairs")
        } else {
            Self::Gallery("")
        }
    }
}

/// Whether an example is nothing but a text that was continued.
fn is_line(example: &Example) -> bool {
    continued(example).is_some()
        && example.about.is_empty()
        && example.parts.iter().all(|part| in_line(part, is_text))
}

fn example(hall: &mut Hall, example: &Example) -> String {
    let (continued, answered) = (continued(example), answered(example));
    let mut out = String::new();
    for part in &example.parts {
        let told = (continued.is_some() && in_line(part, is_text))
            || (answered.is_some() && in_line(part, is_labels));
        if !told {
            out += &hall.figure(&part.caption, &part.exhibit);
        }
    }
    out += &continued.unwrap_or_default();
    let about = match example.about.as_str() {
        "" => String::new(),
        about => format!("<small>{}</small>", esc(about)),
    };
    match answered {
        Some(answer) if about.is_empty() => out += &format!("<p class=\"says\">{answer}</p>"),
        Some(answer) => out += &format!("<p class=\"says\">{answer}<br>{about}</p>"),
        None if about.is_empty() => {}
        None => out += &format!("<p class=\"says\">{about}</p>"),
    }
    out
}

fn is_text(exhibit: &Exhibit) -> bool {
    matches!(exhibit, Exhibit::Text { values, .. } if values.is_empty())
}

fn is_labels(exhibit: &Exhibit) -> bool {
    matches!(exhibit, Exhibit::Labels { labels } if !labels.is_empty())
}

/// Whether a part is told in one line with its prompt, answer and truth.
fn in_line(part: &Part, is: fn(&Exhibit) -> bool) -> bool {
    [Part::PROMPT, Part::ANSWER, Part::TRUTH].contains(&part.caption.as_str()) && is(&part.exhibit)
}

fn find<'a>(example: &'a Example, caption: &str, is: fn(&Exhibit) -> bool) -> Option<&'a Exhibit> {
    let mut parts = example.parts.iter();
    let part = parts.find(|part| part.caption == caption && is(&part.exhibit));
    part.map(|part| &part.exhibit)
}

/// A beginning, how the model went on, and how it should have.
fn continued(example: &Example) -> Option<String> {
    let text = |caption| find(example, caption, is_text).map(joined);
    let (prompt, answer) = (text(Part::PROMPT)?, text(Part::ANSWER)?);
    let (class, verdict) = match text(Part::TRUTH) {
        None => ("", String::new()),
        Some(truth) if truth == answer => (" class=\"right\"", String::new()),
        Some(truth) => (
            " class=\"wrong\"",
            format!(" <small>should be {}</small>", esc(&truth)),
        ),
    };
    Some(format!(
        "<p class=\"text mono\"><span class=\"given\">{}</span><b{class}>{}</b>{verdict}</p>\n",
        esc(&prompt),
        esc(&answer),
    ))
}

/// What the model took an input for, and what it is.
fn answered(example: &Example) -> Option<String> {
    let Exhibit::Labels { labels } = find(example, Part::ANSWER, is_labels)? else {
        return None;
    };
    let names: Vec<String> = labels.iter().map(label).collect();
    let mut out = names.join(", ");
    if let Some(Exhibit::Labels { labels: truth }) = find(example, Part::TRUTH, is_labels) {
        let same =
            |one: &zoo_train::Label| labels.first().is_some_and(|first| first.name == one.name);
        if !truth.iter().any(same) {
            let names = truth
                .iter()
                .map(|one| format!("<b>{}</b>", short_name(&one.name)));
            out += &format!(", should be {}", names.collect::<Vec<_>>().join(" or "));
        }
    }
    Some(out)
}
