//! What a training takes from the weights that it starts from, and what a run takes from itself: inputs
//! mean what they meant, or the difference is said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "flex")]

mod common;

use std::fs;
use std::path::Path;

use common::{fail, succeed, word_level, write_folder, zoo};
use serde_json::{Value, json};
use zoo::ZOO;
use zoo_program::{devices, fitting, recipes};
use zoo_tasks::Pictures;
use zoo_train::Change;

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn codec(root: &Path, run: &str) -> Value {
    read(&root.join(run).join("config.json"))["codec"].take()
}

/// What a run that succeeds says on the way.
fn told(root: &Path, arguments: &[&str]) -> String {
    let output = zoo(root, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

fn train<'a>(recipe: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", recipe, "--no-report", "--quiet"][..], more].concat()
}

/// A recipe file `NAME.toml`.
fn recipe(root: &Path, name: &str, text: &str) {
    fs::write(root.join(format!("{name}.toml")), text).unwrap();
}

/// The text of a recipe that trains for one step.
fn one_step(model: &str, data: &str) -> String {
    format!(
        "about = 'x'\nmodel = {{ {model} }}\ndata = {{ {data} }}\ntrain = {{ steps = 1, batch_size = 4 }}\n\
         optimizer = {{ name = 'sgd', learning_rate = 0.001 }}\n"
    )
}

/// The folder that `photographs` and `write_folder` are told to write.
const PHOTOS: &str = "name = 'image-folder', path = 'photos'";

/// Pictures of two classes, none of them a square.
fn photographs(root: &Path) {
    let mut stream = zoo_train::rng::Stream::new(5);
    for split in ["train", "test"] {
        for (class, level) in [("dark", 10), ("light", 150)] {
            let folder = root.join("photos").join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for index in 0..4_u32 {
                let mut pixel = |_, _| image::Rgb([(); 3].map(|()| level + stream.below(90) as u8));
                image::RgbImage::from_fn(41 + 3 * index, 67 - 5 * index, &mut pixel)
                    .save(folder.join(format!("{index}.png")))
                    .unwrap();
            }
        }
    }
}

/// The folder `timm` of a network with random weights, whose pictures are cut out of their middle.
fn timm_folder(root: &Path) {
    let folder = root.join("timm");
    fs::create_dir_all(&folder).unwrap();
    let config = json!({
        "architecture": "mobilenet_v2", "num_classes": 3, "label_names": ["a", "b", "c"],
        "pretrained_cfg": {
            "input_size": [3, 32, 32], "crop_pct": 0.8, "crop_mode": "center", "interpolation": "bicubic",
            "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3],
        },
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let table = "name = 'mobilenet_v2'\nnum_classes = 3".parse().unwrap();
    let model = ZOO.configure(&table, &toml::Table::new()).unwrap();
    let device = devices::open("flex").unwrap().device;
    let ready = model.fresh(3, &device).unwrap();
    ready.save(&folder.join("model.safetensors"), None).unwrap();
}

#[test]
fn pictures_are_read_as_the_weights_read_them_unless_the_recipe_says_otherwise() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    photographs(root);
    timm_folder(root);
    let model = "name = 'mobilenet_v2', weights = 'timm'";
    recipe(root, "tuned", &one_step(model, PHOTOS));
    succeed(root, &train("tuned.toml", &[]));
    let run = "runs/tuned-flex-1";
    let kept = codec(root, run);
    let said = &kept["preprocessing"];
    assert_eq!(
        (&said["resize"], &said["crop"], &said["interpolation"]),
        (&json!(40), &json!([32, 32]), &json!("bicubic")),
        "{kept}"
    );
    assert_eq!(kept["mean"], said["mean"]);
    // What is trained on is what `predict` makes of the same file.
    let change = Change::parse(&format!("data.path={:?}", root.join("photos"))).unwrap();
    let weights = Change::parse(&format!("model.weights={:?}", root.join("timm"))).unwrap();
    let path = root.join("tuned.toml");
    let tuned = recipes::read(&ZOO, path.to_str().unwrap(), &[change, weights]).unwrap();
    let (data, _) = fitting::fit(&ZOO, &tuned, root).unwrap();
    let batch = data.test.unwrap().batch(&[0], None).unwrap();
    let picture: Pictures = serde_json::from_value(kept.clone()).unwrap();
    let file = root.join("photos/test/dark/0.png");
    let read = picture.read(file.to_str().unwrap()).unwrap();
    assert_eq!(batch.column("images").unwrap(), &read);
    // And the run is measured so, too.
    succeed(root, &["eval", run]);

    for (change, key, expected) in [
        ("data.mean=[0.1,0.2,0.3]", "mean", json!([0.1, 0.2, 0.3])),
        ("data.std=[0.5]", "std", json!([0.5, 0.5, 0.5])),
        ("data.size=[48,36]", "shape", json!([3, 48, 36])),
    ] {
        succeed(root, &train("tuned.toml", &["--set", change]));
        let number = 2 + ["mean", "std", "shape"]
            .iter()
            .position(|it| *it == key)
            .unwrap();
        let now = codec(root, &format!("runs/tuned-flex-{number}"));
        let near = |a: &Value, b: &Value| {
            let (a, b) = (a.as_array().unwrap(), b.as_array().unwrap());
            let pairs = a.iter().zip(b);
            a.len() == b.len()
                && pairs.fold(true, |so_far, (a, b)| {
                    so_far && (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-6
                })
        };
        assert!(near(&now[key], &expected), "{change}: {now}");
        assert_eq!(now["preprocessing"].is_null(), key == "shape", "{now}");
        for other in ["mean", "std"].iter().filter(|other| **other != key) {
            assert_eq!(now[*other], kept[*other], "{change}: {other}");
        }
    }
}

/// Grey pictures are given to weights that know colours: their means become one.
#[test]
fn a_set_of_one_size_takes_the_mean_of_the_weights() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    timm_folder(root);
    recipe(
        root,
        "grey",
        &one_step(
            "name = 'mobilenet_v2', weights = 'timm', in_channels = 1",
            "name = 'glyphs'",
        ),
    );
    let said = told(root, &["train", "grey.toml", "--no-report"]);
    assert!(said.contains("3 input channels summed to 1"), "{said}");
    assert!(said.contains("model.in_channels = 1"), "{said}");
    let kept = codec(root, "runs/grey-flex-1");
    assert!(
        (kept["mean"][0].as_f64().unwrap() - 0.4).abs() < 1e-6,
        "{kept}"
    );
    assert!(
        (kept["std"][0].as_f64().unwrap() - 0.25).abs() < 1e-6,
        "{kept}"
    );
}

#[test]
fn an_export_says_how_pictures_are_read() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    photographs(root);
    timm_folder(root);
    let answers = |folder: &str| {
        let file = "photos/test/light/2.png";
        succeed(root, &["predict", folder, file, "--json", "--top", "3"])
    };
    let before = answers("timm");
    succeed(root, &["export", "timm", "--format", "hf", "--out", "out"]);
    assert_eq!(answers("out"), before);
    succeed(root, &["import", "timm", "--name", "taken"]);
    let run = "runs/taken-import-1";
    assert_eq!(answers(run), before);
    succeed(root, &["export", run, "--format", "hf", "--out", "again"]);
    assert_eq!(answers("again"), before);
    let said = &read(&root.join("again/config.json"))["pretrained_cfg"];
    assert_eq!(said["crop_mode"], "center");

    // Of what timm has no words for, nothing is written.
    let path = root.join(run).join("config.json");
    let mut config = read(&path);
    config["codec"]["preprocessing"]["crop_offset"] = json!("floor");
    fs::write(&path, config.to_string()).unwrap();
    let refused = fail(root, &["export", run, "--format", "hf", "--out", "new"], 2);
    assert!(
        refused.contains("has no exact form in timm's config.json"),
        "{refused}"
    );
    assert!(!root.join("new").exists());
}

/// Positions of a Vision Transformer are interpolated, and one channel becomes three, as timm does.
#[test]
fn a_vision_transformer_is_taken_to_other_pictures() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_folder(&root.join("photos"), 6);
    let model = "patch_size = 4, num_layers = 1, num_heads = 2, width = 8, hidden = 16";
    let text = |rest: &str, data: &str| one_step(&format!("name = 'vit', {rest}"), data);
    let first = format!("image_size = 28, in_channels = 1, {model}");
    recipe(root, "first", &text(&first, "name = 'glyphs'"));
    succeed(root, &train("first.toml", &[]));
    let there = "weights = 'runs/first-flex-1'";
    let folder = "name = 'image-folder', path = 'photos', size = [16, 16], color = 'rgb'";
    let second = format!("{there}, image_size = 16, in_channels = 3");
    recipe(root, "second", &text(&second, folder));
    let said = told(root, &["train", "second.toml", "--no-report"]);
    for part in [
        "7x7 positions interpolated to 4x4",
        "1 input channels repeated for 3",
        "model.image_size = 16, where",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What is not free to differ is refused, whoever asks for it.
    for (change, part) in [
        ("model.num_heads=4", "model.num_heads = 4"),
        ("model.width=16", "model.width = 16"),
    ] {
        let error = fail(root, &train("second.toml", &["--set", change]), 2);
        assert!(
            error.contains(part) && error.contains("config.json says"),
            "{error}"
        );
    }
    let other = text(&second, folder).replace("'vit'", "'mixer'");
    recipe(root, "third", &other);
    let error = fail(root, &train("third.toml", &[]), 2);
    assert!(error.contains("config.json says \"vit\""), "{error}");
    let said = told(
        root,
        &[
            "train",
            "second.toml",
            "--no-report",
            "--set",
            "model.dropout=0.2",
        ],
    );
    assert!(said.contains("model.dropout = 0.2, where"), "{said}");
}

/// Reviews in which `word` tells the class.
fn reviews(root: &Path, name: &str, words: [&str; 2]) {
    let rows: String = (0..24)
        .map(|at| format!("{} film number {}\t{}\n", words[at % 2], at % 5, at % 2))
        .collect();
    fs::write(root.join(name), rows).unwrap();
}

const SENTENCES: &str = "about = 'x'\nmodel = { name = 'encoder', max_length = 8, num_layers = 1, \
     num_heads = 2, width = 8, hidden = 16 }\n\
     data = { name = 'tsv', path = 'a.tsv', validation = 4, max_length = 8 }\n\
     train = { steps = 4, batch_size = 4, checkpoint_every_steps = 2 }\n\
     optimizer = { name = 'sgd', learning_rate = 0.01 }\n";

#[test]
fn words_keep_their_ids_wherever_the_weights_are_taken_from() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    reviews(root, "a.tsv", ["good", "bad"]);
    reviews(root, "b.tsv", ["zany", "zero"]);
    recipe(root, "words", SENTENCES);
    succeed(root, &train("words.toml", &[]));
    let run = "runs/words-flex-1";
    let words = codec(root, run)["words"].clone();
    assert!(words.as_str().unwrap().contains("good"), "{words}");
    let checkpoint = format!("{run}/checkpoints/4/best.safetensors");
    for (at, weights) in [run, &checkpoint, &format!("{run}/model.safetensors")]
        .iter()
        .enumerate()
    {
        let weights = format!("model.weights={weights:?}");
        let more = ["--set", "data.path=b.tsv", "--set", &weights];
        succeed(root, &train("words.toml", &more));
        let now = codec(root, &format!("runs/words-flex-{}", at + 2));
        assert_eq!(now["words"], words, "{weights}");
    }
    // Through links, too: to a checkpoint, and to a file whose content lies elsewhere, as in the hub's cache.
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(root.join(run).join("checkpoints/4"), root.join("link")).unwrap();
        fs::create_dir(root.join("snapshot")).unwrap();
        fs::copy(root.join(run).join("model.safetensors"), root.join("blob")).unwrap();
        fs::copy(
            root.join(run).join("config.json"),
            root.join("snapshot/config.json"),
        )
        .unwrap();
        symlink(root.join("blob"), root.join("snapshot/model.safetensors")).unwrap();
        for (at, weights) in ["link/best.safetensors", "snapshot/model.safetensors"]
            .iter()
            .enumerate()
        {
            let weights = format!("model.weights={weights}");
            let more = ["--set", "data.path=b.tsv", "--set", &weights];
            succeed(root, &train("words.toml", &more));
            let now = codec(root, &format!("runs/words-flex-{}", at + 5));
            assert_eq!(now["words"], words, "{weights}");
        }
    }
    // What a vocabulary would be learned from is told to have no effect, and a longest text beyond the model's.
    let weights = format!("model.weights={run}");
    let more = [
        "--set",
        &weights,
        "--set",
        "data.max_words=9",
        "--set",
        "data.max_length=99",
    ];
    let said = told(
        root,
        &[&["train", "words.toml", "--no-report"][..], &more].concat(),
    );
    for part in ["data.max_words has no effect", "the model takes 8 tokens"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // A run that has not come to its end says what there is of it.
    let model = root.join(run).join("model.safetensors");
    fs::rename(&model, root.join("kept")).unwrap();
    let error = fail(root, &train("words.toml", &["--set", &weights]), 2);
    assert!(
        error.contains("has no model.safetensors") && error.contains("checkpoints"),
        "{error}"
    );
    fs::rename(root.join("kept"), &model).unwrap();
    // A configuration that is there and cannot be read is not passed over.
    let config = root.join(run).join("config.json");
    let text = fs::read(&config).unwrap();
    fs::write(&config, "{").unwrap();
    let weights = format!("model.weights={run}");
    let error = fail(root, &train("words.toml", &["--set", &weights]), 2);
    assert!(error.contains("config.json"), "{error}");
    fs::write(&config, text).unwrap();
}

