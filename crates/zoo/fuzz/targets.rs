//! Every parser that reads a user's file: one row each, with what must hold of whatever the file
//! holds. libFuzzer (fuzz_targets/hostile.rs) and the tests on stable (../tests/hostile.rs) both
//! derive from this table.

use std::env;
use std::fmt::Display;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::str;
use std::sync::OnceLock;

use burn::data::dataset::Dataset;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use peakmem_alloc::{PeakMemAlloc, PeakMemAllocTrait};
use tempfile::TempDir;
use zoo::ZOO;
use zoo_codec::image::{Color, Interpolation};
use zoo_codec::text::{CharVocabulary, Language, Streaming, Tokenizer, WordVocabulary};
use zoo_compare::report::Report;
use zoo_fetch::{Options, Quiet};
use zoo_images::{FolderOptions, Split, open_folder};
use zoo_mlp::{Activation, Mlp, MlpConfig};
use zoo_report::Folder;
use zoo_text::{Column, Corpus, Format, LabelledSet, RowOptions};
use zoo_train::{
    Event, Manifest, OptimizerConfig, OptimizerName, Recipe, Record, number, read_events,
};
use zoo_weights::Origin;

mod seeds;

/// Counts what a case allocates.
#[global_allocator]
static ALLOCATOR: PeakMemAlloc<std::alloc::System> = PeakMemAlloc::new(std::alloc::System);

