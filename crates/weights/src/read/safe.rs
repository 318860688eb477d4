//! The table at the beginning of safetensors: names, types, shapes and places.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufReader, Read};

use safetensors::tensor::TensorInfo;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::LONGEST_NAME;

/// The longest table that is read, in bytes: the format's own limit.
const LONGEST_TABLE: u64 = 100_000_000;

/// What a file says of its tensors.
#[derive(Default)]
pub(super) struct Table {
    /// The tensors, in the order of their bytes.
    pub tensors: Vec<(String, TensorInfo)>,
    pub metadata: BTreeMap<String, String>,
    /// Where their bytes begin in the file.
    pub data: u64,
}

impl Table {
    /// Reads the table of a file of `size` bytes.
    pub fn read(mut file: impl Read, size: u64) -> Result<Self, String> {
        // Eight bytes say how long the table is; what they say must fit into the file.
        let mut head = [0; 8];
        file.read_exact(&mut head)
            .map_err(|_| "not safetensors: shorter than its header")?;
        let length = u64::from_le_bytes(head);
        if length > size.saturating_sub(8) {
            return Err("not safetensors, or cut off: its header is longer than the file".into());
        }
        if length > LONGEST_TABLE {
            return Err(format!(
                "not safetensors: its header has {length} bytes, more than {LONGEST_TABLE}"
            ));
        }
        // As it is read, so that what is no table takes no memory.
        let mut json = serde_json::Deserializer::from_reader(BufReader::new(file.take(length)));
        let table = json.deserialize_map(Entries);
        let table = table.and_then(|table| json.end().map(|()| table));
        let mut table = table.map_err(|error| format!("not safetensors: {error}"))?;
        table.tensors.sort_by_key(|(_, info)| info.data_offsets);
        table.data = 8 + length;
        let described = table.data.saturating_add(extent(&table.tensors)?);
        if described != size {
            return Err(format!(
                "{size} bytes, its header describes {described}; it was cut off or added to"
            ));
        }
        Ok(table)
    }
}

/// Reads the entries of a table, each name once.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
        let mut table = Table::default();
        let mut names = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                table.metadata = map.next_value()?;
                continue;
            }
            if name.len() > LONGEST_NAME {
                let length = name.len();
                let problem = format!("a name of {length} bytes, more than {LONGEST_NAME}");
                return Err(A::Error::custom(problem));
            }
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("two tensors are called {name}")));
            }
            table.tensors.push((name, map.next_value()?));
        }
        Ok(table)
    }
}

/// How many bytes the tensors take, one behind the other, each as many as its shape and type say.
fn extent(tensors: &[(String, TensorInfo)]) -> Result<u64, String> {
    let mut end = 0;
    for (name, info) in tensors {
        let (from, to) = info.data_offsets;
        if from != end || to < from {
            return Err(format!(
                "{name} is said to lie at {from} to {to}, where {end} is the next free byte"
            ));
        }
        let bits = (info.shape.iter())
            .try_fold(info.dtype.bitsize(), |bits, side| bits.checked_mul(*side));
        // Numbers of less than a byte lie side by side.
        if bits.is_none_or(|bits| !bits.is_multiple_of(8) || bits / 8 != to - from) {
            return Err(format!(
                "{name} is said to have {} bytes, which is not what its type {:?} and shape {:?} take",
                to - from,
                info.dtype,
                info.shape
            ));
        }
        end = to;
    }
    Ok(end as u64)
}
