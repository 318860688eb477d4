//! `zoo predict RUN INPUT…`: the likeliest classes of images or sentences, or a sentence encoder's
//! embeddings.

use std::path::Path;

use burn::tensor::TensorData;
use zoo_codec::image::{Color, Preprocessing, Resize, read};
use zoo_codec::text::{Tokenizer, WordVocabulary};

use crate::cli::PredictArgs;
use crate::data::{Codec, pad};
use crate::error::{Error, chain};
use crate::output;
use crate::progress::print_json;
use crate::registry::Kind;
use crate::saved::Saved;

/// Classifies every input and prints its likeliest classes, or embeds it and says how near it is to
/// the first one.
pub fn run(args: &PredictArgs) -> Result<(), Error> {
    let saved = Saved::open(&args.run, args.backend.as_deref())?;
    let reader = Reader::new(&saved.codec, args)?;
    if args.top == 0 {
        return Err(Error::request("--top 0: must be 1 or more"));
    }
    match saved.model.kind() {
        Kind::Images => classify(args, &saved, &reader),
        Kind::Sentences if reader.classes().is_empty() => embed(args, &saved, &reader),
        Kind::Sentences => classify(args, &saved, &reader),
        Kind::Maps | Kind::Decoder | Kind::Pairs => Err(wrong_kind(args)),
    }
}

fn classify(args: &PredictArgs, saved: &Saved, reader: &Reader<'_>) -> Result<(), Error> {
    saved
        .check_probabilities()
        .map_err(|problem| Error::Request(format!("{}: {problem}", args.run.display())))?;
    // Where nobody reads what was printed, there is no more to do.
    for input in args.inputs.iter().take_while(|_| output::is_open()) {
        let probabilities = saved
            .ready
            .probabilities(reader.read(input)?)
            .ok_or_else(|| wrong_kind(args))?;
        check_finite(args, input, probabilities.iter().copied().map(f64::from))?;
        let mut ranked: Vec<(usize, f32)> = probabilities.into_iter().enumerate().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(args.top);
        let classes = reader.classes();
        let name = |label: usize| {
            classes
                .get(label)
                .cloned()
                .unwrap_or_else(|| label.to_string())
        };
        if args.json {
            let classes: Vec<_> = ranked
                .iter()
                .map(|(label, share)| serde_json::json!({ "label": label, "class": name(*label), "probability": share }))
                .collect();
            print_json(&serde_json::json!({ "input": input, "classes": classes }));
        } else {
            let listed: Vec<String> = ranked
                .iter()
                .map(|(label, share)| format!("{} {:.1} %", name(*label), share * 100.0))
                .collect();
            println!("{input}: {}", listed.join(", "));
        }
    }
    Ok(())
}

/// The embeddings have length one, so their product is the cosine of the angle between them.
fn embed(args: &PredictArgs, saved: &Saved, reader: &Reader<'_>) -> Result<(), Error> {
    let mut first: Option<Vec<f64>> = None;
    for input in args.inputs.iter().take_while(|_| output::is_open()) {
        let embedding = saved.ready.output(reader.read(input)?);
        let embedding: Vec<f64> = embedding.iter::<f64>().collect();
        check_finite(args, input, embedding.iter().copied())?;
        let pairs = first.as_ref().unwrap_or(&embedding).iter().zip(&embedding);
        let similarity: f64 = pairs.map(|(a, b)| a * b).sum();
        if args.json {
            print_json(&serde_json::json!({
                "input": input, "embedding": embedding, "similarity_to_first": similarity,
            }));
        } else {
            println!("{input}: {similarity:.4}");
        }
        first.get_or_insert(embedding);
    }
    Ok(())
}

/// Refuses an output that is no number, which sound weights can give too: to an input far outside of
/// what they were trained on.
fn check_finite(
    args: &PredictArgs,
    input: &str,
    mut output: impl Iterator<Item = f64>,
) -> Result<(), Error> {
    if output.all(f64::is_finite) {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{}: the model's output for {input:?} is not finite; its weights do not serve, or the input is \
         far from what they were trained on",
        args.run.display()
    )))
}

