//! Small files that are as they should be, for mutations to begin with.

use std::fs;
use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde_json::json;
use toml::Table;
use zoo::ZOO;
use zoo_mlp::{Activation, MlpConfig};
use zoo_train::{
    BestSoFar, Event, Manifest, Metric, Metrics, OptimizerConfig, OptimizerName, Outcome, Progress,
    Record, Resumed, Spent, State, Unit, number,
};
use zoo_weights::Origin;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two images.
pub fn idx_images() -> Vec<u8> {
    let head = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28];
    let pixels = (0..2 * 28 * 28).map(|at| (at % 251) as u8);
    head.into_iter().chain(pixels).collect()
}

/// Their labels.
pub fn idx_labels() -> Vec<u8> {
    vec![0, 0, 8, 1, 0, 0, 0, 2, 3, 9]
}

pub fn idx() -> Vec<Vec<u8>> {
    let (images, labels) = (idx_images(), idx_labels());
    let members = [gzip(&images[..100]), gzip(&images[100..])].concat();
    vec![gzip(&images), gzip(&labels), members, images, labels]
}

pub fn cifar() -> Vec<Vec<u8>> {
    let record = |label: u8| {
        let pixels = (0..3 * 32 * 32).map(|at| (at % 251) as u8);
        std::iter::once(label).chain(pixels)
    };
    vec![record(9).collect(), record(0).chain(record(3)).collect()]
}

/// So many zeros, in a thousandth of the bytes.
fn bomb(size_bytes: usize) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&vec![0; size_bytes]).unwrap();
    packed.finish().unwrap()
}

/// A PNG of one grey pixel, after these chunks.
fn png_behind(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let chunk = |(kind, data): &(&[u8; 4], Vec<u8>)| {
        let mut sum = Crc::new();
        sum.update(*kind);
        sum.update(data);
        let length = (data.len() as u32).to_be_bytes();
        [&length[..], &kind[..], data, &sum.sum().to_be_bytes()].concat()
    };
    let head = [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0].to_vec();
    let mut bytes = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(&(b"IHDR", head))].concat();
    bytes.extend(chunks.iter().flat_map(chunk));
    bytes.extend(chunk(&(b"IDAT", bomb(2))));
    bytes.extend(chunk(&(b"IEND", Vec::new())));
    bytes
}

/// A PNG of 9x7 pixels of a colour type and a depth in bits.
fn png(color: u8, depth: u8, interlaced: bool) -> Vec<u8> {
    let channels = [1, 0, 3, 1, 2, 0, 4][usize::from(color)];
    let row = |width: usize| 1 + (width * channels * usize::from(depth)).div_ceil(8);
    // Width and height of the passes of Adam7.
    let adam7 = [(2, 1), (1, 1), (3, 1), (2, 2), (5, 2), (4, 4), (9, 3)];
    let passes = if interlaced { &adam7[..] } else { &[(9, 7)] };
    let size: usize = passes.iter().map(|(w, h)| row(*w) * h).sum();
    let mut data = ZlibEncoder::new(Vec::new(), Compression::fast());
    data.write_all(&vec![0; size]).unwrap();
    let data = data.finish().unwrap();

    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        bytes.extend((data.len() as u32).to_be_bytes());
        let mut sum = Crc::new();
        sum.update(kind);
        sum.update(data);
        bytes.extend([&kind[..], data, &sum.sum().to_be_bytes()].concat());
    };
    let interlace = u8::from(interlaced);
    chunk(
        b"IHDR",
        &[0, 0, 0, 9, 0, 0, 0, 7, depth, color, 0, 0, interlace],
    );
    if color == 3 {
        chunk(b"PLTE", &[1, 2, 3, 4, 5, 6]);
        chunk(b"tRNS", &[7]);
    }
    chunk(b"tEXt", b"Title\0two pixels");
    chunk(b"IDAT", &data);
    chunk(b"IEND", &[]);
    bytes
}

/// A grey JPEG of 9x7 pixels in two scans: first the means of its two blocks, then no detail.
fn progressive_jpeg() -> Vec<u8> {
    let table = |class: u8| [&[0xff, 0xc4, 0, 20, class, 1][..], &[0; 16]].concat();
    let scan = |from: u8, to: u8| vec![0xff, 0xda, 0, 8, 1, 1, 0, from, to, 0, 0x3f];
    [
        vec![0xff, 0xd8],
        [&[0xff, 0xdb, 0, 67, 0][..], &[1; 64]].concat(),
        vec![0xff, 0xc2, 0, 11, 8, 0, 7, 0, 9, 1, 1, 0x11, 0],
        table(0),
        scan(0, 0),
        table(0x10),
        scan(1, 63),
        vec![0xff, 0xd9],
    ]
    .concat()
}

