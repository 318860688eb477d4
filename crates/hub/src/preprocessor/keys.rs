//! The keys of a JSON object, each of which is asked for once; what nobody asked for is refused.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zoo_codec::image::Resize;

use super::PreprocessorError;

/// Settings that are still to be read. One that is null is as good as none.
pub(super) struct Keys {
    left: Map<String, Value>,
    /// Of keys in messages, as in `pretrained_cfg.`.
    prefix: &'static str,
}

impl Keys {
    pub(super) fn parse(text: &str) -> Result<Self, PreprocessorError> {
        let left = serde_json::from_str(text).map_err(PreprocessorError::Json)?;
        Ok(Self { left, prefix: "" })
    }

    pub(super) fn error(&self, key: &str, problem: String) -> PreprocessorError {
        PreprocessorError::Key {
            key: format!("{}{key}", self.prefix),
            problem,
        }
    }

    /// A value that must be there.
    pub(super) fn needed<T>(&self, key: &str, value: Option<T>) -> Result<T, PreprocessorError> {
        value.ok_or_else(|| self.error(key, "is needed, and is not there".into()))
    }

    fn take<T: DeserializeOwned>(
        &mut self,
        key: &str,
        expected: &str,
    ) -> Result<Option<T>, PreprocessorError> {
        let Some(value) = self.left.remove(key).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let found = shown(&value);
        let problem = |_| self.error(key, format!("expected {expected}, found {found}"));
        serde_json::from_value(value).map(Some).map_err(problem)
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, PreprocessorError> {
        self.take(key, "true or false")
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, PreprocessorError> {
        self.take(key, "a text")
    }

    pub(super) fn number(&mut self, key: &str) -> Result<Option<f64>, PreprocessorError> {
        self.take(key, "a number")
    }

    /// A share of a side, above 0.
    pub(super) fn share(&mut self, key: &str) -> Result<Option<f64>, PreprocessorError> {
        match self.number(key)? {
            Some(share) if share > 0.0 => Ok(Some(share)),
            None => Ok(None),
            Some(found) => Err(self.error(key, format!("expected more than 0, found {found}"))),
        }
    }

    /// One number, or one for each channel.
    pub(super) fn numbers(&mut self, key: &str) -> Result<Option<Vec<f32>>, PreprocessorError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Numbers {
            One(f32),
            Each(Vec<f32>),
        }
        let found = self.take(key, "a number, or one for each channel")?;
        Ok(found.map(|found| match found {
            Numbers::One(number) => vec![number],
            Numbers::Each(numbers) => numbers,
        }))
    }

    pub(super) fn sides<const N: usize>(
        &mut self,
        key: &str,
    ) -> Result<Option<[usize; N]>, PreprocessorError>
    where
        [usize; N]: DeserializeOwned,
    {
        self.take(key, &format!("{N} whole numbers"))
    }

    /// A size, which must be there: a number, two, or an object of `shortest_edge`, or of `height` and
    /// `width`.
    pub(super) fn size(&mut self, key: &str, square: bool) -> Result<Resize, PreprocessorError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Size {
            One(usize),
            Two([usize; 2]),
            Named(Map<String, Value>),
        }
        let expected = "a whole number, two, shortest_edge, or height and width";
        let size = self.take(key, expected)?;
        match self.needed(key, size)? {
            Size::One(side) if square => Ok(Resize::Exact([side; 2])),
            Size::One(side) => Ok(Resize::ShortestEdge(side)),
            Size::Two(size) => Ok(Resize::Exact(size)),
            Size::Named(map) => {
                let found = Value::Object(map.clone());
                let given: Map<_, _> = map.into_iter().filter(|(_, it)| !it.is_null()).collect();
                let side = |name: &str| Some(given.get(name)?.as_u64()? as usize);
                let sides = (side("shortest_edge"), side("height"), side("width"));
                match (given.len(), sides) {
                    (1, (Some(edge), _, _)) => Ok(Resize::ShortestEdge(edge)),
                    (2, (_, Some(height), Some(width))) => Ok(Resize::Exact([height, width])),
                    _ => {
                        let found = shown(&found);
                        Err(self.error(key, format!("expected {expected}, found {found}")))
                    }
                }
            }
        }
    }

    /// The object of that name.
    pub(super) fn inner(
        &mut self,
        key: &str,
        prefix: &'static str,
    ) -> Result<Option<Self>, PreprocessorError> {
        let left = self.take(key, "an object")?;
        Ok(left.map(|left| Self { left, prefix }))
    }

    /// A setting that nothing is done for unless it is true, which is refused.
    pub(super) fn only_false(&mut self, key: &str) -> Result<(), PreprocessorError> {
        match self.flag(key)? {
            Some(true) => Err(self.error(key, "true is not supported".into())),
            _ => Ok(()),
        }
    }

    /// Passes over what changes no number.
    pub(super) fn pass(&mut self, keys: &[&str]) {
        for key in keys {
            self.left.remove(*key);
        }
    }

    /// Refuses what nobody asked for.
    pub(super) fn end(mut self) -> Result<(), PreprocessorError> {
        self.left.retain(|_, value| !value.is_null());
        match self.left.iter().next() {
            None => Ok(()),
            Some((key, value)) => {
                let problem = format!("is not understood, with its value {}", shown(value));
                Err(self.error(key, problem))
            }
        }
    }
}

/// A value in as many characters as a message has room for.
fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