/// A parser under test.
pub struct Target {
    /// What `ZOO_FUZZ_TARGET` calls it.
    pub name: &'static str,
    /// Gives the parser bytes as the contents of a file, asserts what must hold of its answer, and
    /// says whether it took them.
    check: fn(&[u8]) -> bool,
    /// Small files that are as they should be.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Most bytes that may be allocated at once for a file of this size.
    memory: fn(usize) -> usize,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Every target. Where no other reason is given, a parser may take a few times the file's size, and
/// a constant for paths, messages and buffers.
pub const TARGETS: &[Target] = &[
    Target {
        name: "idx",
        check: idx,
        seeds: seeds::idx,
        // A gzip file may hold as many images as are published: 47 MB, in a vector that doubles.
        memory: |size| 8 * size + 96 * MIB,
    },
    Target {
        name: "cifar",
        check: cifar,
        seeds: seeds::cifar,
        memory: |size| 8 * size + 256 * KIB,
    },
    Target {
        name: "image",
        check: image,
        seeds: seeds::image,
        // What a byte of the file can claim, and all of it, is limited; see `pixels_memory`.
        memory: |size| pixels_memory(8_256 * size, size),
    },
    Target {
        name: "text",
        check: text,
        seeds: seeds::text,
        // A flag for each code point up to the text's last one: a megabyte if that is Unicode's.
        memory: |size| 32 * size + 2 * MIB,
    },
    Target {
        name: "tsv",
        check: tsv,
        seeds: seeds::tsv,
        // The shortest line has 4 bytes; its fields, its row and its example have places of their own.
        memory: |size| 128 * size + 256 * KIB,
    },
    Target {
        name: "csv",
        check: csv,
        seeds: seeds::csv,
        memory: |size| 128 * size + 256 * KIB,
    },
    Target {
        name: "jsonl",
        check: jsonl,
        seeds: seeds::jsonl,
        // A line becomes a tree before its text and label are taken.
        memory: |size| 256 * size + 256 * KIB,
    },
    Target {
        name: "vocabulary",
        check: vocabulary,
        seeds: seeds::vocabulary,
        // The shortest word has 2 bytes, and is held as a string and in two tables.
        memory: |size| 256 * size + 256 * KIB,
    },
    Target {
        name: "recipe",
        check: recipe,
        seeds: seeds::recipe,
        // TOML's shortest entry, `a=1`, becomes a token, an event, a value and a string; a message
        // quotes the line that is wrong.
        memory: |size| 256 * size + 512 * KIB,
    },
    Target {
        name: "source",
        check: source,
        seeds: seeds::source,
        memory: |size| 256 * size + 512 * KIB,
    },
    Target {
        name: "manifest",
        check: manifest,
        seeds: seeds::manifest,
        memory: |size| 32 * size + 64 * KIB,
    },
    Target {
        name: "config",
        check: config,
        seeds: seeds::config,
        // A tokenizer may be in it.
        memory: |size| 128 * size + 64 * MIB,
    },
    Target {
        name: "record",
        check: record,
        seeds: seeds::record,
        // A page of drawings around it, as of the next two.
        memory: |size| 64 * size + 8 * MIB,
    },
    Target {
        name: "events",
        check: events,
        seeds: seeds::events,
        // A metric of 6 bytes, `"a":1,`, is buffered as a value before its event is known, and then
        // a curve of its own.
        memory: |size| 256 * size + 8 * MIB,
    },
    Target {
        name: "weights",
        check: weights,
        seeds: seeds::weights,
        // The shortest entry of the table has some 50 bytes; what is taken is written again, through a
        // buffer of a megabyte.
        memory: |size| 24 * size + MIB + 256 * KIB,
    },
    Target {
        name: "pickle",
        check: pickle,
        seeds: seeds::pickle,
        // 24 bytes of values for each of a pickle, in tables that double, and its stack.
        memory: |size| 96 * size + 512 * KIB,
    },
    Target {
        name: "shards",
        check: shards,
        seeds: seeds::shards,
        memory: |size| 32 * size + 512 * KIB,
    },
    Target {
        name: "tokenizer",
        check: tokenizer,
        seeds: seeds::tokenizer,
        // Tables of words and merges; regular expressions, which are compiled; and the texts, which
        // may become a thousand times as long.
        memory: |size| 128 * size + 64 * MIB,
    },
    Target {
        name: "origin",
        check: origin,
        seeds: seeds::origin,
        // A name for each class, of which 65 thousand need not be named by the file.
        memory: |size| 128 * size + 16 * MIB,
    },
    Target {
        name: "optimizer",
        check: optimizer,
        seeds: seeds::optimizer,
        // A table of names and numbers, read twice; a list in it may claim a megabyte (serde's limit),
        // and the state has the model's size.
        memory: |size| 64 * size + 2 * MIB,
    },
    Target {
        name: "insight",
        check: insight,
        seeds: seeds::insight,
        // A page of half a megabyte of style, script and drawings around it.
        memory: |size| 512 * size + 8 * MIB,
    },
    Target {
        name: "comparison",
        check: comparison,
        seeds: seeds::comparison,
        memory: |size| 512 * size + 8 * MIB,
    },
    Target {
        name: "archive",
        check: archive,
        seeds: seeds::archive,
        // What the source does not name may unpack to 16 MiB, which a long name can fill.
        memory: |size| 8 * size + 64 * MIB,
    },
];

/// The targets that `ZOO_FUZZ_TARGET` names, or all.
///
/// # Panics
/// Where there is none of that name.
pub fn selected() -> Vec<&'static Target> {
    let Ok(name) = env::var("ZOO_FUZZ_TARGET") else {
        return TARGETS.iter().collect();
    };
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    let found = TARGETS.iter().find(|target| target.name == name);
    vec![found.unwrap_or_else(|| panic!("ZOO_FUZZ_TARGET={name}; there are: {names:?}"))]
}

impl Target {
    /// Files that were made to break it.
    pub fn traps(&self) -> Vec<Vec<u8>> {
        seeds::traps(self.name)
    }

    /// Checks one file, and what it cost; says whether the parser took it.
    ///
    /// # Panics
    /// Where something does not hold.
    pub fn run(&self, bytes: &[u8]) -> bool {
        ALLOCATOR.reset_peak_memory();
        let read = (self.check)(bytes);
        let (peak, most) = (ALLOCATOR.get_peak_memory(), (self.memory)(bytes.len()));
        assert!(
            peak <= most,
            "{}: a file of {} bytes took {peak} bytes of memory, more than {most}",
            self.name,
            bytes.len()
        );
        read
    }
}

