//! Columns of text for a terminal, of words that came from files.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a terminal that a cell takes at most: one long name must not push the others off it.
const MOST: usize = 80;
/// Columns that a sentence takes at most.
const MOST_OF_SENTENCE: usize = 2_000;

/// What came from a file, made harmless to a table and to a terminal: no line break, no escape, and
/// nothing that turns the direction of what follows.
pub fn one_line(text: &str) -> String {
    let shown = text.replace(
        |letter: char| letter.is_control() || is_invisible(letter),
        " ",
    );
    shown.trim().into()
}

/// The same, cut where it would be wider than a cell.
pub fn short(text: &str) -> String {
    cut(text, MOST)
}

/// The same, cut where it would be longer than any sentence.
pub fn sentence(text: &str) -> String {
    cut(text, MOST_OF_SENTENCE)
}

fn cut(text: &str, most: usize) -> String {
    // Of a long text, only the beginning is looked at; what has no width of its own counts too.
    let start: String = text.chars().take(2 * most).collect();
    let shown = one_line(&start);
    if width(&shown) <= most && start.len() == text.len() {
        return shown;
    }
    let mut columns = 0;
    let fits = |letter: &char| {
        columns += letter.width().unwrap_or(0);
        columns < most
    };
    let cut: String = shown.chars().take_while(fits).collect();
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
pub fn width(text: &str) -> usize {
    text.width()
}

/// A text and the blanks up to the next column.
pub fn padded(text: &str, columns: usize) -> String {
    // Not by the formatter, which panics at widths above 65,535.
    text.to_owned() + &" ".repeat(columns.saturating_sub(width(text)))
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Its text.
    pub text: String,
    /// What the terminal is told before it, such as a colour; it takes no room.
    pub before: String,
    /// What the terminal is told after it.
    pub after: String,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// Columns two apart and as wide as their widest cell, set right where `aligned` has an `r`; the last
/// one runs free, and one in which nothing stands is left out.
pub fn table(rows: &[Vec<Cell>], aligned: &str, indent: &str) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| width(&cell.text)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(widest).collect();
    let is_right: Vec<bool> = aligned.chars().map(|letter| letter == 'r').collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate();
        let cells = cells.filter(|(column, _)| widths[*column] > 0);
        let cells = cells.map(
            |(
                column,
                Cell {
                    text,
                    before,
                    after,
                },
            )| {
                let pad = " ".repeat(widths[column].saturating_sub(width(text)));
                match is_right.get(column) {
                    Some(true) => format!("{pad}{before}{text}{after}"),
                    _ => format!("{before}{text}{after}{pad}"),
                }
            },
        );
        let cells: Vec<String> = cells.collect();
        text += indent;
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// [`table`] of plain texts, set left.
pub fn columns(rows: &[Vec<String>], indent: &str) -> String {
    let cells = |row: &Vec<String>| row.iter().map(|cell| cell.as_str().into()).collect();
    let rows: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
    table(&rows, "", indent)
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
            let told = sentence(&long.repeat(70_000));
            assert!(
                width(&told) <= MOST_OF_SENTENCE && told.len() < 20_000,
                "{told}"
            );
        }
    }

    #[test]
    fn wide_letters_and_marks_keep_the_columns() {
        let row = |name: &str| vec![name.to_owned(), "b".to_owned()];
        let text = columns(&[row("世界"), row("e\u{301}"), row("abcd")], "");
        assert_eq!(text, "世界  b\ne\u{301}     b\nabcd  b\n");
        assert_eq!(padded("a", 70_000).len(), 70_000);
    }

    #[test]
    fn numbers_stand_at_the_right_and_colours_take_no_room() {
        let red = Cell {
            before: "\u{1b}[31m".into(),
            after: "\u{1b}[0m".into(),
            ..Cell::from("7")
        };
        let rows = [
            vec!["a".into(), Cell::default(), "100".into()],
            vec!["bcd".into(), Cell::default(), red],
        ];
        let text = table(&rows, "llr", "  ");
        assert_eq!(text, "  a    100\n  bcd    \u{1b}[31m7\u{1b}[0m\n");
    }
}
