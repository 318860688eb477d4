//! The tensors of a pickle: what they are called, and where their numbers are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::tensor::{BoolStore, DType};

use super::Saved;
use crate::pickle::{Budget, Pickle, Ref, Value};
use crate::read::{Entry, LONGEST_NAME, Layout, Place};

/// Levels of dictionaries, lists and modules in which tensors are looked for.
const DEEPEST: usize = 64;

/// Levels in which facts are: those of a dictionary in the outermost.
const FACTS_DEPTH: usize = 2;

/// Sides of a tensor, as many as PyTorch allows, and marks on one: a pickle says a long list once and
/// names it for every tensor.
const MOST_SIDES: usize = 64;

/// What is accounted for a look at a value, and for a name in a table.
const VISIT: usize = 16;
const NAMED: usize = 64;

/// Entries of a dictionary whose numbers and text are kept, as those of a configuration.
const MOST_FACTS: usize = 1000;

/// A view may lie spread over so many times its own numbers, and so many bytes: all between them are
/// read. One that is spread further may be as long as the file, and all of them together so many times.
const SPREAD: usize = 16;
const SPREAD_AT_LEAST: usize = 1 << 20;
const SPREAD_OF_FILE: u64 = 4;

/// What a tensor's numbers lie in.
pub(super) struct Storage {
    pub key: String,
    /// Of the numbers; none where the storage is of bytes, or of numbers that are not read.
    dtype: Result<DType, String>,
    /// Numbers.
    pub count: usize,
    /// Where the numbers of a view of another storage begin, in numbers.
    start: usize,
}

impl Storage {
    /// `('storage', class, key, device, count)`, in old files with a view behind it.
    fn read(pickle: &Pickle, id: Ref) -> Option<Self> {
        let [tag, class, key, _, count, more @ ..] = pickle.members(id)? else {
            return None;
        };
        let Value::Global(_, class) = pickle.get(*class) else {
            return None;
        };
        let view = more.first().and_then(|view| pickle.members(*view));
        let start = view.map_or(Some(0), |view| pickle.count(*view.get(1)?));
        (pickle.text(*tag) == Some("storage")).then_some(())?;
        Some(Self {
            key: pickle.key(*key)?,
            dtype: storage_type(class),
            count: pickle.count(*count)?,
            start: start?,
        })
    }

    pub fn width(&self) -> usize {
        self.dtype.as_ref().map_or(1, |dtype| dtype.size())
    }
}

/// Every storage that a pickle names, by its key.
pub(super) fn storages(pickle: &Pickle) -> Result<HashMap<String, Storage>, String> {
    let mut storages = HashMap::new();
    for at in 0..pickle.len() {
        if let Value::Persistent(id) = pickle.get(at) {
            let storage =
                Storage::read(pickle, *id).ok_or("it names a storage in an unknown way")?;
            if let Err(class) = &storage.dtype {
                return Err(format!("it holds numbers of {class}, which are not read"));
            }
            storages.insert(storage.key.clone(), storage);
        }
    }
    Ok(storages)
}

fn storage_type(class: &str) -> Result<DType, String> {
    Ok(match class {
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "CharStorage" => DType::I8,
        "ByteStorage" => DType::U8,
        "BoolStorage" => DType::Bool(BoolStore::Native),
        other => return Err(other.to_owned()),
    })
}

fn torch_dtype(name: &str) -> Result<DType, String> {
    Ok(match name {
        "float32" => DType::F32,
        "float64" => DType::F64,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "int64" => DType::I64,
        "int32" => DType::I32,
        "int16" => DType::I16,
        "int8" => DType::I8,
        "uint64" => DType::U64,
        "uint32" => DType::U32,
        "uint16" => DType::U16,
        "uint8" => DType::U8,
        "bool" => DType::Bool(BoolStore::Native),
        other => return Err(format!("torch.{other}")),
    })
}

/// Finds a storage: where its bytes begin, and how many there are.
pub(super) type Find<'a> = &'a dyn Fn(&Storage) -> Result<(Place, u64), String>;