/// What a parser took; an error must say something.
fn taken<T>(result: Result<T, impl Display>) -> Option<T> {
    result
        .map_err(|error| assert!(!error.to_string().trim().is_empty(), "an empty message"))
        .ok()
}

/// A folder with these files, gone when it is dropped.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// The bytes as an image file, and as a label file.
fn idx(bytes: &[u8]) -> bool {
    let read = |images: &[u8], labels: &[u8]| {
        let folder = folder(&[
            ("mnist/train-images-idx3-ubyte", images),
            ("mnist/train-labels-idx1-ubyte", labels),
        ]);
        let options = FolderOptions::default();
        let set = taken(zoo_images::open(
            "mnist",
            folder.path(),
            Split::Train,
            &options,
        ));
        set.is_some_and(|set| {
            assert_eq!(set.len(), 2, "what the other file holds");
            for index in 0..2 {
                let image = set.get(index).unwrap();
                assert_eq!(image.pixels.len(), 28 * 28);
                assert!(image.label < 10);
            }
            true
        })
    };
    let as_images = read(bytes, &seeds::idx_labels());
    as_images | read(&seeds::idx_images(), bytes)
}

fn cifar(bytes: &[u8]) -> bool {
    let folder = folder(&[("cifar10/test_batch.bin", bytes)]);
    let options = FolderOptions::default();
    let set = taken(zoo_images::open(
        "cifar10",
        folder.path(),
        Split::Test,
        &options,
    ));
    set.is_some_and(|set| {
        assert_eq!(set.len() * (1 + 3 * 32 * 32), bytes.len());
        for (index, record) in bytes.chunks(1 + 3 * 32 * 32).enumerate() {
            let image = set.get(index).unwrap();
            assert_eq!(
                (image.label as u8, &image.pixels[..]),
                (record[0], &record[1..])
            );
        }
        true
    })
}

/// Most memory for a picture of so many pixels in a file of this size. Decoders expand: 8 bytes a
/// pixel as decoded, 3 as RGB, 3 by channel, and the coefficients of a progressive JPEG.
fn pixels_memory(pixels: usize, size: usize) -> usize {
    24 * pixels.min(1 << 26) + 16 * size + 2 * MIB
}

/// The pixels that the head of a picture claims, rounded up to whole blocks of its coefficients.
fn claimed_pixels(bytes: &[u8]) -> usize {
    let number = |at: usize, width: usize| {
        let bytes = bytes.get(at..at + width).unwrap_or_default();
        bytes
            .iter()
            .fold(0, |value, byte| value << 8 | usize::from(*byte))
    };
    let area = |height: usize, width: usize| {
        height
            .next_multiple_of(32)
            .saturating_mul(width.next_multiple_of(32))
    };
    if bytes.starts_with(b"\x89PNG") {
        return area(number(16, 4), number(20, 4));
    }
    let frames = (0..bytes.len().saturating_sub(9))
        .filter(|at| bytes[*at] == 0xff && (0xc0..=0xc2).contains(&bytes[at + 1]));
    frames
        .map(|at| area(number(at + 5, 2), number(at + 7, 2)))
        .max()
        .unwrap_or(0)
}

/// The bytes as they are, and with the sums of a PNG's chunks put right.
fn image(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| {
        let before = ALLOCATOR.get_peak_memory();
        let most = pixels_memory(claimed_pixels(bytes), bytes.len());
        let folder = folder(&[("train/a/0.png", bytes)]);
        let path = folder.path().join("train/a/0.png");
        let resized = taken(zoo_codec::image::read(&path, Color::Grey))
            .map(|picture| picture.resize([4, 5], Interpolation::Bilinear));
        if let Some(picture) = &resized {
            assert_eq!(picture.samples().len(), 20);
        }
        // As it is: what the header says must be what is decoded.
        let options = FolderOptions::default();
        let opened = open_folder(folder.path(), &options);
        let image = taken(opened).and_then(|opened| {
            let set = opened.train;
            taken(set.checked_bytes(0))?;
            let image = taken(set.get(0))?;
            assert_eq!(image.pixels.len(), set.shape().iter().product::<usize>());
            Some(image)
        });
        assert_eq!(image.is_some(), resized.is_some());
        let peak = ALLOCATOR.get_peak_memory();
        assert!(
            peak <= most.max(before),
            "{peak} bytes of memory, more than {most}"
        );
        image.is_some()
    };
    let mut resealed = bytes.to_vec();
    reseal_png(&mut resealed);
    read(bytes) | (resealed != bytes && read(&resealed))
}

