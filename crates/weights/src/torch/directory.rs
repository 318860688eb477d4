//! The members of a zip archive by its directory. What the directory claims is held against the file
//! before it is believed: how many members there are, that they do not lie in each other, and that
//! what is not compressed is as long as it is said to be.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

/// The end of a directory, without the comment behind it; and the longest comment.
const END: usize = 22;
const LONGEST_COMMENT: u64 = 0xffff;

/// A member's entry in the directory, and what stands before its bytes, without name and extra fields.
const ENTRY: usize = 46;
const HEADER: usize = 30;

/// The kinds of compression that are read.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// The members of an archive.
#[derive(Default)]
pub(super) struct Directory {
    pub members: Vec<Member>,
    numbers: HashMap<String, usize>,
}

/// A file in an archive.
#[derive(Clone, Copy)]
pub(super) struct Member {
    /// Where its header begins.
    header: u64,
    /// Bytes in the archive, and unpacked.
    packed: u64,
    pub size: u64,
    /// The sum of what is unpacked; 0 where PyTorch was told to compute none.
    pub sum: u32,
    pub is_packed: bool,
}

impl Directory {
    /// Reads the directory of an archive of `size` bytes.
    pub fn read(file: &mut (impl Read + Seek), size: u64) -> Result<Self, String> {
        let (count, start, length) = end(file, size).map_err(cut_off)?.ok_or("it has no end")?;
        let most = length / ENTRY as u64;
        if start.checked_add(length).is_none_or(|end| end > size) || count > most {
            return Err(format!(
                "its end claims {count} members in {length} bytes from {start} on"
            ));
        }
        file.seek(SeekFrom::Start(start)).map_err(cut_off)?;
        let mut input = BufReader::new(file.take(length));
        let (mut directory, mut packed) = (Self::default(), 0_u64);
        for _ in 0..count {
            let (name, member) = Member::read(&mut input)?;
            packed = packed.saturating_add(member.packed + HEADER as u64);
            if packed > size {
                return Err(format!(
                    "its members claim more than the {size} bytes that it has"
                ));
            }
            let number = directory.members.len();
            if directory.numbers.insert(name.clone(), number).is_some() {
                return Err(format!("two members are called {name}"));
            }
            directory.members.push(member);
        }
        Ok(directory)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.numbers.keys().map(String::as_str)
    }

    pub fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }
}

impl Member {
    /// An entry of the directory, with the member's name.
    fn read(input: &mut impl BufRead) -> Result<(String, Self), String> {
        let mut entry = [0; ENTRY];
        input.read_exact(&mut entry).map_err(cut_off)?;
        if !entry.starts_with(b"PK\x01\x02") {
            return Err("its directory is damaged".into());
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(two(&entry, at)));
        let name = String::from_utf8_lossy(&bytes(input, name)?).into_owned();
        let extra = bytes(input, extra)?;
        bytes(input, comment)?;
        let [mut size, mut packed, mut header] = [24, 20, 42].map(|at| four(&entry, at).into());
        // What does not fit into four bytes stands in an extra field, in this order.
        let mut wide = wide(&extra);
        for number in [&mut size, &mut packed, &mut header] {
            if *number == u64::from(u32::MAX) {
                let (eight, rest) = wide
                    .split_first_chunk()
                    .ok_or_else(|| format!("{name} has no size"))?;
                (*number, wide) = (u64::from_le_bytes(*eight), rest);
            }
        }
        let kind = two(&entry, 10);
        if two(&entry, 8) & 1 != 0 || ![STORED, DEFLATED].contains(&kind) {
            return Err(format!(
                "{name} is encrypted, or compressed in another way than by deflate"
            ));
        }
        if kind == STORED && size != packed {
            return Err(format!(
                "{name} is not compressed and has two sizes, {size} and {packed}"
            ));
        }
        let member = Self {
            header,
            packed,
            size,
            sum: four(&entry, 16),
            is_packed: kind == DEFLATED,
        };
        Ok((name, member))
    }

    /// Where its bytes begin, and how many there are, which lie within the archive.
    pub fn find(&self, file: &mut (impl Read + Seek), size: u64) -> std::io::Result<(u64, u64)> {
        let mut header = [0; HEADER];
        file.seek(SeekFrom::Start(self.header))?;
        file.read_exact(&mut header)?;
        let more = u64::from(two(&header, 26)) + u64::from(two(&header, 28));
        // Before it lay `HEADER` bytes of the file.
        let start = self.header.saturating_add(HEADER as u64 + more);
        let end = start.checked_add(self.packed);
        match end.filter(|end| header.starts_with(b"PK\x03\x04") && *end <= size) {
            Some(_) => Ok((start, self.packed)),
            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// How many members a directory has, where it begins, and how long it is.
fn end(file: &mut (impl Read + Seek), size: u64) -> std::io::Result<Option<(u64, u64, u64)>> {
    // A record for large archives points to another one, which says the same in eight bytes each.
    const POINTER: usize = 20;
    let from = size.saturating_sub(END as u64 + LONGEST_COMMENT + POINTER as u64);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(size - from).read_to_end(&mut tail)?;
    let is_end = |at: &usize| {
        let rest = &tail[*at..];
        // A comment may hold the same four letters, but does not end where the file does.
        rest.starts_with(b"PK\x05\x06") && END + usize::from(two(rest, 20)) == rest.len()
    };
    let Some(at) = (0..(tail.len() + 1).saturating_sub(END)).rev().find(is_end) else {
        return Ok(None);
    };
    let short = &tail[at..];
    let said = (
        two(short, 10).into(),
        four(short, 16).into(),
        four(short, 12).into(),
    );
    let is_wide = said.0 == u64::from(u16::MAX) || [said.1, said.2].contains(&u64::from(u32::MAX));
    let pointer = at.checked_sub(POINTER).map(|at| &tail[at..]);
    let pointer = pointer.filter(|pointer| is_wide && pointer.starts_with(b"PK\x06\x07"));
    let Some(pointer) = pointer else {
        return Ok(Some(said));
    };
    let mut record = [0; 56];
    file.seek(SeekFrom::Start(eight(pointer, 8)))?;
    file.read_exact(&mut record)?;
    Ok(record
        .starts_with(b"PK\x06\x06")
        .then(|| (eight(&record, 32), eight(&record, 48), eight(&record, 40))))
}

/// The field of an entry that holds numbers of eight bytes.
fn wide(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let length = usize::from(two(head, 2)).min(rest.len());
        if two(head, 0) == 1 {
            return &rest[..length];
        }
        extra = &rest[length..];
    }
    &[]
}

/// Numbers of a record, the lowest byte first; the record is long enough.
fn two(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([record[at], record[at + 1]])
}

fn four(record: &[u8], at: usize) -> u32 {
    u32::from(two(record, at)) | u32::from(two(record, at + 2)) << 16
}

fn eight(record: &[u8], at: usize) -> u64 {
    u64::from(four(record, at)) | u64::from(four(record, at + 4)) << 32
}

/// `length` bytes, of which there can be 65,535.
fn bytes(input: &mut impl Read, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes).map_err(cut_off)?;
    Ok(bytes)
}

fn cut_off(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "its directory is cut off".into(),
        _ => error.to_string(),
    }
}
