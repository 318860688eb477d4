//! The stack machine that a pickle is a program for.

mod calls;

use std::collections::HashMap;
use std::io::BufRead;

use super::scalar::{bytes, line, number, scalar};
use super::{Budget, EMPTY_TUPLE, FALSE, Held, NOTHING, Pickle, Ref, TRUE, Value, ZERO};

pub(super) struct Machine {
    values: Vec<Value>,
    stack: Vec<Ref>,
    /// How high the stack was at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Ref>,
    budget: Budget,
}

/// What is accounted for a value in the table, a reference to it in a container, and what is remembered
/// of it. The stack and its marks cannot grow by more than an instruction's byte allows.
const VALUE: usize = size_of::<Value>();
pub(super) const REF: usize = size_of::<Ref>();
const REMEMBERED: usize = 3 * REF;

impl Machine {
    pub(super) fn new() -> Self {
        let mut values = vec![
            Value::Nothing,
            Value::Bool(false),
            Value::Bool(true),
            Value::Tuple(Vec::new()),
        ];
        values.extend((0..=u8::MAX).map(|number| Value::Int(number.into())));
        Self {
            values,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            budget: Budget::new(0),
        }
    }

    /// Holds what was made of the first `read` bytes against their number.
    pub(super) fn check(&mut self, read: usize) -> Result<(), String> {
        self.budget.read = read;
        self.budget.take(0)
    }

    /// What is left at the end.
    pub(super) fn end(mut self) -> Result<Pickle, String> {
        let root = self.pop()?;
        Ok(Pickle {
            values: self.values,
            root,
            length: self.budget.read,
        })
    }