pub fn image() -> Vec<Vec<u8>> {
    let jpeg = |color: ExtendedColorType, channels: usize| {
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = (0..9 * 7 * channels).map(|at| (4 * at) as u8).collect();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, 20);
        encoder.write_image(&pixels, 9, 7, color).unwrap();
        bytes
    };
    // More than the whole file may take, once unpacked.
    let bomb = || bomb(4 << 20);
    let after = |start: &[u8]| [start, &bomb()].concat();
    let text = [
        (b"zTXt", after(b"Raw profile type iptc\0\0")),
        (b"iTXt", after(b"XML:com.adobe.xmp\0\x01\0\0\0")),
        (b"eXIf", bomb()),
        (b"acTL", vec![0, 0, 0, 9, 0, 0, 0, 0]),
    ];
    let mut profile = jpeg(ExtendedColorType::L8, 1);
    let segment = [&b"\xff\xe2\0\x16ICC_PROFILE\0\x01\xff"[..], &[0; 6]].concat();
    profile.splice(2..2, segment.repeat(9));
    vec![
        png_behind(&[(b"iCCP", after(b"p\0\0"))]),
        png_behind(&text),
        profile,
        png(0, 1, false),
        png(0, 8, true),
        png(0, 16, false),
        png(2, 8, false),
        png(3, 4, false),
        png(4, 8, false),
        png(6, 8, false),
        png(6, 16, true),
        jpeg(ExtendedColorType::L8, 1),
        jpeg(ExtendedColorType::Rgb8, 3),
        progressive_jpeg(),
    ]
}

