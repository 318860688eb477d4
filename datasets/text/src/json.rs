//! A line of JSON: an object whose values stand as they are written.
//!
//! The crate `serde_json` would take the last of two values of a key, and `1.10` as `1.1`.

use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::LineFault;

/// The keys of an object in its order, and their values.
pub(crate) type Object<'a> = Vec<(String, &'a RawValue)>;

/// Reads a line. No key is there twice.
pub(crate) fn object(line: &str) -> Result<Object<'_>, LineFault> {
    let mut parser = serde_json::Deserializer::from_str(line);
    let read = parser.deserialize_map(Pairs);
    let mut object = read.map_err(|error| fault(&error))?;
    parser.end().map_err(|error| fault(&error))?;
    object.sort_by(|(a, _), (b, _)| a.cmp(b));
    match object.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(LineFault::KeyTwice {
            key: pair[0].0.clone(),
        }),
        None => Ok(object),
    }
}

/// The text of a key.
pub(crate) fn text(object: &Object, key: &str) -> Result<String, LineFault> {
    let value = value(object, key)?;
    match kind(value) {
        "text" => string(value),
        found => Err(wrong(key, found, "text")),
    }
}

/// The label of a key.
pub(crate) fn label(object: &Object, key: &str) -> Result<String, LineFault> {
    let value = value(object, key)?;
    match kind(value) {
        "text" => string(value),
        "a number" | "true or false" => Ok(value.get().to_owned()),
        found => Err(wrong(
            key,
            found,
            "one label: text, a number, true or false",
        )),
    }
}

fn value<'a>(object: &Object<'a>, key: &str) -> Result<&'a RawValue, LineFault> {
    let found = object.iter().find(|(it, _)| it == key);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| LineFault::MissingKey {
            key: key.to_owned(),
        })
}

fn string(value: &RawValue) -> Result<String, LineFault> {
    serde_json::from_str(value.get()).map_err(|error| fault(&error))
}

/// What a value is, by its first byte: the parser has seen that it is one.
fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'"') => "text",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn wrong(key: &str, found: &'static str, expected: &'static str) -> LineFault {
    LineFault::Value {
        key: key.to_owned(),
        found,
        expected,
    }
}

/// The parser's complaint without its line, which is 1: it has seen no other.
fn fault(error: &serde_json::Error) -> LineFault {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let problem = match text.strip_suffix(&place) {
        Some(problem) => format!("{problem} at column {}", error.column()),
        None => text,
    };
    LineFault::Json { problem }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}