#[test]
fn another_tokenizer_than_the_weights_may_only_add_to_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    reviews(root, "a.tsv", ["good", "bad"]);
    recipe(root, "words", SENTENCES);
    let words = ["[PAD]", "[UNK]", "good", "bad", "film"];
    let turned = ["[PAD]", "[UNK]", "bad", "good", "film"];
    let more = ["[PAD]", "[UNK]", "good", "bad", "film", "number"];
    for (name, words) in [("own", &words[..]), ("turned", &turned), ("more", &more)] {
        fs::write(
            root.join(format!("{name}.json")),
            word_level(words, "[UNK]"),
        )
        .unwrap();
    }
    succeed(
        root,
        &train("words.toml", &["--set", "data.tokenizer=own.json"]),
    );
    let run = "runs/words-flex-1";
    let from = |tokenizer: &'static str| {
        let set = ["--set", "model.weights=runs/words-flex-1", "--set"];
        [&set[..], &[tokenizer]].concat()
    };
    let error = fail(
        root,
        &train("words.toml", &from("data.tokenizer=turned.json")),
        2,
    );
    for part in [
        "data.tokenizer",
        "token 2",
        "\"bad\"",
        "\"good\"",
        "leave it out",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let mut arguments = vec!["train", "words.toml", "--no-report"];
    arguments.extend(from("data.tokenizer=more.json"));
    let said = told(root, &arguments);
    assert!(
        said.contains("wte.weight: 5 of 6 rows are the file's"),
        "{said}"
    );

    // The run has its tokenizer: no file is needed to measure it, whatever became of that.
    let before = succeed(root, &["eval", run, "--json"]);
    fs::write(root.join("own.json"), word_level(&turned, "[UNK]")).unwrap();
    assert_eq!(succeed(root, &["eval", run, "--json"]), before);
    fs::remove_file(root.join("own.json")).unwrap();
    assert_eq!(succeed(root, &["eval", run, "--json"]), before);
}

