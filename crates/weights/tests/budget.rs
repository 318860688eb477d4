//! Files that are meant to fill the memory: what reading takes is held against the file's size.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod torch_save;

use std::alloc::System;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use peakmem_alloc::{PeakMemAlloc, PeakMemAllocTrait};
use torch_save::{Py, dict, floats, save};
use zip::CompressionMethod::{Deflated, Stored};
use zoo_weights::{Origin, load};

#[global_allocator]
static ALLOCATOR: PeakMemAlloc<System> = PeakMemAlloc::new(System);

const MIB: usize = 1 << 20;

/// What reading a file of `size` bytes may take: three times the budget of its values (24 bytes for
/// each), because a table that grows is there twice; and the stack.
fn most(size: usize) -> usize {
    96 * size + MIB / 2
}

#[derive(Module, Debug)]
struct Net {
    fc: Linear,
}

fn net() -> Net {
    Net {
        fc: LinearConfig::new(3, 2).init(&Device::flex()),
    }
}

fn weights() -> Vec<(String, Py)> {
    vec![
        ("fc.weight".into(), floats(&[2, 3], &[1.0; 6])),
        ("fc.bias".into(), floats(&[2], &[1.0; 2])),
    ]
}

/// Loads a file into a small net; says what that took, and what it said.
fn cost(path: &Path) -> (usize, Result<(), String>) {
    let mut net = net();
    ALLOCATOR.reset_peak_memory();
    let began = Instant::now();
    let loaded = load(&mut net, path, &Origin::default());
    let peak = ALLOCATOR.get_peak_memory();
    assert!(
        began.elapsed().as_secs() < 5,
        "{path:?} took {:?}",
        began.elapsed()
    );
    (peak, loaded.map_err(|error| error.to_string()))
}

/// A case: what it is called, the file that is opened, the bytes that count, and what is said.
struct Case(&'static str, PathBuf, usize, &'static str);