pub fn text() -> Vec<Vec<u8>> {
    let long: String = ('\u{4e00}'..'\u{4f80}').collect();
    let texts = [
        "To be, or not to be,\r\nthat is the question.",
        "é世🦀\0",
        &long,
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

pub fn tsv() -> Vec<Vec<u8>> {
    let texts = [
        "good film\t1\nböse\t0\n",
        "\u{feff}good film\t1\r\nböse\t0\r\nThe the\t1",
        "a\t0\nb\t2\nc\t1\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

pub fn csv() -> Vec<Vec<u8>> {
    let texts = [
        "text,label\n\"good, \"\"very\"\"\nfilm\",pos\nbad,neg\n",
        "\u{feff}id,topic,text\r\n1,a,x\r\n2,b,\"y\"\r\n\r\n",
        "good film,1\nbad film,0\n",
        "x,1.0\ny,01\nz,-2e3\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

pub fn jsonl() -> Vec<Vec<u8>> {
    let texts = [
        "{\"text\": \"a \\u00e9\", \"label\": 1}\n{\"text\": \"b\", \"label\": 2.5}\n",
        "{\"label\": true, \"text\": \"a\"}\r\n{\"text\": \"b\", \"label\": false, \"x\": [{}]}",
        "{\"text\": \"a\", \"label\": \"p\"}\n{\"text\": \"b\", \"label\": \"q\"}\n\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

pub fn vocabulary() -> Vec<Vec<u8>> {
    let texts = [
        "<pad>\n<unk>\nthe\nsat\néclair\n",
        "<pad>\r\n<unk>\r\nthe\r\n",
        "\n abcé世🦀",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

/// Those of the zoo, and one with every kind of value.
pub fn recipe() -> Vec<Vec<u8>> {
    let kinds = "[model]\nname = 'mlp'\nwidths = [1_0, 0x2]\nday = 1979-05-27T07:32:00Z\n\
                 [data]\nname = 'tsv'\n'a key'.\"b\" = [{ x = '''y''' }, 1e3]\nnan = nan\n\
                 [[data.list]]\nx = inf\n[[data.list]]\n[train]\nsteps = 9223372036854775807\n\
                 clip_norm = 1\n[optimizer]\nname = \"adam\"\nbeta_1 = 0.5\n[schedule]\n\
                 name = \"step\"\nmilestones = [0.5]\n[expect]\nmachine = 'm'\nminutes = 1\n\
                 metrics = { 'test.loss' = [0, 1] }\nshort = { steps = 1, metrics = {} }\n";
    let zoo = ZOO.recipes().map(|(_, text)| text);
    zoo.chain([kinds])
        .map(|text| text.as_bytes().to_vec())
        .collect()
}

pub fn source() -> Vec<Vec<u8>> {
    let content = format!("sha256 = '{}'\nsize_bytes = 5\n", "ab".repeat(32));
    let text = format!(
        "name = 'digits'\nabout = 'a'\nlicence = 'l'\nhomepage = 'h'\n[counts]\ntrain = 1\n\
         [[files]]\npath = 'sub/a.gz'\nurls = ['https://example.org/a']\n{content}\
         [[archives]]\npath = 't.tar.gz'\nurls = ['http://127.0.0.1:80/t']\nsize_bytes = 9\n\
         [[archives.members]]\nmember = 'x/b'\npath = 'b'\n{content}"
    );
    vec![text.into_bytes()]
}

fn metrics() -> Metrics {
    Metrics::from([("loss".into(), 0.5), ("test.accuracy".into(), 1.0)])
}

pub fn manifest() -> Vec<Vec<u8>> {
    let sum = "ab".repeat(32);
    let manifest = Manifest {
        format: 2,
        zoo: "0.1.0".into(),
        burn: zoo_train::BURN_VERSION.into(),
        recipe_sha256: sum.clone(),
        data_sha256: [("train".into(), sum.clone())].into(),
        progress: Progress {
            step: 7,
            epoch_loss_sum: 1.5,
            epoch_steps: 3,
            best: Some(BestSoFar {
                step: 5,
                metrics: metrics(),
            }),
            validations_since_best: 1,
            validation_due: true,
            spent: Spent {
                samples: 56,
                training_seconds: 1.5,
                wall_seconds: 2.0,
            },
        },
        files: [("model.safetensors".into(), sum)].into(),
    };
    let text = serde_json::to_string_pretty(&manifest).unwrap();
    let diverged = text.replace("0.5", "null");
    vec![text.into_bytes(), diverged.into_bytes()]
}

pub fn config() -> Vec<Vec<u8>> {
    let classes = ["no", "yes"];
    let codecs = [
        (
            "name = 'lenet'\nnum_classes = 2",
            json!({ "kind": "images", "shape": [1, 28, 28], "mean": [0.5], "std": [0.25],
                "classes": classes }),
        ),
        (
            "name = 'encoder'\nvocab_size = 3\nnum_classes = 2",
            json!({ "kind": "words", "words": "<pad>\n<unk>\nthe\n", "max_length": 8,
                "classes": classes }),
        ),
        (
            "name = 'gpt'\nvocab_size = 3",
            json!({ "kind": "chars", "chars": "abc", "stop": "c" }),
        ),
        (
            "name = 'bert'\npreset = 'bert-tiny'\nvocab_size = 7\nmax_length = 8\nnum_classes = 2",
            json!({ "kind": "tokenizer", "tokenizer": TOKENIZER, "max_length": 8,
                "classes": classes, "stop": [6] }),
        ),
    ];
    let configs = codecs.map(|(model, codec)| {
        let model = ZOO
            .configure(&model.parse().unwrap(), &Table::new())
            .unwrap();
        serde_json::to_vec_pretty(&json!({ "model": model.table(), "codec": codec })).unwrap()
    });
    configs.into()
}

pub fn record() -> Vec<Vec<u8>> {
    let sums = || [("train".to_owned(), "ab".repeat(32))].into();
    let finished = Record {
        state: State::Finished,
        problem: None,
        recipe: "mlp-glyphs".into(),
        backend: "flex".into(),
        devices: vec!["flex".into()],
        seed: u64::MAX,
        started: "2026-01-01T00:00:00Z".into(),
        ended: Some("2026-01-01T00:01:00Z".into()),
        zoo: "0.1.0".into(),
        burn: zoo_train::BURN_VERSION.into(),
        recipe_sha256: "ab".repeat(32),
        data_sha256: sums(),
        environment: [("cores".to_owned(), "2".to_owned())].into(),
        resumed: vec![Resumed {
            step: 7,
            at: "2026-01-01T00:00:30Z".into(),
            changed: vec!["data".into()],
        }],
        metrics: vec![Metric::higher("accuracy", Unit::Share)],
        result: Some(Outcome {
            metrics: metrics(),
            steps: 9,
            stopped_early: false,
            wall_seconds: 1.5,
            samples_per_second: 1e4,
        }),
    };
    let failed = Record {
        state: State::Failed,
        problem: Some("disk full".into()),
        result: None,
        ..finished.clone()
    };
    let running = Record {
        state: State::Running,
        started: "9999-12-31T23:59:59Z".into(),
        ended: None,
        ..failed.clone()
    };
    // Longer than the formatter pads, and on two rows of a terminal.
    let long = Record {
        recipe: "\u{4e16}".repeat(70_000),
        started: "0000-00-00T00:00:00Z".into(),
        result: Some(Outcome {
            metrics: [
                ("valid.loss".into(), f64::MAX),
                ("valid.accuracy".into(), 5e-324),
            ]
            .into(),
            wall_seconds: -f64::MAX,
            ..finished.result.clone().unwrap()
        }),
        ..finished.clone()
    };
    [finished, failed, running, long]
        .map(|record| serde_json::to_vec(&record).unwrap())
        .into()
}

pub fn events() -> Vec<Vec<u8>> {
    let events = [
        Event::Start {
            recipe: "[train]\nsteps = 9".into(),
            step: 0,
            total_steps: 9,
            steps_per_epoch: 3,
            parameters: 8,
            metrics: vec![Metric::lower("loss", Unit::Nats)],
        },
        Event::Step {
            step: 1,
            epoch: 0.3,
            loss: 2.3,
            learning_rate: 1e-3,
            gradient_norm: f64::NAN,
            samples_per_second: 1e4,
        },
        Event::Epoch {
            epoch: 1,
            step: 3,
            loss: 2.2,
            wall_seconds: 0.5,
        },
        Event::Validation {
            step: 3,
            metrics: metrics(),
            best: true,
        },
        Event::Checkpoint {
            step: 3,
            path: "checkpoints/3".into(),
        },
        Event::Finish {
            run: "runs/1".into(),
            metrics: metrics(),
            steps: 9,
            stopped_early: false,
            wall_seconds: 1.5,
            samples_per_second: 1e4,
        },
    ];
    let line = |event: &Event| serde_json::to_string(event).unwrap() + "\n";
    let lines: Vec<String> = events.iter().map(line).collect();
    // The ends of what numbers can be, on one page.
    let step = |step: usize, loss: f64| Event::Step {
        step,
        epoch: -loss,
        loss,
        learning_rate: 5e-324,
        gradient_norm: f64::MAX,
        samples_per_second: loss / 2.0,
    };
    let extreme = [
        step(1, f64::MAX),
        step(2, -f64::MAX),
        step(usize::MAX, 5e-324),
        Event::Validation {
            step: usize::MAX,
            metrics: [("loss".into(), 1e-320), ("x".into(), f64::MAX)].into(),
            best: true,
        },
        Event::Epoch {
            epoch: 0,
            step: 0,
            loss: f64::NAN,
            wall_seconds: f64::MAX,
        },
    ];
    let extreme: String = extreme
        .iter()
        .map(|event| line(event).replace("null", "1e308"))
        .collect();
    let killed = lines.concat() + "{\"event\":\"st";
    let all = lines.into_iter().chain([extreme, killed]);
    all.map(String::into_bytes).collect()
}

/// What `write` puts into a file of this name.
fn written(name: &str, write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    write(&path);
    fs::read(path).unwrap()
}

/// The weights of the model, of each type that a file may hold them in.
pub fn weights() -> Vec<Vec<u8>> {
    let model = super::model(&Device::flex());
    let single = written("model.safetensors", |path| {
        zoo_weights::save(&model, path, &Origin::default()).unwrap()
    });
    let of_type = |name: &str, size: usize| {
        let header = format!(
            "{{\"layers.0.weight\":{{\"dtype\":\"{name}\",\"shape\":[2,3],\
             \"data_offsets\":[0,{weight}]}},\"layers.0.bias\":{{\"dtype\":\"{name}\",\
             \"shape\":[2],\"data_offsets\":[{weight},{all}]}}}}",
            weight = 6 * size,
            all = 8 * size
        );
        let size_bytes = (header.len() as u64).to_le_bytes();
        [&size_bytes[..], header.as_bytes(), &vec![0; 8 * size]].concat()
    };
    vec![
        single,
        of_type("F64", 8),
        of_type("F16", 2),
        of_type("BF16", 2),
    ]
}

/// A pickle of the model's state dict, as `torch.save` writes it: protocol 2, with the numbers in the
/// archive's files `data/0` and `data/1`.
pub fn pickled() -> Vec<u8> {
    let weight = ("0", 6, &[2, 3][..], &[3, 1][..]);
    state_dict(weight, ("1", 2, &[2], &[1]))
}

/// A tensor of a pickle: its storage's key and numbers, its shape, and its strides.
type View<'a> = (&'a str, u8, &'a [u8], &'a [u8]);

/// Text in a pickle, and an empty dictionary.
fn pickled_text(text: &str) -> Vec<u8> {
    let size = (text.len() as u32).to_le_bytes();
    [b"X", &size[..], text.as_bytes()].concat()
}
const ORDERED: &[u8] = b"ccollections\nOrderedDict\n)R";

fn tensor((key, numbers, shape, strides): View<'_>) -> Vec<u8> {
    let tuple = |items: &[u8]| {
        let items = items.iter().flat_map(|item| [b'K', *item]);
        [b"(".to_vec(), items.collect(), b"t".to_vec()].concat()
    };
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        pickled_text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        pickled_text(key),
        pickled_text("cpu"),
        vec![b'K', numbers],
        b"tQK\0".to_vec(),
        tuple(shape),
        tuple(strides),
        b"\x89".to_vec(),
        ORDERED.to_vec(),
        b"tR".to_vec(),
    ]
    .concat()
}

fn state_dict(weight: View<'_>, bias: View<'_>) -> Vec<u8> {
    let (weight, bias) = (tensor(weight), tensor(bias));
    let names = ["layers.0.weight", "layers.0.bias"].map(pickled_text);
    let [a, b] = &names;
    [&b"\x80\x02"[..], ORDERED, b"(", a, &weight, b, &bias, b"u."].concat()
}

/// An archive as `torch.save` writes it, around this pickle.
pub fn torch_zip(pickle: &[u8]) -> Vec<u8> {
    let numbers = [0_u8; 6 * 4];
    zip(&[
        ("m/data.pkl", pickle),
        ("m/byteorder", b"little"),
        ("m/data/0", &numbers),
        ("m/data/1", &numbers[..2 * 4]),
        ("m/version", b"3\n"),
    ])
}

/// A file of PyTorch before 1.6 around this pickle.
fn torch_old(pickle: &[u8]) -> Vec<u8> {
    let head =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let keys = b"\x80\x02](X\x01\0\0\x000X\x01\0\0\x001e.";
    let storage =
        |numbers: u64| [&numbers.to_le_bytes()[..], &vec![0; 4 * numbers as usize]].concat();
    [&head[..], pickle, keys, &storage(6), &storage(2)].concat()
}

/// An archive of files, those of numbers compressed.
fn torch_packed(pickle: &[u8]) -> Vec<u8> {
    let packed = |bytes: &[u8]| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let numbers = [0_u8; 6 * 4];
    let members: [(&str, &[u8]); 3] = [
        ("m/data.pkl", pickle),
        ("m/data/0", &numbers),
        ("m/data/1", &numbers[..2 * 4]),
    ];
    let packed = members.map(|(name, bytes)| (name, bytes, packed(bytes)));
    archive_of(
        packed
            .iter()
            .map(|(name, bytes, packed)| (*name, *bytes, &packed[..], 8)),
    )
}

/// An archive of files that are not compressed.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    archive_of(files.iter().map(|(name, bytes)| (*name, *bytes, *bytes, 0)))
}

/// An archive of members: names, contents, the same as they are packed, and how.
fn archive_of<'a>(members: impl Iterator<Item = (&'a str, &'a [u8], &'a [u8], u8)>) -> Vec<u8> {
    let (mut bytes, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for (name, content, packed, how) in members {
        count += 1;
        let mut sum = Crc::new();
        sum.update(content);
        let size = |bytes: &[u8]| (bytes.len() as u32).to_le_bytes();
        // No flags, no time; then the sum, both sizes, and how long the name is.
        let facts = [
            &[20, 0, 0, 0, how, 0, 0, 0, 0x21, 0][..],
            &sum.sum().to_le_bytes(),
            &size(packed),
            &size(content),
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        let start = (bytes.len() as u32).to_le_bytes();
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend([&facts[..], &[0; 10], &start, name.as_bytes()].concat());
        bytes.extend([b"PK\x03\x04", &facts[..], name.as_bytes(), packed].concat());
    }
    let count = count.to_le_bytes();
    let (size, start) = (directory.len() as u32, bytes.len() as u32);
    bytes.extend(directory);
    bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count].concat());
    bytes.extend([&size.to_le_bytes()[..], &start.to_le_bytes(), &[0, 0]].concat());
    bytes
}

/// The archive, the pickle within it, and one with the weights under a trainer's key; the archive
/// compressed, views that do not lie in order, and the file of an old version.
pub fn pickle() -> Vec<Vec<u8>> {
    let plain = pickled();
    let dict = &plain[2..plain.len() - 1];
    let checkpoint = [
        &b"\x80\x02}(X\x0a\0\0\0state_dict"[..],
        dict,
        b"X\x05\0\0\0epochK\x07u.",
    ]
    .concat();
    // Lists that hold the same list twice each: once more of them, and there are twice as many paths.
    let shared = [
        &b"\x80\x02}(X\x0a\0\0\0state_dict"[..],
        dict,
        b"X\x01\0\0\0a",
        &tensor(("0", 6, &[2], &[1])),
        b"q\0",
        &b"0(h\0h\0lq\0".repeat(4),
        b"u.",
    ]
    .concat();
    let views = state_dict(("0", 6, &[2, 3], &[1, 2]), ("0", 6, &[2], &[4]));
    vec![
        torch_zip(&plain),
        torch_old(&plain),
        torch_packed(&plain),
        plain,
        checkpoint,
        shared,
        views,
    ]
}

/// A shard with the weight, and one with the bias.
pub fn shard_files() -> [Vec<u8>; 2] {
    let one = |name: &str, shape: &str, size: usize| {
        let header = format!(
            "{{\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{size}]}}}}"
        );
        let size_bytes = (header.len() as u64).to_le_bytes();
        [&size_bytes[..], header.as_bytes(), &vec![0; size]].concat()
    };
    [
        one("layers.0.weight", "[2,3]", 24),
        one("layers.0.bias", "[2]", 8),
    ]
}

pub fn shards() -> Vec<Vec<u8>> {
    let index = |weight: &str, bias: &str| {
        format!(
            "{{\"metadata\": {{\"total_size\": 32}}, \"weight_map\": \
             {{\"layers.0.weight\": \"{weight}\", \"layers.0.bias\": \"{bias}\"}}}}"
        )
        .into_bytes()
    };
    vec![
        index("weight.safetensors", "bias.safetensors"),
        index("all.bin", "all.bin"),
    ]
}

/// Bytes as tokens, in the manner of GPT-2's.
pub const TOKENIZER: &str = r#"{"version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 6, "content": "<s>", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true}], "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]}}},
    "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        "vocab": {"h": 0, "i": 1, "Ġ": 2, "Ã": 3, "¤": 4, "hi": 5}, "merges": [["h", "i"]]}}"#;

/// One of each model: pairs of bytes, whole words, parts of words, and a unigram language model.
pub fn tokenizer() -> Vec<Vec<u8>> {
    let words = r#"{"version": "1.0", "truncation": {"direction": "Right", "max_length": 4,
        "strategy": "LongestFirst", "stride": 0}, "padding": {"strategy": {"Fixed": 8},
        "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "a"}, "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+|[0-9]{1,3}"},
            "behavior": "Isolated", "invert": false}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"a": 0, "hi": 1}, "unk_token": "a"}}"#;
    let parts = r###"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {"a": 0, "h": 1, "##i": 2}}}"###;
    let unigram = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
            "prepend_scheme": "always", "split": true}, "post_processor": null,
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
            "split": true}, "model": {"type": "Unigram", "unk_id": 0,
            "vocab": [["a", -1.5], ["▁hi", -2.0]], "byte_fallback": false}}"#;
    // In the manner of SentencePiece's files, with all that such a file may name.
    let sequences = r#"{"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": 3, "content": "<x>", "single_word": true, "lstrip": true,
            "rstrip": true, "normalized": true, "special": false}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "NFKD"},
            {"type": "StripAccents"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"},
            {"type": "Digits", "individual_digits": true},
            {"type": "Punctuation", "behavior": "Isolated"}]},
        "post_processor": {"type": "BertProcessing", "sep": ["a", 0], "cls": ["h", 1]},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace",
            "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "a",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false,
            "vocab": {"a": 0, "h": 1, "▁": 2, "<0x0A>": 4}, "merges": []}}"#;
    // What the others lack.
    let rare = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKC"},
            {"type": "NFD"}, {"type": "Replace", "pattern": {"Regex": " {2,}|\\p{M}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
            {"type": "CharDelimiterSplit", "delimiter": "-"}, {"type": "UnicodeScripts"},
            {"type": "FixedLength", "length": 2}]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["a", 0], "cls": ["hi", 1],
            "trim_offsets": true, "add_prefix_space": true},
        "decoder": {"type": "CTC", "pad_token": "a", "word_delimiter_token": "|", "cleanup": true},
        "model": {"type": "WordLevel", "vocab": {"a": 0, "hi": 1}, "unk_token": "a"}}"#;
    let pairs = r###"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "ByteLevel"}, "pre_tokenizer": null,
        "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel",
            "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
            {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "h", "type_id": 0}}], "pair": [],
                "special_tokens": {"h": {"id": "h", "ids": [0], "tokens": ["h"]}}}]},
        "decoder": {"type": "BPEDecoder", "suffix": "</w>"},
        "model": {"type": "BPE", "dropout": 0.0, "unk_token": "h", "continuing_subword_prefix": "##",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": true, "vocab": {"h": 0, "##i": 1, "##i</w>": 2, "hi": 3, "hi</w>": 4},
            "merges": ["h ##i", "h ##i</w>"]}}"###;
    let mapped = unigram.replace(
        r#""normalizer": null"#,
        &format!(
            r#""normalizer": {{"type": "Precompiled", "precompiled_charsmap": "{}"}}"#,
            BASE64_STANDARD.encode(charsmap())
        ),
    );
    // What costs most: a text becomes many times as long, and expressions
    // are tables of Unicode's letters.
    let split = |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
    let letters = [split(r"\w\w\w"), split(r"\s+(?!\w)|\w(?=\w)")];
    let replace = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "b".repeat(64)});
    let mut heavy: serde_json::Value = serde_json::from_str(words).unwrap();
    heavy["normalizer"] = replace;
    heavy["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": letters});
    let heavy = heavy.to_string();
    [
        TOKENIZER, words, parts, unigram, sequences, rare, pairs, &mapped, &heavy,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// SentencePiece's map of characters, of one: `a` becomes `h`. A double array, and the texts of its leaves.
fn charsmap() -> Vec<u8> {
    let mut array = vec![0_u32; 512];
    let (block, a) = (256, usize::from(b'a'));
    array[0] = (block as u32) << 10;
    array[block ^ a] = a as u32 | 1 << 8 | (a as u32) << 10;
    let array: Vec<u8> = array.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    [&(array.len() as u32).to_le_bytes(), &array[..], b"h\0"].concat()
}

/// Of Hugging Face's architectures and of timm's.
pub fn origin() -> Vec<Vec<u8>> {
    let gpt = r#"{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 7,
        "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 2, "layer_norm_epsilon": 1e-05,
        "activation_function": "gelu_new", "eos_token_id": 2}"#;
    let bert = r#"{"model_type": "bert", "architectures": ["BertForSequenceClassification"],
        "vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 8, "hidden_act": "gelu", "max_position_embeddings": 8,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "id2label": {"0": "no", "1": "yes"}}"#;
    let llama = r#"{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 7,
        "hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "max_position_embeddings": 8, "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true}"#;
    let timm = r#"{"architecture": "resnet18.a1_in1k", "num_classes": 2,
        "pretrained_cfg": {"input_size": [3, 32, 32], "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25]}, "label_names": ["no", "yes"]}"#;
    [gpt, bert, llama, timm]
        .map(|text| text.as_bytes().to_vec())
        .into()
}

