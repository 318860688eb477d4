//! A JSON file that somebody else made, read within bounds; what is wrong with it is said with the
//! file and the key.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value as Json;
use zoo_files::{brief, brief_problem};

/// The most bytes of a configuration, a tokenizer in one of ours aside. That of ImageNet-21k's
/// classes has 2 million, one of ours with a million words some 10. As a tree it takes about ten times
/// that.
pub const MOST_CONFIG_BYTES: u64 = 1 << 24;

/// What a file says that cannot be, or that nothing here could act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct HubError {
    /// The file, as the folder names it.
    pub file: String,
    /// The key, and what is wrong with its value.
    pub problem: String,
}

impl HubError {
    /// An error about a file.
    pub fn new(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            problem: problem.into(),
        }
    }
}

/// The JSON of a configuration's text.
///
/// # Errors
/// Text that is no JSON, or more than a configuration needs.
pub fn parse(file: &str, text: &str) -> Result<Json, HubError> {
    if text.len() as u64 > MOST_CONFIG_BYTES {
        return Err(HubError::new(
            file,
            format!(
                "{} bytes: a configuration of more than {MOST_CONFIG_BYTES} is not read",
                text.len()
            ),
        ));
    }
    serde_json::from_str(text).map_err(|error| HubError::new(file, brief_problem(error)))
}

/// The JSON of a folder's file, if it is there.
///
/// # Errors
/// A file that cannot be read, is larger than any configuration, or is no JSON.
pub fn read(folder: &Path, file: &str) -> Result<Option<Json>, HubError> {
    match zoo_files::read_text(&folder.join(file), MOST_CONFIG_BYTES) {
        Ok(text) => parse(file, &text).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HubError::new(file, error.to_string())),
    }
}

/// The keys of a JSON file, by the file's name. A key may lead into an object (`model_args.img_size`),
/// and one whose value is `null` is not there.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    file: &'a str,
    json: &'a Json,
}

impl<'a> Settings<'a> {
    /// The settings in the JSON of `file`.
    pub fn new(file: &'a str, json: &'a Json) -> Self {
        Self { file, json }
    }

    /// The file's name.
    pub fn file(self) -> &'a str {
        self.file
    }

    /// A key's value, if it has one.
    pub fn get(self, key: &str) -> Option<&'a Json> {
        let value = key
            .split('.')
            .try_fold(self.json, |json, key| json.get(key));
        value.filter(|value| !value.is_null())
    }

    /// All keys and values of the object at `key`; of the file, where `key` is empty.
    pub fn entries(self, key: &str) -> impl Iterator<Item = (&'a str, &'a Json)> {
        let object = match key {
            "" => Some(self.json),
            key => self.get(key),
        };
        let entries = object.and_then(Json::as_object).into_iter().flatten();
        entries.map(|(key, value)| (key.as_str(), value))
    }

    /// That a key has another value than it may have.
    pub fn wrong(self, key: &str, expected: impl std::fmt::Display) -> HubError {
        let value = self.get(key).unwrap_or(&Json::Null);
        self.error(format!(
            "{} = {}: expected {expected}",
            brief(key),
            brief(value)
        ))
    }

    /// That something is wrong with the file.
    pub fn error(self, problem: impl Into<String>) -> HubError {
        HubError::new(self.file, problem)
    }

    /// A count, which is 1 or more.
    ///
    /// # Errors
    /// Another value.
    pub fn count(self, key: &str) -> Result<Option<usize>, HubError> {
        let count = |value: &Json| usize::try_from(value.as_u64()?).ok().filter(|n| *n > 0);
        self.typed(key, "a number of 1 or more", count)
    }

    /// A text.
    ///
    /// # Errors
    /// Another value.
    pub fn text(self, key: &str) -> Result<Option<&'a str>, HubError> {
        self.typed(key, "a text", Json::as_str)
    }

    /// True or false.
    ///
    /// # Errors
    /// Another value.
    pub fn flag(self, key: &str) -> Result<Option<bool>, HubError> {
        self.typed(key, "true or false", Json::as_bool)
    }

    /// The value of a key as `convert` takes it.
    ///
    /// # Errors
    /// A value of which it makes nothing; `expected` says what it could.
    pub fn typed<T>(
        self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Json) -> Option<T>,
    ) -> Result<Option<T>, HubError> {
        let value = self.get(key).map(convert);
        let value = value.map(|value| value.ok_or_else(|| self.wrong(key, expected)));
        value.transpose()
    }

    /// Refuses a key that is there and has none of these values.
    ///
    /// # Errors
    /// Another value.
    pub fn only(self, key: &str, allowed: &[Json]) -> Result<(), HubError> {
        match self.get(key) {
            Some(value) if !allowed.contains(value) => {
                Err(self.wrong(key, allowed.first().unwrap_or(&Json::Null)))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_file_and_key() {
        let json = json!({"a": {"b": 3}, "none": null, "name": "x".repeat(10_000)});
        let settings = Settings::new("config.json", &json);
        assert_eq!(settings.count("a.b"), Ok(Some(3)));
        assert_eq!(settings.count("a.c"), Ok(None));
        assert_eq!(settings.text("none"), Ok(None));
        let error = settings.flag("a.b").unwrap_err().to_string();
        assert_eq!(error, "config.json: a.b = 3: expected true or false");
        let error = settings.count("name").unwrap_err().to_string();
        assert!(error.len() < 300 && error.contains("name"), "{error}");
        let error = settings.only("a.b", &[json!(4)]).unwrap_err().to_string();
        assert_eq!(error, "config.json: a.b = 3: expected 4");
    }

    #[test]
    fn a_file_is_read_within_bounds_and_need_not_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("a.json"), text).unwrap();
        assert_eq!(read(folder.path(), "a.json"), Ok(None));
        write(r#"{"a": 1}"#);
        assert_eq!(read(folder.path(), "a.json"), Ok(Some(json!({"a": 1}))));
        write("{");
        let error = read(folder.path(), "a.json").unwrap_err();
        assert_eq!(error.file, "a.json");
        write(&" ".repeat(MOST_CONFIG_BYTES as usize + 1));
        let error = read(folder.path(), "a.json").unwrap_err().to_string();
        assert!(error.contains("16777217"), "{error}");
        std::fs::remove_file(folder.path().join("a.json")).unwrap();
        std::fs::create_dir(folder.path().join("a.json")).unwrap();
        read(folder.path(), "a.json").unwrap_err();
    }
}