fn reseal_png(bytes: &mut [u8]) {
    let mut rest = bytes.get_mut(8..).unwrap_or_default();
    while let Some((head, tail)) = rest.split_first_chunk_mut::<8>() {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let mut sum = flate2::Crc::new();
        sum.update(&head[4..]);
        let Some((data, tail)) = tail.split_at_mut_checked(length) else {
            return;
        };
        sum.update(data);
        let Some((found, tail)) = tail.split_first_chunk_mut::<4>() else {
            return;
        };
        *found = sum.sum().to_be_bytes();
        rest = tail;
    }
}

fn text(bytes: &[u8]) -> bool {
    let folder = folder(&[("book.txt", bytes)]);
    let path = folder.path().join("book.txt");
    let corpus = taken(Corpus::open(path, Corpus::VALID_FRACTION));
    corpus.is_some_and(|corpus| {
        let mut ids = corpus.train.slice(0, corpus.train.len());
        ids.extend(corpus.valid.slice(0, corpus.valid.len()));
        let letters = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        assert_eq!(corpus.vocabulary.decode(&ids).as_bytes(), letters);
        if let Some(windows) = taken(corpus.windows(zoo_text::Split::Train, 8)) {
            let last = windows.with_offset(7).get(windows.len() - 1).unwrap();
            assert_eq!((last.input.len(), last.target.len()), (8, 8));
        }
        true
    })
}

/// The bytes as a file of the format: the rows, with the names of their classes.
fn rows(format: Format, bytes: &[u8], options: &RowOptions) -> Option<Vec<(String, String)>> {
    let folder = folder(&[("rows", bytes)]);
    let set = taken(LabelledSet::open(
        format,
        folder.path().join("rows"),
        options,
    ))?;
    let items = (0..set.train.len()).map(|index| set.train.get(index).unwrap());
    let items: Vec<_> = items.collect();
    assert!(
        set.train
            .sentences()
            .eq(items.iter().map(|item| item.text.as_str()))
    );
    let named = items
        .into_iter()
        .map(|item| (item.text, set.class_names[item.label].clone()));
    Some(named.collect())
}

/// Columns by number: nothing is left to guess when rows are read again.
fn numbered(quotes: Option<bool>) -> RowOptions {
    RowOptions {
        text: Some(Column::Number(1)),
        label: Some(Column::Number(2)),
        quotes,
    }
}

fn tsv(bytes: &[u8]) -> bool {
    let raw = numbered(Some(false));
    let Some(items) = rows(Format::Tsv, bytes, &raw) else {
        rows(Format::Tsv, bytes, &numbered(Some(true)));
        return rows(Format::Tsv, bytes, &RowOptions::default()).is_some();
    };
    // With a byte order mark, lest the first sentence's own be taken for one.
    let lines = items
        .iter()
        .map(|(text, label)| format!("{text}\t{label}\n"));
    let lines: String = iter::once("\u{feff}".into()).chain(lines).collect();
    assert_eq!(
        rows(Format::Tsv, lines.as_bytes(), &raw),
        Some(items.clone())
    );
    let texts = items.iter().map(|(text, _)| text.as_str());
    if let Some(words) = taken(WordVocabulary::build(texts, 100, 1)) {
        assert_eq!(
            WordVocabulary::from_lines(&words.to_lines()).unwrap(),
            words
        );
    }
    true
}