/// The state of Adam after a step.
pub fn optimizer() -> Vec<Vec<u8>> {
    vec![state_of(OptimizerName::Adam, &[3, 2])]
}

/// The state of an optimizer after a step of a model of these widths.
fn state_of(name: OptimizerName, widths: &[usize]) -> Vec<u8> {
    let device = Device::flex().autodiff();
    let model = MlpConfig {
        widths: widths.to_vec(),
        activation: Activation::Relu,
        dropout: 0.0,
    };
    let model = number(model.init(&device));
    let config = OptimizerConfig {
        name,
        ..OptimizerConfig::default()
    };
    let mut optimizer = config.build(&model);
    let x = Tensor::<2>::ones([1, widths[0]], &device);
    let gradients = GradientsParams::from_grads(model.forward(x).sum().backward(), &model);
    optimizer.step(0.1, model, gradients);
    written("optimizer.bpk", |path| {
        optimizer.save(path).unwrap();
    })
}

/// Files that were made to fill the memory, to hang or to end the program: what random damage does
/// not find.
pub fn traps(target: &str) -> Vec<Vec<u8>> {
    let dict = |bomb: &[u8]| {
        let plain = pickled();
        let inner = &plain[2..plain.len() - 1];
        let head = b"\x80\x02}(X\x0a\0\0\0state_dict";
        [&head[..], inner, b"X\x01\0\0\0a", bomb, b"u."].concat()
    };
    let entries = |entry: &dyn Fn(usize) -> String, count: usize| {
        let all: Vec<String> = (0..count).map(entry).collect();
        format!("{{{}}}", all.join(","))
    };
    match target {
        "pickle" => {
            let leaf = tensor(("0", 6, &[2], &[1]));
            let bombs = [
                b"]".repeat(20_000),
                [&b"("[..], &b"]".repeat(20_000), b"l"].concat(),
                b")\x85".repeat(10_000),
                // Twenty levels of two: a million paths to one tensor.
                [&leaf[..], b"q\0", &b"0(h\0h\0lq\0".repeat(20)].concat(),
                [
                    &b"]q\0("[..],
                    &b"N".repeat(5_000),
                    b"ec__builtin__\nlist\nq\x01",
                    &b"0h\x01h\0\x85R".repeat(2_000),
                ]
                .concat(),
                [&b"\x8d"[..], &(1_u64 << 40).to_le_bytes()].concat(),
                // A hundred dictionaries that each hold one which holds them all, and a tensor.
                [
                    &b"}q\0(K\0"[..],
                    &leaf,
                    &(1..100)
                        .flat_map(|key| [b'K', key, b'}', b'K', 0, b'h', 0, b's'])
                        .collect::<Vec<_>>(),
                    b"u",
                ]
                .concat(),
            ];
            let mut traps: Vec<Vec<u8>> = bombs.iter().map(|bomb| dict(bomb)).collect();
            traps.push(state_dict(
                ("0", 6, &[255, 255], &[0, 0]),
                ("0", 6, &[2], &[0]),
            ));
            let old: Vec<_> = traps.iter().map(|pickle| torch_old(pickle)).collect();
            traps.extend(old);
            traps.push(torch_packed(
                &[&b"\x80\x02("[..], &b"]".repeat(1 << 20), b"l."].concat(),
            ));
            traps
        }
        "image" => {
            // Scans of next to nothing, of a picture of many pixels.
            let many = |count: usize| {
                let jpeg = progressive_jpeg();
                let (rest, end) = jpeg.split_at(jpeg.len() - 2);
                let (rest, scan) = rest.split_at(rest.len() - 11);
                let mut bytes = [rest, &scan.repeat(count), end].concat();
                // Height and width.
                bytes[76..80].copy_from_slice(&[0x20, 0, 0x20, 0]);
                bytes
            };
            vec![many(20), many(90), many(1_000), many(20_000)]
        }
        "weights" => {
            let safe = |table: &str| {
                let length = (table.len() as u64).to_le_bytes();
                [&length[..], table.as_bytes()].concat()
            };
            let empty = |name: &str| {
                format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}")
            };
            vec![
                safe(&entries(&|number| empty(&number.to_string()), 2_000)),
                safe(&entries(&|_| empty("twice"), 2)),
                safe(&entries(&|_| empty(&"n".repeat(1 << 18)), 1)),
                [&(1_u64 << 40).to_le_bytes()[..], b"{"].concat(),
            ]
        }
        "shards" => {
            let index = |entry: &dyn Fn(usize) -> String| {
                format!("{{\"weight_map\":{}}}", entries(entry, 10_000)).into_bytes()
            };
            vec![
                index(&|number| format!("\"{number}\":\"all.bin\"")),
                index(&|number| format!("\"{number}\":\"{number}\"")),
            ]
        }
        "manifest" => {
            let files = entries(&|number| format!("\"{number}\":\"0\""), 10_000);
            let seed = String::from_utf8(manifest()[0].clone()).unwrap();
            let (before, after) = seed.split_once("\"files\"").unwrap();
            vec![format!("{before}\"files\":{files},\"and\"{after}").into_bytes()]
        }
        // Of other optimizers, and of models of other shapes.
        "optimizer" => vec![
            state_of(OptimizerName::Sgd, &[3, 2]),
            state_of(OptimizerName::Lion, &[3, 2]),
            state_of(OptimizerName::Adam, &[2, 3]),
            state_of(OptimizerName::Adam, &[3, 4]),
            state_of(OptimizerName::Adam, &[3, 2, 2]),
        ],
        _ => Vec::new(),
    }
}

