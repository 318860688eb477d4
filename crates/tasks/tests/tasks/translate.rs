//! Translation by the encoder-decoder: its batches, loss, BLEU, what it must fit, and resuming.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use zoo_codec::text::{Text, subwords};
use zoo_tasks::metrics::bleu::Bleu;
use zoo_tasks::translate::{Functions, PairInput, Pairs, Translate, Translation, batch};
use zoo_tasks::{AnyCodec, Codec, Room, Size, TextInput};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Change, Checkpoint, Examples, Fit, Helpers, Judge, Metrics, Origin, Recipe, Run, Source,
    Split, Task,
};
use zoo_transformer::beam::BeamSearch;
use zoo_transformer::encoder_decoder::{EncoderDecoder, EncoderDecoderConfig};

use crate::common::metrics;

const TEXTS: [(&str, &str); 6] = [
    ("one dog runs", "ein Hund läuft"),
    (
        "two dogs run on the grass",
        "zwei Hunde laufen auf dem Gras",
    ),
    ("a man", "ein Mann"),
    (
        "a man and a dog on the grass",
        "ein Mann und ein Hund auf dem Gras",
    ),
    ("two men run", "zwei Männer laufen"),
    ("the man runs", "der Mann läuft"),
];

fn codec() -> Translation {
    let lines = TEXTS.iter().flat_map(|(source, target)| [*source, *target]);
    Translation {
        text: Text::Tokenizer {
            tokenizer: subwords::train(lines, 48).unwrap(),
        },
        languages: ["en", "de"].map(String::from),
        max_length: 40,
    }
}

fn config() -> EncoderDecoderConfig {
    EncoderDecoderConfig {
        vocab_size: 48,
        max_length: 40,
        ..EncoderDecoderConfig::tiny()
    }
}

/// The same weights at every call.
fn model() -> EncoderDecoder {
    use burn::module::{Module, ModuleMapper, Param};
    struct Draw(Stream);
    impl ModuleMapper for Draw {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|old| {
                let shape = old.dims();
                let draw = |_| self.0.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5;
                let values: Vec<f32> = (0..shape.iter().product()).map(draw).collect();
                Tensor::from_data(TensorData::new(values, shape), &old.device())
            })
        }
    }
    config()
        .init(&Device::flex())
        .map(&mut Draw(Stream::new(3)))
}

fn input() -> PairInput {
    PairInput {
        text: TextInput {
            longest: 40,
            vocab_size: 48,
            pad: Some(0),
        },
        start: 1,
        stop: 2,
    }
}

fn room() -> Box<dyn Room<EncoderDecoder>> {
    let functions = Functions {
        forward: EncoderDecoder::forward,
        at: EncoderDecoder::logits_at,
        cached: |model, sources, prefixes: Tensor<2, Int>| {
            let (memory, mut cache) = (model.encode(sources), model.cache());
            let [_, t] = prefixes.dims();
            let logits = (0..t).map(|at| {
                let token = prefixes.clone().narrow(1, at, 1);
                model.forward_cached(token, &memory, &mut cache).unwrap()
            });
            Tensor::cat(logits.collect(), 1)
        },
        search: |model, sources, search| {
            let beam = BeamSearch {
                beams: search.beams,
                length_penalty: search.length_penalty,
                max_length: search.max_length,
            };
            let found = beam.search(model, sources)?;
            Ok(found
                .into_iter()
                .map(|mut found| found.remove(0).tokens)
                .collect())
        },
    };
    Translate::room(functions, input())
}

fn pairs(texts: &[(&str, &str)], batch_tokens: Option<usize>) -> Pairs {
    let codec = codec();
    Pairs::read(&codec, &codec.open().unwrap(), texts, batch_tokens).unwrap()
}

#[test]
fn the_loss_is_the_mean_over_what_is_no_padding() {
    let device = Device::flex();
    let (model, room) = (model(), room());
    let rows: [(&[u32], &[u32]); 2] = [(&[1, 9, 2], &[1, 7, 8, 5, 2]), (&[1, 4, 6, 2], &[1, 5, 2])];
    let both = batch(&rows, 40);
    assert_eq!(both.weight(), 6.0);
    let column = |name| both.column(name).unwrap();
    assert_eq!(column("targets"), &TensorData::from([7, 8, 5, 2, 5, 2]));
    assert_eq!(column("scored"), &TensorData::from([0, 1, 2, 3, 8, 9]));
    assert_eq!(column("sources").shape()[..], [2, 8]);
    // By hand: each pair alone, without padding.
    let mut sum = 0.0;
    for (source, target) in rows {
        let row = |ids: &[u32]| -> Tensor<2, Int> {
            let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
            let t = ids.len();
            Tensor::from_data(TensorData::new(ids, [1, t]), &device)
        };
        let logits = model.forward(row(source), row(&target[..target.len() - 1]));
        let logits: Vec<f64> = logits.into_data().iter::<f64>().collect();
        for (logits, token) in logits.chunks(48).zip(&target[1..]) {
            let all: f64 = logits.iter().map(|logit| logit.exp()).sum();
            sum += all.ln() - logits[*token as usize];
        }
    }
    let loss = f64::from(room.loss(&model, both, &device).into_scalar::<f32>());
    assert!((loss - sum / 6.0).abs() < 1e-5, "{loss} and {}", sum / 6.0);
}