fn csv(bytes: &[u8]) -> bool {
    let plain = numbered(None);
    let items = rows(Format::Csv, bytes, &plain);
    if let Some(items) = &items {
        let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
        let lines = items
            .iter()
            .map(|(text, label)| quoted(text) + "," + &quoted(label) + "\n");
        let lines: String = iter::once("\u{feff}".into()).chain(lines).collect();
        assert_eq!(
            rows(Format::Csv, lines.as_bytes(), &plain).as_ref(),
            Some(items)
        );
    }
    items.is_some() | rows(Format::Csv, bytes, &RowOptions::default()).is_some()
}

fn jsonl(bytes: &[u8]) -> bool {
    let items = rows(Format::JsonLines, bytes, &RowOptions::default());
    items.is_some_and(|items| {
        let object = |(text, label): &(String, String)| {
            serde_json::json!({ "text": text, "label": label }).to_string() + "\n"
        };
        let lines: String = items.iter().map(object).collect();
        let options = RowOptions::default();
        assert_eq!(
            rows(Format::JsonLines, lines.as_bytes(), &options),
            Some(items)
        );
        true
    })
}

/// The vocabularies that `config.json` holds.
fn vocabulary(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let chars = taken(CharVocabulary::from_chars(text));
    if let Some(chars) = &chars {
        assert_eq!(chars.decode(&chars.encode(text).unwrap()), text);
        assert_eq!(chars.chars(), text);
    }
    let words = taken(WordVocabulary::from_lines(text));
    if let Some(words) = &words {
        assert_eq!(
            &WordVocabulary::from_lines(&words.to_lines()).unwrap(),
            words
        );
        let ids = words.encode(text, 64);
        assert!(ids.iter().all(|id| (*id as usize) < words.len()));
    }
    chars.is_some() || words.is_some()
}

fn recipe(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let recipe = taken(Recipe::parse("recipe.toml", text, &[]));
    recipe.is_some_and(|recipe| {
        let written = recipe.to_toml();
        let again = Recipe::parse("recipe.toml", &written, &[]).unwrap();
        // As text, since NaN is not equal to itself.
        assert_eq!(again.to_toml(), written);
        recipe.train.total_steps(60_000);
        taken(ZOO.configure(&recipe.model, &toml::Table::new()));
        true
    })
}

fn source(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let source = taken(zoo_fetch::Source::parse(text));
    source.is_some_and(|source| {
        let files = source.files.iter().map(|file| (&file.path, &file.urls));
        let archives = source.archives.iter();
        let members = archives.clone().flat_map(|archive| {
            let members = archive.members.iter();
            members.map(|member| (&member.path, &archive.urls))
        });
        let archives = archives.map(|archive| (&archive.path, &archive.urls));
        for (path, urls) in files.chain(archives).chain(members) {
            let parts = Path::new(path).components();
            assert!(
                parts.eq(path
                    .split('/')
                    .map(|part| std::path::Component::Normal(part.as_ref()))),
                "{path:?} leaves the folder"
            );
            assert!(urls.iter().all(|url| url.starts_with("http")), "{urls:?}");
        }
        // Nothing is there: every file must be missed, at a path below the folder.
        let folder = tempfile::tempdir().unwrap();
        let below = source.folder(folder.path());
        for (path, status) in zoo_fetch::verify(&source, folder.path()) {
            assert_eq!(status, zoo_fetch::Status::Missing);
            assert!(path.starts_with(&below), "{}", path.display());
        }
        true
    })
}

fn manifest(bytes: &[u8]) -> bool {
    let manifest = taken(Manifest::parse(bytes));
    manifest.is_some_and(|manifest| {
        for name in manifest.files.keys() {
            let path = Path::new("/checkpoint").join(name);
            assert!(
                name.is_empty() || path.parent() == Some(Path::new("/checkpoint")),
                "{name:?} leaves the folder"
            );
        }
        // As text, since NaN is not equal to itself.
        let written = serde_json::to_string(&manifest).unwrap();
        let again = Manifest::parse(written.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), written);
        true
    })
}

