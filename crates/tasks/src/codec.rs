//! What a run keeps to read inputs and show outputs; it says what a model must fit, too.

use std::any::Any;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use toml::Table;
use zoo_codec::text::Text;

use crate::classify::Head;
use crate::pictures::Pictures;

/// How a task's inputs are read and its outputs shown: all of it, so that a run needs nothing else.
pub trait Codec: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {
    /// The name of the task, as in `classify images`.
    const TASK: &'static str;

    /// Whether it could read an input.
    ///
    /// # Errors
    /// What keeps it from that, by key.
    fn check(&self) -> Result<(), String>;

    /// Keys of a model's configuration that the data decides, where the model has them and the recipe
    /// does not say: the number of classes, the size of the vocabulary.
    fn decides(&self) -> Table;

    /// Class names by label; none where there are no classes.
    fn classes(&self) -> &[String] {
        &[]
    }

    /// What the outputs are, where they are classes.
    fn head(&self) -> Option<Head> {
        None
    }

    /// How pictures are read, where they are read.
    fn pictures(&self) -> Option<&Pictures> {
        None
    }

    /// How text is read, where it is read.
    fn text(&self) -> Option<Reading<'_>> {
        None
    }

    /// What another codec would read otherwise, in words; `None` if they are equal.
    fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let (now, before) = (self.classes(), other.classes());
        Some(match now == before {
            true => "vocabulary, size or normalisation differs".to_owned(),
            false => format!("classes were {before:?} and are {now:?}"),
        })
    }
}

/// How text is read.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// Words, characters or a tokenizer.
    pub text: &'a Text,
    /// Most tokens of a text.
    pub max_length: usize,
    /// Tokens that end a text.
    pub stop: Vec<u32>,
    /// The token that fills shorter texts.
    pub pad: Option<u32>,
}

/// A [`Codec`] without its type.
pub trait AnyCodec: Send + Sync {
    /// The name of its task.
    fn task(&self) -> &'static str;
    /// [`Codec::check`]
    ///
    /// # Errors
    /// What keeps it from reading an input, by key.
    fn check(&self) -> Result<(), String>;
    /// [`Codec::decides`]
    fn decides(&self) -> Table;
    /// [`Codec::classes`]
    fn classes(&self) -> &[String];
    /// [`Codec::head`]
    fn head(&self) -> Option<Head>;
    /// [`Codec::pictures`]
    fn pictures(&self) -> Option<&Pictures>;
    /// [`Codec::text`]
    fn text(&self) -> Option<Reading<'_>>;
    /// What is kept of it.
    fn json(&self) -> Json;
    /// [`Codec::difference`]; of another task, everything.
    fn difference(&self, other: &dyn AnyCodec) -> Option<String>;
    /// Itself, to be told by its type.
    fn any(&self) -> &dyn Any;
}

impl<C: Codec> AnyCodec for C {
    fn task(&self) -> &'static str {
        C::TASK
    }

    fn check(&self) -> Result<(), String> {
        Codec::check(self)
    }

    fn decides(&self) -> Table {
        Codec::decides(self)
    }

    fn classes(&self) -> &[String] {
        Codec::classes(self)
    }

    fn head(&self) -> Option<Head> {
        Codec::head(self)
    }

    fn pictures(&self) -> Option<&Pictures> {
        Codec::pictures(self)
    }

    fn text(&self) -> Option<Reading<'_>> {
        Codec::text(self)
    }

    fn json(&self) -> Json {
        serde_json::to_value(self).expect("a codec is plain data")
    }

    fn difference(&self, other: &dyn AnyCodec) -> Option<String> {
        match other.any().downcast_ref::<C>() {
            Some(other) => Codec::difference(self, other),
            None => Some(format!("the task was {} and is {}", other.task(), C::TASK)),
        }
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
