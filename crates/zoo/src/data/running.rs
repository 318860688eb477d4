//! Running text, in windows to continue: as characters, or in the tokens of a tokenizer.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataset::Dataset;
use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_text::{Corpus, Location, SetInfo, Split, Tokens, Windows};
use zoo_train::rng::{Purpose, derive};
use zoo_train::{Batch, Pass, Source, SourceError};

use super::{Codec, Data, Facts, needs_path, options, refuse, unreadable};
use crate::error::Error;
use crate::language;
use crate::registry::{Input, size};

// b batch, n scored targets

/// `[data]` of a character recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CharOptions {
    name: String,
    /// `chars` only: the text file.
    path: Option<PathBuf>,
    /// Share of the text, at its end, that validates.
    valid_fraction: f64,
    /// A `tokenizer.json`, or the folder that has one, whose tokens take the place of characters:
    /// that of the weights to go on from.
    tokenizer: Option<PathBuf>,
}

impl Default for CharOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            valid_fraction: Corpus::VALID_FRACTION,
            tokenizer: None,
        }
    }
}

/// Opens a text to continue.
pub(super) fn open(
    set: &SetInfo,
    table: &Table,
    directory: &Path,
    input: Input,
) -> Result<Data, Error> {
    let options: CharOptions = options(table, set.name)?;
    let corpus = match set.location {
        Location::Own => {
            let path = needs_path(options.path.clone(), set.name, "book.txt")?;
            Corpus::open(path, options.valid_fraction)
        }
        Location::Published(_) | Location::BuiltIn => {
            refuse(table, set.name, &["path"], "it lies in the data directory")?;
            Corpus::published(set, directory, options.valid_fraction)
        }
    }
    .map_err(unreadable)?;
    let Input::Tokens { longest: context } = input else {
        return Err(Error::Request(format!(
            "data set {} gives text, but the model takes images; choose gpt",
            options.name
        )));
    };
    let validates = options.valid_fraction > 0.0;
    let (vocabulary, language, codec, train, valid) = match &options.tokenizer {
        None => {
            let windows = |split| corpus.windows(split, context).map_err(unreadable);
            let codec = Codec::Chars {
                chars: corpus.vocabulary.chars(),
                stop: None,
            };
            let train = windows(Split::Train)?;
            let valid = validates.then(|| windows(Split::Valid));
            let language = corpus.vocabulary.chars();
            (
                corpus.vocabulary.len(),
                language,
                codec,
                train,
                valid.transpose()?,
            )
        }
        Some(path) => {
            let (text, tokenizer) = language::open(path).map_err(Error::Request)?;
            let windows = |split: &str, part: &Tokens| {
                let part = corpus.vocabulary.decode(&part.slice(0, part.len()));
                let ids = tokenizer.corpus(&part, size::check).map_err(|problem| {
                    Error::Request(format!("{}: the {split} split: {problem}", options.name))
                })?;
                let count = ids.len();
                Windows::new(Tokens::Wide(ids.into()), context).ok_or_else(|| {
                    Error::Request(format!(
                        "the {split} split of data set {} has {count} tokens; model.context = {context} \
                         takes twice as many",
                        options.name
                    ))
                })
            };
            let codec = Codec::Tokenizer {
                tokenizer: text.clone(),
                max_length: context,
                classes: Vec::new(),
                stop: Vec::new(),
            };
            let train = windows("train", &corpus.train)?;
            let valid = validates.then(|| windows("valid", &corpus.valid));
            let vocabulary = tokenizer.vocabulary();
            (vocabulary, text, codec, train, valid.transpose()?)
        }
    };
    let language: Arc<str> = language.into();
    let source = |windows| -> Arc<dyn Source> {
        Arc::new(Text {
            windows,
            language: language.clone(),
        })
    };
    Ok(Data {
        facts: Facts::Sequences {
            set: options.name,
            vocabulary,
            length: context,
        },
        codec,
        train: source(train),
        valid: valid.map(source),
        test: None,
        warnings: Vec::new(),
    })
}

struct Text {
    windows: Windows,
    /// What gives the ids their meaning: the characters, or the tokenizer.
    language: Arc<str>,
}

impl Source for Text {
    fn len(&self) -> usize {
        self.windows.len()
    }

    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        if examples.start == 0 {
            add(self.language.as_bytes());
        }
        let (tokens, context) = (self.windows.tokens(), self.windows.context());
        // Up to the text's end, which only windows at other offsets reach.
        let end = match examples.end == self.len() {
            true => tokens.len(),
            false => examples.end * context,
        };
        let start = examples.start * context;
        for id in tokens.slice(start, end - start) {
            add(&id.to_le_bytes());
        }
        Ok(())
    }

    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
        let context = self.windows.context();
        // A fresh offset each epoch: over epochs every alignment is seen.
        let offset = pass.map_or(0, |pass| {
            derive(pass.seed, Purpose::Epoch, &[pass.epoch]) as usize % context
        });
        let windows = self.windows.with_offset(offset);
        let (mut input, mut target) = (Vec::new(), Vec::new());
        for &index in indices {
            let window = windows.get(index as usize)?;
            input.extend(window.input.iter().map(|id| *id as i32));
            target.extend(window.target.iter().map(|id| *id as i32));
        }
        let (b, n) = (indices.len(), target.len());
        Ok(Batch {
            input: TensorData::new(input, [b, context]),
            target: TensorData::new(target, [n]),
            scored: None,
        })
    }
}