fn config(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let config = taken(zoo_program::Config::parse(text));
    config.is_some_and(|config| {
        let written = serde_json::to_string(&config).unwrap();
        let again = zoo_program::Config::parse(&written).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), written);
        let opened = taken(config.open(&ZOO));
        opened.is_some_and(|(model, _)| {
            // What a run folder is given is what comes back from it.
            let table = model.table();
            let again = ZOO.configure(&table, &toml::Table::new()).unwrap();
            assert_eq!(again.table(), table);
            true
        })
    })
}

fn record(bytes: &[u8]) -> bool {
    let record = taken(serde_json::from_slice::<Record>(bytes));
    record.is_some_and(|record| {
        // As text, since NaN is not equal to itself.
        let written = serde_json::to_string(&record).unwrap();
        let again: Record = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), written);
        true
    }) & shown("run/run.json", bytes)
}

/// A run folder with these bytes as one of its files, on its page, in the list of runs, and beside a
/// sound one; says whether it could be read.
fn shown(file: &str, bytes: &[u8]) -> bool {
    type Files = [(&'static str, Vec<u8>); 3];
    static SOUND: OnceLock<(Folder, Files)> = OnceLock::new();
    let (sound, files) = SOUND.get_or_init(|| {
        // Without a result, what there is of a run is read from its events.
        let files = [
            ("run/run.json", seeds::record()[2].clone()),
            ("run/metrics.jsonl", seeds::events().concat()),
            ("run/recipe.toml", b"[train]\nbest = 'accuracy'".to_vec()),
        ];
        let root = folder(&files.each_ref().map(|(name, bytes)| (*name, &**bytes)));
        (Folder::read(&root.path().join("run")).unwrap(), files)
    });
    let root = folder(&files.each_ref().map(|(name, sound)| match *name == file {
        true => (*name, bytes),
        false => (*name, &**sound),
    }));
    let rows = zoo_report::list(root.path()).unwrap();
    let text = zoo_report::list_text(&rows);
    assert_eq!(rows.len(), 1, "{text}");
    // The table is no wider than what its cells may have.
    assert!(
        text.lines().take(2).all(|line| line.len() < 8 * KIB),
        "{text}"
    );
    let Some(run) = taken(Folder::read(&root.path().join("run"))) else {
        return false;
    };
    let page = zoo_report::page(&run);
    assert!(page.ends_with("</html>\n"), "half a page");
    let sections = zoo_report::difference(&run, sound);
    assert!(zoo_report::difference_text(&sections, &run, sound).contains("\nresult\n"));
    true
}

fn events(bytes: &[u8]) -> bool {
    let (events, problems) = read_events(bytes);
    assert!(problems.iter().all(|problem| !problem.is_empty()));
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(events.len() < lines.max(1), "more events than lines");
    let lines = |events: &[Event]| -> String {
        let lines = events
            .iter()
            .map(|event| serde_json::to_string(event).unwrap() + "\n");
        lines.collect()
    };
    let written = lines(&events);
    let (again, none) = read_events(written.as_bytes());
    // As text, since NaN is not equal to itself.
    assert_eq!((lines(&again), none.len()), (written, 0));
    shown("run/metrics.jsonl", bytes) && problems.is_empty() && !events.is_empty()
}

/// A small model, always the same.
fn model(device: &Device) -> Mlp {
    let config = MlpConfig {
        widths: vec![3, 2],
        activation: Activation::Relu,
        dropout: 0.0,
    };
    number(config.init(device))
}

fn weights(bytes: &[u8]) -> bool {
    let folder = folder(&[("model.safetensors", bytes)]);
    let path = folder.path().join("model.safetensors");
    let mut model = model(&Device::flex());
    let loaded = taken(zoo_weights::load(&mut model, &path, &Origin::default()));
    loaded.is_some_and(|()| {
        assert_eq!(model.num_params(), 3 * 2 + 2);
        zoo_weights::save(&model, &path, &Origin::default()).unwrap();
        true
    })
}

/// Loads a file, or an index of files, into a small model.
fn load(path: &Path) -> bool {
    let mut model = model(&Device::flex());
    let loaded = taken(zoo_weights::load(&mut model, path, &Origin::default()));
    loaded.is_some_and(|()| {
        assert_eq!(model.num_params(), 3 * 2 + 2);
        true
    })
}

/// The bytes as a whole file of torch.save, in the hub's folder, and as the pickle within an archive
/// whose sums are right.
fn pickle(bytes: &[u8]) -> bool {
    let folder = folder(&[
        ("pytorch_model.bin", bytes),
        ("model.pt", &seeds::torch_zip(bytes)),
    ]);
    load(folder.path()) | load(&folder.path().join("model.pt"))
}

/// The bytes as an index, beside two shards of either kind.
fn shards(bytes: &[u8]) -> bool {
    let index = "model.safetensors.index.json";
    let [weight, bias] = seeds::shard_files();
    let folder = folder(&[
        (index, bytes),
        ("weight.safetensors", &weight),
        ("bias.safetensors", &bias),
        ("all.bin", &seeds::torch_zip(&seeds::pickled())),
    ]);
    // By the file's name, and as the folder of the hub that holds it.
    let by_name = load(&folder.path().join(index));
    assert_eq!(load(folder.path()), by_name);
    by_name
}

/// A tokenizer, with texts of every length through every path that the program takes.
fn tokenizer(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let tokenizer = taken(Tokenizer::parse(text));
    tokenizer.is_some_and(|tokenizer| {
        let known = |ids: &[u32]| ids.iter().all(|id| (*id as usize) < tokenizer.vocabulary());
        let long = "a".repeat(60) + &" hi".repeat(20);
        for text in [
            "",
            "a",
            "Hi, hä 7\u{1f980}",
            "<s><x> \u{301}\u{fdfa}<s>",
            &long,
        ] {
            if let Some(ids) = taken(tokenizer.sentence(text, 5)) {
                assert!((1..=5).contains(&ids.len()), "{ids:?}");
                assert!(known(&ids), "{ids:?}");
            }
            if let Some(ids) = taken(tokenizer.corpus(text, |_, _| Ok(()))) {
                assert!(known(&ids), "{ids:?}");
            }
        }
        let language = Language::Tokenizer(Box::new(tokenizer));
        for prompt in ["hi", "", " a\n"] {
            let Some(ids) = taken(language.prompt(prompt)) else {
                continue;
            };
            let (mut streaming, mut shown) = Streaming::new(&language, prompt, &ids);
            let more = [0, 1, 2, 3, 0, u32::MAX, 4];
            for token in more {
                shown += &streaming.push(token);
            }
            shown += &streaming.finish();
            let all = [&ids[..], &more].concat();
            assert_eq!(language.pieces(&all).concat(), language.decode(&all));
        }
        language.decode(&[]);
        language.decode(&(0..300).collect::<Vec<_>>());
        true
    })
}

/// The `config.json` of a folder from the hub, with a tokenizer beside it.
fn origin(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let folder = folder(&[("tokenizer.json", seeds::TOKENIZER.as_bytes())]);
    let opened = taken(zoo_program::of_origin(&ZOO, folder.path(), text));
    opened.is_some_and(|(model, codec)| {
        // What is read of an origin is what an import of it opens to.
        let config = zoo_program::Config::new(&*model, &*codec);
        let written = serde_json::to_string(&config).unwrap();
        let again = zoo_program::Config::parse(&written).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), written);
        again.open(&ZOO).unwrap();
        true
    })
}

