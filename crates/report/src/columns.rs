//! Columns of text for a terminal, of words that came from files.

use unicode_width::UnicodeWidthStr;

/// Columns of a terminal that a cell takes at most: one long name must not push the others off it.
const MOST: usize = 80;

/// What came from a file, made harmless to a table and to a terminal: no line break, no escape, and
/// nothing that turns the direction of what follows.
pub(crate) fn one_line(text: &str) -> String {
    let shown = text.replace(
        |letter: char| letter.is_control() || is_invisible(letter),
        " ",
    );
    shown.trim().into()
}

/// The same, cut where it would be wider than a cell.
pub(crate) fn short(text: &str) -> String {
    // Every letter has a byte or more: of a long text, only the beginning is looked at.
    let start: String = text.chars().take(4 * MOST).collect();
    let shown = one_line(&start);
    if width(&shown) <= MOST && start.len() == text.len() {
        return shown;
    }
    let mut cut = String::new();
    for letter in shown.chars() {
        if width(&cut) + 3 > MOST {
            break;
        }
        cut.push(letter);
    }
    cut + "…"
}

/// Marks of direction and joiners, which change how their neighbours look.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// Columns that a text takes: two for a wide letter, none for what is put on top of another.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// A text and the blanks up to the next column.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    // Not by the formatter, which panics at widths above 65,535.
    text.to_owned() + &" ".repeat(columns.saturating_sub(width(text)))
}

/// Columns as wide as their widest cell; the last one runs free.
pub(crate) fn columns(rows: &[Vec<String>], indent: &str) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(widest).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells.map(|(cell, width)| padded(cell, *width)).collect();
        text += indent;
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_line_of_a_bounded_width() {
        assert_eq!(short("mlp\n\u{1b}[31m\u{202e}x"), "mlp  [31m x");
        assert_eq!(short(&"x".repeat(MOST)).len(), MOST);
        for long in ["x", "\u{4e16}", "e\u{301}", "\u{301}", "\u{1b}"] {
            let cell = short(&long.repeat(70_000));
            assert!(width(&cell) <= MOST && cell.ends_with('…'), "{cell}");
        }
    }

    #[test]
    fn wide_letters_and_marks_keep_the_columns() {
        let row = |name: &str| vec![name.to_owned(), "b".to_owned()];
        let text = columns(&[row("世界"), row("e\u{301}"), row("abcd")], "");
        assert_eq!(text, "世界  b\ne\u{301}     b\nabcd  b\n");
        assert_eq!(padded("a", 70_000).len(), 70_000);
    }
}
