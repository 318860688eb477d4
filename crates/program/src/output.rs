//! The two doors by which all leaves that the program says: standard output for answers, standard
//! error for messages. Nothing else of ours prints, which `cargo xtask tidy` looks after.
//!
//! Either stream may be full, closed, or read by nobody any more. That is no reason to stop what is
//! being done, so printing never fails. Of answers, the first failure is remembered and is the
//! command's error in the end; a reader that has seen enough and gone (`zoo list | head -1`) is none:
//! the rest is not printed, quietly, as by other programs. A message that nobody can read is let be.
//!
//! Names and texts of strangers are shown, but do not act: see [`clean`].

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;

enum State {
    Open,
    /// Nobody reads any more.
    Gone,
    Failed(String),
}

static STATE: Mutex<State> = Mutex::new(State::Open);

/// Prints an answer.
pub fn print(text: Arguments<'_>) {
    let text = text.to_string();
    attempt(|| io::stdout().write_all(clean(&text).as_bytes()));
}

/// Prints an answer that has styles of ours in it.
pub fn print_styled(text: &str) {
    attempt(|| io::stdout().write_all(clean_styled(text).as_bytes()));
}

/// Prints a message.
pub fn note(text: Arguments<'_>) {
    // In one piece, so that another process's lines do not come between.
    let _ = io::stderr().write_all(clean(&text.to_string()).as_bytes());
}

/// Standard error for what writes lines by itself: [`note`], as a writer.
pub struct Notes;

impl Write for Notes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        note(format_args!("{}", String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether answers go to a terminal that shows colours.
pub fn has_color() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !unwanted
}

/// Whether somebody at a terminal reads messages, and can be asked.
pub fn is_read_at_a_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Prints by `print`, unless printing has failed before.
pub fn attempt(print: impl FnOnce() -> io::Result<()>) {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if !matches!(*state, State::Open) {
        return;
    }
    match print() {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => *state = State::Gone,
        Err(error) => *state = State::Failed(error.to_string()),
    }
}

/// Brings to the reader what was printed so far.
pub fn flush() {
    attempt(|| io::stdout().flush());
}

/// Notes that there is no standard output. Rust's own would swallow all that is written to it.
pub fn close() {
    *STATE.lock().unwrap_or_else(PoisonError::into_inner) =
        State::Failed("it is closed, or not open for writing".into());
}

/// Whether anything that is printed now would be seen, as far as is known.
pub fn is_open() -> bool {
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    matches!(*state, State::Open)
}

/// As [`flush`].
///
/// # Errors
/// What kept something from being printed, now or before; a reader that went away is no error.
pub fn finish() -> Result<(), Error> {
    flush();
    match &*STATE.lock().unwrap_or_else(PoisonError::into_inner) {
        State::Failed(why) => Err(Error::Failed(format!(
            "cannot write to standard output: {why}"
        ))),
        State::Open | State::Gone => Ok(()),
    }
}

/// `text` with every character that a terminal acts on, or that hides or turns around its neighbours,
/// as JSON writes it: `\u001b`. What is printed as JSON so stays the same JSON.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if !acts(letter) {
            shown.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // A string takes all.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    Cow::Owned(shown)
}

/// Whether a character acts rather than shows. Line ends and tabs are ours as often as strangers'.
/// The joiners U+200C and U+200D stay, which Persian, Hindi and emoji are spelled with.
pub fn acts(letter: char) -> bool {
    match letter {
        '\n' | '\t' => false,
        // Unicode's Bidi_Control: Arabic letter mark, marks, embeddings, overrides, isolates.
        '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // Line ends of their own; what has no width or no ink; deprecated; annotations; tags.
        '\u{2028}' | '\u{2029}' => true,
        '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{3164}' | '\u{ffa0}' => true,
        '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{e0000}'..='\u{e007f}' => true,
        // C0, DEL and C1, where U+009B begins a terminal's commands as ESC [ does.
        letter => letter.is_control(),
    }
}

/// [`clean`], but for the styles that a comparison's table is drawn in: `ESC [ 31 m`.
fn clean_styled(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let mut shown = clean(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let style = part.strip_prefix('[').and_then(|rest| {
            let (code, rest) = rest.split_once('m')?;
            zoo_compare::render::STYLES
                .contains(&code)
                .then_some((code, rest))
        });
        match style {
            Some((code, rest)) => {
                let _ = write!(shown, "\x1b[{code}m{}", clean(rest));
            }
            None => {
                let _ = write!(shown, "{}{}", clean("\x1b"), clean(part));
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_and_what_is_read_stays() {
        for (given, expected) in [
            ("plain\ttext\nof lines", "plain\ttext\nof lines"),
            ("Ελληνικά हिन्दी 日本語 é", "Ελληνικά हिन्दी 日本語 é"),
            (
                "👩\u{200d}💻 می\u{200c}خواهم",
                "👩\u{200d}💻 می\u{200c}خواهم",
            ),
            ("\x1b]0;owned\x07", "\\u001b]0;owned\\u0007"),
            (
                "\x1b[2J\r\x08\x7f\0",
                "\\u001b[2J\\u000d\\u0008\\u007f\\u0000",
            ),
            ("\u{9b}31m\u{85}", "\\u009b31m\\u0085"),
            ("cat\u{202e}gnp.exe", "cat\\u202egnp.exe"),
            ("\u{2066}a\u{2069}\u{200f}", "\\u2066a\\u2069\\u200f"),
            ("c\u{200b}a\u{feff}t\u{2028}", "c\\u200ba\\ufefft\\u2028"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(clean(given), expected);
        }
    }

    #[test]
    fn json_says_the_same_when_it_is_cleaned() {
        let acting = (0..=0x0010_ffff)
            .filter_map(char::from_u32)
            .filter(|c| acts(*c));
        let value = serde_json::Value::from(acting.collect::<String>());
        for text in [
            serde_json::to_string(&value).unwrap(),
            serde_json::to_string_pretty(&[&value]).unwrap(),
        ] {
            let cleaned = clean(&text);
            assert!(!cleaned.contains(acts));
            let before: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&cleaned).unwrap(),
                before
            );
        }
    }

    #[test]
    fn only_styles_of_ours_pass() {
        let ours = "\x1b[31mdeparts\x1b[0m and \x1b[1mbold\x1b[0m";
        assert_eq!(clean_styled(ours), ours);
        for (given, expected) in [
            ("\x1b[2J", "\\u001b[2J"),
            ("\x1b[8mhidden", "\\u001b[8mhidden"),
            ("\x1b]0;x\x07\x1b[31mred", "\\u001b]0;x\\u0007\x1b[31mred"),
            ("\x1b", "\\u001b"),
            ("\x1b[31;5mm", "\\u001b[31;5mm"),
            ("\x1b[9m\u{9b}2J", "\x1b[9m\\u009b2J"),
        ] {
            assert_eq!(clean_styled(given), expected);
        }
    }
}