/// The tensors of the pickle of a file of `size` bytes.
pub(super) fn collect(pickle: &Pickle, size: u64, find: Find<'_>) -> Result<Saved, String> {
    let mut budget = pickle.budget();
    let mut walk = Walk {
        pickle,
        find,
        size,
        spread: 0,
        holds_tensors: pickle.holders(&mut budget)?,
        way: Vec::new(),
        budget,
        saved: Saved {
            entries: BTreeMap::new(),
            metadata: BTreeMap::new(),
            sections: BTreeSet::new(),
        },
    };
    walk.visit(pickle.root(), "", 0)?;
    Ok(walk.saved)
}

struct Walk<'a> {
    pickle: &'a Pickle,
    find: Find<'a>,
    size: u64,
    /// Bytes over which views are spread beyond measure.
    spread: u64,
    /// Whether there is a tensor in each of the values.
    holds_tensors: Vec<bool>,
    /// The values within each other from the outermost to the present one.
    way: Vec<Ref>,
    budget: Budget,
    saved: Saved,
}

impl Walk<'_> {
    fn visit(&mut self, at: Ref, name: &str, depth: usize) -> Result<(), String> {
        // A few values that hold each other make endlessly many paths.
        self.budget.take(VISIT + name.len())?;
        if depth > DEEPEST {
            return self.insert(
                name,
                unread(format!("a value more than {DEEPEST} levels deep")),
            );
        }
        self.way.push(at);
        let visited = self.visit_value(at, name, depth);
        self.way.pop();
        visited
    }

    /// Visits what a value holds by `key`. What has no tensor in it is passed over, whatever it is, and a
    /// value that holds itself was visited before.
    fn visit_member(&mut self, at: Ref, name: &str, key: &str, depth: usize) -> Result<(), String> {
        let is_tensor = self.holds_tensors[at];
        if !is_tensor && depth > FACTS_DEPTH || self.way.contains(&at) {
            return Ok(());
        }
        match joined(name, key) {
            Some(name) => self.visit(at, &name, depth),
            None if is_tensor => {
                let problem = format!("a value under a name of more than {LONGEST_NAME} bytes");
                self.insert(&format!("{name}.{}…", brief(key)), unread(problem))
            }
            None => Ok(()),
        }
    }

    fn visit_value(&mut self, at: Ref, name: &str, depth: usize) -> Result<(), String> {
        let pickle = self.pickle;
        match pickle.get(at) {
            Value::Dict(pairs) => self.visit_dict(pairs, name, depth),
            Value::Object(held) if !held.pairs.is_empty() => {
                self.visit_dict(&held.pairs, name, depth)
            }
            Value::Module(pairs) => self.visit_pairs(pairs, name, depth),
            Value::List(members) | Value::Tuple(members) => {
                self.visit_members(members, name, depth)
            }
            Value::Object(held) => self.visit_members(&held.items, name, depth),
            Value::Tensor { how, arguments } => {
                let entry = self
                    .tensor(how, *arguments)
                    .map_err(|error| format!("{name}: {error}"))?;
                self.insert(name, entry)
            }
            Value::Unread(what) => self.insert(name, unread((*what).to_owned())),
            value => {
                let said = match value {
                    Value::Bool(value) => value.to_string(),
                    Value::Int(value) => value.to_string(),
                    Value::Float(value) => value.to_string(),
                    Value::Text(value) if value.len() <= LONGEST_NAME => value.to_string(),
                    _ => return Ok(()),
                };
                if depth <= FACTS_DEPTH {
                    self.budget.take(2 * NAMED + name.len() + said.len())?;
                    self.saved.metadata.insert(name.to_owned(), said);
                }
                Ok(())
            }
        }
    }

    fn visit_members(&mut self, members: &[Ref], name: &str, depth: usize) -> Result<(), String> {
        for (number, member) in members.iter().enumerate() {
            // A history of losses may have a million.
            if !self.pickle.is_scalar(*member) {
                self.visit_member(*member, name, &number.to_string(), depth + 1)?;
            }
        }
        Ok(())
    }

    fn visit_dict(&mut self, pairs: &[(Ref, Ref)], name: &str, depth: usize) -> Result<(), String> {
        let pickle = self.pickle;
        for (key, value) in pairs {
            // A module within a module is a part of the same names.
            if let (Some(key), Value::Module(_) | Value::Dict(_)) =
                (pickle.key(*key), pickle.get(*value))
                && let Some(section) = joined(name, &key)
            {
                self.budget.take(NAMED + section.len())?;
                self.saved.sections.insert(section + ".");
            }
        }
        self.visit_pairs(pairs, name, depth)
    }

    fn visit_pairs(
        &mut self,
        pairs: &[(Ref, Ref)],
        name: &str,
        depth: usize,
    ) -> Result<(), String> {
        let is_configuration = pairs.len() <= MOST_FACTS;
        for (key, value) in pairs {
            if !is_configuration && self.pickle.is_scalar(*value) {
                continue;
            }
            // A key that is neither text nor a number names no tensor of a model.
            if let Some(key) = self.pickle.key(*key) {
                self.visit_member(*value, name, &key, depth + 1)?;
            }
        }
        Ok(())
    }

    /// The keys on the way to a tensor can be those of another: `a` and `b.c`, `a.b` and `c`.
    fn insert(&mut self, name: &str, entry: Entry) -> Result<(), String> {
        let sides = 2 * entry.shape.len() * size_of::<usize>();
        self.budget
            .take(NAMED + size_of::<Entry>() + name.len() + sides)?;
        let entry = match self.saved.entries.contains_key(name) {
            true => unread("two tensors of one name".into()),
            false => entry,
        };
        self.saved.entries.insert(name.to_owned(), entry);
        Ok(())
    }

    /// `_rebuild_tensor_v2(storage, start, shape, strides, requires_grad, hooks, metadata)`; the third
    /// version has the type before the metadata.
    fn tensor(&mut self, how: &str, arguments: Ref) -> Result<Entry, String> {
        let pickle = self.pickle;
        let known = match how {
            "_rebuild_tensor" | "_rebuild_tensor_v2" => 2,
            "_rebuild_tensor_v3" => 3,
            _ => return Ok(unread(format!("torch._utils.{}", brief(how)))),
        };
        let damaged = "a tensor is described in an unknown way";
        let arguments = pickle.members(arguments).ok_or(damaged)?;
        let [storage, start, shape, strides, more @ ..] = arguments else {
            return Err(damaged.into());
        };
        let Value::Persistent(id) = pickle.get(*storage) else {
            return Err(damaged.into());
        };
        let storage = Storage::read(pickle, *id).ok_or(damaged)?;
        let sides = |at: &Ref| -> Option<Vec<usize>> {
            let sides = pickle.members(*at)?;
            (sides.len() <= MOST_SIDES).then_some(())?;
            sides.iter().map(|side| pickle.count(*side)).collect()
        };
        let (shape, strides) = (sides(shape).ok_or(damaged)?, sides(strides).ok_or(damaged)?);
        let start = pickle.count(*start).ok_or(damaged)?;
        let dtype = match more.get(2).map(|dtype| pickle.get(*dtype)) {
            Some(Value::Global(_, name)) if how == "_rebuild_tensor_v3" => torch_dtype(name),
            _ => storage.dtype.clone(),
        };
        let dtype = match dtype {
            Ok(dtype) => dtype,
            Err(class) => {
                return Ok(Entry {
                    shape,
                    layout: Err(format!("numbers of {}", brief(&class))),
                });
            }
        };
        let is_negated = match is_negated(pickle, more.get(known..).unwrap_or_default(), dtype) {
            Ok(is_negated) => is_negated,
            Err(what) => {
                return Ok(Entry {
                    shape,
                    layout: Err(what),
                });
            }
        };
        let (place, size) = (self.find)(&storage)?;
        let outside = "a tensor reaches beyond its numbers";
        let numbers = extent(&shape, &strides).ok_or(outside)?;
        let first = storage.start.checked_add(start).ok_or(outside)?;
        let bytes = |count: usize| count.checked_mul(dtype.size());
        let (first, length) = (bytes(first).ok_or(outside)?, bytes(numbers).ok_or(outside)?);
        if first
            .checked_add(length)
            .is_none_or(|end| end as u64 > size)
        {
            return Err(outside.into());
        }
        if shape.iter().product::<usize>() > numbers {
            return Ok(Entry {
                shape,
                layout: Err("a view that shows a number more than once".into()),
            });
        }
        let own = dtype.size() * shape.iter().product::<usize>();
        if length > SPREAD_AT_LEAST.max(SPREAD * own) {
            let spread = self.spread.saturating_add(length as u64);
            let most = SPREAD_OF_FILE.saturating_mul(self.size);
            if length as u64 > self.size || spread > most {
                let layout = Err(format!(
                    "a view spread over {length} bytes (more than {SPREAD} times its own {own}, and \
                     with others over too much of a file of {}; copy it before saving, by \
                     tensor.contiguous() or tensor.clone())",
                    self.size
                ));
                return Ok(Entry { shape, layout });
            }
            self.spread = spread;
        }
        let is_plain = is_contiguous(&shape, &strides);
        Ok(Entry {
            shape,
            layout: Ok(Layout {
                dtype,
                place: place.further(first as u64),
                length,
                strides: (!is_plain).then_some(strides),
                is_negated,
            }),
        })
    }
}