/// One exhibit of each kind, the lines of an answer, and the ends of what numbers can be.
pub fn insight() -> Vec<Vec<u8>> {
    // One pixel.
    let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
    let labels = |name: &str, value: f64| json!({ "kind": "labels", "labels": [{ "name": name, "value": value }] });
    let text = |text: &str| json!({ "kind": "text", "pieces": [text] });
    let picture = |value: f32| {
        json!({ "kind": "picture", "picture": { "png": png, "size": [1, 1] }, "values": [value],
            "boxes": [{ "corners": [0.0, 0.0, value, 1.0], "label": { "name": "yes" } }] })
    };
    let insight = |split: &str, examples: usize, exhibits: Vec<(&str, serde_json::Value)>| {
        let parts = exhibits.into_iter();
        let parts =
            parts.map(|(caption, exhibit)| json!({ "caption": caption, "exhibit": exhibit }));
        let parts: Vec<_> = parts.collect();
        let example = json!({ "about": "no. 2", "parts": parts });
        json!({ "split": split, "examples": examples,
            "sections": [{ "title": "Examples", "about": "How to read it.", "examples": [example] }] })
    };
    let words = json!({ "kind": "text", "pieces": ["so", "dull"], "separator": " ", "values": [0.5, -0.25] });
    let answers = insight(
        "test",
        3,
        vec![
            ("prompt", text("1+1=")),
            ("answer", text("2")),
            ("truth", text("2")),
            ("", picture(0.5)),
            ("answer", labels("yes", 0.75)),
            ("truth", labels("no", 1.0)),
            ("", words),
        ],
    );
    let line = json!({ "name": "a", "points": [[0.0, 1.0], [1.0, null], [2.0, 3.0]] });
    let kinds = insight(
        "valid",
        1,
        vec![
            (
                "mask",
                json!({ "kind": "mask", "size": [1, 2], "classes": [0, 9], "names": ["road"] }),
            ),
            (
                "sound",
                json!({ "kind": "sound", "wav": "UklGRg==", "seconds": 0.5 }),
            ),
            (
                "map",
                json!({ "kind": "heat", "size": [2, 1], "values": [0.5, null], "axes": ["time", "pitch"] }),
            ),
            (
                "curve",
                json!({ "kind": "curve", "axes": ["step", "loss"], "lines": [line] }),
            ),
            (
                "table",
                json!({ "kind": "table", "columns": ["a", "b"], "rows": [["x", "1"], ["y", "2.5"]] }),
            ),
            (
                "matrix",
                json!({ "kind": "confusion", "names": ["no", "yes"], "counts": [[1, 1], [0, 1]] }),
            ),
            (
                "game",
                json!({ "kind": "frames", "frames": [text("x."), text("xo")] }),
            ),
        ],
    );
    // A name that a matrix says many times.
    let (most, name) = (usize::MAX, "n".repeat(3_000));
    let line = json!({ "name": name, "points": [[-1.7976931348623157e308, 5e-324], [1.7976931348623157e308, 1e308]] });
    let extreme = insight(
        "test",
        most,
        vec![
            (
                "matrix",
                json!({ "kind": "confusion", "names": [name, "yes"], "counts": [[most, most], [0, most]] }),
            ),
            ("answer", labels(&name, 1e308)),
            ("", picture(3e38)),
            (
                "map",
                json!({ "kind": "heat", "size": [1, 2], "values": [-3e38, 3e38], "axes": ["", ""] }),
            ),
            (
                "mask",
                json!({ "kind": "mask", "size": [most, 2], "classes": [0, 9], "names": ["road"] }),
            ),
            (
                "curve",
                json!({ "kind": "curve", "axes": ["", ""], "lines": [line] }),
            ),
        ],
    );
    [answers, kinds, extreme]
        .map(|insight| insight.to_string().into_bytes())
        .into()
}