#[test]
fn a_run_that_is_gone_on_with_reads_changed_data_as_it_began() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    reviews(root, "a.tsv", ["good", "bad"]);
    recipe(root, "words", SENTENCES);
    succeed(root, &train("words.toml", &[]));
    let run = "runs/words-flex-1";
    let before = codec(root, run);
    // Other words, more frequent ones first, and a class that sorts before the others.
    reviews(root, "a.tsv", ["zany", "absurd"]);
    let resume = [
        "train",
        "--resume",
        run,
        "--steps",
        "6",
        "--allow-changed",
        "data,train.steps",
        "--no-report",
    ];
    succeed(root, &resume);
    assert_eq!(codec(root, run), before);
    let mut rows = fs::read_to_string(root.join("a.tsv")).unwrap();
    rows.push_str("good film\t-1\n");
    fs::write(root.join("a.tsv"), rows).unwrap();
    let resume = [&resume[..3], &["--steps", "8"], &resume[5..]].concat();
    let error = fail(root, &resume, 2);
    assert!(
        error.contains("\"-1\"") && error.contains("trained on"),
        "{error}"
    );
    assert_eq!(codec(root, run), before);
}

#[test]
fn characters_keep_their_ids_and_classes_their_names_as_data_changes() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::write(root.join("book.txt"), "a cab, a dab; bad dad. ".repeat(40)).unwrap();
    recipe(
        root,
        "chars",
        "about = 'x'\nmodel = { name = 'gpt', context = 8, num_layers = 1, num_heads = 2, width = 8 }\n\
         data = { name = 'chars', path = 'book.txt', valid_fraction = 0.2 }\n\
         train = { steps = 2, batch_size = 2 }\noptimizer = { name = 'sgd', learning_rate = 0.01 }\n",
    );
    succeed(root, &train("chars.toml", &[]));
    let run = "runs/chars-flex-1";
    let chars = codec(root, run)["chars"].clone();
    // Two characters are swapped, and one goes: today's own ids would be others.
    let text = fs::read_to_string(root.join("book.txt")).unwrap();
    fs::write(
        root.join("book.txt"),
        text.replace(',', "b").replace("a d", "d a"),
    )
    .unwrap();
    fail(root, &["eval", run], 2);
    succeed(root, &["eval", run, "--allow-changed"]);
    let set = ["--set", "model.weights=runs/chars-flex-1"];
    succeed(root, &train("chars.toml", &set));
    assert_eq!(codec(root, "runs/chars-flex-2")["chars"], chars);
    // A character that the weights never saw is refused, by name.
    fs::write(root.join("book.txt"), "a cab é bad dad. ".repeat(40)).unwrap();
    let error = fail(root, &train("chars.toml", &set), 2);
    assert!(error.contains('é'), "{error}");

    write_folder(&root.join("photos"), 6);
    recipe(
        root,
        "photos",
        "about = 'x'\nmodel = { name = 'mlp', widths = [192, 4, 2] }\n\
         data = { name = 'image-folder', path = 'photos' }\ntrain = { steps = 2, batch_size = 4 }\n\
         optimizer = { name = 'sgd', learning_rate = 0.01 }\n",
    );
    succeed(root, &train("photos.toml", &[]));
    let run = "runs/photos-flex-1";
    let before = succeed(root, &["eval", run, "--json"]);
    // A class that sorts before the others: theirs would be other numbers today.
    for split in ["train", "test"] {
        let folder = root.join("photos").join(split);
        fs::create_dir(folder.join("an-other")).unwrap();
        fs::copy(folder.join("dark/0.png"), folder.join("an-other/0.png")).unwrap();
    }
    let error = fail(root, &["eval", run], 2);
    assert!(error.contains("not what the run was trained on"), "{error}");
    let now = succeed(root, &["eval", run, "--json", "--allow-changed"]);
    let metrics = |said: &str| serde_json::from_str::<Value>(said).unwrap()["metrics"].take();
    assert_eq!(metrics(&now), metrics(&before));
}