fn unread(what: String) -> Entry {
    Entry {
        shape: Vec::new(),
        layout: Err(what),
    }
}

/// The beginning of a name: every tensor of a file may say it, of whatever length.
fn brief(name: &str) -> &str {
    name.char_indices()
        .nth(64)
        .map_or(name, |(end, _)| &name[..end])
}

/// Whether a tensor's values are those of its storage with the other sign, by the metadata that come
/// last of its arguments; or what else they say of it, which is not read.
fn is_negated(pickle: &Pickle, metadata: &[Ref], dtype: DType) -> Result<bool, String> {
    let pairs = match metadata {
        [] => return Ok(false),
        [metadata] => match pickle.get(*metadata) {
            Value::Nothing => return Ok(false),
            Value::Dict(pairs) if pairs.len() <= MOST_SIDES => pairs,
            _ => return Err("numbers with metadata of an unknown kind".into()),
        },
        _ => return Err("numbers with arguments that are not known".into()),
    };
    let mut is_negated = false;
    for (key, value) in pairs {
        match (pickle.text(*key), pickle.get(*value)) {
            // PyTorch takes this bit, and `conj`, as set wherever they are named.
            (Some("neg"), _) if dtype.is_float() => is_negated = true,
            (Some("neg"), _) => return Err("integers that are marked neg".into()),
            (key, Value::Bool(false)) if key != Some("conj") => {}
            (key, _) => {
                let key = key.map_or("by what is no text", brief);
                return Err(format!("numbers that are marked {key}"));
            }
        }
    }
    Ok(is_negated)
}

/// A name in a dictionary of another name; none where it is too long.
fn joined(name: &str, key: &str) -> Option<String> {
    let fits = name.len() + key.len() < LONGEST_NAME;
    fits.then(|| match name {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    })
}

/// From the first number of a view to behind its last; none where it is no number of this machine.
fn extent(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.len() != strides.len() {
        return None;
    }
    shape
        .iter()
        .try_fold(1_usize, |count, side| count.checked_mul(*side))?;
    if shape.contains(&0) {
        return Some(0);
    }
    let mut steps = shape.iter().zip(strides);
    let last = steps.try_fold(0_usize, |last, (side, stride)| {
        last.checked_add((side - 1).checked_mul(*stride)?)
    });
    last?.checked_add(1)
}

/// Whether numbers lie as they are counted. A side of one has a stride that means nothing.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1_usize;
    shape.iter().zip(strides).rev().all(|(side, stride)| {
        let fits = *side == 1 || *stride == expected;
        expected = expected.saturating_mul(*side);
        fits
    })
}
