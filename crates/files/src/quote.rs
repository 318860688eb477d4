//! What is said of a file, as long as a message can be.

use std::fmt;

/// A name or a value of a file, as much of it as is needed to know it again.
pub fn brief(given: impl fmt::Display) -> String {
    cut(&given.to_string(), 100)
}

/// What a parser says of a file, which may quote much of it, as much of it as can be read.
pub fn brief_problem(problem: impl fmt::Display) -> String {
    cut(problem.to_string().trim_end(), 2000)
}

fn cut(given: &str, most_chars: usize) -> String {
    match given.char_indices().nth(most_chars) {
        Some((end, _)) => format!("{}… ({} bytes)", &given[..end], given.len()),
        None => given.to_owned(),
    }
}
