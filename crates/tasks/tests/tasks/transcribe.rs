//! Speech as text: a batch, a loss, a metric, a person's file and a run kept, on sounds made here.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use serde_json::{Value as Json, json};
use zoo_codec::sound::{LogMel, Sound, read_sound};
use zoo_tasks::metrics::wer::{character_error_rate, word_error_rate};
use zoo_tasks::transcribe::{Recordings, SpeechInput, Transcribe, Transcription, Utterances};
use zoo_tasks::{AnyCodec, Room, Size};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Checkpoint, EvalBatches, Examples, Exhibit, Fit, Helpers, Origin, Part, Recipe, Run,
    Source, SourceError, Split,
};

use crate::common::metrics;

const BANDS: usize = 8;
const TEXTS: [&str; 7] = ["ab ba", "a", "bb a b", "  b  aa ", "abba", "ba ab ab", "b"];

/// Each frame by itself.
#[derive(Module, Debug)]
struct Frames {
    hidden: Linear,
    output: Linear,
}

impl Frames {
    fn new(num_classes: usize) -> Self {
        let device = Device::flex();
        let mut stream = Stream::new(3);
        let mut linear = |inputs: usize, outputs: usize| {
            let mut linear = LinearConfig::new(inputs, outputs).init(&device);
            let values = (0..inputs * outputs).map(|_| stream.below(2001) as f32 / 1000.0 - 1.0);
            let values = TensorData::new(values.collect::<Vec<f32>>(), [inputs, outputs]);
            linear.weight = Param::from_tensor(Tensor::from_data(values, &device));
            linear
        };
        Self {
            hidden: linear(BANDS, 12),
            output: linear(12, num_classes),
        }
    }

    fn forward(&self, features: Tensor<3>, _: Tensor<1, Int>) -> Tensor<3> {
        self.output
            .forward(self.hidden.forward(features.swap_dims(1, 2)).tanh())
    }
}

/// What is given is what leaves.
#[derive(Module, Debug)]
struct Same {
    unused: Param<Tensor<1>>,
}

fn same() -> Same {
    Same {
        unused: Param::from_tensor(Tensor::zeros([1], &Device::flex())),
    }
}

fn room(num_classes: usize) -> Box<dyn Room<Frames>> {
    Transcribe::room(
        Frames::forward,
        SpeechInput {
            bands: BANDS,
            stride: 1,
            num_classes,
        },
    )
}

fn log_mel() -> LogMel {
    LogMel {
        n_mels: BANDS,
        n_fft: 128,
        win_length: 64,
        hop_length: 64,
        ..LogMel::speech(4000)
    }
}

fn codec() -> Transcription {
    Transcription::new(log_mel(), 2.0, TEXTS.map(String::from))
}

/// WAV files in a folder, a tone a letter, with their texts.
struct Files {
    folder: tempfile::TempDir,
    texts: Vec<String>,
}

impl Files {
    fn new(texts: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (index, text) in texts.iter().enumerate() {
            let tone = |letter: char| {
                let hertz = if letter == 'a' { 500.0 } else { 1500.0 };
                let level = if letter == ' ' { 0.01 } else { 0.5 };
                (0..800).map(move |sample| {
                    level * (sample as f32 / 4000.0 * hertz * std::f32::consts::TAU).sin()
                })
            };
            let sound = Sound {
                samples: text.chars().flat_map(tone).collect(),
                rate: 4000,
            };
            fs::write(folder.path().join(format!("{index}.wav")), sound.to_wav()).unwrap();
        }
        Self {
            folder,
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    fn path(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("{index}.wav"))
    }
}

impl Utterances for Files {
    fn len(&self) -> usize {
        self.texts.len()
    }

    fn sound(&self, index: usize) -> Result<Sound, SourceError> {
        Ok(read_sound(&self.path(index))?)
    }

    fn text(&self, index: usize) -> String {
        self.texts[index].clone()
    }

