//! What the pages of one comparison and of the leaderboard share.

use zoo_print::html::{Page, esc};

use super::facts;
use super::format::UNMEASURED;
use crate::report::Report;

const STYLE: &str = include_str!("style.css");

/// A whole page.
pub fn shell(title: &str, body: &str, script: &str) -> String {
    let page = Page {
        title,
        style: STYLE,
        body,
        script: Some(script),
        ..Page::default()
    };
    page.html()
}

/// A name as part of a fragment: percent-encoded but for what a fragment may hold as it is.
pub fn fragment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' | b',' => {
                out.push(char::from(byte));
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// The fragment of a cell.
pub fn cell_id(subject: &str, column: &str) -> String {
    format!("{}/{}", fragment(subject), fragment(column))
}

/// A figure (text, not yet escaped), struck out unless it counts.
pub fn figure(text: &str, counts: bool) -> String {
    match counts || text.is_empty() || text == UNMEASURED {
        true => esc(text),
        false => format!(
            "<s><span class=\"sr\">does not count: </span>{}</s>",
            esc(text)
        ),
    }
}

/// The machine as a list of terms.
pub fn machine(report: &Report) -> String {
    let items = facts::environment(report).into_iter();
    let items =
        items.map(|(what, which)| format!("<div><dt>{what}</dt><dd>{}</dd></div>", esc(&which)));
    format!("<dl class=\"machine\">{}</dl>\n", items.collect::<String>())
}
