//! Files as `torch.save` writes them, byte by byte: for tests that need other people's files.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::path::Path;

/// A Python object.
#[derive(Clone)]
pub enum Py {
    None,
    Int(i32),
    Float(f64),
    Text(String),
    List(Vec<Py>),
    Dict(Vec<(Py, Py)>),
    /// `collections.OrderedDict` with `_metadata` beside its items, as a state dict has it.
    Ordered(Vec<(String, Py)>),
    /// `collections.defaultdict(list)`
    Default(Vec<(String, Py)>),
    /// `module.Class()` with attributes.
    Object(&'static str, &'static str, Vec<(String, Py)>),
    Tensor(Tensor),
    /// `module.function(*arguments)`
    Call(&'static str, &'static str, Vec<Py>),
    /// A name: `module.Class`.
    Global(&'static str, &'static str),
    /// What lies outside of the pickle: the classes of modules, before PyTorch 1.6.
    Persistent(Vec<Py>),
    /// An object of a class.
    Made(Box<Py>),
    /// A value that is given attributes.
    Built(Box<Py>, Vec<(String, Py)>),
    /// What else a pickle may hold: instructions that leave one value.
    Raw(Vec<u8>),
}

/// A tensor, or a view of the numbers of one.
#[derive(Clone)]
pub struct Tensor {
    pub storage: &'static str,
    pub bytes: Vec<u8>,
    /// Bytes of a number.
    pub width: usize,
    pub start: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
    /// What PyTorch says of the view beside its shape: `neg`, `conj`.
    pub metadata: Vec<(&'static str, bool)>,
}

/// A tensor of single precision.
pub fn floats(shape: &[usize], values: &[f32]) -> Py {
    Py::Tensor(Tensor {
        storage: "FloatStorage",
        bytes: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
        width: 4,
        start: 0,
        shape: shape.to_vec(),
        strides: in_order(shape),
        metadata: Vec::new(),
    })
}

/// A vector that is marked so.
pub fn marked(values: &[f32], metadata: &[(&'static str, bool)]) -> Py {
    let Py::Tensor(tensor) = floats(&[values.len()], values) else {
        unreachable!("floats are a tensor");
    };
    Py::Tensor(Tensor {
        metadata: metadata.to_vec(),
        ..tensor
    })
}

/// A count, as batch norms have it.
pub fn count(value: i64) -> Py {
    Py::Tensor(Tensor {
        storage: "LongStorage",
        bytes: value.to_le_bytes().to_vec(),
        width: 8,
        start: 0,
        shape: Vec::new(),
        strides: Vec::new(),
        metadata: Vec::new(),
    })
}

/// A dictionary whose keys are text.
pub fn dict<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Py)>) -> Py {
    let pairs = pairs.into_iter();
    Py::Dict(
        pairs
            .map(|(key, value)| (Py::Text(key.into()), value))
            .collect(),
    )
}

fn in_order(shape: &[usize]) -> Vec<usize> {
    let sides = 0..shape.len();
    sides
        .map(|side| shape[side + 1..].iter().product())
        .collect()
}

/// `torch.save(object, path)`; the members of the archive are in a folder `inner`.
pub fn save(path: &Path, inner: &str, object: &Py) {
    let pickled = Pickler::of(object);
    let mut members = vec![
        ("data.pkl".to_owned(), pickled.bytes),
        (".format_version".into(), b"1".to_vec()),
        ("byteorder".into(), b"little".to_vec()),
    ];
    let storages = pickled.storages.into_iter().enumerate();
    members.extend(storages.map(|(key, (_, bytes))| (format!("data/{key}"), bytes)));
    members.push(("version".into(), b"3\n".to_vec()));
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in &members {
        let name = format!("{inner}/{name}");
        let start = file.len() as u32;
        let sum = crc32(bytes);
        // Numbers lie at multiples of 64; sizes and sum come behind them.
        let padding = (64 - (file.len() + 30 + name.len() + 4) % 64) % 64;
        file.extend(*b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0");
        file.extend([0; 12]);
        file.extend((name.len() as u16).to_le_bytes());
        file.extend((padding as u16 + 4).to_le_bytes());
        file.extend(name.as_bytes());
        file.extend(*b"FB");
        file.extend((padding as u16).to_le_bytes());
        file.extend(vec![b'Z'; padding]);
        file.extend(bytes);
        let sizes = [sum, bytes.len() as u32, bytes.len() as u32];
        let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        file.extend(*b"PK\x07\x08");
        file.extend(&sizes);
        directory.extend(*b"PK\x01\x02\0\0\0\0\x08\x08\0\0\0\0\0\0");
        directory.extend(&sizes);
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size, count) = (
        file.len() as u64,
        directory.len() as u64,
        members.len() as u64,
    );
    file.extend(directory);
    let end = file.len() as u64;
    file.extend(*b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x1e\x03\x2d\0\0\0\0\0\0\0\0\0");
    file.extend(
        [count, count, size, start]
            .iter()
            .flat_map(|n| n.to_le_bytes()),
    );
    file.extend(*b"PK\x06\x07\0\0\0\0");
    file.extend(end.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend(*b"PK\x05\x06\0\0\0\0");
    file.extend([count as u16; 2].iter().flat_map(|n| n.to_le_bytes()));
    file.extend(
        [size as u32, start as u32]
            .iter()
            .flat_map(|n| n.to_le_bytes()),
    );
    file.extend([0; 2]);
    fs::write(path, file).unwrap();
}

/// As PyTorch wrote it before 1.6.
pub fn save_old(path: &Path, object: &Py) {
    let pickled = Pickler::of(object);
    let mut file =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    let machine = dict([
        ("protocol_version", Py::Int(1001)),
        ("little_endian", Py::Raw(vec![0x88])),
    ]);
    file.extend(Pickler::of(&machine).bytes);
    file.extend(pickled.bytes);
    let keys = (0..pickled.storages.len()).map(|key| Py::Text(key.to_string()));
    file.extend(Pickler::of(&Py::List(keys.collect())).bytes);
    for (width, bytes) in pickled.storages {
        file.extend(((bytes.len() / width) as u64).to_le_bytes());
        file.extend(bytes);
    }
    fs::write(path, file).unwrap();
}

struct Pickler {
    bytes: Vec<u8>,
    /// Bytes of a number, and the numbers.
    storages: Vec<(usize, Vec<u8>)>,
}

impl Pickler {
    fn of(object: &Py) -> Self {
        let mut pickler = Self {
            bytes: b"\x80\x02".to_vec(),
            storages: Vec::new(),
        };
        pickler.write(object);
        pickler.bytes.push(b'.');
        pickler
    }

    fn write(&mut self, object: &Py) {
        match object {
            Py::None => self.bytes.push(b'N'),
            Py::Int(value) => self.int(*value),
            Py::Float(value) => {
                self.bytes.push(b'G');
                self.bytes.extend(value.to_be_bytes());
            }
            Py::Text(text) => self.text(text),
            Py::List(items) => {
                self.bytes.extend(b"](");
                items.iter().for_each(|item| self.write(item));
                self.bytes.push(b'e');
            }
            Py::Dict(pairs) => {
                self.bytes.push(b'}');
                self.pairs(pairs);
            }
            Py::Ordered(pairs) => {
                self.bytes.extend(b"ccollections\nOrderedDict\n)R");
                self.named(pairs);
                let about = dict([("version", Py::Int(1))]);
                let state = dict([(
                    "_metadata",
                    Py::Dict(vec![(Py::Text(String::new()), about)]),
                )]);
                self.write(&state);
                self.bytes.push(b'b');
            }
            Py::Default(pairs) => {
                self.bytes
                    .extend(b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R");
                self.named(pairs);
            }
            Py::Object(module, class, attributes) => {
                self.bytes
                    .extend(format!("c{module}\n{class}\n").as_bytes());
                self.bytes.extend(b")\x81}");
                self.named(attributes);
                self.bytes.push(b'b');
            }
            Py::Tensor(tensor) => self.tensor(tensor),
            Py::Global(module, name) => {
                self.bytes.extend(format!("c{module}\n{name}\n").as_bytes());
            }
            Py::Call(module, name, arguments) => {
                self.write(&Py::Global(module, name));
                self.tuple(arguments);
                self.bytes.push(b'R');
            }
            Py::Persistent(id) => {
                self.tuple(id);
                self.bytes.push(b'Q');
            }
            Py::Made(class) => {
                self.write(class);
                self.bytes.extend(b")\x81");
            }
            Py::Built(value, attributes) => {
                self.write(value);
                self.bytes.push(b'}');
                self.named(attributes);
                self.bytes.push(b'b');
            }
            Py::Raw(instructions) => self.bytes.extend(instructions),
        }
    }

    fn named(&mut self, pairs: &[(String, Py)]) {
        let pairs: Vec<(Py, Py)> = pairs
            .iter()
            .map(|(key, value)| (Py::Text(key.clone()), value.clone()))
            .collect();
        self.pairs(&pairs);
    }

    fn pairs(&mut self, pairs: &[(Py, Py)]) {
        self.bytes.push(b'(');
        for (key, value) in pairs {
            self.write(key);
            self.write(value);
        }
        self.bytes.push(b'u');
    }

    fn tuple(&mut self, members: &[Py]) {
        self.bytes.push(b'(');
        members.iter().for_each(|member| self.write(member));
        self.bytes.push(b't');
    }

    fn int(&mut self, value: i32) {
        self.bytes.push(b'J');
        self.bytes.extend(value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    /// `torch._utils._rebuild_tensor_v2(storage, start, shape, strides, False, OrderedDict())`, and
    /// metadata behind if there are any.
    fn tensor(&mut self, tensor: &Tensor) {
        let key = self.storages.len().to_string();
        self.bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.bytes
            .extend(format!("ctorch\n{}\n", tensor.storage).as_bytes());
        self.text(&key);
        self.text("cpu");
        self.int((tensor.bytes.len() / tensor.width) as i32);
        self.bytes.extend(b"tQ");
        self.int(tensor.start as i32);
        for sides in [&tensor.shape, &tensor.strides] {
            self.bytes.push(b'(');
            sides.iter().for_each(|side| self.int(*side as i32));
            self.bytes.push(b't');
        }
        self.bytes.extend(b"\x89ccollections\nOrderedDict\n)R");
        if !tensor.metadata.is_empty() {
            let bit = |is_set: bool| Py::Raw(vec![if is_set { 0x88 } else { 0x89 }]);
            let pairs = tensor.metadata.iter();
            self.write(&dict(pairs.map(|(name, is_set)| (*name, bit(*is_set)))));
        }
        self.bytes.extend(b"tR");
        self.storages.push((tensor.width, tensor.bytes.clone()));
    }
}

/// The check sum of an archive.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