/// Pictures that were brought to the size of the weights are so again, in `eval` and in a resumed run.
#[test]
fn a_run_that_took_its_size_from_weights_is_measured_and_gone_on_with() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    photographs(root);
    let text = |rest: &str, data: &str| {
        one_step(
            &format!("name = 'resnet20'{rest}"),
            &format!("{PHOTOS}{data}"),
        )
    };
    recipe(root, "first", &text("", ", size = [12, 10], mean = [0.5]"));
    succeed(root, &train("first.toml", &[]));
    recipe(root, "second", &text(", weights = 'runs/first-flex-1'", ""));
    succeed(root, &train("second.toml", &[]));
    let run = "runs/second-flex-1";
    let kept = codec(root, run);
    assert_eq!(kept["shape"], json!([3, 12, 10]));
    succeed(root, &["eval", run]);
    let resume = [
        "train",
        "--resume",
        run,
        "--steps",
        "2",
        "--quiet",
        "--no-report",
    ];
    let resume = [&resume[..], &["--allow-changed", "train.steps"]].concat();
    succeed(root, &resume);
    assert_eq!(codec(root, run), kept);
    // What says how pictures are read is the run's, and no wish of whoever measures it.
    for key in [
        "data.mean=[0.1]",
        "data.size=[9,9]",
        "data.classes=['dark']",
    ] {
        let error = fail(root, &["eval", run, "--set", key], 2);
        assert!(error.contains("the run says how"), "{error}");
    }
    // Scenes, too.
    let picture = image::RgbImage::from_pixel(20, 24, image::Rgb([90; 3]));
    let mask = image::GrayImage::from_fn(20, 24, |x, _| image::Luma([u8::from(x > 9)]));
    for split in ["train", "test"] {
        let (pictures, masks) = (format!("scenes/{split}"), format!("scenes/{split}annot"));
        for folder in [&pictures, &masks] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for at in 0..4 {
            let file = format!("{at}.png");
            picture.save(root.join(&pictures).join(&file)).unwrap();
            mask.save(root.join(&masks).join(&file)).unwrap();
        }
    }
    let text = |rest: &str, data: &str| {
        one_step(
            &format!("name = 'unet', preset = 'unet_narrow', width = 2{rest}"),
            &format!("name = 'mask-folder', path = 'scenes', classes = ['a', 'b']{data}"),
        )
    };
    recipe(root, "masks", &text("", ", size = [16, 16]"));
    succeed(root, &train("masks.toml", &[]));
    recipe(root, "tuned", &text(", weights = 'runs/masks-flex-1'", ""));
    succeed(root, &train("tuned.toml", &[]));
    assert_eq!(
        codec(root, "runs/tuned-flex-1")["shape"],
        json!([3, 16, 16])
    );
    succeed(root, &["eval", "runs/tuned-flex-1"]);
}

