//! Which keys a table may hold, read from the type that it becomes.

use serde::de::{Deserialize, Deserializer, Error as _, Visitor, value::Error};
use zoo_files::{brief, brief_problem};
use zoo_print::{DidYouMean, nearest};

/// The field names of a struct, as serde knows them: `fields_of::<Plan>()`.
pub fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // The probe always fails: it only listens to what the type asks for.
    let _ = T::deserialize(Probe(&mut fields));
    fields
}

struct Probe<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("probed"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Refuses the first key of `table` that is not among `known`. `place` is where the table stands,
/// such as `train`, and `what` names what has those keys.
pub fn check_keys(
    table: &toml::Table,
    place: &str,
    what: &str,
    known: &[&str],
) -> Result<(), String> {
    let Some(unknown) = table.keys().find(|key| !known.contains(&key.as_str())) else {
        return Ok(());
    };
    let dot = if place.is_empty() { "" } else { "." };
    let guess = DidYouMean(nearest(unknown, known.iter().copied()));
    Err(format!(
        "unknown key {place}{dot}{}{guess}; {what} has: {}",
        brief(unknown),
        known.join(", ")
    ))
}

/// Turns a table into a type, naming the key of a wrong value: `train.batch_size: invalid type …`.
pub fn from_table<T: for<'de> Deserialize<'de>>(
    table: toml::Table,
    place: &str,
) -> Result<T, String> {
    serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
        let path = error.path().to_string();
        let key = match (place, path.as_str()) {
            ("", _) => path,
            (_, ".") => place.to_owned(),
            _ => format!("{place}.{path}"),
        };
        format!("{key}: {}", brief_problem(error.inner()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[expect(dead_code, reason = "only its field names are read")]
    struct Point {
        width: usize,
        height: usize,
    }

    #[test]
    fn field_names_come_from_the_type() {
        assert_eq!(fields_of::<Point>(), ["width", "height"]);
        assert!(fields_of::<usize>().is_empty());
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let table = toml::from_str("widht = 3").unwrap();
        let error = check_keys(&table, "shape", "a point", fields_of::<Point>()).unwrap_err();
        assert_eq!(
            error,
            "unknown key shape.widht (did you mean width?); a point has: width, height"
        );
        assert_eq!(nearest("zzzzzzzz", ["width"]), None);
    }

    #[test]
    fn a_name_of_megabytes_is_compared_with_nothing_and_shown_in_part() {
        let begin = std::time::Instant::now();
        let long = "é".repeat(5_000_000);
        let known: Vec<String> = (0..10_000).map(|at| format!("width{at}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).chain([&*long]).collect();
        assert_eq!(nearest(&long, known.iter().copied()), None);
        assert_eq!(nearest("widht1", known.iter().copied()), Some("width1"));
        let table = toml::Table::from_iter([(long, toml::Value::Boolean(true))]);
        let error = check_keys(&table, "shape", "a point", fields_of::<Point>()).unwrap_err();
        assert!(error.len() < 400, "{}", error.len());
        assert!(error.contains("… (10000000 bytes)"), "{error}");
        assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    }

    #[test]
    fn a_wrong_value_names_its_key() {
        let table = toml::from_str("width = 3\nheight = 'tall'").unwrap();
        let error = from_table::<Point>(table, "shape").unwrap_err();
        assert!(
            error.starts_with("shape.height: invalid type: string"),
            "{error}"
        );
    }
}
