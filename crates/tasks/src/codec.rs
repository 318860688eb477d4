//! What a run keeps to read inputs and show outputs; it says what a model must fit, too.

use std::any::Any;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use toml::Table;
use zoo_codec::ProblemType;
use zoo_codec::text::Text;
use zoo_train::brief_problem;

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
    /// does not say: the number of classes, the size of the vocabulary. This default decides nothing.
    fn decides(&self) -> Table {
        Table::new()
    }

    /// Class names by label; none where there are no classes.
    fn classes(&self) -> &[String] {
        &[]
    }

    /// What the outputs are, where they are classes.
    fn problem_type(&self) -> Option<ProblemType> {
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
            true => format!("{} changed", changed_keys(self, other).join(" and ")),
            false => format!("classes were {before:?} and are {now:?}"),
        })
    }
}

/// Refuses names that could steer a terminal.
pub(crate) fn check_names(key: &str, names: &[String]) -> Result<(), String> {
    let is_control = |name: &&String| name.chars().any(char::is_control);
    match names.iter().find(is_control) {
        None => Ok(()),
        Some(name) => Err(format!(
            "{key}: {:?} holds a control character",
            zoo_train::brief(name)
        )),
    }
}

/// The keys of which two codecs keep different values.
fn changed_keys<C: Codec>(now: &C, before: &C) -> Vec<String> {
    let (now, before) = (now.json(), before.json());
    let keys = now.as_object().into_iter().flatten();
    keys.filter(|(key, value)| before.get(key) != Some(value))
        .map(|(key, _)| key.clone())
        .collect()
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
    /// [`Codec::problem_type`]
    fn problem_type(&self) -> Option<ProblemType>;
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

impl dyn AnyCodec + '_ {
    /// Itself, as a task keeps it.
    ///
    /// # Errors
    /// It is of another task.
    pub fn of<C: Codec>(&self) -> Result<&C, String> {
        let own = self.any().downcast_ref();
        own.ok_or_else(|| "the codec is of another task".to_owned())
    }

    /// Itself, as the task of the model with the name `model` keeps it, where it is that of the data
    /// set `set`: where [`Room::fit`](crate::Room::fit) begins.
    ///
    /// # Errors
    /// The data set is of another task.
    pub fn fitting<C: Codec>(&self, model: &str, set: &str) -> Result<&C, String> {
        let own = self.any().downcast_ref();
        own.ok_or_else(|| {
            format!(
                "model {model} learns to {}, but data set {set} is to {}; choose another model or data",
                C::TASK,
                self.task()
            )
        })
    }
}

/// What a run kept, read as a task's codec: all that [`Room::codec`](crate::Room::codec) does.
///
/// # Errors
/// What is wrong with it, by key.
pub fn kept_as<C: Codec>(kept: &Json) -> Result<Arc<dyn AnyCodec>, String> {
    let codec: C = serde_json::from_value(kept.clone()).map_err(brief_problem)?;
    Ok(Arc::new(codec))
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

    fn problem_type(&self) -> Option<ProblemType> {
        Codec::problem_type(self)
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