/// One that has every kind of figure.
pub fn comparison() -> Vec<Vec<u8>> {
    let column = |name: &str| {
        json!({ "name": name, "backend": name, "dtype": "f32", "threads": 1, "device": "a processor",
            "kind": "CPU", "driver": null, "peer": false, "peak_multiply_adds_per_second": 1e11,
            "copy_bytes_per_second": 2e10 })
    };
    let departure = json!({ "name": "outputs", "kind": "logits", "shape": [2], "error": 1e-7,
        "bound": 1e-5, "index": 1, "value": 0.5, "reference": 0.5 });
    let agreement = json!({ "verdict": "agrees", "worst": 0.01, "worst_of": "outputs",
        "quantities": [departure], "layers": [departure], "gradients": [departure],
        "first": { "of": "output", "name": "fc", "kind": "Linear", "shape": [2], "over": 1.5 },
        "losses": [2.0, 1.5] });
    let speed = json!({ "work": "train", "batch": 64, "samples": [0.1, 0.2, 0.1, 0.1, 0.2],
        "median": 0.1, "quartiles": [0.1, 0.2], "rate": 640.0, "counts": true, "of_peak": 0.5,
        "ratio": { "value": 1.0, "interval": [0.9, 1.1], "verdict": "undecided",
            "slow_layer": ["fc", 0.5] } });
    let outcome = |name: &str| {
        json!({ "column": name, "failure": null, "agreement": agreement, "speed": [speed],
            "convergence": { "metric": "test.accuracy", "value": 0.5, "expected": [0.4, 0.6],
                "met": true, "steps_to_expectation": 3, "steps": 9, "wall_seconds": 1.5,
                "losses": [[1, 2.0]], "validation": [[3, 0.5]], "failure": null },
            "cold": { "startup_seconds": 0.5, "first_forward_seconds": 0.1,
                "first_step_seconds": 0.2, "preparation_seconds": 0.1 },
            "layer_seconds": [{ "name": "fc", "seconds": 0.001 }],
            "cost": { "peak_resident_bytes": 1 << 30, "device_bytes": null,
                "leak_bytes_per_step": 12.5, "joules_per_step": 0.5 } })
    };
    let report = json!({ "schema": zoo_compare::report::SCHEMA, "version": 1,
        "created": "2026-01-01T00:00:00Z", "command": "zoo compare",
        "environment": { "processor": "p", "architecture": "x86_64", "features": ["avx2"],
            "logical_cores": 2, "governor": null, "memory_bytes": 1_u64 << 33, "system": "Linux",
            "zoo": "0.1.0", "burn": "0.22.1", "revision": "abc", "machine": "m" },
        "columns": [column("flex"), column("ndarray")],
        "subjects": [{ "name": "net", "model": "mlp", "family": "mlp", "input": [64, 1, 28, 28],
            "parameters": 8, "multiply_adds": 6, "activations": 2,
            "reference": { "backend": "flex f64", "losses": [2.0, 1.5],
                "check": { "backend": "ndarray f64", "worst": 0.1, "what": "outputs" } },
            "results": [outcome("flex"), outcome("ndarray")] }] });
    vec![report.to_string().into_bytes()]
}

