//! Reading pickles as far as files of `torch.save` need it. Nothing is imported, called or executed:
//! a global is its name, a call is a value that says what would have been called.
//!
//! Values lie in one table and are known by their index, so that a value that is used twice is
//! stored once, as Python has it, and no depth of nesting costs stack.

mod machine;
mod scalar;

use std::io::BufRead;
use std::sync::Arc;

use machine::Machine;

/// A value's index.
pub(crate) type Ref = usize;

/// A Python object.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// What is of no use for weights: `None`, bytes, numbers too large.
    Nothing,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    Tuple(Vec<Ref>),
    /// A list or a set.
    List(Vec<Ref>),
    Dict(Vec<(Ref, Ref)>),
    /// A `torch.nn.Module`: what its state dict is made of.
    Module(Vec<(Ref, Ref)>),
    /// `module`, `name`.
    Global(Arc<str>, Arc<str>),
    /// What a persistent id said: the storages of tensors.
    Persistent(Ref),
    /// `torch._utils._rebuild_…` with its arguments.
    Tensor {
        how: Arc<str>,
        arguments: Ref,
    },
    /// A tensor whose values are not those of its storage: why.
    Unread(&'static str),
    /// An object of any other class: what was put into it, if it is a container.
    Object {
        items: Vec<Ref>,
        pairs: Vec<(Ref, Ref)>,
    },
}

/// What a pickle holds.
pub(crate) struct Pickle {
    values: Vec<Value>,
    root: Ref,
}

/// The values that are always there, so that a byte that pushes one of them costs no more.
const NOTHING: Ref = 0;
const FALSE: Ref = 1;
const TRUE: Ref = 2;

impl Pickle {
    /// Reads up to the pickle's end, and no byte further.
    ///
    /// # Errors
    /// What is not a pickle, or not whole.
    pub(crate) fn read(input: &mut impl BufRead) -> Result<Self, String> {
        let mut machine = Machine::new();
        while machine.step(input)? {}
        machine.end()
    }

    pub(crate) fn root(&self) -> Ref {
        self.root
    }

    pub(crate) fn get(&self, at: Ref) -> &Value {
        // Every reference is to a value that was made before it.
        &self.values[at]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn text(&self, at: Ref) -> Option<&str> {
        match self.get(at) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number of things: an integer that is not negative.
    pub(crate) fn count(&self, at: Ref) -> Option<usize> {
        match self.get(at) {
            Value::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The members of a tuple or a list.
    pub(crate) fn members(&self, at: Ref) -> Option<&[Ref]> {
        match self.get(at) {
            Value::Tuple(members) | Value::List(members) => Some(members),
            _ => None,
        }
    }

    /// A key as names of tensors have it: text, or a number.
    pub(crate) fn key(&self, at: Ref) -> Option<String> {
        match self.get(at) {
            Value::Text(text) => Some(text.to_string()),
            Value::Int(value) => Some(value.to_string()),
            _ => None,
        }
    }
}