/// Translations that a model which only repeats its source has half right.
const REPEATED: [(&str, &str); 3] = [
    (
        "a man and a dog on the grass",
        "a man and a dog on the roof, é",
    ),
    ("two dogs run on the grass", "two dogs run on the grass"),
    ("a man", "the man runs and runs"),
];

/// Repeats sources, without the padding behind them.
fn repeating() -> Box<dyn Room<EncoderDecoder>> {
    let functions = Functions {
        forward: EncoderDecoder::forward,
        at: EncoderDecoder::logits_at,
        cached: EncoderDecoder::forward,
        search: |_, sources, _| {
            let [_, s] = sources.dims();
            let ids: Vec<u32> = sources
                .into_data()
                .iter::<i64>()
                .map(|id| id as u32)
                .collect();
            let rows = ids.chunks(s);
            Ok(rows
                .map(|row| row.iter().copied().filter(|id| *id > 2).collect())
                .collect())
        },
    };
    Translate::room(functions, input())
}

fn judged(room: &dyn Room<EncoderDecoder>, batch_size: usize) -> Metrics {
    metrics(room, &model(), &pairs(&REPEATED, None), batch_size)
}

#[test]
fn bleu_is_of_the_texts_as_they_were_written() {
    let mut room = repeating();
    assert!(
        !judged(&*room, 3).contains_key("bleu"),
        "nobody knows the words"
    );
    room.set_codec(&codec());
    let bleu = Bleu::of(REPEATED).score();
    assert!((20.0..90.0).contains(&bleu), "{bleu}");
    // In batches of any size.
    for batch_size in [1, 2, 3] {
        assert_eq!(judged(&*room, batch_size)["bleu"], bleu);
    }
    room.configure(&toml::toml! { bleu = false }).unwrap();
    assert!(!judged(&*room, 3).contains_key("bleu"));
    let error = room.configure(&toml::toml! { beam = 4 }).unwrap_err();
    assert!(
        error.contains("task.beam") && error.contains("beams"),
        "{error}"
    );
    let error = room.configure(&toml::toml! { beams = 0 }).unwrap_err();
    assert!(error.contains("task.beams = 0"), "{error}");
}

#[test]
fn an_answer_is_the_translation_of_all_of_a_text() {
    let (room, model, codec) = (repeating(), model(), codec());
    let device = Device::flex();
    let mut ask = room.answers(&model, &codec, &device).unwrap();
    let answer = ask("a man", 1).unwrap().json;
    assert_eq!(answer["translation"], "a man");
    assert!(!answer["tokens"].as_array().unwrap().is_empty());
    assert!(format!("{:?}", ask(" ", 1).unwrap_err()).contains("no words"));
    let long = ask(&"a man ".repeat(40), 1).unwrap_err();
    assert!(
        format!("{long:?}").contains("translates 38 at once"),
        "{long:?}"
    );
}

#[test]
fn a_true_translation_has_all_of_bleu_even_where_tokens_cannot_say_it() {
    // No line that was learned from has an é: the reference keeps it.
    let texts = [("a man", "ein Café")];
    let batch = pairs(&texts, None).batch(&[0], None).unwrap();
    let bytes = batch.column("references").unwrap().as_bytes().to_vec();
    assert_eq!(String::from_utf8(bytes).unwrap(), "ein Café");
}

#[test]
fn groups_keep_to_the_tokens_and_hold_every_pair_once() {
    let rows = (0..40_u32).map(|at| (vec![5; 1 + at as usize % 23], vec![6; 2 + at as usize % 7]));
    let source = Pairs::new(rows.collect(), Some(64));
    let groups = source.groups(5).unwrap();
    assert_eq!(groups, source.groups(5).unwrap());
    let mut all: Vec<u32> = groups.concat();
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<u32>>());
    for group in &groups {
        let batch = source.batch(group, None).unwrap();
        for name in ["sources", "prefixes"] {
            let numbers = batch.column(name).unwrap().shape().num_elements();
            assert!(numbers <= 64 && group.len() <= 5, "{name}: {numbers}");
        }
    }
    assert!(Pairs::new(Vec::new(), None).groups(5).is_none());
}

