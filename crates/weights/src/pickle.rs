//! Reading pickles as far as files of `torch.save` need it. Nothing is imported, called or executed:
//! a global is its name, a call is a value that says what would have been called.
//!
//! Values lie in one table and are known by their index, so that a value that is used twice is
//! stored once, as Python has it, and no depth of nesting costs stack.

mod machine;
mod scalar;

use std::io::{BufRead, Read};
use std::sync::Arc;

use machine::Machine;

/// The longest pickle that is read, in bytes. Those of the largest models have some ten megabytes.
pub(crate) const LONGEST_PICKLE: u64 = 64 << 20;

/// Bytes of memory that the values of a pickle may take for each of its own, and once more its tensors'
/// names and places. State dicts take 6 to 11, vocabularies as many, and lists of numbers 15; what a
/// file is made for could take thousands.
const MEMORY_PER_BYTE: usize = 24;

/// The same for a pickle of no length.
const MEMORY_AT_LEAST: usize = 64 << 10;

/// What is made of a pickle, held against its length before it is made.
pub(crate) struct Budget {
    /// Bytes of the pickle, as far as it was read.
    pub read: usize,
    taken: usize,
}

impl Budget {
    pub(crate) fn new(read: usize) -> Self {
        Self { read, taken: 0 }
    }

    /// Accounts for so many bytes of memory.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.taken = self.taken.saturating_add(bytes);
        let most = MEMORY_AT_LEAST + MEMORY_PER_BYTE * self.read;
        if self.taken <= most {
            return Ok(());
        }
        Err(format!(
            "the values of a pickle of {} bytes would take more than {most} bytes of memory, as those of \
             no file of weights do",
            self.read
        ))
    }
}

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
    Object(Box<Held>),
}

/// What was put into an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub items: Vec<Ref>,
    pub pairs: Vec<(Ref, Ref)>,
}

/// What a pickle holds.
pub(crate) struct Pickle {
    values: Vec<Value>,
    root: Ref,
    /// Its length in bytes.
    length: usize,
}

/// The values that are always there, so that a byte that pushes one of them costs no more; behind them
/// the numbers of one byte.
const NOTHING: Ref = 0;
const FALSE: Ref = 1;
const TRUE: Ref = 2;
const EMPTY_TUPLE: Ref = 3;
const ZERO: Ref = 4;

impl Pickle {
    /// Reads up to the pickle's end, and no byte further.
    ///
    /// # Errors
    /// What is not a pickle, or not whole.
    pub(crate) fn read(input: &mut impl BufRead) -> Result<Self, String> {
        let mut machine = Machine::new();
        let mut input = input.take(LONGEST_PICKLE);
        let mut goes_on = true;
        while goes_on {
            goes_on = machine
                .step(&mut input)
                .map_err(|problem| match input.limit() {
                    0 => format!("a pickle of more than {LONGEST_PICKLE} bytes"),
                    _ => problem,
                })?;
            machine.check((LONGEST_PICKLE - input.limit()) as usize)?;
        }
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

    /// For what is made of it.
    pub(crate) fn budget(&self) -> Budget {
        Budget::new(self.length)
    }

    pub(crate) fn text(&self, at: Ref) -> Option<&str> {
        match self.get(at) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a value holds, but for keys.
    fn held(&self, at: Ref) -> impl Iterator<Item = Ref> {
        let (items, pairs): (&[Ref], &[(Ref, Ref)]) = match self.get(at) {
            Value::Tuple(items) | Value::List(items) => (items, &[]),
            Value::Dict(pairs) | Value::Module(pairs) => (&[], pairs),
            Value::Object(held) => (&held.items, &held.pairs),
            _ => (&[], &[]),
        };
        let values = pairs.iter().map(|(_, value)| *value);
        items.iter().copied().chain(values)
    }

    /// Which values have a tensor in them, at any depth: found from the tensors on, since the values that
    /// a file is made of may hold each other in circles.
    pub(crate) fn holders(&self, budget: &mut Budget) -> Result<Vec<bool>, String> {
        // Those that hold each value, one value after the other, and where the next one's begin.
        let mut ends = vec![0_u32; self.len() + 1];
        let mut count = 0;
        for at in 0..self.len() {
            for held in self.held(at) {
                ends[held] += 1;
                count += 1;
            }
        }
        budget.take(size_of::<u32>() * count)?;
        let mut end = 0;
        for place in &mut ends {
            end += *place;
            *place = end;
        }
        let mut holders = vec![0_u32; count];
        for at in 0..self.len() {
            for held in self.held(at) {
                ends[held] -= 1;
                holders[ends[held] as usize] = at as u32;
            }
        }
        let is_tensor = |value: &Value| matches!(value, Value::Tensor { .. } | Value::Unread(_));
        let mut found: Vec<bool> = self.values.iter().map(is_tensor).collect();
        let mut open: Vec<Ref> = (0..self.len()).filter(|at| found[*at]).collect();
        while let Some(at) = open.pop() {
            for holder in &holders[ends[at] as usize..ends[at + 1] as usize] {
                let holder = *holder as Ref;
                if !found[holder] {
                    found[holder] = true;
                    open.push(holder);
                }
            }
        }
        Ok(found)
    }

    /// Whether a value holds no others.
    pub(crate) fn is_scalar(&self, at: Ref) -> bool {
        matches!(
            self.get(at),
            Value::Nothing | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_)
        )
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