fn zip(path: &Path, members: &[(&str, &[u8], zip::CompressionMethod)]) {
    let mut writer = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, bytes, how) in members {
        let options = zip::write::SimpleFileOptions::default().compression_method(*how);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// A pickle among the weights of a file.
fn among(bomb: &[u8]) -> Py {
    dict([
        ("state_dict", Py::Ordered(weights())),
        ("bomb", Py::Raw(bomb.to_vec())),
    ])
}

fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        &(text.len() as u32).to_le_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

/// Programs for the machine of pickles: each leaves one value.
fn pickles() -> Vec<(&'static str, Vec<u8>)> {
    let around = |before: &[u8], part: &[u8], times: usize, after: &[u8]| {
        [before, &part.repeat(times), after].concat()
    };
    let n = 60_000;
    let many_paths = {
        // The leaves are one tensor, held by 20 lists, held by 20 lists, and so on.
        let tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0\x30X\x03\0\0\0cpuK\x06tQK\0K\x02\x85K\x01\x85\x89NtRq\0";
        let level = [&b"0]("[..], &b"h\0".repeat(20), b"eq\0"].concat();
        // Values that are dropped again make room for paths.
        [&tensor[..], &level.repeat(5), &b")0".repeat(n)].concat()
    };
    vec![
        ("lists", around(b"(", b"]", n, b"l")),
        ("dictionaries", around(b"(", b"}", n, b"l")),
        ("tuples", around(b"(", b")", n, b"l")),
        ("sets", around(b"(", b"\x8f", n, b"l")),
        ("nested tuples", around(b")", b"\x85", n, b"")),
        (
            "nested lists",
            around(b"(", b"]", n, &[&b"a".repeat(n - 1)[..], b"l"].concat()),
        ),
        ("pairs of one value", around(b")q\0", b"h\0\x86", n, b"")),
        (
            "marks",
            around(b"", b"(", n, &[b"N".to_vec(), b"l".repeat(n)].concat()),
        ),
        ("remembered", around(b"N", b"\x94", n, b"")),
        ("remembered by number", {
            let numbers = (0..n as u32).map(|n| [&b"r"[..], &n.to_le_bytes()].concat());
            [b"N".to_vec(), numbers.collect::<Vec<_>>().concat()].concat()
        }),
        ("twice the same", around(b"(]", b"2", n, b"l")),
        ("nothing", around(b"(", b"N", n, b"l")),
        (
            "lists of a high stack",
            around(
                &[&b"N".repeat(n)[..], b"0"].concat(),
                b"(t0",
                n,
                &b"0".repeat(n - 2),
            ),
        ),
        (
            "a low stack that was high",
            around(
                &[&b"(N"[..], &b"N".repeat(n), b"t0"].concat(),
                b"(t0",
                n,
                b"N",
            ),
        ),
        ("globals", around(b"(", b"ca\nb\n", n, b"l")),
        ("calls", around(b"(", b"NNR", n, b"l")),
        ("objects", around(b"(", b"NN\x81", n, b"l")),
        ("numbers", around(b"(", b"K\x01", n, b"l")),
        ("letters", around(b"(", b"\x8c\x01a", n, b"l")),
        ("empty text", around(b"(", b"\x8c\0", n, b"l")),
        (
            "copies of a list",
            [
                &b"]q\0("[..],
                &b"N".repeat(n),
                b"ec__builtin__\nlist\nq\x01",
                &b"0h\x01h\0\x85R".repeat(n / 10),
            ]
            .concat(),
        ),
        (
            "copies of a dictionary",
            [
                &b"}q\0("[..],
                &b"NN".repeat(n),
                b"uccollections\nOrderedDict\nq\x01",
                &b"0h\x01h\0\x85R".repeat(n / 10),
            ]
            .concat(),
        ),
        ("states of modules", {
            let table = |name: &str, pairs: usize| {
                [
                    text(name),
                    b"}(".to_vec(),
                    b"NN".repeat(pairs),
                    b"u".to_vec(),
                ]
                .concat()
            };
            [
                b"}(".to_vec(),
                table("_parameters", n),
                table("_buffers", 1),
                table("_modules", 1),
                b"uq\0".to_vec(),
                b"0NN\x81h\0b".repeat(n / 10),
            ]
            .concat()
        }),
        (
            "doubled lists",
            [&b"]q\0"[..], &b"0(h\0h\0lq\0".repeat(60)].concat(),
        ),
        ("many paths", many_paths),
        ("many paths under long names", {
            let level = |letter: &str| {
                let keys = (0..9).map(|key| {
                    [
                        text(&format!("{}{key}", letter.repeat(90))),
                        b"h\0".to_vec(),
                    ]
                    .concat()
                });
                [
                    b"0}(".to_vec(),
                    keys.collect::<Vec<_>>().concat(),
                    b"uq\0".to_vec(),
                ]
                .concat()
            };
            let levels = ["a", "b", "c", "d", "e", "f"].map(level).concat();
            [&b")q\0"[..], &levels, &b")0".repeat(n)].concat()
        }),
        ("text that is a number of a dictionary each time", {
            let long = text(&"x".repeat(1000));
            let keys =
                (0..n as u32 / 10).map(|key| [&b"J"[..], &key.to_le_bytes(), b"h\x07"].concat());
            [
                long,
                b"q\x070}(".to_vec(),
                keys.collect::<Vec<_>>().concat(),
                b"u".to_vec(),
            ]
            .concat()
        }),
    ]
}

/// A pickle as it stands where PyTorch before 1.6 put it.
fn old(pickle: &[u8], rest: &[u8]) -> Vec<u8> {
    let head =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    [&head[..], b"\x80\x02", pickle, b".", rest].concat()
}

/// A tensor that shows `shape` of `count` numbers of the storage `key`.
fn view(key: &str, count: u32, shape: &[u32], strides: &[u32]) -> Vec<u8> {
    let int = |value: &u32| [&b"J"[..], &value.to_le_bytes()].concat();
    let tuple = |sides: &[u32]| {
        let sides: Vec<u8> = sides.iter().flat_map(int).collect();
        [b"(".to_vec(), sides, b"t".to_vec()].concat()
    };
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        int(&count),
        b"tQK\0".to_vec(),
        tuple(shape),
        tuple(strides),
        b"\x89NtR".to_vec(),
    ]
    .concat()
}

fn state_dict(weight: Vec<u8>, bias: Vec<u8>) -> Vec<u8> {
    [
        b"}(".to_vec(),
        text("fc.weight"),
        weight,
        text("fc.bias"),
        bias,
        b"u".to_vec(),
    ]
    .concat()
}