/// A head knows classes by their numbers: the same names keep those of the weights, others are told.
#[test]
fn classes_keep_the_numbers_that_a_head_knows_them_by() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_folder(&root.join("photos"), 6);
    let text = |rest: &str, data: &str| {
        one_step(
            &format!("name = 'mlp', widths = [192, 4, 2]{rest}"),
            &format!("{PHOTOS}{data}"),
        )
    };
    recipe(root, "turned", &text("", ", classes = ['light', 'dark']"));
    succeed(root, &train("turned.toml", &[]));
    let from = ", weights = 'runs/turned-flex-1'";
    recipe(root, "tuned", &text(from, ""));
    let said = told(root, &["train", "tuned.toml", "--no-report"]);
    assert!(!said.contains("the classes are"), "{said}");
    assert_eq!(
        codec(root, "runs/tuned-flex-1")["classes"],
        json!(["light", "dark"])
    );
    recipe(root, "asked", &text(from, ", classes = ['dark', 'light']"));
    let said = told(root, &["train", "asked.toml", "--no-report"]);
    assert!(
        said.contains("the classes are [\"dark\", \"light\"], where"),
        "{said}"
    );

    reviews(root, "a.tsv", ["good", "bad"]);
    recipe(root, "words", SENTENCES);
    succeed(root, &train("words.toml", &["--set", "data.max_length=6"]));
    let path = root.join("runs/words-flex-1/config.json");
    let mut config = read(&path);
    assert_eq!(config["codec"]["classes"], json!(["0", "1"]));
    config["codec"]["classes"] = json!(["1", "0"]);
    fs::write(&path, config.to_string()).unwrap();
    recipe(
        root,
        "again",
        &SENTENCES.replace(", max_length = 8 }\ntrain", " }\ntrain"),
    );
    let set = ["--set", "model.weights=runs/words-flex-1"];
    succeed(root, &train("again.toml", &set));
    let kept = codec(root, "runs/again-flex-1");
    assert_eq!(kept["classes"], json!(["1", "0"]));
    // So does the longest text, where the recipe says nothing.
    assert_eq!(kept["max_length"], 6);
}