#[test]
fn a_codec_is_read_back_and_says_what_a_model_must_be() {
    let (codec, room) = (codec(), room());
    Codec::check(&codec).unwrap();
    let again = room.codec(&codec.json()).unwrap();
    assert!(again.difference(&codec).is_none());
    assert_eq!(Codec::decides(&codec)["vocab_size"].as_integer(), Some(48));
    room.fit("m", "set", &codec).unwrap();
    let refused = |codec: &Translation| room.fit("m", "set", codec).unwrap_err();
    let long = refused(&Translation {
        max_length: 41,
        ..codec.clone()
    });
    assert!(long.contains("set model.max_length = 41 or more"), "{long}");
    let lines = TEXTS.iter().map(|(_, target)| *target);
    let larger = refused(&Translation {
        text: Text::Tokenizer {
            tokenizer: subwords::train(lines, 60).unwrap(),
        },
        ..codec.clone()
    });
    assert!(larger.contains("knows 48 tokens"), "{larger}");
    let chars = Translation {
        text: Text::Chars {
            chars: "abc".into(),
        },
        ..codec.clone()
    };
    assert!(Codec::check(&chars).unwrap_err().contains("codec.kind"));
    let other = Translate::<EncoderDecoder>::room;
    let input = PairInput {
        text: TextInput {
            pad: Some(3),
            ..input().text
        },
        ..input()
    };
    let functions = Functions {
        forward: EncoderDecoder::forward,
        at: EncoderDecoder::logits_at,
        cached: EncoderDecoder::forward,
        search: |_, _, _| Ok(Vec::new()),
    };
    let error = other(functions, input).fit("m", "set", &codec).unwrap_err();
    assert!(error.contains("model.pad_token = 3"), "{error}");
}

#[test]
fn what_must_hold_of_every_model_holds() {
    let (device, room) = (Device::flex(), room());
    let size = Size {
        examples: 2,
        most_side: None,
        most_length: Some(12),
    };
    let made: Batch = room.made_up(size, &mut Stream::new(4));
    let length = |name| made.column(name).unwrap().shape()[1];
    assert_ne!(length("sources"), length("prefixes"));
    let promises = room.promises();
    assert_eq!(promises.len(), 4);
    for promise in promises {
        let holds = (promise.holds)(&model(), &made, &device);
        holds.unwrap_or_else(|problem| panic!("{}: {problem}", promise.about));
    }
}

#[test]
fn a_training_goes_on_to_the_same_bits() {
    let text = "[train]\nsteps = 12\nbatch_size = 3\nvalidate_every_steps = 4\nbest = \"bleu\"\n\
                keep_checkpoints = 9\n[optimizer]\nname = \"adam\"\nlearning_rate = 0.01";
    let recipe = Recipe::parse("test", text, &[] as &[Change]).unwrap();
    let mut room = room();
    room.configure(&toml::toml! { label_smoothing = 0.1 beams = 1 })
        .unwrap();
    room.set_codec(&codec());
    let folder = tempfile::tempdir().unwrap();
    let train = |name: &str, resume: Option<&Checkpoint>| {
        let mut run = Run::create(folder.path(), name, Origin::default()).unwrap();
        let valid: Arc<dyn Source> = Arc::new(pairs(&TEXTS, None));
        let fit = Fit {
            recipe: &recipe,
            task: &*room as &dyn Task<EncoderDecoder>,
            feed: Box::new(Examples::new(Arc::new(pairs(&TEXTS, Some(64))))),
            judge: Some(Box::new(Split::new(valid, &recipe.train)) as Box<dyn Judge<_>>),
            device: &Device::flex(),
            helpers: Helpers::default(),
            run: Some(&mut run),
            resume,
            stop: None,
            watch: &mut |_| (),
        };
        let fitted = fit.train(model()).unwrap();
        let folder = run.folder().join("checkpoints");
        let last = std::fs::read(folder.join("12/model.safetensors")).unwrap();
        (fitted.validation.unwrap(), last, folder)
    };
    let (whole, weights, folder) = train("whole", None);
    assert!(whole["bleu"].is_finite());
    let checkpoint = Checkpoint::read(&folder.join("4")).unwrap();
    let (again, resumed, _) = train("again", Some(&checkpoint));
    assert_eq!(whole, again);
    assert!(weights == resumed);
}