fn archives(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &'static str, members: &[(&str, &[u8], zip::CompressionMethod)], said| {
        let path = folder.join(format!("{name}.pt"));
        zip(&path, members);
        let size = fs::metadata(&path).unwrap().len() as usize;
        cases.push(Case(name, path, size, said));
    };
    let sound = [
        b"\x80\x02",
        &state_dict(view("0", 6, &[2, 3], &[3, 1]), view("0", 6, &[2], &[1]))[..],
        b".",
    ]
    .concat();
    let zeros = vec![0; 24];
    add(
        "a pickle that unpacks",
        &[(
            "m/data.pkl",
            &[&b"\x80\x02("[..], &b"]".repeat(30 * MIB), b"l."].concat(),
            Deflated,
        )],
        "has 31457285 bytes",
    );
    let big = vec![0; 64 * MIB];
    add(
        "numbers that unpack",
        &[("m/data.pkl", &sound, Stored), ("m/data/0", &big, Deflated)],
        "would be unpacked",
    );
    let count = (16 * MIB) as u32;
    let spread = |stride: u32| {
        [
            b"\x80\x02",
            &state_dict(
                view("0", count, &[2, 3], &[stride, 1]),
                view("0", count, &[2], &[1]),
            )[..],
            b".",
        ]
        .concat()
    };
    add(
        "few numbers of many",
        &[
            ("m/data.pkl", &spread(count - 3), Stored),
            ("m/data/0", &big, Deflated),
        ],
        "spread over 67108864 bytes",
    );
    // Each alone could be read.
    let views = (0..8).flat_map(|number| {
        [
            text(&number.to_string()),
            view("0", 1 << 20, &[2], &[(1 << 20) - 1]),
        ]
        .concat()
    });
    let views: Vec<u8> = views.collect();
    let own = state_dict(
        view("0", 1 << 20, &[2, 3], &[(1 << 20) - 3, 1]),
        view("0", 1 << 20, &[2], &[1]),
    );
    let pickle = [&b"\x80\x02}("[..], &views, &own[2..], b"."].concat();
    add(
        "many views spread over one storage",
        &[
            ("m/data.pkl", &pickle, Stored),
            ("m/data/0", &big[..4 * MIB], Stored),
        ],
        "more than 16 times its own 24",
    );
    for (name, shape, strides, said) in [
        (
            "stride 0",
            &[1 << 20, 1 << 20][..],
            &[0, 0][..],
            "more than once",
        ),
        ("overlapping strides", &[3, 4], &[1, 1], "more than once"),
        (
            "sides beyond all numbers",
            &[u32::MAX >> 1; 4],
            &[0; 4],
            "beyond its numbers",
        ),
    ] {
        let pickle = [
            b"\x80\x02",
            &state_dict(view("0", 6, shape, strides), view("0", 6, &[2], &[1]))[..],
            b".",
        ]
        .concat();
        add(
            name,
            &[
                ("m/data.pkl", &pickle, Stored),
                ("m/data/0", &zeros, Stored),
            ],
            said,
        );
    }
    let names: Vec<String> = (0..3_000)
        .map(|number| format!("m/data/{number}"))
        .collect();
    let mut members = vec![("m/data.pkl", &sound[..], Stored)];
    members.extend(names.iter().map(|name| (name.as_str(), &zeros[..], Stored)));
    add("thousands of members", &members, "");
    cases
}

fn others(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &'static str, file: &str, bytes: &[u8], said| {
        let inside = folder.join(name);
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join(file), bytes).unwrap();
        cases.push(Case(name, inside.join(file), bytes.len(), said));
    };
    // A tar's header begins with the name of its first file.
    let mut tar = [0; 512];
    tar[..9].copy_from_slice(b"pickle\0\0{");
    tar[124..135].copy_from_slice(b"77777777777");
    tar[257..262].copy_from_slice(b"ustar");
    add("a tar", "pytorch_model.bin", &tar, "not safetensors");
    tar[..9].copy_from_slice(b"\x80\x02}q\0.\0\0\0");
    add(
        "a tar that begins as a pickle",
        "pytorch_model.bin",
        &tar,
        "without tensors",
    );

    let safe = |table: String| [&(table.len() as u64).to_le_bytes()[..], table.as_bytes()].concat();
    let entry =
        |name: &str| format!("{name:?}:{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    let all = |names: Vec<String>| format!("{{{}}}", names.join(","));
    let many = (0..20_000).map(|number| entry(&number.to_string()));
    add(
        "many empty tensors",
        "model.safetensors",
        &safe(all(many.collect())),
        "and 19990 more unexpected",
    );
    let nested = (0..64).map(|depth| format!("{}fc.weight", "a.".repeat(depth)));
    let nested = nested.map(|name| {
        format!("{name:?}:{{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,0]}}")
    });
    let below = (0..10_000).map(|number| entry(&format!("{}{number}", "a.".repeat(64))));
    // The shapes lie, so that all of it is 2 MB.
    add(
        "one prefix within another",
        "model.safetensors",
        &safe(all(nested.chain(below).collect())),
        "",
    );
    let long = entry(&"n\u{1b}[2J".repeat(1 << 18));
    add(
        "a long name",
        "model.safetensors",
        &safe(all(vec![long])),
        "",
    );
    let sides = format!(
        "{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{}0],\"data_offsets\":[0,0]}}}}",
        "1,".repeat(1 << 19)
    );
    add("many sides", "model.safetensors", &safe(sides), "");
    let dots = (0..1_000).map(|number| entry(&format!("{number}{}", ".".repeat(1_000))));
    add(
        "names of dots",
        "model.safetensors",
        &safe(all(dots.collect())),
        "unexpected",
    );

    let map = (0..100_000).map(|number| format!("\"{number}\":\"a.bin\""));
    let index = format!("{{\"weight_map\":{}}}", all(map.collect()));
    add(
        "an index of many names",
        "a.safetensors.index.json",
        index.as_bytes(),
        "a.bin",
    );
    let map = (0..100_000).map(|number| format!("\"{number}\":\"{number}\""));
    let index = format!("{{\"weight_map\":{}}}", all(map.collect()));
    add(
        "an index of many shards",
        "a.safetensors.index.json",
        index.as_bytes(),
        "100000 shards",
    );
    let index = format!("{{\"weight_map\":{{\"a\":{}}}}}", "[".repeat(1 << 20));
    add(
        "a deep index",
        "a.safetensors.index.json",
        index.as_bytes(),
        "",
    );
    cases
}

