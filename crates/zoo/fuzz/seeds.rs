//! Small files that are as they should be, for mutations to begin with.

use std::fs;
use std::io::Write;
use std::path::Path;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use zoo::data::Codec;
use zoo::registry::configure;
use zoo_train::{
    BestSoFar, Event, Manifest, Metrics, OptimizerConfig, OptimizerName, Outcome, Progress, Record,
    Resumed, State,
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
    vec![
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
    let zoo = zoo::recipes::RECIPES.iter().map(|(_, text)| *text);
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
        },
        files: [("model.safetensors".into(), sum)].into(),
    };
    let text = serde_json::to_string_pretty(&manifest).unwrap();
    let diverged = text.replace("0.5", "null");
    vec![text.into_bytes(), diverged.into_bytes()]
}

pub fn config() -> Vec<Vec<u8>> {
    let classes = vec!["no".to_owned(), "yes".to_owned()];
    let codecs = [
        (
            "name = 'lenet'\nnum_classes = 2",
            Codec::Images {
                shape: [1, 28, 28],
                mean: vec![0.5],
                std: vec![0.25],
                classes: classes.clone(),
            },
        ),
        (
            "name = 'encoder'\nvocab_size = 3\nnum_classes = 2",
            Codec::Words {
                words: "<pad>\n<unk>\nthe\n".into(),
                max_length: 8,
                classes,
            },
        ),
        (
            "name = 'gpt'\nvocab_size = 3",
            Codec::Chars {
                chars: "abc".into(),
                stop: Some('c'),
            },
        ),
    ];
    let configs = codecs.map(|(model, codec)| {
        let model = configure(&model.parse().unwrap(), None).unwrap().table();
        serde_json::to_vec_pretty(&zoo::Config { model, codec }).unwrap()
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
    [finished, failed]
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
    let lines = events.map(|event| serde_json::to_string(&event).unwrap() + "\n");
    let killed = lines.concat() + "{\"event\":\"st";
    let lines = lines.map(String::into_bytes);
    lines.into_iter().chain([killed.into_bytes()]).collect()
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

/// The state of Adam after a step.
pub fn optimizer() -> Vec<Vec<u8>> {
    let device = Device::flex().autodiff();
    let model = super::model(&device);
    let config = OptimizerConfig {
        name: OptimizerName::Adam,
        ..OptimizerConfig::default()
    };
    let mut optimizer = config.build(&model);
    let loss = model.forward(Tensor::<2>::ones([1, 3], &device)).sum();
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    optimizer.step(0.1, model, gradients);
    vec![written("optimizer.bpk", |path| {
        optimizer.save(path).unwrap();
    })]
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