    fn name(&self, index: usize) -> String {
        format!("{index}.wav")
    }
}

fn recordings() -> (Arc<Files>, Recordings) {
    let files = Arc::new(Files::new(&TEXTS));
    let recordings = Recordings::open(files.clone(), &codec()).unwrap();
    (files, recordings)
}

#[test]
fn the_loss_is_pytorchs_a_character() {
    let golden: Json = serde_json::from_str(include_str!("golden/ctc.json")).unwrap();
    let numbers = |value: &Json| -> Vec<f64> {
        let values = value.as_array().unwrap().iter();
        values.map(|value| value.as_f64().unwrap()).collect()
    };
    let k = golden["classes"].as_u64().unwrap() as usize;
    let case = &golden["losses"][0];
    let (frames, losses) = (numbers(&case["frames"]), numbers(&case["losses"]));
    let letters = case["letters"].as_array().unwrap().iter();
    let letters: Vec<Vec<f64>> = letters.map(numbers).collect();
    let logits: Vec<f32> = numbers(&case["logits"]).iter().map(|x| *x as f32).collect();
    let t = logits.len() / frames.len() / k;
    let device = Device::flex().autodiff();
    let ints = |values: Vec<f64>| values.into_iter().map(|x| x as i32).collect::<Vec<i32>>();

    // A text of no letters is in no data, and has no loss a letter.
    let kept: Vec<usize> = (0..frames.len())
        .filter(|at| !letters[*at].is_empty())
        .collect();
    let b = kept.len();
    assert!(b > 2 && b < frames.len());
    let u = letters.iter().map(Vec::len).max().unwrap();
    let of = |values: &[f64]| -> Vec<f64> { kept.iter().map(|at| values[*at]).collect() };
    let lengths: Vec<f64> = letters.iter().map(|row| row.len() as f64).collect();
    let row = |at: &usize| letters[*at].iter().copied().chain([0.0; 9]).take(u);
    let padded = kept.iter().flat_map(row).collect();
    let logits = kept
        .iter()
        .flat_map(|at| logits[at * t * k..(at + 1) * t * k].to_vec());
    let logits = TensorData::new(logits.collect::<Vec<f32>>(), [b, t, k]);
    let features = Tensor::<3>::from_data(logits, &device).swap_dims(1, 2);
    let batch = Batch::new(b)
        .with("features", features.into_data())
        .with("lengths", TensorData::new(ints(of(&frames)), [b]))
        .with("targets", TensorData::new(ints(padded), [b, u]))
        .with("target_lengths", TensorData::new(ints(of(&lengths)), [b]));
    let input = SpeechInput {
        bands: k,
        stride: 1,
        num_classes: k,
    };
    let room = Transcribe::<Same>::room(|_, features, _| features.swap_dims(1, 2), input);

    let each = kept.iter().map(|at| losses[*at] / lengths[*at]);
    let expected = each.sum::<f64>() / b as f64;
    let found = f64::from(room.loss(&same(), batch, &device).into_scalar::<f32>());
    assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
}

#[test]
fn padding_changes_nothing_and_a_model_that_looks_at_it_is_told() {
    let device = Device::flex();
    let size = Size {
        examples: 3,
        most_side: None,
        most_length: None,
    };
    let holds = |room: Box<dyn Room<Frames>>| {
        let batch = room.made_up(size, &mut Stream::new(5));
        (room.promises()[0].holds)(&Frames::new(4), &batch, &device)
    };
    holds(room(4)).unwrap();
    let input = SpeechInput {
        bands: BANDS,
        stride: 1,
        num_classes: 4,
    };
    let looks: Box<dyn Room<Frames>> = Transcribe::room(
        |model: &Frames, features: Tensor<3>, lengths| {
            let mean = features.clone().mean_dim(2);
            model.forward(features - mean, lengths)
        },
        input,
    );
    assert!(holds(looks).unwrap_err().starts_with("padding moves"));
    let shorter = SpeechInput { stride: 2, ..input };
    let error = holds(Transcribe::room(Frames::forward, shorter)).unwrap_err();
    assert_eq!(error, "96 frames leave for 96, not 48");
}

#[test]
fn rates_are_of_the_whole_split_and_predict_hears_what_evaluation_hears() {
    let (files, source) = recordings();
    let (model, room, codec) = (Frames::new(4), room(4), codec());
    let device = Device::flex();
    let mut ask = room.answers(&model, &codec, &device).unwrap();
    let mut hear = |index| {
        let answer = ask(&files.path(index).display().to_string(), 1).unwrap();
        let text = answer.json["text"].as_str().unwrap().to_owned();
        assert_eq!(answer.parts[0].exhibit, Exhibit::text(&*text));
        text
    };
    let heard: Vec<String> = (0..TEXTS.len()).map(&mut hear).collect();
    assert!(heard.iter().any(|text| text.contains(' ')), "{heard:?}");
    let pairs = || TEXTS.into_iter().zip(heard.iter().map(String::as_str));
    for size in [1, 3, 7] {
        let found = metrics(&*room, &model, &source, size);
        assert_eq!(found["wer"], word_error_rate(pairs()), "{size}");
        assert!((found["loss"] - metrics(&*room, &model, &source, 1)["loss"]).abs() < 1e-5);
    }
    // Texts here are without the spaces at their ends, and with one between words.
    let plain: Vec<String> = TEXTS
        .iter()
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let pairs = plain
        .iter()
        .map(String::as_str)
        .zip(heard.iter().map(String::as_str));
    let found = metrics(&*room, &model, &source, 2)["cer"];
    assert_eq!(found, character_error_rate(pairs));
}

#[test]
fn a_kept_codec_reads_as_before_and_a_damaged_one_is_refused() {
    let kept = codec();
    let json = AnyCodec::json(&kept);
    assert_eq!(json["kind"], "sound");
    let again = room(4).codec(&json).unwrap();
    assert_eq!(again.difference(&kept), None);
    assert_eq!(
        AnyCodec::decides(&kept)["num_classes"].as_integer(),
        Some(4)
    );
    assert_eq!(
        AnyCodec::decides(&kept)["in_channels"].as_integer(),
        Some(8)
    );
    let refused = |key: &str, value: Json| {
        let mut json = json.clone();
        json[key] = value;
        match room(4).codec(&json) {
            Ok(codec) => codec.check().unwrap_err(),
            Err(error) => error,
        }
    };
    assert!(refused("longest_seconds", json!(-1.0)).contains("longest_seconds"));
    assert!(refused("text", json!({ "kind": "chars", "chars": "ab" })).contains("the space first"));
    assert!(refused("features", json!({ "hop_length": 0 })).contains("hop_length"));
    assert!(refused("kind", json!("images")).contains("images"));
}

#[test]
fn a_model_that_does_not_fit_is_told_the_key() {
    let (_, source) = recordings();
    let mut codec = codec();
    let refused = |input: SpeechInput, codec: &Transcription| {
        let room: Box<dyn Room<Frames>> = Transcribe::room(Frames::forward, input);
        room.fit("net", "tones", codec).unwrap_err()
    };
    let input = SpeechInput {
        bands: BANDS,
        stride: 1,
        num_classes: 4,
    };
    let error = refused(SpeechInput { bands: 40, ..input }, &codec);
    assert!(error.contains("data.features.n_mels = 40"), "{error}");
    let error = refused(
        SpeechInput {
            num_classes: 29,
            ..input
        },
        &codec,
    );
    assert!(error.contains("model.num_classes = 4"), "{error}");
    // A letter is 12.5 frames long; "bb a b" has 6 characters and one pair of equals, in 76 frames.
    codec.tightest = source.tightest().cloned();
    room(4).fit("net", "tones", &codec).unwrap();
    let error = refused(
        SpeechInput {
            stride: 13,
            ..input
        },
        &codec,
    );
    assert!(
        error.contains("2.wav needs 7 frames") && error.contains("76 frames"),
        "{error}"
    );
    room(4).configure(&toml::toml! { beams = 8 }).unwrap();
    let error = room(4).configure(&toml::toml! { beams = 0 }).unwrap_err();
    assert!(error.contains("task.beams = 0"), "{error}");
}

#[test]
fn what_cannot_be_learned_is_found_by_name_when_the_set_is_opened() {
    let refused = |texts: &[&str], codec: &Transcription| {
        let opened = Recordings::open(Arc::new(Files::new(texts)), codec);
        opened.err().unwrap().to_string()
    };
    let error = refused(&["a", "  "], &codec());
    assert!(error.starts_with("1.wav: its text is empty"), "{error}");
    let error = refused(&["a", "b", "ax"], &codec());
    assert!(
        error.starts_with("2.wav: ") && error.contains("'x'"),
        "{error}"
    );
    let error = refused(&["aaaaaaaaaaa"], &codec());
    assert!(
        error.starts_with("0.wav: 2.2 s long") && error.contains("longest_seconds"),
        "{error}"
    );
    let files = Files::new(&["a"]);
    fs::remove_file(files.path(0)).unwrap();
    let error = Recordings::open(Arc::new(files), &codec()).err().unwrap();
    assert!(error.to_string().contains("0.wav"), "{error}");
}

#[test]
fn mistakes_are_heard_and_seen() {
    let (_, source) = recordings();
    let batches = EvalBatches {
        source: &source,
        batch_size: 4,
        threads: 0,
    };
    let codec = codec();
    let sections = room(4).examine(&Frames::new(4), &codec, &batches, &Device::flex());
    let sections = sections.unwrap();
    let worst = &sections[0].examples[0];
    let captions: Vec<&str> = worst.parts.iter().map(|part| &*part.caption).collect();
    assert_eq!(captions, ["", "spectrogram", Part::ANSWER, Part::TRUTH]);
    let Exhibit::Sound { seconds, .. } = &worst.parts[0].exhibit else {
        panic!("a sound")
    };
    let Exhibit::Heat { size, values, .. } = &worst.parts[1].exhibit else {
        panic!("a spectrogram")
    };
    assert!(*seconds > 0.1 && size[0] == BANDS && values.len() == size[0] * size[1]);
}

#[test]
fn a_beam_hears_at_least_as_likely_texts() {
    let (_, source) = recordings();
    let model = Frames::new(4);
    let mut beams = room(4);
    beams.configure(&toml::toml! { beams = 16 }).unwrap();
    let (wide, narrow) = (
        metrics(&*beams, &model, &source, 3),
        metrics(&*room(4), &model, &source, 3),
    );
    assert_eq!(wide["loss"], narrow["loss"]);
    assert!(wide["wer"] != narrow["wer"] || wide["cer"] != narrow["cer"]);
}

#[test]
fn it_learns_and_goes_on_to_the_same_bits() {
    let text = "[train]\nsteps = 12\nbatch_size = 3\ncheckpoint_every_steps = 6\nkeep_checkpoints = 9\n\
                best = \"wer\"\n[optimizer]\nlearning_rate = 0.05";
    let recipe = Recipe::parse("tones", text, &[]).unwrap();
    let (_, source) = recordings();
    let source: Arc<dyn Source> = Arc::new(source);
    let (room, device) = (room(4), Device::flex());
    let folder = tempfile::tempdir().unwrap();
    let train = |run: &mut Run, resume: Option<&Checkpoint>| {
        let fit = Fit {
            recipe: &recipe,
            task: &*room,
            feed: Box::new(Examples::new(source.clone())),
            judge: Some(Box::new(Split::new(source.clone(), &recipe.train))),
            device: &device,
            helpers: Helpers::default(),
            run: Some(run),
            resume,
            stop: None,
            watch: &mut |_| {},
        };
        fit.train(Frames::new(4)).unwrap()
    };
    let mut run = Run::create(folder.path(), "whole", Origin::default()).unwrap();
    let whole = train(&mut run, None);
    let before = metrics(&*room, &Frames::new(4), &recordings().1, 3)["loss"];
    let after = whole.validation.as_ref().unwrap()["loss"];
    assert!(after < 0.8 * before, "{after} after {before}");
    let checkpoint = Checkpoint::read(&run.folder().join("checkpoints/6")).unwrap();
    let mut again = Run::create(folder.path(), "again", Origin::default()).unwrap();
    let resumed = train(&mut again, Some(&checkpoint));
    let last = |run: &Run| fs::read(run.folder().join("checkpoints/12/model.safetensors")).unwrap();
    assert!(last(&run) == last(&again));
    assert_eq!(resumed.validation, whole.validation);
}