fn optimizer(bytes: &[u8]) -> bool {
    let folder = folder(&[("optimizer.bpk", bytes)]);
    let path = folder.path().join("optimizer.bpk");
    let config = OptimizerConfig {
        name: OptimizerName::Adam,
        ..OptimizerConfig::default()
    };
    let model = model(&Device::flex().autodiff());
    let Some(mut optimizer) = taken(config.load(&model, &path, 3)) else {
        return false;
    };
    // What was taken is stepped with.
    let loss = model
        .forward(Tensor::<2>::ones([1, 3], &Device::flex().autodiff()))
        .sum();
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    optimizer.step(0.1, model, gradients);
    true
}

/// A run folder with these examples, shown.
fn insight(bytes: &[u8]) -> bool {
    let record = &seeds::record()[0];
    let events = seeds::events().concat();
    let folder = folder(&[
        ("run.json", record),
        ("metrics.jsonl", &events),
        ("recipe.toml", b"[train]"),
        ("insight.json", bytes),
    ]);
    let run = Folder::read(folder.path()).unwrap();
    let page = zoo_report::page(&run);
    assert!(page.ends_with("</html>\n"), "half a page");
    let sections = run.insight.iter().flat_map(|insight| &insight.sections);
    for example in sections.flat_map(|section| &section.examples) {
        zoo_report::terminal::example(example);
    }
    run.insight.is_some()
}