/// What an archive must hold: name, bytes and their sha256.
pub const MEMBERS: &[(&str, &[u8], &str)] = &[
    (
        "a",
        b"four",
        "04efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f00",
    ),
    (
        "b",
        &[b'b'; 700],
        "f3dbf66fa149c7db3acc8293367a08c15e8132ea2de9c24f97f9e605d22566ed",
    ),
];

pub fn archive() -> Vec<Vec<u8>> {
    let tar = |others: &[(&str, tar::EntryType, &str)]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, target) in others {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(0);
            header.set_mode(0o644);
            builder.append_link(&mut header, name, target).unwrap();
        }
        for (name, bytes, _) in MEMBERS {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, format!("x/{name}"), *bytes)
                .unwrap();
        }
        builder.into_inner().unwrap()
    };
    use tar::EntryType as Kind;
    let long = "y".repeat(120);
    let plain = tar(&[]);
    let links = tar(&[
        ("x", Kind::Directory, "x"),
        ("x/c", Kind::Symlink, "/etc/passwd"),
        (&long, Kind::Link, "../../evil"),
    ]);
    vec![gzip(&plain), gzip(&links), plain, links]
}

/// Puts the sums of a tar's headers right.
pub fn reseal_tar(bytes: &mut [u8]) {
    for block in bytes.as_chunks_mut::<512>().0 {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
}