    /// One instruction, and whether it was not the last. Their names and numbers are those of Python's
    /// `pickletools`.
    pub(super) fn step(&mut self, input: &mut impl BufRead) -> Result<bool, String> {
        let [code] = bytes(input)?;
        match code {
            // STOP
            b'.' => return Ok(false),
            // PROTO and FRAME say nothing about values.
            0x80 => {
                bytes::<1>(input)?;
            }
            0x95 => {
                bytes::<8>(input)?;
            }
            // MARK, POP, POP_MARK, DUP
            b'(' => self.marks.push(self.stack.len()),
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.since_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            // NONE, NEWTRUE, NEWFALSE
            b'N' => self.stack.push(NOTHING),
            0x88 => self.stack.push(TRUE),
            0x89 => self.stack.push(FALSE),
            // BININT1
            b'K' => self.stack.push(ZERO + Ref::from(bytes::<1>(input)?[0])),
            b'I' | b'L' | b'F' | b'V' | b'J' | b'M' | b'G' | 0x8a | 0x8b | b'T' | b'U' | b'X'
            | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => {
                let value = scalar(code, input)?;
                self.push(value)?;
            }
            // EMPTY_TUPLE, EMPTY_LIST, EMPTY_SET, EMPTY_DICT
            b')' => self.stack.push(EMPTY_TUPLE),
            b']' | 0x8f => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            // TUPLE, TUPLE1 to TUPLE3, LIST, FROZENSET, DICT
            b't' => {
                let members = self.since_mark()?;
                self.push(Value::Tuple(members))?;
            }
            0x85..=0x87 => {
                let members = self.last(usize::from(code - 0x84))?;
                self.push(Value::Tuple(members))?;
            }
            b'l' | 0x91 => {
                let members = self.since_mark()?;
                self.push(Value::List(members))?;
            }
            b'd' => {
                let members = self.since_mark()?;
                let pairs = self.pairs(&members)?;
                self.push(Value::Dict(pairs))?;
            }
            // APPEND, APPENDS, ADDITEMS, SETITEM, SETITEMS
            b'a' => {
                let item = self.last(1)?;
                self.append(&item)?;
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let pair = self.last(2)?;
                self.insert(&pair)?;
            }
            b'u' => {
                let members = self.since_mark()?;
                self.insert(&members)?;
            }
            // GET, BINGET, LONG_BINGET
            b'g' => self.recall(number(&line(input)?)?)?,
            b'h' => self.recall(bytes::<1>(input)?[0].into())?,
            b'j' => self.recall(u32::from_le_bytes(bytes(input)?))?,
            // PUT, BINPUT, LONG_BINPUT, MEMOIZE
            b'p' => self.remember(number(&line(input)?)?)?,
            b'q' => self.remember(bytes::<1>(input)?[0].into())?,
            b'r' => self.remember(u32::from_le_bytes(bytes(input)?))?,
            0x94 => self.remember(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))?,
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (line(input)?, line(input)?);
                self.push(Value::Global(module.into(), name.into()))?;
            }
            0x93 => {
                let names = self.last(2)?;
                match (&self.values[names[0]], &self.values[names[1]]) {
                    (Value::Text(module), Value::Text(name)) => {
                        let global = Value::Global(module.clone(), name.clone());
                        self.push(global)?;
                    }
                    _ => return Err("a pickle names a global by what is not text".into()),
                }
            }
            // BINPERSID
            b'Q' => {
                let id = self.pop()?;
                match self.module_class(id) {
                    Some(class) => self.stack.push(class),
                    None => self.push(Value::Persistent(id))?,
                }
            }
            // PERSID
            b'P' => {
                return Err(
                    "written with pickle_protocol=0, which PyTorch itself does not read; save it \
                     again with one of 1 to 5, such as its default"
                        .into(),
                );
            }
            // REDUCE, NEWOBJ, NEWOBJ_EX, BUILD
            b'R' | 0x81 => {
                let call = self.last(2)?;
                let made = self.called(call[0], call[1])?;
                self.stack.push(made);
            }
            0x92 => {
                let call = self.last(3)?;
                let made = self.called(call[0], call[1])?;
                self.stack.push(made);
            }
            b'b' => {
                let state = self.pop()?;
                self.build(state)?;
            }
            other => {
                return Err(format!(
                    "not a pickle, or damaged: instruction {other:#04x}"
                ));
            }
        }
        Ok(true)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        let number = self.make(value)?;
        self.stack.push(number);
        Ok(())
    }

    /// Puts a value into the table. What its members take was accounted for where they were put together.
    fn make(&mut self, value: Value) -> Result<Ref, String> {
        /// What a text takes beside its letters.
        const TEXT: usize = 2 * REF;
        let more = match &value {
            Value::Text(text) => TEXT + text.len(),
            Value::Global(module, name) => 2 * TEXT + module.len() + name.len(),
            Value::Object(_) => size_of::<Held>(),
            _ => 0,
        };
        self.budget.take(VALUE + more)?;
        self.values.push(value);
        Ok(self.values.len() - 1)
    }

    fn pop(&mut self) -> Result<Ref, String> {
        self.last(1).map(|members| members[0])
    }

    /// The topmost `count` values, taken off; none of them lies below the last mark.
    fn last(&mut self, count: usize) -> Result<Vec<Ref>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(from) if from >= floor => Ok(self.stack.drain(from..).collect()),
            _ => Err("a pickle takes more values than it holds; it is damaged".into()),
        }
    }

    fn top(&self) -> Result<Ref, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).unwrap_or_default();
        let top = above.last().copied();
        top.ok_or_else(|| "a pickle takes more values than it holds; it is damaged".into())
    }

    fn since_mark(&mut self) -> Result<Vec<Ref>, String> {
        let mark = self.marks.pop();
        let mark = mark.ok_or("a pickle ends a list that it did not begin; it is damaged")?;
        // Values may have been taken off since.
        let from = mark.min(self.stack.len());
        self.budget.take(REF * (self.stack.len() - from))?;
        Ok(self.stack.drain(from..).collect())
    }

    fn recall(&mut self, number: u32) -> Result<(), String> {
        let value = self.memo.get(&number);
        let value = value.ok_or("a pickle recalls what it did not remember; it is damaged")?;
        self.stack.push(*value);
        Ok(())
    }

    fn remember(&mut self, number: u32) -> Result<(), String> {
        let top = self.top()?;
        self.budget.take(REMEMBERED)?;
        self.memo.insert(number, top);
        Ok(())
    }

    fn append(&mut self, more: &[Ref]) -> Result<(), String> {
        let top = self.top()?;
        self.budget.take(REF * more.len())?;
        match &mut self.values[top] {
            Value::List(items) => items.extend(more),
            Value::Object(held) => held.items.extend(more),
            _ => return Err("a pickle appends to what is no list; it is damaged".into()),
        }
        Ok(())
    }

    fn insert(&mut self, members: &[Ref]) -> Result<(), String> {
        let top = self.top()?;
        let more = self.pairs(members)?;
        match &mut self.values[top] {
            Value::Dict(pairs) => pairs.extend(more),
            Value::Object(held) => held.pairs.extend(more),
            _ => return Err("a pickle puts keys into what is no dictionary; it is damaged".into()),
        }
        Ok(())
    }

    fn pairs(&mut self, members: &[Ref]) -> Result<Vec<(Ref, Ref)>, String> {
        let (pairs, rest) = members.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a pickle holds a key without a value; it is damaged".into());
        }
        self.budget.take(REF * members.len())?;
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    }
}
