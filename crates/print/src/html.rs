//! HTML: text that stays text, tables, and the frame of a page that asks for nothing.

/// What stands between the head and the end of a page, and what it looks like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page<'a> {
    /// The title, as text.
    pub title: &'a str,
    /// The style sheet.
    pub style: &'a str,
    /// The content, as markup.
    pub body: &'a str,
    /// What the page runs; without it, nothing can be run.
    pub script: Option<&'a str>,
    /// Whether the script may ask the server that the page came from.
    pub connects: bool,
}

impl Page<'_> {
    /// The page as one file. Its policy forbids every request, so that it never calls home; pictures
    /// and sounds stand in it as data.
    #[must_use]
    pub fn html(&self) -> String {
        let (script, allowed) = match self.script {
            Some(script) => (
                format!("<script>{script}</script>\n"),
                "; script-src 'unsafe-inline'",
            ),
            None => (String::new(), ""),
        };
        let connects = if self.connects {
            "; connect-src 'self'"
        } else {
            ""
        };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; img-src data:; media-src data:{allowed}{connects}\">\n\
             <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n{}{script}</body>\n</html>\n",
            esc(self.title),
            self.style,
            self.body,
        )
    }
}

/// `text` as the content of an element or of a quoted attribute.
#[must_use]
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            _ => out.push(letter),
        }
    }
    out
}

/// A table that scrolls by itself where it is wider than the page, and can be reached by keyboard.
#[must_use]
pub fn scrolling(label: &str, table: &str) -> String {
    format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">{table}</div>\n",
        esc(label)
    )
}

/// The head row of a table; a name that begins with `>` is set right.
#[must_use]
pub fn heads(names: &[&str]) -> String {
    let cells = names.iter().map(|name| match name.strip_prefix('>') {
        Some(name) => head(name, true),
        None => head(name, false),
    });
    format!("<thead><tr>{}</tr></thead>", cells.collect::<String>())
}

/// The head of a column, at the right where it is of numbers.
#[must_use]
pub fn head(name: &str, at_right: bool) -> String {
    let class = if at_right { " class=\"n\"" } else { "" };
    format!("<th scope=\"col\"{class}>{}</th>", esc(name))
}

/// A cell of numbers.
#[must_use]
pub fn number(text: &str) -> String {
    format!("<td class=\"n\">{}</td>", esc(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_allows_what_it_needs_and_no_more() {
        let page = Page {
            title: "<a>",
            body: "<p>b</p>\n",
            ..Page::default()
        };
        let plain = page.html();
        assert!(plain.contains("<title>&lt;a&gt;</title>"), "{plain}");
        assert!(!plain.contains("script") && !plain.contains("connect"));
        let script = Some("run()");
        let follows = Page {
            script,
            connects: true,
            ..page
        };
        let follows = follows.html();
        assert!(follows.contains("; script-src 'unsafe-inline'; connect-src 'self'\">"));
        assert!(follows.ends_with("<p>b</p>\n<script>run()</script>\n</body>\n</html>\n"));
    }

    #[test]
    fn heads_and_cells_stay_text() {
        assert_eq!(
            heads(&["a", ">b<"]),
            "<thead><tr><th scope=\"col\">a</th><th scope=\"col\" class=\"n\">b&lt;</th></tr></thead>"
        );
        assert_eq!(number("'1'"), "<td class=\"n\">&#39;1&#39;</td>");
    }
}
