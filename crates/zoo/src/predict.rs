//! `zoo predict RUN INPUT…`: the likeliest classes of images or sentences.

use std::path::Path;

use burn::tensor::TensorData;
use zoo_images::{Color, FolderOptions};
use zoo_text::WordVocabulary;

use crate::cli::PredictArgs;
use crate::data::{Codec, normalise, pad};
use crate::error::{Error, chain};
use crate::progress::print_json;
use crate::saved::Saved;

/// Classifies every input and prints its likeliest classes.
pub fn run(args: &PredictArgs) -> Result<(), Error> {
    let saved = Saved::open(&args.run, args.backend.as_deref())?;
    let reader = Reader::new(&saved.codec, args)?;
    for input in &args.inputs {
        let probabilities = saved
            .ready
            .probabilities(reader.read(input)?)
            .ok_or_else(|| wrong_kind(args))?;
        let mut ranked: Vec<(usize, f32)> = probabilities.into_iter().enumerate().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(args.top.max(1));
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

fn wrong_kind(args: &PredictArgs) -> Error {
    Error::Request(format!(
        "{} holds a decoder; predict needs a classifier, sample is for decoders",
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
            Codec::Chars { .. } => Err(wrong_kind(args)),
        }
    }

    fn classes(&self) -> &[String] {
        match self {
            Self::Images { classes, .. } | Self::Words { classes, .. } => classes,
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
                let color = if *c == 1 { Color::Grey } else { Color::Rgb };
                let options = FolderOptions {
                    size: Some([*h, *w]),
                    color,
                };
                let (pixels, _) = zoo_images::read_image(Path::new(input), &options)
                    .map_err(|error| Error::Request(chain(&error)))?;
                let mut values = Vec::with_capacity(c * h * w);
                normalise(&pixels, mean, std, &mut values);
                Ok(TensorData::new(values, [1, *c, *h, *w]))
            }
            Self::Words {
                vocabulary,
                max_length,
                ..
            } => {
                let ids = vocabulary.encode(input, *max_length);
                if ids.is_empty() {
                    return Err(Error::Request(format!("{input:?} has no words")));
                }
                Ok(pad(std::iter::once(ids.as_slice()), ids.len()))
            }
        }
    }
}
