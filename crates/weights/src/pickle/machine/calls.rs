//! What calls, classes and states of a pickle stand for.

use std::collections::HashSet;

use super::super::{NOTHING, Ref, Value};
use super::{Machine, REF};

impl Machine {
    /// What a call stands for: a tensor, a plain container, or an object that nothing is known of.
    /// The call itself is never made.
    pub(super) fn called(&mut self, callable: Ref, arguments: Ref) -> Result<Ref, String> {
        let (module, name) = match &self.values[callable] {
            Value::Global(module, name) => (module.clone(), name.clone()),
            _ => ("".into(), "".into()),
        };
        let argument = |number: usize| match &self.values[arguments] {
            Value::Tuple(given) => given.get(number).copied(),
            _ => None,
        };
        let [first, second, third, state] = [0, 1, 2, 3].map(argument);
        let value = match (&*module, &*name) {
            // A parameter is its tensor.
            ("torch._utils", "_rebuild_parameter") => return Ok(first.unwrap_or(NOTHING)),
            ("torch._utils", "_rebuild_parameter_with_state") => {
                if !self.has_attribute(state, |name, _| name == "data")? {
                    return Ok(first.unwrap_or(NOTHING));
                }
                Value::Unread("a parameter whose state has data of its own")
            }
            ("torch._tensor", "_rebuild_from_type_v2") => {
                self.of_class(first, third.unwrap_or(NOTHING), state)?
            }
            ("torch._utils", how) if how.starts_with("_rebuild_") => Value::Tensor {
                how: name.clone(),
                arguments,
            },
            ("collections", "OrderedDict" | "Counter") | ("builtins" | "__builtin__", "dict") => {
                Value::Dict(self.pairs_in(first)?)
            }
            ("collections", "defaultdict") => Value::Dict(self.pairs_in(second)?),
            ("collections", "deque")
            | ("builtins" | "__builtin__", "list" | "tuple" | "set" | "frozenset") => {
                Value::List(self.members_of(first)?)
            }
            _ => Value::Object(Box::default()),
        };
        self.make(value)
    }

    /// A tensor of a class of its own is its tensor too, unless the class may make other values of it.
    fn of_class(
        &mut self,
        rebuild: Option<Ref>,
        arguments: Ref,
        state: Option<Ref>,
    ) -> Result<Value, String> {
        let is_number = |name: &str, value: &Value| match value {
            Value::Tensor { .. } | Value::Unread(_) | Value::Float(_) => true,
            _ => name == "data",
        };
        if self.has_attribute(state, is_number)? {
            return Ok(Value::Unread("a tensor of a class with numbers of its own"));
        }
        Ok(match rebuild.map(|rebuild| &self.values[rebuild]) {
            Some(Value::Global(module, how)) if &**module == "torch._utils" => Value::Tensor {
                how: how.clone(),
                arguments,
            },
            _ => Value::Unread("a tensor that is not PyTorch's own"),
        })
    }

    /// Whether one of the attributes that are put on a tensor is such. They are a dictionary, or one and
    /// another of its slots; any other state is known to its class alone.
    fn has_attribute(
        &mut self,
        state: Option<Ref>,
        is_such: impl Fn(&str, &Value) -> bool,
    ) -> Result<bool, String> {
        let state = state.unwrap_or(NOTHING);
        let parts = match &self.values[state] {
            Value::Tuple(parts) => parts.as_slice(),
            _ => &[state],
        };
        let mut found = false;
        self.budget.take(REF * parts.len())?;
        for part in parts {
            match &self.values[*part] {
                Value::Nothing => {}
                Value::Dict(pairs) => {
                    self.budget.take(REF * pairs.len())?;
                    found |= pairs.iter().any(|(name, value)| match &self.values[*name] {
                        Value::Text(name) => is_such(name, &self.values[*value]),
                        _ => false,
                    });
                }
                _ => found = true,
            }
        }
        Ok(found)
    }