fn wrong_kind(args: &PredictArgs) -> Error {
    Error::Request(format!(
        "{} holds no classifier of images or sentences; sample is for decoders",
        args.run.display()
    ))
}

/// Turns an argument into a model's input.
enum Reader<'a> {
    Images {
        shape: [usize; 3],
        mean: &'a [f32],
        std: &'a [f32],
        classes: &'a [String],
    },
    Words {
        vocabulary: WordVocabulary,
        max_length: usize,
        classes: &'a [String],
    },
    Tokens {
        tokenizer: Box<Tokenizer>,
        max_length: usize,
        classes: &'a [String],
    },
}

impl<'a> Reader<'a> {
    fn new(codec: &'a Codec, args: &PredictArgs) -> Result<Self, Error> {
        match codec {
            Codec::Images {
                shape,
                mean,
                std,
                classes,
            } => Ok(Self::Images {
                shape: *shape,
                mean,
                std,
                classes,
            }),
            Codec::Words {
                words,
                max_length,
                classes,
            } => {
                let vocabulary = WordVocabulary::from_lines(words).map_err(|error| {
                    Error::Request(format!("{}: {}", args.run.display(), chain(&error)))
                })?;
                Ok(Self::Words {
                    vocabulary,
                    max_length: *max_length,
                    classes,
                })
            }
            Codec::Tokenizer {
                tokenizer,
                max_length,
                classes,
                ..
            } => {
                let tokenizer = Tokenizer::parse(tokenizer).map_err(|problem| {
                    Error::Request(format!("{}: {problem}", args.run.display()))
                })?;
                Ok(Self::Tokens {
                    tokenizer: Box::new(tokenizer),
                    max_length: *max_length,
                    classes,
                })
            }
            Codec::Chars { .. } => Err(wrong_kind(args)),
        }
    }

    fn classes(&self) -> &[String] {
        match self {
            Self::Images { classes, .. }
            | Self::Words { classes, .. }
            | Self::Tokens { classes, .. } => classes,
        }
    }

    fn read(&self, input: &str) -> Result<TensorData, Error> {
        match self {
            Self::Images {
                shape: [c, h, w],
                mean,
                std,
                ..
            } => {
                let preprocessing = Preprocessing {
                    color: if *c == 1 { Color::Grey } else { Color::Rgb },
                    resize: Some(Resize::Exact([*h, *w])),
                    mean: mean.to_vec(),
                    std: std.to_vec(),
                    ..Preprocessing::default()
                };
                let picture = read(Path::new(input), preprocessing.color)
                    .map_err(|error| Error::Request(chain(&error)))?;
                let (values, _) = (preprocessing.apply(&picture))
                    .map_err(|error| Error::Request(chain(&error)))?;
                Ok(TensorData::new(values, [1, *c, *h, *w]))
            }
            Self::Words {
                vocabulary,
                max_length,
                ..
            } => {
                check_no_file(input)?;
                let ids = vocabulary.encode(input, *max_length);
                if ids.is_empty() {
                    return Err(Error::Request(format!("{input:?} has no words")));
                }
                Ok(pad(std::iter::once(ids.as_slice()), ids.len()))
            }
            Self::Tokens {
                tokenizer,
                max_length,
                ..
            } => {
                check_no_file(input)?;
                let ids = tokenizer.sentence(input, *max_length);
                let ids = ids.map_err(Error::Request)?;
                Ok(pad(std::iter::once(ids.as_slice()), ids.len()))
            }
        }
    }
}

/// Refuses the name of a file where a sentence is asked for: it would be classified itself.
fn check_no_file(input: &str) -> Result<(), Error> {
    if !Path::new(input).is_file() {
        return Ok(());
    }
    Err(Error::Request(format!(
        "{input:?} is a file, and the model reads sentences: give the text itself, as in \"$(cat FILE)\""
    )))
}