/// Files with holes take no place on a disk, and little in an archive, whatever their size is.
fn with_holes(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &'static str, begin: &[u8], size: u64, end: &[u8], said| {
        let path = folder.join(format!("{name}.bin"));
        let mut file = File::create(&path).unwrap();
        file.write_all(begin).unwrap();
        file.set_len(size).unwrap();
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(end).unwrap();
        cases.push(Case(name, path, begin.len() + end.len(), said));
    };
    let size = 256 << 20;
    let head = [&(size - 8_u64).to_le_bytes()[..], b"{"].concat();
    add("a table of holes", &head, size, b"", "header");
    let claim = size - 100;
    add(
        "text of holes",
        &old(&[&b"\x8d"[..], &claim.to_le_bytes()].concat(), b""),
        size,
        b"",
        "",
    );
    add(
        "bytes of holes",
        &old(&[&b"\x8e"[..], &claim.to_le_bytes()].concat(), b""),
        size,
        b"",
        "",
    );
    add("a line of holes", &old(b"c", b""), size, b"", "");
    add(
        "a number of holes",
        &old(&[&b"\x8b"[..], &(claim as u32).to_le_bytes()].concat(), b""),
        size,
        b"",
        "",
    );
    add(
        "a magic number of holes",
        &[
            &b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x8d"[..],
            &claim.to_le_bytes(),
        ]
        .concat(),
        size,
        b"",
        "",
    );
    add(
        "an archive of holes",
        b"PK\x03\x04",
        size,
        b"",
        "not a whole archive",
    );
    // The end of an archive that claims as many members as would fit.
    let record = |count: u64, length: u64, start: u64, at: u64| {
        let numbers = [count, count, length, start];
        let numbers: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        [
            &b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x1e\x03\x2d\0\0\0\0\0\0\0\0\0"[..],
            &numbers,
            b"PK\x06\x07\0\0\0\0",
            &at.to_le_bytes(),
            &1_u32.to_le_bytes(),
            b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
        ]
        .concat()
    };
    add(
        "a directory of holes",
        b"PK\x03\x04",
        size,
        &record(size / 92, size / 2, size / 2, size),
        "",
    );
    cases
}

#[test]
fn what_reading_takes_is_in_proportion_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases = Vec::new();
    for (name, pickle) in pickles() {
        let path = folder.path().join(format!("{name}.pt"));
        save(&path, "archive", &among(&pickle));
        let size = fs::metadata(&path).unwrap().len() as usize;
        cases.push(Case(name, path, size, ""));
        let path = folder.path().join(format!("{name}.bin"));
        let bytes = old(&pickle, b"");
        fs::write(&path, &bytes).unwrap();
        cases.push(Case(name, path, bytes.len(), ""));
    }
    cases.extend(archives(folder.path()));
    cases.extend(others(folder.path()));
    cases.extend(with_holes(folder.path()));
    let mut wrong = Vec::new();
    for Case(name, path, size, expected) in cases {
        let began = Instant::now();
        let (peak, said) = cost(&path);
        let said = said.err().unwrap_or_default();
        println!(
            "{name}: {size} bytes, {peak} taken ({:.1} a byte), {:?}: {}",
            peak as f64 / size as f64,
            began.elapsed(),
            said.chars().take(300).collect::<String>()
        );
        if peak > most(size) {
            wrong.push(format!(
                "{name}: {size} bytes took {peak}, more than {}",
                most(size)
            ));
        }
        if !said.contains(expected) || said.len() > 20_000 || said.contains('\u{1b}') {
            wrong.push(format!(
                "{name}: expected {expected:?}, said {:.200}",
                said.escape_debug()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