    /// The class that a persistent id stands for: before PyTorch 1.6 those of modules lay outside, with
    /// their source, as `('module', class, file, source)`.
    pub(super) fn module_class(&self, id: Ref) -> Option<Ref> {
        let Value::Tuple(members) = &self.values[id] else {
            return None;
        };
        let [tag, class, ..] = members[..] else {
            return None;
        };
        matches!(&self.values[tag], Value::Text(tag) if &**tag == "module").then_some(class)
    }

    fn members_of(&mut self, at: Option<Ref>) -> Result<Vec<Ref>, String> {
        let Some(Value::List(members) | Value::Tuple(members)) = at.map(|at| &self.values[at])
        else {
            return Ok(Vec::new());
        };
        self.budget.take(REF * members.len())?;
        Ok(members.clone())
    }

    /// What a dictionary is made from: another one, or a list of pairs.
    fn pairs_in(&mut self, at: Option<Ref>) -> Result<Vec<(Ref, Ref)>, String> {
        let pairs: Vec<(Ref, Ref)> = match at.map(|at| &self.values[at]) {
            Some(Value::Dict(pairs)) => {
                self.budget.take(2 * REF * pairs.len())?;
                pairs.clone()
            }
            Some(Value::List(members) | Value::Tuple(members)) => {
                self.budget.take(2 * REF * members.len())?;
                let pair = |at: &Ref| match &self.values[*at] {
                    Value::List(pair) | Value::Tuple(pair) if pair.len() == 2 => {
                        Some((pair[0], pair[1]))
                    }
                    _ => None,
                };
                members.iter().filter_map(pair).collect()
            }
            _ => Vec::new(),
        };
        Ok(pairs)
    }

    /// Attributes of the topmost object. Those of a `torch.nn.Module` hold its tensors; those of
    /// others, such as the `_metadata` of a state dict, do not.
    pub(super) fn build(&mut self, state: Ref) -> Result<(), String> {
        let top = self.top()?;
        if matches!(self.values[top], Value::Tensor { .. }) {
            self.values[top] = Value::Unread("a tensor with a state of its own");
        }
        let (Value::Object(_), Value::Dict(attributes)) = (&self.values[top], &self.values[state])
        else {
            return Ok(());
        };
        let held = attributes
            .iter()
            .map(|(_, held)| match &self.values[*held] {
                Value::Dict(pairs) => 1 + pairs.len(),
                Value::List(members) => 1 + members.len(),
                _ => 1,
            });
        self.budget.take(2 * REF * held.sum::<usize>())?;
        let pairs = self.state_dict(attributes);
        if let Some(pairs) = pairs {
            self.values[top] = Value::Module(pairs);
        }
        Ok(())
    }

    /// The members of a module that its state dict has, or none if these are no module's attributes.
    fn state_dict(&self, attributes: &[(Ref, Ref)]) -> Option<Vec<(Ref, Ref)>> {
        let text = |at: Ref| match &self.values[at] {
            Value::Text(text) => Some(&**text),
            _ => None,
        };
        let named = |name: &str| {
            let mut attributes = attributes.iter().rev();
            let (_, value) = attributes.find(|(key, _)| text(*key) == Some(name))?;
            Some(&self.values[*value])
        };
        let table = |name: &str| match named(name) {
            Some(Value::Dict(pairs)) => Some(pairs.as_slice()),
            _ => None,
        };
        let passing: HashSet<&str> = match named("_non_persistent_buffers_set") {
            Some(Value::List(names)) => names.iter().filter_map(|at| text(*at)).collect(),
            _ => HashSet::new(),
        };
        let is_kept = |(key, _): &&(Ref, Ref)| !text(*key).is_some_and(|key| passing.contains(key));
        let (parameters, modules) = (table("_parameters")?, table("_modules")?);
        let buffers = table("_buffers")?.iter().filter(is_kept);
        Some(
            parameters
                .iter()
                .chain(buffers)
                .chain(modules)
                .copied()
                .collect(),
        )
    }
}