/// An earlier comparison: as a baseline, and beside another on one page.
fn comparison(bytes: &[u8]) -> bool {
    let report = taken(serde_json::from_slice::<Report>(bytes));
    report.is_some_and(|report| {
        let mut sound: Report = serde_json::from_slice(&seeds::comparison()[0]).unwrap();
        let baseline = zoo_compare::baseline::against(&sound, &report, "earlier.json");
        assert_eq!(baseline.file, "earlier.json");
        sound.baseline = Some(baseline);
        let notes = zoo_compare::bounds::EXPLANATION;
        let html = zoo_compare::render::html(&sound, notes);
        assert!(html.contains("</html>"), "half a page");
        assert!(zoo_compare::render::markdown(&sound, notes).starts_with("## "));
        assert!(!zoo_compare::render::table(&sound, true).is_empty());
        let both = [("here".into(), sound), ("there".into(), report)];
        let page = zoo_compare::render::leaderboard(&both);
        assert!(page.contains("</html>"), "half a page");
        true
    })
}

/// The bytes as a `.tar.gz`, and as a tar whose sums are put right and which is then packed.
fn archive(bytes: &[u8]) -> bool {
    let mut resealed = bytes.to_vec();
    seeds::reseal_tar(&mut resealed);
    unpack(bytes) | unpack(&seeds::gzip(&resealed))
}

/// Unpacks an archive that a person put in its place, and looks where anything was written.
fn unpack(tarball: &[u8]) -> bool {
    if tarball.is_empty() {
        return false; // No source can name it.
    }
    let folder = folder(&[("data/set/all.tar.gz", tarball)]);
    // No address at all, so that an archive that is refused is not looked for elsewhere.
    let mut text = format!(
        "name = 'set'\nabout = 'a'\nlicence = 'l'\nhomepage = 'h'\n[counts]\n[[archives]]\n\
         path = 'all.tar.gz'\nurls = ['https://no address/']\nsize_bytes = {}\n",
        tarball.len()
    );
    for (name, bytes, sha256) in seeds::MEMBERS {
        text += &format!(
            "[[archives.members]]\nmember = 'x/{name}'\npath = '{name}'\nsha256 = '{sha256}'\n\
             size_bytes = {}\n",
            bytes.len()
        );
    }
    let source = zoo_fetch::Source::parse(&text).unwrap();
    let options = Options {
        retries: 0,
        ..Options::default()
    };
    let data = folder.path().join("data");
    let result = zoo_fetch::fetch_with(&source, &data, &mut Quiet, &options);
    let unpacked = taken(result).is_some();
    let mut expected = vec!["data/set/.lock", "data/set/all.tar.gz"];
    if unpacked {
        expected.extend(["data/set/a", "data/set/b"]);
        for (name, bytes, _) in seeds::MEMBERS {
            assert_eq!(fs::read(data.join("set").join(name)).unwrap(), *bytes);
        }
    }
    let mut found = Vec::new();
    files(folder.path(), &mut found);
    let mut expected: Vec<_> = expected
        .iter()
        .map(|path| folder.path().join(path))
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    unpacked
}

/// Everything below a folder that is no folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}