#[test]
fn one_feature_of_sounds_that_is_changed_leaves_the_others_as_they_are() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let few = ["--steps", "1", "--set", "schedule.warmup_steps=0"];
    let first = [
        &few[..],
        &[
            "--set",
            "data.features.n_mels=24",
            "--set",
            "model.in_channels=24",
        ],
    ]
    .concat();
    succeed(root, &train("quartznet-morse", &first));
    let run = "runs/quartznet-morse-flex-1";
    let weights = format!("model.weights={run}");
    let second = [
        &few[..],
        &["--set", &weights, "--set", "data.features.floor=1e-5"],
    ]
    .concat();
    succeed(root, &train("quartznet-morse", &second));
    let mut before = codec(root, run)["features"].take();
    before["floor"] = codec(root, "runs/quartznet-morse-flex-2")["features"]["floor"].clone();
    assert_eq!(
        codec(root, "runs/quartznet-morse-flex-2")["features"],
        before
    );
    assert_ne!(codec(root, run)["features"], before);
}

/// An export that nothing could read is not written.
#[test]
fn what_has_no_form_at_an_origin_is_not_exported_as_one() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    succeed(
        root,
        &train(
            "mlp-friedman",
            &["--steps", "1", "--set", "schedule.warmup_steps=0"],
        ),
    );
    let run = "runs/mlp-friedman-flex-1";
    let error = fail(root, &["export", run, "--format", "hf", "--out", "out"], 2);
    assert!(error.contains("has no form at an origin"), "{error}");
    assert!(!root.join("out").exists());
    // The longest text goes along, and is read again.
    reviews(root, "a.tsv", ["good", "bad"]);
    let model =
        "name = 'bert', max_length = 16, num_layers = 1, num_heads = 2, width = 8, hidden = 16";
    let data = "name = 'tsv', path = 'a.tsv', validation = 4, max_length = 5";
    recipe(root, "bert", &one_step(model, data));
    succeed(root, &train("bert.toml", &[]));
    let run = "runs/bert-flex-1";
    succeed(root, &["export", run, "--format", "hf", "--out", "hub"]);
    let long = "good film number 3 bad bad bad bad bad bad bad bad";
    let ask = |folder: &str| succeed(root, &["predict", folder, long, "--json"]);
    assert_eq!(ask("hub"), ask(run));
}
